//! `tidegate pin` and KEEP_FOR: which published sets no run removes.

use std::fs;

use crate::world::Job;

fn page(id: u32) -> String {
    format!(r#"[{{"id":{id},"updated":"2026-11-{id:02}T00:00:00Z"}}]"#)
}

/// Publishes a set for each of these, each merged into what was there.
fn publishes(mut job: Job, ids: impl IntoIterator<Item = u32>) -> Job {
    for id in ids {
        job = job.then(|job| job.page(200, &page(id)));
        job.run().printed.exits(0);
    }
    job
}

/// As if the sets had been published long ago: the names of the generations say when.
fn aged(job: &Job) {
    let generations = job.output().join("generations");
    let current = fs::read_link(job.output().join("current")).unwrap();
    for entry in fs::read_dir(&generations).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (number, rest) = name.split_once('-').unwrap();
        let (_, digits) = rest.split_once('-').unwrap();
        let old = format!("{number}-20260101T000000Z-{digits}");
        fs::rename(generations.join(&name), generations.join(&old)).unwrap();
        let pins = job.output().join("pinned.json");
        if let Ok(text) = fs::read_to_string(&pins) {
            fs::write(&pins, text.replace(&name, &old)).unwrap();
        }
        if current.ends_with(&name) {
            fs::remove_file(job.output().join("current")).unwrap();
            let to = format!("generations/{old}");
            std::os::unix::fs::symlink(to, job.output().join("current")).unwrap();
        }
    }
}

fn numbers(job: &Job) -> Vec<u32> {
    let entries = fs::read_dir(job.output().join("generations")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut numbers: Vec<u32> = names.map(|name| name[..6].parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_set_stays_for_keep_for_and_then_goes() {
    let job = publishes(Job::upsert().set("KEEP_GENERATIONS", "2"), 1..=4);
    aged(&job);

    let job = publishes(job.set("KEEP_FOR", "3650d"), [5]);
    assert_eq!(numbers(&job), [1, 2, 3, 4, 5]);
    let job = publishes(job.set("KEEP_FOR", "7d"), [6]);

    // The set before the last ones was replaced just now, the others long ago.
    assert_eq!(numbers(&job), [4, 5, 6]);
}

#[test]
fn a_disk_that_is_full_is_freed_of_what_is_not_to_be_kept() {
    let job = publishes(Job::upsert().set("KEEP_GENERATIONS", "9"), 1..=5);
    aged(&job);
    let full = ["strace", "-fqq", "-o/dev/null", "-e", "trace=fsync"];
    let full = [&full[..], &["-e", "inject=fsync:error=ENOSPC"]].concat();

    let mut job = job.set("KEEP_GENERATIONS", "2").launcher(&full);
    job = job.page(200, &page(6));
    job.run().printed.exits(74);

    assert_eq!(numbers(&job), [4, 5]);
}

#[test]
fn a_pinned_set_stays_until_it_is_released() {
    let job = publishes(Job::upsert().set("KEEP_GENERATIONS", "2"), 1..=2);
    let pinned = job.tidegate(["pin", "1"]);
    pinned
        .exits(0)
        .stdout_has("no run removes it until `tidegate pin 1 --release`");
    job.tidegate(["pin", "1"])
        .exits(0)
        .stdout_has("pinned already");
    job.tidegate(["runs"])
        .exits(0)
        .stdout_has("pinned generation 1")
        .stdout_has("pinned sets: 1");

    let job = publishes(job, 3..=6);
    aged(&job);
    let job = publishes(job, [7]);
    assert_eq!(numbers(&job), [1, 6, 7]);
    let listed = job.tidegate(["pin"]);
    let lines: Vec<&str> = listed.exits(0).stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{listed:?}");
    assert!(lines[1].ends_with("published"), "{listed:?}");
    assert!(lines[3].contains("pinned since 20"), "{listed:?}");
    assert!(lines.iter().all(|line| line.chars().count() <= 80));
    job.tidegate(["rollback", "1"]).exits(0);
    job.tidegate(["rollback", "7"]).exits(0);

    job.tidegate(["pin", "1", "--release"])
        .exits(0)
        .stdout_has("is released");
    let job = publishes(job, [8]);
    assert_eq!(numbers(&job), [6, 7, 8]);
}

#[test]
fn a_pinned_set_that_was_gone_back_from_stays_beside_the_next_ones() {
    let job = publishes(Job::upsert(), 1..=3);
    job.tidegate(["pin", "3"]).exits(0);
    job.tidegate(["rollback", "2"]).exits(0);

    let job = publishes(job, [4]);

    assert_eq!(numbers(&job), [1, 2, 3, 4]);
    job.tidegate(["health", "--verify"]).exits(0);
    // The set before the last one is that from which it went on.
    job.tidegate(["rollback"])
        .exits(0)
        .stdout_has("generation 2 of ");
}

#[test]
fn a_log_does_not_go_back_behind_a_pinned_generation() {
    let job = Job::new()
        .set("SOURCE_CURSOR", "/updated")
        .set("SOURCE_CURSOR_TO", "since")
        .set("WRITE_MODE", "append")
        .set("OUTPUT_FORMAT", "ndjson");
    let job = publishes(job, 1..=3);
    job.tidegate(["pin", "3"]).exits(0);

    job.tidegate(["rollback", "1"])
        .exits(73)
        .stderr_has("generation 3 above it is pinned");

    job.tidegate(["pin", "3", "--release"]).exits(0);
    job.tidegate(["rollback", "1"]).exits(0);
    job.tidegate(["pin", "3"]).exits(0);
    let mut job = job;
    job.run().printed.exits(73);
    assert_eq!(numbers(&job), [1, 2, 3]);
    assert!(job.output().join("segments/000003.ndjson").exists());
}

#[test]
fn what_cannot_be_pinned_is_said() {
    let job = publishes(Job::upsert(), [1]);

    job.tidegate(["pin", "7"])
        .exits(64)
        .stderr_has("cannot find generation 7: 1 are kept");
    job.tidegate(["pin", "1", "--release"])
        .exits(64)
        .stderr_has("it is not pinned; nothing is");
    job.tidegate(["pin", "--release"]).exits(64);
    Job::new().tidegate(["pin", "1"]).exits(64);
    Job::new()
        .tidegate(["pin"])
        .exits(0)
        .stdout_has("nothing is published");
    Job::upsert()
        .sqlite()
        .tidegate(["pin", "1"])
        .exits(64)
        .stderr_has("a table holds the last set alone");

    let lock = fs::File::open(job.output().join(".lock")).unwrap();
    lock.lock().unwrap();
    job.tidegate(["pin", "1"]).exits(75);
    job.tidegate(["pin"]).exits(0);
}

#[test]
fn no_more_are_pinned_than_the_limit() {
    let job = publishes(Job::upsert(), [1]);
    let pins: Vec<String> = (100..200)
        .map(|number| {
            format!(
                r#"{{"generation":"000{number}-20260101T000000Z-0123456789abcdef","since":""}}"#
            )
        })
        .collect();
    let text = format!(r#"{{"pinned":[{}]}}"#, pins.join(","));
    fs::write(job.output().join("pinned.json"), text).unwrap();

    job.tidegate(["pin", "1"])
        .exits(64)
        .stderr_has("pins at most 100 generations");
    job.tidegate(["pin"])
        .exits(0)
        .stdout_has("generation 100 is pinned, and missing");
    job.tidegate(["pin", "150", "--release"]).exits(0);
    job.tidegate(["pin", "1"]).exits(0);
}
