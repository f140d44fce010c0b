//! What an answer means for the request: whether it is made again, when, and how often in all.
//!
//! Retried is only what may be different next time. How long a source asked to be left alone is read by `after` and `limit`,
//! how long to wait is drawn by `backoff`, and `budget` and `pace` bound what one run may ask of a source. No I/O happens
//! here, and nothing is decided about pages.

mod after;
mod backoff;
mod budget;
mod limit;
mod pace;

pub use self::after::{asked_seconds, date, http_date};
pub use self::backoff::{Backoff, LATE_MS_MAX, Retries};
pub use self::budget::{Budget, Reason};
pub use self::limit::{remaining, reset_seconds};
pub use self::pace::{Pace, Rate, ms_until};
use crate::ports::Answer;

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

/// What an operator says of statuses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meanings {
    /// `SOURCE_EMPTY_ON`: they mean that there are no records.
    pub empty: Vec<u16>,
    /// `SOURCE_RETRY_ON`: they may not come next time.
    pub retry: Vec<u16>,
}

/// Judges an answer by its status, in a way that nobody said otherwise; a 403 that says it limits a rate is judged as a 429.
pub fn verdict(answer: &Answer) -> Verdict {
    match answer.status {
        200 | 203 => Verdict::Page,
        206 if counts_records(answer) => Verdict::Page,
        301 | 302 | 303 | 307 | 308 => Verdict::Redirect,
        403 if limits_a_rate(answer) => Verdict::Busy,
        202 | 408 | 425 | 429 | 500 | 502 | 503 | 504 | 522 | 524 => Verdict::Busy,
        401 | 403 => Verdict::Denied,
        400..=499 => Verdict::Refused,
        500..=599 => Verdict::OutOfOrder,
        // 204 and 304 too: nothing was asked that they could answer, and "no content" is not "no records" unless that is set.
        _ => Verdict::Unexpected,
    }
}

/// Whether a 206 is a page of records, as `PostgREST` sends it. Of bytes nobody asked for a part.
fn counts_records(answer: &Answer) -> bool {
    let range = header(answer, "content-range").next();
    range.is_some_and(|range| {
        !range
            .trim_ascii()
            .to_ascii_lowercase()
            .starts_with(b"bytes")
    })
}

fn limits_a_rate(answer: &Answer) -> bool {
    header(answer, "retry-after").next().is_some() || limit::is_used_up(answer)
}

/// The values of the headers named `name`, which is in lower case.
pub fn header<'a>(answer: &'a Answer, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let named = answer
        .headers
        .iter()
        .filter(move |(found, _)| found == name);
    named.map(|(_, value)| value.as_slice())
}

#[cfg(test)]
mod tests;
