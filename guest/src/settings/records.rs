//! What a record is and becomes: its format, what it is held to, its transformation, which are deleted, and which key they have.

use std::collections::BTreeSet;

use tidegate_schema::Schema;

use super::description::{Setting, Staging, optional};
use super::{Given, not_one_of};
use crate::failure::quoted;
use crate::records::{Invalid, RecordSettings, Transform};
use crate::source::Wire;
use crate::source::csv::{self, Csv};
use crate::source::page::Format;
use tidegate_json::Pointer;

/// What `SOURCE_CSV_DELIMITER` may be.
const DELIMITERS: [(&str, u8); 4] = [
    ("comma", b','),
    ("semicolon", b';'),
    ("tab", b'\t'),
    ("pipe", b'|'),
];

/// Pointers of one key.
const KEY_PARTS_MAX: usize = 8;

impl Given<'_> {
    pub(super) fn format(&mut self) -> Format {
        const NAME: &str = "SOURCE_FORMAT";
        match self.get(NAME).unwrap_or("json") {
            "json" | "xml" => Format::Json,
            word @ ("ndjson" | "csv") => {
                if self.get("SOURCE_RECORDS").is_some() {
                    let what = format!(
                        "has no effect with SOURCE_FORMAT `{word}`, where each line is a record: remove it"
                    );
                    self.wrong("SOURCE_RECORDS", what);
                }
                Format::Ndjson
            }
            "object" => Format::Object,
            other => {
                self.wrong(
                    NAME,
                    not_one_of(other, &["json", "ndjson", "object", "csv", "xml"]),
                );
                Format::Json
            }
        }
    }

    /// What bodies are before they are read as JSON.
    pub(super) fn wire(&mut self) -> Wire {
        const DELIMITER: &str = "SOURCE_CSV_DELIMITER";
        const HEADER: &str = "SOURCE_CSV_HEADER";
        if self.get("SOURCE_FORMAT") != Some("csv") {
            for name in [DELIMITER, HEADER] {
                if self.get(name).is_some() {
                    self.wrong(name, "has no effect without SOURCE_FORMAT `csv`");
                }
            }
            return match self.get("SOURCE_FORMAT") {
                Some("xml") => Wire::Xml,
                _ => Wire::Json,
            };
        }
        let word = self.get(DELIMITER).unwrap_or("comma");
        let delimiter = DELIMITERS.iter().find(|(known, _)| *known == word);
        if delimiter.is_none() {
            let words = DELIMITERS.map(|(word, _)| word);
            self.wrong(DELIMITER, not_one_of(word, &words));
        }
        if self.has_parents() {
            self.wrong("SOURCE_FORMAT", "`csv` is not read with SOURCE_EACH_URL");
        }
        let header = self.get(HEADER).map(csv::header);
        Wire::Csv(Csv {
            delimiter: delimiter.map_or(b',', |(_, delimiter)| *delimiter),
            header: header.and_then(|header| self.kept(HEADER, header)),
            needed: self.columns(),
        })
    }

    /// The columns of csv that the settings read in every row.
    fn columns(&self) -> Vec<String> {
        let is_made = self.get("TRANSFORM").is_some();
        let key = self.get("PRIMARY_KEY").filter(|_| !is_made);
        let cursor = self.get("SOURCE_CURSOR");
        let pointers = key.into_iter().flat_map(|key| key.split(',')).chain(cursor);
        let columns = pointers.filter_map(|pointer| pointer.trim().strip_prefix('/'));
        let plain = columns.filter(|column| !column.contains(['/', '~']));
        plain.map(str::to_owned).collect()
    }

    /// All but the key, which is read behind what it depends on.
    pub(super) fn record_settings(&mut self, variables: &[&str]) -> RecordSettings {
        let deleted = self.pointer("SOURCE_DELETED");
        let schema = self
            .get("SOURCE_SCHEMA")
            .and_then(|text| self.kept("SOURCE_SCHEMA", schema(text)));
        let invalid = self.invalid();
        let transform = self
            .get("TRANSFORM")
            .and_then(|text| self.kept("TRANSFORM", Transform::compile(text, variables)));
        let parent = self.pointer("SOURCE_PARENT");
        RecordSettings {
            record_bytes_max: self.record_bytes_max(),
            schema,
            invalid,
            transform: transform.flatten(),
            deleted,
            parent,
            key: Vec::new(),
        }
    }

    fn invalid(&mut self) -> Invalid {
        match self.get("SOURCE_INVALID").unwrap_or("reject") {
            "reject" => Invalid::Reject,
            "fail" => Invalid::Fail,
            other => {
                self.wrong("SOURCE_INVALID", not_one_of(other, &["reject", "fail"]));
                Invalid::Reject
            }
        }
    }

    pub(super) fn key(&mut self, tombstones: bool) -> Vec<Pointer> {
        const NAME: &str = "PRIMARY_KEY";
        let Some(text) = self.get(NAME) else {
            if tombstones {
                self.wrong(
                    NAME,
                    "is not set, but SOURCE_DELETED needs the key of a deleted record, such as `/id`",
                );
            }
            return Vec::new();
        };
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        if parts.len() > KEY_PARTS_MAX {
            self.wrong(NAME, format!("has more than {KEY_PARTS_MAX} parts"));
        }
        let mut seen = BTreeSet::new();
        let mut key = Vec::new();
        for part in parts {
            if part.is_empty() {
                self.wrong(NAME, "has an empty part");
            } else if !seen.insert(part) {
                self.wrong(NAME, format!("names {} twice", quoted(part)));
            } else {
                key.extend(self.kept(NAME, Pointer::parse(part)));
            }
        }
        key
    }
}

fn schema(text: &str) -> Result<Schema, String> {
    if !text.trim_start().starts_with('{') {
        return Err(format!(
            "{} is not a schema, which begins with `{{`: only `tidegate` reads a file here",
            quoted(text)
        ));
    }
    Schema::compile(text)
}

/// The settings of this module, as `describe` tells them.
pub(super) fn described() -> Vec<Setting> {
    vec![
        optional(
            "SOURCE_FORMAT",
            "Format of a body: `json` (an array of records), `ndjson` (one record a line), `object` (one record), `csv` (RFC 4180) or `xml`; in the last two all values are texts. SOURCE_RECORDS says where the array or object is; without it, the body is.",
            "json",
            "ndjson",
        ),
        optional(
            "SOURCE_SCHEMA",
            "JSON Schema (draft 2020-12) that every source record must match: the name of a file, or the schema itself, beginning with `{`.",
            "",
            "/etc/tidegate/order.schema.json",
        ),
        Setting {
            shapes_records: true,
            ..optional(
                "SOURCE_CSV_HEADER",
                "Names of the columns, comma-separated, if no line of the csv names them.",
                "",
                "id,name,amount",
            )
        },
        optional(
            "SOURCE_CSV_DELIMITER",
            "What separates the values of csv: `comma` (the default), `semicolon`, `tab` or `pipe`.",
            "",
            "semicolon",
        ),
        optional(
            "SOURCE_INVALID",
            "What happens to an unusable record: `reject` sets it aside and counts it against MAX_REJECTED, `fail` ends the run.",
            "reject",
            "fail",
        ),
        Setting {
            shapes_records: true,
            ..optional(
                "TRANSFORM",
                "A jq program that makes zero or more records of each source record. Numbers that it does not touch keep their digits.",
                ".",
                "{id, total: .amount}",
            )
        },
        Setting {
            stages: Staging::PARENTS,
            ..optional(
                "SOURCE_PARENT",
                "JSON Pointer in a source record to the value that REPLACE_BY has in the records made from it.",
                "",
                "/id",
            )
        },
        Setting {
            shapes_records: true,
            stages: Staging::DELETIONS,
            ..optional(
                "SOURCE_DELETED",
                "JSON Pointer in a source record to its deletion mark. A record is live if the mark is missing, null, false, 0 or empty.",
                "",
                "/deleted_at",
            )
        },
        optional(
            "PRIMARY_KEY",
            "Key of a record: JSON Pointers, comma-separated.",
            "",
            "/id",
        ),
    ]
}
