//! How fast requests may follow each other, whatever the component is: `requests_per_second` of a policy.

use std::sync::{Mutex, PoisonError};
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

    /// Waits for its turn: who asks first has it first.
    pub async fn turn(&self) {
        if !self.pause.is_zero() {
            sleep_until(self.turn_at(Instant::now())).await;
        }
    }

    fn turn_at(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let at = next.map_or(now, |next| next.max(now));
        *next = Some(at + self.pause);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
