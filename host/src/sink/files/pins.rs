//! Pinned generations: no run removes one of them. They are in `pinned.json`, which is replaced as a whole.
//!
//! Who cannot read that file removes nothing.

use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::sink::files::commit;
use crate::sink::generation_name::GenerationName;

/// Its name.
pub const FILE: &str = "pinned.json";

/// All that are pinned, the smallest number first.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    pinned: Vec<Pin>,
}

/// A generation that is pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Its name.
    generation: String,
    /// RFC 3339 in UTC.
    pub since: String,
}

impl Pin {
    /// Its number; none where its name is none.
    pub fn number(&self) -> Option<u64> {
        GenerationName::parse(&self.generation).map(|name| name.number)
    }
}

impl Pins {
    /// Reads them. `Err` (73): they cannot be read, so any generation may be one.
    pub fn read(output: &Folder, limits: &Limits) -> Result<Self, Failure> {
        let Some(bytes) = output.read(FILE, limits.manifest_bytes)? else {
            return Ok(Self::default());
        };
        let unreadable = |what: String| {
            let shown = output.shown(FILE);
            let message = format!(
                "cannot read `{shown}`, which has the pinned generations: {what}; restore it, or remove it to unpin all of them"
            );
            Failure::new(Outcome::OutputUnusable, message)
        };
        let pins: Self =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        let odd = pins.pinned.iter().find(|pin| pin.number().is_none());
        odd.map_or(Ok(()), |odd| {
            let name = odd.generation.escape_debug();
            Err(unreadable(format!("`{name}` is no generation")))
        })?;
        Ok(pins)
    }

    /// Makes these the pinned ones; after a power cut, too.
    pub fn write(&self, output: &Folder, run_id: &str) -> Result<(), Failure> {
        if self.pinned.is_empty() {
            output.remove_file(FILE)?;
        } else {
            let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
            commit::replace_file_whole(output, FILE, run_id, text.as_bytes())?;
        }
        output.sync()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Pin> {
        self.pinned.iter()
    }

    /// The pin of a generation, if it has one.
    pub fn of(&self, name: &GenerationName) -> Option<&Pin> {
        let name = name.to_string();
        self.pinned.iter().find(|pin| pin.generation == name)
    }

    /// The name of the pinned generation with this number.
    pub fn name_of(&self, number: u64) -> Option<&str> {
        let mut pins = self.pinned.iter();
        let pin = pins.find(|pin| pin.number() == Some(number))?;
        Some(&pin.generation)
    }

    /// The greatest number that is pinned.
    pub fn newest(&self) -> Option<u64> {
        self.pinned.iter().filter_map(Pin::number).max()
    }

    /// Pins one more.
    pub fn add(&mut self, name: &GenerationName, since: String) {
        self.pinned.push(Pin {
            generation: name.to_string(),
            since,
        });
        self.pinned.sort_by_key(Pin::number);
    }

    /// Unpins what has this number, whether it is there or not. Returns whether it was pinned.
    pub fn remove(&mut self, number: u64) -> bool {
        let before = self.pinned.len();
        self.pinned.retain(|pin| pin.number() != Some(number));
        self.pinned.len() < before
    }

    /// Their numbers, for people.
    pub fn numbers(&self) -> String {
        let numbers = self.pinned.iter().filter_map(Pin::number);
        let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
        numbers.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "000041-20261123T060000Z-0123456789abcdef";

    fn folder() -> (tempfile::TempDir, Folder) {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap().unwrap();
        (temp, folder)
    }

    #[test]
    fn what_is_pinned_is_read_again_until_it_is_unpinned() {
        let (_temp, folder) = folder();
        let name = GenerationName::parse(NAME).unwrap();
        let mut pins = Pins::default();
        pins.add(&name, "2026-11-23T06:00:00Z".into());
        pins.write(&folder, "r").unwrap();

        let mut read = Pins::read(&folder, &Limits::default()).unwrap();
        assert_eq!(read, pins);
        assert_eq!((read.newest(), read.of(&name).is_some()), (Some(41), true));
        assert!(read.remove(41) && !read.remove(41));
        read.write(&folder, "r").unwrap();

        assert!(folder.names(|_| true).unwrap().is_empty());
    }

    #[test]
    fn a_file_that_is_none_is_told() {
        let (temp, folder) = folder();
        for odd in [
            "",
            "{}",
            "{\"pinned\":[",
            r#"{"pinned":[{"generation":"41","since":""}]}"#,
        ] {
            std::fs::write(temp.path().join(FILE), odd).unwrap();
            let failure = Pins::read(&folder, &Limits::default()).unwrap_err();
            assert_eq!(failure.outcome, Outcome::OutputUnusable, "{odd}");
        }
    }
}
