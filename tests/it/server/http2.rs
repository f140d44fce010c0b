//! The same answers over HTTP/2: what a reply does to a connection of HTTP/1.1, it does to its stream.
//!
//! Only replies that are made of a status, headers and a body can be said in it.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::Response;
use tokio_rustls::TlsAcceptor;

use super::reply::Then;
use super::{Reply, Request, Shared, door};

/// Serves a connection of TLS with this certificate, until the client is gone.
pub(super) fn converse(
    stream: TcpStream,
    certificate: &'static str,
    origin: &str,
    connection: usize,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        stream.set_nonblocking(true)?;
        let stream = tokio::net::TcpStream::from_std(stream)?;
        let config = door::config(certificate, &[b"h2"]);
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let mut http = h2::server::handshake(stream)
            .await
            .map_err(io::Error::other)?;
        let mut streams = tokio::task::JoinSet::new();
        while let Some(accepted) = http.accept().await {
            let (request, respond) = accepted.map_err(io::Error::other)?;
            let (origin, shared) = (origin.to_owned(), Arc::clone(shared));
            streams.spawn(async move {
                let request = read(request, connection).await?;
                let reply = answered(request, shared).await?;
                answer(respond, &reply, &origin).await
            });
        }
        Ok(())
    })
}

async fn read(request: http::Request<RecvStream>, connection: usize) -> Result<Request, h2::Error> {
    let (head, mut incoming) = request.into_parts();
    let mut body = Vec::new();
    while let Some(bytes) = incoming.data().await {
        let bytes = bytes?;
        incoming.flow_control().release_capacity(bytes.len())?;
        body.extend_from_slice(&bytes);
    }
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let authority = head
        .uri
        .authority()
        .map(|host| ("host".to_owned(), host.to_string()));
    let value = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter();
    let headers = headers.map(|(name, text)| (name.to_string(), value(text)));
    Ok(Request {
        method: head.method.to_string(),
        target: target.to_owned(),
        headers: authority.into_iter().chain(headers).collect(),
        head: Vec::new(),
        body,
        connection,
    })
}

/// What the test answers, which may take its time.
async fn answered(request: Request, shared: Arc<Shared>) -> Result<Reply, h2::Error> {
    let answer = Arc::clone(&shared.answer.lock().expect("no answer panicked"));
    shared.state().seen.push(request.clone());
    shared.changed.notify_all();
    let reply = tokio::task::spawn_blocking(move || answer(&request)).await;
    reply.map_err(|_| Reason::INTERNAL_ERROR.into())
}

async fn answer(
    mut respond: SendResponse<Bytes>,
    reply: &Reply,
    origin: &str,
) -> Result<(), h2::Error> {
    let Some((status, headers, body)) = reply.in_parts(origin) else {
        if reply.then() == Then::Stall {
            std::future::pending::<()>().await;
        }
        respond.send_reset(Reason::INTERNAL_ERROR);
        return Ok(());
    };
    let mut head = Response::builder().status(status);
    for (name, value) in headers {
        head = head.header(name, value);
    }
    let head = head.body(()).expect("a reply that can be said in HTTP/2");
    let mut sending = respond.send_response(head, false)?;
    let (piece_bytes, pause) = reply.drip();
    for piece in body.chunks(piece_bytes.min(body.len().max(1))) {
        send(&mut sending, piece).await?;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    if reply.then() != Then::Listen {
        // What was sent before goes out first: a reset drops what waits.
        tokio::time::sleep(door::RESET_AFTER).await;
    }
    match reply.then() {
        // A body that is cut has no end, however the connection goes on.
        Then::Listen => sending.send_data(Bytes::new(), true)?,
        Then::Close if !reply.is_cut() => sending.send_data(Bytes::new(), true)?,
        // This one hyper would take for an end.
        Then::Close => sending.send_reset(Reason::NO_ERROR),
        Then::Vanish => sending.send_reset(Reason::CANCEL),
        Then::Reset => sending.send_reset(Reason::INTERNAL_ERROR),
        Then::Stall => std::future::pending().await,
        Then::Flood(piece) => loop {
            send(&mut sending, piece).await?;
        },
    }
    Ok(())
}

/// Sends all of it, as far as the client lets us.
async fn send(sending: &mut SendStream<Bytes>, mut bytes: &[u8]) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        sending.reserve_capacity(bytes.len());
        let free = std::future::poll_fn(|cx| sending.poll_capacity(cx)).await;
        let free = free.ok_or(Reason::CANCEL)??;
        let (now, later) = bytes.split_at(free.min(bytes.len()));
        sending.send_data(Bytes::copy_from_slice(now), false)?;
        bytes = later;
    }
    Ok(())
}
