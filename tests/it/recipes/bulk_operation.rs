//! Shopify's bulk operations: one at a time, started and asked for at one endpoint, with a file of NDJSON as the result.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{Answer, Row, Source, instant, must, page, seconds};
use crate::server::{Reply, Request};

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "A bulk operation of Shopify",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Header("x-shopify-access-token"),
    deletes: Deletes::Untold,
    answer,
    published: |row| vec![order(row)],
    requests_max: [3, 3],
};

const ENDPOINT: &str = "/admin/api/2026-10/graphql.json";
const START: &str =
    "mutation($q:String!){bulkOperationRunQuery(query:$q){bulkOperation{id} userErrors{message}}}";
const STATUS: &str = "query($id:ID!){node(id:$id){... on BulkOperation{status errorCode url}}}";
const ID: &str = "gid://shopify/BulkOperation/";

fn order(row: &Row) -> Value {
    json!({
        "id": format!("gid://shopify/Order/{}", row.id),
        "name": format!("#{}.{}", row.id, row.version),
        "updatedAt": seconds(row.changed),
    })
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    if let Some(number) = request.path().strip_prefix("/files/") {
        let number: usize = number.parse().expect("a file of this copy");
        let lines = source.kept[number].iter().map(|row| format!("{row}\n"));
        let file = Reply::new(200, lines.collect::<String>());
        return Ok(file.header("content-type", "application/octet-stream"));
    }
    let is_post = request.method == "POST" && request.target == ENDPOINT;
    must(is_post, 404, || json!({"errors": "Not Found"}))?;
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let variables = &body["variables"];
    if body["query"] == STATUS {
        let number = variables["id"].as_str().and_then(|id| id.strip_prefix(ID));
        let number: usize = number
            .and_then(|id| id.parse().ok())
            .expect("an operation of this copy");
        let rows = &source.kept[number];
        let url = (!rows.is_empty()).then(|| format!("{{server}}/files/{number}?signature=abc"));
        let node = json!({"status": "COMPLETED", "errorCode": null, "url": url});
        return Ok(page(&json!({"data": {"node": node}})));
    }
    let query = variables["q"].as_str().filter(|_| body["query"] == START);
    let since = query.and_then(|query| {
        let since = query.strip_prefix("{orders(query:\"updated_at:>='")?;
        since.strip_suffix("'\"){edges{node{id name updatedAt}}}}")
    });
    let Some(since) = since.and_then(instant) else {
        return Ok(page(&json!({"errors": [{"message": "syntax error"}]})));
    };
    let running = source
        .kept
        .len()
        .checked_sub(1)
        .filter(|_| source.is_broken);
    if let Some(running) = running {
        let message = format!(
            "A bulk query operation for this app and shop is already in progress: {ID}{running}."
        );
        let told = json!({"bulkOperation": null, "userErrors": [{"message": message}]});
        return Ok(page(&json!({"data": {"bulkOperationRunQuery": told}})));
    }
    let found = source.changed_since(since).into_iter().map(order).collect();
    source.kept.push(found);
    let id = format!("{ID}{}", source.kept.len() - 1);
    let told = json!({"bulkOperation": {"id": id}, "userErrors": []});
    Ok(page(&json!({"data": {"bulkOperationRunQuery": told}})))
}

#[test]
fn an_operation_of_another_query_is_not_taken_for_this_one() {
    let mut followed = RECIPE.job();
    followed.source(|source| {
        source
            .kept
            .push(vec![json!({"id": "gid://shopify/Customer/1"})]);
        source.is_broken = true;
    });
    followed.job = followed
        .job
        .set("MAX_RETRIES", "1")
        .set("RETRY_PAUSE", "10ms");

    let run = followed.job.run();

    run.exits(Outcome::TryLater).publishes_nothing();
    followed.source(|source| assert_eq!(source.kept.len(), 1, "no other was started"));
}

#[test]
fn an_operation_without_records_has_no_file() {
    let mut followed = RECIPE.job();
    followed.source(|source| source.rows.clear());

    let run = followed.job.run();

    run.exits(Outcome::Published).asked(2).publishes(&json!([]));
}
