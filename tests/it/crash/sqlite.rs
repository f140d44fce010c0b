//! SIGKILL, EIO and ENOSPC at every file-system call of a run into SQLite, SQLite's own included.
//!
//! After each a reader sees the old rows or the new ones, with the state row of the same commit; the next run ends as if
//! nothing had been.

use serde_json::Value;

use super::scenario::{Content, Scenario};

#[test]
fn a_first_run_into_sqlite_killed_at_any_call_shows_all_or_nothing() {
    kill_at_every_call(Scenario::sqlite_first());
}

#[test]
fn an_upsert_run_into_sqlite_killed_at_any_call_shows_the_old_rows_or_the_new_ones() {
    kill_at_every_call(Scenario::sqlite_upsert());
}

#[test]
fn an_error_at_any_call_of_a_first_run_into_sqlite_is_told_as_it_is() {
    fail_every_call(Scenario::sqlite_first());
}

#[test]
fn an_error_at_any_call_of_an_upsert_run_into_sqlite_is_told_as_it_is() {
    fail_every_call(Scenario::sqlite_upsert());
}

#[test]
fn the_rows_are_synced_before_the_run_says_so_and_a_new_file_with_its_name() {
    let calls = Scenario::sqlite_first().recorded();

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

fn kill_at_every_call(mut scenario: Scenario) {
    let recorded = scenario.recorded();
    let mut first_new = None;
    for (at, target) in recorded.iter().enumerate() {
        let printed = scenario.hit(&recorded, at, "signal=SIGKILL");
        let told = format!("{}, killed at {target}", scenario.name);

        assert_eq!(printed.code, None, "{told}: it ended by itself");
        let is_new = sees_old_or_new(&scenario, &told);
        assert!(
            is_new || first_new.is_none(),
            "{told}: the new rows are gone again"
        );
        if is_new {
            first_new.get_or_insert(at);
        }
        scenario.next_run_mends_all(&told);
    }
    let first = first_new.expect("some kills came after the commit");
    scenario.tell(&format!(
        "killed at each of its {} calls, from the {first}th on after the commit",
        recorded.len()
    ));
}

fn fail_every_call(mut scenario: Scenario) {
    let recorded = scenario.recorded();
    let (mut failed, mut unknown) = (0, 0);
    for error in ["EIO", "ENOSPC"] {
        for (at, target) in recorded.iter().enumerate() {
            let printed = scenario.hit(&recorded, at, &format!("error={error}"));
            let told = format!(
                "{}, {error} at {target}\n{}{}",
                scenario.name, printed.stdout, printed.stderr
            );

            let is_new = sees_old_or_new(&scenario, &told);
            let events = printed
                .stdout
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).expect(line));
            let committed = events
                .filter(|event| event["msg"] == "run finished")
                .map(|event| event["committed"].as_str().unwrap_or_default().to_owned())
                .next();
            match (printed.code, committed.as_deref()) {
                (Some(0), Some("yes") | None) => assert!(is_new, "{told}: told, and not committed"),
                (Some(73 | 74), Some("no")) => assert!(!is_new, "{told}: committed, and not told"),
                (Some(74), Some("unknown")) => unknown += 1,
                (Some(73 | 74), None) => {}
                other => panic!("{told}: {other:?}"),
            }
            failed += usize::from(printed.code != Some(0));
            scenario.next_run_mends_all(&told);
        }
    }
    scenario.tell(&format!(
        "EIO and ENOSPC at each of its {} calls: {failed} failed, {unknown} of them with `committed: unknown`",
        recorded.len()
    ));
}

/// Whether the new rows are seen.
fn sees_old_or_new(scenario: &Scenario, told: &str) -> bool {
    let view = scenario.view();
    if view == scenario.before {
        return false;
    }
    assert_eq!(
        Content::of(&view).as_ref(),
        Some(&scenario.after),
        "{told}: readers see something else"
    );
    true
}
