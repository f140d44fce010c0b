//! The one run in which files change hands: what an earlier script left is somebody's data until it is kept elsewhere.
//!
//! Its readers open `latest.json` all the while: they find what the script wrote last, or our first set.

use std::fs;
use std::path::PathBuf;

use super::calls::{Call, OUTPUT};
use super::faults::{Comes, ERRORS, comes_to, tells_as_it_must};
use super::protocol;
use super::scenario::Scenario;
use super::sweep::Drawn;

/// What the earlier script left, and what is in it.
const THEIRS: [(&str, &str); 2] = [
    ("latest.json", "[\"theirs\"]"),
    ("state.json", "{\"last_sync\":1}"),
];
/// What one left that went on after our first runs; a folder cannot have a second name, and is moved.
const THEIRS_LATER: [(&str, &str); 2] = [
    ("latest.json", "[\"theirs\"]"),
    ("state.json/orders", "{\"last_sync\":2}"),
];
/// Where they are kept.
const KEPT_IN: &str = "before-tidegate";

#[test]
fn a_run_that_adopts_killed_at_any_call_loses_nothing_of_the_earlier_script() {
    let mut world = World::first();
    let targets = world.targets();
    for &at in &targets {
        world.killed_at(at);
    }
    world.tell("killed", targets.len());
}

#[test]
fn an_error_at_any_call_of_a_run_that_adopts_loses_nothing_of_the_earlier_script() {
    let mut world = World::first();
    let targets = world.targets();
    let drawn = Drawn::of_this_process();
    let mut times = 0;
    for (nth, error) in ERRORS.into_iter().enumerate() {
        for &at in targets.iter().filter(|at| drawn.returns(nth, **at)) {
            world.refused_at(at, error);
            times += 1;
        }
    }
    world.tell(&format!("{drawn}, refused {times} times"), targets.len());
}

#[test]
fn a_run_that_adopts_among_generations_loses_nothing_of_the_earlier_script() {
    let mut world = World::later();
    let adopting = world.about_theirs();
    assert!(adopting.len() > 10, "the calls about the earlier script's");
    for &at in &adopting {
        world.killed_at(at);
        world.refused_at(at, "EIO");
    }
    world.tell("killed and refused", adopting.len());
}

#[test]
fn what_is_adopted_survives_a_power_cut() {
    // Kept, swapped, gone; and what could not have a second name is synced after its move.
    for (mut world, syncs) in [(World::first(), 3), (World::later(), 4)] {
        let calls = world.scenario.recorded();
        assert_eq!(world.lost(&calls), [""; 0], "{}", world.scenario.name);

        let swap = protocol::swap(&calls).expect("the run swaps");
        let needed: Vec<usize> = (0..calls.len())
            .filter(|&at| {
                calls[at].is("fsync", KEPT_IN) || at > swap && calls[at].is("fsync", OUTPUT)
            })
            .collect();
        for &at in &needed {
            let mut without = calls.clone();
            let call = without.remove(at);
            assert_ne!(
                world.lost(&without),
                [""; 0],
                "{}: nobody misses {call}",
                world.scenario.name
            );
        }
        assert_eq!(needed.len(), syncs, "{}", world.scenario.name);
    }
}

/// A scenario in which a run adopts, and what it adopts.
struct World {
    scenario: Scenario,
    recorded: Vec<Call>,
    theirs: [(&'static str, &'static str); 2],
}

impl World {
    fn first() -> Self {
        Self::begin(Scenario::adopt(&THEIRS), THEIRS)
    }

    fn later() -> Self {
        Self::begin(Scenario::adopt_again(&THEIRS_LATER), THEIRS_LATER)
    }

    fn begin(mut scenario: Scenario, theirs: [(&'static str, &'static str); 2]) -> Self {
        let recorded = scenario.recorded();
        Self {
            scenario,
            recorded,
            theirs,
        }
    }

    /// The calls about what the earlier script left.
    fn about_theirs(&self) -> Vec<usize> {
        let is_theirs = |path: &String| {
            [KEPT_IN, "latest.json", "state.json", ".latest-"]
                .iter()
                .any(|name| path.starts_with(name))
        };
        let calls = self.recorded.iter().enumerate();
        let about = calls.filter(|(_, call)| call.paths.iter().any(is_theirs));
        about.map(|(at, _)| at).collect()
    }

    /// Those, and of the others what any scenario aims at.
    fn targets(&self) -> Vec<usize> {
        let drawn = self.scenario.targets(&self.recorded);
        let mut targets: Vec<usize> = drawn.into_iter().map(|(at, _)| at).collect();
        targets.extend(self.about_theirs());
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    fn killed_at(&mut self, at: usize) {
        let printed = self.scenario.hit(&self.recorded, at, "signal=SIGKILL");
        let told = format!("{}, killed at {}", self.scenario.name, self.recorded[at]);

        assert_eq!(printed.code, None, "{told}: it ended by itself");
        let swap = protocol::swap(&self.recorded).expect("the run swaps");
        // The kill comes before the call is made.
        self.loses_nothing(at > swap, &told);
        self.goes_on(&told);
    }

    fn refused_at(&mut self, at: usize, error: &str) {
        let how = format!("error={error}");
        let printed = self.scenario.hit(&self.recorded, at, &how);
        let told = format!(
            "{}, {error} at {}\n{printed:?}",
            self.scenario.name, self.recorded[at]
        );

        let comes = comes_to(&self.recorded, at);
        tells_as_it_must(&self.scenario, comes, &printed, &told);
        self.loses_nothing(comes != Comes::ToFailure, &told);
        self.goes_on(&told);
    }

    /// Readers of `latest.json` see the script's set, or, once we have published, ours; what was theirs is still there.
    fn loses_nothing(&self, published: bool, told: &str) {
        let view = self.scenario.view();
        if published {
            assert_ne!(
                view.generation, self.scenario.before.generation,
                "{told}: the new generation is not in place"
            );
            let latest = view.file("latest.json");
            assert!(
                [self.theirs[0].1, &self.scenario.after.data]
                    .map(Some)
                    .contains(&latest),
                "{told}: readers see {latest:?}"
            );
        } else {
            assert_eq!(
                view, self.scenario.before,
                "{told}: readers see something new"
            );
        }
        assert!(
            self.scenario.old_generation_is_readable(),
            "{told}: the old generation is damaged"
        );
        for (name, text) in self.theirs {
            let is_it = |path: PathBuf| fs::read_to_string(path).is_ok_and(|found| found == text);
            assert!(
                is_it(self.scenario.output().join(name)) || is_it(self.kept().join(name)),
                "{told}: {name} is lost"
            );
        }
    }

    /// Whoever leaves `--adopt` out is told, or has no need of it; with it all ends as if nothing had been.
    fn goes_on(&mut self, told: &str) {
        let without = self.scenario.next_run_without("--adopt");
        if without.code != Some(0) {
            without.exits(73).stderr_has("run once with `--adopt`");
        }
        self.scenario.next_run_mends_all(told);
        for (name, text) in self.theirs {
            let found = fs::read_to_string(self.kept().join(name));
            assert_eq!(
                found.ok().as_deref(),
                Some(text),
                "{told}: {name} is not kept"
            );
        }
        let kept = fs::read_dir(self.kept()).expect("a folder").count();
        assert_eq!(kept, self.theirs.len(), "{told}: something is kept twice");
    }

    /// What a power cut during these calls could take, in words: a kernel writes what was not synced in any order.
    fn lost(&self, calls: &[Call]) -> Vec<String> {
        let swap = protocol::swap(calls).expect("the run swaps");
        let synced = |path: &str, after: usize, before: usize| {
            (after..before).any(|at| calls[at].is("fsync", path))
        };
        let position = |is: &dyn Fn(&Call) -> bool| (0..calls.len()).find(|&at| is(&calls[at]));
        let made = position(&|call| call.is("mkdirat", KEPT_IN)).expect("the folder is made");
        let told = position(&|call| call.is("write", "stdout") && call.args.contains("finished"))
            .expect("the end is told");
        let mut lost = Vec::new();
        let mut ask = |holds: bool, what: String| {
            if !holds {
                lost.push(what);
            }
        };
        for (name, _) in self.theirs {
            let name = name.split('/').next().expect("a name");
            let kept = format!("{KEPT_IN}/{name}");
            let entered = position(&|call| {
                ["linkat", "renameat"].contains(&call.name.as_str())
                    && call.paths[1] == kept
                    && call.is(&call.name, name)
            });
            let entered = entered.unwrap_or_else(|| panic!("{name} gets its place"));
            let gone = position(&|call| {
                call.is("unlinkat", name)
                    || call.is("renameat", name)
                    || call.name == "renameat" && call.paths[1] == name
            });
            let gone = gone.unwrap_or_else(|| panic!("{name} leaves our way"));
            ask(
                synced(OUTPUT, made, gone),
                format!("{KEPT_IN}/ with {name}"),
            );
            ask(
                entered == gone || synced(KEPT_IN, entered, gone),
                format!("{kept}, and its old name goes"),
            );
            ask(
                synced(KEPT_IN, entered, told),
                format!("{kept}, in the end"),
            );
            ask(
                synced(OUTPUT, swap, gone),
                format!("the swap, and {name} with it"),
            );
            ask(synced(OUTPUT, gone, told), format!("that {name} went"));
        }
        lost
    }

    fn kept(&self) -> PathBuf {
        self.scenario.output().join(KEPT_IN)
    }

    fn tell(&self, how: &str, times: usize) {
        let calls = self.recorded.len();
        self.scenario
            .tell(&format!("{how} at {times} of its {calls} calls"));
    }
}
