//! `preview` and `check --online`: the source is asked, and nothing is published.

use tidegate::outcome::Outcome;

use crate::server::Reply;
use crate::world::{Job, Printed};

const TWO: &str = r#"{"items":[{"id":1,"updated_at":"2026-11-23T06:00:00Z","total":1.10},{"id":2,"updated_at":"2026-11-23T07:00:00Z","total":2}],"next":"/items?page=2"}"#;

fn shows_nothing_published(job: &Job) {
    assert!(!job.output().exists(), "the output folder was made");
}

#[test]
fn a_preview_prints_records_as_they_would_be_published() {
    let job = Job::new()
        .set("SOURCE_RECORDS", "/items")
        .set("SOURCE_PAGINATION", "none")
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

    // As they are, the settings do not find the records.
    shown
        .exits(76)
        .stderr_has("set SOURCE_RECORDS, such as `/items`")
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

/// Of a job whose run would end like this, `check --online` says so, and never that there is no problem.
#[track_caller]
fn fails_as_a_run_would(job: impl Fn() -> Job) -> Printed {
    let run = job().run();
    let code = run.code.expect("a code");
    assert_ne!(code, 0, "a run must fail");

    let checked = job().tidegate(["check", "--online"]);

    checked.exits(code);
    assert!(
        !checked.stdout.contains("no problem found"),
        "{}",
        checked.stdout
    );
    checked
}

#[test]
fn a_check_fails_where_a_run_would() {
    let html = "<!doctype html><title>Log in</title>";

    fails_as_a_run_would(|| Job::new().page(200, html))
        .stderr_has("looks like HTML, titled `Log in`");
    fails_as_a_run_would(|| Job::new().page(200, "{}")).stderr_has("and no array in it");
    fails_as_a_run_would(|| Job::new().page(200, TWO).set("SOURCE_RECORDS", "/rows"));
    fails_as_a_run_would(|| Job::new().page(401, "{}")).stderr_has("SOURCE_API_KEY");
    fails_as_a_run_would(|| Job::new().page(200, r#"[{"id":1},7]"#));
    fails_as_a_run_would(|| Job::upsert().page(200, r#"[{"id":1}]"#)).stderr_has("/updated");
    fails_as_a_run_would(|| {
        let job = Job::new();
        std::fs::create_dir_all(job.output()).unwrap();
        std::fs::write(job.output().join("latest.json"), "[]").unwrap();
        job
    })
    .stderr_has("--adopt");
    fails_as_a_run_would(|| Job::new().set("OUTPUT_DIR", "/proc/none/orders"))
        .stderr_has("/proc/none/orders");
}

#[test]
fn a_check_of_settings_that_changed_fails_as_a_run_would() {
    let mut job = Job::upsert().page(200, r#"[{"id":1,"updated":"2026-01-01T00:00:00Z"}]"#);
    job.run().exits(Outcome::Published);

    let checked = job.set("TRANSFORM", "{id}").tidegate(["check", "--online"]);

    checked.exits(78).stderr_has("TRANSFORM changed since");
}

#[test]
fn a_check_without_a_problem_says_what_it_tried_and_leaves_nothing() {
    let job = Job::new().page(200, r#"[{"id":1}]"#);
    std::fs::create_dir_all(job.output()).unwrap();

    let offline = job.tidegate(["check"]);
    let online = job.tidegate(["check", "--online"]);

    offline.exits(0).stdout_has(
        "no problem found; not tried: the source, and whether this user can write to `",
    );
    online
        .exits(0)
        .stdout_has(&format!(
            "output: `{}` can be written",
            job.output().display()
        ))
        .stdout_has("\nno problem found\n");
    assert_eq!(std::fs::read_dir(job.output()).unwrap().count(), 0);
}

#[test]
fn a_check_tries_a_database_and_leaves_nothing() {
    let job = Job::upsert()
        .sqlite()
        .page(200, r#"[{"id":1,"updated":"2026-01-01T00:00:00Z"}]"#);
    std::fs::create_dir_all(job.output()).unwrap();
    let path = job.database().unwrap();
    let offline = job.tidegate(["check"]);

    let online = job.tidegate(["check", "--online"]);

    offline
        .exits(0)
        .stdout_has("the database and the rights of its role");
    online
        .exits(0)
        .stdout_has("output: the database can be written (table `");
    assert!(!path.exists());
}
