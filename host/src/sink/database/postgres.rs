//! PostgreSQL: a table, and tidegate's own beside it, changed in one transaction.
//!
//! One run at a time by an advisory lock of the session; and whatever becomes of that lock, the job's row is held in the
//! transaction and must still be the parent's. What became of a commit whose answer was lost is read from that row.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};

use crate::limits::LOCK_TRIES_MAX;
use crate::outcome::{Failure, Outcome};
use crate::process::stop::Check;
use crate::settings::database_url::Address;
use crate::settings::host::{HostPlan, OutputPlan};
use crate::sink::Applied;
use crate::sink::SinkContext;
use crate::sink::database::past::{Back, Held, Kept};
use crate::sink::database::retry::patiently;
use crate::sink::database::{self, Changes, Connection, Layout, Recorded, RunRow, StateRow};

use ahead::{Ahead, Loaded};
use connect::{Session, Way};
use names::Names;
use resolve::Became;
use runs::RunsTable;
use wait::{Given, Trouble, wait};

pub use compared::looked_at;
pub use look::{history, look};
pub use runs::record_apart;

mod ahead;
mod compared;
mod connect;
mod copy;
mod fence;
mod first_load;
mod fit;
mod form;
mod holder;
mod kinds;
mod load;
mod look;
mod merge;
mod names;
mod own_tables;
mod past;
mod pooler;
mod resolve;
mod runs;
mod side_tables;
mod table;
mod times;
mod tls;
mod wait;

const LOCK_PAUSE: Duration = Duration::from_millis(100);
/// A session that does not roll back within this is busy with something else.
const ROLLBACK_PAUSE: Duration = Duration::from_millis(250);

/// Rows that a policy hides from us are an error, and not a set without them.
const ALL_ROWS: &str = "SET LOCAL row_security = off";

/// A server, and a session there that holds the run lock.
pub struct Postgres<'r> {
    way: Way<'r>,
    names: Names,
    check: Check<'r>,
    session: Option<Session>,
    /// Whether this session holds the run lock: not behind such a pooler.
    keeps_lock: bool,
    /// Whether a transaction was begun and not ended.
    is_open: Cell<bool>,
    /// What was loaded ahead, in that transaction.
    ahead: RefCell<Option<Loaded>>,
    /// `--dry-run`: nothing is made that would outlive the transaction.
    dry_run: bool,
    /// `OUTPUT_HISTORY`, but in a dry run.
    keeps_history: bool,
    /// What is known of `tidegate_runs`.
    runs: RunsTable,
    /// Whether the last failure was a wait for a lock.
    was_blocked: Cell<bool>,
}

impl<'r> Postgres<'r> {
    /// Connects and takes the run lock. `Err` is 75 when another run has it, or the server cannot be reached now; 73 when it
    /// cannot be used.
    pub fn open(
        context: &SinkContext<'r>,
        address: &'r Address,
        host: &'r HostPlan,
    ) -> Result<Self, Failure> {
        let names = Names::new(&host.output.table)?;
        let way = Way {
            address,
            tls: tls::connector(address, host.ca_file.as_deref(), context.limits)?,
            job: &host.job,
            lock: lock_of("run", &host.job, names.schema.as_deref()),
            limits: context.limits,
            log: context.log,
        };
        way.warn_of_a_bare_password();
        let mut opened = Self {
            way,
            names,
            check: context.check,
            session: None,
            keeps_lock: true,
            is_open: Cell::new(false),
            ahead: RefCell::new(None),
            dry_run: context.dry_run,
            keeps_history: host.output.keeps_history && !context.dry_run,
            runs: RunsTable::default(),
            was_blocked: Cell::new(false),
        };
        let patience = (context.limits, context.log, context.check);
        patiently(patience, |_| opened.reconnect())?;
        Ok(opened)
    }

    /// A new session that holds the run lock.
    fn reconnect(&mut self) -> Result<(), Failure> {
        self.session = None;
        self.is_open.set(false);
        self.ahead.take();
        let session = self.way.connect(Some(self.check))?;
        self.way.takes_writes(&session)?;
        self.keeps_lock = !self.way.shares_connections(&session, Some(self.check));
        if !self.keeps_lock {
            self.session = Some(session);
            return Ok(());
        }
        for attempt in 1.. {
            let locked = self.way.try_lock(&session, Some(self.check));
            if locked.map_err(|trouble| self.failed("cannot take the run lock in", trouble))? {
                break;
            }
            if attempt == LOCK_TRIES_MAX {
                return Err(self.way.held(&session, Some(self.check)));
            }
            std::thread::sleep(LOCK_PAUSE);
        }
        self.session = Some(session);
        Ok(())
    }

    fn client(&self) -> Result<&Client, Failure> {
        self.session().map(|session| &*session.client)
    }

    fn session(&self) -> Result<&Session, Failure> {
        self.session.as_ref().ok_or_else(|| {
            Failure::new(
                Outcome::TryLater,
                format!(
                    "cannot use the database `{}`: the connection is lost",
                    self.way.address
                ),
            )
        })
    }

    fn failed(&self, doing: &str, trouble: Trouble) -> Failure {
        self.was_blocked.set(trouble.code() == "55P03");
        let lacks_identity = trouble
            .answer()
            .is_some_and(|answer| answer.message().contains("replica identity"));
        let mut failure = trouble.failure(doing, self.way.address);
        if lacks_identity {
            failure.message = format!(
                "{}; let the published table take deletions by `ALTER TABLE {} REPLICA IDENTITY FULL`, or set PRIMARY_KEY and run with `--full-refresh`",
                failure.message, self.names.table
            );
        }
        failure
    }

    /// Gives up the transaction, if there is one. `false`: the session is of no use any more.
    fn rolls_back(&self) -> bool {
        self.ahead.take();
        if !self.is_open.replace(false) {
            return true;
        }
        let Some(session) = &self.session else {
            return true;
        };
        let limit = self.way.limits.database_goodbye;
        let cancel = session.client.cancel_token();
        let ended = wait(None, limit, async {
            let mut rollback = pin!(session.client.batch_execute("ROLLBACK"));
            if let Ok(done) = tokio::time::timeout(ROLLBACK_PAUSE, &mut rollback).await {
                return done;
            }
            // What is under way there is cancelled, as after a signal. Not where nothing is: a request to cancel is the
            // end of some poolers (PgBouncer 1.18.0).
            let _ = cancel.cancel_query(self.way.tls.clone()).await;
            rollback.await
        });
        ended.is_ok()
    }

    /// Runs a statement that takes as long as it takes; how many rows it touched.
    fn run(&self, doing: &str, sql: &str) -> Result<u64, Failure> {
        let client = self.client()?;
        let ran = wait(
            Some(self.check),
            self.way.limits.run_deadline,
            client.execute_typed(sql, &[]),
        );
        ran.map_err(|trouble| self.failed(doing, trouble))
    }

    /// 65: the server stored fewer rows than it was sent, without an error. Names what can be at fault.
    fn dropped(&self, table: &str, stored: u64, sent: u64) -> Failure {
        let sql = "SELECT string_agg(tgname::text, ', ' ORDER BY tgname) FROM pg_catalog.pg_trigger \
             WHERE tgrelid = to_regclass($1) AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 3 = 3";
        let of: Given<'_> = &[(&table, Type::TEXT)];
        let asked = self.client().map(|client| {
            let limit = self.way.limits.database_answer;
            wait(Some(self.check), limit, async {
                let row = client.query_typed_one(sql, of).await?;
                row.try_get::<_, Option<String>>(0)
            })
        });
        let triggers = asked.ok().and_then(Result::ok).flatten();
        let whose = triggers.map_or_else(
            || "a trigger of the table or of a partition".to_owned(),
            |names| format!("a trigger that runs before each row (`{names}`)"),
        );
        Failure::new(
            Outcome::GateRefused,
            format!(
                "cannot write into {table} in `{}`: {stored} of {sent} rows were taken, and no error was reported: {whose} dropped the others; let the trigger return the rows of the role `{}`, or name another table by OUTPUT_TABLE",
                self.way.address,
                self.way.address.user()
            ),
        )
    }

    /// Asks for counts, for as long as that takes.
    fn counts<const N: usize>(&self, doing: &str, sql: &str) -> Result<[u64; N], Failure> {
        let client = self.client()?;
        let limit = self.way.limits.run_deadline;
        let asked = wait(Some(self.check), limit, async {
            let row = client.query_typed_one(sql, &[]).await?;
            let mut counts = [0; N];
            for (at, count) in counts.iter_mut().enumerate() {
                *count = row.try_get::<_, i64>(at)?.unsigned_abs();
            }
            Ok(counts)
        });
        asked.map_err(|trouble| self.failed(doing, trouble))
    }

    /// The job's row, for whoever waits that long.
    fn read(&self, check: Option<Check<'_>>) -> Result<Option<StateRow>, Trouble> {
        let Some(session) = &self.session else {
            return Err(Trouble::TimedOut(Duration::ZERO));
        };
        let sql = state_sql(&self.names.state);
        let of: Given<'_> = &[(&self.way.job, Type::TEXT)];
        let asked = async {
            let row = session.client.query_typed_opt(&sql, of).await?;
            row.map(|row| row_of(self.way.job, &row)).transpose()
        };
        match wait(check, self.way.limits.database_answer, asked) {
            Ok(row) => Ok(row),
            // Nothing was ever committed here.
            Err(trouble) if trouble.code() == "42P01" => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }
}

impl Connection for Postgres<'_> {
    fn ahead<'c>(&'c self, layout: &'c Layout) -> Option<Box<dyn database::Ahead + 'c>> {
        let ahead = Ahead::new(self, layout)?;
        Some(Box::new(ahead))
    }

    fn ahead_at(&self) -> Option<Timestamp> {
        self.ahead.borrow().as_ref().map(|loaded| loaded.at)
    }

    fn state(&mut self) -> Result<Option<StateRow>, Failure> {
        self.client()?;
        self.read(Some(self.check))
            .map_err(|trouble| self.failed("cannot read the last commit in", trouble))
    }

    fn begin(&mut self, parent: Option<u64>) -> Result<(), Failure> {
        const DOING: &str = "cannot begin a transaction in";
        // The connection was idle while the component fetched: it may be gone. Whether somebody else committed since then is
        // found out by the row.
        let is_gone = self
            .session
            .as_ref()
            .is_none_or(|session| session.client.is_closed());
        if is_gone {
            self.reconnect()?;
        }
        match fence::begin(self, parent)? {
            Ok(()) => Ok(()),
            Err(trouble) if trouble.is_lost() && !is_gone => {
                let error = json!({ "error": self.failed(DOING, trouble).message });
                self.way.log.info(
                    "database connection lost while fetching, connecting again",
                    error,
                );
                self.reconnect()?;
                let started = fence::begin(self, parent)?;
                started.map_err(|trouble| self.failed(DOING, trouble))
            }
            Err(trouble) => Err(self.failed(DOING, trouble)),
        }
    }

    fn remembered(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let sql = format!(
            "SELECT digests FROM {} WHERE job = $1",
            self.names.remembered
        );
        let of: Given<'_> = &[(&self.way.job, Type::TEXT)];
        let client = self.client()?;
        let read = wait(Some(self.check), self.way.limits.run_deadline, async {
            let row = client.query_typed_opt(&sql, of).await?;
            row.map(|row| row.try_get(0)).transpose()
        });
        read.map_err(|trouble| self.failed("cannot read what is remembered in", trouble))
    }

    fn apply(
        &mut self,
        plan: &OutputPlan,
        layout: &Layout,
        changes: Changes<'_>,
    ) -> Result<Applied, Failure> {
        load::apply(self, plan, layout, changes)
    }

    fn commit(&mut self, row: &StateRow) -> Result<(), Failure> {
        const DOING: &str = "cannot commit in";
        let sql = format!(
            "UPDATE {} SET generation = $2, parent = $3, state = $4, manifest = $5, committed_at = $6::timestamptz \
             WHERE job = $1",
            self.names.state
        );
        let generation = i64::try_from(row.generation).unwrap_or(i64::MAX);
        let client = self.client()?;
        let of: Given<'_> = &[
            (&row.job, Type::TEXT),
            (&generation, Type::INT8),
            (&row.parent, Type::TEXT),
            (&row.state, Type::TEXT),
            (&row.manifest, Type::TEXT),
            (&row.committed_at, Type::TEXT),
        ];
        let written = client.execute_typed(&sql, of);
        let written = wait(Some(self.check), self.way.limits.database_answer, written);
        let written =
            written.map_err(|trouble| self.failed("cannot write the state in", trouble))?;
        if written != 1 {
            return Err(self.dropped(&self.names.state, written, 1));
        }
        if self.keeps_history {
            self.keep_generation(row)?;
        }
        // From here on nothing but its answer, or the row, says whether it is done.
        let limit = self.way.limits.database_commit;
        let committed = wait(None, limit, client.batch_execute("COMMIT"));
        let trouble = match committed {
            Ok(()) => {
                self.is_open.set(false);
                return Ok(());
            }
            Err(trouble) => trouble,
        };
        if !trouble.is_lost() {
            return Err(self.failed(DOING, trouble));
        }
        self.is_open.set(false);
        let lost = self.failed(DOING, trouble);
        let warning = json!({ "error": lost.message });
        self.way
            .log
            .warn("answer to COMMIT lost, reading the state", warning);
        match resolve::resolve(self, row) {
            Became::Committed => Ok(()),
            Became::NotCommitted => Err(Failure::new(
                Outcome::TryLater,
                format!(
                    "{}; the state there says that nothing was committed",
                    lost.message
                ),
            )),
            Became::Unknown(why) => Err(resolve::unknown(&lost, &why)),
        }
    }

    fn held(&mut self) -> Result<Option<Held>, Failure> {
        self.held_now()
    }

    fn hold(&mut self, held: &Held) -> Result<(), Failure> {
        self.hold_in_transaction(held)
    }

    fn release(&mut self) -> Result<bool, Failure> {
        self.release_now()
    }

    fn kept(&mut self, _table: &str) -> Result<Option<Kept>, Failure> {
        self.kept_now()
    }

    fn kept_row(&mut self, at_most: u64) -> Result<Option<StateRow>, Failure> {
        self.kept_row_now(at_most)
    }

    fn go_back(
        &mut self,
        _plan: &OutputPlan,
        layout: &Layout,
        back: Back<'_>,
    ) -> Result<Applied, Failure> {
        past::go_back(self, layout, back)
    }

    fn roll_back(&mut self) {
        if !self.rolls_back() {
            self.session = None;
        }
    }

    fn blamed(&self, failure: Failure) -> Failure {
        Postgres::blamed(self, failure)
    }

    fn recorded(&mut self) -> Result<Option<String>, Failure> {
        self.roll_back();
        self.recorded_last()
    }

    fn record(&mut self, run: &RunRow) -> Result<Recorded, Failure> {
        self.roll_back();
        self.write_run(run, "COMMIT")?;
        Ok(Recorded::Yes)
    }

    fn forget(&mut self, run_id: &str) -> Result<(), Failure> {
        self.roll_back();
        self.forget_run(run_id)
    }

    fn try_to_record(&mut self, run: &RunRow) -> Result<(), Failure> {
        self.roll_back();
        self.write_run(run, "ROLLBACK")
    }
}

/// The next run need not wait until the server has noticed that we are gone.
impl Drop for Postgres<'_> {
    fn drop(&mut self) {
        self.roll_back();
        // Of a shared connection the locks may be somebody else's.
        if let Some(session) = self.session.as_ref().filter(|_| self.keeps_lock) {
            let unlock = session
                .client
                .batch_execute("SELECT pg_advisory_unlock_all()");
            let _ = wait(None, self.way.limits.database_goodbye, unlock);
        }
    }
}

/// Asks for the row of the job `$1`.
fn state_sql(table: &str) -> String {
    format!(
        "SELECT generation, parent, state, manifest, \
         to_char(committed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM {table} WHERE job = $1"
    )
}

fn row_of(job: &str, row: &Row) -> Result<StateRow, Error> {
    Ok(StateRow {
        job: job.to_owned(),
        generation: u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or_default(),
        parent: row.try_get(1)?,
        state: row.try_get(2)?,
        manifest: row.try_get(3)?,
        committed_at: row.try_get(4)?,
    })
}

/// The advisory lock of a `what` of this name, among all of them in a database.
fn lock_of(what: &str, name: &str, schema: Option<&str>) -> i64 {
    let digest = Sha256::digest(format!(
        "tidegate {what} lock\0{}\0{name}",
        schema.unwrap_or_default()
    ));
    let head: [u8; 8] = digest[..8].try_into().expect("eight bytes of 32");
    i64::from_be_bytes(head)
}
