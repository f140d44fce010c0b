//! What `deny.toml` says of the dependencies, as far as it can be told without cargo-deny: licences, sources and bans.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{root, text};

/// The dependency graph on this platform.
fn graph(platform: &str) -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let printed = std::process::Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", platform])
        .current_dir(root())
        .output()
        .expect("start cargo");
    let said = String::from_utf8_lossy(&printed.stderr).into_owned();
    serde_json::from_slice(&printed.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// The texts in quotes on one line.
fn quoted(line: &str) -> Vec<&str> {
    line.split('"').skip(1).step_by(2).collect()
}

/// The lines of deny.toml between `NAME = [` and `]`.
fn listed(name: &str) -> Vec<String> {
    let text = text("deny.toml");
    let begin = format!("{name} = [");
    let lines = text.lines().skip_while(|line| *line != begin).skip(1);
    let lines: Vec<String> = lines
        .take_while(|line| *line != "]")
        .map(str::to_owned)
        .collect();
    assert!(!lines.is_empty(), "deny.toml has no `{begin}`");
    lines
}

/// Whether an SPDX expression can be met by what is allowed: `OR` is a choice, `AND` is not, and `AND` binds closer.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ");
    // Before SPDX, a slash was a choice.
    let spaced = spaced.replace('/', " OR ").replace(" WITH ", "+WITH+");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let (met, rest) = any(&tokens, allowed);
    assert!(rest.is_empty(), "`{expression}` is read to its end");
    met
}

fn any<'t>(tokens: &'t [&'t str], allowed: &BTreeSet<String>) -> (bool, &'t [&'t str]) {
    let (mut met, mut rest) = all(tokens, allowed);
    while let Some((&"OR", more)) = rest.split_first() {
        let (next, after) = all(more, allowed);
        (met, rest) = (met | next, after);
    }
    (met, rest)
}

fn all<'t>(tokens: &'t [&'t str], allowed: &BTreeSet<String>) -> (bool, &'t [&'t str]) {
    let (mut met, mut rest) = one(tokens, allowed);
    while let Some((&"AND", more)) = rest.split_first() {
        let (next, after) = one(more, allowed);
        (met, rest) = (met & next, after);
    }
    (met, rest)
}

fn one<'t>(tokens: &'t [&'t str], allowed: &BTreeSet<String>) -> (bool, &'t [&'t str]) {
    let (first, rest) = tokens.split_first().expect("a licence");
    if *first == "(" {
        let (met, rest) = any(rest, allowed);
        return (met, &rest[1..]);
    }
    (allowed.contains(&first.replace("+WITH+", " WITH ")), rest)
}

#[test]
fn every_licence_is_one_that_deny_toml_allows_and_every_source_is_the_registry() {
    let allowed: BTreeSet<String> = listed("allow")
        .iter()
        .map(|line| quoted(line)[0].to_owned())
        .collect();
    let graph = graph("x86_64-unknown-linux-gnu");
    let used: BTreeSet<&str> = graph["resolve"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .filter_map(|node| node["id"].as_str())
        .collect();

    let packages = graph["packages"].as_array().expect("packages").iter();
    let packages = packages.filter(|package| used.contains(package["id"].as_str().expect("an id")));
    let wrong: Vec<String> = packages
        .filter(|package| {
            let licence = package["license"].as_str().unwrap_or("none");
            let source = package["source"].as_str();
            let is_registry = source.is_none_or(|source| source.starts_with("registry+"));
            !is_registry || !is_met(licence, &allowed)
        })
        .map(|package| {
            format!(
                "{}: {} {}",
                package["name"], package["license"], package["source"]
            )
        })
        .collect();

    assert!(used.len() > 200, "{} packages", used.len());
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn what_deny_toml_bans_is_there_for_those_alone_that_it_names() {
    let bans: BTreeMap<String, BTreeSet<String>> = listed("deny")
        .iter()
        .filter(|line| line.contains("crate ="))
        .map(|line| {
            let names = quoted(line.split("reason").next().expect("a line"));
            let wrappers = names[1..].iter().map(|name| (*name).to_owned());
            (names[0].to_owned(), wrappers.collect())
        })
        .collect();
    assert!(
        bans.contains_key("getrandom") && bans.contains_key("chrono"),
        "{bans:?}"
    );

    for platform in ["x86_64-unknown-linux-gnu", "wasm32-unknown-unknown"] {
        let graph = graph(platform);
        let name = |id: &str| {
            let packages = graph["packages"].as_array().expect("packages");
            let package = packages.iter().find(|package| package["id"] == id);
            package.expect("of the graph")["name"]
                .as_str()
                .expect("a name")
                .to_owned()
        };
        for node in graph["resolve"]["nodes"].as_array().expect("nodes") {
            let user = name(node["id"].as_str().expect("an id"));
            for dependency in node["deps"].as_array().expect("dependencies") {
                let dependency = name(dependency["pkg"].as_str().expect("an id"));
                if let Some(wrappers) = bans.get(&dependency) {
                    assert!(
                        wrappers.contains(&user),
                        "{platform}: `{user}` uses `{dependency}`"
                    );
                }
            }
        }
    }
}

#[test]
fn a_choice_of_licences_needs_one_and_a_sum_all() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];
    let allowed = allowed.map(str::to_owned).into();

    for met in [
        "MIT",
        "GPL-2.0-only OR MIT",
        "GPL-2.0-only/MIT",
        "MIT AND ISC",
        "(GPL-2.0-only OR MIT) AND ISC",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only",
    ] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in [
        "GPL-2.0-only",
        "MIT AND GPL-2.0-only",
        "Apache-2.0",
        "(MIT OR ISC) AND Zlib",
    ] {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}
