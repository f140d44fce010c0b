//! A SQLite database instead of files, end to end.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Barrier};

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::server::Reply;
use crate::world::{Job, NOBODY, is_root, rows};

const TWO: &str = r#"[{"id":2,"updated":"2026-01-02T00:00:00Z","n":1.10},{"id":1,"updated":"2026-01-01T00:00:00Z"}]"#;

/// A job that has published [`TWO`].
fn published() -> Job {
    let mut job = Job::upsert().sqlite().page(200, TWO);
    job.run().exits(Outcome::Published);
    job
}

#[test]
fn a_first_run_makes_the_table_and_the_next_one_merges() {
    let mut job = Job::upsert().sqlite().page(200, TWO);
    let run = job.run();
    run.exits(Outcome::Published).publishes(&json!([
        {"id": 1, "updated": "2026-01-01T00:00:00Z"},
        {"id": 2, "updated": "2026-01-02T00:00:00Z", "n": 1.10},
    ]));
    assert_eq!(run.last_run()["generation"], run.generation());
    assert_eq!(
        job.rows("SELECT data ->> '$.n' FROM orders WHERE id = 2"),
        ["1.1"]
    );
    assert_eq!(
        job.rows("SELECT data FROM orders WHERE id = 2"),
        [r#"{"id":2,"updated":"2026-01-02T00:00:00Z","n":1.10}"#]
    );

    let mut job = job.page(200, r#"[{"id":3,"updated":"2026-01-03T00:00:00Z"}]"#);
    let run = job.run();

    run.exits(Outcome::Published);
    assert!(
        run.requests[0].target.contains("since="),
        "{:?}",
        run.requests
    );
    assert_eq!(run.summary()["records"], 3);
    assert_eq!(
        job.rows("SELECT id, _generation FROM orders ORDER BY id"),
        ["1|1", "2|1", "3|2"]
    );
    job.page(200, TWO).run().exits(Outcome::NothingNew);
}

#[test]
fn without_a_folder_of_its_own_a_job_works_beside_the_database_and_leaves_no_data_there() {
    let mut job = Job::upsert().unset("OUTPUT_DIR").page(200, TWO);
    let path = job.beside("data.db").display().to_string();
    job = job
        .set("OUTPUT_DATABASE_URL", &format!("sqlite://{path}"))
        .set("OUTPUT_TABLE", "orders");
    job.start().ends_unchecked().exits(0);

    assert_eq!(
        job.rows("SELECT job, generation FROM tidegate_state"),
        ["orders|1"]
    );
    let folder = std::fs::read_dir(format!("{path}.tidegate/orders")).unwrap();
    let mut names: Vec<String> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [".lock", "last-run.json", "runs.ndjson"]);
    let job = job.unset("SOURCE_API_URL").unset("SOURCE_API_KEY");
    job.tidegate(["health", "--verify"])
        .exits(0)
        .stdout_has("fresh: published: 2 records");
}

#[test]
fn deletions_and_replaced_parents_take_rows_away() {
    let mut job = Job::misbehaving("stage-as-told")
        .sqlite()
        .set("WRITE_MODE", "upsert")
        .set("SOURCE_CHANGES", "yes")
        .set("PRIMARY_KEY", "/id")
        .set("REPLACE_BY", "/order")
        .set("SOURCE_PARENT", "/id")
        .set("SOURCE_STAGE_RECORDS", "{\"id\":1,\"order\":1}\n{\"id\":2,\"order\":1}\n{\"id\":3,\"order\":2}\n{\"id\":4,\"order\":2}\n");
    job.run().exits(Outcome::Published);
    let mut job = job
        .set("SOURCE_STAGE_RECORDS", "{\"id\":2,\"order\":1}\n")
        .set(
            "SOURCE_STAGE_DELETED",
            "{\"parent\":1,\"at\":0}\n{\"key\":[4],\"at\":1}\n",
        );

    job.run().exits(Outcome::Published);

    assert_eq!(
        job.rows("SELECT id, \"order\", _generation FROM orders ORDER BY id"),
        ["2|1|1", "3|2|1"]
    );
    let mut job = job.set("SOURCE_STAGE_RECORDS", "").set(
        "SOURCE_STAGE_DELETED",
        "{\"key\":[2],\"at\":0}\n{\"key\":[3],\"at\":0}\n",
    );
    job.run().exits(Outcome::GateRefused).publishes_nothing();
}

#[test]
fn typed_columns_are_a_table_and_what_does_not_fit_is_named() {
    let columns = "id bigint /id\nn numeric /n\nchanged timestamptz /updated";
    let mut job = Job::upsert()
        .sqlite()
        .set("OUTPUT_COLUMNS", columns)
        .page(200, TWO);
    job.run().exits(Outcome::Published);
    assert_eq!(
        job.rows("SELECT id, n, typeof(n), changed FROM orders WHERE id = 2"),
        ["2|1.10|text|2026-01-02T00:00:00Z"]
    );

    let mut job = job.page(
        200,
        r#"[{"id":3,"n":"many","updated":"2026-01-03T00:00:00Z"}]"#,
    );
    let run = job.run();

    run.exits(Outcome::GateRefused).publishes_nothing();
    run.stderr_has("the record with the key `3`")
        .stderr_has("the column `n` is numeric, and there is `\"many\"` at `/n`");
    let mut job = job.set("OUTPUT_COLUMNS", &format!("{columns}\nnote text /note"));
    job.run()
        .exits(Outcome::Settings)
        .stderr_has("--accept-change OUTPUT_COLUMNS");
    let mut job = job.args(["--full-refresh"]).page(200, TWO);
    job.run()
        .exits(Outcome::OutputUnusable)
        .stderr_has("`ALTER TABLE \"orders\" ADD COLUMN \"note\" TEXT`");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_stays() {
    let job = Job::upsert().sqlite();
    let path = job.database().unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "not a database at all\n".repeat(99)).unwrap();

    let printed = job.tidegate(["run"]);

    printed.exits(73).stderr_has(&format!(
        "open in `sqlite://{}`: file is not a database; move it away",
        path.display()
    ));
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .starts_with("not a database")
    );
}

#[test]
fn a_database_that_somebody_holds_is_waited_for_until_the_deadline() {
    let job = published();
    let other = rusqlite::Connection::open(job.database().unwrap()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let mut job = job.set("RUN_DEADLINE", "2s").page(200, TWO);
    job.run().exits(Outcome::TryLater);
    other.execute_batch("ROLLBACK").unwrap();

    job.set("RUN_DEADLINE", "60s")
        .page(200, TWO)
        .run()
        .exits(Outcome::NothingNew);
}

#[test]
fn what_somebody_takes_away_while_a_run_fetches_is_named_and_nothing_is_half_done() {
    for (statement, text, left) in [
        (
            "DELETE FROM tidegate_state",
            "its row in `tidegate_state` disappeared during this run",
            "SELECT count(*) FROM orders WHERE _generation = 1",
        ),
        (
            "DROP TABLE orders",
            "--full-refresh",
            "SELECT generation + 1 FROM tidegate_state",
        ),
    ] {
        let job = published();
        let path = job.database().unwrap();
        let mut job = job.api(move |_| {
            let other = rusqlite::Connection::open(&path).unwrap();
            other.execute_batch(statement).unwrap();
            Reply::new(200, r#"[{"id":3,"updated":"2026-01-03T00:00:00Z"}]"#)
        });

        let printed = job.start().ends_unchecked();

        printed.exits(73).stderr_has(text);
        assert_eq!(job.rows(left), ["2"], "{statement}");
    }
}

#[test]
fn a_dry_run_and_a_preview_leave_no_database() {
    let job = Job::upsert().sqlite().page(200, TWO).args(["--dry-run"]);
    let path = job.database().unwrap();
    let mut job = job;

    job.run().exits(Outcome::DryRun);
    assert!(!path.exists());
    let job = job.page(200, TWO);
    job.tidegate(["preview", "--limit", "1"]).exits(0);
    assert!(!path.exists());
}

#[test]
fn settings_that_do_not_go_together_are_told_at_once() {
    let job = Job::upsert()
        .sqlite()
        .set("OUTPUT_FORMAT", "ndjson")
        .set("KEEP_GENERATIONS", "3")
        .set(
            "OUTPUT_COLUMNS",
            "Id bigint /id\nid text /other\nx /x\nd double /y",
        );

    let checked = job.tidegate(["check"]);

    checked.exits(78);
    for what in [
        "OUTPUT_FORMAT says how a file is written, and OUTPUT_DATABASE_URL is set: unset one of the two (environment)",
        "KEEP_GENERATIONS keeps sets of files",
        "gives the column `x` no type, and a table needs one: `x text /x`",
        "which are one to SQLite",
        "4 problems found",
    ] {
        assert!(
            format!("{}{}", checked.stdout, checked.stderr).contains(what),
            "{what}: {}",
            checked.stdout
        );
    }
    let alone = Job::upsert().set("OUTPUT_TABLE", "orders");
    alone
        .tidegate(["check"])
        .exits(78)
        .stdout_has("OUTPUT_TABLE names a table, and OUTPUT_DATABASE_URL is not set");
    let mut adopting = Job::upsert().sqlite().args(["--adopt"]);
    adopting.run().exits(Outcome::Usage).stderr_has("`--adopt`");
}

#[test]
fn the_url_is_shown_without_its_password_and_the_path_is_no_secret() {
    let job = Job::upsert().unset("OUTPUT_DIR");
    let path = job.beside("data.db").display().to_string();
    let url = format!("OUTPUT_DATABASE_URL=sqlite://{path}");
    job.tidegate(["check", "--set", &url])
        .exits(0)
        .stdout_has(&format!("sqlite://{path}"))
        .stdout_has("--set");

    let password = "p%40ss-w0rd%2f2";
    let url = format!("postgres://etl:{password}@127.0.0.1:1/shop");
    let with_file = job.file("url", &format!("{url}\n")).display().to_string();
    let refused = job.tidegate(["check", "--set", &format!("OUTPUT_DATABASE_URL={url}")]);
    refused
        .exits(78)
        .stdout_has("every user of the machine can read an argument");
    let checked = job
        .set("OUTPUT_DATABASE_URL_FILE", &with_file)
        .tidegate(["check"]);
    checked
        .exits(0)
        .stdout_has("postgres://etl@127.0.0.1:1/shop")
        .stdout_has("file ");
    for printed in [refused, checked] {
        for form in [password, "p@ss-w0rd/2"] {
            assert!(
                !format!("{}{}", printed.stdout, printed.stderr).contains(form),
                "{}",
                printed.stdout
            );
        }
    }
}

#[test]
fn two_jobs_in_one_file_run_at_the_same_time() {
    let both = Arc::new(Barrier::new(2));
    let job = |name: &str| {
        let both = Arc::clone(&both);
        Job::upsert()
            .unset("OUTPUT_DIR")
            .set("JOB_NAME", name)
            .api(move |_| {
                both.wait();
                Reply::new(200, TWO)
            })
    };
    let mut left = job("left");
    let url = format!("sqlite://{}", left.beside("data.db").display());
    left = left.set("OUTPUT_DATABASE_URL", &url);
    let mut right = job("right").set("OUTPUT_DATABASE_URL", &url);

    std::thread::scope(|scope| {
        let other = scope.spawn(|| right.start().ends_unchecked().exits(0).code);
        left.start().ends_unchecked().exits(0);
        other.join().unwrap();
    });

    assert_eq!(
        left.rows("SELECT job, generation FROM tidegate_state ORDER BY job"),
        ["left|1", "right|1"]
    );
    assert_eq!(
        left.rows("SELECT count(*) FROM left UNION ALL SELECT count(*) FROM right"),
        ["2", "2"]
    );
}

#[test]
fn health_sees_a_table_that_somebody_edited_and_a_job_that_fails() {
    let job = published();
    job.tidegate(["health", "--verify"]).exits(0);
    job.rows("DELETE FROM orders WHERE id = 1");

    job.tidegate(["health"]).exits(0);
    job.tidegate(["health", "--verify"])
        .exits(1)
        .stdout_has("the table `orders` has 1 row, and 2 records were committed");
    let job = job.page(404, "{}");
    job.tidegate(["run"]).exits(69);
    job.tidegate(["health"]).exits(1).stdout_has("404");
    let other = job.set("JOB_NAME", "nobody").unset("OUTPUT_DIR");
    other
        .tidegate(["health"])
        .exits(2)
        .stdout_has("nothing was published yet");
}

#[test]
fn how_runs_ended_is_recorded_beside_the_data_and_health_from_another_folder_sees_it() {
    let mut job = published().page(404, "{}");
    job.run().exits(Outcome::SourceRefused);

    let recorded = "SELECT exit_code, outcome, message LIKE '%404%', generation IS NOT NULL, summary ->> 'requests' FROM tidegate_runs ORDER BY started";
    assert_eq!(
        job.rows(recorded),
        ["0|published||1|1", "69|source_refused|1|1|1"]
    );
    let elsewhere = job.beside("elsewhere").display().to_string();
    let job = job.set("JOB_NAME", "orders").set("OUTPUT_DIR", &elsewhere);
    job.tidegate(["health"]).exits(1).stdout_has("exit code 69");
    let mut job = job.page(200, TWO);
    job.start().ends_unchecked().exits(0);
    job.tidegate(["health"]).exits(0);
}

#[test]
fn a_run_that_cannot_be_recorded_publishes_as_before_and_warns_once() {
    let job = published();
    job.rows("CREATE TRIGGER no BEFORE INSERT ON tidegate_runs BEGIN SELECT raise(ABORT, 'not today'); END");
    let mut job = job.page(200, r#"[{"id":3,"updated":"2026-01-03T00:00:00Z"}]"#);

    let run = job.run();

    run.exits(Outcome::Published);
    let warnings = run.warnings();
    let recording = warnings.iter().filter(|warning| {
        warning["msg"] == "run not recorded in the database"
            && warning["error"]
                .as_str()
                .is_some_and(|error| error.contains("not today"))
    });
    assert_eq!(recording.count(), 1, "{warnings:?}");
    assert_eq!(job.rows("SELECT count(*) FROM orders"), ["3"]);
}

#[test]
fn a_table_that_is_dropped_and_a_state_row_that_is_gone_are_not_fresh() {
    for (statement, told) in [
        (
            "DROP TABLE orders",
            "the table `orders` is missing, and 2 records were committed",
        ),
        (
            "DELETE FROM tidegate_state",
            "the row of the job in `tidegate_state` is missing, and generation 000001-",
        ),
    ] {
        let job = published();
        job.rows(statement);

        job.tidegate(["health"]).exits(1).stdout_has(told);
    }
}

/// Reads as a user who owns nothing and may write nowhere here.
fn read_by_another_user(path: &Path, query: &str) -> Vec<String> {
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            if is_root() {
                // Of this thread alone.
                rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(NOBODY))
                    .expect("another user");
            }
            rows(path, query)
        });
        reader.join().expect("it was read")
    })
}

#[test]
fn a_reader_who_may_write_nothing_there_reads_between_runs() {
    let mut job = published();
    let path = job.database().expect("a database");
    if is_root() {
        let beside = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(job.beside("."), beside).expect("open the folder");
    }

    assert_eq!(
        read_by_another_user(&path, "SELECT count(*) FROM orders"),
        ["2"]
    );
    let log = path.with_file_name("data.db-wal");
    assert_eq!(
        std::fs::metadata(log).expect("the log").len(),
        0,
        "all of it is in the file"
    );

    let more = r#"[{"id":3,"updated":"2026-01-03T00:00:00Z"}]"#;
    job = job.page(200, more);
    job.run().exits(Outcome::Published);
    assert_eq!(
        read_by_another_user(&path, "SELECT count(*) FROM orders"),
        ["3"]
    );
}

#[test]
fn tables_that_are_not_strict_keep_every_key_and_digit_as_it_is() {
    let mut job = Job::upsert()
        .sqlite()
        .set("OUTPUT_SQLITE_STRICT", "no")
        .set("OUTPUT_COLUMNS", "n numeric /n\nt text /t")
        .page(200, r#"[{"id":"07","updated":1,"n":1.10,"t":"5"},{"id":"1e2","updated":1,"n":12345678901234567890,"t":null}]"#);
    job.start().ends_unchecked().exits(0);
    let mut job = job.page(200, r#"[{"id":"1e2","updated":2,"n":"0.5","t":"x"}]"#);
    job.start().ends_unchecked().exits(0);

    assert_eq!(
        job.rows("SELECT typeof(id), id, typeof(n), n, typeof(t), t FROM orders ORDER BY id"),
        ["text|07|text|1.10|text|5", "text|1e2|text|0.5|text|x"]
    );
    assert_eq!(
        job.rows("SELECT name FROM pragma_table_list WHERE strict"),
        [""; 0]
    );

    let mut strict = published().set("OUTPUT_SQLITE_STRICT", "no").page(200, TWO);
    strict
        .run()
        .exits(Outcome::OutputUnusable)
        .stderr_has("name a new file");
}

#[test]
fn a_record_that_does_not_fit_is_set_aside_with_its_key() {
    let half = r#"{"id":3,"updated":"2026-01-01T00:00:00Z","n":"a\ud83d"}"#;
    let page = format!(r#"[{{"id":1,"updated":"2026-01-01T00:00:00Z","n":"ok"}},{half}]"#);
    let mut job = Job::upsert()
        .sqlite()
        .set("OUTPUT_COLUMNS", "n text /n")
        .page(200, &page);

    job.run()
        .exits(Outcome::GateRefused)
        .stderr_has("the record with the key `3`")
        .stderr_has("half a surrogate pair");
    let mut job = job.set("MAX_REJECTED", "1").page(200, &page);
    job.start().ends_unchecked().exits(0);

    assert_eq!(job.rows("SELECT id FROM orders"), ["1"]);
    assert_eq!(
        job.rows("SELECT pointer, instr(reason, 'key `3`') > 0, record FROM tidegate_rejected"),
        [format!("/n|1|{half}")]
    );
}

#[test]
fn a_uuid_in_capitals_is_the_same_key() {
    let one = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
    let record = |id: &str, at: u32, gone: bool| {
        format!(r#"[{{"id":"{id}","updated":{at},"gone":{gone}}}]"#)
    };
    let mut job = Job::upsert()
        .sqlite()
        .set("SOURCE_DELETED", "/gone")
        .set("MAX_DELETE_PERCENT", "100")
        .set("MAX_SHRINK_PERCENT", "100")
        .set("OUTPUT_COLUMNS", "id uuid /id\nat bigint /updated")
        .page(200, &record(one, 1, false))
        .page(200, &record(&one.to_uppercase(), 2, false))
        .page(200, &record(&one.to_uppercase(), 3, true));

    job.start().ends_unchecked().exits(0);
    job.start().ends_unchecked().exits(0);
    assert_eq!(job.rows("SELECT id, at FROM orders"), [format!("{one}|2")]);
    job.start().ends_unchecked().exits(0);
    assert_eq!(job.rows("SELECT count(*) FROM orders"), ["0"]);
}

#[test]
fn rows_that_a_trigger_ignores_fail_the_run() {
    for (event, page) in [
        ("INSERT", r#"[{"id":3,"updated":"2026-01-03T00:00:00Z"}]"#),
        ("UPDATE", r#"[{"id":2,"updated":"2026-01-03T00:00:00Z"}]"#),
        (
            "DELETE",
            r#"[{"id":2,"updated":"2026-01-03T00:00:00Z","gone":true}]"#,
        ),
    ] {
        let mut job = Job::upsert()
            .sqlite()
            .set("SOURCE_DELETED", "/gone")
            .page(200, TWO);
        job.run().exits(Outcome::Published);
        job.rows(&format!(
            "CREATE TRIGGER quietly BEFORE {event} ON orders BEGIN SELECT RAISE(IGNORE); END"
        ));

        let mut job = job.page(200, page);
        job.run()
            .exits(Outcome::GateRefused)
            .stderr_has("`quietly`");
    }
}
