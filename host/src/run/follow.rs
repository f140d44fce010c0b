//! The step that fetches, with what can be done meanwhile.
//!
//! While the component runs on one thread, the records that it stages are looked at on another, and the sink begins with them
//! on this one.

use std::thread::{self, Scope, ScopedJoinHandle};

use tokio::runtime::Handle;

use crate::component::{Report, Request};
use crate::egress::Egress;
use crate::outcome::{Failure, OrFail as _, Outcome};
use crate::process::defect;
use crate::process::stop::Stop;
use crate::process::watch::NO_THREAD;
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

/// What was made of the records while the component ran: a look at them, and what the sink began.
pub struct Meanwhile {
    made: Option<(Looked, Option<Begun>)>,
    followed: Followed,
}

impl Meanwhile {
    /// The result, if the whole final file was read; otherwise its records are looked at now, and nothing is begun.
    pub fn held_against(
        self,
        staged: &Staged,
        last: Option<LastCommit<'_>>,
        host: &HostPlan,
        stop: &Stop,
    ) -> Result<(Looked, Option<Begun>), Failure> {
        if let Some(made) = self.made
            && self.followed.is_all_of(staged)
        {
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
        let base = probable_base(&request, plan);
        let (first, second, running, followed) = follow(staging.input());
        let longest = host.limits.staged_line_bytes;
        let runtime = Handle::current();
        thread::scope(|scope| {
            let looking = beside(scope, "look", move || {
                let records = Lines::made(Box::new(first), longest);
                Looked::at(records, last, host, &|| stop.check())
            })?;
            let fetching = beside(scope, "fetch", || {
                let called = self.call(job, plan, egress, &request, staging, stop);
                running.ended(runtime.block_on(called))
            })?;
            let begun = sink.begin(Lines::made(Box::new(second), longest), staging, base);
            let report = joined(fetching);
            let looked = joined(looking);
            let (report, used) = report?;
            // Where the first reader gave up, so did the second; what is wrong with a line is found again, in its turn.
            let made = match (looked, begun) {
                (Ok(_), Err(failure)) if failure.outcome == Outcome::IoFailed => {
                    return Err(failure);
                }
                (Ok(looked), Ok(begun)) if used.staged_only_grew => Some((looked, begun)),
                (Ok(_) | Err(_), _) => None,
            };
            Ok((report, Meanwhile { made, followed }))
        })
    }
}

fn probable_base(request: &Request, plan: &Plan) -> BuildsOn {
    if request.state.is_some() && !request.full_refresh && plan.stages.changes {
        BuildsOn::LastCommit
    } else {
        BuildsOn::Nothing
    }
}

/// Does `work` on a thread of its own. A panic in it is a [`Failure`].
fn beside<'s, T: Send + 's>(
    scope: &'s Scope<'s, '_>,
    name: &str,
    work: impl FnOnce() -> Result<T, Failure> + Send + 's,
) -> Result<ScopedJoinHandle<'s, Result<T, Failure>>, Failure> {
    let builder = thread::Builder::new().name(name.to_owned());
    let spawned = builder.spawn_scoped(scope, || defect::caught(work));
    spawned.or_fail(Outcome::TryLater, || NO_THREAD)
}

fn joined<T>(thread: ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    thread.join().expect("its panics are caught")
}
