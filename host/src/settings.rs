//! Joins what the component declares with what was given: its environment, its source, and every problem at once.
//!
//! The component sees the names it declared and was given, never a secret: by file or flag, or from the environment where it
//! was granted the name.

mod ambient;
mod auth;
pub mod catalogue;
pub mod columns;
pub mod conflicts;
pub mod data_file;
pub mod database_url;
pub mod env_file;
pub mod fingerprint;
pub mod given_file;
pub mod inputs;
pub mod plan;
pub mod suggest;

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use crate::component::{Announced, Description, Setting, Staging};
use crate::egress::{Auth, ClientFiles};
use crate::secret::Secret;
use crate::settings::catalogue::{Declared, HOST};
use crate::settings::database_url::DatabaseUrl;
use crate::settings::inputs::{Origin, Problem};
use crate::settings::plan::{Plan, WriteMode};

use suggest::refuse_unknown;
use texts::Texts;

pub use ambient::{ignored, ungranted};
pub use suggest::near_misses;

mod texts;

/// Settings that are secret whatever a component says of them.
pub const SECRETS: [&str; 4] = [
    "SOURCE_API_KEY",
    "SOURCE_CLIENT_SECRET",
    "OUTPUT_DATABASE_URL",
    "OUTPUT_DATABASE_PASSWORD",
];
/// The one of them that is shown, but for the password in it.
const DATABASE_URL: &str = "OUTPUT_DATABASE_URL";
/// Texts of the host's that may stand in a file which `NAME_FILE` names.
const HOST_TEXTS: [&str; 1] = ["OUTPUT_COLUMNS"];
/// Every secret that was given, and what of it is one by itself: what logs and errors hide.
pub fn secrets(plan: &Plan) -> Vec<Secret> {
    // The URL of a database is one where it has a password in it, or cannot be understood: errors name the others.
    let is_secret = |(name, secret): &(&str, Secret)| {
        *name != DATABASE_URL
            || DatabaseUrl::parse(secret.expose()).map_or(true, |url| url.password().is_some())
    };
    let given: Vec<Secret> = SECRETS
        .iter()
        .filter_map(|name| {
            let (secret, _) = plan.values.secret(name, &mut Vec::new())?;
            Some((*name, secret))
        })
        .filter(is_secret)
        .map(|(_, secret)| secret)
        .collect();
    // As it stands in the URL: it may be encoded in another way than we would.
    let as_written = given.iter().filter_map(|secret| {
        let (_, rest) = secret.expose().split_once("://")?;
        let (user, _) = rest.rsplit_once('@')?;
        let (_, password) = user.split_once(':')?;
        (!password.is_empty()).then(|| Secret::from(password))
    });
    let as_written: Vec<Secret> = as_written.collect();
    let of_the_url = plan.database.as_ref().and_then(DatabaseUrl::password);
    given
        .into_iter()
        .chain(as_written)
        .chain(of_the_url.cloned())
        .chain(auth::auth(plan, &mut Vec::new()).secrets())
        .collect()
}

/// Everything about one job that is not the host's own.
#[derive(Debug)]
pub struct Settings {
    /// What the component sees.
    pub environment: Vec<(String, String)>,
    /// `SOURCE_API_URL`.
    pub source: Url,
    /// How the credential is sent, if there is one.
    pub auth: Auth,
    /// `CLIENT_CERT_FILE` and `CLIENT_KEY_FILE`.
    pub client: Option<ClientFiles>,
    /// What the component announces that it stages besides records, with these settings.
    pub stages: Staging,
    /// How staged records become the published set.
    pub mode: WriteMode,
    /// sha256 in hex of each data-shaping setting, by name; one that is not given has the hash of nothing.
    pub shaping: BTreeMap<String, String>,
}

/// One row of `check`: a setting, its value as it may be shown, and where it came from.
#[derive(Debug)]
pub struct Row {
    /// The setting.
    pub name: String,
    /// The value; a secret is `(secret)`.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Settings that cannot be used.
#[derive(Debug)]
pub struct Unusable {
    /// What is wrong, the plan's problems included.
    pub problems: Vec<Problem>,
    /// What the component would have seen, so that it can be asked what it finds wrong.
    pub environment: Vec<(String, String)>,
}

/// Joins the two.
pub fn join(description: &Description, plan: &Plan) -> Result<Settings, Unusable> {
    let mut problems = plan.problems.clone();
    refuse_secrets(description, &mut problems);
    ambient::refuse(plan, &mut problems);
    refuse_unknown(description, plan, &mut problems);
    let texts = Texts::read(description, plan, &mut problems);
    let environment = environment(description, plan, &texts, &mut problems);
    let source = source(description, plan, &mut problems);
    let auth = auth::auth(plan, &mut problems);
    let client = auth::client_files(plan, source.as_ref(), &auth, &mut problems);
    let is_given = |name: &str| environment.iter().any(|(given, _)| given == name);
    let mode = mode(description, plan, is_given, &mut problems);
    conflicts::columns::refuse(plan, &mut problems);
    if let Some(mode) = mode {
        conflicts::replacing::refuse(description, plan, is_given, mode, &mut problems);
        conflicts::appending::refuse(description, plan, is_given, mode, &mut problems);
    }
    conflicts::database::refuse(plan, mode, &mut problems);
    match (source, mode) {
        (Some(source), Some(mode)) if problems.is_empty() => {
            let shaping = fingerprint::hashes(description, plan, &texts, &source, mode);
            Ok(Settings {
                stages: description.stages(is_given),
                environment,
                source,
                auth,
                client,
                mode,
                shaping,
            })
        }
        _ => Err(Unusable {
            problems,
            environment,
        }),
    }
}

/// Every setting with its value and origin, the component's first.
pub fn rows(description: &Description, plan: &Plan) -> Vec<Row> {
    let texts = Texts::read(description, plan, &mut Vec::new()).shortened();
    let declared = description.settings.iter().map(|setting| {
        let default = setting.default.clone().unwrap_or_default();
        (setting.name.as_str(), default, is_secret(setting))
    });
    let host = HOST.iter().map(|setting| {
        let is_secret = SECRETS.contains(&setting.name);
        (setting.name, default_of(setting, plan), is_secret)
    });
    let mut seen = BTreeSet::new();
    declared
        .chain(host)
        .filter(|(name, ..)| seen.insert(*name))
        .map(|(name, default, secret)| {
            let shown = plan.database.as_ref().filter(|_| name == DATABASE_URL);
            let (value, origin) = if let Some(url) = shown {
                (url.to_string(), database_origin(plan))
            } else if secret {
                let given = plan.values.secret(name, &mut Vec::new());
                given.map_or((String::new(), Origin::Default), |(_, origin)| {
                    ("(secret)".to_owned(), origin)
                })
            } else {
                let given = texts.given(plan, name);
                given.map_or((default, Origin::Default), |given| {
                    (given.value, given.origin)
                })
            };
            Row {
                name: name.to_owned(),
                value,
                origin,
            }
        })
        .collect()
}

/// What stands where nothing is given: some of it follows from what is.
fn default_of(setting: &Declared, plan: &Plan) -> String {
    match setting.name {
        "OUTPUT_DIR" => {
            let dir = plan.output_dir.as_ref();
            dir.map_or_else(String::new, |dir| dir.display().to_string())
        }
        "JOB_NAME" => plan.job.clone(),
        "OUTPUT_TABLE" if plan.database.is_some() => plan.table.clone(),
        name if plan.database.is_some() && conflicts::database::is_of_files(name) => String::new(),
        _ => setting.default.to_owned(),
    }
}

fn database_origin(plan: &Plan) -> Origin {
    let given = plan
        .values
        .get(DATABASE_URL)
        .map(|given| given.origin)
        .or_else(|| {
            let secret = plan.values.secret(DATABASE_URL, &mut Vec::new());
            secret.map(|(_, origin)| origin)
        });
    given.unwrap_or(Origin::Default)
}

/// Where the value of a setting came from; of a text in a file, that file.
pub fn origin(description: &Description, plan: &Plan, name: &str) -> Option<Origin> {
    let texts = Texts::read(description, plan, &mut Vec::new());
    texts.given(plan, name).map(|given| given.origin)
}

fn is_secret(setting: &Setting) -> bool {
    setting.secret || is_the_hosts_secret(&setting.name)
}

/// A secret that the host uses on the component's behalf, or the file that it stands in.
fn is_the_hosts_secret(name: &str) -> bool {
    SECRETS.contains(&name.strip_suffix("_FILE").unwrap_or(name))
}

/// Refuses secrets of the component's own; what else cannot be used of a description never came this far.
fn refuse_secrets(description: &Description, problems: &mut Vec<Problem>) {
    for setting in &description.settings {
        if setting.secret && !is_the_hosts_secret(&setting.name) {
            problems.push(Problem::new(
                &setting.name,
                "is declared as a secret by this component, and components get no secrets; use another component, or let \
                 the host send SOURCE_API_KEY (SOURCE_AUTH)",
            ));
        }
    }
}

/// The declared, given, non-secret settings.
fn environment(
    description: &Description,
    plan: &Plan,
    texts: &Texts,
    problems: &mut Vec<Problem>,
) -> Vec<(String, String)> {
    let mut environment = Vec::new();
    for setting in &description.settings {
        if is_secret(setting) {
            continue;
        }
        match texts.of_component(plan, &setting.name) {
            Some(given) => environment.push((setting.name.clone(), given.value)),
            None if setting.required && !problems.iter().any(|p| p.setting == setting.name) => {
                problems.push(missing(setting, plan));
            }
            None => {}
        }
    }
    environment
}

fn missing(setting: &Setting, plan: &Plan) -> Problem {
    let what = setting.doc.trim_end_matches('.');
    let message = match ambient::of_setting(plan, &setting.name) {
        None => {
            let example = setting.example.as_deref().unwrap_or("…");
            format!("is required ({what}); say `{}={example}`", setting.name)
        }
        Some(kept_back) => format!(
            "is required ({what}); {} is in the environment, but not allowed for this component: set `{}`, or put it in an \
             env file",
            kept_back.names.join(" and "),
            kept_back.grant
        ),
    };
    Problem::new(&setting.name, message)
}

fn source(description: &Description, plan: &Plan, problems: &mut Vec<Problem>) -> Option<Url> {
    let Some(given) = plan.values.get("SOURCE_API_URL") else {
        if !description
            .settings
            .iter()
            .any(|setting| setting.name == "SOURCE_API_URL" && setting.required)
        {
            problems.push(Problem::new(
                "SOURCE_API_URL",
                "is required: its origin is what the component may talk to",
            ));
        }
        return None;
    };
    let mut problem = |message: &str| {
        let (setting, origin) = ("SOURCE_API_URL".to_owned(), Some(given.origin.clone()));
        problems.push(Problem {
            setting,
            message: message.to_owned(),
            origin,
        });
        None
    };
    let Ok(url) = Url::parse(&given.value) else {
        return problem("takes an absolute URL, such as `https://api.example.com/v1/orders`");
    };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return problem("takes an http or https URL");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return problem(
            "has a user or password in it; give it as SOURCE_API_KEY with SOURCE_AUTH=basic",
        );
    }
    Some(url)
}

/// How staged records become the published set: as given, or as follows from what the component stages.
fn mode(
    description: &Description,
    plan: &Plan,
    is_given: impl Fn(&str) -> bool,
    problems: &mut Vec<Problem>,
) -> Option<WriteMode> {
    let changes = description.announces(|stages| stages.changes, is_given);
    let keys = !plan.keys.is_empty();
    let mut problem = |message: String| {
        problems.push(Problem::new("WRITE_MODE", message));
        None
    };
    match (plan.mode, changes) {
        (Some(WriteMode::Upsert), _) if !keys => {
            problem("`upsert` merges by key: set PRIMARY_KEY, say `PRIMARY_KEY=/id`".to_owned())
        }
        (Some(WriteMode::Replace), Some(Announced::By(Setting { name, .. }))) => problem(format!(
            "`replace` publishes the whole set, and {name} fetches only changes: unset one of the two, or set WRITE_MODE=upsert and PRIMARY_KEY"
        )),
        (Some(WriteMode::Replace), Some(Announced::Always)) => problem(
            "`replace` publishes the whole set, and this component fetches only changes: set WRITE_MODE=upsert and PRIMARY_KEY, or WRITE_MODE=append"
                .to_owned(),
        ),
        (Some(mode), _) => Some(mode),
        (None, None) => Some(WriteMode::Replace),
        (None, Some(_)) if keys => Some(WriteMode::Upsert),
        (None, Some(announced)) => {
            let cause = match announced {
                Announced::By(Setting { name, .. }) => format!("with {name}"),
                Announced::Always => "with this component, which fetches only changes".to_owned(),
            };
            problem(format!(
                "cannot be told: {cause}, set PRIMARY_KEY to merge by key, say `PRIMARY_KEY=/id`; or keep every version of every record with `WRITE_MODE=append`"
            ))
        }
    }
}

#[cfg(test)]
mod tests;
