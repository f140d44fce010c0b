//! Twins: two keys that are written alike and are of another JSON type, such as 7 and "7".
//!
//! Where an API changes the type of its keys, every record would come a second time, and no deletion would meet its record.

use crate::outcome::{Failure, Outcome};

/// 65: a key is there under another JSON type.
pub fn refused(key: &str) -> Failure {
    Failure::new(
        Outcome::GateRefused,
        format!(
            "cannot merge: the key `{}` occurs as a number and as a string, and would be two records; if the source changed the type, run once with `--full-refresh`, or convert the key in TRANSFORM",
            key.escape_debug()
        ),
    )
}
