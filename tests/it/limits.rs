//! Components that take what they are not given, or say what is not so: each is refused, with the old generation intact.
//!
//! What they do is in `tests/guests`; the rows of the exit-code table that belong to a component are in `exit_codes`.

use std::time::Duration;

use serde_json::json;
use tidegate::outcome::Outcome;

use crate::server::{Reply, Server};
use crate::world::{Job, Run, guests};

const ONE: &str = r#"[{"id":1}]"#;
const MIB: u64 = 1024 * 1024;

/// Runs the misbehaving component, which must fail like this and leave what was published.
fn is_refused(behaviour: &str, outcome: Outcome, told: &str) -> Run {
    let run = Job::misbehaving(behaviour).old(ONE).run();

    run.exits(outcome).publishes_nothing().stderr_has(told);
    run
}

/// The same for one that breaks the contract.
fn breaks_the_contract(behaviour: &str, told: &str) {
    is_refused(behaviour, Outcome::ComponentFailed, told);
}

#[test]
fn a_loop_of_host_calls_ends_at_the_cpu_limit() {
    let run = Job::misbehaving("loop-in-host-calls")
        .old(ONE)
        .set("CPU_LIMIT", "1s")
        .run();

    run.exits(Outcome::ComponentFailed)
        .publishes_nothing()
        .stderr_has("CPU_LIMIT");
}

#[test]
fn a_loop_ends_at_the_deadline_too() {
    let mut job = Job::misbehaving("loop").old(ONE).set("RUN_DEADLINE", "30s");
    job = job.then(|job| job.set("RUN_DEADLINE", "1s"));

    let run = job.run();

    run.exits(Outcome::TryLater)
        .publishes_nothing()
        .stderr_has("RUN_DEADLINE");
    assert!(run.took < Duration::from_secs(20), "{:?}", run.took);
}

#[test]
fn a_component_that_sleeps_ends_at_the_deadline_and_uses_no_cpu() {
    let run = Job::misbehaving("sleep").set("RUN_DEADLINE", "2s").run();

    run.exits(Outcome::TryLater).stderr_has("RUN_DEADLINE");
    assert!(
        run.summary()["component_cpu_ms"]
            .as_u64()
            .is_some_and(|cpu_ms| cpu_ms < 1_000),
        "{}",
        run.stdout
    );
}

#[test]
fn endless_recursion_is_a_trap() {
    is_refused("recurse", Outcome::ComponentFailed, "stack");
}

#[test]
fn a_panic_says_why_in_the_log_or_traps_without_a_word() {
    is_refused("panic", Outcome::ComponentFailed, "trapped");
}

#[test]
fn memory_beyond_the_limit_is_never_taken_from_the_machine() {
    let idle = Job::misbehaving("sleep").set("RUN_DEADLINE", "2s").run();

    let run = Job::misbehaving("eat-memory")
        .old(ONE)
        .set("MEMORY_LIMIT", "128MiB")
        .run();

    run.exits(Outcome::ComponentFailed)
        .publishes_nothing()
        .stderr_has("MEMORY_LIMIT");
    let allowed = idle.memory_peak_bytes + (128 + 64) * MIB;
    assert!(
        run.memory_peak_bytes < allowed,
        "{} MiB",
        run.memory_peak_bytes / MIB
    );
}

#[test]
fn a_huge_list_is_refused_before_it_is_copied() {
    let run = is_refused("pass-a-huge-list", Outcome::ComponentFailed, "tidegate");

    // 100 MiB in the component itself, and no copy of it here.
    assert!(
        run.memory_peak_bytes < 220 * MIB,
        "{} MiB",
        run.memory_peak_bytes / MIB
    );
}

#[test]
fn handles_are_not_hoarded() {
    is_refused("hoard-handles", Outcome::ComponentFailed, "tidegate");
}

#[test]
fn a_flood_of_headers_is_refused() {
    let run = is_refused("send-a-header-flood", Outcome::ComponentFailed, "tidegate");

    assert!(
        run.memory_peak_bytes < 128 * MIB,
        "{} MiB",
        run.memory_peak_bytes / MIB
    );
}

#[test]
fn describe_has_limits_of_its_own() {
    for (word, told) in [("loop", "CPU"), ("memory", "memory"), ("trap", "trapped")] {
        let run = Job::new()
            .component(&guests::describing(word))
            .old(ONE)
            .run();

        run.exits(Outcome::ComponentFailed)
            .asked(0)
            .publishes_nothing()
            .stderr_has(told);
    }
}

#[test]
fn a_description_that_cannot_be_used_is_refused() {
    for (word, told) in [("crowd", "200"), ("rename", "unusable name")] {
        let run = Job::new()
            .component(&guests::describing(word))
            .old(ONE)
            .run();

        run.exits(Outcome::Settings)
            .asked(0)
            .publishes_nothing()
            .stderr_has(told);
    }
}

#[test]
fn counts_that_are_not_true_break_the_contract() {
    for behaviour in [
        "count-too-many",
        "count-too-few",
        "count-deleted",
        "count-rejected",
    ] {
        breaks_the_contract(behaviour, "contract");
    }
}

#[test]
fn an_extent_that_is_not_true_breaks_the_contract() {
    breaks_the_contract("call-everything-changes", "replace");
    breaks_the_contract("stage-under-nothing-new", "nothing");
}

#[test]
fn a_state_that_cannot_be_kept_breaks_the_contract() {
    for behaviour in [
        "return-a-huge-state",
        "return-a-state-that-is-no-json",
        "return-an-empty-state",
    ] {
        breaks_the_contract(behaviour, "state");
    }
}

#[test]
fn staged_files_that_are_no_regular_files_of_their_own_are_refused() {
    for behaviour in [
        "stage-a-symbolic-link",
        "stage-a-hard-link",
        "stage-a-folder",
    ] {
        breaks_the_contract(behaviour, "records.ndjson");
    }
}

#[test]
fn files_that_were_not_agreed_are_refused() {
    breaks_the_contract("stage-one-file-more", "latest.json");
    breaks_the_contract("stage-many-files", ".ndjson");
}

#[test]
fn more_than_may_be_staged_is_refused_without_being_read() {
    let run = is_refused("stage-a-sparse-file", Outcome::ComponentFailed, "GiB");

    assert!(
        run.memory_peak_bytes < 128 * MIB,
        "{} MiB",
        run.memory_peak_bytes / MIB
    );
}

#[test]
fn lines_that_are_not_one_record_each_are_refused() {
    let behaviours = [
        "stage-a-number",
        "stage-an-array",
        "stage-two-on-a-line",
        "stage-half-a-record",
        "stage-no-utf-8",
        "stage-an-empty-line",
    ];
    for behaviour in behaviours {
        breaks_the_contract(behaviour, "records.ndjson");
    }
}

#[test]
fn staging_nothing_and_saying_so_is_an_empty_set() {
    Job::misbehaving("stage-nothing")
        .run()
        .exits(Outcome::Published)
        .publishes(&json!([]));
}

#[test]
fn no_name_leads_out_of_the_staging_folder() {
    let run = Job::misbehaving("reach-outside").run();

    run.exits(Outcome::Published).publishes(&json!([]));
}

#[test]
fn a_flood_of_log_lines_is_cut_and_counted() {
    let run = Job::misbehaving("flood-the-log").run();

    run.exits(Outcome::Published);
    assert!(run.events("component").len() <= 10_000);
    assert!(
        run.stdout.len() < 8 * 1024 * 1024,
        "{} bytes of log",
        run.stdout.len()
    );
    assert_eq!(run.events("component log cut").len(), 1);
}

#[test]
fn a_long_log_line_is_cut() {
    let run = Job::misbehaving("log-a-long-line").run();

    run.exits(Outcome::Published);
    assert!(
        run.stdout.len() < 64 * 1024,
        "{} bytes of log",
        run.stdout.len()
    );
    assert!(
        run.memory_peak_bytes < 128 * MIB,
        "{} MiB",
        run.memory_peak_bytes / MIB
    );
}

#[test]
fn a_log_line_is_text_and_never_a_line_of_ours() {
    // That nothing printed can steer a terminal is checked after every run.
    let run = Job::misbehaving("forge-log-lines").run();

    run.exits(Outcome::Published);
    assert!(run.events("component").len() >= 2, "{}", run.stdout);
}

#[test]
fn an_error_is_one_line_whatever_a_component_puts_into_it() {
    let run = is_refused("forge-an-error", Outcome::SourceRefused, "all is well");

    assert_eq!(run.last_run()["exit_code"], 69);
}

#[test]
fn a_cursor_is_shown_without_its_control_characters() {
    let run = Job::misbehaving("forge-the-cursor").run();

    run.exits(Outcome::Published);
}

#[test]
fn a_denial_is_not_hidden_by_a_component_that_says_nothing_of_it() {
    let other = Server::start(|_| Reply::new(200, "[]"));

    let run = Job::misbehaving("ask-and-say-nothing")
        .old(ONE)
        .set("SOURCE_ASK", &other.origin())
        .run();

    run.exits(Outcome::Denied)
        .publishes_nothing()
        .stderr_has("ALLOW_HOSTS")
        .stderr_has(&other.origin());
    assert!(other.seen().is_empty());
}

#[test]
fn a_denial_is_not_renamed_by_a_component() {
    let other = Server::start(|_| Reply::new(200, "[]"));

    let run = Job::misbehaving("ask-and-tell")
        .set("SOURCE_ASK", &other.origin())
        .run();

    run.exits(Outcome::Denied);
}

#[test]
fn no_other_way_to_write_an_address_is_granted() {
    let urls = [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://0.0.0.0/",
        "http://localhost/",
        "http://user@127.0.0.1/",
        "https://127.0.0.1/",
    ];
    for url in urls {
        let run = Job::misbehaving("ask-and-say-nothing")
            .set("SOURCE_ASK", url)
            .run();

        run.exits(Outcome::Denied).asked(0);
    }
}

#[test]
fn headers_that_are_the_hosts_are_not_taken_from_a_component() {
    let mut job = Job::misbehaving("set-reserved-headers")
        .set("SOURCE_ASK", "{server}/")
        .page(200, "[]");
    let bearer = format!("Bearer {}", job.key);

    let run = job.run();

    run.exits(Outcome::Published);
    let request = &run.requests[0];
    assert_eq!(request.header("authorization"), Some(bearer.as_str()));
    assert_eq!(
        request.header("host"),
        Some(job.server.origin().trim_start_matches("http://"))
    );
    assert_eq!(request.header("accept-encoding"), Some("gzip"));
    let head = String::from_utf8_lossy(&request.head).to_lowercase();
    for forged in ["forged", "chunked", "content-length", "zm9yz2vk"] {
        assert!(!head.contains(forged), "{head}");
    }
}

#[test]
fn an_answer_that_is_held_open_ends_at_the_deadline() {
    let job = Job::misbehaving("hold-an-answer-open")
        .set("SOURCE_ASK", "{server}/")
        .set("RUN_DEADLINE", "2s");

    let run = job.reply(Reply::new(200, ONE).stalled_after(4)).run();

    run.exits(Outcome::TryLater);
}

#[test]
fn not_more_than_six_requests_are_open_at_once() {
    let mut job = Job::misbehaving("open-many")
        .set("SOURCE_ASK", "{server}/")
        .set("RUN_DEADLINE", "3s");
    job = job.api(|_| Reply::silence());

    let run = job.run();

    run.exits(Outcome::TryLater).asked(6);
    assert_eq!(job.server.open_max(), 6);
}
