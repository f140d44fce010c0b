//! What becomes of each record: a line of `records.ndjson`, a tombstone in `deleted.ndjson`, or nothing when it is older than
//! what was asked for.
//!
//! A page is staged whole: its lines are written after its last byte was read and every record was agreed to.

use std::fmt;

use crate::cursor::{Cursor, Number};
use crate::failure::{Detail, Failure};
use crate::fetch::{Expect, Seen, Watch};
use crate::page::{self, Contents, Place, Shape};
use crate::pointer::{Paths, Pointer};
use crate::ports::{StagedFile, Staging};
use crate::settings::Settings;

/// Stages records and counts them.
pub struct Stager<'s, S> {
    staging: &'s mut S,
    cursor: Option<Cursor<'s>>,
    shape: Shape,
    wanted: Wanted,
    watch: Watch,
    counts: Counts,
    records: Vec<u8>,
    deleted: Vec<u8>,
}

/// How many records came and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Records found in pages.
    pub fetched: u64,
    /// Lines of `records.ndjson`.
    pub staged: u64,
    /// Lines of `deleted.ndjson`.
    pub deleted: u64,
}

/// What is read of each record, and in which slot it is found.
#[derive(Default)]
struct Wanted {
    paths: Paths,
    cursor: Option<usize>,
    deleted: Option<usize>,
    key: Vec<(Pointer, usize)>,
}

impl<'s, S: Staging> Stager<'s, S> {
    /// Stages what `settings` ask for; `shape` says where records stand in a page.
    pub fn new(
        settings: &'s Settings,
        cursor: Option<Cursor<'s>>,
        shape: Shape,
        staging: &'s mut S,
    ) -> Self {
        let mut wanted = Wanted::default();
        wanted.cursor = settings
            .cursor
            .as_ref()
            .map(|cursor| wanted.paths.add(&cursor.pointer));
        if let Some(pointer) = &settings.deleted {
            wanted.deleted = Some(wanted.paths.add(pointer));
            wanted.key = settings
                .key
                .iter()
                .map(|part| (part.clone(), wanted.paths.add(part)))
                .collect();
        }
        let watch = Watch::new(
            &settings.pagination,
            &settings.key,
            settings.cursor.as_ref().map(|cursor| &cursor.pointer),
            &mut wanted.paths,
        );
        Self {
            staging,
            cursor,
            shape,
            wanted,
            watch,
            counts: Counts::default(),
            records: Vec::new(),
            deleted: Vec::new(),
        }
    }

    /// Stages one page, whose first record should be as `expect` says. `Err`: the run is over, whatever was staged.
    pub fn page(
        &mut self,
        body: &[u8],
        place: &Place,
        expect: Expect,
    ) -> Result<(Contents, Seen), Failure> {
        self.records.clear();
        self.deleted.clear();
        self.watch.page_begins(expect);
        let mut taker = Taker {
            shape: &self.shape,
            place,
            wanted: &self.wanted,
            found: vec![None; self.wanted.paths.slots()],
            watch: &mut self.watch,
            cursor: self.cursor.as_mut(),
            counts: &mut self.counts,
            records: &mut self.records,
            deleted: &mut self.deleted,
        };
        let contents = page::read(body, &self.shape, place, &mut |index, text| {
            taker.take(index, text)
        })?;
        if let Some(cursor) = &mut self.cursor {
            cursor.page_ends();
        }
        let seen = self.watch.page_ends();
        self.counts.fetched += contents.records - seen.left_out;
        for (file, lines) in [
            (StagedFile::Records, &self.records),
            (StagedFile::Deleted, &self.deleted),
        ] {
            if !lines.is_empty() {
                self.staging
                    .append(file, lines)
                    .map_err(|why| Failure::Output(Detail::from(why)))?;
            }
        }
        Ok((contents, seen))
    }

    /// The cursor, if it stands in records.
    pub fn cursor(&mut self) -> Option<&mut Cursor<'s>> {
        self.cursor.as_mut()
    }

    /// What was staged, and where the cursor stands.
    pub fn finish(self) -> (Counts, Option<Cursor<'s>>) {
        (self.counts, self.cursor)
    }
}

/// Takes the records of one page.
struct Taker<'p, 's, 'b> {
    shape: &'p Shape,
    place: &'p Place,
    wanted: &'p Wanted,
    found: Vec<Option<&'b str>>,
    watch: &'p mut Watch,
    cursor: Option<&'p mut Cursor<'s>>,
    counts: &'p mut Counts,
    records: &'p mut Vec<u8>,
    deleted: &'p mut Vec<u8>,
}

/// One record, for messages; written only when something is wrong with it.
struct RecordPlace<'p> {
    place: &'p Place,
    shape: &'p Shape,
    index: u64,
}

impl fmt::Display for RecordPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: record `{}`",
            self.place,
            self.shape.record_at(self.index)
        )
    }
}

impl<'b> Taker<'_, '_, 'b> {
    fn take(&mut self, index: u64, text: &'b str) -> Result<(), Failure> {
        let place = RecordPlace {
            place: self.place,
            shape: self.shape,
            index,
        };
        if self.wanted.paths.slots() > 0 {
            let read = self.wanted.paths.read(text, &mut self.found);
            read.map_err(|why| Failure::data(format!("{place}: {why}")))?;
        }
        if !self.watch.takes(text, &self.found) {
            return Ok(());
        }
        if let (true, Some(cursor)) = (self.watch.jumps(), &mut self.cursor) {
            cursor.page_comes_again();
        }
        if let (Some(cursor), Some(slot)) = (&mut self.cursor, self.wanted.cursor)
            && !cursor.sees(self.found[slot], &place)?
        {
            return Ok(());
        }
        if self
            .wanted
            .deleted
            .is_some_and(|slot| self.found[slot].is_some_and(marks_as_deleted))
        {
            return self.tombstone(&place);
        }
        page::append_line(text, self.records);
        self.records.push(b'\n');
        self.counts.staged += 1;
        Ok(())
    }

    /// `{"key":[…],"at":N}`: the record is gone, as of the `N` records staged before.
    fn tombstone(&mut self, place: &RecordPlace<'_>) -> Result<(), Failure> {
        self.deleted.extend_from_slice(b"{\"key\":[");
        for (at, (pointer, slot)) in self.wanted.key.iter().enumerate() {
            let wrong = |what: &str| {
                Failure::data(format!(
                    "{place} is deleted, and its `{pointer}` (PRIMARY_KEY) {what}"
                ))
            };
            let value = self.found[*slot].ok_or_else(|| wrong("is missing"))?;
            if !value.starts_with('"') && Number::parse(value).is_none() {
                return Err(wrong("is neither a string nor an integer"));
            }
            if at > 0 {
                self.deleted.push(b',');
            }
            self.deleted.extend_from_slice(value.as_bytes());
        }
        let at = self.counts.staged;
        self.deleted
            .extend_from_slice(format!("],\"at\":{at}}}\n").as_bytes());
        self.counts.deleted += 1;
        Ok(())
    }
}

/// A record is live when its mark is null, false, 0 or empty. Where it could be read both ways, a record stays.
fn marks_as_deleted(raw: &str) -> bool {
    match raw.as_bytes()[0] {
        b'n' | b'f' => false,
        b'"' => raw != "\"\"",
        b'-' | b'0'..=b'9' => {
            let mantissa = raw.split(['e', 'E']).next().unwrap_or(raw);
            mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
        }
        b'[' | b'{' => !raw[1..raw.len() - 1].trim_ascii().is_empty(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_says_nothing_leaves_a_record_live() {
        for live in [
            "null", "false", "0", "-0", "0.0", "0e9", "\"\"", "[]", "{ }",
        ] {
            assert!(!marks_as_deleted(live), "{live}");
        }
        for deleted in [
            "true",
            "1",
            "0.1",
            "\"2026-11-23T06:00:00Z\"",
            "\"0\"",
            "[0]",
            "{\"a\":1}",
        ] {
            assert!(marks_as_deleted(deleted), "{deleted}");
        }
    }
}
