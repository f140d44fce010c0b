//! The files sink as a whole: what was staged, and what readers then see.

use std::os::unix::fs::MetadataExt as _;

use crate::outcome::Outcome;
use crate::settings::data_file::OutputFormat;
use crate::settings::plan::WriteMode;
use crate::sink::Extent::{Changes, Everything, NothingNew};
use crate::sink::tests::world::{Left, World};
use crate::staging::read::Counts;

#[cfg(test)]
pub mod appending;
#[cfg(test)]
pub mod history;
#[cfg(test)]
pub mod replacing;
#[cfg(test)]
pub mod tables;

fn keyed(mode: WriteMode) -> World {
    World::new(mode, OutputFormat::Json, &["/id"])
}

#[test]
fn without_keys_records_stand_as_they_were_staged() {
    let mut world = World::new(WriteMode::Replace, OutputFormat::Json, &[]);

    let (_, totals) = world
        .run(
            Everything,
            &Left::records("{\"b\":1.10}\n{\"a\":1e400}\n{\"b\":1.10}\n"),
        )
        .unwrap();

    assert_eq!(
        world.text("latest.json"),
        "[\n{\"b\":1.10},\n{\"a\":1e400},\n{\"b\":1.10}\n]\n"
    );
    assert_eq!(totals.records, 3);
}

#[test]
fn replace_with_keys_keeps_the_last_version_and_sorts() {
    let mut world = keyed(WriteMode::Replace);

    world
        .run(
            Everything,
            &Left::records(
                "{\"id\":\"a\"}\n{\"id\":10,\"v\":1}\n{\"id\":9}\n{\"id\":10,\"v\":2}\n",
            ),
        )
        .unwrap();

    assert_eq!(
        world.text("latest.json"),
        "[\n{\"id\":9},\n{\"id\":10,\"v\":2},\n{\"id\":\"a\"}\n]\n"
    );
}

#[test]
fn changes_under_replace_break_the_contract() {
    let failure = keyed(WriteMode::Replace)
        .run(Changes, &Left::records("{\"id\":1}\n"))
        .unwrap_err();

    assert_eq!(failure.outcome, Outcome::ComponentFailed);
    assert!(failure.message.contains("`changes`"), "{failure}");
}

#[test]
fn everything_under_upsert_starts_from_an_empty_set() {
    let mut world = keyed(WriteMode::Upsert);
    world
        .run(Changes, &Left::records("{\"id\":1}\n{\"id\":2}\n"))
        .unwrap();

    world
        .run(Everything, &Left::records("{\"id\":3}\n"))
        .unwrap();

    assert_eq!(world.text("latest.json"), "[\n{\"id\":3}\n]\n");
}

#[test]
fn a_deletion_takes_what_was_before_it_and_not_what_comes_after() {
    let mut world = keyed(WriteMode::Upsert);
    world
        .run(
            Changes,
            &Left::records("{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n"),
        )
        .unwrap();
    let left = Left {
        records: "{\"id\":1,\"v\":1}\n{\"id\":2,\"v\":2}\n".into(),
        deleted: "{\"key\":[3],\"at\":0}\n{\"key\":[2],\"at\":1}\n{\"key\":[1],\"at\":2}\n{\"key\":[9],\"at\":2}\n".into(),
        rejected: String::new(),
        more: false,
    };

    let (_, totals) = world.run(Changes, &left).unwrap();

    assert_eq!(world.text("latest.json"), "[\n{\"id\":2,\"v\":2}\n]\n");
    assert_eq!((totals.records, totals.staged, totals.deleted), (1, 2, 4));
    assert_eq!(totals.removed, 2, "9 was not there, and 2 came back");
}

#[test]
fn nothing_new_links_the_last_file_and_commits_the_state() {
    let mut world = keyed(WriteMode::Upsert);
    world.run(Changes, &Left::records("{\"id\":1}\n")).unwrap();
    let before = std::fs::metadata(world.path("latest.json")).unwrap();

    for (extent, left) in [
        (NothingNew, ""),
        (Changes, ""),
        (Changes, "{\"id\":1}\n"),
        (Everything, "{\"id\":1}\n"),
    ] {
        let (commit, totals) = world.run(extent, &Left::records(left)).unwrap();
        assert!(commit.unchanged && totals.unchanged);
        assert_eq!(totals.records, 1);
    }

    let after = std::fs::metadata(world.path("latest.json")).unwrap();
    assert_eq!(after.ino(), before.ino());
    assert!(after.modified().unwrap() > before.modified().unwrap());
    let current = world.current().unwrap().unwrap();
    assert_eq!(current.manifest.state, "{\"v\":1,\"run\":5}");
    assert_eq!(current.name.number, 5);
}

#[test]
fn good_bytes_are_not_given_up_for_equal_ones_that_went_bad() {
    let mut world = keyed(WriteMode::Replace);
    world
        .run(Everything, &Left::records("{\"id\":1}\n"))
        .unwrap();
    std::fs::write(world.path("latest.json"), "[\n{\"id\":7}\n]\n").unwrap();

    let (commit, _) = world
        .run(Everything, &Left::records("{\"id\":1}\n"))
        .unwrap();

    assert!(commit.unchanged);
    assert_eq!(world.text("latest.json"), "[\n{\"id\":1}\n]\n");
}

#[test]
fn an_edited_file_is_not_merged_from() {
    let mut world = keyed(WriteMode::Upsert);
    world
        .run(Changes, &Left::records("{\"id\":1}\n{\"id\":2}\n"))
        .unwrap();
    std::fs::write(world.path("latest.json"), "[\n{\"id\":1},\n{\"id\":3}\n]\n").unwrap();

    let failure = world
        .run(Changes, &Left::records("{\"id\":4}\n"))
        .unwrap_err();

    assert_eq!(failure.outcome, Outcome::OutputUnusable);
    assert!(
        failure.message.contains("not the ones that were published"),
        "{failure}"
    );
}

#[test]
fn a_record_without_a_usable_key_is_65_and_named() {
    let failure = keyed(WriteMode::Upsert)
        .run(Changes, &Left::records("{\"id\":1}\n{\"id\":1.0}\n"))
        .unwrap_err();

    assert_eq!(failure.outcome, Outcome::GateRefused);
    assert!(
        failure
            .message
            .starts_with("record 2 of this run (line 2 of `records.ndjson`)"),
        "{failure}"
    );
    assert!(
        failure.message.contains("the number `1.0` at `/id`"),
        "{failure}"
    );
}

#[test]
fn whatever_breaks_the_contract_is_70_and_leaves_the_last_set() {
    let mut world = keyed(WriteMode::Upsert);
    world.run(Changes, &Left::records("{\"id\":1}\n")).unwrap();
    let broken = [
        ("[1]\n", "", ""),
        ("{\"id\":2}\n{\"id\":3", "", ""),
        ("\n", "", ""),
        ("{\"id\":2,}\n", "", ""),
        ("{\"id\":2}\n", "{\"key\":[1]}\n", ""),
        ("{\"id\":2}\n", "{\"key\":[1,2],\"at\":0}\n", ""),
        ("{\"id\":2}\n", "{\"key\":[1],\"at\":2}\n", ""),
        ("", "{\"key\":[1],\"at\":0,\"x\":0}\n", ""),
        (
            "{\"id\":2}\n{\"id\":3}\n",
            "{\"key\":[1],\"at\":2}\n{\"key\":[1],\"at\":1}\n",
            "",
        ),
        ("{\"id\":2}\n", "", "no\n"),
        ("{\"id\":2}\n", "", "{\"reason\":\"r\"}\n"),
        ("{\"id\":2}\n", "{\"parent\":1,\"at\":0}\n", ""),
    ];

    for (records, deleted, rejected) in broken {
        let left = Left {
            records: records.into(),
            deleted: deleted.into(),
            rejected: rejected.into(),
            more: false,
        };
        let failure = world.run(Changes, &left).unwrap_err();
        assert_eq!(
            failure.outcome,
            Outcome::ComponentFailed,
            "{left:?}: {failure}"
        );
    }

    assert_eq!(world.text("latest.json"), "[\n{\"id\":1}\n]\n");
    assert_eq!(world.current().unwrap().unwrap().name.number, 1);
    assert_eq!(
        world.names(),
        [".lock", "current", "generations", "latest.json"]
    );
}

#[test]
fn lines_that_were_not_reported_are_found_in_every_way_of_taking() {
    let mut world = keyed(WriteMode::Upsert);
    world.run(Changes, &Left::records("{\"id\":1}\n")).unwrap();

    for extent in [Everything, Changes, NothingNew] {
        let failure = world
            .run_reporting(extent, &Left::records("{\"id\":2}\n"), Counts::default())
            .unwrap_err();
        assert_eq!(failure.outcome, Outcome::ComponentFailed);
        assert!(failure.message.contains("reported 0 lines"), "{failure}");
    }
}

#[test]
fn nothing_new_before_there_is_anything_breaks_the_contract() {
    let failure = keyed(WriteMode::Upsert)
        .run(NothingNew, &Left::default())
        .unwrap_err();

    assert_eq!(failure.outcome, Outcome::ComponentFailed);
}

#[test]
fn rejected_records_are_published_beside_the_data_for_the_owner_alone() {
    let mut world = keyed(WriteMode::Replace);
    let left = Left {
        rejected: "{\"reason\":\"r\",\"pointer\":\"/0\",\"record\":1}\n".into(),
        ..Left::records("{\"id\":1}\n")
    };

    let (_, totals) = world.run(Everything, &left).unwrap();

    assert_eq!(totals.rejected, 1);
    assert_eq!(
        world.text("current/rejected.ndjson"),
        "{\"reason\":\"r\",\"pointer\":\"/0\",\"record\":1}\n"
    );
    assert_eq!(
        std::fs::metadata(world.path("current/rejected.ndjson"))
            .unwrap()
            .mode()
            & 0o777,
        0o600
    );
    assert_eq!(
        world.current().unwrap().unwrap().manifest.files["rejected.ndjson"].records,
        1
    );
}

#[test]
fn no_staged_inode_is_published() {
    let mut world = World::new(WriteMode::Replace, OutputFormat::Ndjson, &[]);
    world.meanwhile = |output| {
        let staged = std::fs::read_dir(output)
            .unwrap()
            .flatten()
            .find(|e| e.file_name().to_string_lossy().starts_with(".staging-"));
        if let Some(input) = staged
            .map(|staged| staged.path().join("in/records.ndjson"))
            .filter(|file| file.exists())
        {
            std::fs::write(
                output.join("inode"),
                std::fs::metadata(input).unwrap().ino().to_string(),
            )
            .unwrap();
        }
        Ok(())
    };

    world
        .run(Everything, &Left::records("{\"id\":1}\n"))
        .unwrap();

    let published = std::fs::metadata(world.path("latest.ndjson"))
        .unwrap()
        .ino();
    assert_ne!(world.text("inode"), published.to_string());
}

#[test]
fn another_format_or_key_is_merged_record_by_record() {
    let mut world = keyed(WriteMode::Upsert);
    world
        .run(
            Changes,
            &Left::records("{\"id\":1,\"n\":3}\n{\"id\":2,\"n\":2}\n"),
        )
        .unwrap();
    world.output.format = OutputFormat::Ndjson;
    world.output.keys = vec!["/n".into()];

    world
        .run(
            Changes,
            &Left::records("{\"id\":3,\"n\":3}\n{\"id\":4,\"n\":1}\n"),
        )
        .unwrap();

    assert_eq!(
        world.text("latest.ndjson"),
        "{\"id\":4,\"n\":1}\n{\"id\":2,\"n\":2}\n{\"id\":3,\"n\":3}\n"
    );
}

#[test]
fn an_order_by_another_key_is_not_taken_for_this_one() {
    let mut world = keyed(WriteMode::Upsert);
    world
        .run(
            Changes,
            &Left::records("{\"id\":1,\"n\":3}\n{\"id\":2,\"n\":2}\n{\"id\":3,\"n\":1}\n"),
        )
        .unwrap();
    world.output.keys = vec!["/n".into()];

    world
        .run(Changes, &Left::records("{\"id\":4,\"n\":3}\n"))
        .unwrap();

    assert_eq!(
        world.text("latest.json"),
        "[\n{\"id\":3,\"n\":1},\n{\"id\":2,\"n\":2},\n{\"id\":4,\"n\":3}\n]\n"
    );
}

#[test]
fn two_versions_in_a_row_are_one_record() {
    let mut world = keyed(WriteMode::Replace);

    world
        .run(
            Everything,
            &Left::records("{\"id\":1,\"v\":1}\n{\"id\":1,\"v\":2}\n{\"id\":2}\n"),
        )
        .unwrap();

    assert_eq!(
        world.text("latest.json"),
        "[\n{\"id\":1,\"v\":2},\n{\"id\":2}\n]\n"
    );
}

#[test]
fn nothing_new_in_another_format_is_written_anew() {
    let mut world = World::new(WriteMode::Replace, OutputFormat::Json, &[]);
    world
        .run(Everything, &Left::records("{\"b\":1}\n{\"a\":1}\n"))
        .unwrap();
    world.output.format = OutputFormat::Ndjson;

    let (_, totals) = world.run(NothingNew, &Left::default()).unwrap();

    assert_eq!(world.text("latest.ndjson"), "{\"b\":1}\n{\"a\":1}\n");
    assert!(!totals.unchanged);
}
