//! State: what one run leaves for the next, as a small JSON text with a version inside.
//!
//! Version 3 is that of a run that fetched for several values, see `each`. Version 2 is `{"v":2,"kind":…,"cursor":…}`, with `"zone"` where times name no offset, `"known"` where the record that bears
//! the cursor was deleted, `"before"` where a portion ended between two pages, `"empty"` where there never was a record, and
//! `"seen"` where the source said how to ask whether anything changed; version 1 had none of these. A state of a newer version
//! is refused, never guessed at: it was written by a newer component, and going on without it would fetch everything or lose
//! changes.

mod each;

use serde::{Deserialize, Serialize};

pub use self::each::{EachState, for_parents, of_parents};

use crate::cursor::{Form, Kind, Position, TOKEN_BYTES_MAX, Zone};
use crate::failure::{Failure, quoted};
use crate::source::Validators;

/// The newest version read: a state of several values.
const VERSION_OF_EACH: u64 = 3;
/// The version written.
const VERSION: u64 = 2;
/// What problems with the state are filed under.
const NAME: &str = "state";

/// What one run leaves for the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Where the cursor stands.
    pub position: Position,
    /// How to ask whether anything changed since.
    pub seen: Option<Validators>,
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Written {
    v: u64,
    kind: Option<String>,
    cursor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    known: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    empty: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<Validators>,
}

impl State {
    /// Reads the state of the last run; no text is the state before the first.
    ///
    /// `Err`: it is of a newer version, or not a state. A full refresh needs none, so it only refuses a newer one.
    pub fn read(text: Option<&str>, full_refresh: bool) -> Result<Self, Failure> {
        read(text, full_refresh, Self::read_known)
    }

    fn read_known(v: Option<u64>, text: &str) -> Result<Self, String> {
        if v == Some(VERSION_OF_EACH) {
            return each::as_one(text);
        }
        let read: Written = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Self::of(read)
    }

    fn of(read: Written) -> Result<Self, String> {
        match read.v {
            1 if read.zone.is_some()
                || read.known.is_some()
                || read.before.is_some()
                || read.empty
                || read.seen.is_some() =>
            {
                return Err("version 1 has neither zone, known, before, empty nor seen".to_owned());
            }
            1 | VERSION => {}
            v => return Err(format!("there is no version {v}")),
        }
        let kind = match read.kind {
            Some(word) => Some(
                Kind::of_state(&word)
                    .ok_or_else(|| format!("there is no kind {}", quoted(&word)))?,
            ),
            None => None,
        };
        let zone = read.zone.as_deref().map(Zone::read).transpose()?;
        if let Some(cursor) = &read.cursor {
            let kind = kind.ok_or("a cursor without its kind")?;
            Form { kind, zone }.point(cursor)?;
            if cursor.len() > TOKEN_BYTES_MAX {
                return Err(format!("a cursor of more than {TOKEN_BYTES_MAX} bytes"));
            }
        }
        for (value, what) in [
            (&read.known, "a known record"),
            (&read.before, "a value before it"),
        ] {
            if let Some(value) = value {
                let kind = kind.filter(|_| read.cursor.is_some());
                let kind = kind.ok_or_else(|| format!("{what} without a cursor"))?;
                Form { kind, zone }.point(value)?;
            }
        }
        Ok(Self {
            position: Position {
                kind,
                cursor: read.cursor,
                zone,
                known: read.known,
                before: read.before,
                is_empty: read.empty,
            },
            seen: read.seen,
        })
    }

    /// The text for the next run.
    pub fn text(&self) -> String {
        let position = &self.position;
        let state = Written {
            v: VERSION,
            kind: position.kind.map(Kind::in_state),
            cursor: position.cursor.clone(),
            zone: position.zone.map(|zone| zone.to_string()),
            known: position.known.clone(),
            before: position.before.clone(),
            empty: position.is_empty,
            seen: self.seen.clone(),
        };
        serde_json::to_string(&state).expect("plain members are always JSON")
    }
}

/// Reads a state by `known`, which gets its version. `Err`: it is of a newer version, or not a state.
fn read<T: Default>(
    text: Option<&str>,
    full_refresh: bool,
    known: impl FnOnce(Option<u64>, &str) -> Result<T, String>,
) -> Result<T, Failure> {
    let Some(text) = text else {
        return Ok(T::default());
    };
    let version: Option<Version> = serde_json::from_str(text).ok();
    let version = version.map(|version| version.v);
    if let Some(v) = version.filter(|v| *v > VERSION_OF_EACH) {
        return Err(Failure::setting(
            NAME,
            format!(
                "has version {v}, written by a newer component; this one reads up to {VERSION_OF_EACH}: use the newer one"
            ),
        ));
    }
    if full_refresh {
        return Ok(T::default());
    }
    known(version, text).map_err(|why| {
        Failure::setting(
            NAME,
            format!("cannot be read ({why}): run once with `--full-refresh`"),
        )
    })
}

#[cfg(test)]
mod tests;
