//! Alerts and pings: who hears how runs end, and who does not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::server::{Door, Reply, Request, Server};
use crate::world::{Job, Printed, postgres};

const ONE: &str = r#"[{"id":1}]"#;
/// The part of every address here that nobody may see.
const HOOK: &str = "services/T0AAAAAAA/B0BBBBBBB/s3cr3t-of-the-hook";

/// Somebody who hears: what a service takes, from whoever sends it.
struct Listener {
    server: Server,
    status: Arc<AtomicU16>,
}

impl Listener {
    fn new() -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let answer = Arc::clone(&status);
        Self {
            server: Server::start(move |_| Reply::new(answer.load(Ordering::SeqCst), "ok")),
            status,
        }
    }

    fn url(&self) -> String {
        format!("{}/{HOOK}", self.server.origin())
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// What came since the last look.
    fn heard(&self) -> Vec<Request> {
        let seen = self.server.seen();
        self.server.forget();
        seen
    }

    /// The same: the bodies.
    fn bodies(&self) -> Vec<Value> {
        let heard = self.heard();
        let parsed = heard
            .iter()
            .map(|request| serde_json::from_slice(&request.body).expect("the body is JSON"));
        parsed.collect()
    }

    /// The words for the alerts that came.
    fn events(&self) -> Vec<String> {
        let bodies = self.bodies();
        let events = bodies
            .iter()
            .map(|body| body["alert"]["event"].as_str().unwrap().to_owned());
        events.collect()
    }
}

/// A run that fails, or works; nothing of the hook is seen.
fn ran(job: &mut Job, status: u16) -> Printed {
    let now = std::mem::replace(job, Job::new());
    *job = now.page(status, ONE);
    let printed = job.start().ends_unchecked();
    let failed = printed.code != Some(0);
    assert_eq!(failed, status != 200, "{printed:?}");
    for text in [&printed.stdout, &printed.stderr] {
        assert!(!text.contains("s3cr3t-of-the-hook"), "{text}");
    }
    assert!(
        printed
            .stdout
            .trim_end()
            .lines()
            .last()
            .unwrap()
            .contains("run finished"),
        "{}",
        printed.stdout
    );
    printed
}

fn says(printed: &Printed) -> bool {
    printed.stderr.contains("exit 69")
}

#[test]
fn an_alert_is_sent_once_and_a_recovery_after_it() {
    let listener = Listener::new();
    let mut job = Job::new().set("ALERT_URL", &listener.url());

    let first = ran(&mut job, 404);
    assert!(says(&first) && first.stdout.contains("\"msg\":\"alert sent\""));
    let sent = listener.heard();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (&*sent[0].method, &*sent[0].target),
        ("POST", &*format!("/{HOOK}"))
    );
    assert_eq!(sent[0].header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!(body["exit_code"], 69);
    assert_eq!(body["job"], "orders");
    assert_eq!(body["alert"]["event"], "failing");
    assert!(
        body["alert"]["text"]
            .as_str()
            .unwrap()
            .contains("answered 404 on page 1")
    );

    let second = ran(&mut job, 404);
    assert_eq!(second.stderr, "");
    second.stdout_has("\"exit_code\":69");
    assert_eq!(listener.events(), [""; 0]);

    let good = ran(&mut job, 200);
    assert!(
        good.stderr
            .starts_with("tidegate: orders: works again after 2 failed runs since "),
        "{}",
        good.stderr
    );
    assert_eq!(listener.events(), ["recovered"]);
    assert_eq!(ran(&mut job, 200).stderr, "");
    assert_eq!(listener.events(), [""; 0]);
    assert!(says(&ran(&mut job, 404)));
    assert_eq!(listener.events(), ["failing"]);
}

#[test]
fn so_many_failures_in_a_row_are_an_alert_wherever_they_are_counted() {
    for job in [
        Job::new(),
        Job::new().sqlite(),
        Job::new().postgres(postgres::server().database()),
        // Nothing but the database.
        Job::new()
            .postgres(postgres::server().database())
            .unset("OUTPUT_DIR"),
    ] {
        let listener = Listener::new();
        let mut job = job
            .set("ALERT_URL", &listener.url())
            .set("ALERT_AFTER", "3")
            .set("PRIMARY_KEY", "/id");

        let said: Vec<bool> = [404, 404, 404, 404]
            .map(|code| says(&ran(&mut job, code)))
            .into();
        assert_eq!(said, [false, false, true, false]);
        let bodies = listener.bodies();
        assert_eq!(bodies.len(), 1);
        assert_eq!(bodies[0]["alert"]["failures"], 3);

        ran(&mut job, 200);
        assert_eq!(listener.events(), ["recovered"]);
        ran(&mut job, 404);
        ran(&mut job, 200);
        assert_eq!(listener.events(), [""; 0]);
    }
}

#[test]
fn one_that_nobody_took_is_sent_again_and_changes_no_code() {
    let listener = Listener::new();
    let mut job = Job::new().set("ALERT_URL", &listener.url());

    listener.answers(500);
    for _ in 0..2 {
        let run = ran(&mut job, 404);
        assert!(says(&run));
        run.stdout_has("\"msg\":\"alert not sent\"")
            .stdout_has("answered 500");
    }
    listener.answers(204);
    listener.server.forget();
    ran(&mut job, 404);
    assert_eq!(listener.events(), ["failing"]);

    // Who sends it elsewhere gets nothing more.
    let elsewhere = Listener::new();
    let to = elsewhere.url();
    listener
        .server
        .answer_with(move |_| Reply::new(307, "").header("location", &*to));
    ran(&mut job, 200).stdout_has("which is not followed");
    listener.server.answer_with(|_| Reply::new(200, ""));
    listener.server.forget();
    ran(&mut job, 200);
    assert_eq!(listener.events(), ["recovered"]);
    assert_eq!(elsewhere.heard().len(), 0);
}

#[test]
fn each_service_gets_what_it_documents() {
    let hostile = Reply::new(
        404,
        r#"{"error":"<!channel> & [a](https://b.example) **c**"}"#,
    );
    let body_of = |format: &str, key: Option<&str>| {
        let listener = Listener::new();
        let mut job = Job::new()
            .set("ALERT_URL", &listener.url())
            .set("ALERT_FORMAT", format)
            .reply(hostile.clone());
        if let Some(key) = key {
            job = job.set("ALERT_KEY", key);
        }
        let printed = job.start().ends_unchecked();
        printed.exits(69);
        for text in [&printed.stdout, &printed.stderr] {
            assert!(!text.contains("the-key-of-alerts"), "{text}");
        }
        let heard = listener.heard();
        assert_eq!(heard.len(), 1, "{printed:?}");
        let body: Value = serde_json::from_slice(&heard[0].body).unwrap();
        (heard[0].clone(), body)
    };

    let (_, slack) = body_of("slack", None);
    let text = slack["text"].as_str().unwrap();
    assert!(
        text.contains("&lt;!channel&gt; &amp; [a]") && !text.contains('<'),
        "{text}"
    );

    let (_, teams) = body_of("teams", None);
    let card = &teams["attachments"][0];
    assert_eq!(teams["type"], "message");
    assert_eq!(
        card["contentType"],
        "application/vnd.microsoft.card.adaptive"
    );
    assert_eq!(card["content"]["type"], "AdaptiveCard");
    let run = &card["content"]["body"][1]["inlines"][0];
    assert!(
        run["text"].as_str().unwrap().contains("<!channel>"),
        "{run}"
    );

    let (request, ntfy) = body_of("ntfy", Some("the-key-of-alerts"));
    assert_eq!(
        request.header("authorization"),
        Some("Bearer the-key-of-alerts")
    );
    assert_eq!(ntfy["topic"], "s3cr3t-of-the-hook");
    assert_eq!(ntfy["title"], "orders: exit 69 (source_refused)");

    let (request, pagerduty) = body_of("pagerduty", Some("the-key-of-alerts"));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(pagerduty["routing_key"], "the-key-of-alerts");
    assert_eq!(pagerduty["event_action"], "trigger");
    assert_eq!(pagerduty["payload"]["component"], "orders");
}

#[test]
fn a_program_is_told_without_a_shell_and_with_an_environment_of_its_own() {
    let mut job = Job::new()
        .set("ALERT_AFTER", "2")
        .set("OTHER", "not-for-it")
        .set("TOLD", "for-it")
        .set("COMMAND_ENVIRONMENT", "TOLD")
        .set("PATH", "/usr/bin:/bin");
    let heard = job.beside("heard");
    let script = format!(
        "#!/bin/sh\ncat > {0}.json\nenv > {0}.env\nprintf '%s|' \"$@\" > {0}.args\necho printed\n",
        heard.display()
    );
    let program = job.file("notify", &script);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let line = format!("{} --to 'the team' $HOME;id", program.display());
    job = job.set("ALERT_COMMAND", &line);
    let read = |ending: &str| fs::read_to_string(format!("{}.{ending}", heard.display()));

    ran(&mut job, 404);
    assert!(read("json").is_err());
    ran(&mut job, 404).stdout_has("\"msg\":\"alert sent\"");

    let summary: Value = serde_json::from_str(&read("json").unwrap()).unwrap();
    assert_eq!(summary["alert"]["failures"], 2);
    assert_eq!(read("args").unwrap(), "--to|the team|$HOME;id|");
    let environment = read("env").unwrap();
    for line in [
        "TIDEGATE_EVENT=failing",
        "TIDEGATE_JOB=orders",
        "TIDEGATE_EXIT_CODE=69",
        "TOLD=for-it",
    ] {
        assert!(
            environment.lines().any(|found| found == line),
            "{environment}"
        );
    }
    assert!(!environment.contains("not-for-it") && !environment.contains(&job.key));
}

#[test]
fn a_program_that_hangs_or_fails_is_a_warning() {
    let mut job = Job::new()
        .set("PATH", "/usr/bin:/bin")
        .set("ALERT_COMMAND", "sh -c 'exit 7'");

    ran(&mut job, 404)
        .stdout_has("\"msg\":\"alert not sent\"")
        .stdout_has("ended with exit status: 7");
    let mut job = job.set("ALERT_COMMAND", "sleep 600");
    ran(&mut job, 404).stdout_has("did not end within");
}

#[test]
fn trials_dry_runs_overlaps_and_held_jobs_are_none() {
    let listener = Listener::new();
    let mut job = Job::new()
        .set("ALERT_URL", &listener.url())
        .set("PING_URL", &listener.url());
    ran(&mut job, 200);
    job = job.page(200, r#"[{"id":2}]"#);
    job.start().ends_unchecked().exits(0);
    listener.server.forget();

    let mut job = job.args(["--dry-run"]);
    assert!(says(&ran(&mut job, 404)));
    let mut job = job.without_arg("--dry-run").args(["--set", "MAX_PAGES=7"]);
    assert!(says(&ran(&mut job, 404)));
    let job = job.without_arg("--set").without_arg("MAX_PAGES=7");
    assert_eq!(listener.heard().len(), 0);

    let mut job = job;
    job.tidegate(["rollback", "--hold"]).exits(0);
    listener.server.forget();
    let run = job.start().ends_unchecked();
    run.exits(75);
    run.stderr_has("the job is held");
    assert_eq!(listener.heard().len(), 0);
}

#[test]
fn where_nothing_can_be_written_it_is_counted_elsewhere() {
    let listener = Listener::new();
    let cache = tempfile::tempdir().unwrap();
    let mut job = Job::new()
        .set("ALERT_URL", &listener.url())
        .set("ALERT_AFTER", "2")
        .set("TIDEGATE_CACHE_DIR", &cache.path().display().to_string());
    // There is no folder, and none can be made.
    fs::write(job.beside("out"), "a file").unwrap();

    let codes = [(); 4].map(|()| {
        let printed = job.start().ends_unchecked();
        (printed.code, printed.stderr.is_empty())
    });

    assert!(
        codes.iter().all(|(code, _)| matches!(code, Some(73 | 74))),
        "{codes:?}"
    );
    assert_eq!(
        codes.map(|(_, is_silent)| is_silent),
        [true, false, true, true]
    );
    assert_eq!(listener.events(), ["failing"]);
    fs::remove_file(job.beside("out")).unwrap();
    ran(&mut job, 200);
    assert_eq!(listener.events(), ["recovered"]);
    let left = fs::read_dir(cache.path().join("alerts")).unwrap().count();
    assert_eq!(left, 0, "the record of the run has it now");
}

#[test]
fn where_nothing_is_remembered_every_failure_is_an_alert() {
    let listener = Listener::new();
    let mut job = Job::new()
        .set("ALERT_URL", &listener.url())
        .set("ALERT_AFTER", "2")
        .set("TIDEGATE_CACHE_DIR", "/proc/none");
    fs::write(job.beside("out"), "a file").unwrap();

    for _ in 0..2 {
        assert!(!job.start().ends_unchecked().stderr.is_empty());
    }

    assert_eq!(listener.events(), ["failing", "failing"]);
}

#[test]
fn a_check_hears_of_each_run_and_how_it_ended() {
    let listener = Listener::new();
    let mut job = Job::new().set("PING_URL", &listener.url());

    ran(&mut job, 200);
    let good = listener.heard();
    ran(&mut job, 404);
    let bad = listener.heard();

    let paths = |heard: &[Request]| -> Vec<String> {
        let paths = heard.iter().map(|request| {
            let path = request.path().trim_start_matches(&format!("/{HOOK}"));
            format!("{} {path}", request.method)
        });
        paths.collect()
    };
    assert_eq!(paths(&good), ["POST /start", "POST "]);
    assert_eq!(paths(&bad), ["POST /start", "POST /69"]);
    let rids: Vec<Option<String>> = [&good[..], &bad]
        .concat()
        .iter()
        .map(|one| one.query("rid"))
        .collect();
    assert!(
        rids[0].as_ref().is_some_and(|rid| rid.len() == 36),
        "{rids:?}"
    );
    assert!(rids[0] == rids[1] && rids[2] == rids[3] && rids[0] != rids[2]);
    let text = |request: &Request| String::from_utf8(request.body.clone()).unwrap();
    assert!(
        text(&good[1]).starts_with("published 1 record"),
        "{}",
        text(&good[1])
    );
    assert!(
        text(&bad[1]).contains("answered 404 on page 1"),
        "{}",
        text(&bad[1])
    );
    // Without settings for alerts, every failed run says its line.
    assert!(says(&ran(&mut job, 404)));
}

#[test]
fn a_server_that_is_dead_or_silent_changes_nothing() {
    let listener = Listener::new();
    for door in [|| Door::Silent, || Door::Closed, || Door::Reset] {
        listener.server.receive_with(door);
        let mut job = Job::new()
            .set("PING_URL", &listener.url())
            .set("ALERT_URL", &listener.url());

        ran(&mut job, 200).stdout_has("\"msg\":\"ping not sent\"");
    }
}

#[test]
fn wrong_settings_are_an_alert_too_and_wrong_alerts_are_wrong_settings() {
    let listener = Listener::new();
    let mut job = Job::new()
        .set("ALERT_URL", &listener.url())
        .set("PING_URL", &listener.url())
        .set("MIN_RECORDS", "many");
    job.start().ends_unchecked().exits(78);
    let heard = listener.heard();
    let mut paths: Vec<&str> = heard.iter().map(Request::path).collect();
    paths.sort_unstable();
    assert_eq!(paths, [format!("/{HOOK}"), format!("/{HOOK}/78")]);

    for (name, value, told) in [
        (
            "ALERT_URL",
            "http://hooks.example.com/s3cr3t-of-the-hook",
            "ALERT_URL takes an https URL",
        ),
        (
            "ALERT_URL",
            "https://u:s3cr3t-of-the-hook@h.example/",
            "without a user",
        ),
        (
            "ALERT_FORMAT",
            "pagerduty",
            "ALERT_KEY is required with ALERT_FORMAT=pagerduty",
        ),
        ("ALERT_FORMAT", "slack", "has no effect without ALERT_URL"),
        ("ALERT_FORMAT", "ntfy", "has no effect without ALERT_URL"),
        (
            "ALERT_KEY",
            "a-key-of-alerts",
            "has no effect without ALERT_URL",
        ),
        (
            "ALERT_AFTER",
            "often",
            "ALERT_AFTER takes a number of failed runs",
        ),
        ("ALERT_COMMAND", "'", "has a quote that is not closed"),
        (
            "ALERT_PRIVATE_NETWORKS",
            "yes",
            "has no effect without ALERT_URL and PING_URL",
        ),
    ] {
        let checked = Job::new().set(name, value).tidegate(["check"]);
        checked.exits(78).stdout_has(told);
        assert!(
            !checked.stdout.contains("s3cr3t-of-the-hook"),
            "{}",
            checked.stdout
        );
    }
    Job::new()
        .set("ALERT_URL", "https://ntfy.example.com")
        .set("ALERT_FORMAT", "ntfy")
        .tidegate(["check"])
        .exits(78)
        .stdout_has("ALERT_URL takes the URL of a topic");
    let by_flag = Job::new().tidegate(["check", "--set", "ALERT_URL=https://h.example/x"]);
    by_flag
        .exits(78)
        .stdout_has("is a secret and must not be an argument");
}

#[test]
fn what_a_source_knows_of_the_hook_is_hidden() {
    let listener = Listener::new();
    let mut job = Job::new()
        .set("ALERT_URL", &listener.url())
        .set("ALERT_KEY", "the-key-of-alerts")
        .set(
            "PING_URL",
            &format!("{}/ping/the-uuid-of-a-check", listener.server.origin()),
        )
        .reply(Reply::new(
            404,
            format!(r#"{{"error":"{HOOK} the-key-of-alerts ping/the-uuid-of-a-check"}}"#),
        ));

    let printed = job.start().ends_unchecked();

    printed.exits(69);
    let kept = fs::read_to_string(job.output().join("last-run.json")).unwrap();
    let sent = listener.heard();
    let sent = sent
        .iter()
        .map(|one| String::from_utf8_lossy(&one.body).into_owned());
    let sent: String = sent.collect();
    for text in [&printed.stdout, &printed.stderr, &kept, &sent] {
        for secret in [
            "s3cr3t-of-the-hook",
            "the-key-of-alerts",
            "the-uuid-of-a-check",
        ] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn a_log_in_words_says_why_where_no_line_does() {
    let listener = Listener::new();
    let mut job = Job::new()
        .set("ALERT_URL", &listener.url())
        .set("LOG_FORMAT", "text");

    let first = job.start().ends_unchecked();
    let second = job.start().ends_unchecked();

    assert!(!first.stdout.contains("message="), "{}", first.stdout);
    first.stderr_has("answered 418");
    assert_eq!(second.stderr, "");
    second.stdout_has("answered 418");
}

#[test]
fn a_policy_lists_who_may_hear_and_which_programs_are_started() {
    let listener = Listener::new();
    let policed = |more: &str, job: Job| {
        let dir = job.beside("").display().to_string();
        let text = format!(
            "[tenant.acme]\norigins = [\"{{server}}\"]\ncomponents = [\"built-in\"]\noutput_folders = [\"{dir}out\"]\n\
             environment = [\"SOURCE_API_KEY\", \"ALERT_URL\", \"PING_URL\"]\n{more}\n[tenant.acme.limits]\nretry_pause = \"2s\"\n"
        );
        let file = job.file("policy.toml", &text).display().to_string();
        job.args(["--policy", &file, "--tenant", "acme"])
    };
    let origin = listener.server.origin();

    for (more, name, value, told) in [
        (
            "",
            "ALERT_URL",
            listener.url(),
            "`alert_origins` is not in it",
        ),
        (
            "",
            "PING_URL",
            listener.url(),
            "can allow it with `alert_origins = [",
        ),
        (
            "alert_origins = [\"https://hooks.slack.com\"]",
            "ALERT_URL",
            listener.url(),
            "`alert_origins` (line 6) allows `https://hooks.slack.com`",
        ),
        (
            "",
            "ALERT_COMMAND",
            "/bin/mail root".to_owned(),
            "`commands` is not in it",
        ),
    ] {
        let mut job = policed(more, Job::new().set(name, &value));
        let printed = job.start().ends_unchecked();
        printed.exits(78).stderr_has(told);
        assert!(!printed.stderr.contains("s3cr3t-of-the-hook"));
    }
    assert_eq!(listener.heard().len(), 0);

    let more = format!("alert_origins = [\"{origin}/services\"]\ncommands = [\"/bin/true\"]");
    let job = Job::new()
        .set("ALERT_URL", &listener.url())
        .set("ALERT_COMMAND", "/bin/true");
    let mut job = policed(&more, job);
    ran(&mut job, 404);
    assert_eq!(listener.events(), ["failing"]);
}

#[test]
fn jobs_of_a_folder_are_counted_each_by_itself() {
    let listener = Listener::new();
    let fleet = Job::new()
        .unset("SOURCE_API_URL")
        .unset("OUTPUT_DIR")
        .set("ALERT_URL", &listener.url())
        .set("ALERT_AFTER", "2");
    let works = Arc::new(Mutex::new(vec!["b"]));
    let good = Arc::clone(&works);
    fleet.server.answer_with(move |request| {
        let is_good = good
            .lock()
            .unwrap()
            .iter()
            .any(|name| request.path().ends_with(name));
        Reply::new(if is_good { 200 } else { 404 }, ONE)
    });
    fs::create_dir_all(fleet.beside("jobs")).unwrap();
    for name in ["a", "b"] {
        let output = fleet.beside("out").join(name).display().to_string();
        let text = format!("SOURCE_API_URL={{server}}/{name}\nOUTPUT_DIR={output}\n");
        fleet.file(&format!("jobs/{name}.env"), &text);
    }
    let run = || fleet.tidegate(["run", "jobs"]);

    let first = run();
    assert_eq!(first.exits(69).stderr, "");
    first.stdout_has("\"job\":\"a\",\"message\":\"`");
    let second = run();
    second.exits(69).stderr_has("tidegate: a: exit 69: ");
    second.stderr_has("1 of 2 jobs failed: a 69");
    let bodies = listener.bodies();
    assert_eq!(bodies.len(), 1);
    assert_eq!(bodies[0]["job"], "a");

    works.lock().unwrap().push("a");
    let third = run();
    third
        .exits(0)
        .stderr_has("tidegate: a: works again after 2 failed runs");
    assert_eq!(listener.events(), ["recovered"]);
}
