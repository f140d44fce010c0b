//! A first load whose rows go to the server while the component still runs: nobody sees them before the commit, and nothing
//! waits for it.

use std::time::{Duration, Instant};

use crate::server::{HELD_MAX, Latch, Reply};
use crate::world::postgres::{Database, server};
use crate::world::{Job, Printed};

/// More than is kept back before a load begins.
const RECORDS: usize = 300;
const RECORD_BYTES: usize = 10_000;
/// Sessions in a transaction.
const OPEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND application_name LIKE 'tidegate%' AND xact_start IS NOT NULL";
const TABLES: &str = "SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM pg_class \
     WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";

/// A source of two pages, the second of which is held back.
fn source(database: &Database, held: &Latch, second: (u16, &'static str)) -> Job {
    let text = "x".repeat(RECORD_BYTES);
    let record = |id| format!(r#"{{"id":{id},"updated":1,"v":"{text}"}}"#);
    let records: Vec<String> = (1..=RECORDS).map(record).collect();
    let first = format!("[{}]", records.join(","));
    let held = held.clone();
    let (status, body) = second;
    database
        .takes(Job::upsert().set("SOURCE_PAGINATION", "link"))
        .api(move |request| {
            if request.query("page").is_none() {
                return Reply::new(200, first.as_str()).next("{server}/items?page=2");
            }
            held.pass();
            Reply::new(status, body)
        })
}

/// Waits until this is so.
fn until(is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < HELD_MAX, "it never was so");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What sessions of the role `etl` asked of this database, as the server's log has it.
fn asked(database: &Database) -> Vec<String> {
    let log = server().log();
    let name = format!("user=etl database={} ", database.name);
    let pid = |line: &str| {
        let (_, rest) = line.split_once(" [")?;
        let (pid, _) = rest.split_once(']')?;
        Some(format!(" [{pid}] "))
    };
    let authorized = log.lines().filter(|line| line.contains(&name));
    let pids: Vec<String> = authorized.filter_map(pid).collect();
    let is_theirs = |line: &&str| pids.iter().any(|pid| line.contains(pid.as_str()));
    log.lines().filter(is_theirs).map(str::to_owned).collect()
}

/// Whether rows are, or were, on their way to a table that is not the job's yet.
fn has_begun(database: &Database) -> bool {
    let begins = |line: &String| line.contains(r#"COPY "tidegate_ahead_"#);
    asked(database).iter().any(begins)
}

/// Whether such a table became the job's.
fn was_taken_over(database: &Database) -> bool {
    let takes_over = |line: &String| line.contains(r#"RENAME TO "orders""#);
    asked(database).iter().any(takes_over)
}

/// Runs it, and does this while rows are on their way.
fn ran_while_loading(
    database: &Database,
    second: (u16, &'static str),
    act: impl FnOnce(),
) -> Printed {
    let latch = Latch::default();
    let mut job = source(database, &latch, second);
    let running = job.start();
    until(|| has_begun(database));
    act();
    latch.open();
    running.ends_unchecked()
}

fn rows(database: &Database) -> String {
    database.sql("SELECT count(*), count(DISTINCT id), min(length(data->>'v')) FROM orders")
}

#[test]
fn rows_that_were_loaded_ahead_are_the_table_once_it_is_committed() {
    let database = server().database();
    let second = (200, r#"[{"id":0,"updated":1,"v":""}]"#);
    let mut job = source(&database, &Latch::opened(), second);

    job.start().ends_unchecked().exits(0);

    assert!(was_taken_over(&database));
    assert_eq!(rows(&database), "301|301|0");
    assert_eq!(
        database.sql(TABLES),
        "orders tidegate_rejected tidegate_remembered tidegate_runs tidegate_state"
    );
    let key = "SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'orders'::regclass AND indisprimary";
    assert_eq!(database.sql(key), "orders_pkey");
    let at = "SELECT DISTINCT _generation, _updated_at = committed_at FROM orders, tidegate_state";
    assert_eq!(database.sql(at), "1|t");
}

#[test]
fn a_load_that_waits_for_its_component_is_given_up_and_done_afterwards() {
    let database = server().database();

    let printed = ran_while_loading(&database, (200, "[]"), || {
        until(|| database.sql(OPEN) == "0");
    });

    printed.exits(0);
    assert!(!was_taken_over(&database));
    assert_eq!(
        rows(&database),
        format!("{RECORDS}|{RECORDS}|{RECORD_BYTES}")
    );
}

#[test]
fn a_key_that_comes_again_later_is_one_row() {
    let database = server().database();
    let again = r#"[{"id":1,"updated":2,"v":"new"}]"#;

    let printed = ran_while_loading(&database, (200, again), || ());

    printed.exits(0);
    assert!(!was_taken_over(&database));
    assert_eq!(rows(&database), format!("{RECORDS}|{RECORDS}|3"));
}

#[test]
fn a_value_for_which_a_key_is_widened_is_loaded_as_without() {
    let database = server().database();
    let other = r#"[{"id":"a","updated":2,"v":"new"}]"#;

    let printed = ran_while_loading(&database, (200, other), || ());

    printed.exits(0);
    assert!(!was_taken_over(&database));
    assert_eq!(rows(&database), "301|301|3");
    let kind = "SELECT DISTINCT pg_typeof(id) FROM orders";
    assert_eq!(database.sql(kind), "jsonb");
}

#[test]
fn of_a_run_that_fails_there_is_nothing_but_how_it_ended() {
    let database = server().database();

    let printed = ran_while_loading(&database, (404, "{}"), || ());

    printed.exits(69);
    assert!(!was_taken_over(&database));
    database.is_left_alone();
    assert_eq!(
        database.sql(TABLES),
        "tidegate_rejected tidegate_remembered tidegate_runs tidegate_state"
    );
    assert_eq!(database.sql("SELECT exit_code FROM tidegate_runs"), "69");
    assert_eq!(database.sql("SELECT count(*) FROM tidegate_state"), "0");
}

#[test]
fn of_a_run_that_is_killed_there_is_nothing_and_the_next_one_publishes() {
    let database = server().database();
    let latch = Latch::default();
    let mut job = source(&database, &latch, (200, "[]"));

    job.start().killed_once(|| has_begun(&database));
    latch.open();

    database.is_left_alone();
    assert_eq!(
        database.sql(TABLES),
        "tidegate_rejected tidegate_remembered tidegate_runs tidegate_state"
    );
    job.start().ends_unchecked().exits(0);
    assert_eq!(
        rows(&database),
        format!("{RECORDS}|{RECORDS}|{RECORD_BYTES}")
    );
}

#[test]
fn a_table_that_somebody_makes_meanwhile_is_left_alone() {
    let database = server().database();

    let printed = ran_while_loading(&database, (200, "[]"), || {
        database.sql(
            "CREATE TABLE orders (id bigint PRIMARY KEY, data jsonb, _updated_at timestamptz NOT NULL, _generation bigint NOT NULL); \
             INSERT INTO orders VALUES (7, '{}', now(), 1); ALTER TABLE orders OWNER TO etl",
        );
    });

    printed
        .exits(73)
        .stderr_has("it has rows, and no run of the job");
    assert!(!was_taken_over(&database));
    assert_eq!(database.sql("SELECT id FROM orders"), "7");
    assert!(!database.sql(TABLES).contains("ahead"));
}

#[test]
fn a_connection_that_is_lost_meanwhile_is_made_again_and_all_is_loaded_anew() {
    let database = server().database();

    let printed = ran_while_loading(&database, (200, "[]"), || {
        database.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name LIKE 'tidegate%'",
        );
    });

    printed.exits(0);
    assert!(!was_taken_over(&database));
    assert_eq!(
        rows(&database),
        format!("{RECORDS}|{RECORDS}|{RECORD_BYTES}")
    );
}

#[test]
fn a_job_that_somebody_else_committed_meanwhile_is_not_committed_again() {
    let database = server().database();

    let printed = ran_while_loading(&database, (200, "[]"), || {
        database.sql("INSERT INTO tidegate_state VALUES ('orders', 1, NULL, '', '{}', now())");
    });

    printed
        .exits(75)
        .stderr_has("somebody else committed it meanwhile");
    assert!(!was_taken_over(&database));
    assert!(!database.sql(TABLES).contains("orders"));
}
