//! The kinds of cursor, and one value: as a record has it, and as a point that is compared with others.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::failure::quoted;
use crate::time::{self, Pattern, Zone};
use tidegate_json::Number;

/// One cursor value. It is part of a URL and of the state, and both are small.
pub const VALUE_BYTES_MAX: usize = 1024;
/// Digits of a second in nanoseconds.
pub(super) const SECOND_DIGITS: u32 = 9;

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
    /// Times as mails and HTTP write them, `Fri, 27 Nov 2026 19:39:17 GMT`.
    Rfc2822,
    /// Times as `/Date(1700000000000+0100)/`.
    MsJson,
    /// Times of a form that the settings give.
    Pattern(Pattern),
    /// The source's clock: no record has it.
    Clock,
    /// Integers of any size, as a number or its text.
    Integer,
    /// Text, compared byte by byte.
    Text,
    /// A token of the source's own: kept, sent back, never compared.
    Token,
}

impl Kind {
    /// All kinds that have a word, in the order in which people read them.
    pub const ALL: [Self; 10] = [
        Self::Rfc3339,
        Self::Date,
        Self::Epoch,
        Self::EpochMs,
        Self::Rfc2822,
        Self::MsJson,
        Self::Integer,
        Self::Text,
        Self::Clock,
        Self::Token,
    ];

    /// Its name in settings and messages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rfc3339 => "rfc3339",
            Self::Date => "date",
            Self::Epoch => "epoch",
            Self::EpochMs => "epoch-ms",
            Self::Rfc2822 => "rfc2822",
            Self::MsJson => "ms-json",
            Self::Pattern(_) => "format",
            Self::Clock => "clock",
            Self::Integer => "integer",
            Self::Text => "text",
            Self::Token => "token",
        }
    }

    /// The kind of that name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Its name in the state: with the pattern, where it is one.
    pub fn in_state(self) -> String {
        match self {
            Self::Pattern(pattern) => format!("format {}", pattern.text()),
            other => other.word().to_owned(),
        }
    }

    /// The kind that the state calls so.
    pub fn of_state(text: &str) -> Option<Self> {
        match text.strip_prefix("format ") {
            Some(pattern) => Pattern::new(pattern).ok().map(Self::Pattern),
            None => Self::named(text),
        }
    }

    /// Whether its values are days, with no time in them.
    pub fn is_of_days(self) -> bool {
        match self {
            Self::Date => true,
            Self::Pattern(pattern) => pattern.is_of_days(),
            _ => false,
        }
    }

    /// Whether its values may name no offset, so that SOURCE_CURSOR_ZONE says which instants they are.
    pub fn may_be_naive(self) -> bool {
        match self {
            Self::Rfc3339 | Self::Clock => true,
            Self::Pattern(pattern) => pattern.is_naive(),
            _ => false,
        }
    }

    /// Whether its values are points in time, so that the source's clock says which are from the future.
    pub const fn is_time(self) -> bool {
        match self {
            Self::Rfc3339
            | Self::Date
            | Self::Epoch
            | Self::EpochMs
            | Self::Rfc2822
            | Self::MsJson
            | Self::Pattern(_)
            | Self::Clock => true,
            Self::Integer | Self::Text | Self::Token => false,
        }
    }

    /// Tells the kind from a first value; a time without an offset is one of `zone`. `Err` says why that cannot be done safely.
    pub fn of(value: &Value<'_>, zone: Option<Zone>) -> Result<Self, String> {
        let text = value.text.as_ref();
        if !value.is_string {
            if Number::parse(text).is_none() {
                return Err(format!(
                    "{} is not an integer; if it is a time, set SOURCE_CURSOR_KIND to `epoch` or `epoch-ms`",
                    quoted(text)
                ));
            }
            // As an integer, a time has neither a look-back nor a clock that limits it.
            return match epoch_of(text) {
                Some(epoch) => Err(format!(
                    "{} may be a time or a number: set SOURCE_CURSOR_KIND to `{}` or `integer`",
                    quoted(text),
                    epoch.word()
                )),
                None => Ok(Self::Integer),
            };
        }
        if time::looks_like_a_date(text) {
            return match time::date(text) {
                Ok(_) => Ok(Self::Date),
                Err(_) => time::rfc3339(text, zone)
                    .map(|_| Self::Rfc3339)
                    .map_err(|why| {
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
        if time::ms_json::read(text).is_ok() {
            return Ok(Self::MsJson);
        }
        if time::rfc2822::read(text).is_ok() {
            return Ok(Self::Rfc2822);
        }
        if time::looks_unsorted(text) {
            return Err(format!(
                "{} looks like a date that does not sort as it stands: set SOURCE_CURSOR_FORMAT to its form, such as `%d/%m/%Y`",
                quoted(text)
            ));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if !text.bytes().all(is_plain) {
            return Err(format!(
                "{} may not sort as it stands: if the source compares it byte by byte, set SOURCE_CURSOR_KIND to `text`",
                quoted(text)
            ));
        }
        Ok(Self::Text)
    }
}

/// The kind of time that a number may be: ten digits are seconds of the years 2001 to 2286, thirteen milliseconds.
pub fn epoch_of(digits: &str) -> Option<Kind> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.len() {
        10 if is_number => Some(Kind::Epoch),
        13 if is_number => Some(Kind::EpochMs),
        _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(raw: &str) -> Result<Kind, String> {
        Kind::of(&Value::of(raw).unwrap(), None)
    }

    #[test]
    fn kinds_are_told_from_a_first_value() {
        assert_eq!(kind_of(r#""2026-11-23T06:00:00Z""#), Ok(Kind::Rfc3339));
        assert_eq!(kind_of(r#""2026-11-23T06:00:00\u005a""#), Ok(Kind::Rfc3339));
        assert_eq!(kind_of(r#""2026-11-23""#), Ok(Kind::Date));
        assert_eq!(kind_of("9007199254740993"), Ok(Kind::Integer));
        assert_eq!(kind_of("179541360"), Ok(Kind::Integer));
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
    fn a_number_that_may_be_a_time_is_not_guessed() {
        let asks_for = |raw: &str, kind: &str| {
            let why = kind_of(raw).unwrap_err();
            assert!(why.contains(&format!("to `{kind}` or `integer`")), "{why}");
        };

        asks_for("1795413600", "epoch");
        asks_for("1795413600000", "epoch-ms");
        assert_eq!(kind_of("17954136000"), Ok(Kind::Integer));
    }

    #[test]
    fn times_that_are_written_in_one_way_only_are_told() {
        assert_eq!(
            kind_of(r#""Thu, 05 Jan 2023 10:00:00 GMT""#),
            Ok(Kind::Rfc2822)
        );
        assert_eq!(
            kind_of(r#""\/Date(1576107758447+0000)\/""#),
            Ok(Kind::MsJson)
        );
        assert_eq!(
            kind_of(r#""2026-01-01T00:00:00+01:00[Europe/Berlin]""#),
            Ok(Kind::Rfc3339)
        );
    }

    #[test]
    fn the_state_has_the_pattern_of_a_kind() {
        let pattern = Kind::Pattern(Pattern::new("%d/%m/%Y").unwrap());

        for kind in Kind::ALL.into_iter().chain([pattern]) {
            assert_eq!(Kind::of_state(&kind.in_state()), Some(kind));
        }
        assert_eq!(Kind::named("format %d/%m/%Y"), None);
        assert_eq!(Kind::of_state("format %d"), None);
    }

    #[test]
    fn a_date_that_does_not_sort_as_it_stands_is_not_guessed() {
        for text in [
            "31-01-2023",
            "31/01/2023",
            "1/31/2023 10:00",
            "05.01.2023",
            "5.1.23",
            "Jan 5, 2023",
            "05 Jan 2023",
            "05-JAN-23",
            "5 January 2023",
            "/Date(2023-01-05)/",
        ] {
            let why = kind_of(&format!("\"{text}\"")).unwrap_err();
            assert!(why.contains("does not sort as it stands"), "{text}: {why}");
        }
    }

    #[test]
    fn a_text_with_more_than_a_word_is_not_guessed() {
        for text in ["1.2.3", "2023/01/05", "W/5", "a b", "é", "10:05"] {
            let why = kind_of(&format!("\"{text}\"")).unwrap_err();
            assert!(why.contains("may not sort as it stands"), "{text}: {why}");
        }
    }

    #[test]
    fn a_word_may_have_a_month_in_it() {
        for text in [
            "01MAYB3",
            "march",
            "c000012",
            "018f3c2e-7b1a-7000-8000-0123456789ab",
        ] {
            assert_eq!(kind_of(&format!("\"{text}\"")), Ok(Kind::Text), "{text}");
        }
    }

    #[test]
    fn values_that_are_no_cursor_say_what_they_are() {
        assert_eq!(Value::of("null").unwrap_err(), "is null");
        assert_eq!(Value::of("\"\"").unwrap_err(), "is empty");
        assert_eq!(Value::of("true").unwrap_err(), "is a boolean");
        assert!(Value::of(&format!("\"{}\"", "x".repeat(1025))).is_err());
    }

    #[test]
    fn a_time_without_offset_is_a_time_where_a_zone_is_set() {
        let naive = Value::of(r#""2026-11-23T06:00:00""#).unwrap();

        assert_eq!(Kind::of(&naive, Some(Zone::UTC)), Ok(Kind::Rfc3339));
    }
}
