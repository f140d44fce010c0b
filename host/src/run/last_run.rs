//! `last-run.json`: how the last run ended, whatever it was. For `health` and people; never an input to a run.

use std::os::unix::fs::FileExt as _;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::folder::{Folder, refuse_foreign_file};
use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::run::alerts::Failing;
use crate::run::summary::Summary;
use crate::sink::files::commit;
use crate::words;

/// Its name.
pub const FILE: &str = "last-run.json";
/// The message of a short record: most have room for it in their one block.
const SHORT_BYTES: usize = 500;

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
    /// The settings that were given by `--set`.
    pub set: Vec<String>,
    /// The generation that readers saw afterwards.
    pub generation: Option<String>,
    /// Records in that set.
    pub records: u64,
    /// Failed runs in a row, where they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<Failing>,
}

/// Writes down how a run ended: `record`, which has [`LastRun`]'s members and may have more.
///
/// At once, but not synced. `Err` is for a warning: the run ended as it ended, and there is no room for a whole record. A shorter
/// one stands in the room of the last one then, or none at all: the last one would say that all is well.
pub fn write(output: &Folder, run_id: &str, record: &impl Serialize) -> Result<(), Failure> {
    let written = replace(output, run_id, record);
    if written.is_err() && rewrite(output, record).is_none() {
        let _ = output.remove_file(FILE);
    }
    written
}

/// Whether a run that failed says nothing of the job: somebody tried it with `--dry-run`, or by hand with other `--set` than the
/// run before it.
pub fn is_a_trial(run: &Summary, before: Option<&LastRun>) -> bool {
    let Some(before) = before else { return false };
    let has_failed = run.exit_code != 0 && run.committed == "no";
    has_failed && (is_set_otherwise(&run.set, before) || run.dry_run && !before.dry_run)
}

/// Whether a run was given other `--set` by hand than the one before it.
pub fn is_set_otherwise(set: &[String], before: &LastRun) -> bool {
    !set.is_empty() && set != before.set
}

/// A short record in the room that the last one has on the disk.
fn rewrite(output: &Folder, record: &impl Serialize) -> Option<()> {
    let mut short: LastRun = serde_json::from_value(serde_json::to_value(record).ok()?).ok()?;
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(output, FILE, flags, Mode::empty()).ok()?;
    let file = std::fs::File::from(file);
    let stat = rustix::fs::fstat(&file).ok()?;
    refuse_foreign_file(&stat, FILE).ok()?;
    let room = stat.st_size.max(512 * stat.st_blocks);
    short.message = short
        .message
        .map(|message| words::shown(&message, SHORT_BYTES));
    let text = words::escaped(&serde_json::to_string(&short).ok()?) + "\n";
    let bytes = i64::try_from(text.len())
        .ok()
        .filter(|bytes| *bytes <= room)?;
    file.write_all_at(text.as_bytes(), 0).ok()?;
    file.set_len(bytes.unsigned_abs()).ok()
}

fn replace(output: &Folder, run_id: &str, record: &impl Serialize) -> Result<(), Failure> {
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
    fn where_there_is_no_room_a_short_record_takes_that_of_the_last_one() {
        let (temp, folder) = folder();
        let run = |exit_code| LastRun {
            exit_code,
            message: Some("m".repeat(3_000)),
            alert: Some(Failing {
                failures: 7,
                ..Failing::default()
            }),
            ..LastRun::default()
        };
        write(&folder, "r1", &run(0)).unwrap();
        // A folder under the temporary name: no file can be made there.
        let in_the_way = temp.path().join(".last-run-r2");
        std::fs::create_dir_all(in_the_way.join("full")).unwrap();

        write(&folder, "r2", &run(74)).unwrap_err();

        let read = read(&folder, &Limits::default()).unwrap().unwrap();
        assert_eq!(read.exit_code, 74);
        assert_eq!(read.alert.map(|alert| alert.failures), Some(7));
        assert!(read.message.unwrap().len() <= SHORT_BYTES);
    }

    #[test]
    fn a_record_that_cannot_be_written_leaves_none_that_says_that_all_is_well() {
        let (temp, folder) = folder();
        std::fs::create_dir_all(temp.path().join(".last-run-r2/full")).unwrap();
        std::fs::write(temp.path().join("elsewhere"), "{}").unwrap();
        std::os::unix::fs::symlink("elsewhere", temp.path().join(FILE)).unwrap();

        write(&folder, "r2", &LastRun::default()).unwrap_err();

        assert_eq!(read(&folder, &Limits::default()).unwrap(), None);
        assert_eq!(
            std::fs::read_to_string(temp.path().join("elsewhere")).unwrap(),
            "{}"
        );
    }

    #[test]
    fn a_trial_by_hand_says_nothing_of_the_job() {
        let run = |set: &[&str], dry_run, exit_code| {
            let mut run = Summary::begin("r".into(), "j".into(), jiff::Timestamp::UNIX_EPOCH);
            run.set = set.iter().map(|name| (*name).to_owned()).collect();
            (run.dry_run, run.exit_code) = (dry_run, exit_code);
            run
        };
        let before = |set: &[&str]| LastRun {
            set: set.iter().map(|name| (*name).to_owned()).collect(),
            ..LastRun::default()
        };

        for (set, dry_run, exit_code, before, is_one) in [
            (&["A"][..], false, 69, before(&[]), true),
            (&["A"], false, 0, before(&[]), false),
            (&["A"], false, 69, before(&["A"]), false),
            (&[], false, 69, before(&["A"]), false),
            (&[], true, 69, before(&[]), true),
        ] {
            assert_eq!(
                is_a_trial(&run(set, dry_run, exit_code), Some(&before)),
                is_one,
                "{set:?}"
            );
            assert!(!is_a_trial(&run(set, dry_run, exit_code), None));
        }
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
