//! How the run is going and ended, as a row beside the data in a database: for `health` and people; never an input to a run,
//! and never a reason for one to end otherwise.

use std::cell::Cell;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::json;

use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::process::watch::Watch;
use crate::run::Run;
use crate::run::alerts::{Failing, InRow};
use crate::run::last_run::{self, LastRun};
use crate::run::summary::Summary;
use crate::settings::host::HostPlan;
use crate::sink::Sink;
use crate::sink::database::{self, Ending, Recorded, RunRow};

/// What is to be done yet about the row of this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// Nothing: it is written, it cannot be, or it is nobody's business.
    Over,
    /// To be written by whoever has a connection, at last by one of its own.
    Due,
}

impl Recording {
    /// At the beginning. A dry run leaves nothing; and where a setting is wrong nothing is connected to.
    pub fn at_first(host: &HostPlan, dry_run: bool) -> Self {
        if host.database.is_some() && !dry_run && host.problems.is_empty() {
            Self::Due
        } else {
            Self::Over
        }
    }
}

impl Run<'_> {
    /// Writes that it has begun. A database that takes no such row is warned of once in a run.
    pub(crate) fn record_beginning(&mut self, sink: &mut dyn Sink) {
        if self.recording == Recording::Over {
            return;
        }
        let summary = json!({
            "run_id": self.summary.run_id,
            "job": self.summary.job,
            "started": self.summary.started,
            "set": self.summary.set,
        });
        let row = RunRow {
            run_id: self.summary.run_id.clone(),
            started: self.summary.started.clone(),
            ended: None,
            summary: summary.to_string(),
        };
        self.recorded(sink.record(&row, &|_| false), false, None);
    }

    /// Writes how it ended.
    ///
    /// Another connection is tried only within the time that one may take.
    pub(crate) fn record_end(
        &mut self,
        sink: &mut dyn Sink,
        ended: &Result<Outcome, Failure>,
        limits: &Limits,
    ) {
        if self.recording == Recording::Over {
            return;
        }
        let since = Instant::now();
        let mut summary = self.summary.clone();
        summary.end(ended, Timestamp::now(), self.clock.elapsed());
        summary.cursor = summary.cursor.map(|cursor| self.log.hide(&cursor));
        self.alerts.count_for_record(&mut summary);
        let is_trial = |before: &str| is_a_trial(&summary, before);
        let recorded = sink.record(&row(&summary), &is_trial);
        let is_late = since.elapsed() >= limits.database_record;
        let recorded = recorded.map_err(|failure| Failure {
            may_pass: failure.may_pass && !is_late,
            ..failure
        });
        self.recorded(recorded, true, summary.alert);
    }

    fn recorded(
        &mut self,
        recorded: Result<Recorded, Failure>,
        is_over: bool,
        alert: Option<Failing>,
    ) {
        match recorded {
            // Another connection may do.
            Err(failure) if failure.may_pass => {}
            Err(failure) => {
                warn(self.log, &failure);
                self.recording = Recording::Over;
            }
            Ok(Recorded::Elsewhere) => self.recording = Recording::Over,
            Ok(recorded) if is_over => {
                told(self.log, &self.summary, recorded);
                if recorded == Recorded::Yes {
                    self.alerts.recorded = Some(InRow(alert));
                }
                self.recording = Recording::Over;
            }
            Ok(_) => {}
        }
    }
}

/// Writes how a run ended by a connection of its own: that of the run had none, or has lost it, or what was written has changed.
pub struct Apart<'w> {
    watch: &'w Watch,
    host: HostPlan,
    recording: Recording,
    /// What is there already of this run's alerts, if it has a row.
    recorded: Option<InRow>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Written {
    /// Whether there is a row of this run as it is now.
    pub is_there: bool,
    /// The summary of the run before this one, where a failed run asked.
    pub before: Option<String>,
}

impl<'w> Apart<'w> {
    pub fn new(
        watch: &'w Watch,
        host: HostPlan,
        recording: Recording,
        recorded: Option<InRow>,
    ) -> Self {
        Self {
            watch,
            host,
            recording,
            recorded,
        }
    }

    /// Whether the run has written it.
    pub fn has_row(&self) -> bool {
        self.recorded.is_some()
    }

    /// Writes it, unless that is done, or was in vain.
    pub fn write(&mut self, summary: &Summary, log: &Log) -> Written {
        let is_there = self
            .recorded
            .as_ref()
            .is_some_and(|row| row.0 == summary.alert);
        let is_over = self.recording == Recording::Over && self.recorded.is_none();
        let Some(url) = self
            .host
            .database
            .as_ref()
            .filter(|_| !is_there && !is_over)
        else {
            return Written {
                is_there,
                before: None,
            };
        };
        self.recording = Recording::Over;
        let before = Cell::new(None);
        let is_trial = |found: &str| {
            before.set(Some(found.to_owned()));
            is_a_trial(summary, found)
        };
        let recorded = self
            .watch
            .block_on(async { database::record_apart(url, &self.host, &row(summary), &is_trial) });
        match &recorded {
            Ok(recorded) => told(log, summary, *recorded),
            Err(failure) => warn(log, failure),
        }
        let is_there = matches!(recorded, Ok(Recorded::Yes));
        self.recorded = is_there.then(|| InRow(summary.alert.clone()));
        Written {
            is_there,
            before: before.take(),
        }
    }
}

fn row(summary: &Summary) -> RunRow {
    RunRow {
        run_id: summary.run_id.clone(),
        started: summary.started.clone(),
        ended: Some(Ending {
            finished: summary.finished.clone(),
            exit_code: summary.exit_code,
            outcome: summary.outcome.to_owned(),
            message: summary.message.clone(),
            generation: summary.generation.clone(),
        }),
        summary: serde_json::to_string(summary).unwrap_or_default(),
    }
}

fn is_a_trial(summary: &Summary, before: &str) -> bool {
    let before: Option<LastRun> = serde_json::from_str(before).ok();
    last_run::is_a_trial(summary, before.as_ref())
}

fn told(log: &Log, summary: &Summary, recorded: Recorded) {
    if recorded == Recorded::Trial {
        let of = json!({ "set": summary.set, "dry_run": summary.dry_run });
        log.info("run not recorded in the database, it was a trial", of);
    }
}

fn warn(log: &Log, failure: &Failure) {
    log.warn(
        "run not recorded in the database",
        json!({ "error": failure.message, "what": "`health` cannot see there how this run ended" }),
    );
}
