//! Holds the answers of a source back until a test says so.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// An answer that is held longer is let on, and the test fails on what comes of it.
pub const HELD_MAX: Duration = Duration::from_mins(1);

/// Shut at first. Clones are the same one.
#[derive(Clone, Default)]
pub struct Latch(Arc<(Mutex<bool>, Condvar)>);

impl Latch {
    /// One that holds nobody.
    pub fn opened() -> Self {
        let latch = Self::default();
        latch.open();
        latch
    }

    /// Lets on whoever waits and whoever comes.
    pub fn open(&self) {
        self.set(true);
    }

    /// Holds whoever comes.
    pub fn shut(&self) {
        self.set(false);
    }

    /// Waits until it is open.
    pub fn pass(&self) {
        let is_open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .0
            .1
            .wait_timeout_while(is_open, HELD_MAX, |is_open| !*is_open);
        drop(waited);
    }

    fn set(&self, open: bool) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = open;
        self.0.1.notify_all();
    }
}
