//! Requests through waki: `ports::Http` for a component.
//!
//! waki sends a request and waits for its answer in one call. Here they are two, by the bindings that it is made of, so that a
//! request can be on its way while something else is done.

use url::{Position, Url};
use waki::ErrorCode;
use waki::bindings::wasi::http::outgoing_handler;
use waki::bindings::wasi::http::types::{
    FutureIncomingResponse, Headers, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    Scheme,
};

use crate::ports::{Answer, Http, Request, SendError};

/// Read at once from an answer; the stream gives what it has.
const CHUNK_BYTES: u64 = 1024 * 1024;
/// The most of a request's body that one call may carry.
const WRITE_BYTES: usize = 4096;

/// Requests through waki.
#[derive(Default)]
pub struct Waki {
    /// The request that was sent ahead, and what its answer will be.
    ahead: Option<(Request, Result<FutureIncomingResponse, SendError>)>,
}

impl Http for Waki {
    fn begin(&mut self, request: &Request) {
        self.ahead = Some((request.clone(), begun(request)));
    }

    fn send(&mut self, request: &Request, body_bytes_max: usize) -> Result<Answer, SendError> {
        let future = match self.ahead.take() {
            Some((ahead, future)) if ahead == *request => future,
            _ => begun(request),
        };
        let response = waki::Response::try_from(head(&future?)?)
            .map_err(|error| SendError::Broken(format!("{error:#}")))?;
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk(CHUNK_BYTES)
            .map_err(|_| SendError::CutOff("the answer was cut off".to_owned()))?
        {
            if body.len() + chunk.len() > body_bytes_max {
                return Err(SendError::Broken(format!(
                    "the answer is larger than {} MiB",
                    body_bytes_max / (1024 * 1024)
                )));
            }
            append(&mut body, &chunk);
        }
        Ok(Answer {
            status: response.status_code(),
            headers: response
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect(),
            body,
        })
    }
}

/// Appends a chunk. A body that would double its memory each time it is full needs three times its size in the end.
fn append(body: &mut Vec<u8>, chunk: &[u8]) {
    if body.capacity() - body.len() < chunk.len() {
        body.reserve_exact(chunk.len().max(body.len() / 4));
    }
    body.extend_from_slice(chunk);
}

/// Hands a request to the host, whole. `Ok`: its answer will come.
fn begun(request: &Request) -> Result<FutureIncomingResponse, SendError> {
    let outgoing = outgoing(request).ok_or_else(malformed)?;
    let body = outgoing.body().map_err(|()| malformed())?;
    let future = outgoing_handler::handle(outgoing, None).map_err(|code| send_error(&code))?;
    let written = request.body.as_deref().map(|text| write(&body, text));
    let whole = written.unwrap_or(Some(()));
    whole
        .and_then(|()| OutgoingBody::finish(body, None).ok())
        .ok_or_else(|| SendError::Broken("the body of the request was not accepted".to_owned()))?;
    Ok(future)
}

/// The head of a request; `None`: it cannot be one.
fn outgoing(request: &Request) -> Option<OutgoingRequest> {
    let url = Url::parse(&request.url).ok()?;
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
        .collect();
    let outgoing = OutgoingRequest::new(Headers::from_list(&headers).ok()?);
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        _ => Scheme::Https,
    };
    let method = match request.body {
        None => Method::Get,
        Some(_) => Method::Post,
    };
    let authority = &url[Position::BeforeUsername..Position::AfterPort];
    let path = &url[Position::BeforePath..Position::AfterQuery];
    outgoing.set_method(&method).ok()?;
    outgoing.set_scheme(Some(&scheme)).ok()?;
    outgoing.set_authority(Some(authority)).ok()?;
    outgoing.set_path_with_query(Some(path)).ok()?;
    Some(outgoing)
}

fn write(body: &OutgoingBody, text: &str) -> Option<()> {
    let out = body.write().ok()?;
    let mut pieces = text.as_bytes().chunks(WRITE_BYTES);
    pieces.try_for_each(|piece| out.blocking_write_and_flush(piece).ok())
}

/// Waits for the head of an answer.
fn head(future: &FutureIncomingResponse) -> Result<IncomingResponse, SendError> {
    future.subscribe().block();
    match future.get() {
        Some(Ok(answered)) => answered.map_err(|code| send_error(&code)),
        _ => Err(SendError::Broken("no answer was given".to_owned())),
    }
}

fn malformed() -> SendError {
    SendError::Broken("the request is larger than allowed or malformed".to_owned())
}

fn send_error(code: &ErrorCode) -> SendError {
    use ErrorCode as E;
    match code {
        E::HttpRequestDenied | E::DestinationIpProhibited | E::DestinationIpUnroutable => {
            SendError::Denied("it is not granted".to_owned())
        }
        E::HttpResponseIncomplete
        | E::HttpResponseContentCoding(_)
        | E::HttpResponseTransferCoding(_) => {
            SendError::CutOff("the answer was cut off or is damaged".to_owned())
        }
        E::TlsCertificateError => {
            SendError::Broken("the server's certificate is not valid".to_owned())
        }
        E::HttpProtocolError => SendError::Broken("the answer is not valid HTTP".to_owned()),
        E::HttpResponseBodySize(_)
        | E::HttpResponseHeaderSectionSize(_)
        | E::HttpResponseHeaderSize(_) => {
            SendError::Broken("the answer is larger than allowed".to_owned())
        }
        E::HttpRequestUriInvalid
        | E::HttpRequestUriTooLong
        | E::HttpRequestHeaderSectionSize(_) => malformed(),
        E::ConfigurationError => {
            SendError::Denied("the host has run out of requests for this run".to_owned())
        }
        E::DnsTimeout | E::DnsError(_) => {
            SendError::Unreachable("the name does not resolve".to_owned())
        }
        E::ConnectionRefused => SendError::Unreachable("no connection".to_owned()),
        E::ConnectionTimeout => SendError::Unreachable("no connection in time".to_owned()),
        E::ConnectionReadTimeout | E::HttpResponseTimeout => {
            SendError::Unreachable("no answer in time".to_owned())
        }
        E::ConnectionTerminated => SendError::Unreachable("the connection was lost".to_owned()),
        E::TlsProtocolError | E::TlsAlertReceived(_) => {
            SendError::Unreachable("no agreement on TLS".to_owned())
        }
        _ => SendError::Unreachable("no answer".to_owned()),
    }
}
