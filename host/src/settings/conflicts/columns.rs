//! What `OUTPUT_COLUMNS` needs: something that has columns.

use crate::settings::data_file::OutputFormat;
use crate::settings::inputs::Problem;
use crate::settings::plan::Plan;

/// Refuses columns that would not be looked at: more would be published than was chosen.
pub fn refuse(plan: &Plan, problems: &mut Vec<Problem>) {
    let has_columns = plan.format == OutputFormat::Csv || plan.database.is_some();
    if plan.columns.is_empty() || has_columns {
        return;
    }
    let given = ["OUTPUT_COLUMNS", "OUTPUT_COLUMNS_FILE"]
        .into_iter()
        .find_map(|name| plan.values.get(name));
    problems.push(Problem {
        setting: "OUTPUT_COLUMNS".to_owned(),
        message: format!(
            "names the columns of a table, and OUTPUT_FORMAT={} has none: set OUTPUT_FORMAT=csv or OUTPUT_DATABASE_URL, or unset it and choose in TRANSFORM",
            plan.format.word()
        ),
        origin: given.map(|given| given.origin),
    });
}
