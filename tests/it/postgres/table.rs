//! What a table holds after a run: made, merged, replaced, typed.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::world::postgres::{Database, server};
use crate::world::{Job, Printed};

fn ran(job: &mut Job) -> Printed {
    job.start().ends_unchecked()
}

fn exits(printed: &Printed, outcome: Outcome) {
    printed.exits(i32::from(outcome.exit_code()));
}

fn rows(database: &Database) -> Vec<Value> {
    let text = database.sql("SELECT data FROM orders ORDER BY 1");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn a_first_run_makes_table_and_state_and_the_next_one_changes_what_differs() {
    let database = server().database();
    let first = r#"[{"id":1,"updated":1,"price":1.1},{"id":2,"updated":1},{"id":10,"updated":1}]"#;
    let mut job = database.takes(Job::upsert()).page(200, first);

    exits(&ran(&mut job), Outcome::Published);

    assert_eq!(
        database.sql("SELECT id, pg_typeof(id), data, _generation FROM orders ORDER BY id LIMIT 1"),
        r#"1|bigint|{"id": 1, "price": 1.1, "updated": 1}|1"#
    );
    assert_eq!(
        database.sql("SELECT job, generation, parent IS NULL, state LIKE '{%' FROM tidegate_state"),
        "orders|1|t|t"
    );

    let next = r#"[{"id":1,"updated":1,"price":1.10},{"id":2,"updated":1},{"id":"a","updated":2}]"#;
    let mut job = job.page(200, next);
    let refused = ran(&mut job);
    exits(&refused, Outcome::GateRefused);
    refused
        .stderr_has("the record whose key is the string `a`")
        .stderr_has(r#"ALTER TABLE "orders" ALTER COLUMN "id" TYPE jsonb USING to_jsonb("id")"#);
    assert_eq!(database.generation(), "1");

    let mut job = job.page(200, &next.replace("\"a\"", "3"));
    let before = database.sql("SELECT _updated_at FROM orders WHERE id = 2");
    exits(&ran(&mut job), Outcome::Published);
    // 1.1 and 1.10 are equal numbers, and not the same; what is the same is not written.
    assert_eq!(
        database.sql("SELECT id, _generation FROM orders ORDER BY id"),
        "1|2\n2|1\n3|2\n10|1"
    );
    assert_eq!(
        database.sql("SELECT _updated_at FROM orders WHERE id = 2"),
        before
    );
    assert_eq!(
        database.sql(
            "SELECT _updated_at = (SELECT committed_at FROM tidegate_state) FROM orders WHERE id = 1"
        ),
        "t"
    );
    assert_eq!(
        database.sql("SELECT data->'price' FROM orders WHERE id = 1"),
        "1.10"
    );
}

#[test]
fn nothing_new_moves_the_state_and_no_row() {
    let database = server().database();
    let page = r#"[{"id":1,"updated":1}]"#;
    let mut job = database
        .takes(Job::upsert())
        .page(200, page)
        .page(200, page);
    exits(&ran(&mut job), Outcome::Published);

    let next = ran(&mut job);

    exits(&next, Outcome::NothingNew);
    next.stdout_has("nothing_new");
    assert_eq!(database.generation(), "2");
    assert_eq!(database.sql("SELECT _generation FROM orders"), "1");
}

#[test]
fn a_deletion_takes_its_row_and_a_full_refresh_what_is_not_there_any_more() {
    let database = server().database();
    let mut job = database
        .takes(Job::upsert())
        .set("SOURCE_DELETED", "/gone")
        .set("MAX_SHRINK_PERCENT", "100")
        .set("MAX_DELETE_PERCENT", "100")
        .page(
            200,
            r#"[{"id":1,"updated":1},{"id":2,"updated":1},{"id":3,"updated":1}]"#,
        )
        .page(
            200,
            r#"[{"id":2,"updated":2,"gone":true},{"id":"x","updated":2,"gone":true}]"#,
        )
        .page(200, r#"[{"id":3,"updated":1}]"#);
    exits(&ran(&mut job), Outcome::Published);

    let deleted = ran(&mut job);
    exits(&deleted, Outcome::Published);
    assert_eq!(database.sql("SELECT id FROM orders ORDER BY id"), "1\n3");

    let mut job = job.args(["--full-refresh"]);
    exits(&ran(&mut job), Outcome::Published);
    assert_eq!(
        database.sql("SELECT id, _generation FROM orders"),
        "3|1",
        "not written again"
    );
}

#[test]
fn a_replaced_parent_takes_its_rows_but_those_staged_anew() {
    let database = server().database();
    let lines = |order: u32, lines: &[u32]| -> Vec<Value> {
        lines
            .iter()
            .map(|line| json!({"order_id": order, "line": line, "q": 1}))
            .collect()
    };
    let page = |orders: &[(u32, &[u32])], at: u32| {
        let orders: Vec<Value> = orders
            .iter()
            .map(|(id, of)| json!({"id": id, "updated": at, "lines": lines(*id, of)}))
            .collect();
        json!(orders).to_string()
    };
    let mut job = database
        .takes(Job::upsert())
        .set("TRANSFORM", ".lines[]")
        .set("PRIMARY_KEY", "/order_id,/line")
        .set("SOURCE_PARENT", "/id")
        .set("REPLACE_BY", "/order_id")
        .page(200, &page(&[(1, &[1, 2]), (2, &[1])], 1))
        .page(200, &page(&[(1, &[2, 3])], 2));
    exits(&ran(&mut job), Outcome::Published);

    exits(&ran(&mut job), Outcome::Published);

    assert_eq!(
        database.sql("SELECT order_id, line, _generation FROM orders ORDER BY 1, 2"),
        "1|2|1\n1|3|2\n2|1|1"
    );
}

#[test]
fn without_a_key_all_rows_are_replaced_unless_they_are_the_last_ones() {
    let database = server().database();
    let mut job = database
        .takes(Job::new())
        .set("MAX_SHRINK_PERCENT", "100")
        .page(200, r#"[{"a":1},{"a":1}]"#)
        .page(200, r#"[{"a":1},{"a":1}]"#)
        .page(200, r#"[{"a":2}]"#);
    exits(&ran(&mut job), Outcome::Published);
    exits(&ran(&mut job), Outcome::NothingNew);
    assert_eq!(database.sql("SELECT _generation FROM orders"), "1\n1");

    exits(&ran(&mut job), Outcome::Published);

    assert_eq!(rows(&database), [json!({"a": 2})]);
    assert_eq!(database.generation(), "3");
}

#[test]
fn columns_have_their_types_and_values_stay_exact() {
    let database = server().database();
    let columns = "total numeric /t\nwhen_at timestamptz /w\nday date /d\nok boolean /ok\nraw json /raw\nnote text /n\nf double /f\nu uuid /u";
    let page = r#"[{"id":"k1","t":12345678901234567890.10,"w":"2026-11-23T07:00:00+01:00","d":"2024-02-29","ok":true,
        "raw":{"z":1,"a":"\u0000"},"n":"a\tb\\N\nc","f":1e3,"u":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"},{"id":"k2","t":"1.50"}]"#;
    let mut job = database
        .takes(Job::new())
        .set("PRIMARY_KEY", "/id")
        .set("OUTPUT_COLUMNS", columns)
        .page(200, page);

    exits(&ran(&mut job), Outcome::Published);

    assert_eq!(database.sql("SET timezone = 'UTC'; SELECT total, when_at, day, ok, raw, replace(note, E'\\n', '^'), f FROM orders ORDER BY id"),
        "12345678901234567890.10|2026-11-23 06:00:00+00|2024-02-29|t|{\"z\":1,\"a\":\"\\u0000\"}|a\tb\\N^c|1000\n1.50||||||");
    let mut job = job.page(200, r#"[{"id":"k1","t":"many"}]"#);
    let refused = ran(&mut job);
    exits(&refused, Outcome::GateRefused);
    refused
        .stderr_has("key is the string `k1`")
        .stderr_has("the column \"total\" is numeric");
}

#[test]
fn the_type_of_a_key_is_told_from_all_first_records() {
    for (ids, kind) in [
        ("1,2", "bigint"),
        ("1,1000000000000000000000", "numeric"),
        ("\"a\",\"b\"", "text"),
        ("1,\"1\"", "jsonb"),
        ("-5,1000000000000000000000,\"x\",\"y\"", "jsonb"),
    ] {
        let database = server().database();
        let records: Vec<String> = ids
            .split(',')
            .map(|id| format!("{{\"id\":{id}}}"))
            .collect();
        let page = format!("[{}]", records.join(","));
        let mut job = database
            .takes(Job::new())
            .set("PRIMARY_KEY", "/id")
            .page(200, &page)
            .page(200, &page);

        exits(&ran(&mut job), Outcome::Published);
        exits(&ran(&mut job), Outcome::NothingNew);

        let found = database
            .sql("SELECT DISTINCT pg_typeof(id), (SELECT count(*) FROM orders) FROM orders");
        assert_eq!(found, format!("{kind}|{}", records.len()));
    }
}

#[test]
fn a_zero_character_is_refused_with_its_record_and_the_way_on() {
    let database = server().database();
    let mut job = database
        .takes(Job::new())
        .set("PRIMARY_KEY", "/id")
        .page(200, r#"[{"id":7,"n":"a\u0000"}]"#);

    let refused = ran(&mut job);

    exits(&refused, Outcome::GateRefused);
    refused
        .stderr_has("key is the number `7`")
        .stderr_has("`\\u0000`")
        .stderr_has("TRANSFORM");
    assert_eq!(
        database.sql("SELECT to_regclass('orders') IS NULL"),
        "t",
        "nothing is left of it"
    );
}

#[test]
fn a_dry_run_leaves_nothing_behind() {
    let database = server().database();
    let mut job = database
        .takes(Job::new())
        .args(["--dry-run"])
        .page(200, r#"[{"id":7}]"#);

    exits(&ran(&mut job), Outcome::DryRun);

    assert_eq!(
        database.sql(
            "SELECT count(*) FROM pg_class WHERE relname = 'orders' OR relname LIKE 'tidegate%'"
        ),
        "0"
    );
}

#[test]
fn a_schema_is_named_before_a_dot_and_holds_the_state_too() {
    let database = server().database();
    let mut job = database
        .takes(Job::new())
        .set("OUTPUT_TABLE", "sales.orders")
        .set("JOB_NAME", "orders")
        .page(200, "[{}]")
        .page(200, "[{}]");

    let missing = ran(&mut job);
    exits(&missing, Outcome::OutputUnusable);
    missing.stderr_has("CREATE SCHEMA \"sales\"");
    database.sql("CREATE SCHEMA sales AUTHORIZATION etl");
    exits(&ran(&mut job), Outcome::Published);

    assert_eq!(
        database.sql("SELECT generation FROM sales.tidegate_state"),
        "1"
    );
    assert_eq!(database.sql("SELECT count(*) FROM sales.orders"), "1");
}

#[test]
fn what_was_set_aside_stands_beside_the_rows() {
    let database = server().database();
    let mut job = database
        .takes(Job::new())
        .set("MAX_REJECTED", "1")
        .set("PRIMARY_KEY", "/id")
        .set("TRANSFORM", "if .id == 2 then error(\"no\") else . end")
        .page(200, r#"[{"id":1},{"id":2}]"#);

    exits(&ran(&mut job), Outcome::Published);

    assert_eq!(
        database.sql("SELECT job, number, reason <> '', record FROM tidegate_rejected"),
        "orders|1|t|{\"id\":2}"
    );
}

#[test]
fn health_reads_the_state_and_counts_the_rows() {
    let database = server().database();
    let mut job = database.takes(Job::new()).page(200, r#"[{"a":1},{"a":2}]"#);
    job.tidegate(["health"]).exits(2);
    exits(&ran(&mut job), Outcome::Published);

    job.tidegate(["health", "--verify"]).exits(0);

    database.sql("DELETE FROM orders");
    assert_ne!(job.tidegate(["health", "--verify"]).code, Some(0));
}
