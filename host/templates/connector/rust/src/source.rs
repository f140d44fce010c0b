//! Requests: GET with retries and redirects. The host adds the credential, and refuses what it does not grant.

use std::cell::Cell;

use jiff::Timestamp;

use crate::host::http::outgoing_handler::handle;
use crate::host::http::types::{ErrorCode, Fields, IncomingResponse, OutgoingRequest, Scheme};
use crate::host::io::streams::StreamError;
use crate::host::job::{Detail, Failure, Problem};
use crate::host::{detail, log, monotonic_clock, setting, wall_clock};

/// Default of MAX_RETRIES.
pub const RETRIES: &str = "3";
/// Default of RETRY_PAUSE.
pub const PAUSE: &str = "2s";

const REDIRECTS_MAX: usize = 5;
/// A page is held in memory. MEMORY_LIMIT has to hold it twice.
const PAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// If the source asks for a longer wait, the next scheduled run is the better retry.
const RETRY_AFTER_SECONDS_MAX: u64 = 300;

/// Where requests go, and how often they are tried again.
pub struct Source {
    retries: u32,
    pause_ms: u64,
    began: Cell<Option<Timestamp>>,
}

/// How one attempt failed.
enum Error {
    /// It would fail again.
    Final(Failure),
    /// The next attempt may work.
    Passing(Failure),
}

impl Source {
    /// `Err`: all settings that cannot be used.
    pub fn from_settings() -> Result<Self, Failure> {
        let value = |name: &str, default: &str| setting(name).unwrap_or_else(|| default.to_owned());
        let retries = value("MAX_RETRIES", RETRIES).parse();
        let pause_ms = milliseconds(&value("RETRY_PAUSE", PAUSE));
        match (retries, pause_ms) {
            (Ok(retries), Some(pause_ms)) => Ok(Self {
                retries,
                pause_ms,
                began: Cell::new(None),
            }),
            (retries, pause_ms) => {
                let number = retries
                    .is_err()
                    .then(|| problem("MAX_RETRIES", "is not a number"));
                let pause = pause_ms.is_none();
                let pause = pause.then(|| problem("RETRY_PAUSE", "is not a time such as `2s`"));
                Err(Failure::Settings(number.into_iter().chain(pause).collect()))
            }
        }
    }

    /// The time of the source's first answer in this run: its `Date`, or this machine's time where that is earlier or there
    /// is no `Date`. A row that changes later may be missing on pages that were read already.
    pub fn began(&self) -> Timestamp {
        self.began.get().unwrap_or_else(now)
    }

    /// The whole body of the answer. What may pass is tried again.
    pub fn get(&self, url: &str) -> Result<Vec<u8>, Failure> {
        let mut attempt = 0;
        loop {
            let failure = match self.follow(url) {
                Ok(body) => return Ok(body),
                Err(Error::Final(failure)) => return Err(failure),
                Err(Error::Passing(failure)) => failure,
            };
            let (Failure::Unavailable(why) | Failure::Protocol(why)) = &failure else {
                return Err(failure);
            };
            let asked = why.retry_after_seconds;
            if attempt == self.retries || asked > Some(RETRY_AFTER_SECONDS_MAX) {
                return Err(failure);
            }
            // 1, 5, 20, 20 … times the pause, and up to a quarter more: not all jobs come back at once.
            let backoff_ms = self.pause_ms * [1, 5, 20][attempt.min(2) as usize];
            let jitter_ms = monotonic_clock::now() % (backoff_ms / 4 + 1);
            let wait_ms = asked.map_or(backoff_ms, |seconds| seconds * 1000) + jitter_ms;
            log(&format!(
                "warn: {}; trying again in {wait_ms} ms",
                why.message
            ));
            monotonic_clock::subscribe_duration(wait_ms * 1_000_000).block();
            attempt += 1;
        }
    }

    /// One attempt: the body, behind at most five redirects. The host refuses an origin that is not granted.
    fn follow(&self, url: &str) -> Result<Vec<u8>, Error> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS_MAX {
            let response = send(&url)?;
            if self.began.get().is_none() {
                let source = header(&response, "date").and_then(|date| http_date(&date));
                self.began
                    .set(Some(source.map_or(now(), |at| at.min(now()))));
            }
            let status = response.status();
            match status {
                200 => return body(&response, &url),
                301 | 302 | 303 | 307 | 308 => {
                    let to = header(&response, "location").ok_or_else(|| {
                        Error::Final(Failure::Protocol(answered(&url, &response)))
                    })?;
                    url = resolve(&url, &to);
                }
                401 | 403 => return Err(Error::Final(Failure::Denied(answered(&url, &response)))),
                408 | 425 | 429 | 500.. => {
                    return Err(Error::Passing(Failure::Unavailable(answered(
                        &url, &response,
                    ))));
                }
                400..500 => return Err(Error::Final(Failure::Refused(answered(&url, &response)))),
                _ => return Err(Error::Final(Failure::Protocol(answered(&url, &response)))),
            }
        }
        let message = format!(
            "{} is behind more than {REDIRECTS_MAX} redirects",
            place(&url)
        );
        Err(Error::Final(Failure::Protocol(detail(message))))
    }
}

/// The head of the answer.
fn send(url: &str) -> Result<IncomingResponse, Error> {
    let malformed = || {
        Error::Final(Failure::Protocol(detail(format!(
            "{} is not a URL",
            place(url)
        ))))
    };
    let (scheme, rest) = url.split_once("://").ok_or_else(malformed)?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err(malformed()),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };

    let headers = crate::headers(url).map_err(Error::Final)?;
    let headers = Fields::from_list(&headers).map_err(|error| {
        let message = format!("a header of the request cannot be sent: {error:?}");
        Error::Final(Failure::Protocol(detail(message)))
    })?;
    let request = OutgoingRequest::new(headers);
    request
        .set_scheme(Some(&scheme))
        .map_err(|()| malformed())?;
    request
        .set_authority(Some(authority))
        .map_err(|()| malformed())?;
    request
        .set_path_with_query(Some(&path))
        .map_err(|()| malformed())?;

    let future = handle(request, None).map_err(|code| not_answered(url, &code))?;
    future.subscribe().block();
    match future.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(code))) => Err(not_answered(url, &code)),
        // It is ready, and read once.
        _ => unreachable!("an answer that is ready is there"),
    }
}

/// The whole body. A body that was cut off is an error: never a shorter page.
fn body(response: &IncomingResponse, url: &str) -> Result<Vec<u8>, Error> {
    let cut_off = || {
        let message = format!("the answer of {} was cut off", place(url));
        Error::Passing(Failure::Protocol(detail(message)))
    };
    let body = response.consume().map_err(|()| cut_off())?;
    let stream = body.stream().map_err(|()| cut_off())?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(1024 * 1024) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(_)) => return Err(cut_off()),
        }
        if bytes.len() > PAGE_BYTES_MAX {
            let message = format!("{} is larger than {PAGE_BYTES_MAX} bytes", place(url));
            return Err(Error::Final(Failure::Protocol(detail(message))));
        }
    }
}

/// Why there is no answer: refused by the host, or the network.
fn not_answered(url: &str, code: &ErrorCode) -> Error {
    match code {
        ErrorCode::HttpRequestDenied => Error::Final(Failure::Denied(detail(format!(
            "{} is not granted",
            place(url)
        )))),
        code => {
            let message = format!("no answer from {}: {code:?}", place(url));
            Error::Passing(Failure::Unavailable(detail(message)))
        }
    }
}

/// What an answer says that is not a page.
fn answered(url: &str, response: &IncomingResponse) -> Detail {
    let status = response.status();
    Detail {
        message: format!("{} answered {status}", place(url)),
        status: Some(status),
        retry_after_seconds: retry_after(response),
    }
}

/// How many seconds an answer asks to wait: it names them, or a time by the source's clock.
fn retry_after(response: &IncomingResponse) -> Option<u64> {
    let asked = header(response, "retry-after")?;
    if let Ok(seconds) = asked.parse() {
        return Some(seconds);
    }
    let until = http_date(&asked)?;
    let source = header(response, "date").and_then(|date| http_date(&date));
    let seconds = until.as_second() - source.unwrap_or_else(now).as_second();
    Some(u64::try_from(seconds).unwrap_or(0))
}

fn header(response: &IncomingResponse, name: &str) -> Option<String> {
    let value = response.headers().get(name).into_iter().next()?;
    String::from_utf8(value).ok()
}

/// A time as HTTP writes it: `Fri, 27 Nov 2026 16:00:00 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(date.timestamp())
}

/// This machine's clock.
fn now() -> Timestamp {
    let seconds = i64::try_from(wall_clock::now().seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

/// A URL as it may be shown: its query can hold what is private.
pub fn place(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// The URL that a link on a page means.
pub fn resolve(base: &str, link: &str) -> String {
    let scheme_end = base.find("://").map_or(0, |at| at + 3);
    let origin_end = base[scheme_end..]
        .find(['/', '?'])
        .map_or(base.len(), |at| at + scheme_end);
    let path = place(base);
    let scheme = link.split_once("://").map_or("", |(scheme, _)| scheme);
    if !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric()) {
        link.to_owned()
    } else if link.starts_with("//") {
        format!("{}{link}", &base[..scheme_end.saturating_sub(2)])
    } else if link.starts_with('/') {
        format!("{}{link}", &base[..origin_end])
    } else if link.starts_with('?') {
        format!("{path}{link}")
    } else {
        let folder = path.rfind('/').filter(|end| *end >= origin_end);
        format!("{}/{link}", &base[..folder.unwrap_or(origin_end)])
    }
}

/// `500ms`, `2s` or `1m`.
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn problem(setting: &str, message: &str) -> Problem {
    Problem {
        setting: setting.to_owned(),
        message: message.to_owned(),
    }
}
