//! The body of a POST: JSON text in which one value is put, or put in place of another. All other bytes stay as they are.

use serde_json::value::RawValue;

use super::ask::Json;
use tidegate_json::{Paths, Pointer};

/// What stands for the cursor in a string of a body, and in the query of a URL.
pub const CURSOR: &str = "{cursor}";

/// Where a value goes: a range of the body's bytes, and what surrounds the value there.
struct Slot<'b> {
    start: usize,
    end: usize,
    /// What stands there; `None`: nothing yet.
    placeholder: Option<&'b str>,
    before: String,
}

/// `Err` says why no value can stand at `pointer` in `body`, which is JSON.
pub fn check(body: &str, pointer: &Pointer) -> Result<(), String> {
    slot(body, pointer).map(|_| ())
}

/// `body` with `value` at `pointer`: as a string where one stands, as a number where one stands and it is one; where nothing
/// or null stands, as `json` says.
pub fn with(body: &str, pointer: &Pointer, value: &str, json: Json) -> Result<String, String> {
    let slot = slot(body, pointer)?;
    let json = match slot.placeholder.map(|found| found.as_bytes()[0]) {
        Some(b'"') => Json::Text,
        Some(b'-' | b'0'..=b'9') => Json::Number,
        _ => json,
    };
    let value = if json == Json::Number && is_number(value) {
        value.to_owned()
    } else {
        string(value)
    };
    let (before, after) = (&body[..slot.start], &body[slot.end..]);
    Ok([before, &slot.before, &value, after].concat())
}

/// `body` with the cursor in its strings replaced by `value`.
pub fn with_cursor(body: &str, value: &str) -> String {
    let quoted = string(value);
    // Outside of a string it cannot stand: the body is JSON.
    body.replace(CURSOR, &quoted[1..quoted.len() - 1])
}

fn slot<'b>(body: &'b str, pointer: &Pointer) -> Result<Slot<'b>, String> {
    if let Some((start, found)) = find(body, pointer)? {
        return match found.as_bytes()[0] {
            b'"' | b'-' | b'0'..=b'9' | b'n' => Ok(Slot {
                start,
                end: start + found.len(),
                placeholder: Some(found),
                before: String::new(),
            }),
            b'{' => Err(taken(pointer, "an object")),
            b'[' => Err(taken(pointer, "an array")),
            _ => Err(taken(pointer, "a boolean")),
        };
    }
    let nowhere = || format!("`{pointer}` has no parent in SOURCE_BODY: add it there");
    let (parent, name) = pointer.parent().ok_or_else(nowhere)?;
    let (start, object) = find(body, &parent)?.ok_or_else(nowhere)?;
    let inside = object.strip_prefix('{').ok_or_else(nowhere)?;
    let is_empty = inside.trim_ascii_start() == "}";
    let end = start + object.len() - 1;
    Ok(Slot {
        start: end,
        end,
        placeholder: None,
        before: format!("{}{}:", if is_empty { "" } else { "," }, string(name)),
    })
}

fn taken(pointer: &Pointer, what: &str) -> String {
    format!(
        "`{pointer}` is {what} in SOURCE_BODY: only a string, a number, null or a missing member can take a value"
    )
}

/// The value at `pointer` and where it begins.
fn find<'b>(body: &'b str, pointer: &Pointer) -> Result<Option<(usize, &'b str)>, String> {
    let mut paths = Paths::default();
    paths.add(pointer);
    let mut found = [None];
    let read = paths.read(body, &mut found);
    read.map_err(|why| format!("`{pointer}` in SOURCE_BODY: {why}"))?;
    Ok(found[0].map(|value| (value.as_ptr().addr() - body.as_ptr().addr(), value)))
}

fn is_number(text: &str) -> bool {
    let is_json = serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get() == text);
    is_json && text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

/// A text as a JSON string.
pub fn string(text: &str) -> String {
    serde_json::to_string(text).expect("every text is a JSON string")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(body: &str, pointer: &str, value: &str, json: Json) -> Result<String, String> {
        with(body, &Pointer::parse(pointer).unwrap(), value, json)
    }

    #[test]
    fn a_placeholder_keeps_its_type_and_the_rest_its_bytes() {
        let body = "{ \"n\" : 1.0,\t\"s\":\"\", \"z\":null }";
        let put = |pointer, value, json| put(body, pointer, value, json).unwrap();

        assert_eq!(
            put("/s", "7", Json::Number),
            "{ \"n\" : 1.0,\t\"s\":\"7\", \"z\":null }"
        );
        assert_eq!(
            put("/n", "7", Json::Text),
            "{ \"n\" : 7,\t\"s\":\"\", \"z\":null }"
        );
        assert_eq!(
            put("/n", "7b", Json::Text),
            "{ \"n\" : \"7b\",\t\"s\":\"\", \"z\":null }"
        );
        assert_eq!(
            put("/z", "7", Json::Number),
            "{ \"n\" : 1.0,\t\"s\":\"\", \"z\":7 }"
        );
        assert_eq!(
            put("/z", "7", Json::Text),
            "{ \"n\" : 1.0,\t\"s\":\"\", \"z\":\"7\" }"
        );
    }

    #[test]
    fn a_missing_last_member_is_put_in() {
        assert_eq!(
            put("{ }", "/after", "a\"b", Json::Text).unwrap(),
            r#"{ "after":"a\"b"}"#
        );
        assert_eq!(
            put(r#"{"v":[{"a":1}]}"#, "/v/0/x~1y", "5", Json::Number).unwrap(),
            r#"{"v":[{"a":1,"x/y":5}]}"#
        );
    }

    #[test]
    fn a_place_that_can_take_no_value_says_why() {
        let body = r#"{"o":{},"a":[1],"b":true,"d":1,"d":2}"#;
        let why = |pointer| put(body, pointer, "1", Json::Text).unwrap_err();

        assert!(why("/o").contains("`/o` is an object in SOURCE_BODY"));
        assert!(why("/a").contains("is an array"));
        assert!(why("/b").contains("is a boolean"));
        assert!(why("/d").contains("member `d` is repeated"));
        assert!(why("/a/1").contains("has no parent in SOURCE_BODY"));
        assert!(why("/x/y").contains("has no parent in SOURCE_BODY"));
        assert!(why("/b/y").contains("has no parent in SOURCE_BODY"));
        assert!(why("").contains("is an object"));
    }

    #[test]
    fn a_number_is_one_in_json() {
        for text in ["7", "-1", "1.50", "1e3"] {
            assert!(is_number(text), "{text}");
        }
        for text in ["", "07", "+1", "1 ", "NaN", "true", "\"1\"", ".5"] {
            assert!(!is_number(text), "{text}");
        }
    }

    #[test]
    fn the_cursor_in_a_string_is_replaced_escaped() {
        assert_eq!(
            with_cursor(r#"{"q":"since '{cursor}'","n":{}}"#, "a\"\n"),
            r#"{"q":"since 'a\"\n'","n":{}}"#
        );
    }

    proptest! {
        #[test]
        fn what_was_put_is_found_there_and_all_else_stays(
            value in "\\PC{0,12}",
            old in prop::sample::select(vec!["", "\"b\":null", "\"b\":\"\\u00e9\\\\\"", "\"x\":[{\"b\":1}],\"b\" : null"]),
            json in prop::sample::select(vec![Json::Number, Json::Text]),
        ) {
            let body = format!("{{\"k\":1.10, \"a\" : {{{old}}}, \"z\":\"b\"}}");
            let mut expected: serde_json::Value = serde_json::from_str(&body).unwrap();

            let body = put(&body, "/a/b", &value, json).unwrap();

            let found: serde_json::Value = serde_json::from_str(&body).unwrap();
            let put = found["a"]["b"].as_str().map_or_else(|| found["a"]["b"].to_string(), str::to_owned);
            if found["a"]["b"].is_string() {
                prop_assert_eq!(&put, &value);
            }
            expected["a"]["b"] = found["a"]["b"].clone();
            prop_assert_eq!(found, expected);
            let around = body.starts_with("{\"k\":1.10, \"a\" : {") && body.ends_with("}, \"z\":\"b\"}");
            prop_assert!(around, "{}", body);
        }
    }
}
