//! The names of generations: of a folder's and of a database's.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Hexadecimal digits of the manifest's sha256 in a generation's name.
const HEAD_DIGITS: usize = 16;

/// The name of a generation: its number, when it was committed, and the head of its manifest's sha256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationName {
    text: String,
    pub number: u64,
    /// When it was committed, in whole seconds.
    pub committed: Timestamp,
}

impl GenerationName {
    /// The name of generation `number`, committed at `committed` with this manifest.
    pub fn new(number: u64, committed: Timestamp, manifest: &[u8]) -> Self {
        let head = &crate::hash::sha256(manifest)[..HEAD_DIGITS];
        let text = format!(
            "{number:06}-{}-{head}",
            committed.strftime("%Y%m%dT%H%M%SZ")
        );
        Self {
            text,
            number,
            committed,
        }
    }

    /// Reads a name; `None` when it is not a generation's.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (number, time, head) = (parts.next()?, parts.next()?, parts.next()?);
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let fits = parts.next().is_none()
            && number.len() >= 6
            && digits(number)
            && time.len() == 16
            && head.len() == HEAD_DIGITS
            && hex(head);
        let committed = DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok()?;
        Some(Self {
            number: number.parse().ok().filter(|number| fits && *number > 0)?,
            committed: TimeZone::UTC.to_timestamp(committed).ok()?,
            text: text.to_owned(),
        })
    }

    /// Whether it is the name of the generation with this manifest.
    pub fn is_of(&self, manifest: &[u8]) -> bool {
        self.text
            .ends_with(&crate::hash::sha256(manifest)[..HEAD_DIGITS])
    }
}

impl fmt::Display for GenerationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
