//! `tidegate rollback`: an earlier set is published again, and held where that is wanted.

use std::fs;

use serde_json::Value;

use crate::world::Job;

const FIRST: &str = r#"[{"id":1,"updated":"2026-11-01T00:00:00Z"}]"#;
const SECOND: &str = r#"[{"id":2,"updated":"2026-11-02T00:00:00Z"}]"#;
const THIRD: &str = r#"[{"id":3,"updated":"2026-11-03T00:00:00Z"}]"#;

/// A job that published these pages, each merged into what was there.
fn published(pages: &[&str]) -> Job {
    let mut job = Job::upsert();
    for page in pages {
        job = job.page(200, page);
        job.run().printed.exits(0);
    }
    job
}

fn ids(job: &Job) -> Vec<u64> {
    let text = fs::read_to_string(job.output().join("latest.json")).unwrap();
    let records: Vec<Value> = serde_json::from_str(&text).unwrap();
    let ids = records.iter().map(|record| record["id"].as_u64().unwrap());
    ids.collect()
}

#[test]
fn readers_see_the_earlier_set_and_the_next_run_goes_on_from_its_cursor() {
    let job = published(&[FIRST, SECOND, THIRD]);

    let went = job.tidegate(["rollback"]);
    went.exits(0).stdout_has("generation 2 of ");
    went.stdout_has("goes on from cursor 2026-11-02T00:00:00Z");
    assert_eq!(ids(&job), [1, 2]);
    let went = job.tidegate(["rollback", "1"]);
    went.exits(0).stdout_has("generation 1 of ");
    assert_eq!(ids(&job), [1]);
    job.tidegate(["health", "--verify"]).exits(0);
    job.tidegate(["runs"]).exits(0).stdout_has("rolled_back");

    let mut job = job.page(200, SECOND);
    let run = job.run();

    run.printed.exits(0);
    assert!(
        run.printed
            .stdout
            .contains("generation above the current one removed")
    );
    assert_eq!(ids(&job), [1, 2]);
}

#[test]
fn forward_again_is_a_rollback_too() {
    let job = published(&[FIRST, SECOND]);
    job.tidegate(["rollback", "1"]).exits(0);

    job.tidegate(["rollback", "2"]).exits(0);

    assert_eq!(ids(&job), [1, 2]);
}

#[test]
fn a_job_that_is_held_publishes_nothing_until_it_is_released() {
    let job = published(&[FIRST, SECOND]);
    job.tidegate(["rollback", "--hold"])
        .exits(0)
        .stdout_has("the job is held");

    let mut job = job;
    let held = job.run();

    held.printed.exits(75);
    held.asked(0);
    held.stderr_has("`tidegate rollback --release`");
    assert_eq!(ids(&job), [1]);
    assert!(job.output().join("generations").read_dir().unwrap().count() == 2);
    job.tidegate(["health"])
        .exits(1)
        .stdout_has("the job is held at generation 1");
    job.tidegate(["rollback", "--release"])
        .exits(0)
        .stdout_has("released");
    job.tidegate(["rollback", "--release"])
        .exits(0)
        .stdout_has("not held");
    let mut job = job.page(200, SECOND);
    job.run().printed.exits(0);
    assert_eq!(ids(&job), [1, 2]);
}

#[test]
fn what_is_gone_back_to_is_another_set_also_after_runs_without_news() {
    let mut job = published(&[FIRST, SECOND]).page(200, SECOND);
    job.run().printed.exits(0);

    job.tidegate(["rollback", "--hold"])
        .exits(0)
        .stdout_has("generation 1 of ");

    assert_eq!(ids(&job), [1]);
}

#[test]
fn a_damaged_set_is_left_for_one_that_is_whole() {
    let job = published(&[FIRST, SECOND]);
    let current = job.output().join("current/latest.json");
    fs::write(&current, "[").unwrap();

    job.tidegate(["rollback"]).exits(0);

    assert_eq!(ids(&job), [1]);
}

#[test]
fn a_dry_run_leaves_what_was_gone_back_from() {
    let job = published(&[FIRST, SECOND]);
    job.tidegate(["rollback"]).exits(0);

    let mut job = job.args(["--dry-run"]).page(200, SECOND);
    job.run().printed.exits(0);

    job.tidegate(["rollback", "2"]).exits(0);
    assert_eq!(ids(&job), [1, 2]);
}

#[test]
fn a_job_file_may_begin_with_a_number() {
    let job = published(&[FIRST, SECOND]);
    let other = job.beside("other");
    let text = format!("[output]\noutput_dir = \"{}\"\n", other.display());
    let file = job.file("1-orders.toml", &text).display().to_string();

    let job = job.unset("OUTPUT_DIR");
    job.tidegate(["rollback", &file]).exits(64);
}

#[test]
fn a_hold_ends_where_going_back_failed_and_under_a_database_too() {
    let job = published(&[FIRST, SECOND]);
    fs::remove_file(job.output().join("latest.json")).unwrap();
    fs::write(job.output().join("latest.json"), "[]").unwrap();
    job.tidegate(["rollback", "--hold"]).exits(73);
    assert!(!job.output().join("held.json").exists());
    fs::remove_file(job.output().join("latest.json")).unwrap();

    job.tidegate(["rollback", "--hold"]).exits(0);
    let output = job.output().display().to_string();
    let job = job.sqlite().set("OUTPUT_DIR", &output);

    job.tidegate(["rollback", "--release"])
        .exits(0)
        .stdout_has("released");
}

#[test]
fn a_set_that_was_edited_is_not_gone_back_to() {
    let job = published(&[FIRST, SECOND]);
    let generations = job.output().join("generations");
    let first = fs::read_dir(generations)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let first = first.min().unwrap().join("latest.json");
    let text = fs::read_to_string(&first).unwrap();
    fs::write(&first, text.replace("11-01", "11-09")).unwrap();

    job.tidegate(["rollback", "--hold"])
        .exits(73)
        .stderr_has("its checksum is not the published one");

    assert_eq!(ids(&job), [1, 2]);
    assert!(!job.output().join("held.json").exists());
}

#[test]
fn what_cannot_be_done_is_said() {
    let job = published(&[FIRST]);

    job.tidegate(["rollback"])
        .exits(64)
        .stderr_has("no earlier set");
    job.tidegate(["rollback", "7"])
        .exits(64)
        .stderr_has("cannot find generation 7: 1 are kept");
    job.tidegate(["rollback", "1", "--release"]).exits(64);
    job.tidegate(["rollback", "--hold", "--release"]).exits(64);
    Job::new().tidegate(["rollback"]).exits(64);
    let mut rows = Job::upsert().sqlite().page(200, FIRST);
    rows.run().printed.exits(0);
    rows.tidegate(["rollback"])
        .exits(64)
        .stderr_has("a table holds");
}

#[test]
fn a_run_that_is_under_way_is_not_disturbed() {
    let job = published(&[FIRST, SECOND]);
    let lock = fs::File::open(job.output().join(".lock")).unwrap();
    lock.lock().unwrap();

    job.tidegate(["rollback"]).exits(75);

    assert_eq!(ids(&job), [1, 2]);
}
