//! OAuth2 client credentials (RFC 6749, 4.4): the access token is fetched here, kept for the run, and never handed out.
//!
//! `SOURCE_TOKEN_URL` has connections of its own, which nothing but the request for a token can use: a component gets
//! no nearer to it than to any other origin. One request at a time; whoever needs the token meanwhile waits for it. A
//! definite refusal is remembered and not asked for again; after a passing failure the component may try again.

mod answer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode, request};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use url::{Url, form_urlencoded};
use zeroize::{Zeroize as _, Zeroizing};

use self::answer::Granted;
use super::client::{Client, Incoming, innermost};
use super::credential::sensitive;
use super::echo::Echoes;
use super::headers::{Encoding, encoding};
use super::key::Key;
use super::{EgressError, Origin};
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::secret::{Learned, Secret, base64, joined, shared};

/// A token is fetched anew so long before it expires: it may be on its way when it does, and clocks differ.
const SAFETY_MARGIN: Duration = Duration::from_secs(30);
/// An access token, or a cookie, that is shorter is not hidden in the log.
pub(super) const LEARNED_BYTES_MIN: usize = 8;

/// Who asks whom for tokens, and how.
#[derive(Debug, Clone)]
pub struct OAuth2 {
    /// `SOURCE_TOKEN_URL`.
    pub token_url: Url,
    /// `SOURCE_CLIENT_ID`.
    pub client_id: String,
    /// `SOURCE_CLIENT_SECRET`.
    pub client_secret: Key,
    /// `SOURCE_SCOPE`.
    pub scope: Option<String>,
    /// `SOURCE_TOKEN_AUTH`.
    pub sent_in: SentIn,
}

/// Where a request for a token carries id and secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentIn {
    /// `Authorization: Basic …`, which every server must take.
    Header,
    Body,
}

impl OAuth2 {
    /// Where tokens come from.
    pub fn origin(&self) -> Option<Origin> {
        Origin::of(&self.token_url)
    }

    /// What must not come back: the secret, and the pair that the header is made of.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        vec![
            self.client_secret.secret().clone(),
            Secret::from(&**self.pair()),
        ]
    }

    /// RFC 6749, 2.3.1: both are encoded as in a form before they become user and password.
    fn pair(&self) -> Zeroizing<String> {
        let (id, secret) = (&self.client_id, self.client_secret.expose());
        // Each byte becomes three at most.
        let mut pair = Zeroizing::new(String::with_capacity(3 * (id.len() + secret.len()) + 1));
        pair.extend(form_urlencoded::byte_serialize(id.as_bytes()));
        pair.push(':');
        pair.extend(form_urlencoded::byte_serialize(secret.as_bytes()));
        pair
    }

    /// `Err`: the URL is none that HTTP can carry.
    fn request(&self) -> http::Result<Request<Full<Bytes>>> {
        let scope_bytes = self.scope.as_ref().map_or(0, String::len);
        let bytes_max =
            3 * (self.client_id.len() + self.client_secret.expose().len() + scope_bytes) + 128;
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(bytes_max));
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = &self.scope {
            form.append_pair("scope", scope);
        }
        if self.sent_in == SentIn::Body {
            form.append_pair("client_id", &self.client_id);
            form.append_pair("client_secret", self.client_secret.expose());
        }
        let target = &self.token_url[url::Position::BeforeHost..url::Position::AfterQuery];
        let mut request = Request::post(format!("{}://{target}", self.token_url.scheme()))
            .header(ACCEPT, "application/json")
            .header(ACCEPT_ENCODING, "identity")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")));
        if self.sent_in == SentIn::Header {
            let basic = joined(&["Basic ", &base64(&self.pair())]);
            request = request.header(AUTHORIZATION, sensitive(basic).expect("base64 is ASCII"));
        }
        request.body(Full::new(shared(Zeroizing::new(form.finish()))))
    }
}

/// One access token, ready to be sent.
pub(super) struct Token {
    header: HeaderValue,
    /// From then on another one is fetched; `None`: never, unless the source refuses this one.
    stale_from: Option<Instant>,
    /// It was fetched because the source refused the one before, and was refused as well.
    is_no_better: AtomicBool,
}

impl Token {
    /// Puts the token into a request.
    pub(super) fn put_into(&self, request: &mut request::Parts) {
        request.headers.insert(AUTHORIZATION, self.header.clone());
    }

    /// True if and only if a new token may help against this answer. Where one did not, no other is fetched until it
    /// expires: what is refused then is the request, and a component could have the login asked without end.
    pub(super) fn is_worth_renewing(&self, status: StatusCode) -> bool {
        status == StatusCode::UNAUTHORIZED && !self.is_no_better.load(Ordering::Relaxed)
    }

    /// Remembers the answer to a request that was sent again with this token.
    pub(super) fn tried_again(&self, status: StatusCode) {
        let is_no_better = status == StatusCode::UNAUTHORIZED;
        self.is_no_better.store(is_no_better, Ordering::Relaxed);
    }

    fn is_fresh(&self) -> bool {
        self.stale_from.is_none_or(|then| Instant::now() < then)
    }
}

/// The access token of one run.
pub(super) struct Tokens {
    origin: String,
    client: Client,
    echoes: Arc<Echoes>,
    log: Log,
    timeout: Duration,
    bytes_max: usize,
    kept: Mutex<Kept>,
}

struct Kept {
    /// As whom tokens are asked for now.
    oauth2: OAuth2,
    token: Option<Arc<Token>>,
    /// Why the last request for one failed, and when.
    failed: Option<(Instant, EgressError)>,
}

impl Tokens {
    /// Tokens that come over `client`, which reaches `origin` and nothing else. `Err`: nothing can be asked there.
    pub(super) fn new(
        oauth2: OAuth2,
        origin: &Origin,
        client: Client,
        (echoes, log): (Arc<Echoes>, Log),
        limits: &Limits,
    ) -> Result<Self, Failure> {
        oauth2.request().map_err(|error| {
            Failure::new(
                Outcome::Settings,
                format!("`SOURCE_TOKEN_URL` cannot be asked: {error}"),
            )
        })?;
        if client.policy().is_plain_on_the_network(origin) {
            log.warn(
                "client secret sent over plain http: anyone on the network path can read it; use https in SOURCE_TOKEN_URL",
                json!({"origin": origin.to_string()}),
            );
        }
        Ok(Self {
            origin: origin.to_string(),
            client,
            echoes,
            log,
            timeout: limits.token_timeout,
            bytes_max: limits.token_bytes,
            kept: Mutex::new(Kept {
                oauth2,
                token: None,
                failed: None,
            }),
        })
    }

    /// A token that has not expired and is not `refused`: the kept one, or a new one.
    pub(super) async fn token(
        &self,
        refused: Option<&Arc<Token>>,
    ) -> Result<Arc<Token>, EgressError> {
        let asked = Instant::now();
        let mut kept = self.kept.lock().await;
        if let Some((at, error)) = &kept.failed
            && (error.is_final() || *at >= asked)
        {
            return Err(error.clone());
        }
        let usable = |token: &&Arc<Token>| {
            token.is_fresh() && refused.is_none_or(|refused| !Arc::ptr_eq(refused, token))
        };
        if let Some(token) = kept.token.as_ref().filter(usable) {
            return Ok(token.clone());
        }
        kept.token = None;
        match self.fetch_as(&mut kept.oauth2).await {
            Ok(token) => {
                let token = Arc::new(token);
                kept.token = Some(token.clone());
                Ok(token)
            }
            Err(error) => {
                self.log.warn(
                    "access token not fetched",
                    json!({"reason": error.to_string()}),
                );
                kept.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Asks for a token, and once more when the secret is refused and its file has another one now.
    async fn fetch_as(&self, oauth2: &mut OAuth2) -> Result<Token, EgressError> {
        let fetched = self.fetch(oauth2).await;
        let Err(EgressError::CredentialRefused { .. }) = fetched else {
            return fetched;
        };
        let Some(client_secret) = oauth2.client_secret.read_again(&self.log).await else {
            return fetched;
        };
        oauth2.client_secret = client_secret;
        for secret in oauth2.secrets() {
            self.log.learn(&secret, Learned::Key);
            self.echoes.learn(&secret, Learned::Key);
        }
        self.fetch(oauth2).await
    }

    async fn fetch(&self, oauth2: &OAuth2) -> Result<Token, EgressError> {
        let asked = Instant::now();
        let deadline = asked + self.timeout;
        let request = oauth2.request().expect("it was made once before");
        let answer = self
            .client
            .exchange(request, &self.origin, (deadline, self.timeout))
            .await
            .map_err(|error| {
                if error.is_final() {
                    error
                } else {
                    self.unavailable(error.to_string())
                }
            })?;
        let status = answer.status();
        let body = self.whole(answer, deadline).await;
        let granted = match (body, status) {
            (Ok(body), _) => {
                let granted = answer::read(status, &body, oauth2);
                // It has the token in it.
                if let Ok(mut body) = body.try_into_mut() {
                    body.zeroize();
                }
                granted.map_err(|unread| unread.of(&self.origin))?
            }
            // Its text does not matter: the status says enough.
            (Err(_), status) if !status.is_success() => {
                return Err(answer::in_place(status, None).of(&self.origin));
            }
            (Err(error), _) => return Err(error),
        };
        let token = self.ready(&granted, asked)?;
        self.log.info(
            "access token fetched",
            json!({
                "origin": self.origin,
                "expires_in_seconds": granted.lifetime.map(|lifetime| lifetime.as_secs()),
            }),
        );
        Ok(token)
    }

    /// The token as it is sent; from here on nobody sees it.
    fn ready(&self, granted: &Granted, asked: Instant) -> Result<Token, EgressError> {
        self.echoes.learn(&granted.token, Learned::Token);
        // A shorter one is no secret: it would only let the token endpoint erase a word of its choice from the log.
        if granted.token.expose().len() >= LEARNED_BYTES_MIN {
            self.log.learn(&granted.token, Learned::Token);
        }
        let header = sensitive(joined(&["Bearer ", granted.token.expose()]))
            .ok_or_else(|| self.bad("it has a character that no header can carry"))?;
        let stale_from = granted
            .lifetime
            .map(|lifetime| asked + lifetime - SAFETY_MARGIN.min(lifetime / 2));
        Ok(Token {
            header,
            stale_from,
            is_no_better: AtomicBool::new(false),
        })
    }

    async fn whole(
        &self,
        answer: Response<Incoming>,
        deadline: Instant,
    ) -> Result<Bytes, EgressError> {
        if encoding(answer.headers()) != Ok(Encoding::Identity) {
            return Err(self.bad("its answer has a content-encoding, and none was asked for"));
        }
        let capped = Limited::new(answer.into_body(), self.bytes_max);
        match timeout_at(deadline, capped.collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(self.bad(&format!(
                "its answer has more than {} bytes",
                self.bytes_max
            ))),
            Ok(Err(error)) => Err(self.unavailable(format!(
                "the answer broke off: {}",
                innermost(error.as_ref())
            ))),
            Err(_) => Err(self.unavailable(format!(
                "the answer was not complete within {:?}",
                self.timeout
            ))),
        }
    }

    fn unavailable(&self, reason: String) -> EgressError {
        let origin = self.origin.clone();
        EgressError::TokenUnavailable { origin, reason }
    }

    fn bad(&self, reason: &str) -> EgressError {
        EgressError::BadToken {
            origin: self.origin.clone(),
            reason: reason.to_owned(),
        }
    }
}
