//! Requests of a component: WASI's side of `egress`.
//!
//! Nothing is decided here: a request is handed on, an answer or an error is handed back in WASI's words.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderName, Request, Response};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

use super::held::BODY_PIECE_BYTES;
use super::meter::Pending;
use crate::egress::{Egress, EgressBody, EgressError, is_forbidden_header};

mod counted;

pub use counted::{CountedHttp, link};

/// A request's answer, some time.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response<EgressBody>, EgressError>> + Send>>;

/// The way out: the seam between the component's side and the one that holds the secrets.
pub trait Outbound: Send + Sync {
    /// Sends one request, if it is granted.
    fn send(&self, request: Request<WasiBody>) -> Answer;
}

impl Outbound for Egress {
    fn send(&self, request: Request<WasiBody>) -> Answer {
        let egress = self.clone();
        let request = request.map(|body| body.map_err(|error| format!("{error:?}")));
        Box::pin(async move { Egress::send(&egress, request).await })
    }
}

/// WASI's hooks, with the way out behind them.
pub struct Hooks {
    outbound: Option<Arc<dyn Outbound>>,
    pending: Pending,
}

impl Hooks {
    /// Hooks that send through `outbound`, or refuse everything; what is under way is counted in `pending`.
    pub fn new(outbound: Option<Arc<dyn Outbound>>, pending: Pending) -> Self {
        Self { outbound, pending }
    }
}

type Sent = Result<
    (
        Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl WasiHttpHooks for Hooks {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name: &HeaderName| is_forbidden_header(name))
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_PIECE_BYTES
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        // One besides the one that is always there: see `OUTGOING_BODY_BYTES`.
        1
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let outbound = self.outbound.clone();
        let under_way = self.pending.one();
        Box::new(async move {
            let _under_way = under_way;
            let outbound = outbound.ok_or(Error::HttpRequestDenied)?;
            let answer = outbound
                .send(request)
                .await
                .map_err(|error| in_wasi_words(&error))?;
            let answer =
                answer.map(|body| body.map_err(|error| in_wasi_words(&error)).boxed_unsync());
            let done: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(async { Ok(()) });
            Ok((answer, done))
        })
    }
}

/// The component's view of an error; the host's own record of it is egress's.
fn in_wasi_words(error: &EgressError) -> Error {
    match error {
        EgressError::Denied { .. } | EgressError::CredentialRefused { .. } => {
            Error::HttpRequestDenied
        }
        // Who gives out tokens is none of its business; that asking again may help is.
        EgressError::TokenUnavailable { .. } => Error::DestinationUnavailable,
        EgressError::Budget { .. } => Error::ConfigurationError,
        EgressError::DnsUnknown { host, .. } => Error::DnsError {
            rcode: Some(host.clone()),
            info_code: None,
        },
        EgressError::Unreachable { .. } => Error::ConnectionRefused,
        EgressError::ConnectTimeout { .. } => Error::ConnectionTimeout,
        EgressError::FirstByteTimeout { .. } | EgressError::AnswerTimeout { .. } => {
            Error::HttpResponseTimeout
        }
        EgressError::IdleTimeout { .. } => Error::ConnectionReadTimeout,
        EgressError::CutOff { .. } => Error::HttpResponseIncomplete,
        EgressError::TooLarge { .. } => Error::HttpResponseBodySize(None),
        EgressError::BadCertificate { .. } | EgressError::BadTls { .. } => {
            Error::TlsCertificateError
        }
        EgressError::BadFraming { .. }
        | EgressError::BadEncoding { .. }
        | EgressError::BadToken { .. } => Error::HttpProtocolError,
        EgressError::RequestBroken { .. } => Error::InternalError(None),
    }
}
