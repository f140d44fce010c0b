//! The segment of a new generation: put in its place before the swap, so that it is there when `current` counts it in.
//!
//! Until the swap its number is above `current`'s: no reader looks at it, and the next run removes it if there is no swap.

use std::fs::File;

use crate::folder::{Doing as _, Folder, sync_file};
use crate::outcome::Failure;
use crate::sink::files::segment::{self, SEGMENTS};

use crate::sink::files::commit::New;

/// A segment that was written and is still to be put in its place.
pub struct NewSegment {
    pub name: segment::SegmentName,
    /// Its name in the root of the staging folder.
    pub made_as: &'static str,
    /// It, still open as it was written.
    pub file: File,
}

/// Makes the segment's bytes survive a power cut where it was made.
pub fn complete(new: &New<'_>) -> Result<(), Failure> {
    let Some(segment) = &new.segment else {
        return Ok(());
    };
    sync_file(&segment.file, new.staging.root().shown(segment.made_as))
}

/// Gives the segment its name. `Ok`: that survives a power cut, and so does the folder of all segments.
pub fn move_in(output: &Folder, new: &New<'_>) -> Result<(), Failure> {
    let Some(segment) = &new.segment else {
        return Ok(());
    };
    let segments = output.ensure_folder(SEGMENTS, 0o777)?;
    let (from, to) = (segment.made_as, segment.name.file());
    rustix::fs::renameat(new.staging.root(), from, &segments, to)
        .doing(|| format!("cannot move the new segment to `{}`", segments.shown(to)))?;
    segments.sync()?;
    // Until a segment was committed, nothing says that the folder itself is on disk. A first run syncs it with all others.
    match new.parent {
        Some(parent) if parent.segment.is_none() => output.sync(),
        _ => Ok(()),
    }
}

/// Takes the segment away again: its generation was not committed. What stays is removed by the next run.
pub fn remove(output: &Folder, new: &New<'_>) {
    if let Some(segment) = &new.segment
        && let Ok(Some(segments)) = output.folder(SEGMENTS)
    {
        let _ = segments.remove_file(segment.name.file());
    }
}
