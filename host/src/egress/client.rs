//! The client: one HTTP/1.1 exchange over pooled connections, up to the answer's checked head.
//!
//! It is asked only for what `policy` granted. No retries, no redirects, no cookies: an answer is handed on as it is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::{Connector, Resolve};
use super::headers::{check_framing, head_bytes};
use super::policy::Policy;
use super::tls::{self, Tls};
use super::{EgressError, Origin};
use crate::limits::Limits;

/// Sends requests whose body is whole.
pub(super) struct Client {
    policy: Arc<Policy>,
    pool: legacy::Client<Connector, Full<Bytes>>,
    first_byte_timeout: Duration,
    response_head_bytes: usize,
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
        let pool = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits.idle_timeout)
            .pool_max_idle_per_host(limits.requests_open)
            // hyper takes no less; the exact limit is checked below.
            .http1_max_buf_size(limits.response_head_bytes.max(8 * 1024))
            .http1_max_headers(limits.response_headers)
            .build(Connector::new(policy.clone(), resolver, tls, limits));
        Self {
            policy,
            pool,
            first_byte_timeout: limits.first_byte_timeout,
            response_head_bytes: limits.response_head_bytes,
            response_wire_bytes: limits.response_wire_bytes,
        }
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
        let mut connection = capture_connection(&mut request);
        let answered = self.first_byte(request, origin, &mut connection);
        let answer =
            timeout_at(deadline.0, answered)
                .await
                .map_err(|_| EgressError::AnswerTimeout {
                    origin: origin.to_owned(),
                    limit: deadline.1,
                })??;
        if let Some(proxy) = reader
            && answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        {
            return Err(proxy.refusal(answer.status(), &asked));
        }
        let checked = self.check_head(&answer, origin);
        if checked.is_err() {
            // What else comes over this connection is not to be taken for another request's answer.
            if let Some(connection) = connection.connection_metadata().as_ref() {
                connection.poison();
            }
        }
        checked.map(|()| answer)
    }

    async fn first_byte(
        &self,
        request: Request<Full<Bytes>>,
        origin: &str,
        connection: &mut CaptureConnection,
    ) -> Result<Response<Incoming>, EgressError> {
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
        answer.map_err(|error| self.exchange_error(origin, &error))
    }

    fn check_head(&self, answer: &Response<Incoming>, origin: &str) -> Result<(), EgressError> {
        if head_bytes("HTTP/1.1 200 \r\n".len(), answer.headers()) > self.response_head_bytes {
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

    fn exchange_error(&self, origin: &str, error: &legacy::Error) -> EgressError {
        if let Some(ours) = tls::find::<EgressError>(error) {
            return ours.clone();
        }
        let origin_text = origin.to_owned();
        if let Some(reason) = tls::cause(error).and_then(tls::who_we_are) {
            return EgressError::CredentialRefused {
                origin: origin_text,
                reason,
            };
        }
        match tls::find::<hyper::Error>(error) {
            Some(error) if error.is_parse_too_large() => self.head_too_large(origin),
            Some(error) if error.is_parse() => EgressError::BadFraming {
                origin: origin_text,
                reason: error.to_string(),
            },
            Some(error) => EgressError::Unreachable {
                origin: origin_text,
                reason: innermost(error),
            },
            None => EgressError::Unreachable {
                origin: origin_text,
                reason: innermost(error),
            },
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
