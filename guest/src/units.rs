//! Values with a unit, as settings have them: `90s`, `500ms`, `64MiB`.

/// `90s`, `5m`, `2h` or `7d` as seconds; the most there is where they are more.
pub fn seconds(text: &str) -> Option<u64> {
    of(
        text,
        &[("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)],
    )
}

/// `500ms`, `2s` or `1m` as milliseconds; the most there is where they are more.
pub fn milliseconds(text: &str) -> Option<u64> {
    of(text, &[("ms", 1), ("s", 1_000), ("m", 60_000)])
}

/// `512KiB`, `64MiB` or `1GiB` as bytes; the most there is where they are more.
pub fn bytes(text: &str) -> Option<u64> {
    of(
        text,
        &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)],
    )
}

/// A whole number and one of these units.
fn of(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let number: u64 = digits.parse().ok()?;
    Some(number.saturating_mul(*factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_a_unit() {
        assert_eq!(seconds("5m"), Some(300));
        assert_eq!(seconds("300000000000000000d"), Some(u64::MAX));
        assert_eq!(milliseconds("500ms"), Some(500));
        assert_eq!(milliseconds("2s"), Some(2000));
        assert_eq!(bytes("64MiB"), Some(64 << 20));
        for wrong in ["", "5", "m", "-5m", "1.5h", "5 m", "5M", "5mb"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
            assert_eq!(milliseconds(wrong), None, "{wrong}");
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
        assert_eq!(seconds("5ms"), None);
        assert_eq!(milliseconds("5h"), None);
    }
}
