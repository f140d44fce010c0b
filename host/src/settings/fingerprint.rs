//! The settings that decide what the published records are: the rows of `catalogue` marked `shapes_records`, and
//! those a component declares so. A manifest keeps a hash of each; `run::changed_settings` compares them.

use std::collections::BTreeMap;

use url::Url;

use crate::component::{Description, Setting};
use crate::settings::catalogue::{
    self, OUTPUT_COLUMNS, OUTPUT_FORMAT, OUTPUT_TABLE, PRIMARY_KEY, Row, SOURCE_API_URL, WRITE_MODE,
};
use crate::settings::component_settings::is_secret;
use crate::settings::host::HostPlan;
use crate::settings::inputs::Inputs;
use crate::settings::plan::WriteMode;

/// sha256 in hex of each, by name: under upsert and append a change of one needs a decision. Of one that is in a file it is
/// that of the text; of one not given, of nothing.
pub fn hashes(
    description: &Description,
    inputs: &Inputs,
    host: &HostPlan,
    source: &Url,
    mode: WriteMode,
) -> BTreeMap<String, String> {
    let rows = catalogue::ALL.iter().filter(|row| row.shapes_records);
    let host = rows.map(|row| (row.name, value(row, inputs, host, source, mode)));
    let is_own = |setting: &&Setting| catalogue::row(&setting.name).is_none();
    // A hash of a secret could be guessed at.
    let declared = description.settings.iter().filter(is_own);
    let declared = declared.filter(|setting| setting.shapes_records && !is_secret(setting));
    let component = declared.map(|setting| {
        let given = inputs.of_component(&setting.name);
        let value = given.map_or_else(String::new, |given| given.value.to_string());
        (setting.name.as_str(), value)
    });
    host.chain(component)
        .map(|(name, value)| (name.to_owned(), crate::hash::sha256(value.as_bytes())))
        .collect()
}

/// What counts of one of the host's settings: not how it is written, and nothing that is not used.
fn value(
    row: &'static Row,
    inputs: &Inputs,
    host: &HostPlan,
    source: &Url,
    mode: WriteMode,
) -> String {
    let is = |other: &Row| row.name == other.name;
    if is(&SOURCE_API_URL.row) {
        let mut url = source.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    } else if is(&WRITE_MODE.row) {
        mode.word().to_owned()
    } else if is(&OUTPUT_FORMAT.row) {
        host.output.format.word().to_owned()
    } else if is(&PRIMARY_KEY.row) {
        host.output.keys.join(",")
    } else if is(&OUTPUT_TABLE.row) {
        let table = host.database.as_ref().map(|_| host.output.table.clone());
        table.unwrap_or_default()
    } else if is(&OUTPUT_COLUMNS.row) {
        // A csv file is made anew of the records beside it, but a segment never is.
        if host.database.is_none() && mode != WriteMode::Append {
            return String::new();
        }
        let lines: Vec<String> = host
            .output
            .columns
            .iter()
            .map(ToString::to_string)
            .collect();
        lines.join("\n")
    } else {
        inputs.text(row).to_owned()
    }
}
