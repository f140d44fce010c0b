//! The parent's end of the socket for requests: every stream is one request, which egress judges and sends.
//!
//! The other end may be a child that a component has taken over. So what egress refuses, it refuses here too; streams, their
//! heads and what waits in them have limits; and what breaks off is a reset, which nobody can take for an end.

use std::convert::Infallible;

use http::{Method, Request};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;

use super::broken::Broken;
use super::merged::Merged;
use crate::egress::{Egress, EgressError};
use crate::limits::{
    EXCHANGE_HEAD_BYTES_MAX, EXCHANGE_RESETS_MAX, EXCHANGE_SEND_BYTES_MAX, Limits,
};

/// How the method CONNECT is spelled on the socket: HTTP/2 has its own meaning for it, and egress says that it is not granted.
pub const CONNECT: &str = "CONNECT~";

/// An exchange that broke: hyper resets its stream with the number in it.
#[derive(Debug, thiserror::Error)]
#[error("the exchange broke")]
struct Reset(#[source] h2::Error);

impl From<EgressError> for Reset {
    fn from(error: EgressError) -> Self {
        Self(Broken::from(&error).reason().into())
    }
}

/// Serves requests from `socket` through `egress`, until the other end is gone.
pub async fn serve(socket: UnixStream, egress: Egress, limits: Limits) -> Result<(), Infallible> {
    let answer = service_fn(move |mut request: Request<Incoming>| {
        if request.method().as_str() == CONNECT {
            *request.method_mut() = Method::CONNECT;
        }
        let egress = egress.clone();
        async move {
            let answer = egress.send(request).await.map_err(Reset::from)?;
            Ok::<_, Reset>(answer.map(|body| Merged::new(body.map_err(Reset::from))))
        }
    });
    let streams = u32::try_from(limits.requests_pending).unwrap_or(u32::MAX);
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.max_concurrent_streams(streams)
        .max_header_list_size(EXCHANGE_HEAD_BYTES_MAX)
        .max_send_buf_size(EXCHANGE_SEND_BYTES_MAX)
        .max_pending_accept_reset_streams(EXCHANGE_RESETS_MAX)
        .max_local_error_reset_streams(EXCHANGE_RESETS_MAX)
        // The component believes the source's date.
        .auto_date_header(false);
    // It ends with an error where the child is killed: nobody is left who could care.
    let _ = http.serve_connection(TokioIo::new(socket), answer).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::client::conn::http2::SendRequest;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::egress::{Auth, Besides, Policy, TlsFiles};
    use crate::log::Log;

    /// A way out that grants nothing.
    fn egress() -> Egress {
        let (auth, files, limits) = (Auth::None, TlsFiles::default(), Limits::default());
        Egress::new(
            Policy::default(),
            &auth,
            &Besides::default(),
            &files,
            &limits,
            Log::silent(),
        )
        .unwrap()
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(work)
    }

    /// What the parent sends to a child that sends these bytes and listens until nothing more comes.
    async fn answer_to(sent: &[u8]) -> Vec<u8> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let serving = tokio::spawn(serve(ours, egress(), Limits::default()));
        let _ = theirs.write_all(sent).await;
        let _ = theirs.shutdown().await;
        let mut answer = Vec::new();
        let read = theirs.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_secs(10), read)
            .await
            .expect("it ends");
        serving.await.unwrap().unwrap();
        answer
    }

    async fn connected(socket: UnixStream) -> SendRequest<Full<Bytes>> {
        let shaken =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
        let (requests, connection) = shaken.await.unwrap();
        tokio::spawn(connection);
        requests
    }

    #[test]
    fn what_egress_refuses_is_a_reset_that_says_so_and_nothing_else() {
        block_on(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let egress = egress();
            tokio::spawn(serve(ours, egress.clone(), Limits::default()));
            let mut requests = connected(theirs).await;

            let request = Request::get("http://localhost:1/").body(Full::default());
            let error = requests.send_request(request.unwrap()).await.unwrap_err();

            assert_eq!(crate::sandbox::broken(&error), Some(Broken::Denied));
            assert!(egress.denial().unwrap().to_string().contains("ALLOW_HOSTS"));
        });
    }

    #[test]
    fn more_requests_at_once_than_may_be_pending_wait() {
        block_on(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            tokio::spawn(serve(ours, egress(), Limits::default()));
            let requests = connected(theirs).await;

            let all = (0..1_000).map(|_| {
                let mut requests = requests.clone();
                async move {
                    let request = Request::get("http://localhost:1/").body(Full::default());
                    requests.send_request(request.unwrap()).await.is_err()
                }
            });

            assert!(
                futures_util::future::join_all(all)
                    .await
                    .into_iter()
                    .all(|refused| refused)
            );
        });
    }

    #[test]
    fn a_head_without_end_is_refused() {
        block_on(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            tokio::spawn(serve(ours, egress(), Limits::default()));
            let mut requests = connected(theirs).await;

            let large = "x".repeat(2 * EXCHANGE_HEAD_BYTES_MAX as usize);
            let request = Request::get("http://localhost:1/").header("x-large", large);
            let sent = requests.send_request(request.body(Full::default()).unwrap());

            assert!(!sent.await.is_ok_and(|answer| answer.status().is_success()));
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn whatever_a_child_sends_the_parent_lives(frames in prop::collection::vec(frame(), 0..20), greets in any::<bool>()) {
            let mut sent = Vec::new();
            if greets {
                sent.extend(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
                // Its settings: none.
                sent.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
            }
            sent.extend(frames.into_iter().flatten());
            block_on(answer_to(&sent));
        }
    }

    /// A frame of HTTP/2 that may be any, and have anything in it.
    fn frame() -> impl Strategy<Value = Vec<u8>> {
        let payload = prop::collection::vec(any::<u8>(), 0..64);
        (0_u8..12, any::<u8>(), 0_u32..8, payload, any::<bool>()).prop_map(
            |(kind, flags, stream, payload, tells_the_truth)| {
                let length = payload.len() + if tells_the_truth { 0 } else { 3 };
                let length = u32::try_from(length).unwrap().to_be_bytes();
                let mut frame = length[1..].to_vec();
                frame.extend([kind, flags]);
                frame.extend(stream.to_be_bytes());
                frame.extend(payload);
                frame
            },
        )
    }
}
