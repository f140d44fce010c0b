//! What `WRITE_MODE=append` excludes: whatever would change or take back what was appended.

use crate::component::Description;
use crate::settings::data_file::OutputFormat;
use crate::settings::inputs::Problem;
use crate::settings::plan::{Plan, WriteMode};

use crate::settings::ambient;

/// Adds what cannot be with it. `REPLACE_BY` is refused with every mode but upsert, and `--full-refresh` with the flags.
pub fn refuse(
    description: &Description,
    plan: &Plan,
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
    let declares = |name: &str| description.settings.iter().any(|known| known.name == name);
    if plan.format == OutputFormat::Json && plan.database.is_none() {
        problem(
            "OUTPUT_FORMAT",
            "is `json`, one array that nothing can be appended to: set OUTPUT_FORMAT=ndjson, or another WRITE_MODE",
        );
    }
    if declares("SOURCE_DELETED") && ambient::given(plan, "SOURCE_DELETED").is_some() {
        problem(
            "SOURCE_DELETED",
            "says which records to take away, and WRITE_MODE=append only adds: unset it to have tombstones appended as the records they are, or set WRITE_MODE=upsert and PRIMARY_KEY",
        );
    }
}
