//! What an append run adds to a table: the records that the last run did not stage. What it staged is remembered in the
//! database, in the transaction of the rows.

use std::io::{Read as _, Seek as _, Write as _};

use serde_json::json;

use crate::folder::{Doing as _, Folder};
use crate::outcome::{Failure, Outcome};
use crate::records::changes;
use crate::sink::dedup::{self, DIGEST_BYTES, Remembered, Repeats};
use crate::sink::manifest::{DIGESTS, FileRecord};
use crate::staging::read::Staged;

use super::{Connection, Database, Rows};

/// What was remembered before, on disk: it is read as a stream.
const BEFORE: &str = "remembered";

/// New rows, how many lines were read for them, and what is to be remembered.
type NewRows<'s> = (Rows<'s>, changes::Read, Option<(Vec<u8>, FileRecord)>);

impl<C: Connection> Database<'_, C> {
    /// The records that are to be added, in the order in which they were staged.
    pub(super) fn new_rows<'s>(
        &mut self,
        staged: &'s Staged,
        folder: &Folder,
    ) -> Result<NewRows<'s>, Failure> {
        let (limits, check) = (self.context.limits, self.context.check);
        let (repeats, read) = Repeats::of(staged, &self.keys, folder, limits, check)?;
        let last = self.last.as_ref().map(|(_, manifest)| manifest);
        let last = last.filter(|last| last.appends());
        let doing = || format!("cannot write `{}`", folder.shown(BEFORE));
        let mut before = folder.create(BEFORE, 0o600)?;
        if last.is_some() {
            let remembered = self.connection.remembered()?.unwrap_or_default();
            before.write_all(&remembered).doing(doing)?;
            before.rewind().doing(doing)?;
        }
        let remembered = last.map_or_else(Remembered::nothing, |last| {
            let shown = "tidegate_remembered".to_owned();
            Remembered::read(&before, &last.files[DIGESTS], shown)
        });
        // A run's portions are one run: what came before it matters until the last of them.
        let known = last.map_or(0, |last| last.files[DIGESTS].records);
        let fits = (known + read.staged) * DIGEST_BYTES as u64 <= limits.remembered_bytes;
        let is_one = staged.more || last.is_some_and(|last| last.unfinished);
        if is_one && !fits {
            let told = json!({ "records": known });
            let log = self.context.log;
            log.warn(
                "records of earlier portions of this run are no longer checked for duplicates",
                told,
            );
        }
        let keep = read.staged == 0 || (is_one && fits);
        let mut digests = dedup::create(folder, DIGESTS)?;
        let compared = repeats.compare(remembered, keep, &mut digests, check)?;
        let (mut file, record) = digests.finish()?;
        if record.bytes > limits.remembered_bytes {
            return Err(too_many(record.bytes, limits.remembered_bytes));
        }
        let mut bytes = Vec::new();
        let doing = || format!("cannot read `{}`", folder.shown(DIGESTS));
        file.rewind().doing(doing)?;
        file.read_to_end(&mut bytes).doing(doing)?;
        let records = staged.records();
        Ok((Rows::New { records, compared }, read, Some((bytes, record))))
    }
}

fn too_many(bytes: u64, most: u64) -> Failure {
    Failure::new(
        Outcome::GateRefused,
        format!(
            "cannot append: what this run staged takes {bytes} bytes to be remembered in the database, and {most} are allowed; fetch less in one run, or append to files"
        ),
    )
}
