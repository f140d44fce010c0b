//! What goes wrong at the source: tried again, told apart, and never taken for data.

use std::time::Duration;

use super::{Bench, Check, Needs, Proof, Wrong, failed};
use crate::commands::test::api::{Api, Ending, Fault, Script, Wait};
use crate::commands::test::rows::{self, PAGE_ROWS, ROWS};
use crate::commands::test::trial::{Ran, With};
use crate::settings::catalogue::{MAX_RESPONSE_BYTES, MAX_RETRIES, RUN_DEADLINE};

pub const CHECKS: &[Check] = &[
    check("500 twice", twice_500),
    check("429 with Retry-After", busy_429),
    check("429 until a date", busy_until),
    check("503 for ever", always_503),
    check("401", unauthorized_401),
    check("404", missing_404),
    check("body cut off", cut_off),
    check("JSON cut short", cut_short),
    check("endless body", endless),
    check("not JSON", not_json),
    check("another shape", another_shape),
    check("page loop", page_loop),
    check("redirect, same origin", moved),
    check("redirect, other origin", moved_away),
    check("redirect loop", moved_for_ever),
];

const fn check(name: &'static str, prove: fn(&Bench<'_>) -> Proof) -> Check {
    Check {
        name,
        needs: Needs::FirstRun,
        prove,
    }
}

/// Requests for one page that are still few.
const FEW: usize = 10;
/// Requests around a loop of pages that are still soon.
const ROUNDS: usize = 100;
/// Requests around a loop of redirects.
const REDIRECTS: usize = 30;
/// The wait that the source asks for.
const WAIT_SECONDS: u64 = 1;
/// A component may count in milliseconds.
const WAIT: Duration = Duration::from_millis(WAIT_SECONDS * 1_000 - 50);
/// Between two places at which a body is cut.
const CUT_BYTES: usize = 10;

impl Bench<'_> {
    /// A first run while this is wrong.
    fn under(&self, name: &str, fault: Fault, set: &[(&str, &str)]) -> Result<Ran, Wrong> {
        let with = With {
            set,
            ..With::default()
        };
        Ok(self.trial(name, fault)?.run(&with)?)
    }

    /// The page that is wrong: of what comes on one page, that one.
    fn faulty(&self) -> Result<usize, Wrong> {
        let is_paged = self.first()?.asked_for(2) > 0;
        Ok(if is_paged { 2 } else { 1 })
    }
}

const fn status(status: u16) -> Fault {
    Fault::Status {
        status,
        times: None,
        retry_after: None,
    }
}

fn twice_500(bench: &Bench<'_>) -> Proof {
    let fault = Fault::Status {
        status: 500,
        times: Some(2),
        retry_after: None,
    };
    let ran = bench.under("500", fault, &[])?;
    let tried = ran.asked_for(bench.faulty()?);
    if ran.exit != 0 {
        return Err(ran.wrong(format!(
            "exit {} at try {tried}; retry a 5xx, up to MAX_RETRIES",
            ran.exit
        )));
    }
    ran.has_exactly(&rows::rows(ROWS), "stage a page once")?;
    Ok("tried again, and every row is published once".to_owned())
}

fn busy_429(bench: &Bench<'_>) -> Proof {
    let waited = waits(bench, "429", Wait::Seconds(WAIT_SECONDS))?;
    if waited < WAIT {
        return Err(failed(format!(
            "it waited {} ms; Retry-After asks for {WAIT_SECONDS} s",
            waited.as_millis()
        )));
    }
    Ok(format!(
        "waited {} ms of {WAIT_SECONDS} s, and tried again",
        waited.as_millis()
    ))
}

/// By the `Date` of the answer or by its own clock, which is a part of a second further: both are right.
fn busy_until(bench: &Bench<'_>) -> Proof {
    let waited = waits(bench, "429-date", Wait::Until(2))?;
    if waited < WAIT {
        return Err(failed(format!(
            "it waited {} ms; Retry-After is 2 s after Date",
            waited.as_millis()
        )));
    }
    Ok(format!(
        "waited {} ms, until 2 s after its Date",
        waited.as_millis()
    ))
}

/// How long the component waits where a page is answered by 429 once, and then as it should be.
fn waits(bench: &Bench<'_>, name: &str, wait: Wait) -> Result<Duration, Wrong> {
    let fault = Fault::Status {
        status: 429,
        times: Some(1),
        retry_after: Some(wait),
    };
    let ran = bench.under(name, fault, &[])?;
    let faulty = bench.faulty()?;
    if ran.exit != 0 {
        return Err(ran.wrong(format!(
            "exit {} at once; wait for Retry-After, then retry",
            ran.exit
        )));
    }
    ran.has_exactly(&rows::rows(ROWS), "stage a page once")?;
    let mut tries = ran.asked.iter().filter(|asked| asked.page == faulty);
    let waited = tries
        .next()
        .zip(tries.next())
        .map(|(one, two)| two.at - one.at);
    Ok(waited.unwrap_or_default())
}

fn always_503(bench: &Bench<'_>) -> Proof {
    let ran = bench.under("503", status(503), &[])?;
    let tried = ran.asked_for(bench.faulty()?);
    ends_with(&ran, 75, "`unavailable`")?;
    if tried > FEW {
        return Err(failed(format!(
            "asked {tried} times; give up after MAX_RETRIES"
        )));
    }
    Ok(format!("exit 75 after {tried} requests"))
}

fn unauthorized_401(bench: &Bench<'_>) -> Proof {
    refused_at_once(bench, 401, 77, "`denied`")
}

fn missing_404(bench: &Bench<'_>) -> Proof {
    refused_at_once(bench, 404, 69, "`refused`")
}

fn refused_at_once(bench: &Bench<'_>, code: u16, exit: u8, failure: &str) -> Proof {
    let ran = bench.under(&code.to_string(), status(code), &[])?;
    ends_with(&ran, exit, failure)?;
    let tried = ran.asked_for(bench.faulty()?);
    // The host tries once more with a credential that it read anew.
    if tried > 2 {
        return Err(failed(format!("asked {tried} times; a {code} is final")));
    }
    Ok(format!("exit {exit}, not tried again"))
}

/// The run ended with this code, which this failure of the component is.
fn ends_with(ran: &Ran, exit: u8, failure: &str) -> Result<(), Wrong> {
    if ran.exit == exit {
        return Ok(());
    }
    Err(ran.wrong(format!("{}, not {exit}; return {failure}", ran.ending())))
}

fn cut_off(bench: &Bench<'_>) -> Proof {
    let places = cut(bench, "cut", |place| {
        if place % 3 == 2 {
            Ending::WithoutLastChunk
        } else {
            Ending::ShortOfLength
        }
    })?;
    Ok(format!("at every tenth byte ({places}), never a report"))
}

fn cut_short(bench: &Bench<'_>) -> Proof {
    let places = cut(bench, "short", |_| Ending::Complete)?;
    Ok(format!("at every tenth byte ({places}), never a report"))
}

/// Cuts the body of a page at every tenth byte, and then one byte before its end.
fn cut(bench: &Bench<'_>, name: &str, ending: fn(usize) -> Ending) -> Result<usize, Wrong> {
    let trial = bench.trial(name, Fault::None)?;
    trial.api.change(|script| {
        script.rows.truncate(3);
        script.page_rows = 1;
    });
    let length = trial.api.page_bytes();
    let places = (0..length).step_by(CUT_BYTES).chain([usize::MAX]);
    let mut count = 0;
    for (place, bytes) in places.enumerate() {
        let ending = ending(place);
        let fault = Fault::Cut { bytes, ending };
        trial.api.change(|script| script.fault = fault);
        let ran = trial.run(&With {
            set: &[(MAX_RETRIES.row.name, "0")],
            ..With::default()
        })?;
        let at = match bytes {
            usize::MAX => "its last byte".to_owned(),
            bytes => format!("byte {bytes}"),
        };
        ran.refuses(
            &format!("published a page cut at {at}"),
            "return `protocol`",
        )?;
        count = place + 1;
    }
    Ok(count)
}

fn endless(bench: &Bench<'_>) -> Proof {
    let most = [(MAX_RESPONSE_BYTES.row.name, "1MiB")];
    let ran = bench.under("endless", Fault::Endless, &most)?;
    ran.refuses("published an endless page", "a failed read is no end")?;
    Ok(format!("exit {} at MAX_RESPONSE_BYTES", ran.exit))
}

fn not_json(bench: &Bench<'_>) -> Proof {
    let ran = bench.under("html", Fault::Html, &[])?;
    ran.refuses("published although a page is HTML", "return `protocol`")?;
    Ok(format!("a page of HTML with status 200: exit {}", ran.exit))
}

fn another_shape(bench: &Bench<'_>) -> Proof {
    let ran = bench.under("shape", Fault::Shape, &[])?;
    ran.refuses("published although a page has no rows", "return `protocol`")?;
    Ok(format!(
        "{{\"error\":…}} with status 200: exit {}",
        ran.exit
    ))
}

fn page_loop(bench: &Bench<'_>) -> Proof {
    if bench.faulty()? == 1 {
        return Err(Wrong::Skipped("it asks for one page".to_owned()));
    }
    let soon = [(RUN_DEADLINE.row.name, "5s")];
    let ran = bench.under("loop", Fault::Loop, &soon)?;
    let instead = "remember the pages asked for";
    ran.refuses("published pages in a circle", instead)?;
    if ran.asked.len() > ROUNDS {
        return Err(ran.wrong(format!("asked {} times; {instead}", ran.asked.len())));
    }
    Ok(format!(
        "exit {} after {} requests",
        ran.exit,
        ran.asked.len()
    ))
}

fn moved(bench: &Bench<'_>) -> Proof {
    let ran = bench.under("moved", Fault::Moved, &[])?;
    let instead = "follow redirects";
    ran.has_exactly(&rows::rows(ROWS), instead)?;
    Ok("302 and 308, absolute and relative, are followed".to_owned())
}

fn moved_away(bench: &Bench<'_>) -> Proof {
    let script = Script {
        rows: rows::rows(ROWS),
        page_rows: PAGE_ROWS,
        fault: Fault::None,
        clock: None,
    };
    let other = Api::start(&bench.subject.runtime, script)?;
    let ran = bench.under("away", Fault::MovedTo(other.address), &[])?;
    ran.refuses("published what is elsewhere", "return `denied`")?;
    let asked = other.take_asked().len();
    if asked > 0 {
        return Err(ran.wrong(format!("the other origin was asked {asked} times")));
    }
    Ok(format!(
        "exit {}, and the other origin was not asked",
        ran.exit
    ))
}

fn moved_for_ever(bench: &Bench<'_>) -> Proof {
    let soon = [(RUN_DEADLINE.row.name, "5s")];
    let ran = bench.under("round", Fault::MovedRound, &soon)?;
    ran.refuses("published a page that is nowhere", "follow 5 at most")?;
    if ran.asked.len() > REDIRECTS {
        return Err(ran.wrong(format!(
            "asked {} times; follow 5 redirects at most",
            ran.asked.len()
        )));
    }
    Ok(format!(
        "exit {} after {} requests",
        ran.exit,
        ran.asked.len()
    ))
}
