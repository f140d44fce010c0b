//! Between a run and the server: it counts the messages of the conversation, in both directions, and cuts at one of them.
//!
//! It says that there is no TLS, so that it sees where a message ends.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::world::postgres::server;

/// Where the first connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nowhere, and TLS passes.
    Never,
    /// Nowhere, but messages are counted.
    Count,
    /// The first connections, so many of them, end before a word is said.
    Connections(usize),
    /// Before this message, counted over both directions, is passed on.
    Before(usize),
    /// When half of it was.
    Within(usize),
    /// After it.
    After(usize),
    /// Not cut: this message and all later ones wait, in both directions, until the client is gone.
    Hold(usize),
    /// At `COMMIT`: before it is passed on or, where it `arrives`, before its answer is.
    Commit {
        arrives: bool,
        /// No later connection is let through.
        for_good: bool,
    },
}

/// A proxy.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    cut: Cut,
    /// Messages that were seen; of later connections none.
    seen: AtomicUsize,
    is_cut: AtomicBool,
    /// Whether `COMMIT` was passed on.
    is_committing: AtomicBool,
    /// What each was: its direction and first byte, and of a query its text.
    kinds: Mutex<Vec<String>>,
}

impl Proxy {
    pub fn start(cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its number").port();
        let shared = Arc::new(Shared {
            cut,
            seen: AtomicUsize::new(0),
            is_cut: AtomicBool::new(false),
            is_committing: AtomicBool::new(false),
            kinds: Mutex::default(),
        });
        let of_all = Arc::clone(&shared);
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().flatten().enumerate() {
                let shared = Arc::clone(&of_all);
                std::thread::spawn(move || shared.connection(client, number));
            }
        });
        Self { port, shared }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the messages of the first connection were.
    pub fn kinds(&self) -> Vec<String> {
        self.shared.kinds.lock().expect("nobody panicked").clone()
    }

    /// Whether it was cut.
    pub fn is_cut(&self) -> bool {
        self.shared.is_cut.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn connection(self: Arc<Self>, client: TcpStream, number: usize) {
        if matches!(self.cut, Cut::Connections(cut) if number < cut) {
            return;
        }
        let is_first = number == 0;
        if !is_first && matches!(self.cut, Cut::Commit { for_good: true, .. }) {
            return;
        }
        let Ok(upstream) = TcpStream::connect(("127.0.0.1", server().port)) else {
            return;
        };
        let (Ok(client_too), Ok(upstream_too)) = (client.try_clone(), upstream.try_clone()) else {
            return;
        };
        if !is_first || self.cut == Cut::Never {
            std::thread::spawn(move || pour(client, upstream));
            pour(upstream_too, client_too);
            return;
        }
        let other = Arc::clone(&self);
        std::thread::spawn(move || other.pass(client, upstream, '>'));
        self.pass(upstream_too, client_too, '<');
    }

    /// Passes messages on in one direction until it is cut.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream, direction: char) {
        let mut is_begun = direction == '<';
        loop {
            let message = if is_begun {
                message(&mut from, 1)
            } else {
                message(&mut from, 0)
            };
            let Some(message) = message else {
                let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
                return;
            };
            if !is_begun && message[4..] == 80_877_103_u32.to_be_bytes() {
                // Asked for TLS.
                let _ = from.write_all(b"N");
                continue;
            }
            is_begun = true;
            if !self.is_passed(&message, direction, &mut to) {
                if matches!(self.cut, Cut::Hold(_)) {
                    let _ = std::io::copy(&mut from, &mut std::io::sink());
                }
                let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
                return;
            }
        }
    }

    fn is_passed(&self, message: &[u8], direction: char, to: &mut TcpStream) -> bool {
        let number = self.seen.fetch_add(1, Ordering::SeqCst);
        let mut kinds = self.kinds.lock().expect("nobody panicked");
        let kind = char::from(message[0]);
        let text = if kind == 'Q' {
            String::from_utf8_lossy(&message[5..]).into_owned()
        } else {
            String::new()
        };
        kinds.push(format!("{direction}{kind}{text}"));
        drop(kinds);
        // How much of it still passes.
        let cut = match self.cut {
            Cut::Commit { arrives, .. } if text.starts_with("COMMIT") => {
                self.is_committing.store(arrives, Ordering::SeqCst);
                (!arrives).then_some(0)
            }
            Cut::Commit { .. } if self.is_committing.load(Ordering::SeqCst) => Some(0),
            Cut::Before(at) | Cut::Hold(at) if number >= at => Some(0),
            Cut::Within(at) if number >= at => Some(message.len() / 2),
            Cut::After(at) if number >= at => Some(message.len()),
            _ => None,
        };
        let passed = match cut {
            Some(_) if self.is_cut.load(Ordering::SeqCst) => 0,
            Some(bytes) => bytes,
            None => message.len(),
        };
        if to.write_all(&message[..passed]).is_err() {
            return false;
        }
        if cut.is_some() {
            self.is_cut.store(true, Ordering::SeqCst);
        }
        cut.is_none()
    }
}

/// One message: `before` its length stand so many bytes.
fn message(from: &mut TcpStream, before: usize) -> Option<Vec<u8>> {
    let mut message = vec![0; before + 4];
    from.read_exact(&mut message).ok()?;
    let length: [u8; 4] = message[before..].try_into().ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    message.resize(before + length, 0);
    from.read_exact(&mut message[before + 4..]).ok()?;
    Some(message)
}

fn pour(mut from: TcpStream, mut to: TcpStream) {
    let copied = std::io::copy(&mut from, &mut to);
    debug_assert!(
        copied.is_ok() || copied.is_err_and(|error| error.kind() != ErrorKind::InvalidInput)
    );
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}
