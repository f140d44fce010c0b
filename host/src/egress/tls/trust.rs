//! Whom we trust: authorities, and servers' certificates that the operator named as they are.
//!
//! `openssl req -x509`, and PostgreSQL's manual after it, make a certificate that signs itself and says that it is an
//! authority's. OpenSSL, and so curl and libpq, take it as the server's where it is named itself; webpki alone does not.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_native_certs::{CertificateResult, load_certs_from_paths};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{identity, wrong};
use crate::given_file::Holds;
use crate::limits::Limits;
use crate::outcome::Failure;
use crate::settings::catalogue::CA_FILE;

/// Authorities, and the certificates of a file that the operator named.
#[derive(Debug)]
pub struct Trust {
    authorities: RootCertStore,
    named: Vec<CertificateDer<'static>>,
}

/// What a server's certificate has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Trusted, and for the host that was asked for.
    TrustedAndNamed,
    /// Trusted, for whatever host.
    Trusted,
    /// Anything. That the server has the key to it is always proven.
    Any,
}

/// Looks at servers' certificates.
#[derive(Debug)]
pub struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    /// `None` where no authority is trusted.
    chain: Option<Arc<WebPkiServerVerifier>>,
    named: Vec<CertificateDer<'static>>,
    proof: Proof,
}

impl Trust {
    /// Nobody.
    pub fn nobody() -> Self {
        Self {
            authorities: RootCertStore::empty(),
            named: Vec::new(),
        }
    }

    /// The certificates of `CA_FILE`, and where they are `needed` those of the system.
    pub fn of_system(
        needed: bool,
        ca_file: Option<&Path>,
        limits: &Limits,
    ) -> Result<Self, Failure> {
        let mut trust = match ca_file {
            Some(path) => Self::of_file(CA_FILE.row.name, path, limits)?,
            None => Self::nobody(),
        };
        if needed {
            let system = system();
            trust.authorities.add_parsable_certificates(system.certs);
            if trust.authorities.is_empty() {
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
        Ok(trust)
    }

    /// The certificates of the file that `setting` names, and no others.
    pub fn of_file(setting: &str, path: &Path, limits: &Limits) -> Result<Self, Failure> {
        let (pem, _) = identity::read(setting, path, limits.settings_file_bytes, Holds::Trusted)?;
        let named = identity::certificates(setting, path, &pem)?;
        let mut authorities = RootCertStore::empty();
        for (index, certificate) in named.iter().enumerate() {
            authorities.add(certificate.clone()).map_err(|error| {
                wrong(format!(
                    "cannot read certificate {} of `{setting}` `{}`: {error}",
                    index + 1,
                    path.display()
                ))
            })?;
        }
        Ok(Self { authorities, named })
    }

    /// The verifier that demands this `proof`.
    pub fn verifier(self, proof: Proof, provider: &Arc<CryptoProvider>) -> Verifier {
        let authorities = Arc::new(self.authorities);
        let is_any = !authorities.is_empty();
        let chain = is_any.then(|| {
            WebPkiServerVerifier::builder_with_provider(authorities, Arc::clone(provider))
                .build()
                .expect("there is an authority, and no revocation list")
        });
        Verifier {
            algorithms: provider.signature_verification_algorithms,
            chain,
            named: self.named,
            proof,
        }
    }
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
        let proven = Ok(ServerCertVerified::assertion());
        if self.proof == Proof::Any {
            return proven;
        }
        let Some(chain) = &self.chain else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let mut looked_at =
            chain.verify_server_cert(end_entity, intermediates, server_name, ocsp, now);
        // Its dates were looked at before.
        if let Err(rustls::Error::InvalidCertificate(fault)) = &looked_at
            && is_authority_itself(fault)
            && self.named.contains(end_entity)
        {
            let parsed = ParsedCertificate::try_from(end_entity)?;
            looked_at =
                verify_server_name(&parsed, server_name).map(|()| ServerCertVerified::assertion());
        }
        match looked_at {
            // The name is looked at last: whatever has another name is trusted.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.proof == Proof::Trusted => proven,
            looked_at => looked_at,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
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

/// What is wrong with a server's certificate, and what to do about it where that is done at the server. Whoever names the
/// setting that may help adds it, see [`may_be_named`].
pub fn fault_in_words(fault: &CertificateError) -> String {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired; renew it on the server, or check this machine's clock".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; check this machine's clock".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "it is for no host: its `subjectAltName` is missing, and the common name is not used; create it again with one"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".to_owned()
        }
        CertificateError::UnknownIssuer => "nobody trusted here has signed it".to_owned(),
        fault if is_authority_itself(fault) => {
            "it is a CA certificate, and no file named here contains it".to_owned()
        }
        CertificateError::Other(other)
            if webpki_error(&other.0) == Some(&webpki::Error::UnsupportedCertVersion) =>
        {
            "it is of X.509 version 1, which is not supported; create it again with a `subjectAltName`, which makes it version 3"
                .to_owned()
        }
        CertificateError::Other(other) => format!("{}", other.0),
        other => other.to_string(),
    }
}

/// Whether it may help to name the authority, or the certificate itself, in a file.
pub fn may_be_named(fault: &CertificateError) -> bool {
    matches!(fault, CertificateError::UnknownIssuer) || is_authority_itself(fault)
}

fn is_authority_itself(fault: &CertificateError) -> bool {
    let CertificateError::Other(other) = fault else {
        return false;
    };
    webpki_error(&other.0) == Some(&webpki::Error::CaUsedAsEndEntity)
}

fn webpki_error(other: &Arc<dyn Error + Send + Sync>) -> Option<&webpki::Error> {
    other.downcast_ref()
}
