//! What is kept beside the rows, in the same transaction: what was set aside, and what an append run remembers.

use tokio_postgres::types::Type;

use crate::outcome::Failure;
use crate::records::changes::line_failure;
use crate::sink::database::Changes;
use crate::staging::read::REJECTED;
use crate::staging::rejection::RejectedLine;

use super::Postgres;
use super::copy::Copying;
use super::fit;
use super::form::Form;
use super::wait::{Given, wait};

/// What PostgreSQL has no character for.
const NUL: char = '\0';

/// Replaces what the job's run before set aside and remembered.
pub fn keep(postgres: &Postgres<'_>, changes: &mut Changes<'_>) -> Result<(), Failure> {
    if postgres.dry_run {
        return Ok(());
    }
    if let Some(digests) = changes.remembered {
        remember(postgres, digests)?;
    }
    set_aside(postgres, changes)
}

fn remember(postgres: &Postgres<'_>, digests: &[u8]) -> Result<(), Failure> {
    let table = &postgres.names.remembered;
    let sql = format!(
        "INSERT INTO {table} (job, digests) VALUES ($1, $2) ON CONFLICT (job) DO UPDATE SET digests = excluded.digests"
    );
    let of: Given<'_> = &[(&postgres.way.job, Type::TEXT), (&digests, Type::BYTEA)];
    execute(postgres, "cannot write what is remembered in", &sql, of)
}

fn set_aside(postgres: &Postgres<'_>, changes: &mut Changes<'_>) -> Result<(), Failure> {
    let table = &postgres.names.rejected;
    let sql = format!("DELETE FROM {table} WHERE job = $1");
    let of: Given<'_> = &[(&postgres.way.job, Type::TEXT)];
    execute(postgres, "cannot write what was set aside in", &sql, of)?;
    let mut copying = None;
    let mut lines = changes.rejected.lines()?;
    loop {
        let number = lines.number() + 1;
        let line = lines.next_line();
        let Some(line) = line.map_err(|error| line_failure(REJECTED, error))? else {
            break;
        };
        let read = RejectedLine::read(number, line)?;
        let copying = match &mut copying {
            Some(copying) => copying,
            none => none.insert(Copying::into(
                postgres,
                table,
                "job, number, reason, pointer, record",
                Form::Text,
            )?),
        };
        fit::push_escaped(copying.line(), postgres.way.job);
        let number = format!("\t{number}");
        copying.line().extend_from_slice(number.as_bytes());
        for text in [&read.reason, &read.pointer, read.record.get()] {
            copying.line().push(b'\t');
            fit::push_escaped(copying.line(), &text.replace(NUL, "\u{fffd}"));
        }
        copying.line_ends()?;
    }
    copying.map_or(Ok(0), Copying::finish).map(|_| ())
}

fn execute(postgres: &Postgres<'_>, doing: &str, sql: &str, of: Given<'_>) -> Result<(), Failure> {
    let ran = postgres.client()?.execute_typed(sql, of);
    let ran = wait(Some(postgres.check), postgres.way.limits.run_deadline, ran);
    ran.map_err(|trouble| postgres.failed(doing, trouble))?;
    Ok(())
}
