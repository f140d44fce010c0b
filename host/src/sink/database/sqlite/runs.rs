//! How runs ended, in `tidegate_runs`. Of a run under way there is no row: the folder beside the file tells when it is killed.

use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection as Link, params};

use crate::limits::Limits;
use crate::outcome::Failure;
use crate::settings::host::HostPlan;
use crate::sink::database::runs::is_a_run;
use crate::sink::database::{IsTrial, Recorded, RunRow, SeenRuns};

use super::error::{DatabaseFile, is_busy};
use super::{connect, exists, refuse_foreign, refuse_foreign_beside, table};

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS tidegate_runs (
        job TEXT NOT NULL, run_id TEXT NOT NULL, started TEXT NOT NULL, finished TEXT, exit_code INTEGER, outcome TEXT,
        message TEXT, generation TEXT, summary TEXT NOT NULL, PRIMARY KEY (job, run_id)
    ) STRICT;";
const DOING: &str = "cannot record the run";

/// A database file, as far as runs are recorded there.
pub struct Runs<'l> {
    pub link: &'l Link,
    pub place: &'l DatabaseFile,
    pub job: &'l str,
    pub is_strict: bool,
    pub limits: &'l Limits,
}

/// Records a run in a file that is there.
pub fn record_apart(
    path: &Path,
    host: &HostPlan,
    run: &RunRow,
    is_trial: IsTrial<'_>,
) -> Result<Recorded, Failure> {
    let place = DatabaseFile::of(path);
    if !exists(path, &place)? {
        return Ok(Recorded::Elsewhere);
    }
    refuse_foreign(path, host.writers)?;
    refuse_foreign_beside(path, host.writers)?;
    let link = connect(path, &place)?;
    let runs = Runs {
        link: &link,
        place: &place,
        job: &host.job,
        is_strict: host.output.sqlite_strict,
        limits: &host.limits,
    };
    let has_failed = (run.ended.as_ref()).is_some_and(|ended| ended.exit_code != 0);
    if has_failed && runs.last(1)?.first().is_some_and(|before| is_trial(before)) {
        return Ok(Recorded::Trial);
    }
    runs.write(run, "COMMIT")
}

impl Runs<'_> {
    /// The summaries of the last ones, at most `most`, the newest first; with what was done by hand.
    pub fn listed(&self, most: i64) -> Result<Vec<String>, Failure> {
        self.summaries("1 = 1", most)
    }

    /// The same of runs alone.
    pub fn last(&self, most: i64) -> Result<Vec<String>, Failure> {
        self.summaries(&is_a_run(), most)
    }

    fn summaries(&self, which: &str, most: i64) -> Result<Vec<String>, Failure> {
        let doing = || "cannot read `tidegate_runs`";
        if !self
            .place
            .done(table::exists(self.link, "tidegate_runs"), doing)?
        {
            return Ok(Vec::new());
        }
        // A summary larger than any that a run writes is read as an empty one.
        let sql = format!(
            "SELECT CASE WHEN length(summary) <= ?2 THEN summary ELSE '' END FROM tidegate_runs \
             WHERE job = ?1 AND finished IS NOT NULL AND {which} ORDER BY started DESC, run_id DESC LIMIT ?3"
        );
        let bytes_max = i64::try_from(self.limits.manifest_bytes).unwrap_or(i64::MAX);
        let read = self.link.prepare(&sql).and_then(|mut statement| {
            let rows = statement.query_map(params![self.job, bytes_max, most], |row| row.get(0))?;
            rows.collect()
        });
        self.place.done(read, doing)
    }

    /// What there is of it for somebody who only looks.
    pub fn seen(&self) -> Result<SeenRuns, Failure> {
        Ok(SeenRuns {
            ended: self.last(1)?.pop(),
            ..SeenRuns::default()
        })
    }

    /// Writes one that ended, in a transaction that ends by `end`.
    pub fn write(&self, run: &RunRow, end: &str) -> Result<Recorded, Failure> {
        let Some(ended) = &run.ended else {
            return Ok(Recorded::Yes);
        };
        let doing = || DOING;
        let since = Instant::now();
        while let Err(error) = self.link.execute_batch("BEGIN IMMEDIATE") {
            let most = self.limits.database_record;
            if !is_busy(&error) {
                return Err(self.place.failed(&error, DOING));
            }
            if since.elapsed() >= most {
                return Err(self.place.busy(DOING, most));
            }
        }
        let written = self
            .insert(run, ended)
            .and_then(|()| self.link.execute_batch(end));
        if written.is_err() && !self.link.is_autocommit() {
            // What cannot be rolled back goes when the connection is closed.
            let _ = self.link.execute_batch("ROLLBACK");
        }
        self.place.done(written, doing)?;
        Ok(Recorded::Yes)
    }

    fn insert(&self, run: &RunRow, ended: &crate::sink::database::Ending) -> rusqlite::Result<()> {
        if self.is_strict {
            self.link.execute_batch(TABLE)?;
        } else {
            self.link.execute_batch(&TABLE.replace(" STRICT", ""))?;
        }
        self.link.execute(
            "INSERT OR REPLACE INTO tidegate_runs (job, run_id, started, finished, exit_code, outcome, message, generation, summary) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                self.job,
                run.run_id,
                run.started,
                ended.finished,
                ended.exit_code,
                ended.outcome,
                ended.message,
                ended.generation,
                run.summary
            ],
        )?;
        self.link.execute(
            "DELETE FROM tidegate_runs WHERE job = ?1 AND run_id IN \
             (SELECT run_id FROM tidegate_runs WHERE job = ?1 ORDER BY started DESC, run_id DESC LIMIT -1 OFFSET ?2)",
            params![self.job, self.limits.runs_kept],
        )?;
        Ok(())
    }
}
