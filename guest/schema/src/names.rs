//! What schemas within one are called: `$id`, which begins a resource with an address of its own, and `$anchor`.
//!
//! Nothing is fetched: an address that no schema here has is refused.

use std::collections::BTreeMap;

use tidegate_jq::Value;
use tidegate_json::{escape, quoted};
use url::Url;

/// What a schema without an `$id` is called, so that others can be beside it.
const NAMELESS: &str = "tidegate:///schema";
/// What these hold is data, in which a `$id` is a member like any other.
const DATA: &[&str] = &["const", "default", "enum", "example", "examples"];

/// The addresses in a schema, with the pointers to what they name.
pub(super) struct Names {
    /// Each resource: where it begins, and its address without a fragment.
    resources: Vec<(String, Url)>,
    anchors: BTreeMap<(Url, String), String>,
}

impl Names {
    /// Reads them. `Err`: an `$id` is not a URI, or two schemas have the same name.
    pub(super) fn of(document: &Value) -> Result<Self, String> {
        let nameless = Url::parse(NAMELESS).map_err(|error| error.to_string())?;
        let mut names = Self {
            resources: vec![(String::new(), nameless.clone())],
            anchors: BTreeMap::new(),
        };
        names.read(document, "", &nameless)?;
        Ok(names)
    }

    fn read(&mut self, value: &Value, at: &str, base: &Url) -> Result<(), String> {
        match value {
            Value::Object(schema) => {
                let mut base = base.clone();
                let text = |name: &str| match schema.get(name) {
                    Some(Value::Text(text)) => Some(text.clone()),
                    _ => None,
                };
                let wrong = |name: &str, why: &str| {
                    format!("at {}: {why}", quoted(&format!("{at}/{name}")))
                };
                match text("$id") {
                    // As drafts before 2019-09 write an anchor.
                    Some(id) if id.starts_with('#') => self.anchor(&base, &id[1..], at),
                    Some(id) => {
                        let own = base.join(&id).ok();
                        base = own.ok_or_else(|| wrong("$id", "is not a URI"))?;
                        base.set_fragment(None);
                        let twice = self.resources.iter().any(|(_, known)| *known == base);
                        if twice {
                            return Err(wrong("$id", "is the address of two schemas"));
                        }
                        self.resources.push((at.to_owned(), base.clone()));
                    }
                    None => {}
                }
                if let Some(anchor) = text("$anchor") {
                    self.anchor(&base, &anchor, at);
                }
                for (name, value) in schema.iter() {
                    if !DATA.contains(&&**name) {
                        self.read(value, &format!("{at}/{}", escape(name)), &base)?;
                    }
                }
            }
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    self.read(value, &format!("{at}/{index}"), base)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn anchor(&mut self, base: &Url, name: &str, at: &str) {
        let anchor = (base.clone(), name.to_owned());
        self.anchors.entry(anchor).or_insert_with(|| at.to_owned());
    }

    /// The pointer to what a reference at a place of the schema means.
    pub(super) fn find(&self, target: &str, at: &str) -> Result<String, String> {
        let leads_out = || {
            format!(
                "{} points outside of the schema: nothing in it has that name",
                quoted(target)
            )
        };
        let (address, fragment) = target.split_once('#').unwrap_or((target, ""));
        let within = self
            .resources
            .iter()
            .filter(|(place, _)| is_within(at, place));
        let (_, base) = within
            .max_by_key(|(place, _)| place.len())
            .ok_or_else(leads_out)?;
        let url = if address.is_empty() {
            base.clone()
        } else {
            base.join(address).map_err(|_| leads_out())?
        };
        let mut resources = self.resources.iter();
        let fragment = decoded(fragment).ok_or_else(leads_out)?;
        if fragment.is_empty() || fragment.starts_with('/') {
            let found = resources.find(|(_, known)| *known == url);
            let (place, _) = found.ok_or_else(leads_out)?;
            return Ok(format!("{place}{fragment}"));
        }
        let found = self.anchors.get(&(url, fragment));
        found.cloned().ok_or_else(leads_out)
    }
}

/// Whether a place is another one, or within it.
fn is_within(at: &str, place: &str) -> bool {
    at.strip_prefix(place)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A fragment without its `%XX`.
fn decoded(fragment: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = fragment.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (code, behind) = rest.split_at_checked(2)?;
        let code = std::str::from_utf8(code).ok()?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        rest = behind;
    }
    String::from_utf8(bytes).ok()
}
