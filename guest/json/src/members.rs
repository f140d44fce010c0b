//! The members of an object, one after the other: their names and of which type their values are.
//!
//! Every byte is passed once, and none is checked: a parser reads the text too. On text that is not JSON the members mean
//! nothing; worse does not happen.

use crate::pointer::{after_comma, after_space, string_end, value_end};

/// The type of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// Any number.
    Number,
    /// A text.
    String,
    /// `[…]`.
    Array,
    /// `{…}`.
    Object,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Null,
        Self::Boolean,
        Self::Number,
        Self::String,
        Self::Array,
        Self::Object,
    ];

    /// What JSON Schema calls it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }

    /// The type of the value that begins with this byte.
    pub const fn of(first: u8) -> Option<Self> {
        Some(match first {
            b'n' => Self::Null,
            b't' | b'f' => Self::Boolean,
            b'-' | b'0'..=b'9' => Self::Number,
            b'"' => Self::String,
            b'[' => Self::Array,
            b'{' => Self::Object,
            _ => return None,
        })
    }
}

/// A walk along the members of one object.
#[derive(Debug)]
pub struct Members<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Members<'t> {
    /// The members of the object that is `text`; `None` where it is no object.
    #[inline]
    pub fn of(text: &'t [u8]) -> Option<Self> {
        Self::from(text, after_space(text, 0))
    }

    #[inline]
    fn from(text: &'t [u8], start: usize) -> Option<Self> {
        let is_object = text.get(start) == Some(&b'{');
        is_object.then(|| Self {
            text,
            at: after_space(text, start + 1),
        })
    }

    /// Goes on to the value of the next member, whose name is returned as it is written, in its quotes; `None` after the
    /// last. A name that is `guess`, which is in quotes and without escapes, need not be looked at byte by byte: `true`.
    #[inline]
    pub fn next_name(&mut self, guess: &[u8]) -> Option<(&'t [u8], bool)> {
        let rest = self.text.get(self.at..)?;
        let is_guess = !guess.is_empty() && begins_with(rest, guess);
        let length = match rest.first() {
            _ if is_guess => guess.len(),
            Some(b'"') => string_end(self.text, self.at) - self.at,
            _ => return None,
        };
        let name = rest.get(..length)?;
        let colon = after_space(self.text, self.at + length);
        if self.text.get(colon) != Some(&b':') {
            return None;
        }
        self.at = after_space(self.text, colon + 1);
        Some((name, is_guess))
    }

    /// The type of the value. `None`: it is none of JSON.
    #[inline]
    pub fn kind(&self) -> Option<Kind> {
        self.text.get(self.at).copied().and_then(Kind::of)
    }

    /// Goes past the value.
    #[inline]
    pub fn skip(&mut self) {
        let end = match self.text.get(self.at) {
            Some(b'"') => string_end(self.text, self.at),
            _ => value_end(self.text, self.at),
        };
        self.at = after_comma(self.text, end);
    }

    /// The members of the value, where it is an object.
    #[inline]
    pub fn inner(&self) -> Option<Self> {
        Self::from(self.text, self.at)
    }

    /// Goes past the value, whose members `inner` has walked along to their end.
    #[inline]
    pub fn leave(&mut self, inner: &Self) {
        self.at = after_comma(self.text, inner.at + 1);
    }
}

/// Whether `text` begins with `name`. Names are short: this is faster than a call.
#[inline]
fn begins_with(text: &[u8], name: &[u8]) -> bool {
    let Some(text) = text.get(..name.len()) else {
        return false;
    };
    text.iter().zip(name).all(|(one, other)| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and types, those inside of an object after its own.
    fn walked(text: &str, guess: &str) -> Vec<String> {
        fn walk(members: &mut Members<'_>, guess: &[u8], out: &mut Vec<String>) {
            while let Some((name, _)) = members.next_name(guess) {
                let Some(kind) = members.kind() else { return };
                let name = String::from_utf8_lossy(name);
                out.push(format!("{name} {}", kind.word()));
                match members.inner() {
                    Some(mut inner) => {
                        walk(&mut inner, guess, out);
                        members.leave(&inner);
                    }
                    None => members.skip(),
                }
            }
        }
        let mut out = Vec::new();
        if let Some(mut members) = Members::of(text.as_bytes()) {
            walk(&mut members, guess.as_bytes(), &mut out);
        }
        out
    }

    #[test]
    fn members_are_walked_along_with_their_types() {
        let text = r#" { "a" : 1.5e3,"b":"x,\"}","c":{ "d":null , "e":{} }, "f\"":[{"g":1},"]"],"h":true } "#;

        for guess in ["", "\"a\"", "\"h\""] {
            assert_eq!(
                walked(text, guess),
                [
                    "\"a\" number",
                    "\"b\" string",
                    "\"c\" object",
                    "\"d\" null",
                    "\"e\" object",
                    "\"f\\\"\" array",
                    "\"h\" boolean"
                ]
            );
        }
        assert_eq!(walked("[1]", ""), [""; 0]);
        assert_eq!(walked("{}", ""), [""; 0]);
    }

    #[test]
    fn a_guess_is_no_beginning_of_a_name() {
        assert_eq!(walked(r#"{"ab":1}"#, "\"a\""), ["\"ab\" number"]);
    }

    #[test]
    fn on_text_that_is_not_json_a_walk_ends() {
        let text = r#"{"a":{"b":[1,"x\\"],"c":"\"é"},"d":-1}"#;

        for from in 0..text.len() {
            for to in from..=text.len() {
                let cut = String::from_utf8_lossy(&text.as_bytes()[from..to]);
                let _ = walked(&cut, "\"a\"");
                let _ = walked(&format!("{{{cut}"), "");
                let _ = walked(&format!("{{\"a\":{cut}"), "\"a\"");
            }
        }
    }
}
