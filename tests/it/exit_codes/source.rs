//! The codes that come from the source: 69, 75, 76, 77.

use std::net::TcpListener;
use std::time::Duration;

use tidegate::outcome::Outcome;

use crate::server::{Reply, Server};
use crate::world::Job;

/// A deadline after the first request of a run on a busy machine.
const LATE: &str = "4s";

const ONE: &str = r#"[{"id":1}]"#;

#[test]
fn an_answer_404_is_69_and_is_not_asked_for_again() {
    let run = Job::new().old(ONE).page(404, "{}").run();

    run.exits(Outcome::SourceRefused)
        .asked(1)
        .publishes_nothing()
        .stderr_has("404");
}

#[test]
fn an_answer_410_is_69() {
    Job::new()
        .page(410, "{}")
        .run()
        .exits(Outcome::SourceRefused)
        .asked(1)
        .stderr_has("410");
}

#[test]
fn an_answer_422_on_page_two_is_69_and_leaves_the_old_data() {
    let run = Job::new()
        .old(ONE)
        .set("SOURCE_PAGINATION", "link")
        .reply(Reply::new(200, ONE).next("{server}/items?page=2"))
        .page(422, "{}")
        .run();

    run.exits(Outcome::SourceRefused)
        .publishes_nothing()
        .stderr_has("page 2");
}

#[test]
fn a_source_that_is_not_there_is_75() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{gone}/items");

    let run = Job::new()
        .old(ONE)
        .then(|job| job.set("SOURCE_API_URL", &url).set("MAX_RETRIES", "1"))
        .run();

    run.exits(Outcome::TryLater)
        .publishes_nothing()
        .stderr_has(&gone.to_string());
}

#[test]
fn an_answer_503_is_75_after_all_retries() {
    let run = Job::new()
        .old(ONE)
        .set("MAX_RETRIES", "2")
        .page(503, "")
        .page(503, "")
        .page(503, "")
        .run();

    run.exits(Outcome::TryLater)
        .asked(3)
        .publishes_nothing()
        .stderr_has("503");
    assert!(
        !run.warnings().is_empty(),
        "each retry is a warning: {}",
        run.stdout
    );
}

#[test]
fn an_answer_429_is_75_after_all_retries() {
    let run = Job::new()
        .set("MAX_RETRIES", "1")
        .reply(Reply::new(429, "").header("retry-after", "1"))
        .page(429, "")
        .run();

    run.exits(Outcome::TryLater).asked(2).stderr_has("429");
    assert!(
        run.took >= Duration::from_secs(1),
        "`Retry-After: 1` is waited for"
    );
}

#[test]
fn a_retry_after_beyond_the_run_is_75_at_once() {
    let run = Job::new()
        .reply(Reply::new(429, "").header("retry-after", "86400"))
        .run();

    run.exits(Outcome::TryLater).asked(1).stderr_has("429");
}

#[test]
fn a_403_that_is_a_rate_limit_is_75() {
    let limited = Reply::new(403, "").header("x-ratelimit-remaining", "0");

    Job::new()
        .set("MAX_RETRIES", "0")
        .reply(limited)
        .run()
        .exits(Outcome::TryLater)
        .asked(1);
}

#[test]
fn one_503_is_nothing_that_a_run_fails_for() {
    let run = Job::new().page(503, "").page(200, ONE).run();

    run.exits(Outcome::Published).asked(2);
}

#[test]
fn a_silent_source_is_75_at_the_deadline() {
    let run = Job::new()
        .old(ONE)
        .then(|job| job.set("RUN_DEADLINE", LATE))
        .reply(Reply::silence())
        .run();

    run.exits(Outcome::TryLater)
        .publishes_nothing()
        .stderr_has("RUN_DEADLINE");
    assert!(run.took < Duration::from_secs(20), "{:?}", run.took);
}

#[test]
fn an_answer_that_stalls_is_75_at_the_deadline() {
    let stalled = Reply::new(200, ONE).stalled_after(4);

    let run = Job::new().set("RUN_DEADLINE", LATE).reply(stalled).run();

    run.exits(Outcome::TryLater).publishes_nothing();
}

#[test]
fn an_answer_that_drips_is_75_at_the_deadline() {
    let dripping = Reply::new(200, "[]".repeat(2_000)).dripping(1, Duration::from_millis(20));

    let run = Job::new().set("RUN_DEADLINE", LATE).reply(dripping).run();

    run.exits(Outcome::TryLater).publishes_nothing();
}

#[test]
fn an_answer_that_is_not_json_is_76() {
    let page =
        Reply::new(200, "<!doctype html><title>Log in</title>").header("content-type", "text/html");

    let run = Job::new().old(ONE).reply(page).run();

    run.exits(Outcome::ProtocolBroken)
        .asked(1)
        .publishes_nothing()
        .stderr_has("HTML");
}

#[test]
fn json_with_something_behind_it_is_76() {
    Job::new()
        .page(200, r#"[{"id":1}] [{"id":2}]"#)
        .run()
        .exits(Outcome::ProtocolBroken)
        .asked(1);
}

#[test]
fn an_answer_without_the_records_is_76_and_names_what_there_is() {
    let run = Job::new()
        .page(200, r#"{"total":1,"items":[{"id":1}]}"#)
        .run();

    run.exits(Outcome::ProtocolBroken)
        .stderr_has("SOURCE_RECORDS")
        .stderr_has("/items");
}

#[test]
fn an_answer_that_is_cut_off_every_time_is_76() {
    let cut = || Reply::new(200, r#"[{"id":1},{"id":2}]"#).cut_after(10);

    let run = Job::new()
        .old(ONE)
        .set("MAX_RETRIES", "1")
        .reply(cut())
        .reply(cut())
        .run();

    run.exits(Outcome::ProtocolBroken)
        .asked(2)
        .publishes_nothing();
}

#[test]
fn an_answer_in_chunks_without_the_last_one_is_76() {
    // Three bytes short of the last chunk: what came is complete JSON, and it is not the complete answer.
    let cut = Reply::new(200, ONE).chunked(4);
    let whole_bytes = ONE.len() + ONE.len().div_ceil(4) * 5;

    let run = Job::new()
        .set("MAX_RETRIES", "0")
        .reply(cut.cut_after(whole_bytes))
        .run();

    run.exits(Outcome::ProtocolBroken).publishes_nothing();
}

#[test]
fn one_answer_that_is_cut_off_is_asked_for_again() {
    let run = Job::new()
        .reply(Reply::new(200, ONE).cut_after(3))
        .page(200, ONE)
        .run();

    run.exits(Outcome::Published).asked(2);
}

#[test]
fn one_reset_connection_is_asked_for_again() {
    Job::new()
        .reply(Reply::reset())
        .page(200, ONE)
        .run()
        .exits(Outcome::Published)
        .asked(2);
}

#[test]
fn garbage_instead_of_http_is_76() {
    let run = Job::new()
        .set("MAX_RETRIES", "0")
        .reply(Reply::raw("SSH-2.0-OpenSSH_9.2\r\n\r\n"))
        .run();

    run.exits(Outcome::ProtocolBroken).publishes_nothing();
}

#[test]
fn pages_that_go_round_in_a_circle_are_76() {
    let run = Job::new()
        .old(ONE)
        .set("SOURCE_PAGINATION", "link")
        .reply(Reply::new(200, ONE).next("{server}/items?page=2"))
        .reply(Reply::new(200, r#"[{"id":2}]"#).next("{server}/items"))
        .run();

    run.exits(Outcome::ProtocolBroken).publishes_nothing();
}

#[test]
fn more_pages_than_max_pages_are_76() {
    let mut job = Job::new()
        .set("SOURCE_PAGINATION", "link")
        .set("MAX_PAGES", "3");
    job = job.api(|request| {
        let page: u32 = request
            .query("page")
            .map_or(1, |page| page.parse().unwrap());
        let next = format!("{{server}}/items?page={}", page + 1);
        Reply::new(200, format!(r#"[{{"id":{page}}}]"#)).next(&next)
    });

    let run = job.run();

    run.exits(Outcome::ProtocolBroken)
        .asked(3)
        .stderr_has("MAX_PAGES");
}

#[test]
fn a_redirect_is_followed() {
    let moved = Reply::new(301, "").header("location", "/elsewhere?a=b");

    let run = Job::new().reply(moved).page(200, ONE).run();

    run.exits(Outcome::Published);
    assert_eq!(run.requests[1].target, "/elsewhere?a=b");
}

#[test]
fn more_than_five_redirects_are_76() {
    let mut job = Job::new();
    job = job.api(|request| {
        let hop: u32 = request.query("hop").map_or(0, |hop| hop.parse().unwrap());
        Reply::new(302, "").header("location", format!("/items?hop={}", hop + 1))
    });

    let run = job.run();

    run.exits(Outcome::ProtocolBroken).asked(6);
}

#[test]
fn an_answer_larger_than_allowed_is_76() {
    let page = format!("[{}{{}}]", "{},".repeat(20_000));
    let job = Job::new()
        .old(ONE)
        .then(|job| job.set("MAX_RESPONSE_BYTES", "32KiB"));
    let mut job = job.page(200, &page);

    job.run()
        .exits(Outcome::ProtocolBroken)
        .asked(1)
        .publishes_nothing()
        .stderr_has("more than 32768; ask for less in one page, or raise MAX_RESPONSE_BYTES");

    let mut job = job.set("MAX_RESPONSE_BYTES", "64KiB").page(200, &page);
    job.run().exits(Outcome::Published);
}

#[test]
fn a_record_larger_than_allowed_is_65() {
    let record = format!(r#"[{{"id":1,"text":"{}"}}]"#, "x".repeat(2_000));
    let mut job = Job::new()
        .set("MAX_RECORD_BYTES", "1KiB")
        .page(200, &record);

    job.run()
        .exits(Outcome::GateRefused)
        .asked(1)
        .publishes_nothing()
        .stderr_has("more than the 1024 of MAX_RECORD_BYTES");

    let mut job = job.set("MAX_RECORD_BYTES", "2KiB").page(200, &record);
    job.run().exits(Outcome::Published);
}

#[test]
fn a_source_that_takes_longer_than_its_timeout_is_75() {
    let mut job = Job::new()
        .set("SOURCE_TIMEOUT", "1s")
        .set("MAX_RETRIES", "0")
        .api(|_| {
            std::thread::sleep(Duration::from_secs(4));
            Reply::new(200, "[]")
        });

    job.run()
        .exits(Outcome::TryLater)
        .publishes_nothing()
        .stderr_has("no answer within 1 s (SOURCE_TIMEOUT)");
}

#[test]
fn an_answer_401_is_77() {
    let run = Job::new().old(ONE).page(401, "{}").run();

    run.exits(Outcome::Denied)
        .asked(1)
        .publishes_nothing()
        .stderr_has("401");
}

#[test]
fn an_answer_403_is_77() {
    Job::new()
        .page(403, "{}")
        .run()
        .exits(Outcome::Denied)
        .asked(1)
        .stderr_has("403");
}

#[test]
fn a_next_link_to_another_origin_is_77_and_nobody_is_asked() {
    let foreign = Server::start(|_| Reply::new(200, "[]"));
    let link = format!("{}/steal", foreign.origin());

    let run = Job::new()
        .old(ONE)
        .set("SOURCE_PAGINATION", "link")
        .reply(Reply::new(200, ONE).next(&link))
        .run();

    run.exits(Outcome::Denied)
        .publishes_nothing()
        .stderr_has("ALLOW_HOSTS")
        .stderr_has(&foreign.origin());
    assert!(foreign.seen().is_empty());
}

#[test]
fn a_redirect_to_another_origin_is_77_and_nobody_is_asked() {
    let foreign = Server::start(|_| Reply::new(200, "[]"));

    let run = Job::new()
        .reply(Reply::new(302, "").header("location", foreign.origin()))
        .run();

    run.exits(Outcome::Denied)
        .publishes_nothing()
        .stderr_has("ALLOW_HOSTS");
    assert!(foreign.seen().is_empty());
}

#[test]
fn an_allowed_origin_is_asked_without_the_credential() {
    let friend = Server::start(|_| Reply::new(200, ONE));

    let run = Job::new()
        .set("ALLOW_HOSTS", &friend.origin())
        .reply(Reply::new(302, "").header("location", friend.origin()))
        .run();

    run.exits(Outcome::Published);
    assert_eq!(friend.seen().len(), 1);
    assert_eq!(friend.seen()[0].header("authorization"), None);
}
