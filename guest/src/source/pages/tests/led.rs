//! What each page of a scripted source leads to.

use super::super::*;
use super::{FIRST, fetched, pages, settings};
use crate::settings::Settings;
use crate::source::{PageFrom, Style};

/// A page as the source sends it, read by the shape that the settings make.
fn next(pages: &mut Pages<'_>, settings: &Settings, page: Sent<'_>) -> Result<bool, Failure> {
    let mut shape = settings.shape();
    let mut read = |from: &Option<PageFrom>| {
        match from {
            Some(PageFrom::Body(pointer)) => shape.also(pointer),
            Some(PageFrom::Jq(program)) => shape.also_by(program, ""),
            _ => 0,
        };
    };
    if let Style::NextUrl(from) | Style::Token { from, .. } = &settings.pagination.style {
        read(&Some(from.clone()));
    }
    read(&settings.pagination.more);
    read(&settings.pagination.total);
    let fetched = fetched(FIRST, page.headers, page.body);
    let place = fetched.place(1);
    let opened = crate::source::page::open(&fetched.answer, &shape, &place).unwrap();
    let contents = crate::source::page::read(&opened, &shape, &place, &mut |_, _| Ok(()));
    let contents = contents.unwrap();
    let seen = Seen {
        news: true,
        fresh: contents.records,
        last: page.last.map(str::to_owned),
        ..Seen::default()
    };
    pages.go_on(Page {
        fetched: &fetched,
        contents: &contents,
        seen: &seen,
    })
}

#[derive(Default, Clone, Copy)]
pub struct Sent<'p> {
    pub headers: &'p [(&'p str, &'p str)],
    pub body: &'p str,
    pub last: Option<&'p str>,
}

pub fn body(body: &str) -> Sent<'_> {
    Sent {
        body,
        ..Sent::default()
    }
}

/// What each page leads to: a request (its query, or its body), `end`, or what is wrong.
pub fn led(pairs: &[(&str, &str)], sent: &[Sent<'_>]) -> Vec<String> {
    let settings = settings(pairs);
    let mut pages = pages(&settings);
    let asked = |pages: &Pages<'_>| match &pages.ask().body {
        Some(body) => body.clone(),
        None => pages.ask().url.query().unwrap_or_default().to_owned(),
    };
    let mut led = vec![asked(&pages)];
    for page in sent {
        led.push(match next(&mut pages, &settings, *page) {
            Ok(true) => asked(&pages),
            Ok(false) => "end".to_owned(),
            Err(failure) => {
                assert!(matches!(failure, Failure::Protocol(_)), "{failure:?}");
                failure.to_string()
            }
        });
    }
    led
}

pub const TOKEN: [(&str, &str); 3] = [
    ("SOURCE_PAGINATION", "token"),
    ("SOURCE_PAGE_FROM", "/next"),
    ("SOURCE_PAGE_TO", "after"),
];
pub const LAST: [(&str, &str); 3] = [
    ("SOURCE_PAGINATION", "last-record"),
    ("SOURCE_PAGE_FROM", "/id"),
    ("SOURCE_PAGE_TO", "after"),
];
pub const MORE: (&str, &str) = ("SOURCE_PAGE_MORE", "/more");
pub const TOTAL: (&str, &str) = ("SOURCE_TOTAL", "/total");
pub const SIZE: (&str, &str) = ("SOURCE_PAGE_SIZE", "2");
pub const SHORT: (&str, &str) = ("SOURCE_PAGE_SHORT", "last");
