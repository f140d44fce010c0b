//! What goes out: only what is granted, with our headers, the credential to the source alone, over few connections.

use http_body_util::StreamBody;

use super::*;

pub(super) const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

pub(super) fn world(
    policy: Policy,
    auth: &Auth,
    limits: &Limits,
    addresses: &[&str],
) -> (Egress, Lines) {
    let lines = Lines::default();
    let egress = Egress::with_resolver(
        policy,
        auth,
        &Besides::default(),
        &TlsFiles::default(),
        limits,
        (lines.log(), None),
        names(addresses),
    )
    .unwrap();
    (egress, lines)
}

#[tokio::test]
async fn the_request_on_the_wire_is_ours() {
    let server = Server::saying(EMPTY).await;
    let mut request = Request::get(format!(
        "http://0x7F.1:{}/a/../b?x=1&y=%2F",
        server.address.port()
    ))
    .header("accept", "application/json");
    for name in [
        "host",
        "authorization",
        "cookie",
        "te",
        "transfer-encoding",
        "content-length",
        "connection",
        "upgrade",
        "proxy-authorization",
        "expect",
        "trailer",
        "keep-alive",
        "accept-encoding",
        "proxy-connection",
    ] {
        request = request.header(name, "forged");
    }

    plain(&server)
        .send(request.body(Empty::<Bytes>::new()).unwrap())
        .await
        .unwrap();

    assert_eq!(
        server.request(0),
        format!(
            "GET /a/../b?x=1&y=%2F HTTP/1.1\r\naccept: application/json\r\naccept-encoding: gzip\r\nhost: {}\r\n\r\n",
            server.address
        )
    );
}

#[tokio::test]
async fn a_post_has_the_length_of_its_body() {
    let server = Server::saying(EMPTY).await;
    let request = Request::post(server.url("/q"))
        .body(Full::new(Bytes::from("{\"a\":1}")))
        .unwrap();

    plain(&server).send(request).await.unwrap();

    let sent = server.request(0);
    assert!(
        sent.contains("content-length: 7\r\n") && sent.ends_with("\r\n\r\n{\"a\":1}"),
        "{sent}"
    );
}

#[tokio::test]
async fn the_credential_goes_to_the_source_and_to_no_other_origin() {
    let (source, other) = (Server::saying(EMPTY).await, Server::saying(EMPTY).await);
    let policy = Policy {
        source: Some(source.origin()),
        allow_hosts: vec![other.origin()],
        ..Policy::default()
    };
    let (egress, lines) = world(
        policy,
        &Auth::Bearer("t0ken".into()),
        &Limits::default(),
        &[],
    );

    get(&egress, &source.url("/")).await.unwrap();
    get(&egress, &other.url("/")).await.unwrap();

    assert!(
        source
            .request(0)
            .contains("authorization: Bearer t0ken\r\n")
    );
    assert!(!other.request(0).contains("t0ken") && !other.request(0).contains("authorization"));
    assert_eq!(lines.text(), "", "loopback needs no warning");
}

#[tokio::test]
async fn a_credential_over_plain_http_is_warned_of_once() {
    let server = Server::saying(EMPTY).await;
    let source = format!("http://source.example:{}", server.address.port());
    let policy = Policy {
        source: Some(Origin::parse_grant(&source).unwrap()),
        allow_private_networks: true,
        ..Policy::default()
    };
    let (egress, lines) = world(
        policy,
        &Auth::Bearer("t0ken".into()),
        &Limits::default(),
        &["127.0.0.1"],
    );

    get(&egress, &format!("{source}/")).await.unwrap();
    get(&egress, &format!("{source}/")).await.unwrap();

    assert!(server.request(0).contains(&format!(
        "host: source.example:{}\r\n",
        server.address.port()
    )));
    assert_eq!(
        lines.text().matches("over plain http").count(),
        1,
        "{}",
        lines.text()
    );
}

#[tokio::test]
async fn a_method_that_is_not_granted_is_not_sent() {
    let server = Server::saying(EMPTY).await;
    let egress = plain(&server);

    let put = Request::put(server.url("/"))
        .body(Empty::<Bytes>::new())
        .unwrap();
    let error = egress.send(put).await.err().unwrap();

    assert_eq!(egress.denial(), Some(error));
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn a_redirect_is_handed_on_and_not_followed() {
    let server = Server::saying(
        "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
    )
    .await;

    let answer = get(&plain(&server), &server.url("/")).await.unwrap();

    assert_eq!(answer.status(), 302);
    assert_eq!(answer.headers()["location"], "http://169.254.169.254/");
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Server::new([vec![Step::Send(ok("", b"[]"))]]).await;
    let egress = plain(&server);

    for _ in 0..20 {
        fetch(&egress, &server).await.unwrap();
    }

    assert_eq!(server.asked(), 20);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_denial_is_counted_logged_once_and_the_first_is_kept() {
    let server = Server::saying(EMPTY).await;
    let policy = Policy {
        source: Some(server.origin()),
        ..Policy::default()
    };
    let (egress, lines) = world(policy, &Auth::None, &Limits::default(), &[]);

    let first = get(&egress, "https://first.example/?secret=1")
        .await
        .err()
        .unwrap();
    let _ = get(&egress, "https://second.example/").await.err().unwrap();

    assert_eq!(egress.denial(), Some(first));
    assert_eq!(egress.breach(), None);
    assert_eq!(
        egress.traffic(),
        Traffic {
            requests: 2,
            refused: 2,
            ..Traffic::default()
        }
    );
    assert_eq!(lines.text().matches("request refused").count(), 1);
    assert!(
        lines.text().contains("https://first.example") && !lines.text().contains("secret"),
        "{}",
        lines.text()
    );
}

#[tokio::test]
async fn a_name_in_a_private_network_is_refused_before_anything_is_dialed() {
    let server = Server::saying(EMPTY).await;
    let url = format!("http://source.example:{}", server.address.port());
    let source = Some(Origin::parse_grant(&url).unwrap());
    let (egress, _) = world(
        Policy {
            source,
            ..Policy::default()
        },
        &Auth::None,
        &Limits::default(),
        &["127.0.0.1", "::1"],
    );

    let error = get(&egress, &url).await.err().unwrap();

    assert!(
        error.to_string().contains("ALLOW_PRIVATE_NETWORKS"),
        "{error}"
    );
    assert_eq!(egress.denial(), Some(error));
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_address_that_is_not_granted_is_refused_although_another_is() {
    let server = Server::saying(EMPTY).await;
    let egress = plain(&server);

    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:1/",
        "http://[::1]/",
        "http://10.0.0.1/",
    ] {
        assert!(
            matches!(
                get(&egress, url).await.err(),
                Some(EgressError::Denied { .. })
            ),
            "{url}"
        );
    }
    assert_eq!(egress.traffic().refused, 4);
}

#[tokio::test]
async fn localhost_is_this_machine_whatever_the_resolver_says() {
    let server = Server::saying(EMPTY).await;
    let url = format!("http://localhost:{}", server.address.port());
    let source = Some(Origin::parse_grant(&url).unwrap());
    let (egress, _) = world(
        Policy {
            source,
            ..Policy::default()
        },
        &Auth::None,
        &Limits::default(),
        &["9.9.9.9"],
    );

    get(&egress, &url).await.unwrap();

    assert!(server.request(0).contains("host: localhost:"));
}

#[tokio::test]
async fn a_name_without_an_address_is_unknown() {
    let source = Some(Origin::parse_grant("http://source.example").unwrap());
    let (egress, _) = world(
        Policy {
            source,
            ..Policy::default()
        },
        &Auth::None,
        &Limits::default(),
        &[],
    );

    let error = get(&egress, "http://source.example/").await.err().unwrap();

    assert_eq!(
        error.to_string(),
        "cannot look up `source.example`: it has no address"
    );
}

#[tokio::test]
async fn the_system_resolver_says_why_a_name_is_unknown() {
    let source = Some(Origin::parse_grant("http://nothing.invalid").unwrap());
    // A machine without DNS may take its resolver's patience to say so.
    let limits = Limits {
        connect_timeout: Duration::from_mins(2),
        ..Limits::default()
    };
    let policy = Policy {
        source,
        ..Policy::default()
    };
    let egress = Egress::new(
        policy,
        &Auth::None,
        &Besides::default(),
        &TlsFiles::default(),
        &limits,
        Lines::default().log(),
    )
    .unwrap();

    let error = get(&egress, "http://nothing.invalid/").await.err().unwrap();

    assert!(
        matches!(&error, EgressError::DnsUnknown { host, .. } if host == "nothing.invalid"),
        "{error:?}"
    );
    assert!(!error.to_string().contains("failed"), "{error}");
}

#[tokio::test]
async fn a_request_body_that_breaks_off_is_not_sent() {
    let server = Server::saying(EMPTY).await;
    let broken = futures_util::stream::iter([
        Ok(http_body::Frame::data(Bytes::from_static(b"{"))),
        Err(BoxError::from("the component dropped it")),
    ]);

    let egress = plain(&server);

    let request = Request::post(server.url("/"))
        .body(StreamBody::new(broken))
        .unwrap();
    let error = egress.send(request).await.err().unwrap();

    assert!(
        error.to_string().ends_with("the component dropped it"),
        "{error}"
    );
    assert_eq!(
        egress.breach(),
        None,
        "what the component does to itself is not the source's"
    );
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn no_error_shows_a_query() {
    let server = Server::new([vec![Step::Close]]).await;
    let auth = Auth::Query {
        name: "api_key".into(),
        value: "t0ken".into(),
    };

    let error = get(
        &egress(server.origin(), &auth, &Limits::default()),
        &server.url("/?private=1"),
    )
    .await
    .err()
    .unwrap();

    assert!(
        server
            .request(0)
            .starts_with("GET /?private=1&api_key=t0ken HTTP/1.1\r\n"),
        "{}",
        server.request(0)
    );
    let shown = format!("{error} {error:?}");
    assert!(
        !shown.contains("t0ken") && !shown.contains("private"),
        "{shown}"
    );
}
