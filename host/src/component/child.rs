//! The parent's side of the child process: starts it, gives it one call, takes its answer, and outlives it.
//!
//! It is killed without ceremony when its answer is there, when it takes too long to end, and when nobody waits for it any more.
//! What it sends is limited and not believed: an answer is what a component could have said, and the kernel's count of CPU
//! time stands beside its own.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::frames::{self, Answer, Call, Function, Said};
use super::requests;
use super::stderr::Lines;
use crate::egress::Egress;
use crate::limits::{CHILD_CPU_MAX, CHILD_END_MAX, LAST_WORDS_BYTES_MAX, STAGED_SPARE_BYTES_MAX};
use crate::log::Log;
use crate::outcome::{Failure, Outcome};

/// What a call gives away.
#[derive(Default)]
pub struct Given {
    /// Where requests go; nowhere without.
    pub outbound: Option<Egress>,
    pub staging: Option<OwnedFd>,
    /// How long it may take if it only waits; one that computes has its CPU time.
    pub may_wait: Option<Duration>,
}

/// Why a child gave no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// It was ended for its CPU time.
    Cpu,
    /// It was ended for what is in the staging folder, which the component alone could not have put there.
    Overfull,
    /// It ended by itself, which it does for want of memory.
    Aborted,
    /// It waited for longer than it may.
    Waits,
    /// What it runs on failed, with these words.
    Panicked(String),
    Otherwise(String),
}

/// Has a child do one call on the component in `code`. What comes with its answer is the compiled form, where that was asked for.
/// `Err`: it could not be asked.
pub async fn ask(
    mut call: Call,
    code: &[u8],
    given: Given,
    log: Option<&Log>,
) -> Result<(Result<Answer, Unanswered>, Vec<u8>), Failure> {
    let failed = |error: io::Error| cannot("talk to", &error);
    // Dropped after the child, which is killed then: a component is not to see that nobody serves it any more.
    let mut serving = JoinSet::new();
    let (control, theirs) = pair(SocketFlags::empty())?;
    let mut child = start(theirs)?;
    let mut control = UnixStream::from_std(control).map_err(failed)?;

    // It ends with the child, whatever becomes of this call.
    let lines = log.map(|log| Lines::new(log.clone(), &call.limits));
    let stderr = child
        .stderr()
        .map(|stderr| tokio::spawn(drained(stderr, lines)));
    let may_wait = given.may_wait;
    let mut requests = None;
    if let Some(egress) = given.outbound {
        let (ours, theirs) = pair(SocketFlags::NONBLOCK)?;
        let ours = UnixStream::from_std(ours).map_err(failed)?;
        serving.spawn(requests::serve(ours, egress, call.limits.clone()));
        requests = Some(theirs);
    }
    call.has_requests = requests.is_some();
    let staging = given.staging.map(Arc::new);
    call.has_staging = staging.is_some();
    call.code_bytes = code.len();
    let descriptors = [
        requests.as_ref().map(OwnedFd::as_fd),
        staging.as_ref().map(|folder| folder.as_fd()),
    ];
    let descriptors: Vec<BorrowedFd<'_>> = descriptors.into_iter().flatten().collect();
    let sent = send(&mut control, &call, &descriptors, code).await;
    drop(descriptors);
    // The child's end is the child's alone: it is how we see that it is gone.
    drop(requests);
    // Where it is gone already, its end says why; where it could not even begin, its answer.
    let (left, most) = (
        call.staged_bytes_left,
        call.limits.staged_files.saturating_add(1),
    );
    // A second look, beside the run: that it cannot look is no failure.
    let mut looking = JoinSet::new();
    if let Some(folder) = staging.clone() {
        looking.spawn(overfull(folder, left, most));
    }
    let watched = async {
        if looking.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    };
    let waiting = async {
        match may_wait {
            Some(most) => waits(most, || child.cpu_time()).await,
            None => std::future::pending().await,
        }
    };
    let cpu_most = call.cpu.saturating_add(CHILD_CPU_MAX);
    let answer = tokio::select! {
        biased;
        // What is no answer is as none: the process is ended, whatever it meant.
        answer = frames::read_answer(&mut control) => answer.unwrap_or(None),
        // The process is killed as it is dropped here.
        () = watched => {
            return Ok((Err(Unanswered::Overfull), Vec::new()));
        }
        () = waiting => return Ok((Err(Unanswered::Waits), Vec::new())),
        () = computes(cpu_most, || child.cpu_time()) => {
            return Ok((Err(Unanswered::Cpu), Vec::new()));
        }
    };
    let answer = answer.filter(|answer| sent.is_ok() || answer.came.is_err());
    let compiled = match answer.as_ref().map(|answer| &answer.came) {
        Some(Ok(Said::Compiled(bytes))) if matches!(call.function, Function::Compile) => {
            code_of(&mut control, *bytes, call.limits.cache_bytes).await
        }
        _ => Some(Vec::new()),
    };
    let cpu = child.cpu_time();
    let status = child.end().await;
    // All that it wrote is in the pipe: it is read to the end before anything is made of the answer.
    let mut last_line = String::new();
    if let Some(stderr) = stderr
        && let Ok(Ok(line)) = tokio::time::timeout(CHILD_END_MAX, stderr).await
    {
        last_line = line;
    }
    let staged = match staging {
        Some(folder) => tokio::spawn(async move { staged_bytes(&folder) }).await,
        None => Ok(0),
    };
    let staged = staged.unwrap_or_default();
    let answer = answer.map(|mut answer| {
        // The child counts exactly, without its own beginning; where it counts far too little, the kernel's count holds. What
        // the kernel does not say is as much as it let it have.
        let own = cpu.unwrap_or(call.cpu);
        if own > answer.used.cpu.saturating_add(CHILD_CPU_MAX) {
            answer.used.cpu = own;
        }
        answer.used.staged_bytes = answer.used.staged_bytes.max(staged);
        answer
    });
    // What still runs may still write: nothing is made of what it said.
    let answer = answer.filter(|_| status.is_some() && compiled.is_some());
    Ok((
        answer.ok_or_else(|| ended(status, last_line)),
        compiled.unwrap_or_default(),
    ))
}

/// The compiled form, of so many bytes. `None`: it is larger than may be kept, or the child was killed in the middle of it.
async fn code_of(control: &mut UnixStream, bytes: u64, most: u64) -> Option<Vec<u8>> {
    let mut code = Vec::new();
    let read = control.take(bytes.min(most)).read_to_end(&mut code).await;
    (read.is_ok() && code.len() as u64 == bytes).then_some(code)
}

async fn send(
    control: &mut UnixStream,
    call: &Call,
    descriptors: &[BorrowedFd<'_>],
    code: &[u8],
) -> io::Result<()> {
    let (length, frame) = frames::encoded(call)?;
    control.writable().await?;
    frames::send_descriptors(&*control, length, descriptors)?;
    control.write_all(&frame).await?;
    control.write_all(code).await
}

/// Two ends of a socket that no other program sees; ours never waits, and theirs not where `flags` say so.
fn pair(flags: SocketFlags) -> Result<(std::os::unix::net::UnixStream, OwnedFd), Failure> {
    let made = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | flags,
        None,
    );
    let (ours, theirs) =
        made.map_err(|error| cannot("make a socket for", &io::Error::from(error)))?;
    let ours = std::os::unix::net::UnixStream::from(ours);
    ours.set_nonblocking(true)
        .map_err(|error| cannot("make a socket for", &error))?;
    Ok((ours, theirs))
}

/// Ends when more is in the staging folder than may be. A component is refused before; this is for a process that it took over.
async fn overfull(staging: Arc<OwnedFd>, bytes_max: u64, files_max: usize) {
    let is_overfull = |folder: &OwnedFd| -> Option<bool> {
        let (mut bytes, mut files) = (0_u64, 0);
        for entry in Dir::read_from(folder).ok()? {
            let entry = entry.ok()?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            bytes = bytes.saturating_add(u64::try_from(stat.st_blocks).ok()?.saturating_mul(512));
            files += 1;
        }
        Some(files > files_max || bytes > bytes_max.saturating_add(STAGED_SPARE_BYTES_MAX))
    };
    loop {
        tokio::time::sleep(STAGED_LOOK_EVERY).await;
        if is_overfull(&staging) == Some(true) {
            return;
        }
    }
}

/// Bytes of the files in the staging folder.
fn staged_bytes(folder: &OwnedFd) -> u64 {
    let entries = Dir::read_from(folder).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let stat = rustix::fs::statat(folder, entry.file_name(), flags).ok()?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        is_file.then(|| u64::try_from(stat.st_size).unwrap_or_default())
    });
    sizes.fold(0, u64::saturating_add)
}

/// Ends where a process has had `most` and only waits: the machine is not what takes so long.
async fn waits(most: Duration, used: impl Fn() -> Option<Duration>) {
    tokio::time::sleep(most.saturating_sub(COMPUTED_EVERY)).await;
    let mut before = used();
    loop {
        tokio::time::sleep(COMPUTED_EVERY).await;
        let now = used();
        if !has_computed(before, now) {
            return;
        }
        before = now;
    }
}

/// Ends where a process has used more than `most`; never where it is gone, which its answer shows.
async fn computes(most: Duration, used: impl Fn() -> Option<Duration>) {
    while let Some(left) = used().and_then(|used| most.checked_sub(used)) {
        tokio::time::sleep(left.clamp(CPU_LOOK_EVERY.0, CPU_LOOK_EVERY.1)).await;
    }
    if used().is_none() {
        std::future::pending::<()>().await;
    }
}

/// How often that is looked at: at least, near the limit, and at most.
const CPU_LOOK_EVERY: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_millis(250));

/// Whether a process had CPU time between two looks, more than its clock takes.
fn has_computed(before: Option<Duration>, now: Option<Duration>) -> bool {
    let spent = now
        .zip(before)
        .map(|(now, before)| now.saturating_sub(before));
    spent.is_some_and(|spent| spent >= COMPUTED)
}

/// How often that is looked at, and what counts.
const COMPUTED_EVERY: Duration = Duration::from_millis(500);
const COMPUTED: Duration = Duration::from_millis(20);

/// How often that is looked at.
const STAGED_LOOK_EVERY: Duration = Duration::from_millis(250);

/// Reads what the child writes to stderr, to its end. Returns what [`panic_of`] makes of the end of it.
async fn drained(mut stderr: impl AsyncRead + Unpin, mut lines: Option<Lines>) -> String {
    let mut buffer = vec![0; 16 * 1024];
    let mut end = Vec::new();
    while let Ok(bytes) = stderr.read(&mut buffer).await
        && bytes > 0
    {
        if let Some(lines) = &mut lines {
            lines.take(&buffer[..bytes]);
        }
        end.extend_from_slice(&buffer[..bytes]);
        let over = end.len().saturating_sub(LAST_WORDS_BYTES_MAX);
        end.drain(..over);
    }
    panic_of(&String::from_utf8_lossy(&end))
}

/// The last line that says something of a panic: what comes after it is advice for who wrote the program.
fn panic_of(end: &str) -> String {
    let lines = end.lines().map(str::trim);
    let mut told = lines.filter(|line| !line.is_empty() && !line.starts_with("note: "));
    told.next_back().unwrap_or_default().to_owned()
}

fn ended(status: Option<ExitStatus>, last_line: String) -> Unanswered {
    let Some(status) = status else {
        return Unanswered::Otherwise("it did not end when it was killed".to_owned());
    };
    match status
        .signal()
        .map(|signal| (signal, Signal::from_named_raw(signal)))
    {
        Some((_, Some(Signal::XCPU))) => Unanswered::Cpu,
        Some((_, Some(Signal::ABORT))) => Unanswered::Aborted,
        Some((number, Some(Signal::KILL))) => Unanswered::Otherwise(format!(
            "signal {number} ended it, as the kernel does where the machine's memory runs out (see `dmesg`)"
        )),
        Some((number, _)) => Unanswered::Otherwise(format!("signal {number} ended it")),
        None if status.code() == Some(PANICKED) => Unanswered::Panicked(last_line),
        None => Unanswered::Otherwise(format!(
            "it ended with code {}",
            status.code().unwrap_or_default()
        )),
    }
}

/// With which code a program of Rust ends that panics.
const PANICKED: i32 = 101;

/// What to do where something [`is_scarce`].
pub const SCARCE: &str =
    "; the limit of processes, files or memory is reached (`ulimit -a`, TasksMax)";

/// Whether the machine has not got it now: a process, a thread, a descriptor or memory.
pub fn is_scarce(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|number| {
        let scarce = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE];
        scarce.contains(&Errno::from_raw_os_error(number))
    })
}

/// What is scarce now may be there at the next run.
fn cannot(what: &str, error: &io::Error) -> Failure {
    let (outcome, advice) = if is_scarce(error) {
        (Outcome::TryLater, SCARCE)
    } else if error.kind() == io::ErrorKind::NotFound {
        (Outcome::ComponentFailed, "; mount /proc")
    } else {
        (Outcome::ComponentFailed, "")
    };
    Failure::new(
        outcome,
        format!("cannot {what} the component's process: {error}{advice}"),
    )
}

/// CPU time that a process has used, all its threads together. `None`: there is no such process.
fn cpu_time(process: libc::pid_t) -> Option<Duration> {
    let mut clock = 0;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: both write to what they are given, which lives.
    #[expect(
        unsafe_code,
        reason = "nothing safe reads the clock of another process"
    )]
    let read = unsafe {
        libc::clock_getcpuclockid(process, &raw mut clock) == 0
            && libc::clock_gettime(clock, &raw mut time) == 0
    };
    let nanos = u32::try_from(time.tv_nsec).ok()?;
    read.then(|| Duration::new(time.tv_sec.unsigned_abs(), nanos))
}

#[cfg(not(test))]
use self::process::start;
#[cfg(test)]
use self::thread::start;

/// The child as a process.
#[cfg(not(test))]
mod process {
    use std::process::Stdio;

    use tokio::process::{ChildStderr, Command};
    use tokio::signal::unix::SignalKind;

    use super::*;

    /// A child, killed when this is dropped.
    pub struct Child(tokio::process::Child);

    /// Starts a child that talks through `control`: this binary again, with nothing of this process's environment, in a process group
    /// of its own, so that a signal for us is not one for it.
    pub fn start(control: OwnedFd) -> Result<Child, Failure> {
        // Where it is ignored, as some launchers leave it, the kernel keeps no child's end for us.
        let heard = tokio::signal::unix::signal(SignalKind::child());
        let _ = heard.map_err(|error| cannot("watch", &error))?;
        Command::new("/proc/self/exe")
            .arg0("tidegate")
            .arg(frames::ARGUMENT)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(control))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map(Child)
            .map_err(|error| cannot("start (as `/proc/self/exe`)", &error))
    }

    impl Child {
        pub fn stderr(&mut self) -> Option<ChildStderr> {
            self.0.stderr.take()
        }

        /// CPU time that it has used, by the kernel's clock of it: in /proc a process that is not dumpable may be hidden.
        pub fn cpu_time(&self) -> Option<Duration> {
            cpu_time(i32::try_from(self.0.id()?).ok()?)
        }

        /// Waits for its end, for which it has a moment; then it is killed.
        pub async fn end(&mut self) -> Option<ExitStatus> {
            if let Ok(status) = tokio::time::timeout(CHILD_END_MAX, self.0.wait()).await {
                return status.ok();
            }
            let _ = self.0.start_kill();
            let killed = tokio::time::timeout(CHILD_END_MAX, self.0.wait()).await;
            killed.ok().and_then(Result::ok)
        }
    }
}

/// The child as a thread, without the wall: in this crate's own tests the running binary is not tidegate.
#[cfg(test)]
mod thread {
    use std::fs::File;

    use tokio::net::unix::pipe;
    use tokio::sync::oneshot;

    use super::*;
    use crate::sandbox::{self, Walls};

    pub struct Child {
        stderr: Option<pipe::Receiver>,
        ended: Option<oneshot::Receiver<u8>>,
    }

    pub fn start(control: OwnedFd) -> Result<Child, Failure> {
        let failed = |error: io::Error| cannot("start", &error);
        let (theirs, ours) = io::pipe().map_err(failed)?;
        let control = std::os::unix::net::UnixStream::from(control);
        let stderr = File::from(OwnedFd::from(ours));
        let (ends, ended) = oneshot::channel();
        std::thread::spawn(move || {
            let _ = ends.send(sandbox::serve(control, stderr, Walls::Left));
        });
        let receiver = pipe::Receiver::from_owned_fd(theirs.into()).map_err(failed)?;
        Ok(Child {
            stderr: Some(receiver),
            ended: Some(ended),
        })
    }

    impl Child {
        pub fn stderr(&mut self) -> Option<pipe::Receiver> {
            self.stderr.take()
        }

        /// None of its own: what it says counts.
        pub fn cpu_time(&self) -> Option<Duration> {
            self.ended.as_ref().map(|_| Duration::ZERO)
        }

        pub async fn end(&mut self) -> Option<ExitStatus> {
            let code = self.ended.take()?.await.ok()?;
            Some(ExitStatus::from_raw(i32::from(code) << 8))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_a_process_counts_what_it_computes() {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let before = cpu_time(own).unwrap();
        while cpu_time(own).unwrap() < before + Duration::from_millis(20) {
            std::hint::black_box((0..100_000_u64).sum::<u64>());
        }

        assert!(has_computed(Some(before), cpu_time(own)));
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        assert_eq!(cpu_time(i32::try_from(gone.id()).unwrap()), None);
    }

    #[test]
    fn a_process_that_had_no_cpu_time_only_waits() {
        let ms = |ms| Some(Duration::from_millis(ms));

        assert!(has_computed(ms(100), ms(120)));
        assert!(!has_computed(ms(100), ms(119)));
        // Nobody knows: then it is no longer waited for.
        assert!(!has_computed(None, ms(500)) && !has_computed(ms(500), None));
    }

    #[tokio::test]
    async fn one_that_computes_is_waited_for_and_one_that_waits_is_not() {
        let looked = std::cell::Cell::new(0);
        let computes_three_times = || {
            looked.set(looked.get() + 1);
            Some(COMPUTED * looked.get().min(4))
        };

        waits(Duration::ZERO, computes_three_times).await;

        // Once before, three times while it computed, and once more.
        assert_eq!(looked.get(), 5);
    }

    #[test]
    fn a_panic_is_told_by_its_words() {
        let text = "thread 'main' (7) panicked at cranelift/x.rs:1:2:\nassertion failed: a\nnote: run with `RUST_BACKTRACE=1`\n\n";
        let status = ExitStatus::from_raw(PANICKED << 8);

        let came = ended(Some(status), panic_of(text));

        assert!(matches!(came, Unanswered::Panicked(line) if line == "assertion failed: a"));
        assert_eq!(panic_of(""), "");
    }
}
