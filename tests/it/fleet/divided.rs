//! The jobs of a folder divided among processes with folders of their own, and one PostgreSQL: each job is committed once an
//! interval, and what a killed process left is done at the next one.
//!
//! A sample of what `TIDEGATE_FLEET_JOBS=1000` does with 100 tenants and 8 processes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use super::{children, is_gone};
use crate::server::Reply;
use crate::world::postgres::{Database, server};
use crate::world::{Begun, Job, hex};

/// How many jobs there are here, if nobody says so.
const JOBS: usize = 12;

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

    /// The part that a job is in.
    fn part(&self, label: &str) -> usize {
        let digits = u32::from_str_radix(&hex(label.as_bytes())[..8], 16).unwrap();
        digits as usize % self.parts
    }

    /// Starts the process of one part, with a folder of its own.
    fn begin(mut self, part: usize) -> (Self, Begun) {
        let folder = tempfile::tempdir_in(self.job.beside("")).unwrap().keep();
        let temporary = format!("TMPDIR={}", folder.display());
        self.job = self.job.launcher(&["env", &temporary]);
        let shard = format!("{part}/{}", self.parts);
        let args = ["run", "jobs", "--parallel", "2", "--shard", &shard];
        let begun = self.job.begin(args);
        (self, begun)
    }

    /// Runs the processes of these parts side by side.
    fn run(mut self, parts: impl IntoIterator<Item = usize>) -> Self {
        let mut running = Vec::new();
        for part in parts {
            let (fleet, begun) = self.begin(part);
            self = fleet;
            running.push(begun);
        }
        for begun in running {
            begun.ends_with_many_lines().exits(0);
        }
        self
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
fn each_job_is_committed_once_an_interval_and_a_killed_process_costs_one() {
    let fleet = Divided::new(server().database());
    let (parts, first_part) = (fleet.parts, fleet.part("t0/j0"));

    let (fleet, begun) = fleet.begin(first_part);
    let asked = || fleet.job.server.seen();
    while !asked().iter().any(|request| request.path() == "/t0/j0") {
        std::thread::sleep(Duration::from_millis(2));
    }
    let processes = children(begun.pid());
    begun.signalled(Signal::KILL).ends_with_many_lines();
    processes.into_iter().for_each(is_gone);
    let fleet = fleet.run((0..parts).filter(|part| *part != first_part));
    let before = fleet.commits();
    fleet.interval.store(2, Ordering::SeqCst);
    let fleet = fleet.run(0..parts);
    let after = fleet.commits();

    assert_eq!(before.get("t0/j0"), None, "{before:?}");
    for label in &fleet.labels {
        let so_far = before.get(label).copied().unwrap_or_default();
        let was_killed = fleet.part(label) == first_part;
        assert!(so_far == 1 || (so_far == 0 && was_killed), "{label}");
        assert_eq!(after[label], so_far + 1, "{label}");
        let table = label.replace('/', "_");
        let data = fleet
            .database
            .sql(&format!("SELECT data->>'at' FROM {table}"));
        assert_eq!(data, "2", "{label}");
    }
}
