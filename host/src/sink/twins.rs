//! Twins: two keys that are written alike and are of another JSON type, such as 7 and "7".
//!
//! Where an API changes the type of its keys, every record would come a second time, and no deletion would meet its record.

use crate::folder::Folder;
use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::records::key::{KeyPart, parts, plain};
use crate::records::sort::{Change, Sorter};

/// 65: a key is there under another JSON type.
pub fn refused(key: &str) -> Failure {
    Failure::new(
        Outcome::GateRefused,
        format!(
            "cannot merge: the key `{}` occurs as a number and as a string, and would be two records; if the source changed the type, run once with `--full-refresh`, or convert the key in TRANSFORM; if both are right, run with `--accept-change PRIMARY_KEY`",
            key.escape_debug()
        ),
    )
}

/// A key, in a text about it.
pub fn shown(key: &[u8]) -> String {
    let texts = parts(key).into_iter().map(|part| {
        let (KeyPart::Integer(text) | KeyPart::Text(text)) = part;
        text.into_owned()
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Finds twins among the keys of the last set and of what changes it, in bounded memory.
pub struct Twins {
    sorter: Sorter,
    /// How many parts a key has.
    parts: usize,
    pair: Vec<u8>,
}

impl Twins {
    /// Looks for them with files in `folder`.
    pub fn new(folder: &Folder, limits: &Limits, parts: usize) -> Self {
        Self {
            sorter: Sorter::new(folder, limits),
            parts,
            pair: Vec::new(),
        }
    }

    /// A key of the last set.
    pub fn published(&mut self, key: &[u8]) -> Result<(), Failure> {
        self.pair(key);
        self.sorter.push_published(&self.pair, Some(b""))
    }

    /// A key of a record that is staged, or of one that is deleted.
    pub fn staged(&mut self, key: &[u8], is_deleted: bool) -> Result<(), Failure> {
        self.pair(key);
        let record: Option<&[u8]> = if is_deleted { None } else { Some(b"") };
        self.sorter.push(&self.pair, record)
    }

    /// Those that are written alike stand side by side, and the key itself after what it is written like.
    fn pair(&mut self, key: &[u8]) {
        self.pair.clear();
        plain(key, &mut self.pair);
        self.pair.extend_from_slice(key);
    }

    /// `Err` (65): a key that is new, or the deletion of one that is not there, has a twin that stays.
    pub fn refuse(self) -> Result<(), Failure> {
        let parts = self.parts;
        let mut sorted = self.sorter.finish()?;
        let mut change = Change::default();
        let mut group = Group::default();
        while sorted.next(&mut change)? {
            group.add(&change, parts)?;
        }
        Ok(())
    }
}

/// Keys that are written alike.
#[derive(Default)]
struct Group {
    text: Vec<u8>,
    /// Those among them that are in the set afterwards.
    staying: u64,
    /// Whether one that stays was not there before.
    has_new: bool,
    /// Whether one was deleted that was not there.
    has_lost: bool,
}

impl Group {
    fn add(&mut self, change: &Change, parts: usize) -> Result<(), Failure> {
        let end = plain_end(&change.key, parts);
        let (text, key) = change.key.split_at(end);
        if text != self.text {
            *self = Self {
                text: text.to_vec(),
                ..Self::default()
            };
        }
        self.staying += u64::from(!change.deleted);
        self.has_new |= !change.deleted && !change.published;
        self.has_lost |= change.deleted && !change.published;
        let doubled = self.has_new && self.staying > 1;
        if doubled || self.has_lost && self.staying > 0 {
            return Err(refused(&shown(key)));
        }
        Ok(())
    }
}

/// Where what a key of so many parts is written like ends.
fn plain_end(pair: &[u8], parts: usize) -> usize {
    let mut from = 0;
    for _ in 0..parts {
        loop {
            let zero = from + memchr::memchr(0, &pair[from..]).expect("each part has its end");
            from = zero + 2;
            if pair[zero + 1] == 0 {
                break;
            }
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::key::Keys;

    fn refused_of(published: &[&str], staged: &[(&str, bool)]) -> bool {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap().unwrap();
        let keys = Keys::new(&["/a".into(), "/b".into()]);
        let key = |record: &str| {
            let mut key = Vec::new();
            keys.read(record, &mut key).unwrap();
            key
        };
        let mut twins = Twins::new(&folder, &Limits::default(), 2);
        for record in published {
            twins.published(&key(record)).unwrap();
        }
        for (record, is_deleted) in staged {
            twins.staged(&key(record), *is_deleted).unwrap();
        }
        twins.refuse().is_err()
    }

    #[test]
    fn a_new_key_or_a_lost_deletion_with_a_twin_is_refused_and_nothing_else() {
        let (seven, text) = (r#"{"a":7,"b":"x\u0000"}"#, r#"{"a":"7","b":"x\u0000"}"#);
        let other = r#"{"a":"7","b":"y"}"#;

        assert!(refused_of(&[seven], &[(text, false)]), "a second record");
        assert!(refused_of(&[], &[(seven, false), (text, false)]), "two new");
        assert!(refused_of(&[seven], &[(text, true)]), "meets no record");
        assert!(!refused_of(&[seven], &[(text, false), (seven, true)]));
        assert!(!refused_of(&[seven, text], &[(text, false)]), "accepted");
        assert!(!refused_of(&[seven, text], &[(text, true)]));
        assert!(!refused_of(&[seven], &[(other, false), (other, true)]));
    }
}
