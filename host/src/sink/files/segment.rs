//! Segments: the files of an append job. Each is written once, by the generation of its number, and never again.
//!
//! One whose number is at most `current`'s is committed and stays for good. One above it is what a killed run left:
//! `staging::leftovers` removes it. What is in a segment is `sink`'s business.

use std::fmt;

use crate::folder::Folder;
use crate::outcome::Failure;
use crate::settings::data_file::DATA_FILES;

/// The folder of the segments.
pub const SEGMENTS: &str = "segments";
/// How the name of a data file begins; what follows is its format, and that of a segment.
const LATEST: &str = "latest.";

/// The name of a segment: the number of the generation that committed it, and its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentName {
    pub number: u64,
    file: String,
}

impl SegmentName {
    /// The segment of generation `number`, in the format of the data file of that name.
    pub fn new(number: u64, data_file: &str) -> Self {
        let format = data_file.strip_prefix(LATEST).unwrap_or(data_file);
        Self {
            number,
            file: format!("{number:06}.{format}"),
        }
    }

    /// Reads the name of a file in `segments/`; `None` when it is no segment's.
    pub fn parse(file: &str) -> Option<Self> {
        let (number, format) = file.split_once('.')?;
        let number = number.parse().ok().filter(|number| *number > 0)?;
        let known = DATA_FILES
            .iter()
            .any(|data_file| data_file.strip_prefix(LATEST) == Some(format));
        let name = Self {
            number,
            file: file.to_owned(),
        };
        // As it would be written: `7.ndjson` and `+00007.ndjson` are somebody else's.
        (known && Self::new(number, &format!("{LATEST}{format}")) == name).then_some(name)
    }

    /// Reads the name by which a manifest lists a segment.
    pub fn listed(text: &str) -> Option<Self> {
        Self::parse(text.strip_prefix(SEGMENTS)?.strip_prefix('/')?)
    }

    /// Its name in `segments/`.
    pub fn file(&self) -> &str {
        &self.file
    }
}

/// As a manifest lists it: `segments/000042.ndjson`.
impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SEGMENTS}/{}", self.file)
    }
}

/// The segments there are in the output folder, oldest first; committed, or left over by a crash.
pub fn names(output: &Folder) -> Result<Vec<SegmentName>, Failure> {
    let Some(segments) = output.folder(SEGMENTS)? else {
        return Ok(Vec::new());
    };
    let listed = segments.names(|name| SegmentName::parse(name).is_some())?;
    let mut names: Vec<SegmentName> = listed
        .iter()
        .filter_map(|name| SegmentName::parse(name))
        .collect();
    names.sort_by_key(|name| name.number);
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_written_is_read() {
        let name = SegmentName::new(42, "latest.ndjson");

        assert_eq!(name.to_string(), "segments/000042.ndjson");
        assert_eq!(SegmentName::listed("segments/000042.ndjson"), Some(name));
        assert_eq!(
            SegmentName::parse("1234567.ndjson").map(|name| name.number),
            Some(1_234_567)
        );
    }

    #[test]
    fn what_is_written_otherwise_is_no_segment() {
        for odd in [
            "42.ndjson",
            "0000042.ndjson",
            "+00042.ndjson",
            "000000.ndjson",
            "000042.ndjson.bak",
            "000042.txt",
            "000042",
            ".ndjson",
        ] {
            assert_eq!(SegmentName::parse(odd), None, "{odd}");
        }
        assert_eq!(SegmentName::listed("segments000042.ndjson"), None);
        assert_eq!(SegmentName::listed("segments/../000042.ndjson"), None);
    }
}
