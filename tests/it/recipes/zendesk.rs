//! Zendesk: the incremental export of tickets, whose pages and runs go on by one token, and which says where its stream ends.

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, must, number, page, part, seconds, unknown_parameter,
};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "Zendesk tickets",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Basic("NAME@example.com/token:{key}"),
    deletes: Deletes::Buried,
    answer,
    published: |row| vec![ticket(row)],
    requests_max: [3, 1],
};

const PATH: &str = "/api/v2/incremental/tickets/cursor.json";

fn ticket(row: &Row) -> Value {
    json!({
        "id": row.id,
        "subject": format!("ticket {}.{}", row.id, row.version),
        "status": if row.is_deleted { "deleted" } else { "open" },
        "updated_at": seconds(row.changed),
    })
}

fn refusal(status: u16, what: &str) -> Refusal {
    Refusal(status, json!({"error": what}))
}

/// What of a row tells whether it was sent.
fn sent(row: &Row) -> Value {
    json!([row.id, row.version])
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    must(
        request.path() == PATH && request.method == "GET",
        404,
        || json!({"error": "InvalidEndpoint"}),
    )?;
    if unknown_parameter(request, &["start_time", "cursor", "per_page"]).is_some() {
        return Err(refusal(400, "InvalidValue"));
    }
    let size = number(request, "per_page", 1000, 1..=1000);
    let size = size.ok_or_else(|| refusal(400, "InvalidPerPage"))?;
    let before = match request.query("cursor") {
        None => {
            let start = number(request, "start_time", 0, 1..);
            start.ok_or_else(|| refusal(422, "start_time is missing"))?;
            Vec::new()
        }
        Some(cursor) => {
            let at = cursor.strip_prefix("MTU3N").and_then(|at| at.parse().ok());
            let kept = at.and_then(|at: usize| source.kept.get(at));
            kept.cloned().ok_or_else(|| refusal(400, "InvalidCursor"))?
        }
    };

    let rows = source.rows.values();
    let mut rows: Vec<&Row> = rows.filter(|row| !before.contains(&sent(row))).collect();
    rows.sort_by_key(|row| row.changed);
    let (found, has_more) = part(&rows, 0, size);
    let tickets: Vec<Value> = found.iter().map(|row| ticket(row)).collect();
    let after = [before, found.iter().map(|row| sent(row)).collect()].concat();
    let known = source.kept.iter().position(|kept| *kept == after);
    let at = known.unwrap_or_else(|| {
        source.kept.push(after);
        source.kept.len() - 1
    });
    Ok(page(&json!({
        "tickets": tickets,
        "after_cursor": format!("MTU3N{at}"),
        "before_cursor": null,
        "end_of_stream": !has_more,
    })))
}
