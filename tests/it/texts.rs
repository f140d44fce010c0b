//! TRANSFORM, SOURCE_BODY and SOURCE_SCHEMA, whose text may stand in a file: the host reads it, the component gets it.

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::world::Job;

/// A job that publishes what it was given as its three texts.
fn telling() -> Job {
    let job = Job::misbehaving("stage-texts");
    job.file("body.json", "{\"text\":\"body\"}\n");
    job.file("schema.json", "{\"text\":\"schema\"}\n");
    job.file("orders.jq", "{\"text\":\"transform\"}\n");
    job.set("SOURCE_BODY", "{\"text\":1}")
        .set("SOURCE_SCHEMA", "{\"text\":2}")
        .set("TRANSFORM", "{\"text\":3}")
}

#[test]
fn a_component_gets_the_texts_of_the_files() {
    let run = telling()
        .unset("SOURCE_BODY")
        .set("SOURCE_BODY_FILE", "body.json")
        .set("SOURCE_SCHEMA", "schema.json")
        .unset("TRANSFORM")
        .set("TRANSFORM_FILE", "orders.jq")
        .run();

    run.exits(Outcome::Published).publishes(&json!([
        {"text": "body"}, {"text": "schema"}, {"text": "transform"}
    ]));
}

#[test]
fn a_component_gets_the_texts_themselves() {
    telling()
        .run()
        .exits(Outcome::Published)
        .publishes(&json!([{"text": 1}, {"text": 2}, {"text": 3}]));
}

#[test]
fn a_text_and_its_file_or_a_file_that_is_not_there_are_78() {
    let run = telling()
        .set("TRANSFORM_FILE", "orders.jq")
        .unset("SOURCE_BODY")
        .set("SOURCE_BODY_FILE", "none.json")
        .run();

    run.exits(Outcome::Settings)
        .publishes_nothing()
        .stderr_has("TRANSFORM is given (environment), and so is TRANSFORM_FILE")
        .stderr_has("SOURCE_BODY names the file `none.json` (SOURCE_BODY_FILE): cannot read it");
}

#[test]
fn check_shows_the_file_as_the_origin() {
    let job = telling();
    let file = job.file("check.env", "TRANSFORM_FILE=orders.jq\n");
    let component = crate::world::guests::misbehaving().display().to_string();
    let job = job.unset("TRANSFORM");

    let printed = job.tidegate([
        "check",
        "--component",
        &component,
        "--set",
        "WRITE_MODE=replace",
        "--env-file",
        &file.display().to_string(),
    ]);

    printed
        .stdout_has("{\"text\":\"transform\"}")
        .stdout_has("file orders.jq");
}

#[test]
fn a_change_of_the_text_is_seen_wherever_it_stands() {
    let mut job = telling()
        .set("WRITE_MODE", "upsert")
        .set("PRIMARY_KEY", "/text");
    job.run().exits(Outcome::Published);

    let same = job.file("same.jq", "{\"text\":3}\n");
    let mut job = job
        .unset("TRANSFORM")
        .set("TRANSFORM_FILE", &same.display().to_string());
    job.run().exits(Outcome::NothingNew);
    let changed = job.set("TRANSFORM_FILE", "orders.jq").run();

    changed
        .exits(Outcome::Settings)
        .stderr_has("TRANSFORM changed since generation")
        .stderr_has("--accept-change TRANSFORM");
}

#[test]
fn two_headers_come_from_a_file() {
    let mut job = Job::new().page(200, r#"[{"id":1}]"#);
    let headers = job.file("headers", "X-Tenant: eu\r\nX-Trace: on\r\n");
    job = job.set("SOURCE_HEADERS_FILE", &headers.display().to_string());

    let run = job.run();

    run.exits(Outcome::Published);
    let sent = |name: &str| run.requests[0].header(name).map(str::to_owned);
    assert_eq!(sent("x-tenant").as_deref(), Some("eu"));
    assert_eq!(sent("x-trace").as_deref(), Some("on"));
}

#[test]
fn any_setting_of_the_component_may_be_in_a_file_and_none_twice() {
    let job = Job::new().page(200, r#"{"items":[{"id":1}]}"#);
    let pointer = job.file("records", "/items\n").display().to_string();
    let mut by_file = job.set("SOURCE_RECORDS_FILE", &pointer);

    by_file
        .run()
        .exits(Outcome::Published)
        .publishes(&json!([{"id": 1}]));
    by_file
        .set("SOURCE_RECORDS", "/items")
        .run()
        .exits(Outcome::Settings)
        .stderr_has("SOURCE_RECORDS is given (environment), and so is SOURCE_RECORDS_FILE");
}
