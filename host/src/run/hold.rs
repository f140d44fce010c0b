//! A job that is held: its published set stays as it is, and no run changes it until a person releases it.

use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::sink::database::past::Held;
use crate::sink::files::commit;
use crate::words;

/// Its file.
pub const FILE: &str = "held.json";

/// Since when, and why.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Hold {
    /// RFC 3339 in UTC.
    pub since: String,
    /// The number of the generation that stays.
    pub generation: u64,
}

impl From<Held> for Hold {
    fn from(held: Held) -> Self {
        Self {
            since: held.since,
            generation: held.generation,
        }
    }
}

impl Hold {
    /// Holds the job; after a power cut, too.
    pub fn begin(&self, output: &Folder, run_id: &str) -> Result<(), Failure> {
        let text = serde_json::to_string(self).unwrap_or_default() + "\n";
        commit::replace_file_whole(output, FILE, run_id, text.as_bytes())?;
        output.sync()
    }

    /// Names the generation that stays now, where the job is held: its state was changed. Returns whether it is held.
    pub fn moved(output: &Folder, run_id: &str, generation: u64, limits: &Limits) -> bool {
        let Ok(Some(bytes)) = output.read(FILE, limits.manifest_bytes) else {
            return false;
        };
        let before: Self = serde_json::from_slice(&bytes).unwrap_or_default();
        let now = Self {
            generation,
            ..before
        };
        // It is held all the same.
        let _ = now.begin(output, run_id);
        true
    }

    /// Releases it. Returns whether it was held.
    pub fn end(output: &Folder) -> Result<bool, Failure> {
        let is_held = output.size(FILE)?.is_some();
        output.remove_file(FILE)?;
        output.sync()?;
        Ok(is_held)
    }

    /// What holds the job, in words; none if nothing does.
    pub fn shown(output: &Folder, limits: &Limits) -> Result<Option<String>, Failure> {
        let Some(bytes) = output.read(FILE, limits.manifest_bytes)? else {
            return Ok(None);
        };
        // Whatever is in it: the file is there.
        let hold: Self = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Some(hold.words()))
    }

    /// What holds the job, in words.
    pub fn words(&self) -> String {
        let since = words::line(&self.since, 40);
        format!(
            "the job is held at generation {} since {since}: `tidegate rollback --release` lets its runs publish again",
            self.generation
        )
    }

    /// 75: the job is held.
    pub fn refusal(&self) -> Failure {
        Failure::new(Outcome::TryLater, self.words())
    }

    /// `Err` (75): the job is held.
    pub fn refuse(output: &Folder, limits: &Limits) -> Result<(), Failure> {
        match Self::shown(output, limits)? {
            None => Ok(()),
            Some(why) => Err(Failure::new(Outcome::TryLater, why)),
        }
    }
}
