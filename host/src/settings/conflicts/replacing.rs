//! What `REPLACE_BY` needs: a set that is merged by key, and a component that says which parents it fetched.

use crate::component::{Announced, Description, Setting};
use crate::settings::catalogue::REPLACE_BY;
use crate::settings::host::HostPlan;
use crate::settings::inputs::{Inputs, Problem};
use crate::settings::plan::WriteMode;

/// Adds what is missing for `REPLACE_BY`, or what makes no sense without it.
pub fn refuse(
    description: &Description,
    inputs: &Inputs,
    host: &HostPlan,
    mode: WriteMode,
    problems: &mut Vec<Problem>,
) {
    let is_given = |name: &str| inputs.of_component(name).is_some();
    let parents = description.announces(|stages| stages.parents, is_given);
    let mut problem = |setting: &str, message: &str| {
        problems.push(inputs.problem(setting, message));
    };
    if host.output.replace_by.is_none() {
        // An unusable one was refused by the plan.
        if inputs.is_given(&REPLACE_BY.row) {
            return;
        }
        match parents {
            Some(Announced::By(Setting { name, .. })) => problem(
                name,
                "says which records were fetched anew, and only REPLACE_BY replaces them: set REPLACE_BY to the same value in the published records, or unset this",
            ),
            Some(Announced::Always) => problem(
                REPLACE_BY.row.name,
                "is required: this component says which records were fetched anew, and only REPLACE_BY replaces them",
            ),
            None => {}
        }
        return;
    }
    if mode != WriteMode::Upsert || host.output.keys.is_empty() {
        problem(
            REPLACE_BY.row.name,
            "replaces some of the records that are merged by key: set WRITE_MODE=upsert and PRIMARY_KEY, or unset it",
        );
    }
    if parents.is_some() {
        return;
    }
    match description.announces(|stages| stages.parents, |_| true) {
        Some(Announced::By(Setting {
            name, doc, example, ..
        })) => {
            let what = doc.trim_end_matches('.');
            let example = example.as_deref().unwrap_or("…");
            problem(
                REPLACE_BY.row.name,
                &format!("needs {name} ({what}), for example `{name}={example}`"),
            );
        }
        _ => problem(
            REPLACE_BY.row.name,
            "needs a component that stages which parents it fetched; this one does not",
        ),
    }
}
