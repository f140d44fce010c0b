//! How a job is, in one word: what the report is sorted by.

use jiff::Timestamp;

use super::facts::{Facts, RunFacts};
use crate::outcome::Outcome;

/// The worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its last run failed.
    Failing,
    /// Nothing could be found out.
    Unreadable,
    /// The last success is too old, or what is published is not as it was left.
    Stale,
    /// Nothing can be said: the published set cannot be read, or there was no run yet.
    Unknown,
    /// No run has begun for longer than ever before.
    Late,
    /// A person holds it.
    Held,
    Fresh,
}

impl State {
    pub const ALL: [Self; 7] = [
        Self::Failing,
        Self::Unreadable,
        Self::Stale,
        Self::Unknown,
        Self::Late,
        Self::Held,
        Self::Fresh,
    ];

    pub fn of(facts: &Facts) -> Self {
        if facts.error.is_some() {
            return Self::Unreadable;
        }
        let last = facts.scheduled().next();
        let failed = last.filter(|run| run.has_failed() && is_later(run, facts));
        match (failed, &*facts.status) {
            // A run of a held job ends with 75.
            (Some(run), _)
                if facts.held.is_some() && run.exit_code == Outcome::TryLater.exit_code() =>
            {
                if facts.is_old {
                    Self::Stale
                } else {
                    Self::Held
                }
            }
            (Some(_), _) => Self::Failing,
            // A hold that was forgotten.
            _ if facts.held.is_some() && !facts.is_old => Self::Held,
            (None, "stale") => Self::Stale,
            (None, "fresh") if facts.is_late => Self::Late,
            (None, "fresh") => Self::Fresh,
            _ => Self::Unknown,
        }
    }

    pub const fn word(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Unreadable => "error",
            Self::Stale => "stale",
            Self::Late => "late",
            Self::Unknown => "unknown",
            Self::Held => "held",
            Self::Fresh => "fresh",
        }
    }

    /// Whether somebody should look at it.
    pub const fn is_bad(self) -> bool {
        !matches!(self, Self::Held | Self::Fresh)
    }
}

/// Whether a run ended after the last success: a failure that a later commit has overtaken is over.
fn is_later(run: &RunFacts, facts: &Facts) -> bool {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let committed = facts.generation.as_ref();
    let committed = committed.and_then(|published| time(&published.committed));
    // The time of a commit has no parts of a second.
    committed.is_none() || time(&run.finished) >= committed
}

/// How many are in which state, in words: `2 failing, 1 stale`. Empty if none is bad.
pub fn counted(states: &[State], wanted: impl Fn(State) -> bool) -> String {
    let counts = State::ALL.into_iter().filter(|state| wanted(*state));
    let counts = counts.filter_map(|state| {
        let count = states.iter().filter(|own| **own == state).count();
        (count > 0).then(|| format!("{count} {}", state.word()))
    });
    counts.collect::<Vec<_>>().join(", ")
}

/// What an exit code means; a word that is no outcome's, as it is.
pub fn meaning(code: u8, word: &str) -> String {
    let outcome = Outcome::ALL
        .into_iter()
        .find(|outcome| outcome.exit_code() == code && (code != 0 || outcome.word() == word));
    let Some(outcome) = outcome else {
        return word.replace('_', " ");
    };
    let text = match outcome {
        Outcome::Published => "published",
        Outcome::NothingNew => "nothing new",
        Outcome::DryRun => "dry run",
        Outcome::Skipped => "skipped, another run was under way",
        Outcome::Usage => "wrong command line",
        Outcome::Settings => "settings are wrong",
        Outcome::GateRefused => "a gate refused the data",
        Outcome::SourceRefused => "the source refused the request",
        Outcome::ComponentFailed => "the component failed",
        Outcome::OutputUnusable => "the output cannot be used",
        Outcome::IoFailed => "reading or writing failed",
        Outcome::TryLater => "try again later",
        Outcome::ProtocolBroken => "the source's answer made no sense",
        Outcome::Denied => "access denied",
        Outcome::Interrupted => "stopped by SIGINT",
        Outcome::Terminated => "stopped by SIGTERM or SIGHUP",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::facts::Published;
    use super::*;

    fn job(status: &str, code: u8) -> Facts {
        let run = RunFacts {
            finished: "2026-11-28T03:00:00.500Z".to_owned(),
            exit_code: code,
            ..RunFacts::default()
        };
        Facts {
            status: status.to_owned(),
            generation: Some(Published {
                committed: "2026-11-28T03:00:00Z".to_owned(),
                ..Published::default()
            }),
            runs: vec![run],
            ..Facts::default()
        }
    }

    fn held(facts: Facts) -> Facts {
        Facts {
            held: Some("held".to_owned()),
            ..facts
        }
    }

    fn forgotten(facts: Facts) -> Facts {
        Facts {
            is_old: true,
            ..held(facts)
        }
    }

    #[test]
    fn a_job_is_in_one_state() {
        let late = Facts {
            is_late: true,
            ..job("fresh", 0)
        };
        let overtaken = Facts {
            generation: Some(Published {
                committed: "2026-11-28T03:00:01Z".to_owned(),
                ..Published::default()
            }),
            ..job("stale", 69)
        };
        let refused = Facts::unknown("a".into(), String::new(), 78, "x");
        for (facts, state) in [
            (job("fresh", 0), State::Fresh),
            (job("stale", 69), State::Failing),
            (job("stale", 0), State::Stale),
            (job("unknown", 0), State::Unknown),
            (job("unknown", 69), State::Failing),
            (held(job("stale", 75)), State::Held),
            (held(job("stale", 78)), State::Failing),
            (held(job("stale", 0)), State::Held),
            (forgotten(job("stale", 0)), State::Stale),
            (forgotten(job("stale", 75)), State::Stale),
            (forgotten(job("stale", 78)), State::Failing),
            (late, State::Late),
            (overtaken, State::Stale),
            (refused, State::Unreadable),
        ] {
            assert_eq!(State::of(&facts), state, "{facts:?}");
        }
    }

    #[test]
    fn states_are_counted_the_worst_first() {
        let states = [State::Stale, State::Fresh, State::Failing, State::Failing];

        assert_eq!(counted(&states, State::is_bad), "2 failing, 1 stale");
        assert_eq!(counted(&[State::Fresh], State::is_bad), "");
    }

    #[test]
    fn a_code_has_a_meaning() {
        assert_eq!(meaning(0, "nothing_new"), "nothing new");
        assert_eq!(meaning(0, "rolled_back"), "rolled back");
        assert_eq!(
            meaning(69, "source_refused"),
            "the source refused the request"
        );
        assert_eq!(meaning(143, ""), "stopped by SIGTERM or SIGHUP");
        assert_eq!(meaning(1, "odd_word"), "odd word");
    }
}
