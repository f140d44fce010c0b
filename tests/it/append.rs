//! `WRITE_MODE=append`, end to end: segments, what readers may rely on, and what is refused.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::docs::block_after;
use crate::server::{Reply, Request};
use crate::world::{Job, Run};

/// An event a minute of one hour, as many as `known`, from where the source is asked to begin.
fn events(known: u64) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    move |request| {
        let since = request.query("since").unwrap_or_default();
        let events: Vec<Value> = (1..=known)
            .map(|id| json!({ "id": id, "at": format!("2026-01-01T00:{id:02}:00Z") }))
            .filter(|event| event["at"].as_str().expect("a time") >= since.as_str())
            .collect();
        Reply::new(200, Value::from(events).to_string())
    }
}

/// A job that appends events, which looks five minutes back.
fn job() -> Job {
    Job::new()
        .set("SOURCE_CURSOR", "/at")
        .set("SOURCE_CURSOR_TO", "since")
        .set("WRITE_MODE", "append")
        .set("OUTPUT_FORMAT", "ndjson")
}

/// The same, after a run that found ten events.
fn appended() -> Job {
    let mut job = job().api(events(10));
    job.run().exits(Outcome::Published);
    job
}

fn ids(text: &str) -> Vec<u64> {
    let id = |line: &str| {
        let event: Value = serde_json::from_str(line).expect(line);
        event["id"].as_u64().expect("an id")
    };
    text.lines().map(id).collect()
}

fn segment(run: &Run, number: u64) -> Option<Vec<u64>> {
    let text = run.after.file(&format!("segments/{number:06}.ndjson"));
    text.map(ids)
}

fn refused(run: &Run, told: &[&str]) {
    run.exits(Outcome::Settings).publishes_nothing().asked(0);
    for text in told {
        run.stderr_has(text);
    }
}

#[test]
fn two_runs_that_overlap_append_each_event_once() {
    let mut job = appended().api(events(13));

    let run = job.run();

    run.exits(Outcome::Published);
    assert_eq!(
        run.requests[0].query("since").expect("a start"),
        "2026-01-01T00:05:00Z"
    );
    assert_eq!(segment(&run, 1), Some((1..=10).collect()));
    assert_eq!(segment(&run, 2), Some(vec![11, 12, 13]));
    let manifest = run.manifest();
    assert_eq!(manifest["counts"]["records"], 13);
    assert_eq!(manifest["counts"]["staged"], 9);
    assert_eq!(manifest["files"]["segments/000002.ndjson"]["records"], 3);
    assert_eq!(
        (&run.summary()["records"], &run.last_run()["records"]),
        (&json!(13), &json!(13))
    );
    let here = fs::read_dir(job.output()).expect("the folder");
    assert!(
        here.flatten()
            .all(|entry| !entry.file_name().to_string_lossy().starts_with("latest")),
        "there is no latest.*"
    );
}

#[test]
fn nothing_new_commits_no_segment_and_forgets_nothing() {
    let mut job = appended();
    let same = job.run();
    // The newest ones are gone, and no event is as late as what is asked for.
    let mut job = job.api(events(4));
    let empty = job.run();
    let mut job = job.api(events(11));
    let more = job.run();

    same.exits(Outcome::NothingNew);
    empty.exits(Outcome::NothingNew);
    assert_eq!((segment(&empty, 2), segment(&empty, 3)), (None, None));
    more.exits(Outcome::Published);
    assert_eq!(segment(&more, 4), Some(vec![11]));
    assert_eq!(more.manifest()["counts"]["records"], 11);
}

#[test]
fn a_full_fetch_appends_what_the_last_one_did_not_bring() {
    let mut job = Job::new()
        .set("WRITE_MODE", "append")
        .set("OUTPUT_FORMAT", "ndjson")
        .page(200, r#"[{"id":1},{"id":2},{"id":2}]"#);
    job.run().exits(Outcome::Published);

    let run = job.page(200, r#"[{"id":2},{"id":1,"changed":true}]"#).run();

    run.exits(Outcome::Published);
    assert_eq!(segment(&run, 1), Some(vec![1, 2]));
    assert_eq!(
        run.after.file("segments/000002.ndjson"),
        Some("{\"id\":1,\"changed\":true}\n")
    );
}

#[test]
fn each_portion_is_a_segment() {
    let run = Job::misbehaving("portions")
        .set("WRITE_MODE", "append")
        .set("SOURCE_CHANGES", "yes")
        .set("OUTPUT_FORMAT", "ndjson")
        .set("MIN_RECORDS", "3")
        .run();

    run.exits(Outcome::Published);
    assert_eq!(run.after.appended().lines().count(), 3);
    assert_eq!(segment(&run, 3), Some(vec![3]));
    assert_eq!(run.manifest()["counts"]["records"], 3);
}

#[test]
fn readers_list_what_is_committed_and_nothing_else() {
    let mut job = appended().api(events(13));
    let generation = job.run().generation().to_owned();
    let listed = |job: &Job| {
        let script = block_after("This lists the committed ones, oldest first:");
        let output = Command::new("sh")
            .args(["-euc", script])
            .current_dir(job.output())
            .output();
        let output = output.expect("start sh");
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let committed = "segments/000001.ndjson\nsegments/000002.ndjson\n";
    // What a killed run leaves.
    fs::write(job.output().join("segments/000003.ndjson"), "{\"id\":1").expect("write");

    assert_eq!(generation[..6], *"000002");
    assert_eq!(listed(&job), committed);
    let run = job.run();
    run.exits(Outcome::NothingNew);
    assert_eq!(
        run.events("segment above the current generation removed")
            .len(),
        1
    );
    assert_eq!(listed(&job), committed);
    assert_eq!(job.view().appended().lines().count(), 13);
}

#[test]
fn a_failed_run_appends_nothing_and_a_dry_one_neither() {
    let mut job = appended()
        .api(|_| Reply::new(503, ""))
        .set("MAX_RETRIES", "0");
    let failed = job.run();
    let mut job = job.api(events(12)).args(["--dry-run"]);
    let dry = job.run();

    failed.exits(Outcome::TryLater).publishes_nothing();
    dry.exits(Outcome::DryRun).publishes_nothing();
    assert_eq!(dry.summary()["records"], 12);
    assert!(!job.output().join("segments/000002.ndjson").exists());
}

#[test]
fn what_would_change_or_take_back_records_is_78() {
    let json = job().unset("OUTPUT_FORMAT").run();
    let deleted = job().set("SOURCE_DELETED", "/gone").run();
    let parents = job()
        .set("REPLACE_BY", "/id")
        .set("SOURCE_PARENT", "/id")
        .run();
    let anew = appended().args(["--full-refresh"]).run();
    let range = appended()
        .args(["--from", "2026-01-01", "--to", "2026-01-02"])
        .run();

    refused(&json, &["OUTPUT_FORMAT is `json`", "OUTPUT_FORMAT=ndjson"]);
    refused(
        &deleted,
        &["SOURCE_DELETED says which records to take away"],
    );
    refused(&parents, &["REPLACE_BY", "WRITE_MODE=upsert"]);
    refused(&anew, &["`--full-refresh`", "another OUTPUT_DIR"]);
    refused(&range, &["`--from` and `--to`"]);
}

#[test]
fn a_changed_setting_is_78_and_a_full_refresh_is_no_way_on() {
    let mut job = appended().set("TRANSFORM", ".").api(events(11));

    let changed = job.run();
    let accepted = job.args(["--accept-change", "TRANSFORM"]).run();

    refused(
        &changed,
        &["TRANSFORM changed", "--accept-change TRANSFORM"],
    );
    assert!(
        !changed.stderr.contains("--full-refresh"),
        "{}",
        changed.stderr
    );
    accepted.exits(Outcome::Published);
    assert_eq!(segment(&accepted, 2), Some(vec![11]));
}

#[test]
fn from_a_set_to_append_the_first_segment_holds_that_run() {
    let set = || {
        let mut job = job()
            .set("WRITE_MODE", "upsert")
            .set("PRIMARY_KEY", "/id")
            .api(events(10));
        job.run().exits(Outcome::Published);
        job.set("WRITE_MODE", "append").api(events(12))
    };

    let refused_run = set().run();
    let mut job = set().args(["--accept-change", "WRITE_MODE"]);
    let went_over = job.run();

    refused(
        &refused_run,
        &["WRITE_MODE changed", "--accept-change WRITE_MODE"],
    );
    went_over.exits(Outcome::Published);
    assert_eq!(segment(&went_over, 2), Some((5..=12).collect()));
    assert_eq!(went_over.summary()["records"], 8);
    assert!(fs::symlink_metadata(job.output().join("latest.ndjson")).is_err());
}

#[test]
fn from_append_to_a_set_everything_is_fetched_and_the_segments_stay() {
    let changed = || {
        appended()
            .set("WRITE_MODE", "upsert")
            .set("PRIMARY_KEY", "/id")
    };
    let accept = [
        "--accept-change",
        "WRITE_MODE",
        "--accept-change",
        "PRIMARY_KEY",
    ];

    let refused_run = changed().run();
    let mut job = changed().args(accept);
    let went_over = job.run();
    let then = job.api(events(11)).run();

    refused(
        &refused_run,
        &["WRITE_MODE changed", "--accept-change WRITE_MODE"],
    );
    went_over.exits(Outcome::Published);
    assert_eq!(
        ids(went_over.after.file("latest.ndjson").expect("a set")).len(),
        10
    );
    assert_eq!(segment(&went_over, 1), Some((1..=10).collect()));
    assert_eq!(then.summary()["records"], 11);
    assert_eq!(then.summary()["fetched"], 7, "a look-back, no full fetch");
}

#[test]
fn to_replace_it_is_a_decision_as_well() {
    let changed = || {
        appended()
            .unset("SOURCE_CURSOR")
            .unset("SOURCE_CURSOR_TO")
            .set("WRITE_MODE", "replace")
            // Fewer than were ever appended: that is no set to shrink.
            .api(events(2))
    };

    let refused_run = changed().run();
    let went_over = changed().args(["--accept-change", "WRITE_MODE"]).run();

    refused(
        &refused_run,
        &["WRITE_MODE changed", "--accept-change WRITE_MODE"],
    );
    went_over.exits(Outcome::Published);
    assert_eq!(
        ids(went_over.after.file("latest.ndjson").expect("a set")),
        [1, 2]
    );
}

#[test]
fn min_records_counts_the_run_and_what_grows_cannot_shrink() {
    let mut job = appended()
        .set("MIN_RECORDS", "8")
        .set("MAX_SHRINK_PERCENT", "0")
        .api(events(12));
    let enough = job.run();
    let mut job = job
        .set("MIN_RECORDS", "9")
        .api(events(13))
        .set("SOURCE_LOOKBACK", "1m");
    let too_few = job.run();

    // Two of them are new.
    enough.exits(Outcome::Published);
    too_few
        .exits(Outcome::GateRefused)
        .publishes_nothing()
        .stderr_has("this run has 3 records, and `MIN_RECORDS` is 9");
}

#[test]
fn health_counts_all_segments_and_verifies_the_newest() {
    let mut job = appended().api(events(13));
    job.run();
    let well = job.tidegate(["health", "--verify"]);
    let newest = job.output().join("segments/000002.ndjson");
    let text = fs::read_to_string(&newest).expect("a segment");
    fs::write(&newest, text.replace("11", "19")).expect("damage it");

    let damaged = job.tidegate(["health", "--verify"]);

    well.exits(0).stdout_has("13 records");
    damaged
        .exits(1)
        .stdout_has("segments/000002.ndjson` is damaged");
}
