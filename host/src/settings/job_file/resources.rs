//! The resources of a job file: `[resources.NAME]`, each with the keys in which it differs from the others.
//!
//! What is in no resource is said once for all of them. A key of a resource takes the place of the shared one, in whatever
//! form that has: the value, a file, a program, a variable.

use std::collections::BTreeSet;
use std::ops::Range;

use toml_edit::{Document, Item};

use super::{JOB_FILE, Reader, key_span};
use crate::limits::FLEET_NAME_BYTES_MAX;
use crate::settings::suggest::nearest;

/// The table that has them.
pub const RESOURCES: &str = "resources";
/// The ends of names by which a value is taken from elsewhere.
const REFERENCES: [&str; 3] = ["_FILE", "_COMMAND", "_ENV"];

/// The names of the resources of a job file, in its order; none where the text cannot be read.
pub fn names(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Ok(document) = Document::parse(text) else {
        return Vec::new();
    };
    let resources = document.as_table().get(RESOURCES);
    let resources = resources.and_then(Item::as_table_like);
    let names = resources.into_iter().flat_map(|all| all.iter());
    names.map(|(name, _)| name.to_owned()).collect()
}

/// Whether a resource, a job or a tenant can have this name.
pub fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=FLEET_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain)
}

/// Which of these names is wanted. `Err` says that none is.
pub fn chosen<'n>(name: &str, known: &'n [String]) -> Result<&'n String, String> {
    known.iter().find(|known| *known == name).ok_or_else(|| {
        let all: BTreeSet<String> = known.iter().cloned().collect();
        let meant = nearest(name, &all).map(|meant| format!("; did you mean `{meant}`?"));
        let meant = meant.unwrap_or_else(|| format!(", but {}", listed(known)));
        format!("has no resource `{name}`{meant}")
    })
}

/// The names, for a person.
pub fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

impl Reader<'_> {
    /// `[resources]`, of which one is read and the others are named.
    pub(super) fn resources(&mut self, item: &Item, span: Option<Range<usize>>) {
        let at = self.origin(span);
        let Some(all) = item.as_table_like().filter(|all| !all.is_empty()) else {
            let message = "has no resource in `resources`: write `[resources.NAME]` on a line of its own, and its keys below it";
            return self.refuse(JOB_FILE, message, at);
        };
        for (name, item) in all.iter() {
            self.file.resources.push(name.to_owned());
            let origin = self.origin(key_span(all, name));
            if !is_name(name) {
                let message = format!(
                    "has a resource `{name}`, which cannot be its name: use at most {FLEET_NAME_BYTES_MAX} of `a` to `z`, `0` to `9`, `_` and `-`"
                );
                self.refuse(JOB_FILE, message, origin);
                continue;
            }
            let Some(entries) = item.as_table_like() else {
                let message = format!(
                    "has `{name}` as no table: write `[resources.{name}]` on a line of its own"
                );
                self.refuse(JOB_FILE, message, origin);
                continue;
            };
            if self.resource != Some(name) {
                continue;
            }
            let own: BTreeSet<String> = entries
                .iter()
                .map(|(key, _)| key.to_ascii_uppercase())
                .collect();
            for name in &own {
                self.file.forget(name);
            }
            self.file.resource = Some((origin, own));
            for (key, item) in entries.iter() {
                let origin = self.origin(key_span(entries, key));
                if item.as_table_like().is_some() {
                    let message = format!(
                        "has a table `{key}` in the resource `{name}`: write the keys of a resource directly below `[resources.{name}]`"
                    );
                    self.refuse(JOB_FILE, message, origin);
                    continue;
                }
                self.entry(Some(RESOURCES), key, item, origin);
            }
        }
    }
}

impl super::JobFile {
    /// Forgets what was said of a setting, in every form.
    fn forget(&mut self, name: &str) {
        let base = REFERENCES.iter().find_map(|end| name.strip_suffix(end));
        for base in [Some(name), base].into_iter().flatten() {
            self.values.remove(base);
            self.variables.remove(base);
            for end in REFERENCES {
                self.values.remove(&format!("{base}{end}"));
            }
        }
    }
}
