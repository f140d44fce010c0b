//! TLS: whom we trust, and what to tell the operator when a server cannot be trusted.
//!
//! The system's trust store (`SSL_CERT_FILE` and `SSL_CERT_DIR` move it, as for other programs) and the certificates of
//! `CA_FILE` besides. There is no setting that turns verification off.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::EgressError;
use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};

/// How TLS connections are made. The system's trust store is read only when `needed`: it takes milliseconds.
///
/// `Err`: `CA_FILE` cannot be used, or TLS is needed and nobody is trusted.
pub(super) fn client_config(
    needed: bool,
    ca_file: Option<&Path>,
    limits: &Limits,
) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        add_file(&mut roots, path, limits.settings_file_bytes)?;
    }
    if needed {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            let why = system
                .errors
                .first()
                .map(|error| format!(" ({error})"))
                .unwrap_or_default();
            return Err(wrong(format!(
                "find no trusted certificates on this system{why}: install `ca-certificates`, or set `CA_FILE`"
            )));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("ring has cipher suites for both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn add_file(roots: &mut RootCertStore, path: &Path, bytes_max: u64) -> Result<(), Failure> {
    let shown = path.display();
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes_max + 1).read_to_end(&mut pem))
        .map_err(|error| wrong(format!("read `CA_FILE` `{shown}`: {error}")))?;
    if pem.len() as u64 > bytes_max {
        return Err(wrong(format!(
            "read `CA_FILE` `{shown}`: it has more than {bytes_max} bytes"
        )));
    }
    for (index, certificate) in CertificateDer::pem_slice_iter(&pem).enumerate() {
        let number = index + 1;
        let certificate = certificate.map_err(|error| {
            wrong(format!(
                "read certificate {number} of `CA_FILE` `{shown}`: {error}"
            ))
        })?;
        roots.add(certificate).map_err(|error| {
            wrong(format!(
                "read certificate {number} of `CA_FILE` `{shown}`: {error}"
            ))
        })?;
    }
    if roots.is_empty() {
        return Err(wrong(format!(
            "find no certificate in `CA_FILE` `{shown}`: it takes PEM, `-----BEGIN CERTIFICATE-----`"
        )));
    }
    Ok(())
}

fn wrong(message: String) -> Failure {
    Failure::new(Outcome::Settings, message)
}

/// What TLS has to say about `error`, if it came from there.
pub(super) fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    find(error)
}

/// The error of type `E` in the chain of causes; unlike `source` alone this looks into [`io::Error`]s.
pub(super) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// What a failed handshake means: a certificate or a protocol that will not do next time either, or a lost connection.
pub(super) fn handshake_error(origin: String, error: &rustls::Error) -> EgressError {
    match error {
        rustls::Error::InvalidCertificate(error) => EgressError::BadCertificate {
            origin,
            reason: in_words(error),
        },
        rustls::Error::NoCertificatesPresented => EgressError::BadCertificate {
            origin,
            reason: "the server has none".to_owned(),
        },
        rustls::Error::InvalidMessage(_) => EgressError::BadTls {
            origin,
            reason: "what came is not TLS; check the scheme and the port".to_owned(),
        },
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::PeerMisbehaved(_)
        | rustls::Error::InappropriateHandshakeMessage { .. }
        | rustls::Error::InappropriateMessage { .. }
        | rustls::Error::NoApplicationProtocol => EgressError::BadTls {
            origin,
            reason: error.to_string(),
        },
        // `protocol_version` and `handshake_failure` say that nothing fits; other alerts may come from a busy server.
        rustls::Error::AlertReceived(
            rustls::AlertDescription::ProtocolVersion | rustls::AlertDescription::HandshakeFailure,
        ) => EgressError::BadTls {
            origin,
            reason: format!("{error}; TLS 1.2 or 1.3 is needed"),
        },
        _ => EgressError::Unreachable {
            origin,
            reason: error.to_string(),
        },
    }
}

fn in_words(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired; renew it on the server, or check this machine's clock".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; check this machine's clock".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "nobody trusted here has signed it; for a private authority set `CA_FILE`".to_owned()
        }
        other => other.to_string(),
    }
}
