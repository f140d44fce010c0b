//! The keys of a job file that are not the host's, held to what the component says it takes.

use std::collections::BTreeSet;

use crate::component::Description;
use crate::settings::catalogue::{self, Group};
use crate::settings::component_settings;
use crate::settings::inputs::Problem;
use crate::settings::suggest::{known_names, nearest};

use super::resources::RESOURCES;
use super::value::{Kind, Takes};
use super::{Key, key, references};

/// Adds what is unknown, in the wrong table or of the wrong type.
pub fn refuse(description: &Description, keys: &[Key], problems: &mut Vec<Problem>) {
    let known = known_names(description);
    for given in keys {
        if let Err(message) = check(description, &known, given) {
            problems.push(Problem::of(&given.key, message, given.origin.clone()));
        }
    }
}

fn check(description: &Description, known: &BTreeSet<String>, given: &Key) -> Result<(), String> {
    let setting = given.setting();
    if given.key != key(&given.key) || !known.contains(&setting) {
        return Err(unknown(known, &setting));
    }
    let table = Group::Source.table();
    if given.table != Some(table) && given.table != Some(RESOURCES) {
        return Err(format!(
            "belongs to the table `[{table}]` of a job file: move it there"
        ));
    }
    let mut declared = description.settings.iter();
    match declared.find(|declared| declared.name == setting) {
        Some(declared) if component_settings::is_secret(declared) => Err(
            "is declared as a secret by this component, and components get no secrets; use another component".to_owned(),
        ),
        Some(declared) => {
            let example = declared.example.as_deref().unwrap_or_default();
            Takes::of_declared(declared).refuse(&setting, example, given.kind)?;
            let message = "has an entry that is empty or has a line break in it, or a NUL character";
            given.is_usable.then_some(()).ok_or_else(|| message.to_owned())
        }
        // It names the file with the value.
        None => match given.kind {
            Kind::Text => Ok(()),
            _ => Err("takes the path of a file, in quotes".to_owned()),
        },
    }
}

fn unknown(known: &BTreeSet<String>, setting: &str) -> String {
    let place = |name: &str| {
        let row = catalogue::row(name).or_else(|| catalogue::secret(name));
        row.map_or(Group::Source, |row| row.group).table()
    };
    let secrets = catalogue::ALL.iter().filter(|row| row.is_secret());
    let variables = secrets.map(|row| references(row.name).1.to_ascii_uppercase());
    let all: BTreeSet<String> = known.iter().cloned().chain(variables).collect();
    match nearest(setting, &all) {
        Some(meant) => {
            let of_variable = meant.strip_suffix("_ENV").unwrap_or(&meant);
            let table = place(of_variable);
            format!("is not a key; did you mean `{}` in `[{table}]`?", key(&meant))
        }
        None if setting.strip_suffix("_ENV").is_some_and(|name| known.contains(name)) => {
            "is not a key: only secrets are taken from an environment variable".to_owned()
        }
        None => "is not a key; `tidegate describe` lists the settings, a key is one of them in lower case".to_owned(),
    }
}
