//! Settings of authorization that do not go together: 78, all at once, before anything is asked.

use tidegate::outcome::Outcome;

use super::oauth2;
use crate::world::Job;

fn told(job: Job) -> String {
    let run = { job }.run();
    run.exits(Outcome::Settings).asked(0);
    run.stderr.clone()
}

#[test]
fn oauth2_needs_a_url_an_id_and_a_secret() {
    let text = told(
        Job::new()
            .unset("SOURCE_API_KEY")
            .set("SOURCE_AUTH", "oauth2"),
    );

    for name in [
        "SOURCE_TOKEN_URL",
        "SOURCE_CLIENT_ID",
        "SOURCE_CLIENT_SECRET",
    ] {
        assert!(text.contains(&format!("{name} is required with")), "{text}");
    }
}

#[test]
fn every_wrong_value_of_oauth2_is_told() {
    let text = told(
        oauth2()
            .set("SOURCE_API_KEY", "a-key")
            .set("SOURCE_TOKEN_URL", "https://me:s3cret@login.example/token")
            .set("SOURCE_SCOPE", "orders\"read")
            .set("SOURCE_TOKEN_AUTH", "digest")
            .set("SOURCE_AUTH_NAME", "X-Key"),
    );

    for words in [
        "SOURCE_API_KEY has no effect with SOURCE_AUTH=oauth2",
        "SOURCE_TOKEN_URL takes an http or https URL",
        "SOURCE_SCOPE takes words",
        "SOURCE_TOKEN_AUTH takes `basic`, `body` or `private_key_jwt`",
        "SOURCE_AUTH_NAME has no effect with",
    ] {
        assert!(text.contains(words), "`{words}` is not in {text}");
    }
}

#[test]
fn what_belongs_to_oauth2_means_nothing_without_it() {
    let text = told(oauth2().unset("SOURCE_AUTH").set("SOURCE_SCOPE", "read"));

    for name in [
        "SOURCE_TOKEN_URL",
        "SOURCE_CLIENT_ID",
        "SOURCE_CLIENT_SECRET",
        "SOURCE_SCOPE",
    ] {
        let words = format!("{name} has no effect without SOURCE_AUTH=oauth2");
        assert!(text.contains(&words), "{text}");
    }
}

#[test]
fn a_client_secret_comes_from_a_file_too_and_never_from_a_flag() {
    let job = oauth2().unset("SOURCE_CLIENT_SECRET");
    let file = job.file("secret", &format!("{}\n", job.key));
    let env = job.file(
        "job.env",
        &format!("SOURCE_CLIENT_SECRET_FILE={}\n", file.display()),
    );
    let env = env.display().to_string();

    job.tidegate(["check", "--env-file", &env])
        .exits(0)
        .stdout_has("SOURCE_CLIENT_SECRET     (secret)")
        .stdout_has("SOURCE_TOKEN_URL");

    let flag = format!("SOURCE_CLIENT_SECRET={}", job.key);
    job.tidegate(["check", "--set", &flag])
        .exits(78)
        .stdout_has("SOURCE_CLIENT_SECRET is a secret and must not be an argument");
}

#[test]
fn a_client_certificate_needs_its_key_and_somebody_to_see_it() {
    let both = |certificate: &str, key: &str| {
        Job::new()
            .set("CLIENT_CERT_FILE", certificate)
            .set("CLIENT_KEY_FILE", key)
    };

    assert!(told(both("client.pem", "")).contains("CLIENT_KEY_FILE is required with"));
    assert!(told(both("", "client.key")).contains("CLIENT_CERT_FILE is required with"));
    assert!(told(both("client.pem", "client.key")).contains("no effect over plain http"));
}
