//! One fault: what the source does, and how a run that meets it ends.

use std::sync::Arc;

use tidegate::outcome::Outcome;

use super::page::Page;
use crate::server::{Door, Reply, Request, Server};

/// What a fault does to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the page is whole, and so is what is published.
    Harmless,
    /// The request is made again: a run that meets it once recovers, one that meets it every time ends like this.
    Passes(Outcome),
    /// The run ends like this at once: the request is not made again.
    Stays(Outcome),
    /// Nothing more comes: the run ends at its deadline. (The limits of a single request are longer than a test may take;
    /// `host/src/egress/tests/times.rs` holds them.)
    Stalls,
}

/// What the source does in place of a good page.
pub enum Act {
    /// It answers the page's request with this.
    Answers(Box<dyn Fn(&Page) -> Reply + Send + Sync>),
    /// It receives the connection like this.
    Receives(Box<dyn Fn() -> Door + Send + Sync>),
}

/// What must hold of another server after every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Nobody connected to it.
    NeverReached,
    /// No request to it carried the credential.
    WithoutCredential,
}

/// Answers a request for anything but a page: where redirects lead.
pub type Elsewhere = Box<dyn Fn(&Request, &Page) -> Reply + Send + Sync>;

/// A row of the table.
pub struct Fault {
    /// What goes wrong, for people.
    pub name: String,
    /// What it does to a run.
    pub effect: Effect,
    /// What the source does.
    pub act: Act,
    /// Requests that one meeting with it takes.
    pub requests: usize,
    /// What stderr says of a run that ended for it.
    pub says: String,
    /// Answers what is not a page.
    pub elsewhere: Elsewhere,
    /// Settings of its job.
    pub settings: Vec<(String, String)>,
    /// Other servers, and what must hold of them.
    pub watched: Vec<(Arc<Server>, Watch)>,
    /// Whether the source speaks TLS.
    pub is_tls: bool,
    /// Whether it speaks HTTP/2 there, and nothing else.
    pub is_http2: bool,
}

/// A fault in an answer.
pub fn answer(
    name: &str,
    effect: Effect,
    reply: impl Fn(&Page) -> Reply + Send + Sync + 'static,
) -> Fault {
    Fault::new(name, effect, Act::Answers(Box::new(reply)))
}

/// A fault of the connection, before any request.
pub fn connection(
    name: &str,
    effect: Effect,
    door: impl Fn() -> Door + Send + Sync + 'static,
) -> Fault {
    Fault::new(name, effect, Act::Receives(Box::new(door)))
}

impl Fault {
    fn new(name: &str, effect: Effect, act: Act) -> Self {
        Self {
            name: name.to_owned(),
            effect,
            act,
            requests: 1,
            says: match effect {
                Effect::Stalls => "RUN_DEADLINE".to_owned(),
                Effect::Harmless | Effect::Passes(_) | Effect::Stays(_) => String::new(),
            },
            elsewhere: Box::new(|_, _| Reply::new(418, "{}")),
            settings: Vec::new(),
            watched: Vec::new(),
            is_tls: false,
            is_http2: false,
        }
    }

    /// stderr of a run that ends for it says this.
    pub fn says(self, says: &str) -> Self {
        Self {
            says: says.to_owned(),
            ..self
        }
    }

    /// One meeting with it takes so many requests.
    pub fn takes(self, requests: usize) -> Self {
        Self { requests, ..self }
    }

    /// What is not a page is answered like this.
    pub fn elsewhere(
        self,
        elsewhere: impl Fn(&Request, &Page) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self {
            elsewhere: Box::new(elsewhere),
            ..self
        }
    }

    /// Its job has this setting.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its source speaks TLS.
    pub fn over_tls(self) -> Self {
        Self {
            is_tls: true,
            ..self
        }
    }

    /// Its source speaks HTTP/2.
    pub fn over_http2(self) -> Self {
        Self {
            is_http2: true,
            ..self.over_tls()
        }
    }

    /// No run may connect to this server.
    pub fn never_reaches(mut self, server: Arc<Server>) -> Self {
        self.watched.push((server, Watch::NeverReached));
        self
    }

    /// No run may show this server the credential.
    pub fn without_credential_at(mut self, server: Arc<Server>) -> Self {
        self.watched.push((server, Watch::WithoutCredential));
        self
    }
}
