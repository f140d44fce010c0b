//! From one page to the next, style by style: what an answer names becomes the next request, or the end.
//!
//! A page that says that there is more and not where, is broken; so is an end before all came that was said to be there.

use super::address::{URL_BYTES_MAX, resolve};
use super::ask::{Ask, Json};
use super::get::Fetched;
use super::link;
use super::named::{Named, token};
use super::page::{Contents, Shape};
use super::pagination::{Pagination, Style};
use super::watch::{Expect, Join, Seen};
use crate::failure::Failure;
use crate::source::retry::header;

/// How often a run goes back because pages shifted.
const STEPS_BACK_MAX: u32 = 100;

/// What comes after a page.
#[derive(Debug)]
pub enum Step {
    /// Nothing.
    End,
    /// This request.
    On(Ask),
    /// This request, for what was asked before.
    Back(Ask),
}

/// One page, as the next step needs it.
#[derive(Debug, Clone, Copy)]
pub struct Page<'p> {
    /// The answer.
    pub fetched: &'p Fetched,
    /// What stood in it.
    pub contents: &'p Contents,
    /// What was noticed of its records.
    pub seen: &'p Seen,
}

/// Goes from page to page.
#[derive(Debug)]
pub struct NextPage<'s> {
    pagination: &'s Pagination,
    overlaps: bool,
    from: Option<Named<'s>>,
    more: Option<Named<'s>>,
    total: Option<Named<'s>>,
    /// The number or the offset of the page at hand.
    position: u64,
    /// The most records that were passed: where pages were read again, they were passed before.
    passed: u64,
    /// The least that any page said to be there.
    total_least: Option<u64>,
    /// How many records the last page had.
    page_records: u64,
    reads_again: bool,
    went_back: u32,
    expect: Expect,
}

impl<'s> NextPage<'s> {
    /// Goes from page to page by `pagination`. What is to be read of each page is added to `shape`.
    pub fn new(pagination: &'s Pagination, has_key: bool, shape: &mut Shape) -> Self {
        let mut named = |from, setting| Named::new(from, setting, shape);
        Self {
            pagination,
            overlaps: has_key && matches!(pagination.style, Style::Offset { .. }),
            from: match &pagination.style {
                Style::NextUrl(from) | Style::Token { from, .. } => {
                    Some(named(from, "SOURCE_PAGE_FROM"))
                }
                _ => None,
            },
            more: pagination
                .more
                .as_ref()
                .map(|at| named(at, "SOURCE_PAGE_MORE")),
            total: pagination
                .total
                .as_ref()
                .map(|at| named(at, "SOURCE_TOTAL")),
            position: 0,
            passed: 0,
            total_least: None,
            page_records: 0,
            reads_again: false,
            went_back: 0,
            expect: Expect::Anything,
        }
    }

    /// Begins, or begins anew, at `first`, and returns it with what a first request carries.
    pub fn begin(&mut self, first: &Ask) -> Result<Ask, Failure> {
        let pagination = self.pagination;
        let put = |ask: &Ask, setting, to, number: u64| {
            let with = ask.with(to, &number.to_string(), Json::Number);
            with.map_err(|why| Failure::setting(setting, why))
        };
        let mut ask = first.clone();
        if let (Some(to), Some(size)) = (&pagination.size_to, pagination.size) {
            ask = put(&ask, "SOURCE_PAGE_SIZE_TO", to, size)?;
        }
        self.position = 0;
        match &pagination.style {
            Style::Page { to, first } => {
                self.position = *first;
                ask = put(&ask, "SOURCE_PAGE_TO", to, self.position)?;
            }
            Style::Offset { to } => ask = put(&ask, "SOURCE_PAGE_TO", to, 0)?,
            _ => {}
        }
        self.passed = 0;
        self.total_least = None;
        self.page_records = 0;
        self.reads_again = false;
        self.expect = Expect::Anything;
        Ok(ask)
    }

    /// What the first record of the page at hand must be.
    pub fn expect(&self) -> Expect {
        self.expect
    }

    /// Whether the page at hand is one that was passed before.
    pub fn reads_again(&self) -> bool {
        self.reads_again
    }

    /// The step after `page`, which `ask` asked for. `Err` says what is wrong with the page.
    pub fn next(&mut self, ask: &Ask, page: Page<'_>) -> Result<Step, String> {
        if page.seen.join == Join::Lost {
            return self.back(ask).map(Step::Back);
        }
        let (answer, contents) = (&page.fetched.answer, page.contents);
        let more = self.more.as_ref().map(|more| more.flag(answer, contents));
        let more = more.transpose()?;
        let total = self
            .total
            .as_ref()
            .map(|total| total.count(answer, contents));
        let total = total.transpose()?.flatten();
        self.count(contents.records, total);

        let next = match &self.pagination.style {
            _ if more == Some(false) => None,
            Style::None => None,
            Style::Link | Style::NextUrl(_) => self.url(ask, page)?,
            Style::Token { to, .. } => {
                let token = self.from.as_ref().map(|from| from.token(answer, contents));
                let token = token.transpose()?.flatten();
                let next = token.map(|token| ask.with(to, &token.text, token.json));
                next.transpose()?
            }
            _ if !self.may_go_on(page, more, total) => None,
            Style::LastRecord { from, to } => {
                let named = |what| format!("{what} `{from}` (SOURCE_PAGE_FROM)");
                let value = token(page.seen.last.as_deref()).map_err(|what| {
                    named(format!(
                        "has {what}, not a string or an integer, in its last record as"
                    ))
                })?;
                let value = value.ok_or_else(|| named("has a last record without".to_owned()))?;
                Some(ask.with(to, &value.text, value.json)?)
            }
            Style::Page { to, .. } => {
                self.position += 1;
                Some(ask.with(to, &self.position.to_string(), Json::Number)?)
            }
            Style::Offset { to } => {
                self.pass(page);
                Some(ask.with(to, &self.position.to_string(), Json::Number)?)
            }
        };
        match (next, &self.more) {
            (Some(next), _) if next.url.as_str().len() > URL_BYTES_MAX => {
                Err(format!("leads to a URL of more than {URL_BYTES_MAX} bytes"))
            }
            (Some(next), _) => Ok(Step::On(next)),
            (None, Some(named)) if more == Some(true) => Err(format!(
                "says by {named} that there is more, but not where: check SOURCE_PAGINATION"
            )),
            (None, _) => self.end(),
        }
    }

    fn count(&mut self, records: u64, total: Option<u64>) {
        let passed = match self.pagination.style {
            Style::Offset { .. } => self.position + records,
            _ => self.passed + records,
        };
        self.reads_again = records > 0 && passed <= self.passed;
        self.passed = self.passed.max(passed);
        let totals = self.total_least.into_iter().chain(total);
        self.total_least = totals.min();
    }

    /// Whether there may be a page behind this one, where no answer says where it is.
    fn may_go_on(&self, page: Page<'_>, more: Option<bool>, total: Option<u64>) -> bool {
        let records = page.contents.records;
        let is_counted = !matches!(self.pagination.style, Style::LastRecord { .. });
        let is_step_known = match self.pagination.style {
            Style::Page { .. } => true,
            Style::Offset { .. } => self.pagination.size.is_some(),
            _ => false,
        };
        let has_more = more == Some(true) || total.is_some_and(|total| self.passed < total);
        if records == 0 {
            return more == Some(true) && is_step_known;
        }
        if has_more {
            return true;
        }
        if is_counted && total.is_some() || page.seen.join == Join::Overlap && records == 1 {
            return false;
        }
        // Only where nothing says it better: a source may send less than it was asked for.
        self.pagination.size.is_none_or(|size| records >= size)
    }

    /// Passes the page at hand, but for one record where the next page should overlap it.
    fn pass(&mut self, page: Page<'_>) {
        let records = page.contents.records;
        self.page_records = records;
        self.expect = Expect::Anything;
        self.position += match records {
            0 => self.pagination.size.unwrap_or_default(),
            1 => 1,
            _ if self.overlaps => {
                self.expect = Expect::Last;
                records - 1
            }
            _ => records,
        };
    }

    /// Goes back to what was passed: rows moved, and the page at hand does not join it.
    fn back(&mut self, ask: &Ask) -> Result<Ask, String> {
        let Style::Offset { to } = &self.pagination.style else {
            return Err("does not continue the previous page".to_owned());
        };
        self.went_back += 1;
        if self.went_back > STEPS_BACK_MAX {
            return Err(format!(
                "shifted again, after going back {STEPS_BACK_MAX} times: the source changes too fast for `offset`; use SOURCE_PAGINATION `token` or `last-record` if it supports them"
            ));
        }
        self.position = self.position.saturating_sub(self.page_records.max(1));
        self.expect = match self.position {
            0 => Expect::Again,
            _ => Expect::Known,
        };
        ask.with(to, &self.position.to_string(), Json::Number)
    }

    /// The request that the answer names by its URL.
    fn url(&self, ask: &Ask, page: Page<'_>) -> Result<Option<Ask>, String> {
        let answer = &page.fetched.answer;
        let named = match &self.from {
            Some(from) => from.url(answer, page.contents)?,
            None => link::next(header(answer, "link"))
                .map_err(|why| format!("has a Link header that cannot be read: {why}"))?,
        };
        let next = named.map(|named| resolve(&page.fetched.url, &named));
        let next = next
            .transpose()
            .map_err(|why| format!("names as next page {why}"))?;
        Ok(next.map(|next| ask.at(next)))
    }

    /// The end, if all came that was said to be there.
    fn end(&self) -> Result<Step, String> {
        let Some(named) = &self.total else {
            return Ok(Step::End);
        };
        let came = crate::failure::counted(self.passed, "record");
        match self.total_least {
            Some(total) if self.passed >= total => Ok(Step::End),
            Some(total) => Err(format!(
                "is the last one, but the run fetched {came} of the {total} in {named}: check SOURCE_PAGINATION"
            )),
            None => Err(format!(
                "is the last one, and no page had a number as {named}"
            )),
        }
    }
}
