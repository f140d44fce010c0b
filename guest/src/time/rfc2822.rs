//! Times as mails and HTTP write them: `Fri, 27 Nov 2026 19:39:17 GMT`, or with `+0100`.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::Offset;

use super::{instant, offset_text, read_suffix, within_four_digit_years};
use crate::failure::quoted;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Reads a time. `Err` says what is wrong with it.
pub fn read(text: &str) -> Result<Timestamp, String> {
    parts(text).map(|(at, _)| at).ok_or_else(|| {
        format!(
            "{} is not an RFC 2822 time, such as `Fri, 27 Nov 2026 19:39:17 GMT`",
            quoted(text)
        )
    })
}

/// Writes `at`, rounded down to seconds, with the offset of `like`; `GMT` where that has none.
pub fn write(at: Timestamp, like: &str) -> String {
    let offset = parts(like).and_then(|(_, offset)| offset);
    let local = offset
        .unwrap_or(Offset::UTC)
        .to_datetime(within_four_digit_years(at));
    let day = DAYS[usize::from(local.weekday().to_monday_zero_offset().unsigned_abs())];
    let month = MONTHS[usize::from(local.month().unsigned_abs()) - 1];
    let zone = offset.map_or_else(|| "GMT".to_owned(), |offset| offset_text(offset, ""));
    format!(
        "{day}, {:02} {month} {:04} {:02}:{:02}:{:02} {zone}",
        local.day(),
        local.year(),
        local.hour(),
        local.minute(),
        local.second()
    )
}

/// The instant, and the offset where it is written as a number.
fn parts(text: &str) -> Option<(Timestamp, Option<Offset>)> {
    let (weekday, rest) = match text.split_once(',') {
        Some((day, rest)) => {
            let day = day.trim_ascii();
            let at = DAYS
                .iter()
                .position(|known| day.eq_ignore_ascii_case(known));
            (Some(at?), rest)
        }
        None => (None, text),
    };
    let mut words = rest.split_ascii_whitespace();
    let day = words.next()?;
    let month = words.next()?;
    let month = MONTHS
        .iter()
        .position(|known| month.eq_ignore_ascii_case(known))?;
    let month = i8::try_from(month).ok()? + 1;
    let year = words.next().filter(|year| year.len() == 4)?;
    let mut clock = words.next()?.split(':');
    let mut two = || {
        let part = clock.next()?;
        let is_plain = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| part.parse::<i8>().ok())?
    };
    let (hour, minute, second) = (two()?, two()?, two().unwrap_or(0));
    let zone = words.next()?;
    if words.next().is_some() || clock.next().is_some() {
        return None;
    }
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(day) || day.len() > 2 || !are_digits(year) {
        return None;
    }
    let (offset, written) = match zone {
        "GMT" | "UT" | "UTC" => (Offset::UTC, None),
        zone => {
            let (offset, _) = read_suffix(zone.as_bytes())?;
            (offset, Some(offset))
        }
    };
    let date = Date::new(year.parse().ok()?, month, day.parse().ok()?).ok()?;
    let is_that_day = |at: usize| i8::try_from(at) == Ok(date.weekday().to_monday_zero_offset());
    if weekday.is_some_and(|at| !is_that_day(at)) {
        return None;
    }
    let time = Time::new(hour, minute, second.min(59), 0).ok()?;
    Some((instant(offset, date.to_datetime(time)), written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::rfc3339;

    #[test]
    fn times_of_mails_and_of_http_are_read() {
        for (text, means) in [
            ("Fri, 27 Nov 2026 19:39:17 GMT", "2026-11-27T19:39:17Z"),
            ("Fri, 27 Nov 2026 19:39:17 +0100", "2026-11-27T18:39:17Z"),
            ("7 nov 2026 19:39 -0000", "2026-11-07T19:39:00Z"),
            ("Thu, 31 Dec 2026 23:59:60 UT", "2026-12-31T23:59:59Z"),
        ] {
            assert_eq!(read(text), rfc3339(means, None), "{text}");
        }
    }

    #[test]
    fn what_is_no_such_time_is_refused() {
        for text in [
            "",
            "Fri",
            "Fri, 27 Nov 2026",
            "Fri, 27 Nov 26 19:39:17 GMT",
            "Fri, 31 Nov 2026 19:39:17 GMT",
            "Fri, 27 Nov 2026 19:39:17",
            "Xxx, 27 Nov 2026 19:39:17 GMT",
            "Fri, 27 Nov 2026 19:39:17 EST",
            "Fri, 27 Nov 2026 19:39:17:01 GMT",
            "Mon, 27 Nov 2026 19:39:17 GMT",
            "Fri, 27 Nov 2026 19:39:17 GMT x",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_is_written_with_the_offset_of_another() {
        let at = rfc3339("2026-11-27T23:39:17.9Z", None).unwrap();

        assert_eq!(write(at, ""), "Fri, 27 Nov 2026 23:39:17 GMT");
        assert_eq!(
            write(at, "Mon, 05 Jan 2026 10:00:00 +0100"),
            "Sat, 28 Nov 2026 00:39:17 +0100"
        );
    }
}
