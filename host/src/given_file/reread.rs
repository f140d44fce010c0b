//! Reads the file of a secret once more, deliberately: a source that no longer takes a key may have a new one there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::given_file::within::Within;
use crate::given_file::{self, Holds, one_line};
use crate::secret::Secret;

/// The file that a secret came from.
#[derive(Debug, Clone)]
pub struct SecretFile {
    path: PathBuf,
    bytes_max: u64,
    parse: fn(&str) -> Result<Secret, String>,
    /// Where it has to be, where a policy is in force.
    within: Option<Arc<Within>>,
}

impl SecretFile {
    /// The file at `path`, of at most so many bytes.
    pub fn new(path: PathBuf, bytes_max: u64, parse: fn(&str) -> Result<Secret, String>) -> Self {
        Self {
            path,
            bytes_max,
            parse,
            within: None,
        }
    }

    /// The same, read only where it is below these folders at that time.
    #[must_use]
    pub fn within(self, within: Option<Arc<Within>>) -> Self {
        Self { within, ..self }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it now; none where it cannot be read twice, as a pipe. `Err` says why it cannot be used.
    pub fn read(&self) -> Result<Option<Secret>, String> {
        let within = self.within.as_ref();
        let path = within.map_or_else(
            || Ok(self.path.clone()),
            |within| within.resolve(&self.path),
        )?;
        if std::fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(None);
        }
        let (bytes, _) = given_file::read_regular(&path, self.bytes_max, Holds::Trusted)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let line = one_line(text).ok_or("it is empty")?;
        (self.parse)(&line)
            .map(Some)
            .map_err(|what| format!("it {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_became_a_link_out_of_its_folder_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("own"), folder.path().join("other"));
        std::fs::create_dir(&own).unwrap();
        std::fs::write(&other, "another's").unwrap();
        let path = own.join("key");
        std::fs::write(&path, "first").unwrap();
        let within = Arc::new(Within::new([own]));
        let parse = |text: &str| Ok(Secret::from(text));
        let file = SecretFile::new(path.clone(), 100, parse).within(Some(within));
        let first = file.read().unwrap().unwrap();

        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();

        assert_eq!(first.expose(), "first");
        assert!(file.read().unwrap_err().contains("leads out"));
    }
}
