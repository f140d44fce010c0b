//! Two runs of one job at the same time: one commits, the other says so and leaves.
//!
//! Into files they share a folder, and its lock. Into a table each has a folder of its own, as on two machines: PostgreSQL's
//! lock or, in SQLite, the check of the last commit lets one of them through. `TIDEGATE_PAIRS=500` runs so many pairs.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex};

use rustix::process::Signal;
use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::server::{HELD_MAX, Reply, Request};
use crate::world::place::at;
use crate::world::{Job, Place, Printed};

/// Pairs of runs into files, where the environment says nothing else.
const PAIRS: u64 = 100;
/// The same into a table.
const PAIRS_TABLE: u64 = 20;
/// Holds the answers of a source back.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<Held>, Condvar)>);

#[derive(Default)]
struct Held {
    open: bool,
    asked: u64,
    /// How often each source has answered, over all pairs.
    answered: BTreeMap<&'static str, u64>,
}

impl Gate {
    fn shut(&self) {
        let mut held = self.0.0.lock().expect("nobody panicked");
        (held.open, held.asked) = (false, 0);
    }

    fn open(&self) {
        self.0.0.lock().expect("nobody panicked").open = true;
        self.0.1.notify_all();
    }

    /// How many have come to it since it was shut.
    fn asked(&self) -> u64 {
        self.0.0.lock().expect("nobody panicked").asked
    }

    /// The record that this source gave last.
    fn answered(&self, who: &'static str) -> Value {
        let held = self.0.0.lock().expect("nobody panicked");
        json!({"id": 1, "who": who, "answered": held.answered[who]})
    }

    /// Waits until it is opened, or until both have come to it.
    fn pass(&self, who: &'static str) {
        let mut held = self.0.0.lock().expect("nobody panicked");
        held.asked += 1;
        held.open |= held.asked == 2;
        self.0.1.notify_all();
        let passed = self
            .0
            .1
            .wait_timeout_while(held, HELD_MAX, |held| !held.open);
        let (mut held, _) = passed.expect("nobody panicked");
        *held.answered.entry(who).or_default() += 1;
    }
}

/// A job whose source answers when the gate is opened, with one record that says who answered and how often.
fn held_by(gate: &Gate, who: &'static str) -> Job {
    let gate = gate.clone();
    Job::new()
        .set("PRIMARY_KEY", "/id")
        .api(move |_: &Request| {
            gate.pass(who);
            Reply::new(200, json!([gate.answered(who)]).to_string())
        })
}

at! {
    of_two_runs_at_once_one_commits_and_the_other_exits_75 at json gzip sqlite postgres;
}

fn of_two_runs_at_once_one_commits_and_the_other_exits_75(place: Place) {
    let gate = Gate::default();
    let mut left = held_by(&gate, "left").at(place);
    let mut right = beside(held_by(&gate, "right"), &left);
    let few = if place.is_table() { PAIRS_TABLE } else { PAIRS };
    let pairs = std::env::var("TIDEGATE_PAIRS").ok();
    let pairs = pairs.and_then(|text| text.parse().ok()).unwrap_or(few);
    let mut published = [0, 0];
    for pair in 1..=pairs {
        gate.shut();
        // Whoever has the lock is held by its source until the other one has ended.
        let run = |job: &mut Job| {
            let printed = job.start().ends_unchecked();
            gate.open();
            printed
        };
        let ended: [Printed; 2] = std::thread::scope(|scope| {
            let other = scope.spawn(|| run(&mut right));
            [run(&mut left), other.join().expect("the other run ended")]
        });

        let winner = ended.iter().position(|printed| printed.code == Some(0));
        let winner = winner.unwrap_or_else(|| panic!("pair {pair}: nobody published\n{ended:#?}"));
        published[winner] += 1;
        let loser = ended[1 - winner].exits(i32::from(Outcome::TryLater.exit_code()));
        if place == Place::Sqlite {
            loser.stderr_has("somebody else committed it meanwhile");
        } else {
            loser.stderr_has("holds it");
            assert_eq!(gate.asked(), 1, "pair {pair}: both asked the source");
        }
        let view = left.view();
        view.is_whole();
        let number = view
            .generation
            .as_ref()
            .and_then(|name| name[..6].parse::<u64>().ok());
        assert_eq!(number, Some(pair), "one generation each");
        let who = ["left", "right"][winner];
        let seen: Vec<Value> = view
            .records()
            .iter()
            .map(|record| serde_json::from_str(record).expect("JSON"))
            .collect();
        assert_eq!(
            seen,
            [gate.answered(who)],
            "pair {pair}: the winner's set is published"
        );
    }
    // Past the test harness, which shows what is printed by failed tests only.
    let _ = writeln!(
        std::io::stderr(),
        "{pairs} pairs of runs into {place:?}, published by left and right: {published:?}"
    );
}

/// The job, with its data going where the other one's goes. In a folder it is the same folder.
fn beside(job: Job, other: &Job) -> Job {
    match other.place() {
        Place::Postgres => job.postgres(other.server_database().expect("a database").clone()),
        Place::Sqlite => {
            // It must be there before the run that does not make it looks for the database in it.
            std::fs::create_dir_all(other.output()).expect("make a folder");
            let path = other.database().expect("a database");
            job.sqlite().set(
                "OUTPUT_DATABASE_URL",
                &format!("sqlite://{}", path.display()),
            )
        }
        place => job
            .at(place)
            .set("OUTPUT_DIR", &other.output().display().to_string()),
    }
}

#[test]
fn a_killed_holder_leaves_no_stale_lock() {
    let gate = Gate::default();
    let mut job = held_by(&gate, "killed").set("OUTPUT_MODE", "644");

    job.start().has_asked(1).signalled(Signal::KILL).is_killed();
    gate.open();
    let run = job.run();

    run.exits(Outcome::Published);
    let removed = run.warnings();
    assert_eq!(removed.len(), 1, "{removed:?}");
    assert_eq!(removed[0]["msg"], "leftover of a killed run removed");
}

#[test]
fn a_holder_that_is_stopped_is_waited_for_by_nobody() {
    let gate = Gate::default();
    let mut holder = held_by(&gate, "stopped");
    let mut other =
        held_by(&gate, "other").set("OUTPUT_DIR", &holder.output().display().to_string());

    let running = holder.start().has_asked(1).signalled(Signal::STOP);
    let told = other.start().ends_unchecked();
    told.exits(i32::from(Outcome::TryLater.exit_code()));
    gate.open();

    running
        .signalled(Signal::CONT)
        .ends()
        .exits(Outcome::Published);
}
