//! One page of the source: asked for, asked for again, and read to its end.

use std::cell::Cell;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::bindings::exports::tidegate::sync::job::Failure;
use crate::bindings::wasi::clocks::monotonic_clock;
use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, OutgoingRequest, Scheme,
};
use crate::bindings::wasi::io::poll;
use crate::bindings::wasi::io::streams::StreamError;
use crate::{Flaw, detail};

const READ_BYTES: u64 = 64 * 1024;
const REDIRECTS_MAX: u64 = 5;
const PAUSE_NS: u64 = 10_000_000;
/// How long a flawed connector waits for an answer.
const IMPATIENT_NS: u64 = 300_000_000;

pub struct Source<'f> {
    flaw: &'f Flaw,
    retries: u64,
    /// The source's clock at its first answer, in seconds since 1970.
    clock: Cell<Option<i64>>,
}

/// An answer, as far as it matters.
struct Answer {
    status: u16,
    location: Option<String>,
    retry_after: Option<String>,
    date: Option<i64>,
    /// `None`: it was broken off.
    body: Option<Vec<u8>>,
}

#[derive(Deserialize, Default)]
pub struct Page {
    items: Vec<Box<RawValue>>,
    pub next: Option<String>,
}

/// A row, with its text as the source wrote it.
pub struct Row {
    pub text: String,
    pub id: u64,
    pub updated_epoch: i64,
    pub deleted: bool,
}

#[derive(Deserialize)]
struct Members {
    id: u64,
    updated_epoch: i64,
    deleted: bool,
}

impl Page {
    pub fn rows(&self) -> Result<Vec<Row>, Failure> {
        let rows = self.items.iter().map(|item| {
            let known: Members = serde_json::from_str(item.get())?;
            Ok(Row {
                text: item.get().to_owned(),
                id: known.id,
                updated_epoch: known.updated_epoch,
                deleted: known.deleted,
            })
        });
        let rows: Result<_, serde_json::Error> = rows.collect();
        rows.map_err(|error| Failure::Protocol(detail(&error.to_string())))
    }
}

impl<'f> Source<'f> {
    pub fn new(flaw: &'f Flaw, retries: u64) -> Self {
        Self {
            flaw,
            retries,
            clock: Cell::new(None),
        }
    }

    /// The source's clock at its first answer, in seconds since 1970.
    pub fn clock(&self) -> Option<i64> {
        self.clock.get()
    }

    pub fn page(&self, url: &str) -> Result<Page, Failure> {
        let flaw = self.flaw;
        let retries = if flaw.is("retry-for-long") {
            15
        } else {
            self.retries
        };
        let mut tried = 0;
        loop {
            let failure = match self.followed(url) {
                Ok(None) => return Ok(Page::default()),
                Ok(Some(answer)) => match self.understood(answer) {
                    Ok(page) => return Ok(page),
                    Err((failure, Some(pause_ns))) if tried < retries => {
                        monotonic_clock::subscribe_duration(pause_ns).block();
                        tried += 1;
                        continue;
                    }
                    Err((failure, _)) => failure,
                },
                Err(failure) => failure,
            };
            return Err(failure);
        }
    }

    /// The answer at the end of all redirects; none where the connector did not wait for it.
    fn followed(&self, url: &str) -> Result<Option<Answer>, Failure> {
        let flaw = self.flaw;
        let most = if flaw.is("follow-for-long") {
            50
        } else {
            REDIRECTS_MAX
        };
        let mut url = url.to_owned();
        for _ in 0..=most {
            let Some(answer) = self.ask(&url)? else {
                return Ok(None);
            };
            match &answer.location {
                Some(target) if !flaw.is("follow-nothing") => {
                    let origin = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
                    url = if target.starts_with('/') {
                        format!("{origin}{target}")
                    } else {
                        target.clone()
                    };
                }
                _ => return Ok(Some(answer)),
            }
        }
        Err(Failure::Protocol(detail("there are too many redirects")))
    }

    /// The page of an answer; or the failure, and after which pause it is worth another try.
    fn understood(&self, answer: Answer) -> Result<Page, (Failure, Option<u64>)> {
        let flaw = self.flaw;
        let said = detail(&format!("the source answered {}", answer.status));
        match answer.status {
            200 => {}
            401 | 403 if !flaw.is("take-401-for-an-outage") => {
                return Err((Failure::Denied(said), None));
            }
            429 => {
                let wait_s = self.asked_to_wait(&answer);
                let pause_ns = wait_s.map_or(PAUSE_NS, |seconds| seconds * 1_000_000_000);
                return Err((Failure::Unavailable(said), Some(pause_ns)));
            }
            500 if flaw.is("give-up-at-500") => return Err((Failure::Unavailable(said), None)),
            401 | 500.. => return Err((Failure::Unavailable(said), Some(PAUSE_NS))),
            404 if flaw.is("take-404-for-an-outage") => {
                return Err((Failure::Unavailable(said), Some(PAUSE_NS)));
            }
            _ => return Err((Failure::Refused(said), None)),
        }
        let Some(body) = answer.body else {
            if flaw.is("take-a-break-for-the-end") {
                return Ok(Page::default());
            }
            return Err((Failure::Protocol(detail("the answer was broken off")), None));
        };
        serde_json::from_slice(&body).or_else(|error| {
            let is_taken = match body.first() {
                Some(b'<') => flaw.is("take-html-for-the-end"),
                _ if body.starts_with(b"{\"error\"") => flaw.is("take-an-error-for-the-end"),
                _ => flaw.is("take-half-for-the-end"),
            };
            if is_taken {
                return Ok(Page::default());
            }
            Err((Failure::Protocol(detail(&error.to_string())), None))
        })
    }

    /// Seconds.
    fn asked_to_wait(&self, answer: &Answer) -> Option<u64> {
        let asked = answer.retry_after.as_deref()?;
        if self.flaw.is("wait-for-nothing") {
            return None;
        }
        if let Ok(seconds) = asked.parse() {
            return Some(seconds);
        }
        let until = http_date(asked).filter(|_| !self.flaw.is("wait-for-no-date"))?;
        u64::try_from(until - answer.date?).ok()
    }

    fn ask(&self, url: &str) -> Result<Option<Answer>, Failure> {
        let future = send(url).map_err(|error| refused(&error))?;
        let timer = self.flaw.is("give-up-waiting");
        let answered = future.subscribe();
        if timer {
            let timer = monotonic_clock::subscribe_duration(IMPATIENT_NS);
            poll::poll(&[&answered, &timer]);
        } else {
            answered.block();
        }
        drop(answered);
        let Some(response) = future.get() else {
            return Ok(None);
        };
        let response = response.expect("it is taken once");
        let response = response.map_err(|error| refused(&error))?;
        let answer = read(&response);
        self.clock.set(self.clock.get().or(answer.date));
        Ok(Some(answer))
    }
}

fn send(url: &str) -> Result<outgoing_handler::FutureIncomingResponse, ErrorCode> {
    let (scheme, rest) = url.split_once("://").expect("an absolute URL");
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::new());
    let scheme = if scheme == "https" {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let set = request.set_scheme(Some(&scheme));
    let set = set.and_then(|()| request.set_authority(Some(authority)));
    let set = set.and_then(|()| request.set_path_with_query(Some(path)));
    set.map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    outgoing_handler::handle(request, None)
}

fn refused(error: &ErrorCode) -> Failure {
    let said = detail(&format!("{error:?}"));
    match error {
        ErrorCode::HttpRequestDenied => Failure::Denied(said),
        _ => Failure::Unavailable(said),
    }
}

fn read(response: &IncomingResponse) -> Answer {
    let header = |name: &str| {
        let values = response.headers().get(name);
        let first = values.into_iter().next()?;
        String::from_utf8(first).ok()
    };
    let (location, retry_after) = (header("location"), header("retry-after"));
    let date = header("date").and_then(|date| http_date(&date));
    let mut body = Some(Vec::new());
    let incoming = response.consume().expect("it is consumed once");
    let stream = incoming.stream().expect("it is read once");
    while let Some(bytes) = &mut body {
        match stream.blocking_read(READ_BYTES) {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(_)) => body = None,
        }
    }
    drop(stream);
    drop(IncomingBody::finish(incoming));
    Answer {
        status: response.status(),
        location,
        retry_after,
        date,
        body,
    }
}

/// Seconds since 1970.
fn http_date(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}
