//! How the modelled source writes a row: the same source spells keys, times and marks in more than one way.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::world::Place;

/// All ids in the order of their keys, each as it is spelled now and then.
pub const IDS: [[&str; 2]; 13] = [
    ["-3", "-3"],
    ["0", "0"],
    ["2", "2"],
    ["10", "10"],
    ["9007199254740993", "9007199254740993"],
    [
        "1000000000000000000000000000000000000001",
        "1000000000000000000000000000000000000001",
    ],
    ["\"\"", "\"\""],
    ["\"10x\"", "\"\\u0031\\u0030x\""],
    ["\"9\"", "\"9\""],
    ["\"A\"", "\"\\u0041\""],
    ["\"a/b\"", "\"a\\/b\""],
    ["\"é\"", "\"\\u00e9\""],
    ["\"😀\"", "\"\\ud83d\\ude00\""],
];

/// The first of [`IDS`] that is a string.
const STRINGS_FROM: usize = 6;

/// The id in place of this one: a key column of PostgreSQL takes keys of one sort, and the ones that are strings are more.
pub fn id_at(place: Place, id: usize) -> usize {
    match place {
        Place::Postgres if id < STRINGS_FROM => id + STRINGS_FROM,
        _ => id,
    }
}

/// A record as it is spelled at this place.
pub fn spelled_at(place: Place, record: &str) -> String {
    if place.keeps_text() {
        return record.to_owned();
    }
    spelled_anew(record)
}

/// The members by name and nothing between them, strings without needless escapes; numbers stay as they are.
fn spelled_anew(value: &str) -> String {
    match value.as_bytes() {
        [b'{', ..] => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(value).expect(value);
            let spelled = |(name, value): (String, &RawValue)| {
                format!("{}:{}", Value::from(name), spelled_anew(value.get()))
            };
            let members: Vec<String> = members.into_iter().map(spelled).collect();
            format!("{{{}}}", members.join(","))
        }
        [b'"', ..] => {
            let text: Value = serde_json::from_str(value).expect(value);
            text.to_string()
        }
        _ => value.to_owned(),
    }
}

/// What the cursor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Rfc3339,
    Date,
    Epoch,
    EpochMs,
    Integer,
    Text,
}

/// One row of the source.
#[derive(Debug, Clone)]
pub struct Row {
    /// When it was changed, in seconds since 1970.
    pub at: i64,
    /// The same as a number that counts changes.
    pub sequence: i64,
    /// Tells this version from all others of the source.
    pub version: usize,
    pub is_deleted: bool,
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::Rfc3339,
        Self::Date,
        Self::Epoch,
        Self::EpochMs,
        Self::Integer,
        Self::Text,
    ];

    /// Whether it is told by a clock.
    pub fn is_time(self) -> bool {
        !matches!(self, Self::Integer | Self::Text)
    }

    /// `SOURCE_CURSOR_KIND`, for those that are never guessed.
    pub fn setting(self) -> Option<&'static str> {
        match self {
            Self::Epoch => Some("epoch"),
            Self::EpochMs => Some("epoch-ms"),
            Self::Rfc3339 | Self::Date | Self::Integer | Self::Text => None,
        }
    }
}

impl Row {
    /// Its record.
    pub fn text(&self, id: usize, kind: Kind) -> String {
        let version = self.version;
        let id = IDS[id][version % 2];
        let changed = self.changed(kind);
        let gone = match (self.is_deleted, version % 4) {
            (true, 0) => r#","gone":"2026-11-23T06:00:00Z""#,
            (true, 1) => r#","gone":1"#,
            (true, _) => r#","gone":true"#,
            (false, 0) => "",
            (false, 1) => r#","gone":null"#,
            (false, 2) => r#","gone":0"#,
            (false, _) => r#","gone":false"#,
        };
        match version % 3 {
            0 => format!(
                r#"{{"id":{id},"version":{version},"changed":{changed}{gone},"price":1.10}}"#
            ),
            1 => format!(
                r#"{{ "note" : "\u00e9 é \"\\ ]}}", "id" : {id} , "changed" : {changed}{gone}, "version" : {version} }}"#
            ),
            _ => format!(
                r#"{{"version":{version},"n":1234567890123456789012345678901234567890{gone},"changed":{changed},"in":{{"id":0,"gone":1}},"id":{id}}}"#
            ),
        }
    }

    fn changed(&self, kind: Kind) -> String {
        let at = instant(self.at);
        match kind {
            Kind::Epoch => self.at.to_string(),
            Kind::EpochMs => format!("{}000", self.at),
            Kind::Integer => self.sequence.to_string(),
            Kind::Text => format!("\"{}\"", sequence_text(self.sequence)),
            Kind::Date => format!("\"{}\"", day(self.at)),
            Kind::Rfc3339 if self.version.is_multiple_of(3) => {
                let local = jiff::tz::offset(2).to_datetime(at);
                format!("\"{}\"", local.strftime("%Y-%m-%dT%H:%M:%S.000+02:00"))
            }
            Kind::Rfc3339 => format!("\"{at}\""),
        }
    }

    /// Whether it was changed at `since` or after it.
    pub fn is_since(&self, since: &str, kind: Kind) -> bool {
        let number = || since.parse::<i64>().expect("a number as cursor");
        match kind {
            Kind::Epoch => self.at >= number(),
            Kind::EpochMs => self.at * 1000 >= number(),
            Kind::Integer => self.sequence >= number(),
            Kind::Text => sequence_text(self.sequence).as_str() >= since,
            Kind::Date => day(self.at).as_str() >= since,
            Kind::Rfc3339 => {
                instant(self.at) >= since.parse::<Timestamp>().expect("a time as cursor")
            }
        }
    }
}

impl Row {
    /// Whether it was changed after `since`.
    pub fn is_behind(&self, since: &str, kind: Kind) -> bool {
        let number = || since.parse::<i64>().expect("a number as cursor");
        let is_at = match kind {
            Kind::Epoch => self.at == number(),
            Kind::EpochMs => self.at * 1000 == number(),
            Kind::Integer => self.sequence == number(),
            Kind::Text => sequence_text(self.sequence) == since,
            Kind::Date => day(self.at) == since,
            Kind::Rfc3339 => {
                instant(self.at) == since.parse::<Timestamp>().expect("a time as cursor")
            }
        };
        self.is_since(since, kind) && !is_at
    }
}

/// As an answer's `Date`.
pub fn http_date(seconds: i64) -> String {
    let format = "%a, %d %b %Y %H:%M:%S GMT";
    instant(seconds).strftime(format).to_string()
}

fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time that there is")
}

fn day(seconds: i64) -> String {
    instant(seconds).strftime("%Y-%m-%d").to_string()
}

fn sequence_text(sequence: i64) -> String {
    format!("c{sequence:08}")
}
