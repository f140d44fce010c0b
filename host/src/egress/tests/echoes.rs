//! A server that sends the credential back: the component sees `REDACTED`, the operator one warning.

use super::*;

const KEY: &str = "canary-7f3a/9+c2d4e6";

async fn echoing(answer: Vec<Vec<u8>>, auth: &Auth) -> (Response<EgressBody>, Egress, Lines) {
    let pause = Step::Wait(Duration::from_millis(5));
    let steps = answer
        .into_iter()
        .flat_map(|piece| [Step::Send(piece), pause.clone()])
        .collect::<Vec<_>>();
    let server = Server::new([steps]).await;
    let lines = Lines::default();
    let policy = Policy {
        source: Some(server.origin()),
        ..Policy::default()
    };
    let egress = Egress::new(
        policy,
        auth,
        &Besides::default(),
        &TlsFiles::default(),
        &Limits::default(),
        lines.log(),
    )
    .unwrap();
    let answer = get(&egress, &server.url("/")).await.unwrap();
    (answer, egress, lines)
}

#[tokio::test]
async fn an_echo_in_headers_and_links_is_replaced() {
    let headers = format!(
        "x-debug: Bearer {KEY}\r\nlink: </?api_key=canary-7f3a%2F9%2Bc2d4e6&p=2>; rel=next\r\n"
    );

    let (answer, egress, lines) =
        echoing(vec![ok(&headers, b"[]")], &Auth::Bearer(KEY.into())).await;

    assert_eq!(answer.headers()["x-debug"], "Bearer REDACTED");
    assert_eq!(
        answer.headers()["link"],
        "</?api_key=REDACTED&p=2>; rel=next"
    );
    assert_eq!(egress.traffic().echoes, 2);
    assert_eq!(
        lines.text().matches("credential echoed").count(),
        1,
        "{}",
        lines.text()
    );
    assert!(!lines.text().contains(KEY));
}

#[tokio::test]
async fn echoes_are_all_counted_and_warned_of_once() {
    let answer = ok(&format!("x: {KEY}\r\n"), format!("[\"{KEY}\"]").as_bytes());

    let (answer, egress, lines) = echoing(vec![answer], &Auth::Bearer(KEY.into())).await;
    read(answer).await.unwrap();

    assert_eq!(egress.traffic().echoes, 2);
    assert_eq!(
        lines.text().matches("credential echoed").count(),
        1,
        "{}",
        lines.text()
    );
}

#[tokio::test]
async fn an_echo_in_a_body_is_replaced_wherever_the_pieces_were_cut() {
    let body = format!("[{{\"key\":\"{KEY}\"}}]");
    let whole = ok("", body.as_bytes());
    let begin = whole.len() - body.len();

    for cut in begin + 1..whole.len() {
        let pieces = vec![whole[..cut].to_vec(), whole[cut..].to_vec()];
        let (answer, egress, _) = echoing(pieces, &Auth::Bearer(KEY.into())).await;
        assert_eq!(
            read(answer).await.unwrap(),
            br#"[{"key":"REDACTED"}]"#,
            "cut at {cut}"
        );
        assert_eq!(egress.traffic().echoes, 1);
    }
}

#[tokio::test]
async fn an_echo_inside_gzip_is_replaced() {
    let mut encoder = async_compression::tokio::write::GzipEncoder::new(Vec::new());
    encoder
        .write_all(format!("[\"{KEY}\"]").as_bytes())
        .await
        .unwrap();
    encoder.shutdown().await.unwrap();
    let answer = ok("content-encoding: gzip\r\n", &encoder.into_inner());

    let (answer, ..) = echoing(vec![answer], &Auth::Bearer(KEY.into())).await;

    assert_eq!(read(answer).await.unwrap(), b"[\"REDACTED\"]");
}

#[tokio::test]
async fn the_password_and_the_header_of_basic_are_replaced() {
    let sent = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("user:{KEY}"),
    );
    let body = format!("[\"Basic {sent}\",\"{KEY}\",\"user:{KEY}\"]");

    let (answer, ..) = echoing(
        vec![ok("", body.as_bytes())],
        &Auth::Basic(format!("user:{KEY}").as_str().into()),
    )
    .await;

    assert_eq!(
        read(answer).await.unwrap(),
        b"[\"Basic REDACTED\",\"REDACTED\",\"REDACTED\"]"
    );
}

#[tokio::test]
async fn cookies_and_other_states_are_not_handed_on() {
    let headers = "set-cookie: id=1\r\nalt-svc: h3=\":443\"\r\nstrict-transport-security: max-age=1\r\nproxy-authenticate: Basic\r\ndate: Mon, 23 Nov 2026 06:00:00 GMT\r\n";

    let (answer, ..) = echoing(vec![ok(headers, b"[]")], &Auth::None).await;

    let names: Vec<&str> = answer.headers().keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["date"]);
}
