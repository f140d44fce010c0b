//! Traces the runs of a scenario, and disturbs each at the call that is meant.
//!
//! The main thread is the one that publishes, and the only one whose calls are aimed at one by one. It also wakes others, now
//! and then once more, and that shifts the count of its writes: so what was hit is looked up, and a miss is repeated.

use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::super::calls::{self, Call, Ended};
use super::super::{protocol, sweep};
use super::{FIRST_RUN, Scenario, UPSERT_RUN};
use crate::world::{Place, Printed};

/// How often a call is aimed at before that is given up.
const TRIES: usize = 60;
/// Runs that are recorded to have one that nothing slowed down.
const RECORDED: usize = 3;
/// How often the log of a run whose wake-ups may have been hit is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Writes down the process that is traced, and becomes what it is told to be.
const SIGNED: [&str; 3] = ["sh", "-c", "echo $$ > \"$0\"; exec \"$@\""];

impl Scenario {
    /// What an undisturbed run, recorded, does: the shortest of a few, for a slow one also measures its staging folder.
    pub fn recorded(&mut self) -> Vec<Call> {
        let mut record = |_| {
            self.restore();
            let (printed, calls) = self.traced(None, None);
            printed.exits(0);
            calls
        };
        (0..RECORDED)
            .map(&mut record)
            .min_by_key(Vec::len)
            .expect("it was recorded")
    }

    /// The recorded calls that are aimed at: the first, the last, and what is [drawn](sweep::Drawn) of the others; of those from
    /// the one that names the generation to the sync that makes it last, more, and in some scenarios all.
    ///
    /// A run into PostgreSQL wakes its other threads so often that a write to a file is not found among those; the calls
    /// around it are.
    pub fn targets<'c>(&self, recorded: &'c [Call]) -> Vec<(usize, &'c Call)> {
        let is_found = |call: &Call| self.place() != Place::Postgres || call.name != "write";
        let commit = match protocol::marks(recorded) {
            Ok(marks) => marks.moved..=marks.lasts,
            // A table has no such calls.
            Err(_) => recorded.len() - 1..=recorded.len() - 1,
        };
        let drawn = sweep::Drawn::of_this_process();
        let is_aimed_at = |at: usize| {
            let is_at_commit = commit.contains(&at);
            at == 0
                || at + 1 == recorded.len()
                || drawn.has(at)
                || is_at_commit && (self.has_whole_commit() || drawn.has_at_commit(at))
        };
        let calls = recorded.iter().enumerate();
        calls
            .filter(|&(at, call)| is_aimed_at(at) && is_found(call))
            .collect()
    }

    /// Whether every call around the commit is aimed at, whatever is drawn. Elsewhere the same code makes those calls.
    fn has_whole_commit(&self) -> bool {
        self.place() == Place::Json && [FIRST_RUN, UPSERT_RUN].contains(&self.name)
    }

    /// Runs from the beginning and disturbs it at this one of its recorded calls: `how` is the rest of an `inject` of strace.
    pub fn hit(&mut self, recorded: &[Call], at: usize, how: &str) -> Printed {
        self.aimed(recorded, at, &|when| format!("{how}:when={when}"), None)
    }

    /// The same, and as another inject says.
    pub fn hit_with(&mut self, recorded: &[Call], at: usize, how: &str, also: &str) -> Printed {
        let how = |when| format!("{how}:when={when}");
        self.aimed(recorded, at, &how, Some(also))
    }

    /// The same, and at all later calls of that name.
    pub fn hit_from(&mut self, recorded: &[Call], at: usize, how: &str) -> Printed {
        self.aimed(recorded, at, &|when| format!("{how}:when={when}+"), None)
    }

    fn aimed(
        &mut self,
        recorded: &[Call],
        at: usize,
        how: &dyn Fn(usize) -> String,
        also: Option<&str>,
    ) -> Printed {
        let identities = |calls: &[Call]| calls.iter().map(Call::identity).collect::<Vec<_>>();
        let target = &recorded[at];
        let (wanted, came_before) = (target.identity(), identities(&recorded[..at]));
        let mut when = target.when;
        // A run that was told of an error and was killed all the same was killed for another call: see `kill_when_deaf`.
        let ends = if how(when).starts_with("error=") {
            Ended::Told
        } else {
            Ended::Killed
        };
        for _ in 0..TRIES {
            self.restore();
            let (printed, calls) =
                self.traced(Some(format!("inject={}:{}", target.name, how(when))), also);
            let hit = calls.iter().position(Call::is_hit);
            // Until then it did what the recorded run did, or something else was hit.
            if hit.is_some_and(|hit| {
                calls[hit].ended == ends
                    && calls[hit].identity() == wanted
                    && identities(&calls[..hit]) == came_before
            }) {
                return printed;
            }
            // What was hit first says little about where it would have been: an undisturbed run does.
            self.restore();
            let (_, calls) = self.traced(None, None);
            let undisturbed = calls.iter().find(|call| call.identity() == wanted);
            when = undisturbed.map_or(target.when, |call| call.when);
        }
        panic!(
            "{}: {wanted} was aimed at {TRIES} times and never hit",
            self.name
        );
    }

    /// Runs from the beginning, all threads traced, and disturbs the first of them that makes `call` for the `when`th time.
    pub fn hit_any_thread(&mut self, call: &str, how: &str) -> Printed {
        self.restore();
        let inject = format!("inject={call}:{how}");
        self.launched(&[
            "strace",
            "-f",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={call}"),
            "-e",
            &inject,
        ]);
        self.job_mut().start().ends_unchecked()
    }

    /// Runs with the main thread traced: it is the one that publishes.
    fn traced(&mut self, inject: Option<String>, also: Option<&str>) -> (Printed, Vec<Call>) {
        let (log, pid) = (
            self.job().beside("calls.log"),
            self.job().beside("traced.pid"),
        );
        let (log_name, pid_name) = (log.display().to_string(), pid.display().to_string());
        // Those of the run before would be taken for this one's.
        let _ = (fs::remove_file(&log), fs::remove_file(&pid));
        let trace = format!("trace={}", calls::TRACED);
        // The second says nothing new where nothing is injected.
        let inject = inject.unwrap_or_else(|| trace.clone());
        let also = also.unwrap_or(&trace);
        // Always so, for the shell's own write counts as well.
        let [sh, script, signed] = SIGNED;
        self.launched(&[
            "strace", "-y", "-s", "2000", "-o", &log_name, "-e", &trace, "-e", &inject, "-e", also,
            sh, script, signed, &pid_name,
        ]);
        let over = AtomicBool::new(false);
        let printed = std::thread::scope(|scope| {
            if inject.starts_with("inject=write:error") {
                scope.spawn(|| kill_when_deaf(&log, &pid, &over));
            }
            let running = self.job.as_mut().expect("there is a job").start();
            let ended = std::panic::catch_unwind(AssertUnwindSafe(|| running.ends_unchecked()));
            over.store(true, Ordering::Relaxed);
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let log = fs::read_to_string(&log)
            .unwrap_or_else(|error| panic!("{error}: the log of {inject}: {printed:?}"));
        (printed, calls::read(&log, &self.output()))
    }
}

/// Ends a run in which a wake-up between threads was hit in place of a write to a file: it would wait for ever.
fn kill_when_deaf(log: &Path, pid: &Path, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK_EVERY);
        let text = fs::read_to_string(log).unwrap_or_default();
        if text
            .lines()
            .any(|line| line.contains("eventfd") && line.contains("(INJECTED)"))
        {
            let pid = fs::read_to_string(pid)
                .ok()
                .and_then(|text| Pid::from_raw(text.trim().parse().ok()?));
            // It may have ended after all.
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
            return;
        }
    }
}
