//! Pages: the bytes of one answer become records, each handed on exactly as it came.
//!
//! A page is used whole or not at all: it must be UTF-8, one JSON value with nothing behind it (or one a line), and hold
//! records where the settings say. Records are borrowed from the page, never rebuilt, so numbers and strings keep their
//! bytes; only a jq program makes others. Whether one can be used, and what it means, is the caller's job.

mod bare;
mod lines;

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::program::{Facts, Made, Program};
use crate::failure::{Failure, quoted, said};
use crate::ports::Answer;
use crate::source::excerpt;
use crate::source::retry::header;
use tidegate_json::{Paths, Pointer, Take, escape};

/// Arrays named in a hint.
const HINTS_MAX: usize = 5;

/// Where something happened, for messages: a page number and the URL without its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub page: u64,
    /// `scheme://host/path`.
    pub url: String,
    /// What the answer says that it is.
    pub content_type: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {} of `{}`", self.page, self.url)
    }
}

/// How a body holds records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// An array of them, at the place that the settings name.
    #[default]
    Json,
    /// One JSON value a line, and nothing else.
    Ndjson,
    /// One record: the value at that place.
    Object,
}

/// Where things stand in a page: its records, and what else is read of it.
#[derive(Debug)]
pub struct Shape {
    format: Format,
    paths: Paths,
    records: usize,
    /// The pointers to what else is read.
    others: Vec<Pointer>,
    /// The pointer to the records as the settings have it; empty: the body itself.
    records_at: String,
    /// What makes the records, in place of a pointer.
    made_by: Option<Program>,
    /// What else is read of a page by programs, and the setting of each.
    programs: Vec<(Program, &'static str)>,
    /// What a record has, and anything else has not.
    known_by: Vec<Pointer>,
    /// Whether the page at hand may be the one behind the last: it need not have records.
    may_be_behind: bool,
    /// `SOURCE_RECORDS_MISSING`: a page without the place of the records has none.
    missing_is_empty: bool,
    /// Whether it came as XML: an array of one is an object, and all values are texts.
    is_xml: bool,
}

impl Shape {
    /// Records stand at `records`; `None`: the body is the array.
    pub fn new(records: Option<&Pointer>) -> Self {
        Self::of(Format::Json, records)
    }

    /// Records stand at `records`, in this format; `None`: the body holds them, or is the one.
    pub fn of(format: Format, records: Option<&Pointer>) -> Self {
        let mut paths = Paths::default();
        let body = Pointer::parse("").expect("the empty pointer is one");
        Self {
            format,
            records: paths.add(records.unwrap_or(&body)),
            records_at: records.map_or_else(String::new, |pointer| pointer.text().to_owned()),
            paths,
            others: Vec::new(),
            made_by: None,
            programs: Vec::new(),
            known_by: Vec::new(),
            may_be_behind: false,
            missing_is_empty: false,
            is_xml: false,
        }
    }

    /// The records are what `program` makes of a body.
    pub fn made_by(program: &Program) -> Self {
        Self {
            made_by: Some(program.clone()),
            ..Self::new(None)
        }
    }

    /// Whether a program makes the records.
    pub fn is_made(&self) -> bool {
        self.made_by.is_some()
    }

    /// The same, where each record has something at these pointers.
    #[must_use]
    pub fn known_by(self, known_by: Vec<Pointer>) -> Self {
        Self { known_by, ..self }
    }

    /// The same, where a page without the place of the records has none if `missing_is_empty`.
    #[must_use]
    pub fn reading(self, missing_is_empty: bool) -> Self {
        Self {
            missing_is_empty,
            ..self
        }
    }

    /// The same, of pages that come as XML if `is_xml`.
    #[must_use]
    pub fn of_xml(self, is_xml: bool) -> Self {
        Self { is_xml, ..self }
    }

    /// Reads the value at `pointer` as well, and returns its slot in [`Contents::value`]. The records themselves cannot be
    /// read that way: of two readers of one place the records win.
    pub fn also(&mut self, pointer: &Pointer) -> usize {
        self.others.push(pointer.clone());
        self.paths.add(pointer)
    }

    /// Asks `program` of each page as well, as `setting` wants it, and returns its slot in [`Contents::made`].
    pub fn also_by(&mut self, program: &Program, setting: &'static str) -> usize {
        self.programs.push((program.clone(), setting));
        self.programs.len() - 1
    }

    /// Says whether the pages from here on may be the one behind the last.
    pub fn may_be_behind(&mut self, may_be_behind: bool) {
        self.may_be_behind = may_be_behind;
    }

    /// The pointer to one record of a page; empty where a program made it.
    pub fn record_at(&self, index: Option<u64>) -> String {
        match index.filter(|_| self.made_by.is_none()) {
            Some(index) => format!("{}/{index}", self.records_at),
            None => self.records_at.clone(),
        }
    }
}

/// An answer whose programs were asked: [`read`] takes it from there.
#[derive(Debug)]
pub struct Opened<'a> {
    /// `None`: it means that there are no records.
    body: Option<&'a [u8]>,
    /// The records, where a program makes them.
    records: Option<Made>,
    made: Vec<Option<String>>,
    /// Whether somebody judged that it is no error.
    is_no_error: bool,
}

impl Opened<'_> {
    /// An answer that means that there are no records.
    pub fn nothing() -> Self {
        Self {
            body: None,
            records: None,
            made: Vec::new(),
            is_no_error: true,
        }
    }

    /// The same, where somebody judged that it is no error if `is_no_error`.
    #[must_use]
    pub fn judged(self, is_no_error: bool) -> Self {
        Self {
            is_no_error,
            ..self
        }
    }

    /// The JSON of each record, where a program makes them.
    pub fn made_records(&self) -> Option<Vec<&str>> {
        self.records.as_ref().map(|made| made.iter().collect())
    }
}

/// Asks what `shape` has of programs of an answer, whose body is made a value once for all of them. `Err`: one of them cannot
/// be asked, or the body is not JSON.
pub fn open<'a>(answer: &'a Answer, shape: &Shape, place: &Place) -> Result<Opened<'a>, Failure> {
    if shape.format == Format::Ndjson && header(answer, "tidegate-end").next() == Some(b"unknown") {
        return Err(Failure::protocol(format!(
            "{place}: nothing shows where its lines end: they may be cut off"
        )));
    }
    let mut opened = Opened {
        body: Some(&answer.body),
        records: None,
        made: Vec::new(),
        is_no_error: false,
    };
    let asked = shape.programs.iter().map(|(program, _)| program);
    let asked: Vec<&Program> = asked.chain(&shape.made_by).collect();
    if asked.is_empty() {
        return Ok(opened);
    }
    let text = json_text(&answer.body, place)?;
    let raw: &RawValue = serde_json::from_str(text).map_err(|why| not_json(&why, text, place))?;
    let wrong = |setting: &str, why: String| {
        Failure::protocol(format!("{place}: {setting}: {}", said(&why)))
    };
    let body = Program::read(&asked, raw.get());
    let body = body.map_err(|why| Failure::protocol(format!("{place} {why}")))?;
    let facts = Facts::of(answer);
    for (program, setting) in &shape.programs {
        let made = program.json(&body, &facts);
        opened.made.push(made.map_err(|why| wrong(setting, why))?);
    }
    if let Some(program) = &shape.made_by {
        let made = program.records(&body, &facts, shape.missing_is_empty);
        opened.records = Some(made.map_err(|why| wrong("SOURCE_RECORDS", why))?);
    }
    Ok(opened)
}

/// What a page held besides its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// How many records.
    pub records: u64,
    /// The JSON texts of what else was read, by slot.
    values: Vec<Option<String>>,
    /// The same of what programs made.
    made: Vec<Option<String>>,
    /// What stood in place of the array of records.
    pub instead: Option<Instead>,
}

/// What may stand in place of the array of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// Null, which is no record.
    Null,
    /// An object, which is one record.
    Object,
}

impl Contents {
    /// What a page of so many records held, with the JSON texts of its values by slot.
    pub fn new(records: u64, values: Vec<Option<String>>) -> Self {
        Self {
            records,
            values,
            made: Vec::new(),
            instead: None,
        }
    }

    /// The JSON text of the value that [`Shape::also`] gave this slot to; `None`: the page has none.
    pub fn value(&self, slot: usize) -> Option<&str> {
        self.values.get(slot)?.as_deref()
    }

    /// The JSON text of what the program made to which [`Shape::also_by`] gave this slot; `None`: nothing.
    pub fn made(&self, slot: usize) -> Option<&str> {
        self.made.get(slot)?.as_deref()
    }
}

/// A text that leads on, such as a next URL, from its JSON. Missing, null, false and empty all mean that there is none; `Err`
/// says what stands there instead.
pub fn leading_text(json: Option<&str>) -> Result<Option<String>, &'static str> {
    let Some(json) = json else { return Ok(None) };
    match json.as_bytes()[0] {
        b'n' | b'f' => Ok(None),
        b'"' => {
            let text: String = serde_json::from_str(json).map_err(|_| "a damaged string")?;
            Ok((!text.is_empty()).then_some(text))
        }
        b'{' => Err("an object"),
        b'[' => Err("an array"),
        b't' => Err("`true`"),
        _ => Err("a number"),
    }
}

/// The text of a body, without a byte order mark.
pub fn text<'b>(body: &'b [u8], place: &Place) -> Result<&'b str, Failure> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        let instead = instead(body, place);
        Failure::protocol(format!("{place} is not UTF-8 at byte {at}{instead}"))
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Takes the text of a record and its index, if it is one of several. Behind a pointer, so that what reads pages is compiled
/// here, for speed.
pub type TakeRecord<'t, 'b> = dyn FnMut(Option<u64>, &'b str) -> Result<(), Failure> + 't;

/// Reads a page and hands each record's text, with its index, to `take`.
///
/// `Ok`: the whole page was read and `take` agreed to every record. `Err`: nothing that was taken may be used; a page that
/// is not one wins over a record that cannot be used.
pub fn read<'b>(
    page: &'b Opened<'_>,
    shape: &Shape,
    place: &Place,
    take: &mut TakeRecord<'_, 'b>,
) -> Result<Contents, Failure> {
    let Some(body) = page.body else {
        return Ok(Contents::new(0, Vec::new()));
    };
    if shape.format == Format::Ndjson {
        return lines::read(text(body, place)?, place, take);
    }
    let text = json_text(body, place)?;
    let mut reader = Reader {
        shape,
        take,
        records: 0,
        found: Found::Nothing,
        values: vec![None; shape.paths.slots()],
        repeated: None,
        failure: None,
    };
    let mut json = serde_json::Deserializer::from_str(text);
    let read = shape.paths.walk(&mut json, &mut reader);
    read.and_then(|()| json.end())
        .map_err(|error| not_json(&error, text, place))?;
    if shape.is_xml && reader.is_something_missing() {
        bare::check_way(text, shape).map_err(|why| Failure::protocol(format!("{place} {why}")))?;
    }
    let mut instead = None;
    if let Some(made) = &page.records {
        reader.found = Found::Records;
        made.iter().for_each(|record| reader.record(record));
    } else if let (Found::Object { arrays }, None) = (&reader.found, &reader.repeated) {
        let is_one = bare::is_record(text, shape, arrays);
        let record = is_one.map_err(|why| Failure::protocol(format!("{place} {why}")))?;
        reader.one(record);
        let is_bare = record != "null" && !shape.is_xml;
        instead = is_bare.then_some(Instead::Object);
    } else if matches!(reader.found, Found::Other("null")) && !shape.missing_is_empty {
        instead = Some(Instead::Null);
    }
    let mut contents = reader.finish(place, text, page.is_no_error)?;
    contents.made.clone_from(&page.made);
    contents.instead = instead;
    Ok(contents)
}

/// The text of a body that is JSON as far as it can be told from its being there.
fn json_text<'b>(body: &'b [u8], place: &Place) -> Result<&'b str, Failure> {
    let text = text(body, place)?;
    if text.trim_ascii().is_empty() {
        let instead = instead(body, place);
        return Err(Failure::protocol(format!(
            "{place} is empty, not JSON{instead}"
        )));
    }
    Ok(text)
}

fn not_json(error: &serde_json::Error, text: &str, place: &Place) -> Failure {
    let instead = instead(text.as_bytes(), place);
    Failure::protocol(format!("{place} is not JSON: {error}{instead}"))
}

fn instead(body: &[u8], place: &Place) -> String {
    excerpt::instead(body, place.content_type.as_deref())
}

/// What stands where the records should.
enum Found {
    Nothing,
    Records,
    Object { arrays: Vec<String> },
    Other(&'static str),
}

/// Takes what the pointers of a [`Shape`] lead to.
struct Reader<'s, 'b> {
    shape: &'s Shape,
    take: &'s mut TakeRecord<'s, 'b>,
    records: u64,
    found: Found,
    values: Vec<Option<&'b str>>,
    repeated: Option<String>,
    failure: Option<Failure>,
}

impl<'b> Take<'b> for Reader<'_, 'b> {
    fn take<D: Deserializer<'b>>(&mut self, slot: usize, value: D) -> Result<(), D::Error> {
        if slot == self.shape.records {
            if self.shape.made_by.is_some() {
                return IgnoredAny::deserialize(value).map(|_| ());
            }
            if self.shape.format == Format::Object {
                self.one(<&RawValue>::deserialize(value)?.get());
                return Ok(());
            }
            return Records(self).deserialize(value);
        }
        let raw: &RawValue = Deserialize::deserialize(value)?;
        self.values[slot] = Some(raw.get());
        Ok(())
    }

    fn repeated(&mut self, step: &str) -> bool {
        self.repeated.get_or_insert_with(|| step.to_owned());
        false
    }
}

impl<'b> Reader<'_, 'b> {
    fn record(&mut self, text: &'b str) {
        let index = self.records;
        self.takes(Some(index), text);
    }

    fn takes(&mut self, index: Option<u64>, text: &'b str) {
        self.records += 1;
        if self.failure.is_none() {
            self.failure = (self.take)(index, text).err();
        }
    }

    fn is_something_missing(&self) -> bool {
        let no_records = matches!(self.found, Found::Nothing);
        no_records || self.values.iter().any(Option::is_none)
    }

    /// The value where the only record should be.
    fn one(&mut self, text: &'b str) {
        self.found = match text.as_bytes()[0] {
            b'{' => Found::Records,
            b'[' => Found::Other("an array"),
            b'"' => Found::Other("a string"),
            b'n' => Found::Other("null"),
            b't' | b'f' => Found::Other("a boolean"),
            _ => Found::Other("a number"),
        };
        if matches!(self.found, Found::Records) {
            self.takes(None, text);
        }
    }

    fn finish(self, place: &Place, body: &str, is_no_error: bool) -> Result<Contents, Failure> {
        let protocol = |text: String| Err(Failure::protocol(format!("{place} {text}")));
        if let Some(step) = &self.repeated {
            return protocol(format!("has two members {}", quoted(step)));
        }
        let at = &self.shape.records_at;
        let expected = if at.is_empty() {
            "the body".to_owned()
        } else {
            format!("`{at}`")
        };
        match self.found {
            Found::Records | Found::Object { .. } => {}
            Found::Nothing if self.shape.may_be_behind || self.shape.missing_is_empty => {}
            // A body that is nothing but null says too little: it may be a source that lost its data.
            Found::Other("null")
                if self.shape.format != Format::Object
                    && (!at.is_empty()
                        || self.shape.may_be_behind
                        || self.shape.missing_is_empty) => {}
            Found::Other("null") if at.is_empty() && self.shape.format != Format::Object => {
                return protocol(
                    "has null as the body, not an array of records; if the source sends that where there are no records, set SOURCE_RECORDS_MISSING=empty".to_owned(),
                );
            }
            Found::Nothing => {
                return protocol(format!(
                    "has no {expected} (SOURCE_RECORDS); if the source leaves it out where there are no records, set SOURCE_RECORDS_MISSING=empty"
                ));
            }
            Found::Other(what) => {
                let wanted = match self.shape.format {
                    Format::Object => "one record (SOURCE_FORMAT)",
                    Format::Json | Format::Ndjson => "an array of records (SOURCE_RECORDS)",
                };
                return protocol(format!("has {what} as {expected}, not {wanted}"));
            }
        }
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if self.records == 0
            && !is_no_error
            && let Some(error) = bare::error_in(body, at, self.shape.is_xml)
        {
            return protocol(format!(
                "has no records, and an error at `{error}`; if it is none, set SOURCE_ERROR to a program that gives false there"
            ));
        }
        Ok(Contents {
            records: self.records,
            values: self
                .values
                .into_iter()
                .map(|value| value.map(str::to_owned))
                .collect(),
            made: Vec::new(),
            instead: None,
        })
    }
}

/// The value where the records should be.
struct Records<'r, 's, 'b>(&'r mut Reader<'s, 'b>);

impl<'b> DeserializeSeed<'b> for Records<'_, '_, 'b> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for Records<'_, '_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut records: A) -> Result<(), A::Error> {
        self.0.found = Found::Records;
        while let Some(record) = records.next_element::<&RawValue>()? {
            self.0.record(record.get());
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<(), A::Error> {
        let mut arrays = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if arrays.len() >= HINTS_MAX || name.len() > 64 {
                map.next_value::<IgnoredAny>()?;
            } else if map.next_value::<&RawValue>()?.get().starts_with('[') {
                arrays.push(format!("/{}", escape(&name)));
            }
        }
        self.0.found = Found::Object { arrays };
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.found = Found::Other("null");
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.0.found = Found::Other("a boolean");
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.0.found = Found::Other("a number");
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.0.found = Found::Other("a number");
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.0.found = Found::Other("a number");
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.0.found = Found::Other("a string");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
