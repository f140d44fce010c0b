use proptest::prelude::*;

use super::*;

fn read<'j>(pointers: &[&str], json: &'j str) -> Result<Vec<Option<&'j str>>, String> {
    let mut paths = Paths::default();
    let slots: Vec<usize> = pointers
        .iter()
        .map(|text| paths.add(&Pointer::parse(text).unwrap()))
        .collect();
    let mut found = vec![None; paths.slots()];
    paths.read(json, &mut found)?;
    Ok(slots.into_iter().map(|slot| found[slot]).collect())
}

#[test]
fn the_examples_of_rfc_6901_lead_where_it_says() {
    let json = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
    let pointers = [
        "/foo/0", "/", "/a~1b", "/c%d", "/e^f", "/g|h", "/i\\j", "/k\"l", "/ ", "/m~0n",
    ];

    let found = read(&pointers, json).unwrap();

    let expected = ["\"bar\"", "0", "1", "2", "3", "4", "5", "6", "7", "8"];
    assert_eq!(found, expected.map(Some));
}

#[test]
fn the_empty_pointer_is_the_whole_value() {
    assert_eq!(
        read(&["", "/a"], r#"{"a":1}"#).unwrap(),
        [Some(r#"{"a":1}"#), Some("1")]
    );
}

#[test]
fn what_is_not_there_is_not_found() {
    let found = read(
        &["/a/b", "/c", "/d/2", "/d/01", "/d/-"],
        r#"{"a":"b","d":[0,1]}"#,
    )
    .unwrap();

    assert_eq!(found, [None; 5]);
}

#[test]
fn a_pointer_through_the_end_of_another_finds_both() {
    let found = read(&["/a", "/a/b"], r#"{"a":{"b":1}}"#).unwrap();

    assert_eq!(found, [Some(r#"{"b":1}"#), Some("1")]);
}

#[test]
fn equal_pointers_find_the_same_value() {
    assert_eq!(
        read(&["/id", "/id"], r#"{"id":7}"#).unwrap(),
        [Some("7"), Some("7")]
    );
}

#[test]
fn a_repeated_member_on_the_way_is_an_error() {
    let inner = read(&["/a/b"], r#"{"a":{"b":1,"b":2}}"#);
    let outer = read(&["/a/b"], r#"{"a":{"b":1},"a":{}}"#);

    assert_eq!(inner.unwrap_err(), "member `b` is repeated");
    assert_eq!(outer.unwrap_err(), "member `a` is repeated");
}

#[test]
fn a_repeated_member_written_with_escapes_is_an_error() {
    assert!(read(&["/a"], r#"{"a":1,"\u0061":2}"#).is_err());
}

#[test]
fn a_repeated_member_elsewhere_is_not_looked_at() {
    assert_eq!(
        read(&["/a"], r#"{"x":1,"x":2,"a":3}"#).unwrap(),
        [Some("3")]
    );
}

#[test]
fn numbers_that_no_machine_type_holds_are_found_as_they_are() {
    let found = read(
        &["/a", "/b"],
        r#"{"a":1e400,"b":12345678901234567890123456789012345678901}"#,
    );

    assert_eq!(
        found.unwrap(),
        [
            Some("1e400"),
            Some("12345678901234567890123456789012345678901")
        ]
    );
}

#[test]
fn a_text_that_is_no_pointer_is_refused() {
    assert!(
        Pointer::parse("items")
            .unwrap_err()
            .contains("such as `/items`")
    );
    assert!(Pointer::parse("/a~2").unwrap_err().contains("after `~`"));
    assert!(Pointer::parse("/a~").is_err());
    assert!(
        Pointer::parse(&"/a".repeat(33))
            .unwrap_err()
            .contains("32 steps")
    );
}

#[test]
fn a_repeat_behind_the_last_value_found_is_an_error() {
    assert!(read(&["/a"], r#"{"a":1,"b":[{"x":2}],"a":3}"#).is_err());
    assert!(read(&["/a/b"], r#"{"a":{"b":1},"c":"\n","a":0}"#).is_err());
    assert!(read(&["/a"], r#"{"a":1,"b":{"\u0061":2},"\u0061":3}"#).is_err());
}

#[test]
fn the_same_name_behind_the_last_value_found_but_elsewhere_is_none() {
    assert_eq!(
        read(&["/a"], r#"{"a":1,"b":{"a":2},"c":"\"a\""}"#).unwrap(),
        [Some("1")]
    );
}

#[test]
fn a_name_that_stands_for_no_text_is_passed_over() {
    assert_eq!(read(&["/a"], r#"{"\ud800":1,"a":2}"#).unwrap(), [Some("2")]);
}

/// Keeps the text of each value that the parser's walk finds.
struct Walked<'de> {
    found: Vec<Option<&'de str>>,
    repeated: Option<String>,
}

impl<'de> Take<'de> for Walked<'de> {
    fn take<D: Deserializer<'de>>(&mut self, slot: usize, value: D) -> Result<(), D::Error> {
        let raw: &RawValue = serde::Deserialize::deserialize(value)?;
        self.found[slot] = Some(raw.get());
        Ok(())
    }

    fn repeated(&mut self, step: &str) -> bool {
        self.repeated.get_or_insert_with(|| step.to_owned());
        false
    }
}

/// JSON with few names, so that they repeat and pointers lead somewhere.
fn json() -> impl Strategy<Value = String> {
    let space = prop_oneof![4 => Just(""), 1 => Just(" \n\t")];
    let name = prop_oneof![
        3 => Just("a"), 3 => Just("b"), 2 => Just("0"), 1 => Just("k\\\"}"), 1 => Just("\\u0061")
    ];
    let leaf = prop_oneof![
        Just("-1.50e3"),
        Just("null"),
        Just("\"\""),
        Just("\"a\""),
        Just("\"]}\\\\\\\"{[, and more than eight bytes\""),
        Just("[]"),
        Just("{ }"),
    ];
    leaf.prop_map(str::to_owned)
        .prop_recursive(4, 24, 5, move |inner| {
            let (one, two) = (space.clone(), space.clone());
            prop_oneof![
                (prop::collection::vec(inner.clone(), 0..4), one)
                    .prop_map(|(items, s)| format!("[{s}{}{s}]", items.join(&format!("{s},{s}")))),
                (prop::collection::vec((name.clone(), inner), 0..5), two).prop_map(
                    |(members, s)| {
                        let members = members
                            .iter()
                            .map(|(name, value)| format!("{s}\"{name}\"{s}:{s}{value}{s}"));
                        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
                    }
                ),
            ]
        })
}

proptest! {
    #[test]
    fn what_is_found_is_what_a_parser_finds(
        json in json(),
        pointers in prop::collection::vec("(/(a|b|0|1|k\"\\})){0,3}", 1..4),
    ) {
        let mut paths = Paths::default();
        for pointer in &pointers {
            paths.add(&Pointer::parse(pointer).unwrap());
        }
        let mut walked = Walked { found: vec![None; paths.slots()], repeated: None };
        paths.walk(&mut serde_json::Deserializer::from_str(&json), &mut walked).unwrap();
        let mut found = vec![None; paths.slots()];

        let read = paths.read(&json, &mut found);

        prop_assert_eq!(read.is_err(), walked.repeated.is_some());
        if read.is_ok() {
            prop_assert_eq!(found, walked.found);
        }
    }
}
