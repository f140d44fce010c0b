//! gzip and sizes: one layer, whole and undamaged, within every cap; anything else is an error and never an end.

use async_compression::tokio::write::GzipEncoder;

use super::*;

async fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzipEncoder::new(Vec::new());
    encoder.write_all(plain).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

async fn gzip_outcome(body: &[u8]) -> Result<Vec<u8>, EgressError> {
    outcome_of(ok("content-encoding: gzip\r\n", body)).await
}

async fn capped(
    body: Vec<u8>,
    headers: &str,
    limits: Limits,
) -> (Result<Vec<u8>, EgressError>, Egress) {
    let server = Server::new([vec![Step::Send(ok(headers, &body))]]).await;
    let egress = egress(server.origin(), &Auth::None, &limits);
    (fetch(&egress, &server).await, egress)
}

const PAGE: &[u8] = br#"[{"id":1,"name":"one"},{"id":2,"name":"two"}]"#;

#[tokio::test]
async fn gzip_is_asked_for_decoded_and_not_mentioned() {
    let server = Server::new([vec![Step::Send(ok(
        "content-encoding: gzip\r\n",
        &gzip(PAGE).await,
    ))]])
    .await;
    let egress = plain(&server);

    let answer = get(&egress, &server.url("/")).await.unwrap();

    assert!(!answer.headers().contains_key("content-encoding"));
    assert!(!answer.headers().contains_key("content-length"));
    assert_eq!(read(answer).await.unwrap(), PAGE);
    assert!(server.request(0).contains("accept-encoding: gzip\r\n"));
    assert_eq!(egress.traffic().decoded_bytes, PAGE.len() as u64);
    assert_eq!(egress.traffic().wire_bytes, gzip(PAGE).await.len() as u64);
}

#[tokio::test]
async fn gzip_of_two_members_is_both() {
    let two = [gzip(b"[1,").await, gzip(b"2]").await].concat();

    assert_eq!(gzip_outcome(&two).await.unwrap(), b"[1,2]");
}

#[tokio::test]
async fn gzip_cut_anywhere_is_never_whole() {
    let whole = gzip(PAGE).await;

    for cut in 1..whole.len() {
        let outcome = gzip_outcome(&whole[..cut]).await;
        assert!(
            matches!(outcome, Err(EgressError::CutOff { .. })),
            "cut at {cut}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn gzip_with_a_flipped_bit_never_gives_other_bytes() {
    let whole = gzip(PAGE).await;

    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        let outcome = gzip_outcome(&damaged).await;
        // The header's date and system may change without harm.
        let harmless = outcome.as_ref().is_ok_and(|body| body == PAGE) && at < 10;
        assert!(
            harmless || matches!(outcome, Err(EgressError::CutOff { .. })),
            "byte {at}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn bytes_after_gzip_are_an_error() {
    for rest in [&b"[3]"[..], &[0], &[0x1f], &[0x1f, 0x8b]] {
        let outcome = gzip_outcome(&[&gzip(PAGE).await, rest].concat()).await;

        assert!(
            matches!(outcome, Err(EgressError::CutOff { .. })),
            "{rest:?}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_plain_body_that_claims_to_be_gzip_is_an_error() {
    let outcome = gzip_outcome(PAGE).await;

    assert!(
        matches!(outcome, Err(EgressError::CutOff { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn an_empty_body_has_nothing_to_decode() {
    assert_eq!(gzip_outcome(b"").await.unwrap(), b"");
}

#[tokio::test]
async fn an_encoding_that_was_not_asked_for_is_refused() {
    for encoding in ["br", "zstd", "deflate", "gzip, gzip", "gzip, br"] {
        let outcome = outcome_of(ok(&format!("content-encoding: {encoding}\r\n"), PAGE)).await;

        assert!(
            matches!(&outcome, Err(EgressError::BadEncoding { encoding: named, .. }) if named == encoding),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn an_encoding_that_echoes_the_credential_is_refused_without_it() {
    let key = "Canary-7f3a9c2d4e6";
    let answer = ok(
        &format!("content-encoding: {key}{}\r\n", "x".repeat(1000)),
        PAGE,
    );
    let server = Server::new([vec![Step::Send(answer)]]).await;

    let error = fetch(
        &egress(
            server.origin(),
            &Auth::Bearer(key.into()),
            &Limits::default(),
        ),
        &server,
    )
    .await
    .unwrap_err();

    assert!(
        error.to_string().contains("`REDACTEDxxx") && error.to_string().len() < 250,
        "{error}"
    );
}

#[tokio::test]
async fn gzip_inside_gzip_is_decoded_once() {
    let inner = gzip(PAGE).await;

    assert_eq!(gzip_outcome(&gzip(&inner).await).await.unwrap(), inner);
}

#[tokio::test]
async fn a_body_within_every_cap_passes() {
    let limits = Limits {
        response_wire_bytes: 100,
        response_decoded_bytes: 100,
        run_decoded_bytes: 100,
        ..Limits::default()
    };

    assert_eq!(
        capped(vec![b'0'; 100], "", limits).await.0.unwrap().len(),
        100
    );
}

#[tokio::test]
async fn a_body_with_too_many_bytes_on_the_wire_is_refused() {
    let limits = Limits {
        response_wire_bytes: 99,
        ..Limits::default()
    };

    let (outcome, egress) = capped(vec![b'0'; 100], "", limits.clone()).await;

    let error = outcome.unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::TooLarge {
                what: "response_wire_bytes",
                limit: 99,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(
        egress.traffic().wire_bytes,
        0,
        "a length that is announced need not be waited for"
    );
    assert_eq!(egress.breach(), Some(error));
}

#[tokio::test]
async fn an_endless_body_is_refused_at_the_cap() {
    let head = text("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    let server = Server::new([vec![head, Step::Flood(b"8\r\n[1,2,3,]\r\n".repeat(500))]]).await;
    let limits = Limits {
        response_wire_bytes: 1_000_000,
        ..Limits::default()
    };
    let egress = egress(server.origin(), &Auth::None, &limits);

    let outcome = fetch(&egress, &server).await;

    assert!(
        matches!(
            outcome,
            Err(EgressError::TooLarge {
                what: "response_wire_bytes",
                ..
            })
        ),
        "{outcome:?}"
    );
    assert!(egress.traffic().wire_bytes < 1_200_000);
}

#[tokio::test]
async fn a_body_with_too_many_decoded_bytes_is_refused() {
    let limits = Limits {
        response_decoded_bytes: 50_000,
        ..Limits::default()
    };

    let (outcome, egress) = capped(
        gzip(&vec![b'0'; 60_000]).await,
        "content-encoding: gzip\r\n",
        limits,
    )
    .await;

    assert!(
        matches!(
            outcome,
            Err(EgressError::TooLarge {
                what: "response_decoded_bytes",
                ..
            })
        ),
        "{outcome:?}"
    );
    assert!(egress.breach().is_some());
}

#[tokio::test]
async fn a_bomb_is_refused_by_its_ratio_before_it_has_unfolded() {
    let bomb = gzip(&vec![b'0'; 20_000_000]).await;

    let (outcome, egress) = capped(bomb, "content-encoding: gzip\r\n", Limits::default()).await;

    assert!(
        matches!(
            outcome,
            Err(EgressError::TooLarge {
                what: "decode_ratio",
                ..
            })
        ),
        "{outcome:?}"
    );
    assert!(
        egress.traffic().decoded_bytes < 4_000_000,
        "{:?}",
        egress.traffic()
    );
}

#[tokio::test]
async fn a_small_body_may_compress_as_well_as_it_likes() {
    let zeros = vec![b'0'; 1_000_000];

    let (outcome, _) = capped(
        gzip(&zeros).await,
        "content-encoding: gzip\r\n",
        Limits::default(),
    )
    .await;

    assert_eq!(outcome.unwrap(), zeros);
}

#[tokio::test]
async fn a_run_has_a_cap_of_its_own() {
    let server = Server::new([vec![Step::Send(ok("", &[b'0'; 60]))]]).await;
    let limits = Limits {
        run_decoded_bytes: 100,
        ..Limits::default()
    };
    let egress = egress(server.origin(), &Auth::None, &limits);

    let first = fetch(&egress, &server).await;
    let second = fetch(&egress, &server).await;

    assert_eq!(first.unwrap().len(), 60);
    assert!(
        matches!(
            second,
            Err(EgressError::Budget {
                what: "response_bytes",
                limit: 100,
                ..
            })
        ),
        "{second:?}"
    );
}

#[tokio::test]
async fn a_body_that_failed_never_ends_cleanly() {
    let server = Server::new([vec![
        text("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n[1,2]"),
        Step::Close,
    ]])
    .await;
    let mut body = get(&plain(&server), &server.url("/"))
        .await
        .unwrap()
        .into_body();

    assert!(body.frame().await.unwrap().is_ok());
    for _ in 0..3 {
        let frame = body.frame().await.unwrap();
        assert!(
            matches!(frame, Err(EgressError::CutOff { .. })),
            "{frame:?}"
        );
    }
}
