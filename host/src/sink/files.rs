//! The sink of files: one data file a generation, made of what was staged and of the last generation's; or under append one
//! segment, of what was not there.
//!
//! Bytes are read, merged and written here; what becomes visible, and when, is `commit`'s business.

use std::collections::BTreeMap;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::folder::{Doing as _, Folder};
use crate::hash::sha256_of;
use crate::outcome::Failure;
use crate::records::changes;
use crate::records::key::{KeyKinds, Keys};
use crate::records::superseded::{Differing, Tally};
use crate::settings::data_file;
use crate::settings::host::OutputPlan;
use crate::settings::plan::WriteMode;
use crate::sink::builds_on::{self, BuildsOn};
use crate::sink::files::commit::{New, Written};
use crate::sink::files::generation::{GENERATIONS, Generation, Set};
use crate::sink::files::new_segment::NewSegment;
use crate::sink::files::retire::Keep;
use crate::sink::files::segment::SEGMENTS;
use crate::sink::files::write::SetFile;
use crate::sink::manifest::{CsvLayout, FileRecord};
use crate::sink::rejected::{self, Rejecting};
use crate::sink::{
    self, Applied, Begun, Commit, Draft, Extent, LastCommit, ManifestFacts, PendingCommit,
    Restated, Sink, SinkContext, Totals,
};
use crate::staging::lines::Lines;
use crate::staging::read::{REJECTED, Staged};
use crate::staging::rejection::Rejection;
use crate::staging::run_folder::RunFolder;

pub mod adopt;
mod against_last;
mod append;
mod begun;
pub mod commit;
mod csv_layout;
mod data;
pub mod generation;
pub mod leftovers;
mod merge;
pub mod new_segment;
pub mod pins;
pub mod published_set;
mod restate;
pub mod retire;
pub mod segment;
pub mod write;

/// An output folder, at its last generation.
pub struct Files<'r> {
    context: SinkContext<'r>,
    last: Option<Generation>,
    output: &'r OutputPlan,
    mode: WriteMode,
    keys: Keys,
    data_file: &'static str,
    keep: Keep,
    /// The greatest number above the last generation that is pinned; 0 if there is none.
    pinned_above: u64,
}

/// The next generation, being made in a staging folder.
struct Next<'s> {
    files: &'s Files<'s>,
    staging: &'s RunFolder,
    /// How its csv file is laid out, if it has one.
    csv: Option<CsvLayout>,
}

/// What goes into the new generation, or beside it.
struct Content {
    /// How many lines of what was staged were read for it.
    read: changes::Read,
    /// What that came to.
    applied: Applied,
    /// What was staged and replaced by a later record of the same key.
    superseded: Tally,
    /// What the manifest says of the files.
    files: BTreeMap<String, FileRecord>,
    /// Those that are to be synced.
    written: Vec<Written>,
    segment: Option<NewSegment>,
}

/// A generation that is complete but for its manifest.
struct TakenFiles<'s> {
    next: Next<'s>,
    extent: Extent,
    /// Whether the run has a further portion to come.
    more: bool,
    totals: Totals,
    first_rejected: Option<Rejection>,
    content: Content,
    key_kinds: KeyKinds,
}

impl<'r> Files<'r> {
    /// Opens the locked folder at its last generation, and removes what killed runs left. `Err` is 73, or 74.
    pub fn open(
        context: SinkContext<'r>,
        keep: Keep,
        plan: &'r OutputPlan,
        mode: WriteMode,
    ) -> Result<Self, Failure> {
        let last = generation::last(&context.lock, context.limits)?;
        let SinkContext {
            lock,
            limits,
            check,
            log,
            ..
        } = &context;
        leftovers::sweep_work(lock, limits, check, log)?;
        let mut pinned_above = 0;
        if !context.dry_run {
            // A set above the last one may be one that was gone back from.
            let appends = mode == WriteMode::Append;
            let pinned =
                leftovers::sweep_generations(lock, last.as_ref(), appends, limits, check, log)?;
            pinned_above = pinned.unwrap_or_default();
            leftovers::sweep_segments(lock, last.as_ref(), log)?;
        }
        if !context.adopt {
            leftovers::refuse_foreign(lock.folder())?;
        }
        let output = lock.folder();
        output.prepare_published(GENERATIONS, plan.file_mode)?;
        if mode == WriteMode::Append {
            output.prepare_published(SEGMENTS, plan.file_mode)?;
        }
        Ok(Self {
            data_file: data_file::name(plan.format, plan.compression),
            keys: sink::record_keys(plan, context.replaces_every_parent),
            context,
            last,
            output: plan,
            mode,
            keep,
            pinned_above,
        })
    }

    /// The last set; none before the first, and after a run that appended.
    fn last_set(&self) -> Option<Set<'_>> {
        self.last.as_ref().and_then(Generation::set)
    }
}

impl Next<'_> {
    /// Makes the set, alone or on top of the last one.
    fn set(
        &self,
        staged: &Staged,
        base: BuildsOn,
        begun: Option<Begun>,
    ) -> Result<Content, Failure> {
        let mut data = self.data(staged, base, begun)?;
        for made in &mut data.files {
            self.share(made)?;
        }
        let [set, ..] = &data.files[..] else {
            unreachable!("a set has a data file");
        };
        let mut content = Content {
            read: data.read,
            superseded: data.superseded,
            applied: Applied {
                records: set.record.records,
                removed: data.removed,
                difference: data.difference,
                unchanged: self
                    .same_file_of_last()
                    .is_some_and(|last| last.record.sha256 == set.record.sha256),
            },
            files: BTreeMap::new(),
            written: Vec::new(),
            segment: None,
        };
        for SetFile { name, record, file } in data.files {
            content.files.insert(name.to_owned(), record);
            let written = file.map(|file| Written { name, file });
            content.written.extend(written);
        }
        Ok(content)
    }

    /// Puts the last generation's file in the place of equal bytes that were just written, where links can be made and
    /// the old bytes are still good. The file is then one for both.
    fn share(&self, made: &mut SetFile) -> Result<(), Failure> {
        let Some(last) = &self.files.last else {
            return Ok(());
        };
        let name = made.name;
        let known = last.manifest.files.get(name);
        if known.is_none_or(|known| known.sha256 != made.record.sha256) {
            return Ok(());
        }
        if made.file.is_none() {
            return self.link_or_copy(last, made);
        }
        let intact = |last: &Generation| -> Result<bool, Failure> {
            let found = sha256_of(&last.open(name)?).doing(|| format!("cannot read `{name}`"))?;
            Ok(found == made.record.sha256)
        };
        // On any doubt the file that was just written is published: it is good.
        if !intact(last).unwrap_or(false) || link(last, self.staging.root(), name).is_err() {
            return Ok(());
        }
        self.staging.generation().remove_file(name)?;
        made.file = None;
        link(last, self.staging.generation(), name).doing(|| format!("cannot link `{name}`"))
    }

    fn link_or_copy(&self, last: &Generation, made: &mut SetFile) -> Result<(), Failure> {
        let name = made.name;
        if self.link_from(last, name)? {
            return Ok(());
        }
        let (file, sha256) = self.copy_bytes(&last.open(name)?, name)?;
        if sha256 != made.record.sha256 {
            return Err(published_set::damaged(
                last,
                name,
                published_set::NOT_PUBLISHED,
            ));
        }
        made.file = Some(file);
        Ok(())
    }

    /// Gives the last generation's file a second name in the new one; `false` where that cannot be.
    fn link_from(&self, last: &Generation, name: &str) -> Result<bool, Failure> {
        match link(last, self.staging.generation(), name) {
            Ok(()) => Ok(true),
            // No links here, or too many of this file, or not of a file of another user.
            Err(Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::ACCESS) => {
                Ok(false)
            }
            Err(error) => Err(error).doing(|| format!("cannot link `{name}`")),
        }
    }

    /// The last set, if its data file has the name that this one's has.
    fn same_file_of_last(&self) -> Option<Set<'_>> {
        let last = self.files.last_set();
        last.filter(|last| last.file == self.files.data_file)
    }
}

fn link(last: &Generation, to: &Folder, name: &str) -> Result<(), Errno> {
    rustix::fs::linkat(last.folder(), name, to, name, AtFlags::empty())
}

impl Sink for Files<'_> {
    fn last(&self) -> Option<LastCommit<'_>> {
        self.last.as_ref().map(|last| LastCommit {
            name: &last.name,
            manifest: &last.manifest,
        })
    }

    fn run_folder(&self) -> Result<RunFolder, Failure> {
        RunFolder::new(
            &self.context.lock,
            self.output.file_mode,
            self.context.limits,
        )
    }

    fn begin(
        &self,
        records: Lines<'_>,
        staging: &RunFolder,
        base: BuildsOn,
    ) -> Result<Option<Begun>, Failure> {
        begun::begin(self, records, staging, base)
    }

    fn take<'s>(
        &'s mut self,
        staged: &Staged,
        staging: &'s RunFolder,
        extent: Extent,
        begun: Option<Begun>,
    ) -> Result<Box<dyn PendingCommit + 's>, Failure> {
        let last = self.last.as_ref().map(|last| &last.manifest);
        let base = builds_on::of(extent, last, self.mode, &self.output.keys, staged)?;
        let begun = begun.filter(|_| staged.has_no_deletions());
        let rejecting = Rejecting::copy(staged, staging.generation(), self.context.check)?;
        let mut next = Next {
            files: self,
            staging,
            csv: None,
        };
        next.csv = next.layout(staged, base)?;
        let mut content = match next.files.mode {
            WriteMode::Append => next.append(staged)?,
            WriteMode::Replace | WriteMode::Upsert => next.set(staged, base, begun)?,
        };
        let rejected = rejecting.finish()?;
        let totals = Totals::of(
            staged,
            content.read,
            rejected.as_ref(),
            content.applied,
            &content.superseded,
        )?;
        let first_rejected = rejected.map(|rejected| {
            content.files.insert(REJECTED.to_owned(), rejected.record);
            content.written.push(Written {
                name: REJECTED,
                file: rejected.file,
            });
            rejected.first
        });
        Ok(Box::new(TakenFiles {
            next,
            extent,
            more: staged.more,
            totals,
            first_rejected,
            key_kinds: builds_on::key_kinds(base, last, content.read.kinds),
            content,
        }))
    }

    fn go_on(&mut self) -> Result<(), Failure> {
        self.last = generation::last(&self.context.lock, self.context.limits)?;
        Ok(())
    }

    fn restate(&mut self, restated: &Restated) -> Result<Commit, Failure> {
        restate::restate(self, restated)
    }

    fn retire(&self) {
        let SinkContext {
            lock,
            limits,
            check,
            log,
            ..
        } = &self.context;
        retire::retire(lock, self.keep, limits, check, log);
    }
}

impl PendingCommit for TakenFiles<'_> {
    fn totals(&self) -> Totals {
        self.totals
    }

    fn first_rejected(&self) -> Option<&Rejection> {
        self.first_rejected.as_ref()
    }

    fn first_differing(&self) -> Option<&Differing> {
        self.content.superseded.first.as_ref()
    }

    fn refused(self: Box<Self>, refusal: Failure) -> Failure {
        let Next { files, staging, .. } = &self.next;
        rejected::keep(
            refusal,
            self.totals.rejected,
            &files.context,
            staging.generation(),
        )
    }

    fn commit(self: Box<Self>, draft: Draft) -> Result<Commit, Failure> {
        let Next {
            files,
            staging,
            csv,
        } = self.next;
        let appends = files.mode == WriteMode::Append;
        let made = ManifestFacts {
            unfinished: self.more,
            csv,
            extent: self.extent,
            totals: self.totals,
            files: self.content.files,
            table: None,
            key_kinds: self.key_kinds,
            sorted_by: files.output.merged_by(files.mode).to_owned(),
        };
        let lock = &files.context.lock;
        let mut manifest = draft.manifest(files.last(), lock.run_id(), made);
        // No two generations have the same number.
        manifest.generation = manifest.generation.max(files.pinned_above + 1);
        commit::commit(
            New {
                lock,
                staging,
                parent: files.last.as_ref(),
                manifest,
                written: self.content.written,
                data_file: (!appends).then_some(files.data_file),
                segment: self.content.segment,
                unchanged: self.totals.unchanged,
                adopt: files.context.adopt,
                file_mode: files.output.file_mode,
            },
            files.context.limits,
            files.context.check,
            files.context.log,
        )
    }
}

#[cfg(test)]
mod tests;
