//! Times as `/Date(…)/`, and the filter in the header `If-Modified-Since`: Xero's accounting API, as documented.

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{Answer, Refusal, Row, Source, number, page, part, unknown_parameter};
use crate::server::{Reply, Request};

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "A cursor in If-Modified-Since",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Bearer,
    deletes: Deletes::Untold,
    answer,
    published: |row| vec![contact(row)],
    // The page behind the last one is asked for, too.
    requests_max: [4, 2],
};

fn contact(row: &Row) -> Value {
    json!({
        "ContactID": format!("c-{:04}", row.id),
        "Version": row.version,
        "UpdatedDateUTC": format!("/Date({}+0000)/", row.changed),
    })
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    let refusal = |what: &str| Refusal(400, json!({"Message": what}));
    if unknown_parameter(request, &["page", "pageSize"]).is_some() {
        return Err(refusal("a parameter is not known"));
    }
    let at = number(request, "page", 1, 1..).ok_or_else(|| refusal("page"))?;
    let size = number(request, "pageSize", 100, 1..=1000).ok_or_else(|| refusal("pageSize"))?;
    let since = request.header("if-modified-since").map(|text| {
        let at = jiff::fmt::rfc2822::parse(text)
            .ok()
            .filter(|_| text.ends_with("GMT"));
        at.map(|at| at.timestamp().as_millisecond())
    });
    if since == Some(None) {
        return Err(refusal("If-Modified-Since is no HTTP date"));
    }
    let rows = source.changed_since(since.flatten().unwrap_or(i64::MIN));
    if rows.is_empty() && since.is_some() {
        return Ok(Reply::new(304, ""));
    }
    let (found, _) = part(&rows, (at - 1) * size, size);
    let contacts: Vec<Value> = found.iter().map(|row| contact(row)).collect();
    Ok(page(&json!({"Contacts": contacts})))
}
