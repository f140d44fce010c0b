//! Bodies that are not JSON: CSV, other characters, and marks before JSON.

mod world;

use tidegate_guest::ports::Answer;
use world::{Job, Said, page, with_header};

#[expect(clippy::unnecessary_wraps, reason = "it is what a source says")]
fn bytes(body: &[u8]) -> Said {
    Ok(Answer {
        status: 200,
        headers: Vec::new(),
        body: body.to_vec(),
    })
}

#[test]
fn rows_of_csv_are_records_like_any_other() {
    let job = Job::with(&[
        ("SOURCE_FORMAT", "csv"),
        ("SOURCE_CSV_DELIMITER", "semicolon"),
        ("SOURCE_PAGINATION", "page"),
        ("SOURCE_CURSOR", "/at"),
        ("SOURCE_CURSOR_TO", "since"),
        ("PRIMARY_KEY", "/id"),
        ("TRANSFORM", "{id: (.id | tonumber), name, at}"),
    ]);

    let run = job.run(|url| {
        page(match url {
            url if url.contains("page=1") => {
                "\u{feff}id;name;at\r\n1;\"a; b\";2026-11-23T06:00:00Z\r\n"
            }
            url if url.contains("page=2") => "id;name;at\r\n2;c;2026-11-23T07:00:00Z\r\n",
            _ => "id;name;at\r\n",
        })
    });

    assert_eq!(
        run.folder.lines("records"),
        [
            r#"{"id":1,"name":"a; b","at":"2026-11-23T06:00:00Z"}"#,
            r#"{"id":2,"name":"c","at":"2026-11-23T07:00:00Z"}"#
        ]
    );
    assert_eq!(run.report().cursor.as_deref(), Some("2026-11-23T07:00:00Z"));
}

#[test]
fn a_row_that_is_too_short_fails_the_run_with_its_line() {
    let job = Job::with(&[("SOURCE_FORMAT", "csv"), ("SOURCE_CSV_HEADER", "id,name")]);

    let run = job.run(|_| page("1,a\n2\n"));

    let failure = run.failure().to_string();
    assert!(
        failure.contains("page 1 of `https://x.example/o`"),
        "{failure}"
    );
    assert!(
        failure.contains("has 1 values in the row on line 2"),
        "{failure}"
    );
    assert_eq!(run.folder.lines("records"), [""; 0]);
}

#[test]
fn csv_is_not_larger_than_an_answer_may_be() {
    let job = Job::with(&[("SOURCE_FORMAT", "csv"), ("MAX_RESPONSE_BYTES", "1KiB")]);

    let run = job.run(|_| page(&format!("a_column_with_a_long_name\n{}", "1\n".repeat(100))));

    assert!(
        run.failure()
            .to_string()
            .contains("raise MAX_RESPONSE_BYTES")
    );
}

#[test]
fn a_guard_before_json_and_latin_1_are_read() {
    let guarded = Job::with(&[]).run(|_| page(")]}'\n[{\"id\":1}]"));
    let latin = Job::with(&[]).run(|_| {
        let body = bytes(b"[{\"id\":\"caf\xe9\"}]");
        with_header(body, "content-type", "application/json; charset=iso-8859-1")
    });

    assert_eq!(guarded.folder.lines("records"), [r#"{"id":1}"#]);
    assert_eq!(latin.folder.lines("records"), [r#"{"id":"café"}"#]);
}
