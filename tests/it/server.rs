//! The source of a test: an HTTP server on loopback that answers as it is told, misbehaves, and remembers what it was
//! asked.
//!
//! Written on raw sockets, so that it can send what no HTTP library would. Nothing in it waits for ever.

mod door;
mod http2;
mod latch;
mod reply;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::door::Stream;
pub use self::door::{Door, tls_file};
pub use self::latch::{HELD_MAX, Latch};
pub use self::reply::Reply;
use self::reply::Then;

/// A client that says nothing for so long is given up.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A stalled answer is given up after this, or when the server goes.
const STALL_TIMEOUT: Duration = Duration::from_mins(2);
const HEAD_BYTES_MAX: usize = 1024 * 1024;

/// One request, as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case, values as they came.
    pub headers: Vec<(String, String)>,
    /// The head, byte for byte.
    pub head: Vec<u8>,
    /// The body; empty without a `Content-Length`.
    pub body: Vec<u8>,
    /// Which connection it came over, counted from 1.
    pub connection: usize,
}

impl Request {
    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The decoded value of a query parameter.
    pub fn query(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?')?.1;
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The value of a header, when it came exactly once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        value.filter(|_| values.next().is_none())
    }
}

type Answer = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;
type Receive = Arc<dyn Fn() -> Door + Send + Sync>;

/// The server, as long as this lives.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

struct Shared {
    answer: Mutex<Answer>,
    receive: Mutex<Receive>,
    is_https: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    seen: Vec<Request>,
    connections: usize,
    stopping: bool,
}

impl Server {
    /// Listens on a free port of 127.0.0.1 and answers each request with what `answer` returns.
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen on loopback");
        let address = listener.local_addr().expect("the address listened on");
        let shared = Arc::new(Shared {
            answer: Mutex::new(Arc::new(answer)),
            receive: Mutex::new(Arc::new(|| Door::Open)),
            is_https: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        let listening = std::thread::spawn(move || accept(&listener, &accepting));
        Self {
            address,
            shared,
            listening: Some(listening),
        }
    }

    /// `http://127.0.0.1:port`, or with https.
    pub fn origin(&self) -> String {
        self.shared.origin(self.address)
    }

    /// Is named with https from now on; the doors must speak it.
    pub fn names_itself_https(&self) {
        self.shared.is_https.store(true, Ordering::Relaxed);
    }

    /// Answers with this from now on.
    pub fn answer_with(&self, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        *self.shared.answer.lock().expect("no answer panicked") = Arc::new(answer);
    }

    /// Receives each connection as this says from now on.
    pub fn receive_with(&self, receive: impl Fn() -> Door + Send + Sync + 'static) {
        *self.shared.receive.lock().expect("no door panicked") = Arc::new(receive);
    }

    /// How many connections came in all.
    pub fn connections(&self) -> usize {
        self.shared.state().connections
    }

    /// The requests since the last call of [`Server::forget`].
    pub fn seen(&self) -> Vec<Request> {
        self.shared.state().seen.clone()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.shared.state().seen.clear();
    }

    /// Waits until so many requests have come.
    pub fn wait_for_requests(&self, count: usize) {
        let deadline = Instant::now() + READ_TIMEOUT;
        let mut state = self.shared.state();
        while state.seen.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "only {} of {count} requests came",
                state.seen.len()
            );
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .expect("no handler panicked")
                .0;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.state().stopping = true;
        self.shared.changed.notify_all();
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no thread panicked with the state")
    }

    fn origin(&self, address: SocketAddr) -> String {
        let is_https = self.is_https.load(Ordering::Relaxed);
        let scheme = if is_https { "https" } else { "http" };
        format!("{scheme}://{address}")
    }

    fn stall(&self) {
        let state = self.state();
        let stalled = self
            .changed
            .wait_timeout_while(state, STALL_TIMEOUT, |state| !state.stopping);
        drop(stalled);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        let connection = {
            let mut state = shared.state();
            if state.stopping {
                return;
            }
            state.connections += 1;
            state.connections
        };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let _ = serve(stream, connection, &shared);
        });
    }
}

fn serve(stream: TcpStream, connection: usize, shared: &Arc<Shared>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(READ_TIMEOUT))?;
    stream.set_nodelay(true)?;
    let origin = shared.origin(stream.local_addr()?);
    let receive = Arc::clone(&shared.receive.lock().expect("no door panicked"));
    match receive() {
        Door::Open => converse(Stream::Plain(stream), &origin, connection, shared),
        Door::Tls(certificate) => converse(
            Stream::tls(stream, certificate),
            &origin,
            connection,
            shared,
        ),
        Door::Http2(certificate) => {
            http2::converse(stream, certificate, &origin, connection, shared)
        }
        Door::Closed => Ok(()),
        Door::Reset => door::reset(&stream),
        Door::Silent => {
            shared.stall();
            Ok(())
        }
        Door::Says(bytes) => {
            let mut stream = stream;
            // What is left unread would turn the end into a reset.
            let _ = stream.read(&mut [0; 16 * 1024])?;
            stream.write_all(&bytes)
        }
    }
}

fn converse(
    mut stream: Stream,
    origin: &str,
    connection: usize,
    shared: &Shared,
) -> std::io::Result<()> {
    let mut unread = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut unread, connection)? {
        shared.state().seen.push(request.clone());
        shared.changed.notify_all();
        let answer = Arc::clone(&shared.answer.lock().expect("no answer panicked"));
        let reply = answer(&request);
        let (head, body) = reply.rendered(origin);
        let (piece_bytes, pause) = reply.drip();
        stream.write_all(&head)?;
        for piece in body.chunks(piece_bytes.min(body.len().max(1))) {
            stream.write_all(piece)?;
            std::thread::sleep(pause);
        }
        stream.flush()?;
        match reply.then() {
            Then::Listen => {}
            Then::Close => return stream.close(),
            Then::Vanish => return stream.vanish(),
            Then::Reset => return stream.reset(),
            Then::Stall => {
                shared.stall();
                return Ok(());
            }
            Then::Flood(piece) => loop {
                stream.write_all(piece)?;
            },
        }
    }
    Ok(())
}

/// The next request, or `None` at the end of the connection.
fn read_request(
    stream: &mut Stream,
    unread: &mut Vec<u8>,
    connection: usize,
) -> std::io::Result<Option<Request>> {
    let mut piece = [0; 16 * 1024];
    let end = loop {
        if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Ok(None);
        }
        unread.extend_from_slice(&piece[..read]);
        if unread.len() > HEAD_BYTES_MAX {
            return Err(ErrorKind::InvalidData.into());
        }
    };
    let head: Vec<u8> = unread.drain(..end).collect();
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut lines = text.split("\r\n");
    let mut words = lines
        .next()
        .unwrap_or_default()
        .split(' ')
        .map(str::to_owned);
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect::<Vec<_>>();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    while unread.len() < length {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        unread.extend_from_slice(&piece[..read]);
    }
    let body = unread.drain(..length).collect();
    Ok(Some(Request {
        method,
        target,
        headers,
        head,
        body,
        connection,
    }))
}
