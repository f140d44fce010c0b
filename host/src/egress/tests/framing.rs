//! Where an answer ends: a body that is not provably whole is an error, and a connection in doubt is not used again.

use super::*;

fn is_cut_off(outcome: &Result<Vec<u8>, EgressError>) -> bool {
    matches!(outcome, Err(EgressError::CutOff { .. }))
}

fn is_bad_framing(outcome: &Result<Vec<u8>, EgressError>) -> bool {
    matches!(outcome, Err(EgressError::BadFraming { .. }))
}

#[tokio::test]
async fn a_body_of_the_announced_length_is_whole() {
    assert_eq!(outcome_of(ok("", b"[1,2]")).await.unwrap(), b"[1,2]");
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_cut_off() {
    let outcome = outcome_of("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n[1,2]").await;

    assert!(is_cut_off(&outcome), "{outcome:?}");
    assert!(
        outcome
            .unwrap_err()
            .to_string()
            .contains("broke off after 5 bytes")
    );
}

#[tokio::test]
async fn a_chunked_body_with_its_last_chunk_is_whole() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;ext=1\r\n[1,\r\n2\r\n2]\r\n0\r\nX: y\r\n\r\n";

    assert_eq!(outcome_of(answer).await.unwrap(), b"[1,2]");
}

#[tokio::test]
async fn a_chunked_body_cut_anywhere_is_never_whole() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = "3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n";

    for cut in 0..body.len() {
        let outcome = outcome_of(format!("{head}{}", &body[..cut])).await;
        assert!(is_cut_off(&outcome), "cut at {cut}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_chunk_size_that_is_no_number_is_bad_framing() {
    let outcome = outcome_of(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n[1,2]\r\n0\r\n\r\n",
    )
    .await;

    assert!(is_bad_framing(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_chunk_size_beyond_64_bits_is_bad_framing() {
    let outcome =
        outcome_of("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff0\r\n")
            .await;

    assert!(is_bad_framing(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn endless_chunk_extensions_are_not_read_for_ever() {
    let head = text("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;");
    let server = Server::new([vec![head, Step::Flood(b"x=y;".repeat(1000))]]).await;

    let outcome = fetch(&plain(&server), &server).await;

    assert!(is_bad_framing(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_reset_in_the_body_is_a_cut_off() {
    let half = text("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n[1,2]");
    let server = Server::new([vec![
        half,
        Step::Wait(Duration::from_millis(50)),
        Step::Reset,
    ]])
    .await;

    let outcome = fetch(&plain(&server), &server).await;

    assert!(is_cut_off(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_connection_closed_or_reset_before_the_answer_is_unreachable() {
    for last in [Step::Close, Step::Reset] {
        let server = Server::new([vec![text("HTTP/1.1 20"), last]]).await;

        let outcome = fetch(&plain(&server), &server).await;

        assert!(
            matches!(outcome, Err(EgressError::Unreachable { .. })),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_body_framed_by_the_end_of_the_connection_is_passed_on() {
    assert_eq!(
        outcome_of("HTTP/1.0 200 OK\r\n\r\n[1,2]").await.unwrap(),
        b"[1,2]"
    );
}

#[tokio::test]
async fn a_length_and_chunks_together_are_refused_and_the_connection_is_given_up() {
    // Empty, so that the rest of it is read with the head and only our word ends the connection.
    let pair =
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let server = Server::new([vec![text(pair)], vec![Step::Send(ok("", b"[]"))]]).await;
    // The second is on its way when the first fails, and waits for it.
    let limits = Limits {
        requests_open: 1,
        ..Limits::default()
    };
    let egress = egress(server.origin(), &Auth::None, &limits);

    let (first, second) = tokio::join!(fetch(&egress, &server), fetch(&egress, &server));

    assert!(is_bad_framing(&first), "{first:?}");
    assert_eq!(second.unwrap(), b"[]");
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn nothing_is_asked_after_a_breach() {
    let server = Server::new([vec![text("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n")]]).await;
    let egress = plain(&server);

    let first = fetch(&egress, &server).await;
    let second = fetch(&egress, &server).await;

    assert!(is_bad_framing(&first), "{first:?}");
    assert_eq!(second, first);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn lengths_that_differ_are_refused() {
    for head in [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: -5",
        "content-length: 5x",
    ] {
        let outcome = outcome_of(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n[1,2]")).await;

        assert!(is_bad_framing(&outcome), "{head}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_transfer_encoding_besides_chunked_is_refused() {
    let outcome =
        outcome_of("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n").await;

    assert!(is_bad_framing(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "<html>hello</html>\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
    ] {
        let outcome = outcome_of(answer).await;

        assert!(is_bad_framing(&outcome), "{answer}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_upgrade_that_nobody_asked_for_is_refused() {
    let outcome = outcome_of(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
    )
    .await;

    assert!(is_bad_framing(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn informational_answers_are_skipped() {
    let answer = [
        b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n".to_vec(),
        ok("", b"[]"),
    ]
    .concat();

    assert_eq!(outcome_of(answer).await.unwrap(), b"[]");
}

#[tokio::test]
async fn what_follows_an_answer_is_not_the_next_one() {
    let two = [ok("", b"[1]"), ok("", b"[\"planted\"]")].concat();
    let server = Server::new([vec![Step::Send(two)], vec![Step::Send(ok("", b"[2]"))]]).await;
    let egress = plain(&server);

    let first = fetch(&egress, &server).await;
    let second = fetch(&egress, &server).await;

    assert_eq!(first.unwrap(), b"[1]");
    assert_eq!(second.unwrap(), b"[2]");
}

#[tokio::test]
async fn a_head_is_capped_in_bytes_and_in_lines() {
    let long = format!(
        "HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n",
        "a".repeat(70_000)
    );
    let many = format!(
        "HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n",
        "x: y\r\n".repeat(101)
    );
    let endless = Server::new([vec![
        text("HTTP/1.1 200 OK\r\n"),
        Step::Flood(b"x: y\r\n".repeat(100)),
    ]])
    .await;

    for outcome in [
        outcome_of(long).await,
        outcome_of(many).await,
        fetch(&plain(&endless), &endless).await,
    ] {
        assert!(
            matches!(
                outcome,
                Err(EgressError::TooLarge {
                    what: "response_head_bytes",
                    ..
                })
            ),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_without_a_body_ends_at_once() {
    let server = Server::new([vec![text(
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\ncontent-encoding: gzip\r\n\r\n",
    )]])
    .await;
    let egress = plain(&server);

    let not_modified = get(&egress, &server.url("/")).await.unwrap();
    let head = Request::head(server.url("/"))
        .body(Empty::<Bytes>::new())
        .unwrap();
    let to_head = egress.send(head).await.unwrap();

    assert_eq!(not_modified.status(), 304);
    assert_eq!(read(not_modified).await.unwrap(), b"");
    assert_eq!(read(to_head).await.unwrap(), b"");
}
