//! A search that takes a form, with its page and a time of a form of its own.

use serde_json::{Value, json};
use url::form_urlencoded;

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{Answer, Refusal, Row, Source, must, page, part, seconds, written};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "A search that takes a form",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Bearer,
    deletes: Deletes::Untold,
    answer,
    published: |row| vec![item(row)],
    requests_max: [3, 1],
};

fn item(row: &Row) -> Value {
    json!({"id": row.id, "version": row.version, "updated": seconds(row.changed)})
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    let refusal = |what: &str| Refusal(400, json!({"error": what}));
    let is_form = request.header("content-type") == Some("application/x-www-form-urlencoded");
    must(
        is_form && request.method == "POST",
        415,
        || json!({"error": "not a form"}),
    )?;
    let field = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(&request.body);
        pairs
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
    };
    must(
        field("status").as_deref() == Some("all"),
        400,
        || json!({"error": "status"}),
    )?;
    let number = |name: &str| field(name).and_then(|text| text.parse::<usize>().ok());
    let (at, size) = number("page")
        .zip(number("size"))
        .ok_or_else(|| refusal("page, size"))?;
    let from = field("updated_from");
    let is_sql = |text: &String| text.len() == 19 && text.as_bytes()[10] == b' ';
    must(
        from.as_ref().is_none_or(is_sql),
        422,
        || json!({"error": "updated_from"}),
    )?;

    let is_from = |row: &&Row| {
        let changed = written(row.changed, "%Y-%m-%d %H:%M:%S");
        from.as_ref().is_none_or(|from| changed >= *from)
    };
    let rows: Vec<&Row> = source.rows.values().filter(is_from).collect();
    let (found, more) = part(&rows, (at - 1) * size, size);
    let items: Vec<Value> = found.iter().map(|row| item(row)).collect();
    Ok(page(&json!({"items": items, "more": more})))
}
