//! Requests of a component: WASI's side of the socket behind which the parent has egress.
//!
//! Nothing is decided here: a request is handed on, an answer or an error is handed back in WASI's words.

use std::future::Future;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderName, Request, Response};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

use super::held::BODY_PIECE_BYTES;
use super::meter::Pending;
use crate::component::broken::Broken;
use crate::egress::is_forbidden_header;
use crate::sandbox::requests::{Requests, broken};

mod counted;

pub use counted::{CountedHttp, link};

/// WASI's hooks, with the way out behind them.
pub struct Hooks {
    requests: Option<Requests>,
    /// Whether requests can be signed, for which many sources have `Authorization`.
    signs: bool,
    pending: Pending,
}

impl Hooks {
    /// Hooks that send through `requests`, or refuse everything; what is under way is counted in `pending`.
    pub fn new(requests: Option<Requests>, signs: bool, pending: Pending) -> Self {
        Self {
            requests,
            signs,
            pending,
        }
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
        let signs = self.signs;
        // Without a signature in it, egress sends none.
        Arc::new(move |name: &HeaderName| {
            is_forbidden_header(name) && !(signs && name == AUTHORIZATION)
        })
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
        let requests = self.requests.clone();
        let under_way = self.pending.one();
        Box::new(async move {
            let _under_way = under_way;
            let requests = requests.ok_or(Error::HttpRequestDenied)?;
            let host = request.uri().host().map(str::to_owned);
            let answer = requests.send(request).await;
            let answer = answer.map_err(|error| in_wasi_words(broken(&error), host.clone()))?;
            let answer = answer.map(|body| {
                body.map_err(move |error| in_wasi_words(broken(&error), host.clone()))
                    .boxed_unsync()
            });
            let done: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(async { Ok(()) });
            Ok((answer, done))
        })
    }
}

/// The component's view of an exchange that broke; the parent's own record of it is egress's. `None`: the parent is gone.
fn in_wasi_words(broken: Option<Broken>, host: Option<String>) -> Error {
    match broken {
        Some(Broken::Denied) => Error::HttpRequestDenied,
        Some(Broken::DestinationUnavailable) => Error::DestinationUnavailable,
        Some(Broken::Budget) => Error::ConfigurationError,
        Some(Broken::DnsUnknown) => Error::DnsError {
            rcode: host,
            info_code: None,
        },
        Some(Broken::Unreachable) => Error::ConnectionRefused,
        Some(Broken::ConnectTimeout) => Error::ConnectionTimeout,
        Some(Broken::AnswerTimeout) => Error::HttpResponseTimeout,
        Some(Broken::ReadTimeout) => Error::ConnectionReadTimeout,
        Some(Broken::CutOff) => Error::HttpResponseIncomplete,
        Some(Broken::TooLarge) => Error::HttpResponseBodySize(None),
        Some(Broken::BadTls) => Error::TlsCertificateError,
        Some(Broken::BadProtocol) => Error::HttpProtocolError,
        Some(Broken::Asking) | None => Error::InternalError(None),
    }
}
