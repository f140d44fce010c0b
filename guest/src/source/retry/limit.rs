//! What a source says about its rate limit: how many requests are left of it, and when it resets.
//!
//! No standard is settled, so all the usual spellings are read: `RateLimit-*`, `X-RateLimit-*`, `X-Rate-Limit-*`, and the
//! single `RateLimit` header of the drafts, old (`limit=100, remaining=0, reset=30`) and new (`"default";r=0;t=30`). What
//! cannot be read says nothing.

use super::after::{http_date, now, until};
use super::header;
use crate::ports::Answer;
use crate::time;

/// The headers that say how much is left, each with the one that says when it resets.
const NAMES: [(&str, &str); 3] = [
    ("ratelimit-remaining", "ratelimit-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("x-rate-limit-remaining", "x-rate-limit-reset"),
];
/// Resets above this are moments, in seconds since 1970; up to it, they are seconds from now.
const MOMENT_SECONDS: u64 = 1_000_000_000;
/// Resets above this are moments in milliseconds.
const MOMENT_MS: u64 = 100_000_000_000;

/// One limit, as far as the answer tells it.
#[derive(Debug, Default)]
struct Limit {
    remaining: Option<u64>,
    reset_seconds: Option<u64>,
}

/// Whether the answer says that a limit is used up.
pub(super) fn is_used_up(answer: &Answer) -> bool {
    limits(answer, 0)
        .iter()
        .any(|limit| limit.remaining == Some(0))
}

/// How many requests all limits that this answer names still allow; `None`: it names none.
pub fn remaining(answer: &Answer) -> Option<u64> {
    let limits = limits(answer, 0);
    limits.iter().filter_map(|limit| limit.remaining).min()
}

/// Seconds until all limits that this answer used up are reset; `None`: none is, or it does not say when.
pub fn reset_seconds(answer: &Answer, our_unix_seconds: i64) -> Option<u64> {
    let limits = limits(answer, now(answer, our_unix_seconds));
    let used_up = limits.iter().filter(|limit| limit.remaining == Some(0));
    used_up.filter_map(|limit| limit.reset_seconds).max()
}

/// The same for a refusal, which speaks for itself: a limit that does not say how much is left counts too.
pub(super) fn reset_of_a_refusal(answer: &Answer, now: i64) -> Option<u64> {
    let limits = limits(answer, now);
    let used_up = limits
        .iter()
        .filter(|limit| limit.remaining.is_none_or(|left| left == 0));
    used_up.filter_map(|limit| limit.reset_seconds).max()
}

fn limits(answer: &Answer, now: i64) -> Vec<Limit> {
    let pairs = NAMES.iter().map(|(remaining, reset)| Limit {
        remaining: texts(answer, remaining)
            .flat_map(|text| text.split(','))
            .filter_map(number)
            .min(),
        reset_seconds: texts(answer, reset)
            .filter_map(|text| seconds_until(text, now))
            .max(),
    });
    let drafts = texts(answer, "ratelimit").flat_map(|text| of_a_draft(text, now));
    pairs.chain(drafts).collect()
}

fn texts<'a>(answer: &'a Answer, name: &'a str) -> impl Iterator<Item = &'a str> {
    header(answer, name).filter_map(|value| std::str::from_utf8(value).ok())
}

/// The limits of a `RateLimit` header: one with its members separated by commas, or a list of any number with parameters.
fn of_a_draft(text: &str, now: i64) -> Vec<Limit> {
    let items: Vec<Vec<&str>> = split(text, b',')
        .into_iter()
        .map(|item| split(item, b';'))
        .collect();
    let old = items
        .iter()
        .any(|item| item.first().is_some_and(|name| is_member(name)));
    if old {
        vec![of_members(items.iter().flatten(), now)]
    } else {
        items.iter().map(|item| of_members(item, now)).collect()
    }
}

fn is_member(part: &str) -> bool {
    !part.starts_with('"') && part.contains('=')
}

fn of_members<'a>(members: impl IntoIterator<Item = &'a &'a str>, now: i64) -> Limit {
    let mut limit = Limit::default();
    for (name, value) in members.into_iter().filter_map(|part| part.split_once('=')) {
        match name.trim_ascii() {
            "r" | "remaining" => limit.remaining = number(value),
            "t" | "reset" => limit.reset_seconds = seconds_until(value, now),
            _ => {}
        }
    }
    limit
}

/// The parts of `text` between `separator`s that stand outside of quotes.
fn split(text: &str, separator: u8) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut begin, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if byte == separator && !quoted {
            parts.push(text[begin..at].trim_ascii());
            begin = at + 1;
        } else if byte == b'"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && byte == b'\\' && !escaped;
    }
    parts.push(text[begin..].trim_ascii());
    parts
}

/// How far off a reset is: seconds from now, or a moment as seconds or milliseconds since 1970, or as a date.
fn seconds_until(text: &str, now: i64) -> Option<u64> {
    let moment = |seconds: u64| until(i64::try_from(seconds).unwrap_or(i64::MAX), now);
    match number(text) {
        Some(ms) if ms > MOMENT_MS => Some(moment(ms.div_ceil(1000))),
        Some(seconds) if seconds > MOMENT_SECONDS => Some(moment(seconds)),
        Some(seconds) => Some(seconds),
        None => {
            let rfc3339 = || Some(time::rfc3339(text.trim_ascii(), None).ok()?.as_second());
            http_date(text.as_bytes())
                .or_else(rfc3339)
                .map(|at| until(at, now))
        }
    }
}

/// A number as limits have them, rounded up: some sources count in decimals. What is less than nothing is nothing.
fn number(text: &str) -> Option<u64> {
    let text = text.trim_ascii();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    if negative {
        return Some(0);
    }
    let whole: u64 = whole.parse().unwrap_or(u64::MAX);
    Some(whole.saturating_add(u64::from(fraction.bytes().any(|digit| digit != b'0'))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::retry::tests::{NOON_SECONDS, answer};

    /// The reset of a good answer that came at noon by our clock.
    fn reset(headers: &[(&str, &str)]) -> Option<u64> {
        reset_seconds(&answer(200, headers), NOON_SECONDS)
    }

    fn draft(value: &str) -> Option<u64> {
        reset(&[("ratelimit", value)])
    }

    #[test]
    fn a_limit_that_is_used_up_says_when_it_resets() {
        assert_eq!(
            reset(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "30")]),
            Some(30)
        );
        assert_eq!(
            reset(&[
                ("x-rate-limit-remaining", "0.0"),
                ("x-rate-limit-reset", "1.2")
            ]),
            Some(2)
        );
        assert_eq!(
            reset(&[("x-ratelimit-remaining", "-1"), ("x-ratelimit-reset", "-9")]),
            Some(0)
        );
    }

    #[test]
    fn a_limit_with_something_left_says_nothing() {
        assert_eq!(
            reset(&[("ratelimit-remaining", "1"), ("ratelimit-reset", "30")]),
            None
        );
        assert_eq!(reset(&[("ratelimit-reset", "30")]), None);
        assert_eq!(reset(&[("ratelimit-remaining", "0")]), None);
        assert_eq!(
            reset(&[("ratelimit-remaining", "none"), ("ratelimit-reset", "30")]),
            None
        );
        // The one that is used up is not the one that resets.
        assert_eq!(
            reset(&[("ratelimit-remaining", "0"), ("x-ratelimit-reset", "30")]),
            None
        );
    }

    #[test]
    fn a_reset_is_seconds_or_a_moment() {
        let at =
            |value: &str| reset(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", value)]);

        assert_eq!(at("1795435260"), Some(60));
        assert_eq!(at("1795435260.25"), Some(61));
        assert_eq!(at("1795435260001"), Some(61));
        assert_eq!(at("1795435100"), Some(0));
        assert_eq!(at("1000000000"), Some(1_000_000_000));
        assert_eq!(at("Mon, 23 Nov 2026 12:02:00 GMT"), Some(120));
        assert_eq!(at("2026-11-23T12:02:00Z"), Some(120));
        assert_eq!(at("tomorrow"), None);
    }

    #[test]
    fn a_moment_is_compared_with_the_date_of_the_answer() {
        let headers = [
            ("date", "Mon, 23 Nov 2026 11:59:00 GMT"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1795435260"),
        ];

        assert_eq!(reset(&headers), Some(120));
    }

    #[test]
    fn the_drafts_are_read_old_and_new() {
        assert_eq!(draft("limit=100, remaining=0, reset=30"), Some(30));
        assert_eq!(draft("limit=100, remaining=1, reset=30"), None);
        assert_eq!(draft(r#""default";r=0;t=30"#), Some(30));
        assert_eq!(draft("default; r=0; t=30"), Some(30));
        assert_eq!(draft(r#""hour";r=0;t=30, "day";r=9;t=4000"#), Some(30));
        assert_eq!(draft(r#""hour";r=0;t=30,"day";r=0;t=4000"#), Some(4000));
        assert_eq!(draft(r#""a,\";r=0;t=9";r=4;t=30"#), None);
        assert_eq!(draft(""), None);
    }

    #[test]
    fn a_refusal_need_not_say_that_nothing_is_left() {
        let refused = |headers| reset_of_a_refusal(&answer(429, headers), NOON_SECONDS);

        assert_eq!(refused(&[("x-ratelimit-reset", "30")]), Some(30));
        assert_eq!(
            refused(&[("x-ratelimit-reset", "30"), ("x-ratelimit-remaining", "8")]),
            None
        );
    }

    proptest! {
        #[test]
        fn no_value_is_too_much(
            name in prop::sample::select(vec!["ratelimit", "ratelimit-remaining", "ratelimit-reset"]),
            value in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "([rt]|remaining|reset|=|;|,|\"|\\\\|-|\\.|é|[0-9]{1,24}){0,12}".prop_map(String::into_bytes),
            ],
            clock in any::<i64>(),
        ) {
            let mut fuzzed = answer(200, &[("ratelimit-remaining", "0"), ("ratelimit-reset", "9")]);
            fuzzed.headers.push((name.to_owned(), value));

            reset_seconds(&fuzzed, clock);
            reset_of_a_refusal(&fuzzed, clock);
        }
    }
}
