//! What `WRITE_MODE=append` excludes: whatever would change or take back what was appended.

use crate::component::{Announced, Description, Setting};
use crate::settings::data_file::OutputFormat;
use crate::settings::inputs::Problem;
use crate::settings::plan::{Plan, WriteMode};

/// Adds what cannot be with it. `REPLACE_BY` is refused with every mode but upsert, and `--full-refresh` with the flags.
pub fn refuse(
    description: &Description,
    plan: &Plan,
    is_given: impl Fn(&str) -> bool,
    mode: WriteMode,
    problems: &mut Vec<Problem>,
) {
    if mode != WriteMode::Append {
        return;
    }
    let mut problem = |setting: &str, message: &str| {
        problems.push(Problem {
            setting: setting.to_owned(),
            message: message.to_owned(),
            origin: plan.values.get(setting).map(|given| given.origin),
        });
    };
    if plan.format == OutputFormat::Json && plan.database.is_none() {
        problem(
            "OUTPUT_FORMAT",
            "is `json`, one array that nothing can be appended to: set OUTPUT_FORMAT=ndjson, or another WRITE_MODE",
        );
    }
    match description.announces(|stages| stages.deletions, is_given) {
        Some(Announced::By(Setting { name, .. })) => problem(
            name,
            "says which records to take away, and WRITE_MODE=append only adds: unset it to have tombstones appended as the records they are, or set WRITE_MODE=upsert and PRIMARY_KEY",
        ),
        Some(Announced::Always) => problem(
            "WRITE_MODE",
            "`append` only adds, and this component stages deletions: set WRITE_MODE=upsert and PRIMARY_KEY",
        ),
        None => {}
    }
}
