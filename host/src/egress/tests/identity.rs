//! The client certificate: shown to the source and to the login, to nobody else, and what is said when it will not do.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

/// What each client showed: its certificate, or nothing.
type Shown = Arc<Mutex<Vec<Option<Vec<u8>>>>>;

fn data(name: &str) -> PathBuf {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.join("../tests/data/tls").join(name)
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(data(name)).unwrap()
}

fn files(certificates: &str, key: &str) -> TlsFiles {
    TlsFiles {
        ca: Some(data("ca.pem")),
        client: Some(ClientFiles {
            certificates: data(certificates),
            key: data(key),
        }),
    }
}

/// A server that asks who the client is, lets nobody in without an answer if `strict`, and says this to the others.
fn server(authority: &str, strict: bool, answer: Vec<u8>) -> (SocketAddr, Shown) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate(authority)).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = if strict {
        verifier
    } else {
        verifier.allow_unauthenticated()
    };
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![certificate("server.pem")],
            PrivateKeyDer::from_pem_file(data("server.key")).unwrap(),
        )
        .unwrap();
    let (config, shown) = (Arc::new(config), Shown::default());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = shown.clone();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let _ = answer_once(stream, config.clone(), &answer, &seen);
        }
    });
    (address, shown)
}

fn answer_once(
    mut socket: std::net::TcpStream,
    config: Arc<ServerConfig>,
    answer: &[u8],
    shown: &Shown,
) -> std::io::Result<()> {
    use std::io::Read as _;
    let mut connection = ServerConnection::new(config).unwrap();
    let mut request = [0; 4096];
    let read = Stream::new(&mut connection, &mut socket).read(&mut request);
    if read.is_err() {
        // What the client has sent is read to its end: a reset would overtake the alert.
        let _ = connection.write_tls(&mut socket);
        socket.shutdown(std::net::Shutdown::Write)?;
        while socket.read(&mut request)? > 0 {}
        return Ok(());
    }
    let certificates = connection.peer_certificates();
    let first = certificates.and_then(|chain| chain.first().map(|one| one.to_vec()));
    shown.lock().unwrap().push(first);
    let mut stream = Stream::new(&mut connection, &mut socket);
    stream.write_all(answer)?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn whole() -> Vec<u8> {
    ok("connection: close\r\n", b"[1,2]")
}

fn out(policy: Policy, auth: &Auth, files: &TlsFiles) -> Egress {
    let log = Lines::default().log();
    Egress::new(
        policy,
        auth,
        &Besides::default(),
        files,
        &Limits::default(),
        log,
    )
    .unwrap()
}

fn granting(address: SocketAddr) -> (Policy, String) {
    let url = format!("https://{address}");
    let source = Some(Origin::parse_grant(&url).unwrap());
    let policy = Policy {
        source,
        ..Policy::default()
    };
    (policy, format!("{url}/"))
}

#[tokio::test]
async fn the_source_is_shown_the_certificate_with_a_key_of_every_kind() {
    for (certificates, key) in [
        ("client.pem", "client.key"),
        ("client.pem", "client-sec1.key"),
        ("client-rsa.pem", "client-rsa.key"),
    ] {
        let (address, shown) = server("clients.pem", true, whole());
        let (policy, url) = granting(address);
        let egress = out(policy, &Auth::None, &files(certificates, key));

        let body = read(get(&egress, &url).await.unwrap()).await.unwrap();

        assert_eq!(body, b"[1,2]", "{key}");
        let wanted = certificate(certificates).to_vec();
        assert_eq!(*shown.lock().unwrap(), [Some(wanted)], "{key}");
    }
}

#[tokio::test]
async fn an_origin_of_allow_hosts_never_sees_the_certificate() {
    let (source, shown_to_source) = server("clients.pem", false, whole());
    let (other, shown_to_other) = server("clients.pem", false, whole());
    let (policy, url) = granting(source);
    let other_url = format!("https://{other}");
    let policy = Policy {
        allow_hosts: vec![Origin::parse_grant(&other_url).unwrap()],
        ..policy
    };
    let egress = out(policy, &Auth::None, &files("client.pem", "client.key"));

    for url in [&url, &other_url] {
        read(get(&egress, url).await.unwrap()).await.unwrap();
    }

    assert!(shown_to_source.lock().unwrap()[0].is_some());
    assert_eq!(*shown_to_other.lock().unwrap(), [None]);
}

#[tokio::test]
async fn the_login_is_shown_the_certificate() {
    let token = ok("connection: close\r\n", br#"{"access_token":"a-token"}"#);
    let (login, shown) = server("clients.pem", true, token);
    let (source, _) = server("clients.pem", true, whole());
    let (policy, url) = granting(source);
    let auth = Auth::Fetched(Box::new(Issuer::OAuth2(OAuth2 {
        token_url: format!("https://{login}/token").parse().unwrap(),
        client_id: "me".into(),
        client: ClientAuth::Header("s3cret".into()),
        grant: Grant::Client,
        scope: None,
        params: Vec::new(),
    })));
    let egress = out(policy, &auth, &files("client.pem", "client.key"));

    assert!(get(&egress, &url).await.is_ok());

    assert!(shown.lock().unwrap()[0].is_some());
}

#[tokio::test]
async fn a_certificate_that_is_missing_or_not_trusted_is_a_refused_credential() {
    let without = TlsFiles {
        client: None,
        ..files("client.pem", "client.key")
    };
    for (authority, files, word) in [
        ("clients.pem", without, "wants a client certificate"),
        (
            "stranger.pem",
            files("client.pem", "client.key"),
            "`CLIENT_CERT_FILE`",
        ),
    ] {
        let (address, shown) = server(authority, true, whole());
        let (policy, url) = granting(address);
        let egress = out(policy, &Auth::None, &files);

        let error = get(&egress, &url).await.err().unwrap();

        assert!(
            matches!(error, EgressError::CredentialRefused { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(egress.breach(), Some(error));
        assert!(shown.lock().unwrap().is_empty());
    }
}

#[test]
fn files_that_cannot_be_used_are_named_and_nothing_of_the_key_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.key");
    let key = std::fs::read_to_string(data("client.key")).unwrap();
    std::fs::write(&broken, key.replace("-----END", "-----BEGIN")).unwrap();
    let told = |certificates: PathBuf, key: PathBuf| {
        let files = TlsFiles {
            ca: None,
            client: Some(ClientFiles { certificates, key }),
        };
        let log = Lines::default().log();
        let made = Egress::new(
            Policy::default(),
            &Auth::None,
            &Besides::default(),
            &files,
            &Limits::default(),
            log,
        );
        let failure = made.err().unwrap();
        assert_eq!(failure.outcome, crate::outcome::Outcome::Settings);
        failure.message
    };

    let other_key = told(data("client.pem"), data("server.key"));
    let missing = told(folder.path().join("none"), data("client.key"));
    let exchanged = told(data("client.key"), data("client.pem"));
    let no_key = told(data("client.pem"), data("client.pem"));
    let damaged = told(data("client.pem"), broken.clone());
    let mistaken = told(broken, data("client.key"));

    assert!(other_key.contains("`CLIENT_KEY_FILE` is not the key of"));
    assert!(
        missing.starts_with("cannot read `CLIENT_CERT_FILE` `"),
        "{missing}"
    );
    assert!(exchanged.contains("cannot find a certificate in `CLIENT_CERT_FILE`"));
    assert!(no_key.contains("cannot find a usable key in `CLIENT_KEY_FILE`"));
    assert!(damaged.contains("cannot find a usable key in `CLIENT_KEY_FILE`"));
    let line = key.lines().nth(1).unwrap();
    for text in [other_key, missing, exchanged, no_key, damaged, mistaken] {
        assert!(!text.contains(line), "{text}");
    }
}

#[test]
fn a_key_that_everybody_can_read_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("client.key");
    std::fs::copy(data("client.key"), &key).unwrap();
    let warned = |mode| {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let lines = Lines::default();
        let files = TlsFiles {
            ca: None,
            client: Some(ClientFiles {
                certificates: data("client.pem"),
                key: key.clone(),
            }),
        };
        let limits = Limits::default();
        Egress::new(
            Policy::default(),
            &Auth::None,
            &Besides::default(),
            &files,
            &limits,
            lines.log(),
        )
        .unwrap();
        lines.text().contains("CLIENT_KEY_FILE")
    };

    assert!(warned(0o644));
    assert!(!warned(0o640) && !warned(0o600));
}
