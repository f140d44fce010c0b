//! TLS to the server, as `sslmode` and `sslrootcert` have it: <https://www.postgresql.org/docs/current/libpq-ssl.html>.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::egress::{Proof, Trust};
use crate::limits::Limits;
use crate::outcome::Failure;
use crate::settings::database_url::{Address, SslMode};

/// The setting that is named where `sslrootcert` is wrong.
const ROOT_CERT: &str = "sslrootcert of OUTPUT_DATABASE_URL";

/// How TLS connections to `address` are made. `Err` is 78: a file of certificates cannot be used.
pub fn connector(
    address: &Address,
    ca_file: Option<&Path>,
    limits: &Limits,
) -> Result<MakeRustlsConnect, Failure> {
    let proof = match address.ssl {
        SslMode::VerifyFull => Proof::TrustedAndNamed,
        SslMode::VerifyCa => Proof::Trusted,
        _ if address.root_cert.is_some() => Proof::Trusted,
        _ => Proof::Any,
    };
    let trust = match &address.root_cert {
        _ if proof == Proof::Any => Trust::nobody(),
        Some(path) => Trust::of_file(ROOT_CERT, path, limits)?,
        None => Trust::of_system(true, ca_file, limits)?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("ring has cipher suites for both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust.verifier(proof, &provider)))
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
