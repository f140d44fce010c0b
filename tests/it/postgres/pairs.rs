//! Two machines, one job, and a lock that is lost. Where nothing is lost: see `race`.

use rustix::process::Signal;
use serde_json::json;

use crate::server::{Latch, Reply};
use crate::world::Job;
use crate::world::postgres::{Database, server};

/// A machine whose source is held by this.
fn machine(database: &Database, who: &'static str, latch: &Latch) -> Job {
    let job = Job::new();
    let output = job.output().display().to_string();
    let latch = latch.clone();
    database
        .takes(job)
        .set("OUTPUT_DIR", &output)
        .set("JOB_NAME", "orders")
        .set("PRIMARY_KEY", "/id")
        .api(move |_| {
            latch.pass();
            Reply::new(200, json!([{"id": who, "n": uniquely()}]).to_string())
        })
}

/// No two sets are the same.
fn uniquely() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos())
}

#[test]
fn without_the_run_lock_the_fence_lets_one_of_two_commit() {
    let database = server().database();
    let latch = Latch::opened();
    let mut left = machine(&database, "left", &latch);
    let mut right = machine(&database, "right", &Latch::opened());
    left.start().ends_unchecked().exits(0);
    // As a pool that gives a session to others, or an operator, would: the lock is gone while the first one fetches.
    latch.shut();
    let running = left.start().has_asked(1);
    database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidegate:orders' AND datname = current_database()");
    right.start().ends_unchecked().exits(0);
    latch.open();

    let late = running.ends_unchecked();

    late.exits(75)
        .stderr_has("somebody else committed it meanwhile");
    assert_eq!(
        database.sql("SELECT id, _generation FROM orders"),
        "right|2"
    );
}

#[test]
fn a_connection_lost_while_fetching_is_made_anew() {
    let database = server().database();
    let latch = Latch::default();
    let mut job = machine(&database, "left", &latch);
    let running = job.start().has_asked(1);
    database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidegate:orders' AND datname = current_database()");
    latch.open();

    running.ends_unchecked().exits(0);

    assert_eq!(database.generation(), "1");
}

#[test]
fn what_a_killed_run_staged_among_temporary_files_is_removed_by_the_next_one() {
    let database = server().database();
    let latch = Latch::default();
    let mut job = machine(&database, "left", &latch).unset("OUTPUT_DIR");
    let temporary = job.beside("temporary");
    std::fs::create_dir(&temporary).expect("make a folder");
    job = job.set("TMPDIR", &temporary.display().to_string());
    let left = || std::fs::read_dir(&temporary).expect("a folder").count();
    job.start().has_asked(1).signalled(Signal::KILL).is_killed();
    assert_eq!(left(), 1);
    latch.open();

    let next = job.start().ends_unchecked();

    next.exits(0).stdout_has("leftover of a killed run removed");
    assert_eq!(left(), 0);
}

#[test]
fn a_run_that_has_no_folder_to_work_in_says_which_variable_names_one() {
    let database = server().database();
    let mut job = machine(&database, "left", &Latch::opened())
        .unset("OUTPUT_DIR")
        .set("TMPDIR", "/nowhere");

    let refused = job.start().ends_unchecked();

    refused
        .exits(73)
        .stderr_has("create `/nowhere/tidegate-run-")
        .stderr_has("; set TMPDIR to a folder that this user may write to; ");
}
