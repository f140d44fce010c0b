//! A page cut at every byte, by every way to say where a body ends: only the whole of it is ever taken.
//!
//! It is the last page that is cut, since nothing would miss what comes after it.

use std::sync::Arc;

use tidegate::outcome::Outcome::{ProtocolBroken, TryLater};

use super::encoding::gzip;
use super::fault::Effect::{self, Harmless, Passes, Stays};
use super::fault::answer;
use super::page::{PAGES, Page};
use super::place::Place;
use super::{report, side_by_side, wrong_in_one_job};
use crate::server::Reply;
use crate::world::Job;

/// Jobs that share the cuts of one test.
const JOBS: usize = 8;
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: ";
/// Small, so that the cuts fall before, in, between and after chunks.
const CHUNK_BYTES: usize = 10;

#[test]
fn a_head_is_whole_or_75() {
    let whole = |page: &Page| format!("{HEAD}{}\r\n\r\n", page.body().len());

    holds_at_every_cut(
        whole(&last_page()).len(),
        Passes(TryLater),
        move |page, missing| {
            let head = whole(page);
            match missing {
                0 => page.reply(),
                _ => Reply::raw(&head.as_bytes()[..head.len() - missing]),
            }
        },
    );
}

#[test]
fn a_page_with_a_length_is_whole_or_76() {
    holds_at_every_cut(
        last_page().body().len(),
        Passes(ProtocolBroken),
        |page, missing| page.reply().cut_after(page.body().len() - missing),
    );
}

#[test]
fn a_page_over_http_2_is_whole_or_76() {
    // Without a length, and with its last byte or not: its stream is reset with NO_ERROR, in place of its end.
    holds_over(
        true,
        last_page().body().len(),
        Passes(ProtocolBroken),
        |page, missing| match missing {
            0 => page.reply().chunked(CHUNK_BYTES),
            _ => page
                .reply()
                .chunked(CHUNK_BYTES)
                .cut_after(page.body().len() + 1 - missing),
        },
    );
}

#[test]
fn a_page_in_chunks_is_whole_or_76() {
    let wire_bytes = |page: &Page| {
        let body_bytes = page.body().len();
        // A digit for the size and two line ends each; the last chunk is empty.
        body_bytes + body_bytes.div_ceil(CHUNK_BYTES) * 5 + 5
    };

    holds_at_every_cut(
        wire_bytes(&last_page()),
        Passes(ProtocolBroken),
        move |page, missing| {
            page.reply()
                .chunked(CHUNK_BYTES)
                .cut_after(wire_bytes(page) - missing)
        },
    );
}

#[test]
fn a_page_that_ends_with_its_connection_is_whole_json_or_76() {
    // Only the JSON tells a cut from the end; what is not JSON is not asked for again, cut or not.
    holds_at_every_cut(
        last_page().body().len(),
        Stays(ProtocolBroken),
        |page, missing| {
            let body = page.body();
            page.with(&body[..body.len() - missing]).unframed()
        },
    );
}

#[test]
fn a_page_in_gzip_is_whole_or_76_although_its_length_is_right() {
    // Cut before its first byte it is an empty body, which has nothing to decode.
    let cuts = gzip(last_page().body().as_bytes()).len() - 1;

    holds_at_every_cut(cuts, Passes(ProtocolBroken), |page, missing| {
        let mut body = gzip(page.body().as_bytes());
        body.truncate(body.len() - missing);
        page.with(body).header("content-encoding", "gzip")
    });
}

/// The last page, as long as it is in every run.
fn last_page() -> Page {
    Page {
        number: PAGES,
        round: 1000,
    }
}

/// With nothing missing the page is taken; with 1 to `cuts` bytes missing at its end it has this effect, every time.
fn holds_at_every_cut(
    cuts: usize,
    effect: Effect,
    reply: impl Fn(&Page, usize) -> Reply + Copy + Send + Sync + 'static,
) {
    holds_over(false, cuts, effect, reply);
}

fn holds_over(
    is_http2: bool,
    cuts: usize,
    effect: Effect,
    reply: impl Fn(&Page, usize) -> Reply + Copy + Send + Sync + 'static,
) {
    let cut = |missing: usize| {
        let effect = if missing == 0 { Harmless } else { effect };
        let name = format!("{missing} bytes short");
        let fault = answer(&name, effect, move |page| reply(page, missing));
        let fault = if is_http2 { fault.over_http2() } else { fault };
        (Arc::new(fault), Place::LastPage)
    };
    let of_job = |job: usize| (job..=cuts).step_by(JOBS).map(cut).collect::<Vec<_>>();
    let jobs = (0..JOBS.min(cuts)).map(|job| {
        let mut meetings = of_job(job);
        meetings.insert(0, (Arc::clone(&meetings[0].0), Place::Nowhere));
        meetings
    });

    report(
        cuts + 1,
        &side_by_side(jobs.collect(), |meetings| wrong_in_one_job(&meetings)),
    );
}

#[test]
fn lines_of_which_nothing_shows_the_end_are_no_page() {
    let mut job = Job::new()
        .set("SOURCE_FORMAT", "ndjson")
        .reply(Reply::new(200, "{\"id\":1}\n").unframed());

    job.run()
        .exits(ProtocolBroken)
        .publishes_nothing()
        .stderr_has("nothing shows where its lines end");
}
