//! Egress against servers that misbehave on purpose: real sockets on loopback, raw bytes, no HTTP library on their side.

mod cookies;
mod echoes;
mod encoding;
mod framing;
mod http2;
mod identity;
mod keys;
mod limits;
mod names;
mod proxied;
mod requests;
mod signed;
mod targets;
mod times;
mod tls;
mod tokens;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Full};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::*;
use crate::log::Format;
use crate::secret::Redactor;

/// One thing a server does.
#[derive(Clone)]
enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// One byte after every pause, for ever.
    Drip(Duration),
    /// These bytes for ever.
    Flood(Vec<u8>),
    Reset,
    Close,
}

fn text(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

/// A server that gives the nth request the nth answer, and those after the last one the last.
struct Server {
    address: SocketAddr,
    /// Each request as it came, head and body.
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn new(answers: impl IntoIterator<Item = Vec<Step>>) -> Self {
        Self::on("127.0.0.1:0", answers).await
    }

    async fn on(address: &str, answers: impl IntoIterator<Item = Vec<Step>>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            connections: Arc::default(),
        };
        let (requests, connections) = (server.requests.clone(), server.connections.clone());
        let answers: Arc<Vec<Vec<Step>>> = Arc::new(answers.into_iter().collect());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, requests.clone(), answers.clone()));
            }
        });
        server
    }

    /// One answer, in one piece, to every request.
    async fn saying(answer: &str) -> Self {
        Self::new([vec![text(answer)]]).await
    }

    fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    fn origin(&self) -> Origin {
        Origin::parse_grant(&self.url("")).unwrap()
    }

    fn request(&self, index: usize) -> String {
        self.requests.lock().unwrap()[index].clone()
    }

    fn asked(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn serve(
    mut stream: TcpStream,
    requests: Arc<Mutex<Vec<String>>>,
    answers: Arc<Vec<Vec<Step>>>,
) -> Option<()> {
    loop {
        let request = read_request(&mut stream).await?;
        let index = {
            let mut requests = requests.lock().unwrap();
            requests.push(request);
            requests.len() - 1
        };
        for step in &answers[index.min(answers.len() - 1)] {
            act(&mut stream, step).await?;
        }
    }
}

/// `None`: the connection is over.
async fn act(stream: &mut TcpStream, step: &Step) -> Option<()> {
    match step {
        Step::Send(bytes) => stream.write_all(bytes).await.ok(),
        Step::Wait(pause) => {
            sleep(*pause).await;
            Some(())
        }
        Step::Drip(pause) => loop {
            stream.write_all(b"0").await.ok()?;
            sleep(*pause).await;
        },
        Step::Flood(bytes) => loop {
            stream.write_all(bytes).await.ok()?;
        },
        Step::Reset => {
            stream.set_zero_linger().unwrap();
            None
        }
        Step::Close => None,
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(request[..end].to_vec())
                .unwrap()
                .to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if request.len() >= end + 4 + length {
                return Some(String::from_utf8(request).unwrap());
            }
        }
        let mut buffer = [0; 4096];
        let read = stream
            .read(&mut buffer)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        request.extend_from_slice(&buffer[..read]);
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn log(&self) -> Log {
        Log::to(
            Format::Json,
            serde_json::Map::new(),
            Redactor::default(),
            Box::new(self.clone()),
        )
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A resolver that gives these addresses for every name.
struct Names(Vec<IpAddr>);

impl Resolve for Names {
    fn resolve(
        &self,
        _: String,
    ) -> std::pin::Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        let addresses = self.0.clone();
        Box::pin(async move { Ok(addresses) })
    }
}

fn names(addresses: &[&str]) -> Arc<Names> {
    Arc::new(Names(
        addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect(),
    ))
}

fn short_limits() -> Limits {
    Limits {
        connect_timeout: Duration::from_millis(600),
        first_byte_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(300),
        response_timeout: Duration::from_millis(900),
        ..Limits::default()
    }
}

/// A way out to one source.
fn egress(source: Origin, auth: &Auth, limits: &Limits) -> Egress {
    let policy = Policy {
        source: Some(source),
        ..Policy::default()
    };
    Egress::new(
        policy,
        auth,
        &Besides::default(),
        &TlsFiles::default(),
        limits,
        Lines::default().log(),
    )
    .unwrap()
}

/// The same without a credential and with the usual limits.
fn plain(server: &Server) -> Egress {
    egress(server.origin(), &Auth::None, &Limits::default())
}

async fn get(egress: &Egress, url: &str) -> Result<Response<EgressBody>, EgressError> {
    egress
        .send(Request::get(url).body(Empty::<Bytes>::new()).unwrap())
        .await
}

async fn read(answer: Response<EgressBody>) -> Result<Vec<u8>, EgressError> {
    answer
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes().to_vec())
}

/// The whole body of the answer to one GET of `/`.
async fn fetch(egress: &Egress, server: &Server) -> Result<Vec<u8>, EgressError> {
    read(get(egress, &server.url("/")).await?).await
}

/// What came of one GET to a server that gives this answer and closes.
async fn outcome_of(answer: impl Into<Vec<u8>>) -> Result<Vec<u8>, EgressError> {
    let server = Server::new([vec![Step::Send(answer.into()), Step::Close]]).await;
    fetch(&plain(&server), &server).await
}

fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

#[test]
fn a_request_can_be_sent_from_any_thread() {
    fn needs_send<T: Send>(_: &T) {}
    let source = Origin::parse_grant("https://localhost").unwrap();
    let policy = Policy {
        source: None,
        allow_hosts: vec![],
        allow_private_networks: false,
        ceiling: None,
        proxy: None,
        cookies: false,
    };
    let egress = Egress::new(
        policy,
        &Auth::None,
        &Besides::default(),
        &TlsFiles::default(),
        &Limits::default(),
        Lines::default().log(),
    )
    .unwrap();

    needs_send(
        &egress.send(
            Request::get(source.to_string())
                .body(Empty::<Bytes>::new())
                .unwrap(),
        ),
    );
}
