//! Finding values in a JSON text that a parser has read before: every byte is passed once, and none is checked again.
//!
//! On text that is not JSON the values found mean nothing; worse does not happen.

use memchr::memmem::Finder;

use super::{Node, index_is};

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);

/// Puts what the pointers below `root` lead to into `found`. `Err` names a member that is repeated on the way.
///
/// `names` finds every step of the pointers as a quoted name.
pub(super) fn read<'t>(
    text: &'t str,
    root: &Node,
    names: &[Finder<'static>],
    found: &mut [Option<&'t str>],
) -> Result<(), String> {
    found.fill(None);
    let mut scan = Scan {
        text,
        names,
        missing: found.len(),
        found,
        repeated: None,
    };
    scan.value(root, after_space(text.as_bytes(), 0));
    scan.repeated.map_or(Ok(()), Err)
}

struct Scan<'f, 't> {
    text: &'t str,
    names: &'f [Finder<'static>],
    found: &'f mut [Option<&'t str>],
    missing: usize,
    repeated: Option<String>,
}

impl Scan<'_, '_> {
    /// Reads the value at `start` and returns where it ends. It recurs as often as a pointer has steps.
    fn value(&mut self, node: &Node, start: usize) -> usize {
        let bytes = self.text.as_bytes();
        let end = match bytes.get(start) {
            Some(b'{') if !node.children.is_empty() => self.object(node, start),
            Some(b'[') if !node.children.is_empty() => self.array(node, start),
            _ => value_end(bytes, start),
        };
        if let Some(slot) = node.slot {
            self.found[slot] = self.text.get(start..end);
            self.missing -= 1;
            if self.missing == 0 && !self.may_repeat(end) {
                return bytes.len();
            }
        }
        end
    }

    /// Whether a member that was looked for may be behind `at` once more, at any depth, or hidden by escapes.
    fn may_repeat(&self, at: usize) -> bool {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        let names = || self.names.iter().any(|name| name.find(rest).is_some());
        memchr::memchr(b'\\', rest).is_some() || names()
    }

    fn object(&mut self, node: &Node, start: usize) -> usize {
        let bytes = self.text.as_bytes();
        // One bit a child: more than 64 pointers that part in the same place are never built from settings.
        let mut seen = 0_u64;
        let mut at = after_space(bytes, start + 1);
        while bytes.get(at) == Some(&b'"') {
            let name_end = string_end(bytes, at);
            let child = child_named(node, &self.text[at..name_end]);
            let value = after_space(bytes, after_space(bytes, name_end) + 1);
            let bit = child.map_or(0, |at| 1_u64 << (at % 64));
            at = match child {
                Some(child) if seen & bit == 0 => self.value(&node.children[child].1, value),
                Some(child) => {
                    let step = &node.children[child].0;
                    self.repeated.get_or_insert_with(|| step.clone());
                    value_end(bytes, value)
                }
                None => value_end(bytes, value),
            };
            seen |= bit;
            at = after_comma(bytes, at);
        }
        at + 1
    }

    fn array(&mut self, node: &Node, start: usize) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = after_space(bytes, start + 1);
        for index in 0_usize.. {
            if matches!(bytes.get(at), None | Some(b']')) {
                break;
            }
            let child = node.children.iter().find(|(step, _)| index_is(step, index));
            at = match child {
                Some((_, child)) => self.value(child, at),
                None => value_end(bytes, at),
            };
            at = after_comma(bytes, at);
        }
        at + 1
    }
}

/// Which child a member belongs to, by its name with quotes and escapes as in the text.
fn child_named(node: &Node, quoted: &str) -> Option<usize> {
    let named = |name: &str| node.children.iter().position(|(step, _)| step == name);
    if memchr::memchr(b'\\', quoted.as_bytes()).is_some() {
        // A name that stands for no text, half a surrogate pair say, is named by no pointer.
        return serde_json::from_str::<String>(quoted)
            .ok()
            .and_then(|name| named(&name));
    }
    named(quoted.get(1..quoted.len() - 1)?)
}

/// Where the value at `start` ends.
pub(crate) fn value_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        at = match byte {
            b'"' => string_end(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                at + 1
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => at + 1,
            _ => scalar_end(bytes, at),
        };
        if depth == 0 {
            break;
        }
    }
    at.min(bytes.len())
}

/// Where the number, `true`, `false` or `null` at `start` ends.
#[inline]
fn scalar_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        if matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r') {
            break;
        }
        at += 1;
    }
    at
}

/// The end of the string whose opening quote is at `start`: behind its closing one.
#[inline]
pub(crate) fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        at += plain_bytes(bytes.get(at..).unwrap_or_default());
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(_) => at += 2,
            None => return bytes.len(),
        }
    }
}

/// How many bytes come before the first quote or backslash. Eight at a time: nearly all of a page is text in strings.
#[inline]
fn plain_bytes(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk() {
        let word = u64::from_le_bytes(*eight);
        let hits = zeros(word ^ QUOTES) | zeros(word ^ BACKSLASHES);
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\');
    let rest = bytes[at..].iter().position(ends);
    rest.map_or(bytes.len(), |rest| at + rest)
}

/// The high bit of each byte of `word` that is zero; bits above the lowest one set may be wrong.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

#[inline]
pub(crate) fn after_comma(bytes: &[u8], at: usize) -> usize {
    let at = after_space(bytes, at);
    match bytes.get(at) {
        Some(b',') => after_space(bytes, at + 1),
        _ => at,
    }
}

#[inline]
pub(crate) fn after_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}
