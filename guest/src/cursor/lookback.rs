//! `SOURCE_LOOKBACK`: how far back a source is asked again, so that records that were committed late are not lost.

use super::form::Back;
use super::kind::Kind;
use crate::failure::quoted;
use crate::units::seconds;

/// For time kinds, when nothing is set: five minutes.
const DEFAULT_SECONDS: u64 = 5 * 60;
/// For times of a fixed offset that is not written: an hour comes twice where clocks go back.
const REPEATED_SECONDS: u64 = 60 * 60 + DEFAULT_SECONDS;
/// 100 years.
const SECONDS_MAX: u64 = 100 * 366 * 24 * 60 * 60;

/// A look-back as it was set. Whether it fits is known when the cursor's kind is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lookback {
    /// Nothing was set.
    #[default]
    Default,
    /// Nothing was set, and times are those of a fixed offset other than UTC, which they do not name.
    Repeated,
    /// `0`, which fits every kind but text.
    Nothing,
    /// `5m`: seconds, for the time kinds.
    Seconds(u64),
    /// `1000`: for integers.
    Count(u64),
}

impl Lookback {
    /// Reads `90s`, `5m`, `2h`, `7d` or a plain number. `Err` says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{} is not a duration (`90s`, `5m`, `2h`, `7d`) or a plain number",
                quoted(text)
            )
        };
        if let (true, Ok(count)) = (text.starts_with(|c: char| c.is_ascii_digit()), text.parse()) {
            return Ok(if count == 0 {
                Self::Nothing
            } else {
                Self::Count(count)
            });
        }
        match seconds(text) {
            Some(0) => Ok(Self::Nothing),
            Some(seconds) if seconds <= SECONDS_MAX => Ok(Self::Seconds(seconds)),
            Some(_) => Err(format!("{} is more than 100 years", quoted(text))),
            None => Err(wrong()),
        }
    }

    /// The seconds to go back with a cursor of this kind; none where it goes back by none.
    pub fn seconds(self, kind: Kind) -> u64 {
        match self.of(kind) {
            Ok(Back::Seconds(seconds)) => seconds,
            Ok(Back::Count(_)) | Err(_) => 0,
        }
    }

    /// How far to go back with a cursor of this kind. `Err` says why this look-back does not fit it.
    pub fn of(self, kind: Kind) -> Result<Back, String> {
        match (self, kind) {
            (Self::Repeated, Kind::Rfc3339 | Kind::Pattern(_)) => {
                Ok(Back::Seconds(REPEATED_SECONDS))
            }
            (Self::Default | Self::Repeated, kind) if kind.is_time() => {
                Ok(Back::Seconds(DEFAULT_SECONDS))
            }
            (Self::Default | Self::Repeated, _) => Ok(Back::Count(0)),
            (_, Kind::Text | Kind::Token) => Err(format!(
                "a cursor of kind `{}` takes no look-back: remove it",
                kind.word()
            )),
            (Self::Nothing, _) => Ok(Back::Count(0)),
            (Self::Seconds(seconds), kind) if kind.is_time() => Ok(Back::Seconds(seconds)),
            (Self::Seconds(_), _) => {
                Err("a cursor of kind `integer` takes a plain number, such as `1000`".to_owned())
            }
            (Self::Count(count), kind) if kind.is_time() => Err(format!(
                "a cursor of kind `{}` takes a duration: `{count}` has no unit, such as `{count}s`",
                kind.word()
            )),
            (Self::Count(count), _) => Ok(Back::Count(count)),
        }
    }
}

/// Reads the duration of `SOURCE_WINDOW`, in seconds. `Err` says what is wrong with it.
pub fn window_seconds(text: &str) -> Result<u64, String> {
    match seconds(text) {
        Some(0) | None => Err(format!(
            "{} is not a duration, such as `12h` or `30d`",
            quoted(text)
        )),
        Some(seconds) if seconds <= SECONDS_MAX => Ok(seconds),
        Some(_) => Err(format!("{} is more than 100 years", quoted(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_unit() {
        assert_eq!(Lookback::parse("90s"), Ok(Lookback::Seconds(90)));
        assert_eq!(Lookback::parse("5m"), Ok(Lookback::Seconds(300)));
        assert_eq!(Lookback::parse("2h"), Ok(Lookback::Seconds(7200)));
        assert_eq!(Lookback::parse("7d"), Ok(Lookback::Seconds(604_800)));
        assert_eq!(Lookback::parse("1000"), Ok(Lookback::Count(1000)));
        assert_eq!(Lookback::parse("0m"), Ok(Lookback::Nothing));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        assert!(Lookback::parse("5 m").is_err());
        assert!(Lookback::parse("-5m").is_err());
        assert!(Lookback::parse("1h30m").is_err());
        assert!(Lookback::parse("m").is_err());
        assert!(
            Lookback::parse("999999d")
                .unwrap_err()
                .contains("100 years")
        );
        assert!(Lookback::parse("99999999999999999999").is_err());
    }

    #[test]
    fn a_window_is_a_duration_of_some_length() {
        assert_eq!(window_seconds("30d"), Ok(2_592_000));
        assert!(window_seconds("0d").unwrap_err().contains("such as `12h`"));
        assert!(window_seconds("30").is_err());
        assert!(
            window_seconds("9999999d")
                .unwrap_err()
                .contains("100 years")
        );
    }

    #[test]
    fn only_time_kinds_go_back_by_default() {
        assert_eq!(Lookback::Default.of(Kind::Date), Ok(Back::Seconds(300)));
        assert_eq!(Lookback::Default.of(Kind::Integer), Ok(Back::Count(0)));
        assert_eq!(Lookback::Default.of(Kind::Text), Ok(Back::Count(0)));
    }

    #[test]
    fn a_look_back_must_fit_the_kind() {
        assert!(
            Lookback::Seconds(5)
                .of(Kind::Integer)
                .unwrap_err()
                .contains("plain number")
        );
        assert!(
            Lookback::Count(5)
                .of(Kind::Epoch)
                .unwrap_err()
                .contains("such as `5s`")
        );
        assert!(Lookback::Nothing.of(Kind::Text).is_err());
        assert_eq!(Lookback::Count(5).of(Kind::Integer), Ok(Back::Count(5)));
    }
}
