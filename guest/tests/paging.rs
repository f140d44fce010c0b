//! Laws of paging: of a source that holds still every record comes exactly once, whatever the style and the size of pages;
//! of one that shifts under an offset, nothing that stayed put is lost.

mod world;

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use world::{Job, Run, Said, page, parameter, with_header};

const KEY: (&str, &str) = ("PRIMARY_KEY", "/id");

/// How a source of a property is paged, and what it says besides its records.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "all combinations are tried")]
struct Habits {
    style: &'static str,
    /// Records of a page, whatever is asked for.
    size: usize,
    says_more: bool,
    says_total: bool,
    /// The run asks for this size.
    asks_size: bool,
    /// The source sends less than it was asked for.
    caps: bool,
    /// The source hides rows, which count towards a page: these, of each seven.
    hides: [bool; 7],
    past: Past,
    has_key: bool,
}

fn habits() -> impl Strategy<Value = Habits> {
    const STYLES: [&str; 6] = ["link", "next-url", "token", "last-record", "page", "offset"];
    (
        prop::sample::select(STYLES.as_slice()),
        1_usize..6,
        any::<[bool; 4]>(),
    )
        .prop_map(
            |(style, size, [says_more, says_total, asks_size, has_key])| Habits {
                style,
                size,
                says_more,
                says_total,
                asks_size,
                has_key,
                ..OFFSETS
            },
        )
}

/// An offset and a key, and nothing else.
const OFFSETS: Habits = Habits {
    style: "offset",
    size: 2,
    says_more: false,
    says_total: false,
    asks_size: false,
    caps: false,
    hides: [false; 7],
    past: Past::Empty,
    has_key: true,
};

/// What is behind the last page of a source that is asked by numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    Empty,
    LastPage,
    Null,
    Refused(u16),
}

/// The same of sources that cap pages, hide rows that count towards them, and tell their end in odd ways.
fn odd_habits() -> impl Strategy<Value = Habits> {
    let pasts = [
        Past::Empty,
        Past::LastPage,
        Past::Null,
        Past::Refused(404),
        Past::Refused(400),
        Past::Refused(204),
    ];
    (
        habits(),
        any::<bool>(),
        any::<[bool; 7]>(),
        prop::sample::select(pasts.to_vec()),
    )
        .prop_map(|(habits, caps, hides, past)| {
            // Of two rows one is shown, so that no page is empty before the last, or has only what overlaps.
            let is_sparse = (0..7).all(|at| !(hides[at] && hides[(at + 1) % 7]));
            let hides = if habits.size >= 4 && is_sparse {
                hides
            } else {
                [false; 7]
            };
            Habits {
                caps,
                hides,
                past,
                ..habits
            }
        })
}

fn settings(habits: &Habits) -> Vec<(&'static str, &'static str)> {
    let mut settings = vec![
        ("SOURCE_PAGINATION", habits.style),
        ("SOURCE_RECORDS", "/items"),
    ];
    match habits.style {
        "token" => settings.extend([("SOURCE_PAGE_FROM", "/after"), ("SOURCE_PAGE_TO", "after")]),
        "last-record" => {
            settings.extend([("SOURCE_PAGE_FROM", "/id"), ("SOURCE_PAGE_TO", "behind")]);
        }
        _ => {}
    }
    let on = [
        (habits.says_more, ("SOURCE_PAGE_MORE", "/more")),
        (habits.says_total, ("SOURCE_TOTAL", "/total")),
        (habits.has_key, KEY),
    ];
    settings.extend(on.into_iter().filter(|(on, _)| *on).map(|(_, pair)| pair));
    if habits.asks_size {
        settings.push((
            "SOURCE_PAGE_SIZE",
            if habits.caps {
                "250"
            } else {
                ["1", "2", "3", "4", "5"][habits.size - 1]
            },
        ));
    }
    settings
}

/// One page of `rows`, which are ids in the order of the source.
fn answer(habits: &Habits, rows: &[u64], url: &str) -> Said {
    let number = |name| parameter(url, name).map(|text| text.parse::<usize>().unwrap());
    let start = match habits.style {
        "page" => (number("page").unwrap() - 1) * habits.size,
        "offset" => number("offset").unwrap(),
        "last-record" => number("behind").map_or(0, |id| {
            rows.iter().position(|row| *row == id as u64).unwrap() + 1
        }),
        _ => number("after").unwrap_or(0),
    };
    let is_past = start > 0 && start >= rows.len();
    let start = match habits.past {
        Past::LastPage if is_past && habits.style == "page" => start - habits.size,
        Past::Refused(status) if is_past => return world::status(status),
        _ => start,
    };
    let is_shown = |(at, _): &(usize, &u64)| !habits.hides[at % 7];
    let shown = || rows.iter().enumerate();
    let records = shown().skip(start).take(habits.size).filter(is_shown);
    let records: Vec<Value> = records.map(|(_, id)| json!({ "id": id })).collect();
    let end = start + habits.size;
    let more = end < rows.len();
    let total = shown().filter(is_shown).count();
    let mut body = json!({"items": records, "total": total, "more": more});
    if is_past && habits.past == Past::Null {
        body["items"] = Value::Null;
    }
    if more {
        body["after"] = end.to_string().into();
        body["next"] = format!("?after={end}").into();
    }
    let said = page(&body.to_string());
    if more {
        return with_header(said, "link", &format!("<?after={end}>; rel=next"));
    }
    said
}

fn ids(run: &Run) -> Vec<u64> {
    let lines = run.folder.lines("records");
    let id = |line: &String| {
        serde_json::from_str::<Value>(line).unwrap()["id"]
            .as_u64()
            .unwrap()
    };
    lines.iter().map(id).collect()
}

/// What happens at the source before a page is read.
#[derive(Debug, Clone)]
enum Shift {
    /// Rows at this place, counted round, are gone.
    Delete(usize, usize),
    /// New rows are there.
    Insert(usize, usize),
}

fn shifts() -> impl Strategy<Value = Vec<Vec<Shift>>> {
    let shift = (any::<bool>(), 0_usize..40, 1_usize..9).prop_map(|(deletes, at, count)| {
        if deletes {
            Shift::Delete(at, count)
        } else {
            Shift::Insert(at, count)
        }
    });
    prop::collection::vec(prop::collection::vec(shift, 0..3), 0..12)
}

#[test]
fn records_that_an_offset_brings_twice_do_not_complete_a_total() {
    let habits = Habits {
        style: "offset",
        size: 4,
        says_more: false,
        says_total: true,
        asks_size: false,
        caps: false,
        hides: [false, true, false, true, false, false, false],
        past: Past::Empty,
        has_key: true,
    };
    let rows: Vec<u64> = (1..=13).collect();

    let run = Job::with(&settings(&habits)).run(|url| answer(&habits, &rows, url));

    let found: BTreeSet<u64> = ids(&run).into_iter().collect();
    assert_eq!(found, BTreeSet::from([1, 3, 5, 6, 7, 8, 10, 12, 13]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_record_comes_exactly_once(habits in habits(), rows in 0_u64..30) {
        let rows: Vec<u64> = (1..=rows).collect();

        let run = Job::with(&settings(&habits)).run(|url| answer(&habits, &rows, url));

        prop_assert_eq!(&ids(&run), &rows, "{:?}", run.outcome);
        prop_assert_eq!(run.report().fetched, rows.len() as u64);
        prop_assert!(run.log.iter().all(|line| line.starts_with("debug: page ")), "{:?}", run.log);
    }

    #[test]
    fn of_a_source_with_odd_habits_all_records_come_or_the_run_fails(
        habits in odd_habits(),
        rows in 0_u64..40,
    ) {
        let rows: Vec<u64> = (1..=rows).collect();
        let shown: Vec<u64> = (0..).zip(&rows).filter(|(at, _)| !habits.hides[at % 7]).map(|(_, id)| *id).collect();

        let run = Job::with(&settings(&habits)).run(|url| answer(&habits, &rows, url));

        match &run.outcome {
            // Without a key rows that come twice are told only behind a page that is known to be short.
            Ok(_) if habits.has_key || habits.style == "offset" && habits.hides.contains(&true) => {
                let found: BTreeSet<u64> = ids(&run).into_iter().collect();
                prop_assert_eq!(found, shown.into_iter().collect::<BTreeSet<u64>>());
            }
            Ok(_) => prop_assert_eq!(ids(&run), shown),
            Err(failure) => {
                let text = failure.to_string();
                let is_odd = match habits.past {
                    // After a full page it may be any refusal.
                    Past::Refused(_) => text.contains("SOURCE_TOTAL"),
                    Past::LastPage => text.contains("repeats the content") || text.contains("records of earlier pages"),
                    Past::Empty | Past::Null => false,
                };
                // By an offset, hidden rows bring some twice, and no key says which.
                let is_hidden = habits.hides.contains(&true) && habits.style == "offset";
                let comes_twice = ["counts records that it does not show", "repeats the content"]
                    .iter()
                    .any(|said| text.contains(said));
                prop_assert!(is_odd || is_hidden && comes_twice && !habits.has_key, "{text}");
            }
        }
    }

    #[test]
    fn under_an_offset_that_shifts_nothing_that_stayed_put_is_lost(
        size in 2_usize..6,
        asks_size in any::<bool>(),
        rows in 0_u64..40,
        shifts in shifts(),
    ) {
        let habits = Habits { size, asks_size, ..OFFSETS };
        let mut rows: Vec<u64> = (1..=rows).collect();
        let mut stayed: BTreeSet<u64> = rows.iter().copied().collect();
        let mut shifts = shifts.into_iter();
        let mut made = 1000;
        let mut asked = 0;

        let run = Job::with(&settings(&habits)).run(|url| {
            asked += 1;
            for shift in if asked > 1 { shifts.next().unwrap_or_default() } else { Vec::new() } {
                match shift {
                    Shift::Delete(at, count) => {
                        for _ in 0..count.min(rows.len()) {
                            let gone = rows.remove(at % rows.len());
                            stayed.remove(&gone);
                        }
                    }
                    Shift::Insert(at, count) => {
                        for _ in 0..count {
                            made += 1;
                            rows.insert(at % (rows.len() + 1), made);
                        }
                    }
                }
            }
            answer(&habits, &rows, url)
        });

        if let Err(failure) = &run.outcome {
            // Three times in a row more rows were put in than a page holds: given up, and never silently.
            prop_assert!(failure.to_string().contains("has only records of earlier pages"), "{failure}");
            return Ok(());
        }
        let found: BTreeSet<u64> = ids(&run).into_iter().collect();
        let lost: Vec<&u64> = stayed.difference(&found).collect();
        prop_assert!(lost.is_empty(), "{:?} of {:?}, asked {:?}", lost, stayed, run.asked);
    }
}

/// A run by offset over pages of two; `rows` are what the source holds at each request.
fn by_offset(rows: &[&[u64]]) -> Run {
    let habits = Habits {
        asks_size: true,
        ..OFFSETS
    };
    let mut asked = 0;
    Job::with(&settings(&habits)).run(|url| {
        let now = rows[asked.min(rows.len() - 1)];
        asked += 1;
        answer(&habits, now, url)
    })
}

fn warnings(run: &Run) -> Vec<&String> {
    run.log
        .iter()
        .filter(|line| line.starts_with("warn: "))
        .collect()
}

#[test]
fn a_row_deleted_from_a_page_that_was_read_hides_no_other() {
    let run = by_offset(&[&[1, 2, 3, 4, 5], &[2, 3, 4, 5]]);

    assert_eq!(ids(&run), [1, 2, 2, 3, 4, 5]);
    assert_eq!(
        warnings(&run),
        [
            "warn: pages shifted while they were read: page 2 of `https://x.example/o` does not begin with the last record of the previous page; continuing from a known record"
        ]
    );
}

#[test]
fn a_row_put_in_before_the_page_makes_no_one_go_back() {
    let run = by_offset(&[&[1, 2, 3, 4], &[9, 1, 2, 3, 4]]);

    assert_eq!(ids(&run), [1, 2, 1, 2, 3, 4]);
    assert_eq!(warnings(&run).len(), 1);
    assert!(run.asked.iter().is_sorted(), "{:?}", run.asked);
}

#[test]
fn an_offset_that_is_not_heeded_is_found_out() {
    let run =
        Job::with(&[("SOURCE_PAGINATION", "offset"), KEY]).run(|_| page(r#"[{"id":1},{"id":2}]"#));

    let failure = run.failure().to_string();
    assert!(
        failure.contains("has only records of earlier pages"),
        "{failure}"
    );
    assert_eq!(run.asked.len(), 11);
}

#[test]
fn an_offset_that_counts_hidden_rows_doubles_none_without_a_key() {
    let habits = Habits {
        size: 3,
        asks_size: true,
        hides: [false, true, false, false, false, false, false],
        has_key: false,
        ..OFFSETS
    };
    let rows: Vec<u64> = (1..=7).collect();
    let run = |habits: &Habits| Job::with(&settings(habits)).run(|url| answer(habits, &rows, url));

    let without = run(&habits);
    let with = run(&Habits {
        has_key: true,
        ..habits
    });

    let failure = without.failure().to_string();
    assert!(
        failure.contains("counts records that it does not show") && failure.contains("PRIMARY_KEY"),
        "{failure}"
    );
    let found: BTreeSet<u64> = ids(&with).into_iter().collect();
    assert_eq!(found, BTreeSet::from([1, 3, 4, 5, 6, 7]));
}

#[test]
fn pages_that_hide_as_many_rows_each_double_none_without_a_key() {
    let habits = Habits {
        size: 4,
        asks_size: true,
        hides: [false, false, false, true, false, false, false],
        has_key: false,
        ..OFFSETS
    };
    let rows: Vec<u64> = (1..=7).collect();

    let run = Job::with(&settings(&habits)).run(|url| answer(&habits, &rows, url));

    let failure = run.failure().to_string();
    assert!(
        failure.contains("counts records that it does not show"),
        "{failure}"
    );
}

#[test]
fn records_that_come_again_behind_a_short_page_do_not_complete_a_total() {
    // Of eleven rows these are hidden; with the two that come again, six records came before the last one.
    let hidden = [1, 6, 7, 9, 10];
    let run = Job::with(&[
        ("SOURCE_PAGINATION", "offset"),
        ("SOURCE_PAGE_SIZE", "5"),
        ("SOURCE_RECORDS", "/items"),
        ("SOURCE_TOTAL", "/total"),
        KEY,
    ])
    .run(|url| {
        let from: u64 = parameter(url, "offset").unwrap().parse().unwrap();
        let rows = (from + 1..=from + 5).filter(|id| *id <= 11 && !hidden.contains(id));
        let items: Vec<Value> = rows.map(|id| json!({ "id": id })).collect();
        page(&json!({"items": items, "total": 6}).to_string())
    });

    let found: BTreeSet<u64> = ids(&run).into_iter().collect();
    assert_eq!(
        found,
        BTreeSet::from([2, 3, 4, 5, 8, 11]),
        "{:?}",
        run.outcome
    );
}

#[test]
fn the_last_hundredth_of_a_total_is_asked_for_behind_empty_pages() {
    // Every other row is hidden, then thirty in a row, and four are shown at the end.
    let is_shown = |at: u64| at.is_multiple_of(2) && at < 1000 || at >= 1030;
    let run = Job::with(&[
        ("SOURCE_PAGINATION", "offset"),
        ("SOURCE_PAGE_SIZE", "10"),
        ("SOURCE_RECORDS", "/items"),
        ("SOURCE_TOTAL", "/total"),
        KEY,
    ])
    .run(|url| {
        let from: u64 = parameter(url, "offset").unwrap().parse().unwrap();
        let shown = (from..(from + 10).min(1034)).filter(|at| is_shown(*at));
        let items: Vec<Value> = shown.map(|id| json!({ "id": id })).collect();
        page(&json!({"items": items, "total": 504}).to_string())
    });

    let found: BTreeSet<u64> = ids(&run).into_iter().collect();
    assert_eq!(found.len(), 504, "{:?} {:?}", run.outcome, run.asked.len());
}

#[test]
fn equal_records_on_both_sides_of_an_edge_are_no_sign_of_hidden_rows() {
    let rows: Vec<Value> = (0..25)
        .map(|at| json!({"c": if at < 12 { "DE" } else { "FR" }}))
        .collect();
    let run = Job::with(&[("SOURCE_PAGINATION", "offset")]).run(|url| {
        let from: usize = parameter(url, "offset").unwrap().parse().unwrap();
        let shown = rows.get(from..).unwrap_or_default();
        page(&Value::from(&shown[..shown.len().min(10)]).to_string())
    });

    assert_eq!(run.folder.lines("records").len(), 25);
}

#[test]
fn a_page_that_comes_again_past_the_end_is_left_out() {
    for many in [0, 40_000] {
        let rows = |first: u64, many: u64| {
            let rows: Vec<Value> = (first..first + many)
                .map(|id| json!({ "id": id, "text": "0123456789012345678901234567890" }))
                .collect();
            page(&Value::from(rows).to_string())
        };
        let run = |pairs: &[(&str, &str)]| {
            let job = Job::with(&[&[("SOURCE_PAGINATION", "page")], pairs].concat());
            job.run(|url| match parameter(url, "page").as_deref() {
                Some("1") => rows(1, many + 2),
                _ => rows(many + 3, many + 1),
            })
        };

        let (keyed, unkeyed) = (run(&[KEY]), run(&[]));

        let all: BTreeSet<u64> = (1..=2 * many + 3).collect();
        assert_eq!(ids(&keyed).into_iter().collect::<BTreeSet<u64>>(), all);
        assert_eq!(keyed.report().staged, ids(&keyed).len() as u64);
        assert_eq!(keyed.asked.len(), 4, "once more, and then it is the end");
        if many == 0 {
            assert_eq!(ids(&unkeyed), [1, 2, 3]);
            assert_eq!(unkeyed.report().staged, 3);
        } else {
            // A part of it is written before its end is seen.
            assert!(
                unkeyed
                    .failure()
                    .to_string()
                    .contains("would be published twice")
            );
        }
    }
}

#[test]
fn a_record_that_was_changed_between_two_pages_is_taken_again() {
    let job = Job::with(&[("SOURCE_PAGINATION", "offset"), KEY]);

    let run = job.run(|url| match parameter(url, "offset").as_deref() {
        Some("0") => page(r#"[{"id":1,"v":1},{"id":2,"v":1}]"#),
        Some("1") => page(r#"[{"id":2,"v":2},{"id":3,"v":1}]"#),
        _ => page(r#"[{"id":3,"v":1}]"#),
    });

    assert_eq!(
        run.folder.lines("records"),
        [
            r#"{"id":1,"v":1}"#,
            r#"{"id":2,"v":1}"#,
            r#"{"id":2,"v":2}"#,
            r#"{"id":3,"v":1}"#
        ]
    );
    assert_eq!(run.report().fetched, 4);
    assert_eq!(warnings(&run), [""; 0]);
}

#[test]
fn without_a_key_pages_do_not_overlap() {
    let run = Job::with(&[("SOURCE_PAGINATION", "offset")]).run(|url| {
        match parameter(url, "offset").as_deref() {
            Some("0") => page(r#"[{"id":1},{"id":2}]"#),
            Some("2") => page(r#"[{"id":3}]"#),
            _ => page("[]"),
        }
    });

    assert_eq!(ids(&run), [1, 2, 3]);
}

#[test]
fn a_source_that_never_holds_still_is_given_up() {
    let mut first = 0;
    let run = Job::with(&[("SOURCE_PAGINATION", "offset"), KEY]).run(|_| {
        first += 2;
        page(&format!(r#"[{{"id":{first}}},{{"id":{}}}]"#, first + 1))
    });

    let failure = run.failure().to_string();
    assert!(
        failure.contains("the source changes too fast for `offset`"),
        "{failure}"
    );
    assert!(run.asked.len() <= 203, "{}", run.asked.len());
}

#[test]
fn a_numbered_page_that_repeats_a_record_of_the_one_before_is_warned_of() {
    let run = Job::with(&[("SOURCE_PAGINATION", "page"), KEY]).run(|url| {
        match parameter(url, "page").as_deref() {
            Some("1") => page(r#"[{"id":1},{"id":2}]"#),
            Some("2") => page(r#"[{"id":2},{"id":3}]"#),
            Some("3") => page(r#"[{"id":3},{"id":4}]"#),
            _ => page("[]"),
        }
    });

    assert_eq!(ids(&run), [1, 2, 2, 3, 3, 4]);
    assert_eq!(warnings(&run).len(), 1, "once a run");
    assert!(
        warnings(&run)[0]
            .contains("page 2 of `https://x.example/o` repeats a record of the previous page")
    );
}

#[test]
fn a_promised_order_is_not_broken_by_pages_that_are_read_again() {
    // Newest first: one row was put in before the page, then two were deleted from pages that were read.
    let rows: [&[u64]; 4] = [
        &[9, 8, 7, 6, 5, 4],
        &[10, 9, 8, 7, 6, 5, 4],
        &[7, 6, 5, 4],
        &[7, 6, 5, 4],
    ];
    let settings = [
        ("SOURCE_PAGINATION", "offset"),
        ("SOURCE_CURSOR", "/id"),
        ("SOURCE_CURSOR_ORDER", "desc"),
        KEY,
    ];
    let mut asked = 0;

    let run = Job::with(&settings).run(|url| {
        let now = rows[asked.min(3)];
        asked += 1;
        let start: usize = parameter(url, "offset").unwrap().parse().unwrap();
        let page_of: Vec<Value> = now
            .iter()
            .skip(start)
            .take(2)
            .map(|id| json!({ "id": id }))
            .collect();
        page(&Value::from(page_of).to_string())
    });

    let found: BTreeSet<u64> = ids(&run).into_iter().collect();
    assert!(run.outcome.is_ok(), "{:?}", run.outcome);
    assert!(
        [7, 6, 5, 4].iter().all(|id| found.contains(id)),
        "{found:?}"
    );
    assert_eq!(warnings(&run).len(), 1);
}

#[test]
fn the_first_of_numbered_pages_alone_may_be_unchanged() {
    let mut job = Job::with(&[
        ("SOURCE_PAGINATION", "page"),
        ("SOURCE_PAGE_SIZE", "2"),
        ("SOURCE_PAGE_SIZE_TO", "per_page"),
        ("SOURCE_PAGE_SHORT", "last"),
    ]);
    let tagged = |ids: &str| with_header(page(ids), "etag", "\"v1\"");
    let one = job.run(|_| tagged(r#"[{"id":1}]"#));
    job = job.after(&one.report().state);

    let unchanged = job.run_with(|_| world::status(304));
    let changed = job.run(|url| match parameter(url, "page").as_deref() {
        Some("1") => tagged(r#"[{"id":1},{"id":2}]"#),
        _ => tagged("[]"),
    });

    let conditions = |run: &Run| {
        let sent = run.sent.iter();
        sent.map(|request| {
            request
                .headers
                .iter()
                .any(|(name, _)| name == "if-none-match")
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(
        unchanged.report().extent,
        tidegate_guest::Extent::NothingNew
    );
    assert_eq!(conditions(&unchanged), [true]);
    assert_eq!(conditions(&changed), [true, false]);
    assert_eq!(ids(&changed), [1, 2]);
}
