//! The same over HTTP/2: streams that are reset, cut, stalled and never answered, and what is said with a status or in gzip.
//!
//! Frames that break the protocol are written in `host/src/egress/tests/http2.rs`.

use std::time::Duration;

use tidegate::outcome::Outcome::{ProtocolBroken, TryLater};

use super::fault::Effect::{Harmless, Passes, Stalls};
use super::fault::{Fault, answer};
use super::{encoding, hold, status};
use crate::server::Reply;

#[test]
fn a_stream_that_breaks_is_never_a_page() {
    hold(faults().into_iter().map(Fault::over_http2).collect());
}

#[test]
fn a_status_over_http_2_is_retried_or_not_as_over_http_1() {
    let of_status = status::of_every_status().into_iter();
    hold(of_status.map(Fault::over_http2).collect());
}

#[test]
fn gzip_over_http_2_is_as_over_http_1() {
    let faults = encoding::faults().into_iter();
    hold(faults.map(Fault::over_http2).collect());
}

fn faults() -> Vec<Fault> {
    let broken = Passes(ProtocolBroken);
    vec![
        answer("a page", Harmless, |page| page.reply()),
        answer("a page without a length", Harmless, |page| {
            page.reply().chunked(7)
        }),
        answer("a page in drips", Harmless, |page| {
            page.reply().dripping(5, Duration::from_millis(1))
        }),
        answer("reset with NO_ERROR before the end", broken, |page| {
            page.reply().cut_after(20)
        }),
        answer("the same without a length", broken, |page| {
            page.reply().chunked(7).cut_after(20)
        }),
        answer("the same at the end, whole JSON", broken, |page| {
            page.reply().chunked(7).cut_after(page.body().len())
        }),
        answer("reset with CANCEL", broken, |page| {
            page.reply().chunked(7).cut_after(20).without_close_notify()
        }),
        answer("reset with INTERNAL_ERROR", broken, |page| {
            page.reply().reset_after(20)
        }),
        answer("a body that is too short", broken, |page| {
            let longer = (page.body().len() + 1).to_string();
            page.reply().header("content-length", longer)
        }),
        answer("a body that is too long", broken, |page| {
            let shorter = (page.body().len() - 1).to_string();
            page.reply().header("content-length", shorter)
        }),
        answer("reset in place of an answer", Passes(TryLater), |_| {
            Reply::reset()
        })
        .says("HTTP/2"),
        answer("no answer", Stalls, |_| Reply::silence()),
        answer("a body that stops", Stalls, |page| {
            page.reply().stalled_after(20)
        }),
    ]
}
