//! The codes that come from the output folder: 73 and 74.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::server::Reply;
use crate::world::{Job, View, can_mount, hex};

const ONE: &str = r#"[{"id":1}]"#;
const TWO: &str = r#"[{"id":1},{"id":2}]"#;

/// A job that has published once.
fn published() -> Job {
    let mut job = Job::new().page(200, ONE);
    job.run().exits(Outcome::Published);
    job
}

/// The folder of the current generation.
fn current(job: &Job) -> PathBuf {
    fs::canonicalize(job.output().join("current")).unwrap()
}

/// Runs the job, which must refuse its folder before it asks the source for anything.
fn is_refused(job: &mut Job, told: &str) {
    let run = job.run();

    run.exits(Outcome::OutputUnusable)
        .asked(0)
        .publishes_nothing()
        .stderr_has(told);
}

#[test]
fn a_folder_that_cannot_be_made_is_73() {
    let run = Job::new().set("OUTPUT_DIR", "/proc/no/such/folder").run();

    run.exits(Outcome::OutputUnusable)
        .asked(0)
        .stderr_has("/proc/no/such/folder")
        .stderr_has("OUTPUT_DIR");
}

#[test]
fn a_file_in_place_of_the_folder_is_73() {
    let mut job = Job::new();
    fs::create_dir_all(job.output().parent().unwrap()).unwrap();
    fs::write(job.output(), "not a folder").unwrap();

    job.run().exits(Outcome::OutputUnusable).asked(0);
    assert_eq!(fs::read_to_string(job.output()).unwrap(), "not a folder");
}

#[test]
fn a_torn_manifest_is_73() {
    let mut job = published();
    let manifest = current(&job).join("manifest.json");
    let text = fs::read(&manifest).unwrap();
    fs::write(&manifest, &text[..text.len() / 2]).unwrap();

    is_refused(&mut job, "manifest");
}

#[test]
fn a_manifest_that_was_edited_is_73() {
    let mut job = published();
    let manifest = current(&job).join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("orders", "0rders")).unwrap();

    is_refused(&mut job, "manifest");
}

#[test]
fn a_missing_manifest_is_73_and_not_a_first_run() {
    let mut job = published();
    fs::remove_file(current(&job).join("manifest.json")).unwrap();

    is_refused(&mut job, "manifest");
}

#[test]
fn a_link_to_a_generation_that_is_gone_is_73() {
    let mut job = published();
    fs::remove_dir_all(current(&job)).unwrap();

    is_refused(&mut job, "current");
}

#[test]
fn a_data_file_of_another_size_is_73() {
    let mut job = published();
    fs::write(current(&job).join("latest.json"), "[]").unwrap();

    is_refused(&mut job, "latest.json");
}

#[test]
fn a_manifest_of_a_newer_format_is_73() {
    let mut job = published();
    let old = current(&job);
    let mut manifest: Value =
        serde_json::from_slice(&fs::read(old.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["format"], 1);
    manifest["format"] = json!(2);
    let text = manifest.to_string();
    fs::write(old.join("manifest.json"), &text).unwrap();
    // Named and linked as the newer version would have done it.
    let name = old.file_name().unwrap().to_str().unwrap();
    let name = format!(
        "{}{}",
        &name[..name.len() - 16],
        &hex(text.as_bytes())[..16]
    );
    fs::rename(&old, old.with_file_name(&name)).unwrap();
    fs::remove_file(job.output().join("current")).unwrap();
    symlink(format!("generations/{name}"), job.output().join("current")).unwrap();

    is_refused(&mut job, "newer");
}

#[test]
fn a_regular_latest_file_is_73_and_adopt_moves_it_away() {
    let mut job = Job::new();
    fs::create_dir_all(job.output()).unwrap();
    fs::write(job.output().join("latest.json"), "[\"mine\"]").unwrap();
    fs::write(job.output().join("state.json"), "{}").unwrap();

    is_refused(&mut job, "--adopt");
    let mut job = job.args(["--adopt"]).page(200, ONE);
    job.run()
        .exits(Outcome::Published)
        .publishes(&json!([{"id": 1}]));

    let before = job.output().join("before-tidegate");
    assert_eq!(
        fs::read_to_string(before.join("latest.json")).unwrap(),
        "[\"mine\"]"
    );
    assert_eq!(fs::read_to_string(before.join("state.json")).unwrap(), "{}");
}

#[test]
fn what_is_not_ours_in_the_folder_is_left_alone() {
    let mut job = Job::new().page(200, ONE);
    fs::create_dir_all(job.output().join("reports")).unwrap();
    fs::write(job.output().join("reports/q3.csv"), "a,b").unwrap();

    job.run().exits(Outcome::Published);

    assert_eq!(
        fs::read_to_string(job.output().join("reports/q3.csv")).unwrap(),
        "a,b"
    );
}

#[test]
fn a_fifo_in_place_of_the_lock_is_73_and_nobody_waits_for_it() {
    let mut job = Job::new();
    fs::create_dir_all(job.output()).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, job.output().join(".lock"), 0o600.into()).unwrap();

    job.run().exits(Outcome::OutputUnusable).asked(0);
}

/// As many records, each three bytes where it is staged and four where it is published.
const MANY: usize = 250_000;
/// In blocks of 512 bytes: room for what is staged, and too little for what is published.
const TOO_LITTLE: &str = "ulimit -f 1800; exec \"$@\"";

fn many() -> String {
    format!("[{}{{}}]", "{},".repeat(MANY - 1))
}

#[test]
fn a_published_file_that_cannot_be_written_is_74() {
    // An ignored SIGXFSZ makes the limit an error like any other.
    let launcher = format!("trap '' XFSZ; {TOO_LITTLE}");
    let mut job = Job::new()
        .old(ONE)
        .page(200, &many())
        .launched_by(&launcher);

    job.run()
        .exits(Outcome::IoFailed)
        .publishes_nothing()
        .stderr_has("latest.json");
}

#[test]
fn a_limit_on_file_sizes_is_74_even_when_its_signal_is_not_ignored() {
    let mut job = Job::new()
        .old(ONE)
        .page(200, &many())
        .launched_by(TOO_LITTLE);

    job.run().exits(Outcome::IoFailed).publishes_nothing();
}

#[test]
fn records_that_cannot_be_staged_are_74() {
    let launcher = "trap '' XFSZ; ulimit -f 1200; exec \"$@\"";
    let mut job = Job::new().old(ONE).page(200, &many()).launched_by(launcher);

    job.run()
        .exits(Outcome::IoFailed)
        .publishes_nothing()
        .stderr_has("records.ndjson");
}

/// Runs the job in a copy of its folder on a file system that `mount` (a shell line) puts there; gives what readers see
/// in it afterwards. The folder itself is untouched behind it.
fn run_mounted(mut job: Job, mount: &str) -> (crate::world::Run, View) {
    let (behind, after) = (job.beside("behind"), job.beside("after"));
    fs::create_dir(&after).unwrap();
    let output = job.output();
    let script = format!(
        "set -e; cp -a '{out}' '{behind}'; {mount}; set +e; \"$@\"; code=$?; cp -a '{out}/.' '{after}'; exit $code",
        out = output.display(),
        behind = behind.display(),
        after = after.display(),
        mount = mount
            .replace("OUT", &output.display().to_string())
            .replace("BEHIND", &behind.display().to_string()),
    );
    job = job.launcher(&["unshare", "-Urm", "sh", "-c", &script, "sh"]);
    let run = job.run();
    let view = View::of(&after);
    (run, view)
}

#[test]
fn a_full_disk_is_74_and_the_old_generation_is_intact() {
    if !can_mount() {
        return eprintln!("not shown here: this machine lets nobody mount a tmpfs");
    }
    let records: Vec<String> = (0..20_000)
        .map(|id| format!(r#"{{"id":{id},"text":"some text that takes place"}}"#))
        .collect();
    let mut job = published();
    job = job.page(200, &format!("[{}]", records.join(",")));

    let (run, seen) = run_mounted(
        job,
        "mount -t tmpfs -o size=512k none 'OUT'; cp -a 'BEHIND/.' 'OUT'",
    );

    run.exits(Outcome::IoFailed)
        .stderr_has("write `records.ndjson`: No space left on device, in `")
        .stderr_has("/in`; ");
    assert_eq!(seen, run.before);
}

#[test]
fn a_disk_without_room_for_another_file_is_74() {
    if !can_mount() {
        return eprintln!("not shown here: this machine lets nobody mount a tmpfs");
    }
    let job = published().page(200, TWO);

    // Fills the table of files after the old generation was copied in, all but one.
    let fill =
        "i=0; while touch 'OUT'/fill-$i 2>/dev/null; do i=$((i+1)); done; rm 'OUT'/fill-[0-3]";
    let (run, seen) = run_mounted(
        job,
        &format!("mount -t tmpfs -o nr_inodes=40 none 'OUT'; cp -a 'BEHIND/.' 'OUT'; {fill}"),
    );

    run.exits(Outcome::IoFailed);
    assert_eq!(seen, run.before);
}

#[test]
fn a_read_only_folder_is_74() {
    if !can_mount() {
        return eprintln!("not shown here: this machine lets nobody mount a tmpfs");
    }
    let job = published();

    let mount = "mount -t tmpfs none 'OUT'; cp -a 'BEHIND/.' 'OUT'; mount -o remount,ro 'OUT'";
    let (run, seen) = run_mounted(job, mount);

    run.exits(Outcome::IoFailed)
        .asked(0)
        .stderr_has("Read-only file system");
    assert_eq!(seen, run.before);
}

#[test]
fn a_lock_file_that_was_deleted_while_held_ends_the_run() {
    let mut job = Job::new().old(ONE).then(|job| {
        let lock = job.output().join(".lock");
        job.api(move |_| {
            fs::remove_file(&lock).unwrap();
            Reply::new(200, TWO)
        })
    });

    let run = job.run();

    run.publishes_nothing().stderr_has("lock");
    assert_ne!(run.code, Some(0));
}

#[test]
fn the_last_run_is_recorded_however_it_ended() {
    let mut job = published().reply(Reply::new(404, "{}"));

    let run = job.run();

    run.exits(Outcome::SourceRefused);
    assert_eq!(run.last_run()["exit_code"], 69);
    assert_eq!(run.last_run()["outcome"], "source_refused");
    assert_eq!(run.last_run()["run_id"], run.summary()["run_id"]);
}
