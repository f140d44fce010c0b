//! Reads the file of a secret once more, deliberately: a source that no longer takes a key may have a new one there.

use std::path::{Path, PathBuf};

use crate::given_file::{self, Holds, one_line};
use crate::secret::Secret;

/// The file that a secret came from.
#[derive(Debug, Clone)]
pub struct SecretFile {
    path: PathBuf,
    bytes_max: u64,
    parse: fn(&str) -> Result<Secret, String>,
}

impl SecretFile {
    /// The file at `path`, of at most so many bytes.
    pub fn new(path: PathBuf, bytes_max: u64, parse: fn(&str) -> Result<Secret, String>) -> Self {
        Self {
            path,
            bytes_max,
            parse,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it now; none where it cannot be read twice, as a pipe. `Err` says why it cannot be used.
    pub fn read(&self) -> Result<Option<Secret>, String> {
        if std::fs::metadata(&self.path).is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(None);
        }
        let (bytes, _) = given_file::read_regular(&self.path, self.bytes_max, Holds::Trusted)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let line = one_line(text).ok_or("it is empty")?;
        (self.parse)(&line)
            .map(Some)
            .map_err(|what| format!("it {what}"))
    }
}
