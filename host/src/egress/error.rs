//! Why a request has no answer, or an answer no end; each says whether asking again can help and which exit code it is.

use std::time::Duration;

use crate::outcome::Outcome;

/// Why a request was not sent, or its answer not delivered. No text holds a query string, a header or a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// It is not granted. `message` says who refused, what was asked and which setting would allow it.
    #[error("{message}")]
    Denied { message: String },
    /// The component's own request body broke off.
    #[error("read the body of the request to `{origin}`: {reason}")]
    RequestBroken {
        /// Where it was going.
        origin: String,
        /// What the component's side said.
        reason: String,
    },
    /// The name has no address, or the resolver did not answer.
    #[error("look up `{host}`: {reason}")]
    DnsUnknown {
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// No connection, or it was lost before the answer began.
    #[error("reach `{origin}`: {reason}")]
    Unreachable {
        /// Where it was going.
        origin: String,
        /// What the network said.
        reason: String,
    },
    /// Name, connection and TLS took too long together.
    #[error("connect to `{origin}`: no connection within {limit:?}")]
    ConnectTimeout {
        /// Where it was going.
        origin: String,
        /// `Limits::connect_timeout`.
        limit: Duration,
    },
    /// The request was sent and no answer began.
    #[error("wait for `{origin}`: no answer within {limit:?}")]
    FirstByteTimeout {
        /// Where it was going.
        origin: String,
        /// `Limits::first_byte_timeout`.
        limit: Duration,
    },
    /// The answer stopped coming.
    #[error("read from `{origin}`: nothing came for {limit:?}")]
    IdleTimeout {
        origin: String,
        /// `Limits::idle_timeout`.
        limit: Duration,
    },
    /// The answer kept coming, too slowly.
    #[error("read from `{origin}`: the answer was not complete within {limit:?}")]
    AnswerTimeout {
        origin: String,
        /// `Limits::response_timeout`.
        limit: Duration,
    },
    /// The answer ended before its end, or its compression is damaged.
    #[error("read from `{origin}`: the answer broke off after {wire_bytes} bytes: {reason}")]
    CutOff {
        origin: String,
        /// Bytes of body that had come, as sent.
        wire_bytes: u64,
        /// How it was noticed.
        reason: String,
    },
    /// One request or answer is larger than the limit for it.
    #[error("exchange with `{origin}`: {what} of more than {limit}")]
    TooLarge {
        origin: String,
        /// What was measured, with its unit: `response_wire_bytes`, say.
        what: &'static str,
        /// The limit of that name.
        limit: u64,
    },
    /// A limit of the whole run is used up.
    #[error("ask `{origin}`: the run has used up its {what}, {limit}")]
    Budget {
        /// Where it was going.
        origin: String,
        /// What is used up.
        what: &'static str,
        /// The limit of that name.
        limit: u64,
    },
    /// The server's certificate was not accepted.
    #[error("verify the certificate of `{origin}`: {reason}")]
    BadCertificate {
        origin: String,
        /// What is wrong with it and how to fix it.
        reason: String,
    },
    /// The source, or whoever gives out tokens for it, does not accept what we show.
    #[error("authorize with `{origin}`: {reason}")]
    CredentialRefused {
        origin: String,
        /// What was refused, and which settings to look at.
        reason: String,
    },
    /// No access token came, and the next time one may.
    #[error("fetch an access token from `{origin}` (`SOURCE_TOKEN_URL`): {reason}")]
    TokenUnavailable { origin: String, reason: String },
    /// What came in place of an access token makes no sense.
    #[error("fetch an access token from `{origin}` (`SOURCE_TOKEN_URL`): {reason}")]
    BadToken {
        origin: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The other side speaks no TLS, or none that is still safe.
    #[error("agree on TLS with `{origin}`: {reason}")]
    BadTls { origin: String, reason: String },
    /// The answer is not HTTP/1.1, or two readers could disagree where it ends.
    #[error("read from `{origin}`: the answer is not valid HTTP: {reason}")]
    BadFraming { origin: String, reason: String },
    /// The body is encoded in a way that was not asked for.
    #[error(
        "cannot read from `{origin}`: the answer has content-encoding `{encoding}`, asked for was `gzip` or none"
    )]
    BadEncoding { origin: String, encoding: String },
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
            | Self::BadToken { .. }
            | Self::BadTls { .. }
            | Self::BadFraming { .. }
            | Self::BadEncoding { .. } => true,
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

    /// How a run ends that ends for this.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Denied { .. } | Self::CredentialRefused { .. } => Outcome::Denied,
            Self::RequestBroken { .. } => Outcome::ComponentFailed,
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
            | Self::BadCertificate { .. }
            | Self::BadToken { .. }
            | Self::BadTls { .. }
            | Self::BadFraming { .. }
            | Self::BadEncoding { .. } => Outcome::ProtocolBroken,
        }
    }
}
