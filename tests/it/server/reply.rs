//! One answer of the scripted server: whole, cut, stalled, dripping, or not even HTTP.

use std::time::Duration;

/// What is done after the bytes of an answer have been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Listen,
    Close,
    /// As `Close`, but TLS is not told.
    Vanish,
    Reset,
    Stall,
    /// These bytes, until nobody takes them.
    Flood(&'static [u8]),
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    raw: Option<Vec<u8>>,
    before: Vec<u8>,
    after: Vec<u8>,
    is_unframed: bool,
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
            before: Vec::new(),
            after: Vec::new(),
            is_unframed: false,
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

    /// With one more header of this name.
    pub fn one_more_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// These bytes come before its head.
    pub fn preceded_by(self, before: impl Into<Vec<u8>>) -> Self {
        Self {
            before: before.into(),
            ..self
        }
    }

    /// These bytes come after its body.
    pub fn followed_by(self, after: impl Into<Vec<u8>>) -> Self {
        Self {
            after: after.into(),
            ..self
        }
    }

    /// With nothing that says where the body ends but the end of the connection.
    pub fn unframed(self) -> Self {
        Self {
            is_unframed: true,
            then: Then::Close,
            ..self
        }
    }

    /// The connection is closed after it, without an announcement.
    pub fn closed(self) -> Self {
        Self {
            then: Then::Close,
            ..self
        }
    }

    /// The connection is closed after it, and its header says so.
    pub fn closing(self) -> Self {
        self.header("connection", "close").closed()
    }

    /// The connection is closed after it, and TLS is not told.
    pub fn without_close_notify(self) -> Self {
        Self {
            then: Then::Vanish,
            ..self
        }
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

    /// Only the first bytes of the body are sent, then the connection is reset.
    pub fn reset_after(self, body_bytes: usize) -> Self {
        Self {
            sent_bytes: Some(body_bytes),
            then: Then::Reset,
            ..self
        }
    }

    /// After it these bytes come, until nobody takes them.
    pub fn flooding(self, piece: &'static [u8]) -> Self {
        Self {
            then: Then::Flood(piece),
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
            _ if self.is_unframed => {}
            Some(_) => headers.push(("transfer-encoding".to_owned(), "chunked".to_owned())),
            None => headers.push(("content-length".to_owned(), body.len().to_string())),
        }
        headers.retain(|(name, _)| !self.headers.iter().any(|(own, _)| own == name));
        headers.extend(self.headers.iter().cloned());
        headers.retain(|(name, _)| name != "date" || !self.is_dateless);
        let mut head = self.before.clone();
        head.extend_from_slice(format!("HTTP/1.1 {} Scripted\r\n", self.status).as_bytes());
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
        body.extend_from_slice(&self.after);
        (head, body)
    }

    /// Status, headers and what is sent of the body; `None`: it is no such answer. Headers about the connection are left out.
    pub(super) fn in_parts(&self, origin: &str) -> Option<InParts> {
        let plain = Self {
            chunk_bytes: None,
            ..self.clone()
        };
        if self.raw.is_some() || !self.before.is_empty() || !self.after.is_empty() {
            return None;
        }
        let (head, body) = plain.rendered(origin);
        let head = String::from_utf8(head).ok()?;
        let lines = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        let is_kept = |name: &str| {
            !matches!(name, "connection" | "transfer-encoding" | "keep-alive")
                && (name != "content-length" || self.chunk_bytes.is_none())
        };
        let headers = lines.filter(|(name, _)| is_kept(&name.to_ascii_lowercase()));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some((self.status, headers.collect(), body))
    }

    /// Whether it ends before its end.
    pub(super) fn is_cut(&self) -> bool {
        self.sent_bytes.is_some()
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

/// Status, headers and body.
type InParts = (u16, Vec<(String, String)>, Vec<u8>);

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
