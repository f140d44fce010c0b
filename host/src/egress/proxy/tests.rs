//! `OUTBOUND_PROXY` as it is written, and the tunnel over a link that a test speaks for.

use tokio::io::duplex;

use super::*;

fn proxy(text: &str) -> Proxy {
    Proxy::parse(text).unwrap()
}

/// What comes of a tunnel through a proxy that says this, and what it was asked.
async fn tunnel(text: &str, answer: &[u8]) -> (Result<(), EgressError>, String) {
    let (mut ours, mut theirs) = duplex(64 * 1024);
    let answer = answer.to_vec();
    let serving = tokio::spawn(async move {
        let mut asked = Vec::new();
        while !asked.ends_with(END) {
            let mut one = [0];
            theirs.read_exact(&mut one).await.unwrap();
            asked.extend_from_slice(&one);
        }
        theirs.write_all(&answer).await.unwrap();
        String::from_utf8(asked).unwrap()
    });
    let origin = Origin::parse_grant("https://api.example.com").unwrap();
    let outcome = proxy(text).tunnel(&mut ours, &origin).await;
    (outcome, serving.await.unwrap())
}

async fn error(answer: &[u8]) -> EgressError {
    tunnel("http://u:p4ssword@p.example:3128", answer)
        .await
        .0
        .unwrap_err()
}

#[test]
fn a_proxy_is_http_with_a_host_and_a_port() {
    for (text, shown) in [
        ("http://proxy.example.com:3128", "proxy.example.com:3128"),
        ("http://proxy.example.com:3128/", "proxy.example.com:3128"),
        ("http://me:pw@[::1]:8080", "[::1]:8080"),
        ("http://0x7f.1:3128", "127.0.0.1:3128"),
        ("http://proxy", "proxy:80"),
    ] {
        assert_eq!(proxy(text).to_string(), shown, "{text}");
    }
    for (wrong, why) in [
        ("proxy:3128", "takes `http://"),
        ("https://proxy:3128", "TLS is not supported"),
        ("socks5://proxy:1080", "SOCKS is not supported"),
        ("http://proxy:3128/path", "nothing after the port"),
        ("http://proxy:3128/?q", "nothing after the port"),
        ("http://proxy:99999", "takes `http://"),
        ("http://", "takes `http://"),
        ("http://a%3Ab:p4ssword@proxy:1", "a colon in the user"),
        ("http://u:p4ss%0Aword@proxy:1", "percent-encoded"),
        ("http://u:p4ss%FFword@proxy:1", "percent-encoded"),
    ] {
        let said = Proxy::parse(wrong).unwrap_err();
        assert!(said.contains(why), "{wrong}: {said}");
        assert!(!said.contains("p4ss"), "{said}");
        assert!(Proxy::may_hold_password(wrong), "{wrong}");
    }
}

#[test]
fn a_password_is_decoded_and_shown_nowhere() {
    let with = proxy("http://me:p%40ss%3Aw0rd@proxy:3128");

    assert_eq!(with.password(), Some("p@ss:w0rd"));
    let secrets = with.secrets();
    let secrets: Vec<&str> = secrets.iter().map(Secret::expose).collect();
    assert_eq!(secrets, ["me:p@ss:w0rd", "p@ss:w0rd"]);
    assert!(!format!("{with} {with:?} {}", with.named()).contains("w0rd"));
    for token in ["http://a-token@proxy:3128", "http://a-token:@proxy:3128"] {
        let secrets = proxy(token).secrets();
        let secrets: Vec<&str> = secrets.iter().map(Secret::expose).collect();
        assert_eq!(secrets, ["a-token:", "a-token"]);
        assert!(Proxy::may_hold_password(token));
    }
    let without = proxy("http://proxy:3128");
    assert!(without.secrets().is_empty() && !without.has_credential());
    assert!(!Proxy::may_hold_password("http://proxy:3128"));
}

#[tokio::test]
async fn a_tunnel_is_asked_for_with_the_credential_and_with_nothing_else() {
    let (opened, asked) = tunnel(
        "http://me:pass@p.example:3128",
        b"HTTP/1.0 200 Connection established\r\nContent-Length: 7\r\n\r\n",
    )
    .await;

    assert_eq!(opened, Ok(()));
    assert_eq!(
        asked,
        "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\
         Proxy-Authorization: Basic bWU6cGFzcw==\r\n\r\n"
    );
    let late = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nx: y\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    let (opened, asked) = tunnel("http://p.example:3128", late).await;
    assert_eq!(opened, Ok(()));
    assert!(!asked.contains("Authorization"), "{asked}");
}

#[tokio::test]
async fn a_refusal_of_the_proxy_names_it_and_what_it_answered() {
    use crate::outcome::Outcome::{Denied, ProtocolBroken, TryLater};
    for (answer, outcome, says) in [
        (
            "407 Proxy Authentication Required",
            Denied,
            "check user and password in OUTBOUND_PROXY",
        ),
        (
            "403 Filtered",
            Denied,
            "403 Forbidden for `api.example.com:443`",
        ),
        (
            "401 No",
            Denied,
            "401 Unauthorized: check user and password",
        ),
        ("429 Slow down", TryLater, "429 Too Many Requests"),
        ("500 Unable to connect", TryLater, "500 Internal"),
        ("502 Bad Gateway", TryLater, "502 Bad Gateway"),
        ("503 Busy", TryLater, "503 Service Unavailable"),
        ("504 Late", TryLater, "504 Gateway Timeout"),
        (
            "405 No",
            ProtocolBroken,
            "405 Method Not Allowed to CONNECT",
        ),
        ("404 No", ProtocolBroken, "404 Not Found to CONNECT"),
        ("302 Elsewhere", ProtocolBroken, "302 Found to CONNECT"),
        (
            "101 Switching Protocols",
            ProtocolBroken,
            "101 Switching Protocols to CONNECT",
        ),
    ] {
        let error = error(format!("HTTP/1.1 {answer}\r\nx: y\r\n\r\nbody").as_bytes()).await;

        assert_eq!(error.outcome(), outcome, "{answer}: {error}");
        assert_eq!(error.is_final(), outcome != TryLater, "{answer}");
        for said in [says, "`p.example:3128` (OUTBOUND_PROXY)"] {
            assert!(error.to_string().contains(said), "{said}: {error}");
        }
    }
    let (refused, _) = tunnel("http://p:1", b"HTTP/1.1 407 \r\n\r\n").await;
    assert!(
        refused.unwrap_err().to_string().contains("needs a user"),
        "without one, it says so"
    );
}

#[tokio::test]
async fn what_is_no_answer_of_a_proxy_opens_no_tunnel() {
    let huge = [
        b"HTTP/1.1 200 OK\r\nx: ".to_vec(),
        vec![b'x'; PROXY_HEAD_BYTES_MAX],
    ]
    .concat();
    for (answer, says) in [
        (b"SSH-2.0-OpenSSH\r\n".to_vec(), "not an HTTP proxy"),
        (b"HTTP/1.1 2000 OK\r\n\r\n".to_vec(), "not an HTTP proxy"),
        (b"HTTP/1.1 abc\r\n\r\n".to_vec(), "not an HTTP proxy"),
        (b"HTTP/1.1 200 OK\nx: y\n\n".to_vec(), "not an HTTP proxy"),
        (b"HTTP/1.1 099 \r\n\r\n".to_vec(), "not an HTTP proxy"),
        (b"HTTP/1.2 200 OK\r\n\r\n".to_vec(), "not an HTTP proxy"),
        (huge, "a head of more than"),
        (
            b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n[]".to_vec(),
            "before the tunnel was used",
        ),
    ] {
        let error = error(&answer).await;

        assert!(
            matches!(error, EgressError::ProxyBroken { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(says), "{says}: {error}");
    }
    for answer in [&b""[..], b"HTTP/1.1 200 OK\r\nx: y\r\n"] {
        let error = error(answer).await;

        assert!(
            matches!(error, EgressError::Unreachable { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("p.example:3128"), "{error}");
    }
}
