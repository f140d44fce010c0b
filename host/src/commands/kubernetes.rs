//! Prints manifests for Kubernetes: a CronJob for each job, or one for all of them whose pods divide them among themselves
//! (`indexed`); and a claim where a job needs a folder.
//!
//! What counts is what was given by flags and files; the environment of whoever prints is not looked at. No secret is
//! printed: each is a key of a Secret that is named after the job. Nothing is printed where one job has a mistake.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::fleet::jobs::{FleetJob, at};
use super::stdout;
use crate::cli::{BUILT_IN_POLICY, KubernetesArgs, OutputKind, UnderArgs};
use crate::limits::RUN_LATE_MAX;
use crate::outcome::{Ended, Failure, Outcome};
use crate::process::stop::Stop;
use crate::process::watch::Watch;
use crate::run::setup;
use crate::settings::host::HostPlan;
use crate::settings::job_file::JobComponent;
use crate::words;

mod environment;
mod indexed;
mod name;
mod yaml;

use environment::{CACHE, Environment, SECRETS, TMP};

/// User and group of the process: nobody's on any node.
const USER: u32 = 65532;
/// What the host needs besides the memory of the component.
const HOST_MEMORY_MIB: u64 = 256;
/// What compiling a large component takes besides: Python's and JavaScript's engines do.
const COMPILE_MEMORY_MIB: u64 = 512;

/// Prints the manifests of every job of a folder, or of one job.
pub fn kubernetes(args: &KubernetesArgs) -> Ended {
    let watch = Watch::begin();
    Ended::of(watch.block_on(async {
        refuse_flags(args, BUILT_IN_POLICY)?;
        let Some(given) = args.given.job.as_deref() else {
            return Err(Failure::new(
                Outcome::Usage,
                "name a folder of jobs, or one job: `tidegate kubernetes jobs/`",
            ));
        };
        let jobs = at(given, args.given.resource.as_deref())?;
        let mut names = name::names(&jobs).into_iter();
        let (mut described, mut problems) = (Vec::new(), Vec::new());
        for job in &jobs {
            let name = names.next().unwrap_or_default();
            match Described::new(job, name, args, &watch.stop) {
                Ok(job) => described.push(job),
                Err(found) => {
                    let label = job.label();
                    problems.extend(found.iter().map(|problem| format!("{label}: {problem}")));
                }
            }
        }
        if !problems.is_empty() {
            let message = format!("{}; nothing was printed", problems.join("; "));
            return Err(Failure::new(Outcome::Settings, message));
        }
        let printed: Vec<Printed> = match args.indexed {
            Some(parts) => indexed::manifests(&described, parts, given, args)?,
            None => described.iter().map(|job| job.printed(args)).collect(),
        };
        stdout::print(&match args.output {
            Some(OutputKind::Json) => {
                let items: Vec<Value> = printed.into_iter().flat_map(|one| one.manifests).collect();
                let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
                words::escaped(&list.to_string()) + "\n"
            }
            None => printed.iter().map(Printed::yaml).collect(),
        })
    }))
}

/// Manifests that belong together, and what a person has to know of them.
struct Printed {
    comments: String,
    manifests: Vec<Value>,
}

impl Printed {
    fn yaml(&self) -> String {
        let mut out = self.comments.clone();
        for manifest in &self.manifests {
            out.push_str("---\n");
            out.push_str(&words::escaped_lines(&yaml::document(manifest)));
        }
        out
    }
}

/// Refuses what Kubernetes would: a manifest that is not applied is a job that does not run.
fn refuse_flags(args: &KubernetesArgs, built_in_policy: Option<&str>) -> Result<(), Failure> {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_schedule = args.schedule.as_deref().is_none_or(|schedule| {
        let fields: Vec<&str> = schedule.split(' ').collect();
        let is_field = |field: &&str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b"*/,-".contains(&byte);
            !field.is_empty() && field.bytes().all(known)
        };
        let macros = ["@hourly", "@daily", "@midnight", "@weekly", "@monthly"];
        macros.contains(&schedule) || (fields.len() == 5 && fields.iter().all(is_field))
    });
    let is_storage = {
        let digits = args
            .storage
            .trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &args.storage[digits.len()..];
        digits.parse::<u32>().is_ok_and(|size| size > 0)
            && ["", "Mi", "Gi", "Ti", "M", "G", "T"].contains(&unit)
    };
    let UnderArgs { policy, tenant } = &args.given.under;
    let wrong = if built_in_policy.is_some() {
        "this tidegate was built with a policy, which is not carried into a manifest: mount it, and run `tidegate run --tenant` in a manifest of your own"
    } else if policy.is_some() {
        "--policy is not carried into a manifest, and a job would run without it: mount it, and run `tidegate run --policy` in a manifest of your own"
    } else if tenant.is_some() {
        "--tenant has a policy, and neither is carried into a manifest: leave it out"
    } else if !plain(&args.image) {
        "--image takes the name of an image: `registry.example.com/tidegate:0.1.0`"
    } else if !args.cache.as_deref().is_none_or(|dir| dir.starts_with('/')) {
        "--cache takes the full path of a folder of the image: `/var/cache/tidegate`"
    } else if !is_schedule {
        "--schedule takes five fields, as cron: `*/15 * * * *`, or `@hourly`"
    } else if !args.namespace.as_deref().is_none_or(name::is_label) {
        "--namespace takes at most 63 of `a` to `z`, `0` to `9` and `-`"
    } else if !is_storage {
        "--storage takes a size: `10Gi`"
    } else {
        return Ok(());
    };
    Err(Failure::new(Outcome::Usage, wrong))
}

/// A job as Kubernetes sees it.
struct Described<'j> {
    job: &'j FleetJob,
    name: String,
    host: HostPlan,
    environment: Environment,
    component: JobComponent,
}

impl<'j> Described<'j> {
    /// `Err` has everything that is wrong with it.
    fn new(
        job: &'j FleetJob,
        name: String,
        args: &KubernetesArgs,
        stop: &Stop,
    ) -> Result<Self, Vec<String>> {
        if let Some(refused) = &job.refused {
            return Err(vec![refused.clone()]);
        }
        let given = job.given(&args.given);
        let (inputs, host) = setup::read(&given, [], stop);
        // One job may be waited for as long as any, and this is no run.
        stop.set_deadline(super::fleet::NO_DEADLINE);
        let component = setup::wanted(&given, inputs.layers().component());
        let mut problems: Vec<String> = host
            .problems
            .iter()
            .filter(|problem| !environment::is_elsewhere(&problem.setting))
            .map(ToString::to_string)
            .collect();
        // A job file grants its own component what is in it.
        let (needs_grants, secrets_at) = match args.indexed {
            Some(_) => (false, format!("{SECRETS}/{name}")),
            None => (component.path.is_some(), SECRETS.to_owned()),
        };
        let environment = Environment::new(&inputs, &host, needs_grants, secrets_at);
        problems.extend(environment.problems.iter().cloned());
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            job,
            name,
            host,
            environment,
            component,
        })
    }

    /// Its CronJob, and its claim.
    fn printed(&self, args: &KubernetesArgs) -> Printed {
        let claim = self.environment.folder.as_ref();
        let claim = claim.map(|_| self.claim("ReadWriteOnce", args));
        let schedule = schedule(&self.name, args);
        let spec = json!({
            // What may go away by itself is tried at the next interval.
            "backoffLimit": 0,
            "activeDeadlineSeconds": self.seconds_max(),
            "template": {
                "metadata": {"labels": self.labels()},
                "spec": self.pod(args),
            },
        });
        let cron_job = cron_job(&self.metadata(args), &schedule, &spec);
        Printed {
            comments: self.comments(args),
            manifests: claim.into_iter().chain([cron_job]).collect(),
        }
    }

    /// What a person has to see to before it runs.
    fn comments(&self, args: &KubernetesArgs) -> String {
        let mut out = format!("# {}\n", self.job.label());
        for key in &self.environment.secrets {
            let (name, source) = (&self.name, words::escaped(&key.source));
            let _ = writeln!(
                out,
                "# The Secret `{name}` has the key {}: {source}",
                key.key
            );
        }
        if self.component.path.is_some() {
            out.push_str("# The image has the component at the path that this job names.\n");
            if args.cache.is_none() {
                out.push_str("# Every pod compiles it: see `tidegate compile`, and --cache.\n");
            }
        }
        out
    }

    fn claim(&self, mode: &str, args: &KubernetesArgs) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": self.metadata(args),
            "spec": {
                "accessModes": [mode],
                "resources": {"requests": {"storage": args.storage}},
            },
        })
    }

    /// The most that one run of it takes.
    fn seconds_max(&self) -> u64 {
        self.host.limits.run_deadline.as_secs() + RUN_LATE_MAX.as_secs()
    }

    /// The most memory that one run of it takes. A node with another processor than the builder's compiles, whatever is cached.
    fn mib_max(&self) -> u64 {
        let may_compile = self.component.path.is_some();
        let besides = if may_compile { COMPILE_MEMORY_MIB } else { 0 };
        self.host.limits.memory_bytes.div_ceil(1024 * 1024) + HOST_MEMORY_MIB + besides
    }

    /// The keys of its Secret that it needs, as files of these paths.
    fn items(&self, path: impl Fn(&str) -> String) -> Vec<Value> {
        let keys = self.environment.secrets.iter();
        keys.map(|key| json!({"key": key.key, "path": path(&key.key)}))
            .collect()
    }

    fn metadata(&self, args: &KubernetesArgs) -> Value {
        let mut metadata = json!({
            "name": self.name,
            "labels": self.labels(),
            "annotations": {"tidegate/job": self.job.label()},
        });
        if let Some(namespace) = &args.namespace {
            metadata["namespace"] = json!(namespace);
        }
        metadata
    }

    fn labels(&self) -> Value {
        let mut labels = BTreeMap::from([
            ("app.kubernetes.io/name", "tidegate"),
            ("app.kubernetes.io/instance", &*self.name),
        ]);
        if name::is_label(&self.job.tenant) {
            labels.insert("app.kubernetes.io/part-of", &self.job.tenant);
        }
        json!(labels)
    }

    fn pod(&self, args: &KubernetesArgs) -> Value {
        let mut volumes = Vec::new();
        let mut mounts = Vec::new();
        if !self.environment.secrets.is_empty() {
            let items = self.items(str::to_owned);
            volumes.push(json!({
                "name": "secrets",
                "secret": {"secretName": self.name, "defaultMode": 0o440, "items": items},
            }));
            mounts.push(json!({"name": "secrets", "mountPath": SECRETS, "readOnly": true}));
        }
        if let Some(folder) = &self.environment.folder {
            let claim = json!({"claimName": self.name});
            volumes.push(json!({"name": "data", "persistentVolumeClaim": claim}));
            mounts.push(json!({"name": "data", "mountPath": folder}));
        }
        let mut arguments = vec!["run".to_owned()];
        if let Some(path) = &self.component.path {
            let path = path.display().to_string();
            arguments.extend(["--component".to_owned(), literal(&path)]);
        }
        if let Some(sha256) = &self.component.sha256 {
            arguments.extend(["--component-sha256".to_owned(), literal(sha256)]);
        }
        let values = self.environment.values.iter();
        let container = Container {
            arguments,
            environment: values
                .map(|(name, value)| json!({"name": name, "value": literal(value)}))
                .collect(),
            mounts,
            volumes,
            memory_mib: self.mib_max(),
            at_once: 1,
        };
        container.pod(args)
    }
}

fn schedule(name: &str, args: &KubernetesArgs) -> String {
    let given = args.schedule.clone();
    given.unwrap_or_else(|| format!("{} * * * *", name::minute(name)))
}

fn cron_job(metadata: &Value, schedule: &str, job: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": metadata,
        "spec": {
            "schedule": schedule,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 600,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"spec": job},
        },
    })
}

/// What differs from pod to pod.
struct Container {
    arguments: Vec<String>,
    environment: Vec<Value>,
    mounts: Vec<Value>,
    volumes: Vec<Value>,
    memory_mib: u64,
    /// Runs at the same time.
    at_once: u32,
}

impl Container {
    /// A pod of nothing but this, locked down.
    fn pod(self, args: &KubernetesArgs) -> Value {
        let tmp = json!({"name": "tmp", "emptyDir": {"sizeLimit": args.storage}});
        let volumes: Vec<Value> = [tmp].into_iter().chain(self.volumes).collect();
        let mount = json!({"name": "tmp", "mountPath": TMP});
        let mounts: Vec<Value> = [mount].into_iter().chain(self.mounts).collect();
        let cache = args.cache.as_deref().unwrap_or(CACHE);
        let cache = json!({"name": "TIDEGATE_CACHE_DIR", "value": literal(cache)});
        let env: Vec<Value> = self.environment.into_iter().chain([cache]).collect();
        let runs = self.at_once;
        json!({
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 60,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "tidegate",
                "image": args.image,
                "imagePullPolicy": "IfNotPresent",
                "args": self.arguments,
                "env": env,
                "resources": {
                    "requests": {"cpu": format!("{}m", 250 * runs), "memory": format!("{}Mi", 128 * runs)},
                    "limits": {"memory": format!("{}Mi", self.memory_mib)},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "privileged": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        })
    }
}

/// A text in which Kubernetes replaces nothing: it reads `$$` as `$`, and `$(NAME)` as a variable.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn a_policy_that_was_built_in_is_not_left_behind() {
        let line = ["tidegate", "kubernetes", "jobs"];
        let Command::Kubernetes(args) = Cli::parse_from(line).command else {
            panic!("another command");
        };

        assert!(refuse_flags(&args, None).is_ok());
        let refused = refuse_flags(&args, Some("/etc/policy.toml")).unwrap_err();
        assert!(
            refused.message.contains("was built with a policy"),
            "{refused:?}"
        );
    }
}
