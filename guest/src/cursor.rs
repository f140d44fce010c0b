//! The cursor: from which value to ask, which records are new, and which value the next run begins with.
//!
//! The cursor is the greatest value seen, in the source's own words, and it never goes back. A record that changes while we
//! page must be asked for again. So a point in time never passes the source's clock at the start of the run, nor ours by more
//! than a tolerance (`guard`); any other cursor never passes the first page's unless the source gave the records in its
//! order. Where it is kept is the host's business, how it is sent is `source`'s.
//!
//! Where the record that bears the cursor was deleted, a run asks from the newest one that was seen since (`known`), so that
//! an answer without records always means something.
//!
//! Where a sorted source is read in portions, one may end between two pages; `edge` says when nothing is lost by it.

mod asking;
mod edge;
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
use self::edge::Edge;
pub use self::form::{Back, Form};
pub use self::kind::{Kind, Point, VALUE_BYTES_MAX, Value, epoch_of};
pub use self::lookback::{Lookback, window_seconds};
pub use self::mark::Mark;
use self::order::InOrder;
pub use self::order::Order;
pub use self::position::Position;
use self::span::Span;
pub use self::token::{TOKEN_BYTES_MAX, Token, TokenPage, TokenSettings};
use crate::failure::{Failure, counted, quoted};
use crate::source::To;
pub use crate::time::{Pattern, Zone};
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
    /// `SOURCE_CURSOR`: where it stands in a record; `None`: it is the source's clock.
    pub pointer: Option<Pointer>,
    /// `SOURCE_CURSOR_TO`, or `{cursor}`.
    pub to: Asking,
    /// `SOURCE_CURSOR_END_TO`: what takes the end of a window.
    pub end_to: Option<To>,
    /// `SOURCE_CURSOR_KIND`; `None`: told from the first value.
    pub kind: Option<Kind>,
    /// `SOURCE_CURSOR_ZONE`: the zone of times that name no offset.
    pub zone: Option<Zone>,
    /// `SOURCE_CURSOR_SEND`: the form it is sent in; `None`: as it is.
    pub send: Option<Form>,
    /// `SOURCE_CURSOR_START`: the value of a first run.
    pub start: Option<String>,
    /// `SOURCE_LOOKBACK`.
    pub lookback: Lookback,
    /// `SOURCE_CURSOR_MISSING`.
    pub missing: Missing,
    /// `SOURCE_CURSOR_ORDER`; `None`: nothing is promised.
    pub order: Option<Order>,
    /// `SOURCE_CURSOR_CHECK`: whether an answer without records is looked into.
    pub is_checked: bool,
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
    /// Whether a record with a cursor came in any run before.
    had_records: bool,
    /// What is asked for at once.
    span: Span,
    /// The newest record that the source has, where it lies before all that was asked for: the ones behind it were deleted.
    known: Option<Mark>,
    /// Records below it are not staged. `None` as well when the source filters.
    floor: Option<Floor>,
    /// Records below it are older by far than what was asked for. `None`: the source is not asked to filter.
    far: Option<Point<'static>>,
    /// Records with a cursor.
    values: u64,
    /// Those that are older by far than what was asked for.
    older: u64,
    /// Records without one that were kept or left out.
    without: u64,
    greatest: Option<Mark>,
    /// The greatest of those that are below the floor.
    below: Option<Mark>,
    /// The greatest of the first page, once that has ended.
    first_page: Option<Mark>,
    has_first_page: bool,
    is_ascending: bool,
    in_order: InOrder,
    edge: Edge,
    /// Records without a cursor that were left out.
    dropped: u64,
    /// The first text of a cursor whose kind was told: the others must be as long, or may not sort as they stand.
    told_text: Option<String>,
}

/// Where the records that are wanted begin.
#[derive(Debug)]
struct Floor {
    point: Point<'static>,
    /// Whether a record at this very point is wanted, too.
    is_wanted: bool,
}

impl Floor {
    fn is_above(&self, point: &Point<'_>) -> bool {
        if self.is_wanted {
            *point < self.point
        } else {
            *point <= self.point
        }
    }
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
        let known = match (form, &state.known, range) {
            (Some(form), Some(text), None) if last.is_some() => {
                Some(span::last(form, text, state.zone)?)
            }
            _ => None,
        };
        let edge = match (form, &state.before) {
            (Some(form), Some(text))
                if last.is_some() && range.is_none() && Edge::is_safe(settings) =>
            {
                Edge::left_at(span::last(form, text, state.zone)?)
            }
            _ => Edge::default(),
        };
        let span = match range {
            Some(range) => Span::of_range(settings, form, range, now)?,
            None => Span::since(settings, form, last.as_ref(), edge.resumes(), now)?,
        };
        let mut cursor = Self {
            settings,
            form,
            had_records: last.is_some() && !state.is_empty,
            last,
            span,
            known: None,
            floor: None,
            far: None,
            values: 0,
            older: 0,
            without: 0,
            greatest: None,
            below: None,
            first_page: None,
            has_first_page: false,
            is_ascending: true,
            in_order: InOrder::new(settings.order),
            edge,
            dropped: 0,
            told_text: None,
        };
        if let Some(form) = form {
            cursor.settle(form)?;
            if let Some(known) = known {
                cursor.go_back_to(known, form)?;
            }
        }
        Ok(cursor)
    }

    /// What the source is asked for where everything from `from` on is; `None`: its kind is not known.
    pub fn asked_from(&self, from: &str, form: Form) -> Result<Asked<'s>, Failure> {
        Span::everything_from(from).asked(self.settings, Some(form))
    }

    /// Asks from `known`, and stages what would have been staged without it: by a time all from where this began, as before;
    /// by anything else what is behind `known`, as a source that was set back goes on counting there.
    fn go_back_to(&mut self, known: Mark, form: Form) -> Result<(), Failure> {
        let start = self.span.start(form)?;
        let Some(start) = start.filter(|start| known.point < *start) else {
            return Ok(());
        };
        let is_of_time = form.kind.is_time();
        self.floor = Some(Floor {
            point: if is_of_time {
                start
            } else {
                known.point.clone()
            },
            is_wanted: is_of_time,
        });
        self.far = far(&known.point);
        self.span.begins_at(&known.text);
        self.known = Some(known);
        Ok(())
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
        let at = self.at();
        let wrong = |why: String| Failure::data(format!("{record}: `{at}` (SOURCE_CURSOR) {why}"));
        let raw = match (raw, self.settings.missing) {
            (None, Missing::Fail) => return Err(wrong("is missing".to_owned())),
            (None | Some("null"), Missing::Keep) => {
                self.without += 1;
                return Ok(true);
            }
            (None | Some("null"), Missing::Drop) => {
                self.without += 1;
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
        if form.kind == Kind::Text && self.settings.kind.is_none() {
            self.holds_length(&value.text).map_err(wrong)?;
        }
        self.in_order
            .sees(&value.text, &point)
            .map_err(|why| Failure::protocol(format!("{record}: `{at}` {why}")))?;
        if self.values == 0 {
            self.edge.sees_first(self.last.as_ref(), &point);
        }
        self.values += 1;
        self.older += u64::from(self.far.as_ref().is_some_and(|far| point < *far));
        let floor = self.floor.as_ref();
        if floor.is_some_and(|floor| floor.is_above(&point)) {
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
            // It is for the next window to fetch, and no reason to begin behind it.
            self.in_order.passes_the_end();
            return Ok(false);
        }
        self.edge.passes(&mut self.greatest, &point);
        Mark::raise(&mut self.greatest, &value.text, point);
        Ok(true)
    }

    /// Sees a text of a cursor whose kind was told, not set. `Err`: it is longer or shorter than others, as `v9` and `v10`.
    fn holds_length(&mut self, text: &str) -> Result<(), String> {
        if self.told_text.is_none() {
            let last = self.last.as_ref().map(|last| last.text.clone());
            self.told_text = last.or_else(|| Some(text.to_owned()));
        }
        match &self.told_text {
            Some(told) if told.len() != text.len() => Err(format!(
                "is {}, and another record has {}: texts of different lengths may not sort as they stand; if the source compares them byte by byte, set SOURCE_CURSOR_KIND to `text`",
                quoted(text),
                quoted(told)
            )),
            _ => Ok(()),
        }
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
        let at = self.at();
        if self.dropped > 0 {
            let records = counted(self.dropped, "record");
            remarks.push(format!(
                "left out {records} without `{at}` (SOURCE_CURSOR_MISSING)"
            ));
        }
        remarks.extend(self.ignored());
        remarks.extend(self.misses_an_hour());
        if let (Some((from, came)), Asking::Nowhere) = (self.goes_back(), &self.settings.to) {
            remarks.push(format!(
                "warn: no record is at or after `{from}`, where the last run ended; the newest is `{came}`: if the source was restored to an older state, run once with `--full-refresh`"
            ));
        }
        remarks.extend(self.form.map(|form| {
            let told = if self.settings.kind.is_some() {
                "set"
            } else {
                "detected"
            };
            match form.kind {
                Kind::Clock => "cursor: the source's clock (SOURCE_CURSOR_KIND `clock`)".to_owned(),
                kind => format!("cursor `{at}`: kind `{}` ({told})", kind.word()),
            }
        }));
        remarks
    }

    /// What there is to say where an hour that comes twice may be missed.
    fn misses_an_hour(&self) -> Option<String> {
        let form = self.form.filter(|form| form.kind.may_be_naive())?;
        let zone = form.zone?;
        zone.fixed().filter(|offset| *offset != Offset::UTC)?;
        let newest = self.greatest.as_ref().or(self.last.as_ref())?;
        let names_none = Form { zone: None, ..form }.point(&newest.text).is_err();
        let is_short = self.settings.lookback.seconds(form.kind) < 60 * 60;
        (names_none && is_short).then(|| {
            format!(
                "warn: SOURCE_LOOKBACK is less than 1h, and times are those of the fixed offset {zone} (SOURCE_CURSOR_ZONE): where clocks go back in autumn an hour of them comes twice, and records of the second one can be missed; set SOURCE_CURSOR_ZONE to a name, such as `Europe/Berlin`, or SOURCE_LOOKBACK to 65m or more"
            )
        })
    }

    /// What there is to say where records came that are older by far than what was asked for. A text may be sorted at the
    /// source in another way than here, so of those most have to be.
    fn ignored(&self) -> Option<String> {
        let is_text = self.form.is_some_and(|form| form.kind == Kind::Text);
        let least = if is_text { self.values.div_ceil(2) } else { 1 };
        // With the newest first a run ends at the first of them, and nothing is lost by it.
        if self.older < least.max(1) || self.settings.order == Some(Order::Descending) {
            return None;
        }
        let (older, first) = (self.older, self.span.first().unwrap_or_default());
        let (values, to) = (counted(self.values, "record"), self.settings.to.shown());
        Some(format!(
            "warn: {older} of {values} are older than `{first}`, from which {to} asks: the source ignores it, so every run fetches and transfers all records; correct the name, or remove it"
        ))
    }

    /// Whether the source was asked from a value and answered no record that has one, with `fetched` records in all.
    pub fn is_unanswered(&self, fetched: u64) -> bool {
        self.settings.is_checked
            && self.values == 0
            && fetched == self.without
            // Where nothing is filtered, any record shows that the source has its data.
            && (fetched == 0 || self.settings.to != Asking::Nowhere)
            && !self.span.is_range()
            && !self.span.has_next()
            && (self.span.first().is_some() || self.last.is_some())
    }

    /// Whether a record came in any run before.
    pub fn has_had_records(&self) -> bool {
        self.had_records
    }

    /// What was asked from; `None`: nothing was set or kept.
    pub fn first(&self) -> Option<&str> {
        self.span.first()
    }

    /// How its values are read, once that is known.
    pub fn form(&self) -> Option<Form> {
        self.form
    }

    /// Its settings.
    pub fn settings(&self) -> &'s CursorSettings {
        self.settings
    }

    /// Whether the last run ended at this record or behind it.
    pub fn has_passed(&self, mark: &Mark) -> bool {
        let last = self.last.as_ref();
        last.is_some_and(|last| mark.point <= last.point)
    }

    /// The source answers with this record, of all that are older than what was asked for: the next run asks from there.
    pub fn knows(&mut self, mark: Mark) {
        let from = self.span.first();
        let from = from.and_then(|from| self.form.map(|form| form.given_point(from)));
        let is_before = matches!(from, Some(Ok(from)) if mark.point < from);
        // A window is planned from where the run begins, and would make no progress there.
        if is_before && self.last.is_some() && self.settings.window_seconds.is_none() {
            self.known = Some(mark);
        }
    }

    /// What the next run begins with, where that lies before all it wants.
    fn known_next(&self, cursor: &Mark) -> Option<String> {
        let known = self.known.as_ref()?;
        let form = self.form?;
        let newest = match (&self.greatest, &self.below) {
            (Some(_), _) if form.kind.is_time() => return None,
            (Some(greatest), _) => greatest,
            (None, Some(below)) => below,
            (None, None) => known,
        };
        (newest.point < cursor.point).then(|| newest.text.clone())
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
        if self.known.is_some() {
            return Ok(form);
        }
        let start = self.span.start(form)?;
        let is_filtered = self.settings.to != Asking::Nowhere && !self.span.is_range();
        self.far = start.as_ref().filter(|_| is_filtered).and_then(far);
        self.floor = start.filter(|_| is_wanted).map(|point| Floor {
            point,
            is_wanted: true,
        });
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

    /// Where it stands in a record; `None`: no record has it.
    pub fn pointer(&self) -> Option<&'s Pointer> {
        self.settings.pointer.as_ref()
    }

    /// The same, for messages.
    fn at(&self) -> &'s str {
        self.pointer().map_or("", Pointer::text)
    }

    /// Whether it is the source's clock.
    pub fn is_clock(&self) -> bool {
        self.form.is_some_and(|form| form.kind == Kind::Clock)
    }

    /// The cursor that the source's clock is, once all was asked for up to now; `None`: it is another one, or there is more to
    /// ask for.
    fn clock(&self, limit: Timestamp) -> Result<Option<Mark>, Failure> {
        let form = self.form.filter(|form| form.kind == Kind::Clock);
        let Some(form) = form.filter(|_| !self.span.is_range() && !self.span.has_next()) else {
            return Ok(None);
        };
        let mark = form
            .write(limit, "1970-01-01T00:00:00Z")
            .and_then(|text| Mark::of(form, &text));
        mark.map(Some).map_err(Failure::data)
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
        let last = self.last.clone();
        let known = last.as_ref().and_then(|last| self.known_next(last));
        let clock = self.clock(limit)?;
        let reached = match (self.form, self.span.reached()) {
            (Some(form), Some(mark)) => Some(mark.at_most(limit, form)?),
            _ => None,
        };
        let reached = Mark::later(reached, clock);
        let declared = self.settings.order == Some(Order::Ascending);
        let greatest = match (self.form, self.greatest) {
            (Some(form), Some(mark)) if form.kind.is_time() => Some(mark.at_most(limit, form)?),
            (_, mark) if self.is_ascending || declared || !self.has_first_page => mark,
            _ => self.first_page,
        };
        let mark = Mark::later(last, Mark::later(reached, greatest));
        Ok(Position {
            kind: self.form.map(|form| form.kind),
            zone: self.settings.zone.filter(|_| mark.is_some()),
            is_empty: mark.is_some() && !self.had_records && self.values == 0,
            cursor: mark.map(|mark| mark.text),
            known,
            before: None,
        })
    }
}

/// Before which a record is older by far than `from`: by more than a day for times, as the source may know days only.
pub fn far(from: &Point<'_>) -> Option<Point<'static>> {
    match from {
        Point::At(at) => {
            let far = at.checked_sub(form::duration(24 * 60 * 60));
            far.ok().map(Point::At)
        }
        other => Some(other.clone().into_owned()),
    }
}

#[cfg(test)]
mod tests;
