//! Which calls of a run are disturbed: all where `TIDEGATE_SWEEP` is `all`, else one in six.
//!
//! Which sixth is drawn once for the whole process, and is printed, so that many runs of the tests come to all of them.
//! `TIDEGATE_SWEEP=0` to `5` draws that sixth again.

use std::fmt;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// One call in so many is disturbed.
const ONE_IN: usize = 6;

/// What is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// Every call.
    All,
    /// Those whose number has this remainder.
    Share(usize),
}

impl Drawn {
    /// The same for every test of this process.
    pub fn of_this_process() -> Self {
        static DRAWN: OnceLock<Drawn> = OnceLock::new();
        *DRAWN.get_or_init(|| {
            let Ok(text) = std::env::var("TIDEGATE_SWEEP") else {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                return Self::Share(
                    now.map_or(0, |now| now.subsec_nanos() as usize / 1_000) % ONE_IN,
                );
            };
            Self::named(&text).unwrap_or_else(|| {
                panic!("TIDEGATE_SWEEP is `all` or a number below {ONE_IN}, not `{text}`")
            })
        })
    }

    /// Whether the call with this number is disturbed.
    pub fn has(self, at: usize) -> bool {
        match self {
            Self::All => true,
            Self::Share(share) => at % ONE_IN == share,
        }
    }

    fn named(text: &str) -> Option<Self> {
        if text == "all" {
            return Some(Self::All);
        }
        let share = text.parse().ok().filter(|share| *share < ONE_IN)?;
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
    fn the_shares_are_all_calls_and_share_none() {
        let shares: Vec<Drawn> = (0..ONE_IN)
            .map(|share| Drawn::named(&share.to_string()).unwrap())
            .collect();

        for at in 0..100 {
            assert_eq!(shares.iter().filter(|share| share.has(at)).count(), 1);
            assert!(Drawn::All.has(at));
        }
        assert_eq!(Drawn::named(&ONE_IN.to_string()), None);
    }
}
