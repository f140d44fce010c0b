//! Texts from outside, for messages, and where strings end.

pub use tidegate_json::quoted;

/// One step of a JSON Pointer as its text: `~` and `/` escaped.
pub(crate) fn escape(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

/// The step of a JSON Pointer that a text stands for.
pub(crate) fn unescape(text: &str) -> String {
    text.replace("~1", "/").replace("~0", "~")
}

/// The end of the string whose opening quote stands at `start`: behind its closing one.
pub(crate) fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(rest) = bytes.get(at..) {
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(found) if rest[found] == b'"' => return at + found + 1,
            Some(found) => at += found + 2,
            None => break,
        }
    }
    bytes.len()
}
