//! One test or more for each row of README's table of exit codes, through the real binary.
//!
//! Here 0, 64, 65 and 78, and the table itself; the others by where they come from.

mod component;
mod health;
mod output;
mod source;
mod stopped;

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::server::Reply;
use crate::world::Job;

const ONE: &str = r#"[{"id":1}]"#;
const TWO: &str = r#"[{"id":1},{"id":2}]"#;

#[test]
fn a_first_run_publishes_what_the_source_has() {
    let run = Job::new()
        .page(200, r#"[{"id":1,"price":1.10},{"id":9007199254740993}]"#)
        .run();

    run.exits(Outcome::Published).asked(1);
    assert_eq!(run.requests[0].method, "GET");
    assert_eq!(
        run.after.file("latest.json"),
        Some("[\n{\"id\":1,\"price\":1.10},\n{\"id\":9007199254740993}\n]\n")
    );
    assert_eq!(run.manifest()["files"]["latest.json"]["records"], 2);
    assert_eq!(run.summary()["committed"], "yes");
}

#[test]
fn the_host_adds_the_credential() {
    let mut job = Job::new().page(200, ONE);
    let bearer = format!("Bearer {}", job.key);

    let run = job.run();

    run.exits(Outcome::Published);
    assert_eq!(
        run.requests[0].header("authorization"),
        Some(bearer.as_str())
    );
}

#[test]
fn a_second_run_with_the_same_data_has_nothing_new_and_a_new_generation() {
    let mut job = Job::new().old(ONE).page(200, ONE);

    let run = job.run();

    run.exits(Outcome::NothingNew)
        .publishes(&json!([{"id": 1}]));
    assert_ne!(run.after.generation, run.before.generation);
    assert_eq!(run.summary()["generation"], run.generation());
}

#[test]
fn only_changes_are_asked_for_and_merged_by_key() {
    let mut job = Job::upsert().old(
        r#"[{"id":1,"updated":"2026-01-01T00:00:00Z"},{"id":2,"updated":"2026-01-02T00:00:00Z"}]"#,
    );
    job = job.page(
        200,
        r#"[{"id":2,"updated":"2026-01-03T00:00:00Z"},{"id":3,"updated":"2026-01-03T00:00:00Z"}]"#,
    );

    let run = job.run();

    run.exits(Outcome::Published).publishes(&json!([
        {"id": 1, "updated": "2026-01-01T00:00:00Z"},
        {"id": 2, "updated": "2026-01-03T00:00:00Z"},
        {"id": 3, "updated": "2026-01-03T00:00:00Z"},
    ]));
    assert_eq!(
        run.requests[0].query("since").as_deref(),
        Some("2026-01-01T23:55:00Z")
    );
    assert_eq!(run.manifest()["cursor"], "2026-01-03T00:00:00Z");
}

#[test]
fn pages_are_followed_to_the_last() {
    let run = Job::new()
        .set("SOURCE_PAGINATION", "link")
        .reply(Reply::new(200, ONE).next("{server}/items?page=2"))
        .page(200, r#"[{"id":2}]"#)
        .run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"id": 1}, {"id": 2}]));
    assert_eq!(run.requests[1].target, "/items?page=2");
}

#[test]
fn a_dry_run_does_everything_but_publish() {
    let run = Job::new().old(ONE).page(200, TWO).args(["--dry-run"]).run();

    run.exits(Outcome::DryRun).publishes_nothing().asked(1);
    assert_eq!(run.summary()["dry_run"], true);
}

#[test]
fn output_json_leaves_stdout_to_the_summary() {
    let run = Job::new().page(200, ONE).args(["--output", "json"]).run();

    run.exits(Outcome::Published);
    assert_eq!(run.stdout.lines().count(), 1, "{}", run.stdout);
}

#[test]
fn the_demo_syncs_three_times() {
    let job = Job::new();
    let folder = job.beside("demo").display().to_string();

    let printed = job.tidegate(["demo", "--dir", &folder]);

    printed
        .exits(0)
        .stdout_has("exit 0: 6 pages and 297 records fetched, 297 published")
        .stdout_has("exit 0: 1 page and 8 records fetched, 298 published");
    let latest = std::fs::read_to_string(job.beside("demo/data/latest.json")).unwrap();
    assert!(
        serde_json::from_str::<Vec<serde_json::Value>>(&latest)
            .unwrap()
            .len()
            > 100
    );
}

#[test]
fn wrong_usage_is_64() {
    let job = Job::new();

    job.tidegate(["run", "--no-such-flag"])
        .exits(64)
        .stderr_has("--no-such-flag");
    job.tidegate(["walk"]).exits(64).stderr_has("walk");
    job.tidegate([]).exits(64);
}

#[test]
fn help_and_version_are_no_error() {
    let job = Job::new();

    job.tidegate(["--help"]).exits(0).stdout_has("Examples:");
    job.tidegate(["run", "--help"])
        .exits(0)
        .stdout_has("--full-refresh");
    job.tidegate(["--version"])
        .exits(0)
        .stdout_has(env!("CARGO_PKG_VERSION"));
}

#[test]
fn fewer_records_than_min_records_are_65() {
    let run = Job::new()
        .old(TWO)
        .page(200, ONE)
        .set("MIN_RECORDS", "2")
        .run();

    run.exits(Outcome::GateRefused).stderr_has("MIN_RECORDS");
    run.publishes_nothing();
}

#[test]
fn a_set_that_shrank_too_much_is_65() {
    let run = Job::new()
        .old(r#"[{"id":1},{"id":2},{"id":3}]"#)
        .page(200, ONE)
        .run();

    run.exits(Outcome::GateRefused)
        .stderr_has("MAX_SHRINK_PERCENT");
    run.publishes_nothing().stderr_has("--allow-shrink");
}

#[test]
fn a_set_may_shrink_when_it_is_allowed_once() {
    let mut job = Job::new()
        .old(r#"[{"id":1},{"id":2},{"id":3}]"#)
        .page(200, ONE);
    job = job.args(["--allow-shrink"]);

    job.run()
        .exits(Outcome::Published)
        .publishes(&json!([{"id": 1}]));
}

#[test]
fn an_empty_answer_after_a_full_one_is_65() {
    let run = Job::new().old(TWO).page(200, "[]").run();

    run.exits(Outcome::GateRefused);
    run.publishes_nothing();
}

#[test]
fn more_rejected_records_than_allowed_are_65() {
    let run = Job::misbehaving("reject-one").old(ONE).run();

    run.exits(Outcome::GateRefused).stderr_has("MAX_REJECTED");
    run.publishes_nothing();
}

#[test]
fn rejected_records_within_the_limit_are_set_aside() {
    let run = Job::misbehaving("reject-one")
        .set("MAX_REJECTED", "50%")
        .run();

    run.exits(Outcome::Published).publishes(&json!([{"id": 1}]));
    assert_eq!(run.summary()["rejected"], 1);
    assert!(
        run.after
            .file("current/rejected.ndjson")
            .is_some_and(|text| text.contains("no id"))
    );
}

#[test]
fn a_record_that_is_no_object_is_65() {
    let run = Job::new().old(ONE).page(200, r#"[{"id":1},2]"#).run();

    run.exits(Outcome::GateRefused)
        .publishes_nothing()
        .stderr_has("page 1");
}

#[test]
fn a_record_without_its_key_is_65() {
    let run = Job::new()
        .set("PRIMARY_KEY", "/id")
        .old(ONE)
        .page(200, r#"[{"id":1},{"name":"x"}]"#)
        .run();

    run.exits(Outcome::GateRefused)
        .publishes_nothing()
        .stderr_has("/id");
}

#[test]
fn a_record_without_its_cursor_is_65() {
    let run = Job::upsert().page(200, r#"[{"id":1}]"#).run();

    run.exits(Outcome::GateRefused)
        .publishes_nothing()
        .stderr_has("/updated");
}

#[test]
fn a_missing_setting_is_78_before_any_request() {
    let run = Job::new()
        .old(ONE)
        .then(|job| job.unset("SOURCE_API_URL"))
        .run();

    run.exits(Outcome::Settings)
        .asked(0)
        .publishes_nothing()
        .stderr_has("SOURCE_API_URL");
}

#[test]
fn an_unknown_setting_in_a_file_is_78_with_its_line() {
    let job = Job::new();
    let file = job.file("job.env", "# a job\nSOURCE_PAGNATION=link\n");

    let run = job.args(["--env-file", &file.display().to_string()]).run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("job.env:2")
        .stderr_has("`SOURCE_PAGINATION`");
}

#[test]
fn a_malformed_setting_is_78() {
    let run = Job::new().set("RUN_DEADLINE", "soon").run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("RUN_DEADLINE");
}

#[test]
fn a_changed_setting_that_shapes_the_data_is_78_under_upsert() {
    let run = Job::upsert()
        .old(r#"[{"id":1,"updated":"2026-01-01T00:00:00Z"}]"#)
        .then(|job| job.set("SOURCE_API_URL", "{server}/others"))
        .run();

    run.exits(Outcome::Settings)
        .asked(0)
        .publishes_nothing()
        .stderr_has("SOURCE_API_URL");
    run.stderr_has("--accept-change")
        .stderr_has("--full-refresh");
}

#[test]
fn a_missing_component_is_78() {
    let run = Job::new().args(["--component", "no-such.wasm"]).run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("no-such.wasm");
}

#[test]
fn a_component_of_another_digest_is_78() {
    let run = Job::new()
        .args(["--component-sha256", &"0".repeat(64)])
        .run();

    run.exits(Outcome::Settings).asked(0).stderr_has("sha256");
}

#[test]
fn a_component_larger_than_allowed_is_78_and_is_not_read() {
    let mut job = Job::new();
    let file = job.file("huge.wasm", "\0asm").display().to_string();
    let sparse = std::fs::File::options().write(true).open(&file).unwrap();
    sparse.set_len(65 << 20).unwrap();
    job = job.args(["--component", &file]);

    job.run()
        .exits(Outcome::Settings)
        .asked(0)
        .stderr_has("64 MiB");
}

#[test]
fn a_file_that_is_no_component_is_78() {
    let mut job = Job::new();
    let file = job.file("page.wasm", "<html>").display().to_string();
    job = job.args(["--component", &file]);

    job.run().exits(Outcome::Settings).asked(0);
}

#[test]
fn the_readme_lists_the_exit_codes_that_there_are() {
    let readme = include_str!("../../README.md");
    let section = readme
        .split_once("\n## Exit codes")
        .expect("README has a section `## Exit codes`")
        .1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.split('|').next());
    let mut listed: Vec<u8> = rows
        .flat_map(|cell| cell.split(['/', ',']))
        .filter_map(|code| code.trim().trim_matches('`').parse().ok())
        .collect();
    let mut all: Vec<u8> = Outcome::ALL
        .iter()
        .map(|outcome| outcome.exit_code())
        .collect();
    for codes in [&mut listed, &mut all] {
        codes.sort_unstable();
        codes.dedup();
    }

    assert_eq!(
        listed, all,
        "the first column of the table in README's section `## Exit codes`"
    );
}
