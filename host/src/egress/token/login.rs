//! A login: a request with user and password, whose answer has a session token for all other requests.

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use url::Url;
use zeroize::{Zeroize as _, Zeroizing};

use super::answer::{Granted, InPlace, in_place, token_fault};
use super::post;
use crate::egress::credential::{Credential, pair_secrets, sensitive};
use crate::egress::key::Key;
use crate::secret::{Secret, first_of, in_json, joined, percent_encoded, shared};
use crate::settings::catalogue::SOURCE_LOGIN_URL;

/// What stands for the user in a body.
pub const USER: &str = "{user}";
/// What stands for the password.
pub const PASSWORD: &str = "{password}";
/// What stands for the session token.
pub const TOKEN: &str = "{token}";

/// The settings to look at when it is refused.
const SETTINGS: &str = "SOURCE_API_KEY, SOURCE_LOGIN_BODY and SOURCE_LOGIN_URL";

/// Where to log in, as whom, and what to do with what comes back.
#[derive(Debug, Clone)]
pub struct Login {
    /// `SOURCE_LOGIN_URL`.
    pub url: Url,
    /// `SOURCE_LOGIN_BODY`.
    pub body: LoginBody,
    /// `SOURCE_API_KEY`: `user:password`.
    pub pair: Key,
    /// `SOURCE_LOGIN_TOKEN`.
    pub token: TokenIn,
    /// `SOURCE_LOGIN_SEND`.
    pub send: SendAs,
}

/// A body with places for user and password.
#[derive(Debug, Clone)]
pub struct LoginBody {
    pub template: String,
    /// Else it is a form.
    pub is_json: bool,
}

/// Where the answer has the token.
#[derive(Debug, Clone)]
pub enum TokenIn {
    /// A JSON Pointer into the body.
    Body(String),
    Header(HeaderName),
    Cookie(String),
}

/// How the token is sent.
#[derive(Debug, Clone)]
pub enum SendAs {
    Bearer,
    /// In a header, between these two.
    Header(HeaderName, String, String),
    Query(String),
    Cookie(String),
}

impl Login {
    pub(super) fn secrets(&self) -> Vec<Secret> {
        pair_secrets(&self.pair)
    }

    /// `Err`: the URL is none that HTTP can carry.
    pub(super) fn request(&self) -> Result<Request<Full<Bytes>>, String> {
        let (user, password) = self.pair.expose().split_once(':').unwrap_or_default();
        let (kind, encoded): (_, fn(&str) -> Zeroizing<String>) = if self.body.is_json {
            ("application/json", in_json)
        } else {
            ("application/x-www-form-urlencoded", percent_encoded)
        };
        let (user, password) = (encoded(user), encoded(password));
        let mut parts: Vec<&str> = Vec::new();
        let mut rest = self.body.template.as_str();
        // Placeholders in a password are no placeholders.
        while let Some((at, name)) = first_of(rest, &[USER, PASSWORD]) {
            parts.push(&rest[..at]);
            parts.push(if name == USER { &user } else { &password });
            rest = &rest[at + name.len()..];
        }
        parts.push(rest);
        let body = Full::new(shared(joined(&parts)));
        let request = post(&self.url, kind).body(body);
        request.map_err(|error| error.to_string())
    }

    /// The token in an answer, or what came in its place.
    pub(super) fn read(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Granted, InPlace> {
        // A login for people answers with a cookie and another page.
        let is_redirect = status.is_redirection() && !matches!(self.token, TokenIn::Body(_));
        if !status.is_success() && !is_redirect {
            return Err(match status {
                StatusCode::UNPROCESSABLE_ENTITY => {
                    in_place(StatusCode::BAD_REQUEST, None, Self::words())
                }
                status => in_place(status, None, Self::words()),
            });
        }
        let (found, place) = match &self.token {
            TokenIn::Header(name) => {
                let value = headers.get(name).and_then(|value| value.to_str().ok());
                (value.map(Secret::from), format!("the header `{name}`"))
            }
            TokenIn::Cookie(name) => (cookie(headers, name), format!("the cookie `{name}`")),
            TokenIn::Body(pointer) => (at(body, pointer), format!("a text at `{pointer}`")),
        };
        let status = status.as_u16();
        let Some(token) = found.filter(|token| !token.expose().is_empty()) else {
            return Err(InPlace::Refusal(format!(
                "`SOURCE_LOGIN_URL` answered {status} without {place}; check SOURCE_LOGIN_TOKEN, {SETTINGS}"
            )));
        };
        if let Some(fault) = token_fault(token.expose()) {
            return Err(InPlace::Nonsense(format!("its session token {fault}")));
        }
        Ok(Granted {
            token,
            lifetime: None,
        })
    }

    /// The names for an error: of the URL, of what is checked.
    pub(super) fn words() -> (&'static str, &'static str) {
        (SOURCE_LOGIN_URL.row.name, SETTINGS)
    }

    /// The header that answers have the token in. One that the source renews so is a secret as well.
    pub(super) fn header_of_answers(&self) -> Option<&HeaderName> {
        match &self.token {
            TokenIn::Header(name) => Some(name),
            TokenIn::Body(_) | TokenIn::Cookie(_) => None,
        }
    }

    /// The header that the token is sent as; cookies are added to others.
    pub(super) fn header(&self) -> Option<HeaderName> {
        match &self.send {
            SendAs::Bearer => Some(AUTHORIZATION),
            SendAs::Header(name, ..) => Some(name.clone()),
            SendAs::Query(_) | SendAs::Cookie(_) => None,
        }
    }

    /// The token as it is sent; none: it has a character that no header can carry.
    pub(super) fn credential(&self, token: &Secret) -> Option<Credential> {
        let token = token.expose();
        Some(match &self.send {
            SendAs::Bearer => {
                Credential::Header(AUTHORIZATION, sensitive(joined(&["Bearer ", token]))?)
            }
            SendAs::Header(name, before, after) => {
                Credential::Header(name.clone(), sensitive(joined(&[before, token, after]))?)
            }
            SendAs::Cookie(name) => {
                Credential::Header(COOKIE, sensitive(joined(&[name, "=", token]))?)
            }
            SendAs::Query(name) => Credential::Query {
                name: name.clone(),
                value: Secret::from(token),
            },
        })
    }
}

/// The cookie of this name: the last one counts (RFC 6265, 5.3), and one that is taken back is none.
fn cookie(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let mut found = None;
    for cookie in headers.get_all(SET_COOKIE) {
        let Ok(cookie) = cookie.to_str() else {
            continue;
        };
        let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
        let Some((given, value)) = pair.split_once('=') else {
            continue;
        };
        if given.trim() != name {
            continue;
        }
        let is_over = attributes.split(';').any(|attribute| {
            let (what, seconds) = attribute.split_once('=').unwrap_or_default();
            let seconds = seconds.trim().parse::<i64>();
            what.trim().eq_ignore_ascii_case("max-age") && seconds.is_ok_and(|left| left <= 0)
        });
        found = (!is_over).then(|| Secret::from(value.trim()));
    }
    found
}

fn at(body: &[u8], pointer: &str) -> Option<Secret> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    let Value::String(text) = body.pointer_mut(pointer)? else {
        return None;
    };
    let found = Secret::from(text.as_str());
    text.zeroize();
    Some(found)
}

#[cfg(test)]
mod tests;
