//! What comes before a run touches anything: the plan, the component and its description, and the settings joined.

use std::path::Path;

use crate::cli::GivenArgs;
use crate::component::grants::Grants;
use crate::component::{Connector, Description, JobFailure, Request};
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Stop;
use crate::secret::Redactor;
use crate::settings::given_file::{self, Holds};
use crate::settings::inputs::{Problem, Values};
use crate::settings::plan::Plan;
use crate::settings::{self, Settings, Unusable};
use crate::sink::manifest;

/// The component that is built into the binary.
pub const BUILT_IN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rest.wasm"));

/// A component that is ready to run, with its settings or what is wrong with them.
pub struct Prepared {
    /// The host's side.
    pub plan: Plan,
    /// The component.
    pub connector: Connector,
    /// What it says it is.
    pub description: Description,
    /// Both sides joined.
    pub settings: Result<Settings, Unusable>,
    /// Hides the secrets.
    pub redactor: Redactor,
}

/// The plan of `given` and the environment. Never fails: problems are in it. From now on `stop` knows the deadline.
pub fn plan(
    given: &GivenArgs,
    environment: impl IntoIterator<Item = (String, String)>,
    stop: &Stop,
) -> Plan {
    let limits = Limits::default();
    let mut problems = Vec::new();
    let values = Values::collect_until(
        &given.set,
        environment,
        &given.env_file,
        &limits,
        stop,
        &mut problems,
    );
    let plan = Plan {
        has_built_in: given.component.is_none(),
        ..Plan::new(values, limits, problems)
    };
    stop.set_deadline(plan.limits.run_deadline);
    plan
}

/// Hides every secret that was given.
pub fn redactor(plan: &Plan) -> Redactor {
    Redactor::new(settings::secrets(plan))
}

impl Prepared {
    /// Loads the component, asks what it is, and joins its settings with the plan. `Err` when there is no component to
    /// ask, the plan's problems being in its text then, or when the command must end.
    pub async fn new(
        given: &GivenArgs,
        plan: Plan,
        stop: &Stop,
        log: &Log,
    ) -> Result<Self, Failure> {
        let loaded = async {
            let bytes = component_file(given, &plan.limits)?;
            let cache_dir = plan.cache_dir.as_deref();
            let connector = Connector::load(bytes, cache_dir, &plan.limits, log).await?;
            let description = connector.describe(log.clone(), &plan.limits).await?;
            Ok((connector, description))
        };
        let (connector, description) = stop
            .unless(loaded)
            .await
            .map_err(|failure: Failure| with_problems(failure, &plan))?;
        let settings = settings::join(&description, &plan);
        let redactor = redactor(&plan);
        Ok(Self {
            plan,
            connector,
            description,
            settings,
            redactor,
        })
    }

    /// Everything that is wrong with the settings: the host's view, and the component's, which is asked with nothing
    /// granted, so that it can do no more than read its settings. `Err` when the command must end.
    pub async fn problems(&self, stop: &Stop) -> Result<Vec<Problem>, Failure> {
        let (mut problems, environment) = match &self.settings {
            Ok(settings) => (Vec::new(), &settings.environment),
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

    async fn component_problems(&self, environment: Vec<(String, String)>) -> Vec<Problem> {
        let grants = Grants {
            outbound: None,
            staging: None,
            staged_bytes_left: 0,
            environment,
            log: Log::silent(),
            cpu: self.plan.limits.describe_cpu,
            memory_bytes: self.plan.limits.describe_memory_bytes,
        };
        let request = Request {
            state: None,
            window: None,
            full_refresh: true,
        };
        let asked = self.connector.run(grants, &self.plan.limits, &request);
        match tokio::time::timeout(self.plan.limits.describe_wall, asked).await {
            Ok((Ok(Err(JobFailure::Settings(problems))), _)) => problems
                .into_iter()
                .map(|problem| self.located(Problem::new(&problem.setting, problem.message)))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The problem with where its value came from.
    pub fn located(&self, mut problem: Problem) -> Problem {
        problem.origin = settings::origin(&self.description, &self.plan, &problem.setting);
        problem
    }
}

/// One line that names every problem.
pub fn refusal(problems: &[Problem]) -> Failure {
    let listed: Vec<String> = problems.iter().map(Problem::to_string).collect();
    Failure::new(Outcome::Settings, listed.join("; "))
}

fn with_problems(failure: Failure, plan: &Plan) -> Failure {
    if failure.outcome != Outcome::Settings || plan.problems.is_empty() {
        return failure;
    }
    let message = format!("{}; {}", failure.message, refusal(&plan.problems).message);
    Failure { message, ..failure }
}

fn component_file(given: &GivenArgs, limits: &Limits) -> Result<Vec<u8>, Failure> {
    let bytes = match &given.component {
        None => BUILT_IN.to_vec(),
        Some(path) => {
            // One that is told by its digest may lie where others can write.
            let is_pinned = given.component_sha256.is_some();
            let holds = if is_pinned {
                Holds::Other
            } else {
                Holds::Trusted
            };
            read_component(path, holds, limits)?
        }
    };
    let found = manifest::sha256(&bytes);
    match &given.component_sha256 {
        Some(wanted) if !wanted.eq_ignore_ascii_case(&found) => Err(Failure::new(
            Outcome::Settings,
            format!(
                "the component's sha256 is `{found}`, not the one that `--component-sha256` asks for"
            ),
        )),
        _ => Ok(bytes),
    }
}

fn read_component(path: &Path, holds: Holds, limits: &Limits) -> Result<Vec<u8>, Failure> {
    let read = given_file::read_regular(path, limits.component_bytes, holds);
    let (mut bytes, _) = read.map_err(|error| {
        Failure::new(
            Outcome::Settings,
            format!("read the component `{}`: {error}", path.display()),
        )
    })?;
    Ok(std::mem::take(&mut bytes))
}
