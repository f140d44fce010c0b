//! The summary of one run: the last line of its log, `last-run.json`, and what `--output json` prints.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::limits::Limits;
use crate::outcome::{Committed, Failure, Outcome};
use crate::units::counted;
use crate::words;

/// Everything worth knowing about a run that has ended. Counts are of this run unless they say otherwise.
#[derive(Debug, Clone, Serialize)]
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
    /// Deletions staged.
    pub deleted: u64,
    /// Records set aside.
    pub rejected: u64,
    /// Answers read.
    pub pages: u64,
    /// Requests sent, retries and redirects included.
    pub requests: u64,
    /// Bytes of the answers' bodies on the wire.
    pub wire_bytes: u64,
    /// Credentials that the source sent back and that were replaced.
    pub echoes_redacted: u64,
    /// The cursor after this run.
    pub cursor: Option<String>,
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
            generation: None,
            extent: None,
            portions: 0,
            published: false,
            records: 0,
            fetched: 0,
            staged: 0,
            deleted: 0,
            rejected: 0,
            pages: 0,
            requests: 0,
            wire_bytes: 0,
            echoes_redacted: 0,
            cursor: None,
            component_cpu_ms: 0,
            component_cpu: Duration::ZERO,
            component_staged_bytes: 0,
            component_memory_peak_bytes: 0,
        }
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
            "fetched": self.fetched,
            "pages": self.pages,
            "cursor": self.cursor,
            "generation": self.generation,
            "duration_ms": self.duration_ms,
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
            (Committed::No, None) => "nothing was published".to_owned(),
        };
        let advice = match failure.outcome {
            Outcome::TryLater if self.portions > 0 => "",
            Outcome::TryLater => "; the next run starts where the last good one ended",
            _ if failure.committed == Committed::Unknown => {
                "; fix the cause and run again: the next run continues from whichever is there"
            }
            Outcome::IoFailed => "; run again when the disk works",
            Outcome::Settings => "; `tidegate check` shows every setting and its origin",
            _ => "",
        };
        let text = format!("{}; {intact}{advice}", failure.message);
        words::line(&text, limits.error_line_bytes)
    }
}
