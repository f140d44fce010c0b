//! Records of a run that a later one of the same key replaced: how many, and two of them that differ.
//!
//! A source may send a record more than once. But where most records go that way, PRIMARY_KEY does not name what tells them
//! apart.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use serde_json::value::RawValue;

use crate::words;

/// A value is shown up to so many bytes.
const SHOWN_BYTES: usize = 40;

/// What was replaced so far. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Superseded(Rc<RefCell<Tally>>);

/// The same, at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records that were replaced.
    pub records: u64,
    /// Those among them that were not the same, byte for byte.
    pub differing: u64,
    /// The first two that differ.
    pub first: Option<Differing>,
}

/// Two records of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    /// The member that differs, of several one that looks like a key, and its two values.
    member: Option<(String, [String; 2])>,
}

impl fmt::Display for Differing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.member {
            Some((name, [older, newer])) => write!(
                f,
                "two records with the same key differ in `/{name}` ({older} and {newer})"
            ),
            None => f.write_str("two records with the same key differ"),
        }
    }
}

impl Superseded {
    /// Counts a record that a later one replaces; `None`: by a deletion.
    pub fn count(&self, older: &[u8], newer: Option<&[u8]>) {
        let mut tally = self.0.borrow_mut();
        tally.records += 1;
        let Some(newer) = newer.filter(|newer| *newer != older) else {
            return;
        };
        tally.differing += 1;
        tally
            .first
            .get_or_insert_with(|| Differing::of(older, newer));
    }

    /// What was replaced.
    pub fn tally(&self) -> Tally {
        self.0.borrow().clone()
    }
}

impl Differing {
    fn of(older: &[u8], newer: &[u8]) -> Self {
        let read = |record| serde_json::from_slice::<BTreeMap<String, &RawValue>>(record).ok();
        let (Some(older), Some(newer)) = (read(older), read(newer)) else {
            return Self { member: None };
        };
        let value = |of: &BTreeMap<String, &RawValue>, name: &str| match of.get(name) {
            Some(value) => words::line(value.get(), SHOWN_BYTES),
            None => "nothing".to_owned(),
        };
        let text = |value: Option<&&RawValue>| value.map(|value| value.get().to_owned());
        let differs = |name: &&String| text(older.get(*name)) != text(newer.get(*name));
        let names = || older.keys().chain(newer.keys()).filter(differs);
        let looks_like_a_key = |name: &&String| {
            let name = name.to_ascii_lowercase();
            ["id", "uuid", "guid", "key", "number", "code"].contains(&name.as_str())
        };
        let name = names().find(looks_like_a_key).or_else(|| names().next());
        let member = name.map(|name| (name.clone(), [value(&older, name), value(&newer, name)]));
        Self { member }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(older: &str, newer: &str) -> String {
        let superseded = Superseded::default();
        superseded.count(older.as_bytes(), Some(newer.as_bytes()));
        superseded
            .tally()
            .first
            .map_or_else(String::new, |first| first.to_string())
    }

    #[test]
    fn two_records_are_named_by_a_member_that_may_be_their_key() {
        assert_eq!(
            of(
                r#"{"a":1,"id":1,"status":"x"}"#,
                r#"{"a":2,"id":2,"status":"x"}"#
            ),
            "two records with the same key differ in `/id` (1 and 2)"
        );
        assert_eq!(
            of(r#"{"a":1}"#, r#"{"a":1,"b":"x"}"#),
            "two records with the same key differ in `/b` (nothing and \"x\")"
        );
    }

    #[test]
    fn equal_records_are_replaced_and_do_not_differ() {
        let superseded = Superseded::default();

        superseded.count(b"{}", Some(b"{}"));
        superseded.count(b"{}", None);

        let tally = superseded.tally();
        assert_eq!((tally.records, tally.differing), (2, 0));
        assert_eq!(tally.first, None);
    }
}
