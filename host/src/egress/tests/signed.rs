//! Signed requests on their way out: what they may have, and what comes back of them.

use super::requests::EMPTY;
use super::*;
use crate::secret::Secret;

fn signing(origin: Origin, limits: &Limits) -> Egress {
    let policy = Policy {
        source: Some(origin),
        ..Policy::default()
    };
    let key = SigningKey::new(Algorithm::HmacSha512, b"key", Secret::from("key"));
    let (files, log) = (TlsFiles::default(), Lines::default().log());
    let besides = Besides {
        signing: Some(key),
        ..Besides::default()
    };
    Egress::new(policy, &Auth::None, &besides, &files, limits, log).unwrap()
}

#[tokio::test]
async fn a_head_that_is_too_large_once_it_is_signed_is_not_sent() {
    let server = Server::saying(EMPTY).await;
    let limits = Limits {
        request_head_bytes: 1000,
        ..Limits::default()
    };
    let egress = signing(server.origin(), &limits);
    // Of 47 bytes, and 128 when it is signed.
    let stand_in = stand_in(egress.signing_mark().unwrap(), b"", Encoding::Hex);
    let request = Request::get(server.url("/"))
        .header("x-signatures", stand_in.repeat(15))
        .body(Empty::<Bytes>::new())
        .unwrap();

    let sent = egress.send(request).await;

    assert!(matches!(
        sent.err(),
        Some(EgressError::TooLarge {
            what: "request_head_bytes",
            ..
        })
    ));
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn a_body_with_a_stand_in_is_not_sent() {
    let server = Server::saying(EMPTY).await;
    let egress = signing(server.origin(), &Limits::default());
    let stand_in = stand_in(egress.signing_mark().unwrap(), b"m", Encoding::Hex);
    let request = Request::post(server.url("/"))
        .body(Full::new(Bytes::from(format!("signature={stand_in}"))))
        .unwrap();

    let sent = egress.send(request).await;

    assert!(matches!(sent.err(), Some(EgressError::Denied { .. })));
    assert_eq!(server.asked(), 0);
}
