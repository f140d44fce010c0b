//! `runs.ndjson`: how each run ended, one JSON object a line, the oldest first. For `tidegate runs` and people; never an input to a
//! run, and never a reason for one to end otherwise.
//!
//! A line is added in one write, under a lock on the file itself: a run that fails before it has the run lock adds one, too.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use serde::Serialize;

use crate::folder::{Doing as _, Folder, refuse_foreign_file};
use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::sink::files::commit;
use crate::words;

/// Its name.
pub const FILE: &str = "runs.ndjson";
/// Between two tries to lock it.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Adds a line: `record`, one JSON object. All but the last `KEEP_RUNS` lines go, once they are a quarter too many.
///
/// At once, but not synced. `Err` is for a warning.
pub fn add(
    output: &Folder,
    run_id: &str,
    record: &impl Serialize,
    limits: &Limits,
) -> Result<(), Failure> {
    let text = serde_json::to_string(record).map_err(|error| {
        let message = format!("cannot write `{FILE}`: {error}");
        Failure::new(Outcome::ComponentFailed, message)
    })?;
    let mut line = words::escaped(&text) + "\n";
    let (mut file, is_locked) = opened(output, limits)?;
    let doing = || format!("cannot write `{}`", output.shown(FILE));
    if is_torn(&mut file).doing(doing)? {
        line.insert(0, '\n');
    }
    file.write_all(line.as_bytes()).doing(doing)?;
    if !is_locked {
        return Ok(());
    }
    let size = file.seek(SeekFrom::End(0)).doing(doing)?;
    let begin = size.saturating_sub(limits.history_bytes);
    file.seek(SeekFrom::Start(begin)).doing(doing)?;
    let mut bytes = Vec::new();
    (&file)
        .take(limits.history_bytes)
        .read_to_end(&mut bytes)
        .doing(doing)?;
    let kept = usize::try_from(limits.runs_kept).unwrap_or(usize::MAX);
    let lines = memchr::memchr_iter(b'\n', &bytes).count();
    if begin == 0 && lines <= kept + kept / 4 {
        return Ok(());
    }
    // Of a file that is too large, the first line that was read is a part of one.
    let kept = kept.min(lines.saturating_sub(1));
    commit::replace_file(output, FILE, run_id, last_lines(&bytes, kept))
}

/// The last lines, at most `most`, the newest first. Lines that are not whole, as after a crash, are left out.
pub fn read(output: &Folder, most: usize, limits: &Limits) -> Result<Vec<String>, Failure> {
    let Some((mut file, stat)) = output.file(FILE)? else {
        return Ok(Vec::new());
    };
    let doing = || format!("cannot read `{}`", output.shown(FILE));
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    let begin = size.saturating_sub(limits.history_bytes);
    file.seek(SeekFrom::Start(begin)).doing(doing)?;
    let mut bytes = Vec::new();
    file.take(limits.history_bytes)
        .read_to_end(&mut bytes)
        .doing(doing)?;
    let lines = bytes.rsplit(|byte| *byte == b'\n');
    let texts = lines.filter_map(|line| std::str::from_utf8(line).ok());
    let whole = texts.filter(|line| line.starts_with('{') && line.ends_with('}'));
    Ok(whole.take(most).map(str::to_owned).collect())
}

/// The file, made if it is missing, and whether it is locked: anybody who may read it can hold the lock for long. `Err`: somebody
/// else's is in its place.
fn opened(output: &Folder, limits: &Limits) -> Result<(File, bool), Failure> {
    let flags = OFlags::RDWR
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o666);
    let doing = || format!("cannot open `{}`", output.shown(FILE));
    let since = Instant::now();
    loop {
        let opened = retry_on_intr(|| rustix::fs::openat(output, FILE, flags, mode));
        let file = File::from(opened.doing(doing)?);
        let stat = rustix::fs::fstat(&file).doing(doing)?;
        refuse_foreign_file(&stat, &output.shown(FILE))?;
        match retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => {
                // Another run may have put a shorter one in its place meanwhile.
                let now = rustix::fs::statat(output, FILE, AtFlags::SYMLINK_NOFOLLOW);
                let is_same =
                    |now: &rustix::fs::Stat| (now.st_dev, now.st_ino) == (stat.st_dev, stat.st_ino);
                if now.as_ref().is_ok_and(is_same) {
                    return Ok((file, true));
                }
            }
            Err(Errno::WOULDBLOCK) => thread::sleep(LOCK_PAUSE),
            Err(error) => return Err(error).doing(doing),
        }
        if since.elapsed() >= limits.history_lock {
            return Ok((file, false));
        }
    }
}

/// Whether the last line does not end: its run was killed, or the disk was full.
fn is_torn(file: &mut File) -> std::io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// The last lines of a text whose lines all end.
fn last_lines(bytes: &[u8], most: usize) -> &[u8] {
    let ends = bytes.iter().enumerate().rev();
    let mut ends = ends.filter(|(_, byte)| **byte == b'\n');
    let before = ends.nth(most).map_or(0, |(at, _)| at + 1);
    &bytes[before..]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap().unwrap();
        (temp, folder)
    }

    fn keeping(runs_kept: u32) -> Limits {
        Limits {
            runs_kept,
            ..Limits::default()
        }
    }

    #[test]
    fn the_last_runs_are_kept_and_read_newest_first() {
        let (_temp, folder) = folder();
        let limits = keeping(8);
        let mut most = 0;
        for number in 1..=50 {
            add(&folder, "r", &json!({ "n": number }), &limits).unwrap();
            most = most.max(read(&folder, 100, &limits).unwrap().len());
        }

        assert_eq!(most, 10);
        assert_eq!(
            read(&folder, 2, &limits).unwrap(),
            [r#"{"n":50}"#, r#"{"n":49}"#]
        );
        assert_eq!(folder.names(|_| true).unwrap(), [FILE]);
    }

    #[test]
    fn a_line_that_was_cut_does_not_take_the_next_one_with_it() {
        let (temp, folder) = folder();
        std::fs::write(temp.path().join(FILE), "{\"n\":1}\n{\"n\":").unwrap();

        add(&folder, "r", &json!({ "n": 3 }), &keeping(8)).unwrap();

        assert_eq!(
            read(&folder, 9, &keeping(8)).unwrap(),
            [r#"{"n":3}"#, r#"{"n":1}"#]
        );
    }

    #[test]
    fn runs_that_end_at_the_same_time_all_add_their_lines() {
        let (_temp, folder) = folder();
        let limits = keeping(20);
        thread::scope(|scope| {
            for run in 0..4 {
                let (folder, limits) = (&folder, &limits);
                scope.spawn(move || {
                    for _ in 0..25 {
                        add(folder, &format!("r{run}"), &json!({ "run": run }), limits).unwrap();
                    }
                });
            }
        });

        let lines = read(&folder, 100, &limits).unwrap();
        assert!((20..=25).contains(&lines.len()), "{lines:?}");
        assert_eq!(folder.names(|_| true).unwrap(), [FILE]);
    }

    #[test]
    fn whoever_holds_the_file_keeps_no_run_from_adding_its_line() {
        let (temp, folder) = folder();
        let limits = Limits {
            history_lock: Duration::from_millis(10),
            ..keeping(1)
        };
        std::fs::write(temp.path().join(FILE), "{}\n{}\n{}\n").unwrap();
        let held = File::open(temp.path().join(FILE)).unwrap();
        held.lock_shared().unwrap();

        add(&folder, "r", &json!({ "n": 1 }), &limits).unwrap();

        assert_eq!(read(&folder, 9, &limits).unwrap().len(), 4);
    }

    #[test]
    fn a_link_in_its_place_is_left_alone() {
        let (temp, folder) = folder();
        std::fs::write(temp.path().join("elsewhere"), "mine").unwrap();
        std::os::unix::fs::symlink("elsewhere", temp.path().join(FILE)).unwrap();

        add(&folder, "r", &json!({}), &keeping(8)).unwrap_err();

        let kept = std::fs::read_to_string(temp.path().join("elsewhere")).unwrap();
        assert_eq!(kept, "mine");
    }
}
