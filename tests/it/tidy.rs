//! Rules of this repository, as tests: what a reviewer would otherwise have to look for.
//!
//! What rustfmt and clippy already refuse is not repeated here.

/// What `deny.toml` says.
mod dependencies;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Not written by us, or made by a program.
const NOT_OURS: [&str; 3] = ["wit/deps", "target", ".git"];
const OURS: [&str; 6] = ["rs", "wit", "toml", "sh", "py", "md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace above host/")
        .to_owned()
}

/// The text of a file, by its path from the top.
pub fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Our text files, by their path from the top.
pub fn ours() -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(&root(), &mut found);
    assert!(found.len() > 50, "only {} files were found", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a readable folder").flatten() {
        let path = entry.path();
        let name = path
            .strip_prefix(root())
            .expect("below the top")
            .display()
            .to_string();
        if NOT_OURS.contains(&name.as_str())
            || entry.file_type().is_ok_and(|kind| kind.is_symlink())
        {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else if path
            .extension()
            .is_some_and(|ending| OURS.iter().any(|own| ending == *own))
        {
            found.push((
                name,
                fs::read_to_string(&path).expect("our files are UTF-8"),
            ));
        }
    }
}

/// The files that break a rule.
fn breaking(breaks: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let files = ours().into_iter();
    files
        .filter(|(name, text)| breaks(name, text))
        .map(|(name, _)| name)
        .collect()
}

fn is_code(name: &str) -> bool {
    has_ending(name, "rs")
}

fn has_ending(name: &str, wanted: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|ending| ending == wanted)
}

#[test]
fn every_module_says_what_it_promises() {
    let silent = |name: &str, text: &str| {
        // The tests of a module speak for themselves.
        let speaks =
            text.starts_with("//!") || text.starts_with("// ") || name.ends_with("/tests.rs");
        is_code(name) && !speaks
    };

    assert_eq!(breaking(silent), [""; 0]);
}

#[test]
fn nothing_is_left_to_be_done() {
    // In pieces, so that this file is not one of them.
    let marks = [
        ["todo", "!("].concat(),
        ["unimplemented", "!("].concat(),
        ["dbg", "!("].concat(),
        ["FIX", "ME"].concat(),
    ];

    assert_eq!(
        breaking(|name, text| is_code(name) && marks.iter().any(|mark| text.contains(mark))),
        [""; 0]
    );
}

#[test]
fn no_test_is_switched_off_or_content_with_a_panic() {
    let marks = [["#[ign", "ore"].concat(), ["#[should", "_panic"].concat()];

    assert_eq!(
        breaking(|name, text| is_code(name) && marks.iter().any(|mark| text.contains(mark))),
        [""; 0]
    );
}

#[test]
fn no_line_ends_in_a_blank() {
    assert_eq!(
        breaking(|name, text| !has_ending(name, "md")
            && text.lines().any(|line| line.ends_with([' ', '\t']))),
        [""; 0]
    );
}

/// The folders and files of `host/src`, from the top down: each may use what comes after it.
const FROM_THE_TOP: [&str; 22] = [
    "main",
    "lib",
    "commands",
    "run",
    "sink",
    "settings",
    "sandbox",
    "component",
    "records",
    "staging",
    "egress",
    "given_file",
    "folder",
    "process",
    "log",
    "outcome",
    "hash",
    "cli",
    "secret",
    "units",
    "words",
    "limits",
];
/// Arrows that run back up, and why each may: the name of a setting is known to whoever reports what is wrong with it.
const UPWARDS: [(&str, &str); 4] = [
    ("component", "settings"),
    ("egress", "settings::catalogue"),
    ("records", "settings::catalogue"),
    // Whether columns make a table is said with all other problems of the settings.
    ("settings", "sink::database::Layout"),
];

#[test]
fn calls_run_downwards() {
    let place = |module: &str| {
        FROM_THE_TOP
            .iter()
            .position(|known| *known == module)
            .unwrap_or_else(|| panic!("`{module}` has no place in FROM_THE_TOP"))
    };
    let runs_up = |name: &str, text: &str| {
        let Some(path) = name.strip_prefix("host/src/") else {
            return false;
        };
        if path.contains("/tests") || !has_ending(path, "rs") {
            return false;
        }
        let own = path.split(['/', '.']).next().unwrap_or_default();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let used = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| line.split("crate::").skip(1));
        used.into_iter().any(|used| {
            let to = used
                .split([':', ';', ' ', '{', '}', ','])
                .next()
                .unwrap_or_default();
            let may = |&(from, what): &(&str, &str)| from == own && used.starts_with(what);
            to.starts_with(|c: char| c.is_ascii_lowercase())
                && place(to) < place(own)
                && !UPWARDS.iter().any(may)
        })
    };

    assert_eq!(breaking(runs_up), [""; 0]);
}

#[test]
fn every_limit_of_the_host_is_in_one_module() {
    let has_one = |name: &str, text: &str| {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_limit = |line: &str| {
            let rest = line.trim_start().trim_start_matches("pub ");
            let name = rest
                .strip_prefix("const ")
                .and_then(|rest| rest.split(':').next());
            name.is_some_and(|name| {
                name.ends_with("_MAX") || name.ends_with("_TRIED") || name.ends_with("TRIES")
            })
        };
        name.starts_with("host/src/")
            && name != "host/src/limits.rs"
            && !name.ends_with("/tests.rs")
            && code.lines().any(is_limit)
    };

    assert_eq!(breaking(has_one), [""; 0]);
}

#[test]
fn one_module_renames() {
    let renames = |name: &str, text: &str| {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let publishes = ["commit", "adopt", "begun", "new_segment", "retire"]
            .iter()
            .any(|module| name == format!("host/src/sink/files/{module}.rs"));
        let allowed = publishes
            || name == "host/src/sink/refused.rs"
            || name == "host/src/component/cache.rs"
            || name == "host/src/given_file/rotated.rs"
            || name.ends_with("/tests.rs")
            || !name.starts_with("host/src/");
        !allowed
            && ["renameat(", "renameat_with(", "fs::rename("]
                .iter()
                .any(|call| code.contains(call))
    };

    assert_eq!(breaking(renames), [""; 0]);
}

#[test]
fn only_main_reads_the_environment() {
    let reads = |name: &str, text: &str| {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let ours = name.starts_with("host/src/") || name.starts_with("guest/src/");
        ours && name != "host/src/main.rs"
            && ["env::var", "env::temp_dir", "env::home_dir", "std::env"]
                .iter()
                .any(|call| code.contains(call))
    };

    assert_eq!(breaking(reads), [""; 0]);
}

/// The names of the settings that have a row in the host's catalogue.
fn rows_of_the_catalogue() -> Vec<String> {
    let catalogue = text("host/src/settings/catalogue.rs");
    let rows = catalogue
        .lines()
        .filter(|line| line.starts_with("    ") && line.ends_with(" {"));
    let names = rows.filter_map(|line| line.trim_start().split_once(": "));
    let names: Vec<String> = names
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    assert!(names.len() > 35, "{names:?}");
    names
}

/// A new setting is a row of the catalogue and its one use: whoever needs its name takes it from the row.
#[test]
fn a_setting_of_the_host_is_named_in_the_catalogue_alone() {
    let names = rows_of_the_catalogue();
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();

    let names_one = |name: &str, text: &str| {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_test = name.contains("/tests/") || name.ends_with("/tests.rs");
        name.starts_with("host/src/")
            && !is_test
            && name != "host/src/settings/catalogue.rs"
            && names.iter().any(|setting| code.contains(setting))
    };

    assert_eq!(breaking(names_one), [""; 0]);
}

/// The settings that the host has a row for, and the files with their values.
fn is_hosts(rows: &[String], name: &str) -> bool {
    let bare = name.strip_suffix("_FILE").unwrap_or(name);
    rows.iter().any(|row| row == name || row == bare)
}

/// What a component's settings do, its description says: the host cannot know it from their names.
#[test]
fn the_host_names_no_setting_of_the_source_but_its_own() {
    let rows: Vec<String> = rows_of_the_catalogue();
    // The value of one may name a file, that of another hold a credential, and the rate is one for all that share a source: no
    // description can say that.
    let known = ["SOURCE_SCHEMA", "SOURCE_HEADERS", "SOURCE_RATE"]
        .map(|name| ("host/src/settings/component_settings.rs", name));
    let names_one = |file: &str, text: &str| {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_test = file.contains("/tests/") || file.ends_with("/tests.rs");
        let is_word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let mut named = code
            .split(|c| !is_word(c))
            .filter(|word| word.starts_with("SOURCE_") && *word != "SOURCE_");
        file.starts_with("host/src/")
            && is_code(file)
            && !is_test
            && named.any(|name| {
                // The host puts SOURCE_SECRET into it.
                let is_body = ["SOURCE_BODY", "SOURCE_EXPORT_BODY"].contains(&name);
                !is_hosts(&rows, name) && !is_body && !known.contains(&(file, name))
            })
    };

    assert!(is_hosts(&rows, "SOURCE_API_URL") && !is_hosts(&rows, "SOURCE_CURSOR"));
    assert_eq!(breaking(names_one), [""; 0]);
}

#[test]
fn one_folder_of_the_guest_names_waki_and_wasi() {
    let names = |name: &str, text: &str| {
        name.starts_with("guest/src/")
            && name != "guest/src/wasi.rs"
            && !name.starts_with("guest/src/wasi/")
            && ["waki::", "wit_bindgen", "bindings::"]
                .iter()
                .any(|word| text.contains(word))
    };

    assert_eq!(breaking(names), [""; 0]);
}

/// The guest's modules, from the ground up: each names only those above it here.
const GUEST: [&str; 12] = [
    "units",
    "ports",
    "failure",
    "nearest",
    "time",
    "source",
    "cursor",
    "state",
    "records",
    "settings",
    "freshness",
    "probe",
];

#[test]
fn no_module_of_the_guest_names_one_that_is_built_on_it() {
    let names = |name: &str, text: &str| {
        let module = name.strip_prefix("guest/src/").unwrap_or_default();
        let module = module.split(['/', '.']).next().unwrap_or_default();
        let Some(own) = GUEST.iter().position(|known| *known == module) else {
            return false;
        };
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_test = name.contains("/tests/") || name.ends_with("/tests.rs");
        let mut named = code.split("crate::").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            &rest[..end.unwrap_or(rest.len())]
        });
        // What stands in no module of the list is the crate's own: the whole job.
        !is_test
            && named.any(|name| {
                GUEST.iter().position(|known| *known == name) > Some(own) || !GUEST.contains(&name)
            })
    };

    assert_eq!(breaking(names), [""; 0]);
}

#[test]
fn the_lock_file_is_kept() {
    assert!(text("Cargo.lock").contains("name = \"tidegate\""));
}

#[test]
fn the_changelog_begins_with_what_is_not_released() {
    let changelog = text("CHANGELOG.md");
    let first = changelog.lines().find(|line| line.starts_with("## "));

    assert!(
        first.is_some_and(|line| line.contains("Unreleased")),
        "{first:?}"
    );
}

#[test]
fn both_licences_are_here() {
    assert!(text("LICENSE-MIT").contains("MIT"));
    assert!(text("LICENSE-APACHE").contains("Apache License"));
}

#[test]
fn the_example_of_settings_is_what_describe_prints() {
    let printed = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["describe", "--env-example"])
        .output()
        .unwrap();

    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(
        text(".env.example") == printed,
        "make it anew: tidegate describe --env-example > .env.example"
    );
}

#[test]
fn the_docs_list_the_settings_that_there_are() {
    let printed = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("describe")
        .output()
        .unwrap();

    let table = settings_table(&String::from_utf8(printed.stdout).unwrap());

    assert!(table.lines().count() > 30, "{table}");
    assert!(
        text("docs/settings.md").contains(&table),
        "the table in docs/settings.md should be:\n{table}"
    );
}

/// What `tidegate describe` prints, as the table of `docs/settings.md`.
fn settings_table(described: &str) -> String {
    let mut rows: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for line in described.lines() {
        if let Some(doc) = line.strip_prefix("      ") {
            let row = rows.last_mut();
            row.expect("a meaning stands below its setting").2.push(doc);
        } else if let Some(head) = line.strip_prefix("  ") {
            let (name, remarks) = head.split_once(' ').unwrap_or((head, ""));
            rows.push((name, remarks.trim(), Vec::new()));
        }
    }
    let rows = rows.into_iter().map(|(name, remarks, doc)| {
        let mut remarked = remarks.split(", ");
        let default = match remarked.find_map(|remark| remark.strip_prefix("default ")) {
            Some(default) => format!("`{default}`"),
            None if remarks.starts_with("required") => "required".to_owned(),
            None => "none".to_owned(),
        };
        let doc = doc.join(" ").replace('|', "\\|");
        format!("| `{name}` | {doc} | {default} |\n")
    });
    let head = "| setting | meaning | default |\n|---|---|---|\n".to_owned();
    std::iter::once(head).chain(rows).collect()
}
