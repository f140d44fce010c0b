//! How deep a value is nested: kept in every array and object, so that to ask costs nothing however large the value is.
//!
//! Reading, writing, comparing and dropping go down a value level by level on the stack; a program is held to what that takes.
//! What becomes of a value that is too deep is `eval`'s job.

use std::cell::Cell;

use super::eval::Stop;
use super::json::LEVELS_MAX;
use super::value::Value;

/// The levels of a value: the most it can have, and whether it has as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Levels {
    most: u8,
    exact: bool,
}

impl Levels {
    /// Of what holds nothing.
    pub(super) const NONE: Self = Self {
        most: 0,
        exact: true,
    };

    /// Of an empty array or object.
    pub(super) const ONE: Self = Self {
        most: 1,
        exact: true,
    };

    /// Of a container with these, when `inner` goes into it too.
    pub(super) fn around(self, inner: Self) -> Self {
        let most = inner.most.saturating_add(1);
        self.with(Self { most, ..inner })
    }

    /// Of a container with these, when what another one holds goes into it too.
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            most: self.most.max(other.most),
            exact: self.exact && other.exact,
        }
    }

    /// Of a container with these, when something goes out of it.
    pub(super) fn without(self, inner: Self) -> Self {
        let exact = self.exact && inner.most.saturating_add(1) < self.most;
        Self { exact, ..self }
    }
}

/// What becomes of a part of a value.
pub(super) type Change<'c> = &'c mut dyn FnMut(Value) -> Result<Value, Stop>;

/// The levels of an array or object, which change with it.
#[derive(Debug, Clone)]
pub(super) struct Kept(Cell<Levels>);

impl Default for Kept {
    fn default() -> Self {
        Self(Cell::new(Levels::ONE))
    }
}

impl Kept {
    pub(super) fn get(&self) -> Levels {
        self.0.get()
    }

    pub(super) fn set(&self, levels: Levels) {
        self.0.set(levels);
    }

    /// Changes one of the values that these are the levels around.
    pub(super) fn change(&self, place: &mut Value, with: Change) -> Result<(), Stop> {
        let old = place.levels();
        *place = with(std::mem::take(place))?;
        self.set(self.get().without(old).around(place.levels()));
        Ok(())
    }
}

impl Value {
    /// Whether it has more levels than are read and written.
    pub(super) fn is_too_deep(&self) -> bool {
        let too_deep = |levels: Levels| usize::from(levels.most) > LEVELS_MAX;
        too_deep(self.levels()) && too_deep(self.counted())
    }

    pub(super) fn levels(&self) -> Levels {
        self.kept().map_or(Levels::NONE, Kept::get)
    }

    fn kept(&self) -> Option<&Kept> {
        match self {
            Self::Array(values) => Some(values.kept()),
            Self::Object(object) => Some(object.kept()),
            _ => None,
        }
    }

    /// Its levels, counted where only a bound is kept. What is counted is kept: a part that is in many places is counted once.
    fn counted(&self) -> Levels {
        let known = self.levels();
        let levels = match self {
            _ if known.exact => return known,
            Self::Array(values) => {
                let counted = values.iter().map(Self::counted);
                counted.fold(Levels::ONE, Levels::around)
            }
            Self::Object(object) => {
                let counted = object.iter().map(|(_, value)| value.counted());
                counted.fold(Levels::ONE, Levels::around)
            }
            _ => known,
        };
        if let Some(kept) = self.kept() {
            kept.set(levels);
        }
        levels
    }
}
