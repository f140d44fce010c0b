//! Links by their relation; 404 where there is nothing, and 403 where there were too many requests.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, instant, must, number, page, part, seconds, target_with,
    unknown_parameter,
};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "Links by their relation",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Header("x-api-key"),
    deletes: Deletes::Untold,
    answer,
    published: |row| vec![event(row)],
    requests_max: [3, 1],
};

fn event(row: &Row) -> Value {
    json!({"id": row.id, "version": row.version, "modified": seconds(row.changed)})
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    let is_there = request.path() == "/v1/events" && request.method == "GET";
    must(is_there, 404, || json!({"title": "no such resource"}))?;
    if std::mem::take(&mut source.is_broken) {
        return Err(Refusal(403, json!({"title": "too many requests"})));
    }
    let wrong = |what: &str| Refusal(400, json!({"title": what}));
    if unknown_parameter(request, &["from", "modified_after"]).is_some() {
        return Err(wrong("unknown parameter"));
    }
    let from = number(request, "from", 0, 0..).ok_or_else(|| wrong("from"))?;
    let since = request.query("modified_after");
    let since = since.map(|text| instant(&text).ok_or_else(|| wrong("modified_after")));
    let since = since.transpose()?.unwrap_or(i64::MIN);

    let rows = source.changed_since(since.saturating_sub(999));
    let (found, has_more) = part(&rows, from, 100);
    if found.is_empty() {
        return Err(Refusal(404, json!({"title": "no events in this range"})));
    }
    let events: Vec<Value> = found.iter().map(|row| event(row)).collect();
    let mut links = vec![json!({"rel": "self", "href": request.target})];
    if has_more {
        let next = target_with(request, "/v1/events", "from", from + 100);
        links.push(json!({"rel": "next", "href": next}));
    }
    Ok(page(&json!({"events": events, "links": links})))
}

#[test]
fn a_rate_limit_is_waited_for_and_nothing_is_an_empty_set() {
    let mut followed = RECIPE.job();
    followed.source(|source| {
        source.rows.clear();
        source.is_broken = true;
    });
    followed.job = followed.job.set("RETRY_PAUSE", "10ms");

    let run = followed.job.run();

    run.exits(Outcome::Published).asked(2).publishes(&json!([]));
}
