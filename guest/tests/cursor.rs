//! The cursor against scripted sources: orders that are promised, records without one, what is sent, a source that was set
//! back, and clocks that are wrong.

mod world;

use tidegate_guest::Failure;
use world::{Job, Run, page, parameter, with_header};

/// Newest first, page after page.
fn descending() -> Job {
    Job::with(&[
        ("SOURCE_PAGINATION", "link"),
        ("SOURCE_CURSOR", "/n"),
        ("SOURCE_CURSOR_ORDER", "desc"),
    ])
}

fn linked(job: &Job, pages: &[&str]) -> Run {
    job.run(|url| {
        let at: usize = parameter(url, "page").map_or(0, |page| page.parse().unwrap());
        let next = format!("<?page={}>; rel=next", at + 1);
        if at + 1 < pages.len() {
            with_header(page(pages[at]), "link", &next)
        } else {
            page(pages[at])
        }
    })
}

const STATE: &str = r#"{"v":1,"kind":"integer","cursor":"7"}"#;

#[test]
fn a_feed_with_the_newest_first_is_left_at_the_first_older_record() {
    let job = descending().after(STATE);

    let run = linked(&job, &[r#"[{"n":9},{"n":7},{"n":6}]"#, r#"[{"n":5}]"#]);

    assert_eq!(run.asked.len(), 1);
    assert_eq!(run.folder.lines("records"), [r#"{"n":9}"#, r#"{"n":7}"#]);
    assert_eq!(run.report().cursor.as_deref(), Some("9"));
}

#[test]
fn a_feed_that_filters_is_left_at_the_first_older_record_too() {
    let mut job = descending().after(STATE);
    job.settings
        .push(("SOURCE_CURSOR_TO".to_owned(), "since".to_owned()));

    let run = linked(&job, &[r#"[{"n":7},{"n":6}]"#, r#"[{"n":5}]"#]);

    assert_eq!(run.asked.len(), 1);
    assert_eq!(run.folder.lines("records"), [r#"{"n":7}"#]);
}

#[test]
fn the_first_run_of_a_feed_reads_all_of_it() {
    let run = linked(
        &descending(),
        &[r#"[{"n":9},{"n":7}]"#, r#"[{"n":7},{"n":5}]"#],
    );

    assert_eq!(run.report().staged, 4);
    assert_eq!(run.report().cursor.as_deref(), Some("9"));
}

#[test]
fn an_order_is_checked_over_all_pages() {
    let run = linked(
        &descending(),
        &[r#"[{"n":9},{"n":7}]"#, r#"[{"n":6},{"n":8}]"#],
    );

    assert_eq!(
        *run.failure(),
        Failure::protocol(
            "page 2 of `https://x.example/o`: record `/1`: `/n` is `8`, after a record with `6`, but SOURCE_CURSOR_ORDER is `desc`: correct it, or remove it"
        )
    );
}

#[test]
fn an_order_is_one_of_instants() {
    let job = Job::with(&[("SOURCE_CURSOR", "/u"), ("SOURCE_CURSOR_ORDER", "asc")]);
    let in_order = r#"[{"u":"2026-11-23T07:00:00+02:00"},{"u":"2026-11-23T05:00Z"},{"u":"2026-11-23T05:00:00.5Z"}]"#;

    let good = job.run(|_| page(in_order));
    let bad =
        job.run(|_| page(r#"[{"u":"2026-11-23T06:00:00Z"},{"u":"2026-11-23T07:00:00+02:00"}]"#));

    assert_eq!(
        good.report().cursor.as_deref(),
        Some("2026-11-23T05:00:00.5Z")
    );
    assert!(matches!(bad.failure(), Failure::Protocol(_)));
}

#[test]
fn a_promised_order_leads_a_sequence_to_its_greatest() {
    let job = Job::with(&[
        ("SOURCE_PAGINATION", "link"),
        ("SOURCE_CURSOR", "/n"),
        ("SOURCE_CURSOR_ORDER", "asc"),
    ]);

    let run = linked(&job, &[r#"[{"n":4}]"#, r#"[{"n":5},{"n":9}]"#]);

    assert_eq!(run.report().cursor.as_deref(), Some("9"));
}

fn missing(policy: &str) -> Run {
    let job = Job::with(&[
        ("SOURCE_CURSOR", "/n"),
        ("SOURCE_CURSOR_MISSING", policy),
        ("SOURCE_CURSOR_ORDER", "desc"),
    ])
    .after(STATE);
    job.run(|_| page(r#"[{"n":9},{"a":1},{"n":null},{"n":8}]"#))
}

#[test]
fn records_without_a_cursor_fail_are_kept_or_left_out() {
    assert!(
        missing("fail")
            .failure()
            .to_string()
            .contains("record `/1`: `/n` (SOURCE_CURSOR) is missing")
    );
    let kept = missing("keep");
    assert_eq!(
        kept.folder.lines("records"),
        [r#"{"n":9}"#, r#"{"a":1}"#, r#"{"n":null}"#, r#"{"n":8}"#]
    );
    assert_eq!(kept.report().cursor.as_deref(), Some("9"));
    let dropped = missing("drop");
    assert_eq!(
        dropped.folder.lines("records"),
        [r#"{"n":9}"#, r#"{"n":8}"#]
    );
    assert_eq!(
        dropped.log[1],
        "left out 2 records without `/n` (SOURCE_CURSOR_MISSING)"
    );
}

#[test]
fn a_cursor_that_is_there_and_unreadable_fails_under_every_policy() {
    let job = Job::with(&[("SOURCE_CURSOR", "/n"), ("SOURCE_CURSOR_MISSING", "drop")]);

    let run = job.run(|_| page(r#"[{"n":""}]"#));

    assert!(matches!(run.failure(), Failure::Data(d) if d.message.contains("is empty")));
}

#[test]
fn a_time_is_sent_as_the_kind_that_the_source_takes() {
    let job = Job::with(&[
        ("SOURCE_CURSOR", "/u"),
        ("SOURCE_CURSOR_KIND", "rfc3339"),
        ("SOURCE_CURSOR_TO", "since"),
        ("SOURCE_CURSOR_SEND", "date"),
        ("SOURCE_CURSOR_START", "2026-11-20T01:00:00+02:00"),
    ]);

    let first = job.run(|_| page(r#"[{"u":"2026-11-23T01:00:00+02:00"}]"#));
    let second = job
        .clone()
        .after(&first.report().state)
        .run(|_| page(r#"[{"u":"2026-11-22T00:00:00Z"}]"#));

    assert_eq!(first.parameters("since"), ["2026-11-19"]);
    assert_eq!(
        first.report().cursor.as_deref(),
        Some("2026-11-23T01:00:00+02:00")
    );
    assert_eq!(second.parameters("since"), ["2026-11-22"]);
    assert_eq!(second.report().staged, 1, "the source filters, not we");
}

#[test]
fn a_time_without_offset_is_kept_and_sent_as_it_is_written() {
    let mut job = Job::with(&[
        ("SOURCE_CURSOR", "/u"),
        ("SOURCE_CURSOR_TO", "since"),
        ("SOURCE_CURSOR_ZONE", "+02:00"),
    ]);
    let say = |_: &str| page(r#"[{"u":"2026-11-23 08:00:00"}]"#);

    let first = job.run(say);
    job = job.after(&first.report().state);
    let second = job.run(say);
    job.settings.pop();
    let third = job.run(say);

    assert_eq!(
        first.report().state,
        r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-23 08:00:00","zone":"+02:00"}"#
    );
    assert_eq!(second.parameters("since"), ["2026-11-23 06:55:00"]);
    assert!(
        third
            .failure()
            .to_string()
            .starts_with("SOURCE_CURSOR_ZONE: is not set, but the published state has `+02:00`")
    );
}

/// What is asked for after this time of a zone, and a run that sees these times.
fn in_zone(zone: &str, cursor: &str, more: &[(&str, &str)], times: &[&str]) -> Run {
    let settings = [
        ("SOURCE_CURSOR", "/u"),
        ("SOURCE_CURSOR_TO", "since"),
        ("SOURCE_CURSOR_CHECK", "no"),
        ("SOURCE_CURSOR_ZONE", zone),
    ];
    let state = format!(r#"{{"v":2,"kind":"rfc3339","cursor":"{cursor}","zone":"{zone}"}}"#);
    let records: Vec<String> = times
        .iter()
        .map(|time| format!(r#"{{"u":"{time}"}}"#))
        .collect();
    let body = format!("[{}]", records.join(","));
    Job::with(&[&settings, more].concat())
        .after(&state)
        .run(|_| page(&body))
}

#[test]
fn an_hour_that_comes_twice_is_asked_for_from_where_it_first_begins() {
    let none = [("SOURCE_LOOKBACK", "0")];
    let since = |zone: &str, cursor: &str, more: &[(&str, &str)]| {
        let run = in_zone(zone, cursor, more, &[]);
        assert!(!run.log.concat().contains("warn"), "{:?}", run.log);
        run.parameters("since").remove(0)
    };

    assert_eq!(
        since("Europe/Berlin", "2026-10-25T02:55:00", &[]),
        "2026-10-25T01:55:00"
    );
    assert_eq!(
        since("Europe/Berlin", "2026-10-25T03:02:00", &[]),
        "2026-10-25T02:00:00",
        "the look-back ends in that hour"
    );
    assert_eq!(
        since("America/New_York", "2026-11-01 01:30", &none),
        "2026-11-01 01:00"
    );
    assert_eq!(
        since("Australia/Lord_Howe", "2026-04-05T01:59:59.5", &none),
        "2026-04-05T01:30:00.0"
    );
    assert_eq!(
        since("Asia/Tokyo", "2026-10-25T02:55:00", &none),
        "2026-10-25T02:55:00"
    );
    assert_eq!(
        since("Europe/Berlin", "2026-10-25T02:55:00+01:00", &none),
        "2026-10-25T02:55:00+01:00",
        "which of the two is meant is written"
    );
}

#[test]
fn times_of_an_hour_that_comes_twice_are_equal_to_an_order() {
    let times = |hour| {
        [
            "2026-10-25T02:10:00",
            "2026-10-25T02:50:00",
            "2026-10-25T02:05:00",
            hour,
        ]
    };
    let order = [("SOURCE_CURSOR_ORDER", "asc")];
    let run = |hour| in_zone("Europe/Berlin", "2026-10-25T01:00:00", &order, &times(hour));

    assert_eq!(
        run("2026-10-25T03:00:00").report().cursor.as_deref(),
        Some("2026-10-25T03:00:00")
    );
    assert_eq!(run("2026-10-25T02:00:00").report().staged, 4);
    assert!(run("2026-10-25T01:59:00").outcome.is_err());
}

#[test]
fn a_portion_that_ended_in_an_hour_that_comes_twice_goes_on_where_it_first_begins() {
    let state = r#"{"v":2,"kind":"rfc3339","cursor":"2026-10-25T02:40:00","zone":"Europe/Berlin","before":"2026-10-25T01:00:00"}"#;
    let job = Job::with(&[
        ("SOURCE_CURSOR", "/u"),
        ("SOURCE_CURSOR_TO", "since"),
        ("SOURCE_CURSOR_ORDER", "asc"),
        ("SOURCE_CURSOR_ZONE", "Europe/Berlin"),
    ]);

    let run = job
        .after(state)
        .run(|_| page(r#"[{"u":"2026-10-25T02:40:00"}]"#));

    assert_eq!(run.parameters("since"), ["2026-10-25T02:00:00"]);
}

#[test]
fn the_cursor_stands_in_the_query_where_it_is_named() {
    let job = Job::with(&[
        ("SOURCE_API_URL", "https://x.example/o?q=n+>=+'{cursor}'"),
        ("SOURCE_CURSOR", "/n"),
        ("SOURCE_CURSOR_START", "1"),
    ])
    .after(STATE);

    let run = job.run(|_| page(r#"[{"n":7}]"#));

    assert_eq!(run.parameters("q"), ["n >= '7'"]);
}

#[test]
fn the_cursor_stands_in_the_body_where_it_is_named() {
    let job = Job::with(&[
        ("SOURCE_BODY", r#"{"after":0}"#),
        ("SOURCE_CURSOR", "/n"),
        ("SOURCE_CURSOR_TO", "/after"),
    ])
    .after(STATE);

    let run = job.run(|_| page(r#"[{"n":7}]"#));

    assert_eq!(run.sent[0].body.as_deref(), Some(r#"{"after":7}"#));
}

fn asked_from_noon(records: &str, settings: &[(&str, &str)]) -> Run {
    let fixed = [("SOURCE_CURSOR", "/u"), ("SOURCE_LOOKBACK", "0")];
    Job::with(&[&fixed, settings].concat())
        .after(r#"{"v":1,"kind":"rfc3339","cursor":"2026-11-23T12:00:00Z"}"#)
        .run(|_| page(records))
}

#[test]
fn a_source_that_was_set_back_is_refused() {
    let to = [("SOURCE_CURSOR_TO", "since")];
    let a_day_before = r#"[{"u":"2026-11-22T12:00:00Z"},{"u":"2026-11-01T12:00:00Z"}]"#;
    let more = r#"[{"u":"2026-11-22T11:59:59.9Z"}]"#;

    assert!(asked_from_noon(a_day_before, &to).outcome.is_ok());
    assert!(
        asked_from_noon("[]", &to)
            .failure()
            .to_string()
            .contains("it lost its data")
    );
    assert_eq!(
        *asked_from_noon(more, &to).failure(),
        Failure::data(
            "the newest record is `2026-11-22T11:59:59.9Z` (SOURCE_CURSOR), before `2026-11-23T12:00:00Z`, where the last run ended: if the source was restored to an older state, run once with `--full-refresh`"
        )
    );
    let warned = asked_from_noon(more, &[]);
    assert!(warned.log[1].starts_with("warn: no record is at or after"));
}

#[test]
fn a_sequence_that_was_set_back_is_refused_at_once() {
    let job = Job::with(&[("SOURCE_CURSOR", "/n"), ("SOURCE_CURSOR_TO", "since")]).after(STATE);

    assert!(job.run(|_| page(r#"[{"n":7}]"#)).outcome.is_ok());
    assert!(matches!(
        job.run(|_| page(r#"[{"n":6}]"#)).failure(),
        Failure::Data(_)
    ));
}

/// Eight sorted rows by offset, three a page; `shift` changes them before the third page is asked for.
fn shifting(shift: impl Fn(&mut Vec<u32>)) -> Run {
    let job = Job::with(&[
        ("SOURCE_CURSOR", "/id"),
        ("SOURCE_CURSOR_ORDER", "asc"),
        ("SOURCE_PAGINATION", "offset"),
        ("SOURCE_PAGE_SIZE", "3"),
        ("PRIMARY_KEY", "/id"),
    ]);
    let mut rows: Vec<u32> = (1..9).map(|id| id * 10).collect();
    let mut asked = 0;
    job.run(|url| {
        asked += 1;
        if asked == 3 {
            shift(&mut rows);
        }
        let offset: usize = parameter(url, "offset").unwrap().parse().unwrap();
        let page_rows = rows.iter().skip(offset).take(3);
        let records: Vec<String> = page_rows.map(|id| format!(r#"{{"id":{id}}}"#)).collect();
        page(&format!("[{}]", records.join(",")))
    })
}

#[test]
fn pages_that_shift_and_come_again_do_not_break_an_order() {
    let removed = shifting(|rows| rows.retain(|id| *id > 10));
    let all_gone_to = shifting(|rows| rows.retain(|id| *id > 30));
    let inserted = shifting(|rows| rows.insert(0, 5));

    for run in [removed, all_gone_to, inserted] {
        assert!(run.log.iter().any(|line| line.contains("pages shifted")));
        let last = run.folder.lines("records").pop();
        assert_eq!(last.as_deref(), Some(r#"{"id":80}"#), "{:?}", run.log);
        assert_eq!(run.report().cursor.as_deref(), Some("80"));
    }
}

#[test]
fn a_date_far_ahead_moves_the_cursor_five_minutes_past_our_clock_and_a_later_run_asks_from_there() {
    let job = Job::with(&[("SOURCE_CURSOR", "/u"), ("SOURCE_CURSOR_TO", "since")]);
    let of_2098 = |_: &str| {
        let records = r#"[{"u":"2026-11-23T11:00:00Z"},{"u":"2098-01-01T00:00:00Z"}]"#;
        with_header(page(records), "date", "Thu, 01 Jan 2099 00:00:00 GMT")
    };

    let first = job.run(of_2098);
    let second = job.clone().after(&first.report().state).run(of_2098);

    assert_eq!(
        first.report().cursor.as_deref(),
        Some("2026-11-23T12:05:00Z")
    );
    assert_eq!(
        second.asked,
        ["https://x.example/o?since=2026-11-23T12%3A00%3A00Z"]
    );
    let warned = |run: &Run| run.log.iter().any(|line| line.contains("is ahead: "));
    assert!(warned(&first) && warned(&second), "{:?}", first.log);
}

#[test]
fn a_date_far_behind_holds_the_cursor_back_and_never_takes_it_back() {
    let job = Job::with(&[("SOURCE_CURSOR", "/u"), ("SOURCE_CURSOR_TO", "since")]);
    let of_2020 = |_: &str| {
        let records = r#"[{"u":"2026-11-23T11:30:00Z"}]"#;
        with_header(page(records), "date", "Wed, 01 Jan 2020 00:00:00 GMT")
    };

    let first = job.run(of_2020);
    let state = r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-23T11:00:00Z"}"#;
    let later = job.clone().after(state).run(of_2020);

    assert_eq!(
        first.report().cursor.as_deref(),
        Some("2020-01-01T00:00:00Z")
    );
    assert_eq!(
        later.report().cursor.as_deref(),
        Some("2026-11-23T11:00:00Z")
    );
    assert!(
        later.log.iter().any(|line| line.contains("is behind: ")),
        "{:?}",
        later.log
    );
}

#[test]
fn a_clock_of_ours_that_is_behind_loses_nothing() {
    let mut job = Job::with(&[("SOURCE_CURSOR", "/u"), ("SOURCE_CURSOR_TO", "since")]);
    job.unix_seconds = 0;
    let state = r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-23T10:00:00Z"}"#;
    let records = r#"[{"u":"2026-11-23T10:30:00Z"}]"#;

    let run = job
        .after(state)
        .run(|_| with_header(page(records), "date", "Mon, 23 Nov 2026 11:00:00 GMT"));

    assert_eq!(run.report().staged, 1);
    assert_eq!(run.report().cursor.as_deref(), Some("2026-11-23T10:00:00Z"));
}

#[test]
fn a_cursor_that_is_no_time_does_not_mind_the_clocks() {
    let job = Job::with(&[("SOURCE_CURSOR", "/n")]);

    let run = job.run(|_| {
        with_header(
            page(r#"[{"n":7}]"#),
            "date",
            "Thu, 01 Jan 2099 00:00:00 GMT",
        )
    });

    assert_eq!(run.report().cursor.as_deref(), Some("7"));
    assert!(
        run.log.iter().all(|line| !line.starts_with("warn")),
        "{:?}",
        run.log
    );
}
