//! What an append run adds: a segment of the records that were not there, and what is remembered for the next run.
//!
//! A run that adds nothing makes no segment. What it staged is remembered all the same; if that is nothing, what was
//! remembered before is, as the next look-back may bring it.

use std::collections::BTreeMap;
use std::fs::File;

use crate::outcome::Failure;
use crate::records::changes::{check_at, line_failure};
use crate::records::superseded::Tally;
use crate::sink::dedup::{self, Compared, Remembered, Repeats};
use crate::sink::files::commit::Written;
use crate::sink::files::generation::Generation;
use crate::sink::files::new_segment::NewSegment;
use crate::sink::files::segment;
use crate::sink::files::write::{SetFile, SetOutput};
use crate::sink::manifest::{DIGESTS, FileRecord};
use crate::sink::{self, Applied, Difference, Sink as _};
use crate::staging::read::{RECORDS, Staged};

use super::{Content, Files, Next};

/// What a segment is called until it is put in its place.
const MADE_AS: &str = "segment";

impl Next<'_> {
    /// Writes what is new to a segment, in the order in which it was staged, and remembers all that was staged.
    pub(super) fn append(&self, staged: &Staged) -> Result<Content, Failure> {
        let last = self.last_of_append();
        let Files { keys, context, .. } = self.files;
        let (repeats, read) = Repeats::of(
            staged,
            keys,
            self.staging.root(),
            context.limits,
            context.check,
        )?;
        let unfinished = last.is_some_and(|last| last.manifest.unfinished);
        // A run's portions are one run: what came before it matters until the last of them.
        let keep = staged.more || unfinished || read.staged == 0;
        let mut content = Content {
            read,
            superseded: Tally::default(),
            applied: Applied {
                records: last.map_or(0, |last| last.manifest.counts.records),
                removed: 0,
                difference: Difference::of(0, 0, 0),
                unchanged: true,
            },
            files: BTreeMap::new(),
            written: Vec::new(),
            segment: None,
        };
        if let Some(last) = last.filter(|_| read.staged == 0)
            && self.link_from(last, DIGESTS)?
        {
            let record = last.manifest.files[DIGESTS].clone();
            content.files.insert(DIGESTS.to_owned(), record);
        } else {
            let (compared, file, record) = self.compare(repeats, last, keep)?;
            content.files.insert(DIGESTS.to_owned(), record);
            content.written.push(Written {
                name: DIGESTS,
                file,
            });
            if compared.new > 0 {
                self.add_segment(staged, compared, &mut content)?;
            }
        }
        if content.segment.is_none()
            && let Some((last, newest)) = last.and_then(|last| Some((last, last.segment.as_ref()?)))
        {
            let newest = newest.to_string();
            let record = last.manifest.files[&newest].clone();
            content.files.insert(newest, record);
        }
        Ok(content)
    }

    /// The last generation, if it is of an append job.
    fn last_of_append(&self) -> Option<&Generation> {
        let last = self.files.last.as_ref();
        last.filter(|last| last.manifest.appends())
    }

    fn compare(
        &self,
        repeats: Repeats,
        last: Option<&Generation>,
        keep: bool,
    ) -> Result<(Compared, File, FileRecord), Failure> {
        let mut digests = dedup::create(self.staging.generation(), DIGESTS)?;
        let opened = last.map(|last| last.open(DIGESTS)).transpose()?;
        let remembered = match (last, &opened) {
            (Some(last), Some(file)) => {
                let record = &last.manifest.files[DIGESTS];
                Remembered::read(file, record, last.shown(DIGESTS))
            }
            _ => Remembered::nothing(),
        };
        let check = self.files.context.check;
        let compared = repeats.compare(remembered, keep, &mut digests, check)?;
        let (file, record) = digests.finish()?;
        Ok((compared, file, record))
    }

    /// Writes the records that are no repeats.
    fn add_segment(
        &self,
        staged: &Staged,
        mut compared: Compared,
        content: &mut Content,
    ) -> Result<(), Failure> {
        let mut output = self.segment()?;
        let mut lines = staged.records();
        loop {
            let number = lines.number();
            let line = lines
                .next_line()
                .map_err(|error| line_failure(RECORDS, error))?;
            let Some(record) = line else { break };
            check_at(self.files.context.check, number, record.len())?;
            if !compared.next_is_repeat()? {
                output.write(record, 1)?;
            }
        }
        output.tell(self.files.context.log);
        let made = output.finish()?.pop();
        let Some(SetFile {
            record,
            file: Some(file),
            ..
        }) = made
        else {
            unreachable!("a segment was written");
        };
        let number = sink::next_number(self.files.last());
        let name = segment::SegmentName::new(number, self.files.data_file);
        content.applied.records += record.records;
        content.applied.difference = Difference::of(record.records, 0, 0);
        content.applied.unchanged = false;
        content.files.insert(name.to_string(), record);
        content.segment = Some(NewSegment {
            name,
            made_as: MADE_AS,
            file,
        });
        Ok(())
    }

    /// The segment, begun: written as the data file would be.
    fn segment(&self) -> Result<SetOutput, Failure> {
        let (plan, csv) = (self.files.output, self.csv.as_ref());
        SetOutput::create_as(MADE_AS, self.staging.root(), plan, false, csv)
    }
}
