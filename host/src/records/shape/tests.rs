//! The rule, in both directions; and that nothing in records or in what is remembered costs more than the limits allow for.

use serde_json::json;

use super::*;
use crate::limits::Limits;
use crate::units::counted;

/// The shape of some records, and what is other in it than in `last`.
fn after(last: Option<&Shape>, records: &[String], span: Span) -> (Shape, Vec<String>) {
    with(last, records, span, &[], &Limits::default())
}

fn with(
    last: Option<&Shape>,
    records: &[String],
    span: Span,
    columns: &[&str],
    limits: &Limits,
) -> (Shape, Vec<String>) {
    let columns: Vec<String> = columns
        .iter()
        .map(|pointer| (*pointer).to_owned())
        .collect();
    let mut look = Look::new(last, &columns, limits);
    for record in records {
        look.see(record.as_bytes());
    }
    let (shape, changes) = Shape::after(last, &look, span, look.records());
    // What is remembered is what the next run reads.
    let written = serde_json::to_string(&shape).unwrap();
    assert_eq!(
        serde_json::from_str::<Shape>(&written).unwrap(),
        shape,
        "{written}"
    );
    let changes = changes.iter().map(|change| {
        let (pointer, kinds) = (change.pointer(), change.kinds.words().join("+"));
        match change.what {
            What::New => format!("{pointer} new {kinds}"),
            What::Back => format!("{pointer} back"),
            What::Missing(records) => {
                format!("{pointer} missing from {}", counted(records, "record"))
            }
            What::Null(records) => format!("{pointer} null in {}", counted(records, "record")),
            What::Retyped(was) => format!("{pointer} {} -> {kinds}", was.words().join("+")),
        }
    });
    (shape, changes.collect())
}

fn many(count: usize, record: &str) -> Vec<String> {
    vec![record.to_owned(); count]
}

/// Records of which each `every`th has the member, beside one that each has.
fn sparse(count: usize, every: usize, member: &str) -> Vec<String> {
    let record = |number: usize| match number % every {
        0 => format!(r#"{{"id":{number},{member}}}"#),
        _ => format!(r#"{{"id":{number}}}"#),
    };
    (0..count).map(record).collect()
}

fn first(records: &[String]) -> Shape {
    after(None, records, Span::Whole).0
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_first_set_is_nothing_to_be_held_against() {
    let (_, changes) = after(None, &many(3, r#"{"a":1,"b":{"c":2}}"#), Span::Whole);

    assert_eq!(changes, NOTHING);
}

#[test]
fn in_a_whole_set_a_member_that_all_had_and_none_has_is_missing_and_a_new_one_is_new() {
    let last = first(&many(3, r#"{"id":1,"name":"x"}"#));

    let (shape, changes) = after(
        Some(&last),
        &many(3, r#"{"id":1,"title":"x"}"#),
        Span::Whole,
    );

    assert_eq!(
        changes,
        ["/name missing from 3 records", "/title new string"]
    );
    let (_, again) = after(
        Some(&shape),
        &many(3, r#"{"id":1,"title":"x"}"#),
        Span::Whole,
    );
    assert_eq!(again, NOTHING, "it is reported once");
}

#[test]
fn one_to_three_newest_records_without_what_all_had_tell_it() {
    let last = first(&many(50, r#"{"id":1,"name":"x"}"#));

    for count in 1..=3 {
        let (shape, changes) = after(Some(&last), &many(count, r#"{"id":1}"#), Span::Newest);

        let wanted = format!("/name missing from {}", counted(count as u64, "record"));
        assert_eq!(changes, [wanted]);
        let (_, again) = after(Some(&shape), &many(count, r#"{"id":1}"#), Span::Newest);
        assert_eq!(again, NOTHING);
    }
}

#[test]
fn one_to_three_newest_records_without_what_some_lacked_tell_nothing() {
    for every in [2, 3, 10] {
        let last = first(&sparse(100, every, r#""note":"x""#));

        for count in 1..=3 {
            let (_, changes) = after(Some(&last), &many(count, r#"{"id":1}"#), Span::Newest);
            assert_eq!(changes, NOTHING, "each {every}th, {count}");
        }
    }
    // All but one had it.
    let mut records = many(1_000, r#"{"id":1,"note":"x"}"#);
    records[500] = r#"{"id":1}"#.to_owned();
    let (_, changes) = after(
        Some(&first(&records)),
        &many(3, r#"{"id":1}"#),
        Span::Newest,
    );
    assert_eq!(changes, NOTHING);
}

#[test]
fn of_few_records_nobody_knows_what_all_have() {
    let last = first(&many(9, r#"{"id":1,"note":"x"}"#));

    let (shape, changes) = after(Some(&last), &many(9, r#"{"id":1}"#), Span::Newest);
    assert_eq!(changes, NOTHING);

    let (_, changes) = after(Some(&shape), &many(1, r#"{"id":1}"#), Span::Newest);
    assert_eq!(changes, ["/note missing from 10 records"]);
}

#[test]
fn what_some_lacked_is_missing_after_twice_the_longest_stretch_of_several_runs() {
    // Stretches of 14 records without it.
    let mut shape = first(&sparse(300, 15, r#""note":"x""#));
    assert!(
        after(Some(&shape), &many(1_000, r#"{"id":1}"#), Span::Newest)
            .1
            .is_empty()
    );
    shape = first(&sparse(300, 8, r#""note":"x""#));
    for _ in 0..6 {
        let (next, changes) = after(Some(&shape), &many(3, r#"{"id":1}"#), Span::Newest);
        assert_eq!(changes, NOTHING);
        shape = next;
    }

    let (shape, changes) = after(Some(&shape), &many(3, r#"{"id":1}"#), Span::Newest);

    assert_eq!(changes, ["/note missing from 21 records"]);
    // Its return is reported. After that, a gap of the same length is normal.
    let (shape, changes) = after(
        Some(&shape),
        &many(1, r#"{"id":1,"note":"x"}"#),
        Span::Newest,
    );
    assert_eq!(changes, ["/note back"]);
    let (shape, changes) = after(Some(&shape), &many(41, r#"{"id":1}"#), Span::Newest);
    assert_eq!(changes, NOTHING);
    let (_, changes) = after(Some(&shape), &many(1, r#"{"id":1}"#), Span::Newest);
    assert_eq!(changes, ["/note missing from 42 records"]);
}

#[test]
fn a_stretch_at_an_end_of_the_set_counts_too() {
    // The newest orders have not been shipped yet, and the source leaves out what is null.
    let mut records = many(1_000, r#"{"id":1,"shipped":"x"}"#);
    records.extend(many(40, r#"{"id":1}"#));
    let last = first(&records);

    let (_, changes) = after(Some(&last), &many(79, r#"{"id":1}"#), Span::Newest);
    assert_eq!(changes, NOTHING);
    let (_, changes) = after(Some(&last), &many(80, r#"{"id":1}"#), Span::Newest);
    assert_eq!(changes, ["/shipped missing from 80 records"]);
}

#[test]
fn a_whole_set_is_no_further_records() {
    let last = first(&sparse(4, 2, r#""note":"x""#));
    let mut shape = last;
    for _ in 0..20 {
        let (next, changes) = after(
            Some(&shape),
            &sparse(4, 9, r#""other":"x""#)[1..],
            Span::Whole,
        );
        assert_eq!(changes, NOTHING);
        shape = next;
    }

    let most = first(&sparse(100, 2, r#""email":"x""#));
    let (_, changes) = after(Some(&most), &many(100, r#"{"id":1}"#), Span::Whole);
    assert_eq!(changes, ["/email missing from 100 records"]);
}

#[test]
fn what_hardly_any_record_had_is_never_missing() {
    let last = first(&sparse(1_000, 11, r#""error":"x""#));

    let (_, changes) = after(Some(&last), &many(100_000, r#"{"id":1}"#), Span::Whole);

    assert_eq!(changes, NOTHING);
}

#[test]
fn null_is_there_and_is_no_value() {
    let last = first(&many(20, r#"{"id":1,"email":"x","note":null}"#));

    let (shape, changes) = after(
        Some(&last),
        &many(20, r#"{"id":1,"email":null,"note":"x"}"#),
        Span::Whole,
    );
    assert_eq!(
        changes,
        ["/email null in 20 records"],
        "the first value gives a type"
    );
    let (_, changes) = after(
        Some(&shape),
        &many(20, r#"{"id":1,"email":null,"note":1}"#),
        Span::Whole,
    );
    assert_eq!(changes, ["/note string -> number"]);

    // Where every record had the member, null or not, one record without it is reported.
    let mut records = many(10, r#"{"id":1,"note":null}"#);
    records.extend(many(10, r#"{"id":1,"note":"x"}"#));
    let (_, changes) = after(
        Some(&first(&records)),
        &many(1, r#"{"id":1,"note":null}"#),
        Span::Newest,
    );
    assert_eq!(changes, NOTHING);
    let (_, changes) = after(
        Some(&first(&records)),
        &many(1, r#"{"id":1}"#),
        Span::Newest,
    );
    assert_eq!(changes, ["/note missing from 1 record"]);
}

#[test]
fn another_type_is_told_once_and_int_or_float_is_one() {
    let last = first(&many(3, r#"{"v":1}"#));

    assert_eq!(
        after(Some(&last), &many(1, r#"{"v":1.5}"#), Span::Newest).1,
        NOTHING
    );
    assert_eq!(
        after(Some(&last), &many(1, r#"{"v":null}"#), Span::Newest).1,
        NOTHING
    );
    let (mixed, changes) = after(Some(&last), &many(1, r#"{"v":"1"}"#), Span::Newest);
    assert_eq!(changes, ["/v number -> string"]);
    for record in [r#"{"v":"1"}"#, r#"{"v":1}"#] {
        assert_eq!(
            after(Some(&mixed), &many(1, record), Span::Newest).1,
            NOTHING
        );
    }
    let (_, changes) = after(Some(&mixed), &many(1, r#"{"v":[]}"#), Span::Newest);
    assert_eq!(changes, ["/v number+string -> array"]);

    // A whole set of another type is a new beginning.
    let (texts, _) = after(Some(&last), &many(3, r#"{"v":"1"}"#), Span::Whole);
    let (_, changes) = after(Some(&texts), &many(3, r#"{"v":1}"#), Span::Whole);
    assert_eq!(changes, ["/v string -> number"]);
}

#[test]
fn members_of_objects_are_watched_one_level_deep() {
    let last = first(&many(
        10,
        r#"{"id":1,"attributes":{"name":"x","deep":{"a":1}}}"#,
    ));

    let renamed = many(1, r#"{"id":1,"attributes":{"title":"x","deep":{"b":1}}}"#);
    let (_, changes) = after(Some(&last), &renamed, Span::Newest);
    assert_eq!(
        changes,
        [
            "/attributes/name missing from 1 record",
            "/attributes/title new string"
        ]
    );

    // Without the object only that is missing, and of a new object only that is new.
    let (_, changes) = after(
        Some(&last),
        &many(1, r#"{"id":1,"fields":{"name":"x"}}"#),
        Span::Newest,
    );
    assert_eq!(
        changes,
        ["/attributes missing from 1 record", "/fields new object"]
    );
    let (_, changes) = after(
        Some(&last),
        &many(1, r#"{"id":1,"attributes":null}"#),
        Span::Newest,
    );
    assert_eq!(changes, ["/attributes null in 1 record"]);
}

#[test]
fn a_new_name_in_an_object_whose_names_vary_is_no_news() {
    let record = |n: usize| format!(r#"{{"id":1,"prices":{{"EUR":1,"C{}":2}}}}"#, n % 3);
    let last = first(&(0..30).map(record).collect::<Vec<_>>());

    let (shape, changes) = after(
        Some(&last),
        &many(1, r#"{"id":1,"prices":{"EUR":1,"CHF":2}}"#),
        Span::Newest,
    );
    assert_eq!(changes, NOTHING);
    let (_, changes) = after(
        Some(&shape),
        &many(1, r#"{"id":1,"prices":{"CHF":2}}"#),
        Span::Newest,
    );
    assert_eq!(changes, ["/prices/EUR missing from 1 record"]);
}

#[test]
fn an_object_with_many_names_is_a_map_of_which_none_is_remembered() {
    let record = |n: usize| format!(r#"{{"id":1,"by_id":{{"k{n}":1}}}}"#);
    let records: Vec<String> = (0..100_000).map(record).collect();

    let (shape, _) = after(None, &records, Span::Whole);

    let written = serde_json::to_string(&shape).unwrap();
    assert!(written.len() < 500, "{written}");
    assert!(!shape.is_full());
    let (_, changes) = after(Some(&shape), &many(50, &record(1)), Span::Newest);
    assert_eq!(changes, NOTHING);
    // All in one object, too.
    let all: Vec<String> = (0..1_000).map(|n| format!("\"k{n}\":1")).collect();
    let (one, _) = after(
        None,
        &many(2, &format!(r#"{{"by_id":{{{}}}}}"#, all.join(","))),
        Span::Whole,
    );
    assert!(!one.is_full() && serde_json::to_string(&one).unwrap().len() < 300);
}

#[test]
fn a_range_read_again_tells_nothing_of_what_is_missing() {
    let last = first(&many(50, r#"{"id":1,"title":"x"}"#));

    let (shape, changes) = after(Some(&last), &many(50, r#"{"id":1}"#), Span::Again);

    assert_eq!(changes, NOTHING);
    assert_eq!(shape, last);
}

#[test]
fn a_column_is_watched_at_any_depth_and_told_once() {
    let columns = ["/id", "/a/b/c", "/items/0/sku", "/none/at/all"];
    let see = |last: Option<&Shape>, record: &str| {
        with(
            last,
            &many(20, record),
            Span::Whole,
            &columns,
            &Limits::default(),
        )
    };
    let (last, _) = see(None, r#"{"id":1,"a":{"b":{"c":1}},"items":[{"sku":"x"}]}"#);

    let (shape, changes) = see(
        Some(&last),
        r#"{"id":1,"a":{"b":{"c":null}},"items":[{"no":1}]}"#,
    );
    assert_eq!(
        changes,
        [
            "/a/b/c null in 20 records",
            "/items/0/sku missing from 20 records"
        ]
    );
    assert_eq!(
        see(
            Some(&shape),
            r#"{"id":1,"a":{"b":{"c":null}},"items":[{"no":1}]}"#
        )
        .1,
        NOTHING
    );
    let (_, changes) = see(Some(&last), r#"{"id":1,"items":[{"sku":"x"}]}"#);
    assert_eq!(changes, ["/a missing from 20 records"]);
}

#[test]
fn more_members_than_are_watched_take_no_more_room_and_those_known_are_still_watched() {
    let limits = Limits::default();
    let known = first(&many(10, r#"{"id":1,"name":"x"}"#));
    let record = |n: usize| format!(r#"{{"k{n}":1,"id":1}}"#);
    let records: Vec<String> = (0..100_000).map(record).collect();

    let (shape, changes) = after(Some(&known), &records, Span::Newest);

    assert!(shape.is_full());
    assert_eq!(changes.len(), limits.drift_members - 1);
    assert!(changes.contains(&"/name missing from 100000 records".to_owned()));
    assert!(serde_json::to_string(&shape).unwrap().len() < 100 * 1024);
    let (_, changes) = after(Some(&shape), &[record(123_456)], Span::Newest);
    assert_eq!(
        changes, NOTHING,
        "what cannot be remembered is not told at each run"
    );
}

#[test]
fn names_of_any_length_and_form_take_no_more_room() {
    let long = "x".repeat(1_000_000);
    let control = "\\u007f".repeat(200);
    let mut records = vec![
        format!(r#"{{"{long}":1,"id":1}}"#),
        format!(r#"{{"{control}":1}}"#),
        r#"{"\ud800":1,"a\u0062":1,"ab":1,"\"":2,"":3}"#.to_owned(),
    ];
    records.extend((0..500).map(|n| format!(r#"{{"{n}{}":1}}"#, "\\u007f".repeat(30))));

    let (shape, _) = after(None, &records, Span::Whole);

    assert!(shape.is_full());
    let written = crate::words::escaped(&serde_json::to_string(&shape).unwrap());
    assert!(written.len() < 200 * 1024, "{}", written.len());
    let names: Vec<&String> = shape.members.keys().collect();
    for name in ["id", "ab", "\"", ""] {
        assert!(names.contains(&&name.to_owned()), "{name}");
    }
    assert_eq!(
        shape.members["ab"].there.records, 1,
        "twice in a record is once"
    );
}

#[test]
fn what_is_not_json_is_looked_at_in_vain_and_does_no_harm() {
    let texts = [
        "",
        "{",
        "[1]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":}",
        "{\"a\":{\"b\":",
        "{\"a\":1,}",
        "nul",
        "{\"a\" 1}",
        "\u{0}",
    ];
    let records: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    let mut look = Look::new(None, &["/a/b/c".to_owned()], &Limits::default());

    for record in &records {
        look.see(record.as_bytes());
    }
    look.see(b"{\"\xff\":1,\"a\":\"\xff\"}");

    let (shape, _) = Shape::after(None, &look, Span::Whole, 1);
    assert!(shape.members.keys().all(|name| name == "a"), "{shape:?}");
}

#[test]
fn what_is_remembered_may_say_anything() {
    let max = u64::MAX;
    let seen = json!({"records": max, "of": 0, "longest": max, "since": max});
    let member = json!({"types": ["string", "null"], "there": seen, "valued": seen, "members": {"b": {"types": [], "there": {"records": 0, "of": max}, "valued": seen}}});
    let mut members = serde_json::Map::new();
    for n in 0..5_000 {
        members.insert(format!("k{n}"), member.clone());
    }
    members.insert("a".into(), member);
    let shape: Shape = serde_json::from_value(json!({"members": members})).unwrap();

    for span in [Span::Whole, Span::Newest, Span::Again] {
        let (after, _) = after(Some(&shape), &many(30, r#"{"a":{"b":1}}"#), span);
        let (after, _) = after_again(&after, span);
        assert!(after.members.len() <= Limits::default().drift_members);
    }
}

#[test]
fn a_record_that_comes_again_in_each_run_is_no_further_record() {
    let mut shape = first(&sparse(100, 2, r#""note":"x""#));
    for _ in 0..1_000 {
        let mut look = Look::new(Some(&shape), &[], &Limits::default());
        look.see(br#"{"id":99}"#);
        let (next, changes) = Shape::after(Some(&shape), &look, Span::Newest, 0);
        assert_eq!(changes, []);
        shape = next;
    }

    assert_eq!(shape, first(&sparse(100, 2, r#""note":"x""#)));
}

fn after_again(shape: &Shape, span: Span) -> (Shape, Vec<String>) {
    after(Some(shape), &many(30, r#"{"z":1}"#), span)
}
