//! One line of `rejected.ndjson`: held to its form, and told of in few words.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::limits::{
    REJECTION_POINTER_CHARS_MAX, REJECTION_REASON_CHARS_MAX, SINK_REJECTION_CHARS_MAX,
};
use crate::outcome::Failure;
use crate::words;

use crate::staging::read::{REJECTED, object};

/// Why a record was set aside and where it stood, cut and escaped for an error text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    reason: String,
    pointer: String,
}

/// A line with exactly these members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectedLine<'a> {
    /// Why it was set aside.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    #[serde(borrow)]
    pub pointer: Cow<'a, str>,
    #[serde(borrow)]
    pub record: &'a RawValue,
}

impl<'a> RejectedLine<'a> {
    /// Reads one. `Err` is 70: it is not what the contract says.
    pub fn read(number: u64, line: &'a [u8]) -> Result<Self, Failure> {
        let text = object(REJECTED, number, line)?;
        serde_json::from_str(text).map_err(|error| {
            Failure::broken(format!(
                "line {number} of `{REJECTED}` is not one `reason`, `pointer` and `record`: {error}"
            ))
        })
    }
}

impl Rejection {
    /// Told of like this.
    pub fn new(reason: &str, pointer: &str) -> Self {
        Self {
            reason: told(reason, REJECTION_REASON_CHARS_MAX),
            pointer: told(pointer, REJECTION_POINTER_CHARS_MAX),
        }
    }

    /// One of a sink, in whose reason everything is said that helps.
    pub fn by_the_sink(reason: &str) -> Self {
        Self {
            reason: told(reason, SINK_REJECTION_CHARS_MAX),
            pointer: String::new(),
        }
    }

    /// Reads a line whose reason and pointer have at most so many bytes. `Err` is 70: it is not what the contract says.
    pub fn read(number: u64, line: &[u8], words_bytes_max: usize) -> Result<Self, Failure> {
        let line = RejectedLine::read(number, line)?;
        for (what, text) in [("reason", &line.reason), ("pointer", &line.pointer)] {
            if text.len() > words_bytes_max {
                return Err(Failure::broken(format!(
                    "line {number} of `{REJECTED}` has a {what} of {} bytes, and {words_bytes_max} are allowed",
                    text.len()
                )));
            }
        }
        Ok(Self::new(&line.reason, &line.pointer))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        let place = format!("`{}`", self.pointer);
        if self.pointer.is_empty() || self.reason.contains(&place) {
            return Ok(());
        }
        write!(f, " at {place}")
    }
}

fn told(text: &str, chars_max: usize) -> String {
    let mut shown: String = text.chars().take(chars_max).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    words::escaped(&shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;

    #[test]
    fn a_line_is_a_reason_a_pointer_and_a_record_and_nothing_else() {
        let read = |text: &str| Rejection::read(1, text.as_bytes(), 20);

        let whole = read(r#"{"reason":"no \u0022id\u0022","pointer":"/items/3","record":7}"#);
        assert_eq!(whole.unwrap().to_string(), r#"no "id" at `/items/3`"#);
        for odd in [
            "{}",
            r#"{"reason":"r","pointer":"/0"}"#,
            r#"{"reason":"r","record":{}}"#,
            r#"{"reason":1,"pointer":"/0","record":{}}"#,
            r#"{"reason":"r","pointer":null,"record":{}}"#,
            r#"{"reason":"r","pointer":"/0","record":{},"more":1}"#,
            r#"{"reason":"r","reason":"r","pointer":"/0","record":{}}"#,
            r#"{"reason":"r","pointer":"/0","record":{}}}"#,
        ] {
            let failure = read(odd).unwrap_err();
            assert_eq!(failure.outcome, Outcome::ComponentFailed, "{odd}");
        }
    }

    #[test]
    fn a_long_reason_or_pointer_is_refused() {
        let long = "x".repeat(21);

        for (reason, pointer, told) in [(&*long, "/0", "reason"), ("r", &*long, "pointer")] {
            let line = format!(r#"{{"reason":"{reason}","pointer":"{pointer}","record":{{}}}}"#);
            let failure = Rejection::read(3, line.as_bytes(), 20).unwrap_err();

            assert_eq!(failure.outcome, Outcome::ComponentFailed);
            assert!(
                failure
                    .message
                    .contains(&format!("has a {told} of 21 bytes")),
                "{}",
                failure.message
            );
        }
    }

    #[test]
    fn a_place_that_the_reason_names_is_not_said_again() {
        let rejection = Rejection::new("page 1 at `/rows/0`: no number", "/rows/0");

        assert_eq!(rejection.to_string(), "page 1 at `/rows/0`: no number");
    }

    #[test]
    fn what_is_told_is_short_and_cannot_steer_a_terminal() {
        let told = Rejection::new(&"ä".repeat(300), "/\u{1b}[2J").to_string();

        assert_eq!(told, format!("{}… at `/\\u001b[2J`", "ä".repeat(200)));
    }
}
