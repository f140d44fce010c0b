use super::*;

const CLAIMED: &str = "me";
const AUDIENCE: &str = "https://login.example/token";

fn key(name: &str) -> AssertionKey {
    let path = format!("{}/../tests/data/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    AssertionKey::of_pem(&std::fs::read_to_string(path).unwrap(), Some("k-1".into())).unwrap()
}

fn part(assertion: &str, at: usize) -> Vec<u8> {
    let part = assertion.split('.').nth(at).unwrap();
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

fn json(assertion: &str, at: usize) -> serde_json::Value {
    serde_json::from_slice(&part(assertion, at)).unwrap()
}

#[test]
fn it_says_who_we_are_to_whom_and_for_how_long() {
    let key = key("client.key");

    let first = key.assertion(CLAIMED, AUDIENCE, 1_000).unwrap();
    let second = key.assertion(CLAIMED, AUDIENCE, 1_000).unwrap();

    let header = json!({"alg": "ES256", "typ": "JWT", "kid": "k-1"});
    assert_eq!(json(&first, 0), header);
    let claims = json(&first, 1);
    for (name, value) in [
        ("iss", json!(CLAIMED)),
        ("sub", json!(CLAIMED)),
        ("aud", json!(AUDIENCE)),
        ("iat", json!(1_000)),
        ("exp", json!(1_300)),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert_ne!(claims["jti"], json(&second, 1)["jti"]);
    assert_eq!(part(&first, 2).len(), 64);
}

#[test]
fn each_form_of_a_key_signs() {
    assert_eq!(
        json(&key("client-sec1.key").assertion("a", "b", 1).unwrap(), 0)["alg"],
        "ES256"
    );
    let by_rsa = key("client-rsa.key").assertion("a", "b", 1).unwrap();
    assert_eq!(json(&by_rsa, 0)["alg"], "RS256");
    assert!(part(&by_rsa, 2).len() >= 256);
}

#[test]
fn a_certificate_beside_the_key_is_named() {
    let folder = format!("{}/../tests/data/tls", env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).unwrap();
    let both = read("client.key") + &read("client.pem");

    let assertion = AssertionKey::of_pem(&both, None).unwrap();
    let header = json(&assertion.assertion("a", "b", 1).unwrap(), 0);

    assert_eq!(header["x5t#S256"].as_str().map(str::len), Some(43));
}

#[test]
fn what_is_no_key_is_refused_and_not_shown() {
    for text in [
        "",
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
    ] {
        let refused = AssertionKey::of_pem(text, None).unwrap_err();
        assert!(
            refused.starts_with("takes") && !refused.contains("c2Vj"),
            "{refused}"
        );
    }
}

/// A number of DER is shorter where it is small, and has a zero before it where it would be negative.
#[test]
fn a_signature_has_two_halves_of_the_same_length() {
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
    let der = |first: &[u8], second: &[u8]| {
        let number = |digits: &[u8]| [&[0x02, length(digits)], digits].concat();
        let both = [number(first), number(second)].concat();
        [&[0x30, length(&both)][..], &both].concat()
    };
    let mut wide = vec![0];
    wide.extend([0xff; 32]);

    let joined = halves(&der(&[7], &wide)).unwrap();

    assert_eq!(joined[..32], [&[0; 31][..], &[7]].concat());
    assert_eq!(joined[32..], [0xff; 32]);
    assert_eq!(halves(&[0x30, 0]), None);
    assert_eq!(halves(&der(&[1; 33], &wide)), None);
}
