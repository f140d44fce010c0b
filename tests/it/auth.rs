//! How we say who we are, through the real binary; `canary` has the plain key.
//!
//! In these tests the credential that must be nowhere (`Job::key`) is the access token, or the client secret: that no
//! stream and no file of the output folder holds it is checked after every run.

/// Requests that are signed as AWS wants it.
mod aws;
/// Secrets besides the credential.
mod besides;
/// Secrets that a program prints.
mod command;
/// Cookies.
mod cookies;
/// Grants of OAuth2, and clients that sign.
mod granted;
/// Keys in a query, and as the user of basic.
mod keys;
/// Logins.
mod login;
/// Client certificates.
mod mutual_tls;
/// Refresh tokens.
mod refresh;
/// Settings that do not go together.
mod refused;
/// Keys that change in their file during a run.
mod rotated;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::server::{Reply, Request, Server};
use crate::world::{Job, Run};

const ONE: &str = r#"[{"id":1}]"#;

/// A job whose credential is a token that its source gives out at `/token`.
fn oauth2() -> Job {
    Job::new()
        .unset("SOURCE_API_KEY")
        .set("SOURCE_AUTH", "oauth2")
        .set("SOURCE_TOKEN_URL", "{server}/token")
        .set("SOURCE_CLIENT_ID", "tidegate")
        .set("SOURCE_CLIENT_SECRET", "s3cret")
}

fn token(token: &str, expires_in: u64) -> Reply {
    let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": expires_in});
    Reply::new(200, body.to_string())
}

/// The token of this request.
fn bearer(request: &Request) -> &str {
    let sent = request.header("authorization").unwrap_or_default();
    sent.trim_start_matches("Bearer ")
}

/// How often the login was asked, and the source.
fn asked(run: &Run) -> (usize, usize) {
    let is_login = |request: &&Request| request.path() == "/token";
    let login = run.requests.iter().filter(is_login).count();
    (login, run.requests.len() - login)
}

/// A job whose login gives out `job.key` with a number behind it, for so many seconds.
fn numbered(expires_in: u64, items: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Job {
    let job = oauth2();
    let (key, given) = (job.key.clone(), Arc::new(AtomicUsize::new(0)));
    job.api(move |request| match request.path() {
        "/token" => {
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            token(&format!("{key}-{number}"), expires_in)
        }
        _ => items(request),
    })
}

#[test]
fn a_token_is_fetched_once_for_many_pages() {
    let job = numbered(3600, |request| {
        let page: u32 = request
            .query("page")
            .map_or(1, |page| page.parse().unwrap());
        let reply = Reply::new(200, format!(r#"[{{"id":{page}}}]"#));
        if page < 4 {
            reply.next(&format!("{{server}}/items?page={}", page + 1))
        } else {
            reply
        }
    });

    let run = job.set("SOURCE_PAGINATION", "link").run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}]));
    assert_eq!(asked(&run), (1, 4));
    assert_eq!(run.requests[0].method, "POST");
    assert_eq!(run.requests[0].body, b"grant_type=client_credentials");
    assert!(bearer(&run.requests[4]).ends_with("-1"));
    assert_eq!(run.events("access token fetched").len(), 1);
    assert_eq!(
        run.summary()["requests"],
        4,
        "the component asked four times"
    );
}

#[test]
fn a_token_that_expires_on_the_way_is_fetched_anew() {
    let job = numbered(1, |request| match request.query("page") {
        // Longer than half of its second, from which on a token is not used any more.
        None => Reply::new(200, ONE)
            .next("{server}/items?page=2")
            .dripping(5, Duration::from_millis(700)),
        Some(_) => Reply::new(200, r#"[{"id":2}]"#),
    });

    let run = job.set("SOURCE_PAGINATION", "link").run();

    run.exits(Outcome::Published);
    assert_eq!(asked(&run), (2, 2));
    assert!(bearer(&run.requests[3]).ends_with("-2"));
}

#[test]
fn a_token_that_the_source_takes_back_is_fetched_anew() {
    let job = numbered(3600, |request| {
        if bearer(request).ends_with("-1") {
            Reply::new(401, "{}")
        } else {
            Reply::new(200, ONE)
        }
    });

    let run = { job }.run();

    run.exits(Outcome::Published).publishes(&json!([{"id": 1}]));
    assert_eq!(asked(&run), (2, 2));
}

#[test]
fn a_source_that_takes_no_token_is_77_after_two() {
    let run = numbered(3600, |_| Reply::new(401, "{}")).run();

    run.exits(Outcome::Denied).stderr_has("401");
    assert_eq!(asked(&run), (2, 2));
}

#[test]
fn a_wrong_client_secret_is_77_and_is_tried_once() {
    let job = oauth2();
    let secret = job.key.clone();
    // The server repeats the secret wherever it can.
    let job = job.set("SOURCE_CLIENT_SECRET", &secret).api(move |_| {
        let body = json!({"error": "invalid_client", "error_description": &secret});
        Reply::new(401, body.to_string()).header("www-authenticate", secret.clone())
    });

    let run = { job }.run();

    run.exits(Outcome::Denied)
        .asked(1)
        .stderr_has("SOURCE_TOKEN_URL")
        .stderr_has("`invalid_client`")
        .stderr_has("SOURCE_CLIENT_SECRET");
}

#[test]
fn a_client_secret_that_comes_back_as_error_code_is_not_shown() {
    let job = oauth2();
    let secret = job.key.clone();
    let job = job
        .set("SOURCE_CLIENT_SECRET", &secret)
        .api(move |_| Reply::new(400, json!({"error": &secret}).to_string()));

    { job }.run().exits(Outcome::Denied).stderr_has("400");
}

#[test]
fn a_login_that_is_busy_once_is_nothing_that_a_run_fails_for() {
    let mut job = oauth2();
    let key = job.key.clone();
    job = job.page(503, "").reply(token(&key, 3600)).page(200, ONE);

    let run = job.run();

    run.exits(Outcome::Published);
    assert_eq!(asked(&run), (2, 1));
    assert_eq!(run.events("access token not fetched").len(), 1);
}

#[test]
fn a_login_that_stays_busy_is_75_and_named() {
    let run = oauth2()
        .set("MAX_RETRIES", "1")
        .page(503, "")
        .page(503, "")
        .run();

    run.exits(Outcome::TryLater)
        .asked(2)
        .stderr_has("(`SOURCE_TOKEN_URL`): it answered 503");
}

#[test]
fn a_login_that_answers_a_page_for_people_is_76() {
    let run = oauth2().page(200, "<html>please log in</html>").run();

    run.exits(Outcome::ProtocolBroken)
        .asked(1)
        .stderr_has("(`SOURCE_TOKEN_URL`)")
        .stderr_has("not JSON");
}

#[test]
fn a_component_cannot_ask_the_login() {
    let login = Server::start(|_| token("a-token-of-the-login", 3600));
    let url = format!("{}/token", login.origin());
    let job = Job::misbehaving("ask-and-say-nothing")
        .unset("SOURCE_API_KEY")
        .set("SOURCE_AUTH", "oauth2")
        .set("SOURCE_TOKEN_URL", &url)
        .set("SOURCE_CLIENT_ID", "tidegate")
        .set("SOURCE_CLIENT_SECRET", "s3cret")
        .set("SOURCE_ASK", &format!("{{server}}/items {url}"))
        .page(200, ONE);

    let run = { job }.run();

    run.exits(Outcome::Denied)
        .asked(1)
        .stderr_has(&login.origin());
    assert_eq!(login.seen().len(), 1, "only the host asked it");
}

#[test]
fn a_token_is_nowhere_that_a_component_looks() {
    let job = Job::misbehaving("search-for-the-key")
        .unset("SOURCE_API_KEY")
        .set("SOURCE_AUTH", "oauth2")
        .set("SOURCE_TOKEN_URL", "{server}/token")
        .set("SOURCE_CLIENT_ID", "tidegate")
        .set("SOURCE_CLIENT_SECRET", "0123456789abcdef-client-secret")
        .set("SOURCE_ASK", "{server}/items {server}/error");
    let key = job.key.clone();
    let job = job.api(move |request| {
        let sent = bearer(request).to_owned();
        let status = if request.path() == "/error" { 500 } else { 200 };
        match request.path() {
            "/token" => token(&key, 3600),
            _ => Reply::new(status, format!(r#"[{{"seen":"Bearer {sent}"}},"{sent}"]"#))
                .header("x-echo", format!("you are {sent}"))
                .next(&format!("{{server}}/items?token={sent}"))
                .header("x-backwards", sent.chars().rev().collect::<String>())
                .chunked(7),
        }
    });

    let run = { job }.run();

    run.exits(Outcome::Published);
    let state = run.manifest()["state"].as_str().unwrap().to_owned();
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!(
        state["key_bytes"], 32,
        "the component knows what to look for"
    );
    assert_eq!(state["found"], json!([]));
    let environment = state["environment"].to_string();
    assert!(!environment.contains("CLIENT") && !environment.contains("TOKEN"));
    assert!(!run.stdout.contains("0123456789abcdef-client-secret"));
    assert!(run.summary()["echoes_redacted"].as_u64() >= Some(6));
}
