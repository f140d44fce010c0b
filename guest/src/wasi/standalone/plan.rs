//! The settings of a run without our host: what its environment and the files that it names say, or everything that is wrong
//! with them.
//!
//! A setting that would do nothing here is refused, not ignored: who set it counts on it.

use url::{Origin, Url};

use super::credential::Credential;
use super::{Appended, Gates, Level, Stop, get};
use crate::failure::{Failure, Problem, quoted};
use crate::nearest::nearest;
use crate::settings::{DEADLINE_DEFAULT, TIMEOUT_DEFAULT, deadline_seconds, timeout_seconds};
use crate::{Request, describe, validate};

/// It names a file, unless it is the schema itself.
const SCHEMA: &str = "SOURCE_SCHEMA";
/// Where the output goes: under the name that the runtime gave the folder.
const FOLDER: &str = "OUTPUT_DIR";
const ALLOW_HOSTS: &str = "ALLOW_HOSTS";
const LOG_LEVEL: &str = "LOG_LEVEL";

/// Settings that are no setting of the component, and that work here too. So do the gates.
const OURS: [&str; 5] = [
    FOLDER,
    "OUTPUT_FORMAT",
    "WRITE_MODE",
    ALLOW_HOSTS,
    LOG_LEVEL,
];
/// Settings that only our host has. Of those that begin with `SOURCE_` or `OUTPUT_` none has to stand here.
const OF_THE_HOST: [&str; 35] = [
    "ALERT_AFTER",
    "ALERT_COMMAND",
    "ALERT_FORMAT",
    "ALERT_KEY",
    "ALERT_PRIVATE_NETWORKS",
    "ALERT_REPEAT",
    "ALERT_URL",
    "ALLOW_ENVIRONMENT",
    "ALLOW_PRIVATE_NETWORKS",
    "ALLOW_SHARED_OUTPUT",
    "CA_FILE",
    "CLIENT_CERT_FILE",
    "CLIENT_KEY_FILE",
    "COMMAND_ENVIRONMENT",
    "COMPILE_CPU_LIMIT",
    "CPU_LIMIT",
    "DESCRIBE_MEMORY_LIMIT",
    "INSTANCE_LIMIT",
    "JOB_NAME",
    "KEEP_FOR",
    "KEEP_GENERATIONS",
    "KEEP_RUNS",
    "LOG_FORMAT",
    "MAX_AGE",
    "MAX_CURSOR_AGE",
    "MAX_DELETE_PERCENT",
    "MEMORY_LIMIT",
    "METRICS_FILE",
    "ON_OVERLAP",
    "OUTBOUND_PROXY",
    "PING_URL",
    "REPLACE_BY",
    "SCHEMA_DRIFT",
    "STATUS_PAGE",
    "TABLE_LIMIT",
];
/// What only a merge with the last set would use.
const OF_A_MERGE: [&str; 1] = ["SOURCE_PARENT"];

/// What a run needs to know besides the settings of the component.
#[derive(Debug)]
pub struct Plan {
    /// The environment, with what files say in place of their names.
    pub env: Vec<(String, String)>,
    /// What there is before the first run under append; none under another mode.
    pub appended: Option<Appended>,
    /// When nothing is published.
    pub gates: Gates,
    /// What shows the source who we are.
    pub credential: Credential,
    /// Where it goes: the origin of `SOURCE_API_URL`.
    pub source: Origin,
    /// Where other requests may go (`ALLOW_HOSTS`).
    pub allowed: Vec<Origin>,
    /// What is logged (`LOG_LEVEL`).
    pub level: Level,
    /// How long to wait for the first byte of an answer (`SOURCE_TIMEOUT`).
    pub first_byte_seconds: u64,
    /// How long the run may take.
    pub deadline_seconds: u64,
}

impl Plan {
    /// Reads the environment, and by `file` the texts of files; `folders` are the names of those that the runtime gave. `Err`
    /// names every setting that cannot be used.
    pub fn read(
        environment: Vec<(String, String)>,
        folders: &[&str],
        file: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Self, Stop> {
        let mut read = Reading {
            env: environment,
            problems: Vec::new(),
        };
        read.env.retain(|(_, value)| !value.is_empty());
        read.files(&file);
        read.names();
        read.values(folders);
        let Reading { env, mut problems } = read;
        let gates = Gates::read(&env, &mut problems);
        let of_component = validate(&env);
        problems.splice(0..0, of_component);

        let url = get(&env, "SOURCE_API_URL").and_then(|url| Url::parse(url).ok());
        let credential = kept(Credential::read(&env), &mut problems);
        let appended = kept(Appended::nothing(&env), &mut problems);
        let allowed = kept(origins(&env), &mut problems);
        let level = kept(level(&env), &mut problems);
        // What is wrong with these is among the problems of the component.
        let deadline = get(&env, "RUN_DEADLINE").unwrap_or(DEADLINE_DEFAULT);
        let deadline_seconds = deadline_seconds(deadline).unwrap_or_default();
        let first_byte = get(&env, "SOURCE_TIMEOUT").unwrap_or(TIMEOUT_DEFAULT);
        let first_byte_seconds = timeout_seconds(first_byte).unwrap_or_default();
        match (url, credential, appended, allowed, level) {
            (Some(url), Some(credential), Some(appended), Some(allowed), Some(level))
                if problems.is_empty() =>
            {
                Ok(Self {
                    env,
                    appended,
                    gates,
                    credential,
                    source: url.origin(),
                    allowed,
                    level,
                    first_byte_seconds,
                    deadline_seconds,
                })
            }
            _ => Err(Failure::Settings(problems).into()),
        }
    }

    /// The number of the folder that takes the output, among those that the runtime gave.
    pub fn folder(&self, folders: &[&str]) -> usize {
        let named = get(&self.env, FOLDER);
        let named = named.and_then(|name| folders.iter().position(|folder| is_same(folder, name)));
        named.unwrap_or(0)
    }

    /// What is asked of the component, given the state of the last run.
    pub fn request(&self, state: Option<String>) -> Request {
        Request {
            full_refresh: state.is_none(),
            state,
            window: None,
            portions: false,
        }
    }
}

/// The environment, and what was found wrong with it so far.
struct Reading {
    env: Vec<(String, String)>,
    problems: Vec<Problem>,
}

impl Reading {
    fn wrong(&mut self, name: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(name, message));
    }

    /// Takes what files say in place of their names.
    fn files(&mut self, file: &impl Fn(&str) -> Result<String, String>) {
        for name in declared() {
            let by_file = if name == SCHEMA {
                get(&self.env, SCHEMA).filter(|text| !text.trim_start().starts_with('{'))
            } else {
                get(&self.env, &format!("{name}_FILE"))
            };
            let Some(path) = by_file.map(str::to_owned) else {
                continue;
            };
            if name != SCHEMA && get(&self.env, &name).is_some() {
                self.wrong(
                    &name,
                    format!("is given, and so is {name}_FILE: unset one of the two"),
                );
                continue;
            }
            let named = |why: String| format!("names the file {}: {why}", quoted(&path));
            let text = file(&path).map_err(named);
            let text = text.and_then(|text| {
                let value = without_newline(&text);
                if value.trim().is_empty() {
                    return Err(named("it is empty".to_owned()));
                }
                Ok(value.to_owned())
            });
            self.env.retain(|(known, _)| *known != name);
            match text {
                Ok(value) => self.env.push((name, value)),
                Err(why) => self.wrong(&name, why),
            }
        }
    }

    /// Refuses settings that would do nothing, and names that look like one.
    fn names(&mut self) {
        let declared = declared();
        let mut known: Vec<&str> = declared.iter().map(String::as_str).collect();
        known.extend(OURS.iter().chain(&Gates::NAMES));
        let mut problems = Vec::new();
        for (name, _) in &self.env {
            let of_file = name.strip_suffix("_FILE").unwrap_or(name);
            let is_file = name != of_file && of_file != SCHEMA;
            let is_known = known.contains(&name.as_str())
                || is_file && declared.iter().any(|known| known == of_file);
            let message = if OF_A_MERGE.contains(&name.as_str()) {
                "has no effect here, where nothing is merged: remove it, or use `tidegate run`"
                    .to_owned()
            } else if is_known {
                continue;
            } else if OF_THE_HOST.contains(&name.as_str()) {
                "has no effect here: remove it, or use `tidegate run`".to_owned()
            } else if !["SOURCE_", "OUTPUT_"]
                .iter()
                .any(|start| name.starts_with(start))
            {
                continue;
            } else if let Some(meant) = nearest(name, known.iter().copied()) {
                format!("is not a setting; did you mean `{meant}`?")
            } else {
                "is not a setting of the component alone: remove it, or use `tidegate run`"
                    .to_owned()
            };
            problems.push(Problem::new(name, message));
        }
        self.problems.extend(problems);
    }

    /// What the other settings say, where it is one thing only that can be done here.
    fn values(&mut self, folders: &[&str]) {
        let format = get(&self.env, "OUTPUT_FORMAT").filter(|format| *format != "ndjson");
        let mode = get(&self.env, "WRITE_MODE");
        let mode = mode.filter(|mode| !["replace", "upsert", "append"].contains(mode));
        let folder = get(&self.env, FOLDER);
        let folder = folder.filter(|name| !folders.iter().any(|folder| is_same(folder, name)));
        let format = format.map(|format| {
            let format = quoted(format);
            format!("{format} needs `tidegate run`: here it is always `ndjson`")
        });
        let mode = mode.map(|mode| format!("{} is not `replace` or `append`", quoted(mode)));
        let folder = folder.map(|name| {
            let given = match folders {
                [] => "it gave none".to_owned(),
                [first, ..] => format!("its first is {}", quoted(first)),
            };
            format!(
                "{} is not a folder that the runtime gave ({given}): unset it, or give that folder",
                quoted(name)
            )
        });
        for (name, wrong) in [
            ("OUTPUT_FORMAT", format),
            ("WRITE_MODE", mode),
            (FOLDER, folder),
        ] {
            if let Some(why) = wrong {
                self.wrong(name, why);
            }
        }
    }
}

/// The names of the component's own settings.
fn declared() -> Vec<String> {
    let settings = describe().settings.into_iter();
    settings.map(|setting| setting.name).collect()
}

/// What was read, or a problem on record; one is enough for each setting.
fn kept<T>(read: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(problem) => {
            if problems
                .iter()
                .all(|known| known.setting != problem.setting)
            {
                problems.push(problem);
            }
            None
        }
    }
}

fn is_same(folder: &str, name: &str) -> bool {
    let plain = |path: &str| path.trim_end_matches('/').to_owned();
    plain(folder) == plain(name)
}

/// `ALLOW_HOSTS`: `scheme://host[:port]`, and a bare host means https.
fn origins(env: &[(String, String)]) -> Result<Vec<Origin>, Problem> {
    let entries = get(env, ALLOW_HOSTS)
        .into_iter()
        .flat_map(|list| list.split(','));
    let origin = |entry: &str| {
        let entry = entry.trim();
        let url = if entry.contains("://") {
            Url::parse(entry)
        } else {
            Url::parse(&format!("https://{entry}"))
        };
        let url = url.ok().filter(|url| {
            let is_plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            let has_user = !url.username().is_empty() || url.password().is_some();
            is_plain && !has_user && matches!(url.scheme(), "http" | "https")
        });
        // It may have a credential in it that was pasted by mistake.
        url.map(|url| url.origin()).ok_or_else(|| {
            Problem::new(
                ALLOW_HOSTS,
                "has an entry that is not `https://host`, `https://host:8443` or `host`",
            )
        })
    };
    entries.map(origin).collect()
}

fn level(env: &[(String, String)]) -> Result<Level, Problem> {
    match get(env, LOG_LEVEL).unwrap_or("info") {
        "debug" => Ok(Level::Debug),
        "info" => Ok(Level::Info),
        "warn" => Ok(Level::Warn),
        "error" => Ok(Level::Error),
        other => Err(Problem::new(
            LOG_LEVEL,
            format!(
                "{} is not one of `debug`, `info`, `warn`, `error`",
                quoted(other)
            ),
        )),
    }
}

/// One newline at the end of a file is not part of the value.
fn without_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests;
