//! Heads: when to come back, how long the body is, and what is no head at all.

use jiff::{Timestamp, ToSpan as _};
use tidegate::outcome::Outcome::{ProtocolBroken, TryLater};

use super::fault::Effect::{Harmless, Passes, Stays};
use super::fault::{Effect, Fault, answer};
use super::hold;
use crate::server::Reply;

#[test]
fn retry_after_is_obeyed_in_every_form_or_not_at_all() {
    hold(vec![
        come_back("in a second", Passes(TryLater), || "1".to_owned()),
        come_back("at a date of RFC 9110", Passes(TryLater), || {
            soon("%a, %d %b %Y %H:%M:%S GMT")
        }),
        come_back("at a date of RFC 850", Passes(TryLater), || {
            soon("%A, %d-%b-%y %H:%M:%S GMT")
        }),
        come_back("at a date of asctime", Passes(TryLater), || {
            soon("%a %b %e %H:%M:%S %Y")
        }),
        come_back("before now", Passes(TryLater), || "-5".to_owned()),
        come_back("in 10^12 seconds", Stays(TryLater), || {
            "1000000000000".to_owned()
        })
        .says("1000000000000"),
        come_back("in more than 64 bits hold", Stays(TryLater), || {
            "9".repeat(40)
        }),
        come_back("some time", Passes(TryLater), || "soon".to_owned()),
        answer("Retry-After twice", Passes(TryLater), |_| {
            busy("0").one_more_header("retry-after", "1")
        }),
        answer("Retry-After twice, once too long", Stays(TryLater), |_| {
            busy("1").one_more_header("retry-after", "1000000000000")
        }),
    ]);
}

#[test]
fn a_head_that_two_readers_could_read_differently_is_76_at_once() {
    hold(faults());
}

fn faults() -> Vec<Fault> {
    let framed = |name: &str, lines: &'static str| {
        answer(name, Stays(ProtocolBroken), move |page| {
            Reply::raw(format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n{}", page.body()))
        })
        .says("not valid HTTP")
    };
    let raw = |name: &str, bytes: &'static [u8]| {
        answer(name, Stays(ProtocolBroken), move |_| Reply::raw(bytes)).says("not valid HTTP")
    };
    vec![
        framed("two lengths", "content-length: 5\r\ncontent-length: 66"),
        framed("two lengths in one line", "content-length: 5, 66"),
        framed(
            "a length and chunks",
            "content-length: 5\r\ntransfer-encoding: chunked",
        ),
        framed("a negative length", "content-length: -5"),
        framed("a length with a sign", "content-length: +5"),
        framed("a length that is no number", "content-length: five"),
        framed(
            "a length beyond 64 bits",
            "content-length: 99999999999999999999999",
        ),
        framed(
            "another coding than chunks",
            "transfer-encoding: gzip, chunked",
        ),
        framed("a line without a colon", "no colon here"),
        framed("a name with a space", "content length: 5"),
        framed("a NUL in a value", "x: a\0b"),
        framed("a line feed that ends no line", "x: a\rb"),
        raw("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        raw("HTML and no head", b"<html>hello</html>\r\n\r\n"),
        raw("nothing but line ends", b"\r\n\r\n\r\n\r\nx\r\n\r\n"),
        raw("noise", b"\xff\xfe\x00\x01\r\n\r\n\x80"),
        raw(
            "a frame of HTTP/2",
            b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\x10\0\0",
        ),
        answer("100 KB in one header", Stays(ProtocolBroken), |page| {
            page.reply().header("x", "a".repeat(100_000))
        })
        .says("response_head_bytes"),
        answer("10^5 headers", Stays(ProtocolBroken), |_| {
            Reply::raw(format!(
                "HTTP/1.1 200 OK\r\n{}\r\n",
                "x: y\r\n".repeat(100_000)
            ))
        })
        .says("response_head_bytes"),
        answer("headers without end", Stays(ProtocolBroken), |_| {
            Reply::raw("HTTP/1.1 200 OK\r\n").flooding(b"x: y\r\n")
        })
        .says("response_head_bytes"),
        answer("a length of a terabyte", Stays(ProtocolBroken), |page| {
            page.reply()
                .header("content-length", "1000000000000")
                .closed()
        })
        .says("response_wire_bytes"),
        answer("the same length twice", Harmless, |page| {
            let length = page.body().len().to_string();
            page.reply().one_more_header("content-length", length)
        }),
        answer("neither length nor chunks", Harmless, |page| {
            page.reply().unframed()
        }),
        answer("no Date", Harmless, |page| page.reply().dateless()),
        answer("a Date that is none", Harmless, |page| {
            page.reply().header("date", "the day after tomorrow")
        }),
        answer("a header that is not ASCII", Harmless, |page| {
            page.reply().header("x-motto", "naïve")
        }),
        answer(
            "a Link that cannot be read",
            Stays(ProtocolBroken),
            |page| page.reply().header("link", "<no end; rel=\"next\""),
        )
        .says("Link"),
    ]
}

/// Busy, with a `Retry-After`.
fn come_back(
    when: &str,
    effect: Effect,
    value: impl Fn() -> String + Send + Sync + 'static,
) -> Fault {
    let name = format!("Retry-After: {when}");
    answer(&name, effect, move |_| busy(&value()))
}

fn busy(retry_after: &str) -> Reply {
    Reply::new(503, "").header("retry-after", retry_after)
}

/// One second from now.
fn soon(format: &str) -> String {
    (Timestamp::now() + 1.second()).strftime(format).to_string()
}
