//! What is made of records: they are held to a schema, transformed, deleted by key or by parent, or put aside.

mod world;

use proptest::prelude::*;
use tidegate_guest::{Failure, validate};
use world::{Job, page, with_header};

fn run(settings: &[(&str, &str)], body: &str) -> world::Run {
    Job::with(settings).run(|_| page(body))
}

fn rejected(run: &world::Run) -> Vec<(String, String, String)> {
    let parse = |line: String| {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (text("reason"), text("pointer"), line["record"].to_string())
    };
    run.folder
        .lines("rejected")
        .into_iter()
        .map(parse)
        .collect()
}

#[test]
fn a_large_page_is_written_as_it_is_read() {
    let records = vec![format!(r#"{{"id":1,"text":"{}"}}"#, "x".repeat(100_000)); 50];
    let body = format!("[{}]", records.join(","));

    let run = run(&[], &body);

    assert_eq!(run.folder.lines("records"), records);
    assert!(
        run.folder.longest_append < 1_200_000,
        "{}",
        run.folder.longest_append
    );
}

#[test]
fn a_record_of_more_bytes_than_allowed_ends_the_run_and_names_the_limit() {
    let body = format!(r#"[{{"id":1}},{{"id":2,"text":"{}"}}]"#, "x".repeat(2000));

    let run = run(&[("MAX_RECORD_BYTES", "1KiB")], &body);

    let why = run.failure().to_string();
    assert!(
        why.contains("record `/1` has 2018 bytes, more than the 1024 of MAX_RECORD_BYTES"),
        "{why}"
    );
}

#[test]
fn a_record_becomes_what_the_program_makes_of_it() {
    let run = run(
        &[("TRANSFORM", "{id, total}")],
        r#"[{"total":1.10,"id":12345678901234567890,"x":1},{"id":2}]"#,
    );

    assert_eq!(
        run.folder.lines("records"),
        [
            r#"{"id":12345678901234567890,"total":1.10}"#,
            r#"{"id":2,"total":null}"#
        ]
    );
    assert_eq!((run.report().fetched, run.report().staged), (2, 2));
}

#[test]
fn a_program_that_does_nothing_leaves_every_byte() {
    let run = run(&[("TRANSFORM", " . ")], r#"[{ "a" : "\u00e9" , "a2":-0 }]"#);

    assert_eq!(
        run.folder.lines("records"),
        [r#"{ "a" : "\u00e9" , "a2":-0 }"#]
    );
}

#[test]
fn one_record_becomes_many_or_none_in_their_order() {
    let run = run(
        &[("TRANSFORM", "select(.n > 0) | range(.n) as $i | {i: $i}")],
        r#"[{"n":2},{"n":0},{"n":1}]"#,
    );

    assert_eq!(
        run.folder.lines("records"),
        [r#"{"i":0}"#, r#"{"i":1}"#, r#"{"i":0}"#]
    );
    assert_eq!(
        (
            run.report().fetched,
            run.report().staged,
            run.report().rejected
        ),
        (3, 3, 0)
    );
}

#[test]
fn a_record_that_a_program_fails_on_is_put_aside_whole() {
    let run = run(
        &[("TRANSFORM", "{ok: 1}, {b: (.a | tonumber)}")],
        "[{\"a\":1},{\"a\":\n\"x\"},{\"a\":3}]",
    );

    assert_eq!(run.folder.lines("records").len(), 4);
    assert_eq!(
        rejected(&run),
        [(
            "page 1 of `https://x.example/o`: record `/1`: TRANSFORM: `x` is not a number"
                .to_owned(),
            "/1".to_owned(),
            r#"{"a":"x"}"#.to_owned()
        )]
    );
    assert_eq!(run.report().rejected, 1);
    assert!(
        run.log
            .iter()
            .any(|line| line.starts_with("warn: a record was rejected"))
    );
}

#[test]
fn a_run_ends_at_the_10th_record_on_which_a_program_does_not_end() {
    let endless = |from: u32, to: u32| {
        let records: Vec<_> = (from..to).map(|id| format!("{{\"id\":{id}}}")).collect();
        page(&format!("[{{\"n\":1}},{}]", records.join(",")))
    };
    let transform = "if .n then . else last(repeat(.)) end";
    let settings = [("TRANSFORM", transform), ("SOURCE_PAGINATION", "link")];

    let run = Job::with(&settings).run(|url| match url {
        "https://x.example/o" => with_header(endless(0, 9), "link", "<?page=2>; rel=next"),
        "https://x.example/o?page=2" => with_header(endless(9, 11), "link", "<?page=3>; rel=next"),
        _ => page(r#"[{"n":2}]"#),
    });

    assert_eq!(rejected(&run).len(), 9, "the first page was staged");
    assert_eq!(
        *run.failure(),
        Failure::data(
            "page 1 of `https://x.example/o`: record `/1`: TRANSFORM: takes more than 5000000 steps; \
             so do 9 more records: the setting takes too many steps on records like these"
        )
    );
}

#[test]
fn what_is_no_record_is_put_aside() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(126), "]".repeat(126));
    let run = run(&[], &format!(r#"[{{"a":1}},7,{deep},null]"#));

    assert_eq!(rejected(&run)[1].2, format!("{deep:?}"), "as a text");
    let reasons: Vec<String> = rejected(&run)
        .into_iter()
        .map(|(reason, ..)| reason)
        .collect();
    assert_eq!(
        reasons,
        [
            "page 1 of `https://x.example/o`: record `/1` is not an object",
            "page 1 of `https://x.example/o`: record `/2` is nested deeper than 126 levels",
            "page 1 of `https://x.example/o`: record `/3` is not an object",
        ]
    );
    assert_eq!(run.folder.lines("records"), [r#"{"a":1}"#]);
}

#[test]
fn an_output_that_is_no_object_puts_its_record_aside() {
    let run = run(&[("TRANSFORM", "., .a")], r#"[{"a":{}},{"a":7}]"#);

    assert_eq!(run.folder.lines("records"), [r#"{"a":{}}"#, "{}"]);
    assert!(
        rejected(&run)[0]
            .0
            .ends_with("record `/1`: TRANSFORM: an output is not an object")
    );
}

#[test]
fn a_record_that_breaks_the_schema_is_put_aside_as_it_came() {
    let schema = r#"{"required":["id"],"properties":{"total":{"minimum":0}}}"#;
    let run = run(
        &[("SOURCE_SCHEMA", schema), ("TRANSFORM", "{id}")],
        r#"[{"id":1,"total":0.0},{"id":2,"total":-0.01},{"total":1}]"#,
    );

    assert_eq!(run.folder.lines("records"), [r#"{"id":1}"#]);
    let reasons: Vec<String> = rejected(&run)
        .into_iter()
        .map(|(reason, ..)| reason)
        .collect();
    assert_eq!(
        reasons,
        [
            "page 1 of `https://x.example/o`: record `/1`: SOURCE_SCHEMA: `/total` is `-0.01`, less than 0 (`minimum`)",
            "page 1 of `https://x.example/o`: record `/2`: SOURCE_SCHEMA: `the record` has no `id` (`required`)",
        ]
    );
}

#[test]
fn a_schema_alone_leaves_every_byte_of_what_fits_it() {
    let run = run(
        &[("SOURCE_SCHEMA", r#"{"type":"object"}"#)],
        r#"[{ "a" : 1.10 }]"#,
    );

    assert_eq!(run.folder.lines("records"), [r#"{ "a" : 1.10 }"#]);
}

#[test]
fn where_records_may_not_be_invalid_the_run_ends() {
    let failed = run(&[("SOURCE_INVALID", "fail")], "[{},7]");

    assert_eq!(
        failed.failure(),
        &Failure::data("page 1 of `https://x.example/o`: record `/1` is not an object")
    );
    assert_eq!(failed.folder.appends, 0);
}

#[test]
fn a_tombstone_goes_through_the_program_and_names_every_key_it_becomes() {
    let settings = [
        (
            "TRANSFORM",
            ".lines[] as $l | {key: \"\\(.id)-\\($l)\", gone}",
        ),
        ("SOURCE_DELETED", "/gone"),
        ("PRIMARY_KEY", "/key"),
        ("SOURCE_SCHEMA", r#"{"required":["total"]}"#),
    ];
    let run = run(
        &settings,
        r#"[{"id":1,"lines":[1],"total":1},{"id":2,"lines":[1,2],"gone":true}]"#,
    );

    assert_eq!(
        run.folder.lines("records"),
        [r#"{"key":"1-1","gone":null}"#]
    );
    assert_eq!(
        run.folder.lines("deleted"),
        [r#"{"key":["2-1"],"at":1}"#, r#"{"key":["2-2"],"at":1}"#]
    );
    assert_eq!((run.report().deleted, run.report().rejected), (2, 0));
}

#[test]
fn a_tombstone_without_a_key_is_put_aside_whole() {
    let settings = [
        ("TRANSFORM", "{id}, {id: null}"),
        ("SOURCE_DELETED", "/gone"),
        ("PRIMARY_KEY", "/id"),
    ];
    let run = run(&settings, r#"[{"id":2,"gone":1}]"#);

    assert_eq!(run.folder.lines("deleted"), [""; 0]);
    assert_eq!(run.report().deleted, 0);
    assert!(rejected(&run)[0].0.ends_with(
        "record `/0` is deleted, and its `/id` (PRIMARY_KEY) is neither a string nor an integer"
    ));
}

#[test]
fn the_rows_of_a_parent_are_gone_before_its_new_ones() {
    let settings = [
        ("TRANSFORM", ".lines[] + {order: .id}"),
        ("SOURCE_PARENT", "/id"),
        ("SOURCE_DELETED", "/gone"),
    ];
    let run = run(
        &settings,
        r#"[{"id":"a","lines":[{"n":1},{"n":2}]},{"id":7,"lines":[]},{"id":"a","gone":true},{"lines":[{}]}]"#,
    );

    assert_eq!(run.folder.lines("records").len(), 2);
    assert_eq!(
        run.folder.lines("deleted"),
        [
            r#"{"parent":"a","at":0}"#,
            r#"{"parent":7,"at":2}"#,
            r#"{"parent":"a","at":2}"#
        ]
    );
    assert_eq!((run.report().deleted, run.report().rejected), (3, 1));
    assert!(
        rejected(&run)[0]
            .0
            .ends_with("record `/3`: its `/id` (SOURCE_PARENT) is missing")
    );
}

#[test]
fn lines_and_a_single_object_are_bodies_too() {
    let lines = run(&[("SOURCE_FORMAT", "ndjson")], "{\"a\":1}\n\n7\n");
    let object = run(
        &[("SOURCE_FORMAT", "object"), ("SOURCE_RECORDS", "/me")],
        r#"{"me":{"a":2}}"#,
    );
    let wrong = run(
        &[
            ("SOURCE_FORMAT", "object"),
            ("SOURCE_INVALID", "fail"),
            ("TRANSFORM", "error(\"a\\nb\")"),
        ],
        "{}",
    );

    assert_eq!(lines.folder.lines("records"), [r#"{"a":1}"#]);
    assert_eq!(rejected(&lines)[0].1, "/1");
    assert_eq!(object.folder.lines("records"), [r#"{"a":2}"#]);
    assert_eq!(
        wrong.failure(),
        &Failure::data("page 1 of `https://x.example/o`: the record: TRANSFORM: a\\nb")
    );
}

#[test]
fn what_is_wrong_with_the_settings_is_said_before_any_request() {
    let wrong = |name: &str, value: &str| {
        let env = [("SOURCE_API_URL", "https://x.example/o"), (name, value)];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let problems = validate(&env);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].setting, name);
        problems[0].message.clone()
    };

    assert_eq!(
        wrong("TRANSFORM", "{id"),
        "line 1, column 4: `{` is never closed"
    );
    assert!(
        wrong("TRANSFORM", ".a\n| now").starts_with("line 2, column 3: `now` is not supported")
    );
    assert!(wrong("SOURCE_SCHEMA", "order.json").contains("begins with `{`"));
    assert!(wrong("SOURCE_SCHEMA", "{\"x\":1}").contains("at `/x`: is not a supported keyword"));
    assert!(wrong("SOURCE_INVALID", "skip").contains("not one of `reject`, `fail`"));
    assert!(wrong("SOURCE_FORMAT", "yaml").contains("not one of `json`, `ndjson`, `object`"));
    assert!(wrong("SOURCE_PARENT", "id").contains("is not a JSON Pointer"));
}

/// JSON as a canonical writer has it: nothing in it is written in two ways.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,5})?",
        "[a-zA-Z0-9 äß😀\\n\"\\\\]{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(4, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|values| format!("[{}]", values.join(","))),
            object_of(inner),
        ]
    })
}

fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::btree_map("[a-zA-Z ä]{0,6}", value, 0..20).prop_map(|members| {
        let members: Vec<String> = members
            .into_iter()
            .rev()
            .map(|(name, value)| format!("{}:{value}", serde_json::to_string(&name).unwrap()))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    /// Reading a record and writing it again, by a program that touches nothing, gives the same bytes.
    #[test]
    fn what_a_program_does_not_touch_keeps_its_bytes(record in object_of(any_json())) {
        let run = run(&[("TRANSFORM", "(.)")], &format!("[{record}]"));

        prop_assert_eq!(run.folder.lines("records"), [record]);
    }

    /// Each record is staged as often as its program says, or put aside; never both, and in the order of the page.
    #[test]
    fn outputs_are_counted_and_a_rejected_record_is_never_staged(numbers in prop::collection::vec(-3_i64..4, 0..40)) {
        let records: Vec<String> = numbers.iter().map(|n| format!("{{\"n\":{n}}}")).collect();
        let program = "range(if .n < 0 then 2 else .n end) as $i | if .n == -1 and $i == 1 then error(\"no\") elif .n == -2 and $i == 1 then 1 else {n, $i} end";
        let run = run(&[("TRANSFORM", program)], &format!("[{}]", records.join(",")));

        let staged = numbers.iter().filter(|n| **n != -1 && **n != -2);
        let staged: Vec<String> = staged
            .flat_map(|n| (0..if *n < 0 { 2 } else { *n }).map(move |i| format!("{{\"n\":{n},\"i\":{i}}}")))
            .collect();
        prop_assert_eq!(run.folder.lines("records"), staged.clone());
        prop_assert_eq!(run.report().staged, staged.len() as u64);
        let aside = numbers.iter().filter(|n| **n == -1 || **n == -2).count();
        prop_assert_eq!(run.report().rejected, aside as u64);
        prop_assert_eq!(run.folder.lines("rejected").len(), aside);
    }
}
