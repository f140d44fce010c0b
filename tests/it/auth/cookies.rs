//! SOURCE_COOKIES. In these tests the credential that must be nowhere (`Job::key`) is the value of a cookie.

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::server::{Reply, Request};
use crate::world::Job;

/// A source whose second page is on the machine that the cookie of the first one names; it repeats what it was sent.
fn affine() -> Job {
    let job = Job::new()
        .unset("SOURCE_API_KEY")
        .set("SOURCE_RECORDS", "/hits")
        .set("SOURCE_PAGINATION", "token")
        .set("SOURCE_PAGE_FROM", "/scroll")
        .set("SOURCE_PAGE_TO", "scroll")
        .set("PRIMARY_KEY", "/id");
    let key = job.key.clone();
    job.api(move |request| {
        let route = format!("route={key}");
        let has_it = request.header("cookie") == Some(&route);
        match (request.query("scroll"), has_it) {
            (None, _) => Reply::new(
                200,
                json!({"hits": [{"id": 1}], "scroll": "s1"}).to_string(),
            )
            .header("set-cookie", format!("{route}; Path=/; HttpOnly")),
            (Some(_), true) => {
                Reply::new(200, json!({"hits": [{"id": 2, "you": route}]}).to_string())
            }
            (Some(_), false) => Reply::new(404, r#"{"error":"search context missing"}"#),
        }
    })
}

#[test]
fn a_page_that_needs_the_cookie_of_the_first_one_comes_with_the_setting() {
    for over_http2 in [false, true] {
        let job = affine().set("SOURCE_COOKIES", "yes");
        let mut job = if over_http2 { job.over_http2() } else { job };

        let run = job.run();

        run.exits(Outcome::Published)
            .asked(2)
            .publishes(&json!([{"id": 1}, {"id": 2, "you": "route=REDACTED"}]));
    }
}

#[test]
fn without_the_setting_the_failure_names_it() {
    let run = affine().run();

    run.exits(Outcome::SourceRefused)
        .asked(2)
        .stderr_has("answered 404 on page 2")
        .stderr_has("the source set cookies, which were not sent back; if it needs them, set SOURCE_COOKIES=yes");
}

#[test]
fn a_failure_that_no_earlier_answer_set_a_cookie_before_does_not_name_it() {
    let mut job = Job::new().api(|_| Reply::new(404, "{}").header("set-cookie", "a=1"));

    let run = job.run();

    run.exits(Outcome::SourceRefused);
    assert!(!run.stderr.contains("SOURCE_COOKIES"), "{}", run.stderr);
}

#[test]
fn each_run_begins_without_cookies() {
    let mut job = affine().set("SOURCE_COOKIES", "yes");
    for outcome in [Outcome::Published, Outcome::NothingNew] {
        let run = job.run();

        run.exits(outcome).asked(2);
        assert_eq!(run.requests[0].header("cookie"), None);
    }
}

#[test]
fn no_component_sees_a_cookie_or_sets_one() {
    let key_of = |request: &Request| request.header("cookie").unwrap_or("none").to_owned();
    let mut job = Job::misbehaving("search-for-the-key").unset("SOURCE_API_KEY");
    let key = job.key.clone();
    job = job
        .set("SOURCE_COOKIES", "yes")
        .set("SOURCE_ASK", "{server}/one {server}/two")
        .api(move |request| {
            Reply::new(200, json!([key_of(request)]).to_string())
                .header("set-cookie", format!("session={key}; Path=/"))
                .header("x-backwards", key.chars().rev().collect::<String>())
        });

    let run = job.run();

    run.exits(Outcome::Published).asked(2);
    let sent = format!("session={}", job.key);
    assert_eq!(run.requests[1].header("cookie"), Some(sent.as_str()));
    let state = run.manifest()["state"].as_str().expect("text").to_owned();
    let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
    assert_eq!(state["found"], json!([]), "nothing of it was seen");
}
