//! Writes a published file: framing, checksum and counts in one pass. Records pass through as the bytes they are.

use std::fs::File;

use rustix::fs::Mode;

use crate::folder::{Doing as _, Folder};
use crate::outcome::Failure;
use crate::settings::data_file::{Compression, OutputFormat};
use crate::sink::manifest::FileRecord;

use compress::Stream;

pub use columns::MemberNames;
pub use compress::decoded;
pub use set::{SetFile, SetOutput};

mod columns;
mod compress;
mod csv;
mod set;

/// What is hashed and written at once; little in tests, so that they meet every boundary.
const BLOCK_BYTES: usize = if cfg!(test) { 32 } else { 256 * 1024 };

/// What is around and between the records of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// Before the first record.
    pub head: &'static [u8],
    pub between: &'static [u8],
    /// After the last record.
    pub tail: &'static [u8],
    /// After the head when there is no record.
    pub tail_of_none: &'static [u8],
}

/// One record a line.
pub const LINES: Framing = Framing {
    head: b"",
    between: b"\n",
    tail: b"\n",
    tail_of_none: b"",
};

/// One array, one record a line.
pub const ARRAY: Framing = Framing {
    head: b"[\n",
    between: b",\n",
    tail: b"\n]\n",
    tail_of_none: b"]\n",
};

pub const BARE: Framing = Framing {
    head: b"",
    between: b"",
    tail: b"",
    tail_of_none: b"",
};

impl Framing {
    /// The framing of records in a format; those of a table have the one of lines.
    pub const fn of(format: OutputFormat) -> Self {
        match format {
            OutputFormat::Json => ARRAY,
            OutputFormat::Ndjson | OutputFormat::Csv => LINES,
        }
    }
}

/// A file that is being written.
pub struct Output {
    /// None once it has ended.
    stream: Option<Stream>,
    shown: String,
    framing: Framing,
    compression: Compression,
    buffer: Vec<u8>,
    records: u64,
}

impl Output {
    /// A new file in `folder`; `mode` applies whatever umask is; without one, umask applies.
    pub fn create(
        folder: &Folder,
        name: &str,
        framing: Framing,
        compression: Compression,
        mode: Option<u32>,
    ) -> Result<Self, Failure> {
        let shown = folder.shown(name);
        let file = folder.create(name, mode.unwrap_or(0o666))?;
        if let Some(mode) = mode {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
                .doing(|| format!("set the mode of `{shown}`"))?;
        }
        let stream = Stream::new(file, compression).doing(|| format!("cannot write `{shown}`"))?;
        let mut output = Self {
            stream: Some(stream),
            shown,
            framing,
            compression,
            buffer: Vec::with_capacity(BLOCK_BYTES),
            records: 0,
        };
        output.put(framing.head)?;
        Ok(output)
    }

    /// Records written so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Adds `records` records, already joined by this framing's separator.
    pub fn write(&mut self, joined: &[u8], records: u64) -> Result<(), Failure> {
        if records == 0 {
            return Ok(());
        }
        if self.records > 0 {
            self.put(self.framing.between)?;
        }
        self.records += records;
        self.put(joined)
    }

    /// Forgets everything written so far.
    pub fn restart(&mut self) -> Result<(), Failure> {
        let (file, ..) = self.end()?.finish();
        let doing = || format!("truncate `{}`", self.shown);
        rustix::fs::ftruncate(&file, 0).doing(doing)?;
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).doing(doing)?;
        self.stream = Some(Stream::new(file, self.compression).doing(doing)?);
        self.buffer.clear();
        self.records = 0;
        self.put(self.framing.head)
    }

    /// Ends the file. It is not yet synced: that is the commit's to do, once.
    pub fn finish(mut self) -> Result<(File, FileRecord), Failure> {
        let tail = if self.records == 0 {
            self.framing.tail_of_none
        } else {
            self.framing.tail
        };
        self.put(tail)?;
        self.flush()?;
        let (file, bytes, sha256) = self.end()?.finish();
        let record = FileRecord {
            bytes,
            sha256,
            records: self.records,
        };
        Ok((file, record))
    }

    fn end(&mut self) -> Result<compress::Hashed, Failure> {
        let stream = self.stream.take().expect("it ends once");
        stream
            .finish()
            .doing(|| format!("cannot write `{}`", self.shown))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.buffer.len() + bytes.len() > BLOCK_BYTES {
            self.flush()?;
        }
        if bytes.len() > BLOCK_BYTES {
            return self.write_out(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.write_out(&buffer)?;
        buffer.clear();
        self.buffer = buffer;
        Ok(())
    }

    fn write_out(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let stream = self.stream.as_mut().expect("it has not ended");
        stream
            .write(bytes)
            .doing(|| format!("cannot write `{}`", self.shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(framing: Framing, write: impl FnOnce(&mut Output)) -> (String, FileRecord) {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap().unwrap();
        let mut output = Output::create(&folder, "f", framing, Compression::None, None).unwrap();
        write(&mut output);
        let (_, record) = output.finish().unwrap();
        (
            std::fs::read_to_string(temp.path().join("f")).unwrap(),
            record,
        )
    }

    #[test]
    fn an_array_has_a_record_on_each_line() {
        let (text, record) = written(ARRAY, |out| {
            out.write(b"{\"a\":1.10}", 1).unwrap();
            out.write(b"{},\n{}", 2).unwrap();
        });

        assert_eq!(text, "[\n{\"a\":1.10},\n{},\n{}\n]\n");
        assert_eq!(record.records, 3);
        assert_eq!(record.bytes, text.len() as u64);
        assert_eq!(record.sha256, crate::hash::sha256(text.as_bytes()));
    }

    #[test]
    fn an_empty_set_is_an_empty_array_or_an_empty_file() {
        assert_eq!(written(ARRAY, |_| {}).0, "[\n]\n");
        assert_eq!(written(LINES, |_| {}).0, "");
    }

    #[test]
    fn what_was_written_before_a_restart_is_gone() {
        let (text, record) = written(ARRAY, |out| {
            out.write(&b"x".repeat(3 * BLOCK_BYTES), 1).unwrap();
            out.restart().unwrap();
            out.write(b"{}", 1).unwrap();
        });

        assert_eq!(text, "[\n{}\n]\n");
        assert_eq!(record.sha256, crate::hash::sha256(text.as_bytes()));
    }

    #[test]
    fn a_mode_stands_whatever_umask_says() {
        use std::os::unix::fs::PermissionsExt as _;
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap().unwrap();

        drop(Output::create(&folder, "f", LINES, Compression::None, Some(0o666)).unwrap());

        let mode = std::fs::metadata(temp.path().join("f"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o666);
    }
}
