//! `tidegate state`: what the next run goes on from, shown, exported, imported and set, at every place.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::server::Reply;
use crate::world::place::at;
use crate::world::{Job, Place, View};

const FIRST: &str = r#"[{"id":1,"updated":"2026-11-01T00:00:00Z"}]"#;
const SECOND: &str = r#"[{"id":2,"updated":"2026-11-02T00:00:00Z"}]"#;
const THIRD: &str = r#"[{"id":3,"updated":"2026-11-03T00:00:00Z"}]"#;

at! {
    every place:
    the_next_run_goes_on_from_the_cursor_that_was_set_and_readers_see_no_change
    an_exported_state_comes_back
    a_cleared_cursor_fetches_everything_once
    a_run_that_is_under_way_is_not_disturbed
}

/// A job that published these pages, each merged into what was there.
fn published(job: Job, pages: &[&str]) -> Job {
    let mut job = job;
    for page in pages {
        job = job.page(200, page);
        job.run().printed.exits(0);
    }
    job
}

fn manifest(view: &View) -> Value {
    let text = view.file("current/manifest.json").expect("a manifest");
    serde_json::from_str(text).expect("the manifest is JSON")
}

/// The data alone is as before, under the next number.
fn only_the_state_changed(before: &View, after: &View) {
    after.is_whole();
    assert_eq!(after.latest(), before.latest());
    let (before, after) = (manifest(before), manifest(after));
    assert_eq!(after["finished"], before["finished"], "the age of the data");
    for same in ["files", "counts", "settings", "run_id", "table"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    let number = |manifest: &Value| manifest["generation"].as_u64().unwrap();
    assert_eq!(number(&after), number(&before) + 1);
}

/// Where the last run asked the source to begin.
fn since(job: &mut Job) -> Option<String> {
    let run = job.run();
    run.printed.exits(0);
    run.requests[0].query("since")
}

fn the_next_run_goes_on_from_the_cursor_that_was_set_and_readers_see_no_change(place: Place) {
    let job = published(Job::upsert().at(place), &[FIRST, SECOND]);
    let before = job.view();
    job.tidegate(["state", "show"])
        .exits(0)
        .stdout_has("goes on from cursor 2026-11-02T00:00:00Z");

    let set = job.tidegate(["state", "set-cursor", "2026-10-01T00:00:00Z"]);

    set.exits(0)
        .stdout_has("generation 3: the next run goes on from cursor 2026-10-01T00:00:00Z")
        .stdout_has("fetched again, and merged");
    assert!(set.stdout.lines().all(|line| line.chars().count() <= 80));
    only_the_state_changed(&before, &job.view());
    job.tidegate(["health", "--verify"]).exits(0);
    let runs = job.tidegate(["runs"]);
    runs.exits(0)
        .stdout_has("cursor_set")
        .stdout_has("2026-11-02T00:00:00Z");
    job.tidegate(["state", "set-cursor", "2026-10-01T00:00:00Z"])
        .exits(0)
        .stdout_has("nothing to change");

    let mut job = job.page(200, THIRD);
    let asked = since(&mut job).expect("a cursor");
    assert!(asked.starts_with("2026-"), "{asked}");
    assert!(asked.as_str() <= "2026-10-01T00:00:00Z", "{asked}");
    assert_eq!(job.view().records().len(), 3);
    assert_eq!(manifest(&job.view())["restated"], Value::Null);
}

fn an_exported_state_comes_back(place: Place) {
    let job = published(Job::upsert().at(place), &[FIRST]);
    let file = job.beside("before.json").display().to_string();
    job.tidegate(["state", "export", "--to", &file]).exits(0);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let old = manifest(&job.view())["state"].clone();
    let job = published(job, &[SECOND]);
    let before = job.view();

    job.tidegate(["state", "import", &file])
        .exits(0)
        .stdout_has("goes on from cursor 2026-11-01T00:00:00Z");

    only_the_state_changed(&before, &job.view());
    assert_eq!(manifest(&job.view())["state"], old);
    job.tidegate(["state", "export", "--to", &file])
        .exits(73)
        .stderr_has("is there already");
    let mut job = job.page(200, SECOND);
    since(&mut job);
}

fn a_cleared_cursor_fetches_everything_once(place: Place) {
    let job = published(Job::upsert().at(place), &[FIRST, SECOND]);
    let before = job.view();

    job.tidegate(["state", "set-cursor", "--clear"])
        .exits(0)
        .stdout_has("the next run fetches everything");

    only_the_state_changed(&before, &job.view());
    job.tidegate(["state", "show"])
        .exits(0)
        .stdout_has("fetches everything");
    let both =
        r#"[{"id":2,"updated":"2026-11-02T00:00:00Z"},{"id":3,"updated":"2026-11-03T00:00:00Z"}]"#;
    // A range that is read again meanwhile is not everything.
    let range = [
        "--from",
        "2026-11-01T00:00:00Z",
        "--to",
        "2026-11-01T12:00:00Z",
    ];
    let mut job = job.args(range).page(200, FIRST);
    assert!(since(&mut job).is_some());
    let mut job = range.iter().fold(job, |job, arg| job.without_arg(arg));
    job = job.page(200, both);
    assert_eq!(since(&mut job), None);
    assert_eq!(job.view().records().len(), 2, "what is gone is gone");
    let mut job = job.page(200, THIRD);
    assert!(since(&mut job).is_some());
}

fn a_run_that_is_under_way_is_not_disturbed(place: Place) {
    let job = published(Job::upsert().at(place), &[FIRST]);
    let before = job.view();
    let lock = fs::File::open(job.output().join(".lock")).unwrap();
    lock.lock().unwrap();

    job.tidegate(["state", "set-cursor", "2026-10-01T00:00:00Z"])
        .exits(75);
    job.tidegate(["state", "show"]).exits(0);

    assert_eq!(job.view(), before);
}

/// The calls that change a folder, or see to it that a change stays.
const CHANGES: [&str; 6] = [
    "?renameat,renameat2",
    "linkat",
    "symlinkat",
    "mkdirat",
    "fsync",
    "unlinkat",
];

#[test]
fn a_command_that_is_killed_has_done_all_or_nothing() {
    let mut job = published(Job::upsert(), &[FIRST, SECOND]);
    let before = job.view();
    let mut killed = 0;
    let all = CHANGES
        .iter()
        .flat_map(|calls| (1..6).map(move |nth| (calls, nth)));
    for (second, (calls, nth)) in all.enumerate() {
        let inject = format!("inject={calls}:signal=SIGKILL:when={nth}");
        let trace = format!("trace={calls}");
        let words = ["strace", "-fqq", "-o/dev/null", "-e", &trace, "-e", &inject];
        job = job.launcher(&words);
        let cursor = format!("2026-10-01T00:00:{second:02}Z");
        let set = job.tidegate(["state", "set-cursor", &cursor]);
        let pinned = job.tidegate(["pin", "1"]);
        job = job.launcher(&[]);
        killed += [&set, &pinned]
            .iter()
            .filter(|of| of.code.is_none())
            .count();

        let after = job.view();
        after.is_whole();
        assert_eq!(after.latest(), before.latest(), "{inject}");
        if set.code == Some(0) {
            assert_eq!(manifest(&after)["cursor"], *cursor, "{inject}");
        }
        job.tidegate(["state", "show"]).exits(0);
        let listed = job.tidegate(["pin"]);
        if pinned.code == Some(0) {
            listed.exits(0).stdout_has("pinned since");
        }
        if listed.exits(0).stdout.contains("pinned since") {
            job.tidegate(["pin", "1", "--release"]).exits(0);
        }
    }
    assert!(killed > 10, "only {killed} were killed");

    let mut job = job.page(200, THIRD);
    job.run().printed.exits(0);
    let names = crate::world::names(&job.output());
    let left: Vec<&String> = names.iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(left, [".lock"]);
}

#[test]
fn a_failure_is_not_over_because_the_state_was_changed() {
    for job in [Job::upsert(), Job::upsert().sqlite()] {
        let mut job = published(job, &[FIRST]).page(404, "{}");
        job.run().printed.exits(69);

        job.tidegate(["state", "set-cursor", "2026-10-01T00:00:00Z"])
            .exits(0);

        job.tidegate(["health"]).exits(1).stdout_has("404");
    }
}

#[test]
fn a_log_goes_on_from_another_cursor_and_cannot_begin_anew() {
    let job = Job::new()
        .set("SOURCE_CURSOR", "/updated")
        .set("SOURCE_CURSOR_TO", "since")
        .set("WRITE_MODE", "append")
        .set("OUTPUT_FORMAT", "ndjson");
    let job = published(job, &[FIRST, SECOND]);
    let before = job.view();

    job.tidegate(["state", "set-cursor", "--clear"])
        .exits(64)
        .stderr_has("WRITE_MODE=append only adds");
    job.tidegate(["state", "set-cursor", "2026-12-01T00:00:00Z"])
        .exits(0)
        .stdout_has("set forward");

    assert_eq!(job.view().appended(), before.appended());
    let mut job = job.page(200, "[]");
    let asked = since(&mut job).unwrap();
    assert!(asked.as_str() > "2026-11-20", "{asked}");
    job.tidegate(["health", "--verify"]).exits(0);
}

#[test]
fn what_the_component_does_not_take_is_not_set() {
    let job = published(Job::upsert(), &[FIRST]);
    let before = job.view();
    let export = |job: &Job, name: &str, change: &dyn Fn(&str) -> String| {
        let exported = job.tidegate(["state", "export"]);
        let text = change(&exported.exits(0).stdout);
        job.file(name, &text).display().to_string()
    };

    job.tidegate(["state", "set-cursor", "tomorrow"])
        .exits(78)
        .stderr_has("the component does not take this state")
        .stderr_has("nothing was changed");
    let newer = export(&job, "newer.json", &|text| {
        text.replace("\"v\":2", "\"v\":9")
    });
    job.tidegate(["state", "import", &newer])
        .exits(78)
        .stderr_has("newer component");
    let other = export(&job, "other.json", &|text| {
        let job = text.replacen("\"job\": \"orders\"", "\"job\": \"returns\"", 1);
        job.replace("11-01T", "11-05T")
    });
    job.tidegate(["state", "import", &other])
        .exits(64)
        .stderr_has("a state of the job `returns`, and this one is `orders`");
    let form = export(&job, "form.json", &|text| {
        text.replacen("\"tidegate_state\": 1", "\"tidegate_state\": 2", 1)
    });
    job.tidegate(["state", "import", &form])
        .exits(64)
        .stderr_has("version 2");
    job.tidegate(["state", "import", "/nowhere"]).exits(64);
    job.tidegate(["state", "set-cursor"]).exits(64);
    job.tidegate(["state", "set-cursor", ""])
        .exits(64)
        .stderr_has("`--clear`");
    assert_eq!(job.view(), before);

    job.tidegate(["state", "import", &other, "--other-job"])
        .exits(0)
        .stdout_has("2026-11-05T00:00:00Z");
}

#[test]
fn before_a_first_set_there_is_no_state() {
    for job in [Job::upsert(), Job::upsert().sqlite()] {
        for args in [
            &["state", "show"][..],
            &["state", "export"],
            &["state", "set-cursor", "2026-10-01T00:00:00Z"],
        ] {
            job.tidegate_with(args)
                .exits(64)
                .stderr_has("finds nothing that was published");
        }
        assert!(!job.output().exists());
    }
}

#[test]
fn a_token_is_not_shown_and_not_logged() {
    let page = r#"{"rows":[{"id":1}],"next_sync":"t0ken-of-the-source"}"#;
    let mut job = Job::new()
        .set("SOURCE_RECORDS", "/rows")
        .set("SOURCE_CURSOR", "/next_sync")
        .set("SOURCE_CURSOR_KIND", "token")
        .set("SOURCE_CURSOR_PAGE", "last")
        .set("SOURCE_CURSOR_TO", "sync")
        .set("PRIMARY_KEY", "/id")
        .page(200, page);
    job.run().printed.exits(0);

    let shown = job.tidegate(["state", "show"]);
    let set = job.tidegate(["state", "set-cursor", "another-t0ken"]);
    let runs = job.tidegate(["runs"]);

    for printed in [&shown, &set, &runs] {
        assert!(!printed.exits(0).stdout.contains("t0ken"), "{printed:?}");
    }
    let mut job = job.page(200, page);
    let run = job.run();
    run.printed.exits(0);
    assert_eq!(run.requests[0].query("sync").unwrap(), "another-t0ken");
}

#[test]
fn of_several_values_all_cursors_are_set_or_one() {
    let mut job = Job::upsert()
        .set("SOURCE_EACH", "eu,us")
        .set("SOURCE_API_URL", "{server}/{each}")
        .api(|request| {
            let page = if request.path() == "/eu" {
                FIRST
            } else {
                SECOND
            };
            Reply::new(200, page)
        });
    job.run().printed.exits(0);

    let set = [
        "state",
        "set-cursor",
        "--each",
        "us",
        "2026-10-01T00:00:00Z",
    ];
    job.tidegate(set).exits(0);
    let run = job.run();
    run.printed.exits(0);
    let asked = |path: &str| {
        let mut requests = run.requests.iter();
        let first = requests.find(|request| request.path() == path);
        first.and_then(|request| request.query("since")).unwrap()
    };
    assert!(asked("/eu").as_str() > "2026-10-30", "{}", asked("/eu"));
    assert!(
        asked("/us").as_str() <= "2026-10-01T00:00:00Z",
        "{}",
        asked("/us")
    );
    job.tidegate(["state", "set-cursor", "2026-09-01T00:00:00Z"])
        .exits(0);
    let run = job.run();
    let all = run.requests.iter().map(|request| request.query("since"));
    assert!(
        all.flatten()
            .all(|since| since.as_str() <= "2026-09-01T00:00:00Z")
    );
    job.tidegate([
        "state",
        "set-cursor",
        "--each",
        "uk",
        "2026-10-01T00:00:00Z",
    ])
    .exits(64)
    .stderr_has("it has eu, us");
}
