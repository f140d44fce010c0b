//! A cursor that is a token of the source's own, against scripted sources.

mod world;

use tidegate_guest::{Extent, Failure};
use world::{Job, page, parameter, status, with_header};

fn token(more: &[(&str, &str)]) -> Job {
    let fixed = [
        ("SOURCE_PAGINATION", "next-url"),
        ("SOURCE_RECORDS", "/items"),
        ("SOURCE_CURSOR", "/sync"),
        ("SOURCE_CURSOR_KIND", "token"),
        ("SOURCE_CURSOR_TO", "sync"),
    ];
    Job::with(&[&fixed, more].concat())
}

#[test]
fn a_token_of_the_last_page_is_sent_by_the_next_run() {
    let job = token(&[("SOURCE_CURSOR_PAGE", "last")]);
    let say = |url: &str| match parameter(url, "page") {
        None => page(r#"{"items":[{}],"next":"?page=2"}"#),
        Some(_) => page(r#"{"items":[{"a":1}],"sync":"x/+\u00e9"}"#),
    };

    let first = job.run(say);
    let second = job.clone().after(&first.report().state).run(say);

    assert_eq!(first.asked[0], "https://x.example/o");
    assert_eq!(first.report().extent, Extent::Everything);
    assert_eq!(
        first.report().state,
        r#"{"v":2,"kind":"token","cursor":"x/+é"}"#
    );
    assert_eq!(first.report().cursor, None, "a token is not for people");
    assert_eq!(second.asked[0], "https://x.example/o?sync=x%2F%2B%C3%A9");
    assert_eq!(second.report().extent, Extent::Changes);
}

#[test]
fn a_token_of_the_first_page_may_be_a_number_and_later_ones_do_not_count() {
    let job = token(&[("SOURCE_CURSOR_PAGE", "first")]);

    let run = job.run(|url| match parameter(url, "page") {
        None => page(r#"{"items":[{}],"next":"?page=2","sync":12345678901234567890}"#),
        Some(_) => page(r#"{"items":[{"a":1}],"sync":"later"}"#),
    });

    assert_eq!(
        run.report().state,
        r#"{"v":2,"kind":"token","cursor":"12345678901234567890"}"#
    );
}

#[test]
fn a_token_may_stand_in_a_header() {
    let job = Job::with(&[
        ("SOURCE_CURSOR", "header:X-Sync"),
        ("SOURCE_CURSOR_KIND", "token"),
        ("SOURCE_CURSOR_TO", "sync"),
        ("SOURCE_CURSOR_PAGE", "last"),
        ("SOURCE_CURSOR_START", "begin"),
    ]);

    let run = job.run(|_| with_header(page("[]"), "x-sync", " abc "));

    assert_eq!(run.parameters("sync"), ["begin"]);
    assert!(run.report().state.contains(r#""cursor":"abc""#));
}

#[test]
fn a_page_without_the_token_it_should_have_is_broken() {
    let broken = |which, body: &str| {
        let run = token(&[("SOURCE_CURSOR_PAGE", which)]).run(|_| page(body));
        matches!(run.failure(), Failure::Protocol(d) if d.message.contains("`/sync` (SOURCE_CURSOR)"))
    };
    let long = format!(r#"{{"items":[],"sync":"{}"}}"#, "x".repeat(8193));

    assert!(broken("first", r#"{"items":[]}"#));
    assert!(broken("last", r#"{"items":[],"sync":null}"#));
    assert!(broken("last", r#"{"items":[],"sync":{}}"#));
    assert!(broken("last", &long));
}

#[test]
fn a_token_that_is_refused_may_have_expired() {
    let job = token(&[("SOURCE_CURSOR_PAGE", "last")]);
    let state = r#"{"v":2,"kind":"token","cursor":"old"}"#;

    let first = job.run(|_| status(410));
    let gone = job.clone().after(state).run(|_| status(410));

    assert!(!first.failure().to_string().contains("expired"));
    assert!(
        matches!(gone.failure(), Failure::Refused(d) if d.status == Some(410)
            && d.message.ends_with("the token of the last run may have expired: to start over, run once with `--full-refresh`")),
        "{:?}",
        gone.failure()
    );
}

#[test]
fn a_feed_by_token_may_bring_a_changed_record_again() {
    let mut job = token(&[("SOURCE_CURSOR_PAGE", "last")]);
    job.settings
        .push(("PRIMARY_KEY".to_owned(), "/id".to_owned()));

    let run = job.run(|url| {
        let at: u32 = parameter(url, "page").map_or(0, |page| page.parse().unwrap());
        let next = if at < 5 {
            format!("\"?page={}\"", at + 1)
        } else {
            "null".to_owned()
        };
        page(&format!(
            r#"{{"items":[{{"id":1,"v":{at}}}],"next":{next},"sync":"x"}}"#
        ))
    });

    assert_eq!(run.report().staged, 6);
}
