//! A job file: the settings of one job as TOML, with its component. One more layer of settings, below the env files.
//!
//! Each key is a setting's name in lower case, in the table of its group; a value is the setting's text, or what TOML has for
//! it. It holds no secret: a secret is named by its file (`…_file`) or by an environment variable (`…_env`). What the host
//! knows is checked when the file is read; the keys that only the component can know, once it has said what it is.
//!
//! A file may have several resources (`[resources.NAME]`). Then it is read for one of them, whose own keys count before those
//! of the other tables.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, TableLike};
use zeroize::Zeroizing;

use super::catalogue::{self, ALERT_COMMAND, Group, Row, Secrecy};
use super::env_file::is_name;
use super::inputs::{Given, Origin, Problem};
use super::suggest::nearest;
use crate::given_file::{Text, command};

pub mod keys;
pub mod resources;
pub mod value;

use resources::RESOURCES;
use value::{Kind, Takes};

/// Who is named where a problem is one of the whole file.
pub const JOB_FILE: &str = "the job file";
/// The table that names the component.
const COMPONENT: &str = "component";
const PATH: &str = "path";
const SHA256: &str = "sha256";
/// The end of a key that names an environment variable.
const ENV: &str = "_env";

/// What a job file says.
#[derive(Default)]
pub struct JobFile {
    /// The component, where it is not the built-in one, or pinned.
    pub component: JobComponent,
    /// The values, by the name of the setting.
    pub values: BTreeMap<String, Given>,
    /// Secrets that are in an environment variable, by the name of the setting.
    pub variables: BTreeMap<String, Variable>,
    /// The keys that the component may know.
    pub keys: Vec<Key>,
    /// The names of its resources, also of those that it is not read for.
    pub resources: Vec<String>,
    /// Where the one begins that it is read for, and which settings are its own.
    pub resource: Option<(Origin, BTreeSet<String>)>,
}

/// `[component]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobComponent {
    pub path: Option<PathBuf>,
    /// In hex, as written.
    pub sha256: Option<String>,
}

/// An environment variable that holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    /// The line that names it.
    pub origin: Origin,
}

/// A key that is not the host's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// As it is written.
    pub key: String,
    /// The table that it is in; none at the top of the file.
    pub table: Option<&'static str>,
    /// What its value is.
    pub kind: Kind,
    /// Whether a setting can have it as its text.
    pub is_usable: bool,
    /// Where it is.
    pub origin: Origin,
}

impl Key {
    /// The setting.
    pub fn setting(&self) -> String {
        self.key.to_ascii_uppercase()
    }
}

/// The key of a setting.
pub fn key(setting: &str) -> String {
    setting.to_ascii_lowercase()
}

/// Reads the text of a job file, for this one of its resources. What is wrong with it is added to `problems`.
pub fn read(
    path: &Path,
    text: &str,
    resource: Option<&str>,
    problems: &mut Vec<Problem>,
) -> JobFile {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        path,
        text,
        resource,
        file: JobFile::default(),
        problems,
    };
    if path.extension().is_some_and(|ending| ending == "env") {
        let shown = path.display();
        let message = format!(
            "`{shown}` is an env file by its name: give it with `--env-file {shown}`, or make a job file of it with `tidegate convert`"
        );
        reader.problems.push(Problem::new(JOB_FILE, message));
        return reader.file;
    }
    match Document::parse(text) {
        Ok(document) => reader.tables(document.as_table()),
        Err(error) => reader.refuse_syntax(error.message(), error.span()),
    }
    reader.file
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    /// The one that it is read for.
    resource: Option<&'a str>,
    file: JobFile,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn tables(&mut self, top: &dyn TableLike) {
        for (name, item) in top.iter() {
            let origin = self.origin(key_span(top, name));
            let group = Group::ALL.into_iter().find(|group| group.table() == name);
            let table = group.map(Group::table);
            match (item.as_table_like(), table) {
                // After all others: its keys count before theirs.
                (_, None) if name == RESOURCES => {}
                (Some(entries), Some(table)) => {
                    for (key, item) in entries.iter() {
                        let origin = self.origin(key_span(entries, key));
                        self.entry(Some(table), key, item, origin);
                    }
                }
                (Some(entries), None) if name == COMPONENT => self.component(entries),
                (Some(_), None) => {
                    let message = unknown_table(name);
                    self.refuse(JOB_FILE, message, origin);
                }
                (None, _) if table.is_some() || name == COMPONENT => {
                    let message =
                        format!("has `{name}` as no table: write `[{name}]` on a line of its own");
                    self.refuse(JOB_FILE, message, origin);
                }
                (None, _) => self.entry(None, name, item, origin),
            }
        }
        if let Some(item) = top.get(RESOURCES) {
            self.resources(item, key_span(top, RESOURCES));
        }
    }

    /// `[component]`: a path, a digest.
    fn component(&mut self, entries: &dyn TableLike) {
        for (key, item) in entries.iter() {
            let origin = self.origin(key_span(entries, key));
            let named = format!("{COMPONENT}.{key}");
            let text = item.as_str().filter(|text| !text.is_empty());
            let message = match (key, text) {
                (PATH, Some(text)) => {
                    self.file.component.path = Some(PathBuf::from(text));
                    continue;
                }
                (SHA256, Some(text)) if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
                    self.file.component.sha256 = Some(text.to_owned());
                    continue;
                }
                (PATH, None) => {
                    "takes the path of a component file, in quotes; without it, the built-in component runs"
                        .to_owned()
                }
                (SHA256, _) => {
                    "takes the 64 hex digits that `sha256sum` prints, in quotes".to_owned()
                }
                _ => {
                    let known = [PATH, SHA256].map(str::to_owned).into();
                    let meant = nearest(key, &known).unwrap_or(PATH.to_owned());
                    format!("is not a key of `[component]`, which has `path` and `sha256`; did you mean `{meant}`?")
                }
            };
            self.refuse(&named, message, origin);
        }
    }

    /// One key with its value.
    fn entry(&mut self, table: Option<&'static str>, key: &str, item: &Item, origin: Origin) {
        let name = key.to_ascii_uppercase();
        let is_lower = key == key.to_ascii_lowercase() && is_name(&name);
        let known = is_lower.then(|| Known::of(&name)).flatten();
        let Some(known) = known else {
            let separator = Takes::separator_of(&name);
            let text = value::text(item, separator);
            self.file.keys.push(Key {
                key: key.to_owned(),
                table,
                kind: Kind::of(item),
                is_usable: text.is_some(),
                origin: origin.clone(),
            });
            if let (true, Some(text)) = (is_lower, text) {
                self.keep(&name, text, origin);
            }
            return;
        };
        let expected = known.row().group.table();
        if table != Some(expected) && table != Some(RESOURCES) {
            let message =
                format!("belongs to the table `[{expected}]` of a job file: move it there");
            self.refuse(&name, message, origin.clone());
        }
        match known {
            Known::Value(row) => self.value(row, item, origin),
            Known::File(_) => match item.as_str() {
                Some(path) => self.keep(&name, path.to_owned(), origin),
                None => self.refuse(&name, "takes the path of a file, in quotes", origin),
            },
            Known::Command(_) => match command_line(item) {
                Some(line) => self.keep(&name, line, origin),
                None => self.refuse(
                    &name,
                    "takes a program with its arguments, as a list of texts: `[\"pass\", \"show\", \"api\"]`",
                    origin,
                ),
            },
            Known::Variable(row) => self.variable(row, key, item, origin),
        }
    }

    fn value(&mut self, row: &'static Row, item: &Item, origin: Origin) {
        let takes = Takes::of_row(row);
        if row.secrecy == Secrecy::Secret {
            return self.refuse(row.name, no_secrets(row), origin);
        }
        let text = match takes.read(row.name, row.example, item) {
            Ok(text) => text,
            Err(message) => return self.refuse(row.name, message, origin),
        };
        if row.is_secret_value(&text) && !text.is_empty() {
            let message = format!(
                "cannot be understood, or has a password in it, and {}",
                no_secrets(row)
            );
            return self.refuse(row.name, message, origin);
        }
        self.keep(row.name, text, origin);
    }

    fn variable(&mut self, row: &'static Row, key: &str, item: &Item, origin: Origin) {
        let is_variable = |name: &&str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        match item.as_str().filter(is_variable) {
            Some(name) => {
                let name = name.to_owned();
                self.file.variables.insert(row.name.to_owned(), Variable { name, origin });
            }
            // The text may be the secret itself: it is not repeated.
            None => self.refuse(
                row.name,
                format!("takes the name of an environment variable in `{key}`, in quotes: letters, digits and `_`"),
                origin,
            ),
        }
    }

    /// An empty text counts as not given.
    fn keep(&mut self, name: &str, text: String, origin: Origin) {
        if !text.is_empty() {
            let value = Text::new(Zeroizing::new(text));
            self.file
                .values
                .insert(name.to_owned(), Given { value, origin });
        }
    }

    fn refuse(&mut self, setting: &str, message: impl Into<String>, origin: Origin) {
        self.problems.push(Problem::of(setting, message, origin));
    }

    /// Why the text is no TOML. It may have a secret in it: nothing of it is repeated but a key.
    fn refuse_syntax(&mut self, message: &str, span: Option<Range<usize>>) {
        let origin = self.origin(span.clone());
        if message == "duplicate key"
            && let Some((name, first)) = span.and_then(|span| self.first_of(&span))
        {
            let message = format!("is set twice in this file (first on line {first})");
            return self.refuse(&name, message, origin);
        }
        let hint = "; a key has a value in quotes, such as `job_name = \"orders\"`";
        self.refuse(JOB_FILE, format!("is not TOML: {message}{hint}"), origin);
    }

    /// The key or table that is there a second time, and the line on which it is first.
    fn first_of(&self, again: &Range<usize>) -> Option<(String, usize)> {
        let name = self.text.get(again.clone())?;
        let before = self.text.get(..again.start)?;
        let is_header = |line: &str| line.trim_start().starts_with('[');
        let lines: Vec<&str> = before.lines().collect();
        let (line, index) = if is_header(lines.last()?) {
            let named =
                |line: &&str| is_header(line) && line.trim().trim_matches(['[', ']', ' ']) == name;
            lines.iter().zip(1..).find(|(line, _)| named(line))?
        } else {
            let from = lines.iter().rposition(|line| is_header(line)).unwrap_or(0);
            let sets = |line: &str| line.split('=').next().is_some_and(|key| key.trim() == name);
            lines
                .iter()
                .zip(1..)
                .skip(from)
                .find(|(line, _)| sets(line))?
        };
        (!line.is_empty()).then(|| (name.to_owned(), index))
    }

    fn origin(&self, span: Option<Range<usize>>) -> Origin {
        let before = span.and_then(|span| self.text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        let path = self.path.to_owned();
        Origin::JobFile { path, line }
    }
}

/// What a key of the host's is.
#[derive(Clone, Copy)]
enum Known {
    Value(&'static Row),
    File(&'static Row),
    Command(&'static Row),
    Variable(&'static Row),
}

impl Known {
    fn of(name: &str) -> Option<Self> {
        if let Some(row) = catalogue::row(name) {
            let is_command = row.name == ALERT_COMMAND.row.name;
            return Some(if is_command {
                Self::Command(row)
            } else {
                Self::Value(row)
            });
        }
        let file = name.strip_suffix("_FILE").and_then(catalogue::row);
        if let Some(row) = file.filter(|row| row.file_name().is_some()) {
            return Some(Self::File(row));
        }
        let command = name.strip_suffix("_COMMAND").and_then(catalogue::row);
        if let Some(row) = command.filter(|row| row.command_name().is_some()) {
            return Some(Self::Command(row));
        }
        let variable = name.strip_suffix("_ENV").and_then(catalogue::row);
        variable.filter(|row| row.is_secret()).map(Self::Variable)
    }

    fn row(self) -> &'static Row {
        match self {
            Self::Value(row) | Self::File(row) | Self::Command(row) | Self::Variable(row) => row,
        }
    }
}

/// The line of a program and its arguments: a list of texts, or the line itself.
fn command_line(item: &Item) -> Option<String> {
    if let Some(line) = item.as_str() {
        return Some(line.to_owned());
    }
    let words: Option<Vec<&str>> = item
        .as_array()?
        .iter()
        .map(toml_edit::Value::as_str)
        .collect();
    words.filter(|words| !words.is_empty()).map(command::line)
}

/// The key that names the file with the value of a setting, and the one that names an environment variable.
pub fn references(setting: &str) -> (String, String) {
    let key = key(setting);
    (format!("{key}_file"), format!("{key}{ENV}"))
}

fn no_secrets(row: &Row) -> String {
    let (file, variable) = references(row.name);
    format!(
        "is a secret, and a job file holds none: write it into a file of its own and set `{file}`, or name an environment variable that has it in `{variable}`"
    )
}

fn unknown_table(name: &str) -> String {
    let tables = Group::ALL.map(Group::table).into_iter();
    let tables = tables.chain([COMPONENT, RESOURCES]);
    let known = tables.map(str::to_owned).collect();
    if let Some(meant) = nearest(name, &known) {
        return format!("has no table `[{name}]`; did you mean `[{meant}]`?");
    }
    let known: Vec<String> = known.iter().map(|table| format!("`[{table}]`")).collect();
    format!("has no table `[{name}]`, but {}", known.join(", "))
}

fn key_span(table: &dyn TableLike, key: &str) -> Option<Range<usize>> {
    table.key(key).and_then(toml_edit::Key::span)
}

#[cfg(test)]
mod tests;
