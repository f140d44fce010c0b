//! JSON text to values and back.
//!
//! Reading is strict where a value would have two meanings: a repeated member is refused. Half a surrogate pair is U+FFFD, as
//! real jq reads it. Writing
//! refuses what JSON has no text for. Numbers keep their digits, members their order; escapes that need not be are not kept.

mod names;

use std::rc::Rc;

use serde_json::value::RawValue;

use super::number::Number;
use super::value::{Object, Value};
use crate::text::quoted;
use crate::text::string_end;

pub use names::Names;

/// Levels of nesting that are read and written; one more than a record may have, for the body around it.
pub const LEVELS_MAX: usize = 127;

/// Reads any text. `Err` says what is wrong with it.
pub fn read(text: &str) -> Result<Value, String> {
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    read_valid(raw.get())
}

/// Reads a text that was parsed before. `Err` says why it has no single meaning, or that it is too deep.
pub fn read_valid(text: &str) -> Result<Value, String> {
    Names::default().read_valid(text)
}

struct Reader<'t, 'n> {
    text: &'t str,
    at: usize,
    names: &'n mut Names,
}

impl<'t> Reader<'t, '_> {
    /// The first byte that is no white space, comma or colon: the text is known to be JSON.
    fn next(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':') {
                return *byte;
            }
            self.at += 1;
        }
        0
    }

    fn value(&mut self, levels: usize) -> Result<Value, String> {
        match self.next() {
            b'{' => self.object(levels, None),
            b'[' => self.array(levels),
            b'"' => self.string().map(Value::Text),
            _ => Ok(self.scalar()),
        }
    }

    fn deeper(levels: usize) -> Result<usize, String> {
        levels
            .checked_sub(1)
            .ok_or_else(|| format!("is nested deeper than {LEVELS_MAX} levels"))
    }

    /// Of the object itself, only the members that are `wanted`.
    fn object(&mut self, levels: usize, wanted: Option<&[Rc<str>]>) -> Result<Value, String> {
        let levels = Self::deeper(levels)?;
        let mut object = Object::default();
        self.at += 1;
        while self.next() == b'"' {
            let name = self.name()?;
            if wanted.is_some_and(|wanted| !wanted.contains(&name)) {
                self.pass_over();
                continue;
            }
            let value = self.value(levels)?;
            if object.insert(name.clone(), value) {
                return Err(format!("has two members {}", quoted(&name)));
            }
        }
        self.at += 1;
        Ok(Value::Object(Rc::new(object)))
    }

    fn array(&mut self, levels: usize) -> Result<Value, String> {
        let levels = Self::deeper(levels)?;
        let mut values = Vec::new();
        self.at += 1;
        while !matches!(self.next(), b']' | 0) {
            values.push(self.value(levels)?);
        }
        self.at += 1;
        Ok(Value::array(values))
    }

    fn name(&mut self) -> Result<Rc<str>, String> {
        let quoted = self.quoted();
        match unescaped(quoted) {
            Some(text) => Ok(self.names.shared(text)),
            None => escaped(quoted),
        }
    }

    fn string(&mut self) -> Result<Rc<str>, String> {
        let quoted = self.quoted();
        unescaped(quoted).map_or_else(|| escaped(quoted), |text| Ok(text.into()))
    }

    fn quoted(&mut self) -> &'t str {
        let start = self.at;
        self.at = string_end(self.text.as_bytes(), start);
        &self.text[start..self.at]
    }

    /// Passes over a value.
    fn pass_over(&mut self) {
        let bytes = self.text.as_bytes();
        let mut open = 0_usize;
        loop {
            match self.next() {
                b'"' => self.at = string_end(bytes, self.at),
                b'{' | b'[' => {
                    self.at += 1;
                    open += 1;
                }
                b'}' | b']' => {
                    self.at += 1;
                    open = open.saturating_sub(1);
                }
                0 => return,
                _ => self.at = word_end(bytes, self.at),
            }
            if open == 0 {
                return;
            }
        }
    }

    fn word(&mut self) -> &'t str {
        let start = self.at;
        self.at = word_end(self.text.as_bytes(), start);
        &self.text[start..self.at]
    }

    fn scalar(&mut self) -> Value {
        match self.word() {
            "null" | "" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            number => Value::Number(Number::parse(number)),
        }
    }
}

/// Where the number, `true`, `false` or `null` at `start` ends.
fn word_end(bytes: &[u8], start: usize) -> usize {
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
    let length = bytes[start..].iter().position(ends);
    length.map_or(bytes.len(), |length| start + length)
}

/// What stands between the quotes, if that is the text itself.
fn unescaped(quoted: &str) -> Option<&str> {
    let is_escaped = memchr::memchr(b'\\', quoted.as_bytes()).is_some();
    (!is_escaped).then(|| &quoted[1..quoted.len() - 1])
}

fn escaped(quoted: &str) -> Result<Rc<str>, String> {
    let (text, _) = tidegate_json::whole_text(quoted)?;
    Ok(text.into())
}

/// Appends a value as one line of JSON. `Err` says what JSON has no text for.
pub fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    Writer { strict: true, out }.value(value, LEVELS_MAX)
}

/// A value's text for messages and for strings made of it: NaN and the infinities are `null`.
pub fn shown(value: &Value) -> String {
    let mut out = Vec::new();
    let mut writer = Writer {
        strict: false,
        out: &mut out,
    };
    match writer.value(value, LEVELS_MAX) {
        Ok(()) => String::from_utf8(out).unwrap_or_default(),
        Err(why) => format!("a value that {why}"),
    }
}

struct Writer<'o> {
    strict: bool,
    out: &'o mut Vec<u8>,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, levels: usize) -> Result<(), String> {
        match value {
            Value::Null => self.out.extend_from_slice(b"null"),
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Number(number) => self.number(number)?,
            Value::Text(text) => write_string(text, self.out),
            Value::Array(values) => {
                let levels = Reader::deeper(levels)?;
                self.out.push(b'[');
                for (at, value) in values.iter().enumerate() {
                    self.comma(at);
                    self.value(value, levels)?;
                }
                self.out.push(b']');
            }
            Value::Object(object) => {
                let levels = Reader::deeper(levels)?;
                self.out.push(b'{');
                for (at, (name, value)) in object.iter().enumerate() {
                    self.comma(at);
                    write_string(name, self.out);
                    self.out.push(b':');
                    self.value(value, levels)?;
                }
                self.out.push(b'}');
            }
        }
        Ok(())
    }

    fn comma(&mut self, at: usize) {
        if at > 0 {
            self.out.push(b',');
        }
    }

    fn number(&mut self, number: &Number) -> Result<(), String> {
        match number {
            // The one kind that is common, without a text of its own.
            Number::Exact(text) => self.out.extend_from_slice(text.as_bytes()),
            other => match other.text() {
                Some(text) => self.out.extend_from_slice(text.as_bytes()),
                None if self.strict => {
                    return Err("holds NaN or an infinity, which JSON has no text for".to_owned());
                }
                None => self.out.extend_from_slice(b"null"),
            },
        }
        Ok(())
    }
}

/// Appends a string in quotes.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string into memory");
}
