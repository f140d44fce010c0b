//! The summary of a run: its counts mean what they say, of a failed run too; and LOG_LEVEL.

use std::fs;

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::server::Reply;
use crate::world::{Job, postgres};

const ONE: &str = r#"[{"id":1}]"#;

fn staging(records: &str, deleted: &str) -> Job {
    Job::misbehaving("stage-as-told")
        .set("WRITE_MODE", "upsert")
        .set("SOURCE_CHANGES", "yes")
        .set("PRIMARY_KEY", "/id")
        .set("SOURCE_STAGE_RECORDS", records)
        .set("SOURCE_STAGE_DELETED", deleted)
}

#[test]
fn a_failed_run_is_logged_as_an_error_with_its_counts_so_far() {
    let run = Job::new()
        .set("SOURCE_PAGINATION", "link")
        .reply(Reply::new(200, ONE).next("{server}/items?page=2"))
        .page(404, "")
        .run();

    run.exits(Outcome::SourceRefused);
    let summary = run.summary();
    assert_eq!(summary["level"], "error");
    assert_eq!(summary["pages"], 1);
    assert_eq!(summary["requests"], 2);
    assert_eq!(summary["staged"], 1);
    assert_eq!(run.last_run()["staged"], 1);
}

#[test]
fn a_page_that_cannot_be_used_was_read_all_the_same() {
    let run = Job::new().page(200, "no").run();

    run.exits(Outcome::ProtocolBroken);
    assert_eq!(run.summary()["pages"], 1);
}

#[test]
fn an_answer_304_is_not_modified() {
    let mut job = Job::new()
        .set("LOG_FORMAT", "json")
        .reply(Reply::new(200, ONE).header("etag", "\"1\""));
    job.run().exits(Outcome::Published);

    let run = job.reply(Reply::new(304, "")).run();

    run.exits(Outcome::NothingNew);
    assert_eq!(run.summary()["not_modified"], true);
}

#[test]
fn a_set_that_came_again_is_not_called_not_modified() {
    let run = Job::new().old(ONE).page(200, ONE).run();

    run.exits(Outcome::NothingNew);
    assert_eq!(run.summary()["not_modified"], false);
    assert_eq!(run.summary()["fetched"], 1);
}

#[test]
fn deleted_counts_records_that_are_gone_and_not_what_was_said_of_them() {
    let first = staging("{\"id\":1}\n", "{\"key\":[9],\"at\":0}\n").run();
    let parents = staging("{\"id\":1,\"order\":7}\n", "{\"parent\":7,\"at\":0}\n")
        .set("REPLACE_BY", "/order")
        .set("SOURCE_PARENT", "/id")
        .run();

    first
        .exits(Outcome::Published)
        .publishes(&json!([{"id": 1}]));
    assert_eq!(first.summary()["deleted"], 0, "{}", first.stdout);
    parents.exits(Outcome::Published);
    assert_eq!(parents.summary()["deleted"], 0, "{}", parents.stdout);
}

#[test]
fn new_changed_and_gone_are_counted() {
    let at = |id: u32, day: u32| format!(r#"{{"id":{id},"updated":"2026-01-0{day}T00:00:00Z"}}"#);
    let mut job = Job::upsert().old(&format!("[{},{}]", at(1, 1), at(2, 2)));
    job = job.page(200, &format!("[{},{},{}]", at(2, 2), at(1, 3), at(3, 3)));

    let run = job.run();

    run.exits(Outcome::Published);
    let summary = run.summary();
    assert_eq!(
        (&summary["new"], &summary["changed"], &summary["deleted"]),
        (&json!(1), &json!(1), &json!(0))
    );
}

/// What a run of `job` makes of the set, as the summary has it.
fn difference(job: &mut Job) -> [serde_json::Value; 3] {
    let run = job.run();
    run.printed.exits(0);
    let summary = run.summary();
    ["new", "changed", "gone"].map(|member| summary[member].clone())
}

/// A job of each kind of place.
fn places() -> [Job; 4] {
    let zstd = Job::new()
        .set("OUTPUT_FORMAT", "ndjson")
        .set("OUTPUT_COMPRESSION", "zstd");
    let database = postgres::server().database();
    [
        Job::new(),
        zstd,
        Job::new().sqlite(),
        Job::new().postgres(database),
    ]
}

const THREE: &str = r#"[{"id":1,"v":1.0},{"id":2,"v":1},{"id":3}]"#;
/// Of those, one changed, one gone, and one new; not in their order.
const OTHERS: &str = r#"[{"id":4},{"id":2,"v":2},{"id":1,"v":1.0}]"#;

#[test]
fn a_whole_set_is_compared_with_the_last_one_by_key_in_every_place() {
    for job in places() {
        let mut job = job.set("PRIMARY_KEY", "/id").page(200, THREE);
        assert_eq!(difference(&mut job), [3, 0, 0], "the first set");
        let mut job = job.page(200, OTHERS);
        assert_eq!(difference(&mut job), [1, 1, 1]);
        let mut job = job.page(200, OTHERS);
        assert_eq!(difference(&mut job), [0, 0, 0], "the same again");
        let mut job = job.page(200, r#"[{"id":2,"v":2},{"id":1,"v":1.0},{"id":4}]"#);
        assert_eq!(difference(&mut job), [0, 0, 0], "in another order");
        let mut job = job.page(200, THREE);
        assert_eq!(difference(&mut job), [1, 1, 1], "in order, as at first");
    }
}

#[test]
fn changes_that_are_merged_are_counted_in_every_place() {
    let at = |id: u32, day: u32| format!(r#"{{"id":{id},"updated":"2026-01-0{day}T00:00:00Z"}}"#);
    for job in places() {
        let job = job
            .set("SOURCE_CURSOR", "/updated")
            .set("SOURCE_CURSOR_TO", "since")
            .set("PRIMARY_KEY", "/id");
        let mut job = job.page(200, &format!("[{},{}]", at(1, 1), at(2, 2)));
        assert_eq!(difference(&mut job), [2, 0, 0]);
        let news = format!("[{},{},{}]", at(2, 2), at(1, 3), at(3, 3));
        let mut job = job.page(200, &news);
        assert_eq!(difference(&mut job), [1, 1, 0]);
        let mut job = job.page(200, &format!("[{},{}]", at(1, 3), at(3, 3)));
        assert_eq!(difference(&mut job), [0, 0, 0]);
    }
}

#[test]
fn without_a_key_only_what_sizes_or_appended_records_say_is_counted() {
    let unknown = [json!(null), json!(null), json!(null)];
    for job in places() {
        let mut job = job.page(200, THREE);
        assert_eq!(difference(&mut job), [3, 0, 0]);
        let mut job = job.page(200, OTHERS);
        assert_eq!(difference(&mut job), unknown);
        let mut job = job.page(200, OTHERS);
        assert_eq!(difference(&mut job), [0, 0, 0]);
    }
    for job in places() {
        let job = job
            .set("WRITE_MODE", "append")
            .set("OUTPUT_FORMAT", "ndjson");
        let is_table = job.server_database().is_some() || job.database().is_some();
        let job = if is_table {
            job.unset("OUTPUT_FORMAT")
        } else {
            job
        };
        let mut job = job.page(200, THREE);
        assert_eq!(difference(&mut job), [3, 0, 0]);
        let mut job = job.page(200, OTHERS);
        assert_eq!(difference(&mut job), [2, 0, 0]);
    }
}

#[test]
fn a_last_set_that_cannot_be_read_is_no_reason_to_fail() {
    let mut job = Job::new().set("PRIMARY_KEY", "/id").page(200, THREE);
    job.run().exits(Outcome::Published);
    let file = job.output().join("current/latest.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[\n", "{\n")).unwrap();

    let mut job = job.page(200, OTHERS);

    assert_eq!(
        difference(&mut job),
        [json!(null), json!(null), json!(null)]
    );
}

#[test]
fn a_line_a_page_is_logged_at_debug_only() {
    let pages = |level: &str| {
        let run = Job::new().set("LOG_LEVEL", level).page(200, ONE).run();
        run.exits(Outcome::Published);
        let lines = run.events("component");
        lines.iter().filter(|line| line["level"] == "debug").count()
    };

    assert_eq!((pages("debug"), pages("info")), (1, 0));
}
