//! What the component alone is given: settings, files that they name, folders.

use std::fs;
use std::path::Path;
use std::process::Command;

use tidegate::settings::catalogue::{self, Group};

use super::{TWO, TWO_LINES, files, only, run, run_in};
use crate::server::{Reply, Server};

/// The settings of the host's catalogue that do something without it; `docs/component-elsewhere.md` has them.
const WORK: [&str; 15] = [
    "ALLOW_HOSTS",
    "LOG_LEVEL",
    "MAX_RECORD_BYTES",
    "MAX_REJECTED",
    "MAX_RESPONSE_BYTES",
    "MAX_RETRIES",
    "MAX_SHRINK_PERCENT",
    "MIN_RECORDS",
    "OUTPUT_DIR",
    "OUTPUT_FORMAT",
    "PRIMARY_KEY",
    "RETRY_PAUSE",
    "RUN_DEADLINE",
    "SOURCE_TIMEOUT",
    "WRITE_MODE",
];

#[test]
fn alone_every_setting_works_or_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, value: &str| {
        // No request is made: the URL is a problem, too.
        let ended = run(
            folder.path(),
            &[("SOURCE_API_URL", "ftp://x"), (name, value)],
        );
        ended.exits(78, "SOURCE_API_URL: ");
        ended.log.contains(&format!("; {name}: "))
    };
    // Those of OpenTelemetry are there for every program, and turn nothing on by themselves.
    let others = catalogue::ALL
        .iter()
        .filter(|row| !row.described_by_component && row.group != Group::Traces);

    for row in others.clone().filter(|row| !WORK.contains(&row.name)) {
        let value = [row.example, row.default, "x"];
        let value = value.into_iter().find(|value| !value.is_empty()).unwrap();
        assert!(
            refused(row.name, value),
            "{} = {value} does nothing, and nobody says so",
            row.name
        );
    }
    for name in WORK {
        assert!(others.clone().any(|row| row.name == name), "{name}");
        let page = crate::docs::text_of("docs/component-elsewhere.md");
        assert!(page.contains(name), "{name} is not in the page");
    }
}

#[test]
fn alone_a_setting_that_does_nothing_is_refused_with_all_others_before_any_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::new(200, TWO));

    let ended = run(
        folder.path(),
        &[
            ("SOURCE_API_URL", &*server.origin()),
            ("OUTPUT_DATABASE_URL", "sqlite:///data.db"),
            ("OUTPUT_FORMAT", "csv"),
            ("SOURCE_PAGINATON", "link"),
            ("KEEP_GENERATIONS", "5"),
            ("TRANSFORM", "{"),
        ],
    );

    for name in [
        "OUTPUT_DATABASE_URL",
        "OUTPUT_FORMAT",
        "SOURCE_PAGINATON",
        "KEEP_GENERATIONS",
        "TRANSFORM",
    ] {
        ended.exits(78, &format!("{name}: "));
    }
    ended.exits(78, "did you mean `SOURCE_PAGINATION`?");
    assert_eq!(server.seen().len(), 0);
    assert_eq!(files(folder.path()), []);
}

#[test]
fn alone_the_log_has_what_its_level_lets_through_and_always_the_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Reply::new(200, TWO));
    let url = server.origin();
    let log = |level: &str| {
        let ended = run(
            folder.path(),
            &[("SOURCE_API_URL", &*url), ("LOG_LEVEL", level)],
        );
        ended.exits(0, "wrote 2 records");
        ended.log
    };

    assert!(log("debug").contains("page 1"));
    for level in ["", "info", "warn", "error"] {
        assert_eq!(log(level), "exit 0: wrote 2 records to latest.ndjson\n");
    }
    run(
        folder.path(),
        &[("SOURCE_API_URL", &*url), ("LOG_LEVEL", "loud")],
    )
    .exits(78, "LOG_LEVEL: `loud` is not one of");
}

#[test]
fn alone_a_file_below_a_folder_of_the_runtime_holds_a_setting() {
    let (out, etc) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(|_| Reply::new(200, TWO));
    let url = server.origin();
    fs::write(etc.path().join("real-key"), "open-sesame\n").unwrap();
    std::os::unix::fs::symlink("real-key", etc.path().join("key")).unwrap();
    fs::write(out.path().join("program.jq"), "{id}\n").unwrap();
    let folders = [(out.path(), "/"), (etc.path(), "/etc/tidegate")];

    let ended = run_in(
        &folders,
        &[
            ("SOURCE_API_URL", &url),
            ("SOURCE_API_KEY_FILE", "/etc/tidegate/key"),
            ("TRANSFORM_FILE", "program.jq"),
        ],
    );

    ended.exits(0, "wrote 2 records");
    let seen = server.seen();
    assert_eq!(seen[0].header("authorization"), Some("Bearer open-sesame"));
    let latest = fs::read_to_string(out.path().join("latest.ndjson")).unwrap();
    assert_eq!(latest, "{\"id\":1}\n{\"id\":9007199254740993}\n");
}

#[test]
fn alone_a_file_that_cannot_be_read_is_refused_and_nothing_waits_for_it() {
    let (out, etc) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(|_| Reply::new(200, TWO));
    let url = server.origin();
    let pipe = etc.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let outside = out.path().parent().unwrap().join("outside");
    let outside = outside.display().to_string();
    let folders = [(out.path(), "/out"), (etc.path(), "/etc/tidegate")];

    for (path, why) in [
        ("/etc/tidegate/pipe", "it is not a regular file"),
        ("/etc/tidegate/none", "No such file"),
        ("/etc/tidegate/../secret", ""),
        ("../secret", ""),
        (
            "/etc/tidegate-2/key",
            "it is not below a folder that the runtime gave",
        ),
        (&*outside, "it is not below a folder that the runtime gave"),
    ] {
        let ended = run_in(
            &folders,
            &[("SOURCE_API_URL", &url), ("SOURCE_API_KEY_FILE", path)],
        );

        ended
            .exits(78, "SOURCE_API_KEY: names the file ")
            .exits(78, why);
    }
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn alone_the_root_of_a_system_is_no_folder_for_data() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let server = Server::start(|_| Reply::new(200, TWO));
    let url = server.origin();
    let environment = [("SOURCE_API_URL", &*url)];
    let run_as = |name: &str| run_in(&[(root.path(), name)], &environment);

    run_as("/").exits(73, "is the root of a system");
    assert_eq!(server.seen().len(), 0);
    assert!(!root.path().join("latest.ndjson").exists());

    // The same folder under a name is one that somebody chose.
    run_as("/out").exits(0, "wrote 2 records");
}

#[test]
fn alone_it_writes_where_output_dir_says_and_only_to_a_folder_of_the_runtime() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(|_| Reply::new(200, TWO));
    let url = server.origin();
    let folders = [(first.path(), "/config"), (second.path(), "/data/sync")];
    let run_with = |folder: &str| {
        run_in(
            &folders,
            &[("SOURCE_API_URL", &*url), ("OUTPUT_DIR", folder)],
        )
    };

    run_with("/data/sync/").exits(0, "wrote 2 records");
    run_with("/srv").exits(
        78,
        "OUTPUT_DIR: `/srv` is not a folder that the runtime gave",
    );
    run_in(&[], &[("SOURCE_API_URL", &*url)]).exits(73, "no folder to write to was given");

    assert_eq!(files(first.path()), []);
    assert_eq!(files(second.path()), only("latest.ndjson", TWO_LINES));
}

#[test]
fn alone_the_folder_of_the_host_is_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("generations")).unwrap();
    let server = Server::start(|_| Reply::new(200, TWO));

    let ended = run(folder.path(), &[("SOURCE_API_URL", &server.origin())]);

    ended.exits(73, "belongs to `tidegate run`");
    assert_eq!(names(folder.path()), ["generations"]);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}
