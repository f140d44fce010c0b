//! Request targets: what goes out is a path and a query in ASCII.

use super::requests::EMPTY;
use super::*;

#[tokio::test]
async fn a_target_is_sent_as_what_it_means_and_one_that_is_no_path_is_refused() {
    let server = Server::saying(EMPTY).await;
    let asked = async |target: &str| {
        let uri = http::Uri::builder()
            .scheme("http")
            .authority(server.address.to_string())
            .path_and_query(target)
            .build()
            .unwrap();
        let request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
        plain(&server).send(request).await
    };

    asked("?q=1").await.unwrap();
    asked("/é?ü").await.unwrap();
    let refused = asked("*").await.err().unwrap();

    assert!(server.request(0).starts_with("GET /?q=1 HTTP/1.1"));
    assert!(server.request(1).starts_with("GET /%C3%A9?%C3%BC HTTP/1.1"));
    assert!(
        matches!(refused, EgressError::Denied { .. })
            && refused.to_string().contains("its target `*` is not a path"),
        "{refused}"
    );
    assert_eq!(server.asked(), 2);
}
