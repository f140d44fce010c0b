//! Bodies that end too early, too late, or never, and what comes after them.

use std::time::Duration;

use tidegate::outcome::Outcome::ProtocolBroken;

use super::fault::Effect::{Harmless, Passes, Stalls, Stays};
use super::fault::{Fault, answer};
use super::hold;
use crate::server::Reply;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
/// A chunk of 1 KiB of white space: JSON may go on for ever like that.
const BLANKS: &[u8] = &blanks();

#[test]
fn a_body_that_is_not_whole_is_never_a_page() {
    hold(endings());
}

#[test]
fn a_body_without_end_ends_the_run() {
    hold(endless());
}

#[test]
fn what_follows_an_answer_is_nobodys_answer() {
    hold(vec![
        answer(
            "the connection is closed though it was to be kept",
            Harmless,
            |page| page.reply().closed(),
        ),
        answer(
            "the connection is kept though it was to be closed",
            Harmless,
            |page| page.reply().header("connection", "close"),
        ),
        answer("junk after the answer", Harmless, |page| {
            page.reply().followed_by("junk")
        }),
        answer(
            "an answer that nobody asked for after the answer",
            Harmless,
            |page| {
                page.reply()
                    .followed_by("HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n[{\"planted\": 1}]")
            },
        ),
    ]);
}

fn endings() -> Vec<Fault> {
    let chunk = |name: &str, size: &'static str| {
        answer(name, Stays(ProtocolBroken), move |page| {
            let body = page.body();
            page.linked(Reply::raw(format!(
                "{CHUNKED}{size}\r\n{body}\r\n0\r\n\r\n"
            )))
        })
        .says("not valid HTTP")
    };
    vec![
        answer(
            "reset before the first byte",
            Passes(ProtocolBroken),
            |page| page.reply().reset_after(0),
        ),
        answer("reset in the middle", Passes(ProtocolBroken), |page| {
            page.reply().reset_after(page.body().len() / 2)
        }),
        answer(
            "reset before the last byte",
            Passes(ProtocolBroken),
            |page| page.reply().reset_after(page.body().len() - 1),
        ),
        answer("reset after the last byte", Harmless, |page| {
            page.reply().reset_after(page.body().len())
        }),
        answer("closed in the middle", Passes(ProtocolBroken), |page| {
            page.reply().cut_after(page.body().len() / 2)
        }),
        answer("the length is too long", Passes(ProtocolBroken), |page| {
            let length = page.body().len() + 10;
            page.reply()
                .header("content-length", length.to_string())
                .closed()
        }),
        answer(
            "the length is too long, nothing is closed",
            Stalls,
            |page| {
                let length = page.body().len() + 10;
                page.reply().header("content-length", length.to_string())
            },
        ),
        answer("the length is too short", Stays(ProtocolBroken), |page| {
            page.reply().header("content-length", "20").closed()
        })
        .says("not JSON"),
        answer("no chunk at all", Passes(ProtocolBroken), |page| {
            page.reply().chunked(7).cut_after(0)
        }),
        answer("closed within a chunk", Passes(ProtocolBroken), |page| {
            page.reply().chunked(7).cut_after(6)
        }),
        answer(
            "closed between two chunks",
            Passes(ProtocolBroken),
            |page| page.reply().chunked(7).cut_after(12),
        ),
        answer(
            "closed before the last chunk",
            Passes(ProtocolBroken),
            |page| {
                let size = format!("{:x}", page.body().len());
                page.reply()
                    .chunked(1000)
                    .cut_after(page.body().len() + size.len() + 4)
            },
        ),
        chunk("a chunk size that is no number", "xyz"),
        chunk("no chunk size", ""),
        chunk("a negative chunk size", "-5"),
        chunk("a chunk size beyond 64 bits", "fffffffffffffffff0"),
        chunk("a chunk size that is too small", "5"),
        answer("stalls before the first byte", Stalls, |page| {
            page.reply().stalled_after(0)
        }),
        answer("stalls in the middle", Stalls, |page| {
            page.reply().stalled_after(20)
        }),
        answer("stalls before the last chunk", Stalls, |page| {
            let size = format!("{:x}", page.body().len());
            page.reply()
                .chunked(1000)
                .stalled_after(page.body().len() + size.len() + 4)
        }),
        answer("one byte a second", Stalls, |page| {
            page.reply().dripping(1, Duration::from_secs(1))
        }),
        answer("no byte", Stays(ProtocolBroken), |page| page.with("")).says("empty"),
    ]
}

fn endless() -> Vec<Fault> {
    vec![
        answer("chunks without end", Stays(ProtocolBroken), |_| {
            Reply::raw(CHUNKED).flooding(BLANKS)
        })
        .says("response_wire_bytes"),
        answer("no length and no end", Stays(ProtocolBroken), |_| {
            Reply::raw("HTTP/1.1 200 OK\r\n\r\n").flooding(BLANKS)
        })
        .says("response_wire_bytes"),
    ]
}

const fn blanks() -> [u8; 7 + 1024] {
    let mut chunk = [b' '; 7 + 1024];
    let (size, mut at) = (b"400\r\n", 0);
    while at < size.len() {
        chunk[at] = size[at];
        at += 1;
    }
    chunk[5 + 1024] = b'\r';
    chunk[6 + 1024] = b'\n';
    chunk
}
