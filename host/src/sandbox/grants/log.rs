//! A component's stderr and stdout: what it writes there goes to the parent as it is, which makes lines of it.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::limits::LOG_WRITE_BYTES_MAX;

/// Grants stderr, which is `out`; stdout is the same.
pub fn grant(wasi: &mut WasiCtxBuilder, out: File) {
    let stderr = Stderr(Arc::new(out));
    wasi.stdout(stderr.clone()).stderr(stderr);
}

#[derive(Clone)]
struct Stderr(Arc<File>);

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
        // The parent reads all the time. Where it does not, it is gone.
        let _ = self.0.as_ref().write_all(&bytes);
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
