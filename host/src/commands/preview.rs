//! Looks at the source without publishing: `preview` prints records as they would be, `check --online` what one request
//! showed.
//!
//! The component runs as in a run, in the same grants and under the same limits; only its staging folder is a temporary
//! one that nobody publishes from. OUTPUT_DIR is not touched.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::time::Duration;

use serde_json::Map;

use crate::cli::PreviewArgs;
use crate::commands::stdout;
use crate::component::{
    Description, Grants, JobFailure, Request, Sighting, Suggestion, in_its_words, is_settable,
};
use crate::egress::Egress;
use crate::folder::{self, Folder, Temporary};
use crate::log::{self, Log};
use crate::outcome::{Ended, Failure, Outcome};
use crate::process::stop::Stop;
use crate::process::watch::Watch;
use crate::records::key::Keys;
use crate::records::superseded::Superseded;
use crate::run::call_component;
use crate::run::setup::{self, Job, refusal};
use crate::secret::Redactor;
use crate::settings::catalogue::{self, Group};
use crate::settings::env_file;
use crate::settings::inputs::Commands;
use crate::settings::job_file::value::Takes;
use crate::settings::plan::MaxRejected;
use crate::staging::read::RECORDS;
use crate::units::counted;
use crate::words;

/// How often the records staged so far are counted while the component runs.
const COUNTED_EVERY: Duration = Duration::from_millis(20);

/// Prints the first records as they would be published, one JSON object a line.
pub fn preview(
    args: &PreviewArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Ended {
    let watch = Watch::begin();
    let all = Commands::Started;
    let given = setup::read_starting(&args.given, environment, all, &watch.stop);
    let redactor = setup::redactor(&given.0, &given.1);
    let job = given.1.job.clone();
    let log = log(&redactor);
    let loading = Job::new(&args.given, given, &watch.stop, &log);
    let previewed = watch.block_on(async {
        let job = loading.await?;
        let source = Callable::new(&job, &watch.stop, &log).await?;
        let limits = &job.host.limits;
        let _ = folder::sweep("preview", &job.host.temp_dir, limits, &|| {
            watch.stop.check()
        });
        let temporary = Temporary::new("preview", &job.host.temp_dir, limits)?;
        let staging = temporary.folder();
        let ran = source.stage(staging, args.limit).await;
        for line in lines(staging, args.limit, limits.preview_bytes) {
            source.print(&line)?;
        }
        source.tell_superseded(&lines(staging, usize::MAX, limits.preview_bytes));
        ran
    });
    log.component_ended();
    let previewed = previewed.map_err(|failure| in_its_words(failure, &log));
    Ended::hidden(previewed, &redactor).of_job(&job, &redactor)
}

/// Prints what one request showed. `Err`: a run would fail on it.
pub async fn online(job: &Job, stop: &Stop, redactor: &Redactor) -> Result<(), Failure> {
    let log = log(redactor);
    let source = Callable::new(job, stop, &log).await?;
    let looked = source.look().await;
    log.component_ended();
    let looked = looked?;
    for line in in_words(
        &looked,
        &job.description,
        job.inputs.layers().has_job_file(),
    ) {
        source.print(&line)?;
    }
    match looked.would_fail {
        // How many may be rejected is the host's to say.
        Some(JobFailure::Data(_)) if job.host.max_rejected != MaxRejected::Count(0) => Ok(()),
        Some(failure) => call_component::disposed(Err(failure), &source.egress, job),
        None => Ok(()),
    }
}

/// A log for a person, beside what is printed.
fn log(redactor: &Redactor) -> Log {
    let stderr = Box::new(std::io::stderr());
    Log::to(log::Format::Text, Map::new(), redactor.clone(), stderr)
}

/// A component that may be called, and what it may touch.
struct Callable<'a> {
    job: &'a Job,
    egress: Egress,
    stop: &'a Stop,
    log: &'a Log,
}

impl<'a> Callable<'a> {
    /// `Err`: its settings cannot be used, or the command must end.
    async fn new(job: &'a Job, stop: &'a Stop, log: &'a Log) -> Result<Self, Failure> {
        let Ok(plan) = &job.plan else {
            return Err(refusal(&job.problems(stop).await?));
        };
        Ok(Self {
            egress: call_component::egress(&job.host, plan, log.clone())?,
            job,
            stop,
            log,
        })
    }

    fn grants(&self, staging: Option<&Folder>) -> Result<Grants, Failure> {
        let limits = &self.job.host.limits;
        let plan = self.job.plan.as_ref();
        Ok(Grants {
            outbound: Some(self.egress.clone()),
            staging: staging.map(Folder::descriptor).transpose()?,
            staged_bytes_left: limits.staged_bytes,
            environment: plan.map_or_else(|_| Vec::new(), |known| known.environment.clone()),
            log: self.log.clone(),
            fetch_less: self.job.description.fetch_less(),
            cpu: limits.cpu,
            memory_bytes: limits.memory_bytes,
        })
    }

    /// Prints a line of data or of findings, without secrets.
    fn print(&self, line: &str) -> Result<(), Failure> {
        let line = words::escaped(&self.log.hide(line));
        stdout::print(&format!("{line}\n"))
    }

    /// Runs the component until it is done or has staged enough.
    async fn stage(&self, staging: &Folder, enough: usize) -> Result<(), Failure> {
        let grants = self.grants(Some(staging))?;
        let limits = &self.job.host.limits;
        let request = Request {
            state: None,
            window: None,
            full_refresh: false,
        };
        let ran = tokio::select! {
            biased;
            failure = self.stop.stopped() => return Err(failure),
            () = has(staging, enough, limits.preview_bytes) => return Ok(()),
            (ran, _) = self.job.connector.run(grants, limits, &request) => ran?,
        };
        let report = call_component::disposed(ran, &self.egress, self.job)?;
        let fetched = counted(report.fetched, "record");
        let told = format!(
            "{fetched} fetched: {} to publish, {} deleted, {} rejected\n",
            report.staged, report.deleted, report.rejected
        );
        let _ = std::io::stderr().write_all(told.as_bytes());
        Ok(())
    }

    /// Says how many of these records a later one of the same key replaces, if any.
    fn tell_superseded(&self, records: &[String]) {
        let keys = Keys::new(&self.job.host.output.keys);
        if keys.is_empty() {
            return;
        }
        let mut last = BTreeMap::new();
        let superseded = Superseded::default();
        let mut key = Vec::new();
        for record in records {
            // A run says what is wrong with it.
            if keys.read(record, &mut key).is_ok()
                && let Some(older) = last.insert(key.clone(), record)
            {
                superseded.count(older.as_bytes(), Some(record.as_bytes()));
            }
        }
        let tally = superseded.tally();
        if tally.records > 0 {
            let read = counted(records.len() as u64, "record");
            let first = tally
                .first
                .map_or_else(String::new, |first| format!(": {first}"));
            let told = format!(
                "{} of {read} superseded: a later one has the same PRIMARY_KEY{first}\n",
                tally.records
            );
            let told = words::escaped(&self.log.hide(&told));
            let _ = std::io::stderr().write_all(told.as_bytes());
        }
    }

    /// Has the component make one request and say what it saw.
    async fn look(&self) -> Result<Sighting, Failure> {
        let grants = self.grants(None)?;
        let limits = &self.job.host.limits;
        let looked = tokio::select! {
            biased;
            failure = self.stop.stopped() => return Err(failure),
            looked = self.job.connector.look(grants, limits) => looked?,
        };
        let looked = looked.ok_or_else(|| {
            Failure::new(
                Outcome::Settings,
                "this component does not support `check --online` (it exports no `tidegate:sync/probe`): leave `--online` out, or try `tidegate preview`",
            )
        })?;
        call_component::disposed(looked, &self.egress, self.job)
    }
}

/// What was seen, for a person: findings, the first record, the next request, and lines to paste.
fn in_words(sighting: &Sighting, description: &Description, has_job_file: bool) -> Vec<String> {
    let row = |topic: &str, found: &str| format!("  {topic:<12} {found}");
    let mut lines = vec![String::new(), "what one request showed:".to_owned()];
    for finding in &sighting.findings {
        lines.push(row(&finding.topic, &finding.found));
    }
    if let Some(record) = &sighting.first_record {
        lines.push(row("first record", record));
    }
    let next = sighting.next_request.as_deref();
    lines.push(row("next request", next.unwrap_or("none")));
    lines.push(String::new());
    let fit: Vec<(&Suggestion, String)> = sighting
        .suggestions
        .iter()
        .filter_map(|suggestion| {
            Some((suggestion, to_paste(suggestion, description, has_job_file)?))
        })
        .collect();
    if fit.is_empty() {
        lines.push("nothing to add to the settings".to_owned());
    } else {
        lines.push("lines to paste into the settings file, if they fit:".to_owned());
    }
    for (suggestion, line) in &fit {
        lines.push(format!("  # {}", suggestion.reason));
        lines.push(format!("  {line}"));
    }
    let refused = sighting.suggestions.len() - fit.len();
    if refused > 0 {
        let suggested = counted(refused as u64, "suggestion");
        lines.push(format!(
            "{suggested} of the component left out: it may suggest settings of the source that it declared, and nothing that widens what it may do"
        ));
    }
    if sighting.left_out > 0 {
        lines.push(format!(
            "{} more findings and suggestions left out",
            sighting.left_out
        ));
    }
    lines
}

/// The line of a settings file. None where the component may not suggest it: it did not declare the setting, or it is one of
/// the host's, or a secret, or decides who is talked to and where the credential goes; or where no line says that value.
fn to_paste(
    suggestion: &Suggestion,
    description: &Description,
    has_job_file: bool,
) -> Option<String> {
    let name = suggestion.name.as_str();
    let declared = description
        .settings
        .iter()
        .find(|known| known.name == name)?;
    // The host uses these: who is asked, and how the credential is sent.
    let is_shared = catalogue::row(name).is_some_and(|row| row.described_by_component);
    if !is_settable(declared) || is_shared {
        return None;
    }
    let value = suggestion.value.as_deref()?;
    if has_job_file {
        let row = catalogue::row(name);
        let takes = row.map_or_else(|| Takes::of_declared(declared), Takes::of_row);
        let table = row.map_or(Group::Source, |row| row.group).table();
        return Some(format!("{}  # in [{table}]", takes.line(name, value)));
    }
    env_file::line(name, value)
}

/// The first whole lines of what was staged, at most `limit` and as far as `bytes_max`. What is no plain file or no text counts
/// for nothing.
fn lines(staging: &Folder, limit: usize, bytes_max: u64) -> Vec<String> {
    let Ok(Some((file, _))) = staging.file(RECORDS) else {
        return Vec::new();
    };
    let mut file = BufReader::new(file.take(bytes_max));
    let mut lines = Vec::new();
    let mut line = String::new();
    // The last one may not be whole yet.
    while lines.len() < limit && file.read_line(&mut line).is_ok() && line.ends_with('\n') {
        lines.push(line.trim_end_matches('\n').to_owned());
        line.clear();
    }
    lines
}

/// Ends when so many records are staged, or more bytes than are looked at.
async fn has(staging: &Folder, enough: usize, bytes_max: u64) {
    loop {
        let staged = staging.size(RECORDS).ok().flatten().unwrap_or_default();
        let is_much = u64::try_from(staged).is_ok_and(|bytes| bytes > bytes_max);
        if is_much || lines(staging, enough, bytes_max).len() >= enough {
            return;
        }
        tokio::time::sleep(COUNTED_EVERY).await;
    }
}
