//! One record after the other, as far as the next request hangs on it: whether it can be read, whether it is new, and its cursor.
//! What becomes of it is the taker's business, at once or after the page.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Wanted;
use super::taker::{Taker, Unusable};
use crate::cursor::Cursor;
use crate::failure::{Detail, Failure, quoted};
use crate::source::Watch;
use tidegate_json::{escape, unfit};

/// Members of a record that are named where one is missing.
const MEMBERS_NAMED: usize = 12;

/// Reads the records of one page.
pub(super) struct Reader<'p, 's, 'b> {
    pub(super) wanted: &'p Wanted,
    pub(super) found: Vec<Option<&'b str>>,
    pub(super) watch: &'p mut Watch,
    pub(super) cursor: Option<&'p mut Cursor<'s>>,
    /// Records that wait for the end of the page, in their order.
    pub(super) waiting: Vec<Looked<'b>>,
    pub(super) waiting_max: usize,
    pub(super) taker: Taker<'p, 's>,
}

/// A record that was looked at, and is to be staged or rejected.
pub(super) struct Looked<'b> {
    pub(super) index: Option<u64>,
    pub(super) text: &'b str,
    pub(super) marks: Result<Marks<'b>, Unusable>,
}

/// What was found in a record, for its staging.
pub(super) struct Marks<'b> {
    pub(super) deleted: Option<&'b str>,
    pub(super) parent: Option<&'b str>,
}

impl<'b> Reader<'_, '_, 'b> {
    /// Reads one record. `Err`: the run is over.
    pub(super) fn read(&mut self, index: Option<u64>, text: &'b str) -> Result<(), Failure> {
        let marks = match self.look(index, text)? {
            Ok(Some(marks)) => Ok(marks),
            Ok(None) => return Ok(()),
            Err(unusable) => Err(unusable),
        };
        let looked = Looked { index, text, marks };
        if self.waiting_max == 0 {
            return self.taker.take(looked);
        }
        if self.waiting.len() == self.waiting_max {
            for before in self.waiting.drain(..) {
                self.taker.take(before)?;
            }
        }
        self.waiting.push(looked);
        Ok(())
    }

    /// What is found in a record; `None`: it is left out. The outer `Err`: the run is over.
    fn look(
        &mut self,
        index: Option<u64>,
        text: &'b str,
    ) -> Result<Result<Option<Marks<'b>>, Unusable>, Failure> {
        let bytes_max = self.taker.taken.made.record_bytes_max;
        if text.len() > bytes_max {
            return Err(Failure::data(format!(
                "{} has {} bytes, more than the {bytes_max} of MAX_RECORD_BYTES: raise it",
                self.taker.at(index),
                text.len()
            )));
        }
        if let Some(why) = unfit(text) {
            return Ok(Err(Unusable(format!(" {why}"))));
        }
        if self.wanted.paths.slots() > 0
            && let Err(why) = self.wanted.paths.read(text, &mut self.found)
        {
            return Ok(Err(Unusable(format!(": {why}"))));
        }
        if !self.watch.takes(text, &self.found) {
            return Ok(Ok(None));
        }
        if let (true, Some(cursor)) = (self.watch.jumps(), &mut self.cursor) {
            cursor.page_comes_again();
        }
        if let (Some(cursor), Some(slot)) = (&mut self.cursor, self.wanted.cursor)
            && !cursor
                .sees(self.found[slot], &self.taker.at(index))
                .map_err(|failure| match self.found[slot] {
                    None => with_members(failure, text),
                    Some(_) => failure,
                })?
        {
            return Ok(Ok(None));
        }
        let found = |slot: usize| self.found[slot];
        Ok(Ok(Some(Marks {
            deleted: self.wanted.deleted.and_then(found),
            parent: self.wanted.parent.as_ref().and_then(|(_, at)| found(*at)),
        })))
    }
}

/// A failure of a record that has no member where one is looked for, with those that it has.
fn with_members(failure: Failure, record: &str) -> Failure {
    let Failure::Data(detail) = failure else {
        return failure;
    };
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(record).unwrap_or_default();
    let mut named: Vec<String> = members
        .keys()
        .take(MEMBERS_NAMED)
        .map(|name| quoted(&format!("/{}", escape(name))))
        .collect();
    if members.len() > MEMBERS_NAMED {
        named.push("…".to_owned());
    }
    let message = format!("{}; the record has {}", detail.message, named.join(", "));
    Failure::Data(Detail { message, ..detail })
}
