//! An OData feed: a filter in the query, pages that the server drives, times with an offset.

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, instant, milliseconds, page, part, target_with, unknown_parameter,
};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "OData feed",
    rows: 1_200,
    seconds_apart: 3600,
    auth: Auth::Basic("sync:{key}"),
    deletes: Deletes::Untold,
    answer,
    published: |row| vec![order(row)],
    requests_max: [3, 1],
};

/// The time of this source is an hour ahead of UTC.
const HOUR_MS: i64 = 60 * 60 * 1000;
const SIZE_MAX: usize = 1_000;

fn order(row: &Row) -> Value {
    json!({
        "OrderID": row.id,
        "Status": format!("version {}", row.version),
        "ModifiedAt": milliseconds(row.changed + HOUR_MS) + "+01:00",
    })
}

fn refusal(status: u16, what: &str) -> Refusal {
    Refusal(status, json!({"error": {"code": "", "message": what}}))
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    if request.path() != "/odata/Orders" || request.method != "GET" {
        return Err(refusal(404, "Resource not found"));
    }
    if unknown_parameter(request, &["$filter", "$skiptoken"]).is_some() {
        return Err(refusal(400, "The query parameter is not supported"));
    }
    let filter = request.query("$filter").unwrap_or_default();
    let since = filter.strip_prefix("ModifiedAt ge ").and_then(instant);
    let since = since.ok_or_else(|| refusal(400, "Syntax error in $filter"))?;
    let after = request
        .query("$skiptoken")
        .unwrap_or_else(|| "0".to_owned());
    let after: u64 = after
        .parse()
        .map_err(|_| refusal(400, "Invalid $skiptoken"))?;
    let wished = request
        .header("prefer")
        .and_then(|wish| wish.strip_prefix("odata.maxpagesize="));
    let size = wished
        .and_then(|size| size.parse().ok())
        .unwrap_or(SIZE_MAX)
        .min(SIZE_MAX);

    let mut rows = source.changed_since(since);
    rows.retain(|row| row.id > after);
    let (found, has_more) = part(&rows, 0, size);
    let value: Vec<Value> = found.iter().map(|row| order(row)).collect();
    let mut body = json!({"@odata.context": "{server}/odata/$metadata#Orders", "value": value});
    if let (true, Some(last)) = (has_more, found.last()) {
        let next = target_with(request, "{server}/odata/Orders", "$skiptoken", last.id);
        body["@odata.nextLink"] = Value::from(next);
    }
    Ok(page(&body).header("preference-applied", format!("odata.maxpagesize={size}")))
}
