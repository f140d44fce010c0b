//! A source that lets in only whom it knows by a client certificate (`tests/data/tls`).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tidegate::outcome::Outcome;

use crate::world::Job;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\n[{\"id\":1}]";

fn data(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.join("../tests/data/tls").join(name)
}

/// A source that knows who was signed by `clients.pem`.
fn source() -> SocketAddr {
    let certificate = |name: &str| CertificateDer::from_pem_file(data(name)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate("clients.pem")).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![certificate("server.pem")],
            PrivateKeyDer::from_pem_file(data("server.key")).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            let _ = answer_once(socket, config.clone());
        }
    });
    address
}

fn answer_once(mut socket: TcpStream, config: Arc<ServerConfig>) -> std::io::Result<()> {
    let mut connection = ServerConnection::new(config).unwrap();
    let mut request = [0; 4096];
    if Stream::new(&mut connection, &mut socket)
        .read(&mut request)
        .is_err()
    {
        // What the client has sent is read to its end: a reset would overtake the alert.
        let _ = connection.write_tls(&mut socket);
        socket.shutdown(std::net::Shutdown::Write)?;
        while socket.read(&mut request)? > 0 {}
        return Ok(());
    }
    let mut stream = Stream::new(&mut connection, &mut socket);
    stream.write_all(ANSWER)?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn job(source: SocketAddr) -> Job {
    Job::new()
        .unset("SOURCE_API_KEY")
        .set("SOURCE_API_URL", &format!("https://{source}/items"))
        .set("CA_FILE", &data("ca.pem").display().to_string())
}

fn with(job: Job, certificate: &str, key: &str) -> Job {
    job.set("CLIENT_CERT_FILE", &data(certificate).display().to_string())
        .set("CLIENT_KEY_FILE", &data(key).display().to_string())
}

#[test]
fn a_source_that_wants_a_certificate_is_shown_one() {
    let run = with(job(source()), "client.pem", "client.key").run();

    run.exits(Outcome::Published).publishes(&json!([{"id": 1}]));
}

#[test]
fn a_source_that_wants_a_certificate_and_gets_none_is_77() {
    let run = job(source()).run();

    run.exits(Outcome::Denied)
        .publishes_nothing()
        .stderr_has("wants a client certificate");
}

#[test]
fn a_certificate_that_the_source_does_not_know_is_77() {
    // The server's own certificate is signed by another authority than the clients'.
    let run = with(job(source()), "server.pem", "server.key").run();

    run.exits(Outcome::Denied)
        .publishes_nothing()
        .stderr_has("refused the client certificate");
}

#[test]
fn a_key_of_another_certificate_is_78() {
    let run = with(job(source()), "client.pem", "server.key").run();

    run.exits(Outcome::Settings)
        .publishes_nothing()
        .stderr_has("`CLIENT_KEY_FILE` is not the key of the first certificate");
}
