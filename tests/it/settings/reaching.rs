//! What a component gets of its settings is what `check` shows of them.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate::outcome::Outcome;

use crate::world::{Job, Printed, Run, guests};

type Values = BTreeMap<String, String>;

/// What the component declares and a test gives.
const DECLARED: [&str; 6] = [
    "SOURCE_TRY",
    "SOURCE_REGION",
    "REGION",
    "SOURCE_NOTE",
    "MAX_RETRIES",
    "MAX_PAGES",
];
/// The same, where it declares settings of the host too.
const HOSTS: [&str; 11] = [
    "SOURCE_TRY",
    "SOURCE_REGION",
    "REGION",
    "SOURCE_NOTE",
    "MAX_RETRIES",
    "MAX_PAGES",
    "OUTPUT_DIR",
    "JOB_NAME",
    "OUTPUT_TABLE",
    "OUTPUT_DATABASE_URL",
    "MIN_RECORDS",
];

/// What a component that publishes its environment got.
fn got(run: &Run) -> Values {
    got_of(run, &DECLARED)
}

fn got_of(run: &Run, names: &[&str]) -> Values {
    run.exits(Outcome::Published);
    let records = run.after.records().into_iter().map(|record| {
        let record: Value = serde_json::from_str(&record).unwrap();
        let of = |name: &str| record[name].as_str().unwrap().to_owned();
        (of("id"), of("value"))
    });
    named(records, names)
}

/// What `check` shows.
fn shown(printed: &Printed) -> Values {
    shown_of(printed, &DECLARED)
}

fn shown_of(printed: &Printed, names: &[&str]) -> Values {
    let lines = printed.exits(0).stdout.lines();
    // What the host alone has follows in rows of its own.
    let lines = lines.filter(|line| !line.ends_with(", for the host alone"));
    let all = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    });
    named(all, names)
}

fn named(all: impl Iterator<Item = (String, String)>, names: &[&str]) -> Values {
    all.filter(|(name, _)| names.contains(&name.as_str()))
        .collect()
}

fn values<const N: usize>(all: [(&str, &str); N]) -> Values {
    let all = all.map(|(name, value)| (name.to_owned(), value.to_owned()));
    all.into_iter().collect()
}

/// A job of the component that publishes its environment, and an env file and a job file that say so.
fn job() -> Job {
    let component = guests::satisfied().display().to_string();
    let job = Job::new()
        .unset("MAX_RETRIES")
        .set("REGION", "from-the-environment")
        .set("SOURCE_NOTE", "from-the-environment")
        .set("ALLOW_ENVIRONMENT", "REGION");
    job.file(
        "orders.env",
        "SOURCE_TRY=environment\nWRITE_MODE=replace\nSOURCE_NOTE=from-the-file\n",
    );
    job.file(
        "orders.toml",
        &format!(
            "component = {{ path = \"{component}\" }}\n[source]\nsource_try = \"environment\"\nsource_region = \"us\"\n\
             [output]\nwrite_mode = \"replace\"\n"
        ),
    );
    job
}

#[test]
fn defaults_an_env_file_and_granted_variables_reach_it_as_shown() {
    let component = guests::satisfied().display().to_string();
    let mut job = job().args(["--env-file", "orders.env", "--component", &component]);

    let run = job.run();
    let words = [
        "check",
        "--env-file",
        "orders.env",
        "--component",
        &component,
    ];
    let checked = job.tidegate(words);

    assert_eq!(
        got(&run),
        values([
            ("SOURCE_TRY", "environment"),
            ("SOURCE_REGION", "eu"),
            ("REGION", "from-the-environment"),
            ("SOURCE_NOTE", "from-the-file"),
            ("MAX_RETRIES", "3"),
            ("MAX_PAGES", "100"),
        ])
    );
    assert_eq!(shown(&checked), got(&run));
}

#[test]
fn a_job_file_reaches_it_as_shown_and_a_variable_that_is_not_granted_does_not() {
    let mut job = job().args(["orders.toml"]);

    let run = job.run();
    let checked = job.tidegate(["check", "orders.toml"]);

    assert_eq!(
        got(&run),
        values([
            ("SOURCE_TRY", "environment"),
            ("SOURCE_REGION", "us"),
            ("REGION", "from-the-environment"),
            ("MAX_RETRIES", "3"),
            ("MAX_PAGES", "100"),
        ])
    );
    assert_eq!(shown(&checked), got(&run));
    checked.stdout_has("not given to the component: SOURCE_NOTE;");
}

#[test]
fn what_the_host_has_of_the_environment_reaches_it_only_where_it_is_granted() {
    let component = guests::satisfied_but("hosts").display().to_string();
    let words = ["--set", "WRITE_MODE=replace", "--component", &component];
    let mut job = Job::new()
        .set("SOURCE_TRY", "environment")
        .set("ALLOW_ENVIRONMENT", "SOURCE_TRY")
        .set("JOB_NAME", "from-the-environment")
        .set("MAX_RETRIES", "7")
        .set("MIN_RECORDS", "1")
        .args(words);

    let run = job.run();
    let checked = job.tidegate_with(&[&["check"], &words[..]].concat());
    let mut job = job.set("ALLOW_ENVIRONMENT", "SOURCE_TRY,JOB_NAME,MAX_RETRIES");
    let granted = job.run();

    assert_eq!(
        got_of(&run, &HOSTS),
        values([
            ("SOURCE_TRY", "environment"),
            ("SOURCE_REGION", "eu"),
            ("MAX_RETRIES", "3"),
            ("MAX_PAGES", "100"),
            ("OUTPUT_DIR", "/data/sync"),
            ("MIN_RECORDS", "0"),
        ])
    );
    assert_eq!(shown_of(&checked, &HOSTS), got_of(&run, &HOSTS));
    for (name, own, hosts) in [("MAX_RETRIES", "3", "7"), ("MIN_RECORDS", "0", "1")] {
        checked
            .stdout_has(&format!("{name:<24} {own:<40} default\n"))
            .stdout_has(&format!(
                "{name:<24} {hosts:<40} environment, for the host alone\n"
            ));
    }
    let granted = got_of(&granted, &HOSTS);
    assert_eq!(granted["JOB_NAME"], "from-the-environment");
    assert_eq!(granted["MAX_RETRIES"], "7");
}

#[test]
fn what_a_policy_lowers_reaches_it_as_shown() {
    let job = job().unset("SOURCE_API_KEY");
    let folder = job.beside("").display().to_string();
    let folder = folder.trim_end_matches('/');
    job.file(
        "policy.toml",
        &format!(
            "[tenant.acme]\norigins = [\"{{server}}\"]\nprivate_networks = true\noutput_folders = [\"{folder}\"]\n\
             components = [\"{folder}\", \"{}\"]\nenvironment = [\"REGION\"]\n[tenant.acme.limits]\nmax_retries = 1\nmax_pages = 7\n",
            guests::satisfied().parent().unwrap().display()
        ),
    );
    let mut job = job.args(["orders.toml", "--policy", "policy.toml", "--tenant", "acme"]);

    let run = job.run();
    let words = [
        "check",
        "orders.toml",
        "--policy",
        "policy.toml",
        "--tenant",
        "acme",
    ];
    let checked = job.tidegate(words);

    let lowered = got(&run);
    assert_eq!(lowered["MAX_RETRIES"], "1");
    assert_eq!(lowered["MAX_PAGES"], "7");
    let mut all = shown(&checked);
    // The policy's own table repeats these names after them, with what was asked.
    all.insert("MAX_RETRIES".to_owned(), first(&checked, "MAX_RETRIES"));
    all.insert("MAX_PAGES".to_owned(), first(&checked, "MAX_PAGES"));
    assert_eq!(all, lowered);
}

/// The value in the first line that begins with this name.
fn first(printed: &Printed, name: &str) -> String {
    let mut lines = printed.stdout.lines();
    let line = lines.find(|line| line.starts_with(&format!("{name} ")));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    value.unwrap_or_default().to_owned()
}

#[test]
fn secrets_that_the_host_does_not_send_are_refused_by_check_with_the_reason() {
    let component = guests::satisfied_but("keys").display().to_string();
    let job = job().set("API_TOKEN", "value-of-a-secret");

    let words = [
        "check",
        "--env-file",
        "orders.env",
        "--component",
        &component,
    ];
    let checked = job.tidegate(words);

    checked
        .exits(78)
        .stdout_has("API_TOKEN is declared as a secret by this component")
        .stdout_has("OUTPUT_DATABASE_PASSWORD is declared as a secret by this component");
    assert!(!checked.stdout.contains("SOURCE_API_KEY is declared"));
    assert!(!checked.stdout.contains("value-of-a-secret"));
}
