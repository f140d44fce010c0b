//! Which request comes next: given the last answer, the next page's URL or the end. No I/O happens here.
//!
//! A source cannot hold a run for ever: pages are counted, and a request or a page that comes again, or pages that bring
//! nothing new, end the run as broken, never as complete. How one page leads to the next is `next_page`'s business, and getting it
//! is `get`'s.

use std::collections::BTreeSet;

use super::ask::Ask;
use super::next_page::{NextPage, Page, Refusal, Step};
use super::novelty::hash;
use super::page::{Place, Shape};
use super::pagination::Pagination;
use super::watch::{Expect, Join, Seen};
use crate::failure::{Detail, Failure};

/// Pages in a row that bring nothing but records that came before: so many are a circle. Fewer also come of rows put in before
/// small pages while they are read.
const STALE_PAGES: u32 = 10;
/// What is wrong with a page that came before, byte for byte.
const REPEATS: &str = "repeats the content of an earlier page: check SOURCE_PAGINATION and, where the source sends its last page again, SOURCE_PAGE_SIZE, SOURCE_PAGE_MORE or SOURCE_TOTAL";

/// The pages of one run.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one fact of the source or of the page at hand"
)]
pub struct Pages<'s> {
    next: NextPage<'s>,
    number_max: u64,
    /// Pages of the run before the first of these.
    before: u64,
    /// The request for the page at hand.
    ask: Ask,
    /// The one that was likely to come after it.
    foreseen: Option<Ask>,
    /// Another one came than was foreseen: none is from there on.
    is_surprised: bool,
    /// Hashes of the requests made. A run has few enough pages for 64 bits to tell them apart.
    asked: BTreeSet<u64>,
    /// Hashes of the bodies that held records.
    bodies: BTreeSet<u64>,
    number: u64,
    /// Pages in a row without a new record.
    stale: u32,
    /// Pages shifted, and no new record came since: what joins the page before leads to where they are.
    catches_up: bool,
    /// The page at hand is the end that a source tells by what came before.
    is_echo: bool,
    /// Pages shifted, and that was warned of.
    has_shifted: bool,
    warnings: Vec<String>,
}

impl<'s> Pages<'s> {
    /// At most `number_max` pages that begin at `first`. What is to be read of each is added to `shape`. `has_key`: each
    /// record, as it comes, has a key of its own.
    pub fn new(
        pagination: &'s Pagination,
        number_max: u64,
        has_key: bool,
        first: &Ask,
        shape: &mut Shape,
    ) -> Result<Self, Failure> {
        let mut next = NextPage::new(pagination, has_key, shape);
        let ask = next.begin(first)?;
        Ok(Self {
            next,
            number_max,
            before: 0,
            foreseen: None,
            is_surprised: false,
            asked: only(hash_of(&ask)),
            ask,
            bodies: BTreeSet::new(),
            number: 1,
            stale: 0,
            catches_up: false,
            is_echo: false,
            has_shifted: false,
            warnings: Vec::new(),
        })
    }

    /// Counts those that the run had before. `Err`: they are as many as are allowed.
    pub fn count(&mut self, before: u64) -> Result<(), Failure> {
        self.before = before;
        if before >= self.number_max {
            return Err(Failure::protocol(format!(
                "there is more to fetch after {before} pages, but MAX_PAGES is {}: raise it",
                self.number_max
            )));
        }
        Ok(())
    }

    /// Lets the source answer the first request by saying that nothing changed.
    pub fn allow_unchanged(&mut self, conditions: Vec<(String, String)>) {
        self.ask.conditions = conditions;
    }

    /// Begins at `first`, in place of the request that these pages were made for.
    pub fn begin_at(&mut self, first: &Ask) -> Result<(), Failure> {
        self.ask = self.next.begin(first)?;
        self.asked = only(hash_of(&self.ask));
        Ok(())
    }

    /// Goes on to the first page of another window, or begins again. `Err`: there are more pages than allowed.
    pub fn begin_anew(&mut self, first: &Ask) -> Result<(), Failure> {
        if self.before + self.number >= self.number_max {
            return Err(Failure::protocol(format!(
                "the fetch begins anew after page {}, but MAX_PAGES is {}: raise it",
                self.number, self.number_max
            )));
        }
        self.begin_at(first)?;
        self.number += 1;
        self.bodies.clear();
        self.stale = 0;
        self.catches_up = false;
        Ok(())
    }

    /// The number of the page that is asked for, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The request for the page at hand.
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// Up to `most` requests that are likely to come after the one for the page at hand.
    pub fn foreseen(&mut self, most: usize) -> Vec<Ask> {
        let left = self.number_max.saturating_sub(self.before + self.number);
        let most = most.min(usize::try_from(left).unwrap_or(usize::MAX));
        if most == 0 || self.is_surprised {
            return Vec::new();
        }
        let foreseen = self.next.foreseen(&self.ask, most);
        self.foreseen = foreseen.first().cloned();
        foreseen
    }

    /// What the first record of the page at hand must be.
    pub fn expect(&self) -> Expect {
        self.next.expect()
    }

    /// Whether the page at hand may be the one behind the last, which need not have records.
    pub fn may_be_behind(&self) -> bool {
        self.next.may_be_behind()
    }

    /// How many records there are by what the source said, where `passed` are all that these pages had.
    pub fn total_of(&self, passed: u64) -> Option<u64> {
        self.next.total_of(passed)
    }

    /// What the last step gave reason to warn of.
    pub fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Whether the page at hand, the last one, has only records of pages before, and is to be left out.
    pub fn is_echo(&self) -> bool {
        self.is_echo
    }

    /// What it means that the page at hand could not be had: `Ok`, there is none, and the one before it was the last. `Err`:
    /// the failure, with what may help.
    pub fn refused(&mut self, failure: Failure) -> Result<(), Failure> {
        let (Failure::Refused(detail) | Failure::Protocol(detail)) = &failure else {
            return Err(failure);
        };
        let Some(status) = detail.status else {
            return Err(failure);
        };
        let message = &detail.message;
        match self.next.refused(status) {
            Refusal::End => {
                self.warnings.extend(self.next.remark());
                Ok(())
            }
            Refusal::Short(why) => Err(Failure::protocol(format!(
                "{message}; the page before it {why}"
            ))),
            Refusal::Stays(hint) if matches!(failure, Failure::Refused(_)) => {
                Err(Failure::Refused(Detail {
                    message: format!("{message}{hint}"),
                    ..detail.clone()
                }))
            }
            Refusal::Stays(_) => Err(failure),
        }
    }

    /// The page at hand means that there are no records. `Err`: some are missing that were said to be there.
    pub fn end_at_nothing(&self, place: &Place) -> Result<(), Failure> {
        let end = self.next.end_at_nothing();
        end.map_err(|why| Failure::protocol(format!("{place} {why}")))
    }

    /// Goes on to the page after this one; false after the last one. `Err`: the source goes in circles, or has more pages than
    /// allowed, or names something that cannot be followed.
    pub fn go_on(&mut self, page: Page<'_>) -> Result<bool, Failure> {
        let place = page.fetched.place(self.number);
        let broken = |what: String| Failure::protocol(format!("{place} {what}"));
        self.note_shift(page.seen, &place);
        let repeats = || broken(REPEATS.to_owned());
        let body = hash(&page.fetched.answer.body);
        if page.seen.join == Join::Doubled {
            if self.bodies.contains(&body) {
                return Err(repeats());
            }
            return Err(broken(
                "begins with a record of the previous page, which may have had fewer records than a full one: the source counts records that it does not show, and without a key some would be published twice; set PRIMARY_KEY, or SOURCE_PAGE_SIZE to what a full page has".to_owned(),
            ));
        }
        self.is_echo = self.next.is_echo(&self.ask, page);
        if self.is_echo {
            let next = self.next.past_echo(&self.ask, page).map_err(broken)?;
            return next.map_or(Ok(false), |next| self.go_to(next, broken));
        }
        if self.next.names_itself(&self.ask, page) {
            if self.next.is_complete_by(page) {
                return Ok(false);
            }
            return Err(broken(
                "names a next page that was read already: itself; if it is the last one, say where the source tells its end: set SOURCE_PAGE_MORE or SOURCE_TOTAL".to_owned(),
            ));
        }
        let is_lost = page.seen.join == Join::Lost;
        self.catches_up |= is_lost;
        let has_records = !is_lost && page.contents.records > 0;
        // Rows that were put in before a page can bring all of the last one again: three times is the limit then.
        let may_repeat = page.seen.join == Join::Shifted || self.next.may_repeat(page);
        if has_records && !may_repeat && !self.bodies.insert(body) {
            return Err(repeats());
        }
        let next = match self.next.next(&self.ask, page).map_err(broken)? {
            Step::End => {
                self.warnings.extend(self.next.remark());
                return Ok(false);
            }
            Step::On(next) => next,
            Step::Back(next) => {
                // What was asked before is asked again, on purpose.
                self.asked.clear();
                self.bodies.clear();
                next
            }
        };
        if has_records {
            self.count_stale(page.seen);
        }
        if self.stale >= STALE_PAGES {
            return Err(broken(format!(
                "has only records of earlier pages ({STALE_PAGES} such pages in a row): check SOURCE_PAGINATION"
            )));
        }
        self.go_to(next, broken)
    }

    fn go_to(&mut self, next: Ask, broken: impl Fn(String) -> Failure) -> Result<bool, Failure> {
        if !self.asked.insert(hash_of(&next)) {
            return Err(broken("names a next page that was read already".to_owned()));
        }
        if self.before + self.number >= self.number_max {
            return Err(broken(format!(
                "names a next page, but MAX_PAGES is {}: raise it",
                self.number_max
            )));
        }
        self.number += 1;
        self.ask = next;
        self.ask.conditions.clear();
        // A later page that is unchanged would hide those behind it.
        self.ask.is_conditional = false;
        let foreseen = self.foreseen.take();
        self.is_surprised |= foreseen.is_some_and(|foreseen| foreseen != self.ask);
        Ok(true)
    }

    fn count_stale(&mut self, seen: &Seen) {
        self.catches_up = !seen.news && (self.catches_up || seen.join == Join::Shifted);
        let leads_on = self.catches_up && seen.join == Join::Overlap;
        if seen.news {
            self.stale = 0;
        } else if !leads_on && !self.next.reads_again() {
            self.stale += 1;
        }
    }

    fn note_shift(&mut self, seen: &Seen, place: &Place) {
        let what = match seen.join {
            Join::Plain | Join::Overlap | Join::Doubled => return,
            Join::Shifted | Join::Lost => {
                "does not begin with the last record of the previous page; continuing from a known record"
            }
            Join::Repeat => {
                "repeats a record of the previous page; rows deleted meanwhile may hide others until the next full fetch"
            }
        };
        if !std::mem::replace(&mut self.has_shifted, true) {
            self.warnings.push(format!(
                "warn: pages shifted while they were read: {place} {what}"
            ));
        }
    }
}

fn only(hash: u64) -> BTreeSet<u64> {
    let mut set = BTreeSet::new();
    set.insert(hash);
    set
}

fn hash_of(ask: &Ask) -> u64 {
    let body = ask.body.as_deref().unwrap_or_default();
    // A page may be named by a header alone.
    let mut text = format!("{}\n{body}", ask.url);
    for (name, value) in &ask.headers {
        for part in [name, value] {
            text.push('\n');
            text.push_str(part);
        }
    }
    hash(text.as_bytes())
}

#[cfg(test)]
mod tests;
