use super::*;

/// The slot of what is read besides the records.
const NEXT: usize = 1;

fn place() -> Place {
    Place {
        page: 2,
        url: "https://api.example.com/orders".to_owned(),
        content_type: Some("text/plain".to_owned()),
    }
}

fn answer(body: &[u8]) -> Answer {
    Answer {
        status: 200,
        headers: Vec::new(),
        body: body.to_vec(),
    }
}

fn shape(records: &str, next: &str) -> Shape {
    let pointer = |text: &str| (!text.is_empty()).then(|| Pointer::parse(text).unwrap());
    let mut shape = Shape::new(pointer(records).as_ref());
    if let Some(next) = pointer(next) {
        assert_eq!(shape.also(&next), NEXT);
    }
    shape
}

fn read_all(body: &str, shape: &Shape) -> Result<(Vec<String>, Option<String>), Failure> {
    let mut records = Vec::new();
    let answer = answer(body.as_bytes());
    let page = open(&answer, shape, &place())?;
    let contents = read(&page, shape, &place(), &mut |_, text| {
        records.push(text.to_owned());
        Ok(())
    })?;
    assert_eq!(contents.records, records.len() as u64);
    let next = leading_text(contents.value(NEXT));
    Ok((records, next.expect("a text that leads on")))
}

fn refused(body: &str, records: &str, next: &str) -> String {
    match read_all(body, &shape(records, next)).unwrap_err() {
        Failure::Protocol(detail) => detail.message,
        other => panic!("expected a protocol failure: {other:?}"),
    }
}

#[test]
fn a_body_that_is_an_array_holds_the_records() {
    let (records, next) = read_all(r#" [ {"a":1} , {"b": 2}] "#, &shape("", "")).unwrap();

    assert_eq!(records, [r#"{"a":1}"#, r#"{"b": 2}"#]);
    assert_eq!(next, None);
}

#[test]
fn records_and_next_are_read_wherever_they_stand() {
    let body = r#"{"meta":{"next":"/p?2","n":1e400},"data":{"items":[{"a":1}]}}"#;

    let (records, next) = read_all(body, &shape("/data/items", "/meta/next")).unwrap();

    assert_eq!(records, [r#"{"a":1}"#]);
    assert_eq!(next.as_deref(), Some("/p?2"));
}

#[test]
fn numbers_are_handed_on_byte_for_byte() {
    let record = r#"{"a":9007199254740993,"b":1234567890123456789012345678901234567890,"c":1.10,"d":1e400,"e":-0}"#;

    let (records, _) = read_all(&format!("[{record}]"), &shape("", "")).unwrap();

    assert_eq!(records, [record]);
}

#[test]
fn no_next_is_null_false_empty_or_missing() {
    let shape = shape("/items", "/next");
    let next = |body: &str| read_all(body, &shape).unwrap().1;

    assert_eq!(next(r#"{"items":[],"next":null}"#), None);
    assert_eq!(next(r#"{"items":[],"next":false}"#), None);
    assert_eq!(next(r#"{"items":[],"next":""}"#), None);
    assert_eq!(next(r#"{"items":[]}"#), None);
}

#[test]
fn what_is_no_text_leads_nowhere() {
    assert_eq!(leading_text(Some("3")), Err("a number"));
    assert_eq!(leading_text(Some("true")), Err("`true`"));
    assert_eq!(leading_text(Some("{}")), Err("an object"));
    assert_eq!(leading_text(Some("[]")), Err("an array"));
    assert_eq!(leading_text(Some(r#""\ud800""#)), Err("a damaged string"));
}

#[test]
fn an_object_without_pointer_is_refused_with_the_arrays_it_has() {
    let message = refused(r#"{"total":2,"items":[{}],"a/b":[]}"#, "", "");

    assert!(
        message.ends_with("has an object as the body, not an array of records; set SOURCE_RECORDS, such as `/items` or `/a~1b`"),
        "{message}"
    );
}

#[test]
fn a_page_without_the_array_is_refused() {
    assert!(refused(r#"{"error":"x"}"#, "/items", "").ends_with(
        "has no `/items` (SOURCE_RECORDS); if the source leaves it out where there are no records, set SOURCE_RECORDS_MISSING=empty"
    ));
    assert!(
        refused(r#"{"items":"x"}"#, "/items", "")
            .contains("has a string as `/items`, not an array")
    );
    assert!(refused(r#""x""#, "", "").contains("has a string as the body"));
}

#[test]
fn null_is_no_record_and_so_is_what_is_missing_where_that_is_set() {
    let none = (Vec::new(), None);
    let lenient = shape("/items", "").reading(true);

    assert!(refused("null", "", "").contains("SOURCE_RECORDS_MISSING=empty"));
    assert_eq!(
        read_all("null", &shape("", "").reading(true)).unwrap(),
        none
    );
    assert_eq!(
        read_all(r#"{"items":null}"#, &shape("/items", "")).unwrap(),
        none
    );
    assert_eq!(read_all("{}", &lenient).unwrap(), none);
    assert_eq!(read_all(r#"{"items":{}}"#, &lenient).unwrap(), none);
    assert!(
        refused(r#"{"items":{}}"#, "/items", "").contains("it is empty; if that means no records")
    );
}

#[test]
fn an_error_beside_no_records_is_not_taken_for_an_empty_page() {
    let lenient = shape("/data/items", "").reading(true);
    let null = r#"{"data":{"items":null},"errors":[{"message":"no"}]}"#;
    let missing = r#"{"error":"no"}"#;

    for (body, at) in [
        (null, "/errors"),
        (missing, "/error"),
        (r#"{"data":{"items":[]},"errors":["no"]}"#, "/errors"),
        (
            r#"{"data":{"items":[],"error_message":"no"}}"#,
            "/data/error_message",
        ),
        (r#"{"data":{"items":[]},"success":false}"#, "/success"),
        (r#"{"data":{"items":null},"Status":"Error"}"#, "/Status"),
        (r#"{"data":{"items":[]},"meta":{"code":404}}"#, "/meta/code"),
    ] {
        let why = read_all(body, &lenient).unwrap_err().to_string();
        assert!(
            why.contains(&format!(
                "has no records, and an error at `{at}`; if it is none, set SOURCE_ERROR"
            )),
            "{why}"
        );
    }
    let fine = r#"{"data":{"items":null},"errors":[]}"#;
    assert!(read_all(fine, &lenient).is_ok());
    let fine =
        r#"{"data":{"items":[]},"code":200,"success":true,"status":"ok","filter":{"ok":false}}"#;
    assert!(read_all(fine, &lenient).is_ok());
    let some = r#"{"data":{"items":[{}]},"errors":["no"]}"#;
    assert!(read_all(some, &lenient).is_ok());
}

fn at_data(known_by: &[&str], data: &str) -> Result<Vec<String>, String> {
    let known_by = known_by.iter().map(|at| Pointer::parse(at).unwrap());
    let shape = shape("/data", "").known_by(known_by.collect());
    let mut found = Vec::new();
    let answer = answer(format!("{{\"data\":{data}}}").as_bytes());
    let page = open(&answer, &shape, &place()).unwrap();
    let read = read(&page, &shape, &place(), &mut |index, text| {
        found.push(format!("{} {text}", shape.record_at(index)));
        Ok(())
    });
    read.map(|_| found).map_err(|failure| failure.to_string())
}

#[test]
fn one_object_in_place_of_the_array_is_a_record_if_it_has_what_records_have() {
    assert_eq!(
        at_data(&["/id"], r#"{"id": 1.0,"tags":["a"],"lines":[]}"#).unwrap(),
        [r#"/data {"id": 1.0,"tags":["a"],"lines":[]}"#]
    );
    let wrong = |known_by: &[&str], data| at_data(known_by, data).unwrap_err();
    for (known_by, data, why) in [
        (
            vec!["/id"],
            r#"{"total":2,"items":[{"id":1}]}"#,
            "set SOURCE_RECORDS, such as `/data/items`; a single record would have a `/id`",
        ),
        (
            vec!["/id"],
            r#"{"id":"q7","orders":[{"id":1}]}"#,
            "`/data/orders` has objects in it: if it is one record all the same, set SOURCE_RECORDS=.data",
        ),
        (
            vec!["/id"],
            r#"{"id":"q7","error":{"code":3}}"#,
            "and an error at `/data/error`",
        ),
        (
            vec!["/id"],
            r#"{"id":null,"message":"no"}"#,
            "a single record would have a `/id`",
        ),
        (
            vec!["/id"],
            r#"{"a":{"id":1},"id":{"id":2}}"#,
            "if its members are records, set SOURCE_RECORDS=.data[], or SOURCE_RECORDS=.data | to_entries[] | {key} + .value",
        ),
        (
            vec![],
            r#"{"id":1}"#,
            "if it is one record, set SOURCE_RECORDS=.data, which takes an array of records too",
        ),
    ] {
        let found = wrong(&known_by, data);
        assert!(found.contains(why), "{found}");
    }
}

#[test]
fn a_body_of_records_by_key_is_refused_with_a_program_and_one_of_an_error_is_not() {
    assert!(
        refused(r#"{"a":{"v":1},"b":{}}"#, "", "")
            .contains("set SOURCE_RECORDS=.[], or SOURCE_RECORDS=. | to_entries[]")
    );
    assert!(
        refused(r#"{"error":{"code":1}}"#, "", "")
            .ends_with("as the body, not an array of records, and no array in it")
    );
}

#[test]
fn a_program_makes_the_records_and_another_reads_beside_them() {
    let program = |text: &str| Program::compile(text).unwrap();
    let mut shape = Shape::made_by(&program(".data | to_entries[] | {key} + .value"));
    let more = shape.also_by(&program(".page < .pages"), "SOURCE_PAGE_MORE");
    let answer = answer(br#"{"page":1,"pages":2,"data":{"x":{"v":1.10},"y":{"v":2}}}"#);
    let mut found = Vec::new();

    let page = open(&answer, &shape, &place()).unwrap();
    let contents = read(&page, &shape, &place(), &mut |index, text| {
        found.push((index, text.to_owned()));
        Ok(())
    })
    .unwrap();

    assert_eq!(found[0], (Some(0), r#"{"key":"x","v":1.10}"#.to_owned()));
    assert_eq!((contents.records, contents.made(more)), (2, Some("true")));
    assert_eq!(shape.record_at(Some(1)), "");
}

#[test]
fn a_program_that_cannot_be_asked_ends_the_run_and_names_its_setting() {
    let mut shape = shape("/items", "");
    shape.also_by(&Program::compile(".meta.more").unwrap(), "SOURCE_PAGE_MORE");
    let made_by = Shape::made_by(&Program::compile(".items").unwrap());
    let opened = |shape: &Shape, body: &str| open(&answer(body.as_bytes()), shape, &place()).err();

    let why = opened(&shape, r#"{"meta":"x"}"#).unwrap().to_string();
    assert!(
        why.contains("orders`: SOURCE_PAGE_MORE: cannot index"),
        "{why}"
    );
    let why = opened(&made_by, r#"{"items":7}"#).unwrap().to_string();
    assert!(
        why.ends_with(
            "SOURCE_RECORDS: output 1 is a number, not an array of records or one record"
        ),
        "{why}"
    );
    let why = opened(&made_by, "<html>").unwrap().to_string();
    assert!(why.contains("is not JSON"), "{why}");
}

#[test]
fn what_is_not_json_is_refused_with_line_and_column() {
    assert!(refused("[{}\n,]", "", "").contains("is not JSON: trailing comma at line 2 column 2"));
    assert!(refused("[{}]x", "", "").contains("trailing characters at line 1 column 5"));
    assert!(refused("[{\"a\":1}", "", "").contains("is not JSON: EOF"));
    assert!(refused("[{\"a\":NaN}]", "", "").contains("is not JSON"));
    assert!(refused(" \n", "", "").ends_with("is empty, not JSON (Content-Type `text/plain`)"));
}

#[test]
fn html_is_named_with_its_title_and_content_type() {
    let message = refused("<!doctype html><title>Log in</title>", "", "");

    assert!(
        message.ends_with(
            "is not JSON: expected value at line 1 column 1; it looks like HTML, titled `Log in` (Content-Type `text/plain`): check SOURCE_API_URL and the credential"
        ),
        "{message}"
    );
}

#[test]
fn one_byte_order_mark_is_skipped() {
    assert_eq!(read_all("\u{feff}[{}]", &shape("", "")).unwrap().0, ["{}"]);
    assert!(refused("\u{feff}\u{feff}[{}]", "", "").contains("is not JSON"));
}

#[test]
fn what_is_not_utf_8_is_refused_with_the_offset() {
    let answer = answer(b"[{\"a\":\"\xff\"}]");
    let page = open(&answer, &shape("", ""), &place()).unwrap();
    let failure = read(&page, &shape("", ""), &place(), &mut |_, _| Ok(()));

    let message = failure.unwrap_err().to_string();
    assert!(
        message.ends_with(
            "is not UTF-8 at byte 7 (Content-Type `text/plain`); it begins with `[{\"a\":\"\u{fffd}\"}]`"
        ),
        "{message}"
    );
}

#[test]
fn a_page_that_is_not_json_wins_over_a_bad_record() {
    assert!(refused("[7,", "", "").contains("is not JSON"));
}

#[test]
fn a_refused_record_ends_the_taking() {
    let mut taken = 0;

    let answer = answer(b"[{},{},{}]");
    let page = open(&answer, &shape("", ""), &place()).unwrap();
    let failure = read(&page, &shape("", ""), &place(), &mut |index, _| {
        taken += 1;
        if index == Some(1) {
            Err(Failure::data("no"))
        } else {
            Ok(())
        }
    });

    assert_eq!(failure, Err(Failure::data("no")));
    assert_eq!(taken, 2);
}

#[test]
fn a_repeated_member_on_the_way_to_the_records_is_refused() {
    let message = refused(r#"{"items":[{}],"items":[]}"#, "/items", "");

    assert!(message.ends_with("has two members `items`"), "{message}");
}

#[test]
fn nesting_has_a_limit_and_text_does_not_count() {
    let nested = |levels: usize| {
        let open = "{\"a\":".repeat(levels - 1) + "{";
        format!("{open}{}", "}".repeat(levels))
    };
    let text = format!(r#"{{"a":"{}\"["}}"#, "[{".repeat(500));

    assert_eq!(
        tidegate_json::unfit(&nested(tidegate_json::DEPTH_MAX)),
        None
    );
    assert_eq!(tidegate_json::unfit(&text), None);
    assert_eq!(
        tidegate_json::unfit(&nested(tidegate_json::DEPTH_MAX + 1)).as_deref(),
        Some("is nested deeper than 126 levels")
    );
    assert_eq!(
        tidegate_json::unfit("7").as_deref(),
        Some("is not an object")
    );
}

#[test]
fn nesting_of_a_million_levels_is_passed_without_recursion() {
    let deep = format!(
        "{}1{}",
        "{\"a\":[".repeat(1_000_000),
        "]}".repeat(1_000_000)
    );

    let (records, _) = read_all(&format!("[{deep}]"), &shape("", "")).unwrap();
    assert!(
        tidegate_json::unfit(&records[0])
            .unwrap()
            .contains("nested deeper")
    );
    assert!(
        read_all(
            &format!(r#"{{"x":{deep},"items":[]}}"#),
            &shape("/items", "")
        )
        .is_ok()
    );
}

fn read_as(format: Format, records: &str, body: &str) -> Result<Vec<String>, String> {
    let pointer = (!records.is_empty()).then(|| Pointer::parse(records).unwrap());
    let shape = Shape::of(format, pointer.as_ref());
    let mut found = Vec::new();
    let answer = answer(body.as_bytes());
    let page = open(&answer, &shape, &place()).unwrap();
    let read = read(&page, &shape, &place(), &mut |index, text| {
        found.push(format!("{} {text}", shape.record_at(index)));
        Ok(())
    });
    read.map(|_| found).map_err(|failure| failure.to_string())
}

#[test]
fn a_body_of_lines_holds_a_record_a_line() {
    let lines = |body: &str| read_as(Format::Ndjson, "", body);

    assert_eq!(
        lines("\u{feff}{\"a\":1.10}\r\n\n  {\"b\": 2} \n").unwrap(),
        [r#"/0 {"a":1.10}"#, r#"/1 {"b": 2}"#]
    );
    assert_eq!(lines("\n\n").unwrap(), [""; 0]);
    assert_eq!(lines("").unwrap(), [""; 0]);
    assert!(
        lines("{}\n\n{\"a\":")
            .unwrap_err()
            .ends_with("is not NDJSON: EOF while parsing a value at line 3 column 5 (Content-Type `text/plain`); it begins with `{\"a\":`")
    );
    assert!(
        lines("{} {}\n")
            .unwrap_err()
            .contains("trailing characters at line 1 column 4")
    );
    assert!(lines("[{},\n{}]").unwrap_err().contains("is not NDJSON"));
}

#[test]
fn an_object_can_be_the_one_record() {
    let object = |records: &str, body: &str| read_as(Format::Object, records, body);

    assert_eq!(object("", r#"{"a": 1.10}"#).unwrap(), [r#" {"a": 1.10}"#]);
    assert_eq!(
        object("/data/me", r#"{"data":{"me":{"a":1}}}"#).unwrap(),
        [r#"/data/me {"a":1}"#]
    );
    assert!(
        object("", "[{}]")
            .unwrap_err()
            .ends_with("has an array as the body, not one record (SOURCE_FORMAT)")
    );
    assert!(
        object("/me", r#"{"me":null}"#)
            .unwrap_err()
            .contains("has null as `/me`")
    );
    assert!(object("/me", "{}").unwrap_err().contains("has no `/me`"));
}

#[test]
fn the_one_record_may_hold_the_next_url_too() {
    let mut shape = Shape::of(Format::Object, None);
    let next = shape.also(&Pointer::parse("/next").unwrap());
    let mut found = Vec::new();

    let answer = answer(br#"{"a":1,"next":"/p2"}"#);
    let page = open(&answer, &shape, &place()).unwrap();
    let contents = read(&page, &shape, &place(), &mut |_, text| {
        found.push(text.to_owned());
        Ok(())
    });

    assert_eq!(contents.unwrap().value(next), Some("\"/p2\""));
    assert_eq!(found, [r#"{"a":1,"next":"/p2"}"#]);
}

#[test]
fn in_what_came_as_xml_a_pointer_that_leads_past_several_elements_is_an_error() {
    let read = |body: &str| read_all(body, &shape("/r/o", "/r/p/next").reading(true).of_xml(true));
    let why = |body: &str| read(body).unwrap_err().to_string();
    let one = vec![r#"{"id":"1"}"#.to_owned()];

    assert_eq!(
        read(r#"{"r":{"o":{"id":"1"}}}"#).unwrap(),
        (one.clone(), None)
    );
    assert_eq!(
        read(r#"{"r":{"o":[{"id":"1"}],"p":{"next":""}}}"#).unwrap(),
        (one, None)
    );
    assert!(read(r#"{"r":""}"#).unwrap().0.is_empty());
    assert!(why(r#"{"r":{"o":{"id":"1"},"p":[{"next":"a"},{"next":"b"}]}}"#)
        .ends_with("has several elements at `/r/p`, and `/r/p/next` needs one: give a jq program, such as `.r.p[].next?`"));
    assert!(why(r#"{"s":""}"#).ends_with("has the root element `s`, not `r` (SOURCE_RECORDS)"));
    assert!(why(r#"{"r":{"status":"failed"}}"#).contains("an error at `/r/status`"));
    assert!(why(r#"{"r":{"code":"500"}}"#).contains("an error at `/r/code`"));
    assert!(
        read(r#"{"r":{"error":"false","success":"true","code":"200"}}"#)
            .unwrap()
            .0
            .is_empty()
    );
}
