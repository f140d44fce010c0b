//! Why an exchange has no answer, as the number that resets its HTTP/2 stream.
//!
//! The parent knows the reason and records it; the child gets the number alone, and makes of it what WASI has a word for.
//! RFC 9113, 7: numbers that it does not assign mean nothing to anybody else.

use h2::Reason;

use crate::egress::EgressError;

/// The first of our numbers; those of HTTP/2 itself are small.
const FIRST: u32 = 0x7467_0000;

/// What a component may know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Broken {
    Denied = FIRST,
    DestinationUnavailable,
    Budget,
    DnsUnknown,
    Unreachable,
    ConnectTimeout,
    AnswerTimeout,
    ReadTimeout,
    CutOff,
    TooLarge,
    BadTls,
    BadProtocol,
    /// The request itself broke off.
    Asking,
}

impl Broken {
    const ALL: [Self; 13] = [
        Self::Denied,
        Self::DestinationUnavailable,
        Self::Budget,
        Self::DnsUnknown,
        Self::Unreachable,
        Self::ConnectTimeout,
        Self::AnswerTimeout,
        Self::ReadTimeout,
        Self::CutOff,
        Self::TooLarge,
        Self::BadTls,
        Self::BadProtocol,
        Self::Asking,
    ];

    /// What this number means; `None`: it is not in the table.
    pub fn of(reason: Reason) -> Option<Self> {
        let number = u32::from(reason);
        Self::ALL.into_iter().find(|known| *known as u32 == number)
    }

    /// The number.
    pub fn reason(self) -> Reason {
        Reason::from(self as u32)
    }
}

impl From<&EgressError> for Broken {
    fn from(error: &EgressError) -> Self {
        match error {
            EgressError::Denied { .. }
            | EgressError::CredentialRefused { .. }
            | EgressError::ProxyRefused { .. }
            | EgressError::TokenNotKept { .. } => Self::Denied,
            // Who gives out tokens is none of its business; that asking again may help is.
            EgressError::TokenUnavailable { .. } => Self::DestinationUnavailable,
            EgressError::Budget { .. } => Self::Budget,
            EgressError::DnsUnknown { .. } => Self::DnsUnknown,
            EgressError::Unreachable { .. } => Self::Unreachable,
            EgressError::ConnectTimeout { .. } => Self::ConnectTimeout,
            EgressError::FirstByteTimeout { .. } | EgressError::AnswerTimeout { .. } => {
                Self::AnswerTimeout
            }
            EgressError::IdleTimeout { .. } => Self::ReadTimeout,
            EgressError::CutOff { .. } => Self::CutOff,
            EgressError::TooLarge { .. } => Self::TooLarge,
            EgressError::BadCertificate { .. } | EgressError::BadTls { .. } => Self::BadTls,
            EgressError::BadFraming { .. }
            | EgressError::BadEncoding { .. }
            | EgressError::BadFile { .. }
            | EgressError::BadToken { .. }
            | EgressError::ProxyBroken { .. } => Self::BadProtocol,
            EgressError::RequestBroken { .. } => Self::Asking,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_means_what_it_was_made_of() {
        for known in Broken::ALL {
            assert_eq!(Broken::of(known.reason()), Some(known));
        }
        assert_eq!(Broken::of(Reason::CANCEL), None);
    }
}
