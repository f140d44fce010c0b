//! Notion: the pages of a data source, whose times are cut to the minute.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, instant, page, part, unknown_member, unknown_parameter, written,
};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "Notion pages of a data source",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Bearer,
    deletes: Deletes::Untold,
    answer,
    published: |row| vec![page_of(row)],
    requests_max: [3, 1],
};

const MINUTE_MS: i64 = 60_000;

fn id(row: &Row) -> String {
    format!("15973328-d0a0-809e-bd11-{:012}", row.id)
}

fn page_of(row: &Row) -> Value {
    json!({
        "object": "page",
        "id": id(row),
        "created_time": written(row.created, "%Y-%m-%dT%H:%M:00.000Z"),
        "last_edited_time": written(row.changed, "%Y-%m-%dT%H:%M:00.000Z"),
        "in_trash": false,
        "properties": {"Edits": {"type": "number", "number": row.version}},
    })
}

fn invalid(what: &str) -> Refusal {
    Refusal(
        400,
        json!({"object": "error", "status": 400, "code": "validation_error", "message": what}),
    )
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    if request.path() != "/v1/data_sources/DATA_SOURCE_ID/query" || request.method != "POST" {
        let body = json!({"object": "error", "status": 404, "code": "object_not_found"});
        return Err(Refusal(404, body));
    }
    if request.header("notion-version") != Some("2025-09-03") {
        let body = json!({"object": "error", "status": 400, "code": "missing_version"});
        return Err(Refusal(400, body));
    }
    let body: Value = serde_json::from_slice(&request.body).map_err(|_| invalid("not JSON"))?;
    let known = ["page_size", "filter", "sorts", "start_cursor"];
    if unknown_member(&body, &known)
        .or_else(|| unknown_parameter(request, &[]))
        .is_some()
    {
        return Err(invalid("body failed validation"));
    }
    let size = body["page_size"]
        .as_u64()
        .filter(|size| (1..=100).contains(size));
    let size = size.and_then(|size| usize::try_from(size).ok());
    let size = size.ok_or_else(|| invalid("page_size should be less than or equal to 100"))?;
    let since = body["filter"]["last_edited_time"]["on_or_after"]
        .as_str()
        .and_then(instant);
    let since = since.filter(|_| body["filter"]["timestamp"] == "last_edited_time");
    let since = since.ok_or_else(|| invalid("filter should be a time"))?;
    if body["sorts"] != json!([{"timestamp": "created_time", "direction": "ascending"}]) {
        return Err(invalid("sorts should be known"));
    }

    let edited = |row: &&Row| row.changed.div_euclid(MINUTE_MS) * MINUTE_MS >= since;
    let mut rows: Vec<&Row> = source.rows.values().filter(edited).collect();
    rows.sort_by_key(|row| (row.created, row.id));
    let is_incomplete = rows.len() > source.results_max;
    rows.truncate(source.results_max);
    let start = match &body["start_cursor"] {
        Value::Null => Some(0),
        cursor => rows.iter().position(|row| cursor == &id(row)),
    };
    let start = start.ok_or_else(|| invalid("start_cursor should be a valid uuid"))?;
    let (found, has_more) = part(&rows, start, size);
    let next = rows
        .get(start + size)
        .filter(|_| has_more)
        .map(|row| id(row));
    let results: Vec<Value> = found.iter().map(|row| page_of(row)).collect();
    let mut body =
        json!({"object": "list", "results": results, "next_cursor": next, "has_more": has_more});
    if is_incomplete {
        let reason = "query_result_limit_reached";
        body["request_status"] = json!({"type": "incomplete", "incomplete_reason": reason});
    }
    Ok(page(&body))
}

#[test]
fn an_edit_in_the_minute_in_which_the_last_run_ended_is_seen() {
    let mut followed = RECIPE.job();
    followed.job.run().exits(Outcome::Published);
    let newest = followed.source(|source| source.newest());

    // Its time of change stays what it was.
    followed.source(|source| {
        source.pass(20);
        source.edit(newest);
    });
    let run = followed.job.run();

    followed.publishes_all(&run);
}

#[test]
fn a_query_that_was_cut_off_is_not_taken_for_the_whole() {
    let mut followed = RECIPE.job();
    followed.source(|source| source.results_max = 200);

    let run = followed.job.run();

    run.exits(Outcome::ProtocolBroken)
        .publishes_nothing()
        .stderr_has("SOURCE_ERROR");
}
