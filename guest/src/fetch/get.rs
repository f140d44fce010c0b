//! One page's answer: sends the request, follows redirects, and tries again what may pass.
//!
//! Every try begins at the page's own URL, since the target of a redirect may be valid for moments only. Which page comes
//! next is `fetch`'s business; whether a request may go out, and with which credential, is the host's.

use url::Url;

use super::address::{resolve, shown};
use super::ask::Ask;
use crate::failure::{Detail, Failure};
use crate::page::{PAGE_BYTES_MAX, Place};
use crate::ports::{Answer, Clock, Http, SendError};
use crate::retry::{
    Backoff, RETRY_AFTER_SECONDS_MAX, Verdict, date, header, retry_after_seconds, verdict,
};

/// Redirects from one page's URL.
const REDIRECTS_MAX: usize = 5;

/// A page as it came, or the answer 304 to an ask with conditions.
#[derive(Debug)]
pub struct Fetched {
    /// The URL that answered, redirects followed.
    pub url: Url,
    /// The answer.
    pub answer: Answer,
}

impl Fetched {
    /// Where this is, for messages, as page number `page`.
    pub fn place(&self, page: u64) -> Place {
        Place {
            page,
            url: shown(&self.url),
        }
    }
}

/// Fetches pages through the ports.
pub struct Getter<'p, H, C> {
    http: &'p mut H,
    clock: &'p mut C,
    tries_max: u32,
    backoff: Backoff,
    date: Option<i64>,
}

/// Why one try gave no page, though the next one may.
struct Setback {
    /// What the failure will say, but for the number of tries.
    url: String,
    cause: Cause,
    retry_after_seconds: Option<u64>,
}

enum Cause {
    Status(u16),
    Unreachable(String),
    CutOff(String),
}

enum Try {
    Page(Fetched),
    Setback(Setback),
}

impl<'p, H: Http, C: Clock> Getter<'p, H, C> {
    /// Makes at most `1 + retries_max` tries for each page.
    pub fn new(http: &'p mut H, clock: &'p mut C, retries_max: u32) -> Self {
        let backoff = Backoff::new(clock.monotonic_ns());
        Self {
            http,
            clock,
            tries_max: retries_max.saturating_add(1),
            backoff,
            date: None,
        }
    }

    /// The clock, for the log.
    pub fn clock(&mut self) -> &mut C {
        self.clock
    }

    /// The first `Date` that an answer carried so far, in seconds since 1970.
    pub fn date(&self) -> Option<i64> {
        self.date
    }

    /// Gets the page that `ask` asks for. `Err`: it cannot be had, and trying again now is useless.
    pub fn get(&mut self, ask: &Ask, page: u64) -> Result<Fetched, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let setback = match self.attempt(ask, page)? {
                Try::Page(fetched) => return Ok(fetched),
                Try::Setback(setback) => setback,
            };
            let asked = setback.retry_after_seconds;
            if tries >= self.tries_max
                || asked.is_some_and(|seconds| seconds > RETRY_AFTER_SECONDS_MAX)
            {
                return Err(setback.failure(page, tries));
            }
            let wait_ms = self.backoff.wait_ms(tries, asked);
            self.clock.log(&format!(
                "warn: {}, waiting {}.{} s before try {} of {}",
                setback.what(page, ""),
                wait_ms / 1000,
                wait_ms % 1000 / 100,
                tries + 1,
                self.tries_max,
            ));
            self.clock.sleep_ms(wait_ms);
        }
    }

    /// One try: the request and the redirects it leads to.
    fn attempt(&mut self, ask: &Ask, page: u64) -> Result<Try, Failure> {
        let mut url = ask.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let answer = match self.http.send(&ask.request(&url), PAGE_BYTES_MAX) {
                Ok(answer) => answer,
                Err(error) => return unanswered(error, &url, page).map(Try::Setback),
            };
            self.date = self.date.or_else(|| date(&answer));
            if answer.status == 304 && !ask.conditions.is_empty() {
                return Ok(Try::Page(Fetched { url, answer }));
            }
            match verdict(&answer) {
                Verdict::Page => return Ok(Try::Page(Fetched { url, answer })),
                Verdict::Redirect => url = redirected(&url, ask, &answer, page)?,
                Verdict::Busy => {
                    return Ok(Try::Setback(Setback {
                        url: shown(&url),
                        cause: Cause::Status(answer.status),
                        retry_after_seconds: retry_after_seconds(
                            &answer,
                            self.clock.unix_seconds(),
                        ),
                    }));
                }
                other => return Err(refusal(other, &url, answer.status, page)),
            }
        }
        let url = shown(&url);
        Err(Failure::protocol(format!(
            "`{url}` redirects page {page} for more than {REDIRECTS_MAX} times"
        )))
    }
}

fn unanswered(error: SendError, url: &Url, page: u64) -> Result<Setback, Failure> {
    let url = shown(url);
    let cause = match error {
        SendError::Unreachable(text) => Cause::Unreachable(text),
        SendError::CutOff(text) => Cause::CutOff(text),
        SendError::Denied(text) => {
            return Err(Failure::Denied(Detail::from(format!(
                "get page {page} of `{url}`: {text}"
            ))));
        }
        SendError::Broken(text) => {
            return Err(Failure::protocol(format!(
                "get page {page} of `{url}`: {text}"
            )));
        }
    };
    Ok(Setback {
        url,
        cause,
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
    // A client turns a POST into a GET there, and a GET without the body asks for something else.
    if ask.body.is_some() && matches!(answer.status, 301..=303) {
        return Err(wrong(format!(
            "`{}`, where a POST would lose its SOURCE_BODY: give that URL as SOURCE_API_URL if it takes the POST",
            shown(&target)
        )));
    }
    Ok(target)
}

fn refusal(verdict: Verdict, url: &Url, status: u16, page: u64) -> Failure {
    let detail = |what: &str| Detail {
        message: format!("`{}` answered {status} on page {page}{what}", shown(url)),
        status: Some(status),
        retry_after_seconds: None,
    };
    match verdict {
        Verdict::Denied => Failure::Denied(detail(
            ": the source refused the credential; look at SOURCE_API_KEY and SOURCE_AUTH",
        )),
        Verdict::Refused if page == 1 => Failure::Refused(detail("; look at SOURCE_API_URL")),
        Verdict::Refused => Failure::Refused(detail("")),
        Verdict::OutOfOrder => Failure::Unavailable(detail("")),
        Verdict::Page | Verdict::Redirect | Verdict::Busy | Verdict::Unexpected => {
            Failure::Protocol(detail(", where a page was expected"))
        }
    }
}

impl Setback {
    /// What happened on `page`; `extent` says how often, or nothing.
    fn what(&self, page: u64, extent: &str) -> String {
        let url = &self.url;
        match &self.cause {
            Cause::Status(status) => format!("`{url}` answered {status} on page {page}{extent}"),
            Cause::Unreachable(text) => format!("reach `{url}` for page {page}{extent}: {text}"),
            Cause::CutOff(text) => format!("read page {page} of `{url}`{extent}: {text}"),
        }
    }

    fn failure(self, page: u64, tries: u32) -> Failure {
        let extent = match self.retry_after_seconds {
            Some(seconds) if seconds > RETRY_AFTER_SECONDS_MAX => {
                format!(
                    " and asks to wait {seconds} s, longer than the {RETRY_AFTER_SECONDS_MAX} s that a run waits"
                )
            }
            _ => times(tries),
        };
        let detail = Detail {
            message: self.what(page, &extent),
            status: match self.cause {
                Cause::Status(status) => Some(status),
                Cause::Unreachable(_) | Cause::CutOff(_) => None,
            },
            retry_after_seconds: self.retry_after_seconds,
        };
        match self.cause {
            Cause::Status(_) | Cause::Unreachable(_) => Failure::Unavailable(detail),
            Cause::CutOff(_) => Failure::Protocol(detail),
        }
    }
}

/// `, four times`; nothing after a single try.
fn times(tries: u32) -> String {
    let word = match tries {
        0 | 1 => return String::new(),
        2 => "twice",
        3 => "three times",
        4 => "four times",
        5 => "five times",
        6 => "six times",
        more => return format!(", {more} times"),
    };
    format!(", {word}")
}

#[cfg(test)]
mod tests;
