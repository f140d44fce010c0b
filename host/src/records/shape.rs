//! The shape of records: which members they have, of which types, and what of that is other than before.
//!
//! A commit remembers it, bounded, and the next run is held against it: this is where the rule is by which a member counts as
//! missing. Values are never remembered. What a change is worth is `run::drift`'s business.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidegate_json::{Kind, escape};

use look::{Inner, Level, Slot, Tally};

pub use look::Look;

mod look;

/// A member that some records do not have is missing after no fewer records without it than this.
const STRETCH: u64 = 20;
/// And after so many times more than were ever without it in a row.
const STRETCHES: u64 = 2;
/// One that fewer than a record of so many has is never missing.
const RARE: u64 = 10;
/// That every record has a member is known after so many.
const EVERY: u64 = 10;

/// What the records of a job are made of, as far as it is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The members of records, by their names.
    members: BTreeMap<String, Member>,
    /// Columns of a table that are deeper in records, by their pointers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    columns: BTreeMap<String, Member>,
    /// Whether there were more members than are watched.
    #[serde(default, skip_serializing_if = "is_false")]
    is_full: bool,
}

/// What is known of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// The types that it had. Null is none.
    kinds: Kinds,
    /// Records that have it.
    there: Seen,
    /// Records that have it with a value, which is not null.
    valued: Seen,
    /// The members of the objects that are its values.
    inner: BTreeMap<String, Self>,
    /// Whether the names in those objects are data.
    is_map: bool,
}

/// How many records had something, and for how long none has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    records: u64,
    /// Of so many, the last of which are those of the last run in which one had it.
    of: u64,
    /// The longest stretch of records without it.
    #[serde(default, skip_serializing_if = "is_zero")]
    longest: u64,
    /// Records since then. None of them had it.
    #[serde(default, skip_serializing_if = "is_zero")]
    since: u64,
    /// Whether it was found to be missing.
    #[serde(default, skip_serializing_if = "is_false")]
    is_missing: bool,
}

/// Types of JSON values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds(u8);

/// What a run's records are among those of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// All that there are.
    Whole,
    /// The newest ones.
    Newest,
    /// Older ones, read again: that one of them has no member means nothing.
    Again,
}

/// A member that is other than it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where it is, from the record on: the names of the objects around it and its own.
    pub path: Vec<String>,
    pub what: What,
    /// The types that it has, or had where it is missing.
    pub kinds: Kinds,
}

/// How it is other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// No record before had it.
    New,
    /// It was missing.
    Back,
    /// None of the last so many records has it.
    Missing(u64),
    /// It has no value in any of the last so many records.
    Null(u64),
    /// It had values of these types only.
    Retyped(Kinds),
}

impl Change {
    /// The JSON Pointer to it.
    pub fn pointer(&self) -> String {
        let steps = self.path.iter().map(|name| format!("/{}", escape(name)));
        steps.collect()
    }
}

impl Shape {
    /// The shape after a run that looked like this, on top of `last`, and what changed. No change where there is no `last`.
    /// So many records are `fresh`: they were not in the last set as they are. A source sends others again.
    pub fn after(last: Option<&Self>, look: &Look, span: Span, fresh: u64) -> (Self, Vec<Change>) {
        let mut changes = Changes {
            span,
            fresh,
            path: Vec::new(),
            tells_new: last.is_some(),
            found: Vec::new(),
        };
        let nothing = Self::default();
        let before = last.unwrap_or(&nothing);
        let members = changes.level(&before.members, &look.records);
        // A column that was not watched before is no news.
        changes.tells_new = false;
        let columns = changes.columns(&before.columns, &look.columns);
        let shape = Self {
            members,
            columns,
            is_full: before.is_full || look.room.is_full,
        };
        (shape, changes.found)
    }

    /// Whether there are more members than are watched.
    pub fn is_full(&self) -> bool {
        self.is_full
    }
}

/// What a walk along the members finds.
struct Changes {
    span: Span,
    fresh: u64,
    /// Where it is.
    path: Vec<String>,
    /// Whether a member that is not known is news.
    tells_new: bool,
    found: Vec<Change>,
}

impl Changes {
    fn find(&mut self, name: &str, kinds: Kinds, what: What) {
        let path = self.path.iter().map(String::as_str).chain([name]);
        self.found.push(Change {
            path: path.map(str::to_owned).collect(),
            what,
            kinds,
        });
    }

    fn level(
        &mut self,
        last: &BTreeMap<String, Member>,
        level: &Level,
    ) -> BTreeMap<String, Member> {
        // What had no room is in no slot, and is forgotten.
        let mut members = BTreeMap::new();
        for slot in &level.slots {
            let member = match last.get(&slot.name) {
                None if slot.there.objects == 0 => continue,
                Some(known) if level.objects == 0 => known.clone(),
                known => self.member(known, slot, level.objects),
            };
            members.insert(slot.name.clone(), member);
        }
        members
    }

    /// Columns that are not among the settings any more are forgotten.
    fn columns(
        &mut self,
        last: &BTreeMap<String, Member>,
        level: &Level,
    ) -> BTreeMap<String, Member> {
        let found = self.found.len();
        let columns = self.level(last, level);
        for change in &mut self.found[found..] {
            let steps = change.path[0].split('/').skip(1);
            let steps = steps.map(|step| step.replace("~1", "/").replace("~0", "~"));
            change.path = steps.collect();
        }
        // Of a member that is watched as such it is known already.
        let (known, columns_found) = self.found.split_at(found);
        let is_known = |change: &Change| {
            let of_it = |known: &Change| change.path.starts_with(&known.path);
            known.iter().any(of_it)
        };
        let columns_found: Vec<Change> = columns_found
            .iter()
            .filter(|change| !is_known(change))
            .cloned()
            .collect();
        self.found.truncate(found);
        self.found.extend(columns_found);
        columns
    }

    fn member(&mut self, known: Option<&Member>, slot: &Slot, objects: u64) -> Member {
        let Some(old) = known else {
            if self.tells_new {
                self.find(&slot.name, slot.kinds, What::New);
            }
            return self.inside(&Member::of(slot, objects), slot, false);
        };
        let (span, fresh) = (self.span, self.fresh.min(objects));
        let (there, there_now) = old.there.after(&slot.there, objects, span, fresh);
        let (mut valued, valued_now) = old.valued.after(&slot.valued, objects, span, fresh);
        let mut kinds = old.kinds.with(slot.kinds);
        match (there_now, valued_now) {
            (Now::Missing(records), _) => {
                valued.is_missing |= slot.valued.objects == 0;
                self.find(&slot.name, old.kinds, What::Missing(records));
            }
            (_, Now::Missing(records)) => {
                let what = match slot.there.objects {
                    0 => What::Missing(records),
                    _ => What::Null(records),
                };
                self.find(&slot.name, old.kinds, what);
            }
            (Now::Back, _) | (_, Now::Back) => self.find(&slot.name, slot.kinds, What::Back),
            (Now::Same, Now::Same) => {}
        }
        if !old.kinds.is_empty() && kinds != old.kinds {
            self.find(&slot.name, slot.kinds, What::Retyped(old.kinds));
            // What the whole set has no more, a later set has anew.
            if self.span == Span::Whole && !slot.kinds.meet(old.kinds) {
                kinds = slot.kinds;
            }
        }
        let member = Member {
            kinds,
            there,
            valued,
            inner: BTreeMap::new(),
            is_map: old.is_map,
        };
        let tells_new = self.tells_new && old.is_regular();
        let inner = Member {
            inner: old.inner.clone(),
            ..member
        };
        self.inside(&inner, slot, tells_new)
    }

    /// The member with what is inside of it now.
    fn inside(&mut self, member: &Member, slot: &Slot, tells_new: bool) -> Member {
        let mut member = member.clone();
        match &slot.inner {
            Inner::Map => {
                member.is_map = true;
                member.inner.clear();
            }
            Inner::Level(level) if !member.is_map => {
                let told = std::mem::replace(&mut self.tells_new, tells_new);
                self.path.push(slot.name.clone());
                member.inner = self.level(&member.inner, level);
                self.path.pop();
                self.tells_new = told;
            }
            Inner::Unseen | Inner::Level(_) => {}
        }
        member
    }
}

impl Member {
    /// One that was not known before.
    fn of(slot: &Slot, objects: u64) -> Self {
        Self {
            kinds: slot.kinds,
            there: Seen::of(&slot.there, objects),
            valued: Seen::of(&slot.valued, objects),
            inner: BTreeMap::new(),
            is_map: false,
        }
    }

    /// Whether its objects have the same members: nearly all of them have each.
    fn is_regular(&self) -> bool {
        let is_common = |member: &Self| {
            let there = member.there;
            there.records.saturating_mul(10) >= there.of.saturating_mul(9)
        };
        !self.inner.is_empty() && self.inner.values().all(is_common)
    }
}

/// What became of something in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    Same,
    /// It is missing, which was not known, from so many records.
    Missing(u64),
    /// It was missing.
    Back,
}

impl Seen {
    /// What a first run saw.
    fn of(tally: &Tally, objects: u64) -> Self {
        if tally.objects == 0 {
            return Self::default();
        }
        Self {
            records: tally.objects,
            of: objects,
            longest: tally.stretch(objects, 0),
            since: 0,
            is_missing: false,
        }
    }

    /// The same after a run of so many objects, of which so many are `fresh`.
    fn after(self, tally: &Tally, objects: u64, span: Span, fresh: u64) -> (Self, Now) {
        if span == Span::Again {
            return (self, Now::Same);
        }
        if tally.objects > 0 {
            return (self.seen(tally, objects, span, fresh), self.became());
        }
        if self.records == 0 {
            return (self, Now::Same);
        }
        let since = |more| match span {
            // A whole set is no further records: they are mostly those that were there before.
            Span::Whole => objects,
            Span::Newest | Span::Again => self.since.saturating_add(more),
        };
        let is_missing = self.is_missing;
        let now = Self {
            since: since(objects),
            ..self
        };
        if !is_missing && now.misses(span) {
            let is_missing = true;
            return (Self { is_missing, ..now }, Now::Missing(now.since));
        }
        let since = since(fresh);
        (Self { since, ..self }, Now::Same)
    }

    fn became(self) -> Now {
        if self.is_missing {
            Now::Back
        } else {
            Now::Same
        }
    }

    fn seen(self, tally: &Tally, objects: u64, span: Span, fresh: u64) -> Self {
        let (records, of) = match span {
            Span::Whole => (0, 0),
            Span::Newest | Span::Again if fresh == 0 && !self.is_missing => return self,
            Span::Newest | Span::Again => (self.records, self.of.saturating_add(self.since)),
        };
        Self {
            records: records.saturating_add(tally.objects),
            of: of.saturating_add(objects),
            longest: self.longest.max(tally.stretch(objects, self.since)),
            since: 0,
            is_missing: false,
        }
    }

    /// THE RULE: whether what none of the last `since` records has is missing.
    fn misses(self, span: Span) -> bool {
        let always = self.longest == 0 && self.records >= self.of;
        if always {
            return span == Span::Whole || self.of >= EVERY || self.since >= EVERY;
        }
        self.records.saturating_mul(RARE) >= self.of
            && self.since >= STRETCH
            && self.since >= self.longest.saturating_mul(STRETCHES)
    }
}

impl Tally {
    /// The longest stretch of objects without it, where `before` came before them and there are so many.
    fn stretch(&self, objects: u64, before: u64) -> u64 {
        let first = before.saturating_add(self.first.saturating_sub(1));
        let last = objects.saturating_sub(self.last);
        self.longest.max(first).max(last)
    }
}

impl Kinds {
    /// Adds one; null is no type.
    pub fn add(&mut self, kind: Kind) {
        if kind != Kind::Null {
            self.0 |= 1 << kind as u8;
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their words.
    pub fn words(self) -> Vec<&'static str> {
        let kinds = Kind::ALL.into_iter();
        let has = kinds.filter(|kind| self.0 & (1 << *kind as u8) != 0);
        has.map(Kind::word).collect()
    }

    fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    fn meet(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

impl Serialize for Kinds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.words().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Kinds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut kinds = Self::default();
        for word in Vec::<String>::deserialize(deserializer)? {
            let known = Kind::ALL.into_iter().find(|kind| kind.word() == word);
            let kind = known.ok_or_else(|| serde::de::Error::custom("not a type"))?;
            kinds.add(kind);
        }
        Ok(kinds)
    }
}

/// A member as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    types: Kinds,
    there: Seen,
    valued: Seen,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    members: BTreeMap<String, Member>,
    #[serde(default, skip_serializing_if = "is_false")]
    is_map: bool,
}

/// On one line, in a file that has lines.
impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = Written {
            types: self.kinds,
            there: self.there,
            valued: self.valued,
            members: self.inner.clone(),
            is_map: self.is_map,
        };
        let line = serde_json::value::to_raw_value(&written);
        let line = line.map_err(serde::ser::Error::custom)?;
        line.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        Ok(Self {
            kinds: written.types,
            there: written.there,
            valued: written.valued,
            inner: written.members,
            is_map: written.is_map,
        })
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
fn is_false(is: &bool) -> bool {
    !is
}

#[cfg(test)]
mod tests;
