mod judged;
mod polite;
mod refused;

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::*;
use crate::ports::{Request, SendError};
use crate::source::{Json, To};

const RETRIES: Retries = Retries {
    max: 3,
    pause_ms: 2000,
};

/// Answers in turn; what is asked beyond them is a defect of the test.
struct Script {
    answers: VecDeque<Result<Answer, SendError>>,
    asked: Vec<String>,
    posted: Vec<Option<String>>,
    /// When, by the clock of the test.
    asked_ms: Vec<u64>,
    now_ms: Rc<Cell<u64>>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Result<Answer, SendError>>) -> (Self, Patience) {
        let clock = Patience::default();
        let script = Self {
            answers: answers.into_iter().collect(),
            asked: Vec::new(),
            posted: Vec::new(),
            asked_ms: Vec::new(),
            now_ms: Rc::clone(&clock.now_ms),
        };
        (script, clock)
    }
}

impl Http for Script {
    fn send(&mut self, request: &Request, _: usize) -> Result<Answer, SendError> {
        self.asked.push(request.url.clone());
        self.posted.push(request.body.clone());
        self.asked_ms.push(self.now_ms.get());
        self.answers
            .pop_front()
            .expect("no more requests than answers")
    }
}

/// A clock that moves by what is slept.
#[derive(Default)]
struct Patience {
    now_ms: Rc<Cell<u64>>,
    slept_ms: Vec<u64>,
    lines: Vec<String>,
}

impl Clock for Patience {
    fn monotonic_ns(&mut self) -> u64 {
        1_000_000 * self.now_ms.get()
    }
    fn unix_seconds(&mut self) -> i64 {
        0
    }
    fn sleep_ms(&mut self, ms: u64) {
        self.now_ms.set(self.now_ms.get() + ms);
        self.slept_ms.push(ms);
    }
    fn log(&mut self, line: &str) {
        self.lines.push(line.to_owned());
    }
}

/// What came of getting page 2 of `https://x.example/o?key=s3cret` with three retries.
struct Outcome {
    got: Result<Fetched, Failure>,
    asked: Vec<String>,
    posted: Vec<Option<String>>,
    clock: Patience,
    date: Option<i64>,
}

fn ask() -> Ask {
    Ask::get(Url::parse("https://x.example/o?key=s3cret").unwrap())
}

fn got(answers: impl IntoIterator<Item = Result<Answer, SendError>>) -> Outcome {
    got_for(None, answers)
}

fn got_for(
    body: Option<&str>,
    answers: impl IntoIterator<Item = Result<Answer, SendError>>,
) -> Outcome {
    let (mut http, mut clock) = Script::new(answers);
    let mut getter = Getter::new(&mut http, &mut clock, RETRIES);
    let method = body.map_or(Method::Get, |_| Method::Post);
    let ask = Ask {
        method,
        body: body.map(str::to_owned),
        ..ask()
    };
    let got = getter.get(&ask, 2);
    let date = getter.clocks().map(|clocks| clocks.source);
    Outcome {
        got,
        asked: http.asked,
        posted: http.posted,
        clock,
        date,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "stands beside refused requests in a script"
)]
fn answer(status: u16, headers: &[(&str, &str)]) -> Result<Answer, SendError> {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    Ok(Answer {
        status,
        headers: headers.collect(),
        body: Vec::new(),
    })
}

fn unreachable() -> Result<Answer, SendError> {
    Err(SendError::Unreachable("connection refused".to_owned()))
}

fn cut_off() -> Result<Answer, SendError> {
    Err(SendError::CutOff("the answer stopped".to_owned()))
}

#[test]
fn what_passes_is_retried_until_the_page_comes() {
    let outcome = got([answer(503, &[]), unreachable(), cut_off(), answer(200, &[])]);

    assert!(outcome.got.is_ok());
    assert_eq!(outcome.clock.slept_ms.len(), 3);
}

#[test]
fn after_all_tries_a_busy_source_is_unavailable() {
    let outcome = got((0..4).map(|_| answer(503, &[("retry-after", "1")])));

    let expected = Detail {
        message: "`https://x.example/o` answered 503 on page 2, four times".to_owned(),
        status: Some(503),
        retry_after_seconds: Some(1),
    };
    assert_eq!(outcome.got.unwrap_err(), Failure::Unavailable(expected));
    assert_eq!(outcome.clock.slept_ms.len(), 3);
    assert!(
        outcome.clock.slept_ms.iter().all(|ms| *ms >= 1000),
        "{:?}",
        outcome.clock.slept_ms
    );
}

#[test]
fn after_all_tries_the_last_setback_names_the_failure() {
    let never_reached = got((0..4).map(|_| unreachable())).got.unwrap_err();
    let never_whole = got((0..4).map(|_| cut_off())).got.unwrap_err();

    assert_eq!(
        never_reached,
        Failure::Unavailable(Detail::from(
            "cannot reach `https://x.example/o` for page 2, four times: connection refused"
        ))
    );
    assert!(matches!(never_whole, Failure::Protocol(_)));
}

#[test]
fn a_warning_says_what_is_waited_for() {
    let outcome = got([answer(503, &[("retry-after", "12")]), answer(200, &[])]);

    let waited_ms = outcome.clock.slept_ms[0];
    let expected = format!(
        "warn: `https://x.example/o` answered 503 on page 2, waiting {}.{} s before try 2 of 4",
        waited_ms / 1000,
        waited_ms % 1000 / 100
    );
    assert_eq!(outcome.clock.lines, [expected]);
    assert!((12_000..=13_000).contains(&waited_ms), "{waited_ms}");
}

#[test]
fn a_source_that_asks_for_too_long_ends_the_run_at_once() {
    let outcome = got([answer(429, &[("retry-after", "301")])]);

    let Failure::Unavailable(detail) = outcome.got.unwrap_err() else {
        panic!("a rate limit is no other failure");
    };
    assert_eq!(detail.retry_after_seconds, Some(301));
    assert!(
        detail.message.contains("asks to wait 301 s"),
        "{}",
        detail.message
    );
    assert!(outcome.clock.slept_ms.is_empty());
}

#[test]
fn what_will_not_pass_is_not_retried() {
    let failure = |first| got([first]).got.unwrap_err();

    assert!(matches!(failure(answer(401, &[])), Failure::Denied(_)));
    assert!(matches!(failure(answer(403, &[])), Failure::Denied(_)));
    assert!(matches!(failure(answer(404, &[])), Failure::Refused(_)));
    assert!(matches!(failure(answer(501, &[])), Failure::Unavailable(_)));
    assert!(matches!(failure(answer(204, &[])), Failure::Protocol(_)));
    assert!(matches!(
        failure(Err(SendError::Denied(String::new()))),
        Failure::Denied(_)
    ));
    assert!(matches!(
        failure(Err(SendError::Broken(String::new()))),
        Failure::Protocol(_)
    ));
}

#[test]
fn a_redirect_is_followed_and_the_page_knows_where_it_came_from() {
    let outcome = got([answer(307, &[("location", "/v2/o")]), answer(200, &[])]);

    assert_eq!(outcome.got.unwrap().url.as_str(), "https://x.example/v2/o");
    assert_eq!(
        outcome.asked,
        ["https://x.example/o?key=s3cret", "https://x.example/v2/o"]
    );
}

#[test]
fn every_try_begins_at_the_page_itself() {
    let outcome = got([
        answer(302, &[("location", "/a")]),
        answer(503, &[]),
        answer(200, &[]),
    ]);

    assert_eq!(outcome.asked[2], outcome.asked[0]);
}

#[test]
fn five_redirects_are_followed_and_a_sixth_is_not() {
    let hop = || answer(302, &[("location", "?again")]);

    let five = got((0..5).map(|_| hop()).chain([answer(200, &[])]));
    let six = got((0..6).map(|_| hop()));

    assert!(five.got.is_ok());
    assert_eq!(
        six.got.unwrap_err(),
        Failure::protocol("`https://x.example/o` redirects page 2 for more than 5 times")
    );
}

#[test]
fn a_redirect_that_leads_nowhere_safe_is_refused() {
    let failure =
        |headers: &[(&str, &str)]| got([answer(301, headers)]).got.unwrap_err().to_string();

    assert!(failure(&[]).ends_with("redirects to nowhere"));
    assert!(
        failure(&[("location", "http://x.example/o")]).ends_with("a downgrade from https to http")
    );
    assert!(failure(&[("location", "file:///etc/passwd")]).contains("`file` URL"));
}

#[test]
fn the_first_date_is_kept() {
    let early = "Mon, 23 Nov 2026 12:00:00 GMT";
    let late = "Mon, 23 Nov 2026 12:05:00 GMT";

    let outcome = got([
        unreachable(),
        answer(503, &[("date", early)]),
        answer(200, &[("date", late)]),
    ]);

    assert_eq!(outcome.date, Some(1_795_435_200));
}

#[test]
fn no_message_or_log_line_shows_a_query() {
    let outcome = got((0..4).map(|_| answer(503, &[])));

    let said = format!("{:?} {}", outcome.clock.lines, outcome.got.unwrap_err());
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn a_post_keeps_its_body_on_retries_and_redirects_that_keep_the_method() {
    for status in [307, 308] {
        let outcome = got_for(
            Some("{}"),
            [
                answer(503, &[]),
                answer(status, &[("location", "/p")]),
                answer(200, &[]),
            ],
        );

        assert!(outcome.got.is_ok());
        assert_eq!(outcome.asked[2], "https://x.example/p");
        assert_eq!(outcome.posted, vec![Some("{}".to_owned()); 3]);
    }
}

#[test]
fn a_post_that_would_become_a_get_is_refused() {
    for status in [301, 302, 303] {
        let outcome = got_for(
            Some("{}"),
            [answer(
                status,
                &[("location", "https://y.example/p?k=s3cret")],
            )],
        );

        let failure = outcome.got.unwrap_err();
        assert!(matches!(failure, Failure::Protocol(_)), "{failure:?}");
        assert_eq!(
            failure.to_string(),
            format!(
                "`https://x.example/o` answered {status} on page 2 and redirects to `https://y.example/p`, where a POST would lose its SOURCE_BODY: give that URL as SOURCE_API_URL if it accepts the POST"
            )
        );
    }
}

#[test]
fn a_get_with_a_body_stays_one_behind_a_redirect() {
    let (mut http, mut clock) = Script::new([answer(302, &[("location", "/p")]), answer(200, &[])]);
    let mut getter = Getter::new(&mut http, &mut clock, RETRIES);
    let ask = Ask {
        body: Some("{}".to_owned()),
        ..ask()
    };

    let got = getter.get(&ask, 2);

    assert!(got.is_ok());
    assert_eq!(http.posted, vec![Some("{}".to_owned()); 2]);
}

#[test]
fn a_get_with_a_body_has_none_behind_a_303() {
    let (mut http, mut clock) = Script::new([answer(303, &[("location", "/p")]), answer(200, &[])]);
    let mut getter = Getter::new(&mut http, &mut clock, RETRIES);
    let ask = Ask {
        body: Some("{}".to_owned()),
        ..ask()
    };

    assert!(getter.get(&ask, 2).is_ok());
    assert_eq!(http.posted, [Some("{}".to_owned()), None]);
}

#[test]
fn a_304_answers_a_cursor_that_went_into_a_condition() {
    let (mut http, mut clock) = Script::new([answer(304, &[]), answer(304, &[])]);
    let mut getter = Getter::new(&mut http, &mut clock, RETRIES);
    let header = To::Header("if-modified-since".to_owned());
    let since = ask().with(&header, "x", Json::Text).unwrap();

    assert_eq!(getter.get(&since, 2).unwrap().answer.status, 304);
    assert!(matches!(getter.get(&ask(), 2), Err(Failure::Protocol(_))));
}
