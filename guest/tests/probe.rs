//! The first look at a source: what is found in the answers of known APIs, and that what is suggested can be pasted.

mod world;

use std::rc::Rc;

use tidegate_guest::probe::{Sighting, look};
use world::{Job, NOON, Source, Time, page, with_header};

/// What a look at a source with this answer shows.
fn seen(
    settings: &[(&str, &str)],
    say: impl FnMut(&tidegate_guest::ports::Request) -> world::Said,
) -> Sighting {
    let mut http = Source {
        say,
        asked: Vec::new(),
        begun: Vec::new(),
        begun_max: 0,
        parallel: 1,
        answer_ms: 0,
        spent_ms: Rc::default(),
    };
    let mut clock = Time {
        unix_seconds: NOON,
        slept_ms: 0,
        spent_ms: Rc::default(),
        log: Vec::new(),
    };
    let seen = look(&Job::with(settings).settings, &mut http, &mut clock).unwrap();
    assert_eq!(http.asked.len(), 1, "one request is made");
    seen
}

fn lines(seen: &Sighting) -> Vec<String> {
    let lines = seen.suggestions.iter();
    lines
        .map(|line| format!("{}={}", line.name, line.value))
        .collect()
}

fn finding<'s>(seen: &'s Sighting, topic: &str) -> &'s str {
    let mut findings = seen.findings.iter();
    findings
        .find(|finding| finding.topic == topic)
        .map_or("", |finding| &finding.found)
}

#[test]
fn an_envelope_with_a_next_url_is_understood() {
    let body = r#"{"meta":{"x":1},"items":[{"id":1,"updated_at":"2026-11-23T06:00:00Z"},
        {"id":2,"updated_at":"2026-11-23T07:00:00Z"}],"links":{"next":"/o?page=2"}}"#;

    let seen = seen(&[], |_| page(body));

    assert_eq!(
        lines(&seen),
        [
            "SOURCE_RECORDS=/items",
            "SOURCE_PAGINATION=next-url",
            "SOURCE_PAGE_FROM=/links/next",
            "PRIMARY_KEY=/id",
            "SOURCE_CURSOR=/updated_at"
        ]
    );
    assert_eq!(finding(&seen, "records"), "2 records at `/items`");
    assert_eq!(
        seen.first_record.as_deref(),
        Some(r#"{"id":1,"updated_at":"2026-11-23T06:00:00Z"}"#)
    );
    assert_eq!(
        seen.next_request.as_deref(),
        Some("GET https://x.example/o?page=2")
    );
}

#[test]
fn a_link_header_and_an_array_need_one_line() {
    let seen = seen(&[], |_| {
        with_header(page(r#"[{"a":1}]"#), "link", "<?page=2>; rel=\"next\"")
    });

    assert_eq!(lines(&seen), ["SOURCE_PAGINATION=link"]);
    assert_eq!(
        seen.next_request.as_deref(),
        Some("GET https://x.example/o?page=2")
    );
}

#[test]
fn a_header_that_names_the_next_page_is_seen() {
    let seen = seen(&[], |_| {
        let next = "https://x.example/o?_token=abc";
        with_header(page(r#"[{"a":1}]"#), "next-page", next)
    });

    assert_eq!(
        lines(&seen),
        [
            "SOURCE_PAGINATION=next-url",
            "SOURCE_PAGE_FROM=header:next-page"
        ]
    );
    assert_eq!(
        seen.next_request.as_deref(),
        Some("GET https://x.example/o?_token=abc")
    );
}

#[test]
fn what_is_set_is_not_suggested_again() {
    let set = [
        ("SOURCE_RECORDS", "/items"),
        ("SOURCE_PAGINATION", "next-url"),
        ("PRIMARY_KEY", "/id"),
    ];

    let seen = seen(&set, |_| page(r#"{"items":[{"id":1}],"next":null}"#));

    assert_eq!(lines(&seen), [""; 0]);
    assert_eq!(finding(&seen, "paging"), "as SOURCE_PAGINATION says");
    assert_eq!(seen.next_request, None);
}

#[test]
fn a_post_with_a_token_is_continued_in_its_body() {
    let set = [("SOURCE_BODY", r#"{"limit":2}"#)];
    let body = r#"{"results":[{"id":"a"}],"paging":{"next":{"after":"10"}}}"#;

    let seen = seen(&set, |_| page(body));

    assert_eq!(
        lines(&seen),
        [
            "SOURCE_RECORDS=/results",
            "SOURCE_PAGINATION=token",
            "SOURCE_PAGE_FROM=/paging/next/after",
            "SOURCE_PAGE_TO=/after",
            "PRIMARY_KEY=/id"
        ]
    );
    assert_eq!(
        seen.next_request.as_deref(),
        Some(r#"POST https://x.example/o with {"limit":2,"after":"10"}"#)
    );
}

#[test]
fn an_answer_without_records_says_so() {
    let seen = seen(&[], |_| page(r#"{"message":"welcome"}"#));

    assert_eq!(
        finding(&seen, "records"),
        "the answer has no array of objects in it"
    );
    assert_eq!(lines(&seen), [""; 0]);
}

#[test]
fn records_that_would_not_do_are_told() {
    let set = [("SOURCE_CURSOR", "/u")];

    let seen = seen(&set, |_| page(r#"[{"id":1}]"#));

    assert!(
        finding(&seen, "but").contains("`/u` (SOURCE_CURSOR) is missing"),
        "{seen:?}"
    );
}

#[test]
fn the_first_of_several_values_is_looked_at() {
    let settings = [
        ("SOURCE_API_URL", "https://x.example/{each}/o"),
        ("SOURCE_EACH", "de,fr"),
        ("TRANSFORM", "{id, of: $each}"),
    ];

    let seen = seen(&settings, |request| {
        assert_eq!(request.url, "https://x.example/de/o");
        page(r#"[{"id":1}]"#)
    });

    assert_eq!(finding(&seen, "each"), "`de`, the first of 2 values");
    assert_eq!(finding(&seen, "request"), "GET https://x.example/de/o");
    assert_eq!(seen.would_fail, None);
}

#[test]
fn a_table_is_read_as_csv_and_proposed() {
    let seen = seen(&[], |_| page("id;name\r\n1;a\r\n2;b\r\n"));

    assert_eq!(
        lines(&seen),
        [
            "SOURCE_FORMAT=csv",
            "SOURCE_CSV_DELIMITER=semicolon",
            "PRIMARY_KEY=/id"
        ]
    );
    assert_eq!(
        seen.first_record.as_deref(),
        Some(r#"{"id":"1","name":"a"}"#)
    );
    assert!(seen.would_fail.is_some(), "nobody said that it is csv");
}
