//! How a source is paged.

use super::described::{Setting, optional};
use super::{Given, is_header_name, not_one_of};
use crate::failure::quoted;
use crate::fetch::{PageFrom, Pagination};
use crate::pointer::Pointer;

impl Given<'_> {
    pub(super) fn pagination(&mut self, records: Option<&Pointer>) -> Pagination {
        let style = self.get("SOURCE_PAGINATION").unwrap_or("none");
        let from = self.get("SOURCE_PAGE_FROM");
        if from.is_some() && style != "next-url" {
            self.wrong(
                "SOURCE_PAGE_FROM",
                "means nothing without SOURCE_PAGINATION `next-url`: remove it",
            );
        }
        match style {
            "none" => Pagination::None,
            "link" => Pagination::Link,
            "next-url" => self.next_url(from.unwrap_or("/next"), records),
            "token" | "last-record" | "page" | "offset" => {
                self.wrong(
                    "SOURCE_PAGINATION",
                    format!("`{style}` is not yet supported in this version"),
                );
                Pagination::None
            }
            other => {
                self.wrong(
                    "SOURCE_PAGINATION",
                    not_one_of(other, &["none", "link", "next-url"]),
                );
                Pagination::None
            }
        }
    }

    fn next_url(&mut self, from: &str, records: Option<&Pointer>) -> Pagination {
        const NAME: &str = "SOURCE_PAGE_FROM";
        if let Some(header) = from.strip_prefix("header:") {
            if !is_header_name(header) {
                self.wrong(NAME, format!("{} is not a header's name", quoted(header)));
            }
            return Pagination::NextUrl(PageFrom::Header(header.to_ascii_lowercase()));
        }
        let Some(pointer) = self.kept(NAME, Pointer::parse(from)) else {
            return Pagination::None;
        };
        match records {
            Some(records) if *records == pointer => {
                self.wrong(
                    NAME,
                    format!("`{pointer}` is where the records stand (SOURCE_RECORDS)"),
                );
            }
            None if self.get("SOURCE_RECORDS").is_none() => {
                let what = format!(
                    "is not set, but the next URL is read at `{pointer}`: where in the body is the array of records, say `/items`"
                );
                self.wrong("SOURCE_RECORDS", what);
            }
            _ => {}
        }
        Pagination::NextUrl(PageFrom::Body(pointer))
    }
}

/// The settings of this module, as `describe` tells them.
pub(super) fn described() -> Vec<Setting> {
    vec![
        optional(
            "SOURCE_RECORDS",
            "JSON Pointer to the array of records; not needed where the body is the array.",
            "",
            "/data/items",
        ),
        optional(
            "SOURCE_PAGINATION",
            "How pages follow each other: `none`, `link` (a Link header with rel=next) or `next-url`.",
            "none",
            "link",
        ),
        optional(
            "SOURCE_PAGE_FROM",
            "Where the next URL stands, for `next-url`: a JSON Pointer into the body (default /next) or `header:NAME`.",
            "",
            "/links/next",
        ),
    ]
}
