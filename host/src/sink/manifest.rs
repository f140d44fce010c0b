//! The manifest: what a generation holds, how it came about, and the state with which the next run begins.
//!
//! Whether a manifest belongs to the link that named it is `generation`'s business.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::records::key::KeyKinds;
use crate::records::shape::Shape;
use crate::settings::data_file::Delimiter;
use crate::words;

/// The version of the manifest's format. A reader refuses a greater one and tolerates members it does not know.
pub const FORMAT: u64 = 1;

/// The name of the manifest in its generation.
pub const FILE: &str = "manifest.json";
/// What the last run of an append job staged: a file that its generations have, and no other generation has.
pub const DIGESTS: &str = "staged.digests";

/// Everything about one generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u64,
    /// The generation's number: one more than its parent's.
    pub generation: u64,
    /// The name of the generation that readers saw before, none for the first.
    pub parent: Option<String>,
    /// Which run published it.
    pub run_id: String,
    /// `JOB_NAME` of that run.
    pub job: String,
    /// The component that staged it.
    pub component: Component,
    /// When the run began, RFC 3339 in UTC.
    pub started: String,
    /// When it was committed; of one whose state alone was changed, when its data was.
    pub finished: String,
    /// When a person changed its state: all else is its parent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restated: Option<String>,
    /// What was staged: `everything`, `changes` or `nothing-new`.
    pub extent: String,
    /// The range of the cursor that was read again, when only one was.
    pub window: Option<Window>,
    /// Whether the run had further portions to come when it committed this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
    /// Each file of the generation but this one. Of an append job also the newest segment, `segments/000042.ndjson`, which is
    /// the generation's own when it has its number. In a database, under the table's name, what was staged for a table
    /// without keys.
    pub files: BTreeMap<String, FileRecord>,
    /// The table that holds the records, in a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The JSON Pointers by which the data file is sorted and free of repeats; none when it is not.
    #[serde(default)]
    pub sorted_by: Vec<String>,
    /// Of which types the keys of the set are, or once were.
    #[serde(default, skip_serializing_if = "KeyKinds::is_none")]
    pub key_kinds: KeyKinds,
    /// How the csv file is laid out; none where the data file is of another format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvLayout>,
    /// What the records are made of, for the next run to be held against; none before a run of a version that looks.
    #[serde(
        default,
        deserialize_with = "usable",
        skip_serializing_if = "Option::is_none"
    )]
    pub shape: Option<Shape>,
    /// How many of what.
    pub counts: Counts,
    /// The cursor, for people.
    pub cursor: Option<String>,
    /// The component's state, as it returned it.
    pub state: String,
    /// Whether the next run fetches everything, whatever the state says: a person wants it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fetch_everything: bool,
    /// sha256 in hex of each data-shaping setting, by name.
    pub settings: BTreeMap<String, String>,
}

/// A range of the cursor: from `start` on, and before `end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub start: String,
    /// The value at which it ends.
    pub end: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// What it calls itself.
    pub name: String,
    /// sha256 of the file in hex.
    pub sha256: String,
}

/// How a csv file is laid out: equal records and an equal layout make equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsvLayout {
    /// The names of its columns, in order; without OUTPUT_COLUMNS the members of records, in the order they were first seen.
    pub columns: Vec<String>,
    /// Where the columns are found in a record, of OUTPUT_COLUMNS; none: they are its members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointers: Option<Vec<String>>,
    /// `OUTPUT_CSV_FORMULAS`.
    pub formulas: String,
    /// `OUTPUT_CSV_DELIMITER`.
    #[serde(default = "comma")]
    pub delimiter: String,
    /// `OUTPUT_CSV_BOM`.
    #[serde(default)]
    pub has_mark: bool,
}

/// A shape that cannot be understood is none: nothing but a warning is made of it.
fn usable<'de, D: Deserializer<'de>>(shape: D) -> Result<Option<Shape>, D::Error> {
    let written = Option::<Box<RawValue>>::deserialize(shape)?;
    Ok(written.and_then(|written| serde_json::from_str(written.get()).ok()))
}

fn comma() -> String {
    Delimiter::Comma.word().to_owned()
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    pub bytes: u64,
    /// sha256 in hex.
    pub sha256: String,
    pub records: u64,
}

/// How many of what. All are of this run, but for `records`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records in the published set; of an append job, in all segments since it began to append.
    pub records: u64,
    pub staged: u64,
    pub deleted: u64,
    pub rejected: u64,
    /// Records found in the source's answers, as the component reported it.
    pub fetched: u64,
    /// Answers read, as the component reported it.
    pub pages: u64,
}

impl Manifest {
    /// Whether it is of an append job, and so of no set of its own.
    pub fn appends(&self) -> bool {
        self.files.contains_key(DIGESTS)
    }

    /// The bytes of the file: indented JSON in which nothing steers a terminal, and a newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text =
            serde_json::to_string_pretty(self).expect("a manifest has only texts and numbers");
        (words::escaped_lines(&text) + "\n").into_bytes()
    }

    /// Whether this manifest is what `read`, the reader of the next run, will find in `bytes`, which are about to be written.
    /// `Err` is 70 where what the component returned is too large, and 73 where the names of columns are.
    pub fn read_back(
        &self,
        bytes: &[u8],
        limits: &Limits,
        read: impl FnOnce(&[u8]) -> Result<Self, String>,
    ) -> Result<(), Failure> {
        let refused = |outcome, what: String| {
            let message = format!("the manifest of this run {what}; nothing was published");
            Err(Failure::new(outcome, message))
        };
        if bytes.len() as u64 > limits.manifest_bytes {
            let (outcome, mend) = self.largest();
            let (bytes, most) = (bytes.len(), limits.manifest_bytes);
            let what = format!("would have {bytes} bytes, and {most} are allowed: {mend}");
            return refused(outcome, what);
        }
        match read(bytes) {
            Ok(read) if read == *self => Ok(()),
            Ok(_) => refused(
                Outcome::ComponentFailed,
                "would be read as another one".to_owned(),
            ),
            Err(what) => refused(Outcome::ComponentFailed, what),
        }
    }

    /// Whose words take the most room, and what can be done.
    fn largest(&self) -> (Outcome, &'static str) {
        let said = size(&self.state) + size(&self.cursor) + size(&self.component);
        let layout = size(&self.csv) + size(&self.sorted_by);
        if said > layout {
            let mend = "the state, the cursor or the name that the component returned is too large";
            (Outcome::ComponentFailed, mend)
        } else {
            let mend = "the names of its columns are too large; set OUTPUT_COLUMNS to fewer or shorter ones";
            (Outcome::OutputUnusable, mend)
        }
    }

    /// Reads the file. `Err` says what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            format: u64,
        }

        // The version comes first: what else a newer format has is not ours to judge.
        let head: Head =
            serde_json::from_slice(bytes).map_err(|error| format!("is not a manifest: {error}"))?;
        if head.format > FORMAT {
            return Err(format!(
                "was written by a newer tidegate (format {}, this one reads {FORMAT}): run that version",
                head.format
            ));
        }
        serde_json::from_slice(bytes).map_err(|error| format!("is not a manifest: {error}"))
    }
}

/// What a part of it takes, as it is written.
fn size(part: &impl Serialize) -> usize {
    let text = serde_json::to_string(part).unwrap_or_default();
    words::escaped(&text).len()
}

#[cfg(test)]
pub mod tests {
    //! What is written, and what is read of it.

    use super::*;
    use crate::hash::sha256;

    /// A manifest of a first generation of nothing.
    pub fn empty() -> Manifest {
        Manifest {
            format: FORMAT,
            generation: 1,
            parent: None,
            run_id: "run".into(),
            job: "orders".into(),
            component: Component {
                name: "rest".into(),
                sha256: sha256(b""),
            },
            started: "2026-11-23T06:00:00Z".into(),
            finished: "2026-11-23T06:00:01Z".into(),
            restated: None,
            extent: "everything".into(),
            window: None,
            unfinished: false,
            files: BTreeMap::new(),
            table: None,
            sorted_by: Vec::new(),
            key_kinds: KeyKinds::default(),
            csv: None,
            shape: None,
            counts: Counts::default(),
            cursor: None,
            state: "{\"v\":1}".into(),
            fetch_everything: false,
            settings: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let manifest = empty();

        assert_eq!(Manifest::from_bytes(&manifest.to_bytes()), Ok(manifest));
    }

    #[test]
    fn nothing_in_it_steers_a_terminal() {
        let manifest = Manifest {
            cursor: Some("a\u{9b}\u{202e}\n".into()),
            state: "\"\u{7f}\u{feff}\"".into(),
            ..empty()
        };

        let text = String::from_utf8(manifest.to_bytes()).unwrap();

        assert!(
            !text.contains(|c| words::steers(c) && c != '\n'),
            "{text:?}"
        );
        assert_eq!(Manifest::from_bytes(text.as_bytes()), Ok(manifest));
    }

    #[test]
    fn one_that_could_not_be_read_again_is_refused_with_whose_fault_it_is() {
        let limits = Limits {
            manifest_bytes: 2_000,
            ..Limits::default()
        };
        let refused = |manifest: &Manifest| {
            let failure = manifest
                .read_back(&manifest.to_bytes(), &limits, Manifest::from_bytes)
                .unwrap_err();
            (failure.outcome, failure.message)
        };

        let state = Manifest {
            state: "\u{7f}".repeat(400),
            ..empty()
        };
        let columns = Manifest {
            sorted_by: vec!["/x".repeat(1_000)],
            ..empty()
        };
        let newer = Manifest {
            format: FORMAT + 1,
            ..empty()
        };

        let fine = empty().read_back(&empty().to_bytes(), &limits, Manifest::from_bytes);
        assert!(fine.is_ok());
        assert_eq!(refused(&state).0, Outcome::ComponentFailed);
        assert!(refused(&state).1.contains("and 2000 are allowed"));
        assert_eq!(refused(&columns).0, Outcome::OutputUnusable);
        assert!(refused(&newer).1.contains("newer tidegate"));
        let other = empty().read_back(&empty().to_bytes(), &limits, |_| Ok(newer));
        assert!(other.unwrap_err().message.contains("another one"));
    }

    #[test]
    fn a_member_nobody_knows_is_tolerated() {
        let text = String::from_utf8(empty().to_bytes()).unwrap();

        let read = Manifest::from_bytes(text.replacen('{', "{\"later\":[1],", 1).as_bytes());

        assert_eq!(read, Ok(empty()));
    }

    #[test]
    fn a_newer_format_is_refused_whatever_else_it_has() {
        let refused = Manifest::from_bytes(b"{\"format\":2,\"generation\":\"x\"}").unwrap_err();

        assert!(refused.contains("newer tidegate (format 2"), "{refused}");
    }
}
