//! The whole lines of a file, one by one or as many at a time as are in memory; never more memory than one line needs.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

/// What is read at once; little in tests, so that they meet every boundary.
const BLOCK_BYTES: usize = if cfg!(test) { 64 } else { 256 * 1024 };

/// Reads a file by its lines, from its beginning, leaving the file's own position alone.
pub struct Lines<'f> {
    source: ByteSource<'f>,
    buffer: Vec<u8>,
    /// The part of `buffer` that was read and not yet handed out.
    start: usize,
    end: usize,
    line_bytes_max: usize,
    /// The number of the line handed out last, from 1.
    number: u64,
}

/// Where the bytes come from.
enum ByteSource<'f> {
    Nothing,
    /// A file, read from this offset.
    File(&'f File, u64),
    /// What is made of a file while it is read.
    Made(Box<dyn Read + 'f>),
}

/// Why there is no next line.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// The file could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A line is longer than allowed.
    #[error("line {number} is longer than {bytes_max} bytes (MAX_RECORD_BYTES)")]
    TooLong {
        /// Which line, from 1; when blocks are read, of the lines handed out one by one.
        number: u64,
        bytes_max: usize,
    },
    /// The file does not end with a newline.
    #[error("its last line is cut off")]
    CutOff,
}

impl<'f> Lines<'f> {
    /// The lines of `file`; of nothing when there is none.
    pub fn new(file: Option<&'f File>, line_bytes_max: usize) -> Self {
        let source = file.map_or(ByteSource::Nothing, |file| ByteSource::File(file, 0));
        Self::from(source, line_bytes_max)
    }

    /// The lines of what `reader` makes.
    pub fn made(reader: Box<dyn Read + 'f>, line_bytes_max: usize) -> Self {
        Self::from(ByteSource::Made(reader), line_bytes_max)
    }

    fn from(source: ByteSource<'f>, line_bytes_max: usize) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            line_bytes_max,
            number: 0,
        }
    }

    /// The number of the line handed out last, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether nothing is left to be handed out.
    pub fn is_empty(&mut self) -> Result<bool, LinesError> {
        Ok(self.start == self.end && !self.fill()?)
    }

    /// The next line without its newline; `None` after the last.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, LinesError> {
        let mut looked_at = 0;
        loop {
            let unread = &self.buffer[self.start..self.end];
            if let Some(newline) = memchr::memchr(b'\n', &unread[looked_at..]) {
                let line = self.start..self.start + looked_at + newline;
                self.start = line.end + 1;
                self.number += 1;
                if line.len() > self.line_bytes_max {
                    return Err(self.too_long());
                }
                return Ok(Some(&self.buffer[line]));
            }
            looked_at = unread.len();
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// As many whole lines as can be had at once, each with its newline; `None` after the last.
    pub fn next_block(&mut self) -> Result<Option<&[u8]>, LinesError> {
        loop {
            let unread = &self.buffer[self.start..self.end];
            if let Some(newline) = memchr::memrchr(b'\n', unread) {
                let block = self.start..=self.start + newline;
                self.start = block.end() + 1;
                return Ok(Some(&self.buffer[block]));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads on; `false` at the end of the file.
    fn fill(&mut self) -> Result<bool, LinesError> {
        if matches!(self.source, ByteSource::Nothing) {
            return Ok(false);
        }
        let unread = self.end - self.start;
        if unread > self.line_bytes_max {
            self.number += 1;
            return Err(self.too_long());
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, unread);
        if unread == self.buffer.len() {
            // Grown only for a line that needs it, and then no further than the longest line.
            let longest = self.line_bytes_max.saturating_add(1).max(BLOCK_BYTES);
            self.buffer
                .resize((2 * unread).clamp(BLOCK_BYTES, longest), 0);
        }
        let read = loop {
            let free = &mut self.buffer[self.end..];
            let result = match &mut self.source {
                ByteSource::Nothing => Ok(0),
                ByteSource::File(file, offset) => file
                    .read_at(free, *offset)
                    .inspect(|read| *offset += *read as u64),
                ByteSource::Made(reader) => reader.read(free),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.end += read;
        match (read, unread) {
            (0, 0) => Ok(false),
            (0, _) => Err(LinesError::CutOff),
            _ => Ok(true),
        }
    }

    fn too_long(&self) -> LinesError {
        LinesError::TooLong {
            number: self.number,
            bytes_max: self.line_bytes_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn lines(bytes: &[u8], line_bytes_max: usize) -> Result<Vec<Vec<u8>>, LinesError> {
        let file = file(bytes);
        let mut lines = Lines::new(Some(&file), line_bytes_max);
        let mut all = Vec::new();
        while let Some(line) = lines.next_line()? {
            all.push(line.to_vec());
        }
        Ok(all)
    }

    #[test]
    fn lines_come_whole_however_long_they_are() {
        let long = vec![b'x'; 3 * BLOCK_BYTES + 17];
        let text = [b"a\n\n", &long[..], b"\nb\n"].concat();

        let lines = lines(&text, 4 * BLOCK_BYTES).unwrap();

        assert_eq!(lines, [b"a".to_vec(), vec![], long, b"b".to_vec()]);
    }

    #[test]
    fn a_line_at_the_limit_passes_and_a_longer_one_does_not() {
        assert_eq!(lines(b"12345\n", 5).unwrap(), [b"12345"]);
        assert!(matches!(
            lines(b"1\n123456\n", 5),
            Err(LinesError::TooLong { number: 2, .. })
        ));
        let endless = vec![b'x'; 2 * BLOCK_BYTES];
        assert!(matches!(
            lines(&endless, 5),
            Err(LinesError::TooLong { number: 1, .. })
        ));
    }

    #[test]
    fn a_line_without_its_end_is_an_error() {
        assert!(matches!(lines(b"a\nb", 5), Err(LinesError::CutOff)));
    }

    #[test]
    fn nothing_is_left_after_the_last_line_and_not_before() {
        let file = file(b"a\n\n");
        let mut lines = Lines::new(Some(&file), 5);

        assert!(!lines.is_empty().unwrap());
        assert_eq!(lines.next_line().unwrap(), Some(&b"a"[..]));
        assert!(!lines.is_empty().unwrap());
        assert_eq!(lines.next_line().unwrap(), Some(&b""[..]));
        assert!(lines.is_empty().unwrap());
        assert!(Lines::new(None, 5).is_empty().unwrap());
    }

    #[test]
    fn blocks_together_are_the_file() {
        let text = "some line of some length\n".repeat(30_000);
        let file = file(text.as_bytes());
        let mut lines = Lines::new(Some(&file), 100);
        let (mut joined, mut blocks) = (Vec::new(), 0);

        while let Some(block) = lines.next_block().unwrap() {
            assert!(block.ends_with(b"\n"));
            joined.extend_from_slice(block);
            blocks += 1;
        }

        assert_eq!(joined, text.as_bytes());
        assert!(blocks > 1);
    }
}
