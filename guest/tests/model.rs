//! Fetch and merge against a model: whatever a source does between and during runs, once it is quiet one more run makes the
//! merged set equal to it. The host's merge by key, and its commit of each portion, are stood in for by a map.

mod source;
mod world;

use std::collections::BTreeMap;

use proptest::prelude::*;
use source::{Habits, Happening, Source};
use tidegate_guest::{Extent, Report};
use world::{Folder, Job, status};

/// Rows are committed with a time that is up to this much in the past. Less than the look-back of five minutes.
const LATE_SECONDS_MAX: i64 = 240;
/// Portions of one run: far more than there are windows in the time that passes.
const PORTIONS_MAX: usize = 500;

/// One run, and what happens before each of its pages.
#[derive(Debug, Clone)]
struct Tick {
    before_pages: Vec<Vec<Happening>>,
    /// The page on which the source breaks down, if it does: what was staged is lost where no portion could end before it.
    breaks_on: Option<usize>,
    /// How long the source takes for a page: at the most, a portion that can end behind it does.
    answer_ms: u64,
    full_refresh: bool,
}

/// What the host keeps: the published set and the state that belongs to it.
#[derive(Default)]
struct Published {
    set: BTreeMap<String, u64>,
    state: Option<String>,
}

impl Published {
    fn publish(&mut self, report: &Report, folder: &Folder) {
        if report.extent == Extent::Everything {
            self.set.clear();
        }
        let mut tombstones: Vec<(usize, String)> = folder
            .lines("deleted")
            .iter()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let at = usize::try_from(line["at"].as_u64().unwrap()).unwrap();
                (at, line["key"][0].to_string())
            })
            .collect();
        tombstones.reverse();
        let records = folder.lines("records");
        for at in 0..=records.len() {
            while tombstones.last().is_some_and(|(due, _)| *due == at) {
                self.set.remove(&tombstones.pop().unwrap().1);
            }
            if let Some(record) = records.get(at) {
                let record: serde_json::Value = serde_json::from_str(record).unwrap();
                self.set.insert(
                    record["id"].to_string(),
                    record["version"].as_u64().unwrap(),
                );
            }
        }
        self.state = Some(report.state.clone());
    }
}

fn settings(habits: Habits) -> Vec<(&'static str, &'static str)> {
    let mut settings = vec![
        ("SOURCE_DELETED", "/gone"),
        ("PRIMARY_KEY", "/id"),
        ("MAX_RETRIES", "0"),
    ];
    if !habits.has_tags {
        settings.push(("SOURCE_PAGINATION", "link"));
    }
    if habits.filters {
        settings.push(("SOURCE_CURSOR_TO", "since"));
    }
    if habits.kind == "token" {
        settings.push(("SOURCE_CURSOR", "header:X-Sync"));
        settings.push(("SOURCE_CURSOR_PAGE", habits.token_page));
    } else {
        settings.push(("SOURCE_CURSOR", "/u"));
    }
    let is_told = matches!(habits.kind, "rfc3339" | "integer");
    if !is_told || habits.send.is_some() || habits.window.is_some() {
        settings.push(("SOURCE_CURSOR_KIND", habits.kind));
    }
    if habits.has_undated {
        settings.push(("SOURCE_CURSOR_MISSING", "keep"));
    }
    settings.extend(habits.order.map(|order| ("SOURCE_CURSOR_ORDER", order)));
    settings.extend(habits.send.map(|send| ("SOURCE_CURSOR_SEND", send)));
    if let Some(window) = habits.window {
        let start = match habits.kind {
            "epoch" => "1795434000",
            "epoch-ms" => "1795434000000",
            _ => "2026-11-23T11:40:00Z",
        };
        settings.push(("SOURCE_WINDOW", window));
        settings.push(("SOURCE_CURSOR_END_TO", "until"));
        settings.push(("SOURCE_CURSOR_START", start));
    }
    settings
}

/// One run of all its portions. Returns whether all were published.
fn run(source: &mut Source, published: &mut Published, tick: &Tick) -> bool {
    let mut asked = 0;
    for portion in 0..PORTIONS_MAX {
        let mut job = Job::with(&settings(source.habits));
        job.request.state.clone_from(&published.state);
        job.request.full_refresh = tick.full_refresh && portion == 0;
        job.request.portions = true;
        job.answer_ms = tick.answer_ms;
        job.unix_seconds = source.now;
        let mut is_broken = false;
        let run = job.run_with(|request| {
            for happening in tick.before_pages.get(asked).into_iter().flatten() {
                source.happens(happening);
            }
            asked += 1;
            is_broken |= tick.breaks_on == Some(asked);
            if is_broken {
                status(500)
            } else {
                source.answer(request)
            }
        });
        if is_broken && run.outcome.is_err() {
            return false;
        }
        assert!(
            !is_broken || run.report().more,
            "a broken source fails the run, at the latest the portion that goes on there"
        );
        published.publish(run.report(), &run.folder);
        if !run.report().more {
            return true;
        }
    }
    panic!("the portions of a run never end");
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let write = (
        0_u8..10,
        0..=LATE_SECONDS_MAX,
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
    );
    let happening = prop_oneof![
        5 => write.prop_map(|(id, late_seconds, is_deleted, is_undated)| Happening::Write {
            id,
            late_seconds,
            is_deleted,
            is_undated,
        }),
        2 => prop_oneof![Just(0), 1_i64..10, 100_i64..1000].prop_map(|seconds| Happening::Pass { seconds }),
    ];
    prop::collection::vec(happening, 0..6)
}

fn ticks() -> impl Strategy<Value = Vec<Tick>> {
    let tick = (
        prop::collection::vec(happenings(), 1..5),
        prop::option::weighted(0.2, 1_usize..4),
        prop::sample::select(vec![0, 0, 60_000, 700_000]),
        prop::bool::weighted(0.1),
    );
    let tick = tick.prop_map(|(before_pages, breaks_on, answer_ms, full_refresh)| Tick {
        before_pages,
        breaks_on,
        answer_ms,
        full_refresh,
    });
    prop::collection::vec(tick, 1..8)
}

fn habits() -> impl Strategy<Value = Habits> {
    let words = |words: &[&'static str]| prop::sample::select(words.to_vec());
    let of_cursor = (
        words(&["rfc3339", "epoch", "epoch-ms", "integer", "token"]),
        any::<bool>(),
        prop::option::weighted(0.3, words(&["rfc3339", "epoch", "epoch-ms", "date"])),
        prop::option::weighted(0.3, words(&["6m", "9m", "1h"])),
    );
    let of_pages = (
        any::<bool>(),
        prop::option::of(words(&["asc", "desc"])),
        words(&["first", "last"]),
        1_usize..4,
    );
    let more = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2));
    (of_cursor, of_pages, more).prop_map(|(of_cursor, of_pages, more)| {
        let (kind, filters, send, window) = of_cursor;
        let (by_cursor, order, token_page, page_rows) = of_pages;
        let (has_undated, has_date, has_tags) = more;
        let is_time = !matches!(kind, "integer" | "token");
        let has_records = kind != "token";
        // A window that is sent as days is at least two days long.
        let window = window.filter(|_| is_time && filters && send != Some("date"));
        Habits {
            kind,
            filters: filters || !has_records,
            send: send.filter(|_| is_time && filters),
            by_cursor: by_cursor || order.is_some() || !is_time,
            order: order.filter(|_| has_records),
            window,
            has_undated: has_undated && has_records,
            token_page,
            has_tags,
            has_date,
            page_rows: if has_tags { usize::MAX } else { page_rows },
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn once_the_source_is_quiet_one_run_makes_the_set_equal_to_it(habits in habits(), ticks in ticks()) {
        let mut source = Source::new(habits);
        let mut published = Published::default();
        for tick in &ticks {
            run(&mut source, &mut published, tick);
        }
        let quiet = Tick { before_pages: Vec::new(), breaks_on: None, answer_ms: 0, full_refresh: false };

        prop_assert!(run(&mut source, &mut published, &quiet));

        prop_assert_eq!(&published.set, &source.live());
    }
}
