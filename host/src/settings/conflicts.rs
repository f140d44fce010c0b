//! Settings that exclude or need one another: the rules of the catalogue, and below what no row can say.

use crate::settings::catalogue::{self, Row, Rule, Secrecy};
use crate::settings::inputs::{Inputs, Problem};

pub mod appending;
pub mod columns;
pub mod database;
pub mod replacing;

/// Adds what breaks a rule of the catalogue.
pub fn refuse(inputs: &Inputs, problems: &mut Vec<Problem>) {
    for row in catalogue::ALL {
        for rule in row.rules {
            if let Some(message) = broken(inputs, row, rule) {
                problems.push(inputs.problem(row.name, message));
            }
        }
    }
}

/// Whether a setting has no effect, as one that it excludes is given.
pub fn is_excluded(inputs: &Inputs, row: &Row) -> bool {
    row.rules
        .iter()
        .any(|rule| matches!(rule, Rule::Excludes { other, .. } if inputs.is_given(other)))
}

/// What is wrong with `row` by this rule; it completes a sentence that begins with the setting's name.
fn broken(inputs: &Inputs, row: &Row, rule: &Rule) -> Option<String> {
    let is_given = inputs.is_given(row);
    let (is_broken, message) = match *rule {
        Rule::OnlyWith(other, value) => (
            is_given && inputs.text(other) != value,
            format!(
                "has no effect without {}={value}: set that, or remove this",
                other.name
            ),
        ),
        Rule::RequiredWith(other, value) => (
            !is_given && inputs.text(other) == value,
            format!(
                "is required with {}={value}; for example `{}`",
                other.name,
                example(row)
            ),
        ),
        Rule::RequiredIfGiven(other, what) => (
            !is_given && inputs.is_given(other),
            format!("is required with {}: {what}", other.name),
        ),
        Rule::Needs {
            what,
            other,
            example,
        } => (
            is_given && !inputs.is_given(other),
            format!(
                "{what}, and {0} is not set: set it, for example `{0}={example}`, or unset this",
                other.name
            ),
        ),
        Rule::Excludes { what, other } => (
            is_given && inputs.is_given(other),
            format!("{what}, and {} is set: unset one of the two", other.name),
        ),
    };
    is_broken.then_some(message)
}

/// A line that gives the setting; of a secret, the line that names its file.
pub fn example(row: &Row) -> String {
    if row.secrecy != Secrecy::Secret {
        return format!("{}={}", row.name, row.example);
    }
    let file = row.name.trim_start_matches("SOURCE_").to_ascii_lowercase();
    format!("{}_FILE=/etc/tidegate/{}", row.name, file.replace('_', "-"))
}
