//! Settings: the environment becomes what a run needs to know, or a list of everything that is wrong with it.
//!
//! Nothing is read half: either all settings can be used, or none is. The credential is none of these; adding it to requests
//! is the host's job, or `alone`'s.

mod described;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use url::Url;

pub use self::described::{Description, Setting, describe};
use crate::cursor::{CursorSettings, Kind, Lookback, VALUE_BYTES_MAX, start_point};
use crate::failure::{Failure, Problem, quoted};
use crate::fetch::{PageFrom, Pagination, URL_BYTES_MAX};
use crate::pointer::Pointer;

/// `MAX_RETRIES` when it is not set.
const MAX_RETRIES_DEFAULT: u64 = 3;
/// `MAX_PAGES` when it is not set.
const MAX_PAGES_DEFAULT: u64 = 10_000;
/// Pointers of one key.
const KEY_PARTS_MAX: usize = 8;

/// What a run needs to know.
#[derive(Debug)]
pub struct Settings {
    /// `SOURCE_API_URL`, without a fragment.
    pub url: Url,
    /// `SOURCE_PAGINATION` and `SOURCE_PAGE_FROM`.
    pub pagination: Pagination,
    /// `SOURCE_RECORDS`; `None`: the body is the array.
    pub records: Option<Pointer>,
    /// `SOURCE_CURSOR` and what belongs to it.
    pub cursor: Option<CursorSettings>,
    /// `SOURCE_DELETED`.
    pub deleted: Option<Pointer>,
    /// `PRIMARY_KEY`.
    pub key: Vec<Pointer>,
    /// `MAX_RETRIES`.
    pub retries_max: u32,
    /// `MAX_PAGES`.
    pub pages_max: u64,
}

/// Everything that is wrong with the settings in `env`, in the order of [`describe`]; empty when they can be used.
pub fn validate(env: &[(String, String)]) -> Vec<Problem> {
    match Settings::read(env) {
        Err(Failure::Settings(problems)) => problems,
        Ok(_) | Err(_) => Vec::new(),
    }
}

impl Settings {
    /// Reads the settings. `Err` names every one that cannot be used. Empty means unset.
    pub fn read(env: &[(String, String)]) -> Result<Self, Failure> {
        let mut given = Given {
            env,
            problems: Vec::new(),
        };
        let url = given.url();
        given.auth();
        let records = given.pointer("SOURCE_RECORDS");
        let pagination = given.pagination(records.as_ref());
        let cursor = given.cursor();
        let deleted = given.pointer("SOURCE_DELETED");
        let retries_max = given.number("MAX_RETRIES", MAX_RETRIES_DEFAULT, 0..=20);
        let pages_max = given.number("MAX_PAGES", MAX_PAGES_DEFAULT, 1..=1_000_000);
        let key = given.key(deleted.is_some());
        match url {
            Some(url) if given.problems.is_empty() => Ok(Self {
                url,
                pagination,
                records,
                cursor,
                deleted,
                key,
                retries_max: u32::try_from(retries_max).unwrap_or(u32::MAX),
                pages_max,
            }),
            _ => Err(Failure::Settings(given.problems)),
        }
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

    fn url(&mut self) -> Option<Url> {
        const NAME: &str = "SOURCE_API_URL";
        let Some(text) = self.get(NAME) else {
            self.wrong(NAME, "is not set: give the URL of the first request");
            return None;
        };
        self.kept(NAME, source_url(text))
    }

    fn auth(&mut self) {
        let auth = self.get("SOURCE_AUTH").unwrap_or("bearer");
        match auth {
            "bearer" | "header" | "query" | "basic" => {}
            "oauth2" => self.wrong(
                "SOURCE_AUTH",
                "`oauth2` is not yet supported in this version",
            ),
            other => self.wrong(
                "SOURCE_AUTH",
                not_one_of(other, &["bearer", "header", "query", "basic"]),
            ),
        }
        match self.get("SOURCE_AUTH_NAME") {
            Some(name) if auth == "header" && !is_header_name(name) => {
                self.wrong(
                    "SOURCE_AUTH_NAME",
                    format!("{} is not a header's name", quoted(name)),
                );
            }
            Some(_) if matches!(auth, "bearer" | "basic") => {
                self.wrong(
                    "SOURCE_AUTH_NAME",
                    format!("means nothing with SOURCE_AUTH `{auth}`: remove it"),
                );
            }
            _ => {}
        }
    }

    fn pagination(&mut self, records: Option<&Pointer>) -> Pagination {
        let style = self.get("SOURCE_PAGINATION").unwrap_or("none");
        let from = self.get("SOURCE_PAGE_FROM");
        if from.is_some() && style != "next-url" {
            self.wrong(
                "SOURCE_PAGE_FROM",
                "means nothing without SOURCE_PAGINATION `next-url`: remove it",
            );
        }
        match style {
            "none" => Pagination::None,
            "link" => Pagination::Link,
            "next-url" => self.next_url(from.unwrap_or("/next"), records),
            "token" | "last-record" | "page" | "offset" => {
                self.wrong(
                    "SOURCE_PAGINATION",
                    format!("`{style}` is not yet supported in this version"),
                );
                Pagination::None
            }
            other => {
                self.wrong(
                    "SOURCE_PAGINATION",
                    not_one_of(other, &["none", "link", "next-url"]),
                );
                Pagination::None
            }
        }
    }

    fn next_url(&mut self, from: &str, records: Option<&Pointer>) -> Pagination {
        const NAME: &str = "SOURCE_PAGE_FROM";
        if let Some(header) = from.strip_prefix("header:") {
            if !is_header_name(header) {
                self.wrong(NAME, format!("{} is not a header's name", quoted(header)));
            }
            return Pagination::NextUrl(PageFrom::Header(header.to_ascii_lowercase()));
        }
        let Some(pointer) = self.kept(NAME, Pointer::parse(from)) else {
            return Pagination::None;
        };
        match records {
            Some(records) if *records == pointer => {
                self.wrong(
                    NAME,
                    format!("`{pointer}` is where the records stand (SOURCE_RECORDS)"),
                );
            }
            None if self.get("SOURCE_RECORDS").is_none() => {
                let what = format!(
                    "is not set, but the next URL is read at `{pointer}`: where in the body is the array of records, say `/items`"
                );
                self.wrong("SOURCE_RECORDS", what);
            }
            _ => {}
        }
        Pagination::NextUrl(PageFrom::Body(pointer))
    }

    fn cursor(&mut self) -> Option<CursorSettings> {
        if self.get("SOURCE_CURSOR").is_none() {
            for name in [
                "SOURCE_CURSOR_TO",
                "SOURCE_CURSOR_KIND",
                "SOURCE_CURSOR_START",
                "SOURCE_LOOKBACK",
            ] {
                if self.get(name).is_some() {
                    self.wrong(name, "means nothing without SOURCE_CURSOR");
                }
            }
            return None;
        }
        let pointer = self.pointer("SOURCE_CURSOR");
        let query_name = self.get("SOURCE_CURSOR_TO");
        if query_name.is_some_and(|name| name.starts_with('/')) {
            self.wrong("SOURCE_CURSOR_TO", "a JSON Pointer into SOURCE_BODY is not yet supported in this version: give the name of a query parameter");
        }
        let kind = self
            .get("SOURCE_CURSOR_KIND")
            .and_then(|word| self.kind(word));
        let start = self.get("SOURCE_CURSOR_START");
        if start.is_some_and(|start| start.len() > VALUE_BYTES_MAX) {
            self.wrong(
                "SOURCE_CURSOR_START",
                format!("is longer than {VALUE_BYTES_MAX} bytes"),
            );
        } else if let (Some(kind), Some(start)) = (kind, start) {
            self.kept("SOURCE_CURSOR_START", start_point(kind, start));
        }
        let lookback = self.get("SOURCE_LOOKBACK").map(|text| {
            let fits = |lookback: Lookback| {
                kind.map_or(Ok(lookback), |kind| lookback.of(kind).map(|_| lookback))
            };
            Lookback::parse(text).and_then(fits)
        });
        let lookback = lookback.map_or(Some(Lookback::Default), |read| {
            self.kept("SOURCE_LOOKBACK", read)
        });
        Some(CursorSettings {
            pointer: pointer?,
            query_name: query_name.map(str::to_owned),
            kind,
            start: start.map(str::to_owned),
            lookback: lookback.unwrap_or_default(),
        })
    }

    fn kind(&mut self, word: &str) -> Option<Kind> {
        let kind = Kind::named(word);
        match word {
            "token" => self.wrong(
                "SOURCE_CURSOR_KIND",
                "`token` is not yet supported in this version",
            ),
            other if kind.is_none() => {
                let words = Kind::ALL.map(Kind::word);
                self.wrong("SOURCE_CURSOR_KIND", not_one_of(other, &words));
            }
            _ => {}
        }
        kind
    }

    fn key(&mut self, tombstones: bool) -> Vec<Pointer> {
        const NAME: &str = "PRIMARY_KEY";
        let Some(text) = self.get(NAME) else {
            if tombstones {
                self.wrong(
                    NAME,
                    "is not set, but SOURCE_DELETED needs to know which record is gone, say `/id`",
                );
            }
            return Vec::new();
        };
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        if parts.len() > KEY_PARTS_MAX {
            self.wrong(NAME, format!("has more than {KEY_PARTS_MAX} parts"));
        }
        let mut seen = BTreeSet::new();
        let mut key = Vec::new();
        for part in parts {
            if part.is_empty() {
                self.wrong(NAME, "has an empty part");
            } else if !seen.insert(part) {
                self.wrong(NAME, format!("names {} twice", quoted(part)));
            } else {
                key.extend(self.kept(NAME, Pointer::parse(part)));
            }
        }
        key
    }
}

fn source_url(text: &str) -> Result<Url, String> {
    // The text itself is not shown: its query may hold a credential.
    let mut url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("is a `{}` URL, not http or https", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "has a user name in it: give the credential as SOURCE_API_KEY with SOURCE_AUTH `basic`"
                .to_owned(),
        );
    }
    if text.len() > URL_BYTES_MAX {
        return Err(format!("is longer than {URL_BYTES_MAX} bytes"));
    }
    if text.contains("{cursor}") {
        return Err("`{cursor}` is not yet supported in this version: name the parameter in SOURCE_CURSOR_TO".to_owned());
    }
    url.set_fragment(None);
    Ok(url)
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
