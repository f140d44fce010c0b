//! Signatures: a component says what is signed and where the signature belongs, and never sees the key nor a signature.
//!
//! It has a stand-in, in which the message is. As a request to the source goes out, each stand-in in it is replaced by the HMAC
//! (RFC 2104) of its message. Stand-ins begin with random digits of the run, which only a component learns that asks for them: a
//! server cannot have anything signed by what it answers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use http::header::AUTHORIZATION;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, request};
use secrecy::{ExposeSecret as _, SecretBox};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::credential::sensitive;
use super::{EgressError, Origin};
use crate::hash::hex;
use crate::limits::{SIGNATURES_MAX, SIGNED_MESSAGE_BYTES_MAX};
use crate::outcome::{Failure, Outcome};
use crate::secret::{Secret, joined, percent_encoded, shared};

/// The hash function of an HMAC (`SOURCE_SIGNING_ALGORITHM`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `hmac-sha1`.
    HmacSha1,
    /// `hmac-sha256`.
    HmacSha256,
    /// `hmac-sha384`.
    HmacSha384,
    /// `hmac-sha512`.
    HmacSha512,
}

/// A key, and how it signs.
#[derive(Clone)]
pub struct SigningKey {
    algorithm: Algorithm,
    bytes: Arc<SecretBox<[u8]>>,
    /// As it was given.
    written: Secret,
}

impl SigningKey {
    /// Signs with these bytes, which were `written` like this.
    pub fn new(algorithm: Algorithm, bytes: &[u8], written: Secret) -> Self {
        Self {
            algorithm,
            bytes: Arc::new(SecretBox::from(bytes.to_vec())),
            written,
        }
    }

    /// What must not be seen: the key as it was given and, where it is text, as it is used.
    pub fn secrets(&self) -> Vec<Secret> {
        let used = std::str::from_utf8(self.bytes.expose_secret()).ok();
        let used = used.filter(|used| *used != self.written.expose());
        let used = used.map(Secret::from);
        std::iter::once(self.written.clone()).chain(used).collect()
    }

    fn signature(&self, message: &[u8]) -> Zeroizing<Vec<u8>> {
        let key = self.bytes.expose_secret();
        match self.algorithm {
            Algorithm::HmacSha1 => signed::<Hmac<Sha1>>(key, message),
            Algorithm::HmacSha256 => signed::<Hmac<Sha256>>(key, message),
            Algorithm::HmacSha384 => signed::<Hmac<Sha384>>(key, message),
            Algorithm::HmacSha512 => signed::<Hmac<Sha512>>(key, message),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.algorithm)
    }
}

fn signed<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Zeroizing<Vec<u8>> {
    let mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    let signature = mac.chain_update(message).finalize().into_bytes();
    Zeroizing::new(signature.to_vec())
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Hex,
    /// RFC 4648, section 4, with padding.
    Base64,
    /// RFC 4648, section 5, without padding.
    Base64Url,
    /// As `Base64`, percent-encoded.
    Base64InQuery,
}

impl Encoding {
    const ALL: [(&'static str, Self); 4] = [
        ("hex", Self::Hex),
        ("base64", Self::Base64),
        ("base64url", Self::Base64Url),
        ("base64-in-query", Self::Base64InQuery),
    ];

    fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, encoding)| *encoding == self);
        named.expect("every encoding has a name").0
    }

    fn named(name: &str) -> Option<Self> {
        let named = Self::ALL.iter().find(|(known, _)| *known == name);
        named.map(|(_, encoding)| *encoding)
    }

    fn written(self, bytes: &[u8]) -> Zeroizing<String> {
        match self {
            Self::Hex => Zeroizing::new(hex(bytes)),
            Self::Base64 => Zeroizing::new(STANDARD.encode(bytes)),
            Self::Base64Url => Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes)),
            Self::Base64InQuery => percent_encoded(&Zeroizing::new(STANDARD.encode(bytes))),
        }
    }

    /// All forms in which a source may send a signature back, but for escapes.
    fn forms(bytes: &[u8]) -> [Secret; 4] {
        let hex = Self::Hex.written(bytes);
        [
            Secret::from(hex.as_str()),
            Secret::from(Zeroizing::new(hex.to_ascii_uppercase()).as_str()),
            Secret::from(Self::Base64.written(bytes).as_str()),
            Secret::from(Self::Base64Url.written(bytes).as_str()),
        ]
    }
}

/// The stand-in for the signature of `message`, by the mark of a run. The message has at most [`SIGNED_MESSAGE_BYTES_MAX`].
pub fn stand_in(mark: &str, message: &[u8], encoding: Encoding) -> String {
    let message = URL_SAFE_NO_PAD.encode(message);
    format!("{mark}{}.{message}.", encoding.name())
}

/// The signatures of one request, by their messages.
type Made = BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>;

/// Signs the requests of one run.
pub(super) struct Signer {
    key: SigningKey,
    /// How every stand-in of this run begins.
    mark: String,
}

/// Random bytes in the mark of a run.
const MARK_BYTES: usize = 16;

impl Signer {
    /// Signs with `key`, by a mark of its own. `Err`: the system has no random numbers.
    pub(super) fn new(key: SigningKey) -> Result<Self, Failure> {
        let mut random = [0; MARK_BYTES];
        let generator = rustls::crypto::ring::default_provider().secure_random;
        generator.fill(&mut random).map_err(|_| {
            let why = "cannot sign requests: the system has no random numbers";
            Failure::new(Outcome::IoFailed, why)
        })?;
        let mark = format!("tidegate.{}.", hex(&random));
        Ok(Self { key, mark })
    }

    /// How every stand-in of this run begins.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// The component's `Authorization` that has a signature in it; it cannot set one otherwise.
    pub(super) fn authorization(&self, given: &HeaderMap) -> Option<HeaderValue> {
        let mut values = given.get_all(AUTHORIZATION).iter();
        values.find(|value| self.is_in(value.as_bytes())).cloned()
    }

    /// Replaces every stand-in in a request to the source, and gives the signatures in all their forms. `Err`: one is where it is
    /// not replaced, is incomplete, or is one too many.
    pub(super) fn sign(
        &self,
        request: &mut request::Parts,
        body: &[u8],
        origin: &Origin,
    ) -> Result<Vec<Secret>, EgressError> {
        let denied = |why: &str| EgressError::Denied {
            message: format!("no request was sent to `{origin}`: {why}"),
        };
        let mut names = request.headers.keys();
        let is_elsewhere = self.is_in(request.uri.path().as_bytes())
            || self.is_in(body)
            || names.any(|name| self.is_in(name.as_str().as_bytes()));
        if is_elsewhere {
            return Err(denied(
                "the stand-in for a signature is in its path, its body or the name of a header, and it is replaced in the \
                 value of a header and in the query only",
            ));
        }
        let mut made = BTreeMap::new();
        let malformed = || {
            denied(&format!(
                "a stand-in for a signature in it is incomplete, or beside characters that no header can carry, or it has more \
                 than {SIGNATURES_MAX}"
            ))
        };
        for value in request.headers.values_mut() {
            if !self.is_in(value.as_bytes()) {
                continue;
            }
            let text = value.to_str().map_err(|_| malformed())?;
            let signed = self.replaced(text, &mut made).ok_or_else(malformed)?;
            *value = sensitive(signed).ok_or_else(malformed)?;
        }
        if self.is_in(request.uri.query().unwrap_or_default().as_bytes()) {
            let target = request
                .uri
                .path_and_query()
                .map_or("/", PathAndQuery::as_str);
            let signed = self.replaced(target, &mut made).ok_or_else(malformed)?;
            let target =
                PathAndQuery::from_maybe_shared(shared(signed)).map_err(|_| malformed())?;
            let mut parts = std::mem::take(&mut request.uri).into_parts();
            parts.path_and_query = Some(target);
            request.uri = Uri::from_parts(parts).map_err(|_| malformed())?;
        }
        let signatures = made
            .values()
            .flat_map(|signature| Encoding::forms(signature));
        Ok(signatures.collect())
    }

    /// `Ok`: no stand-in is in a request to another origin.
    pub(super) fn check_unsigned(
        &self,
        request: &request::Parts,
        body: &[u8],
        origin: &Origin,
    ) -> Result<(), EgressError> {
        let target = request
            .uri
            .path_and_query()
            .map_or("", PathAndQuery::as_str);
        let is_in_header = |(name, value): (&HeaderName, &HeaderValue)| {
            self.is_in(name.as_str().as_bytes()) || self.is_in(value.as_bytes())
        };
        let is_signed = self.is_in(target.as_bytes())
            || self.is_in(body)
            || request.headers.iter().any(is_in_header);
        if !is_signed {
            return Ok(());
        }
        Err(EgressError::Denied {
            message: format!(
                "no request was sent to `{origin}`: it has the stand-in for a signature, and only the origin of `SOURCE_API_URL` gets signatures"
            ),
        })
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        memchr::memmem::find(bytes, self.mark.as_bytes()).is_some()
    }

    /// `text` with each stand-in replaced; `None`: one is incomplete, or one too many.
    fn replaced(&self, text: &str, made: &mut Made) -> Option<Zeroizing<String>> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(&*self.mark) {
            let (encoding, after) = after.split_once('.')?;
            let (message, after) = after.split_once('.')?;
            let message = URL_SAFE_NO_PAD.decode(message).ok()?;
            if message.len() > SIGNED_MESSAGE_BYTES_MAX {
                return None;
            }
            if made.len() == SIGNATURES_MAX && !made.contains_key(&message) {
                return None;
            }
            let signature = made.entry(message);
            let signature = signature.or_insert_with_key(|message| self.key.signature(message));
            parts.push(Zeroizing::new(before.to_owned()));
            parts.push(Encoding::named(encoding)?.written(signature));
            rest = after;
        }
        parts.push(Zeroizing::new(rest.to_owned()));
        let parts: Vec<&str> = parts.iter().map(|part| part.as_str()).collect();
        Some(joined(&parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(algorithm: Algorithm, bytes: &[u8]) -> SigningKey {
        SigningKey::new(algorithm, bytes, Secret::from("written"))
    }

    fn source() -> Origin {
        Origin::parse_grant("https://api.example").unwrap()
    }

    fn request(uri: &str, headers: &[(&str, &str)]) -> request::Parts {
        let mut request = http::Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// RFC 2202, section 3, and RFC 4231, section 4.3: test case 2 of each.
    #[test]
    fn signatures_are_those_of_the_standards() {
        let signed =
            |algorithm| hex(&key(algorithm, b"Jefe").signature(b"what do ya want for nothing?"));

        assert_eq!(
            signed(Algorithm::HmacSha1),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
        assert_eq!(
            signed(Algorithm::HmacSha256),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            signed(Algorithm::HmacSha384),
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"
        );
        assert_eq!(
            signed(Algorithm::HmacSha512),
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
        );
    }

    #[test]
    fn each_stand_in_is_replaced_in_headers_and_in_the_query() {
        let signer = Signer::new(key(Algorithm::HmacSha256, b"Jefe")).unwrap();
        let message = b"what do ya want for nothing?";
        let given = |encoding| stand_in(signer.mark(), message, encoding);
        let (hex, base64) = (given(Encoding::Hex), given(Encoding::Base64));
        let header = format!("Hawk id=\"a\", mac=\"{base64}\", again=\"{base64}\"");
        let uri = format!(
            "https://api.example/x?a=1&signature={hex}&b={}",
            given(Encoding::Base64InQuery)
        );
        let mut request = request(&uri, &[("authorization", &header), ("x-other", "v")]);

        let made = signer.sign(&mut request, b"", &source()).unwrap();

        let in_base64 = "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=";
        assert_eq!(
            request.headers["authorization"],
            format!("Hawk id=\"a\", mac=\"{in_base64}\", again=\"{in_base64}\"")
        );
        assert_eq!(
            request.uri.query().unwrap(),
            format!(
                "a=1&signature=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843&b={}",
                in_base64.replace('=', "%3D")
            )
        );
        assert_eq!(request.headers["x-other"], "v");
        // One signature, in each of its forms.
        assert_eq!(made.len(), 4);
        assert!(!format!("{:?}", request.headers).contains(in_base64));
    }

    #[test]
    fn a_stand_in_of_another_run_is_nothing_special() {
        let signer = Signer::new(key(Algorithm::HmacSha256, b"k")).unwrap();
        let other = Signer::new(key(Algorithm::HmacSha256, b"k")).unwrap();
        let given = stand_in(other.mark(), b"m", Encoding::Hex);
        let mut request = request("https://api.example/", &[("x-signature", &given)]);

        assert!(
            signer
                .sign(&mut request, b"", &source())
                .unwrap()
                .is_empty()
        );
        assert_eq!(request.headers["x-signature"], given);
    }

    #[test]
    fn one_that_is_incomplete_or_in_the_path_is_refused() {
        let signer = Signer::new(key(Algorithm::HmacSha256, b"k")).unwrap();
        let whole = stand_in(signer.mark(), b"message", Encoding::Hex);
        let refused = |uri: &str, header: &str| {
            let mut request = request(uri, &[("x-signature", header)]);
            signer.sign(&mut request, b"", &source()).is_err()
        };

        // Cut anywhere behind the mark.
        for end in signer.mark().len()..whole.len() {
            assert!(refused("https://api.example/", &whole[..end]), "{end}");
        }
        let long = vec![b'm'; SIGNED_MESSAGE_BYTES_MAX + 1];
        assert!(refused(
            "https://api.example/",
            &stand_in(signer.mark(), &long, Encoding::Hex)
        ));
        assert!(refused(&format!("https://api.example/{whole}"), ""));
        let mut posted = request("https://api.example/", &[]);
        let posted = signer.sign(&mut posted, format!("a={whole}").as_bytes(), &source());
        assert!(posted.is_err());
        let many = |count: usize| {
            let each = |at: usize| stand_in(signer.mark(), &at.to_be_bytes(), Encoding::Hex);
            (0..count).map(each).collect::<String>()
        };
        assert!(!refused("https://api.example/", &many(SIGNATURES_MAX)));
        assert!(refused("https://api.example/", &many(SIGNATURES_MAX + 1)));
        assert!(!refused("https://api.example/", &whole));
    }

    #[test]
    fn another_origin_gets_none() {
        let signer = Signer::new(key(Algorithm::HmacSha256, b"k")).unwrap();
        let given = stand_in(signer.mark(), b"m", Encoding::Hex);
        let plain = request("https://b.example/x", &[("x-a", "b")]);
        let in_header = request("https://b.example/x", &[("x-a", &given)]);
        let in_query = request(&format!("https://b.example/x?s={given}"), &[]);
        let check = |request| signer.check_unsigned(request, b"", &source());

        assert!(check(&plain).is_ok());
        for request in [&in_header, &in_query] {
            let error = check(request).unwrap_err().to_string();
            assert!(
                error.contains("only the origin of `SOURCE_API_URL`"),
                "{error}"
            );
        }
    }

    #[test]
    fn of_a_component_s_authorization_only_one_with_a_signature_is_taken() {
        let signer = Signer::new(key(Algorithm::HmacSha256, b"k")).unwrap();
        let given = format!("Hawk {}", stand_in(signer.mark(), b"m", Encoding::Hex));
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer of-its-own"));

        assert_eq!(signer.authorization(&headers), None);
        headers.append(AUTHORIZATION, given.parse().unwrap());
        assert_eq!(signer.authorization(&headers).unwrap(), given);
    }

    #[test]
    fn debug_shows_nothing_of_a_key() {
        let shown = format!("{:?}", key(Algorithm::HmacSha1, b"s3cret"));

        assert_eq!(shown, "SigningKey(HmacSha1)");
    }
}
