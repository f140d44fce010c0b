//! Real runs keep to the rules; and with any sync left out, or any two calls in the wrong order, they would not.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::super::calls::{Call, OUTPUT};
use super::super::scenario::Scenario;
use super::{Before, Marks, appends, broken, made_as, marks};
use crate::world::Place;

/// Two calls, the first of which must come before the second.
type Pair = (&'static str, usize, usize);

#[test]
fn a_first_run_keeps_to_the_protocol() {
    let scenario = Scenario::first_run(Place::Json);
    let above = before(&scenario).above.len();

    // Data, manifest, their folder, generations/, OUTPUT_DIR, all above it, and OUTPUT_DIR again.
    keeps_to_the_protocol(scenario, 6 + above, 17 + above);
}

#[test]
fn an_upsert_run_keeps_to_the_protocol() {
    // Data, manifest, their folder, generations/, OUTPUT_DIR. Two of the older generations go.
    keeps_to_the_protocol(Scenario::upsert(Place::Json), 5, 14);
}

#[test]
fn a_first_run_into_csv_keeps_to_the_protocol() {
    let scenario = Scenario::first_run(Place::Csv);
    let above = before(&scenario).above.len();

    // As into JSON, and the records beside the table.
    keeps_to_the_protocol(scenario, 7 + above, 19 + above);
}

#[test]
fn an_upsert_run_into_csv_keeps_to_the_protocol() {
    keeps_to_the_protocol(Scenario::upsert(Place::Csv), 6, 16);
}

#[test]
fn an_upsert_run_into_gzip_keeps_to_the_protocol() {
    keeps_to_the_protocol(Scenario::upsert(Place::Gzip), 5, 14);
}

#[test]
fn a_run_with_nothing_new_keeps_to_the_protocol() {
    // The data is the last generation's: that was synced.
    keeps_to_the_protocol(Scenario::nothing_new(Place::Json), 4, 12);
}

#[test]
fn a_run_with_the_same_records_again_keeps_to_the_protocol() {
    keeps_to_the_protocol(Scenario::again(), 4, 12);
}

#[test]
fn a_run_after_a_killed_one_keeps_to_the_protocol() {
    keeps_to_the_protocol(Scenario::after_a_killed_run(), 5, 14);
}

#[test]
fn a_first_append_run_keeps_to_the_protocol() {
    let scenario = Scenario::first_append(Place::Ndjson);
    let above = before(&scenario).above.len();

    // As a first run, and the segment and segments/.
    keeps_to_the_protocol(scenario, 8 + above, 20 + above);
}

#[test]
fn an_append_run_keeps_to_the_protocol() {
    // Digests, manifest, their folder, segment, segments/, generations/, OUTPUT_DIR.
    keeps_to_the_protocol(Scenario::append(Place::Ndjson), 7, 18);
}

#[test]
fn a_first_append_run_after_a_set_keeps_to_the_protocol() {
    // The same, and OUTPUT_DIR for the sake of segments/, which is new.
    keeps_to_the_protocol(Scenario::append_to_a_set(), 8, 18);
}

/// Checks a real run, and then that run without each of its syncs and with each pair the wrong way round.
fn keeps_to_the_protocol(mut scenario: Scenario, syncs: usize, pairs: usize) {
    let calls = scenario.recorded();
    let before = before(&scenario);
    assert_eq!(broken(&calls, &before), [""; 0], "{}", scenario.name);

    let marks = marks(&calls).expect("a run that keeps to the protocol has its marks");
    let left_out: Vec<usize> = (0..marks.told)
        .filter(|&at| calls[at].name.contains("sync"))
        .collect();
    for &at in &left_out {
        let mut without = calls.clone();
        let call = without.remove(at);
        assert_ne!(
            broken(&without, &before),
            [""; 0],
            "{}: nobody misses {call}",
            scenario.name
        );
    }
    assert_eq!(
        left_out.len(),
        syncs,
        "{}: {}",
        scenario.name,
        listed(&calls, &left_out)
    );

    let found = must_be_in_order(&calls, &marks, &before);
    for &(what, earlier, later) in &found {
        assert!(earlier < later, "{}: {what}", scenario.name);
        let mut turned = calls.clone();
        turned.swap(earlier, later);
        assert_ne!(
            broken(&turned, &before),
            [""; 0],
            "{}: the wrong way round: {what}",
            scenario.name
        );
    }
    let names: Vec<&str> = found.iter().map(|(what, ..)| *what).collect();
    assert_eq!(found.len(), pairs, "{}: {names:?}", scenario.name);
    // Past the test harness, which shows what is printed by failed tests only.
    let _ = writeln!(
        std::io::stderr(),
        "{}: {} calls keep to the protocol, and not without each of {syncs} syncs or with any of {pairs} pairs turned",
        scenario.name,
        calls.len()
    );
}

/// The folder before the run.
fn before(scenario: &Scenario) -> Before {
    let output = scenario.output();
    let device = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
    let on = output.ancestors().find_map(device);
    let same = output
        .ancestors()
        .skip(1)
        .take_while(|above| device(above).is_none_or(|own| Some(own) == on));
    Before {
        generation: scenario
            .before
            .generation
            .as_ref()
            .map(|name| name[..6].parse().expect("a number")),
        above: same.map(|above| above.display().to_string()).collect(),
        has_segments: scenario.before.appended() != "",
        output: output.display().to_string(),
        // Where a set was published before, its link is the one that may go.
        latest: scenario.latest_before(),
    }
}

/// Every pair of calls of this run whose order keeps what is published.
#[expect(
    clippy::too_many_lines,
    reason = "the list of the protocol's orderings, one after the other"
)]
fn must_be_in_order(calls: &[Call], marks: &Marks, before: &Before) -> Vec<Pair> {
    let first = |is: &dyn Fn(&Call) -> bool| (0..calls.len()).find(|&at| is(&calls[at]));
    let last = |is: &dyn Fn(&Call) -> bool| (0..marks.moved).rev().find(|&at| is(&calls[at]));
    let sync = |path: &str| first(&|call| call.is("fsync", path));
    let appends = appends(calls);
    let (data, manifest) = (
        if appends {
            format!("{}/staged.digests", marks.made)
        } else {
            format!("{}/{}", marks.made, before.latest)
        },
        format!("{}/manifest.json", marks.made),
    );
    let shared = calls[..marks.moved]
        .iter()
        .any(|call| call.name == "linkat" && call.paths[1] == data);
    let (moved, swap, lasts, told) = (
        Some(marks.moved),
        Some(marks.swap),
        Some(marks.lasts),
        Some(marks.told),
    );

    let mut pairs = vec![
        (
            "the manifest is written before it is synced",
            last(&|call| call.is("write", &manifest)),
            sync(&manifest),
        ),
        (
            "the manifest is synced before the move",
            sync(&manifest),
            moved,
        ),
        (
            "the manifest is made before the folder is synced",
            first(&|call| call.is("openat", &manifest)),
            sync(&marks.made),
        ),
        (
            "the folder is synced before the move",
            sync(&marks.made),
            moved,
        ),
        (
            "the move comes before generations/ is synced",
            moved,
            sync("generations"),
        ),
        (
            "generations/ is synced before the swap",
            sync("generations"),
            swap,
        ),
        (
            "the link is made before the swap",
            first(&|call| call.is("symlinkat", &calls[marks.swap].paths[0])),
            swap,
        ),
        ("the swap comes before OUTPUT_DIR is synced", swap, lasts),
        ("OUTPUT_DIR is synced before anybody is told", lasts, told),
        (
            "the lock is taken before anything is made",
            first(&|call| call.is("flock", ".lock")),
            first(&|call| call.name == "mkdirat" && call.paths[0].starts_with(".staging-")),
        ),
        ("the move comes before the swap", moved, swap),
    ];
    if !shared {
        pairs.push((
            "the data is written before it is synced",
            last(&|call| call.is("write", made_as(calls, &data))),
            sync(&data),
        ));
        pairs.push(("the data is synced before the move", sync(&data), moved));
    }
    let beside = format!("{}/records.ndjson", marks.made);
    if sync(&beside).is_some() {
        pairs.extend([
            (
                "the records beside the table are written before they are synced",
                last(&|call| call.is("write", &beside)),
                sync(&beside),
            ),
            (
                "the records beside the table are synced before the move",
                sync(&beside),
                moved,
            ),
        ]);
    }
    if appends {
        let to_segments =
            |call: &Call| call.name.starts_with("rename") && call.paths[1].starts_with("segments/");
        let named = first(&to_segments);
        let made = named.map_or("", |at| &calls[at].paths[0]);
        pairs.extend([
            (
                "the segment is written before it is synced",
                last(&|call| call.is("write", made)),
                sync(made),
            ),
            (
                "the segment is synced before it gets its name",
                sync(made),
                named,
            ),
            (
                "it gets its name before segments/ is synced",
                named,
                sync("segments"),
            ),
            (
                "segments/ is synced before the swap",
                sync("segments"),
                swap,
            ),
        ]);
    }
    let goes = |at: &usize| {
        calls[*at].name == "unlinkat" && calls[*at].paths[0].starts_with("generations/")
    };
    if let Some(gone) = (marks.swap..calls.len()).find(goes) {
        pairs.push((
            "OUTPUT_DIR is synced before an older generation goes",
            lasts,
            Some(gone),
        ));
    }
    if before.generation.is_none() {
        let made = |path: &str| first(&|call| call.is("mkdirat", path) || call.is("mkdir", path));
        let above = &before.above[0];
        if !appends {
            pairs.push((
                "latest.* is a link before the swap",
                first(&|call| call.is("symlinkat", before.latest)),
                swap,
            ));
        }
        pairs.extend([
            (
                "generations/ is made before OUTPUT_DIR is synced",
                made("generations"),
                sync(OUTPUT),
            ),
            (
                "OUTPUT_DIR is synced before the first swap",
                sync(OUTPUT),
                swap,
            ),
            (
                "OUTPUT_DIR is made before the folder above is synced",
                made(OUTPUT),
                sync(above),
            ),
        ]);
        pairs.extend(before.above.iter().map(|above| {
            (
                "a folder above is synced before the first swap",
                sync(above),
                swap,
            )
        }));
    }
    pairs
        .into_iter()
        .map(|(what, earlier, later)| {
            let found =
                |at: Option<usize>| at.unwrap_or_else(|| panic!("there is no such call: {what}"));
            (what, found(earlier), found(later))
        })
        .collect()
}

fn listed(calls: &[Call], at: &[usize]) -> String {
    let lines: Vec<String> = at.iter().map(|&at| calls[at].to_string()).collect();
    lines.join("\n")
}
