use http::Request;
use http::header::AUTHORIZATION;

use super::*;

/// The key of AWS's examples.
const KEY: &str = "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// That of its test suite.
const SUITE: &str = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn signer(key: &str, region: &str, service: &str) -> AwsSigner {
    let scope = AwsScope::new(region.to_owned(), service.to_owned());
    AwsSigner::new(AwsKey::parse(key).unwrap(), scope)
}

fn at(time: &str) -> SystemTime {
    let seconds = time.parse::<jiff::Timestamp>().unwrap().as_second();
    UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

fn signed(signer: &AwsSigner, time: &str, request: Request<&str>) -> request::Parts {
    let (mut head, body) = request.into_parts();
    let secrets = signer.sign(&mut head, body.as_bytes(), at(time)).unwrap();
    let sent = head.headers[AUTHORIZATION].to_str().unwrap().to_owned();
    assert!(sent.ends_with(secrets[0].expose()));
    assert!(!format!("{:?}", head.headers).contains(secrets[0].expose()));
    head
}

fn authorization(head: &request::Parts) -> &str {
    head.headers[AUTHORIZATION].to_str().unwrap()
}

/// IAM's ListUsers, the example of AWS's "Signing AWS requests with Signature Version 4".
#[test]
fn list_users_of_iam_is_signed_as_aws_documents_it() {
    let request = Request::get("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08")
        .header(
            CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=utf-8",
        )
        .header("user-agent", "is not signed")
        .body("")
        .unwrap();

    let head = signed(
        &signer(SUITE, "us-east-1", "iam"),
        "2015-08-30T12:36:00Z",
        request,
    );

    assert_eq!(
        authorization(&head),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date, \
         Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
    assert_eq!(head.headers["x-amz-date"], "20150830T123600Z");
    assert!(!head.headers.contains_key("x-amz-content-sha256"));
}

/// `GET Bucket (List Objects)`, the example of S3's "Signature Calculations for the Authorization Header".
#[test]
fn a_list_of_s3_is_signed_as_aws_documents_it() {
    let request = Request::get("https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J")
        .body("")
        .unwrap();

    let head = signed(
        &signer(KEY, "us-east-1", "s3"),
        "2013-05-24T00:00:00Z",
        request,
    );

    assert_eq!(
        authorization(&head),
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
         SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
         Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    );
    assert_eq!(
        head.headers["x-amz-content-sha256"],
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

/// `post-x-www-form-urlencoded` of AWS's test suite.
#[test]
fn a_form_of_the_test_suite_is_signed_as_it_has_it() {
    let request = Request::post("https://example.amazonaws.com/")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body("Param1=value1")
        .unwrap();

    let head = signed(
        &signer(SUITE, "us-east-1", "service"),
        "2015-08-30T12:36:00Z",
        request,
    );

    assert!(
        authorization(&head)
            .ends_with("ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        "{}",
        authorization(&head)
    );
}

/// `get-vanilla-with-session-token` of AWS's test suite.
#[test]
fn a_session_token_is_sent_and_signed() {
    let token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
    let request = Request::get("https://example.amazonaws.com/")
        .body("")
        .unwrap();

    let head = signed(
        &signer(&format!("{SUITE}:{token}"), "us-east-1", "service"),
        "2015-08-30T12:36:00Z",
        request,
    );

    assert_eq!(head.headers["x-amz-security-token"], token);
    assert!(head.headers["x-amz-security-token"].is_sensitive());
    assert_eq!(
        authorization(&head),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
         SignedHeaders=host;x-amz-date;x-amz-security-token, \
         Signature=07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"
    );
}

/// `get-vanilla-query-order-encoded` of AWS's test suite.
#[test]
fn parameters_are_signed_in_the_order_of_their_encoded_names() {
    let url = "https://example.amazonaws.com/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1";
    let request = Request::get(url).body("").unwrap();

    let head = signed(
        &signer(SUITE, "us-east-1", "service"),
        "2015-08-30T12:36:00Z",
        request,
    );

    assert_eq!(head.uri, url);
    assert!(
        authorization(&head)
            .ends_with("371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac")
    );
}

#[test]
fn s3_signs_the_path_as_it_is_sent_and_others_encode_it_once_more() {
    let of = |service: &str, path: &str| {
        let url = format!("https://x.example{path}");
        let request = Request::get(url).body("").unwrap();
        let head = signed(
            &signer(SUITE, "us-east-1", service),
            "2015-08-30T12:36:00Z",
            request,
        );
        authorization(&head).to_owned()
    };

    // That nothing is removed from a path of S3: `a//b` is not `a/b` there.
    assert_ne!(of("s3", "/a//b"), of("s3", "/a/b"));
    assert_eq!(of("execute-api", "/a//b"), of("execute-api", "/a/b"));
}

#[test]
fn path_and_query_are_sent_as_they_are_signed() {
    let sent = |target: &str| {
        let url = format!("https://x.example{target}");
        let (mut head, ()) = Request::get(url).body(()).unwrap().into_parts();
        let signed = signer(SUITE, "us-east-1", "service").sign(&mut head, b"", SystemTime::now());
        signed.map(|_| head.uri.path_and_query().unwrap().to_string())
    };

    assert_eq!(
        sent("/a+b:c/%2F%e9//?q=a+b&q=%2B&e&=v&&t=:/'~&k=a=b").unwrap(),
        "/a%2Bb%3Ac/%2F%e9//?q=a%20b&q=%2B&e&=v&t=%3A%2F%27~&k=a%3Db"
    );
    assert_eq!(sent("").unwrap(), "/");
    assert!(sent("/?latin=%e9").unwrap_err().contains("not UTF-8"));
    let long = format!("/?long={}", ":".repeat(30_000));
    assert!(sent(&long).unwrap_err().contains("too long"));
}

#[test]
fn a_header_that_is_signed_and_is_not_ascii_is_refused() {
    let (mut head, ()) = Request::get("https://x.example/")
        .body(())
        .unwrap()
        .into_parts();
    let value = http::HeaderValue::from_bytes("é".as_bytes()).unwrap();
    head.headers.insert("x-amz-meta", value);

    let signed = signer(SUITE, "us-east-1", "service").sign(&mut head, b"", SystemTime::now());

    assert!(signed.unwrap_err().contains("beyond ASCII"));
}

#[test]
fn a_key_is_a_pair_with_or_without_a_token_or_what_a_program_of_aws_prints() {
    let read = |text: &str| {
        let key = AwsKey::parse(text).unwrap().0;
        let token = key.session_token().unwrap_or("none").to_owned();
        [key.access_key_id(), key.secret_access_key(), &token].join(" ")
    };

    assert_eq!(read("AKID:s/e+c="), "AKID s/e+c= none");
    assert_eq!(read("AKID:secret:t/o+k=="), "AKID secret t/o+k==");
    assert_eq!(
        read(
            r#"{"Version":1,"AccessKeyId":"ASIA","SecretAccessKey":"s","SessionToken":"t","Expiration":"2026-11-28T12:00:00Z"}"#
        ),
        "ASIA s t"
    );
    assert_eq!(
        read(r#"{"AccessKeyId":"AKID","SecretAccessKey":"s","SessionToken":""}"#),
        "AKID s none"
    );
}

#[test]
fn what_is_no_key_is_refused_without_being_shown() {
    for text in [
        "s3cr3t",
        ":s3cr3t",
        "a/b:s3cr3t",
        "AKID:s3cr3t s3cr3t",
        "AKID:",
        "AKID:s:s3cr3t s3cr3t",
        r#"{"AccessKeyId":"s3cr3t"}"#,
        r#"{"AccessKeyId":"AKID","SecretAccessKey":"#,
    ] {
        let refused = AwsKey::parse(text).unwrap_err();

        assert!(!refused.contains("s3cr3t"), "{refused}");
    }
    let shown = format!("{:?}", AwsKey::parse("AKID:s3cr3t:s3cr3t-too").unwrap());
    assert!(!shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn a_refusal_is_found_in_a_header_in_xml_and_in_json() {
    let found = |header: Option<&'static str>, body: &str| {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert("x-amzn-errortype", value.parse().unwrap());
        }
        Refusal::of(&headers, body.as_bytes()).map(|refusal| (refusal.code, refusal.kind))
    };

    let with_url = "InvalidSignatureException:http://internal.amazon.com/coral/";
    let by_header = ("InvalidSignatureException", Kind::Signature);
    assert_eq!(found(Some(with_url), "{}"), Some(by_header));
    let skewed = "<Error><Code>RequestTimeTooSkewed</Code>";
    let by_time = ("RequestTimeTooSkewed", Kind::Clock);
    assert_eq!(found(None, skewed), Some(by_time));
    let expired = r#"{"__type":"com.amazon.coral.service#ExpiredTokenException"}"#;
    assert_eq!(
        found(None, expired),
        Some(("ExpiredTokenException", Kind::Key))
    );
    let unknown = r#"{"__type":"UnrecognizedClientException"}"#;
    assert_eq!(
        found(None, unknown),
        Some(("UnrecognizedClientException", Kind::Key))
    );
    for other in [
        "<Error><Code>AccessDenied</Code></Error>",
        r#"{"message":"no ExpiredToken here"}"#,
        "",
    ] {
        assert_eq!(found(Some("AccessDeniedException"), other), None);
    }
}

#[test]
fn a_clock_is_corrected_by_the_source_s_and_by_no_more_than_a_day() {
    let signer = signer(SUITE, "us-east-1", "service");
    let mut headers = HeaderMap::new();
    let mut ahead = |date: &str| {
        headers.insert(DATE, date.parse().unwrap());
        AwsSigner::ahead_seconds(at("2026-11-28T12:00:00Z"), &headers)
    };
    assert_eq!(ahead("Sat, 28 Nov 2026 13:00:00 GMT"), Some(3600));
    assert_eq!(ahead("Sat, 28 Nov 2026 11:55:00 GMT"), Some(-300));
    assert_eq!(ahead("Sat, 28 Nov 2026 12:03:59 GMT"), None);
    assert_eq!(ahead("yesterday"), None);

    let asked = signer.now();
    assert!(signer.correct(asked, 3600).unwrap() >= 3598);
    assert!(signer.now() > asked + Duration::from_secs(3500));
    assert_eq!(signer.correct(asked, 25 * 3600), None);
    assert!(signer.correct(asked, -3600).unwrap() <= -3600);
    assert!(signer.now() < asked);
}
