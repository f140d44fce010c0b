//! Of which JSON types the parts of keys are, and keys without them: 7 and "7" are two keys, and written alike.

use serde::{Deserialize, Serialize};

use super::encode::{KeyPart, STRING, after, parts};

/// Which types the parts of many keys have, a bit for each part. Parts beyond the 32nd are not told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeyKinds {
    pub integers: u32,
    pub strings: u32,
}

impl KeyKinds {
    /// Adds those of a key.
    pub fn see(&mut self, key: &[u8]) {
        let mut rest = key;
        let mut bit = 1_u32;
        while let Some(kind) = rest.first() {
            if *kind == STRING {
                self.strings |= bit;
            } else {
                self.integers |= bit;
            }
            rest = after(rest);
            bit = bit.checked_shl(1).unwrap_or_default();
        }
    }

    /// These and those.
    pub const fn with(self, others: Self) -> Self {
        Self {
            integers: self.integers | others.integers,
            strings: self.strings | others.strings,
        }
    }

    /// Whether a part is an integer in one key and a string in another: only then two of them can be written alike.
    pub const fn are_mixed(self) -> bool {
        self.integers & self.strings != 0
    }

    /// Whether there was no key.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    pub const fn is_none(&self) -> bool {
        self.integers == 0 && self.strings == 0
    }
}

/// Writes `key` into `written` as if all its parts were strings: the same bytes for all keys that are written alike, and the
/// beginning of no other's.
pub fn plain(key: &[u8], written: &mut Vec<u8>) {
    for part in parts(key) {
        let (KeyPart::Integer(text) | KeyPart::Text(text)) = part;
        for byte in text.bytes() {
            written.push(byte);
            if byte == 0 {
                written.push(0xff);
            }
        }
        written.extend_from_slice(&[0, 0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::key::Keys;

    fn key(record: &str) -> Vec<u8> {
        let mut key = Vec::new();
        let keys = Keys::new(&["/a".into(), "/b".into()]);
        keys.read(record, &mut key).unwrap();
        key
    }

    fn written(record: &str) -> Vec<u8> {
        let mut text = Vec::new();
        plain(&key(record), &mut text);
        text
    }

    #[test]
    fn parts_of_two_types_are_mixed_and_those_of_one_are_not() {
        let mut kinds = KeyKinds::default();
        kinds.see(&key(r#"{"a":7,"b":"x\u0000y"}"#));
        kinds.see(&key(r#"{"a":-123456789012345678901,"b":"7"}"#));
        assert!(!kinds.are_mixed());

        kinds.see(&key(r#"{"a":"","b":"7"}"#));
        assert!(kinds.are_mixed());
    }

    #[test]
    fn keys_that_are_written_alike_are_one_without_types() {
        assert_eq!(
            written(r#"{"a":-7,"b":"x"}"#),
            written(r#"{"a":"-7","b":"x"}"#)
        );
        assert_ne!(
            written(r#"{"a":"1","b":"2"}"#),
            written(r#"{"a":"12","b":""}"#)
        );
        assert_ne!(written(r#"{"a":7,"b":1}"#), written(r#"{"a":"07","b":1}"#));
    }
}
