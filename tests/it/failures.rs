//! The line of a failed run: which job, which code, what the source said, and what to change.

use std::net::TcpListener;

use tidegate::outcome::Outcome;

use crate::server::{Reply, Server};
use crate::world::Job;

/// Shorter than what is replaced in bodies.
const SHORT_KEY: &str = "k3y-0f-ten";

fn orders() -> Job {
    Job::new().set("JOB_NAME", "orders")
}

/// The line of a run that got this one answer.
#[track_caller]
fn after(reply: Reply, outcome: Outcome) -> String {
    let run = orders().set("MAX_RETRIES", "0").reply(reply).run();
    run.exits(outcome);
    run.stderr.clone()
}

#[test]
fn the_line_begins_with_the_job_and_the_exit_code() {
    let run = orders().page(404, "").run();

    run.exits(Outcome::SourceRefused);
    assert!(
        run.stderr
            .starts_with("tidegate: orders: exit 69: `http://"),
        "{}",
        run.stderr
    );
}

#[test]
fn other_commands_name_the_job_too() {
    let job = orders().unset("SOURCE_API_URL");

    let begins = "tidegate: orders: exit 78: ";
    for printed in [
        job.tidegate(["check"]),
        job.tidegate(["preview"]),
        job.tidegate(["health", "--max-age", "never"]),
    ] {
        let begins = begins.replace("78", &printed.code.expect("a code").to_string());
        assert!(printed.stderr.starts_with(&begins), "{}", printed.stderr);
    }
}

#[test]
fn a_refusal_quotes_the_answer() {
    for (status, outcome) in [
        (400, Outcome::SourceRefused),
        (401, Outcome::Denied),
        (403, Outcome::Denied),
        (404, Outcome::SourceRefused),
        (422, Outcome::SourceRefused),
        (429, Outcome::TryLater),
        (503, Outcome::TryLater),
    ] {
        let line = after(
            Reply::new(status, "{\"error\":\n \"no such \u{1b}[2Jview\"}"),
            outcome,
        );

        let quoted =
            format!("answered {status} on page 1: `{{\"error\": \"no such \\u{{1b}}[2Jview\"}}`");
        assert!(line.contains(&quoted), "{line}");
    }
}

#[test]
fn a_source_error_quotes_the_answer() {
    let run = orders()
        .set("SOURCE_ERROR", ".error")
        .page(200, r#"{"error":"quota","code":80004}"#)
        .run();

    run.exits(Outcome::ProtocolBroken)
        .stderr_has(r#"SOURCE_ERROR says `quota`: `{"error":"quota","code":80004}`"#);
}

#[test]
fn what_is_not_json_is_named_with_its_content_type() {
    let page = |body: &[u8], kind: &str| {
        let reply = Reply::new(200, body).header("content-type", kind);
        after(reply, Outcome::ProtocolBroken)
    };

    let html = page(b"<!doctype html><title>Log in</title>", "text/html");
    let gzip = page(b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "application/a-gzip");
    let zip = page(b"PK\x03\x04\x14\0", "application/zip");
    let csv = page(b"id,name\n1,a\n2,b\n", "text/csv");
    let xml = page(b"<?xml version=\"1.0\"?><rows/>", "application/xml");
    let text = page(b"no", "text/plain");

    for (line, named) in [
        (
            html,
            "it looks like HTML, titled `Log in` (Content-Type `text/html`)",
        ),
        (gzip, "its gzip is damaged: unexpected end of file"),
        (zip, "its zip is damaged: it ends before its end"),
        (
            csv,
            "it looks like csv (Content-Type `text/csv`): set SOURCE_FORMAT=csv; it begins with `id,name 1,a 2,b`",
        ),
        (
            xml,
            "it looks like XML (Content-Type `application/xml`): set SOURCE_FORMAT=xml; it begins with `<?xml version=\"1.0\"?><rows/>`",
        ),
        (text, "(Content-Type `text/plain`); it begins with `no`"),
    ] {
        assert!(line.contains(named), "{line}");
    }
}

#[test]
fn an_echoed_key_is_in_no_quote_whole_or_cut() {
    // Of the last one four characters are in the quote; fewer tell nothing.
    for before in [0, 150, 193, 196] {
        for status in [200, 400] {
            let body = format!("{}{SHORT_KEY} is not valid", "x".repeat(before));
            let run = orders()
                .set("SOURCE_API_KEY", SHORT_KEY)
                .page(status, &body)
                .run();

            assert_ne!(run.code, Some(0));
            let shown = &run.stderr;
            assert!(shown.contains("REDACTED"), "{shown}");
            assert!(
                !shown.contains(&SHORT_KEY[..4]) && !run.stdout.contains(&SHORT_KEY[..4]),
                "{shown}"
            );
        }
    }
}

#[test]
fn a_401_says_which_credential_was_sent_or_that_none_was() {
    let job = || orders().page(401, "{}");

    job()
        .unset("SOURCE_API_KEY")
        .run()
        .exits(Outcome::Denied)
        .stderr_has("; no credential was sent: set SOURCE_API_KEY;");
    job()
        .run()
        .exits(Outcome::Denied)
        .stderr_has("check SOURCE_API_KEY (environment) and SOURCE_AUTH");

    // It is read again after a 401, and is the same.
    let by_file = job().unset("SOURCE_API_KEY");
    let key = by_file.file("key", "a-key-of-the-file");
    by_file
        .set("SOURCE_API_KEY_FILE", &key.display().to_string())
        .run()
        .exits(Outcome::Denied)
        .stderr_has(&format!(
            "check SOURCE_API_KEY (file {}) and SOURCE_AUTH",
            key.display()
        ));
}

#[test]
fn a_redirect_to_another_origin_says_where_it_leads_and_what_to_set() {
    let elsewhere = Server::start(|_| Reply::new(200, "[]"));
    let moved = format!("{}/v2/items", elsewhere.origin());

    let run = orders()
        .reply(Reply::new(301, "").header("location", &*moved))
        .run();

    run.exits(Outcome::Denied)
        .stderr_has("/items` redirects page 1 to `")
        .stderr_has(&format!(
            "to `{moved}`: if the API has moved, set SOURCE_API_URL to the new URL"
        ))
        .stderr_has("not in `ALLOW_HOSTS`");
    assert!(elsewhere.seen().is_empty());
}

#[test]
fn a_source_that_is_not_there_says_why() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();

    let run = orders()
        .set("MAX_RETRIES", "0")
        .set("SOURCE_API_URL", &format!("http://{gone}/items"))
        .run();

    run.exits(Outcome::TryLater).stderr_has(&format!(
        "exit 75: cannot reach `http://{gone}/items` for page 1: no connection (Connection refused (os error 111))"
    ));
}

#[test]
fn an_answer_that_is_cut_off_says_how() {
    let run = orders()
        .set("MAX_RETRIES", "0")
        .reply(Reply::new(200, r#"[{"id":1},{"id":2}]"#).cut_after(10))
        .run();

    run.exits(Outcome::ProtocolBroken)
        .stderr_has("exit 76: cannot read page 1 of `http://")
        .stderr_has("(the answer broke off after 10 bytes: ");
}

#[test]
fn a_405_says_that_source_body_made_it_a_post() {
    let run = orders().set("SOURCE_BODY", "{}").page(405, "").run();

    run.exits(Outcome::SourceRefused)
        .stderr_has("SOURCE_BODY makes the request a POST");
}

#[test]
fn a_cursor_that_is_missing_lists_the_members_that_there_are() {
    let run = Job::upsert()
        .page(
            200,
            r#"[{"id":1,"updated_at":"2026-01-01T00:00:00Z","a/b":2}]"#,
        )
        .run();

    run.exits(Outcome::GateRefused)
        .stderr_has("`/updated` (SOURCE_CURSOR)")
        .stderr_has("; the record has `/a~1b`, `/id`, `/updated_at`");
}
