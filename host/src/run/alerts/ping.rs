//! `PING_URL`: a check of Healthchecks hears that a run starts, and how it ended
//! (<https://healthchecks.io/docs/http_api/>): `/start`, the URL itself for success, and `/CODE` for a failure, each with the same
//! `rid` and a text as its body.

use std::time::{Duration, Instant};

use serde_json::json;
use url::Url;

use crate::egress::{Notice, NoticeWay};
use crate::folder::random_digits;
use crate::limits::{Limits, NOTICE_TEXT_BYTES_MAX, NOTICES_MAX};
use crate::log::Log;
use crate::words;

/// What is shown of an answer.
const SAID_BYTES: usize = 60;

/// The check, and the id of the run there.
#[derive(Debug, Clone)]
pub struct Ping {
    url: Url,
    run: String,
}

impl Ping {
    /// For one run.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            run: uuid(random_digits(), random_digits()),
        }
    }

    /// Says that it has begun.
    pub async fn start(&self, way: &NoticeWay, limits: &Limits, log: &Log) {
        let url = self.url_of(Some("start"));
        self.send(url, String::new(), (way, NOTICES_MAX), limits, log)
            .await;
    }

    /// Says how it ended, in words too.
    pub async fn end(
        &self,
        exit_code: u8,
        ended: String,
        (way, until): (&NoticeWay, Instant),
        limits: &Limits,
        log: &Log,
    ) {
        let code = (exit_code != 0).then(|| exit_code.to_string());
        let left = until.saturating_duration_since(Instant::now());
        let body = words::line(&log.hide(&ended), NOTICE_TEXT_BYTES_MAX);
        self.send(self.url_of(code.as_deref()), body, (way, left), limits, log)
            .await;
    }

    async fn send(
        &self,
        url: Url,
        body: String,
        (way, limit): (&NoticeWay, Duration),
        limits: &Limits,
        log: &Log,
    ) {
        let notice = Notice {
            url,
            kind: "text/plain; charset=utf-8",
            key: None,
            body: body.into(),
        };
        let sent = notice.send(way, limit, limits, log).await;
        // hc-ping.com takes what is for no check as well: `OK (not found)`, `OK (rate limited)`.
        let sent = sent.and_then(|said| match String::from_utf8_lossy(&said).trim() {
            said if said.starts_with("OK (") => Err(format!(
                "it was answered `{}`",
                words::line(said, SAID_BYTES)
            )),
            _ => Ok(()),
        });
        if let Err(error) = sent {
            log.warn("ping not sent", json!({ "error": error }));
        }
    }

    fn url_of(&self, what: Option<&str>) -> Url {
        let mut url = self.url.clone();
        if let (Some(what), Ok(mut path)) = (what, url.path_segments_mut()) {
            path.pop_if_empty().push(what);
        }
        url.query_pairs_mut().append_pair("rid", &self.run);
        url
    }
}

/// A random UUID (RFC 9562, version 4) of these bits.
fn uuid(high: u64, low: u64) -> String {
    let high = high & !0xf000 | 0x4000;
    let low = low & (u64::MAX >> 2) | 1 << 63;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_known_by_a_random_uuid() {
        assert_eq!(
            uuid(u64::MAX, u64::MAX),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
        assert_eq!(uuid(0, 0), "00000000-0000-4000-8000-000000000000");
    }

    #[test]
    fn a_url_keeps_its_query() {
        let ping = |url: &str| Ping {
            url: Url::parse(url).unwrap(),
            run: "r".to_owned(),
        };

        let slug = ping("https://hc.example/key/slug?create=1");
        assert_eq!(
            slug.url_of(Some("start")).as_str(),
            "https://hc.example/key/slug/start?create=1&rid=r"
        );
        let check = ping("https://hc.example/ping/id/");
        assert_eq!(
            check.url_of(Some("69")).as_str(),
            "https://hc.example/ping/id/69?rid=r"
        );
        assert_eq!(
            check.url_of(None).as_str(),
            "https://hc.example/ping/id/?rid=r"
        );
    }
}
