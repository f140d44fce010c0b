//! Compression: damaged, unfolding without end, or never asked for.

use async_compression::tokio::bufread::GzipEncoder;
use tidegate::outcome::Outcome::ProtocolBroken;
use tokio::io::AsyncReadExt as _;

use super::fault::Effect::{Harmless, Passes, Stays};
use super::fault::{Fault, answer};
use super::hold;
use super::page::Page;
use crate::server::Reply;

#[test]
fn a_body_that_is_not_one_whole_layer_of_gzip_is_never_a_page() {
    hold(faults());
}

pub(super) fn faults() -> Vec<Fault> {
    let claims = |encoding: &'static str| {
        answer(
            &format!("claims to be {encoding}"),
            Stays(ProtocolBroken),
            move |page| page.reply().header("content-encoding", encoding),
        )
        .says("content-encoding")
    };
    vec![
        answer("good gzip", Harmless, |page| damaged(page, |_| {})),
        answer("gzip in two members", Harmless, |page| {
            let body = page.body();
            let (head, tail) = body.as_bytes().split_at(9);
            zipped(page, [gzip(head), gzip(tail)].concat())
        }),
        answer("gzip cut in the middle", Passes(ProtocolBroken), |page| {
            damaged(page, |gzip| gzip.truncate(gzip.len() / 2))
        }),
        answer(
            "gzip cut before its last byte",
            Passes(ProtocolBroken),
            |page| damaged(page, |gzip| gzip.truncate(gzip.len() - 1)),
        ),
        answer("gzip with a wrong CRC", Passes(ProtocolBroken), |page| {
            damaged(page, |gzip| flip(gzip, 8))
        }),
        answer("gzip with a wrong size", Passes(ProtocolBroken), |page| {
            damaged(page, |gzip| flip(gzip, 4))
        }),
        answer("gzip with a flipped bit", Passes(ProtocolBroken), |page| {
            damaged(page, |gzip| {
                let before_end = gzip.len() / 2;
                flip(gzip, before_end);
            })
        }),
        answer("junk after gzip", Passes(ProtocolBroken), |page| {
            damaged(page, |gzip| gzip.extend(b"junk"))
        }),
        answer("a bomb", Stays(ProtocolBroken), |page| zipped(page, bomb())).says("decode_ratio"),
        answer("gzip in gzip, said once", Stays(ProtocolBroken), |page| {
            zipped(page, gzip(&gzip(page.body().as_bytes())))
        })
        .says("UTF-8"),
        answer("gzip in gzip, said twice", Stays(ProtocolBroken), |page| {
            zipped(page, gzip(&gzip(page.body().as_bytes())))
                .header("content-encoding", "gzip, gzip")
        })
        .says("content-encoding"),
        answer("200 layers", Stays(ProtocolBroken), |page| {
            page.reply()
                .header("content-encoding", ["gzip"; 200].join(", "))
        })
        .says("content-encoding"),
        answer(
            "said to be gzip and plain",
            Passes(ProtocolBroken),
            |page| page.reply().header("content-encoding", "gzip"),
        ),
        answer("a gzip file, which no header names", Harmless, |page| {
            page.with(gzip(page.body().as_bytes()))
        }),
        answer("half a gzip file", Passes(ProtocolBroken), |page| {
            let file = gzip(page.body().as_bytes());
            page.with(file[..file.len() / 2].to_vec())
        }),
        answer("said to be identity", Harmless, |page| {
            page.reply().header("content-encoding", "identity")
        }),
        claims("br"),
        claims("zstd"),
        claims("deflate"),
        claims("rot13"),
    ]
}

fn zipped(page: &Page, body: Vec<u8>) -> Reply {
    page.with(body).header("content-encoding", "gzip")
}

/// The page in gzip, after this was done to it.
fn damaged(page: &Page, damage: impl FnOnce(&mut Vec<u8>)) -> Reply {
    let mut body = gzip(page.body().as_bytes());
    damage(&mut body);
    zipped(page, body)
}

/// Flips a bit so many bytes before the end.
fn flip(bytes: &mut [u8], before_end: usize) {
    let at = bytes.len() - before_end;
    bytes[at] ^= 0x10;
}

fn bomb() -> Vec<u8> {
    static BOMB: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BOMB.get_or_init(|| gzip(&vec![b' '; 64 * 1024 * 1024]))
        .clone()
}

/// These bytes in one member of gzip.
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let mut zipped = Vec::new();
    runtime
        .expect("a runtime")
        .block_on(GzipEncoder::new(plain).read_to_end(&mut zipped))
        .expect("gzip in memory");
    zipped
}
