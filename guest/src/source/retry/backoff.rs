//! How long to wait before a request is made again.
//!
//! Waits grow fivefold, so that few retries survive an outage of a minute: a server that restarts, a load balancer that finds
//! out. Up to a quarter is added at random, so that many jobs that failed together do not come back together. A source that
//! names a time gets it and up to a second more, since the same time was named to all of them.

/// How much longer each wait is than the one before.
const GROWTH: u64 = 5;
/// The longest wait, in first ones: after 1 and 5.
const GROWN_MAX: u64 = 20;
/// The longest wait in any case; a source may ask for as much.
const WAIT_MS_MAX: u64 = 300_000;
/// The most that is added to a time that the source named.
pub const LATE_MS_MAX: u64 = 1000;

/// How often a request is made again, and how soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// At most so often.
    pub max: u32,
    /// So long after the first attempt.
    pub pause_ms: u64,
}

/// Draws the waits between tries.
#[derive(Debug)]
pub struct Backoff {
    state: u64,
    pause_ms: u64,
}

impl Backoff {
    /// The first wait is `pause_ms` or a little more. Seeded with anything that differs from run to run. This is no
    /// cryptography.
    pub fn new(seed: u64, pause_ms: u64) -> Self {
        Self {
            state: seed,
            pause_ms,
        }
    }

    /// How long to wait after `tries_made` tries, when the source asked for `asked_seconds`: never less than without.
    pub fn wait_ms(&mut self, tries_made: u32, asked_seconds: Option<u64>) -> u64 {
        let grown = GROWTH
            .saturating_pow(tries_made.saturating_sub(1))
            .min(GROWN_MAX);
        let least_ms = self.pause_ms.saturating_mul(grown).min(WAIT_MS_MAX);
        let wait_ms = least_ms + self.draw(least_ms / 4);
        asked_seconds.map_or(wait_ms, |seconds| self.asked_ms(seconds).max(wait_ms))
    }

    /// How long to wait where the source asked for so many seconds: at least those, at most [`LATE_MS_MAX`] more.
    pub fn asked_ms(&mut self, seconds: u64) -> u64 {
        seconds
            .saturating_mul(1000)
            .saturating_add(self.draw(LATE_MS_MAX))
    }

    /// From 0 to `most`. `SplitMix64`: seeds that lie close together draw numbers that do not.
    fn draw(&mut self, most: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % (most + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_differ_from_seed_to_seed() {
        let waits: BTreeSet<u64> = (0..100)
            .map(|seed| Backoff::new(seed, 2000).wait_ms(6, None))
            .collect();

        assert!(waits.len() > 30, "{waits:?}");
    }

    #[test]
    fn jobs_that_were_named_the_same_time_do_not_come_back_together() {
        let waits: BTreeSet<u64> = (0..100)
            .map(|seed| Backoff::new(seed, 2000).wait_ms(1, Some(60)))
            .collect();

        assert!(waits.len() > 30, "{waits:?}");
    }

    #[test]
    fn four_tries_survive_an_outage_of_most_of_a_minute() {
        let mut backoff = Backoff::new(7, 2000);

        let waits = [1, 2, 3, 4].map(|tries| backoff.wait_ms(tries, None));

        for (wait, least) in waits.into_iter().zip([2_000, 10_000, 40_000, 40_000]) {
            assert!((least..=least * 5 / 4).contains(&wait), "{waits:?}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_never_nothing_and_never_too_long(
            seed in any::<u64>(),
            tries in 1_u32..100,
            pause_ms in 10_u64..300_000,
        ) {
            let mut backoff = Backoff::new(seed, pause_ms);

            let without = backoff.wait_ms(tries, None);
            let with_zero = backoff.wait_ms(tries, Some(0));

            let limit_ms = (pause_ms * 25).min(375_000);
            prop_assert!((pause_ms..=limit_ms).contains(&without), "{}", without);
            prop_assert!((pause_ms..=limit_ms.max(1000)).contains(&with_zero), "{}", with_zero);
        }

        #[test]
        fn an_asked_wait_is_kept_and_at_most_a_second_is_added(
            seed in any::<u64>(),
            tries in 1_u32..100,
            seconds in 50_u64..1_000_000,
        ) {
            let wait_ms = Backoff::new(seed, 2000).wait_ms(tries, Some(seconds));

            prop_assert!((seconds * 1000..=seconds * 1000 + 1000).contains(&wait_ms), "{}", wait_ms);
        }
    }
}
