//! The modelled source of pages: it stands still while it is read, and it is odd.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use url::form_urlencoded::Serializer;

use super::story::{Kind, Past, Sign, Story, Style, Tick};
use crate::histories::record::http_date;
use crate::server::{Reply, Request};

/// Noon of 23 November 2026.
const NOON: i64 = 1_795_435_200;

/// The source, between the runs and in them.
pub struct Source {
    story: Story,
    rows: BTreeMap<u32, Row>,
    now: i64,
    versions: u32,
    run: usize,
    asked: usize,
    facts: Facts,
}

/// What a run could see, and what it could not.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is so or not")]
pub struct Facts {
    /// It was answered nothing to everything.
    pub is_silent: bool,
    /// It asked from a cursor.
    pub has_asked_from: bool,
    /// A page was empty, and others with records came behind it.
    pub has_hole: bool,
    /// The source fell silent, and rows were left.
    pub is_cut_off: bool,
    /// The total counts rows that were not shown.
    pub counts_hidden: bool,
    /// A page behind the last one was refused, or was the last one again.
    pub is_past: bool,
    /// Rows were hidden from it.
    pub has_hidden: bool,
}

#[derive(Debug, Clone)]
struct Row {
    at: i64,
    version: u32,
}

/// A page as it was found.
struct Found {
    records: Vec<String>,
    /// How many rows it had before some were hidden.
    rows: usize,
    /// Where it begins among all rows that were asked for.
    begins: usize,
    /// The id behind which the next one begins.
    last: Option<u32>,
    /// How many rows are behind it.
    left: usize,
    /// How many of them are shown.
    left_shown: usize,
    /// How many rows were asked for, and how many of them are shown.
    all: usize,
    all_shown: usize,
}

impl Source {
    /// The source at the beginning of a story.
    pub fn new(story: &Story) -> Self {
        let mut source = Self {
            story: story.clone(),
            rows: BTreeMap::new(),
            now: NOON,
            versions: 0,
            run: 0,
            asked: 0,
            facts: Facts::default(),
        };
        for id in 1..=story.rows {
            source.writes(id);
            source.now += 7;
        }
        source
    }

    /// A run begins, after what changed before it.
    pub fn begins(&mut self, number: usize, tick: &Tick) {
        for id in &tick.writes {
            self.now += tick.pass;
            self.writes(*id);
        }
        self.now += 1;
        (self.run, self.asked, self.facts) = (number, 0, Facts::default());
    }

    /// What the run could see.
    pub fn facts(&self) -> Facts {
        self.facts
    }

    /// All records that the source shows, in the order of their keys.
    pub fn shown(&self) -> Vec<String> {
        let rows = self.rows.iter().filter(|(id, _)| !self.hides(**id));
        rows.map(|(id, row)| row.text(*id)).collect()
    }

    /// The answer to one request.
    pub fn answer(&mut self, request: &Request) -> Reply {
        let reply = self.reply(request);
        self.asked += 1;
        reply.header("date", http_date(self.now))
    }

    fn reply(&mut self, request: &Request) -> Reply {
        self.facts.has_asked_from |= request.query("since").is_some();
        if self.story.silent.contains(&self.run) {
            self.facts.is_silent = true;
            return self.whole(&Found::nothing(), None);
        }
        let mut found = self.found(request);
        if self.story.midway.is_some_and(|from| self.asked >= from) {
            self.facts.is_cut_off |= found.all_shown > 0 && found.begins < found.all;
            return self.whole(&Found::nothing(), None);
        }
        self.facts.has_hidden |= found.all > found.all_shown;
        self.facts.counts_hidden |= self.story.sign == Sign::OfAll && found.all > found.all_shown;
        self.facts.has_hole |= found.records.is_empty() && found.left_shown > 0;
        if found.rows == 0 && found.begins > 0 && self.story.style.is_numbered() {
            match self.story.past {
                Past::Refused => {
                    self.facts.is_past = true;
                    return Reply::new(404, "{}");
                }
                Past::LastPage if self.story.style == Style::Page && found.all > 0 => {
                    self.facts.is_past = true;
                    let last = found.all.div_ceil(self.cut(request)) - 1;
                    found = self.cut_at(request, last * self.cut(request));
                }
                Past::Empty | Past::LastPage => {}
            }
        }
        let next = found.last.filter(|_| found.left > 0);
        let next = next.map(|last| self.next(request, last));
        self.whole(&found, next)
    }

    fn whole(&self, found: &Found, next: Option<String>) -> Reply {
        let (style, sign) = (self.story.style, self.story.sign);
        let total = match sign {
            Sign::Silent | Sign::More | Sign::Range => None,
            Sign::Total => Some(found.all_shown.to_string()),
            Sign::Text => Some(format!("\"{}\"", found.all_shown)),
            Sign::AtMost(most) => Some(found.all_shown.min(most).to_string()),
            Sign::OfPage => Some(found.records.len().to_string()),
            Sign::OfAll => Some(found.all.to_string()),
        };
        let mut body = format!(r#"{{"items":[{}]"#, found.records.join(","));
        if let Some(total) = total {
            let _ = write!(body, r#","total":{total}"#);
        }
        if sign == Sign::More {
            let _ = write!(body, r#","more":{}"#, found.left_shown > 0);
        }
        if let (Style::Token | Style::NextUrl, Some(next)) = (style, &next) {
            let _ = write!(body, r#","next":"{next}""#);
        }
        let reply = Reply::new(200, body + "}");
        let reply = match (sign, found.records.len()) {
            (Sign::Range, 0) => {
                reply.header("content-range", format!("items */{}", found.all_shown))
            }
            (Sign::Range, many) => {
                let last = found.begins + many - 1;
                let range = format!("items {}-{last}/{}", found.begins, found.all_shown);
                reply.header("content-range", range)
            }
            _ => reply,
        };
        match (style, next) {
            (Style::Link, Some(next)) => reply.next(&next),
            _ => reply,
        }
    }

    fn next(&self, request: &Request, last: u32) -> String {
        if self.story.style == Style::Token {
            return last.to_string();
        }
        let mut query = Serializer::new(String::new());
        for name in ["since", "size"] {
            if let Some(value) = request.query(name) {
                query.append_pair(name, &value);
            }
        }
        query.append_pair("token", &last.to_string());
        format!("?{}", query.finish())
    }

    /// How many rows a page has that is asked for so.
    fn cut(&self, request: &Request) -> usize {
        let asked = request.query("size");
        asked.map_or(self.story.cut, |size| {
            self.story.cut.min(size.parse().expect("a size"))
        })
    }

    fn found(&self, request: &Request) -> Found {
        let number = |name| {
            request
                .query(name)
                .map(|text| text.parse::<usize>().expect("a number"))
        };
        let cut = self.cut(request);
        let behind = number("after").or(number("token"));
        let begins = match (number("page"), number("offset"), behind) {
            (Some(page), ..) => (page - 1) * cut,
            (_, Some(offset), _) => offset,
            (_, _, Some(last)) => {
                let rows = self.asked_for(request);
                let at = rows.iter().position(|(id, _)| *id as usize == last);
                at.expect("a row that was served") + 1
            }
            _ => 0,
        };
        self.cut_at(request, begins)
    }

    fn cut_at(&self, request: &Request, begins: usize) -> Found {
        let all = self.asked_for(request);
        let shown = |rows: &[(u32, &Row)]| rows.iter().filter(|(id, _)| !self.hides(*id)).count();
        let from = begins.min(all.len());
        let to = (from + self.cut(request)).min(all.len());
        let page = &all[from..to];
        let records = page.iter().filter(|(id, _)| !self.hides(*id));
        Found {
            records: records.map(|(id, row)| row.text(*id)).collect(),
            rows: page.len(),
            begins,
            last: page.last().map(|(id, _)| *id),
            left: all.len() - to,
            left_shown: shown(&all[to..]),
            all: all.len(),
            all_shown: shown(&all),
        }
    }

    /// All rows that the request is for, in their order.
    fn asked_for(&self, request: &Request) -> Vec<(u32, &Row)> {
        let since = request.query("since");
        let since = since.map(|since| {
            let since: jiff::Timestamp = since.parse().expect("a time as cursor");
            since.as_second()
        });
        let is_asked_for = |row: &Row| match (since, self.story.kind) {
            (None, _) | (Some(_), Kind::Ignored) => true,
            (Some(_), Kind::Unknown) => false,
            (Some(since), Kind::Exclusive) => row.at > since,
            (Some(since), _) => row.at >= since,
        };
        let rows = self.rows.iter().map(|(id, row)| (*id, row));
        let mut rows: Vec<_> = rows.filter(|(_, row)| is_asked_for(row)).collect();
        if self.story.by_change {
            rows.sort_by_key(|(id, row)| (row.at, *id));
        }
        rows
    }

    fn hides(&self, id: u32) -> bool {
        self.story.hidden.contains(&id)
    }

    fn writes(&mut self, id: u32) {
        self.versions += 1;
        let (at, version) = (self.now, self.versions);
        self.rows.insert(id, Row { at, version });
    }
}

impl Row {
    fn text(&self, id: u32) -> String {
        let at = jiff::Timestamp::from_second(self.at).expect("a time that there is");
        format!(
            r#"{{"id":{id},"changed":"{at}","version":{}}}"#,
            self.version
        )
    }
}

impl Found {
    fn nothing() -> Self {
        Self {
            records: Vec::new(),
            rows: 0,
            begins: 0,
            last: None,
            left: 0,
            left_shown: 0,
            all: 0,
            all_shown: 0,
        }
    }
}
