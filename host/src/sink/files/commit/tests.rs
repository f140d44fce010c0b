//! What readers see after a commit, and after one that could not be made.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::time::Duration;

use super::*;
use crate::folder::lock;
use crate::settings::data_file::OutputFormat;
use crate::settings::plan::WriteMode;
use crate::sink::Extent::Everything;
use crate::sink::files::pins::Pins;
use crate::sink::files::retire::{Keep, retire, retire_at};
use crate::sink::tests::world::{Left, World};
use crate::sink::{Restated, Sink as _};

fn world() -> World {
    World::new(WriteMode::Replace, OutputFormat::Json, &[])
}

fn publish(world: &mut World, value: &str) -> Result<Commit, Failure> {
    world
        .run(Everything, &Left::records(&format!("{{\"v\":{value}}}\n")))
        .map(|(commit, _)| commit)
}

fn generations(world: &World) -> Vec<String> {
    world
        .folder()
        .folder(GENERATIONS)
        .unwrap()
        .unwrap()
        .names(|_| true)
        .unwrap()
}

#[test]
fn the_folder_is_as_the_readme_says() {
    let mut world = world();

    let commit = publish(&mut world, "1").unwrap();

    assert_eq!(
        world.names(),
        [".lock", "current", "generations", "latest.json"]
    );
    assert_eq!(
        std::fs::read_link(world.path("latest.json"))
            .unwrap()
            .to_str(),
        Some("current/latest.json")
    );
    let current = std::fs::read_link(world.path("current")).unwrap();
    assert_eq!(
        current.to_str(),
        Some(&*format!("generations/{}", commit.generation))
    );
    assert_eq!(world.text("latest.json"), "[\n{\"v\":1}\n]\n");
}

#[test]
fn the_manifest_says_what_was_published() {
    let mut world = world();
    let first = publish(&mut world, "1").unwrap();
    publish(&mut world, "2").unwrap();

    let manifest = world.current().unwrap().unwrap().manifest;

    assert_eq!((manifest.format, manifest.generation), (1, 2));
    assert_eq!(manifest.parent, Some(first.generation));
    assert_eq!(manifest.state, "{\"v\":1,\"run\":2}");
    assert_eq!(
        manifest.files["latest.json"].sha256,
        crate::hash::sha256(world.text("latest.json").as_bytes())
    );
    assert!(manifest.finished.parse::<Timestamp>().unwrap() >= manifest.started.parse().unwrap());
}

#[test]
fn output_mode_is_the_data_file_s_mode() {
    let mut world = world();
    world.output.file_mode = Some(0o604);

    publish(&mut world, "1").unwrap();

    assert_eq!(
        std::fs::metadata(world.path("latest.json")).unwrap().mode() & 0o777,
        0o604
    );
    assert_eq!(
        std::fs::metadata(world.path("current")).unwrap().mode() & 0o777,
        0o705
    );
}

#[test]
fn a_run_that_is_stopped_leaves_nothing_behind() {
    let mut world = world();
    publish(&mut world, "1").unwrap();
    let before = (world.names(), generations(&world));
    world.meanwhile = |_| Err(Failure::new(Outcome::Terminated, "stopped"));

    let failure = publish(&mut world, "2").unwrap_err();

    assert_eq!(
        (failure.outcome, failure.committed),
        (Outcome::Terminated, Committed::No)
    );
    assert_eq!((world.names(), generations(&world)), before);
}

#[test]
fn a_stop_is_heeded_until_just_before_the_swap() {
    let mut world = world();
    publish(&mut world, "1").unwrap();
    world.meanwhile = |output| {
        let moved_in = std::fs::read_dir(output.join(GENERATIONS)).unwrap().count() == 2;
        if moved_in {
            Err(Failure::new(Outcome::TryLater, "deadline"))
        } else {
            Ok(())
        }
    };

    assert_eq!(
        publish(&mut world, "2").unwrap_err().outcome,
        Outcome::TryLater
    );

    assert_eq!(world.text("latest.json"), "[\n{\"v\":1}\n]\n");
    assert_eq!(generations(&world).len(), 1);
}

#[test]
fn a_current_that_moved_meanwhile_is_not_overwritten() {
    let mut world = world();
    publish(&mut world, "1").unwrap();
    publish(&mut world, "2").unwrap();
    world.meanwhile = |output| {
        let mut all: Vec<_> = std::fs::read_dir(output.join(GENERATIONS))
            .unwrap()
            .flatten()
            .map(|e| e.file_name())
            .collect();
        all.sort();
        let _ = std::fs::remove_file(output.join(CURRENT));
        let _ = symlink(
            std::path::Path::new(GENERATIONS).join(&all[0]),
            output.join(CURRENT),
        );
        Ok(())
    };

    let failure = publish(&mut world, "3").unwrap_err();

    assert_eq!(failure.outcome, Outcome::TryLater);
    assert!(
        failure
            .message
            .contains("somebody else published meanwhile"),
        "{failure}"
    );
    assert_eq!(world.text("latest.json"), "[\n{\"v\":1}\n]\n");
}

#[test]
fn a_lock_file_that_was_removed_meanwhile_stops_the_commit() {
    let mut world = world();
    publish(&mut world, "1").unwrap();
    world.meanwhile = |output| {
        let _ = std::fs::remove_file(output.join(".lock"));
        Ok(())
    };

    let failure = publish(&mut world, "2").unwrap_err();

    assert_eq!(failure.outcome, Outcome::OutputUnusable);
    assert_eq!(world.text("latest.json"), "[\n{\"v\":1}\n]\n");
}

#[test]
fn an_earlier_script_s_files_are_refused_then_adopted() {
    let mut world = world();
    std::fs::write(world.path("latest.json"), "[1]").unwrap();
    std::fs::write(world.path("state.json"), "{}").unwrap();

    let failure = publish(&mut world, "1").unwrap_err();
    assert_eq!(failure.outcome, Outcome::OutputUnusable);
    assert_eq!(world.text("latest.json"), "[1]");

    world.adopt = true;
    publish(&mut world, "1").unwrap();

    assert_eq!(
        world.names(),
        [
            ".lock",
            "before-tidegate",
            "current",
            "generations",
            "latest.json"
        ]
    );
    assert_eq!(world.text("latest.json"), "[\n{\"v\":1}\n]\n");
    assert_eq!(world.text("before-tidegate/latest.json"), "[1]");
    assert_eq!(world.text("before-tidegate/state.json"), "{}");
    world.adopt = false;
    publish(&mut world, "2").unwrap();
}

#[test]
fn a_run_that_fails_adopts_nothing() {
    let mut world = world();
    std::fs::write(world.path("latest.json"), "[1]").unwrap();
    world.adopt = true;
    world.meanwhile = |_| Err(Failure::new(Outcome::TryLater, "deadline"));

    publish(&mut world, "1").unwrap_err();

    assert_eq!(world.text("latest.json"), "[1]");
    assert!(!world.path("latest.json").is_symlink());
}

#[test]
fn adopting_overwrites_nothing_that_was_kept_before() {
    let mut world = world();
    std::fs::create_dir_all(world.path("before-tidegate/state.json")).unwrap();
    std::fs::create_dir_all(world.path("latest.ndjson")).unwrap();
    std::fs::write(world.path("state.json"), "{}").unwrap();
    world.adopt = true;

    publish(&mut world, "1").unwrap();

    assert_eq!(world.text("before-tidegate/state.json.1"), "{}");
    assert!(world.path("before-tidegate/latest.ndjson").is_dir());
    assert!(!world.path("state.json").exists() && !world.path("latest.ndjson").exists());
}

const fn sets(sets: usize) -> Keep {
    let span = Duration::ZERO;
    Keep { sets, span }
}

fn retire_in(world: &World, keep: Keep, hours_later: i64) {
    let lock = lock::acquire(&world.folder(), "retiring").unwrap();
    let now = Timestamp::now() + jiff::SignedDuration::from_hours(hours_later);
    retire_at(&lock, keep, &world.limits, &|| Ok(()), &Log::silent(), now).unwrap();
}

fn numbers(world: &World) -> Vec<u64> {
    generations(world)
        .iter()
        .map(|name| GenerationName::parse(name).unwrap().number)
        .collect()
}

/// Publishes these values, one a run, and retires: the numbers of the generations that are left.
fn left_of<const RUNS: usize>(values: [&str; RUNS], keep: Keep, hours_later: i64) -> Vec<u64> {
    let mut world = world();
    for value in values {
        publish(&mut world, value).unwrap();
    }

    retire_in(&world, keep, hours_later);

    let newest = values.last().unwrap();
    assert_eq!(
        world.text("latest.json"),
        format!("[\n{{\"v\":{newest}}}\n]\n")
    );
    numbers(&world)
}

#[test]
fn different_sets_are_kept_and_of_each_the_newest_generation() {
    assert_eq!(left_of(["1", "2", "2", "3", "3", "3"], sets(2), 1), [3, 6]);
}

#[test]
fn two_sets_are_kept_at_the_least() {
    assert_eq!(left_of(["1", "2", "3"], sets(0), 1), [2, 3]);
}

#[test]
fn what_was_superseded_just_now_stays() {
    assert_eq!(left_of(["1", "2", "3", "4"], sets(2), 0), [1, 2, 3, 4]);
}

#[test]
fn a_clock_that_was_set_back_does_not_keep_everything_for_good() {
    assert_eq!(left_of(["1", "2", "3"], sets(2), -48), [2, 3]);
}

#[test]
fn sets_stay_for_the_time_that_is_asked_for_and_repeats_do_not() {
    let keep = |span| Keep { span, ..sets(2) };
    let values = ["1", "1", "2", "3", "4"];

    assert_eq!(
        left_of(values, keep(Duration::from_hours(2)), 1),
        [2, 3, 4, 5]
    );
    assert_eq!(left_of(values, keep(Duration::from_hours(2)), 3), [4, 5]);
    // A clock that was set back removes nothing that it is asked to keep.
    assert_eq!(
        left_of(values, keep(Duration::from_hours(2)), -48),
        [2, 3, 4, 5]
    );
}

#[test]
fn no_time_keeps_more_sets_than_the_limit() {
    let mut world = world();
    world.limits.sets_kept = 3;
    for value in ["1", "2", "3", "4", "5"] {
        publish(&mut world, value).unwrap();
    }
    let span = Duration::from_hours(24 * 365);

    retire_in(&world, Keep { span, ..sets(2) }, 1);
    assert_eq!(numbers(&world), [3, 4, 5]);
    retire_in(&world, Keep { span, ..sets(4) }, 1);
    assert_eq!(numbers(&world), [3, 4, 5]);
}

/// Pins the generations with these numbers.
fn pin(world: &World, wanted: &[u64]) {
    let mut pins = Pins::default();
    for name in generations(world) {
        let name = GenerationName::parse(&name).unwrap();
        if wanted.contains(&name.number) {
            pins.add(&name, String::new());
        }
    }
    pins.write(&world.folder(), "pinning").unwrap();
}

#[test]
fn what_is_pinned_stays_and_keeps_no_other_set_from_staying() {
    let mut world = world();
    for value in ["1", "2", "3", "4", "5"] {
        publish(&mut world, value).unwrap();
    }
    pin(&world, &[1, 4]);

    retire_in(&world, sets(2), 1);

    assert_eq!(numbers(&world), [1, 3, 4, 5]);
}

#[test]
fn nothing_is_removed_while_it_is_not_known_what_is_pinned() {
    let mut world = world();
    for value in ["1", "2", "3"] {
        publish(&mut world, value).unwrap();
    }
    std::fs::write(world.path("pinned.json"), "{").unwrap();
    let lock = lock::acquire(&world.folder(), "retiring").unwrap();

    world.limits.superseded_kept = Duration::ZERO;
    retire(&lock, sets(2), &world.limits, &|| Ok(()), &Log::silent());

    assert_eq!(numbers(&world), [1, 2, 3]);
}

#[test]
fn a_pinned_set_that_was_gone_back_from_stays_and_its_number_is_not_given_again() {
    let mut world = world();
    for value in ["1", "2", "3"] {
        publish(&mut world, value).unwrap();
    }
    pin(&world, &[3]);
    let first = generations(&world)[0].clone();
    std::fs::remove_file(world.path("current")).unwrap();
    symlink(format!("generations/{first}"), world.path("current")).unwrap();

    publish(&mut world, "4").unwrap();

    assert_eq!(numbers(&world), [1, 3, 4]);
    assert_eq!(world.text("latest.json"), "[\n{\"v\":4}\n]\n");
    // What was gone back from superseded nothing: the set before the last one did not go just now.
    publish(&mut world, "5").unwrap();
    publish(&mut world, "6").unwrap();
    retire_in(&world, sets(2), 1);
    assert_eq!(numbers(&world), [3, 5, 6]);
}

#[test]
fn a_state_that_is_changed_is_committed_with_the_same_data_or_not_at_all() {
    let mut world = world();
    publish(&mut world, "1").unwrap();
    let restated = Restated {
        state: "{\"v\":9}".to_owned(),
        cursor: None,
        fetch_everything: true,
        at: "2026-11-23T06:00:00Z".to_owned(),
    };
    let last = |world: &World| world.opened(|files| files.last().unwrap().manifest.clone());
    let before = last(&world);

    world.meanwhile = |_| Err(Failure::new(Outcome::Terminated, "stopped by SIGTERM"));
    let stopped = world.opened(|files| files.restate(&restated));
    world.meanwhile = |_| Ok(());

    assert_eq!(stopped.unwrap_err().outcome, Outcome::Terminated);
    assert_eq!((last(&world), numbers(&world)), (before.clone(), vec![1]));
    world.opened(|files| files.restate(&restated)).unwrap();
    let after = last(&world);
    assert_eq!((after.generation, &after.state), (2, &restated.state));
    assert_eq!(
        (after.files, after.finished),
        (before.files, before.finished)
    );
    assert_eq!(world.text("latest.json"), "[\n{\"v\":1}\n]\n");
    // The next run makes a generation of its own again.
    publish(&mut world, "2").unwrap();
    let next = last(&world);
    assert!(next.restated.is_none() && !next.fetch_everything);
}

#[test]
fn what_was_half_removed_is_removed_and_what_cannot_be_judged_stays() {
    let mut world = world();
    for value in ["1", "2", "3", "4", "5"] {
        publish(&mut world, value).unwrap();
    }
    let all = generations(&world);
    std::fs::remove_file(world.path(&format!("generations/{}/manifest.json", all[3]))).unwrap();
    std::fs::create_dir(world.path("generations/mine")).unwrap();
    std::fs::remove_file(world.path(&format!("generations/{}/manifest.json", all[0]))).unwrap();
    std::fs::write(
        world.path(&format!("generations/{}/manifest.json", all[1])),
        "{",
    )
    .unwrap();

    retire_in(&world, sets(2), 1);

    let left = generations(&world);
    // The second one's manifest is there, and says nothing.
    let kept = [1, 2, 4].map(|at| all[at].clone());
    assert_eq!(left, [&kept[..], &["mine".to_owned()]].concat());
}

#[test]
fn the_link_of_a_format_that_is_no_more_goes() {
    let mut world = world();
    publish(&mut world, "1").unwrap();
    world.output.format = OutputFormat::Ndjson;
    publish(&mut world, "1").unwrap();

    let lock = lock::acquire(&world.folder(), "retiring").unwrap();
    retire(&lock, sets(3), &world.limits, &|| Ok(()), &Log::silent());

    assert_eq!(
        world.names(),
        [".lock", "current", "generations", "latest.ndjson"]
    );
}

#[test]
fn a_limit_on_time_is_the_promise_of_the_readme() {
    assert_eq!(Limits::default().superseded_kept, Duration::from_mins(1));
}

#[test]
fn a_commit_removes_the_rejected_records_of_a_run_that_was_refused() {
    let mut world = world();
    std::fs::write(world.path("refused.ndjson"), "{}\n").unwrap();

    publish(&mut world, "1").unwrap();

    assert!(!world.names().contains(&"refused.ndjson".to_owned()));
}
