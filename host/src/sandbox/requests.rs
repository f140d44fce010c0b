//! The child's end of the socket for requests: HTTP/2 with prior knowledge, one stream for each request.

use std::error::Error as _;
use std::os::unix::net::UnixStream as StdUnixStream;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use wasmtime_wasi_http::WasiBody;

use crate::component::broken::Broken;
use crate::component::requests::CONNECT;
use crate::limits::{EXCHANGE_HEAD_BYTES_MAX, EXCHANGE_READ_BYTES_MAX};

/// The way to the parent's egress. Clones share one connection.
#[derive(Clone)]
pub struct Requests(http2::SendRequest<WasiBody>);

impl Requests {
    /// Speaks through `socket`, which never waits, in a task of the runtime in use.
    pub async fn through(socket: StdUnixStream) -> Result<Self, String> {
        let failed =
            |error: &dyn std::fmt::Display| format!("cannot use the socket for requests: {error}");
        let socket = UnixStream::from_std(socket).map_err(|error| failed(&error))?;
        let (requests, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(EXCHANGE_READ_BYTES_MAX)
            // The windows of the streams are what counts. Half of this is h2's budget for small frames that were not read yet, each
            // counted as if it had 256 bytes; beyond it a source that sends little at a time would end the connection.
            .initial_connection_window_size(MAX_WINDOW)
            .max_frame_size(EXCHANGE_FRAME_BYTES)
            .max_header_list_size(EXCHANGE_HEAD_BYTES_MAX)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(|error| failed(&error))?;
        tokio::spawn(connection);
        Ok(Self(requests))
    }

    /// Sends one request.
    pub async fn send(
        mut self,
        mut request: Request<WasiBody>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        if request.method() == Method::CONNECT {
            *request.method_mut() = Method::from_bytes(CONNECT.as_bytes()).expect("it is a token");
        }
        self.0.ready().await?;
        self.0.send_request(request).await
    }
}

/// The largest window there is (RFC 9113, 6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// What of our frames one read takes in: few reads for a large body.
const EXCHANGE_FRAME_BYTES: u32 = 256 * 1024;

/// Why an exchange broke, where the parent said so.
pub fn broken(error: &hyper::Error) -> Option<Broken> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.reason().and_then(Broken::of);
        }
        source = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
    use hyper::body::Frame;
    use hyper::server::conn::http2 as server;
    use hyper::service::service_fn;

    use super::*;
    use crate::limits::Limits;

    fn request(path: &str) -> Request<WasiBody> {
        let body = Empty::new().map_err(|never: Infallible| match never {});
        let request = Request::get(format!("http://source.example{path}"));
        request.body(body.boxed_unsync()).unwrap()
    }

    #[tokio::test]
    async fn an_answer_that_nobody_reads_holds_up_no_other() {
        let (theirs, ours) = UnixStream::pair().unwrap();
        let answer = service_fn(|request: Request<Incoming>| async move {
            let bytes = if request.uri().path() == "/large" {
                8 << 20
            } else {
                1_000
            };
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(vec![b'x'; bytes]))))
        });
        let served = server::Builder::new(TokioExecutor::new());
        tokio::spawn(served.serve_connection(TokioIo::new(theirs), answer));
        let limits = Limits::default();
        let requests = Requests::through(ours.into_std().unwrap()).await.unwrap();

        let mut unread = Vec::new();
        for _ in 1..limits.requests_pending {
            unread.push(requests.clone().send(request("/large")).await.unwrap());
            // What may come of it comes.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let small = requests.send(request("/small")).await.unwrap();
        let read = tokio::time::timeout(Duration::from_secs(10), small.into_body().collect());

        assert_eq!(
            read.await.expect("it comes").unwrap().to_bytes().len(),
            1_000
        );
    }

    #[tokio::test]
    async fn small_frames_that_wait_to_be_read_end_nothing() {
        const PIECES: usize = 60_000;
        let (theirs, ours) = UnixStream::pair().unwrap();
        let answer = service_fn(|_: Request<Incoming>| async move {
            let piece = || Frame::data(Bytes::from_static(b"seven.."));
            let pieces = (0..PIECES).map(move |_| Ok::<_, Infallible>(piece()));
            let body = StreamBody::new(futures_util::stream::iter(pieces));
            Ok::<_, Infallible>(Response::new(body))
        });
        let served = server::Builder::new(TokioExecutor::new());
        tokio::spawn(served.serve_connection(TokioIo::new(theirs), answer));
        let requests = Requests::through(ours.into_std().unwrap()).await.unwrap();

        let answer = requests.send(request("/")).await.unwrap();
        // All that may wait waits.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let read = answer.into_body().collect().await;

        assert_eq!(read.unwrap().to_bytes().len(), 7 * PIECES);
    }
}
