//! What an answer names, in its body or in a header: a URL, a token, a flag or a number.

use std::fmt;

use super::address::URL_BYTES_MAX;
use super::ask::Json;
use super::page::{Contents, Shape, leading_text};
use super::pagination::PageFrom;
use super::template::string;
use crate::ports::Answer;
use crate::source::retry::header;

/// Where a value is read in every page.
#[derive(Debug)]
pub struct Named<'s> {
    from: &'s PageFrom,
    slot: usize,
    setting: &'static str,
}

/// A value that is sent back to the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// As it is put into a query.
    pub text: String,
    /// What it was.
    pub json: Json,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.from, self.setting)
    }
}

impl<'s> Named<'s> {
    /// What `setting` says stands at `from` of every page; `shape` reads it.
    pub fn new(from: &'s PageFrom, setting: &'static str, shape: &mut Shape) -> Self {
        let slot = match from {
            PageFrom::Body(pointer) => shape.also(pointer),
            PageFrom::Header(_) => 0,
            PageFrom::Jq(program) => shape.also_by(program, setting),
        };
        Self {
            from,
            slot,
            setting,
        }
    }

    /// The JSON of the value; a header's is a string. `None`: there is none.
    fn json(&self, answer: &Answer, contents: &Contents) -> Result<Option<String>, String> {
        match self.from {
            PageFrom::Body(_) => Ok(contents.value(self.slot).map(str::to_owned)),
            PageFrom::Jq(_) => Ok(contents.made(self.slot).map(str::to_owned)),
            PageFrom::Header(name) => {
                let value = header(answer, name)
                    .map(<[u8]>::trim_ascii)
                    // Salesforce names the locator of the next results so where there is none.
                    .find(|value| !value.is_empty() && value != b"null");
                let text = value.map(std::str::from_utf8).transpose();
                let text = text.map_err(|_| format!("has a {self} that is not UTF-8"))?;
                Ok(text.map(string))
            }
        }
    }

    /// Whether anything stands there, null included.
    pub fn is_there(&self, answer: &Answer, contents: &Contents) -> bool {
        !matches!(self.json(answer, contents), Ok(None))
    }

    /// The URL that stands there. Missing, null, false and empty mean that there is none.
    pub fn url(&self, answer: &Answer, contents: &Contents) -> Result<Option<String>, String> {
        let json = self.json(answer, contents)?;
        leading_text(json.as_deref()).map_err(|what| format!("has {what} as {self}, not a URL"))
    }

    /// The token that stands there. Missing, null, false and empty mean that there is none.
    pub fn token(&self, answer: &Answer, contents: &Contents) -> Result<Option<Token>, String> {
        let json = self.json(answer, contents)?;
        token(json.as_deref()).map_err(|what| format!("has {what} as {self}, not a token"))
    }

    /// The flag that stands there. Missing and null mean false.
    pub fn flag(&self, answer: &Answer, contents: &Contents) -> Result<bool, String> {
        match self.json(answer, contents)?.as_deref() {
            Some("true" | "\"true\"") => Ok(true),
            None | Some("false" | "\"false\"" | "null") => Ok(false),
            Some(_) => Err(format!("has neither true nor false as {self}")),
        }
    }

    /// The number of things that stands there; missing, and null, mean that it does not say.
    pub fn count(&self, answer: &Answer, contents: &Contents) -> Result<Option<u64>, String> {
        let json = self.json(answer, contents)?;
        let Some(json) = json.as_deref().filter(|json| *json != "null") else {
            return Ok(None);
        };
        count(json).map_err(|()| format!("has no number of records as {self}"))
    }
}

/// The number in a JSON text: an integer, a string of one (`"1,234"` too), or the total of a `Content-Range`, such as
/// `"items 0-24/319"`. `None`: it says that it is not known. `Err`: it is none of these.
fn count(json: &str) -> Result<Option<u64>, ()> {
    let text = json.trim_matches('"').trim_ascii();
    let text = match text.rsplit_once('/') {
        Some((range, total)) if is_range(range) => total,
        _ => text,
    };
    if text == "*" {
        return Ok(None);
    }
    whole(text).map(Some).ok_or(())
}

/// `items 0-24`, or without the unit, or `*` where no record is in it.
fn is_range(text: &str) -> bool {
    let range = text.rsplit_once(' ').map_or(text, |(_, range)| range);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let ends = range.split_once('-');
    range == "*" || ends.is_some_and(|(from, to)| is_number(from) && is_number(to))
}

/// A whole number that is not negative, in digits: `319`, `319.0`, or in groups of three, `1,234`.
pub fn whole(text: &str) -> Option<u64> {
    let digits = text.strip_suffix(".0").unwrap_or(text);
    let mut groups = digits.split(',');
    let first = groups.next().unwrap_or_default();
    let is_grouped = digits.len() > first.len();
    let fits = |group: &str| group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit());
    if is_grouped && (first.is_empty() || first.len() > 3) || !groups.all(fits) {
        return None;
    }
    let digits = digits.replace(',', "");
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_plain)
}

/// A value that is sent back, from its JSON: a string or an integer. Missing, null, false and empty mean that there is none;
/// `Err` says what stands there instead.
pub fn token(json: Option<&str>) -> Result<Option<Token>, &'static str> {
    let token = match json {
        Some(number) if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            if number.contains(['.', 'e', 'E']) {
                return Err("a fraction");
            }
            Some(Token {
                text: number.to_owned(),
                json: Json::Number,
            })
        }
        other => leading_text(other)?.map(|text| Token {
            text,
            json: Json::Text,
        }),
    };
    match token {
        Some(token) if token.text.len() > URL_BYTES_MAX => Err("more than 8192 bytes"),
        token => Ok(token),
    }
}
