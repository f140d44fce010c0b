//! Records that were set aside: kept beside what was published, or beside what was not.

use std::os::unix::fs::PermissionsExt as _;

use tidegate::outcome::Outcome;

use crate::world::Job;

const LINES: &str = r#"{"reason":"no \"id\"","pointer":"/items/3","record":{"a":1}}
{"reason":"too deep","pointer":"/items/4","record":"[[["}
"#;

/// A run of two records and two that are set aside.
fn rejecting() -> Job {
    Job::misbehaving("stage-as-told")
        .set("WRITE_MODE", "upsert")
        .set("SOURCE_CHANGES", "yes")
        .set("PRIMARY_KEY", "/id")
        .set("SOURCE_STAGE_RECORDS", "{\"id\":1}\n{\"id\":2}\n")
        .set("SOURCE_STAGE_REJECTED", LINES)
}

#[test]
fn what_a_gate_refused_is_kept_for_its_owner_and_told_of() {
    let mut job = rejecting();
    let file = job.output().join("refused.ndjson");

    let run = job.run();

    run.exits(Outcome::GateRefused)
        .publishes_nothing()
        .stderr_has(
            "2 records rejected, and `MAX_REJECTED` is 0; the first: no \"id\" at `/items/3`",
        )
        .stderr_has("; the 2 rejected records are kept in `")
        .stderr_has("/refused.ndjson`");
    assert_eq!(run.summary()["rejected"], 2);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), LINES);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn a_run_that_gets_past_its_gates_removes_it_and_no_other_does() {
    let mut job = rejecting();
    let file = job.output().join("refused.ndjson");
    job.run().exits(Outcome::GateRefused);

    let one = LINES.lines().next_back().unwrap().to_owned() + "\n";
    let mut job = job.set("SOURCE_STAGE_REJECTED", &one);
    let again = job.run();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), one);
    let mut job = job.set("MAX_REJECTED", "1").args(["--dry-run"]);
    let dry = job.run();
    assert!(file.exists(), "a dry run changes nothing");
    let published = job.without_arg("--dry-run").run();

    again
        .exits(Outcome::GateRefused)
        .stderr_has("the rejected record is kept in `");
    dry.exits(Outcome::DryRun);
    published.exits(Outcome::Published);
    assert!(!file.exists());
    assert_eq!(published.after.file("current/rejected.ndjson"), Some(&*one));
}

#[test]
fn another_gates_refusal_keeps_them_too_and_one_without_any_names_no_file() {
    let mut job = rejecting().set("MAX_REJECTED", "2").set("MIN_RECORDS", "3");

    let with = job.run();
    let without = job.unset("SOURCE_STAGE_REJECTED").run();

    with.exits(Outcome::GateRefused)
        .stderr_has("`MIN_RECORDS` is 3; the 2 rejected records are kept in `");
    without.exits(Outcome::GateRefused);
    assert!(
        !without.stderr.contains("refused.ndjson"),
        "{}",
        without.stderr
    );
}

#[test]
fn a_name_that_is_taken_by_a_folder_is_a_warning_and_the_refusal_stands() {
    let mut job = rejecting();
    std::fs::create_dir_all(job.output().join("refused.ndjson/x")).unwrap();

    let run = job.run();

    run.exits(Outcome::GateRefused).stderr_has("MAX_REJECTED");
    assert!(!run.stderr.contains("kept in"), "{}", run.stderr);
    assert_eq!(run.events("rejected records not kept").len(), 1);
}

#[test]
fn a_reason_cannot_steer_a_terminal_or_fill_a_mail() {
    let reason = format!("\\u001b[2J{}", "x".repeat(4_000));
    let line = format!("{{\"reason\":\"{reason}\",\"pointer\":\"\",\"record\":0}}\n");

    let run = rejecting().set("SOURCE_STAGE_REJECTED", &line).run();

    run.exits(Outcome::GateRefused).stderr_has("\\u001b[2Jxxx");
    assert!(run.stderr.len() < 1_000, "{}", run.stderr);
}

#[test]
fn a_line_that_is_no_rejection_breaks_the_contract() {
    let run = rejecting()
        .set(
            "SOURCE_STAGE_REJECTED",
            "{\"reason\":\"r\",\"record\":{}}\n",
        )
        .run();

    run.exits(Outcome::ComponentFailed)
        .publishes_nothing()
        .stderr_has("missing field `pointer`");
}

#[test]
fn records_on_which_a_transform_does_not_end_end_the_run() {
    let records: Vec<_> = (0..12).map(|id| format!("{{\"id\":{id}}}")).collect();

    let run = Job::new()
        .set("TRANSFORM", "last(repeat(.))")
        .set("MAX_REJECTED", "1000")
        .page(200, &format!("[{}]", records.join(",")))
        .run();

    run.exits(Outcome::GateRefused)
        .publishes_nothing()
        .stderr_has("record `/0`: TRANSFORM: takes more than 5000000 steps")
        .stderr_has("so do 9 more records");
}
