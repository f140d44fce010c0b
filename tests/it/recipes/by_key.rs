//! Records by their key, on pages that are counted; where there is none, PHP's empty array.

use serde_json::{Map, Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, instant, must, number, page, part, seconds, unknown_parameter,
};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "Records by their key",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Bearer,
    deletes: Deletes::Untold,
    answer,
    published: |row| vec![published(row)],
    requests_max: [3, 1],
};

fn sku(row: &Row) -> String {
    format!("p-{}", row.id)
}

fn product(row: &Row) -> Value {
    json!({"stock": row.version, "updated_at": seconds(row.changed)})
}

fn published(row: &Row) -> Value {
    json!({"sku": sku(row), "stock": row.version, "updated_at": seconds(row.changed)})
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    let is_there = request.path() == "/v1/stock" && request.method == "GET";
    must(is_there, 404, || json!({"error": "no such resource"}))?;
    let unknown = unknown_parameter(request, &["page", "updated_since"]);
    must(
        unknown.is_none(),
        400,
        || json!({"error": "unknown parameter"}),
    )?;
    let wrong = |what: &str| Refusal(400, json!({"error": what}));
    let at = number(request, "page", 1, 1..).ok_or_else(|| wrong("page"))?;
    let since = request
        .query("updated_since")
        .map(|text| instant(&text).ok_or_else(|| wrong("updated_since")));
    let since = since.transpose()?.unwrap_or(i64::MIN);

    // To the second, as the records say it.
    let rows = source.changed_since(since.saturating_sub(999));
    let (found, _) = part(&rows, (at - 1) * 100, 100);
    let products: Map<String, Value> = found.iter().map(|row| (sku(row), product(row))).collect();
    let products = if products.is_empty() {
        json!([])
    } else {
        Value::from(products)
    };
    let pages = rows.len().div_ceil(100).max(1);
    Ok(page(
        &json!({"page": at, "pages": pages, "products": products}),
    ))
}
