//! Prints manifests for Kubernetes: a CronJob for each job, and a claim where it needs a folder.
//!
//! What counts is what was given by flags and files; the environment of whoever prints is not looked at. No secret is
//! printed: each is a key of a Secret that is named after the job. Nothing is printed where one job has a mistake.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::fleet::jobs::{FleetJob, at};
use super::stdout;
use crate::cli::{KubernetesArgs, OutputKind};
use crate::limits::RUN_LATE_MAX;
use crate::outcome::{Ended, Failure, Outcome};
use crate::process::stop::Stop;
use crate::process::watch::Watch;
use crate::run::setup;
use crate::settings::host::HostPlan;
use crate::words;

mod environment;
mod name;
mod yaml;

use environment::{CACHE, Environment, SECRETS, TMP};

/// User and group of the process: nobody's on any node.
const USER: u32 = 65532;
/// What the host needs besides the memory of the component.
const HOST_MEMORY_MIB: u64 = 256;

/// Prints the manifests of every job of a folder, or of one job.
pub fn kubernetes(args: &KubernetesArgs) -> Ended {
    let watch = Watch::begin();
    Ended::of(watch.block_on(async {
        refuse_flags(args)?;
        let Some(given) = args.given.job.as_deref() else {
            return Err(Failure::new(
                Outcome::Usage,
                "name a folder of jobs, or one job: `tidegate kubernetes jobs/`",
            ));
        };
        let jobs = at(given)?;
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
        stdout::print(&match args.output {
            Some(OutputKind::Json) => {
                let items: Vec<Value> = described
                    .iter()
                    .flat_map(|job| job.manifests(args))
                    .collect();
                let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
                words::escaped(&list.to_string()) + "\n"
            }
            None => described.iter().map(|job| job.yaml(args)).collect(),
        })
    }))
}

/// Refuses what Kubernetes would: a manifest that is not applied is a job that does not run.
fn refuse_flags(args: &KubernetesArgs) -> Result<(), Failure> {
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
    let wrong = if args.given.under.policy.is_some() {
        "--policy is not carried into a manifest, and a job would run without it: mount it, and run `tidegate run --policy` in a manifest of your own"
    } else if !plain(&args.image) {
        "--image takes the name of an image: `registry.example.com/tidegate:0.1.0`"
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
    arguments: Vec<String>,
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
        let environment = Environment::new(&inputs, &host, component.path.is_some());
        problems.extend(environment.problems.iter().cloned());
        let mut arguments = vec!["run".to_owned()];
        if let Some(path) = &component.path {
            let path = path.display().to_string();
            arguments.extend(["--component".to_owned(), literal(&path)]);
        }
        if let Some(sha256) = &component.sha256 {
            arguments.extend(["--component-sha256".to_owned(), literal(sha256)]);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            job,
            name,
            host,
            environment,
            arguments,
        })
    }

    fn yaml(&self, args: &KubernetesArgs) -> String {
        let mut out = format!("# {}\n", self.job.label());
        for key in &self.environment.secrets {
            let (name, source) = (&self.name, words::escaped(&key.source));
            let _ = writeln!(
                out,
                "# The Secret `{name}` has the key {}: {source}",
                key.key
            );
        }
        if self.arguments.len() > 1 {
            out.push_str("# The image has the component at the path that `args` names.\n");
        }
        for manifest in self.manifests(args) {
            out.push_str("---\n");
            out.push_str(&words::escaped_lines(&yaml::document(&manifest)));
        }
        out
    }

    fn manifests(&self, args: &KubernetesArgs) -> Vec<Value> {
        let claim = self.environment.folder.as_ref().map(|_| {
            json!({
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": self.metadata(args),
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": args.storage}},
                },
            })
        });
        let schedule = args.schedule.clone();
        let schedule = schedule.unwrap_or_else(|| format!("{} * * * *", name::minute(&self.name)));
        let cron_job = json!({
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": self.metadata(args),
            "spec": {
                "schedule": schedule,
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": 600,
                "successfulJobsHistoryLimit": 1,
                "failedJobsHistoryLimit": 3,
                "jobTemplate": {"spec": {
                    // What may go away by itself is tried at the next interval.
                    "backoffLimit": 0,
                    "activeDeadlineSeconds": self.host.limits.run_deadline.as_secs() + RUN_LATE_MAX.as_secs(),
                    "template": {
                        "metadata": {"labels": self.labels()},
                        "spec": self.pod(args),
                    },
                }},
            },
        });
        claim.into_iter().chain([cron_job]).collect()
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
        let mut volumes = vec![json!({"name": "tmp", "emptyDir": {"sizeLimit": args.storage}})];
        let mut mounts = vec![json!({"name": "tmp", "mountPath": TMP})];
        if !self.environment.secrets.is_empty() {
            let keys = self.environment.secrets.iter();
            let items: Vec<Value> = keys
                .map(|key| json!({"key": key.key, "path": key.key}))
                .collect();
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
        let mib = self.host.limits.memory_bytes.div_ceil(1024 * 1024);
        let env = self.environment.values.iter();
        let env: Vec<Value> = env
            .map(|(name, value)| json!({"name": name, "value": literal(value)}))
            .chain([json!({"name": "TIDEGATE_CACHE_DIR", "value": CACHE})])
            .collect();
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
                    "requests": {"cpu": "250m", "memory": "128Mi"},
                    "limits": {"memory": format!("{}Mi", mib + HOST_MEMORY_MIB)},
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
