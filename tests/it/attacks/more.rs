//! Attacks of `docs/security.md` that no other module performs.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tidegate::outcome::Outcome;

use crate::server::Reply;
use crate::world::place::at;
use crate::world::{Job, Place, can_mount, names};

const ONE: &str = r#"[{"id":1}]"#;
const MIB: u64 = 1024 * 1024;
const MEMORY_MAX: u64 = (256 + 128) * MIB;

/// Proposals of WebAssembly that components do not need, each with a component that uses it.
const SWITCHED_OFF: [(&str, &str); 12] = [
    (
        "streams",
        "(type $s (stream u8)) (core func (canon stream.new $s))",
    ),
    (
        "futures",
        "(type $f (future u8)) (core func (canon future.new $f))",
    ),
    ("threads", "(core module (memory 1 1 shared))"),
    ("memory64", "(core module (memory i64 1))"),
    ("multi-memory", "(core module (memory 1) (memory 1))"),
    ("gc", "(core module (type (struct (field i32))))"),
    ("exceptions", "(core module (tag))"),
    (
        "function references",
        "(core module (type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0))))",
    ),
    (
        "wide arithmetic",
        "(core module (func (param i64 i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 1))))",
    ),
    ("tail calls", "(core module (func $f (return_call $f)))"),
    ("custom page sizes", "(core module (memory 1 (pagesize 1)))"),
    (
        "relaxed SIMD",
        "(core module (func (param v128 v128 v128) (result v128)
            (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2))))",
    ),
];

#[test]
fn proposals_that_are_switched_off_are_refused() {
    for (name, text) in SWITCHED_OFF {
        eprintln!("{name}");
        let job = Job::new();
        let file = job.beside("own.wasm");
        let component = wat::parse_str(format!("(component {text})")).unwrap();
        fs::write(&file, component).unwrap();

        let run = job.component(&file).run();

        run.exits(Outcome::Settings).asked(0);
    }
}

/// A job whose component stages these lines, merged by `/id`.
fn staging(lines: &str) -> Job {
    Job::misbehaving("stage-as-told")
        .set("WRITE_MODE", "upsert")
        .set("SOURCE_CHANGES", "yes")
        .set("PRIMARY_KEY", "/id")
        .set("SOURCE_STAGE_RECORDS", lines)
}

#[test]
fn records_that_are_no_json_or_have_two_keys_are_refused() {
    for (line, outcome) in [
        (r#"{"id":1,"v":NaN}"#, Outcome::ComponentFailed),
        (r#"{"id":1,"v":-Infinity}"#, Outcome::ComponentFailed),
        (r#"{"id":1,"v":01}"#, Outcome::ComponentFailed),
        (r#"{"id":1},{"id":2}"#, Outcome::ComponentFailed),
        (r#"{"id":1,"id":2}"#, Outcome::GateRefused),
        (r#"{"id":1,"i\u0064":2}"#, Outcome::GateRefused),
        (r#"{"id":1e999}"#, Outcome::GateRefused),
    ] {
        let run = staging(&format!("{line}\n")).run();

        run.exits(outcome).publishes_nothing();
    }
}

/// Nothing in a record is a statement.
fn sql_in_a_record_is_data(place: Place) {
    const DROP: &str = "x'); DROP TABLE orders; --";
    let lines = json!({"id": DROP, "n": "\"; DELETE FROM orders; $$ \\. \t"}).to_string();
    let mut job = staging(&format!("{lines}\n{{\"id\":\"y\"}}\n")).at(place);
    job.run().exits(Outcome::Published);

    let mut job = job.set("SOURCE_STAGE_RECORDS", "").set(
        "SOURCE_STAGE_DELETED",
        "{\"key\":[\"z' OR '1'='1\"],\"at\":0}\n",
    );
    let run = job.run();

    run.exits(Outcome::NothingNew);
    let seen = run.after.records();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[0].contains(DROP), "{seen:?}");
}

at! { sql_in_a_record_is_data at json sqlite postgres; }

#[test]
fn a_bomb_in_a_redirect_or_an_error_is_refused_as_in_a_page() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&vec![b' '; 64 << 20]).unwrap();
    let bomb = gzip.finish().unwrap();

    for status in [302, 401, 404, 429, 503] {
        let reply = Reply::new(status, bomb.clone())
            .header("content-encoding", "gzip")
            .header("location", "/elsewhere");

        let run = Job::new().old(ONE).reply(reply).run();

        run.exits(Outcome::ProtocolBroken)
            .asked(1)
            .publishes_nothing()
            .stderr_has("decode_ratio");
        assert!(
            run.memory_peak_bytes < 128 * MIB,
            "{status}: {} MiB",
            run.memory_peak_bytes / MIB
        );
    }
}

#[test]
fn a_record_of_half_a_million_members_stays_within_the_memory_limit() {
    let members: Vec<String> = (0..500_000).map(|n| format!("\"m{n}\":{n}")).collect();
    let page = format!("[{{{}}}]", members.join(","));

    // A schema has the record understood: a member that comes twice would be found.
    for schema in ["", "{}"] {
        let run = Job::new()
            .set("SOURCE_SCHEMA", schema)
            .page(200, &page)
            .run();

        run.exits(Outcome::Published);
        assert_eq!(run.summary()["records"], 1);
        assert!(
            run.memory_peak_bytes < MEMORY_MAX,
            "{} MiB",
            run.memory_peak_bytes / MIB
        );
    }
}

#[test]
fn an_output_folder_that_is_swapped_during_a_run_is_never_left() {
    let mut job = Job::new().page(200, ONE);
    job.run().exits(Outcome::Published);
    let (output, moved, precious) = (job.output(), job.beside("moved"), job.beside("precious"));
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("latest.json"), "precious").unwrap();
    let (from, to, link) = (output.clone(), moved.clone(), precious.clone());
    let mut job = job.api(move |_| {
        fs::rename(&from, &to).unwrap();
        symlink(&link, &from).unwrap();
        Reply::new(200, r#"[{"id":1},{"id":2}]"#)
    });

    let run = job.start().ends_unchecked();

    run.exits(0);
    assert_eq!(names(&precious), ["latest.json"]);
    assert_eq!(
        fs::read_to_string(precious.join("latest.json")).unwrap(),
        "precious"
    );
    assert_eq!(
        fs::read_to_string(moved.join("latest.json")).unwrap(),
        "[\n{\"id\":1},\n{\"id\":2}\n]\n"
    );
}

#[test]
fn generations_on_another_file_system_are_73_before_anything_is_asked() {
    if !can_mount() {
        return eprintln!("not shown here: this machine lets nobody mount a tmpfs");
    }
    let job = Job::new();
    let generations = job.output().join("generations");
    fs::create_dir_all(&generations).unwrap();
    let script = format!(
        "mount -t tmpfs -o mode=755 none '{}' && exec \"$@\"",
        generations.display()
    );
    let mut job = job.launcher(&["unshare", "-Urm", "sh", "-c", &script, "sh"]);

    let run = job.run();

    run.exits(Outcome::OutputUnusable)
        .asked(0)
        .stderr_has("generations/ is on another file system");
}

#[test]
fn a_name_of_a_job_leads_nowhere() {
    for name in [
        "../x",
        "/x",
        "..",
        "a/../../x",
        "о\u{440}ders",
        "x%2F..",
        "-x",
    ] {
        let job = Job::upsert().unset("OUTPUT_DIR").page(200, "[]");
        let folder = job.beside("db");
        fs::create_dir(&folder).unwrap();
        let url = format!("sqlite://{}/data.db", folder.display());
        let mut job = job
            .set("OUTPUT_DATABASE_URL", &url)
            .set("OUTPUT_TABLE", "orders")
            .set("JOB_NAME", name);

        job.start().ends_unchecked().exits(0);

        assert_eq!(names(&job.beside("")), ["db"], "{name}");
        let own = ["data.db", "data.db-shm", "data.db-wal", "data.db.tidegate"];
        assert_eq!(names(&folder), own, "{name}");
        assert_eq!(names(&folder.join("data.db.tidegate")).len(), 1, "{name}");
    }
    for name in ["x".repeat(300), "a\nb".to_owned(), "\u{1b}[2J".to_owned()] {
        let run = Job::new().set("JOB_NAME", &name).run();

        run.exits(Outcome::Settings).asked(0).stderr_has("JOB_NAME");
    }
}
