//! A component's words are data: whatever it says is short, counted and without effect on who reads it.
//!
//! That nothing printed or recorded can steer a terminal is checked after every run and every command: see `world/ended.rs`.

use serde_json::json;
use tidegate::outcome::Outcome;

use super::{ONE, is_refused};
use crate::server::Reply;
use crate::world::place::at;
use crate::world::{Job, Place, Printed, guests};

const KIB: usize = 1024;

/// A job of many portions that are merged.
fn in_portions(behaviour: &str) -> Job {
    Job::misbehaving(behaviour)
        .set("WRITE_MODE", "upsert")
        .set("SOURCE_CHANGES", "yes")
        .set("PRIMARY_KEY", "/id")
}

/// `describe` of a component that describes itself like this.
fn described(word: &str, form: &str) -> Printed {
    let component = guests::describing(word).display().to_string();
    let job = Job::new();
    match form {
        "" => job.tidegate(["describe", "--component", &component]),
        form => job.tidegate(["describe", form, "--component", &component]),
    }
}

#[test]
fn a_cursor_that_is_too_long_breaks_the_contract_and_the_folder_stays_usable() {
    is_refused(
        "huge-cursor",
        Outcome::ComponentFailed,
        "it returned a cursor of 2000000 bytes, and 4096 are allowed",
    );
    let mut job = Job::misbehaving("huge-cursor");
    job.run().exits(Outcome::ComponentFailed);

    let mut job = job.set("SOURCE_MISBEHAVIOUR", "none");
    job.run().exits(Outcome::Published);
    job.run().exits(Outcome::NothingNew);
}

#[test]
fn what_a_manifest_holds_is_read_again_whatever_it_is() {
    let mut job = Job::misbehaving("steering-state");

    job.run().exits(Outcome::Published);
    let again = job.run();

    again.exits(Outcome::NothingNew);
    assert!(again.manifest()["cursor"].as_str().unwrap().len() <= 4 * KIB);
}

#[test]
fn counts_that_cannot_be_true_break_the_contract() {
    is_refused(
        "huge-counts",
        Outcome::ComponentFailed,
        "it reported 18446744073709551615 pages",
    );
}

#[test]
fn counts_of_all_portions_are_added() {
    let run = in_portions("large-counts").run();

    run.exits(Outcome::Published);
    assert_eq!(run.summary()["fetched"], 16_000_000_000_u64);
}

#[test]
fn a_huge_error_is_a_short_line() {
    let run = is_refused("huge-error", Outcome::SourceRefused, "… (cut, ");

    run.stderr_has("intact");
    assert!(
        run.stderr.len() <= 4 * KIB + 16,
        "{} bytes",
        run.stderr.len()
    );
    assert!(run.stdout.len() < 16 * KIB, "{} bytes", run.stdout.len());
    let recorded = run.recorded.as_ref().unwrap();
    assert!(recorded.len() < 8 * KIB, "{} bytes", recorded.len());
}

#[test]
fn problems_without_end_are_counted() {
    let run = is_refused("huge-problems", Outcome::Settings, "… (cut, ");

    run.stderr_has("intact");
    assert!(
        run.stderr.len() <= 4 * KIB + 16,
        "{} bytes",
        run.stderr.len()
    );
}

#[test]
fn problems_without_end_are_counted_by_check_too() {
    let job = Job::misbehaving("huge-problems");
    let component = guests::misbehaving().display().to_string();

    let checked = job.tidegate(["check", "--component", &component]);

    checked
        .exits(78)
        .stdout_has("has 1950 more problems with its settings");
    assert!(
        checked.stdout.len() < 256 * KIB,
        "{} bytes",
        checked.stdout.len()
    );
}

#[test]
fn a_reason_that_is_too_long_breaks_the_contract() {
    is_refused(
        "huge-reason",
        Outcome::ComponentFailed,
        "has a reason of 2000000 bytes, and 4096 are allowed",
    );
}

#[test]
fn a_flood_of_escapes_in_the_log_is_cut_by_what_is_written() {
    let run = Job::misbehaving("log-escapes").run();

    run.exits(Outcome::Published);
    assert!(
        run.stdout.len() < 1024 * KIB + 8 * KIB,
        "{} bytes",
        run.stdout.len()
    );
    assert_eq!(run.events("component log cut").len(), 1);
}

#[test]
fn lines_of_the_log_are_of_the_run_and_not_of_a_portion() {
    let run = in_portions("log-in-portions").run();

    run.exits(Outcome::Published);
    assert_eq!(run.summary()["portions"], 12);
    assert!(
        run.stdout.len() < 1024 * KIB + 16 * KIB,
        "{} bytes",
        run.stdout.len()
    );
    let cut = run.events("component log cut");
    assert_eq!(cut.len(), 1, "{cut:?}");
    let lines = run.events("component").len() as u64;
    assert_eq!(json!(60_000 - lines), cut[0]["dropped_lines"]);
}

#[test]
fn cpu_time_is_of_the_run_and_not_of_a_portion() {
    let run = in_portions("spend-in-portions")
        .set("CPU_LIMIT", "1s")
        .run();

    run.exits(Outcome::ComponentFailed)
        .stderr_has("more CPU time than `CPU_LIMIT` allows (1s)")
        .stderr_has("of this run published");
    assert!(
        (1..200).contains(&run.summary()["portions"].as_u64().unwrap()),
        "{}",
        run.stdout
    );
}

#[test]
fn a_hostile_description_prints_as_text_only() {
    for form in ["", "--markdown", "--env-example"] {
        described("escapes", form)
            .exits(0)
            .stdout_has("SOURCE_TRAP");
    }
}

#[test]
fn nothing_a_component_declares_is_a_setting_in_force_but_its_own() {
    let example = described("escapes", "--env-example")
        .exits(0)
        .stdout
        .clone();

    let in_force: Vec<&str> = example
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();

    assert_eq!(in_force, ["SOURCE_TRAP='a #b'"]);
}

#[test]
fn a_line_break_in_a_value_is_refused() {
    for form in ["", "--markdown", "--env-example"] {
        described("newline", form).exits(78).stderr_has(
            "component declares the setting `SOURCE_TRAP` with an example that has control characters",
        );
    }
}

#[test]
fn a_huge_description_is_refused_before_anything_is_asked() {
    let run = Job::new()
        .component(&guests::describing("huge"))
        .old(ONE)
        .run();

    run.exits(Outcome::Settings)
        .asked(0)
        .publishes_nothing()
        .stderr_has("and 262144 are allowed");
}

#[test]
fn a_look_suggests_nothing_that_widens_a_grant() {
    let job = Job::misbehaving("none").set("SOURCE_STAGE_CURSOR", "SOURCE_BODY");
    let component = guests::misbehaving().display().to_string();

    let looked = job.tidegate(["check", "--online", "--component", &component]);

    looked
        .exits(0)
        .stdout_has("\n  SOURCE_BODY='/updated #1'\n")
        .stdout_has("5 suggestions of the component left out")
        .stdout_has("1950 more findings and suggestions left out");
    let pasted: Vec<&str> = looked
        .stdout
        .lines()
        .filter(|line| {
            line.trim_start()
                .starts_with(|c: char| c.is_ascii_uppercase())
        })
        .filter(|line| !line.ends_with("environment") && !line.ends_with("default"))
        .collect();
    assert_eq!(pasted, ["  SOURCE_BODY='/updated #1'"]);
    assert!(
        looked.stdout.len() < 256 * KIB,
        "{} bytes",
        looked.stdout.len()
    );
}

#[test]
fn a_preview_of_hostile_records_prints_json() {
    let job = Job::misbehaving("stage-steering").set("WRITE_MODE", "replace");
    let component = guests::misbehaving().display().to_string();

    let shown = job.tidegate(["preview", "--component", &component]);

    shown.exits(0).stdout_has("\\u202e");
    let record: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert!(record["name"].as_str().unwrap().contains('\u{202e}'));
}

/// A manifest that could not be read again ends every run from then on: nothing of it is written. Then the job goes on as before.
fn a_manifest_that_is_too_large_is_refused_before_it_is_written(place: Place) {
    // It is in the manifest, in which each of these characters takes two bytes.
    let key = format!("/{}", "\"".repeat(600 * KIB));
    let mut job = Job::misbehaving("stage-nothing")
        .at(place)
        .set("WRITE_MODE", "upsert")
        .set("SOURCE_CHANGES", "yes")
        .set("PRIMARY_KEY", "/id");
    if place.is_table() {
        job = job.set("OUTPUT_COLUMNS", "id text /id\ndata text /data");
    }
    job.run().printed.exits(0);
    let columns = job.file("columns", &format!("id text {key}\ndata text /data"));
    let settings = job.file("settings.env", &format!("PRIMARY_KEY={key}\n"));
    let (columns, settings) = (
        columns.display().to_string(),
        settings.display().to_string(),
    );
    let mut job = job.unset("PRIMARY_KEY").args([
        "--env-file",
        &settings,
        "--accept-change",
        "PRIMARY_KEY",
        "--accept-change",
        "OUTPUT_COLUMNS",
    ]);
    if place.is_table() {
        job = job
            .unset("OUTPUT_COLUMNS")
            .set("OUTPUT_COLUMNS_FILE", &columns);
    }

    let refused = job.run();
    let mut job = job
        .without_arg("--env-file")
        .without_arg(&settings)
        .unset("OUTPUT_COLUMNS_FILE")
        .set("PRIMARY_KEY", "/id");
    if place.is_table() {
        job = job.set("OUTPUT_COLUMNS", "id text /id\ndata text /data");
    }
    let after = job.run();

    refused
        .exits(Outcome::OutputUnusable)
        .publishes_nothing()
        .stderr_has("and 1048576 are allowed")
        .stderr_has("nothing was published");
    after.exits(Outcome::NothingNew);
}

at! { every place: a_manifest_that_is_too_large_is_refused_before_it_is_written }

/// What a server or a database puts into its words.
const STEERING: &str = "\u{1b}[2J\u{7f}\u{9b}31m\u{200b}\u{202e}\u{2066}\u{2028}\u{feff}\u{e0041}";
const DATED: &str = r#"[{"id":1,"updated":"2026-01-01T00:00:00Z"}]"#;
const LATER: &str = r#"[{"id":2,"updated":"2026-01-02T00:00:00Z"}]"#;

#[test]
fn what_a_server_says_is_shown_as_text() {
    let message = format!("{{\"error\":{}}}", json!(format!("all is well{STEERING}")));
    let odd = STEERING.replace(char::is_control, "");

    let told = Job::new()
        .set("SOURCE_ERROR", ".error")
        .page(200, &message)
        .run();
    let encoded = Job::new()
        .reply(Reply::new(200, "[]").header("content-encoding", odd.clone()))
        .run();
    let elsewhere = Job::new()
        .reply(Reply::new(302, "").header("location", format!("http://{odd}.example/")))
        .run();

    // That nothing in it steers a terminal is checked after every run.
    told.stderr_has("all is well");
    for run in [told, encoded, elsewhere] {
        assert_ne!(run.code, Some(0), "{}", run.stdout);
    }
}

/// A trigger of somebody else's refuses the rows of a run with `message`.
fn what_a_database_says_is_shown_as_text(place: Place) {
    let mut job = Job::upsert().at(place).page(200, DATED);
    job.run().exits(Outcome::Published);
    let message = format!("all is well{STEERING}");
    if let Some(database) = job.server_database() {
        database.sql(&format!(
            "CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{message}'; END $$"
        ));
        database.sql(
            "CREATE TRIGGER told BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION told()",
        );
    } else {
        job.rows(&format!(
            "CREATE TRIGGER told BEFORE INSERT ON orders BEGIN SELECT RAISE(ABORT, '{message}'); END"
        ));
    }

    let run = job.page(200, LATER).run();

    run.publishes_nothing()
        .stderr_has("all is well\\u001b[2J\\u007f\\u009b31m\\u200b");
}

at! { what_a_database_says_is_shown_as_text at sqlite postgres; }
