//! Health: is the published data fresh, and did the last run end well? Reads the commit record and the last run's.
//!
//! Takes no lock and changes nothing, so it may be asked at any time, by anybody who may read the folder, or the database.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::commands::runs;
use crate::folder::{Doing as _, Folder, Writers};
use crate::hash::sha256_of;
use crate::limits::Limits;
use crate::run::cursor_time::{self, CLOCKS_APART};
use crate::run::hold::Hold;
use crate::run::last_run::{self, LastRun};
use crate::run::metrics::{self, Metrics, Past};
use crate::settings::host::HostPlan;
use crate::sink::LastCommit;
use crate::sink::files::generation::{self, Generation};
use crate::units::{counted, spoken};
use crate::words;

mod database;
mod killed;
pub mod settings;

/// The runs that are read before all of them are.
const RUNS_FIRST: usize = 50;

/// What can be said of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is fresh, and the last run ended well.
    Fresh,
    /// It is too old or damaged, or the last run failed.
    Stale,
    /// Nothing can be said: no run yet, a record from the future, or one that cannot be read.
    Unknown,
}

/// What `health` answers.
#[derive(Debug)]
pub struct HealthReport {
    /// In a word.
    pub status: Status,
    /// Why, each reason by itself; what is well when it is fresh.
    reasons: Vec<String>,
    /// What was seen of the folder that ends well for nobody.
    troubles: Vec<String>,
    generation: Option<GenerationFacts>,
    last_run: Option<LastRun>,
    /// Whether all that is known is that there is nothing.
    has_nothing: bool,
    metrics: Metrics,
}

/// What is published.
#[derive(Debug)]
struct GenerationFacts {
    name: String,
    committed: String,
    age: Duration,
    records: u64,
    cursor: Option<String>,
    /// Of the newest record, where it was asked for and is known.
    cursor_age: Option<Duration>,
}

/// How old what may be.
#[derive(Debug, Clone, Copy)]
pub struct Ages {
    /// The last success: MAX_AGE.
    pub success: Duration,
    /// The newest record, if that matters: MAX_CURSOR_AGE.
    pub cursor: Option<Duration>,
}

/// Looks at where the host publishes. With `verify`, reads the published files and compares their checksums, or counts the
/// rows of the table.
pub fn health(host: &HostPlan, most: Ages, verify: bool) -> HealthReport {
    let (now, limits) = (Timestamp::now(), &host.limits);
    let report = match (&host.database, &host.output_dir) {
        (Some(url), _) => database::health_at(now, url, host, most, verify),
        (None, Some(folder)) => {
            let report = health_at(now, folder, most, verify, limits);
            report.unless_refused(folder, host.writers)
        }
        (None, None) => HealthReport::empty().because("there is no OUTPUT_DIR".to_owned()),
    };
    report.measured(host, most)
}

fn health_at(
    now: Timestamp,
    output_dir: &Path,
    most: Ages,
    verify: bool,
    limits: &Limits,
) -> HealthReport {
    let mut report = HealthReport::empty();
    let folder = match Folder::open(output_dir) {
        Ok(Some(folder)) => folder,
        Ok(None) => {
            report.has_nothing = true;
            return report.because(format!(
                "`{}` does not exist: no run yet, or another OUTPUT_DIR",
                output_dir.display()
            ));
        }
        Err(failure) => return report.because(failure.message),
    };
    let generation = generation::current(&folder, limits);
    let last_run = last_run::read(&folder, limits);
    let (generation, last_run) = match (generation, last_run) {
        (Ok(generation), Ok(last_run)) => (generation, last_run),
        (generation, last_run) => {
            report.reasons.extend(
                generation
                    .err()
                    .into_iter()
                    .chain(last_run.err())
                    .map(|failure| failure.message),
            );
            return report;
        }
    };
    report.last_run = last_run;
    report.look_at(&folder, limits);
    let last = generation.as_ref().map(|generation| LastCommit {
        name: &generation.name,
        manifest: &generation.manifest,
    });
    report.judge(now, last, most.success);
    if let Some(most) = most.cursor {
        report.judge_cursor(now, most);
    }
    if let Some(generation) = generation.filter(|_| verify) {
        report.verify(&generation);
    }
    report
}

impl HealthReport {
    /// Nothing is known yet.
    fn empty() -> Self {
        Self {
            status: Status::Unknown,
            reasons: Vec::new(),
            troubles: Vec::new(),
            generation: None,
            last_run: None,
            has_nothing: false,
            metrics: Metrics::default(),
        }
    }

    /// Whether no run is known of, as none could look at anything. Why that is so may be in the settings.
    pub fn is_before_any_run(&self) -> bool {
        self.has_nothing
    }

    /// The same with what is wrong with the settings, if anything is, in place of that there was no run.
    #[must_use]
    pub fn with_wrong_settings(mut self, wrong: Option<String>) -> Self {
        if let Some(wrong) = wrong {
            self.reasons = vec![format!("settings of this job are wrong: {wrong}")];
        }
        self
    }

    /// 0 fresh, 1 stale or the last run failed, 2 unknown.
    pub fn exit_code(&self) -> u8 {
        match self.status {
            Status::Fresh => 0,
            Status::Stale => 1,
            Status::Unknown => 2,
        }
    }

    /// A few words for a person, on one line.
    pub fn text(&self) -> String {
        let mut parts: Vec<String> = self.reasons().collect();
        if let Some(facts) = &self.generation {
            let when = if self.status == Status::Fresh {
                "published"
            } else {
                "last published"
            };
            let cursor = facts.cursor.as_ref().map_or_else(String::new, |cursor| {
                format!(", cursor {}", bounded(cursor))
            });
            parts.push(format!(
                "{when}: {} of {} ({} ago, generation {}{cursor})",
                counted(facts.records, "record"),
                facts.committed,
                spoken(facts.age),
                facts.name
            ));
        }
        words::escaped(&format!("{}: {}", self.word(), parts.join("; ")))
    }

    /// The same as metrics, in the text format of Prometheus.
    pub fn exposition(&self) -> String {
        metrics::exposition(std::slice::from_ref(&self.metrics))
    }

    /// The same as one JSON object.
    pub fn json(&self) -> String {
        let generation = self.generation.as_ref().map(|facts| {
            json!({
                "name": facts.name,
                "committed": facts.committed,
                "age_seconds": facts.age.as_secs(),
                "records": facts.records,
                "cursor": facts.cursor.as_deref().map(bounded),
                "cursor_age_seconds": facts.cursor_age.map(|age| age.as_secs()),
            })
        });
        let value: Value = json!({
            "status": self.word(),
            "exit_code": self.exit_code(),
            "reasons": self.reasons().collect::<Vec<_>>(),
            "generation": generation,
            "last_run": self.last_run,
            "job": self.metrics.job,
            "metrics": self.metrics.values,
        });
        words::escaped(&value.to_string())
    }

    /// None longer than a message may be: what they quote was written by somebody else.
    fn reasons(&self) -> impl Iterator<Item = String> {
        self.reasons.iter().map(|reason| bounded(reason))
    }

    fn word(&self) -> &'static str {
        match self.status {
            Status::Fresh => "fresh",
            Status::Stale => "stale",
            Status::Unknown => "unknown",
        }
    }

    fn because(mut self, reason: String) -> Self {
        self.reasons.push(reason);
        self
    }

    /// A folder that the next run will refuse makes nothing fresh any more. Whoever asks need not be the user of the job.
    fn unless_refused(mut self, output_dir: &Path, writers: Writers) -> Self {
        let folder = Folder::open(output_dir).ok().flatten();
        let Some(stranger) = folder.and_then(|folder| folder.stranger_to_its_owner(writers)) else {
            return self;
        };
        if self.status == Status::Fresh {
            self.status = Status::Stale;
        }
        let (path, cure) = (output_dir.display(), stranger.cure());
        self.because(format!(
            "the next run will refuse `{path}`: {stranger}; `{cure} {path}`"
        ))
    }

    /// With what is known of the job as metrics. What cannot be read of its runs is not among them.
    fn measured(mut self, host: &HostPlan, most: Ages) -> Self {
        let mut metrics = Metrics::of(host, most.success, most.cursor);
        let runs = last_runs(host);
        if let Some(run) = metrics::counting(&runs).next() {
            metrics.last_run(run);
            metrics.since(&Past::of(&runs), &Map::new());
        } else if let Some(run) = &self.last_run {
            metrics.last_run(&serde_json::to_value(run).unwrap_or_default());
        }
        if let Some(facts) = &self.generation {
            metrics.published(&facts.name, facts.records);
            metrics.succeeded(&facts.committed);
            metrics.cursor(facts.cursor.as_deref());
        }
        let folder = host.output_dir.as_deref().map(Folder::open);
        if let Some(Ok(Some(folder))) = folder
            && let Ok(held) = Hold::shown(&folder, &host.limits)
        {
            metrics.held(held.is_some());
        }
        metrics.set(metrics::HEALTH, self.exit_code());
        self.metrics = metrics;
        self
    }

    /// What the next run will meet, and what a killed one left.
    fn look_at(&mut self, folder: &Folder, limits: &Limits) {
        if let Some(why) = folder.takes_no_writes() {
            let path = folder.path().display();
            self.troubles.push(format!(
                "`{path}` takes no writes: {why}; the next run will fail"
            ));
        }
        if let Some(left) = killed::left_by(folder, limits) {
            self.troubles.push(left);
        }
        if let Ok(Some(held)) = Hold::shown(folder, limits) {
            self.troubles.push(held);
        }
    }

    fn judge(&mut self, now: Timestamp, last: Option<LastCommit<'_>>, max_age: Duration) {
        let committed = last.and_then(|last| last.manifest.finished.parse::<Timestamp>().ok());
        let ended = self
            .last_run
            .as_ref()
            .and_then(|run| run.finished.parse::<Timestamp>().ok());
        let future = |at: Timestamp| {
            Duration::try_from(at.duration_since(now)).is_ok_and(|ahead| ahead > CLOCKS_APART)
        };
        if let Some(at) = [committed, ended]
            .into_iter()
            .flatten()
            .find(|at| future(*at))
        {
            self.reasons.push(format!(
                "the last record is of {at:.0}, which is in the future: a clock is wrong"
            ));
            return;
        }
        if let (Some(last), Some(committed)) = (last, committed) {
            self.generation = Some(GenerationFacts {
                name: last.name.to_string(),
                committed: format!("{committed:.0}"),
                age: Duration::try_from(now.duration_since(committed)).unwrap_or_default(),
                records: last.manifest.counts.records,
                cursor: last.manifest.cursor.clone(),
                cursor_age: None,
            });
        }
        // The record of a run is best effort: a failure that a later commit has overtaken is over.
        let failed = self
            .last_run
            .as_ref()
            .filter(|run| run.exit_code != 0 && (committed.is_none() || ended >= committed));
        if let Some(run) = failed {
            self.status = Status::Stale;
            self.reasons.push(format!(
                "the last run ({}) failed with exit code {} ({}): {}",
                run.finished,
                run.exit_code,
                run.outcome,
                run.message.as_deref().unwrap_or("no message")
            ));
        }
        if !self.troubles.is_empty() {
            self.status = Status::Stale;
            self.reasons.extend(self.troubles.iter().cloned());
        }
        match &self.generation {
            Some(facts) if facts.age > max_age => {
                self.status = Status::Stale;
                let (age, most) = (spoken(facts.age), spoken(max_age));
                self.reasons.push(format!(
                    "the last success is {age} old, and MAX_AGE is {most}"
                ));
            }
            Some(_) if failed.is_none() && self.troubles.is_empty() => self.status = Status::Fresh,
            None if last.is_some() => self
                .reasons
                .push("the manifest has no time of commit".to_owned()),
            None if failed.is_none() => {
                self.has_nothing = self.last_run.is_none() && self.troubles.is_empty();
                self.reasons.push("nothing was published yet".to_owned());
            }
            _ => {}
        }
    }

    /// A success without a new record may be the source's silence: how old is the newest record?
    fn judge_cursor(&mut self, now: Timestamp, most: Duration) {
        let Some(facts) = &mut self.generation else {
            return;
        };
        match cursor_time::age(facts.cursor.as_deref(), now) {
            Ok(age) => {
                facts.cursor_age = Some(age);
                if age > most {
                    self.status = Status::Stale;
                    let (age, most) = (spoken(age), spoken(most));
                    self.reasons.push(format!(
                        "the newest record is {age} old, and MAX_CURSOR_AGE is {most}"
                    ));
                }
            }
            Err(why) => {
                if self.status == Status::Fresh {
                    self.status = Status::Unknown;
                }
                self.reasons.push(why);
            }
        }
    }

    fn verify(&mut self, generation: &Generation) {
        for (name, record) in &generation.manifest.files {
            let found = generation
                .open(name)
                .and_then(|file| sha256_of(&file).doing(|| format!("cannot read `{name}`")));
            let reason = match found {
                Ok(sha256) if sha256 == record.sha256 => continue,
                Ok(_) => format!(
                    "`{}` is damaged or was edited: its checksum is not the published one",
                    generation.shown(name)
                ),
                Err(failure) => failure.message,
            };
            self.status = Status::Stale;
            self.reasons.push(reason);
        }
    }
}

/// The last runs, the newest first: as many as say when one succeeded and one published, or all.
fn last_runs(host: &HostPlan) -> Vec<Value> {
    let all = usize::try_from(host.limits.runs_kept).unwrap_or(usize::MAX);
    let read = |most: usize| runs::last_runs(host, most, false).unwrap_or_default();
    let few = read(RUNS_FIRST.min(all));
    let past = Past::of(&few);
    if few.len() < RUNS_FIRST || (past.success.is_some() && past.publish.is_some()) {
        return few;
    }
    read(all)
}

/// The metrics of a job whose health could not be asked.
pub fn of_unasked(job: Option<&str>, code: u8) -> String {
    let mut metrics = Metrics::named(job.unwrap_or_default().to_owned());
    metrics.set(metrics::HEALTH, code);
    metrics::exposition(&[metrics])
}

fn bounded(text: &str) -> String {
    words::shown(text, Limits::default().message_bytes)
}

#[cfg(test)]
mod tests;
