//! The sink of files: one data file a generation, made of what was staged and of the last generation's.
//!
//! Bytes are read, merged and written here; what becomes visible, and when, is `publish`'s business.

use std::fs::File;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::folder::{Doing as _, Folder};
use crate::generation::{DATA_FILES, Generation};
use crate::limits::Limits;
use crate::lock::{Lock, Staging};
use crate::log::Log;
use crate::manifest::{self, FileRecord, Manifest};
use crate::outcome::{Failure, Outcome};
use crate::plan::{OutputFormat, WriteMode};
use crate::publish::{self, Commit, New, Written};
use crate::sink::changes::{self, Flow};
use crate::sink::key::Keys;
use crate::sink::last::{LastRecords, framing_of};
use crate::sink::merge::{merge, read_old_key, write_all};
use crate::sink::output::{Framing, LINES, Output};
use crate::sink::sort::{Sorted, Sorter};
use crate::sink::{Check, Draft, Extent, Sink, Taken, Target, Totals};
use crate::staged::{self, REJECTED, Staged, broken};

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

/// A generation that is complete but for its manifest.
pub struct TakenFiles<'r> {
    files: Files<'r>,
    extent: Extent,
    totals: Totals,
    records: Vec<(&'static str, FileRecord)>,
    written: Vec<Written>,
}

/// The data file of the new generation.
struct Data {
    read: changes::Read,
    record: FileRecord,
    /// None when it is the last generation's.
    file: Option<File>,
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
        Self {
            keys: Keys::new(&target.keys),
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

    fn data(&self, staged: &Staged, extent: Extent) -> Result<Data, Failure> {
        let replaces = self.target.mode == WriteMode::Replace;
        match (extent, self.last) {
            (Extent::Changes, _) if replaces => Err(broken(
                "it answered `changes`, and WRITE_MODE=replace publishes the whole set; set WRITE_MODE=upsert and PRIMARY_KEY",
            )),
            (Extent::Changes, _) if self.keys.is_empty() => Err(Failure::new(
                Outcome::Settings,
                "merge what changed: PRIMARY_KEY is not set",
            )),
            (Extent::Everything, _) | (Extent::Changes, None) => self.replace(staged),
            (Extent::NothingNew, None) => Err(broken(
                "it answered `nothing-new` when nothing had been published",
            )),
            (Extent::NothingNew, Some(_)) if staged.reported != staged::Counts::default() => Err(
                broken("it answered `nothing-new` and reported staged lines"),
            ),
            (Extent::Changes | Extent::NothingNew, Some(last)) => self.upsert(staged, last),
        }
    }

    /// The set is what was staged.
    fn replace(&self, staged: &Staged) -> Result<Data, Failure> {
        let mut output = self.output()?;
        let read = if let Some(read) = self.write_in_order(staged, &mut output)? {
            read
        } else {
            output.restart()?;
            let (sorted, read) = self.sort(staged, None)?;
            write_all(sorted, &mut output, self.check)?;
            read
        };
        let (file, record) = output.finish()?;
        Ok(Data {
            read,
            record,
            file: Some(file),
        })
    }

    /// Writes records as they come, if without keys or in the order of their keys; `None` when they are not.
    fn write_in_order(
        &self,
        staged: &Staged,
        output: &mut Output,
    ) -> Result<Option<changes::Read>, Failure> {
        let mut before: Vec<u8> = Vec::new();
        changes::read(staged, &self.keys, self.check, |staging| match staging {
            // Without keys a deletion names nothing: what is deleted was not staged in the first place.
            changes::Staging::Deletion(_) if self.keys.is_empty() => Ok(Flow::On),
            changes::Staging::Deletion(_) => Ok(Flow::Stop),
            changes::Staging::Record(key, record) => {
                if !self.keys.is_empty() {
                    if before.as_slice() >= key {
                        return Ok(Flow::Stop);
                    }
                    before.clear();
                    before.extend_from_slice(key);
                }
                output.write(record, 1)?;
                Ok(Flow::On)
            }
        })
    }

    /// The set is the last one with what was staged made to it.
    fn upsert(&self, staged: &Staged, last: &Generation) -> Result<Data, Failure> {
        let framing = Framing::of(self.target.format);
        let old = last.open(last.data_file)?;
        let same_order = last.manifest.sorted_by == self.target.keys;
        let same_framing = framing_of(last.data_file) == framing;
        let nothing_staged = staged.reported.staged == 0 && staged.reported.deleted == 0;
        if nothing_staged && same_order && same_framing {
            return Ok(Data {
                read: self.count(staged)?,
                record: last.data().clone(),
                file: None,
            });
        }
        let old = LastRecords::new(last, &old, self.limits);
        let mut output = self.output()?;
        let read = if self.keys.is_empty() {
            // Nothing new, and another format.
            self.copy(old, &mut output)?;
            self.count(staged)?
        } else if same_order && same_framing {
            let (sorted, read) = self.sort(staged, None)?;
            merge(old, sorted, &self.keys, &mut output, self.check)?;
            read
        } else {
            let (sorted, read) = self.sort(staged, Some(old))?;
            write_all(sorted, &mut output, self.check)?;
            read
        };
        let (file, record) = output.finish()?;
        Ok(Data {
            read,
            record,
            file: Some(file),
        })
    }

    /// Sorts what was staged by key, on top of the old records where they are in another order.
    fn sort(
        &self,
        staged: &Staged,
        old: Option<LastRecords<'_>>,
    ) -> Result<(Sorted, changes::Read), Failure> {
        let mut sorter = Sorter::new(self.staging.root(), self.limits);
        let mut key = Vec::new();
        if let Some(mut old) = old {
            while let Some(block) = old.next_block()? {
                (self.check)()?;
                for index in 0..block.len() {
                    let record = read_old_key(&self.keys, block.record(index), &mut key)?;
                    sorter.push(&key, Some(record.as_bytes()))?;
                }
            }
        }
        let read = changes::read(staged, &self.keys, self.check, |staging| {
            match staging {
                changes::Staging::Record(key, record) => sorter.push(key, Some(record))?,
                changes::Staging::Deletion(key) => sorter.push(key, None)?,
            }
            Ok(Flow::On)
        })?;
        Ok((sorter.finish()?, read.unwrap_or_default()))
    }

    /// Reads what was staged for its count alone: lines that were not reported are found by it.
    fn count(&self, staged: &Staged) -> Result<changes::Read, Failure> {
        let read = changes::read(staged, &self.keys, self.check, |_| Ok(Flow::On))?;
        Ok(read.unwrap_or_default())
    }

    fn copy(&self, mut old: LastRecords<'_>, output: &mut Output) -> Result<(), Failure> {
        while let Some(block) = old.next_block()? {
            (self.check)()?;
            for index in 0..block.len() {
                output.write(block.record(index), 1)?;
            }
        }
        Ok(())
    }

    fn output(&self) -> Result<Output, Failure> {
        let framing = Framing::of(self.target.format);
        Output::create(
            self.staging.generation(),
            self.data_file,
            framing,
            self.target.file_mode,
        )
    }

    /// Copies the rejected records, if there are any: no inode that the component could write to is published.
    fn rejected(&self, staged: &Staged) -> Result<Option<(File, FileRecord)>, Failure> {
        let mut lines = staged.rejected();
        let mut output = None;
        let nothing = Keys::new(&[]);
        loop {
            let number = lines.number() + 1;
            let line = lines
                .next_line()
                .map_err(|error| changes::line_failure(REJECTED, error))?;
            let Some(line) = line else {
                return output.map(Output::finish).transpose();
            };
            let text = staged::object(REJECTED, number, line)?;
            nothing
                .read(text, &mut Vec::new())
                .map_err(|error| broken(format!("line {number} of `{REJECTED}` {error}")))?;
            if output.is_none() {
                let folder = self.staging.generation();
                output = Some(Output::create(
                    folder,
                    REJECTED,
                    LINES,
                    Some(REJECTED_MODE),
                )?);
            }
            if let Some(output) = &mut output {
                output.write(line, 1)?;
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
        let rejected_lines = rejected.as_ref().map_or(0, |(_, record)| record.records);
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
            rejected: rejected_lines,
            unchanged,
        };
        let mut records = vec![(self.data_file, data.record)];
        let mut written = Vec::new();
        written.extend(data.file.map(|file| Written {
            name: self.data_file,
            file,
        }));
        if let Some((file, record)) = rejected {
            records.push((REJECTED, record));
            written.push(Written {
                name: REJECTED,
                file,
            });
        }
        Ok(TakenFiles {
            files: self,
            extent,
            totals,
            records,
            written,
        })
    }
}

impl Taken for TakenFiles<'_> {
    fn totals(&self) -> Totals {
        self.totals
    }

    fn commit(self, draft: Draft) -> Result<Commit, Failure> {
        let Self {
            files,
            extent,
            totals,
            records,
            written,
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
mod tests;
