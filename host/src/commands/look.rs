//! What commands have in common that look at where a job publishes: its settings for the output, signals, and an answer that shows
//! no secret.

use crate::cli::GivenArgs;
use crate::outcome::{Ended, Failure, Outcome};
use crate::process::stop::Stop;
use crate::process::watch::{Watch, aside};
use crate::run::setup;
use crate::secret::Redactor;
use crate::settings::catalogue;
use crate::settings::host::HostPlan;
use crate::settings::inputs::{Commands, Problem};
use crate::settings::job_file::JOB_FILE;

/// What becomes of it when the command must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtTheEnd {
    /// It is left where it is: it may wait for a server or a disk.
    IsLeft,
    /// It is waited for: it asks whether to go on, and changes something.
    IsWaitedFor,
}

/// Does `act` with the settings of the output, on a thread of its own, and hands what it gives to `answer`. A problem of these
/// settings, and a failure of `act`, end the command with their codes.
pub fn at_output<T: Send + 'static>(
    given: &GivenArgs,
    environment: impl IntoIterator<Item = (String, String)>,
    at_the_end: AtTheEnd,
    act: impl FnOnce(&HostPlan, &Stop) -> Result<T, Failure> + Send + 'static,
    answer: impl FnOnce(T, &Redactor) -> Ended,
) -> Ended {
    let watch = Watch::begin();
    let (inputs, host) = setup::read_starting(given, environment, Commands::OfHealth, &watch.stop);
    let (redactor, job) = (setup::redactor(&inputs, &host), host.job.clone());
    let checked = watch.stop.check().and_then(|()| problem_of_output(&host));
    let acted = checked.and_then(|()| {
        let stop = watch.stop.clone();
        let acting = aside("look", move || act(&host, &stop));
        match at_the_end {
            AtTheEnd::IsLeft => watch.block_on(watch.stop.unless(acting)),
            AtTheEnd::IsWaitedFor => watch.block_on(acting),
        }
    });
    match acted {
        Ok(acted) => answer(acted, &redactor),
        Err(failure) => Ended::hidden(Err(failure), &redactor).of_job(&job, &redactor),
    }
}

/// `Err` (78): a setting of where the output is is wrong.
pub fn problem_of_output(host: &HostPlan) -> Result<(), Failure> {
    let problem = host.problems.iter().find(|problem| is_of_output(problem));
    problem.map_or(Ok(()), |problem| {
        Err(Failure::new(Outcome::Settings, problem.to_string()))
    })
}

/// Whether a problem is one of where the output is.
fn is_of_output(problem: &Problem) -> bool {
    let name = problem.setting.as_str();
    let is_of_all = name.starts_with("--") || name == JOB_FILE;
    is_of_all || catalogue::row(name).is_some_and(|row| row.for_health)
}
