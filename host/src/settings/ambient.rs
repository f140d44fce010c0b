//! What a component gets of the environment, where other programs keep their secrets: the names it was granted.
//!
//! Flags and env files are written for this job, so what is in them is given. The environment is not: a component that
//! declares `DB_PASSWORD` would be handed it. The built-in component is granted what it declares, any other the names in
//! ALLOW_ENVIRONMENT. What the host itself reads is none of this file's business.

use crate::component::Description;
use crate::settings::catalogue::HOST;
use crate::settings::inputs::{Given, Problem};
use crate::settings::plan::Plan;

use super::{is_secret, is_the_hosts_secret, texts};

/// The setting that grants a name.
const GRANT: &str = "ALLOW_ENVIRONMENT";
/// Its origin is what the component may talk to, so the component may know it.
const ALWAYS: &str = "SOURCE_API_URL";
/// What the host reads though the component declares it.
const READ_BY_THE_HOST: [&str; 3] = [ALWAYS, "SOURCE_AUTH", "SOURCE_AUTH_NAME"];

/// What the component may have of what was given for `name`.
pub fn given(plan: &Plan, name: &str) -> Option<Given> {
    if is_granted(plan, name) {
        plan.values.get(name)
    } else {
        plan.values.deliberate_value(name)
    }
}

/// True if and only if the host itself takes `name` from wherever it is given.
pub fn is_of_the_host(name: &str) -> bool {
    READ_BY_THE_HOST.contains(&name) || HOST.iter().any(|setting| setting.name == name)
}

/// What is in the environment, and the component does not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ungranted {
    /// The environment variables; at least one.
    pub names: Vec<String>,
    /// The line that grants them all, besides what is granted already.
    pub grant: String,
}

/// What the component declares, is in the environment and stays there; what a flag says anyway is not among it.
pub fn ungranted(description: &Description, plan: &Plan) -> Option<Ungranted> {
    let declared = description.settings.iter();
    let declared = declared.filter(|setting| !is_secret(setting));
    kept_back(plan, declared.map(|setting| setting.name.as_str()))
}

/// The same of one setting.
pub fn of_setting(plan: &Plan, setting: &str) -> Option<Ungranted> {
    kept_back(plan, std::iter::once(setting))
}

fn kept_back<'s>(plan: &Plan, settings: impl Iterator<Item = &'s str>) -> Option<Ungranted> {
    let names = settings.flat_map(|setting| {
        std::iter::once(setting.to_owned()).chain(texts::file_setting(setting))
    });
    let names: Vec<String> = names
        .filter(|name| {
            let is_there = plan.values.environment(name).is_some();
            is_there && !is_granted(plan, name) && plan.values.flag(name).is_none()
        })
        .collect();
    // A name that is refused would be refused again.
    let granted = plan.allow_environment.iter();
    let granted = granted.filter(|name| !is_the_hosts_secret(name));
    let all: Vec<&str> = granted.chain(&names).map(String::as_str).collect();
    let grant = format!("{GRANT}={}", all.join(","));
    (!names.is_empty()).then_some(Ungranted { names, grant })
}

/// What other programs take from the environment, with the setting that says the same here.
const IGNORED: [(&str, &str); 9] = [
    ("HTTPS_PROXY", LATER_PROXY),
    ("https_proxy", LATER_PROXY),
    ("HTTP_PROXY", LATER_PROXY),
    ("http_proxy", LATER_PROXY),
    ("ALL_PROXY", LATER_PROXY),
    ("all_proxy", LATER_PROXY),
    ("SSL_CERT_FILE", "CA_FILE"),
    ("SSL_CERT_DIR", "CA_FILE"),
    ("PGSSLROOTCERT", "sslrootcert in OUTPUT_DATABASE_URL"),
];
const LATER_PROXY: &str = "OUTBOUND_PROXY, in a later version";

/// Variables that are in the environment and decide nothing here, though they do elsewhere, with the setting that does.
pub fn ignored(plan: &Plan) -> impl Iterator<Item = (&'static str, &'static str)> {
    let all = IGNORED.into_iter();
    all.filter(|(name, _)| plan.values.environment(name).is_some())
}

/// Adds what no grant gives.
pub fn refuse(plan: &Plan, problems: &mut Vec<Problem>) {
    let secrets = plan.allow_environment.iter();
    for name in secrets.filter(|name| is_the_hosts_secret(name)) {
        problems.push(Problem {
            setting: GRANT.to_owned(),
            message: format!("contains `{name}`: no component gets a secret; remove that name"),
            origin: plan.values.get(GRANT).map(|given| given.origin),
        });
    }
}

fn is_granted(plan: &Plan, name: &str) -> bool {
    // Who grants a text grants the file that it may stand in.
    let text = name.strip_suffix("_FILE").unwrap_or(name);
    let names = |granted: &String| {
        granted == name || (granted == text && texts::file_setting(text).is_some())
    };
    plan.has_built_in || name == ALWAYS || plan.allow_environment.iter().any(names)
}
