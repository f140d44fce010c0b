//! `tidegate test`: honest components pass, and each flaw of `tests/guests/flawed` is found by its own check.

use std::path::Path;

use serde_json::Value;

use crate::world::{Job, Printed, guests, names};

/// Checks that are slow, and fail for their own flaws alone.
const SLOW: [&str; 11] = [
    "429 with Retry-After",
    "429 until a date",
    "body cut off",
    "JSON cut short",
    "hang",
    "100,000 records",
    "memory",
    "table entries",
    "CPU time",
    "state size",
    "size",
];

fn tested(args: &[&str]) -> Printed {
    let job = Job::new();
    let all: Vec<&str> = ["test"].iter().chain(args).copied().collect();
    let printed = job.tidegate_with(&all);
    let lines = printed.stdout.lines();
    let wide: Vec<&str> = lines.filter(|line| line.chars().count() > 80).collect();
    if !args.contains(&"json") {
        assert_eq!(wide, [""; 0]);
    }
    printed
}

/// The names of the checks with this word before them.
fn with(printed: &Printed, word: &str) -> Vec<String> {
    let lines = printed.stdout.lines().take_while(|line| !line.is_empty());
    let lines = lines.filter_map(|line| line.strip_prefix(&format!("{word:<4}  ")));
    lines
        .map(|line| line.split(": ").next().unwrap().to_owned())
        .collect()
}

#[track_caller]
fn nothing_is_cut(printed: &Printed) {
    let cut: Vec<&str> = printed
        .stdout
        .lines()
        .filter(|line| line.ends_with('…'))
        .collect();
    assert_eq!(cut, [""; 0]);
}

#[test]
fn the_built_in_component_passes_every_check() {
    let printed = tested(&[]);

    nothing_is_cut(&printed);
    printed.exits(0).stdout_has("\nok: 44 checks passed\n");
    assert_eq!(printed.stderr, "");
    assert_eq!(printed.stdout.matches("ok    ").count(), 44);
}

#[test]
fn a_connector_without_a_flaw_passes_every_check() {
    let printed = tested(&[&guests::flawed().display().to_string()]);

    nothing_is_cut(&printed);
    printed.exits(0);
    assert_eq!(
        (with(&printed, "FAIL"), with(&printed, "skip")),
        (vec![], vec![])
    );
}

/// It is on one screen: it does not try again, follows nothing and keeps nothing.
#[test]
fn the_example_of_a_connector_fails_only_where_it_says_so() {
    let file = guests::minimal().display().to_string();

    let printed = tested(&[&file, "--set", "SOURCE_API_URL={api}/all"]);

    nothing_is_cut(&printed);
    printed
        .exits(1)
        .stdout_has("\nFAIL: 5 of 37 checks failed, 7 skipped\n");
    assert_eq!(
        with(&printed, "FAIL"),
        [
            "newer state",
            "500 twice",
            "429 with Retry-After",
            "429 until a date",
            "redirect, same origin"
        ]
    );
    assert_eq!(
        with(&printed, "skip"),
        [
            "defaults",
            "ties",
            "late rows",
            "future row",
            "deletions",
            "window",
            "page loop"
        ]
    );
}

/// Each flaw, and the checks that find it.
const FLAWS: [(&str, &[&str]); 32] = [
    ("trap", &["three pages"]),
    (
        "lose-a-page",
        &[
            "three pages",
            "counts",
            "same state on a rerun",
            "second run",
            "future row",
            "full refresh",
            "window",
            "500 twice",
            "page loop",
            "redirect, same origin",
        ],
    ),
    ("leave-a-file", &["files in /out"]),
    ("miscount", &["counts"]),
    ("keep-carriage-returns", &["lines end in LF"]),
    ("break-characters", &["UTF-8"]),
    ("round-numbers", &["big numbers"]),
    ("keep-no-version", &["state"]),
    ("keep-the-clock", &["same state on a rerun"]),
    ("ask-for-everything", &["second run", "deletions"]),
    ("lose-ties", &["ties"]),
    ("ask-without-lookback", &["late rows"]),
    ("trust-the-rows", &["future row"]),
    ("trust-its-own-clock", &["future row"]),
    ("keep-the-deleted", &["deletions"]),
    ("ignore-a-refresh", &["full refresh"]),
    ("ignore-a-window", &["window"]),
    ("take-any-state", &["newer state"]),
    ("give-up-at-500", &["500 twice"]),
    (
        "wait-for-nothing",
        &["429 with Retry-After", "429 until a date"],
    ),
    ("wait-for-no-date", &["429 until a date"]),
    ("retry-for-long", &["503 for ever"]),
    ("take-401-for-an-outage", &["401"]),
    ("take-404-for-an-outage", &["404"]),
    ("take-a-break-for-the-end", &["body cut off"]),
    ("take-half-for-the-end", &["JSON cut short"]),
    ("take-html-for-the-end", &["not JSON"]),
    ("take-an-error-for-the-end", &["another shape"]),
    ("go-round", &["page loop"]),
    ("follow-nothing", &["redirect, same origin"]),
    ("follow-for-long", &["redirect loop"]),
    ("give-up-waiting", &["hang"]),
];

/// All checks but the slow ones that have nothing to do with the flaw.
fn only(flaw: &str, found_by: &[&str]) -> Vec<String> {
    let listed = tested(&["--only", "?"]).stderr;
    let listed = listed
        .trim_end()
        .split_once("there are: ")
        .unwrap()
        .1
        .to_owned();
    let wanted = listed
        .split("; ")
        .filter(|name| found_by.contains(name) || !SLOW.contains(name));
    let only = wanted.flat_map(|name| ["--only".to_owned(), name.to_owned()]);
    let flaw = format!("SOURCE_FLAW={flaw}");
    only.chain(["--set".to_owned(), flaw]).collect()
}

#[test]
fn each_flaw_is_found_by_its_check_and_by_no_other() {
    let file = guests::flawed().display().to_string();
    for (flaw, found_by) in FLAWS {
        let mut args = only(flaw, found_by);
        args.insert(0, file.clone());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();

        let printed = tested(&args);

        assert_eq!(
            with(&printed, "FAIL"),
            found_by,
            "{flaw}:\n{}",
            printed.stdout
        );
        nothing_is_cut(&printed);
        printed.exits(1);
    }
}

#[test]
fn what_takes_too_much_of_a_large_source_is_found() {
    let file = guests::flawed().display().to_string();
    let large = [
        "--only",
        "100,000 records",
        "--only",
        "memory",
        "--only",
        "state size",
    ];
    for (flaw, found_by) in [
        ("hoard", &["100,000 records"][..]),
        ("keep-too-much", &["state size"]),
    ] {
        let flaw = format!("SOURCE_FLAW={flaw}");
        let mut args = vec![file.as_str(), "--set", &flaw];
        args.extend(large);

        let printed = tested(&args);

        assert_eq!(
            with(&printed, "FAIL"),
            found_by,
            "{flaw}:\n{}",
            printed.stdout
        );
        nothing_is_cut(&printed);
    }
}

/// The flawed component with other bytes in place of these.
fn patched(name: &str, from: &[u8], to: &[u8]) -> String {
    let mut component = std::fs::read(guests::flawed()).unwrap();
    let at: Vec<usize> = memchr::memmem::find_iter(&component, from).collect();
    assert_eq!((at.len(), from.len()), (1, to.len()));
    component[at[0]..at[0] + to.len()].copy_from_slice(to);
    written(name, &component)
}

fn written(name: &str, component: &[u8]) -> String {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, component).unwrap();
    file.display().to_string()
}

#[test]
fn a_version_that_is_none_is_found() {
    let file = patched("unversioned.wasm", b"0.1.0-flawed", b"flawed-0.1.0");

    let printed = tested(&[&file, "--only", "versions"]);

    printed
        .exits(1)
        .stdout_has("FAIL  versions: its version is `flawed-0.1.0`; say it like 0.1.0\n");
}

#[test]
fn a_component_near_the_limit_of_size_is_found() {
    let mut component = std::fs::read(guests::minimal()).unwrap();
    // A custom section of 61 MiB: its id, its length, the length of its name, and its name in the first of its bytes.
    component.extend([0, 0x80, 0x80, 0xc0, 0x1e, 1]);
    component.extend(vec![b'x'; (61 << 20) - 1]);
    let file = written("large.wasm", &component);

    let printed = tested(&[&file, "--only", "size"]);

    printed
        .exits(1)
        .stdout_has("FAIL  size: 95 % of the limit is used, the component file; use less\n");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn imports_that_are_not_available_are_named_and_the_rest_is_skipped() {
    let component =
        wat::parse_str(r#"(component (import "example:other/thing@0.1.0" (instance)))"#);
    let file = written("importing.wasm", &component.unwrap());

    let printed = tested(&[&file]);

    nothing_is_cut(&printed);
    printed
        .exits(1)
        .stdout_has("FAIL  imports: example:other/thing@0.1.0 not available; ")
        .stdout_has("\nFAIL: 1 of 2 checks failed, 42 skipped\n");
}

#[test]
fn a_component_that_cannot_describe_itself_is_found() {
    let file = guests::describing("trap").display().to_string();

    let printed = tested(&[&file]);

    nothing_is_cut(&printed);
    printed.exits(1).stdout_has("FAIL  describe: ");
    assert_eq!(with(&printed, "FAIL"), ["describe"]);
}

#[test]
fn a_machine_can_read_it() {
    let file = guests::flawed().display().to_string();
    let few = ["--only", "counts", "--only", "401", "--only", "deletions"];
    let mut args = vec![
        file.as_str(),
        "--output",
        "json",
        "--set",
        "SOURCE_FLAW=miscount",
    ];
    args.extend(few);

    let printed = tested(&args);

    printed.exits(1);
    let read: Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(read["name"], "flawed");
    assert_eq!(read["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(
        (&read["ok"], &read["failed"], &read["exit_code"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert_eq!(read["checks"][0]["name"], "counts");
    assert_eq!(read["checks"][0]["verdict"], "failed");
    assert_eq!(
        read["checks"][0]["text"],
        "its report says pages=4; count what there was: 3"
    );
}

#[test]
fn what_cannot_be_tested_ends_as_a_run_would() {
    let file = guests::misbehaving().display().to_string();
    for (args, code, said) in [
        (&["/dev/null"][..], 78, "cannot read the component"),
        (&["Cargo.toml"], 78, "cannot read the component"),
        (
            &["--only", "everything"],
            64,
            "there is no check `everything`; there are: imports; ",
        ),
        (
            &["--set", "OUTPUT_DIR=/x"],
            64,
            "OUTPUT_DIR is decided by `tidegate test`",
        ),
        (
            &["--set", "SOURCE_API_URL=http://example.com/"],
            64,
            "SOURCE_API_URL is to begin with `{api}`",
        ),
        (
            &["--set", "SOURCE_NOTHING=1"],
            78,
            "SOURCE_NOTHING is not a setting",
        ),
        (
            &[&file, "--set", "ALLOW_HOSTS=x.example"],
            64,
            "ALLOW_HOSTS is decided",
        ),
    ] {
        let printed = tested(args);

        printed.exits(code).stderr_has(said);
        assert_eq!(printed.stdout, "", "{args:?}");
    }
}

#[test]
fn it_leaves_nothing_behind() {
    let job = Job::new();
    let temporary = job.beside("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let job = job.set("TMPDIR", &temporary.display().to_string());

    job.tidegate(["test", "--only", "three pages", "--only", "500 twice"])
        .exits(0);

    assert_eq!(names(&temporary), [""; 0]);
}
