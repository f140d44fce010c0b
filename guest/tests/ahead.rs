//! The next page is asked for before this one is staged: when, when not, and what comes of a request that went ahead.
mod world;

use std::cell::RefCell;
use std::rc::Rc;

use tidegate_guest::ports::{Answer, Clock, Http, Request, SendError, StagedFile, Staging};
use tidegate_guest::{Failure, Report};
use world::{Said, page, status, with_header};

/// What happened, in its order: `begin 2`, `send 2`, `stage`, `wait`. Requests are named by their parameter `p`.
type Events = Rc<RefCell<Vec<String>>>;

fn note(events: &Events, what: String) {
    events.borrow_mut().push(what);
}

struct Source<F> {
    say: F,
    events: Events,
}

impl<F: FnMut(&Request) -> Said> Http for Source<F> {
    fn begin(&mut self, request: &Request) {
        note(&self.events, format!("begin {}", p(request)));
    }

    fn send(&mut self, request: &Request, _: usize) -> Result<Answer, SendError> {
        note(&self.events, format!("send {}", p(request)));
        (self.say)(request)
    }
}

struct Folder {
    events: Events,
    is_full: bool,
    records: Vec<u8>,
}

impl Staging for Folder {
    fn append(&mut self, file: StagedFile, lines: &[u8]) -> Result<(), String> {
        if self.is_full {
            return Err("no space left on device".to_owned());
        }
        note(&self.events, "stage".to_owned());
        if file == StagedFile::Records {
            self.records.extend_from_slice(lines);
        }
        Ok(())
    }
}

struct Time {
    events: Events,
    now_ms: u64,
}

impl Clock for Time {
    fn monotonic_ns(&mut self) -> u64 {
        1_000_000 * self.now_ms
    }
    fn unix_seconds(&mut self) -> i64 {
        world::NOON
    }
    fn sleep_ms(&mut self, ms: u64) {
        self.now_ms += ms;
        note(&self.events, "wait".to_owned());
    }
    fn log(&mut self, _: &str) {}
}

struct Run {
    outcome: Result<Report, Failure>,
    events: String,
    records: String,
}

impl Run {
    fn begins(&self) -> usize {
        self.events.matches("begin").count()
    }

    fn failure(&self) -> String {
        self.outcome.as_ref().unwrap_err().to_string()
    }
}

/// Runs a job at `https://x.example/o?p=1`, with a TRANSFORM.
fn run(settings: &[(&str, &str)], say: impl FnMut(&Request) -> Said) -> Run {
    run_in(false, settings, say)
}

fn run_in(is_full: bool, settings: &[(&str, &str)], say: impl FnMut(&Request) -> Said) -> Run {
    let env = env(settings);
    let events = Events::default();
    let mut source = Source {
        say,
        events: events.clone(),
    };
    let mut folder = Folder {
        events: events.clone(),
        is_full,
        records: Vec::new(),
    };
    let mut time = Time {
        events: events.clone(),
        now_ms: 0,
    };
    let request = tidegate_guest::Request::default();
    let outcome = tidegate_guest::run(&request, &env, &mut source, &mut folder, &mut time);
    let events = events.borrow().join(", ");
    Run {
        outcome,
        events,
        records: String::from_utf8(folder.records).unwrap(),
    }
}

/// The settings, with what they do not say themselves.
fn env(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let always = [
        ("SOURCE_API_URL", "https://x.example/o?p=1"),
        ("TRANSFORM", ".seen = true"),
    ];
    let others = always
        .iter()
        .filter(|(name, _)| settings.iter().all(|(own, _)| own != name));
    let all = others.chain(settings);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn p(request: &Request) -> u32 {
    let p = world::parameter(&request.url, "p");
    p.and_then(|p| p.parse().ok()).unwrap_or_default()
}

/// A page of one record in `items`, which names the next one in each way there is, unless it is page `last`.
fn of(last: u32, request: &Request) -> Said {
    let n = p(request);
    let (id, next) = (n * 10, n + 1);
    let named = if n < last {
        format!(r#""/o?p={next}","token":"{next}""#)
    } else {
        "null".to_owned()
    };
    let more = n < last;
    let said = page(&format!(
        r#"{{"items":[{{"id":{id},"at":{next}}}],"more":{more},"next":{named}}}"#
    ));
    if more {
        with_header(said, "link", &format!("</o?p={next}>; rel=next"))
    } else {
        said
    }
}

const BY_NEXT: [(&str, &str); 2] = [
    ("SOURCE_RECORDS", "/items"),
    ("SOURCE_PAGINATION", "next-url"),
];

const IN_TURN: &str = "send 1, begin 2, stage, send 2, begin 3, stage, send 3, stage";

#[test]
fn the_next_page_is_asked_for_before_this_one_is_staged_in_every_style() {
    let styles: [&[(&str, &str)]; 5] = [
        &[("SOURCE_PAGINATION", "link")],
        &[("SOURCE_PAGINATION", "next-url")],
        &[
            ("SOURCE_PAGINATION", "token"),
            ("SOURCE_PAGE_FROM", "/token"),
            ("SOURCE_PAGE_TO", "p"),
        ],
        &[
            ("SOURCE_PAGINATION", "last-record"),
            ("SOURCE_PAGE_FROM", "/at"),
            ("SOURCE_PAGE_TO", "p"),
            ("SOURCE_PAGE_MORE", "/more"),
        ],
        &[
            ("SOURCE_PAGINATION", "page"),
            ("SOURCE_PAGE_TO", "p"),
            ("SOURCE_PAGE_MORE", "/more"),
        ],
    ];

    let runs = styles.map(|style| {
        let settings = [&[("SOURCE_RECORDS", "/items")], style].concat();
        run(&settings, |request| of(3, request))
    });

    for run in runs {
        assert_eq!(run.events, IN_TURN);
        assert_eq!(run.outcome.unwrap().staged, 3);
    }
}

#[test]
fn offsets_that_overlap_are_asked_for_ahead_and_without_a_transform_too() {
    let settings = [
        ("SOURCE_API_URL", "https://x.example/o"),
        ("SOURCE_PAGINATION", "offset"),
        ("SOURCE_PAGE_TO", "p"),
        ("PRIMARY_KEY", "/id"),
        ("TRANSFORM", ""),
    ];

    let run = run(&settings, |request| match p(request) {
        0 => page(r#"[{"id":1},{"id":2}]"#),
        1 => page(r#"[{"id":2},{"id":3}]"#),
        _ => page(r#"[{"id":3}]"#),
    });

    assert_eq!(
        run.events,
        "send 0, begin 1, stage, send 1, begin 2, stage, send 2"
    );
}

#[test]
fn a_request_that_went_ahead_in_vain_is_the_first_of_its_tries() {
    let first = |said: fn() -> Said| {
        let mut tries = 0;
        run(&BY_NEXT, move |request| {
            tries += u32::from(p(request) == 2);
            if p(request) == 2 && tries == 1 {
                said()
            } else {
                of(2, request)
            }
        })
    };

    let runs = [
        first(|| status(500)),
        first(|| Err(SendError::Unreachable("no connection".to_owned()))),
        first(|| Err(SendError::CutOff("the answer was cut off".to_owned()))),
    ];

    for run in runs {
        assert_eq!(
            run.events,
            "send 1, begin 2, stage, send 2, wait, send 2, stage"
        );
        assert_eq!(run.outcome.unwrap().pages, 2);
    }
}

#[test]
fn a_request_that_went_ahead_has_no_more_tries_than_any_other() {
    let run = run(&BY_NEXT, |request| match p(request) {
        1 => of(2, request),
        _ => status(503),
    });

    assert_eq!(
        run.events,
        "send 1, begin 2, stage, send 2, wait, send 2, wait, send 2, wait, send 2"
    );
    assert_eq!(
        run.failure(),
        "`https://x.example/o` answered 503 on page 2, four times"
    );
}

#[test]
fn what_is_useless_to_try_again_ends_the_run_behind_a_page_that_is_staged() {
    let denied = || Err(SendError::Denied("the host does not grant it".to_owned()));
    let after_one = |said: &dyn Fn() -> Said| {
        run(&BY_NEXT, |request| match p(request) {
            1 => of(2, request),
            _ => said(),
        })
    };

    let runs = [after_one(&|| status(401)), after_one(&denied)];

    for run in runs {
        assert_eq!(run.events, "send 1, begin 2, stage, send 2");
        assert!(matches!(run.outcome, Err(Failure::Denied(_))));
    }
}

#[test]
fn a_redirect_is_followed_from_a_request_that_went_ahead() {
    let run = run(&BY_NEXT, |request| match p(request) {
        2 => with_header(status(307), "location", "/o?p=7"),
        7 => page(r#"{"items":[],"next":null}"#),
        _ => of(2, request),
    });

    assert_eq!(run.events, "send 1, begin 2, stage, send 2, send 7");
}

#[test]
fn a_page_that_cannot_be_staged_ends_the_run_whatever_went_ahead() {
    let run = run_in(true, &BY_NEXT, |request| of(2, request));

    assert_eq!(run.events, "send 1, begin 2");
    assert!(matches!(run.outcome, Err(Failure::Output(_))));
}

#[test]
fn nothing_goes_ahead_of_the_end_or_of_a_page_that_ends_the_run() {
    let desc = [
        ("SOURCE_CURSOR", "/at"),
        ("SOURCE_CURSOR_KIND", "integer"),
        ("SOURCE_CURSOR_START", "100"),
        ("SOURCE_CURSOR_ORDER", "desc"),
    ];
    let with = |settings: &[(&'static str, &'static str)]| {
        run(&[&BY_NEXT, settings].concat(), |request| of(9, request))
    };
    let said = |body: &'static str| run(&BY_NEXT, move |_| page(body));

    let runs = [
        with(&desc),
        with(&[("MAX_PAGES", "1")]),
        run(&BY_NEXT[..1], |request| of(9, request)),
        with(&[("SOURCE_CURSOR", "/none")]),
        with(&[("SOURCE_TOTAL", "/items")]),
        said(r#"{"items":[{"id":1}],"next":"/o?p=1"}"#),
        said(r#"{"items":[{"id":1}],"next":"/o?p=2"} x"#),
        said(r#"{"items":[{"id":1}],"next":"/o?p=2""#),
        said(r#"{"items":[{"id":1}],"next":7}"#),
    ];

    assert_eq!(runs.map(|run| run.begins()), [0; 9]);
}

#[test]
fn nothing_goes_ahead_where_a_record_may_end_the_run() {
    let strict = |transform: &'static str| {
        let settings = [("SOURCE_INVALID", "fail"), ("TRANSFORM", transform)];
        run(&[&BY_NEXT[..], &settings].concat(), |request| {
            of(2, request)
        })
    };

    let (good, bad) = (strict("."), strict(".id.no"));

    assert_eq!(good.events, "send 1, begin 2, stage, send 2, stage");
    assert_eq!(bad.events, "send 1");
}

#[test]
fn nothing_goes_ahead_where_it_would_have_to_wait() {
    let rate = run(
        &[&BY_NEXT[..], &[("SOURCE_RATE", "1")]].concat(),
        |request| of(2, request),
    );
    let reset = run(&BY_NEXT, |request| {
        let said = with_header(of(2, request), "ratelimit-remaining", "0");
        with_header(said, "ratelimit-reset", "30")
    });

    assert_eq!(rate.events, "send 1, stage, wait, send 2, stage");
    assert_eq!(reset.events, "send 1, stage, wait, send 2, stage");
}

#[test]
fn a_page_of_more_records_than_may_wait_is_staged_in_their_order() {
    let records: Vec<String> = (0..40_000).map(|id| format!(r#"{{"id":{id}}}"#)).collect();
    let body = format!(r#"{{"items":[{}],"next":"/o?p=2"}}"#, records.join(","));

    let run = run(&BY_NEXT, |request| match p(request) {
        1 => page(&body),
        _ => page(r#"{"items":[],"next":null}"#),
    });

    assert_eq!(run.events, "send 1, begin 2, stage, send 2");
    let expected: Vec<String> = (0..40_000)
        .map(|id| format!("{{\"id\":{id},\"seen\":true}}\n"))
        .collect();
    assert!(run.records == expected.concat());
}

#[test]
fn a_first_look_asks_once() {
    let events = Events::default();
    let mut source = Source {
        say: |request: &Request| of(2, request),
        events: events.clone(),
    };
    let mut time = Time {
        events: events.clone(),
        now_ms: 0,
    };

    let sighting = tidegate_guest::probe::look(&env(&BY_NEXT), &mut source, &mut time).unwrap();

    assert_eq!(events.borrow().join(", "), "send 1");
    assert_eq!(
        sighting.next_request.as_deref(),
        Some("GET https://x.example/o?p=2")
    );
}
