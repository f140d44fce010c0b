//! SQLite syncs what it must, when it must.

use super::calls::Call;
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

#[test]
fn a_commit_that_failed_and_cannot_be_read_is_unknown_and_the_next_run_goes_on_from_what_is_there()
{
    let mut scenario = Scenario::upsert(Place::Sqlite);
    let calls = scenario.recorded();
    let synced =
        |call: &Call| call.is("fdatasync", "data.db-wal") || call.is("fsync", "data.db-wal");
    let written = calls
        .iter()
        .rposition(|call| call.is("pwrite64", "data.db-wal"))
        .expect("the commit is written");
    let at = (written..calls.len())
        .find(|&at| synced(&calls[at]))
        .expect("and synced");
    let opened = calls[..at].iter().rfind(|call| call.name == "openat");
    let opened = opened.expect("the database is opened").when;

    let deaf = format!("inject=openat:error=EIO:when={}+", opened + 1);
    let printed = scenario.hit_with(&calls, at, "error=EIO", &deaf);

    printed
        .exits(74)
        .stderr_has("whether it was committed cannot be read")
        .stderr_has("the next run continues from whichever is there")
        .stdout_has(r#""committed":"unknown""#);
    scenario.next_run_mends_all("unknown");
}
