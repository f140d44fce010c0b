//! Cookies: back to the source where SOURCE_COOKIES says so, and to nobody else.

use super::requests::EMPTY;
use super::*;

const VALUE: &str = "s3ssion-of-the-source-0123";

fn setting(value: &str) -> Vec<Step> {
    vec![Step::Send(ok(&format!("set-cookie: {value}\r\n"), b"[]"))]
}

/// A way out to `source`, and to `other`, with cookies or without.
fn out(source: &Server, other: Option<&Server>, cookies: bool, auth: &Auth) -> (Egress, Lines) {
    let policy = Policy {
        source: Some(source.origin()),
        allow_hosts: other.map(Server::origin).into_iter().collect(),
        cookies,
        ..Policy::default()
    };
    requests::world(policy, auth, &Limits::default(), &[])
}

fn cookie(request: &str) -> Option<&str> {
    let mut lines = request.lines();
    lines.find_map(|line| line.strip_prefix("cookie: "))
}

async fn fetch_from(egress: &Egress, server: &Server, target: &str) -> Vec<u8> {
    let answer = get(egress, &server.url(target)).await.unwrap();
    assert!(!answer.headers().contains_key("set-cookie"));
    read(answer).await.unwrap()
}

#[tokio::test]
async fn a_cookie_goes_back_to_the_source_and_to_no_other_origin() {
    let line = format!("session={VALUE}; Path=/; HttpOnly");
    let source = Server::new([setting(&line), vec![text(EMPTY)]]).await;
    let other = Server::new([setting("tracking=you-and-nobody-else"), vec![text(EMPTY)]]).await;
    let (egress, lines) = out(&source, Some(&other), true, &Auth::None);

    for server in [&source, &other, &source, &other] {
        fetch_from(&egress, server, "/v1/items").await;
    }

    assert_eq!(cookie(&source.request(0)), None);
    let sent = format!("session={VALUE}");
    assert_eq!(cookie(&source.request(1)), Some(sent.as_str()));
    assert_eq!(
        [0, 1].map(|at| cookie(&other.request(at)).is_some()),
        [false; 2]
    );
    assert!(!lines.text().contains(VALUE));
    assert!(!egress.has_ignored_cookies());
}

#[tokio::test]
async fn without_the_setting_nothing_goes_back_and_it_is_remembered_that_something_was_set() {
    let source = Server::new([setting("a=1"), vec![text(EMPTY)]]).await;
    let (egress, _) = out(&source, None, false, &Auth::None);

    fetch_from(&egress, &source, "/").await;
    assert!(!egress.has_ignored_cookies(), "no request came after it");
    fetch_from(&egress, &source, "/").await;

    assert_eq!(cookie(&source.request(1)), None);
    assert!(egress.has_ignored_cookies());
}

#[tokio::test]
async fn a_component_sets_no_cookie_of_its_own() {
    let source = Server::new([setting("a=1; Path=/"), vec![text(EMPTY)]]).await;
    let (egress, _) = out(&source, None, true, &Auth::None);
    fetch_from(&egress, &source, "/").await;

    let request = Request::get(source.url("/")).header("cookie", "forged=1");
    egress
        .send(request.body(Empty::<Bytes>::new()).unwrap())
        .await
        .unwrap();

    assert_eq!(cookie(&source.request(1)), Some("a=1"));
}

#[tokio::test]
async fn a_credential_that_is_a_cookie_comes_before_those_of_the_source() {
    let source = Server::new([setting("a=1; Path=/"), vec![text(EMPTY)]]).await;
    let auth = Auth::Header {
        name: "Cookie".into(),
        value: "key=of-the-operator".into(),
    };
    let (egress, _) = out(&source, None, true, &auth);

    for _ in 0..2 {
        fetch_from(&egress, &source, "/").await;
    }

    assert_eq!(cookie(&source.request(0)), Some("key=of-the-operator"));
    assert_eq!(cookie(&source.request(1)), Some("key=of-the-operator; a=1"));
}

#[tokio::test]
async fn a_value_that_the_source_repeats_is_hidden_in_that_answer_already() {
    let page = format!("[\"you are {VALUE}\"]");
    let headers = format!("set-cookie: s={VALUE}\r\nx-you: {VALUE}\r\n");
    let source = Server::new([vec![Step::Send(ok(&headers, page.as_bytes()))]]).await;
    let (egress, _) = out(&source, None, true, &Auth::None);

    let answer = get(&egress, &source.url("/")).await.unwrap();

    assert_eq!(answer.headers()["x-you"], "REDACTED");
    assert_eq!(read(answer).await.unwrap(), b"[\"you are REDACTED\"]");
}

#[tokio::test]
async fn many_cookies_push_no_token_out_of_what_is_hidden() {
    let key = "the-key-of-the-source-0123";
    let many: Vec<Vec<Step>> = (0..100)
        .map(|at| setting(&format!("s=another-session-{at}")))
        .chain([vec![Step::Send(ok(&format!("x-you: {key}\r\n"), b"[]"))]])
        .collect();
    let source = Server::new(many).await;
    let (egress, _) = out(&source, None, true, &Auth::Bearer(key.into()));
    for _ in 0..100 {
        fetch_from(&egress, &source, "/").await;
    }

    let answer = get(&egress, &source.url("/")).await.unwrap();

    assert_eq!(answer.headers()["x-you"], "REDACTED");
}

#[tokio::test]
async fn cookies_that_make_a_request_too_large_end_the_run() {
    let large = "v".repeat(3_000);
    let lines = (0..40).fold(String::new(), |lines, at| {
        lines + &format!("set-cookie: c{at}={large}; Path=/\r\n")
    });
    let pages: Vec<Vec<Step>> = lines
        .split_inclusive('\n')
        .collect::<Vec<_>>()
        .chunks(10)
        .map(|some| vec![Step::Send(ok(&some.concat(), b"[]"))])
        .collect();
    let source = Server::new(pages).await;
    let (egress, _) = out(&source, None, true, &Auth::None);

    let mut error = None;
    for _ in 0..5 {
        error = error.or(get(&egress, &source.url("/")).await.err());
    }

    assert!(
        matches!(
            error,
            Some(EgressError::TooLarge {
                what: "request_head_bytes",
                ..
            })
        ),
        "{error:?}"
    );
}
