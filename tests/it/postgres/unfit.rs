//! Records that a table cannot hold: set aside under MAX_REJECTED with their key and the reason, so that one record does not
//! stop a job; and what the reason advises helps.

use std::fmt::Write as _;

use tidegate::outcome::Outcome;

use crate::world::postgres::{Database, server};
use crate::world::{Job, Printed};

fn ran(job: Job, page: &str) -> (Job, Printed) {
    let mut job = job.page(200, page);
    let printed = job.start().ends_unchecked();
    (job, printed)
}

fn exits(printed: &Printed, outcome: Outcome) {
    printed.exits(i32::from(outcome.exit_code()));
}

/// What stands in backquotes after this word.
fn advised(printed: &Printed, after: &str) -> String {
    let (_, rest) = printed.stderr.split_once(after).expect("advice");
    let (_, rest) = rest.split_once('`').expect("its beginning");
    let (advice, _) = rest.split_once('`').expect("its end");
    advice.to_owned()
}

fn set_aside(database: &Database) -> String {
    database.sql("SELECT reason || pointer FROM tidegate_rejected")
}

/// 4 kB that no compression makes short enough.
fn long_text() -> String {
    let mut text = String::new();
    let mut seed = 1_u64;
    while text.len() < 4_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let _ = write!(text, "{:x}", seed >> 16);
    }
    text
}

#[test]
fn a_record_that_does_not_fit_is_refused_or_set_aside_with_its_key_and_the_reason() {
    let long = long_text();
    let long = long.as_str();
    for (kind, key, value, why) in [
        ("data", "\"2\"", r#""a\u0000b""#, r"`\u0000`"),
        ("data", "\"2\"", r#""a\ud83d b""#, "half a surrogate pair"),
        ("data", &format!("\"{long}\""), "1", "its key takes 4"),
        (
            "v text /v",
            "\"2\"",
            r#""a\udc00""#,
            "half a surrogate pair",
        ),
        ("v text /v", "\"2\"", r#""\u0000""#, r"`\u0000`"),
        ("v bigint /v", "\"2\"", "1.5", "the column \"v\" is bigint"),
        ("v date /v", "\"2\"", r#""soon""#, "the string `soon`"),
    ] {
        let database = server().database();
        let mut job = database.takes(Job::upsert());
        if kind != "data" {
            job = job.set("OUTPUT_COLUMNS", kind);
        }
        let good = r#"{"id":"1","updated":1,"v":null}"#;
        let page = format!(r#"[{good},{{"id":{key},"updated":1,"v":{value}}}]"#);

        let (job, printed) = ran(job, &page);
        exits(&printed, Outcome::GateRefused);
        printed.stderr_has(why).stderr_has("key is the string");
        let (job, printed) = ran(job.set("MAX_REJECTED", "1"), &page);
        exits(&printed, Outcome::Published);

        assert_eq!(database.sql("SELECT id FROM orders"), "1", "{why}");
        assert!(
            set_aside(&database).contains(why),
            "{}",
            set_aside(&database)
        );
        printed
            .stdout_has("\"rejected\":1")
            .stdout_has("\"staged\":1");

        // The same on top of a set: what fits is merged, and the rest is reported again.
        let more = format!(
            r#"[{{"id":"3","updated":2,"v":null}},{{"id":{key},"updated":2,"v":{value}}}]"#
        );
        let (_, printed) = ran(job, &more);
        exits(&printed, Outcome::Published);
        assert_eq!(database.sql("SELECT id FROM orders ORDER BY id"), "1\n3");
        assert!(
            set_aside(&database).contains(why),
            "{}",
            set_aside(&database)
        );
    }
}

#[test]
fn the_program_that_a_reason_advises_keeps_the_record() {
    let long = long_text();
    for (second, after, left) in [
        (
            r#"{"id":"2","updated":1,"v":"a\u0000b\ud83d\ude00"}"#.to_owned(),
            "for example",
            "1|\n2|ab😀",
        ),
        (
            r#"{"id":"2","updated":1,"v":"a\ud83d b\ud83d\ude00"}"#.to_owned(),
            "for example",
            "1|\n2|a? b😀",
        ),
        (
            format!(r#"{{"id":"{long}","updated":1,"v":"x"}}"#),
            "for example",
            "1|",
        ),
    ] {
        let database = server().database();
        let page = format!(r#"[{{"id":"1","updated":1}},{second}]"#);

        let (job, printed) = ran(database.takes(Job::upsert()), &page);
        exits(&printed, Outcome::GateRefused);
        let program = advised(&printed, after);
        let (_, printed) = ran(job.set("TRANSFORM", &program), &page);

        exits(&printed, Outcome::Published);
        let rows = database.sql("SELECT id, data->>'v' FROM orders ORDER BY id");
        assert_eq!(rows, left, "{program}");
    }
}

#[test]
fn a_column_of_type_json_holds_what_jsonb_does_not() {
    let database = server().database();
    let job = database
        .takes(Job::upsert())
        .set("OUTPUT_COLUMNS", "v json /v");
    let page = r#"[{"id":1,"updated":1,"v":"a\u0000b"},{"id":2,"updated":1,"v":"a\ud83d"}]"#;

    let (_, printed) = ran(job, page);

    exits(&printed, Outcome::Published);
    assert_eq!(
        database.sql("SELECT v FROM orders ORDER BY id"),
        "\"a\\u0000b\"\n\"a\\ud83d\""
    );
}

#[test]
fn the_longest_key_that_passes_is_one_that_the_index_takes() {
    let database = server().database();
    let key = &long_text()[..2_692];
    let page = format!(r#"[{{"id":"{key}","updated":1}}]"#);

    let (job, printed) = ran(database.takes(Job::upsert()), &page);
    exits(&printed, Outcome::Published);
    let (_, printed) = ran(job, &page.replace(key, &format!("{key}x")));
    exits(&printed, Outcome::GateRefused);

    assert_eq!(database.sql("SELECT length(id) FROM orders"), "2692");
}

#[test]
fn the_column_that_is_widened_by_the_advice_takes_the_value() {
    for (column, given, value) in [
        ("v smallint", "v bigint /v", "70000"),
        ("v numeric(4,1)", "v numeric /v", "12345.67"),
        ("v varchar(3)", "v text /v", "\"longer\""),
        (
            "v timestamptz(0)",
            "v timestamptz /v",
            "\"2026-01-01T00:00:00.5Z\"",
        ),
    ] {
        let database = server().database();
        database.sql(&format!(
            "CREATE TABLE orders (id bigint PRIMARY KEY, {column}, _updated_at timestamptz, _generation bigint); ALTER TABLE orders OWNER TO etl"
        ));
        let page = format!(r#"[{{"id":1,"updated":1,"v":{value}}}]"#);

        let (job, printed) = ran(
            database.takes(Job::upsert()).set("OUTPUT_COLUMNS", given),
            &page,
        );
        exits(&printed, Outcome::GateRefused);
        database.sql(&advised(&printed, "widen the column by"));
        let (_, printed) = ran(job, &page);

        exits(&printed, Outcome::Published);
        assert_eq!(database.sql("SELECT count(v) FROM orders"), "1", "{column}");
    }
}

#[test]
fn every_time_from_the_year_0_to_the_last_second_of_9999_is_taken() {
    for (kind, value, kept) in [
        (
            "timestamptz",
            "9999-12-31T23:59:59Z",
            "9999-12-31 23:59:59+00",
        ),
        (
            "timestamptz",
            "9999-12-31T23:59:59.9999999Z",
            "9999-12-31 23:59:59.999999+00",
        ),
        (
            "timestamptz",
            "9999-12-31T23:59:59-12:00",
            "10000-01-01 11:59:59+00",
        ),
        (
            "timestamptz",
            "0001-01-01T00:00:00Z",
            "0001-01-01 00:00:00+00",
        ),
        (
            "timestamptz",
            "0000-01-01T00:00:00Z",
            "0001-01-01 00:00:00+00 BC",
        ),
        (
            "timestamp",
            "9999-12-31T23:59:59.999",
            "9999-12-31 23:59:59.999",
        ),
        ("date", "9999-12-31", "9999-12-31"),
        ("date", "0000-12-31", "0001-12-31 BC"),
    ] {
        let database = server().database();
        let job = database
            .takes(Job::upsert())
            .set("OUTPUT_COLUMNS", &format!("at {kind} /at"));

        let (_, printed) = ran(job, &format!(r#"[{{"id":1,"updated":1,"at":"{value}"}}]"#));

        exits(&printed, Outcome::Published);
        let read = "SET TimeZone = 'UTC'; SELECT at FROM orders";
        assert_eq!(database.sql(read), kept, "{value}");
    }
}

#[test]
fn a_uuid_and_a_day_can_be_keys() {
    let one = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
    for (kind, first, second, again) in [
        (
            "uuid",
            one,
            "00000000-0000-0000-0000-000000000001",
            one.to_uppercase(),
        ),
        ("date", "2026-01-01", "2026-01-02", "2026-01-01".to_owned()),
    ] {
        let database = server().database();
        let job = database
            .takes(Job::upsert())
            .set("SOURCE_DELETED", "/gone")
            .set("OUTPUT_COLUMNS", &format!("id {kind} /id\nv bigint /v"));

        let (job, printed) = ran(
            job,
            &format!(
                r#"[{{"id":"{first}","updated":1,"v":1}},{{"id":"{second}","updated":1,"v":1}}]"#
            ),
        );
        exits(&printed, Outcome::Published);
        let (_, printed) = ran(
            job,
            &format!(
                r#"[{{"id":"{again}","updated":2,"v":2}},{{"id":"{second}","updated":2,"gone":true}}]"#
            ),
        );
        exits(&printed, Outcome::Published);

        assert_eq!(
            database.sql("SELECT id, v FROM orders"),
            format!("{first}|2")
        );
    }
}

#[test]
fn a_deletion_whose_key_is_of_the_other_type_is_not_passed_over() {
    let database = server().database();
    let job = database.takes(Job::upsert()).set("SOURCE_DELETED", "/gone");
    let (job, printed) = ran(job, r#"[{"id":7,"updated":1}]"#);
    exits(&printed, Outcome::Published);

    let (_, printed) = ran(job, r#"[{"id":"7","updated":2,"gone":true}]"#);

    exits(&printed, Outcome::GateRefused);
    printed.stderr_has("the key `7` occurs as a number and as a string");
    assert_eq!(database.sql("SELECT id FROM orders"), "7");
}
