//! A database as readers see it: as the folder that would hold the same. And SQLite's file.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::Value;

use super::{View, hex};

/// What readers of the job `orders` see, of a copy: who opens a database also tidies up after a run that was killed, and that
/// is the next run's to show.
pub fn view(path: &Path, output: &Path) -> View {
    if !path.exists() {
        return View::default();
    }
    let copy = tempfile::tempdir().expect("a temporary folder");
    for end in ["", "-wal", "-journal"] {
        let of = |path: &Path| format!("{}{end}", path.display());
        let (from, to) = (of(path), of(&copy.path().join("data.db")));
        if Path::new(&from).exists() {
            fs::copy(from, to).expect("copy the database");
        }
    }
    let path = copy.path().join("data.db");
    let has = |name: &str| {
        let tables = rows(&path, "SELECT name FROM sqlite_schema");
        tables.iter().any(|table| table == name)
    };
    let manifest = if has("tidegate_state") {
        rows(
            &path,
            "SELECT manifest FROM tidegate_state WHERE job = 'orders'",
        )
        .pop()
    } else {
        None
    };
    let Some(manifest) = manifest else {
        if has("orders") {
            assert_eq!(
                rows(&path, "SELECT 1 FROM orders"),
                [""; 0],
                "{}: rows without a commit",
                output.display()
            );
        }
        return View::default();
    };
    let keys = rows(
        &path,
        "SELECT name FROM pragma_table_info('orders') WHERE pk > 0 ORDER BY pk",
    );
    // As tidegate sorts: integers of any size, then strings.
    let order: Vec<String> = keys
        .iter()
        .map(|key| format!("typeof(\"{key}\") = 'text', typeof(\"{key}\") = 'blob', \"{key}\""))
        .collect();
    let order = if order.is_empty() {
        "rowid".to_owned()
    } else {
        order.join(", ")
    };
    let whole = rows(
        &path,
        "SELECT name FROM pragma_table_info('orders') WHERE name = 'data'",
    );
    let shown = if whole.is_empty() { "*" } else { "data" };
    let records = rows(
        &path,
        &format!("SELECT {shown} FROM orders ORDER BY {order}"),
    );
    if has("tidegate_history") {
        is_consistent(&rows(&path, GENERATIONS));
    }
    let state = rows(
        &path,
        "SELECT generation || ' ' || state FROM tidegate_state WHERE job = 'orders'",
    );
    committed(&manifest, &state[0], &records)
}

/// Of each generation that can be gone back to, how many rows it had, and how many were valid then.
pub const GENERATIONS: &str = "SELECT h.generation, h.manifest, \
    (SELECT count(*) FROM orders o WHERE o._generation <= h.generation) + \
    (SELECT count(*) FROM orders_history p WHERE p._from_generation <= h.generation AND p._to_generation > h.generation) \
    FROM tidegate_history h WHERE h.job = 'orders' \
    AND (SELECT max(generation) FROM tidegate_history) = (SELECT generation FROM tidegate_state) ORDER BY h.generation";

/// Of each generation every row is there, once.
pub fn is_consistent(generations: &[String]) {
    for line in generations {
        let (manifest, valid) = line.rsplit_once('|').expect("a number of rows");
        let (generation, manifest) = manifest.split_once('|').expect("a manifest");
        let manifest: Value = serde_json::from_str(manifest).expect("the manifest is JSON");
        let records = manifest["counts"]["records"].to_string();
        assert_eq!(
            records, valid,
            "rows that were valid in generation {generation}"
        );
    }
}

/// A commit, of its manifest, its number and state, and all its rows.
pub fn committed(manifest: &str, state: &str, records: &[String]) -> View {
    let parsed: Value = serde_json::from_str(manifest).expect("the manifest is JSON");
    let finished = parsed["finished"].as_str().expect("a time");
    let time: String = finished[..19]
        .chars()
        .filter(|c| !"-:".contains(*c))
        .collect();
    let number = parsed["generation"].as_u64().expect("a number");
    let name = format!("{number:06}-{time}Z-{}", &hex(manifest.as_bytes())[..16]);
    let latest = match records.len() {
        0 => "[\n]\n".to_owned(),
        _ => format!("[\n{}\n]\n", records.join(",\n")),
    };
    assert_eq!(
        parsed["counts"]["records"],
        records.len(),
        "the manifest counts the rows"
    );
    let wanted = format!("{number} {}", parsed["state"].as_str().expect("a state"));
    assert_eq!(state, wanted, "row and manifest are of one commit");
    View::with(
        name,
        &[
            ("latest.json", &latest),
            ("current/manifest.json", manifest),
        ],
    )
}

/// What a query gives, the values of a row with `|` between them.
pub fn rows(path: &Path, query: &str) -> Vec<String> {
    let link = Connection::open(path).expect("open the database");
    let mut statement = link.prepare(query).expect(query);
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let shown = (0..columns).map(|at| {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => String::new(),
                ValueRef::Integer(value) => value.to_string(),
                ValueRef::Real(value) => format!("{value:?}"),
                ValueRef::Text(text) | ValueRef::Blob(text) => {
                    String::from_utf8_lossy(text).into_owned()
                }
            })
        });
        Ok(shown.collect::<rusqlite::Result<Vec<_>>>()?.join("|"))
    });
    rows.expect(query).map(|row| row.expect("a row")).collect()
}
