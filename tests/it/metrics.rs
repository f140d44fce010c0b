//! METRICS_FILE and `health --output prometheus`, held to Prometheus' own promtool.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{CWD, FileType, Mode};

use crate::docs::block_after;
use crate::server::Reply;
use crate::world::{Job, Printed, postgres};

const TWO: &str =
    r#"[{"id":1,"updated":"2026-11-01T00:00:00Z"},{"id":2,"updated":"2026-11-02T00:00:00Z"}]"#;

/// A job whose metrics go to `metrics/orders.prom`.
fn job(job: Job) -> Job {
    let folder = job.beside("metrics");
    fs::create_dir(&folder).unwrap();
    job.set("METRICS_FILE", &format!("{}/", folder.display()))
}

fn text(job: &Job) -> String {
    fs::read_to_string(job.beside("metrics/orders.prom")).expect("the metrics")
}

/// The number of a metric.
fn number(text: &str, name: &str) -> Option<f64> {
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name}{{")))?;
    Some(line.rsplit(' ').next()?.parse().expect("a number"))
}

fn promtool(args: &[&str], folder: &Path, input: &str) {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/promtool/usr/bin/promtool");
    let mut child = Command::new(tool)
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool: run tests/tools.sh");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let ended = child.wait_with_output().unwrap();
    let told = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(ended.status.success(), "{told:?}\n{input}");
    assert!(
        args[0] != "check" || args[1] != "metrics" || told.concat().is_empty(),
        "{told:?}"
    );
}

/// No lint is left.
fn is_clean(text: &str) {
    promtool(&["check", "metrics"], Path::new("."), text);
}

/// The warning that a run gives where it cannot write the file.
fn warned(printed: &Printed) -> &str {
    let mut lines = printed.stdout.lines();
    lines
        .find(|line| line.contains("metrics not written"))
        .expect("a warning")
}

#[test]
fn a_failed_run_leaves_the_time_of_the_last_success() {
    let mut job = job(Job::upsert()).page(200, TWO);
    job.run().printed.exits(0);
    let first = text(&job);
    let mut job = job.then(|job| job.page(404, "{}"));
    job.run().printed.exits(69);
    job.run().printed.exits(69);
    let failed = text(&job);
    // A run that does not come so far as to ask.
    let mut job = job.then(|job| job.set("MAX_PAGES", "many"));
    job.run().printed.exits(78);
    let wrong = text(&job);

    for text in [&first, &failed, &wrong] {
        is_clean(text);
    }
    let (success, publish) = (
        "tidegate_last_success_timestamp_seconds",
        "tidegate_last_publish_timestamp_seconds",
    );
    assert!(number(&first, success) > Some(1_700_000_000.0), "{first}");
    for (text, code, failures) in [
        (&first, 0.0, 0.0),
        (&failed, 69.0, 2.0),
        (&wrong, 78.0, 3.0),
    ] {
        assert_eq!(number(text, "tidegate_last_run_exit_code"), Some(code));
        assert_eq!(
            number(text, "tidegate_consecutive_failures"),
            Some(failures)
        );
        assert_eq!(number(text, "tidegate_published_records"), Some(2.0));
        assert_eq!(number(text, "tidegate_published_generation"), Some(1.0));
        assert_eq!(number(text, "tidegate_held"), Some(0.0));
        for name in [success, publish] {
            assert_eq!(number(text, name), number(&first, name), "{text}");
        }
    }
    let ended = "tidegate_last_run_timestamp_seconds";
    assert!(number(&wrong, ended) > number(&failed, ended));
    for name in [
        "requests",
        "received_bytes",
        "fetched_records",
        "component_memory_peak_bytes",
    ] {
        assert!(
            number(&first, &format!("tidegate_last_run_{name}")) > Some(0.0),
            "{name}"
        );
    }
    assert!(
        failed.contains("tidegate_last_run_info{job_name=\"orders\",outcome=\"source_refused\"} 1")
    );
    let names: Vec<_> = fs::read_dir(job.beside("metrics")).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let mode = fs::metadata(job.beside("metrics/orders.prom"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);
}

/// The last success is known without the last file: from the history, or the commit that the run began with.
fn a_lost_file_comes_back(job: Job) {
    let mut job = job.page(200, TWO);
    job.run().printed.exits(0);
    let name = "tidegate_last_success_timestamp_seconds";
    let before = number(&text(&job), name).unwrap();
    fs::remove_file(job.beside("metrics/orders.prom")).unwrap();
    let mut job = job.then(|job| job.page(404, "{}"));
    job.run().printed.exits(69);

    // Of a database it is the time of the commit, which is a little earlier.
    let after = number(&text(&job), name).expect("a time");
    assert!((before - after).abs() < 60.0, "{before} {after}");
}

#[test]
fn a_lost_file_comes_back_wherever_the_data_is() {
    a_lost_file_comes_back(job(Job::new()));
    a_lost_file_comes_back(job(Job::new().sqlite()));
    let database = postgres::server().database();
    a_lost_file_comes_back(job(Job::new().postgres(database).unset("OUTPUT_DIR")));
}

#[test]
fn what_is_not_this_jobs_file_is_left_and_the_run_goes_on() {
    let mut job = job(Job::new());
    let file = job.beside("metrics/orders.prom");
    let elsewhere = job.beside("elsewhere");
    let others = "# Metrics of the tidegate job \"orders\", which publishes to \"/elsewhere\"\n";
    fs::write(&elsewhere, "mine").unwrap();

    let in_the_way: [(&dyn Fn(), &str); 5] = [
        (
            &|| std::os::unix::fs::symlink(&elsewhere, &file).unwrap(),
            "is a link",
        ),
        (
            &|| rustix::fs::mknodat(CWD, &file, FileType::Fifo, Mode::RWXU, 0).unwrap(),
            "not a regular file",
        ),
        (&|| fs::hard_link(&elsewhere, &file).unwrap(), "has 2 names"),
        (
            &|| fs::write(&file, "node_x 1\n").unwrap(),
            "was not written by tidegate",
        ),
        (&|| fs::write(&file, others).unwrap(), "publishes to"),
    ];
    for (put, why) in in_the_way {
        put();
        job = job.page(200, TWO);
        let run = job.run();
        run.printed.exits(0);
        assert!(warned(&run.printed).contains(why), "{why}: {}", run.stdout);
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "mine");
        fs::remove_file(&file).unwrap();
    }
    fs::remove_dir(job.beside("metrics")).unwrap();
    job = job.page(200, TWO);
    let run = job.run();
    assert!(warned(&run.printed).contains("does not exist"));
    assert!(!job.beside("metrics").exists());
}

#[test]
fn a_dry_run_and_a_trial_by_hand_say_nothing_of_the_job() {
    let mut job = job(Job::new()).page(200, TWO);
    job.run().printed.exits(0);
    let before = text(&job);

    let mut job = job.args(["--dry-run"]).page(200, TWO);
    job.run().printed.exits(0);
    let mut job = job
        .without_arg("--dry-run")
        .args(["--set", "MAX_RETRIES=0"])
        .page(404, "{}");
    job.run().printed.exits(69);

    assert_eq!(text(&job), before);
}

#[test]
fn only_a_file_that_node_exporter_reads_is_taken() {
    for name in ["accounts", "metrics.txt", ".prom", "folder/.prom", ".."] {
        let mut job = Job::new().set("METRICS_FILE", name);
        let run = job.run();
        run.printed.exits(78).stderr_has("METRICS_FILE takes");
    }
}

#[test]
fn a_tenant_writes_metrics_only_where_the_policy_says() {
    let policy = |job: &Job, more: &str| {
        let text = format!(
            "[tenant.acme]\norigins = [\"{{server}}\"]\ncomponents = [\"built-in\"]\n\
             output_folders = [\"{0}\"]\nenvironment = [\"SOURCE_API_KEY\"]\n{more}\n\
             [tenant.acme.limits]\nretry_pause = \"2s\"\n",
            job.output().parent().unwrap().display()
        );
        job.file("policy.toml", &text).display().to_string()
    };
    let job = job(Job::new());
    let file = policy(&job, "");
    let mut job = job.args(["--policy", &file, "--tenant", "acme"]);
    let refused = job.run();
    let folder = job.beside("metrics").display().to_string();
    policy(&job, &format!("metrics_folders = [\"{folder}\"]"));
    let mut job = job.page(200, TWO);
    let allowed = job.run();

    refused
        .printed
        .exits(78)
        .stderr_has("`metrics_folders` is not in it");
    allowed.printed.exits(0);
    // Another tenant's job of the same name has another file.
    let text = fs::read_to_string(job.beside("metrics/acme.orders.prom")).unwrap();
    is_clean(&text);
    assert!(
        text.contains("{job_name=\"orders\",tenant=\"acme\"}"),
        "{text}"
    );
}

#[test]
fn the_health_of_a_job_and_of_a_folder_is_one_exposition() {
    let fleet = Job::new().unset("SOURCE_API_URL").unset("OUTPUT_DIR");
    for (job, name) in [
        ("a/orders", ""),
        ("a/gone", ""),
        ("b/orders", ""),
        ("twin", "JOB_NAME=x"),
        ("other", "JOB_NAME=x"),
    ] {
        let file = format!("jobs/{job}.env");
        fs::create_dir_all(fleet.beside(&file).parent().unwrap()).unwrap();
        let out = fleet.beside("out").join(job).display().to_string();
        fleet.file(
            &file,
            &format!("SOURCE_API_URL={{server}}/{job}\nOUTPUT_DIR={out}\n{name}\n"),
        );
    }
    let fleet = fleet.api(|request| {
        let status = if request.path() == "/a/gone" {
            404
        } else {
            200
        };
        Reply::new(status, TWO)
    });
    fleet.tidegate(["run", "jobs"]).exits(69);
    fleet.file("jobs/wrong.env", "OUTPUT_DIR=s3://x/y\n");

    let all = fleet.tidegate(["health", "jobs", "--output", "prometheus"]);
    let one = fleet.tidegate([
        "health",
        "--env-file",
        "jobs/a/orders.env",
        "--output",
        "prometheus",
    ]);
    let json = fleet.tidegate([
        "health",
        "--env-file",
        "jobs/a/gone.env",
        "--output",
        "json",
    ]);

    // Of one it could not be asked: that is worst.
    let all = &all.exits(78).stdout;
    is_clean(all);
    let codes: Vec<&str> = all
        .lines()
        .filter(|line| line.starts_with("tidegate_health_exit_code"))
        .collect();
    assert_eq!(
        codes,
        [
            "tidegate_health_exit_code{job_name=\"x\"} 0",
            "tidegate_health_exit_code{job_name=\"twin\"} 0",
            "tidegate_health_exit_code{job_name=\"wrong\"} 78",
            "tidegate_health_exit_code{job_name=\"gone\",tenant=\"a\"} 1",
            "tidegate_health_exit_code{job_name=\"orders\",tenant=\"a\"} 0",
            "tidegate_health_exit_code{job_name=\"orders\",tenant=\"b\"} 0",
        ]
    );
    let one = &one.exits(0).stdout;
    is_clean(one);
    assert_eq!(number(one, "tidegate_published_records"), Some(2.0));
    assert_eq!(number(one, "tidegate_max_age_seconds"), Some(90_000.0));
    let json: serde_json::Value = serde_json::from_str(&json.exits(1).stdout).unwrap();
    assert_eq!(json["metrics"]["tidegate_consecutive_failures"], 1);
    assert_eq!(json["job"], "gone");
}

#[test]
fn the_age_of_the_newest_record_is_there_where_it_matters() {
    let mut job = job(Job::upsert().set("MAX_CURSOR_AGE", "6h"))
        .page(200, r#"[{"id":1,"updated":"2026-11-01T00:00:00Z"}]"#);
    job.run().printed.exits(0);

    let (file, health) = (
        text(&job),
        job.tidegate(["health", "--output", "prometheus"]),
    );

    for text in [&file, &health.exits(1).stdout] {
        is_clean(text);
        assert_eq!(
            number(text, "tidegate_cursor_timestamp_seconds"),
            Some(1_793_491_200.0)
        );
        assert_eq!(
            number(text, "tidegate_max_cursor_age_seconds"),
            Some(21_600.0)
        );
    }
}

#[test]
fn a_job_that_is_held_says_so() {
    let mut job = job(Job::new()).page(200, TWO);
    job.run().printed.exits(0);
    job.tidegate(["rollback", "1", "--hold"]).exits(0);
    job.run().printed.exits(75);

    let (file, health) = (
        text(&job),
        job.tidegate(["health", "--output", "prometheus"]),
    );

    for text in [&file, &health.exits(1).stdout] {
        assert_eq!(number(text, "tidegate_held"), Some(1.0));
        assert_eq!(number(text, "tidegate_consecutive_failures"), Some(1.0));
    }
}

/// The rules of `docs/metrics.md`, and that each of them fires when it should.
#[test]
fn the_alerts_of_the_docs_fire() {
    let folder = tempfile::tempdir().unwrap();
    let rules = block_after("An example of alerts:");
    fs::write(folder.path().join("tidegate.yml"), rules).unwrap();
    fs::write(
        folder.path().join("test.yml"),
        include_str!("metrics/alerts.yml"),
    )
    .unwrap();

    promtool(&["check", "rules", "tidegate.yml"], folder.path(), "");
    promtool(&["test", "rules", "test.yml"], folder.path(), "");
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in alerts {
        let tested = format!("alertname: {alert}\n        exp_alerts");
        assert!(
            include_str!("metrics/alerts.yml").contains(&tested),
            "{alert}"
        );
    }
}
