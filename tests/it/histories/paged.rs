//! Histories of pages: sources that cap pages, hide rows, ignore the cursor, do not know it, answer nothing, or have a total
//! that is none. A run that ends with 0 has published all that the source shows; otherwise it fails, and leaves what there is.
//!
//! Only what nobody could tell is left out: a page that is hidden whole where nothing says that there is more, and a total
//! that a short page reaches too soon.

mod source;
mod story;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use self::source::{Facts, Source};
use self::story::{Kind, Story, Style, stories};
use super::{SMALLER_MAX, lock};
use crate::world::{Job, Run};

/// Histories of each kind, where the environment says nothing else.
const HISTORIES: u32 = 10;

/// How many runs ended with each code.
type Tally = RefCell<BTreeMap<i32, usize>>;

macro_rules! histories {
    ($($test:ident: $kind:ident;)+) => {
        $(
            #[test]
            fn $test() {
                all(Kind::$kind);
            }
        )+
    };
}

histories! {
    a_source_that_is_not_odd: Plain;
    a_source_that_caps_pages: Capped;
    a_source_that_hides_rows: Hidden;
    a_source_that_hides_whole_pages_and_says_that_there_is_more: Blind;
    a_source_that_ignores_the_cursor: Ignored;
    a_source_that_does_not_know_the_cursor: Unknown;
    a_source_that_leaves_out_the_cursor_itself: Exclusive;
    a_source_that_answers_nothing_for_some_runs: Silent;
    a_source_that_answers_nothing_from_some_page_on: Midway;
    a_source_whose_total_is_a_text: TextTotal;
    a_source_whose_total_is_capped: CappedTotal;
    a_source_whose_total_is_that_of_the_page: PageTotal;
    a_source_whose_total_counts_what_it_hides: WholeTotal;
}

/// Draws histories of this kind, and has each live.
fn all(kind: Kind) {
    let drawn = std::env::var("TIDEGATE_HISTORIES").ok();
    let config = Config {
        cases: drawn
            .and_then(|text| text.parse().ok())
            .unwrap_or(HISTORIES),
        max_shrink_iters: SMALLER_MAX,
        failure_persistence: None,
        ..Config::default()
    };
    let tally = Tally::default();
    let lived = TestRunner::new(config).run(&stories(kind), |story| {
        lives(&story, &tally);
        Ok(())
    });
    lived.unwrap_or_else(|failure| panic!("{failure}"));
    let tally = tally.into_inner();
    println!("{kind:?}: runs by their exit code: {tally:?}");
    let done = tally.get(&0).copied().unwrap_or_default();
    assert!(
        done > 0 || kind == Kind::Midway || kind == Kind::WholeTotal,
        "{tally:?}"
    );
    let all: usize = tally.values().sum();
    assert!(all > done || !kind.is_refused(), "{tally:?}");
}

/// One job from its first run to its last.
fn lives(story: &Story, tally: &Tally) {
    let source = Arc::new(Mutex::new(Source::new(story)));
    let asked = Arc::clone(&source);
    let mut job = Job::new()
        .api(move |request| lock(&asked).answer(request))
        .set("SOURCE_API_URL", "{server}/items");
    for (name, value) in story.settings() {
        job = job.set(name, &value);
    }
    let mut has_set = false;
    for (number, tick) in story.runs.iter().enumerate() {
        lock(&source).begins(number, tick);
        job = job.without_arg("--full-refresh");
        if tick.full_refresh && story.cursor.is_some() {
            job = job.args(["--full-refresh"]);
        }
        let run = job.run();
        let source = lock(&source);
        let facts = source.facts();
        let code = run.code.expect("an exit code");
        *tally.borrow_mut().entry(code).or_default() += 1;
        let must = must_fail(story, facts, has_set);
        if code == 0 {
            assert!(must.is_empty(), "0, not {must:?}: {}", told(&run));
            let set = by_key(&job);
            if !facts.is_silent {
                assert_eq!(set, source.shown(), "run {number}: {}", told(&run));
            }
            has_set |= !set.is_empty();
        } else {
            let may = may_fail(story, facts);
            let is_right = must.contains(&code) || may.contains(&code);
            assert!(
                is_right,
                "neither {must:?} nor {may:?} in {facts:?}: {}",
                told(&run)
            );
            assert_eq!(run.before, run.after);
        }
    }
}

/// The codes of which a run must end with one: what it was answered is not to be believed.
fn must_fail(story: &Story, facts: Facts, has_set: bool) -> &'static [i32] {
    if facts.is_silent && has_set {
        &[65, 76]
    } else if story.kind == Kind::Unknown && facts.has_asked_from {
        &[65]
    } else if facts.is_cut_off || (facts.counts_hidden && story.style != Style::Offset) {
        &[76]
    } else if facts.has_hole && story.style == Style::LastRecord {
        // No record leads on from an empty page.
        &[76]
    } else {
        &[]
    }
}

/// The codes with which a run may end besides 0: what it was answered cannot be told from a part.
fn may_fail(story: &Story, facts: Facts) -> &'static [i32] {
    if facts.is_past {
        &[69, 76]
    } else if facts.has_hidden && story.style == Style::Offset {
        // The offset counts rows that are not shown, so that records, totals and whole pages come twice.
        &[76]
    } else {
        &[]
    }
}

/// The records that readers see, by their ids.
fn by_key(job: &Job) -> Vec<String> {
    let mut records = job.view().records();
    records.sort_by_key(|record| {
        let record: Value = serde_json::from_str(record).expect("a record");
        record["id"].as_u64()
    });
    records
}

fn told(run: &Run) -> String {
    format!("{}{}", run.stdout, run.stderr)
}
