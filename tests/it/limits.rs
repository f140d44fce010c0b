//! Components that take what they are not given, or say what is not so: each is refused, with the old generation intact.
//!
//! What they do is in `tests/guests`; the rows of the exit-code table that belong to a component are in `exit_codes`.

mod memory;
mod network;
mod staging;
mod words;

use std::time::Duration;

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::world::{Job, Run, guests};

const ONE: &str = r#"[{"id":1}]"#;
const MIB: u64 = 1024 * 1024;

/// Runs the misbehaving component, which must fail like this and leave what was published.
fn is_refused(behaviour: &str, outcome: Outcome, told: &str) -> Run {
    let run = Job::misbehaving(behaviour).old(ONE).run();

    run.exits(outcome).publishes_nothing().stderr_has(told);
    run
}

/// The same for one that breaks the contract.
fn breaks_the_contract(behaviour: &str, told: &str) {
    is_refused(behaviour, Outcome::ComponentFailed, told);
}

#[test]
fn a_loop_ends_at_the_deadline_too() {
    let mut job = Job::misbehaving("loop").old(ONE).set("RUN_DEADLINE", "30s");
    job = job.then(|job| job.set("RUN_DEADLINE", "1s"));

    let run = job.run();

    run.exits(Outcome::TryLater)
        .publishes_nothing()
        .stderr_has("RUN_DEADLINE");
    assert!(run.took < Duration::from_secs(20), "{:?}", run.took);
}

#[test]
fn a_component_that_sleeps_ends_at_the_deadline_and_uses_no_cpu() {
    let run = Job::misbehaving("sleep").set("RUN_DEADLINE", "2s").run();

    run.exits(Outcome::TryLater).stderr_has("RUN_DEADLINE");
    assert!(
        run.summary()["component_cpu_ms"]
            .as_u64()
            .is_some_and(|cpu_ms| cpu_ms < 1_000),
        "{}",
        run.stdout
    );
}

#[test]
fn endless_recursion_is_a_trap() {
    is_refused("recurse", Outcome::ComponentFailed, "call stack exhausted");
}

#[test]
fn a_panic_says_why_in_the_log_or_traps_without_a_word() {
    is_refused("panic", Outcome::ComponentFailed, "trapped");
}

#[test]
fn describe_has_limits_of_its_own() {
    // On a busy machine the seconds may be over before the CPU time is.
    for (word, told) in [
        ("loop", "the component"),
        ("memory", "memory"),
        ("trap", "trapped"),
    ] {
        let run = Job::new()
            .component(&guests::describing(word))
            .old(ONE)
            .run();

        run.exits(Outcome::ComponentFailed)
            .asked(0)
            .publishes_nothing()
            .stderr_has(told);
    }
}

#[test]
fn a_description_that_cannot_be_used_is_refused() {
    for (word, told) in [("crowd", "200"), ("rename", "unusable name")] {
        let run = Job::new()
            .component(&guests::describing(word))
            .old(ONE)
            .run();

        run.exits(Outcome::Settings)
            .asked(0)
            .publishes_nothing()
            .stderr_has(told);
    }
}

#[test]
fn counts_that_are_not_true_break_the_contract() {
    for behaviour in [
        "count-too-many",
        "count-too-few",
        "count-deleted",
        "count-rejected",
    ] {
        breaks_the_contract(behaviour, "contract");
    }
}

#[test]
fn an_extent_that_is_not_true_breaks_the_contract() {
    breaks_the_contract("call-everything-changes", "reported `changes`");
    breaks_the_contract("stage-under-nothing-new", "nothing");
    breaks_the_contract("delete-unannounced", "staged deletions");
}

#[test]
fn a_state_that_cannot_be_kept_breaks_the_contract() {
    for behaviour in [
        "return-a-huge-state",
        "return-a-state-that-is-no-json",
        "return-an-empty-state",
    ] {
        breaks_the_contract(behaviour, "state");
    }
}

#[test]
fn files_that_were_not_agreed_are_refused() {
    breaks_the_contract("stage-one-file-more", "latest.json");
}

#[test]
fn lines_that_are_not_one_record_each_are_refused() {
    let behaviours = [
        "stage-a-number",
        "stage-an-array",
        "stage-two-on-a-line",
        "stage-half-a-record",
        "stage-no-utf-8",
        "stage-an-empty-line",
    ];
    for behaviour in behaviours {
        breaks_the_contract(behaviour, "records.ndjson");
    }
}

#[test]
fn staging_nothing_and_saying_so_is_an_empty_set() {
    Job::misbehaving("stage-nothing")
        .run()
        .exits(Outcome::Published)
        .publishes(&json!([]));
}

#[test]
fn no_name_leads_out_of_the_staging_folder() {
    let run = Job::misbehaving("reach-outside").run();

    run.exits(Outcome::Published).publishes(&json!([]));
}

#[test]
fn a_flood_of_log_lines_is_cut_and_counted() {
    let run = Job::misbehaving("flood-the-log").run();

    run.exits(Outcome::Published);
    assert!(run.events("component").len() <= 10_000);
    assert!(
        run.stdout.len() < 8 * 1024 * 1024,
        "{} bytes of log",
        run.stdout.len()
    );
    assert_eq!(run.events("component log cut").len(), 1);
}

#[test]
fn a_long_log_line_is_cut() {
    let run = Job::misbehaving("log-a-long-line").run();

    run.exits(Outcome::Published);
    assert!(
        run.stdout.len() < 64 * 1024,
        "{} bytes of log",
        run.stdout.len()
    );
    assert!(
        run.memory_peak_bytes < 128 * MIB,
        "{} MiB",
        run.memory_peak_bytes / MIB
    );
}

#[test]
fn a_log_line_is_text_and_never_a_line_of_ours() {
    // That nothing printed can steer a terminal is checked after every run.
    let run = Job::misbehaving("forge-log-lines").run();

    run.exits(Outcome::Published);
    assert!(run.events("component").len() >= 2, "{}", run.stdout);
}

#[test]
fn an_error_is_one_line_whatever_a_component_puts_into_it() {
    let run = is_refused("forge-an-error", Outcome::SourceRefused, "all is well");

    assert_eq!(run.last_run()["exit_code"], 69);
}

#[test]
fn a_cursor_is_shown_without_its_control_characters() {
    let run = Job::misbehaving("forge-the-cursor").run();

    run.exits(Outcome::Published);
}
