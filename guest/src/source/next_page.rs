//! From one page to the next, style by style: what an answer names becomes the next request, or the end.
//!
//! A page that says that there is more and not where, is broken; so is an end before all came that was said to be there.

use super::address::{URL_BYTES_MAX, resolve_next};
use super::ask::{Ask, Json};
use super::get::Fetched;
use super::link;
use super::named::{Named, token};
use super::page::{Contents, Instead, Shape};
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

/// What a page says of the one behind it, where no answer says whether there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Before {
    /// Nothing: there is no page before the one at hand, or an answer named the one at hand.
    #[default]
    Silent,
    /// It was full, or nothing says how many records a full page has.
    Full,
    /// It had fewer records than a full one.
    Short,
    /// It was full, and by it came exactly as many records as were said to be there.
    Reached(u64),
    /// It had no record, and was asked past.
    Empty,
}

/// A refusal of the page at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such page: the one before it was the last.
    End,
    /// Part of the records is missing; what is wrong.
    Short(String),
    /// It stays a refusal; what may help, or nothing.
    Stays(&'static str),
}

/// A total that ends with three zeros may be where the source stops to count.
const CAPS: u64 = 1000;
/// Sizes at which APIs cap a page.
pub const ROUND_COUNTS: [u64; 8] = [20, 25, 50, 100, 200, 250, 500, 1000];

/// Pages without a record in a row that are asked past while records are missing that were said to be there.
const EMPTY_PAGES_MAX: u32 = 10;
/// The same where only shorter pages in between show that the source filters pages.
const EMPTY_PAGES_UNSAID_MAX: u32 = 2;

/// Goes from page to page.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one fact of the source or of the page at hand"
)]
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
    /// Those of them that had not come before.
    fresh: u64,
    /// The least and the most that any page said to be there.
    totals: Option<(u64, u64)>,
    /// The most records that a page before the one at hand had.
    largest: u64,
    /// What the page before the one at hand gave reason to expect.
    before: Before,
    /// The page before the one at hand says that there is this one.
    is_named: bool,
    /// A page behind a short one had records: the source hides some, and what came cannot be counted against a total.
    hides: bool,
    /// A page had fewer records than another one before it or behind it, and was not the last: the source filters pages.
    filters: bool,
    /// The page before was shorter than one before it.
    was_shorter: bool,
    /// Pages without a record that were asked past in a row.
    empties: u32,
    /// What an offset passed on pages without a record.
    skipped: u64,
    /// A page of an offset had only what came before; or it began with it, where the source hides rows.
    counts_twice: bool,
    /// The page before had only what came before.
    has_echoed: bool,
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
            fresh: 0,
            totals: None,
            largest: 0,
            before: Before::Silent,
            is_named: false,
            hides: false,
            filters: false,
            was_shorter: false,
            empties: 0,
            skipped: 0,
            counts_twice: false,
            has_echoed: false,
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
        self.fresh = 0;
        self.totals = None;
        self.largest = 0;
        self.before = Before::Silent;
        self.is_named = false;
        self.hides = false;
        self.filters = false;
        self.was_shorter = false;
        self.empties = 0;
        self.skipped = 0;
        self.counts_twice = false;
        self.has_echoed = false;
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
            self.before = Before::Silent;
            self.is_named = false;
            return self.back(ask).map(Step::Back);
        }
        let (answer, contents) = (&page.fetched.answer, page.contents);
        self.check_instead(page)?;
        let more = self.more(page)?;
        let total = self
            .total
            .as_ref()
            .map(|total| total.count(answer, contents));
        let total = total.transpose()?.flatten();
        self.count(contents.records, total);
        self.fresh += page.seen.fresh;
        let before = self.judged(contents.records, total);
        let is_overlap = page.seen.join == Join::Overlap;
        self.has_echoed = false;
        self.hides |= self.before == Before::Short && contents.records > u64::from(is_overlap);
        self.counts_twice |= self.hides && page.seen.join == Join::Shifted;
        self.compare(contents.records, is_overlap);

        let next = match &self.pagination.style {
            _ if more == Some(false) => None,
            Style::None => None,
            Style::Link | Style::NextUrl(_) | Style::Token { .. } => self.named(ask, page)?,
            _ if !self.may_go_on(page, more, total, before) => None,
            Style::LastRecord { .. } => self.named(ask, page)?,
            Style::Page { to, .. } => {
                self.position += 1;
                Some(ask.with(to, &self.position.to_string(), Json::Number)?)
            }
            Style::Offset { to } => {
                self.pass(page, before);
                Some(ask.with(to, &self.position.to_string(), Json::Number)?)
            }
        };
        let is_in_answer = matches!(
            self.pagination.style,
            Style::Link | Style::NextUrl(_) | Style::Token { .. }
        );
        self.is_named = is_in_answer || more == Some(true);
        let is_passed = next.is_some() && contents.records == 0 && more.is_none();
        self.before = if is_passed { Before::Empty } else { before };
        self.largest = self.largest.max(contents.records);
        match (next, &self.more) {
            (Some(next), _) if next.url.as_str().len() > URL_BYTES_MAX => {
                Err(format!("leads to a URL of more than {URL_BYTES_MAX} bytes"))
            }
            (Some(next), _) => Ok(Step::On(next)),
            (None, Some(named)) if more == Some(true) => Err(format!(
                "says by {named} that there is more, but not where: check SOURCE_PAGINATION"
            )),
            (None, _) => self.end().map(|()| Step::End),
        }
    }

    /// What stands in place of the array, must fit the pages before it. `Err`: it may be an error that looks like a page.
    fn check_instead(&self, page: Page<'_>) -> Result<(), String> {
        let is_there = |named: &Named<'_>| named.is_there(&page.fetched.answer, page.contents);
        match page.contents.instead {
            Some(Instead::Object) if self.largest > 1 => Err(
                "has an object in place of the array of records that pages before it had; if it is one record, give SOURCE_RECORDS as a jq program, such as `.data`"
                    .to_owned(),
            ),
            Some(Instead::Null)
                if self.is_named && !self.from.iter().chain(&self.more).any(is_there) =>
            {
                Err(
                    "has null in place of the records, although the page before it says that there is this one, and nothing in it says that it is the last; if that means no records, set SOURCE_RECORDS_MISSING=empty"
                        .to_owned(),
                )
            }
            _ => Ok(()),
        }
    }

    /// Compares a page's number of records with those of the pages before it.
    fn compare(&mut self, records: u64, is_overlap: bool) {
        if records == 0 {
            self.empties += 1;
            return;
        }
        let is_first = self.largest == 0;
        let has_more_than_all = !is_first && records > self.largest;
        self.filters |= has_more_than_all || (self.was_shorter && records > u64::from(is_overlap));
        self.was_shorter = !is_first && records < self.largest;
        self.empties = 0;
    }

    /// What the source says of more pages.
    fn more(&self, page: Page<'_>) -> Result<Option<bool>, String> {
        let flag = |more: &Named<'_>| more.flag(&page.fetched.answer, page.contents);
        self.more.as_ref().map(flag).transpose()
    }

    /// The request that `page` itself names, by a URL, a token or its last record; numbers are named by none.
    fn named(&self, ask: &Ask, page: Page<'_>) -> Result<Option<Ask>, String> {
        let (answer, contents) = (&page.fetched.answer, page.contents);
        match &self.pagination.style {
            Style::Link | Style::NextUrl(_) => self.url(ask, page),
            Style::Token { to, .. } => {
                let token = self.from.as_ref().map(|from| from.token(answer, contents));
                let token = token.transpose()?.flatten();
                let next = token.map(|token| ask.with(to, &token.text, token.json));
                next.transpose()
            }
            Style::LastRecord { from, to } => {
                let named = |what| format!("{what} `{from}` (SOURCE_PAGE_FROM)");
                let value = token(page.seen.last.as_deref()).map_err(|what| {
                    named(format!(
                        "has {what}, not a string or an integer, in its last record as"
                    ))
                })?;
                let value = value.ok_or_else(|| named("has a last record without".to_owned()))?;
                ask.with(to, &value.text, value.json).map(Some)
            }
            Style::None | Style::Page { .. } | Style::Offset { .. } => Ok(None),
        }
    }

    /// Whether `page`, which brought nothing new, is the end told in an odd way: it names itself as the page behind it; or its
    /// records are those of pages before although the one before it looked like the last, as where a source answers a number
    /// that is too large by its last page.
    pub fn is_echo(&self, ask: &Ask, page: Page<'_>) -> bool {
        let records = page.contents.records;
        if self.reads_again || records > 0 && page.seen.news || self.more(page) == Ok(Some(true)) {
            return false;
        }
        match &self.pagination.style {
            Style::Page { .. } | Style::Offset { .. } => {
                let joins = matches!(page.seen.join, Join::Plain | Join::Repeat);
                records > 0 && joins && self.looked_like_the_end()
            }
            Style::LastRecord { .. } if records == 0 => false,
            _ => matches!(self.named(ask, page), Ok(Some(next)) if next == *ask),
        }
    }

    /// Whether `page` may be the one before it again: where an offset counts hidden rows, one record that is shown comes twice.
    pub fn may_repeat(&self, page: Page<'_>) -> bool {
        self.overlaps && page.contents.records == 1
    }

    /// The step past `page`, which is an echo. A number further on is asked for once more: rows that were put in meanwhile may
    /// bring a page of known records, too. `None`: it is the end.
    pub fn past_echo(&mut self, ask: &Ask, page: Page<'_>) -> Result<Option<Ask>, String> {
        let is_second = std::mem::replace(&mut self.has_echoed, true);
        self.is_named = false;
        let to = match &self.pagination.style {
            Style::Page { to, .. } if !is_second => {
                self.position += 1;
                to
            }
            Style::Offset { to } if !is_second => {
                self.position += page.contents.records;
                self.counts_twice = true;
                to
            }
            _ => return self.end().map(|()| None),
        };
        ask.with(to, &self.position.to_string(), Json::Number)
            .map(Some)
    }

    /// Whether `page`, which brought new records, names itself as the page behind it.
    pub fn names_itself(&self, ask: &Ask, page: Page<'_>) -> bool {
        matches!(self.more(page), Ok(None | Some(true)))
            && matches!(self.named(ask, page), Ok(Some(next)) if next == *ask)
    }

    /// Whether `page`, which names itself, is the last one all the same: all that was said to be there came by it, or by a last
    /// record it is a short one.
    pub fn is_complete_by(&mut self, page: Page<'_>) -> bool {
        let total = self.total.as_ref();
        let total = total.map(|total| total.count(&page.fetched.answer, page.contents));
        let total = total.and_then(|total| total.ok().flatten());
        self.count(page.contents.records, total);
        if let Style::LastRecord { .. } = self.pagination.style {
            // Asked again it would be the same page, and have nothing new.
            return self.judged(page.contents.records, None) == Before::Short;
        }
        let Some(total) = total else {
            return false;
        };
        self.passed >= total
    }

    /// Whether the page before the one at hand looked like the last one. A first page of as many records as APIs like to send
    /// at most does not.
    fn looked_like_the_end(&self) -> bool {
        match self.before {
            Before::Short => !(self.passed == self.largest && ROUND_COUNTS.contains(&self.largest)),
            Before::Reached(_) => true,
            Before::Silent | Before::Full | Before::Empty => false,
        }
    }

    /// Whether the page at hand may be the one behind the last, which need not have records.
    pub fn may_be_behind(&self) -> bool {
        matches!(
            self.before,
            Before::Short | Before::Reached(_) | Before::Empty
        )
    }

    /// What it means that the source refused the page at hand with `status`.
    pub fn refused(&mut self, status: u16) -> Refusal {
        const HINT: &str = "; if there is no such page, say where the source tells its end: set SOURCE_TOTAL or SOURCE_PAGE_MORE";
        const CAPPED: &str = "; SOURCE_TOTAL is reached, but it may be capped, and the source may refuse to go further: use a pagination without a limit, or set SOURCE_PAGE_MORE";
        let is_end = match (self.before, status) {
            (Before::Silent, _) => return Refusal::Stays(""),
            _ if self.is_named => return Refusal::Stays(""),
            (Before::Reached(total), 400 | 422) if total % CAPS == 0 => {
                return Refusal::Stays(CAPPED);
            }
            (Before::Short | Before::Reached(_) | Before::Empty, 400 | 404 | 416 | 422)
            | (_, 204) => true,
            _ => false,
        };
        if !is_end {
            return Refusal::Stays(HINT);
        }
        match self.end() {
            Ok(()) => Refusal::End,
            Err(why) => Refusal::Short(why),
        }
    }

    /// How many records there are by what the pages said, where `passed` are all that they had. In one of several windows, or
    /// where a total is capped, it would be wrong.
    pub fn total_of(&self, passed: u64) -> Option<u64> {
        let (_, most) = self.totals?;
        (passed == self.passed && passed <= most).then_some(most)
    }

    /// Up to `most` requests that are likely to come after `ask`, the one for the page at hand: pages are numbered or counted,
    /// and the source said how many records there are.
    pub fn foreseen(&self, ask: &Ask, most: usize) -> Vec<Ask> {
        let (Some((_, total)), size) = (self.totals, self.largest) else {
            return Vec::new();
        };
        // By how much a page's number grows, how many records it is further, and how many there are before the page at hand.
        let (to, step, further, first) = match &self.pagination.style {
            Style::Page { to, .. } => (to, 1, size, self.passed),
            Style::Offset { to } => {
                let further = size.saturating_sub(u64::from(self.overlaps));
                (to, further, further, self.position)
            }
            _ => return Vec::new(),
        };
        if further == 0 || self.before == Before::Short {
            return Vec::new();
        }
        // Where all pages are full, the one behind the last is asked for, too.
        let is_there = |nth: &u64| first + (nth - 1) * further + size <= total;
        let numbers = (1_u64..).take_while(is_there).take(most);
        let next = numbers.map(|nth| {
            let number = (self.position + nth * step).to_string();
            ask.with(to, &number, Json::Number)
        });
        next.map_while(Result::ok).collect()
    }

    fn count(&mut self, records: u64, total: Option<u64>) {
        let passed = match self.pagination.style {
            // Rather too few, where pages without a record are read again: too many could hide that some are missing.
            Style::Offset { .. } => (self.position + records).saturating_sub(self.skipped),
            _ => self.passed + records,
        };
        self.reads_again = records > 0 && passed <= self.passed;
        self.passed = self.passed.max(passed);
        // Behind the last record, some sources count nothing; and a source that fell silent says the same.
        let total = total.filter(|total| records > 0 || *total >= self.passed);
        if let Some(total) = total {
            let (least, most) = self.totals.unwrap_or((total, total));
            self.totals = Some((least.min(total), most.max(total)));
        }
    }

    /// What a page of so many records says of the one behind it.
    fn judged(&self, records: u64, total: Option<u64>) -> Before {
        let is_numbered = matches!(
            self.pagination.style,
            Style::LastRecord { .. } | Style::Page { .. } | Style::Offset { .. }
        );
        if !is_numbered || records == 0 {
            return Before::Silent;
        }
        // How many a source sends, it shows by its pages: it may send less than it was asked for.
        let full = match self.largest {
            0 => self.pagination.size.unwrap_or(records),
            largest => largest,
        };
        match total {
            _ if records < full => Before::Short,
            Some(total) if total == self.passed => Before::Reached(total),
            _ => Before::Full,
        }
    }

    /// Whether there may be a page behind this one, where no answer says where it is.
    fn may_go_on(
        &self,
        page: Page<'_>,
        more: Option<bool>,
        total: Option<u64>,
        before: Before,
    ) -> bool {
        let records = page.contents.records;
        let is_step_known = match self.pagination.style {
            Style::Page { .. } => true,
            Style::Offset { .. } => self.pagination.size.is_some(),
            _ => false,
        };
        if records == 0 {
            return is_step_known && (more == Some(true) || self.may_be_a_hole());
        }
        if more == Some(true) || total.is_some_and(|total| self.passed < total) {
            return true;
        }
        if page.seen.join == Join::Overlap && records == 1 {
            return is_step_known && self.may_be_a_hole();
        }
        if self.pagination.short_is_last {
            let is_counted = !matches!(self.pagination.style, Style::LastRecord { .. });
            let is_full = self.pagination.size.is_none_or(|size| records >= size);
            return is_full && !(is_counted && total.is_some());
        }
        // A short page alone is no end: sources cap pages, and filter them. Nor is a total: sources cap that, too; and where rows are
        // hidden, an offset brings some of them twice.
        let is_complete = total.is_some_and(|total| self.passed == total && self.fresh >= total);
        // Of as many records as APIs like to send at most, it may be a count of the page alone.
        let is_round = self.largest == 0 && ROUND_COUNTS.contains(&records);
        before != Before::Short || !is_complete || self.hides || is_round
    }

    /// Whether records may be behind a page without a new one: some of those that were said to be there are missing; or nothing
    /// is said, and the source filters pages.
    fn may_be_a_hole(&self) -> bool {
        match (self.totals, &self.more) {
            (Some((least, _)), _) => {
                let surely_came = if self.counts_some_twice() {
                    self.fresh
                } else {
                    self.passed
                };
                surely_came < least && self.empties <= EMPTY_PAGES_MAX
            }
            // Overlapping pages bring some records twice there, which would look like a circle.
            (None, None) if self.overlaps => false,
            (None, None) => self.filters && self.empties <= EMPTY_PAGES_UNSAID_MAX,
            (None, Some(_)) => false,
        }
    }

    /// Passes the page at hand, but for one record where the next page should overlap it.
    fn pass(&mut self, page: Page<'_>, before: Before) {
        let records = page.contents.records;
        self.page_records = records;
        // A page is known to be full only by its size: what looks like a cap may be as many hidden rows on each page.
        let is_full = self.pagination.size.is_some_and(|size| records >= size);
        let may_be_short = before == Before::Short || !is_full;
        self.expect = if may_be_short && !self.overlaps {
            Expect::Another
        } else {
            Expect::Anything
        };
        self.position += match records {
            0 => {
                let step = self.pagination.size.unwrap_or_default();
                self.skipped += step;
                step
            }
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
        let next = named.map(|named| resolve_next(&page.fetched.url, &named));
        let next = next
            .transpose()
            .map_err(|why| format!("names as next page {why}"))?;
        Ok(next.map(|next| ask.at(next)))
    }

    /// How many records came. By what an offset passed, those count twice that it brought twice because the source hides others
    /// which count there.
    fn came(&self) -> u64 {
        if self.counts_some_twice() {
            self.passed.min(self.fresh + taken_for_known(self.fresh))
        } else {
            self.passed
        }
    }

    fn counts_some_twice(&self) -> bool {
        self.overlaps && (self.filters || self.counts_twice || self.skipped > 0)
    }

    /// The end, if all came that was said to be there. `Err` says what is missing.
    fn end(&self) -> Result<(), String> {
        let Some(named) = &self.total else {
            return Ok(());
        };
        let came = crate::failure::counted(self.came(), "record");
        match self.totals {
            Some((least, _)) if self.came() >= least => Ok(()),
            Some((least, _)) => Err(format!(
                "is the last one, but the run fetched {came} of the {least} in {named}: check SOURCE_PAGINATION"
            )),
            None => Err(format!(
                "is the last one, and no page had a number as {named}"
            )),
        }
    }

    /// The end behind a page that means that there are no records. `Err` says what is missing.
    pub fn end_at_nothing(&self) -> Result<(), String> {
        if self.is_named {
            return Err(
                "means that there are no records, but the page before it says that there is this one"
                    .to_owned(),
            );
        }
        let has_read = self.passed > 0 || self.empties > 0;
        if has_read { self.end() } else { Ok(()) }
    }

    /// What is odd about the total, now that the last page came.
    pub fn remark(&self) -> Option<String> {
        let (named, (_, most)) = (self.total.as_ref()?, self.totals?);
        (self.came() > most).then(|| {
            let came = crate::failure::counted(self.came(), "record");
            format!("warn: the run fetched {came}, more than the {most} in {named}: it is capped, or counts something else")
        })
    }
}

/// How many of so many new records may have been taken for known: none of ten thousand, about 3,000 of a million. See
/// [`Novelty`](super::novelty::Novelty).
fn taken_for_known(new: u64) -> u64 {
    let new = u128::from(new);
    let most = new * new / 1_000_000_000 + new * new * new / 500_000_000_000_000;
    u64::try_from(most).unwrap_or(u64::MAX)
}
