//! The body of a request, and its headers.

use super::{problems, read};
use crate::ports::Method;
use crate::source::BodyFormat;

#[test]
fn a_body_is_one_json_value() {
    assert_eq!(read(&[]).body, None);
    assert_eq!(
        read(&[("SOURCE_BODY", " {\"n\": 1.0}\n")]).body.as_deref(),
        Some("{\"n\": 1.0}")
    );
    assert!(problems(&[("SOURCE_BODY", "{\"n\":1}{}")])[0].contains("not one JSON value"));
    assert!(problems(&[("SOURCE_BODY", "limit=1")])[0].contains("not one JSON value"));
    assert!(
        problems(&[("SOURCE_BODY", &format!("\"{}\"", "a".repeat(64 * 1024)))])[0]
            .contains("longer than 65536 bytes")
    );
}

#[test]
fn a_body_may_be_a_form() {
    let form = [
        ("SOURCE_BODY", " a=1&b=x y "),
        ("SOURCE_BODY_FORMAT", "form"),
    ];

    let read = read(&form);

    assert_eq!(read.body.as_deref(), Some("a=1&b=x%20y"));
    assert_eq!(read.body_format, BodyFormat::Form);
    assert!(problems(&[("SOURCE_BODY", "a=1&b=2")])[0].contains("set SOURCE_BODY_FORMAT=form"));
    assert!(
        problems(&[("SOURCE_BODY_FORMAT", "form")])[0].contains("no effect without SOURCE_BODY")
    );
    assert!(
        problems(&[form[0], ("SOURCE_BODY_FORMAT", "xml")])[0]
            .contains("not one of `json`, `form`")
    );
}

#[test]
fn the_method_follows_from_the_body_unless_it_is_set() {
    let method = |settings: &[(&str, &str)]| read(settings).method;
    let body = ("SOURCE_BODY", "{}");

    assert_eq!(method(&[]), Method::Get);
    assert_eq!(method(&[body]), Method::Post);
    assert_eq!(method(&[body, ("SOURCE_METHOD", "GET")]), Method::Get);
    assert_eq!(method(&[("SOURCE_METHOD", "POST")]), Method::Post);
    assert!(problems(&[("SOURCE_METHOD", "PUT")])[0].contains("not one of `GET`, `POST`"));
}

#[test]
fn headers_stand_one_a_line() {
    let headers = read(&[(
        "SOURCE_HEADERS",
        "Notion-Version: 2022-06-28\r\n\n X-A :b: c \n",
    )])
    .headers;

    assert_eq!(
        headers,
        [
            ("notion-version".to_owned(), "2022-06-28".to_owned()),
            ("x-a".to_owned(), "b: c".to_owned())
        ]
    );
}

#[test]
fn a_header_that_carries_a_credential_or_frames_is_refused() {
    let problem = |line: &str| problems(&[("SOURCE_HEADERS", line)]).remove(0);

    for name in ["Authorization", "Cookie", "Cookie2"] {
        let problem = problem(&format!("{name}: s3cret"));
        assert!(problem.contains("give it as SOURCE_API_KEY"), "{problem}");
        assert!(!problem.contains("s3cret"), "{problem}");
    }
    for name in [
        "accept-encoding",
        "Connection",
        "Content-Length",
        "Expect",
        "HOST",
        "HTTP2-Settings",
        "Keep-Alive",
        "Set-Cookie",
        "TE",
        "Trailer",
        "Trailers",
        "Transfer-Encoding",
        "Upgrade",
    ] {
        let problem = problem(&format!("{name}: x"));
        assert!(problem.contains("is for the connection"), "{problem}");
    }
    for name in [
        "Proxy-Authorization",
        "X-HTTP-Method-Override",
        "X_HTTP_Method_Override",
        "X-Original-URL",
        "X-Forwarded-For",
        "Via",
        "Metadata-Flavor",
        "X-aws-ec2-metadata-token",
        "Sec-Fetch-Site",
    ] {
        let problem = problem(&format!("{name}: x"));
        assert!(problem.contains("it speaks for a proxy"), "{problem}");
    }
    let by_header = [
        ("SOURCE_AUTH", "header"),
        ("SOURCE_HEADERS", "x-api-key: k"),
    ];
    assert!(problems(&by_header)[0].contains("carries a credential"));
    assert_eq!(problems(&[("SOURCE_HEADERS", "X-API-Key: k")]), [""; 0]);
}

#[test]
fn a_header_that_cannot_be_sent_is_refused() {
    let problem = |lines: &str| problems(&[("SOURCE_HEADERS", lines)]).remove(0);

    assert!(problem("just text").contains("line 1 is not `Name: value`"));
    assert!(problem("a b: c").contains("line 1 does not begin with a header's name"));
    assert!(problem("a: é").contains("visible ASCII"));
    assert!(problem("a: b\tc").contains("visible ASCII"));
    assert!(problem("a:").contains("not of 1 to 4096"));
    assert!(problem("a: 1\nA: 2").contains("`a` twice"));
    assert!(problem("content-type: x/y").contains("without SOURCE_BODY"));
    let many: Vec<String> = (0..21).map(|at| format!("x-{at}: 1")).collect();
    assert!(problem(&many.join("\n")).contains("more than 20"));
}
