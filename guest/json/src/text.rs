//! The text of a JSON string, also where half of a surrogate pair stands in it, which is no character.

use std::fmt;

use serde::de::{Deserializer as _, Error, Visitor};

/// What stands in the place of what is no character.
const REPLACEMENT: [u8; 3] = *b"\xef\xbf\xbd";

/// The text between the quotes of `written`, with one U+FFFD for each half of a surrogate pair; and whether there was one.
/// `Err` has the parser's words.
pub fn whole_text(written: &str) -> Result<(String, bool), String> {
    let mut parser = serde_json::Deserializer::from_str(written);
    let mut bytes = (&mut parser)
        .deserialize_bytes(Bytes)
        .map_err(|error| error.to_string())?;
    // Half a pair comes as the three bytes that UTF-8 would have for it, and has for nothing else.
    let mut is_replaced = false;
    for at in 2..bytes.len() {
        if bytes[at - 2] == 0xed && bytes[at - 1] >= 0xa0 {
            bytes[at - 2..=at].copy_from_slice(&REPLACEMENT);
            is_replaced = true;
        }
    }
    let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
    Ok((text, is_replaced))
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_pair_is_one_replacement_and_a_whole_one_is_its_character() {
        for (written, text, is_replaced) in [
            (r#""a\ud83db""#, "a\u{fffd}b", true),
            (
                r#""\udc00\ud83d\ud83d\ude00""#,
                "\u{fffd}\u{fffd}\u{1f600}",
                true,
            ),
            (
                r#""\ud7ff\ue000\ufffd\u0000""#,
                "\u{d7ff}\u{e000}\u{fffd}\0",
                false,
            ),
            (r#""""#, "", false),
        ] {
            assert_eq!(
                whole_text(written),
                Ok((text.to_owned(), is_replaced)),
                "{written}"
            );
        }
    }
}
