//! One value of a key as bytes: integers of any size stand before strings, numerically; strings by their UTF-8 bytes.
//!
//! Nothing else is a key.

use std::borrow::Cow;

use serde_json::value::RawValue;

const NEGATIVE: u8 = 0x10;
const POSITIVE: u8 = 0x20;
const STRING: u8 = 0x30;
/// A length that does not fit into one byte follows in four.
const LONG: u8 = 0xff;

/// Appends one value to a key. `Err` says what it is instead of a key.
pub(super) fn encode(value: &RawValue, key: &mut Vec<u8>) -> Result<(), String> {
    let text = value.get();
    match text.as_bytes()[0] {
        b'"' => {
            let text: Cow<'_, str> = string(text)?;
            key.push(STRING);
            for byte in text.bytes() {
                key.push(byte);
                if byte == 0 {
                    // So that the end below cannot be mistaken for one inside, and still sorts before it.
                    key.push(0xff);
                }
            }
            key.extend_from_slice(&[0, 0]);
            Ok(())
        }
        b'-' | b'0'..=b'9' => {
            let (negative, digits) = text
                .strip_prefix('-')
                .map_or((false, text), |digits| (true, digits));
            if !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(format!("the number `{}`", shortened(text)));
            }
            let negative = negative && digits != "0";
            key.push(if negative { NEGATIVE } else { POSITIVE });
            let magnitude = key.len();
            match u8::try_from(digits.len()) {
                Ok(length) if length < LONG => key.push(length),
                _ => {
                    key.push(LONG);
                    let length = u32::try_from(digits.len())
                        .map_err(|_| "a number of billions of digits".to_owned())?;
                    key.extend_from_slice(&length.to_be_bytes());
                }
            }
            key.extend_from_slice(digits.as_bytes());
            if negative {
                key[magnitude..].iter_mut().for_each(|byte| *byte = !*byte);
            }
            Ok(())
        }
        b't' | b'f' => Err(format!("`{text}`")),
        b'n' => Err("null".to_owned()),
        b'[' => Err("an array".to_owned()),
        _ => Err("an object".to_owned()),
    }
}

fn string(text: &str) -> Result<Cow<'_, str>, String> {
    if let Some(inner) = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        && !inner.contains('\\')
    {
        return Ok(Cow::Borrowed(inner));
    }
    // A lone surrogate: it has no UTF-8.
    serde_json::from_str::<String>(text)
        .map(Cow::Owned)
        .map_err(|_| "a string that is no Unicode text".to_owned())
}

fn shortened(text: &str) -> String {
    if text.len() <= 40 {
        text.to_owned()
    } else {
        format!("{}…", &text[..40])
    }
}
