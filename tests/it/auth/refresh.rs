//! Refresh tokens that the server replaces with each use: the next one is in its file before the access token is used.
//!
//! The server of these tests no longer takes a refresh token once the access token that came with the next one was used, or
//! the next one itself. A server that voids it at once leaves nothing to be done where its answer does not arrive.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tidegate::outcome::Outcome;

use super::{ONE, bearer};
use crate::server::{Reply, Request};
use crate::world::{Job, Run};

/// What the server knows.
#[derive(Default)]
struct Login {
    /// The number of the refresh token that was used last.
    used: usize,
    /// The number of the last one that was given out.
    given: usize,
}

/// A refresh token that has the key of the job in it, which must be nowhere.
fn refresh_token(key: &str, number: usize) -> String {
    format!("refresh-{key}-{number}")
}

fn form(request: &Request) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(&request.body)
        .into_owned()
        .collect()
}

/// A job whose refresh token is replaced with each use, its file and what the server knows.
fn rotating() -> (Job, PathBuf, Arc<Mutex<Login>>) {
    let job = Job::new()
        .unset("SOURCE_API_KEY")
        .set("SOURCE_AUTH", "oauth2")
        .set("SOURCE_TOKEN_URL", "{server}/token")
        .set("SOURCE_CLIENT_ID", "tidegate");
    let file = job.file(
        "refresh-token",
        &format!("{}\n", refresh_token(&job.key, 0)),
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let login = Arc::new(Mutex::new(Login::default()));
    let (key, known) = (job.key.clone(), login.clone());
    let job = job
        .set("SOURCE_REFRESH_TOKEN_FILE", &file.display().to_string())
        .api(move |request| {
            let mut login = known.lock().unwrap();
            if request.path() == "/token" {
                let form = form(request);
                assert_eq!(form["grant_type"], "refresh_token");
                let number = form["refresh_token"].rsplit('-').next().unwrap().parse();
                let number: usize = number.unwrap();
                if number < login.used || number > login.given {
                    return Reply::new(400, r#"{"error":"invalid_grant"}"#);
                }
                login.used = number;
                login.given += 1;
                let body = json!({
                    "access_token": format!("access-{key}-{}", login.given),
                    "refresh_token": refresh_token(&key, login.given),
                    "expires_in": 3600,
                });
                return Reply::new(200, body.to_string());
            }
            let number = bearer(request).rsplit('-').next().unwrap_or_default();
            let Ok(number) = number.parse() else {
                return Reply::new(401, "{}");
            };
            login.used = login.used.max(number);
            Reply::new(200, ONE)
        });
    (job, file, login)
}

fn kept(file: &Path) -> String {
    fs::read_to_string(file).unwrap().trim_end().to_owned()
}

fn told(run: &Run, words: &[&str]) {
    for words in words {
        run.stderr_has(words);
    }
}

#[test]
fn each_run_uses_the_token_that_the_last_one_was_given() {
    let (mut job, file, _) = rotating();

    let outcomes = [Outcome::Published, Outcome::NothingNew, Outcome::NothingNew];
    for (number, outcome) in (1..).zip(outcomes) {
        let run = job.run();
        run.exits(outcome);
        assert_eq!(kept(&file), refresh_token(&job.key, number));
        assert_eq!(run.events("refresh token replaced in its file").len(), 1);
    }
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn runs_at_once_lose_no_token() {
    let (mut job, file, _) = rotating();
    job.run().exits(Outcome::Published);
    let folders = ["one", "two", "three", "four"]
        .map(|name| format!("OUTPUT_DIR={}", job.beside(name).display()));

    let begun = folders.map(|folder| job.begin(["run", "--set", &folder]));

    for run in begun {
        run.ends().exits(0);
    }
    assert_eq!(kept(&file), refresh_token(&job.key, 5));
    job.run().exits(Outcome::NothingNew);
}

#[test]
fn a_file_that_cannot_be_replaced_is_refused_before_any_request() {
    let (job, file, _) = rotating();
    let link = job.beside("link");
    symlink(&file, &link).unwrap();
    let mut job = job.set("SOURCE_REFRESH_TOKEN_FILE", &link.display().to_string());

    let run = job.run();

    run.exits(Outcome::Settings).asked(0);
    told(
        &run,
        &[
            "SOURCE_REFRESH_TOKEN is in a file that cannot be rewritten",
            "it is a link",
        ],
    );
    job.tidegate(["check"]).exits(78).stdout_has("it is a link");
}

#[test]
fn a_token_that_no_file_keeps_is_used_where_the_server_does_not_replace_it() {
    let (job, _, _) = rotating();
    let (key, token) = (job.key.clone(), refresh_token(&job.key, 0));
    let job = job
        .unset("SOURCE_REFRESH_TOKEN_FILE")
        .set("SOURCE_REFRESH_TOKEN", &token);
    let asked = AtomicUsize::new(0);
    let mut job = job.api(move |request| {
        if request.path() != "/token" {
            return Reply::new(200, ONE);
        }
        let next = match asked.fetch_add(1, Ordering::SeqCst) {
            0 => token.clone(),
            number => format!("{token}-{number}"),
        };
        let body = json!({"access_token": format!("access-{key}"), "refresh_token": next});
        Reply::new(200, body.to_string())
    });

    job.run().exits(Outcome::Published);
    let run = job.run();

    run.exits(Outcome::Denied).asked(1);
    told(
        &run,
        &[
            "replaced the refresh token",
            "authorize again",
            "SOURCE_REFRESH_TOKEN_FILE",
        ],
    );
}

#[test]
fn a_refused_token_is_77_and_says_what_to_do() {
    let (mut job, file, login) = rotating();
    login.lock().unwrap().used = 1;

    let run = job.run();

    run.exits(Outcome::Denied).asked(1);
    told(&run, &["`invalid_grant`", "SOURCE_REFRESH_TOKEN"]);
    assert_eq!(kept(&file), refresh_token(&job.key, 0));
}

/// The calls about the file and its folder, and how often each name of a call comes.
const TRACED: &str = "openat,flock,unlinkat,newfstatat,fstat,statx,fchmod,fchown,write,read,fsync,fdatasync,renameat,renameat2,close";

#[test]
fn a_run_killed_at_any_call_about_the_file_leaves_a_token_that_counts() {
    let (mut job, file, login) = rotating();
    let folder = file.parent().unwrap().join("tokens");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("refresh-token");
    job = job.set("SOURCE_REFRESH_TOKEN_FILE", &file.display().to_string());
    let log = job.beside("strace.log").display().to_string();
    let shown = |name: &str| folder.join(name).display().to_string();
    let paths = [
        folder.display().to_string(),
        shown("refresh-token"),
        shown(".refresh-token.new"),
        shown(".refresh-token.lock"),
    ];
    let mut strace = vec!["strace", "-f", "-o", &log];
    for path in &paths {
        strace.extend(["-P", path]);
    }
    let trace = format!("trace={TRACED}");
    strace.extend(["-e", &trace]);
    let begin = |login: &Mutex<Login>| {
        *login.lock().unwrap() = Login::default();
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
    };
    let first = refresh_token(&job.key, 0);
    let write_first = || fs::write(&file, format!("{first}\n")).unwrap();

    begin(&login);
    write_first();
    job = job.launcher(&strace);
    job.run().exits(Outcome::Published);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in fs::read_to_string(&log).unwrap().lines() {
        let call = line.split_whitespace().nth(1).unwrap_or_default();
        if let Some((name, _)) = call.split_once('(') {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    assert!(
        counts["fsync"] >= 4 && counts.contains_key("renameat"),
        "{counts:?}"
    );

    let mut killed = 0;
    for (name, count) in &counts {
        for when in 1..=*count {
            let told = format!("killed at {name} {when} of {count}");
            begin(&login);
            write_first();
            let inject = format!("inject={name}:signal=SIGKILL:when={when}");
            let mut words = strace.clone();
            words.extend(["-e", &inject]);
            job = job.launcher(&words);
            let printed = job.start().ends_unchecked();
            killed += usize::from(printed.code.is_none());

            // What is there is whole, and the server still takes it.
            let number: usize = kept(&file).rsplit('-').next().unwrap().parse().unwrap();
            assert_eq!(kept(&file), refresh_token(&job.key, number), "{told}");
            assert!(number >= login.lock().unwrap().used, "{told}");
            job = job.launcher(&[]);
            let run = job.run();
            assert!(run.code == Some(0), "{told}: {}", run.stderr);
        }
    }
    assert!(killed > 20, "{killed} runs were killed: {counts:?}");
}
