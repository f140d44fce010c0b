//! Tokens that are fetched: an access token of OAuth2, or the session token of a login. One is kept for the run, and never
//! handed out.
//!
//! The URL that gives them out has connections of its own, which nothing but the request for a token can use: a component gets
//! no nearer to it than to any other origin. One request at a time; whoever needs the token meanwhile waits for it. A
//! definite refusal is remembered and not asked for again; after a passing failure the component may try again.

mod answer;
mod assertion;
mod hidden;
mod login;
mod oauth2;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, request};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;
use zeroize::Zeroize as _;

pub use self::assertion::AssertionKey;
pub use self::login::{Login, LoginBody, PASSWORD, SendAs, TOKEN, TokenIn, USER};
pub use self::oauth2::{ClientAuth, Grant, OAuth2, RefreshToken, SentIn};

use self::answer::{Granted, InPlace};
use self::hidden::Hidden;
use super::client::{Client, Incoming, innermost};
use super::credential::{Credential, sensitive};
use super::echo::Echoes;
use super::headers::{Encoding, encoding};
use super::{EgressError, Origin};
use crate::given_file::rotated::Held;
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Failure, Outcome};
use crate::secret::{Learned, Secret, joined};

/// A token is fetched anew so long before it expires: it may be on its way when it does, and clocks differ.
const SAFETY_MARGIN: Duration = Duration::from_secs(30);
/// An access token, or a cookie, that is shorter is not hidden in the log.
pub(super) const LEARNED_BYTES_MIN: usize = 8;
/// Between two looks at a file that another process holds.
const HELD_PAUSE: Duration = Duration::from_millis(50);

/// Who gives out tokens, and as whom it is asked.
#[derive(Debug, Clone)]
pub enum Issuer {
    /// `SOURCE_AUTH=oauth2`.
    OAuth2(OAuth2),
    /// `SOURCE_AUTH=login`.
    Login(Login),
}

impl Issuer {
    /// Where it is asked.
    pub fn url(&self) -> &Url {
        match self {
            Self::OAuth2(oauth2) => &oauth2.token_url,
            Self::Login(login) => &login.url,
        }
    }

    /// The origin of that.
    pub fn origin(&self) -> Option<Origin> {
        Origin::of(self.url())
    }

    /// The names for an error: of the setting with the URL, and of those to check.
    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::OAuth2(oauth2) => answer::words(oauth2),
            Self::Login(_) => Login::words(),
        }
    }

    /// What must not come back.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::OAuth2(oauth2) => oauth2.secrets(),
            Self::Login(login) => login.secrets(),
        }
    }

    /// The header that a token is sent as.
    pub(super) fn header(&self) -> Option<HeaderName> {
        match self {
            Self::OAuth2(_) => Some(AUTHORIZATION),
            Self::Login(login) => login.header(),
        }
    }

    /// The header that no component sees in an answer.
    pub(super) fn header_of_answers(&self) -> Option<&HeaderName> {
        match self {
            Self::OAuth2(_) => None,
            Self::Login(login) => login.header_of_answers(),
        }
    }

    fn refresh_token(&mut self) -> Option<&mut RefreshToken> {
        match self {
            Self::OAuth2(oauth2) => oauth2.refresh_token(),
            Self::Login(_) => None,
        }
    }

    /// Reads again what came from files; true if and only if any of it changed.
    async fn read_again(&mut self, log: &Log) -> bool {
        match self {
            Self::OAuth2(oauth2) => oauth2.read_again(log).await,
            Self::Login(login) => match login.pair.read_again(log).await {
                Some(pair) => {
                    login.pair = pair;
                    true
                }
                None => false,
            },
        }
    }

    /// `Err`: the URL is none that HTTP can carry, or the request cannot be signed.
    fn request(&self) -> Result<Request<Full<Bytes>>, String> {
        match self {
            Self::OAuth2(oauth2) => oauth2.request(),
            Self::Login(login) => login.request(),
        }
    }

    fn read(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Answered {
        match self {
            Self::OAuth2(oauth2) => Answered {
                refresh: answer::refresh_token(status, body),
                verdict: answer::read(status, body, oauth2),
            },
            Self::Login(login) => Answered {
                refresh: None,
                verdict: login.read(status, headers, body),
            },
        }
    }

    /// The token as it is sent; none: it has a character that no header can carry.
    fn credential(&self, token: &Secret) -> Option<Credential> {
        match self {
            Self::OAuth2(_) => {
                let value = sensitive(joined(&["Bearer ", token.expose()]))?;
                Some(Credential::Header(AUTHORIZATION, value))
            }
            Self::Login(login) => login.credential(token),
        }
    }

    /// Warns of secrets that everybody on the way can read.
    fn warn_of_plain(&self, log: &Log, origin: &Origin) {
        let fields = json!({"origin": origin.to_string()});
        match self {
            Self::OAuth2(_) => log.warn(
                "client secret sent over plain http: anyone on the network path can read it; use https in SOURCE_TOKEN_URL",
                fields,
            ),
            Self::Login(_) => log.warn(
                "password sent over plain http: anyone on the network path can read it; use https in SOURCE_LOGIN_URL",
                fields,
            ),
        }
    }
}

/// How many tokens are asked for.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// One token that is asked for, until this is dropped.
struct UnderWay;

impl UnderWay {
    fn begin() -> Self {
        UNDER_WAY.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits until no token is asked for any more, at most so long. At the end of a run: the answer may have the next refresh
/// token, and nobody else has it.
pub fn wait_for_tokens(limit: Duration) {
    let begun = std::time::Instant::now();
    while UNDER_WAY.load(Ordering::SeqCst) > 0 && begun.elapsed() < limit {
        std::thread::sleep(HELD_PAUSE);
    }
}

/// The beginning of a request to whoever gives out tokens, whose body is of this kind.
fn post(url: &Url, kind: &str) -> request::Builder {
    let target = &url[url::Position::BeforeHost..url::Position::AfterQuery];
    Request::post(format!("{}://{target}", url.scheme()))
        .header(ACCEPT, "application/json")
        .header(ACCEPT_ENCODING, "identity")
        .header(CONTENT_TYPE, kind)
        .header(USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")))
}

/// What an answer has.
struct Answered {
    /// The refresh token to use next time.
    refresh: Option<Secret>,
    verdict: Result<Granted, InPlace>,
}

/// One token, ready to be sent.
pub(super) struct Token {
    credential: Credential,
    /// From then on another one is fetched; `None`: never, unless the source refuses this one.
    stale_from: Option<Instant>,
    /// The runs for which it was fetched because the source refused the one before, and was refused as well.
    no_better_for: Refused,
}

/// Runs, by their number among those that have tokens in common.
type Refused = std::sync::Mutex<BTreeSet<usize>>;

impl Token {
    /// Puts the token into a request. `None`: the query would be too long for a URL.
    pub(super) fn put_into(&self, request: &mut request::Parts) -> Option<()> {
        self.credential.put_into(request)
    }

    /// True if and only if a new token may help this run against this answer. Where one did not, no other is fetched for it
    /// until it expires: what is refused then is the request, and a component could have the login asked without end.
    pub(super) fn is_worth_renewing(&self, status: StatusCode, run: usize) -> bool {
        status == StatusCode::UNAUTHORIZED && !self.refused().contains(&run)
    }

    /// Remembers the answer to a request of this run that was sent again with this token.
    pub(super) fn tried_again(&self, status: StatusCode, run: usize) {
        if status == StatusCode::UNAUTHORIZED {
            self.refused().insert(run);
        } else {
            self.refused().remove(&run);
        }
    }

    fn refused(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        let refused = self.no_better_for.lock();
        refused.unwrap_or_else(PoisonError::into_inner)
    }

    fn is_fresh(&self) -> bool {
        self.stale_from.is_none_or(|then| Instant::now() < then)
    }
}

/// The token of one run, or of several that have it in common: what one renews, the others use.
pub(super) struct Tokens {
    origin: String,
    client: Client,
    /// From whom tokens and keys are hidden.
    hidden: Hidden,
    log: Log,
    timeout: Duration,
    bytes_max: usize,
    /// `SOURCE_TOKEN_URL`, say.
    setting: &'static str,
    kept: Mutex<Kept>,
}

struct Kept {
    /// As whom tokens are asked for now.
    issuer: Issuer,
    token: Option<Arc<Token>>,
    /// Why the last request for one failed, and when.
    failed: Option<(Instant, EgressError)>,
}

impl Tokens {
    /// Tokens that come over `client`, which reaches `origin` and nothing else. `Err`: nothing can be asked there.
    pub(super) fn new(
        issuer: Issuer,
        origin: &Origin,
        client: Client,
        log: Log,
        limits: &Limits,
    ) -> Result<Self, Failure> {
        let setting = issuer.words().0;
        issuer.request().map_err(|error| {
            Failure::new(
                Outcome::Settings,
                format!("`{setting}` cannot be asked: {error}"),
            )
        })?;
        if client.policy().is_plain_on_the_network(origin) {
            issuer.warn_of_plain(&log, origin);
        }
        Ok(Self {
            origin: origin.to_string(),
            client,
            hidden: Hidden::default(),
            log,
            timeout: limits.token_timeout,
            bytes_max: limits.token_bytes,
            setting,
            kept: Mutex::new(Kept {
                issuer,
                token: None,
                failed: None,
            }),
        })
    }

    /// Hides from these, too, what is secret of the tokens, now and later: before a token is used there. The number of that
    /// run.
    pub(super) fn hide_from(&self, echoes: &Arc<Echoes>, log: &Log) -> usize {
        self.hidden.from(echoes, log)
    }

    /// A token that has not expired and is not the one that was `refused` to this run: the kept one, or a new one.
    ///
    /// Whoever asks may be gone before the answer comes, as a component that drops its request. The answer may have the next
    /// refresh token, so it is waited for all the same: see [`wait_for_tokens`].
    pub(super) async fn token(
        self: &Arc<Self>,
        refused: Option<(&Arc<Token>, usize)>,
    ) -> Result<Arc<Token>, EgressError> {
        let own = Arc::clone(self);
        let refused = refused.map(|(token, run)| (Arc::clone(token), run));
        let under_way = UnderWay::begin();
        let asked = tokio::spawn(async move {
            let token = own.kept_or_new(refused.as_ref()).await;
            drop(under_way);
            token
        });
        let ended = asked.await;
        ended.unwrap_or_else(|_| Err(self.unavailable("the request was given up".to_owned())))
    }

    async fn kept_or_new(
        &self,
        refused: Option<&(Arc<Token>, usize)>,
    ) -> Result<Arc<Token>, EgressError> {
        let asked = Instant::now();
        let mut kept = self.kept.lock().await;
        if let Some((at, error)) = &kept.failed
            && (error.is_final() || *at >= asked)
        {
            return Err(error.clone());
        }
        let usable = |token: &&Arc<Token>| {
            token.is_fresh() && refused.is_none_or(|(refused, _)| !Arc::ptr_eq(refused, token))
        };
        if let Some(token) = kept.token.as_ref().filter(usable) {
            return Ok(token.clone());
        }
        kept.token = None;
        match self.fetch_as(&mut kept.issuer).await {
            Ok(token) => {
                // Until the source takes it: a component could have the login asked without end.
                if let Some((before, run)) = refused {
                    token.refused().clone_from(&before.refused());
                    token.refused().insert(*run);
                }
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
    async fn fetch_as(&self, issuer: &mut Issuer) -> Result<Token, EgressError> {
        let fetched = self.fetch(issuer).await;
        let Err(EgressError::CredentialRefused { .. }) = fetched else {
            return fetched;
        };
        if !issuer.read_again(&self.log).await {
            return fetched;
        }
        for secret in issuer.secrets() {
            self.learn_key(&secret);
        }
        self.fetch(issuer).await
    }

    /// Asks for a token. A refresh token that came with it is kept before the token is used: the old one may be void then.
    async fn fetch(&self, issuer: &mut Issuer) -> Result<Token, EgressError> {
        let held = self.hold(issuer).await?;
        let asked = Instant::now();
        let granted = self.granted(issuer, asked).await?;
        // Before the rest is judged: the server may have made the old one void, whatever else it says.
        if let (Some(next), Some(refresh)) = (&granted.refresh, issuer.refresh_token())
            && next.expose() != refresh.token.expose()
        {
            self.learn_key(next);
            self.keep(next, held.as_ref())?;
            refresh.token = next.clone();
        }
        drop(held);
        let granted = granted
            .verdict
            .map_err(|unread| unread.of(&self.origin, self.setting))?;
        let token = self.ready(issuer, &granted, asked)?;
        self.log.info(
            "access token fetched",
            json!({
                "origin": self.origin,
                "expires_in_seconds": granted.lifetime.map(|lifetime| lifetime.as_secs()),
            }),
        );
        Ok(token)
    }

    /// The file of a refresh token, held until the next one is in it. It has the token that counts: another run may have
    /// replaced it. What keeps it from being replaced fails here, where nothing is lost.
    async fn hold(&self, issuer: &mut Issuer) -> Result<Option<Held>, EgressError> {
        let Some(refresh) = issuer.refresh_token() else {
            return Ok(None);
        };
        let Some(file) = refresh.file.clone() else {
            return Ok(None);
        };
        let shown = file.path().display().to_string();
        let unusable = |why: String| EgressError::TokenNotKept {
            origin: self.origin.clone(),
            reason: format!(
                "the refresh token's file `{shown}` cannot be rewritten: {why}; no token was asked for, and the one in it is unchanged"
            ),
        };
        let patience = Instant::now() + self.timeout;
        let held = loop {
            if let Some(held) = file.hold().map_err(unusable)? {
                break held;
            }
            if Instant::now() >= patience {
                return Err(self.unavailable(format!(
                    "another process has used the refresh token's file `{shown}` for {:?}",
                    self.timeout
                )));
            }
            sleep(HELD_PAUSE).await;
        };
        let now = held.read().map_err(unusable)?;
        held.replace(&now).map_err(unusable)?;
        if now.expose() != refresh.token.expose() {
            self.learn_key(&now);
            refresh.token = now;
        }
        Ok(Some(held))
    }

    /// Keeps the refresh token that replaces the one that was sent.
    fn keep(&self, next: &Secret, held: Option<&Held>) -> Result<(), EgressError> {
        let lost = "the new one is lost, and the old one is probably void: authorize again";
        let Some(held) = held else {
            return Err(EgressError::CredentialRefused {
                origin: self.origin.clone(),
                reason: format!(
                    "it replaced the refresh token, and SOURCE_REFRESH_TOKEN is in no file that could keep the new one: {lost}, write the refresh token into a file of its own, and name that in SOURCE_REFRESH_TOKEN_FILE"
                ),
            });
        };
        let kept = held.replace(next);
        let kept = kept.or_else(|why| held.write_over(next).map_err(|_| why));
        kept.map_err(|why| EgressError::TokenNotKept {
            origin: self.origin.clone(),
            reason: format!(
                "it replaced the refresh token, and its file cannot be rewritten: {why}; {lost}, and write the refresh token into SOURCE_REFRESH_TOKEN_FILE"
            ),
        })?;
        self.log.info(
            "refresh token replaced in its file",
            json!({"origin": self.origin}),
        );
        Ok(())
    }

    /// From here on nobody sees it.
    fn learn_key(&self, secret: &Secret) {
        self.hidden.learn(secret, Learned::Key);
    }

    async fn granted(&self, issuer: &Issuer, asked: Instant) -> Result<Answered, EgressError> {
        let deadline = asked + self.timeout;
        let request = issuer.request().map_err(|why| self.bad(&why))?;
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
        let (status, headers) = (answer.status(), answer.headers().clone());
        match (self.whole(answer, deadline).await, status) {
            (Ok(body), _) => {
                let granted = issuer.read(status, &headers, &body);
                // It has the token in it.
                if let Ok(mut body) = body.try_into_mut() {
                    body.zeroize();
                }
                Ok(granted)
            }
            // Its text does not matter: the status says enough.
            (Err(_), status) if !status.is_success() => {
                let in_place = answer::in_place(status, None, issuer.words());
                Err(in_place.of(&self.origin, self.setting))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The token as it is sent; from here on nobody sees it.
    fn ready(
        &self,
        issuer: &Issuer,
        granted: &Granted,
        asked: Instant,
    ) -> Result<Token, EgressError> {
        self.hidden.learn(&granted.token, Learned::Token);
        let credential = (issuer.credential(&granted.token))
            .ok_or_else(|| self.bad("it has a character that no header can carry"))?;
        let stale_from = granted
            .lifetime
            .map(|lifetime| asked + lifetime - SAFETY_MARGIN.min(lifetime / 2));
        Ok(Token {
            credential,
            stale_from,
            no_better_for: Refused::default(),
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
        EgressError::TokenUnavailable {
            origin,
            setting: self.setting,
            reason,
        }
    }

    fn bad(&self, reason: &str) -> EgressError {
        EgressError::BadToken {
            origin: self.origin.clone(),
            setting: self.setting,
            reason: reason.to_owned(),
        }
    }
}
