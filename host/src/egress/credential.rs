//! The credential: how it is sent, and that only the source gets it.
//!
//! It is put into a request at the last moment, after every check, so that no error can hold it. Replacing it where a
//! server sends it back is `echo`'s job.

use http::header::{AUTHORIZATION, COOKIE};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Uri, request};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::aws::{AwsKey, AwsScope, AwsSigner};
use super::headers::is_forbidden_header;
use super::key::Key;
use super::token::Issuer;
use crate::outcome::{Failure, Outcome};
use crate::secret::{Secret, base64, joined, percent_encoded, shared};

/// How requests to the source are authorized (`SOURCE_AUTH`).
#[derive(Debug, Clone, Default)]
pub enum Auth {
    #[default]
    None,
    /// `Authorization: Bearer …`.
    Bearer(Key),
    /// A header of that name.
    Header {
        /// `SOURCE_AUTH_NAME`.
        name: String,
        value: Key,
    },
    /// A query parameter of that name.
    Query {
        /// `SOURCE_AUTH_NAME`.
        name: String,
        /// Its value, not yet encoded.
        value: Key,
    },
    /// `Authorization: Basic …`, of `user:password`; either half may be empty.
    Basic(Key),
    /// AWS Signature Version 4, with a key as [`AwsKey`] reads it.
    Aws(Key, AwsScope),
    /// A token that is fetched.
    Fetched(Box<Issuer>),
}

/// A half of `user:password` that is shorter is no secret, and hiding it would spoil every text that it occurs in.
pub(super) const HALF_BYTES_MIN: usize = 4;
/// A shorter password is there only because there must be one: the user is the secret then.
const PASSWORD_BYTES_MIN: usize = 8;

impl Auth {
    /// The key that is sent, where one is.
    pub(super) fn key(&self) -> Option<&Key> {
        match self {
            Self::None | Self::Fetched(_) => None,
            Self::Bearer(key)
            | Self::Header { value: key, .. }
            | Self::Query { value: key, .. }
            | Self::Aws(key, _)
            | Self::Basic(key) => Some(key),
        }
    }

    /// The same way of sending another key.
    pub(super) fn with_key(&self, another: Key) -> Self {
        let mut auth = self.clone();
        match &mut auth {
            Self::None | Self::Fetched(_) => {}
            Self::Bearer(key)
            | Self::Header { value: key, .. }
            | Self::Query { value: key, .. }
            | Self::Aws(key, _)
            | Self::Basic(key) => *key = another,
        }
        auth
    }

    /// The header that it is sent as; none where it is no header.
    pub fn header(&self) -> Option<HeaderName> {
        match self {
            Self::None | Self::Query { .. } => None,
            Self::Bearer(_) | Self::Basic(_) | Self::Aws(..) => Some(AUTHORIZATION),
            Self::Header { name, .. } => HeaderName::from_bytes(name.as_bytes()).ok(),
            Self::Fetched(issuer) => issuer.header(),
        }
    }

    /// Every value that must not be seen: the secret, and of a pair the password, or the user where there is none.
    pub fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::None => Vec::new(),
            Self::Fetched(issuer) => issuer.secrets(),
            Self::Bearer(value) | Self::Header { value, .. } | Self::Query { value, .. } => {
                vec![value.secret().clone()]
            }
            Self::Basic(both) => pair_secrets(both),
            Self::Aws(key, _) => {
                let parts = AwsKey::parse(key.expose()).map(|parts| parts.secrets());
                let whole = std::iter::once(key.secret().clone());
                whole.chain(parts.unwrap_or_default()).collect()
            }
        }
    }
}

/// What must not be seen of `user:password`: the pair, and of it the password, or the user where there is none.
pub(super) fn pair_secrets(both: &Key) -> Vec<Secret> {
    let (user, password) = both.expose().split_once(':').unwrap_or_default();
    let user = Some(user).filter(|_| password.len() < PASSWORD_BYTES_MIN);
    let halves = user.into_iter().chain([password]);
    let halves = halves.filter(|half| half.len() >= HALF_BYTES_MIN);
    std::iter::once(both.secret().clone())
        .chain(halves.map(Secret::from))
        .collect()
}

/// A credential that is ready to be sent.
pub(super) enum Credential {
    None,
    Header(HeaderName, HeaderValue),
    Query {
        name: String,
        value: Secret,
    },
    /// It is in no request: each gets a signature.
    Aws(AwsSigner),
}

impl Credential {
    /// `Err`: it cannot be sent that way; the text names the setting and nothing of the value.
    pub(super) fn new(auth: &Auth) -> Result<Self, Failure> {
        match auth {
            // Its token comes later, and by another way.
            Auth::None | Auth::Fetched(_) => Ok(Self::None),
            Auth::Bearer(token) => {
                Self::header(AUTHORIZATION, joined(&["Bearer ", token.expose()]))
            }
            Auth::Basic(both) if !both.expose().contains(':') => Err(wrong(
                "`SOURCE_API_KEY` takes `user:password` with SOURCE_AUTH=basic",
            )),
            Auth::Basic(both) => {
                Self::header(AUTHORIZATION, joined(&["Basic ", &base64(both.expose())]))
            }
            Auth::Header { name, value } => {
                Self::header(header_name(name)?, joined(&[value.expose()]))
            }
            Auth::Query { name, value } if !name.is_empty() => Ok(Self::Query {
                name: name.clone(),
                value: value.secret().clone(),
            }),
            Auth::Query { .. } => Err(wrong(
                "`SOURCE_AUTH_NAME` takes the name of a query parameter",
            )),
            Auth::Aws(key, scope) => match AwsKey::parse(key.expose()) {
                Ok(key) => Ok(Self::Aws(AwsSigner::new(key, scope.clone()))),
                Err(why) => Err(wrong(&format!("`SOURCE_API_KEY` {why}"))),
            },
        }
    }

    fn header(name: HeaderName, value: Zeroizing<String>) -> Result<Self, Failure> {
        let value = sensitive(value).ok_or_else(|| {
            wrong("`SOURCE_API_KEY` has a character that no header can carry, such as a line break in its file")
        })?;
        Ok(Self::Header(name, value))
    }

    /// True if and only if a request changes by [`Self::put_into`].
    pub(super) fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// True if and only if it is sent as `Authorization`.
    pub(super) fn is_authorization(&self) -> bool {
        match self {
            Self::Header(name, _) => name == AUTHORIZATION,
            Self::Aws(_) => true,
            Self::None | Self::Query { .. } => false,
        }
    }

    /// What signs requests, where that is how the source knows us.
    pub(super) fn aws(&self) -> Option<&AwsSigner> {
        match self {
            Self::Aws(signer) => Some(signer),
            Self::None | Self::Header(..) | Self::Query { .. } => None,
        }
    }

    /// Puts the credential into a request, in place of whatever stood there. `None`: the query would be too long for a URL.
    pub(super) fn put_into(&self, request: &mut request::Parts) -> Option<()> {
        match self {
            Self::None | Self::Aws(_) => {}
            Self::Header(name, value) => {
                let value = match request.headers.get(COOKIE) {
                    // All cookies are in one header.
                    Some(others) if name == COOKIE => with_cookie(others, value)?,
                    _ => value.clone(),
                };
                request.headers.insert(name.clone(), value);
            }
            Self::Query { name, value } => {
                request.uri = with_parameter(&request.uri, name, value.expose())?;
            }
        }
        Some(())
    }
}

fn with_cookie(others: &HeaderValue, ours: &HeaderValue) -> Option<HeaderValue> {
    sensitive(joined(&[others.to_str().ok()?, "; ", ours.to_str().ok()?]))
}

/// A header's value that no `Debug` shows and that is wiped when the last of its clones is dropped; `None`: it has a
/// character that no header can carry.
pub(super) fn sensitive(value: Zeroizing<String>) -> Option<HeaderValue> {
    let is_visible = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
    if !value.bytes().all(is_visible) {
        return None;
    }
    let mut value = HeaderValue::from_maybe_shared(shared(value)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn header_name(name: &str) -> Result<HeaderName, Failure> {
    let header = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| wrong("`SOURCE_AUTH_NAME` takes the name of a header"))?;
    // These two carry credentials; the others of that list would break the request apart, or be believed of somebody else.
    if is_forbidden_header(&header) && header != AUTHORIZATION && header != COOKIE {
        return Err(wrong(
            "`SOURCE_AUTH_NAME` names a header that belongs to HTTP itself or to a proxy: name the one that the source's documentation has",
        ));
    }
    Ok(header)
}

pub(super) fn with_parameter(uri: &Uri, name: &str, value: &str) -> Option<Uri> {
    let is_other = |pair: &&str| {
        form_urlencoded::parse(pair.as_bytes())
            .next()
            .is_some_and(|(given, _)| given != name)
    };
    let others = uri.query().unwrap_or_default().split('&').filter(is_other);
    let (name, value) = (percent_encoded(name), percent_encoded(value));
    let mut parts = vec![uri.path(), "?"];
    for other in others {
        parts.extend([other, "&"]);
    }
    parts.extend([&**name, "=", &**value]);
    // A query stays valid with ASCII added, but `http` takes 65,534 bytes at the most.
    let target = PathAndQuery::from_maybe_shared(shared(joined(&parts))).ok()?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    Some(Uri::from_parts(parts).expect("scheme and authority were there before"))
}

fn wrong(message: &str) -> Failure {
    Failure::new(Outcome::Settings, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(auth: &Auth, url: &str) -> (request::Parts, ()) {
        let mut request = http::Request::get(url).body(()).unwrap().into_parts();
        let credential = Credential::new(auth).unwrap();
        credential.put_into(&mut request.0).unwrap();
        request
    }

    #[test]
    fn a_bearer_token_is_a_sensitive_header() {
        let (request, ()) = sent(&Auth::Bearer("t0ken".into()), "https://a.example/x");

        assert_eq!(request.headers[AUTHORIZATION], "Bearer t0ken");
        assert!(!format!("{:?}", request.headers).contains("t0ken"));
    }

    #[test]
    fn basic_splits_nothing_and_encodes_both() {
        let (request, ()) = sent(
            &Auth::Basic("Aladdin:open sesame".into()),
            "https://a.example/x",
        );

        assert_eq!(
            request.headers[AUTHORIZATION],
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
    }

    #[test]
    fn a_key_that_is_the_user_of_basic_is_a_secret_without_its_password() {
        let secrets = |pair: &str| -> Vec<String> {
            let secrets = Auth::Basic(pair.into()).secrets();
            secrets.iter().map(|one| one.expose().to_owned()).collect()
        };

        assert_eq!(secrets("sk_test_123:"), ["sk_test_123:", "sk_test_123"]);
        assert_eq!(secrets("sk_test_123:X"), ["sk_test_123:X", "sk_test_123"]);
        assert_eq!(secrets("me:passw0rd"), ["me:passw0rd", "passw0rd"]);
        assert_eq!(secrets(":passw0rd"), [":passw0rd", "passw0rd"]);
    }

    #[test]
    fn a_query_parameter_replaces_the_one_of_that_name_and_is_percent_encoded() {
        let auth = Auth::Query {
            name: "api_key".into(),
            value: "a+b &=é".into(),
        };

        let (request, ()) = sent(&auth, "https://a.example/x?a=1&api%5Fkey=REDACTED&b=%2B");

        assert_eq!(
            request.uri.query(),
            Some("a=1&b=%2B&api_key=a%2Bb%20%26%3D%C3%A9")
        );
    }

    #[test]
    fn a_query_that_would_be_too_long_is_none() {
        let auth = Auth::Query {
            name: "k".into(),
            value: "v".repeat(100).as_str().into(),
        };
        let url = format!("https://a.example/?{}", "x".repeat(65_500));
        let (mut request, ()) = http::Request::get(url).body(()).unwrap().into_parts();

        let put = Credential::new(&auth).unwrap().put_into(&mut request);

        assert_eq!(put, None);
    }

    #[test]
    fn a_query_parameter_stands_alone_where_there_was_no_query() {
        let auth = Auth::Query {
            name: "k".into(),
            value: "v".into(),
        };

        assert_eq!(
            sent(&auth, "https://a.example/x").0.uri,
            "https://a.example/x?k=v"
        );
        assert_eq!(
            sent(&auth, "https://a.example").0.uri,
            "https://a.example/?k=v"
        );
    }

    #[test]
    fn a_key_with_a_line_break_is_refused_without_being_shown() {
        let failure = Credential::new(&Auth::Bearer("t0ken\n".into()))
            .err()
            .unwrap();

        assert_eq!(failure.outcome, Outcome::Settings);
        assert!(failure.message.contains("SOURCE_API_KEY") && !failure.message.contains("t0ken"));
    }

    #[test]
    fn a_key_cannot_be_sent_as_a_header_that_frames_the_request() {
        let auth = |name: &str| Auth::Header {
            name: name.into(),
            value: "v".into(),
        };

        assert!(Credential::new(&auth("Content-Length")).is_err());
        assert!(Credential::new(&auth("not a name")).is_err());
        assert!(Credential::new(&auth("X-API-Key")).is_ok());
    }
}
