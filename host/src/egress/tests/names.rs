//! Names whose addresses change or are many, and trailers: what is asked for is not always what may be dialed or sent.
//!
//! The addresses that nobody may dial are multicast ones: no system lets a connection to them out.

use std::sync::atomic::AtomicUsize;

use http_body_util::StreamBody;

use super::requests::EMPTY;
use super::*;

const NOBODYS: &str = "224.0.0.1";

/// A resolver that gives one of these answers after the other, and the last one from then on.
struct Changing {
    answers: Vec<Vec<IpAddr>>,
    asked: Arc<AtomicUsize>,
}

impl Resolve for Changing {
    fn resolve(
        &self,
        _: String,
    ) -> std::pin::Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers[asked.min(self.answers.len() - 1)].clone();
        Box::pin(async move { Ok(answer) })
    }
}

/// A way out to `source.example`, which private networks may serve, and how often it was looked up.
fn changing(port: u16, answers: &[Vec<IpAddr>]) -> (Egress, String, Arc<AtomicUsize>) {
    let url = format!("http://source.example:{port}");
    let policy = Policy {
        source: Some(Origin::parse_grant(&url).unwrap()),
        allow_private_networks: true,
        ..Policy::default()
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let resolver = Arc::new(Changing {
        answers: answers.to_vec(),
        asked: asked.clone(),
    });
    let egress = Egress::with_resolver(
        policy,
        &Auth::None,
        &[],
        &TlsFiles::default(),
        &Limits::default(),
        Lines::default().log(),
        resolver,
    );
    (egress.unwrap(), url, asked)
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_name_is_looked_up_once_for_a_connection_and_judged_anew_for_the_next() {
    let once = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let server = Server::new([vec![text(once), Step::Close]]).await;
    let answers = [addresses(&["127.0.0.1"]), addresses(&[NOBODYS])];
    let (egress, url, asked) = changing(server.address.port(), &answers);

    let first = get(&egress, &url).await;
    let asked_first = asked.load(Ordering::SeqCst);
    let second = get(&egress, &url).await.err().unwrap();

    assert!(first.is_ok(), "{:?}", first.err());
    assert_eq!(asked_first, 1, "what was checked is what was dialed");
    assert!(second.to_string().contains("multicast"), "{second}");
    assert_eq!(egress.denial(), Some(second));
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn of_a_thousand_addresses_only_granted_ones_are_dialed() {
    let server = Server::on("127.0.0.9:0", [vec![text(EMPTY)]]).await;
    let mut many = vec![NOBODYS.parse().unwrap(); 998];
    many.insert(500, "127.0.0.2".parse().unwrap());
    many.push("127.0.0.9".parse().unwrap());
    let (egress, url, _) = changing(server.address.port(), &[many]);

    // Of 1,000 addresses the first four would be nobody's.
    let answer = get(&egress, &url).await;

    assert!(answer.is_ok(), "{:?}", answer.err());
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn trailers_of_a_component_are_not_sent() {
    let server = Server::saying(EMPTY).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("authorization", "forged".parse().unwrap());
    let body = futures_util::stream::iter([
        Ok::<_, BoxError>(http_body::Frame::data(Bytes::from_static(b"{}"))),
        Ok(http_body::Frame::trailers(trailers)),
    ]);
    let request = Request::post(server.url("/"))
        .header("trailer", "authorization")
        .body(StreamBody::new(body))
        .unwrap();

    plain(&server).send(request).await.unwrap();

    assert_eq!(
        server.request(0),
        format!(
            "POST / HTTP/1.1\r\naccept-encoding: gzip\r\nhost: {}\r\ncontent-length: 2\r\n\r\n{{}}",
            server.address
        )
    );
}
