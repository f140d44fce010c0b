//! OAuth2 (RFC 6749): as whom a token is asked for, by which grant, and how the client is known.

use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;
use http_body_util::Full;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::assertion::{self, AssertionKey};
use super::post;
use crate::egress::credential::{pair_secrets, sensitive};
use crate::egress::key::Key;
use crate::given_file::rotated::RotatedFile;
use crate::log::Log;
use crate::secret::{Secret, base64, joined, shared};

/// Who asks whom for tokens, and how.
#[derive(Debug, Clone)]
pub struct OAuth2 {
    /// `SOURCE_TOKEN_URL`.
    pub token_url: Url,
    /// `SOURCE_CLIENT_ID`.
    pub client_id: String,
    /// `SOURCE_TOKEN_AUTH`, with what belongs to it.
    pub client: ClientAuth,
    /// `SOURCE_TOKEN_GRANT`, with what belongs to it.
    pub grant: Grant,
    /// `SOURCE_SCOPE`.
    pub scope: Option<String>,
    /// `SOURCE_TOKEN_PARAMS`.
    pub params: Vec<(String, String)>,
}

/// How the token endpoint knows the client.
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// By its id alone.
    Public,
    /// `Authorization: Basic …`, which every server must take.
    Header(Key),
    /// `client_secret` in the form.
    Body(Key),
    /// `private_key_jwt`.
    Signed(AssertionKey),
}

/// On whose behalf a token is asked for.
#[derive(Debug, Clone)]
pub enum Grant {
    /// The client's own (4.4).
    Client,
    /// A user's, by `user:password` (4.3).
    Password(Key),
    /// A user's, who agreed to it once (6).
    Refresh(RefreshToken),
}

/// A refresh token. The server may give out another one each time, and no longer take this one.
#[derive(Debug, Clone)]
pub struct RefreshToken {
    pub token: Secret,
    /// Where the next one is kept.
    pub file: Option<RotatedFile>,
}

/// Where a request for a token carries id and secret (`SOURCE_TOKEN_AUTH`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentIn {
    Header,
    Body,
    /// The secret is not sent, nor is there one: a private key signs.
    Assertion,
}

impl OAuth2 {
    /// What must not come back: the secrets, and the pair that a header is made of.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let of_client = match &self.client {
            ClientAuth::Public | ClientAuth::Signed(_) => Vec::new(),
            ClientAuth::Header(key) | ClientAuth::Body(key) => {
                let pair = Secret::from(&**self.pair(key));
                vec![key.secret().clone(), pair]
            }
        };
        let of_grant = match &self.grant {
            Grant::Client => Vec::new(),
            Grant::Password(pair) => pair_secrets(pair),
            Grant::Refresh(refresh) => vec![refresh.token.clone()],
        };
        of_client.into_iter().chain(of_grant).collect()
    }

    /// Reads again what came from files; true if and only if any of it changed.
    pub(super) async fn read_again(&mut self, log: &Log) -> bool {
        let mut changed = false;
        let client = match &mut self.client {
            ClientAuth::Header(key) | ClientAuth::Body(key) => Some(key),
            ClientAuth::Public | ClientAuth::Signed(_) => None,
        };
        let user = match &mut self.grant {
            Grant::Password(pair) => Some(pair),
            Grant::Client | Grant::Refresh(_) => None,
        };
        for key in client.into_iter().chain(user) {
            if let Some(other) = key.read_again(log).await {
                *key = other;
                changed = true;
            }
        }
        changed
    }

    /// The refresh token, where one is used.
    pub(super) fn refresh_token(&mut self) -> Option<&mut RefreshToken> {
        match &mut self.grant {
            Grant::Refresh(refresh) => Some(refresh),
            Grant::Client | Grant::Password(_) => None,
        }
    }

    /// The settings to look at when it is refused.
    pub(super) fn settings(&self) -> &'static str {
        match (&self.grant, &self.client) {
            (Grant::Refresh(_), _) => {
                "SOURCE_REFRESH_TOKEN, SOURCE_CLIENT_ID and SOURCE_TOKEN_AUTH"
            }
            (Grant::Password(_), _) => "SOURCE_API_KEY, SOURCE_CLIENT_ID and SOURCE_TOKEN_AUTH",
            (Grant::Client, ClientAuth::Signed(_)) => {
                "SOURCE_CLIENT_ID, SOURCE_TOKEN_KEY and this machine's clock"
            }
            (Grant::Client, _) => "SOURCE_CLIENT_ID, SOURCE_CLIENT_SECRET and SOURCE_TOKEN_AUTH",
        }
    }

    /// RFC 6749, 2.3.1: both are encoded as in a form before they become user and password.
    fn pair(&self, secret: &Key) -> Zeroizing<String> {
        let (id, secret) = (&self.client_id, secret.expose());
        // Each byte becomes three at most.
        let mut pair = Zeroizing::new(String::with_capacity(3 * (id.len() + secret.len()) + 1));
        pair.extend(form_urlencoded::byte_serialize(id.as_bytes()));
        pair.push(':');
        pair.extend(form_urlencoded::byte_serialize(secret.as_bytes()));
        pair
    }

    /// `Err`: the URL is none that HTTP can carry, or no assertion can be made.
    pub(super) fn request(&self) -> Result<Request<Full<Bytes>>, String> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        let mut add = |name, value| pairs.push((name, value));
        match &self.grant {
            Grant::Client => add("grant_type", "client_credentials"),
            Grant::Password(pair) => {
                let (user, password) = pair.expose().split_once(':').unwrap_or_default();
                add("grant_type", "password");
                add("username", user);
                add("password", password);
            }
            Grant::Refresh(refresh) => {
                add("grant_type", "refresh_token");
                add("refresh_token", refresh.token.expose());
            }
        }
        if let Some(scope) = &self.scope {
            add("scope", scope);
        }
        let assertion = match &self.client {
            ClientAuth::Signed(key) => {
                let now = jiff::Timestamp::now().as_second();
                key.assertion(&self.client_id, self.token_url.as_str(), now)?
            }
            _ => String::new(),
        };
        match &self.client {
            ClientAuth::Header(_) => {}
            ClientAuth::Public => add("client_id", &self.client_id),
            ClientAuth::Body(secret) => {
                add("client_id", &self.client_id);
                add("client_secret", secret.expose());
            }
            ClientAuth::Signed(_) => {
                add("client_id", &self.client_id);
                add("client_assertion_type", assertion::KIND);
                add("client_assertion", &assertion);
            }
        }
        for (name, value) in &self.params {
            add(name, value);
        }
        // Each byte becomes three at most, and `=` and `&` are added: the text does not grow, which would leave copies.
        let bytes = pairs
            .iter()
            .map(|(name, value)| 3 * (name.len() + value.len()) + 2);
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(bytes.sum()));
        form.extend_pairs(&pairs);
        let mut request = post(&self.token_url, "application/x-www-form-urlencoded");
        if let ClientAuth::Header(secret) = &self.client {
            let basic = joined(&["Basic ", &base64(&self.pair(secret))]);
            request = request.header(AUTHORIZATION, sensitive(basic).expect("base64 is ASCII"));
        }
        let body = Full::new(shared(Zeroizing::new(form.finish())));
        request.body(body).map_err(|error| error.to_string())
    }
}
