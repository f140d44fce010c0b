//! What others do to the database while a run fetches: nothing is half done, and it is told what is gone.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{FIRST, NEW, OLD, SECOND};
use crate::server::{HELD_MAX, Latch, Reply};
use crate::world::postgres::{Database, server};
use crate::world::{Job, Printed};

fn published(database: &Database) -> Job {
    let mut job = database.takes(Job::upsert()).page(200, FIRST);
    job.start().ends_unchecked().exits(0);
    job
}

/// A second run, and what is done once it has read the last commit and asked its source.
fn while_it_fetches(job: Job, act: impl FnOnce()) -> (Job, Printed) {
    let latch = Latch::default();
    let held = latch.clone();
    let mut job = job.api(move |_| {
        held.pass();
        Reply::new(200, SECOND)
    });
    let running = job.start().has_asked(1);
    act();
    latch.open();
    let printed = running.ends_unchecked();
    (job, printed)
}

fn done_by(database: &Database, statements: &str) -> (Job, Printed) {
    let job = published(database);
    while_it_fetches(job, || {
        database.sql(statements);
    })
}

fn rows(database: &Database) -> String {
    database.sql("SELECT id, data->>'v', _generation FROM orders ORDER BY id")
}

fn generation(database: &Database) -> String {
    database.sql("SELECT generation FROM tidegate_state")
}

#[test]
fn what_is_taken_away_is_named_and_nothing_is_half_done() {
    let nobody = "FROM PUBLIC, etl; ALTER DATABASE {name} OWNER TO postgres";
    for (statements, texts) in [
        (
            "ALTER TABLE orders OWNER TO postgres".to_owned(),
            [
                "permission denied for table orders (SQLSTATE 42501)",
                "grant it to the role",
            ],
        ),
        (
            "ALTER TABLE tidegate_state OWNER TO postgres".to_owned(),
            [
                "permission denied for table tidegate_state (SQLSTATE 42501)",
                "grant it to the role",
            ],
        ),
        (
            "ALTER TABLE tidegate_rejected OWNER TO postgres".to_owned(),
            [
                "permission denied for table tidegate_rejected (SQLSTATE 42501)",
                "grant it to the role",
            ],
        ),
        (
            format!("REVOKE TEMPORARY ON DATABASE {{name}} {nobody}"),
            [
                "permission denied to create temporary tables",
                "grant it to the role",
            ],
        ),
        (
            "ALTER TABLE orders DROP CONSTRAINT orders_pkey".to_owned(),
            [
                "it has no primary key",
                r#"ALTER TABLE "orders" ADD PRIMARY KEY ("id")"#,
            ],
        ),
        (
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$; \
             CREATE TRIGGER no BEFORE UPDATE ON tidegate_state FOR EACH ROW EXECUTE FUNCTION no()".to_owned(),
            ["write the state in", "not today"],
        ),
    ] {
        let database = server().database();
        let statements = statements.replace("{name}", &database.name);

        let (_, printed) = done_by(&database, &statements);

        // What a trigger refuses is for the gates; what is taken away is an output that cannot be used.
        let (code, intact) = match texts[1] {
            "not today" => (65, "is intact"),
            _ => (73, "this run changed nothing"),
        };
        printed
            .exits(code)
            .stderr_has(texts[0])
            .stderr_has(texts[1])
            .stderr_has(intact);
        assert_eq!(rows(&database), OLD, "{statements}");
        assert_eq!(generation(&database), "1", "{statements}");
    }
}

#[test]
fn a_table_that_goes_is_not_made_of_changes_alone() {
    let database = server().database();

    let (job, printed) = done_by(&database, "DROP TABLE orders");

    printed.exits(73).stderr_has("--full-refresh");
    assert_eq!(generation(&database), "1");
    let mut job = job.args(["--full-refresh"]);
    job.start().ends_unchecked().exits(0);
    assert_eq!(rows(&database), "2|2|2\n3|2|2");
}

#[test]
fn a_commit_whose_row_goes_is_not_said_to_be_somebody_elses() {
    for statements in ["DELETE FROM tidegate_state", "DROP TABLE tidegate_state"] {
        let database = server().database();

        let (mut job, printed) = done_by(&database, statements);

        printed
            .exits(73)
            .stderr_has("its row in `tidegate_state` disappeared during this run")
            .stderr_has("restore the row");
        assert_eq!(rows(&database), OLD);
        let next = job.start().ends_unchecked();
        next.exits(73).stderr_has("RENAME TO \"orders_before\"");
        assert_eq!(rows(&database), OLD);
        database.sql("DELETE FROM orders");
        job.start().ends_unchecked().exits(0);
        assert_eq!(rows(&database), "2|2|1\n3|2|1");
    }
}

#[test]
fn what_is_only_kept_beside_the_rows_is_made_anew() {
    for table in ["tidegate_rejected", "tidegate_remembered"] {
        let database = server().database();

        let (mut job, printed) = done_by(&database, &format!("DROP TABLE {table}"));

        printed.exits(0);
        assert_eq!(rows(&database), NEW);
        assert_eq!(database.sql(&format!("SELECT count(*) FROM {table}")), "0");
        job.start().ends_unchecked().exits(0);
    }
}

#[test]
fn a_schema_that_the_role_may_not_use_any_more_is_told_by_the_next_run() {
    let database = server().database();
    let name = &database.name;
    let (mut job, printed) = done_by(
        &database,
        &format!(
            "REVOKE ALL ON SCHEMA public FROM PUBLIC; ALTER DATABASE {name} OWNER TO postgres"
        ),
    );

    printed
        .exits(73)
        .stderr_has("restore the row or the user's SELECT right");
    job.start()
        .ends_unchecked()
        .exits(73)
        .stderr_has("grant the role USAGE and CREATE on a schema");
    assert_eq!(rows(&database), OLD);
}

#[test]
fn a_run_that_is_thrown_out_and_not_let_in_again_changes_nothing() {
    let out = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name = 'tidegate:orders' AND datname = current_database()";
    let database = server().database();
    let name = &database.name;

    let full = format!("ALTER DATABASE {name} CONNECTION LIMIT 0; {out}");
    let (_, printed) = done_by(&database, &full);

    printed.exits(75).stderr_has("SQLSTATE 53300");
    assert_eq!(rows(&database), OLD);
    assert_eq!(generation(&database), "1");

    let database = server().database();
    let job = published(&database);
    let (_, printed) = while_it_fetches(job, || {
        let dropped = format!("DROP DATABASE {} WITH (FORCE)", database.name);
        server().sql("postgres", &dropped);
    });
    printed
        .exits(73)
        .stderr_has("SQLSTATE 3D000")
        .stderr_has("make the database");
}

#[test]
fn a_standby_that_became_the_primary_goes_on_unless_it_is_set_to_read_only() {
    let database = server().database();
    let job = published(&database);
    let other = server().standby();
    other.sql("postgres", "SELECT pg_promote()");
    let mut job = job
        .set("OUTPUT_DATABASE_URL", &database.url(other.port))
        .page(200, SECOND);
    job.start().ends_unchecked().exits(0);
    let rows = "SELECT id, data->>'v', _generation FROM orders ORDER BY id";
    assert_eq!(other.sql(&database.name, rows), NEW);

    let (_, printed) = while_it_fetches(job, || {
        for statement in [
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "SELECT pg_reload_conf()",
        ] {
            other.sql("postgres", statement);
        }
        let shown = "SHOW default_transaction_read_only";
        let asked = Instant::now();
        while other.sql("postgres", shown) != "on" && asked.elapsed() < HELD_MAX {
            std::thread::sleep(Duration::from_millis(5));
        }
    });

    printed
        .exits(73)
        .stderr_has("SQLSTATE 25006")
        .stderr_has("have default_transaction_read_only turned off there");
    let generation = "SELECT generation FROM tidegate_state";
    assert_eq!(other.sql(&database.name, generation), "2");
}

#[test]
fn a_statement_that_is_under_way_when_a_run_is_stopped_is_stopped_at_the_server() {
    let database = server().database();
    let mut job = published(&database).page(200, SECOND);
    database.sql(
        "CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NULL; END $$; \
         CREATE TRIGGER sleep AFTER UPDATE ON tidegate_state FOR EACH ROW EXECUTE FUNCTION sleep()",
    );
    let sleeping = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event = 'PgSleep'";
    let running = job.start().has_asked(1);
    let asked = Instant::now();
    while database.sql(sleeping) != "1" && asked.elapsed() < HELD_MAX {
        std::thread::sleep(Duration::from_millis(5));
    }

    let printed = running.signalled(Signal::TERM).ends_unchecked();

    assert_ne!(printed.code, Some(0), "{}", printed.stdout);
    database.is_left_alone();
    assert_eq!(rows(&database), OLD);
}
