//! Salesforce: a SOQL query that has deleted rows too, and its further batches by a locator.

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, instant, milliseconds, page, part, unknown_parameter,
};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "Salesforce query",
    rows: 4_500,
    seconds_apart: 3600,
    auth: Auth::OAuth2,
    deletes: Deletes::Buried,
    answer,
    published: |row| {
        let mut account = account(row);
        account
            .as_object_mut()
            .expect("an object")
            .remove("attributes");
        vec![account]
    },
    // The token among them.
    requests_max: [4, 2],
};

/// Rows of a batch, unless a header asks for fewer.
const BATCH: usize = 2_000;
const QUERY: &str =
    "SELECT Id, Name, IsDeleted, SystemModstamp FROM Account WHERE SystemModstamp >= ";

fn account(row: &Row) -> Value {
    let id = format!("001Dx{:010}AAA", row.id);
    json!({
        "attributes": {"type": "Account", "url": format!("/services/data/v62.0/sobjects/Account/{id}")},
        "Id": id,
        "Name": format!("Account {} ({})", row.id, row.version),
        "IsDeleted": row.is_deleted,
        "SystemModstamp": milliseconds(row.changed) + "+0000",
    })
}

fn refusal(status: u16, code: &str) -> Refusal {
    Refusal(
        status,
        json!([{"errorCode": code, "message": "as documented"}]),
    )
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    if request.method != "GET" {
        return Err(refusal(405, "METHOD_NOT_ALLOWED"));
    }
    if let Some(locator) = request
        .path()
        .strip_prefix("/services/data/v62.0/query/01gDx-")
    {
        let (query, start) = locator.split_once('-').unwrap_or_default();
        let known = query
            .parse()
            .ok()
            .filter(|query| *query < source.kept.len());
        return match (known, start.parse(), request.target.contains('?')) {
            (Some(query), Ok(start), false) => Ok(batch(source, query, start)),
            _ => Err(refusal(400, "INVALID_QUERY_LOCATOR")),
        };
    }
    if request.path() != "/services/data/v62.0/queryAll" {
        return Err(refusal(404, "NOT_FOUND"));
    }
    let query = request
        .query("q")
        .filter(|_| unknown_parameter(request, &["q"]).is_none());
    let query = query.ok_or_else(|| refusal(400, "MALFORMED_QUERY"))?;
    // A dateTime literal of SOQL: `2026-11-20T12:00:00Z` or with `+01:00`, never `+0100`.
    let since = query.strip_prefix(QUERY).and_then(instant);
    let since = since.ok_or_else(|| refusal(400, "MALFORMED_QUERY"))?;
    let found = source
        .changed_since(since)
        .into_iter()
        .map(account)
        .collect();
    source.kept.push(found);
    Ok(batch(source, source.kept.len() - 1, 0))
}

fn batch(source: &Source, query: usize, start: usize) -> crate::server::Reply {
    let all = &source.kept[query];
    let (records, has_more) = part(all, start, BATCH);
    let mut body = json!({"totalSize": all.len(), "done": !has_more, "records": records});
    if has_more {
        let next = format!("/services/data/v62.0/query/01gDx-{query}-{}", start + BATCH);
        body["nextRecordsUrl"] = Value::from(next);
    }
    page(&body)
}
