//! How a source is paged, as the settings say it.

use std::fmt;

use super::ask::To;
use super::program::Program;
use tidegate_json::{Pointer, quoted};

/// How a source is paged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pagination {
    /// How one page leads to the next.
    pub style: Style,
    /// Whether somebody said so.
    pub is_said: bool,
    /// How many records a page should have.
    pub size: Option<u64>,
    /// What takes `size`.
    pub size_to: Option<To>,
    /// `SOURCE_PAGE_SHORT`: a page of fewer records than `size` is the last one.
    pub short_is_last: bool,
    /// What says whether there are more pages.
    pub more: Option<PageFrom>,
    /// What says how many records there are.
    pub total: Option<PageFrom>,
}

impl Pagination {
    /// Whether it may be a header alone that tells of a next page: then a body that is the same says nothing of it.
    pub fn is_told_by_header(&self) -> bool {
        let in_header = PageFrom::may_be_in_header;
        let named = match &self.style {
            Style::Link => true,
            Style::NextUrl(from) | Style::Token { from, .. } => in_header(from),
            _ => false,
        };
        named || self.more.iter().chain(&self.total).any(in_header)
    }
}

/// How one page leads to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Style {
    /// One page.
    None,
    /// `Link` headers with the relation `next`.
    Link,
    /// The next page's URL stands in the answer.
    NextUrl(PageFrom),
    /// What the answer names, is sent along with the next request.
    Token {
        /// Where the token stands.
        from: PageFrom,
        /// What takes it.
        to: To,
    },
    /// A value of the last record is sent along with the next request.
    LastRecord {
        /// Where in the record it stands.
        from: Pointer,
        /// What takes it.
        to: To,
    },
    /// Pages are numbered.
    Page {
        /// What takes the number.
        to: To,
        /// The number of the first page.
        first: u64,
    },
    /// Pages are asked for by the number of records before them.
    Offset {
        /// What takes the offset.
        to: To,
    },
}

/// Where in an answer a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageFrom {
    /// In the body.
    Body(Pointer),
    /// In the header of this name, in lower case.
    Header(String),
    /// What a jq program makes of the answer.
    Jq(Program),
}

impl PageFrom {
    /// Whether a header, or the status, may change it where the body stays the same.
    pub fn may_be_in_header(&self) -> bool {
        match self {
            Self::Body(_) => false,
            Self::Header(_) => true,
            Self::Jq(program) => program.sees_facts(),
        }
    }
}

impl fmt::Display for PageFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(pointer) => write!(f, "`{pointer}`"),
            Self::Header(name) => write!(f, "header `{name}`"),
            Self::Jq(program) => write!(f, "{}", quoted(program.text())),
        }
    }
}

/// Where in an answer the records are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordsFrom {
    /// At this place of the body.
    Body(Pointer),
    /// What a jq program makes of the answer.
    Jq(Program),
}

impl From<Style> for Pagination {
    fn from(style: Style) -> Self {
        Self {
            is_said: style != Style::None,
            style,
            size: None,
            size_to: None,
            short_is_last: false,
            more: None,
            total: None,
        }
    }
}
