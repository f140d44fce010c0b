//! Finds secrets in a text or a stream, whatever way their characters are escaped, and puts `REDACTED` in their place.
//!
//! A text without an escape is searched at the speed of memory. Of an escape only so much is read as could be a secret.

use std::collections::BTreeSet;

use memchr::memmem;
use zeroize::Zeroizing;

use super::escape::{Text, is_lead};
use super::{REDACTED, forms};

/// Steps that one text may take for each byte of it. An escape takes one for each place of a secret where it could stand: about
/// ten in the texts of JSON APIs. In a secret that repeats itself, as a hostile token endpoint may give, it has no end of them.
const STEPS_A_BYTE: usize = 256;
/// Steps that a short text may take besides.
const STEPS: usize = 100_000;
/// Bytes that are compared in one step.
const COMPARED_AT_ONCE: usize = 16;

/// What is shorter is a secret only where it is a word by itself: it would spoil every text that it occurs in.
pub const WORD_BYTES_MIN: usize = 6;
/// The beginning of a secret that was cut is looked for from this length on: a shorter one tells little, and occurs by chance.
const CUT_BYTES_MIN: usize = 4;

/// What to look for: every secret in every encoding that is not one of single characters.
pub struct Search {
    /// Longest first: of two that begin at one place the longer is meant.
    patterns: Vec<Zeroizing<Vec<u8>>>,
    /// What is shorter in the text, escapes included, occurs by chance.
    bytes_min: usize,
    /// For each byte, where it occurs: in which of the patterns, and where in that.
    places: Vec<Vec<(usize, usize)>>,
}

/// What became of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hidden {
    /// Bytes that were dealt with.
    pub taken: usize,
    /// Secrets that were in them.
    pub count: u64,
    /// It was hidden from some byte on without being looked at, and so must be what follows.
    pub is_given_up: bool,
}

/// Where a secret is, and how much of what follows is another matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    start: usize,
    end: usize,
}

impl Default for Search {
    /// Looks for nothing.
    fn default() -> Self {
        Self::new([], 0)
    }
}

impl Search {
    /// Looks for these, where they take at least so many bytes in the text.
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s str>, bytes_min: usize) -> Self {
        let mut patterns: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        for pattern in secrets.into_iter().flat_map(forms) {
            let order = |known: &Zeroizing<Vec<u8>>| {
                let longest_first = pattern.len().cmp(&known.len());
                longest_first.then_with(|| known.as_slice().cmp(&pattern))
            };
            // A place for each: sorting is six kilobytes of code.
            if pattern.len() >= bytes_min.div_ceil(2)
                && let Err(at) = patterns.binary_search_by(order)
            {
                patterns.insert(at, pattern);
            }
        }
        let mut places = vec![Vec::new(); 256];
        for (number, pattern) in patterns.iter().enumerate() {
            for (at, byte) in pattern.iter().enumerate() {
                places[usize::from(*byte)].push((number, at));
            }
        }
        Self {
            patterns,
            bytes_min,
            places,
        }
    }

    /// True if and only if nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Copies `bytes` to `shown` with every secret replaced, as far as that is decided: where the text goes on
    /// (`is_whole` is false), what may be the beginning of a secret is not. A text that could hold a secret in too many ways
    /// is hidden from there on.
    pub fn hide(&self, bytes: &[u8], is_whole: bool, shown: &mut Vec<u8>) -> Hidden {
        let longest = self.patterns.first().map_or(0, |pattern| pattern.len());
        let mut decided = bytes.len();
        if !is_whole {
            decided = (bytes.len() + 1).saturating_sub(longest.max(1));
        }
        let mut plain = Plain::new(&self.patterns, self.bytes_min, bytes);
        let mut escaped = Escaped::new(self, bytes, is_whole);
        let (mut taken, mut count) = (0, 0);
        loop {
            let next = earlier(plain.next(taken), escaped.next(taken));
            if escaped.steps_left == 0 {
                shown.extend_from_slice(REDACTED.as_bytes());
                return Hidden {
                    taken: bytes.len(),
                    count: count + 1,
                    is_given_up: true,
                };
            }
            decided = decided.min(escaped.undecided);
            let Some(found) = next.filter(|found| found.start < decided) else {
                break;
            };
            shown.extend_from_slice(&bytes[taken..found.start]);
            shown.extend_from_slice(REDACTED.as_bytes());
            taken = found.end;
            count += 1;
        }
        let rest = taken.max(decided);
        shown.extend_from_slice(&bytes[taken..rest]);
        Hidden {
            taken: rest,
            count,
            is_given_up: false,
        }
    }
}

impl Search {
    /// Replaces the beginning of a secret before each `…` of a text without whole ones: what was cut is found by nobody else.
    pub fn hide_cut(&self, shown: &mut Vec<u8>) {
        const CUT: &[u8] = "…".as_bytes();
        if memmem::find(shown, CUT).is_none() {
            return;
        }
        let mut out = Vec::with_capacity(shown.len());
        let mut rest = shown.as_slice();
        while let Some(at) = memmem::find(rest, CUT) {
            let before = &rest[..at];
            let kept = before.len() - self.begun_at_the_end(before);
            out.extend_from_slice(&before[..kept]);
            if kept < before.len() {
                out.extend_from_slice(REDACTED.as_bytes());
            }
            out.extend_from_slice(CUT);
            rest = &rest[at + CUT.len()..];
        }
        out.extend_from_slice(rest);
        *shown = out;
    }

    /// The most bytes at the end of a text with which one of the secrets begins.
    fn begun_at_the_end(&self, text: &[u8]) -> usize {
        let begun = self.patterns.iter().filter_map(|pattern| {
            let most = pattern.len().min(text.len());
            (CUT_BYTES_MIN..=most)
                .rev()
                .find(|&bytes| text.ends_with(&pattern[..bytes]))
        });
        begun.max().unwrap_or(0)
    }
}

/// The one that begins first, the longer one if both begin at one place.
fn earlier(one: Option<Found>, other: Option<Found>) -> Option<Found> {
    let both = [one, other].into_iter().flatten();
    both.min_by_key(|found| (found.start, usize::MAX - found.end))
}

/// Looks for patterns as they are.
struct Plain<'s> {
    bytes: &'s [u8],
    /// Each with where it is next.
    patterns: Vec<(&'s [u8], Option<usize>)>,
}

impl<'s> Plain<'s> {
    fn new(patterns: &'s [Zeroizing<Vec<u8>>], bytes_min: usize, bytes: &'s [u8]) -> Self {
        let long = patterns.iter().filter(|pattern| pattern.len() >= bytes_min);
        let next = long.map(|pattern| (pattern.as_slice(), find(bytes, pattern, 0)));
        let patterns = next.filter(|(_, at)| at.is_some()).collect();
        Self { bytes, patterns }
    }

    /// The first that begins at `from` or behind it.
    fn next(&mut self, from: usize) -> Option<Found> {
        for (pattern, at) in &mut self.patterns {
            if at.is_some_and(|at| at < from) {
                *at = find(self.bytes, pattern, from);
            }
        }
        let found = self.patterns.iter().filter_map(|(pattern, at)| {
            let start = (*at)?;
            let end = start + pattern.len();
            Some(Found { start, end })
        });
        found.min_by_key(|found| (found.start, usize::MAX - found.end))
    }
}

/// Looks for patterns of which a character is escaped, by the first one that is.
struct Escaped<'s> {
    search: &'s Search,
    bytes: &'s [u8],
    text: Text<'s>,
    is_whole: bool,
    /// Where the next escape is looked for.
    at: usize,
    /// Behind the last byte that could have begun an escape: a pattern whose first one comes later begins there or later.
    behind_lead: usize,
    found: Option<Found>,
    /// What begins here may be a secret whose end has not come.
    undecided: usize,
    /// None left: not all was looked at.
    steps_left: usize,
}

impl<'s> Escaped<'s> {
    fn new(search: &'s Search, bytes: &'s [u8], is_whole: bool) -> Self {
        Self {
            search,
            bytes,
            text: Text::new(bytes),
            is_whole,
            at: 0,
            behind_lead: 0,
            found: None,
            undecided: usize::MAX,
            steps_left: STEPS.saturating_add(bytes.len().saturating_mul(STEPS_A_BYTE)),
        }
    }

    /// The first that begins at `from` or behind it, unless something undecided comes before.
    fn next(&mut self, from: usize) -> Option<Found> {
        if let Some(found) = self.found.filter(|found| found.start >= from) {
            return Some(found);
        }
        self.found = None;
        if from > self.at {
            (self.at, self.behind_lead) = (from, from);
        }
        while self.found.is_none() && self.undecided == usize::MAX && self.steps_left > 0 {
            let lead = memchr::memchr3(b'%', b'\\', b'&', &self.bytes[self.at..])?;
            let lead = self.at + lead;
            self.look_at(lead, self.behind_lead.max(from));
            (self.at, self.behind_lead) = (lead + 1, lead + 1);
        }
        self.found
    }

    /// Looks for a pattern whose first escape is at `lead` and that begins at `least` or behind it.
    fn look_at(&mut self, lead: usize, least: usize) {
        let readings = self.text.readings(lead);
        if self.text.has_run_out() && !self.is_whole {
            let longest = self.search.patterns.first().map_or(0, |one| one.len());
            self.undecided = least.max((lead + 1).saturating_sub(longest));
        }
        let search = self.search;
        for reading in readings.iter() {
            let read = reading.bytes();
            for &(number, at) in &search.places[usize::from(read[0])] {
                let pattern = &search.patterns[number];
                let is_near = at == 0 || lead > 0 && self.bytes[lead - 1] == pattern[at - 1];
                self.step(if is_near {
                    1 + at / COMPARED_AT_ONCE
                } else {
                    1
                });
                if !is_near || self.steps_left == 0 {
                    continue;
                }
                let fits = |start: &usize| {
                    *start >= least
                        && self.bytes[*start..lead] == pattern[..at]
                        && pattern[at..].starts_with(read)
                };
                if let Some(start) = lead.checked_sub(at).filter(fits) {
                    self.follow(start, pattern, (at + read.len(), reading.end));
                }
            }
        }
    }

    fn step(&mut self, steps: usize) {
        self.steps_left = self.steps_left.saturating_sub(steps);
    }

    /// Reads on from where `so_far` of the pattern has been read, and keeps what it finds.
    fn follow(&mut self, start: usize, pattern: &[u8], so_far: (usize, usize)) {
        let mut states = BTreeSet::from([so_far]);
        while let Some((done, at)) = states.pop_first() {
            self.step(1);
            if self.steps_left == 0 {
                return;
            }
            if done == pattern.len() {
                let is_meant = is_long_or_a_word(self.bytes, pattern, start, at);
                if is_meant && at - start >= self.search.bytes_min {
                    let end = at;
                    self.found = earlier(self.found, Some(Found { start, end }));
                }
                continue;
            }
            match self.text.at(at) {
                Some(byte) if is_lead(byte) => {
                    let readings = self.text.readings(at);
                    let fitting = readings
                        .iter()
                        .filter(|read| pattern[done..].starts_with(read.bytes()));
                    states.extend(fitting.map(|read| (done + read.bytes().len(), read.end)));
                }
                Some(byte) if byte == pattern[done] => {
                    states.insert((done + 1, at + 1));
                }
                _ => {}
            }
        }
        if self.text.has_run_out() && !self.is_whole {
            self.undecided = self.undecided.min(start);
        }
    }
}

/// Where the pattern is next, from there on; a short one as a word by itself.
fn find(bytes: &[u8], pattern: &[u8], from: usize) -> Option<usize> {
    // Those of a short one may overlap.
    let mut from = from;
    loop {
        let start = memmem::find(&bytes[from..], pattern)? + from;
        if is_long_or_a_word(bytes, pattern, start, start + pattern.len()) {
            return Some(start);
        }
        from = start + 1;
    }
}

/// Whether what is between `start` and `end` is the secret, and not a part of a word that has nothing to do with it.
fn is_long_or_a_word(bytes: &[u8], pattern: &[u8], start: usize, end: usize) -> bool {
    let is_word_behind = || bytes.get(end).is_some_and(|&byte| is_of_a_word(byte));
    pattern.len() >= WORD_BYTES_MIN || !(ends_in_a_word(&bytes[..start]) || is_word_behind())
}

fn is_of_a_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Whether the last character is one of a word; an escaped one, such as `%20` or `\n`, is not.
fn ends_in_a_word(before: &[u8]) -> bool {
    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    match before {
        [] | [.., b'\\', _] => false,
        [.., b'%', a, b] if is_hex(&[*a, *b]) => false,
        [.., b'\\', b'u', a, b, c, d] if is_hex(&[*a, *b, *c, *d]) => false,
        [.., last] => is_of_a_word(*last),
    }
}

#[cfg(test)]
mod tests;
