//! Several fetches in one run (SOURCE_EACH): what is asked, what is staged, and what each value leaves for the next run.

mod world;

use tidegate_guest::ports::Request;
use tidegate_guest::{Extent, Failure, Window, validate};
use world::{Job, Run, Said, page, parameter, status, with_header};

const URL: (&str, &str) = ("SOURCE_API_URL", "https://x.example/{each}/o");

fn job(each: &str, settings: &[(&str, &str)]) -> Job {
    Job::with(&[&[URL, ("SOURCE_EACH", each)], settings].concat())
}

fn with_cursor(each: &str, settings: &[(&str, &str)]) -> Job {
    let cursor = [
        ("SOURCE_CURSOR", "/at"),
        ("SOURCE_CURSOR_TO", "since"),
        ("SOURCE_CURSOR_KIND", "integer"),
        ("PRIMARY_KEY", "/id"),
    ];
    job(each, &[&cursor, settings].concat())
}

/// One record of each value: `{"id":VALUE,"at":N}`, where `N` counts from `first`.
fn numbered(run: &Job, first: u64) -> Run {
    let mut at = first - 1;
    run.run(|url| {
        at += 1;
        let value = url.split('/').nth(3).unwrap_or_default();
        page(&format!(r#"[{{"id":"{value}","at":{at}}}]"#))
    })
}

#[test]
fn every_value_is_fetched_with_all_its_pages_and_staged_in_order() {
    let settings = [
        ("SOURCE_PAGINATION", "token"),
        ("SOURCE_PAGE_FROM", "/next"),
        ("SOURCE_PAGE_TO", "after"),
        ("SOURCE_RECORDS", "/items"),
        ("TRANSFORM", "{id, of: $each}"),
    ];

    let run = job("de,fr", &settings).run(|url| {
        if parameter(url, "after").is_some() {
            page(r#"{"items":[{"id":2}]}"#)
        } else {
            page(r#"{"items":[{"id":1}],"next":"b"}"#)
        }
    });

    assert_eq!(
        run.asked,
        [
            "https://x.example/de/o",
            "https://x.example/de/o?after=b",
            "https://x.example/fr/o",
            "https://x.example/fr/o?after=b",
        ]
    );
    assert_eq!(
        run.folder.lines("records"),
        [
            r#"{"id":1,"of":"de"}"#,
            r#"{"id":2,"of":"de"}"#,
            r#"{"id":1,"of":"fr"}"#,
            r#"{"id":2,"of":"fr"}"#,
        ]
    );
    let report = run.report();
    assert_eq!((report.pages, report.fetched, report.staged), (4, 4, 4));
    assert_eq!(report.extent, Extent::Everything);
}

#[test]
fn a_value_goes_into_the_query_the_body_and_headers() {
    let job = Job::with(&[
        ("SOURCE_API_URL", "https://x.example/o?a={each}"),
        ("SOURCE_BODY", r#"{"q":"of {each}"}"#),
        ("SOURCE_HEADERS", "X-Account: {each}"),
        ("SOURCE_EACH", "a&b\n1,2\n\n"),
    ]);

    let run = job.run(|_| page("[]"));

    assert_eq!(
        run.asked,
        ["https://x.example/o?a=a%26b", "https://x.example/o?a=1%2C2"]
    );
    assert_eq!(run.posted[1].as_deref(), Some(r#"{"q":"of 1,2"}"#));
    let header = |request: &Request| {
        let mut headers = request.headers.iter();
        headers.find(|(name, _)| name == "x-account").cloned()
    };
    assert_eq!(header(&run.sent[0]).unwrap().1, "a&b");
}

#[test]
fn each_value_has_a_cursor_and_a_new_one_begins_at_the_start() {
    let first = numbered(&with_cursor("a,b", &[]), 1);
    let state = &first.report().state;
    let second = numbered(&with_cursor("b,c", &[]).after(state), 5);

    assert_eq!(
        *state,
        r#"{"v":3,"kind":"integer","each":{"a":"1","b":"2"}}"#
    );
    assert_eq!(first.report().cursor.as_deref(), Some("2"));
    assert_eq!(
        second.asked,
        ["https://x.example/b/o?since=2", "https://x.example/c/o"]
    );
    assert_eq!(second.report().extent, Extent::Changes);
    assert_eq!(
        second.report().state,
        r#"{"v":3,"kind":"integer","each":{"b":"5","c":"6"}}"#
    );
    let gone = "warn: no longer in SOURCE_EACH: `a`; their records stay until a `--full-refresh`";
    assert!(
        second.log.iter().any(|line| line == gone),
        "{:?}",
        second.log
    );
}

#[test]
fn a_full_refresh_asks_every_value_from_its_start() {
    let mut job =
        with_cursor("a,b", &[]).after(&numbered(&with_cursor("a,b", &[]), 1).report().state);
    job.request.full_refresh = true;

    let run = numbered(&job, 1);

    assert_eq!(run.parameters("since"), ["", ""]);
    assert_eq!(run.report().extent, Extent::Everything);
}

#[test]
fn a_range_is_read_of_every_value_and_the_state_stays() {
    let settings = [("SOURCE_CURSOR_END_TO", "until")];
    let state = r#"{"v":3,"kind":"integer","each":{"a":"7","b":"9"}}"#;
    let mut job = with_cursor("a,b", &settings).after(state);
    job.request.window = Some(Window {
        start: "1".to_owned(),
        end: "3".to_owned(),
    });

    let run = numbered(&job, 1);

    assert_eq!(run.parameters("since"), ["1", "1"]);
    assert_eq!(run.parameters("until"), ["3", "3"]);
    let report = run.report();
    assert_eq!(report.extent, Extent::Changes);
    assert_eq!(
        (report.state.as_str(), report.cursor.as_deref()),
        (state, Some("9"))
    );
}

#[test]
fn a_failure_and_what_comes_before_it_name_the_value() {
    let run = job("a,b", &[("MAX_RETRIES", "1")]).run(|url| {
        if url.contains("/b/") {
            status(503)
        } else {
            page("[]")
        }
    });

    let Failure::Unavailable(detail) = run.failure() else {
        panic!("{:?}", run.failure());
    };
    assert!(
        detail
            .message
            .starts_with("`b` (SOURCE_EACH): `https://x.example/b/o` answered 503 on page 1"),
        "{}",
        detail.message
    );
    let begins = |line: &str| run.log.iter().any(|logged| logged.starts_with(line));
    assert!(begins("debug: `a`: page 1: 0 records"), "{:?}", run.log);
    assert!(
        begins("warn: `b`: `https://x.example/b/o` answered 503"),
        "{:?}",
        run.log
    );
}

#[test]
fn a_rejection_names_the_value() {
    let run = job("a", &[("TRANSFORM", ".id")]).run(|_| page(r#"[{"id":1}]"#));

    let rejected = run.folder.lines("rejected");
    assert!(
        rejected[0].starts_with(r#"{"reason":"`a`: page 1 of `https://x.example/a/o`"#),
        "{rejected:?}"
    );
}

#[test]
fn pages_are_counted_over_all_values() {
    let run = |most| job("a,b,c", &[("MAX_PAGES", most)]).run(|_| page("[]"));

    let failed = run("2");

    assert_eq!(failed.asked.len(), 2);
    let failure = failed.failure().to_string();
    assert!(
        failure.contains(
            "`c` (SOURCE_EACH): there is more to fetch after 2 pages, but MAX_PAGES is 2"
        ),
        "{failure}"
    );
    assert_eq!(run("3").report().pages, 3);
}

/// Answers with an ETag for each value; of those that are asked with it, only `changed` are not 304.
fn tagged(request: &Request, changed: &str) -> Said {
    let value = request.url.split('/').nth(3).unwrap().to_owned();
    let conditions = request.headers.iter();
    let mut conditions = conditions.filter(|(name, _)| name == "if-none-match");
    if conditions.next().is_some() && !changed.contains(&value) {
        return status(304);
    }
    let said = page(&format!(r#"[{{"id":"{value}","at":1}}]"#));
    with_header(said, "etag", "\"1\"")
}

#[test]
fn nothing_is_new_where_every_value_is_unchanged() {
    for settings in [job("a,b", &[]), with_cursor("a,b", &[])] {
        let first = settings.run_with(|request| tagged(request, ""));
        let state = &first.report().state;

        // By a cursor, the request of the second run is another one.
        let second = settings
            .clone()
            .after(state)
            .run_with(|request| tagged(request, ""));
        let third = settings
            .after(&second.report().state)
            .run_with(|request| tagged(request, ""));

        assert_eq!(third.report().extent, Extent::NothingNew);
        assert_eq!((third.asked.len(), third.report().pages), (2, 2));
        assert_eq!(third.report().state, second.report().state);
    }
}

#[test]
fn where_one_value_changed_everything_is_fetched_or_its_changes() {
    let everything = job("a,b", &[]);
    let state = &everything
        .run_with(|request| tagged(request, ""))
        .report()
        .state
        .clone();
    let all = everything
        .after(state)
        .run_with(|request| tagged(request, "b"));
    let changes = with_cursor("a,b", &[]);
    let first = changes
        .run_with(|request| tagged(request, ""))
        .report()
        .state
        .clone();
    let second = changes
        .clone()
        .after(&first)
        .run_with(|request| tagged(request, ""));
    let third = changes
        .after(&second.report().state)
        .run_with(|request| tagged(request, "b"));

    assert_eq!(all.asked.len(), 4, "two with a condition, and both without");
    assert_eq!(
        all.folder.lines("records"),
        [r#"{"id":"a","at":1}"#, r#"{"id":"b","at":1}"#]
    );
    assert_eq!(
        (all.report().extent, all.report().pages),
        (Extent::Everything, 2)
    );
    assert_eq!(third.folder.lines("records"), [r#"{"id":"b","at":1}"#]);
    assert_eq!(
        (third.report().extent, third.report().pages),
        (Extent::Changes, 2)
    );
}

#[test]
fn a_value_without_records_is_looked_into_beside_others_that_have_some() {
    let state = r#"{"v":3,"kind":"integer","each":{"a":"7","b":"9"}}"#;

    let run = with_cursor("a,b", &[]).after(state).run(|url| {
        if url.contains("/b/") {
            page("[]")
        } else {
            page(r#"[{"id":1,"at":8}]"#)
        }
    });

    let failure = run.failure().to_string();
    assert!(
        failure.starts_with("`b` (SOURCE_EACH): the source has no record any more"),
        "{failure}"
    );
}

#[test]
fn values_before_the_one_that_a_portion_ended_in_are_asked_for_too() {
    let state = r#"{"v":3,"kind":"integer","at":"b","each":{"a":"1","b":"1"}}"#;

    let changes = numbered(&with_cursor("new,a,b", &[]).after(state), 5);
    let everything = numbered(&job("a,b", &[]).after(state), 5);

    let values = |run: &Run| -> Vec<String> {
        let values = run.asked.iter().map(|url| url.split('/').nth(3).unwrap());
        values.map(str::to_owned).collect()
    };
    assert_eq!(values(&changes), ["b", "new", "a"]);
    assert_eq!(values(&everything), ["a", "b"]);
}

#[test]
fn what_is_published_stays_where_the_values_that_are_left_have_no_cursor() {
    let state = r#"{"v":3,"kind":"integer","each":{"a":"7"}}"#;
    let empty = |job: Job| job.run(|_| page("[]"));

    let without = empty(with_cursor("b", &[]).after(state));
    let later = empty(with_cursor("b", &[]).after(&without.report().state));

    assert_eq!(without.report().state, r#"{"v":3,"kept":true,"each":{}}"#);
    assert_eq!(later.report().extent, Extent::Changes);
}

#[test]
fn a_portion_ends_within_a_value_and_the_next_one_goes_on_there() {
    let settings = [
        ("SOURCE_CURSOR_KIND", "date"),
        ("SOURCE_CURSOR_END_TO", "until"),
        ("SOURCE_CURSOR_START", "2026-11-01"),
        ("SOURCE_WINDOW", "12d"),
        ("SOURCE_CURSOR_CHECK", "no"),
    ];
    let settings: Vec<_> = with_cursor("a,b", &[])
        .settings
        .into_iter()
        .filter(|(name, _)| name != "SOURCE_CURSOR_KIND")
        .chain(settings.map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    let mut job = Job {
        settings,
        ..Job::with(&[])
    };
    job.request.portions = true;
    let mut asked = Vec::new();
    let mut ats = Vec::new();
    for _ in 0..9 {
        let run = job.run(|_| page("[]"));
        asked.extend(run.asked.clone());
        let report = run.report().clone();
        ats.push(report.state.contains(r#""at":"#));
        job.request.state = Some(report.state);
        if !report.more {
            break;
        }
    }

    let asked: Vec<String> = asked
        .iter()
        .filter_map(|url| {
            let value = url.split('/').nth(3)?;
            Some(format!("{value} {}", parameter(url, "since")?))
        })
        .collect();
    assert_eq!(
        asked[..4],
        [
            "a 2026-11-01",
            "a 2026-11-12",
            "b 2026-11-01",
            "b 2026-11-12"
        ],
        "{asked:?}"
    );
    assert_eq!(ats.last(), Some(&false));
    assert!(ats[0]);
}

#[test]
fn settings_that_do_not_fit_each_other_are_refused() {
    let problems = |settings: &[(&str, &str)]| {
        let problems = validate(&Job::with(settings).settings);
        let problems = problems.into_iter();
        problems
            .map(|problem| format!("{}: {}", problem.setting, problem.message))
            .collect::<Vec<_>>()
            .join("; ")
    };

    let unused = problems(&[("SOURCE_EACH", "a")]);
    let without = problems(&[URL]);
    let in_header = problems(&[("SOURCE_HEADERS", "X-A: {each}")]);
    let twice = problems(&[URL, ("SOURCE_EACH", "a,b,a")]);
    let parent = problems(&[URL, ("SOURCE_EACH", "a"), ("SOURCE_PARENT", "/id")]);
    let deleted = problems(&[
        URL,
        ("SOURCE_EACH", "a"),
        ("SOURCE_DELETED", "/gone"),
        ("PRIMARY_KEY", "/id"),
    ]);
    let dots = problems(&[URL, ("SOURCE_EACH", "..")]);
    let many = problems(&[
        URL,
        (
            "SOURCE_EACH",
            &(0..=1000)
                .map(|n| n.to_string())
                .collect::<Vec<_>>()
                .join(","),
        ),
    ]);
    let variable = problems(&[("TRANSFORM", "{a: $each}")]);

    assert!(
        unused.starts_with("SOURCE_EACH: has no effect without `{each}`"),
        "{unused}"
    );
    assert_eq!(
        without,
        "SOURCE_API_URL: `{each}` has no value: set SOURCE_EACH or SOURCE_EACH_URL"
    );
    assert_eq!(
        in_header,
        "SOURCE_HEADERS: `{each}` has no value: set SOURCE_EACH or SOURCE_EACH_URL"
    );
    assert!(
        parent.starts_with("SOURCE_PARENT: does not work with SOURCE_EACH"),
        "{parent}"
    );
    assert!(
        deleted.starts_with("SOURCE_DELETED: needs `$each` in the key"),
        "{deleted}"
    );
    assert_eq!(twice, "SOURCE_EACH: has `a` twice");
    assert!(
        dots.starts_with("SOURCE_EACH: `..` cannot be in the path"),
        "{dots}"
    );
    assert_eq!(many, "SOURCE_EACH: has 1001 values, more than 1000");
    assert!(
        variable.contains("there is no variable `$each`"),
        "{variable}"
    );
}

#[test]
fn a_key_that_two_values_have_for_different_records_is_65_at_first_and_a_warning_later() {
    let settings = [("PRIMARY_KEY", "/id")];
    let answer = |of: &str| page(&format!(r#"[{{"id":7,"of":"{of}"}}]"#));

    let run = job("de,fr", &settings).run(|url| answer(url));
    let Failure::Data(detail) = run.failure() else {
        panic!("{}", run.failure());
    };
    assert!(
        detail.message.starts_with(
            "SOURCE_EACH: different records of two values have the PRIMARY_KEY 7, and one replaces the other: add `$each`"
        ),
        "{}",
        detail.message
    );

    // Later, a record may have moved.
    let cursor = with_cursor("de,fr", &[]);
    let first = numbered(&cursor, 1);
    let later = cursor.after(&first.report().state).run(|url| {
        let of = url.split('/').nth(3).unwrap_or_default();
        page(&format!(r#"[{{"id":7,"at":9,"of":"{of}"}}]"#))
    });
    assert_eq!(later.report().staged, 2);
    let warns = |line: &String| line.starts_with("warn: SOURCE_EACH: different records");
    assert!(later.log.iter().any(warns), "{:?}", later.log);

    // The same record of both is one.
    let same = job("de,fr", &settings).run(|_| answer("both"));
    assert_eq!(same.report().staged, 2);
    // A value in the key keeps them apart.
    let apart = [("PRIMARY_KEY", "/id,/of"), ("TRANSFORM", "{id, of: $each}")];
    assert_eq!(
        job("de,fr", &apart).run(|url| answer(url)).report().staged,
        2
    );
}
