//! How long to wait before a request is made again.
//!
//! Waits are drawn at random up to a doubling limit (full jitter), so that many jobs that failed together do not come back
//! together. A source that names a time gets it and up to a second more, since the same time was named to all of them.

/// The first limit of a wait; it doubles with each try.
const WAIT_FIRST_MS: u64 = 500;
/// The last limit of a wait.
const WAIT_MAX_MS: u64 = 30_000;
/// The shortest wait: `Retry-After: 0` must not burn all tries at once.
const WAIT_MIN_MS: u64 = 100;
/// The most that is added to a time that the source named.
pub const LATE_MS_MAX: u64 = 1000;

/// Draws the waits between tries.
#[derive(Debug)]
pub struct Backoff {
    state: u64,
}

impl Backoff {
    /// Seeded with anything that differs from run to run. This is no cryptography.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// How long to wait after `tries_made` tries, when the source asked for `asked_seconds`: never less than without.
    pub fn wait_ms(&mut self, tries_made: u32, asked_seconds: Option<u64>) -> u64 {
        let doublings = tries_made.saturating_sub(1).min(16);
        let limit_ms = (WAIT_FIRST_MS << doublings).min(WAIT_MAX_MS);
        let drawn_ms = WAIT_MIN_MS + self.draw(limit_ms - WAIT_MIN_MS);
        asked_seconds.map_or(drawn_ms, |seconds| self.asked_ms(seconds).max(drawn_ms))
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
            .map(|seed| Backoff::new(seed).wait_ms(6, None))
            .collect();

        assert!(waits.len() > 30, "{waits:?}");
    }

    #[test]
    fn jobs_that_were_named_the_same_time_do_not_come_back_together() {
        let waits: BTreeSet<u64> = (0..100)
            .map(|seed| Backoff::new(seed).wait_ms(1, Some(60)))
            .collect();

        assert!(waits.len() > 30, "{waits:?}");
    }

    proptest! {
        #[test]
        fn a_wait_is_never_nothing_and_never_too_long(seed in any::<u64>(), tries in 1_u32..100) {
            let mut backoff = Backoff::new(seed);

            let without = backoff.wait_ms(tries, None);
            let with_zero = backoff.wait_ms(tries, Some(0));

            let limit_ms = 500_u64.saturating_mul(1 << (tries - 1).min(16)).min(30_000);
            prop_assert!((100..=limit_ms).contains(&without), "{}", without);
            prop_assert!((100..=limit_ms.max(1000)).contains(&with_zero), "{}", with_zero);
        }

        #[test]
        fn an_asked_wait_is_kept_and_at_most_a_second_is_added(
            seed in any::<u64>(),
            tries in 1_u32..100,
            seconds in 30_u64..1_000_000,
        ) {
            let wait_ms = Backoff::new(seed).wait_ms(tries, Some(seconds));

            prop_assert!((seconds * 1000..=seconds * 1000 + 1000).contains(&wait_ms), "{}", wait_ms);
        }
    }
}
