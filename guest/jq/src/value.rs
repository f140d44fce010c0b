//! Values: what a JSON text holds, shared instead of copied, with members in the order in which they came.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::array::Array;
use super::eval::Stop;
use super::nesting::{Change, Kept};
use super::number::Number;

/// Objects up to this many members are searched from one end to the other.
const SCANNED_MAX: usize = 16;

/// A JSON value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Value {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Rc<str>),
    /// An array.
    Array(Rc<Array>),
    /// An object.
    Object(Rc<Object>),
}

impl Value {
    /// A string.
    pub fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// An integer.
    pub fn int(int: i64) -> Self {
        Self::Number(Number::Int(int))
    }

    /// A count.
    pub fn count(count: usize) -> Self {
        Self::int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// A double, as the integer it is if it is one.
    pub fn float(float: f64) -> Self {
        Self::Number(Number::Float(float))
    }

    /// An array.
    pub fn array(values: Vec<Self>) -> Self {
        Self::Array(Rc::new(values.into()))
    }

    /// Whether a condition holds: all but `null` and `false` do.
    pub fn is_true(&self) -> bool {
        !matches!(self, Self::Null | Self::Bool(false))
    }

    /// Its type, as jq names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(false) => 1,
            Self::Bool(true) => 2,
            Self::Number(_) => 3,
            Self::Text(_) => 4,
            Self::Array(_) => 5,
            Self::Object(_) => 6,
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => left.cmp(right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::Array(left), Self::Array(right)) => left.cmp(right),
            (Self::Object(left), Self::Object(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Keys with what they belong to, sorted by key. The only place that sorts: each one more costs five kilobytes.
pub fn in_order(mut keyed: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    keyed.sort_by(|left, right| left.0.cmp(&right.0));
    keyed
}

/// An object: members in their order, found by name.
#[derive(Debug, Clone, Default)]
pub struct Object {
    members: Vec<(Rc<str>, Value)>,
    /// The place of each name, once there are many.
    places: BTreeMap<Rc<str>, usize>,
    kept: Kept,
}

impl Object {
    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members in their order.
    pub fn iter(&self) -> impl Iterator<Item = &(Rc<str>, Value)> {
        self.members.iter()
    }

    /// The members by name.
    pub fn sorted(&self) -> Vec<(Value, Value)> {
        let members = self.members.iter();
        let members = members.map(|(name, value)| (Value::Text(name.clone()), value.clone()));
        in_order(members.collect())
    }

    fn place(&self, name: &str) -> Option<usize> {
        if self.members.len() <= SCANNED_MAX {
            return self.members.iter().position(|(known, _)| &**known == name);
        }
        self.places.get(name).copied()
    }

    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.place(name).map(|at| &self.members[at].1)
    }

    /// Changes the value of a member, which is made as `null` when there is none. Taken out meanwhile, so that nothing in it is
    /// copied.
    pub(super) fn change(&mut self, name: &Rc<str>, with: Change) -> Result<(), Stop> {
        let at = self.place(name).unwrap_or_else(|| {
            self.insert(name.clone(), Value::Null);
            self.members.len() - 1
        });
        self.kept.change(&mut self.members[at].1, with)
    }

    /// Sets a member, in its old place if it has one. Whether it had one.
    pub fn insert(&mut self, name: Rc<str>, value: Value) -> bool {
        let levels = self.kept.get().around(value.levels());
        if let Some(at) = self.place(&name) {
            let old = std::mem::replace(&mut self.members[at].1, value);
            self.kept.set(levels.without(old.levels()));
            return true;
        }
        self.kept.set(levels);
        self.members.push((name, value));
        if self.members.len() == SCANNED_MAX + 1 {
            self.index();
        } else if self.members.len() > SCANNED_MAX {
            let at = self.members.len() - 1;
            self.places.insert(self.members[at].0.clone(), at);
        }
        false
    }

    /// Takes a member away.
    pub fn remove(&mut self, name: &str) {
        if let Some(at) = self.place(name) {
            let (_, gone) = self.members.remove(at);
            self.kept.set(self.kept.get().without(gone.levels()));
            self.index();
        }
    }

    fn index(&mut self) {
        self.places.clear();
        if self.members.len() > SCANNED_MAX {
            for (at, (name, _)) in self.members.iter().enumerate() {
                self.places.insert(name.clone(), at);
            }
        }
    }
}

impl FromIterator<(Rc<str>, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (Rc<str>, Value)>>(members: I) -> Self {
        let mut object = Self::default();
        for (name, value) in members {
            object.insert(name, value);
        }
        object
    }
}

impl Ord for Object {
    /// The names first, then the values, both in the order of the names.
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right) = (self.sorted(), other.sorted());
        let names = left.iter().map(|(name, _)| name);
        let names = names.cmp(right.iter().map(|(name, _)| name));
        names.then_with(|| {
            let values = left.iter().map(|(_, value)| value);
            values.cmp(right.iter().map(|(_, value)| value))
        })
    }
}

impl PartialOrd for Object {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .all(|(name, value)| other.get(name) == Some(value))
    }
}

impl Eq for Object {}
