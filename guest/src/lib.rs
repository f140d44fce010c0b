//! The built-in component: a JSON-over-HTTP source, fetched page by page into staged records, with a cursor.
//!
//! This file is the whole job on one screen. The core does no I/O and reads neither clock nor environment: all of that comes
//! through the ports, so everything here is tested natively. What is published, and whether, is the host's decision.

pub mod cursor;
mod each;
pub mod failure;
mod fetch;
mod freshness;
mod nearest;
mod parents;
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
use fetch::Run;
use ports::{Clock, Http, Staging};
use settings::{FanOut, Settings};
use source::{Getter, fingerprint};
use state::State;

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
    mut http: &mut dyn Http,
    mut staging: &mut dyn Staging,
    mut clock: &mut dyn Clock,
) -> Result<Report, Failure> {
    let (http, staging, clock) = (&mut http, &mut staging, &mut clock);
    let settings = Settings::read(env)?;
    let mut getter = Getter::new(http, clock, settings.retries)
        .at_rate(settings.rate)
        .judged_by(settings.error_check.as_ref())
        .with_meanings(&settings.meanings)
        .reading_at_most(settings.answer_bytes_max)
        .of_format(&settings.wire)
        .in_parallel(settings.parallel);
    let shaping = fingerprint(env);
    let mut report = match &settings.each {
        FanOut::No => {
            let mut run = Run::begin(&settings, request, shaping, &mut getter, staging)?;
            once(&mut run, request)?
        }
        FanOut::List(values) => {
            let mut run = Run::begin(&settings, request, shaping, &mut getter, staging)?;
            each::all(&mut run, request, values)?
        }
        FanOut::Parents(parents) => {
            let of = (&settings, &**parents);
            parents::all(of, request, &shaping, &mut getter, staging)?
        }
    };
    if request.window.is_some() || report.extent == Extent::NothingNew {
        let given = request.state.clone();
        report.state = given.unwrap_or_else(|| State::default().text());
    }
    Ok(report)
}

/// The one fetch of a run that makes no others.
fn once<H: Http, C: Clock, S: Staging>(
    run: &mut Run<'_, '_, H, C, S>,
    request: &Request,
) -> Result<Report, Failure> {
    let state = State::read(request.state.as_deref(), request.full_refresh)?;
    let fetch = run.fetch(None, &state)?;
    let extent = extent(fetch.continues);
    let ended = fetch.in_portions(request, extent).all()?;
    let cursor = match &ended {
        Some(ended) if run.range.is_none() => ended.state.position.shown_cursor(),
        _ => state.position.shown_cursor(),
    };
    let report = match ended {
        None => run.report(Extent::NothingNew, String::new()),
        Some(ended) => Report {
            more: ended.more,
            ..run.report(extent, ended.state.text())
        },
    };
    Ok(Report { cursor, ..report })
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

/// What a run fetches that goes on where another ended, or does not.
fn extent(continues: bool) -> Extent {
    if continues {
        Extent::Changes
    } else {
        Extent::Everything
    }
}
