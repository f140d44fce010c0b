//! Keys: the values at a record's `PRIMARY_KEY` pointers, as bytes that compare as the keys do.
//!
//! The parent of a record (`REPLACE_BY`) is one value more, read and encoded like a key of its own.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use encode::encode;

mod encode;

/// The pointers of `PRIMARY_KEY` and `REPLACE_BY`, ready to be read from records.
#[derive(Debug, Clone)]
pub struct Keys {
    pointers: Vec<String>,
    parent: Option<Parent>,
    root: Node,
}

/// The pointer of `REPLACE_BY`.
#[derive(Debug, Clone)]
struct Parent {
    pointer: String,
    /// Its place among the values that are found: a key's, when it is one too.
    index: usize,
}

/// One step on the way to the pointers' values.
#[derive(Debug, Clone, Default)]
struct Node {
    /// The pointer that ends here.
    pointer: Option<usize>,
    below: Vec<(String, Node)>,
}

/// Why a record has no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// It is not JSON; the parser's words.
    NotJson(String),
    /// There is nothing at a pointer.
    Missing(Place),
    /// What stands at a pointer is no key.
    NoKey {
        /// The pointer.
        place: Place,
        /// What was found.
        found: String,
    },
    /// A pointer's value stands there twice.
    Twice(Place),
}

/// A pointer and the setting that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The pointer.
    pub pointer: String,
    /// `PRIMARY_KEY` or `REPLACE_BY`.
    pub setting: &'static str,
}

impl fmt::Display for Place {
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
        let mut root = Node::default();
        for (index, pointer) in pointers.iter().enumerate() {
            root.at(pointer).pointer = Some(index);
        }
        Self {
            pointers: pointers.to_owned(),
            parent: None,
            root,
        }
    }

    /// The same, and the parent at this JSON Pointer.
    pub fn with_parent(mut self, pointer: &str) -> Self {
        let index = *self
            .root
            .at(pointer)
            .pointer
            .get_or_insert(self.pointers.len());
        let pointer = pointer.to_owned();
        self.parent = Some(Parent { pointer, index });
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
        let mut found = Found {
            values: vec![None; self.pointers.len() + 1],
            twice: None,
        };
        let mut parser = serde_json::Deserializer::from_str(record);
        let read = Step {
            node: &self.root,
            found: &mut found,
        };
        read.deserialize(&mut parser)
            .and_then(|()| parser.end())
            .map_err(|error| KeyError::NotJson(error.to_string()))?;
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

    fn place(&self, index: usize) -> Place {
        match (self.pointers.get(index), &self.parent) {
            (None, Some(parent)) => parent.place(),
            (pointer, _) => key_place(pointer.map_or("", String::as_str)),
        }
    }
}

impl Parent {
    fn place(&self) -> Place {
        Place {
            pointer: self.pointer.clone(),
            setting: "REPLACE_BY",
        }
    }
}

fn key_place(pointer: &str) -> Place {
    Place {
        pointer: pointer.to_owned(),
        setting: "PRIMARY_KEY",
    }
}

impl Node {
    /// Where this pointer ends, with all steps on the way.
    fn at(&mut self, pointer: &str) -> &mut Self {
        let mut node = self;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let at = node
                .below
                .iter()
                .position(|(name, _)| *name == step)
                .unwrap_or_else(|| {
                    node.below.push((step, Self::default()));
                    node.below.len() - 1
                });
            node = &mut node.below[at].1;
        }
        node
    }
}

struct Found<'r> {
    values: Vec<Option<&'r RawValue>>,
    twice: Option<usize>,
}

/// Reads one value of a record, and remembers what a pointer ends at.
struct Step<'k, 'f, 'r> {
    node: &'k Node,
    found: &'f mut Found<'r>,
}

impl<'r> DeserializeSeed<'r> for Step<'_, '_, 'r> {
    type Value = ();

    fn deserialize<D: Deserializer<'r>>(self, value: D) -> Result<(), D::Error> {
        match self.node.pointer {
            Some(pointer) => {
                let value = <&RawValue as serde::Deserialize>::deserialize(value)?;
                if self.found.values[pointer].replace(value).is_some() {
                    self.found.twice = Some(pointer);
                }
                Ok(())
            }
            None => value.deserialize_any(self),
        }
    }
}

impl<'r> Visitor<'r> for Step<'_, '_, 'r> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'r>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(at) = members.next_key_seed(Member(self.node))? {
            match at {
                Some(at) => members.next_value_seed(Step {
                    node: &self.node.below[at].1,
                    found: &mut *self.found,
                })?,
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'r>>(self, mut items: A) -> Result<(), A::Error> {
        for index in 0_u64.. {
            let below = self
                .node
                .below
                .iter()
                .find(|(name, _)| index.to_string() == *name);
            let more = match below {
                Some((_, node)) => items
                    .next_element_seed(Step {
                        node,
                        found: &mut *self.found,
                    })?
                    .is_some(),
                None => items.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    // On the way to a pointer, where there is nothing below: the value is missing, and that is said later.
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads a member's name: which of the node's steps it is.
struct Member<'k>(&'k Node);

impl<'r> DeserializeSeed<'r> for Member<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'r>>(self, name: D) -> Result<Option<usize>, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Member<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.below.iter().position(|(step, _)| step == name))
    }
}

#[cfg(test)]
mod tests;
