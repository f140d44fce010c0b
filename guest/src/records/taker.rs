//! One record after the other: each is staged with all it became, or put aside with the reason, never both.

use std::fmt;

use tidegate_jq::{RunError, write_string};

use super::reader::{Looked, Marks};
use super::transform::OUT_OF_STEPS_MAX;
use super::{Invalid, Taken, WRITTEN_AT_ONCE, Wanted, marks_as_deleted};
use crate::failure::{Failure, said};
use crate::ports::Staging;
use crate::source::page::{Place, Shape};
use tidegate_json::{Number, append_line, is_too_deep};

/// A reason is cut here: a URL may be longer, and the host takes no more.
const REASON_BYTES_MAX: usize = 4 * 1024;

/// Takes the records of one page.
pub(super) struct Taker<'p, 's> {
    pub(super) shape: &'p Shape,
    pub(super) place: &'p Place,
    pub(super) wanted: &'p Wanted,
    pub(super) taken: &'p mut Taken<'s>,
    /// Behind a pointer, so that what reads pages is compiled once.
    pub(super) staging: &'p mut dyn Staging,
}

/// One record, for messages; written only when something is wrong with it.
pub(super) struct RecordPlace<'p> {
    place: &'p Place,
    shape: &'p Shape,
    index: Option<u64>,
}

impl fmt::Display for RecordPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.shape.record_at(self.index).as_str(), self.index) {
            ("", Some(index)) => write!(f, "{}: record {} (SOURCE_RECORDS)", self.place, index + 1),
            ("", None) => write!(f, "{}: the record", self.place),
            (at, _) => write!(f, "{}: record `{at}`", self.place),
        }
    }
}

/// Why a record cannot be used: what comes behind its place in a message.
pub(super) struct Unusable(pub(super) String);

impl Unusable {
    fn setting(name: &str, why: impl fmt::Display) -> Self {
        Self(format!(": {name}: {}", said(&why.to_string())))
    }
}

impl<'p> Taker<'p, '_> {
    /// Where a record is.
    pub(super) fn at(&self, index: Option<u64>) -> RecordPlace<'p> {
        RecordPlace {
            place: self.place,
            shape: self.shape,
            index,
        }
    }

    /// Takes one record. `Err`: the run is over.
    pub(super) fn take(&mut self, record: Looked<'_>) -> Result<(), Failure> {
        let Looked { index, text, marks } = record;
        let out_of_steps = self.taken.out_of_steps;
        self.taken.lines.write(self.staging, WRITTEN_AT_ONCE)?;
        match marks.and_then(|marks| self.outcome(text, &marks)) {
            Ok(()) => Ok(()),
            Err(unusable) => {
                self.reject(index, text, &unusable)?;
                if self.taken.out_of_steps > out_of_steps {
                    self.goes_on(index, &unusable)?;
                }
                Ok(())
            }
        }
    }

    /// Whether a run goes on after a record on which TRANSFORM or SOURCE_SCHEMA took too many steps. `Err`: it was one too many.
    fn goes_on(&mut self, index: Option<u64>, Unusable(why): &Unusable) -> Result<(), Failure> {
        let here = format!("{}{why}", self.at(index));
        let first = self.taken.first_out_of_steps.get_or_insert(here);
        if self.taken.out_of_steps < OUT_OF_STEPS_MAX {
            return Ok(());
        }
        Err(Failure::data(format!(
            "{first}; so do {} more records: the setting takes too many steps on records like these",
            OUT_OF_STEPS_MAX - 1
        )))
    }

    fn outcome(&mut self, text: &str, marks: &Marks<'_>) -> Result<(), Unusable> {
        let parent = self.parent(marks)?;
        let gone = marks.deleted.is_some_and(marks_as_deleted);
        if let Some(parent) = parent.filter(|_| gone) {
            // With the parent go all rows that were made of it.
            self.taken.replaces(parent);
            return Ok(());
        }
        let schema = self.taken.made.schema.as_ref().filter(|_| !gone);
        if schema.is_none() && self.taken.made.transform.is_none() {
            if gone {
                return self.deletions(&[text]);
            }
            if let Some(parent) = parent {
                self.taken.replaces(parent);
            }
            self.taken.stages(text);
            return Ok(());
        }
        self.outcome_of_value(text, gone, parent)
    }

    /// The way of a record that has to be understood, not only handed on.
    fn outcome_of_value(
        &mut self,
        text: &str,
        gone: bool,
        parent: Option<&str>,
    ) -> Result<(), Unusable> {
        let (made, names) = (self.taken.made, &mut self.taken.lines.names);
        let value = match (&made.schema, &made.transform) {
            (None, Some(transform)) => transform.read(text, names),
            _ => names.read_valid(text),
        };
        let value = value.map_err(|why| Unusable(format!(" {why}")))?;
        if let Some(schema) = self.taken.made.schema.as_ref().filter(|_| !gone)
            && let Err(broken) = schema.check(&value)
        {
            self.taken.out_of_steps += u64::from(broken.is_out_of_steps);
            return Err(Unusable::setting("SOURCE_SCHEMA", broken));
        }
        let mut outputs = std::mem::take(&mut self.taken.lines.outputs);
        let outcome = match &self.taken.made.transform {
            None => self.rows(&[text], gone, parent),
            Some(transform) => transform
                .apply(value, &self.taken.variables, &mut outputs)
                .map_err(|why| {
                    self.taken.out_of_steps += u64::from(matches!(why, RunError::Steps(_)));
                    Unusable::setting("TRANSFORM", why)
                })
                .and_then(|()| {
                    if outputs.iter().any(|(_, is_object)| !is_object) {
                        return Err(Unusable::setting("TRANSFORM", "an output is not an object"));
                    }
                    let rows: Vec<&str> = outputs.iter().map(|(row, _)| row).collect();
                    self.rows(&rows, gone, parent)
                }),
        };
        self.taken.lines.outputs = outputs;
        outcome
    }

    fn rows(&mut self, rows: &[&str], gone: bool, parent: Option<&str>) -> Result<(), Unusable> {
        if gone {
            return self.deletions(rows);
        }
        if let Some(parent) = parent {
            self.taken.replaces(parent);
        }
        for row in rows {
            self.taken.stages(row);
        }
        Ok(())
    }

    /// The value that the rows of this record have in common, where the settings say that they have one.
    fn parent<'b>(&self, marks: &Marks<'b>) -> Result<Option<&'b str>, Unusable> {
        let Some((pointer, _)) = &self.wanted.parent else {
            return Ok(None);
        };
        match marks.parent {
            Some(value) if is_key(value) => Ok(Some(value)),
            Some(_) => Err(Unusable(format!(
                ": its `{pointer}` (SOURCE_PARENT) is neither a string nor an integer"
            ))),
            None => Err(Unusable(format!(
                ": its `{pointer}` (SOURCE_PARENT) is missing"
            ))),
        }
    }

    /// `{"key":[…],"at":N}` for each row: it is gone, as of the `N` records staged before.
    fn deletions(&mut self, rows: &[&str]) -> Result<(), Unusable> {
        let before = self.taken.lines.deleted.len();
        for row in rows {
            if let Err(unusable) = self.deletion(row) {
                self.taken.lines.deleted.truncate(before);
                return Err(unusable);
            }
        }
        self.taken.counts.deleted += rows.len() as u64;
        Ok(())
    }

    fn deletion(&mut self, row: &str) -> Result<(), Unusable> {
        let mut found = vec![None; self.wanted.key_paths.slots()];
        let read = self.wanted.key_paths.read(row, &mut found);
        read.map_err(|why| Unusable(format!(": {why}")))?;
        let deleted = &mut self.taken.lines.deleted;
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
        let at = self.taken.counts.staged;
        deleted.extend_from_slice(format!("],\"at\":{at}}}\n").as_bytes());
        Ok(())
    }

    /// Puts the record aside with the reason; where the settings want that, ends the run instead.
    fn reject(
        &mut self,
        index: Option<u64>,
        text: &str,
        Unusable(why): &Unusable,
    ) -> Result<(), Failure> {
        if self.taken.made.invalid == Invalid::Fail {
            return Err(Failure::data(format!("{}{why}", self.at(index))));
        }
        let mut reason = format!("{}{}{why}", self.taken.label, self.at(index));
        if reason.len() > REASON_BYTES_MAX {
            reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX - '…'.len_utf8()));
            reason.push('…');
        }
        let out = &mut self.taken.lines.rejected;
        out.extend_from_slice(b"{\"reason\":");
        write_string(&reason, out);
        out.extend_from_slice(b",\"pointer\":");
        write_string(&self.shape.record_at(index), out);
        out.extend_from_slice(b",\"record\":");
        if is_too_deep(text) {
            // As a text: whoever reads the line can read only so deep.
            write_string(text, out);
        } else {
            append_line(text, out);
        }
        out.extend_from_slice(b"}\n");
        self.taken.counts.rejected += 1;
        self.taken.first_rejection.get_or_insert(reason);
        Ok(())
    }
}

/// Whether a JSON text is a string or an integer.
fn is_key(json: &str) -> bool {
    json.starts_with('"') || Number::parse(json).is_some()
}
