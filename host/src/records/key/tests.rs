//! The law of keys: bytes compare as the keys do, and nothing else is a key.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

fn key(pointers: &[&str], record: &str) -> Result<Vec<u8>, KeyError> {
    let pointers: Vec<String> = pointers.iter().map(|p| (*p).to_owned()).collect();
    let mut key = Vec::new();
    Keys::new(&pointers).read(record, &mut key).map(|()| key)
}

fn id(value: &str) -> Vec<u8> {
    key(&["/id"], &format!(r#"{{"id":{value}}}"#)).unwrap()
}

fn refused(record: &str) -> String {
    key(&["/id"], record).unwrap_err().to_string()
}

#[test]
fn integers_stand_before_strings_and_in_their_own_order() {
    let long = "9".repeat(300);
    let longer = format!("1{}", "0".repeat(300));
    let sorted = [
        format!("-{longer}"),
        format!("-{long}"),
        "-10".into(),
        "-9".into(),
        "-1".into(),
        "0".into(),
        "1".into(),
        "9".into(),
        "10".into(),
        "9007199254740993".into(),
        long,
        longer,
        r#""""#.into(),
        r#""\u0000""#.into(),
        r#""\u0000\u0000""#.into(),
        r#""\u0001""#.into(),
        r#""1""#.into(),
        r#""Z""#.into(),
        r#""a""#.into(),
        r#""ab""#.into(),
        r#""ä""#.into(),
        r#""😀""#.into(),
    ];

    assert!(sorted.windows(2).all(|pair| id(&pair[0]) < id(&pair[1])));
}

#[test]
fn minus_zero_is_zero_and_an_escape_is_its_character() {
    assert_eq!(id("-0"), id("0"));
    assert_eq!(id(r#""\u0061\/""#), id(r#""a/""#));
}

#[test]
fn a_part_s_end_is_never_mistaken_for_a_nul_inside() {
    let pair =
        |a: &str, b: &str| key(&["/a", "/b"], &format!(r#"{{"a":"{a}","b":"{b}"}}"#)).unwrap();

    assert!(pair("", "z") < pair("\\u0000", "a"));
    assert!(pair("x", "z") < pair("x\\u0000", "a"));
    assert!(pair("x\\u0000", "z") < pair("x\\u0000\\u0000", "a"));
}

#[test]
fn what_is_no_key_is_refused_and_shown() {
    assert_eq!(refused("{}"), "has no `/id` (PRIMARY_KEY)");
    assert_eq!(refused(r#"{"ID":1}"#), "has no `/id` (PRIMARY_KEY)");
    for (value, found) in [
        ("1.0", "the number `1.0`"),
        ("1e2", "the number `1e2`"),
        ("null", "null"),
        ("true", "`true`"),
        ("[1]", "an array"),
        ("{}", "an object"),
        (r#""\ud800""#, "a string that is no Unicode text"),
    ] {
        let text = refused(&format!(r#"{{"id":{value}}}"#));
        assert!(text.starts_with(&format!("has {found} at `/id`")), "{text}");
    }
}

#[test]
fn a_key_that_stands_there_twice_is_refused() {
    assert_eq!(
        refused(r#"{"id":1,"x":0,"id":2}"#),
        "has `/id` (PRIMARY_KEY) twice"
    );
}

#[test]
fn pointers_go_through_objects_arrays_and_escapes() {
    let record = r#"{"a/b":{"~":[10,{"x":"deep"}]},"other":{"id":2}}"#;

    let read = key(&["/other/id", "/a~1b/~0/1/x", "/a~1b/~0/0"], record).unwrap();

    assert_eq!(read, [id("2"), id(r#""deep""#), id("10")].concat());
    assert_eq!(
        key(&["/other/id/x"], record),
        Err(KeyError::Missing(key_place("/other/id/x")))
    );
}

#[test]
fn a_deletion_s_key_is_the_record_s() {
    let parts = [r#""x""#, "-3"].map(|text| RawValue::from_string(text.into()).unwrap());
    let keys = Keys::new(&["/a".into(), "/b".into()]);
    let mut of_parts = Vec::new();

    keys.of_parts(&[&parts[0], &parts[1]], &mut of_parts)
        .unwrap();

    assert_eq!(of_parts, key(&["/a", "/b"], r#"{"b":-3,"a":"x"}"#).unwrap());
}

#[test]
fn what_is_not_json_is_refused_wherever_it_stands() {
    for broken in [
        r#"{"id":1"#,
        r#"{"id":1}{}"#,
        r#"{"id":1,"x":01}"#,
        r#"{"id":1,"x":"\q"}"#,
        "{\"id\":1,\"x\":\"\u{1}\"}",
    ] {
        assert!(
            matches!(key(&["/id"], broken), Err(KeyError::NotJson(_))),
            "{broken}"
        );
        assert!(
            matches!(key(&[], broken), Err(KeyError::NotJson(_))),
            "{broken}"
        );
    }
}

fn values() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        any::<i64>().prop_map(Into::into),
        (-300_i64..300).prop_map(Into::into),
        "[\u{0}\u{1}a-c\"\\\\é😀]{0,4}".prop_map(Into::into),
    ]
}

fn in_order(left: &serde_json::Value, right: &serde_json::Value) -> Ordering {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => left.cmp(&right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left
            .as_str()
            .map(str::as_bytes)
            .cmp(&right.as_str().map(str::as_bytes)),
    }
}

proptest! {
    #[test]
    fn bytes_compare_as_the_keys_do(a in values(), b in values(), c in values(), d in values()) {
        let pair = |x: &serde_json::Value, y: &serde_json::Value| {
            key(&["/x", "/y"], &serde_json::json!({"x": x, "y": y}).to_string()).unwrap()
        };

        let wanted = in_order(&a, &c).then_with(|| in_order(&b, &d));

        prop_assert_eq!(pair(&a, &b).cmp(&pair(&c, &d)), wanted);
    }
}
