//! Histories: a source that changes between runs and in them, runs that are killed and sources that break down. What is
//! published is held to a model.
//!
//! `TIDEGATE_HISTORIES=2000` draws that many of them; a failure prints the smallest history that shows it, and
//! `PROPTEST_RNG_SEED=N` draws the same ones again.

mod record;
mod source;
mod story;

use std::sync::{Arc, Mutex, MutexGuard};

use proptest::prelude::*;
use proptest::test_runner::Config;

use self::record::IDS;
use self::source::{Answered, Source};
use self::story::{Disturbance, Story, Tick, stories};
use crate::world::{Job, View};

/// Histories drawn of each sort, where the environment says nothing else.
const HISTORIES: u32 = 100;
/// Smaller histories tried once one has failed; each takes a fraction of a second.
const SMALLER_MAX: u32 = 200;

fn config() -> Config {
    let drawn = std::env::var("TIDEGATE_HISTORIES").ok();
    Config {
        cases: drawn
            .and_then(|text| text.parse().ok())
            .unwrap_or(HISTORIES),
        max_shrink_iters: SMALLER_MAX,
        failure_persistence: None,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn once_the_source_is_quiet_one_run_makes_the_set_equal_to_it(story in stories(true)) {
        lives(&story, Job::new());
    }

    #[test]
    fn where_the_cursor_does_not_show_every_change_a_full_refresh_does(story in stories(false)) {
        lives(&story, Job::new());
    }
}

proptest! {
    #![proptest_config(Config { cases: config().cases.div_ceil(4), ..config() })]

    #[test]
    fn in_sqlite_one_quiet_run_makes_the_table_equal_to_the_source(mut story in stories(true)) {
        story.habits.is_ndjson = false;
        lives(&story, Job::new().sqlite());
    }
}

/// One job from its first run to its last.
fn lives(story: &Story, job: Job) {
    let source = Arc::new(Mutex::new(Source::new(story)));
    let asked = Arc::clone(&source);
    let mut job = job.api(move |request| lock(&asked).answer(request));
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
        let set = published(&job.view());
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

/// The records that readers see, in their order.
fn published(view: &View) -> Vec<String> {
    let json = view.file("latest.json").map(|text| {
        let inner = text
            .trim_end()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let lines = inner.lines().filter(|line| !line.trim().is_empty());
        lines
            .map(|line| line.strip_suffix(',').unwrap_or(line).to_owned())
            .collect()
    });
    let lines = |text: &str| text.lines().map(str::to_owned).collect();
    json.or_else(|| view.file("latest.ndjson").map(lines))
        .unwrap_or_default()
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

fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    source
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
