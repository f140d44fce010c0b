//! `tidegate health FOLDER`: the health of every job, as one table with one code.
//!
//! Each job is looked at by a process of its own: a database that hangs, or a folder that does, is one row.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::child::{Lines, Stream};
use super::jobs::{FleetJob, alone, at};
use super::{Done, NO_DEADLINE, Pace, Start, column, each, words_of};
use crate::cli::{FleetArgs, GivenArgs, HealthArgs, OutputKind};
use crate::commands::stdout;
use crate::limits::{FLEET_PARALLEL_MAX, Limits};
use crate::outcome::{Ended, Failure};
use crate::process::watch::Watch;
use crate::units::{counted, spoken, thousands};
use crate::words;

/// A job whose health could not be asked is worst, then one that is stale, then one that is unknown.
const STALE: u8 = 1;
const UNKNOWN: u8 = 2;

/// Prints the health of every job of `folder`. 0: all are fresh; 1: one is stale or failing; 2: one is unknown; any other
/// code: of one it could not be asked.
pub fn health(args: &HealthArgs, folder: &Path) -> Ended {
    let watch = Watch::begin();
    watch.stop.set_deadline(NO_DEADLINE);
    let mut code = 0;
    let done = watch.block_on(async {
        let jobs = at(folder, args.resource.as_deref())?;
        let units = alone(&jobs);
        let fleet = FleetArgs {
            parallel: args.parallel,
            // Looking takes nothing from a neighbour.
            per_tenant: args.parallel.or(Some(FLEET_PARALLEL_MAX)),
            ..FleetArgs::default()
        };
        let pace = Pace::new(&fleet, &jobs)?;
        let seen = Arc::new(Asked {
            said: jobs.iter().map(|_| Mutex::default()).collect(),
        });
        let lines: Arc<dyn Lines> = Arc::clone(&seen) as Arc<dyn Lines>;
        let mut ended: Vec<Option<Done>> = jobs.iter().map(|_| None).collect();
        let start = Start {
            args: |jobs: &[&FleetJob], _| words(args, jobs[0]),
            log_format: "json",
            codes: &[STALE, UNKNOWN],
        };
        let asked = each(
            (&jobs, &units),
            start,
            (&pace, &watch.stop),
            &lines,
            |done| {
                let job = done.job;
                ended[job] = Some(done);
            },
        );
        asked.await?;
        let rows = jobs.iter().zip(&ended).enumerate();
        let rows = rows.filter_map(|(index, (job, done))| {
            Some(Row::of(job, done.as_ref()?, &seen.said(index)))
        });
        let rows: Vec<Row> = rows.collect();
        code = worst(rows.iter().map(|row| row.code));
        let _ = stdout::print(&match args.output {
            Some(OutputKind::Json) => rows.iter().map(Row::json).collect(),
            None => table(&rows),
        });
        Ok(())
    });
    match done {
        Ok(()) => Ended {
            exit_code: code,
            ..Ended::ok()
        },
        Err(failure) => Ended::of(Err::<(), Failure>(failure)),
    }
}

/// What the jobs' processes said.
struct Asked {
    said: Vec<Mutex<Said>>,
}

#[derive(Debug, Clone, Default)]
struct Said {
    report: Value,
    error: Option<String>,
}

impl Asked {
    fn said(&self, job: usize) -> Said {
        let said = self.said[job].lock();
        said.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Lines for Asked {
    fn line(&self, job: usize, stream: Stream, text: &str, is_within: bool) {
        let mut said = self.said[job]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match stream {
            Stream::Stdout if is_within => {
                said.report = serde_json::from_str(text).unwrap_or_default();
            }
            Stream::Stdout => {}
            Stream::Stderr => {
                let most = Limits::default().error_line_bytes;
                let text = text.strip_prefix("tidegate: ").unwrap_or(text);
                said.error.get_or_insert_with(|| words::line(text, most));
            }
        }
    }
}

/// What is shown of one job.
struct Row {
    label: String,
    tenant: String,
    code: u8,
    report: Value,
    why: String,
}

impl Row {
    fn of(job: &FleetJob, done: &Done, said: &Said) -> Self {
        let reasons = said.report["reasons"].as_array();
        let reasons: Vec<&str> = reasons
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let why = done.why.clone().or_else(|| said.error.clone());
        Self {
            label: job.label(),
            tenant: job.tenant.clone(),
            code: done.code,
            report: said.report.clone(),
            why: why.unwrap_or_else(|| reasons.join("; ")),
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

    fn line(&self) -> String {
        let generation = &self.report["generation"];
        let age = generation["age_seconds"].as_u64();
        let age = age.map_or("-".to_owned(), |age| spoken(Duration::from_secs(age)));
        let records = generation["records"].as_u64();
        let records = records.map_or("-".to_owned(), thousands);
        line(&self.label, self.word(), &age, &records, &self.why)
    }
}

fn table(rows: &[Row]) -> String {
    let mut out = line("JOB", "HEALTH", "AGE", "RECORDS", "WHY");
    for row in rows {
        out.push_str(&row.line());
    }
    let fresh = rows.iter().filter(|row| row.code == 0).count();
    let jobs = counted(rows.len() as u64, "job");
    out + &format!("\n{fresh} of {jobs} fresh\n")
}

/// A row of 80 columns.
fn line(job: &str, health: &str, age: &str, records: &str, why: &str) -> String {
    let (job, why) = (column(job, 26), column(why, 26));
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
        env_file,
        set,
        resource: _,
        max_age,
        max_cursor_age,
        under,
        verify,
        output: _,
        parallel: _,
        fleet_parent: _,
    } = args;
    let shared = GivenArgs {
        env_file: env_file.clone(),
        set: set.clone(),
        under: under.clone(),
        ..GivenArgs::default()
    };
    let mut words = words_of("health", &job.given(&shared));
    words.extend(["--output".into(), "json".into()]);
    for (flag, value) in [("--max-age", max_age), ("--max-cursor-age", max_cursor_age)] {
        if let Some(value) = value {
            words.extend([flag.into(), value.into()]);
        }
    }
    words.extend(verify.then(|| "--verify".into()));
    words
}
