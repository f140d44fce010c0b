//! Secrets that a program prints: started without a shell, with PATH, HOME and what is named, and never by `describe`.
//!
//! What it prints is `Job::key`, which must be nowhere: that is checked after every run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tidegate::outcome::Outcome;

use super::{ONE, bearer};
use crate::world::Job;

/// A job whose key is printed by this script, and the script, which writes a line into `started` beside it.
fn printed_by(script: &str) -> (Job, PathBuf) {
    let job = Job::new().unset("SOURCE_API_KEY");
    let started = job.beside("started").display().to_string();
    let text = format!("#!/bin/sh\necho x >> {started}\n{script}\n");
    let program = job.file("secret-of", &text.replace("KEY", &job.key));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let command = format!("{} 'one word' $HOME", program.display());
    (job.set("SOURCE_API_KEY_COMMAND", &command), program)
}

fn starts(job: &Job) -> usize {
    let text = fs::read_to_string(job.beside("started"));
    text.map_or(0, |text| text.lines().count())
}

#[test]
fn a_program_prints_the_key_once_a_run_and_once_a_check() {
    let (job, _) = printed_by("[ \"$1\" = 'one word' ] && [ \"$2\" = '$HOME' ] && echo KEY");
    let mut job = job.page(200, ONE);

    let run = job.run();

    run.exits(Outcome::Published);
    assert_eq!(bearer(&run.requests[0]), job.key);
    assert_eq!(starts(&job), 1);
    job.tidegate(["check"])
        .exits(0)
        .stdout_has("command /")
        .stdout_has("(secret)");
    assert_eq!(starts(&job), 2);
}

#[test]
fn nothing_else_starts_it() {
    let (mut job, _) = printed_by("echo KEY");
    job = job.page(200, ONE);
    job.run().exits(Outcome::Published);

    job.tidegate(["describe"]).exits(0);
    job.tidegate(["health"]).exits(0);

    assert_eq!(starts(&job), 1);
}

#[test]
fn its_environment_is_path_home_and_what_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("environment");
    let script = format!("env | sort | sed 's/=.*//' >{}; exit 1", seen.display());
    let (job, _) = printed_by(&script);
    let mut job = job
        .set("HOME", "/nonexistent")
        .set("PATH", "/usr/bin:/bin")
        .set("VAULT_TOKEN", "a-vault-token")
        .set("OTHER", "x")
        .set("COMMAND_ENVIRONMENT", "VAULT_TOKEN,NOT_THERE");

    let run = job.run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("SOURCE_API_KEY_COMMAND gives no secret")
        .stderr_has("exit status: 1");
    let names = fs::read_to_string(seen).unwrap();
    assert_eq!(names, "HOME\nPATH\nPWD\nVAULT_TOKEN\n");
}

#[test]
fn a_program_that_fails_or_prints_nothing_is_78_and_what_it_printed_is_not_shown() {
    for (script, told) in [
        (
            "echo KEY; echo sealed >&2; exit 2",
            "exit status: 2; run it by hand",
        ),
        ("true", "printed nothing"),
        ("head -c 100000 /dev/zero", "printed more than 64 KiB"),
    ] {
        let (mut job, _) = printed_by(script);

        let run = job.run();

        run.exits(Outcome::Settings).asked(0).stderr_has(told);
        assert!(!run.stderr.contains("sealed"), "{}", run.stderr);
    }
    let mut job = Job::new()
        .unset("SOURCE_API_KEY")
        .set("SOURCE_API_KEY_COMMAND", "/nowhere/vault kv get");
    job.run()
        .exits(Outcome::Settings)
        .stderr_has("cannot be started");
}

#[test]
fn one_place_gives_a_secret() {
    let (job, _) = printed_by("echo KEY");
    let file = job.file("key", "a-key-in-a-file").display().to_string();
    for (name, value) in [("SOURCE_API_KEY", "a-key"), ("SOURCE_API_KEY_FILE", &*file)] {
        let (job, _) = printed_by("echo KEY");
        let mut job = job.set(name, value);

        job.run()
            .exits(Outcome::Settings)
            .stderr_has("and so is SOURCE_API_KEY_COMMAND: unset one of the two");
        assert_eq!(starts(&job), 0);
    }
}

#[test]
fn a_job_file_has_it_as_a_list() {
    let (job, program) = printed_by("[ \"$1\" = 'a \"b\" c' ] && echo KEY");
    let mut job = job.unset("SOURCE_API_KEY_COMMAND").page(200, ONE);
    let text = format!(
        "[source]\nsource_api_key_command = [\"{}\", 'a \"b\" c']\n",
        program.display()
    );
    let file = job.file("job.toml", &text).display().to_string();
    job = job.args([&*file]);

    let run = job.run();

    run.exits(Outcome::Published);
    assert_eq!(bearer(&run.requests[0]), job.key);
}
