use url::Url;

use super::*;

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
    }
}

/// The slot of the next URL, in a page whose records are the first thing that is read.
fn contents(records: u64, next: Option<&str>) -> Contents {
    let next = next.map(|next| format!("\"{next}\""));
    Contents::new(records, vec![None, next])
}

fn pages(pagination: &Pagination, pages_max: u64) -> Pages<'_> {
    let mut shape = Shape::new(Some(&Pointer::parse("/items").unwrap()));
    Pages::new(pagination, pages_max, Ask::get(url(FIRST)), &mut shape)
}

fn in_body() -> Pagination {
    Pagination::NextUrl(PageFrom::Body(Pointer::parse("/next").unwrap()))
}

const FIRST: &str = "https://x.example/o?page=1";

#[test]
fn a_page_without_next_ends_the_fetch() {
    let link = Pagination::Link;
    let mut pages = pages(&link, 10);

    assert_eq!(
        pages.go_on(&fetched(FIRST, &[], "[]"), &contents(0, None)),
        Ok(false)
    );
}

#[test]
fn an_unpaged_source_has_one_page_whatever_it_names() {
    let mut pages = pages(&Pagination::None, 10);
    let page = fetched(FIRST, &[("link", "<?page=2>; rel=next")], "[]");

    assert_eq!(pages.go_on(&page, &contents(0, Some("?page=2"))), Ok(false));
}

#[test]
fn a_link_resolves_against_the_url_that_answered() {
    let link = Pagination::Link;
    let mut pages = pages(&link, 10);
    let page = fetched(
        "https://y.example/v2/o",
        &[("link", "<o?page=2>; rel=next")],
        "[]",
    );

    let more = pages.go_on(&page, &contents(0, None));

    assert_eq!(more, Ok(true));
    assert_eq!(pages.ask().url, url("https://y.example/v2/o?page=2"));
    assert_eq!(pages.number(), 2);
}

#[test]
fn a_next_url_can_stand_in_a_header() {
    let style = Pagination::NextUrl(PageFrom::Header("x-next".to_owned()));
    let mut pages = pages(&style, 10);

    let more = pages.go_on(
        &fetched(FIRST, &[("x-next", " ?page=2 ")], "[]"),
        &contents(0, None),
    );
    let asked = pages.ask().url.clone();
    let end = pages.go_on(&fetched(FIRST, &[("x-next", "")], "[]"), &contents(0, None));

    assert_eq!(more, Ok(true));
    assert_eq!(asked, url("https://x.example/o?page=2"));
    assert_eq!(end, Ok(false));
}

#[test]
fn a_url_that_comes_again_is_a_loop() {
    let style = in_body();
    let mut pages = pages(&style, 10);
    pages
        .go_on(&fetched(FIRST, &[], "a"), &contents(1, Some("?page=2")))
        .unwrap();

    let looped = pages.go_on(
        &fetched(FIRST, &[], "b"),
        &contents(1, Some("?page=1#again")),
    );

    assert_eq!(
        looped.unwrap_err().to_string(),
        "page 2 of `https://x.example/o` names as next page one that was read already"
    );
}

#[test]
fn a_page_that_comes_again_is_a_loop() {
    let style = in_body();
    let mut pages = pages(&style, 10);
    pages
        .go_on(&fetched(FIRST, &[], "same"), &contents(1, Some("?page=2")))
        .unwrap();

    let looped = pages.go_on(&fetched(FIRST, &[], "same"), &contents(1, Some("?page=3")));

    assert!(
        looped
            .unwrap_err()
            .to_string()
            .contains("repeats the content of an earlier page")
    );
}

#[test]
fn an_empty_page_may_come_again() {
    let style = in_body();
    let mut pages = pages(&style, 10);
    pages
        .go_on(&fetched(FIRST, &[], "[]"), &contents(0, Some("?page=2")))
        .unwrap();

    assert!(
        pages
            .go_on(&fetched(FIRST, &[], "[]"), &contents(0, Some("?page=3")))
            .is_ok()
    );
}

#[test]
fn more_pages_than_allowed_are_refused_and_exactly_as_many_are_not() {
    let style = in_body();
    let mut pages = pages(&style, 2);
    pages
        .go_on(&fetched(FIRST, &[], "a"), &contents(1, Some("?page=2")))
        .unwrap();
    let last = fetched(FIRST, &[], "b");

    let more = self::pages(&style, 1).go_on(&last, &contents(1, Some("?page=3")));

    assert_eq!(pages.go_on(&last, &contents(1, None)), Ok(false));
    assert!(
        matches!(&more, Err(Failure::Protocol(d)) if d.message.ends_with("MAX_PAGES is 1: raise it")),
        "{more:?}"
    );
}

#[test]
fn a_step_down_to_http_is_refused() {
    let style = in_body();
    let mut pages = pages(&style, 10);

    let down = pages.go_on(
        &fetched(FIRST, &[], "a"),
        &contents(1, Some("http://x.example/o?page=2")),
    );

    assert!(
        down.unwrap_err()
            .to_string()
            .contains("a step from https down to http")
    );
}

#[test]
fn a_link_header_that_cannot_be_read_is_not_the_end() {
    let link = Pagination::Link;
    let mut pages = pages(&link, 10);

    let damaged = pages.go_on(
        &fetched(FIRST, &[("link", "/o?page=2; rel=next")], "a"),
        &contents(1, None),
    );

    assert!(matches!(damaged, Err(Failure::Protocol(_))), "{damaged:?}");
}

#[test]
fn a_next_that_is_no_text_is_refused() {
    let style = in_body();
    let number = Contents::new(1, vec![None, Some("3".to_owned())]);

    let refused = pages(&style, 10).go_on(&fetched(FIRST, &[], "a"), &number);

    assert_eq!(
        refused.unwrap_err().to_string(),
        "page 1 of `https://x.example/o` has a number as `/next` (SOURCE_PAGE_FROM), not a URL"
    );
}
