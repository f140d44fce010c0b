//! The least time between two runs of a job (`min_interval` of the operator's policy), held against when the last one began.
//!
//! That is kept in the operator's `state_folder`, where no tenant's job can write: a folder for each tenant, with one file for
//! all his jobs, read and written under a lock, so that of two runs that start at once one begins. A job is known by what the
//! operator starts it with, not by what its files say: a name in them makes no other job of it. The resources of a job file
//! are one job here, whose runs begin together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cli::GivenArgs;
use crate::folder::trust::{Rights, refuse_strangers};
use crate::folder::{Folder, Writers, lock};
use crate::hash;
use crate::limits::{INTERVAL_BYTES_MAX, INTERVAL_LOCK_TRIES_MAX};
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::run::record::Recording;
use crate::run::setup::Job;
use crate::run::{LockState, Run};
use crate::settings::catalogue::{JOB_NAME, OUTPUT_DIR, OUTPUT_TABLE};
use crate::settings::inputs::{Inputs, Origin};
use crate::settings::policy::MinInterval;
use crate::sink::files::commit;
use crate::units::spoken;

/// When the runs of a tenant's jobs began: the beginning of each by the job's key.
const FILE: &str = "began.json";

/// The interval of one job.
pub struct Interval<'a> {
    tenant: &'a str,
    /// The policy, for messages.
    by: String,
    min: MinInterval<'a>,
    /// What the job is known by, hashed.
    key: String,
    /// `JOB_NAME`, for people.
    job: &'a str,
}

/// The last run of a job.
#[derive(Debug, Serialize, Deserialize)]
struct Beginning {
    job: String,
    /// RFC 3339 in UTC.
    at: String,
}

/// The jobs that this process has begun: of a job file with several resources the first one begins it for all.
#[derive(Clone, Default)]
pub struct Begun(Arc<Mutex<BTreeSet<String>>>);

impl Begun {
    fn once(&self, key: &str, begin: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(key) {
            begin()?;
            known.insert(key.to_owned());
        }
        Ok(())
    }
}

impl Run<'_> {
    /// Takes it that this run begins now. `Err` (75): the last one of this job began too short a time ago.
    pub(crate) fn keep_interval(&mut self, job: &Job, check: Check<'_>) -> Result<(), Failure> {
        let Some(interval) = Interval::of(job, &self.args.given) else {
            return Ok(());
        };
        let now = || interval.begin(Timestamp::now(), &self.summary.run_id, check);
        let begun = match &self.begun {
            Some(together) => together.once(&interval.key, now),
            None => now(),
        };
        begun.inspect_err(|failure| {
            // The record of the last run says how the job is; this one was none.
            if failure.outcome == Outcome::TryLater {
                self.lock = LockState::Lost;
                self.recording = Recording::Over;
            }
        })
    }
}

impl<'a> Interval<'a> {
    /// That of this job; none where no policy sets one.
    pub fn of(job: &'a Job, given: &GivenArgs) -> Option<Self> {
        let tenant = job.host.tenant.as_deref()?;
        Some(Self {
            tenant: tenant.name(),
            by: tenant.by(),
            min: tenant.min_interval()?,
            key: key(given, &job.inputs),
            job: &job.host.job,
        })
    }

    /// When the next run may begin, for who only looks; none: now. `Err` (78, 74): that is not known.
    pub fn next(&self, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
        let folder = self.state_folder()?.folder(self.tenant);
        let Some(folder) = folder.map_err(|failure| self.unusable(&failure))? else {
            return Ok(None);
        };
        let began = self.read(&folder, now)?;
        Ok(self
            .next_after(&began)
            .filter(|next| *next > now)
            .map(whole))
    }

    /// The interval, for a person.
    pub fn in_words(&self) -> String {
        format!("a run every {}", spoken(self.min.least))
    }

    fn begin(&self, now: Timestamp, run_id: &str, check: Check<'_>) -> Result<(), Failure> {
        let state = self.state_folder()?;
        let folder = state.ensure_folder(self.tenant, 0o700);
        let folder = folder.map_err(|failure| self.unusable(&failure))?;
        let _lock = self.locked(&folder, run_id, check)?;
        let mut began = self.read(&folder, now)?;
        if let Some(next) = self.next_after(&began).filter(|next| *next > now) {
            // Of a clock that was set back: from here on it counts by the new one.
            if self.next_at(now) == next {
                self.write(&folder, &began)?;
            }
            return Err(self.too_early(&began[&self.key], next, now));
        }
        began.retain(|_, beginning| {
            let at = beginning.at.parse::<Timestamp>();
            at.is_ok_and(|at| self.next_at(at) > now)
        });
        let beginning = Beginning {
            job: self.job.to_owned(),
            at: now.to_string(),
        };
        began.insert(self.key.clone(), beginning);
        self.write(&folder, &began)
    }

    /// Other runs of the tenant's hold it for a moment.
    fn locked(
        &self,
        folder: &Folder,
        run_id: &str,
        check: Check<'_>,
    ) -> Result<lock::Lock, Failure> {
        for _ in 0..INTERVAL_LOCK_TRIES_MAX {
            match lock::acquire(folder, run_id) {
                Err(failure) if failure.is_overlap => check()?,
                Err(failure) => return Err(self.unusable(&failure)),
                Ok(lock) => return Ok(lock),
            }
        }
        let message = format!(
            "this run did not begin: another process holds the lock on `{}`, where {} has the times of runs kept",
            folder.path().display(),
            self.by
        );
        Err(Failure::new(Outcome::TryLater, message))
    }

    /// The operator's folder. Nobody else may be able to write to it, or put another one in its place.
    fn state_folder(&self) -> Result<Folder, Failure> {
        let path = self.min.state_folder;
        let wrong = |why: &str| {
            let message = format!(
                "{} has `min_interval` (line {}), and its `state_folder` `{}` {why}",
                self.by,
                self.min.line,
                path.display()
            );
            Failure::new(Outcome::Settings, message)
        };
        let opened = Folder::open(path).map_err(|failure| self.unusable(&failure))?;
        let folder = opened.ok_or_else(|| {
            wrong(&format!(
                "does not exist: make it as the user that runs this, with `mkdir -m 700 {}`, or mount it",
                path.display()
            ))
        })?;
        let rights = Rights::from(&folder.stat()?);
        refuse_strangers(rights, &path.display().to_string())
            .map_err(|stranger| wrong(&format!("can be changed by others: {stranger}")))?;
        if let Some(above) = folder.exposed_by()? {
            return Err(wrong(&format!("can be replaced by others in {above}")));
        }
        // From here on the folders in it are held to the same.
        let held = Folder::open_for(path, Writers::Nobody);
        let held = held.map_err(|failure| self.unusable(&failure))?;
        held.ok_or_else(|| wrong("vanished"))
    }

    /// What began, and when: later than now is now.
    fn read(
        &self,
        folder: &Folder,
        now: Timestamp,
    ) -> Result<BTreeMap<String, Beginning>, Failure> {
        let bytes = folder.read(FILE, INTERVAL_BYTES_MAX);
        let Some(bytes) = bytes.map_err(|failure| self.unusable(&failure))? else {
            return Ok(BTreeMap::new());
        };
        let parsed = serde_json::from_slice::<BTreeMap<String, Beginning>>(&bytes).ok();
        let known = parsed.and_then(|mut began| {
            for beginning in began.values_mut() {
                let at = beginning.at.parse::<Timestamp>().ok()?;
                beginning.at = at.min(now).to_string();
            }
            Some(began)
        });
        known.ok_or_else(|| {
            let shown = folder.shown(FILE);
            let message = format!(
                "cannot read when the last run began: `{shown}` is damaged; remove it, and the next run of each job of tenant `{}` begins",
                self.tenant
            );
            Failure::new(Outcome::Settings, message)
        })
    }

    fn write(&self, folder: &Folder, began: &BTreeMap<String, Beginning>) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(began).unwrap_or_default() + "\n";
        if text.len() as u64 > INTERVAL_BYTES_MAX {
            let message = format!(
                "this run did not begin: tenant `{}` has so many jobs that `{}` is full; run fewer of them",
                self.tenant,
                folder.shown(FILE)
            );
            return Err(Failure::new(Outcome::TryLater, message));
        }
        commit::replace_file_whole(folder, FILE, "new", text.as_bytes())
            .map_err(|failure| self.unusable(&failure))
    }

    fn next_after(&self, began: &BTreeMap<String, Beginning>) -> Option<Timestamp> {
        let at = began.get(&self.key)?.at.parse().ok()?;
        Some(self.next_at(at))
    }

    fn next_at(&self, began: Timestamp) -> Timestamp {
        let least = SignedDuration::try_from(self.min.least).unwrap_or(SignedDuration::MAX);
        began.saturating_add(least).unwrap_or(Timestamp::MAX)
    }

    fn too_early(&self, last: &Beginning, next: Timestamp, now: Timestamp) -> Failure {
        let next = whole(next);
        let wait = next.duration_since(now).unsigned_abs().as_secs_f64().ceil();
        let message = format!(
            "this run is too early, and nothing was fetched: the last one of this job began at {}, and {} allows one every {} (`min_interval`, line {}); run it again from {next} on (in {})",
            short(&last.at),
            self.by,
            spoken(self.min.least),
            self.min.line,
            spoken(Duration::try_from_secs_f64(wait).unwrap_or(self.min.least))
        );
        Failure::new(Outcome::TryLater, message)
    }

    /// A full or broken disk is one (74); what else is wrong is the operator's to put right (78).
    fn unusable(&self, failure: &Failure) -> Failure {
        let outcome = match failure.outcome {
            Outcome::IoFailed => Outcome::IoFailed,
            _ => Outcome::Settings,
        };
        let message = format!(
            "the `state_folder` of {} cannot be used: {}",
            self.by, failure.message
        );
        Failure::new(outcome, message)
    }
}

/// The next whole second.
fn whole(at: Timestamp) -> Timestamp {
    let second = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(second).unwrap_or(at)
}

/// To the second.
fn short(at: &str) -> String {
    at.parse::<Timestamp>()
        .map_or_else(|_| at.to_owned(), |at| format!("{at:.0}"))
}

/// What a job is known by: its files as they are named on the command line, and its name, folder and table where that or the
/// environment gives them.
fn key(given: &GivenArgs, inputs: &Inputs) -> String {
    let mut words = Vec::new();
    for path in given.job.iter().chain(&given.env_file) {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        words.push(shown(&path));
    }
    for row in [&JOB_NAME.row, &OUTPUT_DIR.row, &OUTPUT_TABLE.row] {
        let value = inputs.get(row);
        let operators = |origin: &Origin| matches!(origin, Origin::Flag | Origin::Environment);
        if let Some(value) = value.filter(|value| operators(&value.origin)) {
            // Without the name of a resource, which the file gives.
            let value = value.value.as_str();
            let shared = given
                .resource
                .as_deref()
                .and_then(|name| value.strip_suffix(name));
            words.push(format!("{}={}", row.name, shared.unwrap_or(value)));
        }
    }
    hash::sha256(words.join("\0").as_bytes())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests;
