//! Which request comes next: given the last answer, the next page's URL or the end. No I/O happens here.
//!
//! A source cannot hold a run for ever: pages are counted, and a URL or a page that comes again ends the run as broken, never
//! as complete. Getting the page is `get`'s business.

mod address;
mod get;
mod link;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};

use url::Url;

pub use self::address::{URL_BYTES_MAX, resolve, shown, with_parameter};
pub use self::get::{Fetched, Getter};
use crate::failure::Failure;
use crate::page::Contents;
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
    number_max: u64,
    /// Hashes of the URLs asked for. A run has few enough pages for 64 bits to tell them apart.
    urls: BTreeSet<u64>,
    /// Hashes of the bodies that held records.
    bodies: BTreeSet<u64>,
    number: u64,
}

impl<'s> Pages<'s> {
    /// Pages that begin at `first`; at most `pages_max`.
    pub fn new(pagination: &'s Pagination, pages_max: u64, first: &Url) -> Self {
        Self {
            pagination,
            number_max: pages_max,
            urls: BTreeSet::from([hash(first.as_str().as_bytes())]),
            bodies: BTreeSet::new(),
            number: 1,
        }
    }

    /// The number of the page that is asked for, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next page's URL after the page that was `fetched`; `None` after the last one. `Err`: the source goes in circles, or
    /// has more pages than allowed, or names something that cannot be followed.
    pub fn after(
        &mut self,
        fetched: &Fetched,
        contents: &Contents,
    ) -> Result<Option<Url>, Failure> {
        let place = fetched.place(self.number);
        let broken = |what: String| Failure::protocol(format!("{place} {what}"));
        if contents.records > 0 && !self.bodies.insert(hash(&fetched.answer.body)) {
            return Err(broken(
                "repeats the content of an earlier page: look at SOURCE_PAGINATION".to_owned(),
            ));
        }
        let Some(named) = self.named(&fetched.answer, contents).map_err(broken)? else {
            return Ok(None);
        };
        let next = resolve(&fetched.url, &named)
            .map_err(|why| broken(format!("names as next page {why}")))?;
        if !self.urls.insert(hash(next.as_str().as_bytes())) {
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
        Ok(Some(next))
    }

    /// The next URL as the answer names it.
    fn named(&self, answer: &Answer, contents: &Contents) -> Result<Option<String>, String> {
        match self.pagination {
            Pagination::None => Ok(None),
            Pagination::Link => link::next(header(answer, "link"))
                .map_err(|why| format!("has a Link header that cannot be read: {why}")),
            Pagination::NextUrl(PageFrom::Body(_)) => Ok(contents.next.clone()),
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

fn hash(bytes: &[u8]) -> u64 {
    // Keys are fixed, so a source could make two pages collide: it would only fail its own run.
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests;
