//! A server that is there and takes nothing: what it says comes to which code, and to words that help.

use tidegate::outcome::Outcome;

use crate::world::postgres::{Database, PASSWORD, server};
use crate::world::{Job, Run};

const PAGE: &str = r#"[{"id":1,"updated":1}]"#;

fn job(database: &Database) -> Job {
    Job::upsert().postgres(database.clone())
}

/// It ends like this, and the source is not asked.
fn refused(job: &mut Job, outcome: Outcome) -> Run {
    let run = job.run();
    run.exits(outcome).publishes_nothing().asked(0);
    assert_eq!(run.summary()["committed"], "no");
    run
}

fn published(job: Job) -> Job {
    let mut job = job.page(200, PAGE);
    job.run().exits(Outcome::Published);
    job
}

#[test]
fn a_database_that_is_full_of_connections_is_for_the_next_run_and_says_which_limit() {
    let database = server().database();
    let mut job = published(job(&database));
    let limit = |limit: &str| {
        let name = &database.name;
        database.sql(&format!("ALTER DATABASE {name} CONNECTION LIMIT {limit}"));
    };

    limit("0");
    refused(&mut job, Outcome::TryLater)
        .stderr_has(&format!("postgres://etl@127.0.0.1:{}", server().port))
        .stderr_has(&format!(
            "too many connections for database \"{}\"",
            database.name
        ))
        .stderr_has("SQLSTATE 53300")
        .stderr_has("CONNECTION LIMIT");

    limit("-1");
    job.page(200, PAGE).run().exits(Outcome::NothingNew);
}

#[test]
fn a_role_that_may_have_no_more_connections_is_named() {
    let database = server().database();
    let role = format!("few_{}", database.name);
    database.sql(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 0"
    ));
    let url = format!(
        "postgres://{role}@127.0.0.1:{}/{}",
        server().port,
        database.name
    );
    let mut job = job(&database).set("OUTPUT_DATABASE_URL", &url);

    refused(&mut job, Outcome::TryLater)
        .stderr_has(&format!("too many connections for role \"{role}\""))
        .stderr_has("CONNECTION LIMIT");
}

#[test]
fn a_database_that_is_set_to_read_only_is_left_alone_on_a_first_run_and_later() {
    for is_first in [true, false] {
        let database = server().database();
        let name = &database.name;
        let mut job = job(&database);
        if !is_first {
            job = published(job);
        }
        database.sql(&format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = on"
        ));

        refused(&mut job, Outcome::OutputUnusable)
            .stderr_has(name)
            .stderr_has("default_transaction_read_only is on for the database");

        let reset = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
        server().sql("postgres", &reset);
        let next = job.page(200, PAGE).run();
        assert_eq!(next.code, Some(0), "{}", next.stderr);
    }
}

#[test]
fn a_role_that_is_set_to_read_only_is_named() {
    let database = server().database();
    let name = &database.name;
    let mut job = published(job(&database));
    database.sql(&format!(
        "ALTER ROLE etl IN DATABASE {name} SET default_transaction_read_only = on"
    ));

    refused(&mut job, Outcome::OutputUnusable)
        .stderr_has("default_transaction_read_only is on for the role `etl` in this database");

    // It only reads.
    let job = job.unset("OUTPUT_DIR");
    job.tidegate(["health"]).exits(0).stdout_has("fresh");
}

#[test]
fn a_standby_is_told_from_its_primary() {
    let database = server().database();
    let mut job = published(job(&database));
    let standby = server().standby();
    job = job.set("OUTPUT_DATABASE_URL", &database.url(standby.port));

    refused(&mut job, Outcome::OutputUnusable)
        .stderr_has(&format!("127.0.0.1:{}/{}", standby.port, database.name))
        .stderr_has("it is a standby and takes no writes; name the primary in OUTPUT_DATABASE_URL");
}

#[test]
fn a_server_that_is_too_old_is_told_from_one_that_will_do() {
    let database = server().database();
    let mut job = job(&database);
    // The only thing by which it is old: what the run asks it for.
    database.sql(&format!(
        "CREATE SCHEMA old; GRANT USAGE ON SCHEMA old TO etl; \
         CREATE FUNCTION old.current_setting(text) RETURNS text LANGUAGE sql AS $$ \
         SELECT CASE $1 WHEN 'server_version_num' THEN '110022' ELSE pg_catalog.current_setting($1) END $$; \
         ALTER DATABASE {} SET search_path = old, pg_catalog, public",
        database.name
    ));

    refused(&mut job, Outcome::OutputUnusable)
        .stderr_has("it is PostgreSQL 11, and 12 or later is needed");
}

#[test]
fn a_row_that_is_refused_is_not_printed() {
    let database = server().database();
    let mut job = published(job(&database));
    database.sql("ALTER TABLE orders ADD CONSTRAINT none CHECK (false) NOT VALID");
    let row = r#"[{"id":2,"updated":2,"email":"alice@example.org"}]"#;

    job = job.page(200, row);
    let run = job.run();

    assert_ne!(run.code, Some(0));
    run.stderr_has("SQLSTATE 23514").stderr_has("\"none\"");
    assert!(!run.stderr.contains("alice"), "{}", run.stderr);
    assert!(!run.stdout.contains("alice"), "{}", run.stdout);
}
