use super::super::{ClientAuth, Grant};
use super::*;

fn oauth2() -> OAuth2 {
    OAuth2 {
        token_url: "https://login.example/token".parse().unwrap(),
        client_id: "tidegate".into(),
        client: ClientAuth::Header("s3cret".into()),
        grant: Grant::Client,
        scope: None,
        params: Vec::new(),
    }
}

fn of(status: u16, body: &str) -> Result<Granted, InPlace> {
    read(
        StatusCode::from_u16(status).unwrap(),
        body.as_bytes(),
        &oauth2(),
    )
}

fn lifetime_of(expires_in: &str) -> Result<Option<Duration>, InPlace> {
    let body = format!(r#"{{"access_token":"t","token_type":"Bearer","expires_in":{expires_in}}}"#);
    of(200, &body).map(|granted| granted.lifetime)
}

#[test]
fn a_token_has_the_lifetime_that_it_says() {
    let seconds = |seconds| Ok(Some(Duration::from_secs(seconds)));

    assert_eq!(lifetime_of("3600"), seconds(3600));
    assert_eq!(lifetime_of("3600.0"), seconds(3600));
    assert_eq!(lifetime_of("\"3600\""), seconds(3600));
    assert_eq!(lifetime_of("-1"), seconds(0));
    assert_eq!(lifetime_of("1e300"), Ok(Some(TOKEN_LIFETIME_MAX)));
    assert_eq!(lifetime_of("null"), Ok(None));
    assert!(matches!(lifetime_of("\"soon\""), Err(InPlace::Nonsense(_))));
    assert!(matches!(lifetime_of("\"NaN\""), Err(InPlace::Nonsense(_))));
    assert!(matches!(lifetime_of("[1]"), Err(InPlace::Nonsense(_))));
}

#[test]
fn a_refresh_token_is_found_in_an_answer_that_is_no_good_otherwise() {
    let found = |status: u16, body: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        let found = refresh_token(status, body.as_bytes());
        found.map(|token| token.expose().to_owned())
    };

    let other = r#"{"access_token":7,"token_type":"mac","refresh_token":"the next one"}"#;
    assert_eq!(found(200, other).as_deref(), Some("the next one"));
    assert_eq!(found(400, other), None);
    assert_eq!(found(200, r#"{"refresh_token":""}"#), None);
    assert_eq!(found(200, "{\"refresh_token\":\"two\\nlines\"}"), None);
}

#[test]
fn the_type_is_bearer_or_not_said() {
    let typed = |word: &str| {
        of(
            200,
            &format!(r#"{{"access_token":"t","token_type":"{word}"}}"#),
        )
    };

    assert!(typed("bearer").is_ok() && typed("Bearer").is_ok());
    assert!(of(200, r#"{"access_token":"t"}"#).is_ok());
    assert!(matches!(typed("mac"), Err(InPlace::Nonsense(_))));
}

#[test]
fn what_is_no_token_makes_no_sense() {
    for body in [
        "<html>log in</html>",
        "",
        "[]",
        r#"{"token":"t"}"#,
        r#"{"access_token":""}"#,
        r#"{"access_token":7}"#,
    ] {
        assert!(matches!(of(200, body), Err(InPlace::Nonsense(_))), "{body}");
    }
    for status in [302, 307, 404, 405, 415] {
        assert!(
            matches!(of(status, ""), Err(InPlace::Nonsense(_))),
            "{status}"
        );
    }
}

#[test]
fn a_busy_server_is_told_from_a_refusal() {
    for status in [408, 429, 500, 502, 503, 504] {
        assert!(matches!(of(status, ""), Err(InPlace::Busy(_))), "{status}");
    }
    for status in [400, 401, 403] {
        assert!(
            matches!(of(status, ""), Err(InPlace::Refusal(_))),
            "{status}"
        );
    }
}

#[test]
fn a_refusal_names_the_code_and_the_settings_to_look_at() {
    let refused = |body: &str| match of(400, body) {
        Err(InPlace::Refusal(text)) => text,
        other => panic!("{other:?}"),
    };

    let client = refused(r#"{"error":"invalid_client","error_description":"private words"}"#);
    assert_eq!(
        client,
        "`SOURCE_TOKEN_URL` answered 400 `invalid_client`; check SOURCE_CLIENT_ID, SOURCE_CLIENT_SECRET and SOURCE_TOKEN_AUTH"
    );
    assert!(refused(r#"{"error":"invalid_scope"}"#).ends_with("check SOURCE_SCOPE"));
}

#[test]
fn a_code_that_is_none_is_not_repeated() {
    for code in ["\\u001b[31m", "é", "a`b", "", "s3cret", "no s3cret here"] {
        let refused = of(401, &format!(r#"{{"error":"{code}"}}"#)).unwrap_err();
        let InPlace::Refusal(text) = refused else {
            panic!("{refused:?}")
        };
        assert!(text.contains("answered 401; check"), "{code}: {text}");
    }
    let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(TOKEN_ERROR_BYTES_MAX + 1));
    assert_eq!(of(401, &long).unwrap_err(), of(401, "").unwrap_err());
}
