//! One page's answer: sends the request, follows redirects, and tries again what may pass.
//!
//! Every try begins at the page's own URL, since the target of a redirect may be valid for moments only. Which page comes
//! next is `pages`' business; whether a request may go out, and with which credential, is the host's.

mod setback;

use url::Url;

use self::setback::Setback;
use super::address::{resolve, shown};
use super::ask::Ask;
use super::clocks::Clocks;
use super::error_check::{BodyVerdict, ErrorCheck};
use super::excerpt;
use super::export::of_export;
use super::page::{self, Opened, Place, Shape};
use super::wire::Wire;
use crate::failure::{Detail, Failure, quoted};
use crate::ports::{Answer, Clock, Http, Method, Request, SendError};
use crate::source::retry::{
    Backoff, Budget, Meanings, Pace, RETRY_AFTER_SECONDS_MAX, Rate, Retries, Verdict,
    asked_seconds, date, header, ms_until, remaining, reset_seconds, verdict,
};

/// With several requests on their way, the next one is waited for that long where SOURCE_RATE wants it: a longer wait would
/// keep answers from being read.
const PACE_WAIT_MS_MAX: u64 = 1000;
/// The largest answer of an export that is no page.
const EXPORT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Redirects from one page's URL.
const REDIRECTS_MAX: usize = 5;

/// What may help where the first page is not found.
pub const EMPTY_ADVICE: &str = "; check SOURCE_API_URL, or set SOURCE_EMPTY_ON=404 if the source answers so where there are no records";

/// A page as it came, or the answer 304 to an ask with conditions.
#[derive(Debug)]
pub struct Fetched {
    /// The URL that answered, redirects followed.
    pub url: Url,
    /// The answer.
    pub answer: Answer,
    /// Whether it means that there are no records, by its status or by what SOURCE_ERROR says, and is not to be read.
    pub is_empty: bool,
    /// Whether SOURCE_ERROR says that it is no error.
    pub is_no_error: bool,
}

impl Fetched {
    /// The answer, ready to be read as the page at `place`. `Err`: what `shape` asks of programs cannot be asked of it.
    pub fn open(&self, shape: &Shape, place: &Place) -> Result<Opened<'_>, Failure> {
        if self.is_empty {
            return Ok(Opened::nothing());
        }
        let opened = page::open(&self.answer, shape, place)?;
        Ok(opened.judged(self.is_no_error))
    }

    /// Where this is, for messages, as page number `page`.
    pub fn place(&self, page: u64) -> Place {
        Place {
            page,
            url: shown(&self.url),
            content_type: excerpt::content_type(&self.answer),
        }
    }
}

/// Fetches pages through the ports, as politely as a run has to be.
pub struct Getter<'p, H, C> {
    http: &'p mut H,
    clock: &'p mut C,
    tries_max: u32,
    backoff: Backoff,
    budget: Budget,
    pace: Pace,
    check: Option<&'p ErrorCheck>,
    meanings: Option<&'p Meanings>,
    body_bytes_max: usize,
    wire: Wire,
    /// When the limit that the last page used up is reset, in the clock's monotonic nanoseconds.
    reset_ns: Option<u64>,
    clocks: Option<Clocks>,
    /// How many requests may be on their way at the same time.
    parallel: usize,
    /// Those that are.
    begun: Vec<Request>,
    /// How many requests the source's rate limit still allows, as far as its last answer says.
    left: Option<u64>,
    /// What log lines begin with.
    label: String,
    /// The names that log lines have for settings.
    names: fn(&str) -> String,
}

enum Try {
    Page(Fetched),
    Setback(Setback),
}

impl<'p, H: Http, C: Clock> Getter<'p, H, C> {
    /// Makes at most so many `retries` for each page, and no more of them in all than the run's budget has.
    pub fn new(http: &'p mut H, clock: &'p mut C, retries: Retries) -> Self {
        let backoff = Backoff::new(clock.monotonic_ns(), retries.pause_ms);
        Self {
            http,
            clock,
            tries_max: retries.max.saturating_add(1),
            backoff,
            budget: Budget::default(),
            pace: Pace::new(None),
            check: None,
            meanings: None,
            body_bytes_max: usize::MAX,
            wire: Wire::Json,
            reset_ns: None,
            clocks: None,
            parallel: 1,
            begun: Vec::new(),
            left: None,
            label: String::new(),
            names: str::to_owned,
        }
    }

    /// The same, where requests, retries and redirects included, follow each other no faster than `rate`.
    #[must_use]
    pub fn at_rate(mut self, rate: Option<Rate>) -> Self {
        self.pace = Pace::new(rate);
        self
    }

    /// The same, where these statuses have other meanings.
    #[must_use]
    pub fn with_meanings(mut self, meanings: &'p Meanings) -> Self {
        self.meanings = Some(meanings);
        self
    }

    /// The same, where `check` may say what an answer means.
    #[must_use]
    pub fn judged_by(mut self, check: Option<&'p ErrorCheck>) -> Self {
        self.check = check;
        self
    }

    /// The same, where no body of an answer has more bytes than these.
    #[must_use]
    pub fn reading_at_most(mut self, body_bytes_max: usize) -> Self {
        self.body_bytes_max = body_bytes_max;
        self
    }

    /// The same, where bodies of good answers are of this format.
    #[must_use]
    pub fn of_format(mut self, wire: &Wire) -> Self {
        self.wire = wire.clone();
        self
    }

    /// Begins all lines of log from here on with `label`.
    pub fn label(&mut self, label: String) {
        self.label = label;
    }

    /// Has `names` put the names of settings into all lines of log from here on.
    pub fn names(&mut self, names: fn(&str) -> String) {
        self.names = names;
    }

    /// Writes a line of log.
    pub fn log(&mut self, line: &str) {
        if self.label.is_empty() {
            return self.clock.log(line);
        }
        let line = (self.names)(line);
        let levels = ["debug: ", "warn: "];
        let level = levels.into_iter().find(|level| line.starts_with(level));
        let level = level.unwrap_or_default();
        let rest = &line[level.len()..];
        self.clock.log(&format!("{level}{}{rest}", self.label));
    }

    /// The clock.
    pub fn clock(&mut self) -> &mut C {
        self.clock
    }

    /// The first `Date` that an answer carried so far, with our clock when it came.
    pub fn clocks(&self) -> Option<Clocks> {
        self.clocks
    }

    /// The same, where so many requests may be on their way at the same time.
    #[must_use]
    pub fn in_parallel(mut self, parallel: usize) -> Self {
        self.parallel = parallel;
        self
    }

    /// Puts the requests for pages that are got next on their way, in their order, as far as none has to wait: what they lead to
    /// is `get`'s business, which takes one for its first try. Those that are on their way and are not among `next` are dropped.
    pub fn begin(&mut self, next: &[Ask]) {
        let next: Vec<Request> = next.iter().map(|ask| ask.request(&ask.url)).collect();
        if self.begun.iter().any(|begun| !next.contains(begun)) {
            self.http.forget();
            self.begun.clear();
        }
        for request in next {
            if self.begun.contains(&request) {
                continue;
            }
            if self.begun.len() >= self.parallel || !self.may_begin() {
                break;
            }
            self.pace.begin(self.clock);
            self.http.begin(&request);
            self.begun.push(request);
        }
    }

    /// Whether a further request may begin, which then may have to wait for a moment where there are several.
    fn may_begin(&mut self) -> bool {
        let is_alone = self.parallel == 1;
        let wait_ms = self.pace.wait_ms(self.clock);
        let can_wait = wait_ms.is_none_or(|ms| !is_alone && ms <= PACE_WAIT_MS_MAX);
        let under_way = self.begun.len() as u64;
        let is_allowed = is_alone || self.left.is_none_or(|left| under_way < left);
        self.reset_ns.is_none() && can_wait && is_allowed
    }

    /// Gets the page that `ask` asks for. `Err`: it cannot be had, and trying again now is useless.
    pub fn get(&mut self, ask: &Ask, page: u64) -> Result<Fetched, Failure> {
        self.got(ask, page, &|_| false)
    }

    /// Gets an answer in JSON that is no page: the one of an export. What `is_answer` takes is not judged by its status.
    pub fn get_of_export(
        &mut self,
        ask: &Ask,
        is_answer: &dyn Fn(&Answer) -> bool,
    ) -> Result<Fetched, Failure> {
        let bytes_max = self.body_bytes_max;
        let wire = std::mem::take(&mut self.wire);
        let names = std::mem::replace(&mut self.names, of_export);
        let label = format!("{}export: ", self.label);
        let label = std::mem::replace(&mut self.label, label);
        self.body_bytes_max = bytes_max.min(EXPORT_BYTES_MAX);
        let fetched = self.got(ask, 0, is_answer);
        (self.body_bytes_max, self.wire) = (bytes_max, wire);
        (self.names, self.label) = (names, label);
        fetched.map_err(|failure| {
            failure.map(|detail| Detail {
                message: of_export(&detail.message),
                ..detail
            })
        })
    }

    /// How long to wait before the next request, as `answer` asks for it.
    pub fn asked_ms(&mut self, answer: &Answer) -> u64 {
        let seconds = asked_seconds(answer, self.clock.unix_seconds());
        seconds.unwrap_or_default().saturating_mul(1000)
    }

    fn got(
        &mut self,
        ask: &Ask,
        page: u64,
        is_answer: &dyn Fn(&Answer) -> bool,
    ) -> Result<Fetched, Failure> {
        self.await_reset(page);
        let mut tries = 0;
        loop {
            tries += 1;
            let setback = match self.attempt(ask, page, is_answer)? {
                Try::Page(fetched) => {
                    if tries == 1 {
                        self.budget.put_back();
                    }
                    self.note_reset(&fetched.answer);
                    return Ok(fetched);
                }
                Try::Setback(setback) => setback,
            };
            if tries >= self.tries_max || setback.asks_for_too_long() {
                return Err(setback.failure(page, tries));
            }
            if !self.budget.take(setback.reason()) {
                return Err(setback.exhausted(page, tries, self.budget.retries()));
            }
            let wait_ms = self.backoff.wait_ms(tries, setback.asked_seconds);
            let line = format!(
                "warn: {}, waiting {} s before try {} of {}",
                setback.what(page, ""),
                tenths(wait_ms),
                tries + 1,
                self.tries_max,
            );
            self.log(&line);
            self.clock.sleep_ms(wait_ms);
        }
    }

    /// Remembers that a good answer used up a limit. A reset that is too far off is not waited for: a source that means it
    /// refuses the next request.
    fn note_reset(&mut self, answer: &Answer) {
        if self.parallel > 1 {
            self.left = remaining(answer);
        }
        let seconds = reset_seconds(answer, self.clock.unix_seconds());
        self.reset_ns = seconds
            .filter(|seconds| (1..=RETRY_AFTER_SECONDS_MAX).contains(seconds))
            .map(|seconds| {
                let wait_ns = 1_000_000 * self.backoff.asked_ms(seconds);
                self.clock.monotonic_ns().saturating_add(wait_ns)
            });
    }

    fn await_reset(&mut self, page: u64) {
        let Some(reset_ns) = self.reset_ns.take() else {
            return;
        };
        let wait_ms = ms_until(reset_ns, self.clock);
        if wait_ms > 0 {
            self.log(&format!(
                "page {page}: the source's rate limit is used up, waiting {} s for its reset",
                tenths(wait_ms)
            ));
            self.clock.sleep_ms(wait_ms);
        }
    }

    /// One try: the request and the redirects it leads to.
    fn attempt(
        &mut self,
        ask: &Ask,
        page: u64,
        is_answer: &dyn Fn(&Answer) -> bool,
    ) -> Result<Try, Failure> {
        let mut url = ask.url.clone();
        let mut asked = ask.clone();
        for _ in 0..=REDIRECTS_MAX {
            let request = asked.request(&url);
            match self.begun.iter().position(|begun| *begun == request) {
                Some(at) => drop(self.begun.remove(at)),
                None => self.pace.begin(self.clock),
            }
            let answer = match self.http.send(&request, self.body_bytes_max) {
                Ok(answer) => answer,
                Err(SendError::Denied(why)) if url != ask.url => {
                    return Err(Failure::Denied(Detail::from(format!(
                        "`{}` redirects page {page} to `{}`: if the API has moved, set SOURCE_API_URL to the new URL; {why}",
                        ask.shown(),
                        shown(&url)
                    ))));
                }
                Err(error) => return Setback::unanswered(error, &url, page).map(Try::Setback),
            };
            if let (None, Some(source)) = (self.clocks, date(&answer)) {
                let ours = self.clock.unix_seconds();
                self.clocks = Some(Clocks { source, ours });
            }
            if answer.status == 304 && ask.may_be_unchanged() {
                return Ok(Try::Page(Fetched {
                    url,
                    answer,
                    is_empty: false,
                    is_no_error: false,
                }));
            }
            let mut answer = answer;
            let is_taken = is_answer(&answer);
            let by_status = if is_taken {
                Meaning::By(Verdict::Page)
            } else {
                self.meaning(&answer)
            };
            if matches!(by_status, Meaning::By(Verdict::Page)) {
                let place = Place {
                    page,
                    url: shown(&url),
                    content_type: excerpt::content_type(&answer),
                };
                self.wire.read(&mut answer, &place, self.body_bytes_max)?;
            }
            if is_taken && !matches!(answer.status, 200..=299) {
                return Ok(Try::Page(Fetched {
                    url,
                    answer,
                    is_empty: false,
                    is_no_error: true,
                }));
            }
            let Some(judged) = self.judged(&url, &answer, page, by_status)? else {
                let now = self.clock.unix_seconds();
                return Ok(Try::Setback(Setback::judged(&url, &answer, now)));
            };
            let Judged {
                meaning,
                said,
                is_no_error,
            } = judged;
            match meaning {
                Meaning::Empty | Meaning::By(Verdict::Page) => {
                    return Ok(Try::Page(Fetched {
                        url,
                        answer,
                        is_empty: matches!(meaning, Meaning::Empty),
                        is_no_error,
                    }));
                }
                Meaning::By(Verdict::Redirect) => {
                    url = redirected(&url, ask, &answer, page)?;
                    if answer.status == 303 {
                        // What is there is a result, and is not asked anything.
                        asked.body = None;
                    }
                }
                Meaning::By(Verdict::Busy) => {
                    let now = self.clock.unix_seconds();
                    let setback = Setback::busy(&url, &answer, now);
                    return Ok(Try::Setback(setback.with(&said)));
                }
                Meaning::By(other) => {
                    return Err(refusal(other, ask, &url, &answer, (page, &said)));
                }
            }
        }
        let url = shown(&url);
        Err(Failure::protocol(format!(
            "`{url}` redirects page {page} for more than {REDIRECTS_MAX} times"
        )))
    }

    /// What an answer means by its status and by SOURCE_ERROR; none where that says to try again.
    fn judged(
        &self,
        url: &Url,
        answer: &Answer,
        page: u64,
        by_status: Meaning,
    ) -> Result<Option<Judged>, Failure> {
        let is_redirect = matches!(by_status, Meaning::By(Verdict::Redirect));
        let check = self.check.filter(|_| !is_redirect);
        let is_page = matches!(by_status, Meaning::By(Verdict::Page));
        let read = check.filter(|_| !is_page).and_then(|_| {
            let body = self.wire.of_no_page(answer, self.body_bytes_max)?;
            let (status, headers) = (answer.status, answer.headers.clone());
            Some(Answer {
                status,
                headers,
                body,
            })
        });
        let asked = read.as_ref().unwrap_or(answer);
        let judged = check.map_or(BodyVerdict::Fine, |check| check.judge(asked));
        let is_no_error = judged == BodyVerdict::NoError;
        let (meaning, said) = match judged {
            BodyVerdict::Fine | BodyVerdict::NoError => (by_status, String::new()),
            BodyVerdict::Empty if never_empty(answer.status) => {
                let said = "`empty`, but such a status never means that there are no records";
                return Err(failed(url, answer, page, said));
            }
            BodyVerdict::Empty => (Meaning::Empty, String::new()),
            BodyVerdict::Retry => return Ok(None),
            BodyVerdict::Failed(said) => {
                let said = said.map_or_else(|| "that it is an error".to_owned(), |s| quoted(&s));
                let meaning = match by_status {
                    Meaning::Empty | Meaning::By(Verdict::Page | Verdict::Redirect) => {
                        return Err(failed(url, answer, page, &said));
                    }
                    other @ Meaning::By(_) => other,
                };
                (meaning, format!("; SOURCE_ERROR says {said}"))
            }
        };
        Ok(Some(Judged {
            meaning,
            said,
            is_no_error,
        }))
    }

    /// What an answer means by its status.
    fn meaning(&self, answer: &Answer) -> Meaning {
        let has = |of: fn(&Meanings) -> &Vec<u16>| {
            let statuses = self.meanings.map(of);
            statuses.is_some_and(|statuses| statuses.contains(&answer.status))
        };
        if has(|meanings| &meanings.empty) {
            Meaning::Empty
        } else if has(|meanings| &meanings.retry) {
            Meaning::By(Verdict::Busy)
        } else {
            Meaning::By(verdict(answer))
        }
    }
}

/// What an answer means, and what SOURCE_ERROR says of it.
struct Judged {
    meaning: Meaning,
    /// For messages; empty where it says nothing.
    said: String,
    /// Whether SOURCE_ERROR says that it is no error.
    is_no_error: bool,
}

/// What an answer means.
enum Meaning {
    /// That there are no records.
    Empty,
    /// This.
    By(Verdict),
}

/// Whether a status says something of the source's health, a credential or a limit, and so nothing of records.
fn never_empty(status: u16) -> bool {
    matches!(status, 300..=399 | 401 | 407 | 408 | 425 | 429 | 500..)
}

/// The failure of a good answer that SOURCE_ERROR takes for an error. It has no status: whatever pages came before, it is no
/// end.
fn failed(url: &Url, answer: &Answer, page: u64, said: &str) -> Failure {
    let (url, status, says) = (shown(url), answer.status, excerpt::says(answer));
    Failure::Protocol(Detail {
        message: format!(
            "`{url}` answered {status} on page {page} and SOURCE_ERROR says {said}{says}"
        ),
        status: None,
        retry_after_seconds: None,
    })
}

fn redirected(url: &Url, ask: &Ask, answer: &Answer, page: u64) -> Result<Url, Failure> {
    let wrong = |why: String| {
        let (url, status) = (shown(url), answer.status);
        Failure::protocol(format!(
            "`{url}` answered {status} on page {page} and redirects to {why}"
        ))
    };
    let location = header(answer, "location")
        .next()
        .ok_or_else(|| wrong("nowhere".to_owned()))?;
    let location = std::str::from_utf8(location).map_err(|_| wrong("no URL".to_owned()))?;
    let target = resolve(url, location).map_err(wrong)?;
    // A client turns a POST into a GET there, and a GET without the body asks for something else. A GET stays what it is.
    if ask.method == Method::Post && matches!(answer.status, 301..=303) {
        return Err(wrong(format!(
            "`{}`, where a POST would {}: give that URL as SOURCE_API_URL if it accepts the POST",
            shown(&target),
            match ask.body {
                Some(_) => "lose its SOURCE_BODY",
                None => "become a GET",
            }
        )));
    }
    Ok(target)
}

fn refusal(
    verdict: Verdict,
    ask: &Ask,
    url: &Url,
    answer: &Answer,
    (page, said): (u64, &str),
) -> Failure {
    let (status, says) = (answer.status, excerpt::says(answer));
    let limited = if matches!(status, 400 | 403) && excerpt::tells_of_a_limit(answer) {
        format!("; if it is a rate limit, set SOURCE_RETRY_ON={status}")
    } else {
        String::new()
    };
    // Whatever pages came before it, it says too much to be an end.
    let is_no_end = page > 1 && !(said.is_empty() && limited.is_empty());
    let detail = |what: &str| Detail {
        message: format!(
            "`{}` answered {status} on page {page}{says}{said}{what}",
            shown(url)
        ),
        status: Some(status).filter(|status| !is_no_end || matches!(status, 401 | 403)),
        retry_after_seconds: None,
    };
    let advice = match (status, ask.method, &ask.body) {
        (405, Method::Post, Some(_)) => {
            "; SOURCE_BODY makes the request a POST: leave it out if the API takes a GET, or set SOURCE_METHOD=GET"
        }
        (405, Method::Post, None) => "; the request was a POST (SOURCE_METHOD)",
        (400 | 403 | 405 | 411, Method::Get, Some(_)) if limited.is_empty() => {
            "; the request was a GET with a body (SOURCE_METHOD)"
        }
        (405, Method::Get, _) => {
            "; the request was a GET: give a SOURCE_BODY if the API takes a POST, or set SOURCE_METHOD=POST"
        }
        (404, ..) if page == 1 => EMPTY_ADVICE,
        _ if page == 1 && limited.is_empty() => "; check SOURCE_API_URL",
        _ => &limited,
    };
    match verdict {
        // Which credential was sent, if any, is known to whoever sent it.
        Verdict::Denied => Failure::Denied(detail(&limited)),
        Verdict::Refused => Failure::Refused(detail(advice)),
        Verdict::OutOfOrder => Failure::Unavailable(detail("")),
        Verdict::Page | Verdict::Redirect | Verdict::Busy | Verdict::Unexpected => {
            let empty = match status {
                204 => "; if it means that there are no records, set SOURCE_EMPTY_ON=204",
                _ => "",
            };
            let message = format!(
                "`{}` answered {status} on page {page}, where a page was expected{says}{said}{empty}",
                shown(url)
            );
            Failure::Protocol(Detail {
                message,
                ..detail("")
            })
        }
    }
}

/// Seconds with one decimal, for messages.
fn tenths(ms: u64) -> String {
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests;
