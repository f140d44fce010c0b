//! The folder as it was before the run: published thrice, long ago.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::OLD;
use crate::server::{Reply, Request};
use crate::world::Job;

/// A folder with three generations long superseded, of which two are kept.
pub fn published_thrice() -> Job {
    published_thrice_by(|job| job)
}

/// The job appends.
pub fn appends(job: Job) -> Job {
    job.unset("PRIMARY_KEY")
        .set("WRITE_MODE", "append")
        .set("OUTPUT_FORMAT", "ndjson")
}

/// The same by a job that was changed.
pub fn published_thrice_by(change: impl FnOnce(Job) -> Job) -> Job {
    let mut job = change(Job::upsert().set("KEEP_GENERATIONS", "2"));
    for amount in 101..=103 {
        job = job.api(answers(
            &OLD.replace("12345678901234567890", &amount.to_string()),
        ));
        job.run().printed.exits(0);
    }
    let generations = job.output().join("generations");
    let mut newest = String::new();
    for name in names(&generations) {
        let old = format!(
            "{}-20240101T0000{}Z-{}",
            &name[..6],
            &name[4..6],
            &name[name.len() - 16..]
        );
        fs::rename(generations.join(&name), generations.join(&old)).expect("rename a generation");
        newest = old;
    }
    fs::remove_file(job.output().join("current")).expect("remove the link");
    symlink(
        format!("generations/{newest}"),
        job.output().join("current"),
    )
    .expect("make the link");
    job
}

/// Leaves an earlier script's files in the output folder.
pub fn leave(job: &Job, theirs: &[(&str, &str)]) {
    for (name, text) in theirs {
        let path = job.output().join(name);
        fs::create_dir_all(path.parent().expect("a folder above")).expect("make a folder");
        fs::write(path, text).expect("write a file of the earlier script");
    }
}

/// A source that always says this.
pub fn answers(body: &str) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let body = body.to_owned();
    move |_| Reply::new(200, body.as_str())
}

/// Copies a folder with its links and times.
pub fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(
        status.expect("start cp").success(),
        "copy {} to {}",
        from.display(),
        to.display()
    );
}

/// The names in a folder, in order.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a readable folder");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}
