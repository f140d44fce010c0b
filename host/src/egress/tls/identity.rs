//! The client certificate: what it is made of, and what is wrong with it. No text here repeats anything of the key.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use zeroize::{Zeroize as _, Zeroizing};

use super::wrong;
use crate::given_file::{self, Holds};
use crate::log::Log;
use crate::outcome::Failure;
use crate::settings::catalogue::{CLIENT_CERT_FILE, CLIENT_KEY_FILE};

const READABLE_BY_OTHERS: u32 = 0o004;

/// The files of a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// `CLIENT_CERT_FILE`: PEM, our certificate first, then those that lead to an authority that the server trusts.
    pub certificates: PathBuf,
    /// `CLIENT_KEY_FILE`: PEM; PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// What we show to a server that asks who we are.
pub(super) struct Identity(pub(super) CertifiedKey);

impl Identity {
    /// Reads both files. A key that everybody on this machine can read is warned of.
    pub(super) fn read(files: &ClientFiles, bytes_max: u64, log: &Log) -> Result<Self, Failure> {
        let (pem, _) = read(
            CLIENT_CERT_FILE.row.name,
            &files.certificates,
            bytes_max,
            Holds::Other,
        )?;
        let chain = certificates(CLIENT_CERT_FILE.row.name, &files.certificates, &pem)?;
        let (pem, mode) = read(
            CLIENT_KEY_FILE.row.name,
            &files.key,
            bytes_max,
            Holds::Trusted,
        )?;
        let shown = files.key.display();
        if mode & READABLE_BY_OTHERS != 0 {
            log.warn(
                "client key is readable by every user of this machine; fix it with `chmod o-r`",
                json!({"setting": CLIENT_KEY_FILE.row.name, "path": shown.to_string()}),
            );
        }
        let mut key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
            wrong(format!(
                "cannot find a usable key in `CLIENT_KEY_FILE` `{shown}`: it takes PEM with PKCS#8, PKCS#1 or SEC1 in it, without a passphrase"
            ))
        })?;
        // Ring keeps its own form of it.
        let signing = any_supported_type(&key);
        key.zeroize();
        let signing = signing.map_err(|error| {
            wrong(format!(
                "cannot use `CLIENT_CERT_FILE` with `CLIENT_KEY_FILE`: {error}"
            ))
        })?;
        Ok(Self(CertifiedKey::new(chain, signing)))
    }
}

/// The content of the file that `setting` names, which may be a key, and its mode.
pub(super) fn read(
    setting: &str,
    path: &Path,
    bytes_max: u64,
    holds: Holds,
) -> Result<(Zeroizing<Vec<u8>>, u32), Failure> {
    match given_file::read_regular(path, bytes_max, holds) {
        Ok((pem, metadata)) => Ok((pem, metadata.permissions().mode())),
        Err(error) => Err(wrong(format!(
            "cannot read `{setting}` `{}`: {error}",
            path.display()
        ))),
    }
}

/// Every certificate in `pem`; at least one.
pub(super) fn certificates(
    setting: &str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let shown = path.display();
    let mut found = Vec::new();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        // The error can quote the file, which may be a key by mistake.
        found.push(certificate.map_err(|_| {
            let number = index + 1;
            wrong(format!(
                "cannot read certificate {number} of `{setting}` `{shown}`: it is not valid PEM"
            ))
        })?);
    }
    if found.is_empty() {
        return Err(wrong(format!(
            "cannot find a certificate in `{setting}` `{shown}`: it takes PEM, `-----BEGIN CERTIFICATE-----`"
        )));
    }
    Ok(found)
}
