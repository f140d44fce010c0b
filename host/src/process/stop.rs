//! The two things that end a command from outside: its deadline and a signal.
//!
//! They are watched from the first line of a command on, and the deadline counts from there, too. Until the settings are
//! read, the deadline is the default one. From the swap to the exit both wait: a run that has published says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

use crate::outcome::{Failure, OrFail, Outcome};
use crate::units::spoken;

const RUNNING: u8 = 0;
const DEADLINE: u8 = 1;
const INTERRUPTED: u8 = 2;
const TERMINATED: u8 = 3;
const HUNG_UP: u8 = 4;

/// Asked now and then by what takes long: `Err` ends it (the deadline, a signal).
pub type Check<'r> = &'r dyn Fn() -> Result<(), Failure>;

/// Knows whether the command must end. Clones watch the same command.
#[derive(Clone)]
pub struct Stop {
    reason: Arc<AtomicU8>,
    notify: Arc<Notify>,
    begun: Instant,
    deadline: watch::Sender<Duration>,
}

impl Stop {
    /// What ends nothing but at the deadline, and that only where it is asked: nobody watches.
    pub fn unwatched(deadline: Duration) -> Self {
        Self {
            reason: Arc::new(AtomicU8::new(RUNNING)),
            notify: Arc::new(Notify::new()),
            begun: Instant::now(),
            deadline: watch::Sender::new(deadline),
        }
    }

    /// Watches from now on, in tasks of the runtime in use.
    pub fn watch(deadline: Duration) -> Result<Self, Failure> {
        let stop = Self::unwatched(deadline);
        let signals = [
            (SignalKind::interrupt(), INTERRUPTED),
            (SignalKind::terminate(), TERMINATED),
            (SignalKind::hangup(), HUNG_UP),
        ];
        for (kind, reason) in signals {
            let mut stream =
                signal(kind).or_fail(Outcome::ComponentFailed, || "cannot watch for signals")?;
            let stop = stop.clone();
            tokio::spawn(async move {
                stream.recv().await;
                stop.end(reason);
            });
        }
        // A limit on file sizes is then an error of the write that exceeds it, and not the end of the process.
        let mut ignored = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))
            .or_fail(Outcome::ComponentFailed, || "cannot watch for signals")?;
        tokio::spawn(async move { while ignored.recv().await.is_some() {} });
        tokio::spawn(stop.clone().ends_at_the_deadline());
        Ok(stop)
    }

    /// Ends the command so long after it began, instead of at the deadline that was known before.
    pub fn set_deadline(&self, deadline: Duration) {
        self.deadline.send_replace(deadline);
    }

    /// Ends when the command must end, with the reason.
    pub async fn stopped(&self) -> Failure {
        loop {
            let notified = self.notify.notified();
            if let Err(failure) = self.check() {
                return failure;
            }
            notified.await;
        }
    }

    /// What `work` gives, unless the command must end before.
    pub async fn unless<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            failure = self.stopped() => Err(failure),
            result = work => result,
        }
    }

    /// `Err` when the command must end. To be asked between steps that do not wait.
    pub fn check(&self) -> Result<(), Failure> {
        let deadline = *self.deadline.borrow();
        if self.begun.elapsed() >= deadline {
            self.end(DEADLINE);
        }
        let (outcome, message) = match self.reason.load(Ordering::Acquire) {
            DEADLINE => (
                Outcome::TryLater,
                format!(
                    "the run took longer than `RUN_DEADLINE` allows ({})",
                    spoken(deadline)
                ),
            ),
            INTERRUPTED => (Outcome::Interrupted, "stopped by SIGINT".to_owned()),
            TERMINATED => (Outcome::Terminated, "stopped by SIGTERM".to_owned()),
            HUNG_UP => (Outcome::Terminated, "stopped by SIGHUP".to_owned()),
            _ => return Ok(()),
        };
        Err(Failure::new(outcome, message))
    }

    /// Ends `other` when this ends, for the same reason.
    pub async fn ends_too(self, other: Self) {
        let _ = self.stopped().await;
        other.end(self.reason.load(Ordering::Acquire));
    }

    async fn ends_at_the_deadline(self) {
        let mut deadline = self.deadline.subscribe();
        loop {
            let left = deadline
                .borrow_and_update()
                .saturating_sub(self.begun.elapsed());
            tokio::select! {
                () = tokio::time::sleep(left) => return self.end(DEADLINE),
                // It cannot be gone: this task holds the other end, too.
                _ = deadline.changed() => {}
            }
        }
    }

    fn end(&self, reason: u8) {
        // The first reason counts.
        let _ = self
            .reason
            .compare_exchange(RUNNING, reason, Ordering::AcqRel, Ordering::Acquire);
        self.notify.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_counts_from_the_beginning_whenever_it_is_known() {
        let stop = Stop::unwatched(Duration::from_hours(1));
        std::thread::sleep(Duration::from_millis(20));
        stop.check().unwrap();

        stop.set_deadline(Duration::from_millis(10));

        assert_eq!(stop.check().unwrap_err().outcome, Outcome::TryLater);
    }

    #[tokio::test]
    async fn a_deadline_that_comes_nearer_ends_who_waits() {
        let stop = Stop::watch(Duration::from_hours(1)).unwrap();
        let waiting = tokio::spawn({
            let stop = stop.clone();
            async move { stop.stopped().await }
        });
        tokio::task::yield_now().await;

        stop.set_deadline(Duration::from_millis(10));

        assert_eq!(waiting.await.unwrap().outcome, Outcome::TryLater);
    }
}
