//! One value of a key as bytes: integers of any size sort before strings, numerically; strings by their UTF-8 bytes.
//!
//! Nothing else is a key.

use std::borrow::Cow;
use std::iter;

use serde_json::value::RawValue;

const NEGATIVE: u8 = 0x10;
const POSITIVE: u8 = 0x20;
pub(super) const STRING: u8 = 0x30;
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

/// The text of a JSON string. `Err` says what it is instead.
pub fn string(text: &str) -> Result<Cow<'_, str>, String> {
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

/// One value of a key, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart<'k> {
    /// An integer's digits, after a `-` where it is negative.
    Integer(Cow<'k, str>),
    Text(Cow<'k, str>),
}

/// The values of a key that [`encode`] made.
pub fn parts(mut key: &[u8]) -> Vec<KeyPart<'_>> {
    let mut parts = Vec::new();
    while let Some((kind, rest)) = key.split_first() {
        let (part, after) = match *kind {
            STRING => text(rest),
            kind => integer(kind == NEGATIVE, rest),
        };
        parts.push(part);
        key = after;
    }
    parts
}

/// What follows the first value of a key that [`encode`] made.
pub(super) fn after(key: &[u8]) -> &[u8] {
    let (kind, rest) = key.split_first().expect("a value");
    if *kind != STRING {
        let (from, length) = digits(*kind == NEGATIVE, rest);
        return &rest[from + length..];
    }
    let mut from = 0;
    loop {
        let zero = from + memchr::memchr(0, &rest[from..]).expect("a string has its end");
        from = zero + 2;
        if rest[zero + 1] == 0 {
            return &rest[from..];
        }
    }
}

/// Where the digits of an integer begin, and how many there are.
fn digits(negative: bool, bytes: &[u8]) -> (usize, usize) {
    let plain = |byte: u8| if negative { !byte } else { byte };
    match plain(bytes[0]) {
        LONG => {
            let long = [1, 2, 3, 4].map(|at| plain(bytes[at]));
            (5, u32::from_be_bytes(long) as usize)
        }
        short => (1, usize::from(short)),
    }
}

fn text(bytes: &[u8]) -> (KeyPart<'_>, &[u8]) {
    let written = |bytes| std::str::from_utf8(bytes).expect("it was text");
    let zero = memchr::memchr(0, bytes).expect("a string has its end");
    if bytes[zero + 1] == 0 {
        let text = written(&bytes[..zero]);
        return (KeyPart::Text(text.into()), &bytes[zero + 2..]);
    }
    let mut text = String::new();
    let mut from = 0;
    loop {
        let zero = from + memchr::memchr(0, &bytes[from..]).expect("a string has its end");
        text.push_str(written(&bytes[from..zero]));
        from = zero + 2;
        if bytes[zero + 1] == 0 {
            return (KeyPart::Text(text.into()), &bytes[from..]);
        }
        text.push('\0');
    }
}

fn integer(negative: bool, bytes: &[u8]) -> (KeyPart<'_>, &[u8]) {
    let (from, length) = digits(negative, bytes);
    let (written, after) = bytes[from..].split_at(length);
    let digits = if negative {
        let digits = written.iter().map(|byte| char::from(!byte));
        Cow::Owned(iter::once('-').chain(digits).collect())
    } else {
        Cow::Borrowed(std::str::from_utf8(written).expect("digits"))
    };
    (KeyPart::Integer(digits), after)
}
