//! What will be done: what was given joined with what the component declares, or every problem at once.
//!
//! The component sees the names it declared, never a secret: with what was given by file or flag, or by the environment where it
//! was granted the name, or else with the default. That is what `check` shows ([`effective`]).

use std::collections::BTreeMap;

use url::Url;

use crate::component::{Announced, Description, Setting, Staging};
use crate::egress::Places;
use crate::settings::auth;
use crate::settings::catalogue::{
    self, SOURCE_API_KEY, SOURCE_API_URL, SOURCE_CLIENT_SECRET, SOURCE_SIGNING_KEY, WRITE_MODE,
};
use crate::settings::component_settings::{LIMITED, is_secret};
use crate::settings::conflicts;
use crate::settings::fingerprint;
use crate::settings::granted::{self, Grant};
use crate::settings::host::HostPlan;
use crate::settings::inputs::{Inputs, Problem};
use crate::settings::shown::has_no_effect;
use crate::settings::suggest::refuse_unknown;

/// What one job will do.
#[derive(Debug)]
pub struct Plan {
    /// What the component sees.
    pub environment: Vec<(String, String)>,
    /// `SOURCE_API_URL`.
    pub source: Url,
    /// Where `SOURCE_SECRET` goes.
    pub places: Option<Places>,
    /// What the component announces that it stages besides records, with these settings.
    pub stages: Staging,
    /// Whether no record is staged but of a parent that is replaced: so it is of the built-in component.
    pub replaces_every_parent: bool,
    /// How staged records become the published set.
    pub mode: WriteMode,
    /// sha256 in hex of each setting that decides what records are, by name; one that is not given has the hash of nothing.
    pub fingerprint: BTreeMap<String, String>,
}

/// Settings that cannot be used.
#[derive(Debug)]
pub struct Unusable {
    /// What is wrong, the host's problems included.
    pub problems: Vec<Problem>,
    /// What the component would have seen, so that it can be asked what it finds wrong.
    pub environment: Vec<(String, String)>,
}

/// How staged records become the published set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// They are the set.
    Replace,
    /// They are merged into the last set by key.
    Upsert,
    /// They are added to what is there.
    Append,
}

impl WriteMode {
    /// The word in settings, logs and manifests.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Upsert => "upsert",
            Self::Append => "append",
        }
    }
}

/// How many records may be rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxRejected {
    /// So many.
    Count(u64),
    /// This part of the fetched ones.
    Percent(u64),
}

/// What becomes of a run whose records have other members than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDrift {
    /// It is published, with a warning.
    Warn,
    /// It is refused.
    Fail,
    /// It is published.
    Ignore,
}

impl Plan {
    /// Reads the component's settings, and joins all. `inputs` and `host` are of the same command.
    pub fn new(inputs: &mut Inputs, host: &HostPlan, grant: &Grant<'_>) -> Result<Self, Unusable> {
        let description = grant.description;
        let mut problems = host.problems.clone();
        refuse_secrets(description, &mut problems);
        granted::refuse(inputs, &host.allow_environment, &mut problems);
        refuse_unknown(description, inputs, &mut problems);
        let before = inputs.problems().len();
        inputs.read_of_component(description, grant);
        problems.extend_from_slice(&inputs.problems()[before..]);
        refuse_missing(inputs, grant, &mut problems);
        refuse_key(description, inputs, &mut problems);
        hold(inputs, description, host, &mut problems);
        let environment = environment(description, inputs, host);
        refuse_missing_source(description, inputs, &mut problems);
        conflicts::refuse(inputs, &mut problems);
        let (secret, source) = (host.secret.as_ref(), host.source.as_ref());
        let places = auth::places(inputs, secret, source, &mut problems);
        // What only applies by default announces nothing.
        let is_given = |name: &str| {
            let mut settings = description.settings.iter();
            let declared = settings.find(|setting| setting.name == name);
            declared.is_some_and(|setting| given(setting, inputs, host).is_some())
        };
        let mode = mode(description, host, is_given, &mut problems);
        conflicts::columns::refuse(inputs, host, &mut problems);
        if let Some(mode) = mode {
            conflicts::replacing::refuse(description, inputs, host, mode, &mut problems);
            conflicts::appending::refuse(description, inputs, host, mode, &mut problems);
        }
        conflicts::database::refuse(inputs, host, mode, &mut problems);
        match (&host.source, mode) {
            (Some(source), Some(mode)) if problems.is_empty() => Ok(Self {
                source: source.clone(),
                places,
                mode,
                stages: description.stages(is_given),
                replaces_every_parent: grant.has_built_in,
                fingerprint: fingerprint::hashes(description, inputs, host, source, mode),
                environment,
            }),
            _ => Err(Unusable {
                problems,
                environment,
            }),
        }
    }
}

/// Refuses secrets of the component's own; what else cannot be used of a description never came this far.
fn refuse_secrets(description: &Description, problems: &mut Vec<Problem>) {
    for setting in &description.settings {
        let used = [&SOURCE_API_KEY, &SOURCE_CLIENT_SECRET, &SOURCE_SIGNING_KEY];
        let is_used = used.iter().any(|own| own.row.name == setting.name);
        if setting.secret && !is_used {
            problems.push(Problem::new(
                &setting.name,
                "is declared as a secret by this component, and components get no secrets; use another component, or let \
                 the host send SOURCE_API_KEY (SOURCE_AUTH) or sign with SOURCE_SIGNING_KEY",
            ));
        }
    }
}

/// All that the component sees.
fn environment(
    description: &Description,
    inputs: &Inputs,
    host: &HostPlan,
) -> Vec<(String, String)> {
    let settings = description.settings.iter();
    let all = settings
        .filter_map(|setting| Some((setting.name.clone(), effective(setting, inputs, host)?)));
    all.collect()
}

/// What the component sees of one of its settings: what it was granted, what a policy lowers its default to, or the default.
/// `None`: nothing, as of any secret.
pub fn effective(setting: &Setting, inputs: &Inputs, host: &HostPlan) -> Option<String> {
    if is_secret(setting) {
        return None;
    }
    given(setting, inputs, host).or_else(|| {
        // Never what the host makes of its own: that may be in the environment, and not granted.
        let own = catalogue::row(&setting.name).filter(|row| !row.described_by_component);
        let default = match own {
            Some(row) if has_no_effect(row, inputs, host) => None,
            Some(row) => Some(row.default.to_owned()),
            None => setting.default.clone(),
        };
        default.filter(|default| !default.is_empty())
    })
}

/// The same without the default.
fn given(setting: &Setting, inputs: &Inputs, host: &HostPlan) -> Option<String> {
    let name = setting.name.as_str();
    if is_secret(setting) {
        return None;
    }
    if let Some(given) = inputs.of_component(name) {
        return Some(given.value.to_string());
    }
    let lowered = host.lowered.get(name).cloned();
    lowered.or_else(|| {
        let known = LIMITED.into_iter().find(|limited| *limited == name)?;
        let tenant = host.tenant.as_ref().filter(|tenant| tenant.is_usable())?;
        let (_, got) = tenant.limit_of_component(known, None, setting.default.as_deref())?;
        got.ok().flatten()
    })
}

/// Adds what is required and not there.
fn refuse_missing(inputs: &Inputs, grant: &Grant<'_>, problems: &mut Vec<Problem>) {
    for setting in &grant.description.settings {
        let is_there = inputs.of_component(&setting.name).is_some() || setting.default.is_some();
        let is_told = problems.iter().any(|p| p.setting == setting.name);
        if setting.required && !is_secret(setting) && !is_there && !is_told {
            problems.push(missing(setting, inputs, grant));
        }
    }
}

/// Refuses a component that needs requests signed where there is no key, and a key where nothing is signed.
fn refuse_key(description: &Description, inputs: &Inputs, problems: &mut Vec<Problem>) {
    let name = SOURCE_SIGNING_KEY.row.name;
    if problems.iter().any(|problem| problem.setting == name) {
        return;
    }
    let mut settings = description.settings.iter();
    let declared = settings.find(|setting| setting.name == name);
    let message = match (inputs.is_given(&SOURCE_SIGNING_KEY.row), declared) {
        (false, Some(setting)) if setting.required => {
            "is required: the component has its requests signed with it; for example \
             `SOURCE_SIGNING_KEY_FILE=/etc/tidegate/signing-key`"
        }
        (true, None) => {
            "has no effect: the component has nothing signed, as it does not declare this setting; remove it"
        }
        _ => return,
    };
    problems.push(Problem::new(name, message));
}

/// Holds the component's own limits against the policy.
fn hold(inputs: &Inputs, description: &Description, host: &HostPlan, problems: &mut Vec<Problem>) {
    let tenant = host.tenant.as_ref().filter(|tenant| tenant.is_usable());
    let declared = |name| (description.settings.iter()).find(move |setting| setting.name == name);
    for (tenant, name) in tenant
        .into_iter()
        .flat_map(|tenant| LIMITED.map(|name| (tenant, name)))
    {
        let Some(setting) = declared(name) else {
            continue;
        };
        let asked = inputs.of_component(name);
        let held = tenant.limit_of_component(name, asked, setting.default.as_deref());
        let Some((verdict, got)) = held else { continue };
        inputs.add_verdict(verdict);
        problems.extend(got.err());
    }
}

fn missing(setting: &Setting, inputs: &Inputs, grant: &Grant<'_>) -> Problem {
    let what = setting.doc.trim_end_matches('.');
    let message = match granted::of_setting(inputs, grant, &setting.name) {
        None => {
            let example = setting.example.as_deref().unwrap_or("…");
            format!(
                "is required ({what}); for example `{}={example}`",
                setting.name
            )
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

/// Whether the component says so or not: there is nobody to talk to without it.
fn refuse_missing_source(description: &Description, inputs: &Inputs, problems: &mut Vec<Problem>) {
    let name = SOURCE_API_URL.row.name;
    let mut settings = description.settings.iter();
    let is_told = settings.any(|setting| setting.name == name && setting.required);
    if !is_told && !inputs.is_given(&SOURCE_API_URL.row) {
        problems.push(Problem::new(
            name,
            "is required: its origin is what the component may talk to",
        ));
    }
}

/// How staged records become the published set: as given, or as follows from what the component stages.
fn mode(
    description: &Description,
    host: &HostPlan,
    is_given: impl Fn(&str) -> bool,
    problems: &mut Vec<Problem>,
) -> Option<WriteMode> {
    let changes = description.announces(|stages| stages.changes, is_given);
    let keys = !host.output.keys.is_empty();
    let mut problem = |message: String| {
        problems.push(Problem::new(WRITE_MODE.row.name, message));
        None
    };
    match (host.mode, changes) {
        (Some(WriteMode::Upsert), _) if !keys => {
            problem("`upsert` merges by key: set PRIMARY_KEY, for example `PRIMARY_KEY=/id`".to_owned())
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
                "has no default here: {cause}, set PRIMARY_KEY to merge by key, for example `PRIMARY_KEY=/id`; or keep every version of every record with `WRITE_MODE=append`"
            ))
        }
    }
}

#[cfg(test)]
mod tests;
