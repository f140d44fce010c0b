//! The two things that end a run from outside: its deadline and a signal.
//!
//! From the swap to the exit both wait: a run that has published says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::outcome::{Failure, OrFail, Outcome};
use crate::quantity::spoken;

const RUNNING: u8 = 0;
const DEADLINE: u8 = 1;
const INTERRUPTED: u8 = 2;
const TERMINATED: u8 = 3;

/// Knows whether the run must end. Clones watch the same run.
#[derive(Clone)]
pub struct Stop {
    reason: Arc<AtomicU8>,
    notify: Arc<Notify>,
    deadline: Duration,
}

impl Stop {
    /// Watches from now on, in tasks of the runtime in use.
    pub fn watch(deadline: Duration) -> Result<Self, Failure> {
        let stop = Self {
            reason: Arc::new(AtomicU8::new(RUNNING)),
            notify: Arc::new(Notify::new()),
            deadline,
        };
        let signals = [
            (SignalKind::interrupt(), INTERRUPTED),
            (SignalKind::terminate(), TERMINATED),
            (SignalKind::hangup(), TERMINATED),
        ];
        for (kind, reason) in signals {
            let mut stream =
                signal(kind).or_fail(Outcome::ComponentFailed, || "watch for signals")?;
            let stop = stop.clone();
            tokio::spawn(async move {
                stream.recv().await;
                stop.end(reason);
            });
        }
        // A limit on file sizes is then an error of the write that exceeds it, and not the end of the process.
        let mut ignored = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))
            .or_fail(Outcome::ComponentFailed, || "watch for signals")?;
        tokio::spawn(async move { while ignored.recv().await.is_some() {} });
        let timer = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(timer.deadline).await;
            timer.end(DEADLINE);
        });
        Ok(stop)
    }

    /// Ends when the run must end, with the reason.
    pub async fn stopped(&self) -> Failure {
        loop {
            let notified = self.notify.notified();
            if let Err(failure) = self.check() {
                return failure;
            }
            notified.await;
        }
    }

    /// `Err` when the run must end. To be asked between steps that do not wait.
    pub fn check(&self) -> Result<(), Failure> {
        let (outcome, message) = match self.reason.load(Ordering::Acquire) {
            DEADLINE => (
                Outcome::TryLater,
                format!(
                    "the run took longer than `RUN_DEADLINE` allows ({})",
                    spoken(self.deadline)
                ),
            ),
            INTERRUPTED => (Outcome::Interrupted, "stopped by SIGINT".to_owned()),
            TERMINATED => (Outcome::Terminated, "stopped by SIGTERM".to_owned()),
            _ => return Ok(()),
        };
        Err(Failure::new(outcome, message))
    }

    fn end(&self, reason: u8) {
        // The first reason stands.
        let _ = self
            .reason
            .compare_exchange(RUNNING, reason, Ordering::AcqRel, Ordering::Acquire);
        self.notify.notify_waiters();
    }
}
