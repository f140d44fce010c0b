//! A lock that somebody else holds: the failure names who it is, as far as the role may see it, and no text of theirs.

use super::session::Session;
use super::{FIRST, OLD, SECOND};
use crate::server::{Latch, Reply};
use crate::world::Job;
use crate::world::postgres::{Database, server};

fn published(database: &Database) -> Job {
    let mut job = database.takes(Job::upsert()).page(200, FIRST);
    job.start().ends_unchecked().exits(0);
    job.set("RUN_DEADLINE", "4s")
}

#[test]
fn a_wait_for_a_lock_names_its_holder_and_nothing_of_what_they_ask() {
    for held in [
        "UPDATE orders SET data = data WHERE id = 2 AND data->>'name' IS DISTINCT FROM 'Ada Lovelace'",
        "LOCK TABLE orders IN EXCLUSIVE MODE",
        "SELECT job FROM tidegate_state WHERE job <> 'Ada Lovelace' FOR UPDATE",
    ] {
        let database = server().database();
        let mut job = published(&database).page(200, SECOND);
        let other = Session::holding(&database, held);
        let pid = database.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'nightly report' AND datname = current_database()");

        let printed = job.start().ends_unchecked();

        printed
            .exits(75)
            .stderr_has("SQLSTATE 55P03")
            .stderr_has(&format!(
                "`nightly report` (backend {pid}, user `postgres`; the role may not see since when)"
            ))
            .stderr_has(&format!("SELECT pg_terminate_backend({pid})"))
            .stderr_has(r#"GRANT pg_read_all_stats TO "etl""#);
        assert!(!printed.stderr.contains("Ada"), "{}", printed.stderr);
        drop(other);
        database.sql(&format!("SELECT pg_terminate_backend({pid})"));
        let rows = "SELECT id, data->>'v', _generation FROM orders ORDER BY id";
        assert_eq!(database.sql(rows), OLD);
    }
}

#[test]
fn the_holder_of_the_run_lock_is_named_with_user_and_time() {
    let database = server().database();
    let mut job = published(&database).page(200, SECOND);
    let latch = Latch::default();
    let held = latch.clone();
    let mut first = database
        .takes(Job::upsert())
        // It has a source of its own.
        .args(["--accept-change", "SOURCE_API_URL"])
        .api(move |_| {
            held.pass();
            Reply::new(200, SECOND)
        });
    let running = first.start().has_asked(1);

    // Of the same role: everything is seen.
    let printed = job.start().ends_unchecked();

    printed
        .exits(75)
        .stderr_has("`tidegate:orders` (backend ")
        .stderr_has(", user `etl`, from 127.0.0.1, idle, since 20")
        .stderr_has("Z) holds it");
    latch.open();
    running.ends_unchecked().exits(0);
}
