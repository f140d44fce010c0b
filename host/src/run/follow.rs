//! The step that fetches, with what can be done meanwhile: while the component runs on one thread, the records that it stages are
//! looked at on another, and the sink begins with them on this one.

use std::panic::resume_unwind;
use std::thread::{self, Scope, ScopedJoinHandle};

use tokio::runtime::Handle;

use crate::component::{Report, Request};
use crate::egress::Egress;
use crate::outcome::{Failure, OrFail as _, Outcome};
use crate::process::stop::Stop;
use crate::run::Run;
use crate::run::drift::Looked;
use crate::run::setup::Job;
use crate::settings::host::HostPlan;
use crate::settings::plan::Plan;
use crate::sink::builds_on::BuildsOn;
use crate::sink::{Begun, LastCommit, Sink};
use crate::staging::following::{Followed, follow};
use crate::staging::lines::Lines;
use crate::staging::read::Staged;
use crate::staging::run_folder::RunFolder;

/// What was made of the records while the component ran.
pub struct Meanwhile {
    made: Option<(Looked, Option<Begun>)>,
    followed: Followed,
}

impl Meanwhile {
    /// It, where it was made of all that was staged in the end; else the records are looked at anew, and nothing is begun.
    pub fn of(
        self,
        staged: &Staged,
        last: Option<LastCommit<'_>>,
        host: &HostPlan,
        stop: &Stop,
    ) -> Result<(Looked, Option<Begun>), Failure> {
        if let Some(made) = self.made.filter(|_| staged.is(self.followed.read())) {
            return Ok(made);
        }
        let looked = Looked::at(staged.records(), last, host, &|| stop.check())?;
        Ok((looked, None))
    }
}

impl Run<'_> {
    /// Runs the component. `Err`: it failed, or what it staged could not be kept.
    pub(crate) fn fetch(
        &mut self,
        job: &Job,
        plan: &Plan,
        egress: &Egress,
        sink: &dyn Sink,
        staging: &RunFolder,
        stop: &Stop,
    ) -> Result<(Report, Meanwhile), Failure> {
        let host = &job.host;
        let last = sink.last();
        let request = self.request(plan, last);
        let base = expected(&request, plan);
        let (following, fed, running, followed) = follow(staging.input());
        let longest = host.limits.staged_line_bytes;
        let runtime = Handle::current();
        thread::scope(|scope| {
            let looking = beside(scope, "look", move || {
                let records = Lines::made(Box::new(following), longest);
                Looked::at(records, last, host, &|| stop.check())
            })?;
            let fetching = beside(scope, "fetch", || {
                let called = self.call(job, plan, egress, &request, staging, stop);
                running.ended(runtime.block_on(called))
            })?;
            let begun = sink.begin(Lines::made(Box::new(fed), longest), staging, base);
            let report = joined(fetching)?;
            let looked = joined(looking);
            // What is wrong with a line is found again, and said in its turn.
            let begun = match begun {
                Err(failure) if failure.outcome == Outcome::IoFailed => return Err(failure),
                begun => begun.ok(),
            };
            let made = looked.ok().zip(begun);
            Ok((report, Meanwhile { made, followed }))
        })
    }
}

/// What the component will probably report.
fn expected(request: &Request, plan: &Plan) -> BuildsOn {
    if request.state.is_some() && !request.full_refresh && plan.stages.changes {
        BuildsOn::LastCommit
    } else {
        BuildsOn::Nothing
    }
}

fn beside<'s, 'e, T: Send + 's>(
    scope: &'s Scope<'s, 'e>,
    name: &str,
    work: impl FnOnce() -> T + Send + 's,
) -> Result<ScopedJoinHandle<'s, T>, Failure> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder.spawn_scoped(scope, work).or_fail(
        Outcome::TryLater,
        || "cannot start a thread: the limit of processes is reached (`ulimit -u`, TasksMax)",
    )
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
