//! What the token endpoint says: a token, a refusal, that it is busy, or nothing that makes sense.
//!
//! No text of the server is repeated but the error code of RFC 6749, 5.2, and that only where it looks like one.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroize as _;

use super::OAuth2;
use crate::egress::EgressError;
use crate::limits::{TOKEN_BYTES_MAX, TOKEN_ERROR_BYTES_MAX, TOKEN_LIFETIME_MAX};
use crate::secret::{Redactor, Secret};
use crate::settings::catalogue::{SOURCE_SCOPE, SOURCE_TOKEN_URL};

/// A token, and how long it is good for.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) token: Secret,
    /// `None`: the server does not say.
    pub(super) lifetime: Option<Duration>,
}

/// What came in place of a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InPlace {
    Busy(String),
    Refusal(String),
    Nonsense(String),
}

impl InPlace {
    /// The error of a request to this origin, which is that of this setting.
    pub(super) fn of(self, origin: &str, setting: &'static str) -> EgressError {
        let origin = origin.to_owned();
        match self {
            Self::Busy(reason) => EgressError::TokenUnavailable {
                origin,
                setting,
                reason,
            },
            Self::Refusal(reason) => EgressError::CredentialRefused { origin, reason },
            Self::Nonsense(reason) => EgressError::BadToken {
                origin,
                setting,
                reason,
            },
        }
    }
}

/// RFC 6749, 5.1. What is not a string or a number where one is expected fails the whole.
#[derive(Deserialize)]
struct Success {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<Value>,
}

impl Drop for Success {
    fn drop(&mut self) {
        self.access_token.zeroize();
    }
}

/// RFC 6749, 5.2.
#[derive(Deserialize)]
struct Failure {
    error: String,
}

pub(super) fn read(status: StatusCode, body: &[u8], oauth2: &OAuth2) -> Result<Granted, InPlace> {
    if !status.is_success() {
        let failure: Option<Failure> = serde_json::from_slice(body).ok();
        let code = failure.and_then(|failure| error_code(&failure.error, oauth2.secrets()));
        return Err(in_place(status, code.as_deref(), words(oauth2)));
    }
    let nonsense = |why: &str| Err(InPlace::Nonsense(why.to_owned()));
    if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err() {
        return nonsense(&format!(
            "it answered {} with something that is not JSON; check the URL",
            status.as_u16()
        ));
    }
    // The error of serde could quote the token.
    let Ok(success) = serde_json::from_slice::<Success>(body) else {
        return nonsense("its answer has no `access_token`; check the URL");
    };
    if let Some(fault) = token_fault(&success.access_token) {
        return nonsense(&format!("its `access_token` {fault}"));
    }
    // Some servers leave it out, and mean this one.
    let is_bearer = |kind: &String| kind.eq_ignore_ascii_case("bearer");
    if !success.token_type.as_ref().is_none_or(is_bearer) {
        return nonsense("its `token_type` is not `bearer`, the only one that is supported");
    }
    let Ok(lifetime) = success.expires_in.as_ref().map(lifetime).transpose() else {
        return nonsense("its `expires_in` is not a number of seconds");
    };
    Ok(Granted {
        token: Secret::from(success.access_token.as_str()),
        lifetime: lifetime.flatten(),
    })
}

/// The refresh token in an answer, whatever else is in it (RFC 6749, A.17).
pub(super) fn refresh_token(status: StatusCode, body: &[u8]) -> Option<Secret> {
    #[derive(Deserialize)]
    struct Refreshed {
        refresh_token: Option<String>,
    }
    let refreshed: Refreshed = serde_json::from_slice(body).ok()?;
    let mut token = refreshed.refresh_token.filter(|_| status.is_success())?;
    let is_kept = !token.trim().is_empty()
        && token.len() <= TOKEN_BYTES_MAX
        && token.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let kept = is_kept.then(|| Secret::from(token.as_str()));
    token.zeroize();
    kept
}

/// The names for an error: of the URL, and of what is checked.
pub(super) fn words(oauth2: &OAuth2) -> (&'static str, &'static str) {
    (SOURCE_TOKEN_URL.row.name, oauth2.settings())
}

/// What is wrong with a token; it completes a sentence about it.
pub(super) fn token_fault(token: &str) -> Option<String> {
    if token.is_empty() {
        return Some("is empty".to_owned());
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Some(format!("is longer than {TOKEN_BYTES_MAX} bytes"));
    }
    let is_sent = token.bytes().all(|byte| byte.is_ascii_graphic());
    (!is_sent).then(|| "has a character that no header can carry".to_owned())
}

/// What an answer without success means, by its status and RFC 6749's error code.
pub(super) fn in_place(
    status: StatusCode,
    code: Option<&str>,
    (url, settings): (&'static str, &'static str),
) -> InPlace {
    let number = status.as_u16();
    let coded = code.map(|code| format!(" `{code}`")).unwrap_or_default();
    match number {
        408 | 425 | 429 | 500.. => InPlace::Busy(format!("it answered {number}{coded}")),
        400 | 401 | 403 => {
            let settings = match code {
                Some("invalid_scope") => SOURCE_SCOPE.row.name,
                _ => settings,
            };
            InPlace::Refusal(format!(
                "`{url}` answered {number}{coded}; check {settings}"
            ))
        }
        300..=399 => InPlace::Nonsense(format!(
            "it answered {number}, and a redirect is not followed with a credential; name the last URL"
        )),
        _ => InPlace::Nonsense(format!("it answered {number}{coded}; check the URL")),
    }
}

/// The code, if it is one of RFC 6749's characters, short, and does not repeat a secret.
fn error_code(code: &str, secrets: Vec<Secret>) -> Option<String> {
    let is_allowed = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'`');
    let fits =
        !code.is_empty() && code.len() <= TOKEN_ERROR_BYTES_MAX && code.bytes().all(is_allowed);
    let repeats = Redactor::new(secrets).hide(code) != code;
    (fits && !repeats).then(|| code.to_owned())
}

/// Seconds, as a number or as the digits of one; `null` says nothing.
fn lifetime(given: &Value) -> Result<Option<Duration>, ()> {
    let seconds = match given {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let seconds = seconds
        .filter(|seconds: &f64| seconds.is_finite())
        .ok_or(())?;
    let capped = seconds.clamp(0.0, TOKEN_LIFETIME_MAX.as_secs_f64());
    Ok(Some(Duration::from_secs_f64(capped)))
}

#[cfg(test)]
mod tests;
