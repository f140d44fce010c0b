//! The cursor: from which value to ask, which records are new, and which value the next run begins with.
//!
//! The cursor is the greatest value seen, in the source's own words, and it never goes back. A record that changes while we
//! page must be asked for again. So a point in time never passes the source's clock at the start of the run, nor ours by more
//! than a tolerance (`guard`); any other cursor never passes the first page's unless the source gave the records in its
//! order. Where it is kept is the host's business, how it is sent is `source`'s.

mod asking;
mod form;
mod kind;
mod lookback;
mod mark;
mod order;
mod position;
mod span;
mod token;

use std::fmt::Display;

use jiff::Timestamp;
use jiff::tz::Offset;

pub use self::asking::{Asked, Asking};
pub use self::form::{Back, Form};
pub use self::kind::{Kind, Point, VALUE_BYTES_MAX, Value};
pub use self::lookback::{Lookback, window_seconds};
use self::mark::Mark;
use self::order::InOrder;
pub use self::order::Order;
pub use self::position::Position;
use self::span::Span;
pub use self::token::{TOKEN_BYTES_MAX, Token, TokenPage, TokenSettings};
use crate::failure::{Failure, counted};
use crate::source::To;
pub use crate::time::{offset as zone, write_offset as write_zone};
use tidegate_json::Pointer;

/// A range of the cursor to read again: `start` included, `end` not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The first cursor value of the range.
    pub start: String,
    /// The cursor value at which the range ends.
    pub end: String,
}

/// The settings of a cursor that stands in records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorSettings {
    /// `SOURCE_CURSOR`: where it stands in a record.
    pub pointer: Pointer,
    /// `SOURCE_CURSOR_TO`, or `{cursor}`.
    pub to: Asking,
    /// `SOURCE_CURSOR_END_TO`: what takes the end of a window.
    pub end_to: Option<To>,
    /// `SOURCE_CURSOR_KIND`; `None`: told from the first value.
    pub kind: Option<Kind>,
    /// `SOURCE_CURSOR_ZONE`: the offset of times that name none.
    pub zone: Option<Offset>,
    /// `SOURCE_CURSOR_SEND`: the kind it is sent as; `None`: as it is.
    pub send: Option<Kind>,
    /// `SOURCE_CURSOR_START`: the value of a first run.
    pub start: Option<String>,
    /// `SOURCE_LOOKBACK`.
    pub lookback: Lookback,
    /// `SOURCE_CURSOR_MISSING`.
    pub missing: Missing,
    /// `SOURCE_CURSOR_ORDER`; `None`: nothing is promised.
    pub order: Option<Order>,
    /// `SOURCE_WINDOW`.
    pub window_seconds: Option<u64>,
}

/// What becomes of a record whose cursor is missing or null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// It fails the run.
    #[default]
    Fail,
    /// It is staged, and tells the cursor nothing.
    Keep,
    /// It is left out.
    Drop,
}

/// The cursor of one run.
#[derive(Debug)]
pub struct Cursor<'s> {
    settings: &'s CursorSettings,
    form: Option<Form>,
    /// Where the last run ended.
    last: Option<Mark>,
    /// What is asked for at once.
    span: Span,
    /// Records below it are not staged. `None` as well when the source filters.
    floor: Option<Point<'static>>,
    greatest: Option<Mark>,
    /// The greatest of those that are below the floor.
    below: Option<Mark>,
    /// The greatest of the first page, once that has ended.
    first_page: Option<Mark>,
    has_first_page: bool,
    is_ascending: bool,
    in_order: InOrder,
    /// Records without a cursor that were left out.
    dropped: u64,
}

impl<'s> Cursor<'s> {
    /// Begins where `state` ended, or at the start of `range`. `now` is the source's clock as far as it is known. `Err`:
    /// settings and state do not fit each other, or the range cannot be read.
    pub fn begin(
        settings: &'s CursorSettings,
        state: &Position,
        range: Option<&Window>,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let kind = span::kind(settings, state)?;
        let form = kind.map(|kind| Form {
            kind,
            zone: settings.zone,
        });
        let last = match (form, &state.cursor) {
            (Some(form), Some(text)) => Some(span::last(form, text, state.zone)?),
            _ => None,
        };
        let span = match range {
            Some(range) => Span::of_range(settings, form, range, now)?,
            None => Span::since(settings, form, last.as_ref(), now)?,
        };
        let mut cursor = Self {
            settings,
            form,
            last,
            span,
            floor: None,
            greatest: None,
            below: None,
            first_page: None,
            has_first_page: false,
            is_ascending: true,
            in_order: InOrder::new(settings.order),
            dropped: 0,
        };
        if let Some(form) = form {
            cursor.settle(form)?;
        }
        Ok(cursor)
    }

    /// Whether the last run left a cursor, so that this one fetches changes.
    pub fn continues(&self) -> bool {
        self.last.is_some() || self.span.is_range()
    }

    /// What the source is asked for, as it is sent.
    pub fn asked(&self) -> Result<Asked<'s>, Failure> {
        self.span.asked(self.settings, self.form)
    }

    /// Sees the JSON text of a record's cursor, if it has one. `Ok(false)`: it is outside of what was asked for, so the record
    /// is not staged. `Err` names `record`.
    pub fn sees(&mut self, raw: Option<&str>, record: &dyn Display) -> Result<bool, Failure> {
        let at = &self.settings.pointer;
        let wrong = |why: String| Failure::data(format!("{record}: `{at}` (SOURCE_CURSOR) {why}"));
        let raw = match (raw, self.settings.missing) {
            (None, Missing::Fail) => return Err(wrong("is missing".to_owned())),
            (None | Some("null"), Missing::Keep) => return Ok(true),
            (None | Some("null"), Missing::Drop) => {
                self.dropped += 1;
                return Ok(false);
            }
            (Some(raw), _) => raw,
        };
        let value = Value::of(raw).map_err(wrong)?;
        let form = if let Some(form) = self.form {
            form
        } else {
            let told = Kind::of(&value, self.settings.zone);
            let kind = told.map_err(|why| wrong(format!("has an unknown type: {why}")))?;
            let zone = self.settings.zone;
            self.settle(Form { kind, zone })?
        };
        let point = form
            .point_of(&value)
            .map_err(|why| wrong(format!("cannot be used: {why}")))?;
        self.in_order
            .sees(&value.text, &point)
            .map_err(|why| Failure::protocol(format!("{record}: `{at}` {why}")))?;
        if self.floor.as_ref().is_some_and(|floor| point < *floor) {
            self.is_ascending &= self.greatest.is_none();
            self.in_order.passes_the_floor();
            Mark::raise(&mut self.below, &value.text, point);
            return Ok(false);
        }
        if self.greatest.as_ref().is_some_and(|at| point < at.point) {
            self.is_ascending = false;
        }
        let is_inside = self.span.has_before_its_end(&point);
        if !is_inside {
            self.in_order.passes_the_end();
        }
        Mark::raise(&mut self.greatest, &value.text, point);
        Ok(is_inside)
    }

    /// A page has been read to its end.
    pub fn page_ends(&mut self) {
        if !self.has_first_page {
            self.has_first_page = true;
            self.first_page.clone_from(&self.greatest);
        }
    }

    /// Whether nothing that is wanted can follow: the source said how it sorts, and records behind those wanted have come.
    pub fn is_past(&self) -> bool {
        self.in_order.is_past()
    }

    /// Pages shifted and come again, so that what comes next may lie before what came last.
    pub fn page_comes_again(&mut self) {
        self.in_order.begins_anew();
    }

    /// Whether what was asked for has an end, so that newer records were left out and are to be asked for next.
    pub fn has_next(&self) -> bool {
        self.span.has_next()
    }

    /// Whether the window at hand is not the last one, for a source whose clock says `now`.
    pub fn has_ended_window(&self, now: Timestamp) -> bool {
        !self.span.is_range() && self.span.has_ended(now)
    }

    /// Goes on to the window behind the one at hand.
    pub fn go_on(&mut self, now: Timestamp) -> Result<(), Failure> {
        if let Some(form) = self.form {
            self.span.go_on(self.settings, form, now)?;
            self.in_order.begins_anew();
            self.settle(form)?;
        }
        Ok(())
    }

    /// What there is to say of the records at the end of the run; a warning begins with `warn: `.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let at = &self.settings.pointer;
        if self.dropped > 0 {
            let records = counted(self.dropped, "record");
            remarks.push(format!(
                "left out {records} without `{at}` (SOURCE_CURSOR_MISSING)"
            ));
        }
        if let (Some((from, came)), Asking::Nowhere) = (self.goes_back(), &self.settings.to) {
            remarks.push(format!(
                "warn: no record is at or after `{from}`, where the last run ended; the newest is `{came}`: if the source was restored to an older state, run once with `--full-refresh`"
            ));
        }
        remarks
    }

    /// What follows from the form, once it is known.
    fn settle(&mut self, form: Form) -> Result<Form, Failure> {
        self.form = Some(form);
        self.settings
            .lookback
            .of(form.kind)
            .map_err(|why| Failure::setting("SOURCE_LOOKBACK", why))?;
        let is_wanted = self.span.is_range()
            || self.settings.to == Asking::Nowhere
            || self.settings.order == Some(Order::Descending);
        self.floor = if is_wanted {
            self.span.start(form)?
        } else {
            None
        };
        Ok(form)
    }

    /// What was asked from and the greatest that came, where all that came lies before it: by more than a day for times, as
    /// the source may know days only; at all for integers. Text may be sorted there in another way than here.
    fn goes_back(&self) -> Option<(String, String)> {
        let (form, first) = (self.form?, self.span.first()?);
        if self.last.is_none() || self.span.is_range() || form.kind == Kind::Text {
            return None;
        }
        let came = self.greatest.as_ref().or(self.below.as_ref())?;
        let from = form.point(first).ok()?;
        let is_before = match (&came.point, &from) {
            (Point::At(came), Point::At(from)) => {
                came.checked_add(form::duration(24 * 60 * 60)).ok()? < *from
            }
            (came, from) => *came < *from,
        };
        is_before.then(|| (first.to_owned(), came.text.clone()))
    }

    /// Where it stands in a record.
    pub fn pointer(&self) -> &'s Pointer {
        &self.settings.pointer
    }

    /// Whether it is a point in time, as far as that is known.
    pub fn is_of_time(&self) -> bool {
        self.form.is_some_and(|form| form.kind.is_time())
    }

    /// The state for the next run. `limit` is what a point in time does not pass. `Err`: the source has gone back.
    pub fn end(self, limit: Timestamp) -> Result<Position, Failure> {
        if let (Some((from, came)), true) = (self.goes_back(), self.settings.to != Asking::Nowhere)
        {
            return Err(Failure::data(format!(
                "the newest record is `{came}` (SOURCE_CURSOR), before `{from}`, where the last run ended: if the source was restored to an older state, run once with `--full-refresh`"
            )));
        }
        let reached = match (self.form, self.span.reached()) {
            (Some(form), Some(mark)) => Some(mark.at_most(limit, form)?),
            _ => None,
        };
        let declared = self.settings.order == Some(Order::Ascending);
        let greatest = match (self.form, self.greatest) {
            (Some(form), Some(mark)) if form.kind.is_time() => Some(mark.at_most(limit, form)?),
            (_, mark) if self.is_ascending || declared || !self.has_first_page => mark,
            _ => self.first_page,
        };
        let mark = Mark::later(self.last, Mark::later(reached, greatest));
        Ok(Position {
            kind: self.form.map(|form| form.kind),
            zone: self.settings.zone.filter(|_| mark.is_some()),
            cursor: mark.map(|mark| mark.text),
        })
    }
}

#[cfg(test)]
mod tests;
