//! How much goes out: addresses, requests, answers open at once, heads and bodies.

use super::requests::{EMPTY, world};
use super::*;

#[tokio::test]
async fn only_so_many_addresses_are_tried() {
    let server = Server::on("127.0.0.9:0", [vec![text(EMPTY)]]).await;
    let url = format!("http://source.example:{}", server.address.port());
    let policy = Policy {
        source: Some(Origin::parse_grant(&url).unwrap()),
        allow_private_networks: true,
        ..Policy::default()
    };
    let dead_then_live = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.9"];
    let limits = |addresses_tried| Limits {
        addresses_tried,
        ..Limits::default()
    };

    let (three, _) = world(policy.clone(), &Auth::None, &limits(3), &dead_then_live);
    let (four, _) = world(policy, &Auth::None, &limits(4), &dead_then_live);

    assert!(matches!(
        get(&three, &url).await.err(),
        Some(EgressError::Unreachable { .. })
    ));
    assert!(get(&four, &url).await.is_ok());
}

#[tokio::test]
async fn the_requests_of_a_run_are_limited_the_refused_ones_too() {
    let server = Server::saying(EMPTY).await;
    let limits = Limits {
        requests: 2,
        ..Limits::default()
    };
    let egress = egress(server.origin(), &Auth::None, &limits);

    assert!(get(&egress, &server.url("/")).await.is_ok());
    assert!(get(&egress, "https://elsewhere.example/").await.is_err());
    let third = get(&egress, &server.url("/")).await.err().unwrap();

    assert!(
        matches!(
            third,
            EgressError::Budget {
                what: "requests",
                limit: 2,
                ..
            }
        ),
        "{third:?}"
    );
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn so_many_answers_are_open_at_once_and_no_more() {
    let server = Server::new([vec![Step::Send(ok("", b"[]"))]]).await;
    let limits = Limits {
        requests_open: 2,
        response_timeout: Duration::from_millis(900),
        ..Limits::default()
    };
    let egress = egress(server.origin(), &Auth::None, &limits);
    let _first = get(&egress, &server.url("/")).await.unwrap();
    let _second = get(&egress, &server.url("/")).await.unwrap();

    let third = get(&egress, &server.url("/")).await.err().unwrap();

    assert!(
        matches!(
            third,
            EgressError::Budget {
                what: "connections",
                limit: 2,
                ..
            }
        ),
        "{third:?}"
    );
}

#[tokio::test]
async fn an_answer_that_is_given_up_makes_room() {
    let server = Server::new([vec![Step::Send(ok("", b"[]"))]]).await;
    let limits = Limits {
        requests_open: 1,
        ..Limits::default()
    };
    let egress = egress(server.origin(), &Auth::None, &limits);

    drop(get(&egress, &server.url("/")).await.unwrap());

    assert!(get(&egress, &server.url("/")).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_was_read_to_its_end_makes_room_although_it_is_still_held() {
    let server = Server::new([vec![Step::Send(ok("", b"[]"))]]).await;
    let limits = Limits {
        requests_open: 1,
        ..Limits::default()
    };
    let egress = egress(server.origin(), &Auth::None, &limits);

    let mut held = get(&egress, &server.url("/")).await.unwrap().into_body();
    assert_eq!(
        held.frame().await.unwrap().unwrap().into_data().unwrap(),
        "[]"
    );
    assert!(held.frame().await.is_none());

    assert!(get(&egress, &server.url("/")).await.is_ok());
}

#[tokio::test]
async fn a_request_is_limited_in_its_head_and_its_body() {
    let server = Server::saying(EMPTY).await;
    let limits = Limits {
        request_head_bytes: 1000,
        request_body_bytes: 10,
        ..Limits::default()
    };
    // One each: after a breach nothing more is looked at.
    let fresh = || egress(server.origin(), &Auth::None, &limits);

    let long_url = get(&fresh(), &server.url(&format!("/{}", "a".repeat(1000))))
        .await
        .err();
    let long_header = Request::get(server.url("/"))
        .header("x", "a".repeat(1000))
        .body(Empty::<Bytes>::new())
        .unwrap();
    let long_header = fresh().send(long_header).await.err();
    let long_body = Request::post(server.url("/"))
        .body(Full::new(Bytes::from_static(b"01234567890")))
        .unwrap();
    let long_body = fresh().send(long_body).await.err();

    assert!(matches!(
        long_url,
        Some(EgressError::TooLarge {
            what: "request_head_bytes",
            ..
        })
    ));
    assert!(matches!(
        long_header,
        Some(EgressError::TooLarge {
            what: "request_head_bytes",
            ..
        })
    ));
    assert!(matches!(
        long_body,
        Some(EgressError::TooLarge {
            what: "request_body_bytes",
            ..
        })
    ));
    assert_eq!(server.asked(), 0);
}
