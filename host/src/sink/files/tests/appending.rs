//! `WRITE_MODE=append`: what a folder of segments holds after its runs.

use std::fmt::Write as _;

use proptest::prelude::*;

use crate::outcome::Outcome;
use crate::settings::data_file::OutputFormat;
use crate::settings::plan::WriteMode;
use crate::sink::Extent::{self, Changes, Everything, NothingNew};
use crate::sink::files::retire::Keep;
use crate::sink::manifest::DIGESTS;
use crate::sink::tests::world::{Left, World};

fn world() -> World {
    World::new(WriteMode::Append, OutputFormat::Ndjson, &[])
}

/// The records of these ids, as a component leaves them.
fn left(ids: &[u32]) -> Left {
    let mut left = Left::default();
    for id in ids {
        writeln!(left.records, "{{\"id\":{id}}}").unwrap();
    }
    left
}

/// The ids in the segment of this number; none where there is no such segment.
fn segment(world: &World, number: u64) -> Option<Vec<u32>> {
    let path = world.path(&format!("segments/{number:06}.ndjson"));
    let text = std::fs::read_to_string(path).ok()?;
    let id = |line: &str| line[6..line.len() - 1].parse().unwrap();
    Some(text.lines().map(id).collect())
}

fn files(world: &World) -> Vec<String> {
    let last = world.current().unwrap().unwrap();
    last.manifest.files.keys().cloned().collect()
}

fn run(world: &mut World, extent: Extent, ids: &[u32]) -> u64 {
    world.run(extent, &left(ids)).unwrap().1.records
}

#[test]
fn what_the_last_run_staged_is_not_appended_again() {
    let mut world = world();

    let first = run(&mut world, Changes, &[1, 2, 3]);
    let second = run(&mut world, Changes, &[3, 5, 2, 4]);

    assert_eq!((first, second), (3, 5));
    assert_eq!(segment(&world, 1), Some(vec![1, 2, 3]));
    assert_eq!(segment(&world, 2), Some(vec![5, 4]));
    assert_eq!(files(&world), ["segments/000002.ndjson", DIGESTS]);
    assert_eq!(
        world.names(),
        [".lock", "current", "generations", "segments"]
    );
}

#[test]
fn a_run_that_adds_nothing_makes_no_segment_and_lists_the_newest() {
    let mut world = world();
    run(&mut world, Everything, &[1, 2]);

    let (commit, totals) = world.run(Everything, &left(&[2, 1])).unwrap();

    assert!(commit.unchanged && totals.unchanged);
    assert_eq!(commit.records, 2);
    assert_eq!(segment(&world, 2), None);
    assert_eq!(files(&world), ["segments/000001.ndjson", DIGESTS]);
}

#[test]
fn a_run_that_stages_nothing_keeps_what_the_next_look_back_will_bring() {
    let mut world = world();
    run(&mut world, Changes, &[1, 2]);
    run(&mut world, NothingNew, &[]);
    run(&mut world, Changes, &[]);

    run(&mut world, Changes, &[2, 3]);

    assert_eq!(segment(&world, 4), Some(vec![3]));
}

#[test]
fn a_record_of_an_earlier_run_than_the_last_is_appended_again() {
    let mut world = world();
    run(&mut world, Changes, &[1, 2]);
    run(&mut world, Changes, &[2]);

    run(&mut world, Changes, &[1, 2]);

    assert_eq!(segment(&world, 3), Some(vec![1]));
}

#[test]
fn the_portions_of_a_run_are_one_run() {
    let mut world = world();
    run(&mut world, Changes, &[1, 2]);
    world.more = true;
    run(&mut world, Changes, &[3]);
    // Killed here: the next run is another one, and goes on.
    run(&mut world, Changes, &[4]);
    world.more = false;
    run(&mut world, Changes, &[2, 3, 4, 5]);

    run(&mut world, Changes, &[1, 3, 5, 6]);

    assert_eq!(segment(&world, 4), Some(vec![5]));
    assert_eq!(segment(&world, 5), Some(vec![6]));
}

#[test]
fn a_first_run_of_nothing_is_a_generation_without_a_segment() {
    let mut world = world();

    assert_eq!(run(&mut world, Everything, &[]), 0);
    assert_eq!(files(&world), [DIGESTS]);
    assert_eq!(run(&mut world, Everything, &[7]), 1);
    assert_eq!(segment(&world, 2), Some(vec![7]));
}

#[test]
fn with_a_key_every_record_must_have_one_and_none_is_merged_by_it() {
    let mut world = World::new(WriteMode::Append, OutputFormat::Ndjson, &["/id"]);
    let versions = Left::records("{\"id\":1,\"v\":1}\n{\"id\":1,\"v\":2}\n");

    let kept = world.run(Changes, &versions).unwrap().1;
    let refused = world
        .run(Changes, &Left::records("{\"v\":3}\n"))
        .unwrap_err();

    assert_eq!(kept.records, 2);
    assert_eq!(refused.outcome, Outcome::GateRefused);
    assert!(refused.message.contains("PRIMARY_KEY"), "{refused}");
}

#[test]
fn a_deletion_breaks_the_contract() {
    let deletes = Left {
        deleted: "{\"key\":[1],\"at\":0}\n".to_owned(),
        ..left(&[1])
    };

    let refused = world().run(Changes, &deletes).unwrap_err();

    assert_eq!(refused.outcome, Outcome::ComponentFailed);
    assert!(refused.message.contains("append only adds"), "{refused}");
}

#[test]
fn the_newest_segment_and_what_is_remembered_must_be_there() {
    let mut world = world();
    run(&mut world, Changes, &[1]);
    std::fs::write(world.path("segments/000001.ndjson"), "{}\n").unwrap();
    let short = world.current().unwrap_err();
    std::fs::remove_dir_all(world.path("segments")).unwrap();
    let gone = world.current().unwrap_err();

    assert_eq!(short.outcome, Outcome::OutputUnusable);
    assert!(
        short.message.contains("000001.ndjson` has 3 bytes"),
        "{short}"
    );
    assert!(gone.message.contains("segments` is missing"), "{gone}");
}

#[test]
fn a_lost_current_is_no_first_run_even_where_only_segments_are_left() {
    let mut world = world();
    run(&mut world, Changes, &[1]);
    run(&mut world, Changes, &[2]);
    run(&mut world, Changes, &[3]);
    std::fs::remove_file(world.path("current")).unwrap();
    std::fs::remove_dir_all(world.path("generations")).unwrap();

    let refused = world.run(Changes, &left(&[4])).unwrap_err();

    assert_eq!(refused.outcome, Outcome::OutputUnusable);
    assert_eq!(segment(&world, 3), Some(vec![3]));
}

#[test]
fn output_mode_is_that_of_a_segment_and_lets_readers_into_the_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut world = world();
    world.output.file_mode = Some(0o640);
    run(&mut world, Changes, &[1]);

    let mode = |name: &str| {
        let metadata = std::fs::metadata(world.path(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };

    assert_eq!(mode("segments"), 0o750);
    assert_eq!(mode("segments/000001.ndjson"), 0o640);
    assert_eq!(mode("current/staged.digests"), 0o600);
}

#[test]
fn generations_go_and_segments_stay() {
    let mut world = world();
    world.limits.superseded_kept = std::time::Duration::ZERO;
    for id in 1..=6 {
        run(&mut world, Changes, &[id]);
        run(&mut world, NothingNew, &[]);
    }

    let lock = crate::folder::lock::acquire(&world.folder(), "r").unwrap();
    crate::sink::files::retire::retire(
        &lock,
        Keep {
            sets: 2,
            span: std::time::Duration::ZERO,
        },
        &world.limits,
        &|| Ok(()),
        &crate::log::Log::silent(),
    );

    let generations = world.folder().folder("generations").unwrap().unwrap();
    let kept = generations.names(|_| true).unwrap();
    let numbers: Vec<&str> = kept.iter().map(|name| &name[..6]).collect();
    assert_eq!(numbers, ["000010", "000012"]);
    assert_eq!(segment(&world, 1), Some(vec![1]));
}

#[test]
fn a_set_is_published_after_append_and_the_segments_stay() {
    let mut world = world();
    run(&mut world, Changes, &[1, 2]);
    world.mode = WriteMode::Replace;

    run(&mut world, Everything, &[2]);

    assert_eq!(world.text("latest.ndjson"), "{\"id\":2}\n");
    assert_eq!(segment(&world, 1), Some(vec![1, 2]));
    world.mode = WriteMode::Append;
    assert_eq!(run(&mut world, Changes, &[2]), 1, "counted anew");
    assert_eq!(segment(&world, 3), Some(vec![2]));
}

#[test]
fn nothing_new_after_append_has_no_set_to_stand_for() {
    let mut world = world();
    run(&mut world, Changes, &[1, 2]);
    world.mode = WriteMode::Replace;

    let refused = world.run(NothingNew, &Left::default()).unwrap_err();

    assert_eq!(refused.outcome, Outcome::ComponentFailed);
}

/// A log that grows, read by runs that look back: how many records a run finds, how far the next one looks back, and
/// whether it is a portion.
fn histories() -> impl Strategy<Value = Vec<(usize, usize, bool, bool)>> {
    let step = (0_usize..12, 0_usize..8, any::<bool>(), any::<bool>());
    prop::collection::vec(step, 1..12)
}

proptest! {
    #[test]
    fn all_segments_together_are_the_log(
        history in histories(),
        sort_buffer_bytes in 1_usize..2_000,
    ) {
        let mut world = world();
        world.limits.sort_buffer_bytes = sort_buffer_bytes;
        world.limits.sort_runs = 2;
        let (mut end, mut start, mut generations) = (0, 0, 0);
        for (found, back, more, from_the_start) in history {
            // No run looks further back than the one before it did: its cursor is behind that one's.
            let begin = if from_the_start { start } else { end.max(start + back) - back };
            start = begin.min(end);
            end += found;
            let ids: Vec<u32> = (start..end).map(|id| u32::try_from(id).unwrap()).collect();
            world.more = more;
            let extent = if ids.is_empty() && generations > 0 { NothingNew } else { Changes };
            let records = run(&mut world, extent, &ids);
            generations += 1;
            prop_assert_eq!(records, end as u64);
            let committed = (1..=generations).filter_map(|number| segment(&world, number));
            let appended: Vec<u32> = committed.flatten().collect();
            prop_assert_eq!(appended, (0..u32::try_from(end).unwrap()).collect::<Vec<_>>());
        }
    }
}
