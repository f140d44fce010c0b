//! A run that has been started: waited for, signalled, killed.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::ended::{self, Printed, Run};
use super::folder::{self, View};
use super::{Job, RUN_TIMEOUT};

/// A run that has been started.
pub struct Running<'j> {
    pub(super) job: &'j Job,
    pub(super) child: Child,
    pub(super) before: View,
    pub(super) started: Instant,
}

/// A command other than `run` that has been started.
pub struct Begun {
    child: Child,
}

impl Begun {
    pub(super) fn new(child: Child) -> Self {
        Self { child }
    }

    /// Waits until it has its own way of taking SIGTERM.
    pub fn hears_signals(self) -> Self {
        wait_for_a_handler(self.child.id());
        self
    }

    /// Sends it a signal.
    pub fn signalled(self, signal: Signal) -> Self {
        send(self.child.id(), signal);
        self
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, whatever it prints: it may be that of many runs.
    pub fn ends_with_many_lines(self) -> Printed {
        ended::wait(self.child, 10 * RUN_TIMEOUT)
    }

    /// Waits for its end, which has one line on stderr when it failed.
    pub fn ends(self) -> Printed {
        let printed = ended::wait(self.child, RUN_TIMEOUT);
        let failed = usize::from(printed.code != Some(0));
        assert_eq!(printed.stderr.lines().count(), failed, "{printed:?}");
        printed
    }
}

fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process id"), signal).expect("signal the process");
}

/// Waits until the process catches SIGTERM (`proc_pid_status(5)`), or has ended.
fn wait_for_a_handler(pid: u32) {
    let catches = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        caught.is_none_or(|mask| {
            let mask = u64::from_str_radix(mask.trim(), 16).expect("a mask of signals");
            mask & 1 << (Signal::TERM.as_raw() - 1) != 0
        })
    };
    let begun = Instant::now();
    while !catches() {
        assert!(begun.elapsed() < RUN_TIMEOUT, "no handler of SIGTERM");
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Running<'_> {
    /// Waits until it has its own way of taking SIGTERM.
    pub fn hears_signals(self) -> Self {
        wait_for_a_handler(self.child.id());
        self
    }

    /// Waits until the source has been asked so many times.
    pub fn has_asked(self, requests: usize) -> Self {
        self.job.server.wait_for_requests(requests);
        self
    }

    /// Sends it a signal.
    pub fn signalled(self, signal: Signal) -> Self {
        send(self.child.id(), signal);
        self
    }

    /// Kills it so long after it asked so many times, if it is still there then.
    pub fn killed_after(self, requests: usize, pause: Duration) -> Printed {
        let job = self.job;
        let has_asked = || job.server.seen().len() >= requests;
        self.killed_once(|| {
            let is_so = has_asked();
            if is_so {
                std::thread::sleep(pause);
            }
            is_so
        })
    }

    /// Kills it once this is so, if it is still there then.
    pub fn killed_once(mut self, is_so: impl Fn() -> bool) -> Printed {
        while !is_so() && self.started.elapsed() < RUN_TIMEOUT {
            if self.child.try_wait().expect("look at the run").is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.child.kill().expect("kill the run");
        self.ends_unchecked()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The job, while it runs.
    pub fn job(&self) -> &Job {
        self.job
    }

    /// Waits for the end and checks what must hold after every run.
    pub fn ends(self) -> Run {
        let printed = ended::wait(self.child, RUN_TIMEOUT);
        let unasked = self.job.script.lock().expect("the script").len();
        let run = Run {
            printed,
            took: self.started.elapsed(),
            before: self.before,
            after: self.job.view(),
            requests: self.job.server.seen(),
            recorded: std::fs::read_to_string(self.job.output().join("last-run.json")).ok(),
        };
        run.check(self.job, unasked);
        run
    }

    /// Waits for the end of a run whose output went elsewhere: nothing but the credential is checked.
    pub fn ends_unchecked(self) -> Printed {
        let printed = ended::wait(self.child, RUN_TIMEOUT);
        if let (None, Some(database)) = (printed.code, &self.job.postgres) {
            database.is_left_alone();
        }
        printed.shows_nothing_of(&self.job.key);
        folder::holds_nothing_of(&self.job.key, &self.job.output());
        printed
    }

    /// Waits for the end of a run that was killed: only that the credential is nowhere is checked.
    #[expect(
        clippy::wrong_self_convention,
        reason = "an assertion, and the end of the run"
    )]
    pub fn is_killed(self) -> Printed {
        let printed = self.ends_unchecked();
        assert_eq!(printed.code, None, "it was not killed: {}", printed.stderr);
        printed
    }
}
