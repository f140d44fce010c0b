//! A component's stderr: each line becomes one event of the run's log.
//!
//! How long a line may be, how many there may be in a run, and that none of them can forge a line of the host's, is `log`'s
//! business; here a line that never ends takes no memory.

use crate::limits::Limits;
use crate::log::{Log, Reader};

/// The lines of one call, read as they come.
pub struct Lines {
    log: Log,
    /// The beginning of a line: twice as much as is shown of it, so that no secret is cut before it is hidden.
    unfinished: Vec<u8>,
    /// How long that line is.
    unfinished_bytes: u64,
    limits: Limits,
    _reader: Reader,
}

impl Lines {
    /// Nothing read so far.
    pub fn new(log: Log, limits: &Limits) -> Self {
        let reader = log.reader();
        Self {
            log,
            unfinished: Vec::new(),
            unfinished_bytes: 0,
            limits: limits.clone(),
            _reader: reader,
        }
    }

    /// Takes the next bytes of it.
    pub fn take(&mut self, bytes: &[u8]) {
        // Of a flood only the lines are counted: it must not cost more than who sends it.
        let lines = memchr::memchr_iter(b'\n', bytes).count() as u64;
        if self.log.drops_component(lines) {
            self.drop_begun(bytes);
            return;
        }
        let mut pieces = bytes.split(|&byte| byte == b'\n');
        if let Some(piece) = pieces.next() {
            self.go_on(piece);
        }
        for piece in pieces {
            self.end_line();
            self.go_on(piece);
        }
    }

    /// Of lines that are counted by their ends, only whether one is unfinished is of use.
    fn drop_begun(&mut self, bytes: &[u8]) {
        let rest = match memchr::memrchr(b'\n', bytes) {
            Some(end) => {
                self.unfinished.clear();
                self.unfinished_bytes = 0;
                &bytes[end + 1..]
            }
            None => bytes,
        };
        self.unfinished_bytes = self.unfinished_bytes.saturating_add(rest.len() as u64);
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
        if whole_bytes == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        let cut_from = Some(whole_bytes).filter(|whole| *whole > line.len() as u64);
        self.log.component(&text, cut_from, &self.limits);
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.end_line();
    }
}

#[cfg(test)]
mod tests;
