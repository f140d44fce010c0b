//! A load from a source that sorts by the cursor: what was fetched before a failure stays, and the next run goes on there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::server::{Reply, Request};
use crate::world::{Job, Run};

const RECORDS: u64 = 12;

/// A page of one record, sorted by time; two of each three share theirs.
fn answered(request: &Request) -> Reply {
    let from = request.query("since").unwrap_or_default();
    let at = |id: u64| {
        format!(
            "2026-01-{:02}T00:00:00Z",
            1 + (id - id % 3) / 3 * 2 + u64::from(id % 3 == 2)
        )
    };
    let all = (0..RECORDS).map(|id| json!({ "id": id, "updated": at(id) }));
    let wanted: Vec<Value> = all
        .filter(|record| record["updated"].as_str().expect("a time") >= from.as_str())
        .collect();
    let page: usize = request
        .query("page")
        .map_or(0, |page| page.parse().expect("a page"));
    let reply = Reply::new(200, json!([wanted[page]]).to_string());
    if page + 1 == wanted.len() {
        return reply;
    }
    reply.next(&format!("/items?since={from}&page={}", page + 1))
}

/// The same for so many requests, and then none.
fn quota(requests: usize) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let asked = AtomicUsize::new(0);
    move |request| {
        if asked.fetch_add(1, Ordering::Relaxed) < requests {
            answered(request)
        } else {
            Reply::new(429, "daily quota").header("Retry-After", "3600")
        }
    }
}

fn sorted() -> Job {
    Job::upsert()
        .set("SOURCE_CURSOR_ORDER", "asc")
        .set("SOURCE_PAGINATION", "link")
        .set("MAX_RETRIES", "0")
}

fn ids(job: &Job) -> Vec<u64> {
    let id = |record: &String| {
        let record: Value = serde_json::from_str(record).expect("JSON");
        record["id"].as_u64().expect("an id")
    };
    job.view().records().iter().map(id).collect()
}

fn all() -> Vec<u64> {
    (0..RECORDS).collect()
}

/// Runs the job under a quota until it works, and returns how many runs that took.
fn runs_under_a_quota(mut job: Job, requests: usize) -> (Job, usize) {
    for runs in 1..10 {
        job = job.api(quota(requests));
        let run = job.run();
        if run.code == Some(0) {
            return (job, runs);
        }
        run.exits(Outcome::TryLater)
            .stderr_has("1 portion of this run published")
            .stderr_has("and the next run continues there");
        assert_eq!(run.summary()["committed"], "yes");
    }
    panic!("no run came to the end");
}

#[test]
fn a_quota_costs_no_progress() {
    let (mut job, runs) = runs_under_a_quota(sorted(), 6);

    assert_eq!(ids(&job), all());
    assert!(runs < 5, "{runs}");
    job = job.api(answered);
    job.run().exits(Outcome::NothingNew);
}

#[test]
fn nor_does_it_in_a_database_or_in_segments() {
    let (sqlite, _) = runs_under_a_quota(sorted().sqlite(), 6);
    let appended = sorted()
        .set("WRITE_MODE", "append")
        .set("OUTPUT_FORMAT", "ndjson");
    let (appended, _) = runs_under_a_quota(appended, 6);

    assert_eq!(
        sqlite.rows("SELECT count(*) FROM orders"),
        [RECORDS.to_string()]
    );
    assert_eq!(
        appended.view().appended().lines().count() as u64,
        RECORDS,
        "none twice"
    );
}

#[test]
fn the_deadline_keeps_what_was_fetched_before() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let mut job = sorted().set("RUN_DEADLINE", "2s").api(move |request| {
        // Two portions of a quarter of a second, and a page that never comes.
        match counted.fetch_add(1, Ordering::Relaxed) {
            0..6 => std::thread::sleep(Duration::from_millis(130)),
            _ => return Reply::silence(),
        }
        answered(request)
    });

    let late = job.run();
    let kept = ids(&job);
    job = job.set("RUN_DEADLINE", "60s").api(answered);
    let rest = job.run();

    late.exits(Outcome::TryLater)
        .stderr_has("RUN_DEADLINE")
        .stderr_has("of this run published");
    assert!(!kept.is_empty());
    rest.exits(Outcome::Published);
    let first = rest.requests[0].query("since").expect("a value");
    assert!(first.as_str() > "2026-01-01T00:00:00Z", "{first}");
    assert_eq!(ids(&job), all());
}

#[test]
fn a_kill_keeps_what_was_fetched_before() {
    let asked = AtomicUsize::new(0);
    let mut job = sorted().set("RUN_DEADLINE", "4s").api(move |request| {
        match asked.fetch_add(1, Ordering::Relaxed) {
            0..6 => std::thread::sleep(Duration::from_millis(200)),
            _ => return Reply::silence(),
        }
        answered(request)
    });

    job.start().killed_after(7, Duration::ZERO);
    let kept = ids(&job);
    job = job.set("RUN_DEADLINE", "60s").api(answered);
    job.run().exits(Outcome::Published);

    assert!(!kept.is_empty());
    assert_eq!(ids(&job), all());
}

#[test]
fn a_full_refresh_is_published_as_a_whole_or_not_at_all() {
    let mut job = sorted().api(answered);
    let whole = job.run().generation().to_owned();

    let refresh = job
        .then(|job| job.args(["--full-refresh"]).api(quota(6)))
        .run();

    refresh.exits(Outcome::TryLater).stderr_has("429");
    assert_eq!(refresh.generation(), whole);
}

#[test]
fn a_dry_run_publishes_no_portion() {
    let run = sorted().args(["--dry-run"]).api(quota(6)).run();

    run.exits(Outcome::DryRun).publishes_nothing();
    let warning = run.warnings()[0].to_string();
    assert!(warning.contains("429"), "{warning}");
}

#[test]
fn the_gate_before_few_records_is_for_the_whole_load() {
    let mut job = sorted().set("MIN_RECORDS", "12").api(quota(6));

    let part = job.run();
    job = job.api(answered);
    let rest = job.run();

    part.exits(Outcome::TryLater);
    rest.exits(Outcome::Published);
}

#[test]
fn the_gate_before_a_set_that_shrinks_is_for_all_portions_of_a_run() {
    let rows = |deleted: bool| {
        let at = move |id: u64| {
            format!(
                "2026-{}-{:02}T00:00:00Z",
                if deleted { "02" } else { "01" },
                1 + id
            )
        };
        let rows = (0..RECORDS).filter(move |id| !deleted || *id < 8);
        rows.map(move |id| json!({ "id": id, "updated": at(id), "gone": deleted }))
            .collect::<Vec<Value>>()
    };
    let answered = move |deleted: bool, requests: usize| {
        let asked = AtomicUsize::new(0);
        move |request: &Request| {
            let from = request.query("since").unwrap_or_default();
            let wanted: Vec<Value> = rows(deleted)
                .into_iter()
                .filter(|row| row["updated"].as_str().expect("a time") >= from.as_str())
                .collect();
            let page: usize = request
                .query("page")
                .map_or(0, |page| page.parse().expect("a page"));
            if asked.fetch_add(1, Ordering::Relaxed) == requests {
                return Reply::new(503, "");
            }
            let reply = Reply::new(200, json!([wanted[page]]).to_string());
            if page + 1 == wanted.len() {
                return reply;
            }
            reply.next(&format!("/items?since={from}&page={}", page + 1))
        }
    };
    let mut job = sorted()
        .set("SOURCE_DELETED", "/gone")
        .api(answered(false, usize::MAX));
    job.run().exits(Outcome::Published);

    job = job.api(answered(true, 5));
    let run = job.run();

    run.exits(Outcome::GateRefused)
        .stderr_has("MAX_SHRINK_PERCENT");
}

/// What a first load says that has to begin again.
fn begins_again(run: &Run) -> String {
    run.exits(Outcome::TryLater).publishes_nothing();
    run.stderr.clone()
}

#[test]
fn where_the_order_is_not_known_the_failure_names_the_settings_that_keep_progress() {
    let unsorted = || sorted().unset("SOURCE_CURSOR_ORDER");
    let quota = begins_again(&unsorted().api(quota(6)).run());
    let asked = AtomicUsize::new(0);
    let late = unsorted().set("RUN_DEADLINE", "1s").api(move |request| {
        if asked.fetch_add(1, Ordering::Relaxed) < 2 {
            answered(request)
        } else {
            Reply::silence()
        }
    });
    let late = begins_again(&{ late }.run());

    for text in [&quota, &late] {
        assert!(text.contains("SOURCE_CURSOR_ORDER"), "{text}");
        assert!(text.contains("SOURCE_WINDOW"), "{text}");
    }
    assert!(late.contains("2 pages read; raise it"), "{late}");
}
