//! Through a proxy: what it sees, what the origin sees, and where a request may go.

use tokio::io::copy_bidirectional;

use super::requests::EMPTY;
use super::*;

const PASSWORD: &str = "pr0xy-p4ssw0rd-of-ours";
const BASIC: &str = "proxy-authorization: Basic bWU6cHIweHktcDRzc3cwcmQtb2Ytb3Vycw==\r\n";

/// A proxy that opens tunnels to this address, whatever it is asked for, and keeps what it was asked.
pub(super) async fn opening(target: SocketAddr) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server {
        address: listener.local_addr().unwrap(),
        requests: Arc::default(),
        connections: Arc::default(),
    };
    let (requests, connections) = (server.requests.clone(), server.connections.clone());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::SeqCst);
            let requests = requests.clone();
            tokio::spawn(async move {
                let asked = read_request(&mut stream).await?;
                requests.lock().unwrap().push(asked);
                let opened = b"HTTP/1.1 200 Connection established\r\n\r\n";
                stream.write_all(opened).await.ok()?;
                let mut there = TcpStream::connect(target).await.ok()?;
                copy_bidirectional(&mut stream, &mut there).await.ok()
            });
        }
    });
    server
}

/// `http://user:password@` and where this server is.
fn proxy_at(server: &Server) -> Proxy {
    Proxy::parse(&format!("http://me:{PASSWORD}@{}", server.address)).unwrap()
}

/// What is granted: one origin, through this proxy.
pub(super) fn through(proxy: Proxy, source: &str) -> Policy {
    Policy {
        source: Some(Origin::parse_grant(source).unwrap()),
        proxy: Some(proxy),
        ..Policy::default()
    }
}

fn out(policy: Policy, auth: &Auth, addresses: &[&str]) -> (Egress, Lines) {
    requests::world(policy, auth, &short_limits(), addresses)
}

#[tokio::test]
async fn plain_http_goes_to_the_proxy_in_absolute_form_and_its_name_is_not_looked_up() {
    let proxy = Server::saying(EMPTY).await;
    let policy = through(proxy_at(&proxy), "http://source.example");
    let (egress, lines) = out(policy, &Auth::Bearer("t0ken-of-the-source".into()), &[]);

    get(&egress, "http://source.example/a?b=1").await.unwrap();
    get(&egress, "http://source.example/again").await.unwrap();

    assert_eq!(
        proxy.request(0),
        format!(
            "GET http://source.example/a?b=1 HTTP/1.1\r\naccept-encoding: gzip\r\n\
             authorization: Bearer t0ken-of-the-source\r\n{BASIC}host: source.example\r\n\r\n"
        )
    );
    assert_eq!(proxy.asked(), 2);
    assert!(!lines.text().contains(PASSWORD));
    assert_eq!(lines.text().matches("over plain http").count(), 1);
}

#[tokio::test]
async fn a_name_that_is_not_granted_is_asked_for_through_no_proxy() {
    let proxy = Server::saying(EMPTY).await;
    let policy = through(proxy_at(&proxy), "https://source.example");
    let (egress, _) = out(policy, &Auth::None, &[]);

    for url in [
        "https://other.example/",
        "http://source.example/",
        "http://169.254.169.254/latest/",
        "http://127.0.0.1/",
        "http://localhost/",
        "http://10.0.0.1/",
    ] {
        let refused = get(&egress, url).await.err().unwrap();
        assert!(matches!(refused, EgressError::Denied { .. }), "{refused:?}");
    }
    assert_eq!(proxy.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_proxys_own_name_is_checked_as_any_other() {
    let proxy = Server::saying(EMPTY).await;
    let text = format!("http://proxy.example:{}", proxy.address.port());
    let named = || Proxy::parse(&text).unwrap();
    let source = "http://source.example";
    let outcome = async |policy: Policy| {
        let (egress, _) = out(policy, &Auth::None, &["127.0.0.1"]);
        get(&egress, source).await.map(|_| ())
    };

    let refused = outcome(through(named(), source)).await.unwrap_err();
    let told = refused.to_string();
    assert!(matches!(refused, EgressError::Denied { .. }), "{refused:?}");
    for said in [
        "`proxy.example`",
        "ALLOW_PRIVATE_NETWORKS",
        "OUTBOUND_PROXY",
    ] {
        assert!(told.contains(said), "{told}");
    }
    let opened = Policy {
        allow_private_networks: true,
        ..through(named(), source)
    };
    assert_eq!(outcome(opened).await, Ok(()));
    let granted = named().that_may_be_private();
    assert_eq!(outcome(through(granted, source)).await, Ok(()));
    assert_eq!(proxy.connections.load(Ordering::SeqCst), 2);
    for special in ["169.254.169.254", "224.0.0.1"] {
        let granted = named().that_may_be_private();
        let (egress, _) = out(through(granted, source), &Auth::None, &[special]);
        let refused = get(&egress, source).await.err();
        assert!(
            matches!(refused, Some(EgressError::Denied { .. })),
            "{special}: {refused:?}"
        );
    }
}

#[test]
fn a_request_is_read_on_the_network_unless_all_of_its_way_is_on_this_machine() {
    for (origin, proxy, is_readable) in [
        ("https://a.example", None, false),
        ("http://a.example", None, true),
        ("http://localhost", None, false),
        ("https://a.example", Some("http://p.example:1"), false),
        ("http://a.example", Some("http://127.0.0.1:1"), true),
        ("http://a.example", Some("http://p.example:1"), true),
        ("http://localhost", Some("http://p.example:1"), true),
        ("http://localhost", Some("http://127.0.0.1:1"), false),
    ] {
        let policy = Policy {
            proxy: proxy.map(|text| Proxy::parse(text).unwrap()),
            ..Policy::default()
        };
        let origin = Origin::parse_grant(origin).unwrap();

        assert_eq!(
            policy.is_plain_on_the_network(&origin),
            is_readable,
            "{origin} {proxy:?}"
        );
    }
}

#[tokio::test]
async fn a_proxy_that_wants_another_password_is_no_answer_of_the_source() {
    let asks = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
    let proxy = Server::saying(asks).await;
    let policy = through(proxy_at(&proxy), "http://source.example");
    let (egress, _) = out(policy, &Auth::None, &[]);

    let error = get(&egress, "http://source.example/").await.err().unwrap();

    assert!(
        matches!(error, EgressError::ProxyRefused { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("407"), "{error}");
    assert_eq!(egress.breach(), Some(error));
}

#[tokio::test]
async fn without_a_proxy_407_is_the_sources_own() {
    let asks = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
    let server = Server::saying(asks).await;

    let answer = get(&plain(&server), &server.url("/")).await.unwrap();

    assert_eq!(answer.status(), 407);
    assert!(!server.request(0).contains("proxy-authorization"));
}

#[tokio::test]
async fn a_proxy_that_is_not_there_or_says_nothing_is_named() {
    let silent = Server::new([vec![Step::Wait(Duration::from_mins(1))]]).await;
    let closing = Server::new([vec![Step::Close]]).await;
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    for address in [silent.address, closing.address, gone] {
        let proxy = Proxy::parse(&format!("http://{address}")).unwrap();
        let policy = through(proxy, "https://localhost:1");
        let (egress, _) = out(policy, &Auth::None, &[]);

        let error = get(&egress, "https://localhost:1/").await.err().unwrap();

        assert!(
            matches!(error, EgressError::Unreachable { .. }),
            "{error:?}"
        );
        assert!(error.reason().contains(&address.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_that_sends_its_own_credential_back_shows_it_to_nobody() {
    let page = format!("[\"you are {PASSWORD}\"]");
    let answer = ok(&format!("x-you: {PASSWORD}\r\n"), page.as_bytes());
    let proxy = Server::new([vec![Step::Send(answer)]]).await;
    let policy = through(proxy_at(&proxy), "http://source.example");
    let (egress, _) = out(policy, &Auth::None, &[]);

    let answer = get(&egress, "http://source.example/").await.unwrap();

    assert_eq!(answer.headers()["x-you"], "REDACTED");
    assert_eq!(read(answer).await.unwrap(), b"[\"you are REDACTED\"]");
}

#[tokio::test]
async fn a_token_is_fetched_through_the_proxy_too() {
    let body = r#"{"access_token":"a-token","token_type":"Bearer"}"#;
    let granted = vec![Step::Send(ok("", body.as_bytes()))];
    let proxy = Server::new([granted, vec![text(EMPTY)]]).await;
    let auth = Auth::Fetched(Box::new(Issuer::OAuth2(OAuth2 {
        token_url: "http://login.example/token".parse().unwrap(),
        client_id: "me".into(),
        client: ClientAuth::Header("s3cret-of-the-client".into()),
        grant: Grant::Client,
        params: Vec::new(),
        scope: None,
    })));
    let policy = through(proxy_at(&proxy), "http://source.example");
    let (egress, _) = out(policy, &auth, &[]);

    get(&egress, "http://source.example/").await.unwrap();

    let [login, page] = [0, 1].map(|at| proxy.request(at));
    assert!(
        login.starts_with("POST http://login.example/token "),
        "{login}"
    );
    assert!(page.starts_with("GET http://source.example/ "), "{page}");
    assert!(login.contains(BASIC) && page.contains(BASIC));
}
