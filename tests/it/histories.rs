//! Histories: a source that changes between runs and in them, runs that are killed and sources that break down. What is
//! published is held to a model.
//!
//! Few of them are drawn, others each time. `TIDEGATE_HISTORIES=2000` draws that many at each place; a failure prints the
//! smallest history that shows it, and `PROPTEST_RNG_SEED=N` draws the same ones again.

mod paged;
mod record;
mod source;
mod story;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};

use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value};

use self::record::{IDS, spelled_at};
use self::source::{Answered, Source};
use self::story::{Disturbance, Story, Tick, stories};
use crate::world::place::at;
use crate::world::{Job, Place, View};

/// Histories drawn of each sort into a JSON file, where the environment says nothing else.
const HISTORIES: u32 = 50;
/// The same at every other place: what comes before the data is written is the same there.
const HISTORIES_ELSEWHERE: u32 = 12;
/// Smaller histories tried once one has failed; each takes a fraction of a second.
const SMALLER_MAX: u32 = 200;

fn config(place: Place) -> Config {
    let drawn = std::env::var("TIDEGATE_HISTORIES").ok();
    let few = if place == Place::Json {
        HISTORIES
    } else {
        HISTORIES_ELSEWHERE
    };
    Config {
        cases: drawn.and_then(|text| text.parse().ok()).unwrap_or(few),
        max_shrink_iters: SMALLER_MAX,
        failure_persistence: None,
        ..Config::default()
    }
}

at! {
    every place:
    once_the_source_is_quiet_one_run_makes_the_set_equal_to_it
    where_the_cursor_does_not_show_every_change_a_full_refresh_does
}

fn once_the_source_is_quiet_one_run_makes_the_set_equal_to_it(place: Place) {
    all(place, true);
}

fn where_the_cursor_does_not_show_every_change_a_full_refresh_does(place: Place) {
    all(place, false);
}

/// Draws histories, and has each live at this place.
fn all(place: Place, shows_every_change: bool) {
    let config = config(place);
    // Past the test harness, which shows what is printed by failed tests only.
    let _ = writeln!(
        std::io::stderr(),
        "{} histories into {place:?} drawn; TIDEGATE_HISTORIES draws more",
        config.cases
    );
    let mut runner = TestRunner::new(config);
    let lived = runner.run(&stories(shows_every_change), |story| {
        lives(&story, place);
        Ok(())
    });
    lived.unwrap_or_else(|failure| panic!("{failure}"));
}

/// One job from its first run to its last.
fn lives(story: &Story, place: Place) {
    let source = Arc::new(Mutex::new(Source::new(story, place)));
    let asked = Arc::clone(&source);
    let mut job = Job::new()
        .at(place)
        .api(move |request| lock(&asked).answer(request));
    for (name, value) in story.habits.settings() {
        job = job.set(name, &value);
    }
    let mut runs: Vec<Tick> = story.runs.clone();
    runs.push(Tick {
        full_refresh: !story.habits.shows_every_change(),
        ..Tick::default()
    });
    for (index, tick) in runs.iter().enumerate() {
        let number = lock(&source).begins(tick);
        job = job.set("SOURCE_API_URL", &format!("{{server}}/items?run={number}"));
        job = job.without_arg("--full-refresh");
        if tick.full_refresh {
            job = job.args(["--full-refresh"]);
        }
        let is_done = runs_well(&mut job, &source, tick);
        let set = published(&job);
        let source = lock(&source);
        holds_versions_that_were_served(&source, &set);
        let shows_all = tick.full_refresh || story.habits.shows_every_change();
        let is_quiet = tick.happenings.is_empty();
        if is_done && shows_all && (is_quiet || story.habits.pages_hold()) {
            holds_what_was_not_touched(&source, &set, index);
        }
        assert!(is_done || index + 1 < runs.len(), "the quiet run failed");
    }
}

/// Whether one run came to its good end. One that failed left what readers see as it was; one that was killed, that or a
/// whole new generation.
fn runs_well(job: &mut Job, source: &Mutex<Source>, tick: &Tick) -> bool {
    if let Some(Disturbance::Killed { requests, pause }) = tick.disturbance {
        let before = job.view();
        let printed = job.start().killed_after(requests, pause);
        let after = job.view();
        if after != before {
            after.is_whole();
        }
        return printed.code == Some(0);
    }
    let run = job.run();
    let last = lock(source).last();
    match last {
        Answered::LastPage => {
            let (told_nothing, was_empty) = {
                let source = lock(source);
                (source.told_nothing(), source.was_empty())
            };
            if told_nothing || (was_empty && run.code == Some(65)) {
                run.printed.exits(65);
                assert_eq!(run.before, run.after);
                return false;
            }
            run.printed.exits(0);
            true
        }
        Answered::Broken | Answered::Repeated => {
            assert!(
                matches!(run.code, Some(75 | 76)),
                "{last:?}: {}{}",
                run.stdout,
                run.stderr
            );
            assert_eq!(run.before, run.after);
            false
        }
        Answered::Nothing | Answered::Page => panic!("{last:?}: {}{}", run.stdout, run.stderr),
    }
}

/// The records that readers see, in their order, as [`Source::row_of`] takes them.
fn published(job: &Job) -> Vec<String> {
    let view = job.view();
    let records = view.records();
    if job.place() == Place::Csv {
        holds_a_row_of_each(&view, &records);
    }
    let spelled = |record: String| spelled_at(job.place(), &record);
    records.into_iter().map(spelled).collect()
}

/// The csv file says what the records beside it say.
fn holds_a_row_of_each(view: &View, records: &[String]) {
    let Some(text) = view.file("latest.csv") else {
        return;
    };
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let names = table.headers().expect("a first line").clone();
    let rows: Vec<BTreeMap<String, String>> =
        table.deserialize().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), records.len(), "{text}");
    for (row, record) in rows.iter().zip(records) {
        let record: Map<String, Value> = serde_json::from_str(record).expect(record);
        for (name, value) in &record {
            assert!(
                names.iter().any(|known| known == name),
                "`{name}` has no column: {text}"
            );
            if let Value::String(text) = value {
                assert_eq!(row[name], *text, "`{name}` of {record:?}");
            } else if name == "version" {
                assert_eq!(row[name], value.to_string(), "`{name}` of {record:?}");
            }
        }
    }
}

/// Every record was served as it stands, no key is there twice, and they are sorted by key.
fn holds_versions_that_were_served(source: &Source, set: &[String]) {
    let rows: Vec<usize> = set
        .iter()
        .map(|record| {
            let row = source.row_of(record);
            row.unwrap_or_else(|| panic!("`{record}` was never served"))
        })
        .collect();
    assert!(
        rows.is_sorted_by(|one, next| one < next),
        "not sorted, or a key twice: {set:#?}"
    );
}

/// A row that did not change during the run is there as it is at the source, or not at all when it is deleted there.
fn holds_what_was_not_touched(source: &Source, set: &[String], run: usize) {
    for id in (0..IDS.len()).filter(|id| !source.is_touched(*id)) {
        let here = set.iter().find(|record| source.row_of(record) == Some(id));
        assert_eq!(
            here,
            source.live(id).as_ref(),
            "run {run}, the row with the key {}",
            IDS[id][0]
        );
    }
}

fn lock<S>(source: &Mutex<S>) -> MutexGuard<'_, S> {
    source
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
