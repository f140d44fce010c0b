use super::*;
use BodyVerdict::{Empty, Failed, Fine, NoError, Retry};

fn judged(program: &str, body: &str) -> BodyVerdict {
    judged_at(200, program, body)
}

fn judged_at(status: u16, program: &str, body: &str) -> BodyVerdict {
    let answer = Answer {
        status,
        headers: vec![("x-limit".to_owned(), b"0".to_vec())],
        body: body.as_bytes().to_vec(),
    };
    ErrorCheck::compile(program).unwrap().judge(&answer)
}

#[test]
fn a_program_judges_by_status_and_headers_too() {
    let program = r#"if $status == 404 then "empty" elif $headers["x-limit"] == "0" then "retry" else .error end"#;

    assert_eq!(judged_at(404, program, "{}"), Empty);
    assert_eq!(judged_at(404, program, ""), Empty);
    // It may come from a proxy, and is no answer of the API.
    assert_eq!(judged_at(404, program, "<html>"), Fine);
    assert_eq!(judged_at(400, program, ""), Retry);
    assert_eq!(judged_at(500, ".error", "<html>"), Fine);
}

#[test]
fn a_body_is_fine_where_the_program_says_nothing() {
    assert_eq!(judged(".error", r#"{"items":[]}"#), Fine);
    assert_eq!(judged("empty", "[]"), Fine);
    assert_eq!(judged(".ok == false", r#"{"ok":true}"#), NoError);
}

#[test]
fn a_body_is_retried_or_failed_as_the_program_says() {
    let program = r#"if .code == "busy" then "retry" else .error end"#;

    assert_eq!(judged(program, r#"{"code":"busy"}"#), Retry);
    assert_eq!(judged(program, r#"{"error":true}"#), Failed(None));
    assert_eq!(
        judged(program, r#"{"error":"no such view"}"#),
        Failed(Some("no such view".to_owned()))
    );
    assert_eq!(
        judged(program, r#"{"error":{"code":7}}"#),
        Failed(Some(r#"{"code":7}"#.to_owned()))
    );
}

#[test]
fn the_first_output_that_says_something_decides() {
    assert_eq!(judged(r#"null, false, "retry", true"#, "{}"), Retry);
}

#[test]
fn a_body_that_is_not_json_is_left_to_the_page() {
    assert_eq!(judged("true", "<html>"), Fine);
    assert_eq!(judged("true", "{"), Fine);
    assert_eq!(judged("true", ""), Fine);
}

#[test]
fn a_body_that_cannot_be_judged_has_failed() {
    let Failed(Some(why)) = judged(".error", "[1]") else {
        panic!("expected a failure");
    };

    assert_eq!(
        why,
        "SOURCE_ERROR cannot judge it: cannot index a array with `\"error\"`"
    );
}
