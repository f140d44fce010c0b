//! PgBouncer in between. Where a session stays with its connection, all is as without it. Where each transaction may have
//! another one, the run lock is worth nothing, and the row of the last commit alone lets one of two commit.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::server::{Latch, Reply};
use crate::world::Job;
use crate::world::postgres::{Database, Pool, server};

/// Pairs of runs at the same time.
const PAIRS: u32 = 12;

/// A job that stages one record with this key, held by this. Both of a pair say the same time: either may come first.
fn staging(database: &Database, pool: &Pool, id: u32, latch: &Latch) -> Job {
    let latch = latch.clone();
    database
        .takes(Job::upsert())
        .set("OUTPUT_DATABASE_URL", &database.url(pool.port))
        .set("JOB_NAME", "orders")
        // Each has a source of its own.
        .args(["--accept-change", "SOURCE_API_URL"])
        .api(move |_| {
            latch.pass();
            Reply::new(
                200,
                json!([{"id": id, "updated": id.div_ceil(2)}]).to_string(),
            )
        })
}

fn ends(job: &mut Job) -> (i32, String) {
    let printed = job.start().ends_unchecked();
    (printed.code.expect("an exit code"), printed.stderr)
}

#[test]
fn where_a_session_keeps_its_connection_all_is_as_without_a_pool() {
    let database = server().database();
    let pool = server().pool("session", 3);
    for id in 1..=2 {
        let ended = ends(&mut staging(&database, &pool, id, &Latch::opened()));
        assert_eq!(ended, (0, String::new()));
    }
    let latch = Latch::default();
    let mut left = staging(&database, &pool, 3, &latch);
    let running = left.start().has_asked(1);

    let (code, told) = ends(&mut staging(&database, &pool, 4, &Latch::opened()));

    assert_eq!(code, 75, "{told}");
    assert!(told.contains("`tidegate:orders`"), "{told}");
    latch.open();
    running.ends_unchecked().exits(0);
    let rows = database.sql("SELECT id, _generation FROM orders ORDER BY id");
    assert_eq!(rows, "1|1\n2|2\n3|3");
}

#[test]
fn where_a_transaction_has_any_connection_the_row_lets_one_of_two_commit() {
    let database = server().database();
    // One connection: to the server, both runs are one session, and both have the lock.
    let pool = server().pool("transaction", 1);
    let first = ends(&mut staging(&database, &pool, 1, &Latch::opened()));
    assert_eq!(first, (0, String::new()));
    let latch = Latch::default();
    let mut left = staging(&database, &pool, 2, &latch);
    let running = left.start().has_asked(1);
    let right = ends(&mut staging(&database, &pool, 3, &Latch::opened()));
    assert_eq!(right, (0, String::new()));
    latch.open();

    let late = running.ends_unchecked();

    late.exits(75)
        .stderr_has("somebody else committed it meanwhile");
    let rows = database.sql("SELECT id, _generation FROM orders ORDER BY id");
    assert_eq!(rows, "1|1\n3|2");
}

#[test]
fn pairs_through_connections_that_change_lose_nothing_and_double_nothing() {
    let database = server().database();
    let mut committed = BTreeSet::new();
    for pair in 0..PAIRS {
        // A lock that stayed with one of its connections goes with it.
        database.is_left_alone();
        let pool = server().pool("transaction", 3);
        let both = [2 * pair + 1, 2 * pair + 2];
        let ended = std::thread::scope(|scope| {
            let runs = both.map(|id| {
                let (database, pool) = (&database, &pool);
                scope.spawn(move || ends(&mut staging(database, pool, id, &Latch::opened())))
            });
            runs.map(|run| run.join().expect("it ended"))
        });
        for (id, (code, told)) in both.into_iter().zip(ended) {
            assert!([0, 75].contains(&code), "{code}: {told}");
            if code == 0 {
                committed.insert(id);
            }
        }
        let rows = database.sql("SELECT id FROM orders ORDER BY id");
        let rows: BTreeSet<u32> = rows.lines().map(|id| id.parse().expect("a key")).collect();
        assert_eq!(rows, committed);
        assert_eq!(database.generation(), committed.len().to_string());
    }
    assert!(!committed.is_empty(), "somebody went on");
    // Past the test harness, which shows what is printed by failed tests only.
    let _ = writeln!(
        std::io::stderr(),
        "{} commits by {PAIRS} pairs through a pool",
        committed.len()
    );
}

/// `psql` through this pool, with one statement to execute.
fn psql(database: &Database, pool: &Pool, statement: &str) -> Command {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-h", "127.0.0.1", "-U", "etl"])
        .args(["-d", &database.name, "-p", &pool.port.to_string()])
        .args(["-c", statement]);
    psql
}

#[test]
fn a_pool_of_which_one_connection_is_busy_is_known_too() {
    let database = server().database();
    let pool = server().pool_in_turn(3);
    let sleeping = |statement| {
        psql(&database, &pool, statement)
            .stdout(Stdio::null())
            .spawn()
            .expect("start psql")
    };
    for mut opened in [(); 3].map(|()| sleeping("SELECT pg_sleep(0.3)")) {
        opened.wait().expect("psql ends");
    }
    let mut busy = sleeping("SELECT pg_sleep(60)");
    // Older than whoever connects now.
    std::thread::sleep(Duration::from_secs(2));

    let runs = (1..=4).map(|id| {
        let mut job = staging(&database, &pool, id, &Latch::opened());
        job.start().ends_unchecked()
    });
    let runs: Vec<_> = runs.collect();

    busy.kill().expect("psql is there");
    busy.wait().expect("psql ends");
    for run in runs {
        run.exits(0).stdout_has("run lock not used");
    }
}

#[test]
fn a_lock_that_stayed_with_a_pooled_connection_keeps_nobody_out_and_is_told_as_such() {
    let database = server().database();
    let pool = server().pool("transaction", 3);
    let latch = Latch::default();
    let mut first = staging(&database, &pool, 1, &latch);
    let running = first.start().has_asked(1);
    let lock = database.sql("SELECT classid::bigint << 32 | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())");
    latch.open();
    running.ends_unchecked().exits(0);
    let statement = format!("SELECT pg_advisory_lock({lock})");
    let kept = psql(&database, &pool, &statement)
        .output()
        .expect("start psql");
    assert!(
        kept.status.success(),
        "{}",
        String::from_utf8_lossy(&kept.stderr)
    );
    // Older than whoever connects now.
    std::thread::sleep(Duration::from_secs(2));

    let mut direct = staging(&database, &pool, 3, &Latch::opened())
        .set("OUTPUT_DATABASE_URL", &database.url(server().port));
    let refused = direct.start().ends_unchecked();
    refused
        .exits(75)
        .stderr_has("that is no run")
        .stderr_has("pool_mode=transaction");
    let mut pooled = staging(&database, &pool, 2, &Latch::opened());
    let printed = pooled.start().ends_unchecked();
    printed.exits(0).stdout_has("run lock not used");

    let advice = refused
        .stderr
        .split('`')
        .find(|text| text.starts_with("SELECT pg_terminate"));
    database.sql(advice.expect("a statement"));
    direct.start().ends_unchecked().exits(0);
    assert_eq!(database.sql("SELECT count(*) FROM orders"), "3");
}
