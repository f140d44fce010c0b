//! The last set with another state: a generation of its own, whose files are the last one's.

use crate::outcome::Failure;
use crate::settings::data_file::{DATA_FILES, RECORDS_FILE};
use crate::sink::files::commit::{self, New, Written};
use crate::sink::files::published_set;
use crate::sink::files::segment::SegmentName;
use crate::sink::manifest::DIGESTS;
use crate::sink::{Commit, Restated, Sink as _, nothing_to_restate};
use crate::staging::read::REJECTED;

use super::{Files, Next};

/// Commits it. Readers find the bytes that they found before.
pub(super) fn restate(files: &Files<'_>, restated: &Restated) -> Result<Commit, Failure> {
    let (Some(last), Some(commit)) = (&files.last, files.last()) else {
        return Err(nothing_to_restate());
    };
    let mut manifest = restated.manifest(commit);
    manifest.generation = manifest.generation.max(files.pinned_above + 1);
    let staging = files.run_folder()?;
    let mut written = Vec::new();
    let next = Next {
        files,
        staging: &staging,
        csv: None,
    };
    let listed = manifest.files.iter();
    for (name, record) in listed.filter(|(name, _)| SegmentName::listed(name).is_none()) {
        if next.link_from(last, name)? {
            continue;
        }
        let (file, sha256) = next.copy_bytes(&last.open(name)?, name)?;
        if sha256 != record.sha256 {
            let what = published_set::NOT_PUBLISHED;
            return Err(published_set::damaged(last, name, what));
        }
        let name = known(name);
        written.extend(name.map(|name| Written { name, file }));
    }
    let lock = &files.context.lock;
    commit::commit(
        New {
            lock,
            staging: &staging,
            parent: Some(last),
            manifest,
            written,
            data_file: last.set().map(|set| set.file),
            segment: None,
            unchanged: false,
            adopt: false,
            file_mode: files.output.file_mode,
        },
        files.context.limits,
        files.context.check,
        files.context.log,
    )
}

/// A file that a generation may have: there are no others.
fn known(name: &str) -> Option<&'static str> {
    let besides = [RECORDS_FILE, REJECTED, DIGESTS];
    let mut all = DATA_FILES.into_iter().chain(besides);
    all.find(|known| *known == name)
}
