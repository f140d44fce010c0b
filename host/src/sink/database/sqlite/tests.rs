//! What a run makes of a database, and what it refuses.

use std::time::Duration;

use crate::outcome::{Failure, Outcome};
use crate::settings::plan::WriteMode;
use crate::sink::Extent::{Changes, Everything, NothingNew};
use crate::sink::database::{self, Seen};
use crate::sink::tests::world::Left;

use crate::sink::database::sqlite::tests::world::World;

#[cfg(test)]
pub mod history;
#[cfg(test)]
pub mod past;
#[cfg(test)]
pub mod resolved;
#[cfg(test)]
pub mod world;

fn records(lines: &[&str]) -> Left {
    Left::records(&(lines.join("\n") + "\n"))
}

fn refused(world: &mut World, left: &Left, outcome: Outcome) -> String {
    let failure = world.run(Changes, left).map(|_| ()).unwrap_err();
    assert_eq!(failure.outcome, outcome, "{failure}");
    failure.message
}

fn look(world: &World, count: bool) -> Result<Seen, Failure> {
    let plan = world.plan();
    database::look(plan.database.as_ref().unwrap(), &plan, count)
}

#[test]
fn keys_of_different_kinds_are_different_rows() {
    let mut world = World::upsert();

    let left = records(&[
        r#"{"id":10}"#,
        r#"{"id":"10"}"#,
        r#"{"id":9223372036854775808}"#,
        r#"{"id":"9223372036854775808"}"#,
    ]);
    world.run(Changes, &left).unwrap();

    assert_eq!(
        world.rows("SELECT typeof(id), id FROM orders ORDER BY id"),
        [
            "integer|10",
            "text|10",
            "text|9223372036854775808",
            "blob|9223372036854775808"
        ]
    );
}

#[test]
fn an_unchanged_row_keeps_its_time_and_generation() {
    let mut world = World::upsert();
    world
        .run(Changes, &records(&[r#"{"id":1}"#, r#"{"id":2}"#]))
        .unwrap();
    let before = world.rows("SELECT * FROM orders WHERE id = 1");
    std::thread::sleep(Duration::from_millis(2));

    let (_, totals) = world
        .run(Changes, &records(&[r#"{"id":1}"#, r#"{"id":2,"x":1}"#]))
        .unwrap();

    assert_eq!(world.rows("SELECT * FROM orders WHERE id = 1"), before);
    assert_eq!(
        world.rows(
            "SELECT _generation, _updated_at = committed_at FROM orders, tidegate_state WHERE id = 2"
        ),
        ["2|1"]
    );
    assert!(!totals.unchanged);
    let (_, again) = world.run(Changes, &records(&[r#"{"id":1}"#])).unwrap();
    assert!(again.unchanged);
}

#[test]
fn typed_columns_hold_what_they_say_and_refuse_the_rest() {
    let mut world = World::upsert();
    world.set(
        "OUTPUT_COLUMNS",
        "no bigint /id\ntotal numeric /total\nat timestamptz /at\npaid boolean /paid\nrest json /rest",
    );

    let good = r#"{"id":7,"total":12345678901234567890.10,"at":"2026-11-23T06:00:00Z","paid":true,"rest":{"a":1.10}}"#;
    world
        .run(Changes, &records(&[good, r#"{"id":8}"#]))
        .unwrap();

    assert_eq!(
        world.rows("SELECT no, total, at, paid, rest FROM orders"),
        [
            r#"7|12345678901234567890.10|2026-11-23T06:00:00Z|1|{"a":1.10}"#,
            "8||||"
        ]
    );
    let (_, totals) = world
        .run(Changes, &records(&[r#"{"id":9,"paid":"no"}"#]))
        .unwrap();
    assert_eq!(
        (totals.rejected, totals.set_aside, totals.staged),
        (1, 1, 0)
    );
    assert_eq!(
        world.rows("SELECT reason FROM tidegate_rejected"),
        [
            "cannot write the record with the key `9` into the table `orders`: the column `paid` is boolean, and there is `\"no\"` at `/paid`; give it another type in OUTPUT_COLUMNS, or change or drop such records with TRANSFORM"
        ]
    );
    assert_eq!(world.rows("SELECT count(*) FROM orders"), ["2"]);
}

#[test]
fn a_table_that_differs_is_refused_with_what_mends_it() {
    const RENAME: &str = "ALTER TABLE orders RENAME TO o; DROP TABLE o;";
    for (statements, what) in [
        (
            "ALTER TABLE orders DROP COLUMN note",
            "has no column `note`: `ALTER TABLE \"orders\" ADD COLUMN \"note\" TEXT`",
        ),
        (
            "ALTER TABLE orders DROP COLUMN note; ALTER TABLE orders ADD COLUMN note INTEGER",
            "has the column `note` as INTEGER, and it must be TEXT",
        ),
        (
            "CREATE TABLE orders (id, note TEXT, _updated_at TEXT, _generation INTEGER)",
            "is not STRICT",
        ),
        (
            "CREATE TABLE orders (id ANY, note TEXT PRIMARY KEY, _updated_at TEXT, _generation INTEGER) STRICT",
            "has the primary key (note)",
        ),
        ("CREATE VIEW orders AS SELECT 1 AS id", "is a view"),
    ] {
        let mut world = World::upsert();
        world.set("OUTPUT_COLUMNS", "note text /note");
        world.run(Changes, &records(&[r#"{"id":1}"#])).unwrap();
        if statements.starts_with("CREATE") {
            world.execute(RENAME);
        }
        world.execute(statements);

        let failure = world
            .run(Everything, &records(&[r#"{"id":1}"#]))
            .map(|_| ());

        let failure = failure.unwrap_err();
        assert_eq!(failure.outcome, Outcome::OutputUnusable, "{failure}");
        assert!(failure.message.contains(what), "{failure}");
    }
}

#[test]
fn rows_of_somebody_else_are_never_touched() {
    let mut world = World::upsert();
    world.execute("CREATE TABLE orders (id ANY NOT NULL PRIMARY KEY, data TEXT NOT NULL, _updated_at TEXT NOT NULL, _generation INTEGER NOT NULL) STRICT; INSERT INTO orders VALUES (1, '', '', 0)");

    let text = refused(
        &mut world,
        &records(&[r#"{"id":1}"#]),
        Outcome::OutputUnusable,
    );

    assert!(
        text.contains("`ALTER TABLE \"orders\" RENAME TO \"orders_before\"`"),
        "{text}"
    );
    assert_eq!(world.rows("SELECT _generation FROM orders"), ["0"]);
    world.execute("DELETE FROM orders; ALTER TABLE orders ADD COLUMN mine TEXT");
    world.run(Changes, &records(&[r#"{"id":1}"#])).unwrap();
    world.set("JOB_NAME", "other");
    world.set("OUTPUT_TABLE", "Orders");
    let text = refused(&mut world, &records(&[r#"{"id":1}"#]), Outcome::Settings);
    assert!(text.contains("is the job `orders`'s"), "{text}");
}

#[test]
fn a_table_that_is_gone_is_no_first_run() {
    let mut world = World::upsert();
    world.run(Changes, &records(&[r#"{"id":1}"#])).unwrap();
    world.execute("DROP TABLE orders");

    let text = refused(
        &mut world,
        &records(&[r#"{"id":2}"#]),
        Outcome::OutputUnusable,
    );

    assert!(text.contains("is missing"), "{text}");
    world.run(Everything, &records(&[r#"{"id":2}"#])).unwrap();
    assert_eq!(world.rows("SELECT id FROM orders"), ["2"]);
    world.set("OUTPUT_TABLE", "elsewhere");
    let text = refused(&mut world, &records(&[r#"{"id":3}"#]), Outcome::Settings);
    assert!(text.contains("went into `orders`"), "{text}");
}

#[test]
fn records_without_keys_are_replaced_together_unless_they_are_the_same() {
    let mut world = World::new(WriteMode::Replace, &[]);
    let twice = records(&[r#"{"a":1}"#, r#"{"a":1}"#]);
    world.run(Everything, &twice).unwrap();

    let (_, same) = world.run(Everything, &twice).unwrap();
    let (_, nothing) = world.run(NothingNew, &Left::default()).unwrap();
    let (_, after_nothing) = world.run(Everything, &twice).unwrap();

    assert!(same.unchanged && nothing.unchanged && after_nothing.unchanged);
    assert_eq!(nothing.records, 2);
    assert_eq!(
        world.rows("SELECT data, _generation FROM orders"),
        [r#"{"a":1}|1"#; 2]
    );
    world.execute("DELETE FROM orders WHERE rowid = 1");
    let (_, mended) = world.run(Everything, &twice).unwrap();
    assert!(!mended.unchanged);
    let (_, other) = world.run(Everything, &records(&[r#"{"a":2}"#])).unwrap();
    assert!(!other.unchanged);
    assert_eq!(
        world.rows("SELECT data, _generation FROM orders"),
        [r#"{"a":2}|6"#]
    );
}

#[test]
fn what_was_set_aside_is_kept_until_the_next_run() {
    let mut world = World::upsert();
    let mut left = records(&[r#"{"id":1}"#]);
    left.rejected =
        "{\"reason\":\"no id\",\"pointer\":\"/items/1\",\"record\":{\"x\":1.0}}\n".into();
    world.run(Changes, &left).unwrap();

    let kept = world.rows("SELECT * FROM tidegate_rejected");
    world.run(Changes, &records(&[r#"{"id":1}"#])).unwrap();

    assert_eq!(kept, [r#"orders|1|no id|/items/1|{"x":1.0}"#]);
    assert_eq!(world.rows("SELECT * FROM tidegate_rejected"), [""; 0]);
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let mut world = World::upsert();
    std::fs::write(world.path(), "id,name\n".repeat(200)).unwrap();

    let text = refused(&mut world, &Left::default(), Outcome::OutputUnusable);

    assert!(
        text.contains("file is not a database; move it away"),
        "{text}"
    );
    assert_eq!(
        std::fs::read(world.path()).unwrap(),
        "id,name\n".repeat(200).as_bytes()
    );
}

#[test]
fn a_damaged_database_is_refused() {
    let mut world = World::upsert();
    world.run(Changes, &records(&[r#"{"id":1}"#])).unwrap();
    let mut bytes = std::fs::read(world.path()).unwrap();
    let end = bytes.len().min(4096);
    bytes[100..end].fill(0xa5);
    std::fs::write(world.path(), bytes).unwrap();

    let text = refused(
        &mut world,
        &records(&[r#"{"id":2}"#]),
        Outcome::OutputUnusable,
    );

    assert!(
        text.contains("malformed; restore it from a backup"),
        "{text}"
    );
}

#[test]
fn another_writer_is_waited_for_within_the_limit_and_the_deadline() {
    let mut world = World::upsert();
    world.run(Changes, &records(&[r#"{"id":1}"#])).unwrap();
    let other = world.link();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    world.limits.database_busy = Duration::from_millis(300);

    let text = refused(&mut world, &records(&[r#"{"id":2}"#]), Outcome::TryLater);
    world.limits.database_busy = Duration::from_hours(1);
    world.meanwhile = || Err(Failure::new(Outcome::Interrupted, "stopped"));
    let stopped = refused(&mut world, &Left::default(), Outcome::Interrupted);
    world.meanwhile = || Ok(());
    other.execute_batch("COMMIT").unwrap();

    assert!(
        text.contains("another program holds the write lock"),
        "{text}"
    );
    assert_eq!(stopped, "stopped");
    world.run(Changes, &records(&[r#"{"id":2}"#])).unwrap();
}

#[test]
fn a_commit_that_somebody_else_overtook_changes_nothing() {
    let mut world = World::upsert();
    world.run(Changes, &records(&[r#"{"id":1}"#])).unwrap();
    let (path, limits) = (world.path(), world.limits.clone());

    let overtaken = world.with_sink(|sink| {
        let other = rusqlite::Connection::open(path).unwrap();
        other
            .execute_batch("UPDATE tidegate_state SET generation = 2")
            .unwrap();
        let left = records(&[r#"{"id":2}"#]);
        crate::sink::tests::world::publish(sink, Changes, &left, left.counts(), &limits, |_| ())
    });

    let failure = overtaken.map(|_| ()).unwrap_err();
    assert_eq!(failure.outcome, Outcome::TryLater);
    assert_eq!(world.rows("SELECT id FROM orders"), ["1"]);
}

#[test]
fn a_state_row_that_was_edited_is_not_trusted() {
    let mut world = World::upsert();
    world.run(Changes, &records(&[r#"{"id":1}"#])).unwrap();
    world.execute("UPDATE tidegate_state SET state = '{}'");

    let text = refused(&mut world, &Left::default(), Outcome::OutputUnusable);

    assert!(
        text.contains("its generation or state is not its manifest's"),
        "{text}"
    );
}

#[test]
fn a_dry_run_makes_no_file_and_changes_none() {
    let mut world = World::upsert();
    world.dry_run = true;
    let dry = |world: &mut World| {
        let limits = world.limits.clone();
        world.with_sink(|sink| {
            let staging = sink.run_folder()?;
            std::fs::write(
                staging.input().path().join("records.ndjson"),
                "{\"id\":1}\n",
            )
            .unwrap();
            let counts = records(&[r#"{"id":1}"#]).counts();
            let staged = crate::staging::read::open(staging.input(), counts, &limits)?;
            Ok(sink
                .take(&staged, &staging, Changes, None)?
                .totals()
                .records)
        })
    };

    assert_eq!(dry(&mut world).unwrap(), 1);
    assert!(!world.path().exists());
    world.execute("CREATE TABLE mine (a)");
    let before = std::fs::read(world.path()).unwrap();
    assert_eq!(dry(&mut world).unwrap(), 1);
    assert_eq!(std::fs::read(world.path()).unwrap(), before);
}

#[test]
fn a_look_sees_the_last_commit_while_somebody_writes() {
    let mut world = World::upsert();
    assert!(look(&world, true).unwrap().state.is_none());
    world.run(Changes, &records(&[r#"{"id":1}"#])).unwrap();
    let other = world.link();
    other
        .execute_batch("BEGIN IMMEDIATE; DELETE FROM orders")
        .unwrap();

    let seen = look(&world, true).unwrap();

    assert_eq!((seen.state.unwrap().generation, seen.rows), (1, Some(1)));
    other.execute_batch("COMMIT; DROP TABLE orders").unwrap();
    assert_eq!(look(&world, true).unwrap().rows, None);
}

#[test]
fn names_are_quoted_whatever_is_in_them() {
    let mut world = World::new(
        WriteMode::Upsert,
        &[("PRIMARY_KEY", "/a\"b); DROP TABLE x;--")],
    );
    world.set("OUTPUT_TABLE", "sel\"ect; --");

    world
        .run(Changes, &records(&[r#"{"a\"b); DROP TABLE x;--":1}"#]))
        .unwrap();

    assert_eq!(
        world.rows("SELECT _generation FROM \"sel\"\"ect; --\""),
        ["1"]
    );
}
