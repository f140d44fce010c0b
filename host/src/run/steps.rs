//! The steps of a run that join two modules: what one returned, in the words of the next.

use std::sync::Arc;

use serde_json::json;

use crate::component::{self, Report};
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::process::stop::Stop;
use crate::run::gates::Gates;
use crate::run::setup::{Prepared, refusal};
use crate::run::{Held, Run};
use crate::settings::host::HostPlan;
use crate::settings::plan::{Plan, WriteMode};
use crate::settings::{granted, suggest};
use crate::sink::files::commit::Commit;
use crate::sink::files::generation;
use crate::sink::manifest::{Component, Window};
use crate::sink::{self, Draft, Extent, LastCommit, Sink, SinkContext, Target, Totals};
use crate::staging::folder::{self, Folder, Temporary};
use crate::staging::lock::{self, Lock};
use crate::staging::read;

impl Run<'_> {
    /// The settings, or every problem with them in one failure, or that the run must end.
    pub(crate) async fn usable<'p>(
        &self,
        prepared: &'p Prepared,
        stop: &Stop,
    ) -> Result<&'p Plan, Failure> {
        for (name, meant) in suggest::near_misses(&prepared.description, &prepared.inputs) {
            self.log.warn(
                "environment variable is not a setting",
                json!({ "name": name, "meant": meant }),
            );
        }
        if let Some(kept_back) = granted::ungranted(&prepared.inputs, &prepared.grant()) {
            self.log.warn(
                "environment variables not given to the component",
                json!({ "names": kept_back.names, "grant": kept_back.grant }),
            );
        }
        for (name, setting) in granted::ignored(&prepared.inputs) {
            self.log.warn(
                "environment variable ignored",
                json!({ "name": name, "setting": setting }),
            );
        }
        match &prepared.plan {
            Ok(plan) => Ok(plan),
            Err(_) => Err(refusal(&prepared.problems(stop).await?)),
        }
    }

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
            let context = SinkContext {
                lock,
                folder_stays: host.output_dir.is_some(),
                limits: &host.limits,
                check,
                log: self.log,
            };
            sink::open(context, host, self.target(plan, host))
        });
        match opened {
            Ok(sink) => {
                self.summary.generation = sink.last().map(|last| last.name.to_string());
                let records = sink.last().map(|last| last.manifest.counts.records);
                self.summary.records = records.unwrap_or_default();
                Ok(Some(sink))
            }
            Err(failure) if failure.is_overlap => {
                self.lock = Held::Lost;
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
            let folder = Folder::open_or_create(path, host.file_mode, host.writers)?;
            if let Some(above) = folder.exposed_by()? {
                self.log.warn(
                    "another user can replace the output folder",
                    json!({ "above": above }),
                );
            }
            folder
        } else {
            for name in folder::sweep("run", &host.limits, check) {
                self.log
                    .warn("leftover of a killed run removed", json!({ "name": name }));
            }
            let own = Temporary::new("run", &host.limits)?;
            let folder = own.folder().clone();
            self.temporary = Some(own);
            folder
        };
        let lock = Arc::new(lock::acquire(&folder, &self.summary.run_id)?);
        self.lock = Held::Yes(Arc::clone(&lock));
        Ok(lock)
    }

    /// Refuses settings that would make the last set and the new records two different things.
    pub(crate) fn refuse_changes(
        &self,
        plan: &Plan,
        last: Option<LastCommit<'_>>,
    ) -> Result<(), Failure> {
        self.refuse_flags(plan)?;
        let Some(last) = last.filter(|_| !self.args.full_refresh) else {
            return Ok(());
        };
        let leaves = leaves_append(plan, last);
        if plan.mode == WriteMode::Replace && !leaves {
            return Ok(());
        }
        let changed: Vec<String> = generation::changed_settings(last.manifest, &plan.fingerprint)
            .into_iter()
            .filter(|name| !self.args.accept_change.contains(name))
            // A whole new set is not mixed with anything; but the readers of the segments would wait for nothing.
            .filter(|name| plan.mode != WriteMode::Replace || name == "WRITE_MODE")
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let accepted: Vec<String> = changed
            .iter()
            .map(|name| format!("--accept-change {name}"))
            .collect();
        let accepted = accepted.join(" ");
        let ways_on = if plan.mode == WriteMode::Append {
            format!(
                "so old and new segments may not fit together; continue with `{accepted}`, or append into another OUTPUT_DIR"
            )
        } else if leaves {
            format!(
                "so the segments stay, and no further one is added; continue with `{accepted}`, which fetches everything again"
            )
        } else {
            format!(
                "so old and new records may not fit together; fetch everything again with `--full-refresh`, or continue with `{accepted}`"
            )
        };
        Err(Failure::new(
            Outcome::Settings,
            format!(
                "{} changed since generation {}, {ways_on}",
                changed.join(", "),
                last.name
            ),
        ))
    }

    /// Refuses flags that say what cannot be done in this mode.
    fn refuse_flags(&self, plan: &Plan) -> Result<(), Failure> {
        let refused = if self.args.range().is_some() && plan.mode != WriteMode::Upsert {
            "`--from` and `--to` read a range again and merge it by key: set PRIMARY_KEY and WRITE_MODE=upsert, or leave them out"
        } else if self.args.full_refresh && plan.mode == WriteMode::Append {
            "`--full-refresh` publishes everything in place of the old set, and WRITE_MODE=append only adds: leave it out; to start over, append into another OUTPUT_DIR"
        } else {
            return Ok(());
        };
        Err(Failure::new(Outcome::Settings, refused))
    }

    /// What is published, and how.
    pub(crate) fn target(&self, plan: &Plan, host: &HostPlan) -> Target {
        Target {
            format: host.format,
            compression: host.compression,
            columns: host.columns.clone(),
            formulas: host.formulas,
            mode: plan.mode,
            keys: host.keys.clone(),
            replace_by: host.replace_by.clone(),
            file_mode: host.file_mode,
            adopt: self.args.adopt,
            dry_run: self.args.dry_run,
        }
    }

    /// How much may be missing or bad in this portion. A set that is still being loaded may be small.
    pub(crate) fn gates(&self, plan: &Plan, host: &HostPlan, more: bool) -> Gates {
        let appends = plan.mode == WriteMode::Append;
        Gates {
            min_records: if more { 0 } else { host.min_records },
            run_records: appends.then_some(self.summary.staged),
            max_shrink_percent: host.max_shrink_percent,
            max_delete_percent: host.max_delete_percent,
            max_rejected: host.max_rejected,
            allow_shrink: self.args.allow_shrink,
        }
    }

    /// What a commit records besides the data.
    pub(crate) fn draft(&self, prepared: &Prepared, plan: &Plan, report: Report) -> Draft {
        Draft {
            job: self.summary.job.clone(),
            component: Component {
                name: prepared.description.name.clone(),
                sha256: prepared.connector.sha256.clone(),
            },
            started: self.summary.started.clone(),
            fetched: report.fetched,
            pages: report.pages,
            window: self.args.range().map(|(start, end)| Window {
                start: start.to_owned(),
                end: end.to_owned(),
            }),
            cursor: report.cursor,
            state: report.state,
            settings: plan.fingerprint.clone(),
        }
    }

    /// Takes the commit of a portion over into the summary.
    pub(crate) fn published(&mut self, commit: Commit) {
        self.summary.records = commit.records;
        self.summary.generation = Some(commit.generation);
        self.summary.portions += 1;
        self.summary.published |= !commit.unchanged;
    }

    /// How a run ended whose portions are all published.
    pub(crate) fn outcome(&self) -> Outcome {
        if self.summary.published {
            Outcome::Published
        } else {
            Outcome::NothingNew
        }
    }

    /// Says what a commit would have published.
    pub(crate) fn leave_unpublished(&mut self, totals: Totals, more: bool) -> Outcome {
        self.log.info(
            "dry run, nothing published",
            json!({ "records": totals.records, "unchanged": totals.unchanged, "more_portions": more }),
        );
        self.summary.records = totals.records;
        self.summary.published = !totals.unchanged;
        self.outcome()
    }
}

/// Whether the last commit is of an append job and this run makes a set again.
pub fn leaves_append(plan: &Plan, last: LastCommit<'_>) -> bool {
    plan.mode != WriteMode::Append && last.manifest.appends()
}

/// The size of the last set, if the new one can be held against it: what was appended is no set, and cannot shrink.
pub fn comparable(plan: &Plan, last: LastCommit<'_>) -> Option<u64> {
    let is_set = plan.mode != WriteMode::Append && !last.manifest.appends();
    is_set.then_some(last.manifest.counts.records)
}

/// What the component said it staged, as the sink has it.
pub fn extent(extent: component::Extent) -> Extent {
    match extent {
        component::Extent::Everything => Extent::Everything,
        component::Extent::Changes => Extent::Changes,
        component::Extent::NothingNew => Extent::NothingNew,
    }
}

/// The lines that the component says it staged.
pub fn reported(report: &Report) -> read::Counts {
    read::Counts {
        staged: report.staged,
        deleted: report.deleted,
        rejected: report.rejected,
    }
}
