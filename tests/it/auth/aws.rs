//! Requests that are signed as AWS wants it: the source computes each signature itself, of what it received.
//!
//! The secret access key holds `Job::key`, which must be nowhere: that is checked after every run.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::digest::KeyInit as _;
use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidegate::outcome::Outcome;

use super::ONE;
use crate::server::{Reply, Request, Server};
use crate::world::Job;

const ID: &str = "AKIDEXAMPLE";
const SCOPE: &str = "eu-west-1/execute-api/aws4_request";

/// A job whose requests are signed for the gateway in eu-west-1.
fn signed() -> Job {
    for_service(Job::new(), "execute-api")
}

fn for_service(job: Job, service: &str) -> Job {
    let pair = format!("{ID}:{}", job.key);
    job.set("SOURCE_AUTH", "aws-sigv4")
        .set("SOURCE_API_KEY", &pair)
        .set("SOURCE_AWS_REGION", "eu-west-1")
        .set("SOURCE_AWS_SERVICE", service)
}

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    let mac = mac.chain_update(message.as_bytes()).finalize();
    mac.into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// As RFC 3986 has it, but for what is in `kept`.
fn encoded(text: &[u8], kept: &str) -> String {
    let is_kept = |byte: u8| byte.is_ascii_alphanumeric() || "-._~".contains(char::from(byte));
    let one = |&byte: &u8| match char::from(byte) {
        c if is_kept(byte) || kept.contains(c) => c.to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.iter().map(one).collect()
}

/// The part of `Authorization` of this name.
fn part<'a>(request: &'a Request, name: &str) -> &'a str {
    let sent = request.header("authorization").unwrap_or_default();
    let sent = sent.strip_prefix("AWS4-HMAC-SHA256 ").unwrap_or_default();
    let mut parts = sent.split(", ").filter_map(|part| part.split_once('='));
    let found = parts.find(|(known, _)| *known == name);
    found.map_or("", |(_, value)| value)
}

/// The time that a request says it was signed at.
fn signed_at(request: &Request) -> Timestamp {
    let date = request.header("x-amz-date").unwrap_or_default();
    let (day, time) = date.split_once('T').unwrap();
    let (year, month, day) = (&day[..4], &day[4..6], &day[6..]);
    let (hour, minute, second) = (&time[..2], &time[2..4], &time[4..6]);
    let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    text.parse().unwrap()
}

/// The signature that this request must have, by AWS's description of it.
fn signature(request: &Request, secret: &str, scope: &str) -> String {
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((&request.target, ""));
    let path = if scope.contains("/s3/") {
        path.to_owned()
    } else {
        encoded(path.as_bytes(), "/")
    };
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let again = |text: &str| {
                let plain: Vec<u8> = percent_decode_str(text).collect();
                encoded(&plain, "")
            };
            format!("{}={}", again(name), again(value))
        })
        .collect();
    pairs.sort();
    let names = part(request, "SignedHeaders");
    let lines = names.split(';').fold(String::new(), |lines, name| {
        let value = request.header(name).unwrap_or_default();
        lines + &format!("{name}:{}\n", value.trim())
    });
    let body = hex(&Sha256::digest(&request.body));
    let canonical = [
        &request.method,
        &path,
        &pairs.join("&"),
        &lines,
        names,
        &body,
    ]
    .join("\n");
    let date = request.header("x-amz-date").unwrap_or_default();
    let day = &date[..8];
    let hashed = hex(&Sha256::digest(canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{day}/{scope}\n{hashed}");
    let mut key = hmac(format!("AWS4{secret}").as_bytes(), day);
    for piece in scope.split('/') {
        key = hmac(&key, piece);
    }
    hex(&hmac(&key, &text))
}

/// Why AWS would refuse this request, if it would.
fn refusal(request: &Request, secret: &str, scope: &str) -> Option<&'static str> {
    let names: Vec<&str> = part(request, "SignedHeaders").split(';').collect();
    let is_signed = |name: &str| names.contains(&name);
    let must_be =
        |name: &str| name.starts_with("x-amz-") || name == "content-type" || name == "host";
    let all = request
        .headers
        .iter()
        .all(|(name, _)| !must_be(name) || is_signed(name));
    let day = request.header("x-amz-date").and_then(|date| date.get(..8));
    let credential = format!("{ID}/{}/{scope}", day.unwrap_or_default());
    let hash = hex(&Sha256::digest(&request.body));
    let sent_hash = request.header("x-amz-content-sha256");
    if !all || !is_signed("host") || !is_signed("x-amz-date") {
        Some("IncompleteSignature")
    } else if part(request, "Credential") != credential {
        Some("InvalidClientTokenId")
    } else if scope.contains("/s3/") && sent_hash != Some(&hash) {
        Some("XAmzContentSHA256Mismatch")
    } else if part(request, "Signature") != signature(request, secret, scope) {
        Some("SignatureDoesNotMatch")
    } else {
        None
    }
}

fn xml(code: &str) -> String {
    format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>No.</Message></Error>")
}

/// A source that answers what is signed with `secret`, and refuses what is not.
fn checking(
    secret: &str,
    scope: &'static str,
    answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let secret = secret.to_owned();
    move |request| match refusal(request, &secret, scope) {
        None => answer(request),
        Some(code) => Reply::new(403, xml(code)),
    }
}

#[test]
fn pages_redirects_and_retries_are_signed_each_as_it_goes_out() {
    let tried = AtomicUsize::new(0);
    let job = signed()
        .set(
            "SOURCE_API_URL",
            "{server}/a%20b/items?tag=b&tag=a&q=%C3%A9%2B1&blank=a+b&none",
        )
        .set("SOURCE_PAGINATION", "link")
        .set("RETRY_PAUSE", "10ms");
    let secret = job.key.clone();
    let mut job = job.api(checking(&secret, SCOPE, move |request| {
        match request.path() {
            "/a%20b/items" => Reply::new(302, "").header("location", "/moved?to=x%2Fy"),
            "/moved" => Reply::new(200, ONE).next("{server}/last?cursor=%7Ba%7D&A=1"),
            _ if tried.fetch_add(1, Ordering::SeqCst) == 0 => Reply::new(503, ""),
            _ => Reply::new(200, r#"[{"id":2}]"#),
        }
    }));

    let run = job.run();

    run.exits(Outcome::Published)
        .asked(4)
        .publishes(&json!([{"id": 1}, {"id": 2}]));
    assert!(run.requests[0].target.contains("blank=a%20b&none"));
}

#[test]
fn a_body_is_signed_as_it_is_sent_with_its_secrets_and_cookies_in_place() {
    let job = signed()
        .set("SOURCE_BODY", r#"{"q":"é","token":"{secret}"}"#)
        .set("SOURCE_SECRET", "a-secret-of-the-body")
        .set("SOURCE_SECRET_HEADERS", "X-Amz-Target: Orders.List")
        .set("SOURCE_COOKIES", "yes")
        .set("SOURCE_PAGINATION", "link");
    let secret = job.key.clone();
    let mut job = job.api(checking(&secret, SCOPE, |request| {
        let body = String::from_utf8_lossy(&request.body);
        assert!(body.contains("a-secret-of-the-body"), "{body}");
        match request.header("cookie") {
            None => Reply::new(200, ONE)
                .header("set-cookie", "sid=a-session-of-the-source")
                .next("{server}/items?page=2"),
            Some(_) => Reply::new(200, r#"[{"id":2}]"#),
        }
    }));

    let run = job.run();

    run.exits(Outcome::Published).asked(2);
    assert_eq!(
        part(&run.requests[0], "SignedHeaders"),
        "content-type;host;x-amz-date;x-amz-target"
    );
}

#[test]
fn s3_gets_the_hash_of_the_body_and_the_path_as_it_is() {
    let scope = "eu-west-1/s3/aws4_request";
    let job =
        for_service(Job::new(), "s3").set("SOURCE_API_URL", "{server}/bucket/a%2Fb//c%3D1.json");
    let secret = job.key.clone();

    let run = job
        .api(checking(&secret, scope, |_| Reply::new(200, ONE)))
        .run();

    run.exits(Outcome::Published).asked(1);
}

#[test]
fn over_http2_the_authority_is_the_host_that_is_signed() {
    let job = for_service(Job::new().over_http2(), "execute-api").set("SOURCE_BODY", "{}");
    let secret = job.key.clone();
    let mut job = job.api(checking(&secret, SCOPE, |_| Reply::new(200, ONE)));

    job.run().exits(Outcome::Published).asked(1);
}

#[test]
fn parallel_requests_are_signed_each_by_itself() {
    let job = signed()
        .set("SOURCE_API_URL", "{server}/items?of={each}")
        .set("SOURCE_EACH", "a,b,c,d,e,f")
        .set("SOURCE_PARALLEL", "4")
        .set("TRANSFORM", "{id: $each}");
    let secret = job.key.clone();
    let mut job = job.api(checking(&secret, SCOPE, |_| Reply::new(200, ONE)));

    job.run().exits(Outcome::Published).asked(6);
}

#[test]
fn what_a_program_prints_has_a_session_token_and_what_is_echoed_is_hidden() {
    let job = signed().unset("SOURCE_API_KEY");
    let (secret, token) = (job.key.clone(), format!("a-session-token/{}", job.key));
    let printed = json!({
        "Version": 1,
        "AccessKeyId": ID,
        "SecretAccessKey": secret,
        "SessionToken": token,
        "Expiration": "2099-01-01T00:00:00Z",
    });
    let printed = serde_json::to_string_pretty(&printed).unwrap();
    let file = job.file("printed.json", &printed).display().to_string();
    let mut job = job
        .set("SOURCE_API_KEY_COMMAND", &format!("cat {file}"))
        .api(checking(&secret, SCOPE, |request| {
            let header = |name| request.header(name).unwrap_or_default();
            let echo = json!([{
                "id": 1,
                "authorization": header("authorization"),
                "token": header("x-amz-security-token"),
            }]);
            Reply::new(200, echo.to_string())
                .header("x-echo", header("authorization"))
                .chunked(7)
        }));

    let run = job.run();

    run.exits(Outcome::Published);
    let record: Value = serde_json::from_str(&run.after.records()[0]).unwrap();
    let shown = record["authorization"].as_str().unwrap();
    assert!(shown.ends_with("Signature=REDACTED"), "{shown}");
    assert_eq!(record["token"], "REDACTED");
    assert_eq!(
        run.requests[0].header("x-amz-security-token"),
        Some(&*token)
    );
    assert!(run.summary()["echoes_redacted"].as_u64() >= Some(3));
}

/// `Date` as a source has it whose clock is so much ahead.
fn date(ahead: Duration) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + ahead;
    let time = Timestamp::from_second(i64::try_from(since.as_secs()).unwrap()).unwrap();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[test]
fn a_clock_that_is_wrong_is_corrected_once_by_the_source_s() {
    let ahead = Duration::from_hours(2);
    let job = signed().set("SOURCE_PAGINATION", "link");
    let secret = job.key.clone();
    let answer = checking(&secret, SCOPE, |request| match request.query("page") {
        None => Reply::new(200, ONE).next("{server}/items?page=2"),
        Some(_) => Reply::new(200, r#"[{"id":2}]"#),
    });
    let mut job = job.api(move |request| {
        let now = Timestamp::now().as_second() + 7200;
        let is_late = (signed_at(request).as_second() - now).abs() > 300;
        let reply = if is_late {
            Reply::new(403, xml("RequestTimeTooSkewed"))
        } else {
            answer(request)
        };
        reply.header("date", date(ahead))
    });

    let run = job.run();

    run.exits(Outcome::Published)
        .asked(3)
        .publishes(&json!([{"id": 1}, {"id": 2}]));
    let warned =
        run.events("clock differs from the source's, by which requests are signed from here on");
    assert_eq!(warned.len(), 1);
    assert!(warned[0]["seconds"].as_i64() >= Some(7190));
}

#[test]
fn a_clock_that_is_days_away_is_not_followed_and_is_77() {
    let mut job = signed().api(|_| {
        Reply::new(403, xml("RequestTimeTooSkewed")).header("date", date(Duration::from_hours(50)))
    });

    job.run()
        .exits(Outcome::Denied)
        .asked(1)
        .stderr_has(
            "it answered 403 `RequestTimeTooSkewed`, and its clock differs from this machine's by",
        )
        .stderr_has("set the clock");
}

#[test]
fn a_refused_signature_is_77_and_names_the_settings() {
    let signature = "check the secret access key in SOURCE_API_KEY, SOURCE_AWS_REGION (`eu-west-1`) and \
                     SOURCE_AWS_SERVICE (`execute-api`)";
    let key = "the access key in SOURCE_API_KEY is not valid, or its session token has expired";
    let coral = "com.amazon.coral.service#UnrecognizedClientException";
    for (reply, named) in [
        (Reply::new(403, xml("SignatureDoesNotMatch")), signature),
        (
            Reply::new(403, r#"{"message":"No."}"#)
                .header("x-amzn-errortype", "InvalidSignatureException"),
            signature,
        ),
        (Reply::new(403, xml("ExpiredToken")), key),
        (Reply::new(400, json!({"__type": coral}).to_string()), key),
    ] {
        let mut job = signed().set("SOURCE_ERROR", r#""empty""#).reply(reply);

        let run = job.run();

        run.exits(Outcome::Denied)
            .asked(1)
            .stderr_has(named)
            .publishes_nothing();
    }
}

#[test]
fn another_403_is_the_component_s_to_judge_and_comes_whole() {
    let body = json!({"fill": "x".repeat(40_000), "message": "not yours"}).to_string();
    for job in [
        signed(),
        for_service(Job::new().over_http2(), "execute-api"),
    ] {
        let run = { job.set("SOURCE_ERROR", ".message").page(403, &body) }.run();

        run.exits(Outcome::Denied)
            .asked(1)
            .stderr_has("not yours")
            .stderr_has("check the rights of the access key in SOURCE_API_KEY (environment), SOURCE_AWS_REGION");
    }
}

#[test]
fn a_403_that_breaks_off_is_no_whole_one() {
    let body = format!(r#"{{"fill":"{}"}}"#, "x".repeat(4000));
    let mut job = signed()
        .set("SOURCE_ERROR", r#""empty""#)
        .set("MAX_RETRIES", "0")
        .reply(Reply::new(403, body).cut_after(2000));

    let run = job.run();

    run.asked(1).publishes_nothing().stderr_has("broke off");
}

/// Puts another key into the file, as a program that renews it does.
fn renew(file: &PathBuf, secret: &str) {
    let new = file.with_extension("new");
    std::fs::write(
        &new,
        json!({"AccessKeyId": ID, "SecretAccessKey": secret}).to_string(),
    )
    .unwrap();
    std::fs::rename(new, file).unwrap();
}

#[test]
fn a_key_that_is_renewed_in_its_file_is_picked_up_once() {
    for stays_refused in [false, true] {
        let job = signed().unset("SOURCE_API_KEY");
        let (old, new) = (format!("old-{}", job.key), format!("new-{}", job.key));
        let file = job.file("aws.json", &format!("{ID}:{old}\n"));
        let renewed = file.clone();
        let mut job = job
            .set("SOURCE_API_KEY_FILE", &file.display().to_string())
            .api(move |request| match refusal(request, &new, SCOPE) {
                None if !stays_refused => Reply::new(200, ONE),
                _ => {
                    renew(&renewed, &new);
                    Reply::new(400, r#"{"__type":"ExpiredTokenException"}"#)
                }
            });

        let run = job.run();

        let outcome = if stays_refused {
            Outcome::Denied
        } else {
            Outcome::Published
        };
        run.exits(outcome).asked(2);
        let again = run.events("credential changed, read again from its file");
        assert_eq!(again.len(), 1);
    }
}

#[test]
fn another_origin_gets_no_signature_and_no_token() {
    let other = Server::start(|_| Reply::new(200, r#"[{"id":2}]"#));
    let job = signed()
        .set("SOURCE_PAGINATION", "link")
        .set("ALLOW_HOSTS", &other.origin());
    let pair = format!("{ID}:{}:a-session-token", job.key);
    let link = other.origin();
    let mut job = job
        .set("SOURCE_API_KEY", &pair)
        .api(move |_| Reply::new(200, ONE).next(&link));

    job.run().exits(Outcome::Published);

    let seen = other.seen();
    assert_eq!(seen.len(), 1);
    let is_of_aws = |name: &str| name == "authorization" || name.starts_with("x-amz-");
    assert!(!seen[0].headers.iter().any(|(name, _)| is_of_aws(name)));
}

#[test]
fn what_cannot_be_signed_with_is_refused_as_a_setting() {
    let refused = |job: Job, words: &str| {
        let mut job = job;
        let run = job.run();
        run.exits(Outcome::Settings).asked(0).stderr_has(words);
    };
    refused(
        signed().unset("SOURCE_API_KEY"),
        "SOURCE_API_KEY is required with SOURCE_AUTH=aws-sigv4",
    );
    refused(
        signed().set("SOURCE_API_KEY", "without-an-id"),
        "SOURCE_API_KEY takes `access key id:secret access key` with SOURCE_AUTH=aws-sigv4",
    );
    refused(
        signed().unset("SOURCE_AWS_REGION"),
        "SOURCE_AWS_REGION is required with SOURCE_AUTH=aws-sigv4, as the host of SOURCE_API_URL does not name it",
    );
    refused(
        signed().unset("SOURCE_AWS_SERVICE"),
        "for example `SOURCE_AWS_SERVICE=execute-api`",
    );
    refused(
        signed().set("SOURCE_AWS_REGION", "eu/west"),
        "SOURCE_AWS_REGION takes lower-case letters",
    );
    refused(
        signed().set("SOURCE_AUTH_NAME", "X-Key"),
        "SOURCE_AUTH_NAME has no effect with SOURCE_AUTH `aws-sigv4`",
    );
    refused(
        signed().set("SOURCE_AUTH", "bearer"),
        "SOURCE_AWS_REGION has no effect without SOURCE_AUTH=aws-sigv4",
    );
    refused(
        signed().set("SOURCE_SECRET_HEADERS", "Authorization: Bearer x"),
        "which SOURCE_AUTH sets",
    );
}

#[test]
fn region_and_service_are_in_the_name_of_a_gateway() {
    let job = signed()
        .unset("SOURCE_AWS_REGION")
        .unset("SOURCE_AWS_SERVICE")
        .set(
            "SOURCE_API_URL",
            "https://abc123.execute-api.eu-west-1.amazonaws.com/v1/orders",
        );

    job.tidegate(["check"]).exits(0).shows_nothing_of(&job.key);
    let job = job.set(
        "SOURCE_API_URL",
        "https://iam.amazonaws.com/?Action=ListUsers",
    );
    job.tidegate(["check"])
        .exits(78)
        .stdout_has("SOURCE_AWS_REGION is required");
}
