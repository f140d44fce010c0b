//! Which calls of a run are disturbed: all where `TIDEGATE_SWEEP` is `all`, else one in three.
//!
//! Which third is drawn once for the whole process, and is printed, so that many runs of the tests come to all of them.
//! `TIDEGATE_SWEEP=0`, `1` or `2` draws that third again.

use std::fmt;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// One call in so many is disturbed.
const ONE_IN: usize = 3;

/// What is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// Every call.
    All,
    /// Those whose number has this remainder.
    Third(usize),
}

impl Drawn {
    /// The same for every test of this process.
    pub fn of_this_process() -> Self {
        static DRAWN: OnceLock<Drawn> = OnceLock::new();
        *DRAWN.get_or_init(|| {
            let Ok(text) = std::env::var("TIDEGATE_SWEEP") else {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                return Self::Third(
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
            Self::Third(third) => at % ONE_IN == third,
        }
    }

    fn named(text: &str) -> Option<Self> {
        if text == "all" {
            return Some(Self::All);
        }
        let third = text.parse().ok().filter(|third| *third < ONE_IN)?;
        Some(Self::Third(third))
    }
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all calls"),
            Self::Third(third) => write!(f, "TIDEGATE_SWEEP={third}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thirds_are_all_calls_and_share_none() {
        let thirds = [0, 1, 2].map(|third| Drawn::named(&third.to_string()).unwrap());

        for at in 0..100 {
            assert_eq!(thirds.iter().filter(|third| third.has(at)).count(), 1);
            assert!(Drawn::All.has(at));
        }
        assert_eq!(Drawn::named("3"), None);
    }
}
