//! Memory: whatever a component has the host hold counts as its own, so that `MEMORY_LIMIT` bounds the process.

use std::fmt::Write as _;

use tidegate::outcome::Outcome;

use super::{MIB, ONE};
use crate::server::Reply;
use crate::world::{Job, Run};

/// What a process may take besides `MEMORY_LIMIT`, whatever a component does.
const BESIDES: u64 = 128 * MIB;
/// `MEMORY_LIMIT` where none is given.
const LIMIT: u64 = 256 * MIB;
/// What hoards are given: less, so that they are done sooner.
const HOARD: u64 = 64 * MIB;

/// Behaviours that take what they can get, and how each ends. `None`: it takes nothing, and the run is published.
const TAKING: [(&str, Option<&str>); 34] = [
    (
        "eat-memory",
        Some("more memory than `MEMORY_LIMIT` allows (256 MiB)"),
    ),
    ("pass-a-huge-list", Some("tidegate")),
    (
        "send-a-header-flood",
        Some("total size of fields exceeds limit"),
    ),
    ("hoard-handles", Some("more than 10000 resources")),
    ("hoard-fields", Some("MiB of header fields")),
    ("hoard-small-fields", Some("MiB of header fields")),
    ("hoard-listed-fields", Some("MiB of header fields")),
    ("hoard-cloned-fields", Some("MiB of header fields")),
    ("hoard-set-fields", Some("MiB of header fields")),
    ("hoard-requests", Some("MiB of requests")),
    ("hoard-answers-of-its-own", Some("MiB of header fields")),
    ("hoard-request-options", Some("more than 10000 resources")),
    ("hoard-methods", Some("MiB of requests")),
    ("hoard-paths", Some("MiB of requests")),
    ("hoard-authorities", Some("MiB of requests")),
    ("hoard-request-bodies", Some("MiB of request bodies")),
    ("hoard-finished-bodies", Some("MiB of request bodies")),
    ("hoard-dropped-bodies", Some("MiB of request bodies")),
    ("hoard-finished-answers", Some("MiB of request bodies")),
    (
        "log-more-than-is-taken",
        Some("more than `check-write` allows"),
    ),
    (
        "hoard-pending-requests",
        Some("more than 16 requests pending"),
    ),
    ("drop-requests-at-once", Some("requests pending")),
    ("hoard-answers", Some("MiB of answers")),
    ("hoard-pollables", Some("more than 10000 resources")),
    ("hoard-descriptors", Some("more than 10000 resources")),
    ("hoard-streams", Some("more than 10000 resources")),
    ("hoard-listings", Some("more than 10000 resources")),
    ("poll-a-long-list", Some("tidegate")),
    ("write-many-zeroes", Some("tidegate")),
    ("read-what-is-not-there", None),
    ("stage-many-files", Some("more than 40 files")),
    ("fill-by-write", Some("staged more than")),
    ("log-a-long-line", None),
    ("flood-the-log", None),
];

#[test]
fn no_behaviour_takes_the_process_beyond_its_limit() {
    let mut table =
        "| behaviour | MEMORY_LIMIT | peak of the process | end |\n|---|---|---|---|\n".to_owned();
    let mut wrong = Vec::new();
    for (behaviour, told) in TAKING {
        let hoards = behaviour.starts_with("hoard-");
        let limit = if hoards { HOARD } else { LIMIT };
        let run = taking(behaviour, limit);
        let peak = run.memory_peak_bytes / MIB;
        let end = run.stderr.lines().next().unwrap_or("published");
        let _ = writeln!(
            table,
            "| {behaviour} | {} MiB | {peak} MiB | {end} |",
            limit / MIB
        );
        let ends = match told {
            Some(told) => run.code == Some(70) && end.contains(told),
            None => run.code == Some(0),
        };
        if !ends || run.memory_peak_bytes >= limit + BESIDES {
            wrong.push(behaviour);
        }
    }
    // For people: `--nocapture`.
    print!("{table}");
    assert!(wrong.is_empty(), "{wrong:?}\n{table}");
}

fn taking(behaviour: &str, limit: u64) -> Run {
    // No body, which would have to be read before the next answer, and a head of nearly what is allowed.
    let head = "x".repeat(50_000);
    let mut job = Job::misbehaving(behaviour)
        .old(ONE)
        .set("SOURCE_ASK", "{server}/")
        .set("MEMORY_LIMIT", &format!("{}MiB", limit / MIB))
        .then(|job| job.api(move |_| Reply::new(204, "").header("x-a", &head)));
    job.run()
}

/// Components that are large before any of their code runs; `describe` has 64 MiB.
const LARGE: [(&str, &str, &str); 7] = [
    (
        "one memory of 4 GiB",
        "(core module $m (memory 65536)) (core instance (instantiate $m))",
        "more memory in `describe` than `DESCRIBE_MEMORY_LIMIT` allows (64 MiB)",
    ),
    (
        "one table of 100,000,000",
        "(core module $m (table 100000000 funcref)) (core instance (instantiate $m))",
        "a table of more than 32768 entries (`TABLE_LIMIT`)",
    ),
    (
        "140 tables",
        "(core module $m {70 tables}) (core instance (instantiate $m)) (core instance (instantiate $m))",
        "more than 128 tables (`INSTANCE_LIMIT`)",
    ),
    (
        "140 instances of one page",
        "(core module $m (memory 1)) {140 instances}",
        "more than 128 core instances (`INSTANCE_LIMIT`)",
    ),
    (
        "30 memories of 6 MiB",
        "(core module $m (memory 100)) {30 instances}",
        "more memory in `describe` than `DESCRIBE_MEMORY_LIMIT` allows (64 MiB)",
    ),
    (
        "140 components in a component",
        "(component $c (core module $m (memory 1)) (core instance (instantiate $m))) {140 components}",
        "more than 128 core instances (`INSTANCE_LIMIT`)",
    ),
    (
        "handles of its own without end",
        "(type $r (resource (rep i32)))
         (core func $new (canon resource.new $r))
         (core module $m (import \"a\" \"new\" (func $new (param i32) (result i32)))
            (func $f (loop (drop (call $new (i32.const 1))) (br 0))) (start $f))
         (core instance (instantiate $m (with \"a\" (instance (export \"new\" (func $new))))))",
        "handle",
    ),
];

#[test]
fn no_component_is_large_before_it_runs() {
    for (name, text, told) in LARGE {
        let text = text
            .replace("{70 tables}", &"(table 9000 funcref) ".repeat(70))
            .replace(
                "{140 instances}",
                &"(core instance (instantiate $m)) ".repeat(140),
            )
            .replace(
                "{30 instances}",
                &"(core instance (instantiate $m)) ".repeat(30),
            )
            .replace(
                "{140 components}",
                &"(instance (instantiate $c)) ".repeat(140),
            );
        let job = Job::new();
        let file = job.beside("large.wasm");
        std::fs::write(
            &file,
            wat::parse_str(format!("(component {text})")).unwrap(),
        )
        .unwrap();

        let run = job.component(&file).run();

        run.exits(Outcome::ComponentFailed)
            .asked(0)
            .stderr_has(told);
        assert!(
            run.memory_peak_bytes < LIMIT + BESIDES,
            "{name}: {} MiB",
            run.memory_peak_bytes / MIB
        );
    }
}
