//! What a run makes of a source that answers no record: whether it filters, and whether the next run would find a change.

mod world;

use std::rc::Rc;

use tidegate_guest::Failure;
use world::{Job, Run, Said, page, parameter};

/// The rows of a source, whose cursor is `/n`, in the order of `/n`.
struct Rows(&'static [&'static str]);

impl Rows {
    /// Those with a cursor that `keeps` takes.
    fn page(&self, keeps: impl Fn(&str) -> bool) -> Said {
        let rows = self.0.iter().filter(|row| keeps(row));
        let rows: Vec<String> = rows.map(|row| format!(r#"{{"n":{row}}}"#)).collect();
        page(&format!("[{}]", rows.join(",")))
    }

    fn since(&self, url: &str) -> Said {
        let since = parameter(url, "since").map(quoted);
        self.page(|row| {
            since
                .as_ref()
                .is_none_or(|since| ordered(row) >= ordered(since))
        })
    }
}

/// A parameter as it would stand in JSON.
fn quoted(text: String) -> String {
    if text.parse::<i64>().is_ok() {
        text
    } else {
        format!("\"{text}\"")
    }
}

/// Numbers as numbers, times as text.
fn ordered(json: &str) -> (i64, &str) {
    json.parse().map_or((0, json), |number| (number, ""))
}

const TIMES: Rows = Rows(&[
    r#""2026-01-05T10:00:00Z""#,
    r#""2026-11-20T10:00:00Z""#,
    r#""2026-11-22T10:00:00Z""#,
]);

fn job(settings: &[(&str, &str)]) -> Job {
    let fixed = [("SOURCE_CURSOR", "/n"), ("SOURCE_CURSOR_TO", "since")];
    Job::with(&[&fixed, settings].concat())
}

fn after(kind: &str, cursor: &str) -> Job {
    job(&[]).after(&format!(r#"{{"v":2,"kind":"{kind}","cursor":"{cursor}"}}"#))
}

/// The run after the one at hand.
fn next(job: &Job, run: &Run) -> Job {
    job.clone().after(&run.report().state)
}

fn data(run: &Run) -> &str {
    match run.failure() {
        Failure::Data(detail) => &detail.message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn where_the_record_with_the_cursor_comes_back_nothing_more_is_asked() {
    let run = after("rfc3339", "2026-11-22T10:00:00Z").run(|url| TIMES.since(url));

    run.report();
    assert_eq!(run.parameters("since"), ["2026-11-22T09:55:00Z"]);
    assert_eq!(run.log.len(), 2, "{:?}", run.log);
    assert_eq!(run.log[1], "cursor `/n`: kind `rfc3339` (detected)");
}

#[test]
fn a_parameter_that_brings_nothing_however_it_asks_is_wrong() {
    let run = after("rfc3339", "2026-11-22T10:00:00Z").run(|url| {
        let is_asked = parameter(url, "since").is_some();
        TIMES.page(|_| !is_asked)
    });

    assert!(data(&run).contains("but without it the source has 3 records on its first page, up to `2026-11-22T10:00:00Z`: it does not know this parameter"), "{}", data(&run));
    assert!(data(&run).contains("`since` (SOURCE_CURSOR_TO)"));
    assert_eq!(
        run.parameters("since"),
        [
            "2026-11-22T09:55:00Z",
            "2026-11-22T08:55:00Z",
            "2026-11-21T09:55:00Z",
            "2026-10-23T09:55:00Z",
            "",
            "2026-01-05T09:00:00Z"
        ]
    );
    assert_eq!(run.folder.lines("records"), [""; 0]);
}

#[test]
fn a_parameter_that_is_wrong_is_found_in_the_first_run_too() {
    let job = job(&[("SOURCE_CURSOR_START", "2026-01-01T00:00:00Z")]);

    let run = job.run(|url| {
        let is_asked = parameter(url, "since").is_some();
        TIMES.page(|_| !is_asked)
    });

    assert!(data(&run).contains("does not know this parameter"));
    assert_eq!(
        run.parameters("since"),
        ["2026-01-01T00:00:00Z", "", "2026-01-05T09:00:00Z"]
    );
}

#[test]
fn a_first_run_of_a_source_without_records_is_well() {
    let job = job(&[("SOURCE_CURSOR_START", "5")]);

    job.run(|_| page("[]")).report();
}

#[test]
fn a_start_after_all_records_is_well() {
    let job = job(&[("SOURCE_CURSOR_START", "2027-01-01T00:00:00Z")]);

    let run = job.run(|url| TIMES.since(url));

    assert_eq!(run.report().cursor, None);
    assert_eq!(run.folder.lines("records"), [""; 0]);
}

#[test]
fn a_source_that_has_no_record_any_more_lost_them() {
    let filtering = after("integer", "7").run(|_| page("[]"));
    let job = Job::with(&[("SOURCE_CURSOR", "/n")]);
    let all = job
        .after(r#"{"v":2,"kind":"integer","cursor":"7"}"#)
        .run(|_| page("[]"));

    assert!(data(&filtering).contains("it lost its data"));
    assert!(data(&all).contains("run once with `--full-refresh`"));
    assert_eq!(all.asked.len(), 1);
}

#[test]
fn the_check_can_be_switched_off() {
    let mut job = after("integer", "7");
    job.settings
        .push(("SOURCE_CURSOR_CHECK".to_owned(), "no".to_owned()));

    let run = job.run(|_| page("[]"));

    assert_eq!(run.report().cursor.as_deref(), Some("7"));
    assert_eq!(run.asked.len(), 1);
}

#[test]
fn where_the_newest_was_deleted_the_next_run_asks_from_what_is_left() {
    let job = after("rfc3339", "2026-11-23T10:00:00Z");

    let first = job.run(|url| TIMES.since(url));
    let job = next(&job, &first);
    let second = job.run(|url| TIMES.since(url));

    assert_eq!(
        first.report().cursor.as_deref(),
        Some("2026-11-23T10:00:00Z")
    );
    assert_eq!(first.asked.len(), 3);
    assert!(first.log.concat().contains("what was newer is deleted"));
    assert_eq!(second.parameters("since"), ["2026-11-22T10:00:00Z"]);
    assert_eq!(second.report().state, first.report().state);
    let staged = [
        first.folder.lines("records"),
        second.folder.lines("records"),
    ];
    assert_eq!(staged.concat(), [""; 0]);
}

#[test]
fn what_comes_after_a_deletion_is_staged_and_asked_from() {
    let state = r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-22T12:00:00Z","known":"2026-11-20T10:00:00Z"}"#;
    let job = job(&[]).after(state);

    let late = job.run(|_| page(r#"[{"n":"2026-11-20T10:00:00Z"},{"n":"2026-11-22T11:58:00Z"}]"#));
    let new = job.run(|_| page(r#"[{"n":"2026-11-20T10:00:00Z"},{"n":"2026-11-23T09:00:00Z"}]"#));

    assert_eq!(
        late.folder.lines("records"),
        [r#"{"n":"2026-11-22T11:58:00Z"}"#]
    );
    assert_eq!(
        late.report().state,
        r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-22T12:00:00Z"}"#
    );
    assert_eq!(
        new.folder.lines("records"),
        [r#"{"n":"2026-11-23T09:00:00Z"}"#]
    );
    assert_eq!(
        new.report().state,
        r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-23T09:00:00Z"}"#
    );
}

#[test]
fn a_source_that_was_set_back_loses_no_record_that_it_counts_anew() {
    let job = after("integer", "1000");

    let first = job.run(|url| Rows(&["899", "900"]).since(url));
    let job = next(&job, &first);
    let second = job.run(|url| Rows(&["899", "900", "901"]).since(url));
    let job = next(&job, &second);
    let third = job.run(|url| Rows(&["899", "900", "901", "1001"]).since(url));

    assert_eq!(first.parameters("since"), ["1000", "999", "0"]);
    assert_eq!(second.parameters("since"), ["900"]);
    assert_eq!(second.folder.lines("records"), [r#"{"n":901}"#]);
    assert_eq!(third.parameters("since"), ["901"]);
    assert_eq!(third.folder.lines("records"), [r#"{"n":1001}"#]);
    assert_eq!(
        third.report().state,
        r#"{"v":2,"kind":"integer","cursor":"1001"}"#
    );
}

#[test]
fn a_filter_that_leaves_out_the_cursor_itself_works() {
    let beyond = |url: &str| {
        let since = parameter(url, "since").map(quoted).unwrap_or_default();
        Rows(&["3", "7"]).page(|row| ordered(row) > ordered(&since))
    };
    let job = after("integer", "7");

    let run = job.run(beyond);

    assert_eq!(run.parameters("since"), ["7", "6"]);
    assert_eq!(
        run.report().state,
        r#"{"v":2,"kind":"integer","cursor":"7"}"#
    );
    assert!(!run.log.concat().contains("warn"), "{:?}", run.log);
}

#[test]
fn a_text_goes_back_by_its_last_character() {
    let beyond = |url: &str| {
        let since = parameter(url, "since").map(quoted).unwrap_or_default();
        Rows(&[r#""c003""#, r#""c007""#])
            .page(|row| row.trim_matches('"') > since.trim_matches('"'))
    };

    let run = after("text", "c007").run(beyond);

    assert_eq!(run.parameters("since"), ["c007", "c00"]);
    assert_eq!(run.report().cursor.as_deref(), Some("c007"));
}

#[test]
fn records_that_are_older_than_all_steps_back_show_that_the_filter_works() {
    let old = Rows(&[r#""2020-01-05T10:00:00Z""#]);

    let run = after("rfc3339", "2026-11-22T10:00:00Z").run(|url| old.since(url));

    assert_eq!(run.asked.len(), 6);
    assert!(
        run.report()
            .state
            .contains(r#""known":"2020-01-05T10:00:00Z""#)
    );
}

#[test]
fn a_question_that_the_source_refuses_shows_that_it_reads_it() {
    let job = after("rfc3339", "2026-11-22T10:00:00Z");

    let too_far = job.run(|url| {
        let is_far = parameter(url, "since").is_some_and(|since| since.as_str() < "2026-11-01");
        if is_far {
            world::status(400)
        } else {
            page("[]")
        }
    });
    let needed = job.run(|url| match parameter(url, "since") {
        Some(_) => page("[]"),
        None => world::status(422),
    });

    assert_eq!(too_far.asked.len(), 4);
    too_far.report();
    needed.report();
}

#[test]
fn a_question_that_fails_fails_the_run() {
    let mut job = after("integer", "7");
    job.settings
        .push(("MAX_RETRIES".to_owned(), "0".to_owned()));

    let run = job.run(|url| match parameter(url, "since").as_deref() {
        Some("7") => page("[]"),
        _ => world::status(503),
    });

    assert!(matches!(run.failure(), Failure::Unavailable(_)));
    assert!(
        run.failure()
            .to_string()
            .contains("no record came from the cursor on")
    );
}

#[test]
fn a_template_that_brings_nothing_at_all_fails_a_run_that_goes_on() {
    let settings = [
        ("SOURCE_API_URL", "https://x.example/o?q=n ge {cursor}"),
        ("SOURCE_CURSOR", "/n"),
        ("SOURCE_CURSOR_KIND", "integer"),
        ("SOURCE_CURSOR_START", "1"),
    ];
    let job = Job::with(&settings);

    let first = job.run(|_| page("[]"));
    let later = job
        .clone()
        .after(r#"{"v":2,"kind":"integer","cursor":"5000"}"#)
        .run(|_| page("[]"));

    assert!(
        first
            .log
            .concat()
            .contains("warn: the source has no record from `1` (SOURCE_CURSOR_START) on")
    );
    assert!(data(&later).contains("does not read `{cursor}`"));
    assert_eq!(
        later.parameters("q"),
        ["n ge 5000", "n ge 4999", "n ge 4000", "n ge 1"]
    );
}

#[test]
fn a_record_that_comes_only_when_asked_from_long_before_is_warned_of() {
    // Its filter takes our times for those of a zone that is two hours behind.
    let run = after("rfc3339", "2026-11-22T10:00:00Z").run(|url| {
        let since = parameter(url, "since").unwrap_or_default();
        TIMES.page(|_| since.as_str() < "2026-11-22T08")
    });

    assert!(
        run.log
            .concat()
            .contains("warn: a record with `2026-11-22T10:00:00Z` comes only when"),
        "{:?}",
        run.log
    );
    run.report();
}

#[test]
fn a_source_that_ignores_the_filter_is_warned_of() {
    let run = after("rfc3339", "2026-11-22T10:00:00Z").run(|_| TIMES.page(|_| true));
    let numbers = after("integer", "7").run(|_| Rows(&["6", "7", "8"]).page(|_| true));
    let texts =
        after("text", "c7").run(|_| Rows(&[r#""c5""#, r#""c6""#, r#""c7""#]).page(|_| true));

    assert!(run.log.concat().contains("warn: 2 of 3 records are older than `2026-11-22T09:55:00Z`, from which `since` (SOURCE_CURSOR_TO) asks: the source ignores it"), "{:?}", run.log);
    assert!(
        numbers
            .log
            .concat()
            .contains("warn: 1 of 3 records are older than `7`")
    );
    assert!(
        texts
            .log
            .concat()
            .contains("warn: 2 of 3 records are older than `c7`")
    );
    assert_eq!(run.asked.len(), 1);
    run.report();
}

#[test]
fn a_source_that_knows_days_only_is_not_warned_of() {
    let run = after("rfc3339", "2026-11-22T10:00:00Z")
        .run(|_| Rows(&[r#""2026-11-22T00:10:00Z""#, r#""2026-11-22T10:00:00Z""#]).page(|_| true));

    assert!(!run.log.concat().contains("warn"), "{:?}", run.log);
}

#[test]
fn windows_without_records_are_looked_into_at_the_last_one_only() {
    let settings = [
        ("SOURCE_CURSOR_KIND", "rfc3339"),
        ("SOURCE_CURSOR_START", "2025-01-01T00:00:00Z"),
        ("SOURCE_CURSOR_END_TO", "until"),
        ("SOURCE_WINDOW", "300d"),
    ];
    let job = job(&settings);

    let works = job.run(|url| match parameter(url, "until") {
        Some(_) => page("[]"),
        None => TIMES.since(url),
    });
    let wrong = job.run(|url| match parameter(url, "since") {
        Some(_) => page("[]"),
        None => TIMES.page(|_| true),
    });

    works.report();
    assert_eq!(works.asked.len(), 3);
    assert!(data(&wrong).contains("does not know this parameter"));
}

#[test]
fn windows_in_which_no_record_ever_was_lost_none() {
    let settings = [
        ("SOURCE_CURSOR_KIND", "rfc3339"),
        ("SOURCE_CURSOR_START", "2025-01-01T00:00:00Z"),
        ("SOURCE_CURSOR_END_TO", "until"),
        ("SOURCE_WINDOW", "300d"),
    ];
    let job = job(&settings);

    let first = job.run(|_| page("[]"));
    let second = next(&job, &first).run(|_| page("[]"));
    let third = next(&job, &second).run(|url| TIMES.since(url));
    let lost = next(&job, &third).run(|_| page("[]"));

    assert!(second.report().state.contains(r#""empty":true"#));
    assert!(!third.report().state.contains("empty"));
    assert!(data(&lost).contains("it lost its data"));
}

#[test]
fn pages_of_records_without_a_cursor_show_nothing() {
    let mut job = after("rfc3339", "2026-11-22T10:00:00Z");
    job.settings
        .push(("SOURCE_CURSOR_MISSING".to_owned(), "keep".to_owned()));

    let run = job.run(|_| page(r#"[{"n":null}]"#));

    assert!(
        run.log
            .concat()
            .contains("warn: no record with a cursor came")
    );
    assert_eq!(run.folder.lines("records"), [r#"{"n":null}"#]);
}

/// A first look at a source.
fn look(settings: &[(&str, &str)], mut say: impl FnMut(&str) -> Said) -> (String, Vec<String>) {
    let job = job(settings);
    let mut source = world::Source {
        say: |request: &tidegate_guest::ports::Request| say(&request.url),
        asked: Vec::new(),
        begun: Vec::new(),
        begun_max: 0,
        parallel: 1,
        answer_ms: 0,
        spent_ms: Rc::default(),
    };
    let mut time = world::Time {
        unix_seconds: world::NOON,
        slept_ms: 0,
        spent_ms: Rc::default(),
        log: Vec::new(),
    };
    let seen = tidegate_guest::probe::look(&job.settings, &mut source, &mut time).unwrap();
    let lines = seen
        .findings
        .iter()
        .map(|line| format!("{}: {}", line.topic, line.found));
    let proposed = seen
        .suggestions
        .iter()
        .map(|line| format!("{}={}", line.name, line.value));
    let lines: Vec<String> = lines.filter(|line| !line.starts_with("request")).collect();
    (lines.join("\n"), proposed.collect())
}

#[test]
fn a_first_look_says_whether_the_source_filters() {
    let (works, _) = look(&[], |url| TIMES.since(url));
    let (ignores, _) = look(&[], |_| TIMES.page(|_| true));
    let (unknown, _) = look(&[], |url| {
        let is_asked = parameter(url, "since").is_some();
        TIMES.page(|_| !is_asked)
    });
    let (exclusive, _) = look(&[], |url| {
        let since = parameter(url, "since").map(quoted).unwrap_or_default();
        Rows(&["7"]).page(|row| ordered(row) > ordered(&since))
    });
    let (refuses, _) = look(&[], |url| match parameter(url, "since") {
        Some(_) => world::status(400),
        None => TIMES.since(url),
    });

    let asks = "filter: asked again, `since` (SOURCE_CURSOR_TO) from `2026-11-20T10:00:00Z` on: ";
    assert!(
        works.contains(&format!("{asks}2 records, none of them older: it filters")),
        "{works}"
    );
    assert!(
        ignores.contains(&format!(
            "{asks}3 records, 1 of them older: the source ignores the parameter"
        )),
        "{ignores}"
    );
    assert!(
        unknown.contains(&format!("{asks}no record, though this answer has some")),
        "{unknown}"
    );
    assert!(
        exclusive.contains("it filters, and leaves out the value itself"),
        "{exclusive}"
    );
    assert!(
        refuses.contains(&format!("{asks}the source refuses it")),
        "{refuses}"
    );
}

#[test]
fn a_first_look_says_the_kind_or_proposes_it() {
    let (told, nothing) = look(&[], |url| TIMES.since(url));
    let (epoch, proposed) = look(&[], |_| {
        Rows(&["1795413600000", "1795413600001"]).page(|_| true)
    });
    let (date, _) = look(&[], |_| Rows(&[r#""31-01-2023""#]).page(|_| true));

    assert!(
        told.contains("cursor: `/n` as SOURCE_CURSOR says, kind `rfc3339` (detected)"),
        "{told}"
    );
    assert_eq!(nothing, [""; 0]);
    assert!(
        epoch.contains("kind `epoch-ms` (proposed: a run never detects it)"),
        "{epoch}"
    );
    assert_eq!(proposed, ["SOURCE_CURSOR_KIND=epoch-ms"]);
    assert!(date.contains("does not sort as it stands"), "{date}");
}

#[test]
fn texts_of_different_lengths_are_not_sorted_by_a_guess() {
    let rows = Rows(&[r#""v9""#, r#""v10""#]);
    let mut set = job(&[]);
    set.settings
        .push(("SOURCE_CURSOR_KIND".to_owned(), "text".to_owned()));

    let told = job(&[]).run(|_| rows.page(|_| true));
    let later = after("text", "v9").run(|_| rows.page(|row| row.len() > 4));
    let set = set.run(|_| rows.page(|_| true));

    for run in [told, later] {
        assert!(
            data(&run).contains("is `v10`, and another record has `v9`"),
            "{}",
            data(&run)
        );
    }
    assert_eq!(set.report().cursor.as_deref(), Some("v9"));
}

/// A run that goes on at five to three, local time, before clocks go back, and sees a record of that moment.
fn in_autumn(settings: &[(&str, &str)]) -> Run {
    let zone = [("SOURCE_CURSOR_ZONE", "+02:00")];
    job(&[&zone, settings].concat())
        .after(r#"{"v":2,"kind":"rfc3339","cursor":"2026-10-25T02:55:00","zone":"+02:00"}"#)
        .run(|_| page(r#"[{"n":"2026-10-25T02:55:00"}]"#))
}

#[test]
fn times_of_a_fixed_offset_are_asked_for_from_before_an_hour_that_comes_twice() {
    let unset = in_autumn(&[]);
    let short = in_autumn(&[("SOURCE_LOOKBACK", "10m")]);
    let long = in_autumn(&[("SOURCE_LOOKBACK", "2h")]);

    assert_eq!(unset.parameters("since"), ["2026-10-25T01:50:00"]);
    assert_eq!(short.parameters("since"), ["2026-10-25T02:45:00"]);
    assert_eq!(long.parameters("since"), ["2026-10-25T00:55:00"]);
    assert!(
        short
            .log
            .concat()
            .contains("warn: SOURCE_LOOKBACK is less than 1h"),
        "{:?}",
        short.log
    );
    assert!(!unset.log.concat().contains("warn"), "{:?}", unset.log);
    assert!(!long.log.concat().contains("warn"), "{:?}", long.log);
}

#[test]
fn pages_that_are_asked_for_carry_what_a_first_page_does() {
    let mut job = after("integer", "7");
    for (name, value) in [
        ("SOURCE_PAGINATION", "page"),
        ("SOURCE_PAGE_TO", "page"),
        ("SOURCE_PAGE_SIZE_TO", "size"),
        ("SOURCE_PAGE_SIZE", "50"),
    ] {
        job.settings.push((name.to_owned(), value.to_owned()));
    }

    let run = job.run(|url| Rows(&["6"]).since(url));

    assert_eq!(run.parameters("since"), ["7", "6"]);
    assert_eq!(run.parameters("page"), ["1", "1"]);
    assert_eq!(run.parameters("size"), ["50", "50"]);
}
