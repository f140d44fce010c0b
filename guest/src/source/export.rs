//! Exports: one request starts a job, another is repeated until the job is ready, and its last answer says where the results
//! are.
//!
//! What the results have is read as any page is; where they may be fetched from is the host's decision.

use serde_json::value::RawValue;
use url::Url;

use super::address::{resolve_next, shown};
use super::ask::{Ask, BodyFormat};
use super::each::{Each, put_into};
use super::excerpt;
use super::get::{Fetched, Getter};
use super::named::token;
use super::outline::elements;
use super::program::{Facts, Program};
use crate::failure::{Detail, Failure, counted, quoted, said};
use crate::ports::{Answer, Clock, Http, Method};

/// What stands for the name of the job: in the path or the query of a URL, or in a string of a body.
pub const EXPORT: &str = "{export}";
/// The first pause; each one after it is twice as long, up to `SOURCE_EXPORT_EVERY`.
const PAUSE_MS: u64 = 1000;

/// How records are exported.
#[derive(Debug, Clone)]
pub struct Export {
    /// `SOURCE_EXPORT_ID`: what the first answer calls the job.
    pub id: Program,
    /// `SOURCE_EXPORT_POLL`, with `{export}` in it; `None`: the id is the URL.
    pub poll: Option<Url>,
    /// `SOURCE_EXPORT_POLL_BODY`.
    pub poll_body: Option<String>,
    /// `SOURCE_BODY_FORMAT`.
    pub format: BodyFormat,
    /// `SOURCE_EXPORT_STATUS`: how far the job is.
    pub status: Program,
    /// `SOURCE_EXPORT_RESULT`: where the results are; `None`: where `result` says.
    pub results: Option<Program>,
    /// `SOURCE_API_URL`: the URL of the result, with `{export}` in it if `results` is none.
    pub result: Url,
    /// `SOURCE_HEADERS`.
    pub headers: Vec<(String, String)>,
    /// `SOURCE_EXPORT_EVERY`.
    pub every_ms: u64,
    /// `SOURCE_EXPORT_WAIT`.
    pub wait_ms: u64,
}

/// What an export made.
#[derive(Debug)]
pub struct Exported {
    /// The requests for its results, the last one first.
    pub results: Vec<Ask>,
    /// The answer that says that there are no records: then it takes the place of the one to the first of these.
    pub nothing: Option<Fetched>,
}

/// A text about a request that is for no page, with the names that its settings have.
pub fn of_export(text: &str) -> String {
    let names = [
        ("SOURCE_API_URL", "SOURCE_EXPORT_URL"),
        ("SOURCE_BODY", "SOURCE_EXPORT_BODY"),
        ("SOURCE_EXPORT_BODY_FORMAT", "SOURCE_BODY_FORMAT"),
        (" for page 0", ""),
        (" on page 0", ""),
        ("page 0 of ", ""),
        ("page 0: ", ""),
        (" page 0", ""),
    ];
    let names = names.into_iter();
    names.fold(text.to_owned(), |text, (name, own)| text.replace(name, own))
}

impl Export {
    /// Starts the job by `start` and waits until it is ready. `Err`: it failed, or is not ready in time.
    pub fn run<H: Http, C: Clock>(
        &self,
        start: &Ask,
        each: Option<&Each>,
        getter: &mut Getter<'_, H, C>,
    ) -> Result<Exported, Failure> {
        let began_ns = getter.clock().monotonic_ns();
        let mut fetched = getter.get_of_export(start, &|answer| self.may_name(answer))?;
        let id = self.named(&fetched)?;
        let poll = self.poll(&fetched, &id, each)?;
        let what = match self.poll {
            Some(_) => format!("the export {}", quoted(&id)),
            None => format!("the export at `{}`", poll.shown()),
        };
        let (status, url) = (fetched.answer.status, shown(&fetched.url));
        getter.log(&format!(
            "`{url}` answered {status} and names {what}: waiting for it"
        ));
        let mut pause_ms = PAUSE_MS;
        loop {
            let asked_ms = getter.asked_ms(&fetched.answer);
            let wait_ms = pause_ms.min(self.every_ms).max(asked_ms);
            let now_ns = getter.clock().monotonic_ns();
            let waited_ms = now_ns.saturating_sub(began_ns) / 1_000_000;
            if waited_ms.saturating_add(wait_ms) > self.wait_ms {
                return Err(self.not_ready(&what, waited_ms, asked_ms));
            }
            getter.clock().sleep_ms(wait_ms);
            pause_ms = pause_ms.saturating_mul(2);
            fetched = getter.get_of_export(&poll, &|answer| self.is_status(answer))?;
            let results = match &*self.state(&fetched)? {
                "wait" => continue,
                "ready" => self.results(&fetched, &id, each)?,
                "empty" => Vec::new(),
                failed => {
                    let says = excerpt::says(&fetched.answer);
                    return Err(Failure::protocol(format!(
                        "{what} failed: SOURCE_EXPORT_STATUS gives {}{says}",
                        quoted(failed)
                    )));
                }
            };
            let seconds = (waited_ms + wait_ms) / 1000;
            let number = counted(results.len() as u64, "result");
            getter.log(&format!("{what} is ready after {seconds} s: {number}"));
            if !results.is_empty() {
                let nothing = None;
                return Ok(Exported { results, nothing });
            }
            fetched.is_empty = true;
            return Ok(Exported {
                results: vec![poll],
                nothing: Some(fetched),
            });
        }
    }

    fn not_ready(&self, what: &str, waited_ms: u64, asked_ms: u64) -> Failure {
        let (waited, most) = (waited_ms / 1000, self.wait_ms / 1000);
        let asked = asked_ms / 1000;
        Failure::Unavailable(Detail {
            message: format!(
                "{what} is not ready after {waited} s, and SOURCE_EXPORT_WAIT is {most} s: the next run starts the export again"
            ),
            status: None,
            retry_after_seconds: (asked > 0).then_some(asked),
        })
    }

    /// Whether this answer to the first request can name a job. One that is there already may be another's: only a program that
    /// asks for the status says that it is the same.
    fn may_name(&self, answer: &Answer) -> bool {
        match answer.status {
            200..=299 | 303 => true,
            status => may_see(&self.id, status) && matches!(value(&self.id, answer), Ok(Some(_))),
        }
    }

    /// Whether the program is asked of an answer to the other request.
    fn is_status(&self, answer: &Answer) -> bool {
        matches!(answer.status, 200..=299) || may_see(&self.status, answer.status)
    }

    /// What the first answer calls the job.
    fn named(&self, fetched: &Fetched) -> Result<String, Failure> {
        let json = read(&self.id, "SOURCE_EXPORT_ID", fetched)?;
        match token(json.as_deref()) {
            Ok(Some(id)) => Ok(id.text),
            Ok(None) => {
                let says = excerpt::says(&fetched.answer);
                Err(wrong(fetched, &["names no job (SOURCE_EXPORT_ID)", &says]))
            }
            Err(what) => Err(wrong(
                fetched,
                &["names ", what, " as the job (SOURCE_EXPORT_ID)"],
            )),
        }
    }

    /// A request that has no cursor: to `url`, which has the value and the id in it where it says.
    fn ask(
        &self,
        url: &Url,
        id: &str,
        each: Option<&Each>,
        body: Option<&String>,
    ) -> Result<Ask, String> {
        let mut ask = Ask {
            body: body.cloned(),
            body_format: self.format,
            headers: self.headers.clone(),
            ..Ask::get(url.clone())
        };
        if body.is_some() {
            ask.method = Method::Post;
        }
        if let Some(each) = each {
            ask = each.put_into(&ask)?;
        }
        if id.is_empty() {
            return Ok(ask);
        }
        put_into(&ask, EXPORT, id)
    }

    /// The request that is repeated until the job is ready.
    fn poll(&self, fetched: &Fetched, id: &str, each: Option<&Each>) -> Result<Ask, Failure> {
        let unfit = |why: &str| wrong(fetched, &["names the job ", &quoted(id), ", which ", why]);
        if let Some(poll) = &self.poll {
            let ask = self.ask(poll, id, each, self.poll_body.as_ref());
            return ask.map_err(|why| unfit(&why));
        }
        let is_url = |start: &&str| id.starts_with(start);
        if !["/", "http://", "https://"].iter().any(is_url) {
            return Err(unfit(
                "is no URL: set SOURCE_EXPORT_POLL to the URL that is asked for its status, with `{export}` in it",
            ));
        }
        self.named_url(fetched, id, "SOURCE_EXPORT_ID", each)
    }

    /// The request to a URL that the answer names, as `setting` says.
    fn named_url(
        &self,
        fetched: &Fetched,
        url: &str,
        setting: &str,
        each: Option<&Each>,
    ) -> Result<Ask, Failure> {
        let url = resolve_next(&fetched.url, url);
        let ask = url.and_then(|url| self.ask(&url, "", each, None));
        ask.map_err(|why| wrong(fetched, &["has ", &why, " as ", setting]))
    }

    /// How far the job is: a word, or text that begins with `failed`.
    fn state(&self, fetched: &Fetched) -> Result<String, Failure> {
        if fetched.is_empty {
            return Ok("empty".to_owned());
        }
        let json = read(&self.status, "SOURCE_EXPORT_STATUS", fetched)?;
        let json = json.as_deref().unwrap_or("null");
        let word = text(json);
        if matches!(&*word, "wait" | "ready" | "empty") || word.starts_with("failed") {
            return Ok(word);
        }
        let (json, says) = (quoted(json), excerpt::says(&fetched.answer));
        let not = ", not `wait`, `ready`, `empty` or `failed`";
        Err(wrong(
            fetched,
            &["SOURCE_EXPORT_STATUS gives ", &json, not, &says],
        ))
    }

    /// The requests for the results.
    fn results(
        &self,
        fetched: &Fetched,
        id: &str,
        each: Option<&Each>,
    ) -> Result<Vec<Ask>, Failure> {
        const NAME: &str = "SOURCE_EXPORT_RESULT";
        let mut asks = Vec::new();
        let Some(program) = &self.results else {
            let ask = self.ask(&self.result, id, each, None);
            asks.push(ask.map_err(|why| wrong(fetched, &["the id of the job ", &why]))?);
            return Ok(asks);
        };
        let json = read(program, NAME, fetched)?.unwrap_or_default();
        let urls = elements(&json).unwrap_or_else(|| vec![&json]);
        for url in urls.iter().rev() {
            let url = text(url);
            if !url.is_empty() {
                asks.push(self.named_url(fetched, &url, NAME, each)?);
            }
        }
        if asks.is_empty() || asks.len() < urls.len() {
            let says = excerpt::says(&fetched.answer);
            let why = "has no URL of a result (SOURCE_EXPORT_RESULT); if that means no records, let SOURCE_EXPORT_STATUS give `empty`";
            return Err(wrong(fetched, &[why, &says]));
        }
        Ok(asks)
    }
}

/// The text in a JSON string; empty: it is none.
fn text(json: &str) -> String {
    serde_json::from_str(json).unwrap_or_default()
}

/// Whether a program that asks for the status is asked of an answer with this one, which says nothing of a credential or a
/// limit.
fn may_see(program: &Program, status: u16) -> bool {
    let is_of_the_job = match status {
        401 | 403 | 407 | 408 | 429 => false,
        status => (300..500).contains(&status),
    };
    is_of_the_job && program.text().contains("$status")
}

fn wrong(fetched: &Fetched, what: &[&str]) -> Failure {
    let (url, status) = (shown(&fetched.url), fetched.answer.status);
    let what = what.concat();
    Failure::protocol(format!("`{url}` answered {status} and {what}"))
}

fn read(program: &Program, setting: &str, fetched: &Fetched) -> Result<Option<String>, Failure> {
    value(program, &fetched.answer).map_err(|why| {
        let instead = excerpt::instead(&fetched.answer.body, None);
        wrong(fetched, &[setting, " ", &said(&why), &instead])
    })
}

/// What the program makes of an answer. One without a body has null, and so has a refusal that is not JSON.
fn value(program: &Program, answer: &Answer) -> Result<Option<String>, String> {
    let text = std::str::from_utf8(&answer.body)
        .unwrap_or("?")
        .trim_ascii();
    let json: Result<&RawValue, _> = serde_json::from_str(text);
    let is_nothing = text.is_empty() || !matches!(answer.status, 200..=299);
    let text = match json {
        Ok(json) => json.get(),
        Err(_) if is_nothing => "null",
        Err(error) => return Err(format!("cannot be asked of what is not JSON: {error}")),
    };
    let body = Program::read(&[program], text)?;
    program.json(&body, &Facts::of(answer))
}
