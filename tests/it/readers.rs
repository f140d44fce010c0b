//! Readers in a tight loop while runs publish: every read is one whole set.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::server::{Reply, Request};
use crate::world::{Job, hex};

const RUNS: usize = 300;
/// Enough for many pages of memory, so that a set that is written where it is read could be seen half written.
const RECORDS: usize = 200;

/// A set in which every record says to which it belongs.
fn set(number: usize) -> String {
    let text = "some text that takes place".repeat(20);
    let record = |id| json!({"id": id, "set": number, "text": text}).to_string();
    format!(
        "[{}]",
        (0..RECORDS).map(record).collect::<Vec<_>>().join(",")
    )
}

#[test]
fn readers_see_one_whole_set_whatever_is_published_meanwhile() {
    // Two of three runs publish another set, the third publishes the same one again.
    let (runs, sets) = (AtomicUsize::new(0), [set(0), set(1)]);
    let mut job = Job::new()
        .set("PRIMARY_KEY", "/id")
        .api(move |_: &Request| {
            let run = runs.fetch_add(1, Ordering::Relaxed);
            Reply::new(200, sets[usize::from(run % 3 == 1)].as_str())
        });
    job.run().printed.exits(0);
    let output = job.output();
    let over = AtomicBool::new(false);

    let (latest, resolved) = std::thread::scope(|scope| {
        let latest = scope.spawn(|| read_until(&over, || set_seen_in(&output.join("latest.json"))));
        let resolved = scope.spawn(|| {
            read_until(&over, || {
                resolved_once(&output);
                last_run(&output);
            })
        });
        for _ in 1..RUNS {
            job.start().ends_unchecked().exits(0);
        }
        over.store(true, Ordering::Relaxed);
        let ended = |reader: std::thread::ScopedJoinHandle<'_, usize>| {
            reader.join().expect("a reader saw something torn")
        };
        (ended(latest), ended(resolved))
    });

    let generation = job.view().generation.expect("a generation is published");
    assert!(
        generation.starts_with(&format!("{RUNS:06}-")),
        "{generation}"
    );
    assert!(
        latest > RUNS && resolved > RUNS,
        "{latest} and {resolved} reads prove too little"
    );
    // Past the test harness, which shows what is printed by failed tests only.
    let _ = writeln!(
        std::io::stderr(),
        "{RUNS} runs under {latest} reads of latest.json and {resolved} of a resolved generation and of last-run.json"
    );
}

/// Reads until it is over, and says how often.
fn read_until(over: &AtomicBool, read: impl Fn()) -> usize {
    let mut reads = 0;
    while !over.load(Ordering::Relaxed) {
        read();
        reads += 1;
    }
    reads
}

/// Opens the data file by the name readers use: all its records are there, and all of one set.
fn set_seen_in(file: &Path) {
    let bytes = fs::read(file).expect("latest.json is never missing");
    let records: Vec<Value> = serde_json::from_slice(&bytes).expect("latest.json is never torn");
    assert_eq!(records.len(), RECORDS);
    assert!(
        records
            .iter()
            .all(|record| record["set"] == records[0]["set"]),
        "records of two sets"
    );
}

/// Asks once which generation is current and then reads two of its files: they belong together.
fn resolved_once(output: &Path) {
    let generation =
        fs::canonicalize(output.join("current")).expect("current always leads to a generation");
    let manifest = fs::read(generation.join("manifest.json")).expect("its manifest is there");
    let data = fs::read(generation.join("latest.json")).expect("its data is there");
    let name = generation.file_name().expect("a name").to_string_lossy();
    assert!(
        name.ends_with(&hex(&manifest)[..16]),
        "the manifest is not the one of `{name}`"
    );
    let manifest: Value = serde_json::from_slice(&manifest).expect("a manifest is never torn");
    assert_eq!(manifest["files"]["latest.json"]["sha256"], hex(&data));
    assert_eq!(manifest["counts"]["records"], RECORDS);
}

/// How the last run ended: replaced whole as well.
fn last_run(output: &Path) {
    let bytes = fs::read(output.join("last-run.json")).expect("last-run.json is never missing");
    let last_run: Value = serde_json::from_slice(&bytes).expect("last-run.json is never torn");
    assert_eq!(last_run["exit_code"], 0);
}
