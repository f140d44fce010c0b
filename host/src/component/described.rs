//! What a component says it is: the description as the host takes it, or why it is refused.
//!
//! All of it is one line each, short, and without a character that steers a terminal. A name of the host's own means what it
//! means to the host, whatever the component says of it.

use crate::limits::Limits;
use crate::outcome::{Failure, Outcome};
use crate::settings::catalogue::{self, Row, SOURCE_SIGNING_KEY};
use crate::settings::component_settings::PROPOSED;
use crate::settings::env_file;
use crate::words::{self, steers};

use super::bindings::exports::tidegate::sync::job as raw;

/// What the component is and which settings it reads.
#[derive(Debug, Clone)]
pub struct Description {
    pub name: String,
    pub version: String,
    pub summary: String,
    /// Its settings, each name once. Those with a name of the host's own mean what they mean to the host.
    pub settings: Vec<Setting>,
    /// What it stages besides records, whatever the settings are.
    pub stages: Staging,
}

/// What to do where a run takes too much.
pub const FETCH_LESS: &str = "fetch less in one run";

/// What a component announces that it stages besides records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "flags, as in WIT")]
pub struct Staging {
    /// Only new and changed records.
    pub changes: bool,
    pub deletions: bool,
    /// The parents whose records were fetched again.
    pub parents: bool,
    /// A part of the records at a time.
    pub portions: bool,
}

/// By what a component announces something that it stages.
#[derive(Debug, Clone, Copy)]
pub enum Announced<'d> {
    /// It always stages it.
    Always,
    /// It does because this setting is given.
    By(&'d Setting),
}

impl Description {
    /// What the component stages besides records when the settings are given that `is_given` names.
    pub fn stages(&self, is_given: impl Fn(&str) -> bool) -> Staging {
        let given = self.settings.iter().filter(|known| is_given(&known.name));
        given.fold(self.stages, |all, setting| Staging {
            changes: all.changes || setting.stages.changes,
            deletions: all.deletions || setting.stages.deletions,
            parents: all.parents || setting.stages.parents,
            portions: all.portions || setting.stages.portions,
        })
    }

    /// What to do where a run takes too much, with the settings of this component that help.
    pub fn fetch_less(&self) -> String {
        let helps = self.settings.iter().filter(|known| known.stages.portions);
        let names: Vec<&str> = helps.map(|known| known.name.as_str()).collect();
        if names.is_empty() {
            return FETCH_LESS.to_owned();
        }
        format!("{FETCH_LESS} ({})", names.join(", "))
    }

    /// By what the component announces that it stages `what`; `None`: it does not, with these settings.
    pub fn announces(
        &self,
        what: impl Fn(Staging) -> bool,
        is_given: impl Fn(&str) -> bool,
    ) -> Option<Announced<'_>> {
        if what(self.stages) {
            return Some(Announced::Always);
        }
        let mut given = self.settings.iter().filter(|known| is_given(&known.name));
        given.find(|known| what(known.stages)).map(Announced::By)
    }
}

impl From<raw::Staging> for Staging {
    fn from(raw: raw::Staging) -> Self {
        Self {
            changes: raw.contains(raw::Staging::CHANGES),
            deletions: raw.contains(raw::Staging::DELETIONS),
            parents: raw.contains(raw::Staging::PARENTS),
            portions: raw.contains(raw::Staging::PORTIONS),
        }
    }
}

/// One setting that it reads. All texts are one line.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Upper case letters, digits and `_`, a letter first.
    pub name: String,
    pub doc: String,
    /// Whether a run without it is pointless.
    pub required: bool,
    /// Whether it is a secret.
    pub secret: bool,
    /// Whether it decides what the records are.
    pub shapes_records: bool,
    /// What the component stages besides records when it is given.
    pub stages: Staging,
    /// The value that applies when none is given.
    pub default: Option<String>,
    /// A value as a person would write it.
    pub example: Option<String>,
}

/// Whether a value of the component's choosing may be put in the way of a person who fills in settings: its own settings of
/// the source, and none of the host's, which say what it may touch.
pub fn is_settable(setting: &Setting) -> bool {
    let name = setting.name.as_str();
    let is_of_the_source = name.starts_with("SOURCE_") && !is_hosts(name);
    !setting.secret && (is_of_the_source || PROPOSED.contains(&name))
}

/// Whether a name is the host's own, whatever a component says of it: a setting of the host, or one that names a file with
/// its value. The source's credential is the host's business too.
fn is_hosts(name: &str) -> bool {
    let is_known = |name: &str| hosts(name).is_some() || catalogue::secret(name).is_some();
    let of_another = ["_FILE", "_COMMAND"]
        .iter()
        .find_map(|end| name.strip_suffix(end));
    is_known(name) || of_another.is_some_and(is_known)
}

/// The host's settings that a component may require.
fn may_require(name: &str) -> bool {
    PROPOSED.contains(&name) || name == SOURCE_SIGNING_KEY.row.name
}

fn hosts(name: &str) -> Option<&'static Row> {
    catalogue::row(name).filter(|row| !row.described_by_component)
}

/// Takes a description. `Err` (78) says what the component declares that cannot be used.
pub fn description(raw: raw::Description, limits: &Limits) -> Result<Description, Failure> {
    let mut problems = Vec::new();
    let texts = |setting: &raw::Setting| {
        let optional =
            [&setting.default, &setting.example].map(|text| text.as_ref().map_or(0, String::len));
        setting.name.len() + setting.doc.len() + optional[0] + optional[1]
    };
    let all = raw.name.len() + raw.version.len() + raw.summary.len();
    let all = raw
        .settings
        .iter()
        .map(texts)
        .fold(all, usize::saturating_add);
    if all > limits.description_bytes {
        problems.push(format!(
            "describes itself in {all} bytes, and {} are allowed",
            limits.description_bytes
        ));
    }
    if raw.settings.len() > limits.declared_settings {
        problems.push(format!(
            "declares more than {} settings",
            limits.declared_settings
        ));
    }
    if !problems.is_empty() {
        return Err(unusable(&problems, limits));
    }
    let mut text = |what: &str, text: &str| {
        if text.len() > limits.words_bytes {
            problems.push(format!(
                "declares {what} of {} bytes, and {} are allowed",
                text.len(),
                limits.words_bytes
            ));
        }
        words::line(text, limits.words_bytes)
    };
    let (name, version) = (text("a name", &raw.name), text("a version", &raw.version));
    let summary = text("a summary", &raw.summary);
    let mut settings: Vec<Setting> = Vec::new();
    for raw in raw.settings {
        if !is_name(&raw.name, limits) {
            let name = words::shown(&raw.name, limits.setting_name_bytes);
            problems.push(format!(
                "declares a setting with the unusable name `{name}`"
            ));
        } else if settings.iter().any(|known| known.name == raw.name) {
            problems.push(format!("declares the setting `{}` twice", raw.name));
        } else {
            settings.push(setting(raw, limits, &mut problems));
        }
    }
    if !problems.is_empty() {
        return Err(unusable(&problems, limits));
    }
    Ok(Description {
        name,
        version,
        summary,
        settings,
        stages: raw.stages.into(),
    })
}

fn unusable(problems: &[String], limits: &Limits) -> Failure {
    let told = problems.iter().take(limits.words_listed);
    let told: Vec<String> = told.map(|problem| format!("component {problem}")).collect();
    let more = match problems.len().saturating_sub(limits.words_listed) {
        0 => String::new(),
        more => format!("; and {more} more problems with it"),
    };
    Failure::new(Outcome::Settings, told.join("; ") + &more)
}

/// A declared setting whose name can be used.
fn setting(raw: raw::Setting, limits: &Limits, problems: &mut Vec<String>) -> Setting {
    if let Some(host) = hosts(&raw.name) {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        return Setting {
            required: raw.required && may_require(host.name),
            // Whoever declares a secret expects to be given it.
            secret: raw.secret && host.is_secret(),
            // The host knows which of its own decide what is published, and what they do.
            shapes_records: false,
            stages: Staging::default(),
            doc: host.meaning.to_owned(),
            default: given(host.default),
            example: given(host.example),
            name: raw.name,
        };
    }
    let mut problem = |what: &str, found: &str| {
        problems.push(format!(
            "declares the setting `{}` with {what} {found}",
            raw.name
        ));
    };
    if raw.doc.len() > limits.words_bytes {
        problem("a meaning", &too_long(&raw.doc, limits));
    }
    for (what, value) in [("a default", &raw.default), ("an example", &raw.example)] {
        let Some(value) = value else { continue };
        if value.len() > limits.words_bytes {
            problem(what, &too_long(value, limits));
        } else if value.contains(steers) {
            problem(
                what,
                "that has control characters in it, such as a line break",
            );
        }
    }
    // A value of the component's choosing does not replace one of the host's, not even as an example.
    let is_described = catalogue::row(&raw.name).is_some_and(|row| row.described_by_component);
    let own = is_described || !is_hosts(&raw.name);
    Setting {
        doc: words::line(&raw.doc, limits.words_bytes),
        required: raw.required && own,
        secret: raw.secret,
        shapes_records: raw.shapes_records && own,
        stages: raw.stages.into(),
        default: raw.default.filter(|_| own),
        example: raw.example.filter(|_| own),
        name: raw.name,
    }
}

fn too_long(text: &str, limits: &Limits) -> String {
    format!(
        "of {} bytes, and {} are allowed",
        text.len(),
        limits.words_bytes
    )
}

fn is_name(name: &str, limits: &Limits) -> bool {
    name.len() <= limits.setting_name_bytes && env_file::is_name(name)
}

#[cfg(test)]
mod tests;
