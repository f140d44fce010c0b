//! One value as its column takes it, if it does, and as the text form of COPY has it.

use std::borrow::Cow;

use crate::limits::NUMERIC_BYTES_MAX;
use crate::settings::columns::{ColumnType, is_number};
use crate::sink::database::Cell;

use super::form::Form;
use super::kinds::{Only, Takes};
use super::times;

/// What jsonb and text have no room for.
const NUL: &str = "`\\u0000`";
const HALF_PAIR: &str = "half a surrogate pair";

/// Appends `cell` for a column that takes this, in the text form. `Err` says what it is instead. Keys are strict: two of them
/// never become one.
pub fn push(line: &mut Vec<u8>, cell: &Cell<'_>, takes: Takes, is_key: bool) -> Result<(), String> {
    let value = fitting(cell, takes, is_key)?;
    Form::Text.push(line, value.as_deref(), takes.kind, false);
    Ok(())
}

/// What is written of `cell` into a column that takes this; none is null. `Err` says what it is instead.
pub fn fitting<'c>(
    cell: &'c Cell<'_>,
    takes: Takes,
    is_key: bool,
) -> Result<Option<Cow<'c, str>>, String> {
    let value = fitting_as(cell, takes.kind, is_key)?;
    match cell {
        Cell::Number(text) | Cell::Text(text) if takes.only != Only::All => {
            let is_among = is_among(takes.only, text);
            is_among.map_err(|what| what.unwrap_or_else(|| spoken(cell)))?;
        }
        _ => {}
    }
    Ok(value)
}

fn fitting_as<'c>(
    cell: &'c Cell<'_>,
    kind: ColumnType,
    is_key: bool,
) -> Result<Option<Cow<'c, str>>, String> {
    use ColumnType as Kind;
    let value = match (kind, cell) {
        (_, Cell::Null) => return Ok(None),
        (Kind::Jsonb | Kind::Json, cell) => fitting_json(cell, kind)?,
        (Kind::Text, Cell::Text(text)) => {
            if memchr::memchr(0, text.as_bytes()).is_some() {
                return Err(unfit_text(NUL));
            }
            text.as_ref().into()
        }
        (Kind::Text, Cell::HalfPair(_)) => return Err(unfit_text(HALF_PAIR)),
        (Kind::Text, Cell::Number(text)) if !is_key => text.as_ref().into(),
        (Kind::Text, Cell::Boolean(truth)) if !is_key => word(*truth),
        (Kind::Bigint, Cell::Number(text)) if text.parse::<i64>().is_ok() => text.as_ref().into(),
        (Kind::Numeric, Cell::Number(text)) if text.len() <= NUMERIC_BYTES_MAX => {
            text.as_ref().into()
        }
        (Kind::Double, Cell::Number(text)) if text.parse().is_ok_and(f64::is_finite) => {
            text.as_ref().into()
        }
        (Kind::Boolean, Cell::Boolean(truth)) => word(*truth),
        (Kind::Timestamptz | Kind::Timestamp | Kind::Date, Cell::Text(text))
            if kind.is_written_as(text) =>
        {
            times::written(kind, text).ok_or_else(|| spoken(cell))?
        }
        (Kind::Uuid, Cell::Text(text)) if kind.is_written_as(text) => text.as_ref().into(),
        (Kind::Bigint | Kind::Numeric | Kind::Double, Cell::Text(text))
            if !is_key && is_number(text) =>
        {
            fitting_as(&Cell::Number(text.as_ref().into()), kind, is_key)?;
            text.as_ref().into()
        }
        (_, cell) => return Err(spoken(cell)),
    };
    Ok(Some(value))
}

fn word(truth: bool) -> Cow<'static, str> {
    if truth { "true" } else { "false" }.into()
}

/// Whether a column that takes `only` these keeps a value as it is. `Err` may say what is wrong with it.
fn is_among(only: Only, text: &str) -> Result<(), Option<String>> {
    let fits = |fits: bool| if fits { Ok(()) } else { Err(None) };
    match only {
        Only::All => Ok(()),
        Only::Smallint => fits(text.parse::<i16>().is_ok()),
        Only::Integer => fits(text.parse::<i32>().is_ok()),
        Only::Padded(_) if text.ends_with(' ') => Err(Some(
            "a string that ends with a blank, which the column does not keep".to_owned(),
        )),
        Only::Chars(most) | Only::Padded(most) => {
            let many = text.chars().count();
            (many <= most)
                .then_some(())
                .ok_or_else(|| Some(format!("a string of {many} characters")))
        }
        Only::Digits { precision, scale } => fits(has_digits(text, precision, scale)),
        Only::Fraction(most) => {
            let digits = text.split_once(['.', ',']).map_or("", |(_, rest)| rest);
            let end = digits.find(|c: char| !c.is_ascii_digit());
            let fraction = &digits[..end.unwrap_or(digits.len())];
            fits(fraction.trim_end_matches('0').len() <= most)
        }
    }
}

/// Whether a JSON number is exactly one of so many digits, `scale` of them after the point.
fn has_digits(number: &str, precision: i64, scale: i64) -> bool {
    let number = number.strip_prefix('-').unwrap_or(number);
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(exponent) = exponent.parse::<i64>() else {
        return false;
    };
    let digits = format!("{whole}{fraction}");
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let kept = digits.trim_end_matches('0').len();
    if leading == digits.len() {
        return true;
    }
    let of = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let point = of(whole.len()).saturating_add(exponent);
    of(kept).saturating_sub(point) <= scale && point - of(leading) <= precision - scale
}

fn fitting_json<'c>(cell: &'c Cell<'_>, kind: ColumnType) -> Result<Cow<'c, str>, String> {
    let text: Cow<'c, str> = match cell {
        Cell::Null => "null".into(),
        Cell::Boolean(truth) => word(*truth),
        Cell::Number(text) => text.as_ref().into(),
        Cell::Text(text) => serde_json::to_string(text).unwrap_or_default().into(),
        Cell::Json(text) | Cell::HalfPair(text) => (*text).into(),
    };
    if kind == ColumnType::Jsonb
        && let Some(escape) = unfit_escape(&text)
    {
        return Err(unfit_text(escape));
    }
    Ok(text)
}

/// What is wrong with a string, and what can be done about it.
fn unfit_text(what: &str) -> String {
    // As jq reads it, half a pair is U+FFFD: any program that looks at the string replaces it.
    let program = if what == NUL {
        r#"gsub("\u0000"; "")"#
    } else {
        r#"gsub("\ufffd"; "?")"#
    };
    format!(
        "a string with {what}, which jsonb and text cannot hold; replace it by TRANSFORM, for example `walk(if type == \"string\" then {program} else . end)`, or give it a column of type `json` by OUTPUT_COLUMNS"
    )
}

/// Appends text in which nothing means anything to COPY.
pub fn push_escaped(line: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut from = 0;
    let special = |byte: &u8| matches!(byte, b'\\' | b'\n' | b'\r' | b'\t');
    let is_in_lines = memchr::memchr(b'\n', bytes).is_some();
    let next = |rest: &[u8]| {
        if is_in_lines {
            return rest.iter().position(special);
        }
        memchr::memchr3(b'\\', b'\r', b'\t', rest)
    };
    while let Some(at) = next(&bytes[from..]) {
        let at = from + at;
        line.extend_from_slice(&bytes[from..at]);
        line.extend_from_slice(match bytes[at] {
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            _ => b"\\t",
        });
        from = at + 1;
    }
    line.extend_from_slice(&bytes[from..]);
}

/// The first escape in JSON text that jsonb refuses: a zero character, or half of a pair.
fn unfit_escape(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    let mut from = 0;
    let mut after_high = None;
    while let Some(at) = memchr::memchr(b'\\', &bytes[from..]) {
        let at = from + at;
        from = at + 2;
        let unit = (bytes.get(at + 1) == Some(&b'u'))
            .then(|| text.get(at + 2..at + 6))
            .flatten()
            .and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let pairs = after_high.take() == Some(at);
        match unit {
            Some(0) => return Some(NUL),
            Some(0xdc00..=0xdfff) if pairs => {}
            Some(0xdc00..=0xdfff) => return Some(HALF_PAIR),
            _ if pairs => return Some(HALF_PAIR),
            Some(0xd800..=0xdbff) => {
                if bytes.get(at + 6) != Some(&b'\\') {
                    return Some(HALF_PAIR);
                }
                after_high = Some(at + 6);
            }
            _ => {}
        }
    }
    None
}

/// A value in a text about it.
pub fn spoken(cell: &Cell<'_>) -> String {
    let short = |text: &str| -> String {
        let cut: String = text.chars().take(40).collect();
        let more = if cut.len() < text.len() { "…" } else { "" };
        format!("{}{more}", cut.escape_debug())
    };
    match cell {
        Cell::Null => "null".to_owned(),
        Cell::Boolean(truth) => format!("`{truth}`"),
        Cell::Number(text) => format!("the number `{}`", short(text)),
        Cell::Text(text) => format!("the string `{}`", short(text)),
        Cell::HalfPair(_) => format!("a string with {HALF_PAIR}"),
        Cell::Json(text) if text.starts_with('[') => "an array".to_owned(),
        Cell::Json(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(cell: &Cell<'_>, kind: ColumnType) -> Result<String, String> {
        let mut line = Vec::new();
        push(&mut line, cell, Takes::all(kind), false)?;
        Ok(String::from_utf8(line).unwrap())
    }

    #[test]
    fn what_means_something_to_copy_is_escaped() {
        let text = pushed(&Cell::Text("a\\N\tb\nc\r".into()), ColumnType::Text);

        assert_eq!(text.as_deref(), Ok("a\\\\N\\tb\\nc\\r"));
        assert_eq!(pushed(&Cell::Null, ColumnType::Text).as_deref(), Ok("\\N"));
        let json = pushed(&Cell::Json(r#"{"a":"\n"}"#), ColumnType::Jsonb);
        assert_eq!(json.as_deref(), Ok(r#"{"a":"\\n"}"#));
    }

    #[test]
    fn digits_stay_as_they_are() {
        let number = Cell::Number("1.10".into());

        assert_eq!(pushed(&number, ColumnType::Numeric).as_deref(), Ok("1.10"));
        assert!(pushed(&number, ColumnType::Bigint).is_err());
        let large = Cell::Number("9223372036854775808".into());
        assert!(pushed(&large, ColumnType::Bigint).is_err());
        assert!(pushed(&Cell::Number("1e999".into()), ColumnType::Double).is_err());
    }

    #[test]
    fn jsonb_takes_no_zero_character_and_no_half_pair_and_json_takes_both() {
        for unfit in [
            r#"{"a":"\u0000"}"#,
            r#"["\ud800"]"#,
            r#"["\ud800\u0041"]"#,
            r#"["\udc00"]"#,
            r#"["\ud800\n"]"#,
        ] {
            assert!(
                pushed(&Cell::Json(unfit), ColumnType::Jsonb).is_err(),
                "{unfit}"
            );
            assert!(
                pushed(&Cell::Json(unfit), ColumnType::Json).is_ok(),
                "{unfit}"
            );
        }
        for fit in [
            r#"["\\u0000"]"#,
            r#"["\ud83d\ude00"]"#,
            r#"["\\\\u0000\u0001"]"#,
        ] {
            assert!(pushed(&Cell::Json(fit), ColumnType::Jsonb).is_ok(), "{fit}");
        }
        assert!(pushed(&Cell::Text("a\0".into()), ColumnType::Text).is_err());
    }

    #[test]
    fn a_number_is_no_key_of_text() {
        let mut line = Vec::new();

        assert!(
            push(
                &mut line,
                &Cell::Number("10".into()),
                Takes::all(ColumnType::Text),
                true
            )
            .is_err()
        );
    }

    #[test]
    fn a_column_of_somebody_elses_takes_what_it_keeps_as_it_is() {
        let fits = |name: &str, cell: &Cell<'_>| {
            let mut line = Vec::new();
            push(&mut line, cell, Takes::named(name).unwrap(), false).is_ok()
        };
        for (name, fit, unfit) in [
            ("smallint", "-32768", "32768"),
            ("integer", "2147483647", "2147483648"),
            ("numeric(5,2)", "-123.45", "123.456"),
            ("numeric(5,2)", "1.100e2", "1234"),
            ("numeric(5,2)", "0.000", "1e-3"),
            ("numeric(3,-2)", "99900", "99950"),
        ] {
            assert!(fits(name, &Cell::Number(fit.into())), "{name} {fit}");
            assert!(!fits(name, &Cell::Number(unfit.into())), "{name} {unfit}");
        }
        for (name, fit, unfit) in [
            ("character varying(3)", "äöü", "äöü "),
            ("character(3)", "a", "a "),
            (
                "timestamp(3) with time zone",
                "2026-11-23T06:00:00.1230Z",
                "2026-11-23T06:00:00.1234Z",
            ),
        ] {
            assert!(fits(name, &Cell::Text(fit.into())), "{name} {fit}");
            assert!(!fits(name, &Cell::Text(unfit.into())), "{name} {unfit}");
        }
    }

    #[test]
    fn half_a_pair_is_refused_by_text_and_kept_by_json() {
        let half = Cell::HalfPair(r#""a\ud83d""#);

        assert!(pushed(&half, ColumnType::Text).is_err());
        assert!(pushed(&half, ColumnType::Jsonb).is_err());
        assert_eq!(
            pushed(&half, ColumnType::Json).as_deref(),
            Ok(r#""a\\ud83d""#)
        );
    }
}
