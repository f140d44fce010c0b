//! The names of settings: which there are, and what somebody meant who wrote another.

use std::collections::BTreeSet;

use crate::component::Description;
use crate::settings::catalogue::{HOST, LATER};
use crate::settings::inputs::Problem;
use crate::settings::plan::Plan;

use super::{HOST_TEXTS, SECRETS, is_secret, texts};

/// Names in the environment that look like a setting with a typing error, with the setting meant.
pub fn near_misses(description: &Description, plan: &Plan) -> Vec<(String, String)> {
    let known = known_names(description);
    plan.values
        .ambient()
        .filter(|name| !known.contains(*name) && *name != LATER)
        .filter_map(|name| Some((name.to_owned(), nearest(name, &known)?)))
        .collect()
}

pub(super) fn known_names(description: &Description) -> BTreeSet<String> {
    let declared = description
        .settings
        .iter()
        .map(|setting| (setting.name.as_str(), is_secret(setting)));
    let host = HOST
        .iter()
        .map(|setting| (setting.name, SECRETS.contains(&setting.name)));
    let text_files = description
        .settings
        .iter()
        .filter_map(|setting| texts::file_setting(&setting.name));
    let names = declared.chain(host).flat_map(|(name, is_secret)| {
        let file = is_secret.then(|| format!("{name}_FILE"));
        std::iter::once(name.to_owned()).chain(file)
    });
    let host_texts = HOST_TEXTS.iter().map(|name| format!("{name}_FILE"));
    names.chain(text_files).chain(host_texts).collect()
}

fn nearest(name: &str, known: &BTreeSet<String>) -> Option<String> {
    let distance = |known: &String| strsim::damerau_levenshtein(name, known);
    known
        .iter()
        .filter(|known| distance(known) <= 2)
        .min_by_key(|known| distance(known))
        .cloned()
}

pub(super) fn refuse_unknown(description: &Description, plan: &Plan, problems: &mut Vec<Problem>) {
    let known = known_names(description);
    for (name, origin) in plan
        .values
        .deliberate()
        .filter(|(name, _)| !known.contains(*name))
    {
        let message = if name == LATER {
            "is not in this version yet".to_owned()
        } else if let Some(meant) = nearest(name, &known) {
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
}
