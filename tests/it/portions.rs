//! A job in portions: each is committed by itself, so that what came before a failure stays.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::world::{Job, Run};

fn job(behaviour: &str) -> Job {
    Job::misbehaving(behaviour)
        .set("WRITE_MODE", "upsert")
        .set("SOURCE_CHANGES", "yes")
        .set("PRIMARY_KEY", "/id")
        .set("MAX_SHRINK_PERCENT", "100")
}

fn records(ids: &[u64]) -> Value {
    ids.iter()
        .map(|id| json!({ "id": id, "full": false }))
        .collect()
}

fn is_refused(run: &Run, outcome: Outcome, told: &str) {
    run.exits(outcome).stderr_has(told);
}

#[test]
fn each_portion_is_a_generation_and_the_last_ends_the_run() {
    let mut job = job("portions");
    let run = job.run();

    run.exits(Outcome::Published)
        .publishes(&records(&[1, 2, 3]));
    let summary = run.summary();
    assert_eq!(
        (&summary["portions"], &summary["fetched"]),
        (&json!(3), &json!(3))
    );
    let generations = std::fs::read_dir(job.output().join("generations")).unwrap();
    assert_eq!(generations.count(), 3);
}

#[test]
fn what_came_before_a_failure_stays_and_the_next_run_goes_on_there() {
    let mut job = job("portions-that-fail");
    let failed = job.run();
    let finished = job
        .then(|job| job.set("SOURCE_MISBEHAVIOUR", "portions"))
        .run();

    failed
        .exits(Outcome::TryLater)
        .publishes(&records(&[1, 2]))
        .stderr_has("2 portions of this run published");
    assert_eq!(failed.summary()["committed"], "yes");
    finished
        .exits(Outcome::Published)
        .publishes(&records(&[1, 2, 3]));
    assert_eq!(finished.summary()["portions"], 1);
}

#[test]
fn only_the_first_portion_of_a_full_refresh_is_one() {
    let mut job = job("portions-that-fail");
    job.run();

    let run = job
        .then(|job| {
            job.set("SOURCE_MISBEHAVIOUR", "portions")
                .args(["--full-refresh"])
        })
        .run();

    run.exits(Outcome::Published).publishes(
        &json!([{ "id": 1, "full": false }, { "id": 2, "full": false }, { "id": 3, "full": true }]),
    );
}

#[test]
fn too_few_records_are_told_after_the_last_portion() {
    let enough = job("portions").set("MIN_RECORDS", "3").run();
    let too_few = job("portions").set("MIN_RECORDS", "4").run();

    enough.exits(Outcome::Published);
    is_refused(&too_few, Outcome::GateRefused, "MIN_RECORDS");
    too_few.publishes(&records(&[1, 2]));
}

#[test]
fn a_dry_run_is_one_portion() {
    let run = job("portions").args(["--dry-run"]).run();

    run.exits(Outcome::DryRun).publishes_nothing();
    assert_eq!(
        run.events("dry run, nothing published")[0]["more_portions"],
        true
    );
}

#[test]
fn more_with_the_state_that_was_given_is_refused() {
    let run = job("portions-that-stand-still").run();

    is_refused(
        &run,
        Outcome::ComponentFailed,
        "returned the state that it was given",
    );
    run.publishes(&records(&[1]));
}

#[test]
fn portions_without_end_run_into_the_deadline() {
    let run = job("portions-without-end").set("RUN_DEADLINE", "2s").run();

    is_refused(&run, Outcome::TryLater, "RUN_DEADLINE");
    assert_eq!(run.summary()["committed"], "yes");
}
