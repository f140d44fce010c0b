//! The sink of SQLite: a table in a file, in write-ahead mode, with the state in the same transaction.
//!
//! The file is reached through SQLite alone: to close it in any other way would give up SQLite's own locks on it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection as Link, OpenFlags, OptionalExtension as _, ffi, params};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use crate::folder::{Doing as _, Folder, Writers, refuse_foreign_file};
use crate::outcome::{Committed, Failure, Outcome};
use crate::settings::host::OutputPlan;
use crate::sink::Applied;
use crate::sink::SinkContext;
use crate::sink::database::past::{Back, Held, Kept};
use crate::sink::database::{
    Changes, Connection, Layout, Recorded, RunRow, StateRow, overtaken, vanished,
};

use error::DatabaseFile;
use runs::Runs;

pub use look::{history, look, looked_at};
pub use runs::record_apart;

mod apply;
mod error;
mod look;
mod past;
mod runs;
mod side_tables;
mod table;
mod value;

/// How commits are made to survive.
#[derive(Clone, Copy)]
struct Journal {
    /// For messages.
    called: &'static str,
    /// `PRAGMA journal_mode`.
    mode: &'static str,
    /// `PRAGMA synchronous`.
    synchronous: i64,
}

/// The longest that SQLite itself waits for another writer before the run's deadline is looked at.
const WAIT_SLICE: Duration = Duration::from_millis(100);
/// Pages held in memory, in KiB: enough for the inner pages of an index of tens of millions of rows.
const CACHE_KIB: i64 = 16 * 1024;

/// The tables in which commits are kept; without the word STRICT where it is not wanted.
const OWN_TABLES: &str = "
    CREATE TABLE IF NOT EXISTS tidegate_state (
        job TEXT NOT NULL PRIMARY KEY, generation INTEGER NOT NULL, parent TEXT, state TEXT NOT NULL,
        manifest TEXT NOT NULL, committed_at TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS tidegate_rejected (
        job TEXT NOT NULL, number INTEGER NOT NULL, reason TEXT NOT NULL, pointer TEXT NOT NULL, record TEXT NOT NULL,
        PRIMARY KEY (job, number)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS tidegate_remembered (
        job TEXT NOT NULL PRIMARY KEY, digests BLOB NOT NULL
    ) STRICT;";

/// A database file, and the job that writes to it.
pub struct Sqlite<'r> {
    context: SinkContext<'r>,
    job: String,
    place: DatabaseFile,
    link: Link,
    /// `OUTPUT_SQLITE_STRICT`.
    is_strict: bool,
    /// `OUTPUT_HISTORY`.
    keeps_history: bool,
    /// Whether there was nothing in the file when it was opened, and so nobody who reads it.
    is_new: bool,
}

impl<'r> Sqlite<'r> {
    /// Opens the file at `path`, which is made where it is missing. A dry run makes none: it works in a temporary one.
    ///
    /// `Err` is 73 when it cannot be used, or others than `writers` can write to its folder, 74 when the disk is at fault, 75 when another writer holds it.
    pub fn open(
        context: SinkContext<'r>,
        path: &Path,
        job: &str,
        writers: Writers,
        plan: &OutputPlan,
    ) -> Result<Self, Failure> {
        let place = DatabaseFile::of(path);
        let exists = exists(path, &place)?;
        if exists {
            refuse_foreign(path, writers)?;
        }
        refuse_foreign_beside(path, writers)?;
        // An empty name is a database on disk that nobody else sees and that goes when it is closed.
        let opened = if context.dry_run && !exists {
            Path::new("")
        } else {
            path
        };
        let mut sqlite = Self {
            link: connect(opened, &place)?,
            context,
            job: job.to_owned(),
            place,
            is_strict: plan.sqlite_strict,
            keeps_history: plan.keeps_history,
            is_new: false,
        };
        let doing = || "cannot open";
        // The header is read, and a file that is none is told.
        let has_state = sqlite
            .place
            .done(table::exists(&sqlite.link, "tidegate_state"), doing)?;
        if !sqlite.context.dry_run {
            sqlite.is_new = sqlite.place.done(is_empty(&sqlite.link), doing)?;
            if sqlite.is_new {
                sqlite.write_in_place()?;
            } else {
                sqlite.write_ahead()?;
            }
            if !has_state {
                sync_folder_of(path)?;
            }
        }
        Ok(sqlite)
    }

    /// Readers are in nobody's way, and nobody is in theirs.
    fn write_ahead(&self) -> Result<(), Failure> {
        self.journal(Journal {
            called: "write-ahead mode with full syncs",
            mode: "wal",
            synchronous: 2,
        })
    }

    /// What is the first in a file is written once, not to a log before. Synced with the folder, as the journal's going is the commit.
    fn write_in_place(&self) -> Result<(), Failure> {
        self.journal(Journal {
            called: "a rollback journal with extra syncs",
            mode: "delete",
            synchronous: 3,
        })
    }

    /// Every commit is synced before it counts. Read back: SQLite ignores what it does not know.
    fn journal(&self, wanted: Journal) -> Result<(), Failure> {
        let doing = || format!("cannot switch to {}", wanted.called);
        let mode: String = self.patiently(doing, |link| {
            let statement = format!("PRAGMA journal_mode = {}", wanted.mode);
            link.query_row(&statement, [], |row| row.get(0))
        })?;
        let statement = format!("PRAGMA synchronous = {}", wanted.synchronous);
        self.place
            .done(self.link.execute_batch(&statement), doing)?;
        let synchronous: i64 = self.place.done(
            self.link
                .query_row("PRAGMA synchronous", [], |row| row.get(0)),
            doing,
        )?;
        if mode == wanted.mode && synchronous == wanted.synchronous {
            return Ok(());
        }
        Err(self.place.unusable(format_args!(
            "{}: it stays in `{mode}` with synchronous={synchronous}; keep it on a local file system",
            doing()
        )))
    }

    /// Does `act` as soon as no other writer is in its way, within the limit.
    fn patiently<T, D: std::fmt::Display>(
        &self,
        doing: impl Fn() -> D,
        act: impl Fn(&Link) -> rusqlite::Result<T>,
    ) -> Result<T, Failure> {
        let since = Instant::now();
        loop {
            match act(&self.link) {
                Err(error) if error::is_busy(&error) => {
                    (self.context.check)()?;
                    if since.elapsed() >= self.context.limits.database_busy {
                        return Err(self.place.busy(doing(), self.context.limits.database_busy));
                    }
                }
                done => return self.place.done(done, doing),
            }
        }
    }

    /// Makes tables of tidegate's own.
    fn make(&self, tables: &str) -> Result<(), Failure> {
        let made = if self.is_strict {
            self.link.execute_batch(tables)
        } else {
            self.link.execute_batch(&tables.replace(" STRICT", ""))
        };
        self.place.done(made, || "cannot create the state table")
    }

    fn runs(&self) -> Runs<'_> {
        Runs {
            link: &self.link,
            place: &self.place,
            job: &self.job,
            is_strict: self.is_strict,
            limits: self.context.limits,
        }
    }

    /// What became of a commit that failed: nobody guesses, the row is read by a new connection.
    ///
    /// `Ok`: it was made after all, and is synced.
    fn resolve(&mut self, row: &StateRow, failure: Failure) -> Result<(), Failure> {
        let unknown = |what: String| Failure {
            outcome: Outcome::IoFailed,
            message: what,
            committed: Committed::Unknown,
            is_overlap: false,
            may_pass: false,
        };
        let path = self.place.path.clone();
        // A file that is gone would be made anew, and empty.
        let is_there = exists(&path, &self.place).and_then(|is_there| {
            let gone = || self.place.unusable("it is gone");
            is_there.then_some(()).ok_or_else(gone)
        });
        let linked = is_there.and_then(|()| connect(&path, &self.place));
        let again = linked.and_then(|link| {
            // The old one is closed, and with it goes what it had not committed.
            self.link = link;
            self.state()
        });
        let found = again.map_err(|second| {
            unknown(format!(
                "{}; whether it was committed cannot be read: {}",
                failure.message, second.message
            ))
        })?;
        if found.as_ref() == Some(row) {
            let synced = self
                .link
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                    row.get::<_, i64>(0)
                });
            return match synced {
                Ok(0) => Ok(()),
                _ => Err(unknown(format!(
                    "{}; it is there, and may not survive a power cut",
                    failure.message
                ))),
            };
        }
        let parent = row.generation.checked_sub(1).filter(|number| *number > 0);
        let became = match found.map(|found| found.generation) {
            now if now == parent => return Err(failure),
            None => "the row of the last commit is gone",
            Some(_) => "somebody else committed meanwhile",
        };
        Err(unknown(format!("{}; {became}", failure.message)))
    }
}

impl Connection for Sqlite<'_> {
    fn state(&mut self) -> Result<Option<StateRow>, Failure> {
        read_state(&self.link, &self.place, &self.job)
    }

    fn begin(&mut self, parent: Option<u64>) -> Result<(), Failure> {
        self.patiently(
            || "cannot begin a transaction",
            |link| link.execute_batch("BEGIN IMMEDIATE"),
        )?;
        self.make(OWN_TABLES)?;
        if self.keeps_history {
            self.make(past::OWN_TABLES)?;
        }
        let now = self.state()?.map(|row| row.generation);
        if now == parent {
            return Ok(());
        }
        self.roll_back();
        Err(match now {
            None => vanished(&self.job),
            Some(_) => overtaken(&self.job),
        })
    }

    fn remembered(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let statement = "SELECT digests FROM tidegate_remembered WHERE job = ?1";
        let read = self
            .link
            .query_row(statement, [&self.job], |row| row.get(0));
        let doing = || "cannot read `tidegate_remembered`";
        self.place.done(read.optional(), doing)
    }

    fn apply(
        &mut self,
        plan: &OutputPlan,
        layout: &Layout,
        changes: Changes<'_>,
    ) -> Result<Applied, Failure> {
        apply::apply(self, &plan.table, layout, changes)
    }

    fn commit(&mut self, row: &StateRow) -> Result<(), Failure> {
        let number = error::number(row.generation);
        let written = if number == 1 {
            self.link.execute(
                "INSERT INTO tidegate_state (job, generation, parent, state, manifest, committed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![row.job, number, row.parent, row.state, row.manifest, row.committed_at],
            )
        } else {
            self.link.execute(
                "UPDATE tidegate_state SET generation = ?2, parent = ?3, state = ?4, manifest = ?5, committed_at = ?6 WHERE job = ?1 AND generation = ?2 - 1",
                params![row.job, number, row.parent, row.state, row.manifest, row.committed_at],
            )
        };
        if self.place.done(written, || "cannot write the state")? != 1 {
            return Err(overtaken(&self.job));
        }
        if self.keeps_history {
            self.keep_generation(row)?;
        }
        let committed = self.patiently(|| "cannot commit", |link| link.execute_batch("COMMIT"));
        if let Err(failure) = committed {
            self.resolve(row, failure)?;
        }
        if std::mem::take(&mut self.is_new) {
            // Readers may come from here on. Where one is in the way of it already, the next run does it.
            let _ = self.write_ahead();
        }
        Ok(())
    }

    fn roll_back(&mut self) {
        if !self.link.is_autocommit() {
            // What cannot be rolled back goes when the connection is closed.
            let _ = self.link.execute_batch("ROLLBACK");
        }
    }

    fn held(&mut self) -> Result<Option<Held>, Failure> {
        past::held(&self.link, &self.place, &self.job)
    }

    fn hold(&mut self, held: &Held) -> Result<(), Failure> {
        self.hold_in_transaction(held)
    }

    fn release(&mut self) -> Result<bool, Failure> {
        self.release_now()
    }

    fn kept(&mut self, table: &str) -> Result<Option<Kept>, Failure> {
        past::kept(&self.link, &self.place, &self.job, table)
    }

    fn kept_row(&mut self, at_most: u64) -> Result<Option<StateRow>, Failure> {
        past::kept_row(&self.link, &self.place, &self.job, at_most)
    }

    fn go_back(
        &mut self,
        plan: &OutputPlan,
        layout: &Layout,
        back: Back<'_>,
    ) -> Result<Applied, Failure> {
        apply::go_back(self, &plan.table, layout, back)
    }

    fn recorded(&mut self) -> Result<Option<String>, Failure> {
        Ok(self.runs().last(1)?.pop())
    }

    fn record(&mut self, run: &RunRow) -> Result<Recorded, Failure> {
        self.runs().write(run, "COMMIT")
    }

    fn forget(&mut self, _run_id: &str) -> Result<(), Failure> {
        // Of a run under way there is no row.
        Ok(())
    }

    fn try_to_record(&mut self, run: &RunRow) -> Result<(), Failure> {
        self.runs().write(run, "ROLLBACK").map(drop)
    }
}

/// Whether a file has nothing in it, not even a header.
fn is_empty(link: &Link) -> rusqlite::Result<bool> {
    let pages: i64 = link.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    Ok(pages == 0)
}

fn connect(path: &Path, place: &DatabaseFile) -> Result<Link, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let doing = || "cannot open";
    let link = place.done(Link::open_with_flags(path, flags), doing)?;
    place.done(link.busy_timeout(WAIT_SLICE), doing)?;
    place.done(
        link.execute_batch(&format!(
            "PRAGMA cache_size = -{CACHE_KIB}; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 0"
        )),
        doing,
    )?;
    keep_log(&link);
    Ok(link)
}

/// Leaves the write-ahead log, empty, and its index beside the file: a reader that may write nothing there needs them. Where
/// that cannot be, such a reader waits for the next run.
fn keep_log(link: &Link) {
    let mut on: std::ffi::c_int = 1;
    let on: *mut std::ffi::c_int = &raw mut on;
    // SAFETY: the handle is open as long as `link` is, and this operation reads and writes the one int.
    #[expect(
        unsafe_code,
        reason = "no pragma does it, and nothing else has it; see the comment above"
    )]
    unsafe {
        ffi::sqlite3_file_control(
            link.handle(),
            std::ptr::null(),
            ffi::SQLITE_FCNTL_PERSIST_WAL,
            on.cast(),
        );
    }
}

fn read_state(link: &Link, place: &DatabaseFile, job: &str) -> Result<Option<StateRow>, Failure> {
    let doing = || format!("cannot read the row of the job `{job}` in `tidegate_state`");
    if !place.done(table::exists(link, "tidegate_state"), doing)? {
        return Ok(None);
    }
    let read = link.query_row(
        "SELECT generation, parent, state, manifest, committed_at FROM tidegate_state WHERE job = ?1",
        [job],
        |row| {
            Ok(StateRow {
                job: job.to_owned(),
                generation: row.get::<_, i64>(0)?.unsigned_abs(),
                parent: row.get(1)?,
                state: row.get(2)?,
                manifest: row.get(3)?,
                committed_at: row.get(4)?,
            })
        },
    );
    place.done(read.optional(), doing)
}

/// Whether there is a file. `Err` is 73: there is something else, or no folder to make it in.
fn exists(path: &Path, place: &DatabaseFile) -> Result<bool, Failure> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(_) => Err(place.unusable("it is not a file")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = folder_of(path);
            if folder.is_dir() {
                return Ok(false);
            }
            Err(place.unusable(format_args!(
                "the folder `{}` is missing; make it",
                folder.display()
            )))
        }
        Err(error) => Err(place.unusable(format_args!("cannot open: {error}"))),
    }
}

/// `Err` (73) when the file has a second name or is another user's. A link is followed, and what it leads to is looked at.
fn refuse_foreign(path: &Path, writers: Writers) -> Result<(), Failure> {
    let stat = rustix::fs::stat(path).doing(|| format!("cannot inspect `{}`", path.display()))?;
    refuse_foreign_file(&stat, &path.display().to_string())?;
    let linked =
        std::fs::canonicalize(path).doing(|| format!("cannot inspect `{}`", path.display()))?;
    if linked == path {
        return Ok(());
    }
    refuse_foreign_beside(&linked, writers)
}

/// `Err` (73) when others can write to the folder of the database, or put something beside it: SQLite waits for a FIFO without
/// end, and writes what a journal says into the database.
fn refuse_foreign_beside(path: &Path, writers: Writers) -> Result<(), Failure> {
    drop(Folder::open_for(&folder_of(path), writers)?);
    for ending in ["-journal", "-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(ending);
        let shown = Path::new(&beside).display().to_string();
        match rustix::fs::lstat(&beside) {
            // Root's, when root looked at the database with a tool of SQLite's.
            Ok(stat) if stat.st_uid == 0 && is_regular(&stat) => {}
            Ok(stat) => refuse_foreign_file(&stat, &shown)?,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error).doing(|| format!("cannot inspect `{shown}`")),
        }
    }
    Ok(())
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// A file that was just made survives a power cut only together with its name.
fn sync_folder_of(path: &Path) -> Result<(), Failure> {
    let folder = Folder::open(&folder_of(path))?;
    folder.map_or(Ok(()), |folder| folder.sync())
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

#[cfg(test)]
mod tests;
