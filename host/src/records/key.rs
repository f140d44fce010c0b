//! Keys: the values at a record's `PRIMARY_KEY` pointers, as bytes that compare as the keys do.
//!
//! The parent of a record (`REPLACE_BY`) is one value more, read and encoded like a key of its own.

use std::fmt;

use serde_json::value::RawValue;

use crate::records::pointers::Pointers;
use crate::settings::catalogue::{PRIMARY_KEY, REPLACE_BY};

use encode::encode;
pub use encode::{KeyPart, parts, string};
pub use kinds::{KeyKinds, plain};

mod encode;
mod kinds;

/// The pointers of `PRIMARY_KEY` and `REPLACE_BY`, ready to be read from records.
#[derive(Debug, Clone)]
pub struct Keys {
    pointers: Vec<String>,
    parent: Option<Parent>,
    /// Those of the key, and then perhaps the parent's.
    all: Pointers,
}

/// The pointer of `REPLACE_BY`.
#[derive(Debug, Clone)]
struct Parent {
    pointer: String,
    /// Its place among the values that are found: a key's, when it is one too.
    index: usize,
    /// Whether no record is staged but of one that is replaced.
    is_replaced: bool,
}

/// Why a record has no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// It is not JSON; the parser's words.
    NotJson(String),
    /// There is nothing at a pointer.
    Missing(KeyField),
    /// The value at a pointer is not a key.
    NoKey { place: KeyField, found: String },
    /// A pointer's value is there twice.
    Twice(KeyField),
}

/// A pointer and the setting that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyField {
    pub pointer: String,
    /// `PRIMARY_KEY` or `REPLACE_BY`.
    pub setting: &'static str,
}

impl fmt::Display for KeyField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.pointer, self.setting)
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(why) => write!(f, "is not one JSON object: {why}"),
            Self::Missing(place) => write!(f, "has no {place}"),
            Self::NoKey { place, found } => write!(
                f,
                "has {found} at {place}, and a key is a string or an integer"
            ),
            Self::Twice(place) => write!(f, "has {place} twice"),
        }
    }
}

impl Keys {
    /// The keys that these JSON Pointers read, in their order; no pointers: no keys.
    pub fn new(pointers: &[String]) -> Self {
        let mut all = Pointers::default();
        for pointer in pointers {
            all.add(pointer);
        }
        Self {
            pointers: pointers.to_owned(),
            parent: None,
            all,
        }
    }

    /// The same, and the parent at this JSON Pointer; `is_replaced`: no record is staged but of one that is replaced.
    pub fn with_parent(mut self, pointer: &str, is_replaced: bool) -> Self {
        let index = self.all.add(pointer);
        let pointer = pointer.to_owned();
        self.parent = Some(Parent {
            pointer,
            index,
            is_replaced,
        });
        self
    }

    /// The pointers of `PRIMARY_KEY`.
    pub fn pointers(&self) -> &[String] {
        &self.pointers
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pointers.is_empty()
    }

    /// Whether records have a parent: `REPLACE_BY` is set.
    pub fn has_parent(&self) -> bool {
        self.parent.is_some()
    }

    /// The place of the parent, where no record may be staged but of one that is replaced.
    pub fn replaced_parent(&self) -> Option<KeyField> {
        let parent = self.parent.as_ref();
        parent
            .filter(|parent| parent.is_replaced)
            .map(Parent::place)
    }

    /// Checks that `record` is JSON and writes its key into `key`, in one pass over the text.
    pub fn read(&self, record: &str, key: &mut Vec<u8>) -> Result<(), KeyError> {
        let values = self.find(record)?;
        self.key_of(&values, key)
    }

    /// The same, and writes its parent into `parent`, which is left empty where records have none.
    pub fn read_both(
        &self,
        record: &str,
        key: &mut Vec<u8>,
        parent: &mut Vec<u8>,
    ) -> Result<(), KeyError> {
        let values = self.find(record)?;
        self.key_of(&values, key)?;
        parent.clear();
        let Some(known) = &self.parent else {
            return Ok(());
        };
        let value = values[known.index].ok_or_else(|| KeyError::Missing(known.place()))?;
        self.parent_of(value, parent)
    }

    /// Writes the key of these parts, as a deletion has them, into `key`.
    pub fn of_parts(&self, parts: &[&RawValue], key: &mut Vec<u8>) -> Result<(), KeyError> {
        key.clear();
        for (pointer, part) in self.pointers.iter().zip(parts) {
            encode(part, key).map_err(|found| KeyError::NoKey {
                place: key_place(pointer),
                found,
            })?;
        }
        Ok(())
    }

    /// Writes a parent, as a deletion has it, into `parent`. Nothing when records have none.
    pub fn parent_of(&self, value: &RawValue, parent: &mut Vec<u8>) -> Result<(), KeyError> {
        parent.clear();
        let Some(known) = &self.parent else {
            return Ok(());
        };
        encode(value, parent).map_err(|found| KeyError::NoKey {
            place: known.place(),
            found,
        })
    }

    /// The values at the pointers, the parent's among or after them.
    fn find<'r>(&self, record: &'r str) -> Result<Vec<Option<&'r RawValue>>, KeyError> {
        let found = self.all.find(record).map_err(KeyError::NotJson)?;
        match found.twice {
            None => Ok(found.values),
            Some(index) => Err(KeyError::Twice(self.place(index))),
        }
    }

    fn key_of(&self, values: &[Option<&RawValue>], key: &mut Vec<u8>) -> Result<(), KeyError> {
        key.clear();
        for (pointer, value) in self.pointers.iter().zip(values) {
            let value = value.ok_or_else(|| KeyError::Missing(key_place(pointer)))?;
            encode(value, key).map_err(|found| KeyError::NoKey {
                place: key_place(pointer),
                found,
            })?;
        }
        Ok(())
    }

    fn place(&self, index: usize) -> KeyField {
        match (self.pointers.get(index), &self.parent) {
            (None, Some(parent)) => parent.place(),
            (pointer, _) => key_place(pointer.map_or("", String::as_str)),
        }
    }
}

impl Parent {
    fn place(&self) -> KeyField {
        KeyField {
            pointer: self.pointer.clone(),
            setting: REPLACE_BY.row.name,
        }
    }
}

fn key_place(pointer: &str) -> KeyField {
    KeyField {
        pointer: pointer.to_owned(),
        setting: PRIMARY_KEY.row.name,
    }
}

#[cfg(test)]
mod tests;
