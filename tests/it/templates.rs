//! `new connector`: what it writes and what it refuses, and each template built by its own script and proven by `test`.

/// The types of the TypeScript template.
mod typescript;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use tidegate::outcome::Outcome;

use crate::world::{Job, scripts};

fn tidegate(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let output = command.current_dir(folder).args(args).output();
    output.expect("start tidegate")
}

fn new_connector(folder: &Path, name: &str, lang: &str) -> Output {
    tidegate(folder, &["new", "connector", name, "--lang", lang])
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a readable folder").flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_new_connector_has_its_name_the_wit_and_scripts_that_can_be_run() {
    let folder = tempfile::tempdir().unwrap();

    let made = new_connector(folder.path(), "my-orders", "python");

    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let own = folder.path().join("my-orders");
    let source = fs::read_to_string(own.join("connector.py")).unwrap();
    assert!(source.contains("name=\"my-orders\""));
    for (path, text) in [
        ("world.wit", include_str!("../../wit/world.wit")),
        ("job.wit", include_str!("../../wit/job.wit")),
        ("deps/http.wit", include_str!("../../wit/deps/http.wit")),
    ] {
        assert_eq!(
            fs::read_to_string(own.join("wit").join(path)).unwrap(),
            text
        );
    }
    for script in ["build.sh", "test.sh"] {
        let bits = fs::metadata(own.join(script)).unwrap().permissions().mode();
        assert_eq!(bits & 0o100, 0o100, "{script}");
    }
}

#[test]
fn a_folder_that_exists_is_73_and_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("mine");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("work"), "days").unwrap();

    let refused = new_connector(folder.path(), "mine", "rust");

    assert_eq!(refused.status.code(), Some(73));
    assert!(stderr(&refused).contains("`mine` exists already; nothing was written"));
    assert_eq!(names(&own), ["work"]);
}

#[test]
fn a_name_that_is_none_and_a_language_that_is_unknown_are_64() {
    let folder = tempfile::tempdir().unwrap();

    let name = new_connector(folder.path(), "../Mine", "rust");
    let lang = new_connector(folder.path(), "mine", "pyton");

    assert_eq!(name.status.code(), Some(64));
    assert!(stderr(&name).contains("use lower case letters, digits and `-`"));
    assert_eq!(lang.status.code(), Some(64));
    let said = stderr(&lang);
    assert!(
        said.contains("[possible values: rust, python, js, ts, go, c]"),
        "{said}"
    );
    assert!(said.contains("a similar value exists: 'python'"), "{said}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn nothing_is_left_of_a_connector_that_could_not_be_written() {
    let folder = tempfile::tempdir().unwrap();

    // A limit on the size of a file, which is met in the middle of its files.
    let script = "ulimit -f 8; trap '' XFSZ; exec \"$0\" new connector mine --lang rust";
    let failed = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_tidegate")])
        .current_dir(folder.path())
        .output()
        .unwrap();

    assert_eq!(failed.status.code(), Some(74), "{}", stderr(&failed));
    assert!(stderr(&failed).contains("nothing is left of it"));
    assert_eq!(names(folder.path()), [""; 0]);
}

/// The bindings that the templates of C and Go carry.
#[test]
fn the_generated_bindings_are_of_this_wit() {
    let script =
        "cd wit && find . -name '*.wit' | LC_ALL=C sort | xargs cat | sha256sum | cut -d ' ' -f 1";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let now = Command::new("sh")
        .args(["-c", script])
        .current_dir(root)
        .output()
        .unwrap();

    let generated = include_str!("../../host/templates/connector/WIT.sha256");
    assert_eq!(
        generated,
        String::from_utf8_lossy(&now.stdout),
        "make them anew: sh host/templates/connector/generate.sh"
    );
}

/// Builds a new connector by its own script, and proves it.
fn is_proven(lang: &str) {
    let folder = tempfile::tempdir_in(scripts::tools()).unwrap();
    let made = new_connector(folder.path(), "my-orders", lang);
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let own = folder.path().join("my-orders");
    // Packages of npm, 390 MB, stay from run to run as well.
    let (kept, packages) = (
        scripts::tools().join("node_modules"),
        own.join("node_modules"),
    );
    let has_packages = matches!(lang, "js" | "ts");
    if has_packages && kept.exists() {
        fs::rename(&kept, &packages).unwrap();
    }
    let python = (lang == "python").then(scripts::python);
    let proven = scripts::run(&own, "test.sh");
    drop(python);
    assert_eq!(
        proven.status.code(),
        Some(0),
        "{lang}:\n{}\n{}",
        String::from_utf8_lossy(&proven.stdout),
        stderr(&proven)
    );
    assert!(String::from_utf8_lossy(&proven.stdout).contains("built my-orders.wasm ("));
    is_exact(&own.join("my-orders.wasm"), lang);
    if has_packages {
        fs::rename(&packages, &kept).unwrap();
    }
}

/// JSON that is no page is refused, and a record is published with its own digits.
fn is_exact(component: &Path, lang: &str) {
    let job = |page: &str| {
        let job = Job::new().component(component).set("PRIMARY_KEY", "/id");
        let job = job.set("WRITE_MODE", "upsert").page(200, page);
        job.set("OUTPUT_FORMAT", "ndjson")
    };
    for page in [
        "[[],null]",
        "{\"items\":[[\"2025-01-01T00:00:00Z\"]],\"next\":null}",
        "{\"items\":[{\"id\":1,\"updated\":\"2025-01-01T00:00:00Z\",\"price\":NaN}],\"next\":null}",
    ] {
        let run = job(page).run();

        assert_eq!(
            run.code,
            Some(i32::from(Outcome::ProtocolBroken.exit_code())),
            "{lang}, {page}: {}",
            run.stderr
        );
    }
    let record = "{\"id\":1,\"updated\":\"2025-01-01T00:00:00Z\",\"price\":1.10,\"large\":1e400,\"small\":-0.0,\"rate\":1E+2,\"exact\":0.1000000000000000055511151231257827,\"count\":18446744073709551617}";
    let mut job = job(&format!("{{\"items\":[{record}],\"next\":null}}"));

    let run = job.run();

    run.exits(Outcome::Published);
    let published = fs::read_to_string(job.output().join("latest.ndjson")).unwrap();
    assert_eq!(published.trim_end(), record, "{lang}");
}

#[test]
fn a_new_connector_in_rust_is_proven() {
    is_proven("rust");
}

#[test]
fn a_new_connector_in_python_is_proven() {
    is_proven("python");
}

#[test]
fn a_new_connector_in_go_is_proven() {
    is_proven("go");
}

#[test]
fn a_new_connector_in_c_is_proven() {
    is_proven("c");
}

/// One after the other: both have the same packages.
#[test]
fn new_connectors_in_javascript_and_typescript_are_proven() {
    is_proven("js");
    is_proven("ts");
}
