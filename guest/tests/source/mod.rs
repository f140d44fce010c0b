//! A source that changes between and during runs, and the habits it may have.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_guest::ports::Request;

use crate::world::{NOON, Said, page, parameter, status, with_header};

/// One thing that happens at the source.
#[derive(Debug, Clone)]
pub enum Happening {
    /// A row is made, changed or made again.
    Write {
        id: u8,
        late_seconds: i64,
        is_deleted: bool,
        /// Where the source has rows without a time.
        is_undated: bool,
    },
    /// Time goes by. Not at all is the way to ties.
    Pass { seconds: i64 },
}

/// What kind of source it is.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a source has each habit or not, whatever the others"
)]
pub struct Habits {
    /// What the cursor is.
    pub kind: &'static str,
    /// Whether the source takes the cursor as a parameter.
    pub filters: bool,
    /// The kind that it takes, if that is not the cursor's.
    pub send: Option<&'static str>,
    /// Whether pages go by the cursor, or by the row's id. By a sequence they always do: rows that pass from a page that was
    /// read to one that was not are told from others by a clock only.
    pub by_cursor: bool,
    /// The order that it promises and keeps: `asc` or `desc`.
    pub order: Option<&'static str>,
    /// Whether a load is cut into windows.
    pub window: Option<&'static str>,
    /// Whether some rows have no cursor. The source always sends them, before all others.
    pub has_undated: bool,
    /// Which page's token counts.
    pub token_page: &'static str,
    /// Whether it has one page with an entity tag.
    pub has_tags: bool,
    pub has_date: bool,
    pub page_rows: usize,
}

#[derive(Debug, Clone)]
struct Row {
    /// `None`: it has no cursor.
    seconds: Option<i64>,
    version: u64,
    is_deleted: bool,
}

pub struct Source {
    pub habits: Habits,
    rows: BTreeMap<u8, Row>,
    pub now: i64,
    writes: u64,
}

impl Source {
    pub fn new(habits: Habits) -> Self {
        Self {
            habits,
            rows: BTreeMap::new(),
            now: NOON,
            writes: 0,
        }
    }

    pub fn happens(&mut self, happening: &Happening) {
        match *happening {
            Happening::Pass { seconds } => self.now += seconds,
            Happening::Write {
                id,
                late_seconds,
                is_deleted,
                is_undated,
            } => {
                self.writes += 1;
                let has_cursor = !(is_undated && self.habits.has_undated);
                let row = Row {
                    seconds: has_cursor.then_some(self.now - late_seconds),
                    version: self.writes,
                    is_deleted,
                };
                self.rows.insert(id, row);
            }
        }
    }

    fn has_sequence(&self) -> bool {
        matches!(self.habits.kind, "integer" | "token")
    }

    /// The cursor as this row writes it: the same source mixes offsets and precisions.
    fn cursor_of(&self, row: &Row) -> String {
        let Some(seconds) = row.seconds else {
            return "null".to_owned();
        };
        let at = Timestamp::from_second(seconds).unwrap();
        match self.habits.kind {
            "epoch" => seconds.to_string(),
            "epoch-ms" => format!("{seconds}000"),
            "integer" | "token" => row.version.to_string(),
            _ if row.version.is_multiple_of(3) => {
                let local = jiff::tz::offset(2).to_datetime(at);
                format!("\"{}\"", local.strftime("%Y-%m-%dT%H:%M:%S.000+02:00"))
            }
            _ => format!("\"{at}\""),
        }
    }

    fn position(&self, id: u8, row: &Row) -> (i64, i64) {
        let cursor = match row.seconds {
            _ if !self.habits.by_cursor => 0,
            None => i64::MIN,
            Some(_) if self.has_sequence() => i64::try_from(row.version).unwrap(),
            Some(seconds) => seconds,
        };
        match self.habits.order {
            Some("desc") => (cursor.checked_neg().unwrap_or(cursor), i64::from(id)),
            _ => (cursor, i64::from(id)),
        }
    }

    /// Whether a row is at or after a value that was sent: the source knows its own kind, or the one that it takes.
    fn is_since(&self, row: &Row, since: &str) -> bool {
        let Some(seconds) = row.seconds else {
            return true;
        };
        match self.habits.send.unwrap_or(self.habits.kind) {
            "epoch" => seconds >= since.parse().unwrap(),
            "epoch-ms" => seconds * 1000 >= since.parse().unwrap(),
            "integer" => i128::from(row.version) >= since.parse().unwrap(),
            "token" => row.version > since.parse().unwrap(),
            "date" => *format!("{}", Timestamp::from_second(seconds).unwrap()) >= *since,
            _ => seconds >= since.parse::<Timestamp>().unwrap().as_second(),
        }
    }

    /// One page: rows of the window asked for, behind the position where the last page ended.
    pub fn answer(&self, request: &Request) -> Said {
        let url = request.url.as_str();
        let since = parameter(url, "since");
        let until = parameter(url, "until");
        let behind = parameter(url, "behind").map(|text| {
            let (a, b) = text.split_once('.').unwrap();
            (a.parse().unwrap(), b.parse().unwrap())
        });
        let mut rows: Vec<(&u8, &Row)> = self
            .rows
            .iter()
            .filter(|(_, row)| {
                let is_since = |value: &String| self.is_since(row, value);
                since.as_ref().is_none_or(is_since)
                    && (row.seconds.is_none() || !until.as_ref().is_some_and(is_since))
            })
            .filter(|(id, row)| behind.is_none_or(|behind| self.position(**id, row) > behind))
            .collect();
        rows.sort_by_key(|(id, row)| self.position(**id, row));
        let has_more = rows.len() > self.habits.page_rows;
        rows.truncate(self.habits.page_rows);
        let records: Vec<String> = rows
            .iter()
            .map(|(id, row)| {
                let (cursor, version, gone) = (self.cursor_of(row), row.version, row.is_deleted);
                format!(r#"{{"id":{id},"u":{cursor},"version":{version},"gone":{gone}}}"#)
            })
            .collect();
        let body = format!("[{}]", records.join(","));
        let tag = format!("{body:?}");
        let known = ("if-none-match".to_owned(), tag.clone());
        let mut said = if self.habits.has_tags && request.headers.contains(&known) {
            status(304)
        } else {
            page(&body)
        };
        if self.habits.has_tags {
            said = with_header(said, "etag", &tag);
        }
        if let (true, Some((id, row))) = (has_more, rows.last()) {
            let (a, b) = self.position(**id, row);
            let mut next = format!("<?behind={a}.{b}");
            for (name, value) in [("since", &since), ("until", &until)] {
                let value = value.as_ref().map(|value| value.replace('+', "%2B"));
                next += &value.map_or_else(String::new, |value| format!("&{name}={value}"));
            }
            said = with_header(said, "link", &format!("{next}>; rel=next"));
        }
        // Whoever reads on from the first page's token, or from the last one's, misses nothing.
        said = with_header(said, "x-sync", &self.writes.to_string());
        if self.habits.has_date {
            let date = Timestamp::from_second(self.now).unwrap();
            let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            said = with_header(said, "date", &date);
        }
        said
    }

    /// What a reader should find.
    pub fn live(&self) -> BTreeMap<String, u64> {
        let live = self.rows.iter().filter(|(_, row)| !row.is_deleted);
        live.map(|(id, row)| (id.to_string(), row.version))
            .collect()
    }
}
