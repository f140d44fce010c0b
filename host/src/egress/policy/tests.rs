//! Origins as operators write them and as components ask for them.

use super::*;

fn origin(text: &str) -> Origin {
    Origin::parse_grant(text).unwrap()
}

fn asked(url: &str) -> Result<Origin, EgressError> {
    Origin::asked_for(&url.parse().unwrap())
}

fn policy() -> Policy {
    let allow_hosts = vec![origin("files.example.net"), origin("http://127.0.0.1:8080")];
    Policy {
        source: Some(origin("https://data.example.org")),
        allow_hosts,
        allow_private_networks: false,
        ceiling: None,
        proxy: None,
        cookies: false,
    }
}

#[test]
fn a_bare_host_means_https_on_443() {
    assert_eq!(
        origin("Data.Example.org"),
        origin("https://data.example.org:443/")
    );
    assert_eq!(
        origin("data.example.org").to_string(),
        "https://data.example.org"
    );
}

#[test]
fn an_address_in_any_notation_is_one_origin() {
    for text in [
        "http://2130706433",
        "http://0x7f.1",
        "http://0177.0.0.1",
        "http://127.1",
        "http://0x7F000001:80",
    ] {
        assert_eq!(origin(text).to_string(), "http://127.0.0.1", "{text}");
    }
    assert_eq!(origin("[::1]").to_string(), "https://[::1]");
    assert_eq!(origin("http://[0:0::1]:81").to_string(), "http://[::1]:81");
}

#[test]
fn an_entry_that_is_no_origin_is_refused_with_the_form_to_write() {
    for text in [
        "",
        "https://",
        "ftp://a.example",
        "https://a.example/path",
        "https://a.example?x",
        "https://a.example#x",
        "a.example:8443",
        "*.a.example",
        "https://*.a.example",
        "a b",
        "a.example/",
        "https://a.example:99999",
        "file:///etc/passwd",
    ] {
        let refused = Origin::parse_grant(text);

        assert!(
            refused
                .as_ref()
                .is_err_and(|why| why.contains("write `https://host`")),
            "{text}: {refused:?}"
        );
    }
}

#[test]
fn an_entry_with_a_password_is_refused_and_not_repeated() {
    let why = Origin::parse_grant("https://user:hunter2@a.example").unwrap_err();

    assert!(!why.contains("hunter2"), "{why}");
}

#[test]
fn only_the_named_origins_are_granted() {
    let policy = policy();

    for url in [
        "https://data.example.org/x?y",
        "https://DATA.example.org:443",
        "https://files.example.net/",
        "http://0x7f.1:8080/",
    ] {
        assert_eq!(
            policy.check_request(&Method::GET, &asked(url).unwrap(), "/"),
            Ok(()),
            "{url}"
        );
    }
    for url in [
        "http://data.example.org/",
        "https://data.example.org:444/",
        "https://data.example.org./",
        "https://a.data.example.org/",
        "https://example.org/",
        "https://data.example.org.evil.example/",
        "http://127.0.0.1/",
        "http://127.0.0.2:8080/",
        "http://localhost:8080/",
        "http://[::1]:8080/",
        "http://[::ffff:127.0.0.1]:8080/",
    ] {
        assert!(
            policy
                .check_request(&Method::GET, &asked(url).unwrap(), "/")
                .is_err(),
            "{url}"
        );
    }
}

#[test]
fn a_refusal_says_who_what_and_which_setting() {
    let error = policy()
        .check_origin(&asked("https://api.example.net/a?key=1").unwrap())
        .unwrap_err();

    assert_eq!(
        error.to_string(),
        "no request was sent to `https://api.example.net`: not in `ALLOW_HOSTS` (allowed: `https://data.example.org`, \
         `https://files.example.net`, `http://127.0.0.1:8080`)"
    );
}

#[test]
fn nothing_is_granted_by_default() {
    let error = Policy::default()
        .check_origin(&origin("a.example"))
        .unwrap_err();

    assert!(error.to_string().ends_with("(allowed: none)"), "{error}");
}

#[test]
fn only_three_methods_are_granted() {
    let source = origin("https://data.example.org");

    for method in [Method::GET, Method::HEAD, Method::POST] {
        assert_eq!(policy().check_request(&method, &source, "/"), Ok(()));
    }
    for method in [
        "PUT", "DELETE", "PATCH", "CONNECT", "OPTIONS", "TRACE", "get", "PURGE",
    ] {
        let error = policy()
            .check_request(&method.parse().unwrap(), &source, "/")
            .unwrap_err();
        assert!(
            error.to_string().contains(&format!("method `{method}`")),
            "{error}"
        );
    }
}

#[test]
fn a_user_in_the_url_is_refused_and_not_repeated() {
    for url in [
        "https://hunter2@data.example.org/",
        "https://u:hunter2@data.example.org/",
        "https://data.example.org:443@evil.example/",
    ] {
        let error = asked(url).unwrap_err();

        assert!(matches!(error, EgressError::Denied { .. }));
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn other_schemes_and_relative_urls_are_refused() {
    for url in [
        "ftp://data.example.org/",
        "ws://data.example.org/",
        "/only/a/path",
        "data.example.org:443",
    ] {
        assert!(
            matches!(asked(url), Err(EgressError::Denied { .. })),
            "{url}"
        );
    }
}

fn checked(policy: &Policy, addresses: &[&str]) -> Result<Vec<String>, String> {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let left = policy
        .check_addresses("data.example.org", &addresses)
        .map_err(|error| error.to_string())?;
    Ok(left.iter().map(IpAddr::to_string).collect())
}

#[test]
fn private_addresses_are_left_out_of_a_mixed_answer() {
    assert_eq!(
        checked(&policy(), &["10.0.0.1", "9.9.9.9", "::1", "2620:fe::fe"]),
        Ok(vec!["9.9.9.9".into(), "2620:fe::fe".into()])
    );
}

#[test]
fn a_name_that_leads_only_into_a_private_network_is_refused() {
    let why = checked(&policy(), &["10.0.0.5", "127.0.0.1"]).unwrap_err();

    assert_eq!(
        why,
        "no connection was made to `data.example.org`: its address `10.0.0.5` is a private network, \
         and `ALLOW_PRIVATE_NETWORKS` is not set"
    );
}

#[test]
fn the_setting_opens_private_networks_and_never_the_metadata_service() {
    let open = Policy {
        allow_private_networks: true,
        ..policy()
    };

    assert_eq!(checked(&open, &["10.0.0.5"]), Ok(vec!["10.0.0.5".into()]));
    let why = checked(&open, &["169.254.169.254", "fd00:ec2::254"]).unwrap_err();
    assert!(
        why.contains("cloud metadata, and no setting allows that for a name"),
        "{why}"
    );
}

#[test]
fn a_host_or_method_of_any_length_makes_no_long_text() {
    let long_host = asked(&format!("https://{}/", "a.".repeat(200))).unwrap_err();
    let method = Method::from_bytes(&[b'X'; 5000]).unwrap();
    let long_method = policy()
        .check_request(&method, &origin("https://data.example.org"), "/")
        .unwrap_err();

    assert!(
        long_host.to_string().ends_with("has no valid host"),
        "{long_host}"
    );
    assert!(long_method.to_string().len() < 200, "{long_method}");
}
