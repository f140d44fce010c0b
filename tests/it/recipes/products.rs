//! The plainest API: numbered pages of `items`, and a `total`.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{Answer, Refusal, Row, Source, must, number, page, part, unknown_parameter};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "Page numbers and a total",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Bearer,
    deletes: Deletes::Missing,
    answer,
    published: |row| vec![product(row)],
    requests_max: [3, 3],
};

fn product(row: &Row) -> Value {
    json!({"id": row.id, "name": format!("product {}", row.id), "stock": row.version})
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    let is_there = request.path() == "/v1/products" && request.method == "GET";
    must(is_there, 404, || json!({"error": "no such resource"}))?;
    let unknown = unknown_parameter(request, &["page", "per_page"]);
    must(
        unknown.is_none(),
        400,
        || json!({"error": format!("unknown parameter {unknown:?}")}),
    )?;
    let size = number(request, "per_page", 20, 1..=100);
    let at = number(request, "page", 1, 1..);
    let (Some(size), Some(at)) = (size, at) else {
        return Err(Refusal(
            400,
            json!({"error": "page and per_page are numbers, per_page up to 100"}),
        ));
    };

    let rows = source.live();
    // One that is overloaded may cut a page short.
    let taken = if source.is_broken && at == 2 {
        size / 2
    } else {
        size
    };
    let (found, _) = part(&rows, (at - 1) * size, taken);
    let items: Vec<Value> = found.iter().map(|row| product(row)).collect();
    Ok(page(&json!({"items": items, "total": rows.len()})))
}

#[test]
fn a_page_that_was_cut_short_is_missed_in_the_total() {
    let mut followed = RECIPE.job();
    followed.source(|source| source.is_broken = true);

    let run = followed.job.run();

    run.exits(Outcome::ProtocolBroken)
        .publishes_nothing()
        .stderr_has("SOURCE_TOTAL");
}
