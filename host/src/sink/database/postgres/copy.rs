//! COPY from here into a table of the server.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio_postgres::CopyInSink;

use crate::outcome::Failure;

use super::Postgres;
use super::form::Form;
use super::wait::wait;

/// What is sent at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// One COPY under way; dropped, it is given up and its transaction with it.
pub struct Copying<'p, 'r> {
    postgres: &'p Postgres<'r>,
    form: Form,
    doing: String,
    sink: Pin<Box<CopyInSink<Bytes>>>,
    buffer: Vec<u8>,
    table: String,
    lines: u64,
}

impl<'p, 'r> Copying<'p, 'r> {
    /// Begins one into these columns, of rows in this form.
    pub fn into(
        postgres: &'p Postgres<'r>,
        table: &str,
        columns: &str,
        form: Form,
    ) -> Result<Self, Failure> {
        let sql = format!("COPY {table} ({columns}) FROM STDIN{}", form.option());
        let doing = format!("cannot load into {table} in");
        let client = postgres.client()?;
        let sink = wait(
            Some(postgres.check),
            postgres.way.limits.database_answer,
            client.copy_in(&sql),
        );
        let sink = sink.map_err(|trouble| postgres.failed(&doing, trouble))?;
        let mut buffer = Vec::with_capacity(CHUNK_BYTES * 2);
        buffer.extend_from_slice(form.header());
        Ok(Self {
            postgres,
            form,
            doing,
            sink: Box::pin(sink),
            buffer,
            table: table.to_owned(),
            lines: 0,
        })
    }

    /// Where the next line is written; [`Self::line_ends`] follows.
    pub fn line(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The line is complete.
    pub fn line_ends(&mut self) -> Result<(), Failure> {
        self.form.end_row(&mut self.buffer);
        self.lines += 1;
        if self.buffer.len() < CHUNK_BYTES {
            return Ok(());
        }
        self.send()
    }

    fn send(&mut self) -> Result<(), Failure> {
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK_BYTES * 2));
        let limit = self.postgres.way.limits.run_deadline;
        let sent = wait(
            Some(self.postgres.check),
            limit,
            self.sink.send(Bytes::from(chunk)),
        );
        match sent {
            Ok(()) => Ok(()),
            // The server may have said why; that comes with the end.
            Err(super::Trouble::Server(_)) => Err(self.end().err().unwrap_or_else(|| {
                let message = format!("{} `{}`: it stopped", self.doing, self.postgres.way.address);
                Failure::new(crate::outcome::Outcome::TryLater, message)
            })),
            Err(trouble) => Err(self.postgres.failed(&self.doing, trouble)),
        }
    }

    fn end(&mut self) -> Result<u64, Failure> {
        let limit = self.postgres.way.limits.run_deadline;
        let ended = wait(
            Some(self.postgres.check),
            limit,
            self.sink.as_mut().finish(),
        );
        ended.map_err(|trouble| self.postgres.failed(&self.doing, trouble))
    }

    /// Sends the rest; how many lines the server took. `Err` is 65 when it took fewer than were sent.
    pub fn finish(mut self) -> Result<u64, Failure> {
        self.buffer.extend_from_slice(self.form.trailer());
        if !self.buffer.is_empty() {
            self.send()?;
        }
        let taken = self.end()?;
        if taken < self.lines {
            return Err(self.postgres.dropped(&self.table, taken, self.lines));
        }
        Ok(taken)
    }
}
