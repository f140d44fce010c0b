//! A world for the job: a source that is a closure, a staging folder in memory, a clock that only moves when told.
#![allow(dead_code, reason = "each test file uses its own part of the world")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tidegate_guest::ports::{Answer, Clock, Http, Request, SendError, StagedFile, Staging};
use tidegate_guest::{Failure, Report};

/// 2026-11-23T12:00:00Z.
pub const NOON: i64 = 1_795_435_200;

/// What a source says to a request.
pub type Said = Result<Answer, SendError>;

pub struct Source<F> {
    pub say: F,
    pub asked: Vec<Request>,
    /// The requests that are on their way.
    pub begun: Vec<Request>,
    /// How many there were at most.
    pub begun_max: usize,
    /// How many there may be.
    pub parallel: usize,
    /// How long each answer takes.
    pub answer_ms: u64,
    /// How long all took.
    pub spent_ms: Rc<Cell<u64>>,
}

impl<F: FnMut(&Request) -> Said> Http for Source<F> {
    fn begin(&mut self, request: &Request) {
        self.begun.push(request.clone());
        self.begun_max = self.begun_max.max(self.begun.len());
        assert!(
            self.begun.len() <= self.parallel,
            "more requests are ahead than may be"
        );
    }

    fn forget(&mut self) {
        self.begun.clear();
    }

    fn send(&mut self, request: &Request, body_bytes_max: usize) -> Said {
        if self.parallel == 1
            && let Some(begun) = self.begun.first()
        {
            assert_eq!(begun, request, "what is sent ahead is what comes next");
        }
        self.begun.retain(|begun| begun != request);
        self.asked.push(request.clone());
        self.spent_ms.set(self.spent_ms.get() + self.answer_ms);
        let answer = (self.say)(request)?;
        if answer.body.len() > body_bytes_max {
            return Err(SendError::Broken("the answer is too large".to_owned()));
        }
        Ok(answer)
    }
}

#[derive(Default)]
pub struct Folder {
    pub files: BTreeMap<&'static str, Vec<u8>>,
    pub appends: usize,
    pub longest_append: usize,
    pub is_full: bool,
}

impl Staging for Folder {
    fn append(&mut self, file: StagedFile, lines: &[u8]) -> Result<(), String> {
        if self.is_full {
            return Err("write `records.ndjson`: no space left on device".to_owned());
        }
        let name = match file {
            StagedFile::Records => "records",
            StagedFile::Deleted => "deleted",
            StagedFile::Rejected => "rejected",
        };
        assert!(lines.ends_with(b"\n"), "whole lines are appended");
        self.files.entry(name).or_default().extend_from_slice(lines);
        self.appends += 1;
        self.longest_append = self.longest_append.max(lines.len());
        Ok(())
    }
}

impl Folder {
    pub fn lines(&self, name: &str) -> Vec<String> {
        let bytes = self.files.get(name).cloned().unwrap_or_default();
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

pub struct Time {
    pub unix_seconds: i64,
    pub slept_ms: u64,
    pub spent_ms: Rc<Cell<u64>>,
    pub log: Vec<String>,
}

impl Clock for Time {
    fn monotonic_ns(&mut self) -> u64 {
        1_000_000 * (self.slept_ms + self.spent_ms.get())
    }
    fn unix_seconds(&mut self) -> i64 {
        self.unix_seconds
    }
    fn sleep_ms(&mut self, ms: u64) {
        self.slept_ms += ms;
    }
    fn log(&mut self, line: &str) {
        self.log.push(line.to_owned());
    }
}

/// One run and everything that can be seen of it.
pub struct Run {
    pub outcome: Result<Report, Failure>,
    pub folder: Folder,
    pub asked: Vec<String>,
    /// The body of each request.
    pub posted: Vec<Option<String>>,
    /// The same requests with their headers and bodies.
    pub sent: Vec<Request>,
    pub log: Vec<String>,
    pub slept_ms: u64,
    /// The request that was put on its way and never sent for.
    pub left: Option<Request>,
    /// How many requests were on their way at the same time.
    pub ahead_max: usize,
}

impl Run {
    pub fn report(&self) -> &Report {
        self.outcome
            .as_ref()
            .unwrap_or_else(|failure| panic!("the run failed: {failure:?}"))
    }

    /// The values of a query parameter, request by request.
    pub fn parameters(&self, name: &str) -> Vec<String> {
        let values = self.asked.iter().map(|url| parameter(url, name));
        values.map(Option::unwrap_or_default).collect()
    }

    pub fn failure(&self) -> &Failure {
        self.outcome.as_ref().expect_err("the run should fail")
    }
}

/// A job at `https://x.example/o`, its settings beside that, and its request.
#[derive(Clone)]
pub struct Job {
    pub settings: Vec<(String, String)>,
    pub request: tidegate_guest::Request,
    pub folder_is_full: bool,
    /// How long each answer takes.
    pub answer_ms: u64,
    /// What our own clock says at the start.
    pub unix_seconds: i64,
}

impl Job {
    pub fn with(settings: &[(&str, &str)]) -> Self {
        let url = [("SOURCE_API_URL", "https://x.example/o")];
        let own = settings.iter().any(|(name, _)| *name == url[0].0);
        let all = if own {
            settings.to_vec()
        } else {
            [&url, settings].concat()
        };
        Self {
            settings: all
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            request: tidegate_guest::Request::default(),
            folder_is_full: false,
            answer_ms: 0,
            unix_seconds: NOON,
        }
    }

    pub fn after(mut self, state: &str) -> Self {
        self.request.state = Some(state.to_owned());
        self
    }

    pub fn run(&self, mut say: impl FnMut(&str) -> Said) -> Run {
        self.run_with(|request| say(&request.url))
    }

    fn parallel(&self) -> usize {
        let mut settings = self.settings.iter().rev();
        let set = settings.find(|(name, _)| name == "SOURCE_PARALLEL");
        set.map_or(1, |(_, value)| value.parse().unwrap())
    }

    /// Runs against a source that looks at more than the URL.
    pub fn run_with(&self, say: impl FnMut(&Request) -> Said) -> Run {
        let spent_ms = Rc::new(Cell::new(0));
        let mut source = Source {
            say,
            asked: Vec::new(),
            begun: Vec::new(),
            begun_max: 0,
            parallel: self.parallel(),
            answer_ms: self.answer_ms,
            spent_ms: Rc::clone(&spent_ms),
        };
        let mut folder = Folder {
            is_full: self.folder_is_full,
            ..Folder::default()
        };
        let mut time = Time {
            unix_seconds: self.unix_seconds,
            slept_ms: 0,
            spent_ms,
            log: Vec::new(),
        };
        let outcome = tidegate_guest::run(
            &self.request,
            &self.settings,
            &mut source,
            &mut folder,
            &mut time,
        );
        Run {
            outcome,
            folder,
            asked: source.asked.iter().map(|asked| asked.url.clone()).collect(),
            posted: source
                .asked
                .iter()
                .map(|asked| asked.body.clone())
                .collect(),
            sent: source.asked,
            left: source.begun.first().cloned(),
            ahead_max: source.begun_max,
            log: time.log,
            slept_ms: time.slept_ms,
        }
    }
}

/// A page without headers.
#[expect(clippy::unnecessary_wraps, reason = "it is what a source says")]
pub fn page(body: &str) -> Said {
    Ok(Answer {
        status: 200,
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    })
}

/// The same answer with one more header.
pub fn with_header(said: Said, name: &str, value: &str) -> Said {
    said.map(|mut answer| {
        answer
            .headers
            .push((name.to_owned(), value.as_bytes().to_vec()));
        answer
    })
}

/// An answer without a body.
#[expect(clippy::unnecessary_wraps, reason = "it is what a source says")]
pub fn status(status: u16) -> Said {
    Ok(Answer {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    })
}

/// The value of a query parameter.
pub fn parameter(url: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(url).expect("only URLs are asked for");
    let mut pairs = url.query_pairs();
    pairs
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}
