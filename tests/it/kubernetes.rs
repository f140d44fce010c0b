//! `tidegate kubernetes`: manifests that Kubernetes takes, with no secret in them, and that are the job.

/// The Kustomize base.
mod base;
/// One Indexed Job for all jobs of a folder.
mod indexed;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::server::Reply;
use crate::world::Job;

const TWO: &str = r#"[{"id":1},{"id":2}]"#;
/// A CronJob for each job, for programs.
const EACH: [&str; 4] = ["kubernetes", "jobs", "--output", "json"];
/// Digits that are nowhere but in a password.
const PASSWORD: &str = "pa55-8c1f0e27d4b9";

/// Three jobs: to PostgreSQL with secrets in the file, to a folder as a job file with a component, and one without a tenant.
fn folder() -> Job {
    let job = Job::new();
    for tenant in ["acme", "zoo_1"] {
        std::fs::create_dir_all(job.beside("jobs").join(tenant)).unwrap();
    }
    let key = &job.key;
    job.file(
        "jobs/acme/orders.env",
        &format!(
            "SOURCE_API_URL=https://api.example.com/orders?a=$(HOME)\nSOURCE_API_KEY={key}\n\
             SOURCE_HEADERS=X-Tenant: {PASSWORD}\nPRIMARY_KEY=/id\nJOB_NAME=orders\nMEMORY_LIMIT=64MiB\n\
             OUTPUT_DATABASE_URL=postgres://etl:{PASSWORD}@db.example.com/shop\nRUN_DEADLINE=5m\n"
        ),
    );
    job.file(
        "jobs/zoo_1/orders.toml",
        "component = { path = \"/components/own.wasm\" }\n[source]\nsource_api_key_file = \"/etc/sync/key\"\n\
         source_api_url = \"https://api.example.com/\"\ntransform = '''\n .a = \"$x: #1\"\n'''\n\
         source_region = \"eu\"\n[output]\noutput_dir = \"/srv/sync/orders\"\nwrite_mode = \"replace\"\n",
    );
    job.file(
        "jobs/own.env",
        "SOURCE_API_URL={server}/own\nTRANSFORM_FILE=own.jq\n",
    );
    job
}

fn tool(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join("target/kubernetes-validate/bin").join(name)
}

/// How many manifests are in this file: all of them are ones to Kubernetes.
fn valid(file: &Path) -> usize {
    let ended = Command::new(tool("kubernetes-validate"))
        .arg("--strict")
        .arg(file)
        .output()
        .expect("kubernetes-validate: run tests/tools.sh");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned()
        + &String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    said.matches(" passed for resource ").count()
}

/// The manifests of a file, as a reader of YAML sees them.
fn read(file: &Path) -> Vec<Value> {
    let read = Command::new(tool("python3"))
        .args([
            "-c",
            "import json,sys,yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))",
        ])
        .arg(file)
        .output()
        .unwrap();
    serde_json::from_slice(&read.stdout).unwrap()
}

/// The manifests of the jobs, from the form for programs.
fn manifests<const N: usize>(job: &Job, words: [&str; N]) -> Vec<Value> {
    let printed = job.tidegate(words);
    let list: Value = serde_json::from_str(&printed.exits(0).stdout).unwrap();
    list["items"].as_array().unwrap().clone()
}

/// The pods of the CronJobs among these.
fn pods(manifests: &[Value]) -> Vec<&Value> {
    let cron_jobs = manifests.iter().filter(|one| one["kind"] == "CronJob");
    cron_jobs
        .map(|one| &one["spec"]["jobTemplate"]["spec"]["template"]["spec"])
        .collect()
}

/// The environment of a pod's container, as Kubernetes makes it.
fn environment(pod: &Value) -> Vec<(String, String)> {
    let env = pod["containers"][0]["env"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    env.iter()
        .map(|one| (text(&one["name"]), text(&one["value"]).replace("$$", "$")))
        .collect()
}

fn value<'e>(environment: &'e [(String, String)], name: &str) -> Option<&'e str> {
    let known = environment.iter().find(|(known, _)| known == name);
    known.map(|(_, value)| value.as_str())
}

fn is_locked_down(pod: &Value) {
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_ne!(pod["securityContext"]["runAsUser"], 0);
    assert_eq!(
        pod["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["enableServiceLinks"], false);
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(container["capabilities"]["drop"][0], "ALL");
    assert!(pod["containers"][0]["resources"]["limits"]["memory"].is_string());
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        assert_eq!(pod[host], Value::Null);
    }
}

#[test]
fn the_manifests_are_ones_to_kubernetes_and_both_forms_are_the_same() {
    let job = folder();
    let printed = job.tidegate(["kubernetes", "jobs"]);
    let file = job.file("all.yaml", &printed.exits(0).stdout);

    // A CronJob each, and a claim for the two that keep files.
    assert_eq!(valid(&file), 5);
    assert_eq!(read(&file), manifests(&job, EACH));
}

#[test]
fn no_secret_is_printed_and_each_is_a_key_of_the_jobs_secret() {
    let job = folder();

    let printed = job.tidegate(["kubernetes", "jobs"]);

    // That the key is nowhere is held of every command.
    assert!(
        !printed.exits(0).stdout.contains(PASSWORD),
        "{}",
        printed.stdout
    );
    printed
        .stdout_has("# The Secret `acme-orders` has the key SOURCE_API_KEY: the value of SOURCE_API_KEY in jobs/acme/orders.env:2\n")
        .stdout_has("the key SOURCE_API_KEY: the file `/etc/sync/key`\n");
    let all = manifests(&job, EACH);
    let pods = pods(&all);
    let of_acme = environment(pods[1]);
    for name in ["SOURCE_API_KEY", "SOURCE_HEADERS", "OUTPUT_DATABASE_URL"] {
        let file = format!("/secrets/{name}");
        assert_eq!(value(&of_acme, &format!("{name}_FILE")), Some(&*file));
        assert_eq!(value(&of_acme, name), None);
    }
    let volumes = pods[1]["volumes"].as_array().unwrap();
    let secret = volumes
        .iter()
        .find(|volume| volume["name"] == "secrets")
        .unwrap();
    assert_eq!(secret["secret"]["secretName"], "acme-orders");
    assert_eq!(secret["secret"]["items"].as_array().unwrap().len(), 3);
}

#[test]
fn the_container_is_given_what_the_job_was_given() {
    let all = manifests(&folder(), EACH);
    let pods = pods(&all);

    let (own, acme, zoo) = (
        environment(pods[0]),
        environment(pods[1]),
        environment(pods[2]),
    );

    assert_eq!(
        value(&acme, "SOURCE_API_URL"),
        Some("https://api.example.com/orders?a=$(HOME)")
    );
    assert_eq!(value(&zoo, "TRANSFORM"), Some(" .a = \"$x: #1\"\n"));
    // A component by path has of the environment what it is granted.
    assert_eq!(
        value(&zoo, "ALLOW_ENVIRONMENT"),
        Some("OUTPUT_DIR,SOURCE_REGION,TRANSFORM,WRITE_MODE")
    );
    assert_eq!(pods[2]["containers"][0]["args"][2], "/components/own.wasm");
    assert_eq!(
        value(&own, "TRANSFORM_FILE"),
        Some("/secrets/TRANSFORM_FILE")
    );
    assert_eq!(value(&own, "OUTPUT_DIR"), Some("/data/sync"));
    assert_eq!(
        pods[1]["containers"][0]["resources"]["limits"]["memory"],
        "320Mi"
    );
    let deadline = &all[2]["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"];
    assert!(deadline.as_u64() > Some(300), "{deadline}");
}

#[test]
fn the_environment_of_a_container_publishes_what_the_job_does() {
    let job = Job::new().api(|_| Reply::new(200, TWO));
    std::fs::create_dir(job.beside("jobs")).unwrap();
    job.file("own.jq", ".b = \"$HOME\"\n");
    job.file(
        "jobs/own.env",
        "SOURCE_API_URL={server}/own\nTRANSFORM_FILE=own.jq\nPRIMARY_KEY=/id\nOUTPUT_DIR=/srv/sync/own\n",
    );
    let all = manifests(&job, EACH);

    // The volumes of the pod are folders of this test.
    std::fs::create_dir(job.beside("secrets")).unwrap();
    std::fs::copy(job.beside("own.jq"), job.beside("secrets/TRANSFORM_FILE")).unwrap();
    let mounted = |text: &str| {
        let text = text.replace("/secrets", &job.beside("secrets").display().to_string());
        text.replace("/srv/sync", &job.beside("srv").display().to_string())
    };
    let env = environment(pods(&all)[0]);
    let ran = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("run")
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, mounted(value))))
        .env("TIDEGATE_CACHE_DIR", crate::world::guests::cache())
        .output()
        .unwrap();

    assert!(ran.status.success(), "{ran:?}");
    let latest = std::fs::read_to_string(job.beside("srv/own/latest.json")).unwrap();
    assert_eq!(
        latest,
        "[\n{\"id\":1,\"b\":\"$HOME\"},\n{\"id\":2,\"b\":\"$HOME\"}\n]\n"
    );
}

#[test]
fn every_pod_is_locked_down() {
    let all = manifests(&folder(), EACH);

    let pods = pods(&all);
    assert_eq!(pods.len(), 3);
    pods.into_iter().for_each(is_locked_down);
}

#[test]
fn a_mistake_in_one_job_prints_nothing() {
    let job = folder();
    job.file("jobs/acme/bad.env", "RUN_DEADLINE=soon\nOUTPUT_DIR=data\n");
    job.file("jobs/Wrong.env", "");

    let printed = job.tidegate(["kubernetes", "jobs"]);

    printed
        .exits(78)
        .stderr_has("acme/bad: RUN_DEADLINE takes ")
        .stderr_has("acme/bad: OUTPUT_DIR must be an absolute path")
        .stderr_has("Wrong: `Wrong` cannot be the name");
    assert_eq!(printed.stdout, "");
}

#[test]
fn a_policy_in_the_environment_is_that_of_whoever_prints() {
    let job = folder();
    let here = job.tidegate(EACH).exits(0).stdout.clone();
    let job = job
        .set("TIDEGATE_POLICY", "/no/policy.toml")
        .set("TIDEGATE_TENANT", "acme");

    assert_eq!(job.tidegate(EACH).exits(0).stdout, here);
    job.tidegate(["kubernetes", "jobs", "--tenant", "acme"])
        .exits(64)
        .stderr_has("--tenant");
}

#[test]
fn flags_are_what_kubernetes_takes() {
    let job = folder();

    let printed = job.tidegate([
        "kubernetes",
        "jobs/own.env",
        "--schedule",
        "*/15 * * * *",
        "--namespace",
        "sync",
    ]);

    printed
        .exits(0)
        .stdout_has("schedule: \"*/15 * * * *\"\n")
        .stdout_has("namespace: \"sync\"\n");
    for (flag, wrong) in [
        ("--schedule", "often"),
        ("--namespace", "A"),
        ("--storage", "much"),
        ("--image", "a b"),
    ] {
        job.tidegate(["kubernetes", "jobs", flag, wrong])
            .exits(64)
            .stderr_has(flag);
    }
    job.tidegate(["kubernetes", "jobs", "--parallel", "2"])
        .exits(64);
    job.tidegate(["kubernetes", "jobs", "--indexed", "0"])
        .exits(64);
    job.tidegate(["kubernetes"]).exits(64);
    job.tidegate(["kubernetes", "none"]).exits(78);
}

#[test]
fn an_image_with_compiled_components_is_used_by_its_pods_which_may_have_to_compile_all_the_same() {
    let job = folder();
    let words = ["kubernetes", "jobs", "--output", "json"];
    let cached = [&words[..], &["--cache", "/var/cache/tidegate"]].concat();

    let (without, with) = (
        manifests(&job, words),
        job.tidegate::<6>(cached.try_into().unwrap()),
    );

    let with: Value = serde_json::from_str(&with.exits(0).stdout).unwrap();
    let with = with["items"].as_array().unwrap().clone();
    let memory =
        |all: &[Value]| pods(all)[2]["containers"][0]["resources"]["limits"]["memory"].clone();
    assert_eq!(
        (memory(&without), memory(&with)),
        ("1024Mi".into(), "1024Mi".into())
    );
    let cache =
        |all: &[Value]| value(&environment(pods(all)[2]), "TIDEGATE_CACHE_DIR").map(str::to_owned);
    assert_eq!(cache(&without).as_deref(), Some("/tmp/tidegate"));
    assert_eq!(cache(&with).as_deref(), Some("/var/cache/tidegate"));
    job.tidegate(["kubernetes", "jobs", "--cache", "cache"])
        .exits(64)
        .stderr_has("--cache takes the full path");
}
