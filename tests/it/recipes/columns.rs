//! A report: rows that are arrays, and the names of their columns beside them.

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{Answer, Row, Source, must, page};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "Rows under their columns",
    rows: 60,
    seconds_apart: 3600,
    auth: Auth::Bearer,
    deletes: Deletes::Missing,
    answer,
    published: |row| vec![published(row)],
    requests_max: [1, 1],
};

fn published(row: &Row) -> Value {
    json!({"id": row.id, "name": format!("shop {}", row.id), "sales": row.version})
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    let is_there = request.target == "/v1/reports/sales" && request.method == "GET";
    must(is_there, 404, || json!({"error": "no such report"}))?;
    let rows = source.live();
    let rows = rows
        .iter()
        .map(|row| json!([row.id, format!("shop {}", row.id), row.version]));
    let rows: Vec<Value> = rows.collect();
    Ok(page(
        &json!({"columns": ["id", "name", "sales"], "rows": rows}),
    ))
}
