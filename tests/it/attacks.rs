//! The table in `docs/security.md`: every attack is there once, with tests that exist, or with what is missing and why.
//!
//! Whether a test does what its row says is for people to judge.

/// Attacks that no other module performs.
mod more;

use crate::tidy;

/// The groups of attacks, and how many there are in each.
const GROUPS: [(&str, usize); 3] = [("G", 40), ("H", 22), ("C", 19)];
/// What a row may say where a test is missing.
const REASONS: [&str; 2] = ["not yet: ", "residue: "];
/// The names of folders and modules by which no two tests are told apart.
const PASSED_OVER: [&str; 4] = ["src", "tests", "it", "mod"];

/// One row: its id, and what its last column says.
struct Row<'t> {
    id: &'t str,
    tests: &'t str,
}

fn rows(table: &str) -> Vec<Row<'_>> {
    let of_group = |line: &str| {
        let id = line.strip_prefix("| ").unwrap_or_default();
        GROUPS.iter().any(|(group, _)| {
            id.strip_prefix(group)
                .is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    let lines = table.lines().filter(|line| of_group(line));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 7, "a row has five columns: {line}");
            assert!(!cells[4].is_empty(), "no wall: {line}");
            Row {
                id: cells[1],
                tests: cells[5],
            }
        })
        .collect()
}

/// Ids that are missing or stand there more than once.
fn not_there_once(rows: &[Row<'_>]) -> Vec<String> {
    let ids = GROUPS
        .iter()
        .flat_map(|(group, many)| (1..=*many).map(move |number| format!("{group}{number}")));
    ids.filter(|id| rows.iter().filter(|row| row.id == id).count() != 1)
        .collect()
}

/// Ids that have neither a test nor a reason.
fn without_anything(rows: &[Row<'_>]) -> Vec<String> {
    let has_reason = |row: &Row<'_>| {
        REASONS.iter().any(|reason| {
            let said = row.tests.split_once(reason);
            said.is_some_and(|(_, why)| !why.is_empty())
        })
    };
    rows.iter()
        .filter(|row| named(row).is_empty() && !has_reason(row))
        .map(|row| row.id.to_owned())
        .collect()
}

/// The tests that a row names.
fn named<'t>(row: &Row<'t>) -> Vec<&'t str> {
    row.tests.split('`').skip(1).step_by(2).collect()
}

/// Named tests that no file of a fitting path has, each after the id of its row.
fn unknown(rows: &[Row<'_>], files: &[(String, String)]) -> Vec<String> {
    let files: Vec<(Vec<&str>, &str)> = files
        .iter()
        .filter_map(|(name, text)| Some((modules(name.strip_suffix(".rs")?, "/"), text.as_str())))
        .collect();
    let exists = |test: &str| {
        let Some((path, function)) = test.rsplit_once("::") else {
            return false;
        };
        let (path, function) = (modules(path, "::"), format!("fn {function}("));
        files
            .iter()
            .any(|(file, text)| file.ends_with(&path) && text.contains(&function))
    };
    let tests = rows
        .iter()
        .flat_map(|row| named(row).into_iter().map(|test| (row.id, test)));
    tests
        .filter(|(_, test)| !exists(test))
        .map(|(id, test)| format!("{id}: {test}"))
        .collect()
}

/// The steps of a path by which modules are told apart.
fn modules<'p>(path: &'p str, separator: &str) -> Vec<&'p str> {
    path.split(separator)
        .filter(|step| !PASSED_OVER.contains(step))
        .collect()
}

#[test]
fn every_attack_has_one_row() {
    assert_eq!(
        not_there_once(&rows(&tidy::text("docs/security.md"))),
        [""; 0]
    );
}

#[test]
fn every_row_has_a_test_or_says_what_is_missing() {
    assert_eq!(
        without_anything(&rows(&tidy::text("docs/security.md"))),
        [""; 0]
    );
}

#[test]
fn every_test_that_is_named_exists() {
    assert_eq!(
        unknown(&rows(&tidy::text("docs/security.md")), &tidy::ours()),
        [""; 0]
    );
}

#[test]
fn what_is_wrong_with_a_table_is_found() {
    let table = "| G1 | a | b | w | `limits::it_holds` |\n\
                 | G2 | a | b | w | `limits::it_does_not`, `it_holds` |\n\
                 | G2 | a | b | w | `elsewhere::it_holds` |\n\
                 | G3 | a | b | w | |\n\
                 | G4 | a | b | w | not yet: |\n\
                 | G5 | a | b | w | not yet: no wall |";
    let files = [(
        "tests/it/limits.rs".to_owned(),
        "fn it_holds() {}".to_owned(),
    )];

    let rows = rows(table);

    let missing = not_there_once(&rows);
    assert_eq!(missing.len(), 77, "{missing:?}");
    assert_eq!(missing[..2], ["G2", "G6"]);
    assert_eq!(without_anything(&rows), ["G3", "G4"]);
    assert_eq!(
        unknown(&rows, &files),
        [
            "G2: limits::it_does_not",
            "G2: it_holds",
            "G2: elsewhere::it_holds"
        ]
    );
}
