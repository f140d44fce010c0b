//! Arrays: their elements, and how deep they are nested.

use std::cmp::Ordering;
use std::ops::Deref;

use super::eval::Stop;
use super::nesting::{Change, Kept, Levels};
use super::value::Value;

/// The elements of an array.
#[derive(Debug, Clone)]
pub struct Array {
    values: Vec<Value>,
    kept: Kept,
}

impl Array {
    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Puts the elements of another one behind its own.
    pub(super) fn extend(&mut self, more: &Self) {
        self.values.extend_from_slice(more);
        self.kept.set(self.kept.get().with(more.kept.get()));
    }

    /// With other elements in the place of those from `from` to `to`.
    pub(super) fn spliced(&self, from: usize, to: usize, new: &[Value]) -> Self {
        [&self[..from], new, &self[to..]].concat().into()
    }

    /// Takes an element away.
    pub(super) fn remove(&mut self, at: usize) {
        let gone = self.values.remove(at);
        self.kept.set(self.kept.get().without(gone.levels()));
    }

    /// Changes an element, which is made as `null` when there is none. Taken out meanwhile, so that nothing in it is copied.
    pub(super) fn change(&mut self, at: usize, with: Change) -> Result<(), Stop> {
        if at >= self.values.len() {
            self.values.resize(at + 1, Value::Null);
        }
        self.kept.change(&mut self.values[at], with)
    }
}

impl From<Vec<Value>> for Array {
    fn from(values: Vec<Value>) -> Self {
        let kept = Kept::default();
        let levels = values.iter().map(Value::levels);
        kept.set(levels.fold(Levels::ONE, Levels::around));
        Self { values, kept }
    }
}

impl Deref for Array {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.values
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl Eq for Array {}

impl Ord for Array {
    fn cmp(&self, other: &Self) -> Ordering {
        self.values.cmp(&other.values)
    }
}

impl PartialOrd for Array {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
