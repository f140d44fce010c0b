//! The same of a database: its state row is the commit record, and `last-run.json` lies in the job's folder, if it has one.

use std::path::Path;

use jiff::Timestamp;

use crate::folder::Folder;
use crate::limits::Limits;
use crate::outcome::Failure;
use crate::run::last_run::{self, LastRun};
use crate::settings::database_url::DatabaseUrl;
use crate::settings::host::HostPlan;
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
        let last = seen.state.map(|row| row.trusted()).transpose()?;
        Ok((last, seen.rows))
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
    let (last, rows) = seen;
    report.last_run = last_run;
    if let Ok(Some(folder)) = host.output_dir.as_deref().map_or(Ok(None), Folder::open) {
        report.look_at(&folder, &host.limits);
    }
    let last = last
        .as_ref()
        .map(|(name, manifest)| LastCommit { name, manifest });
    report.judge(now, last, most.success);
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
        } else if rows != Some(committed) {
            let has = rows.map_or_else(
                || "is missing".to_owned(),
                |rows| format!("has {}", counted(rows, "row")),
            );
            report.status = Status::Stale;
            report.reasons.push(format!(
                "the table `{table}` {has}, and {} were committed: somebody else wrote to it; `--full-refresh` repairs it",
                counted(committed, "record")
            ));
        }
    }
    report
}

fn last_run_in(folder: Option<&Path>, limits: &Limits) -> Result<Option<LastRun>, Failure> {
    let opened = folder.map(Folder::open).transpose()?.flatten();
    opened.map_or(Ok(None), |folder| last_run::read(&folder, limits))
}
