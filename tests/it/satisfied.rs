//! The world `satisfied`: what toolchains import is there, and grants nothing.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::world::{Job, guests};

fn trying(what: &str) -> Job {
    Job::new()
        .component(guests::satisfied())
        .set("SOURCE_TRY", what)
}

#[test]
fn stdin_is_at_its_end_terminals_are_none_sockets_are_refused_and_random_numbers_are_random() {
    let run = trying("").run();

    run.exits(Outcome::Published).asked(0);
    let record: Value = serde_json::from_str(&run.after.records()[0]).unwrap();
    assert_eq!(
        record,
        json!({
            "id": 1,
            "stdin": "at its end",
            "terminals": [false, false, false],
            "bytes": 32,
            "mostly_zeros": false,
            "numbers": 4,
            "tcp": "access-denied",
            "udp": "access-denied",
            "name": "access-denied",
        })
    );
    for stream in ["stdout", "stderr"] {
        let said = format!("said on {stream}");
        let lines = run.stdout.lines().filter(|line| line.contains(&said));
        let lines: Vec<&str> = lines.collect();
        assert!(
            lines.len() == 1 && lines[0].contains("\"warn\""),
            "{lines:?}"
        );
    }
}

#[test]
fn all_of_it_is_imported_and_inspect_says_which_list_each_is_in() {
    let file = guests::satisfied().display().to_string();

    let text = Job::new().tidegate(["inspect", &file]);
    let json = Job::new().tidegate(["inspect", &file, "--output", "json"]);

    text.exits(0)
        .stdout_has("\nImports: 24\n")
        .stdout_has("\n  available      wasi:cli/environment@0.2.12\n")
        .stdout_has("\n  grants nothing wasi:sockets/tcp-create-socket@0.2.12\n");
    let json: Value = serde_json::from_str(&json.exits(0).stdout).unwrap();
    let imports = json["imports"].as_array().unwrap();
    let of = |list: &str| {
        imports
            .iter()
            .filter(|import| import["list"] == list)
            .count()
    };
    assert_eq!((of("connector"), of("satisfied")), (6, 18));
    assert!(imports.iter().all(|import| import["available"] == true));
}

#[test]
fn whoever_exits_in_place_of_returning_ends_the_run_with_70() {
    for (what, code) in [("exit-ok", 0), ("exit-failed", 1), ("exit-7", 7)] {
        let run = trying(what).run();

        run.exits(Outcome::ComponentFailed)
            .publishes_nothing()
            .stderr_has(&format!(
                "exit 70: the component exited ({code}) in place of returning"
            ));
    }
}

#[test]
fn an_exit_in_describe_is_70_too() {
    let run = Job::new().component(&guests::satisfied_but("exit")).run();

    run.exits(Outcome::ComponentFailed)
        .publishes_nothing()
        .stderr_has("exit 70: the component exited (0) in place of returning");
}

#[test]
fn random_numbers_end_at_their_limits() {
    for (what, limit) in [
        (
            "random-at-once",
            "more than 1 MiB of random numbers in one call",
        ),
        ("random-without-end", "more than 64 MiB of random numbers"),
        (
            "random-numbers-without-end",
            "more than 64 MiB of random numbers",
        ),
    ] {
        let run = trying(what).run();

        run.exits(Outcome::ComponentFailed)
            .publishes_nothing()
            .stderr_has(limit);
    }
}

#[test]
fn a_flood_on_stdout_is_cut_as_one_on_stderr() {
    let run = trying("flood-stdout").run();

    run.exits(Outcome::Published);
    assert!(run.events("component").len() <= 10_000);
    assert_eq!(run.events("component log cut").len(), 1);
}
