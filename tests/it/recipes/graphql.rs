//! A GraphQL connection: cursor and token are variables, and errors come with 200.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, instant, milliseconds, page, part, unknown_member,
};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "GraphQL connection",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Bearer,
    deletes: Deletes::Untold,
    answer,
    published: |row| vec![order(row)],
    requests_max: [3, 1],
};

const SIZE: usize = 100;
const QUERY: &str = "query($since:DateTime,$after:String){orders(updatedSince:$since,first:100,after:$after){\
                     nodes{id total updatedAt}pageInfo{endCursor hasNextPage}}}";

fn order(row: &Row) -> Value {
    json!({
        "id": format!("gid://example/Order/{}", row.id),
        "total": format!("{}.{:02}", row.id, row.version),
        "updatedAt": milliseconds(row.changed) + "Z",
    })
}

/// What GraphQL answers to what it cannot do.
fn errors(what: &str) -> Value {
    json!({"errors": [{"message": what, "path": ["orders"]}], "data": null})
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    if request.target != "/graphql" || request.method != "POST" {
        return Err(Refusal(405, errors("POST only")));
    }
    if source.is_broken {
        return Ok(page(&errors(
            "Something went wrong while executing your query",
        )));
    }
    let body: Value =
        serde_json::from_slice(&request.body).map_err(|_| Refusal(400, errors("not JSON")))?;
    let variables = &body["variables"];
    let unknown = unknown_member(&body, &["query", "variables"])
        .or_else(|| unknown_member(variables, &["since", "after"]));
    if body["query"] != QUERY || unknown.is_some() {
        return Ok(page(&errors("Parse error")));
    }
    let since = match &variables["since"] {
        Value::Null => Some(i64::MIN),
        since => since.as_str().and_then(instant),
    };
    let start = match &variables["after"] {
        Value::Null => Some(0),
        // Opaque to everybody else.
        after => after
            .as_str()
            .and_then(|after| after.strip_prefix("row-")?.parse().ok()),
    };
    let (Some(since), Some(start)) = (since, start) else {
        return Ok(page(&errors("Variable was provided invalid value")));
    };
    let rows = source.changed_since(since);
    let (found, has_more) = part(&rows, start, SIZE);
    let end = (!found.is_empty()).then(|| format!("row-{}", start + found.len()));
    let nodes: Vec<Value> = found.iter().map(|row| order(row)).collect();
    let info = json!({"endCursor": end, "hasNextPage": has_more});
    Ok(page(
        &json!({"data": {"orders": {"nodes": nodes, "pageInfo": info}}}),
    ))
}

#[test]
fn errors_that_come_with_200_are_a_failure() {
    let mut followed = RECIPE.job();
    followed.source(|source| source.is_broken = true);

    let run = followed.job.run();

    run.exits(Outcome::ProtocolBroken)
        .publishes_nothing()
        .asked(1)
        .stderr_has("SOURCE_ERROR");
}
