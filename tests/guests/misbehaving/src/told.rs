//! Behaviours that stage what the settings say, so that a test can see what the host makes of it: an honest connector, mostly.

use crate::bindings::exports::tidegate::sync::job::{Extent, Report};
use crate::staged::{folder, put};
use crate::{Ending, everything, setting};

/// The staged files, and the settings with their text.
const FILES: [(&str, &str); 3] = [
    ("records.ndjson", "SOURCE_STAGE_RECORDS"),
    ("deleted.ndjson", "SOURCE_STAGE_DELETED"),
    ("rejected.ndjson", "SOURCE_STAGE_REJECTED"),
];
/// Settings that the host may have read from a file.
const TEXTS: [&str; 3] = ["SOURCE_BODY", "SOURCE_SCHEMA", "TRANSFORM"];

/// Does it, if it is one of these.
pub fn run(behaviour: &str) -> Option<Ending> {
    let report = match behaviour {
        "stage-as-told" => {
            let [staged, deleted, rejected] = FILES.map(|(file, name)| stage(file, &setting(name)));
            Report {
                extent: Extent::Changes,
                cursor: Some(setting("SOURCE_STAGE_CURSOR")).filter(|cursor| !cursor.is_empty()),
                fetched: staged + rejected,
                deleted,
                rejected,
                ..everything(staged)
            }
        }
        "stage-texts" => {
            let lines: String = TEXTS.map(|name| setting(name) + "\n").concat();
            everything(stage(FILES[0].0, &lines))
        }
        _ => return None,
    };
    Some(Ok(report))
}

/// Writes a file, if there is something to write, and returns how many lines it has.
fn stage(file: &str, text: &str) -> u64 {
    if text.is_empty() {
        return 0;
    }
    let lines = text.bytes().filter(|byte| *byte == b'\n').count() as u64;
    put(&folder(), file, text.as_bytes(), lines)
}
