//! Where settings come from, and which of them counts: flag, then environment, then `--env-file`, then default.
//!
//! The environment is handed in by `main`, once. What a value means is for the catalogue and the component to say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::env_file::{is_name, parse_line};
use super::inputs::{Given, Origin, Problem};
use crate::given_file::{GivenFiles, Holds, Text};

/// What was given as a value, by where it was given. An empty value counts as not given.
pub struct Layers {
    flags: BTreeMap<String, Text>,
    environment: BTreeMap<String, Text>,
    env_files: BTreeMap<String, Given>,
}

impl Layers {
    /// Takes the flags and the environment, and reads the files, later ones over earlier ones. What cannot be read or
    /// understood is added to `problems`.
    pub fn read(
        flags: &[String],
        environment: impl IntoIterator<Item = (String, String)>,
        env_files: &[PathBuf],
        files: &GivenFiles,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut layers = Self {
            flags: BTreeMap::new(),
            environment: environment
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name, wiped(value)))
                .collect(),
            env_files: BTreeMap::new(),
        };
        for flag in flags {
            layers.take_flag(flag, problems);
        }
        layers.flags.retain(|_, value| !value.is_empty());
        for path in env_files {
            layers.read_env_file(path, files, problems);
        }
        layers
    }

    /// The value that counts for `name`.
    pub fn get(&self, name: &str) -> Option<Given> {
        let environment = || Some((self.environment.get(name)?.clone(), Origin::Environment));
        self.flag(name)
            .or_else(|| environment().map(|(value, origin)| Given { value, origin }))
            .or_else(|| self.env_files.get(name).cloned())
    }

    /// The value that was given for `name` by flag or file, whatever the environment says.
    pub fn deliberate_value(&self, name: &str) -> Option<Given> {
        self.flag(name)
            .or_else(|| self.env_files.get(name).cloned())
    }

    /// The value that `--set` gave for `name`.
    pub fn flag(&self, name: &str) -> Option<Given> {
        let value = self.flags.get(name)?.clone();
        let origin = Origin::Flag;
        Some(Given { value, origin })
    }

    /// Names given by flag or file, with their place: each of them must be known.
    pub fn deliberate(&self) -> impl Iterator<Item = (&str, Origin)> {
        let flags = self.flags.keys().map(|name| (name.as_str(), Origin::Flag));
        let files = self
            .env_files
            .iter()
            .map(|(name, given)| (name.as_str(), given.origin.clone()));
        flags.chain(files)
    }

    /// Names in the environment, most of which are none of our business.
    pub fn ambient(&self) -> impl Iterator<Item = &str> {
        self.environment.keys().map(String::as_str)
    }

    /// An environment variable, a setting or not.
    pub fn environment(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(|value| value.as_str())
    }

    fn take_flag(&mut self, flag: &str, problems: &mut Vec<Problem>) {
        let named = flag.split_once('=').filter(|(name, _)| is_name(name));
        let Some((name, value)) = named else {
            // The text may be a secret in the wrong place: it is not repeated.
            problems.push(Problem::new(
                "--set",
                "takes NAME=VALUE, with NAME in upper case",
            ));
            return;
        };
        let before = self.flags.insert(name.to_owned(), wiped(value.to_owned()));
        if before.is_some() {
            problems.push(Problem::new(name, "is given by `--set` more than once"));
        }
    }

    fn read_env_file(&mut self, path: &Path, files: &GivenFiles, problems: &mut Vec<Problem>) {
        let text = match files.text(path, Holds::Trusted) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("`{}` was not used: {error}", path.display());
                problems.push(Problem::new("--env-file", message));
                return;
            }
        };
        let mut seen = BTreeMap::new();
        // Editors of other systems begin a file with a mark of its encoding.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        for (index, line) in text.lines().enumerate() {
            let origin = Origin::EnvFile {
                path: path.to_owned(),
                line: index + 1,
            };
            match parse_line(line) {
                Ok(None) => {}
                Ok(Some((name, value))) => {
                    if let Some(first) = seen.insert(name.clone(), index + 1) {
                        let again = format!("is set twice in this file (first on line {first})");
                        problems.push(Problem::of(&name, again, origin.clone()));
                    }
                    if value.is_empty() {
                        self.env_files.remove(&name);
                    } else {
                        let value = wiped(value);
                        self.env_files.insert(name, Given { value, origin });
                    }
                }
                Err(message) => {
                    problems.push(Problem::of("--env-file", message.to_owned(), origin));
                }
            }
        }
    }
}

/// What was given may be a secret: it does not outlive its use in memory.
fn wiped(value: String) -> Text {
    Text::new(Zeroizing::new(value))
}
