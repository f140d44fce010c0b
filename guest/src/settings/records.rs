//! What becomes of a record: which are deleted, and which key they have.

use std::collections::BTreeSet;

use super::Given;
use super::described::{Setting, optional};
use crate::failure::quoted;
use crate::pointer::Pointer;

/// Pointers of one key.
const KEY_PARTS_MAX: usize = 8;

impl Given<'_> {
    pub(super) fn key(&mut self, tombstones: bool) -> Vec<Pointer> {
        const NAME: &str = "PRIMARY_KEY";
        let Some(text) = self.get(NAME) else {
            if tombstones {
                self.wrong(
                    NAME,
                    "is not set, but SOURCE_DELETED needs to know which record is gone, say `/id`",
                );
            }
            return Vec::new();
        };
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        if parts.len() > KEY_PARTS_MAX {
            self.wrong(NAME, format!("has more than {KEY_PARTS_MAX} parts"));
        }
        let mut seen = BTreeSet::new();
        let mut key = Vec::new();
        for part in parts {
            if part.is_empty() {
                self.wrong(NAME, "has an empty part");
            } else if !seen.insert(part) {
                self.wrong(NAME, format!("names {} twice", quoted(part)));
            } else {
                key.extend(self.kept(NAME, Pointer::parse(part)));
            }
        }
        key
    }
}

/// The settings of this module, as `describe` tells them.
pub(super) fn described() -> Vec<Setting> {
    vec![
        optional(
            "SOURCE_DELETED",
            "JSON Pointer in a record to what marks it as deleted; a record is live where it is missing, null, false, 0 or empty.",
            "",
            "/deleted_at",
        ),
        optional(
            "PRIMARY_KEY",
            "JSON Pointers to the values that identify a record, separated by commas.",
            "",
            "/id",
        ),
    ]
}
