//! Access tokens: fetched once, renewed in time and after one 401, shown to the source alone.

use super::requests::{EMPTY, world};
use super::*;

const TOKEN: &str = "t0ken-that-nobody-may-see";
const NO: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno";

fn token_answer(token: &str, expires_in: &str) -> Vec<Step> {
    let body =
        format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{expires_in}}}"#);
    vec![Step::Send(ok("", body.as_bytes()))]
}

fn status_answer(line: &str, body: &str) -> Vec<Step> {
    let length = body.len();
    vec![text(&format!(
        "HTTP/1.1 {line}\r\ncontent-length: {length}\r\n\r\n{body}"
    ))]
}

fn auth(url: &str) -> Auth {
    of(oauth2(url))
}

fn of(oauth2: OAuth2) -> Auth {
    Auth::Fetched(Box::new(Issuer::OAuth2(oauth2)))
}

fn oauth2(url: &str) -> OAuth2 {
    OAuth2 {
        token_url: url.parse().unwrap(),
        client_id: "me & you".into(),
        client: ClientAuth::Header("s3cret/of:mine".into()),
        grant: Grant::Client,
        scope: Some("orders.read orders.list".into()),
        params: Vec::new(),
    }
}

fn granting_all(source: &Server) -> Policy {
    Policy {
        source: Some(source.origin()),
        ..Policy::default()
    }
}

/// A way out to `source`, with tokens of `login`.
fn out(source: &Server, login: &Server) -> (Egress, Lines) {
    let auth = auth(&login.url("/token"));
    world(granting_all(source), &auth, &Limits::default(), &[])
}

/// A source that gives these answers, and a login that gives those.
async fn servers(
    source: impl IntoIterator<Item = &str>,
    login: impl IntoIterator<Item = Vec<Step>>,
) -> (Server, Server) {
    let source = source.into_iter().map(|answer| vec![text(answer)]);
    (Server::new(source).await, Server::new(login).await)
}

fn authorization(request: &str) -> &str {
    let mut lines = request.lines();
    lines
        .find_map(|line| line.strip_prefix("authorization: "))
        .unwrap_or("none")
}

#[tokio::test]
async fn a_token_is_asked_for_as_the_rfc_says() {
    let (source, login) = servers([EMPTY], [token_answer(TOKEN, "3600")]).await;
    let (egress, _) = out(&source, &login);

    get(&egress, &source.url("/")).await.unwrap();

    let pair = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        "me+%26+you:s3cret%2Fof%3Amine",
    );
    let body = "grant_type=client_credentials&scope=orders.read+orders.list";
    let asked = login.request(0);
    assert!(asked.starts_with("POST /token HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("content-type: application/x-www-form-urlencoded\r\n"));
    assert!(asked.ends_with(&format!("\r\n\r\n{body}")), "{asked}");
    assert_eq!(authorization(&asked), format!("Basic {pair}"));
    assert_eq!(authorization(&source.request(0)), format!("Bearer {TOKEN}"));
}

#[tokio::test]
async fn id_and_secret_go_into_the_body_where_that_is_said() {
    let (source, login) = servers([EMPTY], [token_answer(TOKEN, "3600")]).await;
    let auth = of(OAuth2 {
        client: ClientAuth::Body("s3cret/of:mine".into()),
        scope: None,
        ..oauth2(&login.url("/token?tenant=1"))
    });
    let (egress, _) = world(granting_all(&source), &auth, &Limits::default(), &[]);

    get(&egress, &source.url("/")).await.unwrap();

    let asked = login.request(0);
    assert!(asked.starts_with("POST /token?tenant=1 HTTP/1.1\r\n"));
    assert!(asked.ends_with(
        "grant_type=client_credentials&client_id=me+%26+you&client_secret=s3cret%2Fof%3Amine"
    ));
    assert_eq!(authorization(&asked), "none");
}

#[tokio::test]
async fn one_token_serves_every_request_until_it_expires() {
    let answers = [
        token_answer("first-token-of-the-run", "1"),
        token_answer("second-token-of-the-run", "3600"),
    ];
    let (source, login) = servers([EMPTY], answers).await;
    let (egress, _) = out(&source, &login);

    for _ in 0..3 {
        get(&egress, &source.url("/")).await.unwrap();
    }
    assert_eq!(login.asked(), 1);
    // Half of a lifetime of one second is kept as a margin.
    sleep(Duration::from_millis(600)).await;
    for _ in 0..3 {
        get(&egress, &source.url("/")).await.unwrap();
    }

    assert_eq!(login.asked(), 2);
    assert_eq!(
        authorization(&source.request(5)),
        "Bearer second-token-of-the-run"
    );
}

#[tokio::test]
async fn after_a_401_the_same_request_is_sent_once_more_with_a_new_token() {
    let answers = [
        token_answer("first", "3600"),
        token_answer("second", "3600"),
    ];
    let (source, login) = servers([NO, EMPTY], answers).await;
    let (egress, _) = out(&source, &login);
    let request = Request::post(source.url("/q")).body(Full::new(Bytes::from("{\"a\":1}")));

    let answer = egress.send(request.unwrap()).await.unwrap();

    assert_eq!(answer.status(), 200);
    assert_eq!((source.asked(), login.asked()), (2, 2));
    assert_eq!(authorization(&source.request(0)), "Bearer first");
    assert_eq!(authorization(&source.request(1)), "Bearer second");
    assert!(source.request(1).ends_with("\r\n\r\n{\"a\":1}"));
}

#[tokio::test]
async fn a_second_401_is_handed_on() {
    let (source, login) = servers([NO], [token_answer(TOKEN, "3600")]).await;
    let (egress, _) = out(&source, &login);

    let answer = get(&egress, &source.url("/")).await.unwrap();

    assert_eq!(answer.status(), 401);
    assert_eq!((source.asked(), login.asked()), (2, 2));
}

#[tokio::test]
async fn a_source_that_refuses_new_tokens_does_not_have_the_login_asked_without_end() {
    let (source, login) = servers([NO], [token_answer(TOKEN, "3600")]).await;
    let (egress, _) = out(&source, &login);

    for _ in 0..5 {
        get(&egress, &source.url("/")).await.unwrap();
    }

    assert_eq!((source.asked(), login.asked()), (6, 2));
}

#[tokio::test]
async fn requests_at_the_same_time_wait_for_one_token() {
    let mut slow = vec![Step::Wait(Duration::from_millis(150))];
    slow.extend(token_answer(TOKEN, "3600"));
    let (source, login) = servers([EMPTY], [slow]).await;
    let (egress, _) = out(&source, &login);
    let url = source.url("/");

    let answers = futures_util::future::join_all((0..5).map(|_| get(&egress, &url))).await;

    assert!(answers.iter().all(Result::is_ok));
    assert_eq!((source.asked(), login.asked()), (5, 1));
}

#[tokio::test]
async fn a_busy_login_is_told_to_all_who_wait_and_asked_again_by_the_next() {
    let mut busy = vec![Step::Wait(Duration::from_millis(150))];
    busy.extend(status_answer("503 Busy", "wait"));
    let (source, login) = servers([EMPTY], [busy, token_answer(TOKEN, "3600")]).await;
    let (egress, lines) = out(&source, &login);
    let url = source.url("/");

    let answers = futures_util::future::join_all((0..3).map(|_| get(&egress, &url))).await;
    let trouble = egress.trouble().unwrap();
    let after = get(&egress, &url).await;

    for answer in answers {
        let error = answer.err().unwrap();
        assert!(!error.is_final() && error.to_string().ends_with("it answered 503"));
        assert_eq!(error, trouble);
    }
    assert!(after.is_ok());
    assert_eq!((source.asked(), login.asked()), (1, 2));
    assert_eq!((egress.trouble(), egress.breach()), (None, None));
    assert!(lines.text().contains("access token not fetched"));
}

#[tokio::test]
async fn a_login_that_is_not_there_or_does_not_end_is_unavailable() {
    let source = Server::saying(EMPTY).await;
    let limits = Limits {
        token_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let cut = vec![
        text("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"),
        Step::Close,
    ];
    let stalled = vec![
        text("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"),
        Step::Wait(Duration::from_secs(5)),
    ];
    for steps in [vec![Step::Close], vec![Step::Reset], cut, stalled] {
        let login = Server::new([steps]).await;
        let auth = auth(&login.url("/token"));
        let (egress, _) = world(granting_all(&source), &auth, &limits, &[]);

        let error = get(&egress, &source.url("/")).await.err().unwrap();

        assert!(
            matches!(error, EgressError::TokenUnavailable { .. }),
            "{error:?}"
        );
    }
    assert_eq!(source.asked(), 0);
}

#[tokio::test]
async fn a_refused_client_is_a_breach_and_not_asked_for_again() {
    let refusal = status_answer("401 No", r#"{"error":"invalid_client"}"#);
    let (source, login) = servers([EMPTY], [refusal]).await;
    let (egress, _) = out(&source, &login);

    let first = get(&egress, &source.url("/")).await.err().unwrap();
    let second = get(&egress, &source.url("/")).await.err().unwrap();

    assert_eq!(first.outcome(), crate::outcome::Outcome::Denied);
    assert!(
        first.to_string().contains("401 `invalid_client`"),
        "{first}"
    );
    assert_eq!((&first, Some(&first)), (&second, egress.breach().as_ref()));
    assert_eq!((source.asked(), login.asked()), (0, 1));
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_a_breach() {
    let large = ok("", &vec![b' '; 64 * 1024 + 1]);
    for (steps, word) in [
        (status_answer("200 OK", "<html>"), "not JSON"),
        (
            vec![text(
                "HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n",
            )],
            "redirect",
        ),
        (vec![Step::Send(large)], "65536 bytes"),
        (
            vec![Step::Send(ok("content-encoding: gzip\r\n", b"{}"))],
            "content-encoding",
        ),
        (token_answer("two\\nlines", "1"), "no header can carry"),
    ] {
        let (source, login) = servers([EMPTY], [steps]).await;
        let (egress, _) = out(&source, &login);

        let error = get(&egress, &source.url("/")).await.err().unwrap();

        assert!(matches!(error, EgressError::BadToken { .. }), "{error:?}");
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(egress.breach(), Some(error));
        assert_eq!((source.asked(), login.asked()), (0, 1));
    }
}

#[tokio::test]
async fn a_component_reaches_the_login_no_more_than_any_other_origin() {
    let (source, login) = servers([EMPTY], [token_answer(TOKEN, "3600")]).await;
    let (egress, _) = out(&source, &login);
    get(&egress, &source.url("/")).await.unwrap();

    let error = get(&egress, &login.url("/token")).await.err().unwrap();

    assert_eq!(egress.denial(), Some(error));
    assert_eq!(login.asked(), 1);
}

#[tokio::test]
async fn the_token_goes_to_the_source_alone_and_no_other_origin_renews_it() {
    let (source, login) = servers([EMPTY], [token_answer(TOKEN, "3600")]).await;
    let other = Server::saying(NO).await;
    let policy = Policy {
        allow_hosts: vec![other.origin()],
        ..granting_all(&source)
    };
    let auth = auth(&login.url("/token"));
    let (egress, _) = world(policy, &auth, &Limits::default(), &[]);

    get(&egress, &source.url("/")).await.unwrap();
    let answer = get(&egress, &other.url("/")).await.unwrap();

    assert_eq!(answer.status(), 401);
    assert_eq!(authorization(&other.request(0)), "none");
    assert_eq!((other.asked(), login.asked()), (1, 1));
}

#[tokio::test]
async fn an_echo_of_the_token_is_replaced_and_no_log_shows_it() {
    let echo = ok(
        &format!("x-debug: Bearer {TOKEN}\r\n"),
        format!("[\"{TOKEN}\"]").as_bytes(),
    );
    let echo = String::from_utf8(echo).unwrap();
    let (source, login) = servers([echo.as_str()], [token_answer(TOKEN, "3600")]).await;
    let (egress, lines) = out(&source, &login);

    let answer = get(&egress, &source.url("/")).await.unwrap();

    assert_eq!(answer.headers()["x-debug"], "Bearer REDACTED");
    assert_eq!(read(answer).await.unwrap(), b"[\"REDACTED\"]");
    let log = lines.log();
    egress.0.log.info("said", json!({ "text": TOKEN }));
    assert!(lines.text().contains("said") && !lines.text().contains(TOKEN));
    assert_eq!(log.hide(TOKEN), TOKEN, "another log knows nothing of it");
}

#[tokio::test]
async fn a_login_over_plain_http_is_warned_of_and_its_address_is_checked() {
    let (source, login) = servers([EMPTY], [token_answer(TOKEN, "3600")]).await;
    let url = format!("http://login.example:{}/token", login.address.port());
    let policy = |allow_private_networks| Policy {
        allow_private_networks,
        ..granting_all(&source)
    };
    let limits = Limits::default();
    let (granted, lines) = world(policy(true), &auth(&url), &limits, &["127.0.0.1"]);
    let (denied, _) = world(policy(false), &auth(&url), &limits, &["127.0.0.1"]);

    assert!(get(&granted, &source.url("/")).await.is_ok());
    let error = get(&denied, &source.url("/")).await.err().unwrap();

    assert!(lines.text().contains("client secret sent over plain http"));
    assert!(error.to_string().contains("ALLOW_PRIVATE_NETWORKS"));
    assert_eq!(denied.denial(), Some(error));
    assert_eq!(login.asked(), 1);
}
