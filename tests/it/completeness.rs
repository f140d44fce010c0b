//! What is published is complete, or the run says that it is not: signs of more, and keys that are none.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::server::Reply;
use crate::world::place::at;
use crate::world::{Job, Place, Run};

/// So many records from the first id on.
fn records(first: u64, many: u64) -> Vec<Value> {
    (first..first + many)
        .map(|id| json!({"id": id, "status": id % 4}))
        .collect()
}

/// A job whose source answers this to everything.
fn answered(body: &Value) -> Job {
    let body = body.to_string();
    Job::new()
        .set("SOURCE_RECORDS", "/items")
        .api(move |_| Reply::new(200, body.clone()))
}

fn warned_of_more(run: &Run) -> bool {
    run.warnings()
        .iter()
        .any(|warning| warning.to_string().contains("may not be all there is"))
}

#[test]
fn a_first_set_with_a_sign_of_more_is_refused_until_somebody_says_how_pages_go() {
    for sign in [
        json!({"items": records(1, 3), "meta": {"filter_count": 319}}),
        json!({"items": records(1, 3), "total": "319"}),
        json!({"items": records(1, 3), "next": "/items?page=2"}),
        json!({"items": records(1, 3), "has_more": true}),
    ] {
        let mut job = answered(&sign);

        job.run()
            .exits(Outcome::ProtocolBroken)
            .publishes_nothing()
            .stderr_has("is not all there is")
            .stderr_has("set SOURCE_PAGINATION");
        let run = job.set("SOURCE_PAGINATION", "none").run();

        run.publishes(&json!(records(1, 3)));
        assert!(!warned_of_more(&run), "{}", run.stdout);
    }
}

#[test]
fn a_header_is_such_a_sign_too() {
    for (name, value) in [
        ("link", "</items?page=2>; rel=\"next\""),
        ("x-total-count", "120"),
        ("content-range", "items 0-2/319"),
    ] {
        let mut job = Job::new().api(move |_| Reply::new(200, "[{\"id\":1}]").header(name, value));

        job.run().exits(Outcome::ProtocolBroken).publishes_nothing();
    }
}

#[test]
fn once_a_set_is_published_a_sign_of_more_is_warned_of_each_time() {
    let mut job = answered(&json!({"items": records(1, 3)}));
    job.run().exits(Outcome::Published);

    let mut job = job.api(|_| {
        let body = json!({"items": records(1, 3), "total": 319});
        Reply::new(200, body.to_string())
    });

    for _ in 0..2 {
        let run = job.run();
        run.exits(Outcome::NothingNew);
        assert!(warned_of_more(&run), "{}", run.stdout);
    }
}

#[test]
fn a_round_count_alone_is_warned_of_and_published() {
    let run = answered(&json!({"items": records(1, 50)})).run();
    let odd = answered(&json!({"items": records(1, 51)})).run();

    run.publishes(&json!(records(1, 50)));
    assert!(warned_of_more(&run), "{}", run.stdout);
    assert!(!warned_of_more(&odd), "{}", odd.stdout);
}

#[test]
fn a_look_says_that_a_run_would_refuse_and_how_pages_go() {
    let job = answered(&json!({"items": records(1, 3), "meta": {"filter_count": 319}}));

    job.tidegate(["check", "--online"])
        .stdout_has("this is not all there is: `/meta/filter_count` is 319")
        .stdout_has("SOURCE_PAGINATION=page")
        .stdout_has("SOURCE_TOTAL=/meta/filter_count");
}

#[test]
fn a_look_remarks_on_a_first_page_that_is_shorter_than_asked_for() {
    let job = answered(&json!({"items": records(1, 100)}))
        .set("SOURCE_PAGINATION", "page")
        .set("SOURCE_PAGE_SIZE_TO", "per_page")
        .set("SOURCE_PAGE_SIZE", "250");

    job.tidegate(["check", "--online"])
        .stdout_has("100 records, and SOURCE_PAGE_SIZE is 250")
        .stdout_has("SOURCE_PAGE_SIZE=100 fits");
}

/// A source that answers pages of at most `cap` of its records, and 404 behind the last one.
fn capped(many: u64, cap: u64) -> Job {
    Job::new()
        .set("SOURCE_RECORDS", "/items")
        .set("SOURCE_PAGINATION", "page")
        .set("SOURCE_PAGE_SIZE_TO", "per_page")
        .set("SOURCE_PAGE_SIZE", "250")
        .set("PRIMARY_KEY", "/id")
        .api(move |request| {
            let page: u64 = request.query("page").unwrap().parse().unwrap();
            let first = (page - 1) * cap;
            if first >= many {
                return Reply::new(404, "{\"error\":\"no such page\"}");
            }
            let items = records(first + 1, cap.min(many - first));
            Reply::new(200, json!({ "items": items }).to_string())
        })
}

#[test]
fn a_source_that_caps_pages_is_read_to_its_end() {
    capped(589, 100).run().publishes(&json!(records(1, 589)));
}

#[test]
fn a_refusal_behind_a_full_page_fails_and_names_what_tells_the_end() {
    capped(200, 100)
        .run()
        .exits(Outcome::SourceRefused)
        .publishes_nothing()
        .stderr_has("SOURCE_TOTAL")
        .stderr_has("SOURCE_PAGE_MORE");
}

at! {
    every place:
    a_first_set_in_which_most_records_share_their_key_is_refused
    records_that_a_later_one_replaced_are_counted
}

fn a_first_set_in_which_most_records_share_their_key_is_refused(place: Place) {
    let mut job = answered(&json!({"items": records(1, 30)}))
        .at(place)
        .set("PRIMARY_KEY", "/status");

    let refused = job.run();
    refused
        .exits(Outcome::GateRefused)
        .publishes_nothing()
        .stderr_has("only 4 of 30 records have a key of their own")
        .stderr_has("differ in `/id` (")
        .stderr_has("--accept-change PRIMARY_KEY");
    let mut job = job.args(["--accept-change", "PRIMARY_KEY"]);
    let accepted = job.run();
    let mut job = job
        .without_arg("--accept-change")
        .without_arg("PRIMARY_KEY");
    let later = job.run();

    accepted.exits(Outcome::Published);
    assert_eq!(accepted.summary()["superseded"], 26);
    assert_eq!(accepted.summary()["records"], 4);
    later.exits(Outcome::NothingNew);
}

fn records_that_a_later_one_replaced_are_counted(place: Place) {
    let mut twice = records(1, 3);
    twice.extend(records(2, 1));
    twice.push(json!({"id": 3, "status": 9}));

    let run = answered(&json!({ "items": twice }))
        .at(place)
        .set("PRIMARY_KEY", "/id")
        .run();

    run.exits(Outcome::Published);
    assert_eq!(run.summary()["superseded"], 2);
    assert_eq!(run.summary()["records"], 3);
}

#[test]
fn a_preview_and_a_look_say_how_many_records_share_their_key() {
    let job = answered(&json!({"items": records(1, 30)})).set("PRIMARY_KEY", "/status");

    job.tidegate(["preview"])
        .stderr_has("superseded: a later one has the same PRIMARY_KEY");
    job.tidegate(["check", "--online"])
        .stdout_has("26 of 30 records have a later one with the same PRIMARY_KEY")
        .stdout_has("`run` refuses");
}
