//! SIGKILL at every file-system call of a run.
//!
//! After each: readers see the old set or the new one, whole, and which of them is decided by the swap alone, or by what
//! a database calls its commit; the next run
//! ends as if nothing had been.

use super::protocol;
use super::scenario::{Content, Scenario};
use super::sweep::Drawn;
use crate::world::Place;
use crate::world::place::at;

at! {
    every place:
    a_first_run_killed_at_any_call_shows_all_or_nothing
    an_upsert_run_killed_at_any_call_shows_the_old_set_or_the_new_one
}

at! {
    a_run_that_keeps_a_history_killed_at_any_call_keeps_all_or_nothing at sqlite postgres;
    a_run_with_nothing_new_killed_at_any_call_shows_the_same_set at json sqlite postgres;
    a_first_append_run_killed_at_any_call_shows_all_or_nothing at ndjson csv sqlite postgres;
    an_append_run_killed_at_any_call_shows_what_it_appended_or_not at ndjson csv sqlite postgres;
}

fn a_first_run_killed_at_any_call_shows_all_or_nothing(place: Place) {
    kill_at_every_call(Scenario::first_run(place));
}

fn an_upsert_run_killed_at_any_call_shows_the_old_set_or_the_new_one(place: Place) {
    kill_at_every_call(Scenario::upsert(place));
}

fn a_run_that_keeps_a_history_killed_at_any_call_keeps_all_or_nothing(place: Place) {
    kill_at_every_call(Scenario::upsert_with_history(place));
}

fn a_run_with_nothing_new_killed_at_any_call_shows_the_same_set(place: Place) {
    kill_at_every_call(Scenario::nothing_new(place));
}

fn a_first_append_run_killed_at_any_call_shows_all_or_nothing(place: Place) {
    kill_at_every_call(Scenario::first_append(place));
}

fn an_append_run_killed_at_any_call_shows_what_it_appended_or_not(place: Place) {
    kill_at_every_call(Scenario::append(place));
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
fn an_append_run_after_a_set_killed_at_any_call_shows_the_set_or_the_segment() {
    kill_at_every_call(Scenario::append_to_a_set());
}

#[test]
fn a_run_killed_while_its_component_writes_shows_the_old_set() {
    let mut scenario = Scenario::upsert(Place::Json);
    // Whichever of them a processor's library uses to write at an offset.
    let kills: Vec<&str> = ["pwrite64", "pwritev", "pwritev2"]
        .into_iter()
        .filter(|call| {
            let printed = scenario.hit_any_thread(call, "signal=SIGKILL:when=1");
            // It is the component's process that writes there: the run lives, and says what became of it.
            let killed = printed.stderr.contains("signal 9 ended it");
            if killed {
                assert_eq!(printed.code, Some(70), "{printed:?}");
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
    let commit =
        (!scenario.place().is_table()).then(|| protocol::swap(&recorded).expect("the run swaps"));
    let targets = scenario.targets(&recorded);
    let mut first_new = None;
    for &(at, target) in &targets {
        let printed = scenario.hit(&recorded, at, "signal=SIGKILL");
        let told = format!("{}, killed at {target}", scenario.name);

        assert_eq!(printed.code, None, "{told}: it ended by itself");
        // Which of a database's calls commits is its own business, but what is committed stays so.
        let is_new = scenario.view() != scenario.before;
        // The kill comes before the call is made.
        let wanted = commit.map_or(is_new || first_new.is_some(), |swap| at > swap);
        is_seen(&scenario, wanted, &told);
        if is_new {
            first_new.get_or_insert(at);
        }
        assert!(
            scenario.old_generation_is_readable(),
            "{told}: the old generation is damaged"
        );
        scenario.next_run_mends_all(&told);
    }
    let first = first_new.expect("some kills came after the commit");
    scenario.tell(&format!(
        "killed at {} of its {} calls, from call {first} on after the commit; {}",
        targets.len(),
        recorded.len(),
        Drawn::of_this_process()
    ));
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
