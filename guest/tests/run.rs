//! The whole job against scripted sources: what is asked for, what is staged, and what is reported.

mod world;

use tidegate_guest::{Extent, Failure};
use world::{Job, page, parameter, status, with_header};

const DATE: &str = "Mon, 23 Nov 2026 11:00:00 GMT";

#[test]
fn one_page_is_staged_as_it_came() {
    let run = Job::with(&[]).run(|_| page(r#"[{"id":1, "n":1.10},{"id":9007199254740993}]"#));

    let report = run.report();
    assert_eq!(
        run.folder.lines("records"),
        [r#"{"id":1, "n":1.10}"#, r#"{"id":9007199254740993}"#]
    );
    assert_eq!(report.extent, Extent::Everything);
    assert_eq!((report.pages, report.fetched, report.staged), (1, 2, 2));
    assert_eq!((report.deleted, report.rejected), (0, 0));
    assert_eq!(
        (report.state.as_str(), &report.cursor),
        (r#"{"v":2,"kind":null,"cursor":null}"#, &None)
    );
    assert_eq!(run.log, ["debug: page 1: 2 records; 2 in 0.0 s, 2000/s"]);
}

#[test]
fn a_line_a_page_has_the_total_where_the_source_says_one() {
    let job = Job::with(&[
        ("SOURCE_RECORDS", "/items"),
        ("SOURCE_PAGINATION", "page"),
        ("SOURCE_TOTAL", "/total"),
    ]);
    let run = job.run(|url| {
        let items = match parameter(url, "page").as_deref() {
            Some("1") => r#"{"id":1}"#,
            Some("2") => r#"{"id":2}"#,
            _ => "",
        };
        page(&format!(r#"{{"total":2,"items":[{items}]}}"#))
    });

    run.report();
    for (line, so_far) in run.log.iter().zip(["; 1 of 2 in ", "; 2 of 2 in "]) {
        assert!(line.contains(so_far), "{:?}", run.log);
    }
}

#[test]
fn linked_pages_are_followed_to_the_last() {
    let run = Job::with(&[("SOURCE_PAGINATION", "link")]).run(|url| match parameter(url, "page") {
        None => with_header(
            page(r#"[{"id":1}]"#),
            "link",
            "<?page=2>; rel=\"next\", <?page=9>; rel=last",
        ),
        Some(_) => page(r#"[{"id":2}]"#),
    });

    assert_eq!(
        run.asked,
        ["https://x.example/o", "https://x.example/o?page=2"]
    );
    assert_eq!(run.folder.lines("records"), [r#"{"id":1}"#, r#"{"id":2}"#]);
    assert_eq!(run.report().pages, 2);
    assert_eq!(run.folder.appends, 2, "one append a page");
}

#[test]
fn next_urls_in_the_body_are_followed_and_get_nothing_added() {
    let job = Job::with(&[
        ("SOURCE_PAGINATION", "next-url"),
        ("SOURCE_RECORDS", "/items"),
        ("SOURCE_CURSOR", "/u"),
        ("SOURCE_CURSOR_TO", "since"),
        ("SOURCE_CURSOR_START", "5"),
    ]);

    let run = job.run(|url| match parameter(url, "after") {
        None => page(r#"{"items":[{"u":5}],"next":"?after=5"}"#),
        Some(_) => page(r#"{"items":[{"u":6}],"next":null}"#),
    });

    assert_eq!(
        run.asked,
        ["https://x.example/o?since=5", "https://x.example/o?after=5"]
    );
    assert_eq!(
        run.report().state,
        r#"{"v":2,"kind":"integer","cursor":"6"}"#
    );
    assert_eq!(run.report().extent, Extent::Everything);
}

#[test]
fn the_next_run_asks_for_changes_from_a_look_back_before_the_cursor() {
    let job = Job::with(&[
        ("SOURCE_API_URL", "https://x.example/o?since=0&open=%2f"),
        ("SOURCE_CURSOR", "/u"),
        ("SOURCE_CURSOR_TO", "since"),
    ]);
    let answer = r#"[{"u":"2026-11-23T10:00:00+01:00"}]"#;

    let first = job.run(|_| with_header(page(answer), "date", DATE));
    let second = job
        .clone()
        .after(&first.report().state)
        .run(|_| with_header(page(answer), "date", DATE));

    assert_eq!(first.asked, ["https://x.example/o?since=0&open=%2f"]);
    assert_eq!(
        second.asked,
        ["https://x.example/o?since=2026-11-23T09%3A55%3A00%2B01%3A00&open=%2f"]
    );
    assert_eq!(second.report().extent, Extent::Changes);
    assert_eq!(second.report().state, first.report().state);
}

#[test]
fn the_cursor_stops_at_the_date_of_the_first_answer() {
    let job = Job::with(&[
        ("SOURCE_CURSOR", "/u"),
        ("SOURCE_CURSOR_TO", "since"),
        ("SOURCE_PAGINATION", "link"),
    ]);

    let changed_while_we_paged = r#"[{"u":"2026-11-23T11:00:07Z"}]"#;
    let run = job.run(|url| match parameter(url, "page") {
        None => with_header(
            with_header(page(r#"[{"u":"2026-11-23T10:59:59Z"}]"#), "date", DATE),
            "link",
            "<?page=2>; rel=next",
        ),
        Some(_) => with_header(
            page(changed_while_we_paged),
            "date",
            "Mon, 23 Nov 2026 11:00:10 GMT",
        ),
    });

    assert_eq!(run.report().cursor.as_deref(), Some("2026-11-23T11:00:00Z"));
}

#[test]
fn without_a_date_the_cursor_stops_a_minute_before_the_start() {
    let job = Job::with(&[("SOURCE_CURSOR", "/u"), ("SOURCE_PAGINATION", "link")]);

    // A later page's date says nothing about when the first one was made.
    let run = job.run(|url| match parameter(url, "page") {
        None => with_header(
            page(r#"[{"u":"2027-01-01T00:00:00Z"}]"#),
            "link",
            "<?page=2>; rel=next",
        ),
        Some(_) => with_header(page(r#"[{"u":"2026-01-01T00:00:00Z"}]"#), "date", DATE),
    });

    assert_eq!(run.report().cursor.as_deref(), Some("2026-11-23T11:59:00Z"));
}

#[test]
fn a_sequence_stops_at_the_first_page_where_pages_go_by_something_else() {
    let job = Job::with(&[("SOURCE_CURSOR", "/n"), ("SOURCE_PAGINATION", "link")]);

    let run = job.run(|url| match parameter(url, "page") {
        None => with_header(page(r#"[{"n":4},{"n":6}]"#), "link", "<?page=2>; rel=next"),
        Some(_) => page(r#"[{"n":5},{"n":9}]"#),
    });

    assert_eq!(run.report().cursor.as_deref(), Some("6"));
}

#[test]
fn a_full_refresh_begins_anew() {
    let mut job = Job::with(&[("SOURCE_CURSOR", "/u"), ("SOURCE_CURSOR_TO", "since")])
        .after(r#"{"v":1,"kind":"integer","cursor":"900"}"#);
    job.request.full_refresh = true;

    let run = job.run(|_| page(r#"[{"u":7}]"#));

    assert_eq!(run.asked, ["https://x.example/o"]);
    assert_eq!(run.report().extent, Extent::Everything);
    assert_eq!(run.report().cursor.as_deref(), Some("7"));
}

#[test]
fn an_empty_answer_keeps_the_cursor() {
    let state = r#"{"v":2,"kind":"integer","cursor":"900"}"#;

    let run = Job::with(&[("SOURCE_CURSOR", "/u"), ("SOURCE_CURSOR_CHECK", "no")])
        .after(state)
        .run(|_| page("[]"));

    assert_eq!(run.report().state, state);
    assert_eq!(
        (run.report().extent, run.report().staged),
        (Extent::Changes, 0)
    );
}

#[test]
fn older_records_are_left_out_where_the_source_cannot_filter() {
    let job = Job::with(&[("SOURCE_CURSOR", "/u"), ("SOURCE_LOOKBACK", "2")])
        .after(r#"{"v":1,"kind":"integer","cursor":"10"}"#);

    let run = job.run(|_| page(r#"[{"u":7},{"u":8},{"u":11}]"#));

    assert_eq!(run.folder.lines("records"), [r#"{"u":8}"#, r#"{"u":11}"#]);
    assert_eq!((run.report().fetched, run.report().staged), (3, 2));
}

#[test]
fn deleted_records_become_tombstones_in_their_order() {
    let job = Job::with(&[("SOURCE_DELETED", "/gone"), ("PRIMARY_KEY", "/shop/n,/id")]);

    let run = job.run(|_| {
        page(concat!(
            r#"[{"id":"a","shop":{"n":1},"gone":true},{"id":"b","shop":{"n":1},"gone":null},"#,
            r#"{"id":"b\u00e9","shop":{"n":12345678901234567890},"gone":"2026-11-23"}]"#
        ))
    });

    assert_eq!(
        run.folder.lines("deleted"),
        [
            r#"{"key":[1,"a"],"at":0}"#,
            r#"{"key":[12345678901234567890,"b\u00e9"],"at":1}"#
        ]
    );
    assert_eq!(run.folder.lines("records").len(), 1);
    assert_eq!(
        (
            run.report().fetched,
            run.report().staged,
            run.report().deleted
        ),
        (3, 1, 2)
    );
}

#[test]
fn a_tombstone_needs_its_key() {
    let job = Job::with(&[
        ("SOURCE_DELETED", "/gone"),
        ("PRIMARY_KEY", "/id"),
        ("SOURCE_INVALID", "fail"),
    ]);

    let missing = job.run(|_| page(r#"[{"id":1},{"gone":1}]"#));
    let a_float = job.run(|_| page(r#"[{"id":1.5,"gone":1}]"#));

    assert_eq!(
        *missing.failure(),
        Failure::data(
            "page 1 of `https://x.example/o`: record `/1` is deleted, and its `/id` (PRIMARY_KEY) is missing"
        )
    );
    assert!(
        a_float
            .failure()
            .to_string()
            .contains("neither a string nor an integer")
    );
}

#[test]
fn a_record_with_a_repeated_member_on_a_pointers_way_is_rejected() {
    let run = Job::with(&[("SOURCE_CURSOR", "/u")]).run(|_| page(r#"[{"u":1,"x":0,"u":2}]"#));

    assert_eq!((run.report().staged, run.report().rejected), (0, 1));
    assert!(
        run.folder.lines("rejected")[0].contains("record `/0`: member `u` is repeated"),
        "{:?}",
        run.folder.lines("rejected")
    );
}

#[test]
fn all_settings_problems_come_before_the_first_request() {
    let job = Job::with(&[
        ("MAX_PAGES", "0"),
        ("SOURCE_PAGINATION", "sideways"),
        ("SOURCE_DELETED", "x"),
    ]);

    let run = job.run(|_| page("[]"));

    let Failure::Settings(problems) = run.failure() else {
        panic!("{:?}", run.failure());
    };
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(run.asked.is_empty());
}

#[test]
fn a_full_folder_is_an_output_failure() {
    let mut job = Job::with(&[]);
    job.folder_is_full = true;

    let run = job.run(|_| page("[{}]"));

    assert!(
        matches!(run.failure(), Failure::Output(d) if d.message.contains("no space left")),
        "{:?}",
        run.failure()
    );
}

#[test]
fn a_source_that_fails_on_page_two_fails_the_run() {
    let job = Job::with(&[("SOURCE_PAGINATION", "link"), ("MAX_RETRIES", "1")]);

    let run = job.run(|url| match parameter(url, "page") {
        None => with_header(page("[{}]"), "link", "<?page=2>; rel=next"),
        Some(_) => status(500),
    });

    assert_eq!(
        run.failure().to_string(),
        "`https://x.example/o` answered 500 on page 2, twice"
    );
    assert_eq!(run.asked.len(), 3);
}

#[test]
fn a_good_answer_that_is_an_error_stages_nothing_of_its_page() {
    let job = Job::with(&[
        ("SOURCE_RECORDS", "/items"),
        ("SOURCE_ERROR", ".errors[0].message"),
    ]);

    let run =
        job.run(|_| page(r#"{"items":[{"id":1}],"errors":[{"message":"half of it is missing"}]}"#));

    assert!(
        matches!(run.failure(), Failure::Protocol(d) if d.message.contains("says `half of it is missing`: `{")),
        "{:?}",
        run.failure()
    );
    assert!(run.folder.lines("records").is_empty());
}

#[test]
fn a_rate_spaces_the_pages_of_a_run() {
    let job = Job::with(&[("SOURCE_PAGINATION", "link"), ("SOURCE_RATE", "0.1")]);

    let run = job.run(|url| match parameter(url, "page") {
        None => with_header(page("[{}]"), "link", "<?page=2>; rel=next"),
        Some(_) => page(r#"[{"id":2}]"#),
    });

    assert_eq!(run.report().pages, 2);
    assert_eq!(run.slept_ms, 10_000);
}

#[test]
fn a_next_page_resolves_against_the_redirects_target() {
    let job = Job::with(&[("SOURCE_PAGINATION", "link")]);

    let run = job.run(|url| match url {
        "https://x.example/o" => with_header(status(302), "location", "https://y.example/v2/o"),
        "https://y.example/v2/o" => with_header(page("[{}]"), "link", "<o?page=2>; rel=next"),
        _ => page(r#"[{"id":2}]"#),
    });

    assert_eq!(
        run.asked.last().map(String::as_str),
        Some("https://y.example/v2/o?page=2")
    );
    assert_eq!(run.report().pages, 2);
}

#[test]
fn a_source_that_links_for_ever_is_stopped() {
    let mut count = 0;
    let job = Job::with(&[("SOURCE_PAGINATION", "link"), ("MAX_PAGES", "7")]);

    let run = job.run(|_| {
        count += 1;
        with_header(
            page(&format!("[{{\"id\":{count}}}]")),
            "link",
            &format!("<?t={count}>; rel=next"),
        )
    });

    assert!(
        matches!(run.failure(), Failure::Protocol(d) if d.message.contains("MAX_PAGES is 7")),
        "{:?}",
        run.failure()
    );
    assert_eq!(run.asked.len(), 7);
}
