//! What an answer has to be before anybody reads it: whole, not packed, and without our credential. Under our host, the host
//! sees to that.

use tidegate_secret::{BODY_BYTES_MIN, HEADER_BYTES_MIN, Search};

use super::ended::one_line;
use crate::ports::{Answer, Clock, Http, Method, Request, SendError};

/// Formats that a body may be packed in, by the bytes that it begins with.
const PACKED: [(&[u8], &str); 5] = [
    (&[0x1f, 0x8b], "gzip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (b"BZh", "bzip2"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz"),
    (b"PK\x03\x04", "zip"),
];

/// Secrets, and where they are looked for.
pub struct Hidden {
    header: Search,
    body: Search,
    text: Search,
}

impl Hidden {
    /// Looks for these in every form.
    pub fn new(secrets: &[&str]) -> Self {
        let search = |bytes_min| Search::new(secrets.iter().copied(), bytes_min);
        Self {
            header: search(HEADER_BYTES_MIN),
            body: search(BODY_BYTES_MIN),
            text: search(1),
        }
    }

    /// A line for people: without a secret, and nothing in it begins another line.
    pub fn line(&self, text: &str) -> String {
        let (mut shown, _) = hidden(&self.text, text.as_bytes());
        self.text.hide_cut(&mut shown);
        one_line(&String::from_utf8_lossy(&shown))
    }
}

/// The text without secrets, and how many there were.
fn hidden(search: &Search, text: &[u8]) -> (Vec<u8>, u64) {
    let mut shown = Vec::with_capacity(text.len());
    let found = search.hide(text, true, &mut shown);
    (shown, found.count)
}

/// Gives answers only that are whole, not packed, and without our credential.
pub struct Checked<'h, H> {
    inner: H,
    hidden: &'h Hidden,
    /// Credentials that were in answers.
    pub found: u64,
}

impl<'h, H> Checked<'h, H> {
    /// Takes these secrets out of answers.
    pub fn new(inner: H, hidden: &'h Hidden) -> Self {
        Self {
            inner,
            hidden,
            found: 0,
        }
    }

    fn clean(&mut self, answer: &mut Answer) {
        if !self.hidden.body.is_empty() {
            let (body, found) = hidden(&self.hidden.body, &answer.body);
            if found > 0 {
                answer.body = body;
                self.found += found;
            }
        }
        for (_, value) in &mut answer.headers {
            let (shown, found) = hidden(&self.hidden.header, value);
            if found > 0 {
                *value = shown;
                self.found += found;
            }
        }
    }
}

impl<H: Http> Http for Checked<'_, H> {
    fn begin(&mut self, request: &Request) {
        self.inner.begin(&plainly(request));
    }

    fn forget(&mut self) {
        self.inner.forget();
    }

    fn send(&mut self, request: &Request, body_bytes_max: usize) -> Result<Answer, SendError> {
        let mut answer = self.inner.send(&plainly(request), body_bytes_max)?;
        refuse_cut_off(&answer)?;
        refuse_packed(&answer)?;
        self.clean(&mut answer);
        Ok(answer)
    }
}

/// The request for an answer that is not packed, with the length of its body: not every server takes one in chunks.
fn plainly(request: &Request) -> Request {
    let mut request = request.clone();
    let identity = ("accept-encoding".to_owned(), "identity".to_owned());
    let length = match (&request.body, request.method) {
        (Some(body), _) => Some(body.len().to_string()),
        (None, Method::Post) => Some("0".to_owned()),
        (None, Method::Get) => None,
    };
    let length = length.map(|length| ("content-length".to_owned(), length));
    request.headers.push(identity);
    request.headers.extend(length);
    request
}

/// Not every runtime compares what came with what was announced.
fn refuse_cut_off(answer: &Answer) -> Result<(), SendError> {
    let announced = header(answer, "content-length").and_then(|length| length.parse::<u64>().ok());
    // A runtime that unpacks may leave the length as it was.
    let is_as_sent = matches!(encoding(answer), None | Some("identity"));
    let came = u64::try_from(answer.body.len()).unwrap_or(u64::MAX);
    match announced {
        Some(announced) if is_as_sent && came < announced && answer.status != 304 => {
            Err(SendError::CutOff(format!(
                "the answer was cut off: {came} of {announced} bytes came"
            )))
        }
        _ => Ok(()),
    }
}

fn refuse_packed(answer: &Answer) -> Result<(), SendError> {
    let known = PACKED
        .iter()
        .find(|(start, _)| answer.body.starts_with(start));
    let known = known.map(|(_, name)| *name);
    // A runtime may have unpacked it, and left the header.
    let is_text = || std::str::from_utf8(&answer.body).is_ok();
    let named = encoding(answer).filter(|name| *name != "identity" && !is_text());
    match known.or(named) {
        Some(name) => {
            let name = crate::failure::quoted(name);
            Err(SendError::Broken(format!(
                "the answer is packed as {name}, although that was not asked for: have the source send it plain, or use `tidegate run`, which unpacks gzip and zip"
            )))
        }
        None => Ok(()),
    }
}

fn encoding(answer: &Answer) -> Option<&str> {
    header(answer, "content-encoding")
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let found = answer.headers.iter().find(|(known, _)| known == name);
    found.and_then(|(_, value)| std::str::from_utf8(value).ok())
}

/// How much is logged. The last line of a run always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A line a page, too.
    Debug,
    /// What a person may want to know.
    Info,
    /// Warnings.
    Warn,
    /// Nothing but how the run ended.
    Error,
}

impl Level {
    /// That of a line, which says so itself.
    fn of(line: &str) -> Self {
        match line.split_once(": ") {
            Some(("debug", _)) => Self::Debug,
            Some(("warn", _)) => Self::Warn,
            _ => Self::Info,
        }
    }
}

/// A log without secrets, and no wait behind the end of the run.
pub struct Careful<'h, C> {
    inner: C,
    hidden: &'h Hidden,
    least: Level,
    ends_ns: u64,
}

impl<'h, C: Clock> Careful<'h, C> {
    /// The run ends `seconds` from now.
    pub fn new(mut inner: C, hidden: &'h Hidden, least: Level, seconds: u64) -> Self {
        let ends_ns = inner
            .monotonic_ns()
            .saturating_add(seconds.saturating_mul(1_000_000_000));
        Self {
            inner,
            hidden,
            least,
            ends_ns,
        }
    }

    /// When the run ends, on the monotonic clock.
    pub fn ends_ns(&self) -> u64 {
        self.ends_ns
    }

    /// Whether it has to be over.
    pub fn is_over(&mut self) -> bool {
        self.inner.monotonic_ns() >= self.ends_ns
    }
}

impl<C: Clock> Clock for Careful<'_, C> {
    fn monotonic_ns(&mut self) -> u64 {
        self.inner.monotonic_ns()
    }

    fn unix_seconds(&mut self) -> i64 {
        self.inner.unix_seconds()
    }

    fn sleep_ms(&mut self, ms: u64) {
        let left_ms = self.ends_ns.saturating_sub(self.inner.monotonic_ns()) / 1_000_000;
        self.inner.sleep_ms(ms.min(left_ms));
    }

    fn log(&mut self, line: &str) {
        if Level::of(line) >= self.least {
            let line = self.hidden.line(line);
            self.inner.log(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "k3y/with+sixteen=bytes";

    struct Answers(Answer);

    impl Http for Answers {
        fn send(&mut self, _: &Request, _: usize) -> Result<Answer, SendError> {
            Ok(self.0.clone())
        }
    }

    fn checked(headers: &[(&str, &str)], body: &[u8]) -> (Result<Answer, SendError>, u64) {
        let hidden = Hidden::new(&[KEY]);
        let headers = headers.iter();
        let mut http = Checked::new(
            Answers(Answer {
                status: 200,
                headers: headers
                    .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                    .collect(),
                body: body.to_vec(),
            }),
            &hidden,
        );
        let request = Request {
            method: Method::Get,
            url: "https://api.example.com/".to_owned(),
            headers: Vec::new(),
            body: None,
        };
        let answer = http.send(&request, 1000);
        (answer, http.found)
    }

    #[test]
    fn an_answer_of_fewer_bytes_than_announced_was_cut_off() {
        let (cut, _) = checked(&[("content-length", "5")], b"[1,2");
        let (whole, _) = checked(&[("content-length", "4")], b"[12]");
        let (unpacked, _) = checked(
            &[("content-length", "5"), ("content-encoding", "br")],
            b"[12]",
        );

        assert!(matches!(cut, Err(SendError::CutOff(text)) if text.contains("4 of 5 bytes")));
        assert!(whole.is_ok() && unpacked.is_ok());
    }

    #[test]
    fn what_is_packed_is_refused_by_name() {
        for (headers, body, name) in [
            (&[][..], &b"\x1f\x8b\x08rest"[..], "`gzip`"),
            (
                &[("content-encoding", "gzip")],
                b"\x1f\x8b\x08rest",
                "`gzip`",
            ),
            (&[], b"\x28\xb5\x2f\xfdrest", "`zstd`"),
            (&[("content-encoding", "br")], b"\x8b\x02\x80[]\x03", "`br`"),
            (&[], b"PK\x03\x04rest", "`zip`"),
        ] {
            let (refused, _) = checked(headers, body);

            assert!(
                matches!(&refused, Err(SendError::Broken(text)) if text.contains(name)),
                "{name}: {refused:?}"
            );
        }
    }

    #[test]
    fn our_credential_is_in_no_body_header_or_line() {
        let echo = format!("[{{\"you\":\"{KEY}\",\"id\":1}}]");
        let escaped = KEY.replace('/', "\\/");

        let (answer, found) = checked(
            &[("link", "</?k=k3y%2Fwith%2Bsixteen%3Dbytes>")],
            echo.as_bytes(),
        );
        let (json, _) = checked(&[], escaped.as_bytes());
        let (plain, none) = checked(&[("link", "</?page=2>")], b"[{\"id\":1}]");

        let answer = answer.unwrap();
        assert_eq!(answer.body, b"[{\"you\":\"REDACTED\",\"id\":1}]");
        assert_eq!(answer.headers[0].1, b"</?k=REDACTED>");
        assert_eq!(found, 2);
        assert_eq!(json.unwrap().body, b"REDACTED");
        assert_eq!((plain.unwrap().body, none), (b"[{\"id\":1}]".to_vec(), 0));
        assert_eq!(
            Hidden::new(&["p4ss"]).line("a p4ss\nexit 0: "),
            "a REDACTED\\nexit 0: "
        );
    }
}
