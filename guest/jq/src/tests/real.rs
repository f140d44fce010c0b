//! The evaluator held to real jq: what programs give there, they give here, but for what `real/decided.txt` says and why.
//!
//! It is the one in the Python package `jq`, which `tests/tools.sh` installs, so that it is the same version everywhere. The programs
//! are those of the tables of cases, and everyday ones.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::*;

/// What real jq said to a program.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Said {
    Gave {
        outputs: Vec<String>,
        error: Option<String>,
    },
    Refused {
        refused: String,
    },
}

/// What it says to all programs, in their order.
fn said(cases: &[(&str, &str)]) -> Vec<Said> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("../../target/jq/bin/python3");
    let mut child = Command::new(&python)
        .arg(root.join("src/tests/real/run.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|why| panic!("{}: {why}; run tests/tools.sh", python.display()));
    let mut lines = String::new();
    for (program, input) in cases {
        writeln!(lines, "{}", json!({"program": program, "input": input})).unwrap();
    }
    let mut stdin = child.stdin.take().unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "a test is no component, and the pipe would fill"
    )]
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        said.len() == cases.len(),
        "jq ended at {:?}",
        cases.get(said.len())
    );
    said
}

/// How a program differs from what it does there; `None`: not at all.
fn difference((program, input): (&str, &str), said: &Said) -> Option<String> {
    let ours = oracle::ours(program, input);
    let (values, error) = match &ours {
        Ok(gave) => (gave.values.as_slice(), gave.error.as_deref()),
        Err(why) => (&[][..], Some(why.as_str())),
    };
    let (there, their_error) = match said {
        Said::Gave { outputs, error } => (outputs.as_slice(), error.as_deref()),
        Said::Refused { refused } => (&[][..], Some(refused.as_str())),
    };
    // By their digits: jq writes `1e+100`, and shortens what it calculated in other ways.
    let mut pairs = values.iter().zip(there);
    let same = values.len() == there.len()
        && error.is_some() == their_error.is_some()
        && pairs.all(|(here, there)| read(there).as_ref() == Ok(here));
    let here: Vec<_> = values.iter().map(shown).collect();
    let text = |outputs: &[String], error: Option<&str>| {
        let error = error.and_then(|why| why.lines().next());
        format!(
            "{} {}",
            outputs.join(" "),
            error.map_or_else(String::new, |why| format!("! {why}"))
        )
    };
    (!same).then(|| {
        format!(
            "{program} on {input}\n  here:  {}\n  in jq: {}",
            text(&here, error),
            text(there, their_error)
        )
    })
}

#[test]
fn programs_differ_from_real_jq_only_where_it_was_decided() {
    let tables = [
        include_str!("cases.txt"),
        include_str!("oracle/decided.txt"),
        include_str!("real/everyday.txt"),
    ];
    let mut cases: Vec<(&str, &str)> = Vec::new();
    for line in tables.into_iter().flat_map(str::lines) {
        let mut parts = line.split('⇒').map(str::trim);
        let case = (parts.next().unwrap(), parts.next().unwrap());
        if !cases.contains(&case) {
            cases.push(case);
        }
    }
    let decided = decided(include_str!("real/decided.txt"));
    let mut wrong = String::new();
    for (program, input) in decided.iter().filter(|case| !cases.contains(case)) {
        writeln!(wrong, "{program} on {input}: in no table of cases").unwrap();
    }
    for (case, said) in cases.iter().zip(said(&cases)) {
        let is_decided = decided.contains(case);
        match difference(*case, &said) {
            Some(found) if !is_decided => writeln!(wrong, "{found}").unwrap(),
            None if is_decided => writeln!(wrong, "{} on {}: as in jq", case.0, case.1).unwrap(),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
