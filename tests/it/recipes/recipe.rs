//! One recipe: the settings of the docs, the API that they are for, and what becomes of its records from run to run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use super::source::{Answer, Refusal, Row, Source, written};
use crate::server::{Reply, Request};
use crate::world::{Job, Run};

/// The access token of every API that gives one out.
const TOKEN: &str = "00Dxx0000001gPL-an-access-token-for-one-hour";
/// Where the one that does gives it out.
pub const TOKEN_PATH: &str = "/services/oauth2/token";
/// Where one logs in.
const LOGIN_PATH: &str = "/auth/login";

/// How an API wants its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    Bearer,
    /// The user, and after it the password; `{key}` is the credential.
    Basic(&'static str),
    Header(&'static str),
    Query(&'static str),
    /// Client credentials: the credential is the client's secret.
    OAuth2,
    /// A login: the credential is the user's password.
    Login,
}

/// How one learns of records that were deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletes {
    /// Tombstones come along with what changed.
    Buried,
    /// Every run fetches everything.
    Missing,
    /// Not at all, until everything is fetched anew.
    Untold,
}

/// One recipe of the docs.
pub struct Recipe {
    /// Its heading there.
    pub heading: &'static str,
    /// How many records there are at first.
    pub rows: u64,
    /// How long two changes lie apart.
    pub seconds_apart: i64,
    /// How the credential is to come.
    pub auth: Auth,
    /// How deletions are told.
    pub deletes: Deletes,
    /// The API.
    pub answer: fn(&mut Source, &Request) -> Answer,
    /// What is to be published of a live row.
    pub published: fn(&Row) -> Vec<Value>,
    /// How many requests the first run makes at most, and the ones after it.
    pub requests_max: [usize; 2],
}

/// A recipe that is being followed.
pub struct Followed<'r> {
    /// The job, with the settings of the docs.
    pub job: Job,
    recipe: &'r Recipe,
    keys: Vec<String>,
    source: Arc<Mutex<Source>>,
}

impl Recipe {
    /// The job that the docs describe, against a copy of the API.
    pub fn job(&self) -> Followed<'_> {
        self.job_without("")
    }

    /// The same without one of the settings.
    pub fn job_without(&self, left_out: &str) -> Followed<'_> {
        let block = super::block(self.heading, 0);
        let lines = block.lines().filter(|line| {
            let name = line.split('=').next();
            name != Some(left_out)
        });
        let block: Vec<&str> = lines.collect();
        let keys = block
            .iter()
            .find_map(|line| line.strip_prefix("PRIMARY_KEY="));
        let keys = keys
            .expect("a recipe has a key")
            .split(',')
            .map(str::to_owned);
        let job = Job::new().unset("SOURCE_API_URL").unset("SOURCE_API_KEY");
        let text: String = block
            .iter()
            .map(|line| as_here(line, &job.key) + "\n")
            .collect();
        let file = job.file("recipe.env", &text).display().to_string();
        let source = Arc::new(Mutex::new(Source::new(self.rows, self.seconds_apart)));
        let job = job.args(["--env-file", &file]);
        Followed {
            job: self.answered(job, &source),
            recipe: self,
            keys: keys.collect(),
            source,
        }
    }

    fn answered(&self, job: Job, source: &Arc<Mutex<Source>>) -> Job {
        let (auth, answer) = (self.auth, self.answer);
        let (key, source) = (job.key.clone(), Arc::clone(source));
        job.api(move |request| {
            let mut source = source.lock().expect("no answer panicked");
            let now = written(source.now, "%a, %d %b %Y %H:%M:%S GMT");
            let reply = if !auth.is_right(request, &key) {
                Err(Refusal(401, json!({"message": "who are you?"})))
            } else if request.path() == TOKEN_PATH {
                Ok(token(request))
            } else if request.path() == LOGIN_PATH {
                let body = json!({"data": {"access_token": TOKEN, "expires": 900_000}});
                Ok(Reply::new(200, body.to_string()))
            } else {
                answer(&mut source, request)
            };
            let reply =
                reply.unwrap_or_else(|Refusal(status, body)| Reply::new(status, body.to_string()));
            reply.header("date", now)
        })
    }

    /// Follows the recipe: everything is published, then what changed and nothing else, then there is nothing new; and what
    /// no API tells is seen when everything is fetched anew.
    pub fn holds(&self) {
        let mut followed = self.job();
        let first = followed.job.run();
        followed
            .publishes_all(&first)
            .asked_at_most(&first, self.requests_max[0]);
        let newest = followed.source(|source| {
            source.pass(3600);
            source.newest()
        });

        followed.source(|source| {
            // It was there when we asked, and was not committed yet.
            source.add(3600 + 120);
            source.add(0);
            source.edit(newest - 40);
            source.edit(newest - 1);
            source.edit(newest);
            match self.deletes {
                Deletes::Buried => source.bury(newest - 2),
                Deletes::Missing => source.lose(newest - 2),
                Deletes::Untold => {}
            }
            source.pass(60);
        });
        let second = followed.job.run();
        followed
            .publishes_all(&second)
            .asked_at_most(&second, self.requests_max[1]);

        followed.source(|source| source.pass(60));
        let third = followed.job.run();
        third.exits(Outcome::NothingNew);
        followed.asked_at_most(&third, self.requests_max[1]);

        followed.source(|source| source.lose(newest - 3));
        followed.job = followed.job.args(["--full-refresh"]);
        let anew = followed.job.run();
        followed
            .publishes_all(&anew)
            .asked_at_most(&anew, self.requests_max[0]);
    }
}

impl Followed<'_> {
    /// Looks at the source, or changes it.
    pub fn source<T>(&self, look: impl FnOnce(&mut Source) -> T) -> T {
        look(&mut self.source.lock().expect("no answer panicked"))
    }

    /// Readers see what the source has, record by record, and nothing else.
    #[track_caller]
    pub fn publishes_all(&self, run: &Run) -> &Self {
        run.exits(Outcome::Published);
        self.is_discreet(run);
        let latest = run
            .after
            .file("latest.json")
            .expect("something is published");
        let seen: Vec<Value> = serde_json::from_str(latest).expect("JSON");
        let expected = self.source(|source| {
            let live = source.live().into_iter();
            live.flat_map(self.recipe.published).collect::<Vec<_>>()
        });
        let (seen_keyed, expected_keyed) = (self.keyed(&seen), self.keyed(&expected));
        assert_eq!(seen.len(), seen_keyed.len(), "a key comes twice");
        let wrong = expected_keyed
            .iter()
            .find(|(key, record)| seen_keyed.get(*key) != Some(record));
        assert_eq!(
            wrong.map(|(key, record)| (Some(record), seen_keyed.get(key))),
            None
        );
        let more = seen_keyed
            .keys()
            .find(|key| !expected_keyed.contains_key(*key));
        assert_eq!(more, None, "it is not in the source");
        self
    }

    fn keyed(&self, records: &[Value]) -> BTreeMap<String, Value> {
        let key = |record: &Value| -> String {
            let parts = self.keys.iter().map(|key| record.pointer(key));
            let parts = parts.map(|part| part.expect("a record has its key").to_string());
            parts.collect::<Vec<_>>().join(",")
        };
        let keyed = records.iter().map(|record| (key(record), record.clone()));
        keyed.collect()
    }

    /// It made few requests, and each was as the API wants it: none was refused.
    #[track_caller]
    pub fn asked_at_most(&self, run: &Run, requests_max: usize) -> &Self {
        let targets: Vec<&String> = run.requests.iter().map(|request| &request.target).collect();
        assert!(
            targets.len() <= requests_max,
            "{requests_max} were enough: {targets:#?}"
        );
        self
    }

    /// The credential went where it belongs and nowhere else, and what it was exchanged for is not in the log.
    #[track_caller]
    fn is_discreet(&self, run: &Run) {
        let key = &self.job.key;
        for request in &run.requests {
            let times = match self.recipe.auth {
                Auth::Bearer | Auth::Header(_) | Auth::Query(_) => 1,
                // There it is a part of what stands in base64.
                Auth::Basic(_) | Auth::OAuth2 => 0,
                Auth::Login => usize::from(request.path() == LOGIN_PATH),
            };
            let text = [request.head.as_slice(), request.body.as_slice()].concat();
            let text = String::from_utf8(text).expect("ASCII");
            assert_eq!(
                text.matches(key.as_str()).count(),
                times,
                "{}",
                request.target
            );
            assert!(
                self.recipe.auth.is_right(request, key),
                "{}",
                request.target
            );
        }
        assert!(!run.stdout.contains(TOKEN), "{}", run.stdout);
    }
}

impl Auth {
    /// Whether the request carries the credential as it should.
    fn is_right(self, request: &Request, key: &str) -> bool {
        let authorization = request.header("authorization");
        let basic = || {
            let encoded = authorization?.strip_prefix("Basic ")?;
            String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
        };
        match self {
            Self::Bearer => authorization == Some(&format!("Bearer {key}")),
            Self::Basic(pair) => basic() == Some(pair.replace("{key}", key)),
            Self::Header(name) => request.header(name) == Some(key) && authorization.is_none(),
            Self::Query(name) => {
                request.query(name).as_deref() == Some(key) && authorization.is_none()
            }
            Self::OAuth2 if request.path() == TOKEN_PATH => {
                basic().is_some_and(|pair| pair.ends_with(&format!(":{key}")))
            }
            Self::Login if request.path() == LOGIN_PATH => {
                let body: Option<Value> = serde_json::from_slice(&request.body).ok();
                let wanted = json!({"email": "reader@example.com", "password": key});
                request.method == "POST" && authorization.is_none() && body == Some(wanted)
            }
            Self::OAuth2 | Self::Login => authorization == Some(&format!("Bearer {TOKEN}")),
        }
    }
}

/// A token for client credentials; its answer is Salesforce's, which names no time of expiry.
fn token(request: &Request) -> Reply {
    let is_right = request.method == "POST"
        && request.header("content-type") == Some("application/x-www-form-urlencoded")
        && request.body == b"grant_type=client_credentials";
    let (status, body) = if is_right {
        let body = json!({
            "access_token": TOKEN,
            "instance_url": "{server}",
            "issued_at": "1795176000000",
            "token_type": "Bearer",
        });
        (200, body)
    } else {
        (
            400,
            json!({"error": "unsupported_grant_type", "error_description": "grant type not supported"}),
        )
    };
    Reply::new(status, body.to_string())
}

/// A line of a recipe with what is ours in place of what is the reader's: the server, and the credential.
fn as_here(line: &str, key: &str) -> String {
    let (name, value) = line.split_once('=').expect("a line is NAME=VALUE");
    match name {
        "SOURCE_API_KEY" | "SOURCE_CLIENT_SECRET" => {
            let parts = value.split(':');
            let parts = parts.map(|part| if part.ends_with('…') { key } else { part });
            format!("{name}={}", parts.collect::<Vec<_>>().join(":"))
        }
        "SOURCE_API_URL" | "SOURCE_EACH_URL" | "SOURCE_TOKEN_URL" | "SOURCE_LOGIN_URL"
        | "SOURCE_EXPORT_URL" | "SOURCE_EXPORT_POLL" => {
            let (_, after) = value.split_once("://").expect("an absolute URL");
            let path = after.find('/').expect("a path");
            format!("{name}={{server}}{}", &after[path..])
        }
        _ => line.to_owned(),
    }
}
