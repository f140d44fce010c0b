//! `preview` and `check --online`: the source is asked, and nothing is published.

use crate::server::Reply;
use crate::world::Job;

const TWO: &str = r#"{"items":[{"id":1,"updated_at":"2026-11-23T06:00:00Z","total":1.10},{"id":2,"updated_at":"2026-11-23T07:00:00Z","total":2}],"next":"/items?page=2"}"#;

fn shows_nothing_published(job: &Job) {
    assert!(!job.output().exists(), "the output folder was made");
}

#[test]
fn a_preview_prints_records_as_they_would_be_published() {
    let job = Job::new()
        .set("SOURCE_RECORDS", "/items")
        .set("TRANSFORM", "{id, total}")
        .page(200, TWO);

    let shown = job.tidegate(["preview"]);

    shown.exits(0).stderr_has("2 records fetched: 2 to publish");
    assert_eq!(
        shown.stdout,
        "{\"id\":1,\"total\":1.10}\n{\"id\":2,\"total\":2}\n"
    );
    shown.shows_nothing_of(&job.key);
    shows_nothing_published(&job);
}

#[test]
fn a_preview_ends_when_it_has_enough() {
    let job = Job::new()
        .set("SOURCE_RECORDS", "/items")
        .set("SOURCE_PAGINATION", "next-url")
        .api(|request| match request.query("page") {
            None => Reply::new(200, TWO),
            Some(_) => Reply::silence(),
        });

    let shown = job.tidegate(["preview", "--limit", "2"]);

    shown.exits(0);
    assert_eq!(shown.stdout.lines().count(), 2);
}

#[test]
fn a_preview_of_a_source_that_refuses_says_so() {
    let job = Job::new().page(401, "{}");

    let shown = job.tidegate(["preview"]);

    shown.exits(77).stderr_has("401");
    shown.shows_nothing_of(&job.key);
}

#[test]
fn a_look_shows_what_was_understood_and_the_lines_to_paste() {
    let job = Job::new().page(200, TWO);

    let shown = job.tidegate(["check", "--online"]);

    shown
        .exits(0)
        .stdout_has("no problem found\n")
        .stdout_has("2 records at `/items`")
        .stdout_has("SOURCE_RECORDS=/items")
        .stdout_has("SOURCE_PAGINATION=next-url")
        .stdout_has("PRIMARY_KEY=/id")
        .stdout_has("SOURCE_CURSOR=/updated_at")
        .stdout_has("/items?page=2");
    assert_eq!(job.server.seen().len(), 1, "one request");
    shown.shows_nothing_of(&job.key);
    shows_nothing_published(&job);
}

#[test]
fn a_look_is_not_taken_with_settings_that_do_not_do() {
    let job = Job::new().set("SOURCE_PAGINATION", "sideways");

    job.tidegate(["check", "--online"])
        .exits(78)
        .stdout_has("`sideways` is not one of");
    assert!(job.server.seen().is_empty());
}

#[test]
fn a_component_that_takes_no_look_says_so() {
    let job = Job::misbehaving("none");
    let component = crate::world::guests::without_a_look().display().to_string();

    let shown = job.tidegate(["check", "--online", "--component", &component]);

    shown
        .exits(78)
        .stderr_has("does not support `check --online`");
}
