//! What a trace shows of a run's requests: when, where to, and how each ended. Nothing of a query, a header or a body.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http::{Method, StatusCode, Uri};

use super::{EgressError, Origin};

/// One request.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub began: SystemTime,
    /// When the last byte of the answer had come; none: it had not when the run ended.
    pub ended: Option<SystemTime>,
    pub method: Method,
    pub origin: Origin,
    pub path: String,
    pub status: Option<StatusCode>,
    /// Why there was no whole answer.
    pub error: Option<EgressError>,
}

/// The first requests of a run. Clones are the same list.
#[derive(Debug, Clone, Default)]
pub struct Exchanges(Arc<Mutex<Vec<Exchange>>>);

/// One that is under way; dropped, it has ended.
pub(super) struct Open {
    all: Exchanges,
    at: usize,
}

impl Exchanges {
    /// All there are.
    pub fn taken(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.list())
    }

    /// One more, if there are fewer than `most`.
    pub(super) fn begin(&self, most: usize, method: &Method, uri: &Uri) -> Option<Open> {
        let mut list = self.list();
        if list.len() >= most {
            return None;
        }
        list.push(Exchange {
            began: SystemTime::now(),
            ended: None,
            method: method.clone(),
            origin: Origin::asked_for(uri).ok()?,
            path: uri.path().to_owned(),
            status: None,
            error: None,
        });
        Some(Open {
            all: self.clone(),
            at: list.len() - 1,
        })
    }

    fn list(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    pub(super) fn answered(&self, status: StatusCode) {
        self.change(|exchange| exchange.status = Some(status));
    }

    pub(super) fn failed(&self, error: &EgressError) {
        self.change(|exchange| exchange.error = Some(error.clone()));
    }

    fn change(&self, change: impl FnOnce(&mut Exchange)) {
        // It is not there any more when the run has ended.
        if let Some(exchange) = self.all.list().get_mut(self.at) {
            change(exchange);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.change(|exchange| exchange.ended = Some(SystemTime::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_requests_are_kept_and_none_where_nothing_is_traced() {
        let exchanges = Exchanges::default();
        let uri: Uri = "https://example.org/v1/orders?token=hush".parse().unwrap();

        let first = exchanges.begin(1, &Method::GET, &uri);
        let second = exchanges.begin(1, &Method::GET, &uri);
        first.unwrap().answered(StatusCode::OK);

        assert!(second.is_none());
        assert!(Exchanges::default().begin(0, &Method::GET, &uri).is_none());
        let kept = exchanges.taken();
        assert_eq!((kept.len(), kept[0].path.as_str()), (1, "/v1/orders"));
        assert_eq!(kept[0].status, Some(StatusCode::OK));
        assert!(kept[0].ended >= Some(kept[0].began));
    }

    #[test]
    fn what_is_under_way_when_the_run_ends_has_no_end() {
        let exchanges = Exchanges::default();
        let uri: Uri = "https://example.org/".parse().unwrap();
        let open = exchanges.begin(9, &Method::GET, &uri);

        let kept = exchanges.taken();
        drop(open);

        assert_eq!(kept[0].ended, None);
        assert!(exchanges.taken().is_empty());
    }
}
