//! SQLite syncs what it must, when it must.

use super::calls::Call;
use super::scenario::Scenario;
use crate::world::Place;

fn syncs_the_log(call: &Call) -> bool {
    ["fsync", "fdatasync"]
        .iter()
        .any(|sync| call.is(sync, "data.db-wal"))
}

/// The last write of the data's commit to the log. What is written there later is the record of the run.
fn commit_is_written(calls: &[Call]) -> usize {
    let writes = |at: usize| calls[at].is("pwrite64", "data.db-wal");
    let record = (0..calls.len())
        .rfind(|&at| writes(at))
        .expect("the run is recorded");
    let before = (0..record)
        .rfind(|&at| !writes(at) && calls[at].name != "pread64")
        .expect("something else comes before");
    (0..=before)
        .rfind(|&at| writes(at))
        .expect("the commit is written")
}

#[test]
fn the_rows_are_synced_before_the_run_says_so_and_a_new_file_with_its_name() {
    let calls = Scenario::first_run(Place::Sqlite).recorded();

    let committed = commit_is_written(&calls);
    let told = calls
        .iter()
        .position(|call| call.is("write", "stdout") && call.args.contains("finished"))
        .expect("the end is told");
    // By the commit, by that of the run's record, and once more before the checkpoint; without full syncs the last would be
    // the only one.
    let syncs = (committed..told).filter(|&at| syncs_the_log(&calls[at]));
    assert_eq!(syncs.count(), 3, "the log is synced by the commit itself");
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
    let at = (commit_is_written(&calls)..calls.len())
        .find(|&at| syncs_the_log(&calls[at]))
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
