//! The source of one job: three pages, and one fault at one place of each run.

use std::sync::{Arc, Mutex, MutexGuard};

use super::fault::{Act, Effect, Fault};
use super::page::Page;
use super::place::{Place, Turn};
use crate::server::{Door, Reply, Request, Server};

/// The certificate that a good connection shows.
const GOOD_CERTIFICATE: &str = "server.pem";

/// The number of a job's first run: the pages of all its runs have the same length.
const ROUND_FIRST: usize = 1000;

/// The source, between two runs or in one.
pub struct Source {
    progress: Mutex<Progress>,
}

struct Progress {
    fault: Arc<Fault>,
    place: Place,
    /// The page that comes next.
    page: Page,
    /// The page that was asked for last.
    asked: Page,
    tries: usize,
    requests: usize,
}

impl Source {
    /// The source behind this server, good for as long as no run begins.
    pub fn behind(server: &Server, fault: &Arc<Fault>) -> Arc<Self> {
        if fault.is_tls {
            server.names_itself_https();
        }
        let page = Page {
            number: 1,
            round: ROUND_FIRST,
        };
        let source = Arc::new(Self {
            progress: Mutex::new(Progress {
                fault: Arc::clone(fault),
                place: Place::Nowhere,
                page,
                asked: page,
                tries: 0,
                requests: 0,
            }),
        });
        let (receiving, answering) = (Arc::clone(&source), Arc::clone(&source));
        server.receive_with(move || receiving.receive());
        server.answer_with(move |request| answering.answer(request));
        source
    }

    /// The next run meets this fault here; gives back which run it is.
    pub fn begins(&self, fault: &Arc<Fault>, place: Place) -> usize {
        let mut progress = self.progress();
        progress.fault = Arc::clone(fault);
        progress.place = place;
        progress.page = Page {
            number: 1,
            round: progress.page.round + 1,
        };
        progress.tries = 0;
        progress.requests = 0;
        progress.page.round
    }

    /// The requests of this run; connections that were turned away count too.
    pub fn requests(&self) -> usize {
        self.progress().requests
    }

    fn receive(&self) -> Door {
        let mut progress = self.progress();
        let fault = Arc::clone(&progress.fault);
        match &fault.act {
            Act::Receives(door) if progress.turn() == Turn::Faulty => {
                progress.tries += 1;
                progress.requests += 1;
                door()
            }
            _ if fault.is_http2 => Door::Http2(GOOD_CERTIFICATE),
            _ if fault.is_tls => Door::Tls(GOOD_CERTIFICATE),
            _ => Door::Open,
        }
    }

    fn answer(&self, request: &Request) -> Reply {
        let mut progress = self.progress();
        let fault = Arc::clone(&progress.fault);
        progress.requests += 1;
        if request.path() != "/items" {
            return (fault.elsewhere)(request, &progress.asked);
        }
        let page = progress.page;
        if request.target != Page::target(page.number) {
            return Reply::new(418, "{}");
        }
        progress.asked = page;
        let turn = progress.turn();
        let is_served =
            turn == Turn::Good || (turn == Turn::Faulty && fault.effect == Effect::Harmless);
        if is_served {
            progress.page.number += 1;
            progress.tries = 0;
        } else {
            progress.tries += 1;
        }
        drop(progress);
        match (turn, &fault.act) {
            (Turn::Busy, _) => Reply::new(503, "").closing(),
            (Turn::Faulty, Act::Answers(reply)) => reply(&page),
            // Each connection has a door of its own.
            (Turn::Good, Act::Receives(_)) => page.reply().closing(),
            (Turn::Good, Act::Answers(_)) => page.reply(),
            (Turn::Faulty, Act::Receives(_)) => Reply::new(418, "{}"),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().expect("no turn panicked")
    }
}

impl Progress {
    fn turn(&self) -> Turn {
        self.place.turn(self.page.number, self.tries)
    }
}
