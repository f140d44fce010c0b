//! `tidegate health FOLDER`: the health of every job, as one table with one code.
//!
//! Each job is looked at by a process of its own: a database that hangs, or a folder that does, is one row.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::ask::{Answered, ask};
use super::jobs::FleetJob;
use super::{column, words_of};
use crate::cli::{HealthArgs, HealthOutput};
use crate::commands::describe::wrapped;
use crate::commands::stdout;
use crate::outcome::{Ended, Failure};
use crate::run::metrics::{self, Metrics};
use crate::units::{counted, spoken, thousands};
use crate::words;

/// A job whose health could not be asked is worst, then one that is stale, then one that is unknown.
const STALE: u8 = 1;
const UNKNOWN: u8 = 2;
/// The column that says why; and below the table, what is shown of it there, in bytes and in characters on a line.
const WHY_COLUMNS: usize = 26;
const WHY_BYTES: usize = 1_000;
const WHY_WIDTH: usize = 76;

/// Prints the health of every job of `folder`. 0: all are fresh; 1: one is stale or failing; 2: one is unknown; any other
/// code: of one it could not be asked.
pub fn health(args: &HealthArgs, folder: &Path) -> Ended {
    let (resource, codes) = (args.of.resource.as_deref(), &[STALE, UNKNOWN]);
    let answered = ask(folder, resource, args.parallel, codes, |job| {
        words(args, job)
    });
    let rows: Vec<Row> = match answered {
        Ok(answered) => answered.iter().map(Row::of).collect(),
        Err(failure) => return Ended::of(Err::<(), Failure>(failure)),
    };
    let _ = stdout::print(&match args.output {
        Some(HealthOutput::Prometheus) => exposition(&rows),
        Some(HealthOutput::Json) => rows.iter().map(Row::json).collect(),
        None => table(&rows),
    });
    Ended {
        exit_code: worst(rows.iter().map(|row| row.code)),
        ..Ended::ok()
    }
}

/// What is shown of one job.
struct Row {
    label: String,
    name: String,
    tenant: String,
    code: u8,
    report: Value,
    why: String,
}

impl Row {
    fn of(answered: &Answered) -> Self {
        let report = answered.lines.last().cloned().unwrap_or_default();
        let reasons = report["reasons"].as_array();
        let reasons: Vec<&str> = reasons
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let why = answered.done.why.clone().or_else(|| answered.error.clone());
        let why = why.unwrap_or_else(|| reasons.join("; "));
        Self {
            label: answered.job.label(),
            name: answered.job.name.clone(),
            tenant: answered.job.tenant.clone(),
            code: answered.done.code,
            report,
            why,
        }
    }

    fn word(&self) -> &str {
        self.report["status"].as_str().unwrap_or("failed")
    }

    fn json(&self) -> String {
        let value = json!({
            "job": self.label,
            "tenant": self.tenant,
            "exit_code": self.code,
            "status": self.word(),
            "why": self.why,
            "report": self.report,
        });
        words::escaped(&value.to_string()) + "\n"
    }

    fn metrics(&self) -> Metrics {
        let job = self.report["job"].as_str().unwrap_or(&self.name);
        let mut metrics = Metrics::named(job.to_owned());
        metrics.tenant = Some(self.tenant.clone()).filter(|tenant| !tenant.is_empty());
        if let Some(values) = self.report["metrics"].as_object() {
            metrics.values.clone_from(values);
        }
        metrics.set(metrics::HEALTH, self.code);
        metrics
    }

    fn line(&self) -> String {
        let generation = &self.report["generation"];
        let age = generation["age_seconds"].as_u64();
        let age = age.map_or("-".to_owned(), |age| spoken(Duration::from_secs(age)));
        let records = generation["records"].as_u64();
        let records = records.map_or("-".to_owned(), thousands);
        line(&self.label, self.word(), &age, &records, &self.why)
    }
}

/// All jobs as metrics. Two of one JOB_NAME have the names of their files instead.
fn exposition(rows: &[Row]) -> String {
    let jobs = rows.iter().map(Row::metrics);
    let mut jobs: Vec<Metrics> = jobs.collect();
    for (at, row) in rows.iter().enumerate() {
        let (before, rest) = jobs.split_at_mut(at);
        let job = &mut rest[0];
        let is_taken = |other: &Metrics| (&other.tenant, &other.job) == (&job.tenant, &job.job);
        if before.iter().any(is_taken) {
            job.job.clone_from(&row.label);
        }
    }
    metrics::exposition(&jobs)
}

fn table(rows: &[Row]) -> String {
    let mut out = line("JOB", "HEALTH", "AGE", "RECORDS", "WHY");
    for row in rows {
        out.push_str(&row.line());
    }
    let fresh = rows.iter().filter(|row| row.code == 0).count();
    let jobs = counted(rows.len() as u64, "job");
    let _ = writeln!(out, "\n{fresh} of {jobs} fresh");
    // What the column has no room for.
    for row in rows.iter().filter(|row| !fits(&row.why)) {
        let _ = writeln!(out, "\n{}:", row.label);
        for line in wrapped(&words::line(&row.why, WHY_BYTES), WHY_WIDTH) {
            let letters: Vec<char> = line.chars().collect();
            for part in letters.chunks(WHY_WIDTH) {
                let _ = writeln!(out, "    {}", part.iter().collect::<String>());
            }
        }
    }
    out
}

fn fits(why: &str) -> bool {
    why.chars().count() <= WHY_COLUMNS
}

/// A row of 80 columns.
fn line(job: &str, health: &str, age: &str, records: &str, why: &str) -> String {
    let (job, why) = (column(job, 26), column(why, WHY_COLUMNS));
    let line = format!("{job:<26} {health:<7} {age:>6} {records:>10} {why}");
    format!("{}\n", line.trim_end())
}

fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    let rank = |code: &u8| match *code {
        0 => 3,
        UNKNOWN => 2,
        STALE => 1,
        _ => 0,
    };
    codes.into_iter().min_by_key(rank).unwrap_or(0)
}

/// What the process of one job is started with.
fn words(args: &HealthArgs, job: &FleetJob) -> Vec<std::ffi::OsString> {
    let HealthArgs {
        job: _,
        of,
        max_age,
        max_cursor_age,
        verify,
        output: _,
        parallel: _,
        fleet_parent: _,
    } = args;
    let mut words = words_of("health", &job.given(&of.given(None)));
    words.extend(["--output".into(), "json".into()]);
    for (flag, value) in [("--max-age", max_age), ("--max-cursor-age", max_cursor_age)] {
        if let Some(value) = value {
            words.extend([flag.into(), value.into()]);
        }
    }
    words.extend(verify.then(|| "--verify".into()));
    words
}
