//! A server that restarts: the same run tries again, as often and as patiently as it does with a source.

use tidegate::outcome::Outcome;

use super::proxy::{Cut, Proxy};
use super::{FIRST, NEW, OLD, SECOND};
use crate::world::postgres::{Database, server};
use crate::world::{Job, Run};

const AGAIN: &str = "database not ready, trying again";

fn rows(database: &Database) -> String {
    database.sql("SELECT id, data->>'v', _generation FROM orders ORDER BY id")
}

fn tried_again(run: &Run) -> usize {
    let warnings = run.warnings();
    let again = warnings.iter().filter(|warning| warning["msg"] == AGAIN);
    again.count()
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let database = server().database();
    let proxy = Proxy::start(Cut::Connections(2));
    let mut job = Job::upsert()
        .postgres(database.clone())
        .set("OUTPUT_DATABASE_URL", &database.url(proxy.port()))
        .page(200, FIRST);

    let run = job.run();

    run.exits(Outcome::Published);
    assert_eq!(tried_again(&run), 2);
    assert_eq!(rows(&database), OLD);
}

#[test]
fn a_server_that_does_not_come_back_is_for_the_next_run() {
    let database = server().database();
    let proxy = Proxy::start(Cut::Connections(usize::MAX));
    let mut job = Job::upsert()
        .postgres(database.clone())
        .set("OUTPUT_DATABASE_URL", &database.url(proxy.port()))
        .set("MAX_RETRIES", "1");

    let run = job.run();

    run.exits(Outcome::TryLater)
        .publishes_nothing()
        .asked(0)
        .stderr_has("connect to the database `postgres://etl@127.0.0.1:");
    assert_eq!(tried_again(&run), 1);
}

#[test]
fn a_connection_that_is_lost_while_rows_are_loaded_costs_another_attempt_and_nothing_else() {
    let database = server().database();
    let mut job = Job::upsert().postgres(database.clone()).page(200, FIRST);
    job.run().exits(Outcome::Published);
    let counted = Proxy::start(Cut::Count);
    let mut dry = job
        .set("OUTPUT_DATABASE_URL", &database.url(counted.port()))
        .page(200, SECOND)
        .args(["--dry-run"]);
    dry.run().exits(Outcome::DryRun);
    let given_up = |kind: &String| kind.starts_with(">QROLLBACK");
    let end = counted.kinds().iter().position(given_up);
    let proxy = Proxy::start(Cut::Before(end.expect("a dry run gives up") - 4));
    let mut job = dry
        .without_arg("--dry-run")
        .set("OUTPUT_DATABASE_URL", &database.url(proxy.port()))
        .page(200, SECOND);

    let run = job.run();

    assert!(proxy.is_cut(), "{:?}", proxy.kinds());
    run.exits(Outcome::Published);
    assert_eq!(tried_again(&run), 1);
    assert_eq!(rows(&database), NEW);
}
