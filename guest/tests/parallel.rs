//! Requests at the same time (SOURCE_PARALLEL): how many there are, and that nothing else is different.

mod world;

use tidegate_guest::ports::Request;
use tidegate_guest::validate;
use world::{Job, Run, Said, page, parameter, status, with_header};

const NUMBERED: [(&str, &str); 5] = [
    ("SOURCE_PAGINATION", "page"),
    ("SOURCE_PAGE_SIZE", "10"),
    ("SOURCE_RECORDS", "/items"),
    ("SOURCE_TOTAL", "/total"),
    ("PRIMARY_KEY", "/id"),
];
const COUNTED: (&str, &str) = ("SOURCE_PAGINATION", "offset");

fn with(settings: &[(&str, &str)], parallel: &str) -> Job {
    Job::with(&[settings, &[("SOURCE_PARALLEL", parallel)]].concat())
}

/// Records `from..to`, of so many in all.
fn items(from: u64, to: u64, total: u64) -> Said {
    let items: Vec<String> = (from..to.min(total))
        .map(|id| format!("{{\"id\":{id}}}"))
        .collect();
    page(&format!(
        "{{\"items\":[{}],\"total\":{total}}}",
        items.join(",")
    ))
}

/// So many records in pages of ten.
fn paged(total: u64) -> impl FnMut(&str) -> Said {
    move |url| {
        if let Some(offset) = parameter(url, "offset") {
            let offset = offset.parse().unwrap();
            return items(offset, offset + 10, total);
        }
        let number: u64 = parameter(url, "page").unwrap().parse().unwrap();
        items((number - 1) * 10, number * 10, total)
    }
}

/// All that a run leaves behind, but for its log.
fn left(run: &Run) -> String {
    format!("{:?} {:?} {:?}", run.outcome, run.folder.files, run.sent)
}

/// A run of these settings is the same with one request at a time and with several, of which there are `most`.
fn is_the_same<F: FnMut(&Request) -> Said>(
    settings: &[(&str, &str)],
    source: impl Fn() -> F,
    most: usize,
) -> Run {
    let one = with(settings, "1").run_with(source());
    let several = with(settings, "8").run_with(source());

    assert_eq!(left(&several), left(&one));
    assert!(one.ahead_max <= 1);
    assert_eq!(several.ahead_max, most);
    several
}

#[test]
fn numbered_and_counted_pages_are_asked_for_ahead_and_staged_in_order() {
    for total in [0, 1, 10, 11, 95, 100, 101] {
        let pages = usize::try_from(total)
            .unwrap()
            .div_ceil(10)
            .saturating_sub(1);
        for settings in [&NUMBERED[..], &[&NUMBERED[1..], &[COUNTED]].concat()[..]] {
            let one = with(settings, "1").run(paged(total));
            let several = with(settings, "8").run(paged(total));

            assert_eq!(left(&several), left(&one), "{total}");
            assert!(several.ahead_max <= 8);
            assert!(several.ahead_max >= pages.min(8), "{total}");
        }
    }
}

#[test]
fn without_a_total_pages_are_asked_for_one_by_one() {
    let settings = [("SOURCE_PAGINATION", "page"), ("SOURCE_PAGE_SIZE", "10")];
    let problems = validate(&with(&settings, "2").settings);

    assert!(
        problems[0]
            .message
            .starts_with("has an effect only with SOURCE_EACH"),
        "{problems:?}"
    );
}

#[test]
fn a_page_that_is_shorter_than_the_others_ends_what_is_foreseen() {
    let settings = [&NUMBERED[1..], &[COUNTED]].concat();
    let source = || {
        |request: &Request| {
            let offset: u64 = parameter(&request.url, "offset").unwrap().parse().unwrap();
            let size = if offset < 20 { 10 } else { 7 };
            items(offset, offset + size, 95)
        }
    };

    is_the_same(&settings, source, 8);
}

#[test]
fn a_request_that_fails_is_made_again_while_the_others_stay() {
    let source = || {
        let mut failed = false;
        move |request: &Request| {
            if request.url.contains("page=4") && !std::mem::replace(&mut failed, true) {
                return status(503);
            }
            paged(95)(&request.url)
        }
    };

    is_the_same(&NUMBERED, source, 8);
}

#[test]
fn a_page_that_cannot_be_had_ends_the_run_in_the_same_way() {
    let settings = [&NUMBERED[..], &[("MAX_RETRIES", "0")]].concat();
    let source = || {
        |request: &Request| {
            if request.url.contains("page=4") {
                return status(500);
            }
            paged(95)(&request.url)
        }
    };

    let run = is_the_same(&settings, source, 8);

    assert!(run.failure().to_string().contains("answered 500 on page 4"));
}

#[test]
fn values_are_asked_for_ahead() {
    let settings = [
        ("SOURCE_API_URL", "https://x.example/{each}/o"),
        ("SOURCE_EACH", "a,b,c,d,e,f,g,h,i,j,k"),
        ("SOURCE_PAGINATION", "link"),
        ("SOURCE_CURSOR", "/at"),
        ("SOURCE_CURSOR_KIND", "integer"),
    ];
    let source = || {
        |request: &Request| {
            let said = page(r#"[{"at":1}]"#);
            if request.url.ends_with("/c/o") {
                return with_header(said, "link", "<?page=2>; rel=next");
            }
            if request.url.ends_with("page=2") {
                return page(r#"[{"at":2}]"#);
            }
            said
        }
    };

    is_the_same(&settings, source, 8);
}

#[test]
fn parents_are_asked_for_their_records_ahead_and_may_be_gone() {
    let settings = [
        ("SOURCE_API_URL", "https://x.example/p/{each}"),
        ("SOURCE_EACH_URL", "https://x.example/p"),
        ("SOURCE_EACH_VALUE", "/id"),
        ("TRANSFORM", "{of: $each, id}"),
    ];
    let source = || {
        |request: &Request| match request.url.split('/').nth(4) {
            None => page(&format!(
                "[{}]",
                (1..20)
                    .map(|id| format!("{{\"id\":{id}}}"))
                    .collect::<Vec<_>>()
                    .join(",")
            )),
            Some("3" | "7") => status(404),
            Some(id) => page(&format!(r#"[{{"id":"{id}"}}]"#)),
        }
    };

    is_the_same(&settings, source, 8);
}

#[test]
fn one_rate_holds_for_all_requests() {
    let settings = [&NUMBERED[..], &[("SOURCE_RATE", "10")]].concat();

    let run = with(&settings, "4").run(paged(100));

    let requests = run.sent.len() as u64;
    assert_eq!(run.slept_ms, (requests - 1) * 100);
    assert_eq!(run.ahead_max, 4);
}

#[test]
fn no_more_requests_begin_than_the_source_has_left() {
    let limited = |left: &'static str| {
        with(&NUMBERED, "8").run(move |url| {
            let said = with_header(paged(100)(url), "ratelimit-remaining", left);
            with_header(said, "ratelimit-reset", "5")
        })
    };

    assert_eq!(limited("3").ahead_max, 3);
    let none = limited("0");
    assert_eq!(none.ahead_max, 0);
    assert!(none.slept_ms >= 5000 * (none.sent.len() as u64 - 1));
}
