//! A job's row in `tidegate_state`: its last commit, written in the transaction of the data it speaks of.

use jiff::Timestamp;

use crate::outcome::{Failure, Outcome};
use crate::sink::generation_name::GenerationName;
use crate::sink::manifest::Manifest;

use super::names::{HISTORY_TABLE, STATE_TABLE};

/// A time as rows and manifests have it.
pub fn written(at: Timestamp) -> String {
    format!("{at:.3}")
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRow {
    /// `JOB_NAME`.
    pub job: String,
    /// The number of the commit: one more than its parent's.
    pub generation: u64,
    /// The name of the generation before; none for the first.
    pub parent: Option<String>,
    pub state: String,
    /// The manifest, byte for byte: the generation's name is made of it.
    pub manifest: String,
    /// When it was committed, RFC 3339 in UTC.
    pub committed_at: String,
}

impl StateRow {
    /// The row of a commit that is made now, and its name.
    pub fn new(mut manifest: Manifest, now: Timestamp) -> (Self, GenerationName) {
        manifest.finished = written(now);
        let bytes = manifest.to_bytes();
        let name = GenerationName::new(manifest.generation, now, &bytes);
        let row = Self {
            job: manifest.job,
            generation: manifest.generation,
            parent: manifest.parent,
            state: manifest.state,
            manifest: String::from_utf8(bytes).expect("JSON is text"),
            committed_at: manifest.finished,
        };
        (row, name)
    }

    /// The row of a commit whose state alone was changed, and its name. `Err` (73): its manifest does not say when it was finished.
    pub fn restated(manifest: Manifest) -> Result<(Self, GenerationName), Failure> {
        let finished = manifest.finished.parse().map_err(|_| {
            let message = "the manifest of the last commit does not say when it was finished";
            Failure::new(Outcome::OutputUnusable, message)
        })?;
        Ok(Self::new(manifest, finished))
    }

    /// The row of a commit whose manifest was kept. `Err` is 73: it was edited.
    pub fn kept(
        job: &str,
        generation: u64,
        committed_at: String,
        manifest: String,
    ) -> Result<Self, Failure> {
        let read = Manifest::from_bytes(manifest.as_bytes()).map_err(|what| {
            Failure::new(
                Outcome::OutputUnusable,
                format!(
                    "cannot trust generation {generation} of the job `{job}` in `{HISTORY_TABLE}`: its manifest {what}"
                ),
            )
        })?;
        Ok(Self {
            job: job.to_owned(),
            generation,
            parent: read.parent,
            state: read.state,
            manifest,
            committed_at,
        })
    }

    /// The commit that this row speaks of. `Err` is 73: it was edited, or a newer version wrote it.
    pub fn trusted(&self) -> Result<(GenerationName, Manifest), Failure> {
        let untrusted = |what: &str| {
            Failure::new(
                Outcome::OutputUnusable,
                format!(
                    "cannot trust the row of the job `{}` in `{STATE_TABLE}`: {what}; restore it from a backup, or delete it, empty the job's table, and everything is fetched again",
                    self.job
                ),
            )
        };
        let manifest = Manifest::from_bytes(self.manifest.as_bytes())
            .map_err(|what| untrusted(&format!("its manifest {what}")))?;
        let finished: Timestamp = manifest
            .finished
            .parse()
            .map_err(|_| untrusted("its manifest does not say when it was finished"))?;
        if (manifest.generation, &manifest.state) != (self.generation, &self.state) {
            return Err(untrusted("its generation or state is not its manifest's"));
        }
        let name = GenerationName::new(manifest.generation, finished, self.manifest.as_bytes());
        Ok((name, manifest))
    }
}
