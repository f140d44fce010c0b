//! XML as JSON: an element is a member of its parent, and what follows reads the document as if it had come as JSON.
//!
//! - The document is an object with one member, the root element. Names are as they are written, with their prefixes.
//! - Elements of one name in the same parent are an array in the place of the first, if there are several.
//! - An element with text alone is that text, and an empty one the empty text. One with attributes or elements is an object:
//!   attributes first, with `@` before their names, then the elements, and at last its text as `#text`, if there is any.
//! - Declarations of namespaces are no attributes. Text that is only white space is dropped; CDATA is text; comments and
//!   processing instructions are nothing.
//!
//! The reader is strict, beyond what quick-xml is: what is not well-formed may be cut or misread, and no record of it is used.
//! There is no DTD, and so there are no entities but the five of XML itself.

use quick_xml::Reader;
use quick_xml::errors::{Error, IllFormedError};
use quick_xml::events::Event;
use tidegate_jq::write_string;

use crate::failure::quoted;

/// Elements in each other. JSON has an array besides for each, and serde_json reads 127 levels.
const DEPTH_MAX: usize = 60;
/// Attributes and names of elements in one element: each is looked for among them.
const NAMES_MAX: usize = 1000;
/// Places where the name changes from one element to the next, in elements that are open: each is kept until then.
const RUNS_MAX: usize = 1_000_000;
/// No further run.
const NONE: usize = usize::MAX;

/// What is wrong at a byte of the text: the line is put between the two.
struct Wrong {
    at: usize,
    before: &'static str,
    behind: String,
}

/// What is wrong, where the place is known only further up.
enum Broken {
    Malformed(String),
    Has(&'static str, String),
    Large,
}

fn malformed<T>(why: &str) -> Result<T, Broken> {
    Err(Broken::Malformed(why.to_owned()))
}

/// The document as one JSON object of at most `bytes_max`. `Err` says what is wrong, and on which line.
pub fn to_json(text: &str, bytes_max: usize) -> Result<Vec<u8>, String> {
    let read = read(text, bytes_max);
    read.map_err(|Wrong { at, before, behind }| {
        let before_it = &text.as_bytes()[..at.min(text.len())];
        let line = memchr::memchr_iter(b'\n', before_it).count() + 1;
        format!("{before} on line {line}{behind}")
    })
}

/// The encoding that an XML declaration names.
pub fn declared(body: &[u8]) -> Option<String> {
    let declaration = body.strip_prefix(b"<?xml")?;
    let end = declaration.windows(2).position(|two| two == b"?>")?;
    let mut rest = std::str::from_utf8(&declaration[..end]).ok()?;
    while let Ok(Some((name, value))) = attribute(&mut rest) {
        if name == "encoding" {
            return Some(value.to_owned());
        }
    }
    None
}

fn read(text: &str, bytes_max: usize) -> Result<Vec<u8>, Wrong> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let mut tree = Tree::new(text.len());
    let offset = |position: u64| usize::try_from(position).unwrap_or(text.len());
    loop {
        let from = offset(reader.buffer_position());
        let event = reader.read_event();
        let to = offset(reader.buffer_position());
        // What quick-xml lends lives no longer than the event.
        let raw = text.get(from..to).unwrap_or_default();
        let taken = match event {
            Ok(Event::Eof) => return tree.end(text.len()),
            Ok(Event::Start(_)) => tree.open(raw, raw.len().saturating_sub(1)),
            Ok(Event::Empty(_)) => tree
                .open(raw, raw.len().saturating_sub(2))
                .map(|()| tree.close()),
            Ok(Event::End(_)) => {
                tree.close();
                Ok(())
            }
            Ok(Event::Text(_)) => tree.text(raw),
            Ok(Event::CData(_)) => tree.section(raw),
            Ok(Event::GeneralRef(_)) => tree.reference(raw),
            Ok(Event::Decl(_)) if from > 0 => {
                malformed("the XML declaration is not at the beginning")
            }
            Ok(Event::Decl(_) | Event::Comment(_) | Event::PI(_)) => Ok(()),
            Ok(Event::DocType(_)) => Err(Broken::Has(
                "has a DOCTYPE",
                ": a DTD is not read, and no entity that it declares".to_owned(),
            )),
            Err(error) => {
                return Err(Wrong {
                    at: offset(reader.error_position()),
                    before: "is not well-formed XML",
                    behind: reason(&error),
                });
            }
        };
        let taken = match taken {
            Ok(()) if tree.out.len() > bytes_max => Err(Broken::Large),
            taken => taken,
        };
        taken.map_err(|broken| match broken {
            Broken::Malformed(why) => Wrong {
                // Of a text, where it has something.
                at: to - raw.trim_start_matches(SPACES).len(),
                before: "is not well-formed XML",
                behind: format!(": {why}"),
            },
            Broken::Has(before, behind) => Wrong {
                at: from,
                before,
                behind,
            },
            Broken::Large => Wrong {
                at: from,
                before: "is too large",
                behind: format!(
                    ", with more than {bytes_max} bytes as JSON: raise MAX_RESPONSE_BYTES, or ask for smaller pages"
                ),
            },
        })?;
    }
}

fn reason(error: &Error) -> String {
    let why = match error {
        Error::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => {
            return format!(
                ": the end of {} is where that of {} belongs",
                quoted(found),
                quoted(expected)
            );
        }
        Error::IllFormed(IllFormedError::UnmatchedEndTag(_)) => "an element ends that is not open",
        Error::IllFormed(IllFormedError::DoubleHyphenInComment) => "a comment has `--` in it",
        Error::IllFormed(IllFormedError::UnclosedReference) => {
            "`&` without `;`, which is `&amp;` in XML"
        }
        Error::Syntax(_) => "what begins with `<` has no end, or means nothing",
        _ => "it cannot be read",
    };
    format!(": {why}")
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

const SPACES: [char; 4] = [' ', '\t', '\n', '\r'];

/// The next attribute of a tag, without its quotes; none at the end.
fn attribute<'t>(rest: &mut &'t str) -> Result<Option<(&'t str, &'t str)>, Broken> {
    let text = rest.trim_start_matches(SPACES);
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() == rest.len() {
        return malformed("no space is between two attributes");
    }
    let Some((name, value)) = text.split_once('=') else {
        return malformed("an attribute has no value");
    };
    let name = name.trim_end_matches(SPACES);
    let value = value.trim_start_matches(SPACES);
    let quote = value
        .chars()
        .next()
        .filter(|first| matches!(first, '"' | '\''));
    let split = quote.and_then(|quote| value[1..].split_once(quote));
    let Some((value, behind)) = split else {
        return malformed("the value of an attribute is not in quotes");
    };
    check_name(name)?;
    *rest = behind;
    Ok(Some((name, value)))
}

fn check_name(name: &str) -> Result<(), Broken> {
    let mut chars = name.chars();
    if chars.next().is_some_and(begins_name) && chars.all(|c| begins_name(c) || is_in_name(c)) {
        return Ok(());
    }
    Err(Broken::Malformed(format!("{} is no name", quoted(name))))
}

/// NameStartChar of XML 1.0.
fn begins_name(c: char) -> bool {
    matches!(c,
        'a'..='z' | 'A'..='Z' | '_' | ':' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

/// What NameChar has besides.
fn is_in_name(c: char) -> bool {
    matches!(c, '0'..='9' | '-' | '.' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// Char of XML 1.0.
fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Appends text as it is meant: line ends are one character, and in an attribute a blank.
fn append(raw: &str, is_attribute: bool, text: &mut String) -> Result<(), Broken> {
    let is_plain = |byte: u8| byte >= b' ' && byte != 0xef;
    if raw.bytes().all(is_plain) {
        text.push_str(raw);
        return Ok(());
    }
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        if !is_char(c) {
            return malformed("it has a character that XML has not");
        }
        if c == '\r' && chars.peek() == Some(&'\n') {
            continue;
        }
        text.push(match c {
            '\t' | '\n' | '\r' if is_attribute => ' ',
            '\r' => '\n',
            c => c,
        });
    }
    Ok(())
}

/// The character that `&name;` means.
fn meant(name: &str) -> Result<char, Broken> {
    let code = name.strip_prefix('#').and_then(|digits| {
        let (digits, radix) = match digits.strip_prefix('x') {
            Some(digits) => (digits, 16),
            None => (digits, 10),
        };
        // Not the sign that the parser takes too.
        let is_number = digits.starts_with(|c: char| c.is_ascii_hexdigit());
        u32::from_str_radix(digits, radix)
            .ok()
            .filter(|_| is_number)
    });
    let c = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => code.and_then(char::from_u32).filter(|c| is_char(*c)),
    };
    c.ok_or_else(|| {
        let name = quoted(&["&", name, ";"].concat());
        Broken::Has(
            "has an unknown entity",
            format!(": {name} is none of the five that XML has without a DTD"),
        )
    })
}

/// An element that is open. The first is the document.
struct Frame<'t> {
    name: &'t str,
    /// Where its JSON begins, its members, its runs and its text.
    at: usize,
    members: usize,
    runs: usize,
    text: usize,
    /// Where the text behind its last element begins.
    piece: usize,
    /// Whether a name came again behind another.
    is_mixed: bool,
}

/// A member of an element.
struct Member<'t> {
    name: &'t str,
    /// Of its name: most names differ in it.
    hash: u32,
    is_attribute: bool,
    first: usize,
    last: usize,
}

/// Values of one name, one behind the other.
struct Run {
    member: usize,
    /// Where they are: in brackets if they are several.
    from: usize,
    to: usize,
    values: usize,
    /// The next run of that name.
    next: usize,
}

/// What is read so far: JSON, up to the element that is open.
struct Tree<'t> {
    out: Vec<u8>,
    frames: Vec<Frame<'t>>,
    members: Vec<Member<'t>>,
    runs: Vec<Run>,
    /// The texts of the elements that are open.
    text: String,
}

impl<'t> Tree<'t> {
    fn new(bytes: usize) -> Self {
        let document = Frame {
            name: "",
            at: 0,
            members: 0,
            runs: 0,
            text: 0,
            piece: 0,
            is_mixed: false,
        };
        Self {
            out: Vec::with_capacity(bytes),
            frames: vec![document],
            members: Vec::new(),
            runs: Vec::new(),
            text: String::new(),
        }
    }

    fn frame(&mut self) -> &mut Frame<'t> {
        self.frames.last_mut().expect("the document is open")
    }

    fn is_outside(&self) -> bool {
        self.frames.len() == 1
    }

    /// An element begins: its tag is `raw` up to `end`.
    fn open(&mut self, raw: &'t str, end: usize) -> Result<(), Broken> {
        let tag = raw.get(1..end).unwrap_or_default();
        let name_bytes = tag.bytes().position(is_space).unwrap_or(tag.len());
        let (name, mut rest) = tag.split_at(name_bytes);
        check_name(name)?;
        if self.is_outside() && !self.runs.is_empty() {
            return malformed("a second element is behind the root element");
        }
        if self.is_outside() && name.eq_ignore_ascii_case("html") {
            return Err(Broken::Has(
                "has the root element `html`",
                ": it is a web page".to_owned(),
            ));
        }
        if self.frames.len() > DEPTH_MAX {
            return Err(Broken::Has(
                "is nested too deep",
                format!(": more than {DEPTH_MAX} elements are in each other"),
            ));
        }
        self.settle();
        self.begin(name, false)?;
        let (at, text) = (self.out.len(), self.text.len());
        self.frames.push(Frame {
            name,
            at,
            members: self.members.len(),
            runs: self.runs.len(),
            text,
            piece: text,
            is_mixed: false,
        });
        while let Some((name, value)) = attribute(&mut rest)? {
            if value.contains('<') {
                return malformed("the value of an attribute has `<` in it");
            }
            if name == "xmlns" || name.starts_with("xmlns:") {
                continue;
            }
            self.begin(name, true)?;
            let mut parts = value.split('&');
            append(parts.next().unwrap_or_default(), true, &mut self.text)?;
            for part in parts {
                let Some((name, behind)) = part.split_once(';') else {
                    return malformed("`&` without `;`, which is `&amp;` in XML");
                };
                self.text.push(meant(name)?);
                append(behind, true, &mut self.text)?;
            }
            write_string(&self.text[text..], &mut self.out);
            self.text.truncate(text);
        }
        Ok(())
    }

    /// Drops the text behind the last element if it is only white space.
    fn settle(&mut self) {
        let piece = self.frame().piece;
        if self.text.as_bytes()[piece..].iter().copied().all(is_space) {
            self.text.truncate(piece);
        }
    }

    /// Begins the value of a member of the element at hand.
    fn begin(&mut self, name: &'t str, is_attribute: bool) -> Result<(), Broken> {
        let frame = self.frames.last_mut().expect("the document is open");
        let members = &self.members[frame.members..];
        let hash = hash(name);
        let is_it = |member: &Member<'_>| {
            member.hash == hash && member.is_attribute == is_attribute && member.name == name
        };
        let mut hint = 0;
        if self.runs.len() > frame.runs
            && let Some(run) = self.runs.last_mut()
        {
            let member = &members[run.member];
            if !is_attribute && is_it(member) {
                if run.values == 1 {
                    self.out.insert(run.from, b'[');
                }
                run.values += 1;
                self.out.push(b',');
                return Ok(());
            }
            hint = run.member + 1;
            end_run(run, &mut self.out);
        }
        // Records of one shape have the names in one order.
        let (before, behind) = members.split_at(hint);
        let found = behind.iter().position(is_it).map(|at| at + hint);
        let found = found.or_else(|| before.iter().position(is_it));
        if found.is_some() && is_attribute {
            return Err(Broken::Malformed(format!(
                "the attribute {} comes twice",
                quoted(name)
            )));
        }
        if members.len() >= NAMES_MAX && found.is_none() {
            return Err(Broken::Has(
                "has an element",
                format!(" with more than {NAMES_MAX} attributes and names of elements in it"),
            ));
        }
        if self.runs.len() >= RUNS_MAX {
            return Err(Broken::Has(
                "has an element",
                format!(" in which the names change more than {RUNS_MAX} times"),
            ));
        }
        let run = self.runs.len();
        let member = found.unwrap_or(members.len());
        if found.is_some() {
            frame.is_mixed = true;
            let member = &mut self.members[frame.members + member];
            self.runs[member.last].next = run;
            member.last = run;
        } else {
            self.members.push(Member {
                name,
                hash,
                is_attribute,
                first: run,
                last: run,
            });
        }
        make_room(name.len(), &mut self.out);
        let mark = if run == frame.runs { b'{' } else { b',' };
        write_name(mark, name, is_attribute, &mut self.out);
        self.runs.push(Run {
            member,
            from: self.out.len(),
            to: NONE,
            values: 1,
            next: NONE,
        });
        Ok(())
    }

    /// The element at hand has ended.
    fn close(&mut self) {
        self.settle();
        let Some(frame) = self.frames.pop() else {
            return;
        };
        make_room(self.text.len() - frame.text, &mut self.out);
        if self.runs.len() == frame.runs {
            write_string(&self.text[frame.text..], &mut self.out);
        } else {
            if let Some(run) = self.runs.last_mut() {
                end_run(run, &mut self.out);
            }
            if frame.is_mixed {
                let sorted = self.in_order(&frame);
                self.out.truncate(frame.at);
                self.out.extend_from_slice(&sorted);
            }
            let text = &self.text[frame.text..];
            if !text.is_empty() {
                write_name(b',', "#text", false, &mut self.out);
                write_string(text, &mut self.out);
            }
            self.out.push(b'}');
        }
        self.members.truncate(frame.members);
        self.runs.truncate(frame.runs);
        self.text.truncate(frame.text);
        if let Some(parent) = self.frames.last_mut() {
            parent.piece = self.text.len();
        }
    }

    /// The members of an element, each once, in the order in which they came first.
    fn in_order(&self, frame: &Frame<'_>) -> Vec<u8> {
        let mut sorted = Vec::with_capacity(self.out.len() - frame.at);
        let mut mark = b'{';
        for member in &self.members[frame.members..] {
            write_name(mark, member.name, member.is_attribute, &mut sorted);
            mark = b',';
            let several = member.first != member.last;
            let mut at = member.first;
            let mut before = b'[';
            while let Some(run) = self.runs.get(at) {
                // Without their own brackets, if they are several.
                let own = usize::from(several && run.values > 1);
                if several {
                    sorted.push(before);
                }
                sorted.extend_from_slice(&self.out[run.from + own..run.to - own]);
                before = b',';
                at = run.next;
            }
            if several {
                sorted.push(b']');
            }
        }
        sorted
    }

    fn text(&mut self, raw: &str) -> Result<(), Broken> {
        if self.is_outside() {
            if raw.bytes().all(is_space) {
                return Ok(());
            }
            return malformed("text is outside of the root element");
        }
        if raw.contains("]]>") {
            return malformed("`]]>` is in a text");
        }
        append(raw, false, &mut self.text)
    }

    fn section(&mut self, raw: &str) -> Result<(), Broken> {
        let inside = raw.strip_prefix("<![CDATA[");
        let inside = inside.and_then(|inside| inside.strip_suffix("]]>"));
        match inside {
            Some(inside) if !self.is_outside() => append(inside, false, &mut self.text),
            _ => malformed("a CDATA section is outside of the root element"),
        }
    }

    fn reference(&mut self, raw: &str) -> Result<(), Broken> {
        if self.is_outside() {
            return malformed("text is outside of the root element");
        }
        let name = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        self.text.push(meant(name)?);
        Ok(())
    }

    fn end(mut self, at: usize) -> Result<Vec<u8>, Wrong> {
        let open = self.frame().name;
        let behind = match (self.is_outside(), self.runs.is_empty()) {
            (true, false) => {
                self.close();
                return Ok(self.out);
            }
            (true, true) => ": it has no element".to_owned(),
            (false, _) => format!(": the element {} has no end", quoted(open)),
        };
        Err(Wrong {
            at,
            before: "ends too early",
            behind,
        })
    }
}

/// FNV-1a.
fn hash(name: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    name.bytes().fold(0x811c_9dc5, step)
}

/// Makes room for some more bytes and a few beside them. A body may be a quarter of what memory there is: twice the room, as
/// a vector takes by itself, is too much.
fn make_room(bytes: usize, out: &mut Vec<u8>) {
    let bytes = bytes + 16;
    if out.capacity() - out.len() < bytes {
        out.reserve_exact(bytes + out.len() / 8);
    }
}

/// `{"name":`, or with `,` before it.
fn write_name(mark: u8, name: &str, is_attribute: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&[mark, b'"']);
    if is_attribute {
        out.push(b'@');
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn end_run(run: &mut Run, out: &mut Vec<u8>) {
    if run.values > 1 {
        out.push(b']');
    }
    run.to = out.len();
}

#[cfg(test)]
mod tests;
