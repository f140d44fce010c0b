//! A look at the last commit, for `health`: without a lock, without a change, also while a run is under way.

use std::path::Path;

use rusqlite::{Connection as Link, OpenFlags};

use crate::limits::Limits;
use crate::outcome::Failure;
use crate::sink::database::Seen;

use super::error::{DatabaseFile, code};
use super::runs::Runs;
use super::{read_state, table};

/// The job's row, its runs, whether its table is there and, where `count` says so, how many rows that has.
pub fn look(path: &Path, job: &str, count: bool, limits: &Limits) -> Result<Seen, Failure> {
    let place = DatabaseFile::of(path);
    let doing = || "cannot open";
    let Some(link) = opened(path, &place, limits)? else {
        return Ok(Seen::default());
    };
    // One transaction, so that the row and the table are of the same commit.
    place.done(link.execute_batch("BEGIN"), doing)?;
    let state = read_state(&link, &place, job)?;
    let named = state.as_ref().and_then(|row| row.trusted().ok());
    let named = named.and_then(|(_, manifest)| manifest.table);
    let has_table = match &named {
        Some(name) => place.done(table::exists(&link, name), doing)?,
        None => false,
    };
    let rows = match named.filter(|_| count && has_table) {
        Some(name) => {
            let counted = table::count(&link, &name);
            Some(place.done(counted, || {
                format!("cannot count the rows of the table `{name}`")
            })?)
        }
        None => None,
    };
    let runs = Runs {
        link: &link,
        place: &place,
        job,
        is_strict: true,
        limits,
    };
    Ok(Seen {
        state,
        has_table,
        rows,
        runs: runs.seen()?,
    })
}

/// In write-ahead mode a reader needs files beside the database. Somebody who may not make them, and finds none because
/// nobody writes, reads the file as it is.
fn open(path: &Path) -> rusqlite::Result<Link> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Link::open_with_flags(path, flags).and_then(|link| {
        table::exists(&link, "tidegate_state")?;
        Ok(link)
    });
    let mut log = path.to_owned().into_os_string();
    log.push("-wal");
    match opened {
        Err(error)
            if code(&error) == rusqlite::ffi::SQLITE_CANTOPEN && !Path::new(&log).exists() =>
        {
            let name = format!("file:{}?immutable=1", path.display());
            Link::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_URI)
        }
        opened => opened,
    }
}

/// The summaries of the last runs that ended.
pub fn history(path: &Path, job: &str, most: i64, limits: &Limits) -> Result<Vec<String>, Failure> {
    let place = DatabaseFile::of(path);
    let Some(link) = opened(path, &place, limits)? else {
        return Ok(Vec::new());
    };
    let runs = Runs {
        link: &link,
        place: &place,
        job,
        is_strict: true,
        limits,
    };
    runs.listed(most)
}

/// The file, open to be read; none where there is none.
fn opened(path: &Path, place: &DatabaseFile, limits: &Limits) -> Result<Option<Link>, Failure> {
    let doing = || "cannot open";
    if !path.exists() {
        return Ok(None);
    }
    let link = place.done(open(path), doing)?;
    place.done(link.busy_timeout(limits.database_busy), doing)?;
    Ok(Some(link))
}
