//! What `WRITE_MODE=append` excludes: whatever would change or take back what was appended.

use crate::component::{Announced, Description, Setting};
use crate::settings::catalogue::{OUTPUT_DATABASE_URL, OUTPUT_FORMAT, WRITE_MODE};
use crate::settings::data_file::OutputFormat;
use crate::settings::host::HostPlan;
use crate::settings::inputs::{Inputs, Problem};
use crate::settings::plan::WriteMode;

/// Adds what cannot be with it. `REPLACE_BY` is refused with every mode but upsert, and `--full-refresh` with the flags.
pub fn refuse(
    description: &Description,
    inputs: &Inputs,
    host: &HostPlan,
    mode: WriteMode,
    problems: &mut Vec<Problem>,
) {
    if mode != WriteMode::Append {
        return;
    }
    let mut problem = |setting: &str, message: &str| {
        problems.push(inputs.problem(setting, message));
    };
    if host.output.format == OutputFormat::Json && !inputs.is_given(&OUTPUT_DATABASE_URL.row) {
        problem(
            OUTPUT_FORMAT.row.name,
            "is `json`, one array that nothing can be appended to: set OUTPUT_FORMAT=ndjson, or another WRITE_MODE",
        );
    }
    let is_given = |name: &str| inputs.of_component(name).is_some();
    match description.announces(|stages| stages.deletions, is_given) {
        Some(Announced::By(Setting { name, .. })) => problem(
            name,
            "says which records to take away, and WRITE_MODE=append only adds: unset it to have tombstones appended as the records they are, or set WRITE_MODE=upsert and PRIMARY_KEY",
        ),
        Some(Announced::Always) => problem(
            WRITE_MODE.row.name,
            "`append` only adds, and this component stages deletions: set WRITE_MODE=upsert and PRIMARY_KEY",
        ),
        None => {}
    }
}
