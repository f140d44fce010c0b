//! What a source does, with which settings, and how a run of it must end.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::server::{Reply, Request};

/// A setting: `{server}` in its value stands for the origin of the source.
type Settings = &'static [(&'static str, &'static str)];

/// One job of a scripted source.
pub struct Scenario {
    pub name: &'static str,
    /// The answer to a request, of which so many came before.
    pub answer: fn(&Request, usize) -> Reply,
    pub settings: Settings,
    /// How often it runs into the same folder.
    pub runs: usize,
    pub ends: Outcome,
    /// Part of the line of a refusal.
    pub says: &'static str,
}

const fn publishes(
    name: &'static str,
    settings: Settings,
    answer: fn(&Request, usize) -> Reply,
) -> Scenario {
    Scenario {
        name,
        answer,
        settings,
        runs: 1,
        ends: Outcome::Published,
        says: "",
    }
}

const fn refuses(
    name: &'static str,
    ends: Outcome,
    says: &'static str,
    settings: Settings,
    answer: fn(&Request, usize) -> Reply,
) -> Scenario {
    Scenario {
        ends,
        says,
        ..publishes(name, settings, answer)
    }
}

pub const SCENARIOS: &[Scenario] = &[
    publishes(
        "link",
        &[("SOURCE_PAGINATION", "link")],
        |request, _| match request.query("page").as_deref() {
            None => Reply::new(200, records(1..=2).to_string())
                .next("/items?page=2")
                .chunked(7),
            Some("2") => Reply::new(200, records(3..=4).to_string()).next("{server}/items?page=3"),
            _ => Reply::new(200, records(5..=5).to_string()).closing(),
        },
    ),
    publishes(
        "page",
        &[
            ("SOURCE_PAGINATION", "page"),
            ("SOURCE_PAGE_SIZE", "1000"),
            ("SOURCE_PAGE_SIZE_TO", "per_page"),
        ],
        |request, _| {
            let page: usize = request
                .query("page")
                .map_or(1, |page| page.parse().unwrap());
            let first = (page - 1) * 1000 + 1;
            let long = |id: usize| json!({"id": id, "text": "ü ".repeat(id % 200)});
            let page: Vec<Value> = (first..=2500).take(1000).map(long).collect();
            Reply::new(200, Value::from(page).to_string()).chunked(10_007)
        },
    ),
    publishes(
        "offset",
        &[
            ("SOURCE_PAGINATION", "offset"),
            ("SOURCE_PAGE_SIZE", "2"),
            ("SOURCE_PAGE_SIZE_TO", "limit"),
            ("SOURCE_RECORDS", "/items"),
            ("SOURCE_TOTAL", "/total"),
        ],
        |request, _| {
            let from: u64 = request
                .query("offset")
                .map_or(0, |from| from.parse().unwrap());
            let items = records(from + 1..=5.min(from + 2));
            Reply::new(200, json!({"total": 5, "items": items}).to_string())
        },
    ),
    publishes(
        "token",
        &[
            ("SOURCE_PAGINATION", "token"),
            ("SOURCE_PAGE_FROM", "/next"),
            ("SOURCE_PAGE_TO", "after"),
            ("SOURCE_RECORDS", "/items"),
        ],
        |request, _| match request.query("after").as_deref() {
            None => Reply::new(
                200,
                json!({"items": records(1..=2), "next": "a b&c=+"}).to_string(),
            ),
            Some("a b&c=+") => Reply::new(
                200,
                json!({"items": records(3..=3), "next": null}).to_string(),
            ),
            _ => Reply::new(400, ""),
        },
    ),
    publishes(
        "next-url",
        &[
            ("SOURCE_PAGINATION", "next-url"),
            ("SOURCE_RECORDS", "/items"),
        ],
        |request, _| match request.path() {
            "/items" => Reply::new(
                200,
                format!(
                    r#"{{"next": "{{server}}/more", "items": {}}}"#,
                    records(1..=2)
                ),
            ),
            _ => Reply::new(200, json!({"items": records(3..=4)}).to_string()),
        },
    ),
    publishes(
        "last-record",
        &[
            ("SOURCE_PAGINATION", "last-record"),
            ("SOURCE_PAGE_FROM", "/id"),
            ("SOURCE_PAGE_TO", "after"),
            ("SOURCE_PAGE_SIZE", "2"),
            ("SOURCE_PAGE_SIZE_TO", "limit"),
        ],
        |request, _| {
            let after: u64 = request
                .query("after")
                .map_or(0, |after| after.parse().unwrap());
            Reply::new(200, records(after + 1..=5.min(after + 2)).to_string())
        },
    ),
    publishes(
        "post",
        &[
            ("SOURCE_BODY", r#"{"query":"é","limit":2,"after":null}"#),
            ("SOURCE_PAGINATION", "token"),
            ("SOURCE_PAGE_FROM", "/next"),
            ("SOURCE_PAGE_TO", "/after"),
            ("SOURCE_RECORDS", "/items"),
        ],
        |request, _| {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            match (request.method.as_str(), body["after"].as_str()) {
                ("POST", None) => Reply::new(
                    200,
                    json!({"items": records(1..=2), "next": "two"}).to_string(),
                ),
                ("POST", Some("two")) => {
                    Reply::new(200, json!({"items": records(3..=4)}).to_string())
                }
                _ => Reply::new(400, ""),
            }
        },
    ),
    publishes("retries", &[], |_, before| match before {
        0 => Reply::new(500, "oh"),
        1 => Reply::new(429, "").header("retry-after", "0"),
        2 => Reply::new(200, records(1..=3).to_string()).cut_after(20),
        _ => Reply::new(200, records(1..=3).to_string()),
    }),
    publishes("redirect", &[], |request, _| match request.path() {
        "/items" => Reply::new(302, "").header("location", "/moved?to=here"),
        "/moved" => Reply::new(307, "").header("location", "{server}/there"),
        _ => Reply::new(200, records(1..=2).to_string()),
    }),
    publishes("numbers", &[], |_, _| {
        let body = r#" [ {"id" : 1.10, "big":123456789012345678901234567890 },
            {"id":9007199254740993,"small":-0.0,"far":1E+400, "near":1e-7}
        , {"id":-0, "deep":[1.0,{"a":[ ]},[ 2 , 3.000 ]]} ]"#;
        Reply::new(200, body)
    }),
    publishes("text", &[], |_, _| {
        let body = r#"[{"a":"é\u0000\n\t\"\\\/","b":"\ud83c\udf0a 🌊","é\u00e9":"\u2028  ","c":""},
            {"a":"a b  c","e":"e\u0301 é","empty":{},"null":null,"a b":[true,false]}]"#;
        Reply::new(200, body).chunked(1)
    }),
    publishes(
        "transform",
        &[(
            "TRANSFORM",
            r#".id as $order | .lines[] | select(.n > 0) | {order: $order, n, price, label: ("\(.name // "none")" | ascii_upcase)}"#,
        )],
        |_, _| {
            let body = r#"[{"id":9007199254740993,"lines":[{"n":1,"price":1.10,"name":"a"},{"n":0},{"n":2.50,"price":1e2}]},
                {"id":2,"lines":[]},{"id":3,"lines":[{"n":3,"price":null,"name":"ü"}]}]"#;
            Reply::new(200, body)
        },
    ),
    publishes(
        "schema",
        &[
            (
                "SOURCE_SCHEMA",
                r#"{"type":"object","required":["id"],"properties":{"id":{"type":"integer","minimum":1}}}"#,
            ),
            ("MAX_REJECTED", "2"),
        ],
        |_, _| {
            Reply::new(
                200,
                r#"[{"id":1},{"id":"2"},{"id":3},{"name":"4"},{"id":5}]"#,
            )
        },
    ),
    publishes(
        "headers",
        &[
            ("SOURCE_AUTH", "header"),
            ("SOURCE_AUTH_NAME", "X-Team-Key"),
            ("SOURCE_HEADERS", "X-Team: blue\nX-Version: 2026-11-01"),
        ],
        |request, _| {
            let is_asked_for = request.header("x-team") == Some("blue")
                && request.header("x-version") == Some("2026-11-01")
                && request.header("x-team-key").is_some()
                && request.header("authorization").is_none();
            Reply::new(
                if is_asked_for { 200 } else { 400 },
                records(1..=1).to_string(),
            )
        },
    ),
    publishes("empty", &[], |_, _| Reply::new(200, " [ ] ")),
    Scenario {
        runs: 2,
        ..publishes(
            "append",
            &[
                ("WRITE_MODE", "append"),
                ("SOURCE_CURSOR", "/at"),
                ("SOURCE_CURSOR_TO", "since"),
                ("SOURCE_LOOKBACK", "0"),
            ],
            |request, before| {
                let since = request.query("since").unwrap_or_default();
                let events = (1..=3 + before)
                    .map(|id| json!({"id": id, "at": format!("2026-01-0{id}T00:00:00Z")}));
                let events: Vec<Value> = events
                    .filter(|event| event["at"].as_str() > Some(&since))
                    .collect();
                Reply::new(200, Value::from(events).to_string())
            },
        )
    },
];

pub const REFUSALS: &[Scenario] = &[
    refuses(
        "401",
        Outcome::Denied,
        "`{server}/items` answered 401 on page 1",
        &[],
        |_, _| Reply::new(401, "no"),
    ),
    refuses(
        "404",
        Outcome::SourceRefused,
        "`{server}/items` answered 404 on page 1",
        &[],
        |_, _| Reply::new(404, "no"),
    ),
    refuses(
        "503 for ever",
        Outcome::TryLater,
        "`{server}/items` answered 503 on page 1, three times",
        &[("MAX_RETRIES", "2")],
        |_, _| Reply::new(503, ""),
    ),
    refuses(
        "not JSON",
        Outcome::ProtocolBroken,
        "page 1 of `{server}/items`",
        &[],
        |_, _| Reply::new(200, "<html>hello</html>").header("content-type", "text/html"),
    ),
    refuses(
        "a body that is cut off",
        Outcome::ProtocolBroken,
        "cannot read page 1 of `{server}/items`, twice: the answer was cut off",
        &[("MAX_RETRIES", "1")],
        |_, _| Reply::new(200, records(1..=9).to_string()).cut_after(50),
    ),
    refuses(
        "a host that is not granted",
        Outcome::Denied,
        "cannot get page 2 of `http://127.0.0.1:1/items`: it is not",
        &[("SOURCE_PAGINATION", "link")],
        |_, _| Reply::new(200, records(1..=1).to_string()).next("http://127.0.0.1:1/items?page=2"),
    ),
    refuses(
        "an unknown setting",
        Outcome::Settings,
        "is not a setting; did you mean `SOURCE_PAGINATION`?",
        &[("SOURCE_PAGINATOR", "link")],
        |_, _| Reply::new(200, records(1..=1).to_string()),
    ),
];

/// Records with these ids.
fn records(ids: std::ops::RangeInclusive<u64>) -> Value {
    ids.map(|id| json!({"id": id, "name": format!("n{id}")}))
        .collect()
}
