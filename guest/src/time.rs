//! Points in time as sources write them, and writing another point the same way.
//!
//! RFC 3339 (also with a space, without seconds, with `+0000` and `+00`, and with a suffix of RFC 9557, which is read and not
//! written), plain dates, seconds or milliseconds since 1970, and what the modules below read.
//! A text without an offset names an instant only where the settings say in which zone it is meant. Digits behind the ninth
//! of a second are kept in the text and ignored in comparisons; a leap second counts as the last instant of its minute,
//! `24:00:00` as the next midnight.

pub mod ms_json;
mod pattern;
pub mod rfc2822;
mod zone;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

pub use self::pattern::Pattern;
pub use self::zone::Zone;
use crate::failure::quoted;

/// Digits of a fraction that are accepted.
const FRACTION_DIGITS_MAX: usize = 18;
/// 9999-12-31T23:59:59Z: the last second a four-digit year can write.
const LAST_SECOND: i128 = 253_402_300_799;

/// How an RFC 3339 text is written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Style {
    separator: char,
    has_seconds: bool,
    fraction_digits: usize,
    offset: Offset,
    suffix: Suffix,
}

/// `Z`, `z`, or the pattern of the numeric offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suffix {
    Letter(char),
    HoursColonMinutes,
    HoursMinutes,
    Hours,
    /// RFC 3339's `-00:00`: UTC, the local offset is not known.
    Unknown,
    /// Nothing is written: the settings say which zone is meant.
    Unwritten(Zone),
}

/// Reads `2026-11-23T06:00:00.5Z` and its like, a text without an offset as a time of `zone`. `Err` says what is wrong with it.
pub fn rfc3339(text: &str, zone: Option<Zone>) -> Result<Timestamp, String> {
    read_rfc3339(text, zone).map(|(at, _)| at)
}

/// Writes `at`, rounded down, in the way `like` is written. Without an offset, what is written is read as the same instant: a
/// time that comes twice is rounded down to where those first begin.
pub fn write_rfc3339(at: Timestamp, like: &str, zone: Option<Zone>) -> Result<String, String> {
    let (_, style) = read_rfc3339(like, zone)?;
    let at = within_four_digit_years(at);
    let (at, offset) = match style.suffix {
        Suffix::Unwritten(zone) => {
            let at = zone.repeated(at).unwrap_or(at);
            (at, zone.offset(at))
        }
        _ => (at, style.offset),
    };
    let local = offset.to_datetime(at);
    let suffix = match style.suffix {
        Suffix::Letter(letter) => letter.to_string(),
        Suffix::HoursColonMinutes => offset_text(style.offset, ":"),
        Suffix::HoursMinutes => offset_text(style.offset, ""),
        Suffix::Hours => offset_text(style.offset, "")[..3].to_owned(),
        Suffix::Unknown => "-00:00".to_owned(),
        Suffix::Unwritten(_) => String::new(),
    };
    let second = if style.has_seconds {
        format!(":{:02}", local.second())
    } else {
        String::new()
    };
    let nanos = format!("{:09}", local.subsec_nanosecond());
    let fraction = match style.fraction_digits {
        0 => String::new(),
        digits => format!(
            ".{}{}",
            &nanos[..digits.min(9)],
            "0".repeat(digits.saturating_sub(9))
        ),
    };
    Ok(format!(
        "{:04}-{:02}-{:02}{}{:02}:{:02}{second}{fraction}{suffix}",
        local.year(),
        local.month(),
        local.day(),
        style.separator,
        local.hour(),
        local.minute(),
    ))
}

/// Reads `2026-11-23` as that day's first instant in UTC.
pub fn date(text: &str) -> Result<Timestamp, String> {
    date_at(text, Zone::UTC)
}

/// Reads `2026-11-23` as that day's first instant in `zone`.
pub fn date_at(text: &str, zone: Zone) -> Result<Timestamp, String> {
    let wrong = || format!("{} is not a date, such as `2026-11-23`", quoted(text));
    let (date, rest) = read_date(text.as_bytes()).ok_or_else(wrong)?;
    if !rest.is_empty() {
        return Err(wrong());
    }
    Ok(zone.instant(date.to_datetime(Time::midnight())))
}

/// Where the times of `zone` that come twice first begin, if a text without an offset has one of them.
pub fn repeated(text: &str, zone: Zone) -> Option<Timestamp> {
    let (at, style) = read_rfc3339(text, Some(zone)).ok()?;
    let is_naive = matches!(style.suffix, Suffix::Unwritten(_));
    zone.repeated(at).filter(|_| is_naive)
}

/// Writes the UTC day of `at`.
pub fn write_date(at: Timestamp) -> String {
    let day = Offset::UTC.to_datetime(within_four_digit_years(at));
    format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day())
}

/// Reads seconds (`unit_digits` 9) or milliseconds (6) since 1970, with a fraction or without.
pub fn epoch(text: &str, unit_digits: u32) -> Result<Timestamp, String> {
    let (whole, fraction) = split_decimal(text).ok_or_else(|| {
        format!(
            "{} is not a number of seconds or milliseconds since 1970",
            quoted(text)
        )
    })?;
    let too_far = || {
        format!(
            "{} is not a time before the year 10000; for milliseconds set SOURCE_CURSOR_KIND to `epoch-ms`",
            quoted(text)
        )
    };
    let unit_ns = 10_i128.pow(unit_digits);
    let whole: i128 = whole.parse().map_err(|_| too_far())?;
    let fraction_ns: i128 = format!("{fraction:0<width$.width$}", width = unit_digits as usize)
        .parse()
        .map_err(|_| too_far())?;
    let size_ns = whole
        .abs()
        .checked_mul(unit_ns)
        .ok_or_else(too_far)?
        .saturating_add(fraction_ns);
    if size_ns >= (LAST_SECOND + 1) * 1_000_000_000 {
        return Err(too_far());
    }
    let ns = if text.starts_with('-') {
        -size_ns
    } else {
        size_ns
    };
    Ok(Timestamp::from_nanosecond(ns).unwrap_or(end(ns < 0)))
}

/// Writes `at`, rounded down, with as many digits as `like` has.
pub fn write_epoch(at: Timestamp, unit_digits: u32, like: &str) -> Result<String, String> {
    let (_, fraction) =
        split_decimal(like).ok_or_else(|| format!("{} is not a number", quoted(like)))?;
    let digits = fraction.len();
    let kept = digits.min(unit_digits as usize);
    let step_ns = 10_i128.pow(unit_digits) / 10_i128.pow(u32::try_from(kept).unwrap_or(0));
    let steps = at.as_nanosecond().div_euclid(step_ns);
    let scale = 10_u128.pow(u32::try_from(kept).unwrap_or(0));
    let (whole, rest) = (steps.unsigned_abs() / scale, steps.unsigned_abs() % scale);
    let sign = if steps < 0 { "-" } else { "" };
    Ok(match digits {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{rest:0kept$}{}", "0".repeat(digits - kept)),
    })
}

/// Whether a text has the shape of a date or time, so that it must be read as one.
pub fn looks_like_a_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && [0, 1, 2, 3, 5, 6, 8, 9]
            .iter()
            .all(|at| bytes[*at].is_ascii_digit())
}

/// Whether a text looks like a date that does not sort as it stands: with the day first, the name of a month, or as
/// `/Date(…)/`.
pub fn looks_unsorted(text: &str) -> bool {
    let parts: Vec<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
        .collect();
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let has_name = parts.iter().any(|part| names_a_month(part));
    let has_number = parts.iter().any(|part| digits(part));
    let is_day_first = match parts.as_slice() {
        [day, month, year, ..] => {
            let is_short = |part: &str| part.len() <= 2 && digits(part);
            is_short(day) && is_short(month) && [2, 4].contains(&year.len()) && digits(year)
        }
        _ => false,
    };
    let is_of_dots = text.bytes().filter(|byte| *byte == b'.').count() == 2;
    // `1.2.3` is a version.
    let is_version = is_of_dots && parts.iter().all(|part| part.len() < 2);
    (has_name && has_number) || (is_day_first && !is_version) || text.starts_with("/Date(")
}

/// Whether a word is the name of a month, or its first three letters.
fn names_a_month(word: &str) -> bool {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let word = word.to_ascii_lowercase();
    MONTHS
        .iter()
        .any(|month| *month == word || (word.len() == 3 && month.starts_with(&word)))
}

fn read_rfc3339(text: &str, zone: Option<Zone>) -> Result<(Timestamp, Style), String> {
    let wrong = || {
        format!(
            "{} is not an RFC 3339 time, such as `2026-11-23T06:00:00Z`",
            quoted(text)
        )
    };
    let (plain, has_suffix) = without_suffix(text).ok_or_else(wrong)?;
    let (date, rest) = read_date(plain.as_bytes()).ok_or_else(wrong)?;
    let [separator @ (b'T' | b't' | b' '), rest @ ..] = rest else {
        return Err(wrong());
    };
    let (hour, rest) = two_digits(rest).ok_or_else(wrong)?;
    let (minute, rest) = behind_colon(rest).ok_or_else(wrong)?;
    let has_seconds = rest.starts_with(b":");
    let (second, fraction, rest) = if has_seconds {
        let (second, rest) = behind_colon(rest).ok_or_else(wrong)?;
        let (fraction, rest) = read_fraction(rest).ok_or_else(wrong)?;
        (second, fraction, rest)
    } else {
        (0, &[][..], rest)
    };
    let (offset, suffix) = match (rest, zone) {
        // The zone in brackets says less than an offset where clocks go back.
        ([], _) if has_suffix => return Err(wrong()),
        ([], Some(zone)) => (Offset::UTC, Suffix::Unwritten(zone)),
        ([], None) => {
            return Err(format!(
                "{} has no offset (`Z` or `+00:00`), so it names no instant: say in SOURCE_CURSOR_ZONE which one is meant",
                quoted(text)
            ));
        }
        (rest, _) => read_suffix(rest).ok_or_else(wrong)?,
    };
    let local = local_time(date, [hour, minute, second], fraction).ok_or_else(wrong)?;
    let style = Style {
        separator: char::from(*separator),
        has_seconds,
        fraction_digits: fraction.len(),
        offset,
        suffix,
    };
    let at = match suffix {
        Suffix::Unwritten(zone) => zone.instant(local),
        _ => instant(offset, local),
    };
    Ok((at, style))
}

/// A text without what RFC 9557 lets follow an offset, such as `[Europe/Berlin]` and `[u-ca=iso8601]`, and whether there is
/// any: the instant is that of the offset. `None`: it is not written like that.
fn without_suffix(text: &str) -> Option<(&str, bool)> {
    let Some((plain, suffix)) = text.split_once('[') else {
        return Some((text, false));
    };
    let tags = suffix.strip_suffix(']')?;
    // One with a `!` must be understood, or the time is not: none is here.
    let is_tag = |tag: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-/.:=".contains(&byte);
        !tag.is_empty() && tag.bytes().all(is_plain)
    };
    tags.split("][").all(is_tag).then_some((plain, true))
}

fn local_time(date: Date, [hour, minute, second]: [i8; 3], fraction: &[u8]) -> Option<DateTime> {
    let nanos = fraction
        .iter()
        .chain(std::iter::repeat(&b'0'))
        .take(9)
        .fold(0, |nanos, digit| nanos * 10 + i32::from(digit - b'0'));
    let time = match (hour, minute, second, nanos) {
        (24, 0, 0, 0) => return Some(date.tomorrow().ok()?.to_datetime(Time::midnight())),
        (_, _, 60, _) => Time::new(hour, minute, 59, 999_999_999),
        _ => Time::new(hour, minute, second, nanos),
    };
    Some(date.to_datetime(time.ok()?))
}

/// The instant, or the nearest one there is: `9999-12-31` is a common "never".
fn instant(offset: Offset, local: DateTime) -> Timestamp {
    offset.to_timestamp(local).unwrap_or(end(local.year() < 0))
}

fn end(first: bool) -> Timestamp {
    if first {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    }
}

/// Keeps a year within 0001 to 9999 at every offset.
fn within_four_digit_years(at: Timestamp) -> Timestamp {
    let first = instant(
        Offset::UTC,
        jiff::civil::date(1, 1, 2).to_datetime(Time::midnight()),
    );
    let last = instant(
        Offset::UTC,
        jiff::civil::date(9999, 12, 30).to_datetime(Time::midnight()),
    );
    at.clamp(first, last)
}

fn read_date(bytes: &[u8]) -> Option<(Date, &[u8])> {
    let (century, rest) = two_digits(bytes)?;
    let (year, rest) = two_digits(rest)?;
    let (month, rest) = two_digits(rest.strip_prefix(b"-")?)?;
    let (day, rest) = two_digits(rest.strip_prefix(b"-")?)?;
    let date = Date::new(i16::from(century) * 100 + i16::from(year), month, day).ok()?;
    Some((date, rest))
}

fn two_digits(bytes: &[u8]) -> Option<(i8, &[u8])> {
    match bytes {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', rest @ ..] => Some((
            (a - b'0').cast_signed() * 10 + (b - b'0').cast_signed(),
            rest,
        )),
        _ => None,
    }
}

fn behind_colon(bytes: &[u8]) -> Option<(i8, &[u8])> {
    two_digits(bytes.strip_prefix(b":")?)
}

fn read_fraction(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(rest) = bytes.strip_prefix(b".") else {
        return Some((&[], bytes));
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=FRACTION_DIGITS_MAX)
        .contains(&digits)
        .then(|| rest.split_at(digits))
}

/// Reads an offset: `Z`, `+02:00` and its like.
fn read_offset(text: &str) -> Option<Offset> {
    read_suffix(text.as_bytes()).map(|(offset, _)| offset)
}

fn read_suffix(bytes: &[u8]) -> Option<(Offset, Suffix)> {
    let (sign, rest) = match bytes {
        [letter @ (b'Z' | b'z')] => {
            return Some((Offset::UTC, Suffix::Letter(char::from(*letter))));
        }
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = two_digits(rest)?;
    let (minutes, suffix) = match rest {
        [] => (0, Suffix::Hours),
        [b':', rest @ ..] => (only_two_digits(rest)?, Suffix::HoursColonMinutes),
        rest => (only_two_digits(rest)?, Suffix::HoursMinutes),
    };
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60);
    let suffix = if bytes == b"-00:00" {
        Suffix::Unknown
    } else {
        suffix
    };
    Some((Offset::from_seconds(seconds).ok()?, suffix))
}

fn only_two_digits(bytes: &[u8]) -> Option<i8> {
    two_digits(bytes).and_then(|(value, rest)| rest.is_empty().then_some(value))
}

fn offset_text(offset: Offset, between: &str) -> String {
    let minutes = offset.seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    format!(
        "{sign}{:02}{between}{:02}",
        minutes.abs() / 60,
        minutes.abs() % 60
    )
}

/// A decimal number without exponent: its whole part with the sign, and the digits of its fraction.
fn split_decimal(text: &str) -> Option<(&str, &str)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let fraction_fits = digits(fraction) && fraction.len() <= FRACTION_DIGITS_MAX;
    (digits(whole.strip_prefix('-').unwrap_or(whole)) && (fraction_fits || !text.contains('.')))
        .then_some((whole, fraction))
}

#[cfg(test)]
mod tests;
