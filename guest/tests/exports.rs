//! Exports against scripted sources: a job is started, waited for, and its results are the pages.

mod world;

use tidegate_guest::ports::{Request, SendError};
use tidegate_guest::{Extent, Failure, Problem, validate};
use world::{Job, NOON, Run, Said, page, status, with_header};

const START: (&str, &str) = ("SOURCE_EXPORT_URL", "https://x.example/jobs");
const POLL: (&str, &str) = ("SOURCE_EXPORT_POLL", "https://x.example/jobs/{export}");
const STATUS: (&str, &str) = (
    "SOURCE_EXPORT_STATUS",
    r#"if .state == "error" then "failed: \(.why)" else {"done":"ready","none":"empty"}[.state // ""] // "wait" end"#,
);

/// A job with an id and a fixed place of its result.
const BY_ID: [(&str, &str); 6] = [
    ("SOURCE_API_URL", "https://x.example/jobs/{export}/results"),
    START,
    ("SOURCE_EXPORT_BODY", r#"{"type":"orders"}"#),
    ("SOURCE_EXPORT_ID", "/id"),
    POLL,
    STATUS,
];

/// A job whose status has a URL of its own, and names those of the results.
const BY_URL: [(&str, &str); 5] = [
    START,
    ("SOURCE_METHOD", "POST"),
    ("SOURCE_EXPORT_ID", "header:Location"),
    STATUS,
    ("SOURCE_EXPORT_RESULT", "/urls"),
];

fn job(base: &[(&str, &str)], more: &[(&str, &str)]) -> Job {
    Job::with(&[base, more].concat())
}

/// A source by path, which is not ready the first time that it is asked.
fn slow(answers: impl Fn(&str) -> Said) -> impl FnMut(&str) -> Said {
    let mut polls = 0;
    move |url| match url.strip_prefix("https://x.example").unwrap_or(url) {
        "/jobs/7" => {
            polls += 1;
            let waits = [r#"{"state":"queued"}"#; 2];
            waits
                .get(polls - 1)
                .map_or_else(|| answers("/jobs/7"), |wait| page(wait))
        }
        other => answers(other),
    }
}

fn by_id(path: &str) -> Said {
    match path {
        "/jobs" => page(r#"{"id":7}"#),
        "/jobs/7" => page(r#"{"state":"done"}"#),
        "/jobs/7/results" => page(r#"[{"id":1},{"id":2}]"#),
        other => panic!("`{other}` is not asked for"),
    }
}

fn records(run: &Run) -> Vec<String> {
    run.folder.lines("records")
}

fn said(run: &Run) -> String {
    run.failure().to_string()
}

#[test]
fn the_result_of_a_job_is_what_is_fetched() {
    let run = job(&BY_ID, &[]).run(slow(by_id));

    assert_eq!(records(&run), [r#"{"id":1}"#, r#"{"id":2}"#]);
    let report = run.report();
    assert_eq!((report.pages, report.fetched), (1, 2));
    assert_eq!(report.extent, Extent::Everything);
    assert_eq!(
        run.asked,
        ["/jobs", "/jobs/7", "/jobs/7", "/jobs/7", "/jobs/7/results"]
            .map(|path| format!("https://x.example{path}"))
    );
    let methods: Vec<&str> = run.sent.iter().map(|sent| sent.method.word()).collect();
    assert_eq!(methods, ["POST", "GET", "GET", "GET", "GET"]);
    assert_eq!(run.posted[0].as_deref(), Some(r#"{"type":"orders"}"#));
    assert_eq!(run.posted[4], None);
    assert_eq!(run.slept_ms, 1000 + 2000 + 4000);
    assert_eq!(
        run.log[..2],
        [
            "`https://x.example/jobs` answered 200 and names the export `7`: waiting for it",
            "the export `7` is ready after 7 s: 1 result"
        ]
    );
}

#[test]
fn pauses_grow_to_the_longest_one_and_a_retry_after_is_obeyed() {
    let mut polls = 0;
    let run = job(&BY_ID, &[("SOURCE_EXPORT_EVERY", "3s")]).run(|url| {
        let said = by_id(url.strip_prefix("https://x.example").unwrap());
        if !url.ends_with("/7") {
            return said;
        }
        polls += 1;
        match polls {
            1..5 => page("{}"),
            5 => with_header(status(202), "retry-after", "20"),
            _ => said,
        }
    });

    assert_eq!(run.slept_ms, 1000 + 2000 + 3000 + 3000 + 3000 + 20_000);
    assert_eq!(records(&run).len(), 2);
}

#[test]
fn results_have_pages_of_their_own_and_csv_is_read() {
    let csv = [("SOURCE_FORMAT", "csv"), ("SOURCE_PAGINATION", "token")];
    let locator = [
        ("SOURCE_PAGE_FROM", "header:Sforce-Locator"),
        ("SOURCE_PAGE_TO", "locator"),
    ];
    let run = job(&job_of(&csv, &locator), &[]).run(slow(|path| match path {
        "/jobs/7/results" => with_header(page("id\n1\n"), "sforce-locator", "MTA"),
        "/jobs/7/results?locator=MTA" => with_header(page("id\n2\n"), "sforce-locator", "null"),
        other => by_id(other),
    }));

    assert_eq!(records(&run), [r#"{"id":"1"}"#, r#"{"id":"2"}"#]);
    assert_eq!(run.report().pages, 2);
}

fn job_of<'s>(a: &[(&'s str, &'s str)], b: &[(&'s str, &'s str)]) -> Vec<(&'s str, &'s str)> {
    [&BY_ID[..], a, b].concat()
}

fn by_url(request: &Request) -> Said {
    match &*request.url {
        "https://x.example/jobs" => with_header(status(202), "location", "/status/a?b=c"),
        "https://x.example/status/a?b=c" => page(
            r#"{"state":"done","urls":["https://files.example/1?sig=s%2F1","https://files.example/2?sig=2"]}"#,
        ),
        "https://files.example/1?sig=s%2F1" => page(r#"[{"id":1}]"#),
        "https://files.example/2?sig=2" => page(r#"[{"id":2}]"#),
        other => panic!("`{other}` is not asked for"),
    }
}

#[test]
fn a_job_has_a_url_and_several_results() {
    let run = job(&BY_URL, &[]).run_with(by_url);

    assert_eq!(records(&run), [r#"{"id":1}"#, r#"{"id":2}"#]);
    assert_eq!(run.report().pages, 2);
    assert_eq!(
        run.log[0],
        "`https://x.example/jobs` answered 202 and names the export at `https://x.example/status/a`: waiting for it"
    );
    assert!(
        run.log.iter().all(|line| !line.contains("sig=")),
        "{:?}",
        run.log
    );
}

#[test]
fn an_own_content_type_is_sent_with_bodies_alone() {
    let own = [(
        "SOURCE_HEADERS",
        "Content-Type: application/vnd.job+json\nX-A: 1",
    )];
    let run = job(&BY_ID, &own).run(slow(by_id));

    let types = run.sent.iter().map(|sent| {
        let found = sent.headers.iter().find(|(name, _)| name == "content-type");
        found.map(|(_, value)| value.as_str())
    });
    let types: Vec<_> = types.collect();
    assert_eq!(types[0], Some("application/vnd.job+json"));
    assert_eq!(types[1..], [None; 4]);
    let has_other = |sent: &Request| sent.headers.contains(&("x-a".to_owned(), "1".to_owned()));
    assert!(run.sent.iter().all(has_other));
}

#[test]
fn the_same_url_starts_and_tells_the_status_by_its_body() {
    let settings = [
        ("SOURCE_API_URL", "https://x.example/"),
        ("SOURCE_EXPORT_URL", "https://x.example/graphql"),
        ("SOURCE_EXPORT_BODY", r#"{"query":"run"}"#),
        (
            "SOURCE_EXPORT_ID",
            ".data.run | .id // (.errors[0].message | capture(\"(?<id>gid:[^.]+)\").id)",
        ),
        ("SOURCE_EXPORT_POLL", "https://x.example/graphql"),
        (
            "SOURCE_EXPORT_POLL_BODY",
            r#"{"query":"node","id":"{export}"}"#,
        ),
        (
            "SOURCE_EXPORT_STATUS",
            r#".data.node | if .status == "COMPLETED" and .url == null then "empty" else {"COMPLETED":"ready"}[.status] // "wait" end"#,
        ),
        ("SOURCE_EXPORT_RESULT", "/data/node/url"),
        ("SOURCE_FORMAT", "ndjson"),
    ];
    let shop = |running: bool, url: &'static str| {
        move |request: &Request| match request.body.as_deref() {
            Some(r#"{"query":"run"}"#) if running => page(
                r#"{"data":{"run":{"id":null,"errors":[{"message":"already in progress: gid://b/1."}]}}}"#,
            ),
            Some(r#"{"query":"run"}"#) => {
                page(r#"{"data":{"run":{"id":"gid://b/1","errors":[]}}}"#)
            }
            Some(r#"{"query":"node","id":"gid://b/1"}"#) => page(&format!(
                r#"{{"data":{{"node":{{"status":"COMPLETED","url":{url}}}}}}}"#
            )),
            None if request.url == "https://files.example/1" => page("{\"id\":1}\n{\"id\":2}\n"),
            other => panic!("{other:?} is not asked"),
        }
    };
    let files = r#""https://files.example/1""#;

    let first = Job::with(&settings).run_with(shop(false, files));
    let second = Job::with(&settings).run_with(shop(true, files));
    let none = Job::with(&settings).run_with(shop(false, "null"));

    assert_eq!(records(&first), [r#"{"id":1}"#, r#"{"id":2}"#]);
    assert_eq!(records(&second), records(&first));
    assert_eq!(none.report().fetched, 0);
    assert_eq!(none.asked.len(), 2);
}

#[test]
fn a_conflict_names_a_job_where_the_program_asks_for_the_status() {
    let conflict = |status: u16, body: &'static str| {
        move |url: &str| match url.strip_prefix("https://x.example").unwrap() {
            "/jobs" => page(body).map(|mut answer| {
                answer.status = status;
                answer
            }),
            other => by_id(other),
        }
    };
    let any = [(
        "SOURCE_EXPORT_ID",
        r#"if $status == 425 then .detail | capture("(?<id>[0-9]+)$").id else .id end"#,
    )];
    let same = [("SOURCE_EXPORT_ID", ".id | select($status)")];
    let mut base = BY_ID.to_vec();
    base.retain(|(name, _)| *name != "SOURCE_EXPORT_ID");

    let named = job(&base, &same).run(conflict(409, r#"{"id":7,"why":"is running"}"#));
    // It may be another's, with another query.
    let foreign = job(&BY_ID, &[]).run(conflict(409, r#"{"id":7,"why":"is running"}"#));
    let duplicate = job(&base, &any).run(conflict(425, r#"{"detail":"is a duplicate of 7"}"#));
    let unnamed = job(&BY_ID, &[]).run(conflict(409, r#"{"why":"too many jobs"}"#));
    let other = job(&BY_ID, &[]).run(conflict(400, r#"{"id":7}"#));

    assert!(matches!(foreign.failure(), Failure::Refused(detail) if detail.status == Some(409)));
    assert_eq!(records(&named).len(), 2);
    assert_eq!(
        named.log[0],
        "`https://x.example/jobs` answered 409 and names the export `7`: waiting for it"
    );
    assert_eq!(records(&duplicate).len(), 2);
    assert!(matches!(unnamed.failure(), Failure::Refused(detail) if detail.status == Some(409)));
    assert_eq!(
        said(&unnamed),
        r#"`https://x.example/jobs` answered 409: `{"why":"too many jobs"}`"#
    );
    assert!(matches!(other.failure(), Failure::Refused(_)));
}

#[test]
fn a_job_that_failed_fails_the_run_in_the_words_of_the_source() {
    let run = job(&BY_ID, &[]).run(|url| match url {
        "https://x.example/jobs/7" => page(r#"{"state":"error","why":"no such column"}"#),
        _ => page(r#"{"id":"7"}"#),
    });

    assert!(matches!(run.failure(), Failure::Protocol(_)));
    assert_eq!(
        said(&run),
        r#"the export `7` failed: SOURCE_EXPORT_STATUS gives `failed: no such column`: `{"state":"error","why":"no such column"}`"#
    );
}

#[test]
fn a_job_that_is_never_ready_is_waited_for_no_longer_than_allowed() {
    let forever = |url: &str| match url {
        "https://x.example/jobs" => page(r#"{"id":7}"#),
        _ => page("{}"),
    };
    let long = |url: &str| match url {
        "https://x.example/jobs" => page(r#"{"id":7}"#),
        _ => with_header(page("{}"), "retry-after", "3600"),
    };
    let set = [("SOURCE_EXPORT_WAIT", "2m")];

    let run = job(&BY_ID, &set).run(forever);
    let default = job(&BY_ID, &[("RUN_DEADLINE", "10m")]).run(forever);
    let asked = job(&BY_ID, &set).run(long);

    assert!(matches!(run.failure(), Failure::Unavailable(_)));
    assert_eq!(
        said(&run),
        "the export `7` is not ready after 91 s, and SOURCE_EXPORT_WAIT is 120 s: the next run starts the export again"
    );
    assert!(default.slept_ms <= 480_000 && default.slept_ms > 420_000);
    assert!(said(&asked).contains("is not ready after 1 s"));
    assert!(
        matches!(asked.failure(), Failure::Unavailable(detail) if detail.retry_after_seconds == Some(3600))
    );
}

#[test]
fn requests_are_tried_again_as_any_other_and_called_by_their_own_settings() {
    let mut asked = 0;
    let run = job(&BY_ID, &[]).run(|url| {
        asked += 1;
        match asked {
            1 => Err(SendError::Unreachable("no route".to_owned())),
            3 => status(503),
            _ => by_id(url.strip_prefix("https://x.example").unwrap()),
        }
    });
    let refused = job(&BY_ID, &[]).run(|_| status(405));
    let denied = job(&BY_ID, &[]).run(|_| Err(SendError::Denied("not granted".to_owned())));
    let circle = job(&BY_ID, &[]).run(|url| match url {
        "https://x.example/jobs" => page(r#"{"id":7}"#),
        url => with_header(status(302), "location", &format!("{url}a")),
    });
    let down = job(&BY_ID, &[("MAX_RETRIES", "0")]).run(|_| status(500));

    assert_eq!(records(&run).len(), 2);
    let warned: Vec<&str> = run
        .log
        .iter()
        .filter(|line| line.starts_with("warn: "))
        .map(|line| line.split(", waiting").next().unwrap())
        .collect();
    assert_eq!(
        warned,
        [
            "warn: export: cannot reach `https://x.example/jobs`: no route",
            "warn: export: `https://x.example/jobs/7` answered 503"
        ]
    );
    assert!(said(&refused).ends_with("SOURCE_EXPORT_BODY makes the request a POST: leave it out if the API takes a GET, or set SOURCE_METHOD=GET"), "{}", said(&refused));
    assert!(matches!(denied.failure(), Failure::Denied(_)));
    assert_eq!(
        said(&denied),
        "cannot get `https://x.example/jobs`: not granted"
    );
    assert!(
        said(&circle).ends_with("redirects for more than 5 times"),
        "{}",
        said(&circle)
    );
    assert_eq!(said(&down), "`https://x.example/jobs` answered 500");
}

#[test]
fn what_a_source_names_leads_nowhere_else() {
    let named = |id: &'static str| {
        job(&BY_ID, &[]).run(move |url| match url {
            "https://x.example/jobs" => page(&format!(r#"{{"id":"{id}"}}"#)),
            _ => status(404),
        })
    };
    let located = |location: &'static str| {
        job(&BY_URL, &[]).run(move |_| with_header(status(201), "location", location))
    };
    let result = |url: &'static str| {
        job(&BY_URL, &[]).run(move |asked| match asked {
            "https://x.example/jobs" => with_header(status(201), "location", "/s"),
            _ => page(&format!(r#"{{"state":"done","urls":{url}}}"#)),
        })
    };

    assert_eq!(
        named("../../admin?a=b#c").asked[1],
        "https://x.example/jobs/..%2F..%2Fadmin%3Fa%3Db%23c"
    );
    assert_eq!(named("a{cursor}").asked.len(), 1);
    let dots = named("..");
    assert_eq!(dots.asked.len(), 1);
    assert!(said(&dots).contains("names the job `..`, which cannot be in the path of a URL"));
    for (location, why) in [
        ("7", "which is no URL: set SOURCE_EXPORT_POLL"),
        (
            "http://y.example/",
            "has a downgrade from https to http as SOURCE_EXPORT_ID",
        ),
        (
            "https://u:p@x.example/",
            "has a URL with a user name in it as SOURCE_EXPORT_ID",
        ),
    ] {
        let run = located(location);
        assert!(said(&run).contains(why), "{}", said(&run));
        assert_eq!(run.asked.len(), 1);
    }
    for (url, why) in [
        (
            r#""http://y.example/""#,
            "has a downgrade from https to http as SOURCE_EXPORT_RESULT",
        ),
        (
            r#"["https://y.example/","https://u:p@x.example/"]"#,
            "has a URL with a user name in it",
        ),
        (
            r#""file:///etc/passwd""#,
            "has a `file` URL, not http or https",
        ),
        (r#"{"a":1}"#, "has no URL of a result"),
        ("[]", "let SOURCE_EXPORT_STATUS give `empty`"),
        ("null", "let SOURCE_EXPORT_STATUS give `empty`"),
        (r#"["https://y.example/",7]"#, "has no URL of a result"),
    ] {
        let run = result(url);
        assert!(matches!(run.failure(), Failure::Protocol(_)));
        assert!(said(&run).contains(why), "{url}: {}", said(&run));
        assert_eq!(run.asked.len(), 2);
    }
}

#[test]
fn an_answer_that_says_nothing_is_no_status() {
    let started = |body: &'static str| job(&BY_ID, &[]).run(move |_| page(body));
    let polled = |said: fn() -> Said| {
        job(&BY_ID, &[]).run(move |url| match url {
            "https://x.example/jobs" => page(r#"{"id":7}"#),
            _ => said(),
        })
    };

    assert!(
        said(&started("{}")).contains("answered 200 and names no job (SOURCE_EXPORT_ID): `{}`"),
        "{}",
        said(&started("{}"))
    );
    assert!(said(&started("")).contains("names no job"));
    assert!(said(&started("[1]")).contains("SOURCE_EXPORT_ID"));
    assert!(said(&started(r#"{"id":{}}"#)).contains("names an object as the job"));
    let html = said(&polled(|| page("<html><title>Log in</title></html>")));
    assert!(
        html.contains("SOURCE_EXPORT_STATUS cannot be asked of what is not JSON"),
        "{html}"
    );
    assert!(html.contains("titled `Log in`"), "{html}");
    let gone = polled(|| status(404));
    assert!(matches!(gone.failure(), Failure::Refused(_)));
    let large = polled(|| page(&format!("\"{}\"", "x".repeat(4 << 20))));
    assert!(matches!(large.failure(), Failure::Protocol(_)));
    let mut odd = job(&BY_URL, &[]);
    odd.settings.retain(|(name, _)| *name != STATUS.0);
    let state = (STATUS.0.to_owned(), "/state".to_owned());
    odd.settings.push(state);
    let odd = odd.run(|url| match url {
        "https://x.example/o" | "https://x.example/jobs" => {
            with_header(status(201), "location", "/s")
        }
        _ => page(r#"{"state":"DONE"}"#),
    });
    assert!(
        said(&odd).contains(
            "SOURCE_EXPORT_STATUS gives `\"DONE\"`, not `wait`, `ready`, `empty` or `failed`"
        ),
        "{}",
        said(&odd)
    );
}

#[test]
fn a_program_with_the_status_is_asked_of_redirects_and_refusals() {
    let settings = [
        START,
        ("SOURCE_METHOD", "POST"),
        ("SOURCE_EXPORT_ID", "header:Location"),
        (
            "SOURCE_EXPORT_STATUS",
            r#"if $status == 303 then "ready" elif $status == 410 then "failed: gone" else "wait" end"#,
        ),
        ("SOURCE_EXPORT_RESULT", "header:Location"),
    ];
    let then = |last: u16| {
        let mut polls = 0;
        Job::with(&settings).run(move |url| match url {
            "https://x.example/jobs" => with_header(status(303), "location", "/s"),
            "https://x.example/s" => {
                polls += 1;
                match polls {
                    1 => status(404),
                    _ => with_header(status(last), "location", "/file"),
                }
            }
            _ => page(r#"[{"id":1}]"#),
        })
    };

    assert_eq!(records(&then(303)), [r#"{"id":1}"#]);
    assert!(said(&then(410)).contains("failed: SOURCE_EXPORT_STATUS gives `failed: gone`"));
    assert!(matches!(then(401).failure(), Failure::Denied(_)));
}

const SINCE: [(&str, &str); 3] = [
    ("SOURCE_CURSOR", "/u"),
    ("SOURCE_CURSOR_KIND", "rfc3339"),
    ("SOURCE_LOOKBACK", "0s"),
];

fn since(body: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut settings = BY_ID.to_vec();
    settings.retain(|(name, _)| *name != "SOURCE_EXPORT_BODY");
    settings.push(("SOURCE_EXPORT_BODY", body));
    settings
}

#[test]
fn the_cursor_is_in_the_request_that_starts_the_job() {
    let dated = |path: &str| match path {
        "/jobs/7/results" => with_header(
            page(r#"[{"id":1,"u":"2026-11-20T00:00:00Z"}]"#),
            "etag",
            "\"a\"",
        ),
        other => by_id(other),
    };
    let by_place = [
        SINCE.as_slice(),
        &[
            ("SOURCE_CURSOR_TO", "/from"),
            ("SOURCE_CURSOR_START", "2026-01-01T00:00:00Z"),
        ],
    ]
    .concat();
    let by_mark = [
        SINCE.as_slice(),
        &[("SOURCE_CURSOR_START", "2026-01-01T00:00:00Z")],
    ]
    .concat();
    let place = job(&since(r#"{"from":null}"#), &by_place);
    let mark = job(&since(r#"{"where":"u >= {cursor}"}"#), &by_mark);

    let first = place.run(slow(dated));
    let second = place
        .clone()
        .after(&first.report().state)
        .run(slow(|path| match path {
            "/jobs/7/results" => page("[]"),
            other => dated(other),
        }));
    let marked = mark.run(slow(dated));

    assert_eq!(
        first.posted[0].as_deref(),
        Some(r#"{"from":"2026-01-01T00:00:00Z"}"#)
    );
    assert_eq!(
        second.posted[0].as_deref(),
        Some(r#"{"from":"2026-11-20T00:00:00Z"}"#)
    );
    assert_eq!(second.report().extent, Extent::Changes);
    assert_eq!(
        second.asked.len(),
        5,
        "no question is asked to check the cursor"
    );
    let conditions = second.sent.iter().flat_map(|sent| &sent.headers);
    assert_eq!(
        conditions
            .filter(|(name, _)| name.starts_with("if-"))
            .count(),
        0
    );
    assert_eq!(
        marked.posted[0].as_deref(),
        Some(r#"{"where":"u >= 2026-01-01T00:00:00Z"}"#)
    );
}

#[test]
fn each_window_and_each_value_is_an_export() {
    let windows = [
        ("SOURCE_CURSOR_TO", "/from"),
        ("SOURCE_CURSOR_END_TO", "/to"),
        ("SOURCE_WINDOW", "2d"),
        ("SOURCE_CURSOR_START", "2026-11-20T00:00:00Z"),
    ];
    let windows = [SINCE.as_slice(), &windows].concat();
    let windowed = job(&since(r#"{"from":"","to":""}"#), &windows).run(|url| {
        match url.strip_prefix("https://x.example").unwrap() {
            "/jobs/7/results" => page(r#"[{"id":1,"u":"2026-11-20T00:00:00Z"}]"#),
            other => by_id(other),
        }
    });
    let mut settings = since(r#"{"account":"{each}"}"#);
    settings.retain(|(name, _)| *name != "SOURCE_API_URL");
    settings.extend([
        ("SOURCE_API_URL", "https://x.example/{each}/{export}"),
        ("SOURCE_EACH", "de,f/r"),
    ]);
    let each = Job::with(&settings).run_with(|request| match &*request.url {
        "https://x.example/jobs" => {
            page(if request.body.as_deref() == Some(r#"{"account":"de"}"#) {
                r#"{"id":"de-1"}"#
            } else {
                r#"{"id":"fr-1"}"#
            })
        }
        url if url.starts_with("https://x.example/jobs/") => page(r#"{"state":"done"}"#),
        "https://x.example/de/de-1" => page(r#"[{"id":1}]"#),
        "https://x.example/f%2Fr/fr-1" => page(r#"[{"id":2}]"#),
        other => panic!("`{other}` is not asked for"),
    });

    let started: Vec<&str> = windowed
        .posted
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    assert_eq!(started.len(), 2, "{started:?}");
    assert_eq!(
        started[0],
        r#"{"from":"2026-11-20T00:00:00Z","to":"2026-11-22T00:00:00Z"}"#
    );
    assert_eq!(records(&each), [r#"{"id":1}"#, r#"{"id":2}"#]);
    assert_eq!(
        each.log[0],
        "`de`: `https://x.example/jobs` answered 200 and names the export `de-1`: waiting for it"
    );
}

#[test]
fn a_sorted_result_is_not_left_in_the_middle() {
    let sorted = [
        ("SOURCE_CURSOR_TO", "/from"),
        ("SOURCE_CURSOR_ORDER", "asc"),
        ("SOURCE_PAGINATION", "page"),
        ("SOURCE_PAGE_TO", "page"),
        ("RUN_DEADLINE", "100s"),
    ];
    let sorted = [SINCE.as_slice(), &sorted].concat();
    let mut job = job(&since(r#"{"from":null}"#), &sorted);
    job.request.portions = true;
    job.answer_ms = 14_000;
    job.unix_seconds = NOON;
    let run = job.run(|url| match url.strip_prefix("https://x.example").unwrap() {
        "/jobs/7/results?page=1" => page(r#"[{"id":1,"u":"2026-11-20T00:00:00Z"}]"#),
        "/jobs/7/results?page=2" => page(r#"[{"id":2,"u":"2026-11-21T00:00:00Z"}]"#),
        "/jobs/7/results?page=3" => page(r#"[{"id":3,"u":"2026-11-22T00:00:00Z"}]"#),
        "/jobs/7/results?page=4" => page("[]"),
        other => by_id(other),
    });

    assert_eq!(records(&run).len(), 3);
    assert!(!run.report().more);
}

fn problems(settings: &[(&str, &str)]) -> Vec<String> {
    let named = |problem: Problem| format!("{} {}", problem.setting, problem.message);
    let env: Vec<(String, String)> = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    validate(&env).into_iter().map(named).collect()
}

/// The problems of an export whose job is named by its id, with other settings.
fn with(more: &[(&str, &str)]) -> Vec<String> {
    let is_own = |(name, _): &(&str, &str)| more.iter().any(|(own, _)| own == name);
    let mut settings = BY_ID.to_vec();
    settings.retain(|pair| !is_own(pair));
    settings.extend(more);
    problems(&settings)
}

/// A setting, a value that it cannot have with an export, and how the problem begins; empty where it can.
const WRONG: &[(&str, &str, &str)] = &[
    (
        "SOURCE_EXPORT_BODY",
        "{",
        "SOURCE_EXPORT_BODY is not one JSON value",
    ),
    (
        "SOURCE_EXPORT_BODY",
        r#"{"a":"{export}"}"#,
        "SOURCE_EXPORT_BODY `{export}` is not replaced here",
    ),
    ("SOURCE_EXPORT_BODY", r#"{"a":"{cursor}"}"#, ""),
    (
        "SOURCE_EXPORT_URL",
        "https://y.example/",
        "SOURCE_EXPORT_URL is on another origin than SOURCE_API_URL",
    ),
    (
        "SOURCE_EXPORT_URL",
        "https://u:p@x.example/",
        "SOURCE_EXPORT_URL has a user name in it",
    ),
    (
        "SOURCE_EXPORT_POLL",
        "http://x.example/{export}",
        "SOURCE_EXPORT_POLL is on another origin",
    ),
    (
        "SOURCE_EXPORT_POLL",
        "jobs/{export}",
        "SOURCE_EXPORT_POLL is not a URL",
    ),
    (
        "SOURCE_EXPORT_POLL_BODY",
        "{",
        "SOURCE_EXPORT_POLL_BODY is not one JSON value",
    ),
    (
        "SOURCE_EXPORT_ID",
        "header:a b",
        "SOURCE_EXPORT_ID `a b` is not a header's name",
    ),
    (
        "SOURCE_EXPORT_ID",
        "id",
        "SOURCE_EXPORT_ID `id` is not a JSON Pointer",
    ),
    (
        "SOURCE_EXPORT_STATUS",
        ".[",
        "SOURCE_EXPORT_STATUS `.[` is not a jq program",
    ),
    (
        "SOURCE_EXPORT_RESULT",
        "/url",
        "SOURCE_EXPORT_RESULT has no effect with `{export}` in SOURCE_API_URL",
    ),
    (
        "SOURCE_EXPORT_EVERY",
        "1ms",
        "SOURCE_EXPORT_EVERY is not a time from",
    ),
    (
        "SOURCE_EXPORT_WAIT",
        "15m",
        "SOURCE_EXPORT_WAIT is not a time from `1s` to less than RUN_DEADLINE",
    ),
    (
        "SOURCE_EXPORT_WAIT",
        "0s",
        "SOURCE_EXPORT_WAIT is not a time",
    ),
    (
        "SOURCE_API_URL",
        "https://x.example/{export}?a={cursor}",
        "SOURCE_API_URL `{cursor}` is replaced in SOURCE_EXPORT_URL and SOURCE_EXPORT_BODY",
    ),
    (
        "SOURCE_BODY",
        "{}",
        "SOURCE_BODY has no effect with SOURCE_EXPORT_URL",
    ),
    (
        "SOURCE_EACH_URL",
        "https://x.example/p",
        "SOURCE_EACH_URL does not work with SOURCE_EXPORT_URL",
    ),
    (
        "SOURCE_EMPTY_ON",
        "404",
        "SOURCE_EMPTY_ON does not work with SOURCE_EXPORT_URL",
    ),
    (
        "SOURCE_CURSOR_CHECK",
        "no",
        "SOURCE_CURSOR_CHECK has no effect with SOURCE_EXPORT_URL",
    ),
    (
        "SOURCE_HEADERS",
        "X-A: {export}",
        "SOURCE_HEADERS `{export}` is not replaced here",
    ),
];

#[test]
fn half_of_the_settings_are_refused_with_what_is_missing() {
    assert_eq!(with(&[]), [""; 0]);
    assert_eq!(
        with(&[("SOURCE_EXPORT_URL", "")]),
        [
            "SOURCE_EXPORT_BODY has no effect without SOURCE_EXPORT_URL",
            "SOURCE_EXPORT_ID has no effect without SOURCE_EXPORT_URL",
            "SOURCE_EXPORT_POLL has no effect without SOURCE_EXPORT_URL",
            "SOURCE_EXPORT_STATUS has no effect without SOURCE_EXPORT_URL",
            "SOURCE_API_URL `{export}` has no value: set SOURCE_EXPORT_URL",
        ]
    );
    assert_eq!(
        problems(&[START, ("SOURCE_API_URL", "https://x.example/")]),
        [
            "SOURCE_EXPORT_ID is not set: say where the first answer names the job, such as `/id` or `header:Location`",
            "SOURCE_EXPORT_STATUS is not set: give a jq program that makes `wait`, `ready`, `empty` or `failed` of an answer",
            "SOURCE_EXPORT_RESULT is not set: say where the last answer names the URL of the result, or write `{export}` into SOURCE_API_URL",
        ]
    );
    assert_eq!(
        problems(&[START])[0],
        "SOURCE_API_URL is not set: give the URL of the API, or of the result"
    );
    assert_eq!(
        with(&[("SOURCE_EXPORT_POLL", "")]),
        [
            "SOURCE_EXPORT_POLL is not set: give the URL that is asked for the status, with `{export}` in it"
        ]
    );
}

#[test]
fn what_does_not_fit_an_export_is_refused() {
    for (name, value, why) in WRONG {
        let found = with(&[(*name, *value)]);
        let is_as_expected = match *why {
            "" => found.is_empty(),
            why => found.iter().any(|problem| problem.starts_with(why)),
        };
        // Without SOURCE_CURSOR, a place of the cursor is a problem of its own.
        assert!(
            is_as_expected || value.contains("cursor"),
            "{name}={value}: {found:?}"
        );
    }
    assert!(
        with(&[("SOURCE_PAGINATION", "page"), ("SOURCE_PAGE_TO", "/page")])
            .iter()
            .any(|problem| problem
                .starts_with("SOURCE_PAGE_TO has no effect with SOURCE_EXPORT_URL"))
    );
    let since = [
        ("SOURCE_CURSOR", "/u"),
        ("SOURCE_CURSOR_TO", "header:If-Modified-Since"),
    ];
    assert!(with(&since).iter().any(|problem| {
        problem.starts_with("SOURCE_CURSOR_TO does not work with SOURCE_EXPORT_URL")
    }));
    let parallel = [
        ("SOURCE_PARALLEL", "4"),
        ("SOURCE_EACH", "a,b"),
        ("SOURCE_EXPORT_BODY", r#"["{each}"]"#),
    ];
    assert_eq!(
        with(&parallel),
        [
            "SOURCE_PARALLEL has no effect with SOURCE_EXPORT_URL: exports are started one after the other"
        ]
    );
}
