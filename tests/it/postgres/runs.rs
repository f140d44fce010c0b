//! How runs ended is recorded beside the data, and `health` without a folder sees it.

use rustix::process::Signal;

use super::session::Session;
use super::{FIRST, OLD};
use crate::server::{Latch, Reply};
use crate::world::Job;
use crate::world::postgres::{Database, server};

const WARNING: &str = "run not recorded in the database";

fn published(database: &Database) -> Job {
    let mut job = database.takes(Job::upsert()).page(200, FIRST);
    job.start().ends_unchecked().exits(0);
    job
}

/// The runs that are recorded, the last one first: exit code, outcome, and whether a generation is named.
fn runs(database: &Database) -> String {
    database.sql("SELECT exit_code, outcome, generation IS NOT NULL FROM tidegate_runs WHERE job = 'orders' ORDER BY started DESC")
}

#[test]
fn health_without_a_folder_sees_a_run_that_failed_until_one_works() {
    let database = server().database();
    let mut job = published(&database);
    job.tidegate(["health"]).exits(0);
    job = job.page(404, "{}");
    job.start().ends_unchecked().exits(69);

    job.tidegate(["health"])
        .exits(1)
        .stdout_has("failed with exit code 69 (source_refused): ")
        .stdout_has("404");

    let mut job = job.page(200, FIRST);
    job.start().ends_unchecked().exits(0);
    job.tidegate(["health"]).exits(0);
    database.sql("ALTER TABLE orders DROP CONSTRAINT orders_pkey");
    let mut job = job.page(200, FIRST);
    job.start().ends_unchecked().exits(73);
    job.tidegate(["health"])
        .exits(1)
        .stdout_has("exit code 73 (output_unusable)");
    let mut job = job.page(200, FIRST).set("MIN_RECORDS", "9");
    database.sql("ALTER TABLE orders ADD PRIMARY KEY (id)");
    job.start().ends_unchecked().exits(65);
    job.tidegate(["health"])
        .exits(1)
        .stdout_has("exit code 65 (gate_refused)");
    assert_eq!(
        runs(&database),
        "65|gate_refused|t\n73|output_unusable|t\n0|nothing_new|t\n69|source_refused|t\n0|published|t"
    );
    let counted = "SELECT summary->>'fetched', summary->>'requests', summary->>'records' FROM tidegate_runs WHERE outcome = 'published'";
    assert_eq!(database.sql(counted), "2|1|2");
}

#[test]
fn a_first_run_that_fails_is_recorded_before_there_is_a_commit() {
    let database = server().database();
    let mut job = database.takes(Job::upsert()).page(404, "{}");
    job.start().ends_unchecked().exits(69);

    job.tidegate(["health"]).exits(1).stdout_has("exit code 69");
}

#[test]
fn a_table_that_is_dropped_and_a_state_row_that_is_gone_are_not_fresh() {
    let database = server().database();
    let job = published(&database);
    database.sql("DROP TABLE orders");

    job.tidegate(["health"])
        .exits(1)
        .stdout_has("the table `orders` is missing, and 2 records were committed");

    let database = server().database();
    let job = published(&database);
    database.sql("DELETE FROM tidegate_state");
    job.tidegate(["health"])
        .exits(1)
        .stdout_has("the row of the job in `tidegate_state` is missing, and generation 000001-");
}

#[test]
fn a_killed_run_is_told_and_one_under_way_is_not() {
    let database = server().database();
    let job = published(&database);
    let latch = Latch::default();
    let held = latch.clone();
    let mut job = job.api(move |_| {
        held.pass();
        Reply::new(200, FIRST)
    });
    let running = job.start().has_asked(1);

    running.job().tidegate(["health"]).exits(0);
    running.signalled(Signal::KILL).is_killed();
    database.is_left_alone();

    job.tidegate(["health"])
        .exits(1)
        .stdout_has("was killed or lost its connection");
    latch.open();
    job.start().ends_unchecked().exits(0);
    job.tidegate(["health"]).exits(0);
}

#[test]
fn a_run_that_lost_its_connection_or_is_stopped_is_recorded_too() {
    let database = server().database();
    let latch = Latch::default();
    let held = latch.clone();
    let mut job = published(&database).api(move |_| {
        held.pass();
        Reply::new(404, "{}")
    });
    let running = job.start().has_asked(1);
    database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidegate:orders' AND datname = current_database()");
    latch.open();
    running.ends_unchecked().exits(69);
    job.tidegate(["health"]).exits(1).stdout_has("exit code 69");

    latch.shut();
    let running = job.start().has_asked(1);
    running.signalled(Signal::TERM).ends_unchecked().exits(143);
    latch.open();
    job.tidegate(["health"])
        .exits(1)
        .stdout_has("exit code 143 (terminated)");
}

#[test]
fn a_trial_by_hand_leaves_no_row_and_the_jobs_own_failure_does() {
    let database = server().database();
    let job = published(&database).page(404, "{}");
    let mut job = job.args(["--set", "MAX_PAGES=3"]);
    let trial = job.start().ends_unchecked();
    trial.exits(69).stdout_has("it was a trial");
    assert_eq!(runs(&database), "0|published|t");
    job.tidegate(["health"]).exits(0);

    let job = job.without_arg("--set").without_arg("MAX_PAGES=3");
    let mut job = job.args(["--dry-run"]).page(404, "{}");
    job.start().ends_unchecked().exits(69);
    assert_eq!(runs(&database), "0|published|t");
    let mut job = job.without_arg("--dry-run").page(404, "{}");
    job.start().ends_unchecked().exits(69);

    job.tidegate(["health"]).exits(1).stdout_has("exit code 69");
}

#[test]
fn only_the_last_runs_of_a_job_are_kept() {
    let database = server().database();
    let mut job = published(&database).page(200, FIRST);
    database.sql(
        "INSERT INTO tidegate_runs (job, run_id, started, summary) \
         SELECT job, '2020-' || n, now() - interval '1 day', '{}' FROM generate_series(1, 1005) n, unnest('{orders,other}'::text[]) job",
    );

    job.start().ends_unchecked().exits(0);

    let kept = "SELECT job, count(*), count(finished) FROM tidegate_runs GROUP BY job ORDER BY job";
    assert_eq!(database.sql(kept), "orders|1000|2\nother|1005|0");
}

#[test]
fn a_role_that_may_not_record_is_warned_once_with_the_grant_that_would_allow_it() {
    let name = |database: &Database| database.name.clone();
    for (taken, advice) in [
        (
            "ALTER TABLE tidegate_runs OWNER TO postgres".to_owned(),
            r#"GRANT SELECT, INSERT, UPDATE, DELETE ON "public"."tidegate_runs" TO "etl""#,
        ),
        (
            "DROP TABLE tidegate_runs; ALTER DATABASE {name} OWNER TO postgres; \
             GRANT TEMPORARY ON DATABASE {name} TO etl; REVOKE CREATE ON SCHEMA public FROM PUBLIC, etl"
                .to_owned(),
            r#"GRANT CREATE ON SCHEMA "public" TO "etl""#,
        ),
    ] {
        let database = server().database();
        let job = published(&database).page(404, "{}");
        database.sql(&taken.replace("{name}", &name(&database)));
        let mut job = job;

        let printed = job.start().ends_unchecked();

        printed.exits(69).stdout_has("SQLSTATE 42501");
        assert_eq!(printed.stdout.matches(WARNING).count(), 1);
        let escaped = advice.replace('"', "\\\"");
        printed.stdout_has(&format!("`{escaped}`"));
        let job = job.page(200, FIRST);
        job.tidegate(["check", "--online"])
            .exits(0)
            .stdout_has("warning: cannot record the run in")
            .stdout_has(advice);
        database.sql(advice);
        let mut job = job.page(404, "{}");
        let printed = job.start().ends_unchecked();
        printed.exits(69);
        assert!(!printed.stdout.contains(WARNING), "{}", printed.stdout);
        job.tidegate(["health"]).exits(1).stdout_has("exit code 69");
    }
}

#[test]
fn health_says_that_it_may_not_read_how_runs_ended() {
    let database = server().database();
    let job = published(&database);
    database.sql("ALTER TABLE tidegate_runs OWNER TO postgres");

    job.tidegate(["health"])
        .exits(0)
        .stdout_has("how runs ended is not known")
        .stdout_has(r#"`GRANT SELECT ON "public"."tidegate_runs" TO "etl"`"#);
}

#[test]
fn a_locked_table_of_runs_holds_nobody_up_and_publishes_as_before() {
    let database = server().database();
    let mut job = published(&database).page(200, FIRST);
    let other = Session::holding(&database, "LOCK TABLE tidegate_runs");

    let printed = job.start().ends_unchecked();

    drop(other);
    printed.exits(0).stdout_has(WARNING);
    assert_eq!(
        database.sql("SELECT id, data->>'v', _generation FROM orders ORDER BY id"),
        OLD
    );
    assert_eq!(database.generation(), "2");
}

/// A table of somebody else's that would run their code as the job's role: on the `search_path`, not where the state is.
#[test]
fn a_table_that_another_role_put_in_the_way_is_not_used() {
    let database = server().database();
    database.sql("CREATE SCHEMA own AUTHORIZATION etl");
    let on_own = format!(
        "{}?options=-c%20search_path%3Down%2Cpublic",
        database.url(server().port)
    );
    let mut job = database
        .takes(Job::upsert())
        .set("OUTPUT_DATABASE_URL", &on_own)
        .page(200, FIRST);
    job.start().ends_unchecked().exits(0);
    let trap = |schema: &str| {
        let role = format!("mallory_{}", database.name);
        database.sql(&format!(
            "DROP TABLE own.tidegate_runs; CREATE ROLE {role}; GRANT CREATE, USAGE ON SCHEMA public, own TO {role}; SET ROLE {role}; \
             CREATE TABLE {schema}.tidegate_runs (job text, run_id text, started timestamptz, finished timestamptz, exit_code integer, \
             outcome text, message text, generation text, summary json, PRIMARY KEY (job, run_id)); \
             GRANT ALL ON {schema}.tidegate_runs TO PUBLIC"
        ));
        role
    };

    let role = trap("public");
    let mut job = job.page(200, FIRST);
    job.start().ends_unchecked().exits(0);

    let count =
        |schema: &str| database.sql(&format!("SELECT count(*) FROM {schema}.tidegate_runs"));
    assert_eq!(
        (count("public"), count("own")),
        ("0".to_owned(), "1".to_owned())
    );

    database.sql(&format!(
        "DROP TABLE public.tidegate_runs; ALTER TABLE own.tidegate_runs OWNER TO {role}; DELETE FROM own.tidegate_runs"
    ));
    let mut job = job.page(200, FIRST);
    let refused = job.start().ends_unchecked();
    refused.exits(0).stdout_has(WARNING).stdout_has(&role);
    job.tidegate(["health"]).stdout_has(&role);
    assert_eq!(count("own"), "0");
    database.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

/// Whoever can write there cannot make `health` read without end, or believe nothing of it.
#[test]
fn a_row_that_is_larger_than_any_of_ours_is_not_read() {
    let database = server().database();
    let job = published(&database);
    database
        .sql("UPDATE tidegate_runs SET summary = to_json(repeat('x', 2000000)), started = now()");

    let health = job.tidegate(["health"]);

    assert_ne!(health.code, Some(0));
    assert!(health.stdout.len() < 100_000, "{}", health.stdout.len());
}
