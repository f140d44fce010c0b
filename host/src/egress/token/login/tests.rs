use http::HeaderValue;

use super::*;

fn login(body: &str, token: TokenIn) -> Login {
    Login {
        url: "https://api.example/login".parse().unwrap(),
        body: LoginBody {
            template: body.to_owned(),
            is_json: body.starts_with('{'),
        },
        pair: "me:p\"w&{user}é".into(),
        token,
        send: SendAs::Bearer,
    }
}

async fn sent(login: &Login) -> (HeaderMap, String) {
    use http_body_util::BodyExt as _;
    let (head, body) = login.request().unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.headers, String::from_utf8(body.to_vec()).unwrap())
}

fn at_token() -> TokenIn {
    TokenIn::Body("/data/token".to_owned())
}

fn read(token: TokenIn, status: u16, headers: &HeaderMap, body: &str) -> Result<String, InPlace> {
    let status = StatusCode::from_u16(status).unwrap();
    let granted = login("{}", token).read(status, headers, body.as_bytes());
    granted.map(|granted| granted.token.expose().to_owned())
}

#[tokio::test]
async fn user_and_password_are_encoded_for_their_place_and_once() {
    let as_json = login(r#"{"u":"{user}","p":"{password}"}"#, at_token());
    let (headers, body) = sent(&as_json).await;
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(body, r#"{"u":"me","p":"p\"w&{user}é"}"#);

    let as_form = login("u={user}&p={password}&x=1", at_token());
    let (headers, body) = sent(&as_form).await;
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(body, "u=me&p=p%22w%26%7Buser%7D%C3%A9&x=1");
}

#[test]
fn a_token_is_in_the_body_in_a_header_or_in_a_cookie() {
    let mut headers = HeaderMap::new();
    headers.insert("x-token", HeaderValue::from_static("of-a-header"));
    headers.append(SET_COOKIE, HeaderValue::from_static("lang=en; Path=/"));
    headers.append(
        SET_COOKIE,
        HeaderValue::from_static("sid=an-old-one; Max-Age=0"),
    );
    headers.append(
        SET_COOKIE,
        HeaderValue::from_static("sid=of-a-cookie; HttpOnly"),
    );
    let cookie = || TokenIn::Cookie("sid".to_owned());

    let body = r#"{"data":{"token":"of-the-body"}}"#;
    assert_eq!(
        read(at_token(), 200, &headers, body).unwrap(),
        "of-the-body"
    );
    let header = TokenIn::Header(HeaderName::from_static("x-token"));
    assert_eq!(read(header, 201, &headers, "").unwrap(), "of-a-header");
    assert_eq!(read(cookie(), 302, &headers, "").unwrap(), "of-a-cookie");
}

#[test]
fn what_is_no_token_is_refused_and_says_what_was_looked_for() {
    let none = HeaderMap::new();
    let refused = |token, status, body| match read(token, status, &none, body) {
        Err(InPlace::Refusal(text)) => text,
        other => panic!("{other:?}"),
    };

    let wrong = refused(at_token(), 401, r#"{"data":{"token":"x"}}"#);
    assert!(
        wrong.contains("answered 401; check SOURCE_API_KEY"),
        "{wrong}"
    );
    assert!(refused(at_token(), 422, "").contains("SOURCE_API_KEY"));
    let elsewhere = refused(at_token(), 200, r#"{"error":"no"}"#);
    assert!(elsewhere.contains("a text at `/data/token`"), "{elsewhere}");
    let cookie = TokenIn::Cookie("sid".to_owned());
    assert!(refused(cookie, 200, "").contains("the cookie `sid`"));
    assert!(matches!(
        read(at_token(), 302, &none, ""),
        Err(InPlace::Nonsense(_))
    ));
    let bad = r#"{"data":{"token":"a b"}}"#;
    assert!(matches!(
        read(at_token(), 200, &none, bad),
        Err(InPlace::Nonsense(_))
    ));
    assert!(matches!(
        read(at_token(), 503, &none, ""),
        Err(InPlace::Busy(_))
    ));
}

#[test]
fn it_is_sent_as_is_said() {
    let token = Secret::from("t0k");
    let sent = |send| {
        let login = Login {
            send,
            ..login("{}", at_token())
        };
        let mut head = Request::get("https://a.example/x?a=1")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        head.headers
            .insert(COOKIE, HeaderValue::from_static("lang=en"));
        login
            .credential(&token)
            .unwrap()
            .put_into(&mut head)
            .unwrap();
        (head.headers, head.uri.to_string())
    };

    assert_eq!(sent(SendAs::Bearer).0[AUTHORIZATION], "Bearer t0k");
    let header = SendAs::Header(AUTHORIZATION, "Token ".to_owned(), ";v=1".to_owned());
    assert_eq!(sent(header).0[AUTHORIZATION], "Token t0k;v=1");
    assert_eq!(
        sent(SendAs::Cookie("sid".to_owned())).0[COOKIE],
        "lang=en; sid=t0k"
    );
    let by_query = sent(SendAs::Query("session".to_owned()));
    assert_eq!(by_query.1, "https://a.example/x?a=1&session=t0k");
}
