//! `OUTBOUND_PROXY`: an HTTP proxy through which every request of the host goes, and the tunnel that it opens to https.
//!
//! Names are the proxy's to look up then: an origin is granted by its name alone. The proxy's own address is checked as any
//! other. What it is shown of us is its credential and, of https, a host and a port; of plain http it reads all.

use std::fmt;

use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use url::Url;
use zeroize::Zeroizing;

use super::credential::sensitive;
use super::{EgressError, Origin};
use crate::limits::PROXY_HEAD_BYTES_MAX;
use crate::secret::{Secret, base64, joined};

/// A user without a password that is shorter is no token, and hiding it would spoil every text that it occurs in.
const USER_BYTES_MIN: usize = 4;
/// What ends a head.
const END: &[u8] = b"\r\n\r\n";

/// A proxy, and as whom we use it.
#[derive(Debug, Clone)]
pub struct Proxy {
    origin: Origin,
    /// `user:password`.
    credential: Option<Secret>,
    /// Whether its name may lead to a private address, whatever `ALLOW_PRIVATE_NETWORKS` says.
    may_be_private: bool,
}

impl Proxy {
    /// Reads `OUTBOUND_PROXY`. `Err` completes a sentence that begins with the setting's name, and repeats nothing that may be
    /// secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let takes = || "takes `http://[user:password@]host:port`".to_owned();
        match text.split_once("://") {
            Some(("http", _)) => {}
            Some(("https", _)) => {
                return Err(format!(
                    "{}: a proxy that is itself reached over TLS is not supported; requests to https origins are encrypted from end to end \
                     in either case",
                    takes()
                ));
            }
            Some((scheme, _)) if scheme.starts_with("socks") => {
                return Err(format!("{}: SOCKS is not supported", takes()));
            }
            _ => return Err(takes()),
        }
        let url = Url::parse(text).map_err(|_| takes())?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(format!("{}, and nothing after the port", takes()));
        }
        let origin = Origin::of(&url).ok_or_else(takes)?;
        let decoded = |text: &str| {
            let text = String::from_utf8(percent_decode_str(text).collect());
            let text = text.ok().map(Zeroizing::new);
            text.filter(|text| !text.chars().any(char::is_control))
        };
        let in_it = || format!("{}, user and password percent-encoded as UTF-8", takes());
        let user = decoded(url.username()).ok_or_else(in_it)?;
        if user.contains(':') {
            return Err("has a colon in the user, which HTTP cannot carry".to_owned());
        }
        let password = url.password().unwrap_or_default();
        let password = decoded(password).ok_or_else(in_it)?;
        let is_given = !user.is_empty() || !password.is_empty();
        let pair = joined(&[&user, ":", &password]);
        Ok(Self {
            origin,
            credential: is_given.then(|| Secret::from(&**pair)),
            may_be_private: false,
        })
    }

    /// Whether there is a credential in this text, or could be: it cannot be understood. Some proxies take a token as the user.
    pub fn may_hold_password(text: &str) -> bool {
        Self::parse(text).map_or(true, |proxy| proxy.has_credential())
    }

    /// Whether it is used as somebody.
    pub fn has_credential(&self) -> bool {
        self.credential.is_some()
    }

    /// The same, whose name may lead to a private address.
    #[must_use]
    pub fn that_may_be_private(mut self) -> Self {
        self.may_be_private = true;
        self
    }

    /// True if and only if both are reached in the same place.
    pub fn is_at(&self, other: &Self) -> bool {
        self.origin == other.origin
    }

    /// The password in it.
    pub fn password(&self) -> Option<&str> {
        let pair = self.credential.as_ref()?.expose();
        let (_, password) = pair.split_once(':')?;
        Some(password).filter(|password| !password.is_empty())
    }

    /// What must not be seen: the pair that the header is made of, and the password, or the user where there is none.
    pub fn secrets(&self) -> Vec<Secret> {
        let Some(pair) = &self.credential else {
            return Vec::new();
        };
        let (user, password) = pair.expose().split_once(':').unwrap_or_default();
        let alone = if password.is_empty() { user } else { password };
        let alone =
            Some(alone).filter(|text| self.password().is_some() || text.len() >= USER_BYTES_MIN);
        std::iter::once(pair.clone())
            .chain(alone.map(Secret::from))
            .collect()
    }

    /// Where it is.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether its name may lead to a private address.
    pub(super) fn may_be_private(&self) -> bool {
        self.may_be_private
    }

    /// Puts the proxy's credential into a request that the proxy itself reads.
    pub(super) fn put_into(&self, headers: &mut HeaderMap) {
        if let Some(basic) = self.basic() {
            let basic = sensitive(basic).expect("base64 is ASCII");
            headers.insert(PROXY_AUTHORIZATION, basic);
        }
    }

    fn basic(&self) -> Option<Zeroizing<String>> {
        let pair = self.credential.as_ref()?.expose();
        Some(joined(&["Basic ", &base64(pair)]))
    }

    /// Has the proxy connect `stream` to `origin`. `Ok`: nothing but what that sends comes over it from now on.
    pub(super) async fn tunnel<S>(&self, stream: &mut S, origin: &Origin) -> Result<(), EgressError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let lost = |error: std::io::Error| self.unreachable(origin, &error.to_string());
        let there = origin.host_and_port();
        let basic = self.basic();
        let line: &[&str] = match &basic {
            Some(basic) => &["Proxy-Authorization: ", basic, "\r\n"],
            None => &[],
        };
        let request = ["CONNECT ", &there, " HTTP/1.1\r\nHost: ", &there, "\r\n"];
        let head = joined(&[&request, line, &["\r\n"]].concat());
        stream.write_all(head.as_bytes()).await.map_err(lost)?;
        stream.flush().await.map_err(lost)?;
        let (mut answer, mut begin) = (Vec::new(), 0);
        let end = loop {
            if let Some(at) = memchr::memmem::find(&answer[begin..], END) {
                let end = begin + at + END.len();
                // Others may come before the answer (RFC 9110, 15.2). They count towards the limit.
                let is_interim = |status: StatusCode| {
                    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
                };
                if !status(&answer[begin..]).is_some_and(is_interim) {
                    break end;
                }
                begin = end;
                continue;
            }
            // It would be waited for in vain.
            if memchr::memmem::find(&answer[begin..], b"\n\n").is_some() {
                return Err(self.broken(NO_PROXY));
            }
            if answer.len() >= PROXY_HEAD_BYTES_MAX {
                return Err(self.broken(&format!(
                    "its answer to CONNECT has a head of more than {PROXY_HEAD_BYTES_MAX} bytes"
                )));
            }
            let mut buffer = [0; 1024];
            let read = stream.read(&mut buffer).await.map_err(lost)?;
            if read == 0 && answer.is_empty() {
                return Err(self.unreachable(origin, "it closed the connection without an answer"));
            }
            if read == 0 {
                return Err(self.unreachable(origin, "its answer to CONNECT broke off"));
            }
            answer.extend_from_slice(&buffer[..read]);
            // What is no answer need not be waited for.
            if !b"HTTP/1.".starts_with(&answer[..answer.len().min(7)]) {
                return Err(self.broken(NO_PROXY));
            }
        };
        let status = status(&answer[begin..]).ok_or_else(|| self.broken(NO_PROXY))?;
        if !status.is_success() {
            return Err(self.refusal(status, origin));
        }
        // With TLS the client speaks first: whatever came already is not of the server.
        if end < answer.len() {
            return Err(self.broken("it sent data before the tunnel was used"));
        }
        Ok(())
    }

    /// What it means that the proxy itself answers with this status.
    pub(super) fn refusal(&self, status: StatusCode, origin: &Origin) -> EgressError {
        let answered = format!("it answered {}", words(status));
        let refused = |reason: String| EgressError::ProxyRefused {
            proxy: self.to_string(),
            reason,
        };
        match status {
            // tinyproxy answers 401 to a wrong password.
            StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED => {
                refused(match &self.credential {
                    Some(_) => format!(
                        "{answered}: check user and password in OUTBOUND_PROXY; only Basic is supported"
                    ),
                    None => format!(
                        "{answered}: it needs a user and a password in OUTBOUND_PROXY (http://user:password@host:port)"
                    ),
                })
            }
            StatusCode::FORBIDDEN => refused(format!(
                "{answered} for `{}`: its rules do not allow that host and port",
                origin.host_and_port()
            )),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                self.unreachable(origin, &answered)
            }
            status if status.is_server_error() => self.unreachable(origin, &answered),
            _ => self.broken(&format!("{answered} to CONNECT; {NO_PROXY}")),
        }
    }

    /// No way to `origin` for now: the proxy is not there, or has none.
    pub(super) fn unreachable(&self, origin: &Origin, reason: &str) -> EgressError {
        EgressError::Unreachable {
            origin: origin.to_string(),
            reason: format!("{}: {reason}", self.named()),
        }
    }

    /// `the proxy host:port (OUTBOUND_PROXY)`.
    pub fn named(&self) -> String {
        format!("the proxy `{self}` (OUTBOUND_PROXY)")
    }

    fn broken(&self, reason: &str) -> EgressError {
        EgressError::ProxyBroken {
            proxy: self.to_string(),
            reason: reason.to_owned(),
        }
    }
}

const NO_PROXY: &str = "it is not an HTTP proxy that opens tunnels; check its host and port";

/// Host and port.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin.host_and_port())
    }
}

/// The status of an answer; its reason in words may be anything.
fn status(answer: &[u8]) -> Option<StatusCode> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let rest = line
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let (digits, after) = rest.split_at_checked(3)?;
    let is_whole = after.is_empty() || after.starts_with(b" ");
    is_whole
        .then(|| StatusCode::from_bytes(digits).ok())
        .flatten()
}

fn words(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

#[cfg(test)]
mod tests;
