//! What README shows at a prompt is what happens, and what it tells to run is what is run.

use std::path::Path;

use tidegate::outcome::Outcome;

use crate::world::Job;

const README: &str = include_str!("../../README.md");
const RUN: &str = include_str!("../run.sh");

/// The first block of code after this text.
pub fn block_after(text: &str) -> &'static str {
    let (_, after) = README
        .split_once(text)
        .unwrap_or_else(|| panic!("README says `{text}`"));
    let (_, block) = after.split_once("```").expect("a block follows");
    let (_, block) = block.split_once('\n').expect("it begins on its own line");
    block.split_once("```").expect("it ends").0
}

#[test]
fn the_console_blocks_show_what_happens() {
    trycmd::TestCases::new()
        .register_bin("tidegate", Path::new(env!("CARGO_BIN_EXE_tidegate")))
        // Where the machine has these, every run would warn of them.
        .env("SSL_CERT_FILE", "")
        .env("SSL_CERT_DIR", "")
        .case("../README.md");
}

#[test]
fn the_steps_to_work_by_are_those_of_the_tests() {
    let (_, steps) = RUN.split_once("\n}\n").expect("run.sh defines `step`");
    // Whatever else stands there does not look like this: a new step has to be told here.
    let steps: Vec<&str> = steps
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("echo"))
        .map(|line| line.strip_prefix("step ").unwrap_or(line))
        .collect();

    let told: Vec<&str> = block_after("## Working on it").lines().collect();

    assert!(steps.len() > 5, "{steps:?}");
    assert_eq!(told, steps);
}

#[test]
fn the_whole_job_has_no_mistake() {
    let job = Job::new();
    let file = job.file("orders.env", block_after("A whole job:"));

    let printed = job.tidegate(["check", "--env-file", &file.display().to_string()]);

    printed.exits(0).stdout_has("no problem found");
}

#[test]
fn the_csv_file_is_the_one_that_is_shown() {
    let (_, records) = README
        .split_once("the records `")
        .expect("records are shown");
    let (first, after) = records.split_once("` and `").expect("two of them");
    let (second, after) = after.split_once('`').expect("it ends");
    let (_, shown) = after.split_once("```text\n").expect("a file follows");
    let (shown, _) = shown.split_once("```").expect("it ends");
    let mut job = Job::new()
        .set("OUTPUT_FORMAT", "csv")
        .set("OUTPUT_CSV_FORMULAS", "escape")
        .page(200, &format!("[{first},{second}]"));

    job.run().exits(Outcome::Published);

    let written = std::fs::read_to_string(job.output().join("latest.csv")).expect("a file");
    assert_eq!(written, shown.replace('\n', "\r\n"));
}

#[test]
fn the_timeout_of_systemd_stands_behind_the_deadline() {
    let minutes = |text: &str, end: &str| -> u64 {
        let (_, after) = README
            .split_once(text)
            .unwrap_or_else(|| panic!("README says `{text}`"));
        let (number, _) = after.split_once(end).expect("a number of minutes");
        number.parse().expect("a whole number")
    };

    let timeout = minutes("TimeoutStartSec=", "min");
    let deadline = minutes("| Maximum duration of a run | `", "m`");

    assert!(timeout > deadline, "{timeout} and {deadline} minutes");
}

#[test]
fn the_cron_job_is_one_to_kubernetes() {
    let job = Job::new();
    let manifest = job.file("cronjob.yaml", block_after("As a Kubernetes CronJob"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let validator = root.join("target/kubernetes-validate/bin/kubernetes-validate");

    let ended = std::process::Command::new(&validator)
        .arg("--strict")
        .arg(&manifest)
        .output()
        .expect("kubernetes-validate: run tests/tools.sh");

    let said = String::from_utf8_lossy(&ended.stdout).into_owned()
        + &String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
}

#[test]
fn the_deadline_of_the_cron_job_stands_behind_the_runs_own() {
    let job = block_after("As a Kubernetes CronJob");
    let number = |before: &str, end: &str| -> u64 {
        let (_, after) = job
            .split_once(before)
            .unwrap_or_else(|| panic!("it says `{before}`"));
        let (number, _) = after.split_once(end).expect("a number");
        number.parse().expect("a whole number")
    };

    assert!(number("activeDeadlineSeconds: ", "\n") > 60 * number("RUN_DEADLINE, value: ", "m}"));
}
