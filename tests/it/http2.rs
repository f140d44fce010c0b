//! A source that speaks HTTP/2 and nothing else: credentials, pages and echoes are as over HTTP/1.1.
//!
//! `faults::http2` has what goes wrong.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::server::{Reply, Request};
use crate::world::Job;

/// Three pages of a record each.
fn pages(request: &Request) -> Reply {
    let page: u32 = request
        .query("page")
        .map_or(1, |page| page.parse().expect("a number"));
    let reply = Reply::new(200, format!(r#"[{{"id":{page}}}]"#));
    if page < 3 {
        reply.next(&format!("{{server}}/items?page={}", page + 1))
    } else {
        reply
    }
}

#[test]
fn all_pages_come_over_one_connection_with_the_credential() {
    let job = Job::new().over_http2().set("SOURCE_PAGINATION", "link");
    let bearer = format!("Bearer {}", job.key);
    let mut job = job.api(pages);

    let run = job.run();

    run.exits(Outcome::Published)
        .asked(3)
        .publishes(&json!([{"id": 1}, {"id": 2}, {"id": 3}]));
    assert_eq!(job.server.connections(), 1);
    for request in &run.requests {
        assert_eq!(request.header("authorization"), Some(bearer.as_str()));
        assert_eq!(
            request.header("host").map(|host| format!("https://{host}")),
            Some(job.server.origin())
        );
        assert!(
            request
                .headers
                .iter()
                .all(|(name, _)| name.to_lowercase() == *name)
        );
    }
}

#[test]
fn a_body_is_sent_and_a_key_in_a_header_or_a_query_comes() {
    for (auth, name) in [("header", "x-api-key"), ("query", "api_key")] {
        let mut job = Job::new()
            .over_http2()
            .set("SOURCE_AUTH", auth)
            .set("SOURCE_BODY", r#"{"q":"all"}"#)
            .page(200, r#"[{"id":1}]"#);

        let run = job.run();

        run.exits(Outcome::Published).asked(1);
        let asked = &run.requests[0];
        assert_eq!(
            (asked.method.as_str(), asked.body.as_slice()),
            ("POST", &br#"{"q":"all"}"#[..])
        );
        let sent = asked
            .header(name)
            .map(str::to_owned)
            .or_else(|| asked.query(name));
        assert_eq!(sent, Some(job.key.clone()));
    }
}

#[test]
fn a_token_is_fetched_and_renewed_over_http_2() {
    let job = Job::new().over_http2();
    let (key, given) = (job.key.clone(), AtomicUsize::new(0));
    let mut job = job
        .unset("SOURCE_API_KEY")
        .set("SOURCE_AUTH", "oauth2")
        .set("SOURCE_TOKEN_URL", "{server}/token")
        .set("SOURCE_CLIENT_ID", "tidegate")
        .set("SOURCE_CLIENT_SECRET", "s3cret")
        .api(move |request| {
            let stale = format!("Bearer {key}-1");
            match (request.path(), request.header("authorization")) {
                ("/token", _) => {
                    let number = given.fetch_add(1, Ordering::SeqCst) + 1;
                    let token = format!("{key}-{number}");
                    Reply::new(200, json!({"access_token": token}).to_string())
                }
                (_, Some(token)) if token == stale => Reply::new(401, "{}"),
                _ => Reply::new(200, r#"[{"id":1}]"#),
            }
        });

    let run = job.run();

    let paths: Vec<&str> = run.requests.iter().map(Request::path).collect();
    run.exits(Outcome::Published);
    assert_eq!(paths, ["/token", "/items", "/token", "/items"]);
}

#[test]
fn an_echo_is_replaced_in_a_header_a_body_and_an_error() {
    let echo = |request: &Request| {
        let key = request.header("authorization").unwrap_or_default();
        Reply::new(200, json!([{"id": 1, "you": key}]).to_string())
            .header("x-you", key)
            .chunked(11)
    };
    let mut job = Job::new().over_http2().api(echo);

    job.run()
        .exits(Outcome::Published)
        .publishes(&json!([{"id": 1, "you": "Bearer REDACTED"}]));

    let mut job = Job::new().over_http2().api(|request| {
        let key = request.header("authorization").unwrap_or_default();
        Reply::new(
            404,
            json!({"message": format!("no such user: {key}")}).to_string(),
        )
    });
    job.run()
        .exits(Outcome::SourceRefused)
        .stderr_has("no such user: Bearer REDACTED");
}
