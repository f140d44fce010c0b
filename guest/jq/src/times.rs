//! Times: seconds since 1970, the same broken down as jq does it, and as texts of any form, all in UTC.
//!
//! `strftime` and `strptime` know the directives of glibc in its C locale. There is no clock and no time zone here.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use super::builtins::{Native, array, entry, number};
use super::shown;
use super::strings::string;
use super::value::Value;
use crate::text::quoted;

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// A width in a directive is at most this.
const WIDTH_MAX: usize = 100;

pub(super) const NATIVES: &[Native] = &[
    entry("fromdateiso8601", 0, |_, value, _| {
        let text = string(value)?;
        let seconds = seconds(text);
        seconds.ok_or_else(|| {
            format!(
                "{} is not written like `2026-11-23T06:00:00Z`",
                quoted(text)
            )
        })
    }),
    entry("todateiso8601", 0, |_, value, _| {
        let at = Moment::of(value)?.at;
        Ok(Value::text(format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        )))
    }),
    entry("gmtime", 0, |_, value, _| {
        Ok(Moment::of_seconds(value)?.broken_down())
    }),
    entry("mktime", 0, |_, value, _| {
        let moment = Moment::of_parts(value)?;
        Ok(Value::int(moment.unix_seconds()))
    }),
    entry("strftime", 1, |_, value, given| {
        let moment = Moment::of(value)?;
        let mut out = String::new();
        moment.write(string(&given[0])?, &mut out)?;
        Ok(Value::text(out))
    }),
    entry("strptime", 1, |_, value, given| {
        let (text, format) = (string(value)?, string(&given[0])?);
        let moment = Reading::default().read(text, format);
        let moment = moment.map(|moment| moment.broken_down());
        moment.ok_or_else(|| format!("{} does not match {}", quoted(text), quoted(format)))
    }),
];

/// A second, and the fraction behind it.
struct Moment {
    at: DateTime,
    fraction: f64,
}

impl Moment {
    fn of_unix(seconds: i64, fraction: f64) -> Option<Self> {
        let at = Timestamp::from_second(seconds).ok()?;
        let at = Offset::UTC.to_datetime(at);
        Some(Self { at, fraction })
    }

    fn of(value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(_) => Self::of_parts(value),
            _ => Self::of_seconds(value),
        }
    }

    fn of_seconds(value: &Value) -> Result<Self, String> {
        let float = number(value)?.as_f64();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates, and is refused then"
        )]
        let seconds = float.floor() as i64;
        let moment = Self::of_unix(seconds, float - float.floor());
        let moment = moment.filter(|_| float.is_finite());
        moment.ok_or_else(|| format!("{} is not a time", quoted(&shown(value))))
    }

    /// What `gmtime` and `strptime` give: year, month from 0, day, hour, minute and second, each of which may be out of range, as
    /// for `mktime` of C.
    fn of_parts(value: &Value) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{} is not a broken-down time: [year, month from 0, day, hour, minute, second]",
                quoted(&shown(value))
            )
        };
        let parts = array(value).map_err(|_| wrong())?;
        let mut whole = [0_i64; 6];
        for (at, place) in whole.iter_mut().enumerate() {
            let part = parts.get(at).ok_or_else(wrong)?;
            let float = number(part).map_err(|_| wrong())?.as_f64();
            // Beyond any calendar, and small enough to be calculated with.
            if float.is_nan() || float.abs() > 1e13 {
                return Err(wrong());
            }
            #[expect(clippy::cast_possible_truncation, reason = "small enough")]
            let part = float.trunc() as i64;
            *place = part;
        }
        let [year, month, day, hour, minute, second] = whole;
        let first = i16::try_from(year + month.div_euclid(12)).ok();
        let month = i8::try_from(month.rem_euclid(12) + 1).unwrap_or(1);
        let first = first.and_then(|year| Date::new(year, month, 1).ok());
        let first = first.and_then(midnight).ok_or_else(wrong)?;
        let seconds = first + (day - 1) * 86_400 + hour * 3600 + minute * 60 + second;
        Self::of_unix(seconds, 0.0).ok_or_else(wrong)
    }

    fn unix_seconds(&self) -> i64 {
        let at = Offset::UTC.to_timestamp(self.at);
        at.map_or(0, Timestamp::as_second)
    }

    fn broken_down(&self) -> Value {
        let at = self.at;
        let second = i64::from(at.second());
        #[expect(clippy::cast_precision_loss, reason = "below 61")]
        let second = if self.fraction == 0.0 {
            Value::int(second)
        } else {
            Value::float(second as f64 + self.fraction)
        };
        let whole = |part: i16| Value::int(i64::from(part));
        Value::array(vec![
            whole(at.year()),
            whole(i16::from(at.month()) - 1),
            whole(i16::from(at.day())),
            whole(i16::from(at.hour())),
            whole(i16::from(at.minute())),
            second,
            whole(i16::from(at.weekday().to_sunday_zero_offset())),
            whole(at.day_of_year() - 1),
        ])
    }

    /// Appends what a format makes of it.
    fn write(&self, format: &str, out: &mut String) -> Result<(), String> {
        let mut chars = format.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                out.push(char);
                continue;
            }
            let mut shape = Shape::default();
            let directive = loop {
                match chars.next() {
                    Some(flag @ ('-' | '_' | '0')) if shape.width == 0 => shape.pad = Some(flag),
                    Some('^') => shape.upper = true,
                    Some(digit @ '0'..='9') => {
                        let digit = digit.to_digit(10).unwrap_or(0) as usize;
                        shape.width = (shape.width * 10 + digit).min(WIDTH_MAX);
                    }
                    Some('E' | 'O') => {}
                    Some(directive) => break directive,
                    None => return Err(format!("{} ends within a directive", quoted(format))),
                }
            };
            self.directive(directive, &shape, out)?;
        }
        Ok(())
    }

    fn directive(&self, directive: char, shape: &Shape, out: &mut String) -> Result<(), String> {
        let at = self.at;
        let (year, month, day) = (i64::from(at.year()), at.month().into(), at.day().into());
        let hour = i64::from(at.hour());
        let twelve = (hour + 11) % 12 + 1;
        let weekday = i64::from(at.weekday().to_sunday_zero_offset());
        let of_year = i64::from(at.day_of_year()) - 1;
        let iso = at.date().iso_week_date();
        let month_name = MONTHS[usize::from(at.month().unsigned_abs()) - 1];
        let day_name = DAYS[usize::from(at.weekday().to_sunday_zero_offset().unsigned_abs())];
        let half = if hour < 12 { "AM" } else { "PM" };
        let within = match directive {
            'c' => "%a %b %e %H:%M:%S %Y",
            'D' | 'x' => "%m/%d/%y",
            'F' => "%Y-%m-%d",
            'r' => "%I:%M:%S %p",
            'R' => "%H:%M",
            'T' | 'X' => "%H:%M:%S",
            _ => "",
        };
        if !within.is_empty() {
            let mut inner = String::new();
            self.write(within, &mut inner)?;
            shape.text(&inner, out);
            return Ok(());
        }
        match directive {
            'a' => shape.text(&day_name[..3], out),
            'A' => shape.text(day_name, out),
            'b' | 'h' => shape.text(&month_name[..3], out),
            'B' => shape.text(month_name, out),
            'C' => shape.number(year.div_euclid(100), 2, '0', out),
            'd' => shape.number(day, 2, '0', out),
            'e' => shape.number(day, 2, '_', out),
            'g' => shape.number(i64::from(iso.year()).rem_euclid(100), 2, '0', out),
            'G' => shape.number(iso.year().into(), 1, '0', out),
            'H' => shape.number(hour, 2, '0', out),
            'I' => shape.number(twelve, 2, '0', out),
            'j' => shape.number(of_year + 1, 3, '0', out),
            'k' => shape.number(hour, 2, '_', out),
            'l' => shape.number(twelve, 2, '_', out),
            'm' => shape.number(month, 2, '0', out),
            'M' => shape.number(at.minute().into(), 2, '0', out),
            'n' => out.push('\n'),
            'p' => shape.text(half, out),
            'P' => shape.text(&half.to_ascii_lowercase(), out),
            's' => shape.number(self.unix_seconds(), 1, '0', out),
            'S' => shape.number(at.second().into(), 2, '0', out),
            't' => out.push('\t'),
            'u' => shape.number((weekday + 6) % 7 + 1, 1, '0', out),
            'U' => shape.number((of_year + 7 - weekday) / 7, 2, '0', out),
            'V' => shape.number(iso.week().into(), 2, '0', out),
            'w' => shape.number(weekday, 1, '0', out),
            'W' => shape.number((of_year + 7 - (weekday + 6) % 7) / 7, 2, '0', out),
            'y' => shape.number(year.rem_euclid(100), 2, '0', out),
            'Y' => shape.number(year, 1, '0', out),
            'z' => out.push_str("+0000"),
            'Z' => shape.text("UTC", out),
            '%' => out.push('%'),
            other => {
                let what = quoted(&format!("%{other}"));
                return Err(format!("{what} is not a directive of `strftime`"));
            }
        }
        Ok(())
    }
}

/// The flags and the width of a directive.
#[derive(Default)]
struct Shape {
    pad: Option<char>,
    upper: bool,
    width: usize,
}

impl Shape {
    fn number(&self, number: i64, digits: usize, pad: char, out: &mut String) {
        let width = self.width.max(digits);
        let _ = match self.pad.unwrap_or(pad) {
            '-' => write!(out, "{number}"),
            '_' => write!(out, "{number:width$}"),
            _ => write!(out, "{number:0width$}"),
        };
    }

    fn text(&self, text: &str, out: &mut String) {
        let width = self.width;
        let text = if self.upper {
            text.to_uppercase()
        } else {
            text.to_owned()
        };
        let _ = match self.pad {
            Some('0') => write!(
                out,
                "{}{text}",
                "0".repeat(width.saturating_sub(text.len()))
            ),
            _ => write!(out, "{text:>width$}"),
        };
    }
}

/// What `strptime` has read so far.
#[derive(Default)]
struct Reading {
    year: Option<i64>,
    century: Option<i64>,
    year_of_century: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    of_year: Option<i64>,
    hour: i64,
    /// Whether the hour is of a clock of twelve, and after noon.
    afternoon: Option<bool>,
    is_of_twelve: bool,
    minute: i64,
    second: i64,
    /// Seconds east of UTC.
    offset: i64,
    unix: Option<i64>,
}

impl Reading {
    /// Reads all of a text. `None`: it is not of this form, or no time.
    fn read(mut self, text: &str, format: &str) -> Option<Moment> {
        let rest = self.part(text, format)?;
        if !rest.trim_ascii_start().is_empty() {
            return None;
        }
        self.moment()
    }

    /// Reads what a format asks for, and gives back what is left.
    fn part<'t>(&mut self, mut text: &'t str, format: &str) -> Option<&'t str> {
        let mut chars = format.chars();
        while let Some(char) = chars.next() {
            if char.is_ascii_whitespace() {
                text = text.trim_ascii_start();
                continue;
            }
            if char != '%' {
                text = text.strip_prefix(char)?;
                continue;
            }
            let directive = loop {
                match chars.next()? {
                    '-' | '_' | '0' | '^' | '#' | 'E' | 'O' => {}
                    directive => break directive,
                }
            };
            text = self.directive(text, directive)?;
        }
        Some(text)
    }

    fn directive<'t>(&mut self, text: &'t str, directive: char) -> Option<&'t str> {
        let mut rest = text;
        let mut number = |digits: usize, least: i64, most: i64| {
            let (number, behind) = digits_of(rest, digits)?;
            rest = behind;
            (least..=most).contains(&number).then_some(number)
        };
        match directive {
            'a' | 'A' => rest = name_of(text, &DAYS)?.1,
            'b' | 'B' | 'h' => {
                let (month, behind) = name_of(text, &MONTHS)?;
                self.month = Some(month);
                rest = behind;
            }
            'c' => return self.part(text, "%a %b %e %H:%M:%S %Y"),
            'C' => self.century = Some(number(2, 0, 99)?),
            'd' | 'e' => self.day = Some(number(2, 1, 31)?),
            'D' | 'x' => return self.part(text, "%m/%d/%y"),
            'F' => return self.part(text, "%Y-%m-%d"),
            'H' | 'k' => {
                self.hour = number(2, 0, 23)?;
                self.is_of_twelve = false;
            }
            'I' | 'l' => {
                self.hour = number(2, 1, 12)? % 12;
                self.is_of_twelve = true;
            }
            'j' => self.of_year = Some(number(3, 1, 366)? - 1),
            'm' => self.month = Some(number(2, 1, 12)? - 1),
            'M' => self.minute = number(2, 0, 59)?,
            'n' | 't' => rest = text.trim_ascii_start(),
            'p' | 'P' => {
                let half = text.get(..2)?;
                self.afternoon = Some(half.eq_ignore_ascii_case("pm"));
                if self.afternoon == Some(false) && !half.eq_ignore_ascii_case("am") {
                    return None;
                }
                rest = &text[2..];
            }
            'r' => return self.part(text, "%I:%M:%S %p"),
            'R' => return self.part(text, "%H:%M"),
            's' => self.unix = Some(number(12, 0, i64::MAX)?),
            'S' => self.second = number(2, 0, 61)?,
            'T' | 'X' => return self.part(text, "%H:%M:%S"),
            'u' => drop(number(1, 1, 7)?),
            'U' | 'V' | 'W' => drop(number(2, 0, 53)?),
            'g' => drop(number(2, 0, 99)?),
            'G' => drop(number(4, 0, 9999)?),
            'w' => drop(number(1, 0, 6)?),
            'y' => self.year_of_century = Some(number(2, 0, 99)?),
            'Y' => self.year = Some(number(4, 0, 9999)?),
            'z' => (self.offset, rest) = offset_of(text.trim_ascii_start())?,
            'Z' => {
                let text = text.trim_ascii_start();
                let end = text.find(|char: char| char.is_ascii_whitespace());
                rest = &text[end.unwrap_or(text.len())..];
            }
            '%' => rest = text.strip_prefix('%')?,
            _ => return None,
        }
        Some(rest)
    }

    fn moment(self) -> Option<Moment> {
        if let Some(unix) = self.unix {
            return Moment::of_unix(unix, 0.0);
        }
        let year = match (self.year, self.century, self.year_of_century) {
            (_, Some(century), within) => 100 * century + within.unwrap_or(0),
            (_, None, Some(within @ 0..69)) => 2000 + within,
            (_, None, Some(within)) => 1900 + within,
            (year, None, None) => year.unwrap_or(1900),
        };
        let mut hour = self.hour;
        if self.is_of_twelve && self.afternoon == Some(true) {
            hour += 12;
        }
        let year = i16::try_from(year).ok()?;
        let first = |month: i64| {
            let month = i8::try_from(month + 1).ok()?;
            midnight(Date::new(year, month, 1).ok()?)
        };
        let midnight = match (self.month, self.day, self.of_year) {
            (None, None, Some(of_year)) => first(0)? + of_year * 86_400,
            (month, day, _) => first(month.unwrap_or(0))? + (day.unwrap_or(1) - 1) * 86_400,
        };
        let seconds = midnight + hour * 3600 + self.minute * 60 + self.second;
        Moment::of_unix(seconds - self.offset, 0.0)
    }
}

fn midnight(date: Date) -> Option<i64> {
    let at = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
    Some(at.as_second())
}

/// A number of at most so many digits, behind any spaces, and what is left.
fn digits_of(text: &str, digits: usize) -> Option<(i64, &str)> {
    let text = text.trim_ascii_start();
    let are = text.bytes().take(digits);
    let length = are.take_while(u8::is_ascii_digit).count();
    Some((text[..length].parse().ok()?, &text[length..]))
}

/// Which of the names a text begins with, whole or its first three letters.
fn name_of<'t>(text: &'t str, names: &[&str]) -> Option<(i64, &'t str)> {
    let text = text.trim_ascii_start();
    let starts = |name: &str| {
        let start = text.get(..name.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    for (at, name) in names.iter().enumerate() {
        for name in [name, &name[..3]] {
            if starts(name) {
                return Some((i64::try_from(at).ok()?, &text[name.len()..]));
            }
        }
    }
    None
}

/// `Z`, `+01`, `+0100` or `+01:00`, in seconds.
fn offset_of(text: &str) -> Option<(i64, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let two = |text: &'_ str| -> Option<i64> {
        let two = text.get(..2)?;
        let are_digits = two.bytes().all(|byte| byte.is_ascii_digit());
        are_digits.then(|| two.parse().ok())?
    };
    let hours = two(&text[1..])?;
    let rest = &text[3..];
    let minutes = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = match two(minutes) {
        Some(found) => (found, &minutes[2..]),
        None => (0, rest),
    };
    let is_one = hours < 24 && minutes < 60;
    is_one.then_some((sign * (hours * 3600 + minutes * 60), rest))
}

/// The seconds of `2026-11-23T06:00:00Z`, with a fraction where there is one.
fn seconds(text: &str) -> Option<Value> {
    let bytes = text.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if text.len() < 20 || !text.is_ascii() || marks.iter().any(|(at, mark)| bytes[*at] != *mark) {
        return None;
    }
    let digits = |from: usize, to: usize| {
        let part = &text[from..to];
        part.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| part.parse::<i8>().ok())?
    };
    let year = text[..4]
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text[..4].parse().ok())??;
    let at = DateTime::new(
        year,
        digits(5, 7)?,
        digits(8, 10)?,
        digits(11, 13)?,
        digits(14, 16)?,
        digits(17, 19)?,
        0,
    );
    let whole = Offset::UTC.to_timestamp(at.ok()?).ok()?.as_second();
    match text[19..].strip_suffix('Z')? {
        "" => Some(Value::int(whole)),
        fraction => {
            let digits = fraction.strip_prefix('.')?;
            let are_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let fraction: f64 = are_digits.then(|| format!("0{fraction}").parse().ok())??;
            #[expect(clippy::cast_precision_loss, reason = "jq's times are doubles")]
            let whole = whole as f64;
            Some(Value::float(whole + fraction))
        }
    }
}
