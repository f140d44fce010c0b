//! What becomes of each record: lines of `records.ndjson`, a deletion in `deleted.ndjson`, a line of `rejected.ndjson`, or nothing
//! when it is older than what was asked for or transformed away.
//!
//! First a page is read, which tells all that the next request hangs on; what takes time, making lines of its records, can wait
//! until that request is on its way. Lines are written as they come, a MiB at once: what was staged of a page that turns out to
//! be damaged goes with the run.

mod gathered;
mod overlap;
mod reader;
mod rules;
mod taker;
mod transform;

pub use self::gathered::{Gathered, PARENTS_BYTES_MAX, PARENTS_MAX, Parent};
use self::overlap::Overlap;
use self::reader::{Looked, Reader};
pub use self::rules::{Invalid, RecordSettings};
use self::taker::Taker;
pub use self::transform::{OUTPUT_BYTES_MAX, OUTPUTS_MAX, Outputs, Transform};
use crate::cursor::Cursor;
use crate::failure::{Detail, Failure};
use crate::ports::{StagedFile, Staging};
use crate::source::page::{self, Contents, Opened, Place, Shape};
use crate::source::{Each, Expect, Fetched, Pagination, Seen, Watch};
use tidegate_jq::{Names, Value};
use tidegate_json::{Paths, Pointer, append_line};

/// Records of a page that wait to be staged while the next page is asked for; of a larger page, those before them do not.
const WAITING_MAX: usize = 16 * 1024;

/// Lines that are written at once, in bytes: a page need not fit the memory twice.
const WRITTEN_AT_ONCE: usize = 1024 * 1024;

/// Stages records and counts them.
pub struct Stager<'s, S> {
    staging: &'s mut S,
    pagination: &'s Pagination,
    is_feed: bool,
    cursor: Option<Cursor<'s>>,
    shape: Shape,
    wanted: Wanted,
    watch: Watch,
    taken: Taken<'s>,
    /// The counts before the page at hand.
    before: Counts,
}

/// A page that was read, and the records of it that are still to be staged.
#[must_use = "a page that is not staged is lost"]
pub struct Read<'b> {
    /// What stood in it.
    pub contents: Contents,
    /// What was noticed of its records.
    pub seen: Seen,
    waiting: Vec<Looked<'b>>,
    /// The text of the first record, and of the last one, where they are of the body.
    ends: Option<[&'b str; 2]>,
}

impl Read<'_> {
    /// The text of the page with null in place of the records, or with those that a program found in it. `body` is what was
    /// read.
    pub fn envelope(&self, body: &[u8]) -> String {
        let begin = body.as_ptr() as usize;
        let at = |text: &str| text.as_ptr() as usize - begin;
        let around = match self.ends {
            Some([first, last]) => {
                let to = at(last) + last.len();
                [&body[..at(first)], b"null", &body[to..]].concat()
            }
            None => body.to_vec(),
        };
        let around = String::from_utf8_lossy(&around);
        around.trim_start_matches('\u{feff}').to_owned()
    }
}

/// What became of the records so far.
struct Taken<'s> {
    made: &'s RecordSettings,
    counts: Counts,
    lines: Lines,
    first_rejection: Option<String>,
    /// Records on which TRANSFORM took too many steps, and the first of them.
    out_of_steps: u64,
    first_out_of_steps: Option<String>,
    /// The values of TRANSFORM's variables.
    variables: Vec<Value>,
    /// What the reason of a rejection begins with.
    label: String,
    /// The keys of the records, where there is a fetch for each of several values.
    overlap: Option<Overlap>,
}

impl Taken<'_> {
    /// How many records of a page may wait. Where lines are as quick to make as records are to put aside, none has to; and
    /// none may where one that cannot be used ends the run, which then asks for nothing more.
    fn waiting_max(&self) -> usize {
        let is_quick = self.made.transform.is_none() && self.made.schema.is_none();
        if is_quick || self.made.invalid == Invalid::Fail {
            0
        } else {
            WAITING_MAX
        }
    }

    /// A line of a record.
    fn stages(&mut self, record: &str) {
        if let Some(overlap) = &mut self.overlap {
            overlap.takes(record);
        }
        append_line(record, &mut self.lines.records);
        self.lines.records.push(b'\n');
        self.counts.staged += 1;
    }

    /// `{"parent":VALUE,"at":N}`: its rows are gone, as of the `N` records staged before.
    fn replaces(&mut self, value: &str) {
        let at = self.counts.staged;
        let line = format!("{{\"parent\":{value},\"at\":{at}}}\n");
        self.lines.deleted.extend_from_slice(line.as_bytes());
        self.counts.deleted += 1;
    }
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
    /// Lines of `rejected.ndjson`.
    pub rejected: u64,
}

/// Lines that are not written yet, and what is used again for each record.
#[derive(Default)]
struct Lines {
    records: Vec<u8>,
    deleted: Vec<u8>,
    rejected: Vec<u8>,
    /// Whether lines of the page at hand are written already.
    is_written: bool,
    outputs: Outputs,
    names: Names,
}

impl Lines {
    /// Drops those that are not written.
    fn clear(&mut self) {
        for lines in [&mut self.records, &mut self.deleted, &mut self.rejected] {
            lines.clear();
        }
    }

    /// Writes those of each file of which there are so many bytes or more.
    fn write(&mut self, staging: &mut dyn Staging, bytes_min: usize) -> Result<(), Failure> {
        for (file, lines) in [
            (StagedFile::Records, &mut self.records),
            (StagedFile::Deleted, &mut self.deleted),
            (StagedFile::Rejected, &mut self.rejected),
        ] {
            if lines.len() >= bytes_min {
                staging
                    .append(file, lines)
                    .map_err(|why| Failure::Output(Detail::from(why)))?;
                lines.clear();
                self.is_written = true;
            }
        }
        Ok(())
    }
}

/// What is read of each record as it comes, and in which slot it is found; and of a record that is gone, its key.
#[derive(Default)]
struct Wanted {
    paths: Paths,
    cursor: Option<usize>,
    deleted: Option<usize>,
    parent: Option<(Pointer, usize)>,
    key_paths: Paths,
    key: Vec<(Pointer, usize)>,
}

impl Wanted {
    fn new(made: &RecordSettings, cursor: Option<&Pointer>) -> Self {
        let mut wanted = Self::default();
        wanted.cursor = cursor.map(|pointer| wanted.paths.add(pointer));
        wanted.deleted = made
            .deleted
            .as_ref()
            .map(|pointer| wanted.paths.add(pointer));
        let parent = made.parent.as_ref();
        wanted.parent = parent.map(|pointer| (pointer.clone(), wanted.paths.add(pointer)));
        if made.deleted.is_some() {
            let key = made.key.iter();
            wanted.key = key
                .map(|part| (part.clone(), wanted.key_paths.add(part)))
                .collect();
        }
        wanted
    }
}

impl<'s, S: Staging> Stager<'s, S> {
    /// Stages what `made` makes of records; `is_feed`: a key may come again in another version. Nothing is read before a fetch
    /// has begun.
    pub fn new(
        made: &'s RecordSettings,
        pagination: &'s Pagination,
        is_feed: bool,
        staging: &'s mut S,
    ) -> Self {
        Self {
            staging,
            pagination,
            is_feed,
            cursor: None,
            shape: Shape::new(None),
            wanted: Wanted::default(),
            watch: Watch::default(),
            taken: Taken {
                made,
                counts: Counts::default(),
                lines: Lines::default(),
                first_rejection: None,
                out_of_steps: 0,
                first_out_of_steps: None,
                variables: Vec::new(),
                label: String::new(),
                overlap: None,
            },
            before: Counts::default(),
        }
    }

    /// Begins a fetch, of the value `each` where it is one of several: `shape` says where records stand in its pages.
    pub fn begins(
        &mut self,
        each: Option<&Each>,
        cursor: Option<Cursor<'s>>,
        shape: Shape,
    ) -> Result<(), Failure> {
        let made = self.taken.made;
        let pointer = cursor.as_ref().and_then(Cursor::pointer);
        let mut wanted = Wanted::new(made, pointer);
        // In a record as it comes; where TRANSFORM makes the key, such a record is recognized by its bytes.
        let key: &[Pointer] = if made.transform.is_none() {
            &made.key
        } else {
            &[]
        };
        self.watch = Watch::new(self.pagination, key, pointer, &mut wanted.paths)
            .of_feed(self.is_feed)
            .of_unmerged(made.key.is_empty(), &self.pagination.style);
        self.wanted = wanted;
        self.cursor = cursor;
        self.shape = shape;
        if let Some(each) = each {
            let overlap = &mut self.taken.overlap;
            *overlap = overlap.take().or_else(|| Overlap::new(&made.key));
            if let Some(overlap) = overlap {
                overlap.value_begins();
            }
            self.taken.label = each.label();
            let variables = [Some(&each.json), each.parent.as_ref()];
            let variables = variables.into_iter().flatten();
            let names = &mut self.taken.lines.names;
            let variables = variables.map(|json| names.read_valid(json));
            self.taken.variables = variables.collect::<Result<_, _>>().map_err(Failure::data)?;
        }
        Ok(())
    }

    /// Asks the programs of the settings of an answer, before it is read.
    pub fn open<'a>(&self, fetched: &'a Fetched, place: &Place) -> Result<Opened<'a>, Failure> {
        fetched.open(&self.shape, place)
    }

    /// Reads one page, whose first record should be as `expect` says, and which need not have records if it `may_be_behind` the
    /// last one. `Err`: the run is over, whatever was staged.
    pub fn read<'b>(
        &mut self,
        page: &'b Opened<'_>,
        place: &Place,
        (expect, may_be_behind): (Expect, bool),
    ) -> Result<Read<'b>, Failure> {
        self.before = self.taken.counts;
        self.taken.lines.is_written = false;
        self.shape.may_be_behind(may_be_behind);
        self.watch.page_begins(expect);
        let mut reader = Reader {
            wanted: &self.wanted,
            found: vec![None; self.wanted.paths.slots()],
            watch: &mut self.watch,
            cursor: self.cursor.as_mut(),
            waiting: Vec::new(),
            waiting_max: self.taken.waiting_max(),
            taker: Taker {
                shape: &self.shape,
                place,
                wanted: &self.wanted,
                taken: &mut self.taken,
                staging: self.staging,
            },
        };
        let mut ends: Option<[&str; 2]> = None;
        let is_made = self.shape.is_made();
        let contents = page::read(page, &self.shape, place, &mut |index, text| {
            if !is_made {
                ends.get_or_insert([text; 2])[1] = text;
            }
            reader.read(index, text)
        })?;
        let waiting = reader.waiting;
        if let Some(cursor) = &mut self.cursor {
            cursor.page_ends();
        }
        let seen = self.watch.page_ends();
        self.taken.counts.fetched += contents.records - seen.left_out;
        Ok(Read {
            contents,
            seen,
            waiting,
            ends,
        })
    }

    /// Stages the page that was read last. `Err`: the run is over.
    pub fn stage(&mut self, read: Read<'_>, place: &Place) -> Result<(), Failure> {
        let mut taker = Taker {
            shape: &self.shape,
            place,
            wanted: &self.wanted,
            taken: &mut self.taken,
            staging: self.staging,
        };
        for looked in read.waiting {
            taker.take(looked)?;
        }
        self.taken.lines.write(self.staging, 1)
    }

    /// Leaves out the page that was read last: all of it came before. A page so large that a part of it is written stays, and
    /// is merged by its key. `Err`: it has none.
    pub fn leave_out(&mut self, read: Read<'_>, place: &Place) -> Result<(), Failure> {
        let lines = &mut self.taken.lines;
        if lines.is_written && self.taken.made.key.is_empty() {
            return Err(Failure::protocol(format!(
                "{place} has only records of earlier pages, and without a key they would be published twice: set PRIMARY_KEY, or SOURCE_PAGE_MORE or SOURCE_TOTAL"
            )));
        }
        if lines.is_written {
            return self.stage(read, place);
        }
        lines.clear();
        self.taken.counts = self.before;
        Ok(())
    }

    /// Leaves out the page that was read last, as all of it is read again. What of it is written already stays, and comes twice.
    pub fn reads_again(&mut self, read: Read<'_>, place: &Place) -> Result<(), Failure> {
        if self.taken.lines.is_written {
            return self.stage(read, place);
        }
        self.taken.lines.clear();
        self.taken.counts = self.before;
        Ok(())
    }

    /// The next page is the first one of another window.
    pub fn window_begins(&mut self) {
        self.watch.begins_anew();
    }

    /// Records found in pages so far.
    pub fn fetched(&self) -> u64 {
        self.taken.counts.fetched
    }

    /// The cursor, if it stands in records.
    pub fn cursor(&mut self) -> Option<&mut Cursor<'s>> {
        self.cursor.as_mut()
    }

    /// The key that different records of two values have, as JSON.
    pub fn overlap(&self) -> Option<&str> {
        self.taken.overlap.as_ref().and_then(Overlap::first)
    }

    /// Why the first record was rejected, if one was.
    pub fn first_rejection(&self) -> Option<&str> {
        self.taken.first_rejection.as_deref()
    }

    /// What is staged from here on takes the place of all that there was of the parent with this value, which is JSON.
    pub fn replaces(&mut self, value: &str) {
        self.taken.replaces(value);
    }

    /// Takes the last of those back, of which nothing was staged.
    pub fn takes_back(&mut self) {
        let deleted = &mut self.taken.lines.deleted;
        deleted.pop();
        let before = deleted.iter().rposition(|byte| *byte == b'\n');
        deleted.truncate(before.map_or(0, |at| at + 1));
        self.taken.counts.deleted -= 1;
    }

    /// Writes what is not written yet.
    pub fn write(&mut self) -> Result<(), Failure> {
        self.taken.lines.write(self.staging, 1)
    }

    /// Ends a fetch, and gives its cursor back.
    pub fn ends(&mut self) -> Option<Cursor<'s>> {
        self.cursor.take()
    }

    /// What was staged.
    pub fn counts(&self) -> Counts {
        self.taken.counts
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
