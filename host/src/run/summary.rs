//! The summary of one run: the last line of its log, `last-run.json`, and what `--output json` prints.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::limits::Limits;
use crate::outcome::{Committed, Failure, Outcome};
use crate::run::alerts::Failing;
use crate::run::drift::DriftSummary;
use crate::sink::Totals;
use crate::units::{counted, counted_in_thousands, thousands};
use crate::words;

/// Everything worth knowing about a run that has ended. Counts are of this run unless they say otherwise.
#[derive(Debug, Clone, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own: no two of them are one state"
)]
pub struct Summary {
    /// Which run this was.
    pub run_id: String,
    /// `JOB_NAME`.
    pub job: String,
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// When it ended.
    pub finished: String,
    /// How long it took.
    pub duration_ms: u64,
    /// [`Outcome::word`].
    pub outcome: &'static str,
    /// [`Outcome::exit_code`].
    pub exit_code: u8,
    /// Why it failed.
    pub message: Option<String>,
    /// Whether readers see something new: `yes`, `no` or `unknown`.
    pub committed: &'static str,
    /// What was left out of it by request: `--dry-run`.
    pub dry_run: bool,
    /// The settings that were given by `--set`.
    pub set: Vec<String>,
    /// Whether it came so far as to know what was published before.
    #[serde(skip)]
    pub knows_last: bool,
    /// When the run before this one that succeeded ended, if that is known.
    #[serde(skip)]
    pub last_success: Option<String>,
    /// The generation that readers see now.
    pub generation: Option<String>,
    /// What the component said it staged: `everything`, `changes`, `nothing-new`.
    pub extent: Option<&'static str>,
    /// Commits of this run; more than one when the component came in portions.
    pub portions: u64,
    /// Whether any of them changed the set.
    #[serde(skip)]
    pub published: bool,
    /// Records in the published set.
    pub records: u64,
    /// Records found in the source's answers.
    pub fetched: u64,
    /// Records staged.
    pub staged: u64,
    /// Records of the last published set that this run took away, by a deletion or with a replaced parent.
    pub deleted: u64,
    /// Records that the last published set did not have, where that is known.
    pub new: Option<u64>,
    /// Records of the last published set that are others now, where that is known.
    pub changed: Option<u64>,
    /// Records of the last published set that are there no more, for whatever reason, where that is known.
    pub gone: Option<u64>,
    /// Records in the last published set, where there was one.
    #[serde(skip)]
    pub last_records: Option<u64>,
    /// Records set aside.
    pub rejected: u64,
    /// Records staged that a later one of the same key replaced.
    pub superseded: u64,
    /// Members of the records that are other than in the last published set; none under SCHEMA_DRIFT=ignore.
    pub drift: Option<DriftSummary>,
    /// Answers read.
    pub pages: u64,
    /// The same, as the component reported them.
    #[serde(skip)]
    pub reported_pages: u64,
    /// Whether the source said that nothing changed since the last run (304): no record was fetched then.
    pub not_modified: bool,
    /// Requests sent, retries and redirects included.
    pub requests: u64,
    /// Bytes of the answers' bodies on the wire.
    pub wire_bytes: u64,
    /// Credentials that the source sent back and that were replaced.
    pub echoes_redacted: u64,
    /// The cursor after this run.
    pub cursor: Option<String>,
    /// Failed runs in a row up to this one, and what was said of them, where somebody wants to hear it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<Failing>,
    /// CPU time of the component.
    pub component_cpu_ms: u64,
    /// The same, of which less than a millisecond counts too.
    #[serde(skip)]
    pub component_cpu: Duration,
    /// Bytes that all portions staged, each at its most.
    #[serde(skip)]
    pub component_staged_bytes: u64,
    /// The most memory the component used.
    pub component_memory_peak_bytes: u64,
    /// The most entries that one of its tables had.
    #[serde(skip)]
    pub component_table_peak: usize,
}

impl Summary {
    /// A run that begins now.
    pub fn begin(run_id: String, job: String, started: jiff::Timestamp) -> Self {
        Self {
            run_id,
            job,
            started: format!("{started:.3}"),
            finished: String::new(),
            duration_ms: 0,
            outcome: Outcome::ComponentFailed.word(),
            exit_code: Outcome::ComponentFailed.exit_code(),
            message: None,
            committed: "no",
            dry_run: false,
            set: Vec::new(),
            knows_last: false,
            last_success: None,
            generation: None,
            extent: None,
            portions: 0,
            published: false,
            records: 0,
            fetched: 0,
            staged: 0,
            deleted: 0,
            new: None,
            changed: None,
            gone: None,
            last_records: None,
            rejected: 0,
            superseded: 0,
            drift: None,
            pages: 0,
            reported_pages: 0,
            not_modified: false,
            requests: 0,
            wire_bytes: 0,
            echoes_redacted: 0,
            cursor: None,
            alert: None,
            component_cpu_ms: 0,
            component_cpu: Duration::ZERO,
            component_staged_bytes: 0,
            component_memory_peak_bytes: 0,
            component_table_peak: 0,
        }
    }

    /// So many records that were staged do not fit, and are set aside.
    pub fn set_aside(&mut self, records: u64) {
        self.staged = self.staged.saturating_sub(records);
        self.rejected = self.rejected.saturating_add(records);
    }

    /// Fills in how it ended.
    pub fn end(
        &mut self,
        result: &Result<Outcome, Failure>,
        finished: jiff::Timestamp,
        took: Duration,
    ) {
        self.finished = format!("{finished:.3}");
        self.duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (outcome, committed) = match result {
            Ok(outcome) if self.dry_run || *outcome == Outcome::Skipped => (*outcome, "no"),
            Ok(outcome) => (*outcome, "yes"),
            Err(failure) => {
                self.message = Some(failure.message.clone());
                let committed = match failure.committed {
                    Committed::No if self.portions > 0 => "yes",
                    Committed::No => "no",
                    Committed::Unknown => "unknown",
                };
                (failure.outcome, committed)
            }
        };
        self.outcome = outcome.word();
        self.exit_code = outcome.exit_code();
        self.committed = committed;
    }

    /// The part of it that a person at a terminal wants to see.
    pub fn spoken(&self) -> Value {
        json!({
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "records": self.records,
            "fetched": (!self.not_modified).then_some(self.fetched),
            "not_modified": self.not_modified.then_some(true),
            "pages": self.pages,
            "cursor": self.cursor,
            "generation": self.generation,
            "duration_ms": self.duration_ms,
        })
    }

    /// Takes over what a portion came to; `last` is how many records there were.
    pub fn count(&mut self, totals: &Totals, last: Option<u64>) {
        let is_first = self.portions == 0;
        if is_first {
            self.last_records = last;
        }
        self.deleted = self.deleted.saturating_add(totals.removed);
        self.superseded = self.superseded.saturating_add(totals.superseded);
        let more = |so_far: Option<u64>, one: Option<u64>| match (so_far, one) {
            (None, one) if is_first => one,
            (so_far, one) => Some(so_far?.saturating_add(one?)),
        };
        self.new = more(self.new, totals.difference.new);
        self.changed = more(self.changed, totals.difference.changed);
        self.gone = more(self.gone, totals.difference.gone);
    }

    /// How a run ended that did not fail, for the person at the terminal: `published 2,500 records (1 new, 1 changed, 0 gone) in
    /// 0.5 s`.
    pub fn sentence(&self) -> String {
        let records = counted_in_thousands(self.records, "record");
        let took = format!(
            "in {}.{} s",
            self.duration_ms / 1000,
            self.duration_ms % 1000 / 100
        );
        let differs = self.difference();
        if self.outcome == Outcome::Skipped.word() {
            return format!("skipped: another run of `{}` is under way", self.job);
        }
        let did = match (self.dry_run, self.published) {
            (true, true) => "dry run: would publish",
            (true, false) => "dry run: nothing new, still",
            (false, true) => "published",
            (false, false) if self.not_modified => "not modified at the source, still",
            (false, false) => "nothing new, still",
        };
        let differs = differs.filter(|_| self.published);
        let differs = differs.map_or_else(String::new, |differs| format!(" ({differs})"));
        format!("{did} {records}{differs} {took}")
    }

    fn difference(&self) -> Option<String> {
        let last = self.last_records?;
        let known = [
            (self.new, "new"),
            (self.changed, "changed"),
            (self.gone, "gone"),
        ];
        let known = known
            .iter()
            .filter_map(|(count, word)| Some(format!("{} {word}", thousands((*count)?))));
        let known: Vec<String> = known.collect();
        Some(match last {
            _ if !known.is_empty() => known.join(", "),
            last if last > self.records => {
                format!("{} fewer than before", thousands(last - self.records))
            }
            last if last == self.records => "as many as before".to_owned(),
            last => format!("{} more than before", thousands(self.records - last)),
        })
    }

    /// The one line a failed run writes to stderr: what happened, what is still intact, and what to do. It has room for the
    /// last two when the message is one of [`Failure::shown`].
    pub fn error_line(&self, failure: &Failure, limits: &Limits) -> String {
        let intact = match (failure.committed, &self.generation) {
            (Committed::Unknown, _) => {
                "readers see the old set or the new one, whole either way".to_owned()
            }
            (Committed::No, Some(generation)) if self.portions > 0 => {
                let portions = counted(self.portions, "portion");
                format!(
                    "{portions} of this run published ({generation}), and the next run continues there"
                )
            }
            // It may be the set itself that is not as it was left.
            (Committed::No, Some(generation)) if failure.outcome == Outcome::OutputUnusable => {
                format!("this run changed nothing; the last published set was {generation}")
            }
            (Committed::No, Some(generation)) => {
                format!("the last published set ({generation}) is intact")
            }
            (Committed::No, None) if self.knows_last => "nothing was published".to_owned(),
            // There may be a set, and it is as it was.
            (Committed::No, None) => "this run published nothing".to_owned(),
        };
        let advice = match failure.outcome {
            Outcome::TryLater if self.portions > 0 => "",
            Outcome::TryLater if self.knows_last && self.generation.is_none() => {
                "; the next run starts from the beginning"
            }
            Outcome::TryLater => "; the next run starts where the last good one ended",
            _ if failure.committed == Committed::Unknown => {
                "; fix the cause and run again: the next run continues from whichever is there"
            }
            Outcome::IoFailed if failure.message.contains("quota") => {
                "; free space or raise the quota, and run again"
            }
            Outcome::IoFailed if failure.message.contains("pace left") => {
                "; free space, and run again"
            }
            Outcome::IoFailed => "; run again when the disk works",
            Outcome::Settings => "; `tidegate check` shows every setting and its origin",
            _ => "",
        };
        let text = format!("{}; {intact}{advice}", failure.message);
        words::line(&text, limits.error_line_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Difference;

    const UNKNOWN: Difference = Difference::of_sizes(1, 1);

    /// The sentence after portions that made so many records of so many, with this difference.
    fn sentence(portions: &[(Option<u64>, u64, Difference)]) -> String {
        let mut summary = Summary::begin("r".into(), "orders".into(), jiff::Timestamp::UNIX_EPOCH);
        for (last, records, difference) in portions {
            let totals = Totals {
                records: *records,
                difference: *difference,
                ..Totals::default()
            };
            summary.count(&totals, *last);
            summary.records = *records;
            summary.portions += 1;
            summary.published = true;
        }
        let took = Duration::from_millis(512);
        summary.end(&Ok(Outcome::Published), jiff::Timestamp::UNIX_EPOCH, took);
        summary.sentence()
    }

    #[test]
    fn a_run_ends_with_one_sentence() {
        assert_eq!(
            sentence(&[(Some(2_499), 2_500, Difference::of(1, 1, 0))]),
            "published 2,500 records (1 new, 1 changed, 0 gone) in 0.5 s"
        );
        let known = Difference {
            changed: None,
            ..Difference::of(2, 0, 3)
        };
        assert_eq!(
            sentence(&[(Some(10), 9, known)]),
            "published 9 records (2 new, 3 gone) in 0.5 s"
        );
        assert_eq!(
            sentence(&[(Some(10), 9, UNKNOWN)]),
            "published 9 records (1 fewer than before) in 0.5 s"
        );
        assert_eq!(
            sentence(&[(Some(9), 9, UNKNOWN)]),
            "published 9 records (as many as before) in 0.5 s"
        );
        assert_eq!(
            sentence(&[(None, 1, Difference::of(1, 0, 0))]),
            "published 1 record in 0.5 s"
        );
    }

    #[test]
    fn portions_are_counted_together() {
        assert_eq!(
            sentence(&[
                (Some(10), 12, Difference::of(3, 1, 1)),
                (Some(12), 20, Difference::of(8, 4, 0))
            ]),
            "published 20 records (11 new, 5 changed, 1 gone) in 0.5 s"
        );
        // What is not known of one is not known of both.
        assert_eq!(
            sentence(&[
                (Some(10), 12, UNKNOWN),
                (Some(12), 20, Difference::of(8, 4, 0))
            ]),
            "published 20 records (10 more than before) in 0.5 s"
        );
    }

    #[test]
    fn a_run_without_news_says_so() {
        let mut summary = Summary::begin("r".into(), "orders".into(), jiff::Timestamp::UNIX_EPOCH);
        summary.records = 3;
        assert_eq!(summary.sentence(), "nothing new, still 3 records in 0.0 s");
        summary.not_modified = true;
        assert_eq!(
            summary.sentence(),
            "not modified at the source, still 3 records in 0.0 s"
        );
        summary.dry_run = true;
        summary.published = true;
        assert_eq!(
            summary.sentence(),
            "dry run: would publish 3 records in 0.0 s"
        );
        summary.outcome = Outcome::Skipped.word();
        assert_eq!(
            summary.sentence(),
            "skipped: another run of `orders` is under way"
        );
    }
}
