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

/// When the run says that it is done.
fn told(calls: &[Call]) -> usize {
    calls
        .iter()
        .position(|call| call.is("write", "stdout") && call.args.contains("finished"))
        .expect("the run says that it has ended")
}

#[test]
fn the_first_rows_are_synced_in_the_file_before_they_count_and_then_with_their_folder() {
    let calls = Scenario::first_run(Place::Sqlite).recorded();

    // The journal's going is the commit. What is written after it is the change to write-ahead mode.
    let committed = calls
        .iter()
        .position(|call| call.name.starts_with("unlink") && call.args.contains("data.db-journal"))
        .expect("the journal goes");
    let written = (0..committed).rfind(|&at| calls[at].is("pwrite64", "data.db"));
    let written = written.expect("the rows are written");
    let synced = |call: &Call| call.is("fsync", "data.db") || call.is("fdatasync", "data.db");
    assert!(
        calls[written..committed].iter().any(synced),
        "the rows are synced before the journal goes"
    );
    let folder = calls[committed..told(&calls)].iter().find(|call| {
        call.is("fsync", super::calls::OUTPUT) || call.is("fdatasync", super::calls::OUTPUT)
    });
    folder.expect("the folder is synced behind it");
    let named = calls[..committed]
        .iter()
        .any(|call| call.is("fsync", super::calls::OUTPUT));
    assert!(named, "and before it, with the name of the file");
}

#[test]
fn the_rows_of_later_runs_are_synced_in_the_log_before_the_run_says_so() {
    let calls = Scenario::upsert(Place::Sqlite).recorded();

    let committed = commit_is_written(&calls);
    // By the commit, by that of the run's record, and once more before the checkpoint; without full syncs the last would be
    // the only one.
    let syncs = (committed..told(&calls)).filter(|&at| syncs_the_log(&calls[at]));
    assert_eq!(syncs.count(), 3, "the log is synced by the commit itself");
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
