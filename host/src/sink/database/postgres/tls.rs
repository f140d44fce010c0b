//! TLS to the server, as `sslmode` and `sslrootcert` have it: <https://www.postgresql.org/docs/current/libpq-ssl.html>.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::egress::{roots, roots_of};
use crate::limits::Limits;
use crate::outcome::Failure;
use crate::settings::database_url::{Address, SslMode};

/// The setting that is named where `sslrootcert` is wrong.
const ROOT_CERT: &str = "sslrootcert of OUTPUT_DATABASE_URL";

/// How much of the server's certificate is looked at: who signed it, or nothing. That it has the key to it is always proven.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
}

/// How TLS connections to `address` are made. `Err` is 78: a file of certificates cannot be used.
pub fn connector(
    address: &Address,
    ca_file: Option<&Path>,
    limits: &Limits,
) -> Result<MakeRustlsConnect, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("ring has cipher suites for both versions");
    let trusted = || match &address.root_cert {
        Some(path) => roots_of(ROOT_CERT, path, limits),
        None => roots(true, ca_file, limits),
    };
    let builder = match address.ssl {
        SslMode::VerifyFull => builder.with_root_certificates(trusted()?),
        mode => {
            let is_proven = mode == SslMode::VerifyCa || address.root_cert.is_some();
            let chain = is_proven
                .then(|| Ok::<_, Failure>(chain(trusted()?, Arc::clone(&provider))))
                .transpose()?;
            let verifier = Verifier { provider, chain };
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    Ok(MakeRustlsConnect::new(builder.with_no_client_auth()))
}

fn chain(roots: RootCertStore, provider: Arc<CryptoProvider>) -> Arc<WebPkiServerVerifier> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .expect("there is at least one root")
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        // The name is looked at last: whatever has another name is well signed.
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            looked_at => looked_at,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
