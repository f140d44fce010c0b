//! The client: one exchange by HTTP/1.1 or HTTP/2 over pooled connections, up to the answer's checked head.
//!
//! It is asked only for what `policy` granted. No redirects, no cookies: an answer is handed on as it is. Nothing is sent twice
//! but what a server says, by HTTP/2, that it has not looked at.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, Connected, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::{Connector, Resolve, TlsFault, Versions};
use super::headers::{check_framing, head_bytes};
use super::policy::Policy;
use super::tls::{self, Tls};
use super::{BoxError, EgressError, Origin};
use crate::limits::{HTTP2_CONNECTION_BYTES_MAX, HTTP2_RESETS_MAX, HTTP2_STREAM_BYTES_MAX, Limits};

/// Sends requests whose body is whole.
pub(super) struct Client {
    policy: Arc<Policy>,
    pool: legacy::Client<Connector, Full<Bytes>>,
    versions: Arc<Versions>,
    first_byte_timeout: Duration,
    response_head_bytes: usize,
    response_headers: usize,
    response_wire_bytes: u64,
}

impl Client {
    /// A client with an empty pool, for what `policy` grants.
    pub(super) fn new(
        policy: Arc<Policy>,
        resolver: Arc<dyn Resolve>,
        tls: &Tls,
        limits: &Limits,
    ) -> Self {
        let versions = Arc::<Versions>::default();
        let connector = Connector::new(policy.clone(), resolver, tls, versions.clone(), limits);
        let pool = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits.idle_timeout)
            .pool_max_idle_per_host(limits.requests_open)
            // hyper takes no less; the exact limit is checked below.
            .http1_max_buf_size(limits.response_head_bytes.max(8 * 1024))
            .http1_max_headers(limits.response_headers)
            .http2_max_header_list_size(header_list_bytes(limits))
            .http2_initial_stream_window_size(HTTP2_STREAM_BYTES_MAX)
            .http2_initial_connection_window_size(HTTP2_CONNECTION_BYTES_MAX)
            .http2_max_concurrent_reset_streams(HTTP2_RESETS_MAX)
            .http2_max_local_error_reset_streams(HTTP2_RESETS_MAX)
            .build(connector);
        Self {
            policy,
            pool,
            versions,
            first_byte_timeout: limits.first_byte_timeout,
            response_head_bytes: limits.response_head_bytes,
            response_headers: limits.response_headers,
            response_wire_bytes: limits.response_wire_bytes,
        }
    }

    /// What it is asked for.
    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// `Ok`: the head has come before `deadline`, within its limits, and says in one way where the body ends.
    pub(super) async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        origin: &str,
        deadline: (Instant, Duration),
    ) -> Result<Response<Incoming>, EgressError> {
        // What is plain, the proxy itself reads; of what goes through its tunnel it sees nothing.
        let asked = Origin::asked_for(request.uri())?;
        let reader = self.policy.proxy.as_ref().filter(|_| !asked.is_https());
        if let Some(proxy) = reader {
            proxy.put_into(request.headers_mut());
        }
        let again = asked.is_https().then(|| request.clone());
        let answered = async {
            match (self.attempt(request, origin).await, again) {
                (Err(broken), Some(again)) if broken.is_unseen => self.attempt(again, origin).await,
                (answer, _) => answer,
            }
        };
        let answer =
            timeout_at(deadline.0, answered)
                .await
                .map_err(|_| EgressError::AnswerTimeout {
                    origin: origin.to_owned(),
                    limit: deadline.1,
                })?;
        let answer = answer.map_err(|broken| broken.error)?;
        match reader {
            Some(proxy) if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(proxy.refusal(answer.status(), &asked))
            }
            _ => Ok(answer),
        }
    }

    async fn attempt(
        &self,
        mut request: Request<Full<Bytes>>,
        origin: &str,
    ) -> Result<Response<Incoming>, Broken> {
        let mut connection = capture_connection(&mut request);
        let answer = self.first_byte(request, origin, &mut connection).await;
        let checked = answer.and_then(|answer| match self.check_head(&answer, origin) {
            Ok(()) => Ok(answer.map(|body| Incoming::new(body, connection.clone()))),
            Err(error) => Err(error.into()),
        });
        if checked.is_err()
            && let Some(connection) = connection.connection_metadata().as_ref()
        {
            // What else comes over this connection is not to be taken for another request's answer.
            connection.poison();
        }
        checked
    }

    async fn first_byte(
        &self,
        request: Request<Full<Bytes>>,
        origin: &str,
        connection: &mut CaptureConnection,
    ) -> Result<Response<body::Incoming>, Broken> {
        let mut answer = self.pool.request(request);
        let connected = async {
            connection.wait_for_connection_metadata().await;
        };
        // Connecting has its own limit; this one begins when there is a connection, new or from the pool.
        let answer = tokio::select! {
            biased;
            answer = &mut answer => answer,
            () = connected => timeout(self.first_byte_timeout, answer).await.map_err(|_| {
                EgressError::FirstByteTimeout { origin: origin.to_owned(), limit: self.first_byte_timeout }
            })?,
        };
        answer.map_err(|error| {
            let connection = connection.connection_metadata();
            let fault = connection.as_ref().and_then(TlsFault::of);
            self.broken(origin, &error, fault)
        })
    }

    fn check_head(
        &self,
        answer: &Response<body::Incoming>,
        origin: &str,
    ) -> Result<(), EgressError> {
        if head_bytes("HTTP/1.1 200 \r\n".len(), answer.headers()) > self.response_head_bytes
            || answer.headers().len() > self.response_headers
        {
            return Err(self.head_too_large(origin));
        }
        check_framing(answer.status(), answer.headers()).map_err(|reason| {
            EgressError::BadFraming {
                origin: origin.to_owned(),
                reason: reason.to_owned(),
            }
        })?;
        // A length that is announced need not be waited for.
        if answer
            .body()
            .size_hint()
            .exact()
            .is_some_and(|bytes| bytes > self.response_wire_bytes)
        {
            let limit = self.response_wire_bytes;
            return Err(EgressError::TooLarge {
                origin: origin.to_owned(),
                what: "response_wire_bytes",
                limit,
            });
        }
        Ok(())
    }

    fn head_too_large(&self, origin: &str) -> EgressError {
        let limit = self.response_head_bytes as u64;
        EgressError::TooLarge {
            origin: origin.to_owned(),
            what: "response_head_bytes",
            limit,
        }
    }

    fn broken(&self, origin: &str, error: &legacy::Error, fault: Option<rustls::Error>) -> Broken {
        if let Some(ours) = tls::find::<EgressError>(error) {
            return ours.clone().into();
        }
        let origin_text = origin.to_owned();
        let fault = tls::cause(error).cloned().or(fault);
        if let Some(reason) = fault.as_ref().and_then(tls::who_we_are) {
            return EgressError::CredentialRefused {
                origin: origin_text,
                reason,
            }
            .into();
        }
        if let Some(error) = tls::find::<h2::Error>(error) {
            return self.broken_http2(origin, error);
        }
        let error = match tls::find::<hyper::Error>(error) {
            Some(error) if error.is_parse_too_large() => self.head_too_large(origin),
            Some(error) if error.is_parse() => EgressError::BadFraming {
                origin: origin_text,
                reason: error.to_string(),
            },
            Some(error) => self.unreachable(origin, error),
            None => self.unreachable(origin, error),
        };
        error.into()
    }

    fn unreachable(&self, origin: &str, error: &(dyn std::error::Error + 'static)) -> EgressError {
        let reason = innermost(error);
        let is_http2 = self.versions.is_http2.load(Ordering::Relaxed);
        let origin = origin.to_owned();
        let reason = if is_http2 {
            format!("HTTP/2: {reason}")
        } else {
            reason
        };
        EgressError::Unreachable { origin, reason }
    }

    fn broken_http2(&self, origin: &str, error: &h2::Error) -> Broken {
        let reason = error.reason();
        let wants_http1 = error.is_remote() && reason == Some(Reason::HTTP_1_1_REQUIRED);
        if wants_http1 {
            self.versions.is_http1_alone.store(true, Ordering::Relaxed);
        }
        // RFC 9113, 6.8 and 8.7: nothing was done with such a request.
        let is_refused = error.is_reset() && reason == Some(Reason::REFUSED_STREAM);
        let is_left = error.is_go_away() && reason == Some(Reason::NO_ERROR);
        let is_unseen = wants_http1 || (error.is_remote() && (is_refused || is_left));
        let origin_text = origin.to_owned();
        let in_words = format!("HTTP/2: {error}");
        let is_too_large = matches!(
            reason,
            Some(Reason::REFUSED_STREAM | Reason::ENHANCE_YOUR_CALM)
        );
        let error = if error.is_remote() || error.is_io() {
            EgressError::Unreachable {
                origin: origin_text,
                reason: in_words,
            }
        } else if is_too_large {
            self.head_too_large(origin)
        } else {
            EgressError::BadFraming {
                origin: origin_text,
                reason: in_words,
            }
        };
        Broken { error, is_unseen }
    }
}

/// Why there is no answer, and whether the server has not looked at the request.
struct Broken {
    error: EgressError,
    is_unseen: bool,
}

impl From<EgressError> for Broken {
    fn from(error: EgressError) -> Self {
        Self {
            error,
            is_unseen: false,
        }
    }
}

/// As HTTP/2 counts (RFC 9113, 6.5.2): 32 bytes more for each header. What is less by our count is never more by this.
fn header_list_bytes(limits: &Limits) -> u32 {
    let bytes = limits.response_head_bytes + 32 * limits.response_headers;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The body of an answer as it comes. It ends only where its framing says so.
pub(super) struct Incoming {
    body: body::Incoming,
    connection: CaptureConnection,
    is_http2: bool,
    /// What was looked at before anybody reads it.
    ahead: VecDeque<Option<Result<Frame<Bytes>, BoxError>>>,
}

impl Incoming {
    fn new(body: body::Incoming, connection: CaptureConnection) -> Self {
        let is_negotiated = Connected::is_negotiated_h2;
        let is_http2 = (connection.connection_metadata().as_ref()).is_some_and(is_negotiated);
        Self {
            body,
            connection,
            is_http2,
            ahead: VecDeque::new(),
        }
    }

    /// The first bytes of the body, a piece more than so many at the most, as far as they come before `patience` ends. Who
    /// reads the body finds them in it.
    pub(super) async fn beginning(&mut self, bytes: usize, patience: Instant) -> Vec<u8> {
        let mut beginning = Vec::new();
        while beginning.len() < bytes {
            let next = std::future::poll_fn(|cx| self.poll_next(cx));
            let Ok(next) = timeout_at(patience, next).await else {
                break;
            };
            let data = next.as_ref().and_then(|next| next.as_ref().ok());
            let data = data.and_then(Frame::data_ref);
            if let Some(data) = data {
                beginning.extend_from_slice(data);
            }
            let is_over = !matches!(next, Some(Ok(_)));
            self.ahead.push_back(next);
            if is_over {
                break;
            }
        }
        beginning
    }

    fn is_whole(&self) -> bool {
        self.body.is_end_stream() || self.body.size_hint().exact() == Some(0)
    }
}

/// By HTTP/2 a connection outlives a body that is given up. No other request has to do with a server that was left like that.
impl Drop for Incoming {
    fn drop(&mut self) {
        if self.is_http2
            && !self.is_whole()
            && let Some(connection) = self.connection.connection_metadata().as_ref()
        {
            connection.poison();
        }
    }
}

impl Incoming {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) if self.is_http2 => {
                Some(Err(format!("HTTP/2: {}", innermost(&error)).into()))
            }
            Some(Err(error)) => Some(Err(error.into())),
            // hyper takes a stream that is reset with NO_ERROR for one that has ended.
            None if self.is_http2 && !self.is_whole() => {
                Some(Err("HTTP/2: the stream was reset before its end".into()))
            }
            None => None,
        })
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.ahead.pop_front() {
            Some(next) => Poll::Ready(next),
            None => self.poll_next(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Of what was looked at, no length is known.
        if self.ahead.is_empty() {
            self.body.size_hint()
        } else {
            SizeHint::default()
        }
    }
}

/// The first cause, in its own words: the errors around it only say that there was one.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
