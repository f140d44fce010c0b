//! How many retries a whole run may make: a bucket of tokens that retries empty and pages fill.
//!
//! Tries are counted for each request as well. This bound is for a source that answers each page after a few tries only:
//! such a run would take hours and be a load to a source that is out of order.

/// What a run begins with, and the most it can have.
const TOKENS_MAX: u32 = 500;

/// Why a request is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The source did not do its part.
    Fault,
    /// The source works, and wants less work.
    Throttle,
}

impl Reason {
    fn tokens(self) -> u32 {
        match self {
            Self::Fault => 10,
            Self::Throttle => 5,
        }
    }
}

/// The retries that a run may still make.
#[derive(Debug)]
pub struct Budget {
    tokens: u32,
    retries: u64,
}

impl Default for Budget {
    /// That of a run that has made no retry.
    fn default() -> Self {
        Self {
            tokens: TOKENS_MAX,
            retries: 0,
        }
    }
}

impl Budget {
    /// Takes one retry out. False: it is not to be made.
    #[must_use]
    pub fn take(&mut self, reason: Reason) -> bool {
        let Some(left) = self.tokens.checked_sub(reason.tokens()) else {
            return false;
        };
        self.tokens = left;
        self.retries += 1;
        true
    }

    /// A page came at the first try: the source is well.
    pub fn put_back(&mut self) {
        self.tokens = (self.tokens + 1).min(TOKENS_MAX);
    }

    /// How many retries were taken so far.
    pub fn retries(&self) -> u64 {
        self.retries
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn retries_of(reason: Reason) -> u64 {
        let mut budget = Budget::default();
        while budget.take(reason) {}
        budget.retries()
    }

    #[test]
    fn faults_cost_more_than_throttles() {
        assert_eq!(retries_of(Reason::Fault), 50);
        assert_eq!(retries_of(Reason::Throttle), 100);
    }

    #[test]
    fn pages_that_come_at_once_give_back_what_was_taken_and_no_more() {
        let mut budget = Budget::default();
        budget.put_back();

        let spent = std::iter::repeat_with(|| budget.take(Reason::Fault)).position(|taken| !taken);
        (0..9).for_each(|_| budget.put_back());
        let too_early = budget.take(Reason::Fault);
        budget.put_back();
        let in_time = budget.take(Reason::Fault);

        assert_eq!(spent, Some(50));
        assert_eq!((too_early, in_time), (false, true));
    }

    proptest! {
        #[test]
        fn retries_are_bounded_by_the_tokens_and_the_pages(
            steps in prop::collection::vec(0_u8..3, 0..2000),
        ) {
            let mut budget = Budget::default();
            let mut pages = 0;
            for step in steps {
                match step {
                    0 => { pages += 1; budget.put_back(); }
                    1 => { let _ = budget.take(Reason::Fault); }
                    _ => { let _ = budget.take(Reason::Throttle); }
                }
            }

            prop_assert!(budget.retries() * 5 <= 500 + pages, "{} retries, {} pages", budget.retries(), pages);
        }
    }
}
