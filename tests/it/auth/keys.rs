//! A key in the query is in no log, no error and no component; a key can be the user of basic, without a password.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tidegate::outcome::Outcome;

use super::ONE;
use crate::server::{Reply, Request};
use crate::world::Job;

/// A job whose key, with what needs encoding in it, goes into the query.
fn in_the_query() -> Job {
    let job = Job::new();
    let key = format!("Key/{}+&= é", job.key);
    job.set("SOURCE_AUTH", "query")
        .set("SOURCE_AUTH_NAME", "access")
        .set("SOURCE_API_KEY", &key)
}

/// The key as the query had it.
fn sent(request: &Request) -> String {
    let (_, query) = request.target.split_once('?').unwrap_or_default();
    let given = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("access="));
    given.unwrap_or_default().to_owned()
}

/// The same with the digits of its escapes in lower case, as some servers write them.
fn lower_hex(encoded: &str) -> String {
    let mut pieces = encoded.split('%');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| {
        let (digits, rest) = piece.split_at(2);
        format!("{text}%{}{rest}", digits.to_ascii_lowercase())
    })
}

#[test]
fn a_key_in_a_redirect_and_in_links_is_replaced_on_the_way() {
    let job = in_the_query()
        .set("SOURCE_PAGINATION", "link")
        .api(|request| {
            let key = sent(request);
            match request.path() {
                "/items" => {
                    Reply::new(302, "").header("location", format!("/moved?access={key}&p=1"))
                }
                "/moved" => Reply::new(200, ONE).next(&format!(
                    "{{server}}/last?q={}&access={key}",
                    lower_hex(&key)
                )),
                _ => Reply::new(200, r#"[{"id":2}]"#),
            }
        });

    let run = { job }.run();

    run.exits(Outcome::Published).asked(3);
    assert!(run.requests.iter().all(|request| !sent(request).is_empty()));
    assert!(
        run.requests[2]
            .target
            .starts_with("/last?q=REDACTED&access=Key%2F")
    );
    assert_eq!(run.summary()["echoes_redacted"], 3);
}

#[test]
fn a_key_in_the_next_url_of_a_body_is_replaced_as_well() {
    let job = in_the_query()
        .set("SOURCE_PAGINATION", "next-url")
        .set("SOURCE_RECORDS", "/items")
        .api(|request| match request.query("page") {
            None => {
                let url = format!("{{server}}/items?page=2&access={}", sent(request));
                Reply::new(200, json!({"items": [{"id": 1}], "next": url}).to_string())
            }
            Some(_) => Reply::new(200, r#"{"items":[{"id":2}],"next":null}"#),
        });

    let run = { job }.run();

    run.exits(Outcome::Published).asked(2);
    assert_eq!(run.summary()["echoes_redacted"], 1);
}

#[test]
fn an_error_of_the_source_shows_no_key() {
    for (status, outcome) in [
        (400, Outcome::SourceRefused),
        (403, Outcome::Denied),
        (500, Outcome::TryLater),
    ] {
        let job = in_the_query().set("MAX_RETRIES", "0").api(move |request| {
            let text = format!("no page at {}", request.target);
            Reply::new(status, json!({"error": text}).to_string())
        });

        let run = { job }.run();

        run.exits(outcome).asked(1);
        assert!(!sent(&run.requests[0]).is_empty());
    }
}

/// Answers whatever comes with plain http.
fn no_tls() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut hello = [0; 4096];
            let _ = socket.read(&mut hello);
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    address
}

#[test]
fn an_error_of_the_network_shows_no_key() {
    let tls = format!("https://{}/items", no_tls());
    let tls = in_the_query().set("SOURCE_API_URL", &tls);
    let unknown = in_the_query().set("SOURCE_API_URL", "http://source.invalid/items");
    let denied = in_the_query()
        .set("SOURCE_PAGINATION", "link")
        .api(|request| {
            let key = sent(request);
            Reply::new(200, ONE).next(&format!("http://other.example/?access={key}"))
        });
    for (job, outcome) in [
        (in_the_query().reply(Reply::reset()), Outcome::TryLater),
        (tls, Outcome::ProtocolBroken),
        (unknown, Outcome::TryLater),
        (denied, Outcome::Denied),
    ] {
        { job.set("MAX_RETRIES", "0") }.run().exits(outcome);
    }
}

#[test]
fn a_key_can_be_the_user_of_basic_without_a_password() {
    let job = Job::new();
    let (pair, key) = (format!("{}:", job.key), job.key.clone());
    let job = job
        .set("SOURCE_AUTH", "basic")
        .set("SOURCE_API_KEY", &pair)
        .api(move |request| {
            let sent = request.header("authorization").unwrap_or_default();
            Reply::new(
                200,
                json!([{"sent": sent, "you": &key, "a": ""}]).to_string(),
            )
        });

    let run = { job }.run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"sent": "Basic REDACTED", "you": "REDACTED", "a": ""}]));
    let sent = run.requests[0].header("authorization");
    assert_eq!(
        sent,
        Some(format!("Basic {}", STANDARD.encode(pair)).as_str())
    );
}

#[test]
fn a_user_that_is_the_key_is_hidden_by_itself_in_errors() {
    let job = Job::new();
    let (pair, key) = (format!("{}:x", job.key), job.key.clone());

    job.set("SOURCE_AUTH", "basic")
        .set("SOURCE_API_KEY", &pair)
        .args(["--env-file", &format!("no-such-folder/{key}.env")])
        .run()
        .exits(Outcome::Settings)
        .stderr_has("no-such-folder/REDACTED.env");
}
