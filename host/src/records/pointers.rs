//! JSON Pointers (RFC 6901) into a record, all of them read in one pass over its text.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Pointers, each known by its place among them.
#[derive(Debug, Clone, Default)]
pub struct Pointers {
    root: Node,
    many: usize,
}

/// One step on the way to the pointers' values.
#[derive(Debug, Clone, Default)]
struct Node {
    /// The pointer that ends here.
    pointer: Option<usize>,
    below: Vec<(String, Node)>,
}

/// What a record has.
pub struct Found<'r> {
    /// By the pointers' places: the value as it is written, none where there is nothing. Of several of one name, the last.
    pub values: Vec<Option<&'r RawValue>>,
    /// A pointer whose value stands there twice.
    pub twice: Option<usize>,
}

impl Pointers {
    /// Adds a pointer and returns its place; that of an equal one, if there is one.
    pub fn add(&mut self, pointer: &str) -> usize {
        let many = &mut self.many;
        *self.root.at(pointer).pointer.get_or_insert_with(|| {
            *many += 1;
            *many - 1
        })
    }

    /// Checks that `record` is JSON, and finds its values. `Err` has the parser's words.
    pub fn find<'r>(&self, record: &'r str) -> Result<Found<'r>, String> {
        let mut found = Found {
            values: vec![None; self.many],
            twice: None,
        };
        let mut parser = serde_json::Deserializer::from_str(record);
        let read = Step {
            node: &self.root,
            found: &mut found,
        };
        read.deserialize(&mut parser)
            .and_then(|()| parser.end())
            .map_err(|error| error.to_string())?;
        Ok(found)
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

/// Reads one value of a record, and remembers what a pointer ends at.
struct Step<'k, 'f, 'r> {
    node: &'k Node,
    found: &'f mut Found<'r>,
}

impl<'r> DeserializeSeed<'r> for Step<'_, '_, 'r> {
    type Value = ();

    fn deserialize<D: Deserializer<'r>>(self, value: D) -> Result<(), D::Error> {
        let Some(pointer) = self.node.pointer else {
            return value.deserialize_any(self);
        };
        let value = <&RawValue as serde::Deserialize>::deserialize(value)?;
        if self.found.values[pointer].replace(value).is_some() {
            self.found.twice = Some(pointer);
        }
        if self.node.below.is_empty() {
            return Ok(());
        }
        value
            .deserialize_any(self)
            .map_err(serde::de::Error::custom)
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
        let is_index = |name: &str| {
            let index = name.parse::<u64>().ok();
            index.filter(|index| index.to_string() == name)
        };
        let below = self.node.below.iter();
        let below: Vec<(u64, &Node)> = below
            .filter_map(|(name, node)| Some((is_index(name)?, node)))
            .collect();
        for index in 0_u64.. {
            let wanted = below.iter().find(|(known, _)| *known == index);
            let more = match wanted {
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
mod tests {
    use super::*;

    fn found(pointers: &[&str], record: &str) -> Vec<Option<String>> {
        let mut all = Pointers::default();
        for pointer in pointers {
            all.add(pointer);
        }
        let found = all.find(record).unwrap();
        let text = |value: &&RawValue| value.get().to_owned();
        found
            .values
            .iter()
            .map(|value| value.as_ref().map(text))
            .collect()
    }

    #[test]
    fn a_pointer_may_end_on_the_way_of_another() {
        let values = found(&["/a/b", "/a", "/a/c/0"], r#"{"a":{"b":1.10,"c":["x"]}}"#);

        let wanted = ["1.10", r#"{"b":1.10,"c":["x"]}"#, r#""x""#];
        assert_eq!(values, wanted.map(|text| Some(text.to_owned())));
    }

    #[test]
    fn what_is_not_there_is_none_and_of_two_the_last_counts() {
        let values = found(&["/a", "/b/c"], r#"{"a":1,"b":true,"a":2}"#);

        assert_eq!(values, [Some("2".to_owned()), None]);
    }
}
