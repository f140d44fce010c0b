//! Names of members, shared by the records that have them.

use std::rc::Rc;

use super::{LEVELS_MAX, Reader};
use crate::value::Value;

/// How many names are kept.
const KEPT_MAX: usize = 128;
/// A longer name is not kept.
const BYTES_MAX: usize = 64;

/// Names that came before: the records of a source have the same few, and each is made once.
#[derive(Debug, Default)]
pub struct Names {
    /// Each in its place, which a later one may take.
    kept: Vec<Option<Rc<str>>>,
}

impl Names {
    /// Reads a text that was parsed before. `Err` says why it has no single meaning, or that it is too deep.
    pub fn read_valid(&mut self, text: &str) -> Result<Value, String> {
        self.reader(text).value(LEVELS_MAX)
    }

    /// The same of an object, of which nothing but these members is read.
    pub fn read_members(&mut self, text: &str, wanted: &[Rc<str>]) -> Result<Value, String> {
        let mut reader = self.reader(text);
        if reader.next() == b'{' {
            reader.object(LEVELS_MAX, Some(wanted))
        } else {
            reader.value(LEVELS_MAX)
        }
    }

    fn reader<'t>(&mut self, text: &'t str) -> Reader<'t, '_> {
        Reader {
            text,
            at: 0,
            names: self,
        }
    }

    /// The name, the one that came before if it was kept.
    pub(super) fn shared(&mut self, name: &str) -> Rc<str> {
        let bytes = name.as_bytes();
        let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
            return name.into();
        };
        if bytes.len() > BYTES_MAX {
            return name.into();
        }
        let sum = |sum: usize, byte: &u8| sum * 31 + usize::from(*byte);
        let place = [first, last, &bytes[bytes.len() / 2]]
            .into_iter()
            .fold(bytes.len(), sum);
        self.kept.resize(KEPT_MAX, None);
        let kept = &mut self.kept[place % KEPT_MAX];
        match kept {
            Some(known) if **known == *name => known.clone(),
            _ => kept.insert(name.into()).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_once_and_another_in_its_place_is_not_taken_for_it() {
        let mut names = Names::default();
        let first = names.shared("updated_at");

        assert!(Rc::ptr_eq(&first, &names.shared("updated_at")));
        // Alike in length, ends and middle.
        let other = names.shared("uxdatexxat".replace('x', "_").as_str());
        assert_ne!(first, other);
        let alike = names.shared("uqdateq_at");
        assert_eq!(&*alike, "uqdateq_at");
        assert_eq!(names.shared("updated_at"), first);
        for name in ["", "é", &"n".repeat(65)] {
            assert_eq!(&*names.shared(name), name);
        }
        assert!(names.kept.len() == KEPT_MAX);
    }

    #[test]
    fn what_is_not_wanted_is_passed_over_and_what_is_has_one_meaning() {
        let wanted = ["a".into(), "ä".into()];
        let read = |text: &str| {
            let value = Names::default().read_members(text, &wanted);
            value.map(|value| crate::shown(&value))
        };

        let text =
            r#" { "b": [{"c": "]}\"" , "c": 1}, 1.10e5 ] ,"a":{"b":[ ]},"n":null, "\u00e4" : 2}"#;
        assert_eq!(read(text).as_deref(), Ok(r#"{"a":{"b":[]},"ä":2}"#));
        assert_eq!(read(r#"{"b":1,"b":2}"#).as_deref(), Ok("{}"));
        assert!(read(r#"{"a":1,"b":2,"\u0061":3}"#).is_err());
        assert!(read(r#"{"a":{"b":1,"b":2}}"#).is_err());
        assert_eq!(read("[1]").as_deref(), Ok("[1]"));
    }
}
