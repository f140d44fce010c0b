//! What `REPLACE_BY` needs: a set that is merged by key, and a component that says which parents it fetched.

use crate::component::Description;
use crate::settings::inputs::Problem;
use crate::settings::plan::{Plan, WriteMode};

use crate::settings::ambient;

/// Adds what is missing for `REPLACE_BY`, or what makes no sense without it.
pub fn refuse(
    description: &Description,
    plan: &Plan,
    mode: WriteMode,
    problems: &mut Vec<Problem>,
) {
    let declared = description
        .settings
        .iter()
        .any(|setting| setting.name == "SOURCE_PARENT");
    let parent = ambient::given(plan, "SOURCE_PARENT").filter(|_| declared);
    let mut problem = |setting: &str, message: &str| {
        problems.push(Problem {
            setting: setting.to_owned(),
            message: message.to_owned(),
            origin: plan.values.get(setting).map(|given| given.origin),
        });
    };
    if plan.replace_by.is_none() {
        // An unusable one was refused by the plan.
        if parent.is_some() && plan.values.get("REPLACE_BY").is_none() {
            problem(
                "SOURCE_PARENT",
                "says which records were fetched anew, and only REPLACE_BY replaces them: set REPLACE_BY to the same value in the published records, or unset this",
            );
        }
        return;
    }
    if mode != WriteMode::Upsert || plan.keys.is_empty() {
        problem(
            "REPLACE_BY",
            "replaces some of the records that are merged by key: set WRITE_MODE=upsert and PRIMARY_KEY, or unset it",
        );
    }
    if !declared {
        problem(
            "REPLACE_BY",
            "needs a component that declares SOURCE_PARENT and stages which parents it fetched; this one does not",
        );
    } else if parent.is_none() {
        problem(
            "REPLACE_BY",
            "needs SOURCE_PARENT: the JSON Pointer in the source's record to the value that REPLACE_BY has in the published ones, say `SOURCE_PARENT=/id`",
        );
    }
}
