//! Egress: the only way out to the network, and the only code that holds the source's credential.
//!
//! It takes a request and returns a response stream, and knows nothing of the engine. It decides whether the request may
//! go out, adds the credential, dials only addresses that were checked, caps and decodes the answer, and keeps its own
//! record of what was refused. Retries, redirects and the meaning of an answer are the component's.
//! With `OUTBOUND_PROXY` all of it goes through that proxy; `HTTPS_PROXY` and its like are not read.

mod address;
mod asked;
mod aws;
mod besides;
mod body;
mod ceiling;
mod client;
mod commons;
mod connect;
mod cookies;
mod credential;
mod echo;
mod error;
mod exchanges;
mod headers;
mod key;
mod notice;
mod pace;
mod policy;
mod proxy;
mod record;
mod request;
mod signature;
mod tls;
mod token;
mod unzip;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use self::aws::{AwsKey, AwsScope};
pub use self::besides::{Besides, PLACE, Places};
pub use self::body::EgressBody;
pub use self::ceiling::{Ceiling, Rule};
pub use self::commons::{Commons, Sharing};
pub use self::credential::Auth;
pub use self::error::EgressError;
pub use self::exchanges::{Exchange, Exchanges};
pub use self::headers::is_forbidden_header;
pub use self::key::Key;
pub use self::notice::{Notice, NoticeWay, may_be_noticed};
pub use self::policy::{Origin, Policy};
pub use self::proxy::Proxy;
pub use self::record::Traffic;
pub use self::signature::{Algorithm, Encoding, SigningKey, stand_in};
pub use self::tls::{ClientFiles, Proof, TlsFiles, Trust, fault_in_words, find, may_be_named};
pub use self::token::{
    AssertionKey, ClientAuth, Grant, Issuer, Login, LoginBody, OAuth2, PASSWORD, RefreshToken,
    SendAs, SentIn, TOKEN, TokenIn, USER, wait_for_tokens,
};

use self::client::Client;
use self::commons::Common;
use self::connect::{Resolve, SystemResolver};
use self::cookies::Jar;
use self::echo::Echoes;
use self::headers::{END, encoding, has_unknown_end, is_stripped, unpacks};
use self::key::KeptCredential;
use self::pace::Pace;
use self::record::Record;
use self::signature::Signer;
use self::tls::Tls;
use self::token::Tokens;
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::Failure;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The way out of one run. Clones share connections, limits and record.
#[derive(Clone)]
pub struct Egress(Arc<Shared>);

struct Shared {
    policy: Arc<Policy>,
    credential: KeptCredential,
    /// Connections and the token, which other runs may use, too.
    common: Arc<Common>,
    /// Which of the runs that use the token this is.
    number: usize,
    /// The header in which a login has the token: answers of the source may have the next one there.
    token_header: Option<HeaderName>,
    /// What requests to the source have besides.
    besides: Besides,
    /// Where the component may have requests signed.
    signer: Option<Signer>,
    /// Where the source gets its cookies back.
    jar: Option<Jar>,
    echoes: Arc<Echoes>,
    record: Record,
    open: Arc<Semaphore>,
    pace: Pace,
    limits: Limits,
    log: Log,
    warned_of_echo: AtomicBool,
    warned_of_plain: AtomicBool,
}

impl Egress {
    /// A way out for what `policy` grants, on which requests to the source get `auth` and `besides`.
    ///
    /// `Err`: the credential, one of `files` or the trust store cannot be used. Nothing is connected yet.
    pub fn new(
        policy: Policy,
        auth: &Auth,
        besides: &Besides,
        files: &TlsFiles,
        limits: &Limits,
        log: Log,
    ) -> Result<Self, Failure> {
        Self::beside_others(policy, auth, besides, files, limits, (log, None))
    }

    /// The same with connections, the token and a rate in common with other runs, if it takes part.
    pub fn beside_others(
        policy: Policy,
        auth: &Auth,
        besides: &Besides,
        files: &TlsFiles,
        limits: &Limits,
        (log, sharing): (Log, Option<&Sharing>),
    ) -> Result<Self, Failure> {
        Self::with_resolver(
            policy,
            auth,
            besides,
            files,
            limits,
            (log, sharing),
            Arc::new(SystemResolver),
        )
    }

    fn with_resolver(
        policy: Policy,
        auth: &Auth,
        besides: &Besides,
        files: &TlsFiles,
        limits: &Limits,
        (log, sharing): (Log, Option<&Sharing>),
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, Failure> {
        let policy = Arc::new(policy);
        let is_readable = |proxy: &&Proxy| proxy.has_credential() && !proxy.origin().is_loopback();
        if let Some(proxy) = policy.proxy.as_ref().filter(is_readable) {
            log.warn(
                "credential of the proxy sent to it unencrypted: anyone on the path to it can read it",
                json!({"proxy": proxy.to_string()}),
            );
        }
        let of_proxy = policy.proxy.as_ref().map(Proxy::secrets);
        let secrets = auth.secrets().into_iter().chain(besides.secrets());
        let secrets = secrets.chain(of_proxy.unwrap_or_default());
        let echoes = Arc::new(Echoes::new(secrets));
        let token_origin = match auth {
            Auth::Fetched(issuer) => issuer.origin().map(|origin| (issuer, origin)),
            _ => None,
        };
        let token_header = (token_origin.as_ref())
            .and_then(|(issuer, _)| issuer.header_of_answers())
            .cloned();
        let make = || {
            let to_issuer = token_origin.as_ref().map(|(_, origin)| origin.is_https());
            let needs_tls = policy.needs_tls() || to_issuer == Some(true);
            let tls = Tls::new(needs_tls, files, limits, &log)?;
            let tokens = token_origin.map(|(issuer, origin)| {
                let granted = Policy {
                    source: Some(origin.clone()),
                    allow_hosts: Vec::new(),
                    allow_private_networks: policy.allow_private_networks,
                    // Its URL is held against the operator's policy with the other settings.
                    ceiling: None,
                    proxy: policy.proxy.clone(),
                    cookies: false,
                };
                let client = Client::new(Arc::new(granted), resolver.clone(), &tls, limits);
                Tokens::new((**issuer).clone(), &origin, client, log.clone(), limits)
            });
            Ok(Common {
                tokens: tokens.transpose()?.map(Arc::new),
                client: Client::new(policy.clone(), resolver, &tls, limits),
                next: Arc::default(),
            })
        };
        let common = match sharing {
            Some(sharing) => sharing.common(make)?,
            None => Arc::new(make()?),
        };
        let number = (common.tokens.as_ref()).map(|tokens| tokens.hide_from(&echoes, &log));
        let own_pause = sharing.map(|sharing| sharing.pause);
        let pause = limits.request_pause.max(own_pause.unwrap_or_default());
        let pace = match sharing {
            Some(_) => Pace::shared(pause, common.next.clone()),
            None => Pace::new(pause),
        };
        Ok(Self(Arc::new(Shared {
            credential: KeptCredential::new(auth)?,
            common,
            number: number.unwrap_or_default(),
            token_header,
            signer: besides.signing.clone().map(Signer::new).transpose()?,
            besides: besides.clone(),
            jar: (policy.source.as_ref().filter(|_| policy.cookies))
                .map(|source| Jar::new(&source.host(), source.is_https())),
            policy,
            echoes,
            record: Record::default(),
            open: Arc::new(Semaphore::new(limits.requests_open)),
            pace,
            limits: limits.clone(),
            log,
            warned_of_echo: AtomicBool::new(false),
            warned_of_plain: AtomicBool::new(false),
        })))
    }

    /// Sends one request, if it is granted.
    ///
    /// `Ok`: the answer's head has come, whatever its status; its body still can fail. `Err` is already in the record. After
    /// a breach nothing more is sent: the run ends for it, and a source is not asked in vain.
    pub async fn send<B>(&self, request: Request<B>) -> Result<Response<EgressBody>, EgressError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let most = self.0.limits.requests_traced;
        let exchanges = &self.0.record.exchanges;
        let traced = exchanges.begin(most, request.method(), request.uri());
        let mut sent = self.try_send(request).await;
        self.0.record.set_last(sent.as_ref().err());
        match (&mut sent, traced) {
            (Ok(answer), Some(traced)) => {
                traced.answered(answer.status());
                answer.body_mut().traced(traced);
            }
            (Err(error), Some(traced)) => traced.failed(error),
            (_, None) => {}
        }
        if let Err(error) = &sent {
            self.0.keep(error);
        }
        sent
    }

    /// Why the last request had no whole answer, if it had none and asking again could have helped.
    pub fn trouble(&self) -> Option<EgressError> {
        self.0.record.last().filter(|error| !error.is_final())
    }

    /// The first request that was not granted: it outranks what the component says of the run.
    pub fn denial(&self) -> Option<EgressError> {
        self.0.record.denial()
    }

    /// The first limit, certificate or rule of HTTP that an exchange broke, for which asking again is useless.
    pub fn breach(&self) -> Option<EgressError> {
        self.0.record.breach()
    }

    /// The proxy that everything goes through, if there is one.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.0.policy.proxy.as_ref()
    }

    /// Whether the source has set cookies that requests after it did not bring.
    pub fn has_ignored_cookies(&self) -> bool {
        self.0.record.has_ignored_cookies()
    }

    /// How stand-ins for signatures begin, where requests can be signed.
    pub fn signing_mark(&self) -> Option<&str> {
        self.0.signer.as_ref().map(Signer::mark)
    }

    /// The requests, where they are traced.
    pub fn exchanges(&self) -> Exchanges {
        self.0.record.exchanges.clone()
    }

    /// What has gone over the network so far.
    pub fn traffic(&self) -> Traffic {
        self.0.record.traffic()
    }

    async fn try_send<B>(&self, request: Request<B>) -> Result<Response<EgressBody>, EgressError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let shared = &self.0;
        let (parts, body) = request.into_parts();
        let asked = Origin::asked_for(&parts.uri);
        shared.count_request(asked.as_ref().ok())?;
        if let Some(breach) = shared.record.breach() {
            return Err(breach);
        }
        let origin = asked?;
        shared
            .policy
            .check_request(&parts.method, &origin, parts.uri.path())?;
        let name = origin.to_string();
        let unpacks = unpacks(&parts.headers);
        let mut head = shared.outgoing_head(parts, &origin)?;
        shared.pace.turn().await;

        let patience = Instant::now() + shared.limits.response_timeout;
        let permit = shared.permit(&name, patience).await?;
        let body = shared.whole_body(body, &name, patience).await?;
        let signed = shared.sign(&mut head, &body, &origin)?;
        let asked = shared.ask(head, body, &origin).await?;
        let (answer, deadline) = asked.answer;
        let signed = asked.signed.into_iter().chain(signed).collect();
        let encoding = encoding(answer.headers()).map_err(|given| EgressError::BadEncoding {
            origin: name.clone(),
            encoding: shared.echoes.hide_in_text(&given),
        })?;
        let (head, incoming) = answer.into_parts();
        let is_end_unknown = !incoming.is_end_stream()
            && has_unknown_end(&head.headers, encoding, origin.is_https());
        let until_its_end = (permit, signed);
        let encoding = encoding.unpacking(unpacks);
        let body = EgressBody::new(
            incoming,
            encoding,
            &name,
            deadline,
            until_its_end,
            shared.clone(),
        );
        let mut shown = Response::new(body.of_a_page(head.status == StatusCode::OK));
        *shown.status_mut() = head.status;
        *shown.headers_mut() = shared.incoming_headers(&head.headers, &name);
        if is_end_unknown {
            let end = shown.headers_mut();
            end.insert(END, HeaderValue::from_static("unknown"));
        }
        Ok(shown)
    }
}

impl Shared {
    fn count_request(&self, origin: Option<&Origin>) -> Result<(), EgressError> {
        let limit = self.limits.requests;
        if self.record.requests.fetch_add(1, Ordering::Relaxed) < limit {
            return Ok(());
        }
        let origin = origin.map_or_else(|| "an invalid URL".to_owned(), Origin::to_string);
        Err(EgressError::Budget {
            origin,
            what: "requests",
            limit,
            policy: self.policy.by(),
        })
    }

    fn incoming_headers(&self, headers: &HeaderMap, origin: &str) -> HeaderMap {
        let mut shown = HeaderMap::with_capacity(headers.len());
        let mut found = 0;
        let is_shown = |name| !is_stripped(name) && self.token_header.as_ref() != Some(name);
        for (name, value) in headers.iter().filter(|(name, _)| is_shown(name)) {
            let hidden = self.echoes.hide(value);
            found += hidden.as_ref().map_or(0, |(_, echoes)| *echoes);
            shown.append(
                name.clone(),
                hidden.map_or_else(|| value.clone(), |(value, _)| value),
            );
        }
        if found > 0 {
            self.echoed(origin, found);
        }
        shown
    }

    /// Counts echoes; warns of the first.
    fn echoed(&self, origin: &str, found: u64) {
        self.record.echoes.fetch_add(found, Ordering::Relaxed);
        if !self.warned_of_echo.swap(true, Ordering::Relaxed) {
            self.log.warn(
                "credential echoed by the server, replaced by REDACTED",
                json!({"origin": origin}),
            );
        }
    }

    /// Puts an error into the record; logs the first denial.
    fn keep(&self, error: &EgressError) {
        if self.record.keep(error) {
            self.log
                .warn("request refused", json!({"reason": error.to_string()}));
        }
    }
}

#[cfg(test)]
mod tests;
