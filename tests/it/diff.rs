//! `tidegate diff`: what differs between two published sets.

use std::fs;

use serde_json::{Value, json};

use crate::world::Job;

const FIRST: &str = r#"[{"id":2,"updated":"2026-11-01T00:00:00Z","status":"paid"},{"id":10,"updated":"2026-11-02T00:00:00Z","status":"open"},{"id":3,"updated":"2026-11-02T00:00:00Z","status":"open"}]"#;
const SECOND: &str = r#"[{"id":4,"updated":"2026-11-03T00:00:00Z","status":"open"},{"id":3,"updated":"2026-11-02T00:00:00Z","status":"open"},{"id":10,"updated":"2026-11-03T00:00:00Z","status":"void"}]"#;

/// A job that published these pages, each as everything there is.
fn published(job: Job, pages: &[&str]) -> Job {
    let mut job = job.set("MAX_SHRINK_PERCENT", "100");
    for page in pages {
        job = job.page(200, page);
        job.run().printed.exits(0);
    }
    job
}

fn keyed() -> Job {
    Job::new().set("PRIMARY_KEY", "/id")
}

#[test]
fn new_changed_and_gone_records_are_told_by_their_key() {
    for format in ["json", "ndjson"] {
        for compression in ["none", "gzip", "zstd"] {
            let job = keyed()
                .set("OUTPUT_FORMAT", format)
                .set("OUTPUT_COMPRESSION", compression);
            let job = published(job, &[FIRST, SECOND]);

            let shown = job.tidegate(["diff"]);

            let text = &shown.exits(1).stdout;
            assert!(text.contains("\n1 new, 1 changed, 1 gone\n"), "{text}");
            assert!(
                text.contains("members changed: status (1), updated (1)\n"),
                "{text}"
            );
            assert!(text.contains("\nnew:\n  4\n"), "{text}");
            assert!(
                text.contains("\nchanged:\n  10\n    status: \"open\" -> \"void\"\n    updated: "),
                "{text}"
            );
            assert!(text.contains("\ngone:\n  2\n"), "{text}");
            assert!(
                text.lines().all(|line| line.chars().count() <= 80),
                "{text}"
            );
            shown.steers_nothing();
        }
    }
}

#[test]
fn every_difference_is_a_line_of_json() {
    let job = published(keyed(), &[FIRST, SECOND]);

    let printed = job.tidegate(["diff", "1", "2", "--output", "json"]);

    let lines = printed.exits(1).stdout.lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |change: &str| lines.iter().find(|line| line["change"] == change).unwrap();
    assert_eq!(lines.len(), 3);
    assert_eq!(of("new")["record"]["id"], 4);
    assert_eq!(of("gone")["record"]["id"], 2);
    assert_eq!(of("changed")["members"], json!(["status", "updated"]));
    assert_eq!(of("changed")["old"]["status"], "open");
    assert_eq!(of("changed")["new"]["status"], "void");
}

#[test]
fn the_same_set_has_no_differences_and_any_two_can_be_compared() {
    let job = published(keyed(), &[FIRST, FIRST, SECOND]);

    job.tidegate(["diff", "1", "2"])
        .exits(0)
        .stdout_has("0 new, 0 changed, 0 gone");
    job.tidegate(["diff", "1"]).exits(1);
    // Backwards, what is new is gone.
    job.tidegate(["diff", "3", "1"])
        .exits(1)
        .stdout_has("\ngone:\n  4\n");
}

#[test]
fn without_a_key_a_record_counts_as_often_as_it_is_there() {
    let job = published(
        Job::new(),
        &[r#"[{"id":1},{"id":1},{"id":2}]"#, r#"[{"id":1},{"id":2}]"#],
    );

    job.tidegate(["diff"])
        .exits(1)
        .stdout_has("0 new, 0 changed, 1 gone");
}

#[test]
fn every_digit_is_shown() {
    let job = published(
        keyed(),
        &[
            r#"[{"id":1,"total":10.00,"n":123456789012345678901234567890}]"#,
            r#"[{"id":1,"total":10.0,"n":123456789012345678901234567890}]"#,
        ],
    );

    let printed = job.tidegate(["diff", "--output", "json"]);

    let line = r#""old":{"id":1,"total":10.00,"n":123456789012345678901234567890},"new":{"id":1,"total":10.0,"#;
    printed.exits(1).stdout_has(line);
}

#[test]
fn a_set_that_is_the_same_as_the_one_before_is_passed_over() {
    let job = published(keyed(), &[FIRST, SECOND, SECOND]);

    job.tidegate(["diff"])
        .exits(1)
        .stdout_has("from  generation 1 of ");
}

#[test]
fn without_a_key_a_changed_record_is_one_gone_and_one_new() {
    let job = published(Job::new(), &[FIRST, SECOND]);

    job.tidegate(["diff"])
        .exits(1)
        .stdout_has("2 new, 0 changed, 2 gone")
        .stdout_has("Without PRIMARY_KEY");
}

#[test]
fn what_cannot_be_compared_is_said() {
    let job = published(keyed(), &[FIRST]);

    job.tidegate(["diff"])
        .exits(64)
        .stderr_has("no earlier set");
    job.tidegate(["diff", "7", "1"])
        .exits(64)
        .stderr_has("cannot find generation 7: 1 are kept");
    job.tidegate(["diff", "1", "2", "3"]).exits(64);
    let csv = published(Job::new().set("OUTPUT_FORMAT", "csv"), &[FIRST, SECOND]);
    csv.tidegate(["diff"]).exits(64).stderr_has("a csv file");
    let rows = published(Job::upsert().sqlite(), &[FIRST]);
    rows.tidegate(["diff"])
        .exits(64)
        .stderr_has("no earlier set");
    Job::new().tidegate(["diff"]).exits(64);
}

#[test]
fn a_set_that_was_edited_is_not_believed() {
    let job = published(keyed(), &[FIRST, SECOND]);
    let path = job.output().join("current/latest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("void", "vain")).unwrap();

    job.tidegate(["diff"]).exits(73);
}
