use url::Url;

use super::*;
use crate::ports::Answer;
use crate::settings::Settings;
use crate::source::Fetched;
use crate::source::page::Contents;

mod ends;
mod led;
mod styles;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn fetched(url_text: &str, headers: &[(&str, &str)], body: &str) -> Fetched {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    Fetched {
        url: url(url_text),
        answer: Answer {
            status: 200,
            headers: headers.collect(),
            body: body.as_bytes().to_vec(),
        },
        is_empty: false,
        is_no_error: false,
    }
}

/// The slot of the next URL, in a page whose records are the first thing that is read.
fn contents(records: u64, next: Option<&str>) -> Contents {
    let next = next.map(|next| format!("\"{next}\""));
    Contents::new(records, vec![None, next])
}

/// Settings of a source at [`FIRST`] with records at `/items`.
fn settings(pairs: &[(&str, &str)]) -> Settings {
    let fixed = [("SOURCE_API_URL", FIRST), ("SOURCE_RECORDS", "/items")];
    let env: Vec<(String, String)> = fixed
        .iter()
        .chain(pairs)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Settings::read(&env).unwrap()
}

fn pages(settings: &Settings) -> Pages<'_> {
    let mut shape = settings.shape();
    let first = Ask {
        body: settings.body.clone(),
        ..Ask::get(settings.url.clone())
    };
    settings.pages(&first, &mut shape).unwrap()
}

/// The step after a page of records that are all new.
fn go_on(pages: &mut Pages<'_>, fetched: &Fetched, contents: &Contents) -> Result<bool, Failure> {
    let seen = Seen {
        news: true,
        fresh: contents.records,
        ..Seen::default()
    };
    pages.go_on(Page {
        fetched,
        contents,
        seen: &seen,
    })
}

const FIRST: &str = "https://x.example/o?page=1";
const LINK: [(&str, &str); 1] = [("SOURCE_PAGINATION", "link")];
const NEXT: [(&str, &str); 1] = [("SOURCE_PAGINATION", "next-url")];

#[test]
fn a_page_without_next_ends_the_fetch() {
    let settings = settings(&LINK);
    let mut pages = pages(&settings);

    assert_eq!(
        go_on(&mut pages, &fetched(FIRST, &[], "[]"), &contents(0, None)),
        Ok(false)
    );
}

#[test]
fn an_unpaged_source_has_one_page_whatever_it_names() {
    let settings = settings(&[]);
    let mut pages = pages(&settings);
    let page = fetched(FIRST, &[("link", "<?page=2>; rel=next")], "[]");

    assert_eq!(
        go_on(&mut pages, &page, &contents(0, Some("?page=2"))),
        Ok(false)
    );
}

#[test]
fn a_link_resolves_against_the_url_that_answered() {
    let settings = settings(&LINK);
    let mut pages = pages(&settings);
    let page = fetched(
        "https://y.example/v2/o",
        &[("link", "<o?page=2>; rel=next")],
        "[]",
    );

    let more = go_on(&mut pages, &page, &contents(0, None));

    assert_eq!(more, Ok(true));
    assert_eq!(pages.ask().url, url("https://y.example/v2/o?page=2"));
    assert_eq!(pages.number(), 2);
}

#[test]
fn a_next_url_can_stand_in_a_header() {
    let settings = settings(&[NEXT[0], ("SOURCE_PAGE_FROM", "header:X-Next")]);
    let mut pages = pages(&settings);

    let more = go_on(
        &mut pages,
        &fetched(FIRST, &[("x-next", " ?page=2 ")], "[]"),
        &contents(0, None),
    );
    let asked = pages.ask().url.clone();
    let end = go_on(
        &mut pages,
        &fetched(FIRST, &[("x-next", "")], "[]"),
        &contents(0, None),
    );

    assert_eq!(more, Ok(true));
    assert_eq!(asked, url("https://x.example/o?page=2"));
    assert_eq!(end, Ok(false));
}

#[test]
fn a_url_that_comes_again_is_a_loop() {
    let settings = settings(&NEXT);
    let mut pages = pages(&settings);
    go_on(
        &mut pages,
        &fetched(FIRST, &[], "a"),
        &contents(1, Some("?page=2")),
    )
    .unwrap();

    let looped = go_on(
        &mut pages,
        &fetched(FIRST, &[], "b"),
        &contents(1, Some("?page=1#again")),
    );

    assert_eq!(
        looped.unwrap_err().to_string(),
        "page 2 of `https://x.example/o` names a next page that was read already"
    );
}

#[test]
fn a_page_that_comes_again_is_a_loop() {
    let settings = settings(&NEXT);
    let mut pages = pages(&settings);
    go_on(
        &mut pages,
        &fetched(FIRST, &[], "same"),
        &contents(1, Some("?page=2")),
    )
    .unwrap();

    let looped = go_on(
        &mut pages,
        &fetched(FIRST, &[], "same"),
        &contents(1, Some("?page=3")),
    );

    assert!(
        looped
            .unwrap_err()
            .to_string()
            .contains("repeats the content of an earlier page")
    );
}

#[test]
fn an_empty_page_may_come_again() {
    let settings = settings(&NEXT);
    let mut pages = pages(&settings);
    go_on(
        &mut pages,
        &fetched(FIRST, &[], "[]"),
        &contents(0, Some("?page=2")),
    )
    .unwrap();

    assert!(
        go_on(
            &mut pages,
            &fetched(FIRST, &[], "[]"),
            &contents(0, Some("?page=3"))
        )
        .is_ok()
    );
}

#[test]
fn more_pages_than_allowed_are_refused_and_exactly_as_many_are_not() {
    let two = settings(&[NEXT[0], ("MAX_PAGES", "2")]);
    let one = settings(&[NEXT[0], ("MAX_PAGES", "1")]);
    let mut pages = pages(&two);
    go_on(
        &mut pages,
        &fetched(FIRST, &[], "a"),
        &contents(1, Some("?page=2")),
    )
    .unwrap();
    let last = fetched(FIRST, &[], "b");

    let more = go_on(&mut self::pages(&one), &last, &contents(1, Some("?page=3")));

    assert_eq!(go_on(&mut pages, &last, &contents(1, None)), Ok(false));
    assert!(
        matches!(&more, Err(Failure::Protocol(d)) if d.message.ends_with("MAX_PAGES is 1: raise it")),
        "{more:?}"
    );
}

#[test]
fn a_step_down_to_http_on_another_host_is_refused() {
    let settings = settings(&NEXT);
    let mut pages = pages(&settings);

    let down = go_on(
        &mut pages,
        &fetched(FIRST, &[], "a"),
        &contents(1, Some("http://y.example/o?page=2")),
    );

    assert!(
        down.unwrap_err()
            .to_string()
            .contains("a downgrade from https to http")
    );
}

#[test]
fn a_link_header_that_cannot_be_read_is_not_the_end() {
    let settings = settings(&LINK);
    let mut pages = pages(&settings);

    let damaged = go_on(
        &mut pages,
        &fetched(FIRST, &[("link", "/o?page=2; rel=next")], "a"),
        &contents(1, None),
    );

    assert!(matches!(damaged, Err(Failure::Protocol(_))), "{damaged:?}");
}

#[test]
fn a_next_that_is_no_text_is_refused() {
    let settings = settings(&NEXT);
    let number = Contents::new(1, vec![None, Some("3".to_owned())]);

    let refused = go_on(&mut pages(&settings), &fetched(FIRST, &[], "a"), &number);

    assert_eq!(
        refused.unwrap_err().to_string(),
        "page 1 of `https://x.example/o` has a number as `/next` (SOURCE_PAGE_FROM), not a URL"
    );
}
