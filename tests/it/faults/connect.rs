//! Connections that do not come about, or are lost before an answer.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tidegate::outcome::Outcome::TryLater;

use super::fault::Effect::{Passes, Stalls};
use super::fault::{Effect, Fault, answer, connection};
use super::hold;
use crate::server::{Door, Reply};

#[test]
fn a_connection_that_is_lost_before_an_answer_is_75_and_tried_again() {
    let hole = Blackhole::new();

    hold(faults(&hole));
}

fn faults(hole: &Blackhole) -> Vec<Fault> {
    vec![
        leading_to("refused", Passes(TryLater), &format!("http://{}", gone())),
        leading_to(
            "a name that does not exist",
            Passes(TryLater),
            "http://nobody.invalid",
        ),
        leading_to(
            "SYN into a black hole",
            Stalls,
            &format!("http://{}", hole.address),
        ),
        connection("accepted, then silence", Stalls, || Door::Silent),
        connection("accepted, then closed", Passes(TryLater), || Door::Closed),
        connection("accepted, then reset", Passes(TryLater), || Door::Reset),
        answer("the request is never answered", Stalls, |_| {
            Reply::silence()
        }),
        answer("reset after the request", Passes(TryLater), |_| {
            Reply::reset()
        }),
        answer("closed after the request", Passes(TryLater), |_| {
            Reply::raw("")
        }),
        answer("closed within the status line", Passes(TryLater), |_| {
            Reply::raw("HTTP/1.1 20")
        }),
        answer("closed within the headers", Passes(TryLater), |_| {
            Reply::raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-le")
        }),
    ]
}

/// The page redirects to this origin, which is granted. (The page's own origin cannot come and go within a run.)
fn leading_to(name: &str, effect: Effect, origin: &str) -> Fault {
    let location = format!("{origin}/items");
    answer(name, effect, move |_| {
        Reply::new(307, "").header("location", &location)
    })
    .set("ALLOW_HOSTS", origin)
}

/// An address where nobody listens.
fn gone() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen on loopback");
    listener.local_addr().expect("the address listened on")
}

/// A listener whose queue is full: what else connects gets no answer at all.
struct Blackhole {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Blackhole {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen on loopback");
        let address = listener.local_addr().expect("the address listened on");
        rustix::net::listen(&listener, 0).expect("a queue of one");
        let mut queued = Vec::new();
        while let Ok(one) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            queued.push(one);
            assert!(queued.len() < 100, "the queue never fills");
        }
        Self {
            address,
            _listener: listener,
            _queued: queued,
        }
    }
}
