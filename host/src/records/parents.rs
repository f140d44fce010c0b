//! Replaced parents: whose records are gone (`REPLACE_BY`), and up to where in what was staged.
//!
//! They are read before any record is, and held in memory: it is then known whether a record is gone when it is read, wherever
//! its parent's line is. Keyed deletions are `changes`' business.

use std::collections::HashMap;

use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::records::deletions::{Deletions, Gone};
use crate::records::key::{KeyField, KeyPart, Keys, parts};
use crate::records::line::check_at;
use crate::staging::read::Staged;

/// The parents that this run replaced, each with the number of records that were staged before its last line.
#[derive(Debug, Default)]
pub struct Parents {
    last_at: HashMap<Box<[u8]>, u64>,
}

impl Parents {
    /// Reads them; none where `REPLACE_BY` is not set. `Err` is 70 or 65 as for any deletion, 65 too when they are too many.
    pub fn read(
        staged: &Staged,
        keys: &Keys,
        limits: &Limits,
        check: Check<'_>,
    ) -> Result<Self, Failure> {
        let mut parents = Self::default();
        if !keys.has_parent() {
            return Ok(parents);
        }
        let mut bytes_left = limits.parents_bytes;
        let mut deletions = Deletions::new(staged, keys)?;
        while let Some(at) = deletions.at {
            check_at(check, deletions.number(), deletions.value.len())?;
            if deletions.gone == Gone::Parent {
                // Lines are in the order of `at`, so a later one only widens what is gone.
                if let Some(last) = parents.last_at.get_mut(deletions.value.as_slice()) {
                    *last = at;
                } else {
                    let left = bytes_left.checked_sub(deletions.value.len());
                    bytes_left = left
                        .filter(|_| parents.last_at.len() < limits.parents)
                        .ok_or_else(|| too_many(limits))?;
                    parents
                        .last_at
                        .insert(deletions.value.as_slice().into(), at);
                }
            }
            deletions.advance()?;
        }
        Ok(parents)
    }

    /// Whether none was replaced.
    pub fn is_empty(&self) -> bool {
        self.last_at.is_empty()
    }

    /// Each of them, encoded as a key is, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.last_at.keys().map(AsRef::as_ref)
    }

    /// Whether a record of `parent`, staged after `before` others, is gone.
    pub fn take_staged(&self, parent: &[u8], before: u64) -> bool {
        self.last_at.get(parent).is_some_and(|at| before < *at)
    }

    /// 65: the record of this number has a parent that is not replaced. What it replaces would stay for ever.
    pub fn hold(&self, parent: &[u8], place: &KeyField, number: u64) -> Result<(), Failure> {
        if self.last_at.contains_key(parent) {
            return Ok(());
        }
        let json = |key: &[u8]| match parts(key).into_iter().next() {
            Some(KeyPart::Integer(digits)) => digits.into_owned(),
            Some(KeyPart::Text(text)) => format!("{text:?}"),
            None => "none".to_owned(),
        };
        Err(Failure::new(
            Outcome::GateRefused,
            format!(
                "record {number} of this run has {} at {place}, and the run replaces no such parent, but {} others, such as {}: what it replaces would stay; let {} name the value by which the component replaces, of the same JSON type",
                json(parent),
                self.last_at.len(),
                json(self.iter().min().unwrap_or_default()),
                place.setting,
            ),
        ))
    }

    /// Whether a published record of `parent` is gone.
    pub fn take_published(&self, parent: &[u8]) -> bool {
        self.last_at.contains_key(parent)
    }
}

fn too_many(limits: &Limits) -> Failure {
    Failure::new(
        Outcome::GateRefused,
        format!(
            "cannot replace by parent: this run replaces more than {} parents, or their keys take more than {} MiB; fetch less in one run, or publish the whole set instead: unset REPLACE_BY and the component's setting that it needs, and run with `--full-refresh`",
            limits.parents,
            limits.parents_bytes / (1024 * 1024)
        ),
    )
}
