//! The records behind a scripted API, and what the copies of all APIs need to read a request and to write an answer.

use std::collections::BTreeMap;
use std::fmt::Display;

use jiff::Timestamp;
use serde_json::Value;
use url::form_urlencoded;

use crate::server::{Reply, Request};

/// Noon of 20 November 2026: the clock of every API before the first run.
const NOON_MS: i64 = 1_795_176_000_000;

/// One record, before an API gives it its form.
#[derive(Debug, Clone)]
pub struct Row {
    /// Counted from 1.
    pub id: u64,
    /// Counted from 1; every change is a further one.
    pub version: u32,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// When it was last changed; no two rows have the same.
    pub changed: i64,
    /// Whether a tombstone is all that is left of it.
    pub is_deleted: bool,
}

/// All records of an API, and its clock.
#[derive(Debug)]
pub struct Source {
    /// By their ids.
    pub rows: BTreeMap<u64, Row>,
    /// In milliseconds since 1970.
    pub now: i64,
    /// What a query may yield at most, where the API has such a limit.
    pub results_max: usize,
    /// Whether something goes wrong in the way that is this API's own.
    pub is_broken: bool,
    /// Results that wait for being asked for, where an API keeps them.
    pub kept: Vec<Vec<Value>>,
}

impl Source {
    /// So many rows, the newest just now, two and two of them in the same second.
    pub fn new(rows: u64, seconds_apart: i64) -> Self {
        let pairs = i64::try_from(rows.div_ceil(2)).expect("a small number");
        let row = |id: u64| {
            let at = i64::try_from(id.div_ceil(2)).expect("a small number");
            let back = (pairs - at) * seconds_apart * 1000;
            let changed = NOON_MS - back - i64::from(id % 2 == 1);
            Row {
                id,
                version: 1,
                created: changed,
                changed,
                is_deleted: false,
            }
        };
        Self {
            rows: (1..=rows).map(|id| (id, row(id))).collect(),
            now: NOON_MS,
            results_max: 10_000,
            is_broken: false,
            kept: Vec::new(),
        }
    }

    /// The greatest id.
    pub fn newest(&self) -> u64 {
        *self.rows.keys().next_back().expect("there are rows")
    }

    /// So many seconds pass.
    pub fn pass(&mut self, seconds: i64) {
        self.now += seconds * 1000;
    }

    /// A new row comes, which was made so many seconds ago.
    pub fn add(&mut self, seconds_ago: i64) {
        self.pass(1);
        let (id, at) = (self.newest() + 1, self.now - seconds_ago * 1000);
        let row = Row {
            id,
            version: 1,
            created: at,
            changed: at,
            is_deleted: false,
        };
        self.rows.insert(id, row);
    }

    /// A row changes.
    pub fn edit(&mut self, id: u64) {
        self.pass(1);
        let row = self.rows.get_mut(&id).expect("a row to change");
        row.version += 1;
        row.changed = self.now;
    }

    /// A tombstone takes the place of a row.
    pub fn bury(&mut self, id: u64) {
        self.edit(id);
        self.rows.entry(id).and_modify(|row| row.is_deleted = true);
    }

    /// A row goes and leaves nothing.
    pub fn lose(&mut self, id: u64) {
        self.pass(1);
        self.rows.remove(&id);
    }

    /// The rows that readers are to see.
    pub fn live(&self) -> Vec<&Row> {
        self.rows.values().filter(|row| !row.is_deleted).collect()
    }

    /// The rows that changed at this time or later, in the order of their ids.
    pub fn changed_since(&self, at: i64) -> Vec<&Row> {
        self.rows.values().filter(|row| row.changed >= at).collect()
    }
}

/// What an API answers: the page, or a status and the body that says why not.
pub type Answer = Result<Reply, Refusal>;

/// A status and a body.
#[derive(Debug)]
pub struct Refusal(pub u16, pub Value);

/// `Err`, unless this holds.
pub fn must(holds: bool, status: u16, body: impl FnOnce() -> Value) -> Result<(), Refusal> {
    if holds {
        Ok(())
    } else {
        Err(Refusal(status, body()))
    }
}

/// A page of JSON.
pub fn page(body: &Value) -> Reply {
    Reply::new(200, body.to_string())
}

/// At most `size` of these from place `start` on, and whether there are more behind them.
pub fn part<T>(all: &[T], start: usize, size: usize) -> (&[T], bool) {
    let start = start.min(all.len());
    let end = (start + size).min(all.len());
    (&all[start..end], end < all.len())
}

/// The first name among the query's that is none of `known`, or stands there twice.
pub fn unknown_parameter(request: &Request, known: &[&str]) -> Option<String> {
    let names: Vec<String> = parameters(request)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let is_wrong =
        |at: usize| !known.contains(&names[at].as_str()) || names[..at].contains(&names[at]);
    (0..names.len())
        .find(|at| is_wrong(*at))
        .map(|at| names[at].clone())
}

/// The first member of an object that is none of `known`.
pub fn unknown_member(object: &Value, known: &[&str]) -> Option<String> {
    let members = object.as_object().into_iter().flatten();
    let mut names = members.map(|(name, _)| name.clone());
    names.find(|name| !known.contains(&name.as_str()))
}

/// The number of a query parameter, `default` where it is not there; `None`: it is no number, or none of those allowed.
pub fn number(
    request: &Request,
    name: &str,
    default: usize,
    allowed: impl std::ops::RangeBounds<usize>,
) -> Option<usize> {
    let given = request.query(name).map_or(Ok(default), |text| text.parse());
    given.ok().filter(|number| allowed.contains(number))
}

/// The target of this request, on this path, with one more parameter or in place of the one of that name.
pub fn target_with(request: &Request, path: &str, name: &str, value: impl Display) -> String {
    let others = parameters(request)
        .into_iter()
        .filter(|(known, _)| known != name);
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(others)
        .append_pair(name, &value.to_string())
        .finish();
    format!("{path}?{query}")
}

fn parameters(request: &Request) -> Vec<(String, String)> {
    let query = request
        .target
        .split_once('?')
        .map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

/// `2026-11-20T12:00:00Z`, rounded down.
pub fn seconds(at: i64) -> String {
    written(at, "%Y-%m-%dT%H:%M:%SZ")
}

/// `2026-11-20T12:00:00.000`, to which an API adds its offset.
pub fn milliseconds(at: i64) -> String {
    format!(
        "{}.{:03}",
        written(at, "%Y-%m-%dT%H:%M:%S"),
        at.rem_euclid(1000)
    )
}

/// A time, written like this in UTC.
pub fn written(at: i64, form: &str) -> String {
    let at = Timestamp::from_millisecond(at).expect("a time of our days");
    at.strftime(form).to_string()
}

/// A time with an offset, as RFC 3339 has it and not otherwise: `Z`, or an offset with a colon.
pub fn instant(text: &str) -> Option<i64> {
    let ends_well =
        text.ends_with('Z') || text.len() > 6 && text.as_bytes()[text.len() - 3] == b':';
    let is_strict = ends_well && text.as_bytes().get(10) == Some(&b'T') && !text.contains(' ');
    let at = text.parse::<Timestamp>().ok().filter(|_| is_strict)?;
    Some(at.as_millisecond())
}
