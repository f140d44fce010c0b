//! One character of a text, however it is escaped: as JSON and JavaScript do, as URLs and forms do, as HTML does, and by any
//! mixture of these one inside the other.
//!
//! A server escapes what it repeats in its own way, so no list of forms is complete. Here a text is read character by
//! character, and each of them may be escaped or not.

use std::cell::Cell;

/// Readings of one character, by different escapings, that are searched.
const ESCAPE_READINGS_MAX: usize = 12;
/// Digits of a number in HTML, leading zeros included.
const ESCAPE_DIGITS_MAX: usize = 8;
/// The name of a character in HTML.
const ENTITY_NAME_BYTES_MAX: usize = 8;
/// How often what is escaped may have been escaped again: `=`, `%3D`, `%253D`, `%25253D`.
const DEPTH: u8 = 3;
/// HTML's names of the characters on a keyboard; it has no longer ones for them.
const NAMES: [(&[u8], u8); 40] = [
    (b"AMP", b'&'),
    (b"GT", b'>'),
    (b"Hat", b'^'),
    (b"LT", b'<'),
    (b"QUOT", b'"'),
    (b"UnderBar", b'_'),
    (b"amp", b'&'),
    (b"apos", b'\''),
    (b"ast", b'*'),
    (b"bsol", b'\\'),
    (b"colon", b':'),
    (b"comma", b','),
    (b"commat", b'@'),
    (b"dash", b'-'),
    (b"dollar", b'$'),
    (b"equals", b'='),
    (b"excl", b'!'),
    (b"grave", b'`'),
    (b"gt", b'>'),
    (b"lbrace", b'{'),
    (b"lbrack", b'['),
    (b"lcub", b'{'),
    (b"lowbar", b'_'),
    (b"lpar", b'('),
    (b"lsqb", b'['),
    (b"lt", b'<'),
    (b"num", b'#'),
    (b"percnt", b'%'),
    (b"period", b'.'),
    (b"plus", b'+'),
    (b"quest", b'?'),
    (b"quot", b'"'),
    (b"rbrace", b'}'),
    (b"rbrack", b']'),
    (b"rcub", b'}'),
    (b"rpar", b')'),
    (b"rsqb", b']'),
    (b"semi", b';'),
    (b"sol", b'/'),
    (b"vert", b'|'),
];

/// True if and only if an escape can begin with this byte, when it is not escaped itself.
pub const fn is_lead(byte: u8) -> bool {
    matches!(byte, b'%' | b'\\' | b'&')
}

/// A text, and whether more of it would have been read if there were more.
pub struct Text<'t> {
    bytes: &'t [u8],
    ran_out: Cell<bool>,
    /// Whether something was met that could be read otherwise if what an escape is made of may be escaped.
    goes_deeper: Cell<bool>,
}

/// A character or a byte that was read, and where what follows it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    bytes: [u8; 4],
    length: u8,
    pub end: usize,
}

impl Reading {
    fn byte(byte: u8, end: usize) -> Self {
        Self {
            bytes: [byte, 0, 0, 0],
            length: 1,
            end,
        }
    }

    fn char(char: char, end: usize) -> Self {
        let mut bytes = [0; 4];
        let length = u8::try_from(char.encode_utf8(&mut bytes).len()).expect("four at most");
        Self { bytes, length, end }
    }

    /// What was read, in UTF-8.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    fn is_lead(&self, lead: u8) -> bool {
        self.length == 1 && self.bytes[0] == lead
    }
}

/// The ways in which one character can be read.
#[derive(Default)]
pub struct Readings {
    all: [Reading; ESCAPE_READINGS_MAX],
    length: usize,
}

impl Readings {
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Reading> {
        self.all[..self.length].iter()
    }

    fn push(&mut self, reading: Reading) {
        if self.length < ESCAPE_READINGS_MAX && self.iter().all(|known| *known != reading) {
            self.all[self.length] = reading;
            self.length += 1;
        }
    }
}

impl<'t> Text<'t> {
    pub fn new(bytes: &'t [u8]) -> Self {
        Self {
            bytes,
            ran_out: Cell::new(false),
            goes_deeper: Cell::new(false),
        }
    }

    /// The byte that is there.
    pub fn at(&self, at: usize) -> Option<u8> {
        let byte = self.bytes.get(at).copied();
        if byte.is_none() {
            self.ran_out.set(true);
        }
        byte
    }

    /// Whether the text was too short for something since this was last asked.
    pub fn has_run_out(&self) -> bool {
        self.ran_out.replace(false)
    }

    /// Every way to read what begins at `at`: as the byte that it is, and as what an escape there stands for.
    pub fn readings(&self, at: usize) -> Readings {
        let mut readings = Readings::default();
        let Some(byte) = self.at(at) else {
            return readings;
        };
        readings.push(Reading::byte(byte, at + 1));
        if is_lead(byte) {
            // Most escapes are plain ones, and texts can be full of them.
            self.goes_deeper.set(false);
            self.escape(byte, at + 1, 0, &mut readings);
            let is_deep = |read: &Reading| read.length == 1 && is_lead(read.bytes[0]);
            if self.goes_deeper.get() || readings.iter().skip(1).any(is_deep) {
                self.escapes(at, DEPTH, &mut readings);
            }
        }
        readings
    }

    /// What the escapes that begin at `at` stand for, where what they are made of may be escaped `depth - 1` times.
    fn escapes(&self, at: usize, depth: u8, into: &mut Readings) {
        let Some(lead) = self.bytes.get(at).filter(|byte| is_lead(**byte)) else {
            return;
        };
        let Some(inner) = depth.checked_sub(1) else {
            return;
        };
        let mut leads = Readings::default();
        self.escapes(at, inner, &mut leads);
        self.escape(*lead, at + 1, inner, into);
        for read in leads.iter() {
            into.push(*read);
            if read.length == 1 && is_lead(read.bytes[0]) {
                self.escape(read.bytes[0], read.end, inner, into);
            }
        }
    }

    /// What an escape stands for of which `lead` has been read and the rest begins at `at`.
    fn escape(&self, lead: u8, at: usize, depth: u8, into: &mut Readings) {
        match lead {
            b'%' => {
                if let Some((value, end)) = self.hex(at, depth, 2) {
                    into.push(Reading::byte(low_byte(value), end));
                }
            }
            b'\\' => self.backslash(at, depth, into),
            _ => {
                if let Some((char, end)) = self.entity(at, depth) {
                    into.push(Reading::char(char, end));
                }
            }
        }
    }

    fn backslash(&self, at: usize, depth: u8, into: &mut Readings) {
        // `\%` and its like, where `%` stands for itself.
        if let Some(byte) = self.at(at).filter(|byte| is_lead(*byte)) {
            into.push(Reading::byte(byte, at + 1));
        }
        let Some((byte, end)) = self.part(at, depth) else {
            return;
        };
        match byte {
            b'u' => {
                if let Some((char, end)) = self.utf_16(end, depth) {
                    into.push(Reading::char(char, end));
                }
            }
            // A byte in some languages, a character in others.
            b'x' => {
                if let Some((value, end)) = self.hex(end, depth, 2) {
                    into.push(Reading::byte(low_byte(value), end));
                    into.push(Reading::char(char::from(low_byte(value)), end));
                }
            }
            _ if byte.is_ascii_punctuation() => into.push(Reading::byte(byte, end)),
            _ => {}
        }
    }

    /// What follows `\u`: `{1f600}`, four digits, or two times four with another `\u` between.
    fn utf_16(&self, at: usize, depth: u8) -> Option<(char, usize)> {
        if let Some((b'{', digits)) = self.part(at, depth) {
            return self.number(digits, depth, 16, b'}');
        }
        let (high, end) = self.hex(at, depth, 4)?;
        if let Some(char) = char::from_u32(high) {
            return Some((char, end));
        }
        let mut backslashes = Readings::default();
        self.escapes(end, depth, &mut backslashes);
        backslashes.push(Reading::byte(self.at(end)?, end + 1));
        let low = backslashes.iter().filter(|read| read.is_lead(b'\\'));
        let low = low.filter_map(|read| match self.part(read.end, depth)? {
            (b'u', end) => self.hex(end, depth, 4),
            _ => None,
        });
        let mut pairs = low.filter_map(|(low, end)| {
            let pair = [u16::try_from(high).ok()?, u16::try_from(low).ok()?];
            let char = char::decode_utf16(pair).next()?.ok()?;
            Some((char, end))
        });
        let pair = pairs.next();
        self.goes_deeper
            .set(self.goes_deeper.get() || pair.is_none());
        pair
    }

    /// What follows `&`: `#61;`, `#x3d;` or `equals;`.
    fn entity(&self, at: usize, depth: u8) -> Option<(char, usize)> {
        let (first, end) = self.part(at, depth)?;
        if first == b'#' {
            return match self.part(end, depth)? {
                (b'x' | b'X', digits) => self.number(digits, depth, 16, b';'),
                _ => self.number(end, depth, 10, b';'),
            };
        }
        let (mut name, mut length, mut next) = ([0; ENTITY_NAME_BYTES_MAX], 0, at);
        loop {
            let (byte, end) = self.part(next, depth)?;
            next = end;
            if byte == b';' {
                let known = NAMES.iter().find(|(known, _)| *known == &name[..length]);
                return known.map(|(_, byte)| (char::from(*byte), end));
            }
            if length == ENTITY_NAME_BYTES_MAX || !byte.is_ascii_alphabetic() {
                return None;
            }
            name[length] = byte;
            length += 1;
        }
    }

    /// A number with `last` behind it.
    fn number(&self, at: usize, depth: u8, radix: u32, last: u8) -> Option<(char, usize)> {
        let (mut value, mut next) = (0_u32, at);
        for _ in 0..=ESCAPE_DIGITS_MAX {
            let (byte, end) = self.part(next, depth)?;
            if byte == last && next > at {
                return Some((char::from_u32(value)?, end));
            }
            let digit = char::from(byte).to_digit(radix)?;
            value = value.checked_mul(radix)?.checked_add(digit)?;
            next = end;
        }
        None
    }

    fn hex(&self, at: usize, depth: u8, digits: u8) -> Option<(u32, usize)> {
        let (mut value, mut next) = (0, at);
        for _ in 0..digits {
            let (byte, end) = self.part(next, depth)?;
            value = 16 * value + char::from(byte).to_digit(16)?;
            next = end;
        }
        Some((value, next))
    }

    /// One byte that an escape is made of, which may be escaped itself. What can begin an escape is no such byte, but for
    /// the one after a backslash: it is read as itself only where nothing else is there.
    fn part(&self, at: usize, depth: u8) -> Option<(u8, usize)> {
        let byte = self.at(at)?;
        if !is_lead(byte) {
            return Some((byte, at + 1));
        }
        self.goes_deeper.set(true);
        let mut readings = Readings::default();
        self.escapes(at, depth, &mut readings);
        let mut read = readings.iter().rev().filter(|read| read.length == 1);
        let read = read.find(|read| !is_lead(read.bytes[0]));
        Some(read.map_or((byte, at + 1), |read| (read.bytes[0], read.end)))
    }
}

fn low_byte(value: u32) -> u8 {
    u8::try_from(value).expect("two digits")
}

#[cfg(test)]
mod tests;
