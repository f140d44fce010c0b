//! What the runs of one process have in common that ask the same source as the same client: connections, the token, and the
//! time at which the next request may begin.
//!
//! Two runs have it in common if their keys are equal: who is the same is for their maker to say. What each run may ask for,
//! its limits, its record and its cookies stay its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::client::Client;
use super::pace::Next;
use super::token::Tokens;
use crate::outcome::Failure;

/// What the runs of one process have in common. Clones are the same.
#[derive(Clone, Default)]
pub struct Commons(Arc<Mutex<HashMap<String, Arc<Common>>>>);

/// As whom a run takes part.
pub struct Sharing {
    /// With whom.
    pub commons: Commons,
    /// The same for all that are the same client of the same source under the same rules, and for nobody else.
    pub key: String,
    /// Between the beginnings of two requests, where the run is to be no faster.
    pub pause: Duration,
}

/// What is used by those of one key.
pub(super) struct Common {
    pub client: Client,
    /// Where the credential is a token that is fetched.
    pub tokens: Option<Arc<Tokens>>,
    pub next: Arc<Next>,
}

impl Sharing {
    /// What this run uses: what another has made, or what it makes now. `Err`: it cannot be made, and nothing is kept of it.
    pub(super) fn common(
        &self,
        make: impl FnOnce() -> Result<Common, Failure>,
    ) -> Result<Arc<Common>, Failure> {
        let mut known = self
            .commons
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(common) = known.get(&self.key) {
            return Ok(common.clone());
        }
        let common = Arc::new(make()?);
        known.insert(self.key.clone(), common.clone());
        Ok(common)
    }
}
