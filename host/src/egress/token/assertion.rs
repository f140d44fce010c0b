//! `private_key_jwt`: a short text that is signed with the client's private key, in place of a client secret (RFC 7523, 2.2).

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::SigningKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

use crate::hash::hex;

/// `client_assertion_type`.
pub(super) const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// For so long one is good: a clock may differ, and the login may be slow.
const LIFETIME_SECONDS: i64 = 300;
/// Bytes of each half of a signature by P-256.
const P256_HALF_BYTES: usize = 32;

/// The client's private key, with what says which one it is.
#[derive(Clone)]
pub struct AssertionKey {
    key: Arc<dyn SigningKey>,
    scheme: SignatureScheme,
    algorithm: &'static str,
    /// `SOURCE_TOKEN_KEY_ID`.
    id: Option<String>,
    /// SHA-256 of the certificate that is beside the key.
    thumbprint: Option<String>,
}

impl AssertionKey {
    /// The key in this PEM, and its certificate where there is one. `Err` completes a sentence that begins with the setting's
    /// name, and shows nothing of the key.
    pub fn of_pem(pem: &str, id: Option<String>) -> Result<Self, String> {
        let mut der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(
            |_| "takes PEM with a private key in it (PKCS#8, PKCS#1 or SEC1), without a passphrase",
        )?;
        let key = any_supported_type(&der);
        der.zeroize();
        let key = key.map_err(|_| UNUSABLE)?;
        let kinds = [
            (SignatureScheme::RSA_PKCS1_SHA256, "RS256"),
            (SignatureScheme::ECDSA_NISTP256_SHA256, "ES256"),
        ];
        let kind = kinds
            .into_iter()
            .find(|(scheme, _)| key.choose_scheme(&[*scheme]).is_some());
        let (scheme, algorithm) = kind.ok_or(UNUSABLE)?;
        let certificate = CertificateDer::pem_slice_iter(pem.as_bytes()).find_map(Result::ok);
        let thumbprint =
            certificate.map(|der| URL_SAFE_NO_PAD.encode(Sha256::digest(der.as_ref())));
        Ok(Self {
            key,
            scheme,
            algorithm,
            id,
            thumbprint,
        })
    }

    /// Says to `audience` that we are `client`, at this time. `Err`: the system has no random numbers, or the key fails.
    pub(super) fn assertion(
        &self,
        client: &str,
        audience: &str,
        now_seconds: i64,
    ) -> Result<String, String> {
        let mut once = [0; 16];
        let generator = rustls::crypto::ring::default_provider().secure_random;
        generator
            .fill(&mut once)
            .map_err(|_| "the system has no random numbers")?;
        let mut header = json!({"alg": self.algorithm, "typ": "JWT"});
        if let Some(id) = &self.id {
            header["kid"] = json!(id);
        }
        if let Some(thumbprint) = &self.thumbprint {
            header["x5t#S256"] = json!(thumbprint);
        }
        let claims = json!({
            "iss": client,
            "sub": client,
            "aud": audience,
            "jti": hex(&once),
            "iat": now_seconds,
            "exp": now_seconds + LIFETIME_SECONDS,
        });
        let encoded = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let text = format!("{}.{}", encoded(header), encoded(claims));
        let signer = self.key.choose_scheme(&[self.scheme]);
        let signer = signer.ok_or("the key does not sign")?;
        let signature = signer
            .sign(text.as_bytes())
            .map_err(|error| error.to_string())?;
        let signature = match self.scheme {
            SignatureScheme::ECDSA_NISTP256_SHA256 => {
                halves(&signature).ok_or("the signature has another form")?
            }
            _ => signature,
        };
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

const UNUSABLE: &str = "takes a key of RSA (at least 2048 bits) or of the curve P-256";

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertionKey({})", self.algorithm)
    }
}

/// Both numbers of a signature, one behind the other (RFC 7518, 3.4), out of the DER that TLS has.
fn halves(der: &[u8]) -> Option<Vec<u8>> {
    let [0x30, _, rest @ ..] = der else {
        return None;
    };
    let (first, rest) = number(rest)?;
    let (second, rest) = number(rest)?;
    rest.is_empty().then(|| [first, second].concat())
}

fn number(der: &[u8]) -> Option<([u8; P256_HALF_BYTES], &[u8])> {
    let [0x02, length, rest @ ..] = der else {
        return None;
    };
    let (digits, rest) = rest.split_at_checked(usize::from(*length))?;
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let digits = &digits[zeros..];
    let mut whole = [0; P256_HALF_BYTES];
    let from = P256_HALF_BYTES.checked_sub(digits.len())?;
    whole[from..].copy_from_slice(digits);
    Some((whole, rest))
}

#[cfg(test)]
mod tests;
