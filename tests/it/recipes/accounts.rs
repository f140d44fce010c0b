//! Orders of several accounts, one request for each.

use serde_json::{Value, json};

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, instant, must, number, page, part, seconds, target_with,
    unknown_parameter,
};
use crate::server::Request;

/// The recipe of `docs/`.
pub const RECIPE: Recipe = Recipe {
    heading: "Several accounts",
    rows: 250,
    seconds_apart: 3600,
    auth: Auth::Bearer,
    deletes: Deletes::Untold,
    answer,
    published,
    requests_max: [3, 3],
};

const ACCOUNTS: [&str; 3] = ["acme", "globex", "initech"];

/// The account of a row, and the number of its order there: numbers are those of other accounts, too.
fn order_of(row: &Row) -> (&'static str, u64) {
    let account = usize::try_from(row.id % 3).expect("less than three");
    (ACCOUNTS[account], row.id / 3)
}

fn order(row: &Row) -> Value {
    json!({"id": order_of(row).1, "updated_at": seconds(row.changed), "version": row.version})
}

fn published(row: &Row) -> Vec<Value> {
    let mut order = order(row);
    order["account"] = json!(order_of(row).0);
    vec![order]
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    let path = request.path();
    let account = path.strip_prefix("/v1/accounts/");
    let account = account.and_then(|rest| rest.strip_suffix("/orders"));
    let is_there = account.is_some_and(|account| ACCOUNTS.contains(&account));
    must(is_there, 404, || json!({"error": "not found"}))?;
    let wrong = || json!({"error": "a parameter is not known, or not right"});
    let unknown = unknown_parameter(request, &["per_page", "page", "updated_since"]);
    must(unknown.is_none(), 400, wrong)?;
    let size = number(request, "per_page", 20, 1..=100);
    let at = number(request, "page", 1, 1..);
    let since = request
        .query("updated_since")
        .map_or(Some(i64::MIN), |text| instant(&text));
    let (Some(size), Some(at), Some(since)) = (size, at, since) else {
        return Err(Refusal(400, wrong()));
    };

    let rows: Vec<&Row> = source
        .changed_since(since)
        .into_iter()
        .filter(|row| Some(order_of(row).0) == account)
        .collect();
    let (found, has_more) = part(&rows, (at - 1) * size, size);
    let next = has_more.then(|| target_with(request, path, "page", at + 1));
    let orders: Vec<Value> = found.iter().map(|row| order(row)).collect();
    Ok(page(&json!({"orders": orders, "links": {"next": next}})))
}
