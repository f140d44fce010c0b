//! Records that are in no array of objects: which program makes them of the body.

use crate::source::jq_path;
use crate::source::outline::{Member, elements, members};

/// Objects that have only objects in them, and hold no records.
const NO_RECORDS: [&str; 9] = [
    "links",
    "_links",
    "link",
    "paging",
    "pagination",
    "meta",
    "metadata",
    "error",
    "errors",
];
/// Members that name the columns of rows.
const COLUMNS: [&str; 5] = ["columns", "headers", "header", "fields", "cols"];

/// A program that makes the records of a body, with what it does in a few words; `None`: nothing in it looks like records.
pub fn program(text: &str, all: &[Member<'_>]) -> Option<(String, &'static str)> {
    rows(text, all).or_else(|| by_key(text, all))
}

/// Rows that are arrays, under the names of their columns or below a first row of them.
fn rows(text: &str, all: &[Member<'_>]) -> Option<(String, &'static str)> {
    let body = ("", text.trim_ascii());
    let places = all
        .iter()
        .map(|member| (member.pointer.as_str(), member.text));
    let is_row = |row: &&str| row.starts_with('[');
    let (at, rows) = std::iter::once(body).chain(places).find_map(|(at, text)| {
        let rows = elements(text).filter(|rows| !rows.is_empty() && rows.iter().all(is_row));
        Some((at, rows?))
    })?;
    let are_names = |row: &str| {
        let names = elements(row).unwrap_or_default();
        !names.is_empty() && names.iter().all(|name| name.starts_with('"'))
    };
    let make = "[$c, .] | transpose | map({(.[0]): .[1]}) | add";
    let names = all
        .iter()
        .find(|member| COLUMNS.contains(&member.name.as_str()) && are_names(member.text));
    if let Some(names) = names {
        let (names, rows) = (jq_path(&names.pointer), jq_path(at));
        let program = format!("{names} as $c | {rows}[] | {make}");
        return Some((
            program,
            "the rows are arrays, and the columns are named beside them",
        ));
    }
    let is_header = are_names(rows[0]) && rows.len() > 1;
    is_header.then(|| {
        let program = format!("{} | .[0] as $c | .[1:][] | {make}", jq_path(at));
        (
            program,
            "the rows are arrays, and the first one names the columns",
        )
    })
}

/// Records that are the members of an object.
fn by_key(text: &str, all: &[Member<'_>]) -> Option<(String, &'static str)> {
    let body = Member {
        pointer: String::new(),
        name: String::new(),
        within: String::new(),
        text: text.trim_ascii(),
    };
    let records = |place: &Member<'_>| {
        let inner = members(place.text);
        let mut own = inner
            .iter()
            .filter(|member| !member.pointer[1..].contains('/'))
            .peekable();
        own.peek()?;
        let own: Vec<&Member<'_>> = own.collect();
        let are_objects = own.iter().all(|member| {
            member.text.starts_with('{')
                && member.text != "{}"
                && !NO_RECORDS.contains(&member.name.as_str())
        });
        let has_id =
            |member: &&Member<'_>| members(member.text).iter().any(|own| own.pointer == "/id");
        are_objects.then(|| (own.len(), own.iter().all(has_id)))
    };
    let places = std::iter::once(&body).chain(all);
    let places = places.filter(|place| !NO_RECORDS.contains(&place.name.as_str()));
    let places = places.filter_map(|place| Some((records(place)?, place)));
    // Alone in an object, an object is rather what is around records.
    let ((_, have_ids), place) = places
        .filter(|((number, _), _)| *number > 1)
        .max_by_key(|((number, _), _)| *number)?;
    let path = jq_path(&place.pointer);
    Some(if have_ids {
        let path = path.trim_end_matches('.');
        (
            format!("{}[]", if path.is_empty() { "." } else { path }),
            "the records are the members of an object",
        )
    } else {
        (
            format!("{path} | to_entries[] | {{id: .key}} + .value"),
            "the records are the members of an object, and their names become `id`",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str) -> Option<String> {
        program(body, &members(body)).map(|(program, _)| program)
    }

    #[test]
    fn records_by_their_key_are_told_from_what_is_around_them() {
        assert_eq!(
            told(r#"{"data":{"a":{"v":1},"b":{"v":2}},"meta":{"x":{},"y":{}}}"#).as_deref(),
            Some(".data | to_entries[] | {id: .key} + .value")
        );
        assert_eq!(
            told(r#"{"a":{"id":1},"b":{"id":2}}"#).as_deref(),
            Some(".[]")
        );
        assert_eq!(
            told(r#"{"links":{"next":{"href":"/"},"self":{"href":"/"}}}"#),
            None
        );
        assert_eq!(told(r#"{"data":{"user":{"id":1}}}"#), None);
    }

    #[test]
    fn rows_have_their_columns_beside_them_or_in_the_first_row() {
        assert_eq!(
            told(r#"{"columns":["id","n"],"rows":[[1,2],[3,4]]}"#).as_deref(),
            Some(".columns as $c | .rows[] | [$c, .] | transpose | map({(.[0]): .[1]}) | add")
        );
        assert_eq!(
            told(r#"{"values":[["id","n"],["1","2"]]}"#).as_deref(),
            Some(
                ".values | .[0] as $c | .[1:][] | [$c, .] | transpose | map({(.[0]): .[1]}) | add"
            )
        );
        assert_eq!(told("[[1,2],[3,4]]"), None);
    }
}
