//! Cursors of times that are written in ways of their own, and the source's clock as a cursor.

mod world;

use world::{Job, page, parameter, with_header};

const DATE: &str = "Mon, 23 Nov 2026 12:00:00 GMT";

fn job(settings: &[(&str, &str)]) -> Job {
    Job::with(&[&[("PRIMARY_KEY", "/id")], settings].concat())
}

/// What the run after one that saw `record` asks with.
fn asked_after(settings: &[(&str, &str)], record: &str) -> String {
    let job = job(settings);
    let body = format!("[{record}]");
    let first = job.run(|_| with_header(page(&body), "date", DATE));
    let state = first.report().state.clone();
    let second = job
        .after(&state)
        .run(|_| with_header(page(&body), "date", DATE));
    assert_eq!(second.report().staged, 1);
    second.parameters("since").concat()
}

#[test]
fn a_cursor_of_any_form_is_asked_from_again() {
    let to = ("SOURCE_CURSOR_TO", "since");
    let at = ("SOURCE_CURSOR", "/at");
    let send = |form| ("SOURCE_CURSOR_SEND", form);
    let form = |form| ("SOURCE_CURSOR_FORMAT", form);

    let sql = asked_after(
        &[
            at,
            to,
            ("SOURCE_CURSOR_KIND", "rfc3339"),
            send("%Y-%m-%d %H:%M:%S"),
        ],
        r#"{"id":1,"at":"2024-01-05T10:00:00Z"}"#,
    );
    let microsoft = asked_after(
        &[at, to, ("SOURCE_CURSOR_KIND", "ms-json"), send("rfc2822")],
        r#"{"id":1,"at":"\/Date(1576107758447+0000)\/"}"#,
    );
    let detected = asked_after(
        &[at, to],
        r#"{"id":1,"at":"Mon, 05 Jan 2026 10:00:00 +0100"}"#,
    );
    let days = asked_after(&[at, to, form("%d/%m/%Y")], r#"{"id":1,"at":"01/02/2026"}"#);
    let local = asked_after(
        &[
            at,
            to,
            form("%d.%m.%Y %H:%M"),
            ("SOURCE_CURSOR_ZONE", "Europe/Berlin"),
        ],
        r#"{"id":1,"at":"01.02.2026 00:03"}"#,
    );
    let suffixed = asked_after(
        &[at, to],
        r#"{"id":1,"at":"2026-01-01T00:00:00+01:00[Europe/Berlin]"}"#,
    );

    assert_eq!(sql, "2024-01-05 09:55:00");
    assert_eq!(microsoft, "Wed, 11 Dec 2019 23:37:38 GMT");
    assert_eq!(detected, "Mon, 05 Jan 2026 09:55:00 +0100");
    assert_eq!(days, "31/01/2026");
    assert_eq!(local, "31.01.2026 23:58");
    assert_eq!(suffixed, "2025-12-31T23:55:00+01:00");
}

#[test]
fn times_of_a_form_are_compared_as_instants() {
    let job = job(&[
        ("SOURCE_CURSOR", "/at"),
        ("SOURCE_CURSOR_FORMAT", "%d/%m/%Y"),
        ("SOURCE_CURSOR_ORDER", "asc"),
    ]);

    let run = job.run(|_| page(r#"[{"id":1,"at":"31/01/2026"},{"id":2,"at":"01/02/2026"}]"#));
    let wrong = job.run(|_| page(r#"[{"id":2,"at":"01/02/2026"},{"id":1,"at":"31/01/2026"}]"#));

    assert_eq!(run.report().cursor.as_deref(), Some("01/02/2026"));
    assert!(run.report().state.contains("format %d/%m/%Y"));
    assert!(
        wrong
            .failure()
            .to_string()
            .contains("SOURCE_CURSOR_ORDER is `asc`")
    );
}

#[test]
fn another_form_than_that_of_the_state_is_refused() {
    let with = |form| job(&[("SOURCE_CURSOR", "/at"), ("SOURCE_CURSOR_FORMAT", form)]);
    let first = with("%d/%m/%Y").run(|_| page(r#"[{"id":1,"at":"01/02/2026"}]"#));

    let second = with("%m/%d/%Y")
        .after(&first.report().state)
        .run(|_| page("[]"));

    assert!(
        second
            .failure()
            .to_string()
            .contains("the published state has `format %d/%m/%Y`")
    );
}

fn clock(more: &[(&str, &str)]) -> Job {
    let fixed = [
        ("SOURCE_CURSOR_KIND", "clock"),
        ("SOURCE_CURSOR_TO", "since"),
    ];
    job(&[&fixed, more].concat())
}

#[test]
fn a_clock_goes_on_where_the_source_was_when_it_was_asked() {
    let rows = || with_header(page(r#"[{"id":1},{"id":2}]"#), "date", DATE);
    let first = clock(&[]).run(|_| rows());
    let state = first.report().state.clone();
    let second = clock(&[])
        .after(&state)
        .run(|_| with_header(page("[]"), "date", "Mon, 23 Nov 2026 12:30:00 GMT"));
    let third = clock(&[])
        .after(&state)
        .run(|_| with_header(page("[]"), "date", "Mon, 23 Nov 2026 11:00:00 GMT"));

    assert_eq!(first.parameters("since"), [""]);
    assert_eq!(first.report().staged, 2);
    assert_eq!(
        first.report().cursor.as_deref(),
        Some("2026-11-23T12:00:00Z")
    );
    // An answer without records needs no second question.
    assert_eq!(second.parameters("since"), ["2026-11-23T11:55:00Z"]);
    // Our clock says noon, and the source's is believed for five minutes more.
    assert_eq!(
        second.report().cursor.as_deref(),
        Some("2026-11-23T12:05:00Z")
    );
    // It never goes back.
    assert_eq!(
        third.report().cursor.as_deref(),
        Some("2026-11-23T12:00:00Z")
    );
}

#[test]
fn without_a_date_the_clock_is_ours_less_ten_minutes() {
    let run = clock(&[
        ("SOURCE_CURSOR_SEND", "%F %T"),
        ("SOURCE_CURSOR_START", "2026-11-01"),
    ])
    .run(|_| page(r#"[{"id":1}]"#));

    assert_eq!(run.parameters("since"), ["2026-11-01 00:00:00"]);
    assert_eq!(run.report().cursor.as_deref(), Some("2026-11-23T11:50:00Z"));
}

#[test]
fn windows_of_a_clock_follow_each_other_up_to_now() {
    let windows = [
        ("SOURCE_CURSOR_START", "2026-11-01"),
        ("SOURCE_CURSOR_END_TO", "until"),
        ("SOURCE_WINDOW", "10d"),
    ];
    let job = clock(&windows);
    let mut asked = Vec::new();
    let run = job.run(|url| {
        asked.push((parameter(url, "since").unwrap(), parameter(url, "until")));
        let id = asked.len();
        with_header(page(&format!(r#"[{{"id":{id}}}]"#)), "date", DATE)
    });

    assert_eq!(run.report().staged, 3);
    assert_eq!(run.report().cursor.as_deref(), Some("2026-11-23T12:00:00Z"));
    let ends: Vec<_> = asked.iter().map(|(_, end)| end.as_deref()).collect();
    assert_eq!(
        ends,
        [
            Some("2026-11-11T00:00:00Z"),
            Some("2026-11-21T00:00:00Z"),
            None
        ]
    );
}

#[test]
fn a_range_of_a_clock_needs_a_place_for_its_end() {
    let range = |more: &[(&str, &str)]| {
        let mut job = clock(more);
        job.request.window = Some(tidegate_guest::Window {
            start: "2026-11-01".to_owned(),
            end: "2026-11-02".to_owned(),
        });
        job.run(|_| page(r#"[{"id":1}]"#))
    };

    assert!(
        range(&[])
            .failure()
            .to_string()
            .contains("needs SOURCE_CURSOR_END_TO")
    );
    let read = range(&[("SOURCE_CURSOR_END_TO", "until")]);
    assert_eq!(
        (read.parameters("since"), read.parameters("until")),
        (vec!["2026-11-01".to_owned()], vec!["2026-11-02".to_owned()])
    );
}
