//! Times as Microsoft's JSON writes them: `/Date(1700000000000+0100)/`, milliseconds since 1970. The offset says where the
//! time was written, not which instant it is.

use jiff::Timestamp;

use crate::failure::quoted;

/// Reads a time. `Err` says what is wrong with it.
pub fn read(text: &str) -> Result<Timestamp, String> {
    let at = parts(text).and_then(|(ms, _)| Timestamp::from_millisecond(ms).ok());
    at.ok_or_else(|| {
        format!(
            "{} is not a time such as `/Date(1700000000000+0100)/`",
            quoted(text)
        )
    })
}

/// Writes `at`, rounded down to milliseconds, with the offset of `like`.
pub fn write(at: Timestamp, like: &str) -> String {
    let offset = parts(like).map_or("", |(_, offset)| offset);
    let ms = at.as_nanosecond().div_euclid(1_000_000);
    format!("/Date({ms}{offset})/")
}

/// The milliseconds, and the offset as it is written.
fn parts(text: &str) -> Option<(i64, &str)> {
    let inside = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let sign = inside.len() - inside.strip_prefix('-').unwrap_or(inside).len();
    let behind = inside[sign..]
        .find(['+', '-'])
        .map_or(inside.len(), |at| sign + at);
    let (ms, offset) = inside.split_at(behind);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_offset = offset.is_empty() || offset.len() == 5 && digits(&offset[1..]);
    (digits(&ms[sign..]) && is_offset).then(|| Some((ms.parse().ok()?, offset)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_read_and_the_offset_is_kept() {
        let at = Timestamp::from_millisecond(1_576_107_758_447).unwrap();

        assert_eq!(read("/Date(1576107758447+0000)/"), Ok(at));
        assert_eq!(read("/Date(1576107758447)/"), Ok(at));
        assert_eq!(
            read("/Date(-1-0730)/"),
            Ok(Timestamp::from_millisecond(-1).unwrap())
        );
        assert_eq!(write(at, "/Date(0+0100)/"), "/Date(1576107758447+0100)/");
        assert_eq!(write(at, ""), "/Date(1576107758447)/");
    }

    #[test]
    fn what_is_no_such_time_is_refused() {
        for text in [
            "",
            "/Date()/",
            "/Date(1",
            "/Date(x)/",
            "/Date(1+1)/",
            "/Date(1+01000)/",
            "/Date(1é)/",
            "/Date(99999999999999999999)/",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
