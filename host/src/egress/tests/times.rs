//! Time: each phase has its limit, and each limit its error.

use super::*;

#[tokio::test]
async fn a_server_that_never_answers_runs_into_the_first_byte_limit() {
    let server = Server::new([vec![Step::Wait(Duration::from_mins(1))]]).await;

    let outcome = fetch(
        &egress(server.origin(), &Auth::None, &short_limits()),
        &server,
    )
    .await;

    assert!(
        matches!(outcome, Err(EgressError::FirstByteTimeout { .. })),
        "{outcome:?}"
    );
    assert_eq!(
        outcome.unwrap_err().to_string(),
        format!(
            "cannot reach `http://{}`: no answer within 0.3 s (SOURCE_TIMEOUT)",
            server.address
        )
    );
}

#[tokio::test]
async fn a_head_that_drips_runs_into_the_first_byte_limit() {
    let server = Server::new([vec![
        text("HTTP/1.1 200 OK\r\nx: "),
        Step::Drip(Duration::from_millis(20)),
    ]])
    .await;

    let outcome = fetch(
        &egress(server.origin(), &Auth::None, &short_limits()),
        &server,
    )
    .await;

    assert!(
        matches!(outcome, Err(EgressError::FirstByteTimeout { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn informational_answers_for_ever_run_into_the_first_byte_limit() {
    let storm = Step::Flood(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec());
    let server = Server::new([vec![storm]]).await;

    let outcome = fetch(
        &egress(server.origin(), &Auth::None, &short_limits()),
        &server,
    )
    .await;

    assert!(
        matches!(outcome, Err(EgressError::FirstByteTimeout { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_body_that_stalls_runs_into_the_idle_limit() {
    let half = text("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n[1,2]");
    let server = Server::new([vec![half, Step::Wait(Duration::from_mins(1))]]).await;

    let limits = Limits {
        first_byte_timeout: Duration::from_mins(1),
        ..short_limits()
    };

    let outcome = fetch(&egress(server.origin(), &Auth::None, &limits), &server).await;

    assert!(
        matches!(outcome, Err(EgressError::IdleTimeout { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_body_that_drips_runs_into_the_limit_for_the_whole_answer() {
    let head = text("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
    let server = Server::new([vec![head, Step::Drip(Duration::from_millis(50))]]).await;

    let limits = Limits {
        idle_timeout: Duration::from_mins(1),
        ..short_limits()
    };

    let outcome = fetch(&egress(server.origin(), &Auth::None, &limits), &server).await;

    assert!(
        matches!(outcome, Err(EgressError::AnswerTimeout { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_component_that_reads_slowly_does_not_count_as_an_idle_server() {
    let half = text("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[1,");
    let server = Server::new([vec![
        half,
        Step::Wait(Duration::from_millis(500)),
        text("2]"),
    ]])
    .await;
    let limits = Limits {
        response_timeout: Duration::from_mins(1),
        first_byte_timeout: Duration::from_mins(1),
        ..short_limits()
    };
    let egress = egress(server.origin(), &Auth::None, &limits);
    let mut body = get(&egress, &server.url("/")).await.unwrap().into_body();

    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(10), body.frame()).await;
    sleep(Duration::from_millis(900)).await;
    let second = body.frame().await.unwrap().unwrap().into_data().unwrap();

    assert!(waiting.is_err(), "the server was still silent");
    assert_eq!([first, second].concat(), b"[1,2]");
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_runs_into_the_connect_limit() {
    // A listener whose queue is full: further connections get no answer at all.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fillers = Vec::new();
    while let Ok(filler) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        fillers.push(filler.unwrap());
        assert!(fillers.len() < 100, "the queue never fills");
    }
    let origin = Origin::parse_grant(&format!("http://{address}")).unwrap();

    let outcome = get(
        &egress(origin, &Auth::None, &short_limits()),
        &format!("http://{address}/"),
    )
    .await;

    assert!(matches!(
        outcome.err(),
        Some(EgressError::ConnectTimeout { .. })
    ));
}

#[tokio::test]
async fn a_refused_connection_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let origin = Origin::parse_grant(&format!("http://{address}")).unwrap();

    let error = get(
        &egress(origin, &Auth::None, &short_limits()),
        &format!("http://{address}/"),
    )
    .await
    .err()
    .unwrap();

    assert_eq!(
        error.to_string(),
        format!("cannot reach `http://{address}`: Connection refused (os error 111)")
    );
    assert!(!error.is_final());
}

#[tokio::test]
async fn a_request_body_that_never_ends_is_given_up() {
    let server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let egress = egress(server.origin(), &Auth::None, &short_limits());
    let endless = http_body_util::StreamBody::new(futures_util::stream::pending::<
        Result<http_body::Frame<Bytes>, BoxError>,
    >());

    let outcome = egress
        .send(Request::post(server.url("/")).body(endless).unwrap())
        .await;

    assert!(matches!(
        outcome.err(),
        Some(EgressError::RequestBroken { .. })
    ));
    assert_eq!(server.asked(), 0);
}
