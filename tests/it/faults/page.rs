//! The three good pages that every fault is held against.

use serde_json::{Value, json};

use crate::server::Reply;

/// Pages of the source.
pub const PAGES: usize = 3;

/// One of them, as it is in one run: no two runs are served the same records.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Counted from 1.
    pub number: usize,
    /// Counts the runs of a job.
    pub round: usize,
}

impl Page {
    /// All pages of a run.
    pub fn all(round: usize) -> impl Iterator<Item = Self> {
        (1..=PAGES).map(move |number| Self { number, round })
    }

    /// Its records.
    pub fn records(self) -> Vec<Value> {
        let record = |index| json!({ "id": self.number * 10 + index, "round": self.round });
        vec![record(1), record(2)]
    }

    /// Its body.
    pub fn body(self) -> String {
        Value::from(self.records()).to_string()
    }

    /// Path and query.
    pub fn target(number: usize) -> String {
        format!("/items?page={number}")
    }

    /// Its answer.
    pub fn reply(self) -> Reply {
        self.with(self.body())
    }

    /// Its answer with another body.
    pub fn with(self, body: impl Into<Vec<u8>>) -> Reply {
        self.linked(Reply::new(200, body))
    }

    /// This answer with the link to the page after it.
    pub fn linked(self, reply: Reply) -> Reply {
        match self.number {
            PAGES => reply,
            number => reply.next(&format!("{{server}}{}", Self::target(number + 1))),
        }
    }
}
