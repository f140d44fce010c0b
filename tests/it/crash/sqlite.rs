//! SQLite syncs what it must, when it must.

use super::scenario::Scenario;
use crate::world::Place;

#[test]
fn the_rows_are_synced_before_the_run_says_so_and_a_new_file_with_its_name() {
    let calls = Scenario::first_run(Place::Sqlite).recorded();

    let position = |name: &str, path: &str| calls.iter().rposition(|made| made.is(name, path));
    let committed = position("pwrite64", "data.db-wal").expect("the commit is written");
    let told = calls
        .iter()
        .position(|call| call.is("write", "stdout") && call.args.contains("finished"))
        .expect("the end is told");
    // By the commit, and once more before the checkpoint; without full syncs the second would be the only one.
    let syncs: Vec<usize> = (committed..told)
        .filter(|&at| {
            ["fsync", "fdatasync"]
                .iter()
                .any(|sync| calls[at].is(sync, "data.db-wal"))
        })
        .collect();
    assert_eq!(syncs.len(), 2, "the log is synced by the commit itself");
    let named = calls
        .iter()
        .position(|call| call.is("fsync", super::calls::OUTPUT));
    assert!(named.expect("the folder is synced") < committed);
}
