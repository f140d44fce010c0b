//! Stripe: charges, which can be filtered by their creation and are changed later.

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{Answer, Refusal, Row, Source, number, page, part, unknown_parameter};
use crate::server::Request;

/// The recipe of `docs/`. A change may be 20 days behind the creation, and the look-back is 30.
pub const RECIPE: Recipe = Recipe {
    heading: "Stripe charges",
    rows: 250,
    seconds_apart: 24 * 60 * 60,
    auth: Auth::Basic("{key}:"),
    deletes: Deletes::Untold,
    answer,
    published: |row| vec![charge(row)],
    requests_max: [3, 1],
};

const PARAMETERS: [&str; 4] = ["limit", "starting_after", "created[gte]", "ending_before"];

fn charge(row: &Row) -> Value {
    json!({
        "id": format!("ch_3Mml{:06}", row.id),
        "object": "charge",
        "amount": 1000 + row.id,
        "amount_refunded": if row.version > 1 { 500 } else { 0 },
        "created": row.created.div_euclid(1000),
    })
}

fn invalid(what: &str, parameter: &str) -> Refusal {
    let error = json!({"type": "invalid_request_error", "message": what, "param": parameter});
    Refusal(400, json!({"error": error}))
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    if request.path() != "/v1/charges" || request.method != "GET" {
        return Err(Refusal(
            404,
            json!({"error": {"message": "Unrecognized request URL"}}),
        ));
    }
    if let Some(name) = unknown_parameter(request, &PARAMETERS) {
        return Err(invalid("Received unknown parameter", &name));
    }
    let size = number(request, "limit", 10, 1..=100);
    let size = size.ok_or_else(|| invalid("Invalid integer", "limit"))?;
    let since = request
        .query("created[gte]")
        .unwrap_or_else(|| "0".to_owned());
    let since: i64 = since
        .parse()
        .map_err(|_| invalid("Invalid integer", "created[gte]"))?;

    let rows = source.rows.values();
    let mut rows: Vec<&Row> = rows
        .filter(|row| row.created.div_euclid(1000) >= since)
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse((row.created, row.id)));
    let charges: Vec<Value> = rows.into_iter().map(charge).collect();
    let start = match request.query("starting_after") {
        None => 0,
        Some(id) => {
            let at = charges
                .iter()
                .position(|charge| charge["id"] == id.as_str());
            1 + at.ok_or_else(|| invalid("No such charge", "starting_after"))?
        }
    };
    let (data, has_more) = part(&charges, start, size);
    Ok(page(
        &json!({"object": "list", "url": "/v1/charges", "has_more": has_more, "data": data}),
    ))
}
