//! Which member of the records looks like their key, and which like the time of their last change.

use std::collections::BTreeSet;

use super::{Suggestion, suggestion};
use crate::cursor::{CursorSettings, Form, Kind, Value, Zone, epoch_of};
use crate::failure::quoted;
use crate::source::outline::{Member, members};
use tidegate_json::{Paths, Pointer};

/// Records that are looked at: the others of the page are like them, or the person will see it soon.
const RECORDS_MAX: usize = 200;
/// Names of a key, the likelier first.
const KEYS: [&str; 7] = ["id", "uuid", "guid", "key", "number", "code", "sysid"];
/// Names of the time of a change, the likelier first. The time of creation is none: it misses edits.
const CHANGED: [&str; 18] = [
    "updatedat",
    "updated",
    "modifiedat",
    "modified",
    "lastmodified",
    "lastmodifieddate",
    "lastmodifiedat",
    "lastupdated",
    "lastupdatedat",
    "lasteditedtime",
    "datemodified",
    "modifieddate",
    "modifiedon",
    "changedat",
    "systemmodstamp",
    "updatedtime",
    "updatedon",
    "hslastmodifieddate",
];

/// What was recognised, in one line, and the settings that follow it.
pub struct Field {
    /// For the finding.
    pub found: String,
    /// For the settings.
    pub suggestions: Vec<Suggestion>,
}

/// The member that tells the records apart.
pub fn key(records: &[&str]) -> Option<Field> {
    let first = members(records.first()?);
    let by_name = KEYS
        .iter()
        .find_map(|name| first.iter().find(|member| member.name == *name));
    let by_ending = || first.iter().find(|member| member.name.ends_with("id"));
    let key = by_name.or_else(by_ending)?;
    let values = values(records, key);
    let are_keys = values
        .iter()
        .all(|text| text.starts_with('"') || text.parse::<i128>().is_ok());
    let mut different: BTreeSet<&str> = BTreeSet::new();
    different.extend(values.iter().map(String::as_str));
    if !are_keys || values.len() != looked_at(records) || different.len() != values.len() {
        return None;
    }
    Some(Field {
        found: format!(
            "`{}` is in every record, and different in each",
            key.pointer
        ),
        suggestions: vec![suggestion(
            "PRIMARY_KEY",
            &key.pointer,
            "tells the records apart",
        )],
    })
}

/// The member that says when a record changed.
pub fn cursor(records: &[&str]) -> Option<Field> {
    let first = members(records.first()?);
    let changed = CHANGED
        .iter()
        .find_map(|name| first.iter().find(|member| member.name == *name))?;
    let at = &changed.pointer;
    let values = values(records, changed);
    if values.len() != looked_at(records) {
        let missing = looked_at(records) - values.len();
        return Some(Field {
            found: format!("`{at}` looks like one, but {missing} of the records have none"),
            suggestions: Vec::new(),
        });
    }
    let mut suggestions = vec![suggestion("SOURCE_CURSOR", at, "when a record changed")];
    match told(&values) {
        Ok((kind, further)) => {
            suggestions.extend(further);
            Some(Field {
                found: format!(
                    "`{at}` is in every record, of kind `{}`; the API's documentation says which parameter takes it: SOURCE_CURSOR_TO",
                    kind.word()
                ),
                suggestions,
            })
        }
        Err(why) => Some(Field {
            found: format!("`{at}` looks like one, but {why}"),
            suggestions: Vec::new(),
        }),
    }
}

/// What the cursor is that the settings name.
pub fn named_cursor(records: &[&str], set: &CursorSettings) -> Field {
    let Some(pointer) = &set.pointer else {
        return Field {
            found: "the source's clock, as SOURCE_CURSOR_KIND says".to_owned(),
            suggestions: Vec::new(),
        };
    };
    let at = quoted(pointer.text());
    let plain = |found: String| Field {
        found,
        suggestions: Vec::new(),
    };
    if let Some(kind) = set.kind {
        return plain(format!(
            "{at} as SOURCE_CURSOR says, kind `{}` as set",
            kind.word()
        ));
    }
    let first = records.first().map(|first| members(first));
    let member = first
        .iter()
        .flatten()
        .find(|member| member.pointer == pointer.text());
    let values = member
        .map(|member| values(records, member))
        .unwrap_or_default();
    if values.is_empty() {
        return plain(format!(
            "{at} as SOURCE_CURSOR says; the first record has none"
        ));
    }
    match told(&values) {
        Ok((kind, suggestions)) => {
            let word = kind.word();
            let how = if suggestions
                .iter()
                .any(|line| line.name == "SOURCE_CURSOR_KIND")
            {
                "proposed: a run never detects it"
            } else {
                "detected"
            };
            Field {
                found: format!("{at} as SOURCE_CURSOR says, kind `{word}` ({how})"),
                suggestions,
            }
        }
        Err(why) => plain(format!("{at} as SOURCE_CURSOR says, but {why}")),
    }
}

/// The kind that fits all values, and the settings that it needs.
fn told(values: &[String]) -> Result<(Kind, Vec<Suggestion>), String> {
    let mut suggestions = Vec::new();
    let kind = match (kind_of(values, None), kind_of(values, Some(Zone::UTC))) {
        (Ok(kind), _) => kind,
        (Err(_), Ok(kind)) => {
            let reason = "a guess: the times have no zone; see the API's documentation";
            suggestions.push(suggestion("SOURCE_CURSOR_ZONE", "UTC", reason));
            kind
        }
        (Err(why), Err(_)) => return Err(why),
    };
    // People read a form of its own in few places, and sources take it in fewer.
    if matches!(kind, Kind::MsJson) {
        let reason = "a guess: few sources take `/Date(…)/` in a filter";
        suggestions.push(suggestion(
            "SOURCE_CURSOR_KIND",
            kind.word(),
            "as the records have it",
        ));
        suggestions.push(suggestion("SOURCE_CURSOR_SEND", "rfc3339", reason));
    }
    if matches!(kind, Kind::Epoch | Kind::EpochMs) {
        suggestions.push(suggestion(
            "SOURCE_CURSOR_KIND",
            kind.word(),
            "a run never detects an epoch itself",
        ));
    }
    Ok((kind, suggestions))
}

/// The kind that fits all values.
fn kind_of(values: &[String], zone: Option<Zone>) -> Result<Kind, String> {
    let mut epochs = values
        .iter()
        .map(|text| epoch_of(text.trim_matches('"')).map(Kind::word));
    let first = epochs.next().flatten();
    if let Some(word) = first
        && epochs.all(|word| word == first)
        && let Some(kind) = Kind::named(word)
    {
        return Ok(kind);
    }
    let kind = Kind::of(&Value::of(&values[0])?, zone)?;
    for text in values {
        Form { kind, zone }.point(&Value::of(text)?.text)?;
    }
    Ok(kind)
}

fn looked_at(records: &[&str]) -> usize {
    records.len().min(RECORDS_MAX)
}

/// The JSON texts at the place of `member` in the records that are looked at, null left out.
fn values(records: &[&str], member: &Member<'_>) -> Vec<String> {
    let of = |record: &&str| {
        let members = members(record);
        let found = members
            .iter()
            .find(|other| other.pointer == member.pointer)?;
        (found.text != "null").then(|| found.text.to_owned())
    };
    records.iter().take(RECORDS_MAX).filter_map(of).collect()
}

/// How many records of a page a later one of the same key replaces. `lines` are records as they would be published, one a
/// line; `None`: each has a key of its own, or there is no key.
pub fn superseded(key: &[Pointer], lines: &[u8]) -> Option<String> {
    if key.is_empty() {
        return None;
    }
    let mut paths = Paths::default();
    let slots: Vec<usize> = key.iter().map(|part| paths.add(part)).collect();
    let (mut records, mut keys) = (0, BTreeSet::new());
    for line in String::from_utf8_lossy(lines).lines() {
        let mut found = vec![None; paths.slots()];
        paths.read(line, &mut found).ok()?;
        let key: Vec<Option<String>> = slots
            .iter()
            .map(|slot| found[*slot].map(str::to_owned))
            .collect();
        records += 1;
        keys.insert(key);
    }
    let own = keys.len() as u64;
    (own < records).then(|| {
        let refused = if own * 2 < records {
            "; `run` refuses a first set in which most records share their key"
        } else {
            ""
        };
        format!(
            "{} of {records} records have a later one with the same PRIMARY_KEY, which replaces them{refused}",
            records - own
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(field: Option<Field>) -> Vec<String> {
        field
            .map(|field| field.suggestions)
            .unwrap_or_default()
            .into_iter()
            .map(|line| format!("{}={}", line.name, line.value))
            .collect()
    }

    #[test]
    fn a_key_is_in_every_record_and_different_in_each() {
        assert_eq!(
            lines(key(&[r#"{"id":1}"#, r#"{"id":2}"#])),
            ["PRIMARY_KEY=/id"]
        );
        assert_eq!(
            lines(key(&[r#"{"order_id":"a"}"#])),
            ["PRIMARY_KEY=/order_id"]
        );
        assert_eq!(lines(key(&[r#"{"id":1}"#, r#"{"id":1}"#])), [""; 0]);
        assert_eq!(lines(key(&[r#"{"id":1}"#, "{}"])), [""; 0]);
        assert_eq!(lines(key(&[r#"{"id":1.5}"#])), [""; 0]);
        assert_eq!(lines(key(&[])), [""; 0]);
    }

    #[test]
    fn a_cursor_is_told_with_its_kind() {
        assert_eq!(
            lines(cursor(&[r#"{"updatedAt":"2026-11-23T06:00:00Z"}"#])),
            ["SOURCE_CURSOR=/updatedAt"]
        );
        assert_eq!(
            lines(cursor(&[
                r#"{"properties":{"updated":1795413600000}}"#,
                r#"{"properties":{"updated":1795413600001}}"#
            ])),
            [
                "SOURCE_CURSOR=/properties/updated",
                "SOURCE_CURSOR_KIND=epoch-ms"
            ]
        );
    }

    #[test]
    fn a_cursor_that_some_lack_or_that_no_kind_fits_is_only_mentioned() {
        let some = cursor(&[
            r#"{"updated":"2026-11-23T06:00:00Z"}"#,
            r#"{"updated":null}"#,
        ]);
        let number = cursor(&[r#"{"updated":1.5}"#]);

        assert!(some.as_ref().unwrap().found.contains("1 of the records"));
        assert!(number.as_ref().unwrap().found.contains("is not an integer"));
        assert_eq!((lines(some), lines(number)), (vec![], vec![]));
    }

    #[test]
    fn times_without_a_zone_ask_for_one() {
        assert_eq!(
            lines(cursor(&[r#"{"updated":"2026-11-23T06:00:00"}"#])),
            ["SOURCE_CURSOR=/updated", "SOURCE_CURSOR_ZONE=UTC"]
        );
    }

    #[test]
    fn when_a_record_was_made_is_no_cursor() {
        assert!(cursor(&[r#"{"created_at":"2026-11-23T06:00:00Z"}"#]).is_none());
    }
}
