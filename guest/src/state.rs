//! State: what one run leaves for the next, as a small JSON text with a version inside.
//!
//! Version 1 is `{"v":1,"kind":…,"cursor":…}`. A state of a newer version is refused, never guessed at: it was written by a
//! newer component, and going on without it would fetch everything or lose changes.

use serde::{Deserialize, Serialize};

use crate::cursor::Kind;
use crate::failure::{Failure, quoted};

/// The version written, and the newest one read.
const VERSION: u64 = 1;
/// What problems with the state are filed under.
const NAME: &str = "state";

/// What one run leaves for the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The kind of cursor, once it is known.
    pub kind: Option<Kind>,
    /// The cursor as the source wrote it. Never without a kind.
    pub cursor: Option<String>,
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Version1 {
    v: u64,
    kind: Option<String>,
    cursor: Option<String>,
}

impl State {
    /// Reads the state of the last run; no text is the state before the first.
    ///
    /// `Err`: it is of a newer version, or not a state. A full refresh needs none, so it only refuses a newer one.
    pub fn read(text: Option<&str>, full_refresh: bool) -> Result<Self, Failure> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        if let Ok(Version { v }) = serde_json::from_str(text)
            && v > VERSION
        {
            return Err(Failure::setting(
                NAME,
                format!(
                    "has version {v}, written by a newer component; this one reads up to {VERSION}: use the newer one"
                ),
            ));
        }
        if full_refresh {
            return Ok(Self::default());
        }
        Self::read_version_1(text).map_err(|why| {
            Failure::setting(
                NAME,
                format!("cannot be read ({why}): run once with `--full-refresh`"),
            )
        })
    }

    fn read_version_1(text: &str) -> Result<Self, String> {
        let read: Version1 = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if read.v != VERSION {
            return Err(format!("there is no version {}", read.v));
        }
        let kind = match read.kind {
            Some(word) => Some(
                Kind::named(&word).ok_or_else(|| format!("there is no kind {}", quoted(&word)))?,
            ),
            None => None,
        };
        if let Some(cursor) = &read.cursor {
            kind.ok_or("a cursor without its kind")?.point(cursor)?;
        }
        Ok(Self {
            kind,
            cursor: read.cursor,
        })
    }

    /// The text for the next run.
    pub fn text(&self) -> String {
        let state = Version1 {
            v: VERSION,
            kind: self.kind.map(|kind| kind.word().to_owned()),
            cursor: self.cursor.clone(),
        };
        serde_json::to_string(&state).expect("three plain members are always JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, full_refresh: bool) -> String {
        State::read(Some(text), full_refresh)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let state = State {
            kind: Some(Kind::EpochMs),
            cursor: Some("1795413600000".to_owned()),
        };

        assert_eq!(
            state.text(),
            r#"{"v":1,"kind":"epoch-ms","cursor":"1795413600000"}"#
        );
        assert_eq!(State::read(Some(&state.text()), false), Ok(state));
    }

    #[test]
    fn a_state_without_cursor_is_one() {
        let state = State::default();

        assert_eq!(state.text(), r#"{"v":1,"kind":null,"cursor":null}"#);
        assert_eq!(State::read(Some(&state.text()), false), Ok(state));
    }

    #[test]
    fn a_newer_state_is_refused_even_by_a_full_refresh() {
        let newer = r#"{"v":2,"marks":[]}"#;

        assert!(
            refused(newer, false).contains("state: has version 2, written by a newer component")
        );
        assert!(refused(newer, true).contains("newer component"));
    }

    #[test]
    fn garbage_is_refused_with_the_way_out() {
        for text in [
            "",
            "null",
            r#"{"v":1}x"#,
            r#"{"v":0,"kind":null,"cursor":null}"#,
            r#"{"v":1,"kind":null,"cursor":"1"}"#,
            r#"{"v":1,"kind":"integer","cursor":"x"}"#,
            r#"{"v":1,"kind":"fortnight","cursor":null}"#,
            r#"{"v":1,"kind":null,"cursor":null,"more":1}"#,
        ] {
            assert!(
                refused(text, false).contains("run once with `--full-refresh`"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_full_refresh_needs_no_state() {
        assert_eq!(State::read(Some("garbage"), true), Ok(State::default()));
    }
}
