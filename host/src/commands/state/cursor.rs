//! A state with another cursor in it: of the built-in component, and of any other whose state is an object with a `cursor`.
//!
//! Whether the component takes it is the component's to say.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::value::{RawValue, to_raw_value};

/// The members of an object, each as it was written.
type Members = BTreeMap<String, Box<RawValue>>;

/// What a cursor is asked by is no other cursor's: these go.
const OF_THE_OLD_ONE: [&str; 4] = ["known", "before", "empty", "seen"];

/// A state that was changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Changed {
    pub state: String,
    /// Whether the cursor tells people nothing, and may be a secret of the source's.
    pub is_token: bool,
}

/// `state` with the cursor `value`; of several, with that of `each` alone. `Err` says why there is none to set.
pub fn set(state: &str, value: &str, each: Option<&str>) -> Result<Changed, String> {
    let mut members = members(state).ok_or("the state is no JSON object")?;
    let is_token = if members.contains_key("cursor") {
        none_of_several(each)?;
        set_one(&mut members, value)?
    } else if let Some(parents) = members.get("parents") {
        none_of_several(each)?;
        let mut of = self::members(parents.get()).ok_or(NO_CURSOR)?;
        let is_token = set_one(&mut of, value)?;
        members.insert("parents".to_owned(), raw(&of)?);
        is_token
    } else if let Some(all) = members.get("each") {
        let all = self::members(all.get()).ok_or(NO_CURSOR)?;
        let (all, is_token) =
            set_each(all, text(member(&members, "kind")).as_deref(), value, each)?;
        members.insert("each".to_owned(), raw(&all)?);
        members.remove("at");
        is_token
    } else {
        return Err(NO_CURSOR.to_owned());
    };
    let state = raw(&members)?.get().to_owned();
    Ok(Changed { state, is_token })
}

/// The one cursor of a state, none of a token; `None`: the state has no such cursor, or several.
#[expect(
    clippy::option_option,
    reason = "no cursor that is shown, and nothing to find one in"
)]
pub fn of(state: &str) -> Option<Option<String>> {
    let members = members(state)?;
    let cursor = text(member(&members, "cursor")).filter(|cursor| cursor.len() <= SHOWN_BYTES)?;
    let is_token = text(member(&members, "kind")).as_deref() == Some("token");
    Some((!is_token).then_some(cursor))
}

/// A cursor that people are shown is no longer.
const SHOWN_BYTES: usize = 4 * 1024;

const NO_CURSOR: &str =
    "the state has no cursor: change it in an export (`tidegate state export`), and import that";

fn none_of_several(each: Option<&str>) -> Result<(), String> {
    each.map_or(Ok(()), |_| {
        Err("`--each` names one of several values, and the state has one cursor for all".to_owned())
    })
}

fn set_each(
    mut all: Members,
    kind: Option<&str>,
    value: &str,
    each: Option<&str>,
) -> Result<(Members, bool), String> {
    if let Some(name) = each.filter(|name| !all.contains_key(*name)) {
        let known: Vec<&str> = all.keys().map(String::as_str).take(10).collect();
        return Err(format!(
            "the state has no value `{}`: it has {}",
            name.escape_debug(),
            known.join(", ").escape_debug()
        ));
    }
    let (mut is_token, mut set, mut why) = (false, 0, NO_CURSOR.to_owned());
    for (name, one) in &mut all {
        if each.is_some_and(|each| each != name) {
            continue;
        }
        let Some(mut members) = members(one.get()) else {
            // Its kind is written once for all.
            is_token |= kind == Some("token");
            *one = raw(&value)?;
            set += 1;
            continue;
        };
        match set_one(&mut members, value) {
            Ok(token) => {
                is_token |= token;
                *one = raw(&members)?;
                set += 1;
            }
            Err(because) => why = because,
        }
    }
    if set == 0 {
        return Err(why);
    }
    Ok((all, is_token))
}

/// Sets the cursor among these members. Returns whether it is a token.
fn set_one(members: &mut Members, value: &str) -> Result<bool, String> {
    let Some(kind) = members.get("kind") else {
        let before = members.get("cursor").ok_or(NO_CURSOR)?.get();
        let is_text = before.starts_with('"') || before == "null";
        let cursor = if is_text {
            raw(&value)?
        } else {
            let number: serde_json::Number = value
                .parse()
                .map_err(|_| "the cursor in the state is a number: give one".to_owned())?;
            raw(&number)?
        };
        members.insert("cursor".to_owned(), cursor);
        return Ok(false);
    };
    let Some(kind) = text(Some(kind)) else {
        return Err(
            "the state has no cursor yet: the job has none, or no record had one".to_owned(),
        );
    };
    members.insert("cursor".to_owned(), raw(&value)?);
    for name in OF_THE_OLD_ONE {
        members.remove(name);
    }
    Ok(kind == "token")
}

fn members(json: &str) -> Option<Members> {
    serde_json::from_str(json).ok()
}

fn member<'m>(members: &'m Members, name: &str) -> Option<&'m RawValue> {
    members.get(name).map(Box::as_ref)
}

fn text(json: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(json?.get()).ok()
}

fn raw(value: &impl serde::Serialize) -> Result<Box<RawValue>, String> {
    to_raw_value(value).map_err(|error| error.to_string())
}

/// Whether `now` is behind `before`, where both are numbers or times.
pub fn compared(before: &str, now: &str) -> Option<Ordering> {
    if let (Ok(before), Ok(now)) = (before.parse::<i128>(), now.parse::<i128>()) {
        return Some(now.cmp(&before));
    }
    let time = |text: &str| text.parse::<Timestamp>().ok();
    Some(time(now)?.cmp(&time(before)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &str, value: &str) -> Result<String, String> {
        set(text, value, None).map(|changed| changed.state)
    }

    #[test]
    fn a_cursor_is_replaced_and_what_belongs_to_the_old_one_goes() {
        let old = r#"{"v":2,"kind":"time","cursor":"a","zone":"UTC","known":"b","seen":{"x":1}}"#;
        assert_eq!(
            state(old, "c").unwrap(),
            r#"{"cursor":"c","kind":"time","v":2,"zone":"UTC"}"#
        );
        let token = r#"{"v":2,"kind":"token","cursor":"a"}"#;
        assert!(set(token, "c", None).unwrap().is_token);
    }

    #[test]
    fn a_state_of_another_component_keeps_all_but_its_cursor() {
        assert_eq!(
            state(r#"{"cursor":12345678901234567890123,"n":1.10}"#, "7").unwrap(),
            r#"{"cursor":7,"n":1.10}"#
        );
        assert!(state(r#"{"cursor":1}"#, "x").is_err());
        assert_eq!(
            state(r#"{"cursor":null}"#, "7").unwrap(),
            r#"{"cursor":"7"}"#
        );
    }

    #[test]
    fn of_several_cursors_all_are_set_or_one() {
        let old = r#"{"v":3,"kind":"time","each":{"eu":"a","us":"b"},"at":"us"}"#;
        assert_eq!(
            state(old, "c").unwrap(),
            r#"{"each":{"eu":"c","us":"c"},"kind":"time","v":3}"#
        );
        let one = set(old, "c", Some("us")).unwrap();
        assert_eq!(
            one.state,
            r#"{"each":{"eu":"a","us":"c"},"kind":"time","v":3}"#
        );
        let unknown = set(old, "c", Some("uk")).unwrap_err();
        assert!(unknown.contains("it has eu, us"), "{unknown}");
        let parents = r#"{"v":3,"parents":{"v":2,"kind":"time","cursor":"a"}}"#;
        assert_eq!(
            state(parents, "c").unwrap(),
            r#"{"parents":{"cursor":"c","kind":"time","v":2},"v":3}"#
        );
    }

    #[test]
    fn the_cursor_that_people_are_shown_is_the_one_in_the_state() {
        let shown = Some(Some("a".to_owned()));
        assert_eq!(of(r#"{"kind":"time","cursor":"a"}"#), shown);
        assert_eq!(of(r#"{"kind":"token","cursor":"a"}"#), Some(None));
        assert_eq!(of(r#"{"each":{}}"#), None);
    }

    #[test]
    fn where_there_is_no_cursor_none_is_set() {
        for old in [
            "[1]",
            "{}",
            r#"{"v":2,"kind":null,"cursor":null}"#,
            r#"{"v":3,"each":{"eu":{"kind":null,"cursor":null}}}"#,
        ] {
            assert!(state(old, "c").is_err(), "{old}");
        }
        assert!(set(r#"{"kind":"time","cursor":"a"}"#, "c", Some("eu")).is_err());
    }

    #[test]
    fn numbers_and_times_are_compared_and_nothing_else() {
        assert_eq!(compared("9", "10"), Some(Ordering::Greater));
        let (early, late) = ("2026-11-01T00:00:00Z", "2026-11-01T00:30:00-01:00");
        assert_eq!(compared(early, late), Some(Ordering::Greater));
        assert_eq!(compared(late, early), Some(Ordering::Less));
        assert_eq!(compared("a", "b"), None);
    }
}
