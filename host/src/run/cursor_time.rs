//! The cursor read as a time: how old the newest record is.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A record may be this far ahead of our clock; more, and one of the two clocks is wrong.
pub const CLOCKS_APART: Duration = Duration::from_mins(5);
/// Numbers from here on are milliseconds: as seconds they would be of the year 5138.
const MILLISECONDS_FROM: i64 = 100_000_000_000;
/// Where a day begins first, it is still so long until it begins in UTC.
const EARLIEST_ZONE: Duration = Duration::from_hours(14);

/// How old a record at `cursor` is. `Err` says why that is not known.
pub fn age(cursor: Option<&str>, now: Timestamp) -> Result<Duration, String> {
    let cursor = cursor.ok_or("there is no cursor, so MAX_CURSOR_AGE cannot be judged")?;
    let (at, ahead_max) = time(cursor).ok_or_else(|| {
        format!("the cursor `{cursor}` is not a time, so MAX_CURSOR_AGE cannot be judged")
    })?;
    let age = now.duration_since(at);
    match Duration::try_from(age) {
        Ok(age) => Ok(age),
        Err(_) if age.unsigned_abs() <= ahead_max => Ok(Duration::ZERO),
        Err(_) => Err(format!(
            "the cursor `{cursor}` is in the future: a clock is wrong, here or at the source"
        )),
    }
}

/// The time that a cursor stands for.
pub fn of(cursor: &str) -> Option<Timestamp> {
    time(cursor).map(|(at, _)| at)
}

/// The same, and how far ahead of our clock it may be.
fn time(cursor: &str) -> Option<(Timestamp, Duration)> {
    let number = cursor.strip_prefix('-').unwrap_or(cursor);
    if number.starts_with(|c: char| c.is_ascii_digit())
        && number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    {
        return Some((epoch(cursor)?, CLOCKS_APART));
    }
    // By its length: the parser takes a whole time for a date as well.
    if cursor.len() == 10 {
        let date: Date = cursor.parse().ok()?;
        let midnight = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
        return Some((midnight, CLOCKS_APART + EARLIEST_ZONE));
    }
    Some((cursor.parse().ok()?, CLOCKS_APART))
}

/// Seconds or milliseconds since 1970. The digits after the point are less than anybody's MAX_CURSOR_AGE.
fn epoch(cursor: &str) -> Option<Timestamp> {
    let (whole, rest) = cursor.split_once('.').unwrap_or((cursor, "0"));
    let rest_is_digits = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    let whole: i64 = whole.parse().ok().filter(|_| rest_is_digits)?;
    if whole < MILLISECONDS_FROM {
        Timestamp::from_second(whole).ok()
    } else {
        Timestamp::from_millisecond(whole).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-23T12:00:00Z";

    fn age_of(cursor: &str) -> Result<Duration, String> {
        age(Some(cursor), NOW.parse().unwrap())
    }

    #[test]
    fn every_way_to_write_a_time_is_read() {
        for (cursor, hours) in [
            ("2026-11-23T11:00:00Z", 1),
            ("2026-11-23T11:00:00.123456789Z", 0),
            ("2026-11-23T11:00:00+00:00", 1),
            ("2026-11-23T13:00:00+0200", 1),
            ("2026-11-23T11:00:00+0000", 1),
            ("2026-11-23 11:00:00Z", 1),
            ("2026-11-23 06:00:00-05:00", 1),
            ("2026-11-23t11:00:00z", 1),
            ("2026-11-23", 12),
            ("1795431600", 1),
            ("1795431600.75", 1),
            ("1795431600000", 1),
            ("1795431600000.5", 1),
            ("0", 498_732),
        ] {
            let age = age_of(cursor).unwrap_or_else(|why| panic!("{cursor}: {why}"));
            assert_eq!(age.as_secs() / 3600, hours, "{cursor}");
        }
    }

    #[test]
    fn what_is_no_time_is_called_so() {
        for cursor in [
            "",
            "abc",
            "2026-11-23T11:00:00",
            "2026-13-01",
            "23.11.2026",
            "1.2.3",
            "1.",
            "-",
            "99999999999999999999",
            "9223372036854775807",
            "0x10",
        ] {
            let why = age_of(cursor).unwrap_err();
            assert!(why.contains("is not a time"), "{cursor}: {why}");
        }
        let now = NOW.parse().unwrap();
        assert!(age(None, now).unwrap_err().contains("no cursor"));
    }

    #[test]
    fn a_little_ahead_is_new_and_more_is_a_wrong_clock() {
        assert_eq!(age_of("2026-11-23T12:04:59Z"), Ok(Duration::ZERO));
        assert_eq!(age_of("2026-11-24"), Ok(Duration::ZERO));
        for ahead in ["2026-11-23T12:05:01Z", "2026-11-25", "2795431600"] {
            assert!(
                age_of(ahead).unwrap_err().contains("in the future"),
                "{ahead}"
            );
        }
    }
}
