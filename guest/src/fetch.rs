//! One fetch: page after page, window after window, until all that was asked for is staged.
//!
//! Which page comes next is `source`'s business, what becomes of its records `records`', and what the run makes of it `lib.rs`'s.

use jiff::Timestamp;

use crate::cursor::{Cursor, Position, Token};
use crate::failure::{Detail, Failure, counted};
use crate::portion::Portion;
use crate::ports::{Clock, Http, Staging};
use crate::records::{Read, Stager};
use crate::settings::Settings;
use crate::source::page::Place;
use crate::source::signs::{self, Sign};
use crate::source::{Clocks, Fetched, Getter, Page, Pages, Validators, shown};
use crate::state::State;
use crate::{Extent, Report, at, freshness};

/// Where a fetch is at the end of its pages.
enum End {
    /// Behind the last one, which is there.
    Window(Place),
    /// Between two of them, the first of which is there: what was read is a portion.
    Portion(Place),
}

/// The fetch of one run: its pages, one window after the other where there are several.
pub struct Fetch<'f, H, C, S> {
    pub settings: &'f Settings,
    pub getter: Getter<'f, H, C>,
    pub pages: Pages<'f>,
    pub stager: Stager<'f, S>,
    pub token: Option<Token<'f>>,
    /// The source's clock at the start of the run, as far as it is known and believed.
    pub now: Timestamp,
    /// The fingerprint of the settings.
    pub shaping: String,
    /// What the first answer said, while it is all that was fetched.
    pub validators: Option<Validators>,
    /// When it ends early: with its first window, or between two pages. `None`: it is one piece.
    pub portion: Option<Portion>,
    /// When it began, by the monotonic clock.
    pub began_ns: u64,
    /// Whether no run of the job was published before.
    pub is_first: bool,
    /// Whether the run warned of records that it may not have asked for.
    pub has_warned: bool,
}

impl<H: Http, C: Clock, S: Staging> Fetch<'_, H, C, S> {
    /// Stages every page. `Ok(None)`: the source said that nothing changed.
    pub fn all(mut self) -> Result<Option<Report>, Failure> {
        loop {
            let place = match self.window()? {
                None => return Ok(None),
                Some(End::Portion(place)) => return self.report(&place, true).map(Some),
                Some(End::Window(place)) => place,
            };
            let is_done = match self.stager.cursor() {
                Some(cursor) if cursor.has_next() && self.portion.is_none() => {
                    cursor.go_on(self.now)?;
                    let first = self.settings.first_ask(Some(cursor), None)?;
                    self.pages.begin_anew(&first)?;
                    self.stager.window_begins();
                    false
                }
                _ => true,
            };
            if is_done {
                self.check()?;
                return self.report(&place, false).map(Some);
            }
        }
    }

    /// Finds out what it means where no record came from the cursor on. `Err`: the source answers as if nothing changed, and
    /// always would.
    fn check(&mut self) -> Result<(), Failure> {
        let fetched = self.stager.fetched();
        let Some(cursor) = self.stager.cursor() else {
            return Ok(());
        };
        if cursor.is_unanswered(fetched)
            && let Some(newest) = freshness::check(self.settings, cursor, &mut self.getter)?
        {
            cursor.knows(newest);
        }
        Ok(())
    }

    /// Stages the pages of one window, and says where it ends. `Ok(None)`: the source said that nothing changed.
    fn window(&mut self) -> Result<Option<End>, Failure> {
        let mut last = None;
        loop {
            let page = self.pages.number();
            let fetched = match self.getter.get(self.pages.ask(), page) {
                Ok(fetched) => fetched,
                Err(failure) => return self.ended_by(failure, last).map(Some),
            };
            let answer = &fetched.answer;
            if page == 1 {
                let clocks = self.getter.clocks();
                self.now = clocks.map_or(self.now, |clocks| at(clocks.limit()));
                self.validators = Validators::of(answer, self.pages.ask(), &self.shaping);
            }
            if answer.status == 304 {
                self.log("page 1: not modified");
                return Ok(None);
            }
            let place = fetched.place(page);
            let expected = (self.pages.expect(), self.pages.absence());
            let read = self.stager.read(&answer.body, &place, expected)?;
            self.looks_for_more(&fetched, &read, &place)?;
            if self.begins_again()? {
                self.stager.reads_again(read, &place)?;
                continue;
            }
            let records = counted(read.contents.records, "record");
            let goes_on = self.goes_on(&fetched, &read, &place);
            let is_portion = self.ends_portion(matches!(goes_on, Ok(true)));
            if let (Ok(true), false) = (&goes_on, is_portion) {
                // It travels while the records of this page are worked on.
                self.getter.begin(self.pages.ask());
            }
            if self.pages.is_echo() {
                self.stager.leave_out(read, &place)?;
            } else {
                self.stager.stage(read, &place)?;
            }
            let so_far = self.so_far();
            self.log(&format!("debug: page {page}: {records}; {so_far}"));
            let goes_on = goes_on?;
            for warning in self.pages.warnings() {
                self.log(&warning);
            }
            if is_portion {
                return Ok(Some(End::Portion(place)));
            }
            if !goes_on {
                return Ok(Some(End::Window(place)));
            }
            last = Some(place);
        }
    }

    /// Begins again at an earlier value, if the page at hand shows that records of the cursor may be missing.
    fn begins_again(&mut self) -> Result<bool, Failure> {
        let Some(cursor) = self.stager.cursor() else {
            return Ok(false);
        };
        if !cursor.begins_again()? {
            return Ok(false);
        }
        let first = self.settings.first_ask(Some(cursor), None)?;
        self.pages.begin_anew(&first)?;
        self.stager.window_begins();
        Ok(true)
    }

    /// Whether the portion ends behind the page at hand, after which there is another.
    fn ends_portion(&mut self, goes_on: bool) -> bool {
        let Some(portion) = &mut self.portion else {
            return false;
        };
        let cursor = self.stager.cursor();
        let can_end = goes_on && cursor.is_some_and(|cursor| cursor.can_pause(self.now));
        portion.page_ends(can_end, self.getter.clock().monotonic_ns())
    }

    /// Looks for a sign that there is more than this answer, where nobody said how the source is paged. `Err`: there is, and
    /// nothing was published so far.
    fn looks_for_more(
        &mut self,
        fetched: &Fetched,
        read: &Read<'_>,
        place: &Place,
    ) -> Result<(), Failure> {
        if self.settings.pagination.is_said {
            return Ok(());
        }
        let Some(sign) = self.settings.sign_of_more(fetched, read) else {
            return Ok(());
        };
        match sign {
            Sign::Strong(what) if self.is_first => Err(signs::not_all(place, &what)),
            Sign::Strong(what) | Sign::Weak(what) => {
                if !std::mem::replace(&mut self.has_warned, true) {
                    self.log(&format!(
                        "warn: {place} may not be all there is: {what}; set SOURCE_PAGINATION, or SOURCE_PAGINATION=none if it is everything"
                    ));
                }
                Ok(())
            }
        }
    }

    /// Where the fetch ends with this failure: behind the last page, if the source says by a refusal that there are no more; or
    /// between the page at `last` and the one that could not be had. What was read is kept then, and whoever goes on there meets
    /// the failure again, if it lasts.
    fn ended_by(&mut self, failure: Failure, last: Option<Place>) -> Result<End, Failure> {
        let failure = match &self.token {
            Some(token) => token.explained(failure),
            None => failure,
        };
        if let Err(failure) = self.pages.refused(failure) {
            let can_end = self.portion.as_ref().is_some_and(|portion| portion.can_end);
            let Some(last) = last.filter(|_| can_end) else {
                return Err(self.with_a_way_on(failure));
            };
            self.log(&format!(
                "warn: {failure}; what came before is committed, and the fetch goes on from there"
            ));
            return Ok(End::Portion(last));
        }
        let page = self.pages.number();
        self.log(&format!("debug: page {page}: there is none"));
        for warning in self.pages.warnings() {
            self.log(&warning);
        }
        let url = shown(&self.pages.ask().url);
        Ok(End::Window(Place {
            page,
            url,
            content_type: None,
        }))
    }

    /// The failure, with the settings that keep what came before it, where a first load begins at zero again.
    fn with_a_way_on(&self, failure: Failure) -> Failure {
        let is_long = self.portion.is_some() && self.is_first && self.pages.number() > 1;
        let can_help = is_long && self.settings.can_be_ordered();
        match failure {
            Failure::Unavailable(detail) if can_help => Failure::Unavailable(Detail {
                message: format!(
                    "{}; the next run begins at the first page again: if the source sorts by the cursor, set SOURCE_CURSOR_ORDER=asc to keep what came before a failure, or SOURCE_WINDOW",
                    detail.message
                ),
                ..detail
            }),
            other => other,
        }
    }

    /// Goes on to the page after this one; false after the last one. Nothing of it hangs on what becomes of the records.
    fn goes_on(
        &mut self,
        fetched: &Fetched,
        read: &Read<'_>,
        place: &Place,
    ) -> Result<bool, Failure> {
        let (contents, seen) = (&read.contents, &read.seen);
        if let Some(token) = &mut self.token {
            token.page_ends(&fetched.answer, contents, place)?;
        }
        if self.stager.cursor().is_some_and(|cursor| cursor.is_past()) {
            // More pages may have been named, and would have been read without the promised order.
            self.validators = None;
            return Ok(false);
        }
        self.pages.go_on(Page {
            fetched,
            contents,
            seen,
        })
    }

    /// What was staged, and the state for the next run. `last` is where the last page is, and `is_portion`, that there are
    /// others behind it.
    fn report(mut self, last: &Place, is_portion: bool) -> Result<Report, Failure> {
        if let Some(why) = self.stager.first_rejection() {
            let line = format!("warn: a record was rejected, the first of this run: {why}");
            self.getter.clock().log(&line);
        }
        let (counts, cursor) = self.stager.finish();
        for remark in cursor.iter().flat_map(Cursor::remarks) {
            self.getter.clock().log(&remark);
        }
        if cursor.as_ref().is_some_and(Cursor::is_of_time)
            && let Some(warning) = self.getter.clocks().and_then(Clocks::warning)
        {
            self.getter.clock().log(&warning);
        }
        let has_next = cursor.as_ref().is_some_and(Cursor::has_next);
        let is_past = |cursor: &Cursor<'_>| cursor.has_ended_window(self.now);
        let is_window = self.portion.is_some() && cursor.as_ref().is_some_and(is_past);
        let position = match (cursor, self.token) {
            (Some(cursor), _) if is_portion => cursor.pause(self.now),
            (Some(cursor), _) => cursor.end(self.now)?,
            (None, Some(token)) => token.end(last)?,
            (None, None) => Position::default(),
        };
        let is_told_by_header = self.settings.pagination.is_told_by_header();
        // The page that was to come next was not read.
        let pages = self.pages.number() - u64::from(is_portion);
        let is_one_answer = pages == 1 && !is_portion && !has_next && !is_told_by_header;
        let state = State {
            position,
            seen: self.validators.filter(|_| is_one_answer),
        };
        Ok(Report {
            extent: Extent::Everything,
            state: state.text(),
            cursor: state.position.shown_cursor(),
            pages,
            fetched: counts.fetched,
            staged: counts.staged,
            deleted: counts.deleted,
            rejected: counts.rejected,
            more: is_window || is_portion,
        })
    }

    /// How far the run has come, for whoever watches it: records, of how many where that is known, time and how many a second.
    fn so_far(&mut self) -> String {
        let now_ns = self.getter.clock().monotonic_ns();
        let millis = now_ns.saturating_sub(self.began_ns) / 1_000_000;
        let fetched = self.stager.fetched();
        let rate = fetched.saturating_mul(1000) / millis.max(1);
        let (seconds, tenths) = (millis / 1000, millis % 1000 / 100);
        let total = self.pages.total_of(fetched);
        let total = total.map_or_else(String::new, |total| format!(" of {total}"));
        format!("{fetched}{total} in {seconds}.{tenths} s, {rate}/s")
    }

    fn log(&mut self, line: &str) {
        self.getter.clock().log(line);
    }
}
