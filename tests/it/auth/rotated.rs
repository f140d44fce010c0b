//! A key that is rotated in its file while a run is under way is picked up once; neither the old nor the new one is shown.
//!
//! Old and new key both hold `Job::key`, which must be nowhere: that is checked after every run.

use std::path::PathBuf;

use serde_json::json;
use tidegate::outcome::Outcome;

use super::{ONE, bearer, token};
use crate::server::{Reply, Request};
use crate::world::Job;

/// A job whose key is in a file, and that file.
fn by_file(name: &str) -> (Job, PathBuf) {
    let job = Job::new().unset("SOURCE_API_KEY");
    let file = job.file("api.key", &format!("old-{}\n", job.key));
    (job.set(name, &file.display().to_string()), file)
}

/// Puts another key into the file, as a program that rotates it does.
fn rotate(file: &PathBuf, key: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{key}\n")).unwrap();
    std::fs::rename(new, file).unwrap();
}

fn is_new(request: &Request) -> bool {
    bearer(request).starts_with("new-")
}

#[test]
fn a_key_that_is_rotated_between_two_pages_is_picked_up() {
    let (job, file) = by_file("SOURCE_API_KEY_FILE");
    let new = format!("new-{}", job.key);
    let job = job.set("SOURCE_PAGINATION", "link").api(move |request| {
        let key = bearer(request).to_owned();
        match request.query("page") {
            None => Reply::new(200, ONE).next("{server}/items?page=2"),
            Some(_) if is_new(request) => {
                Reply::new(200, json!([{"id": 2, "you": key}]).to_string())
            }
            Some(_) => {
                rotate(&file, &new);
                Reply::new(401, json!({"refused": key}).to_string())
            }
        }
    });

    let run = { job }.run();

    run.exits(Outcome::Published)
        .publishes(&json!([{"id": 1}, {"id": 2, "you": "REDACTED"}]));
    let asked: Vec<bool> = run.requests.iter().map(is_new).collect();
    assert_eq!(asked, [false, false, true]);
    assert_eq!(
        run.events("credential changed, read again from its file")
            .len(),
        1
    );
}

#[test]
fn a_source_that_takes_neither_key_is_77_after_two() {
    let (job, file) = by_file("SOURCE_API_KEY_FILE");
    let new = format!("new-{}", job.key);
    let job = job.api(move |request| {
        rotate(&file, &new);
        Reply::new(401, json!({"refused": bearer(request)}).to_string())
    });

    let run = { job }.run();

    run.exits(Outcome::Denied).asked(2).stderr_has("401");
}

#[test]
fn a_key_that_is_the_same_in_its_file_is_77_after_one() {
    let (job, _) = by_file("SOURCE_API_KEY_FILE");

    let run = job.page(401, "{}").run();

    run.exits(Outcome::Denied).asked(1);
}

#[test]
fn a_client_secret_that_was_rotated_is_picked_up_by_the_login() {
    let (job, file) = by_file("SOURCE_CLIENT_SECRET_FILE");
    let (new, key) = (format!("new-{}", job.key), job.key.clone());
    let job = job
        .set("SOURCE_AUTH", "oauth2")
        .set("SOURCE_TOKEN_URL", "{server}/token")
        .set("SOURCE_CLIENT_ID", "tidegate")
        .set("SOURCE_TOKEN_AUTH", "body")
        .api(move |request| match request.path() {
            "/token" if String::from_utf8_lossy(&request.body).contains("new-") => {
                token(&key, 3600)
            }
            "/token" => {
                rotate(&file, &new);
                Reply::new(401, json!({"error": "invalid_client"}).to_string())
            }
            _ => Reply::new(200, ONE),
        });

    let run = { job }.run();

    run.exits(Outcome::Published).asked(3);
}
