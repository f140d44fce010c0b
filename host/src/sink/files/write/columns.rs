//! The columns of a csv file whose columns nobody named: the members of the records, in the order in which they were first
//! seen, and what a record has in them.

use std::collections::HashMap;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};

/// MemberNames of members, each with its place.
#[derive(Debug, Clone, Default)]
pub struct MemberNames {
    all: Vec<String>,
    places: HashMap<String, usize>,
    bytes: usize,
}

impl MemberNames {
    pub fn of(names: &[String]) -> Self {
        let mut all = Self::default();
        for name in names {
            all.add(name);
        }
        all
    }

    /// All of them, in order.
    pub fn into_names(self) -> Vec<String> {
        self.all
    }

    /// Adds the members of `record`, but for those behind the first that is too many: [`Self::fit`] refuses that one. `Err` is
    /// the parser's words.
    pub fn see(&mut self, record: &str, limits: &Limits) -> Result<(), String> {
        let mut see = |name: &str, _: &RawValue, guess: usize| {
            let is_over =
                self.all.len() > limits.csv_columns || self.bytes > limits.csv_columns_bytes;
            if !is_over && self.place(name, guess).is_none() {
                self.add(name);
            }
            Ok(())
        };
        members(record, &mut see)
    }

    /// `Err` (65) when there are more, or longer ones, than a file may have.
    pub fn fit(&self, limits: &Limits) -> Result<(), Failure> {
        let (most, bytes_max) = (limits.csv_columns, limits.csv_columns_bytes);
        let what = if self.all.len() > most {
            format!("more than {most} columns")
        } else if self.bytes > bytes_max {
            format!("columns whose names are longer than {bytes_max} bytes together")
        } else {
            return Ok(());
        };
        let message = format!(
            "cannot write csv: the members of the records make {what}, and {} is one too many; name the columns in OUTPUT_COLUMNS, or make records of such members by TRANSFORM",
            self.all.last().map_or_else(String::new, |name| {
                let shown: String = name.chars().take(60).collect();
                format!("`{}`", shown.escape_debug())
            })
        );
        Err(Failure::new(Outcome::GateRefused, message))
    }

    /// What `record` has, by these places; of several members of one name, the last. `Err` says what is wrong with it.
    pub fn values<'r>(&self, record: &'r str) -> Result<Vec<Option<&'r RawValue>>, String> {
        let mut values = vec![None; self.all.len()];
        let mut take = |name: &str, value: &'r RawValue, guess: usize| {
            let place = self.place(name, guess);
            let place = place.ok_or_else(|| {
                format!(
                    "has a member `{}`, which is not a column",
                    name.escape_debug()
                )
            })?;
            values[place] = Some(value);
            Ok(())
        };
        members(record, &mut take)?;
        Ok(values)
    }

    fn add(&mut self, name: &str) {
        self.bytes += name.len();
        self.places.insert(name.to_owned(), self.all.len());
        self.all.push(name.to_owned());
    }

    /// The place of a name, which mostly is the one after that of the member before.
    fn place(&self, name: &str, guess: usize) -> Option<usize> {
        match self.all.get(guess) {
            Some(known) if known == name => Some(guess),
            _ => self.places.get(name).copied(),
        }
    }
}

/// Takes a member: its name, its value, its place among the members.
type Take<'t, 'r> = &'t mut dyn FnMut(&str, &'r RawValue, usize) -> Result<(), String>;

/// Hands out the members of `record`, which must be one JSON object.
fn members<'r>(record: &'r str, take: Take<'_, 'r>) -> Result<(), String> {
    let mut parser = serde_json::Deserializer::from_str(record);
    let read = (&mut parser).deserialize_map(Members { take });
    read.and_then(|()| parser.end())
        .map_err(|error| error.to_string())
}

struct Members<'t, 'r> {
    take: Take<'t, 'r>,
}

impl<'r> Visitor<'r> for Members<'_, 'r> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'r>>(self, mut members: A) -> Result<(), A::Error> {
        let mut name = String::new();
        let mut number = 0;
        while members.next_key_seed(MemberName(&mut name))?.is_some() {
            let value = members.next_value::<&'r RawValue>()?;
            (self.take)(&name, value, number).map_err(serde::de::Error::custom)?;
            number += 1;
        }
        Ok(())
    }
}

/// Reads a member's name into a text that is used again.
struct MemberName<'n>(&'n mut String);

impl<'r> DeserializeSeed<'r> for MemberName<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'r>>(self, name: D) -> Result<(), D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberName<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        self.0.clear();
        self.0.push_str(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_in_the_order_in_which_they_were_first_seen() {
        let mut names = MemberNames::of(&["id".to_owned()]);

        names.see(r#"{"b":1,"id":2}"#, &Limits::default()).unwrap();
        names
            .see(r#"{"id":2,"a\"":null,"b":1}"#, &Limits::default())
            .unwrap();

        assert_eq!(names.into_names(), ["id", "b", "a\""]);
    }

    #[test]
    fn a_member_that_is_no_column_is_not_passed_over() {
        let names = MemberNames::of(&["id".to_owned()]);

        let refused = names.values(r#"{"id":1,"b":2}"#).unwrap_err();

        assert!(refused.contains("`b`, which is not a column"), "{refused}");
    }

    #[test]
    fn too_many_columns_and_too_long_names_are_65_and_name_a_way_on() {
        let limits = Limits {
            csv_columns: 2,
            csv_columns_bytes: 4,
            ..Limits::default()
        };
        let refused = |record: &str| {
            let mut names = MemberNames::default();
            names.see(record, &Limits::default()).unwrap();
            names.fit(&limits).err()
        };

        let many = refused(r#"{"a":1,"b":1,"c":1}"#).unwrap();
        let long = refused(r#"{"a":1,"bcde":1}"#).unwrap();

        assert_eq!(many.outcome, Outcome::GateRefused);
        assert!(
            many.message
                .contains("more than 2 columns, and `c` is one too many"),
            "{many}"
        );
        assert!(many.message.contains("OUTPUT_COLUMNS"), "{many}");
        assert!(long.message.contains("longer than 4 bytes"), "{long}");
        assert!(refused(r#"{"a":1,"bcd":1}"#).is_none());
    }
}
