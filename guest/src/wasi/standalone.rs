//! What the job needs when it runs without our host: the credential from its environment, file names, and under append
//! the state of the last run.
//!
//! Under our host none of this runs: the host adds the credential, and the component never sees it; and it keeps the state.

mod appended;
mod credential;

pub use self::appended::{Appended, STATE, STATE_BYTES_MAX};
pub use self::credential::Authorized;

use crate::ports::StagedFile;

/// The file that readers open, but under append.
pub const OUTPUT: &str = "latest.ndjson";
/// Under append, the folder of the files that readers open.
pub const SEGMENTS: &str = "segments";

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
