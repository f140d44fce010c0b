//! OUTPUT_HISTORY: what a table was before, and `diff` and `rollback` of it, in SQLite and PostgreSQL.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::world::place::at;
use crate::world::{Job, Place, Printed};

at! {
    a_table_goes_back_and_the_next_run_goes_on_from_the_cursor_of_then at sqlite postgres;
    a_held_table_is_left_alone_until_it_is_released at sqlite postgres;
    a_whole_set_leaves_what_it_replaces_and_takes_away at sqlite postgres;
    two_generations_are_compared_exactly at sqlite postgres;
    without_a_history_rows_that_were_written_are_shown at sqlite postgres;
    a_history_begins_with_a_table_that_is_there_and_anew_after_a_gap at sqlite postgres;
    a_table_with_the_name_of_the_history_is_refused at sqlite postgres;
    typed_columns_are_kept_and_restored_as_they_were at sqlite postgres;
    a_dry_run_keeps_nothing at sqlite postgres;
}

const FIRST: &str = r#"[{"id":1,"updated":"2026-11-01T00:00:00Z","v":1.10},{"id":2,"updated":"2026-11-01T00:00:00Z","v":1}]"#;
const SECOND: &str = r#"[{"id":1,"updated":"2026-11-02T00:00:00Z","v":2},{"id":3,"updated":"2026-11-02T00:00:00Z","v":1}]"#;
const THIRD: &str = r#"[{"id":2,"updated":"2026-11-03T00:00:00Z","v":3}]"#;

fn keeping(job: Job) -> Job {
    job.set("OUTPUT_HISTORY", "yes")
}

/// A job that published these pages, each merged into what was there.
fn published(job: Job, pages: &[&str]) -> Job {
    let mut job = job;
    for page in pages {
        job = job.page(200, page);
        job.run().printed.exits(0);
    }
    job
}

/// What a query gives, the values of a row with `|` between them.
fn rows(job: &Job, sql: &str) -> Vec<String> {
    match job.server_database() {
        Some(database) => database.sql(sql).lines().map(str::to_owned).collect(),
        None => job.rows(sql),
    }
}

const ROWS: &str = "SELECT id, CAST(data ->> 'v' AS text), _generation FROM orders ORDER BY id";
const PAST: &str = "SELECT id, CAST(data ->> 'v' AS text), _from_generation, _to_generation FROM orders_history ORDER BY id, _from_generation";

fn lines(printed: &Printed) -> Vec<Value> {
    let lines = printed.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect()
}

fn a_table_goes_back_and_the_next_run_goes_on_from_the_cursor_of_then(place: Place) {
    let job = published(keeping(Job::upsert().at(place)), &[FIRST, SECOND, THIRD]);
    assert_eq!(
        rows(&job, PAST),
        ["1|1.10|1|2", "2|1|1|3"].map(|row| shown(place, row))
    );

    let went = job.tidegate(["rollback", "1"]);

    went.exits(0)
        .stdout_has("generation 1 of ")
        .stdout_has("as generation 4 (0 new, 2 changed, 1 gone)")
        .stdout_has("goes on from cursor 2026-11-01T00:00:00Z");
    assert_eq!(
        rows(&job, ROWS),
        ["1|1.10|4", "2|1|4"].map(|row| shown(place, row))
    );
    job.tidegate(["health", "--verify"]).exits(0);
    job.tidegate(["runs"]).exits(0).stdout_has("rolled_back");
    let job = published(job, &[SECOND]);
    assert_eq!(
        rows(&job, ROWS),
        ["1|2|5", "2|1|4", "3|1|5"].map(|row| shown(place, row))
    );
    // And forward again.
    job.tidegate(["rollback", "3"]).exits(0);
    assert_eq!(
        rows(
            &job,
            "SELECT id, CAST(data ->> 'v' AS text) FROM orders ORDER BY id"
        ),
        ["1|2", "2|3", "3|1"]
    );
    job.tidegate(["rollback", "9"])
        .exits(64)
        .stderr_has("1 to 6 are");
}

/// A row as the place shows numbers: SQLite's operator reads them.
fn shown(place: Place, row: &str) -> String {
    match place {
        Place::Sqlite => row.replace("1.10", "1.1"),
        _ => row.to_owned(),
    }
}

fn a_held_table_is_left_alone_until_it_is_released(place: Place) {
    let job = published(keeping(Job::upsert().at(place)), &[FIRST, SECOND]);
    job.tidegate(["rollback", "--hold"])
        .exits(0)
        .stdout_has("the job is held");

    let mut job = job;
    let held = job.run();

    held.printed.exits(75);
    held.asked(0);
    held.stderr_has("`tidegate rollback --release`");
    assert_eq!(rows(&job, "SELECT id FROM orders ORDER BY id"), ["1", "2"]);
    job.tidegate(["health"])
        .exits(1)
        .stdout_has("the job is held at generation 3");
    job.tidegate(["rollback", "--release"])
        .exits(0)
        .stdout_has("released");
    job.tidegate(["rollback", "--release"])
        .exits(0)
        .stdout_has("not held");
    let job = published(job, &[SECOND]);
    assert_eq!(
        rows(&job, "SELECT id FROM orders ORDER BY id"),
        ["1", "2", "3"]
    );
}

fn a_whole_set_leaves_what_it_replaces_and_takes_away(place: Place) {
    let job = Job::new().at(place).set("PRIMARY_KEY", "/id");
    let job = keeping(job).set("MAX_SHRINK_PERCENT", "100");
    let job = published(job, &[FIRST, SECOND, "[]"]);

    assert_eq!(
        rows(&job, PAST),
        ["1|1.10|1|2", "1|2|2|3", "2|1|1|2", "3|1|2|3"].map(|row| shown(place, row))
    );
    job.tidegate(["rollback", "1"]).exits(0);
    assert_eq!(
        rows(&job, ROWS),
        ["1|1.10|4", "2|1|4"].map(|row| shown(place, row))
    );
}

fn two_generations_are_compared_exactly(place: Place) {
    let job = published(keeping(Job::upsert().at(place)), &[FIRST, SECOND, THIRD]);

    let text = job.tidegate(["diff", "1", "3"]);
    let last = job.tidegate(["diff", "--output", "json"]);
    let back = job.tidegate(["diff", "3", "1", "--output", "json"]);
    let none = job.tidegate(["diff", "3", "3"]);

    text.exits(1)
        .stdout_has("from  generation 1 of ")
        .stdout_has("1 new, 2 changed, 0 gone")
        .stdout_has("members changed: updated (2), v (2)")
        .stdout_has("    v: 1 -> 3");
    let last = lines(last.exits(1));
    assert_eq!(last.len(), 1, "{last:?}");
    assert_eq!(last[0]["change"], "changed");
    assert_eq!(
        (&last[0]["old"]["v"], &last[0]["new"]["v"]),
        (&json!(1), &json!(3))
    );
    let changes: Vec<Value> = lines(back.exits(1))
        .iter()
        .map(|line| line["change"].clone())
        .collect();
    assert_eq!(changes, ["changed", "changed", "gone"]);
    none.exits(0).stdout_has("0 new, 0 changed, 0 gone");
    job.tidegate(["diff", "7"])
        .exits(64)
        .stderr_has("1 to 3 are");
}

fn without_a_history_rows_that_were_written_are_shown(place: Place) {
    let job = published(Job::upsert().at(place), &[FIRST, SECOND, THIRD]);

    let since = job.tidegate(["diff", "1"]);
    let last = job.tidegate(["diff", "--output", "json"]);

    since
        .exits(1)
        .stdout_has("3 rows written")
        .stdout_has("written:\n  1\n  2\n  3\n")
        .stdout_has("OUTPUT_HISTORY=yes keeps that");
    assert!(since.stdout.lines().all(|line| line.chars().count() <= 80));
    let last = lines(last.exits(1));
    assert_eq!(
        (&last[0]["change"], &last[0]["record"]["id"]),
        (&json!("written"), &json!(2))
    );
    assert_eq!(last.len(), 1);
    job.tidegate(["diff", "3"])
        .exits(0)
        .stdout_has("0 rows written");
    job.tidegate(["rollback"])
        .exits(64)
        .stderr_has("set OUTPUT_HISTORY=yes");
}

fn a_history_begins_with_a_table_that_is_there_and_anew_after_a_gap(place: Place) {
    let job = published(Job::upsert().at(place), &[FIRST]);
    let job = published(keeping(job), &[SECOND]);
    let generations = "SELECT generation FROM tidegate_history ORDER BY 1";
    assert_eq!(rows(&job, generations), ["1", "2"]);

    let job = published(job.set("OUTPUT_HISTORY", "no"), &[THIRD]);
    let mut job = keeping(job).page(200, r#"[{"id":4,"updated":"2026-11-04T00:00:00Z"}]"#);
    job.tidegate(["rollback"])
        .exits(64)
        .stderr_has("the history ends with generation 2");
    let run = job.run();

    run.printed.exits(0);
    let warned = run.events("the history of the table begins anew");
    assert_eq!(warned.len(), 1, "{}", run.printed.stdout);
    assert_eq!(rows(&job, generations), ["3", "4"]);
    job.tidegate(["rollback"])
        .exits(0)
        .stdout_has("generation 3 of ");
}

fn a_table_with_the_name_of_the_history_is_refused(place: Place) {
    let job = published(Job::upsert().at(place), &[FIRST]);
    let made = "CREATE TABLE orders_history (id integer)";
    match job.server_database() {
        Some(database) => drop(database.sql(made)),
        None => drop(job.rows(made)),
    }

    let mut job = keeping(job).page(200, SECOND);
    let run = job.run();

    run.exits(Outcome::OutputUnusable)
        .stderr_has("tidegate did not make that table")
        .stderr_has("RENAME TO");
    assert_eq!(rows(&job, "SELECT id FROM orders ORDER BY id"), ["1", "2"]);
}

fn typed_columns_are_kept_and_restored_as_they_were(place: Place) {
    let columns = "id bigint /id\nv numeric /v\nat timestamptz /updated\nin jsonb /in";
    let job = keeping(Job::upsert().at(place)).set("OUTPUT_COLUMNS", columns);
    let page = |day: u8, v: &str| {
        format!(r#"[{{"id":1,"updated":"2026-11-0{day}T00:00:00Z","v":{v},"in":{{"a":"x'y"}}}}]"#)
    };
    let mut job = job;
    for page in [page(1, "1.10"), page(2, "123456789012345678901234567890.5")] {
        job = job.page(200, &page);
        job.tidegate(["run"]).exits(0);
    }

    let changed = lines(job.tidegate(["diff", "--output", "json"]).exits(1));
    job.tidegate(["rollback"]).exits(0);

    assert_eq!(changed[0]["members"], json!(["at", "v"]));
    assert!(
        job.tidegate(["diff", "--output", "json"])
            .stdout
            .contains("\"v\":123456789012345678901234567890.5")
    );
    assert_eq!(rows(&job, "SELECT v FROM orders"), ["1.10"]);
    assert_eq!(
        rows(
            &job,
            "SELECT v FROM orders_history ORDER BY _from_generation"
        ),
        ["1.10", "123456789012345678901234567890.5"]
    );
}

fn a_dry_run_keeps_nothing(place: Place) {
    let job = published(Job::upsert().at(place), &[FIRST]);

    let mut job = keeping(job).args(["--dry-run"]).page(200, SECOND);
    job.run().printed.exits(0);

    let tables = match place {
        Place::Sqlite => "SELECT name FROM sqlite_schema WHERE name LIKE '%history'",
        _ => {
            "SELECT relname FROM pg_class WHERE relname LIKE '%_history' AND relnamespace = 'public'::regnamespace"
        }
    };
    assert_eq!(rows(&job, tables), [""; 0]);
}

#[test]
fn a_first_load_that_begins_ahead_has_a_history() {
    let database = crate::world::postgres::server().database();
    let text = "x".repeat(100);
    let record =
        |id: u32| format!(r#"{{"id":{id},"updated":"2026-11-01T00:00:00Z","v":"{text}"}}"#);
    let records: Vec<String> = (0..20_000).map(record).collect();
    let page = format!("[{}]", records.join(","));

    let job = published(keeping(Job::upsert().postgres(database)), &[&page]);

    assert_eq!(rows(&job, "SELECT count(*) FROM orders"), ["20000"]);
    let kept = "SELECT generation FROM tidegate_history";
    assert_eq!(rows(&job, kept), ["1"]);
}

#[test]
fn a_history_that_is_published_loses_rows_all_the_same() {
    let database = crate::world::postgres::server().database();
    let job = published(keeping(Job::upsert().postgres(database)), &[FIRST, SECOND]);
    let database = job.server_database().unwrap();

    let how = "SELECT relreplident FROM pg_class WHERE relname = 'orders_history'";

    assert_eq!(database.sql(how), "f", "a row is deleted by all of it");
}

#[test]
fn a_history_is_of_a_table_with_a_key_that_is_replaced() {
    for (job, said) in [
        (
            keeping(Job::upsert()),
            "KEEP_GENERATIONS keeps sets of files",
        ),
        (keeping(Job::new().sqlite()), "a row is found by its key"),
        (
            keeping(Job::upsert().sqlite()).set("WRITE_MODE", "append"),
            "WRITE_MODE=append replaces and deletes none",
        ),
        (
            keeping(Job::upsert().sqlite()).set("OUTPUT_TABLE", &"t".repeat(60)),
            "choose a shorter OUTPUT_TABLE",
        ),
        (
            Job::upsert().sqlite().set("OUTPUT_HISTORY_FOR", "7d"),
            "has no effect without OUTPUT_HISTORY=yes",
        ),
        (
            keeping(Job::upsert().sqlite()).set("OUTPUT_HISTORY_FOR", "10s"),
            "takes a span of `1h` or more",
        ),
    ] {
        let mut job = job;
        job.run().exits(Outcome::Settings).stderr_has(said);
    }
}
