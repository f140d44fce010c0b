//! Conditional requests against scripted sources: an unchanged source costs one 304.

mod world;

use tidegate_guest::{Extent, Failure};
use world::{Job, Run, Said, page, status, with_header};

fn windowed() -> Job {
    let mut job = Job::with(&[
        ("SOURCE_CURSOR", "/u"),
        ("SOURCE_CURSOR_KIND", "rfc3339"),
        ("SOURCE_CURSOR_TO", "from"),
        ("SOURCE_CURSOR_END_TO", "until"),
        ("SOURCE_CURSOR_START", "2026-11-10T00:00:00Z"),
        ("SOURCE_WINDOW", "4d"),
    ]);
    job.request.portions = true;
    job
}

fn conditions(run: &Run) -> Vec<String> {
    let headers = run.sent.iter().flat_map(|request| &request.headers);
    headers
        .filter(|(name, _)| name.starts_with("if-"))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect()
}

fn tagged(_: &str) -> Said {
    with_header(page(r#"[{"n":1}]"#), "etag", "\"v1\"")
}

#[test]
fn an_unchanged_source_costs_one_304() {
    let job = Job::with(&[("SOURCE_CURSOR", "/n"), ("SOURCE_CURSOR_TO", "since")]);
    let first = job.run(tagged);
    let second = job.clone().after(&first.report().state).run(tagged);

    let state = second.report().state.clone();
    let third = job.clone().after(&state).run(|_| status(304));

    assert_eq!(conditions(&first), [""; 0]);
    assert_eq!(
        conditions(&second),
        [""; 0],
        "another request than the first"
    );
    assert_eq!(conditions(&third), ["if-none-match: \"v1\""]);
    let report = third.report();
    assert_eq!(report.extent, Extent::NothingNew);
    assert_eq!((report.pages, report.fetched), (1, 0));
    assert_eq!(
        (&report.state, report.cursor.as_deref()),
        (&state, Some("1"))
    );
}

#[test]
fn a_304_that_was_not_asked_for_is_no_page() {
    let run = Job::with(&[]).run(|_| status(304));

    assert!(matches!(run.failure(), Failure::Protocol(_)));
}

#[test]
fn only_a_whole_fetch_leaves_a_condition() {
    let has_seen = |run: Run| run.report().state.contains("\"seen\"");
    let linked = [("SOURCE_PAGINATION", "link")];
    let next = [
        ("SOURCE_PAGINATION", "next-url"),
        ("SOURCE_RECORDS", "/items"),
    ];

    assert!(has_seen(Job::with(&[]).run(tagged)));
    assert!(
        !has_seen(Job::with(&linked).run(tagged)),
        "a 304 would hide a new link"
    );
    assert!(!has_seen(Job::with(&next).run(|url| {
        let more = if url.contains("page") {
            "null"
        } else {
            "\"?page=2\""
        };
        with_header(
            page(&format!(r#"{{"items":[{{"p":{more}}}],"next":{more}}}"#)),
            "etag",
            "\"v1\"",
        )
    })));
    assert!(!has_seen(windowed().run(|_| with_header(
        page("[]"),
        "etag",
        "\"v1\""
    ))));
}

#[test]
fn a_condition_falls_with_the_settings_or_a_full_refresh() {
    let state = Job::with(&[]).run(tagged).report().state.clone();
    let asked = |job: Job| conditions(&job.after(&state).run(tagged));
    let mut refreshed = Job::with(&[]);
    refreshed.request.full_refresh = true;

    assert_eq!(asked(Job::with(&[("MAX_RETRIES", "5")])).len(), 1);
    assert_eq!(asked(Job::with(&[("PRIMARY_KEY", "/n")])), [""; 0]);
    assert_eq!(asked(refreshed), [""; 0]);
}
