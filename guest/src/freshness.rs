//! Whether a source that answered no record has none: a run that asked from a value asks again further back, one page each.
//!
//! The question is inclusive, so the record that bears the cursor comes back, unless it was deleted. Where none came, a source
//! that answers from an earlier value filters well; one that answers only where nothing is filtered does not know the
//! parameter, and would answer nothing for ever; one that has no record at all lost its data. None of these pages is staged.

use crate::cursor::{Asking, Cursor, Form, Kind, Mark, Point, Value, Zone, far};
use crate::failure::{Detail, Failure, counted, quoted};
use crate::ports::{Clock, Http};
use crate::settings::Settings;
use crate::source::page::{self, Shape};
use crate::source::{Ask, Each, Fetched, Getter};
use tidegate_json::{Paths, Pointer, unfit};

/// What is said of every failure here.
const SKIPS: &str = "`SOURCE_CURSOR_CHECK=no` skips this check";
/// Values among which a middle one is looked for; of more, so many.
const LOOKED_AT_MAX: usize = 256;

/// Asks further back for a `cursor` whose question no record answered.
///
/// `Ok`: the source filters, or has no way to be asked otherwise; with the newest record of the page that showed it. `Err`:
/// the parameter is wrong, or the source lost its data.
pub fn check<H: Http, C: Clock>(
    settings: &Settings,
    each: Option<&Each>,
    cursor: &Cursor<'_>,
    getter: &mut Getter<'_, H, C>,
) -> Result<Option<Mark>, Failure> {
    let mut check = Check::new(settings, each, cursor, getter);
    let found = check.found()?;
    if let Some(mark) = &found {
        check.tells_of(mark);
    }
    Ok(found)
}

/// What a second question shows, which asks from a value of the `first` answer: whether the source filters, in one line.
pub fn look<H: Http, C: Clock>(
    settings: &Settings,
    each: Option<&Each>,
    cursor: &Cursor<'_>,
    first: &Fetched,
    getter: &mut Getter<'_, H, C>,
) -> Result<String, Failure> {
    let mut check = Check::new(settings, each, cursor, getter);
    let to = cursor.settings().to.shown();
    let Some(at) = cursor.pointer() else {
        return Ok("not tried: no record has a cursor (SOURCE_CURSOR_KIND `clock`)".to_owned());
    };
    let before = Values::of(first, &check.shape(), at, cursor.form(), cursor)?;
    let (Some(form), Some(middle)) = (before.form, before.middle()) else {
        return Ok("not tried: no record of the answer has a cursor that can be read".to_owned());
    };
    let from = quoted(&middle.text);
    let asks = format!("asked again, {to} from {from} on");
    let values = match check.asks_from(&middle.text, form)? {
        Brought::Page(values) => values,
        Brought::Refusal => return Ok(format!("{asks}: the source refuses it")),
        Brought::Nothing => return Ok("not tried: it is the same request".to_owned()),
    };
    let came = counted(values.records, "record");
    if values.marks.is_empty() {
        let earlier = form.before(&middle.text);
        let earlier = earlier.map(|earlier| check.asks_from(&earlier, form));
        return Ok(match earlier.transpose()? {
            Some(Brought::Page(values)) if !values.marks.is_empty() => format!(
                "{asks}: no record, and from an earlier value some: it filters, and leaves out the value itself"
            ),
            _ => format!(
                "{asks}: no record, though this answer has some: the source does not know the parameter, or does not read the value; a run would fail (65) once no record comes; correct SOURCE_CURSOR_TO or SOURCE_CURSOR_SEND"
            ),
        });
    }
    let older = values.older(&middle.point);
    let far = far(&middle.point).unwrap_or_else(|| middle.point.clone());
    Ok(if values.older(&far) > 0 {
        format!(
            "{asks}: {came}, {older} of them older: the source ignores the parameter, so every run would fetch everything; correct SOURCE_CURSOR_TO, or remove it"
        )
    } else if before.older(&middle.point) == 0 || (older > 0 && before.older(&far) == 0) {
        format!("{asks}: {came}; the values are too close to each other to see whether it filters")
    } else {
        format!("{asks}: {came}, none of them older: it filters")
    })
}

/// The questions of one check.
struct Check<'c, 'g, H, C> {
    settings: &'c Settings,
    each: Option<&'c Each>,
    cursor: &'c Cursor<'c>,
    getter: &'c mut Getter<'g, H, C>,
    /// The requests that were made already.
    made: Vec<Ask>,
    /// Whether a page had records without a cursor only: what follows them is not known.
    is_unclear: bool,
}

/// What a question brought.
enum Brought {
    /// A page with these records, perhaps none.
    Page(Values),
    /// The source refused it, so it reads what it is asked for.
    Refusal,
    /// It was asked already.
    Nothing,
}

impl<'c, 'g, H: Http, C: Clock> Check<'c, 'g, H, C> {
    fn new(
        settings: &'c Settings,
        each: Option<&'c Each>,
        cursor: &'c Cursor<'c>,
        getter: &'c mut Getter<'g, H, C>,
    ) -> Self {
        Self {
            settings,
            each,
            cursor,
            getter,
            made: Vec::new(),
            is_unclear: false,
        }
    }

    fn found(&mut self) -> Result<Option<Mark>, Failure> {
        let to = &self.cursor.settings().to;
        if *to == Asking::Nowhere {
            return self.nothing_at_all();
        }
        let (cursor, form) = (self.cursor, self.cursor.form());
        if let (Some(form), Some(first)) = (form, cursor.first()) {
            self.made.push(self.filtered(first, form)?);
            for from in further_back(cursor, first, form) {
                match self.asks_from(&from, form)? {
                    Brought::Page(values) if !values.marks.is_empty() => {
                        return Ok(values.greatest().cloned());
                    }
                    Brought::Refusal => return Ok(None),
                    Brought::Page(_) | Brought::Nothing => {}
                }
            }
        }
        if *to == Asking::Template {
            return self.nothing_at_all();
        }
        let everything = self.settings.first_ask(self.each, None, None)?;
        let values = match self.asks(&everything)? {
            Brought::Page(values) if values.records > 0 => values,
            Brought::Page(_) => return self.nothing_at_all(),
            Brought::Refusal | Brought::Nothing => return Ok(None),
        };
        if let (Some(form), Some(least)) = (values.form, values.least()) {
            // All records may be older than what was asked for: by a filter that works they come from the oldest on.
            let from = form.before(&least.text).unwrap_or(least.text.clone());
            match self.asks_from(&from, form)? {
                Brought::Page(values) if !values.marks.is_empty() => {
                    return Ok(values.greatest().cloned());
                }
                Brought::Refusal => return Ok(None),
                Brought::Page(_) | Brought::Nothing => {}
            }
        }
        if self.is_unclear {
            self.log("warn: no record with a cursor came, and the first pages of earlier ones have none either: whether the source filters is not known (SOURCE_CURSOR_CHECK)");
            return Ok(None);
        }
        Err(self.wrong_parameter(&values))
    }

    /// Nothing came however it was asked for.
    fn nothing_at_all(&mut self) -> Result<Option<Mark>, Failure> {
        let first = quoted(self.cursor.first().unwrap_or_default());
        let is_template = self.cursor.settings().to == Asking::Template;
        match (self.cursor.has_had_records(), is_template) {
            (true, true) => Err(Failure::data(format!(
                "the source has no record from {first} on, where this run asks, nor from any earlier value: either it lost its data, or it does not read `{{cursor}}` as it stands; correct SOURCE_API_URL or SOURCE_CURSOR_SEND; if the source was emptied on purpose, run once with `--full-refresh`; {SKIPS}"
            ))),
            (true, false) => Err(Failure::data(format!(
                "the source has no record any more, but the last run had some, up to the cursor: it lost its data; if it was emptied on purpose, run once with `--full-refresh`; {SKIPS}"
            ))),
            (false, true) => {
                self.log(&format!(
                    "warn: the source has no record from {first} (SOURCE_CURSOR_START) on, nor from any earlier value: if it has records, check where `{{cursor}}` stands, and SOURCE_CURSOR_SEND"
                ));
                Ok(None)
            }
            (false, false) => Ok(None),
        }
    }

    fn wrong_parameter(&self, values: &Values) -> Failure {
        let to = self.cursor.settings().to.shown();
        let first = quoted(self.cursor.first().unwrap_or_default());
        let newest = values.greatest().map(|mark| quoted(&mark.text));
        let newest = newest.map_or_else(String::new, |newest| format!(", up to {newest}"));
        let records = counted(values.records, "record");
        Failure::data(format!(
            "no record is from {first} on when {to} asks, nor from any earlier value, but without it the source has {records} on its first page{newest}: it does not know this parameter, or does not read the value; correct SOURCE_CURSOR_TO or SOURCE_CURSOR_SEND; {SKIPS}"
        ))
    }

    /// Says what an earlier record means.
    fn tells_of(&mut self, newest: &Mark) {
        let cursor = self.cursor;
        let (Some(first), Some(form)) = (cursor.first(), cursor.form()) else {
            return;
        };
        let Ok(from) = form.given_point(first) else {
            return;
        };
        let (to, first, text) = (
            cursor.settings().to.shown(),
            quoted(first),
            quoted(&newest.text),
        );
        if newest.point < from {
            self.log(&format!(
                "no record is from {first} on; asked from earlier, the source answers up to {text}: what was newer is deleted"
            ));
        } else if newest.point > from && cursor.has_passed(newest) {
            self.log(&format!(
                "warn: a record with {text} comes only when {to} asks from long before {first}: the source may take the times for those of another zone, and records can be missed; correct SOURCE_CURSOR_ZONE or SOURCE_CURSOR_SEND, or set SOURCE_LOOKBACK to more than the difference"
            ));
        }
    }

    /// Everything from `from` on, as it is asked for.
    fn filtered(&self, from: &str, form: Form) -> Result<Ask, Failure> {
        let ask = self.settings.first_ask(self.each, None, None)?;
        self.begun(&self.cursor.asked_from(from, form)?.of(ask)?)
    }

    /// As the first page of it is asked for.
    fn begun(&self, ask: &Ask) -> Result<Ask, Failure> {
        let mut shape = self.shape();
        Ok(self.settings.pages(ask, &mut shape)?.ask().clone())
    }

    fn asks_from(&mut self, from: &str, form: Form) -> Result<Brought, Failure> {
        let ask = self.settings.first_ask(self.each, None, None)?;
        let ask = self.cursor.asked_from(from, form)?.of(ask)?;
        self.asks(&ask)
    }

    fn asks(&mut self, ask: &Ask) -> Result<Brought, Failure> {
        let ask = self.begun(ask)?;
        if self.made.contains(&ask) {
            return Ok(Brought::Nothing);
        }
        self.made.push(ask.clone());
        let fetched = match self.getter.get(&ask, 1) {
            Ok(fetched) => fetched,
            Err(failure) if refuses(&failure) => return Ok(Brought::Refusal),
            Err(failure) => return Err(asked_why(failure)),
        };
        let form = self.cursor.form();
        let Some(at) = self.cursor.pointer() else {
            return Ok(Brought::Nothing);
        };
        let values = Values::of(&fetched, &self.shape(), at, form, self.cursor);
        let values = values.map_err(asked_why)?;
        self.is_unclear |= values.records > 0 && values.marks.is_empty();
        Ok(Brought::Page(values))
    }

    fn shape(&self) -> Shape {
        self.settings.shape()
    }

    fn log(&mut self, line: &str) {
        self.getter.log(line);
    }
}

/// The values to ask from by the filter, the nearest first, and what the first run began with.
fn further_back(cursor: &Cursor<'_>, first: &str, form: Form) -> Vec<String> {
    let mut all = form.further_back(first);
    if let Some(start) = &cursor.settings().start {
        let point = |text: &str| form.given_point(text).ok().map(Point::into_owned);
        let furthest = all.last().map_or(first, String::as_str);
        if point(start) < point(furthest) {
            all.push(start.clone());
        }
    }
    all
}

/// Whether the source read what it was asked for, and refused it for good.
fn refuses(failure: &Failure) -> bool {
    match failure {
        Failure::Refused(_) => true,
        Failure::Denied(detail) => detail.status == Some(403),
        _ => false,
    }
}

/// The failure of a question that the job did not ask for.
fn asked_why(failure: Failure) -> Failure {
    let with = |detail: Detail| Detail {
        message: format!(
            "{} (asked because no record came from the cursor on; {SKIPS})",
            detail.message
        ),
        ..detail
    };
    match failure {
        Failure::Unavailable(detail) => Failure::Unavailable(with(detail)),
        Failure::Protocol(detail) => Failure::Protocol(with(detail)),
        other => other,
    }
}

/// The cursors of one page.
struct Values {
    form: Option<Form>,
    records: u64,
    /// In the order in which they came.
    marks: Vec<Mark>,
}

impl Values {
    fn of(
        fetched: &Fetched,
        shape: &Shape,
        at: &Pointer,
        form: Option<Form>,
        cursor: &Cursor<'_>,
    ) -> Result<Self, Failure> {
        let mut values = Self {
            form,
            records: 0,
            marks: Vec::new(),
        };
        let mut paths = Paths::default();
        let slot = paths.add(at);
        let zone = cursor.settings().zone;
        if fetched.answer.status == 304 {
            return Ok(values);
        }
        let place = fetched.place(1);
        let opened = fetched.open(shape, &place)?;
        let contents = page::read(&opened, shape, &place, &mut |_, text| {
            let mut found = vec![None; paths.slots()];
            if unfit(text).is_none()
                && paths.read(text, &mut found).is_ok()
                && let Some(raw) = found[slot]
            {
                values.sees(raw, zone);
            }
            Ok(())
        })?;
        values.records = contents.records;
        Ok(values)
    }

    /// Sees a record's cursor; one that cannot be read shows nothing.
    fn sees(&mut self, raw: &str, zone: Option<Zone>) {
        let Ok(value) = Value::of(raw) else { return };
        let told = || {
            let kind = Kind::of(&value, zone).ok()?;
            Some(Form { kind, zone })
        };
        let Some(form) = self.form.or_else(told) else {
            return;
        };
        if let Ok(point) = form.point_of(&value) {
            self.form = Some(form);
            self.marks.push(Mark {
                text: value.text.to_string(),
                point: point.into_owned(),
            });
        }
    }

    fn least(&self) -> Option<&Mark> {
        self.marks
            .iter()
            .min_by(|one, other| one.point.cmp(&other.point))
    }

    fn greatest(&self) -> Option<&Mark> {
        self.marks
            .iter()
            .max_by(|one, other| one.point.cmp(&other.point))
    }

    /// One with values on both sides of it, where there is one; else the greatest.
    fn middle(&self) -> Option<&Mark> {
        let mut some: Vec<&Mark> = Vec::new();
        let step = self.marks.len().div_ceil(LOOKED_AT_MAX).max(1);
        for mark in self.marks.iter().step_by(step) {
            if let Err(at) = some.binary_search_by(|one| one.point.cmp(&mark.point)) {
                some.insert(at, mark);
            }
        }
        if some.len() >= 3 {
            return Some(some[some.len() / 2]);
        }
        let (least, greatest) = (self.least()?, self.greatest()?);
        let is_between = |mark: &&Mark| least.point < mark.point && mark.point < greatest.point;
        self.marks.iter().find(is_between).or(Some(greatest))
    }

    /// How many lie before `point`.
    fn older(&self, point: &Point<'_>) -> usize {
        self.marks.iter().filter(|mark| mark.point < *point).count()
    }
}
