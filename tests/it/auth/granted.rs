//! Grants of OAuth2 besides client credentials, what else a request for a token may have, and a client that signs.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use super::{ONE, oauth2, token};
use crate::server::{Reply, Request, tls_file};
use crate::world::Job;

fn form(request: &Request) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(&request.body)
        .into_owned()
        .collect()
}

/// A job whose login gives out its key.
fn given_out(job: Job) -> Job {
    let key = job.key.clone();
    job.api(move |request| match request.path() {
        "/token" => token(&key, 3600),
        _ => Reply::new(200, ONE),
    })
}

#[test]
fn further_parameters_go_into_the_form() {
    let params = "audience=https://api.example.com/\n resource = a=b \n\n";
    let mut job = given_out(oauth2().set("SOURCE_TOKEN_PARAMS", params));

    let run = job.run();

    run.exits(Outcome::Published);
    let form = form(&run.requests[0]);
    assert_eq!(form["audience"], "https://api.example.com/");
    assert_eq!(form["resource"], "a=b");
    assert_eq!(form.len(), 3);
}

#[test]
fn a_parameter_that_is_a_setting_of_its_own_is_refused() {
    let job = oauth2().set("SOURCE_TOKEN_PARAMS", "client_secret=a-secret-of-mine");

    let run = { job }.run();

    run.exits(Outcome::Settings)
        .asked(0)
        .stderr_has("has `client_secret`, for which there is another setting");
    assert!(!run.stderr.contains("a-secret-of-mine"));
}

#[test]
fn a_user_s_password_is_exchanged_for_a_token() {
    let job = oauth2()
        .unset("SOURCE_CLIENT_SECRET")
        .set("SOURCE_TOKEN_GRANT", "password");
    let pair = format!("reader:{}", job.key);
    let mut job = given_out(job.set("SOURCE_API_KEY", &pair));

    let run = job.run();

    run.exits(Outcome::Published);
    let form = form(&run.requests[0]);
    assert_eq!(form["grant_type"], "password");
    assert_eq!(form["username"], "reader");
    assert_eq!(form["password"], job.key);
    assert_eq!(form["client_id"], "tidegate");
    assert_eq!(run.requests[0].header("authorization"), None);
}

#[test]
fn what_a_grant_needs_and_what_has_no_effect_is_said() {
    let told = |job: Job| {
        let run = { job }.run();
        run.exits(Outcome::Settings).asked(0);
        run.stderr.clone()
    };

    let password = told(oauth2().set("SOURCE_TOKEN_GRANT", "password"));
    assert!(password.contains("SOURCE_API_KEY is required with SOURCE_TOKEN_GRANT=password"));
    let refresh = told(oauth2().set("SOURCE_TOKEN_GRANT", "refresh_token"));
    assert!(refresh.contains("SOURCE_REFRESH_TOKEN is required with"));
    let both = oauth2()
        .set("SOURCE_TOKEN_GRANT", "client_credentials")
        .set("SOURCE_REFRESH_TOKEN", "a-refresh-token");
    assert!(told(both).contains("SOURCE_REFRESH_TOKEN has no effect"));
    let key = told(oauth2().set("SOURCE_TOKEN_KEY", "-----BEGIN PRIVATE KEY-----"));
    assert!(key.contains("SOURCE_TOKEN_KEY has no effect without SOURCE_TOKEN_AUTH"));
}

#[test]
fn a_client_that_signs_sends_no_secret() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let key = tls_file("client-rsa.key").display().to_string();
    let mut job = given_out(
        oauth2()
            .unset("SOURCE_CLIENT_SECRET")
            .set("SOURCE_TOKEN_AUTH", "private_key_jwt")
            .set("SOURCE_TOKEN_KEY_ID", "key-1")
            .set("SOURCE_TOKEN_KEY_FILE", &key),
    );

    let run = job.run();

    run.exits(Outcome::Published);
    let form = form(&run.requests[0]);
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    assert_eq!(form["client_assertion_type"], kind);
    let parts: Vec<Value> = form["client_assertion"]
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    assert_eq!(
        parts[0],
        json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"})
    );
    assert_eq!(parts[1]["iss"], "tidegate");
    let audience = parts[1]["aud"].as_str().unwrap();
    assert!(audience.ends_with("/token"), "{audience}");
}
