//! The form of data files: `OUTPUT_FORMAT`, `OUTPUT_COMPRESSION` and `OUTPUT_CSV_…`, and what they make of the name `latest`.

/// The format of the published file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// An array, one record a line.
    Json,
    /// One record a line.
    Ndjson,
    /// A table of text, RFC 4180.
    Csv,
}

/// How the published file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// As by `gzip`.
    Gzip,
    /// As by `zstd`.
    Zstd,
}

/// How a csv file is written, whatever its columns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvForm {
    /// `OUTPUT_CSV_FORMULAS`.
    pub formulas: Formulas,
    /// `OUTPUT_CSV_DELIMITER`.
    pub delimiter: Delimiter,
    /// `OUTPUT_CSV_BOM`: a byte order mark stands first.
    pub has_mark: bool,
}

/// What stands between the cells of a csv file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    Comma,
    Semicolon,
    Tab,
}

/// What becomes of text in a csv file that a spreadsheet takes for a formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Formulas {
    /// It is data, and stays as it is.
    Keep,
    /// A `'` stands before it.
    Escape,
}

/// The data files a generation may have, one of them each.
pub const DATA_FILES: [&str; 9] = [
    "latest.json",
    "latest.json.gz",
    "latest.json.zst",
    "latest.ndjson",
    "latest.ndjson.gz",
    "latest.ndjson.zst",
    "latest.csv",
    "latest.csv.gz",
    "latest.csv.zst",
];

/// The records of a generation that is merged from and whose data file does not hold them exactly.
pub const RECORDS_FILE: &str = "records.ndjson";

/// The name of a data file.
pub const fn name(format: OutputFormat, compression: Compression) -> &'static str {
    DATA_FILES[3 * format as usize + compression as usize]
}

/// The format that a file of records has.
pub fn format_of(name: &str) -> OutputFormat {
    if name.starts_with("latest.json") {
        OutputFormat::Json
    } else if name.starts_with("latest.csv") {
        OutputFormat::Csv
    } else {
        OutputFormat::Ndjson
    }
}

/// How a file of this name is compressed.
pub fn compression_of(name: &str) -> Compression {
    match name.rsplit_once('.') {
        Some((_, "gz")) => Compression::Gzip,
        Some((_, "zst")) => Compression::Zstd,
        _ => Compression::None,
    }
}

impl OutputFormat {
    /// The word in settings.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    /// Reads `OUTPUT_FORMAT`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "ndjson" => Ok(Self::Ndjson),
            "csv" => Ok(Self::Csv),
            _ => Err("takes `json`, `ndjson` or `csv`".to_owned()),
        }
    }
}

impl Compression {
    /// Reads `OUTPUT_COMPRESSION`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err("takes `none`, `gzip` or `zstd`".to_owned()),
        }
    }
}

impl Delimiter {
    /// The word in settings and manifests.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Comma => "comma",
            Self::Semicolon => "semicolon",
            Self::Tab => "tab",
        }
    }

    /// It, as it stands in the file.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
        }
    }

    /// Reads `OUTPUT_CSV_DELIMITER`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "comma" | "," => Ok(Self::Comma),
            "semicolon" | ";" => Ok(Self::Semicolon),
            "tab" => Ok(Self::Tab),
            _ => Err("takes `comma`, `semicolon` or `tab`".to_owned()),
        }
    }
}

impl Formulas {
    /// The word in settings and manifests.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Escape => "escape",
        }
    }

    /// Reads `OUTPUT_CSV_FORMULAS`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "keep" => Ok(Self::Keep),
            "escape" => Ok(Self::Escape),
            _ => Err("takes `keep` or `escape`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_format_and_compression() {
        let mut names = Vec::new();
        for format in [OutputFormat::Json, OutputFormat::Ndjson, OutputFormat::Csv] {
            for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
                let name = name(format, compression);
                assert_eq!(
                    (format_of(name), compression_of(name)),
                    (format, compression)
                );
                names.push(name);
            }
        }
        assert_eq!(names, DATA_FILES);
    }
}
