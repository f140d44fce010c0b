//! What SOURCE_ERROR makes of good answers.

use super::*;

/// An answer 200 with this body.
fn good(body: &str) -> Result<Answer, SendError> {
    answer(200, &[]).map(|answer| Answer {
        body: body.as_bytes().to_vec(),
        ..answer
    })
}

/// Gets page 2 with three retries, its answers judged by this program.
fn judged(
    program: &str,
    answers: impl IntoIterator<Item = Result<Answer, SendError>>,
) -> (Result<Fetched, Failure>, Script, Patience) {
    let (mut http, mut clock) = Script::new(answers);
    let check = ErrorCheck::compile(program).unwrap();
    let mut getter = Getter::new(&mut http, &mut clock, RETRIES).judged_by(Some(&check));
    let got = getter.get(&ask(), 2);
    (got, http, clock)
}

const PROGRAM: &str = r#"if .error == "busy" then "retry" else .error end"#;

#[test]
fn a_body_that_says_busy_is_tried_again() {
    let (got, http, clock) = judged(PROGRAM, [good(r#"{"error":"busy"}"#), good("{}")]);

    assert_eq!(got.unwrap().answer.body, b"{}");
    assert_eq!(http.asked.len(), 2);
    assert!(
        clock.lines[0].starts_with(
            "warn: `https://x.example/o` answered 200 on page 2 and SOURCE_ERROR says to try again, waiting "
        ),
        "{:?}",
        clock.lines
    );
}

#[test]
fn a_body_that_stays_busy_is_unavailable() {
    let (got, _, clock) = judged(PROGRAM, (0..4).map(|_| good(r#"{"error":"busy"}"#)));

    let expected = Detail {
        message:
            "`https://x.example/o` answered 200 on page 2 and SOURCE_ERROR says to try again, four times: `{\"error\":\"busy\"}`"
                .to_owned(),
        status: Some(200),
        retry_after_seconds: None,
    };
    assert_eq!(got.unwrap_err(), Failure::Unavailable(expected));
    assert_eq!(clock.slept_ms.len(), 3);
}

#[test]
fn a_body_that_is_an_error_fails_at_once_and_is_quoted() {
    let failure = |body| judged(PROGRAM, [good(body)]).0.unwrap_err();

    assert_eq!(
        failure(r#"{"error":"no such\nview"}"#),
        Failure::Protocol(Detail {
            message: r#"`https://x.example/o` answered 200 on page 2 and SOURCE_ERROR says `no such\nview`: `{"error":"no such\nview"}`"#
                .to_owned(),
            status: Some(200),
            retry_after_seconds: None,
        })
    );
    assert!(
        failure(r#"{"error":true}"#)
            .to_string()
            .ends_with("and SOURCE_ERROR says that it is an error: `{\"error\":true}`")
    );
}

#[test]
fn a_busy_body_whose_limit_is_used_up_is_waited_for_until_the_reset() {
    let limited = answer(
        200,
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "20")],
    );

    let (got, _, clock) = judged(
        PROGRAM,
        [
            limited.map(|answer| Answer {
                body: br#"{"error":"busy"}"#.to_vec(),
                ..answer
            }),
            good("{}"),
        ],
    );

    assert!(got.is_ok());
    assert!(
        (20_000..=21_000).contains(&clock.slept_ms[0]),
        "{:?}",
        clock.slept_ms
    );
}

#[test]
fn only_good_answers_are_judged() {
    let (got, http, _) = judged("true", [answer(404, &[])]);

    assert!(matches!(got, Err(Failure::Refused(_))), "{got:?}");
    assert_eq!(http.asked.len(), 1);
}
