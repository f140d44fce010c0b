//! TLS against servers with the certificates of `tests/data/tls`: whom we trust, and how a bad end is told apart.

use std::io::Read as _;
use std::net::Shutdown;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

pub(super) const CA: &[u8] = include_bytes!("../../../../tests/data/tls/ca.pem");
const KEY: &[u8] = include_bytes!("../../../../tests/data/tls/server.key");
pub(super) const SERVER: &[u8] = include_bytes!("../../../../tests/data/tls/server.pem");
const EXPIRED: &[u8] = include_bytes!("../../../../tests/data/tls/expired.pem");
const OTHER_NAME: &[u8] = include_bytes!("../../../../tests/data/tls/other-name.pem");
const AUTHORITY_ITSELF: &[u8] = include_bytes!("../../../../tests/data/tls/authority-itself.pem");
const AUTHORITY_OTHER_NAME: &[u8] =
    include_bytes!("../../../../tests/data/tls/authority-other-name.pem");
const VERSION_1: &[u8] = include_bytes!("../../../../tests/data/tls/version-1.pem");
const STRANGER: &[u8] = include_bytes!("../../../../tests/data/tls/stranger.pem");

/// How a server ends a connection after its answer.
#[derive(Clone, Copy)]
enum End {
    CloseNotify,
    JustTcp,
}

/// How a server with this certificate makes its connections, of these protocols the first that its client has.
pub(super) fn config(certificate: &[u8], protocols: &[&[u8]]) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_slice(certificate).unwrap()];
    let key = any_supported_type(&PrivateKeyDer::from_pem_slice(KEY).unwrap()).unwrap();
    let shown = CertifiedKey::new(chain, key);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// A server with this certificate that gives each connection one answer.
fn server(certificate: &[u8], answer: &'static [u8], end: End) -> SocketAddr {
    let config = config(certificate, &[]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            // A client that turns away is what most of these tests are about.
            let _ = answer_once(StreamOwned::new(connection, stream), answer, end);
        }
    });
    address
}

fn answer_once(
    mut stream: StreamOwned<ServerConnection, std::net::TcpStream>,
    answer: &[u8],
    end: End,
) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let read = stream.read(&mut request)?;
    assert!(request[..read].starts_with(b"GET / HTTP/1.1\r\n"));
    stream.write_all(answer)?;
    stream.flush()?;
    if matches!(end, End::CloseNotify) {
        stream.conn.send_close_notify();
        stream.flush()?;
    }
    stream.sock.shutdown(Shutdown::Write)
}

fn trusting(ca: &[u8], url: &str) -> Egress {
    trusting_within(ca, url, &Limits::default())
}

pub(super) fn trusting_within(ca: &[u8], url: &str, limits: &Limits) -> Egress {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(ca).unwrap();
    let policy = Policy {
        source: Some(Origin::parse_grant(url).unwrap()),
        ..Policy::default()
    };
    Egress::new(
        policy,
        &Auth::None,
        &Besides::default(),
        &TlsFiles {
            ca: Some(file.path().to_owned()),
            client: None,
        },
        limits,
        Lines::default().log(),
    )
    .unwrap()
}

async fn outcome(address: SocketAddr) -> Result<Vec<u8>, EgressError> {
    let url = format!("https://{address}");
    read(get(&trusting(CA, &url), &format!("{url}/")).await?).await
}

const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[1,2]";
const SHORT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[1,2]";
const TO_THE_END: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n[1,2]";

#[tokio::test]
async fn a_server_that_the_ca_file_vouches_for_is_trusted() {
    assert_eq!(
        outcome(server(SERVER, WHOLE, End::CloseNotify))
            .await
            .unwrap(),
        b"[1,2]"
    );
}

#[tokio::test]
async fn a_name_is_verified_as_the_name_that_was_asked_for() {
    let port = server(SERVER, WHOLE, End::CloseNotify).port();
    let url = format!("https://localhost:{port}");

    assert!(get(&trusting(CA, &url), &url).await.is_ok());
}

#[tokio::test]
async fn a_bad_certificate_is_told_from_a_bad_network() {
    for (certificate, word) in [
        (EXPIRED, "expired"),
        (OTHER_NAME, "another name"),
        (STRANGER, "`CA_FILE`"),
        (AUTHORITY_ITSELF, "`CA_FILE`"),
        (VERSION_1, "version 1"),
    ] {
        let error = outcome(server(certificate, WHOLE, End::CloseNotify))
            .await
            .unwrap_err();

        assert!(
            matches!(error, EgressError::BadCertificate { .. }) && error.is_final(),
            "{word}: {error:?}"
        );
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[tokio::test]
async fn an_authority_that_is_the_server_is_trusted_where_it_is_named_itself() {
    let shown_to = async |certificate: &[u8], ca: &[u8]| {
        let url = format!("https://{}", server(certificate, WHOLE, End::CloseNotify));
        get(&trusting(ca, &url), &url).await.err()
    };

    assert_eq!(shown_to(AUTHORITY_ITSELF, AUTHORITY_ITSELF).await, None);

    let by_another = shown_to(AUTHORITY_ITSELF, AUTHORITY_OTHER_NAME).await;
    let for_another = shown_to(AUTHORITY_OTHER_NAME, AUTHORITY_OTHER_NAME).await;
    let says = |error: Option<EgressError>| error.unwrap().to_string();
    assert!(says(by_another).contains("no file named here contains it"));
    assert!(says(for_another).contains("another name"));
}

#[tokio::test]
async fn a_server_is_not_trusted_without_the_ca_file() {
    let url = format!("https://{}", server(SERVER, WHOLE, End::CloseNotify));
    // A trust store with somebody else in it, so that the test does not depend on the system's.
    let egress = trusting(STRANGER, &url);

    let error = get(&egress, &url).await.err().unwrap();

    assert!(
        matches!(error, EgressError::BadCertificate { .. }),
        "{error:?}"
    );
    assert_eq!(egress.breach(), Some(error));
}

#[tokio::test]
async fn an_end_without_close_notify_is_a_cut_off_where_the_end_matters() {
    let short = outcome(server(SERVER, SHORT, End::CloseNotify)).await;
    let unproven = outcome(server(SERVER, TO_THE_END, End::JustTcp)).await;
    let proven = outcome(server(SERVER, TO_THE_END, End::CloseNotify)).await;
    let by_length = outcome(server(SERVER, WHOLE, End::JustTcp)).await;

    assert!(
        matches!(short, Err(EgressError::CutOff { .. })),
        "{short:?}"
    );
    assert!(
        matches!(unproven, Err(EgressError::CutOff { .. })),
        "{unproven:?}"
    );
    assert_eq!(proven.unwrap(), b"[1,2]");
    assert_eq!(by_length.unwrap(), b"[1,2]");
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_bad_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        sleep(Duration::from_secs(5)).await;
    });

    let error = outcome(address).await.unwrap_err();

    assert!(
        matches!(&error, EgressError::BadTls { reason, .. } if reason.contains("not TLS")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_handshake_that_stalls_runs_into_the_connect_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());

    let error = get(&trusting_within(CA, &url, &short_limits()), &url)
        .await
        .err()
        .unwrap();

    assert!(
        matches!(error, EgressError::ConnectTimeout { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_handshake_that_is_dropped_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });

    let error = outcome(address).await.unwrap_err();

    assert!(
        matches!(error, EgressError::Unreachable { .. }),
        "{error:?}"
    );
}

#[test]
fn a_ca_file_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let files = TlsFiles {
        ca: Some(path.clone()),
        client: None,
    };
    let with = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        let limits = Limits {
            settings_file_bytes: 10_000,
            ..Limits::default()
        };
        let log = Lines::default().log();
        Egress::new(
            Policy::default(),
            &Auth::None,
            &Besides::default(),
            &files,
            &limits,
            log,
        )
        .err()
        .map(|failure| failure.message)
    };

    assert_eq!(with(CA), None);
    assert!(
        with(b"")
            .unwrap()
            .contains("cannot find a certificate in `CA_FILE`")
    );
    assert!(
        with(KEY)
            .unwrap()
            .contains("cannot find a certificate in `CA_FILE`")
    );
    assert!(
        with(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .unwrap()
            .contains("certificate 1 of `CA_FILE`")
    );
    assert!(
        with(&[b'#'; 10_001])
            .unwrap()
            .contains("larger than 10000 bytes")
    );
    std::fs::remove_file(&path).unwrap();
    let missing = Egress::new(
        Policy::default(),
        &Auth::None,
        &Besides::default(),
        &files,
        &Limits::default(),
        Lines::default().log(),
    );
    assert!(
        missing
            .err()
            .unwrap()
            .message
            .starts_with("cannot read `CA_FILE` `")
    );
}

#[tokio::test]
async fn through_a_tunnel_the_server_itself_is_verified_and_the_proxy_sees_its_name_alone() {
    for (certificate, is_trusted) in [(SERVER, true), (OTHER_NAME, false)] {
        let there = server(certificate, WHOLE, End::CloseNotify);
        let proxy = proxied::opening(there).await;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(CA).unwrap();
        let files = TlsFiles {
            ca: Some(file.path().to_owned()),
            client: None,
        };
        let url = format!("https://{there}");
        let way = Proxy::parse(&format!("http://{}", proxy.address)).unwrap();
        let egress = Egress::new(
            proxied::through(way, &url),
            &Auth::Bearer("t0ken-of-the-source".into()),
            &Besides::default(),
            &files,
            &Limits::default(),
            Lines::default().log(),
        )
        .unwrap();

        let answer = get(&egress, &format!("{url}/")).await;

        if is_trusted {
            assert_eq!(read(answer.unwrap()).await.unwrap(), b"[1,2]");
        } else {
            let error = answer.err().unwrap();
            assert!(
                matches!(error, EgressError::BadCertificate { .. }),
                "{error:?}"
            );
        }
        assert_eq!(
            proxy.request(0),
            format!("CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n\r\n")
        );
    }
}
