//! The codes of runs that are stopped from outside: 130 and 143, and 75 when another run holds the lock.

use rustix::process::Signal;
use serde_json::json;
use tidegate::outcome::Outcome;

use crate::server::Reply;
use crate::world::Job;

const ONE: &str = r#"[{"id":1}]"#;

#[test]
fn sigint_while_the_source_is_silent_is_130() {
    let mut job = Job::new().old(ONE).reply(Reply::silence());

    let run = job.start().has_asked(1).signalled(Signal::INT).ends();

    run.exits(Outcome::Interrupted)
        .publishes_nothing()
        .stderr_has("SIGINT");
}

#[test]
fn sigterm_in_the_middle_of_an_answer_is_143() {
    let mut job = Job::new()
        .old(ONE)
        .reply(Reply::new(200, ONE).stalled_after(3));

    let run = job.start().has_asked(1).signalled(Signal::TERM).ends();

    run.exits(Outcome::Terminated)
        .publishes_nothing()
        .stderr_has("SIGTERM");
}

#[test]
fn sighup_while_waiting_for_the_next_try_is_143() {
    let busy = Reply::new(503, "").header("retry-after", "60");
    let mut job = Job::new().old(ONE).reply(busy);

    let run = job.start().has_asked(1).signalled(Signal::HUP).ends();

    run.exits(Outcome::Terminated)
        .publishes_nothing()
        .stderr_has("stopped by SIGHUP");
}

#[test]
fn a_signal_stops_a_component_that_does_not_stop() {
    let mut job = Job::misbehaving("ask-for-ever")
        .set("SOURCE_ASK", "{server}/")
        .api(|_| Reply::new(200, "[]"));

    let run = job.start().has_asked(3).signalled(Signal::TERM).ends();

    run.exits(Outcome::Terminated).publishes_nothing();
}

#[test]
fn after_a_stopped_run_the_next_one_publishes() {
    let mut job = Job::new().reply(Reply::silence());
    job.start()
        .has_asked(1)
        .signalled(Signal::TERM)
        .ends()
        .exits(Outcome::Terminated);

    let mut job = job.page(200, ONE);

    job.run()
        .exits(Outcome::Published)
        .publishes(&json!([{"id": 1}]));
}

#[test]
fn after_a_killed_run_the_next_one_cleans_up_and_publishes() {
    let mut job = Job::new().old(ONE).reply(Reply::silence());
    job.start().has_asked(1).signalled(Signal::KILL).is_killed();
    let staging = |job: &Job| {
        let entries = std::fs::read_dir(job.output()).unwrap().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(".staging-"))
            .count()
    };
    assert_eq!(staging(&job), 1, "a killed run leaves its staging folder");

    let mut job = job.page(200, r#"[{"id":2}]"#);

    job.run()
        .exits(Outcome::Published)
        .publishes(&json!([{"id": 2}]));
    assert_eq!(staging(&job), 0);
}

#[test]
fn a_second_run_of_the_same_job_is_75_at_once_and_says_who_holds_the_lock() {
    let mut job = Job::new().reply(Reply::silence());
    let first = job.start().has_asked(1);

    let second = first.job().tidegate(["run"]);
    let last_run = first.job().output().join("last-run.json").exists();

    second.exits(75).stderr_has("lock").stderr_has("pid");
    assert!(!last_run, "the loser of a lock writes no last-run.json");
    first
        .signalled(Signal::TERM)
        .ends()
        .exits(Outcome::Terminated);
}

#[test]
fn a_second_run_may_be_skipped_instead() {
    let mut job = Job::new().set("ON_OVERLAP", "skip").reply(Reply::silence());
    let first = job.start().has_asked(1);

    let second = first.job().tidegate(["run"]);

    second.exits(0).stdout_has("run finished");
    assert_eq!(second.stderr, "");
    first
        .signalled(Signal::TERM)
        .ends()
        .exits(Outcome::Terminated);
}

#[test]
fn a_closed_stdout_changes_nothing() {
    let script = "{ sleep 0.2; \"$@\"; echo \"code $?\" >&2; } | true";
    let mut job = Job::new().page(200, ONE).launched_by(script);

    let ended = job.start().ends_unchecked();

    assert_eq!(ended.stderr, "code 0\n");
    assert_eq!(job.view().file("latest.json"), Some("[\n{\"id\":1}\n]\n"));
}
