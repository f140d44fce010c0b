//! How a source is paged: what the settings say, and what cannot work together.

use super::{problems, read};
use crate::source::{PageFrom, Style, To};
use tidegate_json::Pointer;

#[test]
fn next_urls_stand_at_next_in_a_header_or_where_it_is_said() {
    let from = |pairs: &[(&str, &str)]| {
        let fixed = [
            ("SOURCE_PAGINATION", "next-url"),
            ("SOURCE_RECORDS", "/items"),
        ];
        read(&[&fixed, pairs].concat()).pagination.style
    };
    let body = |text: &str| Style::NextUrl(PageFrom::Body(Pointer::parse(text).unwrap()));

    assert_eq!(from(&[]), body("/next"));
    assert_eq!(
        from(&[("SOURCE_PAGE_FROM", "/links/next")]),
        body("/links/next")
    );
    assert_eq!(
        from(&[("SOURCE_PAGE_FROM", "header:X-Next")]),
        Style::NextUrl(PageFrom::Header("x-next".to_owned()))
    );
}

#[test]
fn a_next_url_in_the_body_needs_to_know_where_the_records_are() {
    let missing = problems(&[("SOURCE_PAGINATION", "next-url")]);
    let same = problems(&[
        ("SOURCE_PAGINATION", "next-url"),
        ("SOURCE_RECORDS", "/next"),
    ]);

    assert!(
        missing[0].starts_with(
            "SOURCE_RECORDS: is not set, but SOURCE_PAGE_FROM reads `/next` in the body"
        ),
        "{missing:?}"
    );
    assert!(
        same[0].starts_with("SOURCE_PAGE_FROM: `/next` is where the records are"),
        "{same:?}"
    );
}

#[test]
fn a_token_goes_from_a_place_to_another() {
    let style = read(&[
        ("SOURCE_PAGINATION", "token"),
        ("SOURCE_RECORDS", "/results"),
        ("SOURCE_PAGE_FROM", "/next_cursor"),
        ("SOURCE_BODY", "{}"),
        ("SOURCE_PAGE_TO", "/start_cursor"),
    ])
    .pagination
    .style;

    assert_eq!(
        style,
        Style::Token {
            from: PageFrom::Body(Pointer::parse("/next_cursor").unwrap()),
            to: To::Body(Pointer::parse("/start_cursor").unwrap()),
        }
    );
}

#[test]
fn a_style_says_what_it_needs() {
    let missing = |style| {
        let problems = problems(&[("SOURCE_PAGINATION", style)]);
        problems
            .iter()
            .map(|problem| problem.split(':').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };

    assert_eq!(missing("token"), ["SOURCE_PAGE_FROM", "SOURCE_PAGE_TO"]);
    assert_eq!(
        missing("last-record"),
        ["SOURCE_PAGE_FROM", "SOURCE_PAGE_TO"]
    );
    assert_eq!(missing("page"), [""; 0]);
    assert_eq!(missing("offset"), [""; 0]);
    assert!(
        problems(&[("SOURCE_PAGINATION", "cursor")])[0]
            .contains("not one of `none`, `link`, `next-url`, `token`")
    );
}

#[test]
fn a_place_that_takes_a_value_must_be_there() {
    let problem = |to: &str, body: &str| {
        problems(&[
            ("SOURCE_PAGINATION", "page"),
            ("SOURCE_PAGE_TO", to),
            ("SOURCE_BODY", body),
        ])
        .remove(0)
    };

    assert!(problem("/p", "").contains("is a place in SOURCE_BODY, which is not set"));
    assert!(problem("/a/b/c", r#"{"a":{}}"#).contains("has no parent in SOURCE_BODY"));
    assert!(problem("/a", r#"{"a":{}}"#).contains("is an object in SOURCE_BODY"));
    assert!(problem("header:X Page", "{}").contains("is not a header's name"));
    assert!(problem("header:Host", "{}").contains("is for the connection"));
    assert!(problem("header:Authorization", "{}").contains("carries a credential"));
    assert!(problem("form:page", "{}").contains("set SOURCE_BODY_FORMAT=form"));
    assert!(problem("form:page", "").contains("set SOURCE_BODY_FORMAT=form"));
}

#[test]
fn a_form_takes_values_in_its_fields() {
    let problem = |to: &str| {
        problems(&[
            ("SOURCE_PAGINATION", "page"),
            ("SOURCE_PAGE_TO", to),
            ("SOURCE_BODY", "page=1"),
            ("SOURCE_BODY_FORMAT", "form"),
        ])
    };

    assert_eq!(problem("form:page"), [""; 0]);
    assert_eq!(problem("header:X-Page"), [""; 0]);
    assert!(problem("/page")[0].contains("name the field as `form:page`"));
    assert!(problem("form:")[0].contains("names no field"));
}

#[test]
fn one_header_takes_one_value() {
    let both = [
        ("SOURCE_PAGINATION", "page"),
        ("SOURCE_PAGE_TO", "header:X-At"),
        ("SOURCE_CURSOR", "/at"),
        ("SOURCE_CURSOR_TO", "header:x-at"),
    ];

    assert!(problems(&both)[0].contains("is the same as SOURCE_CURSOR_TO"));
}

#[test]
fn a_size_and_what_takes_it_fit_each_other() {
    assert!(
        problems(&[("SOURCE_PAGE_SIZE_TO", "limit")])[0]
            .starts_with("SOURCE_PAGE_SIZE: is not set, but SOURCE_PAGE_SIZE_TO sends it")
    );
    assert!(problems(&[("SOURCE_PAGE_SIZE", "0")])[0].contains("from 1 to 1000000"));
    let same = [
        ("SOURCE_PAGINATION", "page"),
        ("SOURCE_PAGE_SIZE", "9"),
        ("SOURCE_PAGE_SIZE_TO", "page"),
    ];
    assert!(problems(&same)[0].contains("is the same as SOURCE_PAGE_TO"));
    let cursor = [
        ("SOURCE_PAGINATION", "offset"),
        ("SOURCE_CURSOR", "/seq"),
        ("SOURCE_CURSOR_TO", "offset"),
    ];
    assert!(problems(&cursor)[0].contains("is the same as SOURCE_CURSOR_TO"));
    assert_eq!(problems(&[("SOURCE_PAGE_SIZE", "9")]), [""; 0]);
}

#[test]
fn what_a_style_does_not_read_is_refused() {
    for (style, name, value) in [
        ("none", "SOURCE_PAGE_FROM", "/next"),
        ("link", "SOURCE_PAGE_TO", "page"),
        ("next-url", "SOURCE_PAGE_TO", "page"),
        ("token", "SOURCE_PAGE_FIRST", "0"),
        ("page", "SOURCE_PAGE_FROM", "/next"),
        ("offset", "SOURCE_PAGE_FIRST", "0"),
    ] {
        let problems = problems(&[
            ("SOURCE_RECORDS", "/items"),
            ("SOURCE_PAGINATION", style),
            (name, value),
        ]);
        let expected = format!("{name}: has no effect with SOURCE_PAGINATION `{style}`: remove it");
        assert!(problems.contains(&expected), "{problems:?}");
    }
}

#[test]
fn whatever_is_read_of_a_body_besides_the_records_needs_to_know_where_they_are() {
    for name in ["SOURCE_PAGE_MORE", "SOURCE_TOTAL"] {
        assert!(problems(&[(name, "/x")])[0].starts_with("SOURCE_RECORDS: is not set, but"));
        assert!(
            problems(&[(name, "/x"), ("SOURCE_RECORDS", "/x")])[0]
                .contains("is where the records are")
        );
        assert!(problems(&[(name, "x")])[0].contains("write `/x`"));
        assert_eq!(problems(&[(name, "header:X-Y")]), [""; 0]);
    }
}
