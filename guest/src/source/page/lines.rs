//! NDJSON: one JSON value a line. Blank lines say nothing; a line that is cut or not JSON makes the page none.

use serde_json::value::RawValue;

use super::{Contents, Place, TakeRecord};
use crate::failure::Failure;

/// Reads the lines of a page and hands each to `take`, as [`super::read`] does.
pub(super) fn read<'b>(
    text: &'b str,
    place: &Place,
    take: &mut TakeRecord<'_, 'b>,
) -> Result<Contents, Failure> {
    let mut records = 0;
    let mut failure = None;
    for (number, line) in text.split('\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let value: &RawValue = serde_json::from_str(line).map_err(|error| {
            // The error counts lines too, and knows of one only.
            let what = error.to_string();
            let what = what
                .split(" at line ")
                .next()
                .unwrap_or_default()
                .to_owned();
            let (line, column) = (number + 1, error.column());
            // From that line on: those before it were as they should be.
            let rest = text.split('\n').skip(number).collect::<Vec<_>>().join("\n");
            let instead = super::instead(rest.as_bytes(), place);
            Failure::protocol(format!(
                "{place} is not NDJSON: {what} at line {line} column {column}{instead}"
            ))
        })?;
        if failure.is_none() {
            failure = take(Some(records), value.get()).err();
        }
        records += 1;
    }
    match failure {
        Some(failure) => Err(failure),
        None => Ok(Contents::new(records, Vec::new())),
    }
}
