//! An object where the array of records should be: one record, as some sources send one where they have one; or something else.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Shape;
use crate::failure::quoted;
use crate::source::outline::{Member, elements, members};
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
    // Of a document, the root element is the only member.
    let is_document = shape.is_xml && at.is_empty();
    if !is_document
        && !is_empty
        && own.all(|member| member.text.starts_with('{'))
        && error_in(body, at, shape.is_xml).is_none()
    {
        return wrong(&format!(
            "; if its members are records, set SOURCE_RECORDS={by_jq}[], or SOURCE_RECORDS={by_jq} | to_entries[] | {{key}} + .value to have their names as `key`"
        ));
    }
    let deeper = |member: &&Member<'_>| is_document && member.objects().is_some();
    let deeper = all.iter().filter(deeper).take(super::HINTS_MAX);
    let deeper = deeper.map(|member| member.pointer.clone());
    let arrays: Vec<String> = arrays.iter().cloned().chain(deeper).collect();
    let hint = hint(at, &arrays);
    if at.is_empty() {
        return wrong(&hint);
    }
    let missing = shape.known_by.iter().find(|known| {
        let value = value_at(text, known);
        value.is_none_or(|value| value == "null")
    });
    // In XML a record's own elements are arrays as soon as there are two of a name. Where they have what records have, it is
    // they that are the records.
    let has_records = |member: &Member<'_>| {
        let first = elements(member.text).unwrap_or_default();
        let first = first.first().copied().unwrap_or_default();
        let mut known = shape.known_by.iter();
        known.all(|known| value_at(first, known).is_some())
    };
    let has_objects = |member: &Member<'_>| {
        let has_objects = member.objects().is_some_and(|objects| objects > 0);
        has_objects && (!shape.is_xml || has_records(member))
    };
    match missing {
        Some(missing) => wrong(&format!("{hint}; a single record would have a `{missing}`")),
        None if shape.known_by.is_empty() && !shape.is_xml => wrong(&format!(
            "{hint}; if it is one record, set SOURCE_RECORDS={by_jq}, which takes an array of records too"
        )),
        None => {
            if let Some(array) = all.iter().find(|member| has_objects(member)) {
                let at = quoted(&format!("{at}{}", array.pointer));
                return wrong(&format!(
                    "{hint}; {at} has objects in it: if it is one record all the same, set SOURCE_RECORDS={by_jq}"
                ));
            }
            match error_in(text, "", shape.is_xml) {
                Some(error) => wrong(&format!(", and an error at `{at}{error}`")),
                None => Ok(text),
            }
        }
    }
}

/// Names that an error has, in lower case and without marks between their words.
const ERRORS: [&str; 6] = [
    "error",
    "errors",
    "fault",
    "errormessage",
    "errorcode",
    "exception",
];
/// Objects beside the records that tell how the request went.
const TELL: [&str; 6] = ["meta", "response", "result", "header", "status", "data"];

/// The pointer to an error that the body, an object, tells of: at its top, on the way to the records at `records_at`, or in an
/// object beside them that tells how the request went.
/// Where it came `as_xml`, all values are texts, and names may have a prefix.
pub(super) fn error_in(body: &str, records_at: &str, as_xml: bool) -> Option<String> {
    let says = |text: &str| !matches!(text, "null" | "false" | "0" | "\"\"" | "" | "[]" | "{}");
    let is_error = |name: &str, text: &str| {
        let own = name.rsplit_once(':').filter(|_| as_xml);
        let name = own.map_or(name, |(_, name)| name);
        let text = if as_xml { text.trim_matches('"') } else { text };
        let name: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
        let text = text.to_ascii_lowercase();
        match name.to_lowercase().as_str() {
            "success" | "ok" => text == "false",
            "status" => matches!(
                text.trim_matches('"'),
                "error" | "fail" | "failed" | "failure"
            ),
            "code" | "statuscode" => text.parse::<u64>().is_ok_and(|code| code >= 400),
            name => ERRORS.contains(&name) && says(&text),
        }
    };
    let all = members(body);
    let mut errors = all.iter().filter(|member| {
        let (parent, name) = member.pointer.rsplit_once('/').unwrap_or_default();
        let is_way = parent.is_empty() || records_at.starts_with(&format!("{parent}/"));
        let tells = || TELL.contains(&parent[1..].to_lowercase().as_str());
        (is_way || tells()) && is_error(name, member.text)
    });
    errors.next().map(|error| error.pointer.clone())
}

/// Whether a body that came as XML may lack what `shape` reads of it. `Err`: it is another document, or has several elements
/// on the way, where the settings have one; what is there would be taken for what is not.
pub(super) fn check_way(body: &str, shape: &Shape) -> Result<(), String> {
    let records_at = Some(shape.records_at.as_str()).filter(|at| !at.is_empty());
    let root = body
        .strip_prefix("{\"")
        .and_then(|body| body.split('"').next());
    let expected = records_at.and_then(|at| at.split('/').nth(1));
    if let (Some(root), Some(expected)) = (root, expected)
        && root != expected
    {
        return Err(format!(
            "has the root element {}, not {} (SOURCE_RECORDS)",
            quoted(root),
            quoted(expected)
        ));
    }
    for (end, _) in shape.records_at.match_indices('/').skip(1) {
        other_prefix(body, &shape.records_at, end)?;
    }
    let others = shape.others.iter().map(Pointer::text);
    for at in records_at.into_iter().chain(others) {
        for (end, _) in at.match_indices('/').skip(1) {
            let way = Pointer::parse(&at[..end]).ok();
            let value = way.and_then(|way| value_at(body, &way));
            if value.is_some_and(|value| value.starts_with('[')) {
                return Err(format!(
                    "has several elements at {}, and {} needs one: give a jq program, such as `{}[]{}?`",
                    quoted(&at[..end]),
                    quoted(at),
                    jq_path(&at[..end]),
                    jq_path(&at[end..])
                ));
            }
        }
    }
    Ok(())
}

/// `Err`: in place of the step behind `end` of the way to the records, there is one of the same name with another prefix.
fn other_prefix(body: &str, at: &str, end: usize) -> Result<(), String> {
    let way = Pointer::parse(&at[..end]).ok();
    let Some(value) = way.and_then(|way| value_at(body, &way)) else {
        return Ok(());
    };
    let step = at[end + 1..].split('/').next().unwrap_or_default();
    let here: BTreeMap<String, &RawValue> = serde_json::from_str(value).unwrap_or_default();
    let local = |name: &str| name.rsplit(':').next().unwrap_or_default().to_owned();
    let mut others = here.keys().filter(|name| local(name) == local(step));
    match others.next() {
        Some(other) if !here.contains_key(step) => Err(format!(
            "has {} at {}, not {} (SOURCE_RECORDS)",
            quoted(other),
            quoted(&at[..end]),
            quoted(step)
        )),
        _ => Ok(()),
    }
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
