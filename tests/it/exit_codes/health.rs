//! The codes of `health`: 0 fresh, 1 stale or the last run failed, 2 unknown.

use tidegate::outcome::Outcome;

use crate::world::Job;

const ONE: &str = r#"[{"id":1}]"#;

/// A job that has published once and whose settings are but its folder.
fn published() -> Job {
    let mut job = Job::new().page(200, ONE);
    job.run().exits(Outcome::Published);
    job.unset("SOURCE_API_URL").unset("SOURCE_API_KEY")
}

#[test]
fn health_of_a_fresh_set_is_0_and_needs_the_folder_alone() {
    published().tidegate(["health"]).exits(0);
}

#[test]
fn health_before_any_run_is_2() {
    Job::new().tidegate(["health"]).exits(2);
}

#[test]
fn health_before_any_run_names_what_is_wrong_with_the_settings() {
    let job = Job::new()
        .unset("SOURCE_API_URL")
        .set("SOURCE_TIMEOUT", "soon");
    let never = job.beside("never").display().to_string();
    let job = job.set("OUTPUT_DIR", &never);
    let file = job.file("orders.toml", "[source]\nsource_paginaton = \"link\"\n");
    let file = file.display().to_string();

    for output in [&["health"][..], &["health", "--output", "json"]] {
        job.tidegate_with(output)
            .exits(2)
            .stdout_has("settings of this job are wrong: ")
            .stdout_has("SOURCE_TIMEOUT takes");
    }
    let of_file = job.tidegate(["health", &file]);
    of_file.exits(2).stdout_has("orders.toml:2");
    of_file
        .stdout_has("did you mean `source_pagination`")
        .stdout_has("SOURCE_API_URL is required");
    // A monitor that knows the folder alone has made no mistake.
    let monitor = job.unset("SOURCE_TIMEOUT").tidegate(["health"]);
    monitor.exits(2).stdout_has("no run yet");
    // Once there is a run, that is what counts.
    let mut job = Job::new().old(ONE).page(404, "{}");
    job.run().exits(Outcome::SourceRefused);
    let wrong = job.set("SOURCE_TIMEOUT", "soon").tidegate(["health"]);
    assert!(!wrong.exits(1).stdout.contains("settings of this job"));
}

#[test]
fn health_after_a_failed_run_is_1_and_says_why() {
    let mut job = Job::new().old(ONE).page(404, "{}");
    job.run().exits(Outcome::SourceRefused);

    job.tidegate(["health"]).exits(1).stdout_has("404");
}

#[test]
fn health_of_an_old_set_is_1() {
    let job = published();
    std::thread::sleep(std::time::Duration::from_millis(1_100));

    job.tidegate(["health", "--max-age", "1s"]).exits(1);
}

#[test]
fn health_of_a_newest_record_that_is_too_old_is_1_and_of_one_that_is_no_time_2() {
    let mut job = Job::misbehaving("stage-as-told")
        .set("WRITE_MODE", "upsert")
        .set("SOURCE_CHANGES", "yes")
        .set("PRIMARY_KEY", "/id")
        .set("SOURCE_STAGE_RECORDS", "{\"id\":1}\n")
        .set("SOURCE_STAGE_CURSOR", "2024-05-01T00:00:00+0200");
    job.run().exits(Outcome::Published);

    job.tidegate(["health"]).exits(0);
    job.tidegate(["health", "--max-cursor-age", "1d"])
        .exits(1)
        .stdout_has("old, and MAX_CURSOR_AGE is 1d");
    job.tidegate(["health", "--max-cursor-age", "36500d", "--output", "json"])
        .exits(0)
        .stdout_has("\"cursor_age_seconds\":");
    job.tidegate(["health", "--max-cursor-age", "soon"])
        .exits(64);
    let mut job = job
        .set("MAX_CURSOR_AGE", "1d")
        .set("SOURCE_STAGE_CURSOR", "b7");
    job.tidegate(["health"]).exits(1);
    job.run().exits(Outcome::NothingNew);
    job.tidegate(["health"])
        .exits(2)
        .stdout_has("the cursor `b7` is not a time");
}

#[test]
fn health_verify_sees_a_changed_byte() {
    let job = published();
    let file = std::fs::canonicalize(job.output().join("latest.json")).unwrap();
    std::fs::write(&file, "[\n{\"id\":2}\n]\n").unwrap();

    job.tidegate(["health"]).exits(0);
    job.tidegate(["health", "--verify"])
        .exits(1)
        .stdout_has("latest.json");
}

#[test]
fn health_of_a_torn_manifest_is_2() {
    let job = published();
    std::fs::write(job.output().join("current/manifest.json"), "{").unwrap();

    job.tidegate(["health"]).exits(2);
}

#[test]
fn a_trial_by_hand_does_not_make_health_stale_and_the_jobs_own_failure_does() {
    let mut job = Job::new().old(ONE).page(404, "");
    job = job.args(["--set", "MAX_PAGES=3"]);
    job.run().exits(Outcome::SourceRefused);
    job.tidegate(["health"]).exits(0);

    let mut job = job
        .without_arg("--set")
        .without_arg("MAX_PAGES=3")
        .page(404, "");
    job.run().exits(Outcome::SourceRefused);

    job.tidegate(["health"]).exits(1).stdout_has("exit code 69");
}

#[test]
fn a_killed_run_is_told() {
    let mut job = Job::new().old(ONE).page(200, ONE);
    job.run().exits(Outcome::NothingNew);
    std::fs::create_dir(job.output().join(".staging-20260101T000000Z-000000")).unwrap();

    job.tidegate(["health"])
        .exits(1)
        .stdout_has("the last run was killed: it left `");

    std::fs::remove_dir(job.output().join(".staging-20260101T000000Z-000000")).unwrap();
    job.tidegate(["health"]).exits(0);
}

#[test]
fn a_folder_that_takes_no_writes_is_not_fresh_although_no_record_could_be_written() {
    if !crate::world::can_mount() {
        return;
    }
    // A file system that is read-only by the time that health is asked.
    let mut job = Job::new().old(ONE).page(200, ONE);
    job.run().exits(Outcome::NothingNew);
    let out = job.output().display().to_string();
    let launcher =
        format!("mount --bind '{out}' '{out}' && mount -o remount,bind,ro '{out}'; exec \"$@\"");
    let job = job.launcher(&["unshare", "-Urm", "sh", "-c", &launcher, "sh"]);

    job.tidegate(["health"])
        .exits(1)
        .stdout_has("takes no writes: Read-only file system");
}
