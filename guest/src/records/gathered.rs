//! The parents of a run with fan-out (SOURCE_EACH_URL): their records, kept in memory while they come.

use std::collections::BTreeMap;

use crate::ports::{StagedFile, Staging};
use crate::source::Each;
use tidegate_json::{Number, Paths, Pointer};

/// Parents of one run.
pub const PARENTS_MAX: usize = 50_000;
/// Bytes of them: they are held in memory.
pub const PARENTS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// One parent, as it came last.
#[derive(Debug)]
pub struct Parent {
    /// Its value and its record.
    pub each: Each,
    /// Whether it was deleted: then there is no record.
    pub is_deleted: bool,
}

impl Parent {
    /// The string or integer at `pointer` in its record, as JSON.
    pub fn json_at(&self, pointer: &Pointer) -> Option<String> {
        let mut paths = Paths::default();
        let slot = paths.add(pointer);
        let mut found = vec![None; paths.slots()];
        let record = self.each.parent.as_deref()?;
        paths.read(record, &mut found).ok()?;
        let json = found[slot]?;
        let is_key = json.starts_with('"') || Number::parse(json).is_some();
        is_key.then(|| json.to_owned())
    }
}

/// Where parents are kept while they come.
#[derive(Debug, Default)]
pub struct Gathered {
    records: Vec<String>,
    /// The values of parents, those that were deleted included, each with the number of records before it.
    values: Vec<(usize, String)>,
    bytes: usize,
    /// Whether there are more than fit.
    pub is_full: bool,
}

impl Staging for Gathered {
    fn append(&mut self, file: StagedFile, lines: &[u8]) -> Result<(), String> {
        for line in String::from_utf8_lossy(lines).lines() {
            self.bytes += line.len();
            match file {
                StagedFile::Records => self.records.push(line.to_owned()),
                StagedFile::Deleted => self.values.extend(value_of(line)),
                StagedFile::Rejected => {}
            }
        }
        self.is_full = self.values.len() > PARENTS_MAX || self.bytes > PARENTS_BYTES_MAX;
        if self.is_full {
            return Err(String::new());
        }
        Ok(())
    }
}

/// The value and the number of records in `{"parent":VALUE,"at":N}`.
fn value_of(line: &str) -> Option<(usize, String)> {
    let (value, at) = line.strip_prefix("{\"parent\":")?.rsplit_once(",\"at\":")?;
    let at = at.strip_suffix('}')?.parse().ok()?;
    Some((at, value.to_owned()))
}

impl Gathered {
    /// Each parent once, as it came last, in the order in which they came first.
    pub fn parents(mut self) -> Vec<Parent> {
        let mut parents: Vec<Parent> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        let mut values = self.values.into_iter().peekable();
        while let Some((at, value)) = values.next() {
            // A record comes right behind its own line.
            let is_last_there = values.peek().is_none_or(|(next, _)| *next > at);
            let record = self.records.get_mut(at).filter(|_| is_last_there);
            let record = record.map(std::mem::take);
            let parent = Parent {
                is_deleted: record.is_none(),
                each: Each::of_parent(value, record),
            };
            if let Some(place) = known.get(&parent.each.text) {
                parents[*place] = parent;
            } else {
                known.insert(parent.each.text.clone(), parents.len());
                parents.push(parent);
            }
        }
        parents
    }
}
