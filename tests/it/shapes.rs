//! `SCHEMA_DRIFT`: members of the records that are new, missing, renamed or of another type, told once.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::server::Reply;
use crate::world::place::{Place, at};
use crate::world::{Job, Run};

/// So many records, each with its number as id and time, and these members besides.
fn page(ids: std::ops::Range<u64>, members: &str) -> String {
    let record = |id: u64| format!(r#"{{"id":{id},"updated":{id}{members}}}"#);
    let records: Vec<String> = ids.map(record).collect();
    format!("[{}]", records.join(","))
}

/// What the one warning says; none where there is none.
fn told(run: &Run) -> Option<String> {
    let events = run.events("members of the records changed");
    assert!(events.len() < 2, "one warning a run: {events:?}");
    let event = events.first()?;
    assert_eq!(event["level"], "warn");
    Some(event["changes"].as_str().expect("a text").to_owned())
}

fn says(run: &Run, changes: &str) {
    run.exits(Outcome::Published);
    assert_eq!(told(run).as_deref(), Some(changes));
}

fn says_nothing(run: &Run) {
    assert_eq!(told(run), None);
    assert_eq!(run.summary()["drift"], Value::Null);
}

at! {
    every place:
        what_changed_in_a_whole_set_is_told_once
        what_changed_in_a_merge_is_told_once
        under_fail_nothing_is_published_until_it_is_accepted
}

fn what_changed_in_a_whole_set_is_told_once(place: Place) {
    let mut job = Job::new()
        .at(place)
        .set("PRIMARY_KEY", "/id")
        .page(200, &page(1..4, r#","name":"x","v":1"#));
    says_nothing(job.run().exits(Outcome::Published));

    let mut job = job.page(200, &page(1..4, r#","title":"x","v":"1","color":5"#));
    let run = job.run();
    let mut job = job.page(200, &page(1..5, r#","title":"x","v":"1","color":5"#));
    let then = job.run();

    says(
        &run,
        "`/name` is gone and `/title` is new (renamed?); `/v` was number and is string; `/color` is new (number)",
    );
    let drift = json!({
        "new": ["/color"],
        "missing": [],
        "renamed": [{"from": "/name", "to": "/title"}],
        "retyped": [{"member": "/v", "was": ["number"], "is": ["string"]}],
        "unlisted": 0,
    });
    assert_eq!(run.summary()["drift"], drift);
    assert_eq!(run.last_run()["drift"], drift);
    says_nothing(then.exits(Outcome::Published));
}

fn what_changed_in_a_merge_is_told_once(place: Place) {
    let mut job = Job::upsert()
        .at(place)
        .page(200, &page(1..31, r#","name":"x""#));
    says_nothing(job.run().exits(Outcome::Published));

    let mut job = job.page(200, &page(30..32, r#","title":"x""#));
    let run = job.run();
    let mut job = job.page(200, &page(31..33, r#","title":"x""#));
    let then = job.run();

    says(&run, "`/name` is gone and `/title` is new (renamed?)");
    says_nothing(then.exits(Outcome::Published));
}

fn under_fail_nothing_is_published_until_it_is_accepted(place: Place) {
    let mut job = Job::upsert()
        .at(place)
        .set("SCHEMA_DRIFT", "fail")
        .page(200, &page(1..31, r#","name":"x""#));
    job.run().exits(Outcome::Published);

    let mut job = job.page(200, &page(30..32, ""));
    let refused = job.run();
    let mut job = job.page(200, &page(30..32, ""));
    let again = job.run();
    let mut job = job
        .args(["--accept-change", "SCHEMA_DRIFT"])
        .page(200, &page(30..32, ""));
    let accepted = job.run();

    for run in [&refused, &again] {
        run.exits(Outcome::GateRefused)
            .publishes_nothing()
            .stderr_has("`/name` is missing in the last 2 records")
            .stderr_has("`--accept-change SCHEMA_DRIFT`, or set `SCHEMA_DRIFT=warn`");
        assert_eq!(told(run), None, "its line says it");
        assert_eq!(run.summary()["drift"]["missing"], json!(["/name"]));
        assert_eq!(
            run.requests[0].query("since").as_deref(),
            Some("30"),
            "the cursor is kept"
        );
    }
    says(&accepted, "`/name` is missing in the last 2 records");
}

#[test]
fn records_without_a_member_that_some_lacked_tell_nothing() {
    let mut first = page(1..50, r#","note":"x""#);
    first.insert_str(1, r#"{"id":0,"updated":0},"#);
    let mut job = Job::upsert().page(200, &first);
    job.run().exits(Outcome::Published);

    for id in 50..55 {
        job = job.page(200, &page(id..id + 3, ""));
        says_nothing(job.run().exits(Outcome::Published));
    }
}

#[test]
fn a_quiet_source_that_sends_its_last_record_each_time_tells_nothing() {
    let mut first = page(1..10, r#","note":"x""#);
    first.insert_str(first.len() - 1, r#",{"id":10,"updated":10}"#);
    let mut job = Job::upsert().page(200, &first);
    job.run().exits(Outcome::Published);

    for _ in 0..21 {
        job = job.page(200, &page(10..11, ""));
        says_nothing(job.run().exits(Outcome::NothingNew));
    }
}

#[test]
fn ignored_it_is_not_told_then_and_not_later() {
    let mut job = Job::new()
        .set("SCHEMA_DRIFT", "ignore")
        .page(200, &page(1..4, r#","a":1"#));
    job.run().exits(Outcome::Published);

    let mut job = job.page(200, &page(1..4, r#","b":"x""#));
    says_nothing(job.run().exits(Outcome::Published));
    let job = job.page(200, &page(1..4, r#","b":"y""#));
    let run = { job.set("SCHEMA_DRIFT", "warn") }.run();

    says_nothing(run.exits(Outcome::Published));
}

#[test]
fn it_is_about_what_transform_makes() {
    let mut job = Job::new()
        .set("TRANSFORM", "{id, name: (.name // .title)}")
        .page(200, &page(1..4, r#","name":"x""#));
    job.run().exits(Outcome::Published);

    let mut job = job.page(200, &page(1..4, r#","title":"x""#));
    says_nothing(job.run().exits(Outcome::NothingNew));
    let mut job = job.page(200, &page(1..4, ""));
    says(&job.run(), "`/name` is null in the last 3 records");
}

#[test]
fn a_column_that_turned_all_null_is_told() {
    for job in [Job::new().sqlite(), Job::new().set("OUTPUT_FORMAT", "csv")] {
        let mut job = job
            .set("PRIMARY_KEY", "/id")
            .set(
                "OUTPUT_COLUMNS",
                "id bigint /id\ncity text /ship/to/city\nn bigint /n",
            )
            .page(200, &page(1..4, r#","n":1,"ship":{"to":{"city":"x"}}"#));
        job.run().exits(Outcome::Published);
        let mut job = job.page(200, &page(1..4, r#","n":null,"ship":{"to":{"city":null}}"#));

        says(
            &job.run(),
            "`/n` is null in the last 3 records; `/ship/to/city` is null in the last 3 records",
        );
    }
}

#[test]
fn a_full_refresh_is_held_against_the_last_set_and_a_range_that_is_read_again_is_not() {
    let mut job = Job::upsert()
        .set("SOURCE_CURSOR_END_TO", "until")
        .page(200, &page(1..31, r#","name":"x""#));
    job.run().exits(Outcome::Published);

    let job = job.page(200, &page(1..5, ""));
    let mut job = job.args(["--from", "1", "--to", "5"]);
    says_nothing(job.run().exits(Outcome::Published));
    let mut job = ["--from", "1", "--to", "5"]
        .iter()
        .fold(job, |job, arg| job.without_arg(arg))
        .args(["--full-refresh"])
        .page(200, &page(1..32, ""));

    says(&job.run(), "`/name` is missing in the last 31 records");
}

#[test]
fn replaced_parents_and_segments_are_looked_at() {
    let rows = |member: &str| -> String {
        let row = |id| format!("{{\"id\":{id},\"order\":1,\"{member}\":1}}\n");
        (0..12).map(row).collect()
    };
    let replacing = Job::misbehaving("stage-as-told")
        .set("WRITE_MODE", "upsert")
        .set("SOURCE_CHANGES", "yes")
        .set("PRIMARY_KEY", "/id")
        .set("REPLACE_BY", "/order")
        .set("SOURCE_PARENT", "/id");
    let appending = Job::misbehaving("stage-as-told")
        .set("WRITE_MODE", "append")
        .set("SOURCE_CHANGES", "yes")
        .set("OUTPUT_FORMAT", "ndjson");

    for job in [replacing, appending] {
        let mut job = job.set("SOURCE_STAGE_RECORDS", &rows("a"));
        job.run().exits(Outcome::Published);
        says(
            &{ job.set("SOURCE_STAGE_RECORDS", &rows("b")) }.run(),
            "`/a` is gone and `/b` is new (renamed?)",
        );
    }
}

#[test]
fn a_run_in_windows_tells_it_once() {
    let day = |day: u32, member: &str| {
        format!(r#"{{"id":{day},"updated":"2026-01-{day:02}T12:00:00Z",{member}}}"#)
    };
    let mut job = Job::upsert()
        .set("SOURCE_CURSOR_KIND", "rfc3339")
        .set("SOURCE_CURSOR_START", "2026-01-01T00:00:00Z")
        .set("SOURCE_CURSOR_END_TO", "until")
        .set("SOURCE_WINDOW", "10d")
        .set("SOURCE_CURSOR_CHECK", "no")
        .api(move |request| {
            let from = request.query("since").unwrap_or_default();
            let until = request.query("until").unwrap_or_else(|| "9".to_owned());
            let days = (1..=31).filter(|day| {
                let at = format!("2026-01-{day:02}T12:00:00Z");
                from <= at && at < until
            });
            // A new member from the eleventh on, and another name for one from the twenty-first on.
            let records = days.map(|number| match number {
                1..=10 => day(number, r#""name":"x""#),
                11..=20 => day(number, r#""name":"x","color":5"#),
                _ => day(number, r#""title":"x","color":5"#),
            });
            let records: Vec<String> = records.collect();
            Reply::new(200, format!("[{}]", records.join(",")))
        });

    let run = job.run();

    says(
        &run,
        "`/name` is gone and `/title` is new (renamed?); `/color` is new (number)",
    );
    assert!(run.summary()["portions"].as_u64() > Some(2));
}

#[test]
fn a_dry_run_tells_it_and_remembers_nothing() {
    let mut job = Job::new().page(200, &page(1..4, ""));
    job.run().exits(Outcome::Published);

    let job = job.page(200, &page(1..4, r#","a":1"#));
    let mut job = job.args(["--dry-run"]);
    let dry = job.run();
    let job = job.page(200, &page(1..4, r#","a":1"#));
    let run = { job.without_arg("--dry-run") }.run();

    dry.exits(Outcome::DryRun).publishes_nothing();
    assert_eq!(told(&dry).as_deref(), Some("`/a` is new (number)"));
    says(&run, "`/a` is new (number)");
}

#[test]
fn a_commit_without_a_usable_shape_begins_one() {
    for forget in [
        "json_remove(manifest, '$.shape')",
        "json_set(manifest, '$.shape', 'x')",
        "json_set(manifest, '$.shape', json('{\"members\":{\"id\":{\"types\":[\"x\"]}}}'))",
    ] {
        let mut job = Job::new()
            .sqlite()
            .set("PRIMARY_KEY", "/id")
            .page(200, &page(1..4, r#","a":1"#));
        job.run().exits(Outcome::Published);
        let database = rusqlite::Connection::open(job.database().unwrap()).unwrap();
        let forgot = database.execute(
            &format!("UPDATE tidegate_state SET manifest = {forget}"),
            [],
        );
        assert_eq!(forgot, Ok(1));
        drop(database);

        let mut job = job.page(200, &page(1..4, r#","b":1"#));
        says_nothing(job.run().exits(Outcome::Published));
        let mut job = job.page(200, &page(1..4, r#","c":1"#));
        says(&job.run(), "`/b` is gone and `/c` is new (renamed?)");
    }
}

#[test]
fn names_of_any_form_are_bounded_steer_nothing_and_hide_the_key() {
    let job = Job::new();
    let long = "n".repeat(1_000_000);
    let odd = format!(
        r#"{{"id":1,"a\u001b[2J\u202e`\n{}":1,"{long}":1}}"#,
        job.key
    );
    let many: Vec<String> = (0..5_000)
        .map(|n| format!(r#"{{"id":1,"k{n}":1}}"#))
        .collect();
    let mut job = job.page(200, r#"[{"id":1}]"#);
    job.run().exits(Outcome::Published);

    let mut job = job.page(200, &format!("[{odd}]"));
    let run = job.run();
    let mut job = job.page(200, &format!("[{}]", many.join(",")));
    let full = job.run();

    says(&run, "`/a\\u001b[2J\\u202e` REDACTED` is new (number)");
    let text = told(&full).expect("a warning");
    assert!(
        text.ends_with("`/k8` is new (number); and 489 more"),
        "{text}"
    );
    assert!(text.len() < 2_000);
    let told_full = full.events("more members than are watched for SCHEMA_DRIFT");
    let told_long = run.events("more members than are watched for SCHEMA_DRIFT");
    assert_eq!((told_long.len(), told_full.len()), (1, 0), "once");
    assert_eq!(
        full.summary()["drift"]["new"].as_array().map(Vec::len),
        Some(20)
    );
}
