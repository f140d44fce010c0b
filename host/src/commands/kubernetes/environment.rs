//! The settings of a job in its container: values, and for what is secret or a file, a key of its Secret.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::settings::catalogue::{
    self, ALLOW_ENVIRONMENT, JOB_NAME, METRICS_FILE, OUTPUT_DIR, SOURCE_API_URL,
};
use crate::settings::component_settings::{HEADERS, SCHEMA};
use crate::settings::database_url::DatabaseUrl;
use crate::settings::host::HostPlan;
use crate::settings::inputs::{Given, Inputs};

/// Where the keys of the Secret are files.
pub const SECRETS: &str = "/secrets";
/// Where the job files of an Indexed Job are.
pub const JOBS: &str = "/jobs";
pub const TMP: &str = "/tmp";
pub const CACHE: &str = "/tmp/tidegate";

/// What a job is given in its container.
pub struct Environment {
    /// By name.
    pub values: BTreeMap<String, String>,
    pub secrets: Vec<Key>,
    /// Where they are.
    secrets_at: String,
    /// Where a volume for its data is mounted, if it needs one.
    pub folder: Option<String>,
    /// What cannot be so in a container.
    pub problems: Vec<String>,
}

/// A key of the Secret of a job.
pub struct Key {
    pub key: String,
    /// Where its value is on this machine; never the value.
    pub source: String,
}

/// Whether a setting is a secret or names a file: what is wrong with that on this machine says nothing of another.
pub fn is_elsewhere(name: &str) -> bool {
    catalogue::secret(name).is_some() || name.ends_with("_FILE")
}

impl Environment {
    /// `secrets_at`: the folder of its secrets in the container.
    pub fn new(
        inputs: &Inputs,
        host: &HostPlan,
        has_own_component: bool,
        secrets_at: String,
    ) -> Self {
        let mut environment = Self {
            values: BTreeMap::new(),
            secrets: Vec::new(),
            secrets_at,
            folder: None,
            problems: Vec::new(),
        };
        let layers = inputs.layers();
        for name in layers.given_names() {
            if let Some(given) = layers.deliberate_value(name) {
                environment.take(name, &given);
            } else if let Some(variable) = layers.variable(name) {
                let source = format!("the environment variable {}", variable.name);
                environment.refer(name, &format!("{name}_FILE"), source);
            }
        }
        if has_own_component {
            // What it had from a file it now has from the environment, where each name is granted.
            let granted = environment.values.keys().chain(&host.allow_environment);
            let granted: BTreeSet<&str> = granted
                .map(String::as_str)
                .filter(|name| !is_not_granted(name))
                .collect();
            let granted: Vec<&str> = granted.into_iter().collect();
            if !granted.is_empty() {
                environment.set(ALLOW_ENVIRONMENT.row.name, &granted.join(","));
            }
        }
        if let Some(folder) = &host.output_dir {
            environment.set(JOB_NAME.row.name, &host.job);
            environment.keep_data(folder, host);
        }
        environment
    }

    fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    fn take(&mut self, name: &str, given: &Given) {
        let value = given.value.as_str();
        let is_inline = |row: &catalogue::Row| row.name == name && !row.is_secret_value(value);
        let here = || format!("the value of {name} in {}", given.origin);
        match catalogue::secret(name) {
            Some(row) if is_inline(row) => self.set(name, value),
            Some(row) => {
                let source = if row.name == name {
                    here()
                } else {
                    format!("the file `{value}`")
                };
                self.refer(row.name, &format!("{}_FILE", row.name), source);
            }
            None if name == METRICS_FILE.row.name => self.problems.push(format!(
                "{name} is read by nobody in a container: leave it out"
            )),
            // It may hold a credential of the user's own.
            None if name == HEADERS => self.refer(name, &format!("{name}_FILE"), here()),
            None if names_a_file(name, value) => {
                self.refer(name, name, format!("the file `{value}`"));
            }
            None => self.set(name, value),
        }
    }

    /// The setting `by` names the file that the key `key` of the Secret is.
    fn refer(&mut self, key: &str, by: &str, source: String) {
        let file = format!("{}/{key}", self.secrets_at);
        self.set(by, &file);
        if self.secrets.iter().any(|known| known.key == key) {
            return;
        }
        self.secrets.push(Key {
            key: key.to_owned(),
            source,
        });
    }

    /// A volume at the folder above OUTPUT_DIR, which the job then makes as its own.
    fn keep_data(&mut self, folder: &Path, host: &HostPlan) {
        let above = folder.parent().filter(|above| above.parent().is_some());
        let taken = [SECRETS, JOBS, TMP];
        let Some(above) = above.filter(|above| {
            folder.is_absolute() && !taken.iter().any(|taken| above.starts_with(taken))
        }) else {
            let name = OUTPUT_DIR.row.name;
            self.problems.push(format!(
                "{name} must be an absolute path of two names or more, such as `/srv/sync/orders`, and not below `{TMP}`, `{JOBS}` or `{SECRETS}`"
            ));
            return;
        };
        if let Some(DatabaseUrl::Sqlite(file)) = &host.database
            && !file.starts_with(above)
        {
            self.problems.push(format!(
                "the SQLite file must be below `{}`, where the volume is",
                above.display()
            ));
        }
        self.folder = Some(above.display().to_string());
        self.set(OUTPUT_DIR.row.name, &folder.display().to_string());
    }
}

/// What no grant gives, or needs to.
fn is_not_granted(name: &str) -> bool {
    let own = [SOURCE_API_URL.row.name, ALLOW_ENVIRONMENT.row.name];
    catalogue::secret(name).is_some() || own.contains(&name)
}

/// Whether the value is a path. A schema may be given itself, too.
fn names_a_file(name: &str, value: &str) -> bool {
    name.ends_with("_FILE") || (name == SCHEMA && !value.trim_start().starts_with('{'))
}
