//! The step that fetches: runs the component in its grants, and holds what it says against the host's own record.

use crate::component::{self, Grants, JobFailure, Report, Request, Used, Window, cpu_used_up};
use crate::egress::{Besides, Egress, EgressError, Origin, Policy, Proxy, Sharing, TlsFiles};
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Stop;
use crate::run::Run;
use crate::run::changed_settings::leaves_append;
use crate::run::credential;
use crate::run::portion::extent;
use crate::run::setup::{Job, refusal};
use crate::run::sharing::sharing;
use crate::settings::host::HostPlan;
use crate::settings::inputs::Problem;
use crate::settings::plan::{Plan, WriteMode};
use crate::sink::LastCommit;
use crate::staging::read;
use crate::staging::run_folder::RunFolder;
use crate::units::counted;

impl Run<'_> {
    /// The way out for this job, beside the other runs of this process.
    pub(crate) fn egress(&self, job: &Job, plan: &Plan) -> Result<Egress, Failure> {
        let sharing = (self.commons.as_ref()).map(|commons| sharing(commons, job, plan));
        let host = &job.host;
        egress_beside(host, plan, (self.log.clone(), sharing.as_ref()))
    }

    /// Runs the component in its grants and holds what it says against the host's own record.
    pub(super) async fn call(
        &mut self,
        job: &Job,
        plan: &Plan,
        egress: &Egress,
        request: &Request,
        staging: &RunFolder,
        stop: &Stop,
    ) -> Result<(Report, Used), Failure> {
        let host = &job.host;
        let grants = Grants {
            outbound: Some(egress.clone()),
            staging: Some(staging.input_descriptor()?),
            staged_bytes_left: (host.limits.staged_bytes)
                .saturating_sub(self.summary.component_staged_bytes),
            environment: plan.environment.clone(),
            log: self.log.clone(),
            fetch_less: job.description.fetch_less(),
            cpu: host.limits.cpu.saturating_sub(self.summary.component_cpu),
            memory_bytes: host.limits.memory_bytes,
        };
        let run = job.connector.run(grants, &host.limits, request);
        let ran = Box::pin(stop.unless(async { Ok(run.await) })).await;
        let traffic = egress.traffic();
        self.summary.requests = traffic.requests;
        // Until the component says it itself.
        self.summary.pages = traffic.pages;
        self.summary.wire_bytes = traffic.wire_bytes;
        self.summary.echoes_redacted = traffic.echoes;
        let (result, used): (_, Used) = ran.map_err(|failure| {
            self.count_so_far(staging, &host.limits);
            late(failure, traffic.pages, &job.description.fetch_less())
        })?;
        let staged = &mut self.summary.component_staged_bytes;
        *staged = staged.saturating_add(used.staged_bytes);
        let cpu = &mut self.summary.component_cpu;
        *cpu = cpu.saturating_add(used.cpu);
        self.summary.component_cpu_ms = u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX);
        // Within one call it is looked at now and then; many short ones would each be over before that.
        let used_up = (*cpu > host.limits.cpu)
            .then(|| cpu_used_up(host.limits.cpu, &job.description.fetch_less()));
        let peak = &mut self.summary.component_memory_peak_bytes;
        *peak = (*peak).max(used.memory_peak_bytes as u64);
        let peak = &mut self.summary.component_table_peak;
        *peak = (*peak).max(used.table_peak_elements);
        let ran = result.and_then(|said| {
            disposed(said, egress, job).map_err(|failure| placed(failure, staging))
        });
        let ran = ran.and_then(|report| used_up.map_or(Ok(report), Err));
        let report = ran.inspect_err(|_| self.count_so_far(staging, &host.limits))?;
        let report = self.accept(report, request, plan, &host.limits)?;
        Ok((report, used))
    }

    /// What a portion that failed has staged, by the host's own count.
    fn count_so_far(&mut self, staging: &RunFolder, limits: &Limits) {
        let found = read::so_far(staging.input(), limits);
        let summary = &mut self.summary;
        summary.staged = summary.staged.saturating_add(found.staged);
        summary.rejected = summary.rejected.saturating_add(found.rejected);
    }

    /// What the component is asked for. Only the first portion can be a full refresh: the others go on behind it. The first
    /// run after append is one, too: segments are no set that changes could be made to. And so is one that a person wants.
    pub(super) fn request(&self, plan: &Plan, last: Option<LastCommit<'_>>) -> Request {
        let is_wanted = |last: LastCommit<'_>| {
            // A range that is read again is not everything: that stays for the next run.
            let is_whole = self.args.range().is_none() && plan.mode != WriteMode::Append;
            leaves_append(plan, last) || last.manifest.fetch_everything && is_whole
        };
        let anew = self.args.full_refresh || last.is_some_and(is_wanted);
        Request {
            state: last.map(|last| last.manifest.state.clone()),
            window: self.args.range().map(|(start, end)| Window {
                start: start.to_owned(),
                end: end.to_owned(),
            }),
            full_refresh: anew && self.summary.portions == 0,
        }
    }

    /// Takes the component's report over into the summary, if it keeps to the contract.
    fn accept(
        &mut self,
        report: Report,
        request: &Request,
        plan: &Plan,
        limits: &Limits,
    ) -> Result<Report, Failure> {
        keeps_to_the_contract(&report, request, plan.stages, self.summary.portions, limits)?;
        self.summary.extent = Some(extent(report.extent).word());
        self.summary.not_modified =
            self.summary.portions == 0 && report.extent == component::Extent::NothingNew;
        let summary = &mut self.summary;
        for (count, reported) in [
            (&mut summary.fetched, report.fetched),
            (&mut summary.staged, report.staged),
            (&mut summary.rejected, report.rejected),
            (&mut summary.reported_pages, report.pages),
        ] {
            *count = count.saturating_add(reported);
        }
        summary.pages = summary.reported_pages;
        summary.cursor.clone_from(&report.cursor);
        Ok(report)
    }
}

/// `Err` (70) says what the component did that its contract excludes.
fn keeps_to_the_contract(
    report: &Report,
    request: &Request,
    stages: component::Staging,
    portions: u64,
    limits: &Limits,
) -> Result<(), Failure> {
    let state = &report.state;
    if report.extent == component::Extent::Changes && !stages.changes {
        return Err(Failure::broken(
            "it reported `changes`, which neither its description nor a setting that was given announces",
        ));
    }
    if report.deleted > 0 && !stages.deletions && !stages.parents {
        return Err(Failure::broken(
            "it staged deletions, which neither its description nor a setting that was given announces",
        ));
    }
    if request.window.is_some() {
        if request.state.as_ref().is_some_and(|given| given != state) {
            return Err(Failure::broken(
                "it returned another state after reading a range again",
            ));
        }
        if report.extent == component::Extent::Everything {
            return Err(Failure::broken("it reported a range as `everything`"));
        }
    }
    if report.more {
        if request.state.as_ref() == Some(state) {
            return Err(Failure::broken(
                "it reported more to fetch, and returned the state that it was given",
            ));
        }
        if portions + 1 >= limits.portions {
            return Err(Failure::broken(format!(
                "it has more than {} portions",
                limits.portions
            )));
        }
    }
    Ok(())
}

/// The way out for this job.
pub fn egress(host: &HostPlan, plan: &Plan, log: Log) -> Result<Egress, Failure> {
    egress_beside(host, plan, (log, None))
}

fn egress_beside(
    host: &HostPlan,
    plan: &Plan,
    (log, sharing): (Log, Option<&Sharing>),
) -> Result<Egress, Failure> {
    let policy = Policy {
        source: Origin::of(&plan.source),
        allow_hosts: host.allow_hosts.clone(),
        allow_private_networks: host.allow_private_networks,
        ceiling: host.tenant.as_ref().map(|tenant| tenant.origins()),
        proxy: host.proxy.clone(),
        cookies: host.cookies,
    };
    let files = TlsFiles {
        ca: host.ca_file.clone(),
        client: host.client.clone(),
    };
    let besides = Besides {
        places: plan.places.clone(),
        ..host.besides.clone()
    };
    Egress::beside_others(
        policy,
        &host.auth,
        &besides,
        &files,
        &host.limits,
        (log, sharing),
    )
}

/// What a component said, unless the host's own record of a denial or a limit outranks it: also when it said that all went
/// well. What it says of a denial is where it asked, and why: that is shown, too.
pub fn disposed<T>(said: Result<T, JobFailure>, egress: &Egress, job: &Job) -> Result<T, Failure> {
    let Some(error) = egress.denial().or_else(|| egress.breach()) else {
        return said.map_err(|failure| advised(explained(told(failure, job), egress), egress));
    };
    let message = match said {
        Err(JobFailure::Denied(detail)) if error.outcome() == Outcome::Denied => {
            format!("{}: {error}", detail.message)
        }
        _ => error.to_string(),
    };
    let message = format!("{message}{}", of_the_proxy(&error, egress));
    Err(Failure::new(error.outcome(), message))
}

/// That a proxy was in between, for what it may have done itself.
fn of_the_proxy(error: &EgressError, egress: &Egress) -> String {
    let may_be_its = matches!(
        error,
        EgressError::BadCertificate { .. }
            | EgressError::BadTls { .. }
            | EgressError::BadFraming { .. }
            | EgressError::BadEncoding { .. }
            | EgressError::BadFile { .. }
            | EgressError::TooLarge { .. }
            | EgressError::CredentialRefused { .. }
    );
    let proxy = egress.proxy().filter(|_| may_be_its);
    proxy.map_or_else(String::new, |proxy| {
        format!("; asked through {}", proxy.named())
    })
}

/// What the component takes for a source that is not there, with the reason that only the host knows.
fn explained(mut failure: Failure, egress: &Egress) -> Failure {
    let Some(trouble) = egress.trouble() else {
        return failure;
    };
    let is_of_the_network = match failure.outcome {
        Outcome::TryLater => true,
        Outcome::ProtocolBroken => trouble.is_of_a_body(),
        _ => false,
    };
    if is_of_the_network {
        let reason = trouble.reason();
        let unnamed = |proxy: &&Proxy| !reason.contains(&proxy.named());
        let through = egress.proxy().filter(unnamed);
        let through = through.map_or_else(String::new, |proxy| {
            format!("; asked through {}", proxy.named())
        });
        failure.message = format!("{} ({reason}{through})", failure.message);
    }
    failure
}

/// With the setting that helps where a later page needs what an earlier one set.
fn advised(mut failure: Failure, egress: &Egress) -> Failure {
    let may_need_them = matches!(
        failure.outcome,
        Outcome::SourceRefused | Outcome::Denied | Outcome::ProtocolBroken
    );
    if may_need_them && egress.has_ignored_cookies() {
        failure.message.push_str("; the source set cookies, which were not sent back; if it needs them, set SOURCE_COOKIES=yes");
    }
    failure
}

/// Why the run was stopped; where its time was over, with how far it came and what helps.
fn late(failure: Failure, pages: u64, fetch_less: &str) -> Failure {
    // It is the deadline or a signal.
    if failure.outcome != Outcome::TryLater {
        return failure;
    }
    let pages = counted(pages, "page");
    let message = format!(
        "{}; {pages} read; raise it, or {fetch_less}",
        failure.message
    );
    Failure { message, ..failure }
}

/// What the component could not write, with the folder that only the host knows.
fn placed(mut failure: Failure, staging: &RunFolder) -> Failure {
    if failure.outcome == Outcome::IoFailed {
        let folder = staging.input().path().display();
        failure.message = format!("{}, in `{folder}`", failure.message);
    }
    failure
}

/// What the component said, as an ending.
fn told(failure: JobFailure, job: &Job) -> Failure {
    let (outcome, mut detail) = match failure {
        JobFailure::Settings(problems) => {
            let located: Vec<Problem> = problems
                .into_iter()
                .map(|problem| job.located(Problem::new(&problem.setting, problem.message)))
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
    let says_so = detail.message.contains("asks to wait");
    let wait = detail
        .retry_after_seconds
        .filter(|_| !says_so)
        .map(|seconds| format!("; the source asks to wait {seconds} s"));
    let is_read_by_proxy = job
        .host
        .source
        .as_ref()
        .is_some_and(|url| url.scheme() == "http");
    if let Some(proxy) = job.host.proxy.as_ref().filter(|_| is_read_by_proxy)
        && detail.status.is_some_and(|status| status >= 400)
    {
        detail.message = format!("{}, or {} did in its place", detail.message, proxy.named());
    }
    if outcome == Outcome::Denied && matches!(detail.status, Some(401 | 403)) {
        detail.message = format!("{}; {}", detail.message, credential::advice(job));
    }
    Failure::new(
        outcome,
        format!("{}{}", detail.message, wait.unwrap_or_default()),
    )
}
