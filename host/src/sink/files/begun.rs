//! What is made of a new set while the component still runs: its file, or what was staged in the order of its keys.
//!
//! It is valid only if nothing but these records is staged. Otherwise the set is made again, of what was staged in the end.

use crate::folder::Doing as _;
use crate::outcome::Failure;
use crate::records::changes::{Reading, line_failure};
use crate::settings::data_file::OutputFormat;
use crate::settings::plan::WriteMode;
use crate::sink::Begun;
use crate::sink::builds_on::BuildsOn;
use crate::sink::files::write::SetFile;
use crate::staging::lines::Lines;
use crate::staging::read::RECORDS;
use crate::staging::run_folder::RunFolder;

use super::{Files, Next};

/// Where it is made, in the staging folder.
const FOLDER: &str = "begun";

/// Makes what can be made of `records` alone; `None`: nothing.
pub(super) fn begin(
    files: &Files<'_>,
    mut records: Lines<'_>,
    staging: &RunFolder,
    base: BuildsOn,
) -> Result<Option<Begun>, Failure> {
    // A csv file begins with the names of all members.
    if files.mode == WriteMode::Append || files.output.format == OutputFormat::Csv {
        return Ok(None);
    }
    if (records.is_empty()).map_err(|error| line_failure(RECORDS, error))? {
        return Ok(None);
    }
    let next = Next {
        files,
        staging,
        csv: None,
    };
    let records = Reading::of_records(records, &files.keys);
    let has_set = base == BuildsOn::LastCommit && files.last_set().is_some();
    if has_set && files.keys.is_empty() {
        return Ok(None);
    }
    let folder = staging.root().ensure_folder(FOLDER, 0o700)?;
    if has_set {
        let Files { context, .. } = files;
        let (sorted, read) = records.sorted(&folder, context.limits, context.check)?;
        return Ok(Some(Begun::Sorted(sorted, read)));
    }
    let mut output = next.output_in(&folder)?;
    let last = next.last_by_key();
    let mut against = next.against(last.as_ref());
    let written = next.write_in_order(records, &mut output, &mut against);
    if let Ok(Some(read)) = written {
        let difference = against.difference(output.records());
        return Ok(Some(Begun::Set(output.finish()?, read, difference)));
    }
    drop(output);
    staging.tidy(staging.root(), FOLDER);
    written.map(|_| None)
}

/// Moves the files of a set that was begun to where the new generation is made.
pub(super) fn move_in(files: &[SetFile], staging: &RunFolder) -> Result<(), Failure> {
    let generation = staging.generation();
    let folder = staging.root().ensure_folder(FOLDER, 0o700)?;
    for SetFile { name, .. } in files {
        rustix::fs::renameat(&folder, *name, generation, *name)
            .doing(|| format!("cannot move `{}`", generation.shown(name)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
