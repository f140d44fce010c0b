//! What ends a fetch, and what must not.

use super::led::{LAST, MORE, SIZE, Sent, TOKEN, TOTAL, body, led};
use super::*;

#[test]
fn a_page_that_says_there_is_no_more_is_the_last_of_any_style() {
    let page = Sent {
        headers: &[("link", "<?page=2>; rel=next")],
        last: Some("1"),
        ..body(r#"{"items":[{}],"next":"a","more":false}"#)
    };
    let styles: [&[(&str, &str)]; 6] = [
        &LINK,
        &NEXT,
        &TOKEN,
        &LAST,
        &[("SOURCE_PAGINATION", "page")],
        &[("SOURCE_PAGINATION", "offset")],
    ];
    for style in styles {
        for said in [
            r#""more":false"#,
            r#""more":null"#,
            r#""else":1"#,
            r#""more":"false""#,
        ] {
            let text = page.body.replace(r#""more":false"#, said);
            let page = Sent {
                body: &text,
                ..page
            };
            assert_eq!(
                led(&[style, &[MORE]].concat(), &[page])[1],
                "end",
                "{style:?}"
            );
        }
    }
}

#[test]
fn a_page_that_says_there_is_more_and_not_where_is_broken() {
    let page = r#"{"items":[],"more":true}"#;
    let styles: [&[(&str, &str)]; 6] = [
        &[],
        &LINK,
        &NEXT,
        &TOKEN,
        &LAST,
        &[("SOURCE_PAGINATION", "offset")],
    ];
    for style in styles {
        let led = led(&[style, &[MORE]].concat(), &[body(page)]);
        assert!(
            led[1].contains("says by `/more` (SOURCE_PAGE_MORE) that there is more, but not where"),
            "{led:?}"
        );
    }
    let neither = led(
        &[TOKEN.as_slice(), &[MORE]].concat(),
        &[body(r#"{"items":[],"more":1}"#)],
    );
    assert!(neither[1].contains("neither true nor false as `/more`"));
}

#[test]
fn a_total_ends_numbered_pages_when_it_is_reached() {
    for style in ["page", "offset"] {
        let pairs = [("SOURCE_PAGINATION", style), TOTAL];
        let page = |items| format!(r#"{{"items":[{items}],"total":3}}"#);
        let led = led(&pairs, &[body(&page("{},{}")), body(&page("{}"))]);
        assert_eq!(led[2], "end");
        assert_eq!(led.len(), 3);
    }
}

#[test]
fn a_short_first_page_is_the_last_unless_the_source_says_there_is_more() {
    for style in ["page", "offset"] {
        let pairs = [("SOURCE_PAGINATION", style), ("SOURCE_PAGE_SIZE", "100")];
        let page = body(r#"{"items":[{},{}],"total":5,"more":true}"#);
        assert_eq!(led(&pairs, &[page])[1], "end");
        assert_ne!(led(&[pairs[0], pairs[1], TOTAL], &[page])[1], "end");
        assert_ne!(led(&[pairs[0], pairs[1], MORE], &[page])[1], "end");
    }
}

#[test]
fn an_empty_page_that_says_there_is_more_is_passed_where_that_is_possible() {
    let page = body(r#"{"items":[],"more":true}"#);

    assert_eq!(
        led(&[("SOURCE_PAGINATION", "page"), MORE], &[page])[1],
        "page=2"
    );
    assert_eq!(
        led(&[("SOURCE_PAGINATION", "offset"), SIZE, MORE], &[page])[1],
        "page=1&offset=2"
    );
}

#[test]
fn fewer_records_than_were_said_to_be_there_are_no_whole_fetch() {
    let of = |total| format!(r#"{{"items":[{{}}],"total":{total}}}"#);
    let (three, two, one, none) = (of("3"), of("\"2\""), of("1"), of("null"));
    let link = [LINK[0], TOTAL];

    let led_by = |text: &String| led(&link, &[body(text)]).pop().unwrap();

    assert_eq!(led_by(&one), "end");
    assert_eq!(
        led_by(&three),
        "page 1 of `https://x.example/o` is the last one, but the run fetched 1 record of the 3 in `/total` (SOURCE_TOTAL): check SOURCE_PAGINATION"
    );
    assert!(led_by(&two).contains("the run fetched 1 record of the 2"));
    assert!(led_by(&none).contains("no page had a number as `/total`"));
    assert!(led_by(&of("-1")).contains("has no number of records as `/total`"));
    let least = led(
        &[LINK[0], TOTAL],
        &[
            Sent {
                headers: &[("link", "<?page=2>; rel=next")],
                ..body(&three)
            },
            body(&two),
        ],
    );
    assert_eq!(
        least[2], "end",
        "the least total counts: rows may have gone"
    );
}

#[test]
fn a_total_and_a_flag_can_stand_in_headers() {
    let pairs = [
        ("SOURCE_PAGINATION", "page"),
        ("SOURCE_TOTAL", "header:X-Total-Count"),
        ("SOURCE_PAGE_MORE", "header:X-More"),
    ];
    let page = |more| Sent {
        headers: more,
        ..body(r#"{"items":[{}]}"#)
    };

    assert_eq!(
        led(
            &pairs,
            &[page(&[("x-total-count", "2"), ("x-more", "true")])]
        )[1],
        "page=2"
    );
    assert_eq!(
        led(
            &pairs,
            &[page(&[("x-total-count", "1"), ("x-more", "false")])]
        )[1],
        "end"
    );
}

#[test]
fn ten_pages_of_nothing_new_are_a_circle() {
    let settings = settings(&TOKEN);
    let mut pages = pages(&settings);
    let mut stale = |at: usize, news| {
        let text = format!("page {at}");
        let contents = Contents::new(1, vec![None, Some(at.to_string())]);
        let seen = Seen {
            news,
            ..Seen::default()
        };
        pages.go_on(Page {
            fetched: &fetched(FIRST, &[], &text),
            contents: &contents,
            seen: &seen,
        })
    };
    // Nine in a row are none, and a new record begins the count anew.
    for at in 1..=20 {
        assert_eq!(stale(at, at == 1 || at == 11), Ok(true));
    }

    let circle = stale(21, false);

    assert!(
        circle
            .unwrap_err()
            .to_string()
            .contains("has only records of earlier pages (10 such pages in a row)")
    );
}
