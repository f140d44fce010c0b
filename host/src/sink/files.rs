//! The sink of files: one data file a generation, made of what was staged and of the last generation's.
//!
//! Bytes are read, merged and written here; what becomes visible, and when, is `publish`'s business.

use std::fs::File;

use rustix::fs::AtFlags;
use rustix::io::Errno;
use serde_json::json;

use crate::folder::{Doing as _, Folder};
use crate::generation::{DATA_FILES, Generation};
use crate::limits::Limits;
use crate::lock::{Lock, Staging};
use crate::log::Log;
use crate::manifest::{self, FileRecord, Manifest};
use crate::outcome::Failure;
use crate::plan::OutputFormat;
use crate::publish::{self, Commit, New, Written};
use crate::sink::changes;
use crate::sink::key::Keys;
use crate::sink::last::LastRecords;
use crate::sink::output::{LINES, Output};
use crate::sink::{Check, Draft, Extent, Sink, Taken, Target, Totals};
use crate::staged::{self, REJECTED, Rejection, Staged};

mod data;

use data::Data;

/// A rejected record may hold anything: nobody but the owner reads it.
const REJECTED_MODE: u32 = 0o600;

/// Makes the next generation in a staging folder.
pub struct Files<'r> {
    lock: &'r Lock,
    staging: Staging,
    last: Option<&'r Generation>,
    target: Target,
    keys: Keys,
    data_file: &'static str,
    limits: &'r Limits,
    check: Check<'r>,
    log: &'r Log,
}

/// The copy of the rejected records.
struct Rejected {
    file: File,
    record: FileRecord,
    first: Rejection,
}

/// A generation that is complete but for its manifest.
pub struct TakenFiles<'r> {
    files: Files<'r>,
    extent: Extent,
    totals: Totals,
    first_rejected: Option<Rejection>,
    records: Vec<(&'static str, FileRecord)>,
    written: Vec<Written>,
}

impl<'r> Files<'r> {
    /// Begins from `last`, the last published generation.
    pub fn new(
        lock: &'r Lock,
        staging: Staging,
        last: Option<&'r Generation>,
        target: Target,
        limits: &'r Limits,
        check: Check<'r>,
        log: &'r Log,
    ) -> Self {
        let data_file = match target.format {
            OutputFormat::Json => DATA_FILES[0],
            OutputFormat::Ndjson => DATA_FILES[1],
        };
        let keys = Keys::new(&target.keys);
        Self {
            keys: match &target.replace_by {
                None => keys,
                Some(pointer) => keys.with_parent(pointer),
            },
            lock,
            staging,
            last,
            target,
            data_file,
            limits,
            check,
            log,
        }
    }

    /// Copies the rejected records, if there are any: no inode that the component could write to is published.
    fn rejected(&self, staged: &Staged) -> Result<Option<Rejected>, Failure> {
        let mut lines = staged.rejected();
        let mut rejected: Option<(Output, Rejection)> = None;
        loop {
            if lines.number().is_multiple_of(changes::CHECK_LINES) {
                (self.check)()?;
            }
            let number = lines.number() + 1;
            let line = lines
                .next_line()
                .map_err(|error| changes::line_failure(REJECTED, error))?;
            let Some(line) = line else {
                let Some((output, first)) = rejected else {
                    return Ok(None);
                };
                let (file, record) = output.finish()?;
                return Ok(Some(Rejected {
                    file,
                    record,
                    first,
                }));
            };
            let read = Rejection::read(number, line)?;
            if let Some((output, _)) = &mut rejected {
                output.write(line, 1)?;
            } else {
                let folder = self.staging.generation();
                let mut output = Output::create(folder, REJECTED, LINES, Some(REJECTED_MODE))?;
                output.write(line, 1)?;
                rejected = Some((output, read));
            }
        }
    }

    /// Puts the last generation's file in the place of equal bytes that were just written, where links can be made and
    /// the old bytes are still good. The data file is then one for both.
    fn share(&self, data: &mut Data) -> Result<(), Failure> {
        let Some(last) = self.last.filter(|last| last.data_file == self.data_file) else {
            return Ok(());
        };
        if last.data().sha256 != data.record.sha256 {
            return Ok(());
        }
        if data.file.is_none() {
            return self.link_or_copy(last, data);
        }
        let intact = |last: &Generation| -> Result<(), Failure> {
            let file = last.open(last.data_file)?;
            LastRecords::new(last, &file, self.limits).drain()
        };
        // On any doubt the file that was just written is published: it is good.
        if intact(last).is_err() || link(last, self.staging.root(), self.data_file).is_err() {
            return Ok(());
        }
        self.staging.generation().remove_file(self.data_file)?;
        data.file = None;
        link(last, self.staging.generation(), self.data_file)
            .doing(|| format!("link `{}`", self.data_file))
    }

    fn link_or_copy(&self, last: &Generation, data: &mut Data) -> Result<(), Failure> {
        let linked = link(last, self.staging.generation(), self.data_file);
        match linked {
            Ok(()) => Ok(()),
            // No links here, or too many of this file, or not of a file of another user.
            Err(Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::ACCESS) => {
                let old = last.open(last.data_file)?;
                let mut output = self.output()?;
                self.copy(LastRecords::new(last, &old, self.limits), &mut output)?;
                data.file = Some(output.finish()?.0);
                Ok(())
            }
            Err(error) => Err(error).doing(|| format!("link `{}`", self.data_file)),
        }
    }
}

fn link(last: &Generation, to: &Folder, name: &str) -> Result<(), Errno> {
    rustix::fs::linkat(last.folder(), name, to, name, AtFlags::empty())
}

impl<'r> Sink for Files<'r> {
    type Taken = TakenFiles<'r>;

    fn take(self, staged: &Staged, extent: Extent) -> Result<TakenFiles<'r>, Failure> {
        let rejected = self.rejected(staged)?;
        let mut data = self.data(staged, extent)?;
        let rejected_lines = rejected.as_ref().map_or(0, |found| found.record.records);
        staged.counted(staged::Counts {
            staged: data.read.staged,
            deleted: data.read.deleted,
            rejected: rejected_lines,
        })?;
        self.share(&mut data)?;
        let unchanged = self.last.is_some_and(|last| {
            last.data_file == self.data_file && last.data().sha256 == data.record.sha256
        });
        let totals = Totals {
            records: data.record.records,
            staged: data.read.staged,
            deleted: data.read.deleted,
            removed: data.removed,
            rejected: rejected_lines,
            unchanged,
        };
        let mut records = vec![(self.data_file, data.record)];
        let mut written = Vec::new();
        written.extend(data.file.map(|file| Written {
            name: self.data_file,
            file,
        }));
        let first_rejected = rejected.map(|rejected| {
            records.push((REJECTED, rejected.record));
            written.push(Written {
                name: REJECTED,
                file: rejected.file,
            });
            rejected.first
        });
        Ok(TakenFiles {
            files: self,
            extent,
            totals,
            first_rejected,
            records,
            written,
        })
    }
}

impl Taken for TakenFiles<'_> {
    fn totals(&self) -> Totals {
        self.totals
    }

    fn first_rejected(&self) -> Option<&Rejection> {
        self.first_rejected.as_ref()
    }

    fn refused(self, refusal: Failure) -> Failure {
        if self.totals.rejected == 0 {
            return refusal;
        }
        let files = self.files;
        match publish::keep_refused(files.lock.folder(), files.staging.generation(), REJECTED) {
            Ok(kept) => {
                let (rejected, are) = match self.totals.rejected {
                    1 => ("rejected record".to_owned(), "is"),
                    many => (format!("{many} rejected records"), "are"),
                };
                let message = format!("{}; the {rejected} {are} kept in `{kept}`", refusal.message);
                Failure { message, ..refusal }
            }
            Err(failure) => {
                let error = json!({ "error": failure.message });
                files.log.warn("rejected records not kept", error);
                refusal
            }
        }
    }

    fn commit(self, draft: Draft) -> Result<Commit, Failure> {
        let Self {
            files,
            extent,
            totals,
            records,
            written,
            ..
        } = self;
        let manifest = Manifest {
            format: manifest::FORMAT,
            generation: files.last.map_or(1, |last| last.name.number + 1),
            parent: files.last.map(|last| last.name.to_string()),
            run_id: files.lock.run_id().to_owned(),
            job: draft.job,
            component: draft.component,
            started: draft.started,
            finished: String::new(),
            extent: extent.word().to_owned(),
            window: None,
            files: records
                .into_iter()
                .map(|(name, record)| (name.to_owned(), record))
                .collect(),
            sorted_by: files.target.keys,
            counts: manifest::Counts {
                records: totals.records,
                staged: totals.staged,
                deleted: totals.deleted,
                rejected: totals.rejected,
                fetched: draft.fetched,
                pages: draft.pages,
            },
            cursor: draft.cursor,
            state: draft.state,
            settings: draft.settings,
        };
        publish::commit(
            New {
                lock: files.lock,
                staging: files.staging,
                parent: files.last,
                manifest,
                written,
                data_file: files.data_file,
                unchanged: totals.unchanged,
                adopt: files.target.adopt,
                file_mode: files.target.file_mode,
            },
            files.check,
            files.log,
        )
    }
}

#[cfg(test)]
mod history;
#[cfg(test)]
mod replacing;
#[cfg(test)]
mod tests;
