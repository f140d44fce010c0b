//! What is noticed of a page's records for the sake of paging: whether they are new, whether the page begins where the one
//! before it ended, and what its last record leads to. What becomes of the records is `records`' business.

use std::collections::BTreeSet;

use super::novelty::{Novelty, hash};
use super::pagination::{Pagination, Style};
use tidegate_json::{Paths, Pointer};

/// What the first record of a page must be, for the page to join what was read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Any, or none.
    Anything,
    /// The last one of the page before. One that came before will do: pages shifted then, and nothing was lost.
    Last,
    /// One that came before: a page is read again.
    Known,
    /// Any: all pages are read again.
    Again,
    /// None of the page before, which had, or may have had, fewer records than a full one.
    Another,
}

/// How a page joins what was read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Join {
    /// As it should, as far as anybody can tell.
    #[default]
    Plain,
    /// By the last record of the page before. It was left out, unless it was changed meanwhile.
    Overlap,
    /// By another record that came before.
    Shifted,
    /// By none: all its records were left out.
    Lost,
    /// By a record of the page before, where pages should not overlap.
    Repeat,
    /// The same under an offset: records that are not shown count there, and no key tells which came twice.
    Doubled,
}

/// What was noticed of one page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The JSON of the value that a `last-record` style reads, from the last record.
    pub last: Option<String>,
    /// Whether a record came that had not come before.
    pub news: bool,
    /// How many such records came: rarely one too few.
    pub fresh: u64,
    /// How it joins what was read before.
    pub join: Join,
    /// How many records were left out.
    pub left_out: u64,
}

/// Watches the records of a run.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one fact of the source or of the record at hand"
)]
pub struct Watch {
    /// False: the source has one page, and there is nothing to watch.
    is_paged: bool,
    /// The slots of the key.
    key_slots: Vec<usize>,
    /// The slot of the cursor: a feed of changes has a key many times.
    cursor_slot: Option<usize>,
    /// Whether every version of a record is one of its own: in a feed of changes that has no cursor in its records.
    has_versions: bool,
    /// The slot of the value that leads on.
    last_slot: Option<usize>,
    overlaps: bool,
    /// Hashes of the keys of the page before and of this one, where pages are numbered.
    numbered: Option<[BTreeSet<u64>; 2]>,
    /// Hashes of the records of the page before and of this one, where pages are counted in records and nothing merges those
    /// that come twice.
    unkeyed: Option<[Vec<u64>; 2]>,
    novelty: Novelty,
    expect: Option<Expect>,
    seen: Seen,
    /// The record at hand does not follow the one that was taken before it.
    jumps: bool,
    /// The last record that was taken, where pages overlap: its key and its text.
    end: (Vec<u8>, String),
    key: Vec<u8>,
}

impl Watch {
    /// Watches what `pagination` needs; `paths` reads it of each record.
    pub fn new(
        pagination: &Pagination,
        key: &[Pointer],
        cursor: Option<&Pointer>,
        paths: &mut Paths,
    ) -> Self {
        let style = &pagination.style;
        if *style == Style::None {
            return Self::default();
        }
        let last_slot = match style {
            Style::LastRecord { from, .. } => Some(paths.add(from)),
            _ => None,
        };
        let has_key = !key.is_empty();
        Self {
            is_paged: true,
            key_slots: key.iter().map(|part| paths.add(part)).collect(),
            cursor_slot: cursor.filter(|_| has_key).map(|at| paths.add(at)),
            last_slot,
            overlaps: has_key && matches!(style, Style::Offset { .. }),
            numbered: (has_key && matches!(style, Style::Page { .. })).then(Default::default),
            ..Self::default()
        }
    }

    /// Looks for records that come twice, where nothing merges them.
    #[must_use]
    pub fn of_unmerged(mut self, is_unmerged: bool, style: &Style) -> Self {
        let is_counted = matches!(style, Style::Offset { .. });
        self.unkeyed = (is_unmerged && is_counted).then(Default::default);
        self
    }

    /// Takes every version of a record for one of its own, if it `has_versions`.
    #[must_use]
    pub fn of_feed(self, has_versions: bool) -> Self {
        Self {
            has_versions,
            ..self
        }
    }

    /// The next page follows none: what came before may come again, such as records that belong to no window.
    pub fn begins_anew(&mut self) {
        self.novelty.forgets();
        self.numbered = self.numbered.is_some().then(Default::default);
        self.unkeyed = self.unkeyed.is_some().then(Default::default);
    }

    /// A page begins, whose first record should be as `expect` says.
    pub fn page_begins(&mut self, expect: Expect) {
        self.expect = Some(expect);
        self.seen = Seen::default();
        self.novelty.page_begins();
        if let Some([before, now]) = &mut self.numbered {
            *before = std::mem::take(now);
        }
        if let Some([before, now]) = &mut self.unkeyed {
            *before = std::mem::take(now);
        }
    }

    /// The next record of the page, with what was found of it. False: it is to be left out.
    pub fn takes(&mut self, text: &str, found: &[Option<&str>]) -> bool {
        if !self.is_paged {
            return true;
        }
        self.read_key(text, found);
        let expect = self.expect.take();
        let repeats = expect.is_some_and(|expect| self.joins(expect, text));
        let is_lost = self.seen.join == Join::Lost;
        self.seen.left_out += u64::from(repeats || is_lost);
        if is_lost {
            return false;
        }
        if let Some(slot) = self.last_slot {
            match found[slot] {
                Some(value) => value.clone_into(self.seen.last.get_or_insert_default()),
                None => self.seen.last = None,
            }
        }
        let mut has_new_key = None;
        if self.overlaps {
            has_new_key = Some(self.novelty.saw(&self.key));
            self.end.0.clone_from(&self.key);
            text.clone_into(&mut self.end.1);
        }
        if let Some([_, now]) = &mut self.unkeyed {
            now.push(hash(&self.key));
        }
        if let Some([before, now]) = &mut self.numbered {
            let hash = hash(&self.key);
            if before.contains(&hash) {
                self.seen.join = Join::Repeat;
            }
            now.insert(hash);
        }
        if let Some(cursor) = self.cursor_slot.and_then(|slot| found[slot]) {
            self.key.push(0);
            self.key.extend_from_slice(cursor.as_bytes());
        }
        if self.has_versions {
            self.key.push(0);
            self.key.extend_from_slice(text.as_bytes());
        }
        let is_new = self.novelty.saw(&self.key);
        self.seen.fresh += u64::from(has_new_key.unwrap_or(is_new));
        !repeats
    }

    /// Judges the first record of a page by what it should be. True: it is the record that came last, unchanged.
    fn joins(&mut self, expect: Expect, text: &str) -> bool {
        let knows = self.novelty.knows(&self.key);
        self.seen.join = match expect {
            Expect::Another if self.is_of_page_before() => Join::Doubled,
            Expect::Anything | Expect::Again | Expect::Another => Join::Plain,
            // A record that was changed meanwhile is another version of it, and is taken.
            Expect::Last if self.key == self.end.0 => Join::Overlap,
            Expect::Last if knows => Join::Shifted,
            Expect::Known if knows => Join::Plain,
            Expect::Last | Expect::Known => Join::Lost,
        };
        let is_again = matches!(expect, Expect::Known | Expect::Again);
        self.jumps = is_again || self.seen.join == Join::Shifted;
        self.seen.join == Join::Overlap && text == self.end.1
    }

    /// Whether the record was on the page before, where those differ from each other: equal ones may well follow equal ones.
    fn is_of_page_before(&self) -> bool {
        let hash = hash(&self.key);
        self.unkeyed.as_ref().is_some_and(|[before, _]| {
            let mut different = BTreeSet::new();
            before.iter().all(|one| different.insert(*one)) && different.contains(&hash)
        })
    }

    /// The key of a record: the JSON of its parts, or all of it where a part is missing or none is set.
    fn read_key(&mut self, text: &str, found: &[Option<&str>]) {
        self.key.clear();
        let parts = self.key_slots.iter().map(|slot| found[*slot]);
        for part in parts {
            let Some(part) = part else {
                self.key.clear();
                break;
            };
            self.key.extend_from_slice(part.as_bytes());
            self.key.push(b',');
        }
        if self.key.is_empty() {
            self.key.extend_from_slice(text.as_bytes());
        }
    }

    /// Whether the record that was taken last came from further back than the one before it; asked once for each.
    pub fn jumps(&mut self) -> bool {
        std::mem::take(&mut self.jumps)
    }

    /// What was noticed of the page, now that all its records came.
    pub fn page_ends(&mut self) -> Seen {
        if let Some(Expect::Last | Expect::Known) = self.expect.take() {
            // Not even the record that should be its first is there.
            self.seen.join = Join::Lost;
        }
        self.seen.news = self.novelty.is_new();
        std::mem::take(&mut self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{PageFrom, To};

    fn watch(style: Style, cursor: Option<&str>) -> (Watch, Paths) {
        let mut paths = Paths::default();
        let pointer = |text| Pointer::parse(text).unwrap();
        let cursor = cursor.map(pointer);
        let watch = Watch::new(
            &style.into(),
            &[pointer("/id")],
            cursor.as_ref(),
            &mut paths,
        );
        (watch, paths)
    }

    fn offset() -> Style {
        let to = To::Query("offset".to_owned());
        Style::Offset { to }
    }

    /// The indexes of the records that were taken, and what was noticed.
    fn page(
        (watch, paths): &mut (Watch, Paths),
        expect: Expect,
        records: &[&str],
    ) -> (Vec<usize>, Seen) {
        watch.page_begins(expect);
        let mut taken = Vec::new();
        for (at, record) in records.iter().enumerate() {
            let mut found = vec![None; paths.slots()];
            paths.read(record, &mut found).unwrap();
            if watch.takes(record, &found) {
                taken.push(at);
            }
        }
        (taken, watch.page_ends())
    }

    #[test]
    fn a_page_joins_by_the_record_that_came_last() {
        let mut watch = watch(offset(), None);
        page(
            &mut watch,
            Expect::Anything,
            &[r#"{"id":1}"#, r#"{"id":2}"#],
        );

        let (taken, seen) = page(&mut watch, Expect::Last, &[r#"{"id":2}"#, r#"{"id":3}"#]);

        assert_eq!(taken, [1]);
        assert_eq!(
            (seen.join, seen.left_out, seen.news, seen.fresh),
            (Join::Overlap, 1, true, 1)
        );
    }

    #[test]
    fn a_page_that_begins_with_an_earlier_record_shifted_and_is_taken_whole() {
        let mut watch = watch(offset(), None);
        page(
            &mut watch,
            Expect::Anything,
            &[r#"{"id":1}"#, r#"{"id":2}"#],
        );

        let (taken, seen) = page(&mut watch, Expect::Last, &[r#"{"id":1}"#, r#"{"id":2}"#]);

        assert_eq!(taken, [0, 1]);
        assert_eq!(
            (seen.join, seen.left_out, seen.news),
            (Join::Shifted, 0, false)
        );
    }

    #[test]
    fn a_page_that_begins_with_a_new_record_or_none_is_lost() {
        for expect in [Expect::Last, Expect::Known] {
            for records in [[r#"{"id":3}"#, r#"{"id":2}"#].as_slice(), &[]] {
                let mut watch = watch(offset(), None);
                page(
                    &mut watch,
                    Expect::Anything,
                    &[r#"{"id":1}"#, r#"{"id":2}"#],
                );

                let (taken, seen) = page(&mut watch, expect, records);
                let (again, _) = page(&mut watch, Expect::Known, &[r#"{"id":3}"#]);

                assert_eq!(taken, [0; 0]);
                assert_eq!(
                    (seen.join, seen.left_out),
                    (Join::Lost, records.len() as u64)
                );
                assert_eq!(again, [0; 0], "what was left out is not known");
            }
        }
    }

    #[test]
    fn the_last_record_is_the_one_that_leads_on() {
        let from = Pointer::parse("/at").unwrap();
        let to = To::Query("after".to_owned());
        let mut watch = watch(Style::LastRecord { from, to }, None);

        let last = |watch: &mut _, records: &[&str]| page(watch, Expect::Anything, records).1.last;

        assert_eq!(
            last(&mut watch, &[r#"{"at":1}"#, r#"{"at":"b"}"#]).as_deref(),
            Some("\"b\"")
        );
        assert_eq!(last(&mut watch, &[r#"{"at":1}"#, "{}"]), None);
        assert_eq!(last(&mut watch, &[]), None);
    }

    #[test]
    fn a_key_is_new_once_and_with_a_cursor_each_of_its_versions() {
        let token = || Style::Token {
            from: PageFrom::Header("x-next".to_owned()),
            to: To::Query("after".to_owned()),
        };
        let news = |watch: &mut _, record| page(watch, Expect::Anything, &[record]).1.news;
        let (mut by_key, mut by_version) = (watch(token(), None), watch(token(), Some("/seq")));

        assert!(news(&mut by_key, r#"{"id":1,"seq":1}"#));
        assert!(!news(&mut by_key, r#"{"id":1,"seq":2}"#));
        assert!(news(&mut by_version, r#"{"id":1,"seq":1}"#));
        assert!(news(&mut by_version, r#"{"id":1,"seq":2}"#));
        assert!(!news(&mut by_version, r#"{"id":1,"seq":2,"more":0}"#));
    }

    #[test]
    fn a_record_without_its_key_is_told_by_its_text() {
        let mut watch = watch(Style::Link, None);
        let mut news = |record| page(&mut watch, Expect::Anything, &[record]).1.news;

        assert!(news(r#"{"a":1}"#));
        assert!(news(r#"{"a":2}"#));
        assert!(!news(r#"{"a":1}"#));
    }
}
