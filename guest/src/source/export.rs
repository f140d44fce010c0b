//! Exports: one request starts a job, another is repeated until the job is ready, and its last answer says where the results
//! are.
//!
//! What the results have is read as any page is; where they may be fetched from is the host's decision.

use std::collections::VecDeque;

use serde_json::value::RawValue;

use super::address::{resolve_next, shown};
use super::ask::Ask;
use super::each::{Each, put_into};
use super::excerpt;
use super::get::{Fetched, Getter};
use super::named::token;
use super::program::{Facts, Program};
use crate::failure::{Detail, Failure, counted, quoted, said};
use crate::ports::{Answer, Clock, Http};

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
    pub poll: Option<Ask>,
    /// `SOURCE_EXPORT_STATUS`: how far the job is.
    pub status: Program,
    /// `SOURCE_EXPORT_RESULT`: where the results are; `None`: where `result` says.
    pub results: Option<Program>,
    /// The request for a result, with `{export}` in it if `results` is none.
    pub result: Ask,
    /// `SOURCE_EXPORT_EVERY`.
    pub every_ms: u64,
    /// `SOURCE_EXPORT_WAIT`.
    pub wait_ms: u64,
}

/// What an export made.
#[derive(Debug)]
pub struct Exported {
    /// The request for its first result.
    pub first: Ask,
    /// Those for the others.
    pub others: VecDeque<Ask>,
    /// The answer that says that there are no records: then nothing is to be requested.
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
        let Some(each) = each else {
            return self.waits(start, getter);
        };
        let own = self.of(each);
        let own =
            own.map_err(|why| Failure::setting("SOURCE_EACH", format!("{} {why}", each.shown())))?;
        own.waits(start, getter)
    }

    /// The same for one of several values.
    fn of(&self, each: &Each) -> Result<Self, String> {
        let poll = self.poll.as_ref().map(|poll| each.put_into(poll));
        Ok(Self {
            poll: poll.transpose()?,
            result: each.put_into(&self.result)?,
            ..self.clone()
        })
    }

    fn waits<H: Http, C: Clock>(
        &self,
        start: &Ask,
        getter: &mut Getter<'_, H, C>,
    ) -> Result<Exported, Failure> {
        let began_ns = getter.clock().monotonic_ns();
        let mut fetched = getter.get_of_export(start, &|answer| self.may_name(answer))?;
        let id = self.named(&fetched)?;
        let poll = self.poll(&fetched, &id)?;
        let what = match self.poll {
            Some(_) => format!("the export {}", quoted(&id)),
            None => format!("the export at `{}`", poll.shown()),
        };
        let (status, url) = (fetched.answer.status, shown(&fetched.url));
        getter.log(&match status {
            400.. => format!("`{url}` answered {status} and names {what}: waiting for that one"),
            _ => format!("started {what}"),
        });
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
                "ready" => self.results(&fetched, &id)?,
                "empty" => VecDeque::new(),
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
            return Ok(exported(results, poll, fetched));
        }
    }

    fn not_ready(&self, what: &str, waited_ms: u64, asked_ms: u64) -> Failure {
        let (waited, most) = (waited_ms / 1000, self.wait_ms / 1000);
        let asked = match asked_ms {
            0 => String::new(),
            ms => format!(" and the source asks to wait {} s", ms / 1000),
        };
        Failure::Unavailable(Detail {
            message: format!(
                "{what} is not ready after {waited} s{asked}, and SOURCE_EXPORT_WAIT is {most} s: the next run starts the export again, and goes on with this one if the source names it then"
            ),
            status: None,
            retry_after_seconds: (asked_ms > 0).then_some(asked_ms / 1000),
        })
    }

    /// Whether this answer to the first request can name a job. A conflict may name the one that is there already.
    fn may_name(&self, answer: &Answer) -> bool {
        let names = || matches!(value(&self.id, answer), Ok(Some(_)));
        match answer.status {
            200..=299 | 303 => true,
            409 => names(),
            status => may_see(&self.id, status) && names(),
        }
    }

    /// Whether the program is asked of an answer to the other request.
    fn is_status(&self, answer: &Answer) -> bool {
        matches!(answer.status, 200..=299) || may_see(&self.status, answer.status)
    }

    /// What the first answer calls the job.
    fn named(&self, fetched: &Fetched) -> Result<String, Failure> {
        const NAME: &str = "SOURCE_EXPORT_ID";
        let json = read(&self.id, NAME, fetched)?;
        let id = token(json.as_deref());
        let id = id.map_err(|what| wrong(fetched, &format!("names {what} as the job ({NAME})")))?;
        let id = id.ok_or_else(|| {
            let says = excerpt::says(&fetched.answer);
            wrong(fetched, &format!("names no job ({NAME}){says}"))
        });
        Ok(id?.text)
    }

    /// The request that is repeated until the job is ready.
    fn poll(&self, fetched: &Fetched, id: &str) -> Result<Ask, Failure> {
        let unfit = |why: &str| {
            let id = quoted(id);
            wrong(fetched, &format!("names the job {id}, which {why}"))
        };
        if let Some(poll) = &self.poll {
            return put_into(poll, EXPORT, id).map_err(|why| unfit(&why));
        }
        if !["/", "http://", "https://"]
            .iter()
            .any(|start| id.starts_with(start))
        {
            return Err(unfit(
                "is no URL: set SOURCE_EXPORT_POLL to the URL that is asked for its status, with `{export}` in it",
            ));
        }
        let url = resolve_next(&fetched.url, id);
        let url = url.map_err(|why| wrong(fetched, &format!("names the job by {why}")))?;
        Ok(self.result.at(url))
    }

    /// How far the job is: a word, or text that begins with `failed`.
    fn state(&self, fetched: &Fetched) -> Result<String, Failure> {
        const NAME: &str = "SOURCE_EXPORT_STATUS";
        if fetched.is_empty {
            return Ok("empty".to_owned());
        }
        let json = read(&self.status, NAME, fetched)?.unwrap_or_else(|| "null".to_owned());
        let word: String = serde_json::from_str(&json).unwrap_or_default();
        if matches!(&*word, "wait" | "ready" | "empty") || word.starts_with("failed") {
            return Ok(word);
        }
        let says = excerpt::says(&fetched.answer);
        let json = quoted(&json);
        Err(wrong(
            fetched,
            &format!("{NAME} gives {json}, not `wait`, `ready`, `empty` or `failed`{says}"),
        ))
    }

    /// The requests for the results.
    fn results(&self, fetched: &Fetched, id: &str) -> Result<VecDeque<Ask>, Failure> {
        const NAME: &str = "SOURCE_EXPORT_RESULT";
        let Some(program) = &self.results else {
            let ask = put_into(&self.result, EXPORT, id);
            let ask = ask.map_err(|why| wrong(fetched, &format!("the id of the job {why}")))?;
            return Ok(VecDeque::from([ask]));
        };
        let json = read(program, NAME, fetched)?.unwrap_or_default();
        let urls = match json.as_bytes().first() {
            Some(b'[') => serde_json::from_str(&json).unwrap_or_default(),
            _ => vec![serde_json::from_str(&json).unwrap_or_default()],
        };
        if urls.is_empty() || urls.iter().any(String::is_empty) {
            let says = excerpt::says(&fetched.answer);
            return Err(wrong(
                fetched,
                &format!(
                    "has no URL of a result ({NAME}); if that means no records, let SOURCE_EXPORT_STATUS give `empty`{says}"
                ),
            ));
        }
        let asks = urls.iter().map(|url| {
            let url = resolve_next(&fetched.url, url);
            let url = url.map_err(|why| wrong(fetched, &format!("has {why} as {NAME}")))?;
            Ok(self.result.at(url))
        });
        asks.collect()
    }
}

fn exported(mut results: VecDeque<Ask>, poll: Ask, fetched: Fetched) -> Exported {
    let first = results.pop_front();
    let nothing = first.is_none().then_some(Fetched {
        is_empty: true,
        ..fetched
    });
    Exported {
        first: first.unwrap_or(poll),
        others: results,
        nothing,
    }
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

fn wrong(fetched: &Fetched, what: &str) -> Failure {
    let (url, status) = (shown(&fetched.url), fetched.answer.status);
    Failure::protocol(format!("`{url}` answered {status} and {what}"))
}

fn read(program: &Program, setting: &str, fetched: &Fetched) -> Result<Option<String>, Failure> {
    value(program, &fetched.answer).map_err(|why| {
        let instead = excerpt::instead(&fetched.answer.body, None);
        wrong(fetched, &format!("{setting} {}{instead}", said(&why)))
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
