//! The records that were set aside: copied, as nothing that the component could write to is kept, and counted.

use std::fs::File;

use serde_json::json;

use crate::folder::Folder;
use crate::outcome::Failure;
use crate::process::stop::Check;
use crate::records::changes::{check_at, line_failure};
use crate::settings::data_file::Compression;
use crate::sink::SinkContext;
use crate::sink::files::write::{LINES, Output};
use crate::sink::manifest::FileRecord;
use crate::sink::refused;
use crate::staging::read::{REJECTED, Staged};
use crate::staging::rejection::Rejection;

/// A rejected record may hold anything: nobody but the owner reads it.
const MODE: u32 = 0o600;

/// The copy of the rejected records.
pub struct Rejected {
    /// It, still open as it was written.
    pub file: File,
    /// What is in it.
    pub record: FileRecord,
    /// The first of them.
    pub first: Rejection,
}

impl Rejected {
    /// Copies what was set aside into `folder`; none when nothing was.
    pub fn copy(
        staged: &Staged,
        folder: &Folder,
        check: Check<'_>,
    ) -> Result<Option<Self>, Failure> {
        let mut lines = staged.rejected();
        let mut rejected: Option<(Output, Rejection)> = None;
        loop {
            let number = lines.number() + 1;
            let line = lines
                .next_line()
                .map_err(|error| line_failure(REJECTED, error))?;
            let Some(line) = line else {
                let Some((output, first)) = rejected else {
                    return Ok(None);
                };
                let (file, record) = output.finish()?;
                return Ok(Some(Self {
                    file,
                    record,
                    first,
                }));
            };
            check_at(check, number, line.len())?;
            let read = Rejection::read(number, line, staged.words_bytes_max)?;
            if let Some((output, _)) = &mut rejected {
                output.write(line, 1)?;
            } else {
                let mut output =
                    Output::create(folder, REJECTED, LINES, Compression::None, Some(MODE))?;
                output.write(line, 1)?;
                rejected = Some((output, read));
            }
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
