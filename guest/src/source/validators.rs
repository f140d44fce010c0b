//! Conditional requests: what the source said by which a later run can ask whether anything changed at all.
//!
//! An answer of 304 stands for a whole run, so it is only asked for where it says as much: with the very same request, under
//! the same settings, after a run that was that one answer and left nothing of it out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ports::Answer;
use crate::source::Ask;
use crate::source::retry::{date, header, http_date};

/// The longest validator that is kept.
pub const VALIDATOR_BYTES_MAX: usize = 1024;
/// `Last-Modified` counts whole seconds: in one that is this young the source may still change.
const SETTLED_SECONDS: i64 = 60;
/// What shapes no record, or is in the request's own fingerprint.
const SHAPELESS: [&str; 15] = [
    "SOURCE_PARALLEL",
    "SOURCE_API_URL",
    "SOURCE_EACH",
    "SOURCE_BODY",
    "SOURCE_API_KEY",
    "MAX_RETRIES",
    "RETRY_PAUSE",
    "SOURCE_RETRY_ON",
    "SOURCE_TIMEOUT",
    "MAX_RESPONSE_BYTES",
    "MAX_RECORD_BYTES",
    "MAX_PAGES",
    "SOURCE_RATE",
    "MAX_REJECTED",
    "RUN_DEADLINE",
];

/// The validators of an answer, and what it was an answer to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validators {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    request: String,
    settings: String,
}

impl Validators {
    /// What `answer` to `ask` said, under the settings of this fingerprint; `None`: nothing that can be asked with.
    pub fn of(answer: &Answer, ask: &Ask, settings: &str) -> Option<Self> {
        let value = |name| {
            let value = header(answer, name).next()?.trim_ascii();
            let fits = (1..=VALIDATOR_BYTES_MAX).contains(&value.len());
            let text = std::str::from_utf8(value).ok()?;
            let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            (fits && is_plain).then(|| text.to_owned())
        };
        let etag = value("etag");
        let last_modified = value("last-modified").filter(|text| {
            let changed = http_date(text.as_bytes());
            matches!((changed, date(answer)), (Some(changed), Some(now)) if now.saturating_sub(changed) >= SETTLED_SECONDS)
        });
        if answer.status != 200 || (etag.is_none() && last_modified.is_none()) {
            return None;
        }
        Some(Self {
            etag,
            last_modified,
            request: of_request(ask),
            settings: settings.to_owned(),
        })
    }

    /// The headers by which `ask` is answered with 304 where nothing changed; none where it is another request, or the
    /// settings are others.
    pub fn conditions(&self, ask: &Ask, settings: &str) -> Vec<(String, String)> {
        if self.request != of_request(ask) || self.settings != settings {
            return Vec::new();
        }
        let named = [
            ("if-none-match", &self.etag),
            ("if-modified-since", &self.last_modified),
        ];
        named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
            .collect()
    }
}

/// One value for all settings in `env` that shape records, and for this version of the component.
pub fn fingerprint(env: &[(String, String)]) -> String {
    let mut shaping: BTreeMap<&str, &str> = BTreeMap::new();
    shaping.extend(
        env.iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, value)| !value.is_empty() && !SHAPELESS.contains(name)),
    );
    let mut hash = Fnv::new();
    hash.part(env!("CARGO_PKG_VERSION"));
    for (name, value) in shaping {
        hash.part(name);
        hash.part(value);
    }
    hash.hex()
}

fn of_request(ask: &Ask) -> String {
    let mut hash = Fnv::new();
    let request = ask.request(&ask.url);
    hash.part(&request.url);
    hash.part(request.body.as_deref().unwrap_or_default());
    for (name, value) in &ask.headers {
        hash.part(name);
        hash.part(value);
    }
    hash.hex()
}

/// FNV-1a of 64 bits: the standard library's hashes may differ from one release to the next, and states outlive releases.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds a text and its end, so that two of them are not one.
    fn part(&mut self, text: &str) {
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn hex(&self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn ask(url: &str) -> Ask {
        Ask::get(Url::parse(url).unwrap())
    }

    fn answer(headers: &[(&str, &str)]) -> Answer {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        Answer {
            status: 200,
            headers: headers.collect(),
            body: Vec::new(),
        }
    }

    fn seen(headers: &[(&str, &str)]) -> Option<Validators> {
        Validators::of(&answer(headers), &ask("https://x.example/o"), "s")
    }

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    const LATER: (&str, &str) = ("date", "Mon, 23 Nov 2026 12:00:00 GMT");

    #[test]
    fn validators_are_sent_back_as_they_came() {
        let seen = seen(&[
            ("etag", "W/\"a b\""),
            LATER,
            ("last-modified", "Mon, 23 Nov 2026 11:59:00 GMT"),
        ])
        .unwrap();

        let conditions = seen.conditions(&ask("https://x.example/o"), "s");

        assert_eq!(
            conditions,
            env(&[
                ("if-none-match", "W/\"a b\""),
                ("if-modified-since", "Mon, 23 Nov 2026 11:59:00 GMT")
            ])
        );
    }

    #[test]
    fn another_request_or_other_settings_have_no_condition() {
        let seen = seen(&[("etag", "\"1\"")]).unwrap();
        let mut posted = ask("https://x.example/o");
        posted.body = Some("{}".to_owned());

        assert!(
            seen.conditions(&ask("https://x.example/o?a=1"), "s")
                .is_empty()
        );
        assert!(seen.conditions(&posted, "s").is_empty());
        assert!(seen.conditions(&ask("https://x.example/o"), "t").is_empty());
    }

    #[test]
    fn a_second_that_may_not_be_over_is_no_validator() {
        let modified = |at| seen(&[LATER, ("last-modified", at)]);

        assert!(modified("Mon, 23 Nov 2026 11:59:00 GMT").is_some());
        assert!(modified("Mon, 23 Nov 2026 11:59:01 GMT").is_none());
        assert!(modified("Mon, 23 Nov 2026 12:00:01 GMT").is_none());
        assert!(modified("yesterday").is_none());
        assert!(seen(&[("last-modified", "Mon, 23 Nov 2020 11:59:00 GMT")]).is_none());
    }

    #[test]
    fn validators_have_a_limit() {
        let long = "x".repeat(VALIDATOR_BYTES_MAX + 1);

        assert!(seen(&[("etag", &long)]).is_none());
        assert!(seen(&[("etag", &long[1..])]).is_some());
        assert!(seen(&[("etag", "")]).is_none());
        assert!(seen(&[("etag", "\u{e9}")]).is_none());
        assert!(seen(&[]).is_none());
    }

    #[test]
    fn the_fingerprint_covers_what_shapes_records_in_any_order() {
        let base = env(&[("SOURCE_CURSOR", "/u"), ("PRIMARY_KEY", "/id")]);
        let turned = env(&[("PRIMARY_KEY", "/id"), ("SOURCE_CURSOR", "/u"), ("A", "")]);
        let tries = env(&[
            ("MAX_RETRIES", "9"),
            ("RETRY_PAUSE", "1s"),
            ("SOURCE_CURSOR", "/u"),
            ("PRIMARY_KEY", "/id"),
        ]);
        let other = env(&[("SOURCE_CURSOR", "/u"), ("PRIMARY_KEY", "/n")]);
        let shifted = env(&[("SOURCE_CURSOR", "/uPRIMARY_KEY"), ("", "/id")]);

        assert_eq!(fingerprint(&base), fingerprint(&turned));
        assert_eq!(fingerprint(&base), fingerprint(&tries));
        assert_ne!(fingerprint(&base), fingerprint(&other));
        assert_ne!(fingerprint(&base), fingerprint(&shifted));
    }

    #[test]
    fn the_hash_is_fnv_1a_for_ever() {
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        hash.part("");

        assert_eq!(Fnv::new().hex(), "cbf29ce484222325");
        assert_eq!(hash.hex(), "af64724c8602eb6e");
    }
}
