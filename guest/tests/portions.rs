//! A load in portions, each ended between two pages: against scripted sources that sort by the cursor.

mod world;

use proptest::prelude::*;
use tidegate_guest::{Extent, Failure};
use world::{Job, Run, Said, page, parameter, status, with_header};

/// 2026-11-01 and so many minutes.
fn minute(minutes: u64) -> String {
    format!(
        "2026-11-{:02}T{:02}:{:02}:00Z",
        1 + minutes / 1440,
        minutes / 60 % 24,
        minutes % 60
    )
}

/// A source of records at these minutes, sorted, with `page_rows` of them on a page.
#[derive(Debug, Clone)]
struct Sorted {
    minutes: Vec<u64>,
    page_rows: usize,
    /// Whether it answers only what is greater than the value asked for.
    is_exclusive: bool,
}

impl Sorted {
    fn says(&self, url: &str) -> Said {
        let from = parameter(url, "from").unwrap_or_default();
        let at: usize = parameter(url, "page").map_or(0, |page| page.parse().unwrap());
        let rows: Vec<String> = (self.minutes.iter().enumerate())
            .map(|(id, minutes)| (id, minute(*minutes)))
            .filter(|(_, u)| *u > from || (!self.is_exclusive && *u == from))
            .map(|(id, u)| format!(r#"{{"id":{id},"u":"{u}"}}"#))
            .collect();
        let rest = rows.get(at * self.page_rows..).unwrap_or_default();
        let shown = &rest[..rest.len().min(self.page_rows)];
        let said = page(&format!("[{}]", shown.join(",")));
        if rest.len() <= self.page_rows {
            return said;
        }
        let next = format!("<?from={from}&page={}>; rel=next", at + 1);
        with_header(said, "link", &next)
    }
}

fn ten() -> Sorted {
    Sorted {
        minutes: (0..10).map(|hour| 60 * hour).collect(),
        page_rows: 1,
        is_exclusive: false,
    }
}

fn job(more: &[(&str, &str)]) -> Job {
    let settings = [
        ("SOURCE_CURSOR", "/u"),
        ("SOURCE_CURSOR_TO", "from"),
        ("SOURCE_CURSOR_ORDER", "asc"),
        ("SOURCE_PAGINATION", "link"),
        ("PRIMARY_KEY", "/id"),
        ("MAX_RETRIES", "0"),
    ];
    let mut job = Job::with(&[&settings, more].concat());
    job.request.portions = true;
    job
}

/// A source that answers so many requests, and no more.
fn quota(source: &Sorted, mut requests: usize) -> impl FnMut(&str) -> Said {
    move |url| {
        if requests == 0 {
            return with_header(status(429), "retry-after", "3600");
        }
        requests -= 1;
        source.says(url)
    }
}

fn ids(run: &Run) -> Vec<u64> {
    let id = |line: &String| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        record["id"].as_u64().unwrap()
    };
    run.folder.lines("records").iter().map(id).collect()
}

#[test]
fn a_quota_ends_a_portion_and_the_next_goes_on_at_its_cursor() {
    let first = job(&[]).run(quota(&ten(), 3));
    let refused = job(&[]).after(&first.report().state).run(quota(&ten(), 0));
    let second = job(&[]).after(&first.report().state).run(quota(&ten(), 9));

    let report = first.report();
    assert_eq!((report.extent, report.more), (Extent::Everything, true));
    assert_eq!((report.pages, report.fetched), (3, 3));
    assert_eq!(
        report.state,
        r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-01T02:00:00Z","before":"2026-11-01T01:00:00Z"}"#
    );
    assert!(first.log.iter().any(|line| line.starts_with("warn: ")
        && line.ends_with("what came before is committed, and the fetch goes on from there")));
    assert!(matches!(refused.failure(), Failure::Unavailable(_)));
    assert_eq!(
        second.parameters("from")[0],
        "2026-11-01T02:00:00Z",
        "without a look-back"
    );
    assert_eq!(second.report().extent, Extent::Changes);
    assert!(!second.report().more);
    assert_eq!(ids(&second), [2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_portion_takes_an_eighth_of_the_deadline() {
    let mut job = job(&[("RUN_DEADLINE", "160s")]);
    job.answer_ms = 10_000;

    let run = job.run(|url| ten().says(url));

    // The second page is the first that it could end behind: before it no other value is known.
    assert_eq!((run.report().pages, run.report().more), (4, true));
    assert_eq!(run.left, None, "nothing was asked for that is not read");
}

#[test]
fn a_quick_run_is_one_portion() {
    let run = job(&[]).run(|url| ten().says(url));

    assert_eq!((run.report().pages, run.report().more), (10, false));
    assert_eq!(run.asked.len(), 10);
}

#[test]
fn a_source_that_answers_only_what_is_greater_is_asked_again_from_the_value_before() {
    let source = Sorted {
        minutes: vec![0, 60, 120, 120, 120, 180],
        page_rows: 1,
        is_exclusive: true,
    };

    let first = job(&[]).run(quota(&source, 3));
    let second = job(&[]).after(&first.report().state).run(quota(&source, 9));

    assert_eq!(
        first.report().cursor.as_deref(),
        Some("2026-11-01T02:00:00Z")
    );
    assert_eq!(
        second.parameters("from")[..2],
        ["2026-11-01T02:00:00Z", "2026-11-01T01:00:00Z"]
    );
    assert_eq!(ids(&second), [2, 3, 4, 5]);
}

#[test]
fn so_is_one_that_has_nothing_greater() {
    let source = Sorted {
        minutes: vec![0, 60, 120, 120],
        page_rows: 1,
        is_exclusive: true,
    };

    let first = job(&[]).run(quota(&source, 3));
    let second = job(&[]).after(&first.report().state).run(quota(&source, 9));

    assert_eq!(ids(&second), [2, 3]);
    assert!(!second.report().more);
}

#[test]
fn within_a_look_back_of_the_clock_the_look_back_is_asked_for_again() {
    let mut early = job(&[]);
    early.unix_seconds = "2026-11-01T02:05:59Z"
        .parse::<jiff::Timestamp>()
        .unwrap()
        .as_second();

    let run = early.run(quota(&ten(), 3));

    // Less 60 s, as the source does not tell its clock.
    assert_eq!(
        run.report().state,
        r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-01T02:00:00Z"}"#
    );
}

/// Whether the failure of the fourth request fails the run.
fn fails(job: &Job, source: &Sorted) -> bool {
    job.run(quota(source, 3)).outcome.is_err()
}

#[test]
fn nothing_is_committed_that_might_lack_a_record() {
    let ten = ten();
    let with = |name: &str, value: &str| {
        let mut job = job(&[]);
        job.settings.retain(|(known, _)| known != name);
        if !value.is_empty() {
            job.settings.push((name.to_owned(), value.to_owned()));
        }
        job
    };
    let mut whole = job(&[]);
    whole.request.portions = false;
    let state = r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-01T01:00:00Z"}"#;
    let mut refresh = job(&[]).after(state);
    refresh.request.full_refresh = true;
    let mut first_refresh = job(&[]);
    first_refresh.request.full_refresh = true;

    assert!(!fails(&job(&[]), &ten));
    assert!(!fails(&first_refresh, &ten), "there is no set to keep");
    assert!(
        fails(&refresh, &ten),
        "a part would take the place of the set"
    );
    assert!(fails(&whole, &ten));
    assert!(fails(&with("SOURCE_CURSOR_ORDER", ""), &ten));
    assert!(fails(&with("SOURCE_CURSOR_TO", ""), &ten));
    assert!(
        fails(&with("SOURCE_CURSOR_MISSING", "keep"), &ten),
        "records without a cursor come by no filter"
    );
    let one_value = Sorted {
        minutes: vec![60; 10],
        ..ten.clone()
    };
    assert!(fails(&job(&[]), &one_value), "no progress by a filter");
    let of_tomorrow = Sorted {
        minutes: (0..10).map(|day| 25 * 1440 + day).collect(),
        ..ten.clone()
    };
    assert!(fails(&job(&[]), &of_tomorrow), "behind the clock");
}

#[test]
fn a_source_that_does_not_filter_is_not_read_in_portions() {
    let state = r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-05T00:00:00Z"}"#;
    let source = Sorted {
        minutes: (0..10).map(|day| 1440 * day).collect(),
        ..ten()
    };
    let unfiltered = |url: &str| source.says(&url.replace("from=", "f="));
    let mut job = job(&[("RUN_DEADLINE", "8s")]).after(state);
    job.answer_ms = 2_000;

    let run = job.run(unfiltered);

    assert_eq!((run.report().pages, run.report().more), (10, false));
}

#[test]
fn an_order_that_is_not_kept_is_refused_and_not_committed() {
    let mut source = ten();
    source.minutes[2] = 30;

    let run = job(&[]).run(quota(&source, 3));

    assert!(matches!(run.failure(), Failure::Protocol(_)));
}

#[test]
fn where_the_order_is_not_known_the_failure_names_the_settings() {
    let mut job = job(&[]);
    job.settings
        .retain(|(name, _)| name != "SOURCE_CURSOR_ORDER");

    let first = job.run(quota(&ten(), 3));
    let later = job
        .after(r#"{"v":2,"kind":"rfc3339","cursor":"2026-11-01T01:00:00Z"}"#)
        .run(quota(&ten(), 3));

    let text = first.failure().to_string();
    assert!(text.contains("set SOURCE_CURSOR_ORDER=asc"), "{text}");
    assert!(text.contains("SOURCE_WINDOW"), "{text}");
    let text = later.failure().to_string();
    assert!(!text.contains("SOURCE_CURSOR_ORDER"), "{text}");
}

#[test]
fn a_window_that_ends_early_does_not_leave_its_end() {
    let windows = [
        ("SOURCE_CURSOR_KIND", "rfc3339"),
        ("SOURCE_CURSOR_START", "2026-11-01T00:00:00Z"),
        ("SOURCE_CURSOR_END_TO", "until"),
        ("SOURCE_WINDOW", "1d"),
    ];

    let first = job(&windows).run(quota(&ten(), 3));
    let second = job(&windows)
        .after(&first.report().state)
        .run(quota(&ten(), 9));

    assert_eq!(
        first.report().cursor.as_deref(),
        Some("2026-11-01T02:00:00Z")
    );
    assert_eq!(second.parameters("until")[0], "2026-11-02T02:00:00Z");
    assert_eq!(ids(&second), [2, 3, 4, 5, 6, 7, 8, 9]);
}

fn sources() -> impl Strategy<Value = Sorted> {
    // Few values, so that there are ties, and gaps shorter and longer than the look-back of five minutes.
    let minutes = prop::collection::vec(prop_oneof![0_u64..4, 0_u64..40], 1..40);
    (minutes, 1_usize..6, any::<bool>()).prop_map(|(mut minutes, page_rows, is_exclusive)| {
        minutes.sort_unstable();
        Sorted {
            minutes,
            page_rows,
            is_exclusive,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn portions_together_are_the_whole_set_whatever_ends_each(
        source in sources(),
        requests in 2_usize..6,
        answer_ms in prop::sample::select(vec![0, 60_000, 700_000]),
    ) {
        let ties = (source.minutes.iter())
            .map(|minutes| source.minutes.iter().filter(|other| *other == minutes).count())
            .max()
            .unwrap();
        // What has to be read to pass a value: it, the one before where the source leaves it out, and a page of another.
        let requests = requests + 2 * ties.div_ceil(source.page_rows) + 2;
        let mut seen = std::collections::BTreeSet::new();
        let mut state: Option<String> = None;
        let mut portions = 0;
        loop {
            let mut job = job(&[]);
            job.answer_ms = answer_ms;
            job.request.state.clone_from(&state);
            let run = job.run(quota(&source, requests));
            let report = run.report();
            seen.extend(ids(&run));
            prop_assert_ne!(Some(&report.state), state.as_ref().filter(|_| report.more));
            state = Some(report.state.clone());
            portions += 1;
            prop_assert!(portions <= 100, "portions without end");
            if !report.more {
                break;
            }
        }

        prop_assert_eq!(seen.len(), source.minutes.len());
    }
}

#[test]
fn a_portion_does_not_end_where_its_edge_cannot_be_told_from_what_is_before_it() {
    // Each hour of four days a record; asked by days, and answered with what is of later days.
    let days = |url: &str| {
        let behind = parameter(url, "from").unwrap_or_default();
        let hours = (0..96).map(|hour| {
            (
                hour,
                format!("2026-10-{:02}T{:02}:00:00Z", 1 + hour / 24, hour % 24),
            )
        });
        let rows = hours.filter(|(_, at)| at[..10] > *behind.as_str());
        let rows: Vec<String> = rows
            .map(|(id, at)| format!(r#"{{"id":{id},"u":"{at}"}}"#))
            .collect();
        let number: usize = parameter(url, "page").map_or(0, |page| page.parse().unwrap());
        let shown: Vec<String> = rows.into_iter().skip(20 * number).take(20).collect();
        let next = format!("<?from={behind}&page={}>; rel=next", number + 1);
        with_header(page(&format!("[{}]", shown.join(","))), "link", &next)
    };
    let mut left = 3;
    let run = job(&[
        ("SOURCE_CURSOR_SEND", "date"),
        ("SOURCE_CURSOR_KIND", "rfc3339"),
    ])
    .run(|url| {
        if left == 0 {
            return status(503);
        }
        left -= 1;
        days(url)
    });

    assert!(
        matches!(run.outcome, Err(Failure::Unavailable(_))),
        "{:?}",
        run.outcome
    );
}

#[test]
fn what_takes_the_place_of_a_whole_set_is_one_portion() {
    let mut job = job(&[]);
    job.request.state = Some(r#"{"v":1}"#.to_owned());

    let run = job.run(quota(&ten(), 5));

    assert!(run.outcome.is_err(), "{:?}", run.outcome);
}
