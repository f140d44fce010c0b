//! What becomes of a connection before its first request: it is let in, with TLS or without, or turned away.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// How long after what was sent before.
pub(super) const RESET_AFTER: Duration = Duration::from_millis(50);

/// How a connection is received.
#[derive(Debug, Clone)]
pub enum Door {
    /// Requests are read from it.
    Open,
    /// Requests are read from it through TLS, with this certificate of `tests/data/tls`.
    Tls(&'static str),
    /// The same, and HTTP/2 is spoken and nothing else.
    Http2(&'static str),
    /// It is closed.
    Closed,
    /// It is reset.
    Reset,
    /// Nothing is read and nothing said.
    Silent,
    /// What comes is read once, this is said, and it is closed.
    Says(Vec<u8>),
}

/// The path of a file of `tests/data/tls`.
pub fn tls_file(name: &str) -> PathBuf {
    let host = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    host.join("../tests/data/tls").join(name)
}

/// A connection that was let in.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Stream {
    /// TLS with this certificate; the handshake is made by the first read.
    pub(super) fn tls(stream: TcpStream, certificate: &'static str) -> Self {
        let connection = ServerConnection::new(config(certificate, &[])).expect("a TLS server");
        Self::Tls(Box::new(StreamOwned::new(connection, stream)))
    }

    /// Closes it, and says so where TLS has a word for it.
    pub(super) fn close(mut self) -> std::io::Result<()> {
        if let Self::Tls(stream) = &mut self {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        self.vanish()
    }

    /// Closes it without a word.
    pub(super) fn vanish(self) -> std::io::Result<()> {
        self.tcp().shutdown(Shutdown::Write)
    }

    /// Resets it, once what was sent before has been read: a reset that overtakes it would be another fault.
    pub(super) fn reset(self) -> std::io::Result<()> {
        std::thread::sleep(RESET_AFTER);
        reset(self.tcp())
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

/// Has the connection reset when it is dropped.
pub(super) fn reset(stream: &TcpStream) -> std::io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_linger(
        stream,
        Some(Duration::ZERO),
    )?)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// How TLS is spoken with this certificate, and of these protocols.
pub(super) fn config(certificate: &str, protocols: &[&[u8]]) -> Arc<ServerConfig> {
    static PROVIDER: OnceLock<Arc<rustls::crypto::CryptoProvider>> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider()));
    let certificate =
        CertificateDer::from_pem_file(tls_file(certificate)).expect("a certificate of the tests");
    let key = PrivateKeyDer::from_pem_file(tls_file("server.key")).expect("the servers' key");
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("ring has TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    let mut config = config.expect("the key fits the certificate");
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}
