//! HTTP/2: a server that speaks it alone, and all that one can do wrong in it. Frames are written by hand where no library
//! would send them.

use std::io::Read as _;

use h2::Reason;
use http::{Version, request};
use tokio_rustls::TlsAcceptor;

use super::proxied::opening;
use super::tls::{CA, SERVER, config, trusting_within};
use super::*;

const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

// Frames, as RFC 9113 has them.

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The first request's.
const STREAM: u32 = 1;
const PREFACE_BYTES: usize = 24;
const FRAME_HEAD_BYTES: usize = 9;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// Header lines in HPACK: each a literal that nobody remembers.
fn lines(lines: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        // An integer of a prefix of 7 bits.
        let mut length = vec![];
        let mut rest = text.len();
        if rest < 127 {
            length.push(u8::try_from(rest).unwrap());
        } else {
            length.push(127);
            rest -= 127;
            while rest >= 128 {
                length.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            length.push(u8::try_from(rest).unwrap());
        }
        [length, text.as_bytes().to_vec()].concat()
    };
    let line = |(name, value): &(&str, &str)| [vec![0], text(name), text(value)].concat();
    lines.iter().flat_map(line).collect()
}

/// The head of a good answer with these headers besides.
fn head(flags: u8, headers: &[(&str, &str)]) -> Vec<u8> {
    let all = [&[(":status", "200")], headers].concat();
    frame(HEADERS, END_HEADERS | flags, STREAM, &lines(&all))
}

fn data(flags: u8, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, flags, STREAM, bytes)
}

fn reset(reason: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, STREAM, &reason.to_be_bytes())
}

/// What a server does after what it has sent.
#[derive(Clone)]
enum Then {
    Close,
    /// It closes before a request has come.
    CloseUnasked,
    Hold,
    /// These bytes for ever.
    Flood(Vec<u8>),
}

/// A server that waits for the head of a request on each connection, and then sends these bytes.
fn sending(bytes: Vec<u8>, then: Then) -> SocketAddr {
    let config = config(SERVER, &[H2]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let stream = rustls::StreamOwned::new(connection, stream);
            let (bytes, then) = (bytes.clone(), then.clone());
            // A client that turns away is what most of these tests are about.
            std::thread::spawn(move || converse(stream, &bytes, &then));
        }
    });
    address
}

fn converse(
    mut stream: rustls::StreamOwned<rustls::ServerConnection, std::net::TcpStream>,
    bytes: &[u8],
    then: &Then,
) -> std::io::Result<()> {
    stream.read_exact(&mut [0; PREFACE_BYTES])?;
    if !matches!(then, Then::CloseUnasked) {
        loop {
            let mut head = [0; FRAME_HEAD_BYTES];
            stream.read_exact(&mut head)?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut payload)?;
            if head[3] == HEADERS {
                break;
            }
        }
    }
    stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    stream.write_all(bytes)?;
    stream.flush()?;
    match then {
        Then::Close | Then::CloseUnasked => {
            stream.conn.send_close_notify();
            stream.flush()?;
            stream.sock.shutdown(std::net::Shutdown::Write)?;
        }
        Then::Hold => {}
        Then::Flood(bytes) => loop {
            stream.write_all(bytes)?;
        },
    }
    // What is left unread would turn the end into a reset.
    std::io::copy(&mut stream.sock, &mut std::io::sink()).map(drop)
}

/// What comes of one request to a server that sends this.
async fn outcome_within(
    bytes: Vec<u8>,
    then: Then,
    limits: &Limits,
) -> Result<Vec<u8>, EgressError> {
    let url = format!("https://{}", sending(bytes, then));
    read(get(&trusting_within(CA, &url, limits), &format!("{url}/")).await?).await
}

async fn outcome(frames: &[Vec<u8>], then: Then) -> Result<Vec<u8>, EgressError> {
    outcome_within(frames.concat(), then, &Limits::default()).await
}

#[tokio::test]
async fn a_whole_answer_is_read_in_every_way_of_ending() {
    let length = [("content-length", "5")];
    for frames in [
        vec![head(0, &length), data(END_STREAM, b"[1,2]")],
        vec![head(0, &[]), data(0, b"[1,"), data(END_STREAM, b"2]")],
        vec![head(0, &[]), data(0, b"[1,2]"), data(END_STREAM, b"")],
        vec![
            head(0, &[]),
            data(0, b"[1,2]"),
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                STREAM,
                &lines(&[("x", "y")]),
            ),
        ],
        // What comes of a stream after its end is nothing to it.
        vec![head(0, &length), data(END_STREAM, b"[1,2]"), reset(0)],
        // It is whole by its length.
        vec![head(0, &length), data(0, b"[1,2]"), reset(0)],
    ] {
        assert_eq!(outcome(&frames, Then::Hold).await.unwrap(), b"[1,2]");
    }
    let empty = outcome(&[head(END_STREAM, &[])], Then::Hold).await;
    assert_eq!(empty.unwrap(), b"");
}

#[tokio::test]
async fn a_stream_that_is_reset_is_a_broken_body_whatever_the_reason() {
    for reason in (0..=13).chain([0x7467_0000, u32::MAX]) {
        for length in [&[][..], &[("content-length", "9")]] {
            let frames = [head(0, length), data(0, b"[1,2]"), reset(reason)];
            let error = outcome(&frames, Then::Hold).await.unwrap_err();

            assert!(
                matches!(error, EgressError::CutOff { .. }),
                "{reason}: {error:?}"
            );
            assert!(error.to_string().contains("HTTP/2"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_ends_in_a_body_breaks_it() {
    let goaway = |reason: u32| {
        let said = [STREAM.to_be_bytes(), reason.to_be_bytes()].concat();
        frame(GOAWAY, 0, 0, &said)
    };
    for frames in [
        vec![],
        vec![data(0, b"[1,2]")],
        vec![data(0, b"[1,2]"), goaway(0)],
        vec![data(0, b"[1,2]"), goaway(2)],
        // In the middle of a frame.
        vec![data(END_STREAM, b"[1,2]")[..12].to_vec()],
    ] {
        let frames = [vec![head(0, &[])], frames].concat();
        let error = outcome(&frames, Then::Close).await.unwrap_err();

        assert!(matches!(error, EgressError::CutOff { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_length_that_is_not_that_of_the_body_is_an_error() {
    let with = |length| [("content-length", length)];
    for frames in [
        vec![head(0, &with("9")), data(END_STREAM, b"[1,2]")],
        vec![head(0, &with("3")), data(END_STREAM, b"[1,2]")],
        vec![
            head(0, &with("3")),
            data(0, b"[1,2]"),
            data(END_STREAM, b""),
        ],
        vec![head(END_STREAM, &with("5"))],
        vec![head(0, &with("five")), data(END_STREAM, b"[1,2]")],
        vec![head(0, &with("-5")), data(END_STREAM, b"[1,2]")],
        vec![head(0, &with("5, 5")), data(END_STREAM, b"[1,2]")],
        vec![
            head(0, &[("content-length", "5"), ("content-length", "6")]),
            data(END_STREAM, b"[1,2]"),
        ],
    ] {
        let error = outcome(&frames, Then::Hold).await.unwrap_err();

        let outcome = error.outcome();
        assert_eq!(
            outcome,
            crate::outcome::Outcome::ProtocolBroken,
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_head_that_http_2_does_not_allow_is_76_at_once() {
    let raw = |all: &[(&str, &str)]| frame(HEADERS, END_HEADERS, STREAM, &lines(all));
    for bad in [
        head(0, &[("X-Upper", "1")]),
        head(0, &[("connection", "close")]),
        head(0, &[("transfer-encoding", "chunked")]),
        head(0, &[("upgrade", "x")]),
        head(0, &[("keep-alive", "x")]),
        head(0, &[("proxy-connection", "x")]),
        head(0, &[("x", "a\r\nb: c")]),
        head(0, &[("x y", "1")]),
        head(0, &[(":status", "200")]),
        raw(&[("x", "y")]),
        raw(&[(":status", "99")]),
        raw(&[(":status", "abc")]),
        raw(&[("x", "y"), (":status", "200")]),
        // No HPACK.
        frame(HEADERS, END_HEADERS, STREAM, &[0xff; 40]),
        // A body without a head, a head for a stream that nobody opened, one that is pushed.
        data(END_STREAM, b"[1,2]"),
        frame(HEADERS, END_HEADERS, 3, &lines(&[(":status", "200")])),
        frame(HEADERS, END_HEADERS, 2, &lines(&[(":status", "200")])),
        frame(
            PUSH_PROMISE,
            END_HEADERS,
            STREAM,
            &[
                vec![0, 0, 0, 2],
                lines(&[(":method", "GET"), (":path", "/")]),
            ]
            .concat(),
        ),
        // Frames of a wrong size, and no frames.
        frame(SETTINGS, 0, 0, &[0; 5]),
        frame(PING, 0, 0, &[0; 3]),
        frame(DATA, 0, 0, b"x"),
        [&[0xff, 0xff, 0xff][..], &[DATA, 0, 0, 0, 0, 1]].concat(),
        b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec(),
    ] {
        let error = outcome(&[bad.clone(), data(END_STREAM, b"[1,2]")], Then::Hold)
            .await
            .unwrap_err();

        assert!(
            matches!(error, EgressError::BadFraming { .. }),
            "{bad:?}: {error:?}"
        );
        assert!(error.to_string().contains("HTTP/2"), "{error}");
    }
    let switching = frame(HEADERS, END_HEADERS, STREAM, &lines(&[(":status", "101")]));
    let limits = short_limits();
    let error = outcome_within(switching, Then::Hold, &limits).await;
    assert!(error.is_err(), "101 is no answer");
}

#[tokio::test]
async fn a_head_is_capped_in_bytes_in_lines_and_in_frames() {
    let limits = Limits::default();
    let long = "v".repeat(limits.response_head_bytes / 4);
    let large: Vec<Vec<u8>> = (0..5).map(|_| lines(&[("x", &long)])).collect();
    let too_large = [
        vec![frame(HEADERS, 0, STREAM, &lines(&[(":status", "200")]))],
        large
            .concat()
            .chunks(16 * 1024)
            .map(|piece| frame(CONTINUATION, 0, STREAM, piece))
            .collect(),
        vec![frame(CONTINUATION, END_HEADERS, STREAM, &[])],
    ];
    let error = outcome(&too_large.concat(), Then::Hold).await.unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::TooLarge {
                what: "response_head_bytes",
                ..
            }
        ),
        "{error:?}"
    );

    let many: Vec<(&str, &str)> = (0..=limits.response_headers).map(|_| ("x", "y")).collect();
    let error = outcome(&[head(END_STREAM, &many)], Then::Hold).await;
    assert!(
        matches!(
            error,
            Err(EgressError::TooLarge {
                what: "response_head_bytes",
                ..
            })
        ),
        "{error:?}"
    );

    // Without an end.
    let begun = frame(HEADERS, 0, STREAM, &lines(&[(":status", "200")]));
    for more in [
        frame(CONTINUATION, 0, STREAM, &[]),
        frame(CONTINUATION, 0, STREAM, &lines(&[("x", "y")])),
        frame(CONTINUATION, 0, STREAM, &[0; 16 * 1024]),
    ] {
        let error = outcome(std::slice::from_ref(&begun), Then::Flood(more)).await;
        let error = error.unwrap_err();
        assert!(error.is_final(), "{error:?}");
    }
}

#[tokio::test]
async fn a_flood_runs_into_a_limit() {
    let informational = frame(HEADERS, END_HEADERS, STREAM, &lines(&[(":status", "103")]));
    for (first, flood) in [
        (vec![], frame(PING, 0, 0, &[0; 8])),
        (vec![], frame(SETTINGS, 0, 0, &[])),
        (vec![], informational),
        (head(0, &[]), frame(PING, 0, 0, &[0; 8])),
        (head(0, &[]), data(0, b"")),
    ] {
        let error = outcome_within(first, Then::Flood(flood), &short_limits()).await;

        assert!(error.is_err(), "{error:?}");
    }
    // More than the windows that it was given.
    let piece = data(0, &[b' '; 16 * 1024]);
    let limits = Limits {
        response_wire_bytes: 3 * 1024 * 1024,
        ..Limits::default()
    };
    let error = outcome_within(head(0, &[]), Then::Flood(piece), &limits).await;
    let error = error.unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::TooLarge { .. } | EgressError::CutOff { .. }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_that_says_nothing_or_stops_runs_into_the_limits_for_that() {
    let silent = outcome_within(vec![], Then::Hold, &short_limits()).await;
    assert!(
        matches!(silent, Err(EgressError::FirstByteTimeout { .. })),
        "{silent:?}"
    );
    let stops = [head(0, &[]), data(0, b"[1,")].concat();
    let stops = outcome_within(stops, Then::Hold, &short_limits()).await;
    assert!(
        matches!(stops, Err(EgressError::IdleTimeout { .. })),
        "{stops:?}"
    );
}

#[tokio::test]
async fn a_server_that_closes_or_goes_away_before_an_answer_is_unreachable() {
    let goaway = |reason: u32| {
        frame(
            GOAWAY,
            0,
            0,
            &[0u32.to_be_bytes(), reason.to_be_bytes()].concat(),
        )
    };
    for frames in [
        vec![],
        vec![goaway(0)],
        vec![goaway(1)],
        vec![goaway(11)],
        vec![reset(2)],
        vec![reset(7)],
        vec![reset(8)],
    ] {
        let error = outcome(&frames, Then::Close).await.unwrap_err();

        assert!(
            matches!(error, EgressError::Unreachable { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("HTTP/2"), "{error}");
    }
    for frames in [vec![], vec![goaway(0)], vec![goaway(1)]] {
        let error = outcome(&frames, Then::CloseUnasked).await.unwrap_err();

        assert!(
            matches!(error, EgressError::Unreachable { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("HTTP/2"), "{error}");
    }
}

// A server that a library makes.

/// What a server does with a request.
enum Does {
    Says(Response<()>, Vec<u8>),
    Resets(Reason),
    /// Answers, and has what comes later sent to another connection.
    SaysAndGoes(Response<()>, Vec<u8>),
}

/// A request as it came, with its body.
type Asked = (request::Parts, Vec<u8>);

/// A server that speaks HTTP/2, and HTTP/1.1 where that is asked for.
pub(super) struct Http2 {
    pub(super) address: SocketAddr,
    /// Each request as it came, with its body.
    requests: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
}

impl Http2 {
    /// Does this with the nth request of all, counted from 0.
    async fn that(does: impl Fn(usize, &request::Parts) -> Does + Send + Sync + 'static) -> Self {
        let acceptor = TlsAcceptor::from(config(SERVER, &[H2, HTTP1]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            connections: Arc::default(),
        };
        let (requests, connections) = (server.requests.clone(), server.connections.clone());
        let does = Arc::new(does);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, requests, does) = (acceptor.clone(), requests.clone(), does.clone());
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await.ok()?;
                    if stream.get_ref().1.alpn_protocol() == Some(H2) {
                        Self::serve(stream, &requests, &*does).await
                    } else {
                        Self::serve_http1(stream).await
                    }
                });
            }
        });
        server
    }

    async fn serve(
        stream: tokio_rustls::server::TlsStream<TcpStream>,
        requests: &Arc<Mutex<Vec<Asked>>>,
        does: &(impl Fn(usize, &request::Parts) -> Does + Send + Sync),
    ) -> Option<()> {
        let mut connection = h2::server::handshake(stream).await.ok()?;
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let (head, mut incoming) = request.into_parts();
            let at = {
                let mut requests = requests.lock().unwrap();
                requests.push((head.clone(), vec![]));
                requests.len() - 1
            };
            let does = does(at, &head);
            if matches!(does, Does::SaysAndGoes(..)) {
                connection.graceful_shutdown();
            }
            let requests = requests.clone();
            tokio::spawn(async move {
                while let Some(Ok(bytes)) = incoming.data().await {
                    let _ = incoming.flow_control().release_capacity(bytes.len());
                    requests.lock().unwrap()[at].1.extend_from_slice(&bytes);
                }
                match does {
                    Does::Resets(reason) => respond.send_reset(reason),
                    Does::Says(head, body) | Does::SaysAndGoes(head, body) => {
                        let mut sending = respond.send_response(head, false).unwrap();
                        let _ = sending.send_data(body.into(), true);
                    }
                }
            });
        }
        Some(())
    }

    async fn serve_http1(mut stream: tokio_rustls::server::TlsStream<TcpStream>) -> Option<()> {
        let _ = stream.read(&mut [0; 4096]).await.ok()?;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\"1.1";
        stream.write_all(answer).await.ok()
    }

    pub(super) fn url(&self, target: &str) -> String {
        format!("https://{}{target}", self.address)
    }

    fn request(&self, at: usize) -> (request::Parts, Vec<u8>) {
        self.requests.lock().unwrap()[at].clone()
    }

    fn connected(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn page(body: &str) -> Does {
    Does::Says(Response::new(()), body.as_bytes().to_vec())
}

/// A way out to this server with this credential.
fn out(server: &Http2, auth: &Auth, proxy: Option<Proxy>) -> Egress {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(CA).unwrap();
    let files = TlsFiles {
        ca: Some(file.path().to_owned()),
        client: None,
    };
    let policy = Policy {
        source: Some(Origin::parse_grant(&server.url("")).unwrap()),
        proxy,
        ..Policy::default()
    };
    let log = Lines::default().log();
    Egress::new(
        policy,
        auth,
        &Besides::default(),
        &files,
        &Limits::default(),
        log,
    )
    .unwrap()
}

#[tokio::test]
async fn the_request_over_http_2_is_ours() {
    let server = Http2::that(|_, _| page("[]")).await;
    let egress = out(&server, &Auth::Bearer("t0ken-of-the-source".into()), None);
    let mut request = Request::post(server.url("/a/../b?x=1")).header("Accept", "x/y");
    for name in [
        "host",
        "authorization",
        "cookie",
        "te",
        "transfer-encoding",
        "content-length",
        "connection",
        "upgrade",
        "proxy-authorization",
        "proxy-connection",
        "keep-alive",
        "http2-settings",
        "accept-encoding",
    ] {
        request = request.header(name, "forged");
    }

    let body = Full::new(Bytes::from_static(b"{\"q\":1}"));
    let answer = egress.send(request.body(body).unwrap()).await.unwrap();

    assert_eq!(read(answer).await.unwrap(), b"[]");
    let (head, body) = server.request(0);
    assert_eq!(head.version, Version::HTTP_2);
    assert_eq!(head.method, "POST");
    assert_eq!(head.uri.to_string(), server.url("/a/../b?x=1"));
    let mut sent: Vec<String> = head
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    sent.sort_unstable();
    assert_eq!(
        sent,
        [
            "accept-encoding: gzip",
            "accept: x/y",
            "authorization: Bearer t0ken-of-the-source",
            "content-length: 7",
        ]
    );
    assert_eq!(body, b"{\"q\":1}");
}

#[tokio::test]
async fn an_echo_over_http_2_is_replaced_in_headers_and_bodies() {
    let server = Http2::that(|_, request| {
        let sent = request.headers["authorization"].clone();
        let said = format!("[\"you sent {}\"]", sent.to_str().unwrap());
        let head = Response::builder().header("x-you", sent).body(()).unwrap();
        Does::Says(head, said.into_bytes())
    })
    .await;
    let egress = out(&server, &Auth::Bearer("t0ken-of-the-source".into()), None);

    let answer = get(&egress, &server.url("/")).await.unwrap();

    assert_eq!(answer.headers()["x-you"], "Bearer REDACTED");
    let body = read(answer).await.unwrap();
    assert_eq!(body, b"[\"you sent Bearer REDACTED\"]");
}

#[tokio::test]
async fn requests_one_after_the_other_and_at_once_share_a_connection() {
    let server = Http2::that(|_, _| page("[]")).await;
    let egress = out(&server, &Auth::None, None);
    let fetch = async || {
        read(get(&egress, &server.url("/")).await.unwrap())
            .await
            .unwrap()
    };

    for _ in 0..3 {
        fetch().await;
    }
    let many = (0..10).map(|_| fetch());
    futures_util::future::join_all(many).await;

    assert_eq!(server.connected(), 1);
    assert_eq!(server.requests.lock().unwrap().len(), 13);
}

#[tokio::test]
async fn a_server_that_goes_away_between_requests_is_asked_over_a_new_connection() {
    let server = Http2::that(|_, _| Does::SaysAndGoes(Response::new(()), b"[]".to_vec())).await;
    let egress = out(&server, &Auth::None, None);

    for _ in 0..4 {
        let answer = get(&egress, &server.url("/")).await.unwrap();
        assert_eq!(read(answer).await.unwrap(), b"[]");
    }

    assert_eq!(server.connected(), 4);
}

#[tokio::test]
async fn what_was_not_looked_at_is_sent_once_more_and_nothing_else_is() {
    for (reason, asked) in [
        (Reason::REFUSED_STREAM, 2),
        (Reason::CANCEL, 1),
        (Reason::INTERNAL_ERROR, 1),
        (Reason::ENHANCE_YOUR_CALM, 1),
        (Reason::NO_ERROR, 1),
    ] {
        let server = Http2::that(move |at, _| match at {
            0 => Does::Resets(reason),
            _ => page("[]"),
        })
        .await;
        let request = Request::post(server.url("/"));
        let body = Full::new(Bytes::from_static(b"{}"));
        let egress = out(&server, &Auth::None, None);

        let answer = egress.send(request.body(body).unwrap()).await;

        assert_eq!(answer.is_ok(), asked == 2, "{reason:?}");
        assert_eq!(server.requests.lock().unwrap().len(), asked, "{reason:?}");
        assert_eq!(server.request(asked - 1).1, b"{}");
    }
    let server = Http2::that(|_, _| Does::Resets(Reason::REFUSED_STREAM)).await;
    let error = get(&out(&server, &Auth::None, None), &server.url("/")).await;
    assert!(matches!(error, Err(EgressError::Unreachable { .. })));
    assert_eq!(
        server.requests.lock().unwrap().len(),
        2,
        "once more, and not for ever"
    );
}

#[tokio::test]
async fn a_server_that_wants_http_1_is_asked_so_from_then_on() {
    let server = Http2::that(|_, _| Does::Resets(Reason::HTTP_1_1_REQUIRED)).await;
    let egress = out(&server, &Auth::None, None);

    for _ in 0..3 {
        let answer = get(&egress, &server.url("/")).await.unwrap();
        assert_eq!(read(answer).await.unwrap(), b"\"1.1");
    }

    assert_eq!(server.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_tunnel_carries_http_2() {
    let server = Http2::that(|_, _| page("[]")).await;
    let proxy = opening(server.address).await;
    let way = Proxy::parse(&format!("http://{}", proxy.address)).unwrap();
    let egress = out(
        &server,
        &Auth::Bearer("t0ken-of-the-source".into()),
        Some(way),
    );

    for _ in 0..2 {
        let answer = get(&egress, &server.url("/")).await.unwrap();
        assert_eq!(read(answer).await.unwrap(), b"[]");
    }

    assert_eq!(proxy.asked(), 1);
    assert!(proxy.request(0).starts_with("CONNECT "));
    assert_eq!(server.request(1).0.version, Version::HTTP_2);
}

#[tokio::test]
async fn gzip_over_http_2_is_decoded_and_capped() {
    let zipped = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    let good = zipped(b"[1,2]");
    let bomb = zipped(&vec![b' '; 8 * 1024 * 1024]);
    let server = Http2::that(move |at, _| {
        let head = Response::builder().header("content-encoding", "gzip");
        let body = match at {
            0 => good.clone(),
            1 => good[..good.len() - 4].to_vec(),
            _ => bomb.clone(),
        };
        Does::Says(head.body(()).unwrap(), body)
    })
    .await;
    let egress = out(&server, &Auth::None, None);
    let fetch = async || read(get(&egress, &server.url("/")).await.unwrap()).await;

    assert_eq!(fetch().await.unwrap(), b"[1,2]");
    let cut = fetch().await.unwrap_err();
    assert!(matches!(cut, EgressError::CutOff { .. }), "{cut:?}");
    let bomb = fetch().await.unwrap_err();
    assert!(matches!(bomb, EgressError::TooLarge { .. }), "{bomb:?}");
}
