//! Statuses, and answers that are no page though their status says so.

use tidegate::outcome::Outcome::{Denied, ProtocolBroken, SourceRefused, TryLater};

use super::fault::Effect::{Harmless, Passes, Stays};
use super::fault::{Effect, Fault, answer};
use super::hold;
use crate::server::Reply;

/// Everything that a source may say in place of 200.
const STATUSES: [(u16, Effect); 28] = [
    (201, Stays(ProtocolBroken)),
    (204, Stays(ProtocolBroken)),
    (206, Stays(ProtocolBroken)),
    (300, Stays(ProtocolBroken)),
    (304, Stays(ProtocolBroken)),
    (400, Stays(SourceRefused)),
    (401, Stays(Denied)),
    (402, Stays(SourceRefused)),
    (403, Stays(Denied)),
    (404, Stays(SourceRefused)),
    (408, Passes(TryLater)),
    (409, Stays(SourceRefused)),
    (410, Stays(SourceRefused)),
    (413, Stays(SourceRefused)),
    (418, Stays(SourceRefused)),
    (422, Stays(SourceRefused)),
    (425, Passes(TryLater)),
    (429, Passes(TryLater)),
    (451, Stays(SourceRefused)),
    (500, Passes(TryLater)),
    (501, Stays(TryLater)),
    (502, Passes(TryLater)),
    (503, Passes(TryLater)),
    (504, Passes(TryLater)),
    (505, Stays(TryLater)),
    (522, Passes(TryLater)),
    (524, Passes(TryLater)),
    (599, Stays(TryLater)),
];

#[test]
fn every_status_is_retried_or_not_as_the_table_says() {
    hold(of_every_status());
}

pub(super) fn of_every_status() -> Vec<Fault> {
    let of_status = |(status, effect): (u16, Effect)| {
        let body = if status == 204 || status == 304 {
            ""
        } else {
            "{}"
        };
        answer(&format!("status {status}"), effect, move |_| {
            Reply::new(status, body)
        })
        .says(&status.to_string())
    };

    STATUSES.map(of_status).into()
}

#[test]
fn what_is_said_with_a_status_counts() {
    hold(faults());
}

fn faults() -> Vec<Fault> {
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";
    vec![
        answer("403 that limits a rate", Passes(TryLater), |_| {
            Reply::new(403, "{}").header("x-ratelimit-remaining", "0")
        }),
        answer("a storm of 1xx before the answer", Harmless, move |page| {
            page.reply().preceded_by(early.repeat(100))
        }),
        answer("101 that nobody asked for", Stays(ProtocolBroken), |_| {
            Reply::raw(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
            )
        }),
        answer("200 with an error in JSON", Stays(ProtocolBroken), |page| {
            page.with(r#"{"error":"database is down"}"#)
        })
        .says("an array of records"),
        answer("200 with a login page", Stays(ProtocolBroken), |page| {
            page.with("<!doctype html><title>Log in</title>")
                .header("content-type", "text/html")
        })
        .says("HTML"),
        answer(
            "200 with a login page that says it is JSON",
            Stays(ProtocolBroken),
            |page| page.with("<html><body>Log in</body></html>"),
        )
        .says("HTML"),
    ]
}
