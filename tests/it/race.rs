//! Two runs of one job at the same time: one publishes, the other says so and leaves.

use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tidegate::outcome::Outcome;

use crate::server::{Reply, Request};
use crate::world::{Job, Printed};

const PAIRS: u64 = 200;
/// A run that waits for the other longer than this is let on, and the test fails on what comes of it.
const HELD_MAX: Duration = Duration::from_mins(1);

/// Holds the answers of a source back.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<Held>, Condvar)>);

#[derive(Default)]
struct Held {
    open: bool,
    asked: u64,
}

impl Gate {
    fn shut(&self) {
        *self.0.0.lock().expect("nobody panicked") = Held::default();
    }

    fn open(&self) {
        self.0.0.lock().expect("nobody panicked").open = true;
        self.0.1.notify_all();
    }

    /// How many have come to it since it was shut.
    fn asked(&self) -> u64 {
        self.0.0.lock().expect("nobody panicked").asked
    }

    fn pass(&self) {
        let mut held = self.0.0.lock().expect("nobody panicked");
        held.asked += 1;
        let passed = self
            .0
            .1
            .wait_timeout_while(held, HELD_MAX, |held| !held.open);
        drop(passed.expect("nobody panicked"));
    }
}

/// A job whose source answers when the gate is opened, with one record that says who asked and how often.
fn held_by(gate: &Gate, who: &'static str) -> Job {
    let (gate, asked) = (gate.clone(), Mutex::new(0_u64));
    Job::new().api(move |_: &Request| {
        gate.pass();
        let mut asked = asked.lock().expect("nobody panicked");
        *asked += 1;
        Reply::new(200, json!([{"who": who, "asked": *asked}]).to_string())
    })
}

#[test]
fn of_two_runs_at_once_one_publishes_and_the_other_exits_75() {
    let gate = Gate::default();
    let mut left = held_by(&gate, "left");
    let mut right = held_by(&gate, "right").set("OUTPUT_DIR", &left.output().display().to_string());
    let mut published = [0, 0];
    for pair in 1..=PAIRS {
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
        let loser = &ended[1 - winner];
        loser
            .exits(i32::from(Outcome::TryLater.exit_code()))
            .stderr_has("holds it");
        assert_eq!(gate.asked(), 1, "pair {pair}: both asked the source");
        let view = left.view();
        view.is_whole();
        let number = view
            .generation
            .as_ref()
            .and_then(|name| name[..6].parse::<u64>().ok());
        assert_eq!(number, Some(pair), "one generation each");
        let who = ["left", "right"][winner];
        let record = json!([{"who": who, "asked": published[winner]}]);
        let seen: serde_json::Value =
            serde_json::from_str(view.file("latest.json").expect("a set")).expect("JSON");
        assert_eq!(seen, record, "pair {pair}: the winner's set is published");
    }
    // Past the test harness, which shows what is printed by failed tests only.
    let _ = writeln!(
        std::io::stderr(),
        "{PAIRS} pairs of runs, published by left and right: {published:?}"
    );
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
