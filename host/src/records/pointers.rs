//! JSON Pointers (RFC 6901) into a record, all of them read in one pass over its text.

use serde::de::Deserializer;
use serde_json::value::RawValue;
use tidegate_json::{Paths, Take};

/// Pointers, each known by its place among them.
#[derive(Debug, Clone, Default)]
pub struct Pointers(Paths);

/// What a record has.
pub struct Found<'r> {
    /// By the pointers' places: the value as it is written, none where there is nothing. Of several of one name, the last.
    pub values: Vec<Option<&'r RawValue>>,
    /// A pointer whose value is there twice.
    pub twice: Option<usize>,
}

impl Pointers {
    /// Adds a pointer and returns its place; that of an equal one, if there is one.
    pub fn add(&mut self, pointer: &str) -> usize {
        let steps = pointer.split('/').skip(1);
        let steps = steps.map(|step| step.replace("~1", "/").replace("~0", "~"));
        self.0.add_steps(steps)
    }

    /// Checks that `record` is JSON, and finds its values. `Err` has the parser's words.
    pub fn find<'r>(&self, record: &'r str) -> Result<Found<'r>, String> {
        let mut found = Found {
            values: vec![None; self.0.slots()],
            twice: None,
        };
        let mut parser = serde_json::Deserializer::from_str(record);
        let walked = self.0.walk(&mut parser, &mut found);
        walked
            .and_then(|()| parser.end())
            .map_err(|error| error.to_string())?;
        Ok(found)
    }
}

impl<'r> Take<'r> for Found<'r> {
    fn take<D: Deserializer<'r>>(&mut self, place: usize, value: D) -> Result<(), D::Error> {
        let value = <&RawValue as serde::Deserialize>::deserialize(value)?;
        if self.values[place].replace(value).is_some() {
            self.twice = Some(place);
        }
        Ok(())
    }

    fn repeated(&mut self, _: &str) -> bool {
        // Of several of one name the last counts.
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pointers: &[&str], record: &str) -> Vec<Option<String>> {
        let mut all = Pointers::default();
        for pointer in pointers {
            all.add(pointer);
        }
        let found = all.find(record).unwrap();
        let text = |value: &&RawValue| value.get().to_owned();
        found
            .values
            .iter()
            .map(|value| value.as_ref().map(text))
            .collect()
    }

    #[test]
    fn a_pointer_may_end_on_the_way_of_another() {
        let values = found(&["/a/b", "/a", "/a/c/0"], r#"{"a":{"b":1.10,"c":["x"]}}"#);

        let wanted = ["1.10", r#"{"b":1.10,"c":["x"]}"#, r#""x""#];
        assert_eq!(values, wanted.map(|text| Some(text.to_owned())));
    }

    #[test]
    fn what_is_not_there_is_none_and_of_two_the_last_counts() {
        let values = found(&["/a", "/b/c"], r#"{"a":1,"b":true,"a":2}"#);

        assert_eq!(values, [Some("2".to_owned()), None]);
    }

    #[test]
    fn a_value_that_is_there_twice_is_told_and_no_other_of_many_columns() {
        let names: Vec<String> = (0..200).map(|number| format!("/c{number}")).collect();
        let mut all = Pointers::default();
        let places: Vec<usize> = names.iter().map(|name| all.add(name)).collect();
        let member = |number: usize| format!("\"c{number}\":{number}");
        let members: Vec<String> = (0..200).map(member).collect();
        let record = format!("{{{}}}", members.join(","));

        let once = all.find(&record).unwrap();
        let twice = format!("{{\"c70\":0,{}}}", members.join(","));
        let twice = all.find(&twice).unwrap();

        assert_eq!(once.twice, None);
        assert_eq!(once.values[places[199]].unwrap().get(), "199");
        assert_eq!(twice.twice, Some(places[70]));
        assert_eq!(twice.values[places[70]].unwrap().get(), "70");
    }
}
