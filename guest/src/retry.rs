//! What an answer means for the request, and how long to wait before it is made again.
//!
//! Retried is only what may be different next time. Waits are drawn at random up to a doubling limit (full jitter), so that
//! many jobs that failed together do not come back together; a source that names a time gets it, or the run ends.

use std::time::UNIX_EPOCH;

use crate::ports::Answer;

/// The first limit of a wait; it doubles with each try.
const WAIT_FIRST_MS: u64 = 500;
/// The last limit of a wait.
const WAIT_MAX_MS: u64 = 30_000;
/// The shortest wait: `Retry-After: 0` must not burn all tries at once.
const WAIT_MIN_MS: u64 = 100;
/// The longest time a source may ask for; the next scheduled run is the better retry.
pub const RETRY_AFTER_SECONDS_MAX: u64 = 300;

/// What to make of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its body is a page.
    Page,
    /// The page is elsewhere.
    Redirect,
    /// May work next time.
    Busy,
    /// The source refused the credential.
    Denied,
    /// The source refused for good.
    Refused,
    /// The source is out of order in a way that a retry will not mend.
    OutOfOrder,
    /// Not an answer to such a request.
    Unexpected,
}

/// Judges an answer by its status; a 403 that says it limits a rate is judged as a 429.
pub fn verdict(answer: &Answer) -> Verdict {
    match answer.status {
        200 | 203 => Verdict::Page,
        301 | 302 | 303 | 307 | 308 => Verdict::Redirect,
        403 if limits_a_rate(answer) => Verdict::Busy,
        408 | 425 | 429 | 500 | 502 | 503 | 504 | 522 | 524 => Verdict::Busy,
        401 | 403 => Verdict::Denied,
        400..=499 => Verdict::Refused,
        500..=599 => Verdict::OutOfOrder,
        // 204 and 304 too: nothing was asked that they could answer, and "no content" is not "no records".
        _ => Verdict::Unexpected,
    }
}

fn limits_a_rate(answer: &Answer) -> bool {
    header(answer, "retry-after").next().is_some()
        || header(answer, "x-ratelimit-remaining").any(|value| value.trim_ascii() == b"0")
}

/// The values of the headers named `name`, which is in lower case.
pub fn header<'a>(answer: &'a Answer, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let named = answer
        .headers
        .iter()
        .filter(move |(found, _)| found == name);
    named.map(|(_, value)| value.as_slice())
}

/// The answer's `Date`, in seconds since 1970.
pub fn date(answer: &Answer) -> Option<i64> {
    header(answer, "date").find_map(http_date)
}

/// How many seconds the answer asks to wait, counted from now. The longest, if it names several; what is neither a number of
/// seconds nor a date does not count. Dates are compared with the source's own clock, or with ours if it names no time.
pub fn retry_after_seconds(answer: &Answer, our_unix_seconds: i64) -> Option<u64> {
    let now = date(answer).unwrap_or(our_unix_seconds);
    let asked = header(answer, "retry-after").filter_map(|value| {
        seconds(value).or_else(|| {
            http_date(value).map(|at| u64::try_from(at.saturating_sub(now)).unwrap_or(0))
        })
    });
    asked.max()
}

fn seconds(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim_ascii();
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

/// Draws the waits between tries.
#[derive(Debug)]
pub struct Backoff {
    state: u64,
}

impl Backoff {
    /// Seeded with anything that differs from run to run. This is no cryptography.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// How long to wait after `tries_made` tries, when the source asked for `retry_after_seconds`.
    pub fn wait_ms(&mut self, tries_made: u32, retry_after_seconds: Option<u64>) -> u64 {
        let doublings = tries_made.saturating_sub(1).min(16);
        let limit_ms = (WAIT_FIRST_MS << doublings).min(WAIT_MAX_MS);
        let drawn_ms = WAIT_MIN_MS + self.draw() % (limit_ms - WAIT_MIN_MS + 1);
        retry_after_seconds.map_or(drawn_ms, |seconds| {
            seconds.saturating_mul(1000).max(drawn_ms)
        })
    }

    /// `SplitMix64`: seeds that lie close together draw numbers that do not.
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: &str = "Mon, 23 Nov 2026 12:00:00 GMT";

    fn answer(status: u16, headers: &[(&str, &str)]) -> Answer {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        Answer {
            status,
            headers: headers.collect(),
            body: Vec::new(),
        }
    }

    fn asked(headers: &[(&str, &str)]) -> Option<u64> {
        retry_after_seconds(&answer(503, headers), 1_795_435_200)
    }

    #[test]
    fn only_what_may_pass_is_retried() {
        let busy: Vec<u16> = (100..600)
            .filter(|status| verdict(&answer(*status, &[])) == Verdict::Busy)
            .collect();

        assert_eq!(busy, [408, 425, 429, 500, 502, 503, 504, 522, 524]);
    }

    #[test]
    fn every_other_status_has_its_meaning() {
        let verdict_of = |status| verdict(&answer(status, &[]));

        assert_eq!(verdict_of(200), Verdict::Page);
        assert_eq!(verdict_of(204), Verdict::Unexpected);
        assert_eq!(verdict_of(304), Verdict::Unexpected);
        assert_eq!(verdict_of(308), Verdict::Redirect);
        assert_eq!(verdict_of(401), Verdict::Denied);
        assert_eq!(verdict_of(403), Verdict::Denied);
        assert_eq!(verdict_of(410), Verdict::Refused);
        assert_eq!(verdict_of(501), Verdict::OutOfOrder);
    }

    #[test]
    fn a_403_that_limits_a_rate_is_retried() {
        assert_eq!(
            verdict(&answer(403, &[("retry-after", "5")])),
            Verdict::Busy
        );
        assert_eq!(
            verdict(&answer(403, &[("x-ratelimit-remaining", " 0")])),
            Verdict::Busy
        );
        assert_eq!(
            verdict(&answer(403, &[("x-ratelimit-remaining", "10")])),
            Verdict::Denied
        );
    }

    #[test]
    fn seconds_are_taken_as_they_are() {
        assert_eq!(asked(&[("retry-after", "120")]), Some(120));
        assert_eq!(asked(&[("retry-after", " 7 ")]), Some(7));
        assert_eq!(asked(&[("retry-after", "-5")]), Some(0));
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
        assert_eq!(
            asked(&[
                ("retry-after", "soon"),
                ("retry-after", "3"),
                ("retry-after", "2")
            ]),
            Some(3)
        );
    }

    #[test]
    fn an_asked_wait_is_kept() {
        assert_eq!(Backoff::new(7).wait_ms(1, Some(60)), 60_000);
    }

    #[test]
    fn waits_differ_from_seed_to_seed() {
        let waits: std::collections::BTreeSet<u64> = (0..100)
            .map(|seed| Backoff::new(seed).wait_ms(6, None))
            .collect();

        assert!(waits.len() > 30, "{waits:?}");
    }

    proptest! {
        #[test]
        fn a_wait_is_never_nothing_and_never_too_long(seed in any::<u64>(), tries in 1_u32..100) {
            let mut backoff = Backoff::new(seed);

            let without = backoff.wait_ms(tries, None);
            let with_zero = backoff.wait_ms(tries, Some(0));

            let limit_ms = 500_u64.saturating_mul(1 << (tries - 1).min(16)).min(30_000);
            prop_assert!((100..=limit_ms).contains(&without), "{}", without);
            prop_assert!((100..=limit_ms).contains(&with_zero), "{}", with_zero);
        }
    }
}
