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
fn a_component_that_computes_while_its_request_is_under_way_gets_its_answer() {
    let server = Server::start(|_| Reply::new(200, "[]"));
    let origin = server.origin();

    let run = Job::misbehaving("ask-without-waiting")
        .set("SOURCE_ASK", &origin)
        .set("ALLOW_HOSTS", &origin)
        .run();

    run.exits(Outcome::Published);
    assert_eq!(server.seen().len(), 1);
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
fn no_header_that_is_believed_of_somebody_else_is_taken_from_the_settings() {
    for name in [
        "X-HTTP-Method-Override",
        "X_HTTP_Method_Override",
        "X-Original-URL",
        "X-Forwarded-Host",
        "Forwarded",
        "Via",
        "Metadata-Flavor",
        "X-aws-ec2-metadata-token",
        "Sec-Fetch-Site",
        "Proxy-Authorization",
        "Early-Data",
        "TE",
    ] {
        let run = Job::new()
            .set("SOURCE_HEADERS", &format!("{name}: forged"))
            .run();

        run.exits(Outcome::Settings)
            .asked(0)
            .stderr_has("SOURCE_HEADERS")
            .stderr_has("remove it");
    }
}

/// What becomes of a request that is not as requests are.
enum Odd {
    /// The run ends with 77.
    Denied(&'static str),
    /// It cannot be made at all: the component is told.
    Unmade,
    /// It is sent, with this first line.
    Sent(&'static str),
}

#[test]
fn an_odd_method_authority_or_target_is_refused_or_sent_as_what_it_means() {
    use Odd::{Denied, Sent, Unmade};
    // `AT` is the authority of the source, `PORT` its port.
    for (method, authority, target, odd) in [
        ("GET", "AT", "/a?b=c", Sent("GET /a?b=c ")),
        ("get", "AT", "/", Denied("method `get`")),
        ("DELETE", "AT", "/", Denied("method `DELETE`")),
        ("CONNECT", "AT", "/", Denied("method `CONNECT`")),
        ("TRACE", "AT", "/", Denied("method `TRACE`")),
        ("Get /x HTTP/1.1", "AT", "/", Unmade),
        ("GET", "AT", "/a\r\nX: y", Unmade),
        ("GET", "AT", "/a b", Unmade),
        ("GET", "AT", "/a#part", Sent("GET /a ")),
        (
            "GET",
            "AT",
            "//other.example/x",
            Sent("GET //other.example/x "),
        ),
        ("GET", "AT", "http://other.example/x", Unmade),
        ("GET", "AT", "other.example:443", Unmade),
        (
            "GET",
            "AT",
            "/\u{e9}?\u{202e}",
            Sent("GET /%C3%A9?%E2%80%AE "),
        ),
        ("GET", "AT", "*", Unmade),
        ("GET", "AT", "?q", Sent("GET /?q ")),
        ("GET", "AT", "/../../x", Sent("GET /../../x ")),
        ("GET", "user@AT", "/", Denied("user or password")),
        ("GET", "AT@other.example", "/", Denied("user or password")),
        ("GET", "AT#", "/", Unmade),
        ("GET", "AT\\@other.example", "/", Unmade),
        ("GET", "AT:80", "/", Unmade),
        ("GET", "AT ", "/", Unmade),
        ("GET", "127.0.0.1:0PORT", "/", Sent("GET / ")),
        ("GET", "0x7f.1:PORT", "/", Sent("GET / ")),
        ("GET", "127.0.0.1:", "/", Denied("`http://127.0.0.1`")),
        ("GET", "localhost.:PORT", "/", Denied("`http://localhost.:")),
        ("GET", "[::ffff:7f00:1]:PORT", "/", Denied("ALLOW_HOSTS")),
        ("GET", "[::1%25lo]:PORT", "/", Denied("no valid host")),
        ("GET", "127.0.0.1:99999", "/", Denied("no valid host")),
    ] {
        let job = Job::misbehaving("ask-oddly").api(|_| Reply::new(200, "[]"));
        let at = job.server.origin().trim_start_matches("http://").to_owned();
        let port = at.rsplit(':').next().unwrap_or_default();
        let authority = authority.replace("AT", &at).replace("PORT", port);
        let ask = format!("{method}\n{authority}\n{target}");
        eprintln!("asking {ask:?}");

        let run = { job }.set("SOURCE_ASK", &ask).run();

        match odd {
            Denied(why) => {
                run.exits(Outcome::Denied).asked(0).stderr_has(why);
            }
            Unmade => {
                run.exits(Outcome::Published).asked(0);
                assert!(run.stdout.contains("not asked"), "{ask:?}: {}", run.stdout);
            }
            Sent(line) => {
                run.exits(Outcome::Published).asked(1);
                let head = String::from_utf8_lossy(&run.requests[0].head).into_owned();
                assert!(head.starts_with(line), "{ask:?}: {head}");
                assert!(
                    head.to_lowercase().contains(&format!("host: {at}\r\n")),
                    "{head}"
                );
            }
        }
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
fn not_more_than_ten_requests_are_open_at_once() {
    let mut job = Job::misbehaving("open-many")
        .set("SOURCE_ASK", "{server}/")
        .set("RUN_DEADLINE", "20s");
    job = job.api(|_| Reply::silence());

    let running = job.start().has_asked(10);
    // Long enough for another one to come, were it let out.
    std::thread::sleep(Duration::from_millis(500));
    let asked = running.job().server.seen().len();
    let run = running.signalled(Signal::TERM).ends();

    run.exits(Outcome::Terminated);
    assert_eq!(asked, 10);
}
