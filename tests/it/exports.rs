//! Exports end to end: a job is started, waited for, and its results are published.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tidegate::outcome::Outcome;

use crate::server::{Reply, Request, Server};
use crate::world::Job;

/// A job that is started by a POST, has an id, and names the URL of its result.
fn job() -> Job {
    Job::new()
        .set("SOURCE_EXPORT_URL", "{server}/jobs")
        .set("SOURCE_EXPORT_BODY", r#"{"type":"orders"}"#)
        .set("SOURCE_EXPORT_ID", "/id")
        .set("SOURCE_EXPORT_POLL", "{server}/jobs/{export}")
        .set(
            "SOURCE_EXPORT_STATUS",
            r#"if .state == "error" then "failed: \(.why)" else {done: "ready"}[.state] // "wait" end"#,
        )
        .set("SOURCE_EXPORT_RESULT", "/url")
        .set("SOURCE_EXPORT_EVERY", "10ms")
        .set("PRIMARY_KEY", "/id")
}

fn started() -> Reply {
    Reply::new(202, r#"{"id":"a/b?c"}"#)
}

/// A source whose job is ready and names `url` as its result.
fn ready(url: &str) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let done = json!({"state": "done", "url": url}).to_string();
    move |request| match (request.method.as_str(), request.target.as_str()) {
        ("POST", "/jobs") => started(),
        ("GET", "/jobs/a%2Fb%3Fc") => Reply::new(200, done.clone()),
        ("GET", "/result?sig=a%2Fb") => Reply::new(200, r#"[{"id":1}]"#),
        _ => Reply::new(404, ""),
    }
}

fn file() -> Vec<u8> {
    let mut file = GzEncoder::new(Vec::new(), Compression::default());
    file.write_all(b"{\"id\":1}\n{\"id\":2}\n")
        .expect("into memory");
    file.finish().expect("into memory")
}

#[test]
fn a_result_on_another_origin_gets_no_credential() {
    let storage =
        Server::start(|_| Reply::new(200, file()).header("content-type", "application/gzip"));
    let url = format!("{}/files/1?sig=a%2Fb", storage.origin());
    let mut job = job()
        .set("SOURCE_FORMAT", "ndjson")
        .set("ALLOW_HOSTS", &storage.origin())
        .api(ready(&url));
    let bearer = format!("Bearer {}", job.key);

    let run = job.run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"id": 1}, {"id": 2}]));
    run.asked(2);
    for request in &run.requests {
        assert_eq!(request.header("authorization"), Some(bearer.as_str()));
    }
    let asked = storage.seen();
    assert_eq!(asked[0].target, "/files/1?sig=a%2Fb");
    assert_eq!(asked[0].header("authorization"), None);
    assert_eq!(asked[0].method, "GET");
    assert!(!run.stdout.contains("sig="), "{}", run.stdout);
    assert!(
        run.stdout
            .contains("answered 202 and names the export `a/b?c`"),
        "{}",
        run.stdout
    );
}

#[test]
fn what_is_not_granted_is_not_asked_and_the_setting_is_named() {
    let storage = Server::start(|_| Reply::new(200, "[]"));
    let result = job().api(ready(&storage.origin())).run();
    let link_local = job().api(ready("http://169.254.169.254/latest")).run();
    let status = storage.origin();
    let poll = job()
        .unset("SOURCE_EXPORT_POLL")
        .api(move |_| Reply::new(200, json!({"id": status}).to_string()))
        .run();
    let with_user = job().api(ready("http://u:p@127.0.0.1/")).run();
    let circle = job()
        .api(|request| match request.path() {
            "/jobs" => started(),
            path => Reply::new(302, "").header("location", format!("{path}a")),
        })
        .run();
    let large = job()
        .api(|request| match request.path() {
            "/jobs" => started(),
            _ => Reply::new(200, vec![b' '; 32 << 20]),
        })
        .run();

    result.exits(Outcome::Denied).stderr_has("ALLOW_HOSTS");
    link_local.exits(Outcome::Denied).stderr_has("ALLOW_HOSTS");
    poll.exits(Outcome::Denied).stderr_has("ALLOW_HOSTS");
    with_user
        .exits(Outcome::ProtocolBroken)
        .stderr_has("has a URL with a user name in it as SOURCE_EXPORT_RESULT");
    circle
        .exits(Outcome::ProtocolBroken)
        .stderr_has("redirects for more than 5 times");
    large
        .exits(Outcome::ProtocolBroken)
        .stderr_has("the answer is larger than 4 MiB");
    assert!(storage.seen().is_empty());
}

#[test]
fn a_job_that_failed_says_why_and_the_credential_in_it_is_hidden() {
    let mut job = job().api(|request| {
        if request.path() == "/jobs" {
            return started();
        }
        let key = request.header("authorization").expect("a credential");
        Reply::new(
            200,
            json!({"state": "error", "why": format!("no column for {key}")}).to_string(),
        )
    });

    let run = job.run();

    run.exits(Outcome::ProtocolBroken)
        .publishes_nothing()
        .stderr_has(
            "the export `a/b?c` failed: SOURCE_EXPORT_STATUS gives `failed: no column for ",
        );
}

#[test]
fn a_job_that_is_never_ready_ends_the_run_with_what_the_next_one_does() {
    let mut job = job()
        .set("SOURCE_EXPORT_WAIT", "1s")
        .set("SOURCE_EXPORT_EVERY", "200ms")
        .api(|request| match request.path() {
            "/jobs" => started(),
            _ => Reply::new(200, r#"{"state":"queued"}"#),
        });

    let run = job.run();

    run.exits(Outcome::TryLater)
        .publishes_nothing()
        .stderr_has("is not ready after")
        .stderr_has("the next run starts the export again");
}

#[test]
fn a_run_that_was_killed_goes_on_with_the_job_that_the_source_names() {
    let (starts, is_ready) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (seen, ready) = (Arc::clone(&starts), Arc::clone(&is_ready));
    let same = ".id | select($status)";
    let mut job =
        job()
            .set("SOURCE_EXPORT_ID", same)
            .api(move |request| match request.target.as_str() {
                "/jobs" if starts.fetch_add(1, Ordering::SeqCst) == 0 => started(),
                "/jobs" => Reply::new(409, r#"{"id":"a/b?c","why":"one job at a time"}"#),
                "/jobs/a%2Fb%3Fc" if is_ready.load(Ordering::SeqCst) == 0 => {
                    Reply::new(200, r#"{"state":"queued"}"#)
                }
                "/jobs/a%2Fb%3Fc" => Reply::new(200, r#"{"state":"done","url":"/result"}"#),
                "/result" => Reply::new(200, r#"[{"id":1}]"#),
                other => panic!("`{other}` is not asked for"),
            });
    job.start().killed_after(3, Duration::ZERO);
    ready.store(1, Ordering::SeqCst);

    let run = job.run();

    run.exits(Outcome::Published).publishes(&json!([{"id": 1}]));
    assert_eq!(seen.load(Ordering::SeqCst), 2);
    assert!(
        run.stdout
            .contains("answered 409 and names the export `a/b?c`"),
        "{}",
        run.stdout
    );
}

#[test]
fn a_look_and_a_preview_make_an_export_and_publish_nothing() {
    let job = job().api(ready("/result?sig=a%2Fb"));

    let looked = job.tidegate(["check", "--online"]);
    let previewed = job.tidegate(["preview"]);

    looked
        .exits(0)
        .stdout_has(
            "POST {server}/jobs with {\"type\":\"orders\"}"
                .replace("{server}", &job.server.origin())
                .as_str(),
        )
        .stdout_has("ready, first result at")
        .stdout_has("1 record");
    assert!(!looked.stdout.contains("sig="), "{}", looked.stdout);
    looked.shows_nothing_of(&job.key);
    previewed.exits(0);
    assert_eq!(previewed.stdout, "{\"id\":1}\n");
    assert!(!job.output().exists());
}

#[test]
fn a_secret_goes_into_the_request_that_starts_the_job() {
    let job = job().api(|request| match request.path() {
        "/jobs" => {
            let body: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
            let is_filled = body["password"]
                .as_str()
                .is_some_and(|text| text.len() == 32);
            Reply::new(if is_filled { 200 } else { 403 }, r#"{"id":1}"#)
        }
        "/jobs/1" => Reply::new(200, r#"{"state":"done","url":"/result"}"#),
        _ => Reply::new(200, r#"[{"id":1}]"#),
    });
    let key = job.key.clone();
    let mut job = job
        .unset("SOURCE_API_KEY")
        .set("SOURCE_SECRET", &key)
        .set("SOURCE_EXPORT_BODY", r#"{"password":"{secret}"}"#);

    let run = job.run();
    let without = job
        .then(|job| job.unset("SOURCE_SECRET"))
        .tidegate(["check"]);

    run.exits(Outcome::Published).asked(3);
    without
        .exits(78)
        .stdout_has("SOURCE_EXPORT_BODY has `{secret}`, and SOURCE_SECRET is not set");
}

#[test]
fn half_of_the_settings_is_refused_before_any_request() {
    let mut job = job().unset("SOURCE_EXPORT_STATUS").set("SOURCE_BODY", "{}");

    let run = job.run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("SOURCE_EXPORT_STATUS");
}
