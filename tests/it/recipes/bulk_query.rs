//! Salesforce's Bulk API 2.0: a query job, and its results in csv by a locator.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, instant, milliseconds, must, page, part, unknown_parameter,
};
use crate::server::{Reply, Request};

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "A bulk query of Salesforce",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::OAuth2,
    deletes: Deletes::Untold,
    answer,
    published: |row| vec![account(row)],
    // The token among them.
    requests_max: [6, 4],
};

const JOBS: &str = "/services/data/v62.0/jobs/query";
const QUERY: &str = "SELECT Id, Name, SystemModstamp FROM Account WHERE SystemModstamp >= ";

fn account(row: &Row) -> Value {
    json!({
        "Id": format!("001Dx{:010}AAA", row.id),
        "Name": format!("Account {} ({})", row.id, row.version),
        "SystemModstamp": milliseconds(row.changed) + "Z",
    })
}

fn refused(code: &str) -> Value {
    json!([{"errorCode": code, "message": "as documented"}])
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    if (request.method.as_str(), request.target.as_str()) == ("POST", JOBS) {
        return start(source, request);
    }
    let not_found = || Refusal(404, refused("NOT_FOUND"));
    let after = request
        .path()
        .strip_prefix("/services/data/v62.0/jobs/query/750-");
    let after = after
        .filter(|_| request.method == "GET")
        .ok_or_else(not_found)?;
    let (job, results) = after.split_once('/').unwrap_or((after, ""));
    let rows = job.parse().ok().and_then(|job: usize| source.kept.get(job));
    let rows = rows.ok_or_else(not_found)?;
    if results.is_empty() {
        return Ok(page(
            &json!({"id": format!("750-{job}"), "state": "JobComplete"}),
        ));
    }
    let is_known = unknown_parameter(request, &["maxRecords", "locator"]).is_none();
    must(results == "results" && is_known, 400, || {
        refused("API_ERROR")
    })?;
    let size = request
        .query("maxRecords")
        .and_then(|size| size.parse().ok());
    let start = request
        .query("locator")
        .map_or(Some(0), |text| text.strip_prefix("at-")?.parse().ok());
    let (Some(size), Some(start)) = (size, start) else {
        return Err(Refusal(400, refused("INVALID_LOCATOR")));
    };
    let (rows, has_more) = part(rows, start, size);
    let mut table = "\"Id\",\"Name\",\"SystemModstamp\"\n".to_owned();
    for row in rows {
        let line = [&row["Id"], &row["Name"], &row["SystemModstamp"]].map(Value::to_string);
        writeln!(table, "{}", line.join(",")).expect("into memory");
    }
    let locator = if has_more {
        format!("at-{}", start + size)
    } else {
        "null".to_owned()
    };
    Ok(Reply::new(200, table)
        .header("content-type", "text/csv")
        .header("sforce-locator", locator))
}

fn start(source: &mut Source, request: &Request) -> Answer {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let query = body["query"]
        .as_str()
        .filter(|_| body["operation"] == "query");
    let since = query
        .and_then(|query| query.strip_prefix(QUERY))
        .and_then(instant);
    let since = since.ok_or_else(|| Refusal(400, refused("MALFORMED_QUERY")))?;
    let found = source
        .changed_since(since)
        .into_iter()
        .map(account)
        .collect();
    source.kept.push(found);
    let id = format!("750-{}", source.kept.len() - 1);
    Ok(page(
        &json!({"id": id, "operation": "query", "state": "UploadComplete"}),
    ))
}
