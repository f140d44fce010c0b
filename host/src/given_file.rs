//! The files that an operator names: env files, secrets, texts, certificates, a component. Opening and reading one never
//! waits for ever, and takes nothing for a file that is none.
//!
//! Each is opened without waiting and looked at once it is open. Regular files are read whole. A pipe or a socket, as in
//! `--env-file <(pass orders)`, will do for settings, and is read until its writer closes it, for a few seconds at the most;
//! a signal and the deadline end that, too. `/dev/null` is an empty file. Folders and other devices are refused.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use zeroize::Zeroizing;

use crate::folder::trust::refuse_strangers;
use crate::limits::Limits;
use crate::process::stop::Stop;

pub mod command;
pub mod reread;
pub mod rotated;
pub mod within;

/// Standard input. A socket there cannot be opened a second time by a path, so its descriptor is copied.
const STDIN: [&str; 3] = ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
/// Below these are descriptors that whoever started us gave us: who else can write to a pipe there was theirs to choose.
const INHERITED: [&str; 3] = ["/dev/fd", "/proc/self/fd", "/dev/stdin"];
/// `/dev/null`: `null(4)`.
const NULL: (u32, u32) = (1, 3);
/// Between two looks at the deadline and at signals.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What is read of a pipe at once; as much as it holds.
const PIPE_BYTES: usize = 64 * 1024;

/// What a file holds, as far as it matters who else could write to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Settings, a secret, whom to trust, a component: who could write it would decide what is sent, or learn the key.
    Trusted,
    /// What is checked in another way, or shown to everybody.
    Other,
}

/// Reads files of settings, each once in the life of a command: a pipe is empty the second time.
pub struct GivenFiles {
    stop: Stop,
    bytes_max: u64,
    wait: Duration,
    read: Mutex<BTreeMap<PathBuf, Result<Text, String>>>,
}

/// A text that was read; its memory is wiped when it is dropped.
pub type Text = Arc<Zeroizing<String>>;

impl GivenFiles {
    /// Files no larger than `limits` allow; waiting ends when `stop` does.
    pub fn new(stop: Stop, limits: &Limits) -> Self {
        Self {
            stop,
            bytes_max: limits.settings_file_bytes,
            wait: limits.settings_pipe_wait,
            read: Mutex::default(),
        }
    }

    /// How large a file may be.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// The text of a regular file, a pipe or a socket. `Err` says what is wrong with it.
    pub fn text(&self, path: &Path, holds: Holds) -> Result<Text, String> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.get(path) {
            return known.clone();
        }
        let text = self.read(path, holds);
        read.insert(path.to_owned(), text.clone());
        text
    }

    fn read(&self, path: &Path, holds: Holds) -> Result<Text, String> {
        let (mut file, metadata) = open(path)?;
        let kind = metadata.file_type();
        let bytes = if kind.is_file() {
            refuse(path, &metadata, holds)?;
            whole(&mut file, &metadata, self.bytes_max)?
        } else if kind.is_fifo() || kind.is_socket() {
            if !INHERITED.iter().any(|below| path.starts_with(below)) {
                refuse(path, &metadata, holds)?;
            }
            self.until_closed(&mut file)?
        } else if is_null(&metadata) {
            Zeroizing::default()
        } else {
            return Err(format!(
                "it is {}; use a regular file or a pipe",
                what(&metadata)
            ));
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        Ok(Arc::new(Zeroizing::new(text.to_owned())))
    }

    /// Everything that comes before the other side closes its end.
    fn until_closed(&self, file: &mut File) -> Result<Zeroizing<Vec<u8>>, String> {
        let limit = usize::try_from(self.bytes_max).unwrap_or(usize::MAX);
        // Room for all of it from the beginning: what is grown leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(limit.saturating_add(PIPE_BYTES)));
        let mut piece = Zeroizing::new(vec![0; PIPE_BYTES]);
        let begun = Instant::now();
        loop {
            self.stop.check().map_err(|failure| failure.message)?;
            if begun.elapsed() > self.wait {
                return Err(format!(
                    "it is a pipe whose writer did not close it within {} s; check the command that writes it, or use a regular file",
                    self.wait.as_secs()
                ));
            }
            if !is_ready(file, LOOK_EVERY).map_err(|error| error.to_string())? {
                continue;
            }
            match file.read(&mut piece) {
                Ok(0) => return Ok(bytes),
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error.to_string()),
            }
            if bytes.len() > limit {
                return Err(too_large(self.bytes_max));
            }
        }
    }
}

impl fmt::Debug for GivenFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenFiles")
    }
}

/// The content of a regular file of at most so many bytes, and what it is. `Err` says what is wrong with it.
pub fn read_regular(
    path: &Path,
    bytes_max: u64,
    holds: Holds,
) -> Result<(Zeroizing<Vec<u8>>, Metadata), String> {
    let (mut file, metadata) = open(path)?;
    if !metadata.is_file() {
        return Err(format!(
            "it is {}, and a regular file is needed",
            what(&metadata)
        ));
    }
    refuse(path, &metadata, holds)?;
    let bytes = whole(&mut file, &metadata, bytes_max)?;
    Ok((bytes, metadata))
}

/// Opens what is there without waiting for anybody.
fn open(path: &Path) -> Result<(File, Metadata), String> {
    let opened = if STDIN.iter().any(|stdin| path == Path::new(stdin)) {
        io::stdin().as_fd().try_clone_to_owned()
    } else {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty())).map_err(
            |error| match error {
                Errno::NXIO => io::Error::other("it is a socket, or a device that is not there"),
                error => error.into(),
            },
        )
    };
    let file = File::from(opened.map_err(|error| error.to_string())?);
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    Ok((file, metadata))
}

fn refuse(path: &Path, metadata: &Metadata, holds: Holds) -> Result<(), String> {
    match holds {
        Holds::Trusted => refuse_strangers(metadata.into(), &path.display().to_string()),
        Holds::Other => Ok(()),
    }
}

/// All of a regular file.
fn whole(
    file: &mut File,
    metadata: &Metadata,
    bytes_max: u64,
) -> Result<Zeroizing<Vec<u8>>, String> {
    if metadata.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    let room = usize::try_from(metadata.len()).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    // It may have grown since.
    if bytes.len() as u64 > bytes_max {
        return Err(too_large(bytes_max));
    }
    Ok(bytes)
}

fn too_large(bytes_max: u64) -> String {
    match bytes_max {
        0..1_048_576 => format!("it is larger than {bytes_max} bytes"),
        _ => format!("it is larger than {} MiB", bytes_max / (1024 * 1024)),
    }
}

/// Whether there is something to read, or nothing more to come, within `wait`.
fn is_ready(file: &File, wait: Duration) -> io::Result<bool> {
    let mut watched = [PollFd::new(file, PollFlags::IN)];
    let wait = Timespec::try_from(wait).expect("milliseconds");
    match poll(&mut watched, Some(&wait)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_null(metadata: &Metadata) -> bool {
    let device = metadata.rdev();
    metadata.file_type().is_char_device()
        && (rustix::fs::major(device), rustix::fs::minor(device)) == NULL
}

fn what(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// A secret's text without one newline at its end; none where there is nothing but white space.
pub fn one_line(text: &str) -> Option<Text> {
    let text = without_newline(text);
    (!text.trim().is_empty()).then(|| Text::new(Zeroizing::new(text.to_owned())))
}

pub fn without_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    fn files() -> GivenFiles {
        let limits = Limits {
            settings_pipe_wait: Duration::from_millis(200),
            ..Limits::default()
        };
        GivenFiles::new(Stop::unwatched(Duration::from_hours(1)), &limits)
    }

    fn fifo(folder: &tempfile::TempDir) -> PathBuf {
        let path = folder.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        path
    }

    #[test]
    fn a_pipe_is_read_to_its_end_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(&folder);
        let writer = {
            let path = path.clone();
            std::thread::spawn(move || {
                let mut pipe = File::options().write(true).open(path).unwrap();
                pipe.write_all(b"first").unwrap();
                pipe.write_all(b" second").unwrap();
            })
        };
        let files = files();

        let first = files.text(&path, Holds::Trusted);
        let again = files.text(&path, Holds::Trusted);

        writer.join().unwrap();
        assert_eq!(first.unwrap().as_str(), "first second");
        assert_eq!(again.unwrap().as_str(), "first second");
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_or_closes_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(&folder);

        let nobody = files().text(&path, Holds::Trusted).unwrap_err();
        let mut held = File::options().read(true).write(true).open(&path).unwrap();
        held.write_all(b"half").unwrap();
        let half = files().text(&path, Holds::Trusted).unwrap_err();

        assert!(nobody.contains("did not close it"), "{nobody}");
        assert!(half.contains("did not close it"), "{half}");
    }

    #[test]
    fn the_deadline_ends_the_wait_for_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let stop = Stop::unwatched(Duration::ZERO);
        let files = GivenFiles::new(stop, &Limits::default());

        let error = files.text(&fifo(&folder), Holds::Trusted).unwrap_err();

        assert!(error.contains("RUN_DEADLINE"), "{error}");
    }

    #[test]
    fn an_inherited_pipe_can_be_named_by_its_descriptor() {
        use std::os::fd::AsRawFd as _;
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"s3cret\n").unwrap();
        drop(writer);

        for below in ["/proc/self/fd", "/dev/fd"] {
            let path = PathBuf::from(format!("{below}/{}", reader.as_raw_fd()));
            let text = files().text(&path, Holds::Trusted);
            // The first took what there was.
            assert!(["s3cret\n", ""].contains(&text.unwrap().as_str()));
        }
    }

    #[test]
    fn devices_and_folders_are_named_and_refused_and_null_is_empty() {
        let text = |path: &str| files().text(Path::new(path), Holds::Trusted);

        assert!(text("/dev/zero").unwrap_err().starts_with("it is a device"));
        assert!(text("/").unwrap_err().starts_with("it is a folder"));
        assert_eq!(text("/dev/null").unwrap().as_str(), "");
    }

    #[test]
    fn where_a_regular_file_is_needed_nothing_else_will_do() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = fifo(&folder);
        let read = |path: &Path| read_regular(path, 10, Holds::Other).map(|_| ());

        assert!(read(&pipe).unwrap_err().contains("a pipe"));
        assert!(
            read(Path::new("/dev/null"))
                .unwrap_err()
                .contains("a device")
        );
        assert!(read(folder.path()).unwrap_err().contains("a folder"));
    }

    #[test]
    fn what_others_can_write_is_no_settings_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.env");
        std::fs::write(&path, "A=1").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();

        let refused = files().text(&path, Holds::Trusted).unwrap_err();

        assert!(refused.contains("mode 0666"), "{refused}");
        assert_eq!(files().text(&path, Holds::Other).unwrap().as_str(), "A=1");
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();

        let error = files().text(&path, Holds::Other).unwrap_err();

        assert_eq!(error, "it is larger than 1 MiB");
    }
}
