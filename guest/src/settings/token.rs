//! The cursor that is a token: where it stands in an answer, and what makes no sense beside it.

use super::{Given, is_header_name, not_one_of};
use crate::cursor::{Asking, TOKEN_BYTES_MAX, TokenPage, TokenSettings};
use crate::failure::quoted;
use crate::source::{CURSOR, PageFrom};
use tidegate_json::Pointer;

/// What is said of values that are compared, which a token never is.
pub(super) const OF_VALUES: [&str; 7] = [
    "SOURCE_CURSOR_ZONE",
    "SOURCE_CURSOR_SEND",
    "SOURCE_LOOKBACK",
    "SOURCE_CURSOR_MISSING",
    "SOURCE_CURSOR_ORDER",
    "SOURCE_WINDOW",
    "SOURCE_CURSOR_END_TO",
];

impl Given<'_> {
    /// Whether the cursor is a token.
    pub(super) fn is_token(&self) -> bool {
        self.get("SOURCE_CURSOR_KIND") == Some("token")
    }

    /// The token; `None` where the cursor is another one, or there is none.
    pub(super) fn cursor_token(&mut self, records: Option<&Pointer>) -> Option<TokenSettings> {
        if !self.is_token() || self.get("SOURCE_CURSOR").is_none() {
            return None;
        }
        let from = self.token_from(records);
        let to = self.asking();
        if to == Asking::Nowhere && self.get("SOURCE_CURSOR_TO").is_none() {
            self.wrong(
                "SOURCE_CURSOR_TO",
                format!("is not set, and no `{CURSOR}` stands in SOURCE_API_URL: say what takes the token"),
            );
        }
        for name in OF_VALUES {
            if self.get(name).is_some() {
                self.wrong(
                    name,
                    "means nothing with SOURCE_CURSOR_KIND `token`: remove it",
                );
            }
        }
        let start = self.get("SOURCE_CURSOR_START").map(str::to_owned);
        if start
            .as_ref()
            .is_some_and(|start| start.len() > TOKEN_BYTES_MAX)
        {
            self.wrong(
                "SOURCE_CURSOR_START",
                format!("is longer than {TOKEN_BYTES_MAX} bytes"),
            );
        }
        if to == Asking::Template && start.is_none() {
            self.wrong(
                "SOURCE_CURSOR_START",
                format!("is not set, but `{CURSOR}` needs a value in the first run too"),
            );
        }
        Some(TokenSettings {
            from: from?,
            page: self.token_page()?,
            to,
            start,
        })
    }

    fn token_page(&mut self) -> Option<TokenPage> {
        const NAME: &str = "SOURCE_CURSOR_PAGE";
        match self.get(NAME) {
            Some("first") => Some(TokenPage::First),
            Some("last") => Some(TokenPage::Last),
            Some(other) => {
                self.wrong(NAME, not_one_of(other, &["first", "last"]));
                None
            }
            None => {
                self.wrong(
                    NAME,
                    "is not set: say whether the `first` or the `last` page has the token that the next run sends",
                );
                None
            }
        }
    }

    fn token_from(&mut self, records: Option<&Pointer>) -> Option<PageFrom> {
        const NAME: &str = "SOURCE_CURSOR";
        let text = self.get(NAME)?;
        if let Some(header) = text.strip_prefix("header:") {
            if !is_header_name(header) {
                self.wrong(NAME, format!("{} is not a header's name", quoted(header)));
            }
            return Some(PageFrom::Header(header.to_ascii_lowercase()));
        }
        let pointer = self.kept(NAME, Pointer::parse(text))?;
        match records {
            Some(records) if *records == pointer => self.wrong(
                NAME,
                format!("`{pointer}` is where the records stand (SOURCE_RECORDS)"),
            ),
            None if self.get("SOURCE_RECORDS").is_none() => self.wrong(
                "SOURCE_RECORDS",
                format!("is not set, but the token is read at `{pointer}`: where in the body is the array of records, say `/items`"),
            ),
            _ => {}
        }
        Some(PageFrom::Body(pointer))
    }
}
