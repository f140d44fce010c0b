//! What `check` shows: every setting with its value, as far as it may be seen, and where that came from.

use std::collections::BTreeSet;

use crate::component::Description;
use crate::settings::catalogue::{self, JOB_NAME, OUTPUT_DIR, OUTPUT_TABLE, Row, Secrecy};
use crate::settings::component_settings::is_secret;
use crate::settings::conflicts;
use crate::settings::host::HostPlan;
use crate::settings::inputs::{Inputs, Origin};
use crate::settings::plan::effective;

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
}

/// Every setting, the component's first.
pub fn shown(description: &Description, inputs: &Inputs, host: &HostPlan) -> Vec<Shown> {
    let declared = description.settings.iter().map(|setting| {
        // What the component gets where nothing is given.
        let default = effective(setting, inputs, host).unwrap_or_default();
        (setting.name.as_str(), default, is_secret(setting))
    });
    let own = catalogue::own().map(|row| {
        let default = default_of(row, inputs, host);
        (row.name, default, row.is_secret())
    });
    let mut seen = BTreeSet::new();
    declared
        .chain(own)
        .filter(|(name, ..)| seen.insert(*name))
        .map(|(name, default, is_secret)| {
            let given = inputs.named(name);
            Shown {
                name: name.to_owned(),
                origin: given.map_or(Origin::Default, |given| given.origin.clone()),
                value: match given {
                    None => default,
                    Some(_) if is_secret => hidden(name, host),
                    Some(given) => shortened(&given.value, name),
                },
            }
        })
        .collect()
}

/// A secret; of one that only may hold a password, the rest.
fn hidden(name: &str, host: &HostPlan) -> String {
    let is_url = |row: &&Row| row.secrecy == Secrecy::HoldsPassword;
    let url = catalogue::row(name).filter(is_url);
    match url.and(host.database.as_ref()) {
        Some(url) => url.to_string(),
        None => "(secret)".to_owned(),
    }
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
    } else if conflicts::is_excluded(inputs, row) {
        String::new()
    } else {
        row.default.to_owned()
    }
}
