//! A job held against the policy: each thing that it asks for is got, or refused with who refused it and what would allow it.

use std::path::{Path, PathBuf};

use http::Method;
use url::Url;

use super::{
    ALERT_ORIGINS, COMMANDS, COMPONENTS, DATABASES, ENVIRONMENT, FILES, METRICS_FOLDERS, ORIGINS,
    OUTPUT_FOLDERS, PRIVATE_NETWORKS, PROXIES, REWRITTEN_FILES, SECRET_FILES, STATUS_PAGES, TABLES,
    Tenant, is_among, key, listed_line,
};
use crate::egress::{Auth, Issuer, Origin, Proxy};
use crate::given_file::command;
use crate::given_file::within::Within;
use crate::settings::alerts::AlertFormat;
use crate::settings::catalogue::{
    ALERT_COMMAND, ALERT_PRIVATE_NETWORKS, ALERT_URL, ALLOW_ENVIRONMENT, ALLOW_HOSTS,
    ALLOW_PRIVATE_NETWORKS, CA_FILE, CLIENT_CERT_FILE, CLIENT_KEY_FILE, COMMAND_ENVIRONMENT,
    METRICS_FILE, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OUTBOUND_PROXY,
    OUTPUT_DATABASE_URL, OUTPUT_DIR, OUTPUT_HISTORY, OUTPUT_TABLE, PING_URL, SOURCE_API_URL,
    SOURCE_LOGIN_URL, SOURCE_REFRESH_TOKEN, SOURCE_TOKEN_URL, STATUS_PAGE, Setting,
};
use crate::settings::component_settings::number;
use crate::settings::database_url::DatabaseUrl;
use crate::settings::host::{HostPlan, history_of};
use crate::settings::inputs::{self, Inputs, Problem};
use crate::settings::job_file::JobComponent;
use crate::settings::job_file::value::Takes;

/// One thing that a job asks for, for `check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The setting.
    pub setting: String,
    /// What it asks for.
    pub asked: String,
    /// What the policy allows.
    pub allowed: String,
    /// What the job gets; none: it is refused.
    pub got: Option<String>,
}

impl Verdict {
    fn new(setting: &str, asked: &str, allowed: &str, is_got: bool) -> Self {
        Self {
            setting: setting.to_owned(),
            asked: asked.to_owned(),
            allowed: allowed.to_owned(),
            got: is_got.then(|| asked.to_owned()),
        }
    }
}

impl Tenant {
    /// The file of a secret, links followed.
    pub fn secret_file(
        &self,
        name: &str,
        path: &Path,
        origin: &inputs::Origin,
        out: &mut Vec<Verdict>,
    ) -> Result<PathBuf, Problem> {
        self.file(name, SECRET_FILES, &self.secret_files, path, origin, out)
    }

    /// Any other file that a setting names, links followed.
    pub fn other_file(
        &self,
        name: &str,
        path: &Path,
        origin: &inputs::Origin,
        out: &mut Vec<Verdict>,
    ) -> Result<PathBuf, Problem> {
        self.file(name, FILES, &self.files, path, origin, out)
    }

    /// A secret, or what a component may read, in an environment variable.
    pub fn variable(
        &self,
        name: &str,
        variable: &str,
        origin: &inputs::Origin,
        out: &mut Vec<Verdict>,
    ) -> Result<(), Problem> {
        let allowed = any(&self.environment);
        let is_got = is_among(variable, &self.environment);
        out.push(Verdict::new(
            name,
            &format!("environment {variable}"),
            &allowed,
            is_got,
        ));
        if is_got {
            return Ok(());
        }
        let line = listed_line(ENVIRONMENT, variable);
        let message = self.refusal(
            &format!("environment {variable}"),
            ENVIRONMENT,
            &allowed,
            &line,
        );
        Err(Problem::of(name, message, origin.clone()))
    }

    /// A program that prints a secret, with all its arguments.
    pub fn command(
        &self,
        name: &str,
        words: &[String],
        origin: &inputs::Origin,
        out: &mut Vec<Verdict>,
    ) -> Result<(), Problem> {
        let asked = command::line(words.iter().map(String::as_str));
        let allowed = any(&self.commands);
        let is_got = self.commands.contains(&asked);
        out.push(Verdict::new(name, &asked, &allowed, is_got));
        if is_got {
            return Ok(());
        }
        let message = self.refusal(&asked, COMMANDS, &allowed, &listed_line(COMMANDS, &asked));
        Err(Problem::of(name, message, origin.clone()))
    }

    fn file(
        &self,
        name: &str,
        list: &str,
        within: &Within,
        path: &Path,
        origin: &inputs::Origin,
        out: &mut Vec<Verdict>,
    ) -> Result<PathBuf, Problem> {
        let resolved = within.resolve(path);
        let asked = path.display().to_string();
        out.push(Verdict::new(
            name,
            &asked,
            &within.listed(),
            resolved.is_ok(),
        ));
        resolved.map_err(|why| {
            let message = self.refusal(&asked, list, &within.listed(), &listed_line(list, &asked));
            Problem::of(name, format!("{message} ({why})"), origin.clone())
        })
    }

    /// The most that a limit may be, and what it is: as asked, or the default where that is not more. What is asked beyond
    /// it is refused.
    pub fn limit<T: Ord>(
        &self,
        setting: &Setting<T>,
        asked: Option<&inputs::Given>,
        problems: &mut Vec<Problem>,
        out: &mut Vec<Verdict>,
    ) -> String {
        let row = &setting.row;
        let text = asked.map_or(row.default, |given| given.value.as_str());
        let most = self
            .limits
            .get(row.name)
            .map_or(row.default, String::as_str);
        let read = |text: &str| (setting.parse)(text).ok();
        let is_more = read(text) > read(most);
        let got = if is_more { most } else { text };
        out.push(Verdict {
            got: (asked.is_none() || !is_more).then(|| got.to_owned()),
            ..Verdict::new(row.name, text, &format!("at most {most}"), true)
        });
        if let Some(given) = asked.filter(|_| is_more) {
            let name = key(row.name);
            let line = format!("limits.{}", Takes::of_row(row).line(row.name, text));
            let message = match self.lines.get(&name) {
                Some(_) => self.refusal(text, &name, &format!("at most {most}"), &line),
                None => format!(
                    "{}; without it, at most the default {most} is allowed",
                    self.refusal(text, &name, most, &line)
                ),
            };
            problems.push(Problem::of(row.name, message, given.origin.clone()));
        }
        got.to_owned()
    }

    /// What the default of a limit is lowered to; none: it is not more than allowed.
    pub fn lowered<T: Ord>(&self, setting: &Setting<T>) -> Option<&str> {
        let most = self.limits.get(setting.row.name)?;
        let read = |text: &str| (setting.parse)(text).ok();
        (read(setting.row.default) > read(most)).then_some(most)
    }

    /// The same of a setting of the component's own, whose default is `default`. Ok: what the component gets where nothing is
    /// asked, because its default is more; none: its default is not.
    pub fn limit_of_component(
        &self,
        name: &'static str,
        asked: Option<&inputs::Given>,
        default: Option<&str>,
    ) -> Option<(Verdict, Result<Option<String>, Problem>)> {
        let most = self.limits_of_component.get(name)?;
        // What is no number may mean anything to a component.
        let is_within = |text: &str| number(text).is_some_and(|is| Some(is) <= number(most));
        let allowed = format!("at most {most}");
        let Some(given) = asked else {
            let is_lowered = !default.is_some_and(is_within);
            let got = default.filter(|_| !is_lowered).unwrap_or(most);
            let verdict = Verdict {
                got: Some(got.to_owned()),
                ..Verdict::new(name, default.unwrap_or("no limit"), &allowed, true)
            };
            return Some((verdict, Ok(is_lowered.then(|| most.clone()))));
        };
        let text = given.value.as_str();
        let is_got = is_within(text);
        let held = if is_got {
            Ok(None)
        } else {
            let line = format!("limits.{} = {text}", key(name));
            let message = self.refusal(text, &key(name), &allowed, &line);
            Err(Problem::of(name, message, given.origin.clone()))
        };
        Some((Verdict::new(name, text, &allowed, is_got), held))
    }

    /// The file of the component, links followed; none for the built-in one. `Err` says why it is refused.
    pub fn component(
        &self,
        wanted: &JobComponent,
        out: &mut Vec<Verdict>,
    ) -> Result<Option<PathBuf>, String> {
        let allowed = any(&self.components.listed);
        let verdict = |asked: &str, is_got| Verdict::new("component", asked, &allowed, is_got);
        let refused = |asked: &str, entry: &str, why: &str| {
            let line = listed_line(COMPONENTS, entry);
            let why = if why.is_empty() {
                String::new()
            } else {
                format!(" ({why})")
            };
            format!(
                "the component {}{why}",
                self.refusal(asked, COMPONENTS, &allowed, &line)
            )
        };
        let Some(path) = &wanted.path else {
            out.push(verdict(super::BUILT_IN, self.components.built_in));
            if self.components.built_in {
                return Ok(None);
            }
            return Err(refused(super::BUILT_IN, super::BUILT_IN, ""));
        };
        let asked = path.display().to_string();
        let pinned = wanted
            .sha256
            .as_ref()
            .map(|sha256| sha256.to_ascii_lowercase());
        let is_listed = pinned
            .as_ref()
            .is_some_and(|sha256| self.components.sha256.contains(sha256));
        let resolved = match self.components.folders.resolve(path) {
            Err(_) if is_listed => self.files.resolve(path).map_err(|why| {
                format!("its sha256 is listed, but its path has to be below a folder of `{FILES}`: {why}")
            }),
            Err(why) => Err(format!("{why}; a component elsewhere is given with its sha256")),
            resolved => resolved,
        };
        out.push(verdict(&asked, resolved.is_ok()));
        resolved.map(Some).map_err(|why| {
            let entry = pinned.as_deref().unwrap_or(&asked);
            refused(&asked, entry, &why)
        })
    }

    /// Holds what the host will do against the policy. What is refused is a problem, and gone from `host`.
    pub fn apply(&self, inputs: &Inputs, host: &mut HostPlan) {
        self.apply_to_requests(inputs, host);
        self.apply_to_proxy(inputs, host);
        self.apply_to_alerts(inputs, host);
        self.apply_to_traces(inputs, host);
        self.apply_to_output(inputs, host);
        self.apply_to_files(inputs, host);
        let names = std::mem::take(&mut host.allow_environment);
        for name in names {
            // Every component may know what it may talk to.
            if name == SOURCE_API_URL.row.name {
                host.allow_environment.push(name);
                continue;
            }
            let origin = origin_of(inputs, &ALLOW_ENVIRONMENT.row);
            match self.variable(
                ALLOW_ENVIRONMENT.row.name,
                &name,
                &origin,
                &mut host.verdicts,
            ) {
                Ok(()) => host.allow_environment.push(name),
                Err(problem) => host.problems.push(problem),
            }
        }
    }

    fn apply_to_requests(&self, inputs: &Inputs, host: &mut HostPlan) {
        let allowed = self.origins.listed();
        let mut held = |row: &'static crate::settings::catalogue::Row,
                        asked: &str,
                        is_got: bool| {
            host.verdicts
                .push(Verdict::new(row.name, asked, &allowed, is_got));
            if !is_got {
                let message = self.refusal(asked, ORIGINS, &allowed, &listed_line(ORIGINS, asked));
                host.problems.push(inputs.problem(row.name, message));
            }
            is_got
        };
        let reach = |url: &Url, method: Option<&Method>| {
            let origin = Origin::of(url);
            let is_got = origin
                .as_ref()
                .is_some_and(|origin| self.origins.allows(method, origin, url.path()));
            // What comes behind the path may be a secret.
            let shown = origin.map_or_else(String::new, |origin| format!("{origin}{}", url.path()));
            (shown, is_got)
        };
        if let Some(url) = &host.source {
            let (asked, is_got) = reach(url, None);
            if !held(&SOURCE_API_URL.row, &asked, is_got) {
                host.source = None;
            }
        }
        if let Auth::Fetched(issuer) = &host.auth {
            let (asked, is_got) = reach(issuer.url(), Some(&Method::POST));
            let row = match **issuer {
                Issuer::OAuth2(_) => &SOURCE_TOKEN_URL.row,
                Issuer::Login(_) => &SOURCE_LOGIN_URL.row,
            };
            if !held(row, &asked, is_got) {
                host.auth = Auth::None;
            }
        }
        host.allow_hosts.retain(|origin| {
            let is_got = self.origins.has_origin(origin);
            held(&ALLOW_HOSTS.row, &origin.to_string(), is_got)
        });
        if host.allow_private_networks {
            let row = &ALLOW_PRIVATE_NETWORKS.row;
            let verdict = self.opens_private_networks(inputs, row, &mut host.verdicts);
            host.allow_private_networks = verdict.is_ok();
            host.problems.extend(verdict.err());
        }
    }

    /// What a job sends to others when it ends is its own: the origins are listed apart from those of its source, which a component
    /// could send to.
    /// A collector is held against what notices may be sent to: a component can send nothing there.
    fn apply_to_traces(&self, inputs: &Inputs, host: &mut HostPlan) {
        let Some(mut traces) = host.traces.take() else {
            return;
        };
        let whole = &OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.row;
        let row = if inputs.is_given(whole) {
            whole
        } else {
            &OTEL_EXPORTER_OTLP_ENDPOINT.row
        };
        let (url, allowed) = (&traces.url, self.alert_origins.listed());
        let origin = Origin::of(url);
        let is_got = origin.as_ref().is_some_and(|origin| {
            let ceiling = &self.alert_origins;
            ceiling.allows(Some(&Method::POST), origin, url.path())
        });
        let origin = origin.map_or_else(String::new, |origin| origin.to_string());
        let asked = format!("{origin}{}", url.path());
        let verdict = Verdict::new(row.name, &asked, &allowed, is_got);
        host.verdicts.push(verdict);
        if is_got {
            traces.private_networks = self.private_networks;
            host.traces = Some(traces);
        } else {
            let line = listed_line(ALERT_ORIGINS, &asked);
            let message = self.refusal(&asked, ALERT_ORIGINS, &allowed, &line);
            host.problems.push(inputs.problem(row.name, message));
        }
    }

    fn apply_to_alerts(&self, inputs: &Inputs, host: &mut HostPlan) {
        let allowed = self.alert_origins.listed();
        let alerts = &mut host.alerts;
        for (row, url) in [
            (&ALERT_URL.row, &mut alerts.url),
            (&PING_URL.row, &mut alerts.ping),
        ] {
            let Some(given) = url.as_ref().and_then(|url| Url::parse(url.expose()).ok()) else {
                continue;
            };
            let origin = Origin::of(&given);
            let mut above = given.clone();
            if alerts.format == AlertFormat::Ntfy && row.name == ALERT_URL.row.name {
                // The topic is sent in the body.
                let _ = above.path_segments_mut().map(|mut path| {
                    path.pop_if_empty().pop();
                });
            }
            let is_got = origin.as_ref().is_some_and(|origin| {
                let ceiling = &self.alert_origins;
                ceiling.allows(Some(&Method::POST), origin, above.path())
                    && ceiling.allows(Some(&Method::POST), origin, given.path())
            });
            // The path is the secret.
            let asked = origin.map_or_else(String::new, |origin| origin.to_string());
            host.verdicts
                .push(Verdict::new(row.name, &asked, &allowed, is_got));
            if !is_got {
                let line = listed_line(ALERT_ORIGINS, &asked);
                let message = self.refusal(&asked, ALERT_ORIGINS, &allowed, &line);
                host.problems.push(inputs.problem(row.name, message));
                *url = None;
            }
        }
        if alerts.private_networks {
            let row = &ALERT_PRIVATE_NETWORKS.row;
            let verdict = self.opens_private_networks(inputs, row, &mut host.verdicts);
            alerts.private_networks = verdict.is_ok();
            host.problems.extend(verdict.err());
        }
        let Some(words) = alerts.command.take() else {
            return;
        };
        let (origin, out) = (origin_of(inputs, &ALERT_COMMAND.row), &mut host.verdicts);
        let mut held = self.command(ALERT_COMMAND.row.name, &words, &origin, out);
        let origin = origin_of(inputs, &COMMAND_ENVIRONMENT.row);
        let always = ["PATH", "HOME"];
        let further = alerts.environment.iter().map(|(name, _)| name);
        for name in further.filter(|name| !always.contains(&name.as_str())) {
            let variable = self.variable(COMMAND_ENVIRONMENT.row.name, name, &origin, out);
            held = held.and(variable);
        }
        match held {
            Ok(()) => alerts.command = Some(words),
            Err(problem) => host.problems.push(problem),
        }
    }

    /// `Err`: names may not lead to private addresses, as this setting asks.
    fn opens_private_networks(
        &self,
        inputs: &Inputs,
        row: &'static crate::settings::catalogue::Row,
        out: &mut Vec<Verdict>,
    ) -> Result<(), Problem> {
        let allowed = if self.private_networks { "yes" } else { "no" };
        out.push(Verdict::new(
            row.name,
            "yes",
            allowed,
            self.private_networks,
        ));
        if self.private_networks {
            return Ok(());
        }
        let line = format!("{PRIVATE_NETWORKS} = true");
        let message = self.refusal("yes", PRIVATE_NETWORKS, allowed, &line);
        Err(inputs.problem(row.name, message))
    }

    /// A proxy reads what is plain and looks up what is named: a job has only one that is listed. That one may have a private
    /// address, which opens no other to the job.
    fn apply_to_proxy(&self, inputs: &Inputs, host: &mut HostPlan) {
        let Some(proxy) = host.proxy.take() else {
            return;
        };
        let row = &OUTBOUND_PROXY.row;
        let listed: Vec<String> = self.proxies.iter().map(as_entry).collect();
        let (asked, allowed) = (as_entry(&proxy), any(&listed));
        let is_got = self.proxies.iter().any(|entry| entry.is_at(&proxy));
        host.verdicts
            .push(Verdict::new(row.name, &asked, &allowed, is_got));
        if is_got {
            host.proxy = Some(proxy.that_may_be_private());
        } else {
            let message = self.refusal(&asked, PROXIES, &allowed, &listed_line(PROXIES, &asked));
            host.problems.push(inputs.problem(row.name, message));
        }
    }

    fn apply_to_output(&self, inputs: &Inputs, host: &mut HostPlan) {
        if let Some(path) = host.status_page.take() {
            let (name, within) = (STATUS_PAGE.row.name, &self.status_pages);
            let origin = origin_of(inputs, &STATUS_PAGE.row);
            match self.file(
                name,
                STATUS_PAGES,
                within,
                &path,
                &origin,
                &mut host.verdicts,
            ) {
                Ok(path) => host.status_page = Some(path),
                Err(problem) => host.problems.push(problem),
            }
        }
        let within = &self.output_folders;
        if let Some(path) = host.output_dir.take() {
            let origin = origin_of(inputs, &OUTPUT_DIR.row);
            let name = OUTPUT_DIR.row.name;
            match self.file(
                name,
                OUTPUT_FOLDERS,
                within,
                &path,
                &origin,
                &mut host.verdicts,
            ) {
                Ok(path) => host.output_dir = Some(path),
                Err(problem) => host.problems.push(problem),
            }
        }
        let Some(database) = host.database.take() else {
            return;
        };
        let name = OUTPUT_DATABASE_URL.row.name;
        let origin = origin_of(inputs, &OUTPUT_DATABASE_URL.row);
        let held = match database {
            DatabaseUrl::Sqlite(path) => self
                .file(
                    name,
                    OUTPUT_FOLDERS,
                    within,
                    &path,
                    &origin,
                    &mut host.verdicts,
                )
                .map(DatabaseUrl::Sqlite),
            DatabaseUrl::Postgres(mut address) => {
                let allowed = any(&self.databases);
                let asked = address.to_string();
                let is_got = self.databases.iter().any(|entry| match entry {
                    DatabaseUrl::Postgres(entry) => address.is_within(entry),
                    DatabaseUrl::Sqlite(_) => false,
                });
                host.verdicts
                    .push(Verdict::new(name, &asked, &allowed, is_got));
                let root_cert = address.root_cert.take();
                let root_cert =
                    root_cert.map(|path| self.other_file(name, &path, &origin, &mut host.verdicts));
                if is_got {
                    root_cert.transpose().map(|path| {
                        address.root_cert = path;
                        DatabaseUrl::Postgres(address)
                    })
                } else {
                    let message =
                        self.refusal(&asked, DATABASES, &allowed, &listed_line(DATABASES, &asked));
                    Err(Problem::of(name, message, origin))
                }
            }
        };
        match held {
            Ok(database) => host.database = Some(database),
            Err(problem) => host.problems.push(problem),
        }
        let history = host
            .output
            .keeps_history
            .then(|| (OUTPUT_HISTORY.row.name, history_of(&host.output.table)));
        let tables = [(OUTPUT_TABLE.row.name, host.output.table.clone())];
        for (name, table) in tables.into_iter().chain(history) {
            let allowed = any(&self.tables);
            let is_got = is_among(&table, &self.tables);
            host.verdicts
                .push(Verdict::new(name, &table, &allowed, is_got));
            if !is_got {
                let message = self.refusal(&table, TABLES, &allowed, &listed_line(TABLES, &table));
                host.problems.push(inputs.problem(name, message));
                host.database = None;
            }
        }
    }

    fn apply_to_files(&self, inputs: &Inputs, host: &mut HostPlan) {
        if let Some(file) = inputs.rotated_file(&SOURCE_REFRESH_TOKEN) {
            let (name, within) = (SOURCE_REFRESH_TOKEN.row.name, &self.rewritten_files);
            let origin = origin_of(inputs, &SOURCE_REFRESH_TOKEN.row);
            let (path, out) = (file.path(), &mut host.verdicts);
            let held = self.file(name, REWRITTEN_FILES, within, path, &origin, out);
            host.problems.extend(held.err());
        }
        if let Some(path) = host.metrics_file.take() {
            let (name, within) = (METRICS_FILE.row.name, &self.metrics_folders);
            let origin = origin_of(inputs, &METRICS_FILE.row);
            let out = &mut host.verdicts;
            match self.file(name, METRICS_FOLDERS, within, &path, &origin, out) {
                Ok(path) => host.metrics_file = Some(path),
                Err(problem) => host.problems.push(problem),
            }
        }
        if let Some(path) = host.ca_file.take() {
            let origin = origin_of(inputs, &CA_FILE.row);
            match self.other_file(CA_FILE.row.name, &path, &origin, &mut host.verdicts) {
                Ok(path) => host.ca_file = Some(path),
                Err(problem) => host.problems.push(problem),
            }
        }
        let Some(mut client) = host.client.take() else {
            return;
        };
        let origin = origin_of(inputs, &CLIENT_CERT_FILE.row);
        let certificates = self.other_file(
            CLIENT_CERT_FILE.row.name,
            &client.certificates,
            &origin,
            &mut host.verdicts,
        );
        let origin = origin_of(inputs, &CLIENT_KEY_FILE.row);
        let secret = self.secret_file(
            CLIENT_KEY_FILE.row.name,
            &client.key,
            &origin,
            &mut host.verdicts,
        );
        match (certificates, secret) {
            (Ok(certificates), Ok(secret)) => {
                client.certificates = certificates;
                client.key = secret;
                host.client = Some(client);
            }
            (certificates, secret) => {
                host.problems.extend(certificates.err());
                host.problems.extend(secret.err());
            }
        }
    }
}

fn origin_of(inputs: &Inputs, row: &crate::settings::catalogue::Row) -> inputs::Origin {
    inputs.origin(row).unwrap_or(inputs::Origin::Default)
}

/// A proxy as it is in `proxies`.
fn as_entry(proxy: &Proxy) -> String {
    format!("http://{proxy}")
}

/// These, for a message.
fn any(allowed: &[impl ToString]) -> String {
    if allowed.is_empty() {
        return "none".to_owned();
    }
    let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    allowed.join(", ")
}
