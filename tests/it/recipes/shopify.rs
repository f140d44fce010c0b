//! Shopify: orders by pages whose URL takes nothing but what stands in it.

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, instant, number, page, part, unknown_parameter, written,
};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "Shopify orders",
    rows: 600,
    seconds_apart: 3600,
    auth: Auth::Header("x-shopify-access-token"),
    deletes: Deletes::Untold,
    answer,
    published: |row| vec![order(row)],
    requests_max: [3, 1],
};

const PATH: &str = "/admin/api/2026-01/orders.json";
/// The shop's clock is five hours behind UTC.
const BEHIND_MS: i64 = 5 * 60 * 60 * 1000;

fn order(row: &Row) -> Value {
    json!({
        "id": 450_789_469 + row.id,
        "name": format!("#{}", 1000 + row.id),
        "closed_at": if is_closed(row) { Value::from("2026-11-20T07:00:00-05:00") } else { Value::Null },
        "note": format!("version {}", row.version),
        "updated_at": written(row.changed - BEHIND_MS, "%Y-%m-%dT%H:%M:%S-05:00"),
    })
}

fn is_closed(row: &Row) -> bool {
    row.id.is_multiple_of(2)
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    let refusal = |what: &str| Refusal(400, json!({"errors": what}));
    if request.path() != PATH || request.method != "GET" {
        return Err(Refusal(404, json!({"errors": "Not Found"})));
    }
    let size = number(request, "limit", 50, 1..=250);
    let size = size.ok_or_else(|| refusal("limit: must be 1 to 250"))?;
    // What a page's URL says, in a form that is nobody else's business: since when, which orders, behind which one.
    let (since, status, after) = if let Some(info) = request.query("page_info") {
        if unknown_parameter(request, &["page_info", "limit"]).is_some() {
            return Err(refusal(
                "page_info: can not be combined with other parameters",
            ));
        }
        let parts: Vec<&str> = info.split('~').collect();
        let [since, status, after] = parts[..] else {
            return Err(refusal("page_info: Invalid value."));
        };
        (
            since.to_owned(),
            status.to_owned(),
            after.parse().unwrap_or(0),
        )
    } else {
        if unknown_parameter(request, &["status", "limit", "updated_at_min"]).is_some() {
            return Err(refusal("a parameter is not known"));
        }
        let since = request.query("updated_at_min");
        let since =
            since.map(|text| instant(&text).ok_or_else(|| refusal("updated_at_min: Invalid")));
        let since = since.transpose()?.unwrap_or(0);
        let status = request.query("status").unwrap_or_else(|| "open".to_owned());
        (since.to_string(), status, 0)
    };

    let mut rows: Vec<&Row> = source.changed_since(since.parse().unwrap_or(0));
    rows.retain(|row| status == "any" || !is_closed(row));
    let start = rows.iter().take_while(|row| row.id <= after).count();
    let (found, has_more) = part(&rows, start, size);
    let orders: Vec<Value> = found.iter().map(|row| order(row)).collect();
    let reply = page(&json!({"orders": orders}));
    let url = |behind: u64| {
        format!("<{{server}}{PATH}?limit={size}&page_info={since}~{status}~{behind}>")
    };
    let back = (start > 0).then(|| url(0) + "; rel=\"previous\"");
    let next = found
        .last()
        .filter(|_| has_more)
        .map(|last| url(last.id) + "; rel=\"next\"");
    let links: Vec<String> = back.into_iter().chain(next).collect();
    Ok(if links.is_empty() {
        reply
    } else {
        reply.header("link", links.join(", "))
    })
}
