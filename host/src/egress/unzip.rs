//! A zip file with one file in it, unpacked while it comes.
//!
//! Local headers are read in the order in which they come, and the central directory behind them must agree: the offsets
//! that it has lead nowhere else, so two readers cannot see two files. It gives the end only when lengths, checksum and
//! directory are right. Written after PKWARE's APPNOTE.TXT 6.3.10, whose sections the comments name.
//!
//! Folders, and what macOS puts into `__MACOSX/`, are no files. Names are for messages: nothing is written by them.

use bytes::{Buf as _, Bytes, BytesMut};
use flate2::{Crc, Decompress, FlushDecompress, Status};

/// What a zip file begins with (4.3.7).
pub(super) const FILE: &[u8] = b"PK\x03\x04";
/// What one begins with that has nothing in it (4.3.16).
pub(super) const NOTHING: &[u8] = b"PK\x05\x06";
/// A header of the central directory (4.3.12).
const LISTED: &[u8] = b"PK\x01\x02";
/// The end of a central directory with large numbers (4.3.14), and where that is (4.3.15).
const LARGE_END: &[u8] = b"PK\x06\x06";
const LARGE_END_AT: &[u8] = b"PK\x06\x07";
/// What may be before a descriptor (4.3.9.3).
const DESCRIPTOR: &[u8] = b"PK\x07\x08";

/// Bytes of a header without what varies.
const FILE_BYTES: usize = 30;
const LISTED_BYTES: usize = 46;
const END_BYTES: usize = 22;
const LARGE_END_AT_BYTES: usize = 20;
/// A descriptor at its longest, and the signature behind it.
const DESCRIPTOR_BYTES: usize = 24 + 4;
/// The field with lengths of 64 bits (4.5.3).
const LARGE: u16 = 1;
/// In place of a number that is in that field.
const SEE_LARGE: u64 = 0xffff_ffff;
/// How a file is packed (4.4.5).
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// Bits of the flags (4.4.4): encrypted; lengths and checksum come behind; also encrypted.
const ENCRYPTED: u16 = 1;
const LENGTHS_BEHIND: u16 = 1 << 3;
const STRONGLY_ENCRYPTED: u16 = 1 << 6;
const MASKED: u16 = 1 << 13;
/// A name in a message.
const SHOWN_CHARS: usize = 60;
/// Unpacked at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// The end of a central directory with large numbers, without what programs add to it.
const LARGE_END_BYTES: u64 = 4096;

/// Why it cannot be unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is cut off or damaged: asking again may help.
    Damaged(String),
    /// It is whole, and not what is read.
    Refused(String),
}

/// What the next step gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, before more has come.
    More,
    /// These bytes of the file.
    Bytes(Bytes),
    /// So many bytes that belong to no file.
    Passed(u64),
}

/// A zip file that is being read.
pub(super) struct Unzip {
    /// What came and was not read.
    held: BytesMut,
    /// How much was read before that.
    at: u64,
    state: State,
    file: Option<Entry>,
    /// How many local headers there were, and how many headers of the central directory.
    entries: u64,
    listed: u64,
    /// Whether the directory has the file.
    is_listed: bool,
    /// Where the central directory begins.
    directory: Option<u64>,
}

enum State {
    Header,
    Data(Box<Data>),
    Descriptor(Box<Data>),
    /// Headers of the central directory may come.
    Directory,
    /// The short end is next.
    End,
    Done,
}

/// What a header says of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    name: Bytes,
    method: u16,
    crc: u32,
    packed: u64,
    unpacked: u64,
    offset: u64,
}

impl Entry {
    fn is_file(&self) -> bool {
        !self.name.ends_with(b"/") && !self.name.starts_with(b"__MACOSX/")
    }
}

/// The data of a file, and what was read of it.
struct Data {
    entry: Entry,
    is_large: bool,
    lengths_behind: bool,
    inflate: Option<Decompress>,
    crc: Crc,
    packed: u64,
    unpacked: u64,
}

fn damaged<T>(why: &str) -> Result<T, Unfit> {
    Err(Unfit::Damaged(why.to_owned()))
}

fn refused<T>(why: impl Into<String>) -> Result<T, Unfit> {
    Err(Unfit::Refused(why.into()))
}

/// A name for a message.
fn shown(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let shown: String = name.chars().take(SHOWN_CHARS).collect();
    format!("`{}`", shown.escape_debug())
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number[..N].copy_from_slice(&bytes[at..at + N]);
    u64::from_le_bytes(number)
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// A length of 16 bits.
fn length(bytes: &[u8], at: usize) -> usize {
    usize::from(short(bytes, at))
}

impl Unzip {
    pub(super) fn new() -> Self {
        Self {
            held: BytesMut::new(),
            at: 0,
            state: State::Header,
            file: None,
            entries: 0,
            listed: 0,
            is_listed: false,
            directory: None,
        }
    }

    /// Takes what came.
    pub(super) fn push(&mut self, bytes: &Bytes) {
        self.held.extend_from_slice(bytes);
    }

    /// `Ok`: nothing comes any more, and all was there.
    pub(super) fn end(&self) -> Result<(), Unfit> {
        match self.state {
            State::Done if self.held.is_empty() => Ok(()),
            _ => damaged("it ends before its end"),
        }
    }

    /// Reads what was taken, as far as one step goes.
    pub(super) fn step(&mut self) -> Result<Step, Unfit> {
        loop {
            let is_on = match &mut self.state {
                State::Header | State::Directory | State::End => self.header()?,
                State::Data(_) => return self.data(),
                State::Descriptor(_) => self.descriptor()?,
                State::Done if self.held.is_empty() => false,
                State::Done => return damaged("something is behind its end"),
            };
            if !is_on {
                return Ok(Step::More);
            }
        }
    }

    fn read(&mut self, bytes: usize) -> Bytes {
        self.at += bytes as u64;
        self.held.split_to(bytes).freeze()
    }

    /// Reads the next header if all of it is there.
    fn header(&mut self) -> Result<bool, Unfit> {
        if self.held.len() < 4 {
            return Ok(false);
        }
        let is_header = matches!(self.state, State::Header);
        let is_end = matches!(self.state, State::End);
        match &self.held[..4] {
            FILE if is_header => self.local(),
            LISTED if !is_end => self.listed(),
            LARGE_END if !is_end => self.large_end(),
            LARGE_END_AT if is_end => {
                let is_there = self.held.len() >= LARGE_END_AT_BYTES;
                if is_there {
                    self.read(LARGE_END_AT_BYTES);
                }
                Ok(is_there)
            }
            NOTHING => self.short_end(),
            _ => damaged("no header is where one belongs"),
        }
    }

    /// A local header (4.3.7).
    fn local(&mut self) -> Result<bool, Unfit> {
        if self.held.len() < FILE_BYTES {
            return Ok(false);
        }
        let head = &self.held[..FILE_BYTES];
        let (flags, method) = (short(head, 6), short(head, 8));
        let (name_bytes, extra_bytes) = (length(head, 26), length(head, 28));
        let bytes = FILE_BYTES + name_bytes + extra_bytes;
        if self.held.len() < bytes {
            return Ok(false);
        }
        let offset = self.at;
        let head = self.read(bytes);
        let name = head.slice(FILE_BYTES..FILE_BYTES + name_bytes);
        let mut entry = Entry {
            name,
            method,
            crc: u32::try_from(number::<4>(&head, 14)).unwrap_or_default(),
            packed: number::<4>(&head, 18),
            unpacked: number::<4>(&head, 22),
            offset,
        };
        let extra = &head[FILE_BYTES + name_bytes..];
        let mut large = [&mut entry.unpacked, &mut entry.packed];
        let is_large = see_large(extra, &mut large)?;
        let named = shown(&entry.name);
        if flags & (ENCRYPTED | STRONGLY_ENCRYPTED | MASKED) != 0 {
            return refused(format!("is encrypted ({named})"));
        }
        if method != STORED && method != DEFLATED {
            return refused(format!(
                "packs {named} by method {method}: stored (0) and deflate (8) are read"
            ));
        }
        let lengths_behind = flags & LENGTHS_BEHIND != 0;
        if lengths_behind && method == STORED && entry.packed == 0 && entry.is_file() {
            return refused(format!(
                "stores {named} without its length, so nothing shows where it ends"
            ));
        }
        self.entries += 1;
        if entry.is_file() {
            if let Some(first) = &self.file {
                return refused(format!(
                    "has several files in it, {} and {named}: one is read",
                    shown(&first.name)
                ));
            }
            self.file = Some(entry.clone());
        }
        self.state = State::Data(Box::new(Data {
            entry,
            is_large,
            lengths_behind,
            inflate: (method == DEFLATED).then(|| Decompress::new(false)),
            crc: Crc::new(),
            packed: 0,
            unpacked: 0,
        }));
        Ok(true)
    }

    fn data(&mut self) -> Result<Step, Unfit> {
        let State::Data(data) = &mut self.state else {
            return Ok(Step::More);
        };
        let is_known = !data.lengths_behind || data.inflate.is_none();
        let left = if is_known {
            data.entry.packed - data.packed
        } else {
            u64::MAX
        };
        let there = self
            .held
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let (unpacked, is_end) = if let Some(inflate) = &mut data.inflate {
            let mut unpacked = Vec::with_capacity(CHUNK_BYTES);
            let before = inflate.total_in();
            let status =
                inflate.decompress_vec(&self.held[..there], &mut unpacked, FlushDecompress::None);
            let status = status.map_err(|error| Unfit::Damaged(error.to_string()))?;
            let read = inflate.total_in() - before;
            data.packed += read;
            self.at += read;
            self.held.advance(usize::try_from(read).unwrap_or(there));
            let is_end = status == Status::StreamEnd;
            if !is_end && read == 0 && unpacked.is_empty() && left == there as u64 {
                return damaged("a file in it goes on behind its length");
            }
            (Bytes::from(unpacked), is_end)
        } else {
            let stored = self.held.split_to(there).freeze();
            data.packed += there as u64;
            self.at += there as u64;
            (stored, data.packed == data.entry.packed)
        };
        data.crc.update(&unpacked);
        data.unpacked += unpacked.len() as u64;
        let is_file = data.entry.is_file();
        if is_end {
            self.ends()?;
        }
        Ok(match unpacked.len() as u64 {
            0 if is_end => Step::Passed(0),
            0 => Step::More,
            _ if is_file => Step::Bytes(unpacked),
            bytes => Step::Passed(bytes),
        })
    }

    /// The data has ended: its descriptor comes, or what the header said must be right.
    fn ends(&mut self) -> Result<(), Unfit> {
        let State::Data(data) = std::mem::replace(&mut self.state, State::Header) else {
            return Ok(());
        };
        if data.lengths_behind {
            self.state = State::Descriptor(data);
            return Ok(());
        }
        let entry = &data.entry;
        let is_right = entry.crc == data.crc.sum()
            && entry.packed == data.packed
            && entry.unpacked == data.unpacked;
        if is_right {
            return Ok(());
        }
        damaged("a file in it has another length or checksum than its header says")
    }

    /// A descriptor (4.3.9), which may have a signature, and lengths of 32 or 64 bits: it is that of the data at hand.
    fn descriptor(&mut self) -> Result<bool, Unfit> {
        // Behind it is a header, or the file is cut.
        if self.held.len() < DESCRIPTOR_BYTES {
            return Ok(false);
        }
        let State::Descriptor(data) = &self.state else {
            return Ok(false);
        };
        let (crc, packed, unpacked) = (data.crc.sum(), data.packed, data.unpacked);
        let held = &self.held;
        let fits = |&(is_signed, is_large): &(bool, bool)| {
            let at = usize::from(is_signed) * 4;
            let lengths = if is_large {
                [number::<8>(held, at + 4), number::<8>(held, at + 12)]
            } else {
                [number::<4>(held, at + 4), number::<4>(held, at + 8)]
            };
            (!is_signed || held.starts_with(DESCRIPTOR))
                && number::<4>(held, at) == u64::from(crc)
                && lengths == [packed, unpacked]
                && held[at + if is_large { 20 } else { 12 }..].starts_with(b"PK")
        };
        let large = data.is_large;
        let forms = [
            (true, large),
            (true, !large),
            (false, large),
            (false, !large),
        ];
        let Some((is_signed, is_large)) = forms.iter().find(|form| fits(form)) else {
            return damaged("a file in it has another length or checksum than is behind it");
        };
        let bytes = usize::from(*is_signed) * 4 + if *is_large { 20 } else { 12 };
        if data.entry.is_file()
            && let Some(file) = &mut self.file
        {
            (file.crc, file.packed, file.unpacked) = (crc, packed, unpacked);
        }
        self.read(bytes);
        self.state = State::Header;
        Ok(true)
    }

    /// A header of the central directory (4.3.12).
    fn listed(&mut self) -> Result<bool, Unfit> {
        if self.held.len() < LISTED_BYTES {
            return Ok(false);
        }
        let head = &self.held[..LISTED_BYTES];
        let (name_bytes, extra_bytes) = (length(head, 28), length(head, 30));
        let bytes = LISTED_BYTES + name_bytes + extra_bytes + length(head, 32);
        if self.held.len() < bytes {
            return Ok(false);
        }
        self.directory.get_or_insert(self.at);
        self.state = State::Directory;
        let head = self.read(bytes);
        let extra = LISTED_BYTES + name_bytes;
        let mut entry = Entry {
            name: head.slice(LISTED_BYTES..extra),
            method: short(&head, 10),
            crc: u32::try_from(number::<4>(&head, 16)).unwrap_or_default(),
            packed: number::<4>(&head, 20),
            unpacked: number::<4>(&head, 24),
            offset: number::<4>(&head, 42),
        };
        let mut large = [&mut entry.unpacked, &mut entry.packed, &mut entry.offset];
        see_large(&head[extra..extra + extra_bytes], &mut large)?;
        self.listed += 1;
        if entry.is_file() {
            if self.is_listed || self.file.as_ref() != Some(&entry) {
                return damaged("its directory says something else than its files");
            }
            self.is_listed = true;
        }
        Ok(true)
    }

    fn large_end(&mut self) -> Result<bool, Unfit> {
        if self.held.len() < 12 {
            return Ok(false);
        }
        let bytes = number::<8>(&self.held, 4);
        if bytes > LARGE_END_BYTES {
            return damaged("its end has a length that it cannot have");
        }
        let bytes = 12 + usize::try_from(bytes).unwrap_or_default();
        if self.held.len() < bytes {
            return Ok(false);
        }
        self.directory.get_or_insert(self.at);
        self.read(bytes);
        self.state = State::End;
        Ok(true)
    }

    /// The end (4.3.16).
    fn short_end(&mut self) -> Result<bool, Unfit> {
        if self.held.len() < END_BYTES {
            return Ok(false);
        }
        let bytes = END_BYTES + length(&self.held, 20);
        if self.held.len() < bytes {
            return Ok(false);
        }
        let directory = self.directory.unwrap_or(self.at);
        let end = self.read(bytes);
        let says = |said: u64, unknown: u64, is: u64| said == is || said == unknown;
        let is_right = self.entries == self.listed
            && self.is_listed == self.file.is_some()
            && says(number::<2>(&end, 10), 0xffff, self.entries)
            && says(number::<4>(&end, 16), SEE_LARGE, directory);
        if !is_right {
            return damaged("its directory says something else than its files");
        }
        if self.file.is_none() {
            return refused(format!(
                "has no file in it ({} folders or files of macOS)",
                self.entries
            ));
        }
        self.state = State::Done;
        Ok(true)
    }
}

/// Reads numbers that are in the field for large ones (4.5.3), in their order; true if there is one.
fn see_large(extra: &[u8], numbers: &mut [&mut u64]) -> Result<bool, Unfit> {
    let mut rest = extra;
    let mut field = None;
    while rest.len() >= 4 {
        let (id, bytes) = (short(rest, 0), length(rest, 2));
        let Some(data) = rest.get(4..4 + bytes) else {
            break;
        };
        if id == LARGE {
            field.get_or_insert(data);
        }
        rest = &rest[4 + bytes..];
    }
    let mut large = field.unwrap_or_default();
    for number in numbers.iter_mut().filter(|number| ***number == SEE_LARGE) {
        let Some((first, behind)) = large.split_first_chunk::<8>() else {
            return damaged("a length is in no field of its header");
        };
        **number = u64::from_le_bytes(*first);
        large = behind;
    }
    Ok(field.is_some())
}

#[cfg(test)]
mod tests;
