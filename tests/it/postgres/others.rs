//! Others on the same server, what they may have done there, and a server that is set to promise less.

use tidegate::outcome::Outcome;

use crate::world::postgres::{Database, server};
use crate::world::{Job, Printed};

const PAGE: &str = r#"[{"id":1,"updated":1}]"#;

fn job(database: &Database) -> Job {
    database
        .takes(Job::upsert())
        .page(200, PAGE)
        .page(200, PAGE)
}

fn ends(job: &mut Job, outcome: Outcome) -> Printed {
    let ended = job.start().ends_unchecked();
    ended.exits(i32::from(outcome.exit_code()));
    ended
}

#[test]
fn a_server_that_is_not_there_is_no_overlap() {
    let database = server().database();
    let mut job = job(&database)
        .set("OUTPUT_DATABASE_URL", "postgres://etl@127.0.0.1:1/x")
        .set("ON_OVERLAP", "skip");

    ends(&mut job, Outcome::TryLater).stderr_has("127.0.0.1:1");
}

#[test]
fn a_table_of_another_job_is_refused_even_while_it_is_empty() {
    let database = server().database();
    let mut first = database
        .takes(Job::upsert())
        .page(200, "[]")
        .set("JOB_NAME", "first");
    ends(&mut first, Outcome::Published);

    let refused = ends(
        &mut job(&database).set("JOB_NAME", "second"),
        Outcome::Settings,
    );

    refused.stderr_has("the table `orders` is the job `first`'s");
}

#[test]
fn a_state_that_tidegate_never_wrote_is_73_and_no_crash() {
    let database = server().database();
    let mut job = job(&database);
    ends(&mut job, Outcome::Published);
    database.sql("UPDATE tidegate_state SET committed_at = 'infinity'");

    let refused = ends(&mut job, Outcome::OutputUnusable);

    refused.stderr_has("hold what tidegate never wrote");
}

#[test]
fn a_commit_is_synced_where_the_database_is_set_not_to() {
    let database = server().database();
    let mut job = job(&database);
    ends(&mut job, Outcome::Published);
    database.sql(&format!(
        "ALTER DATABASE {} SET synchronous_commit = off",
        database.name
    ));
    database.sql(
        "CREATE TABLE seen (value text); GRANT ALL ON seen TO etl; \
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$; \
         CREATE TRIGGER noted AFTER UPDATE ON tidegate_state FOR EACH ROW EXECUTE FUNCTION note()",
    );

    ends(&mut job, Outcome::NothingNew);

    assert_eq!(database.sql("SELECT value FROM seen"), "on");
}

#[test]
fn a_key_that_could_be_two_strings_of_one_value_is_refused() {
    let database = server().database();
    let mut job = job(&database).set("OUTPUT_COLUMNS", "id timestamptz /id");

    ends(&mut job, Outcome::Settings).stderr_has("take text, bigint, numeric, uuid or date");
}

#[test]
fn rejected_records_are_not_said_to_be_kept_where_nothing_is() {
    let database = server().database();
    let mut job = database
        .takes(Job::new())
        .set("PRIMARY_KEY", "/id")
        .set("TRANSFORM", "error(\"no\")")
        .page(200, r#"[{"id":1}]"#);

    let refused = ends(&mut job, Outcome::GateRefused);

    refused.stderr_has("1 record rejected");
    assert!(!refused.stderr.contains("kept in"), "{}", refused.stderr);
}
