//! The rejected records of a run that a gate refused: kept beside the published set until a run gets past its gates.
//!
//! For a person, and never an input to a run, so trouble with them is a warning: the run ends as it ends without them.

use serde_json::json;

use crate::folder::{Doing as _, Folder, sync_file};
use crate::log::Log;
use crate::outcome::Failure;

/// Their name in the output folder.
const FILE: &str = "refused.ndjson";

/// Moves the file `name` of the generation that was refused into `output`, over those of an earlier run. Returns where it
/// stands now.
///
/// `Err`: those of an earlier run are still in place.
pub fn keep_refused(output: &Folder, generation: &Folder, name: &str) -> Result<String, Failure> {
    if let Some((file, _)) = generation.file(name)? {
        sync_file(&file, generation.shown(name))?;
    }
    let kept = output.shown(FILE);
    rustix::fs::renameat(generation, name, output, FILE)
        .doing(|| format!("cannot move the rejected records to `{kept}`"))?;
    Ok(kept)
}

/// Removes them: a later run got past its gates.
pub fn forget_refused(output: &Folder, log: &Log) {
    if let Err(failure) = output.remove_file(FILE) {
        let error = json!({ "file": FILE, "error": failure.message });
        log.warn("rejected records of an earlier run not removed", error);
    }
}
