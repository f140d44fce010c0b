//! Each style on its own: what the first request carries, and what leads on.

use super::NEXT;
use super::led::{LAST, MORE, SHORT, SIZE, Sent, TOKEN, body, led};

#[test]
fn strings_and_integers_are_tokens_and_nothing_ends() {
    let led_by = |page| led(&TOKEN, &[body(page)]).pop().unwrap();

    assert_eq!(led_by(r#"{"items":[],"next":"a b"}"#), "page=1&after=a%20b");
    assert_eq!(led_by(r#"{"items":[],"next":-7}"#), "page=1&after=-7");
    for nothing in [
        r#"{"items":[{}]}"#,
        r#"{"items":[{}],"next":null}"#,
        r#"{"items":[{}],"next":false}"#,
        r#"{"items":[{}],"next":""}"#,
    ] {
        assert_eq!(led_by(nothing), "end", "{nothing}");
    }
    assert!(
        led_by(r#"{"items":[],"next":1.5}"#)
            .contains("a fraction as `/next` (SOURCE_PAGE_FROM), not a token")
    );
    assert!(led_by(r#"{"items":[],"next":{}}"#).contains("an object as `/next`"));
}

#[test]
fn a_token_can_stand_in_a_header_and_go_into_the_body() {
    let pairs = [
        ("SOURCE_PAGINATION", "token"),
        ("SOURCE_PAGE_FROM", "header:X-Next"),
        ("SOURCE_PAGE_TO", "/variables/after"),
        ("SOURCE_BODY", r#"{"variables":{"after":null}}"#),
    ];
    let page = Sent {
        headers: &[("x-next", " c1 ")],
        ..body(r#"{"items":[]}"#)
    };

    assert_eq!(
        led(&pairs, &[page, body(r#"{"items":[]}"#)]),
        [
            r#"{"variables":{"after":null}}"#,
            r#"{"variables":{"after":"c1"}}"#,
            "end"
        ]
    );
}

#[test]
fn a_token_that_comes_again_is_a_loop() {
    let led = led(
        &TOKEN,
        &[
            body(r#"{"items":[{}],"next":"a"}"#),
            body(r#"{"items":[{}, {}],"next":"b"}"#),
            body(r#"{"items":[{}, {}, {}],"next":"a"}"#),
        ],
    );

    assert!(
        led[3].ends_with("page 3 of `https://x.example/o` names a next page that was read already"),
        "{led:?}"
    );
}

#[test]
fn the_last_record_leads_on_until_a_page_is_empty_or_short() {
    let of = |text, last| Sent {
        last: Some(last),
        ..body(text)
    };
    let full = of(r#"{"items":[{},{}]}"#, "\"ch_2\"");
    let short = of(r#"{"items":[{}]}"#, "3");

    assert_eq!(
        led(&LAST, &[full, short, body(r#"{"items":[]}"#)]),
        ["page=1", "page=1&after=ch_2", "page=1&after=3", "end"]
    );
    assert_eq!(
        led(&[LAST.as_slice(), &[SIZE, SHORT]].concat(), &[full, short]),
        ["page=1", "page=1&after=ch_2", "end"]
    );
    assert_eq!(
        led(
            &[LAST.as_slice(), &[SIZE, MORE]].concat(),
            &[of(r#"{"items":[{}],"more":true}"#, "1")]
        )[1],
        "page=1&after=1"
    );
}

#[test]
fn a_last_record_that_leads_nowhere_is_broken() {
    let led_by = |last| {
        led(
            &LAST,
            &[Sent {
                last,
                ..body(r#"{"items":[{}]}"#)
            }],
        )
        .pop()
        .unwrap()
    };

    assert!(led_by(None).contains("has a last record without `/id` (SOURCE_PAGE_FROM)"));
    assert!(led_by(Some("null")).contains("has a last record without `/id`"));
    assert!(
        led_by(Some("[1]"))
            .contains("has an array, not a string or an integer, in its last record as `/id`")
    );
}

#[test]
fn pages_are_numbered_from_the_first_until_one_is_empty() {
    let page = [("SOURCE_PAGINATION", "page")];
    let from_zero = [page[0], ("SOURCE_PAGE_FIRST", "0"), ("SOURCE_PAGE_TO", "p")];
    let (full, other, none) = (
        body(r#"{"items":[{},{}]}"#),
        body(r#"{"items":[{}]}"#),
        body(r#"{"items":[]}"#),
    );

    assert_eq!(
        led(&page, &[full, other, none]),
        ["page=1", "page=2", "page=3", "end"]
    );
    assert_eq!(led(&from_zero, &[none]), ["page=1&p=0", "end"]);
    assert_eq!(
        led(&[page[0], SIZE, SHORT], &[full, other]),
        ["page=1", "page=2", "end"]
    );
}

#[test]
fn the_size_is_sent_along_when_something_takes_it() {
    let pairs = [
        ("SOURCE_PAGINATION", "page"),
        ("SOURCE_BODY", "{}"),
        ("SOURCE_PAGE_TO", "/p"),
        ("SOURCE_PAGE_SIZE_TO", "/s"),
        SIZE,
    ];

    assert_eq!(
        led(&pairs, &[body(r#"{"items":[{},{}]}"#)]),
        [r#"{"s":2,"p":1}"#, r#"{"s":2,"p":2}"#]
    );
}

#[test]
fn offsets_grow_by_what_came() {
    let offset = [("SOURCE_PAGINATION", "offset")];
    let (full, other, none) = (
        body(r#"{"items":[{},{}]}"#),
        body(r#"{"items":[{}]}"#),
        body(r#"{"items":[]}"#),
    );

    assert_eq!(
        led(&offset, &[full, other, none]),
        [
            "page=1&offset=0",
            "page=1&offset=2",
            "page=1&offset=3",
            "end"
        ]
    );
    assert_eq!(led(&[offset[0], SIZE, SHORT], &[full, other])[2], "end");
}

#[test]
fn a_next_url_repeats_the_body() {
    let pairs = [NEXT[0], ("SOURCE_BODY", r#"{"q":1}"#)];

    let led = led(&pairs, &[body(r#"{"items":[{}],"next":"?page=2"}"#)]);

    assert_eq!(led[1], r#"{"q":1}"#);
}
