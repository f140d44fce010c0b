//! Where failures are counted if they cannot be counted in the record of the last run: a full disk, a database that is not
//! there. A file of the job in the folder of compiled components.

use std::path::{Path, PathBuf};

use crate::folder::{Folder, Writers};
use crate::limits::Limits;
use crate::run::last_run::LastRun;
use crate::run::summary::Summary;
use crate::sink::files::commit;
use crate::words;

/// The folder in that of compiled components.
const FOLDER: &str = "alerts";
/// Of a job's digest, as many digits as tell jobs apart.
const DIGITS: usize = 32;

/// The file of one job.
pub struct Kept {
    folder: PathBuf,
    name: String,
}

impl Kept {
    /// Of the job that is known by this; none without a folder for it.
    pub fn new(cache_dir: Option<&PathBuf>, job_id: &str) -> Option<Self> {
        Some(Self {
            folder: cache_dir.map(Path::new)?.join(FOLDER),
            name: format!("{}.json", job_id.get(..DIGITS)?),
        })
    }

    /// What was kept; none also where others could have written it.
    pub fn read(&self) -> Option<LastRun> {
        let bytes_max = Limits::default().manifest_bytes;
        let bytes = self.opened()?.read(&self.name, bytes_max).ok().flatten()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// True if and only if it is kept.
    pub fn write(&self, summary: &Summary) -> bool {
        let written = || {
            let record: LastRun =
                serde_json::from_value(serde_json::to_value(summary).ok()?).ok()?;
            let text = words::escaped(&serde_json::to_string(&record).ok()?);
            let folder = Folder::open_or_create(&self.folder, None, Writers::Nobody).ok()?;
            commit::replace_file(&folder, &self.name, &summary.run_id, text.as_bytes()).ok()
        };
        written().is_some()
    }

    /// The record of the last run has it now.
    pub fn forget(&self) {
        if let Some(folder) = self.opened() {
            let _ = folder.remove_file(&self.name);
        }
    }

    fn opened(&self) -> Option<Folder> {
        Folder::open_for(&self.folder, Writers::Nobody)
            .ok()
            .flatten()
    }
}
