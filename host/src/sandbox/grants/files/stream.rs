//! Reading and writing a staged file as a stream: what was written is in the file when the call returns.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::bindings::wasi::filesystem::types::ErrorCode;
use super::file::{StagedFile, WriteError};
use super::folder::error_code;
use crate::limits::STREAM_CALL_BYTES_MAX;

/// Reads from a place on.
pub struct Reading {
    pub file: Arc<StagedFile>,
    /// Where the next byte comes from.
    pub at: u64,
}

/// Writes from a place on, or always at the end.
pub struct Writing {
    pub file: Arc<StagedFile>,
    /// Where the next byte goes; none: to the end.
    pub at: Option<u64>,
}

impl InputStream for Reading {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let read = self.file.read(size.min(STREAM_CALL_BYTES_MAX), self.at);
        let bytes = read.map_err(|error| failed(error_code(error)))?;
        if bytes.is_empty() && size > 0 {
            return Err(StreamError::Closed);
        }
        self.at += bytes.len() as u64;
        Ok(bytes.into())
    }
}

impl OutputStream for Writing {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > STREAM_CALL_BYTES_MAX {
            return Err(StreamError::trap("it wrote more than `check-write` allows"));
        }
        let at = self.at.unwrap_or_else(|| self.file.size());
        match self.file.write(&bytes, at) {
            Ok(()) => {
                self.at = self.at.map(|at| at + bytes.len() as u64);
                Ok(())
            }
            Err(WriteError::Os(error)) => Err(failed(error_code(error))),
            Err(WriteError::Exceeded(limit)) => Err(StreamError::Trap(limit.into())),
        }
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(STREAM_CALL_BYTES_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Reading {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl Pollable for Writing {
    async fn ready(&mut self) {}
}

fn failed(error: ErrorCode) -> StreamError {
    StreamError::LastOperationFailed(error.into())
}
