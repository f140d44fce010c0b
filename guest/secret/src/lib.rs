//! Finds secrets in texts and streams, in every encoding and whatever way their characters are escaped.
//!
//! Both sides use it: the host for what a component gets and for what people read, the component alone for what it writes.
//! Who has a secret, and where it is looked for, is theirs.

use base64::Engine as _;
use base64::engine::general_purpose::{
    GeneralPurpose, STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD,
};
use zeroize::Zeroizing;

pub use self::search::{Hidden, Search, WORD_BYTES_MIN};

mod escape;
mod search;

/// What replaces a secret.
pub const REDACTED: &str = "REDACTED";
/// What a server repeats is looked for in headers from this length on, escapes included: shorter texts occur by chance.
pub const HEADER_BYTES_MIN: usize = 8;
/// The same in bodies.
pub const BODY_BYTES_MIN: usize = 16;
/// A form of a secret that is neither itself nor plain base64 is looked for from this length on.
const DERIVED_BYTES_MIN: usize = 12;

/// Every form in which `secret` could come back, single characters aside, which may be escaped in any of them: as it is, in
/// base64 (by itself, and within something else), and in hex. Some of them are equal.
fn forms(secret: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let raw = secret.as_bytes();
    if raw.is_empty() {
        return Vec::new();
    }
    let mut forms = vec![
        Zeroizing::new(raw.to_vec()),
        // Forms write a blank as `+`.
        Zeroizing::new(
            raw.iter()
                .map(|&byte| if byte == b' ' { b'+' } else { byte })
                .collect(),
        ),
        encoded(&STANDARD, raw),
        encoded(&STANDARD_NO_PAD, raw),
        encoded(&URL_SAFE, raw),
        encoded(&URL_SAFE_NO_PAD, raw),
    ];
    let mut derived = vec![hex(raw, b"0123456789abcdef"), hex(raw, b"0123456789ABCDEF")];
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        derived.extend((0..3).map(|offset| within(engine, raw, offset)));
    }
    // Shorter ones occur by chance, also in what only people read.
    forms.extend(
        derived
            .into_iter()
            .filter(|form| form.len() >= DERIVED_BYTES_MIN),
    );
    forms
}

fn encoded(engine: &GeneralPurpose, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(engine.encode(bytes).into_bytes())
}

/// What base64 of any text has in it that has `raw` at an `offset` of so many bytes (of three): all but the first and the
/// last character, in which bits of its neighbours are.
fn within(engine: &GeneralPurpose, raw: &[u8], offset: usize) -> Zeroizing<Vec<u8>> {
    let shifted = [&[0; 2][..offset], raw].concat();
    let shifted = Zeroizing::new(shifted);
    let whole = encoded(engine, &shifted);
    let (first, last) = ((8 * offset).div_ceil(6), 8 * shifted.len() / 6);
    Zeroizing::new(whole.get(first..last).unwrap_or_default().to_vec())
}

fn hex(bytes: &[u8], digits: &[u8; 16]) -> Zeroizing<Vec<u8>> {
    let pairs = bytes.iter().flat_map(|byte| {
        [
            digits[usize::from(byte >> 4)],
            digits[usize::from(byte & 15)],
        ]
    });
    Zeroizing::new(pairs.collect())
}
