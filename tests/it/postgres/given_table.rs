//! A table that somebody else made: used as it is where it can be, and otherwise refused before anything is loaded. What the
//! text advises is done, and helps, and nobody loses a row by it.

use tidegate::outcome::Outcome;

use crate::world::postgres::{Database, server};
use crate::world::{Job, Printed};

const OURS: &str = "_updated_at timestamptz NOT NULL, _generation bigint NOT NULL";

/// The database with a table `orders` of these columns and ours, which belongs to the job's role.
fn with_table(columns: &str) -> Database {
    let database = server().database();
    database.sql(&format!(
        "CREATE TABLE orders ({columns}, {OURS}); ALTER TABLE orders OWNER TO etl"
    ));
    database
}

fn job(database: &Database) -> Job {
    database
        .takes(Job::upsert())
        .set("SOURCE_DELETED", "/gone")
        .set("MAX_DELETE_PERCENT", "100")
        .set("MAX_SHRINK_PERCENT", "100")
}

fn ran(job: Job, page: &str) -> (Job, Printed) {
    let mut job = job.page(200, page);
    let printed = job.start().ends_unchecked();
    (job, printed)
}

fn exits(printed: &Printed, outcome: Outcome) {
    printed.exits(i32::from(outcome.exit_code()));
}

/// Does what a text advises: the statements in it that begin like this, up to the next `` ` `` or `;`.
fn follow(database: &Database, printed: &Printed) {
    let mut rest = printed.stderr.as_str();
    let mut done = 0;
    let begins = |text: &str| {
        let places = ["ALTER TABLE \"", "ALTER ROLE \""].map(|words| text.find(words));
        places.into_iter().flatten().min()
    };
    while let Some(at) = begins(rest) {
        let end = rest[at..].find(['`', ';']).expect("it ends");
        database.sql(&rest[at..at + end]);
        done += 1;
        rest = &rest[at + end..];
    }
    assert!(done > 0, "no statement in: {}", printed.stderr);
}

#[test]
fn near_types_are_used_as_they_are() {
    for (columns, given) in [
        ("id integer PRIMARY KEY, v smallint", "v bigint /v"),
        ("id varchar(20) PRIMARY KEY, v numeric(6,2)", "v numeric /v"),
        ("id numeric(10,0) PRIMARY KEY, v varchar(5)", "v text /v"),
        ("id char(3) PRIMARY KEY, v integer", "v numeric /v"),
        (
            "pk bigserial PRIMARY KEY, id bigint UNIQUE, v numeric(9)",
            "v bigint /v",
        ),
        (
            "v bigint, id smallint PRIMARY KEY, more text DEFAULT 'x'",
            "v bigint /v",
        ),
    ] {
        let database = with_table(columns);
        let kinds = "SELECT string_agg(format_type(atttypid, atttypmod), ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'orders'::regclass";
        let before = database.sql(kinds);
        let is_text = columns.starts_with("id varchar") || columns.starts_with("id char");
        let quote = if is_text { "\"" } else { "" };
        let key = |id: &str| format!("{quote}{id}{quote}");
        let (one, two) = (key("100"), key("200"));
        let first =
            format!(r#"[{{"id":{one},"updated":1,"v":1}},{{"id":{two},"updated":1,"v":2}}]"#);
        let second =
            format!(r#"[{{"id":{one},"updated":2,"v":3}},{{"id":{two},"updated":2,"gone":true}}]"#);

        let (job, printed) = ran(job(&database).set("OUTPUT_COLUMNS", given), &first);
        exits(&printed, Outcome::Published);
        let (_, printed) = ran(job, &second);
        exits(&printed, Outcome::Published);

        let rows = database.sql("SELECT trim(id::text), v::numeric::int FROM orders");
        assert_eq!(rows, "100|3", "{columns}");
        assert_eq!(database.sql(kinds), before, "nothing was altered");
    }
}

#[test]
fn a_key_in_another_order_is_the_same_key() {
    let database = with_table("id bigint, day date, v bigint, PRIMARY KEY (day, id)");
    let job = job(&database)
        .set("PRIMARY_KEY", "/id,/day")
        .set("OUTPUT_COLUMNS", "v bigint /v");

    let (job, printed) = ran(job, r#"[{"id":1,"day":"2026-01-01","updated":1,"v":1}]"#);
    exits(&printed, Outcome::Published);
    let (_, printed) = ran(job, r#"[{"id":1,"day":"2026-01-01","updated":2,"v":2}]"#);
    exits(&printed, Outcome::Published);

    assert_eq!(
        database.sql("SELECT id, day, v FROM orders"),
        "1|2026-01-01|2"
    );
}

#[test]
fn an_identity_that_takes_no_value_is_refused_before_the_first_load_and_the_advice_helps() {
    let database = with_table("id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v bigint");
    let page = r#"[{"id":7,"updated":1,"v":1}]"#;

    let (job, printed) = ran(job(&database).set("OUTPUT_COLUMNS", "v bigint /v"), page);
    exits(&printed, Outcome::OutputUnusable);
    assert_eq!(database.sql("SELECT count(*) FROM orders"), "0");
    follow(&database, &printed);

    let (job, printed) = ran(job, page);
    exits(&printed, Outcome::Published);
    let (_, printed) = ran(job, r#"[{"id":7,"updated":2,"v":2}]"#);
    exits(&printed, Outcome::Published);
    assert_eq!(database.sql("SELECT id, v FROM orders"), "7|2");
}

#[test]
fn a_generated_column_is_refused_and_another_name_helps() {
    let database =
        with_table("id bigint PRIMARY KEY, v bigint GENERATED ALWAYS AS (id * 2) STORED, w bigint");
    let page = r#"[{"id":7,"updated":1,"v":1}]"#;

    let (job, printed) = ran(job(&database).set("OUTPUT_COLUMNS", "v bigint /v"), page);
    exits(&printed, Outcome::OutputUnusable);
    printed.stderr_has("another name in OUTPUT_COLUMNS");

    let (_, printed) = ran(job.set("OUTPUT_COLUMNS", "w bigint /v"), page);
    exits(&printed, Outcome::Published);
    assert_eq!(database.sql("SELECT id, v, w FROM orders"), "7|14|1");
}

#[test]
fn rows_that_a_policy_hides_end_the_run_and_change_nothing() {
    let database = server().database();
    let first = r#"[{"id":1,"updated":1},{"id":2,"updated":1}]"#;
    let (job, printed) = ran(job(&database), first);
    exits(&printed, Outcome::Published);
    database.sql("ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER TABLE orders FORCE ROW LEVEL SECURITY; CREATE POLICY p ON orders USING (id = 1) WITH CHECK (true)");

    let (job, printed) = ran(job.args(["--full-refresh"]), r#"[{"id":1,"updated":1}]"#);
    exits(&printed, Outcome::OutputUnusable);
    printed.stderr_has("row-level security hides rows");
    assert_eq!(database.sql("SELECT id FROM orders ORDER BY id"), "1\n2");

    follow(&database, &printed);
    let (_, printed) = ran(job, r#"[{"id":1,"updated":1}]"#);
    server().sql("postgres", "ALTER ROLE etl NOBYPASSRLS");
    exits(&printed, Outcome::Published);
    assert_eq!(database.sql("SELECT id FROM orders"), "1");
}

#[test]
fn a_state_that_a_policy_hides_is_no_first_run() {
    let database = server().database();
    let (job, printed) = ran(job(&database), r#"[{"id":1,"updated":1}]"#);
    exits(&printed, Outcome::Published);
    database.sql("ALTER TABLE tidegate_state ENABLE ROW LEVEL SECURITY; ALTER TABLE tidegate_state FORCE ROW LEVEL SECURITY");

    let (_, printed) = ran(job, r#"[{"id":1,"updated":1}]"#);

    exits(&printed, Outcome::OutputUnusable);
    printed.stderr_has("row-level security");
}

#[test]
fn rows_that_a_trigger_drops_fail_the_run() {
    for (event, returns) in [("INSERT", "NULL"), ("UPDATE", "NULL"), ("DELETE", "NULL")] {
        let database = server().database();
        let (job, printed) = ran(
            job(&database),
            r#"[{"id":1,"updated":1},{"id":2,"updated":1}]"#,
        );
        exits(&printed, Outcome::Published);
        database.sql(&format!(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN {returns}; END $$; \
             CREATE TRIGGER quietly BEFORE {event} ON orders FOR EACH ROW EXECUTE FUNCTION keep()"
        ));
        let before = database.sql("SELECT id, data FROM orders ORDER BY id");
        let page = match event {
            "INSERT" => r#"[{"id":3,"updated":2}]"#,
            "UPDATE" => r#"[{"id":1,"updated":2}]"#,
            _ => r#"[{"id":1,"updated":2,"gone":true}]"#,
        };

        let (job, printed) = ran(job, page);
        exits(&printed, Outcome::GateRefused);
        printed
            .stderr_has("trigger")
            .stderr_has("no error was reported");
        assert_eq!(
            database.sql("SELECT id, data FROM orders ORDER BY id"),
            before
        );

        if event == "DELETE" {
            let (_, printed) = ran(job.args(["--full-refresh"]), r#"[{"id":2,"updated":1}]"#);
            exits(&printed, Outcome::GateRefused);
            assert_eq!(
                database.sql("SELECT id, data FROM orders ORDER BY id"),
                before
            );
        }
    }
}

#[test]
fn rows_that_a_trigger_drops_fail_the_first_load_too() {
    let database = with_table("id bigint PRIMARY KEY, data jsonb");
    database.sql(
        "CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 2 THEN RETURN NULL; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER \"not two\" BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION odd()",
    );

    let (_, printed) = ran(
        job(&database),
        r#"[{"id":1,"updated":1},{"id":2,"updated":1}]"#,
    );

    exits(&printed, Outcome::GateRefused);
    printed
        .stderr_has("1 of 2 rows were taken")
        .stderr_has("`not two`");
    assert_eq!(database.sql("SELECT count(*) FROM orders"), "0");
}

#[test]
fn a_published_table_without_an_identity_is_not_tried_again_and_the_advice_helps() {
    let database = server().database();
    let job = database.takes(Job::new());
    let (job, printed) = ran(job, r#"[{"v":1}]"#);
    exits(&printed, Outcome::Published);
    database.sql("CREATE PUBLICATION everything FOR ALL TABLES");

    let (job, printed) = ran(job, r#"[{"v":2}]"#);
    exits(&printed, Outcome::OutputUnusable);
    printed.stderr_has("`ALTER TABLE \"orders\" REPLICA IDENTITY FULL`");
    follow(&database, &printed);

    let (_, printed) = ran(job, r#"[{"v":2}]"#);
    exits(&printed, Outcome::Published);
    assert_eq!(database.sql("SELECT data FROM orders"), r#"{"v": 2}"#);
}

#[test]
fn rows_of_somebody_else_are_moved_away_by_the_advice_and_not_lost() {
    let database = server().database();
    database.sql("CREATE TABLE orders (id integer PRIMARY KEY, v integer, name varchar(50)); INSERT INTO orders VALUES (9, 9, 'theirs'); ALTER TABLE orders OWNER TO etl");
    let page = r#"[{"id":1,"updated":1}]"#;

    let (job, printed) = ran(job(&database), page);
    exits(&printed, Outcome::OutputUnusable);
    assert!(!printed.stderr.contains("DELETE"), "{}", printed.stderr);
    assert!(!printed.stderr.contains("DROP"), "{}", printed.stderr);
    follow(&database, &printed);

    let (_, printed) = ran(job, page);
    exits(&printed, Outcome::Published);
    assert_eq!(database.sql("SELECT * FROM orders_before"), "9|9|theirs");
    assert_eq!(database.sql("SELECT id FROM orders"), "1");
}

#[test]
fn a_column_of_another_type_keeps_its_values_and_the_advice_helps() {
    for (column, given) in [
        ("v text NOT NULL", "v bigint /v"),
        ("v double precision", "v numeric /v"),
        ("v timestamptz", "v date /day"),
        ("v bytea", "v text /v"),
        ("w text", "v bigint /v"),
    ] {
        let database = with_table(&format!("id bigint PRIMARY KEY, {column}"));
        let page = r#"[{"id":1,"updated":1,"v":1,"day":"2026-01-01"}]"#;

        let (job, printed) = ran(job(&database).set("OUTPUT_COLUMNS", given), page);
        exits(&printed, Outcome::OutputUnusable);
        assert!(!printed.stderr.contains("DROP C"), "{}", printed.stderr);
        follow(&database, &printed);

        let (_, printed) = ran(job, page);
        exits(&printed, Outcome::Published);
        assert_eq!(database.sql("SELECT count(v) FROM orders"), "1", "{column}");
    }
}

#[test]
fn another_key_is_never_dropped_and_the_advice_helps() {
    let database = server().database();
    let (job, printed) = ran(job(&database), r#"[{"id":1,"no":5,"updated":1}]"#);
    exits(&printed, Outcome::Published);
    let changed = { job }.set("PRIMARY_KEY", "/no").args(["--full-refresh"]);

    let (changed, printed) = ran(changed, r#"[{"id":1,"no":5,"updated":1}]"#);
    exits(&printed, Outcome::OutputUnusable);
    assert!(!printed.stderr.contains("DROP"), "{}", printed.stderr);
    database.sql(r#"ALTER TABLE "orders" RENAME TO "orders_before""#);
    printed.stderr_has(r#"ALTER TABLE "orders" RENAME TO "orders_before""#);

    let (_, printed) = ran(changed, r#"[{"id":1,"no":5,"updated":1}]"#);
    exits(&printed, Outcome::Published);
    assert_eq!(database.sql("SELECT no FROM orders"), "5");
    assert_eq!(database.sql("SELECT id FROM orders_before"), "1");
}
