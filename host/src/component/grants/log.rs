//! A component's stderr: each line becomes one event of the run's log.
//!
//! How long a line may be, how many there may be in a run, and that none of them can forge a line of the host's, is `log`'s
//! business; here a line that never ends takes no memory.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::limits::{LOG_WRITE_BYTES_MAX, Limits};
use crate::log::Log;

/// Grants stderr, as lines in `log`.
pub fn grant(wasi: &mut WasiCtxBuilder, log: Log, limits: &Limits) {
    let lines = Stream {
        log,
        unfinished: Vec::new(),
        unfinished_bytes: 0,
        limits: limits.clone(),
    };
    wasi.stderr(Stderr(Arc::new(Mutex::new(lines))));
}

#[derive(Clone)]
struct Stderr(Arc<Mutex<Stream>>);

struct Stream {
    log: Log,
    /// The beginning of a line: twice as much as is shown of it, so that no secret is cut before it is hidden.
    unfinished: Vec<u8>,
    /// How long that line is.
    unfinished_bytes: u64,
    limits: Limits,
}

impl Stream {
    fn take(&mut self, bytes: &[u8]) {
        let mut pieces = bytes.split(|&byte| byte == b'\n');
        if let Some(piece) = pieces.next() {
            self.go_on(piece);
        }
        for piece in pieces {
            self.end_line();
            self.go_on(piece);
        }
    }

    fn go_on(&mut self, piece: &[u8]) {
        let room = (2 * self.limits.log_line_bytes).saturating_sub(self.unfinished.len());
        self.unfinished
            .extend_from_slice(&piece[..piece.len().min(room)]);
        self.unfinished_bytes = self.unfinished_bytes.saturating_add(piece.len() as u64);
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.unfinished);
        let whole_bytes = std::mem::take(&mut self.unfinished_bytes);
        if line.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        let cut_from = Some(whole_bytes).filter(|whole| *whole > line.len() as u64);
        self.log.component(&text, cut_from, &self.limits);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end_line();
    }
}

impl IsTerminal for Stderr {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stderr {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only asked for by WASI 0.3, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Stderr {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > LOG_WRITE_BYTES_MAX {
            return Err(StreamError::trap("it wrote more than `check-write` allows"));
        }
        if let Ok(mut lines) = self.0.lock() {
            lines.take(&bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LOG_WRITE_BYTES_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stderr {
    async fn ready(&mut self) {}
}
