//! A filter that knows days only, pages by offset, and the key in the query.

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, number, page, part, seconds, unknown_parameter, written,
};
use crate::server::Request;

/// The recipe of `docs/`. Pages overlap by one record, and a day has 48.
pub const RECIPE: Recipe = Recipe {
    heading: "A filter that takes a date",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Query("api_token"),
    deletes: Deletes::Untold,
    answer,
    published: |row| vec![invoice(row)],
    // The page behind the last one is asked for, too.
    requests_max: [4, 2],
};

const PARAMETERS: [&str; 4] = ["api_token", "updated_from", "offset", "limit"];

fn invoice(row: &Row) -> Value {
    json!({
        "id": format!("INV-{:05}", row.id),
        "status": if row.version > 1 { "paid" } else { "open" },
        "updated_at": seconds(row.changed),
    })
}

fn day(text: &str) -> Option<jiff::civil::Date> {
    text.parse().ok().filter(|_| text.len() == 10)
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    let refusal = |what: &str| Refusal(422, json!({"errors": [what]}));
    if request.path() != "/v1/invoices" || request.method != "GET" {
        return Err(Refusal(404, json!({"errors": ["not found"]})));
    }
    if unknown_parameter(request, &PARAMETERS).is_some() {
        return Err(refusal("a parameter is not known"));
    }
    let size = number(request, "limit", 25, 1..=100).ok_or_else(|| refusal("limit is 1 to 100"))?;
    let start = number(request, "offset", 0, 0..).ok_or_else(|| refusal("offset is a number"))?;
    let from = request
        .query("updated_from")
        .map(|text| day(&text).ok_or(()));
    let from = from
        .transpose()
        .map_err(|()| refusal("updated_from is a date, YYYY-MM-DD"))?;

    let is_from =
        |row: &&Row| from.is_none_or(|from| day(&written(row.changed, "%Y-%m-%d")) >= Some(from));
    let rows: Vec<&Row> = source.rows.values().filter(is_from).collect();
    let (found, _) = part(&rows, start, size);
    let invoices: Vec<Value> = found.iter().map(|row| invoice(row)).collect();
    Ok(page(&json!({"invoices": invoices})))
}
