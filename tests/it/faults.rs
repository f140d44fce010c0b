//! What can go wrong between a source and a run: a table of faults, each met at every place of a run.
//!
//! A row says what the source does, and what that does to a run: nothing (`Harmless`), it passes when the page is asked for
//! again (`Passes`), it ends the run at once (`Stays`) or at its deadline (`Stalls`). Each row is run through the real binary
//! with the fault at the first, the middle and the last of three pages, on a retry after a 503, and once; exit code, number of
//! requests and what readers see are held to it. `truncation` cuts a page at every byte.
//!
//! What a server on loopback cannot do, or not within a test's patience, is held by tests of `host/src/egress`:
//! - names: `a_name_without_an_address_is_unknown` (an empty answer), `the_system_resolver_says_why_a_name_is_unknown` (what
//!   SERVFAIL looks like from here), `an_address_that_is_not_granted_is_refused_although_another_is` and
//!   `a_name_in_a_private_network_is_refused_before_anything_is_dialed` (rebinding: what was checked is what is dialed);
//! - one address family out of order: `a_dead_address_does_not_keep_a_live_one_from_being_reached`;
//! - the limits of one request, for connecting (a resolver that is silent included), the first byte, idling, the whole answer
//!   and 1xx answers without end: `tests/times.rs`.
//!
//! Frames of HTTP/2 that break it, GOAWAY and floods are in `host/src/egress/tests/http2.rs`; `http2` has streams that are reset
//! or cut, and over plain http a frame of HTTP/2 is a row here.

mod body;
mod connect;
mod encoding;
mod fault;
mod headers;
mod http2;
mod json;
mod page;
mod place;
mod redirect;
mod source;
mod status;
mod tls;
mod truncation;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tidegate::outcome::Outcome;

pub use self::encoding::gzip;
use self::fault::{Effect, Fault, Watch};
use self::page::Page;
use self::place::{Place, TRIES};
use self::source::Source;
use crate::server::{Request, Server, tls_file};
use crate::world::{Job, Run};

/// Faults met at the same time: most of them wait.
const SIDE_BY_SIDE: usize = 8;
/// What a run that stalls may take: longer than good pages do, and longer again where they did not.
const DEADLINES: [&str; 3] = ["3s", "12s", "25s"];
/// No fault may hold a run for longer.
const RUN_TAKES_MAX: Duration = Duration::from_secs(30);

/// Every fault does at every place what its row says.
fn hold(faults: Vec<Fault>) {
    let total = faults.len();
    let wrong = side_by_side(faults, |fault| rows_that_are_wrong(&Arc::new(fault)));
    report(total, &wrong);
}

/// One report for all that is wrong.
fn report(total: usize, wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "of {total} faults these end differently:\n{}",
        wrong.join("\n")
    );
}

/// Does `work` on every item, several at a time, and collects what it finds.
fn side_by_side<T: Send>(
    items: Vec<T>,
    work: impl Fn(T) -> Vec<String> + Send + Sync,
) -> Vec<String> {
    let queue = Mutex::new(items.into_iter());
    let found = Mutex::new(Vec::new());
    let next = || queue.lock().expect("nothing panics here").next();
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(item) = next() {
                    let more = work(item);
                    found.lock().expect("nothing panics here").extend(more);
                }
            });
        }
    });
    found.into_inner().expect("nothing panicked")
}

/// One job meets the fault at one place after the other.
fn rows_that_are_wrong(fault: &Arc<Fault>) -> Vec<String> {
    let meetings = Place::of(fault.effect).into_iter();
    wrong_in_one_job(
        &meetings
            .map(|place| (Arc::clone(fault), place))
            .collect::<Vec<_>>(),
    )
}

/// One job, a run for each meeting: what is published by one run is the old set of the next.
fn wrong_in_one_job(meetings: &[(Arc<Fault>, Place)]) -> Vec<String> {
    let mut job = job(&meetings[0].0);
    let source = Source::behind(&job.server, &meetings[0].0);
    let mut wrong = Vec::new();
    for (fault, place) in meetings {
        let mut deadlines = DEADLINES.into_iter();
        let complaints = loop {
            // Short, for a run that stalls takes so long; the machine may be too busy for that.
            let deadline = deadlines.next().filter(|_| fault.effect == Effect::Stalls);
            if let Some(deadline) = deadline {
                job = job.set("RUN_DEADLINE", deadline);
            }
            let round = source.begins(fault, *place);
            // What must hold after every run is asserted in `run`: a broken law is one more line of the report.
            let ran = catch_unwind(AssertUnwindSafe(|| job.run()));
            match ran {
                Ok(run) => {
                    let requests = source.requests();
                    let complaints = complaints(fault, *place, round, &run, requests);
                    let expected = place.expected(fault.effect, fault.requests);
                    let is_too_early = run.stderr.contains("RUN_DEADLINE")
                        && (requests < expected.requests || *place == Place::Nowhere);
                    if is_too_early && deadlines.len() > 0 && deadline.is_some() {
                        continue;
                    }
                    break complaints;
                }
                Err(panic) => break vec![words(panic.as_ref())],
            }
        };
        let met = format!("{} ({:?}), {place:?}", fault.name, fault.effect);
        wrong.extend(
            complaints
                .into_iter()
                .map(|what| format!("- {met}: {}", what.trim_end())),
        );
    }
    wrong
}

fn job(fault: &Fault) -> Job {
    let mut job = Job::new()
        .set("SOURCE_API_URL", &format!("{{server}}{}", Page::target(1)))
        .set("SOURCE_PAGINATION", "link")
        .set("SOURCE_INVALID", "fail")
        .set("MAX_RETRIES", &(TRIES - 1).to_string());
    if fault.is_tls {
        job = job.set("CA_FILE", &tls_file("ca.pem").display().to_string());
    }
    for (name, value) in &fault.settings {
        job = job.set(name, value);
    }
    job
}

/// What is not as the row says.
fn complaints(
    fault: &Fault,
    place: Place,
    round: usize,
    run: &Run,
    requests: usize,
) -> Vec<String> {
    let expected = place.expected(fault.effect, fault.requests);
    let mut wrong = Vec::new();
    if run.code != Some(i32::from(expected.outcome.exit_code())) {
        wrong.push(format!(
            "exit code {:?}, not {}: {}",
            run.code,
            expected.outcome.exit_code(),
            run.stderr
        ));
    }
    if requests != expected.requests {
        wrong.push(format!(
            "{requests} requests, not {}: {}",
            expected.requests, run.stderr
        ));
    }
    if expected.outcome == Outcome::Published {
        let latest = run.after.file("latest.json").unwrap_or("nothing");
        let whole: Vec<Value> = Page::all(round).flat_map(Page::records).collect();
        if serde_json::from_str::<Value>(latest).ok() != Some(Value::from(whole)) {
            wrong.push(format!("readers see {latest}"));
        }
    } else {
        if run.after != run.before {
            wrong.push(format!("readers see something new: {:?}", run.after));
        }
        if !run.stderr.contains(&fault.says) {
            wrong.push(format!("`{}` is not in {}", fault.says, run.stderr));
        }
    }
    if run.took > RUN_TAKES_MAX {
        wrong.push(format!("the run took {:?}", run.took));
    }
    if place != Place::Nowhere {
        wrong.extend(seen_elsewhere(fault));
    }
    wrong
}

fn seen_elsewhere(fault: &Fault) -> Vec<String> {
    let bad = |(server, watch): &(Arc<Server>, Watch)| match watch {
        Watch::NeverReached => {
            (server.connections() > 0).then(|| format!("{} got a connection", server.origin()))
        }
        Watch::WithoutCredential => {
            let seen = server.seen();
            let told = |request: &Request| request.header("authorization").is_some();
            (seen.is_empty() || seen.iter().any(told))
                .then(|| format!("{} was asked {seen:?}", server.origin()))
        }
    };
    fault.watched.iter().filter_map(bad).collect()
}

/// What a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it panicked")
        .to_owned()
}
