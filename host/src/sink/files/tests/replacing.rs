//! `REPLACE_BY`: the records of a parent go together, and whatever else is staged stands as it would without.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;

use proptest::prelude::*;

use crate::outcome::{Failure, Outcome};
use crate::settings::data_file::OutputFormat;
use crate::settings::plan::WriteMode;
use crate::sink::Extent::{Changes, Everything};
use crate::sink::Totals;
use crate::sink::tests::world::{Left, World, difference};

fn world() -> World {
    let mut world = World::new(WriteMode::Upsert, OutputFormat::Ndjson, &["/id"]);
    world.output.replace_by = Some("/of".into());
    world
}

/// A record of key `id` and this parent.
fn of(id: u32, parent: &str) -> String {
    format!("{{\"id\":{id},\"of\":{parent}}}\n")
}

fn left(records: &[(u32, &str)], deleted: &str) -> Left {
    Left {
        records: records.iter().map(|(id, parent)| of(*id, parent)).collect(),
        deleted: deleted.into(),
        rejected: String::new(),
        more: false,
    }
}

/// What is published after `left` came upon three records of parent 1 and one of parent `"1"`.
fn after(left: &Left) -> Result<(String, Totals), Failure> {
    let mut world = world();
    let old = [(1, "1"), (2, "1"), (3, "1"), (4, "\"1\"")];
    world.run(Changes, &self::left(&old, "")).unwrap();
    let (_, totals) = world.run(Changes, left)?;
    Ok((world.text("latest.ndjson"), totals))
}

#[test]
fn a_parents_records_are_replaced_by_those_staged_after_its_line() {
    let (text, totals) = after(&left(&[(2, "1"), (5, "1")], "{\"parent\":1,\"at\":0}\n")).unwrap();

    assert_eq!(text, of(2, "1") + &of(4, "\"1\"") + &of(5, "1"));
    assert_eq!((totals.deleted, totals.removed), (1, 2), "1 and 3 are gone");
}

#[test]
fn what_was_staged_before_the_line_is_gone_too_and_so_is_what_it_overwrote() {
    let (text, totals) = after(&left(
        &[(5, "1"), (4, "1"), (6, "1")],
        "{\"parent\":1,\"at\":2}\n",
    ))
    .unwrap();

    assert_eq!(text, of(6, "1"));
    assert_eq!(totals.removed, 4);
}

#[test]
fn a_record_that_moved_to_another_parent_goes_with_that_one_alone() {
    let moved = left(&[(1, "7"), (2, "7")], "{\"parent\":1,\"at\":2}\n");
    let moved_and_gone = left(&[(1, "7")], "{\"parent\":7,\"at\":1}\n");

    let (moved, _) = after(&moved).unwrap();
    let (gone, totals) = after(&moved_and_gone).unwrap();

    assert_eq!(moved, of(1, "7") + &of(2, "7") + &of(4, "\"1\""));
    assert_eq!(gone, of(2, "1") + &of(3, "1") + &of(4, "\"1\""));
    assert_eq!(totals.removed, 1);
}

#[test]
fn keys_and_parents_are_deleted_in_one_order() {
    let (text, totals) = after(&left(
        &[(5, "1"), (6, "1")],
        "{\"key\":[4],\"at\":0}\n{\"parent\":1,\"at\":1}\n{\"key\":[6],\"at\":2}\n",
    ))
    .unwrap();

    assert_eq!(text, "");
    assert_eq!((totals.deleted, totals.removed), (3, 4));
}

#[test]
fn a_line_of_an_unknown_parent_changes_nothing() {
    let mut world = world();
    world.run(Changes, &left(&[(1, "1")], "")).unwrap();

    let line = left(&[], "{\"parent\":\"none\",\"at\":0}\n");
    let (commit, totals) = world.run(Changes, &line).unwrap();

    assert!(commit.unchanged && totals.unchanged);
    assert_eq!(totals.removed, 0);
}

#[test]
fn the_same_rows_again_are_nothing_new_and_link_the_last_file() {
    let mut world = world();
    let rows = left(&[(1, "1"), (2, "2")], "{\"parent\":1,\"at\":0}\n");
    world.run(Changes, &rows).unwrap();
    let before = std::fs::metadata(world.path("latest.ndjson")).unwrap();

    let (_, totals) = world.run(Changes, &rows).unwrap();

    assert!(totals.unchanged);
    let after = std::fs::metadata(world.path("latest.ndjson")).unwrap();
    assert_eq!(after.ino(), before.ino());
}

#[test]
fn everything_takes_nothing_from_the_old_set_and_applies_parents_among_the_staged() {
    let mut world = world();
    world.run(Changes, &left(&[(1, "1")], "")).unwrap();

    let (_, totals) = world
        .run(
            Everything,
            &left(
                &[(2, "1"), (3, "2"), (4, "1")],
                "{\"parent\":1,\"at\":0}\n{\"parent\":1,\"at\":2}\n",
            ),
        )
        .unwrap();

    assert_eq!(world.text("latest.ndjson"), of(3, "2") + &of(4, "1"));
    assert_eq!((totals.records, totals.removed), (2, 0));
}

#[test]
fn a_record_of_another_parent_than_those_replaced_is_65_since_the_old_ones_would_stay() {
    for deleted in [
        // The type is another.
        "{\"parent\":\"2\",\"at\":0}\n",
        // The value is another.
        "{\"parent\":7,\"at\":0}\n{\"parent\":8,\"at\":1}\n",
        // Of the second record.
        "{\"parent\":1,\"at\":0}\n",
    ] {
        let mut world = world();
        world.replaces_every_parent = true;

        let failure = world
            .run(Changes, &left(&[(1, "1"), (2, "2")], deleted))
            .unwrap_err();

        assert_eq!(failure.outcome, Outcome::GateRefused);
        let wanted = "at `/of` (REPLACE_BY), and the run replaces no such parent";
        assert!(failure.message.contains(wanted), "{failure}");
    }
    let mut world = world();
    world.replaces_every_parent = true;
    let both = "{\"parent\":1,\"at\":0}\n{\"parent\":2,\"at\":1}\n";
    let both = left(&[(1, "1"), (2, "2")], both);
    world.run(Changes, &both).unwrap();
}

#[test]
fn a_record_without_a_usable_parent_is_65_and_the_setting_is_named() {
    for (record, what) in [
        ("{\"id\":1}\n", "has no `/of` (REPLACE_BY)"),
        (
            "{\"id\":1,\"of\":1.5}\n",
            "the number `1.5` at `/of` (REPLACE_BY)",
        ),
        ("{\"id\":1,\"of\":null}\n", "null at `/of` (REPLACE_BY)"),
    ] {
        let failure = after(&Left::records(record)).unwrap_err();
        assert_eq!(failure.outcome, Outcome::GateRefused);
        assert!(
            failure.message.contains(what) && failure.message.contains("set REPLACE_BY to"),
            "{failure}"
        );
    }
    let failure = after(&left(&[], "{\"parent\":null,\"at\":0}\n")).unwrap_err();
    assert_eq!(failure.outcome, Outcome::GateRefused, "{failure}");
}

#[test]
fn a_line_that_names_both_neither_or_goes_back_breaks_the_contract() {
    for deleted in [
        "{\"at\":0}\n",
        "{\"key\":[1],\"parent\":1,\"at\":0}\n",
        "{\"parent\":1}\n",
        "{\"parent\":1,\"at\":1}\n",
        "{\"parent\":1,\"parent\":1,\"at\":0}\n",
    ] {
        let failure = after(&left(&[], deleted)).unwrap_err();
        assert_eq!(
            failure.outcome,
            Outcome::ComponentFailed,
            "{deleted}: {failure}"
        );
    }
    let back = "{\"parent\":1,\"at\":1}\n{\"key\":[1],\"at\":0}\n";
    let failure = after(&left(&[(9, "9")], back)).unwrap_err();
    assert!(failure.message.contains("has a smaller `at`"), "{failure}");
}

#[test]
fn more_parents_than_are_held_in_memory_are_65_with_words() {
    let mut world = world();
    let many = [0, 1, 2]
        .map(|n| format!("{{\"parent\":{n},\"at\":0}}\n"))
        .concat();
    let again = "{\"parent\":0,\"at\":0}\n".repeat(9);

    world.limits.parents = 3;
    world.run(Changes, &left(&[], &(again + &many))).unwrap();
    world.limits.parents = 2;
    let too_many = world.run(Changes, &left(&[], &many)).unwrap_err();
    world.limits.parents = 3;
    world.limits.parents_bytes = 8;
    let too_long = world.run(Changes, &left(&[], &many)).unwrap_err();

    for failure in [too_many, too_long] {
        assert_eq!(failure.outcome, Outcome::GateRefused);
        assert!(
            failure.message.starts_with("cannot replace by parent: "),
            "{failure}"
        );
    }
}

#[test]
fn parents_are_replaced_in_a_set_of_another_format_and_of_another_order() {
    for (format, keys, sort_buffer_bytes) in [
        (OutputFormat::Ndjson, "/id", 1_000),
        (OutputFormat::Json, "/n", 1_000),
        (OutputFormat::Ndjson, "/n", 1),
    ] {
        let mut world = world();
        world.limits.sort_buffer_bytes = sort_buffer_bytes;
        world.output.format = OutputFormat::Json;
        let old = "{\"id\":1,\"n\":3,\"of\":1}\n{\"id\":2,\"n\":2,\"of\":2}\n{\"id\":3,\"n\":1,\"of\":1}\n";
        world.run(Changes, &Left::records(old)).unwrap();
        world.output.format = format;
        world.output.keys = vec![keys.into()];
        let new = Left {
            deleted: "{\"parent\":1,\"at\":0}\n{\"key\":[2],\"at\":0}\n".into(),
            ..Left::records("{\"id\":3,\"n\":1,\"of\":1}\n")
        };

        let (_, totals) = world.run(Changes, &new).unwrap();

        assert_eq!(
            (totals.records, totals.removed),
            (1, 2),
            "{format:?} by {keys}"
        );
    }
}

/// One thing that a component may do.
#[derive(Debug, Clone)]
enum Edit {
    Put(i64, usize, usize),
    Delete(i64),
    Replace(usize),
}

/// Three parents that look alike, and one more.
const PARENTS: [&str; 4] = ["1", "\"1\"", "-1", "\"\\u0061\""];

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let key = || -12_i64..12;
    let parent = || 0..PARENTS.len();
    let edit = prop_oneof![
        6 => (key(), parent(), 0_usize..60).prop_map(|(key, of, size)| Edit::Put(key, of, size)),
        1 => key().prop_map(Edit::Delete),
        2 => parent().prop_map(Edit::Replace),
    ];
    prop::collection::vec(edit, 0..25)
}

/// Key to parent and record.
type Model = BTreeMap<i64, (usize, String)>;

fn apply(edits: &[Edit], model: &mut Model) -> Left {
    let (mut left, mut staged) = (Left::default(), 0);
    for edit in edits {
        match edit {
            Edit::Put(key, parent, size) => {
                let (of, padding) = (PARENTS[*parent], "x".repeat(*size));
                let record = format!("{{\"id\":{key},\"of\":{of},\"x\":\"{padding}\"}}");
                writeln!(left.records, "{record}").unwrap();
                staged += 1;
                model.insert(*key, (*parent, record));
            }
            Edit::Delete(key) => {
                writeln!(left.deleted, "{{\"key\":[{key}],\"at\":{staged}}}").unwrap();
                model.remove(key);
            }
            Edit::Replace(parent) => {
                let of = PARENTS[*parent];
                writeln!(left.deleted, "{{\"parent\":{of},\"at\":{staged}}}").unwrap();
                model.retain(|_, (known, _)| known != parent);
            }
        }
    }
    left
}

fn text(model: &Model, format: OutputFormat) -> String {
    let records: Vec<&str> = model.values().map(|(_, record)| record.as_str()).collect();
    match (format, records.is_empty()) {
        (OutputFormat::Json, true) => "[\n]\n".to_owned(),
        (OutputFormat::Json, false) => format!("[\n{}\n]\n", records.join(",\n")),
        (_, true) => String::new(),
        (_, false) => format!("{}\n", records.join("\n")),
    }
}

proptest! {
    #[test]
    fn every_history_with_parents_ends_as_its_model_does(
        history in prop::collection::vec((prop::bool::weighted(0.15), prop::bool::weighted(0.2), edits()), 1..6),
        sort_buffer_bytes in 1_usize..2_000,
        sort_runs in 2_usize..5,
    ) {
        let mut world = world();
        world.limits.sort_buffer_bytes = sort_buffer_bytes;
        world.limits.sort_runs = sort_runs;
        let mut model = Model::new();
        let mut published: Option<String> = None;

        for (everything, other_format, edits) in history {
            if other_format {
                world.output.format = match world.output.format {
                    OutputFormat::Json => OutputFormat::Ndjson,
                    _ => OutputFormat::Json,
                };
            }
            let before = model.clone();
            if everything {
                model.clear();
            }
            let left = apply(&edits, &mut model);
            let (_, totals) = world.run(if everything { Everything } else { Changes }, &left).unwrap();

            let format = world.output.format;
            let file = match format { OutputFormat::Json => "latest.json", _ => "latest.ndjson" };
            let wanted = text(&model, format);
            prop_assert_eq!(world.text(file), wanted.clone());
            prop_assert_eq!(totals.records, model.len() as u64);
            let removed = before.keys().filter(|key| !everything && !model.contains_key(key)).count();
            prop_assert_eq!(totals.removed, removed as u64);
            prop_assert_eq!(totals.difference, difference(&before, &model));
            prop_assert_eq!(totals.unchanged, published.as_ref() == Some(&wanted));
            published = Some(wanted);
        }
    }
}
