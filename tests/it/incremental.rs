//! What the cursor does through the whole program: windows that are published one by one, ranges that are read again, a source
//! that did not change, and many pages.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::server::{Reply, Request};
use crate::world::Job;

/// More than the resources that a component may hold at one time.
const MANY_PAGES: usize = 1_100;

/// A record a day of January 2026, as many as there are.
fn days(request: &Request) -> Vec<Value> {
    let from = request.query("since").unwrap_or_default();
    let until = request.query("until").unwrap_or_else(|| "9".to_owned());
    days_between(&from, &until)
}

fn days_between(from: &str, until: &str) -> Vec<Value> {
    let all =
        (1..=31).map(|day| json!({ "id": day, "updated": format!("2026-01-{day:02}T12:00:00Z") }));
    let within = |record: &Value| {
        let at = record["updated"].as_str().expect("a time");
        from <= at && at < until
    };
    all.filter(within).collect()
}

fn answered(request: &Request) -> Reply {
    Reply::new(200, Value::from(days(request)).to_string())
}

/// A job whose first load is cut into windows of ten days.
fn windowed() -> Job {
    Job::upsert()
        .set("SOURCE_CURSOR_KIND", "rfc3339")
        .set("SOURCE_CURSOR_START", "2026-01-01T00:00:00Z")
        .set("SOURCE_CURSOR_END_TO", "until")
        .set("SOURCE_WINDOW", "10d")
        .set("MAX_RETRIES", "0")
}

fn ids(records: &Value) -> Vec<u64> {
    let records = records.as_array().expect("an array");
    records
        .iter()
        .map(|record| record["id"].as_u64().expect("an id"))
        .collect()
}

fn published(job: &Job) -> Vec<u64> {
    let view = job.view();
    let text = view.file("latest.json").expect("something published");
    ids(&serde_json::from_str(text).expect("JSON"))
}

#[test]
fn a_long_load_is_published_window_by_window_and_goes_on_where_it_failed() {
    let mut job = windowed().api(|request| {
        let from = request.query("since").unwrap_or_default();
        if from.as_str() > "2026-01-20" && from.as_str() < "2026-02" {
            return Reply::new(500, "");
        }
        answered(request)
    });

    let failed = job.run();
    failed
        .exits(Outcome::TryLater)
        .stderr_has("2 portions of this run published");
    assert_eq!(published(&job), (1..=20).collect::<Vec<_>>());

    job = job.api(answered);
    let went_on = job.run();

    went_on.exits(Outcome::Published);
    assert_eq!(published(&job), (1..=31).collect::<Vec<_>>());
    let first = went_on.requests[0].query("since").expect("a start");
    assert_eq!(
        first, "2026-01-20T23:50:00Z",
        "a look-back before the last window's end"
    );
    job.run().exits(Outcome::NothingNew);
}

#[test]
fn a_full_refresh_of_windows_is_published_once() {
    let mut job = windowed().api(answered);
    job.run().exits(Outcome::Published);

    let run = job.then(|job| job.args(["--full-refresh"])).run();

    run.exits(Outcome::NothingNew);
    assert_eq!(run.summary()["portions"], 1);
    assert_eq!(run.summary()["fetched"], 31);
}

#[test]
fn a_range_is_read_again_and_the_cursor_stays() {
    let mut job = Job::upsert()
        .set("SOURCE_CURSOR_END_TO", "until")
        .api(answered);
    let before = job.run().manifest();
    let corrected = |request: &Request| {
        let mut records = days(request);
        for record in &mut records {
            record["corrected"] = json!(true);
        }
        Reply::new(200, Value::from(records).to_string())
    };

    let mut job = job
        .api(corrected)
        .then(|job| job.args(["--from", "2026-01-05", "--to", "2026-01-07T00:00:00Z"]));
    let run = job.run();

    run.exits(Outcome::Published).asked(1);
    let after = run.manifest();
    assert_eq!(
        (&after["state"], &after["cursor"]),
        (&before["state"], &before["cursor"])
    );
    let view = job.view();
    let latest: Vec<Value> =
        serde_json::from_str(view.file("latest.json").expect("data")).expect("JSON");
    let corrected: Vec<&Value> = latest
        .iter()
        .filter(|record| record["corrected"] == true)
        .collect();
    assert_eq!(corrected.len(), 2, "{corrected:?}");
    assert_eq!(latest.len(), 31);
}

#[test]
fn a_range_needs_both_ends_and_a_merge() {
    let alone = Job::new().tidegate(["run", "--from", "1"]);
    let mut replaced = Job::new().args(["--from", "1", "--to", "2"]);

    alone.exits(64);
    replaced
        .run()
        .exits(Outcome::Settings)
        .stderr_has("`--from` and `--to`")
        .asked(0);
}

/// A source that knows no parameter of this name: asked with it, it answers nothing.
fn unknown(request: &Request) -> Reply {
    let all = days_between("", "9");
    let answered = request.query("since").map_or(all, |_| Vec::new());
    Reply::new(200, Value::from(answered).to_string())
}

#[test]
fn a_filter_that_the_source_does_not_know_is_found_in_the_next_run() {
    let mut job = Job::upsert().api(unknown);
    job.run().exits(Outcome::Published);

    let stale = job.run();
    let accepted = job.then(|job| job.set("SOURCE_CURSOR_CHECK", "no")).run();

    stale
        .exits(Outcome::GateRefused)
        .stderr_has("`since` (SOURCE_CURSOR_TO)")
        .stderr_has("does not know this parameter");
    assert_eq!(stale.before, stale.after);
    accepted.exits(Outcome::NothingNew).asked(1);
}

#[test]
fn a_source_that_lost_its_data_fails_the_next_run() {
    let mut job = Job::upsert().api(answered);
    job.run().exits(Outcome::Published);

    let run = job.api(|_| Reply::new(200, "[]")).run();

    run.exits(Outcome::GateRefused)
        .stderr_has("it lost its data")
        .stderr_has("is intact");
}

#[test]
fn where_the_newest_record_was_deleted_runs_go_on_from_the_one_before() {
    let fewer = |request: &Request| {
        let mut records = days(request);
        records.retain(|record| record["id"] != 31);
        Reply::new(200, Value::from(records).to_string())
    };
    let mut job = Job::upsert().api(answered);
    job.run().exits(Outcome::Published);

    let mut job = job.api(fewer);
    let deleted = job.run();
    let quiet = job.run();
    let mut job = job.api(answered);
    let back = job.run();

    deleted.exits(Outcome::NothingNew).asked(3);
    quiet.exits(Outcome::NothingNew).asked(1);
    let from = quiet.requests[0].query("since").expect("a start");
    assert_eq!(from, "2026-01-30T12:00:00Z");
    back.exits(Outcome::NothingNew).asked(1);
    assert_eq!(published(&job), (1..=31).collect::<Vec<_>>());
}

#[test]
fn a_source_that_ignores_the_filter_is_warned_of() {
    let mut job = Job::upsert().api(|_| {
        let all = days_between("", "9");
        Reply::new(200, Value::from(all).to_string())
    });
    job.run().exits(Outcome::Published);

    let run = job.run();

    run.exits(Outcome::NothingNew).asked(1);
    assert!(
        run.stdout.contains("29 of 31 records are older than"),
        "{}",
        run.stdout
    );
}

#[test]
fn an_unchanged_source_costs_one_304() {
    let mut job = Job::new().api(|request| match request.header("if-none-match") {
        Some("\"v1\"") => Reply::new(304, ""),
        _ => Reply::new(200, r#"[{"id":1}]"#).header("etag", "\"v1\""),
    });
    job.run().exits(Outcome::Published).asked(1);

    let unchanged = job.run();
    let refreshed = job.then(|job| job.args(["--full-refresh"])).run();

    unchanged
        .exits(Outcome::NothingNew)
        .asked(1)
        .publishes(&json!([{ "id": 1 }]));
    assert_eq!(unchanged.summary()["extent"], "nothing-new");
    assert_eq!(refreshed.requests[0].header("if-none-match"), None);
    assert_eq!(refreshed.summary()["fetched"], 1);
}

#[test]
fn pages_are_read_to_the_last_however_many_there_are() {
    let run = Job::new()
        .set("SOURCE_PAGINATION", "link")
        .api(|request| {
            let page: usize = request
                .query("page")
                .map_or(1, |page| page.parse().expect("a number"));
            let reply = Reply::new(200, format!(r#"[{{"id":{page}}}]"#));
            match page {
                MANY_PAGES => reply,
                _ => reply.next(&format!("/items?page={}", page + 1)),
            }
        })
        .run();

    run.exits(Outcome::Published).asked(MANY_PAGES);
    assert_eq!(run.summary()["records"], MANY_PAGES);
}

#[test]
fn the_next_page_is_asked_for_while_this_one_is_worked_on() {
    let job = Job::new();
    let output = job.output();
    let was_staged = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&was_staged);
    let mut job = job
        .set("SOURCE_PAGINATION", "link")
        // Enough for each record that the page takes longer than the request.
        .set("TRANSFORM", ".sum = ([range(2000)] | add)")
        .api(move |request| {
            let page: usize = request.query("page").map_or(1, |n| n.parse().unwrap_or(1));
            if page == 2 {
                seen.store(staged_bytes(&output), Ordering::Relaxed);
            }
            let records: Vec<Value> = (0..200)
                .map(|id| json!({ "id": 200 * page + id }))
                .collect();
            let reply = Reply::new(200, Value::from(records).to_string());
            if page < 3 {
                reply.next(&format!("/items?page={}", page + 1))
            } else {
                reply
            }
        });

    let run = job.run();

    run.exits(Outcome::Published).asked(3);
    assert_eq!(run.summary()["staged"], 600);
    assert_eq!(was_staged.load(Ordering::Relaxed), 0);
}

/// Bytes of the files in the staging folder of the run at hand.
fn staged_bytes(output: &Path) -> usize {
    let entries = std::fs::read_dir(output).into_iter().flatten().flatten();
    let staging =
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(".staging-"));
    let files = staging.flat_map(|entry| std::fs::read_dir(entry.path().join("in")));
    let bytes = files
        .flatten()
        .flatten()
        .filter_map(|file| file.metadata().ok());
    bytes
        .map(|file| usize::try_from(file.len()).unwrap_or(usize::MAX))
        .sum()
}
