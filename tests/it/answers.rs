//! What an answer means: records found by a program, pages without records, and statuses that mean something else.

use std::sync::Mutex;

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::server::{Reply, Request};
use crate::world::Job;

fn upsert(records: &str) -> Job {
    Job::new()
        .set("SOURCE_RECORDS", records)
        .set("SOURCE_CURSOR", "/at")
        .set("SOURCE_CURSOR_TO", "since")
        .set("PRIMARY_KEY", "/id")
        .set("RETRY_PAUSE", "10ms")
}

fn reply(body: &Value) -> Reply {
    Reply::new(200, body.to_string())
}

/// Answers one after the other, the last one for ever.
fn in_turn(replies: Vec<fn() -> Reply>) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let left = Mutex::new(replies.into_iter().peekable());
    move |_| {
        let mut left = left.lock().expect("no answer panicked");
        let reply = left.next().expect("an answer");
        if left.peek().is_none() {
            *left = vec![reply].into_iter().peekable();
        }
        reply()
    }
}

#[test]
fn records_by_their_key_are_fetched_merged_and_asked_for_from_the_cursor() {
    let mut job = upsert(".data | to_entries[] | {id: .key} + .value").api(|request| {
        let at = |day: u8| json!(format!("2026-01-{day:02}T00:00:00Z"));
        reply(&match request.query("since") {
            None => json!({"data": {"a": {"at": at(1), "n": 1.5}, "b": {"at": at(2), "n": 1}}}),
            Some(_) => json!({"data": {"b": {"at": at(3), "n": 2}}}),
        })
    });
    job.run().exits(Outcome::Published);

    let run = job.run();

    run.exits(Outcome::Published).publishes(&json!([
        {"id": "a", "at": "2026-01-01T00:00:00Z", "n": 1.5},
        {"id": "b", "at": "2026-01-03T00:00:00Z", "n": 2},
    ]));
    let since = run.requests[0].query("since").expect("the cursor");
    assert!(since.starts_with("2026-01-01T23:55"), "{since}");
}

#[test]
fn a_rejected_record_of_a_program_is_named_by_its_number() {
    let mut job = Job::new()
        .set("SOURCE_RECORDS", ".rows[]")
        .page(200, r#"{"rows":[[{"id":1}],[7,{"id":2}]]}"#);

    job.run()
        .exits(Outcome::GateRefused)
        .stderr_has("record 2 (SOURCE_RECORDS)");
}

#[test]
fn a_pointer_without_its_slash_is_named_before_any_request() {
    let mut job = Job::new().set("SOURCE_RECORDS", "data/items");

    job.run()
        .exits(Outcome::Settings)
        .asked(0)
        .stderr_has("SOURCE_RECORDS `data/items` is not a JSON Pointer, which begins with `/`: write `/data/items`");
}

#[test]
fn a_source_without_news_says_null_or_leaves_its_records_out() {
    let rows = || reply(&json!({"rows": [{"id": 1, "at": "2026-01-01T00:00:00Z"}]}));
    let null = || reply(&json!({"rows": null}));
    let missing = || reply(&json!({}));
    let mut job = upsert("/rows").api(in_turn(vec![rows, null, rows]));
    job.run().exits(Outcome::Published);
    job.run().exits(Outcome::NothingNew);

    let mut job = upsert("/rows").api(in_turn(vec![rows, missing, rows]));
    job.run().exits(Outcome::Published);
    job.run()
        .exits(Outcome::ProtocolBroken)
        .stderr_has("set SOURCE_RECORDS_MISSING=empty");
    let mut job = job
        .set("SOURCE_RECORDS_MISSING", "empty")
        .api(in_turn(vec![missing, rows]));
    job.run().exits(Outcome::NothingNew);
}

#[test]
fn an_error_in_the_body_is_never_an_empty_set() {
    let mut job = Job::new()
        .set("SOURCE_RECORDS", "/data/rows")
        .page(200, r#"{"data":{"rows":null},"errors":[{"message":"no"}]}"#);

    job.run()
        .exits(Outcome::ProtocolBroken)
        .publishes_nothing()
        .stderr_has("has no records, and an error at `/errors`");
}

#[test]
fn a_status_that_means_no_records_ends_a_run_well() {
    let rows = || Reply::new(200, r#"[{"id":1,"at":"2026-01-01T00:00:00Z"}]"#);
    let none = || Reply::new(404, r#"{"error":"no data"}"#);
    let job = || upsert("").unset("SOURCE_RECORDS");
    let mut refused = job().api(in_turn(vec![rows, none]));
    refused.run().exits(Outcome::Published);
    refused
        .run()
        .exits(Outcome::SourceRefused)
        .stderr_has("set SOURCE_EMPTY_ON=404");

    let mut by_status = job()
        .set("SOURCE_EMPTY_ON", "404")
        .api(in_turn(vec![rows, none, rows]));
    by_status.run().exits(Outcome::Published);
    by_status.run().exits(Outcome::NothingNew);

    let program = r#"if $status == 404 and .error == "no data" then "empty" else null end"#;
    let mut by_program = job()
        .set("SOURCE_ERROR", program)
        .api(in_turn(vec![rows, none, rows]));
    by_program.run().exits(Outcome::Published);
    by_program.run().exits(Outcome::NothingNew);
}

#[test]
fn a_source_that_has_lost_its_data_is_found_out_behind_an_empty_status() {
    let rows = || Reply::new(200, r#"[{"id":1,"at":"2026-01-01T00:00:00Z"}]"#);
    let none = || Reply::new(404, "");
    let mut job = upsert("")
        .unset("SOURCE_RECORDS")
        .set("SOURCE_EMPTY_ON", "404")
        .api(in_turn(vec![rows, none]));
    job.run().exits(Outcome::Published);

    job.run()
        .exits(Outcome::GateRefused)
        .stderr_has("it lost its data");
}

#[test]
fn a_rate_limit_sent_as_400_or_403_is_75_when_no_retry_is_left() {
    for status in [400, 403] {
        let limited = move |_: &Request| Reply::new(status, r#"{"error":{"code":17}}"#);
        let program = r#"if .error.code == 17 then "retry" else .error end"#;
        let settings = [
            ("SOURCE_RETRY_ON", status.to_string()),
            ("SOURCE_ERROR", program.to_owned()),
        ];
        for (name, value) in settings {
            let mut job = Job::new()
                .set("RETRY_PAUSE", "10ms")
                .set(name, &value)
                .api(limited);

            let run = job.run();

            run.exits(Outcome::TryLater).asked(4);
        }
    }
}

#[test]
fn an_answer_202_is_asked_for_again_and_is_no_empty_set() {
    let job = |answers| Job::new().set("RETRY_PAUSE", "10ms").api(in_turn(answers));
    let accepted = || Reply::new(202, "{}");

    let mut ready = job(vec![accepted, || Reply::new(200, r#"[{"id":1}]"#)]);
    ready
        .run()
        .exits(Outcome::Published)
        .publishes(&json!([{"id": 1}]));
    job(vec![accepted]).run().exits(Outcome::TryLater);
}

#[test]
fn statuses_that_cannot_have_such_a_meaning_are_refused() {
    let mut job = Job::new()
        .set("SOURCE_EMPTY_ON", "404,401,x")
        .set("SOURCE_RETRY_ON", "200,404");

    job.run()
        .exits(Outcome::Settings)
        .stderr_has("401 refuses the credential")
        .stderr_has("`x` is not a list of HTTP statuses")
        .stderr_has("200 is no refusal and no error")
        .stderr_has("has 404, and SOURCE_EMPTY_ON has it too");
}

#[test]
fn programs_say_where_the_next_page_is_and_whether_there_is_one() {
    let mut by_number = Job::new()
        .set("SOURCE_RECORDS", "/rows")
        .set("SOURCE_PAGINATION", "page")
        .set(
            "SOURCE_PAGE_MORE",
            "(.page | tonumber) < (.pages | tonumber)",
        )
        .api(|request| {
            let page: u64 = request
                .query("page")
                .and_then(|at| at.parse().ok())
                .unwrap_or(0);
            reply(&json!({"page": page, "pages": 3, "rows": [{"id": page}]}))
        });
    by_number.run().exits(Outcome::Published).asked(3);

    let mut by_relation = Job::new()
        .set("SOURCE_RECORDS", "/rows")
        .set("SOURCE_PAGINATION", "next-url")
        .set(
            "SOURCE_PAGE_FROM",
            r#".links[] | select(.rel == "next").href"#,
        )
        .api(|request| {
            let links = match request.query("p") {
                None => json!([{"rel": "self", "href": "/"}, {"rel": "next", "href": "?p=2"}]),
                Some(_) => json!([{"rel": "self", "href": "?p=2"}]),
            };
            reply(&json!({"links": links, "rows": [{"id": request.query("p")}]}))
        });
    by_relation.run().exits(Outcome::Published).asked(2);
}

#[test]
fn a_sync_token_may_be_sent_where_the_token_of_the_next_page_is() {
    let mut job = Job::new()
        .set("SOURCE_RECORDS", "/rows")
        .set("SOURCE_PAGINATION", "token")
        .set("SOURCE_PAGE_FROM", "/after")
        .set("SOURCE_PAGE_TO", "cursor")
        .set("SOURCE_PAGE_MORE", ".end | not")
        .set("SOURCE_CURSOR", "/after")
        .set("SOURCE_CURSOR_KIND", "token")
        .set("SOURCE_CURSOR_PAGE", "last")
        .set("SOURCE_CURSOR_TO", "cursor")
        .set("PRIMARY_KEY", "/id")
        .api(|request| {
            let at: u64 = request
                .query("cursor")
                .and_then(|at| at.parse().ok())
                .unwrap_or(0);
            reply(&json!({"rows": [{"id": at}], "after": at + 1, "end": at % 3 == 2}))
        });
    job.run().exits(Outcome::Published).asked(3);

    let run = job.run();

    run.exits(Outcome::Published).asked(3);
    assert_eq!(run.requests[0].query("cursor").as_deref(), Some("3"));
}
