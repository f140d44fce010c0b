//! Where settings come from, and which of them counts: flag, then environment, then `--env-file`, then the job file,
//! then default.
//!
//! The environment is handed in by `main`, once. What a value means is for the catalogue and the component to say. Of several
//! resources that share settings, each publishes by itself: what is shared of the output ends with its name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::catalogue::{JOB_NAME, OUTPUT_DATABASE_URL, OUTPUT_DIR, OUTPUT_TABLE};
use super::env_file::{entries, is_name, parse_line};
use super::inputs::{Given, Origin, Problem};
use super::job_file::resources::{chosen, listed};
use super::job_file::{self, JOB_FILE, JobComponent, JobFile, Key, Variable};
use crate::cli::GivenArgs;
use crate::given_file::{GivenFiles, Holds, Text};

/// The env file of a folder whose lines count for all other env files there.
pub const SHARED_FILE: &str = "_shared.env";

/// What was given as a value, by where it was given. An empty value counts as not given.
pub struct Layers {
    flags: BTreeMap<String, Text>,
    environment: BTreeMap<String, Text>,
    env_files: BTreeMap<String, Given>,
    job: JobFile,
    has_job_file: bool,
}

impl Layers {
    /// Takes the flags and the environment, and reads the files, later ones over earlier ones. What cannot be read or
    /// understood is added to `problems`.
    pub fn read(
        given: &GivenArgs,
        environment: impl IntoIterator<Item = (String, String)>,
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
            job: JobFile::default(),
            has_job_file: given.job.is_some(),
        };
        for flag in &given.set {
            layers.take_flag(flag, problems);
        }
        layers.flags.retain(|_, value| !value.is_empty());
        for path in &given.env_file {
            layers.read_env_file(path, files, problems);
        }
        if let Some(path) = &given.job {
            let resource = given.resource.as_deref();
            layers.read_job_file(path, resource, files, problems);
        } else if given.resource.is_some() {
            let message = "takes the name of a resource of a job file: name the job file, too";
            problems.push(Problem::new("--resource", message));
        }
        layers.tell_apart(given);
        layers
    }

    /// Gives the resource that is read a folder, a name and a table of its own, where it says none itself: what is shared, with
    /// its name at the end.
    fn tell_apart(&mut self, given: &GivenArgs) {
        let Some(resource) = Resource::of(given, &self.job) else {
            return;
        };
        let Resource { name, default, at } = &resource;
        let database = OUTPUT_DATABASE_URL.row.name;
        let is_given = |name: &str| self.get(name).is_some() || self.variable(name).is_some();
        let references = ["", "_FILE", "_COMMAND"].map(|end| format!("{database}{end}"));
        let has_database = references.iter().any(|name| is_given(name));
        for (row, default) in [
            (
                &OUTPUT_DIR.row,
                (!has_database).then(|| format!("{}/{name}", OUTPUT_DIR.row.default)),
            ),
            (&JOB_NAME.row, Some(default.clone())),
            (&OUTPUT_TABLE.row, None),
        ] {
            let between = if row.name == OUTPUT_DIR.row.name {
                "/"
            } else {
                "_"
            };
            let apart = |shared: &Text| wiped(format!("{}{between}{name}", shared.as_str()));
            match (self.get(row.name), default) {
                (None, Some(default)) => {
                    self.replace(row.name, wiped(default), at.clone());
                }
                (Some(given), _) if resource.is_own(row.name, &given.origin, &self.job) => {}
                (Some(given), _) => {
                    let value = apart(&given.value);
                    self.replace(row.name, value, given.origin);
                }
                (None, None) => {}
            }
        }
    }

    /// Puts another value in the place that counts for a name.
    fn replace(&mut self, name: &str, value: Text, origin: Origin) {
        let name = name.to_owned();
        match origin {
            Origin::Flag => drop(self.flags.insert(name, value)),
            Origin::Environment => drop(self.environment.insert(name, value)),
            Origin::EnvFile { .. } => drop(self.env_files.insert(name, Given { value, origin })),
            _ => drop(self.job.values.insert(name, Given { value, origin })),
        }
    }

    /// The value that counts for `name`.
    pub fn get(&self, name: &str) -> Option<Given> {
        let environment = || Some((self.environment.get(name)?.clone(), Origin::Environment));
        self.flag(name)
            .or_else(|| environment().map(|(value, origin)| Given { value, origin }))
            .or_else(|| self.of_files(name))
    }

    /// The value that was given for `name` by flag or file, whatever the environment says.
    pub fn deliberate_value(&self, name: &str) -> Option<Given> {
        self.flag(name).or_else(|| self.of_files(name))
    }

    /// The environment variable that the job file names for a secret, where no file for it is named in a higher place.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        let variable = self.job.variables.get(name)?;
        let file = format!("{name}_FILE");
        let is_higher = |given: Given| !matches!(given.origin, Origin::JobFile { .. });
        (!self.get(&file).is_some_and(is_higher)).then_some(variable)
    }

    /// The component that the job file names.
    pub fn component(&self) -> &JobComponent {
        &self.job.component
    }

    /// Whether there is a job file, usable or not.
    pub fn has_job_file(&self) -> bool {
        self.has_job_file
    }

    /// The keys of the job file that only the component can know.
    pub fn job_keys(&self) -> &[Key] {
        &self.job.keys
    }

    /// The names of all that was given by flags and files, also of the secrets that the job file names a variable for.
    pub fn given_names(&self) -> BTreeSet<&str> {
        let names = self.flags.keys().chain(self.env_files.keys());
        let of_job = self.job.values.keys().chain(self.job.variables.keys());
        names.chain(of_job).map(String::as_str).collect()
    }

    /// The lines of env files that count, by name.
    pub fn env_files(&self) -> &BTreeMap<String, Given> {
        &self.env_files
    }

    /// The value that `--set` gave for `name`.
    pub fn flag(&self, name: &str) -> Option<Given> {
        let value = self.flags.get(name)?.clone();
        let origin = Origin::Flag;
        Some(Given { value, origin })
    }

    /// Names given by flag or env file, with their place: each of them must be known.
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

    fn of_files(&self, name: &str) -> Option<Given> {
        let given = self.env_files.get(name);
        given.or_else(|| self.job.values.get(name)).cloned()
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

    fn read_job_file(
        &mut self,
        path: &Path,
        resource: Option<&str>,
        files: &GivenFiles,
        problems: &mut Vec<Problem>,
    ) {
        match files.text(path, Holds::Trusted) {
            Ok(text) => {
                self.job = job_file::read(path, &text, resource, problems);
                let message = match (resource, &*self.job.resources) {
                    (None, []) => None,
                    (None, several) => Some(format!(
                        "has several resources, and this is done for one: choose it with `--resource` ({})",
                        listed(several)
                    )),
                    (Some(_), []) => Some("has no resources: leave out `--resource`".to_owned()),
                    (Some(name), several) => chosen(name, several).err(),
                };
                problems.extend(message.map(|message| Problem::new(JOB_FILE, message)));
            }
            Err(error) => {
                let message = format!("`{}` was not used: {error}", path.display());
                problems.push(Problem::new(JOB_FILE, message));
            }
        }
        for name in self.job.variables.keys() {
            let file = format!("{name}_FILE");
            if let Some(file) = self.job.values.get(&file) {
                let (named, variable) = job_file::references(name);
                let message =
                    format!("is given by `{named}` and by `{variable}`: remove one of the two");
                problems.push(Problem::of(name, message, file.origin.clone()));
            }
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
        for (number, entry) in entries(text) {
            let origin = Origin::EnvFile {
                path: path.to_owned(),
                line: number,
            };
            match parse_line(entry) {
                Ok(None) => {}
                Ok(Some((name, value))) => {
                    if let Some(first) = seen.insert(name.clone(), number) {
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

/// One of several that share settings.
struct Resource {
    name: String,
    /// What its job is called by default.
    default: String,
    /// Where it begins.
    at: Origin,
}

impl Resource {
    /// The one that is read: of a job file with several, or an env file beside the shared one.
    fn of(given: &GivenArgs, job: &JobFile) -> Option<Self> {
        let stem = |path: &Path| Some(path.file_stem()?.to_string_lossy().into_owned());
        if let (Some(name), Some((at, _)), Some(path)) =
            (&given.resource, &job.resource, &given.job)
        {
            return Some(Self {
                name: name.clone(),
                default: format!("{}_{name}", stem(path)?),
                at: at.clone(),
            });
        }
        let (own, others) = given.env_file.split_last()?;
        let is_shared = |path: &PathBuf| path.file_name().is_some_and(|name| name == SHARED_FILE);
        if is_shared(own) || !others.iter().any(is_shared) {
            return None;
        }
        let name = stem(own)?;
        Some(Self {
            default: name.clone(),
            name,
            at: Origin::EnvFile {
                path: own.clone(),
                line: 1,
            },
        })
    }

    /// Whether it is its own value that came from there.
    fn is_own(&self, name: &str, origin: &Origin, job: &JobFile) -> bool {
        match (origin, &self.at) {
            (Origin::EnvFile { path, .. }, Origin::EnvFile { path: own, .. }) => path == own,
            (Origin::JobFile { .. }, _) => job
                .resource
                .as_ref()
                .is_some_and(|(_, own)| own.contains(name)),
            _ => false,
        }
    }
}

/// What was given may be a secret: it does not outlive its use in memory.
fn wiped(value: String) -> Text {
    Text::new(Zeroizing::new(value))
}
