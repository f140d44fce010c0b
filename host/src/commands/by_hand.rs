//! What a person does to the output of a job by hand: it has an id as a run has, and a row in `tidegate runs`.

use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::json;

use crate::folder::{Folder, random_digits};
use crate::outcome::{Failure, Outcome};
use crate::run::history;
use crate::settings::host::HostPlan;
use crate::sink::database::{self, Ending, RunRow};
use crate::sink::files::generation;

/// One thing that is done by hand.
pub struct ByHand {
    began: Timestamp,
    clock: Instant,
    /// As of a run.
    pub run_id: String,
}

/// What there is to say of it.
pub struct Done<'d> {
    /// In a word, as the outcome of a run.
    pub outcome: &'static str,
    /// The generation that it is about, or that readers see now.
    pub generation: String,
    /// Records in that.
    pub records: u64,
    /// The cursor there.
    pub cursor: Option<&'d str>,
    /// In a sentence.
    pub message: String,
}

impl ByHand {
    /// Begins it.
    pub fn begin() -> Self {
        let began = Timestamp::now();
        let digits = random_digits() & 0xff_ffff;
        Self {
            began,
            clock: Instant::now(),
            run_id: format!("{}-{digits:06x}", began.strftime("%Y%m%dT%H%M%SZ")),
        }
    }

    /// When it began, RFC 3339 in UTC.
    pub fn since(&self) -> String {
        format!("{:.0}", self.began)
    }

    /// Writes it down, in the folder and in the database, where there is one. Best effort: it is done, whatever becomes of this.
    pub fn record(&self, output: Option<&Folder>, host: &HostPlan, done: Done<'_>) {
        let (started, finished) = (
            format!("{:.3}", self.began),
            format!("{:.3}", Timestamp::now()),
        );
        let line = json!({
            "run_id": self.run_id,
            "job": host.job,
            "started": started,
            "finished": finished,
            "exit_code": 0,
            "outcome": done.outcome,
            "committed": "yes",
            "generation": done.generation,
            "records": done.records,
            "cursor": done.cursor,
            "duration_ms": u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX),
            "message": done.message,
        });
        if let Some(output) = output {
            let _ = history::add(output, &self.run_id, &line, &host.limits);
        }
        let Some(url) = &host.database else { return };
        let row = RunRow {
            run_id: self.run_id.clone(),
            started,
            ended: Some(Ending {
                finished,
                exit_code: 0,
                outcome: done.outcome.to_owned(),
                message: Some(done.message),
                generation: Some(done.generation),
            }),
            summary: line.to_string(),
        };
        let _ = database::record_apart(url, host, &row, &|_| false);
    }
}

/// OUTPUT_DIR, to be changed. `Err` (64): nothing was published there.
pub fn output(path: &Path, host: &HostPlan, command: &str) -> Result<Folder, Failure> {
    Folder::open_for(path, host.writers)?.ok_or_else(|| {
        let path = path.display();
        refused(
            command,
            &format!("finds no `{path}`: nothing was published yet"),
        )
    })
}

/// A refusal (64) of what was asked for.
pub fn refused(command: &str, why: &str) -> Failure {
    Failure::new(Outcome::Usage, format!("`tidegate {command}` {why}"))
}

/// A refusal (64) of a generation that is not there.
pub fn missing(output: &Folder, command: &str, number: u64) -> Failure {
    let kept = generation::kept(output).unwrap_or_default();
    let kept: Vec<String> = kept.iter().map(u64::to_string).collect();
    let kept = kept.join(", ");
    refused(
        command,
        &format!(
            "cannot find generation {number}: {kept} are kept (KEEP_GENERATIONS, KEEP_FOR, `tidegate pin`)"
        ),
    )
}
