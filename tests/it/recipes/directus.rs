//! Directus: a login, then numbered pages of `data` with the number of all.

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{Answer, Refusal, Row, Source, must, number, page, part, unknown_parameter};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "Directus items",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Login,
    deletes: Deletes::Missing,
    answer,
    published: |row| vec![item(row)],
    // The login, and three pages.
    requests_max: [4, 4],
};

fn item(row: &Row) -> Value {
    json!({"id": row.id, "title": format!("product {}", row.id), "stock": row.version})
}

fn refusal(status: u16, what: &str) -> Refusal {
    Refusal(status, json!({"errors": [{"message": what}]}))
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    let is_there = request.path() == "/items/products" && request.method == "GET";
    must(
        is_there,
        404,
        || json!({"errors": [{"message": "Route doesn't exist."}]}),
    )?;
    let known = ["limit", "page", "sort", "meta"];
    if unknown_parameter(request, &known).is_some() {
        return Err(refusal(400, "Invalid query."));
    }
    let size = number(request, "limit", 100, 1..).ok_or_else(|| refusal(400, "Invalid limit"))?;
    let at = number(request, "page", 1, 1..).ok_or_else(|| refusal(400, "Invalid page"))?;
    let rows = source.live();
    let (found, _) = part(&rows, (at - 1) * size, size);
    let items: Vec<Value> = found.iter().map(|row| item(row)).collect();
    let mut body = json!({"data": items});
    if request.query("meta").as_deref() == Some("filter_count") {
        body["meta"] = json!({"filter_count": rows.len()});
    }
    Ok(page(&body))
}
