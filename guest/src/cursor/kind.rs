//! The kinds of cursor: how a value is read, compared, and asked from again.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use super::number::Number;
use super::time;
use crate::failure::quoted;

/// One cursor value. It is part of a URL and of the state, and both are small.
pub const VALUE_BYTES_MAX: usize = 1024;
/// Digits of a second, of a millisecond, in nanoseconds.
const SECOND_DIGITS: u32 = 9;
const MILLISECOND_DIGITS: u32 = 6;

/// What a cursor's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RFC 3339 times, compared as instants.
    Rfc3339,
    /// Days, `2026-11-23`.
    Date,
    /// Seconds since 1970, as a number or its text.
    Epoch,
    /// Milliseconds since 1970, as a number or its text.
    EpochMs,
    /// Integers of any size, as a number or its text.
    Integer,
    /// Text, compared byte by byte.
    Text,
}

impl Kind {
    /// All kinds, in the order in which people read them.
    pub const ALL: [Self; 6] = [
        Self::Rfc3339,
        Self::Date,
        Self::Epoch,
        Self::EpochMs,
        Self::Integer,
        Self::Text,
    ];

    /// Its name in settings and in the state.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rfc3339 => "rfc3339",
            Self::Date => "date",
            Self::Epoch => "epoch",
            Self::EpochMs => "epoch-ms",
            Self::Integer => "integer",
            Self::Text => "text",
        }
    }

    /// The kind of that name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether its values are points in time, so that the source's clock says which are from the future.
    pub const fn is_time(self) -> bool {
        match self {
            Self::Rfc3339 | Self::Date | Self::Epoch | Self::EpochMs => true,
            Self::Integer | Self::Text => false,
        }
    }

    /// Tells the kind from a first value. `Err` says why that cannot be done safely.
    pub fn of(value: &Value<'_>) -> Result<Self, String> {
        let text = value.text.as_ref();
        if !value.is_string {
            return Number::parse(text).map(|_| Self::Integer).ok_or_else(|| {
                format!("{} is not an integer; if it is a time, set SOURCE_CURSOR_KIND to `epoch` or `epoch-ms`", quoted(text))
            });
        }
        if time::looks_like_a_date(text) {
            return match time::date(text) {
                Ok(_) => Ok(Self::Date),
                Err(_) => time::rfc3339(text).map(|_| Self::Rfc3339).map_err(|why| {
                    format!("{why}; to compare it as text, set SOURCE_CURSOR_KIND to `text`")
                }),
            };
        }
        // As text, "10" comes before "9": taking numbers for text would lose records.
        if time::epoch(text, SECOND_DIGITS).is_ok() || Number::parse(text).is_some() {
            return Err(format!(
                "{} may be a number, a time or a text: set SOURCE_CURSOR_KIND to `integer`, `epoch`, `epoch-ms` or `text`",
                quoted(text)
            ));
        }
        Ok(Self::Text)
    }

    /// Reads a value's text. `Err` says what is wrong with it.
    pub fn point(self, text: &str) -> Result<Point<'_>, String> {
        match self {
            Self::Rfc3339 => time::rfc3339(text).map(Point::At),
            Self::Date => time::date(text).map(Point::At),
            Self::Epoch => time::epoch(text, SECOND_DIGITS).map(Point::At),
            Self::EpochMs => time::epoch(text, MILLISECOND_DIGITS).map(Point::At),
            Self::Integer => Number::parse(text)
                .map(Point::Number)
                .ok_or_else(|| format!("{} is not an integer", quoted(text))),
            Self::Text => Ok(Point::Text(Cow::Borrowed(text))),
        }
    }

    /// Reads a record's value, whose JSON type must be the kind's.
    pub fn point_of<'v>(self, value: &'v Value<'_>) -> Result<Point<'v>, String> {
        match self {
            Self::Rfc3339 | Self::Date | Self::Text if !value.is_string => Err(format!(
                "{} is a number, not the text that SOURCE_CURSOR_KIND `{}` asks for",
                quoted(&value.text),
                self.word()
            )),
            _ => self.point(&value.text),
        }
    }

    /// Writes a point in time, rounded down, in the way `like` is written.
    pub fn write(self, at: Timestamp, like: &str) -> Result<String, String> {
        match self {
            Self::Rfc3339 => time::write_rfc3339(at, like),
            Self::Date => Ok(time::write_date(at)),
            Self::Epoch => time::write_epoch(at, SECOND_DIGITS, like),
            Self::EpochMs => time::write_epoch(at, MILLISECOND_DIGITS, like),
            Self::Integer | Self::Text => Ok(like.to_owned()),
        }
    }

    /// The value to ask from, `back` before `text`; `text` itself when `back` is nothing.
    pub fn back_from(self, text: &str, back: Back) -> Result<String, String> {
        match (self.point(text)?, back) {
            (_, Back::Seconds(0) | Back::Count(0)) => Ok(text.to_owned()),
            (Point::At(at), Back::Seconds(seconds)) => {
                let back = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
                self.write(at.checked_sub(back).unwrap_or(Timestamp::MIN), text)
            }
            (Point::Number(number), Back::Count(count)) => Ok(number.minus(count).to_string()),
            (_, Back::Seconds(_)) => {
                Err(format!("a `{}` cursor has no time to go back", self.word()))
            }
            (_, Back::Count(_)) => Err(format!(
                "a `{}` cursor has no number to go back",
                self.word()
            )),
        }
    }
}

/// A cursor value as a record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value<'a> {
    /// A string's content, a number's digits.
    pub text: Cow<'a, str>,
    /// Whether it is a JSON string.
    pub is_string: bool,
}

impl<'a> Value<'a> {
    /// Reads the JSON text of a value. `Err` says why it is no cursor.
    pub fn of(raw: &'a str) -> Result<Self, String> {
        let is_string = raw.starts_with('"');
        let text = match raw.as_bytes()[0] {
            b'"' if raw.contains('\\') => {
                Cow::Owned(serde_json::from_str(raw).map_err(|_| "is a damaged string".to_owned())?)
            }
            b'"' => Cow::Borrowed(&raw[1..raw.len() - 1]),
            b'-' | b'0'..=b'9' => Cow::Borrowed(raw),
            b'n' => return Err("is null".to_owned()),
            b'{' => return Err("is an object".to_owned()),
            b'[' => return Err("is an array".to_owned()),
            _ => return Err("is a boolean".to_owned()),
        };
        match text.len() {
            0 => Err("is empty".to_owned()),
            length if length > VALUE_BYTES_MAX => {
                Err(format!("is longer than {VALUE_BYTES_MAX} bytes"))
            }
            _ => Ok(Self { text, is_string }),
        }
    }
}

/// A cursor value, ready to be compared with others of its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point<'a> {
    /// A point in time.
    At(Timestamp),
    /// An integer.
    Number(Number<'a>),
    /// A text.
    Text(Cow<'a, str>),
}

impl Point<'_> {
    /// The same point, borrowing nothing.
    pub fn into_owned(self) -> Point<'static> {
        match self {
            Self::At(at) => Point::At(at),
            Self::Number(number) => Point::Number(number.into_owned()),
            Self::Text(text) => Point::Text(Cow::Owned(text.into_owned())),
        }
    }
}

/// How far back to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// By so many seconds.
    Seconds(u64),
    /// By so many integers.
    Count(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(raw: &str) -> Result<Kind, String> {
        Kind::of(&Value::of(raw).unwrap())
    }

    #[test]
    fn kinds_are_told_from_a_first_value() {
        assert_eq!(kind_of(r#""2026-11-23T06:00:00Z""#), Ok(Kind::Rfc3339));
        assert_eq!(kind_of(r#""2026-11-23T06:00:00\u005a""#), Ok(Kind::Rfc3339));
        assert_eq!(kind_of(r#""2026-11-23""#), Ok(Kind::Date));
        assert_eq!(kind_of("9007199254740993"), Ok(Kind::Integer));
        assert_eq!(kind_of("1795413600"), Ok(Kind::Integer));
        assert_eq!(kind_of(r#""01JD2Q8Z""#), Ok(Kind::Text));
    }

    #[test]
    fn what_could_be_two_kinds_is_not_guessed() {
        assert!(
            kind_of(r#""1795413600""#)
                .unwrap_err()
                .contains("set SOURCE_CURSOR_KIND")
        );
        assert!(
            kind_of(r#""1503435956.000247""#)
                .unwrap_err()
                .contains("set SOURCE_CURSOR_KIND")
        );
        assert!(kind_of("1.5").unwrap_err().contains("is not an integer"));
        assert!(
            kind_of(r#""2026-11-23T06:00:00""#)
                .unwrap_err()
                .contains("has no offset")
        );
    }

    #[test]
    fn values_that_are_no_cursor_say_what_they_are() {
        assert_eq!(Value::of("null").unwrap_err(), "is null");
        assert_eq!(Value::of("\"\"").unwrap_err(), "is empty");
        assert_eq!(Value::of("true").unwrap_err(), "is a boolean");
        assert!(Value::of(&format!("\"{}\"", "x".repeat(1025))).is_err());
    }

    #[test]
    fn going_back_keeps_the_way_a_value_is_written() {
        let back = |kind: Kind, text: &str, back| kind.back_from(text, back).unwrap();

        assert_eq!(
            back(
                Kind::Rfc3339,
                "2026-11-23T00:04:00.50+01:00",
                Back::Seconds(300)
            ),
            "2026-11-22T23:59:00.50+01:00"
        );
        assert_eq!(
            back(Kind::Date, "2026-11-23", Back::Seconds(300)),
            "2026-11-22"
        );
        assert_eq!(back(Kind::Epoch, "1000", Back::Seconds(300)), "700");
        assert_eq!(back(Kind::EpochMs, "1000", Back::Seconds(1)), "0");
        assert_eq!(
            back(Kind::Integer, "18446744073709551616", Back::Count(1)),
            "18446744073709551615"
        );
    }

    #[test]
    fn going_back_by_nothing_keeps_every_byte() {
        let odd = "2026-11-23 06:00:60.1234567890123+00";

        assert_eq!(Kind::Rfc3339.back_from(odd, Back::Seconds(0)).unwrap(), odd);
    }

    #[test]
    fn text_cannot_go_back() {
        assert!(Kind::Text.back_from("a", Back::Seconds(1)).is_err());
        assert!(Kind::Integer.back_from("7", Back::Seconds(1)).is_err());
    }

    #[test]
    fn a_number_is_no_text() {
        let error = Kind::Text.point_of(&Value::of("7").unwrap()).unwrap_err();

        assert!(error.contains("is a number, not the text"), "{error}");
    }
}
