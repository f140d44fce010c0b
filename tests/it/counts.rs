//! The summary of a run: its counts mean what they say, of a failed run too; and LOG_LEVEL.

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::server::Reply;
use crate::world::Job;

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
