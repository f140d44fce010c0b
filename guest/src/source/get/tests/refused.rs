//! What a refusal says: the answer's own words, and what to change.

use super::*;

fn refused(status: u16, body: &str) -> String {
    let refused = answer(status, &[]).map(|answer| Answer {
        body: body.as_bytes().to_vec(),
        ..answer
    });
    got([refused]).got.unwrap_err().to_string()
}

#[test]
fn a_refusal_has_the_first_characters_of_the_answer() {
    for status in [400, 401, 403, 404, 409, 418, 422, 501] {
        assert_eq!(
            refused(status, r#"{"error":"no such view"}"#),
            format!(
                r#"`https://x.example/o` answered {status} on page 2: `{{"error":"no such view"}}`"#
            )
        );
    }
    assert_eq!(
        refused(404, "<html><title>Not found</title>"),
        "`https://x.example/o` answered 404 on page 2: an HTML page, titled `Not found`"
    );
    assert_eq!(
        refused(404, ""),
        "`https://x.example/o` answered 404 on page 2"
    );
}

#[test]
fn a_refusal_for_too_many_requests_names_the_setting() {
    let hint = "; if it is a rate limit, set SOURCE_RETRY_ON=400";

    assert!(refused(400, r#"{"error":"User request limit reached"}"#).ends_with(hint));
    assert!(refused(403, "Too many requests").ends_with("SOURCE_RETRY_ON=403"));
    assert!(!refused(404, "Too many requests").contains("SOURCE_RETRY_ON"));
    assert!(refused(204, "").ends_with("set SOURCE_EMPTY_ON=204"));
}

#[test]
fn an_answer_that_is_busy_to_the_end_is_quoted() {
    let busy = || {
        answer(429, &[]).map(|answer| Answer {
            body: b"slow down".to_vec(),
            ..answer
        })
    };

    let failure = got((0..4).map(|_| busy())).got.unwrap_err();

    assert_eq!(
        failure.to_string(),
        "`https://x.example/o` answered 429 on page 2, four times: `slow down`"
    );
}

#[test]
fn a_405_says_what_made_the_method() {
    let method = |body: Option<&str>| {
        let failure = got_for(body, [answer(405, &[])]).got.unwrap_err();
        failure.to_string()
    };

    assert!(
        method(Some("{}")).ends_with(
            "; SOURCE_BODY makes the request a POST: leave it out if the API takes a GET, or set SOURCE_METHOD=GET"
        )
    );
    assert!(
        method(None)
            .ends_with("; the request was a GET: give a SOURCE_BODY if the API takes a POST, or set SOURCE_METHOD=POST")
    );
}

#[test]
fn a_redirect_that_is_not_granted_names_both_ends_and_what_to_set() {
    let moved = answer(301, &[("location", "https://y.example/v2/o?key=s3cret")]);

    let failure = got([
        moved,
        Err(SendError::Denied("it is not granted".to_owned())),
    ])
    .got;

    assert_eq!(
        failure.unwrap_err(),
        Failure::Denied(Detail::from(
            "`https://x.example/o` redirects page 2 to `https://y.example/v2/o`: if the API has moved, set SOURCE_API_URL to the new URL; it is not granted"
        ))
    );
}
