//! Names whose addresses change or are many, and trailers: what is asked for is not always what may be dialed or sent.
//!
//! The addresses that nobody may dial are multicast ones: no system lets a connection to them out.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;

use http_body_util::{Empty, StreamBody};

use super::requests::EMPTY;
use super::*;
use crate::egress::connect::SystemResolver;

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
    (resolving(policy, resolver), url, asked)
}

/// A way out without a credential, with the usual limits, that asks this resolver.
fn resolving(policy: Policy, resolver: Arc<dyn Resolve>) -> Egress {
    Egress::with_resolver(
        policy,
        &Auth::None,
        &Besides::default(),
        &TlsFiles::default(),
        &Limits::default(),
        (Lines::default().log(), None),
        resolver,
    )
    .unwrap()
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

/// A resolver whose answers change all the time: none of them may be dialed, and one of the addresses listens.
struct Rebinding {
    asked: AtomicUsize,
}

/// Loopback in every form that an address has for it, and what else is refused.
const REFUSED: [&str; 16] = [
    "127.0.0.1",
    "127.1.2.3",
    "::1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "0.0.0.0",
    "::",
    "10.0.0.1",
    "169.254.169.254",
    "fe80::1",
    "fd00:ec2::254",
    "100.64.0.1",
];

impl Resolve for Rebinding {
    fn resolve(
        &self,
        _: String,
    ) -> std::pin::Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let many = 1 + asked % 5;
        let answer: Vec<IpAddr> = (0..many)
            .map(|at| {
                REFUSED[(asked * 7 + at * 3) % REFUSED.len()]
                    .parse()
                    .unwrap()
            })
            .collect();
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(answer)
        })
    }
}

#[tokio::test]
async fn ten_thousand_names_that_change_while_they_are_asked_for_lead_nowhere() {
    let server = Server::new([vec![text(EMPTY)]]).await;
    let url = format!("http://source.example:{}", server.address.port());
    let policy = Policy {
        source: Some(Origin::parse_grant(&url).unwrap()),
        ..Policy::default()
    };
    let resolver = Arc::new(Rebinding {
        asked: AtomicUsize::new(0),
    });
    let egress = resolving(policy, resolver.clone());

    let races = (0..10).map(|_| async {
        for _ in 0..1_000 {
            let refused = get(&egress, &url).await.err();
            assert!(
                matches!(refused, Some(EgressError::Denied { .. })),
                "{refused:?}"
            );
        }
    });
    futures_util::future::join_all(races).await;

    assert_eq!(resolver.asked.load(Ordering::SeqCst), 10_000);
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

/// Ways to write an IPv4 address as the host of a URL: of its bytes so many are one number, each number in one of the ways.
fn spellings(bytes: [u8; 4]) -> BTreeSet<String> {
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let ways: [fn(u64) -> String; 7] = [
        |number| format!("{number}"),
        |number| format!("0{number:o}"),
        |number| format!("000{number:o}"),
        |number| format!("0x{number:x}"),
        |number| format!("0X{number:X}"),
        |number| format!("0x00{number:x}"),
        |number| format!("%{:02x}{}", u32::from(b'0') + 1, number),
    ];
    let mut spelled = BTreeSet::new();
    for parts in 1..=4 {
        let mut numbers: Vec<u64> = bytes[..parts - 1]
            .iter()
            .map(|byte| u64::from(*byte))
            .collect();
        numbers.push(number(&bytes[parts - 1..]));
        for first in &ways {
            for rest in &ways {
                let mut texts: Vec<String> = numbers.iter().map(|number| rest(*number)).collect();
                texts[0] = first(numbers[0]);
                spelled.insert(texts.join("."));
                spelled.insert(format!("{}.", texts.join(".")));
            }
        }
    }
    let [a, b, c, d] = bytes;
    for v6 in [
        format!("[::ffff:{a}.{b}.{c}.{d}]"),
        format!("[::ffff:{a:x}{b:02x}:{c:x}{d:02x}]"),
        format!("[0:0:0:0:0:ffff:{a:x}{b:02x}:{c:x}{d:02x}]"),
        format!("[::{a}.{b}.{c}.{d}]"),
        format!("[64:ff9b::{a}.{b}.{c}.{d}]"),
        format!("[2002:{a:x}{b:02x}:{c:x}{d:02x}::]"),
    ] {
        spelled.insert(v6);
    }
    spelled
}

#[tokio::test]
async fn no_way_to_write_an_address_that_was_not_granted_leads_there() {
    let server = Server::new([vec![text(EMPTY)]]).await;
    let port = server.address.port();
    let policy = Policy {
        source: Some(Origin::parse_grant("http://source.example").unwrap()),
        ..Policy::default()
    };
    let egress = resolving(policy, Arc::new(SystemResolver));
    let mut tried = 0;
    for bytes in [[127, 0, 0, 1], [10, 0, 0, 1], [169, 254, 169, 254]] {
        for host in spellings(bytes) {
            let request =
                Request::get(format!("http://{host}:{port}/")).body(Empty::<Bytes>::new());
            // What is no URL is asked for by nobody.
            let Ok(request) = request else { continue };
            let refused = egress.send(request).await.err();
            assert!(
                matches!(refused, Some(EgressError::Denied { .. })),
                "{host}: {refused:?}"
            );
            tried += 1;
        }
    }

    assert!(tried >= 200, "{tried}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}
