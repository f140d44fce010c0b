//! An error at every file-system call of a run: a broken disk and a full one.
//!
//! Before the swap the run fails and readers see what they saw. From the swap to the sync that makes it last, nobody knows,
//! and the run says so. What comes after is done as well as it can be, and so is what only people read.

use serde_json::Value;

use super::calls::{Call, OUTPUT};
use super::kills::is_seen;
use super::protocol;
use super::scenario::{LEFT_BY, Scenario};
use super::sweep::Drawn;
use crate::world::place::at;
use crate::world::{Place, Printed};

/// A table: which of a database's calls commits is its own business.
mod table;

/// The errors of a broken disk and of a full one.
pub const ERRORS: [&str; 2] = ["EIO", "ENOSPC"];

/// The calls that change a folder, or see to it that a change stays.
const CHANGES: [&str; 6] = [
    "fsync",
    "mkdirat",
    "linkat",
    "symlinkat",
    "renameat",
    "unlinkat",
];

/// What an error at a call comes to.
#[expect(
    clippy::enum_variant_names,
    reason = "`Comes::ToFailure` reads as what it says"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comes {
    /// 74, and readers see what they saw.
    ToFailure,
    /// 74, and `committed` is `unknown`.
    ToDoubt,
    /// 0 and a warning.
    ToWarning(&'static str),
    /// 0, and a warning if an old generation is still there that should have gone.
    ToUntidiness,
    /// 0: it is made up for, here or by the next run, or is for people only.
    ToNothing,
}

impl Comes {
    fn code(self) -> i32 {
        match self {
            Self::ToFailure | Self::ToDoubt => 74,
            Self::ToWarning(_) | Self::ToUntidiness | Self::ToNothing => 0,
        }
    }

    fn committed(self) -> &'static str {
        match self {
            Self::ToFailure => "no",
            Self::ToDoubt => "unknown",
            Self::ToWarning(_) | Self::ToUntidiness | Self::ToNothing => "yes",
        }
    }
}

at! {
    every place:
    an_error_at_any_call_of_a_first_run_is_told_and_nothing_is_seen
    an_error_at_any_call_of_an_upsert_run_leaves_the_old_set
}

at! {
    an_error_at_any_call_of_a_run_with_nothing_new_leaves_the_old_set at json sqlite postgres;
    an_error_at_any_call_of_a_first_append_run_is_told_and_nothing_is_seen at ndjson csv sqlite postgres;
    an_error_at_any_call_of_an_append_run_leaves_what_was_appended at ndjson csv sqlite postgres;
}

fn an_error_at_any_call_of_a_first_run_is_told_and_nothing_is_seen(place: Place) {
    fail_every_call(Scenario::first_run(place));
}

fn an_error_at_any_call_of_an_upsert_run_leaves_the_old_set(place: Place) {
    fail_every_call(Scenario::upsert(place));
}

fn an_error_at_any_call_of_a_run_with_nothing_new_leaves_the_old_set(place: Place) {
    fail_every_call(Scenario::nothing_new(place));
}

fn an_error_at_any_call_of_a_first_append_run_is_told_and_nothing_is_seen(place: Place) {
    fail_every_call(Scenario::first_append(place));
}

fn an_error_at_any_call_of_an_append_run_leaves_what_was_appended(place: Place) {
    fail_every_call(Scenario::append(place));
}

#[test]
fn an_error_at_any_call_of_a_run_with_the_same_records_again_leaves_the_old_set() {
    fail_every_call(Scenario::again());
}

#[test]
fn an_error_at_any_call_of_a_run_after_a_killed_one_leaves_the_old_set() {
    fail_every_call(Scenario::after_a_killed_run());
}

#[test]
fn a_disk_that_stays_broken_from_any_call_leaves_the_old_set() {
    let mut scenario = Scenario::upsert(Place::Json);
    let recorded = scenario.recorded();
    // Not writes: the wake-ups of other threads would fail as well.
    let targets: Vec<(usize, &Call)> = recorded
        .iter()
        .enumerate()
        .filter(|(_, call)| CHANGES.contains(&call.name.as_str()))
        .collect();
    for &(at, target) in &targets {
        let printed = scenario.hit_from(&recorded, at, "error=EIO");
        let told = format!("EIO from {target} on\n{}{}", printed.stdout, printed.stderr);
        let comes = comes_to(&recorded, at);

        assert_eq!(printed.code, Some(comes.code()), "{told}: {comes:?}");
        is_seen(&scenario, comes != Comes::ToFailure, &told);
        assert!(
            scenario.old_generation_is_readable(),
            "{told}: the old generation is damaged"
        );
        scenario.next_run_mends_all(&told);
    }
    scenario.tell(&format!(
        "every later call fails as well, from each of {} calls",
        targets.len()
    ));
}

fn fail_every_call(mut scenario: Scenario) {
    let recorded = scenario.recorded();
    let targets = scenario.targets(&recorded);
    let drawn = Drawn::of_this_process();
    let (mut failed, mut unknown) = (0, 0);
    for (nth, error) in ERRORS.into_iter().enumerate() {
        for &(at, target) in &targets {
            let take_turns = drawn == Drawn::All && !returns_both(scenario.place());
            if !drawn.returns(nth, at) || take_turns && at % ERRORS.len() != nth {
                continue;
            }
            let printed = scenario.hit(&recorded, at, &format!("error={error}"));
            let told = format!(
                "{}, {error} at {target}\n{}{}",
                scenario.name, printed.stdout, printed.stderr
            );

            if scenario.place().is_table() {
                unknown += usize::from(table::ends_as_it_says(&scenario, &printed, &told));
            } else {
                ends_as_it_must(&scenario, comes_to(&recorded, at), &printed, &told);
            }
            assert!(
                scenario.old_generation_is_readable(),
                "{told}: the old generation is damaged"
            );
            scenario.next_run_mends_all(&told);
            failed += usize::from(printed.code != Some(0));
        }
    }
    scenario.tell(&format!(
        "EIO or ENOSPC at {} of its {} calls: {failed} failed, {unknown} of them with `committed: unknown` by a table; {}",
        targets.len(),
        recorded.len(),
        drawn
    ));
}

/// Whether every call returns both errors where all calls are disturbed. At other places, which share this code, they take turns.
fn returns_both(place: Place) -> bool {
    matches!(place, Place::Json | Place::Sqlite)
}

fn ends_as_it_must(scenario: &Scenario, comes: Comes, printed: &Printed, told: &str) {
    tells_as_it_must(scenario, comes, printed, told);
    // A swap that gave an error was not made here, and its own error does not say so: it is asked for.
    is_seen(scenario, comes != Comes::ToFailure, told);
}

/// The exit code, the log and what cron mails say what the error came to.
pub fn tells_as_it_must(scenario: &Scenario, comes: Comes, printed: &Printed, told: &str) {
    let (code, committed) = (comes.code(), comes.committed());
    assert_eq!(printed.code, Some(code), "{told}: {comes:?}");
    let events: Vec<Value> = printed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    if let Some(summary) = events.iter().find(|event| event["msg"] == "run finished") {
        assert_eq!(summary["exit_code"], code, "{told}");
        assert_eq!(summary["committed"], committed, "{told}");
    } else {
        assert_eq!(comes, Comes::ToNothing, "{told}: there is no summary");
    }
    // It is written where there is a folder to write it into.
    if comes != Comes::ToWarning("last-run.json not written") && scenario.output().exists() {
        let last_run = scenario.last_run();
        assert_eq!(last_run["exit_code"], code, "{told}: in last-run.json");
        assert_eq!(last_run["committed"], committed, "{told}: in last-run.json");
    }
    let warned = |of: &str| {
        let of_it = |event: &Value| {
            event["level"] == "warn" && event["msg"].as_str().is_some_and(|msg| msg.starts_with(of))
        };
        events.iter().any(of_it)
    };
    match comes {
        Comes::ToWarning(warning) => {
            assert!(warned(warning), "{told}: there is no warning `{warning}`");
        }
        Comes::ToUntidiness if scenario.generations().len() > scenario.kept => {
            assert!(
                warned("old generation"),
                "{told}: an old generation stays without a warning"
            );
        }
        _ => {}
    }
    let lines: Vec<&str> = printed.stderr.lines().collect();
    assert_eq!(
        lines.len(),
        usize::from(code != 0),
        "{told}: cron mails failures, and one line of each"
    );
}

/// What an error at the call with this number must come to.
pub fn comes_to(recorded: &[Call], at: usize) -> Comes {
    let swap = protocol::swap(recorded).expect("the run swaps");
    let lasts = recorded
        .iter()
        .rposition(|call| call.is("fsync", OUTPUT))
        .expect("the swap is synced");
    let call = &recorded[at];
    let path = call.paths.last().map_or("", String::as_str);
    match path {
        // What is closed has been synced, if it had to be.
        _ if call.name == "close" => Comes::ToNothing,
        "stdout" | "stderr" => Comes::ToNothing,
        // Who holds the lock is written down for people.
        ".lock" if ["ftruncate", "write"].contains(&call.name.as_str()) => Comes::ToNothing,
        _ if at < swap && path.contains(LEFT_BY) => {
            Comes::ToWarning("leftover of a killed run not removed")
        }
        _ if at < swap && is_a_second_thought(recorded, at) => Comes::ToNothing,
        _ if at <= swap => Comes::ToFailure,
        _ if at <= lasts => Comes::ToDoubt,
        "refused.ndjson" => Comes::ToWarning("rejected records of an earlier run not removed"),
        _ if call.name == "utimensat" => Comes::ToWarning("modification time not set"),
        _ if path == "last-run.json" || path.starts_with(".last-run-") => {
            Comes::ToWarning("last-run.json not written")
        }
        // Whether it is still the same is looked at again.
        "runs.ndjson" if call.name == "newfstatat" => Comes::ToNothing,
        "runs.ndjson" => Comes::ToWarning("runs.ndjson not written"),
        // The next run removes it.
        _ if path.starts_with(".staging-") => Comes::ToNothing,
        _ => Comes::ToUntidiness,
    }
}

/// Whether the call belongs to the attempt to publish the last generation's file in place of equal bytes that were just
/// written. Those are good.
fn is_a_second_thought(recorded: &[Call], at: usize) -> bool {
    let is_tried = |call: &Call| {
        call.name == "linkat"
            && call.paths[1].starts_with(".staging-")
            && !call.paths[1].contains("/gen/")
    };
    let tried = recorded.iter().position(is_tried);
    let written = recorded
        .iter()
        .position(|call| call.name == "write" && call.paths[0].contains("/gen/latest."));
    tried.is_some_and(|tried| at <= tried) && written.is_some_and(|written| at > written)
}
