//! TLS: whom we trust, who we are, and what to tell the operator when the two sides do not come together.
//!
//! The system's trust store and the certificates of `CA_FILE` besides. `SSL_CERT_FILE` and `SSL_CERT_DIR`, by which other
//! programs have it moved, are not read: whom we trust is a setting. There is none that turns verification off.

mod identity;
mod trust;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::SingleCertAndKey;
use rustls::{AlertDescription, ClientConfig, InconsistentKeys};

pub use self::identity::ClientFiles;
use self::identity::Identity;
pub use self::trust::{Proof, Trust, Verifier, fault_in_words, may_be_named};
use super::EgressError;
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Failure, Outcome};

/// The files that TLS is set up with; none by default.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// `CA_FILE`.
    pub ca: Option<PathBuf>,
    /// `CLIENT_CERT_FILE` and `CLIENT_KEY_FILE`.
    pub client: Option<ClientFiles>,
}

/// How TLS connections are made.
#[derive(Clone)]
pub(super) struct Tls {
    /// To the source, and to whoever gives out tokens for it: they may ask who we are.
    pub(super) known_to: Arc<ClientConfig>,
    /// To everybody else: nobody there learns who we are.
    pub(super) unknown_to: Arc<ClientConfig>,
}

impl Tls {
    /// The system's trust store is read only when TLS is `needed`: it takes milliseconds.
    ///
    /// `Err`: a file cannot be used, or TLS is needed and nobody is trusted.
    pub(super) fn new(
        needed: bool,
        files: &TlsFiles,
        limits: &Limits,
        log: &Log,
    ) -> Result<Self, Failure> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trust = Trust::of_system(needed, files.ca.as_deref(), limits)?;
        let verifier = Arc::new(trust.verifier(Proof::TrustedAndNamed, &provider));
        let unknown_to = Arc::new(config(&provider, &verifier, None)?);
        let known_to = match &files.client {
            None => unknown_to.clone(),
            Some(files) => {
                let identity = Identity::read(files, limits.settings_file_bytes, log)?;
                Arc::new(config(&provider, &verifier, Some(identity))?)
            }
        };
        Ok(Self {
            known_to,
            unknown_to,
        })
    }
}

fn config(
    provider: &Arc<CryptoProvider>,
    verifier: &Arc<Verifier>,
    identity: Option<Identity>,
) -> Result<ClientConfig, Failure> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("ring has cipher suites for both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Verifier>::clone(verifier));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(Identity(certified)) => {
            match certified.keys_match() {
                Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
                Err(rustls::Error::InconsistentKeys(_)) => {
                    return Err(wrong(
                        "`CLIENT_KEY_FILE` is not the key of the first certificate in `CLIENT_CERT_FILE`"
                            .to_owned(),
                    ));
                }
                Err(other) => {
                    return Err(wrong(format!(
                        "cannot use `CLIENT_CERT_FILE` with `CLIENT_KEY_FILE`: {other}"
                    )));
                }
            }
            let shown = SingleCertAndKey::from(certified);
            builder.with_client_cert_resolver(Arc::new(shown))
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), HTTP1.to_vec()];
    Ok(config)
}

/// The same, with which a server speaks HTTP/1.1 and nothing else.
pub(super) fn with_http1_alone(config: &ClientConfig) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols = vec![HTTP1.to_vec()];
    Arc::new(config)
}

const HTTP1: &[u8] = b"http/1.1";

fn wrong(message: String) -> Failure {
    Failure::new(Outcome::Settings, message)
}

/// What TLS has to say about `error`, if it came from there.
pub(super) fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    find(error)
}

/// The error of type `E` in the chain of causes; unlike `source` alone this looks into [`io::Error`]s.
pub fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
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
    if let Some(reason) = who_we_are(error) {
        return EgressError::CredentialRefused { origin, reason };
    }
    match error {
        rustls::Error::InvalidCertificate(fault) => {
            let mut reason = fault_in_words(fault);
            if may_be_named(fault) {
                reason.push_str("; for a private authority set `CA_FILE`");
            }
            EgressError::BadCertificate { origin, reason }
        }
        rustls::Error::NoCertificatesPresented => EgressError::BadCertificate {
            origin,
            reason: "the server has none".to_owned(),
        },
        rustls::Error::InvalidMessage(_) => EgressError::BadTls {
            origin,
            reason: "the answer is not TLS; check the scheme and the port".to_owned(),
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
            AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure,
        ) => EgressError::BadTls {
            origin,
            reason: format!(
                "{error}; TLS 1.2 or 1.3 is needed, or the server wants a client certificate (`CLIENT_CERT_FILE`)"
            ),
        },
        _ => EgressError::Unreachable {
            origin,
            reason: error.to_string(),
        },
    }
}

/// What the server has against our certificate, or that it wants one; `None` when `error` is about something else.
///
/// With TLS 1.3 this comes in place of the first answer, after the handshake.
pub(super) fn who_we_are(error: &rustls::Error) -> Option<String> {
    use AlertDescription as Alert;
    let rustls::Error::AlertReceived(alert) = error else {
        return None;
    };
    let what = match alert {
        Alert::CertificateRequired | Alert::NoCertificate => {
            return Some(
                "the server wants a client certificate, and `CLIENT_CERT_FILE` is shown to the origins of SOURCE_API_URL and SOURCE_TOKEN_URL alone"
                    .to_owned(),
            );
        }
        Alert::CertificateExpired => "it has expired",
        Alert::CertificateRevoked => "it was revoked",
        Alert::UnknownCA => "the server does not know who signed it",
        Alert::AccessDenied => "it is valid, and not allowed in",
        Alert::BadCertificate | Alert::UnsupportedCertificate | Alert::CertificateUnknown => {
            "the server does not say why"
        }
        _ => return None,
    };
    Some(format!(
        "the server refused the client certificate: {what}; check `CLIENT_CERT_FILE`"
    ))
}
