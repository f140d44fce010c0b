//! A component's stderr: each line becomes one event of the run's log.
//!
//! A line that begins with `warn: ` is a warning, any other is progress. Lines are cut at a limit, and after a number of
//! them the rest is counted and dropped: a component can neither flood the log nor forge a line of the host's.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::json;
use tokio::io::AsyncWrite;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::limits::Limits;
use crate::log::Log;

/// What one write may carry: more is refused by the stream.
const WRITE_BYTES: usize = 64 * 1024;

/// Grants stderr, as lines in `log`.
pub fn grant(wasi: &mut WasiCtxBuilder, log: Log, limits: &Limits) {
    let lines = Stream {
        log,
        unfinished: Vec::new(),
        bytes_max: limits.log_line_bytes,
        lines_left: limits.log_lines,
        dropped: 0,
    };
    wasi.stderr(Stderr(Arc::new(Mutex::new(lines))));
}

#[derive(Clone)]
struct Stderr(Arc<Mutex<Stream>>);

struct Stream {
    log: Log,
    unfinished: Vec<u8>,
    bytes_max: usize,
    lines_left: u64,
    dropped: u64,
}

impl Stream {
    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
            } else if self.unfinished.len() < self.bytes_max {
                self.unfinished.push(byte);
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.unfinished);
        if line.is_empty() {
            return;
        }
        if self.lines_left == 0 {
            self.dropped += 1;
            return;
        }
        self.lines_left -= 1;
        let text = String::from_utf8_lossy(&line);
        match text.strip_prefix("warn: ") {
            Some(text) => self.log.warn("component", json!({ "text": text })),
            None => self.log.progress("component", json!({ "text": text })),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end_line();
        if self.dropped > 0 {
            self.log.warn(
                "component log cut",
                json!({ "dropped_lines": self.dropped }),
            );
        }
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
        if let Ok(mut lines) = self.0.lock() {
            lines.take(&bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stderr {
    async fn ready(&mut self) {}
}
