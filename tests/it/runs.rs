//! `tidegate runs`: how the last runs ended, from `runs.ndjson` or from a database.

use std::fs;

use serde_json::Value;

use crate::server::Reply;
use crate::world::{Job, postgres};

const TWO: &str =
    r#"[{"id":1,"updated":"2026-11-01T00:00:00Z"},{"id":2,"updated":"2026-11-02T00:00:00Z"}]"#;
const CHANGED: &str =
    r#"[{"id":1,"updated":"2026-11-03T00:00:00Z"},{"id":3,"updated":"2026-11-04T00:00:00Z"}]"#;

/// A job after three runs: published, failed, published.
fn ran_three_times(job: Job) -> Job {
    let mut job = job.page(200, TWO);
    job.run().printed.exits(0);
    let mut job = job.then(|job| job.page(404, "{}"));
    job.run().printed.exits(69);
    let mut job = job.then(|job| job.page(200, CHANGED));
    job.run().printed.exits(0);
    job
}

fn json_of(job: &Job, more: &[&str]) -> Vec<Value> {
    let args = [&["runs", "--output", "json"], more].concat();
    let printed = job.tidegate_with(&args);
    let lines = printed.exits(0).stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a run is JSON"))
        .collect()
}

fn codes(runs: &[Value]) -> Vec<u64> {
    let codes = runs.iter().map(|run| run["exit_code"].as_u64().unwrap());
    codes.collect()
}

fn lists_all_runs(job: &Job) {
    let runs = json_of(job, &[]);
    assert_eq!(codes(&runs), [0, 69, 0], "{runs:?}");
    assert_eq!(
        (&runs[0]["new"], &runs[0]["deleted"]),
        (&1.into(), &0.into())
    );
    assert!(runs[1]["message"].as_str().unwrap().contains("404"));
    for member in [
        "rejected",
        "requests",
        "wire_bytes",
        "duration_ms",
        "component_cpu_ms",
        "component_memory_peak_bytes",
    ] {
        assert!(runs[0][member].is_u64(), "{member}: {}", runs[0]);
    }
    assert_eq!(codes(&json_of(job, &["--failed"])), [69]);
    assert_eq!(codes(&json_of(job, &["--last", "2"])), [0, 69]);
}

#[test]
fn each_run_is_a_line_whatever_its_end() {
    let job = ran_three_times(Job::upsert());

    lists_all_runs(&job);
    let table = job.tidegate(["runs"]);
    let csv = job.tidegate(["runs", "--output", "csv"]);

    let lines: Vec<&str> = table.exits(0).stdout.lines().collect();
    let words =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    assert_eq!(
        words(lines[0])[2..],
        [
            "EXIT", "OUTCOME", "RECORDS", "NEW", "CHANGED", "GONE", "SECONDS"
        ]
    );
    assert_eq!(words(lines[1])[2..7], ["0", "published", "3", "1", "1"]);
    assert_eq!(words(lines[2])[2..4], ["69", "source_refused"]);
    assert!(
        lines[3].starts_with("    ") && lines[3].contains("404"),
        "{table:?}"
    );
    assert_eq!(lines.last(), Some(&"3 runs, 1 failed"));
    assert!(
        lines.iter().all(|line| line.chars().count() <= 80),
        "{}",
        table.stdout
    );
    table.steers_nothing();
    let mut rows = csv::Reader::from_reader(csv.exits(0).stdout.as_bytes());
    let codes = rows
        .headers()
        .unwrap()
        .iter()
        .position(|name| name == "exit_code");
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let codes: Vec<&str> = rows.iter().map(|row| &row[codes.unwrap()]).collect();
    assert_eq!(codes, ["0", "69", "0"]);
}

#[test]
fn a_database_has_them_in_its_own_table() {
    lists_all_runs(&ran_three_times(Job::upsert().sqlite()));
    lists_all_runs(&ran_three_times(
        Job::upsert().postgres(postgres::server().database()),
    ));
}

#[test]
fn as_many_are_kept_as_are_asked_for() {
    let mut job = Job::new().set("KEEP_RUNS", "4");
    for _ in 0..7 {
        job = job.page(200, TWO);
        job.run().printed.exits(0);
    }

    let text = fs::read_to_string(job.output().join("runs.ndjson")).unwrap();
    assert_eq!(text.lines().count(), 5, "{text}");
    let run = json_of(&job, &[]);
    assert_eq!(run.len(), 5);
}

#[test]
fn a_run_goes_on_where_its_line_cannot_be_written() {
    let mut job = Job::new().page(200, TWO);
    job.run().printed.exits(0);
    let history = job.output().join("runs.ndjson");
    fs::remove_file(&history).unwrap();
    fs::create_dir(&history).unwrap();

    let mut job = job.then(|job| job.page(200, TWO));
    let run = job.run();

    run.printed.exits(0);
    assert!(run.printed.stdout.contains("runs.ndjson not written"));
    job.tidegate(["runs"]).exits(73);
}

#[test]
fn a_job_without_a_run_says_so() {
    let job = Job::new();

    job.tidegate(["runs"]).exits(0).stdout_has("no run of");
    job.tidegate(["runs", "--output", "json"]).exits(0);
    job.tidegate(["runs", "--last", "0"]).exits(64);
}

#[test]
fn what_a_source_says_is_no_formula_in_a_spreadsheet() {
    let mut job = Job::new()
        .set("SOURCE_ERROR", ".why")
        .reply(Reply::new(200, r#"{"why":"=1+1"}"#));
    job.run();

    let csv = job.tidegate(["runs", "--output", "csv"]);

    assert!(!csv.exits(0).stdout.contains(",=1+1"), "{}", csv.stdout);
}
