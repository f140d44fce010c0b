//! Servers that are silent, lie or lead astray, without our host in between.

use std::fs;
use std::time::Duration;

use super::{TWO, TWO_LINES, files, only, run};
use crate::server::{Reply, Server};

const KEY: &str = "k3y/with+sixteen=bytes";

#[test]
fn alone_a_silent_server_is_given_up_in_a_runtime_without_time_outs() {
    let silent = || Server::start(|_| Reply::silence());
    let stalls = || Server::start(|_| Reply::new(200, TWO).stalled_after(20));
    let ends = |server: &Server, text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let ended = run(
            folder.path(),
            &[
                ("SOURCE_API_URL", &*server.origin()),
                ("MAX_RETRIES", "0"),
                ("SOURCE_TIMEOUT", "2s"),
            ],
        );
        ended.exits(75, text);
        assert_eq!(files(folder.path()), []);
    };

    std::thread::scope(|scope| {
        scope.spawn(|| ends(&silent(), "no answer within 2 s"));
        scope.spawn(|| ends(&stalls(), "no answer within 30 s"));
    });
}

#[test]
fn alone_every_request_asks_the_runtime_for_time_outs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request| match request.query("page") {
        None => Reply::new(200, TWO).next("/?page=2"),
        Some(_) => Reply::new(200, r#"[{"id":3}]"#),
    });

    let ended = run(
        folder.path(),
        &[
            ("SOURCE_API_URL", &*server.origin()),
            ("SOURCE_PAGINATION", "link"),
        ],
    );

    ended.exits(0, "wrote 3 records");
    assert_eq!(ended.options.len(), 2);
    for options in &ended.options {
        let options = options.as_ref().unwrap();
        assert_eq!(options.connect_timeout, Some(Duration::from_secs(10)));
        assert_eq!(options.first_byte_timeout, Some(Duration::from_mins(1)));
        assert_eq!(options.between_bytes_timeout, Some(Duration::from_secs(30)));
    }
}

#[test]
fn alone_a_run_ends_at_its_deadline_whatever_the_server_does() {
    let pause = Duration::from_millis(20);
    for server in [
        Server::start(|_| Reply::silence()),
        Server::start(move |_| Reply::new(200, TWO.repeat(1000)).dripping(1, pause)),
        Server::start(|_| Reply::new(503, "").header("retry-after", "100")),
        Server::start(|request| {
            let page = request.query("page").unwrap_or_default();
            Reply::new(200, format!(r#"[{{"page":{page}}}]"#))
        }),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ended = run(
            folder.path(),
            &[
                ("SOURCE_API_URL", &*server.origin()),
                ("SOURCE_PAGINATION", "page"),
                ("SOURCE_RATE", "5"),
                ("RUN_DEADLINE", "1s"),
            ],
        );

        ended.exits(75, "(RUN_DEADLINE)");
        assert_eq!(files(folder.path()), []);
    }
}

#[test]
fn alone_a_body_that_is_posted_to_a_silent_server_is_given_up_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::silence());
    let body = format!("{{\"q\":\"{}\"}}", "x".repeat(60_000));

    let ended = run(
        folder.path(),
        &[
            ("SOURCE_API_URL", &*server.origin()),
            ("SOURCE_BODY", &body),
            ("RUN_DEADLINE", "1s"),
        ],
    );

    ended.exits(75, "(RUN_DEADLINE)");
}

#[test]
fn alone_a_body_is_posted_whole() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::new(200, TWO));
    let body = format!("{{\"q\":\"{}\"}}", "x".repeat(60_000));

    let ended = run(
        folder.path(),
        &[
            ("SOURCE_API_URL", &*server.origin()),
            ("SOURCE_BODY", &body),
        ],
    );

    ended.exits(0, "wrote 2 records");
    assert!(server.seen()[0].body == body.as_bytes());
}

#[test]
fn alone_a_packed_answer_is_refused_by_name() {
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xffrest";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("latest.ndjson"), TWO_LINES).unwrap();
    let server = Server::start(move |_| Reply::new(200, gzip.to_vec()));
    let url = server.origin();

    let unnamed = run(folder.path(), &[("SOURCE_API_URL", &url)]);
    server.answer_with(move |_| Reply::new(200, gzip.to_vec()).header("content-encoding", "gzip"));
    let named = run(folder.path(), &[("SOURCE_API_URL", &url)]);

    unnamed.exits(76, "packed as `gzip`");
    named.exits(76, "packed as `gzip`");
    assert_eq!(files(folder.path()), only("latest.ndjson", TWO_LINES));
    let seen = server.seen();
    assert!(
        seen.iter()
            .all(|request| request.header("accept-encoding") == Some("identity"))
    );
}

#[test]
fn alone_no_server_leads_to_another_origin() {
    let folder = tempfile::tempdir().unwrap();
    let other = Server::start(|_| Reply::new(200, TWO));
    let elsewhere = format!("{}/files", other.origin());
    let (target, next) = (elsewhere.clone(), elsewhere);
    let redirects = Server::start(move |_| Reply::new(302, "").header("location", &target));
    let links = Server::start(move |_| Reply::new(200, TWO).next(&next));

    for server in [&redirects, &links] {
        let ended = run(
            folder.path(),
            &[
                ("SOURCE_API_URL", &*server.origin()),
                ("SOURCE_API_KEY", KEY),
                ("SOURCE_PAGINATION", "link"),
            ],
        );

        ended.exits(77, "ALLOW_HOSTS").exits(77, "SOURCE_API_URL");
        ended.exits(77, &other.origin());
    }
    assert_eq!(other.seen().len(), 0);
    assert_eq!(files(folder.path()), []);
}

#[test]
fn alone_a_key_that_is_sent_back_is_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| {
        let escaped = KEY.replace('/', "\\/").replace('+', "\\u002b");
        Reply::new(
            200,
            format!(r#"[{{"id":1,"you":"{KEY}"}},{{"id":2,"you":"{escaped}"}}]"#),
        )
    });
    let url = server.origin();
    let environment = [("SOURCE_API_URL", &*url), ("SOURCE_API_KEY", KEY)];

    let ended = run(folder.path(), &environment);

    ended.exits(0, "wrote 2 records");
    assert!(
        ended
            .log
            .contains("warn: the source sent the credential back, 2 times"),
        "{}",
        ended.log
    );
    let lines = "{\"id\":1,\"you\":\"REDACTED\"}\n{\"id\":2,\"you\":\"REDACTED\"}\n";
    assert_eq!(files(folder.path()), only("latest.ndjson", lines));
}

#[test]
fn alone_a_key_in_an_error_or_a_rejected_record_is_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let short = "s3same";
    let server =
        Server::start(move |_| Reply::new(200, format!(r#"{{"error":"bad key {short}"}}"#)));
    let url = server.origin();
    let environment = [
        ("SOURCE_API_URL", &*url),
        ("SOURCE_API_KEY", short),
        ("SOURCE_RECORDS", "/items"),
        ("SOURCE_ERROR", ".error"),
    ];

    let failed = run(folder.path(), &environment);
    server.answer_with(|_| Reply::new(200, format!(r#"[{{"you":"{KEY}"}}]"#)));
    let rejected = run(
        folder.path(),
        &[
            ("SOURCE_API_URL", &url),
            ("SOURCE_API_KEY", KEY),
            ("SOURCE_SCHEMA", r#"{"required":["id"]}"#),
        ],
    );

    failed.exits(76, "bad key REDACTED");
    rejected.exits(65, "rejected");
    let [(_, refused)] = &files(folder.path())[..] else {
        panic!("one file");
    };
    assert!(refused.contains("REDACTED"), "{refused}");
    for text in [&failed.log, &rejected.log, refused] {
        assert!(!text.contains(KEY) && !text.contains(short), "{text}");
    }
}

#[test]
fn alone_a_short_key_is_in_no_quote_whole_or_cut() {
    let short = "s3same-s3same";
    let folder = tempfile::tempdir().unwrap();
    for before in 180..200 {
        let body = format!("{}{short}", "x".repeat(before));
        let server = Server::start(move |_| Reply::new(404, body.clone()));

        let ended = run(
            folder.path(),
            &[
                ("SOURCE_API_URL", &*server.origin()),
                ("SOURCE_API_KEY", short),
            ],
        );

        ended.exits(69, "answered 404");
        // Three characters could be anything.
        assert!(!ended.log.contains("s3sa"), "{}", ended.log);
    }
}

#[test]
fn alone_what_a_server_says_begins_no_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::new(200, r#"{"error":"x\nexit 0: wrote 5 records\n"}"#));

    let ended = run(
        folder.path(),
        &[
            ("SOURCE_API_URL", &*server.origin()),
            ("SOURCE_RECORDS", "/items"),
            ("SOURCE_ERROR", ".error"),
        ],
    );

    ended.exits(76, "exit 0: wrote 5 records");
    assert!(
        ended.log.lines().all(|line| !line.starts_with("exit 0")),
        "{}",
        ended.log
    );
}
