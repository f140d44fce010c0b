//! How long an answer asks to be left alone: `Retry-After` in all its forms, and where it has none, the reset of its limit.
//!
//! Header values come from outside: what cannot be read is not obeyed, and no value makes more than a number of seconds.
//! Whether a run waits that long is `source`'s business.

use std::time::UNIX_EPOCH;

use super::{header, limit};
use crate::ports::Answer;

/// How many seconds the answer asks to wait, counted from now: what `Retry-After` says, and without one, where the answer
/// limits a rate, the time until that limit resets. The longest, if it names several.
pub fn asked_seconds(answer: &Answer, our_unix_seconds: i64) -> Option<u64> {
    let now = now(answer, our_unix_seconds);
    let retry_after = header(answer, "retry-after").filter_map(|value| retry_after(value, now));
    retry_after.max().or_else(|| match answer.status {
        // Some sources limit a rate by a 200 whose body is an error.
        200..=299 => limit::reset_seconds(answer, our_unix_seconds),
        403 | 429 => limit::reset_of_a_refusal(answer, now),
        _ => None,
    })
}

/// The source's own clock, which its dates are compared with; ours, if it names no time.
pub(super) fn now(answer: &Answer, our_unix_seconds: i64) -> i64 {
    date(answer).unwrap_or(our_unix_seconds)
}

/// The answer's `Date`, in seconds since 1970.
pub fn date(answer: &Answer) -> Option<i64> {
    header(answer, "date").find_map(http_date)
}

/// Seconds until `at`: none if it is past.
pub(super) fn until(at: i64, now: i64) -> u64 {
    u64::try_from(at.saturating_sub(now)).unwrap_or(0)
}

/// What is neither a number of seconds nor a date does not count. Proxies join repeated headers by commas: of several
/// numbers the longest counts.
fn retry_after(value: &[u8], now: i64) -> Option<u64> {
    if let Some(at) = http_date(value) {
        return Some(until(at, now));
    }
    let text = std::str::from_utf8(value).ok()?;
    let seconds: Option<Vec<u64>> = text.split(',').map(seconds).collect();
    seconds?.into_iter().max()
}

fn seconds(text: &str) -> Option<u64> {
    let text = text.trim_ascii();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More than fits is long enough.
    Some(if negative {
        0
    } else {
        digits.parse().unwrap_or(u64::MAX)
    })
}

/// A time in seconds since 1970, in any of the three forms of RFC 9110, 5.6.7.
pub fn http_date(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?.trim_ascii();
    let at = httpdate::parse_http_date(text).ok()?;
    i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::retry::tests::{NOON, NOON_SECONDS, answer};

    fn asked(headers: &[(&str, &str)]) -> Option<u64> {
        asked_seconds(&answer(503, headers), NOON_SECONDS)
    }

    #[test]
    fn seconds_are_taken_as_they_are() {
        assert_eq!(asked(&[("retry-after", "120")]), Some(120));
        assert_eq!(asked(&[("retry-after", " 7 ")]), Some(7));
        assert_eq!(asked(&[("retry-after", "0")]), Some(0));
        assert_eq!(asked(&[("retry-after", "-5")]), Some(0));
        assert_eq!(
            asked(&[("retry-after", "1000000000000")]),
            Some(1_000_000_000_000)
        );
        assert_eq!(
            asked(&[("retry-after", "99999999999999999999999")]),
            Some(u64::MAX)
        );
    }

    #[test]
    fn dates_in_three_forms_are_compared_with_the_date_of_the_answer() {
        let asked_at = |at: &str| {
            asked(&[
                ("date", "Mon, 23 Nov 2026 11:59:00 GMT"),
                ("retry-after", at),
            ])
        };

        assert_eq!(asked_at(NOON), Some(60));
        assert_eq!(asked_at("Monday, 23-Nov-26 12:00:00 GMT"), Some(60));
        assert_eq!(asked_at("Mon Nov 23 12:00:00 2026"), Some(60));
        assert_eq!(asked_at("Mon, 23 Nov 2026 11:00:00 GMT"), Some(0));
    }

    #[test]
    fn without_a_date_our_clock_counts() {
        assert_eq!(asked(&[("retry-after", NOON)]), Some(0));
        assert_eq!(
            asked(&[("retry-after", "Mon, 23 Nov 2026 12:00:09 GMT")]),
            Some(9)
        );
    }

    #[test]
    fn garbage_is_not_obeyed() {
        assert_eq!(asked(&[("retry-after", "soon")]), None);
        assert_eq!(asked(&[("retry-after", "1.5")]), None);
        assert_eq!(asked(&[("retry-after", "")]), None);
        assert_eq!(asked(&[("retry-after", "-")]), None);
        assert_eq!(asked(&[("retry-after", "3, soon")]), None);
    }

    #[test]
    fn of_several_the_longest_counts() {
        let repeated = [
            ("retry-after", "soon"),
            ("retry-after", "3"),
            ("retry-after", "2"),
        ];

        assert_eq!(asked(&repeated), Some(3));
        assert_eq!(asked(&[("retry-after", "3, 20,1")]), Some(20));
    }

    #[test]
    fn a_refusal_without_a_time_is_asked_for_by_its_reset() {
        let reset = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "40")];
        let both = [&reset[..], &[("retry-after", "7")]].concat();
        let damaged = [&reset[..], &[("retry-after", "soon")]].concat();
        let asked_by = |status, headers| asked_seconds(&answer(status, headers), NOON_SECONDS);

        assert_eq!(asked_by(429, &reset), Some(40));
        assert_eq!(asked_by(403, &reset), Some(40));
        assert_eq!(asked_by(200, &reset), Some(40));
        assert_eq!(asked_by(200, &reset[1..]), None);
        assert_eq!(asked_by(503, &reset), None);
        assert_eq!(asked_by(429, &both), Some(7));
        assert_eq!(asked_by(429, &damaged), Some(40));
    }

    proptest! {
        #[test]
        fn no_value_is_too_much(
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
            clock in any::<i64>(),
        ) {
            let mut fuzzed = answer(429, &[]);
            fuzzed.headers = values.into_iter().map(|value| ("retry-after".to_owned(), value)).collect();

            asked_seconds(&fuzzed, clock);
        }

        #[test]
        fn nearly_right_values_are_not_too_much_either(
            value in "(-|[0-9]{1,30}|,| |[A-Z][a-z]{2},? [0-9]{1,2}[- ][A-Z][a-z]{2}[- ][0-9]{2,6} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT){0,4}",
            date in "([A-Z][a-z]{2}, )?[0-9]{1,2} (Jan|Nov|Dec) [0-9]{1,6} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
            clock in any::<i64>(),
        ) {
            asked_seconds(&answer(429, &[("retry-after", &value), ("date", &date)]), clock);
        }
    }
}
