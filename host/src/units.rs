//! Values with a unit: `90s`, `256MiB`, `1%`.

use std::time::Duration;

/// A span of time: a whole number and `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];
    let seconds =
        whole(text, &units).ok_or("takes a whole number and a unit: `90s`, `15m`, `2h` or `7d`")?;
    Ok(Duration::from_secs(seconds))
}

/// A short span of time: a whole number and `ms`, `s` or `m`.
pub fn pause(text: &str) -> Option<Duration> {
    whole(text, &[("ms", 1), ("s", 1_000), ("m", 60_000)]).map(Duration::from_millis)
}

/// An amount of memory or disk: a whole number and `KiB`, `MiB` or `GiB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    whole(text, &units)
        .ok_or_else(|| "takes a whole number and a unit: `512KiB`, `256MiB` or `1GiB`".to_owned())
}

/// So many of a thing, as a person says it: `1 page`, `2 pages`.
pub fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// The same with the digits in groups of three: `2,500 records`.
pub fn counted_in_thousands(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", thousands(number))
}

/// A number with its digits in groups of three: `2,500`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number of bytes as a person says it: in the largest unit of which it is a whole number.
pub fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let whole = units
        .into_iter()
        .find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    whole.map_or_else(
        || counted(bytes, "byte"),
        |(unit, name)| format!("{} {name}", bytes / unit),
    )
}

/// A span of time as a person says it: the largest unit, with one digit after the point where it matters.
pub fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    for (size, unit) in [(24 * 60 * 60, "d"), (60 * 60, "h"), (60, "m")] {
        // 25 hours are not a day: a unit is left behind only when there are two of the next.
        if seconds == size || seconds >= 2 * size {
            let tenths = seconds * 10 / size;
            return match tenths % 10 {
                0 => format!("{}{unit}", tenths / 10),
                rest => format!("{}.{rest}{unit}", tenths / 10),
            };
        }
    }
    format!("{seconds}s")
}

fn whole(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let value = number.parse::<u64>().ok()?.checked_mul(*factor)?;
    (value > 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(Duration::from_hours(2)));
        for wrong in [
            "",
            "90",
            "m",
            "0s",
            "-5m",
            "1.5h",
            "5 m",
            "99999999999999999999d",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_size_is_told_in_its_largest_unit() {
        for (bytes, told) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1025, "1025 bytes"),
            (3 << 10, "3 KiB"),
            (1 << 30, "1 GiB"),
        ] {
            assert_eq!(size(bytes), told);
        }
    }

    #[test]
    fn a_size_has_a_binary_unit() {
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert!(bytes("64MB").is_err());
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(counted(1, "page"), "1 page");
        assert_eq!(counted(0, "page"), "0 pages");
        assert_eq!(counted(12, "page"), "12 pages");
    }

    #[test]
    fn digits_are_in_groups_of_three() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(
            counted_in_thousands(12_345_678, "record"),
            "12,345,678 records"
        );
    }

    #[test]
    fn a_span_is_spoken_in_its_largest_unit() {
        assert_eq!(spoken(Duration::from_secs(59)), "59s");
        assert_eq!(spoken(Duration::from_mins(150)), "2.5h");
        assert_eq!(spoken(Duration::from_mins(90)), "90m");
        assert_eq!(spoken(Duration::from_hours(25)), "25h");
        assert_eq!(spoken(Duration::from_hours(24)), "1d");
    }
}
