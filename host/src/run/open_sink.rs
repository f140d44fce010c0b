//! Opens the sink: the lock, the folder that is OUTPUT_DIR or one of the run's own, and the last commit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use crate::folder::lock::{self, Lock};
use crate::folder::{self, Folder, Temporary};
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::run::hold::Hold;
use crate::run::record::Recording;
use crate::run::{LockState, Run};
use crate::settings::catalogue::PRIMARY_KEY;
use crate::settings::host::HostPlan;
use crate::settings::plan::Plan;
use crate::sink::{self, Sink, SinkContext};

/// The folders that the jobs of one process publish into: each has its own.
#[derive(Debug, Clone, Default)]
pub struct Outputs(Arc<Mutex<BTreeMap<(u64, u64), String>>>);

impl Outputs {
    /// Takes this one for `job`. `Err` (78): another job has it.
    fn take(&self, folder: &Folder, job: &str) -> Result<(), Failure> {
        let stat = folder.stat()?;
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.insert((stat.st_dev, stat.st_ino), job.to_owned()) {
            None => Ok(()),
            Some(other) => {
                let failure = Failure::new(
                    Outcome::Settings,
                    format!(
                        "OUTPUT_DIR `{}` is also that of `{other}`, which runs beside it: each would replace the other's set; give each a folder of its own",
                        folder.path().display()
                    ),
                );
                taken.insert((stat.st_dev, stat.st_ino), other);
                Err(failure)
            }
        }
    }
}

impl Run<'_> {
    /// The sink at its last commit, or `None` when another run of this job is under way and that is fine.
    pub(crate) fn open<'r>(
        &mut self,
        plan: &Plan,
        host: &'r HostPlan,
        check: Check<'r>,
    ) -> Result<Option<Box<dyn Sink + 'r>>, Failure>
    where
        Self: 'r,
    {
        if self.args.adopt && host.database.is_some() {
            return Err(Failure::new(
                Outcome::Usage,
                "`--adopt` moves an earlier script's files away, and OUTPUT_DATABASE_URL is set: leave it out",
            ));
        }
        let opened = self.lock(host, check).and_then(|lock| {
            let held = Hold::refuse(lock.folder(), &host.limits);
            held.inspect_err(|failure| {
                if failure.outcome == Outcome::TryLater {
                    self.alerts.put_off();
                }
            })?;
            // Whoever cannot open it cannot write there either.
            let due = std::mem::replace(&mut self.recording, Recording::Over);
            let context = SinkContext {
                lock,
                folder_stays: host.output_dir.is_some(),
                adopt: self.args.adopt,
                dry_run: self.args.dry_run,
                accepts_twins: self
                    .args
                    .accept_change
                    .iter()
                    .any(|name| name == PRIMARY_KEY.row.name),
                replaces_every_parent: plan.replaces_every_parent,
                limits: &host.limits,
                check,
                log: self.log,
            };
            let mut sink = sink::open(context, host, plan.mode)?;
            self.recording = due;
            if let Some(held) = sink.held()? {
                return Err(Hold::from(held).refusal());
            }
            Ok(sink)
        });
        match opened {
            Ok(sink) => {
                self.summary.knows_last = true;
                self.summary.generation = sink.last().map(|last| last.name.to_string());
                let finished = sink.last().map(|last| last.manifest.finished.clone());
                self.summary.last_success = finished;
                let records = sink.last().map(|last| last.manifest.counts.records);
                self.summary.records = records.unwrap_or_default();
                Ok(Some(sink))
            }
            Err(failure) if failure.is_overlap => {
                self.lock = LockState::Lost;
                self.recording = Recording::Over;
                if !host.skip_on_overlap {
                    return Err(failure);
                }
                self.log.info(
                    "skipped, another run holds the lock",
                    json!({ "by": failure.message }),
                );
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// The lock on the folder in which this run works: OUTPUT_DIR, or one of its own where nothing is kept in files.
    fn lock(&mut self, host: &HostPlan, check: Check<'_>) -> Result<Arc<Lock>, Failure> {
        let folder = if let Some(path) = &host.output_dir {
            let folder = Folder::open_or_create(path, host.output.file_mode, host.writers)?;
            if let Some(outputs) = &self.outputs {
                outputs.take(&folder, &host.job)?;
            }
            if let Some(above) = folder.exposed_by()? {
                self.log.warn(
                    "another user can replace the output folder",
                    json!({ "above": above }),
                );
            }
            folder
        } else {
            for name in folder::sweep("run", &host.temp_dir, &host.limits, check) {
                self.log
                    .warn("leftover of a killed run removed", json!({ "name": name }));
            }
            let own = Temporary::new("run", &host.temp_dir, &host.limits)?;
            let folder = own.folder().clone();
            self.temporary = Some(own);
            folder
        };
        let lock = Arc::new(lock::acquire(&folder, &self.summary.run_id)?);
        self.lock = LockState::Yes(Arc::clone(&lock));
        Ok(lock)
    }
}
