//! Times and days as PostgreSQL reads them: what RFC 3339 allows and it has another form for, the year 0000 say, is written
//! in that form.

use std::borrow::Cow;

use jiff::civil::DateTime;

use crate::settings::columns::{ColumnType, moment};

/// PostgreSQL takes an offset of less than this many hours.
const OFFSET_SECONDS: i32 = 16 * 60 * 60;
const MICROSECONDS: usize = 6;

/// A value of `kind` as it is sent. None: no column holds it.
pub fn written(kind: ColumnType, text: &str) -> Option<Cow<'_, str>> {
    if kind == ColumnType::Date {
        return Some(match text.strip_prefix("0000") {
            // Before the year 1 there is none of the number 0.
            Some(rest) => format!("0001{rest} BC").into(),
            None => text.into(),
        });
    }
    let moment = moment(text)?;
    if let Some(offset) = moment.offset
        && offset.seconds().abs() >= OFFSET_SECONDS
    {
        return None;
    }
    if is_as_usual(text) && moment.at.year() > 0 && !is_last_second(moment.at) {
        return Some(text.into());
    }
    let at = moment.at;
    let (year, era) = match at.year() {
        0 => (1, " BC"),
        year => (year, ""),
    };
    let offset = moment.offset.map_or_else(String::new, |offset| {
        let seconds = offset.seconds();
        let sign = if seconds < 0 { '-' } else { '+' };
        let seconds = seconds.abs();
        format!(
            "{sign}{:02}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        )
    });
    // Cut, not rounded: the last moment there is stays in its year.
    let mut fraction = format!("{:09}", at.subsec_nanosecond());
    fraction.truncate(MICROSECONDS);
    Some(
        format!(
            "{year:04}-{:02}-{:02} {:02}:{:02}:{:02}.{fraction}{offset}{era}",
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        )
        .into(),
    )
}

/// Whether it looks like `2026-11-23T06:00:00`, whatever follows, with a point before a fraction.
fn is_as_usual(text: &str) -> bool {
    let bytes = text.as_bytes();
    let has = |at: usize, any_of: &[u8]| bytes.get(at).is_some_and(|byte| any_of.contains(byte));
    has(4, b"-")
        && has(7, b"-")
        && has(10, b"Tt ")
        && has(13, b":")
        && has(16, b":")
        && !bytes.contains(&b',')
}

fn is_last_second(at: DateTime) -> bool {
    (at.year(), at.month(), at.day(), at.hour()) == (9999, 12, 31, 23)
        && (at.minute(), at.second()) == (59, 59)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(kind: ColumnType, text: &str) -> Option<String> {
        written(kind, text).map(Cow::into_owned)
    }

    #[test]
    fn times_are_sent_in_a_form_that_the_server_reads() {
        let moment = |text| sent(ColumnType::Timestamptz, text);

        for usual in ["2026-11-23T06:00:00Z", "2026-11-23 06:00:00.5+0530"] {
            assert_eq!(moment(usual).as_deref(), Some(usual));
        }
        for (text, sent) in [
            (
                "9999-12-31T23:59:59.9999999Z",
                "9999-12-31 23:59:59.999999+00:00:00",
            ),
            (
                "0000-12-31T23:00:00-02:30",
                "0001-12-31 23:00:00.000000-02:30:00 BC",
            ),
            (
                "2026-11-23T06:00:00,25Z",
                "2026-11-23 06:00:00.250000+00:00:00",
            ),
        ] {
            assert_eq!(moment(text).as_deref(), Some(sent));
        }
        assert_eq!(moment("2026-11-23T06:00:00+16:00"), None);
        let day = sent(ColumnType::Date, "0000-02-29");
        assert_eq!(day.as_deref(), Some("0001-02-29 BC"));
    }
}
