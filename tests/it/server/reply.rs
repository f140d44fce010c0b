//! One answer of the scripted server: whole, cut, stalled, dripping, or not even HTTP.

use std::time::Duration;

/// What is done after the bytes of an answer have been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Listen,
    Close,
    Reset,
    Stall,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    raw: Option<Vec<u8>>,
    chunk_bytes: Option<usize>,
    sent_bytes: Option<usize>,
    drip: Option<(usize, Duration)>,
    is_dateless: bool,
    then: Then,
}

impl Reply {
    /// A whole answer of JSON, with `Date` and `Content-Length`. In body and headers, `{server}` becomes this server's
    /// origin.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            raw: None,
            chunk_bytes: None,
            sent_bytes: None,
            drip: None,
            is_dateless: false,
            then: Then::Listen,
        }
    }

    /// These bytes, and the connection is closed.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            raw: Some(bytes.into()),
            then: Then::Close,
            ..Self::new(200, "")
        }
    }

    /// The request is read and never answered.
    pub fn silence() -> Self {
        Self {
            raw: Some(Vec::new()),
            then: Then::Stall,
            ..Self::new(200, "")
        }
    }

    /// The request is read and the connection is reset.
    pub fn reset() -> Self {
        Self {
            raw: Some(Vec::new()),
            then: Then::Reset,
            ..Self::new(200, "")
        }
    }

    /// With this header, in place of one of the same name.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With a `Link` to the next page; `{server}` stands in `url` for this server's origin.
    pub fn next(self, url: &str) -> Self {
        self.header("link", format!("<{url}>; rel=\"next\""))
    }

    /// In chunks of this size.
    pub fn chunked(self, chunk_bytes: usize) -> Self {
        Self {
            chunk_bytes: Some(chunk_bytes),
            ..self
        }
    }

    /// Only the first bytes of the body are sent, then the connection is closed.
    pub fn cut_after(self, body_bytes: usize) -> Self {
        Self {
            sent_bytes: Some(body_bytes),
            then: Then::Close,
            ..self
        }
    }

    /// Only the first bytes of the body are sent, then nothing more comes.
    pub fn stalled_after(self, body_bytes: usize) -> Self {
        Self {
            sent_bytes: Some(body_bytes),
            then: Then::Stall,
            ..self
        }
    }

    /// The body is sent so many bytes at a time.
    pub fn dripping(self, bytes: usize, pause: Duration) -> Self {
        Self {
            drip: Some((bytes, pause)),
            ..self
        }
    }

    /// Without `Date`.
    pub fn dateless(self) -> Self {
        Self {
            is_dateless: true,
            ..self
        }
    }

    /// Head and body as they go over the wire.
    pub(super) fn rendered(&self, origin: &str) -> (Vec<u8>, Vec<u8>) {
        if let Some(raw) = &self.raw {
            return (raw.clone(), Vec::new());
        }
        let body = replaced(&self.body, origin);
        let now = jiff::Timestamp::now()
            .strftime("%a, %d %b %Y %H:%M:%S GMT")
            .to_string();
        let mut headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("date".to_owned(), now),
        ];
        match self.chunk_bytes {
            Some(_) => headers.push(("transfer-encoding".to_owned(), "chunked".to_owned())),
            None => headers.push(("content-length".to_owned(), body.len().to_string())),
        }
        headers.retain(|(name, _)| !self.headers.iter().any(|(own, _)| own == name));
        headers.extend(self.headers.iter().cloned());
        headers.retain(|(name, _)| name != "date" || !self.is_dateless);
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status).into_bytes();
        for (name, value) in headers {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(&replaced(value.as_bytes(), origin));
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let mut body = match self.chunk_bytes {
            Some(chunk_bytes) => chunked(&body, chunk_bytes),
            None => body,
        };
        body.truncate(self.sent_bytes.unwrap_or(usize::MAX));
        (head, body)
    }

    /// How many bytes of the body are sent at a time, and how long is waited after each of them.
    pub(super) fn drip(&self) -> (usize, Duration) {
        self.drip.unwrap_or((usize::MAX, Duration::ZERO))
    }

    /// What comes after it.
    pub(super) fn then(&self) -> Then {
        self.then
    }
}

fn chunked(body: &[u8], chunk_bytes: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for chunk in body.chunks(chunk_bytes) {
        wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    wire
}

fn replaced(text: &[u8], origin: &str) -> Vec<u8> {
    match std::str::from_utf8(text) {
        Ok(text) => text.replace("{server}", origin).into_bytes(),
        Err(_) => text.to_vec(),
    }
}
