//! The component under test: its file, what it says it is, and the settings that all its runs have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio::runtime::Handle;

use crate::cli::{GivenArgs, TestArgs};
use crate::component::shape::{self, Outline};
use crate::component::{Connector, Description, Staging, Used, in_words_alone};
use crate::folder::Temporary;
use crate::given_file::Holds;
use crate::limits::Limits;
use crate::log::Log;
use crate::outcome::{Failure, OrFail as _, Outcome};
use crate::process::watch::Watch;
use crate::run::setup::{self, Job, Known, refusal};
use crate::settings::catalogue::{
    ALLOW_HOSTS, COMPILE_CPU_LIMIT, DESCRIBE_MEMORY_LIMIT, INSTANCE_LIMIT, JOB_NAME, MAX_RETRIES,
    OUTPUT_DATABASE_URL, OUTPUT_DIR, OUTPUT_FORMAT, PRIMARY_KEY, RETRY_PAUSE, RUN_DEADLINE, Row,
    SOURCE_API_KEY, SOURCE_API_URL, SOURCE_SIGNING_KEY, TABLE_LIMIT, WRITE_MODE,
};
use crate::settings::env_file;
use crate::settings::host::HostPlan;

/// What stands for the origin of the scripted API in the value of a setting.
const API: &str = "{api}";
/// Where the API is while nothing may be asked of it.
const NOWHERE: &str = "http://127.0.0.1:9";
/// Settings of the built-in component.
const BUILT_IN: &str = include_str!("built_in.env");
/// What the command decides itself.
const OWN: [&Row; 6] = [
    &OUTPUT_DIR.row,
    &OUTPUT_FORMAT.row,
    &OUTPUT_DATABASE_URL.row,
    &WRITE_MODE.row,
    &JOB_NAME.row,
    &ALLOW_HOSTS.row,
];
/// What counts before the component says what it is.
const LIMITS: [&Row; 4] = [
    &COMPILE_CPU_LIMIT.row,
    &DESCRIBE_MEMORY_LIMIT.row,
    &TABLE_LIMIT.row,
    &INSTANCE_LIMIT.row,
];
/// What decides where compiled components are kept; of the machine's environment nothing else is used.
const KEPT: [&str; 4] = [
    "TIDEGATE_CACHE_DIR",
    "CACHE_DIRECTORY",
    "XDG_CACHE_HOME",
    "HOME",
];

/// A component file, as far as it can be understood.
pub struct Subject {
    pub runtime: Handle,
    /// Where its runs publish; removed at the end.
    pub folder: PathBuf,
    /// A copy of its file, which nobody changes meanwhile. `None`: it is the one in the binary.
    file: Option<PathBuf>,
    pub bytes: usize,
    pub sha256: String,
    pub outline: Outline,
    /// `Err`: it is refused, or does not say what it is.
    pub description: Result<Description, Failure>,
    /// Loaded once for all its runs, each of which would read and verify its compiled form again.
    connector: Option<Connector>,
    /// Settings of all its runs, with [`API`] in them.
    pub settings: BTreeMap<String, String>,
    /// The environment of all its runs.
    pub environment: Vec<(String, String)>,
    /// What it needed to say what it is; as much as nothing where it did not.
    pub described_with: Used,
    /// As these settings have them.
    pub limits: Limits,
}

impl Subject {
    /// Reads the component, asks it what it is, and holds the settings against that. `Err`: it cannot be read (78), or the
    /// settings cannot be used (64, 78).
    pub fn new(
        args: &TestArgs,
        environment: Vec<(String, String)>,
        folder: &Temporary,
        runtime: &Handle,
        watch: &Watch,
    ) -> Result<Self, Failure> {
        let above = folder.folder().path().to_owned();
        let given = GivenArgs {
            set: (args.set.iter())
                .filter(|flag| is_limit(flag))
                .cloned()
                .collect(),
            ..GivenArgs::default()
        };
        let environment = kept(environment, &above);
        let (_, host) = setup::read(&given, environment.iter().cloned(), &watch.stop);
        watch.stop.set_deadline(Limits::default().run_deadline);
        let limits = host.limits.clone();
        let bytes = match &args.component {
            None => setup::BUILT_IN.to_vec(),
            Some(path) => setup::read_component(path, Holds::Other, &limits)?,
        };
        let file = args
            .component
            .as_ref()
            .map(|_| above.join("component.wasm"));
        if let Some(file) = &file {
            std::fs::write(file, &bytes)
                .or_fail(Outcome::IoFailed, || "cannot copy the component")?;
        }
        let mut outline = shape::outline(&bytes, &limits);
        let verdict = std::mem::replace(&mut outline.verdict, Ok(()));
        let (size, sha256) = (bytes.len(), crate::hash::sha256(&bytes));
        let description = match verdict {
            Err(refused) if refused.outcome == Outcome::Settings => return Err(refused),
            Err(refused) => Err(refused),
            Ok(()) => watch.block_on(described(bytes, &host, watch)),
        };
        let is_usable = description.is_ok();
        let (connector, description, described_with) = match description {
            Ok((connector, description, used)) => (Some(connector), Ok(description), used),
            Err(failure) => (None, Err(failure), Used::default()),
        };
        let mut subject = Self {
            runtime: runtime.clone(),
            folder: above,
            file,
            bytes: size,
            sha256,
            description,
            connector,
            described_with,
            outline,
            settings: BTreeMap::new(),
            environment,
            limits,
        };
        subject.settle(&args.set)?;
        if is_usable {
            watch.block_on(subject.check(watch))?;
        }
        Ok(subject)
    }

    /// What its runs need not find out again.
    pub fn known(&self) -> Option<Known<'_>> {
        Some(Known {
            connector: self.connector.as_ref()?,
            description: self.description.as_ref().ok()?,
        })
    }

    /// What it stages with the settings of its runs.
    pub fn stages(&self) -> Staging {
        let description = self.description.as_ref().ok();
        description.map_or_else(Staging::default, |known| {
            known.stages(|name| self.settings.contains_key(name))
        })
    }

    /// What a run with these settings is given, with the API at `origin`.
    pub fn given(&self, settings: &BTreeMap<String, String>, origin: &str) -> GivenArgs {
        let settings = settings.iter();
        let set = settings.map(|(name, value)| format!("{name}={}", value.replace(API, origin)));
        GivenArgs {
            set: set.collect(),
            component: self.file.clone(),
            ..GivenArgs::default()
        }
    }

    /// Joins what the author set with what is set for him. `Err`: he set what the command decides.
    fn settle(&mut self, set: &[String]) -> Result<(), Failure> {
        let mut settings = BTreeMap::from(
            [
                (&SOURCE_API_URL.row, "{api}/items"),
                (&MAX_RETRIES.row, "3"),
                (&RETRY_PAUSE.row, "10ms"),
                (&RUN_DEADLINE.row, "60s"),
            ]
            .map(|(row, value)| (row.name.to_owned(), value.to_owned())),
        );
        if self.is_built_in() {
            let lines = BUILT_IN.lines().map(env_file::parse_line);
            settings.extend(lines.filter_map(|line| line.ok().flatten()));
        }
        let mut is_keyed = false;
        for flag in set {
            let (name, value) = understood(flag)?;
            is_keyed |= name == PRIMARY_KEY.row.name;
            if value.is_empty() {
                settings.remove(name);
            } else {
                settings.insert(name.to_owned(), value.to_owned());
            }
        }
        self.settings = settings;
        if self.stages().changes && !is_keyed {
            (self.settings).insert(PRIMARY_KEY.row.name.to_owned(), "/id".to_owned());
        }
        let description = self.description.as_ref().ok();
        let declared = description.into_iter().flat_map(|known| &known.settings);
        let keys = [SOURCE_API_KEY.row.name, SOURCE_SIGNING_KEY.row.name];
        for setting in declared.filter(|setting| keys.contains(&setting.name.as_str())) {
            let key = "a-key-of-tidegate-test".to_owned();
            self.environment.push((setting.name.clone(), key));
        }
        Ok(())
    }

    fn is_built_in(&self) -> bool {
        self.file.is_none() || self.sha256 == crate::hash::sha256(setup::BUILT_IN)
    }

    /// `Err` (78): settings that a run would refuse. Takes over the limits that they set.
    async fn check(&mut self, watch: &Watch) -> Result<(), Failure> {
        let given = self.given(&self.settings, NOWHERE);
        let environment = self.environment.iter().cloned();
        let read = setup::read(&given, environment, &watch.stop);
        watch.stop.set_deadline(Limits::default().run_deadline);
        let log = Log::silent();
        let job = in_words_alone(
            Job::with(&given, read, self.known(), &watch.stop, &log).await,
            &log,
        )?;
        let problems = job.problems(&watch.stop).await?;
        if !problems.is_empty() {
            let failure = refusal(&problems);
            let message = format!(
                "{}; settings of the component are given with `--set NAME=VALUE`, in which {API} is the scripted API",
                failure.message
            );
            return Err(Failure { message, ..failure });
        }
        self.limits = job.host.limits;
        Ok(())
    }
}

/// What of the environment counts; with a cache, as each of the runs would compile the component anew.
fn kept(environment: Vec<(String, String)>, above: &Path) -> Vec<(String, String)> {
    let mut environment = environment;
    environment.retain(|(name, value)| KEPT.contains(&name.as_str()) && !value.is_empty());
    if environment.is_empty() {
        let cache = above.join("cache").display().to_string();
        environment.push((KEPT[0].to_owned(), cache));
    }
    environment
}

/// Whether a flag sets a limit that counts before the component says what it is.
fn is_limit(flag: &str) -> bool {
    LIMITS
        .iter()
        .any(|row| flag.split('=').next() == Some(row.name))
}

/// The component says what it is, twice: what it says may be known from before, and what it needs for that is not.
async fn described(
    bytes: Vec<u8>,
    host: &HostPlan,
    watch: &Watch,
) -> Result<(Connector, Description, Used), Failure> {
    let (log, limits) = (Log::silent(), &host.limits);
    let described = async {
        let cache = host.cache_dir.as_deref();
        let connector = Connector::load(bytes, cache, limits, &log).await?;
        let description = connector.describe(log.clone(), limits).await?;
        let used = connector.describing(log.clone(), limits).await?;
        Ok((connector, description, used))
    };
    in_words_alone(watch.stop.unless(described).await, &log)
}

/// `NAME=VALUE`, if the author may set it.
fn understood(flag: &str) -> Result<(&str, &str), Failure> {
    let usage = |message: String| Err(Failure::new(Outcome::Usage, message));
    let Some((name, value)) = flag.split_once('=') else {
        return usage("--set takes NAME=VALUE, with NAME in upper case".to_owned());
    };
    if OWN.iter().any(|row| row.name == name) {
        return usage(format!(
            "{name} is decided by `tidegate test`, whose runs publish to a temporary folder and ask nobody but the scripted API: leave it out"
        ));
    }
    if name == SOURCE_API_URL.row.name && !value.starts_with(API) {
        return usage(format!(
            "{name} is to begin with `{API}`, which is the origin of the scripted API: for example `--set {name}={API}/items`"
        ));
    }
    Ok((name, value))
}
