//! `REPLACE_BY` and `MAX_DELETE_PERCENT`, end to end: what a component stages, and what readers see then.

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::world::Job;

/// Two lines of order 1 and two of order 2.
const ROWS: &str = r#"{"id":1,"order":1}
{"id":2,"order":1}
{"id":3,"order":2}
{"id":4,"order":2}
"#;

/// A job that merges the lines of orders, and has published [`ROWS`].
fn published() -> Job {
    let mut job = Job::misbehaving("stage-as-told")
        .set("WRITE_MODE", "upsert")
        .set("SOURCE_CHANGES", "yes")
        .set("PRIMARY_KEY", "/id")
        .set("REPLACE_BY", "/order")
        .set("SOURCE_PARENT", "/id")
        .set("SOURCE_STAGE_RECORDS", ROWS);
    job.run().exits(Outcome::Published);
    job
}

fn then(records: &str, deleted: &str) -> Job {
    published()
        .set("SOURCE_STAGE_RECORDS", records)
        .set("SOURCE_STAGE_DELETED", deleted)
}

#[test]
fn an_order_that_comes_again_has_the_lines_that_it_has_now() {
    let rows = "{\"id\":2,\"order\":1,\"n\":5}\n{\"id\":9,\"order\":1}\n";

    let run = then(rows, "{\"parent\":1,\"at\":0}\n").run();

    run.exits(Outcome::Published).publishes(&json!([
        {"id": 2, "order": 1, "n": 5},
        {"id": 3, "order": 2},
        {"id": 4, "order": 2},
        {"id": 9, "order": 1},
    ]));
    assert_eq!(run.summary()["deleted"], 1);
}

#[test]
fn the_same_order_again_is_nothing_new() {
    let rows = "{\"id\":1,\"order\":1}\n{\"id\":2,\"order\":1}\n";

    let run = then(rows, "{\"parent\":1,\"at\":0}\n").run();

    run.exits(Outcome::NothingNew);
}

#[test]
fn a_parent_line_without_replace_by_breaks_the_contract() {
    let run = then("", "{\"parent\":1,\"at\":0}\n")
        .unset("REPLACE_BY")
        .unset("SOURCE_PARENT")
        .args(["--accept-change", "REPLACE_BY"])
        .run();

    run.exits(Outcome::ComponentFailed)
        .publishes_nothing()
        .stderr_has("line 1 of `deleted.ndjson` names a parent, and REPLACE_BY is not set");
}

#[test]
fn replace_by_needs_source_parent_and_changes_what_records_are() {
    let mut job = published().unset("SOURCE_PARENT");

    let without_parent = job.run();
    let mut job = job.unset("REPLACE_BY");
    let changed = job.run();

    without_parent
        .exits(Outcome::Settings)
        .publishes_nothing()
        .stderr_has("REPLACE_BY needs SOURCE_PARENT");
    changed
        .exits(Outcome::Settings)
        .publishes_nothing()
        .stderr_has("--accept-change REPLACE_BY");
}

#[test]
fn more_deletions_than_allowed_are_65_however_many_records_are_new() {
    let rows = [11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
        .map(|id| format!("{{\"id\":{id},\"order\":5}}\n"))
        .concat();
    let mut job = then(&rows, "{\"parent\":1,\"at\":0}\n{\"key\":[3],\"at\":0}\n");

    let refused = job.run();
    let mut job = job.args(["--allow-shrink"]);
    let allowed = job.run();

    refused
        .exits(Outcome::GateRefused)
        .publishes_nothing()
        .stderr_has("3 of 4 records would be deleted, and `MAX_DELETE_PERCENT` is 50; if that is right, run once with `--allow-shrink`");
    allowed.exits(Outcome::Published);
    assert_eq!(allowed.summary()["records"], 11);
}

#[test]
fn as_many_deletions_as_are_allowed_pass() {
    let mut job = then("", "{\"parent\":1,\"at\":0}\n");

    job.run().exits(Outcome::Published);
    let mut job = job
        .set("SOURCE_STAGE_DELETED", "{\"key\":[3],\"at\":0}\n")
        .set("MAX_DELETE_PERCENT", "49");

    job.run()
        .exits(Outcome::GateRefused)
        .stderr_has("1 of 2 records would be deleted, and `MAX_DELETE_PERCENT` is 49");
}
