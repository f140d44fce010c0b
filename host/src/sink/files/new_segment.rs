//! The segment of a new generation: put in its place before the swap, so that it is there when `current` counts it in.
//!
//! Until the swap its number is above `current`'s: no reader looks at it, and the next run removes it if there is no swap.

use std::fs::File;

use crate::folder::{Doing as _, Folder, sync_file};
use crate::outcome::Failure;
use crate::sink::files::generation::Generation;
use crate::sink::files::segment::{self, SEGMENTS};
use crate::staging::run_folder::RunFolder;

/// A segment that was written and is still to be put in its place.
pub struct NewSegment {
    pub name: segment::SegmentName,
    /// Its name in the root of the staging folder.
    pub made_as: &'static str,
    /// It, still open as it was written.
    pub file: File,
}

impl NewSegment {
    /// Makes the segment's bytes survive a power cut where it was made.
    pub fn complete(&self, staging: &RunFolder) -> Result<(), Failure> {
        sync_file(&self.file, staging.root().shown(self.made_as))
    }

    /// Gives the segment its name. `Ok`: that survives a power cut, and so does the folder of all segments.
    pub fn move_in(
        &self,
        output: &Folder,
        staging: &RunFolder,
        parent: Option<&Generation>,
    ) -> Result<(), Failure> {
        let segments = output.ensure_folder(SEGMENTS, 0o777)?;
        let (from, to) = (self.made_as, self.name.file());
        rustix::fs::renameat(staging.root(), from, &segments, to)
            .doing(|| format!("cannot move the new segment to `{}`", segments.shown(to)))?;
        segments.sync()?;
        // Until a segment was committed, nothing says that the folder itself is on disk. A first run syncs it with all others.
        match parent {
            Some(parent) if parent.segment.is_none() => output.sync(),
            _ => Ok(()),
        }
    }

    /// Takes the segment away again: its generation was not committed. What stays is removed by the next run.
    pub fn remove(&self, output: &Folder) {
        if let Ok(Some(segments)) = output.folder(SEGMENTS) {
            let _ = segments.remove_file(self.name.file());
        }
    }
}
