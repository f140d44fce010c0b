//! Times of a form that the settings give as a strftime pattern: reading them, and writing others the same way.
//!
//! A pattern names one instant or one day: it has a year, a month and a day, a day of the year, or seconds since 1970. What it
//! does not name is zero. Names of months and weekdays are English.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

use super::{Zone, instant, offset_text, read_suffix, within_four_digit_years};
use crate::failure::quoted;

/// The longest pattern.
const BYTES_MAX: usize = 64;
/// Digits of a fraction where neither the pattern nor the text that is followed says how many.
const FRACTION_DIGITS: usize = 6;
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
const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
/// What stands for several directives.
const SHORT: [(char, &str); 4] = [
    ('F', "%Y-%m-%d"),
    ('T', "%H:%M:%S"),
    ('R', "%H:%M"),
    ('D', "%m/%d/%y"),
];
/// The directives, for messages.
const KNOWN: &str = "%Y %y %m %d %e %b %B %j %a %A %H %I %p %M %S %f %3f %z %:z %s %F %T %R %D %%";

/// A pattern that can be read and written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    bytes: [u8; BYTES_MAX],
    length: usize,
}

/// A piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    /// This character as it is.
    As(char),
    /// A directive, whether it is written without padding, and its digits where they are given.
    Of(char, bool, usize),
}

/// What was read of a text.
#[derive(Default)]
struct Reading {
    year: i16,
    month: i8,
    day: i8,
    day_of_year: Option<i16>,
    hour: i8,
    half: Option<i8>,
    minute: i8,
    second: i8,
    nanos: i32,
    fraction_digits: usize,
    offset: Option<Offset>,
    unix: Option<i64>,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Pattern {
    /// `Err` says why no time can be read by it.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut bytes = [0; BYTES_MAX];
        let Some(place) = bytes.get_mut(..text.len()) else {
            return Err(format!("is longer than {BYTES_MAX} bytes"));
        };
        place.copy_from_slice(text.as_bytes());
        let length = text.len();
        let mut items = Vec::new();
        parse(text, &mut items)?;
        let has = |wanted: &[char]| {
            let is_one =
                |item: &Item| matches!(item, Item::Of(found, ..) if wanted.contains(found));
            items.iter().any(is_one)
        };
        let has_day = has(&['m', 'b', 'B']) && has(&['d', 'e']) || has(&['j']);
        let names_a_day = has(&['s']) || has(&['Y', 'y']) && has_day;
        if !names_a_day {
            return Err(format!(
                "{} names no day: it needs a year, a month and a day, such as `%Y-%m-%d %H:%M:%S`, or `%s`",
                quoted(text)
            ));
        }
        if has(&['I']) != has(&['p']) {
            return Err(format!(
                "{} needs both or none of `%I` and `%p`: the hour of a clock of twelve, and its half of the day",
                quoted(text)
            ));
        }
        Ok(Self { bytes, length })
    }

    /// As it was given.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    fn items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        // It was parsed before.
        let _ = parse(self.text(), &mut items);
        items
    }

    fn has(&self, wanted: &[char]) -> bool {
        let is_one = |item: Item| matches!(item, Item::Of(found, ..) if wanted.contains(&found));
        self.items().into_iter().any(is_one)
    }

    /// Whether it names a day, and no time of it.
    pub fn is_of_days(&self) -> bool {
        !self.has(&['H', 'I', 's'])
    }

    /// Whether its times name no offset, so that a zone says which instants they are.
    pub fn is_naive(&self) -> bool {
        !self.has(&['z', 's'])
    }

    /// The shortest time between two that it writes apart, in nanoseconds.
    pub fn step_ns(&self) -> i64 {
        const SECOND: i64 = 1_000_000_000;
        let digits = self.items().into_iter().find_map(|item| match item {
            Item::Of('f', _, 0) => Some(FRACTION_DIGITS),
            Item::Of('f', _, digits) => Some(digits),
            _ => None,
        });
        match digits {
            Some(digits) => SECOND / 10_i64.pow(u32::try_from(digits.min(9)).unwrap_or(9)),
            None if self.has(&['S', 's']) => SECOND,
            None if self.has(&['M']) => 60 * SECOND,
            None if self.is_of_days() => 24 * 3600 * SECOND,
            None => 3600 * SECOND,
        }
    }

    /// The instant of a text; without an offset in it, one of `zone`. `Err` says what is wrong with it.
    pub fn instant(&self, text: &str, zone: Option<Zone>) -> Result<Timestamp, String> {
        let wrong = || {
            format!(
                "{} is not of the form {}",
                quoted(text),
                quoted(self.text())
            )
        };
        let reading = self.read(text).ok_or_else(wrong)?;
        if let Some(unix) = reading.unix {
            let at = Timestamp::new(unix, reading.nanos);
            return at.map_err(|_| wrong());
        }
        let local = reading.local().ok_or_else(wrong)?;
        match (reading.offset, zone) {
            (Some(offset), _) => Ok(instant(offset, local)),
            (None, Some(zone)) => Ok(zone.instant(local)),
            (None, None) if self.is_of_days() => Ok(instant(Offset::UTC, local)),
            (None, None) => Err(format!(
                "{} has no offset, so it names no instant: set SOURCE_CURSOR_ZONE to its time zone",
                quoted(text)
            )),
        }
    }

    /// Writes `at`, rounded down, with the offset and the digits of `like` where the pattern leaves them open.
    pub fn write(&self, at: Timestamp, like: &str, zone: Option<Zone>) -> String {
        let like = self.read(like).unwrap_or_default();
        let at = within_four_digit_years(at);
        let (at, offset) = match (self.is_naive(), zone) {
            (true, Some(zone)) => {
                let at = zone.repeated(at).unwrap_or(at);
                (at, zone.offset(at))
            }
            _ => (at, like.offset.unwrap_or(Offset::UTC)),
        };
        let local = offset.to_datetime(at);
        let mut out = String::new();
        for item in self.items() {
            match item {
                Item::As(char) => out.push(char),
                Item::Of(directive, is_bare, digits) => {
                    let digits = match (digits, like.fraction_digits) {
                        (0, 0) => FRACTION_DIGITS,
                        (0, digits) | (digits, _) => digits,
                    };
                    let piece = written(directive, local, at, offset, digits);
                    let bare = piece.trim_start_matches(['0', ' ']);
                    out.push_str(match bare {
                        _ if !is_bare => &piece,
                        "" => "0",
                        bare => bare,
                    });
                }
            }
        }
        out
    }

    fn read(&self, text: &str) -> Option<Reading> {
        let mut reading = Reading::default();
        let mut rest = text;
        for item in self.items() {
            rest = match item {
                Item::As(char) => rest.strip_prefix(char)?,
                Item::Of(directive, _, digits) => reading.take(directive, digits, rest)?,
            };
        }
        rest.is_empty().then_some(reading)
    }
}

fn parse(pattern: &str, items: &mut Vec<Item>) -> Result<(), String> {
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        if char != '%' {
            items.push(Item::As(char));
            continue;
        }
        let is_bare = chars.next_if_eq(&'-').is_some();
        let has_colon = chars.next_if_eq(&':').is_some();
        let digits = chars.next_if(|char| ('1'..='9').contains(char));
        let digits = digits.and_then(|digit| digit.to_digit(10)).unwrap_or(0) as usize;
        let Some(directive) = chars.next() else {
            return Err(format!("{} ends within a directive", quoted(pattern)));
        };
        let short = SHORT.into_iter().find(|(short, _)| *short == directive);
        match (directive, short) {
            ('%', _) => items.push(Item::As('%')),
            (_, Some((_, long))) => parse(long, items)?,
            ('z', _) if has_colon => items.push(Item::Of('z', is_bare, 1)),
            ('f', _) => items.push(Item::Of('f', false, digits)),
            (directive, _)
                if "YymdebBhjaAHIpMSzs".contains(directive) && !has_colon && digits == 0 =>
            {
                let directive = if directive == 'h' { 'b' } else { directive };
                items.push(Item::Of(directive, is_bare, 0));
            }
            (directive, _) => {
                return Err(format!(
                    "{} has {}, which is not one of {KNOWN}",
                    quoted(pattern),
                    quoted(&format!("%{directive}"))
                ));
            }
        }
    }
    Ok(())
}

impl Reading {
    /// Reads what a directive stands for, and gives back what is left.
    fn take<'t>(&mut self, directive: char, digits: usize, text: &'t str) -> Option<&'t str> {
        let mut rest = text;
        let mut number = |least: usize, most: usize| {
            let found = rest
                .bytes()
                .take(most)
                .take_while(u8::is_ascii_digit)
                .count();
            let (number, behind) = rest.split_at(found);
            rest = behind;
            (found >= least).then(|| number.parse::<i32>().ok())?
        };
        let small = |number: i32| i8::try_from(number).ok();
        match directive {
            'Y' => self.year = i16::try_from(number(4, 4)?).ok()?,
            'y' => {
                let year = i16::try_from(number(2, 2)?).ok()?;
                self.year = year + if year < 69 { 2000 } else { 1900 };
            }
            'm' => self.month = small(number(1, 2)?)?,
            'd' => self.day = small(number(1, 2)?)?,
            'e' => {
                rest = rest.strip_prefix(' ').unwrap_or(rest);
                let found = rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
                let (day, behind) = rest.split_at(found);
                self.day = day.parse().ok()?;
                rest = behind;
            }
            'j' => self.day_of_year = i16::try_from(number(1, 3)?).ok(),
            'H' => self.hour = small(number(1, 2)?).filter(|hour| *hour < 24)?,
            'I' => self.hour = small(number(1, 2)?).filter(|hour| (1..=12).contains(hour))? % 12,
            'M' => self.minute = small(number(1, 2)?)?,
            'S' => self.second = small(number(1, 2)?)?,
            'f' => {
                let found = rest.bytes().take(18).take_while(u8::is_ascii_digit).count();
                if found == 0 || digits > 0 && found != digits {
                    return None;
                }
                let shown = &rest[..found.min(9)];
                self.nanos = format!("{shown:0<9}").parse().ok()?;
                self.fraction_digits = found;
                rest = &rest[found..];
            }
            'b' | 'B' => {
                let (at, behind) = name(&MONTHS, directive == 'B', rest)?;
                self.month = small(i32::try_from(at).ok()? + 1)?;
                rest = behind;
            }
            'a' | 'A' => rest = name(&DAYS, directive == 'A', rest)?.1,
            'p' => {
                let half = rest.get(..2)?;
                let is_half = |of: &str| half.eq_ignore_ascii_case(of);
                self.half = Some(if is_half("pm") { 12 } else { 0 });
                if !is_half("pm") && !is_half("am") {
                    return None;
                }
                rest = &rest[2..];
            }
            'z' => {
                let end = rest.find(|c: char| !c.is_ascii_digit() && !"+-:Zz".contains(c));
                let (offset, behind) = rest.split_at(end.unwrap_or(rest.len()));
                self.offset = Some(read_suffix(offset.as_bytes())?.0);
                rest = behind;
            }
            's' => {
                let sign = rest.len() - rest.strip_prefix('-').unwrap_or(rest).len();
                let found = rest[sign..].bytes().take_while(u8::is_ascii_digit).count();
                let (unix, behind) = rest.split_at(sign + found);
                self.unix = Some(unix.parse().ok()?);
                rest = behind;
            }
            _ => return None,
        }
        Some(rest)
    }

    fn local(&self) -> Option<DateTime> {
        let date = match self.day_of_year {
            Some(day) => {
                let first = Date::new(self.year, 1, 1).ok()?;
                let is_one = (1..=first.days_in_year()).contains(&day);
                let days = i64::from(day) - 1;
                let date = first
                    .checked_add(jiff::SignedDuration::from_hours(24 * days))
                    .ok();
                date.filter(|_| is_one)?
            }
            None => Date::new(self.year, self.month, self.day).ok()?,
        };
        let hour = self.hour + self.half.unwrap_or(0);
        let time = match self.second {
            60 => Time::new(hour, self.minute, 59, 999_999_999),
            second => Time::new(hour, self.minute, second, self.nanos),
        };
        Some(date.to_datetime(time.ok()?))
    }
}

/// Which of the names a text begins with, and what is left.
fn name<'t>(names: &[&str], is_whole: bool, text: &'t str) -> Option<(usize, &'t str)> {
    names.iter().enumerate().find_map(|(at, name)| {
        let name = if is_whole { name } else { &name[..3] };
        let start = text.get(..name.len())?;
        let rest = &text[name.len()..];
        start.eq_ignore_ascii_case(name).then_some((at, rest))
    })
}

/// What a directive writes.
fn written(
    directive: char,
    local: DateTime,
    at: Timestamp,
    offset: Offset,
    digits: usize,
) -> String {
    let month = MONTHS[usize::from(local.month().unsigned_abs()) - 1];
    let weekday = local.weekday().to_monday_zero_offset();
    let weekday = DAYS[usize::from(weekday.unsigned_abs())];
    match directive {
        'Y' => format!("{:04}", local.year()),
        'y' => format!("{:02}", local.year() % 100),
        'm' => format!("{:02}", local.month()),
        'd' => format!("{:02}", local.day()),
        'e' => format!("{:2}", local.day()),
        'j' => format!("{:03}", local.day_of_year()),
        'H' => format!("{:02}", local.hour()),
        'I' => format!("{:02}", (local.hour() + 11) % 12 + 1),
        'p' => (if local.hour() < 12 { "AM" } else { "PM" }).to_owned(),
        'M' => format!("{:02}", local.minute()),
        'S' => format!("{:02}", local.second()),
        'f' => {
            let nanos = format!("{:09}", local.subsec_nanosecond());
            format!("{:0<digits$}", &nanos[..digits.min(9)])
        }
        'b' => month[..3].to_owned(),
        'B' => month.to_owned(),
        'a' => weekday[..3].to_owned(),
        'A' => weekday.to_owned(),
        'z' => offset_text(offset, if digits == 1 { ":" } else { "" }),
        _ => at.as_nanosecond().div_euclid(1_000_000_000).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::rfc3339;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        rfc3339(text, None).unwrap()
    }

    #[test]
    fn times_of_many_forms_are_read() {
        let utc = Some(Zone::UTC);
        for (form, text, means) in [
            (
                "%Y-%m-%d %H:%M:%S",
                "2024-01-05 10:00:00",
                "2024-01-05T10:00:00Z",
            ),
            ("%d/%m/%Y", "31/12/2023", "2023-12-31T00:00:00Z"),
            (
                "%m/%d/%Y %I:%M:%S %p",
                "1/5/2024 12:05:09 am",
                "2024-01-05T00:05:09Z",
            ),
            ("%d %b %Y %R", "05 Jan 2024 23:59", "2024-01-05T23:59:00Z"),
            (
                "%A, %-d %B %Y",
                "Friday, 5 January 2024",
                "2024-01-05T00:00:00Z",
            ),
            (
                "%FT%T.%f%z",
                "2024-01-05T10:00:00.123+0200",
                "2024-01-05T08:00:00.123Z",
            ),
            (
                "%FT%T%:z",
                "2024-01-05T10:00:00+02:00",
                "2024-01-05T08:00:00Z",
            ),
            ("%Y%m%d%H%M%S", "20240105100000", "2024-01-05T10:00:00Z"),
            ("%y.%j", "24.366", "2024-12-31T00:00:00Z"),
            ("%s", "1704448800", "2024-01-05T10:00:00Z"),
            ("(%s%%)", "(-1%)", "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(
                pattern(form).instant(text, utc),
                Ok(at(means)),
                "{form} {text}"
            );
        }
    }

    #[test]
    fn what_is_not_of_the_form_is_refused() {
        for (form, text) in [
            ("%Y-%m-%d", "2024-13-01"),
            ("%Y-%m-%d", "2024-02-30"),
            ("%Y-%m-%d", "2024-01-05 "),
            ("%Y-%m-%d", "24-01-05"),
            ("%Y.%j", "2023.366"),
            ("%Y-%m-%d %I%p", "2024-01-05 13am"),
            ("%Y-%m-%d %H", "2024-01-05 24"),
            ("%Y-%m-%d %z", "2024-01-05 +99"),
        ] {
            let why = pattern(form).instant(text, Some(Zone::UTC)).unwrap_err();
            assert!(why.contains("is not of the form"), "{form} {text}: {why}");
        }
        let why = pattern("%F %T")
            .instant("2024-01-05 10:00:00", None)
            .unwrap_err();
        assert!(why.contains("set SOURCE_CURSOR_ZONE"), "{why}");
    }

    #[test]
    fn a_pattern_names_a_day() {
        let why = |text: &str| Pattern::new(text).unwrap_err();

        assert!(why("%H:%M").contains("names no day"));
        assert!(why("%Y-%m").contains("names no day"));
        assert!(why("%F %I").contains("both or none"));
        assert!(why("%F %Q").contains("`%Q`, which is not one of"));
        assert!(why("%F %").contains("ends within a directive"));
        assert!(why(&format!("%F{}", "x".repeat(64))).contains("longer than 64"));
    }

    #[test]
    fn a_time_is_written_the_same_way() {
        let instant = at("2024-01-05T22:07:09.123456789Z");
        let write = |form: &str, like: &str, zone| pattern(form).write(instant, like, zone);

        assert_eq!(write("%d/%m/%Y", "", None), "05/01/2024");
        assert_eq!(write("%-d.%-m.%y %I:%M %p", "", None), "5.1.24 10:07 PM");
        assert_eq!(
            write("%FT%T.%f%z", "2020-01-01T00:00:00.000+0200", None),
            "2024-01-06T00:07:09.123+0200"
        );
        assert_eq!(
            write("%FT%T.%f%:z", "", None),
            "2024-01-05T22:07:09.123456+00:00"
        );
        assert_eq!(
            write("%a %b %e %T %Y", "", Zone::read("+02:00").ok()),
            "Sat Jan  6 00:07:09 2024"
        );
        assert_eq!(write("%s", "", None), instant.as_second().to_string());
    }

    #[test]
    fn the_step_is_that_of_the_smallest_part() {
        let step = |form: &str| pattern(form).step_ns();

        assert_eq!(step("%F"), 86_400_000_000_000);
        assert_eq!(step("%F %H"), 3_600_000_000_000);
        assert_eq!(step("%F %R"), 60_000_000_000);
        assert_eq!(step("%s"), 1_000_000_000);
        assert_eq!(step("%F %T.%3f"), 1_000_000);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_that_rounded_down(
            seconds in -60_000_000_000_i64..250_000_000_000,
            nanos in 0_i32..1_000_000_000,
            form in prop::sample::select(vec!["%F", "%d.%m.%Y %R", "%FT%T.%3f%z", "%b %e, %Y %I:%M:%S %p", "%s", "%Y-%j %T.%f"]),
            east in -14_i32..15,
        ) {
            let at = Timestamp::new(seconds, nanos).unwrap();
            let pattern = pattern(form);
            let zone = Some(Zone::Fixed(Offset::from_seconds(east * 3600).unwrap()));

            let text = pattern.write(at, "", zone);

            let read = pattern.instant(&text, zone).unwrap();
            let past = at.duration_since(read).as_nanos();
            prop_assert!((0..i128::from(pattern.step_ns())).contains(&past), "{} {}", text, past);
        }

        #[test]
        fn any_pattern_and_any_text_is_read_or_refused(form in "\\PC{0,20}", text in "\\PC{0,20}") {
            if let Ok(pattern) = Pattern::new(&form) {
                let _ = pattern.instant(&text, Some(Zone::UTC));
            }
            let _ = pattern("%a %b %e %T.%f %z %p %I %Y").read(&text);
        }
    }
}
