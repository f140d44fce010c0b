//! The jobs of a folder divided among processes with folders of their own, and one PostgreSQL: each job is committed once an
//! interval, and what a killed process left is done at the next one, by whichever process has the job then.
//!
//! A sample of what `TIDEGATE_FLEET_JOBS=1000` does with 100 tenants and 8 processes.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use super::{children, is_gone};
use crate::server::Reply;
use crate::world::postgres::{Database, server};
use crate::world::{Begun, Job, Printed, hex};

/// How many jobs there are here, if nobody says so.
const JOBS: usize = 12;

/// A part of the jobs: what follows `--shard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    at: usize,
    of: usize,
}

impl Part {
    /// The part that a job is in.
    fn of_job(label: &str, of: usize) -> Self {
        let digits = u32::from_str_radix(&hex(label.as_bytes())[..8], 16).unwrap();
        let at = digits as usize % of;
        Self { at, of }
    }

    fn all(of: usize) -> impl Iterator<Item = Self> {
        (0..of).map(move |at| Self { at, of })
    }
}

struct Divided {
    job: Job,
    database: Database,
    /// `tenant/job` of all.
    labels: Vec<String>,
    parts: usize,
    interval: Arc<AtomicUsize>,
}

impl Divided {
    /// In the first interval the source never answers the first job.
    fn new(database: Database) -> Self {
        let count = std::env::var("TIDEGATE_FLEET_JOBS").ok();
        let count = count.map_or(JOBS, |count| count.parse().expect("a number of jobs"));
        let (tenants, parts) = if count < 100 { (4, 3) } else { (100, 8) };
        let interval = Arc::new(AtomicUsize::new(1));
        let job = database.takes(Job::new()).api({
            let interval = Arc::clone(&interval);
            move |request| match interval.load(Ordering::SeqCst) {
                1 if request.path() == "/t0/j0" => Reply::silence(),
                now => Reply::new(200, format!(r#"[{{"id":1,"at":{now}}}]"#)),
            }
        });
        let job = job.unset("OUTPUT_TABLE").unset("SOURCE_API_URL");
        let mut labels = Vec::new();
        for index in 0..count {
            let (tenant, name) = (format!("t{}", index % tenants), format!("j{index}"));
            std::fs::create_dir_all(job.beside("jobs").join(&tenant)).unwrap();
            let own = format!("{tenant}_{name}");
            let settings = format!(
                "SOURCE_API_URL={{server}}/{tenant}/{name}\nJOB_NAME={own}\nOUTPUT_TABLE={own}\nPRIMARY_KEY=/id\n"
            );
            job.file(&format!("jobs/{tenant}/{name}.env"), &settings);
            labels.push(format!("{tenant}/{name}"));
        }
        Self {
            job,
            database,
            labels,
            parts,
            interval,
        }
    }

    /// Starts the process of a part of the jobs, with a folder of its own.
    fn begin(mut self, part: Part) -> (Self, Begun) {
        let folder = tempfile::tempdir_in(self.job.beside("")).unwrap().keep();
        let temporary = format!("TMPDIR={}", folder.display());
        self.job = self.job.launcher(&["env", &temporary]);
        let shard = format!("{}/{}", part.at, part.of);
        let args = ["run", "jobs", "--parallel", "2", "--shard", &shard];
        let begun = self.job.begin(args);
        (self, begun)
    }

    /// Runs the processes of these parts side by side, and returns how they ended.
    fn run(mut self, parts: impl IntoIterator<Item = Part>) -> (Self, Vec<Printed>) {
        let mut running = Vec::new();
        for part in parts {
            let (fleet, begun) = self.begin(part);
            self = fleet;
            running.push(begun);
        }
        let ended = running.into_iter().map(Begun::ends_with_many_lines);
        (self, ended.collect())
    }

    /// How often each job was committed so far.
    fn commits(&self) -> BTreeMap<String, usize> {
        let runs =
            "SELECT job, count(*) FROM tidegate_runs WHERE outcome = 'published' GROUP BY job";
        let rows = self.database.sql(runs);
        let rows = rows.lines().map(|row| row.split_once('|').unwrap());
        rows.map(|(job, count)| (job.replace('_', "/"), count.parse().unwrap()))
            .collect()
    }
}

#[test]
fn each_job_is_committed_once_an_interval_and_other_processes_take_over_what_a_killed_one_left() {
    let fleet = Divided::new(server().database());
    let lost = Part::of_job("t0/j0", fleet.parts);

    // One process is killed while its first job waits for the source; the others do their parts.
    let (fleet, begun) = fleet.begin(lost);
    let asked = || fleet.job.server.seen();
    while !asked().iter().any(|request| request.path() == "/t0/j0") {
        std::thread::sleep(Duration::from_millis(2));
    }
    let processes = children(begun.pid());
    begun.signalled(Signal::KILL).ends_with_many_lines();
    processes.into_iter().for_each(is_gone);
    let living = Part::all(fleet.parts).filter(|part| *part != lost);
    let (fleet, ended) = fleet.run(living);
    let before = fleet.commits();
    // The next interval has one process fewer, so most jobs are with another one now. And the lost one is back all the same:
    // it does its old part while the others do theirs.
    fleet.interval.store(2, Ordering::SeqCst);
    let parts = Part::all(fleet.parts - 1).chain([lost]);
    let (fleet, ended_next) = fleet.run(parts);
    let after = fleet.commits();

    for printed in &ended {
        printed.exits(0);
    }
    for printed in &ended_next {
        // A job that the other process has at this moment is busy (75).
        assert!(matches!(printed.code, Some(0 | 75)), "{printed:?}");
    }
    assert_eq!(before.get("t0/j0"), None, "{before:?}");
    let mut taken_over = 0;
    for label in &fleet.labels {
        let so_far = before.get(label).copied().unwrap_or_default();
        let was_lost = Part::of_job(label, fleet.parts) == lost;
        assert!(so_far == 1 || (so_far == 0 && was_lost), "{label}");
        assert_eq!(after[label], so_far + 1, "{label}");
        taken_over += usize::from(so_far == 0);
        let table = label.replace('/', "_");
        let data = fleet
            .database
            .sql(&format!("SELECT data->>'at' FROM {table}"));
        assert_eq!(data, "2", "{label}");
    }
    // Past the test harness, which shows what is printed by failed tests only.
    let _ = writeln!(
        std::io::stderr(),
        "{} jobs of {} processes: each committed once an interval, {taken_over} of a killed process in the next one",
        fleet.labels.len(),
        fleet.parts
    );
}
