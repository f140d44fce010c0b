//! Filters on strings, and the formats that begin with `@`.

use std::fmt::Write as _;
use std::rc::Rc;

use super::builtins::{Native, array, entry, number};
use super::value::Value;
use super::{math, shown};
use crate::text::quoted;

pub(super) const NATIVES: &[Native] = &[
    entry("startswith", 1, |_, value, given| {
        Ok(Value::Bool(string(value)?.starts_with(string(&given[0])?)))
    }),
    entry("endswith", 1, |_, value, given| {
        Ok(Value::Bool(string(value)?.ends_with(string(&given[0])?)))
    }),
    entry("ltrimstr", 1, |_, value, given| {
        Ok(stripped(value, &given[0], |text, fix| {
            text.strip_prefix(fix)
        }))
    }),
    entry("rtrimstr", 1, |_, value, given| {
        Ok(stripped(value, &given[0], |text, fix| {
            text.strip_suffix(fix)
        }))
    }),
    entry("trimstr", 1, |_, value, given| {
        let left = stripped(value, &given[0], |text, fix| text.strip_prefix(fix));
        Ok(stripped(&left, &given[0], |text, fix| {
            text.strip_suffix(fix)
        }))
    }),
    entry("trim", 0, |_, value, _| {
        Ok(Value::text(string(value)?.trim()))
    }),
    entry("ltrim", 0, |_, value, _| {
        Ok(Value::text(string(value)?.trim_start()))
    }),
    entry("rtrim", 0, |_, value, _| {
        Ok(Value::text(string(value)?.trim_end()))
    }),
    entry("split", 1, |_, value, given| {
        Ok(math::split(string(value)?, string(&given[0])?))
    }),
    entry("ascii_downcase", 0, |_, value, _| {
        Ok(Value::text(string(value)?.to_ascii_lowercase()))
    }),
    entry("ascii_upcase", 0, |_, value, _| {
        Ok(Value::text(string(value)?.to_ascii_uppercase()))
    }),
    entry("utf8bytelength", 0, |_, value, _| {
        Ok(Value::count(string(value)?.len()))
    }),
    entry("explode", 0, |_, value, _| {
        let chars = string(value)?.chars();
        Ok(Value::array(
            chars
                .map(|char| Value::int(i64::from(u32::from(char))))
                .collect(),
        ))
    }),
    entry("implode", 0, |_, value, _| {
        let chars = array(value)?.iter().map(|code| {
            let char = number(code)?
                .as_int()
                .and_then(|code| u32::try_from(code).ok());
            let char = char.and_then(char::from_u32);
            char.ok_or_else(|| format!("{} is not a character", quoted(&shown(code))))
        });
        Ok(Value::text(chars.collect::<Result<String, String>>()?))
    }),
    entry("@text", 0, |_, value, _| Ok(Value::Text(text_of(value)))),
    entry("@json", 0, |_, value, _| Ok(Value::text(shown(value)))),
    entry("@csv", 0, |_, value, _| {
        row(value, ",", |text| {
            format!("\"{}\"", text.replace('"', "\"\""))
        })
    }),
    entry("@tsv", 0, |_, value, _| {
        row(value, "\t", |text| {
            let text = text.replace('\\', "\\\\").replace('\t', "\\t");
            text.replace('\n', "\\n").replace('\r', "\\r")
        })
    }),
    entry("@html", 0, |_, value, _| {
        let text = text_of(value).replace('&', "&amp;").replace('<', "&lt;");
        let text = text.replace('>', "&gt;").replace('\'', "&#39;");
        Ok(Value::text(text.replace('"', "&quot;")))
    }),
    entry("@uri", 0, |_, value, _| {
        let mut out = String::new();
        for byte in text_of(value).bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        Ok(Value::text(out))
    }),
    entry("@urid", 0, |_, value, _| {
        let text = text_of(value);
        let decoded = from_uri(text.as_bytes());
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        decoded.map_or_else(
            || Err(format!("{} is not the output of `@uri`", quoted(&text))),
            |text| Ok(Value::text(text)),
        )
    }),
    entry("@sh", 0, |_, value, _| {
        let one = std::slice::from_ref(value);
        let words = match value {
            Value::Array(words) => words,
            _ => one,
        };
        let words = words.iter().map(|word| match word {
            Value::Text(text) => Ok(format!("'{}'", text.replace('\'', "'\\''"))),
            Value::Array(_) | Value::Object(_) => {
                Err(format!("cannot quote {} for a shell", quoted(&shown(word))))
            }
            other => Ok(shown(other)),
        });
        Ok(Value::text(words.collect::<Result<Vec<_>, _>>()?.join(" ")))
    }),
    entry("@base32", 0, |_, value, _| {
        Ok(Value::text(base32(text_of(value).as_bytes())))
    }),
    entry("@base32d", 0, |_, value, _| {
        let text = text_of(value);
        let bytes = from_base32(text.trim_end_matches('=').as_bytes());
        let bytes = bytes.ok_or_else(|| format!("{} is not base32", quoted(&text)))?;
        Ok(Value::text(String::from_utf8_lossy(&bytes)))
    }),
    entry("@base64", 0, |_, value, _| {
        Ok(Value::text(base64(text_of(value).as_bytes())))
    }),
    entry("@base64d", 0, |_, value, _| {
        let text = text_of(value);
        let bytes = from_base64(text.trim_end_matches('=').as_bytes());
        let bytes = bytes.ok_or_else(|| format!("{} is not base64", quoted(&text)))?;
        Ok(Value::text(String::from_utf8_lossy(&bytes)))
    }),
];

/// The text of a string.
pub(super) fn string(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("cannot use {} as a string", quoted(&shown(other)))),
    }
}

/// A string as it is, any other value as JSON.
pub(super) fn text_of(value: &Value) -> Rc<str> {
    match value {
        Value::Text(text) => text.clone(),
        other => shown(other).into(),
    }
}

/// Where `wanted` begins in `text`, in characters.
pub(super) fn positions(text: &str, wanted: &str) -> Value {
    if wanted.is_empty() {
        return Value::array(Vec::new());
    }
    let (mut found, mut char) = (Vec::new(), 0);
    for (at, _) in text.char_indices() {
        if text[at..].starts_with(wanted) {
            found.push(Value::count(char));
        }
        char += 1;
    }
    Value::array(found)
}

/// Without what `strip` takes off; whatever it cannot be taken off stays as it is.
fn stripped(
    value: &Value,
    fix: &Value,
    strip: for<'t> fn(&'t str, &'t str) -> Option<&'t str>,
) -> Value {
    match (value, fix) {
        (Value::Text(text), Value::Text(fix)) => {
            strip(text, fix).map_or_else(|| value.clone(), Value::text)
        }
        _ => value.clone(),
    }
}

fn row(value: &Value, separator: &str, quote: fn(&str) -> String) -> Result<Value, String> {
    let fields = array(value)?.iter().map(|field| match field {
        Value::Text(text) => Ok(quote(text)),
        Value::Null => Ok(String::new()),
        Value::Bool(_) | Value::Number(_) => Ok(shown(field)),
        other => Err(format!("a row cannot hold {}", quoted(&shown(other)))),
    });
    Ok(Value::text(
        fields.collect::<Result<Vec<_>, _>>()?.join(separator),
    ))
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            if at <= three.len() {
                let six = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap_or(0);
                out.push(char::from(BASE64[six]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for four in text.chunks(4) {
        let mut bits = 0_u32;
        for at in 0..4 {
            let six = match four.get(at) {
                Some(char) => BASE64.iter().position(|known| known == char)?,
                None => 0,
            };
            bits = bits << 6 | u32::try_from(six).ok()?;
        }
        out.extend_from_slice(&bits.to_be_bytes()[1..four.len().max(1)]);
    }
    Some(out)
}

fn from_uri(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let (code, behind) = rest.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        out.push(u8::try_from(digit(code[0])? * 16 + digit(code[1])?).ok()?);
        rest = behind;
    }
    Some(out)
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    for five in bytes.chunks(5) {
        let mut bits = [0; 8];
        bits[3..3 + five.len()].copy_from_slice(five);
        let bits = u64::from_be_bytes(bits);
        let digits = (five.len() * 8).div_ceil(5);
        for at in 0..8 {
            let five = usize::try_from(bits >> (35 - 5 * at) & 31).unwrap_or(0);
            out.push(if at < digits {
                char::from(BASE32[five])
            } else {
                '='
            });
        }
    }
    out
}

fn from_base32(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for eight in text.chunks(8) {
        let mut bits = 0_u64;
        for at in 0..8 {
            let five = match eight.get(at) {
                Some(char) => BASE32.iter().position(|known| known == char)?,
                None => 0,
            };
            bits = bits << 5 | u64::try_from(five).ok()?;
        }
        out.extend_from_slice(&bits.to_be_bytes()[3..3 + eight.len() * 5 / 8]);
    }
    Some(out)
}
