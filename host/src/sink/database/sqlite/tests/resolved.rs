//! What becomes of a commit that gave an error: the row says it, or nobody can.

use rusqlite::params;

use crate::outcome::{Committed, Failure, Outcome};
use crate::sink::Extent::Changes;
use crate::sink::database::{Connection as _, StateRow};
use crate::sink::tests::world::Left;

use super::world::World;
use crate::sink::database::sqlite::Sqlite;

fn published() -> World {
    let mut world = World::upsert();
    let left = Left::records("{\"id\":1}\n");
    world.run(Changes, &left).unwrap();
    world
}

/// All of a second commit but its end.
fn all_but_committed(sqlite: &mut Sqlite<'_>) -> StateRow {
    let row = StateRow {
        generation: 2,
        ..sqlite.state().unwrap().unwrap()
    };
    sqlite.begin(Some(1)).unwrap();
    let changed = "UPDATE orders SET _generation = 2; UPDATE tidegate_state SET generation = 2";
    sqlite.link.execute_batch(changed).unwrap();
    row
}

/// What becomes of it, after this was done in place of `COMMIT`.
fn became(world: &mut World, act: impl FnOnce(&Sqlite<'_>)) -> Result<(), Failure> {
    world.with_connection(|sqlite| {
        let row = all_but_committed(sqlite);
        act(sqlite);
        let failure = Failure::new(Outcome::IoFailed, "commit: disk I/O error");
        sqlite.resolve(&row, failure)
    })
}

fn unknown(became: Result<(), Failure>) -> String {
    let failure = became.unwrap_err();
    assert_eq!(
        (failure.outcome, failure.committed),
        (Outcome::IoFailed, Committed::Unknown)
    );
    failure.message
}

fn commit(sqlite: &Sqlite<'_>) {
    sqlite.link.execute_batch("COMMIT").unwrap();
}

#[test]
fn it_is_ours_after_all_and_is_in_the_file_before_that_is_said() {
    let mut world = published();
    // While somebody has it open, the log is not emptied by the end of the run alone.
    let reader = world.link();
    let count = "SELECT count(*) FROM orders";
    reader.query_row(count, [], |_| Ok(())).unwrap();

    became(&mut world, commit).unwrap();

    let log = std::fs::metadata(world.path().with_extension("db-wal"));
    assert_eq!(log.unwrap().len(), 0);
    assert_eq!(world.rows("SELECT _generation FROM orders"), ["2"]);
}

#[test]
fn it_never_happened() {
    let mut world = published();

    let failure = became(&mut world, |_| {}).unwrap_err();

    assert_eq!(failure.message, "commit: disk I/O error");
    assert_eq!(failure.committed, Committed::No);
    assert_eq!(world.rows("SELECT _generation FROM orders"), ["1"]);
}

#[test]
fn it_is_ours_and_a_reader_keeps_it_in_the_log() {
    let mut world = published();
    let reader = world.link();
    reader.execute_batch("BEGIN").unwrap();
    let count = "SELECT count(*) FROM orders";
    reader.query_row(count, [], |_| Ok(())).unwrap();

    let told = unknown(became(&mut world, commit));

    assert!(told.ends_with("; it is there, and may not survive a power cut"));
}

#[test]
fn it_is_somebody_elses() {
    let mut world = published();

    let told = unknown(became(&mut world, |sqlite| {
        commit(sqlite);
        let later = "UPDATE tidegate_state SET generation = ?1";
        sqlite.link.execute(later, params![3]).unwrap();
    }));

    assert_eq!(
        told,
        "commit: disk I/O error; somebody else committed meanwhile"
    );
}

#[test]
fn its_row_is_gone() {
    let mut world = published();

    let told = unknown(became(&mut world, |sqlite| {
        commit(sqlite);
        let gone = "DELETE FROM tidegate_state";
        sqlite.link.execute(gone, []).unwrap();
    }));

    assert!(told.ends_with("; the row of the last commit is gone"));
}

#[test]
fn its_file_is_gone_or_no_database_and_none_is_made() {
    let mut world = published();
    let path = world.path();

    let told = unknown(became(&mut world, |_| std::fs::remove_file(&path).unwrap()));

    assert!(told.contains("whether it was committed cannot be read: "));
    assert!(told.ends_with("data.db`: it is gone"), "{told}");
    assert!(!path.exists());
    let mut world = published();
    let path = world.path();
    let told = unknown(became(&mut world, |_| {
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
    }));
    assert!(told.ends_with("data.db`: it is not a file"), "{told}");
}
