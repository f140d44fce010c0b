//! The modelled source: rows that change while they are served.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use url::form_urlencoded::Serializer;

use super::record::{Row, http_date, id_at, spelled_at};
use super::story::{Break, Disturbance, Filter, Habits, Happening, Next, Order, Story, Tick};
use crate::server::{Reply, Request};
use crate::world::Place;

/// Noon of 23 November 2026.
const NOON: i64 = 1_795_435_200;
/// How far a source that does not tell its time is ahead of us. Behind us, it would lose rows by contract.
const AHEAD_SECONDS: i64 = 120;

/// The source, between the runs and in them.
pub struct Source {
    habits: Habits,
    place: Place,
    rows: BTreeMap<usize, Row>,
    now: i64,
    sequence: i64,
    versions: usize,
    /// Live records that were served whole, and the row of each.
    served: BTreeMap<String, usize>,
    run: usize,
    tick: Tick,
    asked: usize,
    touched: BTreeSet<usize>,
    bodies: BTreeSet<String>,
    last: Answered,
    /// The cursor in the first request of this run, or that it had none.
    since: Asked,
    /// Whether there was no row at one of its requests.
    was_empty: bool,
}

/// From where a run asked first.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    NotYet,
    ForAll,
    From(String),
}

/// What became of the last request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// There was none.
    Nothing,
    /// The source broke down.
    Broken,
    /// A page that was there before, byte for byte: no run goes on from there.
    Repeated,
    /// A page, and there are more.
    Page,
    /// The last page.
    LastPage,
}

impl Source {
    /// The source at the beginning of a story.
    pub fn new(story: &Story, place: Place) -> Self {
        let now = if story.habits.has_date {
            NOON
        } else {
            jiff::Timestamp::now().as_second() + AHEAD_SECONDS
        };
        let mut source = Self {
            habits: story.habits.clone(),
            place,
            rows: BTreeMap::new(),
            now,
            sequence: 0,
            versions: 0,
            served: BTreeMap::new(),
            run: 0,
            tick: Tick::default(),
            asked: 0,
            touched: BTreeSet::new(),
            bodies: BTreeSet::new(),
            last: Answered::Nothing,
            since: Asked::NotYet,
            was_empty: false,
        };
        let mut first = story.first.clone();
        first.sort_by_key(|(_, age)| Reverse(*age));
        for (id, age) in first {
            let id = id_at(place, id);
            source.sequence += 1;
            source.write(id, now - age, source.sequence, false);
        }
        source
    }

    /// A run begins. Requests of an earlier one that are still under way are none of it.
    pub fn begins(&mut self, tick: &Tick) -> usize {
        self.run += 1;
        self.tick = tick.clone();
        self.asked = 0;
        self.touched.clear();
        self.bodies.clear();
        self.last = Answered::Nothing;
        self.since = Asked::NotYet;
        self.was_empty = false;
        self.run
    }

    /// Whether a run must not believe what this one was answered: nothing, as always.
    pub fn told_nothing(&self) -> bool {
        self.habits.filter == Filter::Unknown && matches!(self.since, Asked::From(_))
    }

    /// Whether a run may take this source for one that lost its data.
    pub fn was_empty(&self) -> bool {
        self.was_empty
    }

    /// What became of the last request of this run.
    pub fn last(&self) -> Answered {
        self.last
    }

    /// Whether this row changed during this run.
    pub fn is_touched(&self, id: usize) -> bool {
        self.touched.contains(&id)
    }

    /// The row whose live record was once served as this, spelled as the place spells it.
    pub fn row_of(&self, record: &str) -> Option<usize> {
        self.served.get(record).copied()
    }

    /// The record of this row as it is now, if it is live.
    pub fn live(&self, id: usize) -> Option<String> {
        let row = self.rows.get(&id).filter(|row| !row.is_deleted)?;
        Some(spelled_at(self.place, &row.text(id, self.habits.kind)))
    }

    /// The answer to one request, after all that happened before it.
    pub fn answer(&mut self, request: &Request) -> Reply {
        if request.query("run") != Some(self.run.to_string()) {
            return Reply::new(418, "{}");
        }
        let happenings = self.tick.happenings.get_mut(self.asked);
        for happening in happenings.map(std::mem::take).unwrap_or_default() {
            self.happens(&happening);
        }
        let asked = self.asked;
        self.asked += 1;
        if self.since == Asked::NotYet {
            self.since = asked_by(request);
        }
        let how = match self.tick.disturbance {
            Some(Disturbance::Breaks { on, more, how }) if (on..=on + more).contains(&asked) => {
                Some(how)
            }
            _ => None,
        };
        if how.is_some() {
            self.last = Answered::Broken;
        }
        let reply = match how {
            Some(Break::Status) => Reply::new(500, "{}"),
            Some(Break::Reset) => Reply::reset(),
            Some(Break::CutOff) => {
                let (body, _) = self.page(request, asked);
                Reply::new(200, body.clone()).cut_after(body.len() / 2)
            }
            None => self.whole(request, asked),
        };
        if self.habits.has_date {
            reply.header("date", http_date(self.now))
        } else {
            reply.dateless()
        }
    }

    fn whole(&mut self, request: &Request, asked: usize) -> Reply {
        let (body, next) = self.page(request, asked);
        let is_empty = body == "[]" || body.starts_with(r#"{"items":[],"#);
        let is_further_back = request.query("behind").is_none() && self.since != asked_by(request);
        self.was_empty |= self.rows.is_empty();
        self.last = if is_further_back {
            // One page to see whether a record comes at all.
            Answered::LastPage
        } else {
            self.answered(&body, next.is_some(), is_empty)
        };
        let reply = Reply::new(200, body);
        match (next, self.habits.next) {
            (Some(next), Next::Link) => reply.next(&next),
            (Some(next), Next::Header) => reply.header("x-next", next),
            _ => reply,
        }
    }

    fn answered(&mut self, body: &str, has_next: bool, is_empty: bool) -> Answered {
        match (has_next, is_empty || self.bodies.insert(body.to_owned())) {
            (_, false) => Answered::Repeated,
            (true, true) => Answered::Page,
            (false, true) => Answered::LastPage,
        }
    }

    /// A page, and the URL of the next one.
    fn page(&mut self, request: &Request, asked: usize) -> (String, Option<String>) {
        let since = request.query("since");
        let behind = request.query("behind");
        let kind = self.habits.kind;
        let mut rows: Vec<(usize, &Row)> = self.rows.iter().map(|(id, row)| (*id, row)).collect();
        if let Some(since) = &since {
            match self.habits.filter {
                Filter::From => rows.retain(|(_, row)| row.is_since(since, kind)),
                Filter::Behind => rows.retain(|(_, row)| row.is_behind(since, kind)),
                Filter::Unknown => rows.clear(),
                Filter::Unasked | Filter::Ignored => {}
            }
        }
        rows.sort_by_key(|(id, row)| self.position(*id, row));
        let mut skipped = 0;
        if let Some(behind) = behind {
            let (first, second) = behind.split_once('.').expect("our own position");
            let behind: (i64, i64) = (first.parse().unwrap(), second.parse().unwrap());
            if self.skips() {
                skipped = usize::try_from(behind.0).unwrap().min(rows.len());
                rows.drain(..skipped);
            } else {
                rows.retain(|(id, row)| self.position(*id, row) > behind);
            }
        }
        let rows_left = rows.len();
        rows.truncate(self.habits.page_rows);
        let has_more =
            rows_left > rows.len() || (self.habits.is_hasty && rows.len() == self.habits.page_rows);
        let next = rows.last().filter(|_| has_more).map(|(id, row)| {
            let position = if self.skips() {
                (i64::try_from(skipped + rows.len()).unwrap(), 0)
            } else {
                self.position(*id, row)
            };
            self.next_url(since.as_deref(), position)
        });
        if self.tick.repeats_on == Some(asked) {
            rows.extend(rows.first().copied());
        }
        let live = rows.iter().filter(|(_, row)| !row.is_deleted);
        let live: Vec<(String, usize)> = live
            .map(|(id, row)| (spelled_at(self.place, &row.text(*id, kind)), *id))
            .collect();
        let records: Vec<String> = rows.iter().map(|(id, row)| row.text(*id, kind)).collect();
        self.served.extend(live);
        (self.body(&records, next.as_deref()), next)
    }

    fn body(&self, records: &[String], next: Option<&str>) -> String {
        let records = records.join(", ");
        match (self.habits.next, next) {
            (Next::Link | Next::Header, _) => format!("[{records}]"),
            (Next::Body, Some(next)) => format!(r#"{{"items":[{records}],"next":"{next}"}}"#),
            (Next::Body, None) => format!(r#"{{"items":[{records}],"next":null}}"#),
        }
    }

    fn next_url(&self, since: Option<&str>, (first, second): (i64, i64)) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("run", &self.run.to_string());
        if let Some(since) = since {
            query.append_pair("since", since);
        }
        query.append_pair("behind", &format!("{first}.{second}"));
        let before = if self.habits.is_absolute {
            "{server}/items"
        } else {
            ""
        };
        format!("{before}?{}", query.finish())
    }

    fn skips(&self) -> bool {
        matches!(self.habits.order, Order::NewestFirst | Order::OldestFirst)
    }

    /// Rows come in this order.
    fn position(&self, id: usize, row: &Row) -> (i64, i64) {
        let change = if self.habits.kind.is_time() {
            row.at
        } else {
            row.sequence
        };
        let id = i64::try_from(id).unwrap();
        match self.habits.order {
            Order::ById => (0, id),
            Order::ByChange | Order::OldestFirst => (change, id),
            Order::NewestFirst => (-change, id),
        }
    }

    fn happens(&mut self, happening: &Happening) {
        match *happening {
            Happening::Pass { seconds } => self.now += seconds,
            Happening::Vanish { id } if self.habits.loses_rows => {
                let id = id_at(self.place, id);
                self.rows.remove(&id);
                self.touched.insert(id);
            }
            Happening::Vanish { .. } => {}
            Happening::Write { id, late } => self.changes(id, late, false),
            Happening::Delete { id, late } => self.changes(id, late, true),
        }
    }

    fn changes(&mut self, id: usize, late: i64, is_deleted: bool) {
        let id = id_at(self.place, id);
        let is_paging = self.asked > 0;
        let back = self.habits.late_max(is_paging) * late / 1000;
        // Only a late row shares the integer of another: one that comes while we page, and is not late, has its own.
        let is_alone = late == 0 || (is_paging && self.habits.late_max(true) == 0);
        // The first of all has nothing to be late behind.
        let is_new = is_alone || self.sequence == 0;
        if is_new {
            self.sequence += 1;
        }
        let (mut at, mut sequence) = (self.now - back, (self.sequence - back).max(1));
        if let (Order::NewestFirst, Some(row)) = (self.habits.order, self.rows.get(&id)) {
            // Else it could go back behind rows that then slip to a page that was read.
            (at, sequence) = (at.max(row.at), sequence.max(row.sequence));
        }
        self.write(id, at, sequence, is_deleted);
    }

    fn write(&mut self, id: usize, at: i64, sequence: i64, is_deleted: bool) {
        self.versions += 1;
        self.touched.insert(id);
        let row = Row {
            at,
            sequence,
            version: self.versions,
            is_deleted,
        };
        self.rows.insert(id, row);
    }
}

fn asked_by(request: &Request) -> Asked {
    request.query("since").map_or(Asked::ForAll, Asked::From)
}
