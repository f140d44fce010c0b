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
            status: None,
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

/// An answer of this status with this body.
fn bad(status: u16, body: &str) -> Result<Answer, SendError> {
    answer(status, &[]).map(|answer| Answer {
        body: body.as_bytes().to_vec(),
        ..answer
    })
}

#[test]
fn a_rate_limit_sent_as_400_is_tried_again_and_unavailable_in_the_end() {
    let busy = || bad(400, r#"{"error":"busy"}"#);
    let (got, http, _) = judged(PROGRAM, [busy(), good("{}")]);
    assert!(got.is_ok());
    assert_eq!(http.asked.len(), 2);

    let (got, _, _) = judged(PROGRAM, (0..4).map(|_| busy()));
    assert!(matches!(got, Err(Failure::Unavailable(_))), "{got:?}");
}

#[test]
fn what_is_said_of_a_refusal_is_added_and_changes_nothing_else() {
    let failure = |status| {
        judged(PROGRAM, [bad(status, r#"{"error":"no"}"#)])
            .0
            .unwrap_err()
    };

    assert!(matches!(failure(401), Failure::Denied(_)));
    let Failure::Refused(detail) = failure(404) else {
        panic!("expected a refusal");
    };
    assert!(
        detail
            .message
            .ends_with(r#"answered 404 on page 2: `{"error":"no"}`; SOURCE_ERROR says `no`"#),
        "{}",
        detail.message
    );
    let (got, http, _) = judged(PROGRAM, (0..4).map(|_| bad(503, r#"{"error":"no"}"#)));
    assert!(
        got.unwrap_err()
            .to_string()
            .ends_with("SOURCE_ERROR says `no`")
    );
    assert_eq!(http.asked.len(), 4, "it is tried again as ever");
}

#[test]
fn an_answer_that_means_no_records_is_an_empty_page() {
    let program = r#"if $status == 404 and .code == 3 then "empty" else null end"#;

    let (got, _, _) = judged(program, [bad(404, r#"{"code":3}"#)]);
    assert!(got.unwrap().is_empty);
    let (got, _, _) = judged(program, [bad(404, r#"{"code":4}"#)]);
    assert!(matches!(got, Err(Failure::Refused(_))), "{got:?}");
}

#[test]
fn statuses_mean_what_is_set() {
    let meanings = Meanings {
        empty: vec![204, 404],
        retry: vec![403],
    };
    let get = |answers: Vec<Result<Answer, SendError>>| {
        let (mut http, mut clock) = Script::new(answers);
        let mut getter = Getter::new(&mut http, &mut clock, RETRIES).with_meanings(&meanings);
        getter.get(&ask(), 2)
    };

    assert!(get(vec![answer(404, &[])]).unwrap().is_empty);
    assert!(get(vec![answer(204, &[])]).unwrap().is_empty);
    assert!(
        !get(vec![answer(403, &[]), answer(200, &[])])
            .unwrap()
            .is_empty
    );
    let limited = get((0..4).map(|_| answer(403, &[])).collect());
    assert!(
        matches!(limited, Err(Failure::Unavailable(_))),
        "{limited:?}"
    );
}

#[test]
fn a_202_is_tried_again_and_never_a_page() {
    let (got, http, clock) = judged("null", [answer(202, &[("retry-after", "7")]), good("[]")]);

    assert!(!got.unwrap().is_empty);
    assert_eq!(http.asked.len(), 2);
    assert!(
        (7_000..8_000).contains(&clock.slept_ms[0]),
        "{:?}",
        clock.slept_ms
    );
}

#[test]
fn what_is_said_of_a_refusal_behind_a_page_has_no_status_and_so_is_no_end() {
    let (got, _, _) = judged(PROGRAM, [bad(404, r#"{"error":"no"}"#)]);

    assert!(
        matches!(&got, Err(Failure::Refused(detail)) if detail.status.is_none()),
        "{got:?}"
    );
    let (got, _, _) = judged(PROGRAM, [bad(404, "{}")]);
    assert!(
        matches!(&got, Err(Failure::Refused(detail)) if detail.status == Some(404)),
        "{got:?}"
    );
}

#[test]
fn a_status_about_health_or_credentials_never_means_no_records() {
    const EMPTY: &str = r#"if (.rows | length) == 0 then "empty" else null end"#;
    for status in [300, 401, 429, 502] {
        let (got, _, _) = judged(EMPTY, [bad(status, r#"{"rows":[]}"#)]);
        let why = got.unwrap_err();
        assert!(matches!(why, Failure::Protocol(_)), "{why}");
        assert!(
            why.to_string().contains("such a status never means"),
            "{why}"
        );
    }
    let (got, _, _) = judged(EMPTY, [bad(404, r#"{"rows":[]}"#)]);
    assert!(got.unwrap().is_empty);
    let with_status = format!("if $status == 0 then null else ({EMPTY}) end");
    let (got, _, _) = judged(&with_status, (0..4).map(|_| bad(502, "<html>")));
    assert!(matches!(got, Err(Failure::Unavailable(_))), "{got:?}");
}

#[test]
fn a_redirect_is_followed_whatever_its_body_says() {
    let moved = answer(301, &[("location", "https://x.example/p")]).map(|answer| Answer {
        body: br#"{"error":"Moved Permanently"}"#.to_vec(),
        ..answer
    });

    let (got, http, _) = judged(PROGRAM, [moved, good("{}")]);

    assert!(got.is_ok(), "{got:?}");
    assert_eq!(http.asked.len(), 2);
}
