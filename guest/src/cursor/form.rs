//! The form of a cursor's values: how they are read, written in the way of others, asked from again, and sent.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use super::kind::{Kind, Point, SECOND_DIGITS, Value};
use crate::failure::quoted;
use crate::time::{self, Zone};
use tidegate_json::Number;

const HOUR_SECONDS: u64 = 60 * 60;
/// Digits of a millisecond in nanoseconds.
const MILLISECOND_DIGITS: u32 = 6;

/// What a cursor's values are, and the zone of times that name no offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// `SOURCE_CURSOR_KIND`, or the kind that was told.
    pub kind: Kind,
    /// `SOURCE_CURSOR_ZONE`; `None`: a time without an offset is refused.
    pub zone: Option<Zone>,
}

/// How far back to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// By so many seconds.
    Seconds(u64),
    /// By so many integers.
    Count(u64),
}

impl Form {
    /// Reads a value's text. `Err` says what is wrong with it.
    pub fn point(self, text: &str) -> Result<Point<'_>, String> {
        match self.kind {
            Kind::Rfc3339 | Kind::Clock => time::rfc3339(text, self.zone).map(Point::At),
            Kind::Date => time::date(text).map(Point::At),
            Kind::Rfc2822 => time::rfc2822::read(text).map(Point::At),
            Kind::MsJson => time::ms_json::read(text).map(Point::At),
            Kind::Pattern(pattern) => pattern.instant(text, self.zone).map(Point::At),
            Kind::Epoch => time::epoch(text, SECOND_DIGITS).map(Point::At),
            Kind::EpochMs => time::epoch(text, MILLISECOND_DIGITS).map(Point::At),
            Kind::Integer => Number::parse(text)
                .map(Point::Number)
                .ok_or_else(|| format!("{} is not an integer", quoted(text))),
            Kind::Text | Kind::Token => Ok(Point::Text(Cow::Borrowed(text))),
        }
    }

    /// Reads a value that a person gave: also a plain date where times are meant.
    pub fn given_point(self, text: &str) -> Result<Point<'_>, String> {
        match self.date(text) {
            Some(at) => Ok(Point::At(at)),
            None => self.point(text),
        }
    }

    /// A value that a person gave, as the source writes it: of a form of its own, people need not write it. `Err` says what is
    /// wrong with it.
    pub fn given_text(self, text: &str) -> Result<String, String> {
        let is_of_own_form = matches!(self.kind, Kind::Rfc2822 | Kind::MsJson | Kind::Pattern(_));
        match self.given_point(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(why) if is_of_own_form => {
                let plain = Self {
                    kind: Kind::Rfc3339,
                    zone: Some(self.zone.unwrap_or(Zone::UTC)),
                };
                match plain.given_point(text) {
                    Ok(Point::At(at)) => self.write(at, ""),
                    _ => Err(why),
                }
            }
            Err(why) => Err(why),
        }
    }

    /// The first instant of a plain date, where times are meant.
    fn date(self, text: &str) -> Option<Timestamp> {
        let zone = self.zone.unwrap_or(Zone::UTC);
        let is_time = matches!(self.kind, Kind::Rfc3339 | Kind::Clock);
        is_time.then(|| time::date_at(text, zone).ok()).flatten()
    }

    /// Reads a record's value, whose JSON type must be the kind's.
    pub fn point_of<'v>(self, value: &'v Value<'_>) -> Result<Point<'v>, String> {
        match self.kind {
            Kind::Rfc3339 | Kind::Date | Kind::Rfc2822 | Kind::MsJson | Kind::Text
                if !value.is_string =>
            {
                Err(format!(
                    "{} is a number, not the text that SOURCE_CURSOR_KIND `{}` asks for",
                    quoted(&value.text),
                    self.kind.word()
                ))
            }
            _ => self.point(&value.text),
        }
    }

    /// Writes a point in time, rounded down, in the way `like` is written.
    pub fn write(self, at: Timestamp, like: &str) -> Result<String, String> {
        match self.kind {
            Kind::Rfc3339 | Kind::Clock => {
                let like = match (self.date(like), self.zone) {
                    (Some(_), Some(_)) => "1970-01-01T00:00:00",
                    (Some(_), None) => "1970-01-01T00:00:00Z",
                    (None, _) => like,
                };
                time::write_rfc3339(at, like, self.zone)
            }
            Kind::Date => Ok(time::write_date(at)),
            Kind::Rfc2822 => Ok(time::rfc2822::write(at, like)),
            Kind::MsJson => Ok(time::ms_json::write(at, like)),
            Kind::Pattern(pattern) => Ok(pattern.write(at, like, self.zone)),
            Kind::Epoch => time::write_epoch(at, SECOND_DIGITS, like),
            Kind::EpochMs => time::write_epoch(at, MILLISECOND_DIGITS, like),
            Kind::Integer | Kind::Text | Kind::Token => Ok(like.to_owned()),
        }
    }

    /// The value to ask from, `back` before `text`; `text` itself when `back` is nothing, unless it is of a time that comes
    /// twice.
    pub fn back_from(self, text: &str, back: Back) -> Result<String, String> {
        let kind = self.kind.word();
        let point = self.point(text)?;
        let repeated = self.zone.and_then(|zone| match (self.kind, &point) {
            (Kind::Rfc3339, _) => time::repeated(text, zone),
            (Kind::Pattern(pattern), Point::At(at)) if pattern.is_naive() => zone.repeated(*at),
            _ => None,
        });
        match (point, back) {
            (_, Back::Seconds(0) | Back::Count(0)) => match repeated {
                Some(at) => self.write(at, text),
                None => Ok(text.to_owned()),
            },
            (Point::At(at), Back::Seconds(seconds)) => self.write(
                at.checked_sub(duration(seconds)).unwrap_or(Timestamp::MIN),
                text,
            ),
            (Point::Number(number), Back::Count(count)) => Ok(number.minus(count).to_string()),
            (_, Back::Seconds(_)) => Err(format!("a `{kind}` cursor has no time to go back")),
            (_, Back::Count(_)) => Err(format!("a `{kind}` cursor has no number to go back")),
        }
    }

    /// Values to ask from that lie before `text`, the nearest first: an hour, a day and thirty days, or 1, 1,000 and 1,000,000.
    pub fn further_back(self, text: &str) -> Vec<String> {
        const TIMES_BACK: [u64; 3] = [HOUR_SECONDS, 24 * HOUR_SECONDS, 30 * 24 * HOUR_SECONDS];
        const NUMBERS_BACK: [u64; 3] = [1, 1_000, 1_000_000];
        let Ok(point) = self.given_point(text) else {
            return Vec::new();
        };
        match point {
            Point::At(at) => {
                let before = |seconds: &u64| at.checked_sub(duration(*seconds)).ok();
                let write = |at| self.write(at, text).ok();
                TIMES_BACK
                    .iter()
                    .filter_map(before)
                    .filter_map(write)
                    .collect()
            }
            Point::Number(number) => {
                let before = |count: &u64| number.minus(*count).to_string();
                // What counts from 0 or 1 may be refused below.
                let is_usual = |before: &String| !before.starts_with('-') || text.starts_with('-');
                NUMBERS_BACK.iter().map(before).filter(is_usual).collect()
            }
            // Shorter, and so before it in whichever way text is sorted.
            Point::Text(text) => text
                .char_indices()
                .next_back()
                .filter(|(at, _)| *at > 0)
                .map(|(at, _)| text[..at].to_owned())
                .into_iter()
                .collect(),
        }
    }

    /// The nearest of [`Form::further_back`].
    pub fn before(self, text: &str) -> Option<String> {
        self.further_back(text).into_iter().next()
    }

    /// What a point in time is sent as: in UTC, unless a pattern names no offset and there is a zone.
    pub fn to_send(kind: Kind, zone: Option<Zone>) -> Self {
        let is_naive = matches!(kind, Kind::Pattern(pattern) if pattern.is_naive());
        let zone = is_naive.then(|| zone.unwrap_or(Zone::UTC));
        Self { kind, zone }
    }

    /// Writes a point in time, rounded down, as it is sent in this form: in whole seconds, milliseconds or days, or what a
    /// pattern has.
    pub fn sent(self, at: Timestamp) -> Result<String, String> {
        let like = match self.kind {
            Kind::Rfc3339 => "1970-01-01T00:00:00Z",
            Kind::Epoch | Kind::EpochMs => "0",
            _ => "",
        };
        self.write(at, like)
    }

    /// As [`Form::sent`], rounded up: the end of a range must not cut off what is before it.
    pub fn sent_end(self, at: Timestamp) -> Result<String, String> {
        let step = match self.kind {
            Kind::Date => SignedDuration::from_hours(24),
            Kind::EpochMs | Kind::MsJson => SignedDuration::from_millis(1),
            Kind::Pattern(pattern) => SignedDuration::from_nanos(pattern.step_ns()),
            _ => SignedDuration::from_secs(1),
        };
        let last = step - SignedDuration::from_nanos(1);
        self.sent(at.checked_add(last).unwrap_or(Timestamp::MAX))
    }
}

/// So many seconds as the arithmetic of times has them.
pub(super) fn duration(seconds: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn form(kind: Kind) -> Form {
        Form { kind, zone: None }
    }

    fn at(text: &str) -> Timestamp {
        time::rfc3339(text, None).unwrap()
    }

    #[test]
    fn going_back_keeps_the_way_a_value_is_written() {
        let back = |kind: Kind, text: &str, back| form(kind).back_from(text, back).unwrap();

        assert_eq!(
            back(
                Kind::Rfc3339,
                "2026-11-23T00:04:00.50+01:00",
                Back::Seconds(300)
            ),
            "2026-11-22T23:59:00.50+01:00"
        );
        assert_eq!(
            back(Kind::Rfc3339, "2026-11-23T00:04Z", Back::Seconds(299)),
            "2026-11-22T23:59Z"
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

        assert_eq!(
            form(Kind::Rfc3339).back_from(odd, Back::Seconds(0)),
            Ok(odd.to_owned())
        );
    }

    #[test]
    fn text_cannot_go_back() {
        assert!(form(Kind::Text).back_from("a", Back::Seconds(1)).is_err());
        assert!(
            form(Kind::Integer)
                .back_from("7", Back::Seconds(1))
                .is_err()
        );
    }

    #[test]
    fn a_number_is_no_text() {
        let seven = Value::of("7").unwrap();

        let error = form(Kind::Text).point_of(&seven).unwrap_err();

        assert!(error.contains("is a number, not the text"), "{error}");
    }

    #[test]
    fn a_time_without_offset_goes_back_without_offset() {
        let naive = Form {
            kind: Kind::Rfc3339,
            zone: Zone::read("+02:00").ok(),
        };

        assert_eq!(
            naive.back_from("2026-11-23T01:00:00", Back::Seconds(7200)),
            Ok("2026-11-22T23:00:00".to_owned())
        );
        assert_eq!(
            naive.given_point("2026-11-23"),
            Ok(Point::At(at("2026-11-22T22:00:00Z")))
        );
        assert_eq!(
            naive.write(at("2026-11-22T22:00:00Z"), "2026-01-01"),
            Ok("2026-11-23T00:00:00".to_owned())
        );
    }

    #[test]
    fn a_time_is_sent_in_utc_and_rounded_down() {
        let instant = at("2026-11-23T00:30:00.987654+01:00");
        let sent = |kind| Form::to_send(kind, None).sent(instant).unwrap();

        assert_eq!(sent(Kind::Date), "2026-11-22");
        assert_eq!(sent(Kind::Rfc3339), "2026-11-22T23:30:00Z");
        assert_eq!(sent(Kind::Epoch), instant.as_second().to_string());
        assert_eq!(sent(Kind::EpochMs), instant.as_millisecond().to_string());
    }

    fn pattern(text: &str) -> Kind {
        Kind::Pattern(time::Pattern::new(text).unwrap())
    }

    #[test]
    fn a_pattern_is_sent_in_utc_or_in_the_zone_that_it_does_not_name() {
        let instant = at("2026-11-23T00:30:00.987654+01:00");
        let sent = |text: &str, zone: &str| {
            let form = Form::to_send(pattern(text), Zone::read(zone).ok());
            form.sent(instant).unwrap()
        };

        assert_eq!(sent("%F %T", ""), "2026-11-22 23:30:00");
        assert_eq!(sent("%F %T", "+02:00"), "2026-11-23 01:30:00");
        assert_eq!(sent("%F %T%z", "+02:00"), "2026-11-22 23:30:00+0000");
        let up = Form::to_send(pattern("%F %R"), None).sent_end(instant);
        assert_eq!(up.unwrap(), "2026-11-22 23:31");
    }

    #[test]
    fn times_of_every_form_go_back_and_are_given_plainly() {
        let five = Back::Seconds(300);
        let day = Form {
            kind: pattern("%d/%m/%Y %H:%M"),
            zone: Some(Zone::UTC),
        };

        assert_eq!(
            day.back_from("01/12/2026 00:04", five).unwrap(),
            "30/11/2026 23:59"
        );
        assert_eq!(day.given_text("2026-12-01").unwrap(), "01/12/2026 00:00");
        assert_eq!(
            day.given_text("01/12/2026 00:04").unwrap(),
            "01/12/2026 00:04"
        );
        assert!(
            day.given_text("yesterday")
                .unwrap_err()
                .contains("is not of the form")
        );
        assert_eq!(
            form(Kind::MsJson)
                .back_from("/Date(300000+0100)/", five)
                .unwrap(),
            "/Date(0+0100)/"
        );
        assert_eq!(
            form(Kind::MsJson).given_text("1970-01-01").unwrap(),
            "/Date(0)/"
        );
        assert_eq!(
            form(Kind::Rfc2822)
                .back_from("Fri, 27 Nov 2026 00:01:00 GMT", five)
                .unwrap(),
            "Thu, 26 Nov 2026 23:56:00 GMT"
        );
    }

    #[test]
    fn an_end_is_sent_rounded_up() {
        let end = |kind, text| Form::to_send(kind, None).sent_end(at(text)).unwrap();

        assert_eq!(
            end(Kind::Date, "2026-11-23T00:00:00.000000001Z"),
            "2026-11-24"
        );
        assert_eq!(end(Kind::Date, "2026-11-23T00:00:00Z"), "2026-11-23");
        assert_eq!(
            end(Kind::Rfc3339, "2026-11-23T00:00:00.5Z"),
            "2026-11-23T00:00:01Z"
        );
        assert_eq!(end(Kind::EpochMs, "1970-01-01T00:00:00.0011Z"), "2");
    }
}
