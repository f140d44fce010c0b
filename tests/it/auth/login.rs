//! Logins: user and password are exchanged for a session token, which all other requests carry.
//!
//! The token that the login gives out is `Job::key`, which must be nowhere: that is checked after every run.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use super::ONE;
use crate::server::{Reply, Request, Server};
use crate::world::Job;

const PASSWORD: &str = "a-password-of-many-letters";

fn login() -> Job {
    Job::new()
        .set("SOURCE_API_KEY", &format!("reader:{PASSWORD}"))
        .set("SOURCE_AUTH", "login")
        .set("SOURCE_LOGIN_URL", "{server}/login")
        .set(
            "SOURCE_LOGIN_BODY",
            r#"{"email":"{user}","password":"{password}"}"#,
        )
        .set("SOURCE_LOGIN_TOKEN", "/data/token")
}

fn is_login(request: &Request) -> bool {
    request.path() == "/login"
}

#[test]
fn a_session_token_is_fetched_once_and_sent_as_said() {
    for (send, header, before) in [
        ("bearer", "authorization", "Bearer "),
        ("header:X-Session", "x-session", ""),
        ("Authorization: Token {token}", "authorization", "Token "),
        ("cookie:sid", "cookie", "sid="),
    ] {
        let job = login().set("SOURCE_LOGIN_SEND", send);
        let key = job.key.clone();
        let mut job = job.set("SOURCE_PAGINATION", "link").api(move |request| {
            if is_login(request) {
                return Reply::new(200, json!({"data": {"token": &key}}).to_string());
            }
            match request.query("page") {
                None => Reply::new(200, ONE).next("{server}/items?page=2"),
                Some(_) => Reply::new(200, r#"[{"id":2}]"#),
            }
        });

        let run = job.run();

        run.exits(Outcome::Published).asked(3);
        let body: Value = serde_json::from_slice(&run.requests[0].body).unwrap();
        assert_eq!(body, json!({"email": "reader", "password": PASSWORD}));
        for request in &run.requests[1..] {
            let sent = format!("{before}{}", job.key);
            assert_eq!(request.header(header), Some(&*sent), "{send}");
        }
        assert!(!run.stdout.contains(PASSWORD));
    }
}

#[test]
fn a_cookie_of_a_form_for_people_is_a_session_too() {
    let job = login()
        .set("SOURCE_LOGIN_BODY", "user={user}&password={password}")
        .set("SOURCE_LOGIN_TOKEN", "cookie:sessionid");
    let key = job.key.clone();
    let mut job = job.api(move |request| {
        if is_login(request) {
            return Reply::new(302, "")
                .header("location", "/home")
                .header("set-cookie", format!("sessionid={key}; HttpOnly; Path=/"));
        }
        Reply::new(200, ONE)
    });

    let run = job.run();

    run.exits(Outcome::Published).asked(2);
    let form = format!("user=reader&password={PASSWORD}");
    assert_eq!(run.requests[0].body, form.as_bytes());
    let cookie = format!("sessionid={}", job.key);
    assert_eq!(run.requests[1].header("cookie"), Some(&*cookie));
}

#[test]
fn a_session_token_that_an_answer_renews_reaches_no_component() {
    let job = login().set("SOURCE_LOGIN_TOKEN", "header:x-session").set(
        "SOURCE_RECORDS",
        r#".[] + {seen: $headers["x-session"], other: $headers["x-other"]}"#,
    );
    let key = job.key.clone();
    let mut job = job.api(move |request| {
        if is_login(request) {
            return Reply::new(200, "{}").header("x-session", &*key);
        }
        Reply::new(200, ONE)
            .header("x-session", "another-session-token")
            .header("x-other", "seen")
    });

    let run = job.run();

    run.exits(Outcome::Published);
    let published = run.after.file("latest.json").unwrap();
    assert!(
        published.contains(r#""seen":null,"other":"seen""#),
        "{published}"
    );
}

#[test]
fn a_session_that_ends_on_the_way_is_begun_anew_once() {
    let job = login().set("SOURCE_LOGIN_SEND", "query:session");
    let (key, given) = (job.key.clone(), std::sync::atomic::AtomicUsize::new(0));
    let mut job = job.api(move |request| {
        if is_login(request) {
            let number = given.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            let token = format!("{key}-{number}");
            return Reply::new(200, json!({"data": {"token": token}}).to_string());
        }
        match request.query("session") {
            Some(session) if session.ends_with("-2") => Reply::new(200, ONE),
            _ => Reply::new(401, "{}"),
        }
    });

    let run = job.run();

    run.exits(Outcome::Published).asked(4);
}

#[test]
fn a_wrong_password_is_77_and_is_tried_once() {
    let mut job = login().page(401, &format!(r#"{{"message":"not {PASSWORD}"}}"#));

    let run = job.run();

    run.exits(Outcome::Denied)
        .asked(1)
        .stderr_has("`SOURCE_LOGIN_URL` answered 401; check SOURCE_API_KEY");
    assert!(!run.stderr.contains(PASSWORD) && !run.stdout.contains(PASSWORD));
}

#[test]
fn a_login_elsewhere_is_asked_by_the_host_alone() {
    let job = login();
    let key = job.key.clone();
    let login =
        Server::start(move |_| Reply::new(200, json!({"data": {"token": &key}}).to_string()));
    let url = format!("{}/login", login.origin());
    let mut job = job.set("SOURCE_LOGIN_URL", &url).page(200, ONE);

    job.run().exits(Outcome::Published).asked(1);

    assert_eq!(login.seen().len(), 1);
    assert_eq!(login.seen()[0].header("authorization"), None);
}

#[test]
fn what_a_login_needs_is_said_at_once() {
    let told = |job: Job| {
        let run = { job }.run();
        run.exits(Outcome::Settings).asked(0);
        run.stderr.clone()
    };
    let text = told(
        Job::new()
            .unset("SOURCE_API_KEY")
            .set("SOURCE_AUTH", "login"),
    );
    for name in [
        "SOURCE_API_KEY",
        "SOURCE_LOGIN_URL",
        "SOURCE_LOGIN_BODY",
        "SOURCE_LOGIN_TOKEN",
    ] {
        assert!(text.contains(&format!("{name} is required with")), "{text}");
    }

    let text = told(
        login()
            .set("SOURCE_API_KEY", "no-pair")
            .set("SOURCE_LOGIN_BODY", "{\"p\":{password}}")
            .set("SOURCE_LOGIN_TOKEN", "token")
            .set("SOURCE_LOGIN_SEND", "header:Content-Length")
            .set("SOURCE_AUTH_NAME", "X-Key"),
    );
    for words in [
        "takes `user:password` with SOURCE_AUTH=login",
        "SOURCE_LOGIN_BODY begins like JSON",
        "SOURCE_LOGIN_TOKEN takes a JSON Pointer",
        "SOURCE_LOGIN_SEND names the header `content-length`",
        "SOURCE_AUTH_NAME has no effect",
    ] {
        assert!(text.contains(words), "`{words}` is not in {text}");
    }
    let text = told(Job::new().set("SOURCE_LOGIN_URL", "{server}/login"));
    assert!(text.contains("SOURCE_LOGIN_URL has no effect without SOURCE_AUTH=login"));
}
