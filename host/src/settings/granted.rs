//! What a component gets of the environment, where other programs keep their secrets: the names it was granted.
//!
//! Flags and env files are written for this job, so what is in them is given. The environment is not: a component that
//! declares `DB_PASSWORD` would be handed it. The built-in component is granted what it declares, any other the names in
//! ALLOW_ENVIRONMENT. What the host itself reads is none of this file's business.

use crate::component::Description;
use crate::settings::catalogue::{
    self, ALLOW_ENVIRONMENT, CA_FILE, OUTBOUND_PROXY, SOURCE_API_URL,
};
use crate::settings::component_settings::{file_name, is_secret};
use crate::settings::inputs::{Given, Inputs, Problem};
use crate::settings::layers::Layers;

/// What a component is granted.
pub struct Grant<'a> {
    /// The component.
    pub description: &'a Description,
    /// Whether it is the one in the binary, which is granted what it declares.
    pub has_built_in: bool,
    /// ALLOW_ENVIRONMENT.
    pub allowed: &'a [String],
}

impl Grant<'_> {
    /// What the component may have of what was given for `name`.
    pub fn given(&self, layers: &Layers, name: &str) -> Option<Given> {
        if self.allows(name) {
            layers.get(name)
        } else {
            layers.deliberate_value(name)
        }
    }

    fn allows(&self, name: &str) -> bool {
        // Who grants a setting grants the file that may hold it.
        let setting = name.strip_suffix("_FILE").unwrap_or(name);
        let names = |granted: &String| {
            granted == name
                || (granted == setting && file_name(self.description, setting).is_some())
        };
        // Its origin is what the component may talk to, so the component may know it.
        let is_source = name == SOURCE_API_URL.row.name;
        self.has_built_in || is_source || self.allowed.iter().any(names)
    }
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
pub fn ungranted(inputs: &Inputs, grant: &Grant<'_>) -> Option<Ungranted> {
    let declared = grant.description.settings.iter();
    let declared = declared.filter(|setting| !is_secret(setting));
    kept_back(inputs, grant, declared.map(|setting| setting.name.as_str()))
}

/// The same of one setting.
pub fn of_setting(inputs: &Inputs, grant: &Grant<'_>, setting: &str) -> Option<Ungranted> {
    kept_back(inputs, grant, std::iter::once(setting))
}

fn kept_back<'s>(
    inputs: &Inputs,
    grant: &Grant<'_>,
    settings: impl Iterator<Item = &'s str>,
) -> Option<Ungranted> {
    let layers = inputs.layers();
    let names = settings.flat_map(|setting| {
        let file = file_name(grant.description, setting);
        std::iter::once(setting.to_owned()).chain(file)
    });
    let names: Vec<String> = names
        .filter(|name| {
            let is_there = layers.environment(name).is_some();
            is_there && !grant.allows(name) && layers.flag(name).is_none()
        })
        .collect();
    // A name that is refused would be refused again.
    let granted = grant.allowed.iter();
    let granted = granted.filter(|name| catalogue::secret(name).is_none());
    let all: Vec<&str> = granted.chain(&names).map(String::as_str).collect();
    let grant = format!("{}={}", ALLOW_ENVIRONMENT.row.name, all.join(","));
    (!names.is_empty()).then_some(Ungranted { names, grant })
}

/// What other programs take from the environment, with the setting that says the same here.
const IGNORED: [(&str, &str); 9] = [
    ("HTTPS_PROXY", OUTBOUND_PROXY.row.name),
    ("https_proxy", OUTBOUND_PROXY.row.name),
    ("HTTP_PROXY", OUTBOUND_PROXY.row.name),
    ("http_proxy", OUTBOUND_PROXY.row.name),
    ("ALL_PROXY", OUTBOUND_PROXY.row.name),
    ("all_proxy", OUTBOUND_PROXY.row.name),
    ("SSL_CERT_FILE", CA_FILE.row.name),
    ("SSL_CERT_DIR", CA_FILE.row.name),
    ("PGSSLROOTCERT", "sslrootcert in OUTPUT_DATABASE_URL"),
];

/// Variables that are in the environment and decide nothing here, though they do elsewhere, with the setting that does.
pub fn ignored(inputs: &Inputs) -> impl Iterator<Item = (&'static str, &'static str)> {
    let all = IGNORED.into_iter();
    let has_proxy = inputs.is_given(&OUTBOUND_PROXY.row);
    all.filter(move |(name, setting)| {
        let is_known = has_proxy && *setting == OUTBOUND_PROXY.row.name;
        inputs.layers().environment(name).is_some() && !is_known
    })
}

/// Adds what no grant gives.
pub fn refuse(inputs: &Inputs, allowed: &[String], problems: &mut Vec<Problem>) {
    for name in allowed
        .iter()
        .filter(|name| catalogue::secret(name).is_some())
    {
        problems.push(inputs.problem(
            ALLOW_ENVIRONMENT.row.name,
            format!("contains `{name}`: no component gets a secret; remove that name"),
        ));
    }
}
