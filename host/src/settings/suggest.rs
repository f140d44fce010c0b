//! The names of settings: which there are, and what somebody meant who wrote another.

use std::collections::BTreeSet;

use crate::component::Description;
use crate::settings::catalogue;
use crate::settings::component_settings::{file_name, is_secret};
use crate::settings::inputs::{Inputs, Problem};
use crate::settings::job_file::keys;

/// Names in the environment that look like a setting with a typing error, with the setting meant.
pub fn near_misses(description: &Description, inputs: &Inputs) -> Vec<(String, String)> {
    let known = known_names(description);
    inputs
        .layers()
        .ambient()
        .filter(|name| !known.contains(*name))
        .filter_map(|name| Some((name.to_owned(), nearest(name, &known)?)))
        .collect()
}

pub(super) fn known_names(description: &Description) -> BTreeSet<String> {
    let declared = description.settings.iter().flat_map(|setting| {
        let secret_file = is_secret(setting).then(|| format!("{}_FILE", setting.name));
        let text_file = || file_name(description, &setting.name);
        let command = catalogue::row(&setting.name).and_then(catalogue::Row::command_name);
        std::iter::once(setting.name.clone())
            .chain(secret_file.or_else(text_file))
            .chain(command)
    });
    let host = catalogue::own().flat_map(|row| {
        let others = row.file_name().into_iter().chain(row.command_name());
        std::iter::once(row.name.to_owned()).chain(others)
    });
    declared.chain(host).collect()
}

/// The known name that differs least, in at most [`SLIPS`] places.
pub(super) fn nearest(name: &str, known: &BTreeSet<String>) -> Option<String> {
    // Names of other lengths differ in as many places.
    let as_long = |known: &&String| known.len().abs_diff(name.len()) <= SLIPS;
    let distance = |known: &String| strsim::damerau_levenshtein(name, known);
    let near = known.iter().filter(as_long);
    let near = near.map(|known| (distance(known), known));
    let near = near.filter(|(slips, _)| *slips <= SLIPS);
    near.min().map(|(_, known)| known.clone())
}

/// How many letters of a name may be wrong, too many, missing or in the wrong order for it to be meant.
const SLIPS: usize = 2;

pub(super) fn refuse_unknown(
    description: &Description,
    inputs: &Inputs,
    problems: &mut Vec<Problem>,
) {
    let known = known_names(description);
    for (name, origin) in inputs
        .layers()
        .deliberate()
        .filter(|(name, _)| !known.contains(*name))
    {
        let message = if let Some(meant) = nearest(name, &known) {
            format!("is not a setting; did you mean `{meant}`?")
        } else {
            "is not a setting; `tidegate describe` lists them".to_owned()
        };
        problems.push(Problem {
            setting: name.to_owned(),
            message,
            origin: Some(origin),
        });
    }
    keys::refuse(description, inputs.layers().job_keys(), problems);
}
