//! Keys: the values at a record's `PRIMARY_KEY` pointers, as bytes that compare as the keys do.
//!
//! Integers of any size stand before strings, numerically; strings by their UTF-8 bytes. Nothing else is a key.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

const NEGATIVE: u8 = 0x10;
const POSITIVE: u8 = 0x20;
const STRING: u8 = 0x30;
/// A length that does not fit into one byte follows in four.
const LONG: u8 = 0xff;

/// The pointers of `PRIMARY_KEY`, ready to be read from records.
#[derive(Debug, Clone)]
pub struct Keys {
    pointers: Vec<String>,
    root: Node,
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
    Missing(String),
    /// What stands at a pointer is no key.
    NoKey {
        /// The pointer.
        pointer: String,
        /// What was found.
        found: String,
    },
    /// A pointer's value stands there twice.
    Twice(String),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(why) => write!(f, "is not one JSON object: {why}"),
            Self::Missing(pointer) => write!(f, "has no `{pointer}` (PRIMARY_KEY)"),
            Self::NoKey { pointer, found } => {
                write!(
                    f,
                    "has {found} at `{pointer}` (PRIMARY_KEY), and a key is a string or an integer"
                )
            }
            Self::Twice(pointer) => write!(f, "has `{pointer}` (PRIMARY_KEY) twice"),
        }
    }
}

impl Keys {
    /// The keys that these JSON Pointers read, in their order; no pointers: no keys.
    pub fn new(pointers: &[String]) -> Self {
        let mut root = Node::default();
        for (index, pointer) in pointers.iter().enumerate() {
            let mut node = &mut root;
            for step in pointer.split('/').skip(1) {
                let step = step.replace("~1", "/").replace("~0", "~");
                let at = node
                    .below
                    .iter()
                    .position(|(name, _)| *name == step)
                    .unwrap_or_else(|| {
                        node.below.push((step, Node::default()));
                        node.below.len() - 1
                    });
                node = &mut node.below[at].1;
            }
            node.pointer = Some(index);
        }
        Self {
            pointers: pointers.to_owned(),
            root,
        }
    }

    /// The pointers.
    pub fn pointers(&self) -> &[String] {
        &self.pointers
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pointers.is_empty()
    }

    /// Checks that `record` is JSON and writes its key into `key`, in one pass over the text.
    pub fn read(&self, record: &str, key: &mut Vec<u8>) -> Result<(), KeyError> {
        key.clear();
        let mut found = Found {
            values: vec![None; self.pointers.len()],
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
        if let Some(pointer) = found.twice {
            return Err(KeyError::Twice(self.pointers[pointer].clone()));
        }
        for (pointer, value) in self.pointers.iter().zip(found.values) {
            let value = value.ok_or_else(|| KeyError::Missing(pointer.clone()))?;
            encode(value, key).map_err(|found| KeyError::NoKey {
                pointer: pointer.clone(),
                found,
            })?;
        }
        Ok(())
    }

    /// Writes the key of these parts, as a deletion has them, into `key`.
    pub fn of_parts(&self, parts: &[&RawValue], key: &mut Vec<u8>) -> Result<(), KeyError> {
        key.clear();
        for (pointer, part) in self.pointers.iter().zip(parts) {
            encode(part, key).map_err(|found| KeyError::NoKey {
                pointer: pointer.clone(),
                found,
            })?;
        }
        Ok(())
    }
}

/// Appends one value to a key. `Err` says what it is instead of a key.
fn encode(value: &RawValue, key: &mut Vec<u8>) -> Result<(), String> {
    let text = value.get();
    match text.as_bytes()[0] {
        b'"' => {
            let text: Cow<'_, str> = string(text)?;
            key.push(STRING);
            for byte in text.bytes() {
                key.push(byte);
                if byte == 0 {
                    // So that the end below cannot be mistaken for one inside, and still sorts before it.
                    key.push(0xff);
                }
            }
            key.extend_from_slice(&[0, 0]);
            Ok(())
        }
        b'-' | b'0'..=b'9' => {
            let (negative, digits) = text
                .strip_prefix('-')
                .map_or((false, text), |digits| (true, digits));
            if !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(format!("the number `{}`", shortened(text)));
            }
            let negative = negative && digits != "0";
            key.push(if negative { NEGATIVE } else { POSITIVE });
            let magnitude = key.len();
            match u8::try_from(digits.len()) {
                Ok(length) if length < LONG => key.push(length),
                _ => {
                    key.push(LONG);
                    let length = u32::try_from(digits.len())
                        .map_err(|_| "a number of billions of digits".to_owned())?;
                    key.extend_from_slice(&length.to_be_bytes());
                }
            }
            key.extend_from_slice(digits.as_bytes());
            if negative {
                key[magnitude..].iter_mut().for_each(|byte| *byte = !*byte);
            }
            Ok(())
        }
        b't' | b'f' => Err(format!("`{text}`")),
        b'n' => Err("null".to_owned()),
        b'[' => Err("an array".to_owned()),
        _ => Err("an object".to_owned()),
    }
}

fn string(text: &str) -> Result<Cow<'_, str>, String> {
    if let Some(inner) = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        && !inner.contains('\\')
    {
        return Ok(Cow::Borrowed(inner));
    }
    // A lone surrogate: it has no UTF-8.
    serde_json::from_str::<String>(text)
        .map(Cow::Owned)
        .map_err(|_| "a string that is no Unicode text".to_owned())
}

fn shortened(text: &str) -> String {
    if text.len() <= 40 {
        text.to_owned()
    } else {
        format!("{}…", &text[..40])
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
