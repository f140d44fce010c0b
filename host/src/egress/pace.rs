//! How fast requests may follow each other, whatever the component is: `requests_per_second` of a policy.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Spaces requests out, without bursts.
#[derive(Debug)]
pub struct Pace {
    /// Between the beginnings of two.
    pause: Duration,
    /// When the next may begin.
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub fn new(pause: Duration) -> Self {
        Self {
            pause,
            next: Mutex::default(),
        }
    }

    /// Waits for its turn: who asks first has it first. A turn that is given up is the next one's, if none was given after it.
    pub async fn turn(&self) {
        if !self.pause.is_zero() {
            let turn = Turn {
                at: self.turn_at(Instant::now()),
                of: self,
            };
            sleep_until(turn.at).await;
            mem::forget(turn);
        }
    }

    fn next(&self) -> MutexGuard<'_, Option<Instant>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn_at(&self, now: Instant) -> Instant {
        let mut next = self.next();
        let at = next.map_or(now, |next| next.max(now));
        *next = Some(at + self.pause);
        at
    }
}

/// A turn that is waited for.
struct Turn<'p> {
    at: Instant,
    of: &'p Pace,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut next = self.of.next();
        if *next == Some(self.at + self.of.pause) {
            *next = Some(self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_turn_that_is_given_up_is_the_next_ones_unless_another_was_given_after_it() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let pace = Pace::new(Duration::from_hours(1));
            pace.turn().await;
            let next = || pace.next().unwrap();
            let second = next();

            for _ in 0..3 {
                assert!(pace.turn().now_or_never().is_none());
                assert_eq!(next(), second);
            }

            let (mut older, mut newer) = (Box::pin(pace.turn()), Box::pin(pace.turn()));
            assert!(older.as_mut().now_or_never().is_none());
            assert!(newer.as_mut().now_or_never().is_none());
            drop(older);
            assert_eq!(next(), second + 2 * pace.pause);
            drop(newer);
            assert_eq!(next(), second + pace.pause);
        });
    }

    #[test]
    fn each_request_has_its_share_of_a_second_and_time_that_passed_is_no_credit() {
        let pause = Duration::from_millis(500);
        let pace = Pace::new(pause);
        let now = Instant::now();

        let turns = [0, 0, 0, 5_000, 5_000].map(|ms| pace.turn_at(now + Duration::from_millis(ms)));

        let late = now + Duration::from_secs(5);
        let expected = [now, now + pause, now + 2 * pause, late, late + pause];
        assert_eq!(turns, expected);
    }
}
