//! When a run ends between two pages, to be asked to go on: the source is sorted by the cursor, so that what was read can be
//! committed by itself, and much was read.
//!
//! Time decides, as it is what runs out: an eighth of RUN_DEADLINE, at most ten minutes. So a run makes about eight commits
//! with a deadline of up to 80 minutes, and one per ten minutes above, whatever the size of the set that each of them copies.

/// The part of RUN_DEADLINE that a portion takes.
const PARTS: u64 = 8;
/// No portion takes longer, so that a crash costs no more.
const SECONDS_MAX: u64 = 10 * 60;

/// The portion at hand.
#[derive(Debug)]
pub struct Portion {
    began_ns: u64,
    /// When the first page came behind which it could have ended.
    fresh_ns: Option<u64>,
    length_ns: u64,
    /// When it ends at the latest, if it can: at three quarters of the deadline there may be no time for more.
    latest_ns: u64,
    /// Whether it can end behind the last page.
    pub can_end: bool,
}

impl Portion {
    /// Begins now, in a run that takes `deadline_seconds` at most.
    pub fn begin(deadline_seconds: u64, now_ns: u64) -> Self {
        let deadline_ns = deadline_seconds.saturating_mul(1_000_000_000);
        let length_ns = (deadline_ns / PARTS).min(SECONDS_MAX * 1_000_000_000);
        Self {
            began_ns: now_ns,
            fresh_ns: None,
            length_ns,
            latest_ns: deadline_ns / 4 * 3,
            can_end: false,
        }
    }

    /// A page was read, behind which it can end or not. Returns whether it is to.
    pub fn page_ends(&mut self, can_end: bool, now_ns: u64) -> bool {
        self.can_end = can_end;
        if !can_end {
            return false;
        }
        // What has to be read again before anything new comes is not counted.
        let fresh_ns = *self.fresh_ns.get_or_insert(now_ns);
        now_ns.saturating_sub(fresh_ns) >= self.length_ns
            || now_ns.saturating_sub(self.began_ns) >= self.latest_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_portion_takes_an_eighth_of_the_deadline_from_the_first_page_that_is_new() {
        let mut portion = Portion::begin(800, 5 * SECOND);

        assert!(!portion.page_ends(false, 300 * SECOND));
        assert!(!portion.page_ends(true, 301 * SECOND));
        assert!(!portion.page_ends(true, 400 * SECOND));
        assert!(!portion.page_ends(false, 401 * SECOND));
        assert!(!portion.can_end);
        assert!(portion.page_ends(true, 402 * SECOND));
    }

    #[test]
    fn late_in_the_run_the_first_page_that_is_new_ends_it() {
        let mut portion = Portion::begin(800, 5 * SECOND);

        assert!(!portion.page_ends(false, 604 * SECOND));
        assert!(portion.page_ends(true, 605 * SECOND));
    }

    #[test]
    fn no_portion_is_longer_than_ten_minutes() {
        let mut portion = Portion::begin(24 * 60 * 60, 0);

        assert!(!portion.page_ends(true, 0));
        assert!(!portion.page_ends(true, 599 * SECOND));
        assert!(portion.page_ends(true, 600 * SECOND));
    }
}
