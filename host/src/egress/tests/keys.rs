//! Keys that are read again from their file after a 401: once, and nobody sees the old one or the new one.

use std::path::Path;

use super::requests::{EMPTY, world};
use super::*;
use crate::given_file::reread::SecretFile;
use crate::secret::Secret;

const NO: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno";
const OLD: &str = "the-old-key-of-long-ago";
const NEW: &str = "the-new-key-of-just-now";

/// A key that was `OLD` when it was read from this file.
fn key(path: &Path) -> Key {
    let parse = |text: &str| Ok(Secret::from(text));
    let file = SecretFile::new(path.to_owned(), 100, parse);
    Key::new(Secret::from(OLD), Some(file))
}

fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// A way out to a source that gives these answers.
async fn source(auth: &Auth, answers: &[&str]) -> (Server, Egress, Lines) {
    let answers = answers.iter().map(|answer| vec![text(answer)]);
    let server = Server::new(answers).await;
    let policy = Policy {
        source: Some(server.origin()),
        ..Policy::default()
    };
    let (egress, lines) = world(policy, auth, &Limits::default(), &[]);
    (server, egress, lines)
}

#[tokio::test]
async fn a_key_that_changed_in_its_file_is_sent_after_a_401_and_from_then_on() {
    let (_folder, path) = file(&format!("{NEW}\n"));
    let auth = Auth::Bearer(key(&path));
    let (server, egress, _) = source(&auth, &[NO, EMPTY]).await;

    for _ in 0..2 {
        let answer = get(&egress, &server.url("/")).await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    assert_eq!(server.asked(), 3);
    assert!(server.request(0).contains(OLD));
    assert!(server.request(1).contains(NEW) && !server.request(1).contains(OLD));
    assert!(server.request(2).contains(NEW));
}

#[tokio::test]
async fn the_second_try_after_a_401_waits_for_its_turn() {
    let (_folder, path) = file(NEW);
    let limits = Limits {
        request_pause: Duration::from_hours(1),
        ..Limits::default()
    };
    let server = Server::new([vec![text(NO)]]).await;
    let policy = Policy {
        source: Some(server.origin()),
        ..Policy::default()
    };
    let (egress, _) = world(policy, &Auth::Bearer(key(&path)), &limits, &[]);

    let url = server.url("/");
    let answered = tokio::time::timeout(Duration::from_millis(500), get(&egress, &url));

    assert!(answered.await.is_err());
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_source_that_takes_no_key_is_asked_twice_and_then_once() {
    let (_folder, path) = file(NEW);
    let auth = Auth::Header {
        name: "X-API-Key".into(),
        value: key(&path),
    };
    let (server, egress, _) = source(&auth, &[NO]).await;

    assert_eq!(get(&egress, &server.url("/")).await.unwrap().status(), 401);
    assert_eq!(server.asked(), 2);
    assert_eq!(get(&egress, &server.url("/")).await.unwrap().status(), 401);
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn a_file_that_has_no_other_key_changes_nothing() {
    let (_a, same) = file(OLD);
    let (_b, empty) = file(" \n");
    let (_c, no_pair) = file(NEW);
    for (auth, told) in [
        (Auth::Bearer(key(&same)), ""),
        (Auth::Bearer(key(&empty)), "it is empty"),
        (Auth::Bearer(key(Path::new("/no/such/key"))), "No such file"),
        (Auth::Bearer(key(Path::new("/dev/null"))), ""),
        (Auth::Bearer(OLD.into()), ""),
        (
            Auth::Query {
                name: "k".into(),
                value: OLD.into(),
            },
            "",
        ),
    ] {
        let (server, egress, lines) = source(&auth, &[NO]).await;

        let answer = get(&egress, &server.url("/")).await.unwrap();

        assert_eq!(answer.status(), 401);
        assert_eq!(server.asked(), 1);
        assert!(lines.text().contains(told), "{}", lines.text());
        assert!(!lines.text().contains("read again from"));
    }
    let mut pair = key(&no_pair);
    pair = Key::new(Secret::from("me:passw0rd"), pair.file().cloned());
    let (server, egress, lines) = source(&Auth::Basic(pair), &[NO]).await;
    get(&egress, &server.url("/")).await.unwrap();
    assert_eq!(server.asked(), 1);
    assert!(lines.text().contains("takes `user:password`") && !lines.text().contains(NEW));
}

#[tokio::test]
async fn old_and_new_key_are_replaced_where_the_source_sends_them_back() {
    let (_folder, path) = file(NEW);
    let body = format!("[\"{OLD}\",\"{NEW}\"]");
    let answer = String::from_utf8(ok(&format!("x-echo: {NEW}\r\n"), body.as_bytes())).unwrap();
    let auth = Auth::Bearer(key(&path));
    let (server, egress, lines) = source(&auth, &[NO, &answer]).await;

    let answer = get(&egress, &server.url("/")).await.unwrap();

    assert_eq!(answer.headers()["x-echo"], "REDACTED");
    assert_eq!(read(answer).await.unwrap(), b"[\"REDACTED\",\"REDACTED\"]");
    assert!(!lines.text().contains(NEW));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_again_is_warned_of_once() {
    let auth = Auth::Bearer(key(Path::new("/no/such/key")));
    let (server, egress, lines) = source(&auth, &[NO, NO, NO]).await;

    for _ in 0..3 {
        assert_eq!(get(&egress, &server.url("/")).await.unwrap().status(), 401);
    }

    assert_eq!(lines.text().matches("not read again").count(), 1);
}

#[tokio::test]
async fn requests_that_are_refused_with_the_same_key_read_the_file_once() {
    let (_folder, path) = file(NEW);
    let kept = KeptCredential::new(&Auth::Bearer(key(&path))).unwrap();
    let (echoes, lines) = (Echoes::new([]), Lines::default());
    let (refused, log) = (kept.current().await, lines.log());

    let (one, two) = tokio::join!(
        kept.instead_of(&refused, &echoes, &log),
        kept.instead_of(&refused, &echoes, &log)
    );

    assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()));
    assert_eq!(lines.text().matches("read again from").count(), 1);
}
