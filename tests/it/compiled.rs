//! `tidegate compile` and the cache: what is compiled once is not compiled again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use tidegate::outcome::Outcome;

use crate::world::{Job, Printed, guests};

/// A job of the example's component with a cache of its own, which is empty.
fn job() -> Job {
    let job = Job::new().component(guests::minimal());
    let cache = job.beside("cache").display().to_string();
    job.set("TIDEGATE_CACHE_DIR", &cache)
}

fn compile(job: &Job) -> Printed {
    job.tidegate(["compile", &guests::minimal().display().to_string()])
}

#[test]
fn what_was_compiled_for_an_image_is_not_compiled_by_a_run_and_the_folder_may_be_read_only() {
    let mut job = job().page(200, r#"[{"id":1}]"#);
    compile(&job)
        .exits(0)
        .stdout_has("compiled `")
        .stdout_has("s of CPU time)\nname      minimal 0.1.0\n");
    let kept = job.beside("cache").join("compiled");
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o500)).unwrap();

    compile(&job).exits(0).stdout_has(" is compiled already\n");
    let run = job.run();

    run.exits(Outcome::Published);
    for msg in [
        "compiling, once",
        "compiling, and not kept",
        "cache not used, component compiled",
    ] {
        assert_eq!(run.events(msg), [Value::Null; 0], "{msg}");
    }
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_run_that_compiles_says_so_once() {
    let mut job = job().page(200, r#"[{"id":1}]"#);

    let first = job.run();
    let second = job.page(200, r#"[{"id":1}]"#).run();

    first.exits(Outcome::Published);
    assert_eq!(first.events("compiling, once").len(), 1);
    second.exits(Outcome::NothingNew);
    assert_eq!(second.events("compiling, once").len(), 0);
}

#[test]
fn a_run_without_a_cache_says_that_it_compiles_each_time() {
    let job = Job::new()
        .component(guests::minimal())
        .set("TIDEGATE_CACHE_DIR", "");
    let mut job = job.page(200, "[]");

    let run = job.run();

    assert_eq!(run.events("compiling, and not kept").len(), 1);
}

#[test]
fn a_run_that_cannot_write_to_the_cache_does_not_say_that_it_keeps_what_it_compiles() {
    let cache = |job: &Job| job.beside("cache").join("compiled");
    let job = Job::ordinary().component(guests::minimal());
    let named = job.beside("cache").display().to_string();
    let job = job.set("TIDEGATE_CACHE_DIR", &named);
    let mut job = job.page(200, "[]");
    job.run();
    for kept in fs::read_dir(cache(&job)).unwrap() {
        let kept = kept.unwrap().path();
        if kept.file_name().is_some_and(|name| name != "key") {
            fs::remove_file(kept).unwrap();
        }
    }
    fs::set_permissions(cache(&job), fs::Permissions::from_mode(0o500)).unwrap();

    let mut job = job.page(200, "[]");
    let run = job.run();

    assert_eq!(run.events("compiling, and not kept").len(), 1);
    assert_eq!(run.events("compiling, once").len(), 0);
    fs::set_permissions(cache(&job), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn every_setting_that_cannot_be_used_is_named() {
    let job = job().set("TABLE_LIMIT", "x").set("INSTANCE_LIMIT", "y");

    compile(&job)
        .exits(78)
        .stderr_has("TABLE_LIMIT")
        .stderr_has("INSTANCE_LIMIT");
}

#[test]
fn a_component_that_traps_or_exits_in_describe_is_explained_without_a_log() {
    let guest = |word: &str| guests::satisfied_but(word).display().to_string();
    let job = job();
    for (word, what) in [
        ("panic", "; its last log line: `the last words of describe`"),
        ("exit", "in place of returning\n"),
    ] {
        let component = guest(word);
        for words in [
            &["compile", &component][..],
            &["inspect", &component],
            &["check", "--component", &component],
            &["describe", "--component", &component],
            &["test", &component],
        ] {
            let printed = job.tidegate_with(words);
            let all = format!("{}{}", printed.stdout, printed.stderr);
            assert!(all.contains(what), "{words:?}: {all}");
            assert!(!all.contains("may show why"), "{words:?}: {all}");
        }
    }
}

#[test]
fn compiling_ends_with_the_codes_of_a_run() {
    let job = job();
    let wat = |name: &str, text: &str| {
        let file = job.beside(name);
        fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
    };
    wat(
        "asks.wasm",
        r#"(component (import "wasi:keyvalue/store@0.2.0" (instance)))"#,
    );
    wat("empty.wasm", "(component)");
    job.file("text.wasm", "not a component");

    for (file, code, told) in [
        ("asks.wasm", 77, "`wasi:keyvalue/store@0.2.0`"),
        ("empty.wasm", 70, "contract"),
        ("text.wasm", 78, "not a WebAssembly component"),
        ("none.wasm", 78, "cannot read the component"),
    ] {
        job.tidegate(["compile", file]).exits(code).stderr_has(told);
    }
}

#[test]
fn a_cache_that_cannot_be_filled_is_a_failure() {
    let none = Job::new().set("TIDEGATE_CACHE_DIR", "");
    let job = job();
    fs::create_dir(job.beside("cache")).unwrap();
    fs::set_permissions(job.beside("cache"), fs::Permissions::from_mode(0o777)).unwrap();
    let in_a_file = Job::new();
    let path = in_a_file
        .file("file", "")
        .join("cache")
        .display()
        .to_string();
    let in_a_file = in_a_file.set("TIDEGATE_CACHE_DIR", &path);

    compile(&none)
        .exits(78)
        .stderr_has("set TIDEGATE_CACHE_DIR");
    compile(&job).exits(73).stderr_has("/cache`");
    compile(&in_a_file)
        .exits(73)
        .stderr_has("cannot make the cache");
}

#[test]
fn a_limit_that_is_raised_allows_what_it_refused() {
    let memory = "(core module $m (memory 1040)) (core instance (instantiate $m))";
    let table = "(core module $m (table 32769 funcref)) (core instance (instantiate $m))";
    let instances = format!(
        "(core module $m) {}",
        "(core instance (instantiate $m)) ".repeat(129)
    );
    for (text, name, value) in [
        (memory, "DESCRIBE_MEMORY_LIMIT", "70MiB"),
        (table, "TABLE_LIMIT", "32769"),
        (&instances, "INSTANCE_LIMIT", "129"),
    ] {
        let job = job();
        let file = job.beside("large.wasm");
        let component = wat::parse_str(format!("(component {text})")).unwrap();
        fs::write(file, component).unwrap();

        job.tidegate(["compile", "large.wasm"])
            .exits(70)
            .stderr_has(&format!("`{name}`"));
        // It has no `describe`, which is all that is wrong with it then.
        let raised = job.set(name, value).tidegate(["compile", "large.wasm"]);
        raised.exits(70).stderr_has("contract");
    }
}
