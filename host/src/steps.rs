//! The steps of a run that join two modules: what one returned, in the words of the next.

use std::sync::Arc;
use std::time::Duration;

use rustix::fs::AtFlags;
use serde_json::json;

use crate::component::{self, JobFailure, Report, Request, Used, unless_stopped};
use crate::egress::{Egress, Origin, Policy};
use crate::folder::Folder;
use crate::gates::Gates;
use crate::generation::{self, Generation};
use crate::grants::Grants;
use crate::job::{Held, Run};
use crate::limits::Limits;
use crate::lock::{self, Lock, Staging};
use crate::manifest::Component;
use crate::outcome::{Failure, Outcome};
use crate::plan::{Plan, WriteMode};
use crate::prepare::{Prepared, refusal};
use crate::publish::Commit;
use crate::settings::{self, Settings};
use crate::sink::{Draft, Extent, Target, Totals};
use crate::staged;
use crate::stop::Stop;
use crate::values::Problem;

/// How often the staging folder is measured while the component runs.
const STAGING_MEASURED_EVERY: Duration = Duration::from_millis(250);

impl Run<'_> {
    /// The settings, or every problem with them in one failure.
    pub(crate) async fn usable<'p>(&self, prepared: &'p Prepared) -> Result<&'p Settings, Failure> {
        for (name, meant) in settings::near_misses(&prepared.description, &prepared.plan) {
            self.log.warn(
                "environment variable is not a setting",
                json!({ "name": name, "meant": meant }),
            );
        }
        for name in [
            "HTTPS_PROXY",
            "https_proxy",
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
        ] {
            if prepared.plan.values.environment(name).is_some() {
                self.log.warn(
                    "proxy variable ignored",
                    json!({ "name": name, "setting": "OUTBOUND_PROXY, in a later version" }),
                );
            }
        }
        match &prepared.settings {
            Ok(settings) => Ok(settings),
            Err(_) => Err(refusal(&prepared.problems().await)),
        }
    }

    /// The lock, or `None` when another run holds it and that is fine.
    pub(crate) fn acquire(&mut self, folder: &Folder, plan: &Plan) -> Result<bool, Failure> {
        match lock::acquire(folder, &self.summary.run_id) {
            Ok(lock) => {
                self.lock = Held::Yes(lock);
                Ok(true)
            }
            Err(failure) if failure.outcome == Outcome::TryLater => {
                self.lock = Held::Lost;
                if plan.skip_on_overlap {
                    self.log.info(
                        "skipped, another run holds the lock",
                        json!({ "by": failure.message }),
                    );
                    return Ok(false);
                }
                Err(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Removes what killed runs left, and refuses what an earlier script left unless it is to be adopted.
    pub(crate) fn clear_the_way(
        &mut self,
        last: Option<&Generation>,
        plan: &Plan,
    ) -> Result<(), Failure> {
        self.summary.generation = last.map(|last| last.name.to_string());
        self.summary.records = last.map_or(0, |last| last.manifest.counts.records);
        self.lock().sweep(last, &plan.limits, self.log)?;
        if self.args.adopt {
            return Ok(());
        }
        self.lock().refuse_foreign()
    }

    /// Refuses settings that would make the last set and the new records two different things.
    pub(crate) fn refuse_changes(
        &self,
        settings: &Settings,
        last: Option<&Generation>,
    ) -> Result<(), Failure> {
        let Some(last) =
            last.filter(|_| settings.mode == WriteMode::Upsert && !self.args.full_refresh)
        else {
            return Ok(());
        };
        let changed: Vec<String> = generation::changed_settings(&last.manifest, &settings.shaping)
            .into_iter()
            .filter(|name| !self.args.accept_change.contains(name))
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let accepted: Vec<String> = changed
            .iter()
            .map(|name| format!("--accept-change {name}"))
            .collect();
        Err(Failure::new(
            Outcome::Settings,
            format!(
                "{} changed since generation {}, so old and new records may not fit together; fetch everything anew with `--full-refresh`, or go on with `{}`",
                changed.join(", "),
                last.name,
                accepted.join(" ")
            ),
        ))
    }

    /// Runs the component in its grants and holds what it says against the host's own record.
    pub(crate) async fn fetch(
        &mut self,
        prepared: &Prepared,
        settings: &Settings,
        last: Option<&Generation>,
        staging: &Staging,
        stop: &Stop,
    ) -> Result<Report, Failure> {
        let plan = &prepared.plan;
        let egress = egress(plan, settings, self.log.clone())?;
        let grants = Grants {
            outbound: Some(Arc::new(egress.clone())),
            staging: Some(staging.input_descriptor()?),
            environment: settings.environment.clone(),
            log: self.log.clone(),
            cpu: plan.limits.cpu,
            memory_bytes: plan.limits.memory_bytes,
        };
        let request = Request {
            state: last.map(|last| last.manifest.state.clone()),
            window: None,
            full_refresh: self.args.full_refresh,
        };
        let stopped = async {
            tokio::select! {
                failure = stop.stopped() => failure,
                failure = overfull(staging.input(), &plan.limits) => failure,
            }
        };
        let ran = unless_stopped(
            prepared.connector.run(grants, &plan.limits, &request),
            stopped,
        )
        .await;
        let traffic = egress.traffic();
        self.summary.requests = traffic.requests;
        self.summary.wire_bytes = traffic.wire_bytes;
        self.summary.echoes_redacted = traffic.echoes;
        let (result, used): (_, Used) = ran?;
        self.summary.component_cpu_ms = u64::try_from(used.cpu.as_millis()).unwrap_or(u64::MAX);
        self.summary.component_memory_peak_bytes = used.memory_peak_bytes as u64;
        let said = result?;
        // The host's own record outranks the component's word, also when that is that all went well.
        if let Some(failure) = outranked(&egress) {
            return Err(failure);
        }
        match said {
            Ok(report) => self.accept(report, plan),
            Err(failure) => Err(told(failure, prepared)),
        }
    }

    /// Takes the component's report over into the summary, if it keeps to the contract.
    fn accept(&mut self, report: Report, plan: &Plan) -> Result<Report, Failure> {
        if report.state.len() > plan.limits.state_bytes {
            return Err(staged::broken(format!(
                "it returned a state of {} bytes, and {} are allowed",
                report.state.len(),
                plan.limits.state_bytes
            )));
        }
        if serde_json::from_str::<serde::de::IgnoredAny>(&report.state).is_err() {
            return Err(staged::broken("it returned a state that is not JSON"));
        }
        self.summary.extent = Some(extent(report.extent).word());
        self.summary.fetched = report.fetched;
        self.summary.staged = report.staged;
        self.summary.deleted = report.deleted;
        self.summary.rejected = report.rejected;
        self.summary.pages = report.pages;
        self.summary.cursor.clone_from(&report.cursor);
        Ok(report)
    }

    /// What is published, and how.
    pub(crate) fn target(&self, settings: &Settings, plan: &Plan) -> Target {
        Target {
            format: plan.format,
            mode: settings.mode,
            keys: plan.keys.clone(),
            file_mode: plan.file_mode,
            adopt: self.args.adopt,
        }
    }

    /// How much may be missing or bad in this run.
    pub(crate) fn gates(&self, plan: &Plan) -> Gates {
        Gates {
            min_records: plan.min_records,
            max_shrink_percent: plan.max_shrink_percent,
            max_rejected: plan.max_rejected,
            allow_shrink: self.args.allow_shrink,
        }
    }

    /// What a commit records besides the data.
    pub(crate) fn draft(&self, prepared: &Prepared, settings: &Settings, report: Report) -> Draft {
        Draft {
            job: self.summary.job.clone(),
            component: Component {
                name: prepared.description.name.clone(),
                sha256: prepared.connector.sha256.clone(),
            },
            started: self.summary.started.clone(),
            fetched: report.fetched,
            pages: report.pages,
            cursor: report.cursor,
            state: report.state,
            settings: settings.shaping.clone(),
        }
    }

    /// Takes the commit over into the summary.
    pub(crate) fn published(&mut self, commit: Commit) -> Outcome {
        self.summary.records = commit.records;
        self.summary.generation = Some(commit.generation);
        if commit.unchanged {
            Outcome::NothingNew
        } else {
            Outcome::Published
        }
    }

    /// Says what a commit would have published.
    pub(crate) fn leave_unpublished(&mut self, totals: Totals) -> Outcome {
        self.log.info(
            "dry run, nothing published",
            json!({ "records": totals.records, "unchanged": totals.unchanged }),
        );
        self.summary.records = totals.records;
        if totals.unchanged {
            Outcome::NothingNew
        } else {
            Outcome::Published
        }
    }

    /// The lock of this run.
    pub(crate) fn lock(&self) -> &Lock {
        match &self.lock {
            Held::Yes(lock) => lock,
            Held::NotYet | Held::Lost => {
                unreachable!("no step that needs the lock comes before it")
            }
        }
    }
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
pub fn reported(report: &Report) -> staged::Counts {
    staged::Counts {
        staged: report.staged,
        deleted: report.deleted,
        rejected: report.rejected,
    }
}

/// The way out for this job.
fn egress(plan: &Plan, settings: &Settings, log: crate::log::Log) -> Result<Egress, Failure> {
    let policy = Policy {
        source: Origin::of(&settings.source),
        allow_hosts: plan.allow_hosts.clone(),
        allow_private_networks: plan.allow_private_networks,
    };
    Egress::new(
        policy,
        &settings.auth,
        &[],
        plan.ca_file.as_deref(),
        &plan.limits,
        log,
    )
}

/// The host's own record of a denial or a limit, which outranks the component's word.
fn outranked(egress: &Egress) -> Option<Failure> {
    let error = egress.denial().or_else(|| egress.breach())?;
    Some(Failure::new(error.outcome(), error.to_string()))
}

/// What the component said, as an ending.
fn told(failure: JobFailure, prepared: &Prepared) -> Failure {
    let (outcome, detail) = match failure {
        JobFailure::Settings(problems) => {
            let located: Vec<Problem> = problems
                .into_iter()
                .map(|problem| prepared.located(Problem::new(&problem.setting, problem.message)))
                .collect();
            return refusal(&located);
        }
        JobFailure::Denied(detail) => (Outcome::Denied, detail),
        JobFailure::Refused(detail) => (Outcome::SourceRefused, detail),
        JobFailure::Unavailable(detail) => (Outcome::TryLater, detail),
        JobFailure::Protocol(detail) => (Outcome::ProtocolBroken, detail),
        JobFailure::Data(detail) => (Outcome::GateRefused, detail),
        JobFailure::Output(detail) => (Outcome::IoFailed, detail),
    };
    let wait = detail
        .retry_after_seconds
        .map(|seconds| format!("; it asks to be left alone for {seconds} s"));
    Failure::new(
        outcome,
        format!("{}{}", detail.message, wait.unwrap_or_default()),
    )
}

/// Ends when the component has staged more than it may, in bytes or in files.
async fn overfull(input: &Folder, limits: &Limits) -> Failure {
    loop {
        tokio::time::sleep(STAGING_MEASURED_EVERY).await;
        let (files, bytes) = measured(input);
        if bytes > limits.staged_bytes {
            return staged::broken(format!("it staged more than {} bytes", limits.staged_bytes));
        }
        if files > limits.staged_files {
            return staged::broken(format!("it made more than {} files", limits.staged_files));
        }
    }
}

/// Files and bytes in the staging folder. What vanishes while it is looked at counts for nothing.
fn measured(input: &Folder) -> (usize, u64) {
    let names = input.names(|_| true).unwrap_or_default();
    let bytes = |name: &String| {
        let stat = rustix::fs::statat(input, name.as_str(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(stat.st_blocks.unsigned_abs() * 512)
    };
    (names.len(), names.iter().filter_map(bytes).sum())
}
