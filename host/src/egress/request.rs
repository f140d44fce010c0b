//! What goes out: a head built anew from what was checked, a body that is whole, and the credential to the source alone.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::uri::{PathAndQuery, Uri};
use http::{Request, Response, StatusCode, request};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, utf8_percent_encode};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::headers::{head_bytes, outgoing};
use super::{BoxError, EgressError, Origin, Shared};
use crate::secret::Learned;

/// The head of an answer, and when its body must be complete.
pub(super) type Answer = (Response<Incoming>, Instant);

impl Shared {
    /// The head as it goes out, but for the credential.
    pub(super) fn outgoing_head(
        &self,
        given: request::Parts,
        origin: &Origin,
    ) -> Result<request::Parts, EgressError> {
        let target = target(&given.uri, origin)?;
        let first_line_bytes =
            given.method.as_str().len() + target.as_str().len() + " HTTP/1.1\r\n".len() + 1;
        let (mut head, ()) = Request::new(()).into_parts();
        head.headers = outgoing(&given.headers);
        let signer = self.signer.as_ref();
        if let Some(signed) = signer.and_then(|signer| signer.authorization(&given.headers)) {
            head.headers.insert(AUTHORIZATION, signed);
        }
        if head_bytes(first_line_bytes, &head.headers) > self.limits.request_head_bytes {
            let limit = self.limits.request_head_bytes as u64;
            return Err(EgressError::TooLarge {
                origin: origin.to_string(),
                what: "request_head_bytes",
                limit,
            });
        }
        head.method = given.method;
        // Built anew from what was checked, so that the host that is dialed and the `Host` that is sent are that one.
        head.uri = Uri::builder()
            .scheme(origin.scheme())
            .authority(origin.authority())
            .path_and_query(target)
            .build()
            .map_err(|_| EgressError::Denied {
                message: format!("no request was sent to `{origin}`: its URL is not valid"),
            })?;
        Ok(head)
    }

    /// One of the requests that may be open at the same time.
    pub(super) async fn permit(
        &self,
        origin: &str,
        patience: Instant,
    ) -> Result<OwnedSemaphorePermit, EgressError> {
        let waited = timeout_at(patience, self.open.clone().acquire_owned()).await;
        let permit = waited.map_err(|_| EgressError::Budget {
            origin: origin.to_owned(),
            what: "connections",
            limit: self.limits.requests_open as u64,
            policy: self.policy.by(),
        })?;
        Ok(permit.expect("the semaphore is never closed"))
    }

    /// The component's body, whole: its length is then known, and it can be sent again.
    pub(super) async fn whole_body<B>(
        &self,
        body: B,
        origin: &str,
        patience: Instant,
    ) -> Result<Bytes, EgressError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let limit = self.limits.request_body_bytes;
        let capped = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX));
        let broken = |reason: String| EgressError::RequestBroken {
            origin: origin.to_owned(),
            reason,
        };
        match timeout_at(patience, capped.collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(EgressError::TooLarge {
                origin: origin.to_owned(),
                what: "request_body_bytes",
                limit,
            }),
            Ok(Err(error)) => Err(broken(error.to_string())),
            Err(_) => Err(broken(format!(
                "it was not complete within {:?}",
                self.limits.response_timeout
            ))),
        }
    }

    /// Asks `origin`: the source with the credential, and once more when it does not accept that and there is another: a new
    /// token, or the key that is in its file now.
    pub(super) async fn ask(
        &self,
        mut head: request::Parts,
        body: Bytes,
        origin: &Origin,
    ) -> Result<Answer, EgressError> {
        let is_source = self.policy.source.as_ref() == Some(origin);
        if let Some(signer) = &self.signer {
            if is_source {
                for signature in signer.sign(&mut head, origin)? {
                    self.echoes.learn(&signature, Learned::Signature);
                }
            } else {
                signer.check_unsigned(&head, origin)?;
            }
        }
        if !is_source {
            return self.exchange(head, body, origin).await;
        }
        self.warn_of_plain(origin);
        let Some(tokens) = &self.tokens else {
            return self.ask_with_key(head, body, origin).await;
        };
        let token = tokens.token(None).await?;
        let mut again = head.clone();
        token.put_into(&mut head);
        let answer = self.exchange(head, body.clone(), origin).await?;
        if !token.is_worth_renewing(answer.0.status()) {
            return Ok(answer);
        }
        drop(answer);
        let renewed = tokens.token(Some(&token)).await?;
        renewed.put_into(&mut again);
        self.pace.turn().await;
        let answer = self.exchange(again, body, origin).await?;
        renewed.tried_again(answer.0.status());
        Ok(answer)
    }

    async fn ask_with_key(
        &self,
        mut head: request::Parts,
        body: Bytes,
        origin: &Origin,
    ) -> Result<Answer, EgressError> {
        let credential = self.credential.current().await;
        let mut again = head.clone();
        credential.put_into(&mut head);
        let answer = self.exchange(head, body.clone(), origin).await?;
        if answer.0.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let other = self
            .credential
            .instead_of(&credential, &self.echoes, &self.log);
        let Some(other) = other.await else {
            return Ok(answer);
        };
        drop(answer);
        other.put_into(&mut again);
        self.pace.turn().await;
        self.exchange(again, body, origin).await
    }

    async fn exchange(
        &self,
        head: request::Parts,
        body: Bytes,
        origin: &Origin,
    ) -> Result<Answer, EgressError> {
        let limit = self.limits.response_timeout;
        let deadline = Instant::now() + limit;
        let request = Request::from_parts(head, Full::new(body));
        let answer = self
            .client
            .exchange(request, &origin.to_string(), (deadline, limit))
            .await?;
        Ok((answer, deadline))
    }

    fn warn_of_plain(&self, origin: &Origin) {
        let has_credential = self.credential.is_some() || self.tokens.is_some();
        let plain = has_credential && !origin.is_https() && !origin.is_loopback();
        if plain && !self.warned_of_plain.swap(true, Ordering::Relaxed) {
            self.log.warn(
                "credential sent over plain http: anyone on the network path can read it; use https in SOURCE_API_URL",
                json!({"origin": origin.to_string()}),
            );
        }
    }
}

/// How much of a target an error shows.
const TARGET_CHARS_SHOWN: usize = 32;

/// The target as it goes out: a path and a query in ASCII, whatever was meant by less. `*` means a server, not a resource.
fn target(uri: &Uri, origin: &Origin) -> Result<PathAndQuery, EgressError> {
    let given = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let slash = if given.starts_with('?') { "/" } else { "" };
    // What is beyond ASCII is meant as URLs write it.
    let ascii = utf8_percent_encode(given, &AsciiSet::EMPTY);
    let target = format!("{slash}{ascii}");
    let denied = || EgressError::Denied {
        message: format!(
            "no request was sent to `{origin}`: its target `{}` is not a path",
            uri.path()
                .chars()
                .take(TARGET_CHARS_SHOWN)
                .collect::<String>()
        ),
    };
    if !target.starts_with('/') {
        return Err(denied());
    }
    PathAndQuery::try_from(target).map_err(|_| denied())
}
