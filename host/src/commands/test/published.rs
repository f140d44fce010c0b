//! What a run published, held against the rows of the API.
//!
//! A record is known by the row's `name` anywhere in it, or else by its `id`: a connector may rename, add and drop members.

use std::path::Path;

use serde_json::Value;

use super::rows::Row;

/// The published records, in their order; none where nothing is published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    text: String,
}

/// A published record.
pub struct Record<'t> {
    pub line: &'t str,
    value: Value,
}

impl Published {
    pub fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        Self { text }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn len(&self) -> usize {
        self.text.lines().count()
    }

    pub fn records(&self) -> Vec<Record<'_>> {
        let lines = self.text.split_terminator('\n');
        let record = |line| Record {
            line,
            value: serde_json::from_str(line).unwrap_or_default(),
        };
        lines.map(record).collect()
    }

    /// `Err` says how the records differ from these rows, of which each has to be there once and as it is.
    pub fn is_exactly(&self, rows: &[Row]) -> Result<(), String> {
        self.has(rows)?;
        match self.len() {
            records if records == rows.len() => Ok(()),
            records => Err(format!("{records} records for {} rows", rows.len())),
        }
    }

    /// The same, whatever else is there.
    pub fn has(&self, rows: &[Row]) -> Result<(), String> {
        let records = self.records();
        let has_names = records.iter().any(|record| record.name().is_some());
        for row in rows {
            let is_it = |record: &&Record<'_>| record.is_of(row, has_names);
            match records.iter().filter(is_it).count() {
                1 => {}
                0 => {
                    return Err(format!("row {} of {} is lost or old", row.id, rows.len()));
                }
                many => return Err(format!("row {} is published {many} times", row.id)),
            }
        }
        Ok(())
    }
}

impl Record<'_> {
    fn is_of(&self, row: &Row, has_names: bool) -> bool {
        if has_names {
            let begin = format!("row {}.{}:", row.id, row.version);
            return self.name().is_some_and(|name| name.starts_with(&begin));
        }
        any(&self.value, &|value| value.as_u64() == Some(row.id)).is_some()
    }

    /// The `name` of its row, changed perhaps.
    pub fn name(&self) -> Option<&str> {
        let is_name = |value: &Value| value.as_str().is_some_and(|text| text.starts_with("row "));
        any(&self.value, &is_name).and_then(Value::as_str)
    }

    /// Whether it has a number, or a text, that is `digits` but for the last ones.
    pub fn has_number_like(&self, digits: &str) -> bool {
        let wanted: f64 = digits.parse().unwrap_or_default();
        let is_like = |value: &Value| {
            let text = value.as_str().map(str::to_owned);
            let text = text.unwrap_or_else(|| value.to_string());
            let number: Option<f64> = text.parse().ok();
            number.is_some_and(|number| (number - wanted).abs() <= wanted * 1e-12)
        };
        any(&self.value, &is_like).is_some()
    }
}

/// The first value for which this holds, `value` itself or within it.
fn any<'v>(value: &'v Value, holds: &dyn Fn(&Value) -> bool) -> Option<&'v Value> {
    let mut inside: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(members) => Box::new(members.values()),
        value => return holds(value).then_some(value),
    };
    inside.find_map(|value| any(value, holds))
}
