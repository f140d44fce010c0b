//! Redirects: round and round, too far, and to where nobody may go.

use std::sync::Arc;

use tidegate::outcome::Outcome::{Denied, ProtocolBroken};

use super::fault::Effect::{Harmless, Stays};
use super::fault::{Fault, answer};
use super::hold;
use crate::server::{Reply, Server};

/// A page's own request, and five redirects.
const REQUESTS_MAX: usize = 6;

#[test]
fn a_redirect_leads_at_most_five_steps_and_only_where_it_may() {
    hold(faults());
}

#[test]
fn a_redirect_from_https_to_http_is_76() {
    let foreign = foreign();
    let down = foreign.origin();

    hold(vec![
        answer("down to http", Stays(ProtocolBroken), move |_| to(&down))
            .says("downgrade from https to http")
            .never_reaches(foreign)
            .over_tls(),
    ]);
}

fn faults() -> Vec<Fault> {
    let denied = |url: &'static str| {
        answer(&format!("to {url}"), Stays(Denied), move |_| to(url)).says("ALLOW_HOSTS")
    };
    let (foreign, friend) = (foreign(), friend());
    let (to_foreign, to_friend) = (
        foreign.origin(),
        format!("{}/by?back={{server}}/back", friend.origin()),
    );
    vec![
        answer("round and round", Stays(ProtocolBroken), |_| to("/round"))
            .elsewhere(|_, _| to("/round"))
            .takes(REQUESTS_MAX)
            .says("redirects"),
        answer("a chain of 20", Stays(ProtocolBroken), |_| to("/hop?n=1"))
            .elsewhere(|request, page| match hop(request.query("n")) {
                20 => page.reply(),
                n => to(&format!("/hop?n={}", n + 1)),
            })
            .takes(REQUESTS_MAX)
            .says("redirects"),
        answer("a chain of 6", Stays(ProtocolBroken), |_| to("/hop?n=1"))
            .elsewhere(|request, page| match hop(request.query("n")) {
                6 => page.reply(),
                n => to(&format!("/hop?n={}", n + 1)),
            })
            .takes(REQUESTS_MAX)
            .says("redirects"),
        answer("a chain of 5", Harmless, |_| to("/hop?n=1"))
            .elsewhere(|request, page| match hop(request.query("n")) {
                5 => page.reply(),
                n => to(&format!("/hop?n={}", n + 1)),
            })
            .takes(REQUESTS_MAX),
        answer("nowhere", Stays(ProtocolBroken), |_| Reply::new(302, "")).says("nowhere"),
        answer("to what is no URL", Stays(ProtocolBroken), |_| {
            to("http://[")
        })
        .says("no URL"),
        answer("to a file", Stays(ProtocolBroken), |_| {
            to("file:///etc/passwd")
        })
        .says("`file`"),
        answer("to data", Stays(ProtocolBroken), |_| {
            to("data:application/json,[]")
        })
        .says("`data`"),
        answer("to a user name", Stays(ProtocolBroken), |_| {
            to("http://user@127.0.0.1/")
        })
        .says("user name"),
        answer(
            "to another port of this machine",
            Stays(Denied),
            move |_| to(&to_foreign),
        )
        .says("ALLOW_HOSTS")
        .never_reaches(foreign),
        denied("http://169.254.169.254/latest/meta-data/"),
        denied("http://[::1]/"),
        denied("http://[::ffff:10.0.0.1]/"),
        denied("http://[fd00:ec2::254]/"),
        denied("http://10.0.0.1/"),
        denied("http://localhost/"),
        denied("http://2130706433/"),
        denied("http://0x7f.1/"),
        denied("//other.example/items"),
        denied("https://127.0.0.1/"),
        answer("to another host that is allowed", Harmless, move |_| {
            to(&to_friend)
        })
        .elsewhere(|_, page| page.reply())
        .set("ALLOW_HOSTS", &friend.origin())
        .without_credential_at(friend)
        .takes(2),
    ]
}

fn to(url: &str) -> Reply {
    Reply::new(302, "").header("location", url)
}

fn hop(n: Option<String>) -> u32 {
    n.and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Somebody who is not to be asked.
fn foreign() -> Arc<Server> {
    Arc::new(Server::start(|_| Reply::new(200, "[]")))
}

/// Somebody who sends back where the request came from: `/by?back=URL`.
fn friend() -> Arc<Server> {
    Arc::new(Server::start(|request| {
        to(&request.query("back").unwrap_or_default())
    }))
}
