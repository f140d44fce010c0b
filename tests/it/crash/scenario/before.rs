//! The folder as it was before the run: published thrice, long ago.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::OLD;
use crate::server::{Reply, Request};
use crate::world::{Job, Place};

/// The job appends.
pub fn appends(job: Job) -> Job {
    job.unset("PRIMARY_KEY").set("WRITE_MODE", "append")
}

/// The job gives its files another mode than umask does: one call more for each.
pub fn with_mode(job: Job) -> Job {
    if job.place().is_table() {
        return job;
    }
    job.set("OUTPUT_MODE", "640")
}

/// A job that published three times, of which two are kept, long superseded.
pub fn published_thrice(place: Place) -> Job {
    published_thrice_by(Job::upsert().at(place))
}

/// The same by this job.
pub fn published_thrice_by(job: Job) -> Job {
    let is_table = job.place().is_table();
    let mut job = if is_table {
        job
    } else {
        job.set("KEEP_GENERATIONS", "2")
    };
    for amount in 101..=103 {
        job = job.api(answers(
            &OLD.replace("12345678901234567890", &amount.to_string()),
        ));
        job.run().printed.exits(0);
    }
    if !is_table {
        grow_old(&job.output());
    }
    job
}

/// Gives the generations in this folder a time long ago.
fn grow_old(output: &Path) {
    let generations = output.join("generations");
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
    fs::remove_file(output.join("current")).expect("remove the link");
    symlink(format!("generations/{newest}"), output.join("current")).expect("make the link");
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
