//! The host's own record of what went out, what was refused and what was too much: it outranks the component's word.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{EgressError, Exchanges};

/// What went over the network in one run, for its summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Requests that the component asked for, the refused ones included.
    pub requests: u64,
    /// Good answers that were read to their end.
    pub pages: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Bytes of answer bodies as they came over the wire.
    pub wire_bytes: u64,
    /// Bytes of answer bodies after decoding.
    pub decoded_bytes: u64,
    /// Times that a server sent the credential back, each replaced.
    pub echoes: u64,
}

/// Counts and first causes; shared by all requests of a run.
#[derive(Default)]
pub(super) struct Record {
    pub(super) requests: AtomicU64,
    pub(super) pages: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) wire_bytes: AtomicU64,
    pub(super) decoded_bytes: AtomicU64,
    pub(super) echoes: AtomicU64,
    pub(super) exchanges: Exchanges,
    /// How many requests there were when a good answer first set a cookie that is not kept; 0: none did.
    ignored_cookies: AtomicU64,
    denial: Mutex<Option<EgressError>>,
    breach: Mutex<Option<EgressError>>,
    last: Mutex<Option<EgressError>>,
}

impl Record {
    /// Keeps `error` if it is the first of its kind; true if it is the first denial.
    pub(super) fn keep(&self, error: &EgressError) -> bool {
        let kept = if matches!(error, EgressError::Denied { .. }) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            &self.denial
        } else if error.is_final() && !matches!(error, EgressError::RequestBroken { .. }) {
            &self.breach
        } else {
            return false;
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let first = kept.is_none();
        kept.get_or_insert_with(|| error.clone());
        first && matches!(error, EgressError::Denied { .. })
    }

    /// A good answer sets cookies, and they are not kept.
    pub(super) fn ignore_cookies(&self) {
        let now = self.requests.load(Ordering::Relaxed);
        let first = (Ordering::Relaxed, Ordering::Relaxed);
        let _ = (self.ignored_cookies).compare_exchange(0, now, first.0, first.1);
    }

    /// Whether there was a request after such an answer.
    pub(super) fn has_ignored_cookies(&self) -> bool {
        let then = self.ignored_cookies.load(Ordering::Relaxed);
        then > 0 && self.requests.load(Ordering::Relaxed) > then
    }

    /// How the last request ended that ended until now, or its body: with this error, or with an answer.
    pub(super) fn set_last(&self, error: Option<&EgressError>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = error.cloned();
    }

    /// The error of the last request, if it had no answer.
    pub(super) fn last(&self) -> Option<EgressError> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The first request that was not granted.
    pub(super) fn denial(&self) -> Option<EgressError> {
        self.denial
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The first limit, certificate or rule of HTTP that was broken.
    pub(super) fn breach(&self) -> Option<EgressError> {
        self.breach
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The counts so far.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.requests.load(Ordering::Relaxed),
            pages: self.pages.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            wire_bytes: self.wire_bytes.load(Ordering::Relaxed),
            decoded_bytes: self.decoded_bytes.load(Ordering::Relaxed),
            echoes: self.echoes.load(Ordering::Relaxed),
        }
    }
}
