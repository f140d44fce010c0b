//! What is asked for at once: from a value, and up to the end of a window where there is one.
//!
//! Windows (`SOURCE_WINDOW`) follow each other without a gap: one begins with the very value at which the one before ended, as
//! that was sent. The last one has no end: a record is never left out because its time is still to come.

use jiff::Timestamp;

use super::asking::Asked;
use super::form::{Back, Form, duration};
use super::kind::{Kind, Point};
use super::mark::Mark;
use super::{CursorSettings, Position, Window};
use crate::failure::{Failure, quoted};
use crate::time::Zone;

/// The start of a range, as the host's command line names it.
const FROM: &str = "--from";
/// Its end.
const TO: &str = "--to";

/// What is asked for at once.
#[derive(Debug)]
pub struct Span {
    /// What the first one of the run began with.
    first: Option<String>,
    from: Option<String>,
    end: Option<Mark>,
    /// The end of the range that was asked for; `None`: there is no range.
    range_end: Option<Mark>,
    /// The end of the window before.
    reached: Option<Mark>,
}

impl Span {
    /// Begins a look-back before `last`, or at `last` itself where the run before was to go on there (`resumes`), or at the
    /// start that is set.
    pub fn since(
        settings: &CursorSettings,
        form: Option<Form>,
        last: Option<&Mark>,
        resumes: bool,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let from = match (form, last) {
            (Some(form), Some(last)) if resumes => {
                let from = form.back_from(&last.text, Back::Seconds(0));
                Some(from.map_err(Failure::data)?)
            }
            (Some(form), Some(last)) => {
                let back = settings.lookback.of(form.kind);
                let from = back.and_then(|back| form.back_from(&last.text, back));
                Some(from.map_err(|why| Failure::setting("SOURCE_LOOKBACK", why))?)
            }
            _ => settings.start.clone(),
        };
        let mut span = Self {
            first: from.clone(),
            from,
            end: None,
            range_end: None,
            reached: None,
        };
        if let Some(form) = form {
            span.plan(settings, form, last, now)?;
        }
        Ok(span)
    }

    /// Begins at the start of `range`.
    pub fn of_range(
        settings: &CursorSettings,
        form: Option<Form>,
        range: &Window,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let form = form.ok_or_else(|| {
            Failure::setting(
                "SOURCE_CURSOR_KIND",
                "is not set, and no run has detected it yet: reading a range needs it",
            )
        })?;
        let given = |name: &str, text: &str| {
            let point = form.given_point(text).map(Point::into_owned);
            point.map_err(|why| Failure::setting(name, why))
        };
        let as_written = |name: &str, text: &str| {
            let text = form.given_text(text);
            text.map_err(|why| Failure::setting(name, why))
        };
        let range = &Window {
            start: as_written(FROM, &range.start)?,
            end: as_written(TO, &range.end)?,
        };
        if form.kind == Kind::Clock && settings.end_to.is_none() {
            return Err(Failure::setting(
                TO,
                "needs SOURCE_CURSOR_END_TO: with SOURCE_CURSOR_KIND `clock` only the source can say which records are in a range",
            ));
        }
        let start = given(FROM, &range.start)?;
        let end = given(TO, &range.end)?;
        if start >= end {
            let (start, end) = (quoted(&range.start), quoted(&range.end));
            return Err(Failure::setting(
                FROM,
                format!("{start} is not before {end} ({TO}): the range is empty"),
            ));
        }
        let mut span = Self {
            first: Some(range.start.clone()),
            from: Some(range.start.clone()),
            end: None,
            range_end: Some(Mark {
                text: range.end.clone(),
                point: end,
            }),
            reached: None,
        };
        span.plan(settings, form, None, now)?;
        Ok(span)
    }

    /// Goes on where this one ends.
    pub fn go_on(
        &mut self,
        settings: &CursorSettings,
        form: Form,
        now: Timestamp,
    ) -> Result<(), Failure> {
        if let Some(end) = self.end.take() {
            self.from = Some(end.text.clone());
            self.reached = Some(end);
        }
        self.plan(settings, form, None, now)
    }

    /// Sets the end. It is a value that can be written and sent as it is, so that no record lies between two windows.
    fn plan(
        &mut self,
        settings: &CursorSettings,
        form: Form,
        last: Option<&Mark>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        self.end.clone_from(&self.range_end);
        let (Some(seconds), Some(from)) = (settings.window_seconds, &self.from) else {
            return Ok(());
        };
        let wrong = |why: String| Failure::setting("SOURCE_WINDOW", why);
        let Point::At(start) = form.given_point(from).map_err(wrong)? else {
            return Err(wrong("needs a cursor that is a time".to_owned()));
        };
        let Ok(at) = start.checked_add(duration(seconds)) else {
            return Ok(());
        };
        if at > now {
            return Ok(());
        }
        let end = boundary(form, settings.send, at, from).map_err(wrong)?;
        if self
            .range_end
            .as_ref()
            .is_some_and(|range_end| end.point >= range_end.point)
        {
            return Ok(());
        }
        if end.point <= Point::At(start) || last.is_some_and(|last| end.point <= last.point) {
            let (from, end) = (quoted(from), quoted(&end.text));
            return Err(wrong(format!(
                "is too short: the window from {from} ends at {end}, and the run would make no progress"
            )));
        }
        self.end = Some(end);
        Ok(())
    }

    /// Everything from `from` on.
    pub fn everything_from(from: &str) -> Self {
        let from = Some(from.to_owned());
        Self {
            first: from.clone(),
            from,
            end: None,
            range_end: None,
            reached: None,
        }
    }

    /// What is sent.
    pub fn asked<'s>(
        &self,
        settings: &'s CursorSettings,
        form: Option<Form>,
    ) -> Result<Asked<'s>, Failure> {
        let as_read = |text: &String| Ok(text.clone());
        let sent = |text: &String, write: fn(Form, Timestamp) -> Result<String, String>| {
            let (Some(send), Some(form)) = (settings.send, form) else {
                return as_read(text);
            };
            match form.given_point(text)? {
                Point::At(at) => write(send, at),
                _ => as_read(text),
            }
        };
        let wrong = |why| Failure::setting("SOURCE_CURSOR_SEND", why);
        let from = self.from.as_ref().map(|text| sent(text, Form::sent));
        let end = self.end.as_ref().map(|end| sent(&end.text, Form::sent_end));
        Ok(Asked {
            to: &settings.to,
            from: from.transpose().map_err(wrong)?,
            end_to: settings.end_to.as_ref(),
            end: end.transpose().map_err(wrong)?,
            kind: settings.send.or(form).map(|form| form.kind),
        })
    }

    /// Begins at `known` instead.
    pub fn begins_at(&mut self, known: &str) {
        self.first = Some(known.to_owned());
        self.from = self.first.clone();
    }

    /// What the run began with.
    pub fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }

    /// Where this begins.
    pub fn start(&self, form: Form) -> Result<Option<Point<'static>>, Failure> {
        let point = self.from.as_ref().map(|from| form.given_point(from));
        let point = point.transpose();
        point
            .map(|point| point.map(Point::into_owned))
            .map_err(|why| Failure::setting("SOURCE_CURSOR_START", why))
    }

    /// Whether this is a range to read again.
    pub fn is_range(&self) -> bool {
        self.range_end.is_some()
    }

    /// Whether a point lies before the end; true where there is none.
    pub fn has_before_its_end(&self, point: &Point<'_>) -> bool {
        self.end.as_ref().is_none_or(|end| *point < end.point)
    }

    /// Whether there is something to ask for behind the end.
    pub fn has_next(&self) -> bool {
        match (&self.end, &self.range_end) {
            (Some(end), Some(range_end)) => end.point < range_end.point,
            (end, _) => end.is_some(),
        }
    }

    /// Whether the end is in the past of a source whose clock says `now`.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.end
            .as_ref()
            .is_some_and(|end| end.point <= Point::At(now))
    }

    /// Up to where everything was read, because it was asked for up to there.
    pub fn reached(self) -> Option<Mark> {
        self.end.or(self.reached)
    }
}

/// The value at `at` or just before it that can be written and sent without a change.
fn boundary(form: Form, send: Option<Form>, at: Timestamp, like: &str) -> Result<Mark, String> {
    let text = form.write(at, like)?;
    let mark = Mark::of(form, &text)?;
    let (Some(send), Point::At(at)) = (send, &mark.point) else {
        return Ok(mark);
    };
    match send.point(&send.sent(*at)?)? {
        Point::At(at) => Mark::of(form, &form.write(at, &text)?),
        _ => Ok(mark),
    }
}

/// The kind of this run, from the settings or from the last one. `Err`: the two differ.
pub fn kind(settings: &CursorSettings, state: &Position) -> Result<Option<Kind>, Failure> {
    // Without a cursor there is nothing that the old kind still says.
    let was = state.kind.filter(|_| state.cursor.is_some());
    let told = |what: String| {
        Failure::setting(
            "SOURCE_CURSOR_KIND",
            format!("is {what}: change it back, or run once with `--full-refresh`"),
        )
    };
    match (settings.kind, was) {
        (Some(set), Some(was)) if set != was => {
            let (set, was) = (set.in_state(), was.in_state());
            Err(told(format!(
                "`{set}`, but the published state has `{was}`"
            )))
        }
        (None, Some(Kind::Token)) => Err(told(
            "not set, but the published state has `token`".to_owned(),
        )),
        (set, was) => Ok(set.or(was)),
    }
}

/// Where the last run ended. `Err`: it cannot be read with these settings.
pub fn last(form: Form, text: &str, zone: Option<Zone>) -> Result<Mark, Failure> {
    let named = Form { zone: None, ..form };
    if named.point(text).is_err()
        && let (set, Some(was)) = (form.zone, zone)
        && set != Some(was)
    {
        let set = set.map_or_else(|| "not set".to_owned(), |set| format!("`{set}`"));
        return Err(Failure::setting(
            "SOURCE_CURSOR_ZONE",
            format!(
                "is {set}, but the published state has `{was}`: change it back, or run once with `--full-refresh`"
            ),
        ));
    }
    Mark::of(form, text).map_err(|why| Failure::setting("state", why))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn times() -> Vec<Kind> {
        let pattern = |text| Kind::Pattern(crate::time::Pattern::new(text).unwrap());
        let patterns = ["%d.%m.%Y", "%F %H:%M", "%FT%T.%3f%z", "%s"].map(pattern);
        let plain = [
            Kind::Rfc3339,
            Kind::Date,
            Kind::Epoch,
            Kind::EpochMs,
            Kind::Rfc2822,
            Kind::MsJson,
        ];
        plain.into_iter().chain(patterns).collect()
    }

    proptest! {
        #[test]
        fn what_is_sent_as_the_end_of_a_window_is_where_the_next_begins(
            seconds in -60_000_000_000_i64..250_000_000_000,
            nanos in 0_i32..1_000_000_000,
            kind in prop::sample::select(times()),
            send in prop::sample::select(times()),
            has_fraction in any::<bool>(),
        ) {
            let at = Timestamp::new(seconds, nanos).unwrap();
            let like = match (kind, has_fraction) {
                (Kind::Rfc3339, true) => "2020-01-01T00:00:00.000+05:30",
                (Kind::Rfc3339, false) => "2020-01-01T00:00Z",
                (_, true) => "0.00",
                (_, false) => "0",
            };
            let form = Form::to_send(kind, None);

            let send = Form::to_send(send, None);
            let end = boundary(form, Some(send), at, like).unwrap();

            let Point::At(kept) = end.point else { panic!("a time is a time") };
            let sent = send.sent(kept).unwrap();
            prop_assert_eq!(send.point(&sent), Ok(Point::At(kept)));
            prop_assert_eq!(form.point(&end.text), Ok(Point::At(kept)));
            prop_assert!(kept <= at && at.duration_since(kept) < duration(2 * 24 * 60 * 60));
        }
    }
}
