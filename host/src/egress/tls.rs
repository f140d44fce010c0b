//! TLS: whom we trust, who we are, and what to tell the operator when the two sides do not come together.
//!
//! The system's trust store and the certificates of `CA_FILE` besides. `SSL_CERT_FILE` and `SSL_CERT_DIR`, by which other
//! programs have it moved, are not read: whom we trust is a setting. There is none that turns verification off.

mod identity;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::sign::SingleCertAndKey;
use rustls::{AlertDescription, CertificateError, ClientConfig, InconsistentKeys, RootCertStore};
use rustls_native_certs::{CertificateResult, load_certs_from_paths};

pub use self::identity::ClientFiles;
use self::identity::Identity;
use super::EgressError;
use crate::given_file::Holds;
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::settings::catalogue::CA_FILE;

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
        let roots = Arc::new(roots(needed, files.ca.as_deref(), limits)?);
        let unknown_to = Arc::new(config(roots.clone(), None)?);
        let known_to = match &files.client {
            None => unknown_to.clone(),
            Some(files) => {
                let identity = Identity::read(files, limits.settings_file_bytes, log)?;
                Arc::new(config(roots, Some(identity))?)
            }
        };
        Ok(Self {
            known_to,
            unknown_to,
        })
    }
}

/// The certificates of `CA_FILE`, and where they are `needed` those of the system.
pub fn roots(
    needed: bool,
    ca_file: Option<&Path>,
    limits: &Limits,
) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        add_file(
            &mut roots,
            CA_FILE.row.name,
            path,
            limits.settings_file_bytes,
        )?;
    }
    if needed {
        let system = system();
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            let why = system
                .errors
                .first()
                .map(|error| format!(" ({error})"))
                .unwrap_or_default();
            return Err(wrong(format!(
                "cannot find trusted certificates on this system{why}: install `ca-certificates`, or set `CA_FILE`"
            )));
        }
    }
    Ok(roots)
}

/// Where systems keep the certificates they trust, in one file: the first that is there counts.
const SYSTEM_FILES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
];
/// And in a folder, one by one: all of these.
const SYSTEM_FOLDERS: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

/// What the system trusts. `load_native_certs` would ask the environment first.
fn system() -> CertificateResult {
    let is_there = |path: &&Path| path.exists();
    let file = SYSTEM_FILES.iter().map(Path::new).find(is_there);
    let mut found = load_certs_from_paths(file, None);
    for folder in SYSTEM_FOLDERS.iter().map(Path::new).filter(is_there) {
        let more = load_certs_from_paths(None, Some(folder));
        found.certs.extend(more.certs);
        found.errors.extend(more.errors);
    }
    found
        .certs
        .sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
    found.certs.dedup();
    found
}

fn config(roots: Arc<RootCertStore>, identity: Option<Identity>) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("ring has cipher suites for both versions")
        .with_root_certificates(roots);
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
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificates of the file that `setting` names, and no others.
pub fn roots_of(setting: &str, path: &Path, limits: &Limits) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    add_file(&mut roots, setting, path, limits.settings_file_bytes)?;
    Ok(roots)
}

fn add_file(
    roots: &mut RootCertStore,
    setting: &str,
    path: &Path,
    bytes_max: u64,
) -> Result<(), Failure> {
    let (pem, _) = identity::read(setting, path, bytes_max, Holds::Trusted)?;
    let found = identity::certificates(setting, path, &pem)?;
    for (index, certificate) in found.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| {
            wrong(format!(
                "cannot read certificate {} of `{setting}` `{}`: {error}",
                index + 1,
                path.display()
            ))
        })?;
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
