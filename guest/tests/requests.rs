//! How requests are made: methods, forms, and values that go into headers.

mod world;

use tidegate_guest::Extent;
use tidegate_guest::ports::Method;
use world::{Job, page, status, with_header};

#[test]
fn a_form_takes_page_and_cursor() {
    let job = Job::with(&[
        ("SOURCE_BODY", "status=open&q=since:{cursor}&page=9"),
        ("SOURCE_BODY_FORMAT", "form"),
        ("SOURCE_RECORDS", "/items"),
        ("SOURCE_PAGINATION", "page"),
        ("SOURCE_PAGE_TO", "form:page"),
        ("SOURCE_PAGE_SIZE_TO", "form:size"),
        ("SOURCE_PAGE_SIZE", "2"),
        ("SOURCE_PAGE_MORE", "/more"),
        ("SOURCE_CURSOR", "/at"),
        ("SOURCE_CURSOR_START", "2026-01-01T00:00:00Z"),
    ]);

    let run = job.run_with(|request| {
        assert!(
            request
                .headers
                .iter()
                .any(|(name, value)| name == "content-type"
                    && value == "application/x-www-form-urlencoded")
        );
        let body = request.body.as_deref().unwrap();
        page(if body.contains("&page=1&") {
            r#"{"items":[{"at":"2026-11-23T06:00:00Z"},{"at":"2026-11-23T07:00:00Z"}],"more":true}"#
        } else {
            r#"{"items":[{"at":"2026-11-23T08:00:00Z"}],"more":false}"#
        })
    });

    assert_eq!(run.report().staged, 3);
    let bodies: Vec<&str> = run.posted.iter().flatten().map(String::as_str).collect();
    assert_eq!(
        bodies,
        [
            "status=open&q=since:2026-01-01T00%3A00%3A00Z&page=1&size=2",
            "status=open&q=since:2026-01-01T00%3A00%3A00Z&page=2&size=2",
        ]
    );
}

#[test]
fn a_token_may_go_into_a_header_and_back() {
    let job = Job::with(&[
        ("SOURCE_PAGINATION", "token"),
        ("SOURCE_PAGE_FROM", "header:X-Next"),
        ("SOURCE_PAGE_TO", "header:X-Continue"),
    ]);

    let run = job.run_with(|request| {
        let sent = request
            .headers
            .iter()
            .find(|(name, _)| name == "x-continue");
        match sent.map(|(_, value)| value.as_str()) {
            None => with_header(page(r#"[{"id":1}]"#), "x-next", "b"),
            Some("b") => with_header(page(r#"[{"id":2}]"#), "x-next", "c"),
            Some(_) => page(r#"[{"id":3}]"#),
        }
    });

    assert_eq!(run.report().staged, 3);
    assert_eq!(run.asked, ["https://x.example/o"; 3]);
}

#[test]
fn a_304_to_a_cursor_in_a_header_says_that_nothing_changed() {
    let job = Job::with(&[
        ("SOURCE_CURSOR", "/at"),
        ("SOURCE_CURSOR_TO", "header:If-Modified-Since"),
        ("PRIMARY_KEY", "/id"),
    ]);
    let since = |request: &tidegate_guest::ports::Request| {
        let sent = request
            .headers
            .iter()
            .find(|(name, _)| name == "if-modified-since");
        sent.map(|(_, value)| value.clone())
    };

    let row = r#"[{"id":1,"at":"2026-11-23T06:00:00Z"}]"#;
    let first = job.run_with(|request| {
        assert_eq!(since(request), None);
        page(row)
    });
    let state = first.report().state.clone();
    let second = job.after(&state).run_with(|request| {
        let date = "Mon, 23 Nov 2026 05:55:00 GMT";
        assert_eq!(since(request).as_deref(), Some(date));
        status(304)
    });

    // It reads the header: nothing more is asked.
    assert_eq!(second.asked.len(), 1);
    assert_eq!(second.report().extent, Extent::NothingNew);
    assert_eq!(second.report().state, state);
}

#[test]
fn a_304_where_there_is_nothing_to_be_the_same_as_is_refused() {
    let job = Job::with(&[
        ("SOURCE_CURSOR", "/at"),
        ("SOURCE_CURSOR_TO", "header:If-Modified-Since"),
        ("SOURCE_CURSOR_START", "2026-01-01T00:00:00Z"),
    ]);

    let run = job.run(|_| status(304));

    assert!(
        run.failure()
            .to_string()
            .contains("does not go on from another")
    );
}

#[test]
fn a_304_on_a_later_page_is_no_end() {
    let job = Job::with(&[
        ("SOURCE_CURSOR", "/at"),
        ("SOURCE_CURSOR_TO", "header:If-Modified-Since"),
        ("SOURCE_PAGINATION", "link"),
    ]);
    let row = r#"[{"id":1,"at":"2026-11-23T06:00:00Z"}]"#;
    let first = job.run(|_| page(row));

    let second = job.after(&first.report().state).run(|url| {
        if url.ends_with("/p2") {
            return status(304);
        }
        with_header(page(row), "link", "</p2>; rel=\"next\"")
    });

    assert!(
        second
            .failure()
            .to_string()
            .contains("answered 304 on page 2")
    );
}

#[test]
fn conditions_are_no_headers_of_the_settings() {
    let job = Job::with(&[("SOURCE_HEADERS", "If-None-Match: \"a\"")]);

    let run = job.run(|_| status(304));

    assert!(
        run.failure()
            .to_string()
            .contains("would let the answer 304")
    );
}

#[test]
fn a_value_that_no_header_can_carry_is_refused() {
    let job = Job::with(&[
        ("SOURCE_PAGINATION", "token"),
        ("SOURCE_RECORDS", "/items"),
        ("SOURCE_PAGE_FROM", "/next"),
        ("SOURCE_PAGE_TO", "header:X-Continue"),
    ]);

    let run = job.run(|_| page(r#"{"items":[{"id":1}],"next":"a\r\nHost: b"}"#));

    assert!(run.failure().to_string().contains("cannot carry a value"));
}

#[test]
fn a_get_may_have_a_body_and_a_post_none() {
    let with_body = Job::with(&[("SOURCE_METHOD", "GET"), ("SOURCE_BODY", "{}")]);
    let without = Job::with(&[("SOURCE_METHOD", "POST")]);

    let got = with_body.run(|_| page("[]"));
    let posted = without.run(|_| page("[]"));

    assert_eq!(
        (got.sent[0].method, got.posted[0].as_deref()),
        (Method::Get, Some("{}"))
    );
    assert_eq!(
        (posted.sent[0].method, posted.posted[0].as_deref()),
        (Method::Post, None)
    );
}

#[test]
fn a_token_that_no_header_can_carry_is_not_kept() {
    let job = Job::with(&[
        ("SOURCE_RECORDS", "/items"),
        ("SOURCE_CURSOR", "/sync"),
        ("SOURCE_CURSOR_KIND", "token"),
        ("SOURCE_CURSOR_PAGE", "last"),
        ("SOURCE_CURSOR_TO", "header:X-Sync"),
    ]);

    let run = job.run(|_| page(r#"{"items":[{"id":1}],"sync":"\u00e9"}"#));

    assert!(run.failure().to_string().contains("no header can carry"));
}
