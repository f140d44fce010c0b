//! The columns of a table, and what a record has in each of them.
//!
//! Key columns come first, in the order of PRIMARY_KEY; then the parent's, where it is none of them; then those of
//! OUTPUT_COLUMNS, or the whole record as `data`. [`UPDATED_AT`] and [`GENERATION`] stand at the end of every table, and are
//! each database's own business.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::outcome::{Failure, Outcome};
use crate::records::key::{KeyPart, parts, string};
use crate::records::pointers::Pointers;
use crate::settings::columns::{Column, ColumnType};
use crate::settings::host::OutputPlan;
use crate::settings::plan::WriteMode;

/// The column with the whole record.
pub const DATA: &str = "data";
/// The column with the time of the commit that wrote the row.
pub const UPDATED_AT: &str = "_updated_at";
/// The column with the number of the generation that wrote the row.
pub const GENERATION: &str = "_generation";

/// The columns of a table, but for the last two.
#[derive(Debug)]
pub struct Layout {
    pub columns: Vec<TableColumn>,
    /// How many of them, from the first, are the key.
    pub keys: usize,
    /// Which of them is the parent's (`REPLACE_BY`).
    pub parent: Option<usize>,
    pointers: Pointers,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name, not quoted.
    pub name: String,
    /// Its type, where OUTPUT_COLUMNS says it; of a key column it may have to be told from the first records.
    pub kind: Option<ColumnType>,
    /// Where its value stands.
    pub source: ColumnSource,
}

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnSource {
    /// At a JSON Pointer, known by its place among all of them.
    At(usize, String),
    Record,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell<'r> {
    Null,
    Boolean(bool),
    /// A number, digit for digit.
    Number(Cow<'r, str>),
    /// A string, without its quotes and escapes.
    Text(Cow<'r, str>),
    /// A string that is no text, as half of a surrogate pair stands in it: JSON as it is written.
    HalfPair(&'r str),
    /// An array, an object or the whole record: JSON as it is written.
    Json(&'r str),
}

impl Layout {
    /// The layout of the table of a job that is written in `mode`. `Err` is 78: two columns would have one name.
    pub fn of(plan: &OutputPlan, mode: WriteMode) -> Result<Self, Failure> {
        Self::new(
            plan.merged_by(mode),
            plan.replace_by.as_deref(),
            &plan.columns,
        )
    }

    fn new(keys: &[String], replace_by: Option<&str>, columns: &[Column]) -> Result<Self, Failure> {
        let mut layout = Self {
            columns: Vec::new(),
            keys: keys.len(),
            parent: None,
            pointers: Pointers::default(),
        };
        for pointer in keys {
            layout.add(pointer, columns)?;
        }
        if let Some(pointer) = replace_by {
            let known = layout.place_of(pointer);
            layout.parent = match known {
                Some(place) => Some(place),
                None => Some(layout.add(pointer, columns)?),
            };
        }
        if columns.is_empty() {
            layout.push(TableColumn {
                name: DATA.to_owned(),
                kind: None,
                source: ColumnSource::Record,
            })?;
            return Ok(layout);
        }
        for column in columns {
            if layout.columns.iter().all(|known| known.name != column.name) {
                layout.add(&column.pointer, std::slice::from_ref(column))?;
            }
        }
        Ok(layout)
    }

    /// The values of a record and its key, one for each column. `Err` has the parser's words.
    pub fn cells_of<'r>(&self, key: &'r [u8], record: &'r str) -> Result<Vec<Cell<'r>>, String> {
        if !self.is_plain() {
            return self.cells(record);
        }
        let mut cells = self.key_cells(key);
        cells.push(Cell::Json(record));
        Ok(cells)
    }

    /// Whether a row is a key and its record: then no record is parsed once more.
    fn is_plain(&self) -> bool {
        match &self.columns[self.keys..] {
            [only] => self.keys > 0 && only.source == ColumnSource::Record,
            _ => false,
        }
    }

    /// The values of a record, one for each column. `Err` has the parser's words.
    pub fn cells<'r>(&self, record: &'r str) -> Result<Vec<Cell<'r>>, String> {
        let found = self.pointers.find(record)?;
        let cell = |column: &TableColumn| match &column.source {
            ColumnSource::At(index, _) => found.values[*index].map_or(Cell::Null, cell),
            ColumnSource::Record => Cell::Json(record),
        };
        Ok(self.columns.iter().map(cell).collect())
    }

    /// The values of the key columns.
    pub fn key_cells<'k>(&self, key: &'k [u8]) -> Vec<Cell<'k>> {
        let parts = parts(key).into_iter().take(self.keys);
        parts.map(Cell::from).collect()
    }

    /// The names of the key columns.
    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        let keys = &self.columns[..self.keys];
        keys.iter().map(|column| column.name.as_str())
    }

    fn place_of(&self, pointer: &str) -> Option<usize> {
        let is_at = |column: &TableColumn| matches!(&column.source, ColumnSource::At(_, known) if known == pointer);
        self.columns.iter().position(is_at)
    }

    /// Adds the column at `pointer`, named and typed as in `columns`, else by the pointer's last step.
    fn add(&mut self, pointer: &str, columns: &[Column]) -> Result<usize, Failure> {
        let declared = columns.iter().find(|column| column.pointer == pointer);
        let (name, kind) = match declared {
            Some(column) => (column.name.clone(), column.kind),
            None => (last_step(pointer), None),
        };
        let source = ColumnSource::At(self.pointers.add(pointer), pointer.to_owned());
        self.push(TableColumn { name, kind, source })
    }

    fn push(&mut self, column: TableColumn) -> Result<usize, Failure> {
        let taken = self.columns.iter().map(|known| known.name.as_str());
        if taken
            .chain([UPDATED_AT, GENERATION])
            .any(|name| name == column.name)
        {
            return Err(Failure::new(
                Outcome::Settings,
                format!(
                    "cannot make a table with two columns named `{}`: give one of them another name in OUTPUT_COLUMNS",
                    column.name.escape_debug()
                ),
            ));
        }
        self.columns.push(column);
        Ok(self.columns.len() - 1)
    }
}

fn last_step(pointer: &str) -> String {
    let step = pointer.rsplit('/').next().unwrap_or_default();
    step.replace("~1", "/").replace("~0", "~")
}

fn cell(value: &RawValue) -> Cell<'_> {
    let text = value.get();
    match text.as_bytes()[0] {
        b'n' => Cell::Null,
        b't' => Cell::Boolean(true),
        b'f' => Cell::Boolean(false),
        b'"' => string(text).map_or(Cell::HalfPair(text), Cell::Text),
        b'[' | b'{' => Cell::Json(text),
        _ => Cell::Number(Cow::Borrowed(text)),
    }
}

impl<'k> From<KeyPart<'k>> for Cell<'k> {
    fn from(part: KeyPart<'k>) -> Self {
        match part {
            KeyPart::Integer(digits) => Self::Number(digits),
            KeyPart::Text(text) => Self::Text(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::columns;

    fn layout(keys: &[&str], replace_by: Option<&str>, columns: &str) -> Result<Layout, Failure> {
        let columns = if columns.is_empty() {
            Vec::new()
        } else {
            columns::parse(columns).unwrap()
        };
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        Layout::new(&keys, replace_by, &columns)
    }

    fn names(layout: &Layout) -> Vec<&str> {
        layout
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect()
    }

    #[test]
    fn without_columns_it_is_the_key_and_the_record() {
        let layout = layout(&["/id", "/in/no"], Some("/order~1id"), "").unwrap();

        assert_eq!(names(&layout), ["id", "no", "order/id", "data"]);
        let record = r#"{"id":7,"in":{"no":"a\u0041"},"order/id":1.50}"#;
        assert_eq!(
            layout.cells(record).unwrap(),
            [
                Cell::Number("7".into()),
                Cell::Text("aA".into()),
                Cell::Number("1.50".into()),
                Cell::Json(record)
            ]
        );
    }

    #[test]
    fn a_declared_column_names_and_types_the_key() {
        let layout = layout(&["/id"], Some("/id"), "total numeric /t\nno bigint /id").unwrap();

        assert_eq!(names(&layout), ["no", "total"]);
        assert_eq!(layout.columns[0].kind, Some(ColumnType::Bigint));
        assert_eq!((layout.keys, layout.parent), (1, Some(0)));
    }

    #[test]
    fn a_record_whose_row_is_its_key_and_itself_is_not_parsed_again() {
        let keys = crate::records::key::Keys::new(&["/id".into(), "/in/no".into()]);
        let record = r#"{"id":"a\u0000\"b","in":{"no":-7},"n":1.10}"#;
        let mut key = Vec::new();
        keys.read(record, &mut key).unwrap();
        let plain = layout(&["/id", "/in/no"], None, "").unwrap();
        let other = layout(&["/id", "/in/no"], None, "n numeric /n").unwrap();
        let bare = layout(&["/id"], None, "id text /id").unwrap();

        for layout in [&plain, &other, &bare] {
            let cells = layout.cells_of(&key, record).unwrap();
            assert_eq!(cells, layout.cells(record).unwrap());
        }
        assert!(plain.cells_of(&key, "not JSON").is_ok());
        assert!(other.cells_of(&key, "not JSON").is_err());
    }

    #[test]
    fn two_columns_of_one_name_are_refused() {
        for (keys, columns) in [
            (&["/a/id", "/b/id"][..], ""),
            (&["/data"][..], ""),
            (&["/id"][..], "_updated_at text /changed"),
        ] {
            assert!(layout(keys, None, columns).is_err(), "{keys:?} {columns}");
        }
    }

    #[test]
    fn the_parts_of_a_key_are_read_back() {
        let layout = layout(&["/a", "/b", "/c"], None, "").unwrap();
        let mut key = Vec::new();
        let record = r#"{"a":-120,"b":"x\u0000\"y","c":1000000000000000000000}"#;
        let keys = crate::records::key::Keys::new(&["/a".into(), "/b".into(), "/c".into()]);
        keys.read(record, &mut key).unwrap();

        assert_eq!(layout.key_cells(&key), layout.cells(record).unwrap()[..3]);
    }
}
