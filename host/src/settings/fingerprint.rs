//! The data-shaping settings: which they are, and what a manifest remembers of each. Under upsert and append, a change of one
//! needs a decision.

use std::collections::BTreeMap;

use url::Url;

use crate::component::Description;
use crate::settings::plan::{Plan, WriteMode};
use crate::sink::manifest;

use super::is_secret;
use super::texts::Texts;

/// The host's own settings that decide what the published records are. Of a component's, it says so itself.
const SHAPING: [&str; 7] = [
    "SOURCE_API_URL",
    "PRIMARY_KEY",
    "REPLACE_BY",
    "WRITE_MODE",
    "OUTPUT_FORMAT",
    "OUTPUT_TABLE",
    "OUTPUT_COLUMNS",
];

/// sha256 in hex of each, by name. Of one that stands in a file it is that of the text; of one not given, of nothing.
pub fn hashes(
    description: &Description,
    plan: &Plan,
    texts: &Texts,
    source: &Url,
    mode: WriteMode,
) -> BTreeMap<String, String> {
    let value = |name: &str| match name {
        "SOURCE_API_URL" => {
            let mut url = source.clone();
            url.set_query(None);
            url.set_fragment(None);
            url.to_string()
        }
        "WRITE_MODE" => mode.word().to_owned(),
        "OUTPUT_FORMAT" => plan.format.word().to_owned(),
        // What is not used shapes nothing.
        "OUTPUT_TABLE" if plan.database.is_some() => plan.table.clone(),
        "OUTPUT_TABLE" => String::new(),
        // A csv file is made anew of the records it stands beside, but a segment never is.
        "OUTPUT_COLUMNS" if plan.database.is_none() && mode != WriteMode::Append => String::new(),
        "OUTPUT_COLUMNS" => {
            let lines: Vec<String> = plan.columns.iter().map(ToString::to_string).collect();
            lines.join("\n")
        }
        "PRIMARY_KEY" => plan.keys.join(","),
        // Of the component's, what it gets.
        other => texts
            .given(plan, other)
            .map(|given| given.value)
            .unwrap_or_default(),
    };
    let declared = description.settings.iter();
    // A hash of a secret could be guessed at.
    let declared = declared.filter(|setting| setting.shapes_records && !is_secret(setting));
    SHAPING
        .into_iter()
        .chain(declared.map(|setting| setting.name.as_str()))
        .map(|name| (name.to_owned(), manifest::sha256(value(name).as_bytes())))
        .collect()
}
