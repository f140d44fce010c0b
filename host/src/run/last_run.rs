//! `last-run.json`: how the last run ended, whatever it was. For `health` and people; never an input to a run.

use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::sink::files::commit;
use crate::words;

/// Its name.
pub const FILE: &str = "last-run.json";

/// What is read of it. Members that are not here are somebody else's to read; of these, a missing one is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastRun {
    /// Which run.
    pub run_id: String,
    /// `JOB_NAME`.
    pub job: String,
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// When it ended.
    pub finished: String,
    /// [`Outcome::word`].
    pub outcome: String,
    /// [`Outcome::exit_code`].
    pub exit_code: u8,
    /// Why it failed.
    pub message: Option<String>,
    /// Whether readers see something new: `yes`, `no` or `unknown`.
    pub committed: String,
    /// Whether nothing was to be published.
    pub dry_run: bool,
    /// The generation that readers saw afterwards.
    pub generation: Option<String>,
    /// Records in that set.
    pub records: u64,
}

/// Writes down how a run ended: `record`, which has [`LastRun`]'s members and may have more.
///
/// At once or not at all, but not synced. `Err` is for a warning: the run ended as it ended.
pub fn write(output: &Folder, run_id: &str, record: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(record).map_err(|error| {
        Failure::new(
            Outcome::ComponentFailed,
            format!("cannot write `{FILE}`: {error}"),
        )
    })?;
    let text = words::escaped_lines(&text) + "\n";
    commit::replace_file(output, FILE, run_id, text.as_bytes())
}

/// Reads how the last run ended; `None` when no run wrote it down.
pub fn read(output: &Folder, limits: &Limits) -> Result<Option<LastRun>, Failure> {
    let Some(bytes) = output.read(FILE, limits.manifest_bytes)? else {
        return Ok(None);
    };
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|error| {
        Failure::new(
            Outcome::OutputUnusable,
            format!("cannot read `{}`: {error}", output.shown(FILE)),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap().unwrap();
        (temp, folder)
    }

    #[test]
    fn what_was_written_last_is_read() {
        let (_temp, folder) = folder();
        let run = |exit_code| LastRun {
            run_id: "r".into(),
            exit_code,
            ..LastRun::default()
        };
        assert_eq!(read(&folder, &Limits::default()).unwrap(), None);

        write(&folder, "r1", &run(75)).unwrap();
        write(&folder, "r2", &run(0)).unwrap();

        assert_eq!(read(&folder, &Limits::default()).unwrap(), Some(run(0)));
        assert_eq!(folder.names(|_| true).unwrap(), [FILE]);
    }

    #[test]
    fn nothing_in_it_steers_a_terminal() {
        let (temp, folder) = folder();
        let run = LastRun {
            job: "a\u{9b}31m\u{202e}\u{7f}".into(),
            ..LastRun::default()
        };

        write(&folder, "r", &run).unwrap();

        let text = std::fs::read_to_string(temp.path().join(FILE)).unwrap();
        assert!(
            !text.contains(|c| words::steers(c) && c != '\n'),
            "{text:?}"
        );
        assert_eq!(read(&folder, &Limits::default()).unwrap(), Some(run));
    }

    #[test]
    fn members_may_be_missing_or_more() {
        let (_temp, folder) = folder();

        write(
            &folder,
            "r",
            &serde_json::json!({"exit_code": 65, "pages": 3}),
        )
        .unwrap();

        assert_eq!(
            read(&folder, &Limits::default())
                .unwrap()
                .unwrap()
                .exit_code,
            65
        );
    }

    #[test]
    fn a_torn_record_is_an_error_and_no_run() {
        let (temp, folder) = folder();
        std::fs::write(temp.path().join(FILE), "{\"exit").unwrap();

        assert_eq!(
            read(&folder, &Limits::default()).unwrap_err().outcome,
            Outcome::OutputUnusable
        );
    }
}
