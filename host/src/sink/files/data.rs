//! The files of a new generation: what was staged, alone or on top of the last generation's records.

use std::fs::File;
use std::io::Read as _;

use crate::folder::{Doing as _, Folder};
use crate::outcome::{Failure, Outcome};
use crate::records::changes::{self, Flow, Reading};
use crate::records::parents::Parents;
use crate::records::sort::{Sorted, Sorter};
use crate::records::superseded::{Superseded, Tally};
use crate::settings::data_file::{Compression, OutputFormat, RECORDS_FILE};
use crate::settings::plan::WriteMode;
use crate::sink::builds_on::BuildsOn;
use crate::sink::files::against_last::{AgainstLast, LastByKey};
use crate::sink::files::generation::{Generation, Set};
use crate::sink::files::merge::{
    Merged, merge, merge_replacing, read_old, read_old_key, write_all,
};
use crate::sink::files::published_set::{LastRecords, framing_of};
use crate::sink::files::write::{BARE, Framing, Output, SetFile, SetOutput};
use crate::sink::manifest::DIGESTS;
use crate::sink::twins::Twins;
use crate::sink::{Begun, Difference};
use crate::staging::read::{REJECTED, Staged};

use super::{Files, Next, begun};

/// The published set of the new generation.
pub struct Data {
    /// How many lines of what was staged were read for it.
    pub read: changes::Read,
    /// How many records of the last published set were deleted.
    pub removed: u64,
    /// What became of all of them.
    pub difference: Difference,
    /// What was staged and replaced by a later record of the same key.
    pub superseded: Tally,
    /// Its files, the data file first.
    pub files: Vec<SetFile>,
}

impl Next<'_> {
    /// Makes the files of the set, if they are not the last ones over again.
    pub(super) fn data(
        &self,
        staged: &Staged,
        base: BuildsOn,
        begun: Option<Begun>,
    ) -> Result<Data, Failure> {
        let Files { keys, context, .. } = self.files;
        let parents = Parents::read(staged, keys, context.limits, context.check)?;
        match (base, self.files.last_set()) {
            (BuildsOn::LastCommit, Some(last)) => {
                let generation = last.generation;
                let data = self.upsert(staged, &parents, last, begun)?;
                let kinds = generation.manifest.key_kinds.with(data.read.kinds);
                if kinds.are_mixed() && data.read.staged + data.read.deleted > 0 {
                    self.refuse_twins(staged, &parents, generation)?;
                }
                Ok(data)
            }
            _ => self.replace(staged, &parents, begun),
        }
    }

    /// `Err` (65): what was staged has a key that the last set has under another JSON type.
    fn refuse_twins(
        &self,
        staged: &Staged,
        parents: &Parents,
        last: &Generation,
    ) -> Result<(), Failure> {
        let Files { keys, context, .. } = self.files;
        if context.accepts_twins {
            return Ok(());
        }
        let many = keys.pointers().len();
        let mut twins = Twins::new(self.staging.root(), context.limits, many);
        let name = records_of(last)?;
        let file = last.open(name)?;
        let mut records = LastRecords::new(last, name, &file, context.limits)?;
        let (mut key, mut parent) = (Vec::new(), Vec::new());
        while let Some(block) = records.next_block()? {
            (context.check)()?;
            for index in 0..block.len() {
                read_old(keys, block.record(index), &mut key, &mut parent)?;
                if !parents.take_published(&parent) {
                    twins.published(&key)?;
                }
            }
        }
        changes::read(staged, keys, parents, context.check, |change| {
            match change {
                changes::Change::Record(key, _) => twins.staged(key, false)?,
                changes::Change::Deletion(key) => twins.staged(key, true)?,
            }
            Ok(Flow::On)
        })?;
        twins.refuse()
    }

    /// The set is what was staged.
    fn replace(
        &self,
        staged: &Staged,
        parents: &Parents,
        begun: Option<Begun>,
    ) -> Result<Data, Failure> {
        let keys = &self.files.keys;
        let mut superseded = Superseded::default();
        let (files, read, difference) = if let Some(Begun::Set(files, read, difference)) = begun {
            begun::move_in(&files, self.staging)?;
            (files, read, difference)
        } else {
            let mut output = self.output()?;
            let in_order = Reading::of(staged, keys, parents)?;
            let last = self.last_by_key();
            let mut against = self.against(last.as_ref());
            let written = self.write_in_order(in_order, &mut output, &mut against)?;
            let read = if let Some(read) = written {
                read
            } else {
                output.restart()?;
                against = self.against(last.as_ref());
                let (sorted, read) = self.sort(Reading::of(staged, keys, parents)?, None)?;
                superseded = sorted.superseded();
                write_all(sorted, &mut output, &mut against, self.files.context.check)?;
                read
            };
            let difference = against.difference(output.records());
            (self.finished(output)?, read, difference)
        };
        Ok(Data {
            read,
            removed: 0,
            difference,
            superseded: superseded.tally(),
            files,
        })
    }

    /// The file of the last set whose records are in the order of the keys, opened; `None` where there is none.
    pub(super) fn last_by_key(&self) -> Option<LastByKey<'_>> {
        let Files { keys, output, .. } = self.files;
        let generation = self.files.last_set()?.generation;
        let is_sorted = !keys.is_empty() && generation.manifest.sorted_by == output.keys;
        let name = generation.records_file().filter(|_| is_sorted)?;
        let file = generation.open(name).ok()?;
        Some(LastByKey {
            generation,
            name,
            file,
        })
    }

    /// What a new set is counted against.
    pub(super) fn against<'l>(&'l self, last: Option<&'l LastByKey<'_>>) -> AgainstLast<'l> {
        let Files { keys, context, .. } = self.files;
        if let Some(last) = last {
            return AgainstLast::by_key(last, keys, context.limits);
        }
        AgainstLast::by_size(match (&self.files.last, self.files.last_set()) {
            (None, _) => Some(0),
            (Some(last), Some(_)) => Some(last.manifest.counts.records),
            // What was appended is no set.
            (Some(_), None) => None,
        })
    }

    /// Writes records as they come, if without keys or in the order of their keys; `None` when they are not.
    pub(super) fn write_in_order(
        &self,
        staged: Reading<'_>,
        output: &mut SetOutput,
        against: &mut AgainstLast<'_>,
    ) -> Result<Option<changes::Read>, Failure> {
        let mut before: Vec<u8> = Vec::new();
        staged.each(self.files.context.check, |change| match change {
            // Without keys a deletion names nothing: what is deleted was not staged in the first place.
            changes::Change::Deletion(_) if self.files.keys.is_empty() => Ok(Flow::On),
            changes::Change::Deletion(_) => Ok(Flow::Stop),
            changes::Change::Record(key, record) => {
                if !self.files.keys.is_empty() {
                    if before.as_slice() >= key {
                        return Ok(Flow::Stop);
                    }
                    before.clear();
                    before.extend_from_slice(key);
                }
                against.take(key, record);
                output.write(record, 1)?;
                Ok(Flow::On)
            }
        })
    }

    /// The set is the last one with what was staged made to it.
    fn upsert(
        &self,
        staged: &Staged,
        parents: &Parents,
        last: Set<'_>,
        begun: Option<Begun>,
    ) -> Result<Data, Failure> {
        let framing = Framing::of(self.files.output.format);
        let last = last.generation;
        let same_order = last.manifest.sorted_by == self.files.output.keys;
        let nothing_staged = staged.reported.staged == 0 && staged.reported.deleted == 0;
        if nothing_staged && same_order && self.same_files(last) {
            return Ok(Data {
                read: self.count(staged, parents)?,
                removed: 0,
                difference: Difference::of(0, 0, 0),
                superseded: Tally::default(),
                files: self.files_of(last),
            });
        }
        let name = records_of(last)?;
        let old = last.open(name)?;
        let same_framing = framing_of(name) == framing;
        let old = LastRecords::new(last, name, &old, self.files.context.limits)?;
        let mut output = self.output()?;
        let mut superseded = Superseded::default();
        let new = || Reading::of(staged, &self.files.keys, parents);
        let (read, merged) = if self.files.keys.is_empty() {
            // Nothing new, and another format.
            self.copy(old, &mut output)?;
            let merged = Merged {
                changed: Some(0),
                ..Merged::default()
            };
            (self.count(staged, parents)?, merged)
        } else if same_order && !(parents.is_empty() && same_framing) {
            let (sorted, read) = self.sort(new()?, None)?;
            superseded = sorted.superseded();
            let (keys, check) = (&self.files.keys, self.files.context.check);
            let merged = merge_replacing(old, sorted, keys, parents, &mut output, check)?;
            (read, merged)
        } else if same_order {
            let (sorted, read) = match begun {
                Some(Begun::Sorted(sorted, read)) => (sorted, read),
                _ => self.sort(new()?, None)?,
            };
            superseded = sorted.superseded();
            let merged = merge(
                old,
                sorted,
                &self.files.keys,
                &mut output,
                self.files.context.check,
            )?;
            (read, merged)
        } else {
            drop(begun);
            let (sorted, read) = self.sort(new()?, Some((old, parents)))?;
            superseded = sorted.superseded();
            // It is counted by what was published: of a record that is another nobody looks.
            let mut uncounted = AgainstLast::by_size(None);
            let check = self.files.context.check;
            let removed = write_all(sorted, &mut output, &mut uncounted, check)?;
            let changed = None;
            (read, Merged { removed, changed })
        };
        let there = last.manifest.counts.records.saturating_sub(merged.removed);
        Ok(Data {
            read,
            removed: merged.removed,
            difference: Difference {
                new: Some(output.records().saturating_sub(there)),
                changed: merged.changed,
                gone: Some(merged.removed),
            },
            superseded: superseded.tally(),
            files: self.finished(output)?,
        })
    }

    /// Sorts what was staged by key, on top of the old records where they are in another order.
    fn sort(
        &self,
        staged: Reading<'_>,
        old: Option<(LastRecords<'_>, &Parents)>,
    ) -> Result<(Sorted, changes::Read), Failure> {
        let mut sorter = Sorter::new(self.staging.root(), self.files.context.limits);
        let (mut key, mut parent) = (Vec::new(), Vec::new());
        if let Some((mut old, parents)) = old {
            while let Some(block) = old.next_block()? {
                (self.files.context.check)()?;
                for index in 0..block.len() {
                    let record = block.record(index);
                    if parents.is_empty() {
                        read_old_key(&self.files.keys, record, &mut key)?;
                    } else {
                        read_old(&self.files.keys, record, &mut key, &mut parent)?;
                    }
                    let gone = parents.take_published(&parent);
                    sorter.push_published(&key, (!gone).then_some(record))?;
                }
            }
        }
        let read = staged.sort_into(&mut sorter, self.files.context.check)?;
        Ok((sorter.finish()?, read))
    }

    /// Reads what was staged for its count alone: lines that were not reported are found by it.
    fn count(&self, staged: &Staged, parents: &Parents) -> Result<changes::Read, Failure> {
        let read = changes::read(
            staged,
            &self.files.keys,
            parents,
            self.files.context.check,
            |_| Ok(Flow::On),
        )?;
        Ok(read.unwrap_or_default())
    }

    /// Writes the old records as they are, in this run's format.
    fn copy(&self, mut old: LastRecords<'_>, output: &mut SetOutput) -> Result<(), Failure> {
        while let Some(block) = old.next_block()? {
            (self.files.context.check)()?;
            for index in 0..block.len() {
                output.write(block.record(index), 1)?;
            }
        }
        Ok(())
    }

    /// Whether the files of `last` are those of this generation, when its records are.
    fn same_files(&self, last: &Generation) -> bool {
        let kept = last.records_file() == Some(RECORDS_FILE);
        last.set()
            .is_some_and(|set| set.file == self.files.data_file)
            && last.manifest.csv == self.csv
            && kept == self.keeps_records()
    }

    /// Whether the records are kept beside the data file: a run merges into them, and a table does not hold them exactly.
    fn keeps_records(&self) -> bool {
        self.files.output.format == OutputFormat::Csv && self.files.mode == WriteMode::Upsert
    }

    /// The files of the last set, to be shared.
    fn files_of(&self, last: &Generation) -> Vec<SetFile> {
        let kept = self.keeps_records().then_some(RECORDS_FILE);
        let data_file = last.set().map(|set| set.file);
        data_file
            .into_iter()
            .chain(kept)
            .map(|name| SetFile {
                name,
                record: last.manifest.files[name].clone(),
                file: None,
            })
            .collect()
    }

    fn finished(&self, output: SetOutput) -> Result<Vec<SetFile>, Failure> {
        output.tell(self.files.context.log);
        output.finish()
    }

    fn output(&self) -> Result<SetOutput, Failure> {
        self.output_in(self.staging.generation())
    }

    pub(super) fn output_in(&self, folder: &Folder) -> Result<SetOutput, Failure> {
        SetOutput::create(
            folder,
            self.files.output,
            self.keeps_records(),
            self.csv.as_ref(),
        )
    }

    /// Copies a file of the last generation byte for byte. Returns it and its sha256 in hex.
    pub(super) fn copy_bytes(&self, old: &File, name: &str) -> Result<(File, String), Failure> {
        let is_private = [REJECTED, DIGESTS].contains(&name);
        let mode = if is_private {
            Some(0o600)
        } else {
            self.files.output.file_mode
        };
        let none = Compression::None;
        let mut output = Output::create(self.staging.generation(), name, BARE, none, mode)?;
        let mut block = vec![0; 256 * 1024];
        let mut reader = old;
        loop {
            (self.files.context.check)()?;
            match reader
                .read(&mut block)
                .doing(|| format!("cannot read `{name}`"))?
            {
                0 => break,
                read => output.write(&block[..read], 1)?,
            }
        }
        let (file, record) = output.finish()?;
        Ok((file, record.sha256))
    }
}

/// The file of `last` that is merged from. `Err` (78): it has none.
pub(super) fn records_of(last: &Generation) -> Result<&'static str, Failure> {
    last.records_file().ok_or_else(|| {
        let message = format!(
            "cannot rebuild the set from `{}`: a csv file does not hold the records exactly, and under WRITE_MODE=replace they are not kept beside it; run once with `--full-refresh` to fetch everything again",
            last.set().map_or_else(String::new, |set| set.shown())
        );
        Failure::new(Outcome::Settings, message)
    })
}
