//! How often the runs of a job begin, as its history says: when the next one begins, and whether it should have begun long ago.
//!
//! The line of a crontab is not known here. A job that runs by day alone has long gaps: only one that is longer than all before
//! is late.

use std::time::Duration;

use jiff::Timestamp;

use super::facts::RunFacts;

/// Fewer gaps than this are no cadence.
const GAPS_MIN: usize = 3;
/// How late a run may be: half of what is usual, within these.
const GRACE: (Duration, Duration) = (Duration::from_mins(2), Duration::from_hours(1));

/// What is usual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cadence {
    /// The median of the times between the beginnings of two runs.
    pub every: Duration,
    longest: Duration,
    last: Timestamp,
    /// When the newest run began, by hand too.
    newest: Timestamp,
}

impl Cadence {
    /// That of these runs, the newest first; those by hand do not count. None where there are too few.
    pub fn of(runs: &[RunFacts]) -> Option<Self> {
        let newest = runs
            .iter()
            .filter(|run| run.fetched.is_some())
            .find_map(RunFacts::began);
        let runs = runs.iter().filter(|run| !run.by_hand);
        let begun: Vec<Timestamp> = runs.filter_map(RunFacts::began).collect();
        let gaps = begun.windows(2).filter_map(|pair| {
            let gap = Duration::try_from(pair[0].duration_since(pair[1])).ok()?;
            (gap >= Duration::from_secs(1)).then_some(gap)
        });
        let mut gaps: Vec<Duration> = gaps.collect();
        if gaps.len() < GAPS_MIN {
            return None;
        }
        gaps.sort_unstable();
        Some(Self {
            every: rounded(gaps[gaps.len() / 2]),
            longest: *gaps.last()?,
            last: *begun.first()?,
            newest: newest.unwrap_or(begun[0]),
        })
    }

    /// When the next run begins.
    pub fn next(&self) -> Option<Timestamp> {
        self.last.checked_add(self.every).ok()
    }

    /// Whether no run has begun for longer than ever before.
    pub fn is_late(&self, now: Timestamp) -> bool {
        let (least, most) = GRACE;
        let grace = (self.every / 2).clamp(least, most);
        let since = Duration::try_from(now.duration_since(self.newest)).unwrap_or_default();
        since > self.every.max(self.longest) + grace
    }
}

/// Cron starts a job some seconds early or late: of minutes and more, seconds do not matter.
fn rounded(gap: Duration) -> Duration {
    let seconds = gap.as_secs();
    let unit = if seconds >= 10 * 60 { 60 } else { 1 };
    Duration::from_secs((seconds + unit / 2) / unit * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs that began so many minutes after 2026-11-28T00:00Z, the newest first.
    fn runs(minutes: &[i64]) -> Vec<RunFacts> {
        let run = |minute: &i64| RunFacts {
            started: at(*minute).to_string(),
            ..RunFacts::default()
        };
        minutes.iter().rev().map(run).collect()
    }

    fn at(minute: i64) -> Timestamp {
        let midnight: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
        midnight + jiff::SignedDuration::from_mins(minute)
    }

    #[test]
    fn a_quarter_of_an_hour_is_every_quarter_of_an_hour() {
        let cadence = Cadence::of(&runs(&[0, 15, 30, 45, 60])).unwrap();

        assert_eq!(cadence.every, Duration::from_mins(15));
        assert_eq!(cadence.next(), Some(at(75)));
        assert!(!cadence.is_late(at(80)));
        assert!(cadence.is_late(at(83)));
    }

    #[test]
    fn one_that_rests_at_night_is_late_when_it_rests_longer() {
        let cadence = Cadence::of(&runs(&[0, 60, 120, 180, 14 * 60, 15 * 60])).unwrap();

        assert_eq!(cadence.every, Duration::from_hours(1));
        assert!(!cadence.is_late(at(20 * 60)));
        assert!(cadence.is_late(at(30 * 60)));
    }

    #[test]
    fn a_few_runs_and_those_by_hand_are_no_cadence() {
        let mut by_hand = runs(&[0, 15, 30, 45]);
        by_hand[1].by_hand = true;

        assert_eq!(Cadence::of(&[]), None);
        assert_eq!(Cadence::of(&runs(&[0, 15, 30])), None);
        assert_eq!(Cadence::of(&by_hand), None);
    }
}
