//! Reads the last published data file back, and believes it only when it is what its manifest says, to the last byte.

use std::fs::File;

use sha2::{Digest as _, Sha256};

use crate::hash::{hex, sha256_of};
use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::settings::data_file::{OutputFormat, RECORDS_FILE, compression_of, format_of};
use crate::sink::files::generation::Generation;
use crate::sink::files::write::{ARRAY, Framing, LINES, decoded};
use crate::staging::lines::{Lines, LinesError};

/// How a damaged file is recognized.
pub const NOT_PUBLISHED: &str = "its bytes are not the ones that were published";

/// The records of a published file, block by block.
pub struct LastRecords<'f> {
    lines: Lines<'f>,
    generation: &'f Generation,
    name: &'static str,
    /// None where the checksum was found right before the first record.
    hash: Option<Sha256>,
    framing: Framing,
    place: Expected,
    records: u64,
    /// The ranges of a block's records in it.
    spans: Vec<(usize, usize)>,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Start,
    /// A record or, in an array, its end; after a comma a record only.
    Record {
        or_end: bool,
    },
    /// The last record of an array was there.
    End,
    Over,
}

/// Some records, in their order, as they are in the file.
#[derive(Clone, Copy)]
pub struct Block<'b> {
    bytes: &'b [u8],
    spans: &'b [(usize, usize)],
}

impl<'b> Block<'b> {
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// The record at `index`.
    pub fn record(&self, index: usize) -> &'b [u8] {
        self.joined(index, index + 1)
    }

    /// Copies all of it, and where its records are.
    pub fn copy(&self, bytes: &mut Vec<u8>, spans: &mut Vec<(usize, usize)>) {
        bytes.clear();
        bytes.extend_from_slice(self.bytes);
        spans.clear();
        spans.extend_from_slice(self.spans);
    }

    /// The records from `from` to before `to`, with the file's separators between them.
    pub fn joined(&self, from: usize, to: usize) -> &'b [u8] {
        if from >= to {
            return b"";
        }
        &self.bytes[self.spans[from].0..self.spans[to - 1].1]
    }
}

/// The framing of a file of records.
pub fn framing_of(name: &str) -> Framing {
    match format_of(name) {
        OutputFormat::Json => ARRAY,
        OutputFormat::Ndjson | OutputFormat::Csv => LINES,
    }
}

impl<'f> LastRecords<'f> {
    /// Reads `file`, which is the file `name` of `generation`, just opened.
    ///
    /// `Err` is 73, or 74: a file that is decompressed, or made into a table, is only when its checksum is the published one.
    pub fn new(
        generation: &'f Generation,
        name: &'static str,
        file: &'f File,
        limits: &Limits,
    ) -> Result<Self, Failure> {
        Self::open(generation, name, file, limits, true)
    }

    /// The same for somebody who only counts: that they are, to the last byte, what was published is not looked at.
    pub fn to_count(
        generation: &'f Generation,
        name: &'static str,
        file: &'f File,
        limits: &Limits,
    ) -> Result<Self, Failure> {
        Self::open(generation, name, file, limits, false)
    }

    fn open(
        generation: &'f Generation,
        name: &'static str,
        file: &'f File,
        limits: &Limits,
        verifies: bool,
    ) -> Result<Self, Failure> {
        // A separator may follow a record that was as long as a line may be.
        let line_bytes_max = limits.published_line_bytes.saturating_add(1);
        let framing = framing_of(name);
        let failed = |error: std::io::Error| {
            let shown = generation.shown(name);
            Failure::new(Outcome::IoFailed, format!("cannot read `{shown}`: {error}"))
        };
        let reader = decoded(file, compression_of(name)).map_err(failed)?;
        let is_looked_at_first = reader.is_some() || name == RECORDS_FILE;
        if verifies
            && is_looked_at_first
            && sha256_of(file).map_err(failed)? != generation.manifest.files[name].sha256
        {
            return Err(damaged(generation, name, NOT_PUBLISHED));
        }
        let lines = match reader {
            None => Lines::new(Some(file), line_bytes_max),
            Some(reader) => Lines::made(reader, line_bytes_max),
        };
        let hash = (verifies && !is_looked_at_first).then(Sha256::new);
        Ok(Self {
            lines,
            generation,
            name,
            hash,
            place: if framing == ARRAY {
                Expected::Start
            } else {
                Expected::Record { or_end: true }
            },
            framing,
            records: 0,
            spans: Vec::new(),
        })
    }

    /// The next records; `None` after the last, and only when all of it was as published. `Err` is 73, or 74.
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, Failure> {
        let (generation, name) = (self.generation, self.name);
        let block = match self.lines.next_block() {
            Ok(Some(block)) => block,
            Ok(None) => {
                let wanted = &generation.manifest.files[name];
                let hash = self.hash.take();
                let intact = hash.is_none_or(|hash| hex(&hash.finalize()) == wanted.sha256);
                let ended = self.place == Expected::Over || self.framing == LINES;
                if intact && self.records == wanted.records && ended {
                    return Ok(None);
                }
                return Err(damaged(generation, name, NOT_PUBLISHED));
            }
            Err(LinesError::Io(error)) => {
                let shown = generation.shown(name);
                return Err(Failure::new(
                    Outcome::IoFailed,
                    format!("cannot read `{shown}`: {error}"),
                ));
            }
            Err(error) => return Err(damaged(generation, name, &error.to_string())),
        };
        if let Some(hash) = &mut self.hash {
            hash.update(block);
        }
        self.spans.clear();
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', block) {
            let (line, at) = (&block[start..newline], start);
            start = newline + 1;
            let (place, record_bytes) = step(self.place, self.framing, line).ok_or_else(|| {
                damaged(
                    generation,
                    name,
                    "a line of it is none that tidegate writes",
                )
            })?;
            self.place = place;
            if record_bytes > 0 {
                self.spans.push((at, at + record_bytes));
            }
        }
        self.records += self.spans.len() as u64;
        Ok(Some(Block {
            bytes: block,
            spans: &self.spans,
        }))
    }
}

/// Takes one line: what may come next, and how much of the line is a record.
fn step(place: Expected, framing: Framing, line: &[u8]) -> Option<(Expected, usize)> {
    let is_record = |line: &[u8]| line.starts_with(b"{") && line.ends_with(b"}");
    match (place, line) {
        (Expected::Start, b"[") => Some((Expected::Record { or_end: true }, 0)),
        (Expected::Record { or_end: true } | Expected::End, b"]") if framing == ARRAY => {
            Some((Expected::Over, 0))
        }
        (Expected::Record { .. }, record) if framing == LINES => {
            is_record(record).then_some((place, record.len()))
        }
        (Expected::Record { .. }, line) => {
            let (next, record) = match line.strip_suffix(b",") {
                Some(record) => (Expected::Record { or_end: false }, record),
                None => (Expected::End, line),
            };
            is_record(record).then_some((next, record.len()))
        }
        _ => None,
    }
}

/// The failure (73) of a file that was not left as it was published.
pub fn damaged(generation: &Generation, name: &str, what: &str) -> Failure {
    let message = format!(
        "cannot merge with `{}`: {what}; run with `--full-refresh` to fetch everything again, or return to an older generation",
        generation.shown(name)
    );
    Failure::new(Outcome::OutputUnusable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(framing: Framing, text: &str) -> Option<usize> {
        let mut place = if framing == ARRAY {
            Expected::Start
        } else {
            Expected::Record { or_end: true }
        };
        let mut records = 0;
        for line in text.lines() {
            let (next, bytes) = step(place, framing, line.as_bytes())?;
            place = next;
            records += usize::from(bytes > 0);
        }
        (place == Expected::Over || framing == LINES).then_some(records)
    }

    #[test]
    fn exactly_what_is_written_is_read() {
        assert_eq!(records(ARRAY, "[\n]\n"), Some(0));
        assert_eq!(records(ARRAY, "[\n{},\n{\"a\":\"}\"}\n]\n"), Some(2));
        assert_eq!(records(LINES, ""), Some(0));
        assert_eq!(records(LINES, "{}\n{}\n"), Some(2));
    }

    #[test]
    fn nothing_else_is() {
        for odd in [
            "",
            "[]\n",
            "[\n",
            "[\n{}\n",
            "[\n{},\n]\n",
            "[\n{}\n{}\n]\n",
            "[\n{} \n]\n",
            "[\n]\n]\n",
            "[\n\n]\n",
            "[\n[]\n]\n",
        ] {
            assert_eq!(records(ARRAY, odd), None, "{odd:?}");
        }
        for odd in ["{},\n", "[\n", "\n", "{}\n]\n"] {
            assert_eq!(records(LINES, odd), None, "{odd:?}");
        }
    }
}
