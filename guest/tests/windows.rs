//! Windows and ranges against scripted sources.

mod world;

use tidegate_guest::{Extent, Failure, Window};
use world::{Job, Run, Said, page, parameter, with_header};

/// Ten days of records, one each midnight from 2026-11-14 on; the source filters on both sides.
fn ten_days(url: &str) -> Said {
    let is_inside = |day: &String| {
        parameter(url, "from").is_none_or(|from| *day >= from)
            && parameter(url, "until").is_none_or(|until| *day < until)
    };
    let days = (14..24).map(|day| format!("2026-11-{day}T00:00:00Z"));
    let records = days
        .filter(is_inside)
        .map(|day| format!(r#"{{"u":"{day}"}}"#));
    page(&format!("[{}]", records.collect::<Vec<_>>().join(",")))
}

fn windows(window: &str) -> Job {
    Job::with(&[
        ("SOURCE_CURSOR", "/u"),
        ("SOURCE_CURSOR_KIND", "rfc3339"),
        ("SOURCE_CURSOR_TO", "from"),
        ("SOURCE_CURSOR_END_TO", "until"),
        ("SOURCE_CURSOR_START", "2026-11-10T00:00:00Z"),
        ("SOURCE_WINDOW", window),
    ])
}

fn in_portions(window: &str) -> Job {
    let mut job = windows(window);
    job.request.portions = true;
    job
}

#[test]
fn a_first_load_goes_window_by_window_each_from_the_state_of_the_last() {
    let mut job = in_portions("4d");
    let mut asked = Vec::new();
    let mut extents = Vec::new();
    let mut staged = Vec::new();
    loop {
        let run = job.run(ten_days);
        asked.extend(run.asked.clone());
        extents.push(run.report().extent);
        staged.extend(run.folder.lines("records"));
        job = job.after(&run.report().state);
        if !run.report().more {
            break;
        }
    }

    let asked: Vec<String> = asked
        .iter()
        .map(|url| {
            let of = |name| parameter(url, name).unwrap_or_default();
            format!("{} {}", of("from"), of("until"))
        })
        .collect();
    assert_eq!(
        asked,
        [
            "2026-11-10T00:00:00Z 2026-11-14T00:00:00Z",
            "2026-11-13T23:55:00Z 2026-11-17T23:55:00Z",
            "2026-11-17T23:50:00Z 2026-11-21T23:50:00Z",
            "2026-11-21T23:45:00Z ",
        ]
    );
    assert_eq!(extents[0], Extent::Everything);
    assert!(extents[1..].iter().all(|extent| *extent == Extent::Changes));
    assert_eq!(staged.len(), 10);
}

#[test]
fn an_empty_window_still_leaves_its_end() {
    let run = in_portions("4d").run(ten_days);

    assert_eq!((run.report().fetched, run.report().more), (0, true));
    assert_eq!(
        run.report().state,
        r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-14T00:00:00Z","empty":true}"#
    );
}

#[test]
fn without_portions_all_windows_are_one_run() {
    let run = windows("4d").run(ten_days);

    assert_eq!(
        run.parameters("from"),
        [
            "2026-11-10T00:00:00Z",
            "2026-11-14T00:00:00Z",
            "2026-11-18T00:00:00Z",
            "2026-11-22T00:00:00Z"
        ]
    );
    assert_eq!(
        (run.report().pages, run.report().staged, run.report().more),
        (4, 10, false)
    );
    assert_eq!(run.report().extent, Extent::Everything);
    assert_eq!(run.report().cursor.as_deref(), Some("2026-11-23T00:00:00Z"));
}

#[test]
fn a_full_refresh_reads_all_windows_in_one_run() {
    let mut job =
        in_portions("4d").after(r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-22T00:00:00Z"}"#);
    job.request.full_refresh = true;

    let run = job.run(ten_days);

    assert_eq!(
        (run.report().pages, run.report().staged, run.report().more),
        (4, 10, false)
    );
}

#[test]
fn a_window_never_ends_behind_the_clock_of_the_source() {
    // Our clock says the 23rd; the source's is ten days behind it.
    let dated = |url: &str| with_header(ten_days(url), "date", "Fri, 13 Nov 2026 12:00:00 GMT");

    let run = in_portions("4d").run(dated);
    let all = windows("4d").run(dated);

    assert_eq!(run.report().cursor.as_deref(), Some("2026-11-13T12:00:00Z"));
    assert!(!run.report().more);
    assert_eq!(all.parameters("until"), ["2026-11-14T00:00:00Z", ""]);
    assert_eq!(all.report().cursor.as_deref(), Some("2026-11-13T12:00:00Z"));
}

#[test]
fn what_an_inclusive_source_sends_twice_is_staged_once() {
    let run = windows("4d").run(|url| {
        let end =
            parameter(url, "until").map_or_else(String::new, |end| format!(r#",{{"u":"{end}"}}"#));
        let from = parameter(url, "from").unwrap();
        page(&format!(r#"[{{"u":"{from}"}}{end}]"#))
    });

    assert_eq!(run.report().fetched, 7);
    assert_eq!(run.folder.lines("records").len(), 4);
}

#[test]
fn a_source_that_ignores_the_end_of_a_window_loses_no_record() {
    let mut job = in_portions("4d");
    let mut staged = Vec::new();
    loop {
        let run = job.run(|url| ten_days(&url.replace("until=", "u=")));
        staged.extend(run.folder.lines("records"));
        job = job.after(&run.report().state);
        if !run.report().more {
            break;
        }
    }

    assert_eq!(staged.len(), 10);
}

#[test]
fn the_ends_of_windows_that_are_sent_as_days_are_days() {
    let mut job = in_portions("3d");
    job.settings
        .push(("SOURCE_CURSOR_SEND".to_owned(), "date".to_owned()));
    job = job.after(r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-15T08:00:00+02:00"}"#);

    let run = job.run(|_| page("[]"));

    assert_eq!(run.parameters("from"), ["2026-11-15"]);
    assert_eq!(run.parameters("until"), ["2026-11-18"]);
    assert_eq!(
        run.report().cursor.as_deref(),
        Some("2026-11-18T02:00:00+02:00"),
        "no record lies between what was sent and the cursor"
    );
}

#[test]
fn a_window_that_rounding_leaves_nothing_of_is_refused() {
    let job = in_portions("310s").after(r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-15T08:00Z"}"#);

    let run = job.run(ten_days);

    assert!(
        run.failure()
            .to_string()
            .starts_with("SOURCE_WINDOW: is too short: the window from `2026-11-15T07:55Z` ends at `2026-11-15T08:00Z`"),
        "{}",
        run.failure()
    );
}

#[test]
fn windows_count_towards_the_pages_of_a_run() {
    let mut job = windows("4d");
    job.settings.push(("MAX_PAGES".to_owned(), "2".to_owned()));

    let run = job.run(ten_days);

    assert!(
        matches!(run.failure(), Failure::Protocol(d) if d.message.contains("MAX_PAGES is 2")),
        "{:?}",
        run.failure()
    );
}

fn ranged(mut job: Job, start: &str, end: &str) -> Run {
    job.request.window = Some(Window {
        start: start.to_owned(),
        end: end.to_owned(),
    });
    job.run(ten_days)
}

const STATE: &str = r#"{"v":1, "kind":"rfc3339","cursor":"2026-11-23T00:00:00Z"}"#;

#[test]
fn a_range_is_asked_for_and_filtered_and_leaves_the_state_alone() {
    let plain = Job::with(&[("SOURCE_CURSOR", "/u"), ("SOURCE_CURSOR_TO", "from")]).after(STATE);

    let run = ranged(plain, "2026-11-15", "2026-11-17T02:00:00+02:00");

    assert_eq!(run.parameters("from"), ["2026-11-15"]);
    assert_eq!(
        run.folder.lines("records"),
        [
            r#"{"u":"2026-11-15T00:00:00Z"}"#,
            r#"{"u":"2026-11-16T00:00:00Z"}"#
        ]
    );
    let report = run.report();
    assert_eq!((report.extent, report.more), (Extent::Changes, false));
    assert_eq!(report.state, STATE, "byte for byte");
    assert_eq!(report.cursor.as_deref(), Some("2026-11-23T00:00:00Z"));
}

#[test]
fn a_range_of_a_sorted_feed_is_left_at_its_end() {
    let left_after = |order| {
        let job = Job::with(&[
            ("SOURCE_CURSOR", "/u"),
            ("SOURCE_CURSOR_ORDER", order),
            ("SOURCE_PAGINATION", "link"),
        ]);
        let mut job = job.after(STATE);
        job.request.window = Some(Window {
            start: "2026-11-15".to_owned(),
            end: "2026-11-17".to_owned(),
        });
        let run = job.run(|url| {
            let at: u32 = parameter(url, "page").map_or(0, |page| page.parse().unwrap());
            let day = if order == "asc" { 13 + at } else { 20 - at };
            let next = format!("<?page={}>; rel=next", at + 1);
            let body = format!(r#"[{{"u":"2026-11-{day}T00:00:00Z"}}]"#);
            with_header(page(&body), "link", &next)
        });
        (run.report().pages, run.report().staged)
    };

    assert_eq!(left_after("asc"), (5, 2));
    assert_eq!(left_after("desc"), (7, 2));
}

#[test]
fn a_range_is_read_window_by_window() {
    let run = ranged(
        in_portions("3d").after(STATE),
        "2026-11-14T06:00:00Z",
        "2026-11-20T12:00:00Z",
    );

    assert_eq!(
        run.parameters("until"),
        [
            "2026-11-17T06:00:00Z",
            "2026-11-20T06:00:00Z",
            "2026-11-20T12:00:00Z"
        ]
    );
    assert_eq!(run.report().staged, 6);
}

#[test]
fn the_end_of_a_range_is_sent_rounded_up() {
    let mut job = windows("30d");
    job.settings
        .push(("SOURCE_CURSOR_SEND".to_owned(), "date".to_owned()));

    let run = ranged(job, "2026-11-15T06:00:00Z", "2026-11-17T06:00:00Z");

    assert_eq!(run.parameters("from"), ["2026-11-15"]);
    assert_eq!(run.parameters("until"), ["2026-11-18"]);
    assert_eq!(run.report().staged, 2);
    assert_eq!(run.report().state, r#"{"v":2,"kind":null,"cursor":null}"#);
}

#[test]
fn a_range_that_cannot_be_read_says_which_end_is_wrong() {
    let plain = || Job::with(&[("SOURCE_CURSOR", "/u")]);
    let problem = |job: Job, start, end| ranged(job, start, end).failure().to_string();
    let mut refreshed = plain().after(STATE);
    refreshed.request.full_refresh = true;

    assert!(problem(Job::with(&[]), "1", "2").starts_with("--from: reads a range of the cursor"));
    assert!(problem(plain(), "1", "2").starts_with("SOURCE_CURSOR_KIND: is not set"));
    assert!(problem(plain().after(STATE), "x", "2026-01-01").starts_with("--from: `x` is not"));
    assert!(problem(plain().after(STATE), "2026-01-01", "7").starts_with("--to: `7` is not"));
    assert!(
        problem(plain().after(STATE), "2026-01-02", "2026-01-02").contains("the range is empty")
    );
    assert!(problem(refreshed, "2026-01-01", "2026-01-02").contains("give one of them"));
}

#[test]
fn what_belongs_to_no_window_may_come_again_in_each() {
    let mut job = windows("4d");
    for (name, value) in [
        ("SOURCE_CURSOR_MISSING", "keep"),
        ("SOURCE_PAGINATION", "link"),
        ("PRIMARY_KEY", "/id"),
    ] {
        job.settings.push((name.to_owned(), value.to_owned()));
    }

    let run = job.run(|url| {
        let at: u32 = parameter(url, "page").map_or(0, |page| page.parse().unwrap());
        let said = page(&format!(r#"[{{"id":{at}}}]"#));
        match parameter(url, "from").or_else(|| parameter(url, "f")) {
            Some(from) if at < 4 => {
                let next = format!("<?page={}&f={from}>; rel=next", at + 1);
                with_header(said, "link", &next)
            }
            _ => said,
        }
    });

    assert_eq!((run.report().pages, run.report().staged), (20, 20));
}
