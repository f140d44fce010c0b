//! Ahead of a first load: its rows go to the server while the component still runs, into a table that nobody else sees.
//!
//! Nobody waits for this transaction: it holds nothing but its own new table. Nor is it open much longer than the load takes:
//! where the component is slower than the server, it is given up once it has waited for [`AHEAD_WAIT_MAX`] in all. A server
//! cannot clean up behind a transaction that stays open. The job's row is held, and the table gets its name, only when the
//! component has ended.
//!
//! Whatever goes wrong here is no failure: the rows are then loaded as if nothing had been done.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::SinkExt as _;
use jiff::Timestamp;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, CopyInSink};

use crate::folder::random_digits;
use crate::limits::{AHEAD_PIECES_MAX, AHEAD_WAIT_MAX};
use crate::outcome::Failure;
use crate::sink;
use crate::sink::database::{self, Layout, written};

use super::form::Form;
use super::kinds::Takes;
use super::load::Load;
use super::wait::{Given, wait};
use super::{Postgres, fence, first_load, table};

/// Fewer bytes of rows are loaded in no time: nothing is begun for them.
const BYTES_MIN: usize = 1024 * 1024;
/// What is sent at once.
const PIECE_BYTES: usize = 256 * 1024;

/// A table with all rows of a first load, in a transaction that is open.
pub struct Loaded {
    /// Its name until then, quoted and with its schema where that is named.
    pub table: String,
    pub takes: Vec<Takes>,
    pub records: u64,
    /// What `_updated_at` says.
    pub at: Timestamp,
}

/// Such a load under way; dropped, its transaction is given up.
pub struct Ahead<'a, 'r> {
    postgres: &'a Postgres<'r>,
    load: Load<'a>,
    /// Whether the first record was seen, and when.
    begun: Option<Instant>,
    at: Timestamp,
    /// What every row ends with.
    tail: Vec<u8>,
    rows: Vec<u8>,
    records: u64,
    sending: Sending,
}

enum Sending {
    /// There are few rows yet.
    NotYet,
    Begun {
        pieces: Sender<Piece>,
        /// How many rows the server took; none when the transaction was given up.
        sent: JoinHandle<Option<u64>>,
    },
    GivenUp,
}

enum Piece {
    Rows(Vec<u8>),
    /// All rows were sent.
    End,
}

impl<'a, 'r> Ahead<'a, 'r> {
    /// Ready for the first record. `None`: nothing can be done ahead.
    pub fn new(postgres: &'a Postgres<'r>, layout: &'a Layout) -> Option<Self> {
        // What shares its connections would have to keep one for the run.
        if postgres.dry_run || !postgres.keeps_lock || postgres.session.is_none() {
            return None;
        }
        let name = format!("tidegate_ahead_{:016x}", random_digits());
        let at = Timestamp::now();
        Some(Self {
            postgres,
            load: Load {
                layout,
                takes: Vec::new(),
                table: postgres.names.beside(&name),
                generation: sink::next_number(None),
                committed_at: written(at),
                form: Form::Text,
                past: None,
            },
            begun: None,
            at,
            tail: Vec::new(),
            rows: Vec::new(),
            records: 0,
            sending: Sending::NotYet,
        })
    }

    /// What a first record says of the columns.
    fn begin(&mut self, record: &[u8]) {
        self.begun = Some(Instant::now());
        self.at = Timestamp::now();
        self.load.committed_at = written(self.at);
        self.load.takes = first_load::told(self.load.layout, Some(record));
        self.load.form = Form::of(&self.load.takes);
        self.tail = self.load.tail();
        self.rows.extend_from_slice(self.load.form.header());
    }

    fn give_up(&mut self) {
        self.rows = Vec::new();
        if let Sending::Begun { pieces, sent } =
            std::mem::replace(&mut self.sending, Sending::GivenUp)
        {
            // Without an end: it rolls back.
            drop(pieces);
            let limit = self.postgres.way.limits.database_goodbye;
            let ended = wait(None, limit, async { Ok(sent.await) });
            // Otherwise whoever needs the connection next rolls back.
            let is_over = matches!(ended, Ok(Ok(None)));
            self.postgres.is_open.set(!is_over);
        }
    }

    /// Sends what there is. `Err`: the run must end.
    fn send(&mut self) -> Result<(), Failure> {
        if matches!(self.sending, Sending::NotYet) {
            let waited = self.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
            let is_slow = waited > AHEAD_WAIT_MAX;
            let begun = if is_slow { None } else { self.start() };
            self.sending = begun.unwrap_or(Sending::GivenUp);
        }
        let rows = std::mem::take(&mut self.rows);
        self.pass_on(Piece::Rows(rows))
    }

    fn pass_on(&mut self, piece: Piece) -> Result<(), Failure> {
        let Sending::Begun { pieces, .. } = &self.sending else {
            return Ok(());
        };
        let limit = self.postgres.way.limits.run_deadline;
        let passed = wait(Some(self.postgres.check), limit, async {
            Ok(pieces.send(piece).await.is_ok())
        });
        match passed {
            Ok(true) => {}
            Ok(false) => self.give_up(),
            Err(trouble) => {
                let doing = format!("cannot load into {} in", self.load.table);
                return Err(self.postgres.failed(&doing, trouble));
            }
        }
        Ok(())
    }

    /// Begins the transaction, makes the table in it, and begins to copy.
    fn start(&self) -> Option<Sending> {
        let postgres = self.postgres;
        let client = Arc::clone(&postgres.session.as_ref()?.client);
        postgres.make_own_tables(true).ok()?.ok()?;
        if postgres.keeps_history {
            postgres.make_history_tables().ok()?.ok()?;
        }
        let create = table::create(&self.load.table, self.load.layout, &self.load.takes);
        let copy = format!(
            "COPY {} ({}) FROM STDIN{}",
            self.load.table,
            self.load.columns(),
            self.load.form.option()
        );
        postgres.is_open.set(true);
        let limit = postgres.way.limits.database_answer;
        let begun = wait(Some(postgres.check), limit, async {
            client.batch_execute(&fence::begin_sql(postgres)).await?;
            let of: Given<'_> = &[(&postgres.names.table, Type::TEXT)];
            let is_there = "SELECT to_regclass($1) IS NOT NULL";
            if client.query_typed_one(is_there, of).await?.try_get(0)? {
                return Ok(None);
            }
            client.batch_execute(&create).await?;
            client.copy_in(&copy).await.map(Some)
        });
        let Ok(Some(copy)) = begun else {
            postgres.is_open.set(!postgres.rolls_back());
            return None;
        };
        let (pieces, taken) = mpsc::channel(AHEAD_PIECES_MAX);
        let sent = tokio::spawn(sent(client, copy, taken));
        Some(Sending::Begun { pieces, sent })
    }
}

impl database::Ahead for Ahead<'_, '_> {
    fn take(&mut self, key: &[u8], record: &[u8]) -> Result<(), Failure> {
        if matches!(self.sending, Sending::GivenUp) {
            return Ok(());
        }
        if self.begun.is_none() {
            self.begin(record);
        }
        // Whatever does not fit is for those who set it aside, or widen a column for it.
        if self.load.push(&mut self.rows, key, record)?.is_err() {
            self.give_up();
            return Ok(());
        }
        self.rows.extend_from_slice(&self.tail);
        self.load.form.end_row(&mut self.rows);
        self.records += 1;
        let enough = match self.sending {
            Sending::NotYet => BYTES_MIN,
            Sending::Begun { .. } | Sending::GivenUp => PIECE_BYTES,
        };
        if self.rows.len() < enough {
            return Ok(());
        }
        self.send()
    }

    fn finish(mut self: Box<Self>) -> Result<(), Failure> {
        if !matches!(self.sending, Sending::Begun { .. }) {
            return Ok(());
        }
        self.rows.extend_from_slice(self.load.form.trailer());
        self.send()?;
        self.pass_on(Piece::End)?;
        let Sending::Begun { sent, .. } = &mut self.sending else {
            return Ok(());
        };
        let limit = self.postgres.way.limits.run_deadline;
        let ended = wait(Some(self.postgres.check), limit, async {
            Ok(sent.await.ok().flatten())
        });
        let doing = format!("cannot load into {} in", self.load.table);
        let taken = ended.map_err(|trouble| self.postgres.failed(&doing, trouble))?;
        self.sending = Sending::GivenUp;
        match taken {
            None => self.postgres.is_open.set(false),
            // A trigger of the server's, which the load itself will find.
            Some(taken) if taken != self.records => {}
            Some(records) => {
                let loaded = Loaded {
                    table: self.load.table.clone(),
                    takes: self.load.takes.clone(),
                    records,
                    at: self.at,
                };
                self.postgres.ahead.replace(Some(loaded));
            }
        }
        Ok(())
    }
}

impl Drop for Ahead<'_, '_> {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Copies what is passed on. `None`: the transaction was rolled back, or its connection is lost.
async fn sent(
    client: Arc<Client>,
    copy: CopyInSink<Bytes>,
    pieces: Receiver<Piece>,
) -> Option<u64> {
    let sent = copied(copy, pieces).await;
    if sent.is_none() {
        let _ = client.batch_execute("ROLLBACK").await;
    }
    sent
}

async fn copied(copy: CopyInSink<Bytes>, mut pieces: Receiver<Piece>) -> Option<u64> {
    let mut copy = pin!(copy);
    let mut left = AHEAD_WAIT_MAX;
    loop {
        let since = Instant::now();
        let piece = tokio::time::timeout(left, pieces.recv()).await;
        left = left.saturating_sub(since.elapsed());
        match piece {
            Ok(Some(Piece::Rows(rows))) => copy.send(rows.into()).await.ok()?,
            Ok(Some(Piece::End)) => return copy.finish().await.ok(),
            Ok(None) | Err(_) => {
                // Ended well, it is no error in the server's log.
                let _ = copy.finish().await;
                return None;
            }
        }
    }
}
