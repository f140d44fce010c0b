//! Which request comes next: given the last answer, the next page's URL or the end. No I/O happens here.
//!
//! A source cannot hold a run for ever: pages are counted, and a URL or a page that comes again ends the run as broken, never
//! as complete. Getting the page is `get`'s business.

mod address;
mod ask;
mod body;
mod get;
mod link;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};

pub use self::address::{URL_BYTES_MAX, holds_cursor, resolve, shown, with_parameter};
pub use self::ask::{Ask, Json, To};
pub use self::body::{CURSOR, check as check_place};
pub use self::get::{Fetched, Getter};
use crate::failure::Failure;
use crate::page::{Contents, Shape, leading_text};
use crate::pointer::Pointer;
use crate::ports::Answer;
use crate::retry::header;

/// How a source is paged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pagination {
    /// One page.
    None,
    /// `Link` headers with the relation `next`.
    Link,
    /// The next page's URL stands in the answer.
    NextUrl(PageFrom),
}

/// Where a next URL stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageFrom {
    /// In the body.
    Body(Pointer),
    /// In the header of this name, in lower case.
    Header(String),
}

/// The pages of one run.
#[derive(Debug)]
pub struct Pages<'s> {
    pagination: &'s Pagination,
    /// The slot of the next URL, where that stands in the body.
    next: Option<usize>,
    number_max: u64,
    /// The request for the page at hand.
    ask: Ask,
    /// Hashes of the requests made. A run has few enough pages for 64 bits to tell them apart.
    asked: BTreeSet<u64>,
    /// Hashes of the bodies that held records.
    bodies: BTreeSet<u64>,
    number: u64,
}

impl<'s> Pages<'s> {
    /// Pages that begin at `first`; at most `pages_max`. What is to be read of each is added to `shape`.
    pub fn new(pagination: &'s Pagination, pages_max: u64, first: Ask, shape: &mut Shape) -> Self {
        let next = match pagination {
            Pagination::NextUrl(PageFrom::Body(pointer)) => Some(shape.also(pointer)),
            _ => None,
        };
        Self {
            pagination,
            next,
            number_max: pages_max,
            asked: BTreeSet::from([hash_of(&first)]),
            ask: first,
            bodies: BTreeSet::new(),
            number: 1,
        }
    }

    /// The number of the page that is asked for, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The request for the page at hand.
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// Goes on to the page after the one that was `fetched`; false after the last one. `Err`: the source goes in circles, or
    /// has more pages than allowed, or names something that cannot be followed.
    pub fn go_on(&mut self, fetched: &Fetched, contents: &Contents) -> Result<bool, Failure> {
        let place = fetched.place(self.number);
        let broken = |what: String| Failure::protocol(format!("{place} {what}"));
        if contents.records > 0 && !self.bodies.insert(hash(&fetched.answer.body)) {
            return Err(broken(
                "repeats the content of an earlier page: look at SOURCE_PAGINATION".to_owned(),
            ));
        }
        let Some(named) = self.named(&fetched.answer, contents).map_err(broken)? else {
            return Ok(false);
        };
        let next = resolve(&fetched.url, &named)
            .map_err(|why| broken(format!("names as next page {why}")))?;
        let next = self.ask.at(next);
        if !self.asked.insert(hash_of(&next)) {
            return Err(broken(
                "names as next page one that was read already".to_owned(),
            ));
        }
        if self.number >= self.number_max {
            return Err(broken(format!(
                "names a next page, but MAX_PAGES is {}: raise it",
                self.number_max
            )));
        }
        self.number += 1;
        self.ask = next;
        Ok(true)
    }

    /// The next URL as the answer names it.
    fn named(&self, answer: &Answer, contents: &Contents) -> Result<Option<String>, String> {
        match self.pagination {
            Pagination::None => Ok(None),
            Pagination::Link => link::next(header(answer, "link"))
                .map_err(|why| format!("has a Link header that cannot be read: {why}")),
            Pagination::NextUrl(PageFrom::Body(pointer)) => {
                let next = self.next.and_then(|slot| contents.value(slot));
                leading_text(next).map_err(|what| {
                    format!("has {what} as `{pointer}` (SOURCE_PAGE_FROM), not a URL")
                })
            }
            Pagination::NextUrl(PageFrom::Header(name)) => {
                let value = header(answer, name)
                    .map(<[u8]>::trim_ascii)
                    .find(|value| !value.is_empty());
                value
                    .map(|value| std::str::from_utf8(value).map(str::to_owned))
                    .transpose()
                    .map_err(|_| format!("has a `{name}` header that is no URL"))
            }
        }
    }
}

fn hash_of(ask: &Ask) -> u64 {
    let body = ask.body.as_deref().unwrap_or_default();
    hash(format!("{}\n{body}", ask.url).as_bytes())
}

fn hash(bytes: &[u8]) -> u64 {
    // Keys are fixed, so a source could make two pages collide: it would only fail its own run.
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests;
