use super::*;

fn answer(headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    Answer {
        status: 200,
        headers: headers.collect(),
        body: body.as_bytes().to_vec(),
    }
}

/// What is seen around three records: `strong`, `weak` or nothing, and what.
fn seen(headers: &[(&str, &str)], envelope: &str) -> (&'static str, String) {
    match of(
        &answer(headers, ""),
        envelope,
        3,
        Some("/items"),
        Format::Json,
    ) {
        Some(Sign::Strong(what)) => ("strong", what),
        Some(Sign::Weak(what)) => ("weak", what),
        None => ("", String::new()),
    }
}

#[test]
fn a_total_above_the_records_is_a_strong_sign_wherever_it_stands() {
    for envelope in [
        r#"{"items":[],"total":4}"#,
        r#"{"items":[],"total":"4"}"#,
        r#"{"items":[],"meta":{"filter_count":4}}"#,
        r#"{"items":[],"@odata.count":4}"#,
        r#"{"items":[],"a":{"b":{"c":{"d":{"totalResults":4}}}}}"#,
        r#"{"items":[],"page":{"size":3,"totalElements":4,"number":0}}"#,
        r#"{"items":[],"hits":{"total":{"value":4,"relation":"gte"}}}"#,
        r#"{"items":[],"nbHits":4}"#,
        r#"{"items":[],"response":{"numFound":4}}"#,
        r#"{"items":[],"totalSize":4}"#,
        r#"{"items":[],"total_count":4}"#,
        r#"{"items":[],"page":1,"pages":2}"#,
        r#"{"items":[],"meta":{"current_page":1,"last_page":2}}"#,
    ] {
        assert_eq!(seen(&[], envelope).0, "strong", "{envelope}");
    }
    assert_eq!(
        seen(&[], r#"{"items":[],"meta":{"filter_count":4}}"#).1,
        "`/meta/filter_count` is 4, and it has 3 records"
    );
}

#[test]
fn what_counts_something_else_is_no_sign() {
    for envelope in [
        r#"{"items":[],"total":3,"count":3,"offset":0}"#,
        r#"{"items":[],"took":12,"total_time_ms":900,"account_id":77,"country":"x"}"#,
        r#"{"items":[],"_shards":{"total":5},"hits":{"total":{"value":3}}}"#,
        r#"{"items":[],"facets":{"color":{"count":90}},"usage":{"total":1000}}"#,
        r#"{"items":[],"total_pages":1,"page":1}"#,
        r#"{"items":[],"page":2,"last_page":2}"#,
        r#"{"items":[],"others":[{"count":9,"next":"/x"}]}"#,
        r#"{"items":[],"pages":12}"#,
        r#"{"items":[],"next_update":"2026-11-27T00:00:00Z"}"#,
        "[]",
        "",
    ] {
        assert_eq!(seen(&[], envelope), ("", String::new()), "{envelope}");
    }
}

#[test]
fn what_leads_to_a_next_page_is_a_strong_sign() {
    for envelope in [
        r#"{"items":[],"next":"/items?page=2"}"#,
        r#"{"items":[],"links":{"next":{"href":"/items?page=2"}}}"#,
        r#"{"items":[],"links":[{"rel":"self","href":"/"},{"rel":"next","href":"/items?page=2"}]}"#,
        r#"{"items":[],"link":[{"relation":"next","url":"/items?page=2"}]}"#,
        r#"{"items":[],"paging":{"next":{"after":"10"}}}"#,
        r#"{"items":[],"meta":{"nextCursor":"abc"}}"#,
        r#"{"items":[],"next_page":2}"#,
        r#"{"items":[],"nextPageToken":"abc"}"#,
    ] {
        assert_eq!(seen(&[], envelope).0, "strong", "{envelope}");
    }
    for ended in [
        r#"{"items":[],"next":null,"next_page":0}"#,
        r#"{"items":[],"next":"","links":{"next":null}}"#,
        r#"{"items":[],"next_cursor":"abc","has_more":false}"#,
        r#"{"items":[],"links":[{"rel":"self","href":"/"}]}"#,
    ] {
        assert_eq!(seen(&[], ended).0, "", "{ended}");
    }
}

#[test]
fn a_flag_is_a_strong_sign_either_way_round() {
    for envelope in [
        r#"{"items":[],"has_more":true}"#,
        r#"{"items":[],"pageInfo":{"hasNextPage":true}}"#,
        r#"{"items":[],"exceededTransferLimit":true}"#,
        r#"{"items":[],"IsTruncated":"true"}"#,
        r#"{"items":[],"done":false}"#,
        r#"{"items":[],"last":false}"#,
    ] {
        assert_eq!(seen(&[], envelope).0, "strong", "{envelope}");
    }
    assert_eq!(
        seen(&[], r#"{"items":[],"has_more":false,"last":true}"#).0,
        ""
    );
}

#[test]
fn headers_are_looked_at_too() {
    for header in [
        ("link", "</items?page=2>; rel=\"next\""),
        ("x-total-count", "4"),
        ("content-range", "items 0-2/4"),
        ("content-range", "0-2/4"),
        ("x-wp-totalpages", "2"),
        ("x-next-page", "2"),
        ("x-pagination", r#"{"TotalCount":4,"PageSize":3}"#),
    ] {
        assert_eq!(seen(&[header], "[]").0, "strong", "{header:?}");
    }
    for header in [
        ("link", "</items?page=1>; rel=\"prev\""),
        ("x-total-count", "3"),
        ("content-range", "bytes 0-99/4000"),
        ("x-next-page", ""),
        ("x-total-pages", "1"),
    ] {
        assert_eq!(seen(&[header], "[]").0, "", "{header:?}");
    }
}

#[test]
fn a_cursor_a_limit_that_is_reached_and_a_round_count_are_weak_signs() {
    let of_records = |records, envelope| {
        of(
            &answer(&[], ""),
            envelope,
            records,
            Some("/items"),
            Format::Json,
        )
    };

    assert_eq!(seen(&[], r#"{"items":[],"cursor":"abc"}"#).0, "weak");
    assert_eq!(seen(&[], r#"{"items":[],"limit":3}"#).0, "weak");
    for records in ROUND_COUNTS {
        assert!(
            matches!(of_records(records, "[]"), Some(Sign::Weak(_))),
            "{records}"
        );
        assert_eq!(of_records(records + 1, "[]"), None);
        assert_eq!(
            of_records(records, r#"{"items":[],"has_more":false}"#),
            None
        );
    }
}

#[test]
fn an_array_on_the_way_to_the_records_is_looked_into() {
    let envelope = r#"[{"page":1,"pages":7,"per_page":"3","total":20},[]]"#;
    let found = of(&answer(&[], ""), envelope, 3, Some("/1"), Format::Json);

    assert_eq!(
        found,
        Some(Sign::Strong(
            "`/0/total` is 20, and it has 3 records".to_owned()
        ))
    );
}

#[test]
fn records_by_key_are_no_sign_and_what_is_around_them_is() {
    let seen = |envelope: &str| of(&answer(&[], ""), envelope, 3, None, Format::Json);

    for keyed in [
        r#"{"data":{"a":{"total":9},"b":{"total":7}}}"#,
        r#"{"ok":true,"products":{"a":{"count":9}}}"#,
    ] {
        assert_eq!(seen(keyed), None, "{keyed}");
    }
    for around in [
        r#"{"products":{"a":{"n":1}},"meta":{"total":500,"pages":5}}"#,
        r#"{"data":{"items":{"a":{"n":1}},"page_info":{"total":500}}}"#,
        r#"{"data":{"meta":{"total":500}}}"#,
        r#"{"data":{"a":{"n":1}},"links":{"next":{"href":"/2"}}}"#,
    ] {
        assert!(matches!(seen(around), Some(Sign::Strong(_))), "{around}");
    }
}
