//! The outline of a JSON text: its members a few levels deep, each with its pointer. Nothing is converted.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::named::whole;
use tidegate_json::escape;

/// Levels that are looked at: envelopes are flat.
const LEVELS_MAX: usize = 12;
/// Members that are looked at; an answer with more is no envelope.
const MEMBERS_MAX: usize = 1000;

/// One member of an object, by its way from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'t> {
    /// The JSON Pointer to it.
    pub pointer: String,
    /// Its name, in lower case, without `_`, `-` and a prefix of XML: `next_cursor` and `nextCursor` are one.
    pub name: String,
    /// The same of the member that it is in; empty at the top.
    pub within: String,
    /// Its JSON text.
    pub text: &'t str,
}

impl Member<'_> {
    /// The content of a string that is not empty.
    pub fn string(&self) -> Option<String> {
        let text: String = serde_json::from_str(self.text).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// A whole number that is not negative.
    pub fn number(&self) -> Option<u64> {
        self.text.parse().ok()
    }

    /// A whole number that is not negative, also in a string.
    pub fn count(&self) -> Option<u64> {
        let is_number = self
            .text
            .starts_with(|c: char| c == '"' || c.is_ascii_digit());
        let text = Some(self.text).filter(|_| is_number)?;
        whole(text.trim_matches('"'))
    }

    /// Whether it is a text or a number that may lead to something.
    pub fn leads_on(&self) -> bool {
        self.number().is_some_and(|number| number > 0) || self.string().is_some()
    }

    /// Whether it is `true` or `false`.
    pub fn is_flag(&self) -> bool {
        matches!(self.text, "true" | "false")
    }

    /// The objects of an array, when it has nothing else in it.
    pub fn objects(&self) -> Option<usize> {
        let elements = elements(self.text)?;
        elements
            .iter()
            .all(|element| element.starts_with('{'))
            .then_some(elements.len())
    }
}

/// The members of `text` and of the objects in it, outer ones first; none when it is no object.
pub fn members(text: &str) -> Vec<Member<'_>> {
    members_on_the_way_to(text, "")
}

/// The same, and of the objects in arrays on the way to `pointer`.
pub fn members_on_the_way_to<'t>(text: &'t str, pointer: &str) -> Vec<Member<'t>> {
    let is_way = |at: &str| pointer.starts_with(&format!("{at}/"));
    let mut found = Vec::new();
    let mut level = vec![(String::new(), String::new(), text)];
    for _ in 0..LEVELS_MAX {
        let mut deeper = Vec::new();
        for (pointer, within, text) in level {
            let elements = Some(text).filter(|_| is_way(&pointer)).and_then(elements);
            let elements = elements.unwrap_or_default().into_iter().enumerate();
            let elements = elements.map(|(at, value)| (at.to_string(), value));
            for (name, value) in object(text).unwrap_or_default().into_iter().chain(elements) {
                let member = Member {
                    pointer: format!("{pointer}/{}", escape(&name)),
                    name: plain(&name),
                    within: within.clone(),
                    text: value,
                };
                let is_array_on_the_way = value.starts_with('[') && is_way(&member.pointer);
                if value.starts_with('{') || is_array_on_the_way {
                    deeper.push((member.pointer.clone(), member.name.clone(), value));
                }
                found.push(member);
                if found.len() >= MEMBERS_MAX {
                    return found;
                }
            }
        }
        level = deeper;
    }
    found
}

/// The JSON texts of an array's elements.
pub fn elements(text: &str) -> Option<Vec<&str>> {
    if !text.starts_with('[') {
        return None;
    }
    let raw: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(raw.into_iter().map(RawValue::get).collect())
}

/// A name as others are compared with it; what XML has before a `:` is a prefix.
fn plain(name: &str) -> String {
    let name = name.rsplit(':').next().unwrap_or(name);
    let kept = name.chars().filter(|c| !matches!(c, '_' | '-'));
    kept.flat_map(char::to_lowercase).collect()
}

fn object(text: &str) -> Option<Vec<(String, &str)>> {
    if !text.starts_with('{') {
        return None;
    }
    serde_json::from_str::<Object<'_>>(text)
        .ok()
        .map(|object| object.0)
}

/// The members of an object in their order.
struct Object<'t>(Vec<(String, &'t str)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((name, value.get()));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_with_their_way_and_plain_name() {
        let text =
            r#"{"data":[{"id":1}],"paging":{"next":{"after":"x"}},"has_More":true,"a/b":1e400}"#;

        let found: Vec<(String, String, String)> = members(text)
            .into_iter()
            .map(|member| (member.pointer, member.within, member.name))
            .collect();

        let row = |pointer: &str, within: &str, name: &str| {
            (pointer.to_owned(), within.to_owned(), name.to_owned())
        };
        assert_eq!(
            found,
            [
                row("/data", "", "data"),
                row("/paging", "", "paging"),
                row("/has_More", "", "hasmore"),
                row("/a~1b", "", "a/b"),
                row("/paging/next", "paging", "next"),
                row("/paging/next/after", "next", "after"),
            ]
        );
    }

    #[test]
    fn only_an_array_of_objects_has_objects() {
        let objects = |text: &str| {
            let text = format!("{{\"a\":{text}}}");
            members(&text)[0].objects()
        };

        assert_eq!(objects(r#"[{"id":1},{}]"#), Some(2));
        assert_eq!(objects("[]"), Some(0));
        assert_eq!(objects("[1]"), None);
        assert_eq!(objects("{}"), None);
    }

    #[test]
    fn an_answer_without_end_is_looked_at_in_part() {
        let many: Vec<String> = (0..5000).map(|at| format!("\"m{at}\":{at}")).collect();

        assert_eq!(
            members(&format!("{{{}}}", many.join(","))).len(),
            MEMBERS_MAX
        );
    }
}
