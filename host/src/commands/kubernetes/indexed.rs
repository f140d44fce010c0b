//! One CronJob for all jobs of a folder: each of its pods runs a part of them, as one of several machines would.
//!
//! The pods have the folder as it is here: a ConfigMap a job holds its job file. Secrets are keys of a Secret a job, as
//! elsewhere; one that is missing is a failure of that job, and none of the pod's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::environment::{JOBS, SECRETS};
use super::{Container, Described, Printed, cron_job, name, schedule};
use crate::cli::KubernetesArgs;
use crate::commands::fleet::share;
use crate::limits::{FLEET_JOB_DEADLINE_MAX, KUBERNETES_CONFIG_BYTES_MAX};
use crate::outcome::{Failure, Outcome};
use crate::settings::catalogue::{self, Group};
use crate::settings::job_file::value::{Takes, quoted};

/// The key of a ConfigMap that is a job file.
const JOB_FILE: &str = "job.toml";
/// What the process needs that starts the runs of a pod.
const FLEET_MEMORY_MIB: u64 = 128;

/// The job file of each job, the claims, and the CronJob. `Err`: a job file is larger than a ConfigMap may be.
pub fn manifests(
    jobs: &[Described],
    parts: u32,
    given: &Path,
    args: &KubernetesArgs,
) -> Result<Vec<Printed>, Failure> {
    let name = name::of_folder(given);
    let mut claims = BTreeMap::new();
    let mut printed = Vec::new();
    for job in jobs {
        let text = job_file(job);
        if text.len() > KUBERNETES_CONFIG_BYTES_MAX {
            let label = job.job.label();
            let message = format!(
                "{label}: its settings are larger than a ConfigMap may be (at most {KUBERNETES_CONFIG_BYTES_MAX} bytes): put its files into the image; nothing was printed"
            );
            return Err(Failure::new(Outcome::Settings, message));
        }
        let mut manifests = vec![json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": job.metadata(args),
            "data": {JOB_FILE: text},
        })];
        // Jobs with the same folder above theirs share its volume.
        if let Some(folder) = &job.environment.folder
            && !claims.contains_key(folder)
        {
            claims.insert(folder.clone(), job.name.clone());
            manifests.push(job.claim("ReadWriteMany", args));
        }
        printed.push(Printed {
            comments: job.comments(args),
            manifests,
        });
    }
    let labels = json!({"app.kubernetes.io/name": "tidegate", "app.kubernetes.io/instance": name});
    let mut metadata = json!({"name": name, "labels": labels});
    if let Some(namespace) = &args.namespace {
        metadata["namespace"] = json!(namespace);
    }
    let spec = json!({
        "completionMode": "Indexed",
        "completions": parts,
        "parallelism": parts,
        // A pod ends badly where one of its jobs does: the others go on, and the next interval tries it again.
        "backoffLimitPerIndex": 0,
        // A pod that its node lost is started again on another.
        "podFailurePolicy": {"rules": [{
            "action": "Ignore",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
        }]},
        "activeDeadlineSeconds": slowest(
            jobs.iter().map(|job| (job.job.part_of(parts), &*job.job.tenant, job.seconds_max())),
            args.parallel,
        ),
        "template": {
            "metadata": {"labels": labels},
            "spec": pod(jobs, parts, &claims, &labels, args),
        },
    });
    printed.push(Printed {
        comments: format!("# All jobs, {parts} pods\n"),
        manifests: vec![cron_job(&metadata, &schedule(&name, args), &spec)],
    });
    Ok(printed)
}

/// What the slowest part may take, of jobs that each have a part, a tenant, and seconds that they may take.
fn slowest<'j>(jobs: impl Iterator<Item = (u32, &'j str, u64)>, parallel: u16) -> u64 {
    let mut parts: BTreeMap<u32, (BTreeSet<&str>, u64, u64)> = BTreeMap::new();
    for (part, tenant, seconds) in jobs {
        let (tenants, sum, longest) = parts.entry(part).or_default();
        tenants.insert(tenant);
        *sum += seconds;
        *longest = seconds.max(*longest);
    }
    let times = parts.into_values().map(|(tenants, sum, longest)| {
        // Before the last job begins, so many run at any time: its tenant's, or all that may.
        let at_once = share(parallel.into(), tenants.len());
        sum.div_ceil(at_once as u64) + longest
    });
    times.max().unwrap_or(0)
}

fn pod(
    jobs: &[Described],
    parts: u32,
    claims: &BTreeMap<String, String>,
    labels: &Value,
    args: &KubernetesArgs,
) -> Value {
    let files = jobs.iter().map(|job| {
        let path = format!("{}.toml", job.job.label());
        json!({"configMap": {"name": job.name, "items": [{"key": JOB_FILE, "path": path}]}})
    });
    let files: Vec<Value> = files.collect();
    let with_secrets = jobs
        .iter()
        .filter(|job| !job.environment.secrets.is_empty());
    let secrets = with_secrets.map(|job| {
        let items = job.items(|key| format!("{}/{key}", job.name));
        json!({"secret": {"name": job.name, "optional": true, "items": items}})
    });
    let secrets: Vec<Value> = secrets.collect();
    let mut volumes = Vec::new();
    let mut mounts = Vec::new();
    for (volume, folder, sources) in [("jobs", JOBS, files), ("secrets", SECRETS, secrets)] {
        if !sources.is_empty() {
            let projected = json!({"defaultMode": 0o440, "sources": sources});
            volumes.push(json!({"name": volume, "projected": projected}));
            mounts.push(json!({"name": volume, "mountPath": folder, "readOnly": true}));
        }
    }
    for (nth, (folder, claim)) in claims.iter().enumerate() {
        let volume = format!("data-{nth}");
        let claim = json!({"claimName": claim});
        volumes.push(json!({"name": volume, "persistentVolumeClaim": claim}));
        mounts.push(json!({"name": volume, "mountPath": folder}));
    }
    let longest = jobs.iter().map(Described::seconds_max).max().unwrap_or(0);
    let largest = jobs.iter().map(Described::mib_max).max().unwrap_or(0);
    let deadline = longest.min(FLEET_JOB_DEADLINE_MAX.as_secs());
    let at_once = args.parallel.to_string();
    let deadline = format!("{deadline}s");
    // Kubernetes replaces the variable, which every pod of an Indexed Job has.
    let part = format!("$(JOB_COMPLETION_INDEX)/{parts}");
    let arguments = [
        "run",
        JOBS,
        "--shard",
        &part,
        "--parallel",
        &at_once,
        "--job-deadline",
        &deadline,
    ];
    let container = Container {
        arguments: arguments.map(str::to_owned).into(),
        environment: Vec::new(),
        mounts,
        volumes,
        memory_mib: FLEET_MEMORY_MIB + largest * u64::from(args.parallel),
        at_once: args.parallel.into(),
    };
    let mut pod = container.pod(args);
    // The machines divide them, where there are several.
    pod["topologySpreadConstraints"] = json!([{
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }]);
    pod
}

/// The job as a job file.
fn job_file(job: &Described) -> String {
    let mut out = String::new();
    let component = &job.component;
    let path = component
        .path
        .as_ref()
        .map(|path| path.display().to_string());
    let keys = [("path", &path), ("sha256", &component.sha256)];
    let mut lines = String::new();
    for (key, value) in keys {
        if let Some(value) = value {
            let _ = writeln!(lines, "{key} = {}", quoted(value));
        }
    }
    table(&mut out, "component", &lines);
    for group in Group::ALL {
        let mut lines = String::new();
        let values = job.environment.values.iter();
        for (name, value) in values.filter(|(name, _)| group_of(name) == group) {
            let _ = writeln!(lines, "{}", Takes::default().line(name, value));
        }
        table(&mut out, group.table(), &lines);
    }
    out
}

fn table(out: &mut String, name: &str, lines: &str) {
    if !lines.is_empty() {
        let _ = write!(out, "[{name}]\n{lines}");
    }
}

/// The table of a setting, or of the file that holds it.
fn group_of(name: &str) -> Group {
    let of_file = name.strip_suffix("_FILE").and_then(catalogue::row);
    let row = catalogue::row(name).or(of_file);
    row.map_or(Group::Source, |row| row.group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_several_tenants_takes_as_long_as_jobs_of_one_that_have_half_of_the_places() {
        let of_one = [(0, "acme", 100); 4];
        let of_two = [of_one.as_slice(), &[(0, "zoo", 100)]].concat();
        let elsewhere = [of_one.as_slice(), &[(1, "zoo", 100)]].concat();

        let slowest =
            [&of_one[..], &of_two, &elsewhere].map(|jobs| slowest(jobs.iter().copied(), 4));

        assert_eq!(slowest, [200, 350, 200]);
    }
}
