//! The operator's policy: the most that a job of a tenant may ask for, in a TOML file that jobs cannot change.
//!
//! What is not allowed is refused. A job's settings are held against it before a file that they name is opened or a server
//! that they name is asked; requests are held against it once more as they go out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use toml_edit::{Document, Item, TableLike, Value};

use super::catalogue::{
    COMPILE_CPU_LIMIT, CPU_LIMIT, DESCRIBE_MEMORY_LIMIT, INSTANCE_LIMIT, KEEP_FOR,
    KEEP_GENERATIONS, KEEP_RUNS, MAX_RECORD_BYTES, MAX_RESPONSE_BYTES, MAX_RETRIES, MEMORY_LIMIT,
    OUTPUT_HISTORY_FOR, RETRY_PAUSE, RUN_DEADLINE, Row, SOURCE_TIMEOUT, TABLE_LIMIT,
};
use super::component_settings::{LIMITED, number};
use super::database_url::DatabaseUrl;
use super::inputs::{Origin, Problem};
use super::job_file::{key, value::Takes};
use super::suggest::nearest;
use crate::cli::tenant_name;
use crate::egress::{Ceiling, Proxy, Rule};
use crate::given_file::within::Within;
use crate::given_file::{GivenFiles, Holds, command};
use crate::units;

mod apply;
mod budgets;

pub use apply::Verdict;
pub use budgets::Budgets;

/// Who is named where a problem is one of the policy.
pub const POLICY: &str = "--policy";
/// A component in `components`.
const BUILT_IN: &str = "built-in";
/// It stands for the tenant's name in a text.
const TENANT: &str = "{tenant}";

const ORIGINS: &str = "origins";
const ALERT_ORIGINS: &str = "alert_origins";
const PRIVATE_NETWORKS: &str = "private_networks";
const PROXIES: &str = "proxies";
const OUTPUT_FOLDERS: &str = "output_folders";
const STATUS_PAGES: &str = "status_pages";
const FILES: &str = "files";
const SECRET_FILES: &str = "secret_files";
const REWRITTEN_FILES: &str = "rewritten_files";
const METRICS_FOLDERS: &str = "metrics_folders";
const COMMANDS: &str = "commands";
const ENVIRONMENT: &str = "environment";
const DATABASES: &str = "databases";
const TABLES: &str = "tables";
const COMPONENTS: &str = "components";
const LIMITS: &str = "limits";
const BUDGETS: &str = "budgets";
const MIN_INTERVAL: &str = "min_interval";
const KEYS: [&str; 18] = [
    ORIGINS,
    ALERT_ORIGINS,
    PRIVATE_NETWORKS,
    PROXIES,
    OUTPUT_FOLDERS,
    STATUS_PAGES,
    FILES,
    SECRET_FILES,
    REWRITTEN_FILES,
    METRICS_FOLDERS,
    COMMANDS,
    ENVIRONMENT,
    DATABASES,
    TABLES,
    COMPONENTS,
    LIMITS,
    BUDGETS,
    MIN_INTERVAL,
];
/// What is no tenant's: it is above the tables.
const STATE_FOLDER: &str = "state_folder";

/// The limits that a policy can lower or raise; one that it does not name is at most its default.
static CAPPED: [&Row; 16] = [
    &RUN_DEADLINE.row,
    &CPU_LIMIT.row,
    &COMPILE_CPU_LIMIT.row,
    &MEMORY_LIMIT.row,
    &DESCRIBE_MEMORY_LIMIT.row,
    &TABLE_LIMIT.row,
    &INSTANCE_LIMIT.row,
    &SOURCE_TIMEOUT.row,
    &MAX_RESPONSE_BYTES.row,
    &MAX_RECORD_BYTES.row,
    &MAX_RETRIES.row,
    &RETRY_PAUSE.row,
    &KEEP_GENERATIONS.row,
    &KEEP_FOR.row,
    &OUTPUT_HISTORY_FOR.row,
    &KEEP_RUNS.row,
];

/// What the policy allows a tenant. Nothing at all where it could not be read.
#[derive(Debug, Default)]
pub struct Tenant {
    name: String,
    /// The policy, as it was named.
    path: PathBuf,
    /// Whether it could be read.
    is_usable: bool,
    /// The line of each key.
    lines: BTreeMap<String, usize>,
    origins: Arc<Ceiling>,
    alert_origins: Ceiling,
    private_networks: bool,
    proxies: Vec<Proxy>,
    output_folders: Within,
    status_pages: Within,
    files: Within,
    secret_files: Arc<Within>,
    rewritten_files: Arc<Within>,
    metrics_folders: Within,
    /// Each as a line.
    commands: Vec<String>,
    environment: Vec<String>,
    databases: Vec<DatabaseUrl>,
    tables: Vec<String>,
    components: Components,
    /// The text of each limit, by the name of its setting.
    limits: BTreeMap<&'static str, String>,
    /// The same of the component's own settings.
    limits_of_component: BTreeMap<&'static str, String>,
    /// What a run may use up in all.
    pub budgets: Budgets,
    min_interval: Option<Duration>,
    state_folder: Option<PathBuf>,
}

/// The least time between the beginnings of two runs of a job, and where these are kept.
#[derive(Debug, Clone, Copy)]
pub struct MinInterval<'a> {
    pub least: Duration,
    /// The line of the policy.
    pub line: usize,
    /// The operator's, below no folder that the tenant's jobs may write to.
    pub state_folder: &'a Path,
}

/// `components`.
#[derive(Debug, Default)]
struct Components {
    built_in: bool,
    /// In lower case.
    sha256: Vec<String>,
    folders: Within,
    /// As they are written.
    listed: Vec<String>,
}

impl Tenant {
    /// Reads what the policy at `path` allows this tenant. What is wrong with any part of it is added to `problems`, and
    /// nothing is allowed then.
    pub fn read(
        path: &Path,
        name: Option<&str>,
        files: &GivenFiles,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let Some(name) = name else {
            let message = "needs `--tenant NAME`, whose job it is; in a folder of jobs, put the file into the folder of its tenant";
            problems.push(Problem::new(POLICY, message));
            return Self::default();
        };
        let denied = Self {
            name: name.to_owned(),
            path: path.to_owned(),
            ..Self::default()
        };
        let text = match files.text(path, Holds::Trusted) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("`{}` was not used: {error}", path.display());
                problems.push(Problem::new(POLICY, message));
                return denied;
            }
        };
        let mut reader = Reader {
            path,
            text: &text,
            name,
            found: Vec::new(),
        };
        let mut tenant = reader.tenant();
        if !reader.found.is_empty() {
            problems.append(&mut reader.found);
            return denied;
        }
        tenant.name = denied.name;
        tenant.path = denied.path;
        tenant.is_usable = true;
        let by = tenant.by();
        if let Some(origins) = Arc::get_mut(&mut tenant.origins) {
            origins.by = by;
        }
        tenant
    }

    /// Whether the policy could be read. Else nothing is allowed, and nothing more need be said.
    pub fn is_usable(&self) -> bool {
        self.is_usable
    }

    /// The origins, methods and paths for requests.
    pub fn origins(&self) -> Arc<Ceiling> {
        self.origins.clone()
    }

    /// The files that secrets may be in.
    pub fn secret_files(&self) -> Arc<Within> {
        self.secret_files.clone()
    }

    /// The files of secrets that a job may rewrite.
    pub fn rewritten_files(&self) -> Arc<Within> {
        self.rewritten_files.clone()
    }

    /// The least time between two runs of a job, where there is one.
    pub fn min_interval(&self) -> Option<MinInterval<'_>> {
        Some(MinInterval {
            least: self.min_interval?,
            line: self.lines.get(MIN_INTERVAL).copied().unwrap_or(1),
            state_folder: self.state_folder.as_deref()?,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who refuses.
    pub fn by(&self) -> String {
        format!(
            "the policy `{}` for tenant `{}`",
            self.path.display(),
            self.name
        )
    }

    /// A refusal: what was asked, what this key allows, and the line that would allow it. It completes a sentence that
    /// begins with the setting's name.
    fn refusal(&self, asked: &str, key: &str, allowed: &str, line: &str) -> String {
        let place = self.lines.get(key).map_or_else(
            || format!("`{key}` is not in it"),
            |line| format!("`{key}` (line {line}) allows {allowed}"),
        );
        format!(
            "asks for `{asked}`, refused by {}: {place}; its operator can allow it with `{line}` in `[tenant.{}]`",
            self.by(),
            self.name
        )
    }
}

/// Whether one of these patterns, perhaps with a `*` at its end, is this text.
fn is_among(text: &str, patterns: &[String]) -> bool {
    patterns
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => text.starts_with(beginning),
            None => text == pattern,
        })
}

/// `key = ["value"]`.
fn listed_line(key: &str, value: &str) -> String {
    format!("{key} = [{}]", super::job_file::value::quoted(value))
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    name: &'a str,
    found: Vec<Problem>,
}

impl Reader<'_> {
    fn tenant(&mut self) -> Tenant {
        let text = self.text.strip_prefix('\u{feff}').unwrap_or(self.text);
        let document = match Document::parse(text) {
            Ok(document) => document,
            Err(error) => {
                let line = self.line(error.span().map(|span| span.start));
                self.refuse(line, format!("is not TOML: {}", error.message()));
                return Tenant::default();
            }
        };
        let top = document.as_table();
        for (name, _) in top
            .iter()
            .filter(|(name, _)| !["tenant", "defaults", STATE_FOLDER].contains(name))
        {
            let line = self.line_of(top, name);
            self.refuse(
                line,
                format!(
                    "has `{name}`, and takes `{STATE_FOLDER}`, `[defaults]` and `[tenant.NAME]`"
                ),
            );
        }
        let defaults = self.table(top, "defaults");
        let tenants = self.table(top, "tenant");
        if let Some(defaults) = defaults {
            self.check_keys(defaults, "defaults");
        }
        for (name, _) in tenants.into_iter().flat_map(TableLike::iter) {
            if tenant_name(name).is_err() {
                let line = tenants.map_or(1, |tenants| self.line_of(tenants, name));
                self.refuse(
                    line,
                    "has the name of a tenant that is not 1 to 63 of a-z, 0-9, `_` and `-`",
                );
            }
            let table = tenants.and_then(|tenants| self.table(tenants, name));
            if let Some(table) = table {
                self.check_keys(table, &format!("tenant.{name}"));
            }
        }
        let named = tenants
            .and_then(|tenants| tenants.get(self.name))
            .and_then(Item::as_table_like);
        let Some(named) = named else {
            self.refuse(1, format!("has no `[tenant.{}]`", self.name));
            return Tenant::default();
        };
        let mut tenant = self.allowed(named, defaults);
        self.state_folder(top, &mut tenant);
        tenant
    }

    /// Where the operator keeps what no job may change. `min_interval` needs it.
    fn state_folder(&mut self, top: &dyn TableLike, tenant: &mut Tenant) {
        let Some(item) = top.get(STATE_FOLDER) else {
            if tenant.min_interval.is_some() {
                let line = tenant.lines.get(MIN_INTERVAL).copied().unwrap_or(1);
                self.refuse(line, format!("has `{MIN_INTERVAL}`, which needs a folder of yours for the times of runs: add `{STATE_FOLDER} = \"/var/lib/tidegate\"` above all tables"));
            }
            return;
        };
        let line = self.line_of(top, STATE_FOLDER);
        let path = item.as_str().map(PathBuf::from);
        let Some(path) = path.filter(|path| path.is_absolute()) else {
            self.refuse(
                line,
                format!("has `{STATE_FOLDER}`, which takes an absolute path"),
            );
            return;
        };
        let written = [
            (OUTPUT_FOLDERS, &tenant.output_folders),
            (STATUS_PAGES, &tenant.status_pages),
        ];
        let met = written
            .into_iter()
            .find_map(|(key, within)| Some((key, within.meeting(&path)?)));
        if let Some((key, folder)) = met {
            self.refuse(line, format!("has `{STATE_FOLDER}` at `{}`, where `{key}` (`{}`) lets a tenant write: use a folder apart", path.display(), folder.display()));
            return;
        }
        tenant.state_folder = Some(path);
    }

    /// What a tenant's table allows, and `[defaults]` where that is silent.
    fn allowed(&mut self, own: &dyn TableLike, defaults: Option<&dyn TableLike>) -> Tenant {
        let mut tenant = Tenant::default();
        for key in KEYS
            .into_iter()
            .filter(|key| ![LIMITS, BUDGETS].contains(key))
        {
            let table = [Some(own), defaults]
                .into_iter()
                .flatten()
                .find(|table| table.contains_key(key));
            let Some((table, item)) = table.and_then(|table| Some((table, table.get(key)?))) else {
                continue;
            };
            let line = self.line_of(table, key);
            tenant.lines.insert(key.to_owned(), line);
            self.take(&mut tenant, key, item, line);
        }
        // The tenant's own come last: they count.
        for table in [defaults, Some(own)].into_iter().flatten() {
            self.budgets(table, &mut tenant.budgets);
            let Some(limits) = self.table(table, LIMITS) else {
                continue;
            };
            for (name, item) in limits.iter() {
                let line = self.line_of(limits, name);
                if let Some(setting) = LIMITED.iter().find(|setting| key(setting) == name) {
                    if let Some(text) = number_of(item) {
                        tenant.lines.insert(name.to_owned(), line);
                        tenant.limits_of_component.insert(setting, text);
                    } else {
                        let message = format!("has `{name}`, which takes a whole number from 1");
                        self.refuse(line, message);
                    }
                    continue;
                }
                let row = CAPPED.iter().find(|row| key(row.name) == name);
                let Some(row) = row else {
                    let hosts = CAPPED.iter().map(|row| row.name);
                    let known = hosts.chain(LIMITED).map(key).collect();
                    let meant = nearest(name, &known);
                    self.refuse(line, unknown(name, LIMITS, meant));
                    continue;
                };
                let text = Takes::of_row(row).read(row.name, row.example, item);
                let text = text.and_then(|text| (row.check)(&text).map(|()| text));
                match text {
                    Ok(text) => {
                        tenant.lines.insert(name.to_owned(), line);
                        tenant.limits.insert(row.name, text);
                    }
                    Err(message) => self.refuse(line, format!("has `{name}`, which {message}")),
                }
            }
        }
        tenant
    }

    fn take(&mut self, tenant: &mut Tenant, key: &str, item: &Item, line: usize) {
        match key {
            PRIVATE_NETWORKS => match item.as_bool() {
                Some(allowed) => tenant.private_networks = allowed,
                None => self.refuse(line, format!("has `{key}`, which takes true or false")),
            },
            ALERT_ORIGINS => tenant.alert_origins.rules = self.rules(key, item, line),
            ORIGINS => {
                let rules = self.rules(key, item, line);
                tenant.origins = Arc::new(Ceiling {
                    rules,
                    by: String::new(),
                });
            }
            MIN_INTERVAL => {
                let least = item
                    .as_str()
                    .ok_or("takes a text, such as \"5m\"".to_owned());
                match least.and_then(units::duration) {
                    Ok(least) => tenant.min_interval = Some(least),
                    Err(takes) => self.refuse(line, format!("has `{key}`, which {takes}")),
                }
            }
            PROXIES => {
                for text in self.texts(key, item, line) {
                    match Proxy::parse(&text) {
                        Ok(proxy) if !proxy.has_credential() => tenant.proxies.push(proxy),
                        // It may have a password in it: it is not repeated.
                        _ => self.refuse(
                            line,
                            "has an entry in `proxies` that is not `http://host:port`, without user and password",
                        ),
                    }
                }
            }
            OUTPUT_FOLDERS => tenant.output_folders = self.folders(key, item, line),
            STATUS_PAGES => tenant.status_pages = self.folders(key, item, line),
            FILES => tenant.files = self.folders(key, item, line),
            SECRET_FILES => tenant.secret_files = Arc::new(self.folders(key, item, line)),
            REWRITTEN_FILES => tenant.rewritten_files = Arc::new(self.folders(key, item, line)),
            METRICS_FOLDERS => tenant.metrics_folders = self.folders(key, item, line),
            COMMANDS => tenant.commands = self.command_lines(item, line),
            ENVIRONMENT => tenant.environment = self.texts(key, item, line),
            TABLES => tenant.tables = self.texts(key, item, line),
            DATABASES => {
                for text in self.texts(key, item, line) {
                    match DatabaseUrl::parse(&text) {
                        Ok(url @ DatabaseUrl::Postgres(_)) if url.password().is_none() => {
                            tenant.databases.push(url);
                        }
                        // It may have a password in it: it is not repeated.
                        _ => self.refuse(
                            line,
                            "has an entry in `databases` that is not `postgres://user@host/database` without a password; a SQLite file is below `output_folders`",
                        ),
                    }
                }
            }
            _ => self.components(tenant, item, line),
        }
    }

    fn budgets(&mut self, table: &dyn TableLike, budgets: &mut Budgets) {
        let Some(given) = self.table(table, BUDGETS) else {
            return;
        };
        for (name, item) in given.iter() {
            let line = self.line_of(given, name);
            let taken = if budgets::NAMES.contains(&name) {
                budgets.take(name, item)
            } else {
                let known = budgets::NAMES.map(str::to_owned).into();
                self.refuse(line, unknown(name, BUDGETS, nearest(name, &known)));
                continue;
            };
            if let Err(takes) = taken {
                self.refuse(line, format!("has `{name}`, which {takes}"));
            }
        }
    }

    fn components(&mut self, tenant: &mut Tenant, item: &Item, line: usize) {
        let mut folders = Vec::new();
        for text in self.texts(COMPONENTS, item, line) {
            if text == BUILT_IN {
                tenant.components.built_in = true;
            } else if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                tenant.components.sha256.push(text.to_ascii_lowercase());
            } else if text.starts_with('/') {
                folders.push(PathBuf::from(&text));
            } else {
                self.refuse(
                    line,
                    format!("has `{text}` in `{COMPONENTS}`, which takes `{BUILT_IN}`, a sha256 in hex, or the path of a folder"),
                );
            }
            tenant.components.listed.push(text);
        }
        tenant.components.folders = Within::new(folders);
    }

    /// `origins` and `alert_origins`: texts, or tables with `origin` and `methods`.
    fn rules(&mut self, key: &str, item: &Item, line: usize) -> Vec<Rule> {
        let mut rules = Vec::new();
        let Some(entries) = item.as_array() else {
            self.refuse(line, format!("has `{key}`, which takes a list"));
            return rules;
        };
        for entry in entries {
            let line = self.line(entry.span().map(|span| span.start));
            let (text, methods) = match entry {
                Value::InlineTable(table) => {
                    let known = |key: &str| ["origin", "methods"].contains(&key);
                    if let Some((unknown, _)) = table.iter().find(|(key, _)| !known(key)) {
                        self.refuse(line, format!("has `{unknown}` in an entry of `{key}`, which takes `origin` and `methods`"));
                    }
                    (
                        table.get("origin").and_then(Value::as_str),
                        table.get("methods"),
                    )
                }
                entry => (entry.as_str(), None),
            };
            let methods = methods.map(|methods| self.methods(methods, line));
            let rule = text
                .ok_or_else(|| {
                    "takes a text, or `{ origin = \"…\", methods = [\"GET\"] }`".to_owned()
                })
                .and_then(|text| Rule::parse(&text.replace(TENANT, self.name), methods));
            match rule {
                Ok(rule) => rules.push(rule),
                Err(message) => {
                    self.refuse(line, format!("has an entry in `{key}` that {message}"));
                }
            }
        }
        rules
    }

    fn methods(&mut self, value: &Value, line: usize) -> Vec<Method> {
        let known = [Method::GET, Method::HEAD, Method::POST];
        let mut methods = Vec::new();
        for entry in value.as_array().into_iter().flatten() {
            let method = known
                .iter()
                .find(|known| entry.as_str() == Some(known.as_str()));
            methods.extend(method.cloned());
        }
        let listed = value.as_array().map_or(0, toml_edit::Array::len);
        if listed == 0 || methods.len() != listed {
            self.refuse(
                line,
                "has `methods` in `origins`, which takes a list of GET, HEAD and POST",
            );
        }
        methods
    }

    fn folders(&mut self, key: &str, item: &Item, line: usize) -> Within {
        let texts = self.texts(key, item, line);
        if let Some(text) = texts.iter().find(|text| !text.starts_with('/')) {
            self.refuse(
                line,
                format!("has `{text}` in `{key}`, which takes absolute paths"),
            );
        }
        Within::new(texts.into_iter().map(PathBuf::from))
    }

    /// A list of texts.
    fn texts(&mut self, key: &str, item: &Item, line: usize) -> Vec<String> {
        let entries = item
            .as_array()
            .map(|entries| entries.iter().map(Value::as_str));
        let texts: Option<Vec<&str>> = entries.and_then(Iterator::collect);
        let texts = texts.filter(|texts| texts.iter().all(|text| !text.is_empty()));
        let Some(texts) = texts else {
            self.refuse(
                line,
                format!("has `{key}`, which takes a list of texts in quotes"),
            );
            return Vec::new();
        };
        texts
            .iter()
            .map(|text| text.replace(TENANT, self.name))
            .collect()
    }

    /// Programs with their arguments, each as a line.
    fn command_lines(&mut self, item: &Item, line: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for text in self.texts(COMMANDS, item, line) {
            match command::words(&text) {
                Ok(words) if words[0].starts_with('/') => {
                    lines.push(command::line(words.iter().map(String::as_str)));
                }
                Ok(_) => self.refuse(
                    line,
                    format!("has `{text}` in `{COMMANDS}`, which takes the whole path of a program, with its arguments"),
                ),
                Err(what) => self.refuse(line, format!("has an entry in `{COMMANDS}` that {what}")),
            }
        }
        lines
    }

    fn check_keys(&mut self, table: &dyn TableLike, name: &str) {
        for (key, _) in table.iter().filter(|(key, _)| !KEYS.contains(key)) {
            let line = self.line_of(table, key);
            let known = KEYS.map(str::to_owned).into();
            self.refuse(line, unknown(key, name, nearest(key, &known)));
        }
    }

    fn table<'t>(&mut self, above: &'t dyn TableLike, name: &str) -> Option<&'t dyn TableLike> {
        let item = above.get(name)?;
        let table = item.as_table_like();
        if table.is_none() {
            let line = self.line_of(above, name);
            self.refuse(line, format!("has `{name}`, which takes a table"));
        }
        table
    }

    fn refuse(&mut self, line: usize, message: impl Into<String>) {
        let path = self.path.to_owned();
        let origin = Origin::JobFile { path, line };
        self.found.push(Problem::of(POLICY, message, origin));
    }

    fn line_of(&self, table: &dyn TableLike, key: &str) -> usize {
        let span = table.key(key).and_then(toml_edit::Key::span);
        self.line(span.map(|span| span.start))
    }

    fn line(&self, at: Option<usize>) -> usize {
        let before = at.and_then(|at| self.text.get(..at));
        before.map_or(1, |before| before.matches('\n').count() + 1)
    }
}

/// The text of a number.
fn number_of(item: &Item) -> Option<String> {
    let text = match item.as_value()? {
        Value::Integer(number) => number.value().to_string(),
        Value::String(text) => text.value().clone(),
        _ => return None,
    };
    number(&text).map(|_| text)
}

fn unknown(key: &str, table: &str, meant: Option<String>) -> String {
    let mut message = format!("has `{key}` in `{table}`, which is not a key of a policy");
    if let Some(meant) = meant {
        let _ = write!(message, "; did you mean `{meant}`?");
    }
    message
}

#[cfg(test)]
mod tests;
