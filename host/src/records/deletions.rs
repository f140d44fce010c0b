//! The lines of `deleted.ndjson`, one ahead: each names a key or, under `REPLACE_BY`, a parent, and its position.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::outcome::Failure;
use crate::records::key::Keys;
use crate::staging::lines::Lines;
use crate::staging::read::{DELETED, Staged, object};

use super::line::{key_failure, line_failure};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deletion<'a> {
    /// The key's parts, as they were written.
    #[serde(borrow)]
    key: Option<Vec<&'a RawValue>>,
    /// The value of `REPLACE_BY` whose records are gone.
    #[serde(borrow, default, deserialize_with = "even_null")]
    parent: Option<&'a RawValue>,
    /// How many records had been staged before.
    at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// The record of this key.
    Key,
    /// All records of this parent.
    Parent,
}

/// The deletions in their order.
pub struct Deletions<'s> {
    lines: Lines<'s>,
    keys: &'s Keys,
    /// The position of the current one; none after the last.
    pub at: Option<u64>,
    pub gone: Gone,
    /// The key or the parent, encoded.
    pub value: Vec<u8>,
}

impl<'s> Deletions<'s> {
    /// The first of them is at hand.
    pub fn new(staged: &'s Staged, keys: &'s Keys) -> Result<Self, Failure> {
        let mut deletions = Self {
            lines: staged.deleted(),
            ..Self::none(keys)
        };
        deletions.advance()?;
        Ok(deletions)
    }

    /// No deletions.
    pub fn none(keys: &'s Keys) -> Self {
        Self {
            lines: Lines::new(None, 0),
            keys,
            at: None,
            gone: Gone::Key,
            value: Vec::new(),
        }
    }

    /// The number of the line at hand.
    pub fn number(&self) -> u64 {
        self.lines.number()
    }

    /// Takes the next one. `Err` is 70 for a line that the contract excludes, 65 for a value that is no key.
    pub fn advance(&mut self) -> Result<(), Failure> {
        let number = self.lines.number() + 1;
        let line = self
            .lines
            .next_line()
            .map_err(|error| line_failure(DELETED, error))?;
        let Some(line) = line else {
            self.at = None;
            return Ok(());
        };
        let wrong = |what: String| Failure::broken(format!("line {number} of `{DELETED}` {what}"));
        let text = object(DELETED, number, line)?;
        let deletion: Deletion<'_> = serde_json::from_str(text)
            .map_err(|error| wrong(format!("is not a deletion: {error}")))?;
        if self.at.is_some_and(|before| deletion.at < before) {
            return Err(wrong("has a smaller `at` than the line before".to_owned()));
        }
        let read = match (&deletion.key, deletion.parent) {
            (Some(key), None) => {
                let (has, wants) = (key.len(), self.keys.pointers().len());
                if has != wants {
                    return Err(wrong(format!(
                        "has a key of {has} values, and PRIMARY_KEY has {wants}"
                    )));
                }
                self.gone = Gone::Key;
                self.keys.of_parts(key, &mut self.value)
            }
            (None, Some(_)) if !self.keys.has_parent() => {
                return Err(wrong(
                    "names a parent, and REPLACE_BY is not set".to_owned(),
                ));
            }
            (None, Some(parent)) => {
                self.gone = Gone::Parent;
                self.keys.parent_of(parent, &mut self.value)
            }
            (None, None) | (Some(_), Some(_)) => {
                return Err(wrong(
                    "is not a deletion: it names either a key or a parent".to_owned(),
                ));
            }
        };
        read.map_err(|error| key_failure(DELETED, number, &error))?;
        self.at = Some(deletion.at);
        Ok(())
    }
}

/// A member that is there: `null` is a value of it, and no key.
fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&'a RawValue>::deserialize(value).map(Some)
}
