//! What ends a fetch, and what must not.

use super::led::{LAST, MORE, SIZE, Sent, TOKEN, TOTAL, body, led};
use super::*;
use crate::source::page::Instead;

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
fn a_short_first_page_is_the_last_where_it_is_said_to_be_unless_the_source_says_there_is_more() {
    for style in ["page", "offset"] {
        let pairs = [
            ("SOURCE_PAGINATION", style),
            ("SOURCE_PAGE_SIZE", "100"),
            ("SOURCE_PAGE_SHORT", "last"),
        ];
        let page = body(r#"{"items":[{},{}],"total":5,"more":true}"#);
        assert_eq!(led(&pairs, &[page])[1], "end");
        assert_ne!(led(&[&pairs[..], &[TOTAL]].concat(), &[page])[1], "end");
        assert_ne!(led(&[&pairs[..], &[MORE]].concat(), &[page])[1], "end");
    }
}

#[test]
fn a_short_page_alone_is_not_the_end() {
    let empty = body(r#"{"items":[]}"#);
    for style in ["page", "offset"] {
        let pairs = [("SOURCE_PAGINATION", style), ("SOURCE_PAGE_SIZE", "3")];
        let (full, short) = (
            body(r#"{"items":[{},{},{}]}"#),
            body(r#"{"items":[{},{}]}"#),
        );

        // Short pages in between show that the source filters them: an empty one alone is not the end either.
        let led = led(&pairs, &[short, full, short, empty, empty, empty]);

        assert_eq!(led.len(), 7);
        assert_eq!(led[6], "end");
        assert!(!led[..6].contains(&"end".to_owned()), "{led:?}");
    }
}

#[test]
fn an_empty_page_is_the_end_where_no_page_shows_that_the_source_filters_them() {
    let (two, empty) = (body(r#"{"items":[{},{}]}"#), body(r#"{"items":[]}"#));
    let others = body(r#"{"items":[{}, {}]}"#);
    for style in ["page", "offset"] {
        // Of a source that caps pages at two, and of one that has two records.
        for sent in [[two, others, empty].as_slice(), &[two, empty]] {
            let pairs = [("SOURCE_PAGINATION", style), ("SOURCE_PAGE_SIZE", "250")];

            assert_eq!(led(&pairs, sent).last().unwrap(), "end");
        }
    }
}

#[test]
fn an_empty_page_is_passed_while_records_are_missing_that_were_said_to_be_there() {
    for (style, position) in [("page", "page=3"), ("offset", "page=1&offset=4")] {
        let pairs = [("SOURCE_PAGINATION", style), SIZE, TOTAL];
        let page = |items| format!(r#"{{"items":[{items}],"total":3}}"#);
        let (two, none, one) = (page("{},{}"), page(""), page("{}"));

        let led = led(&pairs, &[body(&two), body(&none), body(&one)]);

        assert_eq!(led[2], position);
        assert_eq!(led[3], "end", "what an offset passed is no record");
    }
}

#[test]
fn a_source_that_falls_silent_did_not_lose_what_it_said_to_have() {
    let pairs = [("SOURCE_PAGINATION", "page"), TOTAL];
    for total in ["0", "3"] {
        let none = format!(r#"{{"items":[],"total":{total}}}"#);
        let mut sent = vec![body(r#"{"items":[{},{}],"total":3}"#)];
        sent.extend([body(&none); 11]);

        let led = led(&pairs, &sent);

        assert!(!led[..12].contains(&"end".to_owned()), "{led:?}");
        assert!(led[12].contains("2 records of the 3"), "{led:?}");
    }
}

#[test]
fn a_first_page_of_a_round_count_may_have_a_total_of_its_own() {
    for (records, end) in [(20, false), (21, true)] {
        let settings = settings(&[
            ("SOURCE_PAGINATION", "page"),
            ("SOURCE_PAGE_SIZE", "250"),
            TOTAL,
        ]);
        let mut pages = pages(&settings);
        let contents = Contents::new(records, vec![None, Some(records.to_string())]);

        let goes_on = go_on(&mut pages, &fetched(FIRST, &[], "a page"), &contents);

        assert_eq!(goes_on, Ok(!end), "{records}");
    }
}

#[test]
fn without_key_and_size_no_page_of_an_offset_may_begin_with_what_came_before() {
    for (pairs, expected) in [
        ([].as_slice(), Expect::Another),
        (&[SIZE], Expect::Anything),
        (&[("PRIMARY_KEY", "/id")], Expect::Last),
    ] {
        let settings = settings(&[&[("SOURCE_PAGINATION", "offset")], pairs].concat());
        let mut pages = pages(&settings);

        go_on(
            &mut pages,
            &fetched(FIRST, &[], "a page"),
            &Contents::new(2, vec![None]),
        )
        .unwrap();

        assert_eq!(pages.expect(), expected);
    }
}

#[test]
fn a_total_that_is_reached_by_a_full_page_is_asked_about_once_more() {
    for style in ["page", "offset"] {
        let pairs = [
            ("SOURCE_PAGINATION", style),
            ("SOURCE_PAGE_SIZE", "250"),
            TOTAL,
        ];
        let page = |items| format!(r#"{{"items":[{items}],"total":4}}"#);
        let (two, others, none) = (page("{},{}"), page("{}, {}"), page(""));

        // The source caps pages at two: neither of them is short.
        let led = led(&pairs, &[body(&two), body(&others), body(&none)]);

        assert_eq!(led.len(), 4);
        assert_ne!(led[2], "end");
        assert_eq!(led[3], "end");
    }
}

#[test]
fn more_records_than_were_said_to_be_there_are_fetched_and_warned_of() {
    let settings = settings(&[("SOURCE_PAGINATION", "page"), TOTAL]);
    let mut pages = pages(&settings);
    let mut fetch = |at: usize, records| {
        let contents = Contents::new(records, vec![None, Some("4".to_owned())]);
        let page = fetched(FIRST, &[], &format!("page {at}"));
        (go_on(&mut pages, &page, &contents), pages.warnings())
    };

    for at in 1..=3 {
        assert_eq!(fetch(at, 2), (Ok(true), vec![]), "{at}");
    }
    assert_eq!(
        fetch(4, 0),
        (
            Ok(false),
            vec![
                "warn: the run fetched 6 records, more than the 4 in `/total` (SOURCE_TOTAL): it is capped, or counts something else"
                    .to_owned()
            ]
        )
    );
}

#[test]
fn a_total_is_read_from_texts_and_from_content_range() {
    let pairs = [LINK[0], ("SOURCE_TOTAL", "header:Content-Range")];
    let led_by = |range| {
        let headers = [("content-range", range)];
        let page = Sent {
            headers: &headers,
            ..body(r#"{"items":[{}]}"#)
        };
        led(&pairs, &[page]).pop().unwrap()
    };

    assert_eq!(led_by("items 0-0/1"), "end");
    for (range, said) in [
        ("items 0-24/319", "1 record of the 319"),
        ("0-24/319", "1 record of the 319"),
        ("*/319", "1 record of the 319"),
        ("1,319", "1 record of the 1319"),
        ("items 0-24/*", "no page had a number"),
        ("24/319", "has no number of records"),
        ("1,31", "has no number of records"),
        ("many", "has no number of records"),
    ] {
        assert!(led_by(range).contains(said), "{range}: {}", led_by(range));
    }
}

/// What a refusal means after these pages: the end, or what the failure says.
fn refused(pairs: &[(&str, &str)], sizes: &[u64], total: Option<&str>, status: u16) -> String {
    let settings = settings(&[&[("SOURCE_PAGINATION", "page")], pairs].concat());
    let mut pages = pages(&settings);
    for (at, records) in sizes.iter().enumerate() {
        let contents = Contents::new(*records, vec![None, total.map(str::to_owned)]);
        let page = fetched(FIRST, &[], &format!("page {at}"));
        assert_eq!(go_on(&mut pages, &page, &contents), Ok(true));
    }
    let detail = Detail {
        message: "refused".to_owned(),
        status: Some(status),
        retry_after_seconds: None,
    };
    let failure = match status {
        204 => Failure::Protocol(detail),
        _ => Failure::Refused(detail),
    };
    match pages.refused(failure) {
        Ok(()) => "end".to_owned(),
        Err(failure) => failure.to_string(),
    }
}

#[test]
fn a_refusal_after_a_short_page_is_the_end_and_after_a_full_one_it_is_not() {
    let size = ("SOURCE_PAGE_SIZE", "2");
    for status in [400, 404, 416, 422] {
        assert_eq!(refused(&[], &[2, 1], None, status), "end");
        assert_eq!(refused(&[size], &[1], None, status), "end");
        for (pairs, sizes) in [
            ([].as_slice(), [2, 2].as_slice()),
            (&[size], &[2]),
            // It was asked for more than it ever sends: that is no short page.
            (&[("SOURCE_PAGE_SIZE", "250")], &[2, 2]),
            (&[], &[1]),
        ] {
            let said = refused(pairs, sizes, None, status);
            assert!(
                said.starts_with("refused; ")
                    && said.contains("SOURCE_TOTAL")
                    && said.contains("SOURCE_PAGE_MORE"),
                "{said}"
            );
        }
    }
    for status in [405, 410] {
        assert_ne!(refused(&[], &[2, 1], None, status), "end");
    }
    assert_eq!(refused(&[], &[], None, 404), "refused");
    assert_eq!(refused(&[], &[2], None, 204), "end");
}

#[test]
fn a_refusal_is_no_end_while_records_are_missing_and_is_one_when_all_came() {
    let (short, reached) = (
        refused(&[TOTAL], &[2, 1], Some("7"), 404),
        refused(&[TOTAL], &[2, 2], Some("4"), 404),
    );

    assert!(short.contains("fetched 3 records of the 7"), "{short}");
    assert_eq!(reached, "end");
}

#[test]
fn a_source_that_refuses_to_go_beyond_a_round_total_is_not_at_its_end() {
    let said = |status| refused(&[TOTAL], &[500, 500], Some("1000"), status);

    assert!(said(400).contains("SOURCE_TOTAL is reached, but it may be capped"));
    assert_eq!(said(404), "end");
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

#[test]
fn a_last_empty_page_that_repeats_the_token_sent_is_the_end() {
    let led = led(
        &TOKEN,
        &[
            body(r#"{"items":[{}],"next":"a"}"#),
            body(r#"{"items":[],"next":"a"}"#),
        ],
    );

    assert_eq!(led[2], "end");
}

#[test]
fn a_page_that_names_itself_is_the_end_if_it_has_nothing_new_and_otherwise_broken() {
    let page = |news, total: Option<&str>| {
        let pairs: &[(&str, &str)] = if total.is_some() { &[TOTAL] } else { &[] };
        let settings = settings(&[&NEXT, pairs].concat());
        let mut pages = pages(&settings);
        let next = |to: &str| Some(format!("\"?page={to}\""));
        let mut go_on = |at, next, records, news| {
            let values = vec![None, next, total.map(str::to_owned)];
            let seen = Seen {
                news,
                ..Seen::default()
            };
            pages.go_on(Page {
                fetched: &fetched(FIRST, &[], at),
                contents: &Contents::new(records, values),
                seen: &seen,
            })
        };
        assert_eq!(go_on("first", next("2"), 1, true), Ok(true));
        (go_on("second", next("2"), 1, news), pages.is_echo())
    };

    assert_eq!(page(false, None), (Ok(false), true));
    assert_eq!(page(true, Some("2")), (Ok(false), false));
    for total in [None, Some("3")] {
        let (broken, _) = page(true, total);
        let text = broken.unwrap_err().to_string();
        assert!(
            text.contains("names a next page that was read already: itself")
                && text.contains("SOURCE_PAGE_MORE"),
            "{text}"
        );
    }
    let (short, _) = page(false, Some("3"));
    assert!(short.unwrap_err().to_string().contains("1 record of the 3"));
}

#[test]
fn a_number_beyond_the_end_may_bring_the_last_page_again() {
    let again = |sizes: &[u64], pairs: &[(&str, &str)]| {
        let settings = settings(&[&[("SOURCE_PAGINATION", "page")], pairs].concat());
        let mut pages = pages(&settings);
        for (at, records) in sizes.iter().enumerate() {
            let page = fetched(FIRST, &[], &format!("page {at}"));
            go_on(&mut pages, &page, &Contents::new(*records, vec![None])).unwrap();
        }
        let last = sizes.len() - 1;
        let page = fetched(FIRST, &[], &format!("page {last}"));
        let seen = Seen::default();
        let contents = Contents::new(sizes[last], vec![None]);
        let mut again = || {
            let page = Page {
                fetched: &page,
                contents: &contents,
                seen: &seen,
            };
            (pages.go_on(page).ok(), pages.is_echo())
        };
        [again(), again()]
    };

    // Once more, since rows that were put in may bring known records, too.
    let end = [(Some(true), true), (Some(false), true)];
    let broken = [(None, false); 2];
    assert_eq!(again(&[2, 1], &[]), end);
    assert_eq!(again(&[7], &[("SOURCE_PAGE_SIZE", "250")]), end);
    assert_eq!(again(&[2, 2], &[]), broken, "a full page");
    assert_eq!(
        again(&[100], &[("SOURCE_PAGE_SIZE", "250")]),
        broken,
        "a page that may be capped, of a source that does not heed the number"
    );
}

#[test]
fn a_record_that_an_offset_brings_twice_counts_once_against_the_total() {
    // Of `H a H H b`, two rows a page: `a`, `a` again, none, `b`.
    let pairs = [
        ("SOURCE_PAGINATION", "offset"),
        ("PRIMARY_KEY", "/id"),
        SIZE,
        TOTAL,
    ];
    let settings = settings(&pairs);
    let mut pages = pages(&settings);
    let mut step = |body: &str, fresh, records| {
        let page = fetched(FIRST, &[], body);
        let contents = Contents::new(records, vec![None, Some("2".to_owned())]);
        let seen = Seen {
            news: fresh > 0,
            fresh,
            ..Seen::default()
        };
        pages
            .go_on(Page {
                fetched: &page,
                contents: &contents,
                seen: &seen,
            })
            .unwrap()
    };

    assert!(step("a", 1, 1));
    assert!(step("a", 0, 1));
    assert!(
        step("", 0, 0),
        "one record came, and two were said to be there"
    );
    assert!(step("b", 1, 1));
    assert!(!step("b", 0, 0));
}

#[test]
fn an_answer_that_means_no_records_is_no_end_where_the_page_before_named_it() {
    let place = Place {
        page: 2,
        url: FIRST.to_owned(),
        content_type: None,
    };
    let ended = |pairs: &[(&str, &str)], values: Vec<Option<String>>| {
        let settings = settings(pairs);
        let mut pages = pages(&settings);
        assert!(pages.end_at_nothing(&place).is_ok());
        let page = fetched(FIRST, &[("link", "<?page=2>; rel=next")], "one");
        assert_eq!(
            go_on(&mut pages, &page, &Contents::new(3, values)),
            Ok(true)
        );
        let refused = Failure::Refused(Detail {
            message: "refused".to_owned(),
            status: Some(404),
            retry_after_seconds: None,
        });
        (pages.end_at_nothing(&place), pages.refused(refused))
    };
    let numbered = ("SOURCE_PAGINATION", "page");

    for (pairs, values) in [
        (LINK.as_slice(), vec![None]),
        (&[numbered, MORE], vec![None, Some("true".to_owned())]),
    ] {
        let (nothing, refused) = ended(pairs, values);
        let why = nothing.unwrap_err().to_string();
        assert!(
            why.contains("the page before it says that there is this one"),
            "{why}"
        );
        assert!(refused.is_err());
    }
    assert!(ended(&[numbered], vec![None]).0.is_ok());
    let (nothing, _) = ended(&[numbered, TOTAL], vec![None, Some("9".to_owned())]);
    assert!(
        nothing
            .unwrap_err()
            .to_string()
            .contains("3 records of the 9")
    );
}

#[test]
fn what_stands_in_place_of_the_array_fits_the_pages_before_it() {
    let second = |instead, next: Option<&str>| {
        let settings = settings(&NEXT);
        let mut pages = pages(&settings);
        let first = Contents::new(3, vec![None, Some("\"?page=2\"".to_owned())]);
        let page = fetched(FIRST, &[], "one");
        assert_eq!(go_on(&mut pages, &page, &first), Ok(true));
        let records = u64::from(instead == Instead::Object);
        let mut contents = Contents::new(records, vec![None, next.map(str::to_owned)]);
        contents.instead = Some(instead);
        go_on(&mut pages, &fetched(FIRST, &[], "two"), &contents)
    };

    let why = second(Instead::Null, None).unwrap_err().to_string();
    assert!(
        why.contains("nothing in it says that it is the last"),
        "{why}"
    );
    assert_eq!(second(Instead::Null, Some("null")), Ok(false));
    let why = second(Instead::Object, Some("null"))
        .unwrap_err()
        .to_string();
    assert!(why.contains("has an object in place of the array"), "{why}");
}
