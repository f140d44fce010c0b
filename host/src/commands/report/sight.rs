//! What a report shows: the jobs, those that need somebody first, as of one moment.

use std::time::Duration;

use jiff::Timestamp;

use super::facts::Facts;
use super::state::{State, counted};
use crate::units;

/// All of a report.
pub struct Sight {
    /// The worst first, those in the same state by their names.
    pub jobs: Vec<(State, Facts)>,
    pub as_of: Timestamp,
}

impl Sight {
    pub fn new(jobs: Vec<Facts>, as_of: Timestamp) -> Self {
        let jobs = jobs.into_iter().map(|facts| (State::of(&facts), facts));
        let mut jobs: Vec<_> = jobs.collect();
        jobs.sort_by(|one, other| (one.0, &one.1.job).cmp(&(other.0, &other.1.job)));
        Self { jobs, as_of }
    }

    pub fn states(&self) -> Vec<State> {
        self.jobs.iter().map(|(state, _)| *state).collect()
    }

    /// All in a few words: `2 failing, 1 stale of 10 jobs`.
    pub fn headline(&self) -> String {
        let states = self.states();
        let bad = counted(&states, State::is_bad);
        match self.jobs.as_slice() {
            [(state, facts)] => format!("{}: {}", facts.job, state.word()),
            jobs if !bad.is_empty() => {
                format!("{bad} of {}", units::counted(jobs.len() as u64, "job"))
            }
            jobs => format!(
                "{}: {}",
                units::counted(jobs.len() as u64, "job"),
                counted(&states, |_| true)
            ),
        }
    }

    /// The first time after this at which a run is expected.
    pub fn next_run(&self) -> Option<&str> {
        let is_ahead = |time: &str| time.parse::<Timestamp>().is_ok_and(|at| at > self.as_of);
        let next = self.jobs.iter();
        let next = next.filter(|(_, facts)| facts.next_run.as_deref().is_some_and(is_ahead));
        next.filter_map(|(_, facts)| facts.next_run.as_deref())
            .min()
    }
}

/// `2026-11-28 03:06` of a time in RFC 3339; other texts as they are.
pub fn minute(time: &str) -> String {
    formatted(time, "%Y-%m-%d %H:%M")
}

/// The same with seconds.
pub fn second(time: &str) -> String {
    formatted(time, "%Y-%m-%d %H:%M:%S")
}

/// `03:06`, or `28 Nov` where that is more than a day away.
pub fn soon(time: &str, as_of: Timestamp) -> String {
    let is_near = time.parse::<Timestamp>().is_ok_and(|at| {
        let apart = at.duration_since(as_of).unsigned_abs();
        apart < Duration::from_hours(24)
    });
    formatted(time, if is_near { "%H:%M" } else { "%-d %b" })
}

fn formatted(time: &str, form: &str) -> String {
    let parsed = time.parse::<Timestamp>();
    parsed.map_or_else(|_| time.to_owned(), |at| at.strftime(form).to_string())
}

/// A span of time in whole numbers: `45s`, `52m`, `2h18m`, `3d4h`.
pub fn span(span: Duration) -> String {
    let minutes = span.as_secs() / 60;
    let two = |(great, first): (u64, &str), (small, second): (u64, &str)| {
        if small == 0 {
            format!("{great}{first}")
        } else {
            format!("{great}{first}{small}{second}")
        }
    };
    match minutes {
        0 => format!("{}s", span.as_secs()),
        1..120 => format!("{minutes}m"),
        120..2880 => two((minutes / 60, "h"), (minutes % 60, "m")),
        _ => two((minutes / 1440, "d"), (minutes % 1440 / 60, "h")),
    }
}

/// `12 to 34` of the least and the greatest of these, `12` where they are the same.
pub fn range(numbers: impl Iterator<Item = u64> + Clone, shown: fn(u64) -> String) -> String {
    match (numbers.clone().min(), numbers.max()) {
        (Some(least), Some(most)) if shown(least) != shown(most) => {
            format!("{} to {}", shown(least), shown(most))
        }
        (Some(_), Some(most)) => shown(most),
        _ => "not known".to_owned(),
    }
}

/// `147 ms` or `1.2 s`, of milliseconds.
pub fn seconds(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..100_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        _ => span(Duration::from_millis(millis)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, status: &str) -> Facts {
        Facts {
            job: name.to_owned(),
            status: status.to_owned(),
            ..Facts::default()
        }
    }

    #[test]
    fn the_worst_is_first() {
        let jobs = vec![job("a", "fresh"), job("c", "stale"), job("b", "stale")];

        let sight = Sight::new(jobs, Timestamp::UNIX_EPOCH);

        let names: Vec<&str> = sight.jobs.iter().map(|(_, facts)| &*facts.job).collect();
        assert_eq!(names, ["b", "c", "a"]);
        assert_eq!(sight.headline(), "2 stale of 3 jobs");
        let fresh = Sight::new(
            vec![job("a", "fresh"), job("b", "fresh")],
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(fresh.headline(), "2 jobs: 2 fresh");
        let one = Sight::new(vec![job("a", "unknown")], Timestamp::UNIX_EPOCH);
        assert_eq!(one.headline(), "a: unknown");
    }

    #[test]
    fn times_are_short() {
        let now = "2026-11-28T03:06:00Z".parse().unwrap();

        assert_eq!(minute("2026-11-28T03:06:29.123Z"), "2026-11-28 03:06");
        assert_eq!(soon("2026-11-28T12:15:00Z", now), "12:15");
        assert_eq!(soon("2026-12-01T12:15:00Z", now), "1 Dec");
        assert_eq!(minute("soon"), "soon");
        assert_eq!(seconds(147), "147 ms");
        assert_eq!(seconds(1_234), "1.2 s");
        assert_eq!(range([3, 1].into_iter(), seconds), "1 ms to 3 ms");
        assert_eq!(range([1_200, 1_240].into_iter(), seconds), "1.2 s");
        assert_eq!(range(std::iter::empty(), seconds), "not known");
        assert_eq!(seconds(120_000), "2m");
        for (minutes, told) in [
            (0, "0s"),
            (119, "119m"),
            (138, "2h18m"),
            (180, "3h"),
            (4_560, "3d4h"),
        ] {
            assert_eq!(span(Duration::from_mins(minutes)), told);
        }
    }
}
