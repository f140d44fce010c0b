//! `tidegate run FOLDER`: the jobs' logs are handed on, each line with its job; a line or a row for each job says how it ended.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::child::{Lines, Stream};
use super::jobs::{FleetJob, at, part, units};
use super::report;
use super::{Done, NO_DEADLINE, Pace, Start, column, each, words_of, worst};
use crate::cli::{FleetArgs, GivenArgs, OutputKind, RunArgs};
use crate::commands::stdout;
use crate::limits::{FLEET_NAMED_MAX, Limits};
use crate::log::{Format, Log};
use crate::outcome::{Ended, Failure, Outcome};
use crate::process::stop::Stop;
use crate::process::watch::Watch;
use crate::run::setup;
use crate::units::{counted, thousands};
use crate::words;

/// The last line of a run's log.
const LAST_LINE: &str = "\"msg\":\"run finished\"";
const WARNING: &str = "\"level\":\"warn\"";

/// Runs every job of `folder` once. The code is the worst of theirs, or 143 or 130 where a signal ended the fleet.
pub fn run(
    args: &RunArgs,
    folder: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Ended {
    let watch = Watch::begin();
    let shared = GivenArgs {
        job: None,
        resource: None,
        ..args.given.clone()
    };
    let (inputs, host) = setup::read(&shared, environment, &watch.stop);
    let redactor = setup::redactor(&inputs, &host);
    watch.stop.set_deadline(NO_DEADLINE);
    let form = match (
        args.output,
        host.log_format,
        std::io::stdout().is_terminal(),
    ) {
        (Some(OutputKind::Json), _, _) => Form::Summaries,
        (_, None | Some(Format::Text), true) => Form::Table,
        (_, Some(Format::Text), false) => Form::Text,
        _ => Form::Json,
    };
    let log_format = if form == Form::Text {
        Format::Text
    } else {
        Format::Json
    };
    let mut code = None;
    let mut is_stopped = false;
    let done = watch.block_on(async {
        let jobs = at(folder, args.given.resource.as_deref())?;
        let jobs = part(jobs, args.fleet.shard.as_deref())?;
        let pace = Pace::new(&args.fleet, &jobs)?;
        let log = Log::new(log_format, Map::new(), redactor.clone());
        let fleet = Fleet::new(jobs, form, log);
        let all = fleet.all(args, &pace, &watch.stop).await;
        code = Some(all.code);
        is_stopped = watch.stop.check().is_err();
        all.result
    });
    if code.is_some() && !is_stopped && !args.dry_run {
        let log_format = match form {
            Form::Table => Format::Terminal,
            Form::Summaries => Format::Silent,
            Form::Json | Form::Text => log_format,
        };
        let log = Log::new(log_format, Map::new(), redactor.clone());
        report::after_run(args, folder, host.status_page.is_some(), &log);
    }
    let ended = Ended::hidden(done, &redactor);
    match code {
        // The worst of the jobs is no outcome of this process.
        Some(code) => Ended {
            exit_code: code,
            ..ended
        },
        _ => ended,
    }
}

/// What is shown of a fleet on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The lines of the jobs and one for each end, as JSON.
    Json,
    /// The same as text.
    Text,
    /// A table, for a person.
    Table,
    /// One JSON object for each end: `--output json`.
    Summaries,
}

struct Fleet {
    jobs: Vec<FleetJob>,
    form: Form,
    log: Log,
    lines: Arc<Passed>,
}

/// How all of it ended.
struct All {
    code: u8,
    result: Result<(), Failure>,
}

impl Fleet {
    fn new(jobs: Vec<FleetJob>, form: Form, log: Log) -> Self {
        let seen = jobs.iter().map(|job| Seen {
            label: job.label(),
            name: job.name.clone(),
            told: Mutex::default(),
        });
        let lines = Arc::new(Passed {
            form,
            jobs: seen.collect(),
        });
        Self {
            jobs,
            form,
            log,
            lines,
        }
    }

    async fn all(&self, args: &RunArgs, pace: &Pace, stop: &Stop) -> All {
        let begun = Instant::now();
        if self.form == Form::Table {
            let _ = stdout::print(&table_line("JOB", "CODE", "OUTCOME", "RECORDS", "TIME"));
        }
        let mut codes = Vec::new();
        let mut failed = Vec::new();
        let mut is_silent = true;
        let lines: Arc<dyn Lines> = Arc::clone(&self.lines) as Arc<dyn Lines>;
        let start = Start {
            args: |jobs: &[&FleetJob], places| words(args, jobs, places),
            log_format: match self.form {
                Form::Text => "text",
                _ => "json",
            },
            codes: &[],
        };
        let units = units(&self.jobs);
        let jobs = (&*self.jobs, &*units);
        let ran = each(jobs, start, (pace, stop), &lines, |done| {
            codes.push(done.code);
            if done.code != 0 {
                failed.push(format!("{} {}", self.jobs[done.job].label(), done.code));
                is_silent &= done.why.is_none() && self.lines.told(done.job).error.is_none();
            }
            self.tell(&done);
        });
        let ran = ran.await;
        let code = match &ran {
            Ok(()) => worst(codes.iter().copied()),
            Err(stopped) => stopped.outcome.exit_code(),
        };
        self.tell_all(&codes, failed.len(), code, begun.elapsed());
        let result = match ran {
            Ok(()) if failed.is_empty() => Ok(()),
            // What none of them says, as its settings for alerts want it, is not said of all of them.
            Ok(()) if is_silent => Ok(()),
            ended => Err(self.failure(ended.err(), codes.len(), &failed)),
        };
        All { code, result }
    }

    /// How one job ended: a line or a row.
    fn tell(&self, done: &Done) {
        let job = &self.jobs[done.job];
        let told = self.lines.told(done.job);
        let summary = |name: &str| told.summary.get(name).cloned().unwrap_or_default();
        let outcome = match (&done.why, &summary("outcome")) {
            (None, Value::String(word)) => word.clone(),
            _ => word_of(done.code).to_owned(),
        };
        if let Some(why) = &done.why {
            tell_on_stderr(&format!("{}: exit {}: {why}", job.label(), done.code));
        }
        if self.form == Form::Table {
            let records = summary("records").as_u64().map(thousands);
            let records = records.filter(|_| done.code == 0).unwrap_or_default();
            let took = seconds(done.took);
            let code = done.code.to_string();
            let row = table_line(&job.label(), &code, &outcome, &records, &took);
            let _ = stdout::print(&row);
            return;
        }
        let said = summary("message").as_str().map(str::to_owned);
        let fields = json!({
            "job": job.label(),
            "fleet_job": job.label(),
            "tenant": job.tenant,
            "exit_code": done.code,
            "outcome": outcome,
            "message": done.why.clone().or(told.error.filter(|_| done.code != 0)).or(said),
            "records": summary("records"),
            "fetched": summary("fetched"),
            "warnings": told.warnings,
            "duration_ms": millis(done.took),
            "dropped_lines": done.dropped,
        });
        if self.form == Form::Summaries {
            let _ = stdout::print(&format!("{}\n", words::escaped(&fields.to_string())));
        } else if done.code == 0 {
            self.log.info("job ended", fields);
        } else {
            self.log.error("job ended", fields);
        }
    }

    /// How all of them ended.
    fn tell_all(&self, codes: &[u8], failed: usize, code: u8, took: Duration) {
        let started = codes.len();
        if self.form == Form::Table {
            let text = format!(
                "\n{} in {}: {} well, {failed} failed, {} not started\n",
                counted(self.jobs.len() as u64, "job"),
                seconds(took),
                started - failed,
                self.jobs.len() - started,
            );
            let _ = stdout::print(&text);
            return;
        }
        let fields = json!({
            "jobs": self.jobs.len(),
            "failed": failed,
            "not_started": self.jobs.len() - started,
            "exit_code": code,
            "duration_ms": millis(took),
        });
        if self.form == Form::Summaries {
            let _ = stdout::print(&format!("{fields}\n"));
        } else if code == 0 {
            self.log.info("fleet finished", fields);
        } else {
            self.log.error("fleet finished", fields);
        }
    }

    fn failure(&self, stopped: Option<Failure>, started: usize, failed: &[String]) -> Failure {
        let named = failed.iter().take(FLEET_NAMED_MAX).cloned();
        let mut named: Vec<String> = named.collect();
        if failed.len() > FLEET_NAMED_MAX {
            named.push(format!("and {} more", failed.len() - FLEET_NAMED_MAX));
        }
        let named = if named.is_empty() {
            String::new()
        } else {
            format!(": {}", named.join(", "))
        };
        let jobs = counted(self.jobs.len() as u64, "job");
        let failures = format!("{} of {jobs} failed{named}", failed.len());
        match stopped {
            None => Failure::new(
                Outcome::ComponentFailed,
                format!("{failures}; the others are not affected; see the line of each"),
            ),
            Some(stopped) => {
                let unstarted = self.jobs.len() - started;
                let message = stopped.message;
                Failure::new(
                    stopped.outcome,
                    format!(
                        "{message}; all started jobs have ended; {failures}; {unstarted} not started"
                    ),
                )
            }
        }
    }
}

/// What was seen of the jobs' output, and what is handed on of it.
struct Passed {
    form: Form,
    jobs: Vec<Seen>,
}

struct Seen {
    label: String,
    name: String,
    told: Mutex<Told>,
}

/// What a job said of itself.
#[derive(Debug, Clone, Default)]
struct Told {
    summary: Value,
    warnings: u64,
    /// Its line on stderr, without our name.
    error: Option<String>,
}

impl Passed {
    fn told(&self, job: usize) -> Told {
        let told = self.jobs[job].told.lock();
        told.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Lines for Passed {
    fn line(&self, job: usize, stream: Stream, text: &str, is_within: bool) {
        let seen = &self.jobs[job];
        let mut told = seen.told.lock().unwrap_or_else(PoisonError::into_inner);
        match stream {
            Stream::Stdout => {
                if text.contains(LAST_LINE) {
                    told.summary = serde_json::from_str(text).unwrap_or_default();
                }
                told.warnings += u64::from(text.contains(WARNING));
                drop(told);
                let line = match self.form {
                    Form::Json => with_job(text, &seen.label),
                    Form::Text => format!("{}: {}\n", seen.label, words::escaped(text)),
                    Form::Table | Form::Summaries => return,
                };
                if is_within {
                    // A log that cannot be written changes nothing.
                    let _ = std::io::stdout().write_all(line.as_bytes());
                }
            }
            Stream::Stderr => {
                let text = text.strip_prefix("tidegate: ").unwrap_or(text);
                let named = text.strip_prefix(&*seen.name);
                let text = named
                    .and_then(|rest| rest.strip_prefix(": "))
                    .unwrap_or(text);
                let most = Limits::default().error_line_bytes;
                told.error.get_or_insert_with(|| words::line(text, most));
                drop(told);
                if is_within {
                    tell_on_stderr(&format!("{}: {text}", seen.label));
                }
            }
        }
    }
}

/// A line of a job's log, with the job of this fleet.
fn with_job(line: &str, label: &str) -> String {
    let line = words::escaped(line.trim_end());
    match line
        .strip_suffix('}')
        .filter(|line| line.starts_with("{\""))
    {
        // A label needs no escapes: see `jobs`.
        Some(line) => format!("{line},\"fleet_job\":\"{label}\"}}\n"),
        None => format!(
            "{}\n",
            json!({"level": "info", "msg": "job wrote", "text": line, "fleet_job": label})
        ),
    }
}

/// A line about one job, as `main` writes the last one.
fn tell_on_stderr(text: &str) {
    let line = words::line(text, Limits::default().error_line_bytes);
    let _ = std::io::stderr().write_all(format!("tidegate: {line}\n").as_bytes());
}

/// What a process is started with: all that was said of the run, for this job, or for these that run together.
fn words(args: &RunArgs, jobs: &[&FleetJob], places: usize) -> Vec<OsString> {
    let mut given = jobs[0].given(&args.given);
    let family = jobs[0].family().filter(|_| jobs.len() > 1);
    if let Some(family) = family {
        // What is each one's own, it takes from there.
        given.env_file.clone_from(&args.given.env_file);
        given.job = Some(family.to_owned());
        given.resource = None;
    }

    let RunArgs {
        given: _,
        fleet: FleetArgs { .. },
        full_refresh,
        from,
        to,
        dry_run,
        allow_shrink,
        accept_change,
        adopt,
        // What it prints is for us.
        output: _,
        quiet: _,
    } = args;
    let mut words = words_of("run", &given);
    if family.is_some() {
        let members = jobs
            .iter()
            .map(|job| format!("--together={}", job.member()));
        words.extend(members.map(Into::into));
        words.push(format!("--parallel={places}").into());
    }
    let flags = [
        (full_refresh, "--full-refresh"),
        (dry_run, "--dry-run"),
        (allow_shrink, "--allow-shrink"),
        (adopt, "--adopt"),
    ];
    words.extend(
        flags
            .iter()
            .filter(|(is_set, _)| **is_set)
            .map(|(_, flag)| flag.into()),
    );
    for (flag, value) in [("--from", from), ("--to", to)] {
        if let Some(value) = value {
            words.extend([flag.into(), value.into()]);
        }
    }
    for name in accept_change {
        words.extend(["--accept-change".into(), name.into()]);
    }
    words
}

/// The word for a code, where the job had no chance to say one.
fn word_of(code: u8) -> &'static str {
    let known = Outcome::ALL.iter().find(|known| known.exit_code() == code);
    known.map_or("unknown", |known| known.word())
}

/// A row of 80 columns.
fn table_line(job: &str, code: &str, outcome: &str, records: &str, took: &str) -> String {
    let job = column(job, 38);
    format!("{job:<38} {code:>4}  {outcome:<16} {records:>10} {took:>6}\n")
}

fn seconds(took: Duration) -> String {
    match took.as_secs() {
        0..100 => format!("{:.1}s", took.as_secs_f64()),
        _ => crate::units::spoken(took),
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_log_is_json_with_its_job_whatever_it_was() {
        for line in [
            "{\"msg\":\"x\"}",
            "{}",
            "not json\u{1b}[2J",
            "{\"cut\":\"of",
        ] {
            let passed = with_job(line, "acme/orders");

            let read: Value = serde_json::from_str(&passed).unwrap();
            assert_eq!(read["fleet_job"], "acme/orders");
            assert_eq!(passed.lines().count(), 1);
        }
    }

    #[test]
    fn a_row_has_80_columns_at_the_most() {
        let long = format!("{}/{}", "t".repeat(63), "j".repeat(63));

        let row = table_line(&long, "143", "component_failed", "12,345,678", "15.5m");

        assert!(row.trim_end().chars().count() <= 80, "{row}");
    }
}
