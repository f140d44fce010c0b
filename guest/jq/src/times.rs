//! `fromdate` and `todate`: seconds since 1970 and the one way in which they are written.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::builtins::{Native, entry, number};
use super::shown;
use super::strings::string;
use super::value::Value;
use crate::text::quoted;

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
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates, and is refused then"
        )]
        let seconds = number(value)?.as_f64().floor() as i64;
        let at = Timestamp::from_second(seconds).map(|at| Offset::UTC.to_datetime(at));
        let at = at.map_err(|_| format!("{} is no time", quoted(&shown(value))))?;
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
];

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
