//! Where in a run a fault is met, and what is expected of the run then.

use tidegate::outcome::Outcome;

use super::fault::Effect;
use super::page::PAGES;

/// Tries of a request: `MAX_RETRIES` is one less.
pub const TRIES: usize = 2;

/// Where a fault is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: all pages are good.
    Nowhere,
    /// Every time that the first page is asked for.
    FirstPage,
    /// Every time that the middle page is asked for.
    MiddlePage,
    /// Every time that the last page is asked for.
    LastPage,
    /// When the middle page is asked for again: the first answer is 503.
    Retry,
    /// When the last page is asked for the first time, and not again.
    Once,
}

/// What the source does at a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It serves the page.
    Good,
    /// It answers 503.
    Busy,
    /// It does what the fault is about.
    Faulty,
}

/// How a run must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Its outcome.
    pub outcome: Outcome,
    /// Requests that the source gets; connections that it turns away count too.
    pub requests: usize,
}

impl Place {
    /// Where a fault of this effect is met, a run each.
    pub fn of(effect: Effect) -> Vec<Self> {
        let mut places = vec![
            Self::Nowhere,
            Self::FirstPage,
            Self::MiddlePage,
            Self::LastPage,
            Self::Retry,
        ];
        // What stalls once stalls the run.
        if effect != Effect::Stalls {
            places.push(Self::Once);
        }
        places
    }

    /// What the source does when `page` is asked for after `tries` in vain.
    pub fn turn(self, page: usize, tries: usize) -> Turn {
        match self {
            Self::FirstPage if page == 1 => Turn::Faulty,
            Self::LastPage if page == PAGES => Turn::Faulty,
            Self::Retry if page == 2 && tries == 0 => Turn::Busy,
            Self::MiddlePage | Self::Retry if page == 2 => Turn::Faulty,
            Self::Once if page == PAGES && tries == 0 => Turn::Faulty,
            _ => Turn::Good,
        }
    }

    /// How a run ends that meets a fault of this effect here, when one meeting takes `each` requests.
    pub fn expected(self, effect: Effect, each: usize) -> Expected {
        let whole = |requests| Expected {
            outcome: Outcome::Published,
            requests,
        };
        let (good_before, busy) = match self {
            Self::Nowhere => return whole(PAGES),
            Self::FirstPage => (0, 0),
            Self::MiddlePage => (1, 0),
            Self::Retry => (1, 1),
            Self::LastPage | Self::Once => (PAGES - 1, 0),
        };
        let met = good_before + busy + each;
        match (effect, self) {
            (Effect::Harmless, _) => whole(PAGES - 1 + busy + each),
            (Effect::Passes(_), Self::Once) => whole(met + 1),
            (Effect::Passes(outcome), _) => Expected {
                outcome,
                requests: met + (TRIES - busy - 1) * each,
            },
            (Effect::Stays(outcome), _) => Expected {
                outcome,
                requests: met,
            },
            (Effect::Stalls, _) => Expected {
                outcome: Outcome::TryLater,
                requests: met,
            },
        }
    }
}
