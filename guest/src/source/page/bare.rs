//! An object where the array of records should be: one record, as some sources send one where they have one; or something else.

use super::Shape;
use crate::failure::quoted;
use crate::source::outline::members;
use crate::source::program::jq_path;
use tidegate_json::{Paths, Pointer};

/// The text of the object in `body` where the records should be, if it is a record. `Err` says what it is instead; `arrays` are
/// some of the arrays in it.
pub(super) fn is_record<'b>(
    body: &'b str,
    shape: &Shape,
    arrays: &[String],
) -> Result<&'b str, String> {
    let at = &shape.records_at;
    let expected = match at.as_str() {
        "" => "the body".to_owned(),
        at => format!("`{at}`"),
    };
    let wrong = |why: &str| {
        Err(format!(
            "has an object as {expected}, not an array of records{why}"
        ))
    };
    let text = Pointer::parse(at).ok().and_then(|at| value_at(body, &at));
    let (text, by_jq) = (text.unwrap_or("{}"), jq_path(at));
    let all = members(text);
    let mut own = all
        .iter()
        .filter(|member| !member.pointer[1..].contains('/'))
        .peekable();
    let is_empty = own.peek().is_none();
    if is_empty && !at.is_empty() {
        return if shape.missing_is_empty {
            Ok("null")
        } else {
            wrong(", and it is empty; if that means no records, set SOURCE_RECORDS_MISSING=empty")
        };
    }
    if !is_empty && own.all(|member| member.text.starts_with('{')) && error_in(body).is_none() {
        return wrong(&format!(
            "; if its members are records, set SOURCE_RECORDS={by_jq}[], or SOURCE_RECORDS={by_jq} | to_entries[] | {{key}} + .value to have their names as `key`"
        ));
    }
    let hint = hint(at, arrays);
    if at.is_empty() {
        return wrong(&hint);
    }
    let missing = shape.known_by.iter().find(|known| {
        let value = value_at(text, known);
        value.is_none_or(|value| value == "null")
    });
    match missing {
        Some(missing) => wrong(&format!("{hint}; a single record would have a `{missing}`")),
        None if shape.known_by.is_empty() => wrong(&format!(
            "{hint}; if it is one record, set SOURCE_RECORDS={by_jq}, which takes an array of records too"
        )),
        None => Ok(text),
    }
}

/// The pointer to an error that the body, an object, tells of.
pub(super) fn error_in(body: &str) -> Option<String> {
    let says = |text: &str| !matches!(text, "null" | "false" | "0" | "\"\"" | "[]" | "{}");
    let all = members(body);
    let mut errors = all.iter().filter(|member| {
        matches!(member.pointer.as_str(), "/error" | "/errors") && says(member.text)
    });
    errors.next().map(|error| error.pointer.clone())
}

fn value_at<'b>(body: &'b str, at: &Pointer) -> Option<&'b str> {
    let mut paths = Paths::default();
    let slot = paths.add(at);
    let mut found = vec![None; paths.slots()];
    paths.read(body, &mut found).ok()?;
    found[slot]
}

fn hint(at: &str, arrays: &[String]) -> String {
    if arrays.is_empty() {
        return ", and no array in it".to_owned();
    }
    let named: Vec<String> = arrays
        .iter()
        .map(|array| quoted(&format!("{at}{array}")))
        .collect();
    format!("; set SOURCE_RECORDS, such as {}", named.join(" or "))
}
