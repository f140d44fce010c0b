//! What comes before a run touches anything: the plan, the component and its description, and the settings joined.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::cli::GivenArgs;
use crate::component::{Connector, Description, FETCH_LESS, Grants, JobFailure, Request};
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Stop;

use crate::given_file::{self, Holds};
use crate::run::Run;
use crate::run::record::Recording;
use crate::sandbox::landlock;
use crate::secret::Redactor;
use crate::settings::exposed;
use crate::settings::granted::{self, Grant};
use crate::settings::host::HostPlan;
use crate::settings::inputs::{Commands, Inputs, Problem};
use crate::settings::job_file::JobComponent;
use crate::settings::mistaken;
use crate::settings::plan::{Plan, Unusable};
use crate::settings::policy::{Tenant, Verdict};
use crate::settings::suggest;

/// The component that is built into the binary.
pub const BUILT_IN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rest.wasm"));

/// The version of Landlock that a policy needs: it keeps files from being truncated, too.
const LANDLOCK_MIN: u32 = 3;

/// A job: its component, what was given, and what will be done or why it cannot be.
pub struct Job {
    /// What was given.
    pub inputs: Inputs,
    /// What the host will do with any component.
    pub host: HostPlan,
    /// The component.
    pub connector: Connector,
    /// What it says it is.
    pub description: Description,
    /// Whether it is the one in the binary.
    has_built_in: bool,
    /// What the job will do, or why it cannot.
    pub plan: Result<Plan, Unusable>,
}

/// A component that was loaded, and what it said it is.
#[derive(Clone, Copy)]
pub struct Known<'k> {
    pub connector: &'k Connector,
    pub description: &'k Description,
}

/// What was given, and what the host makes of it. Never fails: problems are in it. From now on `stop` knows the deadline.
pub fn read(
    given: &GivenArgs,
    environment: impl IntoIterator<Item = (String, String)>,
    stop: &Stop,
) -> (Inputs, HostPlan) {
    read_starting(given, environment, Commands::NotStarted, stop)
}

/// The same, and starts the programs that print secrets.
pub fn read_starting(
    given: &GivenArgs,
    environment: impl IntoIterator<Item = (String, String)>,
    commands: Commands,
    stop: &Stop,
) -> (Inputs, HostPlan) {
    let limits = Limits::default();
    let inputs = Inputs::read_with(given, environment, (&limits, commands), stop);
    let host = HostPlan::new(&inputs, limits);
    stop.set_deadline(host.limits.run_deadline);
    (inputs, host)
}

/// Hides every secret that was given.
pub fn redactor(inputs: &Inputs, host: &HostPlan) -> Redactor {
    Redactor::new(host.secrets(inputs))
}

impl Job {
    /// Loads the component, asks what it is, and joins its settings with what was given. `Err` when there is no component to
    /// ask, the host's problems being in its text then, or when the command must end.
    pub async fn new(
        given: &GivenArgs,
        read: (Inputs, HostPlan),
        stop: &Stop,
        log: &Log,
    ) -> Result<Self, Failure> {
        // With all settings in it, it is large.
        Box::pin(Self::with(given, read, None, stop, log)).await
    }

    /// The same with a component that was loaded and asked before, from the file that `given` names.
    pub async fn with(
        given: &GivenArgs,
        (mut inputs, mut host): (Inputs, HostPlan),
        known: Option<Known<'_>>,
        stop: &Stop,
        log: &Log,
    ) -> Result<Self, Failure> {
        if host
            .tenant
            .as_ref()
            .is_some_and(|tenant| !tenant.is_usable())
        {
            return Err(refusal(&host.problems));
        }
        if host.tenant.is_some() {
            needs_the_wall(landlock())?;
        }
        let mut verdicts = Vec::new();
        let component = wanted(given, inputs.layers().component());
        let loaded = async {
            let allowed = allowed(component.clone(), host.tenant.as_ref(), &mut verdicts)?;
            if let Some(known) = known {
                return Ok((known.connector.again(), known.description.clone()));
            }
            let bytes = component_file(&allowed, &host.limits)?;
            let cache_dir = host.cache_dir.as_deref();
            let connector = Connector::load(bytes, cache_dir, &host.limits, log).await?;
            let description = connector.describe(log.clone(), &host.limits).await?;
            Ok((connector, description))
        };
        let (connector, description) = stop
            .unless(loaded)
            .await
            .map_err(|failure: Failure| with_problems(failure, &host))?;
        host.verdicts.append(&mut verdicts);
        let has_built_in = component.path.is_none();
        let grant = grant(&description, has_built_in, &host);
        let plan = Plan::new(&mut inputs, &host, &grant);
        Ok(Self {
            inputs,
            host,
            connector,
            description,
            has_built_in,
            plan,
        })
    }

    /// Which part of the wall around the component's process is missing on this machine.
    pub fn open_wall() -> Option<&'static str> {
        landlock().is_none().then_some(
            "the kernel has no Landlock: WebAssembly alone keeps the component from files",
        )
    }

    /// What the component may have of the environment.
    pub fn grant(&self) -> Grant<'_> {
        grant(&self.description, self.has_built_in, &self.host)
    }

    /// Everything that is wrong with the settings: the host's view, and the component's, which is asked with nothing
    /// granted, so that it can do no more than read its settings. `Err` when the command must end.
    pub async fn problems(&self, stop: &Stop) -> Result<Vec<Problem>, Failure> {
        let (mut problems, environment) = match &self.plan {
            Ok(plan) => (Vec::new(), &plan.environment),
            Err(unusable) => (unusable.problems.clone(), &unusable.environment),
        };
        let asked = async { Ok(self.component_problems(environment.clone()).await) };
        for problem in stop.unless(asked).await? {
            if !problems
                .iter()
                .any(|known| known.setting == problem.setting)
            {
                problems.push(problem);
            }
        }
        Ok(problems)
    }

    /// What the component finds wrong with these settings; nothing where it does not say.
    pub async fn component_problems(&self, environment: Vec<(String, String)>) -> Vec<Problem> {
        let request = Request {
            state: None,
            window: None,
            full_refresh: true,
        };
        self.problems_of(environment, &request).await
    }

    /// The same where this is the state of the last run.
    pub async fn problems_with_state(&self, state: &str, full_refresh: bool) -> Vec<Problem> {
        let environment = match &self.plan {
            Ok(plan) => &plan.environment,
            Err(unusable) => &unusable.environment,
        };
        let request = Request {
            state: Some(state.to_owned()),
            window: None,
            full_refresh,
        };
        self.problems_of(environment.clone(), &request).await
    }

    async fn problems_of(
        &self,
        environment: Vec<(String, String)>,
        request: &Request,
    ) -> Vec<Problem> {
        let grants = Grants {
            outbound: None,
            staging: None,
            staged_bytes_left: 0,
            environment,
            log: Log::silent(),
            fetch_less: FETCH_LESS.to_owned(),
            cpu: self.host.limits.describe_cpu,
            memory_bytes: self.host.limits.describe_memory_bytes,
        };
        let asked = self.connector.run(grants, &self.host.limits, request);
        match tokio::time::timeout(self.host.limits.describe_wall_max, asked).await {
            Ok((Ok(Err(JobFailure::Settings(problems))), _)) => problems
                .into_iter()
                .map(|problem| self.located(Problem::new(&problem.setting, problem.message)))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The problem with where its value came from.
    pub fn located(&self, mut problem: Problem) -> Problem {
        let given = self.inputs.named(&problem.setting);
        problem.origin = given.map(|given| given.origin.clone());
        problem
    }
}

/// Refuses (78) a kernel that cannot keep a tenant's component from files, by this version of Landlock.
fn needs_the_wall(landlock: Option<u32>) -> Result<(), Failure> {
    let found = match landlock {
        Some(LANDLOCK_MIN..) => return Ok(()),
        Some(version) => format!("version {version}"),
        None => "none".to_owned(),
    };
    Err(Failure::new(
        Outcome::Settings,
        format!(
            "--policy needs a kernel with Landlock of version {LANDLOCK_MIN} or later around the component, and this one has {found}: use Linux 6.2 or later with `landlock` among its security modules (`lsm=`)"
        ),
    ))
}

/// One line that names every problem.
pub fn refusal(problems: &[Problem]) -> Failure {
    let listed: Vec<String> = problems.iter().map(Problem::to_string).collect();
    Failure::new(Outcome::Settings, listed.join("; "))
}

fn grant<'a>(description: &'a Description, has_built_in: bool, host: &'a HostPlan) -> Grant<'a> {
    Grant {
        description,
        has_built_in,
        allowed: &host.allow_environment,
    }
}

fn with_problems(failure: Failure, host: &HostPlan) -> Failure {
    if failure.outcome != Outcome::Settings || host.problems.is_empty() {
        return failure;
    }
    let message = format!("{}; {}", failure.message, refusal(&host.problems).message);
    Failure { message, ..failure }
}

/// The component that is asked for: by flag, else by the job file. A flag that names another leaves nothing of the file's.
pub(crate) fn wanted(given: &GivenArgs, of_job: &JobComponent) -> JobComponent {
    let (path, sha256) = (given.component.clone(), given.component_sha256.clone());
    if path.is_some() {
        return JobComponent { path, sha256 };
    }
    JobComponent {
        path: of_job.path.clone(),
        sha256: sha256.or_else(|| of_job.sha256.clone()),
    }
}

/// What the policy says of the component that is asked for, where one is in force.
pub fn verdicts(given: &GivenArgs, (inputs, host): &(Inputs, HostPlan)) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let wanted = wanted(given, inputs.layers().component());
    // Why it is refused is the command's failure.
    let _ = allowed(wanted, host.tenant.as_ref(), &mut verdicts);
    verdicts
}

/// The component where it is, if the policy allows it: nothing of it is opened before.
fn allowed(
    wanted: JobComponent,
    tenant: Option<&Arc<Tenant>>,
    verdicts: &mut Vec<Verdict>,
) -> Result<JobComponent, Failure> {
    let Some(tenant) = tenant else {
        return Ok(wanted);
    };
    let path = tenant.component(&wanted, verdicts);
    let path = path.map_err(|message| Failure::new(Outcome::Settings, message))?;
    Ok(JobComponent { path, ..wanted })
}

fn component_file(wanted: &JobComponent, limits: &Limits) -> Result<Vec<u8>, Failure> {
    let bytes = match &wanted.path {
        None => BUILT_IN.to_vec(),
        Some(path) => {
            // A component whose sha256 is given may be writable by others.
            let holds = if wanted.sha256.is_some() {
                Holds::Other
            } else {
                Holds::Trusted
            };
            read_component(path, holds, limits)?
        }
    };
    let Some(wanted) = &wanted.sha256 else {
        return Ok(bytes);
    };
    let found = crate::hash::sha256(&bytes);
    if wanted.eq_ignore_ascii_case(&found) {
        return Ok(bytes);
    }
    Err(Failure::new(
        Outcome::Settings,
        format!(
            "the component's sha256 is `{found}`, not the one that `--component-sha256` or the job file asks for"
        ),
    ))
}

/// A component file, whole. `Err` (78): it cannot be read.
pub(crate) fn read_component(
    path: &Path,
    holds: Holds,
    limits: &Limits,
) -> Result<Vec<u8>, Failure> {
    let read = given_file::read_regular(path, limits.component_bytes, holds);
    let (mut bytes, _) = read.map_err(|error| {
        Failure::new(
            Outcome::Settings,
            format!("cannot read the component `{}`: {error}", path.display()),
        )
    })?;
    Ok(std::mem::take(&mut bytes))
}

impl Run<'_> {
    /// The settings, or every problem with them in one failure, or that the run must end.
    pub(crate) async fn usable<'p>(
        &mut self,
        job: &'p Job,
        stop: &Stop,
    ) -> Result<&'p Plan, Failure> {
        if let Some(open) = Job::open_wall() {
            self.log.warn(open, json!({}));
        }
        for (name, meant) in suggest::near_misses(&job.description, &job.inputs) {
            self.log.warn(
                "environment variable is not a setting",
                json!({ "name": name, "meant": meant }),
            );
        }
        if let Some(kept_back) = granted::ungranted(&job.inputs, &job.grant()) {
            self.log.warn(
                "environment variables not given to the component",
                json!({ "names": kept_back.names, "grant": kept_back.grant }),
            );
        }
        for path in exposed::files(&job.inputs) {
            self.log.warn(
                "every user may read a file with a secret in it",
                json!({ "path": path, "advice": "chmod o-r" }),
            );
        }
        for found in mistaken::found(job.inputs.layers()) {
            self.log.warn(
                "a setting that is not secret has a name like that of a secret",
                json!({ "setting": found.setting, "name": found.name, "advice": found.advice() }),
            );
        }
        for (name, setting) in granted::ignored(&job.inputs) {
            self.log.warn(
                "environment variable ignored",
                json!({ "name": name, "setting": setting }),
            );
        }
        if let Ok(plan) = &job.plan {
            return Ok(plan);
        }
        self.recording = Recording::Over;
        Err(refusal(&job.problems(stop).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_needs_a_kernel_that_keeps_components_from_files() {
        assert!(needs_the_wall(Some(3)).is_ok() && needs_the_wall(Some(7)).is_ok());
        for landlock in [None, Some(2)] {
            let refused = needs_the_wall(landlock).unwrap_err();
            assert_eq!(refused.outcome, Outcome::Settings);
        }
    }
}
