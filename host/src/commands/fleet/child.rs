//! One job as a process of its own: this binary again, in a process group of its own. It gets SIGTERM when the fleet ends.
//!
//! What it prints is read to the end, so that it never waits for us, and is handed on up to a limit. A process that cannot
//! be started has ended, too.

use std::ffi::OsString;
use std::io::{BufReader, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::sync::mpsc::UnboundedSender;

use crate::limits::{
    FLEET_DRAIN_MAX, FLEET_LINE_BYTES_MAX, FLEET_LOG_BYTES_MAX, FLEET_STDERR_BYTES_MAX,
};
use crate::settings::catalogue::LOG_FORMAT;

/// The program that runs, whatever has become of its file.
const OURSELVES: &str = "/proc/self/exe";
const OUR_NAME: &str = "tidegate";

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Takes the lines of a job while it runs. `is_within`: the limits of the job leave room for it.
pub trait Lines: Send + Sync {
    fn line(&self, job: usize, stream: Stream, text: &str, is_within: bool);
}

/// How a process ended.
pub struct Ended {
    pub job: usize,
    /// `Err`: it could not be started, or waited for.
    pub status: Result<ExitStatus, String>,
    /// Lines that were not handed on.
    pub dropped: u64,
}

/// A job that was started.
pub struct Running {
    pub begun: Instant,
    /// None once it has ended: then its number may be another process's.
    group: Arc<Mutex<Option<Pid>>>,
}

impl Running {
    /// Starts `tidegate` with these arguments, and with LOG_FORMAT in its environment. Its end is sent to `ended`, once.
    pub fn start(
        job: usize,
        args: Vec<OsString>,
        log_format: &'static str,
        lines: Arc<dyn Lines>,
        ended: UnboundedSender<Ended>,
    ) -> Self {
        let group = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&group);
        let failed = ended.clone();
        // It is started by the thread that waits for it: what watches its parent watches that thread.
        let started = thread::Builder::new()
            .name("job".to_owned())
            .spawn(move || {
                let (status, dropped) = lived(job, args, log_format, &lines, &shared);
                let ended_as = Ended {
                    job,
                    status,
                    dropped,
                };
                // Nobody may be waiting any more.
                let _ = ended.send(ended_as);
            });
        if let Err(error) = started {
            let status = Err(format!("cannot start a thread: {error}"));
            let _ = failed.send(Ended {
                job,
                status,
                dropped: 0,
            });
        }
        Self {
            begun: Instant::now(),
            group,
        }
    }

    /// Sends this to the process and to those that it started, if it is still there.
    pub fn signal(&self, signal: Signal) {
        let group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = *group {
            let _ = kill_process_group(group, signal);
        }
    }
}

/// The life of a process, from its start to its end.
fn lived(
    job: usize,
    args: Vec<OsString>,
    log_format: &str,
    lines: &Arc<dyn Lines>,
    group: &Mutex<Option<Pid>>,
) -> (Result<ExitStatus, String>, u64) {
    let started = Command::new(OURSELVES)
        .arg0(OUR_NAME)
        .args(args)
        .env(LOG_FORMAT.row.name, log_format)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return (Err(format!("cannot start the job: {error}")), 0),
    };
    let pid = Pid::from_child(&child);
    *group.lock().unwrap_or_else(PoisonError::into_inner) = Some(pid);
    let readers = [
        read(job, Stream::Stdout, child.stdout.take(), lines),
        read(job, Stream::Stderr, child.stderr.take(), lines),
    ];
    // Waited for, and not yet collected: until it is, no other process gets its number.
    while let Err(rustix::io::Errno::INTR) = waitid(
        WaitId::Pid(pid),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    ) {}
    let status = collected(&mut child, group);
    let until = Instant::now() + FLEET_DRAIN_MAX;
    let dropped = readers.iter().map(|reader| {
        let left = until.saturating_duration_since(Instant::now());
        // Whoever else holds the pipe is not waited for.
        reader.recv_timeout(left).unwrap_or_default()
    });
    (status, dropped.sum())
}

fn collected(child: &mut Child, group: &Mutex<Option<Pid>>) -> Result<ExitStatus, String> {
    let mut group = group.lock().unwrap_or_else(PoisonError::into_inner);
    // What it started and left behind goes with it.
    if let Some(left) = group.take() {
        let _ = kill_process_group(left, Signal::KILL);
    }
    child
        .wait()
        .map_err(|error| format!("cannot wait for the job: {error}"))
}

/// Reads a stream to its end, on a thread. Sends how many lines were not handed on.
fn read(
    job: usize,
    stream: Stream,
    from: Option<impl Read + Send + 'static>,
    lines: &Arc<dyn Lines>,
) -> Receiver<u64> {
    let (done, receiver) = channel();
    let lines = Arc::clone(lines);
    let bytes_max = match stream {
        Stream::Stdout => FLEET_LOG_BYTES_MAX,
        Stream::Stderr => FLEET_STDERR_BYTES_MAX,
    };
    let reading = move || {
        let (mut left, mut dropped) = (bytes_max, 0);
        let take = |line: &[u8]| {
            let length = line.len() as u64 + 1;
            let is_within = dropped == 0 && length <= left;
            if is_within {
                left -= length;
            } else {
                dropped += 1;
            }
            let text = String::from_utf8_lossy(line);
            lines.line(job, stream, &text, is_within);
        };
        if let Some(from) = from {
            each_line(BufReader::new(from), take);
        }
        let _ = done.send(dropped);
    };
    // Without the thread the pipe is closed, and the job fails as it writes.
    let _ = thread::Builder::new().name("log".to_owned()).spawn(reading);
    receiver
}

/// Hands over each line, without its end, and of a longer one than a line may be its beginning.
fn each_line(mut from: impl Read, mut take: impl FnMut(&[u8])) {
    let mut line: Vec<u8> = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let count = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let mut parts = piece[..count].split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let room = FLEET_LINE_BYTES_MAX - line.len();
            line.extend_from_slice(&part[..part.len().min(room)]);
            if parts.peek().is_some() {
                take(&line);
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        take(&line);
    }
}

/// The signal that ended a process.
pub fn signal_of(status: ExitStatus) -> Option<i32> {
    status.signal()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(text: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        each_line(text, |line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
        });
        lines
    }

    /// The lines that were handed over, with whether there was room for them.
    #[derive(Default)]
    struct Heard(Mutex<Vec<(String, bool)>>);

    impl Lines for Heard {
        fn line(&self, _: usize, _: Stream, text: &str, is_within: bool) {
            self.0.lock().unwrap().push((text.to_owned(), is_within));
        }
    }

    #[test]
    fn a_flood_is_read_to_its_end_and_handed_on_up_to_the_limit() {
        let heard = Arc::new(Heard::default());
        let lines: Arc<dyn Lines> = Arc::clone(&heard) as Arc<dyn Lines>;
        let line = "x".repeat(1023);
        let flood = format!("{line}\n").repeat(20) + "the last line";

        let reader = read(0, Stream::Stderr, Some(std::io::Cursor::new(flood)), &lines);
        let dropped = reader.recv().unwrap();

        let heard = heard.0.lock().unwrap();
        let within = heard.iter().filter(|(_, is_within)| *is_within).count();
        assert_eq!((within, dropped), (16, 5));
        assert_eq!(heard[20], ("the last line".to_owned(), false));
    }

    #[test]
    fn lines_are_cut_at_their_ends_and_at_the_limit() {
        assert_eq!(lines_of(b"a\n\nb"), ["a", "", "b"]);
        assert_eq!(lines_of(b""), [""; 0]);

        let long = "x".repeat(FLEET_LINE_BYTES_MAX + 100_000);
        let lines = lines_of(format!("{long}\nshort\n").as_bytes());

        assert_eq!(lines[0].len(), FLEET_LINE_BYTES_MAX);
        assert_eq!(lines[1], "short");
    }
}
