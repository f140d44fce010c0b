//! The jobs of a folder: which files are jobs, what they are called, and how a file becomes a job.
//!
//! Files directly in the folder belong to no tenant, those in a folder there to the tenant that it is named after. Deeper
//! folders, hidden files and files with other endings are not looked at. A job file with several resources is as many jobs.
//! The lines of `_shared.env` count for all env files of its folder.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::cli::GivenArgs;
use crate::given_file::{Holds, read_regular};
use crate::limits::{
    FLEET_ENTRIES_MAX, FLEET_NAME_BYTES_MAX, FLEET_SHARDS_MAX, Limits, RESOURCES_MAX,
};
use crate::outcome::{Failure, OrFail as _, Outcome};
use crate::settings::job_file::resources::{chosen, is_name, names};
use crate::settings::layers::SHARED_FILE;
use crate::words;

/// One job of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetJob {
    /// Empty for a file directly in the folder.
    pub tenant: String,
    /// The name of the file without its ending, and of a resource its name behind that.
    pub name: String,
    pub file: PathBuf,
    /// Which of its resources it is, where a job file has several.
    pub resource: Option<String>,
    /// The env file whose lines count for all of its folder.
    pub shared: Option<PathBuf>,
    /// Why it is not started (78).
    pub refused: Option<String>,
}

/// What a file is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    EnvFile,
    JobFile,
}

impl Form {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "env" => Some(Self::EnvFile),
            "toml" => Some(Self::JobFile),
            _ => None,
        }
    }
}

impl FleetJob {
    /// `tenant/name`, or the name alone.
    pub fn label(&self) -> String {
        match &*self.tenant {
            "" => self.name.clone(),
            tenant => format!("{tenant}/{}", self.name),
        }
    }

    /// The part that this job is in, of so many, from 0.
    pub fn part_of(&self, parts: u32) -> u32 {
        let digest = crate::hash::sha256(self.label().as_bytes());
        u32::from_str_radix(&digest[..8], 16).unwrap_or(0) % parts
    }

    /// What counts for this job: what was given for all of them, and its own file. The one place where a file becomes a job.
    pub fn given(&self, shared: &GivenArgs) -> GivenArgs {
        let (mut given, file) = (shared.clone(), self.file.clone());
        // For all of them that is the folder.
        given.job = None;
        // Under a policy a folder is a tenant; `--tenant` is whose the files are that are in none.
        if given.under.policy.is_some() && !self.tenant.is_empty() {
            given.under.tenant = Some(self.tenant.clone());
        }
        given.resource.clone_from(&self.resource);
        match Form::of(&file) {
            Some(Form::JobFile) => given.job = Some(file),
            Some(Form::EnvFile) | None => {
                given.env_file.extend(self.shared.clone());
                given.env_file.push(file);
            }
        }
        given
    }

    /// The job file, or the folder, that it shares settings with others in.
    pub fn family(&self) -> Option<&Path> {
        let is_of_file = self.resource.is_some();
        let shared = self.shared.as_deref().and_then(Path::parent);
        let family = if is_of_file {
            Some(&*self.file)
        } else {
            shared
        };
        family.filter(|_| self.refused.is_none())
    }

    /// What it is called in its family.
    pub fn member(&self) -> &str {
        self.resource.as_deref().unwrap_or(&self.name)
    }
}

/// The jobs, by their index, that run together: those of a family, each other job by itself.
pub fn units(jobs: &[FleetJob]) -> Vec<Vec<usize>> {
    let mut units: Vec<Vec<usize>> = Vec::new();
    let mut of_family: BTreeMap<&Path, usize> = BTreeMap::new();
    for (index, job) in jobs.iter().enumerate() {
        let unit = job
            .family()
            .map(|family| *of_family.entry(family).or_insert(units.len()));
        match unit.and_then(|unit| units.get_mut(unit)) {
            Some(unit) => unit.push(index),
            None => units.push(vec![index]),
        }
    }
    units
}

/// Each job by itself.
pub fn alone(jobs: &[FleetJob]) -> Vec<Vec<usize>> {
    (0..jobs.len()).map(|job| vec![job]).collect()
}

/// The members of a family of these names. Which of them are there was looked at before.
pub fn members(family: &Path, names: &[String]) -> Vec<FleetJob> {
    let is_folder = family.is_dir();
    let member = |name: &String| FleetJob {
        tenant: String::new(),
        name: name.clone(),
        file: if is_folder {
            family.join(format!("{name}.env"))
        } else {
            family.to_owned()
        },
        resource: (!is_folder).then(|| name.clone()),
        shared: is_folder.then(|| family.join(SHARED_FILE)),
        refused: None,
    };
    names.iter().map(member).collect()
}

/// The resources of a job file; none where it has none, or cannot be read: then its run says why.
pub fn resources(file: &Path) -> Vec<String> {
    if Form::of(file) != Some(Form::JobFile) {
        return Vec::new();
    }
    let read = read_regular(file, Limits::default().settings_file_bytes, Holds::Trusted);
    let read = read
        .ok()
        .and_then(|(bytes, _)| Some(names(std::str::from_utf8(&bytes).ok()?)));
    read.unwrap_or_default()
}

/// The jobs of a folder, or those that a file is; of a job file with several resources this one, if one is named.
pub fn at(path: &Path, resource: Option<&str>) -> Result<Vec<FleetJob>, Failure> {
    if path.is_dir() {
        return match resource {
            None => jobs_of(path),
            Some(_) => Err(Failure::new(
                Outcome::Usage,
                "`--resource` is for a job file, and this is a folder of jobs: name the job file",
            )),
        };
    }
    if let Err(error) = path.metadata() {
        let message = format!("cannot read the job `{}`: {error}", path.display());
        return Err(Failure::new(Outcome::Settings, message));
    }
    let mut jobs = BTreeMap::new();
    add(&mut jobs, "", path.to_owned());
    if jobs.is_empty() {
        let message = format!(
            "`{}` is no job: a job is a file `NAME.env` or `NAME.toml`",
            path.display()
        );
        return Err(Failure::new(Outcome::Settings, message));
    }
    if let Some(resource) = resource {
        let known: Vec<String> = jobs
            .values()
            .filter_map(|job| job.resource.clone())
            .collect();
        let missing = |why| Failure::new(Outcome::Settings, format!("`{}` {why}", path.display()));
        chosen(resource, &known).map_err(missing)?;
        jobs.retain(|_, job| job.resource.as_deref() == Some(resource));
    }
    Ok(jobs.into_values().collect())
}

/// The jobs of a folder, by tenant and name. `Err` (78): it cannot be read, has no job, or more than a fleet may have.
pub fn jobs_of(folder: &Path) -> Result<Vec<FleetJob>, Failure> {
    let mut jobs = BTreeMap::new();
    for path in entries(folder)? {
        if !path.is_dir() {
            add(&mut jobs, "", path);
            continue;
        }
        let tenant = name_of(&path);
        match entries(&path) {
            Ok(files) => {
                let before = jobs.len();
                for file in files.into_iter().filter(|file| !file.is_dir()) {
                    if jobs.len() - before > FLEET_ENTRIES_MAX {
                        let refused = FleetJob {
                            tenant: shown(&tenant),
                            name: "?".to_owned(),
                            file,
                            resource: None,
                            shared: None,
                            refused: Some(format!(
                                "more than {FLEET_ENTRIES_MAX} jobs, the resources of job files among them: divide the folder"
                            )),
                        };
                        jobs.insert((tenant.clone(), String::new()), refused);
                        break;
                    }
                    add(&mut jobs, &tenant, file);
                }
            }
            // A folder of one tenant is no reason to leave out the others.
            Err(failure) => {
                let job = FleetJob {
                    tenant: shown(&tenant),
                    name: "?".to_owned(),
                    file: path,
                    resource: None,
                    shared: None,
                    refused: Some(failure.message),
                };
                jobs.insert((tenant, String::new()), job);
            }
        }
    }
    if jobs.is_empty() {
        return Err(Failure::new(
            Outcome::Settings,
            format!(
                "`{}` has no job: a job is a file `NAME.env` or `NAME.toml`, there or in a folder named after its tenant",
                folder.display()
            ),
        ));
    }
    Ok(jobs.into_values().collect())
}

/// Part K of N of the jobs, by their names: the same job is in the same part whatever other jobs there are.
pub fn part(jobs: Vec<FleetJob>, shard: Option<&str>) -> Result<Vec<FleetJob>, Failure> {
    let Some(shard) = shard else {
        return Ok(jobs);
    };
    let numbers = shard.split_once('/').map(|(part, parts)| {
        let number = |text: &str| text.parse::<u32>().ok();
        number(part).zip(number(parts))
    });
    let numbers = numbers
        .flatten()
        .filter(|(part, parts)| part < parts && *parts <= FLEET_SHARDS_MAX);
    let (part, parts) = numbers.ok_or_else(|| {
        let message = format!(
            "--shard takes a part and how many there are, counted from 0: `0/8` to `7/8` (at most {FLEET_SHARDS_MAX} parts)"
        );
        Failure::new(Outcome::Usage, message)
    })?;
    let is_of_part = |job: &FleetJob| job.part_of(parts) == part;
    Ok(jobs.into_iter().filter(is_of_part).collect())
}

fn add(jobs: &mut BTreeMap<(String, String), FleetJob>, tenant: &str, file: PathBuf) {
    if Form::of(&file).is_none() {
        return;
    }
    let name = file.file_stem().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    if file.file_name() == Some(OsStr::new(SHARED_FILE)) {
        return;
    }
    // A file directly in the folder has no tenant.
    let mut parts = [tenant, &*name]
        .into_iter()
        .skip(usize::from(tenant.is_empty()));
    let wrong = parts.find(|name| !is_name(name));
    let misnamed = wrong.map(|wrong| {
        format!(
            "`{}` cannot be the name of a tenant or a job: use at most {FLEET_NAME_BYTES_MAX} of `a` to `z`, `0` to `9`, `_` and `-`",
            shown(wrong)
        )
    });
    let shared = (Form::of(&file) == Some(Form::EnvFile))
        .then(|| file.with_file_name(SHARED_FILE))
        .filter(|shared| shared.symlink_metadata().is_ok());
    let refused = misnamed
        .or_else(|| leads_out(tenant, &file))
        .or_else(|| leads_out(tenant, shared.as_ref()?));
    let resources = refused.is_none().then(|| resources(&file));
    let mut resources = resources.unwrap_or_default();
    let too_many = (resources.len() > RESOURCES_MAX).then(|| {
        resources.clear();
        format!("it has more than {RESOURCES_MAX} resources: divide it")
    });
    let refused = refused.or(too_many);
    let job = FleetJob {
        tenant: shown(tenant),
        name: shown(&name),
        file,
        resource: None,
        shared,
        refused,
    };
    if resources.is_empty() {
        insert(jobs, tenant, &name, job);
        return;
    }
    for resource in resources {
        let name = format!("{name}_{}", shown(&resource));
        let misnamed = format!("`{}` cannot be the name of a resource", shown(&resource));
        let job = FleetJob {
            name: name.clone(),
            refused: (!is_name(&resource)).then_some(misnamed),
            resource: Some(resource),
            ..job.clone()
        };
        insert(jobs, tenant, &name, job);
    }
}

/// Adds a job, or refuses it and the one of the same name.
fn insert(
    jobs: &mut BTreeMap<(String, String), FleetJob>,
    tenant: &str,
    name: &str,
    job: FleetJob,
) {
    match jobs.entry((tenant.to_owned(), name.to_owned())) {
        Entry::Vacant(free) => drop(free.insert(job)),
        Entry::Occupied(mut known) => {
            let (first, second) = (name_of(&known.get().file), name_of(&job.file));
            known.get_mut().refused = Some(format!(
                "there are two jobs of this name, in `{}` and `{}`",
                shown(&first),
                shown(&second)
            ));
        }
    }
}

/// Why a file of a tenant's is not read: it is a link to a file that is not in his folder, such as another tenant's. A link inside
/// of it is fine; whoever may change the folder while the fleet starts is under a policy's rules, not under this one.
fn leads_out(tenant: &str, file: &Path) -> Option<String> {
    let folder = file.parent().filter(|_| !tenant.is_empty())?;
    let is_inside = || {
        Some(
            file.canonicalize()
                .ok()?
                .starts_with(folder.canonicalize().ok()?),
        )
    };
    (is_inside() != Some(true)).then(|| {
        "it is a link that leads out of the folder of its tenant, or to nothing: put the file itself there".to_owned()
    })
}

/// The visible entries of a folder, by name. The limit is of each folder: a tenant fills his own.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let doing = || format!("cannot read the folder of jobs `{}`", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).or_fail(Outcome::Settings, doing)? {
        let path = entry.or_fail(Outcome::Settings, doing)?.path();
        if found.len() == FLEET_ENTRIES_MAX {
            return Err(Failure::new(
                Outcome::Settings,
                format!(
                    "`{}` has more than {FLEET_ENTRIES_MAX} entries; divide it",
                    folder.display()
                ),
            ));
        }
        if !name_of(&path).starts_with('.') {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// A name that somebody chose, as it may be shown.
fn shown(name: &str) -> String {
    words::shown(name, FLEET_NAME_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    fn labels(files: &[&str]) -> Vec<(String, bool)> {
        let folder = folder(files);
        let jobs = jobs_of(folder.path()).unwrap();
        let jobs = jobs.iter();
        jobs.map(|job| (job.label(), job.refused.is_none()))
            .collect()
    }

    #[test]
    fn a_job_is_a_file_there_or_in_the_folder_of_a_tenant() {
        let files = [
            "own.env",
            "acme/orders.env",
            "acme/a.env",
            "zoo/x.toml",
            "README.md",
            "acme/api.key",
            ".hidden.env",
            ".git/x.env",
            "acme/deep/y.env",
        ];

        let expected = ["own", "acme/a", "acme/orders", "zoo/x"];
        assert_eq!(labels(&files), expected.map(|job| (job.to_owned(), true)));
    }

    #[test]
    fn a_name_that_is_none_refuses_its_job_alone() {
        let long = format!("{}.env", "x".repeat(64));
        let files = [
            "Orders.env",
            "fine.env",
            "acme/a b.env",
            "Acme/x.env",
            "acme/\u{1b}[2J.env",
            &long,
        ];

        let jobs = labels(&files);

        let good: Vec<&str> = jobs
            .iter()
            .filter(|(_, is_good)| *is_good)
            .map(|(label, _)| label.as_str())
            .collect();
        assert_eq!(good, ["fine"]);
        assert_eq!(jobs.len(), files.len());
        assert!(
            jobs.iter()
                .all(|(label, _)| !label.chars().any(words::steers))
        );
    }

    #[test]
    fn a_link_out_of_the_folder_of_a_tenant_is_refused_alone() {
        let folder = folder(&["acme/real.env", "beta/secret.env", "shared.env"]);
        let at = |name: &str| folder.path().join(name);
        for (to, name) in [
            ("../beta/secret.env", "acme/theirs.env"),
            ("../shared.env", "acme/shared.env"),
            ("real.env", "acme/own.env"),
            ("nowhere.env", "acme/gone.env"),
            ("shared.env", "operators.env"),
        ] {
            std::os::unix::fs::symlink(to, at(name)).unwrap();
        }

        let jobs = jobs_of(folder.path()).unwrap();

        let refused = jobs.iter().filter(|job| job.refused.is_some());
        let refused: Vec<String> = refused.map(FleetJob::label).collect();
        assert_eq!(refused, ["acme/gone", "acme/shared", "acme/theirs"]);
    }

    #[test]
    fn two_files_of_one_name_are_one_job_that_is_refused() {
        let jobs = labels(&["a/orders.env", "a/orders.toml", "a/x.toml"]);

        assert_eq!(
            jobs,
            [("a/orders".to_owned(), false), ("a/x".to_owned(), true)]
        );
    }

    #[test]
    fn a_tenant_with_more_files_than_are_read_is_refused_alone() {
        let folder = folder(&["many/a.env", "few/a.env"]);
        for index in 0..FLEET_ENTRIES_MAX {
            std::fs::File::create(folder.path().join(format!("many/{index}"))).unwrap();
        }

        let jobs = jobs_of(folder.path()).unwrap();

        assert_eq!(jobs.len(), 2);
        assert_eq!(
            (jobs[0].label(), &jobs[0].refused),
            ("few/a".to_owned(), &None)
        );
        let refused = jobs[1].refused.as_ref().unwrap();
        assert!(refused.contains("more than 10000 entries"), "{refused}");
    }

    #[test]
    fn a_folder_without_a_job_and_one_that_is_not_there_are_78() {
        let empty = folder(&["README.md"]);

        for path in [empty.path(), Path::new("/nowhere")] {
            let failure = jobs_of(path).unwrap_err();
            assert_eq!(failure.outcome, Outcome::Settings);
        }
    }

    #[test]
    fn every_job_is_in_one_part() {
        let folder = folder(&["a/1.env", "a/2.env", "b/1.env", "b/2.env", "own.env"]);
        let all = jobs_of(folder.path()).unwrap();

        let parts = (0..3).map(|part| super::part(all.clone(), Some(&format!("{part}/3"))));
        let mut together: Vec<FleetJob> = parts.flat_map(Result::unwrap).collect();

        together.sort_by_key(FleetJob::label);
        let mut all_by_name = all.clone();
        all_by_name.sort_by_key(FleetJob::label);
        assert_eq!(together, all_by_name);
        assert_eq!(part(all.clone(), None).unwrap(), all);
        for wrong in ["3/3", "0/0", "1", "a/b", "-1/3", "0/10001"] {
            let failure = part(all.clone(), Some(wrong)).unwrap_err();
            assert_eq!(failure.outcome, Outcome::Usage, "{wrong}");
        }
    }

    #[test]
    fn its_own_file_counts_after_the_shared_ones() {
        let folder = folder(&["orders.env", "x.toml"]);
        let shared = GivenArgs {
            job: Some(folder.path().to_owned()),
            env_file: vec![PathBuf::from("all.env")],
            ..GivenArgs::default()
        };

        let jobs = jobs_of(folder.path()).unwrap();

        let (env, toml) = (jobs[0].given(&shared), jobs[1].given(&shared));
        let all = PathBuf::from("all.env");
        assert_eq!(
            env.env_file,
            [all.clone(), folder.path().join("orders.env")]
        );
        assert_eq!(env.job, None);
        assert_eq!(toml.env_file, [all]);
        assert_eq!(toml.job, Some(folder.path().join("x.toml")));
    }
}
