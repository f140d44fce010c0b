//! SIGKILL at every file-system call of a run.
//!
//! After each: readers see the old set or the new one, whole, and which of them is decided by the swap alone; the next run
//! ends as if nothing had been.

use super::protocol;
use super::scenario::{Content, Scenario};

#[test]
fn a_first_run_killed_at_any_call_shows_all_or_nothing() {
    kill_at_every_call(Scenario::first_run());
}

#[test]
fn an_upsert_run_killed_at_any_call_shows_the_old_set_or_the_new_one() {
    kill_at_every_call(Scenario::upsert());
}

#[test]
fn a_run_with_nothing_new_killed_at_any_call_shows_the_same_set() {
    kill_at_every_call(Scenario::nothing_new());
}

#[test]
fn a_run_with_the_same_records_again_killed_at_any_call_shows_the_same_set() {
    kill_at_every_call(Scenario::again());
}

#[test]
fn a_run_that_mends_what_a_killed_one_left_may_be_killed_as_well() {
    kill_at_every_call(Scenario::after_a_killed_run());
}

#[test]
fn a_first_append_run_killed_at_any_call_shows_all_or_nothing() {
    kill_at_every_call(Scenario::first_append());
}

#[test]
fn an_append_run_killed_at_any_call_shows_its_segment_or_not() {
    kill_at_every_call(Scenario::append());
}

#[test]
fn an_append_run_after_a_set_killed_at_any_call_shows_the_set_or_the_segment() {
    kill_at_every_call(Scenario::append_to_a_set());
}

#[test]
fn a_run_killed_while_its_component_writes_shows_the_old_set() {
    let mut scenario = Scenario::upsert();
    // Whichever of them a processor's library uses to write at an offset.
    let kills: Vec<&str> = ["pwrite64", "pwritev", "pwritev2"]
        .into_iter()
        .filter(|call| {
            let printed = scenario.hit_any_thread(call, "signal=SIGKILL:when=1");
            let killed = printed.code.is_none();
            if killed {
                assert_eq!(scenario.view(), scenario.before, "killed at {call}");
            }
            scenario.next_run_mends_all(&format!("killed at {call} of any thread"));
            killed
        })
        .collect();

    assert_ne!(kills, [""; 0], "the component's writes were not found");
}

fn kill_at_every_call(mut scenario: Scenario) {
    let recorded = scenario.recorded();
    let swap = protocol::swap(&recorded).expect("the run swaps");
    for (at, target) in recorded.iter().enumerate() {
        let printed = scenario.hit(&recorded, at, "signal=SIGKILL");
        let told = format!("{}, killed at {target}", scenario.name);

        assert_eq!(printed.code, None, "{told}: it ended by itself");
        // The kill comes before the call is made.
        is_seen(&scenario, at > swap, &told);
        assert!(
            scenario.old_generation_is_readable(),
            "{told}: the old generation is damaged"
        );
        scenario.next_run_mends_all(&told);
    }
    scenario.tell(&format!("killed at each of its {} calls", recorded.len()));
}

/// Readers see the set of before the run, or of after it.
pub fn is_seen(scenario: &Scenario, new: bool, told: &str) {
    let view = scenario.view();
    if new {
        assert_ne!(
            view.generation, scenario.before.generation,
            "{told}: the new generation is not in place"
        );
        assert_eq!(
            Content::of(&view).as_ref(),
            Some(&scenario.after),
            "{told}: readers see something else"
        );
    } else {
        assert_eq!(view, scenario.before, "{told}: readers see something new");
    }
}
