//! Signed requests on their way out: what they may have, and what comes back of them.

use super::requests::EMPTY;
use super::*;
use crate::secret::Secret;

fn signing(origin: Origin, limits: &Limits) -> Egress {
    signing_with(origin, &Auth::None, limits)
}

fn signing_with(origin: Origin, auth: &Auth, limits: &Limits) -> Egress {
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
    Egress::new(policy, auth, &besides, &files, limits, log).unwrap()
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

/// What this source received in a header.
fn received(server: &Server, name: &str) -> String {
    let request = server.request(0).to_ascii_lowercase();
    let mut lines = request.lines();
    let value = lines.find_map(|line| line.strip_prefix(&format!("{name}: ")));
    value.unwrap().to_owned()
}

#[tokio::test]
async fn a_signature_of_a_component_s_is_hidden_beside_one_of_aws() {
    let scope = AwsScope::new("eu-west-1".to_owned(), "execute-api".to_owned());
    let auth = Auth::Aws("AKIDEXAMPLE:a-secret-access-key".into(), scope);
    let send = async |answer: &str| {
        let server = Server::saying(answer).await;
        let egress = signing_with(server.origin(), &auth, &Limits::default());
        let stand_in = stand_in(egress.signing_mark().unwrap(), b"message", Encoding::Hex);
        let request = Request::get(server.url("/"))
            .header("x-signature", stand_in)
            .body(Empty::<Bytes>::new())
            .unwrap();
        let answer = egress.send(request).await.unwrap();
        let shown = String::from_utf8(read(answer).await.unwrap()).unwrap();
        (
            received(&server, "x-signature"),
            received(&server, "authorization"),
            shown,
        )
    };

    let (signature, of_aws, _) = send(EMPTY).await;
    let echo = String::from_utf8(ok("", signature.as_bytes())).unwrap();
    let (_, _, shown) = send(&echo).await;

    assert_eq!(signature.len(), 128);
    assert!(of_aws.starts_with("aws4-hmac-sha256 credential=akidexample/"));
    assert_eq!(shown, "REDACTED");
}
