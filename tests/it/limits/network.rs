//! Components on the network: what is not granted is refused whatever they say of it, and what is the host's stays the
//! host's.

use std::time::Duration;

use rustix::process::Signal;
use tidegate::outcome::Outcome;

use crate::server::{Reply, Server};
use crate::world::Job;

const ONE: &str = r#"[{"id":1}]"#;

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
        let run = Job::misbehaving("ask-and-tell")
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
        .set("RUN_DEADLINE", "20s");
    job = job.api(|_| Reply::silence());

    let running = job.start().has_asked(6);
    // Long enough for a seventh to come, were it let out.
    std::thread::sleep(Duration::from_millis(500));
    let asked = running.job().server.seen().len();
    let run = running.signalled(Signal::TERM).ends();

    run.exits(Outcome::Terminated);
    assert_eq!(asked, 6);
}
