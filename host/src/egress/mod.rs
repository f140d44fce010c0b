//! Egress: the only way out to the network, and the only code that holds the source's credential.
//!
//! It takes a request and returns a response stream, and knows nothing of the engine. It decides whether the request may
//! go out, adds the credential, dials only addresses that were checked, caps and decodes the answer, and keeps its own
//! record of what was refused. Retries, redirects and the meaning of an answer are the component's.
//! `HTTPS_PROXY` and its like are not read.

mod address;
mod body;
mod client;
mod connect;
mod credential;
mod echo;
mod error;
mod headers;
mod policy;
mod record;
mod tls;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, Request, Response, request};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

pub use self::body::EgressBody;
pub use self::credential::Auth;
pub use self::error::EgressError;
pub use self::headers::is_forbidden_header;
pub use self::policy::{Origin, Policy};
pub use self::record::Traffic;

use self::client::Client;
use self::connect::{Resolve, SystemResolver};
use self::credential::Credential;
use self::echo::Echoes;
use self::headers::{encoding, head_bytes, is_stripped, outgoing};
use self::record::Record;
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::Failure;
use crate::secret::Secret;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The way out of one run. Clones share connections, limits and record.
#[derive(Clone)]
pub struct Egress(Arc<Shared>);

struct Shared {
    policy: Arc<Policy>,
    credential: Credential,
    client: Client,
    echoes: Echoes,
    record: Record,
    open: Arc<Semaphore>,
    limits: Limits,
    log: Log,
    warned_of_echo: AtomicBool,
    warned_of_plain: AtomicBool,
}

impl Egress {
    /// A way out for what `policy` grants. `other_secrets` are replaced in answers as `auth`'s are.
    ///
    /// `Err`: the credential, `CA_FILE` or the trust store cannot be used. Nothing is connected yet.
    pub fn new(
        policy: Policy,
        auth: &Auth,
        other_secrets: &[Secret],
        ca_file: Option<&Path>,
        limits: &Limits,
        log: Log,
    ) -> Result<Self, Failure> {
        Self::with_resolver(
            policy,
            auth,
            other_secrets,
            ca_file,
            limits,
            log,
            Arc::new(SystemResolver),
        )
    }

    fn with_resolver(
        policy: Policy,
        auth: &Auth,
        other_secrets: &[Secret],
        ca_file: Option<&Path>,
        limits: &Limits,
        log: Log,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, Failure> {
        let policy = Arc::new(policy);
        let secrets: Vec<Secret> = auth
            .secrets()
            .into_iter()
            .chain(other_secrets.iter().cloned())
            .collect();
        Ok(Self(Arc::new(Shared {
            credential: Credential::new(auth)?,
            client: Client::new(policy.clone(), resolver, ca_file, limits)?,
            policy,
            echoes: Echoes::new(&secrets),
            record: Record::default(),
            open: Arc::new(Semaphore::new(limits.requests_open)),
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
        let sent = self.try_send(request).await;
        if let Err(error) = &sent {
            self.0.keep(error);
        }
        sent
    }

    /// The first request that was not granted: it outranks what the component says of the run.
    pub fn denial(&self) -> Option<EgressError> {
        self.0.record.denial()
    }

    /// The first limit, certificate or rule of HTTP that an exchange broke, for which asking again is useless.
    pub fn breach(&self) -> Option<EgressError> {
        self.0.record.breach()
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
        shared.policy.check_request(&parts.method, &origin)?;
        let name = origin.to_string();
        let mut head = shared.outgoing_head(parts, &origin)?;

        let patience = Instant::now() + shared.limits.response_timeout;
        let permit = shared.permit(&name, patience).await?;
        let body = shared.whole_body(body, &name, patience).await?;
        if shared.policy.source.as_ref() == Some(&origin) {
            shared.authorize(&mut head, &origin);
        }

        let deadline = Instant::now() + shared.limits.response_timeout;
        let request = Request::from_parts(head, Full::new(body));
        let answer = shared
            .client
            .exchange(request, &name, (deadline, shared.limits.response_timeout))
            .await?;
        let encoding = encoding(answer.headers()).map_err(|given| EgressError::BadEncoding {
            origin: name.clone(),
            encoding: shared.echoes.hide_in_text(&given),
        })?;
        let (head, incoming) = answer.into_parts();
        let mut shown = Response::new(EgressBody::new(
            incoming,
            encoding,
            &name,
            deadline,
            permit,
            shared.clone(),
        ));
        *shown.status_mut() = head.status;
        *shown.headers_mut() = shared.incoming_headers(&head.headers, &name);
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
        })
    }

    /// The head as it goes out, but for the credential.
    fn outgoing_head(
        &self,
        given: request::Parts,
        origin: &Origin,
    ) -> Result<request::Parts, EgressError> {
        let target = given
            .uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        let first_line_bytes =
            given.method.as_str().len() + target.as_str().len() + " HTTP/1.1\r\n".len() + 1;
        let (mut head, ()) = Request::new(()).into_parts();
        head.headers = outgoing(&given.headers);
        if head_bytes(first_line_bytes, &head.headers) > self.limits.request_head_bytes {
            let limit = self.limits.request_head_bytes as u64;
            return Err(EgressError::TooLarge {
                origin: origin.to_string(),
                what: "request_head_bytes",
                limit,
            });
        }
        head.method = given.method;
        // Built anew from what was checked, so that the host that is dialed and the `Host` that is sent are that one.
        head.uri = Uri::builder()
            .scheme(origin.scheme())
            .authority(origin.authority())
            .path_and_query(target)
            .build()
            .map_err(|_| EgressError::Denied {
                message: format!("host refused http to `{origin}`: its URL is not valid"),
            })?;
        Ok(head)
    }

    async fn permit(
        &self,
        origin: &str,
        patience: Instant,
    ) -> Result<OwnedSemaphorePermit, EgressError> {
        let waited = timeout_at(patience, self.open.clone().acquire_owned()).await;
        let permit = waited.map_err(|_| EgressError::Budget {
            origin: origin.to_owned(),
            what: "requests_open",
            limit: self.limits.requests_open as u64,
        })?;
        Ok(permit.expect("the semaphore is never closed"))
    }

    /// The component's body, whole: its length is then known, and a connection that was closed meanwhile costs nothing.
    async fn whole_body<B>(
        &self,
        body: B,
        origin: &str,
        patience: Instant,
    ) -> Result<Bytes, EgressError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let limit = self.limits.request_body_bytes;
        let capped = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX));
        let broken = |reason: String| EgressError::RequestBroken {
            origin: origin.to_owned(),
            reason,
        };
        match timeout_at(patience, capped.collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(EgressError::TooLarge {
                origin: origin.to_owned(),
                what: "request_body_bytes",
                limit,
            }),
            Ok(Err(error)) => Err(broken(error.to_string())),
            Err(_) => Err(broken(format!(
                "it was not complete within {:?}",
                self.limits.response_timeout
            ))),
        }
    }

    fn authorize(&self, head: &mut request::Parts, origin: &Origin) {
        self.credential.put_into(head);
        let plain = self.credential.is_some() && !origin.is_https() && !origin.is_loopback();
        if plain && !self.warned_of_plain.swap(true, Ordering::Relaxed) {
            self.log.warn(
                "credential sent over plain http: anyone on the way can read it; use https in SOURCE_API_URL",
                json!({"origin": origin.to_string()}),
            );
        }
    }

    fn incoming_headers(&self, headers: &HeaderMap, origin: &str) -> HeaderMap {
        let mut shown = HeaderMap::with_capacity(headers.len());
        let mut found = 0;
        for (name, value) in headers.iter().filter(|(name, _)| !is_stripped(name)) {
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
