//! `help`, `completions` and `man`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::world::Job;

#[test]
fn help_lists_the_commands_and_the_topics() {
    let printed = Job::new().tidegate(["help"]);

    printed
        .exits(0)
        .stdout_has("Examples:")
        .stdout_has("  run  ");
    printed.stdout_has("Topics of `tidegate help TOPIC`:\n  exit-codes  a run failed");
}

#[test]
fn help_of_a_topic_is_its_page() {
    let job = Job::new();

    job.tidegate(["help", "exit-codes"])
        .exits(0)
        .stdout_has("\n75: try again later\n-------------------\n");
    job.tidegate(["help", "settings"])
        .exits(0)
        .stdout_has("\nSOURCE_API_URL (required)\n    URL of the first request, query included\n");
    job.tidegate(["help", "cron"])
        .exits(0)
        .stdout_has("    MAILTO=team@example.com\n")
        .stdout_has("    OnCalendar=");
}

#[test]
fn help_of_a_command_is_its_help() {
    let job = Job::new();

    let printed = job.tidegate(["help", "run"]);

    printed.exits(0);
    assert_eq!(printed.stdout, job.tidegate(["run", "--help"]).stdout);
}

#[test]
fn help_and_man_of_nothing_known_are_64() {
    let job = Job::new();

    job.tidegate(["help", "walk"])
        .exits(64)
        .stderr_has("no help for `walk`");
    job.tidegate(["man", "walk"])
        .exits(64)
        .stderr_has("no manual page for `walk`");
    job.tidegate(["completions", "cmd"]).exits(64);
}

#[test]
fn help_fits_a_terminal() {
    let job = Job::new();
    let commands = [
        "run",
        "check",
        "preview",
        "describe",
        "inspect",
        "test",
        "kubernetes",
        "health",
        "component",
        "demo",
    ];
    for command in
        commands
            .iter()
            .chain(&["help", "completions", "man", "convert", "compile", "wit"])
    {
        let printed = job.tidegate(["help", command]);
        let wide = printed
            .stdout
            .lines()
            .filter(|line| line.chars().count() > 80);

        printed.exits(0);
        assert_eq!(wide.collect::<Vec<_>>(), [""; 0], "{command}");
    }
}

#[test]
fn completions_are_scripts_that_know_the_commands() {
    let job = Job::new();
    for shell in ["bash", "zsh", "fish"] {
        let printed = job.tidegate(["completions", shell]);

        printed
            .exits(0)
            .stdout_has("full-refresh")
            .stdout_has("health");
    }
    let bash = job.tidegate(["completions", "bash"]).stdout;
    let mut shell = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .spawn()
        .expect("start bash");
    let stdin = shell.stdin.take();
    stdin
        .expect("a pipe")
        .write_all(bash.as_bytes())
        .expect("hand it over");
    assert!(shell.wait().expect("bash ends").success());
}

#[test]
fn man_is_a_page_of_tidegate_or_of_a_command() {
    let job = Job::new();

    job.tidegate(["man"])
        .exits(0)
        .stdout_has(".TH tidegate 1")
        .stdout_has("tidegate\\-health(1)");
    job.tidegate(["man", "run"])
        .exits(0)
        .stdout_has(".TH tidegate-run 1")
        .stdout_has("full\\-refresh");
}
