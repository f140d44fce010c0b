//! Pages: the bytes of one answer become records, each handed on exactly as it came.
//!
//! A page is used whole or not at all: it must be UTF-8, one JSON value with nothing behind it (or one a line), and hold
//! records where the settings say. Records are borrowed from the page, never rebuilt, so numbers and strings keep their
//! bytes. Whether one can be used, and what it means, is the caller's job.

mod lines;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::next_page::Absence;
use crate::failure::{Failure, quoted};
use crate::source::excerpt;
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
    /// What may stand in place of the records.
    absence: Absence,
    /// The pointer to the records as the settings have it; empty: the body itself.
    records_at: String,
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
            absence: Absence::default(),
            records_at: records.map_or_else(String::new, |pointer| pointer.text().to_owned()),
            paths,
        }
    }

    /// Reads the value at `pointer` as well, and returns its slot in [`Contents::value`]. The records themselves cannot be
    /// read that way: of two readers of one place the records win.
    pub fn also(&mut self, pointer: &Pointer) -> usize {
        self.paths.add(pointer)
    }

    /// Says what may stand in place of the records of the pages from here on.
    pub fn may_lack_records(&mut self, absence: Absence) {
        self.absence = absence;
    }

    /// The pointer to one record of a page.
    pub fn record_at(&self, index: u64) -> String {
        match self.format {
            Format::Object => self.records_at.clone(),
            Format::Json | Format::Ndjson => format!("{}/{index}", self.records_at),
        }
    }
}

/// What a page held besides its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// How many records.
    pub records: u64,
    /// The JSON texts of what else was read, by slot.
    values: Vec<Option<String>>,
}

impl Contents {
    /// What a page of so many records held, with the JSON texts of its values by slot.
    pub fn new(records: u64, values: Vec<Option<String>>) -> Self {
        Self { records, values }
    }

    /// The JSON text of the value that [`Shape::also`] gave this slot to; `None`: the page has none.
    pub fn value(&self, slot: usize) -> Option<&str> {
        self.values.get(slot)?.as_deref()
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

/// Takes the text of a record and its index. Behind a pointer, so that what reads pages is compiled here, for speed.
pub type TakeRecord<'t, 'b> = dyn FnMut(u64, &'b str) -> Result<(), Failure> + 't;

/// Reads a page and hands each record's text, with its index, to `take`.
///
/// `Ok`: the whole page was read and `take` agreed to every record. `Err`: nothing that was taken may be used; a page that
/// is not one wins over a record that cannot be used.
pub fn read<'b>(
    body: &'b [u8],
    shape: &Shape,
    place: &Place,
    take: &mut TakeRecord<'_, 'b>,
) -> Result<Contents, Failure> {
    let text = text(body, place)?;
    if shape.format == Format::Ndjson {
        return lines::read(text, place, take);
    }
    if text.trim_ascii().is_empty() {
        let instead = instead(body, place);
        return Err(Failure::protocol(format!(
            "{place} is empty, not JSON{instead}"
        )));
    }
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
    reader.finish(place)
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
            if self.shape.format == Format::Object {
                self.one(serde::Deserialize::deserialize(value)?);
                return Ok(());
            }
            return Records(self).deserialize(value);
        }
        let raw: &RawValue = serde::Deserialize::deserialize(value)?;
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
        self.records += 1;
        if self.failure.is_none() {
            self.failure = (self.take)(index, text).err();
        }
    }

    /// The value where the only record should be.
    fn one(&mut self, value: &'b RawValue) {
        let text = value.get();
        self.found = match text.as_bytes()[0] {
            b'{' => Found::Records,
            b'[' => Found::Other("an array"),
            b'"' => Found::Other("a string"),
            b'n' => Found::Other("null"),
            b't' | b'f' => Found::Other("a boolean"),
            _ => Found::Other("a number"),
        };
        if matches!(self.found, Found::Records) {
            self.record(text);
        }
    }

    fn finish(self, place: &Place) -> Result<Contents, Failure> {
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
            Found::Records => {}
            Found::Nothing if self.shape.absence == Absence::All => {}
            Found::Other("null") if self.shape.absence >= Absence::Null => {}
            Found::Nothing => return protocol(format!("has no {expected} (SOURCE_RECORDS)")),
            Found::Object { arrays } => {
                return protocol(format!(
                    "has an object as {expected}, not an array of records{}",
                    hint(at, &arrays)
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
        Ok(Contents {
            records: self.records,
            values: self
                .values
                .into_iter()
                .map(|value| value.map(str::to_owned))
                .collect(),
        })
    }
}

fn hint(at: &str, arrays: &[String]) -> String {
    if arrays.is_empty() {
        return ", and no array in it".to_owned();
    }
    let named: Vec<String> = arrays
        .iter()
        .map(|array| quoted(&format!("{at}{array}")))
        .collect();
    format!("; set SOURCE_RECORDS, such as {}", named.join(" or "))
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
