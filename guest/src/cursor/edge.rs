//! The edge of a portion that ends between two pages: which state it leaves, and how the next one goes on there.
//!
//! Of the records with the greatest value some may still be to come. So the next portion asks from that very value, without a
//! look-back, which may be longer than a portion. Where its first record lies behind it, the source may answer only what
//! is greater: then it begins again at the value before, and none of them is lost.

use jiff::Timestamp;

use super::form::{Back, duration};
use super::kind::Point;
use super::mark::Mark;
use super::order::Order;
use super::{Asking, Cursor, CursorSettings, Missing, Position};
use crate::failure::Failure;

/// What is known of the values next to the cursor.
#[derive(Debug, Default)]
pub struct Edge {
    /// The greatest value below the greatest.
    below: Option<Mark>,
    /// Whether the last portion ended between two pages.
    resumes: bool,
    /// The value before the cursor, until a record shows that the source answers from the cursor on.
    before: Option<Mark>,
}

impl Edge {
    /// Whether a source that is asked like this may be left between two pages: it is asked from a value, records come in the
    /// order of that value, and all have one.
    pub fn is_safe(settings: &CursorSettings) -> bool {
        settings.order == Some(Order::Ascending)
            && settings.to != Asking::Nowhere
            && settings.missing != Missing::Keep
    }

    /// The last portion ended between two pages, and `before` is the value before its cursor.
    pub fn left_at(before: Mark) -> Self {
        Self {
            below: None,
            resumes: true,
            before: Some(before),
        }
    }

    /// Whether the run goes on at the cursor itself.
    pub fn resumes(&self) -> bool {
        self.resumes
    }

    /// Sees the first value of the run.
    pub fn sees_first(&mut self, last: Option<&Mark>, point: &Point<'_>) {
        if last.is_some_and(|last| *point <= last.point) {
            self.before = None;
        }
    }

    /// A value comes; where it is greater than the `greatest`, that one is the one below.
    pub fn passes(&mut self, greatest: &mut Option<Mark>, point: &Point<'_>) {
        if greatest.as_ref().is_some_and(|mark| mark.point < *point) {
            // Its text is written over.
            std::mem::swap(&mut self.below, greatest);
        }
    }
}

impl Cursor<'_> {
    /// Whether the portion can end behind the page at hand: the next one goes on there, and misses nothing. `limit` is what a
    /// point in time does not pass.
    pub fn can_pause(&self, limit: Timestamp) -> bool {
        let Some(greatest) = &self.greatest else {
            return false;
        };
        let is_behind_the_clock = match &greatest.point {
            Point::At(at) => *at <= limit,
            _ => true,
        };
        let is_at_the_greatest = self.in_order.is_at(&greatest.point);
        let is_progress = match &self.last {
            None => true,
            Some(last) if greatest.point == last.point => {
                !self.edge.resumes && self.is_settled(limit)
            }
            Some(last) => greatest.point > last.point,
        };
        Edge::is_safe(self.settings)
            && !self.span.is_range()
            // A source that answers older records does not filter, and would begin anew each time.
            && self.older == 0
            && self.value_before().is_some_and(|before| self.is_asked_apart(before))
            && is_behind_the_clock
            && is_at_the_greatest
            && is_progress
    }

    /// The state for the portion that goes on where this one ends between two pages.
    pub fn pause(self, limit: Timestamp) -> Position {
        let before = self.value_before().filter(|_| self.is_settled(limit));
        let before = before.map(|mark| mark.text.clone());
        Position {
            kind: self.form.map(|form| form.kind),
            zone: self.settings.zone,
            is_empty: false,
            cursor: self.greatest.map(|mark| mark.text),
            known: None,
            before,
        }
    }

    /// Begins again at the value before the cursor, if the page at hand, the first, shows that records of the cursor may be
    /// missing. `Ok(true)`: it does, and all that was read is read again.
    pub fn begins_again(&mut self) -> Result<bool, Failure> {
        let (Some(before), Some(form)) = (self.edge.before.take(), self.form) else {
            return Ok(false);
        };
        self.span.begins_at(&before.text);
        self.values = 0;
        self.older = 0;
        self.without = 0;
        self.dropped = 0;
        self.greatest = None;
        self.below = None;
        self.first_page = None;
        self.has_first_page = false;
        self.is_ascending = true;
        self.in_order.begins_anew();
        self.edge.below = None;
        self.settle(form)?;
        Ok(true)
    }

    /// Whether no record can come any more whose value is below the greatest: that lies a look-back before the clock.
    fn is_settled(&self, limit: Timestamp) -> bool {
        let (Some(form), Some(greatest)) = (self.form, &self.greatest) else {
            return false;
        };
        match (self.settings.lookback.of(form.kind), &greatest.point) {
            (Ok(Back::Count(count)), _) => count == 0,
            (Ok(Back::Seconds(seconds)), Point::At(at)) => {
                let settled = at.checked_add(duration(seconds));
                settled.is_ok_and(|settled| settled <= limit)
            }
            _ => false,
        }
    }

    /// Whether the source is asked another question from `before` on than from the greatest: what is sent may be coarser.
    fn is_asked_apart(&self, before: &Mark) -> bool {
        let greatest = self.greatest.as_ref().map(|mark| &mark.point);
        match (self.settings.send, &before.point, greatest) {
            (Some(send), Point::At(before), Some(Point::At(greatest))) => {
                send.sent(*before) != send.sent(*greatest)
            }
            _ => true,
        }
    }

    /// The greatest value below the greatest, of this run or of those before.
    fn value_before(&self) -> Option<&Mark> {
        let greatest = self.greatest.as_ref()?;
        let last = self.last.as_ref();
        let last = last.filter(|last| last.point < greatest.point);
        match (&self.edge.below, last) {
            (Some(below), Some(last)) if last.point > below.point => Some(last),
            (Some(below), _) => Some(below),
            (None, last) => last,
        }
    }
}
