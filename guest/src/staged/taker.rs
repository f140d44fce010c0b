//! One record after the other: each is staged with all it became, or put aside with the reason, never both.

use std::fmt;

use tidegate_jq::{read_valid, write_string};

use super::{Counts, Lines, Wanted, marks_as_deleted};
use crate::cursor::{Cursor, Number};
use crate::failure::{Failure, said};
use crate::fetch::Watch;
use crate::page::{self, Place, Shape};
use crate::settings::{Invalid, RecordSettings};

/// Takes the records of one page.
pub(super) struct Taker<'p, 's, 'b> {
    pub(super) shape: &'p Shape,
    pub(super) place: &'p Place,
    pub(super) made: &'p RecordSettings,
    pub(super) wanted: &'p Wanted,
    pub(super) found: Vec<Option<&'b str>>,
    pub(super) watch: &'p mut Watch,
    pub(super) cursor: Option<&'p mut Cursor<'s>>,
    pub(super) counts: &'p mut Counts,
    pub(super) lines: &'p mut Lines,
    pub(super) first_rejection: &'p mut Option<String>,
}

/// One record, for messages; written only when something is wrong with it.
struct RecordPlace<'p> {
    place: &'p Place,
    shape: &'p Shape,
    index: u64,
}

impl fmt::Display for RecordPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shape.record_at(self.index).as_str() {
            "" => write!(f, "{}: the record", self.place),
            at => write!(f, "{}: record `{at}`", self.place),
        }
    }
}

/// Why a record cannot be used: what comes behind its place in a message.
struct Unusable(String);

impl Unusable {
    fn setting(name: &str, why: impl fmt::Display) -> Self {
        Self(format!(": {name}: {}", said(&why.to_string())))
    }
}

impl<'b> Taker<'_, '_, 'b> {
    /// Takes one record. `Err`: the run is over.
    pub(super) fn take(&mut self, index: u64, text: &'b str) -> Result<(), Failure> {
        let place = RecordPlace {
            place: self.place,
            shape: self.shape,
            index,
        };
        match self.stage(&place, text)? {
            Ok(()) => Ok(()),
            Err(unusable) => self.reject(&place, text, &unusable),
        }
    }

    /// The outer `Err`: the run is over. The inner one: nothing of this record was staged.
    fn stage(
        &mut self,
        place: &RecordPlace<'_>,
        text: &'b str,
    ) -> Result<Result<(), Unusable>, Failure> {
        if let Some(why) = page::unfit(text) {
            return Ok(Err(Unusable(format!(" {why}"))));
        }
        if self.wanted.paths.slots() > 0
            && let Err(why) = self.wanted.paths.read(text, &mut self.found)
        {
            return Ok(Err(Unusable(format!(": {why}"))));
        }
        if !self.watch.takes(text, &self.found) {
            return Ok(Ok(()));
        }
        if let (true, Some(cursor)) = (self.watch.jumps(), &mut self.cursor) {
            cursor.page_comes_again();
        }
        if let (Some(cursor), Some(slot)) = (&mut self.cursor, self.wanted.cursor)
            && !cursor.sees(self.found[slot], place)?
        {
            return Ok(Ok(()));
        }
        let mark = self.wanted.deleted.and_then(|slot| self.found[slot]);
        Ok(self.outcome(text, mark.is_some_and(marks_as_deleted)))
    }

    fn outcome(&mut self, text: &'b str, gone: bool) -> Result<(), Unusable> {
        let parent = self.parent()?;
        if let Some(parent) = parent.filter(|_| gone) {
            // With the parent go all rows that were made of it.
            self.parent_line(parent);
            return Ok(());
        }
        let schema = self.made.schema.as_ref().filter(|_| !gone);
        if schema.is_none() && self.made.transform.is_none() {
            if gone {
                return self.deletions(&[text]);
            }
            if let Some(parent) = parent {
                self.parent_line(parent);
            }
            page::append_line(text, &mut self.lines.records);
            self.lines.records.push(b'\n');
            self.counts.staged += 1;
            return Ok(());
        }
        self.outcome_of_value(text, gone, parent)
    }

    /// The way of a record that has to be understood, not only handed on.
    fn outcome_of_value(
        &mut self,
        text: &'b str,
        gone: bool,
        parent: Option<&'b str>,
    ) -> Result<(), Unusable> {
        let value = read_valid(text).map_err(|why| Unusable(format!(" {why}")))?;
        if let Some(schema) = self.made.schema.as_ref().filter(|_| !gone) {
            let held = schema.check(&value);
            held.map_err(|broken| Unusable::setting("SOURCE_SCHEMA", broken))?;
        }
        let mut outputs = std::mem::take(&mut self.lines.outputs);
        let outcome = match &self.made.transform {
            None => self.rows(&[text], gone, parent),
            Some(transform) => transform
                .apply(value, &mut outputs)
                .map_err(|why| Unusable::setting("TRANSFORM", why))
                .and_then(|()| {
                    if outputs.iter().any(|(_, is_object)| !is_object) {
                        return Err(Unusable::setting("TRANSFORM", "an output is not an object"));
                    }
                    let rows: Vec<&str> = outputs.iter().map(|(row, _)| row).collect();
                    self.rows(&rows, gone, parent)
                }),
        };
        self.lines.outputs = outputs;
        outcome
    }

    fn rows(&mut self, rows: &[&str], gone: bool, parent: Option<&str>) -> Result<(), Unusable> {
        if gone {
            return self.deletions(rows);
        }
        if let Some(parent) = parent {
            self.parent_line(parent);
        }
        for row in rows {
            page::append_line(row, &mut self.lines.records);
            self.lines.records.push(b'\n');
            self.counts.staged += 1;
        }
        Ok(())
    }

    /// The value that the rows of this record have in common, where the settings say that they have one.
    fn parent(&self) -> Result<Option<&'b str>, Unusable> {
        let Some((pointer, slot)) = &self.wanted.parent else {
            return Ok(None);
        };
        match self.found[*slot] {
            Some(value) if is_key(value) => Ok(Some(value)),
            Some(_) => Err(Unusable(format!(
                ": its `{pointer}` (SOURCE_PARENT) is neither a string nor an integer"
            ))),
            None => Err(Unusable(format!(
                ": its `{pointer}` (SOURCE_PARENT) is missing"
            ))),
        }
    }

    /// `{"parent":VALUE,"at":N}`: its rows are gone, as of the `N` records staged before.
    fn parent_line(&mut self, value: &str) {
        let at = self.counts.staged;
        let line = format!("{{\"parent\":{value},\"at\":{at}}}\n");
        self.lines.deleted.extend_from_slice(line.as_bytes());
        self.counts.deleted += 1;
    }

    /// `{"key":[…],"at":N}` for each row: it is gone, as of the `N` records staged before.
    fn deletions(&mut self, rows: &[&str]) -> Result<(), Unusable> {
        let before = self.lines.deleted.len();
        for row in rows {
            if let Err(unusable) = self.deletion(row) {
                self.lines.deleted.truncate(before);
                return Err(unusable);
            }
        }
        self.counts.deleted += rows.len() as u64;
        Ok(())
    }

    fn deletion(&mut self, row: &str) -> Result<(), Unusable> {
        let mut found = vec![None; self.wanted.key_paths.slots()];
        let read = self.wanted.key_paths.read(row, &mut found);
        read.map_err(|why| Unusable(format!(": {why}")))?;
        let deleted = &mut self.lines.deleted;
        deleted.extend_from_slice(b"{\"key\":[");
        for (at, (pointer, slot)) in self.wanted.key.iter().enumerate() {
            let wrong = |what: &str| {
                Unusable(format!(
                    " is deleted, and its `{pointer}` (PRIMARY_KEY) {what}"
                ))
            };
            let value = found[*slot].ok_or_else(|| wrong("is missing"))?;
            if !is_key(value) {
                return Err(wrong("is neither a string nor an integer"));
            }
            if at > 0 {
                deleted.push(b',');
            }
            deleted.extend_from_slice(value.as_bytes());
        }
        let at = self.counts.staged;
        deleted.extend_from_slice(format!("],\"at\":{at}}}\n").as_bytes());
        Ok(())
    }

    /// Puts the record aside with the reason; where the settings want that, ends the run instead.
    fn reject(
        &mut self,
        place: &RecordPlace<'_>,
        text: &str,
        Unusable(why): &Unusable,
    ) -> Result<(), Failure> {
        let reason = format!("{place}{why}");
        if self.made.invalid == Invalid::Fail {
            return Err(Failure::data(reason));
        }
        let out = &mut self.lines.rejected;
        out.extend_from_slice(b"{\"reason\":");
        write_string(&reason, out);
        out.extend_from_slice(b",\"pointer\":");
        write_string(&self.shape.record_at(place.index), out);
        out.extend_from_slice(b",\"record\":");
        if page::is_too_deep(text) {
            // As a text: whoever reads the line can read only so deep.
            write_string(text, out);
        } else {
            page::append_line(text, out);
        }
        out.extend_from_slice(b"}\n");
        self.counts.rejected += 1;
        self.first_rejection.get_or_insert(reason);
        Ok(())
    }
}

/// Whether a JSON text is a string or an integer.
fn is_key(json: &str) -> bool {
    json.starts_with('"') || Number::parse(json).is_some()
}
