//! The built-in component: a JSON-over-HTTP source, fetched page by page into staged records, with a cursor.
//!
//! This file is the whole job on one screen. The core does no I/O and reads neither clock nor environment: all of that comes
//! through the ports, so everything here is tested natively. What is published, and whether, is the host's decision.

pub mod cursor;
pub mod failure;
mod fetch;
mod freshness;
mod nearest;
mod portion;
pub mod ports;
pub mod probe;
pub mod records;
pub mod settings;
pub mod source;
pub mod state;
mod time;
pub mod units;
pub mod wasi;

use jiff::Timestamp;

pub use failure::{Detail, Failure, Problem};
pub use settings::{Description, Setting, describe, validate};

pub use cursor::Window;
use cursor::{Cursor, Token};
use fetch::Fetch;
use portion::Portion;
use ports::{Clock, Http, Staging};
use settings::Settings;
use source::page::Shape;
use source::{Getter, fingerprint};
use state::State;

/// Without a `Date` from the source, its clock is taken to be no more than this behind ours.
const CLOCK_SKEW_SECONDS: i64 = 60;

/// What to do in this run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// The state that the last published run returned; `None` on the first run.
    pub state: Option<String>,
    /// Read this range only.
    pub window: Option<Window>,
    /// Fetch everything, whatever the state says.
    pub full_refresh: bool,
    /// Whether the run may end after one window of several, or between two pages of a sorted source, and be asked to go on from
    /// the state that it returns.
    pub portions: bool,
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
    let state = State::read(request.state.as_deref(), request.full_refresh)?;
    let range = range(request, &settings)?;
    let now = at(clock.unix_seconds() - CLOCK_SKEW_SECONDS);
    let mut shape = Shape::of(settings.format, settings.records.as_ref());
    let cursor = settings.cursor.as_ref();
    let cursor = cursor.map(|set| Cursor::begin(set, &state.position, range, now));
    let cursor = cursor.transpose()?;
    let token = settings.token.as_ref();
    let token = token.map(|set| Token::begin(set, &state.position, &mut shape));
    let token = token.transpose()?;
    let extent = extent(cursor.as_ref(), token.as_ref());

    let shaping = fingerprint(env);
    let first = settings.first_ask(cursor.as_ref(), token.as_ref())?;
    let mut pages = settings.pages(&first, &mut shape)?;
    if let (Some(seen), None) = (&state.seen, range) {
        pages.allow_unchanged(seen.conditions(pages.ask(), &shaping));
    }
    let began_ns = clock.monotonic_ns();
    let getter = Getter::new(http, clock, settings.retries)
        .at_rate(settings.rate)
        .judged_by(settings.error_check.as_ref())
        .reading_at_most(settings.answer_bytes_max);
    // What takes the place of all that is published is published as a whole.
    let replaces_all = request.state.is_some() && extent == Extent::Everything;
    let in_portions = request.portions && !replaces_all && range.is_none();
    let portion = Portion::begin(settings.deadline_seconds, began_ns);
    let fetch = Fetch {
        settings: &settings,
        getter,
        pages,
        stager: settings.stager(cursor, shape, staging),
        token,
        now,
        began_ns,
        shaping,
        validators: None,
        portion: in_portions.then_some(portion),
        is_first: request.state.is_none(),
        has_warned: false,
    };
    let mut report = match fetch.all()? {
        Some(report) => Report { extent, ..report },
        None => unchanged(&state),
    };
    if range.is_some() || report.extent == Extent::NothingNew {
        report.cursor = state.position.shown_cursor();
        let given = request.state.clone();
        report.state = given.unwrap_or_else(|| State::default().text());
    }
    Ok(report)
}

/// A point in time, or the nearest one there is.
fn at(unix_seconds: i64) -> Timestamp {
    Timestamp::from_second(unix_seconds).unwrap_or(Timestamp::MIN)
}

/// The range to read, if that can be done. `Err`: there is no cursor to read it by.
fn range<'r>(request: &'r Request, settings: &Settings) -> Result<Option<&'r Window>, Failure> {
    let wrong = |why: &str| Err(Failure::setting("--from", why));
    match &request.window {
        None => Ok(None),
        Some(_) if request.full_refresh => {
            wrong("reads a range, and `--full-refresh` everything: give one of them")
        }
        Some(_) if settings.token.is_some() => {
            wrong("reads a range of the cursor, and a `token` (SOURCE_CURSOR_KIND) has no order")
        }
        Some(_) if settings.cursor.is_none() => {
            wrong("reads a range of the cursor: set SOURCE_CURSOR")
        }
        Some(range) => Ok(Some(range)),
    }
}

fn extent(cursor: Option<&Cursor<'_>>, token: Option<&Token<'_>>) -> Extent {
    if cursor.is_some_and(Cursor::continues) || token.is_some_and(Token::continues) {
        Extent::Changes
    } else {
        Extent::Everything
    }
}

/// The source said that nothing changed.
fn unchanged(state: &State) -> Report {
    Report {
        extent: Extent::NothingNew,
        state: state.text(),
        cursor: state.position.shown_cursor(),
        pages: 1,
        fetched: 0,
        staged: 0,
        deleted: 0,
        rejected: 0,
        more: false,
    }
}
