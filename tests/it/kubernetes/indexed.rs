//! `tidegate kubernetes FOLDER --indexed N`: one CronJob whose pods divide the jobs among themselves.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{PASSWORD, TWO, folder, is_locked_down, manifests, read, valid};
use crate::server::Reply;
use crate::world::Job;

/// One of three pods, for programs.
const INDEXED: [&str; 6] = ["kubernetes", "jobs", "--output", "json", "--indexed", "3"];

/// The manifests of this kind.
fn of_kind<'m>(manifests: &'m [Value], kind: &str) -> Vec<&'m Value> {
    manifests.iter().filter(|one| one["kind"] == kind).collect()
}

/// The Job that the one CronJob makes.
fn indexed(manifests: &[Value]) -> &Value {
    let cron_jobs = of_kind(manifests, "CronJob");
    assert_eq!(cron_jobs.len(), 1);
    &cron_jobs[0]["spec"]["jobTemplate"]["spec"]
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn the_manifests_of_an_indexed_job_are_ones_to_kubernetes_and_both_forms_are_the_same() {
    let job = folder();
    let printed = job.tidegate(["kubernetes", "jobs", "--indexed", "3"]);
    let file = job.file("all.yaml", &printed.exits(0).stdout);

    // A ConfigMap each, a claim for the two that keep files, and the CronJob.
    assert_eq!(valid(&file), 6);
    assert_eq!(read(&file), manifests(&job, INDEXED));
}

#[test]
fn a_pod_each_runs_its_part_and_one_that_fails_ends_no_other() {
    let all = manifests(&folder(), INDEXED);

    let job = indexed(&all);
    assert_eq!(job["completionMode"], "Indexed");
    assert_eq!(
        (&job["completions"], &job["parallelism"]),
        (&3.into(), &3.into())
    );
    assert_eq!(job["backoffLimitPerIndex"], 0);
    // With it, the first pod that fails would end them all.
    assert_eq!(job["backoffLimit"], Value::Null);
    assert_eq!(job["maxFailedIndexes"], Value::Null);
    let pod = &job["template"]["spec"];
    is_locked_down(pod);
    let container = &pod["containers"][0];
    let words: Vec<&str> = list(&container["args"]).iter().map(text).collect();
    assert_eq!(
        words,
        [
            "run",
            "/jobs",
            "--shard",
            "$(JOB_COMPLETION_INDEX)/3",
            "--parallel",
            "2",
            "--job-deadline",
            "960s"
        ]
    );
    // Of two runs at once and the process above them; one compiles its component.
    let memory = text(&container["resources"]["limits"]["memory"]);
    assert_eq!(memory, "2176Mi");
}

#[test]
fn no_secret_is_in_an_indexed_job_and_one_that_is_missing_is_its_own_jobs_failure() {
    let job = folder();

    let printed = job.tidegate(["kubernetes", "jobs", "--indexed", "3"]);

    // That the key is nowhere is held of every command.
    let printed = printed.exits(0);
    assert!(!printed.stdout.contains(PASSWORD), "{}", printed.stdout);
    printed.stdout_has("# The Secret `acme-orders` has the key SOURCE_API_KEY: ");
    let all = manifests(&job, INDEXED);
    let volumes = list(&indexed(&all)["template"]["spec"]["volumes"]);
    let secrets = volumes.iter().find(|one| one["name"] == "secrets").unwrap();
    let sources = list(&secrets["projected"]["sources"]);
    assert_eq!(sources.len(), 3);
    for source in sources {
        assert_eq!(source["secret"]["optional"], true);
    }
    let of_acme = of_kind(&all, "ConfigMap")[1];
    let file = text(&of_acme["data"]["job.toml"]);
    for name in ["source_api_key", "source_headers", "output_database_url"] {
        let name_of_key = name.to_uppercase();
        let line = format!("{name}_file = \"/secrets/acme-orders/{name_of_key}\"\n");
        assert!(file.contains(&line), "{file}");
    }
}

#[test]
fn jobs_that_keep_files_below_the_same_folder_share_one_volume() {
    let job = folder();
    let more =
        "SOURCE_API_URL=https://api.example.com/\nOUTPUT_DIR=/srv/sync/more\nPRIMARY_KEY=/id\n";
    job.file("jobs/acme/more.env", more);

    let all = manifests(&job, INDEXED);

    let claims = of_kind(&all, "PersistentVolumeClaim");
    assert_eq!(claims.len(), 2);
    for claim in claims {
        assert_eq!(claim["spec"]["accessModes"][0], "ReadWriteMany");
    }
    let mounts = list(&indexed(&all)["template"]["spec"]["containers"][0]["volumeMounts"]);
    let folders: Vec<&str> = mounts.iter().map(|one| text(&one["mountPath"])).collect();
    assert_eq!(folders, ["/tmp", "/jobs", "/secrets", "/data", "/srv/sync"]);
}

/// Puts the sources of a projected volume where a pod has them: `..data` is exchanged as a whole, and the names lead through it.
fn mount(job: &Job, folder: &Path, sources: &[Value], content: impl Fn(&Value, &str) -> String) {
    let data = folder.join("..2026_11_27");
    for source in sources {
        let items = list(&source["configMap"]["items"]);
        let items = items.iter().chain(list(&source["secret"]["items"]));
        for item in items {
            let file = data.join(text(&item["path"]));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, content(source, text(&item["key"]))).unwrap();
        }
    }
    symlink(&data, folder.join("..data")).unwrap();
    for entry in fs::read_dir(&data).unwrap().flatten() {
        let name = entry.file_name();
        symlink(Path::new("..data").join(&name), folder.join(name)).unwrap();
    }
    assert!(folder.starts_with(job.beside("")));
}

#[test]
fn the_pods_of_an_indexed_job_publish_every_job_once() {
    let job = Job::new().api(|_| Reply::new(200, TWO));
    fs::create_dir_all(job.beside("jobs/acme")).unwrap();
    job.file("own.jq", ".b = \"$HOME\"\n");
    let labels = [
        "own",
        "acme/orders",
        "acme/items",
        "acme/costs",
        "acme/more",
    ];
    for label in labels {
        let settings = format!(
            "SOURCE_API_URL={{server}}/{label}\nTRANSFORM_FILE=own.jq\nPRIMARY_KEY=/id\nOUTPUT_DIR=/srv/sync/{label}\n"
        );
        job.file(&format!("jobs/{label}.env"), &settings);
    }
    let all = manifests(&job, INDEXED);
    let pod = &indexed(&all)["template"]["spec"];

    // The volumes of the pods are folders of this test.
    let here = |folder: &str| job.beside(&format!("pod{folder}"));
    let mounted = |text: &str| {
        let text = text.replace("/secrets/", &format!("{}/", here("/secrets").display()));
        text.replace("/srv/sync/", &format!("{}/", here("/srv/sync").display()))
    };
    for (volume, folder) in [("jobs", "/jobs"), ("secrets", "/secrets")] {
        let volume = list(&pod["volumes"])
            .iter()
            .find(|one| one["name"] == volume);
        fs::create_dir_all(here(folder)).unwrap();
        mount(
            &job,
            &here(folder),
            list(&volume.unwrap()["projected"]["sources"]),
            |source, key| {
                let name = &source["configMap"]["name"];
                let maps = of_kind(&all, "ConfigMap");
                let map = maps.iter().find(|map| map["metadata"]["name"] == *name);
                map.map_or_else(
                    || fs::read_to_string(job.beside("own.jq")).unwrap(),
                    |map| mounted(text(&map["data"][key])),
                )
            },
        );
    }
    let words: Vec<&str> = list(&pod["containers"][0]["args"])
        .iter()
        .map(text)
        .collect();
    for index in 0..3 {
        let words = words.iter().map(|word| {
            let word = word.replace("$(JOB_COMPLETION_INDEX)", &index.to_string());
            word.replace("/jobs", &here("/jobs").display().to_string())
        });
        let ran = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(words)
            .env_clear()
            .env("TIDEGATE_CACHE_DIR", crate::world::guests::cache())
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
    }

    let mut asked: Vec<String> = job
        .server
        .seen()
        .iter()
        .map(|one| one.path().to_owned())
        .collect();
    asked.sort_unstable();
    let mut wanted = labels.map(|label| format!("/{label}"));
    wanted.sort_unstable();
    assert_eq!(asked, wanted);
    for label in labels {
        let latest = here("/srv/sync").join(label).join("latest.json");
        assert_eq!(
            fs::read_to_string(latest).unwrap(),
            "[\n{\"id\":1,\"b\":\"$HOME\"},\n{\"id\":2,\"b\":\"$HOME\"}\n]\n"
        );
    }
}
