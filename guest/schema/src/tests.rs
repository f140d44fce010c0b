use super::*;

fn broken(schema: &str, value: &str) -> String {
    let schema = Schema::compile(schema).unwrap_or_else(|why| panic!("{schema}: {why}"));
    match schema.check(&read(value).unwrap()) {
        Ok(()) => "fits".to_owned(),
        Err(broken) => broken.to_string(),
    }
}

fn refused(schema: &str) -> String {
    Schema::compile(schema).unwrap_err()
}

/// Each line: schema, a value that fits, a value that does not, and the keyword that says so.
#[test]
fn every_keyword_tells_what_fits_from_what_does_not() {
    let mut wrong = Vec::new();
    for line in include_str!("tests/keywords.txt").lines() {
        let parts: Vec<&str> = line.split('⇒').map(str::trim).collect();
        let [schema, fits, breaks, keyword] = parts[..] else {
            panic!("four parts: {line}");
        };
        let (good, bad) = (broken(schema, fits), broken(schema, breaks));
        if good != "fits" || !bad.ends_with(&format!("(`{keyword}`)")) {
            wrong.push(format!("{schema}: {fits} {good}; {breaks} {bad}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_breaks_a_schema_is_named_by_place_and_keyword() {
    let schema = r##"{"properties":{"lines":{"items":{"$ref":"#/$defs/line"}}},"$defs":{"line":{"properties":{"a/b":{"minimum":1}}}}}"##;

    assert_eq!(
        broken(schema, r#"{"lines":[{},{"a/b":0.5}]}"#),
        "`/lines/1/a~1b` is `0.5`, less than 1 (`minimum`)"
    );
    assert_eq!(
        broken(r#"{"required":["id"]}"#, "{}"),
        "`the record` has no `id` (`required`)"
    );
}

#[test]
fn what_is_not_known_is_refused_and_never_passed_over() {
    assert_eq!(
        refused(r##"{"properties":{"a":{"$dynamicRef":"#x"}}}"##),
        "at `/properties/a/$dynamicRef`: is not a supported keyword"
    );
    assert_eq!(
        refused(r#"{"minimun":1}"#),
        "at `/minimun`: is not a supported keyword"
    );
    assert!(
        refused(r#"{"$defs":{"unused":{"dependencies":{}}}}"#).contains("not a supported keyword")
    );
    assert!(
        refused(r#"{"$ref":"https://example.com/s"}"#).contains("points outside of the schema")
    );
    assert!(
        refused(r##"{"$ref":"#x","const":{"$anchor":"x"}}"##)
            .contains("points outside of the schema")
    );
    assert!(refused(r#"{"$id":"a","$defs":{"b":{"$id":"a"}}}"#).contains("two schemas"));
    assert!(refused(r##"{"$ref":"#/$defs/x"}"##).contains("nothing is there"));
    assert!(
        refused(r#"{"$schema":"http://json-schema.org/draft-04/schema#"}"#)
            .contains("draft 2020-12 is")
    );
    assert!(refused(r#"{"items":[{}]}"#).contains("prefixItems"));
    assert!(refused(r#"{"type":"int"}"#).contains("`int` is not a type"));
    assert!(refused(r#"{"pattern":"(?=x)"}"#).contains("is not a regular expression"));
    assert!(refused(r#"{"minLength":-1}"#).contains("is not a count"));
    assert!(refused(r#"{"multipleOf":0}"#).contains("above 0"));
    assert!(refused("[]").contains("is a array, not a schema"));
    assert!(refused("{").contains("is not JSON"));
    assert!(refused(r#"{"type":"object","type":"array"}"#).contains("two members `type`"));
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let tree = r##"{"properties":{"next":{"$ref":"#"}},"required":["id"]}"##;

    assert_eq!(broken(tree, r#"{"id":1,"next":{"id":2}}"#), "fits");
    assert!(broken(tree, r#"{"id":1,"next":{}}"#).starts_with("`/next` has no `id`"));
    assert!(broken(r##"{"$ref":"#"}"##, "1").contains("refers to itself without end"));
}

#[test]
fn nullable_is_refused_with_what_to_write() {
    let schema = r#"{"properties":{"a":{"type":"integer","nullable":true}}}"#;

    assert_eq!(
        refused(schema),
        "at `/properties/a/nullable`: `nullable` belongs to OpenAPI 3.0; write `\"type\": [\"integer\", \"null\"]`"
    );
    assert!(refused(r#"{"nullable":true}"#).contains(r#"["string", "null"]"#));
    assert_eq!(
        broken(r#"{"type":"string","nullable":false}"#, "\"a\""),
        "fits"
    );
}

/// An object in an object, so many levels deep, with `"v":1` in the last.
fn nested(levels: usize) -> String {
    format!(
        "{}{{\"v\":1}}{}",
        "{\"child\":".repeat(levels),
        "}".repeat(levels)
    )
}

#[test]
fn a_record_that_doubles_the_work_at_each_level_is_refused_and_not_waited_for() {
    let schema = r##"{"oneOf":[{"properties":{"v":true},"required":["v"]},
        {"properties":{"child":{"$ref":"#"}},"required":["child"]}],"unevaluatedProperties":false}"##;

    assert_eq!(broken(schema, &nested(3)), "fits");
    let why = Schema::compile(schema)
        .unwrap()
        .check(&read(&nested(100)).unwrap());
    assert!(why.unwrap_err().is_out_of_steps);
}

#[test]
fn looking_for_what_is_evaluated_ends_too() {
    let schema = r##"{"anyOf":[true,{"$ref":"#"}],"unevaluatedProperties":true}"##;

    assert!(broken(schema, r#"{"a":1}"#).contains("refers to itself without end"));
}

#[test]
fn a_chain_of_schemas_at_every_level_of_a_record_is_too_deep() {
    let chain: Vec<String> = (0..300)
        .map(|at| format!(r##""d{at}":{{"$ref":"#/$defs/d{}"}}"##, at + 1))
        .collect();
    let schema = format!(
        r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d300":{{"properties":{{"child":{{"$ref":"#"}}}}}}}}}}"##,
        chain.join(",")
    );

    assert_eq!(broken(&schema, &nested(1)), "fits");
    assert!(broken(&schema, &nested(100)).contains("nested too deeply"));
}

#[test]
fn under_not_a_limit_that_was_reached_is_no_match() {
    assert!(broken(r##"{"not":{"$ref":"#"}}"##, "1").contains("refers to itself without end"));
}
