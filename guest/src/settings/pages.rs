//! How a source is paged.

use super::description::{Setting, optional};
use super::{Given, is_header_name, not_one_of};
use crate::failure::quoted;
use crate::source::{PageFrom, Pagination, Program, RecordsFrom, Style, To};
use tidegate_json::Pointer;

/// The largest `SOURCE_PAGE_SIZE`.
const SIZE_MAX: u64 = 1_000_000;
/// The styles, in the order in which they are described.
const STYLES: [&str; 7] = [
    "none",
    "link",
    "next-url",
    "token",
    "last-record",
    "page",
    "offset",
];

/// What a short page may be.
const SHORT: [&str; 2] = ["ask", "last"];

impl Given<'_> {
    /// Where the records are.
    pub(super) fn records(&mut self) -> Option<RecordsFrom> {
        const NAME: &str = "SOURCE_RECORDS";
        let text = self.get(NAME)?;
        if text.starts_with('/') {
            return self.pointer(NAME).map(RecordsFrom::Body);
        }
        if text.starts_with("header:") {
            self.wrong(
                NAME,
                "is a header, which has no records: give a JSON Pointer, such as `/items`",
            );
            return None;
        }
        if self.get("SOURCE_FORMAT") == Some("object") {
            self.wrong(
                "SOURCE_FORMAT",
                "`object` has no effect where SOURCE_RECORDS is a jq program, of which an object is one record: remove it",
            );
        }
        self.kept(NAME, Program::compile(text)).map(RecordsFrom::Jq)
    }

    pub(super) fn missing_is_empty(&mut self) -> bool {
        const NAME: &str = "SOURCE_RECORDS_MISSING";
        const WORDS: [&str; 2] = ["fail", "empty"];
        let Some(word) = self.get(NAME) else {
            return false;
        };
        if !WORDS.contains(&word) {
            self.wrong(NAME, not_one_of(word, &WORDS));
        }
        let is_empty = word == WORDS[1];
        if is_empty && self.get("SOURCE_RECORDS").is_none() {
            self.wrong(
                NAME,
                "`empty` has an effect only where SOURCE_RECORDS is set: remove it",
            );
        }
        is_empty
    }

    pub(super) fn pagination(&mut self, records: Option<&RecordsFrom>) -> Pagination {
        let style = self.style(records);
        let size = self
            .get("SOURCE_PAGE_SIZE")
            .map(|_| self.number("SOURCE_PAGE_SIZE", 1, 1..=SIZE_MAX));
        let size_to = self.to("SOURCE_PAGE_SIZE_TO");
        if self.get("SOURCE_PAGE_SIZE_TO").is_some() && size.is_none() {
            self.wrong(
                "SOURCE_PAGE_SIZE",
                "is not set, but SOURCE_PAGE_SIZE_TO sends it: give the number of records per page, such as 100",
            );
        }
        let short_is_last = self.short_is_last(&style);
        let pagination = Pagination {
            size,
            size_to,
            short_is_last,
            is_said: self.get("SOURCE_PAGINATION").is_some(),
            more: self.page_from("SOURCE_PAGE_MORE", records),
            total: self.page_from("SOURCE_TOTAL", records),
            style,
        };
        self.refuse_same_places(&pagination);
        if let Some(RecordsFrom::Jq(_)) = records {
            self.refuse_counting(&pagination);
        }
        pagination
    }

    /// How many records a program makes of a page, is not how many rows the source sent: it may leave some out, or make several
    /// of one.
    fn refuse_counting(&mut self, pagination: &Pagination) {
        const WHY: &str = "SOURCE_RECORDS is a jq program, which may make more or fewer records than the source sent";
        if let Style::Offset { .. } = pagination.style {
            self.wrong(
                "SOURCE_PAGINATION",
                format!("`offset` counts records, but {WHY}: give a JSON Pointer as SOURCE_RECORDS and leave records out by TRANSFORM, or use `token` where the source names the next offset"),
            );
        }
        let is_counted = matches!(
            pagination.style,
            Style::Page { .. } | Style::LastRecord { .. }
        );
        if pagination.short_is_last {
            self.wrong(
                "SOURCE_PAGE_SHORT",
                format!("`last` counts records, but {WHY}: set SOURCE_PAGE_MORE in its place"),
            );
        } else if is_counted && self.get("SOURCE_PAGE_MORE").is_none() {
            self.wrong(
                "SOURCE_PAGE_MORE",
                format!("is not set, but {WHY}, so that a page without records need not be the last: say where the source tells whether there are more pages, or give a JSON Pointer as SOURCE_RECORDS"),
            );
        }
    }

    fn short_is_last(&mut self, style: &Style) -> bool {
        const NAME: &str = "SOURCE_PAGE_SHORT";
        let word = self.get(NAME).unwrap_or(SHORT[0]);
        if !SHORT.contains(&word) {
            self.wrong(NAME, not_one_of(word, &SHORT));
        }
        let is_last = word == SHORT[1];
        let is_counted = matches!(
            style,
            Style::LastRecord { .. } | Style::Page { .. } | Style::Offset { .. }
        );
        if is_last && !is_counted {
            self.wrong(
                NAME,
                "`last` has an effect only with SOURCE_PAGINATION `last-record`, `page` and `offset`: remove it",
            );
        } else if is_last && self.get("SOURCE_PAGE_SIZE").is_none() {
            self.wrong(
                "SOURCE_PAGE_SIZE",
                "is not set, but SOURCE_PAGE_SHORT `last` needs it: give the number of records on a full page, such as 100",
            );
        }
        is_last
    }

    fn style(&mut self, records: Option<&RecordsFrom>) -> Style {
        let style = self.get("SOURCE_PAGINATION").unwrap_or("none");
        if !STYLES.contains(&style) {
            self.wrong("SOURCE_PAGINATION", not_one_of(style, &STYLES));
            return Style::None;
        }
        self.refuse_unused(style);
        let read = match style {
            "link" => Some(Style::Link),
            "next-url" if self.get("SOURCE_PAGE_FROM").is_none() => {
                let from = Pointer::parse("/next").map(PageFrom::Body);
                let from = self.kept("SOURCE_PAGE_FROM", from);
                self.needs_records("SOURCE_PAGE_FROM", "/next", records);
                from.map(Style::NextUrl)
            }
            "next-url" => self
                .page_from("SOURCE_PAGE_FROM", records)
                .map(Style::NextUrl),
            "token" => self.page_token(records),
            "last-record" => self.last_record(),
            "page" => {
                let to = self.place_or("page");
                let first = self.number("SOURCE_PAGE_FIRST", 1, 0..=1_000_000);
                to.map(|to| Style::Page { to, first })
            }
            "offset" => self.place_or("offset").map(|to| Style::Offset { to }),
            _ => Some(Style::None),
        };
        read.unwrap_or(Style::None)
    }

    fn page_token(&mut self, records: Option<&RecordsFrom>) -> Option<Style> {
        self.require(
            "SOURCE_PAGE_FROM",
            "is not set: give the place of the next token in an answer, such as `/next_cursor` or `header:X-Next`",
        );
        self.require(
            "SOURCE_PAGE_TO",
            "is not set: name the query parameter that takes the token, its place in SOURCE_BODY, or a header (`header:NAME`)",
        );
        let from = self.page_from("SOURCE_PAGE_FROM", records);
        let to = self.to("SOURCE_PAGE_TO");
        Some(Style::Token {
            from: from?,
            to: to?,
        })
    }

    fn last_record(&mut self) -> Option<Style> {
        self.require(
            "SOURCE_PAGE_FROM",
            "is not set: give the value of the last record that leads to the next page, such as `/id`",
        );
        self.require(
            "SOURCE_PAGE_TO",
            "is not set: name the query parameter that takes the last record's value, such as `starting_after`, or its place in SOURCE_BODY",
        );
        let from = self.pointer("SOURCE_PAGE_FROM");
        let to = self.to("SOURCE_PAGE_TO");
        Some(Style::LastRecord {
            from: from?,
            to: to?,
        })
    }

    fn place_or(&mut self, name: &str) -> Option<To> {
        match self.get("SOURCE_PAGE_TO") {
            Some(_) => self.to("SOURCE_PAGE_TO"),
            None => Some(To::Query(name.to_owned())),
        }
    }

    fn require(&mut self, name: &str, message: &str) {
        if self.get(name).is_none() {
            self.wrong(name, message);
        }
    }

    /// What a style does not read is a misunderstanding.
    fn refuse_unused(&mut self, style: &str) {
        let used: &[&str] = match style {
            "none" | "link" => &[],
            "next-url" => &["SOURCE_PAGE_FROM"],
            "token" | "last-record" => &["SOURCE_PAGE_FROM", "SOURCE_PAGE_TO"],
            "page" => &["SOURCE_PAGE_TO", "SOURCE_PAGE_FIRST"],
            _ => &["SOURCE_PAGE_TO"],
        };
        for name in ["SOURCE_PAGE_FROM", "SOURCE_PAGE_TO", "SOURCE_PAGE_FIRST"] {
            if self.get(name).is_some() && !used.contains(&name) {
                let what = format!("has no effect with SOURCE_PAGINATION `{style}`: remove it");
                self.wrong(name, what);
            }
        }
    }

    /// Where the setting `name` says that a value stands in an answer.
    pub(super) fn page_from(
        &mut self,
        name: &str,
        records: Option<&RecordsFrom>,
    ) -> Option<PageFrom> {
        let text = self.get(name)?;
        if let Some(header) = text.strip_prefix("header:") {
            if !is_header_name(header) {
                self.wrong(name, format!("{} is not a header's name", quoted(header)));
            }
            return Some(PageFrom::Header(header.to_ascii_lowercase()));
        }
        if !text.starts_with('/') {
            if self.get("SOURCE_FORMAT") == Some("ndjson") {
                self.wrong(
                    name,
                    "is a jq program, but with SOURCE_FORMAT `ndjson` there is no body to ask: give a header, such as `header:X-Next`",
                );
            }
            return self.kept(name, Program::compile(text)).map(PageFrom::Jq);
        }
        let pointer = self.kept(name, Pointer::parse(text))?;
        self.needs_records(name, text, records);
        Some(PageFrom::Body(pointer))
    }

    /// A body that has more in it than records is no array, and the records stand somewhere else.
    fn needs_records(&mut self, name: &str, text: &str, records: Option<&RecordsFrom>) {
        match records {
            Some(RecordsFrom::Body(records)) if records.text() == text => {
                let what = format!("`{text}` is where the records are (SOURCE_RECORDS)");
                self.wrong(name, what);
            }
            None if matches!(self.get("SOURCE_FORMAT"), Some("ndjson" | "csv")) => {
                let format = self.get("SOURCE_FORMAT").unwrap_or_default();
                self.wrong(
                    name,
                    format!("`{text}` points into the body, which with SOURCE_FORMAT `{format}` holds only records"),
                );
            }
            None if self.get("SOURCE_FORMAT") == Some("object") => {}
            None if self.get("SOURCE_RECORDS").is_none() && !self.has_problem("SOURCE_RECORDS") => {
                let what = format!(
                    "is not set, but {name} reads `{text}` in the body: give the place of the array of records, such as `/items`"
                );
                self.wrong("SOURCE_RECORDS", what);
            }
            _ => {}
        }
    }

    /// Two values cannot stand in one place of a request.
    fn refuse_same_places(&mut self, pagination: &Pagination) {
        let to = match &pagination.style {
            Style::Token { to, .. }
            | Style::LastRecord { to, .. }
            | Style::Page { to, .. }
            | Style::Offset { to } => Some(to),
            Style::None | Style::Link | Style::NextUrl(_) => None,
        };
        let size_to = pagination.size_to.as_ref();
        if to.is_some() && to == size_to {
            self.wrong(
                "SOURCE_PAGE_SIZE_TO",
                "is the same as SOURCE_PAGE_TO: each needs its own place",
            );
        }
        let cursor_to = self.place("SOURCE_CURSOR_TO");
        let cursor_to = cursor_to.filter(|_| !self.has_parents());
        for (name, to) in [("SOURCE_PAGE_TO", to), ("SOURCE_PAGE_SIZE_TO", size_to)] {
            // A sync token may well be sent where the page's is: the first request has the one, the others have the other.
            let is_one_token = name == "SOURCE_PAGE_TO"
                && matches!(pagination.style, Style::Token { .. })
                && self.is_token();
            if cursor_to.is_some() && to == cursor_to.as_ref() && !is_one_token {
                self.wrong(
                    name,
                    "is the same as SOURCE_CURSOR_TO: each needs its own place",
                );
            }
        }
    }
}

/// The settings of this module, as `describe` tells them.
pub(super) fn described() -> Vec<Setting> {
    vec![
        Setting {
            shapes_records: true,
            ..optional(
                "SOURCE_RECORDS",
                "Where the array of records is: a JSON Pointer, or a jq program that makes the records of the body. Not needed if the body is the array. Null at the pointer is an empty page.",
                "",
                "/data/items",
            )
        },
        optional(
            "SOURCE_RECORDS_MISSING",
            "What a page without the place of SOURCE_RECORDS means, or null as an output of its program: `fail` ends the run, `empty` is a page without records.",
            "fail",
            "empty",
        ),
        optional(
            "SOURCE_PAGINATION",
            "How the next page is found: `none` (one answer is everything; the default, which also looks for signs of more), `link` (Link header with rel=next), `next-url`, `token`, `last-record` (a value of the last record), `page` (a number) or `offset`. With `page`, rows deleted during a run may hide others until the next full fetch. With `offset` and PRIMARY_KEY, pages overlap by one record, so that shifts are detected.",
            "",
            "link",
        ),
        optional(
            "SOURCE_PAGE_FROM",
            "Where the next URL (default `/next`) or token is: a JSON Pointer into the body, `header:NAME` or a jq program. For `last-record`: a JSON Pointer into the record.",
            "",
            "/links/next",
        ),
        optional(
            "SOURCE_PAGE_TO",
            "Where the token, last record's value, page number (default `page`) or offset (default `offset`) is sent: a query parameter, a JSON Pointer into SOURCE_BODY, `form:FIELD` or `header:NAME`.",
            "",
            "starting_after",
        ),
        optional(
            "SOURCE_PAGE_SIZE_TO",
            "Where the page size is sent: a query parameter, a JSON Pointer into SOURCE_BODY, `form:FIELD` or `header:NAME`.",
            "",
            "limit",
        ),
        optional(
            "SOURCE_PAGE_SIZE",
            "Records per page, as requested. The source may send fewer.",
            "",
            "100",
        ),
        optional(
            "SOURCE_PAGE_SHORT",
            "What a page with fewer records than SOURCE_PAGE_SIZE means with `last-record`, `page` and `offset`: `ask` (request the next page, which costs one request per run) or `last` (it is the last page). Use `last` only if the source never caps the page size and never filters a page.",
            "ask",
            "last",
        ),
        optional(
            "SOURCE_PAGE_FIRST",
            "Number of the first page, for `page` (default 1).",
            "",
            "0",
        ),
        optional(
            "SOURCE_PAGE_MORE",
            "Where the source says whether there are more pages (true or false): a JSON Pointer into the body, `header:NAME` or a jq program, such as `(.page | tonumber) < (.pages | tonumber)`.",
            "",
            "/has_more",
        ),
        optional(
            "SOURCE_TOTAL",
            "Where the total record count is: a JSON Pointer into the body, `header:NAME` or a jq program. A string, and `Content-Range: items 0-24/319`, are understood. A run that fetches fewer records fails; more records are fetched all the same, with a warning. Reached by a page that is not full, it ends `last-record`, `page` and `offset`.",
            "",
            "/total",
        ),
    ]
}
