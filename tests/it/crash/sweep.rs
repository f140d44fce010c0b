//! Which calls of a run are disturbed: all where `TIDEGATE_SWEEP` is `all`, else one in twelve, and one in three around the
//! commit.
//!
//! Which of them is drawn once for the whole process, and is printed, so that many runs of the tests cover all of them.
//! `TIDEGATE_SWEEP=0` to `23` draws that share again.

use std::fmt;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// One call in so many is disturbed.
const ONE_IN: usize = 12;
/// The same of the calls around the commit.
const ONE_IN_AT_COMMIT: usize = 3;
/// How many errors a disturbed call can return: `EIO` and `ENOSPC`.
const ERRORS: usize = 2;

/// What is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// Every call.
    All,
    /// A share of them. Each call is in one share of twelve, with one of the errors, and in another with the other error.
    Share(usize),
}

impl Drawn {
    /// The same for every test of this process.
    pub fn of_this_process() -> Self {
        static DRAWN: OnceLock<Drawn> = OnceLock::new();
        *DRAWN.get_or_init(|| {
            let Ok(text) = std::env::var("TIDEGATE_SWEEP") else {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                let now = now.map_or(0, |now| now.subsec_nanos() as usize / 1_000);
                return Self::Share(now % (ONE_IN * ERRORS));
            };
            Self::named(&text).unwrap_or_else(|| {
                let shares = ONE_IN * ERRORS;
                panic!("TIDEGATE_SWEEP is `all` or a number below {shares}, not `{text}`")
            })
        })
    }

    /// Whether the call with this number is disturbed.
    pub fn has(self, at: usize) -> bool {
        self.is_one_in(ONE_IN, at)
    }

    /// The same of a call around the commit.
    pub fn has_at_commit(self, at: usize) -> bool {
        self.is_one_in(ONE_IN_AT_COMMIT, at)
    }

    /// Whether this call returns the `nth` of the two errors: in a share they take turns.
    pub fn returns(self, nth: usize, at: usize) -> bool {
        match self {
            Self::All => true,
            Self::Share(share) => (at + share / ONE_IN) % ERRORS == nth,
        }
    }

    fn is_one_in(self, one_in: usize, at: usize) -> bool {
        match self {
            Self::All => true,
            Self::Share(share) => at % one_in == share % one_in,
        }
    }

    fn named(text: &str) -> Option<Self> {
        if text == "all" {
            return Some(Self::All);
        }
        let share = text.parse().ok();
        let share = share.filter(|share| *share < ONE_IN * ERRORS)?;
        Some(Self::Share(share))
    }
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all calls"),
            Self::Share(share) => write!(f, "TIDEGATE_SWEEP={share}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_at_each_call_is_in_one_share() {
        let shares: Vec<Drawn> = (0..ONE_IN * ERRORS)
            .map(|share| Drawn::named(&share.to_string()).unwrap())
            .collect();

        for (at, nth) in (0..100).flat_map(|at| [(at, 0), (at, 1)]) {
            let has_it = |drawn: &&Drawn| drawn.has(at) && drawn.returns(nth, at);
            assert_eq!(shares.iter().filter(has_it).count(), 1, "{at} {nth}");
            let around = |drawn: &&Drawn| drawn.has_at_commit(at) && drawn.returns(nth, at);
            assert_eq!(
                shares.iter().filter(around).count(),
                ONE_IN / ONE_IN_AT_COMMIT,
                "{at} {nth}"
            );
            assert!(
                Drawn::All.has(at) && Drawn::All.has_at_commit(at) && Drawn::All.returns(nth, at)
            );
        }
        assert_eq!(Drawn::named(&(ONE_IN * ERRORS).to_string()), None);
    }
}
