//! What a component staged, looked at for the first time: it is gone, and nothing in its folder is trusted.
//!
//! Only three names, only plain files that have no second name, only whole lines, and as many as it reported. What a record
//! means is `sink`'s business.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::{Dir, FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::folder::{Doing as _, Folder};
use crate::limits::Limits;
use crate::outcome::Failure;
use crate::staging::lines::Lines;

/// One JSON object a line, a key's versions oldest first.
pub const RECORDS: &str = "records.ndjson";
/// `{"key":[…],"at":N}`, under `REPLACE_BY` also `{"parent":…,"at":N}`.
pub const DELETED: &str = "deleted.ndjson";
/// `{"reason":…,"pointer":…,"record":…}`.
pub const REJECTED: &str = "rejected.ndjson";

/// Read of a file at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// How many lines of each file there are, by the component's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Lines of `records.ndjson`.
    pub staged: u64,
    /// Lines of `deleted.ndjson`.
    pub deleted: u64,
    /// Lines of `rejected.ndjson`.
    pub rejected: u64,
}

/// The three files of a staging folder. A file that is not there has no lines.
#[derive(Debug)]
pub struct Staged {
    /// As reported; [`Staged::counted`] holds the files to it.
    pub reported: Counts,
    /// Whether the component has a further portion to come.
    pub more: bool,
    records: Option<StagedFile>,
    deleted: Option<StagedFile>,
    rejected: Option<StagedFile>,
    /// The longest line that is read.
    pub line_bytes_max: usize,
    /// The most that the reason or the pointer of a rejected record may have.
    pub words_bytes_max: usize,
}

/// One of them, as it was opened.
#[derive(Debug)]
pub(super) struct StagedFile {
    pub file: File,
    pub is: Identity,
    /// Its size when it was opened.
    pub bytes: u64,
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// Opens what the component left in `input`. `Err` is 70: it left something else than it may.
pub fn open(input: &Folder, reported: Counts, limits: &Limits) -> Result<Staged, Failure> {
    refuse_others(input, limits.staged_files)?;
    let mut bytes_left = limits.staged_bytes;
    let mut file = |name: &str| {
        let Some(staged) = plain_file(input, name)? else {
            return Ok(None);
        };
        bytes_left = bytes_left.checked_sub(staged.bytes).ok_or_else(|| {
            let most = limits.staged_bytes;
            Failure::broken(format!("it staged more than {most} bytes (`staged_bytes`)"))
        })?;
        Ok::<_, Failure>(Some(staged))
    };
    Ok(Staged {
        reported,
        more: false,
        records: file(RECORDS)?,
        deleted: file(DELETED)?,
        rejected: file(REJECTED)?,
        line_bytes_max: limits.staged_line_bytes,
        words_bytes_max: limits.words_bytes,
    })
}

/// How many whole lines there are in each file, of a component that failed and reported nothing. A file that is no plain one, or
/// is longer than is looked through, counts for nothing.
pub fn so_far(input: &Folder, limits: &Limits) -> Counts {
    let lines = |name: &str| {
        let StagedFile { file, bytes, .. } = plain_file(input, name).ok().flatten()?;
        let is_counted = bytes <= limits.staged_counted_bytes;
        is_counted.then(|| newlines(file.take(bytes)))?.ok()
    };
    Counts {
        staged: lines(RECORDS).unwrap_or_default(),
        deleted: lines(DELETED).unwrap_or_default(),
        rejected: lines(REJECTED).unwrap_or_default(),
    }
}

fn newlines(mut file: impl Read) -> io::Result<u64> {
    let (mut block, mut lines) = (vec![0; BLOCK_BYTES], 0);
    loop {
        match file.read(&mut block)? {
            0 => return Ok(lines),
            bytes => lines += memchr::memchr_iter(b'\n', &block[..bytes]).count() as u64,
        }
    }
}

impl Staged {
    /// The same, of a component that says whether it has more.
    pub fn with_more(self, more: bool) -> Self {
        Self { more, ..self }
    }

    /// `records.ndjson`, as it was opened; none where it is not there.
    pub(super) fn records_file(&self) -> Option<&StagedFile> {
        self.records.as_ref()
    }

    /// Whether there is no line of a deletion.
    pub fn has_no_deletions(&self) -> bool {
        let deleted = self.deleted.as_ref();
        deleted.is_none_or(|deleted| deleted.bytes == 0)
    }

    /// The lines of `records.ndjson`, from the first.
    pub fn records(&self) -> Lines<'_> {
        self.lines(self.records.as_ref())
    }

    /// The lines of `deleted.ndjson`, from the first.
    pub fn deleted(&self) -> Lines<'_> {
        self.lines(self.deleted.as_ref())
    }

    /// The lines of `rejected.ndjson`, from the first.
    pub fn rejected(&self) -> Lines<'_> {
        self.lines(self.rejected.as_ref())
    }

    fn lines<'s>(&self, staged: Option<&'s StagedFile>) -> Lines<'s> {
        Lines::new(staged.map(|staged| &staged.file), self.line_bytes_max)
    }

    /// Holds the number of lines that were read from the three files to what was reported. `Err` is 70.
    pub fn counted(&self, found: Counts) -> Result<(), Failure> {
        let told = [
            (RECORDS, self.reported.staged, found.staged),
            (DELETED, self.reported.deleted, found.deleted),
            (REJECTED, self.reported.rejected, found.rejected),
        ];
        for (name, reported, found) in told {
            if reported != found {
                return Err(Failure::broken(format!(
                    "it reported {reported} lines in `{name}`, and there are {found}"
                )));
            }
        }
        Ok(())
    }
}

/// A line as text, when it is one JSON object by its first look: valid UTF-8 from `{` to `}`.
pub fn object<'l>(name: &str, number: u64, line: &'l [u8]) -> Result<&'l str, Failure> {
    let text = std::str::from_utf8(line).map_err(|error| {
        Failure::broken(format!("line {number} of `{name}` is not UTF-8: {error}"))
    })?;
    // Nothing around it either: the line is published byte for byte.
    if text.starts_with('{') && text.ends_with('}') {
        return Ok(text);
    }
    Err(Failure::broken(format!(
        "line {number} of `{name}` is not one JSON object"
    )))
}

fn refuse_others(input: &Folder, files_max: usize) -> Result<(), Failure> {
    let doing = || format!("cannot list `{}`", input.path().display());
    let mut other = None;
    let mut files = 0;
    for entry in Dir::read_from(input).doing(doing)? {
        let entry = entry.doing(doing)?;
        let name = entry.file_name().to_string_lossy();
        if [".", ".."].contains(&name.as_ref()) {
            continue;
        }
        files += 1;
        if files > files_max {
            return Err(Failure::broken(format!(
                "it made more than {files_max} files"
            )));
        }
        if ![RECORDS, DELETED, REJECTED].contains(&name.as_ref()) {
            other.get_or_insert_with(|| name.escape_debug().to_string());
        }
    }
    other.map_or(Ok(()), |name| {
        Err(Failure::broken(format!(
            "it left `{name}` in its staging folder"
        )))
    })
}

/// Opens one of the three files; none where it is not there. `Err` is 70: it is something else.
pub(super) fn plain_file(input: &Folder, name: &str) -> Result<Option<StagedFile>, Failure> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = match retry_on_intr(|| rustix::fs::openat(input, name, flags, Mode::empty())) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP | Errno::NXIO) => {
            return Err(Failure::broken(format!(
                "its `{name}` is not a regular file"
            )));
        }
        Err(error) => return Err(error).doing(|| format!("cannot open the staged `{name}`")),
    };
    let stat = rustix::fs::fstat(&fd).doing(|| format!("cannot inspect the staged `{name}`"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Failure::broken(format!(
            "its `{name}` is not a regular file"
        )));
    }
    if stat.st_nlink != 1 {
        return Err(Failure::broken(format!(
            "its `{name}` has a second name elsewhere"
        )));
    }
    Ok(Some(StagedFile {
        file: File::from(fd),
        is: Identity {
            device: stat.st_dev,
            inode: stat.st_ino,
        },
        bytes: u64::try_from(stat.st_size).unwrap_or(0),
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::outcome::Outcome;

    fn opened(build: impl FnOnce(&Path)) -> Result<Staged, Failure> {
        let temp = tempfile::tempdir().unwrap();
        build(temp.path());
        let limits = Limits {
            staged_bytes: 1_000,
            ..Limits::default()
        };
        open(
            &Folder::open(temp.path()).unwrap().unwrap(),
            Counts::default(),
            &limits,
        )
    }

    fn refused(build: impl FnOnce(&Path)) -> String {
        let failure = opened(build).unwrap_err();
        assert_eq!(failure.outcome, Outcome::ComponentFailed);
        failure.message
    }

    #[test]
    fn a_file_that_is_not_there_has_no_lines() {
        let staged = opened(|_| {}).unwrap();

        assert!(staged.records().next_line().unwrap().is_none());
    }

    #[test]
    fn of_a_component_that_failed_whole_lines_of_plain_files_are_counted() {
        let temp = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(temp.path().join(name), text).unwrap();
        write(RECORDS, "{\"id\":1}\n{\"id\":2}\n{\"id\"");
        write(REJECTED, "{}\n");
        std::os::unix::fs::symlink("/etc/passwd", temp.path().join(DELETED)).unwrap();
        let input = Folder::open(temp.path()).unwrap().unwrap();

        let found = |staged_counted_bytes| {
            let limits = Limits {
                staged_counted_bytes,
                ..Limits::default()
            };
            let found = so_far(&input, &limits);
            (found.staged, found.deleted, found.rejected)
        };

        assert_eq!(found(1_000), (2, 0, 1));
        assert_eq!(found(10), (0, 0, 1));
    }

    #[test]
    fn a_link_is_refused() {
        let text = refused(|input| {
            std::os::unix::fs::symlink("/etc/passwd", input.join(RECORDS)).unwrap();
        });

        assert!(text.contains("not a regular file"), "{text}");
    }

    #[test]
    fn a_second_name_is_refused() {
        let elsewhere = tempfile::NamedTempFile::new().unwrap();

        let text =
            refused(|input| std::fs::hard_link(elsewhere.path(), input.join(RECORDS)).unwrap());

        assert!(text.contains("second name"), "{text}");
    }

    #[test]
    fn a_fifo_and_a_folder_are_refused_without_waiting() {
        let fifo = refused(|input| {
            let input = File::open(input).unwrap();
            rustix::fs::mknodat(&input, RECORDS, FileType::Fifo, Mode::RWXU, 0).unwrap();
        });
        let folder = refused(|input| std::fs::create_dir(input.join(DELETED)).unwrap());

        assert!(fifo.contains("not a regular file"), "{fifo}");
        assert!(folder.contains("not a regular file"), "{folder}");
    }

    #[test]
    fn a_name_that_nobody_asked_for_is_refused() {
        let text = refused(|input| std::fs::write(input.join("x\n"), "").unwrap());

        assert!(text.contains("it left `x\\n`"), "{text}");
    }

    #[test]
    fn more_bytes_than_allowed_are_refused_over_all_files() {
        let text = refused(|input| {
            std::fs::write(input.join(RECORDS), [b' '; 600]).unwrap();
            std::fs::write(input.join(REJECTED), [b' '; 600]).unwrap();
        });

        assert!(text.contains("more than 1000 bytes"), "{text}");
    }

    #[test]
    fn a_count_that_is_not_the_reported_one_is_refused() {
        let staged = opened(|_| {}).unwrap();

        let found = Counts {
            rejected: 1,
            ..Counts::default()
        };

        assert!(staged.counted(Counts::default()).is_ok());
        assert!(
            staged
                .counted(found)
                .unwrap_err()
                .message
                .contains("0 lines in `rejected.ndjson`, and there are 1")
        );
    }

    #[test]
    fn what_stands_around_an_object_is_refused() {
        assert_eq!(object(RECORDS, 1, b"{}").unwrap(), "{}");
        for odd in [&b" {}"[..], b"{} ", b"[]", b"", b"{}\r", b"\xff"] {
            assert_eq!(
                object(RECORDS, 1, odd).unwrap_err().outcome,
                Outcome::ComponentFailed
            );
        }
    }
}
