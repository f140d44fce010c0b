//! What the job needs from the world, as three small traits: [`Http`], [`Staging`] and [`Clock`].
//!
//! The core names no runtime: natively the tests implement these traits, in a component `wasi/` does.

use std::fmt;

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// GET, with a body or without.
    #[default]
    Get,
    /// POST, with a body or without.
    Post,
}

impl Method {
    /// As it is sent.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked of the URL.
    pub method: Method,
    /// An absolute http or https URL.
    pub url: String,
    /// Header names and values, in the order in which they are sent.
    pub headers: Vec<(String, String)>,
    /// The body; `None`: there is none.
    pub body: Option<String>,
}

/// A whole answer: its body was read to its verified end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case, values as they came, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The decoded body.
    pub body: Vec<u8>,
}

/// Why there is no whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// The request is not granted. Trying again is useless.
    Denied(String),
    /// No connection, no name, a time-out: trying again may help.
    Unreachable(String),
    /// The answer stopped before its end or its encoding is damaged: trying again may help.
    CutOff(String),
    /// The answer is larger than allowed, the certificate is bad, the framing is wrong: trying again is useless.
    Broken(String),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text)
            | Self::Unreachable(text)
            | Self::CutOff(text)
            | Self::Broken(text) => f.write_str(text),
        }
    }
}

/// Sends requests.
pub trait Http {
    /// Puts `request` on its way, if that can be done, beside others: the next [`Http::send`] of the same request picks its
    /// answer up. What goes wrong is said by `send`.
    fn begin(&mut self, request: &Request) {
        let _ = request;
    }

    /// Drops the requests that are on their way and were not sent for.
    fn forget(&mut self) {}

    /// Sends `request` and reads the answer to its end, at most `body_bytes_max` bytes of body.
    /// A longer one is [`SendError::Broken`].
    fn send(&mut self, request: &Request, body_bytes_max: usize) -> Result<Answer, SendError>;
}

/// The files a job stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StagedFile {
    /// `records.ndjson`: one JSON object a line, a key's versions oldest first.
    Records,
    /// `deleted.ndjson`: `{"key":[…],"at":N}`.
    Deleted,
    /// `rejected.ndjson`: `{"reason":…,"pointer":…,"record":…}`.
    Rejected,
}

/// Takes what the job stages.
pub trait Staging {
    /// Appends whole lines, each with its newline. `Err` says what could not be written.
    fn append(&mut self, file: StagedFile, lines: &[u8]) -> Result<(), String>;
}

/// Tells and spends time, and writes the log.
pub trait Clock {
    /// Nanoseconds since some fixed moment; never goes back.
    fn monotonic_ns(&mut self) -> u64;
    /// The wall clock, in seconds since 1970-01-01T00:00:00Z.
    fn unix_seconds(&mut self) -> i64;
    /// Waits.
    fn sleep_ms(&mut self, ms: u64);
    /// Writes one line of log. A line that begins with `warn: ` is a warning.
    fn log(&mut self, line: &str);
}

// What works on these is compiled once, whoever implements them.

impl Http for &mut (dyn Http + '_) {
    fn begin(&mut self, request: &Request) {
        (**self).begin(request);
    }

    fn forget(&mut self) {
        (**self).forget();
    }

    fn send(&mut self, request: &Request, body_bytes_max: usize) -> Result<Answer, SendError> {
        (**self).send(request, body_bytes_max)
    }
}

impl Staging for &mut (dyn Staging + '_) {
    fn append(&mut self, file: StagedFile, lines: &[u8]) -> Result<(), String> {
        (**self).append(file, lines)
    }
}

impl Clock for &mut (dyn Clock + '_) {
    fn monotonic_ns(&mut self) -> u64 {
        (**self).monotonic_ns()
    }

    fn unix_seconds(&mut self) -> i64 {
        (**self).unix_seconds()
    }

    fn sleep_ms(&mut self, ms: u64) {
        (**self).sleep_ms(ms);
    }

    fn log(&mut self, line: &str) {
        (**self).log(line);
    }
}
