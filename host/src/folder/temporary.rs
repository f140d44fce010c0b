//! A folder of our own among the system's temporary ones.

use std::fs::DirBuilder;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use crate::outcome::{Failure, OrFail as _, Outcome};

use super::Folder;

/// Nobody else may look into it; dropped, it is removed.
#[derive(Debug)]
#[must_use = "the folder is removed when this is dropped"]
pub struct Temporary {
    path: PathBuf,
    folder: Folder,
}

impl Temporary {
    /// Makes one, `what` being part of its name.
    pub fn new(what: &str) -> Result<Self, Failure> {
        let name = format!("tidegate-{what}-{:012x}", random_digits());
        let path = std::env::temp_dir().join(name);
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.or_fail(Outcome::IoFailed, || format!("create `{}`", path.display()))?;
        let Some(folder) = Folder::open(&path)? else {
            let message = format!("open `{}`: it is gone", path.display());
            return Err(Failure::new(Outcome::IoFailed, message));
        };
        Ok(Self { path, folder })
    }

    /// It, held.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Digits that differ from process to process. No secret.
pub fn random_digits() -> u64 {
    RandomState::new().build_hasher().finish()
}
