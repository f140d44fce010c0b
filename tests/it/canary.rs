//! The credential is nowhere: not in what is printed, not in a file, not in what the component sees; also not when the
//! source sends it back.
//!
//! That neither stream and no file of the output folder holds it is checked after every run of every test. The component
//! of these tests looks for it in everything it can see, and leaves all of it in its log, its records and its state.

use std::sync::OnceLock;

use rustix::process::Signal;
use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::server::{Reply, Request};
use crate::world::{Job, Run};

/// The credential as the request brought it.
fn key_of(request: &Request) -> String {
    let bearer = request.header("authorization").unwrap_or_default();
    bearer.trim_start_matches("Bearer ").to_owned()
}

/// Sends the credential back, and backwards, so that the component can know what to look for.
fn echo(request: &Request) -> Reply {
    let key = key_of(request);
    let reply = match request.path() {
        "/header" => Reply::new(200, "[]")
            .header("x-echo", format!("you are {key}"))
            .header("x-key", key.clone()),
        "/link" => Reply::new(200, "[]").next(&format!("{{server}}/items?api_key={key}")),
        "/location" => Reply::new(302, "").header("location", format!("/items?api_key={key}")),
        "/cookie" => Reply::new(200, "[]").header("set-cookie", format!("session={key}")),
        "/body" => Reply::new(200, format!(r#"[{{"seen":"Bearer {key}"}},"{key}"]"#)),
        "/chunks" => Reply::new(200, format!(r#"[{{"seen":"Bearer {key}"}},"{key}"]"#)).chunked(1),
        "/odd-chunks" => Reply::new(200, format!(r#"["{key}{key}","{key}"]"#)).chunked(7),
        "/error" => Reply::new(500, format!("no such user: {key}")),
        "/forbidden" => Reply::new(403, format!(r#"{{"message":"key {key} is not allowed"}}"#)),
        _ => Reply::new(200, "[]"),
    };
    reply.header("x-backwards", key.chars().rev().collect::<String>())
}

/// A run whose component asks for these paths and searches.
fn searched(paths: &[&str]) -> Run {
    let urls: Vec<String> = paths
        .iter()
        .map(|path| format!("{{server}}{path}"))
        .collect();
    let mut job = Job::misbehaving("search-for-the-key")
        .set("SOURCE_ASK", &urls.join(" "))
        .set("AWS_SECRET_ACCESS_KEY", "another-program's-secret")
        .api(echo);

    let run = job.run();

    run.exits(Outcome::Published).asked(paths.len());
    assert!(!run.stdout.contains("another-program's-secret"));
    run
}

/// What the component found, after it was sure of what to look for.
fn found(run: &Run) -> Value {
    let state = run.manifest()["state"]
        .as_str()
        .expect("the state is kept as text")
        .to_owned();
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!(
        state["key_bytes"], 32,
        "the component knows what to look for"
    );
    state["found"].clone()
}

/// These paths echo the key, the component finds nothing of it, and this is published in its place.
fn replaced(paths: &[&str], shown: &str) -> Run {
    let run = searched(paths);

    assert_eq!(found(&run), json!([]));
    assert!(run.after.file("latest.json").unwrap().contains(shown));
    run
}

#[test]
fn an_echo_in_a_header_is_replaced() {
    let run = replaced(
        &["/header", "/link", "/location", "/cookie"],
        "you are REDACTED",
    );

    assert!(
        run.summary()["echoes_redacted"].as_u64() >= Some(4),
        "{}",
        run.summary()
    );
}

#[test]
fn an_echo_in_a_body_is_replaced() {
    replaced(&["/body"], "Bearer REDACTED");
}

#[test]
fn an_echo_across_chunks_is_replaced() {
    replaced(&["/chunks", "/odd-chunks"], "REDACTEDREDACTED");
}

#[test]
fn an_echo_in_the_body_of_an_error_is_replaced() {
    replaced(&["/error", "/forbidden"], "");
}

#[test]
fn an_echo_is_warned_of_once() {
    let run = searched(&["/body", "/header", "/chunks"]);

    let warnings = run.warnings();
    let warnings: Vec<&Value> = warnings
        .iter()
        .filter(|event| event["msg"].as_str().unwrap_or_default().contains("echoed"))
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn a_component_sees_the_settings_it_declared_and_no_secret() {
    let run = searched(&["/header"]);

    let state: Value = serde_json::from_str(run.manifest()["state"].as_str().unwrap()).unwrap();
    let mut names: Vec<&str> = state["environment"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["SOURCE_API_URL", "SOURCE_ASK", "SOURCE_MISBEHAVIOUR"]
    );
}

/// A component that searches finds nothing of a credential that goes out in another way: `sent` reads it from a request.
fn is_not_found(set: impl FnOnce(Job) -> Job, credential: fn(&Request) -> String) {
    let job = Job::misbehaving("search-for-the-key")
        .unset("SOURCE_API_KEY")
        .set("SOURCE_ASK", "{server}/items {server}/error");
    let key = job.key.clone();
    let mut job = set(job).api(move |request| {
        let token = json!({"token": key, "access_token": key, "refresh_token": format!("r-{key}")});
        if ["/token", "/login"].contains(&request.path()) {
            return Reply::new(200, token.to_string());
        }
        let held = credential(request);
        assert_eq!(held, key, "{}", request.target);
        let status = if request.path() == "/error" { 500 } else { 200 };
        Reply::new(status, format!(r#"[{{"seen":"{held}"}},"{held}"]"#))
            .header("x-echo", format!("you are {held}"))
            .next(&format!("{{server}}/items?token={held}"))
            .header("x-backwards", held.chars().rev().collect::<String>())
            .chunked(7)
    });

    let run = job.run();

    run.exits(Outcome::Published);
    assert_eq!(found(&run), json!([]));
    assert!(run.summary()["echoes_redacted"].as_u64() >= Some(6));
}

#[test]
fn a_token_by_refresh_or_password_is_not_found() {
    let oauth2 = |job: Job| {
        job.set("SOURCE_AUTH", "oauth2")
            .set("SOURCE_TOKEN_URL", "{server}/token")
            .set("SOURCE_CLIENT_ID", "tidegate")
    };
    is_not_found(
        |job| {
            let file = job.file("refresh-token", "a-refresh-token-to-begin-with");
            let line = format!("SOURCE_REFRESH_TOKEN_FILE={}", file.display());
            let env = job.file("refresh.env", &line).display().to_string();
            oauth2(job).args(["--env-file", &env])
        },
        key_of,
    );
    is_not_found(
        |job| {
            oauth2(job)
                .set("SOURCE_TOKEN_GRANT", "password")
                .set("SOURCE_API_KEY", "reader:a-password-of-the-reader")
        },
        key_of,
    );
}

#[test]
fn a_session_token_is_not_found() {
    let login = |job: Job| {
        job.set("SOURCE_AUTH", "login")
            .set("SOURCE_LOGIN_URL", "{server}/login")
            .set("SOURCE_LOGIN_BODY", "u={user}&p={password}")
            .set("SOURCE_LOGIN_TOKEN", "/token")
            .set("SOURCE_API_KEY", "reader:a-password-of-the-reader")
    };
    is_not_found(login, key_of);
    is_not_found(
        |job| login(job).set("SOURCE_LOGIN_SEND", "cookie:sid"),
        |request| {
            let cookie = request.header("cookie").unwrap_or_default();
            cookie.trim_start_matches("sid=").to_owned()
        },
    );
}

#[test]
fn a_secret_header_and_a_secret_in_the_query_are_not_found() {
    is_not_found(
        |job| {
            let header = format!("X-Second: {}", job.key);
            job.set("SOURCE_SECRET_HEADERS", &header)
        },
        |request| request.header("x-second").unwrap_or_default().to_owned(),
    );
    is_not_found(
        |job| {
            let secret = job.key.clone();
            job.set("SOURCE_SECRET", &secret)
                .set("SOURCE_API_URL", "{server}/items?key={secret}")
        },
        |request| request.query("key").unwrap_or_default(),
    );
}

#[test]
fn a_session_token_of_aws_is_not_found() {
    is_not_found(
        |job| {
            let key = format!("AKIDEXAMPLE:a-secret-access-key:{}", job.key);
            job.set("SOURCE_AUTH", "aws-sigv4")
                .set("SOURCE_API_KEY", &key)
                .set("SOURCE_AWS_REGION", "eu-west-1")
                .set("SOURCE_AWS_SERVICE", "execute-api")
        },
        |request| {
            let token = request.header("x-amz-security-token");
            token.unwrap_or_default().to_owned()
        },
    );
}

#[test]
fn a_key_that_a_program_prints_is_not_found() {
    is_not_found(
        |job| {
            let file = job.file("key", &job.key).display().to_string();
            job.set("SOURCE_API_KEY_COMMAND", &format!("cat {file}"))
        },
        key_of,
    );
}

#[test]
fn the_search_would_find_a_credential() {
    // Without the host's credential there is nothing to replace: what the source sends is seen, and found.
    static PLANTED: OnceLock<String> = OnceLock::new();
    let planted = PLANTED.get_or_init(|| Job::new().key.clone());
    let mut job = Job::misbehaving("search-for-the-key")
        .unset("SOURCE_API_KEY")
        .set("SOURCE_ASK", "{server}/")
        .api(|_| {
            let planted = PLANTED.get().expect("set before the run");
            let backwards: String = planted.chars().rev().collect();
            Reply::new(200, format!("[\"{planted}\"]")).header("x-backwards", backwards)
        });

    let run = job.run();

    run.exits(Outcome::Published);
    assert_eq!(
        found(&run).as_array().map(Vec::len),
        Some(1),
        "{planted} in {}",
        found(&run)
    );
}

/// The built-in component publishes nothing of the key, which its source echoes in this form and in such chunks.
fn publishes_no_echo(chunk: usize, form: fn(&str) -> String) {
    let mut job = Job::new().api(move |request| {
        let key = form(&key_of(request));
        Reply::new(200, format!(r#"[{{"id":1,"you":"{key}"}}]"#)).chunked(chunk)
    });

    let run = job.run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"id": 1, "you": "REDACTED"}]));
}

#[test]
fn the_built_in_component_publishes_no_echo() {
    publishes_no_echo(11, str::to_owned);
}

#[test]
fn an_echo_whose_characters_are_escaped_is_none_the_less_one() {
    publishes_no_echo(5, |key| {
        let ways: [fn(u32) -> String; 5] = [
            |number| format!("\\u{number:04x}"),
            |number| format!("&#{number};"),
            |number| format!("&amp;#x{number:x};"),
            |number| format!("%25{number:02X}"),
            |number| char::from_u32(number).unwrap_or_default().to_string(),
        ];
        let numbers = key.chars().map(u32::from);
        numbers
            .zip(ways.iter().cycle())
            .map(|(n, way)| way(n))
            .collect()
    });
}

#[test]
fn an_error_that_quotes_an_echo_shows_nothing() {
    let mut job = Job::new().set("SOURCE_PAGINATION", "link").api(|request| {
        let key = key_of(request);
        Reply::new(200, format!("<html>{key}")).next(&format!("{{server}}/{key}?key={key}"))
    });

    job.run().exits(Outcome::ProtocolBroken);
}

#[test]
fn an_echoed_next_link_shows_nothing() {
    let mut job = Job::new()
        .set("SOURCE_PAGINATION", "link")
        .set("MAX_PAGES", "2")
        .api(|request| {
            let key = key_of(request);
            Reply::new(200, format!(r#"[{{"id":"{}"}}]"#, request.target.len()))
                .next(&format!("/{key}/{key}?{key}={key}"))
        });

    let run = job.run();

    run.exits(Outcome::ProtocolBroken).asked(2);
    assert!(
        run.requests[1].target.contains("REDACTED"),
        "{}",
        run.requests[1].target
    );
}

#[test]
fn every_way_to_send_the_credential_hides_it() {
    for (auth, name) in [
        ("bearer", ""),
        ("header", "X-Api-Token"),
        ("query", "token"),
    ] {
        let mut job = Job::new()
            .set("SOURCE_AUTH", auth)
            .set("SOURCE_AUTH_NAME", name)
            .page(404, "{}");
        let key = job.key.clone();

        let run = job.run();

        run.exits(Outcome::SourceRefused);
        let head = String::from_utf8_lossy(&run.requests[0].head).into_owned();
        assert!(
            head.contains(&key),
            "the source was given the credential by {auth}: {head}"
        );
    }
}

#[test]
fn basic_authentication_hides_user_and_password() {
    let job = Job::new();
    let pair = format!("reader:{}", job.key);
    let mut job = job
        .set("SOURCE_AUTH", "basic")
        .set("SOURCE_API_KEY", &pair)
        .api(|request| {
            let sent = request.header("authorization").unwrap_or_default();
            Reply::new(200, format!(r#"[{{"id":1,"you":"{sent}"}}]"#))
        });

    let run = job.run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"id": 1, "you": "Basic REDACTED"}]));
}

#[test]
fn a_credential_in_a_file_is_hidden_too() {
    let job = Job::new();
    let file = job
        .file("key", &format!("{}\n", job.key))
        .display()
        .to_string();
    let mut job = job
        .unset("SOURCE_API_KEY")
        .set("SOURCE_API_KEY_FILE", &file)
        .api(echo);
    job = job.set("SOURCE_API_URL", "{server}/body");

    let run = job.run();

    run.exits(Outcome::GateRefused);
    assert!(run.requests[0].header("authorization").is_some());
}

#[test]
fn staging_holds_no_credential_while_a_run_is_at_work() {
    let mut job = Job::new().set("SOURCE_PAGINATION", "link").api(|request| {
        let key = key_of(request);
        match request.query("page") {
            None => Reply::new(200, format!(r#"[{{"id":1,"you":"{key}"}}]"#))
                .next("{server}/items?page=2"),
            Some(_) => Reply::silence(),
        }
    });

    // The folder is searched after the kill, with the staging folder still in it.
    job.start().has_asked(2).signalled(Signal::KILL).is_killed();
}

#[test]
fn a_credential_typed_in_the_wrong_place_is_hidden() {
    let job = Job::new();
    let wrong = format!("no-such-folder/{}.env", job.key);

    job.args(["--env-file", &wrong])
        .run()
        .exits(Outcome::Settings)
        .stderr_has("no-such-folder/REDACTED.env");
}

#[test]
fn check_describe_and_health_show_no_credential() {
    let mut job = Job::new().page(200, "[]");
    job.run().exits(Outcome::Published);

    job.tidegate(["check"]).exits(0).stdout_has("(secret)");
    job.tidegate(["describe"]).exits(0);
    job.tidegate(["health"]).exits(0);
}
