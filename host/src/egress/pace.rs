//! How fast requests may follow each other, whatever the component is: `requests_per_second` of a policy; and among runs
//! that have their source in common, the rate of each and what the source itself asks for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::sync::Mutex as Queue;
use tokio::time::{Instant, sleep_until};

use super::asked::asked_wait;
use crate::limits::RATE_HELD_MAX;

/// When the next request may begin.
#[derive(Debug, Default)]
pub struct Next {
    /// Whoever asks first waits first, and alone: one that gives up leaves no gap.
    queue: Queue<()>,
    at: Mutex<Option<Instant>>,
}

/// Spaces requests out, without bursts.
#[derive(Debug)]
pub struct Pace {
    /// Between the beginning of one and that of the next.
    pause: Duration,
    next: Arc<Next>,
    /// Whether others space theirs out by the same time.
    is_shared: bool,
}

impl Pace {
    pub fn new(pause: Duration) -> Self {
        Self {
            pause,
            next: Arc::default(),
            is_shared: false,
        }
    }

    /// One whose requests follow those of all others with this `next`.
    pub fn shared(pause: Duration, next: Arc<Next>) -> Self {
        Self {
            pause,
            next,
            is_shared: true,
        }
    }

    /// Leaves the source alone for all that share it, as long as this answer asks to. An answer that asks for longer than any
    /// run waits holds nobody: each run may ask for itself.
    pub fn hear(&self, status: StatusCode, headers: &HeaderMap) {
        if !self.is_shared {
            return;
        }
        if let Some(wait) = asked_wait(status, headers).filter(|wait| *wait <= RATE_HELD_MAX) {
            let until = Instant::now() + wait;
            let mut next = self.next();
            *next = Some(next.map_or(until, |next| next.max(until)));
        }
    }

    /// Waits for its turn: who asks first has it first. What others are asked to wait meanwhile, it waits, too.
    pub async fn turn(&self) {
        if !self.is_shared && self.pause.is_zero() {
            return;
        }
        let _first = self.next.queue.lock().await;
        while let Some(at) = self.wait(Instant::now()) {
            sleep_until(at).await;
        }
    }

    fn next(&self) -> MutexGuard<'_, Option<Instant>> {
        self.next.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when to wait; `None`: the turn is taken.
    fn wait(&self, now: Instant) -> Option<Instant> {
        let mut next = self.next();
        let later = next.filter(|at| *at > now);
        if later.is_none() {
            *next = Some(now + self.pause);
        }
        later
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// When a request that asks at `now` has its turn.
    fn turn_at(pace: &Pace, now: Instant) -> Instant {
        let at = pace.wait(now).unwrap_or(now);
        if at > now {
            assert_eq!(pace.wait(at), None);
        }
        at
    }

    #[test]
    fn turns_that_are_given_up_leave_no_gap_in_whatever_order() {
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
            assert_eq!(next(), second);
            assert!(newer.as_mut().now_or_never().is_none());
            drop(newer);
            assert_eq!(next(), second);
        });
    }

    #[test]
    fn requests_of_several_follow_each_other_each_at_its_own_rate() {
        let (now, next) = (Instant::now(), Arc::<Next>::default());
        let of = |ms| Pace::shared(Duration::from_millis(ms), next.clone());
        let (fast, slow) = (of(100), of(500));

        let turns = [&fast, &slow, &fast, &fast].map(|pace| turn_at(pace, now));

        let after = [0, 100, 600, 700].map(Duration::from_millis);
        assert_eq!(turns, after.map(|after| now + after));
    }

    #[test]
    fn what_one_is_asked_to_wait_all_wait_up_to_a_limit() {
        let next = Arc::<Next>::default();
        let one = Pace::shared(Duration::ZERO, next.clone());
        let other = Pace::shared(Duration::ZERO, next);
        let alone = Pace::new(Duration::ZERO);
        let asked = |seconds: u64| {
            let value = http::HeaderValue::from(seconds);
            let mut headers = HeaderMap::new();
            headers.insert(http::header::RETRY_AFTER, value);
            headers
        };
        let busy = StatusCode::TOO_MANY_REQUESTS;
        let begun = Instant::now();

        one.hear(busy, &asked(60));
        one.hear(busy, &asked(30));
        one.hear(busy, &asked(RATE_HELD_MAX.as_secs() + 1));
        alone.hear(busy, &asked(60));

        let held = turn_at(&other, begun) - begun;
        assert!((60..61).contains(&held.as_secs()), "{held:?}");
        assert_eq!(turn_at(&alone, begun), begun);
    }

    #[test]
    fn each_request_has_its_share_of_a_second_and_time_that_passed_is_no_credit() {
        let pause = Duration::from_millis(500);
        let pace = Pace::new(pause);
        let now = Instant::now();

        let turns =
            [0, 0, 0, 5_000, 5_000].map(|ms| turn_at(&pace, now + Duration::from_millis(ms)));

        let late = now + Duration::from_secs(5);
        let expected = [now, now + pause, now + 2 * pause, late, late + pause];
        assert_eq!(turns, expected);
    }
}
