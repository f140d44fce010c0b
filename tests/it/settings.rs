//! Where settings come from, which one stands, and that every problem is told at once.

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::server::Reply;
use crate::world::Job;

/// Env files made into job files.
mod convert;
/// What a component given by path gets of the environment.
mod granted;
/// Settings in TOML.
mod job_file;
/// What a component gets, and what `check` shows of it.
mod reaching;

const ONE: &str = r#"[{"id":1}]"#;
const DATED: &str = r#"[{"id":1,"updated":"2026-01-01T00:00:00Z"}]"#;

/// With an environment file of these lines.
fn with_file(job: Job, lines: &str) -> Job {
    let file = job.file("job.env", lines).display().to_string();
    job.args(["--env-file", &file])
}

#[test]
fn every_problem_is_told_at_once_with_file_and_line() {
    let job = with_file(
        Job::new(),
        "MAX_RETRIES=many\nSOURCE_RECORD=/items\nMIN_RECORDS=-1\nnonsense\n",
    );

    let run = job.set("SOURCE_API_URL", "ftp://example.com").run();

    run.exits(Outcome::Settings).asked(0);
    for told in [
        "SOURCE_API_URL",
        "job.env:1",
        "MAX_RETRIES",
        "job.env:2",
        "`SOURCE_RECORDS`",
        "job.env:3",
        "job.env:4",
    ] {
        run.stderr_has(told);
    }
}

#[test]
fn a_flag_stands_over_the_environment_and_that_over_a_file() {
    let job = with_file(
        Job::new().unset("SOURCE_API_URL"),
        "SOURCE_API_URL={server}/file\nMAX_PAGES=5\nMIN_RECORDS=9\n",
    );
    let job = job
        .set("MIN_RECORDS", "1")
        .args(["--set", "MAX_PAGES=7"])
        .page(200, ONE);
    let file = job.beside("job.env").display().to_string();

    let checked = job.tidegate(["check", "--env-file", &file, "--set", "MAX_PAGES=7"]);

    checked.exits(0);
    let row = |name: &str| {
        checked
            .stdout
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        row("MAX_PAGES").contains('7') && row("MAX_PAGES").ends_with("--set"),
        "{}",
        row("MAX_PAGES")
    );
    assert!(
        row("MIN_RECORDS").ends_with("environment"),
        "{}",
        row("MIN_RECORDS")
    );
    assert!(
        row("SOURCE_API_URL").ends_with("job.env:1"),
        "{}",
        row("SOURCE_API_URL")
    );
    assert!(
        row("MAX_RETRIES").ends_with("default"),
        "{}",
        row("MAX_RETRIES")
    );
    let mut job = job;
    assert_eq!(
        job.run().exits(Outcome::Published).requests[0].target,
        "/file"
    );
}

#[test]
fn the_later_file_stands() {
    let job = Job::new();
    let first = job
        .file("shared.env", "JOB_NAME=first\n")
        .display()
        .to_string();
    let second = job
        .file("own.env", "JOB_NAME=second\n")
        .display()
        .to_string();

    let run = job
        .args(["--env-file", &first, "--env-file", &second])
        .page(200, ONE)
        .run();

    assert_eq!(run.exits(Outcome::Published).summary()["job"], "second");
}

#[test]
fn an_empty_value_is_none() {
    let run = Job::new()
        .set("SOURCE_RECORDS", "")
        .set("MIN_RECORDS", "")
        .page(200, ONE)
        .run();

    run.exits(Outcome::Published);
}

#[test]
fn a_file_that_is_missing_is_78() {
    let run = Job::new().args(["--env-file", "no-such.env"]).run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("no-such.env");
}

#[test]
fn a_near_miss_in_the_environment_warns_and_a_far_one_does_not() {
    let run = Job::new()
        .set("SOURCE_PAGNATION", "link")
        .set("EDITOR", "vi")
        .page(200, ONE)
        .run();

    run.exits(Outcome::Published);
    let warnings = format!("{:?}", run.warnings());
    assert!(
        warnings.contains("SOURCE_PAGNATION") && warnings.contains("SOURCE_PAGINATION"),
        "{warnings}"
    );
    assert!(!warnings.contains("EDITOR"), "{warnings}");
}

#[test]
fn a_secret_is_refused_as_a_flag_and_not_repeated() {
    let mut job = Job::new().unset("SOURCE_API_KEY");
    let flag = format!("SOURCE_API_KEY={}", job.key);
    job = job.args(["--set", &flag]);

    job.run()
        .exits(Outcome::Settings)
        .asked(0)
        .stderr_has("SOURCE_API_KEY");
}

#[test]
fn a_secret_in_the_url_is_refused_and_not_repeated() {
    let job = Job::new();
    let url = format!("http://user:{}@127.0.0.1:9/items", job.key);

    let run = job.set("SOURCE_API_URL", &url).run();

    run.exits(Outcome::Settings).stderr_has("SOURCE_AUTH=basic");
}

#[test]
fn a_secret_can_come_from_a_file_or_from_systemd() {
    for (name, value) in [
        ("SOURCE_API_KEY_FILE", "secrets/SOURCE_API_KEY"),
        ("CREDENTIALS_DIRECTORY", "secrets"),
    ] {
        let job = Job::new().unset("SOURCE_API_KEY").page(200, ONE);
        std::fs::create_dir(job.beside("secrets")).unwrap();
        job.file("secrets/SOURCE_API_KEY", &format!("{}\n", job.key));
        let value = job.beside(value).display().to_string();
        let bearer = format!("Bearer {}", job.key);

        let run = job.set(name, &value).run();

        assert_eq!(
            run.exits(Outcome::Published).requests[0].header("authorization"),
            Some(bearer.as_str()),
            "{name}"
        );
    }
}

#[test]
fn a_secret_file_that_is_missing_is_78() {
    let run = Job::new()
        .unset("SOURCE_API_KEY")
        .set("SOURCE_API_KEY_FILE", "/no/such/key")
        .run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("/no/such/key");
}

#[test]
fn a_cursor_without_a_key_must_be_decided() {
    let run = Job::new().set("SOURCE_CURSOR", "/updated").run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("WRITE_MODE")
        .stderr_has("PRIMARY_KEY")
        .stderr_has("`WRITE_MODE=append`");
}

#[test]
fn a_url_is_no_folder() {
    for (url, way_on) in [
        ("s3://bucket/orders", "publish into a local folder"),
        ("GS://bucket", "publish into a local folder"),
        ("file:///srv/sync", "give its path"),
        ("sqlite:///srv/data.db", "OUTPUT_DATABASE_URL"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let launch = format!("cd {} && exec \"$@\"", folder.path().display());
        let run = Job::new().launched_by(&launch).set("OUTPUT_DIR", url).run();

        run.exits(Outcome::Settings)
            .asked(0)
            .stderr_has("OUTPUT_DIR takes the path of a local folder, and not a URL")
            .stderr_has(way_on);
        let made = std::fs::read_dir(folder.path()).expect("the folder");
        assert_eq!(made.count(), 0, "nothing is made of {url}");
    }
}

#[test]
fn check_asks_nobody_and_touches_no_folder() {
    let job = Job::new();

    job.tidegate(["check"]).exits(0).stdout_has("no problem");

    assert!(job.server.seen().is_empty());
    assert!(!job.output().exists());
}

#[test]
fn check_warns_of_a_secret_that_is_too_short_to_be_hidden_everywhere() {
    let short = Job::new().set("SOURCE_API_KEY", "p");
    let short = short.tidegate(["check"]);

    short.exits(0).stdout_has(
        "warning: SOURCE_API_KEY has fewer than 6 characters, and is hidden only where it is a word by itself",
    );
    let usual = Job::new().tidegate(["check"]);
    assert!(!usual.stdout.contains("characters"), "{}", usual.stdout);
}

#[test]
fn a_key_of_one_character_leaves_an_error_readable() {
    let job = Job::new().set("SOURCE_API_KEY", "p");

    job.set("MAX_PAGES", "none")
        .tidegate(["check"])
        .exits(78)
        .stdout_has("1 problem found:");
}

#[test]
fn check_lists_every_problem() {
    let job = Job::new()
        .set("MAX_PAGES", "none")
        .set("CPU_LIMIT", "much")
        .unset("SOURCE_API_URL");

    let checked = job.tidegate(["check"]);

    checked
        .exits(78)
        .stdout_has("MAX_PAGES")
        .stdout_has("CPU_LIMIT")
        .stdout_has("SOURCE_API_URL");
    assert_eq!(checked.stderr.lines().count(), 1, "{}", checked.stderr);
}

#[test]
fn a_filled_in_example_is_a_job() {
    let mut job = Job::new();
    let example = job
        .tidegate(["describe", "--env-example"])
        .exits(0)
        .stdout
        .clone();
    let filled: Vec<&str> = example
        .lines()
        .filter(|line| !line.starts_with("SOURCE_API_URL="))
        .collect();
    job = with_file(
        job.page(200, ONE),
        &format!("{}\nJOB_NAME=filled-in\n", filled.join("\n")),
    );

    let run = job.run();

    assert_eq!(run.exits(Outcome::Published).summary()["job"], "filled-in");
}

#[test]
fn every_line_of_the_example_may_be_uncommented() {
    let job = Job::new();
    let example = job
        .tidegate(["describe", "--env-example"])
        .exits(0)
        .stdout
        .clone();
    let names: Vec<&str> = example
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name)
        .filter(|name| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        })
        .collect();
    let described = job.tidegate(["describe"]).exits(0).stdout.clone();

    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(described.contains(&format!("  {name}")), "{name}");
    }
}

#[test]
fn a_changed_setting_is_accepted_by_name() {
    let mut job = Job::upsert()
        .old(DATED)
        .then(|job| job.set("SOURCE_API_URL", "{server}/others"));
    job = job.args(["--accept-change", "SOURCE_API_URL"]);

    let run = job
        .page(200, r#"[{"id":2,"updated":"2026-01-02T00:00:00Z"}]"#)
        .run();

    run.exits(Outcome::Published);
    assert_eq!(run.summary()["records"], 2);
}

#[test]
fn a_full_refresh_accepts_every_change_and_replaces_the_set() {
    let mut job = Job::upsert()
        .old(DATED)
        .then(|job| job.set("SOURCE_API_URL", "{server}/others"));
    job = job.args(["--full-refresh"]);

    let run = job
        .page(200, r#"[{"id":2,"updated":"2026-01-02T00:00:00Z"}]"#)
        .run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"id": 2, "updated": "2026-01-02T00:00:00Z"}]));
    assert_eq!(run.requests[0].query("since"), None);
}

#[test]
fn a_changed_setting_needs_no_decision_when_every_run_replaces_the_set() {
    let mut job = Job::new()
        .old(ONE)
        .then(|job| job.set("SOURCE_API_URL", "{server}/others"));
    job = job.page(200, r#"[{"id":2}]"#);

    job.run()
        .exits(Outcome::Published)
        .publishes(&json!([{"id": 2}]));
}

#[test]
fn ndjson_is_one_record_a_line() {
    let run = Job::new()
        .set("OUTPUT_FORMAT", "ndjson")
        .page(200, r#"[{"id":1},{"id":2}]"#)
        .run();

    run.exits(Outcome::Published);
    assert_eq!(
        run.after.file("latest.ndjson"),
        Some("{\"id\":1}\n{\"id\":2}\n")
    );
}

#[test]
fn the_output_mode_is_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut job = Job::new().set("OUTPUT_MODE", "0640").page(200, ONE);

    job.run().exits(Outcome::Published);

    let mode = std::fs::metadata(job.output().join("latest.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o640);
}

#[test]
fn proxies_of_the_environment_are_not_used() {
    let run = Job::new()
        .set("HTTP_PROXY", "http://127.0.0.1:9")
        .set("http_proxy", "http://127.0.0.1:9")
        .set("HTTPS_PROXY", "http://127.0.0.1:9")
        .set("SOURCE_RECORDS", "/items")
        .reply(Reply::new(200, r#"{"items":[{"id":1}]}"#))
        .run();

    run.exits(Outcome::Published);
}

#[test]
fn a_file_with_a_secret_that_everybody_may_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;

    for (lines, mode, is_warned) in [
        ("SOURCE_API_KEY=a-key-that-nobody-guesses", 0o644, true),
        ("SOURCE_API_KEY=a-key-that-nobody-guesses", 0o640, false),
        ("SOURCE_RETRY_ON=400", 0o644, false),
    ] {
        let mut job = with_file(Job::new().unset("SOURCE_API_KEY"), lines).page(200, ONE);
        let file = job.beside("job.env");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let path = file.display().to_string();

        let checked = job.tidegate(["check", "--env-file", &path]);
        let run = job.run();

        let warning = format!("`{path}` has a secret in it, and every user may read it");
        assert_eq!(
            checked.stdout.contains(&warning),
            is_warned,
            "{lines} {mode:o}"
        );
        let line = "every user may read a file with a secret in it";
        assert_eq!(
            run.printed.stdout.contains(line),
            is_warned,
            "{lines} {mode:o}"
        );
    }
}
