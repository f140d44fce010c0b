//! Whatever the clock and other processes do, no two runs of a job begin within the interval.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const LEAST: Duration = Duration::from_mins(5);

fn folder() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().to_owned();
    (temp, path)
}

fn interval<'a>(state_folder: &'a Path, job: &'a str) -> Interval<'a> {
    Interval {
        tenant: "acme",
        by: "the policy `p` for tenant `acme`".to_owned(),
        min: MinInterval {
            least: LEAST,
            line: 3,
            state_folder,
        },
        key: hash::sha256(job.as_bytes()),
        job,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn begin(state_folder: &Path, job: &str, now: &str) -> Result<(), Failure> {
    interval(state_folder, job).begin(at(now), "r", &|| Ok(()))
}

#[test]
fn the_next_run_begins_when_the_interval_is_over_and_not_before() {
    let (_temp, folder) = folder();
    begin(&folder, "orders", "2026-11-27T09:00:00Z").unwrap();

    let early = begin(&folder, "orders", "2026-11-27T09:04:59.9Z").unwrap_err();
    let other = begin(&folder, "prices", "2026-11-27T09:01:00Z");
    let later = begin(&folder, "orders", "2026-11-27T09:05:00Z");

    assert_eq!(early.outcome, Outcome::TryLater);
    assert!(!early.is_overlap);
    for told in [
        "began at 2026-11-27T09:00:00Z",
        "the policy `p` for tenant `acme` allows one every 5m (`min_interval`, line 3)",
        "from 2026-11-27T09:05:00Z on (in 1s)",
    ] {
        assert!(early.message.contains(told), "{early}");
    }
    assert!(other.is_ok() && later.is_ok());
}

#[test]
fn a_refused_run_does_not_put_off_the_next() {
    let (_temp, folder) = folder();
    begin(&folder, "orders", "2026-11-27T09:00:00Z").unwrap();
    begin(&folder, "orders", "2026-11-27T09:04:00Z").unwrap_err();

    assert!(begin(&folder, "orders", "2026-11-27T09:05:00Z").is_ok());
}

#[test]
fn a_clock_that_was_set_back_costs_one_interval_and_lets_nothing_through() {
    let (_temp, folder) = folder();
    begin(&folder, "orders", "2099-01-01T00:00:00Z").unwrap();

    let first = begin(&folder, "orders", "2026-11-27T09:00:00Z");
    let before = begin(&folder, "orders", "2026-11-27T09:04:59Z");
    let after = begin(&folder, "orders", "2026-11-27T09:05:00Z");

    assert!(first.unwrap_err().message.contains("2026-11-27T09:05:00Z"));
    assert!(before.is_err() && after.is_ok());
}

#[test]
fn of_runs_that_start_at_once_one_begins() {
    let (_temp, folder) = folder();
    let begun = AtomicUsize::new(0);

    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| match begin(&folder, "orders", "2026-11-27T09:00:00Z") {
                Ok(()) => {
                    begun.fetch_add(1, Ordering::Relaxed);
                }
                Err(failure) => assert!(failure.message.contains("too early"), "{failure}"),
            });
        }
    });

    assert_eq!(begun.into_inner(), 1);
}

#[test]
fn what_is_over_is_forgotten() {
    let (_temp, folder) = folder();
    begin(&folder, "orders", "2026-11-27T09:00:00Z").unwrap();
    begin(&folder, "prices", "2026-11-27T09:04:00Z").unwrap();
    begin(&folder, "stock", "2026-11-27T09:06:00Z").unwrap();

    let text = std::fs::read_to_string(folder.join("acme").join(FILE)).unwrap();

    assert!(!text.contains("orders") && text.contains("prices") && text.contains("stock"));
}

#[test]
fn who_only_looks_changes_nothing() {
    let (_temp, folder) = folder();
    let next = |now| interval(&folder, "orders").next(at(now)).unwrap();

    assert_eq!(next("2026-11-27T09:00:00Z"), None);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    begin(&folder, "orders", "2026-11-27T09:00:00Z").unwrap();
    let told = next("2026-11-27T09:01:00Z").map(|next| next.to_string());
    assert_eq!(told.as_deref(), Some("2026-11-27T09:05:00Z"));
    assert_eq!(next("2026-11-27T09:05:00Z"), None);
}

#[test]
fn where_it_is_not_known_nothing_begins() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_temp, folder) = folder();
    begin(&folder, "orders", "2026-11-27T09:00:00Z").unwrap();
    let refused = |state: &Path, told: &str| {
        let failure = begin(state, "orders", "2026-11-27T10:00:00Z").unwrap_err();
        assert_eq!(failure.outcome, Outcome::Settings, "{failure}");
        assert!(failure.message.contains(told), "{failure}");
    };

    std::fs::write(folder.join("acme").join(FILE), "{\"torn").unwrap();
    refused(&folder, "is damaged; remove it");
    let all = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.join("acme"), all.clone()).unwrap();
    refused(&folder, "every user can write to it");
    std::fs::set_permissions(&folder, all).unwrap();
    refused(&folder, "can be changed by others");
    refused(&folder.join("none"), "with `mkdir -m 700 ");
    let file = folder.join("file");
    std::fs::write(&file, "").unwrap();
    refused(&file, "cannot be used");
}

#[test]
fn a_job_is_known_by_what_it_is_started_with() {
    let (temp, folder) = folder();
    let key = |text: &str, set: &[&str]| {
        let file = folder.join("orders.env");
        std::fs::write(&file, text).unwrap();
        let given = GivenArgs {
            env_file: vec![file],
            set: set.iter().map(|set| (*set).to_owned()).collect(),
            ..GivenArgs::default()
        };
        let stop = crate::process::stop::Stop::unwatched(LEAST);
        let inputs = Inputs::read(&given, [], &crate::limits::Limits::default(), &stop);
        key(&given, &inputs)
    };
    let first = key("JOB_NAME=orders\n", &[]);

    assert_eq!(key("JOB_NAME=other\nOUTPUT_DIR=/x\n", &[]), first);
    assert_eq!(key("", &["MAX_PAGES=3"]), first);
    assert_ne!(key("", &["JOB_NAME=other"]), first);
    drop(temp);
}
