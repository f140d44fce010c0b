//! Where settings come from, and which one stands: flag, then environment, then `--env-file`, then default.
//!
//! The environment is read here, once, and nowhere else. What a value means is `plan`'s and `settings`' business.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::{Zeroize, Zeroizing};

use crate::limits::Limits;
use crate::process::stop::Stop;
use crate::secret::Secret;
use crate::settings::env_file::{is_name, parse_line};
use crate::settings::given_file::{GivenFiles, Holds, Text};

/// Where systemd puts the credentials of a unit: `systemd.exec(5)`.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `--set NAME=VALUE`.
    Flag,
    /// An environment variable.
    Environment,
    /// A line of an `--env-file`.
    EnvFile {
        /// The file as it was named.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// The file that `NAME_FILE` names.
    File(PathBuf),
    /// A file in `$CREDENTIALS_DIRECTORY` (systemd's `LoadCredential=`).
    Credential(PathBuf),
    /// Nothing was given.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("--set"),
            Self::Environment => f.write_str("environment"),
            Self::EnvFile { path, line } => write!(f, "{}:{line}", path.display()),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Credential(path) => write!(f, "credential {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The value; never empty.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Something wrong with one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting.
    pub setting: String,
    /// What is wrong and how to mend it.
    pub message: String,
    /// Where the value came from, when there is one.
    pub origin: Option<Origin>,
}

impl Problem {
    /// A problem with a value from nowhere in particular.
    pub fn new(setting: &str, message: impl Into<String>) -> Self {
        Self {
            setting: setting.to_owned(),
            message: message.into(),
            origin: None,
        }
    }

    /// A problem with the value that came from there.
    pub fn of(setting: &str, message: String, origin: Origin) -> Self {
        Self {
            setting: setting.to_owned(),
            message,
            origin: Some(origin),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.setting, self.message)?;
        match &self.origin {
            None | Some(Origin::Default) => Ok(()),
            Some(origin) => write!(f, " ({origin})"),
        }
    }
}

/// All that was given, in order of precedence.
#[derive(Debug, Clone)]
pub struct Values {
    flags: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    files: BTreeMap<String, Given>,
    given_files: Arc<GivenFiles>,
}

impl Values {
    /// Takes the flags and the environment, and reads the files, later ones over earlier ones. What cannot be read or
    /// understood is added to `problems`, also that `stop` ended the wait for a file.
    pub fn collect_until(
        flags: &[String],
        environment: impl IntoIterator<Item = (String, String)>,
        env_files: &[PathBuf],
        limits: &Limits,
        stop: &Stop,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut values = Self {
            flags: BTreeMap::new(),
            environment: environment
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .collect(),
            files: BTreeMap::new(),
            given_files: Arc::new(GivenFiles::new(stop.clone(), limits)),
        };
        for flag in flags {
            match flag.split_once('=') {
                Some((name, value)) if is_name(name) => {
                    if values
                        .flags
                        .insert(name.to_owned(), value.to_owned())
                        .is_some()
                    {
                        problems.push(Problem::new(name, "is given by `--set` more than once"));
                    }
                }
                // What stands there may be a secret in the wrong place: it is not repeated.
                _ => problems.push(Problem::new(
                    "--set",
                    "takes NAME=VALUE, with NAME in upper case",
                )),
            }
        }
        values.flags.retain(|_, value| !value.is_empty());
        for path in env_files {
            values.read_env_file(path, problems);
        }
        values
    }

    /// The same with nothing that could end a wait.
    #[cfg(test)]
    pub fn collect(
        flags: &[String],
        environment: impl IntoIterator<Item = (String, String)>,
        env_files: &[PathBuf],
        limits: &Limits,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let stop = Stop::unwatched(std::time::Duration::from_hours(1));
        Self::collect_until(flags, environment, env_files, limits, &stop, problems)
    }

    /// The value that stands for `name`; empty ones count as not given.
    pub fn get(&self, name: &str) -> Option<Given> {
        let flag = self.flag(name);
        flag.or_else(|| {
            let value = self.environment.get(name)?.clone();
            let origin = Origin::Environment;
            Some(Given { value, origin })
        })
        .or_else(|| self.files.get(name).cloned())
    }

    /// The value that was given for `name` by flag or file, whatever the environment says.
    pub fn deliberate_value(&self, name: &str) -> Option<Given> {
        self.flag(name).or_else(|| self.files.get(name).cloned())
    }

    /// The value that `--set` gave for `name`.
    pub fn flag(&self, name: &str) -> Option<Given> {
        let value = self.flags.get(name)?.clone();
        let origin = Origin::Flag;
        Some(Given { value, origin })
    }

    /// The text of a file that was given; each is read once, so that it may be a pipe.
    pub fn file(&self, path: &Path, holds: Holds) -> Result<Text, String> {
        self.given_files.text(path, holds)
    }

    /// A secret: `NAME`, else the file that `NAME_FILE` names, else `$CREDENTIALS_DIRECTORY/NAME`. One trailing newline of
    /// a file is not part of it. A file with nothing in it is a problem: without it a run would go on without a credential.
    pub fn secret(&self, name: &str, problems: &mut Vec<Problem>) -> Option<(Secret, Origin)> {
        self.given_secret(name).unwrap_or_else(|problem| {
            // A folder that cannot be searched is one problem, however many secrets could be there.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
            None
        })
    }

    fn given_secret(&self, name: &str) -> Result<Option<(Secret, Origin)>, Problem> {
        if self.flags.contains_key(name) {
            let message = format!(
                "is a secret and must not be an argument, which every user of the machine can read; use the environment, an env file or {name}_FILE"
            );
            return Err(Problem::of(name, message, Origin::Flag));
        }
        if let Some(given) = self.get(name) {
            let value = Zeroizing::new(given.value);
            return match secret_of(&value) {
                Ok(secret) => Ok(secret.map(|secret| (secret, given.origin))),
                Err(message) => Err(Problem::of(name, message, given.origin)),
            };
        }
        let Some((path, origin)) = self.secret_file(name)? else {
            return Ok(None);
        };
        let read = match self.file(&path, Holds::Trusted) {
            Ok(text) => secret_of(&text),
            Err(error) => Err(format!("was not used: {error}")),
        };
        let empty =
            || "is empty: write the secret into its file, or do not name the file".to_owned();
        match read.and_then(|secret| secret.ok_or_else(empty)) {
            Ok(secret) => Ok(Some((secret, origin))),
            Err(message) => Err(Problem::of(name, message, origin)),
        }
    }

    /// A text of the host's: `NAME`, else the file that `NAME_FILE` names, whose lines stand one by one.
    pub fn text(&self, name: &str, problems: &mut Vec<Problem>) -> Option<(String, Origin)> {
        let file = self.get(&format!("{name}_FILE"));
        let mut problem = |message: String, origin: Origin| {
            problems.push(Problem::of(name, message, origin));
            None
        };
        match (self.get(name), file) {
            (None, None) => None,
            (Some(given), None) => Some((given.value, given.origin)),
            (Some(given), Some(file)) => problem(
                format!(
                    "is given ({}), and so is {name}_FILE: unset one of the two",
                    given.origin
                ),
                file.origin,
            ),
            (None, Some(file)) => {
                let path = PathBuf::from(file.value);
                match self.file(&path, Holds::Trusted) {
                    Ok(text) => Some((text.to_string(), Origin::File(path))),
                    Err(error) => problem(
                        format!(
                            "names the file `{}` ({name}_FILE): cannot read it: {error}",
                            path.display()
                        ),
                        file.origin,
                    ),
                }
            }
        }
    }

    /// Where a secret would be read. `Err`: nobody can tell whether `$CREDENTIALS_DIRECTORY` has it.
    fn secret_file(&self, name: &str) -> Result<Option<(PathBuf, Origin)>, Problem> {
        if let Some(given) = self.get(&format!("{name}_FILE")) {
            let path = PathBuf::from(given.value);
            return Ok(Some((path.clone(), Origin::File(path))));
        }
        let Some(folder) = self.environment.get(CREDENTIALS) else {
            return Ok(None);
        };
        let path = Path::new(folder).join(name);
        match std::fs::symlink_metadata(&path) {
            Ok(_) => Ok(Some((path.clone(), Origin::Credential(path)))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let message = format!(
                    "`{folder}` cannot be searched for secrets: {error}; run as the user of the systemd unit (`User=`), or unset it"
                );
                Err(Problem::of(CREDENTIALS, message, Origin::Environment))
            }
        }
    }

    /// Names given by flag or file, with where they stand: each of them must be known.
    pub fn deliberate(&self) -> impl Iterator<Item = (&str, Origin)> {
        let flags = self.flags.keys().map(|name| (name.as_str(), Origin::Flag));
        let files = self
            .files
            .iter()
            .map(|(name, given)| (name.as_str(), given.origin.clone()));
        flags.chain(files)
    }

    /// Names in the environment, most of which are none of our business.
    pub fn ambient(&self) -> impl Iterator<Item = &str> {
        self.environment.keys().map(String::as_str)
    }

    /// An environment variable that is no setting, such as `HOME`.
    pub fn environment(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    fn read_env_file(&mut self, path: &Path, problems: &mut Vec<Problem>) {
        let text = match self.file(path, Holds::Trusted) {
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
            let problem = |setting: &str, message: String| Problem {
                setting: setting.to_owned(),
                message,
                origin: Some(origin.clone()),
            };
            match parse_line(line) {
                Ok(None) => {}
                Ok(Some((name, value))) => {
                    if let Some(first) = seen.insert(name.clone(), index + 1) {
                        problems.push(problem(
                            &name,
                            format!("stands here again, first on line {first}"),
                        ));
                    }
                    if value.is_empty() {
                        self.files.remove(&name);
                    } else {
                        self.files.insert(name, Given { value, origin });
                    }
                }
                Err(message) => problems.push(problem("--env-file", message.to_owned())),
            }
        }
    }
}

/// What was given may be a secret: it does not outlive its use in memory.
impl Drop for Values {
    fn drop(&mut self) {
        self.flags.values_mut().for_each(Zeroize::zeroize);
        self.environment.values_mut().for_each(Zeroize::zeroize);
        let files = self.files.values_mut();
        files.for_each(|given| given.value.zeroize());
    }
}

/// The secret in a text, without one newline at its end; none where there is nothing but white space.
fn secret_of(text: &str) -> Result<Option<Secret>, String> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.trim().is_empty() {
        return Ok(None);
    }
    if text.chars().any(char::is_control) {
        return Err("has control characters in it, such as a line break".to_owned());
    }
    Ok(Some(Secret::from(text)))
}

#[cfg(test)]
mod tests;
