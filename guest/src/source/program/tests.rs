use super::*;

fn answer(headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = headers.iter();
    Answer {
        status: 206,
        headers: headers
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect(),
        body: body.as_bytes().to_vec(),
    }
}

fn made(program: &str, body: &str) -> Result<Vec<String>, String> {
    let program = Program::compile(program)?;
    let body = Program::read(&[&program], body)?;
    let made = program.records(&body, &Facts::of(&answer(&[], "")), false)?;
    Ok(made.iter().map(str::to_owned).collect())
}

fn json(program: &str, headers: &[(&str, &str)], body: &str) -> Result<Option<String>, String> {
    let program = Program::compile(program)?;
    let value = Program::read(&[&program], body)?;
    program.json(&value, &Facts::of(&answer(headers, body)))
}

#[test]
fn outputs_are_arrays_of_records_or_records_and_null_is_neither() {
    let body = r#"{"a":[{"n":1.10},{"n":1e400}],"b":{"id":1},"c":null}"#;

    assert_eq!(
        made(".a, .b, .a[0]", body).unwrap(),
        [
            r#"{"n":1.10}"#,
            r#"{"n":1e400}"#,
            r#"{"id":1}"#,
            r#"{"n":1.10}"#
        ]
    );
    assert!(
        made(".c", body)
            .unwrap_err()
            .ends_with("set SOURCE_RECORDS_MISSING=empty")
    );
    assert_eq!(made(".c | empty", body).unwrap(), [""; 0]);
    assert_eq!(
        made(".b, .b.id", body).unwrap_err(),
        "output 2 is a number, not an array of records or one record"
    );
}

#[test]
fn an_object_of_records_by_key_and_rows_under_a_header_become_records() {
    let keyed = r#"{"data":{"x":{"v":1},"y":{"v":2}}}"#;
    let rows = r#"{"columns":["id","name"],"rows":[[1,"a"],[2,"b"]]}"#;

    assert_eq!(
        made(".data | to_entries[] | {key} + .value", keyed).unwrap(),
        [r#"{"key":"x","v":1}"#, r#"{"key":"y","v":2}"#]
    );
    // PHP writes an object without members as an array.
    assert_eq!(
        made(".data | to_entries[] | {key} + .value", r#"{"data":[]}"#).unwrap(),
        [""; 0]
    );
    assert_eq!(
        made(
            ".columns as $c | .rows[] | . as $r | reduce range($c | length) as $i ({}; .[$c[$i]] = $r[$i])",
            rows
        )
        .unwrap(),
        [r#"{"id":1,"name":"a"}"#, r#"{"id":2,"name":"b"}"#]
    );
}

#[test]
fn the_output_that_is_not_null_counts_and_two_that_differ_are_refused() {
    let body =
        r#"{"page":2,"pages":3,"links":[{"rel":"self","href":"/a"},{"rel":"next","href":"/b"}]}"#;

    assert_eq!(
        json(".page < .pages", &[], body),
        Ok(Some("true".to_owned()))
    );
    assert_eq!(
        json(r#".links[] | select(.rel == "next").href"#, &[], body),
        Ok(Some("\"/b\"".to_owned()))
    );
    assert_eq!(json(".nothing, .page", &[], body), Ok(Some("2".to_owned())));
    assert_eq!(json(".nothing", &[], body), Ok(None));
    assert!(json(".page.x", &[], body).is_err());
    assert_eq!(json(".page, 2", &[], body), Ok(Some("2".to_owned())));
    let several = json(r#".links[].rel == "next""#, &[], body).unwrap_err();
    assert!(several.contains("several outputs"), "{several}");
}

#[test]
fn numbers_of_pages_are_compared_as_numbers_and_null_is_none() {
    let more = |body| json("(.page | tonumber) < (.pages | tonumber)", &[], body);

    for body in [
        r#"{"page":2,"pages":10}"#,
        r#"{"page":"2","pages":"10"}"#,
        r#"{"page":"2","pages":10}"#,
    ] {
        assert_eq!(more(body), Ok(Some("true".to_owned())), "{body}");
    }
    assert_eq!(
        more(r#"{"page":10,"pages":"10"}"#),
        Ok(Some("false".to_owned()))
    );
    assert!(more(r#"{"page":2,"pages":null}"#).is_err());
}

#[test]
fn status_and_headers_are_known_by_their_names_in_lower_case() {
    let headers = [("X-Next", "5 "), ("x-next", "6")];

    assert_eq!(
        json(
            r#"[$status, $headers["x-next"], $headers.none]"#,
            &headers,
            "{}"
        ),
        Ok(Some(r#"[206,"5, 6",null]"#.to_owned()))
    );
}

#[test]
fn a_pointer_that_lacks_its_slash_is_named() {
    let wrong = |text: &str| Program::compile(text).unwrap_err();

    for text in ["data/items", "data.items"] {
        assert!(
            wrong(text)
                .ends_with("is not a JSON Pointer, which begins with `/`: write `/data/items`"),
            "{}",
            wrong(text)
        );
    }
    // They are filters of jq, too.
    assert!(wrong("values").ends_with("write `/values`"));
    assert!(wrong("$.data.items").ends_with("or write `/data/items`"));
    assert!(wrong(".data | itms").contains("there is no filter `itms`"));
}

#[test]
fn a_pointer_has_its_path() {
    assert_eq!(jq_path("/data/items"), ".data.items");
    assert_eq!(jq_path("/a b/0/c~1d"), r#".["a b"][0]["c/d"]"#);
    assert_eq!(jq_path(""), ".");
}
