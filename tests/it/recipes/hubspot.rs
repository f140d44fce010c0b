//! HubSpot: a search for contacts that ends at a number of results. 10,000 is scaled down to 400 here.

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use super::recipe::{Auth, Deletes, Recipe};
use super::source::{
    Answer, Refusal, Row, Source, milliseconds, page, part, unknown_member, unknown_parameter,
};
use crate::server::Request;

/// The recipe of `docs/`. The records are of 300 days, 240 in each window of 30, which is two pages.
pub const RECIPE: Recipe = Recipe {
    heading: "HubSpot search",
    rows: 2_400,
    seconds_apart: 6 * 60 * 60,
    auth: Auth::Bearer,
    deletes: Deletes::Untold,
    answer,
    published: |row| vec![contact(row)],
    // Windows go on to our own time, which is later than the source's: some are empty.
    requests_max: [120, 2],
};

const RESULTS_MAX: usize = 400;

fn contact(row: &Row) -> Value {
    let changed = milliseconds(row.changed) + "Z";
    json!({
        "id": row.id.to_string(),
        "properties": {
            "email": format!("{}.{}@example.com", row.id, row.version),
            "hs_object_id": row.id.to_string(),
            "lastmodifieddate": changed,
        },
        "createdAt": milliseconds(row.created) + "Z",
        "updatedAt": changed,
        "archived": false,
    })
}

fn invalid(what: &str) -> Refusal {
    Refusal(
        400,
        json!({"status": "error", "message": what, "category": "VALIDATION_ERROR"}),
    )
}

/// A filter's value, which is text that holds milliseconds.
fn filter(filters: &Value, at: usize, operator: &str) -> Result<i64, Refusal> {
    let filter = &filters[at];
    let is_known = filter["propertyName"] == "lastmodifieddate" && filter["operator"] == operator;
    let value = filter["value"].as_str().filter(|_| is_known);
    let value = value.and_then(|value| value.parse().ok());
    value.ok_or_else(|| invalid("Invalid filter"))
}

fn answer(source: &mut Source, request: &Request) -> Answer {
    const MEMBERS: [&str; 5] = ["filterGroups", "sorts", "properties", "limit", "after"];
    if request.path() != "/crm/v3/objects/contacts/search" || request.method != "POST" {
        return Err(Refusal(
            405,
            json!({"status": "error", "message": "HTTP method not allowed"}),
        ));
    }
    let body: Value =
        serde_json::from_slice(&request.body).map_err(|_| invalid("Invalid input JSON"))?;
    let is_json = request.header("content-type") == Some("application/json");
    let unknown = unknown_member(&body, &MEMBERS).or_else(|| unknown_parameter(request, &[]));
    if !is_json || unknown.is_some() {
        return Err(invalid("Invalid input JSON: unknown property"));
    }
    let filters = &body["filterGroups"][0]["filters"];
    let (from, end) = (filter(filters, 0, "GTE")?, filter(filters, 1, "LT")?);
    let sort = &body["sorts"][0];
    if sort["propertyName"] != "hs_object_id" || sort["direction"] != "ASCENDING" {
        return Err(invalid("Invalid sort"));
    }
    let size = body["limit"]
        .as_u64()
        .filter(|size| (1..=200).contains(size));
    let size = size.and_then(|size| usize::try_from(size).ok());
    let size = size.ok_or_else(|| invalid("limit must be less than or equal to 200"))?;
    let after = match &body["after"] {
        Value::Null => Some(0),
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|after| usize::try_from(after).ok()),
    };
    let after: usize = after.ok_or_else(|| invalid("after must be an integer"))?;
    if after >= RESULTS_MAX {
        return Err(invalid(
            "There was a problem with the request: paging beyond the limit of a search",
        ));
    }

    let rows = source.changed_since(from).into_iter();
    let rows: Vec<&Row> = rows.filter(|row| row.changed < end).collect();
    let (found, has_more) = part(&rows, after, size);
    let results: Vec<Value> = found.iter().map(|row| contact(row)).collect();
    let mut body = json!({"total": rows.len(), "results": results});
    if has_more {
        body["paging"] = json!({"next": {"after": (after + size).to_string()}});
    }
    let edited = rows.get(3).map(|row| row.id);
    if let (Some(edited), true, 0) = (edited, has_more && source.is_broken, after) {
        // Somebody is at work while we are.
        source.is_broken = false;
        source.edit(edited);
    }
    Ok(page(&body))
}

#[test]
fn without_windows_the_end_of_a_search_is_met_and_nothing_is_published() {
    let mut followed = RECIPE.job_without("SOURCE_WINDOW");

    let run = followed.job.run();

    run.exits(Outcome::SourceRefused)
        .publishes_nothing()
        .stderr_has("answered 400 on page 3");
}

#[test]
fn by_offset_an_edit_on_a_page_that_was_read_hides_no_other_contact() {
    let mut followed = RECIPE.job_without("SOURCE_PAGE_FROM");
    followed.job = followed.job.set("SOURCE_PAGINATION", "offset");
    followed.source(|source| source.is_broken = true);

    let run = followed.job.run();

    followed.publishes_all(&run);
    // The scripted source lives in another year, which each portion warns of.
    let is_about_pages = |warning: &Value| !warning["text"].to_string().contains("clock");
    let warned = run.warnings().into_iter().filter(is_about_pages).count();
    assert_eq!(warned, 1, "{}", run.stdout);
}
