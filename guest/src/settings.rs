//! Settings: the environment becomes what a run needs to know, or a list of everything that is wrong with it.
//!
//! Nothing is read half: either all settings can be used, or none is. The credential is none of these; adding it to requests
//! is the host's job, or `wasi/standalone_run.rs`'s.

mod cursor;
mod description;
mod each;
mod export;
mod pages;
mod records;
mod request;

use std::ops::RangeInclusive;

use url::Url;

pub use self::description::{Description, Setting, Staging};
pub use self::each::{FanOut, Parents, of_parents, parents_failed};
pub use self::request::{DEADLINE_DEFAULT, TIMEOUT_DEFAULT, deadline_seconds, timeout_seconds};
use crate::cursor::{Asking, Cursor, CursorSettings, Token, TokenSettings};
use crate::failure::{Failure, Problem, quoted};
use crate::ports::{self, Method};
use crate::records::{Read, RecordSettings, Stager};
use crate::source::page::{Format, Shape};
use crate::source::retry::{Meanings, Rate, Retries};
use crate::source::signs::{self, Sign};
use crate::source::{
    Ask, BodyFormat, Each, ErrorCheck, Export, Fetched, Pages, Pagination, RecordsFrom, Wire,
};
use tidegate_json::Pointer;

/// What is accepted where XML is read: feeds are sent as other kinds of it.
const ACCEPT_XML: &str = "application/xml, text/xml, */*;q=0.8";

/// What a run needs to know.
#[derive(Debug)]
pub struct Settings {
    /// `SOURCE_API_URL`, or `SOURCE_EXPORT_URL` where it is set, without a fragment.
    pub url: Url,
    /// `SOURCE_METHOD`, or what follows from the body.
    pub method: Method,
    /// `SOURCE_BODY`, or `SOURCE_EXPORT_BODY`.
    pub body: Option<String>,
    /// `SOURCE_BODY_FORMAT`.
    pub body_format: BodyFormat,
    /// `SOURCE_HEADERS`, names in lower case.
    pub headers: Vec<(String, String)>,
    /// `SOURCE_EACH`: what makes several fetches of a run.
    pub each: FanOut,
    /// What the first request starts, where its answer is no page.
    pub export: Option<Export>,
    /// `SOURCE_PAGINATION` and `SOURCE_PAGE_FROM`.
    pub pagination: Pagination,
    /// `SOURCE_RECORDS`; `None`: the body is the array.
    pub records: Option<RecordsFrom>,
    /// `SOURCE_RECORDS_MISSING`: a page without the place of the records has none.
    pub missing_is_empty: bool,
    /// `SOURCE_CURSOR` and what belongs to it, where it stands in records.
    pub cursor: Option<CursorSettings>,
    /// `SOURCE_CURSOR` and what belongs to it, where it is a token.
    pub token: Option<TokenSettings>,
    /// `SOURCE_FORMAT`: where the records are.
    pub format: Format,
    /// What bodies are before they are read as that.
    pub wire: Wire,
    /// What is made of records.
    pub made: RecordSettings,
    /// `SOURCE_ERROR`.
    pub error_check: Option<ErrorCheck>,
    /// `SOURCE_EMPTY_ON` and `SOURCE_RETRY_ON`.
    pub meanings: Meanings,
    /// `SOURCE_RATE`.
    pub rate: Option<Rate>,
    /// `SOURCE_PARALLEL`.
    pub parallel: usize,
    /// `MAX_RETRIES` and `RETRY_PAUSE`.
    pub retries: Retries,
    /// `MAX_RESPONSE_BYTES`.
    pub answer_bytes_max: usize,
    /// `MAX_PAGES`.
    pub pages_max: u64,
    /// `RUN_DEADLINE`.
    pub deadline_seconds: u64,
}

/// What this component is.
pub fn describe() -> Description {
    Description {
        name: "rest".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        summary: "Fetches the records of a JSON API, page by page, and keeps a cursor.".to_owned(),
        settings: described(),
    }
}

/// All settings, in the order in which people read them.
fn described() -> Vec<Setting> {
    [
        request::described(),
        each::described(),
        export::described(),
        pages::described(),
        cursor::described(),
        records::described(),
        request::described_limits(),
    ]
    .concat()
}

/// Everything that is wrong with the settings in `env`, in the order of [`describe`]; empty when they can be used.
pub fn validate(env: &[(String, String)]) -> Vec<Problem> {
    match Settings::read(env) {
        Err(Failure::Settings(problems)) => problems,
        Ok(_) | Err(_) => Vec::new(),
    }
}

impl Settings {
    /// Whether a header or a status alone may tell what an answer means: then a body that is the same says nothing of it.
    pub fn is_told_by_header(&self) -> bool {
        let by_records =
            matches!(&self.records, Some(RecordsFrom::Jq(program)) if program.sees_facts());
        let token = self.token.as_ref();
        by_records
            || self.pagination.is_told_by_header()
            || token.is_some_and(|token| token.from.may_be_in_header())
            || self
                .error_check
                .as_ref()
                .is_some_and(ErrorCheck::sees_facts)
    }

    /// Reads the settings. `Err` names every one that cannot be used. Empty means unset.
    pub fn read(env: &[(String, String)]) -> Result<Self, Failure> {
        let mut given = Given {
            env,
            problems: Vec::new(),
        };
        let Some(start) = export::of_start(&given) else {
            given.no_export();
            return Self::of_requests(env, given.problems);
        };
        let mut read = Self::of_requests(&start, Vec::new());
        let export = given.export(read.as_ref().ok());
        match &mut read {
            Ok(settings) => settings.export = export,
            Err(Failure::Settings(problems)) => {
                problems.iter_mut().for_each(export::rename);
                problems.append(&mut given.problems);
            }
            Err(_) => {}
        }
        if given.problems.is_empty() {
            read
        } else {
            Err(Failure::Settings(given.problems))
        }
    }

    /// The same of settings without an export; what is wrong with `more` is added.
    fn of_requests(env: &[(String, String)], mut more: Vec<Problem>) -> Result<Self, Failure> {
        let mut given = Given {
            env,
            problems: Vec::new(),
        };
        let url = given.url();
        given.auth();
        let body_format = given.body_format();
        let body = given.body();
        let method = given.method();
        let mut headers = given.headers();
        let each = given.each(url.as_ref());
        let records = given.records();
        let missing_is_empty = given.missing_is_empty();
        let pagination = given.pagination(records.as_ref());
        let has_parents = given.has_parents();
        // The request before the others has them then.
        let (cursor, token) = if has_parents {
            (None, None)
        } else {
            (given.cursor(), given.cursor_token(records.as_ref()))
        };
        let format = given.format();
        let wire = given.wire();
        if wire == Wire::Xml && headers.iter().all(|(name, _)| name != "accept") {
            headers.push(("accept".to_owned(), ACCEPT_XML.to_owned()));
        }
        let mut made = given.record_settings(given.variables());
        made.parent = made.parent.filter(|_| !has_parents);
        let error_check = given.error_check();
        let meanings = given.meanings();
        let rate = given.rate();
        let parallel = given.parallel(&pagination, &each);
        let retries = given.retries();
        given.source_timeout();
        let answer_bytes_max = given.answer_bytes_max();
        let pages_max = given.pages_max();
        let deadline_seconds = given.deadline_seconds();
        made.key = given.key(made.deleted.is_some() && made.parent.is_none());
        given.problems.append(&mut more);
        match url {
            Some(url) if given.problems.is_empty() => Ok(Self {
                url,
                method,
                body,
                body_format,
                headers,
                each,
                export: None,
                pagination,
                records,
                missing_is_empty,
                cursor,
                token,
                format,
                wire,
                made,
                error_check,
                meanings,
                rate,
                parallel,
                retries,
                answer_bytes_max,
                pages_max,
                deadline_seconds,
            }),
            _ => Err(Failure::Settings(given.problems)),
        }
    }
}

impl Settings {
    /// The first request of a fetch, or of a window of one, with the cursor and the value that the fetch is `each` for in it.
    pub fn first_ask(
        &self,
        each: Option<&Each>,
        cursor: Option<&Cursor<'_>>,
        token: Option<&Token<'_>>,
    ) -> Result<Ask, Failure> {
        let ask = Ask {
            method: self.method,
            body: self.body.clone(),
            body_format: self.body_format,
            headers: self.headers.clone(),
            ..Ask::get(self.url.clone())
        };
        let ask = match each {
            None => ask,
            Some(each) => each
                .put_into(&ask)
                .map_err(|why| self.each.unfit(each, &why))?,
        };
        match (cursor, token) {
            (Some(cursor), _) => cursor.asked()?.of(ask),
            (None, Some(token)) => token.asked().of(ask),
            (None, None) => Ok(ask),
        }
    }

    /// How many values may be asked for ahead of the one that is fetched.
    pub fn values_ahead(&self) -> usize {
        match self.parallel {
            2.. if self.export.is_none() => self.parallel,
            _ => 0,
        }
    }

    /// Whether SOURCE_CURSOR_ORDER or SOURCE_WINDOW, of which neither is set, could make portions of a run.
    pub fn can_be_ordered(&self) -> bool {
        let cursor = self.cursor.as_ref();
        cursor.is_some_and(|cursor| {
            cursor.pointer.is_some()
                && cursor.order.is_none()
                && cursor.window_seconds.is_none()
                && cursor.to != Asking::Nowhere
        })
    }

    /// Where things are in a page.
    pub fn shape(&self) -> Shape {
        let mut known_by = Vec::new();
        if self.made.transform.is_none() {
            known_by.clone_from(&self.made.key);
        }
        known_by.extend(
            self.cursor
                .iter()
                .filter_map(|cursor| cursor.pointer.clone()),
        );
        let shape = match &self.records {
            Some(RecordsFrom::Jq(program)) => Shape::made_by(program),
            Some(RecordsFrom::Body(pointer)) => Shape::of(self.format, Some(pointer)),
            None => Shape::of(self.format, None),
        };
        let is_xml = self.wire == Wire::Xml;
        shape
            .known_by(known_by)
            .reading(self.missing_is_empty)
            .of_xml(is_xml)
    }

    /// The pages that begin at `first`. What is to be read of each is added to `shape`.
    pub fn pages(&self, first: &Ask, shape: &mut Shape) -> Result<Pages<'_>, Failure> {
        // What TRANSFORM makes the key of, a record as it comes may have more than once.
        let has_key = !self.made.key.is_empty() && self.made.transform.is_none();
        Pages::new(&self.pagination, self.pages_max, has_key, first, shape)
    }

    /// The sign that there is more than what was read of an answer.
    pub fn sign_of_more(&self, fetched: &Fetched, read: &Read<'_>) -> Option<Sign> {
        let at = match &self.records {
            Some(RecordsFrom::Body(pointer)) => Some(pointer.text()),
            Some(RecordsFrom::Jq(_)) => None,
            None => Some(""),
        };
        let envelope = match self.format {
            Format::Ndjson => String::new(),
            Format::Json | Format::Object => read.envelope(&fetched.answer.body),
        };
        let records = read.contents.records;
        signs::of(&fetched.answer, &envelope, records, at, self.format)
    }

    /// What stages the records of pages.
    pub fn stager<'s, S: ports::Staging>(&'s self, staging: &'s mut S) -> Stager<'s, S> {
        let is_feed = self.token.is_some();
        Stager::new(&self.made, &self.pagination, is_feed, staging)
    }
}

/// The environment, and what was found wrong with it so far.
struct Given<'e> {
    env: &'e [(String, String)],
    problems: Vec<Problem>,
}

impl<'e> Given<'e> {
    fn get(&self, name: &str) -> Option<&'e str> {
        let mut set = self
            .env
            .iter()
            .filter(|(found, value)| found == name && !value.is_empty());
        set.next().map(|(_, value)| value.as_str())
    }

    fn wrong(&mut self, name: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(name, message));
    }

    fn has_problem(&self, name: &str) -> bool {
        self.problems.iter().any(|problem| problem.setting == name)
    }

    /// The value, or a problem on record.
    fn kept<T>(&mut self, name: &str, read: Result<T, String>) -> Option<T> {
        read.map_err(|why| self.wrong(name, why)).ok()
    }

    fn pointer(&mut self, name: &str) -> Option<Pointer> {
        let text = self.get(name)?;
        self.kept(name, Pointer::parse(text))
    }

    fn number(&mut self, name: &str, default: u64, allowed: RangeInclusive<u64>) -> u64 {
        let Some(text) = self.get(name) else {
            return default;
        };
        match text.parse() {
            Ok(number) if allowed.contains(&number) => number,
            _ => {
                let (least, most) = (allowed.start(), allowed.end());
                self.wrong(
                    name,
                    format!("{} is not a number from {least} to {most}", quoted(text)),
                );
                default
            }
        }
    }
}

fn not_one_of(word: &str, words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    format!("{} is not one of {}", quoted(word), words.join(", "))
}

/// RFC 9110's `token`.
fn is_header_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

#[cfg(test)]
mod tests;
