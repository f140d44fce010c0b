//! The cursor: from which value to ask, which records are new, and which value the next run begins with.
//!
//! The cursor is the greatest value seen, in the source's own words, and it never goes back. A record that changes while we
//! page must be asked for again: so a point in time never passes the source's clock at the start of the run, and any other
//! cursor never passes the first page's unless the source gave the records in its order. Where it is kept is the host's
//! business, how it is sent is `fetch`'s.

mod kind;
mod lookback;
mod number;
mod time;

use std::fmt::Display;

use jiff::Timestamp;

pub use self::kind::{Back, Kind, Point, VALUE_BYTES_MAX, Value};
pub use self::lookback::Lookback;
pub use self::number::Number;
use crate::failure::Failure;
use crate::pointer::Pointer;
use crate::state::State;

/// The settings of a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorSettings {
    /// `SOURCE_CURSOR`: where it stands in a record.
    pub pointer: Pointer,
    /// `SOURCE_CURSOR_TO`: the query name that takes it; `None`: records are filtered here.
    pub query_name: Option<String>,
    /// `SOURCE_CURSOR_KIND`; `None`: told from the first value.
    pub kind: Option<Kind>,
    /// `SOURCE_CURSOR_START`: the value of a first run.
    pub start: Option<String>,
    /// `SOURCE_LOOKBACK`.
    pub lookback: Lookback,
}

/// Reads a first value: a cursor's kind, or a plain date where times are meant.
pub fn start_point(kind: Kind, start: &str) -> Result<Point<'_>, String> {
    match kind {
        Kind::Rfc3339 => Kind::Date.point(start).or_else(|_| kind.point(start)),
        other => other.point(start),
    }
}

/// The cursor of one run.
#[derive(Debug)]
pub struct Cursor<'s> {
    settings: &'s CursorSettings,
    kind: Option<Kind>,
    /// Where the last run ended.
    last: Option<Mark>,
    /// What to ask from.
    from: Option<String>,
    /// Records below it are not staged. `None` as well when the source filters.
    floor: Option<Point<'static>>,
    greatest: Option<Mark>,
    /// The greatest of the first page, once that has ended.
    first_page: Option<Mark>,
    has_first_page: bool,
    is_ascending: bool,
}

#[derive(Debug, Clone)]
struct Mark {
    text: String,
    point: Point<'static>,
}

impl<'s> Cursor<'s> {
    /// Begins where `state` ended. `Err`: settings and state do not fit each other.
    pub fn begin(settings: &'s CursorSettings, state: &State) -> Result<Self, Failure> {
        let mut cursor = Self {
            settings,
            kind: settings.kind,
            last: None,
            from: settings.start.clone(),
            floor: None,
            greatest: None,
            first_page: None,
            has_first_page: false,
            is_ascending: true,
        };
        // Without a cursor there is nothing that the old kind still says.
        match (settings.kind, state.kind) {
            (Some(set), Some(was)) if set != was && state.cursor.is_some() => {
                let (set, was) = (set.word(), was.word());
                return Err(Failure::setting(
                    "SOURCE_CURSOR_KIND",
                    format!(
                        "is `{set}`, but the published state has `{was}`: set it back, or run once with `--full-refresh`"
                    ),
                ));
            }
            (None, Some(was)) if state.cursor.is_some() => cursor.kind = Some(was),
            _ => {}
        }
        if let (Some(kind), Some(text)) = (cursor.kind, &state.cursor) {
            let from = settings
                .lookback
                .of(kind)
                .and_then(|back| kind.back_from(text, back));
            cursor.from = Some(from.map_err(|why| Failure::setting("SOURCE_LOOKBACK", why))?);
            let point = kind
                .point(text)
                .map_err(|why| Failure::setting("state", why))?;
            cursor.last = Some(Mark {
                text: text.clone(),
                point: point.into_owned(),
            });
        }
        if let Some(kind) = cursor.kind {
            cursor.settle(kind)?;
        }
        Ok(cursor)
    }

    /// Whether the last run left a cursor, so that this one fetches changes.
    pub fn continues(&self) -> bool {
        self.last.is_some()
    }

    /// The query parameter that asks for what is new, if the source takes one and there is a value to ask from.
    pub fn parameter(&self) -> Option<(&str, &str)> {
        Some((self.settings.query_name.as_deref()?, self.from.as_deref()?))
    }

    /// Sees the JSON text of a record's cursor, if it has one. `Ok(false)`: it is older than what was asked for, and the
    /// filter is ours, so the record is not staged. `Err` names `record`.
    pub fn sees(&mut self, raw: Option<&str>, record: &dyn Display) -> Result<bool, Failure> {
        let at = &self.settings.pointer;
        let wrong = |why: String| Failure::data(format!("{record}: `{at}` (SOURCE_CURSOR) {why}"));
        let raw = raw.ok_or_else(|| wrong("is missing".to_owned()))?;
        let value = Value::of(raw).map_err(wrong)?;
        let kind = if let Some(kind) = self.kind {
            kind
        } else {
            let told = Kind::of(&value);
            let kind = told.map_err(|why| wrong(format!("is of no known kind: {why}")))?;
            self.settle(kind)?;
            kind
        };
        let point = kind
            .point_of(&value)
            .map_err(|why| wrong(format!("cannot be used: {why}")))?;
        if self.floor.as_ref().is_some_and(|floor| point < *floor) {
            self.is_ascending &= self.greatest.is_none();
            return Ok(false);
        }
        match &self.greatest {
            Some(greatest) if point < greatest.point => self.is_ascending = false,
            Some(greatest) if point == greatest.point => {}
            _ => {
                self.greatest = Some(Mark {
                    point: point.into_owned(),
                    text: value.text.into_owned(),
                });
            }
        }
        Ok(true)
    }

    /// A page has been read to its end.
    pub fn page_ends(&mut self) {
        if !self.has_first_page {
            self.has_first_page = true;
            self.first_page.clone_from(&self.greatest);
        }
    }

    /// What follows from the kind, once it is known.
    fn settle(&mut self, kind: Kind) -> Result<(), Failure> {
        self.kind = Some(kind);
        self.settings
            .lookback
            .of(kind)
            .map_err(|why| Failure::setting("SOURCE_LOOKBACK", why))?;
        if self.settings.query_name.is_some() {
            return Ok(());
        }
        self.floor = match (&self.from, &self.last) {
            (Some(from), Some(_)) => kind.point(from).ok().map(Point::into_owned),
            (Some(start), None) => {
                let point = start_point(kind, start)
                    .map_err(|why| Failure::setting("SOURCE_CURSOR_START", why))?;
                Some(point.into_owned())
            }
            (None, _) => None,
        };
        Ok(())
    }

    /// The state for the next run. `source_time` is the source's clock at the start of this one.
    pub fn end(self, source_time: Timestamp) -> Result<State, Failure> {
        let greatest = match (self.kind, self.greatest) {
            (Some(kind), Some(mark)) if kind.is_time() => Some(mark.at_most(source_time, kind)?),
            (_, mark) if self.is_ascending || !self.has_first_page => mark,
            _ => self.first_page,
        };
        let mark = match (greatest, self.last) {
            (Some(greatest), Some(last)) if greatest.point > last.point => Some(greatest),
            (greatest, None) => greatest,
            (_, last) => last,
        };
        Ok(State {
            kind: self.kind,
            cursor: mark.map(|mark| mark.text),
        })
    }
}

impl Mark {
    /// This mark, or the point `limit` written the same way if that comes earlier.
    fn at_most(self, limit: Timestamp, kind: Kind) -> Result<Self, Failure> {
        if self.point <= Point::At(limit) {
            return Ok(self);
        }
        let text = kind.write(limit, &self.text).map_err(Failure::data)?;
        let point = kind.point(&text).map_err(Failure::data)?.into_owned();
        Ok(Self { text, point })
    }
}

#[cfg(test)]
mod tests;
