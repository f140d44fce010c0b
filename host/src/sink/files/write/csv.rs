//! A table of text, RFC 4180: a header, CRLF, UTF-8, without a mark unless one is asked for. Records go in, and are not to be had back exactly.
//!
//! A string stands there as its text, a number, true and false as they are written, an array or object as its JSON. Null and
//! what is missing is an empty cell, an empty string `""`; where there is one column alone, both are `""`, as readers pass
//! over an empty line. Text that a spreadsheet takes for a formula can be made text for it, as OWASP says:
//! <https://owasp.org/www-community/attacks/CSV_Injection>.

use csv_core::{Terminator, Writer, WriterBuilder};
use serde_json::value::RawValue;
use tidegate_json::whole_text;

use crate::outcome::{Failure, Outcome};
use crate::records::pointers::Pointers;
use crate::settings::data_file::{Delimiter, Formulas};
use crate::sink::manifest::{CsvLayout, FileRecord};

use super::Output;
use super::columns::MemberNames;

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A csv file that is being written.
pub struct CsvFile {
    output: Output,
    header: Vec<u8>,
    source: CellSource,
    rows: Rows,
}

/// Where the cells of a row are found.
enum CellSource {
    /// At these pointers; the second is the place of each column's among them.
    Pointers(Pointers, Vec<usize>),
    /// They are the members.
    Members(MemberNames),
}

impl CsvFile {
    /// Writes to `output`, which holds nothing yet and frames nothing.
    pub fn new(mut output: Output, layout: &CsvLayout) -> Result<Self, Failure> {
        let source = match &layout.pointers {
            Some(pointers) => {
                let mut all = Pointers::default();
                let places = pointers.iter().map(|pointer| all.add(pointer)).collect();
                CellSource::Pointers(all, places)
            }
            None => CellSource::Members(MemberNames::of(&layout.columns)),
        };
        let mut rows = Rows::new(layout);
        if layout.has_mark {
            rows.row.extend_from_slice(MARK);
        }
        for name in &layout.columns {
            rows.text(name);
        }
        rows.end();
        let header = std::mem::take(&mut rows.row);
        output.put(&header)?;
        Ok(Self {
            output,
            header,
            source,
            rows,
        })
    }

    /// Records written so far.
    pub fn records(&self) -> u64 {
        self.output.records()
    }

    /// Texts so far in which half of a surrogate pair was replaced.
    pub fn replaced(&self) -> u64 {
        self.rows.replaced
    }

    /// Adds records, one a line.
    pub fn write(&mut self, joined: &[u8]) -> Result<(), Failure> {
        for line in joined.split(|byte| *byte == b'\n') {
            self.row(line).map_err(|what| {
                let message = format!("cannot write `{}`: a record {what}", self.output.shown);
                Failure::new(Outcome::OutputUnusable, message)
            })?;
            self.output.write(&self.rows.row, 1)?;
        }
        Ok(())
    }

    /// Forgets everything written so far.
    pub fn restart(&mut self) -> Result<(), Failure> {
        self.output.restart()?;
        self.rows.replaced = 0;
        self.output.put(&self.header)
    }

    /// Ends the file, as [`Output::finish`] does.
    pub fn finish(self) -> Result<(std::fs::File, FileRecord), Failure> {
        self.output.finish()
    }

    /// Makes the row of one record.
    fn row(&mut self, record: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(record).map_err(|error| error.to_string())?;
        self.rows.row.clear();
        match &self.source {
            CellSource::Pointers(pointers, places) => {
                let found = pointers.find(text)?;
                for place in places {
                    self.rows.cell(found.values[*place]);
                }
            }
            CellSource::Members(names) => {
                for value in names.values(text)? {
                    self.rows.cell(value);
                }
            }
        }
        self.rows.end();
        Ok(())
    }
}

/// Makes rows, one at a time.
struct Rows {
    writer: Writer,
    row: Vec<u8>,
    columns: usize,
    /// Cells in the row so far.
    cells: usize,
    escape_formulas: bool,
    replaced: u64,
}

impl Rows {
    fn new(layout: &CsvLayout) -> Self {
        let delimiters = [Delimiter::Semicolon, Delimiter::Tab];
        let known = delimiters
            .into_iter()
            .find(|known| known.word() == layout.delimiter);
        Self {
            writer: WriterBuilder::new()
                .terminator(Terminator::CRLF)
                .delimiter(known.unwrap_or(Delimiter::Comma).byte())
                .build(),
            row: Vec::new(),
            columns: layout.columns.len(),
            cells: 0,
            escape_formulas: layout.formulas == Formulas::Escape.word(),
            replaced: 0,
        }
    }

    fn cell(&mut self, value: Option<&RawValue>) {
        let written = value.map_or("null", RawValue::get);
        match written.as_bytes() {
            b"null" => self.next(),
            [b'"', inner @ .., b'"'] if memchr::memchr(b'\\', inner).is_none() => {
                self.text(&written[1..written.len() - 1]);
            }
            [b'"', ..] => {
                let (text, is_replaced) =
                    whole_text(written).unwrap_or_else(|_| (written.to_owned(), false));
                self.replaced += u64::from(is_replaced);
                self.text(&text);
            }
            _ => self.field(written.as_bytes()),
        }
    }

    /// A cell of text.
    fn text(&mut self, text: &str) {
        if text.is_empty() && self.columns > 1 {
            self.next();
            self.row.extend_from_slice(b"\"\"");
        } else if self.escape_formulas && is_formula(text) {
            self.field(format!("'{text}").as_bytes());
        } else {
            self.field(text.as_bytes());
        }
    }

    fn field(&mut self, bytes: &[u8]) {
        self.next();
        let writer = &mut self.writer;
        // The most that quoting can make of it.
        append(&mut self.row, 2 * bytes.len() + 2, |out| {
            writer.field(bytes, out).2
        });
    }

    fn next(&mut self) {
        if self.cells > 0 {
            let writer = &mut self.writer;
            append(&mut self.row, 2, |out| writer.delimiter(out).1);
        }
        self.cells += 1;
    }

    /// Ends the row. Without columns there is none.
    fn end(&mut self) {
        if self.columns > 0 {
            let writer = &mut self.writer;
            append(&mut self.row, 5, |out| writer.terminator(out).1);
        }
        self.cells = 0;
    }
}

/// Adds what `write` says it wrote into at most `bytes_max` bytes.
fn append(row: &mut Vec<u8>, bytes_max: usize, write: impl FnOnce(&mut [u8]) -> usize) {
    let start = row.len();
    row.resize(start + bytes_max, 0);
    let written = write(&mut row[start..]);
    row.truncate(start + written);
}

/// Whether a spreadsheet runs a text. A number is only shown, with whatever sign, point or comma.
fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_signed_number(text)
}

fn is_signed_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or_default();
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_digit = |c: char| c.is_ascii_digit();
    mantissa.contains(is_digit)
        && mantissa
            .chars()
            .all(|c| is_digit(c) || matches!(c, '.' | ','))
        && exponent.contains(is_digit)
        && exponent.chars().all(is_digit)
}

#[cfg(test)]
mod tests;
