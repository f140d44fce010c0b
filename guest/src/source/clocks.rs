//! The clock guard: the moment that a cursor of time never passes, and what is said where two clocks disagree.
//!
//! The source's clock decides, because records carry its times. But it is only a header: a `Date` of 2099 would move the
//! cursor there, and later runs would ask for nothing. So our clock limits it, with a tolerance. The limit only makes a
//! cursor smaller, and a smaller one asks for records again: if our clock is wrong, nothing is lost.

use jiff::Timestamp;

/// How far a source's clock may be ahead of ours. Equal to the default SOURCE_LOOKBACK, so that the next run still asks for
/// records of that time.
pub const AHEAD_SECONDS_MAX: i64 = 5 * 60;
/// A source whose clock is further behind ours gets a warning: records are fetched again until it is right.
const BEHIND_SECONDS_MAX: i64 = 60 * 60;

/// The source's clock and ours, at one moment, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// What the source's `Date` says.
    pub source: i64,
    /// What ours said when that came.
    pub ours: i64,
}

impl Clocks {
    /// The greatest cursor allowed: the source's time, at most [`AHEAD_SECONDS_MAX`] after ours.
    pub fn limit(self) -> i64 {
        let most = self.ours.saturating_add(AHEAD_SECONDS_MAX);
        self.source.min(most)
    }

    /// What is wrong with them, if something is; it begins with `warn: `.
    pub fn warning(self) -> Option<String> {
        let ahead = self.source.saturating_sub(self.ours);
        let (which, what_follows) = if ahead > AHEAD_SECONDS_MAX {
            ("ahead", "this machine's time plus 5 minutes")
        } else if ahead < -BEHIND_SECONDS_MAX {
            ("behind", "the source's time")
        } else {
            return None;
        };
        Some(format!(
            "warn: the source's clock is {which}: its `Date` is {}, this machine's time {}; the cursor stops at {what_follows}; no record is lost; correct the wrong clock",
            written(self.source),
            written(self.ours),
        ))
    }
}

fn written(unix_seconds: i64) -> String {
    Timestamp::from_second(unix_seconds)
        .map_or_else(|_| unix_seconds.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: i64 = 1_795_435_200;

    fn clocks(ahead: i64) -> Clocks {
        Clocks {
            source: NOON + ahead,
            ours: NOON,
        }
    }

    #[test]
    fn the_source_decides_within_the_tolerance_and_our_clock_beyond_it() {
        assert_eq!(clocks(0).limit(), NOON);
        assert_eq!(clocks(300).limit(), NOON + 300);
        assert_eq!(clocks(301).limit(), NOON + 300);
        assert_eq!(clocks(2_000_000_000).limit(), NOON + 300);
        assert_eq!(clocks(-2_000_000_000).limit(), NOON - 2_000_000_000);
    }

    #[test]
    fn a_clock_that_is_far_off_is_told_of() {
        assert_eq!(clocks(300).warning(), None);
        assert_eq!(clocks(-3600).warning(), None);
        assert_eq!(
            clocks(301).warning().as_deref(),
            Some(
                "warn: the source's clock is ahead: its `Date` is 2026-11-23T12:05:01Z, this machine's time 2026-11-23T12:00:00Z; the cursor stops at this machine's time plus 5 minutes; no record is lost; correct the wrong clock"
            )
        );
        assert!(clocks(-3601).warning().unwrap().contains("is behind: "));
    }

    proptest! {
        #[test]
        fn the_limit_passes_neither_the_source_nor_ours_by_more_than_the_tolerance(
            source in any::<i64>(),
            ours in any::<i64>(),
        ) {
            let clocks = Clocks { source, ours };

            prop_assert!(clocks.limit() <= source);
            prop_assert!(clocks.limit() <= ours.saturating_add(AHEAD_SECONDS_MAX));
            clocks.warning();
        }
    }
}
