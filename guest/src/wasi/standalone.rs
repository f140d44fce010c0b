//! What the job needs when it runs without our host: settings and credential from its environment, gates, file names, an exit
//! code, and under append the state of the last run.
//!
//! Under our host none of this runs: the host adds the credential, and the component never sees it; it has the gates, and keeps
//! the state.

mod answer;
mod appended;
mod credential;
mod ended;
mod gates;
mod plan;

pub use self::answer::{Careful, Checked, Hidden, Level};
pub use self::appended::{Appended, STATE, STATE_BYTES_MAX};
pub use self::credential::{Authorized, Credential};
pub use self::ended::{Stop, last_line, one_line};
pub use self::gates::Gates;
pub use self::plan::Plan;

use crate::ports::StagedFile;

/// The file that readers open, but under append.
pub const OUTPUT: &str = "latest.ndjson";
/// Under append, the folder of the files that readers open.
pub const SEGMENTS: &str = "segments";

/// The rejected records of what is in [`OUTPUT`].
pub const REJECTED: &str = "rejected.ndjson";
/// Under append, the folder of the rejected records, a file for each segment that has some.
pub const REJECTED_FOLDER: &str = "rejected";
/// The rejected records of a run that a gate refused, until a run is published.
pub const REFUSED: &str = "refused.ndjson";

/// The name a file has until it is complete.
pub fn temporary_name(file: StagedFile) -> &'static str {
    match file {
        StagedFile::Records => ".latest.ndjson.part",
        StagedFile::Deleted => ".deleted.ndjson.part",
        StagedFile::Rejected => ".rejected.ndjson.part",
    }
}

/// The value of a setting; one that is empty is not set.
fn get<'e>(env: &'e [(String, String)], name: &str) -> Option<&'e str> {
    let found = env
        .iter()
        .find(|(known, value)| known == name && !value.is_empty());
    found.map(|(_, value)| value.as_str())
}
