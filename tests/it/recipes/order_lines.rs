//! Orders with their lines in them, each line a record of its own.

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, instant, must, number, page, part, seconds, target_with,
    unknown_parameter,
};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "Orders with their lines",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Bearer,
    deletes: Deletes::Buried,
    answer,
    published,
    requests_max: [3, 1],
};

/// One to three: a change takes lines away as often as it adds some.
fn lines(row: &Row) -> impl Iterator<Item = (u64, String, u32)> + use<> {
    let (id, version) = (row.id, row.version);
    let count = 1 + (id + u64::from(version)) % 3;
    (1..=count).map(move |line| (line, format!("SKU-{id}-{line}"), version))
}

fn published(row: &Row) -> Vec<Value> {
    let line = |(line, sku, quantity)| json!({"order_id": row.id, "line": line, "sku": sku, "quantity": quantity});
    lines(row).map(line).collect()
}

fn order(row: &Row) -> Value {
    let mut order =
        json!({"id": row.id, "updated_at": seconds(row.changed), "deleted": row.is_deleted});
    if !row.is_deleted {
        let line = |(line, sku, quantity)| json!({"line": line, "sku": sku, "quantity": quantity});
        order["lines"] = lines(row).map(line).collect();
    }
    order
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    let is_there = request.path() == "/v1/orders" && request.method == "GET";
    must(is_there, 404, || json!({"error": "not found"}))?;
    let wrong = || json!({"error": "a parameter is not known, or not right"});
    let unknown = unknown_parameter(request, &["per_page", "page", "updated_since"]);
    must(unknown.is_none(), 400, wrong)?;
    let size = number(request, "per_page", 20, 1..=100);
    let at = number(request, "page", 1, 1..);
    let since = request
        .query("updated_since")
        .map_or(Some(i64::MIN), |text| instant(&text));
    let (Some(size), Some(at), Some(since)) = (size, at, since) else {
        return Err(Refusal(400, wrong()));
    };

    let is_asked_for = |row: &&Row| since > i64::MIN || !row.is_deleted;
    let rows: Vec<&Row> = source
        .changed_since(since)
        .into_iter()
        .filter(is_asked_for)
        .collect();
    let (found, has_more) = part(&rows, (at - 1) * size, size);
    let next = has_more.then(|| target_with(request, "/v1/orders", "page", at + 1));
    let orders: Vec<Value> = found.iter().map(|row| order(row)).collect();
    Ok(page(&json!({"orders": orders, "links": {"next": next}})))
}
