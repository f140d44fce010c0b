//! What is kept beside the rows, in the same transaction: what was set aside, and what an append run remembers.

use crate::outcome::Failure;
use crate::records::changes::line_failure;
use crate::sink::rejected::Rejecting;
use crate::staging::read::REJECTED;
use crate::staging::rejection::RejectedLine;

use super::Sqlite;
use super::error::number;

impl Sqlite<'_> {
    /// Replaces what the job's append run before remembered.
    pub(super) fn remember(&self, digests: &[u8]) -> Result<(), Failure> {
        let Sqlite {
            link, place, job, ..
        } = self;
        let statement = "INSERT OR REPLACE INTO tidegate_remembered (job, digests) VALUES (?1, ?2)";
        let executed = link.execute(statement, rusqlite::params![job, digests]);
        place.done(executed, || "cannot write `tidegate_remembered`")?;
        Ok(())
    }

    /// Replaces what was set aside by the job's run before.
    pub(super) fn keep_rejected(&self, rejected: &mut Rejecting) -> Result<(), Failure> {
        let Sqlite {
            link, place, job, ..
        } = self;
        let doing = || "cannot write `tidegate_rejected`";
        let deleted = link.execute("DELETE FROM tidegate_rejected WHERE job = ?1", [job]);
        place.done(deleted, doing)?;
        let mut insert = place.done(
            link.prepare("INSERT INTO tidegate_rejected (job, number, reason, pointer, record) VALUES (?1, ?2, ?3, ?4, ?5)"),
            doing,
        )?;
        let mut lines = rejected.lines()?;
        loop {
            let number_of_line = lines.number() + 1;
            let line = lines.next_line();
            let Some(line) = line.map_err(|error| line_failure(REJECTED, error))? else {
                return Ok(());
            };
            let read = RejectedLine::read(number_of_line, line)?;
            let inserted = insert.execute(rusqlite::params![
                job,
                number(number_of_line),
                read.reason,
                read.pointer,
                read.record.get()
            ]);
            place.done(inserted, doing)?;
        }
    }
}
