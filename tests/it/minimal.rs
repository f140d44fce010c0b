//! The example of a connector, `guest/examples/minimal`, run as README says.

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::world::{Job, guests};

/// Nothing but the URL is set: how records are published follows from what the connector says that it stages.
fn minimal() -> Job {
    Job::new()
        .component(guests::minimal())
        .unset("WRITE_MODE")
        .unset("PRIMARY_KEY")
}

#[test]
fn it_publishes_every_record_with_the_digits_of_the_source() {
    let run = minimal()
        .page(
            200,
            "[{\"id\": 1, \"total\": 1.10},\n {\"id\": 2,\n  \"name\": \"a\\nb\"}]",
        )
        .run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"id": 1, "total": 1.1}, {"id": 2, "name": "a\nb"}]));
    let text = run.after.file("latest.json").unwrap();
    assert!(text.contains("1.10"), "{text}");
}

#[test]
fn its_failures_are_told_apart() {
    let ended = |status: u16, body: &str| minimal().page(status, body).run();

    ended(503, "").exits(Outcome::TryLater);
    ended(404, "").exits(Outcome::SourceRefused);
    ended(401, "").exits(Outcome::Denied);
    ended(200, "<html>").exits(Outcome::ProtocolBroken);
}

#[test]
fn a_change_of_a_setting_that_it_says_shapes_records_is_refused() {
    let mut job = minimal()
        .set("WRITE_MODE", "upsert")
        .set("PRIMARY_KEY", "/id")
        .set("SOURCE_STATUS", "open")
        .page(200, "[{\"id\":1}]");
    job.run().exits(Outcome::Published);

    let changed = job.then(|job| job.set("SOURCE_STATUS", "closed")).run();

    changed
        .exits(Outcome::Settings)
        .stderr_has("SOURCE_STATUS changed since generation");
}
