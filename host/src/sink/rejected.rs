//! The records that were set aside: those of the component copied, as nothing that it could write to is kept, and after them
//! those that the sink itself cannot take; and counted.

use std::fs::File;

use serde_json::json;

use crate::folder::Folder;
use crate::limits::SINK_REJECTION_BYTES_MAX;
use crate::outcome::Failure;
use crate::process::stop::Check;
use crate::records::changes::{check_at, line_failure};
use crate::settings::data_file::Compression;
use crate::sink::SinkContext;
use crate::sink::files::write::{LINES, Output};
use crate::sink::manifest::FileRecord;
use crate::sink::refused;
use crate::staging::lines::Lines;
use crate::staging::read::{REJECTED, Staged};
use crate::staging::rejection::Rejection;

/// A rejected record may hold anything: nobody but the owner reads it.
const MODE: u32 = 0o600;

/// The rejected records of a run that is being taken.
pub struct Rejecting {
    folder: Folder,
    file: RejectedFile,
    first: Option<Rejection>,
    /// How many of them the sink itself set aside.
    set_aside: u64,
    line_bytes_max: usize,
}

enum RejectedFile {
    /// Nothing was rejected.
    Missing,
    Open(Box<Output>),
    Ended(File, FileRecord),
}

/// The file of the rejected records.
pub struct Rejected {
    /// It, still open as it was written.
    pub file: File,
    /// What is in it.
    pub record: FileRecord,
    /// The first of them.
    pub first: Rejection,
    /// How many of them the sink itself set aside.
    pub set_aside: u64,
}

impl Rejecting {
    /// Copies what the component set aside into `folder`.
    pub fn copy(staged: &Staged, folder: &Folder, check: Check<'_>) -> Result<Self, Failure> {
        let mut rejecting = Self {
            folder: folder.clone(),
            file: RejectedFile::Missing,
            first: None,
            set_aside: 0,
            line_bytes_max: staged.line_bytes_max + SINK_REJECTION_BYTES_MAX,
        };
        let mut lines = staged.rejected();
        loop {
            let number = lines.number() + 1;
            let line = lines
                .next_line()
                .map_err(|error| line_failure(REJECTED, error))?;
            let Some(line) = line else {
                return Ok(rejecting);
            };
            check_at(check, number, line.len())?;
            let read = Rejection::read(number, line, staged.words_bytes_max)?;
            rejecting.write(line)?;
            rejecting.first.get_or_insert(read);
        }
    }

    /// Sets a staged record aside that the sink cannot take: it is JSON, and known to be.
    pub fn set_aside(&mut self, reason: &str, pointer: &str, record: &str) -> Result<(), Failure> {
        let (reason_text, pointer) = (json!(reason), json!(pointer));
        let line =
            format!("{{\"reason\":{reason_text},\"pointer\":{pointer},\"record\":{record}}}");
        self.write(line.as_bytes())?;
        self.set_aside += 1;
        let by_the_sink = || Rejection::by_the_sink(reason);
        self.first.get_or_insert_with(by_the_sink);
        Ok(())
    }

    /// All of them, from the first; nothing is set aside after this.
    pub fn lines(&mut self) -> Result<Lines<'_>, Failure> {
        self.file = match std::mem::replace(&mut self.file, RejectedFile::Missing) {
            RejectedFile::Open(output) => {
                let (file, record) = output.finish()?;
                RejectedFile::Ended(file, record)
            }
            other => other,
        };
        let file = match &self.file {
            RejectedFile::Ended(file, _) => Some(file),
            RejectedFile::Missing | RejectedFile::Open(_) => None,
        };
        Ok(Lines::new(file, self.line_bytes_max))
    }

    /// Their file; none when nothing was rejected.
    pub fn finish(mut self) -> Result<Option<Rejected>, Failure> {
        self.lines()?;
        let (RejectedFile::Ended(file, record), Some(first)) = (self.file, self.first) else {
            return Ok(None);
        };
        Ok(Some(Rejected {
            file,
            record,
            first,
            set_aside: self.set_aside,
        }))
    }

    fn write(&mut self, line: &[u8]) -> Result<(), Failure> {
        if let RejectedFile::Missing = self.file {
            let (none, mode) = (Compression::None, Some(MODE));
            let output = Output::create(&self.folder, REJECTED, LINES, none, mode)?;
            self.file = RejectedFile::Open(Box::new(output));
        }
        match &mut self.file {
            RejectedFile::Open(output) => output.write(line, 1),
            RejectedFile::Missing | RejectedFile::Ended(..) => Err(Failure::broken(
                "a record was rejected after all of them were read",
            )),
        }
    }
}

/// Keeps the `many` copied ones in `folder` for a person, as a gate refused their run. Returns the refusal, which says where.
pub fn keep(refusal: Failure, many: u64, context: &SinkContext<'_>, folder: &Folder) -> Failure {
    if many == 0 || !context.folder_stays {
        return refusal;
    }
    match refused::keep_refused(context.lock.folder(), folder, REJECTED) {
        Ok(kept) => {
            let (rejected, are) = match many {
                1 => ("rejected record".to_owned(), "is"),
                many => (format!("{many} rejected records"), "are"),
            };
            let message = format!("{}; the {rejected} {are} kept in `{kept}`", refusal.message);
            Failure { message, ..refusal }
        }
        Err(failure) => {
            let error = json!({ "error": failure.message });
            context.log.warn("rejected records not kept", error);
            refusal
        }
    }
}
