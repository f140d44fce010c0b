//! The built-in component: a JSON-over-HTTP source, fetched page by page into staged records, with a cursor.
//!
//! This file is the whole job on one screen. The core does no I/O and reads neither clock nor environment: all of that comes
//! through the ports, so everything here is tested natively. What is published, and whether, is the host's decision.

pub mod alone;
pub mod cursor;
pub mod failure;
pub mod fetch;
pub mod page;
pub mod pointer;
pub mod ports;
pub mod retry;
pub mod settings;
pub mod staged;
pub mod state;

#[cfg(target_family = "wasm")]
mod component;

use jiff::Timestamp;

pub use failure::{Detail, Failure, Problem};
pub use settings::{Description, Setting, describe, validate};

use cursor::Cursor;
use fetch::{Ask, Getter, Page, Pages};
use page::Shape;
use ports::{Clock, Http, Staging};
use settings::Settings;
use staged::Stager;
use state::State;

/// Without a `Date` from the source, its clock is taken to be no more than this behind ours.
const CLOCK_SKEW_SECONDS: i64 = 60;

/// A range of the cursor to read again: `start` included, `end` not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The first cursor value of the range.
    pub start: String,
    /// The cursor value at which the range ends.
    pub end: String,
}

/// What to do in this run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// The state that the last published run returned; `None` on the first run.
    pub state: Option<String>,
    /// Read this range only.
    pub window: Option<Window>,
    /// Fetch everything, whatever the state says.
    pub full_refresh: bool,
}

/// What the staged records are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All records there are.
    Everything,
    /// Records that are new or changed since the state given, perhaps with some that are not.
    Changes,
    /// The source said that nothing changed.
    NothingNew,
}

/// The end of a run that worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the staged records are.
    pub extent: Extent,
    /// The state for the next run.
    pub state: String,
    /// The cursor for people to read.
    pub cursor: Option<String>,
    /// Answers read from the source.
    pub pages: u64,
    /// Records found in them.
    pub fetched: u64,
    /// Lines staged as records.
    pub staged: u64,
    /// Lines staged as deleted.
    pub deleted: u64,
    /// Lines staged as rejected.
    pub rejected: u64,
    /// Whether another run, given this state, goes on where this one ended.
    pub more: bool,
}

/// Runs the job once. `Ok`: everything that was asked for is staged. `Err`: nothing that was staged may be used.
pub fn run(
    request: &Request,
    env: &[(String, String)],
    http: &mut impl Http,
    staging: &mut impl Staging,
    clock: &mut impl Clock,
) -> Result<Report, Failure> {
    let settings = Settings::read(env)?;
    refuse_window(request)?;
    let state = State::read(request.state.as_deref(), request.full_refresh)?;
    let cursor = settings.cursor.as_ref();
    let cursor = cursor.map(|set| Cursor::begin(set, &state)).transpose()?;
    let extent = extent(cursor.as_ref());

    let first = first_ask(&settings, cursor.as_ref());
    let mut source_seconds = clock.unix_seconds() - CLOCK_SKEW_SECONDS;
    let mut getter = Getter::new(http, clock, settings.retries_max);
    let mut shape = Shape::new(settings.records.as_ref());
    let mut pages = Pages::new(&settings, &first, &mut shape)?;
    let mut stager = Stager::new(&settings, cursor, shape, staging);
    loop {
        let page = pages.number();
        let fetched = getter.get(pages.ask(), page)?;
        if let (1, Some(date)) = (page, getter.date()) {
            source_seconds = date;
        }
        let place = fetched.place(page);
        let (contents, seen) = stager.page(&fetched.answer.body, &place, pages.expect())?;
        let records = contents.records;
        getter
            .clock()
            .log(&format!("page {page}: {}", counted(records, "record")));
        let goes_on = pages.go_on(Page {
            fetched: &fetched,
            contents: &contents,
            seen: &seen,
        })?;
        if let Some(warning) = pages.warning() {
            getter.clock().log(&warning);
        }
        if !goes_on {
            break;
        }
    }

    let (counts, cursor) = stager.finish();
    let source_time = Timestamp::from_second(source_seconds).unwrap_or(Timestamp::MIN);
    let state = cursor.map_or_else(|| Ok(State::default()), |cursor| cursor.end(source_time))?;
    Ok(Report {
        extent,
        state: state.text(),
        cursor: state.cursor,
        pages: pages.number(),
        fetched: counts.fetched,
        staged: counts.staged,
        deleted: counts.deleted,
        rejected: 0,
        more: false,
    })
}

/// So many of a thing, as a person says it: `1 record`, `2 records`.
fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

fn refuse_window(request: &Request) -> Result<(), Failure> {
    let refused = "reading a range is not yet supported in this version";
    match request.window {
        Some(_) => Err(Failure::setting("window", refused)),
        None => Ok(()),
    }
}

fn extent(cursor: Option<&Cursor<'_>>) -> Extent {
    match cursor {
        Some(cursor) if cursor.continues() => Extent::Changes,
        _ => Extent::Everything,
    }
}

fn first_ask(settings: &Settings, cursor: Option<&Cursor<'_>>) -> Ask {
    let ask = Ask {
        url: settings.url.clone(),
        body: settings.body.clone(),
        headers: settings.headers.clone(),
    };
    match cursor.and_then(Cursor::parameter) {
        Some((name, value)) => ask.with_parameter(name, value),
        None => ask,
    }
}
