//! A connector of tidegate: fetches the items of an API page by page, and stages those that changed.
//!
//! This file is yours: the settings, the pages, what a record is, the cursor. `source.rs` makes requests, with retries
//! and redirects; `host.rs` reads settings and writes files. Neither knows your API.

mod host;
mod source;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::host::job::{
    Description, Extent, Failure, Guest, Problem, Report, Request, Setting, Staging, Window,
};
use crate::host::{Records, detail};
use crate::source::{Source, place, resolve};

/// The version of the state that this connector writes. Raise it when the meaning of the state changes.
const STATE_VERSION: u64 = 1;
/// How far before the greatest change time seen the next run asks again: rows that the source committed late, or with the
/// very same time, are not lost. The host merges what is fetched twice by PRIMARY_KEY.
const LOOKBACK: SignedDuration = SignedDuration::from_mins(5);

struct Connector;
host::export!(Connector with_types_in host::bindings);

impl Guest for Connector {
    fn describe() -> Description {
        host::report_panics();
        Description {
            name: "new-connector".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: env!("CARGO_PKG_DESCRIPTION").to_owned(),
            // Here: your settings. `host::setting` reads them.
            settings: vec![
                Setting {
                    name: "SOURCE_API_URL".to_owned(),
                    doc: "URL of the first page".to_owned(),
                    required: true,
                    secret: false,
                    shapes_records: true, // After a change, old and new records may not fit together.
                    stages: Staging::empty(),
                    default: None,
                    example: Some("https://api.example.com/items".to_owned()),
                },
                optional("MAX_RETRIES", "Retries of a request", source::RETRIES),
                optional("RETRY_PAUSE", "Pause before the first retry", source::PAUSE),
            ],
            // Here: `| Staging::DELETIONS` if your connector writes deleted.ndjson.
            stages: Staging::CHANGES,
        }
    }

    fn run(request: Request) -> Result<Report, Failure> {
        host::report_panics();
        let source = Source::from_settings()?;
        let state = State::read(request.state.as_deref(), request.full_refresh)?;
        let first = first_url(request.window.as_ref(), state.cursor)?;
        let mut records = Records::create()?;

        let mut greatest = state.cursor;
        let (mut pages, mut next, mut asked) = (0, Some(first), BTreeSet::new());
        while let Some(url) = next {
            if !asked.insert(url.clone()) {
                let message = format!("{} names a page that was read already", place(&url));
                return Err(Failure::Protocol(detail(message)));
            }
            let body = source.get(&url)?;
            let page = Page::read(&body, &url)?;
            for item in page.items {
                greatest = greatest.max(Some(updated(item, &url)?));
                records.add(item.get());
            }
            records.write()?; // Page by page: memory holds one of them.
            pages += 1;
            next = page.next.map(|link| resolve(&url, &link));
        }

        // A cursor is never past the time of the first answer: rows that change while this run reads pages are asked for again,
        // and a row dated 2099 does not hide those that come later.
        let reached = greatest.map(|time| time.min(source.began()));
        let extent = match (&request.window, state.cursor) {
            (None, None) => Extent::Everything,
            _ => Extent::Changes,
        };
        let next_state = match (&request.window, request.state) {
            (Some(_), Some(state)) => state, // A window is read again; where the job is does not change.
            (Some(_), None) => State::default().text(),
            (None, _) => State::at(reached).text(),
        };
        Ok(Report {
            extent,
            state: next_state,
            cursor: reached.map(|time| time.to_string()),
            pages,
            fetched: records.count,
            staged: records.count,
            deleted: 0,
            rejected: 0,
            more: false,
        })
    }
}

/// Here: how your API is asked for what changed.
fn first_url(window: Option<&Window>, cursor: Option<Timestamp>) -> Result<String, Failure> {
    let mut url = host::setting("SOURCE_API_URL").unwrap_or_default();
    let mut add = |name: &str, value: &str| {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&format!("{name}={}", value.replace('+', "%2B")));
    };
    match (window, cursor) {
        (Some(window), _) => {
            add("since", &window.start);
            add("until", &window.end);
        }
        (None, Some(cursor)) => add("since", &(cursor - LOOKBACK).to_string()),
        (None, None) => {}
    }
    Ok(url)
}

/// Here: the headers of a request, but for the credential, which the host adds.
fn headers(_url: &str) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    Ok(vec![("accept".to_owned(), b"application/json".to_vec())])
}

/// Here: a page of your API. Each record keeps the text of the source, so that no digit is lost.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    /// Where the next page is; null on the last one. An answer without this member is no page.
    #[serde(deserialize_with = "Option::deserialize")]
    next: Option<String>,
}

impl<'a> Page<'a> {
    fn read(body: &'a [u8], url: &str) -> Result<Self, Failure> {
        object(body).map_err(|error| {
            let message = format!("{} is not a page of items: {error}", place(url));
            Failure::Protocol(detail(message))
        })
    }
}

/// Here: when a record changed. Return an error for a record that you cannot use.
fn updated(item: &RawValue, url: &str) -> Result<Timestamp, Failure> {
    #[derive(Deserialize)]
    struct Item {
        updated: Timestamp,
    }
    match object(item.get().as_bytes()) {
        Ok(Item { updated }) => Ok(updated),
        Err(error) => {
            let message = format!("{} has an item without `updated`: {error}", place(url));
            Err(Failure::Protocol(detail(message)))
        }
    }
}

/// Reads an object. By itself serde would take an array, too: its first value for the first member.
fn object<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Result<T, String> {
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err("it is not an object".to_owned());
    }
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

/// What one run leaves for the next.
#[derive(Default, Deserialize)]
struct State {
    v: u64,
    cursor: Option<Timestamp>,
}

impl State {
    /// No text before the first run. A state of a newer version is refused: this connector would misread it.
    fn read(text: Option<&str>, full_refresh: bool) -> Result<Self, Failure> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        let problem = match object::<Self>(text.as_bytes()) {
            Ok(state) if state.v > STATE_VERSION => {
                format!(
                    "has version {}, this connector reads up to {STATE_VERSION}",
                    state.v
                )
            }
            _ if full_refresh => return Ok(Self::default()),
            Ok(state) => return Ok(state),
            Err(error) => format!("cannot be read ({error}): run once with `--full-refresh`"),
        };
        Err(Failure::Settings(vec![Problem {
            setting: "state".to_owned(),
            message: problem,
        }]))
    }

    fn at(cursor: Option<Timestamp>) -> Self {
        Self {
            v: STATE_VERSION,
            cursor,
        }
    }

    fn text(&self) -> String {
        serde_json::json!({ "v": STATE_VERSION, "cursor": self.cursor }).to_string()
    }
}

fn optional(name: &str, doc: &str, default: &str) -> Setting {
    Setting {
        name: name.to_owned(),
        doc: doc.to_owned(),
        required: false,
        secret: false,
        shapes_records: false,
        stages: Staging::empty(),
        default: Some(default.to_owned()),
        example: None,
    }
}
