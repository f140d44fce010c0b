//! A key: a secret by which the source knows us and, where it came from a file, that file.
//!
//! After a 401 the file is read once more, deliberately: a key may have been rotated during a long run, and a token that
//! another program renews may be short-lived. A source that does not take the new one either is not asked a third time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Mutex, oneshot};

use super::credential::{Auth, Credential};
use super::echo::Echoes;
use crate::given_file::reread::SecretFile;
use crate::limits::KEY_REREAD_MAX;
use crate::log::Log;
use crate::outcome::Failure;
use crate::secret::{Learned, Secret};
use crate::units::spoken;

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

    /// The key that is in the file now, if it is another one. A file that cannot be read is logged, and not read again.
    pub(super) async fn read_again(&mut self, log: &Log) -> Option<Self> {
        let file = self.file.take()?;
        let path = file.path().display().to_string();
        match read_within(&file, KEY_REREAD_MAX).await {
            Ok(value) => {
                self.file = Some(file);
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

async fn read_within(file: &SecretFile, limit: Duration) -> Result<Option<Secret>, String> {
    let file = file.clone();
    // A thread of its own: the runtime waits for those of its pool, and a file system may never answer.
    let (answer, read) = oneshot::channel();
    std::thread::spawn(move || answer.send(file.read()));
    match tokio::time::timeout(limit, read).await {
        Ok(Ok(read)) => read,
        Ok(Err(_)) => Err("it could not be read".to_owned()),
        Err(_) => Err(format!("no answer within {}", spoken(limit))),
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
    is_authorization: bool,
}

impl KeptCredential {
    /// `Err`: it cannot be sent that way.
    pub(super) fn new(auth: &Auth) -> Result<Self, Failure> {
        let credential = Credential::new(auth)?;
        Ok(Self {
            is_some: credential.is_some(),
            is_authorization: credential.is_authorization(),
            now: Mutex::new((auth.clone(), Arc::new(credential))),
        })
    }

    /// True if and only if requests change by it.
    pub(super) fn is_some(&self) -> bool {
        self.is_some
    }

    /// True if and only if it is sent as `Authorization`.
    pub(super) fn is_authorization(&self) -> bool {
        self.is_authorization
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
        let mut key = now.0.key()?.clone();
        let Some(key) = key.read_again(log).await else {
            now.0 = now.0.with_key(key);
            return None;
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_does_not_answer_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "a key").unwrap();
        let file = SecretFile::new(path, 100, |_| {
            loop {
                std::thread::park();
            }
        });

        let read = read_within(&file, Duration::from_millis(10)).await;

        assert_eq!(read.err().as_deref(), Some("no answer within 0s"));
    }
}
