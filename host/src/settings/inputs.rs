//! What was given: one table of values with their origins, made in one pass.
//!
//! Every file is opened once in a run, here: env files, the files of secrets and of texts. What is given but cannot be used is
//! a problem, and never counts as not given. Behind this nobody asks again what a setting is.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::cli::GivenArgs;
use crate::component::Description;
use crate::given_file::reread::SecretFile;
use crate::given_file::rotated::RotatedFile;
use crate::given_file::{GivenFiles, Holds, Text, command, one_line, without_newline};
use crate::limits::Limits;
use crate::process::stop::Stop;
use crate::secret::Secret;
use crate::settings::catalogue::{self, COMMAND_ENVIRONMENT, Group, Row, Secrecy, Setting};
use crate::settings::component_settings::{self, SCHEMA};
use crate::settings::granted::Grant;
use crate::settings::job_file::{Variable, references};
use crate::settings::layers::Layers;
use crate::settings::policy::{Tenant, Verdict};
use crate::settings::traces;

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
    /// A line of the job file.
    JobFile {
        /// The file as it was named.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable that the job file names.
    Variable {
        /// Its name.
        name: String,
        /// The line that names it.
        named: Box<Origin>,
    },
    /// The file that `NAME_FILE` names.
    File(PathBuf),
    /// The program that `NAME_COMMAND` names.
    Command(String),
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
            Self::EnvFile { path, line } | Self::JobFile { path, line } => {
                write!(f, "{}:{line}", path.display())
            }
            Self::Variable { name, named } => write!(f, "environment {name}, {named}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Command(program) => write!(f, "command {program}"),
            Self::Credential(path) => write!(f, "credential {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it came from. Its memory is wiped when the last of its clones is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Given {
    /// The value; never empty.
    pub value: Text,
    /// Where it came from.
    pub origin: Origin,
}

/// It may be a secret.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Given from {}", self.origin)
    }
}

/// Something wrong with one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting.
    pub setting: String,
    /// What is wrong and how to fix it.
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
    pub fn of(setting: &str, message: impl Into<String>, origin: Origin) -> Self {
        Self {
            setting: setting.to_owned(),
            message: message.into(),
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

/// All that was given.
pub struct Inputs {
    layers: Layers,
    files: GivenFiles,
    /// The host's settings, by name.
    host: BTreeMap<&'static str, Given>,
    /// The component's, as the component gets them.
    component: BTreeMap<String, Given>,
    /// The host's settings that were given and cannot be used, with where they came from. Their problems are reported.
    unusable: BTreeMap<&'static str, Origin>,
    /// What is wrong with what was given.
    problems: Vec<Problem>,
    /// What the operator allows at most, where a policy is in force.
    tenant: Option<Arc<Tenant>>,
    /// What of the files and variables that were named it allows.
    verdicts: Mutex<Vec<Verdict>>,
    /// Which programs that print a secret are started.
    commands: Commands,
}

/// Which of the programs that print a secret are started by a command of tidegate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commands {
    /// All.
    Started,
    /// Those that `health` needs.
    OfHealth,
    /// None: what they print counts as given, and is not known.
    NotStarted,
}

/// It holds secrets.
impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inputs")
    }
}

impl Inputs {
    /// Takes the flags and the environment, and reads the files that they name, but for those of the component's settings.
    /// Never fails: problems are in it, also that `stop` ended the wait for a file.
    pub fn read(
        given: &GivenArgs,
        environment: impl IntoIterator<Item = (String, String)>,
        limits: &Limits,
        stop: &Stop,
    ) -> Self {
        Self::read_with(given, environment, (limits, Commands::NotStarted), stop)
    }

    /// The same, and starts programs that print secrets.
    pub fn read_with(
        given: &GivenArgs,
        environment: impl IntoIterator<Item = (String, String)>,
        (limits, commands): (&Limits, Commands),
        stop: &Stop,
    ) -> Self {
        let files = GivenFiles::new(stop.clone(), limits);
        let mut problems = Vec::new();
        let policy = given.under.policy.as_ref();
        let name = given.under.tenant.as_deref();
        let tenant = policy.map(|path| Tenant::read(path, name, &files, &mut problems));
        // Under a policy that cannot be used nothing else is opened.
        let is_refused = tenant.as_ref().is_some_and(|tenant| !tenant.is_usable());
        let nothing = GivenArgs::default();
        let given = if is_refused { &nothing } else { given };
        let mut inputs = Self {
            layers: Layers::read(given, environment, &files, &mut problems),
            files,
            tenant: tenant.map(Arc::new),
            verdicts: Mutex::default(),
            host: BTreeMap::new(),
            component: BTreeMap::new(),
            unusable: BTreeMap::new(),
            problems,
            commands,
        };
        if !is_refused {
            let has_traces = traces::are_asked_for(inputs.layers());
            let counts = |row: &&&Row| row.group != Group::Traces || has_traces;
            for row in catalogue::ALL.iter().filter(counts) {
                inputs.read_setting(row, stop);
            }
        }
        inputs
    }

    /// Reads the settings that the component declares, as far as it may have them. What cannot be used of them is a problem.
    pub fn read_of_component(&mut self, description: &Description, grant: &Grant<'_>) {
        for setting in &description.settings {
            let name = setting.name.as_str();
            if component_settings::is_secret(setting) {
                continue;
            }
            let given = match self.given_to_component(name, description, grant) {
                Ok(given) => given,
                Err(problem) => {
                    self.problems.push(problem);
                    None
                }
            };
            if let Some(given) = given {
                self.component.insert(name.to_owned(), given);
            }
        }
    }

    /// The value of one of the host's settings.
    pub fn get(&self, row: &Row) -> Option<&Given> {
        self.host.get(row.name)
    }

    /// The same, or its default; may be empty.
    pub fn text(&self, row: &'static Row) -> &str {
        self.get(row).map_or(row.default, |given| &given.value)
    }

    /// Whether a value was given, usable or not.
    pub fn is_given(&self, row: &Row) -> bool {
        self.host.contains_key(row.name) || self.unusable.contains_key(row.name)
    }

    /// What the component gets for a name.
    pub fn of_component(&self, name: &str) -> Option<&Given> {
        self.component.get(name)
    }

    /// What counts for a name, for whoever uses it: the host or the component.
    pub fn named(&self, name: &str) -> Option<&Given> {
        match catalogue::row(name) {
            Some(row) => self.get(row),
            None => self.of_component(name),
        }
    }

    /// Where the value of one of the host's settings came from, usable or not.
    pub fn origin(&self, row: &Row) -> Option<Origin> {
        let unusable = || self.unusable.get(row.name).cloned();
        let given = self.get(row).map(|given| given.origin.clone());
        given.or_else(unusable)
    }

    /// What one of the host's settings says. What cannot be understood is added to `problems`, and counts as not given.
    pub fn parsed<T>(&self, setting: &Setting<T>, problems: &mut Vec<Problem>) -> Option<T> {
        let given = self.get(&setting.row)?;
        match (setting.parse)(&given.value) {
            Ok(value) => Some(value),
            Err(message) => {
                let origin = given.origin.clone();
                problems.push(Problem::of(setting.row.name, message, origin));
                None
            }
        }
    }

    /// The same of a setting that has a default.
    pub fn parsed_or_default<T>(&self, setting: &Setting<T>, problems: &mut Vec<Problem>) -> T {
        let default = || (setting.parse)(setting.row.default).expect("defaults are valid");
        self.parsed(setting, problems).unwrap_or_else(default)
    }

    /// The file that a secret came from, if it can be read again.
    pub fn secret_file(&self, setting: &'static Setting<Secret>) -> Option<SecretFile> {
        match &self.get(&setting.row)?.origin {
            Origin::File(path) | Origin::Credential(path) => {
                let bytes_max = self.files.bytes_max();
                let within = self.tenant.as_ref().map(|tenant| tenant.secret_files());
                Some(SecretFile::new(path.clone(), bytes_max, setting.parse).within(within))
            }
            _ => None,
        }
    }

    /// The file that a secret came from whose next value replaces it there.
    pub fn rotated_file(&self, setting: &'static Setting<Secret>) -> Option<RotatedFile> {
        let Origin::File(path) = &self.get(&setting.row)?.origin else {
            return None;
        };
        let file = RotatedFile::new(path.clone(), self.files.bytes_max());
        Some(match &self.tenant {
            Some(tenant) => file
                .within(tenant.secret_files())
                .within(tenant.rewritten_files()),
            None => file,
        })
    }

    /// A problem with what counts for a name, with where that came from.
    pub fn problem(&self, name: &str, message: impl Into<String>) -> Problem {
        let unusable = || self.unusable.get(name).cloned();
        let given = self.named(name).map(|given| given.origin.clone());
        Problem {
            setting: name.to_owned(),
            message: message.into(),
            origin: given.or_else(unusable),
        }
    }

    /// What the operator allows at most, where a policy is in force.
    pub fn tenant(&self) -> Option<&Arc<Tenant>> {
        self.tenant.as_ref()
    }

    /// What it allows of the files and variables that were named. Each is returned once.
    pub fn take_verdicts(&self) -> Vec<Verdict> {
        std::mem::take(&mut *self.verdicts())
    }

    /// Adds what it allows of something else.
    pub fn add_verdict(&self, verdict: Verdict) {
        self.verdicts().push(verdict);
    }

    fn verdicts(&self) -> MutexGuard<'_, Vec<Verdict>> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each layer by itself.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// What is wrong so far.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Reads one of the host's settings.
    fn read_setting(&mut self, row: &'static Row, stop: &Stop) {
        let read = if row.is_secret() {
            match self.command(row) {
                Ok(Some((words, origin))) if self.is_started(row) => {
                    self.printed(row, &words, origin, stop).map(Some)
                }
                Ok(Some((_, origin))) => {
                    self.unusable.insert(row.name, origin);
                    Ok(None)
                }
                Ok(None) => self.secret(row),
                Err(problem) => Err(problem),
            }
        } else if let Some(file) = row.file_name() {
            let layers = &self.layers;
            self.value_or_file(row.name, &file, layers.get(row.name), layers.get(&file))
        } else {
            Ok(self.by_value(row))
        };
        match read {
            Ok(given) => self.host.extend(given.map(|given| (row.name, given))),
            Err(problem) => {
                let is_of_command = row
                    .command_name()
                    .is_some_and(|name| name == problem.setting);
                if problem.setting == row.name || is_of_command {
                    let origin = problem.origin.clone().unwrap_or(Origin::Default);
                    self.unusable.insert(row.name, origin);
                }
                // A folder that cannot be searched is one problem, however many secrets could be there.
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
            }
        }
    }

    /// What is given as a value. Variables of OpenTelemetry are set for every program of a machine, and meant for other collectors.
    fn by_value(&self, row: &Row) -> Option<Given> {
        match row.group {
            Group::Traces => self.layers.deliberate_value(row.name),
            _ => self.layers.get(row.name),
        }
    }

    fn is_started(&self, row: &Row) -> bool {
        match self.commands {
            Commands::Started => true,
            Commands::OfHealth => row.for_health,
            Commands::NotStarted => false,
        }
    }

    /// The words of `NAME_COMMAND`, where it counts: nothing is given by value, and no file is named.
    fn command(&self, row: &Row) -> Result<Option<(Vec<String>, Origin)>, Problem> {
        let Some(name) = row.command_name() else {
            return Ok(None);
        };
        let Some(given) = self.layers.get(&name) else {
            return Ok(None);
        };
        let other = [row.name.to_owned(), format!("{}_FILE", row.name)];
        let other = other.iter().find_map(|other| self.layers.get(other));
        let other = other.map(|other| other.origin);
        let variable = self.layers.variable(row.name);
        if let Some(other) = other.or(variable.map(|variable| variable.origin.clone())) {
            let message = format!("is given ({other}), and so is {name}: unset one of the two");
            return Err(Problem::of(row.name, message, given.origin));
        }
        let problem = |message: String| Problem::of(&name, message, given.origin.clone());
        let words = command::words(&given.value).map_err(problem)?;
        if let Some(tenant) = &self.tenant {
            tenant.command(&name, &words, &given.origin, &mut self.verdicts())?;
        }
        Ok(Some((words, given.origin)))
    }

    /// What the program of `NAME_COMMAND` prints.
    fn printed(
        &self,
        row: &Row,
        words: &[String],
        origin: Origin,
        stop: &Stop,
    ) -> Result<Given, Problem> {
        let name = row.command_name().unwrap_or_default();
        let mut environment = Vec::new();
        let further = self.layers.get(COMMAND_ENVIRONMENT.row.name);
        // A list that cannot be read is a problem of its own.
        let further = further.and_then(|given| (COMMAND_ENVIRONMENT.parse)(&given.value).ok());
        let further = further.unwrap_or_default();
        for variable in &further {
            if let Some(tenant) = &self.tenant {
                let (name, out) = (COMMAND_ENVIRONMENT.row.name, &mut self.verdicts());
                tenant.variable(name, variable, &origin, out)?;
            }
        }
        let always = ["PATH", "HOME"].map(str::to_owned);
        for variable in always.into_iter().chain(further) {
            if let Some(value) = self.layers.environment(&variable) {
                environment.push((variable.clone(), value.to_owned()));
            }
        }
        let program = words.first().cloned().unwrap_or_default();
        let printed = command::output(words, &environment, stop);
        let printed = printed.map_err(|why| {
            let message = format!("gives no secret: `{program}` {why}");
            Problem::of(&name, message, origin.clone())
        })?;
        let Some(value) = one_line(&printed) else {
            let message = format!("gives no secret: `{program}` printed nothing");
            return Err(Problem::of(&name, message, origin));
        };
        Ok(Given {
            value,
            origin: Origin::Command(program),
        })
    }

    /// A secret: `NAME`, else the file that `NAME_FILE` names, else `$CREDENTIALS_DIRECTORY/NAME`. One trailing newline is
    /// not part of it. One with nothing in it is a problem: without it a run would go on without a credential.
    fn secret(&self, row: &Row) -> Result<Option<Given>, Problem> {
        let name = row.name;
        if let Some(given) = self.by_value(row) {
            if given.origin == Origin::Flag && row.secrecy == Secrecy::Secret {
                let message = format!(
                    "is a secret and must not be an argument, which every user of the machine can read; use the environment, an env file or {name}_FILE"
                );
                return Err(Problem::of(name, message, Origin::Flag));
            }
            if given.origin == Origin::Environment && row.is_secret_value(&given.value) {
                self.allow_variable(row, name, &given.origin)?;
            }
            let value = one_line(&given.value).ok_or_else(|| {
                let message = "is empty, or only white space: give the secret, or unset it";
                Problem::of(name, message, given.origin.clone())
            })?;
            return Ok(Some(Given { value, ..given }));
        }
        if let Some(variable) = self.layers.variable(name) {
            return self.secret_of(row, variable);
        }
        let Some((path, origin)) = self.secret_path(name)? else {
            return Ok(None);
        };
        let opened = match &self.tenant {
            Some(tenant) => tenant.secret_file(name, &path, &origin, &mut self.verdicts())?,
            None => path,
        };
        match self.files.text(&opened, Holds::Trusted) {
            Ok(text) => match one_line(&text) {
                Some(value) => Ok(Some(Given { value, origin })),
                None => Err(Problem::of(
                    name,
                    "is empty: write the secret into its file, or do not name the file",
                    origin,
                )),
            },
            Err(error) => Err(Problem::of(
                name,
                format!("cannot be read: {error}"),
                origin,
            )),
        }
    }

    /// A secret in the environment variable that the job file names. A file that is named beside it in the same place is one
    /// too many; one that is named elsewhere takes precedence.
    fn secret_of(&self, row: &Row, variable: &Variable) -> Result<Option<Given>, Problem> {
        let problem = |message: String| Problem::of(row.name, message, variable.origin.clone());
        self.allow_variable(row, &variable.name, &variable.origin)?;
        let Some(value) = self.layers.environment(&variable.name) else {
            return Err(problem(format!(
                "is to be in the environment variable `{}`, which is not set: set it, or name a file in `{}`",
                variable.name,
                references(row.name).0
            )));
        };
        let value = one_line(value).ok_or_else(|| {
            problem(format!(
                "is empty, or only white space, in the environment variable `{}`: give the secret, or remove this line",
                variable.name
            ))
        })?;
        let origin = Origin::Variable {
            name: variable.name.clone(),
            named: Box::new(variable.origin.clone()),
        };
        Ok(Some(Given { value, origin }))
    }

    /// Refuses an environment variable that the policy does not allow a secret to be in.
    fn allow_variable(&self, row: &Row, variable: &str, origin: &Origin) -> Result<(), Problem> {
        match &self.tenant {
            Some(tenant) => tenant.variable(row.name, variable, origin, &mut self.verdicts()),
            None => Ok(()),
        }
    }

    /// Where a secret would be read. `Err`: nobody can tell whether `$CREDENTIALS_DIRECTORY` has it.
    fn secret_path(&self, name: &str) -> Result<Option<(PathBuf, Origin)>, Problem> {
        if let Some(given) = self.layers.get(&format!("{name}_FILE")) {
            let path = PathBuf::from(given.value.as_str());
            return Ok(Some((path.clone(), Origin::File(path))));
        }
        let Some(folder) = self.layers.environment(CREDENTIALS) else {
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

    /// What the component gets: a value, or the text of the file that `NAME_FILE` names.
    fn given_to_component(
        &self,
        name: &str,
        description: &Description,
        grant: &Grant<'_>,
    ) -> Result<Option<Given>, Problem> {
        let given = grant.given(&self.layers, name);
        if name == SCHEMA {
            return match given {
                Some(given) if !given.value.starts_with('{') => {
                    self.text_of_file(name, name, &given).map(Some)
                }
                given => Ok(given),
            };
        }
        let Some(file) = component_settings::file_name(description, name) else {
            return Ok(given);
        };
        self.value_or_file(name, &file, given, grant.given(&self.layers, &file))
    }

    fn value_or_file(
        &self,
        name: &str,
        file_name: &str,
        given: Option<Given>,
        file: Option<Given>,
    ) -> Result<Option<Given>, Problem> {
        match (given, file) {
            (Some(given), Some(file)) => Err(Problem::of(
                name,
                format!(
                    "is given ({}), and so is {file_name}: unset one of the two",
                    given.origin
                ),
                file.origin,
            )),
            (None, Some(file)) => self.text_of_file(name, file_name, &file).map(Some),
            (given, None) => Ok(given),
        }
    }

    /// The text of the file that `named` names, without one newline at its end, so that it is the same as given by value.
    fn text_of_file(&self, name: &str, file_name: &str, named: &Given) -> Result<Given, Problem> {
        let path = PathBuf::from(named.value.as_str());
        // Filed under the name that the component knows: it need not say that it misses it.
        let problem = |what: String| {
            let shown = path.display();
            let message = format!("names the file `{shown}` ({file_name}): {what}");
            Problem::of(name, message, named.origin.clone())
        };
        let opened = match &self.tenant {
            Some(tenant) => tenant.other_file(name, &path, &named.origin, &mut self.verdicts())?,
            None => path.clone(),
        };
        let text = self.files.text(&opened, Holds::Trusted);
        let text = text.map_err(|error| problem(format!("cannot read it: {error}")))?;
        let value = without_newline(&text);
        if value.trim().is_empty() {
            return Err(problem("it is empty".to_owned()));
        }
        if value.contains('\0') {
            return Err(problem(
                "it contains a NUL character, so it is not text".to_owned(),
            ));
        }
        Ok(Given {
            value: Text::new(Zeroizing::new(value.to_owned())),
            origin: Origin::File(path),
        })
    }
}

#[cfg(test)]
mod tests;
