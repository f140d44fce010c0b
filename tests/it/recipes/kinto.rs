//! Kinto: records with `_since`, tombstones and a header that names the next page.

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, number, page, part, target_with, unknown_parameter,
};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "Kinto records",
    rows: 450,
    seconds_apart: 3600,
    auth: Auth::Basic("sync:{key}"),
    deletes: Deletes::Buried,
    answer,
    published: |row| vec![record(row)],
    requests_max: [3, 1],
};

const PATH: &str = "/v1/buckets/shop/collections/products/records";

fn record(row: &Row) -> Value {
    let id = format!("89881454-e4e9-4ef0-99a9-{:012}", row.id);
    if row.is_deleted {
        return json!({"id": id, "last_modified": row.changed, "deleted": true});
    }
    json!({"id": id, "last_modified": row.changed, "title": format!("product {}.{}", row.id, row.version)})
}

fn refusal(status: u16, what: &str) -> Refusal {
    Refusal(
        status,
        json!({"code": status, "errno": 107, "error": "Invalid parameters", "message": what}),
    )
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    if request.path() != PATH || request.method != "GET" {
        return Err(refusal(
            404,
            "The resource you are looking for could not be found.",
        ));
    }
    if unknown_parameter(request, &["_since", "_sort", "_limit", "_token"]).is_some() {
        return Err(refusal(400, "Unknown filter field"));
    }
    if request.query("_sort").as_deref() != Some("last_modified") {
        return Err(refusal(400, "sorted otherwise than this copy can"));
    }
    let size = number(request, "_limit", usize::MAX, 1..);
    let size = size.ok_or_else(|| refusal(400, "_limit should be an integer"))?;
    // Exclusive, and with or without quotes. Without it there are no tombstones.
    let since = request
        .query("_since")
        .map(|text| text.trim_matches('"').parse());
    let since: Option<i64> = since
        .transpose()
        .map_err(|_| refusal(400, "Invalid value for _since"))?;
    let token = request.query("_token").map(|text| text.parse());
    let token: Option<i64> = token
        .transpose()
        .map_err(|_| refusal(400, "_token has invalid content"))?;

    let after = since.max(token).unwrap_or(i64::MIN);
    let is_asked_for = |row: &&Row| row.changed > after && (since.is_some() || !row.is_deleted);
    let mut rows: Vec<&Row> = source.rows.values().filter(is_asked_for).collect();
    rows.sort_by_key(|row| row.changed);
    let (found, has_more) = part(&rows, 0, size);
    let data: Vec<Value> = found.iter().map(|row| record(row)).collect();
    let reply = page(&json!({"data": data}));
    Ok(match found.last().filter(|_| has_more) {
        None => reply,
        Some(last) => {
            let next = target_with(
                request,
                &format!("{{server}}{PATH}"),
                "_token",
                last.changed,
            );
            reply.header("next-page", next)
        }
    })
}
