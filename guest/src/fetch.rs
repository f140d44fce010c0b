//! One fetch: page after page, window after window, until all that was asked for is staged.
//!
//! Which page comes next is `source`'s business, what becomes of its records `records`', and what the run makes of it `lib.rs`'s.

use std::collections::{BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};

use crate::cursor::{Cursor, Position, Token, Window};
use crate::failure::{Detail, Failure, counted};
use crate::portion::Portion;
use crate::ports::{Clock, Http, Staging};
use crate::records::{Read, Stager};
use crate::settings::Settings;
use crate::source::page::{Place, Shape};
use crate::source::signs::{self, Sign};
use crate::source::{Ask, Clocks, Each, Exported, Fetched, Getter, Page, Pages, Validators, shown};
use crate::state::State;
use crate::{Extent, Report, Request, at, freshness, range};

/// Where a fetch is at the end of its pages.
enum End {
    /// Behind the last one, which is there.
    Window(Place),
    /// Between two of them, the first of which is there: what was read is a portion.
    Portion(Place),
}

/// How a fetch ended.
pub struct Ended {
    /// What it leaves for the next.
    pub state: State,
    /// Whether it ended early: with a window that is not the last, or between two pages.
    pub more: bool,
}

/// What all fetches of a run have in common.
pub struct Run<'f, 'p, H, C, S> {
    pub settings: &'f Settings,
    /// What is read of the cursor, where not all from it on is.
    pub range: Option<&'f Window>,
    pub getter: &'f mut Getter<'p, H, C>,
    pub stager: Stager<'f, S>,
    /// The source's clock at the start of the run, as far as it is known and believed.
    pub now: Timestamp,
    /// The fingerprint of the settings.
    pub shaping: String,
    /// When a fetch ends early: with its first window, or between two pages. `None`: each is one piece.
    pub portion: Option<Portion>,
    /// When the run began, by the monotonic clock.
    pub began_ns: u64,
    /// Pages of the fetches that have ended.
    pub pages: u64,
    /// Pages that were read.
    pub read: u64,
    /// Whether no run of the job was published before.
    pub is_first: bool,
    /// Whether the run warned of records that it may not have asked for.
    pub has_warned: bool,
    /// What is fetched next, for requests to be ahead of it: values, each with where its last fetch ended.
    pub coming: VecDeque<(&'f Each, State)>,
    /// Results of an export behind the one that is read, the last one first.
    pub results: Vec<Ask>,
    /// The answer that says that an export has no records.
    pub nothing: Option<Fetched>,
    /// What was logged at the end of a fetch: once is enough.
    pub said: BTreeSet<String>,
}

/// Without a `Date` from the source, its clock is taken to be no more than this behind ours.
const CLOCK_SKEW_SECONDS: i64 = 60;
/// How much further behind it is taken to be where it is the cursor.
const DATELESS: SignedDuration = SignedDuration::from_mins(9);

impl<'f, 'p, H: Http, C: Clock, S: Staging> Run<'f, 'p, H, C, S> {
    /// Begins a run. `Err`: what is asked for cannot be read.
    pub fn begin(
        settings: &'f Settings,
        request: &'f Request,
        shaping: String,
        getter: &'f mut Getter<'p, H, C>,
        staging: &'f mut S,
    ) -> Result<Self, Failure> {
        let began_ns = getter.clock().monotonic_ns();
        let now = at(getter.clock().unix_seconds() - CLOCK_SKEW_SECONDS);
        Ok(Self {
            settings,
            range: range(request, settings)?,
            getter,
            stager: settings.stager(staging),
            now,
            shaping,
            portion: None,
            began_ns,
            pages: 0,
            read: 0,
            is_first: request.state.is_none(),
            has_warned: false,
            coming: VecDeque::new(),
            results: Vec::new(),
            nothing: None,
            said: BTreeSet::new(),
        })
    }

    /// Begins a fetch where `state` ended, of the value `each` where it is one of several.
    pub fn fetch(
        &mut self,
        each: Option<&'f Each>,
        state: &State,
    ) -> Result<Fetch<'_, 'f, 'p, H, C, S>, Failure> {
        let (mut pages, token, cursor, shape) = self.begun(each, state)?;
        let continues = cursor.as_ref().is_some_and(Cursor::continues)
            || token.as_ref().is_some_and(Token::continues);
        if let Some(each) = each {
            self.getter.label(each.label());
        }
        if self.settings.export.is_some() {
            let settings = self.settings;
            let first = settings.first_ask(each, cursor.as_ref(), token.as_ref())?;
            pages.begin_at(&self.first(each, first)?)?;
        }
        self.stager.begins(each, cursor, shape)?;
        let fetched_before = self.stager.fetched();
        self.has_warned = false;
        Ok(Fetch {
            run: self,
            each,
            continues,
            pages,
            token,
            validators: None,
            is_unmodified: false,
            fetched_before,
        })
    }

    /// The first request for a page, where `ask` is the first of all. Between the two, an export is waited for.
    fn first(&mut self, each: Option<&Each>, ask: Ask) -> Result<Ask, Failure> {
        let Some(export) = &self.settings.export else {
            return Ok(ask);
        };
        let Exported { results, nothing } = export.run(&ask, each, self.getter)?;
        (self.results, self.nothing) = (results, nothing);
        Ok(self.results.pop().unwrap_or(ask))
    }

    /// How a fetch begins.
    fn begun(&self, each: Option<&Each>, state: &State) -> Result<Begun<'f>, Failure> {
        let settings = self.settings;
        let mut shape = settings.shape();
        let cursor = settings.cursor.as_ref();
        let cursor = cursor.map(|set| Cursor::begin(set, &state.position, self.range, self.now));
        let cursor = cursor.transpose()?;
        let token = settings.token.as_ref();
        let token = token.map(|set| Token::begin(set, &state.position, &mut shape));
        let token = token.transpose()?;
        let first = settings.first_ask(each, cursor.as_ref(), token.as_ref())?;
        let mut pages = settings.pages(&first, &mut shape)?;
        pages.count(self.pages)?;
        if let (Some(seen), None, None) = (&state.seen, self.range, &settings.export) {
            pages.allow_unchanged(seen.conditions(pages.ask(), &self.shaping));
        }
        Ok((pages, token, cursor, shape))
    }

    /// The first requests of what is fetched next.
    fn first_asks(&self) -> Vec<Ask> {
        let coming = self.coming.iter();
        let begun = coming.map_while(|(each, state)| self.begun(Some(each), state).ok());
        begun.map(|(pages, ..)| pages.ask().clone()).collect()
    }

    /// Looks at the keys that records of several values have, which `setting` gives. `Err`: two of them are one, in a run before
    /// which nothing was published; later, a record may have moved.
    pub fn keys_are_apart(&mut self, is_first: bool, setting: &str) -> Result<(), Failure> {
        let Some(key) = self.stager.overlap() else {
            return Ok(());
        };
        let what = format!(
            "{setting}: different records of two values have the PRIMARY_KEY {key}, and one replaces the other: add `$each` to the records in TRANSFORM, and its place to PRIMARY_KEY"
        );
        if is_first {
            return Err(Failure::data(format!(
                "{what}; if a record moved from one value to another meanwhile, run again"
            )));
        }
        self.getter.log(&format!("warn: {what}"));
        Ok(())
    }

    /// What was staged by all fetches.
    pub fn report(&mut self, extent: Extent, state: String) -> Report {
        if let Some(why) = self.stager.first_rejection() {
            let line = format!("warn: a record was rejected, the first of this run: {why}");
            self.getter.clock().log(&line);
        }
        let counts = self.stager.counts();
        Report {
            extent,
            state,
            cursor: None,
            pages: self.pages,
            fetched: counts.fetched,
            staged: counts.staged,
            deleted: counts.deleted,
            rejected: counts.rejected,
            more: false,
        }
    }
}

/// What a fetch begins with.
type Begun<'f> = (Pages<'f>, Option<Token<'f>>, Option<Cursor<'f>>, Shape);

/// One fetch: its pages, one window after the other where there are several.
pub struct Fetch<'r, 'f, 'p, H, C, S> {
    run: &'r mut Run<'f, 'p, H, C, S>,
    each: Option<&'f Each>,
    /// Whether it goes on where another ended, so that it fetches changes.
    pub continues: bool,
    pages: Pages<'f>,
    token: Option<Token<'f>>,
    /// What the first answer said, while it is all that was fetched.
    validators: Option<Validators>,
    /// The source answered a cursor with 304, so it reads it.
    is_unmodified: bool,
    /// Records of the fetches before.
    fetched_before: u64,
}

impl<H: Http, C: Clock, S: Staging> Fetch<'_, '_, '_, H, C, S> {
    /// The same, which may end early where `request` wants that and a part of it can be published.
    pub fn in_portions(self, request: &Request, extent: Extent) -> Self {
        // What takes the place of all that is published is published as a whole.
        let replaces_all = request.state.is_some() && extent == Extent::Everything;
        if request.portions
            && !replaces_all
            && self.run.range.is_none()
            && self.run.portion.is_none()
        {
            let deadline_seconds = self.run.settings.deadline_seconds;
            self.run.portion = Some(Portion::begin(deadline_seconds, self.run.began_ns));
        }
        self
    }

    /// Stages every page. `Ok(None)`: the source said that nothing changed.
    pub fn all(mut self) -> Result<Option<Ended>, Failure> {
        loop {
            let place = match self.window()? {
                None => {
                    self.run.pages += 1;
                    return Ok(None);
                }
                Some(End::Portion(place)) => return self.end(&place, true).map(Some),
                Some(End::Window(place)) => place,
            };
            let next = self.run.results.pop();
            let is_done = match self.run.stager.cursor() {
                _ if next.is_some() => false,
                Some(cursor) if cursor.has_next() && self.run.portion.is_none() => {
                    cursor.go_on(self.run.now)?;
                    false
                }
                _ => true,
            };
            if is_done {
                self.check()?;
                return self.end(&place, false).map(Some);
            }
            self.begin_anew(next)?;
        }
    }

    /// Goes on to `next`, the next result of an export, or to the first page of what the cursor asks for now.
    fn begin_anew(&mut self, next: Option<Ask>) -> Result<(), Failure> {
        let first = if let Some(next) = next {
            next
        } else {
            let cursor = self.run.stager.cursor();
            let cursor = cursor.as_deref();
            let first = self.run.settings.first_ask(self.each, cursor, None)?;
            self.run.first(self.each, first)?
        };
        self.pages.begin_anew(&first)?;
        self.run.stager.window_begins();
        Ok(())
    }

    /// Asks for the first page on the condition that something changed. False: nothing did. True as well where there is no
    /// condition to ask with.
    pub fn asks_for_changes(self) -> Result<bool, Failure> {
        let ask = self.pages.ask();
        if ask.conditions.is_empty() {
            return Ok(true);
        }
        let fetched = self.run.getter.get(ask, 1)?;
        self.run.pages += 1;
        Ok(fetched.answer.status != 304)
    }

    /// Finds out what it means where no record came from the cursor on. `Err`: the source answers as if nothing changed, and
    /// always would.
    fn check(&mut self) -> Result<(), Failure> {
        let fetched = self.run.stager.fetched() - self.fetched_before;
        let Some(cursor) = self.run.stager.cursor() else {
            return Ok(());
        };
        if !self.is_unmodified
            // Each question would start an export.
            && self.run.settings.export.is_none()
            && cursor.is_unanswered(fetched)
            && let Some(newest) =
                freshness::check(self.run.settings, self.each, cursor, self.run.getter)?
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
            let fetched = match self.run.nothing.take() {
                Some(fetched) => Ok(fetched),
                None => self.run.getter.get(self.pages.ask(), page),
            };
            let fetched = match fetched {
                Ok(fetched) => fetched,
                Err(failure) => return self.ended_by(failure, last).map(Some),
            };
            let answer = &fetched.answer;
            self.run.read += 1;
            if page == 1 {
                let clocks = self.run.getter.clocks();
                self.run.now = clocks.map_or(self.run.now, |clocks| at(clocks.limit()));
                self.validators = Validators::of(answer, self.pages.ask(), &self.run.shaping);
            }
            let place = fetched.place(page);
            if answer.status == 304 {
                return self.not_modified(place);
            }
            let expected = (self.pages.expect(), self.pages.may_be_behind());
            let opened = self.run.stager.open(&fetched, &place)?;
            let read = self.run.stager.read(&opened, &place, expected)?;
            if !fetched.is_empty {
                self.looks_for_more(&fetched, &read, &place)?;
            }
            if self.begins_again()? {
                self.run.stager.reads_again(read, &place)?;
                continue;
            }
            if fetched.is_empty {
                self.validators = None;
                return self.ends_at_nothing(answer.status, place).map(Some);
            }
            let records = counted(read.contents.records, "record");
            let goes_on = self.goes_on(&fetched, &read, &place);
            let is_portion = self.ends_portion(matches!(goes_on, Ok(true)));
            if let (Ok(goes_on), false) = (&goes_on, is_portion) {
                // They travel while the records of this page are worked on.
                self.begin_next(*goes_on);
            }
            if self.pages.is_echo() {
                self.run.stager.leave_out(read, &place)?;
            } else {
                self.run.stager.stage(read, &place)?;
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

    /// Ends at an answer that means that there are no records. `Err`: records are missing that were said to be there.
    fn ends_at_nothing(&mut self, status: u16, place: Place) -> Result<End, Failure> {
        if let Some(token) = &mut self.token {
            token.stays(status, &place)?;
        }
        self.pages.end_at_nothing(&place)?;
        self.log(&format!(
            "debug: page {}: no records, by an answer {status}",
            place.page
        ));
        Ok(End::Window(place))
    }

    /// What it means that the first page of a window is answered with 304. `Err`: there is nothing that it could be the same as.
    fn not_modified(&mut self, place: Place) -> Result<Option<End>, Failure> {
        let is_whole = !self.pages.ask().conditions.is_empty();
        if !is_whole && !self.continues {
            return Err(Failure::protocol(format!(
                "{place} was answered with 304, not modified, but this run does not go on from another: set an earlier SOURCE_CURSOR_START"
            )));
        }
        self.log(&format!("page {}: not modified", place.page));
        let has_windows = self.run.settings.cursor.as_ref();
        let has_windows = has_windows.is_some_and(|cursor| cursor.window_seconds.is_some());
        self.is_unmodified = true;
        Ok((!is_whole && has_windows).then_some(End::Window(place)))
    }

    /// Puts the requests that come next on their way: for the next page and those that are foreseen, and behind the last page
    /// for the next values.
    fn begin_next(&mut self, goes_on: bool) {
        let parallel = self.run.settings.parallel;
        let mut next = Vec::new();
        if goes_on {
            next.push(self.pages.ask().clone());
            next.extend(self.pages.foreseen(parallel - 1));
        }
        // An answer waits to be read: behind a long fetch, it would wait too long.
        if !goes_on || self.pages.number() == 2 {
            next.extend(self.run.first_asks());
        }
        let has_window = self
            .run
            .stager
            .cursor()
            .is_some_and(|cursor| cursor.has_next());
        if goes_on || !has_window {
            self.run.getter.begin(&next);
        }
    }

    /// Begins again at an earlier value, if the page at hand shows that records of the cursor may be missing.
    fn begins_again(&mut self) -> Result<bool, Failure> {
        let Some(cursor) = self.run.stager.cursor() else {
            return Ok(false);
        };
        if !cursor.begins_again()? {
            return Ok(false);
        }
        self.begin_anew(None)?;
        Ok(true)
    }

    /// Whether the portion ends behind the page at hand, after which there is another.
    fn ends_portion(&mut self, goes_on: bool) -> bool {
        // What goes on in the middle of an export would start another one.
        let portion = self.run.portion.as_mut();
        let Some(portion) = portion.filter(|_| self.run.settings.export.is_none()) else {
            return false;
        };
        let cursor = self.run.stager.cursor();
        let can_end = goes_on && cursor.is_some_and(|cursor| cursor.can_pause(self.run.now));
        portion.page_ends(can_end, self.run.getter.clock().monotonic_ns())
    }

    /// Looks for a sign that there is more than this answer, where nobody said how the source is paged. `Err`: there is, and
    /// nothing was published so far.
    fn looks_for_more(
        &mut self,
        fetched: &Fetched,
        read: &Read<'_>,
        place: &Place,
    ) -> Result<(), Failure> {
        if self.run.settings.pagination.is_said {
            return Ok(());
        }
        let Some(sign) = self.run.settings.sign_of_more(fetched, read) else {
            return Ok(());
        };
        match sign {
            Sign::Strong(what) if self.run.is_first => Err(signs::not_all(place, &what)),
            Sign::Strong(what) | Sign::Weak(what) => {
                if !std::mem::replace(&mut self.run.has_warned, true) {
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
            let can_end = self
                .run
                .portion
                .as_ref()
                .is_some_and(|portion| portion.can_end);
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
        let is_long = self.run.portion.is_some() && self.run.is_first && self.pages.number() > 1;
        let can_help = is_long && self.run.settings.can_be_ordered();
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
        if self
            .run
            .stager
            .cursor()
            .is_some_and(|cursor| cursor.is_past())
        {
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

    /// Ends it. `last` is where the last page is, and `is_portion`, that there are others behind it.
    fn end(mut self, last: &Place, is_portion: bool) -> Result<Ended, Failure> {
        let cursor = self.run.stager.ends();
        let mut remarks = cursor.as_ref().map(Cursor::remarks).unwrap_or_default();
        if cursor.as_ref().is_some_and(Cursor::is_of_time) {
            remarks.extend(self.run.getter.clocks().and_then(Clocks::warning));
        }
        for remark in remarks {
            if self.run.said.insert(remark.clone()) {
                self.log(&remark);
            }
        }
        let mut now = self.run.now;
        if cursor.as_ref().is_some_and(Cursor::is_clock) && self.run.getter.clocks().is_none() {
            now = now.checked_sub(DATELESS).unwrap_or(now);
            self.log("warn: the source sends no `Date`: the cursor is this machine's time less 10 minutes");
        }
        let has_next = cursor.as_ref().is_some_and(Cursor::has_next);
        let is_past = |cursor: &Cursor<'_>| cursor.has_ended_window(now);
        let is_window = self.run.portion.is_some() && cursor.as_ref().is_some_and(is_past);
        let position = match (cursor, self.token) {
            (Some(cursor), _) if is_portion => cursor.pause(now),
            (Some(cursor), _) => cursor.end(now)?,
            (None, Some(token)) => token.end(last)?,
            (None, None) => Position::default(),
        };
        let is_told_by_header = self.run.settings.is_told_by_header();
        // The page that was to come next was not read.
        let pages = self.pages.number() - u64::from(is_portion);
        self.run.pages += pages;
        let is_export = self.run.settings.export.is_some();
        let is_one_answer =
            pages == 1 && !is_portion && !has_next && !is_told_by_header && !is_export;
        let state = State {
            position,
            seen: self.validators.filter(|_| is_one_answer),
        };
        Ok(Ended {
            state,
            more: is_window || is_portion,
        })
    }

    /// How far the run has come, for whoever watches it: records, of how many where that is known, time and how many a second.
    fn so_far(&mut self) -> String {
        let now_ns = self.run.getter.clock().monotonic_ns();
        let millis = now_ns.saturating_sub(self.run.began_ns) / 1_000_000;
        let fetched = self.run.stager.fetched();
        let rate = fetched.saturating_mul(1000) / millis.max(1);
        let (seconds, tenths) = (millis / 1000, millis % 1000 / 100);
        let total = self.pages.total_of(fetched - self.fetched_before);
        let total = total.map_or_else(String::new, |total| format!(" of {total}"));
        format!("{fetched}{total} in {seconds}.{tenths} s, {rate}/s")
    }

    fn log(&mut self, line: &str) {
        self.run.getter.log(line);
    }
}
