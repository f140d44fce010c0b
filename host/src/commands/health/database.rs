//! The same of a database: its state row is the commit record, and `tidegate_runs` has how runs ended. `last-run.json` lies in
//! the job's folder, if it has one.

use std::path::Path;

use jiff::Timestamp;

use crate::folder::Folder;
use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::run::hold::Hold;
use crate::run::last_run::{self, LastRun};
use crate::settings::database_url::DatabaseUrl;
use crate::settings::host::HostPlan;
use crate::sink::database::{SeenRuns, StateRow, Unended};
use crate::sink::manifest::Manifest;
use crate::sink::{self, LastCommit};
use crate::units::counted;

use super::{Ages, HealthReport, Status};

/// Looks at the job of `plan` in the database `url`. `verify`: the table has as many rows as were committed.
pub fn health_at(
    now: Timestamp,
    url: &DatabaseUrl,
    host: &HostPlan,
    most: Ages,
    verify: bool,
) -> HealthReport {
    let mut report = HealthReport::empty();
    let seen = sink::database::look(url, host, verify).and_then(|seen| {
        let last = seen.state.as_ref().map(StateRow::trusted).transpose()?;
        let recorded = seen.runs.ended.as_deref().map(last_run_of).transpose()?;
        Ok((seen, last, recorded))
    });
    let (seen, last_run) = match (seen, last_run_in(host.output_dir.as_deref(), &host.limits)) {
        (Ok(seen), Ok(last_run)) => (seen, last_run),
        (seen, last_run) => {
            let failures = seen.err().into_iter().chain(last_run.err());
            report
                .reasons
                .extend(failures.map(|failure| failure.message));
            return report;
        }
    };
    let (seen, last, recorded) = seen;
    let manifest = last.as_ref().map(|(_, manifest)| manifest);
    // What was committed elsewhere before says nothing of this database.
    let committed = recorded.as_ref().and_then(|run| run.generation.clone());
    report.last_run = later(recorded, last_run);
    if let Ok(Some(folder)) = host.output_dir.as_deref().map_or(Ok(None), Folder::open) {
        report.look_at(&folder, &host.limits);
    }
    report.look_at_runs(&seen.runs, manifest);
    let held = seen.held.map(|held| Hold::from(held).words());
    report.troubles.extend(held);
    let gone = gone(committed.as_deref(), manifest, seen.has_table);
    report.troubles.extend(gone);
    let last = last
        .as_ref()
        .map(|(name, manifest)| LastCommit { name, manifest });
    report.judge(now, last, most.success);
    report.reasons.extend(seen.runs.unread);
    if let Some(most) = most.cursor {
        report.judge_cursor(now, most);
    }
    if let Some(last) = last.filter(|_| verify) {
        let committed = last.manifest.counts.records;
        let table = last.manifest.table.as_deref().unwrap_or_default();
        if table != host.output.table {
            report.status = Status::Stale;
            report.reasons.push(format!(
                "the last set went into the table `{table}`, and OUTPUT_TABLE is `{}`",
                host.output.table
            ));
        } else if let Some(rows) = seen.rows.filter(|rows| *rows != committed) {
            report.status = Status::Stale;
            report.reasons.push(format!(
                "the table `{table}` has {}, and {} were committed: somebody else wrote to it; `--full-refresh` repairs it",
                counted(rows, "row"),
                counted(committed, "record")
            ));
        }
    }
    report
}

impl HealthReport {
    /// A run whose end nobody wrote down, and that is not under way.
    fn look_at_runs(&mut self, runs: &SeenRuns, last: Option<&Manifest>) {
        let Some(Unended {
            summary,
            is_under_way: false,
        }) = &runs.unended
        else {
            return;
        };
        let run = last_run_of(summary).ok();
        // It committed all there was, and then could not write that it did.
        let has_published = run.as_ref().is_some_and(|run| {
            last.is_some_and(|last| last.run_id == run.run_id && !last.unfinished)
        });
        let is_a_trial = run.as_ref().is_some_and(|run| {
            let before = self.last_run.as_ref();
            before.is_some_and(|before| last_run::is_set_otherwise(&run.set, before))
        });
        if !has_published && !is_a_trial {
            let begun = run.map_or_else(
                || "at a time that cannot be read".to_owned(),
                |run| run.started,
            );
            self.troubles.push(format!(
                "the last run, begun {begun}, was killed or lost its connection: its end is not recorded, and it does not hold the run lock; the next run goes on from the last commit"
            ));
        }
    }
}

/// What was published and is not there any more.
fn gone(committed: Option<&str>, last: Option<&Manifest>, has_table: bool) -> Option<String> {
    if let Some(last) = last {
        let table = last.table.as_deref().unwrap_or_default();
        return (!has_table).then(|| {
            format!(
                "the table `{table}` is missing, and {} were committed: restore it, or run with `--full-refresh`",
                counted(last.counts.records, "record")
            )
        });
    }
    let generation = committed?;
    Some(format!(
        "the row of the job in `tidegate_state` is missing, and generation {generation} was committed: restore it together with the table"
    ))
}

/// The one that ended later.
fn later(one: Option<LastRun>, other: Option<LastRun>) -> Option<LastRun> {
    let ended = |run: &LastRun| run.finished.parse::<Timestamp>().ok();
    one.into_iter().chain(other).max_by_key(ended)
}

fn last_run_of(summary: &str) -> Result<LastRun, Failure> {
    serde_json::from_str(summary).map_err(|error| {
        Failure::new(
            Outcome::OutputUnusable,
            format!("cannot read the last run in `tidegate_runs`: {error}"),
        )
    })
}

fn last_run_in(folder: Option<&Path>, limits: &Limits) -> Result<Option<LastRun>, Failure> {
    let opened = folder.map(Folder::open).transpose()?.flatten();
    opened.map_or(Ok(None), |folder| last_run::read(&folder, limits))
}
