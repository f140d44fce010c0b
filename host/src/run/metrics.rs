//! What is known of jobs as metrics, in the text format of Prometheus: for METRICS_FILE and `health --output prometheus`.
//!
//! A run is read from its summary as JSON, whether it has just ended or is a line of `runs.ndjson`. All metrics are gauges: a
//! process that ends with its run can count nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::run::cursor_time::{self, CLOCKS_APART};
use crate::run::last_run::{LastRun, is_set_otherwise};
use crate::settings::host::HostPlan;
use crate::sink::generation_name::GenerationName;
use crate::words;

const LAST_SUCCESS: &str = "tidegate_last_success_timestamp_seconds";
const LAST_PUBLISH: &str = "tidegate_last_publish_timestamp_seconds";
const FAILURES: &str = "tidegate_consecutive_failures";
const RECORDS: &str = "tidegate_published_records";
const GENERATION: &str = "tidegate_published_generation";
const CURSOR: &str = "tidegate_cursor_timestamp_seconds";
const HELD: &str = "tidegate_held";
const MAX_AGE: &str = "tidegate_max_age_seconds";
const MAX_CURSOR_AGE: &str = "tidegate_max_cursor_age_seconds";
/// What `tidegate health` exits with.
pub const HEALTH: &str = "tidegate_health_exit_code";

/// What a run that failed early does not know, so that what was known before stays.
const STAYS: [&str; 3] = [RECORDS, GENERATION, CURSOR];

/// Where the value of a metric is.
#[derive(Debug, Clone, Copy)]
enum From {
    /// A number of the last run's summary.
    Member(&'static str),
    /// Milliseconds there.
    Millis(&'static str),
    /// A time there.
    Time(&'static str),
    /// A text there, which is a label of this name.
    Label(&'static str),
    /// Somewhere else.
    Elsewhere,
}

impl From {
    fn is(self, member: &str) -> bool {
        matches!(self, Self::Member(name) if name == member)
    }
}

/// Every metric: its name, where it is from, and its help; in the order in which they are written.
const ALL: [(&str, From, &str); 24] = [
    (
        "tidegate_info",
        From::Elsewhere,
        "Version of tidegate. Always 1.",
    ),
    (
        "tidegate_last_run_timestamp_seconds",
        From::Time("finished"),
        "When the last run ended.",
    ),
    (
        "tidegate_last_run_exit_code",
        From::Member("exit_code"),
        "Exit code of the last run. 0: it published, or there was nothing new.",
    ),
    (
        "tidegate_last_run_info",
        From::Label("outcome"),
        "Outcome of the last run, as a word. Always 1.",
    ),
    (
        "tidegate_last_run_duration_seconds",
        From::Millis("duration_ms"),
        "Duration of the last run.",
    ),
    (
        "tidegate_last_run_fetched_records",
        From::Member("fetched"),
        "Records in the source's answers to the last run.",
    ),
    (
        "tidegate_last_run_new_records",
        From::Member("new"),
        "Records that the last run added to the published set.",
    ),
    (
        "tidegate_last_run_changed_records",
        From::Member("changed"),
        "Records of the published set that the last run changed.",
    ),
    (
        "tidegate_last_run_gone_records",
        From::Member("gone"),
        "Records that the last run took out of the published set.",
    ),
    (
        "tidegate_last_run_rejected_records",
        From::Member("rejected"),
        "Records that the last run set aside.",
    ),
    (
        "tidegate_last_run_requests",
        From::Member("requests"),
        "Requests of the last run, retries and redirects included.",
    ),
    (
        "tidegate_last_run_received_bytes",
        From::Member("wire_bytes"),
        "Bytes of the source's answers to the last run, as they were sent.",
    ),
    (
        "tidegate_last_run_component_cpu_seconds",
        From::Millis("component_cpu_ms"),
        "CPU time of the component in the last run.",
    ),
    (
        "tidegate_last_run_component_memory_peak_bytes",
        From::Member("component_memory_peak_bytes"),
        "Maximum memory of the component in the last run.",
    ),
    (
        LAST_SUCCESS,
        From::Elsewhere,
        "When a run last succeeded: it published, or there was nothing new.",
    ),
    (
        LAST_PUBLISH,
        From::Elsewhere,
        "When a run last published something new.",
    ),
    (
        FAILURES,
        From::Elsewhere,
        "Runs that failed since the last success.",
    ),
    (RECORDS, From::Elsewhere, "Records in the published set."),
    (
        GENERATION,
        From::Elsewhere,
        "Number of the published generation.",
    ),
    (
        CURSOR,
        From::Elsewhere,
        "Time of the newest record, which is the cursor. With MAX_CURSOR_AGE.",
    ),
    (
        HELD,
        From::Elsewhere,
        "1 if the job is held by `tidegate rollback --hold`, otherwise 0.",
    ),
    (
        MAX_AGE,
        From::Elsewhere,
        "Maximum age of the last success (MAX_AGE).",
    ),
    (
        MAX_CURSOR_AGE,
        From::Elsewhere,
        "Maximum age of the newest record (MAX_CURSOR_AGE).",
    ),
    (
        HEALTH,
        From::Elsewhere,
        "Exit code of `tidegate health`. 0: fresh, 1: stale or failing, 2: unknown, other: it could not be asked.",
    ),
];

/// The metrics of one job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// `JOB_NAME`.
    pub job: String,
    /// Whose job it is, where that is known.
    pub tenant: Option<String>,
    /// By name: a number, or an object with one more label, of which the number is 1.
    pub values: Map<String, Value>,
}

impl Metrics {
    /// What is known of a job before anything is looked at. The ages are the most that its last success and its newest record may have.
    pub fn of(host: &HostPlan, max_age: Duration, max_cursor_age: Option<Duration>) -> Self {
        let mut metrics = Self {
            job: host.job.clone(),
            tenant: host
                .tenant
                .as_ref()
                .map(|tenant| tenant.name().to_owned())
                .filter(|name| !name.is_empty()),
            values: Map::new(),
        };
        metrics.version();
        metrics.set(MAX_AGE, max_age.as_secs());
        if let Some(age) = max_cursor_age {
            metrics.set(MAX_CURSOR_AGE, age.as_secs());
        }
        metrics
    }

    /// Of a job of which only the name is known.
    pub fn named(job: String) -> Self {
        let mut metrics = Self {
            job,
            ..Self::default()
        };
        metrics.version();
        metrics
    }

    fn version(&mut self) {
        let version = json!({ "version": env!("CARGO_PKG_VERSION") });
        self.values.insert("tidegate_info".to_owned(), version);
    }

    /// Sets one.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.values.insert(name.to_owned(), value.into());
    }

    /// Takes over how a run ended: its summary.
    pub fn last_run(&mut self, run: &Value) {
        for (name, from, _) in ALL {
            let value = match from {
                From::Member(member) => run[member].as_u64().map(Value::from),
                From::Millis(member) => run[member].as_u64().map(|millis| seconds(millis).into()),
                From::Time(member) => time(&run[member]).map(Value::from),
                From::Label(member) => run[member].as_str().map(|text| json!({ (member): text })),
                From::Elsewhere => None,
            };
            // A run that published nothing changed nothing, whatever it would have changed.
            let is_change = ["new", "changed", "gone"]
                .iter()
                .any(|member| from.is(member));
            let is_void = is_change && run["committed"] == "no";
            if let Some(value) = value.filter(|_| !is_void) {
                self.set(name, value);
            }
        }
        let generation = run["generation"].as_str().and_then(GenerationName::parse);
        if let Some(generation) = generation {
            self.set(GENERATION, generation.number);
            self.set(RECORDS, run["records"].clone());
        }
    }

    /// Takes over what is published.
    pub fn published(&mut self, generation: &str, records: u64) {
        if let Some(generation) = GenerationName::parse(generation) {
            self.set(GENERATION, generation.number);
        }
        self.set(RECORDS, records);
    }

    /// Takes over the cursor, where its age matters and it is a time.
    pub fn cursor(&mut self, cursor: Option<&str>) {
        if !self.values.contains_key(MAX_CURSOR_AGE) {
            return;
        }
        if let Some(at) = cursor.and_then(cursor_time::of) {
            self.set(CURSOR, stamp(at));
        }
    }

    pub fn held(&mut self, is_held: bool) {
        self.set(HELD, u64::from(is_held));
    }

    /// A run succeeded at this time (RFC 3339), if no later one did.
    pub fn succeeded(&mut self, at: &str) {
        if let Ok(at) = at.parse() {
            self.at_least(LAST_SUCCESS, stamp(at));
        }
    }

    /// Takes over what the runs up to now come to, and what was known when the one before the last ended.
    pub fn since(&mut self, runs: &Past, before: &Map<String, Value>) {
        let known = |name: &str| before.get(name).and_then(Value::as_f64);
        for (name, found) in [(LAST_SUCCESS, runs.success), (LAST_PUBLISH, runs.publish)] {
            for at in found.into_iter().chain(known(name)) {
                self.at_least(name, at);
            }
        }
        // The history may begin after the last success.
        let counted = before.get(FAILURES).and_then(Value::as_u64);
        let counted = counted.filter(|_| runs.success.is_none() && runs.failures > 0);
        let counted = counted.map_or(0, |counted| counted.saturating_add(1));
        self.set(FAILURES, runs.failures.max(counted));
        // A run that succeeded knows it all, also that there is none.
        let stays = STAYS.into_iter().filter(|_| runs.failures > 0);
        let has_cursor = self.values.contains_key(MAX_CURSOR_AGE);
        for name in stays.filter(|name| *name != CURSOR || has_cursor) {
            if let (false, Some(value)) = (self.values.contains_key(name), before.get(name)) {
                self.set(name, value.clone());
            }
        }
    }

    fn at_least(&mut self, name: &str, value: f64) {
        // A time that a wrong clock wrote would be the last one for ever.
        if value > stamp(Timestamp::now()) + CLOCKS_APART.as_secs_f64() {
            return;
        }
        let now = self.values.get(name).and_then(Value::as_f64);
        self.set(name, now.map_or(value, |now| now.max(value)));
    }
}

/// What the last runs of a job come to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Past {
    /// When the last one that succeeded ended, in seconds since 1970.
    pub success: Option<f64>,
    /// When the last one that published something new ended.
    pub publish: Option<f64>,
    /// Those that failed since then.
    pub failures: u64,
}

impl Past {
    /// Of these runs, the newest first. What is no run of the job, or only a trial, does not count.
    pub fn of<'r>(runs: impl IntoIterator<Item = &'r Value>) -> Self {
        let mut past = Self::default();
        for run in counting(runs) {
            if past.success.is_some() && past.publish.is_some() {
                break;
            }
            let committed = run["committed"] == "yes";
            let is_success = run["exit_code"] == 0;
            if is_success && past.success.is_none() {
                past.success = time(&run["finished"]);
            }
            if past.success.is_none() {
                past.failures += 1;
            }
            if committed && run["outcome"] != "nothing_new" && past.publish.is_none() {
                past.publish = time(&run["finished"]);
            }
        }
        past
    }
}

/// Those of these runs, the newest first, that say something of the job: no dry run, and none that somebody tried by hand with other
/// `--set` and that failed. A rollback is none either.
pub fn counting<'r>(runs: impl IntoIterator<Item = &'r Value>) -> impl Iterator<Item = &'r Value> {
    // What was done by hand fetched nothing.
    let is_run = |run: &&Value| run["fetched"].is_u64() && run["dry_run"] != true;
    let mut runs = runs.into_iter().filter(is_run).peekable();
    std::iter::from_fn(move || {
        loop {
            let run = runs.next()?;
            let has_failed = run["exit_code"] != 0 && run["committed"] == "no";
            let set: Option<Vec<String>> = serde_json::from_value(run["set"].clone()).ok();
            let before: Option<LastRun> = runs
                .peek()
                .and_then(|before| serde_json::from_value((*before).clone()).ok());
            let is_trial = has_failed
                && set
                    .zip(before)
                    .is_some_and(|(set, before)| is_set_otherwise(&set, &before));
            if !is_trial {
                return Some(run);
            }
        }
    })
}

/// The metrics of these jobs, each name once with its help and its type. Of two jobs that are called alike, the first one is there.
pub fn exposition(jobs: &[Metrics]) -> String {
    let mut known = BTreeSet::new();
    let jobs: Vec<&Metrics> = jobs
        .iter()
        .filter(|job| known.insert((&job.tenant, &job.job)))
        .collect();
    let mut out = String::new();
    for (name, _, help) in ALL {
        let mut lines = String::new();
        for job in &jobs {
            let (extra, number) = match job.values.get(name) {
                None | Some(Value::Null) => continue,
                Some(Value::Object(labels)) => (labels.clone(), "1".to_owned()),
                Some(value) => (Map::new(), value.to_string()),
            };
            let mut labels = format!("job_name=\"{}\"", label(&job.job));
            if let Some(tenant) = &job.tenant {
                let _ = write!(labels, ",tenant=\"{}\"", label(tenant));
            }
            for (name, value) in &extra {
                let value = label(value.as_str().unwrap_or_default());
                let _ = write!(labels, ",{name}=\"{value}\"");
            }
            let _ = writeln!(lines, "{name}{{{labels}}} {number}");
        }
        if !lines.is_empty() {
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{lines}");
        }
    }
    out
}

/// What `exposition` wrote of one job, but for what is a label.
pub fn read(text: &str) -> Map<String, Value> {
    let mut values = Map::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let value = line.rsplit(' ').next().unwrap_or_default();
        if let (true, Ok(value @ Value::Number(_))) = (
            ALL.iter().any(|(known, ..)| *known == name),
            serde_json::from_str(value),
        ) {
            values.insert(name.to_owned(), value);
        }
    }
    values
}

/// A text as the value of a label.
pub fn label(text: &str) -> String {
    let escaped = words::escaped(text);
    escaped.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A time, in seconds since 1970.
fn stamp(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

fn time(member: &Value) -> Option<f64> {
    let at: Timestamp = member.as_str()?.parse().ok()?;
    Some(stamp(at))
}

fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}

#[cfg(test)]
mod tests;
