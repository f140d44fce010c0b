//! AWS Signature Version 4: requests to the source are signed as they go out, by the crate of AWS's SDK (`SOURCE_AUTH=aws-sigv4`).
//!
//! Signed are the method, the host, the path, the query, the body, `Content-Type` and every `x-amz-` header. Others may change on
//! the way, and AWS does not ask for them. When a request is signed again is `request`'s to say.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningParams,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::header::{CONTENT_TYPE, DATE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, StatusCode, Uri, request};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use zeroize::{Zeroize as _, Zeroizing};

use super::credential::sensitive;
use crate::limits::CLOCK_DIFFERENCE_MAX;
use crate::secret::{Secret, percent_encoded, shared};

/// A smaller difference is no reason for a refusal: AWS allows five minutes, and S3 fifteen.
const CLOCK_DIFFERENCE_MIN: Duration = Duration::from_mins(4);

/// An access key of AWS.
#[derive(Debug, Clone)]
pub struct AwsKey(Credentials);

/// What AWS's `credential_process` prints, as far as it is used.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

impl Drop for Printed {
    fn drop(&mut self) {
        self.secret_access_key.zeroize();
        self.session_token.zeroize();
    }
}

impl AwsKey {
    /// Reads `id:secret`, `id:secret:session token`, or the JSON that AWS's `credential_process` prints. `Err` completes a
    /// sentence that begins with the setting's name, and shows nothing of the value.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.starts_with('{') {
            // The error of serde could quote the secret.
            let printed: Printed = serde_json::from_str(text).map_err(
                |_| "begins like JSON, and is not an object with `AccessKeyId` and `SecretAccessKey`",
            )?;
            let token = printed.session_token.as_deref();
            return Self::of(&printed.access_key_id, &printed.secret_access_key, token);
        }
        let mut parts = text.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(id), Some(secret), token) => Self::of(id, secret, token),
            _ => Err(
                "takes `access key id:secret access key` with SOURCE_AUTH=aws-sigv4, of a temporary key with `:session token` \
                 behind it, or the JSON of AWS's `credential_process`",
            ),
        }
    }

    fn of(id: &str, secret: &str, token: Option<&str>) -> Result<Self, &'static str> {
        let token = token.filter(|token| !token.is_empty());
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if !is_word(id) || id.contains(['/', ',', '=']) {
            return Err("has an access key id that is none");
        }
        if !is_word(secret) || !token.is_none_or(is_word) {
            return Err(
                "has a blank or another character in it that no access key and no session token has",
            );
        }
        let token = token.map(str::to_owned);
        Ok(Self(Credentials::new(id, secret, token, None, "tidegate")))
    }

    /// What must not be seen. The id is public: AWS sends it back in errors.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let token = self.0.session_token();
        let secrets = std::iter::once(self.0.secret_access_key()).chain(token);
        secrets.map(Secret::from).collect()
    }
}

/// What signatures are for. Clones share the difference of the clocks.
#[derive(Debug, Clone)]
pub struct AwsScope {
    /// `SOURCE_AWS_REGION`.
    pub region: String,
    /// `SOURCE_AWS_SERVICE`.
    pub service: String,
    /// How many seconds the source's clock is ahead of this machine's, if AWS refused a signature for that.
    ahead_seconds: Arc<AtomicI64>,
}

impl AwsScope {
    /// For this service in this region.
    pub fn new(region: String, service: String) -> Self {
        Self {
            region,
            service,
            ahead_seconds: Arc::default(),
        }
    }

    /// S3 takes the path as it is sent, and wants the hash of the body in a header.
    fn is_s3(&self) -> bool {
        self.service == "s3" || self.service.starts_with("s3-")
    }
}

/// Signs requests with one key.
pub(super) struct AwsSigner {
    key: AwsKey,
    scope: AwsScope,
}

impl AwsSigner {
    pub(super) fn new(key: AwsKey, scope: AwsScope) -> Self {
        Self { key, scope }
    }

    /// The time by which a request is signed: the source's, once it refused ours.
    pub(super) fn now(&self) -> SystemTime {
        let ahead = self.scope.ahead_seconds.load(Ordering::Relaxed);
        let by = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 {
            SystemTime::now() - by
        } else {
            SystemTime::now() + by
        }
    }

    /// Signs a request that is complete, and gives what must not come back. `Err` completes a sentence about the request.
    pub(super) fn sign(
        &self,
        head: &mut request::Parts,
        body: &[u8],
        time: SystemTime,
    ) -> Result<Vec<Secret>, &'static str> {
        spell_out(&mut head.uri)
            .ok_or("its URL is too long, or has escapes in the query that are not UTF-8")?;
        let is_signed = |name: &HeaderName| *name == CONTENT_TYPE || is_amz(name);
        let headers = head.headers.iter().filter(|(name, _)| is_signed(name));
        let headers: Option<Vec<(&str, &str)>> = headers
            .map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect();
        let headers = headers.ok_or("a header of it that is signed has characters beyond ASCII")?;
        let is_s3 = self.scope.is_s3();
        let mut settings = SigningSettings::default();
        if is_s3 {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        if is_s3 || self.scope.service == "aoss" {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity = self.key.0.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.scope.region)
            .name(&self.scope.service)
            .time(time)
            .settings(settings)
            .build()
            .expect("all of it is given");
        let params = SigningParams::from(params);
        let unsigned = "AWS's rules for signatures do not fit it";
        let request = SignableRequest::new(
            head.method.as_str(),
            head.uri.to_string(),
            headers.into_iter(),
            SignableBody::Bytes(body),
        );
        let signed = sign(request.map_err(|_| unsigned)?, &params).map_err(|_| unsigned)?;
        let (instructions, signature) = signed.into_parts();
        let signature = Zeroizing::new(signature);
        for (name, value) in instructions.headers() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsigned)?;
            let value = sensitive(Zeroizing::new(value.to_owned())).ok_or(unsigned)?;
            head.headers.insert(name, value);
        }
        let upper = Zeroizing::new(signature.to_ascii_uppercase());
        Ok(vec![
            Secret::from(signature.as_str()),
            Secret::from(upper.as_str()),
        ])
    }

    /// How many seconds the source's clock is ahead of the time by which it was asked; none where that is no reason to refuse.
    pub(super) fn ahead_seconds(asked: SystemTime, answer: &HeaderMap) -> Option<i64> {
        let date = jiff::fmt::rfc2822::parse(answer.get(DATE)?.to_str().ok()?).ok()?;
        let asked = asked.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let ahead = date.timestamp().as_second() - i64::try_from(asked).ok()?;
        (ahead.unsigned_abs() >= CLOCK_DIFFERENCE_MIN.as_secs()).then_some(ahead)
    }

    /// From here on, requests are signed by a clock that is so much ahead of the one that `asked` is by. `None`: clocks do not
    /// differ that much.
    pub(super) fn correct(&self, asked: SystemTime, ahead_seconds: i64) -> Option<i64> {
        let source = if ahead_seconds < 0 {
            asked - Duration::from_secs(ahead_seconds.unsigned_abs())
        } else {
            asked + Duration::from_secs(ahead_seconds.unsigned_abs())
        };
        let seconds = |difference: Duration| i64::try_from(difference.as_secs()).ok();
        let ahead = match source.duration_since(SystemTime::now()) {
            Ok(ahead) => seconds(ahead)?,
            Err(behind) => -seconds(behind.duration())?,
        };
        if ahead.unsigned_abs() > CLOCK_DIFFERENCE_MAX.as_secs() {
            return None;
        }
        self.scope.ahead_seconds.store(ahead, Ordering::Relaxed);
        Some(ahead)
    }

    /// What was refused, and which settings to look at.
    pub(super) fn advice(
        &self,
        status: StatusCode,
        refusal: Refusal,
        ahead_seconds: Option<i64>,
    ) -> String {
        let Refusal { code, kind } = refusal;
        let answered = format!("it answered {} `{code}`", status.as_u16());
        let AwsScope {
            region, service, ..
        } = &self.scope;
        match (kind, ahead_seconds) {
            (Kind::Clock | Kind::Signature, Some(ahead)) => format!(
                "{answered}, and its clock differs from this machine's by {} s: set the clock",
                ahead.unsigned_abs()
            ),
            (Kind::Clock, None) => format!("{answered}: check this machine's clock"),
            (Kind::Signature, None) => format!(
                "{answered}; check the secret access key in SOURCE_API_KEY, SOURCE_AWS_REGION (`{region}`) and SOURCE_AWS_SERVICE (`{service}`)"
            ),
            (Kind::Key, _) => format!(
                "{answered}; the access key in SOURCE_API_KEY is not valid, or its session token has expired: renew it"
            ),
        }
    }
}

/// Writes path and query in the one way that every server signs alike: some take them as they are sent, and others decode and
/// encode them first. `None`: the query has escapes that are not UTF-8, or the target is too long for a URL.
fn spell_out(uri: &mut Uri) -> Option<()> {
    let given = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    // Of its size from the beginning: a text that grows leaves copies behind.
    let mut target = Zeroizing::new(String::with_capacity(3 * given.len()));
    for (at, segment) in uri.path().split('/').enumerate() {
        if at > 0 {
            target.push('/');
        }
        match spelled(segment) {
            Some(segment) => target.push_str(&segment),
            None => target.push_str(segment),
        }
    }
    let pairs = uri.query().unwrap_or_default().split('&');
    for (at, pair) in pairs.filter(|pair| !pair.is_empty()).enumerate() {
        target.push(if at == 0 { '?' } else { '&' });
        let pair = Zeroizing::new(pair.replace('+', "%20"));
        let (name, value) = match pair.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (pair.as_str(), None),
        };
        target.push_str(&spelled(name)?);
        if let Some(value) = value {
            target.push('=');
            target.push_str(&spelled(value)?);
        }
    }
    let target = PathAndQuery::from_maybe_shared(shared(target)).ok()?;
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = Some(target);
    *uri = Uri::from_parts(parts).expect("scheme and authority were there before");
    Some(())
}

fn spelled(text: &str) -> Option<Zeroizing<String>> {
    let plain = percent_decode_str(text).decode_utf8().ok()?;
    Some(percent_encoded(&Zeroizing::new(plain.into_owned())))
}

fn is_amz(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-amz-")
}

/// What a source that does not accept a signature complains of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// When it was made.
    Clock,
    /// What it is, or what it is for.
    Signature,
    /// Who made it.
    Key,
}

/// The code of an error by which AWS refuses a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    code: &'static str,
    pub(super) kind: Kind,
}

const CODES: [(&str, Kind); 16] = [
    ("RequestTimeTooSkewed", Kind::Clock),
    ("RequestExpired", Kind::Clock),
    ("RequestInTheFuture", Kind::Clock),
    ("SignatureDoesNotMatch", Kind::Signature),
    ("InvalidSignatureException", Kind::Signature),
    ("IncompleteSignature", Kind::Signature),
    ("IncompleteSignatureException", Kind::Signature),
    ("AuthorizationHeaderMalformed", Kind::Signature),
    ("ExpiredToken", Kind::Key),
    ("ExpiredTokenException", Kind::Key),
    ("InvalidToken", Kind::Key),
    ("InvalidAccessKeyId", Kind::Key),
    ("InvalidClientTokenId", Kind::Key),
    ("UnrecognizedClientException", Kind::Key),
    ("TokenRefreshRequired", Kind::Key),
    ("AuthFailure", Kind::Key),
];

impl Refusal {
    /// True if and only if an answer of this status may be a refusal.
    pub(super) fn is_possible(status: StatusCode) -> bool {
        matches!(status.as_u16(), 400 | 401 | 403)
    }

    /// The refusal in an answer whose body begins like this: in a header, in XML (`<Code>`) or in JSON (`__type`, `code`).
    pub(super) fn of(headers: &HeaderMap, beginning: &[u8]) -> Option<Self> {
        let named = headers
            .get("x-amzn-errortype")
            .and_then(|value| value.to_str().ok());
        let named = named.and_then(|value| value.split(':').next());
        let text = String::from_utf8_lossy(beginning);
        let is_in = |code: &str| {
            named == Some(code)
                || text.contains(&format!(">{code}<"))
                || text.contains(&format!("\"{code}\""))
                || text.contains(&format!("#{code}\""))
        };
        let found = CODES.iter().find(|(code, _)| is_in(code));
        found.map(|&(code, kind)| Self { code, kind })
    }
}

#[cfg(test)]
mod tests;
