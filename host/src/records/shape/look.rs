//! Looks at staged records for their members: one walk along each, with no more memory than the limits allow for.
//!
//! What was known before is always watched; what is new is added as long as there is room. What it means is `shape`'s
//! business.

use std::collections::{BTreeMap, HashMap};

use tidegate_json::{Kind, Members, Paths};

use crate::limits::Limits;
use crate::outcome::Failure;
use crate::process::stop::Check;
use crate::records::changes::check_at;
use crate::records::line::line_failure;
use crate::records::shape::{Kinds, Member, Shape};
use crate::staging::lines::Lines;
use crate::staging::read::RECORDS;
use crate::words;

/// Places in an object for which the member that was last there is remembered: mostly it is there again.
const PLACES: usize = 1_000;

/// What the records of a run are made of.
#[derive(Debug)]
pub struct Look {
    pub(super) records: Level,
    /// Columns that are deeper in records than members are watched, by their pointers.
    pub(super) columns: Level,
    paths: Paths,
    pub(super) room: Room,
}

/// The members of some objects.
#[derive(Debug)]
pub(super) struct Level {
    /// After one more than so many, none is added.
    most: usize,
    /// How many objects.
    pub objects: u64,
    pub slots: Vec<Slot>,
    by_name: HashMap<String, usize>,
    /// The members that were last seen in each place.
    places: Vec<Option<usize>>,
}

/// A member.
#[derive(Debug)]
pub(super) struct Slot {
    pub name: String,
    /// The name as it is written; empty where it has escapes.
    quoted: Vec<u8>,
    pub there: Tally,
    pub valued: Tally,
    pub kinds: Kinds,
    pub inner: Inner,
}

/// What is inside of a member.
#[derive(Debug)]
pub(super) enum Inner {
    /// Nobody looks.
    Unseen,
    /// The members of the objects that are its values.
    Level(Box<Level>),
    /// Names that are data.
    Map,
}

/// Objects that have something, each known by its number from 1.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub objects: u64,
    pub first: u64,
    pub last: u64,
    /// The longest stretch of objects without it between two that have it.
    pub longest: u64,
}

/// How much more may be remembered.
#[derive(Debug)]
pub(super) struct Room {
    members: usize,
    names_bytes: usize,
    name_bytes: usize,
    object_members: usize,
    /// Whether there were members without room.
    pub is_full: bool,
}

impl Look {
    /// A look that has seen nothing yet, and watches for the members of `last` and for these columns of a table.
    pub fn new(last: Option<&Shape>, columns: &[String], limits: &Limits) -> Self {
        let mut look = Self {
            records: Level::of(limits.drift_members),
            columns: Level::of(limits.drift_members),
            paths: Paths::default(),
            room: Room {
                members: limits.drift_members,
                names_bytes: limits.drift_names_bytes,
                name_bytes: limits.drift_name_bytes,
                object_members: limits.drift_object_members,
                is_full: false,
            },
        };
        for pointer in columns {
            look.watch(pointer);
        }
        if let Some(last) = last {
            look.records.know(&last.members, &mut look.room, true);
        }
        look
    }

    /// Watches for the value of a column.
    fn watch(&mut self, pointer: &str) {
        let steps = pointer.split('/').skip(1);
        let steps: Vec<String> = steps
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect();
        if let [name] = &steps[..] {
            self.records.add(name, &mut self.room);
            return;
        }
        let known = self.columns.slots.len();
        if self.columns.add(pointer, &mut self.room) == Some(known) {
            self.paths.add_steps(steps);
        }
    }

    /// Looks at every record. `Err`: what `check` said, or a line that cannot be read.
    pub fn see_all(&mut self, mut records: Lines<'_>, check: Check<'_>) -> Result<(), Failure> {
        let mut number = 0;
        while let Some(line) = records
            .next_line()
            .map_err(|error| line_failure(RECORDS, error))?
        {
            check_at(check, number, line.len())?;
            self.see(line);
            number += 1;
        }
        Ok(())
    }

    /// Looks at one record. What is no object has no members.
    pub fn see(&mut self, record: &[u8]) {
        let Some(mut members) = Members::of(record) else {
            return;
        };
        self.records.walk(&mut members, &mut self.room, true);
        if self.columns.slots.is_empty() {
            return;
        }
        let Ok(text) = std::str::from_utf8(record) else {
            return;
        };
        let mut found = vec![None; self.columns.slots.len()];
        // Of a member that is repeated the first counts.
        let _ = self.paths.read(text, &mut found);
        self.columns.objects += 1;
        for (slot, value) in self.columns.slots.iter_mut().zip(found) {
            let first = value.and_then(|value: &str| value.bytes().next());
            if let Some(kind) = first.and_then(Kind::of) {
                slot.see(kind, self.columns.objects);
            }
        }
    }

    /// How many records there are.
    pub fn records(&self) -> u64 {
        self.records.objects
    }
}

impl Level {
    fn of(most: usize) -> Self {
        Self {
            most,
            objects: 0,
            slots: Vec::new(),
            by_name: HashMap::new(),
            places: Vec::new(),
        }
    }

    /// Adds the members that are known, as far as there is room.
    fn know(&mut self, known: &BTreeMap<String, Member>, room: &mut Room, has_inner: bool) {
        for (name, member) in known {
            let Some(at) = self.add(name, room) else {
                continue;
            };
            if member.is_map {
                self.slots[at].inner = Inner::Map;
            } else if let Some(inner) = self.slots[at].inner.level(room).filter(|_| has_inner) {
                inner.know(&member.inner, room, false);
            }
        }
    }

    /// The place of a member, which is made if there is room for it.
    fn add(&mut self, name: &str, room: &mut Room) -> Option<usize> {
        if let Some(at) = self.by_name.get(name) {
            return Some(*at);
        }
        if self.slots.len() > self.most {
            return None;
        }
        if name.len() > room.name_bytes {
            room.is_full = true;
            return None;
        }
        let quoted = serde_json::to_string(name).unwrap_or_default();
        if !room.take(&quoted) {
            return None;
        }
        self.by_name.insert(name.to_owned(), self.slots.len());
        self.slots.push(Slot {
            name: name.to_owned(),
            quoted: if quoted.contains('\\') {
                Vec::new()
            } else {
                quoted.into_bytes()
            },
            there: Tally::default(),
            valued: Tally::default(),
            kinds: Kinds::default(),
            inner: Inner::Unseen,
        });
        Some(self.slots.len() - 1)
    }

    /// Walks along the members of one more object, and where `has_inner` along those of the objects in it.
    fn walk(&mut self, members: &mut Members<'_>, room: &mut Room, has_inner: bool) {
        self.objects += 1;
        for place in 0.. {
            let guess = self.places.get(place).copied().flatten();
            let quoted = guess.map_or(&[][..], |at| &self.slots[at].quoted);
            let Some((name, is_guess)) = members.next_name(quoted) else {
                return;
            };
            let at = match guess {
                Some(at) if is_guess => Some(at),
                _ => self.find(name, place, room),
            };
            let Some(kind) = members.kind() else {
                return;
            };
            let Some(at) = at else {
                members.skip();
                continue;
            };
            let slot = &mut self.slots[at];
            slot.see(kind, self.objects);
            let inner = members.inner().filter(|_| has_inner);
            let inner = inner.and_then(|inner| slot.look_inside(inner, room));
            match inner {
                Some(inner) => members.leave(&inner),
                None => members.skip(),
            }
        }
    }

    /// The member of this name, which is as it is written, in quotes. In this place it is expected from now on.
    fn find(&mut self, quoted: &[u8], place: usize, room: &mut Room) -> Option<usize> {
        let text = std::str::from_utf8(quoted).ok();
        let at = if memchr::memchr(b'\\', quoted).is_some() {
            // A name that stands for no text, half of a surrogate pair say, is not watched.
            let name = text.and_then(|text| serde_json::from_str::<String>(text).ok());
            name.and_then(|name| self.add(&name, room))
        } else {
            let name = text.and_then(|text| text.get(1..text.len().checked_sub(1)?));
            name.and_then(|name| self.add(name, room))
        };
        if place < PLACES {
            if self.places.len() <= place {
                self.places.resize(place + 1, None);
            }
            self.places[place] = at;
        }
        at
    }
}

impl Slot {
    fn see(&mut self, kind: Kind, object: u64) {
        self.there.see(object);
        if kind != Kind::Null {
            self.valued.see(object);
            self.kinds.add(kind);
        }
    }

    /// Walks along the members of its value, to their end. `None`: nobody looks there.
    fn look_inside<'t>(
        &mut self,
        mut members: Members<'t>,
        room: &mut Room,
    ) -> Option<Members<'t>> {
        let level = self.inner.level(room)?;
        level.walk(&mut members, room, false);
        if level.slots.len() > room.object_members {
            room.give_back(level);
            self.inner = Inner::Map;
        }
        Some(members)
    }
}

impl Inner {
    /// The members inside; none of a map.
    fn level(&mut self, room: &Room) -> Option<&mut Level> {
        if matches!(self, Self::Unseen) {
            *self = Self::Level(Box::new(Level::of(room.object_members)));
        }
        match self {
            Self::Level(level) => Some(level),
            Self::Unseen | Self::Map => None,
        }
    }
}

impl Tally {
    fn see(&mut self, object: u64) {
        // A member that is there twice is one.
        if self.last == object {
            return;
        }
        if self.objects == 0 {
            self.first = object;
        } else {
            self.longest = self.longest.max(object - self.last - 1);
        }
        self.objects += 1;
        self.last = object;
    }
}

impl Room {
    /// Takes room for a name, which is as JSON writes it. `false`: there is none.
    fn take(&mut self, quoted: &str) -> bool {
        let bytes = size(quoted);
        if self.members == 0 || bytes > self.names_bytes || bytes > self.name_bytes {
            self.is_full = true;
            return false;
        }
        self.members -= 1;
        self.names_bytes -= bytes;
        true
    }

    fn give_back(&mut self, level: &Level) {
        self.members += level.slots.len();
        let names = level.slots.iter();
        let names = names.map(|slot| serde_json::to_string(&slot.name).unwrap_or_default());
        self.names_bytes += names.map(|quoted| size(&quoted)).sum::<usize>();
    }
}

/// What a name takes in the manifest.
fn size(quoted: &str) -> usize {
    words::escaped(quoted).len()
}
