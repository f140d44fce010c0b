//! The scripted API: pages of rows on loopback, and what can go wrong with them.
//!
//! `GET /items?since=…&until=…&page=N` answers `{"items":[…],"next":URL}`, `/array` a bare array with the next page in `Link`, `/all` one
//! with every row. Bodies come in all ways that HTTP has: at once, over many lines, in pieces that divide characters.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, LINK, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use url::Url;

use super::rows::{self, Row};
use crate::outcome::{Failure, OrFail as _, Outcome};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The path of a bare array, and of one with every row.
const ARRAY: &str = "/array";
const ALL: &str = "/all";
/// Where rows that moved are found, before the path they had.
const MOVED: &str = "/moved";
/// Rows of a source of which a page is sent in such pieces.
const PIECES_ROWS: usize = 100;
/// Bytes of a piece that divides characters.
const PIECE_BYTES: usize = 7;
/// How long a body that is broken off waits after what there is of it.
const BREAK_OFF: Duration = Duration::from_millis(2);
/// Bytes of a piece of a body without an end.
const ENDLESS_PIECE_BYTES: usize = 64 * 1024;

/// What the API has, and what is wrong with it.
#[derive(Debug, Clone)]
pub struct Script {
    /// In the order in which they are sent.
    pub rows: Vec<Row>,
    pub page_rows: usize,
    pub fault: Fault,
    /// What its clock says, in seconds since 1970; what this machine's says where that is none.
    pub clock: Option<i64>,
}

/// What is wrong with the API. Where it says nothing else, it is wrong with the second page, and with the one of `/all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// This status, so often; always where nothing is said.
    Status {
        status: u16,
        times: Option<usize>,
        retry_after: Option<Wait>,
    },
    /// The body ends after so many bytes, or one byte too early if it is not that long.
    Cut {
        bytes: usize,
        ending: Ending,
    },
    /// The body does not end.
    Endless,
    /// The body is a page for people.
    Html,
    /// The body is JSON, without rows.
    Shape,
    /// The last page says that the first one is next.
    Loop,
    /// The first two pages are elsewhere at this origin.
    Moved,
    /// The second page is at another origin.
    MovedTo(SocketAddr),
    /// The second page is where it is, for ever.
    MovedRound,
    /// There is no answer.
    Silence,
}

/// How an answer asks to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// So many seconds.
    Seconds(u64),
    /// Until so many seconds after its `Date`, as a date.
    Until(i64),
}

/// How a body ends that is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The connection is closed before the length that was announced.
    ShortOfLength,
    /// The connection is closed before the last chunk.
    WithoutLastChunk,
    /// As if that were all.
    Complete,
}

/// One request that was received.
#[derive(Debug, Clone)]
pub struct Asked {
    pub at: Instant,
    pub path: String,
    pub since: Option<String>,
    pub until: Option<String>,
    pub page: usize,
}

/// The API, as long as this lives.
pub struct Api {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    address: SocketAddr,
    script: Mutex<Script>,
    asked: Mutex<Vec<Asked>>,
}

impl Api {
    /// Serves `script` on a free port of this machine, in tasks of `runtime`.
    pub fn start(runtime: &Handle, script: Script) -> Result<Self, Failure> {
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) =
            listener.or_fail(Outcome::IoFailed, || "cannot listen on 127.0.0.1")?;
        let shared = Arc::new(Shared {
            address,
            script: Mutex::new(script),
            asked: Mutex::default(),
        });
        let serving = runtime.spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            serving,
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what the API has from now on.
    pub fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut locked(&self.shared.script));
    }

    /// The rows that are there, without those that are deleted.
    pub fn live(&self) -> Vec<Row> {
        let script = locked(&self.shared.script);
        let live = script.rows.iter().filter(|row| !row.deleted);
        live.cloned().collect()
    }

    /// How long the body of the second page is at least.
    pub fn page_bytes(&self) -> usize {
        let script = locked(&self.shared.script);
        let shown: Vec<&Row> = script.rows.iter().collect();
        let second = shown.chunks(script.page_rows.max(1)).nth(1);
        second.map_or(0, |rows| rows::page(rows, None, true, true).len())
    }

    /// The requests since this was called last.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut locked(&self.shared.asked))
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, perhaps: without a pause this would take a processor.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let answer = service_fn(|request: Request<Incoming>| {
                let answer = answer(&request, &shared);
                let clock = locked(&shared.script).clock;
                async move {
                    match answer {
                        Some(answer) => Ok::<_, Infallible>(dated(answer, clock)),
                        None => std::future::pending().await,
                    }
                }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

/// The answer; `None`: there will be none.
fn answer(request: &Request<Incoming>, shared: &Shared) -> Option<Response<Body>> {
    let target = request.uri().path_and_query();
    let target = target.map_or("/", |target| target.as_str());
    let origin = format!("http://{}", shared.address);
    let Ok(url) = Url::parse(&format!("{origin}{target}")) else {
        return Some(plain(400, "this is no URL"));
    };
    let asked = Asked::of(&url);
    let page = asked.page;
    let before = {
        let mut all = locked(&shared.asked);
        all.push(asked.clone());
        all.iter().filter(|other| other.page == page).count()
    };
    let path = asked.path.strip_prefix(MOVED).unwrap_or(&asked.path);
    if page == 0 || !["/items", ARRAY, ALL].contains(&path) {
        return Some(plain(404, "there are /items, /array and /all"));
    }
    let script = locked(&shared.script);
    let Some(meant) = script.meant(&asked) else {
        return Some(plain(400, "`since` or `until` is no time"));
    };
    let served = |how| script.page(&meant, &url, path, page, how);
    let is_faulty = page == if path == ALL { 1 } else { 2 };
    Some(match script.fault {
        Fault::Silence if is_faulty => return None,
        Fault::Status {
            status,
            times,
            retry_after,
        } if is_faulty && times.is_none_or(|times| before <= times) => {
            let mut answer = plain(status, "scripted");
            let wait = retry_after.and_then(|wait| match wait {
                Wait::Seconds(seconds) => Some(HeaderValue::from(seconds)),
                Wait::Until(seconds) => rows::http_date(script.now() + seconds).parse().ok(),
            });
            answer
                .headers_mut()
                .extend(wait.map(|wait| (RETRY_AFTER, wait)));
            answer
        }
        Fault::Cut { bytes, ending } if is_faulty => served(How::Cut(bytes, ending)),
        Fault::Endless if is_faulty => served(How::Endless),
        Fault::Html if is_faulty => plain(200, "<!doctype html><title>Please log in</title>"),
        Fault::Shape if is_faulty => plain(200, "{\"error\":\"please try again\"}"),
        Fault::Moved if page <= 2 && path == asked.path => {
            if page == 1 {
                moved(StatusCode::FOUND, &format!("{origin}{MOVED}{target}"))
            } else {
                moved(StatusCode::PERMANENT_REDIRECT, &format!("{MOVED}{target}"))
            }
        }
        Fault::MovedTo(address) if is_faulty => {
            moved(StatusCode::FOUND, &format!("http://{address}{target}"))
        }
        Fault::MovedRound if is_faulty => {
            moved(StatusCode::TEMPORARY_REDIRECT, &format!("{origin}{target}"))
        }
        _ => served(match page {
            2 => How::OverLines,
            3 if is_small(&meant) => How::InPieces,
            _ => How::AtOnce,
        }),
    })
}

impl Asked {
    fn of(url: &Url) -> Self {
        let parameter = |wanted: &str| {
            let mut pairs = url.query_pairs();
            let found = pairs.find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.into_owned())
        };
        let page = parameter("page").map_or(Ok(1), |text| text.parse());
        Self {
            at: Instant::now(),
            path: url.path().to_owned(),
            since: parameter("since"),
            until: parameter("until"),
            page: page.unwrap_or_default(),
        }
    }
}

/// How a page is sent.
#[derive(Debug, Clone, Copy)]
enum How {
    AtOnce,
    /// With line breaks between members.
    OverLines,
    /// In chunks that divide characters.
    InPieces,
    Cut(usize, Ending),
    Endless,
}

impl Script {
    /// What its clock says, in seconds since 1970.
    fn now(&self) -> i64 {
        self.clock.unwrap_or_else(|| Timestamp::now().as_second())
    }

    /// The rows that are asked for. `None`: that cannot be understood.
    fn meant(&self, asked: &Asked) -> Option<Vec<&Row>> {
        let time = |text: &Option<String>| match text {
            None => Some(None),
            Some(text) => rows::time(text).map(Some),
        };
        let (since, until) = (time(&asked.since)?, time(&asked.until)?);
        let is_meant = |row: &&Row| {
            let is_after = since.is_none_or(|since| row.updated >= since);
            let is_before = until.is_none_or(|until| row.updated < until);
            is_after && is_before && (since.is_some() || !row.deleted)
        };
        Some(self.rows.iter().filter(is_meant).collect())
    }

    fn page(&self, rows: &[&Row], url: &Url, path: &str, page: usize, how: How) -> Response<Body> {
        let size = if path == ALL {
            rows.len()
        } else {
            self.page_rows
        };
        let mut pages: Vec<&[&Row]> = rows.chunks(size.max(1)).collect();
        pages.truncate(if path == ALL { 1 } else { usize::MAX });
        let last = pages.len().max(1);
        let is_loop = self.fault == Fault::Loop && path != ALL;
        let shown = if is_loop { page.min(last) } else { page };
        let next = match page + 1 {
            next if next <= last => Some(next),
            _ => is_loop.then_some(1),
        };
        let next = next.map(|next| with_page(url, path, next));
        let rows = pages.get(shown - 1).copied().unwrap_or_default();
        let is_pretty = matches!(how, How::OverLines | How::Cut(..));
        let text = rows::page(rows, next.as_deref(), path != "/items", is_pretty);
        let mut answer = sent(Bytes::from(text), how);
        if let Some(next) = next.and_then(|next| format!("<{next}>; rel=\"next\"").parse().ok()) {
            answer.headers_mut().insert(LINK, next);
        }
        answer
    }
}

/// Whether its pages can be sent in pieces: a large one would have more of them than any server sends.
fn is_small(rows: &[&Row]) -> bool {
    rows.len() <= PIECES_ROWS
}

/// The URL of another page of the same request.
fn with_page(url: &Url, path: &str, page: usize) -> String {
    let mut next = url.clone();
    next.set_path(path);
    next.query_pairs_mut()
        .clear()
        .extend_pairs(url.query_pairs().filter(|(name, _)| name != "page"))
        .append_pair("page", &page.to_string());
    next.into()
}

/// An answer with this body.
fn sent(text: Bytes, how: How) -> Response<Body> {
    let length = text.len();
    // What is before it is sent by then; at once, the connection would end without an answer.
    let broken = async {
        tokio::time::sleep(BREAK_OFF).await;
        Err(io::Error::other("broken off, as the script says"))
    };
    let (body, length) = match how {
        How::AtOnce | How::OverLines => (whole(text), None),
        How::InPieces => {
            let pieces: Vec<Bytes> = text
                .chunks(PIECE_BYTES)
                .map(Bytes::copy_from_slice)
                .collect();
            (streamed(stream::iter(pieces.into_iter().map(Ok))), None)
        }
        How::Cut(bytes, ending) => {
            let begun = text.slice(..bytes.min(length.saturating_sub(1)));
            match ending {
                Ending::Complete => (whole(begun), None),
                Ending::ShortOfLength => (streamed(ended(begun, broken)), Some(length)),
                Ending::WithoutLastChunk => (streamed(ended(begun, broken)), None),
            }
        }
        How::Endless => {
            let more = Bytes::from(vec![b' '; ENDLESS_PIECE_BYTES]);
            let begun = stream::iter([Ok(Bytes::from_static(b"{\"items\":["))]);
            (
                streamed(begun.chain(stream::repeat_with(move || Ok(more.clone())))),
                None,
            )
        }
    };
    let mut answer = Response::new(body);
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    if let Some(length) = length {
        answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    answer
}

fn whole(text: Bytes) -> Body {
    Full::new(text)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// `begun`, and then what ends it.
fn ended(
    begun: Bytes,
    ends: impl Future<Output = io::Result<Bytes>>,
) -> impl Stream<Item = io::Result<Bytes>> {
    stream::iter([Ok(begun)]).chain(stream::once(ends))
}

fn streamed(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(pieces.map_ok(Frame::data)).boxed_unsync()
}

/// The answer with the time that it is there, if there is one: without, the server writes that of this machine.
fn dated(mut answer: Response<Body>, clock: Option<i64>) -> Response<Body> {
    if let Some(date) = clock.and_then(|clock| rows::http_date(clock).parse().ok()) {
        answer.headers_mut().insert(DATE, date);
    }
    answer
}

fn plain(status: u16, text: &'static str) -> Response<Body> {
    let mut answer = Response::new(whole(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    answer
}

fn moved(status: StatusCode, target: &str) -> Response<Body> {
    let mut answer = plain(status.as_u16(), "moved");
    if let Ok(target) = target.parse() {
        answer.headers_mut().insert(LOCATION, target);
    }
    answer
}
