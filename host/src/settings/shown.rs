//! What `check` shows: every setting with its value, as far as it may be seen, and where that came from.

use std::collections::BTreeMap;

use crate::component::Description;
use crate::settings::catalogue::{
    self, Group, JOB_NAME, OUTBOUND_PROXY, OUTPUT_DATABASE_URL, OUTPUT_DIR, OUTPUT_TABLE, Row,
};
use crate::settings::component_settings::is_secret;
use crate::settings::conflicts;
use crate::settings::host::HostPlan;
use crate::settings::inputs::{Inputs, Origin};
use crate::settings::plan::effective;
use crate::settings::traces;

/// How much of a text is shown.
const TEXT_CHARS: usize = 39;

/// One setting as it is shown.
#[derive(Debug)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// The value; a secret is `(secret)`.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
    /// Whether the component declares this setting and gets another value: the one in the row above that has its name.
    pub is_hosts_alone: bool,
}

/// Every setting, the component's first. One that the host uses too, with another value than the component gets, has two rows.
pub fn shown(description: &Description, inputs: &Inputs, host: &HostPlan) -> Vec<Shown> {
    let declared = description.settings.iter();
    let mut rows: Vec<Shown> = declared
        .map(|setting| {
            if is_secret(setting) {
                return of_host(&setting.name, inputs, host);
            }
            let given = inputs.of_component(&setting.name);
            let value = effective(setting, inputs, host).unwrap_or_default();
            Shown {
                name: setting.name.clone(),
                value: given.map_or(value.clone(), |_| shortened(&value, &setting.name)),
                origin: given.map_or(Origin::Default, |given| given.origin.clone()),
                is_hosts_alone: false,
            }
        })
        .collect();
    let of_component: BTreeMap<String, String> = rows
        .iter()
        .map(|row| (row.name.clone(), row.value.clone()))
        .collect();
    let has_traces = traces::are_asked_for(inputs.layers());
    let counts = |row: &&&Row| row.group != Group::Traces || has_traces;
    for row in catalogue::ALL.iter().filter(counts) {
        let known = of_component.get(row.name);
        if known.is_none() && row.described_by_component {
            continue;
        }
        let hosts = of_host(row.name, inputs, host);
        if known != Some(&hosts.value) {
            rows.push(Shown {
                is_hosts_alone: known.is_some(),
                ..hosts
            });
        }
    }
    rows
}

/// A setting with the value that the host uses.
fn of_host(name: &str, inputs: &Inputs, host: &HostPlan) -> Shown {
    let row = catalogue::row(name);
    let given = inputs.named(name);
    let lowered = || host.lowered.get(name).cloned();
    Shown {
        name: name.to_owned(),
        origin: given.map_or(Origin::Default, |given| given.origin.clone()),
        value: match (given, row) {
            (None, None) => String::new(),
            (None, Some(row)) => lowered().unwrap_or_else(|| default_of(row, inputs, host)),
            (Some(_), Some(row)) if row.is_secret() => hidden(name, host),
            (Some(given), _) => shortened(&given.value, name),
        },
        is_hosts_alone: false,
    }
}

/// A secret; of one that only may hold a password, the rest.
fn hidden(name: &str, host: &HostPlan) -> String {
    let shown = if name == OUTPUT_DATABASE_URL.row.name {
        host.database.as_ref().map(ToString::to_string)
    } else if name == OUTBOUND_PROXY.row.name {
        host.proxy.as_ref().map(|proxy| format!("http://{proxy}"))
    } else {
        None
    };
    shown.unwrap_or_else(|| "(secret)".to_owned())
}

/// A value on one line; of what may be a long text, the beginning.
fn shortened(value: &str, name: &str) -> String {
    if catalogue::row(name).is_some_and(|row| !row.in_file) {
        return value.to_owned();
    }
    let words: Vec<&str> = value.split_whitespace().collect();
    let line = words.join(" ");
    let mut shown: String = line.chars().take(TEXT_CHARS).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    shown
}

/// What applies where nothing is given: some of it follows from what is.
pub fn default_of(row: &Row, inputs: &Inputs, host: &HostPlan) -> String {
    let is = |other: &Row| row.name == other.name;
    if is(&OUTPUT_DIR.row) {
        let dir = host.output_dir.as_ref();
        dir.map_or_else(String::new, |dir| dir.display().to_string())
    } else if is(&JOB_NAME.row) {
        host.job.clone()
    } else if is(&OUTPUT_TABLE.row) && host.database.is_some() {
        host.output.table.clone()
    } else if has_no_effect(row, inputs, host) {
        String::new()
    } else {
        row.default.to_owned()
    }
}

/// Whether its default has no effect, as another setting that is given excludes it.
pub fn has_no_effect(row: &Row, inputs: &Inputs, host: &HostPlan) -> bool {
    let is_folder = row.name == OUTPUT_DIR.row.name;
    (is_folder && host.database.is_some()) || conflicts::is_excluded(inputs, row)
}
