//! JSON Pointers (RFC 6901), and reading several of them in one walk of a JSON text.
//!
//! A walk visits each byte once, copies nothing and builds no tree: what no pointer names is skipped. A member that is
//! repeated on the way of a pointer has no single meaning, so the walk reports it. What the values mean is the caller's job.

mod scan;

use std::fmt;

use memchr::memmem::Finder;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

pub(crate) use self::scan::{after_comma, after_space, string_end, value_end};
use crate::quoting::quoted;

/// Steps of one pointer. Deeper than the data itself may be makes no sense.
const STEPS_MAX: usize = 32;

/// A JSON Pointer: its text, and the names and indexes it goes along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    steps: Vec<String>,
}

impl Pointer {
    /// Reads `/a/b~1c/0`. `Err` says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut parts = text.split('/');
        if parts.next() != Some("") {
            return Err(format!(
                "{} is not a JSON Pointer: it begins with `/`, such as {}",
                quoted(text),
                quoted(&format!("/{text}"))
            ));
        }
        for part in parts {
            steps.push(unescape(part).ok_or_else(|| {
                format!(
                    "{} is not a JSON Pointer: after `~` comes `0` (for `~`) or `1` (for `/`)",
                    quoted(text)
                )
            })?);
        }
        if steps.len() > STEPS_MAX {
            return Err(format!("{} has more than {STEPS_MAX} steps", quoted(text)));
        }
        Ok(Self {
            text: text.to_owned(),
            steps,
        })
    }

    /// The pointer without its last step, and that step; `None`: it has no steps.
    pub fn parent(&self) -> Option<(Self, &str)> {
        let (last, steps) = self.steps.split_last()?;
        let parent = Self {
            text: self.text[..self.text.rfind('/')?].to_owned(),
            steps: steps.to_vec(),
        };
        Some((parent, last))
    }

    /// The text it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn unescape(part: &str) -> Option<String> {
    let mut step = String::with_capacity(part.len());
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        step.push(match c {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(step)
}

/// One step of a pointer as its text: `~` and `/` escaped.
pub fn escape(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

/// Takes the values that a walk finds.
pub trait Take<'de> {
    /// The value at pointer number `slot`.
    fn take<D: Deserializer<'de>>(&mut self, slot: usize, value: D) -> Result<(), D::Error>;

    /// A member named `step` is repeated on the way of a pointer. True: it is walked too, and what it leads to is taken again.
    fn repeated(&mut self, step: &str) -> bool;
}

/// Several pointers, ready to be followed together.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    root: Node,
    slots: usize,
    names: Vec<Finder<'static>>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    slot: Option<usize>,
    children: Vec<(String, Node)>,
}

impl Paths {
    /// Adds a pointer and returns its slot; equal pointers share one.
    pub fn add(&mut self, pointer: &Pointer) -> usize {
        self.add_steps(pointer.steps.iter().cloned())
    }

    /// Adds the pointer of these steps, which are names and indexes as they are, nothing in them escaped.
    pub fn add_steps(&mut self, steps: impl IntoIterator<Item = String>) -> usize {
        let mut node = &mut self.root;
        for step in steps {
            let at = node.children.iter().position(|(name, _)| *name == step);
            let at = at.unwrap_or_else(|| {
                node.children.push((step.clone(), Node::default()));
                let name = Finder::new(&format!("\"{step}\"")).into_owned();
                self.names.push(name);
                node.children.len() - 1
            });
            node = &mut node.children[at].1;
        }
        *node.slot.get_or_insert_with(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Walks one JSON value and hands what the pointers lead to, to `taker`. A pointer that leads nowhere is not taken.
    pub fn walk<'de, D: Deserializer<'de>>(
        &self,
        value: D,
        taker: &mut impl Take<'de>,
    ) -> Result<(), D::Error> {
        let node = &self.root;
        Walk { node, taker }.deserialize(value)
    }

    /// Finds the raw values in `record`, a JSON text that was parsed before; one entry of `found` for each slot. `Err` says
    /// which member is repeated.
    pub fn read<'de>(
        &self,
        record: &'de str,
        found: &mut [Option<&'de str>],
    ) -> Result<(), String> {
        scan::read(record, &self.root, &self.names, found)
            .map_err(|step| format!("member {} is repeated", quoted(&step)))
    }
}

/// One place on the way.
struct Walk<'w, T> {
    node: &'w Node,
    taker: &'w mut T,
}

impl<'de, T: Take<'de>> DeserializeSeed<'de> for Walk<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        let Some(slot) = self.node.slot else {
            return value.deserialize_any(self);
        };
        if self.node.children.is_empty() {
            return self.taker.take(slot, value);
        }
        // One pointer leads through the end of another: the only values that are read twice.
        let raw: &RawValue = serde::Deserialize::deserialize(value)?;
        self.taker
            .take(slot, raw)
            .map_err(serde::de::Error::custom)?;
        raw.deserialize_any(self).map_err(serde::de::Error::custom)
    }
}

impl<'de, T: Take<'de>> Visitor<'de> for Walk<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // One bit a child. Where more than 64 pointers part in the same place, two share one: whoever has so many takes what is
        // repeated too, as the host does, or never has them, as the component, whose settings are fewer.
        let mut seen = 0_u64;
        while let Some(at) = map.next_key_seed(ChildNamed(&self.node.children))? {
            let Some(at) = at else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let (step, node) = &self.node.children[at];
            let bit = 1_u64 << (at % 64);
            if seen & bit != 0 && !self.taker.repeated(step) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            seen |= bit;
            map.next_value_seed(Walk {
                node,
                taker: &mut *self.taker,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            let child = self
                .node
                .children
                .iter()
                .find(|(step, _)| index_is(step, index));
            let more = match child {
                Some((_, node)) => {
                    let taker = &mut *self.taker;
                    seq.next_element_seed(Walk { node, taker })?.is_some()
                }
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

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
}

/// Whether a step names this element: digits without leading zeros.
fn index_is(step: &str, index: usize) -> bool {
    step.parse() == Ok(index) && (step == "0" || step.starts_with(|c: char| matches!(c, '1'..='9')))
}

/// Which child a member's name belongs to, found without copying the name.
struct ChildNamed<'n>(&'n [(String, Node)]);

impl<'de> DeserializeSeed<'de> for ChildNamed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for ChildNamed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|(step, _)| step == name))
    }
}

#[cfg(test)]
mod tests;
