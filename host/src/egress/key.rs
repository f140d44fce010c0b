//! A key: a secret by which the source knows us and, where it came from a file, that file.
//!
//! After a 401 the file is read once more, deliberately: a key may have been rotated during a long run, and a token that
//! another program renews may be short-lived. A source that does not take the new one either is not asked a third time.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Mutex;

use super::credential::{Auth, Credential};
use super::echo::Echoes;
use crate::given_file::reread::SecretFile;
use crate::log::Log;
use crate::outcome::Failure;
use crate::secret::{Learned, Secret};

/// A secret, and the file that it can be read from again.
#[derive(Debug, Clone)]
pub struct Key {
    value: Secret,
    file: Option<SecretFile>,
}

impl Key {
    /// A secret that came from there, if from a file.
    pub fn new(value: Secret, file: Option<SecretFile>) -> Self {
        Self { value, file }
    }

    /// The value itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.value.expose()
    }

    /// The value.
    pub fn secret(&self) -> &Secret {
        &self.value
    }

    /// The file that it came from.
    #[cfg(test)]
    pub(super) fn file(&self) -> Option<&SecretFile> {
        self.file.as_ref()
    }

    /// The key that is in the file now, if it is another one. What cannot be read is logged.
    pub(super) async fn read_again(&self, log: &Log) -> Option<Self> {
        let file = self.file.clone()?;
        let path = file.path().display().to_string();
        let read = tokio::task::spawn_blocking(move || file.read()).await;
        match read.ok()? {
            Ok(value) => {
                let value = value.filter(|value| value.expose() != self.expose())?;
                log.info(
                    "credential changed, read again from its file",
                    json!({ "path": path }),
                );
                Some(Self::new(value, self.file.clone()))
            }
            Err(reason) => {
                log.warn(
                    "credential not read again",
                    json!({ "path": path, "reason": reason }),
                );
                None
            }
        }
    }
}

impl From<&str> for Key {
    fn from(value: &str) -> Self {
        Self::new(Secret::from(value), None)
    }
}

/// The credential of a run, as it is now. Whoever needs it while its file is read again waits for that.
pub(super) struct KeptCredential {
    now: Mutex<(Auth, Arc<Credential>)>,
    is_some: bool,
}

impl KeptCredential {
    /// `Err`: it cannot be sent that way.
    pub(super) fn new(auth: &Auth) -> Result<Self, Failure> {
        let credential = Credential::new(auth)?;
        Ok(Self {
            is_some: credential.is_some(),
            now: Mutex::new((auth.clone(), Arc::new(credential))),
        })
    }

    /// True if and only if requests change by it.
    pub(super) fn is_some(&self) -> bool {
        self.is_some
    }

    /// As it is now.
    pub(super) async fn current(&self) -> Arc<Credential> {
        self.now.lock().await.1.clone()
    }

    /// The one that may help where `refused` did not: read again meanwhile, or now. From here on nobody sees it either.
    pub(super) async fn instead_of(
        &self,
        refused: &Arc<Credential>,
        echoes: &Echoes,
        log: &Log,
    ) -> Option<Arc<Credential>> {
        let mut now = self.now.lock().await;
        if !Arc::ptr_eq(&now.1, refused) {
            return Some(now.1.clone());
        }
        let key = now.0.key()?.read_again(log).await?;
        // Before it is looked at any closer: an error must not show it.
        log.learn(key.secret(), Learned::Key);
        let auth = now.0.with_key(key);
        for secret in auth.secrets() {
            log.learn(&secret, Learned::Key);
            echoes.learn(&secret, Learned::Key);
        }
        let credential = match Credential::new(&auth) {
            Ok(credential) => Arc::new(credential),
            Err(failure) => {
                log.warn(
                    "credential not read again",
                    json!({ "reason": failure.message }),
                );
                return None;
            }
        };
        *now = (auth, credential.clone());
        Some(credential)
    }
}
