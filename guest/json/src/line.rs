//! One record's text: how deep it is nested, and the one line it becomes.

use crate::pointer::string_end;

/// Levels of nesting in a record: the depth at which `serde_json` stops, less the array that a reader may wrap around it.
pub const DEPTH_MAX: usize = 126;

/// Why a record's text is none that can be used, whatever it holds.
pub fn unfit(text: &str) -> Option<String> {
    if !text.starts_with('{') {
        return Some("is not an object".to_owned());
    }
    is_too_deep(text).then(|| format!("is nested deeper than {DEPTH_MAX} levels"))
}

/// Whether a record's text is nested deeper than one may be.
pub fn is_too_deep(text: &str) -> bool {
    is_deeper_than(text, DEPTH_MAX)
}

/// Whether valid JSON text is nested deeper than `levels`.
fn is_deeper_than(text: &str, levels: usize) -> bool {
    // Each level takes two bytes, and one that opens it: almost no record needs the walk below.
    if text.len() <= 2 * levels || openings(text) <= levels {
        return false;
    }
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' => drop(bytes.next()),
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > levels {
            return true;
        }
    }
    false
}

/// How many `[` and `{` there are, strings included: counted in bytes that cannot overflow, so that it takes no time.
fn openings(text: &str) -> usize {
    let chunks = text.as_bytes().chunks(usize::from(u8::MAX));
    let counts = chunks.map(|chunk| {
        let ones = chunk
            .iter()
            .map(|byte| u8::from(matches!(byte, b'[' | b'{')));
        usize::from(ones.fold(0, u8::wrapping_add))
    });
    counts.sum()
}

/// Appends a record's text as one line, without its newline: byte for byte, unless it spans lines itself; then without the
/// white space around its values. The inside of strings is never touched.
pub fn append_line(record: &str, out: &mut Vec<u8>) {
    let bytes = record.as_bytes();
    // In valid JSON a raw line break is outside of strings only.
    if memchr::memchr2(b'\n', b'\r', bytes).is_none() {
        out.extend_from_slice(bytes);
        return;
    }
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let length = match first {
            b'"' => string_end(rest, 0),
            b' ' | b'\t' | b'\n' | b'\r' => {
                rest = &rest[1..];
                continue;
            }
            _ => 1,
        };
        out.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(record: &str) -> String {
        let mut out = Vec::new();
        append_line(record, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_on_one_line_keeps_every_byte() {
        assert_eq!(line("{ \"a\" :\t1.10 }"), "{ \"a\" :\t1.10 }");
    }

    #[test]
    fn a_record_over_several_lines_loses_white_space_outside_of_strings_only() {
        let record = "{\r\n  \"a b\\\" \\\\\": [ 1.10,\n\t\"x  y\\n\" ]\n}";

        assert_eq!(line(record), r#"{"a b\" \\":[1.10,"x  y\n"]}"#);
    }
}
