//! One job as a process of its own: this binary again, in a process group of its own. It gets SIGTERM when the fleet ends.
//! Jobs that run together are one process: it marks each line with the job that it is of, and says how each ended.
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

/// Before the code, in the line by which one of several jobs says that it has ended.
const EXIT: &str = "exit ";

/// What begins each line of a job, which is so manieth of those that run together.
pub fn mark(nth: usize) -> String {
    format!("{nth} ")
}

/// The line by which one of several jobs says how it has ended.
pub fn exit_line(nth: usize, code: u8) -> String {
    format!("{}{EXIT}{code}\n", mark(nth))
}

/// Takes the lines of a job while it runs. `is_within`: the limits of the job leave room for it.
pub trait Lines: Send + Sync {
    fn line(&self, job: usize, stream: Stream, text: &str, is_within: bool);
}

/// How a process ended.
pub struct Ended {
    pub unit: usize,
    /// `Err`: it could not be started, or waited for.
    pub status: Result<ExitStatus, String>,
    /// What was heard of each of its jobs; less where nothing was.
    pub heard: Vec<Heard>,
}

/// What was heard of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// Lines that were not handed on.
    pub dropped: u64,
    /// How one of several ended, and when.
    pub exit: Option<(u8, Instant)>,
}

/// A job that was started.
pub struct Running {
    pub begun: Instant,
    /// None once it has ended: then its number may be another process's.
    group: Arc<Mutex<Option<Pid>>>,
}

impl Running {
    /// Starts `tidegate` with these arguments for a unit of these jobs, and with LOG_FORMAT in its environment. Its end is sent
    /// to `ended`, once.
    pub fn start(
        (unit, jobs): (usize, Vec<usize>),
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
                let (status, heard) = lived(&jobs, args, log_format, &lines, &shared);
                let ended_as = Ended {
                    unit,
                    status,
                    heard,
                };
                // Nobody may be waiting any more.
                let _ = ended.send(ended_as);
            });
        if let Err(error) = started {
            let status = Err(format!("cannot start a thread: {error}"));
            let _ = failed.send(Ended {
                unit,
                status,
                heard: Vec::new(),
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
    jobs: &[usize],
    args: Vec<OsString>,
    log_format: &str,
    lines: &Arc<dyn Lines>,
    group: &Mutex<Option<Pid>>,
) -> (Result<ExitStatus, String>, Vec<Heard>) {
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
        Err(error) => return (Err(format!("cannot start the job: {error}")), Vec::new()),
    };
    let pid = Pid::from_child(&child);
    *group.lock().unwrap_or_else(PoisonError::into_inner) = Some(pid);
    let readers = [
        read(jobs, Stream::Stdout, child.stdout.take(), lines),
        read(jobs, Stream::Stderr, child.stderr.take(), lines),
    ];
    // Waited for, and not yet collected: until it is, no other process gets its number.
    while let Err(rustix::io::Errno::INTR) = waitid(
        WaitId::Pid(pid),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    ) {}
    let status = collected(&mut child, group);
    let until = Instant::now() + FLEET_DRAIN_MAX;
    let mut heard = vec![Heard::default(); jobs.len()];
    for reader in readers {
        let left = until.saturating_duration_since(Instant::now());
        // Whoever else holds the pipe is not waited for.
        let of_stream = reader.recv_timeout(left).unwrap_or_default();
        for (all, more) in heard.iter_mut().zip(of_stream) {
            all.dropped += more.dropped;
            all.exit = all.exit.or(more.exit);
        }
    }
    (status, heard)
}

/// Which of so many jobs a line is of, and the line itself. One without a mark is of the first.
fn of_job(line: &str, jobs: usize) -> (usize, &str) {
    let marked = line.split_once(' ').filter(|_| jobs > 1);
    let marked = marked.and_then(|(nth, text)| Some((nth.parse().ok()?, text)));
    marked.filter(|(nth, _)| *nth < jobs).unwrap_or((0, line))
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

/// Reads a stream to its end, on a thread. Sends what was heard of each job.
fn read(
    jobs: &[usize],
    stream: Stream,
    from: Option<impl Read + Send + 'static>,
    lines: &Arc<dyn Lines>,
) -> Receiver<Vec<Heard>> {
    let (done, receiver) = channel();
    let (lines, jobs) = (Arc::clone(lines), jobs.to_vec());
    let bytes_max = match stream {
        Stream::Stdout => FLEET_LOG_BYTES_MAX,
        Stream::Stderr => FLEET_STDERR_BYTES_MAX,
    };
    let reading = move || {
        let mut left = vec![bytes_max; jobs.len()];
        let mut heard = vec![Heard::default(); jobs.len()];
        let take = |line: &[u8]| {
            let text = String::from_utf8_lossy(line);
            let (nth, text) = of_job(&text, jobs.len());
            let exit = text.strip_prefix(EXIT).filter(|_| jobs.len() > 1);
            if let Some(Ok(code)) = exit.map(str::parse) {
                heard[nth].exit = Some((code, Instant::now()));
                return;
            }
            let length = text.len() as u64 + 1;
            let is_within = heard[nth].dropped == 0 && length <= left[nth];
            if is_within {
                left[nth] -= length;
            } else {
                heard[nth].dropped += 1;
            }
            lines.line(jobs[nth], stream, text, is_within);
        };
        if let Some(from) = from {
            each_line(BufReader::new(from), take);
        }
        let _ = done.send(heard);
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
    struct Heards(Mutex<Vec<(String, bool)>>);

    impl Lines for Heards {
        fn line(&self, _: usize, _: Stream, text: &str, is_within: bool) {
            self.0.lock().unwrap().push((text.to_owned(), is_within));
        }
    }

    #[test]
    fn a_flood_is_read_to_its_end_and_handed_on_up_to_the_limit() {
        let heard = Arc::new(Heards::default());
        let lines: Arc<dyn Lines> = Arc::clone(&heard) as Arc<dyn Lines>;
        let line = "x".repeat(1023);
        let flood = format!("{line}\n").repeat(20) + "the last line";

        let reader = read(
            &[0],
            Stream::Stderr,
            Some(std::io::Cursor::new(flood)),
            &lines,
        );
        let dropped = reader.recv().unwrap()[0].dropped;

        let heard = heard.0.lock().unwrap();
        let within = heard.iter().filter(|(_, is_within)| *is_within).count();
        assert_eq!((within, dropped), (16, 5));
        assert_eq!(heard[20], ("the last line".to_owned(), false));
    }

    #[test]
    fn lines_of_jobs_that_run_together_are_told_apart_and_each_has_room_of_its_own() {
        let heard = Arc::new(Heards::default());
        let lines: Arc<dyn Lines> = Arc::clone(&heard) as Arc<dyn Lines>;
        let flood = format!("{}{}\n", mark(1), "x".repeat(1023)).repeat(20);
        let text = format!(
            "{flood}{}a b\nunmarked\n2 far\n{}",
            mark(0),
            exit_line(1, 75)
        );

        let reader = read(
            &[7, 9],
            Stream::Stderr,
            Some(std::io::Cursor::new(text)),
            &lines,
        );
        let of_jobs = reader.recv().unwrap();

        assert_eq!((of_jobs[0].dropped, of_jobs[1].dropped), (0, 4));
        assert_eq!(of_jobs[0].exit, None);
        assert_eq!(of_jobs[1].exit.unwrap().0, 75);
        let heard = heard.0.lock().unwrap();
        let last: Vec<&str> = heard[20..].iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(last, ["a b", "unmarked", "2 far"]);
        assert!(heard[20..].iter().all(|(_, is_within)| *is_within));
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
