//! The process of several jobs that share settings: each runs on a thread of its own, and commits by itself.
//!
//! They have their network in common, so that they can share a token, connections and a rate. What each prints is marked with
//! the job that it is of. What one comes to changes nothing for the others.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::child::{exit_line, mark};
use super::jobs::{FleetJob, members};
use super::{NO_DEADLINE, worst};
use crate::cli::{FleetArgs, RunArgs};
use crate::egress::Commons;
use crate::outcome::{Ended, Failure, Outcome};
use crate::process::watch::{NO_THREAD, Watch};
use crate::run::interval::Begun;
use crate::run::open_sink::Outputs;
use crate::run::{Part, run_watched};

/// Runs the jobs that `--together` names, at most `--parallel` at the same time. The code is the worst of theirs.
pub fn run(args: &RunArgs, environment: impl IntoIterator<Item = (String, String)>) -> Ended {
    let Some(family) = args.given.job.as_deref() else {
        return Ended::failed(Outcome::Usage, "`--together` needs what the jobs are of");
    };
    let all = All {
        args,
        jobs: members(family, &args.fleet.together),
        environment: environment.into_iter().collect(),
        part: Part {
            commons: Some(Commons::default()),
            begun: Some(Begun::default()),
            outputs: Some(Outputs::default()),
            ..Part::default()
        },
        next: AtomicUsize::new(0),
    };
    let at_once = args.fleet.parallel.map_or(1, usize::from);
    let watch = Watch::begin_for(at_once.min(all.jobs.len()));
    // Each has a deadline of its own, and the fleet's process has one for all.
    watch.stop.set_deadline(NO_DEADLINE);
    let codes = thread::scope(|scope| {
        let start = || thread::Builder::new().spawn_scoped(scope, || all.one_after_another(&watch));
        let threads: Vec<_> = (0..at_once.min(all.jobs.len())).map(|_| start()).collect();
        let codes = threads.into_iter().map(|thread| match thread {
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|_| vec![Outcome::ComponentFailed.exit_code()]),
            Err(_) => Vec::new(),
        });
        codes.flatten().collect::<Vec<u8>>()
    });
    if codes.is_empty() {
        return Ended::of(Err(Failure::new(Outcome::TryLater, NO_THREAD)));
    }
    let stopped = watch.stop.check().err();
    let stopped = stopped.map(|failure| failure.outcome.exit_code());
    Ended {
        exit_code: stopped.unwrap_or_else(|| worst(codes)),
        ..Ended::ok()
    }
}

/// The jobs, and which is next.
struct All<'a> {
    args: &'a RunArgs,
    jobs: Vec<FleetJob>,
    environment: Vec<(String, String)>,
    part: Part<'static>,
    next: AtomicUsize,
}

impl All<'_> {
    /// Runs jobs that no other thread has begun, until there is none or the process must end.
    fn one_after_another(&self, watch: &Watch) -> Vec<u8> {
        let mut codes = Vec::new();
        while watch.stop.check().is_ok() {
            let nth = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = self.jobs.get(nth) else {
                break;
            };
            codes.push(self.run(nth, job, watch));
        }
        codes
    }

    fn run(&self, nth: usize, job: &FleetJob, watch: &Watch) -> u8 {
        let args = RunArgs {
            given: job.given(&self.args.given),
            fleet: FleetArgs::default(),
            ..self.args.clone()
        };
        let part = Part {
            mark: mark(nth),
            ..self.part.clone()
        };
        let environment = self.environment.iter().cloned();
        let (ended, _) = run_watched(&watch.beside(), &args, part, environment);
        // Nobody may be listening: that changes nothing.
        if let Some(error) = ended.error_line() {
            let line = format!("{}{error}\n", mark(nth));
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
        let _ = std::io::stdout().write_all(exit_line(nth, ended.exit_code).as_bytes());
        ended.exit_code
    }
}
