//! Secrets besides the credential: further headers, and `{secret}` in the query and the body; and secrets in the wrong place.
//!
//! Each of them is `Job::key`, which must be nowhere: that is checked after every run.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use super::ONE;
use crate::server::{Reply, Request, Server};
use crate::world::Job;

#[test]
fn secret_headers_go_to_the_source_with_the_credential() {
    let job = Job::new();
    let text = format!("DD-APPLICATION-KEY: {}\nX-Second:  two words \n", job.key);
    let file = job.file("headers", &text).display().to_string();
    let mut job = job
        .set("SOURCE_AUTH", "header")
        .set("SOURCE_API_KEY", "another-key-of-mine")
        .set("SOURCE_SECRET_HEADERS_FILE", &file)
        .api(|request| {
            let sent = request.header("dd-application-key").unwrap_or_default();
            Reply::new(200, format!(r#"[{{"id":1,"you":"{sent}"}}]"#))
                .header("x-echo", sent.to_owned())
        });

    let run = job.run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"id": 1, "you": "REDACTED"}]));
    let request = &run.requests[0];
    assert_eq!(request.header("x-api-key"), Some("another-key-of-mine"));
    assert_eq!(request.header("dd-application-key"), Some(&*job.key));
    assert_eq!(request.header("x-second"), Some("two words"));
    job.tidegate(["check"]).exits(0).stdout_has("(secret)");
}

#[test]
fn another_origin_gets_no_secret_header_and_no_secret() {
    let other = Server::start(|_| Reply::new(200, r#"[{"id":2}]"#));
    let next = format!("{}/items?page=2&key={{secret}}", other.origin());
    let job = Job::new().unset("SOURCE_API_KEY");
    let headers = format!("X-Second: {}", job.key);
    let secret = format!("s-{}", job.key);
    let mut job = job
        .set("SOURCE_SECRET_HEADERS", &headers)
        .set("SOURCE_SECRET", &secret)
        .set("SOURCE_API_URL", "{server}/items?key={secret}")
        .set("ALLOW_HOSTS", &other.origin())
        .set("SOURCE_PAGINATION", "link")
        .api(move |_| Reply::new(200, ONE).next(&next));

    let run = job.run();

    run.exits(Outcome::Published).asked(1);
    assert_eq!(run.requests[0].query("key"), Some(secret));
    let seen = other.seen();
    let head = String::from_utf8_lossy(&seen[0].head).into_owned();
    assert!(!head.contains(&job.key), "{head}");
}

#[test]
fn a_secret_is_put_into_the_query_and_the_body() {
    let job = Job::new().unset("SOURCE_API_KEY");
    let secret = format!("\"&{}", job.key);
    let echoed = |request: &Request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let key = body["auth"]["key"].as_str().unwrap().to_owned();
        let next = request.query("page").is_none();
        let reply = Reply::new(200, json!([{"id": u8::from(next), "you": key}]).to_string());
        if next {
            reply.next("{server}/items?page=2")
        } else {
            reply
        }
    };
    let mut job = job
        .set("SOURCE_SECRET", &secret)
        .set("SOURCE_API_URL", "{server}/items?token={secret}")
        .set("SOURCE_BODY", r#"{"auth":{"key":"{secret}"}}"#)
        .set("SOURCE_PAGINATION", "link")
        .api(echoed);

    let run = job.run();

    run.exits(Outcome::Published).asked(2);
    for request in &run.requests {
        assert_eq!(request.query("token"), Some(secret.clone()));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body, json!({"auth": {"key": secret}}));
    }
    let published = run.after.file("latest.json").unwrap();
    assert!(published.contains(r#""you":"REDACTED""#), "{published}");
}

#[test]
fn a_source_cannot_have_the_secret_put_elsewhere() {
    let job = Job::new().unset("SOURCE_API_KEY");
    let key = job.key.clone();
    let mut job = job
        .set("SOURCE_SECRET", &key)
        .set("SOURCE_BODY", r#"{"key":"{secret}","after":""}"#)
        .set("SOURCE_RECORDS", "/items")
        .set("SOURCE_PAGINATION", "token")
        .set("SOURCE_PAGE_FROM", "/next")
        .set("SOURCE_PAGE_TO", "/after")
        .page(200, r#"{"items":[{"id":1}],"next":"{secret}"}"#);

    let run = job.run();

    run.exits(Outcome::Denied)
        .asked(1)
        .stderr_has("its body has `{secret}` more often than SOURCE_BODY");
}

#[test]
fn a_secret_in_one_text_with_the_cursor_is_refused() {
    let run = Job::new()
        .set("SOURCE_SECRET", "a-secret-of-16-bytes")
        .set("SOURCE_BODY", r#"{"key":"{secret}-{cursor}"}"#)
        .set("SOURCE_CURSOR", "/updated")
        .set("SOURCE_CURSOR_START", "2026-01-01T00:00:00Z")
        .run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("give the secret a text of its own");
}

#[test]
fn a_place_without_a_secret_and_a_secret_without_a_place_are_refused() {
    let told = |job: Job| {
        let run = { job }.run();
        run.exits(Outcome::Settings).asked(0);
        run.stderr.clone()
    };

    let text = told(Job::new().set("SOURCE_API_URL", "{server}/items?key={secret}"));
    assert!(text.contains("SOURCE_API_URL has `{secret}`, and SOURCE_SECRET is not set"));
    let text = told(Job::new().set("SOURCE_SECRET", "a-second-secret"));
    assert!(text.contains("SOURCE_SECRET has no effect without `{secret}`"));
    let text = told(
        Job::new()
            .set("SOURCE_SECRET", "a-second-secret")
            .set("SOURCE_API_URL", "{server}/{secret}/items"),
    );
    assert!(text.contains("is replaced in the query only"), "{text}");
    let text = told(Job::new().set("SOURCE_SECRET_HEADERS", "Authorization: Bearer abcdefgh"));
    assert!(
        text.contains("`authorization`, which SOURCE_AUTH sets"),
        "{text}"
    );
    assert!(!text.contains("abcdefgh"));
    let text = told(Job::new().set("SOURCE_SECRET_HEADERS", "just-a-secret"));
    assert!(text.contains("line 1 is none") && !text.contains("just-a-secret"));
}

#[test]
fn a_secret_in_the_wrong_place_is_warned_of_and_hidden() {
    let job = Job::new().unset("SOURCE_API_KEY");
    let (header, url) = (
        format!("DD-APPLICATION-KEY: {}", job.key),
        format!("{{server}}/items?access_token={}", job.key),
    );
    let body = json!({"password": job.key, "limit": 1}).to_string();
    let mut job = job
        .set("SOURCE_HEADERS", &header)
        .set("SOURCE_API_URL", &url)
        .set("SOURCE_BODY", &body)
        .page(200, ONE);

    let run = job.run();

    run.exits(Outcome::Published);
    let msg = "a setting that is not secret has a name like that of a secret";
    let warned = run.events(msg);
    let names: Vec<&str> = warned
        .iter()
        .filter_map(|event| event["name"].as_str())
        .collect();
    assert_eq!(names, ["access_token", "password", "DD-APPLICATION-KEY"]);
    let checked = job.tidegate(["check"]);
    checked
        .exits(0)
        .stdout_has("has `DD-APPLICATION-KEY`, which looks like a secret")
        .stdout_has("SOURCE_SECRET_HEADERS");
    checked.shows_nothing_of(&job.key);
}
