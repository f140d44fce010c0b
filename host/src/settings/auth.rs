//! How we say who we are: `SOURCE_AUTH` with what belongs to it, the key for signing, and the client certificate.
//!
//! Which settings belong to which value of `SOURCE_AUTH` is the catalogue's to say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;
use zeroize::Zeroizing;

use crate::egress::{Auth, ClientFiles, Key, OAuth2, SigningKey};
use crate::secret::Secret;
use crate::settings::catalogue::{
    CLIENT_CERT_FILE, CLIENT_KEY_FILE, SOURCE_API_KEY, SOURCE_AUTH, SOURCE_AUTH_NAME,
    SOURCE_CLIENT_ID, SOURCE_CLIENT_SECRET, SOURCE_SCOPE, SOURCE_SIGNING_ALGORITHM,
    SOURCE_SIGNING_KEY, SOURCE_SIGNING_KEY_FORMAT, SOURCE_TOKEN_AUTH, SOURCE_TOKEN_URL, Setting,
};
use crate::settings::inputs::{Inputs, Problem};

/// `SOURCE_AUTH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Bearer …`.
    Bearer,
    /// A header.
    Header,
    /// A query parameter.
    Query,
    /// `Authorization: Basic …`.
    Basic,
    /// A token that is fetched.
    OAuth2,
}

impl Scheme {
    /// Reads `SOURCE_AUTH`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "bearer" => Ok(Self::Bearer),
            "header" => Ok(Self::Header),
            "query" => Ok(Self::Query),
            "basic" => Ok(Self::Basic),
            "oauth2" => Ok(Self::OAuth2),
            _ => Err("takes `bearer`, `header`, `query`, `basic` or `oauth2`".to_owned()),
        }
    }
}

/// How requests to the source are authorized; not at all where that is said, or what is said cannot be used.
pub(super) fn auth(inputs: &Inputs, problems: &mut Vec<Problem>) -> Auth {
    let Some(scheme) = scheme(inputs, problems) else {
        return Auth::None;
    };
    let name = inputs.parsed(&SOURCE_AUTH_NAME, problems);
    if scheme == Scheme::OAuth2 {
        return oauth2(inputs, problems).map_or(Auth::None, Auth::OAuth2);
    }
    let Some(key) = key(inputs, &SOURCE_API_KEY, problems) else {
        return Auth::None;
    };
    match scheme {
        Scheme::Bearer => Auth::Bearer(key),
        Scheme::Header => Auth::Header {
            name: name.unwrap_or_else(|| "X-API-Key".to_owned()),
            value: key,
        },
        Scheme::Query => Auth::Query {
            name: name.unwrap_or_else(|| "api_key".to_owned()),
            value: key,
        },
        Scheme::Basic if key.expose().contains(':') => Auth::Basic(key),
        Scheme::Basic | Scheme::OAuth2 => {
            problems.push(Problem {
                setting: SOURCE_API_KEY.row.name.to_owned(),
                message:
                    "takes `user:password` with SOURCE_AUTH=basic; where a key is the user, `key:`"
                        .to_owned(),
                origin: inputs.origin(&SOURCE_AUTH.row),
            });
            Auth::None
        }
    }
}

/// A secret by which the source knows us, with the file that it came from.
fn key(
    inputs: &Inputs,
    setting: &'static Setting<Secret>,
    problems: &mut Vec<Problem>,
) -> Option<Key> {
    let value = inputs.parsed(setting, problems)?;
    Some(Key::new(value, inputs.secret_file(setting)))
}

fn scheme(inputs: &Inputs, problems: &mut Vec<Problem>) -> Option<Scheme> {
    let before = problems.len();
    let given = inputs.parsed(&SOURCE_AUTH, problems);
    match given {
        None if problems.len() > before => None,
        None => (SOURCE_AUTH.parse)(SOURCE_AUTH.row.default).ok(),
        given => given,
    }
}

/// All that OAuth2 needs. Reports every problem except missing settings.
fn oauth2(inputs: &Inputs, problems: &mut Vec<Problem>) -> Option<OAuth2> {
    let token_url = inputs.parsed(&SOURCE_TOKEN_URL, problems);
    let client_id = inputs.parsed(&SOURCE_CLIENT_ID, problems);
    let client_secret = key(inputs, &SOURCE_CLIENT_SECRET, problems);
    let scope = inputs.parsed(&SOURCE_SCOPE, problems);
    let sent_in = inputs.parsed_or_default(&SOURCE_TOKEN_AUTH, problems);
    Some(OAuth2 {
        token_url: token_url?,
        client_id: client_id?,
        client_secret: client_secret?,
        scope,
        sent_in,
    })
}

/// `SOURCE_SIGNING_KEY_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFormat {
    /// The bytes of the text are the key.
    Text,
    /// RFC 4648, section 4.
    Base64,
    /// Two digits a byte.
    Hex,
}

impl KeyFormat {
    /// Reads `SOURCE_SIGNING_KEY_FORMAT`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "base64" => Ok(Self::Base64),
            "hex" => Ok(Self::Hex),
            _ => Err("takes `text`, `base64` or `hex`".to_owned()),
        }
    }

    /// The key that is written like this. `Err` completes a sentence that begins with the setting's name, and shows nothing of it.
    fn key(self, text: &Secret) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        let text = text.expose();
        match self {
            Self::Text => Ok(Zeroizing::new(text.as_bytes().to_vec())),
            Self::Base64 => (STANDARD.decode(text).map(Zeroizing::new))
                .map_err(|_| "is not base64, as SOURCE_SIGNING_KEY_FORMAT says it is"),
            Self::Hex => of_hex(text).ok_or("is not hex, as SOURCE_SIGNING_KEY_FORMAT says it is"),
        }
    }
}

fn of_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(nibble(*high)? << 4 | nibble(*low)?).ok(),
        _ => None,
    };
    // Of its size from the beginning: a list that grows leaves copies behind.
    let mut key = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    for pair in text.as_bytes().chunks(2) {
        key.push(byte(pair)?);
    }
    Some(key)
}

/// The key with which requests are signed, if there is one.
pub(super) fn signing(inputs: &Inputs, problems: &mut Vec<Problem>) -> Option<SigningKey> {
    let algorithm = inputs.parsed_or_default(&SOURCE_SIGNING_ALGORITHM, problems);
    let format = inputs.parsed_or_default(&SOURCE_SIGNING_KEY_FORMAT, problems);
    let text = inputs.parsed(&SOURCE_SIGNING_KEY, problems)?;
    match format.key(&text) {
        Ok(key) => Some(SigningKey::new(algorithm, &key, text)),
        Err(message) => {
            problems.push(Problem {
                setting: SOURCE_SIGNING_KEY.row.name.to_owned(),
                message: message.to_owned(),
                origin: inputs.origin(&SOURCE_SIGNING_KEY.row),
            });
            None
        }
    }
}

/// The client certificate: both files or none, and somebody to show it to.
pub(super) fn client_files(
    inputs: &Inputs,
    source: Option<&Url>,
    auth: &Auth,
    problems: &mut Vec<Problem>,
) -> Option<ClientFiles> {
    let certificates = inputs.parsed(&CLIENT_CERT_FILE, problems);
    let key = inputs.parsed(&CLIENT_KEY_FILE, problems);
    // That one is missing is a rule of the catalogue.
    let (certificates, key) = certificates.zip(key)?;
    let tokens = match auth {
        Auth::OAuth2(oauth2) => Some(&oauth2.token_url),
        _ => None,
    };
    let mut urls = source.into_iter().chain(tokens);
    if source.is_some() && urls.all(|url| url.scheme() == "http") {
        problems.push(Problem::new(
            CLIENT_CERT_FILE.row.name,
            "has no effect over plain http: use https in SOURCE_API_URL, or remove it",
        ));
        return None;
    }
    Some(ClientFiles { certificates, key })
}
