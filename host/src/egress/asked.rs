//! How long an answer asks to be left alone: `Retry-After`, or the reset of a limit that is used up.
//!
//! Header values come from outside: what cannot be read is not obeyed.

use std::time::Duration;

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// The headers that say how much is left, each with the one that says when it resets.
const LIMITS: [(&str, &str); 3] = [
    ("ratelimit-remaining", "ratelimit-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("x-rate-limit-remaining", "x-rate-limit-reset"),
];
/// Resets above this are moments, in seconds since 1970; up to it, they are seconds from now.
const MOMENT_SECONDS: u64 = 1_000_000_000;
/// Resets above this are moments in milliseconds.
const MOMENT_MS: u64 = 100_000_000_000;

/// How long this answer asks to wait before the next request; none where it does not.
pub(super) fn asked_wait(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let now = text(headers, DATE.as_str()).and_then(date);
    let now = now.unwrap_or_else(|| Timestamp::now().as_second());
    let is_busy = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    let after = text(headers, RETRY_AFTER.as_str()).filter(|_| is_busy);
    let after = after.and_then(|text| number(text).or_else(|| Some(until(date(text)?, now))));
    let used_up = LIMITS.iter().filter_map(|(remaining, reset)| {
        let is_used_up = text(headers, remaining).and_then(number) == Some(0);
        let reset = text(headers, reset).filter(|_| is_used_up)?;
        match number(reset) {
            Some(ms) if ms > MOMENT_MS => Some(until(seconds(ms.div_ceil(1000)), now)),
            Some(moment) if moment > MOMENT_SECONDS => Some(until(seconds(moment), now)),
            Some(left) => Some(left),
            None => Some(until(date(reset)?, now)),
        }
    });
    after
        .into_iter()
        .chain(used_up)
        .max()
        .map(Duration::from_secs)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// A whole number; the decimals that some sources count in are rounded up.
fn number(text: &str) -> Option<u64> {
    let (whole, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
    let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(decimals) {
        return None;
    }
    let more = u64::from(decimals.bytes().any(|digit| digit != b'0'));
    Some(whole.parse().unwrap_or(u64::MAX).saturating_add(more))
}

fn date(text: &str) -> Option<i64> {
    let at = rfc2822::parse(text.trim()).ok()?;
    Some(at.timestamp().as_second())
}

fn seconds(moment: u64) -> i64 {
    i64::try_from(moment).unwrap_or(i64::MAX)
}

/// Seconds until `at`: none if it is past.
fn until(at: i64, now: i64) -> u64 {
    u64::try_from(at.saturating_sub(now)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn asked(status: u16, headers: &[(&'static str, &'static str)]) -> Option<u64> {
        let pair = |&(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        let headers: HeaderMap = headers.iter().map(pair).collect();
        let status = StatusCode::from_u16(status).unwrap();
        asked_wait(status, &headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_busy_source_says_when_to_come_back() {
        let date = ("date", "Mon, 23 Nov 2026 11:59:00 GMT");

        assert_eq!(asked(429, &[("retry-after", "7")]), Some(7));
        let at = ("retry-after", "Mon, 23 Nov 2026 12:00:00 GMT");
        assert_eq!(asked(503, &[date, at]), Some(60));
        assert_eq!(asked(200, &[("retry-after", "7")]), None);
        assert_eq!(asked(429, &[("retry-after", "soon")]), None);
        assert_eq!(asked(429, &[]), None);
    }

    #[test]
    fn a_limit_that_is_used_up_says_when_it_resets() {
        let date = ("date", "Mon, 23 Nov 2026 11:59:00 GMT");
        let used_up = ("x-ratelimit-remaining", "0");

        assert_eq!(
            asked(200, &[used_up, ("x-ratelimit-reset", "1.2")]),
            Some(2)
        );
        let moment = ("x-ratelimit-reset", "1795435260");
        assert_eq!(asked(200, &[date, used_up, moment]), Some(120));
        let ms = ("x-ratelimit-reset", "1795435260001");
        assert_eq!(asked(200, &[date, used_up, ms]), Some(121));
        let left = ("x-ratelimit-remaining", "1");
        assert_eq!(asked(200, &[left, ("x-ratelimit-reset", "30")]), None);
        assert_eq!(asked(200, &[used_up, ("x-ratelimit-reset", "later")]), None);
    }
}
