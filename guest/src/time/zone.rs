//! The zone of times that name no offset: a fixed offset, or one of the IANA database.
//!
//! In a named zone an hour comes twice where clocks go back, and a time in it names two instants. All its times stand for the
//! first instant of that hour: they compare as equal, and whoever asks from one of them asks from where the hour first begins.
//! Where clocks go forward, a time that does not exist is read with the offset before.
//!
//! The table is made by `build.rs`. It begins in 1990: earlier times have the offset of then.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use super::{instant, offset_text, read_offset};
use crate::failure::quoted;
use crate::nearest::nearest;

/// Between two changes of a zone there are more seconds than these.
const NEAR_SECONDS: i64 = 2 * 24 * 60 * 60;
const DAY_SECONDS: i64 = 24 * 60 * 60;
const QUARTER_SECONDS: i64 = 15 * 60;

/// A day of each year: month, week (5: the last), weekday (0: Sunday), and minutes of the local time.
type Day = (u8, u8, u8, i16);

include!(concat!(env!("OUT_DIR"), "/zones.rs"));

/// Which instant is meant by a time that names no offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// One offset for all times.
    Fixed(Offset),
    /// The number of a name in the table.
    Named(u16),
}

/// A change of a zone's offset, all in seconds.
#[derive(Debug, Clone, Copy)]
struct Change {
    at: i64,
    before: i64,
    after: i64,
}

impl Zone {
    /// UTC.
    pub const UTC: Self = Self::Fixed(Offset::UTC);

    /// Reads `UTC`, `+02:00` and its like, or an IANA name. `Err` says what is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        if text == "UTC" {
            return Ok(Self::UTC);
        }
        if let Some(offset) = read_offset(text) {
            return Ok(Self::Fixed(offset));
        }
        let number = NAMES.lines().position(|name| name == text);
        if let Some(number) = number.and_then(|number| u16::try_from(number).ok()) {
            return Ok(Self::Named(number));
        }
        // Of a few letters, some name is always near.
        let meant = (text.len() > 4).then(|| nearest(text, NAMES.lines()));
        let meant = meant.flatten();
        let meant = meant.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        Err(format!(
            "{} is neither an IANA time zone, such as `Europe/Berlin`, nor an offset, such as `UTC` or `+02:00`{meant}",
            quoted(text)
        ))
    }

    /// The fixed offset, where it is one.
    pub fn fixed(self) -> Option<Offset> {
        match self {
            Self::Fixed(offset) => Some(offset),
            Self::Named(_) => None,
        }
    }

    /// The instant of a local time, or the nearest one there is; of a time that comes twice, where those first begin.
    pub fn instant(self, local: DateTime) -> Timestamp {
        let seconds = instant(Offset::UTC, local).as_second();
        let at = instant(self.offset_of(seconds), local);
        self.repeated(at).unwrap_or(at)
    }

    /// The offset at an instant.
    pub fn offset(self, at: Timestamp) -> Offset {
        match self {
            Self::Fixed(offset) => offset,
            Self::Named(number) => offset(Rules::of(number).offset(at.as_second())),
        }
    }

    /// Where the times that come twice first begin, if the local time at `at` is one of them.
    pub fn repeated(self, at: Timestamp) -> Option<Timestamp> {
        let Self::Named(number) = self else {
            return None;
        };
        let seconds = at.as_second();
        let rules = Rules::of(number);
        let mut changes = rules.changes_near(seconds);
        let begin = changes.find_map(|change| {
            let length = change.before - change.after;
            let is_repeated = (change.at - length..change.at + length).contains(&seconds);
            (length > 0 && is_repeated).then_some(change.at - length)
        });
        begin.and_then(|begin| Timestamp::from_second(begin).ok())
    }

    /// The offset of a local time, in seconds as if it were UTC: the first of two, or the one before the clocks go forward.
    fn offset_of(self, local: i64) -> Offset {
        let number = match self {
            Self::Fixed(offset) => return offset,
            Self::Named(number) => number,
        };
        let rules = Rules::of(number);
        let before = rules.offset(local - DAY_SECONDS);
        let after = rules.offset(local + DAY_SECONDS);
        let holds = |offset: i64| rules.offset(local - offset) == offset;
        offset(if holds(before) || !holds(after) {
            before
        } else {
            after
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(offset) => f.write_str(&offset_text(*offset, ":")),
            Self::Named(number) => {
                let name = NAMES.lines().nth(usize::from(*number));
                f.write_str(name.unwrap_or_default())
            }
        }
    }
}

/// What the table says of one zone.
struct Rules {
    first: i8,
    times: &'static [u32],
    offsets: &'static [i8],
    /// What holds behind the last of the times.
    yearly: Option<&'static (i8, i8, Day, Day)>,
}

impl Rules {
    fn of(number: u16) -> Self {
        let zone = ZONE_OF[usize::from(number)];
        let (begin, end, first, rule) = ZONES[usize::from(zone)];
        let range = usize::from(begin)..usize::from(end);
        Self {
            first,
            times: &TIMES[range.clone()],
            offsets: &OFFSETS[range],
            yearly: RULES.get(usize::from(rule)),
        }
    }

    /// The offset at an instant, in seconds.
    fn offset(&self, at: i64) -> i64 {
        let passed = self.passed(at);
        if passed == self.times.len()
            && let Some((plain, summer, begin, end)) = self.yearly
        {
            let (plain, summer) = (quarters(*plain), quarters(*summer));
            let year = year(at + plain);
            let (begin, end) = (on(*begin, year) - plain, on(*end, year) - summer);
            let is_summer = if begin < end {
                (begin..end).contains(&at)
            } else {
                !(end..begin).contains(&at)
            };
            return if is_summer { summer } else { plain };
        }
        self.offset_behind(passed)
    }

    /// The changes within two days of an instant.
    fn changes_near(&self, at: i64) -> impl Iterator<Item = Change> {
        let listed = (0..self.times.len()).map(|number| Change {
            at: i64::from(self.times[number]),
            before: self.offset_behind(number),
            after: self.offset_behind(number + 1),
        });
        let last = self.times.last().map_or(i64::MIN, |last| i64::from(*last));
        let yearly = self.yearly.into_iter().flat_map(move |rule| {
            let (plain, summer) = (quarters(rule.0), quarters(rule.1));
            let middle = year(at);
            (middle - 1..=middle + 1).flat_map(move |year| {
                let change = |day, before, after| Change {
                    at: on(day, year) - before,
                    before,
                    after,
                };
                [change(rule.2, plain, summer), change(rule.3, summer, plain)]
            })
        });
        let near = at - NEAR_SECONDS..at + NEAR_SECONDS;
        let of_rule = yearly.filter(move |change| change.at > last);
        listed
            .chain(of_rule)
            .filter(move |change| near.contains(&change.at))
    }

    /// How many of the listed changes have passed.
    fn passed(&self, at: i64) -> usize {
        self.times.partition_point(|time| i64::from(*time) <= at)
    }

    /// The offset behind so many of the listed changes.
    fn offset_behind(&self, changes: usize) -> i64 {
        quarters(
            changes
                .checked_sub(1)
                .map_or(self.first, |last| self.offsets[last]),
        )
    }
}

fn quarters(quarters: i8) -> i64 {
    i64::from(quarters) * QUARTER_SECONDS
}

fn offset(seconds: i64) -> Offset {
    let seconds = i32::try_from(seconds).unwrap_or_default();
    Offset::from_seconds(seconds).unwrap_or(Offset::UTC)
}

fn year(seconds: i64) -> i16 {
    let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    Offset::UTC.to_datetime(at).year()
}

/// This day of a year at its time, in seconds as if that were UTC.
fn on((month, week, weekday, minutes): Day, year: i16) -> i64 {
    let first = Date::new(year, month.cast_signed(), 1).unwrap_or(Date::MIN);
    let of_first = first.weekday().to_sunday_zero_offset();
    let to_weekday = (weekday.cast_signed() - of_first).rem_euclid(7);
    let mut day = 1 + to_weekday + 7 * (week.cast_signed() - 1);
    if day > first.days_in_month() {
        day -= 7;
    }
    let midnight = instant(Offset::UTC, first.at(0, 0, 0, 0)).as_second();
    midnight + i64::from(day - 1) * DAY_SECONDS + i64::from(minutes) * 60
}

#[cfg(test)]
mod tests;
