//! Requests through waki: `ports::Http` for a component.
//!
//! waki sends a request and waits for its answer in one call. Here they are two, by the bindings that it is made of, so that
//! requests can be on their way while something else is done. In another runtime, every wait here has a limit of its own.

use url::{Position, Url};
use waki::ErrorCode;
use waki::bindings::wasi::clocks::monotonic_clock;
use waki::bindings::wasi::http::outgoing_handler;
use waki::bindings::wasi::http::types::{
    FutureIncomingResponse, Headers, IncomingBody, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, RequestOptions, Scheme,
};
use waki::bindings::wasi::io::poll::{Pollable, poll};
use waki::bindings::wasi::io::streams::{InputStream, OutputStream, StreamError};

use crate::ports::{self, Answer, Http, Request, SendError};

/// By this header our host unpacks a gzip file or a zip file.
const UNPACK: &str = "tidegate-unpack";
/// Read at once from an answer; the stream gives what it has.
const CHUNK_BYTES: u64 = 1024 * 1024;
/// The most of a request's body that one call may carry.
const WRITE_BYTES: usize = 4096;

const SECOND_NS: u64 = 1_000_000_000;
/// Opening a connection. Only a runtime can tell that from waiting for the answer.
const CONNECT_NS: u64 = 10 * SECOND_NS;
/// Between two bytes of an answer.
const IDLE_NS: u64 = 30 * SECOND_NS;
/// One whole answer behind its first byte, so that a dripping server cannot hold the run to its end.
const ANSWER_NS: u64 = 300 * SECOND_NS;

/// Requests through waki.
#[derive(Default)]
pub struct Waki {
    /// The requests that were sent ahead, and what their answers will be.
    ahead: Vec<(Request, Result<FutureIncomingResponse, SendError>)>,
    /// How long to wait. `None`: our host ends every wait.
    patience: Option<Patience>,
}

/// How long to wait in a runtime other than `tidegate run`.
#[derive(Clone, Copy)]
struct Patience {
    /// When the run ends, on the monotonic clock.
    ends_ns: u64,
    /// From the request being made to the first byte of the answer.
    first_byte_ns: u64,
}

impl Waki {
    /// Ends every wait by itself, the last one with the run: runtimes have time-outs of their own, or none.
    pub fn until(ends_ns: u64, first_byte_seconds: u64) -> Self {
        let patience = Patience {
            ends_ns,
            first_byte_ns: first_byte_seconds.saturating_mul(SECOND_NS),
        };
        Self {
            ahead: Vec::new(),
            patience: Some(patience),
        }
    }

    fn begun(&self, request: &Request) -> Result<FutureIncomingResponse, SendError> {
        begun(request, self.wait_for_head())
    }

    fn wait_for_head(&self) -> Option<Wait> {
        let patience = self.patience?;
        Some(Wait::begin(patience, patience.first_byte_ns))
    }
}

impl Http for Waki {
    fn begin(&mut self, request: &Request) {
        let begun = self.begun(request);
        self.ahead.push((request.clone(), begun));
    }

    fn forget(&mut self) {
        self.ahead.clear();
    }

    fn send(&mut self, request: &Request, body_bytes_max: usize) -> Result<Answer, SendError> {
        if let Some(patience) = self.patience {
            run_left_ns(patience.ends_ns)?;
        }
        let ahead = self.ahead.iter().position(|(ahead, _)| ahead == request);
        let future = match ahead {
            Some(at) => self.ahead.remove(at).1,
            None => self.begun(request),
        };
        let head = head(&future?, self.wait_for_head())?;
        let wait = self
            .patience
            .map(|patience| Wait::begin(patience, ANSWER_NS));
        let headers = head.headers().entries().into_iter();
        Ok(Answer {
            status: head.status(),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect(),
            body: body(&head, wait, body_bytes_max)?,
        })
    }
}

/// How long something may take.
#[derive(Clone, Copy)]
struct Wait {
    /// When the run ends, on the monotonic clock.
    ends_ns: u64,
    /// When this has to be done.
    by_ns: u64,
    /// How long that is from its beginning, for messages.
    most_ns: u64,
}

impl Wait {
    /// At most `most_ns` from now.
    fn begin(patience: Patience, most_ns: u64) -> Self {
        Self {
            ends_ns: patience.ends_ns,
            by_ns: monotonic_clock::now().saturating_add(most_ns),
            most_ns,
        }
    }

    /// Waits until this is ready, but no longer than `idle_ns`.
    fn for_(self, ready: &Pollable, idle_ns: u64) -> Result<(), SendError> {
        let left_ns = self.by_ns.saturating_sub(monotonic_clock::now());
        let most_ns = left_ns.min(run_left_ns(self.ends_ns)?).min(idle_ns);
        let timer = monotonic_clock::subscribe_duration(most_ns);
        // A runtime may say of neither that it is ready, or of both.
        let is_ready = poll(&[ready, &timer]).contains(&0) || ready.ready();
        if is_ready && left_ns > 0 {
            return Ok(());
        }
        run_left_ns(self.ends_ns)?;
        let seconds = if left_ns > idle_ns {
            idle_ns
        } else {
            self.most_ns
        } / SECOND_NS;
        Err(SendError::Unreachable(format!(
            "no answer within {seconds} s"
        )))
    }
}

/// What is left of the run. `Err`: nothing.
fn run_left_ns(ends_ns: u64) -> Result<u64, SendError> {
    let left_ns = ends_ns.saturating_sub(monotonic_clock::now());
    let over = || SendError::Broken("the time of the run (RUN_DEADLINE) is over".to_owned());
    (left_ns > 0).then_some(left_ns).ok_or_else(over)
}

/// Waits without end, unless `wait` ends it.
fn wait_for(ready: &Pollable, wait: Option<Wait>, idle_ns: u64) -> Result<(), SendError> {
    match wait {
        Some(wait) => wait.for_(ready, idle_ns),
        None => {
            ready.block();
            Ok(())
        }
    }
}

/// Hands a request to the host, whole. `Ok`: its answer will come.
fn begun(request: &Request, wait: Option<Wait>) -> Result<FutureIncomingResponse, SendError> {
    // Our host ends every wait, and unpacks files.
    let outgoing = outgoing(request, wait.is_none()).ok_or_else(malformed)?;
    let body = outgoing.body().map_err(|()| malformed())?;
    let options = wait.map(|wait| options(wait.most_ns));
    let future = outgoing_handler::handle(outgoing, options).map_err(|code| send_error(&code))?;
    if let Some(text) = &request.body {
        write(&body, text, wait)?;
    }
    OutgoingBody::finish(body, None).map_err(|_| not_accepted())?;
    Ok(future)
}

/// What a runtime may do to end a wait; we end it too.
fn options(first_byte_ns: u64) -> RequestOptions {
    let options = RequestOptions::new();
    // Not every runtime has every one of them.
    let _ = options.set_connect_timeout(Some(CONNECT_NS));
    let _ = options.set_first_byte_timeout(Some(first_byte_ns));
    let _ = options.set_between_bytes_timeout(Some(IDLE_NS));
    options
}

/// The head of a request; `None`: it cannot be one.
fn outgoing(request: &Request, is_ours: bool) -> Option<OutgoingRequest> {
    let url = Url::parse(&request.url).ok()?;
    let own = request.headers.iter();
    let mut headers: Vec<_> = own
        .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
        .collect();
    if is_ours {
        headers.push((UNPACK.to_owned(), b"files".to_vec()));
    }
    let outgoing = OutgoingRequest::new(Headers::from_list(&headers).ok()?);
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        _ => Scheme::Https,
    };
    let method = match request.method {
        ports::Method::Get => Method::Get,
        ports::Method::Post => Method::Post,
    };
    let authority = &url[Position::BeforeUsername..Position::AfterPort];
    let path = &url[Position::BeforePath..Position::AfterQuery];
    outgoing.set_method(&method).ok()?;
    outgoing.set_scheme(Some(&scheme)).ok()?;
    outgoing.set_authority(Some(authority)).ok()?;
    outgoing.set_path_with_query(Some(path)).ok()?;
    Some(outgoing)
}

fn write(body: &OutgoingBody, text: &str, wait: Option<Wait>) -> Result<(), SendError> {
    let out = body.write().map_err(|()| not_accepted())?;
    let mut pieces = text.as_bytes().chunks(WRITE_BYTES);
    if wait.is_none() {
        let written = pieces.try_for_each(|piece| out.blocking_write_and_flush(piece));
        return written.map_err(|_| not_accepted());
    }
    for mut piece in pieces {
        while !piece.is_empty() {
            let (now, later) = piece.split_at(piece.len().min(room(&out, wait)?));
            out.write(now).map_err(|_| not_accepted())?;
            piece = later;
        }
    }
    // Who has taken all that was announced may have closed the stream.
    match out.flush() {
        Ok(()) | Err(StreamError::Closed) => Ok(()),
        Err(StreamError::LastOperationFailed(_)) => Err(not_accepted()),
    }
}

/// How many bytes a stream takes now, waiting until it takes one.
fn room(out: &OutputStream, wait: Option<Wait>) -> Result<usize, SendError> {
    loop {
        let room = out.check_write().map_err(|_| not_accepted())?;
        if room > 0 {
            return Ok(usize::try_from(room).unwrap_or(usize::MAX));
        }
        wait_for(&out.subscribe(), wait, IDLE_NS)?;
    }
}

/// Waits for the head of an answer.
fn head(
    future: &FutureIncomingResponse,
    wait: Option<Wait>,
) -> Result<IncomingResponse, SendError> {
    loop {
        match future.get() {
            Some(Ok(answered)) => return answered.map_err(|code| send_error(&code)),
            Some(Err(())) => return Err(SendError::Broken("no answer was given".to_owned())),
            None => wait_for(&future.subscribe(), wait, u64::MAX)?,
        }
    }
}

/// Reads the body of an answer to its end.
fn body(
    head: &IncomingResponse,
    wait: Option<Wait>,
    bytes_max: usize,
) -> Result<Vec<u8>, SendError> {
    let cut_off = || SendError::CutOff("the answer was cut off".to_owned());
    let body: IncomingBody = head.consume().map_err(|()| cut_off())?;
    let stream = body.stream().map_err(|()| cut_off())?;
    let mut read = Vec::new();
    while let Some(chunk) = chunk(&stream, wait)? {
        if read.len() + chunk.len() > bytes_max {
            return Err(SendError::Broken(format!(
                "the answer is larger than {} MiB",
                bytes_max / (1024 * 1024)
            )));
        }
        append(&mut read, &chunk);
    }
    Ok(read)
}

/// Appends a chunk. A body that would double its memory each time it is full needs three times its size in the end.
fn append(body: &mut Vec<u8>, chunk: &[u8]) {
    if body.capacity() - body.len() < chunk.len() {
        body.reserve_exact(chunk.len().max(body.len() / 4));
    }
    body.extend_from_slice(chunk);
}

/// What comes next; `None`: the end. Where somebody else ends the wait, one call is enough.
fn chunk(stream: &InputStream, wait: Option<Wait>) -> Result<Option<Vec<u8>>, SendError> {
    if wait.is_some() {
        wait_for(&stream.subscribe(), wait, IDLE_NS)?;
    }
    let chunk = match wait {
        Some(_) => stream.read(CHUNK_BYTES),
        None => stream.blocking_read(CHUNK_BYTES),
    };
    match chunk {
        Ok(chunk) => Ok(Some(chunk)),
        Err(StreamError::Closed) => Ok(None),
        Err(StreamError::LastOperationFailed(_)) => {
            Err(SendError::CutOff("the answer was cut off".to_owned()))
        }
    }
}

fn not_accepted() -> SendError {
    SendError::Broken("the body of the request was not accepted".to_owned())
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
