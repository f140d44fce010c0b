//! What `OUTPUT_COLUMNS` needs: something that has columns.

use crate::settings::catalogue::{OUTPUT_COLUMNS, OUTPUT_DATABASE_URL};
use crate::settings::data_file::OutputFormat;
use crate::settings::host::HostPlan;
use crate::settings::inputs::{Inputs, Problem};

/// Refuses columns that would not be looked at: more would be published than was chosen.
pub fn refuse(inputs: &Inputs, host: &HostPlan, problems: &mut Vec<Problem>) {
    let has_columns =
        host.output.format == OutputFormat::Csv || inputs.is_given(&OUTPUT_DATABASE_URL.row);
    if host.output.columns.is_empty() || has_columns {
        return;
    }
    problems.push(inputs.problem(OUTPUT_COLUMNS.row.name, format!(
            "names the columns of a table, and OUTPUT_FORMAT={} has none: set OUTPUT_FORMAT=csv or OUTPUT_DATABASE_URL, or unset it and choose in TRANSFORM",
            host.output.format.word()
        )));
}
