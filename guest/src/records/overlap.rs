//! Whether the records of two values have one key, where there is a fetch for each value: one would replace the other.

use std::collections::BTreeMap;

use tidegate_json::{Paths, Pointer};

use crate::source::hash;

/// Keys that are remembered, the first ones of a run: those of all later records are compared with them. 2 MiB.
const KEYS_MAX: usize = 64 * 1024;

/// Compares the keys of the records of several values.
#[derive(Debug)]
pub struct Overlap {
    paths: Paths,
    slots: Vec<usize>,
    /// Counts the values.
    value: u32,
    /// Of which value the last record with a key was, and the hash of that record.
    known: BTreeMap<u64, (u32, u64)>,
    /// The key of the first two records that differ, as JSON.
    first: Option<String>,
}

impl Overlap {
    /// Compares what is at these pointers. `None`: there are none.
    pub fn new(key: &[Pointer]) -> Option<Self> {
        let mut paths = Paths::default();
        let slots: Vec<usize> = key.iter().map(|part| paths.add(part)).collect();
        (!slots.is_empty()).then(|| Self {
            paths,
            slots,
            value: 0,
            known: BTreeMap::new(),
            first: None,
        })
    }

    /// The records of another value come next.
    pub fn value_begins(&mut self) {
        self.value += 1;
    }

    /// Takes a record that is published.
    pub fn takes(&mut self, record: &str) {
        if self.first.is_some() {
            return;
        }
        let mut found = vec![None; self.paths.slots()];
        if self.paths.read(record, &mut found).is_err() {
            return;
        }
        let mut key = String::new();
        for slot in &self.slots {
            // The host rejects a record without a key.
            let Some(part) = found[*slot] else { return };
            if !key.is_empty() {
                key.push_str(", ");
            }
            key.push_str(part);
        }
        let at = hash(key.as_bytes());
        let now = (self.value, hash(record.as_bytes()));
        if let Some(known) = self.known.get_mut(&at) {
            if known.0 != now.0 && known.1 != now.1 {
                self.first = Some(key);
            }
            *known = now;
        } else if self.known.len() < KEYS_MAX {
            self.known.insert(at, now);
        }
    }

    /// The key that records of two values have, as JSON, if they are not the same.
    pub fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }
}
