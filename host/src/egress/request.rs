//! What goes out: a head built anew from what was checked, a body that is whole, and the credential to the source alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue, SET_COOKIE};
use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, Response, StatusCode, request};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use percent_encoding::{AsciiSet, utf8_percent_encode};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::aws::{AwsSigner, Kind, Refusal};
use super::besides::Unplaced;
use super::client::Incoming;
use super::credential::Credential;
use super::echo::Signed;
use super::headers::{head_bytes, outgoing};
use super::token::{LEARNED_BYTES_MIN, Tokens};
use super::{BoxError, EgressError, Origin, Shared};
use crate::limits::REFUSAL_BYTES_MAX;
use crate::secret::{Learned, Secret};

/// The head of an answer, and when its body must be complete.
pub(super) type Answer = (Response<Incoming>, Instant);

/// An answer of the origin that was asked, and the signature that it was asked with, which is hidden as long as this lives.
pub(super) struct Asked {
    pub(super) answer: Answer,
    pub(super) signed: Option<Signed>,
}

impl From<Answer> for Asked {
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            signed: None,
        }
    }
}

impl Shared {
    /// The head as it goes out, but for the credential.
    pub(super) fn outgoing_head(
        &self,
        given: request::Parts,
        origin: &Origin,
    ) -> Result<request::Parts, EgressError> {
        let target = target(&given.uri, origin)?;
        let (mut head, ()) = Request::new(()).into_parts();
        head.headers = outgoing(&given.headers);
        let signer = self.signer.as_ref();
        if let Some(signed) = signer.and_then(|signer| signer.authorization(&given.headers)) {
            head.headers.insert(AUTHORIZATION, signed);
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
        self.check_head(&head, origin)?;
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

    /// Puts signatures into a request that is complete but for the credential. None of them is in what is returned, as long as
    /// that lives.
    pub(super) fn sign(
        &self,
        head: &mut request::Parts,
        body: &[u8],
        origin: &Origin,
    ) -> Result<Option<Signed>, EgressError> {
        let Some(signer) = &self.signer else {
            return Ok(None);
        };
        if self.policy.source.as_ref() != Some(origin) {
            return signer.check_unsigned(head, body, origin).map(|()| None);
        }
        let has_own = head.headers.contains_key(AUTHORIZATION);
        let is_ours = self.common.tokens.is_some()
            || self.credential.is_authorization()
            || self.besides.has_header(&AUTHORIZATION);
        if has_own && is_ours {
            return Err(EgressError::Denied {
                message: format!(
                    "no request was sent to `{origin}`: its `Authorization` is signed, and `SOURCE_AUTH` sets that header, too; \
                     unset SOURCE_API_KEY, or set SOURCE_AUTH=header"
                ),
            });
        }
        let signatures = signer.sign(head, body, origin)?;
        self.check_head(head, origin)?;
        let has_some = !signatures.is_empty();
        Ok(has_some.then(|| self.echoes.hide_signatures(signatures)))
    }

    /// `Ok`: the head is not too large.
    fn check_head(&self, head: &request::Parts, origin: &Origin) -> Result<(), EgressError> {
        let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let first_line_bytes =
            head.method.as_str().len() + target.len() + " HTTP/1.1\r\n".len() + 1;
        if head_bytes(first_line_bytes, &head.headers) <= self.limits.request_head_bytes {
            return Ok(());
        }
        Err(self.head_too_large(origin))
    }

    fn head_too_large(&self, origin: &Origin) -> EgressError {
        EgressError::TooLarge {
            origin: origin.to_string(),
            what: "request_head_bytes",
            limit: self.limits.request_head_bytes as u64,
        }
    }

    /// Asks `origin`: the source with the credential, and once more when it does not accept that and there is another: a new
    /// token, or the key that is in its file now.
    pub(super) async fn ask(
        &self,
        mut head: request::Parts,
        body: Bytes,
        origin: &Origin,
    ) -> Result<Asked, EgressError> {
        if self.policy.source.as_ref() != Some(origin) {
            return self.exchange(head, body, origin).await.map(Asked::from);
        }
        self.warn_of_plain(origin);
        let body = self.put_besides(&mut head, &body, origin)?;
        if let Some(tokens) = &self.common.tokens {
            let answer = self.ask_with_token(tokens, head, body, origin).await;
            return answer.map(Asked::from);
        }
        let credential = self.credential.current().await;
        if credential.aws().is_some() {
            return self.ask_signed(credential, &head, body, origin).await;
        }
        let answer = self.ask_with_key(&credential, head, body, origin).await;
        answer.map(Asked::from)
    }

    async fn ask_with_token(
        &self,
        tokens: &Arc<Tokens>,
        mut head: request::Parts,
        body: Bytes,
        origin: &Origin,
    ) -> Result<Answer, EgressError> {
        let token = tokens.token(None).await?;
        let mut again = head.clone();
        (token.put_into(&mut head)).ok_or_else(|| self.head_too_large(origin))?;
        let answer = self.exchange(head, body.clone(), origin).await?;
        if !token.is_worth_renewing(answer.0.status(), self.number) {
            return Ok(answer);
        }
        drop(answer);
        let renewed = tokens.token(Some((&token, self.number))).await?;
        (renewed.put_into(&mut again)).ok_or_else(|| self.head_too_large(origin))?;
        self.pace.turn().await;
        let answer = self.exchange(again, body, origin).await?;
        renewed.tried_again(answer.0.status(), self.number);
        Ok(answer)
    }

    /// Puts into a request to the source what it has besides the credential, and gives its body.
    fn put_besides(
        &self,
        head: &mut request::Parts,
        body: &Bytes,
        origin: &Origin,
    ) -> Result<Bytes, EgressError> {
        self.besides.put_into(head, body).map_err(|unplaced| {
            let why = match unplaced {
                Unplaced::TooLong => return self.head_too_large(origin),
                Unplaced::TooMany => {
                    "its body has `{secret}` more often than SOURCE_BODY: a value that was put into it has it"
                }
                Unplaced::Moved => {
                    "its body has `{secret}` where SOURCE_BODY has not: the text around it must be the same"
                }
                Unplaced::UnknownKind => {
                    "`{secret}` is replaced in bodies of JSON, XML and forms, and its content-type is none of these"
                }
            };
            EgressError::Denied {
                message: format!("no request was sent to `{origin}`: {why}"),
            }
        })
    }

    async fn ask_with_key(
        &self,
        credential: &Arc<Credential>,
        mut head: request::Parts,
        body: Bytes,
        origin: &Origin,
    ) -> Result<Answer, EgressError> {
        let mut again = head.clone();
        (credential.put_into(&mut head)).ok_or_else(|| self.head_too_large(origin))?;
        let answer = self.exchange(head, body.clone(), origin).await?;
        if answer.0.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let other = self
            .credential
            .instead_of(credential, &self.echoes, &self.log);
        let Some(other) = other.await else {
            return Ok(answer);
        };
        drop(answer);
        (other.put_into(&mut again)).ok_or_else(|| self.head_too_large(origin))?;
        self.pace.turn().await;
        self.exchange(again, body, origin).await
    }

    /// Signs and asks. A refusal is followed by another request, signed by the source's clock where ours is wrong, or with the
    /// key that is in its file now: each once. `Err`: it is refused none the less.
    async fn ask_signed(
        &self,
        mut credential: Arc<Credential>,
        head: &request::Parts,
        body: Bytes,
        origin: &Origin,
    ) -> Result<Asked, EgressError> {
        let (mut is_corrected, mut is_read_again) = (false, false);
        loop {
            let aws = credential.aws();
            let aws = aws.expect("a key of AWS is replaced by another");
            let (mut signed_head, asked) = (head.clone(), aws.now());
            let signatures = aws.sign(&mut signed_head, &body, asked);
            let signatures = signatures.map_err(|why| EgressError::Denied {
                message: format!("no request was sent to `{origin}`: {why}"),
            })?;
            self.check_head(&signed_head, origin)?;
            let signed = Some(self.echoes.hide_signatures(signatures));
            let mut answer = self.exchange(signed_head, body.clone(), origin).await?;
            let status = answer.0.status();
            if !Refusal::is_possible(status) {
                return Ok(Asked { answer, signed });
            }
            let refusal = self.refusal(&mut answer).await;
            let is_of_time = refusal
                .is_some_and(|refusal| matches!(refusal.kind, Kind::Clock | Kind::Signature));
            let ahead = AwsSigner::ahead_seconds(asked, answer.0.headers());
            let ahead = ahead.filter(|_| is_of_time);
            let corrected = ahead.filter(|_| !is_corrected);
            if let Some(seconds) = corrected.and_then(|ahead| aws.correct(asked, ahead)) {
                is_corrected = true;
                self.log.warn(
                    "clock differs from the source's, by which requests are signed from here on",
                    json!({"origin": origin.to_string(), "seconds": seconds}),
                );
            } else {
                let may_read = !is_read_again
                    && ahead.is_none()
                    && (refusal.is_some() || status == StatusCode::UNAUTHORIZED);
                is_read_again = true;
                let other = if may_read {
                    let other = (self.credential).instead_of(&credential, &self.echoes, &self.log);
                    other.await
                } else {
                    None
                };
                match (other, refusal) {
                    (Some(other), _) => credential = other,
                    (None, None) => return Ok(Asked { answer, signed }),
                    (None, Some(refusal)) => {
                        return Err(EgressError::CredentialRefused {
                            origin: origin.to_string(),
                            reason: aws.advice(status, refusal, ahead),
                        });
                    }
                }
            }
            drop(answer);
            self.pace.turn().await;
        }
    }

    /// Whether this answer refuses the signature. Its body is as it was.
    async fn refusal(&self, answer: &mut Answer) -> Option<Refusal> {
        let (answer, deadline) = answer;
        let patience = (*deadline).min(Instant::now() + self.limits.idle_timeout);
        let beginning = answer.body_mut().beginning(REFUSAL_BYTES_MAX, patience);
        let beginning = beginning.await;
        Refusal::of(answer.headers(), &beginning)
    }

    async fn exchange(
        &self,
        mut head: request::Parts,
        body: Bytes,
        origin: &Origin,
    ) -> Result<Answer, EgressError> {
        if head.method == Method::POST && body.is_empty() {
            // RFC 9110, 8.6: servers answer 411 without it.
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
        let is_source = self.policy.source.as_ref() == Some(origin);
        let jar = self.jar.as_ref().filter(|_| is_source);
        if let Some(jar) = jar {
            jar.put_into(&mut head);
            self.check_head(&head, origin)?;
        }
        let path = head.uri.path().to_owned();
        let limit = self.limits.response_timeout;
        let deadline = Instant::now() + limit;
        let request = Request::from_parts(head, Full::new(body));
        let answer = self
            .common
            .client
            .exchange(request, &origin.to_string(), (deadline, limit))
            .await?;
        if is_source {
            self.pace.hear(answer.status(), answer.headers());
        }
        match jar {
            Some(jar) => {
                for value in jar.keep(answer.headers(), &path) {
                    self.hide_cookie(&value);
                }
            }
            None if is_source
                && answer.status().is_success()
                && answer.headers().contains_key(SET_COOKIE) =>
            {
                self.record.ignore_cookies();
            }
            None => {}
        }
        Ok((answer, deadline))
    }

    fn hide_cookie(&self, value: &Secret) {
        self.echoes.learn(value, Learned::Cookie);
        // A shorter one is no secret: it would only let the source erase a word of its choice from the log.
        if value.expose().len() >= LEARNED_BYTES_MIN {
            self.log.learn(value, Learned::Cookie);
        }
    }

    fn warn_of_plain(&self, origin: &Origin) {
        let has_credential =
            self.credential.is_some() || self.common.tokens.is_some() || self.besides.is_some();
        let plain = has_credential && self.policy.is_plain_on_the_network(origin);
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
