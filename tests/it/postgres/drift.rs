//! A table that is there and does not fit: nothing is altered, and the statement that would mend it is told.

use tidegate::outcome::Outcome;

use crate::world::postgres::{Database, server};
use crate::world::{Job, Printed};

fn job(database: &Database) -> Job {
    database.takes(Job::new()).set("PRIMARY_KEY", "/id")
}

fn refused(job: Job) -> Printed {
    let printed = { job.page(200, r#"[{"id":1}]"#) }.start().ends_unchecked();
    printed.exits(i32::from(Outcome::OutputUnusable.exit_code()));
    printed
}

#[test]
fn drift_is_told_with_the_statement_that_mends_it() {
    for (table, mend) in [
        (
            "(id bigint PRIMARY KEY, data jsonb, _updated_at timestamptz)",
            r#"ALTER TABLE "orders" ADD COLUMN "_generation" bigint"#,
        ),
        (
            "(id bigint PRIMARY KEY, data json, _updated_at timestamptz, _generation bigint)",
            r#"ALTER TABLE "orders" ALTER COLUMN "data" TYPE jsonb"#,
        ),
        (
            "(id bigint, data jsonb, _updated_at timestamptz, _generation bigint)",
            r#"ADD PRIMARY KEY ("id")"#,
        ),
        (
            "(id bigint, data jsonb, _updated_at timestamptz, _generation bigint, CONSTRAINT pk PRIMARY KEY (_generation))",
            r#"set PRIMARY_KEY to what that is, or name another table by OUTPUT_TABLE, or move this one away by `ALTER TABLE "orders" RENAME TO "orders_before"`"#,
        ),
    ] {
        let database = server().database();
        database.sql(&format!(
            "CREATE TABLE orders {table}; ALTER TABLE orders OWNER TO etl"
        ));
        let shape = "SELECT attname, atttypid FROM pg_attribute WHERE attrelid = 'orders'::regclass ORDER BY attnum";
        let before = database.sql(shape);

        refused(job(&database))
            .stderr_has(mend)
            .stderr_has("nothing was altered");

        assert_eq!(database.sql(shape), before);
    }
}

#[test]
fn a_table_that_fits_and_has_rows_of_somebody_else_is_refused() {
    let database = server().database();
    database.sql("CREATE TABLE orders (id bigint PRIMARY KEY, data jsonb, _updated_at timestamptz, _generation bigint); INSERT INTO orders VALUES (9); ALTER TABLE orders OWNER TO etl");

    refused(job(&database))
        .stderr_has("it has rows")
        .stderr_has("OUTPUT_TABLE");

    assert_eq!(database.sql("SELECT id FROM orders"), "9");
}

#[test]
fn a_table_that_is_gone_is_not_made_of_changes_alone() {
    let database = server().database();
    let page = r#"[{"id":1,"updated":1}]"#;
    let mut job = database
        .takes(Job::upsert())
        .page(200, page)
        .page(200, page)
        .page(200, page);
    job.start().ends_unchecked().exits(0);
    database.sql("DROP TABLE orders");

    let gone = job.start().ends_unchecked();

    gone.exits(i32::from(Outcome::OutputUnusable.exit_code()))
        .stderr_has("--full-refresh");
    { job.args(["--full-refresh"]) }
        .start()
        .ends_unchecked()
        .exits(0);
    assert_eq!(database.sql("SELECT id FROM orders"), "1");
}
