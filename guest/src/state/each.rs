//! The state of a run that fetched for several values: what each of them left.
//!
//! Version 3 is `{"v":3,"each":{VALUE:STATE,…}}`, with `"at"` where a portion ended within a value. `STATE` is a state of version 2
//! without its version, or the cursor alone where `"kind"` and `"zone"`, which are beside `"each"` then, say the rest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{State, VERSION, VERSION_OF_EACH, Written, read};
use crate::cursor::{Form, Kind, Position};
use crate::failure::Failure;
use crate::source::string;

/// The host takes no larger state.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What a run that fetched for several values leaves for the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EachState {
    /// What was left for each value.
    pub of: BTreeMap<String, State>,
    /// The value within which a portion ended: the next one goes on there.
    pub at: Option<String>,
    /// Whether what is published came by changes, so that it is to be kept.
    pub is_kept: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    v: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// Where no value has a cursor that says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    kept: bool,
    /// A cursor, or a whole state.
    each: BTreeMap<String, Box<RawValue>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfParents {
    v: u64,
    parents: Box<RawValue>,
}

/// The state of a run that fetched for the records of a request (SOURCE_EACH_URL), which left this one.
pub fn of_parents(state: &str) -> String {
    let parents = RawValue::from_string(state.to_owned()).expect("a state is JSON");
    let v = VERSION_OF_EACH;
    serde_json::to_string(&OfParents { v, parents }).expect("plain members are always JSON")
}

/// The state that the request before the others left. `Err` as for [`State::read`].
pub fn for_parents(text: Option<&str>, full_refresh: bool) -> Result<Option<String>, Failure> {
    read(text, full_refresh, |v, text| {
        if v == Some(VERSION_OF_EACH) {
            return inner(text).map(|state| Some(state.text()));
        }
        let one = State::read_known(v, text)?;
        match one.position.kind {
            None => Ok(Some(one.text())),
            Some(_) => Err("it has a cursor of records, not of their parents".to_owned()),
        }
    })
}

fn inner(text: &str) -> Result<State, String> {
    let of: OfParents = serde_json::from_str(text).map_err(|error| error.to_string())?;
    State::read_known(Some(VERSION), of.parents.get())
}

/// A state of several fetches as that of one, which it can be where nothing has a cursor.
pub(super) fn as_one(text: &str) -> Result<State, String> {
    let has_cursor = match EachState::read_known(text) {
        Ok(state) => state.is_kept,
        Err(_) => inner(text)?.position.kind.is_some(),
    };
    if has_cursor {
        return Err(
            "it has the cursors of SOURCE_EACH or SOURCE_EACH_URL, which is not set".to_owned(),
        );
    }
    Ok(State::default())
}

impl EachState {
    /// Reads the state of the last run; no text is the state before the first. `Err` as for [`State::read`].
    pub fn read(text: Option<&str>, full_refresh: bool) -> Result<Self, Failure> {
        read(text, full_refresh, |v, text| {
            if let (Some(VERSION_OF_EACH), Ok(state)) = (v, Self::read_known(text)) {
                return Ok(state);
            }
            let one = State::read_known(v, text)?;
            match one.position.kind {
                None => Ok(Self::default()),
                Some(_) => Err("it has one cursor for all, as SOURCE_EACH was not set".to_owned()),
            }
        })
    }

    fn read_known(text: &str) -> Result<Self, String> {
        let text: Text = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut of = BTreeMap::new();
        for (value, one) in text.each {
            let one = one.get();
            let written = if one.starts_with('"') {
                serde_json::from_str(one).map(|cursor| Written {
                    v: VERSION,
                    kind: text.kind.clone(),
                    cursor: Some(cursor),
                    zone: text.zone.clone(),
                    ..Written::default()
                })
            } else {
                serde_json::from_str(one)
            };
            let written = written.map_err(|error| error.to_string())?;
            of.insert(value, State::of(written)?);
        }
        let mut state = Self {
            of,
            at: text.at,
            is_kept: text.kept,
        };
        state.is_kept |= state.has_cursor();
        Ok(state)
    }

    /// The text for the next run. `Err`: the values are too many for one.
    pub fn text(&self) -> Result<String, Failure> {
        let text = self.text_of(true);
        let text = if text.len() > TEXT_BYTES_MAX {
            // What was seen of a value costs a request at most.
            self.text_of(false)
        } else {
            text
        };
        if text.len() <= TEXT_BYTES_MAX {
            return Ok(text);
        }
        Err(Failure::setting(
            "SOURCE_EACH",
            format!(
                "the cursors of {} values take {} bytes, more than the {TEXT_BYTES_MAX} of a state: make several jobs of this one",
                self.of.len(),
                text.len()
            ),
        ))
    }

    fn text_of(&self, is_seen_kept: bool) -> String {
        let first = self
            .of
            .values()
            .find(|state| state.position.cursor.is_some());
        let shared = first.map(|state| Position {
            kind: state.position.kind,
            zone: state.position.zone,
            ..Position::default()
        });
        let one = |state: &State| {
            let seen = state.seen.clone().filter(|_| is_seen_kept);
            let rest = Position {
                cursor: None,
                ..state.position.clone()
            };
            let json = match &state.position.cursor {
                Some(cursor) if seen.is_none() && Some(rest) == shared => string(cursor),
                _ => State {
                    seen,
                    ..state.clone()
                }
                .text(),
            };
            RawValue::from_string(json).expect("a state is JSON")
        };
        // Collecting sorts, which is six kilobytes of code for each type.
        let mut each = BTreeMap::new();
        for (value, state) in &self.of {
            if state.position.cursor.is_some() || state.seen.is_some() {
                each.insert(value.clone(), one(state));
            }
        }
        let position = shared.clone().unwrap_or_default();
        let text = Text {
            v: VERSION_OF_EACH,
            kind: position.kind.map(|kind| kind.word().to_owned()),
            zone: position.zone.map(|zone| zone.to_string()),
            at: self.at.clone(),
            kept: self.is_kept && !self.has_cursor(),
            each,
        };
        serde_json::to_string(&text).expect("plain members are always JSON")
    }

    /// Whether a value has a cursor.
    fn has_cursor(&self) -> bool {
        self.of
            .values()
            .any(|state| state.position.cursor.is_some())
    }

    /// The greatest cursor, for people to read.
    pub fn shown_cursor(&self) -> Option<String> {
        let form = |position: &Position| {
            let kind = position.kind.filter(|kind| *kind != Kind::Token)?;
            Some(Form {
                kind,
                zone: position.zone,
            })
        };
        let positions = self.of.values().map(|state| &state.position);
        let cursors = positions.filter_map(|position| {
            let cursor = position.cursor.as_deref()?;
            Some((form(position)?.point(cursor).ok()?, cursor))
        });
        let greatest = cursors.max_by(|(one, _), (other, _)| one.cmp(other));
        greatest.map(|(_, cursor)| cursor.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &str) -> EachState {
        EachState::read(Some(text), false).unwrap()
    }

    #[test]
    fn cursors_of_one_kind_stand_alone() {
        let text = r#"{"v":3,"kind":"date","each":{"a":"2026-11-23","c":{"v":2,"kind":"date","cursor":"2026-11-24","empty":true}}}"#;

        let state = state(text);

        assert_eq!(state.text().as_deref(), Ok(text));
        assert_eq!(state.shown_cursor().as_deref(), Some("2026-11-24"));
        assert!(state.has_cursor());
        assert!(state.of["c"].position.is_empty);
    }

    #[test]
    fn a_portion_says_where_it_ended() {
        let text = r#"{"v":3,"kind":"integer","at":"b","each":{"a":"7"}}"#;

        assert_eq!(state(text).at.as_deref(), Some("b"));
        assert_eq!(state(text).text().as_deref(), Ok(text));
    }

    #[test]
    fn a_state_of_one_fetch_fits_where_it_has_no_cursor() {
        let one = r#"{"v":2,"kind":"integer","cursor":"7"}"#;
        let none = r#"{"v":2,"kind":null,"cursor":null}"#;

        let refused = EachState::read(Some(one), false).unwrap_err().to_string();

        assert!(
            refused.contains("SOURCE_EACH was not set): run once with `--full-refresh`"),
            "{refused}"
        );
        assert_eq!(state(none), EachState::default());
        assert_eq!(EachState::read(Some(one), true), Ok(EachState::default()));
    }

    #[test]
    fn a_state_of_several_values_is_not_one_of_one() {
        let text = r#"{"v":3,"kind":"integer","each":{"a":"7"}}"#;

        let refused = State::read(Some(text), false).unwrap_err().to_string();

        assert!(
            refused.contains("SOURCE_EACH_URL, which is not set"),
            "{refused}"
        );
    }

    #[test]
    fn states_of_parents_and_of_records_are_told_apart() {
        let one = r#"{"v":2,"kind":"integer","cursor":"7"}"#;
        let parents = of_parents(one);
        let none = of_parents(&State::default().text());

        let refused = for_parents(Some(one), false).unwrap_err().to_string();

        assert!(
            refused.contains("a cursor of records, not of their parents"),
            "{refused}"
        );
        assert_eq!(for_parents(Some(&parents), false), Ok(Some(one.to_owned())));
        assert!(State::read(Some(&parents), false).is_err());
        assert!(EachState::read(Some(&parents), false).is_err());
        assert_eq!(State::read(Some(&none), false), Ok(State::default()));
        assert_eq!(
            EachState::read(Some(&none), false),
            Ok(EachState::default())
        );
    }

    #[test]
    fn what_came_by_changes_is_kept_though_no_value_that_is_left_has_a_cursor() {
        let text = r#"{"v":3,"kept":true,"each":{}}"#;

        assert!(state(text).is_kept);
        assert_eq!(state(text).text().as_deref(), Ok(text));
    }

    #[test]
    fn too_many_cursors_are_no_state() {
        let of = |values: usize| {
            let of = (0..values).map(|at| {
                let position = Position {
                    kind: Some(Kind::Text),
                    cursor: Some("x".repeat(80)),
                    ..Position::default()
                };
                (
                    at.to_string(),
                    State {
                        position,
                        seen: None,
                    },
                )
            });
            EachState {
                of: of.collect(),
                ..EachState::default()
            }
        };

        assert!(of(600).text().is_ok());
        let refused = of(1000).text().unwrap_err().to_string();
        assert!(
            refused.contains("the cursors of 1000 values take"),
            "{refused}"
        );
    }
}
