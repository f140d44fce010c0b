//! Why a request has no answer, or an answer no end; each says whether asking again can help and which exit code it is.

use std::time::Duration;

use super::{Origin, Proxy};
use crate::outcome::Outcome;

/// Why a request was not sent, or its answer not delivered. No text holds a query string, a header or a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// It is not granted. `message` says who refused, what was asked and which setting would allow it.
    #[error("{message}")]
    Denied { message: String },
    /// The component's own request body broke off.
    #[error("cannot read the body of the request to `{origin}`: {reason}")]
    RequestBroken {
        /// Where it was going.
        origin: String,
        /// What the component's side said.
        reason: String,
    },
    /// The name has no address, or the resolver did not answer.
    #[error("cannot look up `{host}`: {reason}")]
    DnsUnknown {
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// No connection, or it was lost before the answer began.
    #[error("cannot reach `{origin}`: {reason}")]
    Unreachable {
        /// Where it was going.
        origin: String,
        /// What the network said.
        reason: String,
    },
    /// Name, connection and TLS took too long together.
    #[error("cannot reach `{origin}`: {}", self.reason())]
    ConnectTimeout {
        /// Where it was going.
        origin: String,
        /// `Limits::connect_timeout`.
        limit: Duration,
    },
    /// The request was sent and no answer began.
    #[error("cannot reach `{origin}`: {}", self.reason())]
    FirstByteTimeout {
        /// Where it was going.
        origin: String,
        /// `Limits::first_byte_timeout`.
        limit: Duration,
    },
    /// The answer stopped coming.
    #[error("cannot read from `{origin}`: {}", self.reason())]
    IdleTimeout {
        origin: String,
        /// `Limits::idle_timeout`.
        limit: Duration,
    },
    /// The answer kept coming, too slowly.
    #[error("cannot read from `{origin}`: {}", self.reason())]
    AnswerTimeout {
        origin: String,
        /// `Limits::response_timeout`.
        limit: Duration,
    },
    /// The answer ended before its end, or its compression is damaged.
    #[error("cannot read from `{origin}`: {}", self.reason())]
    CutOff {
        origin: String,
        /// Bytes of body that had come, as sent.
        wire_bytes: u64,
        /// How it was noticed.
        reason: String,
    },
    /// One request or answer is larger than the limit for it.
    #[error(
        "too much in the exchange with `{origin}`: {what} of more than {limit}{}",
        raised_by(what)
    )]
    TooLarge {
        origin: String,
        /// What was measured, with its unit: `response_wire_bytes`, say.
        what: &'static str,
        /// The limit of that name.
        limit: u64,
    },
    /// A limit of the whole run is used up.
    #[error("cannot ask `{origin}`: the run has used up its {what}, {limit}{}", of_policy(what, policy.as_deref()))]
    Budget {
        /// Where it was going.
        origin: String,
        /// What is used up, by its name in a policy's `budgets`.
        what: &'static str,
        /// The limit of that name.
        limit: u64,
        /// The policy that is in force.
        policy: Option<String>,
    },
    /// The proxy does not know us, or does not let us through.
    #[error("no connection through the proxy `{proxy}` (OUTBOUND_PROXY): {reason}")]
    ProxyRefused { proxy: String, reason: String },
    /// The proxy does not behave as one.
    #[error("no connection through the proxy `{proxy}` (OUTBOUND_PROXY): {reason}")]
    ProxyBroken { proxy: String, reason: String },
    /// The server's certificate was not accepted.
    #[error("cannot verify the certificate of `{origin}`: {reason}")]
    BadCertificate {
        origin: String,
        /// What is wrong with it and how to fix it.
        reason: String,
    },
    /// The source, or whoever gives out tokens for it, does not accept what we show.
    #[error("cannot authorize with `{origin}`: {reason}")]
    CredentialRefused {
        origin: String,
        /// What was refused, and which settings to look at.
        reason: String,
    },
    /// No access token came, and the next time one may.
    #[error("cannot fetch an access token from `{origin}` (`{setting}`): {reason}")]
    TokenUnavailable {
        origin: String,
        /// The setting with its URL.
        setting: &'static str,
        reason: String,
    },
    /// What came in place of an access token makes no sense.
    #[error("cannot fetch an access token from `{origin}` (`{setting}`): {reason}")]
    BadToken {
        origin: String,
        /// The setting with its URL.
        setting: &'static str,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The file of a refresh token cannot be rewritten.
    #[error("cannot authorize with `{origin}`: {reason}")]
    TokenNotKept {
        origin: String,
        /// Why, what is lost and what to do.
        reason: String,
    },
    /// The other side speaks no TLS, or none that is still safe.
    #[error("cannot agree on TLS with `{origin}`: {reason}")]
    BadTls { origin: String, reason: String },
    /// The answer is not HTTP/1.1, or two readers could disagree where it ends.
    #[error("cannot read from `{origin}`: the answer is not valid HTTP: {reason}")]
    BadFraming { origin: String, reason: String },
    /// The body is encoded in a way that was not asked for.
    #[error(
        "cannot read from `{origin}`: the answer has content-encoding `{encoding}`, asked for was `gzip` or none"
    )]
    BadEncoding { origin: String, encoding: String },
    /// The body is a zip file, and none that is unpacked.
    #[error("cannot read from `{origin}`: the answer is a zip file that {reason}")]
    BadFile { origin: String, reason: String },
}

/// Where a budget may have been lowered.
fn of_policy(what: &str, policy: Option<&str>) -> String {
    policy.map_or_else(String::new, |by| {
        format!(" (`{what}` in `budgets` of {by})")
    })
}

/// Which setting allows more of that, if one does.
fn raised_by(what: &str) -> &'static str {
    match what {
        "response_wire_bytes" | "response_decoded_bytes" => {
            "; ask for less in one page, or raise MAX_RESPONSE_BYTES"
        }
        _ => "",
    }
}

impl EgressError {
    /// True if and only if the same request would end the same way: trying again is useless.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Denied { .. }
            | Self::RequestBroken { .. }
            | Self::TooLarge { .. }
            | Self::Budget { .. }
            | Self::BadCertificate { .. }
            | Self::CredentialRefused { .. }
            | Self::ProxyRefused { .. }
            | Self::ProxyBroken { .. }
            | Self::BadToken { .. }
            | Self::TokenNotKept { .. }
            | Self::BadTls { .. }
            | Self::BadFraming { .. }
            | Self::BadEncoding { .. }
            | Self::BadFile { .. } => true,
            Self::DnsUnknown { .. }
            | Self::Unreachable { .. }
            | Self::TokenUnavailable { .. }
            | Self::ConnectTimeout { .. }
            | Self::FirstByteTimeout { .. }
            | Self::IdleTimeout { .. }
            | Self::AnswerTimeout { .. }
            | Self::CutOff { .. } => false,
        }
    }

    /// True if and only if the answer had begun.
    pub fn is_of_a_body(&self) -> bool {
        matches!(
            self,
            Self::IdleTimeout { .. } | Self::AnswerTimeout { .. } | Self::CutOff { .. }
        )
    }

    /// Why, without saying of whom: what a component that says where it asked cannot know.
    pub fn reason(&self) -> String {
        match self {
            Self::ConnectTimeout { limit, .. } => {
                format!("no connection within {}", seconds(*limit))
            }
            Self::FirstByteTimeout { limit, .. } => {
                format!("no answer within {} (SOURCE_TIMEOUT)", seconds(*limit))
            }
            Self::IdleTimeout { limit, .. } => format!("nothing came for {}", seconds(*limit)),
            Self::AnswerTimeout { limit, .. } => {
                format!("the answer was not complete within {}", seconds(*limit))
            }
            Self::CutOff {
                wire_bytes, reason, ..
            } => format!("the answer broke off after {wire_bytes} bytes: {reason}"),
            Self::DnsUnknown { reason, .. } | Self::Unreachable { reason, .. } => reason.clone(),
            other => other.to_string(),
        }
    }

    /// What became of a connection to `proxy`, where there is one, through which `origin` was to be reached.
    pub(super) fn through(self, proxy: Option<&Proxy>, origin: &Origin) -> Self {
        let Some(proxy) = proxy else { return self };
        match self {
            Self::Denied { message } => Self::Denied {
                message: format!("{message}; it is {}", proxy.named()),
            },
            Self::DnsUnknown { host, reason } => {
                proxy.unreachable(origin, &format!("cannot look up `{host}`: {reason}"))
            }
            Self::Unreachable { reason, .. } => proxy.unreachable(origin, &reason),
            Self::ConnectTimeout { .. } => proxy.unreachable(origin, &self.reason()),
            other => other,
        }
    }

    /// How a run ends that ends for this.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Denied { .. } | Self::CredentialRefused { .. } | Self::ProxyRefused { .. } => {
                Outcome::Denied
            }
            Self::RequestBroken { .. } => Outcome::ComponentFailed,
            Self::TokenNotKept { .. } => Outcome::IoFailed,
            Self::DnsUnknown { .. }
            | Self::Unreachable { .. }
            | Self::TokenUnavailable { .. }
            | Self::ConnectTimeout { .. }
            | Self::FirstByteTimeout { .. }
            | Self::IdleTimeout { .. }
            | Self::AnswerTimeout { .. } => Outcome::TryLater,
            Self::CutOff { .. }
            | Self::TooLarge { .. }
            | Self::Budget { .. }
            | Self::ProxyBroken { .. }
            | Self::BadCertificate { .. }
            | Self::BadToken { .. }
            | Self::BadTls { .. }
            | Self::BadFraming { .. }
            | Self::BadEncoding { .. }
            | Self::BadFile { .. } => Outcome::ProtocolBroken,
        }
    }
}

fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}
