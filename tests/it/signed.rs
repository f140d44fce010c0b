//! Requests that the host signs, with the example `guest/examples/hawk`: the source checks each signature, with a key of its own.
//!
//! The key is the credential that must be nowhere (`Job::key`): that no stream and no file holds it is checked after every run.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::KeyInit as _;
use hmac::{Hmac, Mac as _};
use serde_json::json;
use sha2::Sha256;
use tidegate::outcome::Outcome;

use crate::server::{Reply, Request, Server};
use crate::world::{Job, guests};

const ONE: &str = r#"{"orderedItems":[{"id":"a"}]}"#;

/// A feed that is signed with `job.key`.
fn signed() -> Job {
    let job = Job::new()
        .component(guests::hawk())
        .unset("SOURCE_API_KEY")
        .unset("WRITE_MODE")
        .set("PRIMARY_KEY", "/id")
        .set("SOURCE_HAWK_ID", "me")
        .set("ALLOW_ENVIRONMENT", "SOURCE_HAWK_ID,RETRY_PAUSE");
    let key = job.key.clone();
    job.set("SOURCE_SIGNING_KEY", &key)
}

/// A member of the `Authorization` of Hawk.
fn member<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let sent = request.header("authorization")?.strip_prefix("Hawk ")?;
    let mut members = sent.split(", ").filter_map(|member| member.split_once('='));
    let (_, value) = members.find(|(known, _)| *known == name)?;
    value.strip_prefix('"')?.strip_suffix('"')
}

/// The signature that this request must have.
fn mac(request: &Request, key: &[u8]) -> Option<Vec<u8>> {
    let (host, port) = request.header("host")?.split_once(':')?;
    let (time, nonce) = (member(request, "ts")?, member(request, "nonce")?);
    let target = &request.target;
    let signed = format!("hawk.1.header\n{time}\n{nonce}\nGET\n{target}\n{host}\n{port}\n\n\n");
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    let mac = mac.chain_update(signed.as_bytes()).finalize();
    Some(mac.into_bytes().to_vec())
}

/// A source that answers what is signed with `key`, each nonce once; 401 otherwise.
fn checking(
    key: &[u8],
    answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let (key, nonces) = (key.to_vec(), Arc::new(Mutex::new(BTreeSet::new())));
    move |request| {
        let given = member(request, "mac").and_then(|mac| STANDARD.decode(mac).ok());
        let is_signed = given.is_some() && given == mac(request, &key);
        let nonce = member(request, "nonce").unwrap_or_default().to_owned();
        let is_new = nonces.lock().unwrap().insert(nonce);
        if is_signed && is_new && member(request, "id") == Some("me") {
            answer(request)
        } else {
            Reply::new(401, "")
        }
    }
}

#[test]
fn every_request_has_a_signature_of_its_own_and_the_next_run_goes_on_where_this_one_ended() {
    let job = signed();
    let key = job.key.clone().into_bytes();
    let mut job = job.api(checking(&key, |request| {
        match request.query("page").as_deref() {
            None => Reply::new(
                200,
                r#"{"orderedItems":[{"id":"a","n":1.10}],"next":"?page=2&of=a%20b"}"#,
            ),
            Some("2") => Reply::new(
                200,
                r#"{"orderedItems":[{"id":"b"}],"next":"/items?page=3"}"#,
            ),
            _ => Reply::new(200, r#"{"orderedItems":[{"id":"c"}]}"#),
        }
    }));

    let first = job.run();
    let second = job
        .then(|job| {
            job.api(checking(&key, |_| {
                Reply::new(200, r#"{"orderedItems":[{"id":"c"},{"id":"d"}]}"#)
            }))
        })
        .run();

    first
        .exits(Outcome::Published)
        .asked(3)
        .publishes(&json!([{"id": "a", "n": 1.1}, {"id": "b"}, {"id": "c"}]));
    second.exits(Outcome::Published).asked(1);
    assert_eq!(second.requests[0].target, "/items?page=3");
    assert_eq!(second.after.records().len(), 4);
}

#[test]
fn a_retry_is_signed_anew() {
    let job = signed().set("RETRY_PAUSE", "10ms");
    let key = job.key.clone().into_bytes();
    let asked = Mutex::new(0);
    let mut job = job.api(checking(&key, move |_| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        match *asked {
            1 => Reply::new(503, ""),
            _ => Reply::new(200, ONE),
        }
    }));

    job.run().exits(Outcome::Published).asked(2);
}

#[test]
fn a_key_is_written_as_text_base64_or_hex() {
    for (format, written) in [
        ("base64", "AP9rZXkta2V5LWtleS1rZXkta2V5LWtleQ=="),
        ("hex", "00FF6b65792d6b65792d6b65792d6b65792d6b65792d6b6579"),
    ] {
        let mut job = signed()
            .set("SOURCE_SIGNING_KEY", written)
            .set("SOURCE_SIGNING_KEY_FORMAT", format)
            .api(checking(b"\0\xffkey-key-key-key-key-key", |_| {
                Reply::new(200, ONE)
            }));

        job.run().exits(Outcome::Published);

        let mut other = job.then(|job| job.set("SOURCE_SIGNING_KEY", "not-a-key-of-that-kind-!"));
        let refused = other.run();
        refused.exits(Outcome::Settings).stderr_has(&format!(
            "SOURCE_SIGNING_KEY is not {format}, as SOURCE_SIGNING_KEY_FORMAT says it is"
        ));
        assert!(!refused.stderr.contains("not-a-key"));
    }
}

#[test]
fn another_hash_function_is_another_signature() {
    let job = signed().set("SOURCE_SIGNING_ALGORITHM", "hmac-sha512");
    let key = job.key.clone().into_bytes();
    let mut job = job.api(checking(&key, |_| Reply::new(200, ONE)));

    let run = job.run();

    run.exits(Outcome::Denied)
        .stderr_has("the source refused the signature; check SOURCE_SIGNING_KEY");
    assert_eq!(
        STANDARD
            .decode(member(&run.requests[0], "mac").unwrap())
            .unwrap()
            .len(),
        64
    );
}

#[test]
fn another_origin_gets_no_request_with_a_signature() {
    let other = Server::start(|_| Reply::new(200, ONE));
    let elsewhere = format!("{}/items", other.origin());
    let mut job = signed()
        .set("ALLOW_HOSTS", &other.origin())
        .api(move |_| Reply::new(302, "").header("location", elsewhere.clone()));

    let run = job.run();

    run.exits(Outcome::Denied).stderr_has(
        "it has the stand-in for a signature, and only the origin of `SOURCE_API_URL` gets signatures",
    );
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_signature_that_the_source_sends_back_is_replaced() {
    let mut job = signed().api(|request| {
        let mac = member(request, "mac").unwrap();
        let bytes = STANDARD.decode(mac).unwrap();
        let in_hex = bytes
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02X}"));
        let sent = request.header("authorization").unwrap();
        let body = json!({"orderedItems": [{"id": "a", "sent": sent, "mac": mac, "hex": in_hex}]});
        Reply::new(200, body.to_string())
    });

    let run = job.run();

    run.exits(Outcome::Published);
    let mac = member(&run.requests[0], "mac").unwrap();
    let text = run.after.file("latest.json").unwrap();
    assert!(!text.contains(mac), "{text}");
    assert!(text.contains(r#""mac":"REDACTED""#), "{text}");
    assert!(text.contains(r#""hex":"REDACTED""#), "{text}");
    assert!(text.contains(r#"mac=\"REDACTED\""#), "{text}");
}

#[test]
fn without_a_key_nothing_is_asked_and_the_line_says_what_is_missing() {
    let mut job = signed().unset("SOURCE_SIGNING_KEY");

    job.run().exits(Outcome::Settings).asked(0).stderr_has(
        "SOURCE_SIGNING_KEY is required: the component has its requests signed with it; for example \
         `SOURCE_SIGNING_KEY_FILE=/etc/tidegate/signing-key`",
    );
}

#[test]
fn a_key_where_nothing_is_signed_is_refused() {
    let mut job = Job::new().set("SOURCE_SIGNING_KEY", "a-key-for-nothing");

    job.run().exits(Outcome::Settings).asked(0).stderr_has(
        "SOURCE_SIGNING_KEY has no effect: the component has nothing signed, as it does not declare this setting",
    );
}

#[test]
fn a_credential_and_a_signature_do_not_share_a_header() {
    let job = signed();
    let key = job.key.clone();
    let mut bearer = job
        .set("SOURCE_API_KEY", "another-credential")
        .api(|_| Reply::new(200, ONE));
    bearer
        .run()
        .exits(Outcome::Denied)
        .asked(0)
        .stderr_has("its `Authorization` is signed, and `SOURCE_AUTH` sets that header, too");

    let mut header = bearer.then(|job| {
        job.set("SOURCE_AUTH", "header")
            .api(checking(key.as_bytes(), |_| Reply::new(200, ONE)))
    });
    let run = header.run();

    run.exits(Outcome::Published);
    assert_eq!(
        run.requests[0].header("x-api-key"),
        Some("another-credential")
    );
}

#[test]
fn how_to_sign_needs_a_key() {
    let mut job = Job::new().set("SOURCE_SIGNING_ALGORITHM", "hmac-sha512");

    job.run().exits(Outcome::Settings).stderr_has(
        "SOURCE_SIGNING_ALGORITHM is about a key for signing, and SOURCE_SIGNING_KEY is not set",
    );
}

#[test]
fn inspect_and_check_say_that_it_signs_and_not_with_what() {
    let job = signed().page(200, ONE);
    let component = guests::hawk().to_string_lossy().into_owned();

    let inspected = job.tidegate(["inspect", &component]);
    let checked = job.tidegate(["check", "--component", &component]);

    inspected.exits(0).stdout_has("tidegate:sync/signer");
    checked.exits(0).stdout_has("SOURCE_SIGNING_KEY");
    checked.shows_nothing_of(&job.key);
}

#[test]
fn a_signature_of_aws_and_one_of_a_component_s_are_not_both_the_authorization() {
    let job = signed().set("SOURCE_AUTH", "aws-sigv4");
    let pair = format!("AKIDEXAMPLE:{}", job.key);

    job.set("SOURCE_API_KEY", &pair)
        .set("SOURCE_AWS_REGION", "eu-west-1")
        .set("SOURCE_AWS_SERVICE", "execute-api")
        .api(|_| Reply::new(200, ONE))
        .run()
        .exits(Outcome::Denied)
        .asked(0)
        .stderr_has("its `Authorization` is signed, and `SOURCE_AUTH` sets that header, too");
}
