//! The ways of paging as well-known APIs document them, each against a source that answers so.

mod world;

use serde_json::{Value, json};
use tidegate_guest::Failure;
use tidegate_guest::ports::Request;
use world::{Job, Run, page, parameter, with_header};

/// The ids that were staged, in their order.
fn ids(run: &Run) -> Vec<u64> {
    run.report();
    let lines = run.folder.lines("records");
    lines
        .iter()
        .map(|line| {
            let record: Value = serde_json::from_str(line).unwrap();
            record["id"].as_u64().unwrap()
        })
        .collect()
}

/// At most `size` records behind the one with this id, and whether there are more: six there are in all.
fn behind(id: u64, size: u64) -> (Vec<Value>, bool) {
    let ids = id + 1..=6;
    let records = ids.take(usize::try_from(size).unwrap());
    let records: Vec<Value> = records.map(|id| json!({ "id": id })).collect();
    (records, id + size < 6)
}

fn posted(request: &Request) -> Value {
    serde_json::from_str(request.body.as_deref().expect("a POST")).unwrap()
}

#[test]
fn github_links_its_pages() {
    let job = Job::with(&[
        ("SOURCE_PAGINATION", "link"),
        ("SOURCE_PAGE_SIZE_TO", "per_page"),
        ("SOURCE_PAGE_SIZE", "2"),
    ]);

    let run = job.run(|url| {
        assert_eq!(parameter(url, "per_page").as_deref(), Some("2"));
        let number: u64 = parameter(url, "page").map_or(1, |number| number.parse().unwrap());
        let (records, more) = behind(2 * (number - 1), 2);
        let said = page(&Value::from(records).to_string());
        if !more {
            return said;
        }
        let next = number + 1;
        let link = format!(
            "<https://x.example/o?per_page=2&page={next}>; rel=\"next\", <https://x.example/o?per_page=2&page=3>; rel=\"last\""
        );
        with_header(said, "link", &link)
    });

    assert_eq!(ids(&run), [1, 2, 3, 4, 5, 6]);
    assert_eq!(run.report().pages, 3);
}

#[test]
fn stripe_starts_after_the_last_record() {
    let job = Job::with(&[
        ("SOURCE_PAGINATION", "last-record"),
        ("SOURCE_RECORDS", "/data"),
        ("SOURCE_PAGE_FROM", "/id"),
        ("SOURCE_PAGE_TO", "starting_after"),
        ("SOURCE_PAGE_MORE", "/has_more"),
        ("SOURCE_PAGE_SIZE_TO", "limit"),
        ("SOURCE_PAGE_SIZE", "4"),
        ("PRIMARY_KEY", "/id"),
    ]);

    let run = job.run(|url| {
        let after = parameter(url, "starting_after").map_or(0, |after| after.parse().unwrap());
        let (records, more) = behind(after, 4);
        page(&json!({"object": "list", "data": records, "has_more": more}).to_string())
    });

    assert_eq!(ids(&run), [1, 2, 3, 4, 5, 6]);
    assert_eq!(
        run.asked,
        [
            "https://x.example/o?limit=4",
            "https://x.example/o?limit=4&starting_after=4"
        ]
    );
}

#[test]
fn hubspot_takes_the_next_token_in_the_body() {
    let job = Job::with(&[
        ("SOURCE_BODY", r#"{"limit": 4, "sorts": ["id"]}"#),
        ("SOURCE_PAGINATION", "token"),
        ("SOURCE_RECORDS", "/results"),
        ("SOURCE_PAGE_FROM", "/paging/next/after"),
        ("SOURCE_PAGE_TO", "/after"),
        ("SOURCE_TOTAL", "/total"),
    ]);

    let run = job.run_with(|request| {
        let after = posted(request)["after"]
            .as_str()
            .map_or(0, |after| after.parse().unwrap());
        let (records, more) = behind(after, 4);
        let mut body = json!({"total": 6, "results": records});
        if more {
            body["paging"] = json!({"next": {"after": (after + 4).to_string()}});
        }
        page(&body.to_string())
    });

    assert_eq!(ids(&run), [1, 2, 3, 4, 5, 6]);
    assert_eq!(
        run.posted,
        [
            Some(r#"{"limit": 4, "sorts": ["id"]}"#.to_owned()),
            Some(r#"{"limit": 4, "sorts": ["id"],"after":"4"}"#.to_owned())
        ]
    );
}

#[test]
fn notion_takes_its_version_in_a_header_and_its_cursor_in_the_body() {
    let job = Job::with(&[
        ("SOURCE_BODY", r#"{"page_size":5}"#),
        (
            "SOURCE_HEADERS",
            "Notion-Version: 2022-06-28\nUser-Agent: mine",
        ),
        ("SOURCE_PAGINATION", "token"),
        ("SOURCE_RECORDS", "/results"),
        ("SOURCE_PAGE_FROM", "/next_cursor"),
        ("SOURCE_PAGE_TO", "/start_cursor"),
        ("SOURCE_PAGE_MORE", "/has_more"),
    ]);

    let run = job.run_with(|request| {
        let headers: Vec<String> = request
            .headers
            .iter()
            .map(|(n, v)| format!("{n}: {v}"))
            .collect();
        assert_eq!(
            headers,
            [
                "accept: application/json",
                "content-type: application/json",
                "notion-version: 2022-06-28",
                "user-agent: mine"
            ]
        );
        let cursor = posted(request)
            .get("start_cursor")
            .map_or(0, |cursor| cursor.as_str().unwrap().parse().unwrap());
        let (records, more) = behind(cursor, 5);
        let next = more.then(|| "5".to_owned());
        page(&json!({"results": records, "next_cursor": next, "has_more": more}).to_string())
    });

    assert_eq!(ids(&run), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_graphql_connection_is_followed_by_its_page_info() {
    let query = r#"{"query":"query($after:String){orders(first:2,after:$after){nodes{id} pageInfo{hasNextPage endCursor}}}","variables":{"after":null}}"#;
    let job = Job::with(&[
        ("SOURCE_BODY", query),
        ("SOURCE_PAGINATION", "token"),
        ("SOURCE_RECORDS", "/data/orders/nodes"),
        ("SOURCE_PAGE_FROM", "/data/orders/pageInfo/endCursor"),
        ("SOURCE_PAGE_TO", "/variables/after"),
        ("SOURCE_PAGE_MORE", "/data/orders/pageInfo/hasNextPage"),
    ]);

    let run = job.run_with(|request| {
        let body = posted(request);
        assert!(body["query"].as_str().unwrap().starts_with("query($after"));
        let after = body["variables"]["after"]
            .as_str()
            .map_or(0, |after| after.parse().unwrap());
        let (records, more) = behind(after, 2);
        let info = json!({"hasNextPage": more, "endCursor": (after + 2).to_string()});
        page(&json!({"data": {"orders": {"nodes": records, "pageInfo": info}}}).to_string())
    });

    assert_eq!(
        ids(&run),
        [1, 2, 3, 4, 5, 6],
        "the last page has an end cursor too"
    );
    assert_eq!(run.report().pages, 3);
}

#[test]
fn numbered_pages_end_with_their_total() {
    let job = Job::with(&[
        ("SOURCE_PAGINATION", "page"),
        ("SOURCE_RECORDS", "/items"),
        ("SOURCE_TOTAL", "/total"),
    ]);

    let run = job.run(|url| {
        let number: u64 = parameter(url, "page").unwrap().parse().unwrap();
        let (records, _) = behind(3 * (number - 1), 3);
        page(&json!({"items": records, "total": 6}).to_string())
    });

    assert_eq!(ids(&run), [1, 2, 3, 4, 5, 6]);
    assert_eq!(
        run.asked,
        [
            "https://x.example/o?page=1",
            "https://x.example/o?page=2",
            // The last page was full, and the total may be capped.
            "https://x.example/o?page=3"
        ]
    );
}

#[test]
fn odata_names_its_next_link_in_the_body() {
    let job = Job::with(&[
        ("SOURCE_PAGINATION", "next-url"),
        ("SOURCE_RECORDS", "/value"),
        ("SOURCE_PAGE_FROM", "/@odata.nextLink"),
    ]);

    let run = job.run(|url| {
        let skip = parameter(url, "$skiptoken").map_or(0, |skip| skip.parse().unwrap());
        let (records, more) = behind(skip, 4);
        let mut body = json!({"@odata.context": "$metadata#o", "value": records});
        if more {
            body["@odata.nextLink"] = format!("https://x.example/o?$skiptoken={}", skip + 4).into();
        }
        page(&body.to_string())
    });

    assert_eq!(ids(&run), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn salesforce_names_its_next_url_relative_and_only_where_it_is_not_done() {
    let job = Job::with(&[
        (
            "SOURCE_API_URL",
            "https://x.example/services/data/v60.0/query?q=SELECT+Id",
        ),
        ("SOURCE_PAGINATION", "next-url"),
        ("SOURCE_RECORDS", "/records"),
        ("SOURCE_PAGE_FROM", "/nextRecordsUrl"),
        ("SOURCE_TOTAL", "/totalSize"),
    ]);

    let run = job.run(|url| {
        let after = url
            .rsplit_once('-')
            .map_or(0, |(_, after)| after.parse().unwrap());
        let (records, more) = behind(after, 4);
        let mut body = json!({"totalSize": 6, "done": !more, "records": records});
        if more {
            body["nextRecordsUrl"] = "/services/data/v60.0/query/01g-4".into();
        }
        page(&body.to_string())
    });

    assert_eq!(ids(&run), [1, 2, 3, 4, 5, 6]);
    assert_eq!(
        run.asked[1],
        "https://x.example/services/data/v60.0/query/01g-4"
    );
}

#[test]
fn a_source_that_does_not_know_the_parameter_is_found_out() {
    for style in ["page", "offset"] {
        let run = Job::with(&[("SOURCE_PAGINATION", style)]).run(|_| page(r#"[{"id":1}]"#));

        let failure = run.failure();
        assert!(matches!(failure, Failure::Protocol(_)), "{failure:?}");
        assert!(
            failure
                .to_string()
                .contains("page 2 of `https://x.example/o` repeats the content of an earlier page")
        );
    }
}

#[test]
fn a_source_that_sends_the_same_records_dressed_anew_is_found_out() {
    let mut asked = 0;
    let run = Job::with(&[
        ("SOURCE_PAGINATION", "token"),
        ("SOURCE_RECORDS", "/items"),
        ("SOURCE_PAGE_FROM", "/next"),
        ("SOURCE_PAGE_TO", "after"),
        ("PRIMARY_KEY", "/id"),
    ])
    .run(|_| {
        asked += 1;
        page(&format!(
            r#"{{"items":[{{"id":1,"read_at":{asked}}}],"next":{asked}}}"#
        ))
    });

    let failure = run.failure().to_string();
    assert_eq!(run.asked.len(), 11);
    assert!(
        failure.contains("has only records of earlier pages"),
        "{failure}"
    );
}

#[test]
fn a_feed_of_changes_may_have_a_key_as_often_as_it_likes() {
    let mut asked = 0;
    let run = Job::with(&[
        ("SOURCE_PAGINATION", "token"),
        ("SOURCE_RECORDS", "/items"),
        ("SOURCE_PAGE_FROM", "/next"),
        ("SOURCE_PAGE_TO", "after"),
        ("SOURCE_CURSOR", "/seq"),
        ("PRIMARY_KEY", "/id"),
    ])
    .run(|_| {
        asked += 1;
        let next = if asked < 9 {
            asked.to_string()
        } else {
            "null".to_owned()
        };
        page(&format!(
            r#"{{"items":[{{"id":1,"seq":{asked}}}],"next":{next}}}"#
        ))
    });

    assert_eq!(run.report().staged, 9);
    // A line a page, and the cursor's kind.
    assert_eq!(run.log.len(), 10, "{:?}", run.log);
}
