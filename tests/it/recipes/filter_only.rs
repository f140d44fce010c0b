//! A filter by time, and records that have none: the source's clock is the cursor.

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{Answer, Refusal, Row, Source, page};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "A filter by time, and no time in the records",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Bearer,
    deletes: Deletes::Untold,
    answer,
    published: |row| vec![device(row)],
    requests_max: [1, 1],
};

fn device(row: &Row) -> Value {
    json!({"id": row.id, "firmware": format!("1.{}", row.version)})
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    let body: Value = serde_json::from_slice(&request.body)
        .map_err(|_| Refusal(400, json!({"error": "not JSON"})))?;
    let from = body["changed"]["from"].as_i64();
    let from = from.ok_or_else(|| Refusal(422, json!({"error": "from"})))?;
    let rows = source.changed_since(from * 1000);
    let devices: Vec<Value> = rows.into_iter().map(device).collect();
    Ok(page(&json!({"devices": devices})))
}
