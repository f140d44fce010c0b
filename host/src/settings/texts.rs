//! Settings that are texts: a program, a body, a schema. They may stand in a file, and the component is given the text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::component::Description;
use crate::settings::given_file::Holds;
use crate::settings::inputs::{Given, Origin, Problem};
use crate::settings::plan::Plan;

use super::ambient;

/// These may also be given as `NAME_FILE`.
const WITH_FILE: [&str; 2] = ["TRANSFORM", "SOURCE_BODY"];
/// This one names a file, unless it is the schema itself.
const SCHEMA: &str = "SOURCE_SCHEMA";
/// What `check` shows of a text.
const SHOWN_CHARS: usize = 39;

/// The declared texts, read once: what is handed on is what is remembered of it.
#[derive(Debug, Default)]
pub struct Texts {
    /// By name; none where it was not given or cannot be used.
    read: BTreeMap<String, Option<Given>>,
}

/// `NAME_FILE` of a text that may stand in a file.
pub fn file_setting(name: &str) -> Option<String> {
    WITH_FILE.contains(&name).then(|| format!("{name}_FILE"))
}

impl Texts {
    /// Reads those that the component declares, relative to the current folder. What cannot be read is added to `problems`.
    pub fn read(description: &Description, plan: &Plan, problems: &mut Vec<Problem>) -> Self {
        let mut read = BTreeMap::new();
        for setting in &description.settings {
            let name = setting.name.as_str();
            let given = if name == SCHEMA {
                schema(plan, problems)
            } else if let Some(file) = file_setting(name) {
                value_or_file(plan, name, &file, problems)
            } else {
                continue;
            };
            read.insert(name.to_owned(), given);
        }
        Self { read }
    }

    /// What stands for `name`, a text or not, for whoever reads it: the host or the component. A text that cannot be used
    /// counts as not given.
    pub fn given(&self, plan: &Plan, name: &str) -> Option<Given> {
        if ambient::is_of_the_host(name) {
            return plan.values.get(name);
        }
        self.of_component(plan, name)
    }

    /// What the component gets for `name`, likewise.
    pub fn of_component(&self, plan: &Plan, name: &str) -> Option<Given> {
        match self.read.get(name) {
            Some(text) => text.clone(),
            None => ambient::given(plan, name),
        }
    }

    /// The same, each on one short line.
    pub fn shortened(mut self) -> Self {
        for given in self.read.values_mut().flatten() {
            let words: Vec<&str> = given.value.split_whitespace().collect();
            let line = words.join(" ");
            given.value = line.chars().take(SHOWN_CHARS).collect();
            if given.value.len() < line.len() {
                given.value.push('…');
            }
        }
        self
    }
}

fn value_or_file(
    plan: &Plan,
    name: &str,
    file_name: &str,
    problems: &mut Vec<Problem>,
) -> Option<Given> {
    match (ambient::given(plan, name), ambient::given(plan, file_name)) {
        (Some(given), Some(file)) => {
            problems.push(Problem {
                setting: name.to_owned(),
                message: format!(
                    "is given ({}), and so is {file_name}: unset one of the two",
                    given.origin
                ),
                origin: Some(file.origin),
            });
            None
        }
        (Some(given), None) => Some(given),
        (None, Some(file)) => from_file(plan, name, file_name, file, problems),
        (None, None) => None,
    }
}

fn schema(plan: &Plan, problems: &mut Vec<Problem>) -> Option<Given> {
    let given = ambient::given(plan, SCHEMA)?;
    if given.value.starts_with('{') {
        return Some(given);
    }
    from_file(plan, SCHEMA, SCHEMA, given, problems)
}

/// The text of the file that `named` names, without one newline at its end, so that it is the same as given by value.
fn from_file(
    plan: &Plan,
    name: &str,
    file_name: &str,
    named: Given,
    problems: &mut Vec<Problem>,
) -> Option<Given> {
    let path = PathBuf::from(&named.value);
    match text_of(&path, plan) {
        Ok(value) => {
            let origin = Origin::File(path);
            Some(Given { value, origin })
        }
        Err(what) => {
            // Filed under the name that the component knows: it need not say that it misses it.
            problems.push(Problem {
                setting: name.to_owned(),
                message: format!("names the file `{}` ({file_name}): {what}", path.display()),
                origin: Some(named.origin),
            });
            None
        }
    }
}

fn text_of(path: &Path, plan: &Plan) -> Result<String, String> {
    let read = plan.values.file(path, Holds::Trusted);
    let mut text = read
        .map_err(|error| format!("cannot read it: {error}"))?
        .to_string();
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.contains('\0') {
        return Err("it has a NUL character in it, so it is no text".to_owned());
    }
    Ok(text)
}
