//! `inspect`: what is shown of a component before it may do anything.

use serde_json::Value;

use crate::world::{Job, Printed, guests, hex};

/// What `inspect` prints of a component in this text, with a cache of its own: its folder, too.
fn inspected(wat: &str) -> (Printed, Vec<String>) {
    let job = Job::new();
    let file = job.beside("own.wasm");
    std::fs::write(&file, wat::parse_str(wat).unwrap()).unwrap();
    let cache = job.beside("cache");
    let job = job.set("TIDEGATE_CACHE_DIR", &cache.display().to_string());
    let printed = job.tidegate(["inspect", "own.wasm"]);
    fits_a_terminal(&printed);
    let kept = std::fs::read_dir(cache).into_iter().flatten();
    let kept = kept.map(|entry| entry.unwrap().file_name().display().to_string());
    (printed, kept.collect())
}

#[track_caller]
fn fits_a_terminal(printed: &Printed) {
    let lines = printed.stdout.lines();
    let wide: Vec<&str> = lines.filter(|line| line.chars().count() > 80).collect();
    assert_eq!(wide, [""; 0]);
}

#[test]
fn a_component_is_shown_with_all_that_it_asks_for() {
    let file = guests::misbehaving().display().to_string();
    let bytes = std::fs::read(&file).unwrap();

    let printed = Job::new().tidegate(["inspect", &file]);

    fits_a_terminal(&printed);
    printed
        .exits(0)
        .stdout_has("name      misbehaving\nversion   0.1.0\n")
        .stdout_has(&format!("sha256    {}\n", hex(&bytes)))
        .stdout_has("stages    all records; changes with SOURCE_CHANGES;")
        .stdout_has("\nImports: 11\n  available      wasi:")
        .stdout_has("\n  SOURCE_MISBEHAVIOUR\n");
    assert!(!printed.stdout.contains("NOT AVAILABLE"), "{printed:?}");
}

#[test]
fn without_a_file_it_is_the_built_in_component() {
    let printed = Job::new().tidegate(["inspect"]);

    fits_a_terminal(&printed);
    printed
        .exits(0)
        .stdout_has("file      built in\n")
        .stdout_has("  SOURCE_API_URL               required\n")
        .stdout_has("  SOURCE_API_KEY               secret, kept by the host\n");
}

/// Its core module is not valid: whoever compiles it hears of that first.
#[test]
fn a_refused_component_is_shown_with_its_imports_and_never_compiled() {
    let wat = r#"(component
        (import "wasi:sockets/tcp@0.3.0" (instance))
        (import "wasi:io/poll@0.2.12" (instance))
        (core module (func (result i32))))"#;

    let (printed, kept) = inspected(wat);

    printed
        .exits(77)
        .stdout_has("refused   a run would exit 77\n")
        .stdout_has(
            "  NOT AVAILABLE  wasi:sockets/tcp@0.3.0\n  available      wasi:io/poll@0.2.12\n",
        )
        .stdout_has("\nAvailable, and not imported: wasi:io/error,")
        .stderr_has("it imports `wasi:sockets/tcp@0.3.0`; only");
    assert_eq!(kept, [""; 0]);
}

#[test]
fn names_that_steer_a_terminal_or_flood_it_do_neither() {
    let many = "(import \"flood\" (func))".repeat(300);
    let long = "x".repeat(10_000);
    let wat =
        format!("(component (import \"\\1b[2Jred\" (func)) (import \"{long}\" (func)) {many})");

    let (printed, _) = inspected(&wat);

    // That nothing steers is held of every command.
    printed
        .exits(77)
        .stdout_has("\nImports: 302\n")
        .stdout_has("\n  and 102 more\n");
    assert!(printed.stdout.len() < 20_000, "{}", printed.stdout.len());
}

#[test]
fn what_is_no_component_is_78_and_what_is_too_large_or_fails_70() {
    let job = Job::new();
    job.file("text.wasm", "not a component");
    let deep = format!("{}{}", "(component ".repeat(20), ")".repeat(20));

    job.tidegate(["inspect", "text.wasm"])
        .exits(78)
        .stdout_has("size      15 bytes\n");
    job.tidegate(["inspect", "none.wasm"]).exits(78);
    inspected(&deep).0.exits(70);
    job.tidegate(["inspect", &guests::describing("trap").display().to_string()])
        .exits(70)
        .stdout_has("\nImports: 11\n")
        .stderr_has("the component trapped");
}

#[test]
fn a_program_reads_the_same_as_json() {
    let job = Job::new();
    let file = guests::misbehaving().display().to_string();
    let refused = r#"(component (import "wasi:keyvalue/store@0.2.0" (instance)))"#;
    std::fs::write(job.beside("own.wasm"), wat::parse_str(refused).unwrap()).unwrap();

    let good = job.tidegate(["inspect", &file, "--output", "json"]);
    let bad = job.tidegate(["inspect", "own.wasm", "--output", "json"]);

    let good: Value = serde_json::from_str(&good.exits(0).stdout).unwrap();
    let bad: Value = serde_json::from_str(&bad.exits(77).stdout).unwrap();
    assert_eq!(good["name"], "misbehaving");
    assert_eq!(good["imports"].as_array().unwrap().len(), 11);
    assert_eq!(good["settings"][1]["name"], "SOURCE_MISBEHAVIOUR");
    assert_eq!(good["exit_code"], 0);
    assert_eq!(bad["imports"][0]["available"], false);
    assert_eq!(bad["exit_code"], 77);
    assert_eq!(bad["settings"], Value::Null);
}
