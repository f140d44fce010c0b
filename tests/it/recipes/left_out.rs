//! A list whose member is left out where it is empty, as by APIs that are made of protocol buffers.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, instant, must, number, page, part, seconds, unknown_parameter,
};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "A list that is left out where it is empty",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Bearer,
    deletes: Deletes::Untold,
    answer,
    published: |row| vec![job(row)],
    requests_max: [3, 1],
};

fn job(row: &Row) -> Value {
    json!({"name": format!("jobs/{}", row.id), "state": row.version, "updateTime": seconds(row.changed)})
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    let is_there = request.path() == "/v1/jobs" && request.method == "GET";
    must(
        is_there,
        404,
        || json!({"error": {"code": 404, "status": "NOT_FOUND"}}),
    )?;
    let wrong = |what: &str| {
        Refusal(
            400,
            json!({"error": {"code": 400, "message": what, "status": "INVALID_ARGUMENT"}}),
        )
    };
    if unknown_parameter(request, &["pageSize", "pageToken", "updatedMin"]).is_some() {
        return Err(wrong("unknown name"));
    }
    let size = number(request, "pageSize", 20, 1..=100).ok_or_else(|| wrong("pageSize"))?;
    let from = number(request, "pageToken", 0, 0..).ok_or_else(|| wrong("pageToken"))?;
    let since = request.query("updatedMin");
    let since = since.map(|text| instant(&text).ok_or_else(|| wrong("updatedMin")));
    let since = since.transpose()?.unwrap_or(i64::MIN);

    let rows = source.changed_since(since.saturating_sub(999));
    let (found, has_more) = part(&rows, from, size);
    let mut body = json!({});
    if !found.is_empty() {
        body["jobs"] = found.iter().map(|row| job(row)).collect();
    }
    if has_more {
        body["nextPageToken"] = json!((from + size).to_string());
    }
    Ok(page(&body))
}

#[test]
fn an_answer_without_the_list_is_an_empty_set() {
    let mut followed = RECIPE.job();
    followed.source(|source| source.rows.clear());

    let run = followed.job.run();

    run.exits(Outcome::Published).publishes(&json!([]));
}
