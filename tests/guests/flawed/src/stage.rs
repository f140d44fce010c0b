//! What is staged: one record a line, in the words of the source.

use std::fmt::Write as _;

use crate::bindings::exports::tidegate::sync::job::Failure;
use crate::bindings::wasi::filesystem::preopens;
use crate::bindings::wasi::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};
use crate::fetch::Row;
use crate::{Flaw, detail, setting};

/// Bytes that are held before they are written.
const HELD_BYTES: usize = 64 * 1024;

pub struct Staged {
    file: Descriptor,
    at: u64,
    held: String,
    gone: String,
    pub records: u64,
    pub deleted: u64,
}

impl Staged {
    pub fn new() -> Self {
        Self {
            file: create("records.ndjson"),
            at: 0,
            held: String::new(),
            gone: String::new(),
            records: 0,
            deleted: 0,
        }
    }

    pub fn add(&mut self, row: &Row, flaw: &Flaw) -> Result<(), Failure> {
        if row.deleted && !flaw.is("keep-the-deleted") {
            self.deleted += 1;
            let _ = writeln!(
                self.gone,
                "{{\"key\":[{}],\"at\":{}}}",
                row.id, self.records
            );
            return Ok(());
        }
        let mut line = row.text.replace('\n', " ");
        if !flaw.is("keep-carriage-returns") {
            line = line.replace('\r', " ");
        }
        if flaw.is("break-characters") {
            line = line.replace('ë', "Ã«");
        }
        if flaw.is("round-numbers") {
            line = rounded(&line)?;
        }
        if flaw.is("mean-another-default") && setting("SOURCE_GREETING") == "hello" {
            line = line.replacen('{', "{\"greeting\":\"hello\",", 1);
        }
        self.records += 1;
        self.held.push_str(&line);
        self.held.push('\n');
        if self.held.len() > HELD_BYTES {
            self.write();
        }
        Ok(())
    }

    fn write(&mut self) {
        put(&self.file, self.held.as_bytes(), &mut self.at);
        self.held.clear();
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.write();
        if !self.gone.is_empty() {
            put(&create("deleted.ndjson"), self.gone.as_bytes(), &mut 0);
        }
    }
}

/// Makes a file that is none of the three.
pub fn leave(name: &str) {
    put(&create(name), b"here\n", &mut 0);
}

fn create(name: &str) -> Descriptor {
    let (folder, _) = (preopens::get_directories().into_iter())
        .next()
        .expect("a staging folder");
    let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE;
    folder
        .open_at(PathFlags::empty(), name, flags, DescriptorFlags::WRITE)
        .expect("create a file in the staging folder")
}

fn put(file: &Descriptor, bytes: &[u8], at: &mut u64) {
    let mut left = bytes;
    while !left.is_empty() {
        let written = file.write(left, *at).expect("write to the staging folder");
        *at += written;
        left = &left[usize::try_from(written).expect("what was written fits")..];
    }
}

/// The record as a parser writes it that takes every number for a double.
fn rounded(line: &str) -> Result<String, Failure> {
    let record: Result<serde_json::Value, _> = serde_json::from_str(line);
    let mut record = record.map_err(|error| Failure::Data(detail(&error.to_string())))?;
    if let Some(amount) = record["amount"].as_f64() {
        record["amount"] = amount.into();
    }
    Ok(record.to_string())
}
